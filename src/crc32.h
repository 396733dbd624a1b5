// crc32.h - the CRC-32 of IEEE 802.3, as ESP-IDF's otadata uses it.
// SPDX-License-Identifier: Apache-2.0
//
//     const uint32_t zlib = crc32_of(0xFFFFFFFF, data, len);
//     const bool right = crc32_of(0, record, 4) == load_le32(record + 28); // a record of otadata
//
// Threads: a pure function. Memory: none. Time: linear in the bytes.
#ifndef CRC32_H
#define CRC32_H

#include "base.h"

/// Reflected polynomial 0xEDB88320, result inverted. `start` is the register's start value:
/// 0xFFFFFFFF for the common CRC-32 (zlib), 0 for what ESP-IDF stores in otadata
/// (its ROM function inverts its argument).
uint32_t crc32_of(uint32_t start, const uint8_t *p, size_t len);

#endif
