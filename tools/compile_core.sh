#!/bin/sh
# compile_core.sh TARGET [OUT [FLAG...]]: compiles src/*.c for size into the folder OUT, as a firmware would.
# SPDX-License-Identifier: Apache-2.0
#
#     tools/compile_core.sh rv32imc build/objects -DISOTP_CLASSIC_ONLY
#     tools/compile_core.sh rv32imc       # prints the compiler and what selects the target
#
# Whoever judges or measures the compiled core does it through this. SRC=DIR compiles another folder.
# Exit 77 (CTest: skipped): there is no such compiler.
set -eu
target=$1
out=${2:-}
[ $# -lt 2 ] || shift
shift
case $target in
host) set -- gcc "$@" ;;
rv32imc) set -- riscv64-unknown-elf-gcc -march=rv32imc -mabi=ilp32 -DNDEBUG "$@" ;;
cortex-m4) set -- arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -DNDEBUG "$@" ;;
*)
    echo "compile_core.sh: no target $target" >&2
    exit 2
    ;;
esac
if [ -z "$out" ]; then
    echo "$@"
    exit 0
fi
if ! command -v "$1" >/dev/null; then
    echo "no $1 here: not checked"
    exit 77
fi
tools=$(dirname "$(readlink -f "$0")")
src=${SRC:-$tools/../src}

# No C library's headers, only four prototypes of our own: whatever else the core uses does not compile. -fbuiltin:
# they may still become instructions, as in a firmware. -fno-pie: else a host puts constant tables into .data.rel.ro.
# Sections: so that a linker can leave out what nobody calls.
include=$("$1" -print-file-name=include)
for file in "$src"/*.c; do
    [ -f "$file" ] || { echo "no sources in $src"; exit 1; }
    "$@" -std=c11 -Os -Wall -Wextra -Werror -ffreestanding -fbuiltin -fno-pie -ffunction-sections -fdata-sections \
        -nostdinc -isystem "$tools/freestanding" -isystem "$include" \
        -I"$src" -c "$file" -o "$out/$(basename "$file" .c).o"
done
