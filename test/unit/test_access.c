// test_access.c - SecurityAccess by HMAC-SHA256.
// SPDX-License-Identifier: Apache-2.0
#include "access_psa.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// Computed by Python's hmac module: hmac.new(bytes(range(20)), b"\x01" + bytes(16), "sha256").
static void computes_the_key_that_others_compute(void **state)
{
    (void)state;
    uint8_t secret[20], seed[ACCESS_SEED_LEN] = { 0 }, key[ACCESS_KEY_LEN], expected[16];
    access_psa_t psa;
    access_t access;
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    assert_true(access_psa_init(&psa, secret, sizeof secret, &access));
    assert_true(access.key(access.ctx, 1, seed, key));
    vector_unhex("6DF7E8984B29906AEF313B71A3A1634D", expected, sizeof expected);
    assert_memory_equal(key, expected, sizeof key);
    assert_true(access.key(access.ctx, 3, seed, key));
    vector_unhex("60DC120443FE987E29A74B956132FD2A", expected, sizeof expected);
    assert_memory_equal(key, expected, sizeof key);
    access_psa_close(&psa);
    assert_false(access.key(access.ctx, 1, seed, key));
}

static void takes_secrets_of_16_to_64_bytes(void **state)
{
    (void)state;
    static const uint8_t secret[65] = { 1 };
    for (size_t len = 0; len <= sizeof secret; len++) {
        access_psa_t psa;
        access_t access;
        const bool fits = len >= ACCESS_SECRET_MIN && len <= ACCESS_SECRET_MAX;
        assert_int_equal(access_psa_init(&psa, secret, len, &access), fits);
        if (fits) access_psa_close(&psa);
    }
}

static void seeds_differ(void **state)
{
    (void)state;
    static const uint8_t secret[16] = { 1 };
    uint8_t a[ACCESS_SEED_LEN], b[ACCESS_SEED_LEN];
    access_psa_t psa;
    access_t access;
    assert_true(access_psa_init(&psa, secret, sizeof secret, &access));
    assert_true(access.seed(access.ctx, a));
    assert_true(access.seed(access.ctx, b));
    assert_memory_not_equal(a, b, sizeof a);
    access_psa_close(&psa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_the_key_that_others_compute),
        cmocka_unit_test(takes_secrets_of_16_to_64_bytes),
        cmocka_unit_test(seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
