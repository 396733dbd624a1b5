// image_build.h - builds application images for tests, right unless the test says otherwise.
// SPDX-License-Identifier: Apache-2.0
#ifndef IMAGE_BUILD_H
#define IMAGE_BUILD_H

#include "esp_image.h"

typedef struct {
    uint16_t chip_id;
    uint32_t entry;
    uint8_t hash_appended;
    unsigned segments;
    esp_image_segment_t segment[ESP_IMAGE_SEGMENTS_MAX + 1];
    uint32_t desc_magic; // 0: no descriptor
    uint8_t page_log2;
    uint16_t min_efuse_rev;
    const char *version; // NULL: "1.0"
    const char *project; // NULL: "test"
    uint32_t secure_version;
    /// 0: segments hold zeros; else pseudo-random bytes of this seed, with runs of 0xFF.
    uint64_t fill;
    bool dense;                 // without these runs
    uint32_t hole_at, hole_len; // these bytes of the image, inside a segment, are 0xFF
} image_spec_t;

/// An ESP32-C3 image with a descriptor in flash and code in RAM.
image_spec_t image_spec(void);

enum { IMAGE_BUILD_CAP = 0x40000 };

/// Writes the image to `out` (IMAGE_BUILD_CAP bytes) and returns its length. The checksum and the
/// digest are right.
size_t image_build(const image_spec_t *spec, uint8_t *out);

/// The same, for images up to `cap` bytes.
size_t image_build_large(const image_spec_t *spec, uint8_t *out, size_t cap);

/// Puts padding, checksum and digest behind the segments that the image's own header names. Returns
/// the length, or 0, and changes nothing, if they lead out of the buffer.
size_t image_seal(uint8_t *image);
size_t image_seal_large(uint8_t *image, size_t cap);

#endif
