"""sizes.py - measures what the core needs on the targets of compile_core.sh: for bench.py and budget.py."""
# SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What makes a program of objects: the C library, and its version as the preprocessor knows it.
LIBRARIES = {
    "rv32imc": ("picolibc", ["--specs=picolibc.specs"], "picolibc.h", "__PICOLIBC_VERSION__"),
    "cortex-m4": ("newlib", ["--specs=nano.specs", "--specs=nosys.specs"], "_newlib_version.h", "_NEWLIB_VERSION"),
}
TARGETS = tuple(LIBRARIES)
CLASSIC = "-DISOTP_CLASSIC_ONLY"
SMALL = "-DISOTP_SMALL"


class Missing(Exception):
    """A compiler or a C library is not installed."""


def run(command, **options):
    """What the command prints; the error is RuntimeError with all it said."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise Missing(f"no {command[0]} here") from error
    if done.returncode == 77:
        raise Missing(done.stdout.strip())
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(str(word) for word in command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def compiler(target):
    """The compiler of the target with the options that select it."""
    return run([ROOT / "tools/compile_core.sh", target]).split()


def binutil(target, name, *arguments):
    return run([compiler(target)[0].removesuffix("gcc") + name, *arguments])


def toolchain(target):
    """Names and versions of what the figures depend on."""
    name, specs, header, macro = LIBRARIES[target]
    command = compiler(target)
    version = run([command[0], "-dumpfullversion"]).strip()
    try:
        macros = run([*command, *specs, "-E", "-dM", "-include", header, "-x", "c", os.devnull])
    except RuntimeError as error:
        raise Missing(f"no {name} for {command[0]} here") from error
    library = re.search(rf'#define {macro} "?([\d.]+)', macros)
    return f"{command[0]} {version}, {name} {library[1] if library else '?'}"


def compile_core(target, out, flags, src=None):
    run([ROOT / "tools/compile_core.sh", target, out, *flags], env={**os.environ, "SRC": str(src or ROOT / "src")})


def section_sizes(target, path):
    text, data, bss = binutil(target, "size", path).splitlines()[1].split()[:3]
    return {"text": int(text), "data": int(data), "bss": int(bss)}


def modules(target, *flags):
    """{module: {"text", "data", "bss", "stack": the largest frame of a function}} of every src/*.c."""
    found = {}
    with tempfile.TemporaryDirectory() as out:
        compile_core(target, out, ["-fstack-usage", *flags])
        for path in sorted(Path(out).glob("*.o")):
            frames = [int(line.split("\t")[1]) for line in path.with_suffix(".su").read_text().splitlines()]
            found[path.stem] = {**section_sizes(target, path), "stack": max(frames, default=0)}
    return found


def placed_structs():
    """{struct: header}: each x_t that a caller places and gives to x_init()."""
    structs = {}
    for path in sorted((ROOT / "src").glob("*.h")):
        for prefix, name in re.findall(r"^void (\w+)_init\((\w+_t) \*", path.read_text(), re.M):
            if name == prefix + "_t":
                structs[name] = path.name
    return structs


def struct_sizes(target, *flags):
    """{struct: sizeof} by the compiler: each becomes the size of an array."""
    structs = placed_structs()
    if not structs:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        lines = [f'#include "{header}"\nchar size_of_{name}[sizeof({name})];\n' for name, header in structs.items()]
        (Path(folder) / "structs.c").write_text("".join(lines))
        compile_core(target, folder, [f"-I{ROOT / 'src'}", *flags], folder)
        symbols = binutil(target, "nm", "-P", Path(folder) / "structs.o")
    return {name: int(size, 16) for name, size in re.findall(r"size_of_(\w+) \w \S+ (\S+)", symbols)}


def linked(target, source, *flags):
    """Sections of a whole program: this main file, of the core what it uses, start-up code, C library."""
    with tempfile.TemporaryDirectory() as folder:
        compile_core(target, folder, flags)
        program = Path(folder) / "program"
        command = [*compiler(target), "-std=c11", "-Os", "-Wl,--gc-sections", *LIBRARIES[target][1], *flags]
        objects = sorted(Path(folder).glob("*.o"))
        run([*command, f"-I{ROOT / 'src'}", source, *objects, "-o", program])
        return section_sizes(target, program)
