// info.h - explains a file: an image of any kind, a flash dump, a partition table, otadata.
// SPDX-License-Identifier: Apache-2.0
//
//     info_t *info = info_open(bytes, len, &crypto, error, sizeof error);
//     if (!info) fail(error);  // one line: what the file is not
//     info_text(info, stdout); // or info_json()
//     info_close(info);
//
// Threads: none inside. Memory: info_open() allocates; a flash dump is copied once on the way.
#ifndef INFO_H
#define INFO_H

#include <stdio.h>

#include "esp_bootloader.h"
#include "esp_image.h"
#include "esp_partition.h"
#include "esp_sign.h"
#include "ota_boot.h"

typedef enum { INFO_IMAGE, INFO_BOOTLOADER, INFO_DUMP, INFO_TABLE, INFO_OTADATA } info_kind_t;

typedef enum {
    INFO_APP_IMAGE,
    INFO_APP_BLANK,
    INFO_APP_OTHER,   // neither blank nor an image (or an encrypted one)
    INFO_APP_OUTSIDE, // behind the end of the file
} info_content_t;

/// An application or bootloader image, or the place for one.
typedef struct {
    info_content_t content;
    const uint8_t *p; // the place's bytes
    uint32_t len;
    esp_image_t image;  // what it says of itself
    esp_image_t strict; // the verdict: strict.err
    bool idf_accepts;   // ESP-IDF's own verdict
    esp_sign_t sign;    // what is behind it
} info_app_t;

typedef struct {
    bool blank; // neither a record nor remains of one
    ota_record_t record;
} info_record_t;

typedef struct {
    info_kind_t kind;
    const uint8_t *p; // borrowed
    uint32_t len;
    info_app_t app; // INFO_IMAGE, INFO_BOOTLOADER
    // INFO_BOOTLOADER, and INFO_DUMP if bootloader.image.pos is not 0
    uint32_t bootloader_at;
    esp_bootloader_t bootloader;
    // INFO_DUMP and INFO_TABLE
    uint32_t table_at;
    esp_partition_err_t table_err;
    bool has_md5;
    unsigned count;
    struct {
        esp_partition_t entry;
        info_app_t app; // of partitions of type app in a dump
    } partition[ESP_PARTITION_TABLE_LEN / ESP_PARTITION_ENTRY_LEN];
    esp_partition_err_t layout_err; // OK: an A/B layout
    esp_layout_t layout;
    // INFO_OTADATA, and INFO_DUMP with an A/B layout
    info_record_t record[2];
    int ruling; // INFO_DUMP: the record that rules, -1: none
    // INFO_DUMP with an A/B layout: what this project's bootloader would do
    uint16_t chip_id; // of the first image found, ESP_IMAGE_ANY_CHIP: none
    ota_boot_t boot;
    int esp_idf_boots; // and what ESP-IDF's would start, with rollback
} info_t;

enum { INFO_ERROR_CAP = 320 };

/// Recognises and examines the bytes, which it borrows until info_close().
/// NULL: `error` holds one line.
info_t *info_open(const uint8_t *p, size_t len, const crypto_t *crypto, char *error, size_t cap);
void info_close(info_t *info); // NULL is fine

/// For people.
void info_text(const info_t *info, FILE *out);

/// For programs: one JSON object and a newline.
void info_json(const info_t *info, FILE *out);

// --- What both say, in one place ---

/// The descriptor's text field at `at` (from its begin), ended by NUL. "" without a descriptor.
typedef struct {
    char s[33];
} info_name_t;
info_name_t info_desc_name(const info_app_t *app, uint32_t at, size_t len);

enum { INFO_DESC_TIME = 80, INFO_DESC_DATE = 96, INFO_DESC_IDF = 112, INFO_DESC_ELF = 144 };
enum { INFO_DESC_EFUSE = 176, INFO_DESC_PAGE = 180 };

/// What lies behind an image's own end, and its signature sector if it has one.
typedef struct {
    uint32_t len;  // bytes
    uint32_t rest; // those that belong to no signature
    bool blank;    // the rest is 0xFF
} info_tail_t;
info_tail_t info_tail(const info_app_t *app);

/// Why the bootloader starts what it starts, as a sentence without a full stop.
const char *info_why(const info_t *info);

/// "ota_0", "factory", or "nothing".
const char *info_slot_name(int slot);

/// Flash settings in an image's header: "DIO", "80 MHz", "4 MB".
const char *info_spi_mode(const info_app_t *app);
void info_spi_speed(const info_app_t *app, char text[24]);
unsigned info_spi_size_mb(const info_app_t *app);

#endif
