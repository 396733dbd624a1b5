// bus_driver.h - what an adapter driver provides to bus.c; not for programs, they use bus.h.
// SPDX-License-Identifier: Apache-2.0
//
// A driver is one descriptor that can be polled, and five functions around it. What all drivers
// have in common is in bus.c: counting the frames under way, closing after BUS_DOWN, opening again.
#ifndef BUS_DRIVER_H
#define BUS_DRIVER_H

#include "bus.h"

typedef struct {
    const char *name; // as in -i/--interface
    unsigned window;  // frames that may be under way: taken, not yet confirmed

    /// Checks `cfg` (interface and channel are set) and copies what open() needs into memory of its
    /// own, which bus.c frees with free(). NULL: `error` is set.
    void *(*create)(const bus_cfg_t *cfg, char *error, size_t cap);

    /// Returns a descriptor, not blocking and closed on exec, or -1: `error` is set. Called again
    /// after BUS_DOWN.
    int (*open)(void *self, char *error, size_t cap);

    /// As bus_recv(). After BUS_DOWN bus.c closes the descriptor.
    bus_event_t (*recv)(void *self, int fd, can_frame_t *frame);

    /// False: not taken. A broken connection is reported by recv(), not here.
    bool (*send)(void *self, int fd, const can_frame_t *frame);
} bus_driver_t;

/// Writes the one line that bus_open() promises.
__attribute__((format(printf, 3, 4))) void bus_error(char *error, size_t cap, const char *format,
                                                     ...);

/// Reads `text` as a bit rate. False: not a number in 1000..20000000.
bool bus_parse_rate(const char *text, uint32_t *rate);

#endif
