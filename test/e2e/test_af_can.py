#!/usr/bin/env python3
"""AF_CAN on the virtual bus, for the tests with programs of others: sockets as the kernel has them, can-utils."""
# SPDX-License-Identifier: Apache-2.0
import errno
import os
import select
import socket
import struct
import time

import harness
from harness import Process

FRAME = struct.Struct("=IB3x8s")
OWN = socket.MSG_DONTROUTE | getattr(socket, "MSG_CONFIRM", 0x800)
INVERTED = 0x20000000


def frame(can_id, data=b""):
    return FRAME.pack(can_id, len(data), data)


class AfCan(harness.TestCase):
    def setUp(self):
        super().setUp()
        os.environ["ISOTP_OTA_CAN"] = f"other=nobody,vcan0={self.bus}"
        self.new_device()  # who keeps the bus open, and answers 7E0

    def node(self, *filters, **flags):
        s = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        self.addCleanup(s.close)
        if filters:
            packed = b"".join(struct.pack("=II", *f) for f in filters)
            s.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, packed)
        for name, value in flags.items():
            s.setsockopt(socket.SOL_CAN_RAW, getattr(socket, name), value)
        s.bind(("vcan0",))
        s.settimeout(20)
        return s

    def hears(self, node, *frames):
        for wanted in frames:
            self.assertEqual(node.recv(72), wanted)
        self.assertEqual(select.select([node], [], [], 0)[0], [])

    def sender(self):
        """A socket, and frames of all kinds that it has sent by when the last one came back to it."""
        s = self.node(CAN_RAW_RECV_OWN_MSGS=1)
        frames = [frame(0x123, b"1"), frame(0x124, b"12"), frame(0x80000123, b"3"), frame(0x7FF, b"12345678")]
        for f in frames:
            self.assertEqual(s.send(f), 16)
        for f in frames:
            self.assertEqual(s.recv(72), f)
        return s, frames

    def test_everybody_hears_everything_but_their_own_frames(self):
        one, other, third = self.node(), self.node(), self.node()
        _, frames = self.sender()
        self.hears(other, *frames)
        one.send(frame(1))
        other.send(frame(2))
        self.hears(one, *frames, frame(2))
        self.hears(third, *frames, frame(1), frame(2))
        self.hears(other, frame(1))

    def test_filters(self):
        cases = [
            ([(0x123, 0x7FF)], [0, 2]),  # the kernel compares no more than the mask says
            ([(0x123, 0xC00007FF)], [0]),
            ([(0x80000123, 0xDFFFFFFF)], [2]),
            ([(0x120, 0x7F0)], [0, 1, 2]),
            ([(0x123 | INVERTED, 0x7FF)], [1, 3]),
            ([(0x124, 0x7FF), (0x7FF, 0x7FF)], [1, 3]),
            ([(0x123, 0xDFFFFFFF)], [0]),  # a mask of 29 bits, an identifier of 11
            ([], [0, 1, 2, 3]),
        ]
        nodes = [self.node(*filters) for filters, _ in cases]
        both = self.node((0x123 | INVERTED, 0x7FF), (0x120, 0x7F0), CAN_RAW_JOIN_FILTERS=1)
        none = self.node()
        none.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, b"")
        _, frames = self.sender()
        for node, (filters, wanted) in zip(nodes, cases):
            with self.subTest(filters):
                self.hears(node, *(frames[i] for i in wanted))
        self.hears(both, frames[1])
        self.hears(none)

    def test_what_is_filtered_out_wakes_nobody(self):
        node = self.node((0x7FF, 0x7FF))
        sender, frames = self.sender()
        self.hears(node, frames[3])
        sender.send(frame(0x100))
        sender.recv(16)
        node.settimeout(0.05)
        self.assertRaises(TimeoutError, node.recv, 16)
        node.setblocking(False)
        self.assertRaises(BlockingIOError, node.recv, 16)

    def test_a_waiting_reader_wakes_in_time(self):
        node = self.node((0x7E8, 0x7FF))
        node.settimeout(None)
        self.node().send(frame(0x7E0, b"\x10\x20" + bytes(6)))
        self.assertEqual(node.recv(16), frame(0x7E8, b"\x32\x00\x00"))  # the device knows no such transfer

    def test_own_frames_are_marked(self):
        node = self.node(CAN_RAW_RECV_OWN_MSGS=1)
        node.setsockopt(socket.SOL_SOCKET, socket.SO_TIMESTAMPNS if hasattr(socket, "SO_TIMESTAMPNS") else 35, 1)
        node.send(frame(5))
        self.node().send(frame(6))
        for can_id, flags in ((5, OWN), (6, 0)):
            data, ancillary, got, address = node.recvmsg(72, 64)
            self.assertEqual((data, got & OWN, address), (frame(can_id), flags, ("vcan0",)))
            self.assertEqual(len(ancillary), 1)
            seconds = struct.unpack_from("=qq", ancillary[0][2])[0]
            self.assertLess(abs(time.time() - seconds), 20)
        node.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_LOOPBACK, 0)
        witness = self.node()
        node.send(frame(7))
        self.hears(witness, frame(7))  # it has left, before the next node joins
        self.sender()
        self.assertEqual(node.recv(16)[:4], b"\x23\x01\0\0")  # not 7

    def test_can_fd(self):
        fd, classic = self.node(CAN_RAW_FD_FRAMES=1), self.node()
        long = struct.pack("=IBB2x64s", 0x55, 64, 1, bytes(range(64)))
        sender = self.node(CAN_RAW_FD_FRAMES=1)
        sender.send(long)
        sender.send(frame(0x56))
        self.hears(fd, long, frame(0x56))
        self.hears(classic, frame(0x56))
        for length in (0, 15, 17, 71, 73):
            self.assertRaises(OSError, sender.send, bytes(length))
        self.assertRaises(OSError, classic.send, long)

    def test_copies_of_a_descriptor(self):
        node = self.node((0x123, 0xC00007FF))
        copy = node.dup()
        self.addCleanup(copy.close)
        node.close()
        self.assertEqual(copy.getsockname(), ("vcan0",))
        _, frames = self.sender()
        self.hears(copy, frames[0])
        self.assertRaises(OSError, copy.send, b"short")

    def test_options_can_be_asked_for(self):
        node = self.node((1, 2), (3, 4), CAN_RAW_RECV_OWN_MSGS=1)
        raw = socket.SOL_CAN_RAW
        self.assertEqual(node.getsockopt(raw, socket.CAN_RAW_FILTER, 99), struct.pack("=4I", 1, 2, 3, 4))
        self.assertEqual(node.getsockopt(raw, socket.CAN_RAW_RECV_OWN_MSGS), 1)
        self.assertEqual(node.getsockopt(raw, socket.CAN_RAW_LOOPBACK), 1)
        self.assertEqual(node.getsockopt(raw, socket.CAN_RAW_FD_FRAMES), 0)

    def test_interfaces(self):
        index = socket.if_nametoindex("vcan0")
        self.assertEqual(socket.if_indextoname(index), "vcan0")
        self.assertEqual(socket.if_nametoindex("lo"), 1)
        self.assertRaises(OSError, socket.if_nametoindex, "vcan1")
        with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as s:
            with self.assertRaises(OSError) as unknown:
                s.bind(("vcan1",))
            self.assertEqual(unknown.exception.errno, errno.ENODEV)
            with self.assertRaises(OSError) as down:
                s.bind(("other",))
            self.assertEqual(down.exception.errno, errno.ENETDOWN)
        self.assertRaises(OSError, socket.socket, socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_BCM)

    def test_other_sockets_are_left_alone(self):
        one, other = socket.socketpair()
        with one, other:
            one.send(b"any length")
            self.assertEqual(other.recv(72), b"any length")

    def test_can_utils(self):
        harness.need("candump", "cansend")
        dump = Process(["candump", "-L", "-n", "3", "vcan0,7E8:7FF"], os.environ)
        self.processes.append(dump)
        while dump.popen.poll() is None:  # nobody tells when candump listens
            sent = Process(["cansend", "vcan0", "7E0#1020000000000000"], os.environ).finish()
            self.assertEqual(sent, (0, "", ""))
        lines = dump.finish().out.splitlines()
        self.assertEqual([line.split(" ", 1)[1] for line in lines], ["vcan0 7E8#320000"] * 3)


if __name__ == "__main__":
    harness.with_af_can()
    harness.main()
