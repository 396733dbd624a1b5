// can_wire.h - a CAN frame as the levels on the wire, bit by bit, for tests of what counts bits.
// SPDX-License-Identifier: Apache-2.0
//
//     can_wire_t w;
//     can_wire(&frame, &w);
//     ns = can_wire_time(&w, 2000, 500); // from the start of frame to the end of its last bit
#ifndef CAN_WIRE_H
#define CAN_WIRE_H

#include "can.h"

enum { CAN_WIRE_BITS = 800 };

typedef struct {
    uint8_t level[CAN_WIRE_BITS]; // 0: dominant
    unsigned len;                 // start of frame to end of frame (EOF), stuff bits included
    unsigned stuffed;             // of these, stuff bits of either kind
    unsigned brs, delimiter;      // number of the BRS bit, 0: none; of the CRC delimiter
    uint32_t crc;
} can_wire_t;

void can_wire(const can_frame_t *frame, can_wire_t *w);

/// The bit rate changes at the sample points of BRS and CRC delimiter.
uint64_t can_wire_time(const can_wire_t *w, uint64_t bit, uint64_t data_bit);

/// A CRC of `len` bits, most significant bit first, of that many bytes of 0 and 1.
uint32_t can_wire_crc(uint32_t polynomial, unsigned len, uint32_t start, const uint8_t *bits,
                      size_t count);

#endif
