// test_sim_bus_off.c - collisions on the simulated bus, bus-off and the way back; one seed, one history.
// SPDX-License-Identifier: Apache-2.0
#include "bus_play.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { INTERMISSION = 3, RECOVERY = 128 * 11 * PLAY_BIT };

// --- Collisions ---

static void the_same_identifier_with_other_data_collides_until_both_are_bus_off(void **state)
{
    (void)state;
    play_open(3, 1);
    can_frame_t f = play_frame();
    assert_true(sim_bus_send(&play_bus, 0, &f, PLAY_START));
    f.data[7] ^= 1;
    assert_true(sim_bus_send(&play_bus, 1, &f, PLAY_START));
    assert_true(sim_bus_send(&play_bus, 1, &f, PLAY_START));
    for (unsigned i = 1; i <= 32; i++) {
        const nsec_t at = play_expect(SIM_BUS_BEGAN);
        assert_int_equal(play_ev.senders, 3);
        const nsec_t end = play_expect(i < 32 ? SIM_BUS_ERROR : SIM_BUS_OFF);
        assert_true(end - at >= (15 + 14) * PLAY_BIT); // not in the arbitration
        assert_int_equal(play_bus.node[0].tec, 8 * i);
        assert_int_equal(play_bus.node[1].tec, 8 * i);
        assert_int_equal(play_bus.node[2].rec, i);
        assert_int_equal(play_ev.off, i < 32 ? 0 : 3);
    }
    assert_int_equal(play_bus.node[0].state, SIM_BUS_BUS_OFF);
    assert_int_equal(play_bus.node[1].state, SIM_BUS_BUS_OFF);
    assert_int_equal(play_bus.node[1].count, 0);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
}

static void frames_that_collide_separate_if_one_of_them_is_late(void **state)
{
    (void)state;
    play_open(3, 1);
    play_bus.node[1].tec = 120; // error passive with the next error
    can_frame_t f = play_frame();
    assert_true(sim_bus_send(&play_bus, 0, &f, PLAY_START));
    f.len = 7;
    assert_true(sim_bus_send(&play_bus, 1, &f, PLAY_START));
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_ERROR);
    play_expect_at(SIM_BUS_BEGAN, play_bus.free);
    assert_int_equal(play_ev.senders, 1);
    (void)play_expect(SIM_BUS_FRAME);
    play_expect_at(SIM_BUS_BEGAN, play_bus.free);
    assert_int_equal(play_ev.senders, 2);
    (void)play_expect(SIM_BUS_FRAME);
}

static void who_wins_against_two_that_would_collide_is_not_disturbed(void **state)
{
    (void)state;
    play_open(4, 1);
    can_frame_t f = play_frame();
    assert_true(sim_bus_send(&play_bus, 0, &f, PLAY_START));
    f.len = 7;
    assert_true(sim_bus_send(&play_bus, 1, &f, PLAY_START));
    play_send(2, 0x100, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    assert_int_equal(play_ev.senders, 1 << 2);
    (void)play_expect(SIM_BUS_FRAME);
    (void)play_expect(SIM_BUS_BEGAN);
    assert_int_equal(play_ev.senders, 3);
    (void)play_expect(SIM_BUS_ERROR);
}

static void every_difference_behind_the_identifier_collides(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 400; seed++) {
        const unsigned i = seed % 4;
        play_open(3, seed);
        can_frame_t f = { .id = 0x1234567, .ext = true, .fd = true, .len = i == 3 ? 8 : 16 };
        assert_true(sim_bus_send(&play_bus, 0, &f, PLAY_START));
        if (i == 0) f.brs = true;
        if (i == 1) f.len = 20;
        if (i == 2) f.data[15] = 1;
        if (i == 3) f.fd = false;
        assert_true(sim_bus_send(&play_bus, 1, &f, PLAY_START));
        const nsec_t at = play_expect(SIM_BUS_BEGAN);
        assert_int_equal(play_ev.senders, 3);
        assert_true(play_expect(SIM_BUS_ERROR) - at >=
                    (33 + 14) * PLAY_BIT); // 32 bits of arbitration
    }
}

// --- Bus-off ---

static void go_off(unsigned node, nsec_t at)
{
    play_bus.faults.disturbed = PLAY_ALWAYS;
    play_send(node, 0x55A, at);
    play_send(node, 0x55A, at);
    do
        (void)play_expect(SIM_BUS_BEGAN);
    while (sim_bus_step(&play_bus, &play_ev) == SIM_BUS_ERROR);
    play_bus.faults.disturbed = 0;
    assert_int_equal(play_ev.kind, SIM_BUS_OFF);
    assert_int_equal(play_ev.off, 1U << node);
    assert_int_equal(play_bus.node[node].tec, 256);
    assert_int_equal(play_bus.node[node].count, 0);
    assert_int_equal(play_bus.errors, 32);
}

static void bus_off_at_256_and_back_after_128_times_11_recessive_bits(void **state)
{
    (void)state;
    play_open(3, 1);
    go_off(0, PLAY_START);
    const can_frame_t f = play_frame();
    assert_false(sim_bus_send(&play_bus, 0, &f, play_bus.free));
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER); // not by itself
    const nsec_t at = play_pass(1, 10 * PLAY_START);
    assert_int_equal(play_ev.heard, 1 << 2);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
    sim_bus_recover(&play_bus, 0, at + PLAY_START);
    sim_bus_recover(&play_bus, 0, at + PLAY_START + 7 * PLAY_BIT); // changes nothing
    assert_false(sim_bus_send(&play_bus, 0, &f, at + PLAY_START));
    play_bus.node[0].rec = 3;
    play_expect_at(SIM_BUS_RECOVERED, at + PLAY_START + RECOVERY);
    assert_int_equal(play_ev.from, 0);
    assert_int_equal(play_bus.node[0].tec, 0);
    assert_int_equal(play_bus.node[0].rec, 0);
    assert_int_equal(play_bus.node[0].state, SIM_BUS_ERROR_ACTIVE);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
    (void)play_pass(0, at + 2 * PLAY_START + RECOVERY);
    sim_bus_recover(&play_bus, 1, 2 * at); // is not bus-off
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
}

static void recessive_bits_count_from_the_delimiter_of_the_error_frame_on(void **state)
{
    (void)state;
    play_open(2, 1);
    go_off(0, PLAY_START);
    sim_bus_recover(&play_bus, 0, play_bus.free - 3 * PLAY_BIT);
    play_expect_at(SIM_BUS_RECOVERED, play_bus.free - 3 * PLAY_BIT + RECOVERY);
}

static void on_a_busy_bus_each_frame_gives_eleven_recessive_bits(void **state)
{
    (void)state;
    play_open(3, 1);
    go_off(0, PLAY_START);
    nsec_t at = play_bus.free + 5 * PLAY_BIT;
    sim_bus_recover(&play_bus, 0, at - 5 * PLAY_BIT);
    // Back to back: five bits before the first frame are too few. Then one count a frame.
    for (unsigned i = 0; i < 127; i++) {
        play_send(1, 0x55A, at);
        play_expect_at(SIM_BUS_BEGAN, at);
        play_expect_at(SIM_BUS_FRAME, at + PLAY_BITS * PLAY_BIT);
        assert_int_equal(play_ev.heard, 1 << 2);
        at += (PLAY_BITS + INTERMISSION) * PLAY_BIT;
    }
    // A bit more between the frames makes no difference.
    play_send(1, 0x55A, at + PLAY_BIT);
    play_expect_at(SIM_BUS_BEGAN, at + PLAY_BIT);
    // The 128th time is over when this frame's intermission is, and the next one is heard.
    play_expect_at(SIM_BUS_FRAME, at + (PLAY_BITS + 1) * PLAY_BIT);
    at = play_bus.free;
    play_send(1, 0x55A, at);
    play_expect_at(SIM_BUS_RECOVERED, at);
    play_expect_at(SIM_BUS_BEGAN, at);
    (void)play_expect(SIM_BUS_FRAME);
    assert_int_equal(play_ev.heard, 1 << 0 | 1 << 2);
}

static void with_some_traffic_the_idle_time_counts_as_well(void **state)
{
    (void)state;
    play_open(3, 1);
    go_off(0, PLAY_START);
    const nsec_t from = play_bus.free + PLAY_START;
    sim_bus_recover(&play_bus, 0, from);
    // 1000 bits: 90 times 11, ten are lost.
    play_send(1, 0x55A, from + 1000 * PLAY_BIT);
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_FRAME);
    // From the ACK delimiter on: 38 more.
    play_expect_at(SIM_BUS_RECOVERED, play_bus.free - 11 * PLAY_BIT + 38 * 11 * PLAY_BIT);
}

static void a_doubled_frame_gives_eleven_recessive_bits_as_well(void **state)
{
    (void)state;
    play_open(3, 1);
    go_off(0, PLAY_START);
    const nsec_t from = play_bus.free;
    sim_bus_recover(&play_bus, 0, from);
    play_bus.faults.doubled = PLAY_ALWAYS;
    play_send(1, 0x55A, from);
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_FRAME);
    play_bus.faults.doubled = 0;
    play_expect_at(SIM_BUS_BEGAN, from + (PLAY_BITS + 18) * PLAY_BIT);
    (void)play_expect(SIM_BUS_FRAME);
    // One count for the first, which ended in flags; from the second's ACK delimiter on the rest.
    play_expect_at(SIM_BUS_RECOVERED, from + (PLAY_BITS + 18 + PLAY_BITS + 3) * PLAY_BIT -
                                          11 * PLAY_BIT + 127 * 11 * PLAY_BIT);
}

static void who_goes_bus_off_with_a_doubled_frame_was_heard(void **state)
{
    (void)state;
    play_open(2, 1);
    play_bus.node[0].tec = 255;
    play_bus.faults.doubled = PLAY_ALWAYS;
    play_send(0, 0x55A, PLAY_START);
    (void)play_expect(SIM_BUS_BEGAN);
    (void)play_expect(SIM_BUS_FRAME);
    assert_int_equal(play_ev.heard, 1 << 1);
    assert_int_equal(play_ev.off, 1 << 0);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
}

static void power_ends_bus_off_and_what_was_under_way(void **state)
{
    (void)state;
    play_open(2, 1);
    go_off(0, PLAY_START);
    sim_bus_recover(&play_bus, 0, play_bus.free);
    sim_bus_off(&play_bus, 0, play_bus.free + PLAY_BIT);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
    sim_bus_recover(&play_bus, 0, play_bus.free + 2 * PLAY_BIT);
    assert_int_equal(sim_bus_next(&play_bus), NSEC_NEVER);
    sim_bus_on(&play_bus, 0, 8, play_bus.free + PLAY_START);
    assert_int_equal(play_bus.node[0].tec, 0);
    (void)play_pass(0, play_bus.free + 2 * PLAY_START);
}

// --- One seed, one history ---

static uint64_t history(uint64_t chance)
{
    uint64_t hash = 14695981039346656037U;
    play_open(4, chance);
    play_bus.faults = (sim_bus_faults_t){ .disturbed = 100000, .doubled = 50000 };
    for (unsigned i = 0; i < 2000; i++) {
        const can_frame_t f = { .id = i * 7 % 2048, .len = (uint8_t)(i % 9) };
        (void)sim_bus_send(&play_bus, i % 4, &f, play_bus.free);
        const nsec_t at = sim_bus_next(&play_bus);
        (void)sim_bus_step(&play_bus, &play_ev);
        const uint64_t words[] = {
            at,           play_ev.kind, play_ev.from, play_ev.senders, play_ev.heard,
            play_ev.sent, play_ev.began
        };
        for (unsigned j = 0; j < sizeof words / sizeof words[0]; j++)
            hash = (hash ^ words[j]) * 1099511628211U;
    }
    return hash;
}

static void one_seed_is_one_history(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_true(history(seed) == history(seed));
        assert_true(history(seed) != history(seed + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_identifier_with_other_data_collides_until_both_are_bus_off),
        cmocka_unit_test(frames_that_collide_separate_if_one_of_them_is_late),
        cmocka_unit_test(who_wins_against_two_that_would_collide_is_not_disturbed),
        cmocka_unit_test(every_difference_behind_the_identifier_collides),
        cmocka_unit_test(bus_off_at_256_and_back_after_128_times_11_recessive_bits),
        cmocka_unit_test(recessive_bits_count_from_the_delimiter_of_the_error_frame_on),
        cmocka_unit_test(on_a_busy_bus_each_frame_gives_eleven_recessive_bits),
        cmocka_unit_test(with_some_traffic_the_idle_time_counts_as_well),
        cmocka_unit_test(a_doubled_frame_gives_eleven_recessive_bits_as_well),
        cmocka_unit_test(who_goes_bus_off_with_a_doubled_frame_was_heard),
        cmocka_unit_test(power_ends_bus_off_and_what_was_under_way),
        cmocka_unit_test(one_seed_is_one_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
