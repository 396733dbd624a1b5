// sim_bus.h - a CAN bus to the bit, in virtual time: arbitration, error frames, repetition, bus-off.
// SPDX-License-Identifier: Apache-2.0
//
//     sim_bus_t bus;
//     sim_bus_init(&bus, 500000, 2000000, seed);
//     sim_bus_on(&bus, 0, 10, 0); // two nodes with room for ten frames each
//     sim_bus_on(&bus, 1, 10, 0);
//     sim_bus_send(&bus, 0, &frame, 0);
//     sim_bus_event_t ev;
//     while (sim_bus_next(&bus) <= until)
//         if (sim_bus_step(&bus, &ev) == SIM_BUS_FRAME && ev.heard & 1U << 1) receive(&ev.frame);
//
// Nodes are CAN controllers by ISO 11898-1, each with a transmit queue that keeps its order. A frame
// takes the time of its bits (can_bits.h). A disturbed one ends where it was disturbed, with an error
// frame, and whoever sent it repeats it. So it does when only the last bit was disturbed, and the others
// have the frame already: then it arrives twice, as on real buses.
//
// Threads: none inside. Memory: sim_bus_t, the caller's. Time: a step looks at every node once.
#ifndef SIM_BUS_H
#define SIM_BUS_H

#include "can.h"

/// Virtual time in nanoseconds: every usual bit time is a whole number of them.
typedef uint64_t nsec_t;
#define NSEC_NEVER UINT64_MAX

enum { SIM_BUS_NODES = 24, SIM_BUS_QUEUE = 64 };

typedef enum {
    SIM_BUS_NONE,
    SIM_BUS_BEGAN,     // somebody sends
    SIM_BUS_FRAME,     // a frame ended: `heard` have it, and its sender knows, if `sent`
    SIM_BUS_ERROR,     // an error frame ended; `from` repeats its frame
    SIM_BUS_OFF,       // the same, and nodes are bus-off with that
    SIM_BUS_RECOVERED, // `from`, once bus-off, takes part again
} sim_bus_kind_t;

/// Fault confinement, ISO 11898-1, 12.1.4.
typedef enum { SIM_BUS_ERROR_ACTIVE, SIM_BUS_ERROR_PASSIVE, SIM_BUS_BUS_OFF } sim_bus_state_t;

typedef struct {
    sim_bus_kind_t kind;
    unsigned from;
    uint32_t senders; // bit n: node n sent it; more than one if their frames were equal, or collide
    uint32_t heard;   // FRAME: bit n: node n received it
    uint32_t
        off;   // bit n: node n is bus-off with that, its queue empty. Also with a FRAME: if doubled
    bool sent; // FRAME
    nsec_t began;
    can_frame_t frame;
} sim_bus_event_t;

typedef struct {
    bool on;               // read
    nsec_t on_since;       // takes part since: 11 recessive bits behind power-on
    sim_bus_state_t state; // read
    unsigned tec, rec;     // read: error counters
    unsigned count, cap;   // read: frames that wait, that of which is being sent included
    unsigned head;
    nsec_t since;    // when the first of them came
    nsec_t rest;     // error passive: may not begin before
    bool recovering; // bus-off, and counts
    unsigned quiet;  // 11 recessive bits in a row, how often so far, of 128
    nsec_t quiet_at; // when it began to count
    can_frame_t queue[SIM_BUS_QUEUE];
} sim_bus_node_t;

/// What chance does, to so many frames in a million.
typedef struct {
    uint32_t disturbed; // there is an error frame in place of it
    uint32_t doubled;   // its sender sees an error in the last bit, and no one else
} sim_bus_faults_t;

typedef struct {
    sim_bus_faults_t faults;            // may be changed at any time
    uint64_t frames, errors;            // read: that have ended
    nsec_t busy;                        // read: time taken by them, interframe spaces included
    nsec_t bit, data_bit;               // read: length of a bit
    sim_bus_node_t node[SIM_BUS_NODES]; // read
    // private
    unsigned nodes; // those that were ever on
    uint64_t chance;
    bool running;          // a frame or an error frame is on the wire
    sim_bus_event_t event; // what it will be
    nsec_t ends, free;     // `free`: when the next frame may begin
    nsec_t recessive;      // since when the bus is
} sim_bus_t;

/// Bit rates in bit/s. `data_bitrate`: of FD frames with `brs`.
void sim_bus_init(sim_bus_t *bus, uint32_t bitrate, uint32_t data_bitrate, uint64_t seed);

/// Gives the controller power: error active, its queue of `cap` frames (1..SIM_BUS_QUEUE) empty.
void sim_bus_on(sim_bus_t *bus, unsigned node, unsigned cap, nsec_t now);

/// Takes it away: what the node was sending ends in an error frame.
void sim_bus_off(sim_bus_t *bus, unsigned node, nsec_t now);

/// Queues a frame. False: no room; or the node is off, or bus-off.
bool sim_bus_send(sim_bus_t *bus, unsigned node, const can_frame_t *frame, nsec_t now);

/// A node that is bus-off begins to wait for 128 times 11 recessive bits.
void sim_bus_recover(sim_bus_t *bus, unsigned node, nsec_t now);

/// When sim_bus_step() is due; NSEC_NEVER: nothing will happen by itself.
nsec_t sim_bus_next(const sim_bus_t *bus);

/// Does what is due then, and tells what ended. Returns ev->kind.
sim_bus_kind_t sim_bus_step(sim_bus_t *bus, sim_bus_event_t *ev);

#endif
