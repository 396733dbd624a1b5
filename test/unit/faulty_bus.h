// faulty_bus.h - two machines of the common shape on a faulty CAN bus, in virtual time.
// SPDX-License-Identifier: Apache-2.0
//
//     faulty_bus_t bus;
//     faulty_bus_init(&bus, seed);
//     faulty_bus_connect(&bus, 0, &tester); // machine_t of host/drive.h
//     faulty_bus_connect(&bus, 1, &device);
//     sim.clock = &bus.clock[1];      // what takes time inside the device keeps the device busy, not the bus
//     bus.faults[1] = (faulty_bus_faults_t){ .lost = 10, .doubled = 10, .late = 10, .late_max = 50 * USEC_MS };
//     while (faulty_bus_run(&bus, until)) handle(bus.events[0], bus.events[1]);
//
// A frame takes its bits' time on the wire, one frame at a time, the lowest identifier first; a node has three
// mailboxes. The sender has its confirmation whatever becomes of the frame: on CAN a frame is lost by who receives it.
#ifndef FAULTY_BUS_H
#define FAULTY_BUS_H

#include "bus_log.h"
#include "drive.h"

enum { FAULTY_BUS_MAILBOXES = 3, FAULTY_BUS_QUEUE = 1024 };

/// What goes wrong on the way to one end, each in a thousand frames.
typedef struct {
    unsigned lost, doubled, late;
    usec_t late_max; // a late frame comes at most this long after it has left
    /// A late frame is overtaken by others. Otherwise they queue up behind it, as CAN does it.
    bool overtaken;
} faulty_bus_faults_t;

/// What an end has not looked at yet: a frame, or the confirmation of its own oldest one.
typedef struct {
    usec_t due;
    bool confirmation;
    can_frame_t frame;
} faulty_bus_item_t;

typedef struct {
    machine_t
        machine; // self NULL: nobody; another node then acknowledges the frames of the other end
    usec_t busy; // until then it does nothing
    can_frame_t out[FAULTY_BUS_MAILBOXES];
    unsigned taken;           // of these
    unsigned unsent;          // frames it has put there and knows no confirmation of
    faulty_bus_item_t *items; // oldest first
    unsigned count;
} faulty_bus_end_t;

/// Not to be copied.
typedef struct {
    usec_t now;            // read
    usec_t clock[2];       // of each end during its calls: moved ahead by what takes time there
    uint32_t bitrate;      // 500000 unless set
    uint32_t data_bitrate; // of CAN FD; 2000000 unless set
    faulty_bus_faults_t faults[2]; // of what goes to each end
    uint64_t chance;               // the seed
    unsigned events[2];            // read: reported since faulty_bus_run() was called
    unsigned frames[2];            // read: sent by each end
    unsigned lost, doubled, late;  // read: how often
    unsigned overrun; // read: lost because an end had not looked for too long, none of the faults
    bus_log_t *log;   // every frame that was on the wire, as end 0 would log it; NULL: none
    // private
    faulty_bus_end_t end[2];
    unsigned on_wire; // end that sends + 1; 0: the bus is idle
    usec_t free_at;   // when it will be idle
} faulty_bus_t;

/// Nobody is connected, no faults. faulty_bus_close() frees.
void faulty_bus_init(faulty_bus_t *bus, uint64_t seed);
void faulty_bus_close(faulty_bus_t *bus);

/// This machine is at that end from now on, as after a reset: frames to it and from it are gone. NULL: nobody.
void faulty_bus_connect(faulty_bus_t *bus, unsigned end, const machine_t *machine);

/// Lets time pass until an end reports events (true), until `until`, or until nothing will ever happen any more.
bool faulty_bus_run(faulty_bus_t *bus, usec_t until);

#endif
