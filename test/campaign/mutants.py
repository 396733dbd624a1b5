#!/usr/bin/env python3
"""mutants.py COMPILER: plants faults in copies of the update engine; the campaign must find each of them.

How: test/mutation.py.
"""
# SPDX-License-Identifier: Apache-2.0
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test"))
from mutation import Program  # noqa: E402 (its folder is known only now)

# What of the campaign is run for a mutant: one cut, three layouts; but for these, which need two.
USUAL = "--deep 0 --only stm32l4-"
DEEPER = {
    "a state that nobody knows is taken for a record": "--deep 2 --only w25q-2.raise",
    "a mark of confirmation need not be exact": "--deep 3 --only stm32l4-2.confirm-first",
    "records without mark of completion stay so": "--deep 2 --only stm32l4-f2.second",
    "a valid record is trusted while the confirmed one is there": "--deep 3 --only stm32l4-f2.confirm",
    "a valid record is not trusted, whatever it says": "--deep 3 --only stm32l4-f2.confirm",
}

MUTANTS = [
    ("the selector does not look at the CRC", "ota_select.c",
     "load_le32(raw + AT_CRC) == crc_of_seq(raw) &&", ""),
    ("a state that nobody knows is taken for a record", "ota_select.c",
     "(r.state <= OTA_STATE_ABORTED || r.state == OTA_STATE_UNDEFINED);", "true;"),
    ("confirming rewrites the record in place", "ota.c",
     "ota_select_confirm(cfg->flash, cfg->layout)",
     "ota_select_reject(cfg->flash, cfg->layout, OTA_STATE_VALID)"),
    ("the first half of a record is programmed first", "ota_select.c",
     "    if (!err) err = flash->prog(flash->ctx, at + FLASH_UNIT, raw + FLASH_UNIT, FLASH_UNIT);\n"
     "    if (!err) err = flash->prog(flash->ctx, at, raw, FLASH_UNIT);\n",
     "    if (!err) err = flash->prog(flash->ctx, at, raw, FLASH_UNIT);\n"
     "    if (!err) err = flash->prog(flash->ctx, at + FLASH_UNIT, raw + FLASH_UNIT, FLASH_UNIT);\n"),
    ("a new record goes where the ruling one is", "ota_select.c",
     "(stays >= 0) ? 1 - stays : 0", "(stays >= 0) ? stays : 0"),
    ("a confirmed record is erased before the one that replaces it is written", "ota_select.c",
     "    int err = mark_confirmed(flash, at, seq, &place);\n",
     "    int err = mark_confirmed(flash, at, seq, &place);\n    if (!err) err = wipe(flash, at);\n"),
    ("a sector is used without being erased, if it reads as blank", "ota.c",
     "const int err = flash->erase(flash->ctx, target(o).at + o->erased);",
     "uint8_t all[0x4000];\n"
     "    int err = flash->read(flash->ctx, target(o).at + o->erased, all, flash->sector_size);\n"
     "    if (!err && !flash_is_blank(all, flash->sector_size))\n"
     "        err = flash->erase(flash->ctx, target(o).at + o->erased);"),
    ("the image is not read back", "ota.c", "    o->phase = OTA_READBACK;\n", "    o->phase = OTA_VERIFIED;\n"),
    ("pages are not compared with what came", "ota.c", "memcmp(back, o->buf, len) != 0", "0"),
    ("what differs from what came is not looked at again", "ota.c", "if (o->as_came) return conclude(o);",
     "return conclude(o);"),
    ("the image is activated before it is read back", "ota.c", "    o->phase = OTA_READBACK;\n",
     "    o->phase = OTA_READBACK;\n"
     "    (void)ota_select_append(o->cfg->flash, o->cfg->layout, o->slot, OTA_STATE_NEW);\n"),
    ("the slot's record is not retired before an update", "ota.c",
     "const int err = ota_select_retire(o->cfg->flash, o->cfg->layout, o->slot, o->cfg->running);",
     "const int err = 0;"),
    ("an update goes on one sector too late", "ota.c",
     "hash_from_start(o, begin ? begin - sector : 0)", "hash_from_start(o, begin)"),
    ("a mark of confirmation need not be exact", "ota_select.c",
     "if (is_mark(unit, confirmed)) r->confirmed = place;\n        if (is_spoilt(unit, confirmed)) r->valid = false;",
     "if (!flash_is_blank(unit, FLASH_UNIT)) r->confirmed = place;"),
    ("what is no record is left for later", "ota_select.c",
     "if (!sel.record[i].valid && !sel.record[i].wiped)", "if (0)"),
    ("what reads as blank is taken for blank", "ota_select.c",
     "if (!sel.record[i].valid && !sel.record[i].wiped)", "if (sel.record[i].torn)"),
    ("records without mark of completion stay so", "ota_select.c",
     "if (trial < 0) return complete(flash, layout, &sel);", "if (trial < 0) return 0;"),
    ("a valid record is trusted while the confirmed one is there", "ota_select.c",
     "other->whole && other->seq - r->seq >= r->confirmed * slots", "other->valid"),
    ("a valid record is not trusted, whatever it says", "ota_select.c",
     "return sel->active != trial && other->whole &&", "return 0 && other->whole &&"),
    ("the counter is raised before the record is written", "ota.c",
     "    err = ota_select_ruling(&sel, cfg->running)\n",
     "    if (cfg->counter) (void)raise_counter(cfg);\n    err = ota_select_ruling(&sel, cfg->running)\n"),
    ("the bootloader does not raise the counter", "ota_boot.c",
     "(void)counter->raise(counter->ctx, b->image.secure_version);", "{}"),
    ("starts are not counted", "ota_boot.c",
     "ota_select_mark_start(flash, cfg->layout) == 0", "true"),
    ("the image that boots is not verified", "ota_boot.c",
     "if (verdict == INTACT) b->slot = order[i];", "b->slot = order[i];"),
]


def sources():
    folders = {"test/campaign": "*.c", "sim": "sim_flash*.c", "src": "*.c", "host": "assert_fail.c"}
    return [path.relative_to(ROOT).as_posix() for folder, names in folders.items()
            for path in sorted((ROOT / folder).glob(names))]


def main():
    folder = Path(tempfile.mkdtemp())
    try:
        campaign = Program(sys.argv[1] if len(sys.argv) > 1 else "cc", folder, sources(), [])
        code, _, errors = campaign.run(*USUAL.split())
        if code != 0:
            sys.exit(f"the engine as it is fails:\n{errors}")
        wrong = campaign.hunt([(what, f"src/{file}", old, new, DEEPER.get(what, USUAL).split())
                               for what, file, old, new in MUTANTS])
    finally:
        shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


main()
