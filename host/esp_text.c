// esp_text.c - tables of names, and sentences.
// SPDX-License-Identifier: Apache-2.0
#include "esp_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "ota_select.h"

/// Appends to text[cap], cutting what does not fit.
__attribute__((format(printf, 3, 4))) static void append(char *text, size_t cap, const char *format,
                                                         ...)
{
    const size_t len = strlen(text);
    va_list args;
    va_start(args, format);
    if (len < cap) vsnprintf(text + len, cap - len, format, args);
    va_end(args);
}

// --- Chips ---

typedef struct {
    uint16_t id;
    const char *option, *name;
} chip_t;

static const chip_t CHIPS[] = {
    { 0, "esp32", "ESP32" },         { 2, "esp32s2", "ESP32-S2" },
    { 5, "esp32c3", "ESP32-C3" },    { 9, "esp32s3", "ESP32-S3" },
    { 12, "esp32c2", "ESP32-C2" },   { 13, "esp32c6", "ESP32-C6" },
    { 16, "esp32h2", "ESP32-H2" },   { 18, "esp32p4", "ESP32-P4" },
    { 20, "esp32c61", "ESP32-C61" }, { 23, "esp32c5", "ESP32-C5" },
    { 25, "esp32h21", "ESP32-H21" }, { 28, "esp32h4", "ESP32-H4" },
    { 31, "esp32e22", "ESP32-E22" }, { 32, "esp32s31", "ESP32-S31" },
};
enum { CHIP_COUNT = sizeof CHIPS / sizeof CHIPS[0] };

static const chip_t *chip(uint16_t id)
{
    for (size_t i = 0; i < CHIP_COUNT; i++) {
        if (CHIPS[i].id == id) return &CHIPS[i];
    }
    return NULL;
}

const char *esp_text_chip(uint16_t chip_id)
{
    const chip_t *c = chip(chip_id);
    return c ? c->name : "unknown chip";
}

const char *esp_text_chip_option(uint16_t chip_id)
{
    const chip_t *c = chip(chip_id);
    return c ? c->option : NULL;
}

bool esp_text_find_chip(const char *name, uint16_t *chip_id)
{
    for (size_t i = 0; i < CHIP_COUNT; i++) {
        if (strcasecmp(name, CHIPS[i].option) != 0 && strcasecmp(name, CHIPS[i].name) != 0)
            continue;
        *chip_id = CHIPS[i].id;
        return true;
    }
    return false;
}

void esp_text_chip_options(char *text, size_t cap)
{
    text[0] = 0;
    for (size_t i = 0; i < CHIP_COUNT; i++)
        append(text, cap, "%s%s", i ? ", " : "", CHIPS[i].option);
}

const char *esp_text_region(esp_chip_region_t region)
{
    switch (region) {
    case ESP_CHIP_NOWHERE: break;
    case ESP_CHIP_DROM: return "flash data (DROM)";
    case ESP_CHIP_IROM: return "flash code (IROM)";
    case ESP_CHIP_DRAM: return "RAM data (DRAM)";
    case ESP_CHIP_IRAM: return "RAM code (IRAM)";
    case ESP_CHIP_RTC: return "low-power memory (RTC)";
    }
    return "unknown memory";
}

// --- Images ---

const char *esp_text_image_err(esp_image_err_t err)
{
    switch (err) {
    case ESP_IMAGE_OK: return "the image is whole and right";
    case ESP_IMAGE_ERR_MAGIC: return "not an ESP image: it does not begin with byte 0xE9";
    case ESP_IMAGE_ERR_CHIP: return "the image was built for another chip";
    case ESP_IMAGE_ERR_CHIP_REV: return "the image does not support this revision of the chip";
    case ESP_IMAGE_ERR_SEGMENTS: return "the number of segments is wrong: an image has 1 to 16";
    case ESP_IMAGE_ERR_SEGMENT: return "a segment's length or load address cannot be right";
    case ESP_IMAGE_ERR_TOO_LARGE: return "the image does not fit its slot";
    case ESP_IMAGE_ERR_SLOT:
        return "the slot is larger than 16 MB, which ESP-IDF's bootloader does not start from";
    case ESP_IMAGE_ERR_DESC:
        return "there is no usable application descriptor at offset 0x20: not an application, or linked wrongly";
    case ESP_IMAGE_ERR_ENTRY: return "the entry address does not lie in a segment of code";
    case ESP_IMAGE_ERR_NO_DIGEST:
        return "no SHA-256 is appended, so damage could go unnoticed: build without --dont-append-digest";
    case ESP_IMAGE_ERR_CHECKSUM: return "the checksum is wrong: the image is damaged";
    case ESP_IMAGE_ERR_DIGEST: return "the SHA-256 is wrong: the image is damaged";
    case ESP_IMAGE_ERR_TRUNCATED: return "the image is not complete";
    case ESP_IMAGE_ERR_CRYPTO:
        return "the hash library failed, so nothing is known about the image";
    }
    return "unknown error";
}

const char *esp_text_rev(uint16_t rev, char text[8])
{
    snprintf(text, 8, "v%u.%u", rev / 100u, rev % 100u);
    return text;
}

void esp_text_image_why(const esp_image_t *im, char *text, size_t cap)
{
    char rev[8];
    snprintf(text, cap, "%s", esp_text_image_err(im->err));
    switch (im->err) {
    case ESP_IMAGE_ERR_CHIP:
        snprintf(text, cap, "the image was built for %s (chip id %u), not for %s",
                 esp_text_chip(im->chip_id), im->chip_id, esp_text_chip(im->cfg.chip_id));
        break;
    case ESP_IMAGE_ERR_CHIP_REV:
        if (im->seen > 0) { // the header's range was passed: it is the descriptor's
            append(text, cap, " or of its eFuse block (%s)", esp_text_rev(im->cfg.efuse_rev, rev));
            break;
        }
        append(text, cap, " (%s): it needs", esp_text_rev(im->cfg.chip_rev, rev));
        append(text, cap, " %s", esp_text_rev(im->min_rev, rev));
        if (im->max_rev != 0 && im->max_rev != 0xFFFF)
            append(text, cap, " to %s", esp_text_rev(im->max_rev, rev));
        else
            append(text, cap, " or newer");
        break;
    case ESP_IMAGE_ERR_SEGMENTS: append(text, cap, ", this one says %u", im->segments); break;
    case ESP_IMAGE_ERR_SEGMENT:
        append(text, cap, " (segment %u of %u)", im->seen, im->segments);
        break;
    case ESP_IMAGE_ERR_TOO_LARGE:
        append(text, cap, " of %lu bytes", (unsigned long)im->cfg.cap);
        if (im->len > 0) append(text, cap, ": it has %lu", (unsigned long)im->len);
        break;
    case ESP_IMAGE_ERR_ENTRY: append(text, cap, " (0x%08lx)", (unsigned long)im->entry); break;
    case ESP_IMAGE_ERR_TRUNCATED:
        append(text, cap, ": %lu bytes", (unsigned long)im->pos);
        if (im->len > 0) append(text, cap, " of %lu", (unsigned long)im->len);
        break;
    case ESP_IMAGE_OK:
    case ESP_IMAGE_ERR_MAGIC:
    case ESP_IMAGE_ERR_SLOT:
    case ESP_IMAGE_ERR_DESC:
    case ESP_IMAGE_ERR_NO_DIGEST:
    case ESP_IMAGE_ERR_CHECKSUM:
    case ESP_IMAGE_ERR_DIGEST:
    case ESP_IMAGE_ERR_CRYPTO: break;
    }
}

// --- Partitions ---

const char *esp_text_partition_err(esp_partition_err_t err)
{
    switch (err) {
    case ESP_PARTITION_OK: return "the partition table is right";
    case ESP_PARTITION_ERR_FLASH: return "the partition table could not be read or hashed";
    case ESP_PARTITION_ERR_MAGIC:
        return "an entry of the partition table does not begin with bytes AA 50";
    case ESP_PARTITION_ERR_NO_END: return "the partition table has no end marker";
    case ESP_PARTITION_ERR_MD5:
        return "the partition table's MD5 record is wrong: the table is damaged";
    case ESP_PARTITION_ERR_SIZE: return "a partition reaches past the end of the flash";
    case ESP_PARTITION_ERR_EMPTY: return "the partition table is empty";
    case ESP_PARTITION_ERR_NO_OTA:
        return "the partition table has no otadata partition of 8 KB, or fewer than two OTA slots";
    case ESP_PARTITION_ERR_SLOTS:
        return "the OTA slots are not ota_0, ota_1 and so on without a gap, or overlap something";
    }
    return "unknown error";
}

typedef struct {
    uint8_t type, subtype;
    const char *name;
} keyword_t;

static const keyword_t TYPES[] = {
    { 2, 0, "bootloader" }, { 3, 0, "partition_table" }, { 0, 0, "app" }, { 1, 0, "data" }
};
static const keyword_t SUBTYPES[] = {
    { 0, 0x00, "factory" },  { 0, 0x20, "test" },     { 0, 0x10, "ota_0" },
    { 0, 0x11, "ota_1" },    { 0, 0x12, "ota_2" },    { 0, 0x13, "ota_3" },
    { 0, 0x14, "ota_4" },    { 0, 0x15, "ota_5" },    { 0, 0x16, "ota_6" },
    { 0, 0x17, "ota_7" },    { 0, 0x18, "ota_8" },    { 0, 0x19, "ota_9" },
    { 0, 0x1A, "ota_10" },   { 0, 0x1B, "ota_11" },   { 0, 0x1C, "ota_12" },
    { 0, 0x1D, "ota_13" },   { 0, 0x1E, "ota_14" },   { 0, 0x1F, "ota_15" },
    { 0, 0x30, "tee_0" },    { 0, 0x31, "tee_1" },    { 1, 0x00, "ota" },
    { 1, 0x01, "phy" },      { 1, 0x02, "nvs" },      { 1, 0x03, "coredump" },
    { 1, 0x04, "nvs_keys" }, { 1, 0x05, "efuse" },    { 1, 0x06, "undefined" },
    { 1, 0x80, "esphttpd" }, { 1, 0x81, "fat" },      { 1, 0x82, "spiffs" },
    { 1, 0x83, "littlefs" }, { 1, 0x90, "tee_ota" },  { 2, 0x00, "primary" },
    { 2, 0x01, "ota" },      { 2, 0x02, "recovery" }, { 3, 0x00, "primary" },
    { 3, 0x01, "ota" },
};
enum {
    TYPE_COUNT = sizeof TYPES / sizeof TYPES[0],
    SUBTYPE_COUNT = sizeof SUBTYPES / sizeof SUBTYPES[0]
};

const char *esp_text_type(uint8_t type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (TYPES[i].type == type) return TYPES[i].name;
    }
    return NULL;
}

const char *esp_text_subtype(uint8_t type, uint8_t subtype)
{
    for (size_t i = 0; i < SUBTYPE_COUNT; i++) {
        if (SUBTYPES[i].type == type && SUBTYPES[i].subtype == subtype) return SUBTYPES[i].name;
    }
    return NULL;
}

bool esp_text_find_type(const char *keyword, uint8_t *type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        if (strcasecmp(keyword, TYPES[i].name) != 0) continue;
        *type = TYPES[i].type;
        return true;
    }
    return false;
}

bool esp_text_find_subtype(uint8_t type, const char *keyword, uint8_t *subtype)
{
    for (size_t i = 0; i < SUBTYPE_COUNT; i++) {
        if (SUBTYPES[i].type != type || strcasecmp(keyword, SUBTYPES[i].name) != 0) continue;
        *subtype = SUBTYPES[i].subtype;
        return true;
    }
    return false;
}

void esp_text_subtypes(uint8_t type, char *text, size_t cap)
{
    text[0] = 0;
    for (size_t i = 0; i < SUBTYPE_COUNT; i++) {
        if (SUBTYPES[i].type == type)
            append(text, cap, "%s%s", text[0] ? ", " : "", SUBTYPES[i].name);
    }
}

// --- otadata ---

const char *esp_text_state(uint32_t state)
{
    switch (state) {
    case OTA_STATE_NEW: return "new";
    case OTA_STATE_PENDING: return "pending";
    case OTA_STATE_VALID: return "valid";
    case OTA_STATE_INVALID: return "invalid";
    case OTA_STATE_ABORTED: return "aborted";
    default: return "undefined";
    }
}
