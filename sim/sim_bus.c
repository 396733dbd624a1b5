// sim_bus.c - a CAN bus to the bit, in virtual time: see sim_bus.h.
// SPDX-License-Identifier: Apache-2.0
//
// At most one thing is on the wire: `event` tells what it will have been when it `ends`, and until
// `free` there is the interframe space. All who have a frame when the bus is free take part in the
// arbitration.
//
//   idle   a node has a frame  ->  frame  of the winner, up to the end of its EOF
//   frame  ends                ->  idle   FRAME
//          nobody acknowledges ->  error  (known at the end: a receiver may have come or gone)
//          disturbed, collides ->  error  from that bit on
//          its sender dies     ->  error  (not behind the ACK)
//   error  ends                ->  idle   ERROR or OFF
//
// ISO 11898-1:2015: 10.4.4 error frames, 10.9 suspended transmission, 12.1.4 counters. How far the
// error flags of several nodes overlap depends on the bits before them: chance decides.
#include "sim_bus.h"

#include "can_bits.h"
#include "sim_random.h"

enum {
    FLAG = 6,      // bits of one error flag
    DELIMITER = 8, // of an error frame
    INTERMISSION = 3,
    AFTER_ACK = 8, // ACK delimiter, end of frame
    TAIL = 12,     // from the ACK to the intermission: never in the data phase
    SUSPEND = 8,   // by which an error passive node lets the others go first
    RECESSIVE = 11,
    RECOVERY = 128,
    PASSIVE_AT = 128,
    OFF_AT = 256,
};

static bool takes_part(const sim_bus_node_t *n) { return n->on && n->state != SIM_BUS_BUS_OFF; }

static bool by_chance(sim_bus_t *bus, uint32_t ppm)
{
    return ppm && sim_random(&bus->chance, 1000000) < ppm;
}

// --- Counters ---

static void judge(sim_bus_node_t *n)
{
    if (n->tec >= OFF_AT) {
        n->state = SIM_BUS_BUS_OFF;
        n->count = 0;
        n->recovering = false;
    } else if (n->tec >= PASSIVE_AT || n->rec >= PASSIVE_AT)
        n->state = SIM_BUS_ERROR_PASSIVE;
    else
        n->state = SIM_BUS_ERROR_ACTIVE;
}

static void count_sent(sim_bus_node_t *n)
{
    if (n->tec) n->tec--;
    judge(n);
}

static void count_heard(sim_bus_node_t *n)
{
    if (n->rec >= PASSIVE_AT)
        n->rec = PASSIVE_AT - 1;
    else if (n->rec)
        n->rec--;
    judge(n);
}

// --- What is on the wire ---

static void occupy(sim_bus_t *bus, sim_bus_kind_t kind, nsec_t ends)
{
    bus->event.kind = kind;
    bus->event.sent = kind == SIM_BUS_FRAME;
    bus->ends = ends;
    bus->recessive = ends - DELIMITER * bus->bit; // as long as AFTER_ACK
    bus->free = ends + INTERMISSION * bus->bit;
}

/// An error flag begins at `at`, and those of the others follow.
static void flag_error(sim_bus_t *bus, nsec_t at)
{
    const uint32_t more = sim_random(&bus->chance, FLAG + 1);
    occupy(bus, SIM_BUS_ERROR, at + (FLAG + more + DELIMITER) * bus->bit);
}

/// From the start of frame to its bit `n` and with it.
static nsec_t time_of(const sim_bus_t *bus, const can_bits_t *bits, uint32_t n)
{
    const uint32_t head = bits->data ? bits->nominal - TAIL : bits->nominal;
    if (n <= head) return n * bus->bit;
    const uint32_t data = (uint32_t)smaller(n - head, bits->data);
    return (n - data) * bus->bit + data * bus->data_bit;
}

/// The bits that take part in the arbitration, first one on top.
static uint32_t key_of(const can_frame_t *f)
{
    if (!f->ext) return f->id << 20;
    return (f->id >> 18) << 20 | 3U << 18 | (f->id & 0x3FFFF); // SRR, IDE
}

static bool is_equal(const can_frame_t *a, const can_frame_t *b)
{
    return a->format == b->format && a->brs == b->brs && a->len == b->len &&
           memcmp(a->data, b->data, a->len) == 0;
}

static const can_frame_t *first_of(const sim_bus_node_t *n) { return &n->queue[n->head]; }

static nsec_t ready_at(const sim_bus_t *bus, const sim_bus_node_t *n)
{
    if (!takes_part(n) || n->count == 0) return NSEC_NEVER;
    return later(later(bus->free, n->on_since), later(n->rest, n->since));
}

/// Two nodes may send the same identifier at once, and go on until they differ.
static bool arbitrate(sim_bus_t *bus, nsec_t now)
{
    uint32_t best = UINT32_MAX;
    bool collides = false;
    bus->event = (sim_bus_event_t){ .began = now };
    for (unsigned i = 0; i < bus->nodes; i++) {
        if (ready_at(bus, &bus->node[i]) > now) continue;
        const can_frame_t *f = first_of(&bus->node[i]);
        const uint32_t key = key_of(f);
        if (key < best) {
            best = key;
            bus->event.senders = 0;
            collides = false;
            bus->event.from = i;
            bus->event.frame = *f;
        } else if (key == best && !is_equal(f, &bus->event.frame))
            collides = true;
        if (key == best) bus->event.senders |= 1U << i;
    }
    return collides;
}

/// Recessive bits until now count for those who are bus-off.
static void count_recessive(sim_bus_t *bus, nsec_t now)
{
    for (unsigned i = 0; i < bus->nodes; i++) {
        sim_bus_node_t *n = &bus->node[i];
        if (!n->recovering) continue;
        const nsec_t from = later(n->quiet_at, bus->recessive);
        if (now > from) n->quiet += (unsigned)((now - from) / (RECESSIVE * bus->bit));
    }
}

static void begin(sim_bus_t *bus, nsec_t now)
{
    count_recessive(bus, now);
    const bool collides = arbitrate(bus, now);
    const can_bits_t bits = can_bits(&bus->event.frame);
    const uint32_t all = bits.nominal + bits.data - INTERMISSION;
    bus->running = true;
    if (collides) { // behind the arbitration field
        const uint32_t same = bus->event.frame.ext ? 33 : 14;
        flag_error(bus,
                   now + time_of(bus, &bits, same + 1 + sim_random(&bus->chance, all - same - 1)));
    } else if (by_chance(bus, bus->faults.disturbed)) {
        flag_error(bus, now + time_of(bus, &bits, 1 + sim_random(&bus->chance, all - 1)));
    } else {
        occupy(bus, SIM_BUS_FRAME, now + time_of(bus, &bits, all));
        if (!by_chance(bus, bus->faults.doubled)) return;
        bus->event.sent = false;
        // The flag, what the others answer to a dominant bit in the intermission, a delimiter.
        bus->recessive = bus->ends + (FLAG + 1) * bus->bit;
        bus->free += (FLAG + 1 + DELIMITER) * bus->bit;
    }
}

// --- Ends ---

static uint32_t listeners(const sim_bus_t *bus)
{
    uint32_t nodes = 0;
    for (unsigned i = 0; i < bus->nodes; i++)
        if (takes_part(&bus->node[i]) && bus->node[i].on_since <= bus->event.began &&
            !(bus->event.senders & 1U << i))
            nodes |= 1U << i;
    return nodes;
}

static bool is_sender(const sim_bus_t *bus, unsigned i)
{
    return takes_part(&bus->node[i]) && bus->event.senders & 1U << i;
}

static void fail_senders(sim_bus_t *bus, bool acknowledged)
{
    for (unsigned i = 0; i < bus->nodes; i++) {
        sim_bus_node_t *n = &bus->node[i];
        if (!is_sender(bus, i)) continue;
        // Alone on the bus, nobody goes bus-off.
        if (acknowledged || n->state == SIM_BUS_ERROR_ACTIVE) n->tec += 8;
        judge(n);
        if (n->state == SIM_BUS_BUS_OFF) bus->event.off |= 1U << i;
    }
}

static void end_error(sim_bus_t *bus)
{
    const uint32_t others = listeners(bus);
    bus->errors++;
    for (unsigned i = 0; i < bus->nodes; i++)
        if (others & 1U << i) {
            bus->node[i].rec++;
            judge(&bus->node[i]);
        }
    fail_senders(bus, others != 0);
    if (bus->event.off) bus->event.kind = SIM_BUS_OFF;
}

static void end_frame(sim_bus_t *bus)
{
    bus->frames++;
    bus->event.heard = listeners(bus);
    for (unsigned i = 0; i < bus->nodes; i++) {
        sim_bus_node_t *n = &bus->node[i];
        if (bus->event.heard & 1U << i) count_heard(n);
        if (!is_sender(bus, i) || !bus->event.sent) continue;
        count_sent(n);
        n->head = (n->head + 1) % SIM_BUS_QUEUE;
        n->count--;
    }
    if (!bus->event.sent) fail_senders(bus, true);
}

static void rest(sim_bus_t *bus)
{
    for (unsigned i = 0; i < bus->nodes; i++)
        if (is_sender(bus, i) && bus->node[i].state == SIM_BUS_ERROR_PASSIVE)
            bus->node[i].rest = bus->free + SUSPEND * bus->bit;
}

/// False: it is an error frame now, and ends later.
static bool end(sim_bus_t *bus)
{
    if (bus->event.kind == SIM_BUS_FRAME) {
        if (listeners(bus) == 0) {
            occupy(bus, SIM_BUS_ERROR, bus->ends + (FLAG + DELIMITER - AFTER_ACK) * bus->bit);
            return false;
        }
        end_frame(bus);
    } else
        end_error(bus);
    rest(bus);
    bus->running = false;
    bus->busy += bus->free - bus->event.began;
    return true;
}

/// While the bus is idle.
static nsec_t recovery_at(const sim_bus_t *bus, const sim_bus_node_t *n)
{
    if (!n->recovering) return NSEC_NEVER;
    return later(n->quiet_at, bus->recessive) + (RECOVERY - n->quiet) * (RECESSIVE * bus->bit);
}

nsec_t sim_bus_next(const sim_bus_t *bus)
{
    nsec_t next = bus->running ? bus->ends : NSEC_NEVER;
    for (unsigned i = 0; i < bus->nodes && !bus->running; i++) {
        next = sooner(next, ready_at(bus, &bus->node[i]));
        next = sooner(next, recovery_at(bus, &bus->node[i]));
    }
    return next;
}

sim_bus_kind_t sim_bus_step(sim_bus_t *bus, sim_bus_event_t *ev)
{
    const nsec_t now = sim_bus_next(bus);
    *ev = (sim_bus_event_t){ .kind = SIM_BUS_NONE };
    if (bus->running) {
        if (end(bus)) *ev = bus->event;
        return ev->kind;
    }
    for (unsigned i = 0; i < bus->nodes; i++) {
        sim_bus_node_t *n = &bus->node[i];
        if (recovery_at(bus, n) > now) continue;
        n->recovering = false;
        n->tec = n->rec = 0;
        judge(n);
        *ev = (sim_bus_event_t){ .kind = SIM_BUS_RECOVERED, .from = i };
        return ev->kind;
    }
    begin(bus, now);
    *ev = bus->event;
    return ev->kind = SIM_BUS_BEGAN;
}

// --- Nodes come and go ---

void sim_bus_init(sim_bus_t *bus, uint32_t bitrate, uint32_t data_bitrate, uint64_t seed)
{
    memset(bus, 0, sizeof *bus);
    bus->bit = 1000000000 / bitrate;
    bus->data_bit = 1000000000 / data_bitrate;
    bus->chance = seed;
}

void sim_bus_on(sim_bus_t *bus, unsigned node, unsigned cap, nsec_t now)
{
    ASSERT(node < SIM_BUS_NODES && cap > 0 && cap <= SIM_BUS_QUEUE);
    sim_bus_off(bus, node, now);
    sim_bus_node_t *n = &bus->node[node];
    *n = (sim_bus_node_t){ .on = true, .on_since = now + RECESSIVE * bus->bit, .cap = cap };
    if (node >= bus->nodes) bus->nodes = node + 1;
}

void sim_bus_off(sim_bus_t *bus, unsigned node, nsec_t now)
{
    const uint32_t bit = 1U << node;
    bus->node[node].on = false;
    bus->node[node].recovering = false;
    if (!bus->running || !(bus->event.senders & bit)) return;
    bus->event.senders &= ~bit;
    // Behind the ACK its bits are recessive anyway, and an error flag is also that of the others.
    if (bus->event.senders == 0 && bus->event.kind == SIM_BUS_FRAME && now < bus->recessive)
        flag_error(bus, now);
}

bool sim_bus_send(sim_bus_t *bus, unsigned node, const can_frame_t *frame, nsec_t now)
{
    sim_bus_node_t *n = &bus->node[node];
    if (!takes_part(n) || n->count == n->cap) return false;
    if (n->count == 0) n->since = now;
    n->queue[(n->head + n->count++) % SIM_BUS_QUEUE] = *frame;
    return true;
}

void sim_bus_recover(sim_bus_t *bus, unsigned node, nsec_t now)
{
    sim_bus_node_t *n = &bus->node[node];
    if (!n->on || n->state != SIM_BUS_BUS_OFF || n->recovering) return;
    n->recovering = true;
    n->quiet = 0;
    n->quiet_at = now;
}
