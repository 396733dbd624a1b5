// probe.h - a machine that does as it is told and writes down when it was called, for tests of ports.
// SPDX-License-Identifier: Apache-2.0
//
//     probe_t p = { .deadline = 500, .world = &world, .node = 1 };
//     const machine_t machine = probe_machine(&p);
//     sim_world_join(&world, 1, &port, &machine);
//     while (sim_world_run(&world, until)) {
//     }
//     assert_string_equal(probe_text(&p), "K500 I1234:7E0 ");
#ifndef PROBE_H
#define PROBE_H

#include "sim_world.h"

enum { PROBE_CALLS = 8192 };

typedef struct {
    char what; // I: input, T: taken, S: sent, L: lost, K: tick
    uint32_t id;
    nsec_t at; // by the world's clock
} probe_call_t;

/// All zeros but for `world`, `node` and `deadline`: never sends, never takes time.
typedef struct {
    sim_world_t *world;
    unsigned node;
    // What it does:
    usec_t deadline;              // of the next tick, which sets it to `again` more, 0: to never
    usec_t again;                 // from one tick to the next
    usec_t input_time, tick_time; // by which these calls put the clock forward
    unsigned events;              // that each tick returns
    sim_flash_t *erases;          // each tick erases sector 0 of it
    uint32_t tick_sends;          // identifier of a frame that each tick adds; 0: none
    uint32_t lost_sends;          // the same when it is told that frames are lost: three
    uint32_t send_first, send_to; // identifiers of the frames it has to send
    bool ext, fd;
    uint8_t len, data[8];
    // What was done with it:
    probe_call_t call[PROBE_CALLS];
    unsigned calls;
    unsigned inputs, sent, lost; // calls of these kinds
    usec_t told;                 // the time, by the last call
    can_frame_t heard;           // the last one
    can_frame_t out;
} probe_t;

machine_t probe_machine(probe_t *p);

/// It has these frames to send: identifiers from `first` on. The data are 55, unless `data` is set
/// behind this call.
void probe_send(probe_t *p, uint32_t first, unsigned count, uint8_t len);

/// Its calls so far: what, microseconds of the world's clock, and of input the identifier. Valid
/// until the next call.
const char *probe_text(const probe_t *p);

#endif
