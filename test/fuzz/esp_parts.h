// esp_parts.h - what the fuzzers of ESP-IDF's formats share: a hash, a flash that keeps the rules, an image.
// SPDX-License-Identifier: Apache-2.0
#ifndef ESP_PARTS_H
#define ESP_PARTS_H

#include "crypto.h"
#include "flash.h"

/// The hashes of the PSA library, one instance a program.
const crypto_t *fuzz_crypto(void);

/// A flash in memory. Whoever breaks a rule of flash.h, or programs a unit twice, is wrong.
typedef struct {
    flash_t flash;
    uint8_t *mem;
    unsigned changes; // erases and programs since fuzz_power_on()
    unsigned left;    // until power is lost, 0: it is not
    uint32_t chance;  // which bits the operation then still changes
    bool survives;    // only that operation fails
    bool dead;
} fuzz_flash_t;

/// Borrows `mem`, and leaves its bytes as they are.
void fuzz_flash_init(fuzz_flash_t *f, uint8_t *mem, uint32_t size, uint32_t sector_size);

/// Power is lost within the n-th change from now (0: never), which changes some of its bits.
void fuzz_cut(fuzz_flash_t *f, unsigned n, uint32_t chance);

void fuzz_power_on(fuzz_flash_t *f);

/// Puts the checksum and the digest where the segments end. Returns the image's length, 0 if it
/// does not fit.
uint32_t fuzz_image_repair(uint8_t *image, uint32_t cap);

enum { FUZZ_IMAGE_LEN = 400 }; // a multiple of FLASH_UNIT

/// An image for the ESP32-C3 that strict verification accepts wherever it lies; `id` makes it differ.
void fuzz_image(uint8_t image[FUZZ_IMAGE_LEN], uint8_t id);

#endif
