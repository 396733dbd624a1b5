// esp_image.h - parses and verifies an ESP-IDF application image, byte by byte as it arrives
// (docs/FORMAT.md, 2). SPDX-License-Identifier: Apache-2.0
//
//     static const esp_image_cfg_t cfg = { .chip_id = 5, .chip_rev = 3, .cap = slot_size, .strict =
//     true }; esp_image_t image; esp_image_init(&image, &cfg, &crypto); while (more) err =
//     esp_image_input(&image, data, len);  // any pieces; stop at the first error if (err ==
//     ESP_IMAGE_OK) err = esp_image_finish(&image); // OK: the image is whole and right
//
// Threads: none inside. Memory: the caller's, none besides. Time: linear in the bytes given.
#ifndef ESP_IMAGE_H
#define ESP_IMAGE_H

#include "base.h"
#include "crypto.h"

enum {
    ESP_IMAGE_MAGIC = 0xE9,
    ESP_IMAGE_HEADER_LEN = 24,
    ESP_IMAGE_DESC_AT = 32,   // app descriptor: 256 bytes from here
    ESP_IMAGE_HEAD_LEN = 288, // everything that can be judged before erasing
    ESP_IMAGE_SEGMENTS_MAX = 16,
    ESP_IMAGE_ANY_CHIP = 0xFFFF,
    ESP_IMAGE_ANY_REV = 0xFFFF,
};

typedef enum {
    ESP_IMAGE_OK = 0,
    ESP_IMAGE_ERR_MAGIC,     // does not begin with 0xE9: not an ESP image at all
    ESP_IMAGE_ERR_CHIP,      // built for another chip
    ESP_IMAGE_ERR_CHIP_REV,  // the chip's (or its eFuse block's) revision is outside the image's
                             // range
    ESP_IMAGE_ERR_SEGMENTS,  // more than 16 segments, or (strict) none
    ESP_IMAGE_ERR_SEGMENT,   // a segment's length or address cannot be right
    ESP_IMAGE_ERR_TOO_LARGE, // does not fit `cap`
    ESP_IMAGE_ERR_DESC,      // strict: no application descriptor where one must be
    ESP_IMAGE_ERR_ENTRY,     // strict: the entry address is in no executable segment
    ESP_IMAGE_ERR_NO_DIGEST, // strict: no SHA-256 appended, so damage could go unnoticed
    ESP_IMAGE_ERR_CHECKSUM,  // XOR checksum
    ESP_IMAGE_ERR_DIGEST,    // SHA-256
    ESP_IMAGE_ERR_TRUNCATED, // esp_image_finish(): ended before its own length
    ESP_IMAGE_ERR_CRYPTO,    // the hash library failed
} esp_image_err_t;

typedef struct {
    uint16_t chip_id;   // the chip this must run on, or ESP_IMAGE_ANY_CHIP
    uint16_t chip_rev;  // its revision, major * 100 + minor, or ESP_IMAGE_ANY_REV
    uint16_t efuse_rev; // its eFuse block revision, or ESP_IMAGE_ANY_REV
    uint32_t at;        // where in flash the image lies or will lie (only the low 16 bits matter)
    uint32_t cap;       // bytes the slot holds
    bool strict;        // false: accept exactly what ESP-IDF's esp_image_verify() accepts
} esp_image_cfg_t;

typedef struct {
    esp_image_cfg_t cfg;    // read
    const crypto_t *crypto; // NULL: the structure only, no SHA-256
    esp_image_err_t err;    // read: the first error, kept
    uint32_t pos;           // read: bytes taken so far, trailing ones included
    uint32_t len; // read: the image's own length, 0 while unknown (the last segment header tells)
    // Header fields, valid once pos >= ESP_IMAGE_HEADER_LEN.
    uint8_t segments;          // read
    uint32_t entry;            // read
    uint16_t chip_id;          // read
    uint16_t min_rev, max_rev; // read
    bool has_digest;           // read
    // Application descriptor, valid when has_desc (needs pos >= ESP_IMAGE_HEAD_LEN).
    bool has_desc;           // read
    uint32_t secure_version; // read
    char version[33];        // read, ended by NUL
    char project[33];        // read, ended by NUL
    // private: the parser's own fields follow
} esp_image_t;

/// Begins an image. Copies cfg; borrows crypto (which must not be used for another hash) until
/// finish or an error.
void esp_image_init(esp_image_t *im, const esp_image_cfg_t *cfg, const crypto_t *crypto);

/// Takes the next bytes of the image. Bytes behind the image's own end are counted in `pos` against
/// `cap`, and otherwise ignored. Returns the first error, again and again once there is one.
esp_image_err_t esp_image_input(esp_image_t *im, const void *data, size_t len);

/// True when every byte up to the image's own end has been taken without an error.
bool esp_image_complete(const esp_image_t *im);

/// The verdict: OK only if the image is complete and every check passed.
esp_image_err_t esp_image_finish(esp_image_t *im);

#endif
