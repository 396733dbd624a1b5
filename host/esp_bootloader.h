// esp_bootloader.h - second-stage bootloader images: where chips look for them, what they say.
// SPDX-License-Identifier: Apache-2.0
//
//     esp_bootloader_t b;
//     uint32_t at;
//     esp_bootloader_examine(&b, image, len, slot_size, &crypto);
//     if (b.image.err) fail("not a bootloader that would start");
//     if (!esp_bootloader_place(b.image.chip_id, &at)) fail("give its place");
//
// Threads: none inside. Memory: the caller's.
#ifndef ESP_BOOTLOADER_H
#define ESP_BOOTLOADER_H

#include "esp_image.h"

typedef struct {
    esp_image_t image; // read: header, segments, length; `err` is the verdict
    bool has_desc;     // read: the rest is valid; ESP-IDF writes it since v5.2
    uint8_t secure_version;
    uint32_t version;
    char idf[33], date[25]; // ended by NUL
} esp_bootloader_t;

/// Where the chip's ROM looks for it. False: the chip is not known.
bool esp_bootloader_place(uint16_t chip_id, uint32_t *at);

/// True if the bytes begin like a bootloader image with a descriptor.
bool esp_bootloader_is(const uint8_t *p, size_t len);

/// Takes the image apart and checks what ESP-IDF checks: structure, checksum, SHA-256. It has no
/// application descriptor and is not mapped, so esp_image_input() alone would refuse it on some chips.
void esp_bootloader_examine(esp_bootloader_t *b, const uint8_t *p, size_t len, uint32_t cap,
                            const crypto_t *crypto);

#endif
