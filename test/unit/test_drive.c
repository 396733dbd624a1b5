// test_drive.c - the loop that runs a machine on a bus: its order, and that it sleeps.
// SPDX-License-Identifier: Apache-2.0
#include "drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

// A machine that counts how it is called and wants to send one frame.
typedef struct {
    unsigned inputs, takens, sents, ticks;
    unsigned tick_event, sent_event; // to report
    bool wants;
    usec_t due;
    can_frame_t frame;
} probe_t;

static unsigned probe_input(probe_t *p, const can_frame_t *frame, usec_t now)
{
    (void)frame;
    (void)now;
    p->inputs++;
    return 0;
}

static const can_frame_t *probe_output(probe_t *p, usec_t now)
{
    (void)now;
    return p->wants ? &p->frame : NULL;
}

static void probe_taken(probe_t *p, usec_t now)
{
    (void)now;
    p->takens++;
    p->wants = false;
}

static unsigned probe_sent(probe_t *p, usec_t now)
{
    (void)now;
    p->sents++;
    return p->sent_event;
}

static void probe_lost(probe_t *p) { (void)p; }

static usec_t probe_deadline(const probe_t *p) { return p->due; }

static unsigned probe_tick(probe_t *p, usec_t now)
{
    (void)now;
    p->ticks++;
    return p->tick_event;
}

MACHINE_VERBS(probe);

static bus_t *open_bus(void)
{
    char channel[64], error[256];
    snprintf(channel, sizeof channel, "virtual:drive-%ld", (long)getpid());
    bus_t *bus = bus_open(&(bus_cfg_t){ .channel = channel }, error, sizeof error);
    if (!bus) fail_msg("%s", error);
    return bus;
}

// A device whose power fails in a flash operation reports it as an event, and must not speak any more.
static void an_event_is_reported_before_anything_more_is_sent(void **state)
{
    (void)state;
    bus_t *bus = open_bus();
    probe_t p = { .wants = true, .tick_event = 4, .due = USEC_NEVER, .frame = { .len = 1 } };
    const machine_t m = MACHINE(probe, &p);
    assert_int_equal(drive(bus, &m, USEC_NEVER), 4);
    assert_int_equal(p.takens, 0);
    p.tick_event = 0;
    p.sent_event = 2;
    assert_int_equal(drive(bus, &m, USEC_NEVER), 2);
    assert_int_equal(p.takens, 1);
    assert_int_equal(p.sents, 1);
    bus_close(bus);
}

static void sleeps_while_nothing_is_due(void **state)
{
    (void)state;
    bus_t *bus = open_bus();
    probe_t p = { .due = USEC_NEVER };
    const machine_t m = MACHINE(probe, &p);
    assert_int_equal(drive(bus, &m, bus_clock() + 50 * USEC_MS), 0);
    assert_in_range(p.ticks, 1, 3);
    bus_close(bus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_reported_before_anything_more_is_sent),
        cmocka_unit_test(sleeps_while_nothing_is_due),
    };
    return cmocka_run_group_tests_name("drive", tests, NULL, NULL);
}
