#!/usr/bin/env python3
"""check_examples.py ROOT [COMPILER]: fails when the example on top of a header, or README.md's C, does not compile.

Also: each header in src/ has an example, at most 15 lines long, and says what STYLE.md, section 4 asks for. What the
examples do not declare themselves stands in tools/examples.h.
"""
# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys
from pathlib import Path

NO_EXAMPLE = {
    "base.h": "what all the others use",
    "can.h": "one struct, without functions",
}
WORDS = ("Threads:", "Memory:", "Time:")
LINES_MAX = 15
COLUMNS_MAX = 100
OPTIONS = "-std=c11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror -Wno-unused-variable -Wno-unused-but-set-variable"
FOLDERS = ("src", "host", "ports/psa", "sim", "tools")


def top_comment(path):
    """(line number, text) of each line of the comment that a file begins with."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.startswith("//"):
            return
        yield number, line


def header_example(path):
    # Blanks for the slashes: the compiler's columns are the header's.
    return [(number, "  " + line[2:]) for number, line in top_comment(path) if line.startswith("//     ")]


def document_examples(path):
    """The same for each C block of a document."""
    example = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line == "```c":
            example = []
        elif line == "```" and example is not None:
            yield example
            example = None
        elif example is not None:
            example.append((number, line))


def compile_example(root, compiler, path, include, example):
    """What the compiler says, "" when it is content."""
    name = path.relative_to(root).as_posix()
    source = [f'#include "{include}"', '#include "examples.h"', "void example(void);", "void example(void) {"]
    for number, line in example:
        source += [f'#line {number} "{name}"', line]
    source += ["}", ""]
    command = [compiler, *OPTIONS.split(), f"-DEXAMPLE_{path.stem}", *(f"-I{folder}" for folder in FOLDERS)]
    done = subprocess.run([*command, "-x", "c", "-"], input="\n".join(source), text=True, capture_output=True, cwd=root)
    return done.stderr if done.returncode else ""


def style_faults(name, path, example):
    text = " ".join(line for _, line in top_comment(path))
    if not example:
        yield f"{name}:1: no example in its top comment"
    for word in WORDS:
        if word not in text:
            yield f'{name}:1: its top comment does not say "{word}"'


def main():
    root = Path(sys.argv[1]).resolve()
    compiler = sys.argv[2] if len(sys.argv) > 2 else "cc"
    faults = []
    examples = []
    for pattern in ("src/*.h", "host/*.h", "ports/*/*.h", "sim/*.h"):
        for path in sorted(root.glob(pattern)):
            example = header_example(path)
            if path.parent.name == "src" and path.name not in NO_EXAMPLE:
                faults += style_faults(path.relative_to(root).as_posix(), path, example)
            if example:
                examples.append((path, path.name, example))
    examples += [(root / "README.md", "receiver.h", example) for example in document_examples(root / "README.md")]
    for path, include, example in examples:
        where = f"{path.relative_to(root).as_posix()}:{example[0][0]}"
        if len(example) > LINES_MAX:
            faults.append(f"{where}: an example of {len(example)} lines, more than {LINES_MAX}")
        if max(len(line) for _, line in example) > COLUMNS_MAX:
            faults.append(f"{where}: an example wider than {COLUMNS_MAX} columns")
        faults += [said] if (said := compile_example(root, compiler, path, include, example)) else []
    print("\n".join(faults) or f"{len(examples)} examples compile")
    sys.exit(1 if faults or not examples else 0)


main()
