// bundle.h - a few files for somebody else, in one ZIP file or in a folder.
// SPDX-License-Identifier: Apache-2.0
//
//     bundle_t b;
//     if (!bundle_open(&b, "report.zip")) fail(b.error); // not .zip: a folder, made if not there
//     bundle_add(&b, "bus.pcap", bytes, len);
//     if (!bundle_close(&b)) fail(b.error); // the ZIP file appears, whole or not at all
//
// Threads: none inside; one caller at a time. Memory: until bundle_close() all of the ZIP file. Errors: the
// first one is kept, and what follows does nothing.
#ifndef BUNDLE_H
#define BUNDLE_H

#include "base.h"
#include <stdio.h>

enum { BUNDLE_FILES = 16 };

typedef struct {
    char error[400]; // read: one line, "" if nothing is wrong
    const char *path;
    bool zip;
    bool failed;
    FILE *memory; // ZIP: what is written so far
    char *bytes;
    size_t len;
    uint16_t date, time;
    unsigned count;
    struct {
        char name[64];
        uint32_t crc, len, packed, at;
    } file[BUNDLE_FILES];
} bundle_t;

/// Borrows `path` until bundle_close(). False: `error`; nothing was changed.
bool bundle_open(bundle_t *b, const char *path);

/// A file of the bundle; an older one in a folder is replaced. `name`: at most 63 bytes, no folders.
bool bundle_add(bundle_t *b, const char *name, const void *bytes, size_t len);

/// False: something failed since bundle_open(). A ZIP file that was there before is then as it was.
bool bundle_close(bundle_t *b);

#endif
