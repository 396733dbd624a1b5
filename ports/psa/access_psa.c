// access_psa.c - SecurityAccess by HMAC-SHA256: see access_psa.h.
// SPDX-License-Identifier: Apache-2.0
#include "access_psa.h"

#define ALGORITHM PSA_ALG_HMAC(PSA_ALG_SHA_256)
enum { MAC_LEN = 32 };

static bool random_seed(void *ctx, uint8_t seed[ACCESS_SEED_LEN])
{
    static const uint8_t zeros[ACCESS_SEED_LEN];
    (void)ctx;
    return psa_generate_random(seed, ACCESS_SEED_LEN) == PSA_SUCCESS &&
           memcmp(seed, zeros, ACCESS_SEED_LEN) != 0;
}

static bool compute_key(void *ctx, uint8_t level, const uint8_t seed[ACCESS_SEED_LEN],
                        uint8_t key[ACCESS_KEY_LEN])
{
    const access_psa_t *psa = ctx;
    uint8_t input[1 + ACCESS_SEED_LEN], mac[MAC_LEN];
    size_t len = 0;
    input[0] = level;
    memcpy(&input[1], seed, ACCESS_SEED_LEN);
    const psa_status_t status =
        psa_mac_compute(psa->id, ALGORITHM, input, sizeof input, mac, sizeof mac, &len);
    memcpy(key, mac, ACCESS_KEY_LEN);
    return status == PSA_SUCCESS && len == sizeof mac;
}

bool access_psa_init(access_psa_t *psa, const void *secret, size_t len, access_t *out)
{
    psa_key_attributes_t attributes = PSA_KEY_ATTRIBUTES_INIT;
    *out = (access_t){ psa, random_seed, compute_key };
    if (len < ACCESS_SECRET_MIN || len > ACCESS_SECRET_MAX || psa_crypto_init() != PSA_SUCCESS)
        return false;
    psa_set_key_type(&attributes, PSA_KEY_TYPE_HMAC);
    psa_set_key_usage_flags(&attributes, PSA_KEY_USAGE_SIGN_MESSAGE);
    psa_set_key_algorithm(&attributes, ALGORITHM);
    return psa_import_key(&attributes, secret, len, &psa->id) == PSA_SUCCESS;
}

void access_psa_close(access_psa_t *psa) { (void)psa_destroy_key(psa->id); }
