// crypto.h - the hashes the core needs, provided by the port (ports/psa: any PSA Crypto library).
// SPDX-License-Identifier: Apache-2.0
//
//     bool ok = crypto.start(crypto.ctx, CRYPTO_SHA256);
//     while (ok && (len = read_piece(&data)) > 0) ok = crypto.update(crypto.ctx, data, len);
//     if (ok) ok = crypto.finish(crypto.ctx, digest); // false: `digest` means nothing
//
// Threads: none inside; one caller and one running hash at a time. Memory: the port's.
// Time: linear in the bytes given; each call blocks until it is done.
#ifndef CRYPTO_H
#define CRYPTO_H

#include "base.h"

typedef enum {
    CRYPTO_SHA256, // 32 bytes: images
    CRYPTO_MD5,    // 16 bytes: ESP-IDF's partition table record; finds errors, not attacks
} crypto_hash_t;

enum { CRYPTO_SHA256_LEN = 32, CRYPTO_MD5_LEN = 16 };

/// One running hash. Starting a new one drops the one before. Each function returns false when the
/// library or the accelerator behind it failed; nothing may then be concluded about the data.
typedef struct {
    void *ctx; // handed to each function; the port's
    bool (*start)(void *ctx, crypto_hash_t alg);
    bool (*update)(void *ctx, const void *p, size_t len);
    bool (*finish)(void *ctx, uint8_t *digest); // 32 or 16 bytes
} crypto_t;

#endif
