// flash_image.h - builds what a freshly flashed device holds: a partition table, one application.
// SPDX-License-Identifier: Apache-2.0
//
//     const flash_image_cfg_t cfg = { .crypto = &crypto, .table = table, .app = image,
//                                     .app_len = len, .chip_id = ESP_IMAGE_ANY_CHIP };
//     uint32_t size;
//     uint8_t *flash = flash_image_build(&cfg, &size, error, sizeof error);
//     if (!flash) fail(error); // one line
//     free(flash);
//
// Threads: none inside. Memory: the result is allocated, the caller frees it.
#ifndef FLASH_IMAGE_H
#define FLASH_IMAGE_H

#include "esp_image.h"
#include "esp_partition.h"

typedef struct {
    const crypto_t *crypto;
    const uint8_t *table; // ESP_PARTITION_TABLE_LEN bytes
    uint32_t table_at;    // where it lies in the flash, 0: ESP_PARTITION_TABLE_AT
    const uint8_t *app;   // goes to factory if there is one, else to ota_0; NULL: no application
    uint32_t app_len;
    uint16_t chip_id; // that the application must be for; ESP_IMAGE_ANY_CHIP: it tells
    uint32_t size;    // bytes of flash, 0: the smallest of 1, 2, 4, .. 128 MB that holds the table
} flash_image_cfg_t;

enum { FLASH_IMAGE_ERROR_CAP = 320 };

/// Builds it. The bootloader's place stays blank. NULL unless the table has otadata and at least
/// two OTA slots, everything fits, and the application passes strict verification; `error` then
/// holds one line without a newline: what is wrong and what to do.
uint8_t *flash_image_build(const flash_image_cfg_t *cfg, uint32_t *size, char *error, size_t cap);

#endif
