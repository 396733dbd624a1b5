#!/usr/bin/env python3
"""The simulated device's flash file, region by region, and what info says about it."""
# SPDX-License-Identifier: Apache-2.0
import json

import esp
import harness
from harness import V123, V123_APP, V130, V130_APP, VECTORS

TABLES = VECTORS / "parttable"
WITH_FACTORY = TABLES / "idf_two_ota.csv"


class FlashFile(harness.TestCase):
    FLASH = ("flash", "-P", "header")  # UDS: test_uds_updates.py

    def test_a_new_one_is_what_csv_and_image_say(self):
        for csv in [None, *sorted(TABLES.glob("*.csv"))]:
            if csv and csv.name == "verdicts.csv":
                continue
            with self.subTest(csv=csv and csv.name):
                partitions = esp.parse_csv(csv.read_text() if csv else esp.DEFAULT_CSV)
                path = self.create(V123, csv, name=f"{csv.stem if csv else 'default'}.bin")
                flash = path.read_bytes()
                self.assertTrue(flash == esp.fresh_flash(partitions, V123.read_bytes()))
                if csv:  # what ESP-IDF's own tool made of it
                    table = csv.with_suffix(".bin").read_bytes()
                    self.assertEqual(flash[esp.TABLE_AT:esp.TABLE_AT + len(table)], table)
                first = "factory" if any(p.is_factory for p in partitions) else "ota_0"
                self.assert_flash(path, partitions, {first: V123.read_bytes(), "otadata": b""})

    def test_the_application_has_its_padding_and_signature(self):
        signed = (VECTORS / "image" / "app_c3_securepad2.bin").read_bytes()
        signed += (VECTORS / "image" / "signature_rsa3072.bin").read_bytes()
        path = self.create(self.file("signed.bin", signed))
        self.assert_flash(path, esp.parse_csv(esp.DEFAULT_CSV), {"ota_0": signed, "otadata": b""})

    def test_without_factory_through_two_updates(self):
        old, new = V123.read_bytes(), V130.read_bytes()
        path = self.create()
        partitions = self.partitions(path)
        device = self.device(path)
        with self.subTest("after the first start"):
            self.assert_flash(path, partitions, {"ota_0": old})
            record = self.record(path)
            self.assertEqual((record.slot, record.state), (0, "valid"))
            self.assert_info_agrees(path, "ota_0", V123_APP)
        with self.subTest("after an update"):
            self.assert_updates(device, "ota_1", V130_APP, V130)
            self.assert_flash(path, partitions, {"ota_0": old, "ota_1": new})
            record = self.record(path)
            self.assertEqual((record.slot, record.state), (1, "valid"))
            self.assert_info_agrees(path, "ota_1", V130_APP)
        with self.subTest("after a second update"):
            third = self.image("3.0", 40000)
            self.assert_updates(device, "ota_0", "e2e 3.0", third)
            rest = old[40960:]  # sectors behind the new image's last one are not touched
            self.assert_flash(path, partitions, {"ota_0": third.read_bytes().ljust(40960, b"\xFF") + rest, "ota_1": new})
            record = self.record(path)
            self.assertEqual((record.slot, record.state), (0, "valid"))
            self.assert_info_agrees(path, "ota_0", "e2e 3.0")
        self.stop(device)

    def test_with_factory_through_two_updates(self):
        old, new = V123.read_bytes(), V130.read_bytes()
        path = self.create(csv=WITH_FACTORY)
        partitions = esp.parse_csv(WITH_FACTORY.read_text())
        device = self.start("device", "--flash", path, "-c", self.channel())
        self.assert_boots(device, "factory", V123_APP)
        device.wait_for("^listening")
        with self.subTest("after the first start"):
            self.assert_flash(path, partitions, {"factory": old, "otadata": 2 * esp.wiped_sector()})
            self.assert_info_agrees(path, "factory", V123_APP)
        with self.subTest("after an update"):
            self.assert_updates(device, "ota_0", V130_APP, V130, "--protocol", "plain")
            self.assert_flash(path, partitions, {"factory": old, "ota_0": new})
            record = self.record(path)
            self.assertEqual((record.slot, record.state), (0, "valid"))
        with self.subTest("after a second update"):
            self.assert_updates(device, "ota_1", V123_APP, V123, "--protocol", "plain")
            self.assert_flash(path, partitions, {"factory": old, "ota_0": new, "ota_1": old})
            record = self.record(path)
            self.assertEqual((record.slot, record.state), (1, "valid"))
            self.assert_info_agrees(path, "ota_1", V123_APP)
        self.stop(device)

    # --- info ---

    def info(self, path):
        done = self.run_tool("info", "--json", path)
        self.assertEqual((done.code, done.err), (0, ""))
        self.assertEqual(done.out.count("\n"), 1)
        return json.loads(done.out)

    def assert_info_agrees(self, path, boots, app):
        """info and our own reading of the dump say the same, and the next start takes `boots`."""
        told = self.info(path)
        flash = path.read_bytes()
        partitions = self.partitions(path)
        slots = self.slots(path)
        self.assertEqual((told["kind"], told["size"], told["table_offset"]), ("flash_dump", len(flash), esp.TABLE_AT))
        self.assertTrue(told["table_valid"] and told["table_md5"] and told["updatable"])
        self.assertEqual([(p["label"], p["type"], p["subtype"], p["offset"], p["size"]) for p in told["partitions"]],
                         [(p.label, p.type, p.subtype, p.at, p.size) for p in partitions])
        for p, described in zip(partitions, told["partitions"]):
            if p.is_app:
                self.assert_app_agrees(flash[p.at:p.end], described)
        otadata = self.region(path, "otadata")
        for i, described in enumerate(told["otadata"]):
            record = esp.decode_record(otadata[i * esp.SECTOR:][:esp.SECTOR], slots)
            self.assertEqual(described["blank"], record is None)
            if record:
                self.assertEqual([described[key] for key in ("sequence", "slot", "state", "starts", "confirmed")],
                                 [record.seq, f"ota_{record.slot}", record.state, record.starts, record.confirmed])
        self.assertEqual((told["boot"]["slot"], told["boot"]["on_trial"]), (boots, False))
        text = self.run_tool("info", path)
        self.assertEqual((text.code, text.err), (0, ""))
        self.assertRegex(text.out, rf"(?m)^  starts +{boots}: {app}$")

    def assert_app_agrees(self, raw, described):
        if raw == b"\xFF" * len(raw):
            self.assertEqual(described["content"], "blank")
            return
        image = esp.parse_image(raw)
        told = described["image"]
        self.assertTrue(told["valid"])
        for name in ("chip_id", "entry", "min_revision", "max_revision", "length", "project", "version",
                     "secure_version", "sha256"):
            self.assertEqual(told[name], getattr(image, name), name)
        self.assertEqual([(s["offset"], s["length"], s["load_address"]) for s in told["segments"]], image.segments)

    def test_info_of_an_image(self):
        told = self.info(V130)
        image = esp.parse_image(V130.read_bytes())
        self.assertEqual((told["kind"], told["version"], told["sha256"]), ("image", image.version, image.sha256))
        text = self.run_tool("info", V130)
        self.assertEqual((text.code, text.err), (0, ""))
        self.assertIn(image.sha256, text.out)

    def test_info_of_a_table_and_of_otadata(self):
        path = self.create()
        flash = path.read_bytes()
        table = self.info(self.file("table.bin", flash[0x8000:0x8C00]))
        self.assertEqual((table["kind"], [p["label"] for p in table["partitions"]]),
                         ("partition_table", ["nvs", "otadata", "phy_init", "ota_0", "ota_1"]))
        self.stop(self.device(path))
        otadata = self.info(self.file("otadata.bin", path.read_bytes()[0xD000:0xF000]))
        self.assertEqual((otadata["kind"], otadata["otadata"][0]["slot"]), ("otadata", "ota_0"))

    def test_info_of_what_is_nothing_of_all_that(self):
        for name, content in (("text.txt", "hello\n"), ("empty.bin", b""), ("blank.bin", b"\xFF" * 4096)):
            with self.subTest(name):
                self.assert_fails(self.run_tool("info", self.file(name, content)), 5, name)
                self.assert_fails(self.run_tool("info", "--json", self.dir / name), 5, name)
        self.assert_fails(self.run_tool("info", self.dir / "missing.bin"), 5, "No such file")
        self.assert_fails(self.run_tool("info", self.dir), 5, "is a directory")

    # --- Making one ---

    def test_an_existing_one_is_not_overwritten_without_force(self):
        path = self.file("precious.bin", "do not touch")
        done = self.run_tool("device", "--flash", path, "--create", "--app", V123)
        self.assert_fails(done, 1, "--force")
        self.assertEqual(path.read_text(), "do not touch")
        done = self.run_tool("device", "--flash", path, "--create", "--force", "--app", V123)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(path.stat().st_size, 4 << 20)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["precious.bin"])

    def test_one_that_a_device_uses_is_not_overwritten_even_with_force(self):
        device = self.new_device()
        inode = device.path.stat().st_ino
        done = self.run_tool("device", "--flash", device.path, "--create", "--force", "--app", V130)
        self.assert_fails(done, 1, "in use")
        self.assertEqual(device.path.stat().st_ino, inode)

    def test_what_cannot_be_made_leaves_nothing_behind(self):
        csv = self.file("small.csv", "otadata,data,ota,,0x2000\nota_0,app,ota_0,,64K\nota_1,app,ota_1,,64K\n")
        broken = self.file("broken.csv", "otadata,data,ota,,0x2000\nota_0,app,ota_9,,64x\n")
        text = self.file("text.txt", "hello\n")
        before = sorted(self.dir.iterdir())
        for args, code, pattern in (
                (("--app", V123, "--partitions", csv), 5, "ota_0.*does not fit"),
                (("--app", V123, "--partitions", broken), 5, "broken.csv: .*line 2"),
                (("--app", V123, "--partitions", self.dir / "missing.csv"), 5, "missing.csv: No such file"),
                (("--app", text), 5, "text.txt: .*not an ESP image"),
                (("--app", self.dir), 5, "is a directory"),
                (("--app", V123, "--chip", "esp32"), 5, "ESP32-C3.*not for ESP32"),
        ):
            with self.subTest(args):
                done = self.run_tool("device", "--flash", self.dir / "new.bin", "--create", *args)
                self.assert_fails(done, code, pattern)
        done = self.run_tool("device", "--flash", self.dir / "no folder" / "x.bin", "--create", "--app", V123)
        self.assert_fails(done, 1, "No such file or directory")
        self.assertEqual(sorted(self.dir.iterdir()), before)

    def test_is_used_by_one_device_only(self):
        device = self.new_device()
        second = self.run_tool("device", "--flash", device.path, "-c", f"virtual:{self.new_bus()}")
        self.assert_fails(second, 5, "in use by another simulated device")

    def test_that_no_device_can_start_from(self):
        for name, content, pattern in (("short.bin", b"\xFF" * 5000, "multiple of 4096"), ("empty.bin", b"", "4096"),
                                       ("blank.bin", b"\xFF" * (4 << 20), "partition table"),
                                       ("image.bin", V123.read_bytes().ljust(69632, b"\xFF"), "partition table")):
            with self.subTest(name):
                done = self.run_tool("device", "--flash", self.file(name, content), "-c", self.channel())
                self.assert_fails(done, 5, pattern)
        flash = bytearray(self.create().read_bytes())
        flash[0x10200] ^= 1
        done = self.run_tool("device", "--flash", self.file("damaged.bin", bytes(flash)), "-c", self.channel())
        self.assertEqual(done.code, 1)
        self.assertRegex(done.err, r"\Aisotp-ota: [^\n]*no slot holds an intact image[^\n]*\n\Z")
        done = self.run_tool("device", "--flash", self.dir / "missing.bin", "-c", self.channel())
        self.assert_fails(done, 5, "--create makes one")


if __name__ == "__main__":
    harness.main()
