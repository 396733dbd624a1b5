// can_bits.c - how many bits a CAN frame occupies on the wire, stuff bits included.
// SPDX-License-Identifier: Apache-2.0
//
// ISO 11898-1:2015. After five equal bits one opposite bit is stuffed, and counts for the next run.
// It is counted here when the next bit is put, because whether a stuff bit follows the last one
// differs: a classic frame stuffs up to and including its CRC; an FD frame up to its data, and if
// the data end in a run of five, the fixed stuff bit that opens the CRC field takes the place of
// the dynamic one. The FD CRC therefore has a length but no influence on it, and only the classic
// CRC is computed.
//
// The bit rate changes at the sample points of BRS and CRC delimiter, so either bit is partly of each
// rate. What BRS has less of the nominal rate, the delimiter has more: together one bit of each.
#include "can_bits.h"

#define TAIL_BITS  13 // CRC delimiter, ACK, ACK delimiter, 7 end of frame, 3 interframe space
#define CRC15_LEN  15
#define CRC15_POLY 0x4599U

typedef struct {
    uint32_t count; // bits so far, stuff bits included
    uint32_t run;   // equal bits at the end
    uint32_t last;  // the last bit
    uint32_t crc;   // CRC-15, over the bits without stuff bits
} wire_t;

static void put(wire_t *w, uint32_t value, unsigned len)
{
    while (len > 0) {
        const uint32_t bit = (value >> --len) & 1U;
        if (w->run == 5) {
            w->count++;
            w->last ^= 1U;
            w->run = 1;
        }
        w->run = (bit == w->last) ? w->run + 1 : 1;
        w->last = bit;
        w->count++;
        const uint32_t carry = (w->crc >> (CRC15_LEN - 1)) ^ bit;
        w->crc = ((w->crc << 1) ^ (carry ? CRC15_POLY : 0U)) & ((1U << CRC15_LEN) - 1U);
    }
}

/// Start of frame up to the bit before FDF (r0 in a classic frame; an extended classic frame has
/// two such bits).
static void put_arbitration(wire_t *w, const can_frame_t *f)
{
    put(w, 0, 1);
    if (f->ext) {
        put(w, f->id >> 18, 11);
        put(w, 3, 2); // SRR, IDE
        put(w, f->id, 18);
        put(w, 0, 1); // RTR, in FD RRS
    } else {
        put(w, f->id, 11);
        put(w, 0, 2); // RTR or RRS, IDE
    }
}

static can_bits_t classic_bits(const can_frame_t *f)
{
    wire_t w = { .last = 1 };
    const uint8_t len = (uint8_t)smaller(f->len, 8);

    put_arbitration(&w, f);
    put(&w, 0, f->ext ? 2 : 1); // r1, r0
    put(&w, len, 4);
    for (size_t i = 0; i < len; i++)
        put(&w, f->data[i], 8);
    put(&w, w.crc, CRC15_LEN);
    return (can_bits_t){ .nominal = w.count + (w.run == 5 ? 1U : 0U) + TAIL_BITS };
}

static can_bits_t fd_bits(const can_frame_t *f)
{
    static const uint8_t sizes[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64 };
    uint32_t dlc = 0;
    while (dlc < 15 && sizes[dlc] < f->len)
        dlc++;

    wire_t w = { .last = 1 };
    put_arbitration(&w, f);
    put(&w, 4U | (f->brs ? 1U : 0U), 3); // FDF, res, BRS
    const uint32_t header = w.count;
    put(&w, 0, 1); // ESI
    put(&w, dlc, 4);
    for (size_t i = 0; i < sizes[dlc]; i++)
        put(&w, i < f->len ? f->data[i] : 0U, 8);

    // Stuff count (4) and CRC (17 or 21), a fixed stuff bit before them and after every fourth bit.
    const uint32_t check = 4U + (sizes[dlc] > 16 ? 21U : 17U);
    const uint32_t payload = w.count - header + check + 1U + check / 4U;
    if (f->brs) return (can_bits_t){ .nominal = header + TAIL_BITS - 1, .data = payload + 1 };
    return (can_bits_t){ .nominal = header + TAIL_BITS + payload };
}

can_bits_t can_bits(const can_frame_t *frame)
{
    return frame->fd ? fd_bits(frame) : classic_bits(frame);
}
