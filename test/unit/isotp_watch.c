// isotp_watch.c - what an ISO-TP channel must do, written down a second time: see isotp_watch.h.
// SPDX-License-Identifier: Apache-2.0
//
// Clauses as in isotp.h. Time differences are taken modulo 2^32, as the header says.
#include "isotp_watch.h"

enum { SF = 0, FF = 1, CF = 2, FC = 3 };
enum { CTS = 0x30, WAIT = 0x31, OVFLW = 0x32 };

void (*watch_fail)(const char *what);

static void must(bool right, const char *what)
{
    if (!right) watch_fail(what);
}

static bool over(const watch_t *w, usec_t since, uint32_t limit)
{
    return (int32_t)(uint32_t)(w->now - since) >= (int32_t)limit;
}

// --- The bytes of messages sent ---

uint8_t watch_byte(uint32_t at) { return (uint8_t)(at * 167 + (at >> 8) * 29 + 3); }

static const uint8_t *message(void)
{
    static uint8_t bytes[WATCH_MESSAGE_MAX];
    for (uint32_t at = 0; bytes[0] == 0 && at < sizeof bytes; at++)
        bytes[sizeof bytes - 1 - at] = watch_byte((uint32_t)sizeof bytes - 1 - at);
    return bytes;
}

// What the source is asked during one call of isotp_output().
static struct {
    bool ready;
    unsigned calls;
    uint32_t at, len;
} probe;

// The type is isotp_source_t's.
// cppcheck-suppress constParameter
static bool source(void *ctx, uint32_t at, uint8_t *to, size_t len)
{
    must(ctx == &probe, "the source got another context");
    probe.calls++;
    probe.at = at;
    probe.len = (uint32_t)len;
    for (size_t i = 0; i < len; i++)
        to[i] = probe.ready ? watch_byte(at + (uint32_t)i) : 0xEE; // scribbled, and then refused
    return probe.ready;
}

// --- What must be true at any time ---

static uint32_t rx_limit(const watch_t *w)
{
    if (w->rx == WATCH_RX_HELD) return w->cfg->n_br;
    return w->rx == WATCH_RX_CF ? w->cfg->n_cr : w->cfg->n_ar;
}

static uint32_t tx_limit(const watch_t *w)
{
    if (w->tx == WATCH_TX_LOST) return 0;
    if (w->tx == WATCH_TX_PAUSE) return w->tx_gap;
    return w->tx == WATCH_TX_FLOW ? w->cfg->n_bs : w->cfg->n_as;
}

// Does a clock run? It starts again when the frame is shown that it waits for.
static bool rx_runs(const watch_t *w) { return w->rx != WATCH_RX_IDLE || w->fc[0] != 0; }

// N_As of a message's first frame only since it was shown, or could not be for want of room: so
// long nobody waits for it.
static bool tx_runs(const watch_t *w)
{
    if (w->tx == WATCH_TX_OFFER && w->tx_at == 0)
        return w->offered == WATCH_MESSAGE || w->taken == ISOTP_IN_FLIGHT_MAX;
    return w->tx != WATCH_TX_IDLE;
}

// Later, from the moment when the frame before was taken; or shown, which is as good as long as
// isotp_output() is called at once.
static bool tx_not_shown(const watch_t *w)
{
    return w->tx == WATCH_TX_OFFER && w->tx_at != 0 && w->offered != WATCH_MESSAGE;
}

// The header asks for a tick every half hour. Who did not call has low halves of times to go by:
// deadlines that are past, or, after an hour, any.
typedef enum { IN_TIME, LATE, LOST_COUNT } punctuality_t;

static punctuality_t punctuality(const watch_t *w)
{
    usec_t oldest = w->now, last = 0;
    if (rx_runs(w)) {
        oldest = sooner(oldest, w->rx_since);
        last = later(last, w->rx_since + rx_limit(w));
    }
    if (tx_runs(w)) {
        oldest = sooner(oldest, w->tx_since);
        last = later(last, w->tx_since + tx_limit(w));
    }
    if (w->now - oldest > INT32_MAX) return LOST_COUNT;
    return last > w->ticked + INT32_MAX ? LATE : IN_TIME;
}

static void deadline(const watch_t *w)
{
    const usec_t due = isotp_deadline(&w->tp);
    const usec_t rx = rx_runs(w) ? w->rx_since + rx_limit(w) : USEC_NEVER;
    const usec_t tx = tx_runs(w) ? w->tx_since + tx_limit(w) : USEC_NEVER;
    const bool past = sooner(rx, tx) < w->ticked; // then it only matters that it is
    const bool at_most = w->tx == WATCH_TX_LOST || tx_not_shown(w) || past;
    switch (punctuality(w)) {
    case LOST_COUNT: must(due != USEC_NEVER, "no deadline"); break;
    case LATE: must(due <= sooner(rx, tx), "too late a deadline"); break;
    case IN_TIME:
        must(at_most ? due <= sooner(rx, tx) : due == sooner(rx, tx), "another deadline");
        break;
    }
}

// The invariants written above the structs: the one place that looks at private fields.
static void fields(const watch_t *w)
{
    const isotp_t *tp = &w->tp;
    const isotp_rx_t *rx = &tp->rx;
    const isotp_tx_t *tx = &tp->tx;
    must((rx->state != ISOTP_RX_IDLE) == (w->rx != WATCH_RX_IDLE), "rx.state is not what was told");
    must((tx->state != ISOTP_TX_IDLE) == (w->tx != WATCH_TX_IDLE), "tx.state is not what was told");
    must(tp->count == w->taken && tp->count <= ISOTP_IN_FLIGHT_MAX, "tp.count");
    must(tp->flight == w->messages, "tp.flight");
    must((tp->offer != 0) == (w->offered != WATCH_NOTHING), "tp.offer");
    must((tp->fc != 0) == (w->fc[0] != 0), "tp.fc");
    must(w->offered != WATCH_FC || tp->fc != 0, "a flow control is shown, but not to be sent");
    must(w->offered != WATCH_MESSAGE || tx->state == ISOTP_TX_OFFER, "shown, but not to be sent");
    must(tp->fc == 0 || rx->state == ISOTP_RX_WAIT || rx->state == ISOTP_RX_CTS ||
             rx->state == ISOTP_RX_IDLE,
         "a flow control to be sent when none is due");
    if (rx->state != ISOTP_RX_IDLE) {
        must(rx->at + rx->data_len == w->rx_got, "rx.at + rx.data_len is not what came");
        must(w->rx_got < rx->len, "all was received, but it is not over");
    }
    if (ISOTP_QUICK)
        must((rx->pci <= 0xFF) == (rx->run != 0 && rx->state == ISOTP_RX_CF), "rx.pci and rx.run");
    must(tx->state == ISOTP_TX_IDLE || tx->at == w->tx_at, "tx.at is not what was sent");
    must(tx->at <= tx->len, "tx.at is behind the message");
    if (tx->state != ISOTP_TX_IDLE && tx->state != ISOTP_TX_LOST)
        must((tx->at == tx->len) == (tx->state == ISOTP_TX_DRAIN), "not DRAIN when all was sent");
    must(tx->run == 0 || tx->state == ISOTP_TX_OFFER, "tx.run outside of a block");
}

static void anytime(const watch_t *w)
{
    const uint32_t wanted = isotp_wanted(&w->tp);
    const bool owed = w->rx == WATCH_RX_HELD || w->rx == WATCH_RX_WAIT;
    must(wanted == (owed ? w->rx_len - w->rx_got : 0), "isotp_wanted()");
    if (w->rx != WATCH_RX_IDLE)
        must(w->tp.rx.len == w->rx_len && w->tp.rx.cf_len == w->rx_cf, "rx.len");
    if (w->tx != WATCH_TX_IDLE) must(w->tp.tx.len == w->tx_len, "tx.len");
    deadline(w);
    fields(w);
}

// A tick before its time changes nothing.
static void early(const watch_t *w)
{
    if (punctuality(w) != IN_TIME || w->now >= isotp_deadline(&w->tp)) return;
    isotp_t copy = w->tp;
    must(isotp_tick(&copy, w->now) == ISOTP_NONE, "a tick before the deadline reports");
    must(copy.rx.state == w->tp.rx.state && copy.tx.state == w->tp.tx.state &&
             isotp_wanted(&copy) == isotp_wanted(&w->tp) &&
             isotp_deadline(&copy) == isotp_deadline(&w->tp),
         "a tick before the deadline changes something");
}

// --- Receive ---

static void rx_enter(watch_t *w, watch_rx_state_t state)
{
    w->rx = state;
    w->rx_since = w->now;
}

static void rx_say(watch_t *w, uint8_t status, uint8_t block_size, uint8_t stmin)
{
    w->fc[0] = status;
    w->fc[1] = block_size;
    w->fc[2] = stmin;
    if (w->offered == WATCH_FC) w->offered = WATCH_NOTHING;
}

static void rx_end(watch_t *w)
{
    w->rx = WATCH_RX_IDLE;
    rx_say(w, 0, 0, 0);
}

// Ends a reception; the event to be reported.
static isotp_events_t rx_failed(watch_t *w, isotp_why_t *expected, isotp_why_t why)
{
    *expected = why;
    rx_end(w);
    return ISOTP_RX_FAILED;
}

// The frame, as short as it may be, or as long as padding makes it.
static bool well_padded(const isotp_cfg_t *cfg, const can_frame_t *f, uint32_t used)
{
    static const uint8_t lengths[] = { 8, 12, 16, 20, 24, 32, 48, 64 };
    uint32_t len = used;
    for (size_t i = 0; i < sizeof lengths && (used > 8 || cfg->pad); i++) {
        len = lengths[i];
        if (len >= used) break;
    }
    if (f->len != len) return false;
    for (uint32_t i = used; i < len; i++)
        if (f->data[i] != cfg->pad_byte) return false;
    return true;
}

// What a frame means, here and now.
typedef struct {
    isotp_events_t events;
    isotp_why_t rx_why, tx_why;
    uint32_t at, header, data_len, len; // of its piece of a message
    uint32_t used;                      // bytes of it that mean something; 0: it is ignored
} meaning_t;

static void begin(watch_t *w, meaning_t *m, uint32_t header, uint32_t data_len, uint32_t len)
{
    if (w->rx != WATCH_RX_IDLE) m->events |= rx_failed(w, &m->rx_why, ISOTP_UNEXP_PDU);
    rx_end(w);
    m->events |= ISOTP_RX_BEGIN | ISOTP_RX_DATA;
    m->header = header;
    m->data_len = data_len;
    m->used = header + data_len;
    m->len = w->rx_len = len;
    w->rx_got = data_len;
}

static void single(watch_t *w, const can_frame_t *f, const uint8_t *p, uint32_t n, meaning_t *m)
{
    uint32_t header = 1, len = p[0] & 0x0F;
    if (CAN_HAS_FD && f->len > 8) {
        if (len != 0 || n < 2) return;
        header = 2;
        len = p[1];
        if (len + 1 + w->cfg->prefixed <= 8) return; // would have fitted a classic one
    }
    if (len == 0 || header + len > n) return;
    begin(w, m, header, len, len);
    m->events |= ISOTP_RX_END;
}

static void first(watch_t *w, const can_frame_t *f, const uint8_t *p, uint32_t n, meaning_t *m)
{
    if (f->len < 8 || w->cfg->functional) return;
    uint32_t header = 2, len = (p[0] & 0x0Fu) * 256 + p[1];
    const uint32_t min = f->len == 8 ? n : n - 1; // FF_DLmin (Table 14)
    if (len == 0) {
        header = 6;
        len = load_be32(p + 2);
        if (len < 4096) return;
    }
    if (len < min) return;
    begin(w, m, header, n - header, len);
    w->rx_cf = (uint8_t)(n - 1);
    w->rx_sn = 1;
    w->rx_waits = 0;
    w->rx_first = true;
    w->rx_fd = f->fd;
    rx_enter(w, WATCH_RX_HELD);
}

static void consecutive(watch_t *w, const uint8_t *p, uint32_t n, meaning_t *m)
{
    if (w->rx != WATCH_RX_GO && w->rx != WATCH_RX_CF) return;
    const uint32_t piece = (uint32_t)smaller(w->rx_cf, w->rx_len - w->rx_got);
    if (n - 1 > w->rx_cf || n - 1 < piece) return;
    m->used = 1 + piece;
    if (p[0] != (CF << 4 | w->rx_sn)) {
        m->events = rx_failed(w, &m->rx_why, ISOTP_WRONG_SN);
        return;
    }
    m->events = ISOTP_RX_DATA;
    m->at = w->rx_got;
    m->header = 1;
    m->data_len = piece;
    m->len = w->rx_len;
    w->rx_got += piece;
    w->rx_sn = (w->rx_sn + 1) & 0x0F;
    w->rx_first = false;
    w->rx_block--;
    if (w->rx_got == w->rx_len) {
        m->events |= ISOTP_RX_END;
        rx_end(w);
    } else if (w->rx_block == 0) {
        w->rx_waits = 0;
        rx_enter(w, WATCH_RX_HELD);
    } else {
        rx_enter(w, WATCH_RX_CF);
    }
}

// --- Transmit ---

static void tx_enter(watch_t *w, watch_tx_state_t state)
{
    w->tx = state;
    w->tx_since = w->now;
}

static void tx_end(watch_t *w)
{
    w->tx = WATCH_TX_IDLE;
    w->mine = 0;
    if (w->offered == WATCH_MESSAGE) w->offered = WATCH_NOTHING;
}

static isotp_events_t tx_failed(watch_t *w, isotp_why_t *expected, isotp_why_t why)
{
    *expected = why;
    tx_end(w);
    return ISOTP_TX_FAILED;
}

static uint32_t stmin_us(uint8_t code)
{
    if (code <= 0x7F) return code * 1000u;
    if (code >= 0xF1 && code <= 0xF9) return (code - 0xF0u) * 100;
    return 127000; // reserved (9.6.5.5)
}

static void flow_control(watch_t *w, const uint8_t *p, uint32_t n, meaning_t *m)
{
    if ((w->tx != WATCH_TX_AWAIT && w->tx != WATCH_TX_FLOW) || n < 3) return;
    m->used = 3;
    switch (p[0]) {
    case CTS:
        w->tx_block = p[1];
        w->tx_gap = (uint32_t)later(stmin_us(p[2]), w->cfg->min_gap);
        w->tx_waits = 0;
        tx_enter(w, WATCH_TX_OFFER);
        break;
    case WAIT:
        w->tx_waits++;
        if (w->cfg->wft_patience != 0 && w->tx_waits > w->cfg->wft_patience)
            m->events = tx_failed(w, &m->tx_why, ISOTP_WFT_OVRN);
        else
            tx_enter(w, WATCH_TX_FLOW);
        break;
    case OVFLW: m->events = tx_failed(w, &m->tx_why, ISOTP_BUFFER_OVFLW); break;
    default: m->events = tx_failed(w, &m->tx_why, ISOTP_INVALID_FS); break;
    }
}

// --- A frame comes in ---

isotp_events_t watch_input(watch_t *w, const can_frame_t *f)
{
    const isotp_cfg_t *cfg = w->cfg;
    const uint32_t head = cfg->prefixed;
    const uint8_t *p = f->data + head;
    meaning_t m = { 0 };
    const bool for_us = f->id == cfg->rx_id && f->ext == cfg->ext &&
                        (!f->fd || (CAN_HAS_FD && cfg->fd)) && f->len > head &&
                        f->len <= CAN_DATA_MAX && (head == 0 || f->data[0] == cfg->rx_address);
    const bool padded = f->len <= CAN_DATA_MAX && isotp_well_padded(&w->tp, f);
    if (for_us) {
        const uint32_t n = f->len - head;
        switch (p[0] >> 4) {
        case SF: single(w, f, p, n, &m); break;
        case FF: first(w, f, p, n, &m); break;
        case CF: consecutive(w, p, n, &m); break;
        case FC: flow_control(w, p, n, &m); break;
        default: break;
        }
    }
    if (m.used != 0) must(padded == well_padded(cfg, f, m.used + head), "isotp_well_padded()");

    const isotp_events_t ev = isotp_input(&w->tp, f, w->now);
    const isotp_rx_t *rx = &w->tp.rx;
    must(ev == m.events, "a frame does not do what it should");
    if (ev & ISOTP_RX_FAILED) must(rx->why == m.rx_why, "a reception failed for another reason");
    if (ev & ISOTP_TX_FAILED) must(w->tp.tx.why == m.tx_why, "a message failed for another reason");
    if (ev & ISOTP_RX_DATA) {
        must(rx->len == m.len && rx->at == m.at, "bytes of another place");
        must(rx->data == p + m.header && rx->data_len == m.data_len,
             "other bytes than the frame's");
    }
    anytime(w);
    return ev;
}

// --- A frame goes out ---

// The next piece of the message, as a frame; returns the bytes of the message in it.
static uint32_t piece_frame(const watch_t *w, can_frame_t *f)
{
    const uint32_t head = w->cfg->prefixed,
                   tx_dl = (CAN_HAS_FD && w->cfg->tx_dl) ? w->cfg->tx_dl : 8;
    const uint32_t len = w->tx_len, rest = len - w->tx_at;
    uint8_t *p = f->data + head;
    uint32_t header = 1;
    if (w->tx_at > 0) {
        p[0] = (uint8_t)(CF << 4 | w->tx_sn);
    } else if (len <= 7 - head) {
        p[0] = (uint8_t)len;
    } else if (tx_dl > 8 && len <= tx_dl - head - 2) {
        header = 2;
        p[0] = 0;
        p[1] = (uint8_t)len;
    } else if (len <= 4095) {
        header = 2;
        p[0] = (uint8_t)(FF << 4 | len / 256);
        p[1] = (uint8_t)(len % 256);
    } else {
        header = 6;
        p[0] = FF << 4;
        p[1] = 0;
        store_be32(p + 2, len);
    }
    const uint32_t piece = (uint32_t)smaller(rest, tx_dl - head - header);
    for (uint32_t i = 0; i < piece; i++)
        p[header + i] = watch_byte(w->tx_at + i);
    f->fd = CAN_HAS_FD && w->cfg->fd;
    f->len = (uint8_t)(head + header + piece);
    return piece;
}

static uint32_t piece_len(const watch_t *w)
{
    can_frame_t f;
    return piece_frame(w, &f);
}

static void frame_is_right(const watch_t *w, const can_frame_t *out)
{
    const isotp_cfg_t *cfg = w->cfg;
    can_frame_t want;
    if (w->offered == WATCH_FC) {
        memcpy(want.data + cfg->prefixed, w->fc, sizeof w->fc);
        want.fd = w->rx_fd;
        want.len = (uint8_t)(cfg->prefixed + sizeof w->fc);
    } else {
        (void)piece_frame(w, &want);
    }
    want.data[0] = cfg->prefixed ? cfg->tx_address : want.data[0];
    must(out->id == cfg->tx_id && out->ext == cfg->ext, "sent with another ID");
    must(out->fd == want.fd, "sent in the wrong format");
    must(out->brs == (out->fd && cfg->brs), "sent with the wrong bit rate");
    must(!out->esi, "sent with ESI");
    must(memcmp(out->data, want.data, want.len) == 0, "other bytes are sent");
    must(well_padded(cfg, out, want.len), "sent too long, too short or with other padding");
}

const can_frame_t *watch_output(watch_t *w)
{
    const bool had = w->offered != WATCH_NOTHING;
    const bool full = !had && w->taken == ISOTP_IN_FLIGHT_MAX;
    const bool have =
        w->tx == WATCH_TX_OFFER && (w->offered == WATCH_MESSAGE || !w->tx_source || w->ready);
    probe.ready = w->ready;
    probe.calls = 0;
    const can_frame_t *out = isotp_output(&w->tp, w->now);
    must((out != NULL) == (!full && (w->fc[0] != 0 || have)),
         "no frame is offered, or one too many");
    if (probe.calls > 0) {
        must(probe.calls == 1 && !had && w->tx == WATCH_TX_OFFER,
             "the source is asked once too often");
        must(probe.at == w->tx_at && probe.len == piece_len(w),
             "the source is asked for other bytes");
    }
    if (out != NULL) {
        const watch_kind_t kind = out->data[w->cfg->prefixed] >> 4 == FC ? WATCH_FC : WATCH_MESSAGE;
        must(kind == WATCH_FC ? w->fc[0] != 0 : have, "a frame that is not due is sent");
        must(!had || w->offered == kind, "another frame is offered before the first was taken");
        must(kind == WATCH_FC || !w->cfg->functional || w->tx_at == 0,
             "more than a single frame to all");
        w->offered = kind;
        if (!had && kind == WATCH_FC) w->rx_since = w->now;                    // N_Ar
        if (!had && kind == WATCH_MESSAGE) w->tx_since = w->tx_shown = w->now; // N_As
        frame_is_right(w, out);
        must(isotp_output(&w->tp, w->now) == out, "asked twice, answered differently");
        frame_is_right(w, out);
    }
    anytime(w);
    return out;
}

// The driver has the frame offered.
static void commit(watch_t *w)
{
    if (w->offered == WATCH_FC) {
        rx_say(w, 0, 0, 0);
        if (w->rx == WATCH_RX_CTS) w->rx = WATCH_RX_GO;
    } else {
        w->tx_at += piece_len(w);
        w->tx_sn = (w->tx_sn + 1) & 0x0F;
        w->tx_block--;
        w->tx = w->tx_at == w->tx_len ? WATCH_TX_DRAIN
                : w->tx_block == 0    ? WATCH_TX_AWAIT
                : w->tx_gap > 0       ? WATCH_TX_GAP
                                      : WATCH_TX_OFFER;
        if (w->tx == WATCH_TX_OFFER) w->tx_since = w->now; // else until this one has left
    }
    w->offered = WATCH_NOTHING;
}

void watch_taken(watch_t *w)
{
    if (w->offered == WATCH_MESSAGE) {
        w->messages |= 1u << w->taken;
        w->mine++;
    }
    w->taken++;
    commit(w);
    isotp_taken(&w->tp, w->now);
    anytime(w);
}

// The frame left: the one offered, or the oldest one taken.
static isotp_events_t left(watch_t *w, watch_kind_t kind)
{
    if (kind == WATCH_FC) {
        const bool last = w->messages + 1u >= 1u << w->taken; // no other flow control is under way
        if (w->fc[0] != 0 || !last) return ISOTP_NONE;
        if (w->rx == WATCH_RX_WAIT) rx_enter(w, WATCH_RX_HELD);
        if (w->rx == WATCH_RX_GO) rx_enter(w, WATCH_RX_CF);
        return ISOTP_NONE;
    }
    if (w->mine > 0) return ISOTP_NONE;
    switch (w->tx) {
    case WATCH_TX_GAP: tx_enter(w, WATCH_TX_PAUSE); return ISOTP_NONE;
    case WATCH_TX_AWAIT: tx_enter(w, WATCH_TX_FLOW); return ISOTP_NONE;
    case WATCH_TX_DRAIN: tx_end(w); return ISOTP_SENT;
    case WATCH_TX_IDLE:
    case WATCH_TX_OFFER:
    case WATCH_TX_PAUSE:
    case WATCH_TX_FLOW:
    case WATCH_TX_LOST: break;
    }
    return ISOTP_NONE;
}

isotp_events_t watch_sent(watch_t *w)
{
    isotp_events_t expected = ISOTP_NONE;
    if (w->taken > 0) {
        const watch_kind_t kind = (w->messages & 1) ? WATCH_MESSAGE : WATCH_FC;
        w->messages >>= 1;
        w->taken--;
        uint8_t others = 0;
        for (uint32_t m = w->messages; m != 0; m >>= 1)
            others += m & 1;
        if (w->mine > others) w->mine = others;
        expected = left(w, kind);
    } else if (w->offered != WATCH_NOTHING) {
        const watch_kind_t kind = w->offered;
        commit(w);
        expected = left(w, kind);
    }
    must(isotp_sent(&w->tp, w->now) == expected, "a confirmation does not do what it should");
    anytime(w);
    return expected;
}

void watch_lost(watch_t *w)
{
    if (w->mine > 0 && w->tx != WATCH_TX_IDLE && w->tx != WATCH_TX_FLOW) {
        tx_enter(w, WATCH_TX_LOST);
        if (w->offered == WATCH_MESSAGE) w->offered = WATCH_NOTHING;
    }
    if (w->taken > 0) w->prompt = false;
    w->messages = 0;
    w->taken = w->mine = 0;
    isotp_lost(&w->tp);
    anytime(w);
}

// --- Time ---

void watch_wait(watch_t *w, usec_t duration)
{
    const bool due =
        w->tx == WATCH_TX_OFFER || (w->tx == WATCH_TX_PAUSE && over(w, w->tx_since, w->tx_gap));
    if (w->taken > 0 || w->fc[0] != 0 || due) w->prompt = false;
    w->now += duration;
    anytime(w);
    early(w);
}

static isotp_events_t rx_tick(watch_t *w, isotp_why_t *why)
{
    if (!rx_runs(w) || !over(w, w->rx_since, rx_limit(w))) return ISOTP_NONE;
    switch (w->rx) {
    case WATCH_RX_IDLE: rx_end(w); return ISOTP_NONE; // an OVFLW that nobody took
    case WATCH_RX_HELD:
        if (w->rx_waits == w->cfg->wft_max) return rx_failed(w, why, ISOTP_WFT_OVRN);
        w->rx_waits++;
        rx_say(w, WAIT, 0, 0);
        rx_enter(w, WATCH_RX_WAIT);
        return ISOTP_NONE;
    case WATCH_RX_CF: return rx_failed(w, why, ISOTP_TIMEOUT_CR);
    case WATCH_RX_WAIT:
    case WATCH_RX_CTS:
    case WATCH_RX_GO: break;
    }
    return rx_failed(w, why, ISOTP_TIMEOUT_A);
}

static isotp_events_t tx_tick(watch_t *w, bool failed, isotp_why_t *why)
{
    const bool sooner_than_that = tx_not_shown(w) && failed && over(w, w->tx_shown, w->cfg->n_as);
    if (!tx_runs(w) || !(sooner_than_that || over(w, w->tx_since, tx_limit(w)))) return ISOTP_NONE;
    switch (w->tx) {
    case WATCH_TX_PAUSE: tx_enter(w, WATCH_TX_OFFER); return ISOTP_NONE;
    case WATCH_TX_FLOW: return tx_failed(w, why, ISOTP_TIMEOUT_BS);
    case WATCH_TX_IDLE:
    case WATCH_TX_LOST:
    case WATCH_TX_GAP:
    case WATCH_TX_AWAIT:
    case WATCH_TX_DRAIN:
    case WATCH_TX_OFFER: break;
    }
    return tx_failed(w, why, ISOTP_TIMEOUT_A);
}

isotp_events_t watch_tick(watch_t *w)
{
    isotp_why_t rx_why = ISOTP_OK, tx_why = ISOTP_OK;
    const isotp_events_t ev = isotp_tick(&w->tp, w->now);
    w->ticked = w->now;
    isotp_events_t expected = rx_tick(w, &rx_why);
    expected |= tx_tick(w, ev & ISOTP_TX_FAILED, &tx_why);
    must(ev == expected, "time does not do what it should");
    if (ev & ISOTP_RX_FAILED) must(w->tp.rx.why == rx_why, "a reception failed for another reason");
    if (ev & ISOTP_TX_FAILED) must(w->tp.tx.why == tx_why, "a message failed for another reason");
    must(!w->prompt || (rx_why != ISOTP_TIMEOUT_A && tx_why != ISOTP_TIMEOUT_A),
         "TIMEOUT_A, though the driver took all at once");
    if (punctuality(w) != LOST_COUNT)
        must(isotp_deadline(&w->tp) > w->now, "after a tick, the deadline is not in the future");
    anytime(w);
    return ev;
}

// --- The application ---

bool watch_start(watch_t *w, uint32_t len, bool from_source)
{
    const uint32_t tx_dl = (CAN_HAS_FD && w->cfg->tx_dl) ? w->cfg->tx_dl : 8;
    const uint32_t single_max = tx_dl - w->cfg->prefixed - (tx_dl > 8 ? 2 : 1);
    const bool expected = w->tx == WATCH_TX_IDLE && (!w->cfg->functional || len <= single_max);
    const bool accepted = from_source ? isotp_start_from(&w->tp, source, &probe, len, w->now)
                                      : isotp_start(&w->tp, message(), len, w->now);
    must(accepted == expected, "a message is accepted, or refused, against the rule");
    if (accepted) {
        w->tx_len = len;
        w->tx_at = w->tx_gap = 0;
        w->tx_block = 1;
        w->tx_sn = 0;
        w->tx_waits = 0;
        w->tx_source = from_source;
        w->mine = 0;
        tx_enter(w, WATCH_TX_OFFER);
    }
    anytime(w);
    return accepted;
}

void watch_cancel(watch_t *w)
{
    tx_end(w);
    isotp_cancel(&w->tp);
    anytime(w);
}

void watch_proceed(watch_t *w, uint8_t block_size, uint8_t stmin)
{
    if (w->rx == WATCH_RX_HELD || w->rx == WATCH_RX_WAIT) {
        w->rx_block = block_size;
        rx_say(w, CTS, block_size, stmin);
        rx_enter(w, WATCH_RX_CTS);
    }
    isotp_proceed(&w->tp, block_size, stmin, w->now);
    anytime(w);
}

void watch_refuse(watch_t *w)
{
    const bool owed = w->rx == WATCH_RX_HELD || w->rx == WATCH_RX_WAIT;
    if (w->rx != WATCH_RX_IDLE) rx_end(w);
    if (owed && w->rx_first) {
        rx_say(w, OVFLW, 0, 0);
        rx_enter(w, WATCH_RX_IDLE);
    }
    isotp_refuse(&w->tp, w->now);
    anytime(w);
}

void watch_settle(watch_t *w)
{
    w->ready = true;
    (void)watch_tick(w);
    while (w->taken > 0)
        (void)watch_sent(w);
    uint32_t frames = 0;
    for (unsigned turns = 0; turns < 1200; turns++) { // the peer may be told WAIT 255 times
        while (watch_output(w)) {
            (void)watch_sent(w);
            if (++frames > 100) watch_cancel(w); // long enough
        }
        const usec_t due = isotp_deadline(&w->tp);
        if (due == USEC_NEVER) break;
        must(due > w->now || turns == 0 || w->cfg->n_br == 0, "asks to be called for ever");
        if (due > w->now) watch_wait(w, due - w->now);
        (void)watch_tick(w);
    }
    must(w->rx == WATCH_RX_IDLE && w->tx == WATCH_TX_IDLE && w->fc[0] == 0, "a message never ends");
    must(isotp_deadline(&w->tp) == USEC_NEVER, "at rest, but with a deadline");
}

void watch_init(watch_t *w, const isotp_cfg_t *cfg, usec_t now)
{
    memset(w, 0, sizeof *w);
    w->cfg = cfg;
    w->now = now;
    w->ready = true;
    w->prompt = true;
    isotp_init(&w->tp, cfg);
    anytime(w);
}
