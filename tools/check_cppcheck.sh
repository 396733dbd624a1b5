#!/bin/sh
# check_cppcheck.sh BUILD: cppcheck on every file that was compiled in BUILD; what is unchanged is not done again.
# SPDX-License-Identifier: Apache-2.0
#
# As with clang-tidy, one version judges; what only another one finds is printed (ctest -V), and "skipped" (77).
set -eu
judge=2.10
build=$1
if ! command -v cppcheck >/dev/null; then
    echo "no cppcheck here: not checked"
    exit 77
fi
mkdir -p "$build/cppcheck"
# Off: what depends on having found every system header, and remarks that STYLE.md decides otherwise.
cppcheck --quiet --project="$build/compile_commands.json" --cppcheck-build-dir="$build/cppcheck" \
    -j "$(getconf _NPROCESSORS_ONLN)" --error-exitcode=1 --inline-suppr --std=c11 --library=posix \
    --enable=warning,style,performance,portability \
    --suppress=missingIncludeSystem --suppress=unmatchedSuppression \
    --suppress=unusedStructMember --suppress=constParameterCallback \
    --suppress=variableScope --suppress=redundantContinue --suppress=normalCheckLevelMaxBranches \
    --template='{file}:{line}: {severity}: {message} [{id}]' && exit 0
version=$(cppcheck --version | sed 's/[^0-9]*\([0-9]*\.[0-9]*\).*/\1/')
if [ "$version" != $judge ]; then
    echo "cppcheck $version is not the one that judges ($judge)"
    exit 77
fi
exit 1
