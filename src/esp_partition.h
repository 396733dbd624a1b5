// esp_partition.h - reads and verifies an ESP-IDF partition table (docs/FORMAT.md, section 1).
// SPDX-License-Identifier: Apache-2.0
//
//     esp_layout_t layout;
//     if (esp_partition_layout(&flash, &crypto, ESP_PARTITION_TABLE_AT, &layout)) no_table();
//     use_slot(layout.slot[0].at, layout.slot[0].size); // or slot[1] .. slot[layout.slots - 1]
//
// Threads: none inside. Memory: the caller's. Time: each entry is searched from the table's
// start. esp_partition_layout() reads 1 KiB of a table of 6 entries, 150 KiB of one of 95.
#ifndef ESP_PARTITION_H
#define ESP_PARTITION_H

#include "base.h"
#include "crypto.h"
#include "flash.h"

enum {
    ESP_PARTITION_TABLE_AT = 0x8000, // ESP-IDF's default CONFIG_PARTITION_TABLE_OFFSET
    ESP_PARTITION_TABLE_LEN = 0xC00, // 96 records of 32 bytes: entries, MD5, end marker
    ESP_PARTITION_ENTRY_LEN = 32,
    ESP_PARTITION_SLOTS_MAX = 16, // ota_0 .. ota_15
};

enum { ESP_PARTITION_APP = 0x00, ESP_PARTITION_DATA = 0x01, ESP_PARTITION_END = 0xFF }; // types
enum { ESP_PARTITION_FACTORY = 0x00, ESP_PARTITION_OTA_0 = 0x10 }; // subtypes of APP
enum { ESP_PARTITION_OTADATA = 0x00 };                             // subtype of DATA

typedef enum {
    ESP_PARTITION_OK = 0,
    ESP_PARTITION_ERR_FLASH,  // the flash could not be read, or the hash library failed
    ESP_PARTITION_ERR_MAGIC,  // an entry begins with something else
    ESP_PARTITION_ERR_NO_END, // no end marker within 0xC00 bytes
    ESP_PARTITION_ERR_MD5,    // the MD5 record is wrong, or there are two
    ESP_PARTITION_ERR_SIZE,   // an entry reaches past the end of the flash
    ESP_PARTITION_ERR_EMPTY,  // a table without entries (blank flash)
    ESP_PARTITION_ERR_NO_OTA, // no otadata of two sectors, or fewer than two OTA slots
    ESP_PARTITION_ERR_SLOTS,  // a gap in ota_0..ota_n-1; a slot not of whole sectors; overlaps of
                              // slots, otadata, the factory app, the table
} esp_partition_err_t;

typedef struct {
    uint32_t at, size; // bytes; `at` counts from the start of the flash
    uint32_t flags;    // bit 0 encrypted, bit 1 read-only
    uint8_t type, subtype;
    char label[17]; // at most 16 characters, ended by NUL here (not always on flash)
} esp_partition_t;

/// Verifies the whole table at `table_at` as ESP-IDF's bootloader does, and counts its entries
/// (without the MD5 record). `count` may be NULL. With `crypto` NULL an MD5 record is not compared.
esp_partition_err_t esp_partition_verify(const flash_t *flash, const crypto_t *crypto,
                                         uint32_t table_at, unsigned *count);

/// Entry `index`, 0..count-1, of a verified table.
esp_partition_err_t esp_partition_get(const flash_t *flash, uint32_t table_at, unsigned index,
                                      esp_partition_t *out);

typedef struct {
    uint32_t at, size; // size 0: there is none
} esp_extent_t;

/// What an updater and a bootloader need of a table.
typedef struct {
    uint32_t otadata_at; // two sectors
    unsigned slots;      // 2..16
    esp_extent_t slot[ESP_PARTITION_SLOTS_MAX];
    esp_extent_t factory;
} esp_layout_t;

/// Verifies the table and finds otadata, the OTA slots and the factory app in it. The last of
/// several entries of one kind wins, as in ESP-IDF's bootloader. Stricter than that where an update
/// would destroy something.
esp_partition_err_t esp_partition_layout(const flash_t *flash, const crypto_t *crypto,
                                         uint32_t table_at, esp_layout_t *out);

#endif
