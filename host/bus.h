// bus.h - a CAN bus as the host programs see it, whatever adapter is behind it.
// SPDX-License-Identifier: Apache-2.0
//
//     char error[256];
//     const bus_cfg_t cfg = { .channel = "virtual:demo?bitrate=500000" };
//     bus_t *bus = bus_open(&cfg, error, sizeof error);
//     if (!bus) fail(error); // one line
//     if (!bus_send(bus, &frame)) ask_later(); // else taken: BUS_SENT reports when it has left
//     while ((event = bus_recv(bus, &in)) != BUS_NONE) handle(event, &in);
//
// Threads: none inside, one caller at a time. Nothing here blocks but bus_open() (at most 5 s)
// and, while the bus is gone, the calls after BUS_DOWN: every 100 ms one of them tries to open it
// again, as long as bus_open() would.
#ifndef BUS_H
#define BUS_H

#include "can.h"

typedef struct bus bus_t;

typedef struct {
    const char *interface; // "virtual", "socketcan", "slcan"; NULL: the channel's form tells
    const char *channel;   // "virtual:NAME[?bitrate=N[&dbitrate=N]]", "can0", "/dev/ttyACM0"
    uint32_t bitrate;      // bit/s, 0: as the channel says, or as it is; socketcan: not used
    bool fd;               // FD frames will be sent: refuse an adapter that cannot

    // A file for every frame sent and received, in the format of its suffix (bus_log.h). Borrowed until
    // bus_close(). NULL: none.
    const char *log;
    bool *log_failed; // set if bus_open() fails for the log, with the bus untouched; may be NULL
    void (*warn)(const char *line); // once, if the log fails later: the bus goes on; may be NULL
} bus_cfg_t;

/// Opens a bus. What `cfg` leaves out (NULL, 0) comes from the environment: CAN_INTERFACE,
/// CAN_CHANNEL, CAN_BITRATE. The bit rate of a socketcan interface is set with `ip link`, not here.
/// NULL: `error` holds one line without a newline: what is wrong, where, what to do.
/// The log is emptied if it exists. A frame of ours is in it once it is confirmed.
bus_t *bus_open(const bus_cfg_t *cfg, char *error, size_t cap);
void bus_close(bus_t *bus); // NULL is fine

/// As when a node is reset: frames under way, and those received but not fetched, are gone. The log
/// goes on. False: `error` is set as by bus_open(), and the bus is gone as after BUS_DOWN.
bool bus_restart(bus_t *bus, char *error, size_t cap);

/// For poll(): readable when bus_recv() has something. May change after BUS_DOWN, and is -1 while
/// the bus is gone: then call bus_recv() from time to time.
int bus_fd(const bus_t *bus);

typedef enum {
    BUS_NONE,  // nothing more for now
    BUS_FRAME, // another node sent this frame
    BUS_SENT,  // the oldest frame that bus_send() took has left the node: the standard's L_Data.con
    BUS_DOWN,  // the bus went away: frames taken but not reported as sent are lost
} bus_event_t;

/// What happened next. Remote and error frames are skipped. `*frame` is set with BUS_FRAME only.
/// BUS_DOWN comes once; the calls that follow try to open the bus again.
bus_event_t bus_recv(bus_t *bus, can_frame_t *frame);

/// Hands a frame to the adapter. False: it has no room now, ask again after the next BUS_SENT.
bool bus_send(bus_t *bus, const can_frame_t *frame);

/// Microseconds of the monotonic clock.
usec_t bus_clock(void);

#endif
