// fuzz_isotp_pair.c - a fuzzer that is all between two ISO-TP channels: a bus that loses and repeats frames, time, sinks.
// SPDX-License-Identifier: Apache-2.0
//
// Each end is judged by isotp_watch.h as it is. Here the two are compared: as long as the bus did nothing wrong and
// nobody gave up, what one has sent is what the other has received.
//
// links: test/unit/isotp_watch.c
#include "fuzz.h"
#include "isotp_watch.h"

#include <string.h>

enum { WIRE = 16 };

typedef struct {
    can_frame_t frames[WIRE]; // on their way to the other end, oldest first
    uint32_t lens[WIRE];      // of the messages they belong to
    unsigned count;
    bool faulty; // since both ends were at rest and nothing was on the way
} wire_t;

typedef struct {
    watch_t w;
    isotp_cfg_t cfg;
    wire_t wire;       // what this end sent
    bool holds;        // its driver confirms later than it takes
    bool grants;       // its sink says go at once, with this:
    uint8_t bs, stmin; // (a long gap makes the fuzzer slow, not the test better)
    uint32_t len;      // of the message it sends, as given to watch_start()
    uint32_t expected; // length of the message that the frame just arrived belongs to
    uint32_t received; // bytes of the message it receives
    unsigned sent, ended, given_up;
} end_t;

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

static void handle(end_t *e, end_t *peer, isotp_events_t ev)
{
    const isotp_rx_t *rx = &e->w.tp.rx;
    // After a message was given up, a flow control still on its way is taken for one of the next: then
    // consecutive frames are ignored, and 16 of them are none to the sequence number.
    const bool clean = !e->wire.faulty && !peer->wire.faulty && e->given_up + peer->given_up == 0;
    if (ev & ISOTP_RX_FAILED) e->given_up++;
    if (ev & ISOTP_RX_BEGIN) {
        e->received = 0;
        if (clean) must(rx->len == e->expected, "a message of another length begins");
    }
    if (ev & ISOTP_RX_DATA) {
        must(rx->at == e->received && rx->data_len <= rx->len - rx->at, "data out of order");
        for (uint32_t i = 0; clean && i < rx->data_len; i++)
            must(rx->data[i] == watch_byte(rx->at + i), "other bytes than were sent");
        e->received += rx->data_len;
    }
    if (ev & ISOTP_RX_END) {
        must(e->received == rx->len, "an end before the end");
        e->ended++;
    }
    if (ev & ISOTP_SENT) e->sent++;
    if (ev & ISOTP_TX_FAILED) e->given_up++;
    if (e->grants) watch_proceed(&e->w, e->bs, e->stmin);
}

// The driver: takes a frame and puts it on the wire.
static bool transmit(end_t *e, end_t *peer)
{
    wire_t *wire = &e->wire;
    if (wire->count == WIRE) return false;
    const can_frame_t *f = watch_output(&e->w);
    if (f == NULL || (e->holds && e->w.taken == ISOTP_IN_FLIGHT_MAX)) return false;
    wire->lens[wire->count] = e->len;
    wire->frames[wire->count++] = *f;
    if (e->holds || e->w.taken > 0)
        watch_taken(&e->w);
    else
        handle(e, peer, watch_sent(&e->w));
    return true;
}

static bool confirm(end_t *e, end_t *peer)
{
    if (e->w.taken == 0) return false;
    handle(e, peer, watch_sent(&e->w));
    return true;
}

// The oldest frame arrives at the peer; or is lost, or stays to arrive once more.
static bool arrive(end_t *e, end_t *peer, bool lost, bool again)
{
    wire_t *wire = &e->wire;
    if (wire->count == 0) return false;
    const can_frame_t f = wire->frames[0];
    wire->faulty |= lost || again;
    peer->expected = wire->lens[0];
    if (!again) {
        wire->count--;
        memmove(wire->frames, wire->frames + 1, wire->count * sizeof wire->frames[0]);
        memmove(wire->lens, wire->lens + 1, wire->count * sizeof wire->lens[0]);
    }
    if (!lost) handle(peer, e, watch_input(&peer->w, &f));
    return true;
}

static bool at_rest(const end_t *e)
{
    return e->w.rx == WATCH_RX_IDLE && e->w.tx == WATCH_TX_IDLE && e->w.fc[0] == 0 &&
           e->w.taken == 0 && e->wire.count == 0;
}

// Nothing is under way: both have the same idea of what was said.
static void compare(end_t *a, end_t *b)
{
    if (!at_rest(a) || !at_rest(b)) return;
    if (!a->wire.faulty && !b->wire.faulty && a->given_up + b->given_up == 0) {
        must(a->sent == b->ended, "not every message sent has arrived");
        must(b->sent == a->ended, "not every message sent has arrived");
    }
    a->wire.faulty = b->wire.faulty = false;
    a->sent = a->ended = a->given_up = b->sent = b->ended = b->given_up = 0;
}

static void pass(end_t *a, end_t *b, usec_t duration)
{
    watch_wait(&a->w, duration);
    watch_wait(&b->w, duration);
    handle(a, b, watch_tick(&a->w));
    handle(b, a, watch_tick(&b->w));
}

// A good bus, for a while.
static void run(end_t *a, end_t *b, unsigned frames)
{
    while (frames > 0) {
        bool busy = transmit(a, b);
        busy |= transmit(b, a);
        busy |= confirm(a, b);
        busy |= confirm(b, a);
        busy |= arrive(a, b, false, false);
        busy |= arrive(b, a, false, false);
        if (!busy) {
            const usec_t due = sooner(isotp_deadline(&a->w.tp), isotp_deadline(&b->w.tp));
            if (due == USEC_NEVER) break;
            pass(a, b, due > a->w.now ? due - a->w.now : 0);
        }
        frames--;
    }
}

static void start(end_t *e, uint32_t len, bool source)
{
    if (watch_start(&e->w, len, source)) e->len = len;
}

static void step(end_t *a, end_t *b, fuzz_bytes_t *in)
{
    const uint8_t what = fuzz_byte(in);
    if (what & 0x80) {
        end_t *swap = a;
        a = b;
        b = swap;
    }
    switch (what & 0x0F) {
    case 0: run(a, b, fuzz_byte(in)); break;
    case 1: (void)transmit(a, b); break;
    case 2: (void)arrive(a, b, false, false); break;
    case 3: (void)arrive(a, b, true, false); break;
    case 4: (void)arrive(a, b, false, true); break;
    case 5: start(a, 1u + fuzz_byte(in), false); break;
    case 6: start(a, 1 + (fuzz_u32(in) >> 16) % WATCH_MESSAGE_MAX, what & 0x10); break;
    case 7: pass(a, b, 1u + fuzz_byte(in) * 16u); break;
    case 8: pass(a, b, fuzz_byte(in) * 16384u); break;
    case 9: a->holds = what & 0x10; break;
    case 10:
        a->grants = what & 0x10;
        a->bs = fuzz_byte(in) & 0x3F;
        a->stmin = (uint8_t)FUZZ_PICK(in, 0, 0, 1, 0xF1, 127);
        handle(a, b, ISOTP_NONE);
        break;
    case 11: watch_proceed(&a->w, what >> 4 & 7, 0); break;
    case 12:
        if (a->w.rx != WATCH_RX_IDLE) a->given_up++;
        watch_refuse(&a->w);
        break;
    case 13:
        if (a->w.tx != WATCH_TX_IDLE) a->given_up++;
        watch_cancel(&a->w);
        break;
    case 14: (void)confirm(a, b); break;
    default:
        if (a->w.taken == 0) break;
        a->given_up++; // though the frames are on the wire: it cannot know
        watch_lost(&a->w);
        break;
    }
    compare(a, b);
}

static void configure(end_t *a, end_t *b, fuzz_bytes_t *in)
{
    static const uint8_t tx_dl[] = { 8, 64, 12, 0, 16, 20, 32, 48 };
    const uint8_t flags = fuzz_byte(in), lengths = fuzz_byte(in), more = fuzz_byte(in);
    isotp_cfg_t cfg = { .tx_id = 1,
                        .rx_id = 2,
                        .ext = flags & 1,
                        .prefixed = flags & 2,
                        .tx_address = 0x10,
                        .rx_address = 0xF1,
                        .pad = flags & 4,
                        .pad_byte = 0xCC,
                        .fd = CAN_HAS_FD && (flags & 8),
                        .brs = CAN_HAS_FD && (flags & 8) && (flags & 16),
                        .wft_max = (uint8_t)(more & 3),
                        .wft_patience = more >> 6,
                        .n_as = 1000000,
                        .n_ar = 1000000,
                        .n_bs = 1000000,
                        .n_cr = 1000000,
                        .n_br = (more & 4) ? 700000 : 10,
                        .min_gap = (more & 8) ? 300 : 0 };
    a->cfg = b->cfg = cfg;
    b->cfg.tx_id = a->cfg.rx_id;
    b->cfg.rx_id = a->cfg.tx_id;
    b->cfg.tx_address = a->cfg.rx_address;
    b->cfg.rx_address = a->cfg.tx_address;
    b->cfg.pad = flags & 32;
    if (cfg.fd) a->cfg.tx_dl = tx_dl[lengths & 7];
    if (cfg.fd) b->cfg.tx_dl = tx_dl[lengths >> 4 & 7];
    a->grants = b->grants = true;
    watch_init(&a->w, &a->cfg, 0);
    watch_init(&b->w, &b->cfg, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static end_t a, b;
    fuzz_bytes_t in = { data, data + len };
    watch_fail = fuzz_fail;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    configure(&a, &b, &in);
    while (in.at < in.end)
        step(&a, &b, &in);
    // At last everybody behaves.
    a.grants = b.grants = true;
    a.stmin = b.stmin = 0;
    a.holds = b.holds = false;
    handle(&a, &b, ISOTP_NONE);
    handle(&b, &a, ISOTP_NONE);
    run(&a, &b, 10000);
    must(at_rest(&a) && at_rest(&b), "a message never ends");
    compare(&a, &b);
    return 0;
}
