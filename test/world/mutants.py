#!/usr/bin/env python3
"""mutants.py COMPILER: plants faults in copies of host and device; random worlds must find each of them.

And whoever compiled them, and however often: the same worlds have the same history.
"""
# SPDX-License-Identifier: Apache-2.0
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test"))
from mutation import Program  # noqa: E402 (its folder is known only now)

ENOUGH = ["600"]  # worlds for a mutant
SAME = ["--first", "1000", "60"]

MUTANTS = [
    ("the host does not look what runs", "host/flasher.c",
     "    if (!image || back) {\n", "    if (0) {\n"),
    ("a trial is taken for a confirmation", "host/flasher.c",
     "const bool trial = is->state == NEW || is->state == PENDING;", "const bool trial = false;"),
    ("the slot alone tells what ran before", "host/flasher.c",
     "const bool back = same && was->slot", "const bool back = was->known && was->slot"),
    ("the host resumes without a look at the digest", "host/flasher.c",
     "if (memcmp(digest, f->client.response + 8, sizeof digest) == 0) f->start = at;", "f->start = at;"),
    ("the image is not read back", "src/ota.c",
     "    o->phase = OTA_READBACK;\n", "    o->phase = OTA_VERIFIED;\n"),
    ("the image is activated before it is read back", "src/ota.c",
     "    o->phase = OTA_READBACK;\n",
     "    o->phase = OTA_READBACK;\n"
     "    (void)ota_select_append(o->cfg->flash, o->cfg->layout, o->slot, OTA_STATE_NEW);\n"),
    ("the slot that runs is updated", "src/ota.c",
     "o->slot = (unsigned)(o->cfg->running + 1) %", "o->slot = (unsigned)o->cfg->running %"),
    ("done without being activated", "src/receiver.c",
     "if (r->ota.phase == OTA_VERIFIED && ota_activate(&r->ota) == OTA_OK) {",
     "if (r->ota.phase == OTA_VERIFIED) {"),
    ("a promise is broken", "src/ota.c", "    ASSERT(o->phase == OTA_VERIFIED);", "    ASSERT(false);"),
]


def sources():
    """The same as in test/CMakeLists.txt."""
    names = [path.relative_to(ROOT).as_posix() for folder in ("src", "sim", "ports/psa", "host")
             for path in sorted((ROOT / folder).glob("*.c"))]
    names = [name for name in names if name != "host/main.c" and not name.startswith("host/cmd_")]
    names += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "test/world").glob("story*.c"))]
    return names + ["test/world/worlds.c", "test/world/rig_host.c", "test/unit/image_build.c", "test/unit/vectors.c"]


def make(compiler, folder):
    folder.mkdir()
    flags = ['-DVERSION="0"', f'-DVECTORS="{ROOT / "test/vectors"}"', f"-I{ROOT / 'test/world'}"]
    return Program(compiler, folder, sources(), flags, ["-lmbedcrypto", "-lz", "-lcmocka"])


def main():
    compiler = sys.argv[1] if len(sys.argv) > 1 else "cc"
    folder = Path(tempfile.mkdtemp())
    try:
        worlds = make(compiler, folder / "first")
        code, output, errors = worlds.run(*SAME)
        if code != 0:
            sys.exit(f"the worlds as they are fail:\n{errors}")
        wrong = 0
        others = [worlds]
        if other := shutil.which("gcc" if "clang" in compiler else "clang"):
            others.append(make(other, folder / "other"))
        for again in others:
            if again.run(*SAME)[1] != output:
                print(f"ERROR {again.compiler}: other histories of the same worlds")
                wrong += 1
        wrong += worlds.hunt([(*mutant, ENOUGH) for mutant in MUTANTS])
        traces = list(worlds.folder.glob("worlds-*.pcap"))
        if not traces or min(trace.stat().st_size for trace in traces) < 1000:
            print(f"ERROR no frames of what failed: {traces}")
            wrong += 1
    finally:
        shutil.rmtree(folder)
    sys.exit(1 if wrong else 0)


main()
