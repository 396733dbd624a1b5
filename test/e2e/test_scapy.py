#!/usr/bin/env python3
"""An independent UDS client, scapy's over its own ISO-TP, updates our device through AF_CAN."""
# SPDX-License-Identifier: Apache-2.0
import hashlib
import hmac
import os
import struct
import time

import harness
from harness import V123_APP, V130, V130_APP

if __name__ == "__main__":
    harness.with_af_can("scapy")

from scapy.config import conf  # noqa: E402

conf.contribs["CAN"] = {"swap-bytes": False, "remove-padding": True}
from scapy.contrib.automotive import uds  # noqa: E402
from scapy.contrib.cansocket_native import NativeCANSocket  # noqa: E402
from scapy.contrib.isotp.isotp_soft_socket import ISOTPSoftSocket  # noqa: E402
from scapy.layers.can import CAN  # noqa: E402

conf.verb = 0
SECRET = bytes(range(1, 33))
START, PROGRAMMING, EXTENDED = 1, 2, 3
CHECK_MEMORY, CHECK_DEPENDENCIES, POSITION = 0x0202, 0xFF01, 0xF000


def negative(sid, nrc):
    return bytes([0x7F, sid, nrc])


class Tester:
    """Requests by name, answers as bytes. Scapy decides what answers a request: 0x78 does not."""

    def __init__(self, interface, tx_id=0x7E0, rx_id=0x7E8):
        self.can = NativeCANSocket(interface, can_filters=[{"can_id": rx_id, "can_mask": 0x7FF}])
        self.socket = ISOTPSoftSocket(self.can, tx_id=tx_id, rx_id=rx_id, padding=True, basecls=uds.UDS)
        self.socket.impl.rx_tx_poll_rate = 0.001
        self.functional = NativeCANSocket(interface, can_filters=[{"can_id": 0, "can_mask": 0x7FF}])

    def close(self):
        self.socket.close()
        self.can.close()
        self.functional.close()

    def ask(self, request, timeout=20):
        answer = self.socket.sr1(uds.UDS() / request, timeout=timeout)
        return None if answer is None else bytes(answer)

    def raw(self, request, timeout=20):
        answer = self.socket.sr1(uds.UDS(request), timeout=timeout)
        return None if answer is None else bytes(answer)

    def to_all(self, request):
        self.functional.send(CAN(identifier=0x7DF, data=(bytes([len(request)]) + request).ljust(8, b"\xCC")))

    def session(self, number):
        return self.ask(uds.UDS_DSC(diagnosticSessionType=number))

    def read(self, did):
        answer = self.ask(uds.UDS_RDBI(identifiers=[did]))
        assert answer[:3] == struct.pack(">BH", 0x62, did), answer
        return answer[3:]

    def routine(self, number):
        return self.ask(uds.UDS_RC(routineControlType=START, routineIdentifier=number))

    def download(self, size, at=0):
        """The bytes that a block may have."""
        answer = self.ask(uds.UDS_RD(memorySizeLen=4, memoryAddressLen=4, memoryAddress4=at, memorySize4=size))
        assert answer[:2] == b"\x74\x20", answer
        return struct.unpack(">H", answer[2:])[0] - 2

    def block(self, counter, data):
        return self.ask(uds.UDS_TD(blockSequenceCounter=counter, transferRequestParameterRecord=data))

    def exit(self):
        return self.ask(uds.UDS_RTE())

    def reset(self):
        return self.ask(uds.UDS_ER(resetType=1))

    def version_after_restart(self):
        harness.wait_until(lambda: self.ask(uds.UDS_TP(), timeout=1), "an answer after the restart")
        return self.read(0xF189)

    def unlock(self, secret):
        seed = self.ask(uds.UDS_SA(securityAccessType=1))
        assert seed[:2] == b"\x67\x01" and len(seed) == 18, seed
        key = hmac.new(secret, b"\x01" + seed[2:], hashlib.sha256).digest()[:16]
        return self.ask(uds.UDS_SA(securityAccessType=2, securityKey=key))


class Scapy(harness.TestCase):
    def new_tester(self):
        os.environ["ISOTP_OTA_CAN"] = f"vcan0={self.bus}"
        tester = Tester("vcan0")
        self.addCleanup(tester.close)
        return tester

    def programming(self, *args):
        """A device with a small image, and a tester in its programming session."""
        self.new_device(self.image("old"), *args)
        tester = self.new_tester()
        self.assertEqual(tester.session(PROGRAMMING)[:2], b"\x50\x02")
        return tester, self.image("new").read_bytes()

    def blocks(self, image, size):
        return [image[at:at + size] for at in range(0, len(image), size)]

    def send_blocks(self, tester, blocks, first=1):
        for counter, data in enumerate(blocks, first):
            counter &= 0xFF
            self.assertEqual(tester.block(counter, data), bytes([0x76, counter]))

    def finish(self, tester):
        self.assertEqual(tester.exit(), b"\x77")
        self.assertEqual(tester.routine(CHECK_MEMORY), b"\x71\x01\x02\x02\x00")
        self.assertEqual(tester.routine(CHECK_DEPENDENCIES), b"\x71\x01\xFF\x01\x00")
        self.assertEqual(tester.reset(), b"\x51\x01")

    def test_an_update(self):
        device = self.new_device()
        tester = self.new_tester()
        image = V130.read_bytes()
        self.assertEqual(tester.read(0xF189), b"1.2.3-golden")
        self.assertEqual(tester.read(0xF197), b"canfwupd-golden")
        self.assertEqual(tester.session(EXTENDED)[:2], b"\x50\x03")
        self.assertEqual(tester.read(0xF186), b"\x03")
        self.assertEqual(tester.routine(0x0203), b"\x71\x01\x02\x03\x00")
        self.assertEqual(tester.ask(uds.UDS_CDTCS(DTCSettingType=2)), b"\xC5\x02")
        self.assertEqual(tester.raw(b"\x28\x03\x01"), b"\x68\x03")
        self.assertEqual(tester.session(PROGRAMMING)[:2], b"\x50\x02")
        self.assertEqual(tester.ask(uds.UDS_SA(securityAccessType=1)), b"\x67\x01" + bytes(16))  # not locked
        self.send_blocks(tester, self.blocks(image, tester.download(len(image))))
        self.finish(tester)
        self.assert_confirms(device, "ota_1", V130_APP)
        self.assertEqual(tester.version_after_restart(), b"1.3.0-golden")
        self.assertEqual(tester.read(0xF186), b"\x01")
        slot, state, digest = struct.unpack(">BB32s", tester.read(0xFD02))
        self.assertEqual((slot, state, digest), (1, 2, image[-32:]))
        self.assertTrue(self.region(device.path, "ota_1").startswith(image))

    def test_with_a_key(self):
        device = self.new_device(self.image("old"), "--key", self.file("key.txt", SECRET.hex()))
        tester = self.new_tester()
        image = self.image("new").read_bytes()
        size = struct.pack(">L", len(image))
        self.assertEqual(tester.session(PROGRAMMING)[:2], b"\x50\x02")
        for locked in (b"\x34\x00\x44" + bytes(4) + size, b"\x31\x01\xFF\x00", b"\x31\x01\xF0\x00", b"\x31\x01\xFF\x01",
                       b"\x2E\xF1\x99\x26\x11\x22"):
            with self.subTest(locked.hex()):
                self.assertEqual(tester.raw(locked), negative(locked[0], 0x33))
        self.assertEqual(tester.raw(b"\x27\x02" + bytes(16)), negative(0x27, 0x24))
        deadline = time.monotonic() + harness.TIMEOUT
        while (answer := tester.raw(b"\x27\x01")) == negative(0x27, 0x37):  # 10 s after each start
            self.assertLess(time.monotonic(), deadline)
            tester.raw(b"\x3E\x00")
        self.assertEqual(len(answer), 18)
        self.assertEqual(tester.raw(b"\x27\x02" + bytes(16)), negative(0x27, 0x35))
        self.assertEqual(tester.unlock(SECRET), b"\x67\x02")
        self.assertEqual(tester.raw(b"\x2E\xF1\x99\x26\x11\x22"), b"\x6E\xF1\x99")
        self.send_blocks(tester, self.blocks(image, tester.download(len(image))))
        self.finish(tester)
        self.assert_confirms(device, "ota_1", "e2e new")

    def test_one_goes_on_where_another_was_cut_off(self):
        self.new_device()
        tester = self.new_tester()
        image = V130.read_bytes()
        tester.session(PROGRAMMING)
        blocks = self.blocks(image, tester.download(len(image)))
        self.send_blocks(tester, blocks[:8])
        tester.session(PROGRAMMING)  # ends the transfer
        answer = tester.routine(POSITION)
        at, digest = struct.unpack(">L32s", answer[4:])
        self.assertGreater(at, 5 * 4096)
        self.assertEqual(digest, hashlib.sha256(image[:at]).digest())
        size = tester.download(len(image) - at, at)
        self.send_blocks(tester, self.blocks(image[at:], size))
        self.finish(tester)
        self.assertEqual(tester.version_after_restart(), b"1.3.0-golden")

    def test_blocks_out_of_sequence(self):
        tester, image = self.programming()
        blocks = self.blocks(image, tester.download(len(image)))
        self.assertEqual(len(blocks), 3)
        self.send_blocks(tester, blocks[:1])
        for wrong in (0, 3, 0xFF):
            self.assertEqual(tester.block(wrong, blocks[1]), negative(0x36, 0x73))
        self.send_blocks(tester, blocks[:1])  # its response may have been lost
        self.send_blocks(tester, [b"something else"])  # nobody looks at what is in it
        self.assertEqual(tester.exit(), negative(0x37, 0x24))  # too early
        self.send_blocks(tester, blocks[1:2], 2)
        self.assertEqual(tester.block(3, blocks[2] + b"more"), negative(0x36, 0x71))
        self.send_blocks(tester, blocks[2:], 3)
        self.assertEqual(tester.block(4, b"more"), negative(0x36, 0x24))
        self.send_blocks(tester, blocks[2:], 3)
        self.finish(tester)
        self.assertEqual(tester.version_after_restart(), b"new")

    def test_refusals(self):
        self.new_device(self.image("old"))
        tester = self.new_tester()
        request = b"\x34\x00\x44" + bytes(4) + struct.pack(">L", 9008)
        self.assertEqual(tester.raw(request), negative(0x34, 0x7F))
        self.assertEqual(tester.raw(b"\x36\x01data"), negative(0x36, 0x7F))
        self.assertEqual(tester.session(PROGRAMMING)[:2], b"\x50\x02")
        self.assertEqual(tester.block(1, b"data"), negative(0x36, 0x24))
        self.assertEqual(tester.exit(), negative(0x37, 0x24))
        self.assertEqual(tester.routine(CHECK_DEPENDENCIES), negative(0x31, 0x24))
        self.assertEqual(tester.raw(b"\x34\x11\x44" + request[3:]), negative(0x34, 0x31))  # compressed, encrypted
        self.assertEqual(tester.raw(b"\x34\x00\x44" + request[3:-1]), negative(0x34, 0x13))
        self.assertEqual(tester.raw(b"\x34\x00\x44\0\0\x10\0" + request[7:]), negative(0x34, 0x31))
        self.assertEqual(tester.raw(b"\x34\x00\x44" + bytes(4) + b"\x7F\xFF\xFF\xFF"), negative(0x34, 0x31))
        wrong_chip = self.image("esp32", chip_id=0).read_bytes()
        size = tester.download(len(wrong_chip))
        self.assertEqual(tester.block(1, wrong_chip[:size]), b"\x76\x01")  # taken, and not looked at yet
        self.assertEqual(tester.block(2, wrong_chip[size:2 * size]), negative(0x36, 0x31))
        self.assertEqual(tester.read(0xFD01)[:1], b"\x11")
        self.assertEqual(tester.session(1)[:2], b"\x50\x01")
        self.assertEqual(tester.raw(request), negative(0x34, 0x7F))
        self.assertEqual(tester.version_after_restart(), b"old")

    def test_a_damaged_image_is_not_started(self):
        tester, image = self.programming()
        image = image[:5000] + bytes([image[5000] ^ 1]) + image[5001:]
        self.send_blocks(tester, self.blocks(image, tester.download(len(image))))
        self.assertEqual(tester.exit(), negative(0x37, 0x72))
        self.assertEqual(tester.routine(CHECK_MEMORY), b"\x71\x01\x02\x02\x01")
        self.assertEqual(tester.routine(CHECK_DEPENDENCIES)[0], 0x7F)
        self.assertEqual(tester.reset(), b"\x51\x01")
        self.assertEqual(tester.version_after_restart(), b"old")

    def test_tester_present_to_all_while_a_block_is_on_its_way(self):
        tester, image = self.programming()
        blocks = self.blocks(image, tester.download(len(image)))
        for counter, data in enumerate(blocks, 1):
            block = uds.UDS_TD(blockSequenceCounter=counter, transferRequestParameterRecord=data)
            tester.socket.send(uds.UDS() / block)
            for _ in range(20):
                tester.to_all(b"\x3E\x80")
            answer = tester.socket.sniff(count=1, timeout=20)[0]
            self.assertEqual(bytes(answer), bytes([0x76, counter]))
        self.finish(tester)
        self.assertEqual(tester.version_after_restart(), b"new")

    def test_who_asks_all_hears_no_refusals(self):
        self.new_device(self.image("old"))
        tester = self.new_tester()
        for request in (b"\x3E\x80", b"\x10\x83", b"\x27\x01", b"\x31\x01\x02\x03", b"\x22\xFF\xFF", b"\x99"):
            tester.to_all(request)
        tester.to_all(b"\x3E\x00")
        answer = tester.socket.sniff(count=1, timeout=20)[0]
        self.assertEqual(bytes(answer), b"\x7E\x00")
        self.assertEqual(tester.read(0xF186), b"\x03")


if __name__ == "__main__":
    harness.main()
