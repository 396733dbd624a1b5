// esp_bootloader.c - bootloader images: see esp_bootloader.h.
// SPDX-License-Identifier: Apache-2.0
//
// esp_image does the parsing. It gets a header without chip, because what it checks of a chip's
// applications does not hold here, and without digest, because the header is not the file's any more.
#include "esp_bootloader.h"

enum { DESC_MAGIC = 80, DESC_LEN = 80, CHIP_AT = 12, DIGEST_FLAG_AT = 23 };

bool esp_bootloader_place(uint16_t chip_id, uint32_t *at)
{
    switch (chip_id) {
    case 0: // ESP32
    case 2: // ESP32-S2
        *at = 0x1000;
        return true;
    case 5:  // ESP32-C3
    case 9:  // ESP32-S3
    case 12: // ESP32-C2
    case 13: // ESP32-C6
    case 16: // ESP32-H2
    case 20: // ESP32-C61
    case 25: // ESP32-H21
        *at = 0;
        return true;
    case 18: // ESP32-P4
    case 23: // ESP32-C5
    case 28: // ESP32-H4
    case 32: // ESP32-S31
        *at = 0x2000;
        return true;
    default: return false;
    }
}

bool esp_bootloader_is(const uint8_t *p, size_t len)
{
    return len >= ESP_IMAGE_DESC_AT + DESC_LEN && p[0] == ESP_IMAGE_MAGIC &&
           p[ESP_IMAGE_DESC_AT] == DESC_MAGIC;
}

static void read_desc(esp_bootloader_t *b, const uint8_t *desc)
{
    b->has_desc = true;
    b->secure_version = desc[3];
    b->version = load_le32(desc + 4);
    memcpy(b->idf, desc + 8, sizeof b->idf - 1);
    memcpy(b->date, desc + 40, sizeof b->date - 1);
}

static void check_digest(esp_image_t *im, const uint8_t *p, size_t len, const crypto_t *crypto)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    const uint32_t end = im->len;
    if (end == 0) return; // not even its length is known
    im->len += CRYPTO_SHA256_LEN;
    if (im->err) return;
    if (im->len > im->cfg.cap)
        im->err = ESP_IMAGE_ERR_TOO_LARGE;
    else if (im->len > len)
        im->err = ESP_IMAGE_ERR_TRUNCATED;
    else if (!crypto->start(crypto->ctx, CRYPTO_SHA256) || !crypto->update(crypto->ctx, p, end) ||
             !crypto->finish(crypto->ctx, digest))
        im->err = ESP_IMAGE_ERR_CRYPTO;
    else if (memcmp(digest, p + end, sizeof digest) != 0)
        im->err = ESP_IMAGE_ERR_DIGEST;
}

void esp_bootloader_examine(esp_bootloader_t *b, const uint8_t *p, size_t len, uint32_t cap,
                            const crypto_t *crypto)
{
    const esp_image_cfg_t cfg = { .chip_id = ESP_IMAGE_ANY_CHIP,
                                  .chip_rev = ESP_IMAGE_ANY_REV,
                                  .efuse_rev = ESP_IMAGE_ANY_REV,
                                  .cap = cap };
    uint8_t header[ESP_IMAGE_HEADER_LEN] = { 0 };
    memset(b, 0, sizeof *b);
    esp_image_init(&b->image, &cfg, NULL);
    memcpy(header, p, smaller(len, sizeof header));
    const uint16_t chip_id = load_le16(header + CHIP_AT);
    const bool has_digest = header[DIGEST_FLAG_AT] != 0;
    store_le16(header + CHIP_AT, ESP_IMAGE_ANY_CHIP);
    header[DIGEST_FLAG_AT] = 0;
    (void)esp_image_input(&b->image, header, smaller(len, sizeof header));
    if (len > sizeof header)
        (void)esp_image_input(&b->image, p + sizeof header, len - sizeof header);
    (void)esp_image_finish(&b->image);
    if (!b->image.err && b->image.segments == 0) b->image.err = ESP_IMAGE_ERR_SEGMENTS;
    b->image.chip_id = chip_id;
    b->image.has_digest = has_digest;
    if (has_digest) check_digest(&b->image, p, len, crypto);
    if (esp_bootloader_is(p, len)) read_desc(b, p + ESP_IMAGE_DESC_AT);
}
