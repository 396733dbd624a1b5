// ota_slot.c - what a slot holds: see ota_slot.h.
// SPDX-License-Identifier: Apache-2.0
#include "ota_slot.h"

#include "ota_select.h"

enum {
    SEGMENT_HEADER = 8,
    HAS_DIGEST_AT = 23, // in the image header
    DESC_LEN = 80,      // up to and with the project's name
    DESC_VERSION_AT = 16,
    DESC_PROJECT_AT = 48,
};

static int read(const ota_cfg_t *cfg, uint32_t at, void *to, uint32_t len)
{
    return cfg->flash->read(cfg->flash->ctx, at, to, len);
}

/// Goes from segment to segment; their bytes are not read.
static int measure(const ota_cfg_t *cfg, esp_extent_t where, ota_slot_t *out)
{
    uint8_t header[ESP_IMAGE_HEADER_LEN], segment[SEGMENT_HEADER];
    uint32_t pos = ESP_IMAGE_HEADER_LEN;
    int err = read(cfg, where.at, header, sizeof header);
    if (err || header[0] != ESP_IMAGE_MAGIC || header[1] > ESP_IMAGE_SEGMENTS_MAX) return err;
    for (unsigned i = 0; i < header[1]; i++) {
        if (where.size - pos < SEGMENT_HEADER) return 0;
        err = read(cfg, where.at + pos, segment, sizeof segment);
        if (err) return err;
        pos += SEGMENT_HEADER;
        const uint32_t len = load_le32(&segment[4]);
        if (len > where.size - pos) return 0;
        pos += len;
    }
    pos = (pos + 16) & ~UINT32_C(15); // the checksum is the last byte of 16
    const uint32_t digest = header[HAS_DIGEST_AT] ? CRYPTO_SHA256_LEN : 0;
    if (pos > where.size || digest > where.size - pos) return 0;
    if (digest) err = read(cfg, where.at + pos, out->digest, digest);
    if (!err) out->len = pos + digest;
    return err;
}

static int describe(const ota_cfg_t *cfg, esp_extent_t where, ota_slot_t *out)
{
    uint8_t desc[DESC_LEN];
    const int err = read(cfg, where.at + ESP_IMAGE_DESC_AT, desc, sizeof desc);
    if (err || load_le32(desc) != ESP_IMAGE_DESC_MAGIC) return err;
    out->secure_version = load_le32(&desc[4]);
    memcpy(out->version, &desc[DESC_VERSION_AT], OTA_SLOT_TEXT);
    memcpy(out->project, &desc[DESC_PROJECT_AT], OTA_SLOT_TEXT);
    return 0;
}

int ota_slot_read(const ota_cfg_t *cfg, int slot, ota_slot_t *out)
{
    ota_select_t sel;
    memset(out, 0, sizeof *out);
    out->state = OTA_SLOT_NO_RECORD;
    const esp_extent_t where = ota_select_extent(cfg->layout, slot);
    out->size = where.size;
    if (where.size < ESP_IMAGE_HEAD_LEN) return 0;
    int err = ota_select_read(cfg->flash, cfg->layout, &sel);
    const ota_record_t *record = err ? NULL : ota_select_about(&sel, slot);
    if (record && record->state <= OTA_STATE_ABORTED) out->state = (uint8_t)record->state;
    if (!err) err = measure(cfg, where, out);
    return (err || out->len == 0) ? err : describe(cfg, where, out);
}
