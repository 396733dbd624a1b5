// bus.h - a CAN bus as the host programs see it, whatever adapter is behind it.
// SPDX-License-Identifier: Apache-2.0
//
//     char error[256];
//     bus_t *bus = bus_open(&(bus_cfg_t){ .channel = "virtual:demo?bitrate=500000" }, error, sizeof
//     error); if (!bus) ...                                  // error holds one line if
//     (bus_send(bus, &frame)) ...                 // taken; BUS_SENT reports when it has left while
//     ((event = bus_recv(bus, &frame)) != BUS_NONE) ...
//
// Threads: none inside, one caller at a time. Nothing here blocks but bus_open() (at most a
// second).
#ifndef BUS_H
#define BUS_H

#include "can.h"

typedef struct bus bus_t;

typedef struct {
    const char *interface; // "virtual", "socketcan", "slcan" as in python-can, NULL: the channel's
                           // form tells
    const char *channel;   // "virtual:NAME[?bitrate=N]", "can0", "/dev/ttyACM0"
    uint32_t bitrate;      // bit/s, 0: as the channel says, or as it is
} bus_cfg_t;

/// Opens a bus. NULL: `error` holds one line without a newline: what is wrong, where, what to do.
bus_t *bus_open(const bus_cfg_t *cfg, char *error, size_t cap);
void bus_close(bus_t *bus); // NULL is fine

/// For poll(): readable when bus_recv() has something. May change after BUS_DOWN.
int bus_fd(const bus_t *bus);

typedef enum {
    BUS_NONE,  // nothing more for now
    BUS_FRAME, // another node sent this frame
    BUS_SENT,  // the oldest frame that bus_send() took has left the node: the standard's L_Data.con
    BUS_DOWN,  // the bus went away: frames taken but not reported as sent are lost
} bus_event_t;

/// What happened next. Does not block. `*frame` is set with BUS_FRAME only.
bus_event_t bus_recv(bus_t *bus, can_frame_t *frame);

/// Hands a frame to the adapter. False: it has no room now, ask again after the next BUS_SENT.
bool bus_send(bus_t *bus, const can_frame_t *frame);

#endif
