#!/usr/bin/env python3
"""bench_update.py PROGRAM [--write | --check | WORD=VALUE...]: how long updates take, beside the physical limit.

PROGRAM is the built bench_update (test/world/bench_update.c); its --help has the words. --write runs every row, prints
the tables, and writes docs/BENCHMARKS.md, its two plots and the paragraph of README.md. --check, for the tests, runs the
rows that are quick and fails when the page says something else. With words: that one update. The time is that of
the simulated world, so the figures depend on this source code and on nothing else.
"""
# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

sys.dont_write_bytecode = True
import bench_text
from bench_text import ROOT

PAGE = ROOT / "docs/BENCHMARKS.md"
README = ROOT / "README.md"
BASE = "size=1M bitrate=500k speed=typical protocol=uds"

SIZES = (("64 KiB", "64K"), ("1 MiB", "1M"), ("4 MiB", "4M"))
RATES = (
    ("125 kbit/s", "bitrate=125k"),
    ("250 kbit/s", "bitrate=250k"),
    ("500 kbit/s", "bitrate=500k"),
    ("1 Mbit/s", "bitrate=1M"),
    ("FD 500k/2M", "bitrate=500k data=2M"),
    ("FD 1M/5M", "bitrate=1M data=5M"),
)
SPEEDS = (("typical", "typical"), ("maximum", "maximum"), ("worn", "worn, half of its endurance gone"))
# Around the base case: what varies, and its values.
AROUND = (
    ("protocol", (("uds", ""), ("header", "protocol=header"), ("plain", "protocol=plain"))),
    ("block size (BS)", (("none", ""), ("255", "bs=255"), ("32", "bs=32"), ("8", "bs=8"))),
    ("gap (STmin)", (("none", ""), ("0.5 ms", "stmin=500"), ("1 ms", "stmin=1000"))),
    ("device's port", (("queue 600", ""), ("queue 64, BS 60", "queue=64 bs=60"),
                       ("in flash, BS 4", "port=uncached bs=4"), ("in flash", "port=uncached"))),
    ("host's adapter", (("no delay", "host=none"), ("on its own bus", ""), ("USB, 1 ms", "host=usb"))),
    ("other traffic", (("none", ""), ("30 %", "traffic=30"), ("60 %", "traffic=60"))),
    ("frames lost", (("none", ""), ("0.1 %", "loss=0.1"), ("1 %", "loss=1"))),
    ("devices", (("1", ""), ("8, one by one", "devices=8"))),
    ("flash", (("W25Q", ""), ("GD25Q", "flash=gd25q"), ("MT25Q", "flash=mt25q"), ("no time at all", "flash=none"))),
    ("content", (("random", ""), ("1/4 blank", "content=padded"), ("zeros", "content=zeros"))),
    ("ESP-IDF example", tuple((speed, f"protocol=example speed={speed}") for speed, _ in SPEEDS)),
)
BUDGETS = (
    ("base case", ""),
    ("header", "protocol=header"),
    ("64 KiB", "size=64K"),
    ("FD 1M/5M", "bitrate=1M data=5M"),
    ("flash maximum", "speed=maximum"),
    ("BS 8", "bs=8"),
    ("STmin 1 ms", "stmin=1000"),
    ("in flash, BS 4", "port=uncached bs=4"),
    ("60 % other traffic", "traffic=60"),
    ("1 % lost", "loss=1"),
    ("ESP-IDF example", "protocol=example"),
)
PHASES = ("data", "flow", "other", "traffic", "errors", "flash", "device", "restart", "idle")
PLOTTED_SIZES = ("16K", "32K", "64K", "128K", "256K", "512K", "1M", "2M", "4M", "8M")
PLOTTED_PROTOCOLS = ("uds", "header", "plain", "example")


def words(extra):
    """The base case with some words changed, as a tuple that tells rows apart."""
    said = dict(word.split("=") for word in BASE.split())
    said.update(word.split("=") for word in extra.split())
    return tuple(f"{name}={value}" for name, value in said.items())


class Worlds:
    """Runs each scenario once, as many at a time as there are processors."""

    def __init__(self, program):
        self.program = program
        self.rows = {}

    def run_one(self, said, *options):
        done = subprocess.run([self.program, *options, *said], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(said)}: {done.stderr.strip() or done.returncode}")
        names, values = (line.split("\t") for line in done.stdout.splitlines())
        row = {name: float(value) for name, value in zip(names, values)}
        parts = sum(row[phase] for phase in PHASES)
        if abs(parts - row["time"]) > 0.001:
            raise RuntimeError(f"{' '.join(said)}: the budget adds up to {parts:.6f} s of {row['time']:.6f} s")
        return row

    def run(self, scenarios):
        new = [said for said in dict.fromkeys(scenarios) if said not in self.rows]
        new.sort(key=lambda said: "devices=8" not in said and "size=8M" not in said)  # the long ones first
        with ThreadPoolExecutor(cpu_count()) as pool:
            self.rows.update(zip(new, pool.map(self.run_one, new)))

    def __getitem__(self, extra):
        return self.rows[words(extra)]

    def progress(self, said):
        """[(seconds, bytes)] of one update."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "progress"
            row = self.run_one(said, "--progress", path)
            points = [tuple(float(number) for number in line.split()) for line in path.read_text().splitlines()]
        return [*points, (row["time"], row["len"])]


# --- Tables: lines of cells ---


def seconds(value):
    return f"{value:.3f}" if value < 10 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def rate(row):
    return f"{row['sent' if row['sent'] > row['len'] * 2 else 'len'] / row['time'] / 1000:.1f}"


def ratio(value):
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def size_rows(worlds, speed):
    for rate_name, rate_words in RATES:
        for size_name, size_word in SIZES:
            extra = f"{rate_words} size={size_word} speed={speed}"
            yield extra, lambda extra=extra, names=(rate_name, size_name): size_cells(worlds[extra], names)


def size_cells(row, names):
    slower = max(row["limit"], row["flash_time"])
    return [*names, seconds(row["time"]) if row["done"] else "failed", seconds(row["limit"]),
            ratio(row["time"] / row["limit"]), rate(row), seconds(row["flash_time"]), ratio(row["time"] / slower)]


SIZE_HEADS = ("bit rate", "image", "time s", "limit s", "x limit", "kB/s", "flash s", "x slower")
AROUND_HEADS = ("what varies", "value", "time s", "limit s", "x limit", "kB/s", "remark")


def around_rows(worlds):
    for what, values in AROUND:
        for name, extra in values:
            yield extra, lambda extra=extra, names=(what, name): around_cells(worlds[extra], names, extra)


def around_cells(row, names, extra):
    remarks = []
    if "example" in extra:
        lost = f"{row['messages_lost']:.0f} messages lost, unnoticed"
        remarks.append("image intact" if row["done"] else lost)
    elif not row["done"]:
        remarks.append("failed")
    if row["traffic"]:
        remarks.append(f"x {ratio((row['time'] - row['traffic']) / row['limit'])} of what they leave")
    if row["lost"]:
        remarks.append(f"{row['lost']:.0f} lost")
    if row["overrun"] and "example" not in extra:
        remarks.append(f"{row['overrun']:.0f} overrun")
    if row["flash"] > 0.02 * row["time"] and "example" not in extra:
        remarks.append(f"idle {100 * row['flash'] / row['time']:.0f} % for flash")
    return [*names, seconds(row["time"]), seconds(row["limit"]), ratio(row["time"] / row["limit"]), rate(row),
            "; ".join(remarks)]


def budget_cells(name, row):
    return [name, *(f"{row[phase]:.2f}" for phase in PHASES), seconds(row["time"])]


def budget_rows(worlds):
    for name, extra in BUDGETS:
        yield extra, lambda name=name, extra=extra: budget_cells(name, worlds[extra])


BUDGET_HEADS = ("", *PHASES, "time s")


def tables(worlds):
    """(heading, heads, [(extra words, function that gives the cells)])"""
    for speed, name in SPEEDS:
        yield f"UDS, flash times {name}", SIZE_HEADS, list(size_rows(worlds, speed))
    yield "Around the base case", AROUND_HEADS, list(around_rows(worlds))
    yield "Where the time goes, in seconds", BUDGET_HEADS, list(budget_rows(worlds))


def is_number(cell):
    return bool(re.fullmatch(r"[\d.]+", cell))


def as_text(heads, lines):
    """For a terminal: what repeats the line above is left out."""
    right = [index for index, _ in enumerate(heads) if index > 0 and all(is_number(line[index]) for line in lines)]
    last = len(heads) - 1
    widths = [max(len(line[index]) for line in [heads, *lines]) for index in range(len(heads))]
    before = ""
    for line in [heads, *lines]:
        cells = ["" if index == 0 and cell == before else cell for index, cell in enumerate(line)]
        yield "  ".join(cell.rjust(width) if index in right else cell.ljust(width) if index < last else cell
                        for index, (cell, width) in enumerate(zip(cells, widths))).rstrip()
        before = line[0]


def as_markdown(heads, lines):
    right = [index > 0 and all(is_number(line[index]) for line in lines) for index, _ in enumerate(heads)]
    yield f"| {' | '.join(heads)} |".replace("|  |", "| |")
    yield f"|{'|'.join('--:' if is_right else '---' for is_right in right)}|"
    for line in lines:
        yield f"| {' | '.join(line)} |".replace("|  |", "| |")


# --- What ./run bench and the tests do ---


def all_words(worlds):
    for _, _, rows in tables(worlds):
        yield from (words(extra) for extra, _ in rows)
    for _, rate_words in RATES:
        yield from (words(f"{rate_words} size={size}") for size in PLOTTED_SIZES)


def readme(worlds):
    """README.md with its paragraph as it should be."""
    text = README.read_text()
    head, _, rest = text.partition(bench_text.README_BEGIN)
    _, _, tail = rest.partition(bench_text.README_END)
    if not tail:
        raise RuntimeError(f"README.md has no {bench_text.README_BEGIN} ... {bench_text.README_END}")
    paragraph = bench_text.readme_paragraph(worlds["size=1M"], worlds["protocol=header"], worlds["protocol=example"])
    return head + bench_text.README_BEGIN + paragraph + bench_text.README_END + tail


def write(worlds):
    worlds.run(all_words(worlds))
    lines = bench_text.head()
    for heading, heads, rows in tables(worlds):
        cells = [make() for _, make in rows]
        explained = bench_text.EXPLAIN[heads[0]].splitlines()
        print("\n".join(["", heading, *explained, "", *as_text(heads, cells)]).replace("`", "").replace("*", ""))
        lines += ["", f"## {heading}", "", *explained, "", *as_markdown(heads, cells)]
    PAGE.write_text("\n".join(lines) + "\n")
    README.write_text(readme(worlds))
    progress = {name: worlds.progress(words(f"protocol={name}")) for name in PLOTTED_PROTOCOLS}
    limits = worlds["size=1M"]
    bench_text.plot_throughput(progress, limits["len"] / limits["limit"])
    bench_text.plot_sizes([(name, [worlds[f"{said} size={size}"] for size in PLOTTED_SIZES]) for name, said in RATES])
    print("\nWritten: docs/BENCHMARKS.md, which tells what is modelled, docs/throughput.svg, docs/update-time.svg")


def is_quick(extra):
    return "size=64K" in extra or extra in ("", "protocol=header", "protocol=plain", "protocol=example", "bs=8")


def check(worlds):
    wanted = [(heading, heads, [row for row in rows if is_quick(row[0])]) for heading, heads, rows in tables(worlds)]
    worlds.run(words(extra) for _, _, rows in wanted for extra, _ in rows)
    page = PAGE.read_text()
    faults = [] if page.startswith("\n".join(bench_text.head())) else ["docs/BENCHMARKS.md begins differently"]
    count = 0
    for heading, heads, rows in wanted:
        _, _, part = page.partition(f"\n## {heading}\n")
        part = part.partition("\n## ")[0].splitlines()
        for line in list(as_markdown(heads, [make() for _, make in rows]))[2:]:
            count += 1
            if line not in part:
                faults.append(f"docs/BENCHMARKS.md, {heading}: it is now\n  {line}")
    if readme(worlds) != README.read_text():
        faults.append("README.md quotes other figures")
    print("\n".join(faults + ["./run bench writes them anew"] if faults else [f"{count} rows are as the page has them"]))
    return 1 if faults else 0


def one(worlds, said):
    said = [*BASE.split(), *said]
    row = worlds.run_one(said)
    print(" ".join(said))
    print(f"{'done' if row['done'] else 'FAILED'}: {row['len']:.0f} bytes in {seconds(row['time'])} s, {rate(row)} kB/s")
    print(f"limit {seconds(row['limit'])} s: x {ratio(row['ratio'])}; flash works {seconds(row['flash_time'])} s: "
          f"x {ratio(row['time'] / max(row['limit'], row['flash_time']))} of the slower one")
    print("\n".join(as_text(BUDGET_HEADS[1:], [budget_cells("", row)[1:]])))
    for name in ("lost", "overrun", "messages_lost"):
        if row[name]:
            print(f"{name.replace('_', ' ')}: {row[name]:.0f}")
    return 0 if row["done"] else 1


def main():
    if len(sys.argv) < 3:
        print(__doc__.splitlines()[0], file=sys.stderr)
        sys.exit(2)
    program, *options = sys.argv[1:]
    if "--help" in options:
        sys.exit(subprocess.call([program, "--help"]))
    worlds = Worlds(program)
    try:
        if options == ["--write"]:
            write(worlds)
        elif options == ["--check"]:
            sys.exit(check(worlds))
        else:
            sys.exit(one(worlds, options))
    except (RuntimeError, OSError) as error:
        sys.stdout.flush()
        print(f"bench_update.py: {error}", file=sys.stderr)
        sys.exit(1)


main()
