// flash_image.h - builds what a freshly flashed device holds: table, contents, boot record.
// SPDX-License-Identifier: Apache-2.0
//
//     const flash_image_part_t app = { "ota_0", "app.bin", image, len };
//     const flash_image_cfg_t cfg = { .crypto = &crypto, .table = table, .part = &app, .parts = 1,
//                                     .chip_id = ESP_IMAGE_ANY_CHIP };
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

/// What goes to a place in flash.
typedef struct {
    const char
        *label; // of the partition; or "bootloader"; NULL: factory if there is one, else ota_0
    const char *name; // what messages call the content, for example its file
    const uint8_t *p;
    uint32_t len;
} flash_image_part_t;

typedef struct {
    const crypto_t *crypto;
    const uint8_t *table; // ESP_PARTITION_TABLE_LEN bytes
    uint32_t table_at;    // where it lies in the flash, 0: ESP_PARTITION_TABLE_AT
    const flash_image_part_t *part;
    size_t parts;
    const char
        *boot; // label of the application that starts; NULL: otadata stays blank, and ESP-IDF's
               // bootloader takes factory, else ota_0
    uint16_t chip_id; // that all images must be for; ESP_IMAGE_ANY_CHIP: the first one tells
    uint32_t size;    // bytes of flash, 0: the smallest of 1, 2, 4, .. 128 MB that holds the table
    const uint32_t *bootloader_at; // NULL: where its chip looks for it
    bool lenient;   // applications that ESP-IDF accepts will do; else esp_image.h's strict checks
    bool any_table; // a table that allows no updates will do
} flash_image_cfg_t;

enum { FLASH_IMAGE_ERROR_CAP = 640 };

/// Builds it; what nothing is given for stays blank. An application partition takes an application
/// image, a bootloader's place a bootloader image, the others take anything. NULL unless all is right
/// and fits; `error` then holds one line without a newline: what is wrong and what to do.
uint8_t *flash_image_build(const flash_image_cfg_t *cfg, uint32_t *size, char *error, size_t cap);

#endif
