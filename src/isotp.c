// isotp.c - ISO 15765-2: see isotp.h for its use.
// SPDX-License-Identifier: Apache-2.0
//
// Two machines that share nothing but the driver. isotp_output() changes no message state: it
// builds the frame that the state calls for, and commit() moves on when the driver took it. So a
// refused frame costs nothing.
//
//   RX  IDLE, any  SF, FF  ->  IDLE (SF)   deliver        a message in progress ends with UNEXP_PDU
//                          ->  HELD (FF)   deliver
//   RX  HELD   n_br        ->  HELD        WAIT is due; after wft_max of them WFT_OVRN
//   RX  HELD   proceed     ->  CTS
//   RX  CTS    taken       ->  CF
//   RX  CF     CF          ->  CF, HELD (block over), IDLE (message over)
//   TX  IDLE   start       ->  SEND
//   TX  SEND   taken       ->  FLOW (after FF or a block), SEND (after the gap), DRAIN (all taken)
//   TX  FLOW   CTS, WAIT   ->  SEND, FLOW
//   TX  DRAIN  confirmed   ->  IDLE        SENT
//
// N_As and N_Ar run from the moment a frame is first offered to the driver until it is confirmed,
// N_Bs and N_Cr from that confirmation. A flow control or a CF may overtake the confirmation of the
// frame that it answers (the driver reports both from interrupts): it is accepted as soon as that
// frame was taken.
#include "isotp.h"

enum { PCI_SF = 0x0, PCI_FF = 0x1, PCI_CF = 0x2, PCI_FC = 0x3 }; // high nibble of byte 0 (9.6.1)
enum {
    FC_CTS = 0x0,
    FC_WAIT = 0x1,
    FC_OVFLW = 0x2,
    FC_NONE = 0xFF
}; // low nibble of an FC (9.6.5.1)
enum { OFFER_NONE, OFFER_FC, OFFER_MESSAGE };
enum {
    SF_MAX = 7,
    CF_MAX = 7,
    FF_MIN = 8,
    FF_ESCAPE_MIN = 4096,
    FRAME_LEN = 8
}; // bytes, classic CAN

// Reserved STmin codes mean the longest gap that can be asked for (9.6.5.5), never none.
static usec_t stmin_us(uint8_t code)
{
    if (code <= 0x7F) return code * USEC_MS;
    if (code >= 0xF1 && code <= 0xF9) return (code - 0xF0u) * UINT64_C(100);
    return 0x7F * USEC_MS;
}

// --- Receive ---

static void rx_enter(isotp_t *tp, isotp_rx_state_t state, usec_t deadline)
{
    tp->rx.state = state;
    tp->rx.deadline = deadline;
}

static isotp_events_t rx_fail(isotp_t *tp, isotp_why_t why)
{
    tp->rx.why = why;
    tp->rx.fc = FC_NONE;
    rx_enter(tp, ISOTP_RX_IDLE, USEC_NEVER);
    return ISOTP_RX_FAILED;
}

static void rx_hold(isotp_t *tp, usec_t now)
{
    tp->rx.waits = 0;
    rx_enter(tp, ISOTP_RX_HELD, now + tp->cfg->n_br);
}

static isotp_events_t rx_deliver(isotp_t *tp, const uint8_t *data, uint8_t len)
{
    tp->rx.data = data;
    tp->rx.data_len = len;
    return ISOTP_RX_DATA;
}

static isotp_events_t rx_begin(isotp_t *tp, uint32_t len)
{
    const isotp_events_t ended =
        (tp->rx.state == ISOTP_RX_IDLE) ? ISOTP_NONE : rx_fail(tp, ISOTP_UNEXP_PDU);
    tp->rx.fc = FC_NONE;
    tp->rx.len = len;
    tp->rx.at = 0;
    rx_enter(tp, ISOTP_RX_IDLE, USEC_NEVER);
    return ended | ISOTP_RX_BEGIN;
}

static isotp_events_t on_single(isotp_t *tp, const can_frame_t *f)
{
    const uint8_t len = f->data[0] & 0x0F;
    if (len == 0 || len > f->len - 1) return ISOTP_NONE;
    return rx_begin(tp, len) | rx_deliver(tp, &f->data[1], len) | ISOTP_RX_END;
}

static isotp_events_t on_first(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    if (f->len < FRAME_LEN) return ISOTP_NONE;
    uint32_t len = (f->data[0] & 0x0Fu) << 8 | f->data[1];
    uint8_t header = 2;
    if (len == 0) {
        len = load_be32(&f->data[2]);
        header = 6;
        if (len < FF_ESCAPE_MIN) return ISOTP_NONE;
    }
    if (len < FF_MIN) return ISOTP_NONE;
    const isotp_events_t events =
        rx_begin(tp, len) | rx_deliver(tp, &f->data[header], FRAME_LEN - header);
    tp->rx.sn = 1;
    tp->rx.cts_given = false;
    rx_hold(tp, now);
    return events;
}

static isotp_events_t on_consecutive(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    isotp_rx_t *rx = &tp->rx;
    if (rx->state != ISOTP_RX_CF) return ISOTP_NONE;
    const uint32_t at = rx->at + rx->data_len;
    const uint8_t len = (uint8_t)smaller(CF_MAX, rx->len - at);
    if (f->len < 1 + len) return ISOTP_NONE; // too short to be the one awaited; N_Cr goes on
    if ((f->data[0] & 0x0F) != rx->sn) return rx_fail(tp, ISOTP_WRONG_SN);
    rx->sn = (rx->sn + 1u) & 0x0F;
    rx->at = at;
    const isotp_events_t events = rx_deliver(tp, &f->data[1], len);
    if (at + len == rx->len) {
        rx_enter(tp, ISOTP_RX_IDLE, USEC_NEVER);
        return events | ISOTP_RX_END;
    }
    if (rx->block_size != 0 && --rx->left == 0)
        rx_hold(tp, now);
    else
        rx_enter(tp, ISOTP_RX_CF, now + tp->cfg->n_cr);
    return events;
}

static isotp_events_t rx_tick(isotp_t *tp, usec_t now)
{
    isotp_rx_t *rx = &tp->rx;
    if (now < rx->deadline) return ISOTP_NONE;
    switch (rx->state) {
    case ISOTP_RX_IDLE: // an OVFLW that the driver did not take in time
        rx->fc = FC_NONE;
        rx->deadline = USEC_NEVER;
        return ISOTP_NONE;
    case ISOTP_RX_HELD:
        if (rx->fc == FC_WAIT || rx->fc_in_flight) return rx_fail(tp, ISOTP_TIMEOUT_A);
        if (rx->waits == tp->cfg->wft_max) return rx_fail(tp, ISOTP_WFT_OVRN);
        rx->waits++;
        rx->fc = FC_WAIT;
        rx_enter(tp, ISOTP_RX_HELD, now + tp->cfg->n_ar);
        return ISOTP_NONE;
    case ISOTP_RX_CTS: return rx_fail(tp, ISOTP_TIMEOUT_A);
    case ISOTP_RX_CF: return rx_fail(tp, rx->fc_in_flight ? ISOTP_TIMEOUT_A : ISOTP_TIMEOUT_CR);
    }
    return ISOTP_NONE;
}

uint32_t isotp_wanted(const isotp_t *tp)
{
    return (tp->rx.state == ISOTP_RX_HELD) ? tp->rx.len - tp->rx.at - tp->rx.data_len : 0;
}

void isotp_proceed(isotp_t *tp, uint8_t block_size, usec_t now)
{
    if (tp->rx.state != ISOTP_RX_HELD) return;
    tp->rx.block_size = tp->rx.left = block_size;
    tp->rx.fc = FC_CTS;
    tp->rx.cts_given = true;
    rx_enter(tp, ISOTP_RX_CTS, now + tp->cfg->n_ar);
}

void isotp_refuse(isotp_t *tp, usec_t now)
{
    if (tp->rx.state == ISOTP_RX_IDLE) return;
    const bool say_so = tp->rx.state == ISOTP_RX_HELD && !tp->rx.cts_given;
    tp->rx.fc = say_so ? FC_OVFLW : FC_NONE;
    rx_enter(tp, ISOTP_RX_IDLE, say_so ? now + tp->cfg->n_ar : USEC_NEVER);
}

// --- Transmit ---

static void tx_enter(isotp_t *tp, isotp_tx_state_t state, usec_t deadline)
{
    tp->tx.state = state;
    tp->tx.deadline = deadline;
    tp->tx.offered = false;
    tp->tx.gap_open = false;
}

static isotp_events_t tx_fail(isotp_t *tp, isotp_why_t why)
{
    tp->tx.why = why;
    tx_enter(tp, ISOTP_TX_IDLE, USEC_NEVER);
    return ISOTP_TX_FAILED;
}

static isotp_events_t on_flow_control(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    if (tp->tx.state != ISOTP_TX_FLOW || f->len < 3) return ISOTP_NONE;
    switch (f->data[0] & 0x0F) {
    case FC_CTS:
        tp->tx.left = f->data[1];
        tp->tx.gap = later(stmin_us(f->data[2]), tp->cfg->min_gap);
        tx_enter(tp, ISOTP_TX_SEND, now);
        return ISOTP_NONE;
    case FC_WAIT: tx_enter(tp, ISOTP_TX_FLOW, now + tp->cfg->n_bs); return ISOTP_NONE;
    case FC_OVFLW: return tx_fail(tp, ISOTP_BUFFER_OVFLW);
    default: return tx_fail(tp, ISOTP_INVALID_FS);
    }
}

bool isotp_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now)
{
    ASSERT(msg != NULL && len > 0);
    if (tp->tx.state != ISOTP_TX_IDLE) return false;
    tp->tx.msg = msg;
    tp->tx.len = len;
    tp->tx.at = 0;
    tp->tx.sn = 0;
    tp->tx.left = 0;
    tp->tx.gap = 0;
    tx_enter(tp, ISOTP_TX_SEND, now);
    return true;
}

// Writes the header of the message's next frame; returns its length.
static uint8_t tx_header(const isotp_tx_t *tx, uint8_t pci[6])
{
    if (tx->at > 0) {
        pci[0] = (uint8_t)(PCI_CF << 4 | tx->sn);
        return 1;
    }
    if (tx->len <= SF_MAX) {
        pci[0] = (uint8_t)tx->len; // the type, PCI_SF, is 0
        return 1;
    }
    if (tx->len < FF_ESCAPE_MIN) {
        pci[0] = (uint8_t)(PCI_FF << 4 | tx->len >> 8);
        pci[1] = (uint8_t)tx->len;
        return 2;
    }
    pci[0] = PCI_FF << 4;
    pci[1] = 0;
    store_be32(&pci[2], tx->len);
    return 6;
}

static bool tx_due(const isotp_t *tp, usec_t now)
{
    const isotp_tx_t *tx = &tp->tx;
    if (tx->state != ISOTP_TX_SEND) return false;
    return tx->offered || (!tx->gap_open && now >= tx->deadline);
}

const can_frame_t *isotp_output(isotp_t *tp, usec_t now)
{
    can_frame_t *out = &tp->out;
    const bool due = tx_due(tp, now);
    if (due && !tp->tx.offered) {
        tp->tx.offered = true;
        tp->tx.deadline = now + tp->cfg->n_as;
    }
    tp->offer = OFFER_NONE;
    if (tp->flight_count == ISOTP_IN_FLIGHT_MAX) return NULL;
    if (tp->rx.fc != FC_NONE) {
        tp->offer = OFFER_FC;
        out->data[0] = (uint8_t)(PCI_FC << 4 | tp->rx.fc);
        out->data[1] = (tp->rx.fc == FC_CTS) ? tp->rx.block_size : 0;
        out->data[2] = (tp->rx.fc == FC_CTS) ? tp->cfg->stmin : 0;
        out->len = 3;
    } else if (due) {
        tp->offer = OFFER_MESSAGE;
        const uint8_t header = tx_header(&tp->tx, out->data);
        const size_t len = smaller(FRAME_LEN - header, tp->tx.len - tp->tx.at);
        memcpy(&out->data[header], &tp->tx.msg[tp->tx.at], len);
        out->len = (uint8_t)(header + len);
        tp->offer_len = (uint8_t)len;
    } else {
        return NULL;
    }
    if (tp->cfg->pad) {
        memset(&out->data[out->len], tp->cfg->pad_byte, (size_t)(FRAME_LEN - out->len));
        out->len = FRAME_LEN;
    }
    return out;
}

// --- The driver took a frame; the frame has left ---

static void commit_flow_control(isotp_t *tp, usec_t now)
{
    const uint8_t fc = tp->rx.fc;
    tp->rx.fc = FC_NONE;
    tp->rx.fc_in_flight = true;
    if (tp->rx.state == ISOTP_RX_IDLE) tp->rx.deadline = USEC_NEVER; // OVFLW: nothing follows
    if (fc == FC_CTS) rx_enter(tp, ISOTP_RX_CF, now + tp->cfg->n_ar);
}

static void commit_message(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    const bool first = tx->at == 0;
    tx->at += tp->offer_len;
    tx->sn = (tx->sn + 1u) & 0x0F;
    tx->in_flight++;
    if (tx->at == tx->len) {
        tx_enter(tp, ISOTP_TX_DRAIN, now + tp->cfg->n_as);
    } else if (first || (tx->left != 0 && --tx->left == 0)) {
        tx_enter(tp, ISOTP_TX_FLOW, now + tp->cfg->n_as);
    } else {
        tx_enter(tp, ISOTP_TX_SEND, now);
        tx->gap_open = tx->gap != 0;
        if (tx->gap_open) tx->deadline = now + tp->cfg->n_as;
    }
}

void isotp_taken(isotp_t *tp, usec_t now)
{
    ASSERT(tp->offer != OFFER_NONE);
    if (tp->offer == OFFER_FC) {
        tp->flight |= (uint8_t)(1u << tp->flight_count);
        commit_flow_control(tp, now);
    } else {
        commit_message(tp, now);
    }
    tp->flight_count++;
    tp->offer = OFFER_NONE;
}

static void flow_control_left(isotp_t *tp, usec_t now)
{
    tp->rx.fc_in_flight = false;
    if (tp->rx.state == ISOTP_RX_CF) rx_enter(tp, ISOTP_RX_CF, now + tp->cfg->n_cr);
    if (tp->rx.state == ISOTP_RX_HELD) rx_enter(tp, ISOTP_RX_HELD, now + tp->cfg->n_br);
}

static isotp_events_t message_frame_left(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    if (--tx->in_flight != 0) return ISOTP_NONE;
    switch (tx->state) {
    case ISOTP_TX_IDLE: break;
    case ISOTP_TX_SEND:
        if (tx->gap_open) tx_enter(tp, ISOTP_TX_SEND, now + tx->gap);
        break;
    case ISOTP_TX_FLOW: tx_enter(tp, ISOTP_TX_FLOW, now + tp->cfg->n_bs); break;
    case ISOTP_TX_DRAIN: tx_enter(tp, ISOTP_TX_IDLE, USEC_NEVER); return ISOTP_SENT;
    }
    return ISOTP_NONE;
}

isotp_events_t isotp_sent(isotp_t *tp, usec_t now)
{
    if (tp->flight_count == 0 && tp->offer == OFFER_NONE) return ISOTP_NONE;
    if (tp->flight_count == 0) isotp_taken(tp, now);
    const bool was_fc = tp->flight & 1;
    tp->flight >>= 1;
    tp->flight_count--;
    if (!was_fc) return message_frame_left(tp, now);
    flow_control_left(tp, now);
    return ISOTP_NONE;
}

void isotp_lost(isotp_t *tp)
{
    tp->flight = 0;
    tp->flight_count = 0;
    tp->offer = OFFER_NONE;
    tp->rx.fc_in_flight = false;
    if (tp->tx.state == ISOTP_TX_SEND && tp->tx.in_flight > 0) { // the peer will miss them
        tx_enter(tp, ISOTP_TX_SEND, 0);
        tp->tx.gap_open = true; // nothing more is sent; isotp_tick() reports it
    }
    tp->tx.in_flight = 0;
}

// --- Both ---

isotp_events_t isotp_input(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    tp->offer = OFFER_NONE;
    if (f->id != tp->cfg->rx_id || f->ext != tp->cfg->ext || f->fd || f->len == 0)
        return ISOTP_NONE;
    switch (f->data[0] >> 4) {
    case PCI_SF: return on_single(tp, f);
    case PCI_FF: return on_first(tp, f, now);
    case PCI_CF: return on_consecutive(tp, f, now);
    case PCI_FC: return on_flow_control(tp, f, now);
    default: return ISOTP_NONE; // reserved (9.6.1): ignored
    }
}

usec_t isotp_deadline(const isotp_t *tp) { return sooner(tp->rx.deadline, tp->tx.deadline); }

isotp_events_t isotp_tick(isotp_t *tp, usec_t now)
{
    tp->offer = OFFER_NONE;
    isotp_events_t events = rx_tick(tp, now);
    isotp_tx_t *tx = &tp->tx;
    if (now < tx->deadline || tx->state == ISOTP_TX_IDLE) return events;
    if (tx->state == ISOTP_TX_FLOW && tx->in_flight == 0)
        return events | tx_fail(tp, ISOTP_TIMEOUT_BS);
    const bool waits_for_driver = tx->state != ISOTP_TX_SEND || tx->offered || tx->gap_open;
    if (waits_for_driver) events |= tx_fail(tp, ISOTP_TIMEOUT_A);
    return events;
}

void isotp_init(isotp_t *tp, const isotp_cfg_t *cfg)
{
    memset(tp, 0, sizeof *tp);
    tp->cfg = cfg;
    tp->out.id = cfg->tx_id;
    tp->out.ext = cfg->ext;
    tp->rx.fc = FC_NONE;
    rx_enter(tp, ISOTP_RX_IDLE, USEC_NEVER);
    tx_enter(tp, ISOTP_TX_IDLE, USEC_NEVER);
}
