#!/usr/bin/env python3
"""One UDS request by hand: to our device, and to a peer that does what ours never would."""
# SPDX-License-Identifier: Apache-2.0
import json
import signal

import harness


class Raw(harness.TestCase):
    def uds(self, *args, **options):
        return self.run_tool("raw", "-c", self.channel(), *args, **options)

    def peer(self, **options):
        """A node of ours on a bus that stays."""
        keeper = self.start("monitor", "-c", self.channel())
        keeper.wait_for("listening", "stderr")
        return self.raw(tx_id=0x7E8, rx_id=0x7E0, **options)

    def asked(self, node, *args):
        """The request that raw sends, and raw."""
        process = self.start("raw", "-c", self.channel(), *args)
        return node.next_frame(lambda can_id, _: can_id in (0x7E0, 0x7DF), "request"), process

    def test_our_device_answers(self):
        device = self.new_device()
        for words in (("22", "F197"), ("22F197",), ("22 f1", "97"), ("2", "2F197")):
            done = self.uds(*words)
            self.assertEqual(done, (0, "62 F1 97 63 61 6E 66 77 75 70 64 2D 67 6F 6C 64 65 6E\n"
                                       'positive: ReadDataByIdentifier F197 (systemNameOrEngineType): '
                                       '"canfwupd-golden"\n', ""))
        self.stop(device)

    def test_several_identifiers_at_once(self):
        device = self.new_device()
        done = self.uds("22", "F197", "F186", "1234", "FD02")
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertRegex(done.out, r'ReadDataByIdentifier F197 \(systemNameOrEngineType\): "canfwupd-golden"; F186 .*: default session; '
                                   r"FD02 \(running image\): slot 0, valid, digest [0-9A-F]{8}\.\.\.\n$")
        done = self.uds("22", "1234", "F186")  # the first one is left out
        self.assertEqual((done.code, done.out.splitlines()[0]), (0, "62 F1 86 01"))
        self.stop(device)

    def test_a_negative_response_is_exit_code_4_and_explained(self):
        device = self.new_device()
        done = self.uds("22", "12", "34")
        self.assertEqual((done.code, done.err), (4, ""))
        self.assertTrue(done.out.startswith("7F 22 31\nnegative: ReadDataByIdentifier: requestOutOfRange (31)\n"))
        answer = json.loads(self.uds("--json", "36", "01").out)
        self.assertEqual((answer["positive"], answer["data"], answer["nrc"]), (False, "7f367f", 0x7F))
        self.stop(device)

    def test_to_all(self):
        device = self.new_device()
        with self.raw(tx_id=0x7EA, rx_id=0x7E2) as node:
            process = self.start("raw", "-c", self.channel(), "--all", "22", "F190")
            node.next_frame(lambda can_id, _: can_id == 0x7DF, "functional request")
            node.send_message(bytes.fromhex("62F190") + b"ANOTHER0000000001")
            done = process.finish()
        self.assertEqual(done.code, 0, done)
        self.assertIn('7E8: 62 F1 90', done.out)
        self.assertIn('7EA: 62 F1 90', done.out)
        self.assertIn('"ANOTHER0000000001"', done.out)
        self.stop(device)

    def test_a_response_pending_is_waited_out(self):
        with self.peer() as node:
            request, process = self.asked(node, "--timeout", "300", "31", "01", "FF", "00")
            self.assertEqual(request, bytes.fromhex("043101FF00"))
            node.send_single(bytes.fromhex("7F3178"))
            process.wait_for("7E8 is still working on it", "stderr")
            node.send_single(bytes.fromhex("7F3278"))  # about another service
            node.send_single(bytes.fromhex("7101FF0000"))
            done = process.finish()
        self.assertEqual(done.code, 0, done)
        self.assertIn("RoutineControl start eraseMemory (FF00), status 00 (OK)", done.out)

    def test_long_requests_and_responses(self):
        with self.peer() as node:
            process = self.start("raw", "-c", self.channel(), "36 01" + " AA" * 8)
            node.next_frame(lambda can_id, data: can_id == 0x7E0 and data[0] == 0x10, "first frame")
            node.send_frame(bytes([0x30, 0, 0]))
            node.next_frame(lambda can_id, data: can_id == 0x7E0 and data[0] == 0x21, "the rest")
            node.send_message(bytes.fromhex("7601") + bytes(4093))
            done = process.finish()
        self.assertEqual(done.code, 0, done)
        self.assertEqual(len(done.out.splitlines()[0]), 4095 * 3 - 1)

    def test_nobody_answers(self):
        done = self.uds("--timeout", "50", "3E", "00")
        self.assert_fails(done, 3, r"raw: from 7E8: no response within 50 ms \(P2\)")
        self.assert_fails(self.uds("--timeout", "50", "--all", "3E", "00"), 3, r"raw: to 7DF: no response")
        done = self.uds("--timeout", "50", "--json", "3E", "00")
        self.assertEqual(json.loads(done.out)["exit"], 3)
        done = self.uds("--timeout", "50", "3E", "80")
        self.assertEqual((done.code, done.out), (0, ""))

    def test_what_is_no_request(self):
        for words, pattern in (((), "HEX is missing"), (("2",), "half a byte"), (("22", "F1G0"), "not hex digits"),
                               (("00" * 4096,), "more than 4095 bytes"), (("0x22",), "not hex digits")):
            self.assert_fails(self.uds(*words), 2, pattern)
        self.assert_fails(self.uds("--all", "00" * 8), 2, "single frame")

    def test_interrupted(self):
        with self.peer() as node:
            _, process = self.asked(node, "--timeout", "60000", "3E", "00")
            process.kill(signal.SIGINT)
            self.assert_fails(process.finish(), 1, "stopped by a signal")


if __name__ == "__main__":
    harness.main()
