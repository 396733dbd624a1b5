// can_virtual.h - driver of the virtual bus: a CAN bus between processes, without hardware.
// SPDX-License-Identifier: Apache-2.0
//
// Channel: virtual:NAME[?bitrate=N[&dbitrate=N]], NAME 1..64 characters of A-Z a-z 0-9 _ . -
//
// Whoever opens the bus first starts its hub (can_hub.h), a process that ends by itself when the
// last node has left. With a bit rate the bus takes the time that a wire takes; the first to name
// one sets it for all, and to name another is then an error.
// Without one frames are delivered at once.
//
// Anyone else can take part: connect a SOCK_SEQPACKET socket to the abstract address
// "isotp-ota/UID/NAME" (the user id in decimal, no 0 byte at the end), send and receive struct
// can_frame or struct canfd_frame. Abstract addresses belong to a network namespace: a container
// has its own unless it shares the host's network.
#ifndef CAN_VIRTUAL_H
#define CAN_VIRTUAL_H

#include "bus_driver.h"

extern const bus_driver_t can_virtual_driver;

#endif
