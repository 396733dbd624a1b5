#!/usr/bin/env python3
"""A capture of a whole update, as tshark reads it: no message malformed or incomplete, and what each one says."""
# SPDX-License-Identifier: Apache-2.0
import struct
import subprocess
from collections import namedtuple

import harness

DISSECT = ("-d", "can.subdissector,iso15765", "-d", "iso15765.subdissector,uds")
HEALTHY = "_ws.malformed || (iso15765.message_type==1 && !iso15765.reassembled.in)"
FIELDS = {"can_id": "can.id", "reply": "uds.reply", "sid": "uds.sid", "err_sid": "uds.err.sid",
          "err_code": "uds.err.code", "counter": "uds.td.block_sequence_counter", "rid": "uds.rc.identifier",
          "size": "uds.rd.memory_size", "length": "iso15765.reassembled.length"}
NEGATIVE = 0x3F


Message = namedtuple("Message", FIELDS)


class Tshark(harness.TestCase):
    def tshark(self, path, *args):
        run = subprocess.run(["tshark", "-2", "-r", str(path), *DISSECT, *args], env=self.env, capture_output=True,
                             timeout=harness.TIMEOUT, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)  # as root it also warns there
        return run.stdout.decode().splitlines()

    def messages(self, path):
        wanted = [x for name in FIELDS.values() for x in ("-e", name)]
        lines = self.tshark(path, "-Y", "uds", "-T", "fields", "-E", "separator=|", *wanted)
        return [Message(*(int(v, 0) if v else None for v in line.split("|"))) for line in lines]

    def assert_healthy(self, path):
        self.assertEqual(self.tshark(path, "-Y", HEALTHY, "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info"), [])

    def update(self, bus, image):
        """By a tester that does everything at once."""
        def ask(request):
            bus.send_message(request)
            while True:
                answer = bus.next_frame(lambda i, d: i == bus.rx_id and d[0] < 8, "response")
                if not (answer[1] == 0x7F and answer[3] == 0x78):
                    return answer[1:1 + answer[0]]

        self.assertEqual(ask(b"\x10\x02")[:2], b"\x50\x02")
        self.assertEqual(ask(b"\x36\x01wrong"), b"\x7F\x36\x24")
        size = struct.unpack(">H", ask(b"\x34\x00\x44" + bytes(4) + struct.pack(">L", len(image)))[2:])[0] - 2
        for n, at in enumerate(range(0, len(image), size), 1):
            self.assertEqual(ask(bytes([0x36, n]) + image[at:at + size]), bytes([0x76, n]))
            bus.send_frame(b"\x02\x3E\x80", 0x7DF)
        for request in (b"\x37", b"\x31\x01\x02\x02", b"\x31\x01\xFF\x01", b"\x11\x01"):
            self.assertEqual(ask(request)[0], request[0] | 0x40)
        return -(-len(image) // size)

    def check(self, path, image_len, blocks):
        self.assert_healthy(path)
        messages = self.messages(path)
        requests = [m for m in messages if m.reply == 0 and m.can_id == 0x7E0]
        self.assertEqual([m.sid for m in requests],
                         [0x10, 0x36, 0x34, *[0x36] * blocks, 0x37, 0x31, 0x31, 0x11])
        data = [m for m in requests if m.sid == 0x36][1:]
        self.assertEqual([m.counter for m in data], list(range(1, blocks + 1)))
        self.assertEqual(sum(m.length - 2 for m in data), image_len)
        self.assertEqual([m.size for m in requests if m.sid == 0x34], [image_len])
        self.assertEqual([m.rid for m in requests if m.sid == 0x31], [0x0202, 0xFF01])
        answers = [m for m in messages if m.can_id == 0x7E8]
        refused = [(m.err_sid, m.err_code) for m in answers if m.sid == NEGATIVE and m.err_code != 0x78]
        self.assertEqual(refused, [(0x36, 0x24)])
        accepted = [m.sid for m in answers if m.sid != NEGATIVE]
        self.assertEqual(accepted, [0x10, 0x34, *[0x36] * blocks, 0x37, 0x31, 0x31, 0x11])
        kept = [m for m in messages if m.can_id == 0x7DF]
        self.assertEqual([m.sid for m in kept], [0x3E] * blocks)

    def test_what_the_device_wrote(self):
        image = self.image("new", 20000).read_bytes()
        for suffix in ("pcap", "log"):
            with self.subTest(suffix):
                path = self.dir / f"update.{suffix}"
                device = self.new_device(self.image("old"), "--log", path)
                with harness.raw_bus.RawBus(self.bus) as bus:
                    blocks = self.update(bus, image)
                    self.assert_confirms(device, "ota_1", "e2e new")
                self.stop(device)
                device.path.unlink()
                self.check(path, len(image), blocks)

    def test_what_flash_wrote(self):
        image = self.image("new", 20000)
        blocks = -(-len(image.read_bytes()) // 4093)
        device = self.new_device(self.image("old"))
        for suffix in ("pcap", "log"):
            with self.subTest(suffix):
                path = self.dir / f"flash.{suffix}"
                done = self.flash(image, "--log", path, "--no-resume")
                self.assertEqual(done.code, 0, done)
                self.assert_healthy(path)
                messages = self.messages(path)
                requests = [m.sid for m in messages if m.reply == 0 and m.can_id == 0x7E0]
                begin = requests.index(0x27)
                self.assertEqual(requests[begin - 1:begin + 7 + blocks],
                                 [0x10, 0x27, 0x2E, 0x34, *[0x36] * blocks, 0x37, 0x31, 0x31, 0x11])
                self.assertEqual(set(requests[:begin - 1]), {0x22, 0x10, 0x31})
                self.assertEqual(set(requests[begin + 7 + blocks:]), {0x22})
                self.assertEqual([m for m in messages if m.sid == NEGATIVE], [])
                quiet = [m.sid for m in messages if m.can_id == 0x7DF and m.sid != 0x3E]
                self.assertEqual(quiet, [0x10, 0x85, 0x28, 0x10])
        self.stop(device)

    def test_what_flash_wrote_of_an_update_that_broke_off(self):
        image, path = self.image("new", 40000), self.dir / "resumed.pcap"
        device = self.new_device(self.image("old"), bitrate=500000)
        flash = self.start("flash", "-c", self.channel(), "--log", path, image)
        flash.wait_for(r": 50% \(", "stderr")
        device.kill()
        device.finish()
        device = self.device(device.path, bitrate=500000)
        self.assertEqual(flash.finish().code, 0)
        self.stop(device)
        # The one message that the device did not hear to its end is complete on the bus all the same.
        self.assert_healthy(path)

    def test_a_broken_message_would_be_seen(self):
        path = self.dir / "broken.log"
        device = self.new_device(self.image("old"), "--log", path)
        with harness.raw_bus.RawBus(self.bus) as bus:
            bus.send_message(b"\x22" + bytes(20), stop_after=1)
            bus.send_message(b"\x3E\x00")
            bus.next_frame(lambda i, d: d[1:2] == b"\x7E", "response")
        self.stop(device)
        lines = self.tshark(path, "-Y", HEALTHY, "-T", "fields", "-e", "_ws.col.Info")
        self.assertEqual(len(lines), 1, lines)


if __name__ == "__main__":
    harness.need("tshark")
    harness.main()
