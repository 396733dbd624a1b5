// can_bits.h - how many bits a CAN frame occupies on the wire, stuff bits included.
// SPDX-License-Identifier: Apache-2.0
//
//     const can_bits_t bits = can_bits(&frame);
//     seconds = bits.nominal / 500e3 + bits.data / 2e6;
//
// Threads, re-entry: pure functions. Memory: none. Time: about 100 steps a classic frame, 600 for
// 64 bytes.
#ifndef CAN_BITS_H
#define CAN_BITS_H

#include "can.h"

typedef struct {
    uint32_t nominal; // bits at the nominal rate
    uint32_t data;    // bits at the data rate: only with `brs`, otherwise 0
} can_bits_t;

/// From start of frame to the end of the interframe space (3 bits), with the stuff bits that this
/// very frame needs. Data lengths that CAN FD does not have count as the next one that it has.
can_bits_t can_bits(const can_frame_t *frame);

#endif
