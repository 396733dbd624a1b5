// test_sim_bus.c - the simulated bus without errors: lengths, arbitration, queues, who hears what.
// SPDX-License-Identifier: Apache-2.0
//
// The constants are counted by hand, from the fields of ISO 11898-1. test_sim_bus_bits.c does the rest.
#include "sim_bus.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { BIT = 1000, INTEGRATE = 11 * BIT }; // 1 Mbit/s

/// Without stuff bits: 1 + 11 + 1 + 1 + 1 + 4 + 64 + 15 up to the CRC, 1 + 2 + 7 behind it.
enum { FRAME_BITS = 98 + 10, INTERMISSION = 3 };

static sim_bus_t bus;
static sim_bus_event_t ev;

/// Four nodes that may send from `START` on.
#define START UINT64_C(1000000)

static int setup(void **state)
{
    (void)state;
    sim_bus_init(&bus, 1000000, 5000000, 1);
    for (unsigned i = 0; i < 4; i++)
        sim_bus_on(&bus, i, 3, 0);
    return 0;
}

/// The identifier 55A and bytes 78 need no stuff bit, nor does their CRC. Others do.
static can_frame_t plain(void)
{
    return (can_frame_t){ .id = 0x55A,
                          .len = 8,
                          .data = { 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78 } };
}

static can_frame_t frame(uint32_t id, bool ext)
{
    can_frame_t f = plain();
    f.id = id;
    f.ext = ext;
    return f;
}

static void send(unsigned node, can_frame_t f, nsec_t at)
{
    assert_true(sim_bus_send(&bus, node, &f, at));
}

static void expect(sim_bus_kind_t kind, nsec_t at)
{
    assert_int_equal(sim_bus_next(&bus), at);
    assert_int_equal(sim_bus_step(&bus, &ev), kind);
    assert_int_equal(ev.kind, kind);
}

/// Begins at `at`; returns when the next may.
static nsec_t expect_frame(unsigned from, nsec_t at)
{
    expect(SIM_BUS_BEGAN, at);
    assert_int_equal(ev.from, from);
    assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_FRAME);
    assert_int_equal(ev.from, from);
    assert_int_equal(ev.began, at);
    assert_true(ev.sent);
    return bus.free;
}

// --- Lengths ---

static void a_frame_is_heard_at_its_end_and_the_next_may_begin_three_bits_later(void **state)
{
    (void)state;
    assert_int_equal(sim_bus_next(&bus), NSEC_NEVER);
    send(1, plain(), START);
    send(2, plain(), START + 5); // too late for the first, by whatever little
    expect(SIM_BUS_BEGAN, START);
    assert_int_equal(ev.senders, 1 << 1);
    expect(SIM_BUS_FRAME, START + FRAME_BITS * BIT);
    assert_int_equal(ev.heard, 1 << 0 | 1 << 2 | 1 << 3);
    expect(SIM_BUS_BEGAN, START + (FRAME_BITS + INTERMISSION) * BIT);
    assert_int_equal(ev.from, 2);
}

static void lengths_are_those_that_are_well_known(void **state)
{
    (void)state;
    // Of a frame with its interframe space, at 500 kbit/s: 8 bytes take 222 us at least, 270 at most.
    static const struct {
        can_frame_t frame;
        uint32_t bits;
    } vectors[] = {
        { { .id = 0x55A, .len = 8, .data = { 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78 } },
          111 },
        { { .id = 0x041, .len = 8, .data = { 0x3C, 0x3C, 0x3C, 0x3C, 0x3C, 0x3C, 0x3C, 0x3C } },
          131 },
        { { .id = 0x000 }, 53 }, // 34 zeros, 6 stuff bits
        { { .id = 0x01DC0BE4,
            .ext = true,
            .len = 8,
            .data = { 0x3C, 0x3C, 0x3C, 0x3C, 0x3C, 0x3C, 0x3C, 0x3C } },
          155 },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        sim_bus_init(&bus, 500000, 500000, 1);
        sim_bus_on(&bus, 0, 1, 0);
        sim_bus_on(&bus, 1, 1, 0);
        send(0, vectors[i].frame, START);
        assert_int_equal(expect_frame(0, START), START + vectors[i].bits * 2000);
        assert_int_equal(bus.busy, vectors[i].bits * 2000);
    }
}

static void fd_frames_have_two_bit_rates_with_brs_and_one_without(void **state)
{
    (void)state;
    // Bytes 55, identifier 555: no stuff bits but the fixed ones. 17 bits up to BRS, then ESI, DLC, data,
    // 4 + 21 bits of stuff count and CRC with 7 fixed stuff bits, then the delimiter, 9 and 3 bits. BRS
    // and delimiter together are one bit of each rate.
    static const uint32_t RATES[2][2] = { { 500000, 2000000 }, { 1000000, 5000000 } };
    can_frame_t f = { .id = 0x555, .fd = true, .len = 64 };
    memset(f.data, 0x55, sizeof f.data);
    for (unsigned i = 0; i < 2; i++) {
        const nsec_t bit = 1000000000 / RATES[i][0], data_bit = 1000000000 / RATES[i][1];
        sim_bus_init(&bus, RATES[i][0], RATES[i][1], 1);
        sim_bus_on(&bus, 0, 1, 0);
        sim_bus_on(&bus, 1, 1, 0);
        f.brs = true;
        send(0, f, START);
        const nsec_t fast = (16 + 1 + 9 + 3) * bit + (1 + 1 + 4 + 512 + 25 + 7) * data_bit;
        assert_int_equal(expect_frame(0, START), START + fast);
        f.brs = false;
        send(0, f, 2 * START);
        assert_int_equal(expect_frame(0, 2 * START), 2 * START + (17 + 1 + 9 + 3 + 549) * bit);
    }
}

static void busy_is_the_sum_of_all_that_was_on_the_wire(void **state)
{
    (void)state;
    send(0, plain(), START);
    send(1, frame(0x55A, false), 2 * START);
    send(2, plain(), 2 * START + 1);
    nsec_t at = START;
    at = expect_frame(0, at) - at;
    const nsec_t one = at;
    at = expect_frame(1, 2 * START);
    at = expect_frame(2, at);
    assert_int_equal(bus.busy, one + at - 2 * START);
    assert_int_equal(bus.busy, 3 * (FRAME_BITS + INTERMISSION) * BIT);
    assert_int_equal(bus.frames, 3);
    assert_int_equal(bus.errors, 0);
}

// --- Arbitration ---

static void the_lowest_identifier_wins_and_the_others_follow(void **state)
{
    (void)state;
    send(0, frame(0x123, false), START);
    send(1, frame(0x122, false), START);
    send(2, frame(0x7FF, false), START);
    send(3, frame(0x000, false), START);
    nsec_t at = expect_frame(3, START);
    assert_int_equal(ev.heard, 7);
    at = expect_frame(1, at);
    at = expect_frame(0, at);
    (void)expect_frame(2, at);
    assert_int_equal(sim_bus_next(&bus), NSEC_NEVER);
}

static void base_beats_extended_with_the_same_first_bits(void **state)
{
    (void)state;
    // RTR and IDE are dominant where SRR and IDE of the extended one are recessive.
    send(0, frame(0x123U << 18, true), START);
    send(1, frame(0x123, false), START);
    send(2, frame(0x122U << 18 | 0x3FFFF, true), START);
    send(3, frame(0x123U << 18 | 1, true), START);
    nsec_t at = expect_frame(2, START);
    at = expect_frame(1, at);
    at = expect_frame(0, at);
    (void)expect_frame(3, at);
}

static void extended_identifiers_are_compared_to_the_last_bit(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 29; bit++) {
        (void)setup(NULL);
        send(0, frame(1U << bit, true), START);
        send(1, frame(0, true), START);
        (void)expect_frame(0, expect_frame(1, START));
    }
}

static void a_frame_that_comes_during_another_waits_also_for_the_intermission(void **state)
{
    (void)state;
    send(0, frame(0x555, false), START);
    expect(SIM_BUS_BEGAN, START);
    send(1, frame(0x001, false), START + 1); // the highest priority does not help it
    assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_FRAME);
    assert_int_equal(ev.from, 0);
    // In the intermission, up to its end, everybody may still join in.
    send(2, frame(0x000, false), bus.free - 1);
    send(3, frame(0x002, false), bus.free);
    nsec_t at = expect_frame(2, bus.free);
    at = expect_frame(1, at);
    (void)expect_frame(3, at);
}

static void equal_frames_of_two_nodes_are_one_on_the_bus(void **state)
{
    (void)state;
    send(1, plain(), START);
    send(2, plain(), START);
    send(3, frame(0x55B, false), START);
    const nsec_t at = expect_frame(1, START);
    assert_int_equal(ev.senders, 1 << 1 | 1 << 2);
    assert_int_equal(ev.heard, 1 << 0 | 1 << 3);
    assert_int_equal(bus.node[1].count, 0);
    assert_int_equal(bus.node[2].count, 0);
    (void)expect_frame(3, at);
    assert_int_equal(bus.frames, 2);
}

// --- Queues and nodes ---

static void a_queue_keeps_its_order_and_its_limit(void **state)
{
    (void)state;
    // Priority counts between nodes, not within one.
    send(0, frame(0x300, false), START);
    send(0, frame(0x200, false), START);
    send(0, frame(0x100, false), START);
    const can_frame_t more = plain();
    assert_false(sim_bus_send(&bus, 0, &more, START));
    assert_int_equal(bus.node[0].count, 3);
    send(1, frame(0x250, false), START);
    nsec_t at = expect_frame(1, START);
    for (uint32_t id = 0x300; id >= 0x100; id -= 0x100) {
        expect(SIM_BUS_BEGAN, at);
        assert_false(id == 0x300 && sim_bus_send(&bus, 0, &more, at)); // it is still there
        assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_FRAME);
        assert_int_equal(ev.frame.id, id);
        at = bus.free;
    }
    // And round and round.
    for (unsigned i = 0; i < 5 * SIM_BUS_QUEUE; i++) {
        send(0, frame(i, false), at);
        at = expect_frame(0, at);
        assert_int_equal(ev.frame.id, i);
    }
    sim_bus_on(&bus, 0, SIM_BUS_QUEUE, at);
    for (unsigned i = 0; i < SIM_BUS_QUEUE; i++)
        send(0, plain(), at);
    assert_false(sim_bus_send(&bus, 0, &more, at));
}

static void without_power_a_node_sends_and_hears_nothing(void **state)
{
    (void)state;
    const can_frame_t f = plain();
    assert_false(sim_bus_send(&bus, 7, &f, START)); // was never on
    send(2, f, START);
    sim_bus_off(&bus, 2, START);
    sim_bus_off(&bus, 3, START);
    assert_int_equal(sim_bus_next(&bus), NSEC_NEVER);
    assert_false(sim_bus_send(&bus, 2, &f, START));
    send(0, f, 2 * START);
    (void)expect_frame(0, 2 * START);
    assert_int_equal(ev.heard, 1 << 1);
    // What it had is gone when it is back.
    sim_bus_on(&bus, 2, 1, 3 * START);
    assert_int_equal(sim_bus_next(&bus), NSEC_NEVER);
    assert_int_equal(bus.node[2].count, 0);
}

static void a_receiver_that_loses_power_during_a_frame_does_not_hear_it(void **state)
{
    (void)state;
    send(0, plain(), START);
    expect(SIM_BUS_BEGAN, START);
    sim_bus_off(&bus, 3, START + 50 * BIT);
    expect(SIM_BUS_FRAME, START + FRAME_BITS * BIT);
    assert_int_equal(ev.heard, 1 << 1 | 1 << 2);
}

static void a_node_takes_part_after_eleven_recessive_bits(void **state)
{
    (void)state;
    sim_bus_on(&bus, 4, 1, START);
    send(4, plain(), START);
    (void)expect_frame(4, START + INTEGRATE);
    // A frame that began before is not heard,
    sim_bus_on(&bus, 4, 1, 2 * START);
    send(0, plain(), 2 * START + INTEGRATE - 1);
    nsec_t at = expect_frame(0, 2 * START + INTEGRATE - 1);
    assert_int_equal(ev.heard, 1 << 1 | 1 << 2 | 1 << 3);
    // the next one is. The ACK delimiter, the end of frame and the intermission are eleven bits.
    send(0, plain(), at);
    at = expect_frame(0, at);
    assert_int_equal(ev.heard, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4);
    // Likewise with power in the middle of one.
    send(0, plain(), at);
    send(0, plain(), at);
    expect(SIM_BUS_BEGAN, at);
    sim_bus_on(&bus, 4, 1, at + 60 * BIT);
    expect(SIM_BUS_FRAME, at + FRAME_BITS * BIT);
    assert_int_equal(ev.heard, 1 << 1 | 1 << 2 | 1 << 3);
    (void)expect_frame(0, bus.free);
    assert_int_equal(ev.heard, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4);
    // In the end of frame it is too late for the next one, too.
    at = 4 * START;
    send(0, plain(), at);
    send(0, plain(), at);
    expect(SIM_BUS_BEGAN, at);
    sim_bus_on(&bus, 4, 1, at + (FRAME_BITS - 8) * BIT + 1);
    assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_FRAME);
    (void)expect_frame(0, bus.free);
    assert_int_equal(ev.heard, 1 << 1 | 1 << 2 | 1 << 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_frame_is_heard_at_its_end_and_the_next_may_begin_three_bits_later,
                               setup),
        cmocka_unit_test_setup(lengths_are_those_that_are_well_known, setup),
        cmocka_unit_test_setup(fd_frames_have_two_bit_rates_with_brs_and_one_without, setup),
        cmocka_unit_test_setup(busy_is_the_sum_of_all_that_was_on_the_wire, setup),
        cmocka_unit_test_setup(the_lowest_identifier_wins_and_the_others_follow, setup),
        cmocka_unit_test_setup(base_beats_extended_with_the_same_first_bits, setup),
        cmocka_unit_test_setup(extended_identifiers_are_compared_to_the_last_bit, setup),
        cmocka_unit_test_setup(a_frame_that_comes_during_another_waits_also_for_the_intermission,
                               setup),
        cmocka_unit_test_setup(equal_frames_of_two_nodes_are_one_on_the_bus, setup),
        cmocka_unit_test_setup(a_queue_keeps_its_order_and_its_limit, setup),
        cmocka_unit_test_setup(without_power_a_node_sends_and_hears_nothing, setup),
        cmocka_unit_test_setup(a_receiver_that_loses_power_during_a_frame_does_not_hear_it, setup),
        cmocka_unit_test_setup(a_node_takes_part_after_eleven_recessive_bits, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
