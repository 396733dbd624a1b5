// can_hub.h - the process behind a virtual bus: it is the wire between the nodes.
// SPDX-License-Identifier: Apache-2.0
//
//     if (fork() == 0) can_hub_run(listener); // a SOCK_SEQPACKET socket, bound, not yet listening
//
// Threads: none. Memory: 1.2 MB for each node that does not read, from malloc. Time: runs until the
// last node left.
//
// A message of 16 or 72 bytes is a frame, the kernel's struct can_frame or struct canfd_frame. A
// frame that comes back to its sender with CAN_HUB_CONFIRMED in the byte at offset 6 is the
// confirmation that it was sent; in frames from others that byte is 0. A message of
// CAN_HUB_HELLO_LEN bytes is the greeting, below; it is optional, and answered by one of the same
// form with the rates of the bus.
#ifndef CAN_HUB_H
#define CAN_HUB_H

#include "base.h"

#define CAN_HUB_CONFIRMED 1
#define CAN_HUB_HELLO_LEN 20 // neither a can_frame nor a canfd_frame
#define CAN_HUB_VERSION   1

/// Bit rates in bit/s; in a greeting 0: no wish. In an answer 0: frames are delivered at once
/// (bitrate), the data phase has the nominal rate (data_bitrate).
typedef struct {
    uint32_t version;
    uint32_t bitrate;
    uint32_t data_bitrate;
} can_hub_hello_t;

/// 8 bytes "isotpbus", then version, bitrate, data_bitrate, each 4 bytes little endian.
void can_hub_store_hello(uint8_t message[CAN_HUB_HELLO_LEN], const can_hub_hello_t *hello);

/// False: this message is no greeting.
bool can_hub_load_hello(const void *message, size_t len, can_hub_hello_t *hello);

/// Call in a process of its own: leaves the directory, closes every descriptor but `listener`, and
/// never returns.
_Noreturn void can_hub_run(int listener);

#endif
