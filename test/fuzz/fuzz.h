// fuzz.h - what the fuzzers share: decisions out of the input's bytes, and how to stop.
// SPDX-License-Identifier: Apache-2.0
//
// A fuzzer is one file with LLVMFuzzerTestOneInput(). tools/fuzz.sh links it with libFuzzer, test/CMakeLists.txt with
// replay.c, which gives it files: what was found once is a unit test everywhere.
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct {
    const uint8_t *at, *end;
} fuzz_bytes_t;

/// The next byte; 0 when there are no more.
static inline uint8_t fuzz_byte(fuzz_bytes_t *bytes)
{
    return bytes->at < bytes->end ? *bytes->at++ : 0;
}

static inline uint32_t fuzz_u32(fuzz_bytes_t *bytes)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 8 | fuzz_byte(bytes);
    return v;
}

/// One of these numbers.
#define FUZZ_PICK(bytes, ...)                                                                      \
    (((const uint32_t[]){ __VA_ARGS__ })[fuzz_byte(bytes) % (sizeof((uint32_t[]){ __VA_ARGS__ }) / \
                                                             sizeof(uint32_t))])

/// Says why and stops as libFuzzer expects it.
_Noreturn static inline void fuzz_fail(const char *what)
{
    fprintf(stderr, "wrong: %s\n", what);
    abort();
}

#endif
