#!/bin/sh
# check_format.sh [--fix] [ROOT]: is every C file as clang-format would write it? --fix writes it.
# SPDX-License-Identifier: Apache-2.0
set -eu
fix=
if [ "${1:-}" = --fix ]; then
    fix=-i
    shift
fi
cd "${1:-$(dirname "$(readlink -f "$0")")/..}"

# Two versions of clang-format agree on nothing for sure: this one judges, others are not asked.
version=14
for clang_format in clang-format-$version clang-format ''; do
    if "${clang_format:-false}" --version 2>/dev/null | grep -q "version $version\."; then break; fi
done
if [ -z "$clang_format" ]; then
    echo "no clang-format $version here: not checked"
    exit 77
fi
for folder in src host sim ports test; do
    [ ! -d $folder ] || find $folder -name '*.[ch]'
done | tr '\n' '\0' | xargs -0 -r "$clang_format" ${fix:---dry-run --Werror} || {
    echo "tools/check_format.sh --fix puts it right"
    exit 1
}
