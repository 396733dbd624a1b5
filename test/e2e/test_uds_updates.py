#!/usr/bin/env python3
"""Updates by UDS, end to end: whole, resumed after deaths of either side, rolled back, refused."""
# SPDX-License-Identifier: Apache-2.0
import json
import os
import random
import re
import signal
import zipfile

import harness
from harness import V123, V123_APP, V130, V130_APP

SEED = int(os.environ.get("TEST_SEED", "5"))
SECRET = "000102030405060708090a0b0c0d0e0f10111213"


def bytes_sent(log):
    """What the host sent, of all its messages, by a candump log: the transport's own bytes left out."""
    total = 0
    for line in log.read_text().splitlines():
        identifier, data = line.split()[2].split("#")
        if identifier != "7E0":
            continue
        kind = int(data[0], 16)
        total += {0: int(data[:2], 16), 1: len(data) // 2 - 2, 2: len(data) // 2 - 1}.get(kind, 0)
    return total


class UdsUpdates(harness.TestCase):
    RATE = 500000
    LENGTH = 65664

    def start_flash(self, image, percent, *args):
        """A flash process that has sent so much."""
        process = self.start("flash", "-c", self.channel(), *args, image)
        while int(process.wait_for(r": (\d+)% \(", "stderr")[1]) < percent:
            pass
        return process

    def test_a_whole_update(self):
        device = self.new_device()
        done = self.flash(V130)
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.out, r"1\.3\.0-golden")
        device.wait_for(r"^update: started \(uds\), writing ota_1$")
        self.assert_confirms(device, "ota_1", V130_APP)
        self.assert_updates(device, "ota_0", V123_APP, V123)
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.assert_runs(device, "ota_1", V130_APP)

    def test_the_same_firmware_again(self):
        device = self.new_device()
        self.assert_updates(device, "ota_1", V123_APP, V123)

    def test_every_addressing_and_can_fd(self):
        for args in (("-s", "18DA10F1", "-d", "18DAF110"), ("--fd",), ("-s", "123", "-d", "124", "--functional", "200"),
                     ("-p", "55")):
            with self.subTest(args):
                device = self.new_device(V123, *args)
                done = self.flash(V130, *args)
                self.assertEqual(done.code, 0, done)
                self.assert_confirms(device, "ota_1", V130_APP)
                self.stop(device)
                device.path.unlink()

    def test_slow_flash(self):
        device = self.new_device(self.image("0", 40000), "--slow-flash", "2")
        done = self.flash(self.image("1", 40000))
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, "ota_1", "e2e 1")

    def test_with_a_secret(self):
        key = self.file("a key.txt", SECRET)
        device = self.new_device(V123, "--key", key)
        done = self.flash(V130, "--key", key)  # waits for the delay after the start
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, "ota_1", V130_APP)

    def test_without_the_secret(self):
        device = self.new_device(V123, "--key", self.file("key.txt", SECRET))
        done = self.flash(V130)
        self.assert_fails(done._replace(err=done.err.splitlines()[-1] + "\n"), 4, "--key")
        self.assert_runs(device, "ota_0", V123_APP)

    # --- Interrupted and resumed ---

    def resumed(self, kill, rate=500000):
        """A transfer that is killed at 10 random points, each time with a new device: bytes sent < 1.2 x image."""
        print(f"repeat with: TEST_SEED={SEED}")
        chance = random.Random(SEED)
        image = self.image("1", self.LENGTH)
        flash = self.create(self.image("0", self.LENGTH)).read_bytes()
        path = self.dir / "flash.bin"
        for number in range(10):
            percent = chance.randrange(3, 97)
            with self.subTest((number, percent)):
                self._end_processes()  # of one that failed
                path.write_bytes(flash)
                device = self.device(path, bitrate=rate)
                logs = [self.dir / f"{number} {part}.log" for part in "ab"]
                first = self.start_flash(image, percent, "--log", logs[0])
                device = kill(device, first)
                done = self.flash(image, "--log", logs[1]) if device else first.finish()
                self.assertEqual(done.code, 0, done)
                device = device or self.processes[-1]
                if "running partition: ota_1\n" not in device.lines["stdout"]:  # killed so late that it booted this
                    self.assert_confirms(device, "ota_1", "e2e 1")
                sent = sum(bytes_sent(log) for log in logs if log.exists())
                self.assertLess(sent, 1.2 * len(image.read_bytes()), (number, percent))
                self.stop(device)

    def test_a_host_that_is_killed(self):
        def kill(device, process):
            process.kill()
            process.finish()
            return device
        self.resumed(kill)

    def test_a_host_that_is_stopped(self):
        def kill(device, process):
            process.kill(signal.SIGINT)
            done = process.finish()
            self.assertEqual(done.code, 6, done)
            self.assertRegex(done.err.splitlines()[-1], "resume")
            return device
        self.resumed(kill)

    def test_a_device_that_loses_power_and_comes_back(self):
        def kill(device, _):
            path = device.path
            device.kill()
            device.finish()
            self.device(path, bitrate=self.RATE).path = path
            return None  # the host is still there, and waits for it
        self.resumed(kill)

    def test_a_device_that_does_not_come_back(self):
        device = self.new_device(self.image("0", self.LENGTH), bitrate=self.RATE)
        image = self.image("1", self.LENGTH)
        process = self.start_flash(image, 40)
        device.kill()
        device.finish()
        done = process.finish(90)
        self.assertEqual(done.code, 6, done)
        device = self.device(device.path, bitrate=self.RATE)
        self.assertEqual(self.flash(image).code, 0)
        self.assert_confirms(device, "ota_1", "e2e 1")

    # --- Rolled back ---

    def test_firmware_that_fails_its_self_test(self):
        device = self.new_device(V123, "--fail-self-test")
        done = self.flash(V130)
        self.assertEqual(done.code, 7, done)
        self.assertRegex(done.err.splitlines()[-1], "old firmware")
        self.assert_boots(device, "ota_1", V130_APP)
        device.wait_for("^self-test: FAILED")
        self.assert_boots(device, "ota_0", V123_APP)

    # --- Refused ---

    def refused(self, done, code, pattern):
        self.assertEqual(done.code, code, done)
        self.assertEqual(done.out, "")
        self.assertRegex(done.err.splitlines()[-1], pattern)

    def test_another_chip(self):
        device = self.new_device()
        before = self.region(device.path, "ota_1")
        self.refused(self.flash(harness.VECTORS / "image" / "app_c6.bin"), 4, "chip")
        self.assertEqual(self.region(device.path, "ota_1"), before)
        self.assert_runs(device, "ota_0", V123_APP)

    def test_another_project(self):
        device = self.new_device(V123, "--project", "canfwupd-golden")
        self.refused(self.flash(self.image("1")), 4, "project")
        self.assert_runs(device, "ota_0", V123_APP)

    def test_an_older_security_version(self):
        device = self.new_device(V123, "--efuse", self.dir / "efuse")
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.refused(self.flash(harness.VECTORS / "image" / "app_c3_v110_oldsec.bin"), 4, "secure version")
        self.assert_runs(device, "ota_1", V130_APP)

    def test_more_than_the_slot_holds(self):
        csv = self.file("small.csv", "otadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,64K\nota_1,app,ota_1,,64K\n")
        device = self.new_device(self.image("0"), csv=csv)
        self.refused(self.flash(V130), 4, "slot")
        self.assert_runs(device, "ota_0", "e2e 0")

    def test_nobody(self):
        self.refused(self.flash(V130), 3, "answer")

    def test_a_damaged_file(self):
        damaged = bytearray(V130.read_bytes())
        damaged[40000] ^= 1
        self.refused(self.flash(self.file("damaged.bin", bytes(damaged))), 5, "Nothing was sent")

    # --- For scripts ---

    def test_json(self):
        device = self.new_device()
        done = self.flash(V130, "--json")
        self.assertEqual((done.code, done.err), (0, ""))
        events = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual(events[-1]["event"], "done")
        self.assertEqual(events[-1]["exit"], 0)
        self.assert_confirms(device, "ota_1", V130_APP)
        done = self.flash(harness.VECTORS / "image" / "app_c6.bin", "--json")
        events = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual((events[-1]["event"], events[-1]["exit"], done.code), ("failed", 4, 4))
        self.assertRegex(events[-1]["reason"], "chip")

    def test_a_report(self):
        key = self.file("key.txt", SECRET)
        device = self.new_device()
        bundle, folder = self.dir / "a report.zip", self.dir / "a folder of reports"
        done = self.flash(V130, "--report", bundle, "--key", key)
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, "ota_1", V130_APP)
        with zipfile.ZipFile(bundle) as z:
            self.assertIsNone(z.testzip())
            files = {name: z.read(name) for name in z.namelist()}
        names = {"report.txt", "output.txt", "trace.txt", "profile.txt", "bus.pcap", "bus.log"}
        self.assertEqual(set(files), names)
        self.assertRegex(files["report.txt"].decode(), r"(?s)command: isotp-ota flash .*exit code: 0")
        self.assertRegex(files["trace.txt"].decode(), r"(?s)RequestDownload, 65664 bytes.*ECUReset")
        self.assertRegex(files["output.txt"].decode(), "restarting")
        self.assertFalse([name for name, content in files.items() if bytes.fromhex(SECRET) in content])
        done = self.flash(harness.VECTORS / "image" / "app_c6.bin", "--report", folder)
        self.assertEqual(done.code, 4, done)
        self.assertEqual({p.name for p in folder.iterdir()}, names)
        self.assertRegex((folder / "report.txt").read_text(), "exit code: 4\noutcome: refused")
        self.refused(self.flash(V123, "--report", self.dir / "no" / "such.zip"), 1, "such.zip")
        self.assert_runs(device, "ota_1", V130_APP)

    def test_the_standard_s_profile(self):
        device = self.new_device()
        self.assert_updates(device, "ota_1", V130_APP, V130, "--profile", "standard")
        shown = self.run_tool("flash", "--profile", "standard", "--show-profile")
        self.assertEqual((shown.code, shown.err), (0, ""))
        self.assert_updates(device, "ota_0", V123_APP, V123, "--profile", self.file("a profile.txt", shown.out))


if __name__ == "__main__":
    harness.main()
