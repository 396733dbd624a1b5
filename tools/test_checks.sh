#!/bin/sh
# test_checks.sh: plants one fault of each kind in a small tree and expects the checks to catch it.
# SPDX-License-Identifier: Apache-2.0
#
# A check that cannot fail is worse than none. Each is run on a clean tree first, where it must be content.
# shellcheck disable=SC2016 # Markdown's backticks, not the shell's
set -eu
root=$(readlink -f "$(dirname "$(readlink -f "$0")")/..")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree"
cases=0
wrong=0
skipped=

plant_clean_tree() {
    rm -rf ./* .ci .clang-tidy .clang-format
    mkdir -p src host docs test/bench .ci build
    cp -R "$root/tools" "$root/run" "$root/.clang-tidy" "$root/.clang-format" "$root"/CMake* .
    cp "$root/test/CMakeLists.txt" test
    cat >src/base.h <<'END'
// base.h - part of a tree that is checked.
// SPDX-License-Identifier: Apache-2.0
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
END
    cat >src/isotp.h <<'END'
// isotp.h - part of a tree that is checked.
// SPDX-License-Identifier: Apache-2.0
//
//     uint8_t tp[8];
//     if (isotp_start(tp, message, 8)) wait();
//
// Threads: none inside. Memory: the caller's.
// Time: a copy.
#ifndef ISOTP_H
#define ISOTP_H
#include "base.h"

/// Starts sending `len` bytes.
bool isotp_start(uint8_t *to, const uint8_t *msg, size_t len);
bool isotp_idle(const uint8_t *to);

_Static_assert(sizeof(int) >= 4, "");
#endif
END
    printf 'extern const uint8_t message[8];\nvoid wait(void);\n' >tools/examples.h
    cat >src/isotp.c <<'END'
// isotp.c - part of a tree that is checked.
// SPDX-License-Identifier: Apache-2.0
#include "isotp.h"

static const char *const names[] = { "idle", "busy" };

bool isotp_start(uint8_t *to, const uint8_t *msg, size_t len)
{
    if (len > 4095) return false;
    memcpy(to, msg, len);
    return true;
}

bool isotp_idle(const uint8_t *to) { return to[0] == (uint8_t)names[0][0]; }
END
    cat >host/assert_fail.c <<'END'
// assert_fail.c - part of a tree that is checked.
// SPDX-License-Identifier: Apache-2.0
#include "base.h"

extern int promises;
END
    cat >host/bus.c <<'END'
// bus.c - part of a tree that is checked.
// SPDX-License-Identifier: Apache-2.0
#include "base.h"
#include <stdio.h>

extern int bus;
END
    cat >test/bench/tiny_isotp.c <<'END'
// tiny_isotp.c - part of a tree that is checked.
// SPDX-License-Identifier: Apache-2.0
#include "isotp.h"

int main(void) { return isotp_idle((const uint8_t *)""); }
END
    cat >README.md <<'END'
# Title

See [there](docs/DESIGN.md#the-shape-of-it), `src/isotp.c` and `src/*.h`. First `./run test`, then:
```
build/isotp-ota flash --interface virtual \
    -c can0 FILE
```
Its source is `src/later.c` (planned).
END
    printf '# Design\n\n## The shape of `it`\n' >docs/DESIGN.md
    cat >program <<'END'
#!/bin/sh
[ "$1" = flash ] || exit 2
echo "usage: isotp-ota flash [-c CHANNEL] [--interface NAME] FILE"
END
    printf '#!/bin/sh\nexec ./run test\n' >.ci/run
    chmod +x program .ci/run
    cat >build/compile_commands.json <<END
[
{
  "directory": "$tree",
  "command": "cc -std=c11 -Isrc -o x.o -c src/isotp.c",
  "file": "$tree/src/isotp.c"
}
]
END
}

run_check() {
    case $1 in
    layers) tools/check_layers.py . ;;
    symbols) tools/check_symbols.sh host ;;
    docs) tools/check_docs.py . ./program ;;
    budget) tools/budget.py ;;
    examples) tools/check_examples.py . gcc ;;
    format) tools/check_format.sh . ;;
    sh) tools/check_sh.sh . ;;
    tidy) tools/check_tidy.sh build ;;
    cppcheck) tools/check_cppcheck.sh build ;;
    optimised | clang) tools/check_build.sh "$1" ;;
    esac
}

# clean CHECK: it must accept the tree as it is now.
clean() {
    cases=$((cases + 1))
    code=0
    run_check "$1" >output 2>&1 || code=$?
    if [ $code = 77 ]; then
        skipped="$skipped $1"
    elif [ $code != 0 ]; then
        echo "check $1 rejects a clean tree:"
        cat output
        wrong=$((wrong + 1))
    fi
}

# catches CHECK TEXT: it must reject the tree as it is now, and its output must contain TEXT. Then all is clean again.
catches() {
    cases=$((cases + 1))
    code=0
    run_check "$1" >output 2>&1 || code=$?
    if [ $code != 77 ] && { [ $code = 0 ] || ! grep -qF -e "$2" output; }; then
        echo "check $1 (exit code $code) should have said: $2"
        cat output
        wrong=$((wrong + 1))
    fi
    plant_clean_tree
}

# What the core of the tree needs now becomes its budget.
set_budget() {
    rm -f tools/budget.txt
    tools/budget.py --tighten >/dev/null 2>&1 || : # no compiler: nothing will be judged
}

plant_clean_tree
set_budget
for check in layers symbols budget docs examples format sh tidy cppcheck optimised clang; do
    clean $check
done

echo '#include "crypto.h"' >>src/isotp.c && echo >src/crypto.h
catches layers 'src/isotp.c:15: may not include src/crypto.h'
echo '#include <stdio.h>' >>src/isotp.h
catches layers 'may not include <stdio.h>'
echo '#  include "isotp.h"' >>host/bus.c
catches layers 'host/bus.c:7: may not include src/isotp.h'
echo '#include "driver/twai.h"' >>host/bus.c
catches layers 'may not include "driver/twai.h"'
echo '#include HEADER' >>src/isotp.c
catches layers 'computed include'
mkdir sim && echo '#include "bus.h"' >sim/world.c && echo >host/bus.h
catches layers 'sim/world.c:1: may not include host/bus.h'
sed -i '/^src/d' tools/layers.txt
catches layers 'src/isotp.c:1: no line of tools/layers.txt'

echo 'static int count; int isotp_count(void); int isotp_count(void) { return count++; }' >>src/isotp.c
catches symbols 'mutable data: count in isotp.c'
echo 'int isotp_level = 3;' >>src/isotp.c
catches symbols 'mutable data: isotp_level in isotp.c'
echo 'int clock(void); int isotp_now(void); int isotp_now(void) { return clock(); }' >>src/isotp.c
catches symbols 'called, but not part of the core: clock in isotp.c'
echo 'size_t isotp_len(const char *s); size_t isotp_len(const char *s) { return strlen(s); }' >>src/isotp.c
catches symbols 'strlen'
echo 'int helper(void); int helper(void) { return 1; }' >>src/isotp.c
catches symbols "name without its module's prefix: helper in isotp.c"
echo 'int isotp_receive(void); int isotp_receive(void) { return 1; }' >>src/isotp.c
catches symbols 'name taken by another ISO-TP library: isotp_receive in isotp.c'
sed -i 's/size_t len)$/size_t length)/' src/isotp.c
catches symbols 'error'

set_budget
echo 'int isotp_mix(int a, int b); int isotp_mix(int a, int b) { return a * b % 7 + b * a / 5 - a % 3; }' >>src/isotp.c
catches budget 'isotp: text on rv32imc is'
set_budget
echo 'void isotp_put(volatile uint8_t *p) { volatile uint8_t a[256]; a[p[0]] = 1; p[1] = a[p[2]]; }' >>src/isotp.c
sed -i 's/ text [0-9]*/ text 9999/' tools/budget.txt
catches budget 'isotp: stack on cortex-m4 is'
echo 'typedef struct { uint8_t state[8]; } isotp_t;' >>src/isotp.h
printf '/// Starts.\nvoid isotp_init(isotp_t *tp);\n' >>src/isotp.h
set_budget
sed -i 's/state\[8\]/state[9]/' src/isotp.h
catches budget 'isotp_t: size on rv32imc is 9 bytes, its budget 8 (tools/budget.txt)'
set_budget
echo 'int isotp_level = 3;' >>src/isotp.c
catches budget 'isotp: data on rv32imc is 4 bytes'
set_budget
sed '/^#include/!d' src/isotp.c >src/stream.c
catches budget 'has no limit'
sed '/^#include/!d' src/isotp.c >src/stream.c
set_budget
rm src/stream.c
catches budget 'stream: text on rv32imc has a limit, but does not exist'
set_budget
sed -i 's/^isotp rv32imc text .*/isotp rv32imc text 9999/' tools/budget.txt
catches budget 'docs/BUDGET.md is not what is measured'
set_budget
sed -i 's/-gcc [0-9.]*,/-gcc 1.2.3,/; s/ | [0-9]/ | 1/' docs/BUDGET.md
clean budget # nobody can tell what that compiler would have made of it
sed -i 's/^isotp rv32imc text .*/isotp rv32imc text 40/' tools/budget.txt
catches budget 'its budget 40 and 8 % for another compiler'

echo 'It uses `src/gone.c`.' >>README.md
catches docs 'README.md:9: src/gone.c does not exist'
echo '[gone](docs/GONE.md)' >>README.md
catches docs 'README.md:9: link to docs/GONE.md: no such file'
echo '[gone](docs/DESIGN.md#gone)' >>README.md
catches docs 'docs/DESIGN.md#gone: no such heading'
echo 'Say `./run fast`.' >>docs/DESIGN.md
catches docs 'docs/DESIGN.md:4: ./run fast'
sed -i 's/-c can0/--colour/' README.md
catches docs 'README.md:6: isotp-ota flash --help does not name --colour'
echo 'Say `isotp-ota flush FILE`.' >>README.md
catches docs 'isotp-ota flush: the program does not know it'
sed -i 's/^bool isotp_idle/\n&/' src/isotp.h
catches docs 'src/isotp.h:16: isotp_idle() has no comment'
echo '// as docs/GONE.md says' >>host/bus.c
catches docs 'host/bus.c:7: docs/GONE.md does not exist'

sed -i 1d src/isotp.c
catches docs 'src/isotp.c:1: should begin'
sed -i 2d src/isotp.c
catches docs 'src/isotp.c:2: should be // SPDX'

sed -i 's/tp, message, 8/tp, message/' src/isotp.h
catches examples 'src/isotp.h:5:12: error: too few arguments'
sed -i '/^\/\/     /d' src/isotp.h
catches examples 'src/isotp.h:1: no example'
yes '//     wait();' | head -n 14 | sed -i '5r /dev/stdin' src/isotp.h
catches examples 'src/isotp.h:4: an example of 16 lines'
sed -i 's/^.. Time:/\/\/ Fast:/' src/isotp.h
catches examples 'src/isotp.h:1: its top comment does not say "Time:"'
printf '// bus.h - a bus.\n//\n//     bus_open();\n' >host/bus.h
catches examples 'host/bus.h:3:'
cp src/isotp.h src/receiver.h && printf '```c\nwait();\nisotp_stop();\n```\n' >>README.md
catches examples 'README.md:11:'

echo 'int  x;' >>src/isotp.c
catches format 'src/isotp.c:15'
echo '[[ 1 = 1 ]]' >>.ci/run
catches sh '.ci/run'
sed -i 's/sh$/bash/' .ci/run
catches sh '.ci/run:1: is not #!/bin/sh'
echo 'if' >>.ci/run
catches sh '.ci/run'
chmod -x .ci/run
catches sh '.ci/run:1: is not executable'
echo 'int isotp_at(const int *p); int isotp_at(const int *p) { if (!p) return *p; return 0; }' >>src/isotp.c
catches tidy 'Dereference of null pointer'
echo 'int isotp_last(void); int isotp_last(void) { int a[4] = { 0 }; return a[4]; }' >>src/isotp.c
catches cppcheck 'out of bounds'
echo 'static int unused(void) { return 1; }' >>src/isotp.c
catches optimised 'unused'
echo 'static int unused(void) { return 1; }' >>src/isotp.c
catches clang 'unused'

if [ $wrong != 0 ]; then
    echo "$wrong of $cases went wrong"
    exit 1
fi
if [ -n "$skipped" ]; then
    echo "not tested, because their tools are not here:$skipped"
    exit 77
fi
echo "$cases cases: every fault was caught"
