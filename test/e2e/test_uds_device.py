#!/usr/bin/env python3
"""The device against its documentation: what a tester that knows docs/PROTOCOL.md only, and obeys nothing, may see."""
# SPDX-License-Identifier: Apache-2.0
import hashlib
import hmac
import struct
import time

import harness
import raw_bus
import raw_uds
from harness import V123, V130, V130_APP

SECRET = bytes(range(20))
SMALL_SLOTS = """
otadata, data, ota,   , 0x2000
ota_0,   app,  ota_0, , 128K
ota_1,   app,  ota_1, , 128K
"""

# Response: requests, in this order; -: there is none. ALL_: on the functional identifier.
ANYWHERE = """
7F1013: 10
7F1012: 10 00, 10 04, 10 84, 10 0400
7F1013: 10 0100, 10 8200
7F1113: 11
7F1112: 11 00, 11 02, 11 04, 11 0200
7F1113: 11 0100, 11 8100
7F1413: 14, 14 FFFF, 14 FFFFFFFF
7F1431: 14 000000, 14 FFFF33
54: 14 FFFFFF
7F2213: 22, 22 F1, 22 F186F1
7F2231: 22 0000, 22 0000FFFF
7F2213: 22 F186F186F186F186F186F186F186F186F186F186F186F186F186F186F186F186F186
7F2214: 22 FD10FD11FD10
7F3E13: 3E
7F3E12: 3E 01, 3E 81, 3E 0100
7F3E13: 3E 0000, 3E 8000
7E00: 3E 00
-: 3E 80
-: 7E 00, 7F 1012, 50 01, C5, FF, 40
"""

DEFAULT = """
7F277F: 27, 27 01
7F287F: 28, 28 0001, 28 8001
7F2E7F: 2E, 2E F15A00
7F317F: 31, 31 010203
7F347F: 34
7F367F: 36, 36 0100
7F377F: 37
7F857F: 85, 85 01
62F18601: 22 F186, 22 0000F186FFFF
"""

NOT_DEFAULT = """
7F2713: 27
7F2712: 27 00, 27 03, 27 04, 27 83, 27 0300, 27 42
7F2713: 27 0100
7F2724: 27 02, 27 0200, 27 02000000000000000000000000000000, 27 020000000000000000000000000000000000
7F2724: 27 0200000000000000000000000000000000
7F2813: 28
7F2812: 28 04, 28 0501
7F2813: 28 00, 28 80, 28 000100
7F2831: 28 0000, 28 0004, 28 8004
6803: 28 0303
6801: 28 0102
6802: 28 0201
-: 28 8003
6800: 28 0003
7F8513: 85
7F8512: 85 00, 85 03, 85 0300
7F8513: 85 0100
C502: 85 02
-: 85 82, 85 81
C501: 85 01
7F2E13: 2E, 2E F1, 2E F15A, 2E F186
7F2E31: 2E 000000, 2E F18601, 2E F19001
7F3113: 31, 31 01, 31 01FF, 31 05FF
7F3131: 31 011234, 31 051234
7F3112: 31 050203, 31 000203, 31 020203, 31 030203, 31 830203, 31 02020300
7F3113: 31 01020300
7101020300: 31 010203
-: 31 810203
"""

EXTENDED = """
7F347F: 34, 34 00440000000000000100
7F367F: 36
7F377F: 37
7F2E31: 2E F15A00, 2E F15A260101000000000000, 2E F199260101
7F3131: 31 01FF00, 31 02FF00, 31 01FF01, 31 010202, 31 01F000, 31 01F003
62F18603: 22 F186
"""

PROGRAMMING = """
62F18602: 22 F186
7F3413: 34, 34 00, 34 0044, 34 004400000000000001, 34 0044000000000000010000, 34 1044000000000000010000
7F3431: 34 10440000000000000100, 34 01440000000000000100
7F3413: 34 00000000
7F3431: 34 000400000000, 34 004000000000, 34 0054000000000000000100, 34 0045000000000000000100
7F3431: 34 00440000000000100001, 34 00440010000000000001, 34 0044FFFFFFFFFFFFFFFF, 34 0044FFFFFFFF00000001
7F3431: 34 00440000000000000000
7F3613: 36
7F3624: 36 01, 36 00, 36 01E9
7F3713: 37 00
7F3724: 37
7F2E13: 2E F15A00, 2E F15A26010100000000000000, 2E F1992601
"""

UNLOCKED = """
7F3431: 34 00440000000100000100
7F3112: 31 02FF01, 31 02FF0100
7F3113: 31 01FF0100
7F3124: 31 01FF01
7F3113: 31 01020200
7101020201: 31 010202
7F3113: 31 01F00000, 31 01F00100, 31 01F00200
7F3122: 31 01F002
7101F00100: 31 01F001
7F3113: 31 01F00300
7F3112: 31 03F003
7F3113: 31 01FF0044, 31 01FF004400000000000010
7F3131: 31 01FF00440000000100001000, 31 01FF00440000000000100001, 31 01FF00440000000000000000
7F3131: 31 01FF00330000000000100001
7101FF0000: 31 01FF00440000000000001000, 31 01FF00
-: 31 81FF00
6EF15A: 2E F15A261123010203040506
62F15A261123010203040506: 22 F15A
6EF184: 2E F184261123010203040506
6EF199: 2E F199261124
62F199261124F184261123010203040506: 22 F199F184
"""

LOCKED = """
7F3433: 34 00440000000000000100, 34 00440000000100000100, 34 00110010
7F2E33: 2E F15A261123010203040506, 2E F199261123
7F3133: 31 01FF00, 31 02FF00, 31 02FF0100, 31 01FF01, 31 010202, 31 01F000, 31 01F001, 31 01F002, 31 01F003
"""

LOCKED_EXTENDED = """
7F3133: 31 01F001, 31 01F002, 31 02F002
7F2737: 27 01, 27 81
"""

ALL_ANYWHERE = """
7F1013: 10
-: 10 04
7F1013: 10 0100
-: 11 02
7F1113: 11
7F1413: 14 FF
-: 14 000000
54: 14 FFFFFF
7F2213: 22
-: 22 0000
7E00: 3E 00
-: 3E 80, 3E 01
7F3E13: 3E
-: 27, 27 01, 31, 31 010203, 2E, 34, 36, 36 0100, 37, 37 00, 00, BA, 7E 00
"""

ALL_DEFAULT = """
-: 28, 28 0001, 85 01
"""

ALL_NOT_DEFAULT = """
7F2813: 28, 28 00
-: 28 0401, 28 0004
6800: 28 0003
-: 28 8003
7F8513: 85
-: 85 03
C501: 85 01
-: 85 81
"""

SERVICES = bytes.fromhex("10 11 14 22 27 28 2E 31 34 36 37 3E 85")
DATA = 4093  # bytes in a block


def key_of(seed):
    return hmac.new(SECRET, b"\x01" + seed, hashlib.sha256).digest()[:16]


def download(size, at=0):
    return b"\x34\x00\x44" + struct.pack(">LL", at, size)


def block(number, data):
    return bytes([0x36, number & 0xFF]) + data


class Device(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.tester = None
        self.image_bytes = V130.read_bytes()

    def connect(self, **options):
        self.tester = raw_uds.Tester(self.bus, **options)
        self.addCleanup(self.tester.socket.close)
        return self.tester

    def expect(self, request, response, functional=False):
        """Exactly this comes; nothing ("-") is certain as soon as a later request is answered."""
        data = request if isinstance(request, bytes) else bytes.fromhex(request)
        with self.subTest(data[:16].hex(), functional=functional):
            got = self.tester.ask(data, functional, 0.05 if response == "-" else None)
            if response == "-" and got is None:
                got = self.tester.ask(b"\x3E\x00")
                response = "7E00"
            self.assertEqual(got.hex().upper() if got is not None else None, response.replace(" ", ""))

    def expect_table(self, *tables):
        for table in tables:
            functional = table in (ALL_ANYWHERE, ALL_DEFAULT, ALL_NOT_DEFAULT)
            for line in table.strip().splitlines():
                response, requests = line.split(": ")
                for request in requests.split(", "):
                    self.expect(request, response, functional)

    def expect_blocks(self, image, at=0):
        for number, start in enumerate(range(at, len(image), DATA), 1):
            self.expect(block(number, image[start:start + DATA]), f"76{number & 0xFF:02X}")

    # --- The order of the checks ---

    def test_every_negative_response_of_a_device_without_a_secret(self):
        self.new_device()
        self.connect()
        for sid in range(256):
            if not sid & 0x40 and sid not in SERVICES:
                self.expect(bytes([sid]), f"7F{sid:02X}11")
        self.expect_table(ANYWHERE, DEFAULT, ALL_ANYWHERE, ALL_DEFAULT)
        self.expect("1003", "5003003201F4")
        self.expect_table(ANYWHERE, NOT_DEFAULT, EXTENDED, ALL_ANYWHERE, ALL_NOT_DEFAULT)
        self.expect("1002", "5002003201F4")
        self.expect_table(ANYWHERE, NOT_DEFAULT, PROGRAMMING, UNLOCKED, ALL_ANYWHERE, ALL_NOT_DEFAULT)
        self.expect("2701", "6701" + "00" * 16)
        self.expect("22FD01", "62FD01FF00000000")

    def test_a_secret_its_delays_and_the_session_timer(self):
        keyfile = self.file("a key.txt", SECRET.hex())
        device = self.new_device(V123, "--key", keyfile)
        started = time.monotonic()
        tester = self.connect()
        self.expect_table(ANYWHERE, DEFAULT)
        self.expect("1003", "5003003201F4")
        self.expect_table(NOT_DEFAULT, EXTENDED, LOCKED_EXTENDED)
        self.expect("1002", "5002003201F4")
        self.expect_table(NOT_DEFAULT, PROGRAMMING, LOCKED, LOCKED_EXTENDED)
        tester.pause(4.6)
        self.expect("3E80", "-", functional=True)  # keeps the session
        tester.pause(4.6)
        self.expect("22F186", "62F18602")
        tester.pause(max(0, started + 10.2 - time.monotonic()))

        seeds = [tester.ask(b"\x27\x01")[2:] for _ in range(2)]
        self.assertNotEqual(*seeds)
        self.expect(b"\x27\x02" + key_of(seeds[1]), "6702")
        self.expect("2701", "6701" + "00" * 16)
        self.expect_table(PROGRAMMING, UNLOCKED)
        self.expect("280303", "6803")
        self.expect(download(1000), "74200FFF")
        self.expect(block(1, self.image_bytes[:500]), "7601")
        tester.pause(5.3)
        self.expect("22F186", "62F18601")
        self.expect("22FD01", "62FD0124000001F4")
        self.expect("1002", "5002003201F4")
        self.expect_table(LOCKED)

        seed = tester.ask(b"\x27\x01")[2:]
        self.expect("1002", "5002003201F4")
        self.expect(b"\x27\x02" + key_of(seed), "7F2724")  # of an older session
        for response in ("7F2735", "7F2735", "7F2736"):
            self.assertNotEqual(tester.ask(b"\x27\x01")[2:], bytes(16))
            self.expect(b"\x27\x02" + bytes(16), response)
            self.expect(b"\x27\x02" + bytes(16), "7F2724")  # good for one try
        self.expect("2701", "7F2737")
        self.expect("1101", "5101")
        device.wait_for("^restarting")
        self.expect("1003", "5003003201F4")
        self.expect("2701", "7F2737")

    # --- Downloads ---

    def start_download(self, *args, **options):
        device = self.new_device(V123, *args)
        self.connect(**options)
        self.expect("1002", "5002003201F4")
        self.expect(download(len(self.image_bytes)), "74200FFF")
        return device

    def test_what_may_go_wrong_in_a_download_and_what_ends_it(self):
        device = self.start_download()
        tester, image = self.tester, self.image_bytes
        for number in (0, 2, 255):
            self.expect(block(number, b"\xE9"), "7F3673")
        self.expect("3601", "7F3631")
        self.expect("37", "7F3724")
        self.expect("3101FF01", "7F3124")
        self.expect(block(1, image[:500]), "7601")
        self.expect(block(1, bytes(DATA)), "7601")  # repeated: not written
        for number in (0, 3):
            self.expect(block(number, b"\x00"), "7F3673")
        self.expect("22FD01", "62FD01FF000001F4")
        tester.send_message(block(2, image[500:2000]), wrong_at=20)
        tester.send_message(block(2, image[500:2000]), stop_after=20)
        self.expect(block(2, image[500:2000]), "7602")
        for message in (block(3, bytes(4094)), b"\xE9" + bytes(100), b"OT" + bytes(100)):
            with self.assertRaises(raw_bus.Overflow):
                tester.send_message(message)
        self.expect(b"OT\x10\x00\x00", "-")
        self.expect("3410440000000000000100", "7F3431")
        self.expect("22FD01", "62FD01FF000007D0")
        self.expect(download(1000, 4096), "7F3431")  # F000 has not said so
        self.expect("22FD01", "62FD0124000007D0")
        self.expect(block(3, image[2000:3000]), "7F3624")

        self.expect(download(1024), "74200FFF")
        self.expect(block(1, image[:1025]), "7F3671")
        self.expect(block(1, image[:1000]), "7601")
        self.expect(block(2, image[1000:1025]), "7F3671")
        self.expect(block(2, image[1000:1024]), "7602")
        self.expect(block(3, b"\x00"), "7F3624")
        self.expect("3700", "7F3713")
        self.expect("37", "7F3772")
        self.expect("22FD01", "62FD011900000400")
        self.expect("37", "7F3724")
        for request, response in (("1002", "5002003201F4"), ("1003", "5003003201F4"), ("1001", "5001003201F4"),
                                  ("3101FF00", "7101FF0000")):
            self.expect("1002", "5002003201F4")
            self.expect(download(len(image)), "74200FFF")
            self.expect(block(1, image[:DATA]), "7601")
            self.expect(request, response)
            self.expect("22FD01", f"62FD0124{DATA:08X}")
            if request in ("1002", "3101FF00"):
                self.expect(block(2, image[DATA:2 * DATA]), "7F3624")
        self.assert_runs(device, "ota_0", "canfwupd-golden 1.2.3-golden")

    def test_the_counter_wraps_and_every_step_may_be_repeated(self):
        device = self.start_download()
        image = self.image_bytes
        number = 0
        for start in range(0, len(image), 200):
            number += 1
            self.expect(block(number, image[start:start + 200]), f"76{number & 0xFF:02X}")
        self.assertGreater(number, 256)
        self.expect(block(number, image[-64:]), f"76{number & 0xFF:02X}")
        self.expect(block(number + 1, b"\x00"), "7F3624")
        self.expect("3101FF01", "7F3124")
        self.expect("31010202", "7101020201")
        self.expect("37", "77")
        self.expect("37", "7F3724")
        for _ in range(2):
            self.expect("31010202", "7101020200")
            self.expect("3101FF01", "7101FF0100")
        self.expect("22FD01", f"62FD0100{len(image):08X}")
        self.expect("1101", "5101")
        self.assert_confirms(device, "ota_1", V130_APP)

    def test_a_device_killed_in_a_download_and_behind_37(self):
        device = self.start_download()
        image = self.image_bytes
        self.expect_blocks(image[:8 * DATA])
        self.tester.socket.close()
        device = self.assert_runs(device, "ota_0", "canfwupd-golden 1.2.3-golden")
        tester = self.connect()
        self.expect("1002", "5002003201F4")
        self.expect(download(4096, 4096), "7F3431")
        answer = tester.ask(b"\x31\x01\xF0\x00")
        at = struct.unpack(">L", answer[4:8])[0]
        self.assertGreater(at, 4 * 4096)
        self.assertEqual(answer[8:], hashlib.sha256(image[:at]).digest())
        for wrong in (at - 4096, at + 1):
            self.expect(download(len(image) - at, wrong), "7F3431")
        self.expect(download(len(image) - at, at), "74200FFF")
        self.expect_blocks(image, at)
        self.expect("37", "77")
        tester.socket.close()
        device = self.assert_runs(device, "ota_0", "canfwupd-golden 1.2.3-golden")
        self.connect()
        self.expect("1002", "5002003201F4")
        self.expect("3101FF01", "7F3124")
        self.expect("3101F003", "7101F00300")
        self.expect("3101FF01", "7101FF0100")
        self.expect("1103", "5103")
        self.assert_confirms(device, "ota_1", V130_APP)

    def test_slow_flash_says_pending_in_time(self):
        self.device(self.create(csv=self.file("small.csv", SMALL_SLOTS)), "--slow-flash", "9")
        tester = self.connect()
        p2 = struct.unpack(">H", tester.ask(b"\x10\x02")[2:4])[0] / 1000
        tester.request(b"\x31\x81\xFF\x00")
        first = tester.response()
        self.assertEqual(first, b"\x7F\x31\x78")
        tester.send_single(b"\x22\xF1\x86")
        tester.send_single(b"\x3E\x80", tester.functional)
        tester.send_single(b"\x22\xF1\x86", tester.functional)
        self.assertEqual(tester.response(), b"\x7F\x22\x21")
        del tester.times[-1]
        self.assertEqual(tester.final(30), b"\x71\x01\xFF\x00\x00")  # not suppressed behind a 78
        waits = [after - before for before, after in zip(tester.times, tester.times[1:])]
        self.assertGreater(len(waits), 2)
        self.assertLess(waits[0], p2)
        self.assertLess(max(waits), 5)
        self.assertGreater(min(waits[1:-1]), 1.5)

    # --- Transports ---

    def test_every_transport(self):
        extended = {"tx_id": 0x18DA10F1, "rx_id": 0x18DAF110, "functional": 0x18DB33F1}
        for args, options in ((("--fd",), {"fd": True}), (("--bs", "1"), {"padding": 0xFF}),
                              (("-s", "18DA10F1", "-d", "18DAF110"), extended), (("-p", "AA"), {"padding": 0x55})):
            with self.subTest(args):
                self.bus = self.new_bus()
                path = self.create(name=f"flash {len(self.buses)}.bin")
                self.device(path, *args)
                tester = self.connect(**options)
                self.expect("1002", "5002003201F4")
                self.expect("22F186", "62F18602", functional=True)
                if "--fd" in args:
                    self.expect("22" + "0000" * 14 + "F186", "62F18602", functional=True)
                    self.expect("22" + "F186" * 30 + "00", "7F2213", functional=True)
                    self.expect("3E00" + "00" * 60, "7F3E13", functional=True)
                self.assertEqual(len(tester.ask(b"\x22\xFD\x10")), 104)
                self.expect(download(len(self.image_bytes)), "74200FFF")
                self.expect_blocks(self.image_bytes)
                self.expect("37", "77")
                if "-p" in args:
                    self.assertEqual({len(frame) for frame in tester.heard}, {8})
                    self.assertEqual(tester.heard[0], bytes.fromhex("065002003201F4AA"))
                tester.socket.close()

    # --- Others on the bus ---

    def test_a_header_transfer_is_not_disturbed_from_the_functional_identifier(self):
        device = self.new_device()
        tester, image = self.connect(), self.image_bytes
        tester.send_message(b"OT" + struct.pack("<LH", len(image), 0) + image[:2000])
        for request, response in (("1002", "7F1022"), ("1083", "7F1022"), ("1181", "7F1122"), ("22F186", "62F18601"),
                                  ("1001", "5001003201F4"), ("3E00", "7E00")):
            with self.subTest(request):
                self.assertEqual(tester.ask(bytes.fromhex(request), True).hex().upper(), response)
        for start in range(2000, len(image), 4000):
            tester.send_message(image[start:start + 4000])
        self.assertEqual(tester.final(), b"OT\x00" + struct.pack("<L", len(image)))
        self.assert_confirms(device, "ota_1", V130_APP)

    def test_a_second_tester_and_a_flood(self):
        self.start_download()
        first, second = self.tester, raw_uds.Tester(self.bus)
        self.addCleanup(second.socket.close)
        image = self.image_bytes
        first.send_message(block(1, image[:2000]), stop_after=30)
        second.send_message(b"\x22" + bytes.fromhex("F186") * 5)
        self.assertEqual(second.final(), b"\x62" + bytes.fromhex("F18602") * 5)
        first.pause(0.1)
        self.expect(block(1, image[:2000]), "7601")
        for i in range(3000):
            frame = bytes([i * 7 & 0xFF, i & 0xFF, i >> 3 & 0xFF, 1, 2, 3, 4, 5])
            first.send_frame(frame[:1 + i % 8], first.functional if i % 3 == 0 else None)
        first.all_sent()
        first.pause(1.2)
        self.expect("3E00", "7E00")
        self.expect("1001", "5001003201F4")


if __name__ == "__main__":
    harness.main()
