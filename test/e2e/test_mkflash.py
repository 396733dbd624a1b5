#!/usr/bin/env python3
"""mkflash: every byte of what it makes, ESP-IDF's tables, refusals, and that nothing is left half made."""
# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import resource
import signal
import struct
import zlib

import esp
import harness
from harness import V123, V123_APP, V130, V130_APP, VECTORS

TABLES = VECTORS / "parttable"
TWO_OTA = TABLES / "two_ota_8m.csv"
FACTORY = TABLES / "ab_4m_explicit.csv"
IMAGES = VECTORS / "image"


def bootloader(chip_id, length=4096, size_mb=2):
    """An image without application descriptor, with a bootloader's."""
    descriptor = b"\x50\0\0\x01" + struct.pack("<L", 7) + b"v5.5.5".ljust(32, b"\0") + b"Jan  2 2026 12:34:56".ljust(40, b"\0")
    return esp.build_raw_image([(0x40380000, descriptor + bytes(length - 48 - 32 - len(descriptor)))], chip_id,
                               0x40380000, size_mb)


def boot_record(slot):
    seq = struct.pack("<L", slot + 1)
    record = seq + b"\xFF" * 20 + struct.pack("<LL", 2, zlib.crc32(seq, 0xFFFFFFFF))
    return record.ljust(2 * esp.SECTOR, b"\xFF")


class MkFlash(harness.TestCase):
    def mkflash(self, *args, csv=TWO_OTA, **options):
        return self.run_tool("mkflash", self.dir / "out.bin", "--partitions", csv, *args, **options)

    def made(self, *args, csv=TWO_OTA, warns=""):
        """What it makes of this, by the file's bytes."""
        path = self.dir / "out.bin"
        done = self.mkflash(*args, csv=csv)
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.err, rf"\A{warns}\Z")
        self.assertRegex(done.out, r"\Acreated [^\n]*out\.bin: [^\n]+\n\Z")
        content = path.read_bytes()
        path.unlink()
        return content

    def assert_made(self, content, csv, parts, size, table_at=esp.TABLE_AT):
        """`parts`: offset or label to bytes. Everything else is blank."""
        flash = bytearray(b"\xFF" * size)
        table = csv.with_suffix(".bin").read_bytes()
        flash[table_at:table_at + len(table)] = table
        labels = {p.label: p.at for p in esp.parse_table(table)}
        for where, data in parts.items():
            at = labels.get(where, where)
            flash[at:at + len(data)] = data
        self.assertEqual(len(content), len(flash))
        if content != flash:
            at = next(i for i, (a, b) in enumerate(zip(content, flash)) if a != b)
            self.fail(f"differs at 0x{at:x}: {content[at:at + 16].hex()}, not {flash[at:at + 16].hex()}")

    # --- What it makes ---

    def test_a_complete_flash(self):
        old, new = V123.read_bytes(), V130.read_bytes()
        fs, nvs = hashlib.shake_128(b"fs").digest(0x100000), b"nvs"
        boot = bootloader(5, size_mb=8)
        args = [f"ota_0={V123}", f"ota_1={V130}", f"storage={self.file('fs.bin', fs)}", f"nvs={self.file('n=1', nvs)}",
                f"bootloader={self.file('boot.bin', boot)}"]
        content = self.made("--boot", "ota_1", *args)
        self.assert_made(content, TWO_OTA, {0: boot, "ota_0": old, "ota_1": new, "storage": fs, "nvs": nvs,
                                            "otadata": boot_record(1)}, 8 * esp.MB)
        content = self.made(*args[1:], "--flash-size", "16MB", "--boot=ota_1")
        self.assert_made(content, TWO_OTA, {0: boot, "ota_1": new, "storage": fs, "nvs": nvs,
                                            "otadata": boot_record(1)}, 16 * esp.MB)

    def test_the_bootloader_lies_where_the_chip_has_it(self):
        for chip, chip_id, at in (("esp32", 0, 0x1000), ("esp32s2", 2, 0x1000), ("esp32c3", 5, 0), ("esp32p4", 18, 0x2000)):
            for size_mb, warns in ((2, "[^\n]* made for 2 MB of flash and will refuse [^\n]*\n"), (8, ""),
                                   (16, "[^\n]* made for 16 MB of flash, this is 8 MB\n")):
                with self.subTest(chip, size_mb=size_mb):
                    boot = bootloader(chip_id, size_mb=size_mb)
                    content = self.made("--chip", chip, f"bootloader={self.file('boot.bin', boot)}", warns=warns)
                    self.assert_made(content, TWO_OTA, {at: boot}, 8 * esp.MB)

    def test_with_factory(self):
        rescue, app = V123.read_bytes(), V130.read_bytes()
        for boot, otadata in (((), b""), (("--boot", "factory"), b""), (("--boot", "ota_0"), boot_record(0))):
            with self.subTest(boot):
                content = self.made(f"factory={V123}", f"ota_0={V130}", *boot, csv=FACTORY)
                self.assert_made(content, FACTORY, {"factory": rescue, "ota_0": app, "otadata": otadata}, 4 * esp.MB)

    def test_a_binary_table_serves_as_well(self):
        content = self.made(f"ota_0={V123}", csv=TWO_OTA.with_suffix(".bin"))
        self.assert_made(content, TWO_OTA, {"ota_0": V123.read_bytes()}, 8 * esp.MB)

    def test_esp_idf_s_tables_in_a_flash_and_alone(self):
        for csv, name, at, args in ((TWO_OTA, "two_ota_8m", 0x8000, ()), (FACTORY, "ab_4m_explicit", 0x8000, ()),
                                    (TWO_OTA, "two_ota_8m_nomd5", 0x8000, ("--no-md5",)),
                                    (TWO_OTA, "two_ota_8m_off0x10000", 0x10000, ("--table-offset", "0x10000")),
                                    (TABLES / "idf_two_ota.csv", "idf_two_ota", 0x8000, ()),
                                    (TABLES / "idf_two_ota_large.csv", "idf_two_ota_large", 0x8000, ())):
            with self.subTest(name):
                table = (TABLES / f"{name}.bin").read_bytes()
                self.assertEqual(self.made("--table-only", *args, csv=csv), table)
                content = self.made(*args, csv=csv)
                self.assertEqual(content[at:at + len(table)], table)
                self.assertEqual(set(content[:at] + content[at + len(table):]), {0xFF})

    def test_every_golden_case_of_the_generator(self):
        options = {"--disable-md5sum": ["--no-md5"], "--secure v1": ["--secure-v1"], "--secure v2": []}
        names = {"--offset": "--table-offset", "--primary-bootloader-offset": "--bootloader-offset",
                 "--flash-size": "--flash-size"}
        cases = (TABLES / "csv_cases.txt").read_bytes().split(b"\ncase ")[1:]
        self.assertEqual(len(cases), 66)
        for case in cases:
            lines = case.split(b"\n")
            fields = dict(line.split(b" ", 1) for line in lines[1:] if b" " in line and line[:1] != b"|")
            with self.subTest(lines[0].decode()):
                words = fields.get(b"arg", b"").decode()
                args = []
                for known, ours in options.items():
                    if known in words:
                        args += ours
                        words = words.replace(known, "")
                for word in words.split():
                    args.append(names.get(word, word))
                csv = self.file("case.csv", b"".join(line[1:] + b"\n" for line in lines if line[:1] == b"|"))
                if fields[b"rc"] == b"0":
                    table = bytes.fromhex(fields[b"hex"].decode()).ljust(int(fields[b"len"]), b"\xFF")
                    self.assertEqual(self.made("--table-only", *args, csv=csv), table)
                else:
                    self.assert_fails(self.mkflash("--table-only", *args, csv=csv), 5, "case.csv: .")
                    self.assertEqual(list(self.dir.iterdir()), [csv])

    def test_what_it_makes_boots_and_can_be_updated(self):
        for csv, app, boot, first, then in ((TWO_OTA, "ota_0", (), "ota_0", "ota_1"),
                                            (TWO_OTA, "ota_1", ("--boot", "ota_1"), "ota_1", "ota_0"),
                                            (FACTORY, "factory", (), "factory", "ota_0")):
            with self.subTest(app):
                self.assertEqual(self.mkflash(f"{app}={V123}", *boot, csv=csv).code, 0)
                path = self.dir / "out.bin"
                device = self.start("device", "--flash", path, "-c", self.channel())
                self.assert_boots(device, first, V123_APP)
                device.wait_for("^listening on ")
                self.assert_updates(device, then, V130_APP, V130)
                self.stop(device)
                path.unlink()

    def test_a_table_without_slots_is_a_table(self):
        csv = self.file("one.csv", "nvs,data,nvs,,24K\nfactory,app,factory,,1M\n")
        content = self.made(f"factory={V123}", csv=csv, warns="[^\n]*app_c3_v123.bin is made for 4 MB of flash, this is 2 MB\n")
        self.assertEqual((len(content), content[0x10000:0x10000 + 65664]), (2 * esp.MB, V123.read_bytes()))

    def test_lenient_takes_what_esp_idf_would_start(self):
        app = IMAGES / "app_c3_nohash.bin"
        content = self.made("--lenient", f"ota_0={app}")
        self.assert_made(content, TWO_OTA, {"ota_0": app.read_bytes()}, 8 * esp.MB)

    # --- Refusals ---

    def test_refusals_are_one_line_and_leave_nothing(self):
        damaged = bytearray(V123.read_bytes())
        damaged[0x800] ^= 1
        bad = self.file("bad.bin", bytes(damaged))
        big = self.file("big.bin", bytes(4097))
        boot = self.file("boot.bin", bootloader(5))
        far = self.file("far.bin", bootloader(5, 0x8010))
        broken = self.file("broken.csv", "a,data,nvs,,24K\nb,dat,nvs,,4K\n")
        table = bytearray(TWO_OTA.with_suffix(".bin").read_bytes())
        table[40] ^= 1
        broken_table = self.file("broken.bin", bytes(table))
        before = sorted(self.dir.iterdir())
        app = f"ota_0={V123}"
        for csv, args, code, pattern in (
                (TWO_OTA, ("ota_0",), 2, "'ota_0' is not PARTITION=FILE"),
                (TWO_OTA, ("ota_0=",), 2, "'ota_0=' is not PARTITION=FILE"),
                (TWO_OTA, ("--flash-size", "3MB"), 2, "'3MB' is not 1MB, 2MB"),
                (TWO_OTA, ("--flash-size", "256MB"), 2, "'256MB'"),
                (TWO_OTA, ("--flash-size", "8"), 2, "'8'"),
                (TWO_OTA, ("--chip", "z80"), 2, "'z80' is none of esp32, "),
                (TWO_OTA, ("--table-offset", "0x8100"), 2, "--table-offset"),
                (TWO_OTA, ("--bootloader-offset", "0x100"), 2, "--bootloader-offset"),
                (TWO_OTA, ("--table-only", app), 2, "--table-only"),
                (TWO_OTA, ("--table-only", "--boot", "ota_0"), 2, "--table-only"),
                (self.dir / "missing.csv", (app,), 5, "missing.csv: No such file"),
                (broken, (app,), 5, "broken.csv: line 2: type 'dat'"),
                (broken_table, (app,), 5, "broken.bin: .*MD5"),
                (TWO_OTA, ("ota_0=missing.bin",), 5, "missing.bin: No such file"),
                (TWO_OTA, (f"ota_0={self.dir}",), 5, "is a directory"),
                (TWO_OTA, (f"ota_0={bad}",), 5, "bad.bin cannot go to ota_0: .*damaged"),
                (TWO_OTA, (f"ota_0={big}",), 5, "not an ESP image"),
                (TWO_OTA, (f"phy_init={big}",), 5, "big.bin cannot go to phy_init: it has 4097 bytes, the partition 4096"),
                (TWO_OTA, (f"ota_0={IMAGES / 'app_c3_nohash.bin'}",), 5, "no SHA-256"),
                (TWO_OTA, (app, f"ota_1={IMAGES / 'app_c6.bin'}"), 5, "ESP32-C6 .*not for ESP32-C3"),
                (TWO_OTA, ("--chip", "esp32", app), 5, "ESP32-C3 .*not for ESP32"),
                (TWO_OTA, (app, app), 5, "ota_0 is given twice"),
                (TWO_OTA, (f"ota_2={V123}",), 5, "no partition 'ota_2'; there are nvs, otadata, phy_init, ota_0, ota_1"),
                (TWO_OTA, (app, "--boot", "ota_1"), 5, "ota_1 cannot be started: no application"),
                (TWO_OTA, (app, "--boot", "nvs"), 5, "nvs cannot be started"),
                (TWO_OTA, (app, "--boot", "ota_7"), 5, "no partition 'ota_7'"),
                (TWO_OTA, (app, f"otadata={big}", "--boot", "ota_0"), 5, "otadata is given"),
                (TWO_OTA, (app, "--flash-size", "4MB"), 5, "line .*'ota_1' ends at 0x620000, the flash at 0x400000"),
                (TWO_OTA, (f"bootloader={far}",), 5, "far.bin cannot go to bootloader: .* room for 32768"),
                (TWO_OTA, (f"bootloader={big}",), 5, "big.bin cannot go to bootloader"),
                (TWO_OTA, (f"bootloader={boot}", f"ota_0={IMAGES / 'app_c6.bin'}"), 5, "ESP32-C6 .*not for ESP32-C3"),
        ):
            with self.subTest(args):
                self.assert_fails(self.mkflash(*args, csv=csv), code, pattern)
                self.assertEqual(sorted(self.dir.iterdir()), before)
        self.assert_fails(self.run_tool("mkflash"), 2, "OUT is missing")
        self.assert_fails(self.run_tool("mkflash", "--partitions", TWO_OTA, "a=b/c"), 2, "OUT is missing before a=b/c")
        self.assert_fails(self.run_tool("mkflash", "x.bin"), 2, "--partitions FILE is missing")
        self.assert_fails(self.run_tool("mkflash", self.dir / "no" / "x", "--partitions", TWO_OTA), 1, "No such file")

    def test_an_existing_file_needs_force(self):
        path = self.file("out.bin", "precious")
        self.assert_fails(self.mkflash(), 1, "out.bin: exists; --force overwrites it")
        self.assertEqual(path.read_text(), "precious")
        self.assertEqual(len(self.made("--force")), 8 * esp.MB)
        path.symlink_to(self.dir / "nowhere")
        self.assert_fails(self.mkflash(), 1, "out.bin: exists")
        path.unlink()
        os.mkfifo(path)
        self.assert_fails(self.mkflash("--force"), 1, "out.bin: is not a file")

    def test_one_that_a_device_uses_is_not_overwritten(self):
        device = self.new_device()
        done = self.run_tool("mkflash", device.path, "--force", "--partitions", TWO_OTA)
        self.assert_fails(done, 1, "in use by another simulated device")

    # --- Interruptions ---

    def test_a_write_that_fails_leaves_what_was_there(self):
        for content in (None, "precious"):
            with self.subTest(content):
                if content:
                    self.file("out.bin", content)
                done = self.mkflash("--force",
                                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
                self.assert_fails(done, 1, "out.bin: File too large")
                self.assertEqual([p.name for p in self.dir.iterdir()], ["out.bin"] if content else [])
        self.assertEqual((self.dir / "out.bin").read_text(), "precious")

    def test_a_signal_leaves_a_whole_file_or_none(self):
        # Sent as soon as anything is in the folder, so while it is being written.
        out = self.dir / "out.bin"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number):
                process = self.start("mkflash", out, "--partitions", TWO_OTA, "--flash-size", "128MB")
                harness.wait_until(lambda: any(self.dir.iterdir()), "a file appears")
                process.kill(number)
                done = process.finish()
                self.assertIn(done.code, (0, -number), done)
                self.assertEqual([p.name for p in self.dir.iterdir()], ["out.bin"])
                self.assertEqual(out.stat().st_size, 128 * esp.MB)
                out.unlink()


if __name__ == "__main__":
    harness.main()
