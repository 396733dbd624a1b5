// test_sim_bus_errors.c - the simulated bus when something goes wrong: error frames and counters.
// SPDX-License-Identifier: Apache-2.0
#include "bus_play.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { INTERMISSION = 3, SUSPEND = 8 };

// --- Error frames ---

static void a_disturbed_frame_ends_in_an_error_frame_and_is_repeated(void **state)
{
    (void)state;
    unsigned shortest = 1000, longest = 0, first = 0, last = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        play_open(3, seed);
        play_bus.faults.disturbed = PLAY_ALWAYS;
        play_send(1, 0x55A, PLAY_START);
        play_expect_at(SIM_BUS_BEGAN, PLAY_START);
        const nsec_t end = play_expect(SIM_BUS_ERROR);
        assert_int_equal(play_ev.from, 1);
        assert_int_equal(play_ev.senders, 1 << 1);
        assert_int_equal(play_ev.heard, 0);
        assert_false(play_ev.sent);
        // One bit is disturbed, the flag begins with the next: 6 to 12 bits, and 8 of delimiter.
        const unsigned bits = (unsigned)((end - PLAY_START) / PLAY_BIT);
        assert_int_equal((end - PLAY_START) % PLAY_BIT, 0);
        if (bits < shortest) shortest = bits;
        if (bits > longest) longest = bits;
        first += bits < 1 + 14 + 20;
        last += bits > PLAY_BITS - 1 + 14 - 20;
        assert_int_equal(play_bus.node[1].tec, 8);
        assert_int_equal(play_bus.node[0].rec, 1);
        assert_int_equal(play_bus.node[2].rec, 1);
        assert_int_equal(play_bus.node[1].count, 1);
        assert_int_equal(play_bus.busy, end - PLAY_START + INTERMISSION * PLAY_BIT);
        play_bus.faults.disturbed = 0;
        play_expect_at(SIM_BUS_BEGAN, end + INTERMISSION * PLAY_BIT);
        play_expect_at(SIM_BUS_FRAME, end + (INTERMISSION + PLAY_BITS) * PLAY_BIT);
        assert_int_equal(play_ev.heard, 1 << 0 | 1 << 2);
        assert_int_equal(play_bus.node[1].tec, 7);
        assert_int_equal(play_bus.node[0].rec, 0);
        assert_int_equal(play_bus.frames, 1);
        assert_int_equal(play_bus.errors, 1);
    }
    // Any bit but the last may be the one, and each length of the flags comes.
    assert_in_range(shortest, 1 + 6 + 8, 1 + 6 + 8 + 3);
    assert_in_range(longest, PLAY_BITS - 1 + 12 + 8 - 3, PLAY_BITS - 1 + 12 + 8);
    assert_in_range(first, 200, 600);
    assert_in_range(last, 200, 600);
}

static void flags_have_all_lengths_from_six_to_twelve_bits(void **state)
{
    (void)state;
    // A sender that dies at once: the flag begins there.
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        play_open(2, seed);
        play_send(0, 0x55A, PLAY_START);
        (void)play_expect(SIM_BUS_BEGAN);
        sim_bus_off(&play_bus, 0, PLAY_START + 5 * PLAY_BIT);
        const unsigned flags =
            (unsigned)((play_expect(SIM_BUS_ERROR) - PLAY_START) / PLAY_BIT) - 5 - 8;
        assert_in_range(flags, 6, 12);
        seen |= 1U << (flags - 6);
    }
    assert_int_equal(seen, 0x7F);
}

static void so_many_frames_in_a_million_are_disturbed(void **state)
{
    (void)state;
    play_open(2, 7);
    play_bus.faults.disturbed = 100000;
    for (unsigned i = 0; i < 9000; i++) {
        play_send(0, 0x55A, play_bus.free);
        do
            (void)play_expect(SIM_BUS_BEGAN);
        while (sim_bus_step(&play_bus, &play_ev) == SIM_BUS_ERROR);
        assert_int_equal(play_ev.kind, SIM_BUS_FRAME);
    }
    assert_int_equal(play_bus.frames, 9000);
    assert_in_range(play_bus.errors, 900, 1100); // 1000 in 10000
}

static void a_sender_that_loses_power_leaves_an_error_frame_and_nothing_else(void **state)
{
    (void)state;
    play_open(3, 1);
    play_send(0, 0x55A, PLAY_START);
    play_send(0, 0x55A, PLAY_START);
    play_expect_at(SIM_BUS_BEGAN, PLAY_START);
    sim_bus_off(&play_bus, 0, PLAY_START + 40 * PLAY_BIT);
    const nsec_t end = play_expect(SIM_BUS_ERROR);
    assert_in_range(end, PLAY_START + (40 + 14) * PLAY_BIT, PLAY_START + (40 + 20) * PLAY_BIT);
    assert_int_equal(play_bus.node[1].rec, 1);
    assert_int_equal(play_bus.node[0].tec, 0);
    assert_int_equal(play_bus.busy, end - PLAY_START + 3 * PLAY_BIT);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
}

static void two_that_send_the_same_go_on_without_one_of_them(void **state)
{
    (void)state;
    play_open(3, 1);
    play_send(0, 0x55A, PLAY_START);
    play_send(1, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    sim_bus_off(&play_bus, 0, PLAY_START + 40 * PLAY_BIT);
    play_expect_at(SIM_BUS_FRAME, PLAY_START + PLAY_BITS * PLAY_BIT);
    assert_int_equal(play_ev.senders, 1 << 1);
    assert_int_equal(play_ev.heard, 1 << 2);
    assert_int_equal(play_bus.node[1].count, 0);
}

static void behind_the_acknowledgement_a_frame_needs_its_sender_no_longer(void **state)
{
    (void)state;
    // The ACK delimiter and the end of frame, 8 bits, are recessive as the idle bus is.
    play_open(3, 1);
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    sim_bus_off(&play_bus, 0, PLAY_START + (PLAY_BITS - 8) * PLAY_BIT);
    play_expect_at(SIM_BUS_FRAME, PLAY_START + PLAY_BITS * PLAY_BIT);
    assert_int_equal(play_ev.heard, 1 << 1 | 1 << 2);
    assert_int_equal(play_ev.senders, 0);
    sim_bus_on(&play_bus, 0, 1, 2 * PLAY_START);
    play_send(0, 0x55A, 3 * PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    sim_bus_off(&play_bus, 0, 3 * PLAY_START + (PLAY_BITS - 8) * PLAY_BIT - 1);
    (void)play_expect(SIM_BUS_ERROR);
}

static void an_error_frame_ends_when_it_does_also_if_its_sender_dies_in_it(void **state)
{
    (void)state;
    play_open(2, 1);
    play_bus.faults.disturbed = PLAY_ALWAYS;
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    const nsec_t end = sim_bus_next(&play_bus);
    sim_bus_off(&play_bus, 0, end - 10 * PLAY_BIT);
    play_expect_at(SIM_BUS_ERROR, end);
}

// --- The last bit ---

static void a_doubled_frame_is_heard_twice_and_counts_as_an_error(void **state)
{
    (void)state;
    play_open(3, 1);
    play_bus.faults.doubled = PLAY_ALWAYS;
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    play_expect_at(SIM_BUS_FRAME, PLAY_START + PLAY_BITS * PLAY_BIT);
    assert_int_equal(play_ev.heard, 1 << 1 | 1 << 2);
    assert_false(play_ev.sent);
    assert_int_equal(play_bus.node[0].tec, 8);
    assert_int_equal(play_bus.node[1].rec, 0);
    play_bus.faults.doubled = 0;
    // An error flag from the first bit behind the frame, the others answer it with an overload flag
    // one bit later; 8 bits of delimiter; 3 of intermission.
    const nsec_t again = PLAY_START + (PLAY_BITS + 7 + 8 + 3) * PLAY_BIT;
    assert_int_equal(play_bus.busy, again - PLAY_START);
    play_expect_at(SIM_BUS_BEGAN, again);
    play_expect_at(SIM_BUS_FRAME, again + PLAY_BITS * PLAY_BIT);
    assert_int_equal(play_ev.heard, 1 << 1 | 1 << 2);
    assert_true(play_ev.sent);
    assert_int_equal(play_bus.node[0].tec, 7);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
    assert_int_equal(play_bus.frames, 2);
}

static void a_doubled_frame_without_listeners_is_one_without_acknowledgement(void **state)
{
    (void)state;
    play_open(1, 1);
    play_bus.faults.doubled = PLAY_ALWAYS;
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_NONE);
    play_expect_at(SIM_BUS_ERROR, PLAY_START + (PLAY_BITS + 6) * PLAY_BIT);
    assert_int_equal(play_bus.free, PLAY_START + (PLAY_BITS + 9) * PLAY_BIT);
}

// --- Nobody acknowledges ---

static void alone_a_sender_repeats_for_ever_and_never_goes_bus_off(void **state)
{
    (void)state;
    play_open(1, 1);
    play_send(0, 0x55A, PLAY_START);
    nsec_t at = PLAY_START;
    for (unsigned i = 1; i <= 100; i++) {
        play_expect_at(SIM_BUS_BEGAN, at);
        (void)play_expect(SIM_BUS_NONE); // the end it would have had
        // The flag takes the place of the ACK delimiter.
        play_expect_at(SIM_BUS_ERROR, at + (PLAY_BITS - 8 + 14) * PLAY_BIT);
        at += (PLAY_BITS - 8 + 14 + INTERMISSION) * PLAY_BIT;
        assert_int_equal(play_bus.node[0].tec, i < 16 ? 8 * i : 128);
        assert_int_equal(play_bus.node[0].state,
                         i < 16 ? SIM_BUS_ERROR_ACTIVE : SIM_BUS_ERROR_PASSIVE);
        if (i >= 16) at += SUSPEND * PLAY_BIT;
    }
    // Somebody comes: the frame that has begun is not acknowledged, the next one is.
    (void)play_expect(SIM_BUS_BEGAN);
    sim_bus_on(&play_bus, 1, 1, at + 50 * PLAY_BIT);
    (void)play_expect(SIM_BUS_NONE);
    (void)play_expect(SIM_BUS_ERROR);
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_FRAME);
    assert_int_equal(play_ev.heard, 1 << 1);
    assert_int_equal(play_bus.node[0].tec, 127);
    assert_int_equal(play_bus.node[0].state, SIM_BUS_ERROR_ACTIVE);
}

static void the_last_listener_takes_the_acknowledgement_along(void **state)
{
    (void)state;
    play_open(2, 1);
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    sim_bus_off(&play_bus, 1, PLAY_START + 50 * PLAY_BIT);
    (void)play_expect(SIM_BUS_NONE);
    play_expect_at(SIM_BUS_ERROR, PLAY_START + (PLAY_BITS - 8 + 14) * PLAY_BIT);
    assert_int_equal(play_bus.node[0].tec, 8);
}

// --- Counters ---

static void error_passive_is_from_128_and_such_a_sender_lets_others_go_first(void **state)
{
    (void)state;
    play_open(3, 1);
    play_bus.faults.disturbed = PLAY_ALWAYS;
    play_send(0, 0x001, PLAY_START);
    for (unsigned i = 1; i <= 16; i++) {
        assert_int_equal(play_bus.node[0].state, SIM_BUS_ERROR_ACTIVE);
        (void)play_expect(SIM_BUS_BEGAN);
        (void)play_expect(SIM_BUS_ERROR);
        assert_int_equal(play_bus.node[0].tec, 8 * i);
        assert_int_equal(play_bus.node[1].rec, i);
    }
    assert_int_equal(play_bus.node[0].state, SIM_BUS_ERROR_PASSIVE);
    play_bus.faults.disturbed = 0;
    // Of two that would begin in the suspension, one at its end: the first is ahead of it.
    nsec_t at = play_bus.free;
    play_send(1, 0x7FF, at + 7 * PLAY_BIT);
    play_expect_at(SIM_BUS_BEGAN, at + 7 * PLAY_BIT);
    assert_int_equal(play_ev.from, 1);
    (void)play_expect(SIM_BUS_FRAME);
    // It did not send last: no suspension now.
    at = play_bus.free;
    play_send(0, 0x002, at);
    play_expect_at(SIM_BUS_BEGAN, at);
    assert_int_equal(play_ev.from, 0);
    (void)play_expect(SIM_BUS_FRAME);
    assert_int_equal(play_bus.node[0].tec, 127);
    // Error active again.
    play_expect_at(SIM_BUS_BEGAN, play_bus.free);
    (void)play_expect(SIM_BUS_FRAME);
    assert_int_equal(play_bus.node[0].tec, 126);
}

static void a_suspended_sender_takes_part_at_the_end_of_it(void **state)
{
    (void)state;
    play_open(3, 1);
    play_bus.faults.disturbed = PLAY_ALWAYS;
    play_send(0, 0x001, PLAY_START);
    while (play_bus.node[0].tec < 136) {
        (void)play_expect(SIM_BUS_BEGAN);
        (void)play_expect(SIM_BUS_ERROR);
    }
    play_bus.faults.disturbed = 0;
    const nsec_t at = play_bus.free;
    play_send(1, 0x7FF, at + SUSPEND * PLAY_BIT);
    play_expect_at(SIM_BUS_BEGAN, at + SUSPEND * PLAY_BIT);
    assert_int_equal(play_ev.from, 0);
    (void)play_expect(SIM_BUS_FRAME);
    assert_int_equal(play_bus.node[0].tec, 135);
    // Also behind a frame that went well.
    play_send(0, 0x001, at);
    (void)play_expect(SIM_BUS_BEGAN);
    assert_int_equal(play_ev.from, 1);
    (void)play_expect(SIM_BUS_FRAME);
    play_expect_at(SIM_BUS_BEGAN, play_bus.free);
    (void)play_expect(SIM_BUS_FRAME);
    play_send(0, 0x001, at);
    play_expect_at(SIM_BUS_BEGAN, play_bus.free + SUSPEND * PLAY_BIT);
}

static void a_receiver_becomes_error_passive_and_active_again(void **state)
{
    (void)state;
    play_open(2, 1);
    nsec_t at = PLAY_START;
    while (play_bus.node[1].rec < 130) {
        play_bus.faults.disturbed = PLAY_ALWAYS;
        play_send(0, 0x55A, at);
        (void)play_expect(SIM_BUS_BEGAN);
        (void)play_expect(SIM_BUS_ERROR);
        assert_int_equal(play_bus.node[1].state,
                         play_bus.node[1].rec < 128 ? SIM_BUS_ERROR_ACTIVE : SIM_BUS_ERROR_PASSIVE);
        // The sender is not the matter here.
        sim_bus_on(&play_bus, 0, 8, play_bus.free);
        at = play_bus.free + PLAY_START;
    }
    at = play_pass(0, at);
    assert_int_equal(play_bus.node[1].rec, 127); // one of 119 to 127
    assert_int_equal(play_bus.node[1].state, SIM_BUS_ERROR_ACTIVE);
    (void)play_pass(0, at);
    assert_int_equal(play_bus.node[1].rec, 126);
}

static void an_error_passive_receiver_is_not_suspended(void **state)
{
    (void)state;
    play_open(2, 1);
    play_bus.node[1].rec = 128;
    play_bus.node[1].state = SIM_BUS_ERROR_PASSIVE;
    play_bus.faults.disturbed = PLAY_ALWAYS;
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    play_send(1, 0x001, PLAY_START + 1);
    (void)play_expect(SIM_BUS_ERROR);
    play_expect_at(SIM_BUS_BEGAN, play_bus.free);
    assert_int_equal(play_ev.from, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disturbed_frame_ends_in_an_error_frame_and_is_repeated),
        cmocka_unit_test(flags_have_all_lengths_from_six_to_twelve_bits),
        cmocka_unit_test(so_many_frames_in_a_million_are_disturbed),
        cmocka_unit_test(a_sender_that_loses_power_leaves_an_error_frame_and_nothing_else),
        cmocka_unit_test(two_that_send_the_same_go_on_without_one_of_them),
        cmocka_unit_test(behind_the_acknowledgement_a_frame_needs_its_sender_no_longer),
        cmocka_unit_test(an_error_frame_ends_when_it_does_also_if_its_sender_dies_in_it),
        cmocka_unit_test(a_doubled_frame_is_heard_twice_and_counts_as_an_error),
        cmocka_unit_test(a_doubled_frame_without_listeners_is_one_without_acknowledgement),
        cmocka_unit_test(alone_a_sender_repeats_for_ever_and_never_goes_bus_off),
        cmocka_unit_test(the_last_listener_takes_the_acknowledgement_along),
        cmocka_unit_test(error_passive_is_from_128_and_such_a_sender_lets_others_go_first),
        cmocka_unit_test(a_suspended_sender_takes_part_at_the_end_of_it),
        cmocka_unit_test(a_receiver_becomes_error_passive_and_active_again),
        cmocka_unit_test(an_error_passive_receiver_is_not_suspended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
