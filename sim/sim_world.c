// sim_world.c - machines on a bus, in virtual time: see sim_world.h.
// SPDX-License-Identifier: Apache-2.0
//
// A frame's way to a machine: controller - FIFO - (interrupt) - queue - (loop) - input. And back: output -
// sending - controller's queue - bus - (interrupt) - queue - sent. The loop is that of receiver.h: tick if
// it is due, then all that waits in the queue, then again.
//
// A call that takes time (clock) has its effects at once; what the machine has to send, and its next call,
// wait until that time is over. The interrupt works meanwhile, unless flash blocks it.
#include "sim_world.h"

#include "sim_random.h"

#include <stdlib.h>

enum {
    SENDING_CAP = 64,
    TRAFFIC_QUEUE = 8,
    FIFO_CAP = 256,
    CONTROLLER_CAP = 4,
    STUCK = 1000000, // steps at one time; more is a machine that asks to be called for ever
};

const sim_port_t sim_port_esp32 = {
    .name = "esp32",
    .fifo = 64,
    .interrupt = 10 * NSEC_US,
    .cache_safe = true,
    .queue = 600,
    .wake = 30 * NSEC_US,
    .call = 10 * NSEC_US,
    .mailboxes = 8,
};
const sim_port_t sim_port_fd = {
    .name = "fd",
    .fifo = 64 * 67,
    .interrupt = 10 * NSEC_US,
    .cache_safe = true,
    .queue = 600,
    .wake = 30 * NSEC_US,
    .call = 10 * NSEC_US,
    .mailboxes = 8,
};
const sim_port_t sim_port_host = {
    .name = "host",
    .fifo = UINT32_MAX,
    .interrupt = 50 * NSEC_US,
    .cache_safe = true,
    .queue = 4096,
    .wake = 50 * NSEC_US,
    .call = 2 * NSEC_US,
    .mailboxes = 10,
    .send = 50 * NSEC_US,
};
const sim_port_t sim_port_usb = {
    .name = "usb",
    .fifo = UINT32_MAX,
    .interrupt = 1000 * NSEC_US,
    .cache_safe = true,
    .queue = 4096,
    .wake = 50 * NSEC_US,
    .call = 2 * NSEC_US,
    .mailboxes = 20,
    .send = 1000 * NSEC_US,
};
const sim_port_t sim_port_none = {
    .name = "none",
    .fifo = UINT32_MAX,
    .cache_safe = true,
    .queue = 4096,
    .mailboxes = 8,
};

// --- Queues ---

static void queue_open(sim_queue_t *q, unsigned cap)
{
    *q = (sim_queue_t){ .items = calloc(cap, sizeof *q->items), .cap = cap };
    if (!q->items) abort();
}

static void queue_put(sim_queue_t *q, const sim_item_t *item)
{
    ASSERT(q->count < q->cap);
    q->items[(q->head + q->count++) % q->cap] = *item;
}

static const sim_item_t *queue_first(const sim_queue_t *q)
{
    return q->count ? &q->items[q->head] : NULL;
}

static void queue_drop(sim_queue_t *q)
{
    q->head = (q->head + 1) % q->cap;
    q->count--;
}

// --- From the bus to the queue ---

static bool by_chance(sim_world_t *w, uint32_t ppm)
{
    return ppm && sim_random(&w->chance, 1000000) < ppm;
}

/// When a loop that has something to do at that time does it.
static nsec_t at_turn(const sim_port_t *p, nsec_t t)
{
    return p->period ? (t + p->period - 1) / p->period * p->period : t;
}

static void wake(sim_node_t *n, nsec_t at)
{
    if (n->loop_at != NSEC_NEVER || !n->machine.self) return;
    n->loop_at = at_turn(n->port, at + n->port->wake);
}

static uint32_t size_of(const can_frame_t *f) { return (f->ext ? 5U : 3U) + f->len; }

static void interrupt_due(sim_node_t *n, nsec_t at)
{
    n->interrupt_at = at + n->port->interrupt;
    if (!n->port->cache_safe && n->interrupt_at < n->flash_until)
        n->interrupt_at = n->flash_until + n->port->interrupt;
}

// A confirmation takes no room: it is one bit of the controller's. There are as many as mailboxes.
static void to_fifo(sim_world_t *w, sim_node_t *n, const sim_item_t *item)
{
    const uint32_t size = item->confirmation ? 0 : size_of(&item->frame);
    if (size && (size > n->port->fifo - n->fifo_used || n->fifo.count >= FIFO_CAP)) {
        n->overrun++;
        return;
    }
    queue_put(&n->fifo, item);
    n->fifo_used += size;
    if (n->interrupt_at == NSEC_NEVER) interrupt_due(n, w->now);
}

static void to_queue(sim_world_t *w, sim_node_t *n, sim_item_t item)
{
    item.due = w->now;
    if (!item.confirmation && by_chance(w, n->faults.lost)) {
        n->lost++;
        return;
    }
    if (!item.confirmation && n->queue.count >= n->port->queue) {
        n->overrun++;
        return;
    }
    if (by_chance(w, n->faults.late)) {
        n->late++;
        item.due += sim_random64(&w->chance) % (n->faults.late_max + 1);
    }
    queue_put(&n->queue, &item);
}

static void interrupt(sim_world_t *w, sim_node_t *n)
{
    const sim_item_t *item;
    n->interrupt_at = NSEC_NEVER;
    n->fifo_used = 0;
    for (; (item = queue_first(&n->fifo)) != NULL; queue_drop(&n->fifo))
        to_queue(w, n, *item);
    if ((item = queue_first(&n->queue)) != NULL && item->due <= w->now) wake(n, w->now);
}

static void deliver(sim_world_t *w, const sim_bus_event_t *ev)
{
    const sim_item_t frame = { .frame = ev->frame }, confirmation = { .confirmation = true };
    for (unsigned i = 0; i < w->nodes; i++) {
        sim_node_t *n = &w->node[i];
        const bool accepted = ((ev->frame.id ^ n->id) & n->mask) == 0;
        if (n->machine.self && ev->heard & 1U << i && accepted) to_fifo(w, n, &frame);
        if (!ev->sent || !(ev->senders & 1U << i)) continue;
        if (n->foreign)
            n->foreign--;
        else if (n->machine.self)
            to_fifo(w, n, &confirmation);
    }
}

// --- From the machine to the bus ---

static void give(sim_world_t *w, sim_node_t *n)
{
    const machine_t *m = &n->machine;
    const can_frame_t *frame;
    const usec_t now = w->now / NSEC_US;
    // It is asked even without room: its time for this frame runs from then on.
    while ((frame = m->output(m->self, now)) != NULL && n->unsent < n->port->mailboxes) {
        const sim_item_t item = { .due = w->now + n->port->send, .frame = *frame };
        queue_put(&n->sending, &item);
        n->unsent++;
        m->taken(m->self, now);
    }
}

static bool has_room(const sim_world_t *w, unsigned node)
{
    const sim_bus_node_t *n = &w->bus.node[node];
    return n->on && n->state != SIM_BUS_BUS_OFF && n->count < n->cap;
}

static void send(sim_world_t *w, unsigned node)
{
    sim_queue_t *q = &w->node[node].sending;
    const sim_item_t *item;
    while ((item = queue_first(q)) != NULL && item->due <= w->now &&
           sim_bus_send(&w->bus, node, &item->frame, w->now))
        queue_drop(q);
}

// --- The loop ---

/// Has the machine done something? Otherwise there is nothing to do at this time.
static bool call(sim_world_t *w, sim_node_t *n)
{
    const machine_t *m = &n->machine;
    const usec_t now = w->now / NSEC_US;
    const sim_item_t *first = queue_first(&n->queue);
    if (!n->ticked && m->deadline(m->self) <= now) {
        n->ticked = true;
        n->events |= m->tick(m->self, now);
        return true;
    }
    if (!first || first->due > w->now) return false;
    const sim_item_t item = *first;
    queue_drop(&n->queue);
    if (item.confirmation) {
        n->unsent--;
        n->events |= m->sent(m->self, now);
    } else
        n->events |= m->input(m->self, &item.frame, now);
    return true;
}

static void block(sim_node_t *n, nsec_t from, nsec_t until)
{
    n->flash_until = until;
    n->flash_time += until - from;
    if (!n->port->cache_safe && n->interrupt_at != NSEC_NEVER && n->interrupt_at < until)
        n->interrupt_at = until + n->port->interrupt;
}

static void loop(sim_world_t *w, sim_node_t *n)
{
    const unsigned changes = n->flash ? sim_flash_changes(n->flash) : 0;
    give(w, n);
    n->clock = w->now / NSEC_US;
    n->loop_at = NSEC_NEVER;
    if (!call(w, n)) {
        // A turn is over. The next one, where it ticked, begins at once, or when the period does.
        if (n->ticked) n->loop_at = n->port->period ? at_turn(n->port, w->now + 1) : w->now;
        n->ticked = false;
        return;
    }
    const nsec_t end = later(w->now + n->port->call, n->clock * NSEC_US);
    n->busy_until = end;
    n->busy_time += end - w->now;
    if (n->flash && sim_flash_changes(n->flash) != changes) block(n, w->now, end);
    // An interrupt that flash kept waiting comes before what the loop does next.
    const bool pending = n->flash_until == end && n->interrupt_at != NSEC_NEVER;
    n->loop_at = (pending && !n->port->cache_safe) ? later(end, n->interrupt_at) : end;
}

static nsec_t loop_due(const sim_world_t *w, const sim_node_t *n)
{
    const machine_t *m = &n->machine;
    if (!m->self || n->loop_at != NSEC_NEVER) return n->loop_at;
    const usec_t deadline = m->deadline(m->self);
    nsec_t due = (deadline < USEC_NEVER / NSEC_US) ? deadline * NSEC_US : NSEC_NEVER;
    const sim_item_t *first = queue_first(&n->queue);
    if (first) due = sooner(due, first->due);
    return (due == NSEC_NEVER) ? due : at_turn(n->port, later(due, w->now));
}

// --- Other traffic ---

static void send_traffic(sim_world_t *w, unsigned source)
{
    can_frame_t f = { .len = 8 };
    // Nobody else has these identifiers.
    f.id = 0x080 + sim_random(&w->chance, 0x190) * SIM_WORLD_TRAFFIC + source;
    store_le32(&f.data[0], (uint32_t)sim_random64(&w->chance));
    store_le32(&f.data[4], (uint32_t)sim_random64(&w->chance));
    (void)sim_bus_send(&w->bus, SIM_WORLD_NODES + source, &f, w->now);
    w->traffic_at[source] = w->now + w->traffic_gap / 2 + sim_random64(&w->chance) % w->traffic_gap;
}

void sim_world_traffic(sim_world_t *w, unsigned percent)
{
    enum { FRAME_BITS = 114 }; // 8 random bytes: 111, and three stuff bits on average
    ASSERT(percent <= 90);
    w->traffic_gap = percent ? w->bus.bit * SIM_WORLD_TRAFFIC * FRAME_BITS * 100 / percent : 0;
    for (unsigned i = 0; i < SIM_WORLD_TRAFFIC; i++) {
        sim_bus_off(&w->bus, SIM_WORLD_NODES + i, w->now);
        if (percent) sim_bus_on(&w->bus, SIM_WORLD_NODES + i, TRAFFIC_QUEUE, w->now);
        w->traffic_at[i] =
            percent ? w->now + sim_random64(&w->chance) % w->traffic_gap : NSEC_NEVER;
    }
}

// --- Time ---

static nsec_t next(const sim_world_t *w)
{
    nsec_t at = sim_bus_next(&w->bus);
    for (unsigned i = 0; i < SIM_WORLD_TRAFFIC; i++)
        at = sooner(at, w->traffic_at[i]);
    for (unsigned i = 0; i < w->nodes; i++) {
        const sim_node_t *n = &w->node[i];
        at = sooner(at, sooner(n->interrupt_at, loop_due(w, n)));
        const sim_item_t *item = queue_first(&n->sending);
        if (item && has_room(w, i)) at = sooner(at, item->due);
    }
    return later(at, w->now);
}

static void drop_confirmations(sim_queue_t *q)
{
    for (unsigned left = q->count; left > 0; left--) {
        const sim_item_t item = *queue_first(q);
        queue_drop(q);
        if (!item.confirmation) queue_put(q, &item);
    }
}

/// The machine is told that all it gave is lost: nothing is confirmed any more.
static void go_off(sim_world_t *w, unsigned node)
{
    sim_node_t *n = &w->node[node];
    n->bus_offs++;
    n->unsent = n->foreign = n->sending.count = 0;
    drop_confirmations(&n->fifo);
    drop_confirmations(&n->queue);
    if (n->machine.self) n->machine.lost(n->machine.self);
    wake(n, w->now);
}

static void step_bus(sim_world_t *w)
{
    if (sim_bus_step(&w->bus, &w->event) == SIM_BUS_FRAME) deliver(w, &w->event);
    for (unsigned i = 0; i < SIM_BUS_NODES; i++) {
        if (!(w->event.off & 1U << i)) continue;
        sim_bus_recover(&w->bus, i, w->now);
        if (i < SIM_WORLD_NODES) go_off(w, i);
    }
}

static unsigned step(sim_world_t *w)
{
    unsigned events = 0;
    if (sim_bus_next(&w->bus) <= w->now) step_bus(w);
    for (unsigned i = 0; i < SIM_WORLD_TRAFFIC; i++)
        if (w->traffic_at[i] <= w->now) send_traffic(w, i);
    for (unsigned i = 0; i < w->nodes; i++) {
        sim_node_t *n = &w->node[i];
        if (n->interrupt_at <= w->now) interrupt(w, n);
        if (loop_due(w, n) <= w->now) loop(w, n);
        send(w, i);
        events |= n->events;
    }
    return events;
}

bool sim_world_run(sim_world_t *w, nsec_t until)
{
    for (unsigned i = 0; i < w->nodes; i++)
        w->node[i].events = 0;
    for (unsigned steps = 0; steps < STUCK; steps++) {
        const nsec_t at = next(w);
        w->event.kind = SIM_BUS_NONE;
        if (at > until) {
            w->now = later(w->now, until);
            return false;
        }
        if (at > w->now) steps = 0;
        w->now = at;
        if (step(w) || (w->watch && w->event.kind != SIM_BUS_NONE)) return true;
    }
    ASSERT(false); // a machine asks to be called for ever
    return false;
}

nsec_t sim_world_busy(const sim_world_t *w, unsigned node, nsec_t *flash)
{
    const sim_node_t *n = &w->node[node];
    *flash = n->flash_time - (later(n->flash_until, w->now) - w->now);
    return n->busy_time - (later(n->busy_until, w->now) - w->now);
}

// --- Nodes come and go ---

void sim_world_init(sim_world_t *w, uint32_t bitrate, uint32_t data_bitrate, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    sim_bus_init(&w->bus, bitrate, data_bitrate, seed);
    w->chance = ~seed;
    for (unsigned i = 0; i < SIM_WORLD_TRAFFIC; i++)
        w->traffic_at[i] = NSEC_NEVER;
}

void sim_world_free(sim_world_t *w)
{
    for (unsigned i = 0; i < w->nodes; i++) {
        free(w->node[i].fifo.items);
        free(w->node[i].queue.items);
        free(w->node[i].sending.items);
    }
}

void sim_world_join(sim_world_t *w, unsigned node, const sim_port_t *port, const machine_t *machine)
{
    ASSERT(node == w->nodes && node < SIM_WORLD_NODES && port->mailboxes <= SENDING_CAP);
    sim_node_t *n = &w->node[w->nodes++];
    n->port = port;
    queue_open(&n->fifo, FIFO_CAP + port->mailboxes);
    queue_open(&n->queue, port->queue + port->mailboxes);
    queue_open(&n->sending, SENDING_CAP);
    sim_world_power(w, node, true);
    sim_world_serve(w, node, machine);
}

static void forget(sim_node_t *n)
{
    n->fifo.count = n->queue.count = n->sending.count = 0;
    n->fifo_used = n->unsent = 0;
    n->interrupt_at = NSEC_NEVER;
    n->ticked = false;
}

void sim_world_power(sim_world_t *w, unsigned node, bool on)
{
    sim_node_t *n = &w->node[node];
    forget(n);
    n->foreign = 0;
    if (n->busy_until > w->now) {
        n->busy_time = sim_world_busy(w, node, &n->flash_time);
        n->busy_until = n->flash_until = w->now;
        if (n->machine.self) n->loop_at = at_turn(n->port, w->now);
    }
    if (on)
        sim_bus_on(&w->bus, node, CONTROLLER_CAP, w->now);
    else
        sim_bus_off(&w->bus, node, w->now);
}

void sim_world_serve(sim_world_t *w, unsigned node, const machine_t *machine)
{
    sim_node_t *n = &w->node[node];
    forget(n);
    n->foreign = w->bus.node[node].count;
    n->machine = machine ? *machine : (machine_t){ .self = NULL };
    n->loop_at = machine ? at_turn(n->port, w->now) : NSEC_NEVER;
}
