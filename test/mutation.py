"""mutation.py: plants faults in copies of our sources, one at a time; a program must find each of them.

A fault is a piece of text of a file and what stands there instead. A piece that is not there exactly once is an error:
then the code has changed, and the mutant has to follow.
"""
# SPDX-License-Identifier: Apache-2.0
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 300


class Program:
    """Made of these sources, which are paths from the root. What it says of a failure begins with FAILED."""

    def __init__(self, compiler, folder, sources, flags, libraries=()):
        self.compiler = compiler
        self.folder = folder
        self.flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-w", *flags]
        self.libraries = libraries
        self.program = folder / "program"
        self.objects = {source: self.compile(ROOT / source, source) for source in sources}

    def compile(self, path, source):
        target = self.folder / (source.replace("/", "-") + ".o")
        folders = {str(Path(source).parent), "src", "host", "sim", "ports/psa", "test/unit"}
        includes = [f"-I{ROOT / name}" for name in sorted(folders)]
        subprocess.run([self.compiler, *self.flags, *includes, "-c", path, "-o", target], check=True)
        return target

    def run(self, *options, objects=None):
        """(exit code, output, errors) of a program of these objects."""
        subprocess.run([self.compiler, *(objects or self.objects).values(), "-o", self.program, *self.libraries],
                       check=True)
        done = subprocess.run([self.program, "--workers", "1", "--failures", "1", *options],
                              text=True, capture_output=True, timeout=SECONDS, cwd=self.folder)
        return done.returncode, done.stdout, done.stderr

    def run_mutant(self, source, old, new, options):
        mutant = self.folder / "mutant.c"
        mutant.write_text((ROOT / source).read_text().replace(old, new))
        return self.run(*options, objects={**self.objects, source: self.compile(mutant, source + "-mutant")})

    def hunt(self, mutants):
        """Of each mutant what it is, its file, the text, what stands there instead, and the program's options.
        Returns how many were not found."""
        wrong = 0
        for what, source, old, new, options in mutants:
            if (count := (ROOT / source).read_text().count(old)) != 1:
                print(f"ERROR {what}: its text is {count} times in {source}")
                wrong += 1
                continue
            code, _, errors = self.run_mutant(source, old, new, options)
            said = next((line[8:] for line in errors.splitlines() if line.startswith("FAILED: ")), None)
            if code == 1 and said:
                print(f"found {what}: {said}")
            else:
                print(f"ERROR {what}: exit code {code}, {errors[:200] or 'nothing found'}")
                wrong += 1
        print(f"{len(mutants) - wrong} of {len(mutants)} mutants were found")
        return wrong
