#!/usr/bin/env python3
"""The command line: help, wrong usage, output to people and to programs, places where it cannot be written."""
# SPDX-License-Identifier: Apache-2.0
import fcntl
import json
import os
import pty
import re
import select
import struct
import termios
import time

import esp
import harness
from harness import V123, V130, V130_APP

BUS_OPTIONS = ["-i", "--interface", "-c", "--channel", "-b", "--bitrate", "-s", "--source", "-d", "--destination", "-p",
               "--padding", "--fd", "--log", "--functional", "-h", "--help"]
OPTIONS = {
    "flash": BUS_OPTIONS + ["-P", "--protocol", "--stmin", "--json", "-q", "--quiet", "--profile", "--show-profile", "--report",
                             "--key", "--key-program", "--no-resume", "--block-max", "--block-retry", "--timeout"],
    "device": BUS_OPTIONS + ["-f", "--flash", "--create", "--partitions", "--app", "--force", "--chip", "--chip-rev", "--efuse", "--project", "--key",
                             "--attempts", "--idf-bootloader", "--bs", "--stmin", "--fail-self-test", "--cut-power", "--slow-flash"],
    "send": BUS_OPTIONS + ["--stmin", "--json", "-q", "--quiet"],
    "probe": BUS_OPTIONS,
    "monitor": BUS_OPTIONS + ["--frames", "--json"],
    "raw": BUS_OPTIONS + ["--all", "--timeout", "--json"],
    "scan": BUS_OPTIONS + ["--range", "--extended", "--json"],
    "info": ["--json", "-h", "--help"],
    "mkflash": ["--partitions", "--boot", "--flash-size", "--chip", "--lenient", "--table-only", "--force", "--table-offset",
                "--bootloader-offset", "--no-md5", "--secure-v1", "-h", "--help"],
}


class CommandLine(harness.TestCase):
    FLASH = ("flash", "-P", "header")  # UDS: test_uds_updates.py

    # --- Help ---

    def test_help_of_every_command_names_its_options(self):
        for command, options in OPTIONS.items():
            with self.subTest(command):
                done = self.run_tool(command, "--help")
                self.assertEqual((done.code, done.err), (0, ""))
                self.assertRegex(done.out, rf"\AUsage: isotp-ota {command} ")
                named = re.findall(r"(?m)^  +(-\w), (--[\w-]+)|^  +(--[\w-]+)", done.out)
                self.assertEqual(sorted(o for names in named for o in names if o), sorted(options))
                self.assertLessEqual(max(map(len, done.out.splitlines())), 110)
                self.assertEqual(self.run_tool(command, "-h"), done)

    def test_help_and_version_of_the_program(self):
        done = self.run_tool("--help")
        self.assertEqual((done.code, done.err), (0, ""))
        for command in OPTIONS:
            self.assertRegex(done.out, rf"(?m)^  {command} ")
        self.assertEqual(self.run_tool("-h"), done)
        self.assertEqual(self.run_tool("help"), done)
        none = self.run_tool()
        self.assertEqual((none.code, none.out, none.err), (2, "", done.out))
        version = self.run_tool("--version")
        self.assertEqual((version.code, version.err), (0, ""))
        self.assertRegex(version.out, r"\Aisotp-ota \d+\.\d+\.\d+\n\Z")

    # --- Wrong usage ---

    def test_wrong_usage(self):
        flash = ("flash", "-c", "virtual:none")
        device = ("device", "--flash", "x.bin")
        for args, pattern in (
                (("fly",), "unknown command 'fly'"),
                (("--fly",), "unknown .*'--fly'"),
                (("",), "unknown command"),
                ((*flash, "--fly", "x"), "--fly"),
                ((*flash, "-x", "x"), "-x"),
                ((*flash, "-qx", "x"), "-x"),
                ((*flash, "--quiet=yes", "x"), "--quiet"),
                ((*flash, "--s", "1", "x"), "--s"),
                (flash, "FILE"),
                ((*flash, "a", "b"), "'b' is one argument too many"),
                ((*flash, "x", "--channel"), "--channel needs an argument"),
                ((*flash, "x", "-c"), "-c needs an argument"),
                ((*flash, "-P", "kwp", "x"), "'kwp'"),
                ((*flash, "--protocol", "", "x"), "--protocol"),
                ((*flash, "-P", "plain", "--no-resume", "x"), "--protocol uds"),
                ((*flash, "--profile", "nowhere", "x"), "'nowhere' is neither isotp-ota nor standard"),
                ((*flash, "--profile", V130, "x"), ":1: .*no text|:1: .*too long"),
                ((*flash, "--key", "nowhere", "x"), "--key: nowhere"),
                ((*flash, "--key", "a", "--key-program", "b", "x"), "one of them"),
                ((*flash, "-s", "800", "x"), "'800' is not a CAN identifier"),
                ((*flash, "-s", "0x7E0", "x"), "'0x7E0' is not a CAN identifier"),
                ((*flash, "-s", "20000000", "x"), "'20000000' is not a CAN identifier"),
                ((*flash, "-d", "123456789", "x"), "is not a CAN identifier"),
                ((*flash, "-d", "", "x"), "'' is not a CAN identifier"),
                ((*flash, "-d", "-1", "x"), "'-1' is not a CAN identifier"),
                ((*flash, "-s", "18DA10F1", "x"), "29 bit"),
                ((*flash, "-s", "7E8", "x"), "same"),
                ((*flash, "-b", "5", "x"), "'5' is not a number from 1000 to 8000000"),
                ((*flash, "-b", "fast", "x"), "'fast' is not a number"),
                ((*flash, "--bitrate", "99999999999999999999", "x"), "is not a number"),
                ((*flash, "-p", "100", "x"), "'100' is not a byte"),
                ((*flash, "--stmin", "-1", "x"), "'-1' is not a number"),
                ((*flash, "--stmin", "nan", "x"), "'nan' is not a number"),
                (("device",), "--flash FILE is missing"),
                ((*device, "--create"), "--create needs --app"),
                ((*device, "--app", "x"), "go with --create"),
                ((*device, "--stmin", "1.5"), "--stmin"),
                ((*device, "--bs", "256"), "'256' is not a number from 0 to 255"),
                ((*device, "--cut-power", "0"), "'0' is not a number from 1"),
                ((*device, "--chip", "z80"), "'z80' is none of esp32, "),
                ((*device, "word"), "'word' is one argument too many"),
                (("send", "virtual:none"), "FILE"),
                (("send",), "INTERFACE"),
                (("send", "a", "b", "c"), "'c' is one argument too many"),
                (("probe",), "INTERFACE"),
                (("probe", "a", "b"), "'b' is one argument too many"),
                (("info",), "FILE"),
                (("info", "a", "b"), "'b' is one argument too many"),
        ):
            with self.subTest(args):
                self.assert_fails(self.run_tool(*args), 2, pattern)

    def test_channels_that_are_none(self):
        for args, env, pattern in (
                ((), {}, "no CAN channel: name one with -c"),
                (("-c", "virtual:"), {}, "the name must be 1 to 64 characters"),
                (("-c", "virtual:a b"), {}, "the name must be 1 to 64 characters"),
                (("-c", "virtual:" + "n" * 65), {}, "the name must be 1 to 64 characters"),
                (("-c", "virtual:x?bitrate=5"), {}, "1000"),
                (("-c", "virtual:x?speed=500000"), {}, "bitrate=N"),
                (("-c", "virtual:x?bitrate=500000", "-b", "250000"), {}, "name only one"),
                (("-c", "no-such-can"), {}, "no-such-can"),
                (("-c", "a-name-that-is-too-long-for-an-interface"), {}, "a-name-that-is-too-long"),
                (("-c", "virtual:x", "-i", "socketcan"), {}, "leave out -i"),
                (("-c", "x", "-i", "morse"), {}, "unknown interface morse"),
                (("-c", "/dev/ttyACM0"), {}, "slcan"),
                (("-c", "virtual:x"), {"CAN_BITRATE": "fast"}, "CAN_BITRATE=fast"),
        ):
            with self.subTest((args, env)):
                self.assert_fails(self.run_tool(*self.FLASH, "-q", *args, V130, env=env), 3, pattern)

    def test_the_channel_from_the_environment(self):
        device = self.new_device()
        done = self.run_tool(*self.FLASH, V130, env={"CAN_CHANNEL": self.channel()})
        self.assertEqual(done.code, 0, done)
        self.assert_confirms(device, "ota_1", V130_APP)
        self.assertIn(f"listening on {self.channel()}", self.stop(device))
        device = self.start("device", "-f", device.path, env={"CAN_CHANNEL": self.bus, "CAN_INTERFACE": "virtual"})
        device.wait_for(f"^listening on {self.bus}: 7E0, answering on 7E8$")

    # --- probe ---

    def test_probe(self):
        done = self.run_tool("probe", self.channel())
        self.assert_fails(done, 3, "flow control timeout: nobody answered on 7E8 to the first frame on 7E0")
        device = self.new_device(V123, "--bs", "8", "--stmin", "0.2")
        for _ in range(2):
            done = self.run_tool("probe", self.channel())
            self.assertEqual((done.code, done.err), (0, ""))
            self.assertRegex(done.out, r"\A7E8 answered after \d+\.\d ms: a device is there[^\n]*\n\Z")
        self.assert_updates(device, "ota_1", "e2e 1", self.image("1"))

    # --- JSON ---

    def json_lines(self, done):
        """The JSON lines; the last one tells the exit code."""
        lines = [json.loads(line) for line in done.out.splitlines()]
        self.assertTrue(done.out.endswith("\n"))
        self.assertEqual(lines[-1]["exit"], done.code)
        for line in lines[:-1]:
            self.assertEqual(set(line), {"event", "sent", "total", "seconds"})
            self.assertEqual(line["event"], "progress")
        return lines

    def test_json_of_an_update(self):
        device = self.new_device()
        done = self.flash(V130, "--json")
        self.assertEqual((done.code, done.err), (0, ""))
        lines = self.json_lines(done)
        self.assertEqual((lines[-1]["event"], lines[-1]["bytes"], lines[-1]["file"]), ("done", 65664, str(V130)))
        sent = [line["sent"] for line in lines[:-1]]
        self.assertEqual(sent, sorted(sent))
        self.assertGreater(len(sent), 0)
        self.assertEqual(lines[-2]["sent"], lines[-2]["total"])
        self.assert_confirms(device, "ota_1", V130_APP)
        self.assertEqual(self.json_lines(self.send(V123, "--json"))[-1]["event"], "done")

    def test_json_of_failures(self):
        text = self.file("text.txt", "hello, world\n" * 10)
        esp32 = V130.parent / "app_esp32.bin"

        def check(done, code, pattern):
            self.assertEqual(done.code, code, done)
            last = self.json_lines(done)[-1]
            self.assertEqual(last["event"], "failed")
            self.assertRegex(last["reason"], pattern)
            # People get the same, once.
            self.assertRegex(done.err, r"\Aisotp-ota: [^\n]+\n\Z")
            self.assertIn(last["reason"], done.err)

        check(self.flash(text, "--json"), 5, "not an ESP image")
        check(self.flash(self.dir / "missing", "--json"), 5, "No such file")
        check(self.flash(V130, "--json"), 3, "nobody answered")
        check(self.run_tool(*self.FLASH, "--json", "-c", "virtual:", V130), 3, "the name must be")
        check(self.run_tool("send", "--json", self.channel(), self.file("empty", "")), 5, "empty")
        self.new_device()
        check(self.flash(esp32, "--json"), 4, "another chip")
        check(self.send(esp32, "--json"), 4, "another chip")
        check(self.send(text, "--json"), 4, "OVFLW")

    def test_json_of_a_file_with_any_name(self):
        for name in ("quote\" back\\slash", "tab\tnew\nline", "prüfe ☃", os.fsdecode(b"latin \xFC.bin")):
            for language in ("C", "C.UTF-8"):
                with self.subTest((name, language)):
                    path = self.dir / name
                    path.write_text("no image, but long enough")
                    done = self.flash(path, "--json", env={"LANG": language})
                    told = self.json_lines(done)[-1]["file"]
                    self.assertEqual(told, os.fsencode(path).decode("utf-8", "replace"))
                    path.unlink()

    # --- Languages ---

    def test_a_path_that_is_not_ascii(self):
        for language in ("C", "C.UTF-8", "de_DE.UTF-8"):
            with self.subTest(language):
                image = self.image("prüfe ☃")
                env = {"LANG": language, "LC_ALL": language}
                device = self.new_device()
                done = self.flash(image, env=env)
                self.assertEqual(done.code, 0, done)
                self.assertTrue(done.out.startswith(f"{image}: 9008 bytes in "), done.out)
                self.assert_confirms(device, "ota_1", "e2e prüfe ☃")
                self.assertIn("e2e prüfe ☃", self.run_tool("info", device.path, env=env).out)
                self.stop(device)
                device.path.unlink()

    def test_text_from_an_image_does_not_reach_the_terminal_as_it_is(self):
        image = self.image("1", project="\x1B[31mred\nrunning partition: ota_")
        device = self.new_device()
        done = self.flash(image)
        self.assertEqual(done.code, 0, done)
        device.wait_for(r"^app: \\x1b\[31mred\\x0arunning partition: ota_ 1$")
        self.assertNotIn("\x1B", done.err + done.out + device.text("stdout"))
        self.assertNotIn("\x1B", self.run_tool("info", image).out)

    # --- Progress ---

    def test_progress_in_lines(self):
        device = self.new_device(self.image("old"), bitrate=250000)
        done = self.assert_updates(device, "ota_1", "e2e 1", self.image("1", 10000))
        lines = done.err.splitlines()
        self.assertIn("e2e 1 for ESP32-C3, 10000 bytes", lines[0])
        steps = [int(re.search(r": (\d+)% \(\d+ of \d+ bytes, [\d.]+ s\)$", line)[1]) for line in lines[1:]]
        self.assertEqual(steps, sorted(set(steps)))
        self.assertGreater(len(steps), 2)
        self.assertNotIn("\r", done.err)
        done = self.flash(self.image("2"), "--quiet")
        self.assertEqual((done.code, done.err), (0, ""))

    def on_terminal(self, image, columns, *args, env=None):
        """What a flash process writes to a terminal of this width: (exit code, text)."""
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        process = self.start(*self.FLASH, "-c", self.channel(), *args, image, stderr=slave, env=env)
        os.close(slave)
        text = b""
        deadline = time.monotonic() + harness.TIMEOUT
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 1)[0]:
                continue
            try:
                piece = os.read(master, 4096)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            text += piece
        return process.finish().code, text.decode()

    def test_progress_on_a_terminal_is_a_bar_that_fits(self):
        device = self.new_device(self.image("old"), bitrate=250000)
        slot = 1
        for columns in (200, 80, 40, 20, 10, 3):
            with self.subTest(columns):
                image = self.file(f"with a long name, which is cut, prüfe {columns}.bin",
                                  esp.build_image(f"{columns}", 8000))
                code, text = self.on_terminal(image, columns)
                self.assertEqual(code, 0, text)
                text = text.replace("\r\n", "\n")
                bars = [bar for line in text.split("\n") for bar in line.split("\r")[1:]]
                self.assertGreater(len(bars), 2)
                for bar in bars:
                    shown = re.sub(r"\x1B\[\d*[A-Z]", "", bar)
                    self.assertNotIn("\x1B", shown)
                    self.assertLess(len(shown), columns)  # the last column stays free, else some terminals wrap
                    if columns >= 80:
                        self.assertRegex(shown, r"\[#*\.*\] +\d+%")
                    if columns >= 10:
                        self.assertRegex(shown, r"\d+%")
                self.assertTrue(text.endswith("\n"))
                self.assert_confirms(device, f"ota_{slot}", f"e2e {columns}")
                slot = 1 - slot

    def test_no_bar_when_it_is_not_wanted(self):
        device = self.new_device(self.image("old"), bitrate=250000)
        code, text = self.on_terminal(self.image("1"), 80, "--quiet")
        self.assertEqual((code, text), (0, ""))
        self.assert_confirms(device, "ota_1", "e2e 1")
        code, text = self.on_terminal(self.image("2"), 80, env={"TERM": "dumb"})
        self.assertEqual(code, 0)
        self.assertNotIn("\x1B", text)
        self.assertRegex(text, r"\d+% \(\d+ of \d+ bytes")

    def test_an_error_comes_on_a_line_of_its_own(self):
        self.new_device(V123, bitrate=250000)
        image = bytearray(self.image("1").read_bytes())
        image[4000] ^= 1
        image[4001] ^= 1  # the checksum is as before, and the digest is wrong
        path = self.file("bad.bin", bytes(image))
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        process = self.start("send", self.channel(), path, stderr=slave)
        os.close(slave)
        text = b""
        while select.select([master], [], [], harness.TIMEOUT)[0]:
            try:
                text += os.read(master, 4096)
            except OSError:
                break
        self.assertEqual(process.finish().code, 4)
        self.assertRegex(text.decode(), r"\nisotp-ota: [^\r\n]*wrong SHA-256[^\r\n]*\r\n\Z")

    # --- Where it cannot be written ---

    def run_with_stdout(self, how, *args):
        """`how`: a shell redirection."""
        command = f'exec "$0" "$@" {how}'
        process = harness.Process(["/bin/sh", "-c", command, harness.PROGRAM, *map(str, args)], self.env)
        self.processes.append(process)
        return process

    def test_standard_output_that_is_full_or_closed(self):
        device = self.new_device()
        path = self.file("flash 2.bin", device.path.read_bytes())
        for how in (">/dev/full", ">&-"):
            for args in (("--help",), ("--version",), ("flash", "--help"), ("info", V130), ("info", "--json", path),
                         ("probe", self.channel())):
                with self.subTest((how, args)):
                    done = self.run_with_stdout(how, *args).finish()
                    self.assert_fails(done, 1, "standard output: ")

    def test_an_update_whose_result_cannot_be_written(self):
        device = self.new_device(self.image("old"))
        slot = 1
        for how in (">/dev/full", ">&-"):
            for options in ((), ("--json",)):
                with self.subTest((how, options)):
                    image = self.image(f"{slot}")
                    process = self.run_with_stdout(how, *self.FLASH, "-q", "-c", self.channel(), *options, image)
                    self.assert_fails(process.finish(), 1, "standard output: ")
                    self.assert_confirms(device, f"ota_{slot}", f"e2e {slot}")
                    slot = 1 - slot

    def test_a_reader_that_leaves_does_not_end_the_transfer(self):
        device = self.new_device(V123, bitrate=500000)
        read, write = os.pipe()
        process = self.start(*self.FLASH, "-q", "--json", "-c", self.channel(), self.image("1", 20000), stdout=write)
        os.close(write)
        self.assertTrue(os.read(read, 1))
        os.close(read)
        done = process.finish()
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, r"\Aisotp-ota: [^\n]*standard output: Broken pipe\n\Z")
        self.assert_confirms(device, "ota_1", "e2e 1")

    def test_a_device_without_standard_output_leaves_its_flash_file_alone(self):
        path = self.create(self.image("old"))
        before = path.read_bytes()
        for how in (">&-", ">&- 2>&-", "<&- >&- 2>&-"):
            device = self.run_with_stdout(how, "device", "--flash", path, "-c", self.channel())
            done = self.flash(self.image("1"))  # three attempts: it need not be there yet
            self.assertEqual(done.code, 0, done)
            device.kill(15)
            self.assertEqual(device.finish().code, 1)
            after = path.read_bytes()
            self.assertEqual(len(after), len(before))
            self.assertTrue(after[:0xD000] == before[:0xD000])
            path.write_bytes(before)


if __name__ == "__main__":
    harness.main()
