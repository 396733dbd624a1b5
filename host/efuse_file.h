// efuse_file.h - a file that behaves like the eFuse field of a chip's security version.
// SPDX-License-Identifier: Apache-2.0
//
// 4 bytes; the version is the number of bits that are set, as in an ESP32. Bits are only ever set.
#ifndef EFUSE_FILE_H
#define EFUSE_FILE_H

#include "counter.h"

typedef struct {
    const char *path; // the caller's
} efuse_file_t;

/// Opens the file at `path`; creates one without bits if there is none. False: `error` holds one line.
/// Nothing stays open.
bool efuse_file_open(efuse_file_t *f, const char *path, counter_t *out, char *error, size_t cap);

#endif
