// flash_file.c - a file that behaves like a NOR flash: see flash_file.h.
// SPDX-License-Identifier: Apache-2.0
#include "flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ERR_IO = 1, ERR_BROKE_RULE, ERR_POWER };
enum { PAGE = 256, ERASE_US = 45000, PROG_US = 400 };

static void take_time(const flash_file_t *f, double us)
{
    const uint64_t ns = (uint64_t)(us * f->slowness * 1000);
    const struct timespec t = { .tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000) };
    if (ns > 0) nanosleep(&t, NULL);
}

static bool read_at(const flash_file_t *f, uint32_t at, void *p, uint32_t len)
{
    return pread(f->fd, p, len, at) == (ssize_t)len;
}

static bool write_at(const flash_file_t *f, uint32_t at, const void *p, uint32_t len)
{
    return pwrite(f->fd, p, len, at) == (ssize_t)len;
}

// When the power fails, half of the bytes have changed.
static uint32_t reached(flash_file_t *f, uint32_t len)
{
    f->operation++;
    if (f->operation == f->cut_at) f->cut = true;
    return f->cut ? len / 2 : len;
}

static int file_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const flash_file_t *f = ctx;
    if (f->cut) return ERR_POWER;
    if (at > f->size || len > f->size - at) return ERR_BROKE_RULE;
    return read_at(f, at, p, len) ? 0 : ERR_IO;
}

static int file_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    flash_file_t *f = ctx;
    const uint8_t *wanted = p;
    uint8_t old[PAGE];
    if (f->cut) return ERR_POWER;
    if (at % FLASH_UNIT || len % FLASH_UNIT || len == 0 || at % PAGE + len > PAGE)
        return ERR_BROKE_RULE;
    if (at > f->size || len > f->size - at) return ERR_BROKE_RULE;
    if (!read_at(f, at, old, len)) return ERR_IO;
    for (uint32_t i = 0; i < len; i++)
        if ((old[i] & wanted[i]) != wanted[i]) return ERR_BROKE_RULE; // only an erase makes ones
    take_time(f, PROG_US);
    const uint32_t n = reached(f, len);
    if (!write_at(f, at, p, n)) return ERR_IO;
    return f->cut ? ERR_POWER : 0;
}

static int file_erase(void *ctx, uint32_t at)
{
    flash_file_t *f = ctx;
    uint8_t ones[FLASH_FILE_SECTOR];
    if (f->cut) return ERR_POWER;
    if (at % FLASH_FILE_SECTOR || at >= f->size) return ERR_BROKE_RULE;
    take_time(f, ERASE_US);
    memset(ones, 0xFF, sizeof ones);
    const uint32_t n = reached(f, sizeof ones);
    if (!write_at(f, at, ones, n)) return ERR_IO;
    return f->cut ? ERR_POWER : 0;
}

bool flash_file_open(flash_file_t *f, const char *path, flash_t *out, char *error, size_t cap)
{
    struct stat st;
    memset(f, 0, sizeof *f);
    f->fd = open(path, O_RDWR | O_CLOEXEC);
    if (f->fd < 0) {
        const char *hint = (errno == ENOENT) ? "; --create makes one" : "";
        snprintf(error, cap, "%s: %s%s", path, strerror(errno), hint);
        return false;
    }
    const char *wrong = NULL;
    if (fstat(f->fd, &st) != 0)
        wrong = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        wrong = "not a file";
    else if (st.st_size == 0 || st.st_size % FLASH_FILE_SECTOR != 0 ||
             st.st_size > (off_t)UINT32_MAX)
        wrong = "not a flash image: its size is not a multiple of 4096 bytes";
    else if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
        wrong = "in use by another simulated device";
    if (wrong) {
        snprintf(error, cap, "%s: %s", path, wrong);
        flash_file_close(f);
        return false;
    }
    f->size = (uint32_t)st.st_size;
    *out = (flash_t){ .ctx = f,
                      .size = f->size,
                      .sector_size = FLASH_FILE_SECTOR,
                      .read = file_read,
                      .prog = file_prog,
                      .erase = file_erase };
    return true;
}

void flash_file_close(flash_file_t *f)
{
    if (f->fd >= 0) close(f->fd);
    f->fd = -1;
}

bool flash_file_in_use(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    const bool in_use = flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return in_use;
}
