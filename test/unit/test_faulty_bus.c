// test_faulty_bus.c - the faulty bus that other tests rely on: its time, its faults, its order.
// SPDX-License-Identifier: Apache-2.0
#include "faulty_bus.h"

#include "can_bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FRAMES = 2000, HEARD_MAX = 2 * FRAMES };

// Sends numbered frames, and remembers the numbers it hears.
typedef struct {
    faulty_bus_t *bus;
    unsigned end;
    can_frame_t frame;
    unsigned sent, wanted, confirmed;
    unsigned heard[HEARD_MAX], count;
    usec_t last_heard;
    usec_t work; // each frame received keeps it busy for that long
    usec_t alarm;
} node_t;

static unsigned node_input(node_t *n, const can_frame_t *frame, usec_t now)
{
    assert_true(n->count < HEARD_MAX);
    n->heard[n->count++] = load_le32(frame->data);
    n->last_heard = now;
    n->bus->clock[n->end] += n->work;
    return 0;
}

static const can_frame_t *node_output(node_t *n, usec_t now)
{
    (void)now;
    store_le32(n->frame.data, n->sent);
    return n->sent < n->wanted ? &n->frame : NULL;
}

static void node_taken(node_t *n, usec_t now)
{
    (void)now;
    n->sent++;
}

static unsigned node_sent(node_t *n, usec_t now)
{
    (void)now;
    return ++n->confirmed == n->wanted;
}

static void node_lost(node_t *n) { (void)n; }
static usec_t node_deadline(const node_t *n) { return n->alarm; }

static unsigned node_tick(node_t *n, usec_t now)
{
    assert_true(now == n->alarm);
    n->alarm = USEC_NEVER;
    return 1;
}

MACHINE_VERBS(node);

static faulty_bus_t bus;
static node_t node[2];

static int begin(void **state)
{
    (void)state;
    faulty_bus_init(&bus, 7);
    for (unsigned i = 0; i < 2; i++) {
        node[i] = (node_t){ .bus = &bus, .end = i, .alarm = USEC_NEVER };
        node[i].frame = (can_frame_t){ .id = 0x7E0 + 8 * i, .len = 8 };
        const machine_t m = MACHINE(node, &node[i]);
        faulty_bus_connect(&bus, i, &m);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    faulty_bus_close(&bus);
    return 0;
}

static void run_to_the_end(void)
{
    while (faulty_bus_run(&bus, USEC_NEVER))
        continue;
}

static void frames_arrive_in_order_and_take_their_time(void **state)
{
    (void)state;
    node[0].wanted = 5;
    usec_t expected = 0;
    for (unsigned i = 0; i < 5; i++) {
        store_le32(node[0].frame.data, i);
        expected += 2 * can_bits(&node[0].frame).nominal;
    }
    assert_true(faulty_bus_run(&bus, USEC_NEVER));
    assert_int_equal(bus.events[0], 1);
    assert_true(bus.now == expected);
    assert_false(faulty_bus_run(&bus, 1000000));
    assert_true(bus.now == 1000000);
    assert_int_equal(node[1].count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(node[1].heard[i], i);
}

static void the_lower_identifier_goes_first(void **state)
{
    (void)state;
    node[0].wanted = node[1].wanted = 50;
    run_to_the_end();
    assert_true(node[1].last_heard < node[0].last_heard / 2 + 1000); // 7E0, then 7E8
    assert_int_equal(node[0].count, 50);
}

static void a_busy_end_finds_what_came_meanwhile(void **state)
{
    (void)state;
    node[0].wanted = 20;
    node[1].work = 10 * USEC_MS;
    assert_true(faulty_bus_run(&bus, USEC_NEVER));
    assert_true(bus.now < 6 * USEC_MS); // the sender does not wait for it
    assert_int_equal(node[1].count, 1);
    run_to_the_end();
    assert_int_equal(node[1].count, 20);
    assert_true(node[1].last_heard >= 190 * USEC_MS);
    assert_int_equal(bus.overrun, 0);
}

static void a_queue_that_is_full_loses_frames(void **state)
{
    (void)state;
    node[0].wanted = FRAMES;
    node[1].work = 10000 * USEC_MS;
    assert_true(faulty_bus_run(&bus, USEC_NEVER));
    assert_int_equal(bus.overrun, FRAMES - FAULTY_BUS_QUEUE - 1);
}

static unsigned disorder(const node_t *n)
{
    unsigned found = 0;
    for (unsigned i = 1; i < n->count; i++)
        found += n->heard[i] < n->heard[i - 1];
    return found;
}

static void faults_are_as_frequent_as_asked_for(void **state)
{
    (void)state;
    bus.faults[1] =
        (faulty_bus_faults_t){ .lost = 20, .doubled = 20, .late = 20, .late_max = 20 * USEC_MS };
    node[0].wanted = FRAMES;
    run_to_the_end();
    assert_in_range(bus.lost, 20, 60);
    assert_in_range(bus.doubled, 20, 60);
    assert_in_range(bus.late, 20, 60);
    assert_int_equal(node[1].count, FRAMES - bus.lost + bus.doubled);
    assert_int_equal(node[0].confirmed, FRAMES);
    assert_int_equal(disorder(&node[1]), 0);
}

static void late_frames_may_be_overtaken(void **state)
{
    (void)state;
    bus.faults[1] =
        (faulty_bus_faults_t){ .late = 20, .late_max = 20 * USEC_MS, .overtaken = true };
    node[0].wanted = FRAMES;
    run_to_the_end();
    assert_int_equal(node[1].count, FRAMES);
    assert_in_range(disorder(&node[1]), 20, 60);
}

static void a_deadline_is_kept_to_the_microsecond(void **state)
{
    (void)state;
    node[1].alarm = 12345;
    assert_false(faulty_bus_run(&bus, 12344));
    assert_true(faulty_bus_run(&bus, USEC_NEVER));
    assert_int_equal(bus.events[1], 1);
    assert_true(bus.now == 12345);
    assert_false(faulty_bus_run(&bus, USEC_NEVER)); // at rest for ever
}

static void who_is_gone_hears_nothing_and_says_nothing(void **state)
{
    (void)state;
    node[0].wanted = node[1].wanted = 10;
    assert_false(faulty_bus_run(&bus, 1000));
    faulty_bus_connect(&bus, 1, NULL);
    assert_true(faulty_bus_run(&bus, USEC_NEVER));
    assert_int_equal(node[0].confirmed, 10);
    assert_in_range(node[1].count, 3, 4);
    assert_int_equal(node[0].count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_arrive_in_order_and_take_their_time, begin, end),
        cmocka_unit_test_setup_teardown(the_lower_identifier_goes_first, begin, end),
        cmocka_unit_test_setup_teardown(a_busy_end_finds_what_came_meanwhile, begin, end),
        cmocka_unit_test_setup_teardown(a_queue_that_is_full_loses_frames, begin, end),
        cmocka_unit_test_setup_teardown(faults_are_as_frequent_as_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(late_frames_may_be_overtaken, begin, end),
        cmocka_unit_test_setup_teardown(a_deadline_is_kept_to_the_microsecond, begin, end),
        cmocka_unit_test_setup_teardown(who_is_gone_hears_nothing_and_says_nothing, begin, end),
    };
    return cmocka_run_group_tests_name("faulty bus", tests, NULL, NULL);
}
