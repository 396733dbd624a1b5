"""A node on the virtual bus without the code under test, and an ISO-TP sender that may do what no sender should."""
# SPDX-License-Identifier: Apache-2.0
import os
import select
import socket
import struct
import time

FRAME = struct.Struct("<IBBBB8s")  # the kernel's struct can_frame; byte 6 is 1 in the confirmation of an own frame
EXTENDED = 0x80000000
GREETING = struct.pack("<8sIII", b"isotpbus", 1, 0, 0)

SINGLE, FIRST, CONSECUTIVE, FLOW = range(4)


class Timeout(AssertionError):
    pass


class NoFlowControl(Timeout):
    pass


class Overflow(AssertionError):
    """The receiver refused the message."""


def address(name):
    return f"\0isotp-ota/{os.getuid()}/{name}"


def exists(name):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        try:
            s.connect(address(name))
        except ConnectionRefusedError:
            return False
    return True


class RawBus:
    def __init__(self, name, tx_id=0x7E0, rx_id=0x7E8, timeout=20):
        self.tx_id, self.rx_id, self.timeout = tx_id, rx_id, timeout
        self.frames = []  # from others, in order, not yet looked at
        self.unconfirmed = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(address(name))
        self.socket.setblocking(False)
        self.socket.send(GREETING)
        self.greeted = False
        self._until(lambda: self.greeted, "the hub's greeting")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # --- Frames ---

    def _read(self, timeout):
        """Takes what has come, waiting for it up to `timeout` seconds."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return
        while True:
            try:
                raw = self.socket.recv(128)
            except BlockingIOError:
                return
            if not raw:
                raise ConnectionError("the hub has ended")
            if raw.startswith(b"isotpbus"):
                self.greeted = True
            elif len(raw) == FRAME.size:
                can_id, length, _, confirmed, _, data = FRAME.unpack(raw)
                if confirmed:
                    self.unconfirmed -= 1
                else:
                    self.frames.append((can_id & ~EXTENDED, data[:length]))

    def _until(self, condition, what, timeout=None, error=Timeout):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise error(f"no {what}")
            self._read(left)

    def send_frame(self, data, can_id=None):
        """Puts a frame on the bus; at most 20 of ours wait for the wire."""
        can_id = self.tx_id if can_id is None else can_id
        flag = EXTENDED if can_id > 0x7FF else 0
        self._until(lambda: self.unconfirmed < 20, "confirmation of our frames")
        self.socket.send(FRAME.pack(can_id | flag, len(data), 0, 0, 0, bytes(data)))
        self.unconfirmed += 1

    def frames_until(self, wanted, what):
        """All frames from others up to the one for which wanted(can_id, data): (id, data) each."""
        frames = []

        def found():
            while self.frames:
                frames.append(self.frames.pop(0))
                if wanted(*frames[-1]):
                    return True
            return False

        self._until(found, what)
        return frames

    def frames_until_status(self):
        return self.frames_until(self._is_status, "status message")

    def all_sent(self):
        self._until(lambda: self.unconfirmed == 0, "confirmation of our frames")

    def next_frame(self, wanted, what, timeout=None, error=Timeout):
        """The next frame for which wanted(can_id, data); the ones before it are dropped."""
        def found():
            while self.frames and not wanted(*self.frames[0]):
                self.frames.pop(0)
            return self.frames

        self._until(found, what, timeout, error)
        return self.frames.pop(0)[1]

    # --- ISO-TP ---

    def _is_flow_control(self, can_id, data):
        return can_id == self.rx_id and len(data) >= 3 and data[0] >> 4 == FLOW

    def _is_status(self, can_id, data):
        return can_id == self.rx_id and data[:3] == b"\x07OT"

    def send_single(self, data):
        self.send_frame(bytes([len(data)]) + data)

    def send_first(self, data):
        length = max(len(data), 8)
        self.send_frame(bytes([FIRST << 4 | length >> 8, length & 0xFF]) + data[:6])

    def flow_control(self, timeout=5):
        """(block size, gap in seconds) of the next flow control that lets us go on."""
        while True:
            answer = self.next_frame(self._is_flow_control, "flow control", timeout, NoFlowControl)
            if answer[0] == 0x32:
                raise Overflow()
            if answer[0] == 0x30:
                stmin = answer[2]
                return answer[1], stmin / 1000 if stmin < 0x80 else (stmin - 0xF0) / 10000

    def send_message(self, data, stop_after=None):
        """One message. After `stop_after` consecutive frames nothing more is sent."""
        if len(data) <= 7:
            self.send_single(data)
            return
        self.frames = [f for f in self.frames if not self._is_flow_control(*f)]  # about an older message
        self.send_first(data)
        at, number = 6, 0
        block, gap = self.flow_control()
        left = block
        while at < len(data):
            number += 1
            if stop_after is not None and number > stop_after:
                return
            self.send_frame(bytes([CONSECUTIVE << 4 | number & 15]) + data[at:at + 7])
            at += 7
            left -= 1
            if block and left == 0 and at < len(data):
                block, gap = self.flow_control()
                left = block
            elif gap:
                self._pause(gap)
        self.all_sent()

    def _pause(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._read(left)

    def send_messages(self, data, size):
        """`data` cut into messages of `size` bytes, and nothing else: no header, no padding byte."""
        for at in range(0, len(data), size):
            self.send_message(data[at:at + size])

    def status(self, timeout=None):
        """(result, bytes received) of the next status message."""
        raw = self.next_frame(self._is_status, "status message", timeout)
        return raw[3], struct.unpack_from("<L", raw, 4)[0]
