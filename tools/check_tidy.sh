#!/bin/sh
# check_tidy.sh BUILD: clang-tidy (.clang-tidy tells which checks) on every file that was compiled in BUILD.
# SPDX-License-Identifier: Apache-2.0
set -eu
build=$1
if ! command -v clang-tidy >/dev/null; then
    echo "no clang-tidy here: not checked"
    exit 77
fi
# One process a file keeps every core busy; stderr only counts the warnings in system headers.
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" | sort -u | tr '\n' '\0' |
    xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" clang-tidy --quiet -p "$build" 2>/dev/null
