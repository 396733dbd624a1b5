#!/usr/bin/env python3
"""bench.py: counts what ISO-TP costs, instructions and bytes, beside the figures of isotp-c.

Nothing is timed: the figures depend on compilers and, slightly, on the C library's memcpy, on nothing else. Exit 1:
something could not be measured.
"""
# SPDX-License-Identifier: Apache-2.0
import re
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import sizes
from sizes import CLASSIC, ROOT, SMALL, TARGETS, run

# isotp-c (github.com/SimonCahill/isotp-c), commit 9e70b88, GCC 12.2 of Debian 12. It is not part of this repository.
# Instructions: the same message between two of its links in memory, with its defaults (BS=8, assertions on): deliver
# what is queued, isotp_receive(), isotp_poll() of both; counted as below, without that loop and the three functions
# that it asks an application for. It copies the whole message twice, inside isotp_send() and isotp_receive().
# Sizes: -Os -ffunction-sections -fdata-sections; linked with -DNDEBUG, and without the one snprintf() in it, which
# alone brings 3.3 kB (Cortex-M4) or 12 kB (rv32imc).
CONFIGS = (("-Os", 8), ("-Os", 0), ("-O2", 8), ("-O2", 0))
PEER_INSTRUCTIONS = (177.3, None, 235.2, 246.4)
PEER_OBJECT = {"rv32imc": "2312/0/0", "cortex-m4": "1834/0/0"}
PEER_OBJECT_NDEBUG = {"rv32imc": 2181, "cortex-m4": 1715}
PEER_LINKED = {"rv32imc": 2512, "cortex-m4": 3056}
PEER_STRUCT = 88
PEER_BUFFERS = 2 * 4096

INSTRUCTIONS_TEXT = """\
Instructions per frame, both sides together: one message of 4095 bytes, A -> B (callgrind, x86-64).
First line of a pair: what happens inside isotp_*(). Second: that and the copying of the received
bytes by the application, which isotp-c does inside. Behind a figure: its ratio to isotp-c's.
isotp-c sends one frame a turn of the loop; we fill the driver, which here takes 64, or one.
"""

# A row: its name, the options of the build, the driver of bench_isotp.c, and whether isotp-c does the same.
ROWS = (
    ("classic CAN only", [CLASSIC], "direct", True),
    ("CAN FD compiled in, classic frames", [], "direct", True),
    ("classic only, ISOTP_SMALL", [CLASSIC, SMALL], "direct", True),
    ("classic only, one frame a turn", [CLASSIC], "mailbox", True),
    ("  the same, asking isotp_deadline()", [CLASSIC], "sleeper", False),
    ("classic only, isotp_taken() by a queue", [CLASSIC], "queue", False),
    ("CAN FD frames of 64 bytes", [], "fd", False),
)
TRANSFERS = 10


# --- Instructions ---


def callgrind_costs(path):
    """Instructions by (function, called function), everything below included; (function, None): its own."""
    names, costs, function, called, is_call = {}, {}, None, None, False
    for line in path.read_text().splitlines():
        if match := re.match(r"(c?fn)=\((\d+)\)(?: (.+))?$", line):
            kind, key, name = match.groups()
            if name:
                names[key] = name  # later it is only called by its number
            if kind == "fn":
                function = names[key]
            else:
                called = names[key]
        elif line.startswith("calls="):
            is_call = True  # the next line is the cost of these calls
        elif match := re.match(r"[-+*\d]\S* (\d+)$", line):
            arc = function, called if is_call else None
            costs[arc] = costs.get(arc, 0) + int(match[1])
            is_call = False
    return costs


def library_and_store(costs):
    """Of one run: what the driver's calls of isotp_*() cost, and what its copying of the received bytes does."""
    library = store = rest = 0
    for (function, called), count in costs.items():
        if not function.startswith("bench_"):
            continue
        if called is None or not called.startswith(("bench_", "isotp_")):
            rest += count  # the loop itself, memcpy() in bench_store()
        elif called.startswith("isotp_"):
            library += count
        if called == "bench_store":
            store += count
    total = sum(count for (_, called), count in costs.items() if called is None)
    if library + rest != total or library == 0 or store == 0:
        raise RuntimeError(f"callgrind counted {total} instructions, but only {library} + {rest} have a place")
    return library, store


def count_instructions(folder, program, block_size, driver):
    """(library, copy into the application's buffer, frames), each per message: 11 messages less 1, by 10."""
    runs = []
    for transfers in (1, 1 + TRANSFERS):
        out = Path(folder) / "callgrind.out"
        tool = ["valgrind", "--tool=callgrind", "--toggle-collect=bench_transfer", f"--callgrind-out-file={out}"]
        frames = run([*tool, program, transfers, block_size, driver])
        runs.append((*library_and_store(callgrind_costs(out)), int(frames)))
    return [(more - one) / TRANSFERS for one, more in zip(*runs)]


def build_bench(folder, level, flags):
    program = Path(folder) / "bench_isotp"
    files = [ROOT / name for name in ("test/bench/bench_isotp.c", "src/isotp.c", "host/assert_fail.c")]
    # isotp-c's figures are with assertions too.
    run(["gcc", "-std=c11", level, *flags, f"-I{ROOT / 'src'}", *files, "-o", program])
    return program


def cell(value, peer):
    return f"{value:8.1f}" + (f" {value / peer:4.2f}" if peer else "     ")


def instructions_table():
    print(INSTRUCTIONS_TEXT)
    print(f"{'':42}" + "".join(f"{f'{level} BS={bs}':>8}     " for level, bs in CONFIGS).rstrip())
    print(f"{'isotp-c':42}" + "".join(f"{peer or '-':>8}     " for peer in PEER_INSTRUCTIONS).rstrip())
    for name, flags, driver, comparable in ROWS:
        lines, counted = [f"{name:42}", f"{'':24}and the copying   "], []
        for (level, block_size), peer in zip(CONFIGS, PEER_INSTRUCTIONS):
            with tempfile.TemporaryDirectory() as folder:
                program = build_bench(folder, level, flags)
                library, store, frames = count_instructions(folder, program, block_size, driver)
            lines[0] += cell(library / frames, comparable and peer)
            lines[1] += cell((library + store) / frames, comparable and peer)
            counted.append(f"{frames:.0f}")
        if counted[:2] != counted[2:]:
            raise RuntimeError(f"{name}: the number of frames depends on the compiler: {', '.join(counted)}")
        print(lines[0].rstrip())
        print(f"  ({counted[0]} frames, {counted[1]})".ljust(24) + lines[1][24:].rstrip())


# --- Sizes ---


def size_row(name, texts, peers=None):
    cells = []
    for target in TARGETS:
        ratio = f"{int(texts[target].split('/')[0]) / peers[target]:5.2f}" if peers else ""
        cells.append(f"{texts[target]:>12}{ratio:5}")
    print(f"{name:42}{'   '.join(cells)}".rstrip())


def sizes_table():
    objects, programs, structs = {}, {}, {}
    for flags in ((CLASSIC, SMALL), (CLASSIC,), ()):
        measured = {target: sizes.modules(target, *flags)["isotp"] for target in TARGETS}
        objects[flags] = {target: "{text}/{data}/{bss}".format(**measured[target]) for target in TARGETS}
        tiny = ROOT / "test/bench/tiny_isotp.c"
        programs[flags] = {target: str(sizes.linked(target, tiny, *flags)["text"]) for target in TARGETS}
        structs[flags] = {target: str(sizes.struct_sizes(target, *flags)["isotp_t"]) for target in TARGETS}
    empty = {target: str(sizes.linked(target, ROOT / "test/bench/empty.c")["text"]) for target in TARGETS}

    print(f"\n{'Bytes, with -Os':42}" + "   ".join(f"{target:>12}{'':5}" for target in TARGETS).rstrip())
    print("object, text/data/bss")
    size_row("  isotp-c as shipped, with assertions", PEER_OBJECT)
    size_row("  isotp-c, NDEBUG", {target: f"{text}/0/0" for target, text in PEER_OBJECT_NDEBUG.items()})
    size_row("  classic only, ISOTP_SMALL, NDEBUG", objects[(CLASSIC, SMALL)], PEER_OBJECT_NDEBUG)
    size_row("  classic CAN only, NDEBUG", objects[(CLASSIC,)], PEER_OBJECT_NDEBUG)
    size_row("  CAN FD compiled in, NDEBUG", objects[()], PEER_OBJECT_NDEBUG)
    print("program that sends and receives, NDEBUG: text with start-up code and C library")
    size_row("  an empty main(), part of each", empty)
    size_row("  isotp-c without its snprintf()", {target: str(text) for target, text in PEER_LINKED.items()})
    size_row("  classic only, ISOTP_SMALL", programs[(CLASSIC, SMALL)], PEER_LINKED)
    size_row("  classic CAN only", programs[(CLASSIC,)], PEER_LINKED)
    size_row("  CAN FD compiled in", programs[()], PEER_LINKED)
    print("RAM of a channel, both directions")
    size_row(f"  isotp-c ({PEER_STRUCT} and {PEER_BUFFERS} of buffers)", dict.fromkeys(TARGETS, str(PEER_STRUCT + PEER_BUFFERS)))
    size_row("  isotp_t, classic CAN only, no buffers", structs[(CLASSIC,)])
    size_row("  isotp_t, CAN FD compiled in", structs[()])


def main():
    try:
        versions = [f"gcc {run(['gcc', '-dumpfullversion']).strip()}", run(["valgrind", "--version"]).strip()]
        print("Here:    " + ", ".join(versions))
        print("         " + "\n         ".join(sizes.toolchain(target) for target in TARGETS))
        print("isotp-c: commit 9e70b88, GCC 12.2; published figures, not measured here. Nothing is timed.\n")
        instructions_table()
        sizes_table()
    except (sizes.Missing, RuntimeError) as error:
        sys.stdout.flush()
        print(f"bench.py: not measured: {error}", file=sys.stderr)
        sys.exit(1)


main()
