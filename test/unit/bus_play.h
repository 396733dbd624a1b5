// bus_play.h - a simulated bus step by step, for its tests: 1 Mbit/s, a frame without stuff bits.
// SPDX-License-Identifier: Apache-2.0
//
//     play_open(3, seed);
//     play_send(0, 0x55A, PLAY_START);
//     play_expect_at(SIM_BUS_BEGAN, PLAY_START);
//     play_expect_at(SIM_BUS_FRAME, PLAY_START + PLAY_BITS * PLAY_BIT);
#ifndef BUS_PLAY_H
#define BUS_PLAY_H

#include "sim_bus.h"

/// PLAY_BITS: of play_frame(), up to its end.
enum { PLAY_BIT = 1000, PLAY_BITS = 108, PLAY_ALWAYS = 1000000 };
#define PLAY_START UINT64_C(1000000)

extern sim_bus_t play_bus;
extern sim_bus_event_t play_ev; // of the last play_expect()

/// So many nodes with room for 8 frames that take part from PLAY_START on.
void play_open(unsigned nodes, uint64_t seed);

/// With the identifier 55A: 1 + 11 + 1 + 1 + 1 + 4 + 64 + 15 bits up to the CRC and 1 + 2 + 7 behind it;
/// neither these nor its CRC need stuff bits.
can_frame_t play_frame(void);

/// The same with another identifier.
void play_send(unsigned node, uint32_t id, nsec_t at);

/// The next step is of this kind; returns its time.
nsec_t play_expect(sim_bus_kind_t kind);
void play_expect_at(sim_bus_kind_t kind, nsec_t at);

/// Sends a frame without faults. Returns when the next one may begin.
nsec_t play_pass(unsigned node, nsec_t at);

#endif
