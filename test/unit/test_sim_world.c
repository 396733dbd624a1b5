// test_sim_world.c - the model of a port: FIFO, interrupt, queue, loop, mailboxes, and their times.
// SPDX-License-Identifier: Apache-2.0
//
// At 1 Mbit/s: nodes take part from 11 us on, a frame of 8 bytes takes 111 us and its stuff bits.
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { SENDER, RECEIVER };

static sim_world_t world;
static probe_t sender, receiver;
static sim_flash_t flash;
static sim_port_t port; // of the receiver

static int setup(void **state)
{
    (void)state;
    sim_world_init(&world, 1000000, 1000000, 1);
    sender = (probe_t){ .world = &world, .node = SENDER, .deadline = USEC_NEVER };
    receiver = (probe_t){ .world = &world, .node = RECEIVER, .deadline = USEC_NEVER };
    port = sim_port_none;
    port.fifo = 64;
    sim_flash_open(&flash, 4 * 4096, 4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_world_free(&world);
    sim_flash_close(&flash);
    return 0;
}

static void join(void)
{
    const machine_t s = probe_machine(&sender), r = probe_machine(&receiver);
    sim_world_join(&world, SENDER, &sim_port_none, &s);
    sim_world_join(&world, RECEIVER, &port, &r);
    flash.clock = &world.node[RECEIVER].clock;
    world.node[RECEIVER].flash = &flash;
}

static void run_until(nsec_t us)
{
    while (sim_world_run(&world, us * NSEC_US)) {
    }
    assert_int_equal(world.now, us * NSEC_US);
}

static void expect(const probe_t *p, const char *text) { assert_string_equal(probe_text(p), text); }

// --- A frame's way in ---

static void a_frame_takes_the_interrupt_and_the_wake_up(void **state)
{
    (void)state;
    port.interrupt = 7 * NSEC_US;
    port.wake = 20 * NSEC_US;
    port.call = 3 * NSEC_US;
    probe_send(&sender, 0x55A, 1, 0);
    join();
    world.watch = true;
    assert_true(sim_world_run(&world, NSEC_MS));
    assert_int_equal(world.event.kind, SIM_BUS_BEGAN);
    assert_int_equal(world.now, 11 * NSEC_US);
    assert_true(sim_world_run(&world, NSEC_MS));
    assert_int_equal(world.event.kind, SIM_BUS_FRAME);
    const nsec_t end = world.now;
    world.watch = false;
    run_until(1000);
    assert_int_equal(receiver.calls, 1);
    assert_int_equal(receiver.call[0].what, 'I');
    assert_int_equal(receiver.call[0].id, 0x55A);
    assert_int_equal(receiver.call[0].at, end + 27 * NSEC_US);
    // The sender's port takes no time.
    assert_int_equal(sender.calls, 2);
    assert_int_equal(sender.call[0].what, 'T');
    assert_int_equal(sender.call[0].at, 0);
    assert_int_equal(sender.call[1].what, 'S');
    assert_int_equal(sender.call[1].at, end);
}

/// So many frames back to back, of which the interrupt comes late. Returns how many are heard.
static unsigned heard_by_fifo(bool ext, uint8_t len, unsigned frames)
{
    (void)teardown(NULL);
    (void)setup(NULL);
    port.interrupt = 100 * NSEC_MS;
    sender.ext = ext;
    probe_send(&sender, 0x555, frames, len);
    join();
    run_until(200000);
    assert_int_equal(receiver.inputs + world.node[RECEIVER].overrun, frames);
    for (unsigned i = 0; i < receiver.inputs; i++) // the first ones, not the last
        assert_int_equal(receiver.call[i].id, 0x555 + i);
    assert_int_equal(world.bus.errors, 0);
    return receiver.inputs;
}

static void the_fifo_of_64_bytes_has_room_for_five_frames(void **state)
{
    (void)state;
    assert_int_equal(heard_by_fifo(false, 8, 5), 5);
    assert_int_equal(heard_by_fifo(false, 8, 6), 5);
    assert_int_equal(heard_by_fifo(false, 8, 9), 5);
    assert_int_equal(heard_by_fifo(true, 8, 9), 4);
    assert_int_equal(heard_by_fifo(true, 7, 9), 5); // 60
    assert_int_equal(heard_by_fifo(false, 0, 30), 21);
    assert_int_equal(heard_by_fifo(false, 5, 8), 8); // 64
    assert_int_equal(heard_by_fifo(false, 5, 9), 8);
}

static void the_interrupt_empties_the_fifo(void **state)
{
    (void)state;
    // It comes 400 us after the first of some frames: three or four at a time.
    port.interrupt = 400 * NSEC_US;
    probe_send(&sender, 0x555, 200, 8);
    join();
    run_until(100000);
    assert_int_equal(receiver.inputs, 200);
    assert_int_equal(world.node[RECEIVER].overrun, 0);
}

static void a_frame_behind_one_that_found_no_room_may_find_it(void **state)
{
    (void)state;
    port.fifo = 20;
    port.interrupt = 100 * NSEC_MS;
    probe_send(&sender, 0x555, 2, 8); // 11 each
    join();
    run_until(1000);
    probe_send(&sender, 0x600, 1, 6); // 9
    sender.deadline = 1000;           // a call, so that it is asked
    run_until(200000);
    assert_int_equal(receiver.inputs, 2);
    assert_int_equal(receiver.call[1].id, 0x600);
    assert_int_equal(world.node[RECEIVER].overrun, 1);
}

static void a_controller_keeps_no_more_than_256_frames(void **state)
{
    (void)state;
    port.fifo = UINT32_MAX;
    port.interrupt = 100 * NSEC_MS;
    probe_send(&sender, 0x300, 300, 0);
    join();
    run_until(200000);
    assert_int_equal(receiver.inputs, 256);
    assert_int_equal(world.node[RECEIVER].overrun, 44);
}

// --- Flash ---

/// While 30 frames come, a tick at 1 ms erases for 2 ms. Returns the frames heard.
static unsigned heard_with_flash(bool cache_safe, unsigned frames)
{
    (void)teardown(NULL);
    (void)setup(NULL);
    port.interrupt = 10 * NSEC_US;
    port.cache_safe = cache_safe;
    flash.erase_time = 2000;
    receiver.erases = &flash;
    receiver.deadline = 1000;
    probe_send(&sender, 0x555, frames, 8);
    join();
    run_until(20000);
    assert_int_equal(receiver.inputs + world.node[RECEIVER].overrun, frames);
    return receiver.inputs;
}

static void frames_are_lost_when_flash_blocks_the_interrupt(void **state)
{
    (void)state;
    assert_int_equal(heard_with_flash(true, 40), 40);
    const unsigned heard = heard_with_flash(false, 40);
    // 111 us and some stuff bits each: 16 to 18 come in these 2 ms, five stay.
    assert_in_range(40 - heard, 11, 13);
    unsigned inside = 0, at_once = 0;
    for (unsigned i = 0; i < receiver.calls; i++) {
        if (receiver.call[i].what != 'I') continue;
        inside += receiver.call[i].at > 1000 * NSEC_US && receiver.call[i].at < 3010 * NSEC_US;
        at_once += receiver.call[i].at == 3010 * NSEC_US;
    }
    assert_int_equal(inside, 0);
    assert_int_equal(at_once, 5); // when the flash is done, and the interrupt has taken its time
}

static void an_interrupt_that_is_due_waits_for_the_flash_as_well(void **state)
{
    (void)state;
    port.interrupt = 50 * NSEC_US;
    port.cache_safe = false;
    flash.erase_time = 5000;
    receiver.erases = &flash;
    probe_send(&sender, 0x55A, 1, 0);
    join();
    world.watch = true;
    do
        assert_true(sim_world_run(&world, NSEC_MS));
    while (world.event.kind != SIM_BUS_FRAME);
    world.watch = false;
    // Between the frame and its interrupt.
    const usec_t tick = receiver.deadline = world.now / NSEC_US + 20;
    run_until(10000);
    assert_int_equal(receiver.calls, 2);
    assert_int_equal(receiver.call[0].what, 'K');
    assert_int_equal(receiver.call[0].at, tick * NSEC_US);
    assert_int_equal(receiver.call[1].at, (tick + 5000 + 50) * NSEC_US);
}

static void an_interrupt_that_is_due_behind_the_flash_is_not_delayed(void **state)
{
    (void)state;
    port.interrupt = 3 * NSEC_MS;
    port.cache_safe = false;
    flash.erase_time = 1000;
    receiver.erases = &flash;
    receiver.deadline = 500;
    probe_send(&sender, 0x55A, 1, 0);
    join();
    run_until(10000);
    assert_int_equal(receiver.calls, 2);
    // The frame has 44 bits, and some of stuffing; nodes take part from 11 us on.
    assert_in_range(receiver.call[1].at, (11 + 44 + 3000) * NSEC_US, (11 + 55 + 3000) * NSEC_US);
}

static void a_call_without_flash_keeps_no_interrupt(void **state)
{
    (void)state;
    // Time that passes in a call is not flash time, also where a flash is.
    port.cache_safe = false;
    receiver.deadline = 100;
    receiver.tick_time = 5000;
    probe_send(&sender, 0x555, 20, 8);
    join();
    run_until(20000);
    assert_int_equal(receiver.inputs, 20);
    nsec_t flash_time;
    assert_int_equal(sim_world_busy(&world, RECEIVER, &flash_time), 5000 * NSEC_US);
    assert_int_equal(flash_time, 0);
}

// --- The queue and the loop ---

static void the_queue_behind_the_interrupt_has_its_limit(void **state)
{
    (void)state;
    port.queue = 3;
    receiver.deadline = 50;
    receiver.tick_time = 5000;
    probe_send(&sender, 0x555, 10, 8);
    join();
    run_until(20000);
    assert_int_equal(receiver.inputs, 3);
    assert_int_equal(world.node[RECEIVER].overrun, 7);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(receiver.call[1 + i].id, 0x555 + i);
}

static void confirmations_find_room_also_where_frames_do_not(void **state)
{
    (void)state;
    // The receiver is busy; its queue and FIFO are full when its own frames have left.
    port.queue = 2;
    port.mailboxes = 2;
    receiver.deadline = 50;
    receiver.tick_time = 20000;
    probe_send(&receiver, 0x7F0, 2, 8);
    probe_send(&sender, 0x100, 10, 8);
    join();
    run_until(40000);
    assert_int_equal(receiver.inputs, 2);
    assert_int_equal(receiver.sent, 2);
    assert_int_equal(world.node[RECEIVER].overrun, 8);
}

static void a_busy_loop_needs_no_wake_up(void **state)
{
    (void)state;
    port.wake = 30 * NSEC_US;
    receiver.input_time = 500;
    probe_send(&sender, 0x555, 3, 0); // about 50 us each
    join();
    run_until(10000);
    assert_int_equal(receiver.inputs, 3);
    assert_int_equal(receiver.call[1].at, receiver.call[0].at + 500 * NSEC_US);
    assert_int_equal(receiver.call[2].at, receiver.call[1].at + 500 * NSEC_US);
}

static void each_call_takes_the_time_of_the_loop(void **state)
{
    (void)state;
    port.call = 40 * NSEC_US;
    port.interrupt = 2 * NSEC_MS; // five frames wait for it
    probe_send(&sender, 0x555, 5, 8);
    receiver.deadline = 100;
    join();
    run_until(20000);
    assert_int_equal(receiver.calls, 6);
    assert_int_equal(receiver.call[0].what, 'K');
    for (unsigned i = 2; i < 6; i++)
        assert_int_equal(receiver.call[i].at, receiver.call[i - 1].at + 40 * NSEC_US);
    nsec_t flash_time;
    assert_int_equal(sim_world_busy(&world, RECEIVER, &flash_time), 6 * 40 * NSEC_US);
}

static void a_loop_with_a_period_runs_at_its_multiples_only(void **state)
{
    (void)state;
    port.period = NSEC_MS;
    probe_send(&sender, 0x555, 20, 8);
    receiver.deadline = 2500;
    receiver.again = 600;
    join();
    run_until(5000);
    expect(&receiver,
           "I1000:555 I1000:556 I1000:557 I1000:558 I1000:559 I1000:55A I1000:55B I1000:55C "
           "I2000:55D I2000:55E I2000:55F I2000:560 I2000:561 I2000:562 I2000:563 I2000:564 "
           "I2000:565 "
           "K3000 I3000:566 I3000:567 I3000:568 "
           "K4000 K5000 "); // those of 3100 and 3700, one a turn
}

static void a_turn_longer_than_the_period_ends_at_a_later_multiple(void **state)
{
    (void)state;
    port.period = NSEC_MS;
    receiver.deadline = 500;
    receiver.again = 1000;
    receiver.tick_time = 2200;
    join();
    run_until(8000);
    expect(&receiver, "K1000 K4000 K7000 ");
}

// --- The way out ---

static void frames_leave_the_machine_as_mailboxes_are_free(void **state)
{
    (void)state;
    port.mailboxes = 2;
    probe_send(&receiver, 0x555, 5, 8);
    join();
    run_until(100);
    expect(&receiver, "T0 T0 ");
    run_until(5000);
    assert_int_equal(receiver.sent, 5);
    assert_int_equal(sender.inputs, 5);
    // Each confirmation makes room for the next one, which is asked for in the turn behind it.
    const char *what = "TTSTSTSTSS";
    assert_int_equal(receiver.calls, strlen(what));
    for (unsigned i = 0; what[i]; i++)
        assert_int_equal(receiver.call[i].what, what[i]);
    assert_int_equal(receiver.call[2].at, receiver.call[3].at);
    // Two are enough for back to back.
    assert_true(world.bus.busy == world.bus.free - 11 * NSEC_US);
}

static void a_confirmation_comes_as_a_frame_does(void **state)
{
    (void)state;
    port.interrupt = 10 * NSEC_US;
    port.wake = 30 * NSEC_US;
    probe_send(&receiver, 0x55A, 1, 8);
    join();
    run_until(1000);
    assert_int_equal(sender.inputs, 1);
    assert_int_equal(receiver.calls, 2);
    assert_int_equal(receiver.call[1].at, sender.call[0].at + 40 * NSEC_US);
}

static void sending_takes_the_time_from_the_machine_to_the_controller(void **state)
{
    (void)state;
    port.send = 300 * NSEC_US;
    probe_send(&receiver, 0x55A, 1, 8);
    join();
    world.watch = true;
    assert_true(sim_world_run(&world, NSEC_MS));
    assert_int_equal(world.event.kind, SIM_BUS_BEGAN);
    assert_int_equal(world.now, 300 * NSEC_US);
}

static void more_mailboxes_than_the_controller_has_wait_their_turn(void **state)
{
    (void)state;
    port.mailboxes = 20;
    probe_send(&receiver, 0x555, 40, 8);
    join();
    run_until(100);
    assert_int_equal(receiver.calls, 20);
    run_until(10000);
    assert_int_equal(sender.inputs, 40);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(sender.call[i].id, 0x555 + i);
    assert_true(world.bus.busy == world.bus.free - 11 * NSEC_US);
}

// --- Time ---

static void a_tick_comes_exactly_at_its_deadline(void **state)
{
    (void)state;
    receiver.deadline = 12345;
    receiver.again = 777;
    receiver.events = 4;
    join();
    for (unsigned i = 0; i < 10; i++) {
        assert_true(sim_world_run(&world, 100 * NSEC_MS));
        assert_int_equal(world.now, (12345 + 777 * i) * NSEC_US);
        assert_int_equal(world.node[RECEIVER].events, 4);
        assert_int_equal(world.node[SENDER].events, 0);
        assert_int_equal(world.event.kind, SIM_BUS_NONE);
        assert_int_equal(receiver.calls, i + 1);
    }
    // Up to `until`, and what is due then.
    assert_false(sim_world_run(&world, (12345 + 7770) * NSEC_US - 1));
    assert_int_equal(world.now, (12345 + 7770) * NSEC_US - 1);
    assert_int_equal(world.node[RECEIVER].events, 0);
    assert_int_equal(receiver.calls, 10);
    assert_true(sim_world_run(&world, (12345 + 7770) * NSEC_US));
    assert_int_equal(receiver.calls, 11);
    // Time does not go back.
    const nsec_t now = world.now;
    assert_false(sim_world_run(&world, now - 5000));
    assert_int_equal(world.now, now);
}

static void a_deadline_that_has_passed_is_served_at_once(void **state)
{
    (void)state;
    receiver.deadline = 0;
    join();
    run_until(50);
    receiver.deadline = 20;
    run_until(100);
    expect(&receiver, "K0 K50 ");
    receiver.deadline = USEC_NEVER - 1; // does not overflow
    run_until(200);
    assert_int_equal(receiver.calls, 2);
}

static void a_tick_that_takes_time_delays_the_machine_but_not_the_interrupt(void **state)
{
    (void)state;
    receiver.deadline = 100;
    receiver.tick_time = 5000;
    receiver.tick_sends = 0x111;
    probe_send(&sender, 0x555, 20, 8);
    join();
    run_until(20000);
    assert_int_equal(world.node[RECEIVER].overrun, 0);
    assert_int_equal(receiver.inputs, 20);
    // The frame of the tick is asked for when that is over, together with the first frame.
    assert_int_equal(receiver.call[0].at, 100 * NSEC_US);
    assert_int_equal(receiver.call[1].what, 'T');
    assert_int_equal(receiver.call[1].at, 5100 * NSEC_US);
    for (unsigned i = 2; i < 22; i++) {
        assert_int_equal(receiver.call[i].what, 'I');
        assert_int_equal(receiver.call[i].at, 5100 * NSEC_US);
    }
    assert_int_equal(sender.inputs, 1);
    assert_true(sender.call[sender.calls - 1].at > 5200 * NSEC_US);
}

static void busy_is_told_also_in_the_middle_of_a_call(void **state)
{
    (void)state;
    receiver.deadline = 1000;
    receiver.erases = &flash;
    flash.erase_time = 3000;
    join();
    nsec_t blocked;
    run_until(999);
    assert_int_equal(sim_world_busy(&world, RECEIVER, &blocked), 0);
    assert_int_equal(blocked, 0);
    run_until(1500);
    assert_int_equal(sim_world_busy(&world, RECEIVER, &blocked), 500 * NSEC_US);
    assert_int_equal(blocked, 500 * NSEC_US);
    run_until(4500);
    assert_int_equal(sim_world_busy(&world, RECEIVER, &blocked), 3000 * NSEC_US);
    assert_int_equal(blocked, 3000 * NSEC_US);
    receiver.erases = NULL;
    receiver.tick_time = 1000;
    receiver.deadline = 5000;
    run_until(5400);
    assert_int_equal(sim_world_busy(&world, RECEIVER, &blocked), 3400 * NSEC_US);
    assert_int_equal(blocked, 3000 * NSEC_US);
}

static void the_ports_are_those_that_are_described(void **state)
{
    (void)state;
    assert_int_equal(sim_port_esp32.fifo, 64);
    assert_true(sim_port_esp32.cache_safe);
    assert_int_equal(sim_port_esp32.queue, 600); // more than a message of 4095 bytes has frames
    assert_int_equal(sim_port_usb.interrupt, NSEC_MS);
    assert_int_equal(sim_port_usb.send, NSEC_MS);
    assert_int_equal(sim_port_none.interrupt + sim_port_none.wake + sim_port_none.call +
                         sim_port_none.send + sim_port_none.period,
                     0);
    const sim_port_t *const ports[] = { &sim_port_esp32, &sim_port_fd, &sim_port_host,
                                        &sim_port_usb, &sim_port_none };
    for (unsigned i = 0; i < 5; i++)
        assert_in_range(ports[i]->mailboxes, 1, 31); // isotp has room for as many confirmations
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_frame_takes_the_interrupt_and_the_wake_up),
        TEST(the_fifo_of_64_bytes_has_room_for_five_frames),
        TEST(the_interrupt_empties_the_fifo),
        TEST(a_frame_behind_one_that_found_no_room_may_find_it),
        TEST(a_controller_keeps_no_more_than_256_frames),
        TEST(frames_are_lost_when_flash_blocks_the_interrupt),
        TEST(an_interrupt_that_is_due_waits_for_the_flash_as_well),
        TEST(an_interrupt_that_is_due_behind_the_flash_is_not_delayed),
        TEST(a_call_without_flash_keeps_no_interrupt),
        TEST(the_queue_behind_the_interrupt_has_its_limit),
        TEST(confirmations_find_room_also_where_frames_do_not),
        TEST(a_busy_loop_needs_no_wake_up),
        TEST(each_call_takes_the_time_of_the_loop),
        TEST(a_loop_with_a_period_runs_at_its_multiples_only),
        TEST(a_turn_longer_than_the_period_ends_at_a_later_multiple),
        TEST(frames_leave_the_machine_as_mailboxes_are_free),
        TEST(a_confirmation_comes_as_a_frame_does),
        TEST(sending_takes_the_time_from_the_machine_to_the_controller),
        TEST(more_mailboxes_than_the_controller_has_wait_their_turn),
        TEST(a_tick_comes_exactly_at_its_deadline),
        TEST(a_deadline_that_has_passed_is_served_at_once),
        TEST(a_tick_that_takes_time_delays_the_machine_but_not_the_interrupt),
        TEST(busy_is_told_also_in_the_middle_of_a_call),
        TEST(the_ports_are_those_that_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
