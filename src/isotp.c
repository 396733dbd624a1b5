// isotp.c - ISO 15765-2: see isotp.h for its use.
// SPDX-License-Identifier: Apache-2.0
//
// Two machines that share nothing but the driver.
//
//   RX  any        SF, FF      ->  IDLE (SF), HELD (FF)  deliver; a message in progress ends with UNEXP_PDU
//   RX  HELD       n_br        ->  WAIT                  or, after wft_max of them, IDLE  WFT_OVRN
//   RX  HELD,WAIT  proceed     ->  CTS
//   RX  CTS        taken       ->  GO
//   RX  WAIT, GO   left        ->  HELD, CF
//   RX  CF, GO     CF          ->  CF, HELD (block over), IDLE (message over)  deliver
//   TX  IDLE       start       ->  OFFER
//   TX  OFFER      taken       ->  OFFER, GAP (there is an STmin), AWAIT (FF, block over), DRAIN (message over)
//   TX  GAP, AWAIT, DRAIN  left  ->  PAUSE, FLOW, IDLE  SENT
//   TX  PAUSE      STmin       ->  OFFER
//   TX  AWAIT,FLOW CTS, WAIT   ->  OFFER, FLOW
//
// A flow control or a CF may overtake the confirmation of the frame that it answers (the driver
// reports both from interrupts): it is accepted as soon as that frame was taken.
//
// Ordinary frames are the full consecutive ones in the middle of a message: nearly all. As long as
// `run` counts them, isotp_input(), isotp_output() and isotp_sent() take a short way that asks only
// what may have changed since the frame before; what is more than that is left to x_other(), which
// could do the whole work alone, and with ISOTP_SMALL does. Ordinary to receive are those without
// an address byte; to send, those of 7 bytes from memory, without a gap.
#include "isotp.h"

enum { PCI_SF = 0x00, PCI_FF = 0x10, PCI_CF = 0x20, PCI_FC = 0x30, PCI_RESERVED = 0x40 }; // (9.6.1)
enum { FC_NONE = 0, FC_CTS = PCI_FC, FC_WAIT = PCI_FC + 1, FC_OVFLW = PCI_FC + 2 }; // (9.6.5.1)
enum { PCI_NONE = ISOTP_QUICK << 8 };                         // no PCI byte has this bit
enum { OFFER_NONE, OFFER_FC, OFFER_MESSAGE, OFFER_ORDINARY }; // in this order
#define NO_LIMIT UINT32_C(0x40000000) // of a clock that does not run: longer than any may be
enum { CLASSIC_LEN = 8, ORDINARY_LEN = 7, FF_ESCAPE_MIN = 4096, FC_LEN = 3 };

// The length of a frame that has to hold `len` bytes (10.4.2).
static uint32_t frame_len(const isotp_cfg_t *cfg, uint32_t len)
{
    if (!CAN_HAS_FD || len <= CLASSIC_LEN) return cfg->pad ? CLASSIC_LEN : len;
    return (len <= 24) ? (len + 3) & ~UINT32_C(3) : (len + 15) & ~UINT32_C(15);
}

// Reserved STmin codes mean the longest gap that can be asked for (9.6.5.5), never none.
static uint32_t stmin_us(uint32_t code)
{
    uint32_t unit = 1000;
    if (code >= 0xF1 && code <= 0xF9) {
        code &= 0x0F;
        unit = 100;
    } else if (code > 0x7F) {
        code = 0x7F;
    }
    return code * unit;
}

uint8_t isotp_stmin(uint32_t us)
{
    if (us - 1 < 900) return (uint8_t)(0xF0 + (us + 99) / 100);
    return (us < 127000) ? (uint8_t)((us + 999) / 1000) : 127;
}

static uint32_t next_pci(uint32_t pci) { return (pci + 1) & (PCI_CF | 0x0F); }

// Takes the ordinary frames off those left in the block: `full` ones come before the last of the
// message. 0 left: the block has no end.
static uint32_t run_of(uint32_t *left, uint32_t full)
{
    const uint32_t run = (full > *left - 1) ? *left : full;
    *left -= run;
    return run;
}

// --- Receive ---

static void rx_enter(isotp_t *tp, isotp_rx_state_t state, uint32_t limit)
{
    tp->rx.state = state;
    tp->rx.limit = limit;
    tp->rx.since = tp->clock;
}

static void set_fd(isotp_t *tp, bool fd)
{
    if (!CAN_HAS_FD || !tp->cfg->fd) return;
    tp->out.fd = fd;
    tp->out.brs = fd && tp->cfg->brs;
}

// What isotp_output() shows is no longer a flow control: the next frames expect to find their form.
static void unshow_flow_control(isotp_t *tp)
{
    tp->offer = OFFER_NONE;
    if (ISOTP_QUICK) tp->out.len = CLASSIC_LEN;
    set_fd(tp, true);
}

static void rx_say(isotp_t *tp, uint32_t fc)
{
    tp->fc = fc;
    if (tp->offer == OFFER_FC) unshow_flow_control(tp);
}

static void rx_end(isotp_t *tp)
{
    tp->rx.state = ISOTP_RX_IDLE;
    tp->rx.limit = NO_LIMIT;
    if (ISOTP_QUICK) tp->rx.run = 0;
    if (ISOTP_QUICK) tp->rx.pci = PCI_NONE;
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
    rx_enter(tp, ISOTP_RX_HELD, tp->cfg->n_br);
}

// Bytes of the message that have not come yet.
static uint32_t rx_rest(const isotp_rx_t *rx) { return rx->len - rx->at - rx->data_len; }

// Single and First Frame. p: the frame from its PCI on, len bytes.
static NOINLINE isotp_events_t on_beginning(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    isotp_rx_t *rx = &tp->rx;
    const bool longer = CAN_HAS_FD && len + tp->head > CLASSIC_LEN;
    uint32_t header = 1, msg_len = p[0], data_len = msg_len;
    if (msg_len < PCI_FF) {
        if (longer) { // SF_DL is escaped, and 0..7 is not for this form (9.6.2.1)
            header = 2;
            data_len = p[1];
            if (msg_len != 0 || data_len < CLASSIC_LEN - tp->head) return ISOTP_NONE;
            msg_len = data_len;
        }
        if (msg_len - 1 >= len - header) return ISOTP_NONE; // 0, or more than there is
    } else {
        uint32_t min = longer ? len - 1 : len; // FF_DLmin: what no Single Frame holds (9.6.3.1)
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
    rx->pci = PCI_NONE | PCI_CF | 1;
    rx_hold(tp);
    return events;
}

static void rx_append(isotp_rx_t *rx, const uint8_t *p)
{
    rx->pci = next_pci(rx->pci);
    rx->at += rx->cf_len;
    rx->data = p + 1;
}

static NOINLINE isotp_events_t on_consecutive(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    isotp_rx_t *rx = &tp->rx;
    if (rx->state < ISOTP_RX_CF) return ISOTP_NONE;
    const uint32_t rest = rx_rest(rx);
    uint32_t data_len = rx->cf_len;
    if (CAN_HAS_FD && len - 1 > data_len) return ISOTP_NONE;
    if (data_len > rest) data_len = rest;
    if (len - 1 < data_len) return ISOTP_NONE; // not the one awaited; N_Cr goes on
    if (p[0] != (rx->pci & ~(uint32_t)PCI_NONE)) return rx_fail(tp, ISOTP_WRONG_SN);
    rx_append(rx, p);
    if (ISOTP_QUICK) { // what follows an extraordinary frame is not ordinary either
        rx->pci |= PCI_NONE;
        rx->left += rx->run;
        rx->run = 0;
    }
    rx->data_len = data_len;
    if (data_len == rest) {
        rx_end(tp);
        return ISOTP_RX_DATA | ISOTP_RX_END;
    }
    rx_enter(tp, ISOTP_RX_CF, tp->cfg->n_cr);
    if (--rx->left == 0) rx_hold(tp);
    return ISOTP_RX_DATA;
}

static bool rx_owes(const isotp_t *tp) { return (unsigned)tp->rx.state - ISOTP_RX_HELD <= 1; }

uint32_t isotp_wanted(const isotp_t *tp) { return rx_owes(tp) ? rx_rest(&tp->rx) : 0; }

void isotp_proceed(isotp_t *tp, uint8_t block_size, uint8_t stmin, usec_t now)
{
    if (!rx_owes(tp)) return;
    tp->clock = (uint32_t)now;
    tp->rx.left = block_size;
    rx_say(tp, FC_CTS | (uint32_t)block_size << 8 | (uint32_t)stmin << 16);
    rx_enter(tp, ISOTP_RX_CTS, tp->cfg->n_ar);
}

void isotp_refuse(isotp_t *tp, usec_t now)
{
    const bool say_so = rx_owes(tp) && tp->rx.at == 0; // OVFLW only answers a First Frame (9.6.5.2)
    if (tp->rx.state == ISOTP_RX_IDLE) return;
    rx_end(tp);
    if (!say_so) return;
    tp->clock = (uint32_t)now;
    tp->fc = FC_OVFLW;
    rx_enter(tp, ISOTP_RX_IDLE, tp->cfg->n_ar);
}

// --- Transmit ---

static void tx_enter(isotp_t *tp, isotp_tx_state_t state, uint32_t limit)
{
    tp->tx.state = state;
    tp->tx.limit = limit;
    tp->tx.since = tp->clock;
}

void isotp_cancel(isotp_t *tp)
{
    if (tp->offer >= OFFER_MESSAGE) tp->offer = OFFER_NONE;
    if (ISOTP_QUICK) tp->tx.run = 0;
    tp->tx.state = ISOTP_TX_IDLE;
    tp->tx.limit = NO_LIMIT;
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
    if ((unsigned)tx->state - ISOTP_TX_FLOW > 1 || len < FC_LEN) return ISOTP_NONE; // or AWAIT
    isotp_why_t why = ISOTP_INVALID_FS;
    switch (p[0]) {
    case FC_CTS:
        tx->waits = 0;
        tx->left = p[1];
        tx->gap = stmin_us(p[2]);
        if (tx->gap < tp->cfg->min_gap) tx->gap = tp->cfg->min_gap;
        if (ISOTP_QUICK && tx->gap == 0 && tx->msg != NULL && tp->room == CLASSIC_LEN)
            tx->run = run_of(&tx->left, (tx->len - tx->at - 1) / ORDINARY_LEN);
        tx_enter(tp, ISOTP_TX_OFFER, tp->cfg->n_as);
        return ISOTP_NONE;
    case FC_WAIT:
        why = ISOTP_WFT_OVRN; // cppcheck-suppress unreadVariable ; it is read after the break
        if (tx->waits++ == tp->cfg->wft_patience && tp->cfg->wft_patience != 0) break;
        tx_enter(tp, ISOTP_TX_FLOW, tp->cfg->n_bs);
        return ISOTP_NONE;
    case FC_OVFLW: why = ISOTP_BUFFER_OVFLW; break;
    default: break;
    }
    return tx_fail(tp, why);
}

static bool tx_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    ASSERT(len > 0);
    if (tx->state != ISOTP_TX_IDLE) return false;
    if (tp->cfg->functional && len >= tp->room - (CAN_HAS_FD && tp->room > CLASSIC_LEN))
        return false;
    tp->clock = (uint32_t)now;
    tx->msg = msg;
    tx->len = len;
    tx->at = 0;
    tx->pci = PCI_CF;
    tx->waits = 0;
    tx->left = 1; // flow control comes after the First Frame
    tx_enter(tp, ISOTP_TX_OFFER, tp->cfg->n_as);
    return true;
}

bool isotp_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now)
{
    ASSERT(msg != NULL);
    return tx_start(tp, msg, len, now);
}

bool isotp_start_from(isotp_t *tp, isotp_source_t *source, void *ctx, uint32_t len, usec_t now)
{
    if (!tx_start(tp, NULL, len, now)) return false;
    tp->tx.source = source;
    tp->tx.ctx = ctx;
    return true;
}

// Writes the header of the message's first frame; returns its length.
static uint32_t first_header(const isotp_t *tp, uint8_t *p)
{
    const uint32_t len = tp->tx.len;
    p[0] = (uint8_t)len;
    if (len < CLASSIC_LEN - tp->head) return 1; // the type, PCI_SF, is 0
    p[0] = 0;
    p[1] = (uint8_t)len;
    if (CAN_HAS_FD && len <= tp->room - 2) return 2;
    p[0] = (uint8_t)(PCI_FF | len >> 8);
    if (len < FF_ESCAPE_MIN) return 2;
    p[0] = PCI_FF;
    p[1] = 0;
    store_be32(&p[2], len);
    return 6;
}

// --- What to send ---

// Completes the frame whose `used` bytes behind the address are written.
static NOINLINE const can_frame_t *show(isotp_t *tp, uint32_t offer, uint32_t used)
{
    can_frame_t *out = &tp->out;
    tp->offer = offer;
    used += tp->head;
    const uint32_t len = frame_len(tp->cfg, used);
    out->len = (uint8_t)len;
    memset(&out->data[used], tp->cfg->pad_byte, len - used);
    return out;
}

static NOINLINE const can_frame_t *show_message(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    uint8_t *p = &tp->out.data[tp->head];
    uint32_t header = 1;
    p[0] = (uint8_t)tx->pci;
    if (tx->at == 0) header = first_header(tp, p);
    const uint32_t len = (uint32_t)smaller(tp->room - header, tx->len - tx->at);
    tx->piece = len;
    if (tx->msg != NULL)
        memcpy(p + header, tx->msg + tx->at, len);
    else if (!tx->source(tx->ctx, tx->at, p + header, len))
        return NULL;
    tx->since = (uint32_t)now;
    return show(tp, OFFER_MESSAGE, header + len);
}

static const can_frame_t *show_flow_control(isotp_t *tp, usec_t now)
{
    uint8_t *p = &tp->out.data[tp->head];
    p[0] = (uint8_t)tp->fc;
    p[1] = (uint8_t)(tp->fc >> 8);
    p[2] = (uint8_t)(tp->fc >> 16);
    set_fd(tp, tp->peer_fd);
    tp->rx.since = (uint32_t)now;
    return show(tp, OFFER_FC, FC_LEN);
}

static NOINLINE const can_frame_t *output_other(isotp_t *tp, usec_t now)
{
    if (ISOTP_QUICK && tp->fc == FC_NONE && tp->tx.state != ISOTP_TX_OFFER) return NULL;
    if (tp->offer != OFFER_NONE) return &tp->out;
    if (tp->count == ISOTP_IN_FLIGHT_MAX) return NULL;
    if (tp->fc != FC_NONE) return show_flow_control(tp, now);
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
    tp->offer = OFFER_ORDINARY;
    tx->since = (uint32_t)now;
    return &tp->out;
}

// --- The driver took a frame; the frame has left ---

static NOINLINE void flow_control_taken(isotp_t *tp)
{
    isotp_rx_t *rx = &tp->rx;
    unshow_flow_control(tp);
    tp->fc = FC_NONE;
    if (rx->state == ISOTP_RX_IDLE) rx->limit = NO_LIMIT; // after an OVFLW
    if (rx->state != ISOTP_RX_CTS) return;
    rx->state = ISOTP_RX_GO;
    rx->at += rx->data_len - rx->cf_len; // as if the frame before had been a full one
    rx->data_len = rx->cf_len;
}

static NOINLINE void message_frame_taken(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    if (ISOTP_QUICK && tp->offer == OFFER_ORDINARY) {
        tx->piece = ORDINARY_LEN;
        tx->run--;
    } else {
        tx->left--;
    }
    tp->offer = OFFER_NONE;
    tx->at += tx->piece;
    tx->pci = next_pci(tx->pci);
    if (tx->at == tx->len)
        tx->state = ISOTP_TX_DRAIN;
    else if (tx->left == 0 && (!ISOTP_QUICK || tx->run == 0))
        tx->state = ISOTP_TX_AWAIT;
    else if (tx->gap != 0)
        tx->state = ISOTP_TX_GAP;
    else
        tx->since = tp->clock; // N_As of the next frame
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
    const bool another_is_under_way = tp->fc != FC_NONE || (tp->flight + 1) >> tp->count == 0;
    if (another_is_under_way || !(rx->state & 1)) return ISOTP_NONE;
    if (rx->state == ISOTP_RX_WAIT) {
        rx_enter(tp, ISOTP_RX_HELD, tp->cfg->n_br);
        return ISOTP_NONE;
    }
    rx_enter(tp, ISOTP_RX_CF, tp->cfg->n_cr);
    if (!ISOTP_QUICK || tp->head != 0) return ISOTP_NONE;
    rx->run = run_of(&rx->left, (rx_rest(rx) - 1) / rx->cf_len);
    if (rx->run != 0) rx->pci &= ~(uint32_t)PCI_NONE;
    return ISOTP_NONE;
}

static isotp_events_t message_frame_left(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    if (tp->flight != 0 || !(tx->state & 1)) return ISOTP_NONE;
    if (tx->state == ISOTP_TX_DRAIN) {
        isotp_cancel(tp);
        return ISOTP_SENT;
    }
    const bool gap = tx->state == ISOTP_TX_GAP;
    tx_enter(tp, tx->state & ~1u, gap ? tx->gap : tp->cfg->n_bs);
    return ISOTP_NONE;
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
    tx->pci = next_pci(tx->pci);
    if (--tx->run == 0 && tx->left == 0) {
        tp->clock = (uint32_t)now;
        tx_enter(tp, ISOTP_TX_FLOW, tp->cfg->n_bs);
    }
    return ISOTP_NONE;
}

void isotp_lost(isotp_t *tp)
{
    // Of this message, not only of one that was cancelled: its frames are the youngest.
    const bool some = tp->flight != 0 && tp->tx.at != 0;
    if (some && tp->tx.state != ISOTP_TX_IDLE && tp->tx.state != ISOTP_TX_FLOW) {
        isotp_cancel(tp); // the peer will miss what was lost: the rest would be for nothing
        tx_enter(tp, ISOTP_TX_LOST, 0);
    }
    tp->flight = 0;
    tp->count = 0;
}

// --- A frame came in ---

bool isotp_well_padded(const isotp_t *tp, const can_frame_t *f)
{
    const uint8_t *p = &f->data[tp->head];
    uint32_t used = f->len - tp->head; // a First Frame is full
    switch (p[0] & 0xF0) {
    case PCI_SF: used = (f->len > CLASSIC_LEN) ? p[1] + 2u : p[0] + 1u; break;
    case PCI_CF: used = 1 + (uint32_t)smaller(tp->rx.cf_len, rx_rest(&tp->rx)); break;
    case PCI_FC: used = FC_LEN; break;
    default: break;
    }
    used += tp->head;
    if (f->len != frame_len(tp->cfg, used)) return false;
    while (used < f->len)
        if (f->data[used++] != tp->cfg->pad_byte) return false;
    return true;
}

static NOINLINE isotp_events_t input_other(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    const isotp_cfg_t *cfg = tp->cfg;
    const uint8_t *p = &f->data[tp->head];
    const uint32_t len = f->len - tp->head;
    ASSERT(f->len <= CAN_DATA_MAX);
    tp->clock = (uint32_t)now;
    if (f->id != cfg->rx_id || f->ext != cfg->ext) return ISOTP_NONE;
    if (f->fd && !(CAN_HAS_FD && cfg->fd)) return ISOTP_NONE;
    if (f->len <= tp->head) return ISOTP_NONE; // no PCI
    if (tp->head != 0 && f->data[0] != cfg->rx_address) return ISOTP_NONE;
    if (p[0] < PCI_CF) {
        const isotp_events_t events = on_beginning(tp, p, len);
        if (CAN_HAS_FD && events != ISOTP_NONE) {
            tp->peer_fd = f->fd;
            tp->format = f->format;
        }
        return events;
    }
    if (p[0] < PCI_FC) return on_consecutive(tp, p, len);
    if (p[0] < PCI_RESERVED) return on_flow_control(tp, p, len);
    return ISOTP_NONE; // reserved types are ignored (9.6.1)
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
        rx->pci |= PCI_NONE;
        tp->clock = (uint32_t)now;
        if (rx->left == 0) rx_hold(tp);
    }
    return ISOTP_RX_DATA;
}

// --- Time ---

// Signed: times that go back a little, as those of two interrupts may, are not a long time.
static bool over(const isotp_t *tp, uint32_t since, uint32_t limit)
{
    return (int32_t)(tp->clock - since) >= (int32_t)limit;
}

// N_As does not run yet: the driver was not shown the message's first frame. (Later a peer waits.)
static bool tx_unasked(const isotp_t *tp)
{
    return tp->tx.state == ISOTP_TX_OFFER && tp->tx.at == 0 && tp->offer < OFFER_MESSAGE &&
           tp->count < ISOTP_IN_FLIGHT_MAX;
}

// In 64 bits: at most half an hour from the last isotp_tick(). If that was long ago, in the past.
static usec_t end_of(const isotp_t *tp, uint32_t since, uint32_t limit)
{
    const uint32_t left = since + limit - (uint32_t)tp->now;
    if (limit == NO_LIMIT) return USEC_NEVER;
    return (left <= INT32_MAX) ? tp->now + left : 0;
}

usec_t isotp_deadline(const isotp_t *tp)
{
    const usec_t rx = end_of(tp, tp->rx.since, tp->rx.limit);
    return tx_unasked(tp) ? rx : sooner(rx, end_of(tp, tp->tx.since, tp->tx.limit));
}

static isotp_events_t rx_timeout(isotp_t *tp)
{
    isotp_rx_t *rx = &tp->rx;
    isotp_why_t why = ISOTP_TIMEOUT_A;
    switch (rx->state) {
    case ISOTP_RX_IDLE: // an OVFLW that could not leave
        rx_end(tp);
        return ISOTP_NONE;
    case ISOTP_RX_HELD:
        why = ISOTP_WFT_OVRN; // cppcheck-suppress unreadVariable ; it is read after the break
        if (rx->waits-- == 0) break;
        tp->fc = FC_WAIT;
        rx_enter(tp, ISOTP_RX_WAIT, tp->cfg->n_ar);
        return ISOTP_NONE;
    case ISOTP_RX_CF: why = ISOTP_TIMEOUT_CR; break;
    case ISOTP_RX_WAIT:
    case ISOTP_RX_CTS:
    case ISOTP_RX_GO: break;
    }
    return rx_fail(tp, why);
}

static isotp_events_t tx_timeout(isotp_t *tp)
{
    if (tp->tx.state == ISOTP_TX_IDLE) return ISOTP_NONE; // after NO_LIMIT
    if (tp->tx.state == ISOTP_TX_FLOW) return tx_fail(tp, ISOTP_TIMEOUT_BS);
    if (tp->tx.state != ISOTP_TX_PAUSE) return tx_fail(tp, ISOTP_TIMEOUT_A);
    tx_enter(tp, ISOTP_TX_OFFER, tp->cfg->n_as);
    return ISOTP_NONE;
}

static NOINLINE isotp_events_t tick_other(isotp_t *tp)
{
    isotp_events_t events = ISOTP_NONE;
    if (over(tp, tp->rx.since, tp->rx.limit)) events = rx_timeout(tp);
    if (over(tp, tp->tx.since, tp->tx.limit) && !tx_unasked(tp)) events |= tx_timeout(tp);
    return events;
}

isotp_events_t isotp_tick(isotp_t *tp, usec_t now)
{
    tp->now = now;
    tp->clock = (uint32_t)now;
    if (ISOTP_QUICK && !over(tp, tp->rx.since, tp->rx.limit) &&
        !over(tp, tp->tx.since, tp->tx.limit))
        return ISOTP_NONE;
    return tick_other(tp);
}

void isotp_init(isotp_t *tp, const isotp_cfg_t *cfg)
{
    ASSERT(cfg->tx_dl <= CLASSIC_LEN ? cfg->tx_dl % CLASSIC_LEN == 0
                                     : cfg->fd && frame_len(cfg, cfg->tx_dl) == cfg->tx_dl);
    memset(tp, 0, sizeof *tp);
    tp->cfg = cfg;
    tp->out.id = cfg->tx_id;
    tp->out.ext = cfg->ext;
    if (ISOTP_QUICK) tp->format = tp->out.format;
    tp->out.data[0] = cfg->tx_address;
    tp->head = cfg->prefixed;
    tp->room = ((CAN_HAS_FD && cfg->tx_dl) ? cfg->tx_dl : CLASSIC_LEN) - tp->head;
    tp->rx.pci = PCI_NONE;
    tp->rx.limit = tp->tx.limit = NO_LIMIT;
    set_fd(tp, true);
}
