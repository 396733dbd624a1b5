// test_sim_world_faults.c - the simulated world: chance, power, bus-off, other traffic; one history.
// SPDX-License-Identifier: Apache-2.0
//
// At 1 Mbit/s, ports without latencies unless a test says so.
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { SENDER, RECEIVER, THIRD, MILLION = 1000000 };

static sim_world_t world;
static probe_t sender, receiver, third;
static sim_port_t port; // of the receiver

static int setup(void **state)
{
    (void)state;
    sim_world_init(&world, 1000000, 1000000, 1);
    sender = (probe_t){ .world = &world, .node = SENDER, .deadline = USEC_NEVER };
    receiver = (probe_t){ .world = &world, .node = RECEIVER, .deadline = USEC_NEVER };
    third = (probe_t){ .world = &world, .node = THIRD, .deadline = USEC_NEVER };
    port = sim_port_none;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_world_free(&world);
    return 0;
}

static void join(void)
{
    const machine_t s = probe_machine(&sender), r = probe_machine(&receiver);
    sim_world_join(&world, SENDER, &sim_port_none, &s);
    sim_world_join(&world, RECEIVER, &port, &r);
}

static void run_until(nsec_t us)
{
    while (sim_world_run(&world, us * NSEC_US)) {
    }
    assert_int_equal(world.now, us * NSEC_US);
}

/// The machine has frames to send, and is called so that it is asked.
static void send_now(probe_t *p, uint32_t first, unsigned count)
{
    probe_send(p, first, count, 8);
    p->deadline = world.now / NSEC_US;
}

// --- Chance ---

static void some_frames_are_lost_between_controller_and_machine(void **state)
{
    (void)state;
    join();
    world.node[RECEIVER].faults.lost = 200000;
    world.node[SENDER].faults.lost = MILLION; // confirmations are no frames
    probe_send(&sender, 0, 2000, 8);
    run_until(1000000);
    assert_int_equal(sender.sent, 2000);
    assert_int_equal(receiver.inputs + world.node[RECEIVER].lost, 2000);
    assert_in_range(world.node[RECEIVER].lost, 340, 460); // 400, three deviations
    assert_int_equal(world.node[RECEIVER].overrun, 0);
    for (unsigned i = 1; i < receiver.calls; i++)
        assert_true(receiver.call[i].id > receiver.call[i - 1].id);
}

static void late_frames_are_up_to_so_much_late_and_keep_their_order(void **state)
{
    (void)state;
    join();
    world.node[RECEIVER].faults = (sim_node_faults_t){ .late = 100000, .late_max = 50 * NSEC_US };
    nsec_t end[1000] = { 0 }, most = 0;
    unsigned frames = 0, late = 0;
    probe_send(&sender, 0, 1000, 8);
    world.watch = true;
    while (sim_world_run(&world, 1000 * NSEC_MS))
        if (world.event.kind == SIM_BUS_FRAME) end[frames++] = world.now;
    assert_int_equal(frames, 1000);
    assert_int_equal(receiver.inputs, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(receiver.call[i].id, i);
        const nsec_t delay = receiver.call[i].at - end[i];
        late += delay > 0;
        most = later(most, delay);
        assert_true(delay <= 50 * NSEC_US);
    }
    assert_int_equal(late, world.node[RECEIVER].late);
    assert_in_range(late, 70, 130);
    assert_in_range(most, 40 * NSEC_US, 50 * NSEC_US);
}

static void what_is_behind_a_late_frame_waits_but_time_goes_on(void **state)
{
    (void)state;
    join();
    world.node[RECEIVER].faults = (sim_node_faults_t){ .late = MILLION, .late_max = 80 * NSEC_MS };
    probe_send(&sender, 0x555, 1, 8);
    run_until(200);
    world.node[RECEIVER].faults.late = 0;
    send_now(&sender, 0x556, 1);
    receiver.deadline = 1000;
    receiver.again = 1000;
    run_until(100000);
    unsigned ticks = 0, inputs = 0;
    for (unsigned i = 0; i < receiver.calls; i++) {
        const probe_call_t *c = &receiver.call[i];
        if (c->what == 'K') assert_int_equal(c->at, ++ticks * NSEC_MS); // not late
        if (c->what == 'I') {
            assert_int_equal(c->id, 0x555 + inputs++);
            assert_true(c->at > 1000 * NSEC_US);
        }
    }
    assert_int_equal(ticks, 100);
    assert_int_equal(inputs, 2);
}

static void a_confirmation_may_be_late_but_comes(void **state)
{
    (void)state;
    join();
    world.node[RECEIVER].faults =
        (sim_node_faults_t){ .lost = MILLION, .late = MILLION, .late_max = 10 * NSEC_MS };
    probe_send(&receiver, 0x555, 20, 8);
    run_until(500000);
    assert_int_equal(receiver.sent, 20);
    assert_int_equal(world.node[RECEIVER].late, 20);
    assert_int_equal(world.node[RECEIVER].lost, 0);
}

static void a_filter_keeps_frames_of_others_away_but_they_are_acknowledged(void **state)
{
    (void)state;
    port.fifo = 30; // what is filtered out takes no room, either
    port.interrupt = 10 * NSEC_MS;
    join();
    world.node[RECEIVER].id = 0x7E0;
    world.node[RECEIVER].mask = 0x7F0;
    probe_send(&sender, 0x7D0, 18, 8); // up to 7E1
    run_until(20000);
    assert_int_equal(receiver.inputs, 2);
    assert_int_equal(receiver.call[0].id, 0x7E0);
    assert_int_equal(receiver.call[1].id, 0x7E1);
    assert_int_equal(world.node[RECEIVER].overrun, 0);
    assert_int_equal(sender.sent, 18);
    assert_int_equal(world.bus.errors, 0);
}

// --- Power, and another machine ---

static void without_power_nothing_is_heard_and_what_waited_is_gone(void **state)
{
    (void)state;
    port.interrupt = 500 * NSEC_US;
    port.send = 5 * NSEC_MS;
    probe_send(&receiver, 0x7FF, 1, 8);
    probe_send(&sender, 0x555, 3, 8);
    join();
    run_until(300); // two frames in the FIFO, one frame on its way to the controller
    sim_world_power(&world, RECEIVER, false);
    run_until(10000);
    assert_int_equal(receiver.inputs, 0);
    sim_world_power(&world, RECEIVER, true);
    run_until(20000);
    assert_int_equal(receiver.inputs, 1); // the third, repeated until somebody acknowledged it
    assert_int_equal(receiver.call[receiver.calls - 1].id, 0x557);
    assert_int_equal(sender.inputs, 0);
    assert_int_equal(sender.sent, 3);
}

static void power_that_fails_ends_a_call(void **state)
{
    (void)state;
    receiver.deadline = 1000;
    receiver.tick_time = 50000;
    join();
    run_until(11000);
    sim_world_power(&world, RECEIVER, false);
    nsec_t flash;
    assert_int_equal(sim_world_busy(&world, RECEIVER, &flash), 10 * NSEC_MS);
    receiver.deadline = 12000;
    receiver.tick_time = 0;
    run_until(30000);
    assert_string_equal(probe_text(&receiver), "K1000 K12000 ");
    assert_int_equal(sim_world_busy(&world, RECEIVER, &flash), 10 * NSEC_MS);
    assert_int_equal(flash, 0);
}

static void a_controller_without_a_machine_acknowledges(void **state)
{
    (void)state;
    join();
    sim_world_serve(&world, RECEIVER, NULL);
    receiver.deadline = 0;
    probe_send(&sender, 0x555, 3, 8);
    run_until(5000);
    assert_int_equal(sender.sent, 3);
    assert_int_equal(world.bus.errors, 0);
    assert_int_equal(receiver.calls, 0);
    // What somebody makes it send is confirmed to nobody.
    const can_frame_t f = { .id = 0x700 };
    assert_true(sim_bus_send(&world.bus, RECEIVER, &f, world.now));
    run_until(5000 + 60);
    assert_int_equal(sender.inputs, 1);
    // The next machine hears what comes from now on.
    const machine_t r = probe_machine(&receiver);
    sim_world_serve(&world, RECEIVER, &r);
    send_now(&sender, 0x666, 1);
    run_until(6000);
    assert_string_equal(probe_text(&receiver), "K5060 I5169:666 ");
}

static void frames_of_the_machine_before_are_not_confirmed_to_the_next(void **state)
{
    (void)state;
    join();
    probe_send(&sender, 0x555, 3, 8);
    run_until(100); // one on the wire, two in the controller
    const machine_t next = probe_machine(&third);
    third.node = SENDER;
    probe_send(&third, 0x600, 12, 8);
    sim_world_serve(&world, SENDER, &next);
    run_until(10000);
    assert_int_equal(receiver.inputs, 15);
    assert_int_equal(third.sent, 12);
    // Its first confirmation comes when its first frame was heard, the fourth of all.
    for (unsigned i = 0; i < third.calls; i++) {
        if (third.call[i].what != 'S') continue;
        assert_int_equal(third.call[i].at, receiver.call[3].at);
        break;
    }
    assert_int_equal(sender.sent, 0);
    assert_int_equal(receiver.call[14].id, 0x60B);
}

static void frames_that_leave_while_nobody_serves_are_not_confirmed_later(void **state)
{
    (void)state;
    join();
    probe_send(&sender, 0x555, 4, 8);
    run_until(100);
    sim_world_serve(&world, SENDER, NULL);
    run_until(300); // two of them have left
    const machine_t next = probe_machine(&third);
    third.node = SENDER;
    probe_send(&third, 0x600, 4, 8);
    sim_world_serve(&world, SENDER, &next);
    run_until(10000);
    assert_int_equal(receiver.inputs, 8);
    assert_int_equal(third.sent, 4);
    for (unsigned i = 0; i < third.calls; i++)
        if (third.call[i].what == 'S') assert_true(third.call[i].at >= receiver.call[4].at);
}

static void power_ends_what_the_interrupt_was_about_to_do(void **state)
{
    (void)state;
    port.interrupt = NSEC_MS;
    port.fifo = 64;
    join();
    probe_send(&sender, 0x555, 5, 8); // fill the FIFO
    run_until(800);
    sim_world_power(&world, RECEIVER, false);
    sim_world_power(&world, RECEIVER, true);
    send_now(&sender, 0x600, 5);
    run_until(10000);
    assert_int_equal(receiver.inputs, 5);
    assert_int_equal(receiver.call[0].id, 0x600);
    assert_true(receiver.call[0].at > 1900 * NSEC_US); // not when the first frame's would have been
    assert_int_equal(world.node[RECEIVER].overrun, 0);
}

static void power_ends_what_waits_for_the_loop(void **state)
{
    (void)state;
    receiver.deadline = 50;
    receiver.tick_time = 50000;
    join();
    probe_send(&sender, 0x555, 3, 8);
    run_until(1000);
    assert_int_equal(sender.sent, 3);
    sim_world_power(&world, RECEIVER, false);
    run_until(100000);
    assert_int_equal(receiver.inputs, 0);
}

static void power_ends_what_the_machine_before_has_left(void **state)
{
    (void)state;
    join();
    probe_send(&sender, 0x555, 3, 8);
    run_until(50);
    const machine_t next = probe_machine(&third);
    third.node = SENDER;
    sim_world_serve(&world, SENDER, &next);
    sim_world_power(&world, SENDER, false);
    sim_world_power(&world, SENDER, true);
    send_now(&third, 0x600, 3);
    run_until(10000);
    assert_int_equal(third.sent, 3);
}

static void another_machine_keeps_the_period_as_well(void **state)
{
    (void)state;
    port.period = NSEC_MS;
    join();
    run_until(2300);
    sim_world_serve(&world, RECEIVER, NULL);
    const machine_t r = probe_machine(&receiver);
    sim_world_serve(&world, RECEIVER, &r);
    receiver.deadline = 0;
    run_until(5000);
    assert_string_equal(probe_text(&receiver), "K3000 ");
}

static void what_a_machine_sends_without_power_is_gone(void **state)
{
    (void)state;
    join();
    probe_send(&sender, 0x600, 1, 8);
    sim_world_power(&world, SENDER, false);
    run_until(1000); // taken, but there is nobody
    assert_string_equal(probe_text(&sender), "T0 ");
    sim_world_power(&world, SENDER, true);
    run_until(10000);
    assert_int_equal(receiver.inputs, 0);
    // Another machine, before the power comes.
    sim_world_power(&world, SENDER, false);
    const machine_t next = probe_machine(&third);
    third.node = SENDER;
    sim_world_serve(&world, SENDER, &next);
    sim_world_power(&world, SENDER, true);
    send_now(&third, 0x601, 2);
    run_until(20000);
    assert_int_equal(receiver.inputs, 2);
    assert_int_equal(third.sent, 2);
}

// --- Bus-off ---

static void a_controller_without_a_machine_goes_bus_off_and_recovers(void **state)
{
    (void)state;
    join();
    probe_send(&sender, 0x555, 3, 8);
    run_until(50);
    sim_world_serve(&world, SENDER, NULL);
    world.bus.faults.disturbed = MILLION;
    run_until(20000);
    assert_int_equal(world.node[SENDER].bus_offs, 1);
    assert_int_equal(world.bus.node[SENDER].state, SIM_BUS_ERROR_ACTIVE);
    assert_int_equal(sender.lost, 0);
    assert_int_equal(receiver.inputs, 1); // what was on the wire
}

static void a_machine_is_told_of_bus_off_and_sends_again_afterwards(void **state)
{
    (void)state;
    join();
    world.bus.faults.disturbed = MILLION;
    probe_send(&sender, 0x555, 8, 8); // more than the controller has room for
    sender.lost_sends = 0x600;
    world.watch = true;
    while (sim_world_run(&world, 1000 * NSEC_MS) && !sender.lost) {
    }
    assert_int_equal(world.event.kind, SIM_BUS_OFF);
    assert_int_equal(world.event.off, 1 << SENDER);
    assert_int_equal(world.bus.node[SENDER].state, SIM_BUS_BUS_OFF);
    assert_int_equal(world.node[SENDER].bus_offs, 1);
    const nsec_t delimiter = world.now - 8000;
    world.bus.faults.disturbed = 0;
    // What it wants to send then waits for recovery, 128 times 11 bits.
    bool recovered = false;
    while (sim_world_run(&world, 1000 * NSEC_MS) && world.event.kind != SIM_BUS_BEGAN)
        recovered = recovered || world.event.kind == SIM_BUS_RECOVERED;
    assert_true(recovered);
    assert_in_range(world.now, delimiter + 1408000, delimiter + 1408000 + 8000);
    assert_int_equal(world.event.frame.id, 0x600);
    world.watch = false;
    run_until(1000000);
    assert_int_equal(receiver.inputs, 3);
    assert_int_equal(sender.sent, 3);
    assert_int_equal(world.node[SENDER].bus_offs, 1);
}

static void two_that_collide_both_recover(void **state)
{
    (void)state;
    const machine_t s = probe_machine(&sender), r = probe_machine(&receiver),
                    t = probe_machine(&third);
    probe_send(&sender, 0x555, 1, 8);
    probe_send(&receiver, 0x555, 1, 7);
    sim_world_join(&world, SENDER, &sim_port_none, &s);
    sim_world_join(&world, RECEIVER, &port, &r);
    sim_world_join(&world, THIRD, &port, &t);
    run_until(50000);
    assert_int_equal(sender.lost, 1);
    assert_int_equal(receiver.lost, 1);
    assert_int_equal(world.bus.node[SENDER].state, SIM_BUS_ERROR_ACTIVE);
    assert_int_equal(world.bus.node[RECEIVER].state, SIM_BUS_ERROR_ACTIVE);
    send_now(&sender, 0x600, 1);
    send_now(&receiver, 0x601, 1);
    run_until(60000);
    assert_int_equal(third.inputs, 2);
}

static void a_confirmation_that_waits_is_dropped_with_bus_off(void **state)
{
    (void)state;
    // The machine computes while its first frames leave, are confirmed, and the bus breaks.
    join();
    world.node[SENDER].faults.late = 0;
    sender.deadline = 50;
    sender.tick_time = 100000;
    probe_send(&sender, 0x555, 8, 8);
    run_until(600); // four or five have left
    assert_in_range(receiver.inputs, 4, 5);
    world.bus.faults.disturbed = MILLION;
    run_until(20000);
    assert_int_equal(sender.lost, 1);
    world.bus.faults.disturbed = 0;
    sender.tick_time = 0;
    run_until(200000);
    assert_int_equal(sender.sent, 0);
    send_now(&sender, 0x600, 20);
    run_until(300000);
    assert_int_equal(sender.sent, 20);
}

static void and_so_is_one_that_waits_for_the_interrupt(void **state)
{
    (void)state;
    port.interrupt = 20 * NSEC_MS;
    join();
    probe_send(&receiver, 0x555, 8, 8);
    run_until(600);
    assert_in_range(sender.inputs, 4, 5);
    world.bus.faults.disturbed = MILLION;
    run_until(15000);
    assert_int_equal(receiver.lost, 1);
    world.bus.faults.disturbed = 0;
    run_until(50000);
    assert_int_equal(receiver.sent, 0);
    send_now(&receiver, 0x600, 20);
    run_until(300000);
    assert_int_equal(receiver.sent, 20);
}

static void with_bus_off_frames_of_the_machine_before_are_gone_as_well(void **state)
{
    (void)state;
    join();
    probe_send(&sender, 0x555, 3, 8);
    run_until(50);
    const machine_t next = probe_machine(&third);
    third.node = SENDER;
    sim_world_serve(&world, SENDER, &next);
    world.bus.faults.disturbed = MILLION;
    run_until(20000);
    assert_int_equal(third.lost, 1);
    world.bus.faults.disturbed = 0;
    send_now(&third, 0x600, 3);
    run_until(30000);
    assert_int_equal(third.sent, 3);
}

static void frames_that_wait_survive_bus_off(void **state)
{
    (void)state;
    // What was heard before: the receiver computes, sends, and loses the bus.
    receiver.deadline = 50;
    receiver.tick_time = 100000;
    port.interrupt = 10 * NSEC_US;
    join();
    probe_send(&sender, 0x100, 3, 8);
    probe_send(&receiver, 0x555, 2, 8);
    run_until(800); // three frames heard, two sent: all wait
    receiver.deadline = USEC_NEVER;
    assert_int_equal(world.node[RECEIVER].queue.count, 5);
    sim_bus_off(&world.bus, SENDER, world.now);
    sim_bus_on(&world.bus, SENDER, 4, world.now);
    world.bus.node[RECEIVER].tec = 255;
    world.bus.faults.disturbed = MILLION;
    const can_frame_t f = { .id = 0x7 };
    assert_true(sim_bus_send(&world.bus, RECEIVER, &f, world.now));
    run_until(50000);
    assert_int_equal(receiver.lost, 1);
    run_until(200000);
    assert_int_equal(receiver.inputs, 3);
    assert_int_equal(receiver.sent, 0);
}

// --- Other traffic ---

static void traffic_takes_its_share_of_the_bus(void **state)
{
    (void)state;
    static const uint32_t rates[] = { 125000, 250000, 500000, 1000000 };
    static const unsigned shares[] = { 10, 30, 60, 90 };
    for (unsigned r = 0; r < 4; r++)
        for (unsigned s = 0; s < 4; s++) {
            sim_world_init(&world, rates[r], 4 * rates[r], r + 1);
            sim_world_join(&world, SENDER, &sim_port_none, NULL);
            sim_world_traffic(&world, shares[s]);
            // The time of 20,000 frames.
            const nsec_t time = 20000 * 114 * world.bus.bit;
            while (sim_world_run(&world, time)) {
            }
            assert_in_range(world.bus.busy * 1000 / time, shares[s] * 10 - 20, shares[s] * 10 + 20);
            assert_int_equal(world.bus.errors, 0);
            // And none any more.
            sim_world_traffic(&world, 0);
            const nsec_t busy = world.bus.busy;
            while (sim_world_run(&world, 2 * time)) {
            }
            assert_true(world.bus.busy - busy <= 200 * world.bus.bit);
            sim_world_free(&world);
        }
    (void)setup(NULL);
}

static void traffic_has_other_identifiers_and_bytes_each_time(void **state)
{
    (void)state;
    join();
    sim_world_traffic(&world, 60);
    run_until(500000);
    assert_in_range(receiver.inputs, 2540, 2720); // 60 % of 500000 / 114
    uint64_t seen = 0;
    uint32_t lowest = UINT32_MAX, highest = 0;
    for (unsigned i = 0; i < receiver.inputs; i++) {
        seen |= UINT64_C(1) << receiver.call[i].id % 64;
        if (receiver.call[i].id < lowest) lowest = receiver.call[i].id;
        if (receiver.call[i].id > highest) highest = receiver.call[i].id;
    }
    assert_true(seen == UINT64_MAX);
    assert_in_range(lowest, 0x080, 0x0A0); // never those of the updates
    assert_in_range(highest, 0x680, 0x6BF);
}

static void traffic_recovers_from_bus_off(void **state)
{
    (void)state;
    join();
    sim_world_traffic(&world, 30);
    world.bus.faults.disturbed = MILLION;
    run_until(300000);
    assert_int_equal(receiver.inputs, 0);
    bool was_off = false;
    for (unsigned i = SIM_WORLD_NODES; i < SIM_BUS_NODES; i++)
        was_off = was_off || world.bus.node[i].state == SIM_BUS_BUS_OFF;
    assert_true(was_off);
    world.bus.faults.disturbed = 0;
    run_until(400000);
    const nsec_t busy = world.bus.busy;
    run_until(900000);
    assert_in_range((world.bus.busy - busy) * 100 / (500 * NSEC_MS), 28, 32);
}

static void traffic_hears_and_acknowledges(void **state)
{
    (void)state;
    const machine_t s = probe_machine(&sender);
    sim_world_join(&world, SENDER, &sim_port_none, &s);
    sim_world_traffic(&world, 10);
    probe_send(&sender, 0x7E0, 5, 8);
    run_until(10000);
    assert_int_equal(sender.sent, 5);
    assert_int_equal(world.bus.errors, 0);
}

// --- One seed, one history ---

static uint64_t history(uint64_t seed)
{
    sim_world_free(&world);
    (void)setup(NULL);
    sim_world_init(&world, 1000000, 1000000, seed);
    port = sim_port_esp32;
    receiver.deadline = 100;
    receiver.again = 3000;
    receiver.tick_sends = 0x7E8;
    join();
    sim_world_traffic(&world, 30);
    world.bus.faults = (sim_bus_faults_t){ .disturbed = 30000, .doubled = 10000 };
    world.node[RECEIVER].faults =
        (sim_node_faults_t){ .lost = 10000, .late = 50000, .late_max = NSEC_MS };
    probe_send(&sender, 0x555, 200, 8);
    run_until(200000);
    uint64_t hash = 14695981039346656037U;
    for (unsigned i = 0; i < receiver.calls; i++) {
        const probe_call_t *c = &receiver.call[i];
        hash = (hash ^ (c->at << 20 | c->id << 8 | (uint8_t)c->what)) * 1099511628211U;
    }
    assert_in_range(receiver.inputs, 200, 900);
    return hash ^ world.bus.busy;
}

static void one_seed_is_one_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        assert_true(history(seed) == history(seed));
        assert_true(history(seed) != history(seed + 1));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(some_frames_are_lost_between_controller_and_machine),
        TEST(late_frames_are_up_to_so_much_late_and_keep_their_order),
        TEST(what_is_behind_a_late_frame_waits_but_time_goes_on),
        TEST(a_confirmation_may_be_late_but_comes),
        TEST(a_filter_keeps_frames_of_others_away_but_they_are_acknowledged),
        TEST(without_power_nothing_is_heard_and_what_waited_is_gone),
        TEST(power_that_fails_ends_a_call),
        TEST(a_controller_without_a_machine_acknowledges),
        TEST(frames_of_the_machine_before_are_not_confirmed_to_the_next),
        TEST(frames_that_leave_while_nobody_serves_are_not_confirmed_later),
        TEST(power_ends_what_the_interrupt_was_about_to_do),
        TEST(power_ends_what_waits_for_the_loop),
        TEST(power_ends_what_the_machine_before_has_left),
        TEST(another_machine_keeps_the_period_as_well),
        TEST(what_a_machine_sends_without_power_is_gone),
        TEST(a_controller_without_a_machine_goes_bus_off_and_recovers),
        TEST(a_machine_is_told_of_bus_off_and_sends_again_afterwards),
        TEST(two_that_collide_both_recover),
        TEST(a_confirmation_that_waits_is_dropped_with_bus_off),
        TEST(and_so_is_one_that_waits_for_the_interrupt),
        TEST(with_bus_off_frames_of_the_machine_before_are_gone_as_well),
        TEST(frames_that_wait_survive_bus_off),
        TEST(traffic_takes_its_share_of_the_bus),
        TEST(traffic_has_other_identifiers_and_bytes_each_time),
        TEST(traffic_recovers_from_bus_off),
        TEST(traffic_hears_and_acknowledges),
        TEST(one_seed_is_one_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
