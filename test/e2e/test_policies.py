#!/usr/bin/env python3
"""What a device wants of firmware besides being intact: its project, its secure version, its confirmation in time."""
# SPDX-License-Identifier: Apache-2.0
import esp
import harness
from harness import V123, V123_APP, V130, V130_APP, VECTORS

V110 = VECTORS / "image" / "app_c3_v110_oldsec.bin"  # secure version 1; V123 has 2, V130 has 3


class Policies(harness.TestCase):
    FLASH = ("flash", "-P", "header")  # UDS: test_uds_updates.py

    def bits(self, path):
        raw = path.read_bytes()
        self.assertEqual(len(raw), 4)
        return int.from_bytes(raw, "little").bit_count()

    def test_no_way_back_behind_what_was_confirmed(self):
        efuse = self.dir / "efuse"
        device = self.new_device(V123, "--efuse", efuse)
        self.assertEqual(self.bits(efuse), 2)
        before = device.path.read_bytes()
        for protocol in ("header", "plain"):
            self.assert_fails(self.flash(V110, "-q", "-P", protocol), 4, "secure version")
        self.assertTrue(before == device.path.read_bytes())
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.assertEqual(self.bits(efuse), 3)
        self.assert_fails(self.flash(V123, "-q"), 4, "secure version")
        self.stop(device)
        # The bootloader obeys as well: with the newer one damaged, the older one may not run.
        flash = bytearray(device.path.read_bytes())
        flash[flash.index(V130.read_bytes()) + 1000] ^= 1
        device.path.write_bytes(flash)
        done = self.run_tool("device", "--flash", device.path, "--efuse", efuse, "-c", self.channel())
        self.assertEqual(done.code, 1, done)
        self.assertIn("nothing boots", done.err)
        self.assert_runs(device, "ota_0", V123_APP)  # without a counter it does

    def test_what_rejects_itself_does_not_count(self):
        efuse = self.dir / "efuse"
        device = self.new_device(V123, "--efuse", efuse, "--fail-self-test")
        self.flash(V130, "-q")
        device.wait_for("^self-test: FAILED, ota_1 is rejected")
        self.assert_boots(device, "ota_0", V123_APP)
        self.assertEqual(self.bits(efuse), 2)

    def test_files_that_are_no_efuse(self):
        path = self.create()
        for other, why in ((path, "not a file of 4 bytes"), (self.dir, "not a file"),
                           (self.dir / "missing" / "efuse", "No such file"), (self.file("empty", b""), "not a file of 4 bytes")):
            with self.subTest(other):
                done = self.run_tool("device", "--flash", path, "--efuse", other, "-c", self.channel())
                self.assert_fails(done, 5, why)
                self.assertIn(str(other), done.err)

    def test_firmware_of_another_project(self):
        device = self.new_device(V123, "--project", "canfwupd-golden")
        before = device.path.read_bytes()
        for protocol in ("header", "plain"):
            self.assert_fails(self.flash(self.image("2.0"), "-q", "-P", protocol), 4, "another project")
        self.assertTrue(before == device.path.read_bytes())
        self.assert_updates(device, "ota_1", V130_APP, V130)

    def test_under_esp_idf_s_bootloader(self):
        device = self.new_device(V123, "--idf-bootloader")
        self.assert_updates(device, "ota_1", V130_APP, V130)
        self.assert_updates(device, "ota_0", V123_APP, V123)
        self.assertNotIn("never confirmed", self.stop(device))
        device = self.device(device.path, "--idf-bootloader", "--fail-self-test")
        self.flash(V130, "-q")
        device.wait_for("^self-test: FAILED, ota_1 is rejected")
        self.assert_boots(device, "ota_0", V123_APP)
        self.stop(device)
        self.assert_runs(device, "ota_0", V123_APP)  # and ours agrees

    def test_power_fails_while_it_confirms_itself(self):
        for attempts, slot, app in (("1", "ota_0", V123_APP), ("2", "ota_1", V130_APP)):
            path = self.create(name=f"attempts {attempts}.bin")
            flash = bytearray(path.read_bytes())
            at = {p.label: p.at for p in self.partitions(path)}
            flash[at["ota_1"]:at["ota_1"] + V130.stat().st_size] = V130.read_bytes()
            for i, state in enumerate(("valid", "new")):  # as ESP-IDF's esp_ota_set_boot_partition() leaves it
                where = at["otadata"] + i * esp.SECTOR
                flash[where:where + 32] = esp.record_bytes(i + 1, state)
            path.write_bytes(flash)
            # Two marks of the bootloader come first: the record is whole, and it was started.
            done = self.run_tool("device", "--flash", path, "-c", self.channel(), "--cut-power", "3")
            self.assertIn("power cut in flash operation 3", done.out)
            device = self.start("device", "--flash", path, "-c", self.channel(), "--attempts", attempts)
            device.path = path
            self.assert_boots(device, slot, app)
            device.wait_for("^listening")
            self.assertEqual("never confirmed" in self.stop(device), attempts == "1")
            self.assertEqual(self.record(path).state, "valid")


if __name__ == "__main__":
    harness.main()
