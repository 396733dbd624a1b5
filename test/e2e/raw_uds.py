"""A UDS tester of a few lines on the virtual bus, without the code under test, that may do what no tester should."""
# SPDX-License-Identifier: Apache-2.0
import select
import struct
import time

import raw_bus

FD_FRAME = struct.Struct("<IBBBB64s")  # the kernel's struct canfd_frame
FD_LENGTHS = (8, 12, 16, 20, 24, 32, 48, 64)


class Tester(raw_bus.RawBus):
    """Requests and responses as bytes; self.times holds when the last request ended and each response to it began."""

    def __init__(self, name, tx_id=0x7E0, rx_id=0x7E8, functional=0x7DF, fd=False, padding=None, timeout=10):
        self.functional, self.fd, self.padding = functional, fd, padding
        self.block, self.gap = 0, 0  # what our flow controls ask for
        self.responses = []  # (time of its first frame, message), not yet looked at
        self.flow = []
        self.partial = None
        self.heard = []  # every frame of the device
        self.times = []
        super().__init__(name, tx_id, rx_id, timeout)

    # --- Frames ---

    def _read(self, timeout):
        if not select.select([self.socket], [], [], timeout)[0]:
            return
        while True:
            try:
                raw = self.socket.recv(128)
            except BlockingIOError:
                return
            now = time.monotonic()
            if not raw:
                raise ConnectionError("the hub has ended")
            if raw.startswith(b"isotpbus"):
                self.greeted = True
            elif raw[6]:
                self.unconfirmed -= 1
                self.confirmed_at = now
            else:
                can_id, length = struct.unpack_from("<IB", raw)
                if can_id & ~raw_bus.EXTENDED == self.rx_id:
                    self._take(raw[8:8 + length], now)

    def _take(self, data, now):
        self.heard.append(data)
        kind = data[0] >> 4
        if kind == raw_bus.FLOW:
            self.flow.append(data)
        elif kind == raw_bus.SINGLE:
            length, at = (data[0], 1) if data[0] else (data[1], 2)
            self.responses.append((now, data[at:at + length]))
        elif kind == raw_bus.FIRST:
            self.partial = [now, (data[0] & 15) << 8 | data[1], data[2:], 0]
            self.send_frame(bytes([0x30, self.block, self.gap]))
        elif self.partial:
            self.partial[2] += data[1:]
            self.partial[3] += 1
            if len(self.partial[2]) >= self.partial[1]:
                self.responses.append((self.partial[0], self.partial[2][:self.partial[1]]))
                self.partial = None
            elif self.block and self.partial[3] % self.block == 0:
                self.send_frame(bytes([0x30, self.block, self.gap]))

    def send_frame(self, data, can_id=None):
        data = bytes(data)
        if self.padding is not None:
            data = data.ljust(8, bytes([self.padding]))
        if not self.fd:
            super().send_frame(data, can_id)
            return
        can_id = self.tx_id if can_id is None else can_id
        if len(data) > 8:
            data = data.ljust(next(n for n in FD_LENGTHS if n >= len(data)), b"\xCC")
        flag = raw_bus.EXTENDED if can_id > 0x7FF else 0
        self._until(lambda: self.unconfirmed < 20, "confirmation of our frames")
        self.socket.send(FD_FRAME.pack(can_id | flag, len(data), 5, 0, 0, data))
        self.unconfirmed += 1

    # --- Messages ---

    def flow_control(self, timeout=5):
        while True:
            self._until(lambda: self.flow, "flow control", timeout, raw_bus.NoFlowControl)
            answer = self.flow.pop(0)
            if answer[0] == 0x32:
                raise raw_bus.Overflow()
            if answer[0] == 0x30:
                return answer[1], answer[2] / 1000 if answer[2] < 0x80 else (answer[2] - 0xF0) / 10000

    def send_single(self, data, can_id=None):
        self.send_frame((bytes([len(data)]) if len(data) < 8 else bytes([0, len(data)])) + data, can_id)

    def send_message(self, data, stop_after=None, wrong_at=None):
        """One message. Of its consecutive frames only `stop_after`; number `wrong_at` has a wrong number."""
        if len(data) <= (62 if self.fd else 7):
            self.send_single(data)
            return
        width = 63 if self.fd else 7
        self.flow = []
        self.send_frame(bytes([0x10 | len(data) >> 8, len(data) & 0xFF]) + data[:width - 1])
        at, number = width - 1, 0
        block, gap = self.flow_control()
        while at < len(data) and number != stop_after:
            number += 1
            wrong = 3 if number == wrong_at else 0
            self.send_frame(bytes([0x20 | (number + wrong) & 15]) + data[at:at + width])
            at += width
            if block and number % block == 0 and at < len(data):
                self.flow_control()
            elif gap:
                self.pause(gap)

    def request(self, data, functional=False):
        """Sends a request to its end, and returns when it left."""
        self.responses = []
        if functional:
            self.send_single(data, self.functional)
        else:
            self.send_message(data)
        self.all_sent()
        self.times = [self.confirmed_at]

    def response(self, timeout=None):
        """The next message of the device; None if there is none in time."""
        try:
            self._until(lambda: self.responses, "response", timeout)
        except raw_bus.Timeout:
            return None
        at, message = self.responses.pop(0)
        self.times.append(at)
        return message

    def final(self, timeout=None):
        """The next response that is not 0x78."""
        while True:
            message = self.response(timeout)
            if message is None or message[:1] != b"\x7F" or message[2:] != b"\x78":
                return message

    def ask(self, data, functional=False, timeout=None):
        self.request(data, functional)
        return self.final(timeout)

    def pause(self, seconds):
        self._pause(seconds)
