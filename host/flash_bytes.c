// flash_bytes.c - flash_t over bytes in memory: see flash_bytes.h.
// SPDX-License-Identifier: Apache-2.0
#include "flash_bytes.h"

static bool inside(const flash_bytes_t *bytes, uint32_t at, uint32_t len)
{
    return at <= bytes->len && len <= bytes->len - at;
}

static int bytes_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const flash_bytes_t *bytes = ctx;
    if (!inside(bytes, at, len)) return -1;
    memcpy(p, bytes->p + at, len);
    return 0;
}

static int bytes_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    const flash_bytes_t *bytes = ctx;
    const uint8_t *from = p;
    if (!bytes->w || !inside(bytes, at, len)) return -1;
    for (uint32_t i = 0; i < len; i++)
        bytes->w[at + i] &= from[i];
    return 0;
}

static int bytes_erase(void *ctx, uint32_t at)
{
    const flash_bytes_t *bytes = ctx;
    if (!bytes->w || !inside(bytes, at, FLASH_BYTES_SECTOR)) return -1;
    memset(bytes->w + at, 0xFF, FLASH_BYTES_SECTOR);
    return 0;
}

void flash_bytes_init(flash_bytes_t *bytes, const uint8_t *p, uint32_t len, flash_t *out)
{
    *bytes = (flash_bytes_t){ p, NULL, len };
    *out = (flash_t){
        .ctx = bytes,
        .size = len,
        .sector_size = FLASH_BYTES_SECTOR,
        .read = bytes_read,
        .prog = bytes_prog,
        .erase = bytes_erase,
    };
}

void flash_bytes_init_writable(flash_bytes_t *bytes, uint8_t *p, uint32_t len, flash_t *out)
{
    flash_bytes_init(bytes, p, len, out);
    bytes->w = p;
}
