// vectors.c - loading test vectors.
// SPDX-License-Identifier: Apache-2.0
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "crypto_psa.h"
#include <cmocka.h>

uint8_t *vector_load(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    size_t cap = 4096;
    uint8_t *data = malloc(cap);
    assert_non_null(data);
    *len = 0;
    for (;;) {
        const size_t n = fread(data + *len, 1, cap - *len - 1, file);
        if (n == 0) break;
        *len += n;
        if (cap - *len > 1) continue;
        cap *= 2;
        uint8_t *more = realloc(data, cap);
        assert_non_null(more);
        data = more;
    }
    assert_false(ferror(file));
    fclose(file);
    data[*len] = 0;
    return data;
}

FILE *vector_table(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("cannot open %s", path);
    for (int c = fgetc(file); c != '\n'; c = fgetc(file))
        assert_int_not_equal(c, EOF);
    return file;
}

bool vector_row(FILE *table, char **line, const char *column[VECTOR_COLUMNS])
{
    size_t cap = 0;
    free(*line);
    *line = NULL;
    const ssize_t len = getline(line, &cap, table);
    if (len < 0) return false;
    if (len > 0 && (*line)[len - 1] == '\n') (*line)[len - 1] = 0;
    char *p = *line;
    for (size_t i = 0; i < VECTOR_COLUMNS; i++) {
        const bool quoted = *p == '"';
        if (quoted) p++;
        column[i] = p;
        p += strcspn(p, quoted ? "\"" : ",");
        if (quoted && *p) *p++ = 0;
        if (*p) *p++ = 0;
    }
    return true;
}

size_t vector_unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t len = 0;
    while (hex[2 * len]) {
        assert_true(len < cap);
        const char digits[] = { hex[2 * len], hex[2 * len + 1], 0 };
        char *end = NULL;
        out[len++] = (uint8_t)strtoul(digits, &end, 16);
        assert_ptr_equal(end, digits + 2);
    }
    return len;
}

const crypto_t *vector_crypto(void)
{
    static crypto_psa_t psa;
    static crypto_t crypto;
    if (!crypto.ctx) assert_true(crypto_psa_init(&psa, &crypto));
    return &crypto;
}

static unsigned calls_left;

static bool works_still(void)
{
    if (calls_left == 0) return false;
    calls_left--;
    return true;
}

static bool failing_start(void *ctx, crypto_hash_t alg)
{
    return works_still() && vector_crypto()->start(ctx, alg);
}

static bool failing_update(void *ctx, const void *p, size_t len)
{
    return works_still() && vector_crypto()->update(ctx, p, len);
}

static bool failing_finish(void *ctx, uint8_t *digest)
{
    return works_still() && vector_crypto()->finish(ctx, digest);
}

const crypto_t *vector_failing_crypto(unsigned calls)
{
    static crypto_t failing;
    failing = (crypto_t){ vector_crypto()->ctx, failing_start, failing_update, failing_finish };
    calls_left = calls;
    return &failing;
}

uint64_t vector_seed(const char *program)
{
    const char *given = getenv("TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 0) : 0x150715765;
    print_message("repeat with: TEST_SEED=0x%llx %s\n", (unsigned long long)seed, program);
    return seed;
}

uint32_t vector_random(uint64_t *state, uint32_t bound)
{
    *state += 0x9E3779B97F4A7C15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) % bound);
}
