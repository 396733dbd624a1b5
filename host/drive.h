// drive.h - runs one machine of the common shape (STYLE.md, section 1) on a bus, in real time.
// SPDX-License-Identifier: Apache-2.0
#ifndef DRIVE_H
#define DRIVE_H

#include "bus.h"
#include "machine.h"

/// From now on SIGINT, SIGTERM and SIGHUP only wake drive(), and drive_stopped() tells. SIGPIPE is
/// ignored: nobody reads the output any more, and that is no reason to leave half an image behind.
void drive_catch_signals(void);
bool drive_stopped(void);

/// Serves the machine until it reports events (returned), `until` has come, or a signal did (0).
unsigned drive(bus_t *bus, const machine_t *m, usec_t until);

#endif
