// ring.c - bytes on their way from the bus to the flash: see ring.h.
// SPDX-License-Identifier: Apache-2.0
#include "ring.h"

static uint32_t wrap(const ring_t *r, uint32_t i) { return (i < r->cap) ? i : i - r->cap; }

void ring_init(ring_t *r, void *bytes, uint32_t cap)
{
    memset(r, 0, sizeof *r);
    r->bytes = bytes;
    r->cap = cap;
}

void ring_clear(ring_t *r) { r->used = r->ready = 0; }

uint32_t ring_free(const ring_t *r) { return r->cap - r->used; }

void ring_put(ring_t *r, const uint8_t *data, uint32_t len)
{
    ASSERT(len <= ring_free(r));
    const uint32_t end = wrap(r, r->at + r->used); // at < cap, used <= cap: no overflow below 2 GiB
    const uint32_t first = (uint32_t)smaller(len, r->cap - end);
    memcpy(&r->bytes[end], data, first);
    memcpy(r->bytes, data + first, len - first);
    r->used += len;
}

void ring_commit(ring_t *r) { r->ready = r->used; }

void ring_retract(ring_t *r) { r->used = r->ready; }

uint8_t ring_byte(const ring_t *r, uint32_t offset) { return r->bytes[wrap(r, r->at + offset)]; }

uint32_t ring_peek(const ring_t *r, const uint8_t **data)
{
    *data = &r->bytes[r->at];
    return (uint32_t)smaller(r->ready, r->cap - r->at);
}

void ring_drop(ring_t *r, uint32_t len)
{
    ASSERT(len <= r->used);
    r->at = wrap(r, r->at + len);
    r->used -= len;
    r->ready -= (uint32_t)smaller(len, r->ready);
}
