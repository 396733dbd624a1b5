// faulty_bus.c - two machines on a faulty bus in virtual time: see faulty_bus.h.
// SPDX-License-Identifier: Apache-2.0
#include "faulty_bus.h"

#include "can_bits.h"
#include "sim_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TURNS_MAX = 1000000 }; // at one time; more is a machine that asks to be called for ever

void faulty_bus_init(faulty_bus_t *bus, uint64_t seed)
{
    *bus = (faulty_bus_t){ .bitrate = 500000, .data_bitrate = 2000000, .chance = seed };
    for (int i = 0; i < 2; i++) {
        bus->end[i].items = calloc(FAULTY_BUS_QUEUE, sizeof bus->end[i].items[0]);
        assert_non_null(bus->end[i].items);
    }
}

void faulty_bus_close(faulty_bus_t *bus)
{
    free(bus->end[0].items);
    free(bus->end[1].items);
}

void faulty_bus_connect(faulty_bus_t *bus, unsigned end, const machine_t *machine)
{
    faulty_bus_end_t *e = &bus->end[end];
    e->machine = machine ? *machine : (machine_t){ .self = NULL };
    e->busy = bus->now;
    e->taken = e->unsent = e->count = 0;
    if (bus->on_wire == end + 1) bus->on_wire = 0;
}

// --- The wire ---

// In the order in which they are due; of two that are due at once the older one comes first.
static void deliver(faulty_bus_t *bus, unsigned to, const faulty_bus_item_t *item)
{
    faulty_bus_end_t *e = &bus->end[to];
    if (!e->machine.self) return;
    if (e->count == FAULTY_BUS_QUEUE) {
        assert_false(item->confirmation);
        bus->overrun++;
        return;
    }
    unsigned at = e->count++;
    for (; at > 0 && e->items[at - 1].due > item->due; at--)
        e->items[at] = e->items[at - 1];
    e->items[at] = *item;
}

static bool by_chance(faulty_bus_t *bus, unsigned per_mille)
{
    return per_mille && sim_random(&bus->chance, 1000) < per_mille;
}

static void pass(faulty_bus_t *bus, unsigned to, const can_frame_t *frame)
{
    const faulty_bus_faults_t *faults = &bus->faults[to];
    const faulty_bus_end_t *e = &bus->end[to];
    faulty_bus_item_t item = { .due = bus->now, .frame = *frame };
    if (by_chance(bus, faults->lost)) {
        bus->lost++;
        return;
    }
    if (by_chance(bus, faults->late)) {
        bus->late++;
        item.due += 1 + sim_random64(&bus->chance) % later(faults->late_max, 1);
    }
    for (unsigned i = e->count; i > 0 && !faults->overtaken; i--)
        if (!e->items[i - 1].confirmation) {
            item.due = later(item.due, e->items[i - 1].due);
            break;
        }
    deliver(bus, to, &item);
    if (by_chance(bus, faults->doubled)) {
        bus->doubled++;
        deliver(bus, to, &item);
    }
}

static usec_t duration(const faulty_bus_t *bus, const can_frame_t *frame)
{
    const can_bits_t bits = can_bits(frame);
    const usec_t nominal = (bits.nominal * UINT64_C(1000000) + bus->bitrate - 1) / bus->bitrate;
    return nominal + (bits.data * UINT64_C(1000000) + bus->data_bitrate - 1) / bus->data_bitrate;
}

// Arbitration: of the oldest frames of both ends, the one with the lower identifier.
static void begin_frame(faulty_bus_t *bus)
{
    const faulty_bus_end_t *a = &bus->end[0], *b = &bus->end[1];
    if (!a->taken && !b->taken) return;
    const uint32_t id_a = a->out[0].ext ? a->out[0].id : a->out[0].id << 18;
    const uint32_t id_b = b->out[0].ext ? b->out[0].id : b->out[0].id << 18;
    const unsigned from = (!a->taken || (b->taken && id_b < id_a)) ? 1 : 0;
    bus->on_wire = from + 1;
    bus->free_at = bus->now + duration(bus, &bus->end[from].out[0]);
}

static void end_frame(faulty_bus_t *bus)
{
    const unsigned from = bus->on_wire - 1;
    faulty_bus_end_t *e = &bus->end[from];
    const can_frame_t frame = e->out[0];
    e->taken--;
    memmove(&e->out[0], &e->out[1], e->taken * sizeof e->out[0]);
    bus->on_wire = 0;
    bus->frames[from]++;
    if (bus->log) assert_true(bus_log_frame(bus->log, &frame, from == 0, bus->now));
    deliver(bus, from, &(faulty_bus_item_t){ .due = bus->now, .confirmation = true });
    pass(bus, 1 - from, &frame);
}

// --- The ends ---

static void offer(faulty_bus_t *bus, faulty_bus_end_t *e)
{
    const can_frame_t *frame;
    while (e->unsent < FAULTY_BUS_MAILBOXES && e->busy <= bus->now &&
           (frame = e->machine.output(e->machine.self, bus->now)) != NULL) {
        e->out[e->taken++] = *frame;
        e->unsent++;
        e->machine.taken(e->machine.self, bus->now);
    }
}

static bool has_input(const faulty_bus_t *bus, const faulty_bus_end_t *e)
{
    return e->count && e->items[0].due <= bus->now;
}

// One call, and what comes of it. False: there was none to make.
static bool serve(faulty_bus_t *bus, unsigned end)
{
    faulty_bus_end_t *e = &bus->end[end];
    const machine_t *m = &e->machine;
    if (!m->self || e->busy > bus->now) return false;
    bus->clock[end] = bus->now;
    offer(bus, e);
    if (has_input(bus, e)) {
        const faulty_bus_item_t item = e->items[0];
        e->count--;
        memmove(&e->items[0], &e->items[1], e->count * sizeof e->items[0]);
        if (item.confirmation) {
            e->unsent--;
            bus->events[end] |= m->sent(m->self, bus->now);
        } else
            bus->events[end] |= m->input(m->self, &item.frame, bus->now);
    } else if (m->deadline(m->self) <= bus->now)
        bus->events[end] |= m->tick(m->self, bus->now);
    else
        return false;
    e->busy = bus->clock[end];
    offer(bus, e);
    return true;
}

static usec_t next_of(const faulty_bus_end_t *e)
{
    if (!e->machine.self) return USEC_NEVER;
    usec_t next = e->machine.deadline(e->machine.self);
    if (e->count) next = sooner(next, e->items[0].due);
    return later(next, e->busy);
}

bool faulty_bus_run(faulty_bus_t *bus, usec_t until)
{
    bus->events[0] = bus->events[1] = 0;
    for (unsigned turns = 0; turns < TURNS_MAX; turns++) {
        if (bus->on_wire && bus->free_at <= bus->now) end_frame(bus);
        bool served = serve(bus, 0);
        served = serve(bus, 1) || served;
        if (!bus->on_wire) begin_frame(bus);
        if (bus->events[0] || bus->events[1]) return true;
        if (served) continue;
        usec_t next = sooner(next_of(&bus->end[0]), next_of(&bus->end[1]));
        if (bus->on_wire) next = sooner(next, bus->free_at);
        if (next > until || next == USEC_NEVER) {
            if (until != USEC_NEVER) bus->now = later(bus->now, until);
            return false;
        }
        if (next > bus->now) turns = 0;
        bus->now = later(bus->now, next);
    }
    fail_msg("an end asks to be called for ever");
    return false;
}
