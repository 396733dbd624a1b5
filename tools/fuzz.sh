#!/bin/sh
# fuzz.sh FOLDER SECONDS [NAME...]: runs the fuzzers of test/fuzz/ (all, or those named), each for that time.
# SPDX-License-Identifier: Apache-2.0
#
# FOLDER keeps the programs, and in corpus/NAME what they have learned: the next run goes on from there. "Skipped" (77)
# only where clang has no libFuzzer. A fuzzer is linked with the core; its lines "// links: FILES", "// seeds: FOLDERS" and
# "// max_len: N" name what it needs besides, more inputs to begin with, and the longest input worth trying (512).
set -eu
if [ $# -lt 2 ]; then
    sed -n 's/^# fuzz.sh/usage: tools\/fuzz.sh/p' "$0" >&2
    exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
seconds=$2
shift 2
cd "$(dirname "$(readlink -f "$0")")/.."

sanitizers=fuzzer,address,undefined
echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' >"$folder/empty.c"
if ! clang -fsanitize=$sanitizers "$folder/empty.c" -o "$folder/empty" 2>"$folder/empty.log"; then
    echo "no clang with libFuzzer here: nothing fuzzed ($folder/empty.log)"
    exit 77
fi

if [ $# = 0 ]; then
    for source in test/fuzz/fuzz_*.c; do
        name=${source##*/}
        set -- "$@" "${name%.c}"
    done
fi

# told WORD: what the fuzzer's source says behind "// WORD: ".
told() {
    sed -n "s|^// $1: ||p" "test/fuzz/$name.c"
}

bad=0
for name in "$@"; do
    # One word a file is what clang wants.
    # shellcheck disable=SC2046
    clang -std=c11 -D_GNU_SOURCE -g -O2 -fsanitize=$sanitizers -fno-sanitize-recover=all -Isrc -Ihost -Iports/psa \
        -Itest/unit -Itest/fuzz "test/fuzz/$name.c" src/*.c host/assert_fail.c $(told links) -lmbedcrypto -o "$folder/$name"
    mkdir -p "$folder/corpus/$name" "$folder/found/$name"
    # shellcheck disable=SC2046
    set -- "$folder/corpus/$name" $(told seeds)
    if [ -d "test/fuzz/corpus/$name" ]; then
        set -- "$@" "test/fuzz/corpus/$name"
    fi
    max_len=$(told max_len)
    echo "$name: $seconds s"
    # A step costs microseconds: an input that takes seconds is a loop without end.
    if "$folder/$name" -max_total_time="$seconds" -max_len="${max_len:-512}" -timeout=10 -rss_limit_mb=1024 -seed=1 \
        -print_final_stats=1 -artifact_prefix="$folder/found/$name/" "$@" >"$folder/$name.log" 2>&1; then
        sed -n '/^#[0-9]*.DONE/p; s/^stat::\(average_exec\|number_of_exec\|peak_rss\)/  \1/p' "$folder/$name.log"
        continue
    fi
    bad=1
    tail -n 60 "$folder/$name.log"
    input=$(sed -n 's/.*Test unit written to //p' "$folder/$name.log")
    echo "$name: wrong; the input is ${input:-nowhere, see $folder/$name.log}"
    [ -z "$input" ] || echo "to repeat it: $folder/$name $input"
done
exit $bad
