// ring.h - bytes on their way from the bus to the flash: a ring whose newest bytes may be taken back.
// SPDX-License-Identifier: Apache-2.0
//
//     ring_init(&ring, memory, sizeof memory);
//     if (len <= ring_free(&ring)) ring_put(&ring, data, len); // provisional
//     ring_commit(&ring);                                      // or ring_retract(&ring)
//     uint32_t waiting = ring_peek(&ring, &data);              // the oldest committed bytes
//     ring_drop(&ring, store_some_of(data, waiting));
//
// Threads: none inside; one caller at a time. Memory: the caller's. Time: of copying what is put.
#ifndef RING_H
#define RING_H

#include "base.h"

/// Invariants: at < cap; ready <= used <= cap.
typedef struct {
    uint8_t *bytes;
    uint32_t cap, at, used; // read: its size, index of the oldest byte, bytes in it
    uint32_t ready;         // read: of these are committed
} ring_t;

/// Borrows `bytes` for its whole life; cap is below 2 GiB.
void ring_init(ring_t *r, void *bytes, uint32_t cap);

/// Nothing is in it any more.
void ring_clear(ring_t *r);

/// Bytes that can be put.
uint32_t ring_free(const ring_t *r);

/// Adds bytes that can still be taken back. len <= ring_free().
void ring_put(ring_t *r, const uint8_t *data, uint32_t len);

/// What was put stays, or is taken back as far as it was not committed before.
void ring_commit(ring_t *r);
void ring_retract(ring_t *r);

/// Byte at `offset` from the oldest one, committed or not.
uint8_t ring_byte(const ring_t *r, uint32_t offset);

/// How many committed bytes stand at *data, 0: none.
uint32_t ring_peek(const ring_t *r, const uint8_t **data);

/// Forgets the `len` oldest bytes, len <= used.
void ring_drop(ring_t *r, uint32_t len);

#endif
