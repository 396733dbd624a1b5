#!/usr/bin/env python3
"""Transfers that break off: signals, kills, power cuts, a bus that goes away. Old or new boots, never neither."""
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import signal
import socket
import struct

import harness
import raw_bus
from harness import V123, V123_APP, V130, V130_APP

SO_PEERCRED = 17


class Interruptions(harness.TestCase):
    FLASH = ("flash", "-P", "header")  # UDS: test_uds_updates.py

    LENGTH = 20000  # 0.75 s at this rate
    RATE = 500000

    def start_transfer(self, image, percent, *args):
        """A flash process that has sent so much."""
        process = self.start(*self.FLASH, "-c", self.channel(), *args, image)
        while int(process.wait_for(r": (\d+)% \(", "stderr")[1]) < percent:
            pass
        return process

    # --- The sender ---

    def test_a_killed_sender_and_a_new_transfer(self):
        for protocol in ("plain", "header"):
            device = self.new_device(self.image("0", self.LENGTH), bitrate=self.RATE)
            for percent in (10, 40, 80):
                with self.subTest((protocol, percent)):
                    name = f"{protocol} {percent}"
                    image = self.image(name, self.LENGTH)
                    killed = self.start_transfer(image, percent, "-P", protocol)
                    killed.kill()
                    killed.finish()
                    done = self.flash(image, "-P", protocol)
                    self.assertEqual(done.code, 0, done)
                    device.wait_for(f"^app: e2e {name}$")
                    # On a machine that is busy with something else the kill may come after the last frame; then
                    # it was two updates.
                    slot = re.findall("update: complete, .* in ota_(.)", device.text("stdout"))[-1]
                    device.wait_for(f"^self-test: passed, ota_{slot} is confirmed")
                    self.assertTrue(self.region(device.path, f"ota_{slot}").startswith(image.read_bytes()))
            self.stop(device)
            device.path.unlink()

    def test_a_killed_sender_and_no_new_transfer(self):
        device = self.new_device(V123, bitrate=self.RATE)
        killed = self.start_transfer(V130, 30)
        killed.kill()
        killed.finish()
        device.wait_for("^update: failed after .* ota_0 stays$")
        self.assert_runs(device, "ota_0", V123_APP)

    def test_a_new_transfer_in_the_other_protocol(self):
        device = self.new_device(V123, bitrate=self.RATE)
        for slot, first, then in ((1, "plain", "header"), (0, "header", "plain")):
            with self.subTest((first, then)):
                killed = self.start_transfer(V130, 20, "-P", first)
                killed.kill()
                killed.finish()
                self.assert_updates(device, f"ota_{slot}", "e2e x", self.image("x"), "-P", then)

    def test_signals(self):
        device = self.new_device(V123, bitrate=self.RATE)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                process = self.start_transfer(V130, 20)
                process.kill(number)
                done = process.finish()
                self.assertEqual((done.code, done.out), (1, ""))
                self.assertRegex(done.err.splitlines()[-1],
                                 r"^isotp-ota: .*stopped by a signal after \d+ of \d+ bytes; the device runs what it ran")
        self.assert_runs(device, "ota_0", V123_APP)

    def test_signals_end_a_device(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            device = self.new_device()
            device.kill(number)
            self.assertEqual(device.finish().code, 0)
            device.path.unlink()

    # --- The device ---

    def test_a_killed_device_and_a_new_transfer(self):
        for percent in (10, 50):
            with self.subTest(percent):
                device = self.new_device(V123, bitrate=self.RATE)
                flash = self.start_transfer(V130, percent)
                device.kill()
                device.finish()
                done = flash.finish()
                self.assertEqual((done.code, done.out), (1, ""))
                self.assertRegex(done.err.splitlines()[-1], r"^isotp-ota: .*the device stopped answering after \d+ of")
                device = self.assert_runs(device, "ota_0", V123_APP)
                self.assert_updates(device, "ota_1", V130_APP, V130)
                self.stop(device)
                device.path.unlink()

    def test_a_device_that_restarts_during_a_transfer(self):
        device = self.new_device(V123, bitrate=self.RATE)
        flash = self.start_transfer(V130, 20)
        device = self.assert_runs(device, "ota_0", V123_APP)  # killed, and back before the sender gives up
        done = flash.finish()
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertRegex(done.err.splitlines()[-1], r"^isotp-ota: .*(Did it restart\?|the device stopped answering)")
        self.assert_updates(device, "ota_1", V130_APP, V130)

    def cut(self, image, n):
        """An update with the power cut in flash operation n; False: there were not so many operations."""
        path = self.create(self.image("old"), name=f"cut {n}.bin")
        device = self.start("device", "--flash", path, "-c", self.channel(), "--cut-power", n)
        device.path = path
        cut = bool(device.wait_for(f"^(power cut in flash operation {n}$)|^listening")[1])
        if not cut:
            flash = self.start(*self.FLASH, "-q", "-c", self.channel(), image)
            cut = bool(device.wait_for(f"^(power cut in flash operation {n}$)|^self-test: passed, ota_1")[1])
            flash.kill(signal.SIGINT)  # so that it need not wait for a status that will not come
            self.assertIn(flash.finish().code, (0, 1))
        if cut:
            self.assertEqual(device.finish().code, 0)
        device.finish_now()
        told = json.loads(self.run_tool("info", "--json", path).out)["boot"]
        self.assertIn(told["slot"], ("ota_0", "ota_1"))
        app = "e2e old" if told["slot"] == "ota_0" else "e2e new"
        device = self.assert_runs(device, told["slot"], app)
        other = "ota_1" if told["slot"] == "ota_0" else "ota_0"
        self.assert_updates(device, other, "e2e again", self.image("again"))
        self.stop(device)
        path.unlink()
        return cut, told["slot"]

    def test_power_cuts(self):
        image = self.image("new", 4048)  # 16 pages
        outcomes = {}
        for n in (1, 3, 4, 5, 12, *range(19, 40)):  # from the last page to the end, each one
            with self.subTest(n):
                cut, outcomes[n] = self.cut(image, n)
                if not cut:
                    break
        self.assertFalse(cut)  # the last one was behind the last operation
        before = [slot for n, slot in outcomes.items() if n <= 3 + 16]  # the start of the old one, and the pages
        self.assertEqual(set(before), {"ota_0"})
        self.assertEqual(outcomes[n], "ota_1")  # between: one on trial that loses its power gives way to the old one

    def test_a_device_without_power_says_nothing(self):
        path = self.create(self.image("old"))
        device = self.start("device", "--flash", path, "-c", self.channel(), "--cut-power", "10")
        device.wait_for("^listening")
        bus = self.raw()
        flash = self.start(*self.FLASH, "-q", "-c", self.channel(), self.image("new", self.LENGTH))
        device.wait_for("^power cut in flash operation 10$")
        self.assert_fails(flash.finish(), 1, "the device stopped answering")
        frames = bus.frames_until(lambda i, d: i == 0x7E0 and d[0] >> 4 == raw_bus.FIRST, "first frame")
        while bus.frames:
            frames.append(bus.frames.pop(0))
        self.assertNotIn(b"\x07OT", [d[:3] for i, d in frames if i == 0x7E8])

    def test_power_cuts_while_starting(self):
        path = self.create()
        for n in (1, 2, 3):
            done = self.run_tool("device", "--flash", path, "-c", self.channel(), "--cut-power", n)
            self.assertEqual((done.code, done.err), (0, ""))
            self.assertEqual(done.out.splitlines()[-1], f"power cut in flash operation {n}")
        device = self.device(path)
        self.assertIn("running partition: ota_0", self.stop(device))

    # --- The bus ---

    def hub(self):
        """The process id of the bus."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(raw_bus.address(self.bus))
            return struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, SO_PEERCRED, 12))[0]

    def test_a_bus_that_goes_away_and_comes_back(self):
        device = self.new_device(V123)
        hub = self.hub()
        self.assertNotIn(hub, (os.getpid(), device.popen.pid))
        os.kill(hub, signal.SIGKILL)
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.assertEqual(self.stop(device).count("listening"), 1)

    def test_a_bus_that_goes_away_during_a_transfer(self):
        device = self.new_device(V123, bitrate=self.RATE)
        flash = self.start_transfer(V130, 20)
        os.kill(self.hub(), signal.SIGKILL)
        done = flash.finish()
        self.assertIn(done.code, (1, 3))
        device.wait_for("^update: failed")
        self.assert_updates(device, "ota_1", V130_APP, V130)

    def test_a_bus_that_cannot_be_opened_again_at_once(self):
        device = self.new_device(V123)
        device.kill(signal.SIGSTOP)
        os.kill(self.hub(), signal.SIGKILL)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as mute:  # a hub that does not answer
            harness.wait_until(lambda: not raw_bus.exists(self.bus), "the hub ends")
            mute.bind(raw_bus.address(self.bus))
            mute.listen()
            mute.settimeout(harness.TIMEOUT)
            device.kill(signal.SIGCONT)
            with mute.accept()[0] as node:
                node.settimeout(harness.TIMEOUT)
                self.assertEqual(node.recv(100)[:8], b"isotpbus")
                self.assertEqual(node.recv(100), b"")  # it gave up
        self.assert_updates(device, "ota_1", V130_APP, V130)

    def test_nothing_is_left_behind(self):
        device = self.new_device(V123)
        hub = self.hub()
        self.flash(V130)
        self.assert_confirms(device, "ota_1", V130_APP)
        self.stop(device)
        harness.wait_until(lambda: not raw_bus.exists(self.bus), "the hub ends")

        def gone():
            try:  # who inherits processes that lost their parent may be slow to collect them
                with open(f"/proc/{hub}/stat") as stat:
                    return stat.read().rpartition(")")[2].split()[0] == "Z"
            except FileNotFoundError:
                return True

        harness.wait_until(gone, "the hub's process ends")
        self.assertEqual([p.name for p in self.dir.iterdir()], ["flash.bin"])


if __name__ == "__main__":
    harness.main()
