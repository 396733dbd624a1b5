// link.h - two machines of the common shape on a faulty CAN bus, in virtual time.
// SPDX-License-Identifier: Apache-2.0
//
//     link_t bus;
//     link_init(&bus, seed);
//     link_connect(&bus, 0, &tester); // machine_t of host/drive.h
//     link_connect(&bus, 1, &device);
//     sim.clock = &bus.clock[1];      // what takes time inside the device keeps the device busy, not the bus
//     bus.faults[1] = (link_faults_t){ .lost = 10, .doubled = 10, .late = 10, .late_max = 50 * USEC_MS };
//     while (link_run(&bus, until)) handle(bus.events[0], bus.events[1]);
//
// A frame takes its bits' time on the wire, one frame at a time, the lowest identifier first; a node has three
// mailboxes. The sender has its confirmation whatever becomes of the frame: on CAN a frame is lost by who receives it.
#ifndef LINK_H
#define LINK_H

#include "bus_log.h"
#include "drive.h"

enum { LINK_MAILBOXES = 3, LINK_QUEUE = 1024 };

/// What goes wrong on the way to one end, each in a thousand frames.
typedef struct {
    unsigned lost, doubled, late;
    usec_t late_max; // a late frame comes at most this long after it has left
    /// A late frame is overtaken by others. Otherwise they queue up behind it, as CAN does it.
    bool overtaken;
} link_faults_t;

/// What an end has not looked at yet: a frame, or the confirmation of its own oldest one.
typedef struct {
    usec_t due;
    bool confirmation;
    can_frame_t frame;
} link_item_t;

typedef struct {
    machine_t
        machine; // self NULL: nobody; another node then acknowledges the frames of the other end
    usec_t busy; // until then it does nothing
    can_frame_t out[LINK_MAILBOXES];
    unsigned taken;     // of these
    unsigned unsent;    // frames it has put there and knows no confirmation of
    link_item_t *items; // oldest first
    unsigned count;
} link_end_t;

/// Not to be copied.
typedef struct {
    usec_t now;              // read
    usec_t clock[2];         // of each end during its calls: moved ahead by what takes time there
    uint32_t bitrate;        // 500000 unless set
    uint32_t data_bitrate;   // of CAN FD; 2000000 unless set
    link_faults_t faults[2]; // of what goes to each end
    uint64_t chance;         // the seed
    unsigned events[2];      // read: reported since link_run() was called
    unsigned frames[2];      // read: sent by each end
    unsigned lost, doubled, late; // read: how often
    unsigned overrun; // read: lost because an end had not looked for too long, none of the faults
    bus_log_t *log;   // every frame that was on the wire, as end 0 would log it; NULL: none
    // private
    link_end_t end[2];
    unsigned on_wire; // end that sends + 1; 0: the bus is idle
    usec_t free_at;   // when it will be idle
} link_t;

/// Nobody is connected, no faults. link_close() frees.
void link_init(link_t *bus, uint64_t seed);
void link_close(link_t *bus);

/// This machine is at that end from now on, as after a reset: frames to it and from it are gone. NULL: nobody.
void link_connect(link_t *bus, unsigned end, const machine_t *machine);

/// Lets time pass until an end reports events (true), until `until`, or until nothing will ever happen any more.
bool link_run(link_t *bus, usec_t until);

#endif
