// efuse_file.c - a file of 32 bits that are only ever set: see efuse_file.h.
// SPDX-License-Identifier: Apache-2.0
#include "efuse_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { ERR_IO = 1, ERR_USED_UP, LEN = 4, BITS = 8 * LEN };

/// Reads the bits, or with O_WRONLY writes them.
static bool access_file(const efuse_file_t *f, int flags, uint32_t *bits)
{
    uint8_t raw[LEN + 1] = { 0 };
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    const int fd = open(f->path, flags | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    if (writes) store_le32(raw, *bits);
    bool ok = writes ? pwrite(fd, raw, LEN, 0) == LEN : pread(fd, raw, sizeof raw, 0) == LEN;
    if (!writes && !ok) errno = EINVAL; // of another length: some other file
    *bits = load_le32(raw);
    if (close(fd) != 0) ok = false;
    return ok;
}

static int efuse_read(void *ctx, uint32_t *value)
{
    uint32_t bits;
    if (!access_file(ctx, O_RDONLY, &bits)) return ERR_IO;
    for (*value = 0; bits; bits &= bits - 1)
        ++*value;
    return 0;
}

static int efuse_raise(void *ctx, uint32_t value)
{
    uint32_t bits = (value < BITS) ? (UINT32_C(1) << value) - 1 : UINT32_MAX;
    if (value > BITS) return ERR_USED_UP;
    return access_file(ctx, O_WRONLY, &bits) ? 0 : ERR_IO;
}

bool efuse_file_open(efuse_file_t *f, const char *path, counter_t *out, char *error, size_t cap)
{
    uint32_t bits = 0;
    f->path = path;
    bool ok = access_file(f, O_RDONLY, &bits);
    if (!ok && errno == ENOENT) ok = access_file(f, O_WRONLY | O_CREAT | O_EXCL, &bits);
    if (!ok) {
        const bool other = errno == EINVAL;
        snprintf(error, cap, "%s: %s", path,
                 other ? "not a file of 4 bytes, as --efuse makes one" : strerror(errno));
        return false;
    }
    *out = (counter_t){ .ctx = f, .read = efuse_read, .raise = efuse_raise };
    return true;
}
