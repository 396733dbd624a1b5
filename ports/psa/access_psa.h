// access_psa.h - SecurityAccess by HMAC-SHA256, from any PSA Crypto library: for devices and testers.
// SPDX-License-Identifier: Apache-2.0
//
//     access_psa_t psa;
//     access_t access;
//     if (!access_psa_init(&psa, secret, sizeof secret, &access)) fail("no crypto library");
//     if (!access.key(access.ctx, 1, seed, key)) fail("no key");
//
// key = the first 16 bytes of HMAC-SHA256(secret, level || seed). Who knows the secret can update: give
// each device its own, derived from its serial number, say.
//
// Threads: one caller at a time for each access_psa_t. Memory: the library keeps the secret.
#ifndef ACCESS_PSA_H
#define ACCESS_PSA_H

#include "access.h"
#include <psa/crypto.h>

enum { ACCESS_SECRET_MIN = 16, ACCESS_SECRET_MAX = 64 };

/// The secret as the library knows it. Private.
typedef struct {
    psa_key_id_t id;
} access_psa_t;

/// Copies the secret, ACCESS_SECRET_MIN..MAX bytes, and fills in `out`, which borrows `psa`. False: the
/// library did not start or refused; out is unusable.
bool access_psa_init(access_psa_t *psa, const void *secret, size_t len, access_t *out);

/// The library forgets the secret.
void access_psa_close(access_psa_t *psa);

#endif
