#!/bin/sh
# check_build.sh PRESET: does everything compile, without a warning, as this preset of CMakePresets.json says?
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
if [ "$1" = clang ] && ! command -v clang >/dev/null; then
    echo "no clang here: not checked"
    exit 77
fi
cmake --preset "$1"
cmake --build --preset "$1"
