// crc32.h - the CRC-32 of IEEE 802.3, as ESP-IDF's otadata uses it.
// SPDX-License-Identifier: Apache-2.0
#ifndef CRC32_H
#define CRC32_H

#include "base.h"

/// Reflected polynomial 0xEDB88320, result inverted. `start` is the register's start value:
/// 0xFFFFFFFF for the common CRC-32 (zlib), 0 for what ESP-IDF stores in otadata (its ROM function
/// inverts its argument).
uint32_t crc32_of(uint32_t start, const uint8_t *p, size_t len);

#endif
