#!/bin/sh
# check_tidy.sh BUILD: clang-tidy (.clang-tidy tells which checks) on every file that was compiled in BUILD.
# SPDX-License-Identifier: Apache-2.0
#
# Each version of clang-tidy has new ideas. One judges; what only another one finds is printed (ctest -V), and "skipped" (77).
set -eu
judge=14
build=$1
clang_tidy=clang-tidy-$judge
command -v $clang_tidy >/dev/null || clang_tidy=clang-tidy
if ! command -v $clang_tidy >/dev/null; then
    echo "no clang-tidy here: not checked"
    exit 77
fi
# One process a file keeps every core busy; stderr only counts the warnings in system headers.
sed -n 's/^ *"file": "\(.*\)",\{0,1\}$/\1/p' "$build/compile_commands.json" | sort -u | tr '\n' '\0' |
    xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" $clang_tidy --quiet -p "$build" 2>/dev/null && exit 0
version=$($clang_tidy --version | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
if [ "$version" != $judge ]; then
    echo "clang-tidy $version is not the one that judges ($judge)"
    exit 77
fi
exit 1
