#!/bin/sh
# check_sh.sh [ROOT]: every shell script is plain POSIX sh, parses in dash, and ShellCheck has nothing to say.
# SPDX-License-Identifier: Apache-2.0
set -eu
cd "${1:-$(dirname "$(readlink -f "$0")")/..}"
scripts=$(find run .ci host ports sim src test tools -type f ! -name '*.[ch]' \
    -exec grep -l '^#!.*sh$' {} + 2>/dev/null) || : # a folder may be missing
bad=0
for script in $scripts; do # our own names: no blanks in them
    if [ "$(head -n 1 "$script")" != '#!/bin/sh' ]; then
        echo "$script:1: is not #!/bin/sh"
        bad=1
    fi
    dash -n "$script" || bad=1
    [ -x "$script" ] || { echo "$script:1: is not executable"; bad=1; }
done
if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2086
    shellcheck $scripts || bad=1
elif [ $bad = 0 ]; then
    echo "no shellcheck here: not checked"
    exit 77
fi
exit $bad
