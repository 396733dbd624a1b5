// can_wire.c - a CAN frame as the levels on the wire, bit by bit: see can_wire.h.
// SPDX-License-Identifier: Apache-2.0
//
// Fields, stuff bits and CRC of ISO 11898-1:2015. Written from the standard alone, so that can_bits.c, which counts and never sees these bits, has something to be compared with.
#include "can_wire.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

typedef struct {
    uint8_t bit[CAN_WIRE_BITS];
    size_t len;
} plain_t;

static void put(plain_t *p, uint32_t value, unsigned len)
{
    for (unsigned i = len; i > 0; i--)
        p->bit[p->len++] = (uint8_t)(value >> (i - 1) & 1);
}

static void level(can_wire_t *w, unsigned value)
{
    assert_true(w->len < CAN_WIRE_BITS);
    w->level[w->len++] = (uint8_t)value;
}

uint32_t can_wire_crc(uint32_t polynomial, unsigned len, uint32_t start, const uint8_t *bits,
                      size_t count)
{
    const uint32_t top = UINT32_C(1) << (len - 1);
    uint32_t crc = start;
    for (size_t i = 0; i < count; i++) {
        const bool next = bits[i] ^ ((crc & top) != 0);
        crc = (crc << 1) & (2 * top - 1);
        if (next) crc ^= polynomial;
    }
    return crc;
}

static bool ends_in_five(const can_wire_t *w)
{
    if (w->len < 5) return false;
    for (unsigned i = 2; i <= 5; i++)
        if (w->level[w->len - i] != w->level[w->len - 1]) return false;
    return true;
}

/// All bits of a stuffed field; `last`: a stuff bit may also follow behind them.
static void stuffed(can_wire_t *w, const plain_t *p, size_t brs, bool last)
{
    for (size_t i = 0; i < p->len; i++) {
        if (brs && i == brs) w->brs = w->len;
        level(w, p->bit[i]);
        if (ends_in_five(w) && (last || i + 1 < p->len)) {
            level(w, !p->bit[i]);
            w->stuffed++;
        }
    }
}

static void fixed_stuffed(can_wire_t *w, const plain_t *p, size_t from)
{
    for (size_t i = from; i < p->len; i++) {
        if ((i - from) % 4 == 0) {
            level(w, !w->level[w->len - 1]);
            w->stuffed++;
        }
        level(w, p->bit[i]);
    }
}

static void tail(can_wire_t *w)
{
    w->delimiter = w->len;
    level(w, 1);
    level(w, 0); // ACK
    for (unsigned i = 0; i < 8; i++)
        level(w, 1); // ACK delimiter, end of frame
}

static void fd(const can_frame_t *f, plain_t *p, can_wire_t *w)
{
    unsigned dlc = f->len;
    if (f->len > 8) dlc = (f->len <= 24) ? 8U + (f->len - 8U) / 4U : 11U + f->len / 16U;
    put(p, 2, 2); // FDF, res
    const size_t brs = f->brs ? p->len : 0;
    put(p, f->brs, 1);
    put(p, f->esi, 1);
    put(p, dlc, 4);
    for (unsigned i = 0; i < f->len; i++)
        put(p, f->data[i], 8);
    stuffed(w, p, brs, false);
    // Stuff count in Gray code with even parity; the CRC is over the dynamic stuff bits as well.
    static const uint8_t GRAY[8] = { 0, 1, 3, 2, 6, 7, 5, 4 };
    plain_t all = { .len = w->len };
    memcpy(all.bit, w->level, w->len);
    const unsigned gray = GRAY[w->stuffed % 8];
    put(&all, gray, 3);
    put(&all, (gray ^ gray >> 1 ^ gray >> 2) & 1, 1);
    const unsigned crc_len = f->len > 16 ? 21 : 17;
    w->crc = can_wire_crc(crc_len == 21 ? 0x102899 : 0x1685B, crc_len, UINT32_C(1) << (crc_len - 1),
                          all.bit, all.len);
    put(&all, w->crc, crc_len);
    fixed_stuffed(w, &all, w->len);
}

void can_wire(const can_frame_t *f, can_wire_t *w)
{
    plain_t p = { .len = 0 };
    memset(w, 0, sizeof *w);
    put(&p, 0, 1);
    put(&p, f->ext ? f->id >> 18 : f->id, 11);
    if (f->ext) {
        put(&p, 3, 2); // SRR, IDE
        put(&p, f->id, 18);
        put(&p, 0, 1); // RTR or RRS
    } else
        put(&p, 0, 2); // RTR or RRS, IDE
    if (f->fd)
        fd(f, &p, w);
    else {
        put(&p, 0, f->ext ? 2 : 1); // r1, r0
        put(&p, f->len, 4);
        for (unsigned i = 0; i < f->len; i++)
            put(&p, f->data[i], 8);
        w->crc = can_wire_crc(0x4599, 15, 0, p.bit, p.len);
        put(&p, w->crc, 15);
        stuffed(w, &p, 0, true);
    }
    tail(w);
}

uint64_t can_wire_time(const can_wire_t *w, uint64_t bit, uint64_t data_bit)
{
    // Sample points at 80 and 70 %: where they are makes no difference, as long as both bits know.
    const uint64_t before = bit * 80 / 100, data_before = data_bit * 70 / 100;
    uint64_t time = 0;
    for (unsigned i = 0; i < w->len; i++) {
        if (w->brs && i == w->brs)
            time += before + (data_bit - data_before);
        else if (w->brs && i == w->delimiter)
            time += data_before + (bit - before);
        else
            time += (w->brs && i > w->brs && i < w->delimiter) ? data_bit : bit;
    }
    return time;
}
