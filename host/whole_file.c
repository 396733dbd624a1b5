// whole_file.c - writes a file whole or not at all: see whole_file.h.
// SPDX-License-Identifier: Apache-2.0
#include "whole_file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool write_and_rename(const char *path, const char *temporary, const void *bytes, size_t len)
{
    FILE *file = fopen(temporary, "wb");
    bool ok = file && fwrite(bytes, 1, len, file) == len;
    int why = errno;
    if (file && fclose(file) != 0 && ok) {
        ok = false;
        why = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        why = errno;
    }
    if (!ok && file) (void)unlink(temporary);
    errno = why;
    return ok;
}

bool whole_file_write(const char *path, const void *bytes, size_t len)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    char temporary[PATH_MAX];
    sigset_t wait, before;
    if (snprintf(temporary, sizeof temporary, "%s.%ld.new", path, (long)getpid()) >=
        (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return false;
    }
    sigemptyset(&wait);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        sigaddset(&wait, ends[i]);
    (void)sigprocmask(SIG_BLOCK, &wait, &before);
    (void)signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error, no reason to die
    const bool ok = write_and_rename(path, temporary, bytes, len);
    const int why = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    errno = why;
    return ok;
}
