// crypto_psa.h - the core's hashes from any PSA Crypto library (mbedTLS 2.28 and later, ESP-IDF's).
// SPDX-License-Identifier: Apache-2.0
//
//     crypto_psa_t psa;
//     crypto_t crypto;
//     if (!crypto_psa_init(&psa, &crypto)) fail("the library does not start");
//     bool ok = crypto.start(crypto.ctx, CRYPTO_SHA256); // psa must live as long as crypto is used
//
// Threads: one caller at a time for each crypto_psa_t. Memory: the library's own.
#ifndef CRYPTO_PSA_H
#define CRYPTO_PSA_H

#include "crypto.h"
#include <psa/crypto.h>

/// The running hash. Private.
typedef struct {
    psa_hash_operation_t op;
    size_t digest_len;
} crypto_psa_t;

/// Starts the library and fills in `out`, which borrows `psa`.
/// False: the library did not start, out is unusable.
bool crypto_psa_init(crypto_psa_t *psa, crypto_t *out);

/// Releases what an unfinished hash holds. Needed only when psa goes away in the middle of one.
void crypto_psa_close(crypto_psa_t *psa);

#endif
