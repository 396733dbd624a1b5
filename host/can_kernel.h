// can_kernel.h - our frames as the kernel's struct can_frame and canfd_frame, and back.
// SPDX-License-Identifier: Apache-2.0
//
//     struct canfd_frame f;
//     const size_t len = can_kernel_encode(&frame, &f);
//     send(fd, &f, len, 0);
//
// Threads, re-entry: pure functions. Memory: none. Time: a copy.
//
// The two kernel structures share their layout (identifier, length, four bytes, data at 8), so the
// longer serves for both and the length of the message tells which one it is: 16 (CAN_MTU) or 72
// (CANFD_MTU) bytes.
#ifndef CAN_KERNEL_H
#define CAN_KERNEL_H

#include "can.h"
#include <linux/can.h>

/// Returns the length of the message: CAN_MTU or CANFD_MTU.
size_t can_kernel_encode(const can_frame_t *frame, struct canfd_frame *out);

/// False: remote frame, error frame, or no frame at all; `*frame` is then undefined.
bool can_kernel_decode(const struct canfd_frame *in, size_t len, can_frame_t *frame);

#endif
