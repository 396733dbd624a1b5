#!/usr/bin/env python3
"""check_docs.py ROOT [PROGRAM]: fails when a document names a path, command or option that does not exist.

Also: each C file begins as STYLE.md, section 2 says, and each function declared in src/*.h has a comment of its own or
above its group. PROGRAM is the built isotp-ota; without it, options are not compared. A line that says "planned" may
name what does not exist yet.
"""
# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
import sys
from pathlib import Path

FOLDERS = "src|host|sim|ports|test|tools|docs|.ci"
# A path in backticks, or in a comment of the sources: docs/X.md. Words with < > or capitals like X.md are no paths.
CODE_SPAN = re.compile(r"`([^`]+)`")
PATH = re.compile(rf"^\.?/?((?:{FOLDERS})(?:/[\w.*+-]+)*/?|[\w-]+\.(?:md|txt|json)|run)$".replace(".ci", r"\.ci"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
DECLARES = re.compile(r"(?!typedef|static|_Static_assert)[^={]*\b(\w+)\(")
DOC_IN_SOURCE = re.compile(r"\bdocs/[A-Z]+\.md")


def heading_anchor(line):
    text = re.sub(r"[`*]|\[|\]\([^)]*\)", "", line.lstrip("#").strip()).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


class Checker:
    def __init__(self, root, program):
        self.root = root
        self.program = program
        self.faults = []
        self.help_texts = {}

    def fault(self, path, number, text):
        self.faults.append(f"{path.relative_to(self.root).as_posix()}:{number}: {text}")

    # --- Documents ---

    def documents(self):
        top = [self.root / name for name in ("README.md", "CONTRIBUTING.md", "STYLE.md", "CHANGELOG.md")]
        return [path for path in top if path.is_file()] + sorted((self.root / "docs").glob("*.md"))

    def check_document(self, path):
        fenced = False
        command = ""  # a command line that \ continues
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.lstrip().startswith("```"):
                fenced = not fenced
                continue
            if "planned" in line.lower():
                continue
            codes = [line] if fenced else CODE_SPAN.findall(line)
            if not fenced:
                for code in codes:
                    self.check_path(path, number, code)
                for target in LINK.findall(line):
                    self.check_link(path, number, target)
            for code in codes:
                code = command + code
                if code.endswith("\\"):
                    command = code[:-1]
                    continue
                command = ""
                self.check_run(path, number, code)
                self.check_program(path, number, code)

    def check_path(self, path, number, code):
        match = PATH.match(code)
        if match and not any(self.root.glob(match[1].rstrip("/"))):
            self.fault(path, number, f"{code} does not exist")

    def check_link(self, path, number, target):
        if re.match(r"[a-z]+:", target):
            return
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            self.fault(path, number, f"link to {target}: no such file")
        elif anchor and file.suffix == ".md":
            headings = [heading_anchor(line) for line in file.read_text().splitlines() if line.startswith("#")]
            if anchor not in headings:
                self.fault(path, number, f"link to {target}: no such heading")

    # --- Commands ---

    def help_of(self, *command):
        """What the command prints about itself; "" when it does not know the command."""
        if command not in self.help_texts:
            done = subprocess.run([*command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=20)
            self.help_texts[command] = done.stdout + done.stderr if done.returncode == 0 else ""
        return self.help_texts[command]

    def check_run(self, path, number, code):
        for word in re.findall(r"(?:^|[\s(])\./run ([\w-]+)", code):
            if not re.search(rf"^  {re.escape(word)}\b", self.help_of(self.root / "run", "help"), re.M):
                self.fault(path, number, f"./run {word}: ./run help does not know it")

    def check_program(self, path, number, code):
        if not self.program:
            return
        for rest in re.findall(r"(?:^|[\s/])isotp-ota\s+([a-z][^|;&#]*)", code):
            words = rest.split()
            text = self.help_of(self.program, words[0], "--help")
            if not text:
                self.fault(path, number, f"isotp-ota {words[0]}: the program does not know it")
                continue
            for word in words[1:]:
                option = re.match(r"--?[a-zA-Z][\w-]*", word)
                if option and not re.search(rf"(?<![\w-]){re.escape(option[0])}(?![\w-])", text):
                    self.fault(path, number, f"isotp-ota {words[0]} --help does not name {option[0]}")

    # --- Sources ---

    def check_source(self, path):
        lines = path.read_text().splitlines() + ["", ""]
        if not lines[0].startswith(f"// {path.name} - "):
            self.fault(path, 1, f'should begin "// {path.name} - " and say what the file is')
        if not lines[1].startswith("// SPDX-License-Identifier: "):
            self.fault(path, 2, "should be // SPDX-License-Identifier: ...")
        for number, line in enumerate(lines, 1):
            for name in DOC_IN_SOURCE.findall(line):
                if "planned" not in line and not (self.root / name).is_file():
                    self.fault(path, number, f"{name} does not exist")

    def check_header(self, path):
        """A paragraph (no blank line inside) with declarations needs a comment before or beside the first of them."""
        depth = 0
        statement = ""
        commented = False
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = re.sub(r"//.*|/\*.*?\*/", "", line).strip()
            if not line.strip():
                commented = False
            if line.strip() != code:
                commented = True
            if not code or code.startswith("#"):
                continue
            if not statement:
                first = number
            statement += " " + code
            depth += code.count("{") - code.count("}")
            if depth == 0 and code[-1] in ";}":
                declares = DECLARES.match(statement.strip())
                if declares and code.endswith(";") and not commented:
                    self.fault(path, first, f"{declares[1]}() has no comment")
                statement = ""


def main():
    root = Path(sys.argv[1]).resolve()
    checker = Checker(root, sys.argv[2] if len(sys.argv) > 2 else None)
    documents = checker.documents()
    for path in documents:
        checker.check_document(path)
    headers = sorted((root / "src").glob("*.h"))
    for path in headers:
        checker.check_header(path)
    for folder in ("src", "host", "sim", "ports", "test"):
        for path in sorted((root / folder).rglob("*.[ch]")):
            checker.check_source(path)
    print("\n".join(checker.faults) or f"{len(documents)} documents and {len(headers)} headers tell the truth")
    sys.exit(1 if checker.faults or not documents else 0)


main()
