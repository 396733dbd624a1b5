// counter.h - a number that only grows, kept by the port: eFuse bits, or a protected cell. For anti-rollback.
// SPDX-License-Identifier: Apache-2.0
//
//     const counter_t counter = { .ctx = &efuse, .read = efuse_read, .raise = efuse_raise };
//
// Threads: as for flash_t. Memory: the port's. Time: each call blocks until it is done.
#ifndef COUNTER_H
#define COUNTER_H

#include "base.h"

/// All calls return 0, or a port's own code other than 0 when the hardware failed or has no bits left.
/// ESP-IDF counts the bits that are set in an eFuse field (32 on the ESP32, 16 on most others).
typedef struct {
    void *ctx; // handed to each function; the port's
    int (*read)(void *ctx, uint32_t *value);
    /// Makes it `value`, which is more than it was. Power lost in here leaves any value from the old
    /// one to the new one.
    int (*raise)(void *ctx, uint32_t value);
} counter_t;

#endif
