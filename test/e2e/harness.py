"""What the end-to-end tests share: processes with timeouts, simulated devices, the flash file's regions.

Nothing here waits for a fixed time: it waits for a line, for the end of a process, or fails after TIMEOUT.
"""
# SPDX-License-Identifier: Apache-2.0
import importlib.util
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections import namedtuple
from pathlib import Path

import esp
import raw_bus

PROGRAM = os.environ.get("ISOTP_OTA", "")
AF_CAN = os.environ.get("AF_CAN", str(Path(PROGRAM).parent / "test" / "libaf_can.so"))
VECTORS = Path(__file__).resolve().parent.parent / "vectors"
TIMEOUT = 60  # far beyond what anything takes, for a machine that does something else, too

V123 = VECTORS / "image" / "app_c3_v123.bin"
V130 = VECTORS / "image" / "app_c3_v130.bin"
V123_APP = "canfwupd-golden 1.2.3-golden"
V130_APP = "canfwupd-golden 1.3.0-golden"

Result = namedtuple("Result", "code out err")
numbers = itertools.count()


def wait_until(condition, what, timeout=TIMEOUT):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain: {what}")
        time.sleep(0.005)


def need(*programs):
    """Ends the test as "skipped" if one of them is not installed."""
    for program in programs:
        if not shutil.which(program):
            print(f"no {program} here: skipped")
            sys.exit(77)


def with_af_can(module=None):
    """Starts this test again, by a Python that has the module, such that AF_CAN sockets are on the virtual bus."""
    python = sys.executable
    if module and not importlib.util.find_spec(module):
        python = "/usr/bin/python3"  # where a distribution's packages are, whatever `python3` is
        if subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL, check=False).returncode:
            print(f"no {module} here: skipped")
            sys.exit(77)
    elif os.environ.get("LD_PRELOAD") == os.path.basename(AF_CAN):
        return
    # LD_PRELOAD is a list that blanks divide: only the name may stand in it, the folder elsewhere.
    folders = filter(None, [os.path.dirname(AF_CAN), os.environ.get("LD_LIBRARY_PATH")])
    preload = {"LD_PRELOAD": os.path.basename(AF_CAN), "LD_LIBRARY_PATH": ":".join(folders)}
    os.execve(python, [python, "-B", *sys.argv], {**os.environ, **preload})


class Process:
    """A process whose lines can be waited for."""

    def __init__(self, args, env, **options):
        self.args = args
        self.lines = {"stdout": [], "stderr": []}
        self.looked_at = {"stdout": 0, "stderr": 0}
        self.changed = threading.Condition()
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        self.popen = subprocess.Popen(args, env=env, **options)
        self.readers = []
        for name in ("stdout", "stderr"):
            if getattr(self.popen, name):
                self.readers.append(threading.Thread(target=self._read, args=(name,), daemon=True))
                self.readers[-1].start()

    def _read(self, name):
        with getattr(self.popen, name) as pipe:
            for line in iter(pipe.readline, b""):
                with self.changed:
                    self.lines[name].append(line.decode("utf-8", "backslashreplace"))
                    self.changed.notify_all()
        with self.changed:
            self.lines[name].append(None)  # the end
            self.changed.notify_all()

    def text(self, name):
        with self.changed:
            return "".join(line for line in self.lines[name] if line)

    def wait_for(self, pattern, name="stdout", timeout=TIMEOUT):
        """The match of the next line, after those waited for before, in which the pattern is found."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                while self.looked_at[name] < len(self.lines[name]):
                    line = self.lines[name][self.looked_at[name]]
                    if line is None:
                        raise AssertionError(f"ended without {pattern!r}: {self._said()}")
                    self.looked_at[name] += 1
                    match = re.search(pattern, line)
                    if match:
                        return match
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {pattern!r} within {timeout} s: {self._said()}")
                self.changed.wait(left)

    def _said(self):
        return f"{self.args}: {self.lines}"

    def kill(self, number=signal.SIGKILL):
        self.popen.send_signal(number)

    def finish(self, timeout=TIMEOUT):
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still runs after {timeout} s: {self._said()}") from None
        for reader in self.readers:
            reader.join(TIMEOUT)
        return Result(self.popen.returncode, self.text("stdout"), self.text("stderr"))

    def finish_now(self):
        if self.popen.poll() is None:
            self.popen.kill()
        return self.finish()


class TestCase(unittest.TestCase):
    maxDiff = 2000
    FLASH = ("flash",)  # how flash() begins

    def setUp(self):
        # Sanitizers report into files, so that a report is seen whatever a test does with the output; hubs have none.
        top = Path(tempfile.mkdtemp(prefix="isotp-ota-e2e-"))
        self.addCleanup(shutil.rmtree, top)
        self.reports = top / "reports"
        self.reports.mkdir()
        self.addCleanup(self._check_reports)
        self.dir = top / "a folder"
        self.dir.mkdir()
        self.buses = []
        self.bus = self.new_bus()
        self.addCleanup(self._check_hubs)
        self.processes = []
        self.addCleanup(self._end_processes)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("CAN_", "LC_", "LANG", "LD_"))}
        self.env["TERM"] = "xterm"
        sanitizers = f"log_path={self.reports}/report:exitcode=99"
        self.env.update(LANG="C", ASAN_OPTIONS=sanitizers, UBSAN_OPTIONS=sanitizers + ":print_stacktrace=1")

    def new_bus(self):
        self.buses.append(f"e2e-{os.getpid()}-{next(numbers)}")
        return self.buses[-1]

    def _end_processes(self):
        for process in self.processes:
            process.finish_now()

    def _check_hubs(self):
        for bus in self.buses:
            wait_until(lambda bus=bus: not raw_bus.exists(bus), f"the hub of {bus} ends")

    def _check_reports(self):
        for report in self.reports.iterdir():
            self.fail(f"a sanitizer reports:\n{report.read_text()}")

    # --- Processes ---

    def start(self, *args, env=None, **options):
        process = Process([PROGRAM, *map(str, args)], {**self.env, **(env or {})}, **options)
        self.processes.append(process)
        return process

    def run_tool(self, *args, **options):
        """Runs the program to its end: (code, out, err)."""
        return self.start(*args, **options).finish()

    def channel(self, bitrate=None):
        return f"virtual:{self.bus}" + (f"?bitrate={bitrate}" if bitrate else "")

    def flash(self, image, *args, **options):
        return self.run_tool(*self.FLASH, "-c", self.channel(), *args, image, **options)

    def send(self, image, *args, **options):
        return self.run_tool("send", *args, self.channel(), image, **options)

    def raw(self, **options):
        node = raw_bus.RawBus(self.bus, **options)
        self.addCleanup(node.socket.close)
        return node

    # --- Files ---

    def file(self, name, content):
        path = self.dir / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def image(self, version, length=9008, padding=0, **options):
        """A small image in a file; see esp.build_image()."""
        return self.file(f"app {version}.bin", esp.build_image(version, length, **options) + b"\xFF" * padding)

    def create(self, app=V123, csv=None, name="flash.bin"):
        """A new flash file."""
        path = self.dir / name
        partitions = ("--partitions", csv) if csv else ()
        done = self.run_tool("device", "--flash", path, "--create", "--app", app, *partitions)
        self.assertEqual((done.code, done.err), (0, ""))
        return path

    # --- Devices ---

    def device(self, path, *args, bitrate=None, **options):
        """A device that is listening."""
        device = self.start("device", "--flash", path, "-c", self.channel(bitrate), *args, **options)
        device.path = path
        device.wait_for("^listening on ")
        return device

    def new_device(self, app=V123, *args, csv=None, **options):
        return self.device(self.create(app, csv), *args, **options)

    def stop(self, device):
        """Ends a device as a user does; returns what it said."""
        device.kill(signal.SIGTERM)
        done = device.finish()
        self.assertEqual((done.code, done.err), (0, ""))
        return done.out

    def assert_boots(self, device, slot, app):
        """It restarts, or comes up, and runs this."""
        device.wait_for(f"^running partition: {slot}$")
        device.wait_for(f"^app: {re.escape(app)}$")

    def assert_confirms(self, device, slot, app):
        """As assert_boots(), after an update."""
        self.assert_boots(device, slot, app)
        device.wait_for(f"^self-test: passed, {slot} is confirmed$")

    def assert_runs(self, device, slot, app):
        """A device that is stopped, if it still runs, and started again with its flash file boots this."""
        path = device.path
        device.finish_now()
        device = self.start("device", "--flash", path, "-c", self.channel())
        self.assert_boots(device, slot, app)
        device.wait_for("^listening on ")
        device.path = path
        return device

    def assert_updates(self, device, slot, app, image, *args):
        """A transfer that succeeds."""
        done = self.flash(image, *args)
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, slot, app)
        return done

    def assert_fails(self, done, code, pattern):
        """This exit code, nothing on stdout, and one line on stderr in which the pattern is found."""
        self.assertEqual(done.code, code, done)
        self.assertEqual(done.out, "")
        self.assertRegex(done.err, r"\Aisotp-ota: [^\n]+\n\Z")
        self.assertRegex(done.err, pattern)

    # --- Flash files ---

    def partitions(self, path):
        return esp.parse_table(path.read_bytes()[esp.TABLE_AT:])

    def slots(self, path):
        return sum(p.is_slot for p in self.partitions(path))

    def region(self, path, label):
        p = next(p for p in self.partitions(path) if p.label == label)
        return path.read_bytes()[p.at:p.end]

    def record(self, path):
        """The boot record that rules."""
        return esp.ruling_record(self.region(path, "otadata"), self.slots(path))

    def assert_flash(self, path, partitions, content):
        """Table and partitions are what is said, the applications down to the last byte; the rest is blank."""
        flash = path.read_bytes()
        self.assertEqual(len(flash), esp.flash_size(partitions))
        expected = {"table": esp.table_bytes(partitions)}
        regions = {"table": flash[esp.TABLE_AT:esp.TABLE_AT + esp.TABLE_LEN]}
        end = 0
        outside = [esp.Partition("table", 0, 0, esp.TABLE_AT, esp.TABLE_LEN), *sorted(partitions, key=lambda p: p.at)]
        for p in outside:
            regions[f"before {p.label}"] = flash[end:p.at]
            regions[p.label] = flash[p.at:p.end]
            end = p.end
        regions["the end"] = flash[end:]
        for name, raw in regions.items():
            if name == "otadata" and "otadata" not in content:
                continue  # checked by record
            wanted = expected.get(name, content.get(name, b"")).ljust(len(raw), b"\xFF")
            if raw != wanted:  # assertEqual would print megabytes
                at = next(i for i, (a, b) in enumerate(zip(raw, wanted)) if a != b)
                self.fail(f"{name} differs at 0x{at:x}: {raw[at:at + 16].hex()}, not {wanted[at:at + 16].hex()}")


def main():
    if not PROGRAM:
        raise SystemExit("ISOTP_OTA=<the built program> is missing")
    unittest.main(verbosity=2)
