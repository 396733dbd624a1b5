// flash.h - what the core needs of a NOR flash; each port fills in one of these.
// SPDX-License-Identifier: Apache-2.0
//
//     const flash_t flash = { .ctx = &spi, .size = 4 << 20, .sector_size = 4096,
//                             .read = spi_read, .prog = spi_prog, .erase = spi_erase };
//
// Threads: the core calls these from the thread that called it, one after the other.
// Memory: the port's. Time: each call blocks until it is done, at most for one sector's erase time.
#ifndef FLASH_H
#define FLASH_H

#include "base.h"

/// The core programs whole units, aligned to them: STM32 words and ESP32 flash encryption fit in.
enum { FLASH_UNIT = 16 };

/// A flash device. All calls return 0, or a port's own code other than 0 when the hardware failed;
/// the code is passed on. Offsets count from the start of the flash. The core stays inside `size`.
typedef struct {
    void *ctx;            // handed to each function; the port's
    uint32_t size;        // bytes, a multiple of sector_size
    uint32_t sector_size; // bytes one erase sets to 0xFF; a power of two, 256 or more
    int (*read)(void *ctx, uint32_t at, void *p, uint32_t len);
    /// Clears bits (1 -> 0 only). `at` and `len` are multiples of FLASH_UNIT;
    /// crosses no 256-byte page.
    int (*prog)(void *ctx, uint32_t at, const void *p, uint32_t len);
    /// Sets the sector that starts at `at` to 0xFF.
    int (*erase)(void *ctx, uint32_t at);
} flash_t;

/// True if these bytes are as an erase leaves them.
static inline bool flash_is_blank(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0xFF) return false;
    return true;
}

#endif
