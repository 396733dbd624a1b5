// can.h - one CAN data frame, as every layer sees it.
// SPDX-License-Identifier: Apache-2.0
#ifndef CAN_H
#define CAN_H

#include "base.h"

/// A data frame. Remote and error frames never get this far: drivers drop them.
typedef struct {
    uint32_t id; // 11 bits, or 29 when `ext`
    union {
        struct {
            bool ext; // extended (29-bit) identifier
            bool fd;  // CAN FD format
        };
        uint16_t format; // both at once: equal or not
    };
    bool brs;    // FD only: the data phase is sent at the second bit rate
    bool esi;    // FD only, set by who received it: the sender's controller is error passive
    uint8_t len; // bytes of data: 0..8, with `fd` also 12, 16, 20, 24, 32, 48, 64
    uint8_t data[CAN_DATA_MAX];
} can_frame_t;

#endif
