// vectors.h - what the tests need to use the files in test/vectors, and repeatable chance.
// SPDX-License-Identifier: Apache-2.0
//
//     size_t len;
//     uint8_t *image = vector_load(VECTORS "/image/app_c3_v123.bin", &len);
//     free(image);
//
// Everything here ends the test when it fails.
#ifndef VECTORS_H
#define VECTORS_H

#include "crypto.h"
#include <stdio.h>

/// The whole file, with a NUL behind it. The caller frees it.
uint8_t *vector_load(const char *path, size_t *len);

/// Opens a table and skips its first line, the column names.
FILE *vector_table(const char *path);

enum { VECTOR_COLUMNS = 12 };

/// The next line of a table, cut at its commas in place (a column in double quotes may hold
/// commas). Columns that are missing are "". False at the end. `line` holds the text; the caller
/// frees it after the last call.
bool vector_row(FILE *table, char **line, const char *column[VECTOR_COLUMNS]);

/// Decodes hex digits into `out`; returns how many bytes.
size_t vector_unhex(const char *hex, uint8_t *out, size_t cap);

/// The hashes of the PSA library, one instance for all tests of a program.
const crypto_t *vector_crypto(void);

/// The same, but only the next `calls` of its functions work; all behind them fail.
const crypto_t *vector_failing_crypto(unsigned calls);

/// The seed of this run: from the environment variable TEST_SEED, else always the same one. Printed
/// with the command that repeats the run.
uint64_t vector_seed(const char *program);

/// The next number of a pseudo-random sequence (splitmix64), below `bound`.
uint32_t vector_random(uint64_t *state, uint32_t bound);

#endif
