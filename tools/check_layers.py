#!/usr/bin/env python3
"""check_layers.py [ROOT]: fails when a file includes what tools/layers.txt does not allow."""
# SPDX-License-Identifier: Apache-2.0
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

FOLDERS = ("src", "host", "sim", "ports", "test")
INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|(<[^>]+>))?')


def read_rules(path):
    rules = []
    for line in path.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            files, _, allowed = line.partition(":")
            rules.append((files.strip(), allowed.split()))
    return rules


def resolve(root, path, name):
    """A quoted include as a path from the root, or in quotes when it is none of our files."""
    # The same order as the compiler's: beside the including file, then where CMakeLists.txt points -I.
    folders = [path.parent] + [root / d for d in ("src", "host", "sim", "ports/psa", "test/unit")]
    for folder in folders:
        found = (folder / name).resolve()
        if found.is_file() and found.is_relative_to(root):
            return found.relative_to(root).as_posix()
    return f'"{name}"'


def check_file(root, rules, path):
    me = path.relative_to(root).as_posix()
    matching = [allowed for files, allowed in rules if fnmatchcase(me, files)]
    if not matching:
        return [f"{me}:1: no line of tools/layers.txt speaks of this file"]
    allowed = [ok for line in matching for ok in line] + [me[: -len(path.suffix)] + ".h"]
    faults = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        if not match[1] and not match[2]:
            faults.append(f"{me}:{number}: computed include: nobody can tell what it includes")
            continue
        include = resolve(root, path, match[1]) if match[1] else match[2]
        if not any(fnmatchcase(include, ok) for ok in allowed):
            faults.append(f"{me}:{number}: may not include {include} (tools/layers.txt)")
    return faults


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    rules = read_rules(root / "tools/layers.txt")
    files = sorted(p for d in FOLDERS for p in (root / d).rglob("*.[ch]"))
    faults = [fault for path in files for fault in check_file(root, rules, path)]
    print("\n".join(faults) if faults else f"{len(files)} files include only what they may")
    sys.exit(1 if faults or not files else 0)


main()
