#!/usr/bin/env python3
"""budget.py [--write | --tighten]: measures the core and fails when a size is past its limit in tools/budget.txt.

Without an option it also fails when docs/BUDGET.md is not what --write would write. --tighten lowers every limit to
what is measured and a little air, gives new modules one, and drops those of modules that are gone; limits are raised
by hand, in a commit that says why. Exit 77 (CTest: skipped): a compiler is missing.
"""
# SPDX-License-Identifier: Apache-2.0
import math
import sys

sys.dont_write_bytecode = True
import sizes
from sizes import CLASSIC, ROOT, SMALL, TARGETS

LIMITS = ROOT / "tools/budget.txt"
PAGE = ROOT / "docs/BUDGET.md"
# Code by other versions of the compilers than docs/BUDGET.md names may be this much larger, in per cent. Stack frames
# and whole programs are then not judged: what is inlined where is the compiler's, start-up code the C library's.
ALLOWANCE = 8
AIR = 2  # per cent that --tighten leaves for code
UNITS = {"text": 10, "stack": 16, "size": 4}  # it rounds limits up to multiples of these
HEAD = """\
# The core's lines: NAME TARGET WHAT LIMIT, in bytes; tools/budget.py explains and compares them.
# text: code and constants. stack: the largest frame of one function. size: of a struct that callers place.
# Lower limits: tools/budget.py --tighten. Raise one: by hand, in a commit that says why.
"""


# --- Measure and judge ---


def measure(target):
    """{(name, target, what): bytes}, in the order of the page."""
    found = {}
    builds = ((), ""), ((CLASSIC,), "-classic"), ((CLASSIC, SMALL), "-small")
    for flags, suffix in builds:
        for name, module in sizes.modules(target, *flags).items():
            if not flags or name == "isotp":
                for what, value in module.items():
                    found[name + suffix, target, what] = value
        if flags:
            program = sizes.linked(target, ROOT / "test/bench/tiny_isotp.c", *flags)
            found["linked" + suffix, target, "text"] = program["text"]
    for flags, suffix in builds:
        for name, value in sizes.struct_sizes(target, *flags).items():
            if not flags or name == "isotp_t":
                found[name + suffix, target, "size"] = value
    return found


def read_limits():
    limits = {}
    for line in LIMITS.read_text().splitlines() if LIMITS.exists() else ():
        words = line.split("#")[0].split()
        if words:
            name, target, what, limit = words
            limits[name, target, what] = int(limit)
    return limits


def faults(measured, limits, same_compiler):
    for key, value in measured.items():
        name, target, what = key
        where = f"{name}: {what} on {target}"
        if what in ("data", "bss"):
            if value != 0:
                yield f"{where} is {value} bytes, and the core has none"
            continue
        limit = limits.get(key)
        if limit is None:
            yield f"{where} is {value} bytes and has no limit: tools/budget.py --tighten gives it one"
            continue
        allowed, remark = limit, ""
        if not same_compiler[target]:
            if what == "stack" or name.startswith("linked"):
                continue
            if what == "text":
                allowed = limit * (100 + ALLOWANCE) // 100
                remark = f" and {ALLOWANCE} % for another compiler"
        if value > allowed:
            yield (f"{where} is {value} bytes, its budget {limit}{remark} (tools/budget.txt): make it smaller, "
                   "or raise the budget in a commit that says why")
    for name, target, what in limits.keys() - measured.keys():
        yield f"{name}: {what} on {target} has a limit, but does not exist: tools/budget.py --tighten drops it"


def tightened(measured, limits):
    lines = []
    for key, value in measured.items():
        what = key[2]
        if what in UNITS:
            unit = UNITS[what]
            wanted = value * (100 + AIR) / 100 if what == "text" else max(value, 1)
            wanted = math.ceil(wanted / unit) * unit
            lines.append(" ".join(key) + f" {min(wanted, limits.get(key, wanted))}\n")
    return HEAD + "".join(lines)


# --- The page ---


def table(measured, limits, target, title, columns):
    """Lines of a table: a row a name that has all the columns; (what, its heading) of each."""
    names = [name for name, where, what in measured if where == target and what == columns[0][0]]
    heads = [f"{heading} | budget | room" for _, heading in columns]
    yield f"| {title} | {' | '.join(heads)} |"
    yield "|---|" + "--:|" * 3 * len(columns)
    for name in names:
        cells = []
        for what, _ in columns:
            if (name, target, what) in measured:
                value, limit = measured[name, target, what], limits.get((name, target, what), 0)
                cells.append(f"{value} | {limit} | {limit - value}")
            else:
                cells.append("| |")
        yield f"| {name} | {' | '.join(cells)} |"


def page(measured, limits, toolchains):
    lines = [
        "# Budget",
        "",
        "What the core needs, in bytes, and what it may need. Written by `tools/budget.py --write` (`./run budget`); do not",
        "edit it. The limits stand in `tools/budget.txt`, and `check.budget` fails when one is exceeded, or when this page",
        "is not what the compilers named here make of the sources. With other versions of them only the limits of code and",
        f"structs count, and code may be {ALLOWANCE} % larger.",
        "",
        "Compiled with `-Os -DNDEBUG`. *text* is code and constants; *stack* the largest frame of one function, without what",
        "it calls. No module has data or bss. `isotp-classic` is `isotp` without CAN FD (`ISOTP_CLASSIC_ONLY`),",
        "`isotp-small` without CAN FD and in the small build (`ISOTP_SMALL`), `linked-...` a whole program around it,",
        "`test/bench/tiny_isotp.c`, with start-up code and C library.",
    ]
    for target in TARGETS:
        lines += ["", f"## {target}", "", f"By {toolchains[target]}.", ""]
        lines += table(measured, limits, target, "module", (("text", "text"), ("stack", "stack")))
        core = sum(value for (name, where, what), value in measured.items()
                   if where == target and what == "text" and "-" not in name)
        lines += ["", f"The whole core: {core} bytes.", ""]
        lines += table(measured, limits, target, "struct", (("size", "size"),))
    return "\n".join(lines) + "\n"


def main():
    option = sys.argv[1] if len(sys.argv) == 2 else ""
    if len(sys.argv) > 2 or option not in ("", "--write", "--tighten"):
        print(__doc__.splitlines()[0], file=sys.stderr)
        sys.exit(2)
    try:
        toolchains = {target: sizes.toolchain(target) for target in TARGETS}
        measured = {}
        for target in TARGETS:
            measured.update(measure(target))
    except sizes.Missing as missing:
        print(f"{missing}: not checked")
        sys.exit(77)
    except RuntimeError as error:
        print(error)
        sys.exit(1)

    old = PAGE.read_text() if PAGE.exists() else ""
    same_compiler = {target: not old or f"By {toolchains[target]}." in old.splitlines() for target in TARGETS}
    if option == "--tighten":
        LIMITS.write_text(tightened(measured, read_limits()))
    limits = read_limits()
    new = page(measured, limits, toolchains)
    if option:
        PAGE.write_text(new)
        same_compiler = dict.fromkeys(TARGETS, True)
    found = sorted(faults(measured, limits, same_compiler))
    if not option and all(same_compiler.values()) and new != old:
        found.append("docs/BUDGET.md is not what is measured: tools/budget.py --write")
    print("\n".join(found) or f"{len(limits)} sizes are within their budgets")
    sys.exit(1 if found else 0)


main()
