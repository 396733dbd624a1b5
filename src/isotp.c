// isotp.c - ISO 15765-2: see isotp.h for its use.
// SPDX-License-Identifier: Apache-2.0
#include "isotp.h"

enum { PCI_SF = 0x00, PCI_FF = 0x10, PCI_CF = 0x20, PCI_FC = 0x30 }; // (9.6.1)
enum { FC_NONE = 0, FC_CTS = PCI_FC, FC_WAIT, FC_OVFLW };            // (9.6.5.1)
enum { OFFER_NONE, OFFER_FC, OFFER_MESSAGE, OFFER_QUICK };
enum { CLASSIC_LEN = 8, QUICK_LEN = 7, FF_ESCAPE_MIN = 4096, FC_LEN = 3 };

static uint32_t frame_len(const isotp_cfg_t *cfg, uint32_t len)
{
    if (!CAN_FD || len <= CLASSIC_LEN) return cfg->pad ? CLASSIC_LEN : len;
    return (len <= 24) ? (len + 3) & ~UINT32_C(3) : (len + 15) & ~UINT32_C(15);
}

// Reserved STmin codes mean the longest gap that can be asked for (9.6.5.5), never none.
static uint32_t stmin_us(uint32_t code)
{
    if (code - 0xF1 <= 0xF9 - 0xF1) return (code - 0xF0u) * 100;
    return (code <= 0x7F ? code : 0x7F) * 1000;
}

static bool over(const isotp_t *tp, uint32_t since, uint32_t limit)
{
    return (uint32_t)tp->now - since >= limit;
}

// Takes as many frames as need no look at all off those left in the block.
static uint32_t run_of(uint32_t *left, uint32_t rest, uint32_t cf_len)
{
    uint32_t run = (rest - 1) / cf_len;
    if (run > *left - 1) run = *left; // (a block size of 0, no limit, makes it 2^32 - 1)
    *left -= run;
    return run;
}

// --- Receive ---

static void rx_enter(isotp_t *tp, isotp_rx_state_t state)
{
    tp->rx.state = state;
    tp->rx.since = (uint32_t)tp->now;
}

static void rx_say(isotp_t *tp, uint32_t fc)
{
    tp->rx.fc = fc;
    if (tp->offer == OFFER_FC) tp->offer = OFFER_NONE;
}

static void rx_end(isotp_t *tp)
{
    tp->rx.state = ISOTP_RX_IDLE;
    tp->rx.run = 0;
    rx_say(tp, FC_NONE);
}

static isotp_events_t rx_fail(isotp_t *tp, isotp_why_t why)
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

static isotp_events_t rx_begin(isotp_t *tp, const uint8_t *data, uint32_t data_len, uint32_t len)
{
    isotp_events_t events = ISOTP_RX_BEGIN | ISOTP_RX_DATA;
    if (tp->rx.state != ISOTP_RX_IDLE) events |= rx_fail(tp, ISOTP_UNEXP_PDU);
    rx_end(tp);
    tp->rx.len = len;
    tp->rx.at = 0;
    tp->rx.next = data_len;
    tp->rx.data = data;
    tp->rx.data_len = data_len;
    return events;
}

// p: the frame from its PCI on, len bytes.
static isotp_events_t on_single(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    uint32_t header = 1, data_len = p[0];
    if (CAN_FD && len + tp->head > CLASSIC_LEN) {
        header = 2;
        if (data_len != 0 || p[1] < CLASSIC_LEN - tp->head) return ISOTP_NONE;
        data_len = p[1];
    }
    if (data_len == 0 || len < header + data_len) return ISOTP_NONE;
    return rx_begin(tp, p + header, data_len, data_len) | ISOTP_RX_END;
}

static isotp_events_t on_first(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    const uint32_t rx_dl = len + tp->head;
    if (rx_dl < CLASSIC_LEN || tp->cfg->functional) return ISOTP_NONE;
    uint32_t msg_len = (p[0] & 0x0Fu) << 8 | p[1], header = 2, min = len;
    if (CAN_FD && rx_dl > CLASSIC_LEN) min = len - 1;
    if (msg_len == 0) {
        msg_len = load_be32(&p[2]);
        header = 6;
        min = FF_ESCAPE_MIN;
    }
    if (msg_len < min) return ISOTP_NONE;
    const isotp_events_t events = rx_begin(tp, p + header, len - header, msg_len);
    tp->rx.cf_len = len - 1;
    tp->rx.pci = PCI_CF | 1;
    rx_hold(tp);
    return events;
}

// The consecutive frame that is awaited, if its number is right.
static inline isotp_events_t rx_append(isotp_t *tp, const uint8_t *p, uint32_t data_len)
{
    isotp_rx_t *rx = &tp->rx;
    rx->pci = (rx->pci + 1) & (PCI_CF | 0x0F);
    rx->at = rx->next;
    rx->next += data_len;
    rx->data = p + 1;
    rx->data_len = data_len;
    rx_enter(tp, ISOTP_RX_CF);
    return ISOTP_RX_DATA;
}

static isotp_events_t on_consecutive(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    const isotp_rx_t *rx = &tp->rx;
    if (rx->state < ISOTP_RX_CF) return ISOTP_NONE;
    uint32_t data_len = rx->len - rx->next;
    if (data_len > rx->cf_len) data_len = rx->cf_len;
    if (len - 1 > rx->cf_len || len < data_len + 1)
        return ISOTP_NONE; // not the one awaited; N_Cr goes on
    if (p[0] != rx->pci) return rx_fail(tp, ISOTP_WRONG_SN);
    const isotp_events_t events = rx_append(tp, p, data_len);
    if (rx->next == rx->len) {
        tp->rx.state = ISOTP_RX_IDLE;
        return events | ISOTP_RX_END;
    }
    if (--tp->rx.left == 0) rx_hold(tp);
    return events;
}

static bool rx_owes(const isotp_t *tp) { return ((unsigned)tp->rx.state & ~1u) == ISOTP_RX_HELD; }

uint32_t isotp_wanted(const isotp_t *tp) { return rx_owes(tp) ? tp->rx.len - tp->rx.next : 0; }

void isotp_proceed(isotp_t *tp, uint8_t block_size, uint8_t stmin, usec_t now)
{
    tp->now = now;
    if (!rx_owes(tp)) return;
    tp->rx.left = block_size;
    rx_say(tp, (uint32_t)(FC_CTS | block_size << 8) | (uint32_t)stmin << 16);
    rx_enter(tp, ISOTP_RX_CTS);
}

void isotp_refuse(isotp_t *tp, usec_t now)
{
    const bool say_so = rx_owes(tp) && tp->rx.at == 0;
    if (tp->rx.state == ISOTP_RX_IDLE) return;
    rx_end(tp);
    if (!say_so) return;
    tp->now = now;
    tp->rx.fc = FC_OVFLW;
    rx_enter(tp, ISOTP_RX_IDLE);
}

// --- Transmit ---

static void tx_enter(isotp_t *tp, isotp_tx_state_t state)
{
    tp->tx.state = state;
    tp->tx.since = (uint32_t)tp->now;
}

void isotp_cancel(isotp_t *tp)
{
    if (tp->offer >= OFFER_MESSAGE) tp->offer = OFFER_NONE;
    tp->tx.run = 0;
    tp->tx.state = ISOTP_TX_IDLE;
}

static isotp_events_t tx_fail(isotp_t *tp, isotp_why_t why)
{
    isotp_cancel(tp);
    tp->tx.why = why;
    return ISOTP_TX_FAILED;
}

// What all frames of a message but the shorter ones have in common.
static void tx_template(isotp_t *tp)
{
    if (CAN_FD) tp->out.fd = tp->cfg->fd;
    tp->out.len = (uint8_t)(tp->room + tp->head);
}

static bool from_memory(const void *msg, uint32_t at, uint8_t *to, size_t len)
{
    memcpy(to, (const uint8_t *)msg + at, len);
    return true;
}

static isotp_events_t on_flow_control(isotp_t *tp, const uint8_t *p, uint32_t len)
{
    isotp_tx_t *tx = &tp->tx;
    if ((tx->state & ~1u) != ISOTP_TX_FLOW || len < FC_LEN) return ISOTP_NONE;
    switch (p[0]) {
    case FC_CTS:
        tx->left = p[1];
        tx->gap = stmin_us(p[2]);
        if (tx->gap < tp->cfg->min_gap) tx->gap = tp->cfg->min_gap;
        if (tx->gap == 0 && tx->source == from_memory && tp->room == CLASSIC_LEN)
            tx->run = run_of(&tx->left, tx->len - tx->at, QUICK_LEN);
        tx->waits = 0;
        tx_enter(tp, ISOTP_TX_OFFER);
        return ISOTP_NONE;
    case FC_WAIT:
        if (++tx->waits == tp->cfg->wft_patience) return tx_fail(tp, ISOTP_WFT_OVRN);
        tx_enter(tp, ISOTP_TX_FLOW);
        return ISOTP_NONE;
    case FC_OVFLW: return tx_fail(tp, ISOTP_BUFFER_OVFLW);
    default: return tx_fail(tp, ISOTP_INVALID_FS);
    }
}

bool isotp_start_from(isotp_t *tp, isotp_source_t *source, const void *ctx, uint32_t len,
                      usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    tp->now = now;
    if (tx->state != ISOTP_TX_IDLE) return false;
    if (tp->cfg->functional && len >= tp->room - (CAN_FD && tp->room > CLASSIC_LEN)) return false;
    tx->source = source;
    tx->ctx = ctx;
    tx->len = len;
    tx->at = 0;
    tx->next = 0;
    tx->pci = PCI_CF;
    tx->waits = 0;
    tx->left = 1; // flow control comes after the First Frame
    tx_enter(tp, ISOTP_TX_OFFER);
    return true;
}

bool isotp_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now)
{
    ASSERT(msg != NULL && len > 0);
    return isotp_start_from(tp, from_memory, msg, len, now);
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

static void seal(isotp_t *tp, uint32_t used)
{
    can_frame_t *out = &tp->out;
    used += tp->head;
    out->len = (uint8_t)frame_len(tp->cfg, used);
    memset(&out->data[used], tp->cfg->pad_byte, out->len - used);
}

static NOINLINE const can_frame_t *output_other(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    tp->now = now;
    if (tx->state == ISOTP_TX_PAUSE && over(tp, tx->since, tx->gap)) tx_enter(tp, ISOTP_TX_OFFER);
    if (tp->offer != OFFER_NONE) return &tp->out;
    if (tp->count == ISOTP_IN_FLIGHT_MAX) return NULL;
    uint8_t *p = &tp->out.data[tp->head];
    if (tp->rx.fc != FC_NONE) {
        tp->offer = OFFER_FC;
        p[0] = (uint8_t)tp->rx.fc;
        p[1] = (uint8_t)(tp->rx.fc >> 8);
        p[2] = (uint8_t)(tp->rx.fc >> 16);
        if (CAN_FD) tp->out.fd = tp->rx.fd;
        seal(tp, FC_LEN);
        return &tp->out;
    }
    if (tx->state != ISOTP_TX_OFFER) return NULL;
    uint32_t header = 1, len = tx->len - tx->at;
    tx_template(tp);
    p[0] = (uint8_t)tx->pci;
    if (tx->at == 0) header = first_header(tp, p);
    if (len >= tp->room - header)
        len = tp->room - header;
    else
        seal(tp, header + len);
    tx->next = tx->at + len;
    if (!tx->source(tx->ctx, tx->at, p + header, len)) return NULL;
    tp->offer = OFFER_MESSAGE;
    return &tp->out;
}

const can_frame_t *isotp_output(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    if (tx->run == 0 || (tp->rx.fc | tp->offer) != 0 || tp->count == ISOTP_IN_FLIGHT_MAX)
        return output_other(tp, now);
    tx->since = (uint32_t)now;
    tp->out.data[0] = (uint8_t)tx->pci;
    memcpy(&tp->out.data[1], (const uint8_t *)tx->ctx + tx->at, QUICK_LEN);
    tp->offer = OFFER_QUICK;
    return &tp->out;
}

// --- The driver took a frame; the frame has left ---

static NOINLINE void commit(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    ASSERT(tp->offer != OFFER_NONE);
    if (tp->offer == OFFER_FC) {
        isotp_rx_t *rx = &tp->rx;
        rx->fc = FC_NONE;
        tx_template(tp);
        if (rx->state == ISOTP_RX_CTS) {
            rx->state = ISOTP_RX_GO;
            if (tp->head == 0) rx->run = run_of(&rx->left, rx->len - rx->next, rx->cf_len);
        }
    } else {
        if (tp->offer == OFFER_QUICK) {
            tx->next = tx->at + QUICK_LEN;
            tx->run--;
            tx->left++;
        }
        tx->at = tx->next;
        tx->pci = (tx->pci + 1) & (PCI_CF | 0x0F);
        tx->since = (uint32_t)tp->now;
        if (--tx->left == 0)
            tx->state = ISOTP_TX_AWAIT;
        else if (tx->gap != 0)
            tx->state = ISOTP_TX_GAP;
        if (tx->at == tx->len) tx->state = ISOTP_TX_DRAIN;
    }
    tp->offer = OFFER_NONE;
}

void isotp_taken(isotp_t *tp, usec_t now)
{
    if (tp->offer != OFFER_FC) tp->flight |= UINT32_C(1) << tp->count;
    tp->count++;
    tp->now = now;
    commit(tp);
}

static NOINLINE isotp_events_t sent_other(isotp_t *tp, usec_t now)
{
    uint32_t message = tp->offer - OFFER_FC;
    tp->now = now;
    if (tp->count != 0) {
        message = tp->flight & 1;
        tp->flight >>= 1;
        tp->count--;
    } else if (tp->offer != OFFER_NONE) {
        commit(tp);
    } else {
        return ISOTP_NONE; // a frame that nobody knows of
    }
    if (!message) {
        if ((tp->rx.state & 1) && tp->rx.fc == FC_NONE && (tp->flight + 1) >> tp->count)
            rx_enter(tp, tp->rx.state & ~1u);
        return ISOTP_NONE;
    }
    if (tp->flight != 0 || !(tp->tx.state & 1)) return ISOTP_NONE;
    tx_enter(tp, tp->tx.state & ~1u);
    return tp->tx.state == ISOTP_TX_IDLE ? ISOTP_SENT : ISOTP_NONE;
}

isotp_events_t isotp_sent(isotp_t *tp, usec_t now)
{
    isotp_tx_t *tx = &tp->tx;
    if (tp->offer != OFFER_QUICK || tp->count != 0) return sent_other(tp, now);
    tx->at += QUICK_LEN;
    tx->pci = (tx->pci + 1) & (PCI_CF | 0x0F);
    tp->offer = OFFER_NONE;
    if (--tx->run == 0 && tx->left == 0) {
        tp->now = now;
        tx_enter(tp, ISOTP_TX_FLOW);
    }
    return ISOTP_NONE;
}

void isotp_lost(isotp_t *tp)
{
    if (tp->flight != 0 && tp->tx.state != ISOTP_TX_IDLE && tp->tx.state != ISOTP_TX_FLOW) {
        isotp_cancel(tp);
        tp->tx.state = ISOTP_TX_LOST;
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
    case PCI_CF: used = 1 + (uint32_t)smaller(tp->rx.cf_len, tp->rx.len - tp->rx.next); break;
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

static NOINLINE isotp_events_t input_other(isotp_t *tp, const can_frame_t *f)
{
    const uint8_t *p = f->data + tp->head;
    const uint32_t len = f->len - tp->head;
    if (len - 1 >= CAN_DATA_MAX)
        return ISOTP_NONE; // nothing behind the address, or not a CAN frame
    if (tp->head != 0 && f->data[0] != tp->cfg->rx_address) return ISOTP_NONE;
    switch (p[0] & 0xF0) {
    case PCI_SF: return on_single(tp, p, len);
    case PCI_FF:
        if (CAN_FD) tp->rx.fd = f->fd;
        return on_first(tp, p, len);
    case PCI_CF: return on_consecutive(tp, p, len);
    case PCI_FC: return on_flow_control(tp, p, len);
    default: return ISOTP_NONE; // reserved (9.6.1): ignored
    }
}

isotp_events_t isotp_input(isotp_t *tp, const can_frame_t *f, usec_t now)
{
    const isotp_cfg_t *cfg = tp->cfg;
    isotp_rx_t *rx = &tp->rx;
    tp->now = now;
    if (f->id != cfg->rx_id || f->ext != cfg->ext) return ISOTP_NONE;
    if (f->fd && !(CAN_FD && cfg->fd)) return ISOTP_NONE;
    const uint32_t len = f->len - 1u;
    if (rx->run == 0 || len != rx->cf_len || f->data[0] != rx->pci) return input_other(tp, f);
    const isotp_events_t events = rx_append(tp, f->data, len);
    if (--rx->run == 0 && rx->left == 0) rx_hold(tp);
    return events;
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
    if (tp->tx.state == ISOTP_TX_LOST) return 0;
    return tp->cfg->n_as;
}

usec_t isotp_deadline(const isotp_t *tp)
{
    const uint32_t now = (uint32_t)tp->now;
    usec_t deadline = USEC_NEVER;
    if (tp->tx.state != ISOTP_TX_IDLE)
        deadline = tp->now + (usec_t)(int32_t)(tp->tx.since + tx_limit(tp) - now);
    if (tp->rx.state != ISOTP_RX_IDLE || tp->rx.fc != FC_NONE)
        deadline = sooner(deadline, tp->now + (usec_t)(int32_t)(tp->rx.since + rx_limit(tp) - now));
    return deadline;
}

static isotp_events_t rx_tick(isotp_t *tp)
{
    isotp_rx_t *rx = &tp->rx;
    if (!over(tp, rx->since, rx_limit(tp))) return ISOTP_NONE;
    switch (rx->state) {
    case ISOTP_RX_IDLE: // at most an OVFLW that the driver did not take in time
        rx_end(tp);
        return ISOTP_NONE;
    case ISOTP_RX_HELD:
        if (rx->waits-- == 0) return rx_fail(tp, ISOTP_WFT_OVRN);
        rx->fc = FC_WAIT;
        rx_enter(tp, ISOTP_RX_WAIT);
        return ISOTP_NONE;
    case ISOTP_RX_CF: return rx_fail(tp, ISOTP_TIMEOUT_CR);
    case ISOTP_RX_WAIT:
    case ISOTP_RX_CTS:
    case ISOTP_RX_GO: break;
    }
    return rx_fail(tp, ISOTP_TIMEOUT_A);
}

static isotp_events_t tx_tick(isotp_t *tp)
{
    isotp_tx_t *tx = &tp->tx;
    if (tx->state == ISOTP_TX_IDLE || !over(tp, tx->since, tx_limit(tp))) return ISOTP_NONE;
    switch (tx->state) {
    case ISOTP_TX_PAUSE: tx_enter(tp, ISOTP_TX_OFFER); return ISOTP_NONE;
    case ISOTP_TX_OFFER:
        if (tp->offer == OFFER_NONE && tx->next <= tx->at && tp->count < ISOTP_IN_FLIGHT_MAX) {
            tx_enter(tp, ISOTP_TX_OFFER); // nobody has asked for the frame yet
            return ISOTP_NONE;
        }
        break;
    case ISOTP_TX_FLOW: return tx_fail(tp, ISOTP_TIMEOUT_BS);
    case ISOTP_TX_IDLE:
    case ISOTP_TX_DRAIN:
    case ISOTP_TX_GAP:
    case ISOTP_TX_AWAIT:
    case ISOTP_TX_LOST: break;
    }
    return tx_fail(tp, ISOTP_TIMEOUT_A);
}

isotp_events_t isotp_tick(isotp_t *tp, usec_t now)
{
    tp->now = now;
    const isotp_events_t events = rx_tick(tp);
    return events | tx_tick(tp);
}

void isotp_init(isotp_t *tp, const isotp_cfg_t *cfg)
{
    memset(tp, 0, sizeof *tp);
    tp->cfg = cfg;
    tp->out.id = cfg->tx_id;
    tp->out.ext = cfg->ext;
    tp->out.data[0] = cfg->tx_address;
    tp->head = cfg->prefixed;
    tp->room = ((CAN_FD && cfg->tx_dl) ? cfg->tx_dl : CLASSIC_LEN) - tp->head;
}
