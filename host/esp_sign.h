// esp_sign.h - reads the Secure Boot V2 signature sector behind an image. Verifies no signature.
// SPDX-License-Identifier: Apache-2.0
//
//     esp_sign_t sign;
//     esp_sign_examine(&sign, file, len, image.len, &crypto);
//     for (unsigned i = 0; i < sign.blocks; i++)
//         printf("signed by %s\n", sign.block[i].scheme);
//
// Threads: none inside. Memory: the caller's.
#ifndef ESP_SIGN_H
#define ESP_SIGN_H

#include "base.h"
#include "crypto.h"

enum { ESP_SIGN_SECTOR = 4096, ESP_SIGN_BLOCKS_MAX = 3 };

typedef struct {
    const char *scheme; // "RSA-3072-PSS", "ECDSA P-256"
    uint8_t version;    // 2 RSA, 3 ECDSA
    bool crc_right;     // the block is as it was written
    bool known;         // the rest is valid; not for P-384, whose blocks are laid out otherwise
    bool image_right;   // it was made for these bytes
    uint8_t key_digest[CRYPTO_SHA256_LEN]; // of the public key, as the eFuses hold it
} esp_sign_block_t;

typedef struct {
    uint32_t at;     // where the sector lies, or would: the image's end, rounded up
    unsigned blocks; // 0: the image is not signed
    esp_sign_block_t block[ESP_SIGN_BLOCKS_MAX];
} esp_sign_t;

/// Looks behind an image of `image_len` bytes in a file or partition of `len` bytes. False: the hash
/// library failed.
bool esp_sign_examine(esp_sign_t *s, const uint8_t *p, size_t len, uint32_t image_len,
                      const crypto_t *crypto);

#endif
