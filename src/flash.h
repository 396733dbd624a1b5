// flash.h - what the core needs of a NOR flash; each port fills in one of these.
// SPDX-License-Identifier: Apache-2.0
#ifndef FLASH_H
#define FLASH_H

#include "base.h"

/// The core programs whole units, aligned to them: STM32 words and ESP32 flash encryption both fit
/// in.
enum { FLASH_UNIT = 16 };

/// A flash device. All calls block until the operation is done; each is bounded by one sector's
/// erase time. They return 0, or a port's own code other than 0 when the hardware failed; the code
/// is passed on. Offsets count from the start of the flash. The core stays inside `size` and never
/// crosses it.
typedef struct {
    void *ctx;            // handed to each function; the port's
    uint32_t size;        // bytes, a multiple of sector_size
    uint32_t sector_size; // bytes one erase sets to 0xFF; a power of two, 256 or more
    int (*read)(void *ctx, uint32_t at, void *p, uint32_t len);
    /// Clears bits (1 -> 0 only). `at` and `len` are multiples of FLASH_UNIT; crosses no 256-byte
    /// page.
    int (*prog)(void *ctx, uint32_t at, const void *p, uint32_t len);
    /// Sets the sector that starts at `at` to 0xFF.
    int (*erase)(void *ctx, uint32_t at);
} flash_t;

#endif
