// flash_bytes.h - a flash_t over bytes in memory, for tools that look into a flash image.
// SPDX-License-Identifier: Apache-2.0
//
//     flash_bytes_t bytes;
//     flash_t flash;
//     flash_bytes_init(&bytes, data, len, &flash);
//     const int err = flash.read(flash.ctx, 0x8000, entry, sizeof entry);
//
// Threads: none inside. Memory: the caller's.
#ifndef FLASH_BYTES_H
#define FLASH_BYTES_H

#include "flash.h"

enum { FLASH_BYTES_SECTOR = 4096 };

typedef struct {
    const uint8_t *p; // private
    uint8_t *w;
    uint32_t len;
} flash_bytes_t;

/// Fills in `out`: a flash of `len` bytes, a multiple of FLASH_BYTES_SECTOR. Writing to it fails.
/// Borrows `bytes` and `p`.
void flash_bytes_init(flash_bytes_t *bytes, const uint8_t *p, uint32_t len, flash_t *out);

/// The same for bytes that may be written: programming clears bits, erasing sets a sector to 0xFF.
void flash_bytes_init_writable(flash_bytes_t *bytes, uint8_t *p, uint32_t len, flash_t *out);

#endif
