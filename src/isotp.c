// isotp.c - ISO 15765-2: see isotp.h for its use.
// SPDX-License-Identifier: Apache-2.0
#include "isotp.h"

enum { PCI_SF = 0x00, PCI_FF = 0x10, PCI_CF = 0x20, PCI_FC = 0x30 };                // (9.6.1)
enum { FC_NONE = 0, FC_CTS = PCI_FC, FC_WAIT = PCI_FC + 1, FC_OVFLW = PCI_FC + 2 }; // (9.6.5.1)
enum { OFFER_NONE, OFFER_FC, OFFER_MESSAGE, OFFER_ORDINARY };
enum { PCI_NEVER = 0x100 }; // makes rx.pci no PCI: the next frame is not an ordinary one
enum { CLASSIC_LEN = 8, ORDINARY_LEN = 7, FF_ESCAPE_MIN = 4096, FC_LEN = 3 };

// The length of a frame that has to hold `len` bytes (10.4.2).
static uint32_t frame_len(const isotp_cfg_t *cfg, uint32_t len)
{
    if (!CAN_FD || len <= CLASSIC_LEN) return cfg->pad ? CLASSIC_LEN : len;
    return (len <= 24) ? (len + 3) & ~UINT32_C(3) : (len + 15) & ~UINT32_C(15);
}

// Reserved STmin codes mean the longest gap that can be asked for (9.6.5.5), never none.
static uint32_t stmin_us(uint32_t code)
{
    uint32_t unit = 1000;
    if (code - 0xF1 <= 0xF9 - 0xF1) {
        code &= 0x0F;
        unit = 100;
    } else if (code > 0x7F) {
        code = 0x7F;
    }
    return code * unit;
}

// Takes the ordinary frames off those left in the block: `full` ones come before the last of the message. A block
// without end has 0 left.
static uint32_t run_of(uint32_t *left, uint32_t full)
{
    if (!ISOTP_QUICK) return 0;
    const uint32_t run = (full > *left - 1) ? *left : full;
    *left -= run;
    return run;
}

// --- Receive ---

static void rx_enter(isotp_t *tp, isotp_rx_state_t state)
{
    tp->rx.state = state;
    tp->rx.since = tp->clock;
}

static void rx_say(isotp_t *tp, uint32_t fc)
{
    tp->fc = fc;
    if (tp->offer == OFFER_FC) tp->offer = OFFER_NONE;
}

static void rx_end(isotp_t *tp)
{
    tp->rx.state = ISOTP_RX_IDLE;
    tp->rx.pci = PCI_NEVER;
    rx_say(tp, FC_NONE);
}

static NOINLINE isotp_events_t rx_fail(isotp_t *tp, isotp_why_t why)
{
    rx_end(tp);
    tp->rx.why = why;
    return ISOTP_RX_FAILED;
}

static void rx_hold(isotp_t *tp)
{
    tp->rx.waits = tp->cfg->wft_max;
    rx_enter(tp, ISOTP_RX_HELD);
}

// Single and First Frame. p: the frame from its PCI on, len bytes.
static NOINLINE isotp_events_t on_beginning(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    isotp_rx_t *rx = &tp->rx;
    const bool fd = CAN_FD && len + tp->head > CLASSIC_LEN;
    uint32_t header = 1, msg_len = p[0], data_len = msg_len;
    if (msg_len < PCI_FF) {
        if (fd) {
            header = 2;
            data_len = p[1];
            if (msg_len != 0 || data_len < CLASSIC_LEN - tp->head) return ISOTP_NONE;
            msg_len = data_len;
        }
        if (msg_len - 1 >= len - header) return ISOTP_NONE; // 0, or more than there is
    } else {
        uint32_t min = fd ? len - 1 : len;
        if (len + tp->head < CLASSIC_LEN || tp->cfg->functional) return ISOTP_NONE;
        header = 2;
        msg_len = (msg_len - PCI_FF) << 8 | p[1];
        if (msg_len == 0) {
            header = 6;
            msg_len = load_be32(&p[2]);
            min = FF_ESCAPE_MIN;
        }
        if (msg_len < min) return ISOTP_NONE;
        data_len = len - header;
    }
    isotp_events_t events = ISOTP_RX_BEGIN | ISOTP_RX_DATA;
    if (rx->state != ISOTP_RX_IDLE) {
        rx->why = ISOTP_UNEXP_PDU;
        events |= ISOTP_RX_FAILED;
    }
    rx_end(tp);
    rx->len = msg_len;
    rx->at = 0;
    rx->data = p + header;
    rx->data_len = data_len;
    if (data_len == msg_len) return events | ISOTP_RX_END;
    rx->cf_len = len - 1;
    rx->pci = PCI_NEVER | PCI_CF | 1;
    rx_hold(tp);
    return events;
}

static void rx_append(isotp_rx_t *rx, const uint8_t *p)
{
    rx->pci = (rx->pci + 1) & (PCI_CF | 0x0F);
    rx->at += rx->cf_len;
    rx->data = p + 1;
}

static NOINLINE isotp_events_t on_consecutive(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    isotp_rx_t *rx = &tp->rx;
    if (rx->state < ISOTP_RX_CF) return ISOTP_NONE;
    const uint32_t rest = rx->len - rx->at - rx->data_len;
    uint32_t data_len = rx->cf_len;
    if (len - 1 > data_len) return ISOTP_NONE;
    if (data_len > rest) data_len = rest;
    if (len - 1 < data_len) return ISOTP_NONE; // not the one awaited; N_Cr goes on
    if (p[0] != (uint8_t)rx->pci) return rx_fail(tp, ISOTP_WRONG_SN);
    rx_append(rx, p);
    rx->pci |= PCI_NEVER;
    rx->data_len = data_len;
    if (data_len == rest) {
        rx->state = ISOTP_RX_IDLE;
        return ISOTP_RX_DATA | ISOTP_RX_END;
    }
    rx_enter(tp, ISOTP_RX_CF);
    if (--rx->left == 0) rx_hold(tp);
    return ISOTP_RX_DATA;
}

static bool rx_owes(const isotp_t *tp) { return ((unsigned)tp->rx.state & ~1u) == ISOTP_RX_HELD; }

uint32_t isotp_wanted(const isotp_t *tp)
{
    return rx_owes(tp) ? tp->rx.len - tp->rx.at - tp->rx.data_len : 0;
}

void isotp_proceed(isotp_t *tp, uint8_t block_size, uint8_t stmin, usec_t now)
{
    if (!rx_owes(tp)) return;
    tp->clock = (uint32_t)now;
    tp->rx.left = block_size;
    rx_say(tp, FC_CTS | (uint32_t)block_size << 8 | (uint32_t)stmin << 16);
    rx_enter(tp, ISOTP_RX_CTS);
}

void isotp_refuse(isotp_t *tp, usec_t now)
{
    const bool say_so = rx_owes(tp) && tp->rx.at == 0;
    if (tp->rx.state == ISOTP_RX_IDLE) return;
    rx_end(tp);
    if (!say_so) return;
    tp->clock = (uint32_t)now;
    tp->fc = FC_OVFLW;
    rx_enter(tp, ISOTP_RX_IDLE);
}

// --- Transmit ---

static void tx_enter(isotp_t *tp, isotp_tx_state_t state)
{
    tp->tx.state = state;
    tp->tx.since = tp->clock;
}

void isotp_cancel(isotp_t *tp)
{
    if (tp->offer >= OFFER_MESSAGE) tp->offer = OFFER_NONE;
    tp->tx.run = 0;
    tp->tx.state = ISOTP_TX_IDLE;
}

static NOINLINE isotp_events_t tx_fail(isotp_t *tp, isotp_why_t why)
{
    isotp_cancel(tp);
    tp->tx.why = why;
    return ISOTP_TX_FAILED;
}

static NOINLINE isotp_events_t on_flow_control(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    isotp_tx_t *tx = &tp->tx;
    if (((unsigned)tx->state & ~1u) != ISOTP_TX_FLOW || len < FC_LEN) return ISOTP_NONE;
    isotp_why_t why = ISOTP_INVALID_FS;
    switch (p[0]) {
    case FC_CTS:
        tx->waits = 0;
        tx->left = p[1];
        tx->gap = stmin_us(p[2]);
        if (tx->gap < tp->cfg->min_gap) tx->gap = tp->cfg->min_gap;
        if (tx->gap == 0 && tx->msg && tp->room == CLASSIC_LEN)
            tx->run = run_of(&tx->left, (tx->len - tx->at - 1) / ORDINARY_LEN);
        tx_enter(tp, ISOTP_TX_OFFER);
        return ISOTP_NONE;
    case FC_WAIT:
        why = ISOTP_WFT_OVRN;
        if (++tx->waits == tp->cfg->wft_patience) break;
        tx_enter(tp, ISOTP_TX_FLOW);
        return ISOTP_NONE;
    case FC_OVFLW: why = ISOTP_BUFFER_OVFLW; break;
    default: break;
    }
    return tx_fail(tp, why);
}

bool isotp_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    ASSERT(len > 0);
    if (tx->state != ISOTP_TX_IDLE) return false;
    if (tp->cfg->functional && len >= tp->room - (CAN_FD && tp->room > CLASSIC_LEN)) return false;
    tp->clock = (uint32_t)now;
    tx->msg = msg;
    tx->len = len;
    tx->at = 0;
    tx->pci = PCI_CF;
    tx->waits = 0;
    tx->left = 1; // flow control comes after the First Frame
    tx_enter(tp, ISOTP_TX_OFFER);
    return true;
}

bool isotp_start_from(isotp_t *tp, isotp_source_t *source, void *ctx, uint32_t len, usec_t now)
{
    if (!isotp_start(tp, NULL, len, now)) return false;
    tp->tx.source = source;
    tp->tx.ctx = ctx;
    return true;
}

// Writes the header of the message's first frame; returns its length.
static uint32_t first_header(const isotp_t *tp, uint8_t *p)
{
    const uint32_t len = tp->tx.len;
    p[0] = (uint8_t)len;
    if (len + tp->head < CLASSIC_LEN) return 1; // the type, PCI_SF, is 0
    p[0] = 0;
    p[1] = (uint8_t)len;
    if (CAN_FD && len + 2 <= tp->room) return 2;
    p[0] = (uint8_t)(PCI_FF | len >> 8);
    if (len < FF_ESCAPE_MIN) return 2;
    p[0] = PCI_FF;
    p[1] = 0;
    store_be32(&p[2], len);
    return 6;
}

static NOINLINE const can_frame_t *show(isotp_t *tp, uint32_t offer, uint32_t used, bool fd)
{
    can_frame_t *out = &tp->out;
    tp->offer = offer;
    used += tp->head;
    const uint32_t len = frame_len(tp->cfg, used);
    out->len = (uint8_t)len;
    if (CAN_FD && tp->cfg->fd) tp->out.brs = (tp->out.fd = fd) && tp->cfg->brs;
    memset(&out->data[used], tp->cfg->pad_byte, len - used);
    return out;
}

static NOINLINE const can_frame_t *show_message(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    uint8_t *p = &tp->out.data[tp->head];
    uint32_t header = 1, len = tx->len - tx->at;
    p[0] = (uint8_t)tx->pci;
    if (tx->at == 0) header = first_header(tp, p);
    if (len > tp->room - header) len = tp->room - header;
    tx->piece = len;
    if (tx->msg)
        memcpy(p + header, tx->msg + tx->at, len);
    else if (!tx->source(tx->ctx, tx->at, p + header, len))
        return NULL;
    tx->since = (uint32_t)now;
    return show(tp, OFFER_MESSAGE, header + len, tp->cfg->fd);
}

static const can_frame_t *show_flow_control(isotp_t *tp)
{
    uint8_t *p = &tp->out.data[tp->head];
    p[0] = (uint8_t)tp->fc;
    p[1] = (uint8_t)(tp->fc >> 8);
    p[2] = (uint8_t)(tp->fc >> 16);
    return show(tp, OFFER_FC, FC_LEN, CAN_FD && tp->rx.fd);
}

static NOINLINE const can_frame_t *output_other(isotp_t *tp, usec_t now)
{
    if (tp->offer != OFFER_NONE) return &tp->out;
    if (tp->count == ISOTP_IN_FLIGHT_MAX) return NULL;
    if (tp->fc != FC_NONE) return show_flow_control(tp);
    return (tp->tx.state == ISOTP_TX_OFFER) ? show_message(tp, now) : NULL;
}

const can_frame_t *isotp_output(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    if (!ISOTP_QUICK || tx->run == 0 || tp->offer != OFFER_NONE || tp->fc != FC_NONE ||
        tp->count == ISOTP_IN_FLIGHT_MAX)
        return output_other(tp, now);
    tp->out.data[0] = (uint8_t)tx->pci;
    memcpy(&tp->out.data[1], tx->msg + tx->at, ORDINARY_LEN);
    tx->since = (uint32_t)now;
    tp->offer = OFFER_ORDINARY;
    return &tp->out;
}

// --- The driver took a frame; the frame has left ---

static NOINLINE void flow_control_taken(isotp_t *tp)
{
    isotp_rx_t *rx = &tp->rx;
    tp->offer = OFFER_NONE;
    tp->out.len = CLASSIC_LEN; // for the next ordinary frame
    if (CAN_FD && tp->cfg->fd) {
        tp->out.fd = true;
        tp->out.brs = tp->cfg->brs;
    }
    tp->fc = FC_NONE;
    if (rx->state != ISOTP_RX_CTS) return;
    rx->state = ISOTP_RX_GO;
    rx->at += rx->data_len - rx->cf_len;
    rx->data_len = rx->cf_len;
}

static NOINLINE void message_frame_taken(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    if (ISOTP_QUICK && tp->offer == OFFER_ORDINARY) {
        tx->piece = ORDINARY_LEN;
        tx->run--;
        tx->left++;
    }
    tp->offer = OFFER_NONE;
    tx->at += tx->piece;
    tx->pci = (tx->pci + 1) & (PCI_CF | 0x0F);
    tx->since = tp->clock;
    if (tx->gap != 0) tx->state = ISOTP_TX_GAP;
    if (--tx->left == 0) tx->state = ISOTP_TX_AWAIT;
    if (tx->at == tx->len) tx->state = ISOTP_TX_DRAIN;
}

void isotp_taken(isotp_t *tp, usec_t now)
{
    ASSERT(tp->offer != OFFER_NONE);
    tp->clock = (uint32_t)now;
    if (tp->offer == OFFER_FC) {
        flow_control_taken(tp);
    } else {
        tp->flight |= UINT32_C(1) << tp->count;
        message_frame_taken(tp);
    }
    tp->count++;
}

static isotp_events_t flow_control_left(isotp_t *tp)
{
    isotp_rx_t *rx = &tp->rx;
    if (tp->fc != FC_NONE || !(rx->state & 1) || (tp->flight + 1) >> tp->count == 0)
        return ISOTP_NONE;
    rx_enter(tp, rx->state & ~1u);
    if (!ISOTP_QUICK || rx->state != ISOTP_RX_CF || tp->head != 0) return ISOTP_NONE;
    rx->run = run_of(&rx->left, (rx->len - rx->at - rx->cf_len - 1) / rx->cf_len);
    if (rx->run != 0) rx->pci &= ~(uint32_t)PCI_NEVER;
    return ISOTP_NONE;
}

static isotp_events_t message_frame_left(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    if (tp->flight != 0 || !(tx->state & 1)) return ISOTP_NONE;
    tx_enter(tp, tx->state & ~1u);
    return tx->state == ISOTP_TX_IDLE ? ISOTP_SENT : ISOTP_NONE;
}

static NOINLINE isotp_events_t sent_other(isotp_t *tp, usec_t now)
{
    tp->clock = (uint32_t)now;
    if (tp->count != 0) {
        const bool message = tp->flight & 1;
        tp->count--;
        tp->flight >>= 1;
        return message ? message_frame_left(tp) : flow_control_left(tp);
    }
    if (tp->offer == OFFER_FC) {
        flow_control_taken(tp);
        return flow_control_left(tp);
    }
    if (tp->offer == OFFER_NONE) return ISOTP_NONE; // a frame that nobody knows of
    message_frame_taken(tp);
    return message_frame_left(tp);
}

isotp_events_t isotp_sent(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    if (!ISOTP_QUICK || tp->offer != OFFER_ORDINARY || tp->count != 0) return sent_other(tp, now);
    tp->offer = OFFER_NONE;
    tx->at += ORDINARY_LEN;
    tx->pci = (tx->pci + 1) & (PCI_CF | 0x0F);
    if (--tx->run == 0 && tx->left == 0) {
        tp->clock = (uint32_t)now;
        tx_enter(tp, ISOTP_TX_FLOW);
    }
    return ISOTP_NONE;
}

void isotp_lost(isotp_t *tp)
{
    if (tp->flight != 0 && tp->tx.state != ISOTP_TX_IDLE && tp->tx.state != ISOTP_TX_FLOW) {
        isotp_cancel(tp);
        tp->tx.state = ISOTP_TX_LOST;
        tp->tx.since = tp->clock - tp->cfg->n_as;
    }
    tp->flight = 0;
    tp->count = 0;
}

// --- Both ---

bool isotp_well_padded(const isotp_t *tp, const can_frame_t *f)
{
    const uint8_t *p = &f->data[tp->head];
    uint32_t used = f->len - tp->head;
    switch (p[0] & 0xF0) {
    case PCI_SF: used = (f->len > CLASSIC_LEN) ? p[1] + 2u : p[0] + 1u; break;
    case PCI_CF:
        used = 1 + (uint32_t)smaller(tp->rx.cf_len, tp->rx.len - tp->rx.at - tp->rx.data_len);
        break;
    case PCI_FC: used = FC_LEN; break;
    default: break; // a First Frame is full
    }
    used += tp->head;
    if (f->len != frame_len(tp->cfg, used)) return false;
    while (used < f->len)
        if (f->data[used++] != tp->cfg->pad_byte) return false;
    return true;
}

uint8_t isotp_stmin(uint32_t us)
{
    if (us - 1 < 900) return (uint8_t)(0xF0 + (us + 99) / 100);
    return (us < 127000) ? (uint8_t)((us + 999) / 1000) : 127;
}

static NOINLINE isotp_events_t input_other(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    const isotp_cfg_t *cfg = tp->cfg;
    const uint8_t *p = f->data + tp->head;
    const uint32_t len = f->len - tp->head;
    tp->clock = (uint32_t)now;
    if (f->id != cfg->rx_id || f->ext != cfg->ext) return ISOTP_NONE;
    if (f->fd && !(CAN_FD && cfg->fd)) return ISOTP_NONE;
    if (f->len <= tp->head) return ISOTP_NONE; // no PCI
    if (tp->head != 0 && f->data[0] != cfg->rx_address) return ISOTP_NONE;
    switch (p[0] >> 4) {
    case PCI_SF >> 4:
    case PCI_FF >> 4:
        if (CAN_FD) {
            tp->format = f->format;
            tp->rx.fd = f->fd;
        }
        return on_beginning(tp, p, len);
    case PCI_CF >> 4: return on_consecutive(tp, p, len);
    case PCI_FC >> 4: return on_flow_control(tp, p, len);
    default: return ISOTP_NONE; // reserved (9.6.1): ignored
    }
}

isotp_events_t isotp_input(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    isotp_rx_t *rx = &tp->rx;
    if (!ISOTP_QUICK || f->data[0] != rx->pci || f->len - 1u != rx->cf_len ||
        f->id != tp->cfg->rx_id || f->format != tp->format)
        return input_other(tp, f, now);
    rx_append(rx, f->data);
    rx->since = (uint32_t)now;
    if (--rx->run == 0) {
        rx->pci |= PCI_NEVER;
        tp->clock = (uint32_t)now;
        if (rx->left == 0) rx_hold(tp);
    }
    return ISOTP_RX_DATA;
}

static bool rx_idle(const isotp_t *tp)
{
    return tp->rx.state == ISOTP_RX_IDLE && tp->fc == FC_NONE;
}

// How long the state's clock may run.
static uint32_t rx_limit(const isotp_t *tp)
{
    if (tp->rx.state == ISOTP_RX_HELD) return tp->cfg->n_br;
    if (tp->rx.state == ISOTP_RX_CF) return tp->cfg->n_cr;
    return tp->cfg->n_ar;
}

static uint32_t tx_limit(const isotp_t *tp)
{
    if (tp->tx.state == ISOTP_TX_PAUSE) return tp->tx.gap;
    if (tp->tx.state == ISOTP_TX_FLOW) return tp->cfg->n_bs;
    return tp->cfg->n_as;
}

// The driver was never asked to send it.
static bool tx_unasked(const isotp_t *tp)
{
    return tp->tx.state == ISOTP_TX_OFFER && tp->offer < OFFER_MESSAGE &&
           tp->count < ISOTP_IN_FLIGHT_MAX;
}

// In 64 bits: within half an hour of the last isotp_tick(), or past.
static usec_t end_of(const isotp_t *tp, uint32_t since, uint32_t limit)
{
    return tp->now + (usec_t)(int32_t)(since + limit - (uint32_t)tp->now);
}

usec_t isotp_deadline(const isotp_t *tp)
{
    usec_t deadline = USEC_NEVER;
    if (tp->tx.state != ISOTP_TX_IDLE && !tx_unasked(tp))
        deadline = end_of(tp, tp->tx.since, tx_limit(tp));
    if (!rx_idle(tp)) deadline = sooner(deadline, end_of(tp, tp->rx.since, rx_limit(tp)));
    return deadline;
}

static isotp_events_t rx_timeout(isotp_t *tp)
{
    isotp_rx_t *rx = &tp->rx;
    isotp_why_t why = ISOTP_TIMEOUT_A;
    switch (rx->state) {
    case ISOTP_RX_IDLE: // an OVFLW that the driver did not take in time
        rx_end(tp);
        return ISOTP_NONE;
    case ISOTP_RX_HELD:
        why = ISOTP_WFT_OVRN;
        if (rx->waits-- == 0) break;
        tp->fc = FC_WAIT;
        rx_enter(tp, ISOTP_RX_WAIT);
        return ISOTP_NONE;
    case ISOTP_RX_CF: why = ISOTP_TIMEOUT_CR; break;
    case ISOTP_RX_WAIT:
    case ISOTP_RX_CTS:
    case ISOTP_RX_GO: break;
    }
    return rx_fail(tp, why);
}

static NOINLINE isotp_events_t tx_tick(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    if (tx->state == ISOTP_TX_IDLE || tx_unasked(tp) || tp->clock - tx->since < tx_limit(tp))
        return ISOTP_NONE;
    if (tx->state == ISOTP_TX_PAUSE) {
        tx_enter(tp, ISOTP_TX_OFFER);
        return ISOTP_NONE;
    }
    return tx_fail(tp, tx->state == ISOTP_TX_FLOW ? ISOTP_TIMEOUT_BS : ISOTP_TIMEOUT_A);
}

static NOINLINE isotp_events_t both_tick(isotp_t *tp)
{
    const isotp_events_t events = rx_timeout(tp);
    return events | tx_tick(tp);
}

isotp_events_t isotp_tick(isotp_t *tp, usec_t now)
{
    tp->clock = (uint32_t)now;
    tp->now = now;
    if (rx_idle(tp) || tp->clock - tp->rx.since < rx_limit(tp)) return tx_tick(tp);
    return both_tick(tp);
}

void isotp_init(isotp_t *tp, const isotp_cfg_t *cfg)
{
    memset(tp, 0, sizeof *tp);
    tp->cfg = cfg;
    tp->out.id = cfg->tx_id;
    tp->out.ext = cfg->ext;
    tp->format = tp->out.format;
    tp->out.data[0] = cfg->tx_address;
    tp->head = cfg->prefixed;
    tp->room = ((CAN_FD && cfg->tx_dl) ? cfg->tx_dl : CLASSIC_LEN) - tp->head;
}
