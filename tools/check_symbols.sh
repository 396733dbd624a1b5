#!/bin/sh
# check_symbols.sh TARGET: compiles src/*.c for size (compile_core.sh knows the targets) and judges the object files.
# SPDX-License-Identifier: Apache-2.0
#
#     tools/check_symbols.sh host
#     tools/check_symbols.sh rv32imc
#
# No mutable data; nothing called but mem*, assert_fail and what the compiler itself inserts; every global symbol
# carries its file's name; none is exported by another ISO-TP library, for both may end up in one firmware.
# Prints the sizes. SRC=DIR judges another folder. Exit 77 (CTest: skipped): there is no such compiler.
set -eu
export LC_ALL=C # sort and join must agree on an order
tools=$(dirname "$(readlink -f "$0")")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$tools/compile_core.sh" "$1" "$out"
cc=$("$tools/compile_core.sh" "$1" | cut -d ' ' -f 1)
cd "$out"
"${cc%gcc}nm" -A -P ./*.o | sed 's|^\./\([^:]*\)\.o: |\1 |' >symbols # lines: MODULE NAME TYPE VALUE SIZE
awk '$3 ~ /^[A-TV-Z]$/ { print $2, $1 }' symbols | sort >global
awk '$3 == "U" { print $2, $1 }' symbols | sort >wanted
cut -d ' ' -f 1 global >defined

# fault TEXT: prints each line "NAME MODULE" of stdin behind TEXT, and remembers that there was one.
fault() {
    while read -r name module; do
        echo "$1: $name in $module.c"
        : >found
    done
}

awk '$3 ~ /^[bBdDCsSgG]$/ { print $2, $1 }' symbols | fault "mutable data"

# Beside our five, the compilers' helpers: libgcc, ARM's names for it, -msave-restore.
allowed='memcpy|memmove|memset|memcmp|assert_fail'
allowed="$allowed|__(u?div|u?mod|u?divmod|mul|ashl|ashr|lshr|u?cmp|clz|ctz|bswap|popcount)[sd]i[234]?"
allowed="$allowed|__aeabi_(u?ldivmod|u?idiv|u?idivmod|lmul|llsl|llsr|lasr|u?lcmp|mem(cpy|move|set|clr|cmp)[48]?)"
allowed="$allowed|__gnu_thumb1_case_[us]?[qhs]i|__riscv_(save|restore)_[0-9]+"
join -v 1 wanted global | grep -Evx "($allowed) .*" | fault "called, but not part of the core"

awk 'index($1, $2 "_") != 1' global | fault "name without its module's prefix"

taken='bind|unbind|recv|recv_net|send|send_ctx_buf|send_net_ctx_buf|send_buf'                        # Zephyr
taken="$taken|init_link|destroy_link|poll|on_can_message|send_with_id|receive|receive_streaming"      # isotp-c
taken="$taken|set_tx_dl|get_tx_dl|set_tx_done_cb|set_rx_done_cb|memcpy|user_.*"
grep -E "^isotp_($taken) " global | fault "name taken by another ISO-TP library"

"${cc%gcc}size" ./*.o | sed 's|\./||'
"${cc%gcc}size" ./*.o | awk 'NR > 1 { sum += $1 } END { print "code and constants of the whole core: " sum " bytes" }'
[ ! -e found ]
