#!/usr/bin/env python3
"""Who answers on a bus, and what is said about each."""
# SPDX-License-Identifier: Apache-2.0
import json
import threading
import time

import harness
import raw_bus
from harness import V123_APP


class Scan(harness.TestCase):
    def scan(self, *args):
        return self.run_tool("scan", "-c", self.channel(), *args)

    def keep_bus(self):
        keeper = self.start("monitor", "-c", self.channel())
        keeper.wait_for("listening", "stderr")

    def answering(self, can_id, answers, tx_id=0x7E8, rx_id=0x7E0):
        """A node that answers single frames out of a table until the test ends."""
        node = raw_bus.RawBus(self.bus, tx_id=tx_id, rx_id=rx_id)
        over = threading.Event()

        def run():
            while not over.is_set():
                node._read(0.02)
                while node.frames:
                    to, data = node.frames.pop(0)
                    answer = answers(bytes(data[1:1 + data[0]])) if to == can_id and data[0] < 8 else None
                    if answer:
                        node.send_single(answer)

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(node.socket.close)
        self.addCleanup(thread.join)
        self.addCleanup(over.set)

    def test_nobody_is_found_soon(self):
        for args in ((), ("--extended",), ("--range", "600-6FF")):
            begun = time.monotonic()
            self.assert_fails(self.scan(*args), 3, "nobody answers TesterPresent")
            self.assertLess(time.monotonic() - begun, 10)  # 0.2 s on an idle machine

    def test_our_device_with_its_slots(self):
        device = self.new_device()
        done = self.scan()
        self.assertEqual((done.code, done.err), (0, ""))
        lines = done.out.splitlines()
        self.assertEqual(lines[0], f"7E0 -> 7E8  {V123_APP}")
        self.assertTrue(any(line.startswith("    slot 0   valid") and line.endswith(f"{V123_APP}, runs")
                            for line in lines), done.out)
        self.assertTrue(any("slot 1" in line and "the next update goes here" in line for line in lines), done.out)
        found = [json.loads(line) for line in self.scan("--json").out.splitlines()]
        self.assertEqual([(d["source"], d["destination"]) for d in found], [("7E0", "7E8")])
        self.assertEqual([(s["runs"], s["next"]) for s in found[0]["slots"]], [(True, False), (False, True)])
        self.assertEqual(found[0]["slots"][0]["version"], "1.2.3-golden")
        self.stop(device)

    def test_29_bit_devices(self):
        device = self.new_device(harness.V123, "-s", "18DA10F1", "-d", "18DAF110")
        for args in (("--extended",), ("-s", "18DA10F1", "-d", "18DAF110")):
            done = self.scan(*args)
            self.assertEqual(done.out.splitlines()[0], f"18DA10F1 -> 18DAF110  {V123_APP}")
        self.stop(device)

    def test_other_devices_say_what_they_can(self):
        def ecu(request):
            if request == b"\x3E\x00":
                return b"\x7E\x00"
            if request == bytes.fromhex("22F195"):
                return bytes.fromhex("62F195") + b"7.1"
            return b"\x7F" + request[:1] + b"\x31"

        self.keep_bus()
        self.answering(0x7E3, ecu, 0x7EB, 0x7E3)
        self.answering(0x640, lambda request: b"\x7F" + request[:1] + b"\x11", 0x648, 0x640)
        done = self.scan()
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(done.out, '7E3 -> 7EB\n    F195 systemSupplierECUSoftwareVersionNumber: "7.1"\n')
        done = self.scan("--range", "600-6FF")
        self.assertEqual((done.code, done.out), (0, "640 -> 648\n"))

    def test_one_that_only_says_hello_does_not_hold_it_up(self):
        self.keep_bus()
        self.answering(0x7E0, lambda request: b"\x7E\x00" if request[0] == 0x3E else None)
        begun = time.monotonic()
        done = self.scan()
        self.assertEqual((done.code, done.out), (0, "7E0 -> 7E8\n"))
        self.assertLess(time.monotonic() - begun, 10)

    def test_options_that_make_no_sense(self):
        for args in (("--range", "600"), ("--range", "6FF-600"), ("--range", "7F0-7FF"), ("--range", "600-6FFx")):
            self.assert_fails(self.scan(*args), 2, "--range")
        self.assert_fails(self.scan("--extended", "--range", "600-6FF"), 2, "11-bit")


if __name__ == "__main__":
    harness.main()
