// can_socketcan.h - driver of the kernel's CAN interfaces (can0, vcan0, ...).
// SPDX-License-Identifier: Apache-2.0
//
// Channel: the name of a network interface that is up. Its bit rate is set with `ip link`, which
// needs privileges that a program should not have;
// a rate in the configuration is therefore ignored.
#ifndef CAN_SOCKETCAN_H
#define CAN_SOCKETCAN_H

#include "bus_driver.h"

extern const bus_driver_t can_socketcan_driver;

#endif
