// crypto_psa.c - crypto_t by the PSA Crypto API's hash operations.
// SPDX-License-Identifier: Apache-2.0
#include "crypto_psa.h"

static bool hash_start(void *ctx, crypto_hash_t alg)
{
    crypto_psa_t *psa = ctx;
    if (psa_hash_abort(&psa->op) != PSA_SUCCESS) return false;
    psa->digest_len = (alg == CRYPTO_SHA256) ? CRYPTO_SHA256_LEN : CRYPTO_MD5_LEN;
    return psa_hash_setup(&psa->op, (alg == CRYPTO_SHA256) ? PSA_ALG_SHA_256 : PSA_ALG_MD5) ==
           PSA_SUCCESS;
}

static bool hash_update(void *ctx, const void *p, size_t len)
{
    crypto_psa_t *psa = ctx;
    return psa_hash_update(&psa->op, p, len) == PSA_SUCCESS;
}

static bool hash_finish(void *ctx, uint8_t *digest)
{
    crypto_psa_t *psa = ctx;
    size_t len = 0;
    const psa_status_t status = psa_hash_finish(&psa->op, digest, psa->digest_len, &len);
    return status == PSA_SUCCESS && len == psa->digest_len;
}

bool crypto_psa_init(crypto_psa_t *psa, crypto_t *out)
{
    *psa = (crypto_psa_t){ .op = PSA_HASH_OPERATION_INIT };
    *out = (crypto_t){ psa, hash_start, hash_update, hash_finish };
    return psa_crypto_init() == PSA_SUCCESS;
}

void crypto_psa_close(crypto_psa_t *psa) { (void)psa_hash_abort(&psa->op); }
