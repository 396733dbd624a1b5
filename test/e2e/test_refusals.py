#!/usr/bin/env python3
"""Updates that must not happen: the old firmware stays, the exit code is right, and one line says why."""
# SPDX-License-Identifier: Apache-2.0
import struct

import harness
import raw_bus
from harness import V123, V123_APP, V130, V130_APP, VECTORS

IMAGES = VECTORS / "image"
PROTOCOLS = (("-P", "header"), ("-P", "plain"))
SMALL_SLOTS = """
otadata, data, ota,     ,  0x2000
factory, app,  factory, ,  128K
ota_0,   app,  ota_0,   ,  64K
ota_1,   app,  ota_1,   ,  64K
"""


def changed(path, at, mask=0x01):
    raw = bytearray(path.read_bytes())
    raw[at] ^= mask
    return bytes(raw)


class Refusals(harness.TestCase):
    FLASH = ("flash", "-P", "header")  # UDS: test_uds_updates.py

    def assert_old_stays(self, device, slot="ota_0"):
        """Now, after a restart, and an update is possible afterwards."""
        device = self.assert_runs(device, slot, V123_APP)
        self.assert_updates(device, "ota_1" if slot == "ota_0" else "ota_0", "e2e after", self.image("after"))
        self.stop(device)

    # --- The device refuses ---

    def test_images_that_only_the_device_can_refuse(self):
        device = self.new_device()
        for name, pattern in (("app_esp32.bin", "another chip"), ("app_c6.bin", "another chip"),
                              ("app_s3.bin", "another chip"), ("app_c3_minrev400.bin", "another revision")):
            for protocol in PROTOCOLS:
                with self.subTest((name, protocol)):
                    self.assert_fails(self.flash(IMAGES / name, "-q", *protocol), 4, pattern)
            with self.subTest((name, "send")):
                self.assert_fails(self.send(IMAGES / name, "-q"), 4, pattern)
        self.assert_old_stays(device)

    def test_files_larger_than_the_slot(self):
        device = self.new_device(csv=self.file("small.csv", SMALL_SLOTS))
        padded = self.image("padded", 9008, padding=65536 - 9008 + 1)
        for path in (V130, padded):
            for protocol in PROTOCOLS:
                with self.subTest((path.name, protocol)):
                    self.assert_fails(self.flash(path, "-q", *protocol), 4, "larger than the slot")
            with self.subTest((path.name, "send")):
                self.assert_fails(self.send(path, "-q"), 4, "larger than the slot")
        fits = self.image("fits", 65536)
        self.assert_updates(device, "ota_0", "e2e fits", fits)
        self.assertEqual(self.region(device.path, "ota_0"), fits.read_bytes())

    def test_files_larger_than_the_slot_touch_nothing(self):
        device = self.new_device(csv=self.file("small.csv", SMALL_SLOTS))
        before = device.path.read_bytes()
        self.assert_fails(self.flash(V130, "-q"), 4, "larger than the slot")
        self.assertTrue(before == device.path.read_bytes())
        self.assert_old_stays(device, "factory")

    # --- Not an image ---

    def bad_files(self):
        """(name, content, what flash says, what the device says)"""
        image = V130.read_bytes()
        return (("flipped.bin", changed(V130, 40000), "damaged", "damaged: wrong checksum"),
                ("descriptor.bin", changed(V130, 60), "damaged", "damaged: wrong checksum"),
                ("digest.bin", changed(V130, len(image) - 1), "SHA-256 is wrong", "damaged: wrong SHA-256"),
                ("twice.bin", changed(self.file("once", changed(V130, 40000)), 40001), "SHA-256 is wrong", "SHA-256"),
                ("magic.bin", changed(V130, 0), "not an ESP image", "OVFLW"),
                ("truncated.bin", image[:40000], "not complete", "incomplete"),
                ("one less.bin", image[:-1], "not complete", "incomplete"),
                ("whole messages.bin", image[:4095 * 4], "not complete", "incomplete"),
                ("header only.bin", image[:24], "not complete", "incomplete"),
                ("text.txt", b"This is no firmware.\n" * 500, "not an ESP image", "OVFLW"),
                ("no digest.bin", (IMAGES / "app_c3_nohash.bin").read_bytes(), "no SHA-256", "no SHA-256"),
                ("flash dump.bin", b"\xFF" * 8192, "not an ESP image", "OVFLW"))

    def test_bad_files_by_flash(self):
        device = self.new_device()
        bus = self.raw()
        for name, content, pattern, _ in self.bad_files():
            for protocol in PROTOCOLS:
                with self.subTest((name, protocol)):
                    done = self.flash(self.file(name, content), *protocol)
                    self.assert_fails(done, 5, f"{name}: .*{pattern}.*Nothing was sent")
        self.assert_fails(self.flash(self.file("empty.bin", b"")), 5, "empty.bin: .*empty")
        self.assert_fails(self.flash(self.dir / "missing.bin"), 5, "missing.bin: No such file or directory")
        self.assert_fails(self.flash(self.dir), 5, "is a directory")
        self.assert_fails(self.flash("/dev/null"), 5, "is not a file")
        self.stop(device)
        self.assertEqual(bus.frames, [])
        self.assert_old_stays(device)

    def test_bad_files_by_send(self):
        device = self.new_device()
        for name, content, _, pattern in self.bad_files():
            with self.subTest(name):
                self.assert_fails(self.send(self.file(name, content), "-q"), 4, f"{name}: refused by the device.*{pattern}")
        self.assert_fails(self.send(self.file("empty.bin", b"")), 5, "empty.bin: .*empty")
        self.assert_fails(self.send(self.dir / "missing.bin"), 5, "missing.bin: No such file or directory")
        self.assert_fails(self.send(self.dir), 5, "is a directory")
        self.assert_old_stays(device)

    # --- Nobody, or somebody else ---

    def test_no_device_on_the_bus(self):
        self.new_device()
        processes = [self.start(*self.FLASH, "-q", "-c", f"virtual:{self.new_bus()}", V130),
                     self.start("send", "-q", f"virtual:{self.new_bus()}", V130)]
        self.assert_fails(self.flash(V130, "-q", "-d", "7E9"), 3, "nobody answered on 7E9")
        for process in processes:
            self.assert_fails(process.finish(), 3, "flow control timeout: nobody answered on 7E8 .*three times")

    def test_a_second_flash_during_a_transfer(self):
        # Each sees the frames of the other one, and both give up. Only if the first one has no frame on the bus just
        # then, because it waits for a flow control, it gives way to the second one.
        device = self.new_device(V123, bitrate=250000)
        first = self.start(*self.FLASH, "-c", self.channel(), V130)
        first.wait_for(r"\b\d+%", "stderr")
        second = self.flash(V130, "-q")
        done = first.finish()
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertRegex(done.err.splitlines()[-1], "^isotp-ota: .*another node on this bus sends on 7E0")
        if second.code == 0:
            self.assert_confirms(device, "ota_1", V130_APP)
            return
        self.assert_fails(second, 1, "another node on this bus sends on 7E0")
        device.wait_for("^update: failed")
        self.assert_old_stays(device)

    def test_a_second_sender_that_looks_at_nothing(self):
        device = self.new_device(V123, bitrate=250000)
        bus = self.raw()
        first = self.start(*self.FLASH, "-q", "-c", self.channel(), V130)
        bus.next_frame(lambda i, d: i == 0x7E0 and d[0] == 0x2F, "consecutive frame")
        bus.send_first(b"\xE9" + bytes(4094))
        self.assert_fails(first.finish(), 1, "another node")
        self.assertNotEqual(bus.status()[0], 0)
        self.assert_old_stays(device)

    def test_a_second_sender_within_the_messages_of_a_raw_one(self):
        device = self.new_device()
        one, other = self.raw(), self.raw()
        image = V130.read_bytes()
        one.send_message(image[:4095])
        one.send_message(image[4095:8190], stop_after=100)
        one.all_sent()
        other.send_first(image[:4095])
        other.flow_control()
        other.send_frame(b"\x21" + image[6:13])
        one.send_frame(b"\x25" + image[700:707])
        self.assertNotEqual(other.status()[0], 0)
        self.assertNotIn("update: complete", device.text("stdout"))
        self.assert_old_stays(device)

    # --- A sender that does it wrong ---

    def test_a_transfer_that_ends_too_early(self):
        device = self.new_device()
        bus = self.raw()
        image = V130.read_bytes()
        bus.send_message(image[:4095])
        bus.send_message(image[4095:6000])  # a short message is the last one
        self.assertEqual(bus.status(), (0x19, 6000))
        self.assert_old_stays(device)

    def test_more_bytes_than_announced(self):
        device = self.new_device()
        bus = self.raw()
        image = V130.read_bytes()
        bus.send_message(struct.pack("<2sL2x", b"OT", len(image)))
        try:
            bus.send_messages(image + b"more", 2048)
        except (raw_bus.Overflow, raw_bus.NoFlowControl):
            pass
        self.assertEqual(bus.status()[0], 0x22)
        self.assert_old_stays(device)

    def test_lost_frames(self):
        device = self.new_device()
        bus = self.raw()
        image = V130.read_bytes()
        bus.send_first(image[:4095])
        bus.flow_control()
        bus.send_frame(b"\x21" + image[6:13])
        bus.send_frame(b"\x23" + image[20:27])
        self.assertEqual(bus.status()[0], 0x20)
        self.assert_old_stays(device)

    def test_silence_within_a_message(self):
        device = self.new_device()
        bus = self.raw()
        bus.send_message(V130.read_bytes()[:4095], stop_after=10)
        self.assertEqual(bus.status()[0], 0x20)  # after one second
        self.assert_old_stays(device)

    def test_silence_between_messages(self):
        device = self.new_device()
        bus = self.raw()
        bus.send_message(V130.read_bytes()[:4095])
        self.assertEqual(bus.status(), (0x21, 4095))  # after ten seconds
        self.assert_old_stays(device)

    def test_a_failure_in_the_log_of_the_device_has_words(self):
        device = self.new_device()
        bus = self.raw()
        bus.send_message(V130.read_bytes()[:4095], stop_after=10)
        device.wait_for(r"^update: failed after \d+ bytes \(a message was not completed: [^)]*\); ota_0 stays$")
        bus.send_messages((IMAGES / "app_c6.bin").read_bytes()[:1000], 4095)
        device.wait_for(r"^update: failed after \d+ bytes \(the image was built for ESP32-C6 .*\); ota_0 stays$")

    # --- The new firmware does not work ---

    def test_new_firmware_that_fails_its_self_test(self):
        device = self.new_device(V123, "--fail-self-test")
        done = self.flash(V130)
        self.assertEqual(done.code, 0, done)
        self.assert_boots(device, "ota_1", V130_APP)
        device.wait_for("^self-test: FAILED, ota_1 is rejected; restarting$")
        self.assert_boots(device, "ota_0", V123_APP)
        record = self.record(device.path)
        self.assertEqual((record.slot, record.state), (0, "valid"))
        self.assert_old_stays(device)

    def test_damage_in_flash_makes_the_other_slot_boot(self):
        device = self.new_device()
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.stop(device)
        flash = bytearray(device.path.read_bytes())
        flash[0x110000 + 5000] ^= 4
        device.path.write_bytes(flash)
        device = self.assert_runs(device, "ota_0", V123_APP)
        self.assertIn("boot: ota_1 holds no intact image that may run, trying the next", device.text("stdout"))
        self.stop(device)


if __name__ == "__main__":
    harness.main()
