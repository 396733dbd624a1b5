#!/bin/sh
# check_format.sh [--fix] [ROOT]: is every C file as clang-format would write it? --fix writes it.
# SPDX-License-Identifier: Apache-2.0
#
# No two versions of clang-format agree on everything. One judges; what only another one finds is "skipped" (77).
set -eu
judge=14
fix=
if [ "${1:-}" = --fix ]; then
    fix=-i
    shift
fi
cd "${1:-$(dirname "$(readlink -f "$0")")/..}"

clang_format=clang-format-$judge
command -v $clang_format >/dev/null || clang_format=clang-format
if ! command -v $clang_format >/dev/null; then
    echo "no clang-format here: not checked"
    exit 77
fi
version=$($clang_format --version | sed 's/.*version \([0-9]*\).*/\1/')
if [ -n "$fix" ] && [ "$version" != $judge ]; then
    echo "this is clang-format $version, others have $judge: nothing changed"
    exit 1
fi

for folder in src host sim ports test; do
    [ ! -d $folder ] || find $folder -name '*.[ch]'
done | tr '\n' '\0' | xargs -0 -r $clang_format ${fix:---dry-run --Werror} && exit 0
if [ "$version" != $judge ]; then
    echo "clang-format $version is not the one that judges ($judge)"
    exit 77
fi
echo "tools/check_format.sh --fix puts it right"
exit 1
