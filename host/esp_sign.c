// esp_sign.c - Secure Boot V2 signature blocks: see esp_sign.h.
// SPDX-License-Identifier: Apache-2.0
//
// What is signed is the image with whatever is between it and the sector. A sector holds up to three
// blocks of 1216 bytes, one for each key, without gaps.
#include "esp_sign.h"

#include "crc32.h"

enum { BLOCK_LEN = 1216, MAGIC = 0xE7, RSA = 2, ECDSA = 3 };
enum { DIGEST_AT = 4, KEY_AT = 36, RSA_KEY_LEN = 776, ECDSA_KEY_LEN = 65, CRC_AT = 1196 };
enum { P192 = 1, P256 = 2, P384 = 3 };

static bool sha256(const crypto_t *crypto, const uint8_t *p, size_t len,
                   uint8_t digest[CRYPTO_SHA256_LEN])
{
    return crypto->start(crypto->ctx, CRYPTO_SHA256) && crypto->update(crypto->ctx, p, len) &&
           crypto->finish(crypto->ctx, digest);
}

static const char *scheme_of(const uint8_t *block)
{
    if (block[1] == RSA) return "RSA-3072-PSS";
    switch (block[KEY_AT]) {
    case P192: return "ECDSA P-192";
    case P256: return "ECDSA P-256";
    case P384: return "ECDSA P-384";
    default: return "ECDSA, unknown curve";
    }
}

bool esp_sign_examine(esp_sign_t *s, const uint8_t *p, size_t len, uint32_t image_len,
                      const crypto_t *crypto)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    memset(s, 0, sizeof *s);
    if (image_len > UINT32_MAX - ESP_SIGN_SECTOR) return true;
    s->at = (image_len + ESP_SIGN_SECTOR - 1) / ESP_SIGN_SECTOR * ESP_SIGN_SECTOR;
    if (s->at > len || len - s->at < ESP_SIGN_SECTOR) return true;
    for (const uint8_t *block = p + s->at; s->blocks < ESP_SIGN_BLOCKS_MAX; block += BLOCK_LEN) {
        esp_sign_block_t *b = &s->block[s->blocks];
        if (block[0] != MAGIC || (block[1] != RSA && block[1] != ECDSA)) break;
        if (s->blocks++ == 0 && !sha256(crypto, p, s->at, digest)) return false;
        b->version = block[1];
        b->scheme = scheme_of(block);
        b->crc_right = crc32_of(UINT32_MAX, block, CRC_AT) == load_le32(block + CRC_AT);
        b->image_right = memcmp(block + DIGEST_AT, digest, sizeof digest) == 0;
        b->known = block[1] == RSA || block[KEY_AT] == P192 || block[KEY_AT] == P256;
        const size_t key_len = (block[1] == RSA) ? RSA_KEY_LEN : ECDSA_KEY_LEN;
        if (!sha256(crypto, block + KEY_AT, key_len, b->key_digest)) return false;
    }
    return true;
}
