#!/usr/bin/env python3
"""Updates that succeed: protocols, senders, lengths, bus and device settings."""
# SPDX-License-Identifier: Apache-2.0
import re
import struct
import time

import esp
import harness
import raw_bus
from harness import V123, V123_APP, V130, V130_APP

FULL = 4095  # a message of this length is not the last one
OK = 0


class Updates(harness.TestCase):
    FLASH = ("flash", "-P", "header")  # UDS: test_uds_updates.py

    def test_both_protocols_there_and_back(self):
        for protocol in ("plain", "header"):
            with self.subTest(protocol):
                device = self.new_device(csv=None)
                done = self.assert_updates(device, "ota_1", V130_APP, V130, "--protocol", protocol)
                self.assertIn("65664 bytes", done.out)
                self.assert_updates(device, "ota_0", V123_APP, V123, "--protocol", protocol)
                self.assertIn(f"update: started ({protocol}), writing ota_0", self.stop(device))
                device.path.unlink()

    def test_header_is_the_default(self):
        device = self.new_device()
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.assertIn("started (header)", self.stop(device))

    def test_can_fd(self):
        device = self.new_device(V123, "--fd")
        log = self.dir / "fd.log"
        self.assert_updates(device, "ota_1", V130_APP, V130, "--fd", "--log", log)
        frames = log.read_text().splitlines()
        longest = max(len(frame.split("##")[1]) for frame in frames if "##" in frame)
        self.assertEqual(longest, 1 + 2 * 64)  # candump: the flags and 64 bytes
        self.assertLess(len(frames), 65664 / 62 + 100)

    def test_send(self):
        device = self.new_device()
        done = self.send(V130)
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, "ota_1", V130_APP)

    # --- An exact multiple of 4095 ---

    def multiples(self):
        """One that ends there by itself, and one that padding makes as long."""
        exact = self.image("exact", 16 * FULL)
        padded = self.image("padded", 9008, padding=3 * FULL - 9008)
        return ((exact, "e2e exact"), (padded, "e2e padded"))

    def test_multiples_of_4095_by_flash_and_send(self):
        device = self.new_device(self.image("old"))
        slot = 1
        for image, app in self.multiples():
            self.assertEqual(image.stat().st_size % FULL, 0)
            for transfer in (lambda i: self.flash(i, "--protocol", "plain"), lambda i: self.flash(i), self.send):
                with self.subTest(app):
                    done = transfer(image)
                    self.assertEqual(done.code, 0, done)
                    self.assert_confirms(device, f"ota_{slot}", app)
                    self.assertTrue(self.region(device.path, f"ota_{slot}").startswith(image.read_bytes()))
                    slot = 1 - slot

    def test_multiples_of_4095_by_a_sender_that_appends_nothing(self):
        device = self.new_device(self.image("old"))
        bus = self.raw()
        for slot, (image, app) in zip((1, 0), self.multiples()):
            with self.subTest(app):
                bus.send_messages(image.read_bytes(), FULL)
                start = time.monotonic()
                self.assertEqual(bus.status(), (OK, image.stat().st_size))
                self.assertGreater(time.monotonic() - start, 0.9)  # a second of silence ended it
                self.assert_confirms(device, f"ota_{slot}", app)

    # --- Senders in the field ---

    def test_4095_byte_messages_from_a_sender_that_never_looks_at_a_status(self):
        device = self.new_device()
        bus = self.raw()
        bus.send_messages(V130.read_bytes(), FULL)
        self.assert_confirms(device, "ota_1", V130_APP)
        self.assertTrue(self.region(device.path, "ota_1").startswith(V130.read_bytes()))

    def test_2048_byte_messages_with_a_header_from_a_sender_that_never_looks_at_a_status(self):
        image = V130.read_bytes()
        transfer = struct.pack("<2sL2x", b"OT", len(image)) + image
        for first in (transfer[:2048], transfer[:8]):  # the header in the first message, and alone
            with self.subTest(len(first)):
                device = self.new_device()
                with raw_bus.RawBus(self.bus) as bus:
                    bus.send_message(first)
                    bus.send_messages(transfer[len(first):], 2048)
                    self.assert_confirms(device, "ota_1", V130_APP)
                self.stop(device)
                device.path.unlink()

    def test_a_header_transfer_of_whole_messages(self):
        image = self.image("whole", 2 * 2048 - 16, padding=8)
        device = self.new_device()
        bus = self.raw()
        bus.send_messages(struct.pack("<2sL2x", b"OT", image.stat().st_size) + image.read_bytes(), 2048)
        self.assertEqual(bus.status(), (OK, 2 * 2048 - 8))
        self.assert_confirms(device, "ota_1", "e2e whole")

    # --- Messages that do not belong to it ---

    def test_stray_messages_before(self):
        device = self.new_device(self.image("old"))
        bus = self.raw()
        slot = 1
        for stray in (b"\x00", b"\xE9", b"O", b"\x3E\x00", b"OT\x00"):
            for protocol in ("plain", "header"):
                with self.subTest((stray, protocol)):
                    bus.send_single(stray)
                    bus.all_sent()
                    name = f"{stray.hex()} {protocol}"
                    self.assert_updates(device, f"ota_{slot}", f"e2e {name}", self.image(name), "-P", protocol)
                    slot = 1 - slot

    def test_messages_after_the_end(self):
        image = self.image("new")
        header = struct.pack("<2sL2x", b"OT", image.stat().st_size)
        for begin in (b"", header):
            for after in (raw_bus.RawBus.send_single, raw_bus.RawBus.send_first):
                with self.subTest((begin, after)):
                    device = self.new_device(self.image("old"))
                    with raw_bus.RawBus(self.bus) as bus:
                        bus.send_messages(begin + image.read_bytes(), FULL)
                        after(bus, b"\x00" * 7)
                        self.assertEqual(bus.status(), (OK, image.stat().st_size))
                    self.assert_confirms(device, "ota_1", "e2e new")
                    self.stop(device)
                    device.path.unlink()

    # --- Settings ---

    def test_identifiers_of_29_bits(self):
        ids = ("-s", "18DA10F1", "-d", "18daf110")
        device = self.new_device(V123, *ids)
        self.assert_updates(device, "ota_1", V130_APP, V130, *ids)
        self.assertIn("18DA10F1, answering on 18DAF110", self.stop(device))

    def test_29_bits_are_another_identifier_than_11_bits(self):
        self.new_device(V123, "-s", "000007E0", "-d", "000007E8")
        self.assert_fails(self.run_tool("probe", self.channel()), 3, "flow control timeout")

    def test_other_identifiers_of_11_bits(self):
        device = self.new_device(V123, "--source", "1", "--destination", "7ff")
        self.assert_updates(device, "ota_1", V130_APP, V130, "--source", "001", "--destination", "7FF")

    def test_padding(self):
        device = self.new_device(self.image("old"), "--padding", "CC")
        bus = self.raw()
        self.assert_updates(device, "ota_1", "e2e 1", self.image("1"), "--padding", "00")
        frames = bus.frames_until_status()
        self.assertEqual({len(d) for _, d in frames}, {8})
        flow = [d for i, d in frames if i == 0x7E8]
        self.assertEqual({d[3:] for d in flow if d[0] >> 4 == raw_bus.FLOW}, {b"\xCC" * 5})
        single = self.image("2", 2 * FULL + 2 - (2 * FULL + 2) % 16)  # its last message is a short one
        self.assert_updates(device, "ota_0", "e2e 2", single, "-P", "plain")

    def test_block_size(self):
        device = self.new_device(self.image("old"), "--bs", "8")
        bus = self.raw()
        self.assert_updates(device, "ota_1", "e2e 1", self.image("1"))
        self.assert_updates(device, "ota_0", "e2e 2", self.image("2"), "-P", "plain")
        frames = bus.frames_until_status() + bus.frames_until_status()
        flow = [d for i, d in frames if i == 0x7E8 and d[0] == 0x30]
        self.assertEqual({d[1] for d in flow}, {8})
        data = sum(i == 0x7E0 and d[0] >> 4 == raw_bus.CONSECUTIVE for i, d in frames)
        self.assertGreaterEqual(len(flow), data // 8)

    def test_gaps_asked_for_by_either_side(self):
        image = self.image("1", 6000)
        frames = image.stat().st_size // 7
        for device_ms, host_ms in (("0.5", "0"), ("0", "0.5"), ("0.1", "0.5"), ("1", "0.2")):
            with self.subTest((device_ms, host_ms)):
                device = self.new_device(self.image("old"), "--stmin", device_ms)
                start = time.monotonic()
                self.assert_updates(device, "ota_1", "e2e 1", image, "--stmin", host_ms)
                least = (frames - 10) * max(float(device_ms), float(host_ms)) / 1000
                self.assertGreater(time.monotonic() - start, least)
                self.stop(device)
                device.path.unlink()

    def test_slow_flash_on_a_paced_bus(self):
        device = self.new_device(self.image("0", 20000), "--slow-flash", "1", bitrate=500000)
        self.assert_updates(device, "ota_1", "e2e 1", self.image("1", 20000))
        self.assert_updates(device, "ota_0", "e2e 2", self.image("2", 20000), "-P", "plain")  # here sectors are erased

    def test_flash_at_its_limits(self):
        device = self.new_device(self.image("old", 16000))
        self.assert_updates(device, "ota_1", "e2e 1", self.image("1", 16000))
        self.stop(device)
        device = self.device(device.path, "--slow-flash", "9")  # 0.4 s a sector
        self.assert_updates(device, "ota_0", "e2e 2", self.image("2", 16000))

    def test_a_paced_bus_takes_its_time(self):
        device = self.new_device(self.image("old"), bitrate=250000)
        image = self.image("1", 20000)
        start = time.monotonic()
        done = self.assert_updates(device, "ota_1", "e2e 1", image)
        self.assertGreater(time.monotonic() - start, 20000 / 7 * 108 / 250000)  # 108 bits are the shortest frame of 8
        seconds = float(re.search(r"in ([\d.]+) s", done.out)[1])
        self.assertGreater(seconds, 20000 / 7 * 108 / 250000)

    def test_the_bit_rate_from_the_environment(self):
        rate = {"CAN_BITRATE": "250000", "CAN_CHANNEL": f"virtual:{self.bus}"}
        path = self.create(self.image("old"))
        device = self.start("device", "--flash", path, env=rate)
        device.wait_for("^listening on ")
        done = self.run_tool(*self.FLASH, self.image("1"), env=rate)
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, "ota_1", "e2e 1")
        self.assert_fails(self.flash(V123, "-q", "-b", "500000"), 3, "already runs at 250000 bit/s")

    def test_a_device_that_comes_a_little_later(self):
        path = self.create(self.image("old"))
        flash = self.start(*self.FLASH, "-c", self.channel(), self.image("1"))
        flash.wait_for("for ESP32-C3", "stderr")
        device = self.device(path)
        self.assertEqual(flash.finish().code, 0)
        self.assert_confirms(device, "ota_1", "e2e 1")

    def test_two_devices_on_one_bus(self):
        one = self.new_device(self.image("old"))
        other = self.device(self.create(V123, name="other.bin"), "-s", "7E1", "-d", "7E9")
        self.assert_updates(one, "ota_1", "e2e 1", self.image("1"))
        self.assert_updates(other, "ota_1", V130_APP, V130, "-s", "7E1", "-d", "7E9")
        self.assertNotIn("ota_1", self.stop(other).split("7E9")[0])
        self.assertEqual(self.record(one.path).slot, 1)


if __name__ == "__main__":
    harness.main()
