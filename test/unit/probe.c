// probe.c - a machine that does as it is told and writes down when it was called: see probe.h.
// SPDX-License-Identifier: Apache-2.0
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka.h needs the headers above
#include <cmocka.h>

static void note(probe_t *p, char what, uint32_t id, usec_t now)
{
    assert_true(p->calls < PROBE_CALLS);
    p->call[p->calls++] = (probe_call_t){ what, id, p->world->now };
    // The machine's time is the world's, in whole microseconds.
    assert_int_equal(now, p->world->now / NSEC_US);
    p->told = now;
}

static void spend(probe_t *p, usec_t time) { p->world->node[p->node].clock += time; }

static unsigned probe_input(probe_t *p, const can_frame_t *frame, usec_t now)
{
    note(p, 'I', frame->id, now);
    p->inputs++;
    p->heard = *frame;
    spend(p, p->input_time);
    return 0;
}

static const can_frame_t *probe_output(probe_t *p, usec_t now)
{
    assert_int_equal(now, p->world->now / NSEC_US);
    if (p->send_first == p->send_to) return NULL;
    p->out = (can_frame_t){ .id = p->send_first, .ext = p->ext, .fd = p->fd, .len = p->len };
    memcpy(p->out.data, p->data, p->len);
    return &p->out;
}

static void probe_taken(probe_t *p, usec_t now)
{
    note(p, 'T', 0, now);
    p->send_first++;
}

static unsigned probe_sent(probe_t *p, usec_t now)
{
    note(p, 'S', 0, now);
    p->sent++;
    return 0;
}

static void probe_lost(probe_t *p)
{
    note(p, 'L', 0, p->world->now / NSEC_US);
    p->lost++;
    if (p->lost_sends) probe_send(p, p->lost_sends, 3, 8);
}

static usec_t probe_deadline(const probe_t *p) { return p->deadline; }

static unsigned probe_tick(probe_t *p, usec_t now)
{
    note(p, 'K', 0, now);
    assert_true(now >= p->deadline);
    p->deadline = p->again ? p->deadline + p->again : USEC_NEVER;
    if (p->erases) assert_int_equal(p->erases->flash.erase(p->erases->flash.ctx, 0), 0);
    if (p->tick_sends) probe_send(p, p->tick_sends, 1, 8);
    spend(p, p->tick_time);
    return p->events;
}

MACHINE_VERBS(probe);

machine_t probe_machine(probe_t *p) { return MACHINE(probe, p); }

void probe_send(probe_t *p, uint32_t first, unsigned count, uint8_t len)
{
    p->send_first = first;
    p->send_to = first + count;
    p->len = len;
    memset(p->data, 0x55, sizeof p->data);
}

const char *probe_text(const probe_t *p)
{
    static char text[4096];
    size_t len = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < p->calls && len + 40 < sizeof text; i++) {
        const probe_call_t *c = &p->call[i];
        len += (size_t)snprintf(&text[len], sizeof text - len,
                                c->what == 'I' ? "%c%llu:%X " : "%c%llu ", c->what,
                                (unsigned long long)(c->at / NSEC_US), (unsigned)c->id);
    }
    return text;
}
