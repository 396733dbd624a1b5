// access.h - who may update: the secret behind SecurityAccess, provided by the port (ports/psa has one).
// SPDX-License-Identifier: Apache-2.0
//
//     uint8_t seed[ACCESS_SEED_LEN], key[ACCESS_KEY_LEN];
//     if (!access.seed(access.ctx, seed)) fail("no random numbers"); // the device asks
//     if (!access.key(access.ctx, level, seed, key)) fail("no key");  // both sides compute
//
// Threads: none inside. Memory: the port's. Time: of one random number, of one MAC.
#ifndef ACCESS_H
#define ACCESS_H

#include "base.h"

enum { ACCESS_SEED_LEN = 16, ACCESS_KEY_LEN = 16 };

/// Each function returns false when the library or hardware behind it failed.
typedef struct {
    void *ctx;                                              // handed to each function; the port's
    bool (*seed)(void *ctx, uint8_t seed[ACCESS_SEED_LEN]); // random, never all zero
    bool (*key)(void *ctx, uint8_t level, const uint8_t seed[ACCESS_SEED_LEN],
                uint8_t key[ACCESS_KEY_LEN]); // what the seed must be answered with
} access_t;

#endif
