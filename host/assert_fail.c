// assert_fail.c - what happens on the host when a promise of the core is broken: it is a bug, and it ends here.
// SPDX-License-Identifier: Apache-2.0
#include "base.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "isotp-ota: %s:%d: broken promise: %s (a bug; please report it)\n", file, line,
            what);
    abort();
}
