// image_build.c - an image writer for tests, independent of the parser.
// SPDX-License-Identifier: Apache-2.0
#include "image_build.h"
#include "vectors.h"

image_spec_t image_spec(void)
{
    return (image_spec_t){ .chip_id = 5,
                           .entry = 0x40380010,
                           .hash_appended = 1,
                           .segments = 2,
                           .segment = { { 0x3C000020, 256 }, { 0x40380000, 64 } },
                           .desc_magic = 0xABCD5432 };
}

static void put_desc(const image_spec_t *spec, uint8_t *p)
{
    memset(p, 0, 256);
    store_le32(p, spec->desc_magic);
    store_le32(p + 4, spec->secure_version);
    snprintf((char *)p + 16, 32, "%s", spec->version ? spec->version : "1.0");
    snprintf((char *)p + 48, 32, "%s", spec->project ? spec->project : "test");
    store_le16(p + 176, spec->min_efuse_rev);
    p[180] = spec->page_log2;
}

/// Every fourth block of 256 bytes is blank, as in real images that are padded.
static void put_fill(const image_spec_t *spec, uint64_t seed, uint8_t *out, size_t at, size_t len)
{
    for (size_t i = at; i < at + len; i++)
        out[i] = (i / 256 % 4 == 3 && !spec->dense) ? 0xFF : (uint8_t)vector_random(&seed, 256);
}

size_t image_seal_large(uint8_t *image, size_t cap)
{
    size_t at = 24;
    uint8_t checksum = 0xEF;
    for (unsigned i = 0; i < image[1]; i++) {
        const size_t len = load_le32(image + at + 4);
        at += 8;
        if (len > cap - 64 - at) return 0;
        for (size_t k = 0; k < len; k++)
            checksum ^= image[at + k];
        at += len;
    }
    memset(image + at, 0, 15 - at % 16);
    at |= 15;
    image[at++] = checksum;
    if (!image[23]) return at;
    const crypto_t *crypto = vector_crypto();
    const bool hashed = crypto->start(crypto->ctx, CRYPTO_SHA256) &&
                        crypto->update(crypto->ctx, image, at) &&
                        crypto->finish(crypto->ctx, image + at);
    return hashed ? at + 32 : 0;
}

size_t image_seal(uint8_t *image) { return image_seal_large(image, IMAGE_BUILD_CAP); }

size_t image_build_large(const image_spec_t *spec, uint8_t *out, size_t cap)
{
    memset(out, 0, cap);
    out[0] = 0xE9;
    out[1] = (uint8_t)spec->segments;
    store_le32(out + 4, spec->entry);
    store_le16(out + 12, spec->chip_id);
    out[23] = spec->hash_appended;
    size_t at = 24;
    for (unsigned i = 0; i < spec->segments && i <= ESP_IMAGE_SEGMENTS_MAX; i++) {
        const esp_image_segment_t *s = &spec->segment[i];
        store_le32(out + at, s->load);
        store_le32(out + at + 4, s->len);
        at += 8;
        if (spec->fill) put_fill(spec, spec->fill + i, out, at, s->len);
        if (i == 0 && spec->desc_magic && s->len >= 256) put_desc(spec, out + at);
        if (spec->hole_at >= at && spec->hole_at + spec->hole_len <= at + s->len)
            memset(out + spec->hole_at, 0xFF, spec->hole_len);
        at += s->len;
    }
    return image_seal_large(out, cap);
}

size_t image_build(const image_spec_t *spec, uint8_t *out)
{
    return image_build_large(spec, out, IMAGE_BUILD_CAP);
}
