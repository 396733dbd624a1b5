// bus_play.c - a simulated bus step by step, for its tests: see bus_play.h.
// SPDX-License-Identifier: Apache-2.0
#include "bus_play.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

sim_bus_t play_bus;
sim_bus_event_t play_ev;

void play_open(unsigned nodes, uint64_t seed)
{
    sim_bus_init(&play_bus, 1000000, 1000000, seed);
    for (unsigned i = 0; i < nodes; i++)
        sim_bus_on(&play_bus, i, 8, 0);
}

can_frame_t play_frame(void)
{
    return (can_frame_t){ .id = 0x55A,
                          .len = 8,
                          .data = { 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78 } };
}

void play_send(unsigned node, uint32_t id, nsec_t at)
{
    can_frame_t f = play_frame();
    f.id = id;
    assert_true(sim_bus_send(&play_bus, node, &f, at));
}

nsec_t play_expect(sim_bus_kind_t kind)
{
    const nsec_t at = sim_bus_next(&play_bus);
    assert_int_equal(sim_bus_step(&play_bus, &play_ev), kind);
    assert_int_equal(play_ev.kind, kind);
    return at;
}

void play_expect_at(sim_bus_kind_t kind, nsec_t at) { assert_int_equal(play_expect(kind), at); }

nsec_t play_pass(unsigned node, nsec_t at)
{
    const sim_bus_faults_t faults = play_bus.faults;
    play_bus.faults = (sim_bus_faults_t){ 0 };
    play_send(node, 0x55A, at);
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_FRAME);
    play_bus.faults = faults;
    return play_bus.free;
}
