#!/usr/bin/env python3
"""What monitor says about a bus and about logs of it."""
# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import signal
import subprocess

import harness
from harness import V130

EXCHANGE = """\
(1712230262.000000) can0 7E0#021003
(1712230262.002500) can0 7E8#065003003201F4 R
(1712230262.010000) can0 7E0#0322F195
(1712230262.011000) can0 7E8#037F2278
(1712230262.500000) can0 7E8#100562F19531
(1712230262.600000) can0 7E8#0762F195312E3233
(1712230262.700000) can0 7E0#1010360100000000
(1712230262.701000) can0 7E8#320000
"""


class Monitor(harness.TestCase):
    def monitor(self, *args, **options):
        return self.run_tool("monitor", *args, **options)

    def live(self, *args):
        """A monitor that listens."""
        process = self.start("monitor", "-c", self.channel(), *args)
        process.wait_for("listening", "stderr")
        return process

    def interrupt(self, process):
        process.kill(signal.SIGINT)
        done = process.finish()
        self.assertEqual(done.code, 0, done)
        return done.out

    def test_a_log_in_words(self):
        done = self.monitor(self.file("a.log", EXCHANGE))
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(done.out, """\
   0.000000  7E0  DiagnosticSessionControl extended session
   0.002500  7E8  positive: DiagnosticSessionControl extended session, P2 50 ms, P2* 5000 ms  (2.5 ms)
   0.010000  7E0  ReadDataByIdentifier F195 (systemSupplierECUSoftwareVersionNumber)
   0.011000  7E8  negative: ReadDataByIdentifier: requestCorrectlyReceived-ResponsePending (78)  (1.0 ms)
   0.500000  7E8  ! a frame that is none of ISO-TP
   0.600000  7E8  positive: ReadDataByIdentifier F195 (systemSupplierECUSoftwareVersionNumber): "1.23"  \
(590.0 ms, 1 x 78 before)
   0.701000  7E8  flow control: OVFLW, too long or not wanted
   0.701000  7E0  ! broken off after 6 of 16 bytes: refused by OVFLW (N_BUFFER_OVFLW)
""")

    def test_json_and_frames(self):
        done = self.monitor("--json", "--frames", self.file("a.log", EXCHANGE))
        self.assertEqual((done.code, done.err), (0, ""))
        lines = [json.loads(line) for line in done.out.splitlines()]
        self.assertEqual(len([e for e in lines if e["event"] == "frame"]), 8)
        self.assertEqual(lines[0], {"event": "frame", "time_us": 1712230262000000, "id": "7E0", "fd": False,
                                    "data": "021003", "text": "single frame, 2 bytes"})
        answer = [e for e in lines if e["event"] == "message"][-1]
        self.assertEqual((answer["data"], answer["response_ms"], answer["pending"]), ("62f195312e3233", 590.0, 1))
        self.assertEqual([e["event"] for e in lines][-2:], ["flow", "broken"])

    def test_standard_input(self):
        path = self.file("a.log", EXCHANGE)
        with open(path, "rb") as stdin:
            done = self.monitor("--frames", "-", stdin=stdin)
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertIn("   0.701000  7E8  [3] 32 00 00  flow control: OVFLW\n", done.out)

    def test_files_that_are_no_logs(self):
        self.assert_fails(self.monitor(self.dir / "none.log"), 1, "none.log: No such file")
        self.assert_fails(self.monitor(self.file("empty.log", "")), 1, "no frames")
        self.assert_fails(self.monitor(V130), 1, "neither a log of candump")
        self.assert_fails(self.monitor("a", "b"), 2, "one argument too many")
        done = self.monitor(self.file("b.log", EXCHANGE.replace("7E8#037F2278", "7E8#037F227")))
        self.assertEqual(done.code, 1)
        self.assertIn("b.log:4: data '7'", done.err)

    def test_every_format_says_the_same(self):
        said = {}
        device = self.new_device()
        for suffix in ("log", "pcap", "asc"):
            path = self.dir / f"update.{suffix}"
            self.assertEqual(self.flash(self.image(suffix), "-q", "-P", "header", "--log", path).code, 0)
            device.wait_for("^self-test: passed")
            done = self.monitor(path)
            self.assertEqual((done.code, done.err), (0, ""))
            said[suffix] = re.sub(r"^ *[0-9.]+|  \[[0-9.]+ ms, [0-9.]+ kB/s\]$", "", done.out, flags=re.M)
        self.assertIn("header: a transfer of 9008 bytes begins", said["log"])
        self.assertIn("status: 00 OK, 9008 bytes", said["log"])
        self.assertEqual(said["log"], said["pcap"])
        self.assertEqual(said["log"], said["asc"])
        self.stop(device)

    def test_a_live_bus_until_interrupted(self):
        monitor = self.live()
        device = self.new_device()
        self.assert_updates(device, "ota_1", "e2e live", self.image("live"), "-P", "header")
        monitor.wait_for("status: 00 OK, 9008 bytes of the image received")
        self.stop(device)
        self.assertIn("header: a transfer of 9008 bytes begins", self.interrupt(monitor))

    def test_a_message_that_stops_is_reported_while_the_bus_is_silent(self):
        monitor = self.live("--json")
        with self.raw() as node:
            node.send_frame(bytes([0x10, 0x20, 0x36, 1, 2, 3, 4, 5]))
            node.all_sent()
            broken = json.loads(monitor.wait_for("broken").string)
        self.assertIn("no flow control for 1 s", broken["text"])
        self.interrupt(monitor)

    def test_a_reader_that_has_enough(self):
        path = self.file("long.log", EXCHANGE * 3000)
        process = subprocess.Popen([harness.PROGRAM, "monitor", "--frames", str(path)], env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertIn(b"7E0", process.stdout.readline())
        process.stdout.close()
        self.assertEqual((process.wait(harness.TIMEOUT), process.stderr.read()), (0, b""))
        process.stderr.close()

    def test_a_full_disk_is_an_error(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "wb") as full:
            done = self.monitor(self.file("a.log", EXCHANGE), stdout=full)
        self.assertEqual(done.code, 1)
        self.assertIn("standard output", done.err)


if __name__ == "__main__":
    harness.main()
