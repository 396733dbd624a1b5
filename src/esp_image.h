// esp_image.h - parses and verifies an ESP-IDF application image, as its bytes arrive.
// SPDX-License-Identifier: Apache-2.0
//
//     const esp_image_cfg_t cfg = { .chip_id = 5, .chip_rev = 3, .efuse_rev = ESP_IMAGE_ANY_REV,
//                                   .cap = slot_size, .strict = true };
//     esp_image_t image;
//     esp_image_err_t err = ESP_IMAGE_OK;
//     esp_image_init(&image, &cfg, &crypto);
//     while (!err && (len = read_piece(&data)) > 0) // any pieces
//         err = esp_image_input(&image, data, len);
//     if (!err) err = esp_image_finish(&image); // OK: the image is whole and right
//
// Threads: none inside. Memory: the caller's, none besides. Time: linear in the bytes given.
#ifndef ESP_IMAGE_H
#define ESP_IMAGE_H

#include "base.h"
#include "crypto.h"
#include "flash.h"

enum {
    ESP_IMAGE_MAGIC = 0xE9,
    ESP_IMAGE_HEADER_LEN = 24,
    ESP_IMAGE_DESC_AT = 32,   // app descriptor: 256 bytes from here
    ESP_IMAGE_HEAD_LEN = 288, // everything that can be judged before erasing
    ESP_IMAGE_SEGMENTS_MAX = 16,
    ESP_IMAGE_CAP_MAX = 0x1000000, // ESP-IDF takes no larger partition for an image
    ESP_IMAGE_ANY_CHIP = 0xFFFF,
    ESP_IMAGE_ANY_REV = 0xFFFF,
};

#define ESP_IMAGE_DESC_MAGIC UINT32_C(0xABCD5432) // the descriptor's first four bytes

typedef enum {
    ESP_IMAGE_OK = 0,
    ESP_IMAGE_ERR_MAGIC,     // does not begin with 0xE9: not an ESP image at all
    ESP_IMAGE_ERR_CHIP,      // built for another chip
    ESP_IMAGE_ERR_CHIP_REV,  // revision of the chip or of its eFuse block outside the image's range
    ESP_IMAGE_ERR_SEGMENTS,  // more than 16 segments, or (strict) none
    ESP_IMAGE_ERR_SEGMENT,   // a segment's length or address cannot be right; strict: two overlap
    ESP_IMAGE_ERR_TOO_LARGE, // does not fit `cap`
    ESP_IMAGE_ERR_SLOT,      // `cap` is more than ESP_IMAGE_CAP_MAX
    ESP_IMAGE_ERR_DESC,      // no usable application descriptor (strict, or the MMU needs it)
    ESP_IMAGE_ERR_ENTRY,     // strict: the entry address is in no executable segment
    ESP_IMAGE_ERR_NO_DIGEST, // strict: no SHA-256 appended, so damage could go unnoticed
    ESP_IMAGE_ERR_CHECKSUM,  // XOR checksum
    ESP_IMAGE_ERR_DIGEST,    // SHA-256
    ESP_IMAGE_ERR_TRUNCATED, // esp_image_finish(): ended before its own length
    ESP_IMAGE_ERR_CRYPTO,    // the hash library failed
} esp_image_err_t;

typedef enum { // private
    ESP_IMAGE_AT_MAGIC,
    ESP_IMAGE_AT_HEADER,
    ESP_IMAGE_AT_SEGMENT,
    ESP_IMAGE_AT_DATA,
    ESP_IMAGE_AT_CHECKSUM,
    ESP_IMAGE_AT_DIGEST,
    ESP_IMAGE_AT_END,
} esp_image_state_t;

typedef struct {
    uint16_t chip_id;   // the chip this must run on, or ESP_IMAGE_ANY_CHIP
    uint16_t chip_rev;  // its revision, major * 100 + minor, or ESP_IMAGE_ANY_REV
    uint16_t efuse_rev; // its eFuse block revision, or ESP_IMAGE_ANY_REV
    uint32_t at;        // where in flash the image lies or will lie (only the low 16 bits matter)
    uint32_t cap;       // bytes the slot holds, at most ESP_IMAGE_CAP_MAX
    bool strict;        // false: accept exactly what ESP-IDF's esp_image_verify() accepts
} esp_image_cfg_t;

typedef struct {
    uint32_t load, len; // load 0: padding, which is loaded nowhere
} esp_image_segment_t;

typedef struct {
    esp_image_cfg_t cfg;    // read
    const crypto_t *crypto; // NULL: the structure only, no SHA-256
    esp_image_err_t err;    // read: the first error, kept
    uint32_t pos;           // read: bytes taken so far, trailing ones included
    uint32_t len;           // read: the image's own length, 0 until the last segment header tells
    // Header fields, valid once pos >= ESP_IMAGE_HEADER_LEN.
    uint8_t segments;                                    // read: as many as the header promises
    uint32_t entry;                                      // read
    uint16_t chip_id;                                    // read
    uint16_t min_rev, max_rev;                           // read
    bool has_digest;                                     // read
    uint8_t seen;                                        // read: segment headers taken so far
    esp_image_segment_t segment[ESP_IMAGE_SEGMENTS_MAX]; // read: valid below `seen`
    // Application descriptor, valid when has_desc (needs pos >= ESP_IMAGE_HEAD_LEN).
    bool has_desc;           // read
    uint32_t secure_version; // read
    char version[33];        // read, ended by NUL
    char project[33];        // read, ended by NUL
    // private: the parser's own fields follow
    esp_image_state_t state;
    uint32_t until;    // the position at which this state ends
    uint32_t page;     // bytes of a flash MMU page, 0 while unknown
    uint8_t checksum;  // XOR of the segment data so far
    uint8_t diff;      // bits in which the appended digest differs from ours
    uint8_t raw[32];   // the header being collected; later our digest
    uint8_t magic[8];  // the descriptor's first bytes: magic, secure version
    uint8_t limits[5]; // eFuse block revisions, MMU page size
} esp_image_t;

_Static_assert(sizeof(void *) > 4 || sizeof(esp_image_t) <= 352, "RAM budget");

/// Begins an image. Copies cfg; borrows crypto until finish or an error, and must have it alone.
void esp_image_init(esp_image_t *im, const esp_image_cfg_t *cfg, const crypto_t *crypto);

/// Takes the next bytes. How they are cut does not matter; each check runs as soon as its bytes are
/// here, all that can be judged before an erase with byte ESP_IMAGE_HEAD_LEN. Bytes behind the
/// image's own end are counted in `pos` against `cap`, and otherwise ignored. Returns the first
/// error, again and again once there is one.
esp_image_err_t esp_image_input(esp_image_t *im, const void *data, size_t len);

/// Takes the whole image from flash, where it lies at cfg->at, through `buf` of `cap` bytes. Returns 0,
/// or the flash's error; the verdict is esp_image_finish()'s.
int esp_image_read(esp_image_t *im, const flash_t *flash, uint8_t *buf, uint32_t cap);

/// True when every byte up to the image's own end has been taken without an error.
bool esp_image_complete(const esp_image_t *im);

/// The verdict: OK only if the image is complete and every check passed.
esp_image_err_t esp_image_finish(esp_image_t *im);

#endif
