// flash_bytes.c - flash_t over constant bytes.
// SPDX-License-Identifier: Apache-2.0
#include "flash_bytes.h"

static int bytes_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const flash_bytes_t *bytes = ctx;
    if (at > bytes->len || len > bytes->len - at) return -1;
    memcpy(p, bytes->p + at, len);
    return 0;
}

static int bytes_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    (void)ctx, (void)at, (void)p, (void)len;
    return -1;
}

static int bytes_erase(void *ctx, uint32_t at)
{
    (void)ctx, (void)at;
    return -1;
}

void flash_bytes_init(flash_bytes_t *bytes, const uint8_t *p, uint32_t len, flash_t *out)
{
    *bytes = (flash_bytes_t){ p, len };
    *out = (flash_t){ .ctx = bytes,
                      .size = len,
                      .sector_size = 4096,
                      .read = bytes_read,
                      .prog = bytes_prog,
                      .erase = bytes_erase };
}
