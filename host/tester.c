// tester.c - one UDS request at a time over ISO-TP: see tester.h.
// SPDX-License-Identifier: Apache-2.0
//
// To one device: channel 0 carries request and response, uds_client_t has the timers. To all: the request
// goes out on `functional`, and each identifier that answers gets a channel of its own; whoever says 0x78
// has P2* from then on.
#include "tester.h"

#include <stdio.h>

enum {
    FUNCTIONAL = TESTER_CHANNELS, // as an index, of `functional`
    P2_STAR_MS = 5000,
};

static isotp_t *tp_of(tester_t *t, unsigned i)
{
    return (i == FUNCTIONAL) ? &t->functional : &t->channel[i].tp;
}

static tester_channel_t *add_channel(tester_t *t, uint32_t tx_id, uint32_t rx_id)
{
    if (t->channels == TESTER_CHANNELS) return NULL;
    tester_channel_t *c = &t->channel[t->channels++];
    c->cfg = t->cfg->isotp;
    c->cfg.tx_id = tx_id;
    c->cfg.rx_id = rx_id;
    c->pending = 0;
    isotp_init(&c->tp, &c->cfg);
    return c;
}

void tester_init(tester_t *t, const tester_cfg_t *cfg, usec_t now)
{
    *t = (tester_t){ .cfg = cfg, .window = USEC_NEVER, .asked = USEC_NEVER };
    uds_client_init(&t->client, &cfg->client, now);
    isotp_init(&t->functional, &cfg->functional);
    (void)add_channel(t, cfg->isotp.tx_id, cfg->isotp.rx_id);
}

bool tester_start(tester_t *t, const uint8_t *request, uint32_t len, usec_t now)
{
    t->answers = 0;
    t->why = TESTER_OK;
    t->request = request;
    t->request_len = len;
    t->asked = t->window = USEC_NEVER;
    for (unsigned i = 0; i < t->channels; i++)
        t->channel[i].pending = 0;
    if (t->cfg->to_all) return isotp_start(&t->functional, request, len, now);
    if (!isotp_start(&t->channel[0].tp, request, len, now)) return false;
    uds_client_start(&t->client, request, len, false, now);
    return true;
}

// --- What comes in ---

static tester_events_t lost(tester_t *t, isotp_why_t why)
{
    uds_client_stop(&t->client);
    t->window = USEC_NEVER;
    t->why = TESTER_LOST;
    t->why_isotp = why;
    return TESTER_OVER;
}

static tester_events_t from_client(tester_t *t, uds_client_events_t ev, usec_t now)
{
    if (ev & UDS_CLIENT_SEND) (void)isotp_start(&t->channel[0].tp, t->request, t->request_len, now);
    if (ev & UDS_CLIENT_PENDING) return TESTER_PENDING;
    if (ev & UDS_CLIENT_TIMEOUT) {
        t->why = TESTER_SILENT;
        return TESTER_OVER;
    }
    if (!(ev & (UDS_CLIENT_POSITIVE | UDS_CLIENT_NEGATIVE))) return TESTER_NONE;
    isotp_cancel(&t->channel[0].tp); // refused before all of the request had left
    if ((ev & UDS_CLIENT_POSITIVE) && !t->client.response) return TESTER_OVER; // none was wanted
    t->answers++;
    return TESTER_ANSWER | TESTER_OVER;
}

/// A message to a request to all.
static tester_events_t collect(tester_t *t, tester_channel_t *c, usec_t now)
{
    const uint8_t *p = c->message;
    const bool negative =
        c->at >= UDS_NEGATIVE_LEN && p[0] == UDS_NEGATIVE && p[1] == t->request[0];
    if (t->window == USEC_NEVER ||
        (!negative && !uds_client_is_positive(t->request, t->request_len, p, c->at)))
        return TESTER_NONE;
    c->pending = 0;
    if (negative && p[2] == UDS_RESPONSE_PENDING) {
        const uint32_t p2_star_ms =
            t->cfg->client.p2_star_ms ? t->cfg->client.p2_star_ms : P2_STAR_MS;
        c->pending = now + p2_star_ms * USEC_MS;
        return TESTER_PENDING;
    }
    t->answers++;
    return TESTER_ANSWER;
}

static tester_events_t receive(tester_t *t, unsigned i, isotp_events_t ev, usec_t now)
{
    tester_channel_t *c = &t->channel[i];
    const isotp_rx_t *rx = &c->tp.rx;
    tester_events_t out = TESTER_NONE;
    const bool one = !t->cfg->to_all && i == 0;
    if ((ev & ISOTP_RX_FAILED) && one)
        out |= from_client(t, uds_client_break(&t->client, now), now);
    if (ev & ISOTP_RX_BEGIN) {
        c->at = 0;
        if (one) uds_client_begin(&t->client, now);
        if (rx->len > TESTER_MESSAGE_MAX) {
            isotp_refuse(&c->tp, now);
            if (one) out |= from_client(t, uds_client_break(&t->client, now), now);
            return out;
        }
    }
    if (ev & ISOTP_RX_DATA) {
        memcpy(c->message + rx->at, rx->data, rx->data_len);
        c->at = rx->at + rx->data_len;
    }
    if (isotp_wanted(&c->tp) > 0) isotp_proceed(&c->tp, 0, 0, now);
    if (!(ev & ISOTP_RX_END)) return out;
    t->from = c->cfg.rx_id;
    t->message = c->message;
    t->message_len = c->at;
    if (one)
        out |= from_client(t, uds_client_input(&t->client, c->message, c->at, now), now);
    else
        out |= collect(t, c, now);
    return out;
}

static tester_events_t handle(tester_t *t, unsigned i, isotp_events_t ev, usec_t now)
{
    tester_events_t out = TESTER_NONE;
    if (i != FUNCTIONAL) out = receive(t, i, ev, now);
    if (i == (t->cfg->to_all ? FUNCTIONAL : 0)) {
        if (ev & ISOTP_TX_FAILED) return out | lost(t, tp_of(t, i)->tx.why);
        if (ev & ISOTP_SENT) {
            t->asked = now;
            if (i == FUNCTIONAL)
                t->window = now + (t->cfg->client.p2_ms + t->cfg->client.margin_ms) * USEC_MS;
            else
                out |= from_client(t, uds_client_sent(&t->client, now), now);
        }
    }
    return out;
}

/// Somebody who may answer a request to all, by the identifiers of ISO 15765-4 and -2.
static tester_channel_t *newcomer(tester_t *t, const can_frame_t *f)
{
    const isotp_cfg_t *all = &t->cfg->functional;
    if (!t->cfg->to_all || f->ext != all->ext) return NULL;
    if (!f->ext && f->id >= 0x7E8 && f->id <= 0x7EF) return add_channel(t, f->id - 8, f->id);
    if (f->ext && (f->id & 0xFFFFFF00) == (ISOTP_ID_FIXED | (all->tx_id & 0xFF) << 8))
        return add_channel(t, ISOTP_ID_FIXED | (f->id & 0xFF) << 8 | (all->tx_id & 0xFF), f->id);
    return NULL;
}

tester_events_t tester_input(tester_t *t, const can_frame_t *frame, usec_t now)
{
    unsigned i = 0;
    while (i < t->channels &&
           (t->channel[i].cfg.rx_id != frame->id || t->channel[i].cfg.ext != frame->ext))
        i++;
    if (i == t->channels && !newcomer(t, frame)) return TESTER_NONE;
    return handle(t, i, isotp_input(&t->channel[i].tp, frame, now), now);
}

// --- What goes out ---

const can_frame_t *tester_output(tester_t *t, usec_t now)
{
    if (t->flights == sizeof t->flight) return NULL;
    for (unsigned i = 0; i <= t->channels; i++) {
        t->shown = (i == t->channels) ? FUNCTIONAL : i;
        const can_frame_t *frame = isotp_output(tp_of(t, t->shown), now);
        if (frame) return frame;
    }
    return NULL;
}

void tester_taken(tester_t *t, usec_t now)
{
    isotp_taken(tp_of(t, t->shown), now);
    t->flight[t->flights++] = (uint8_t)t->shown;
}

tester_events_t tester_sent(tester_t *t, usec_t now)
{
    if (t->flights == 0) return TESTER_NONE;
    const unsigned i = t->flight[0];
    memmove(t->flight, t->flight + 1, --t->flights);
    return handle(t, i, isotp_sent(tp_of(t, i), now), now);
}

void tester_lost(tester_t *t)
{
    t->flights = 0;
    isotp_lost(&t->functional);
    for (unsigned i = 0; i < t->channels; i++)
        isotp_lost(&t->channel[i].tp);
}

// --- Time ---

/// Not before all who began to answer, or said that they will, have finished.
static usec_t window_end(const tester_t *t)
{
    usec_t end = t->window;
    for (unsigned i = 0; i < t->channels; i++) {
        if (t->channel[i].tp.rx.state != ISOTP_RX_IDLE) return USEC_NEVER;
        end = later(end, t->channel[i].pending);
    }
    return end;
}

usec_t tester_deadline(const tester_t *t)
{
    usec_t deadline = sooner(isotp_deadline(&t->functional), uds_client_deadline(&t->client));
    for (unsigned i = 0; i < t->channels; i++)
        deadline = sooner(deadline, isotp_deadline(&t->channel[i].tp));
    return sooner(deadline, window_end(t));
}

tester_events_t tester_tick(tester_t *t, usec_t now)
{
    tester_events_t out = handle(t, FUNCTIONAL, isotp_tick(&t->functional, now), now);
    for (unsigned i = 0; i < t->channels && !out; i++)
        out |= handle(t, i, isotp_tick(&t->channel[i].tp, now), now);
    if (out) return out;
    out |= from_client(t, uds_client_tick(&t->client, now), now);
    const usec_t window = window_end(t);
    if (t->window == USEC_NEVER || now < window) return out;
    t->why = t->answers ? TESTER_OK : TESTER_SILENT;
    t->client.timer = (window > t->window) ? UDS_TIMER_P2_STAR : UDS_TIMER_P2;
    t->window = USEC_NEVER;
    return out | TESTER_OVER;
}

// --- Words ---

static const char *why_lost(isotp_why_t why)
{
    switch (why) {
    case ISOTP_TIMEOUT_A:
        return "no frame could be sent within 1 s (N_As): nobody acknowledges. Check wiring, termination, bit rate";
    case ISOTP_TIMEOUT_BS: return "no flow control within 1 s (N_Bs)";
    case ISOTP_BUFFER_OVFLW:
        return "the device refuses a request of this length (flow control OVFLW)";
    case ISOTP_INVALID_FS: return "the answer is no flow control of ISO 15765-2";
    case ISOTP_OK:
    case ISOTP_TIMEOUT_CR:
    case ISOTP_WRONG_SN:
    case ISOTP_UNEXP_PDU:
    case ISOTP_WFT_OVRN: break;
    }
    return "the request did not get through";
}

const char *tester_why(const tester_t *t, char *text, size_t cap)
{
    const uds_client_t *c = &t->client;
    const uint32_t margin_ms = t->cfg->client.margin_ms;
    const uint32_t p2_ms = (t->cfg->to_all ? t->cfg->client.p2_ms : c->p2_ms) + margin_ms;
    text[0] = '\0';
    if (t->why == TESTER_LOST) snprintf(text, cap, "%s", why_lost(t->why_isotp));
    if (t->why != TESTER_SILENT) return text;
    switch (c->timer) {
    case UDS_TIMER_P2: snprintf(text, cap, "no response within %u ms (P2)", p2_ms); break;
    case UDS_TIMER_P2_STAR:
        snprintf(text, cap, "nothing more within %u ms after a response pending (P2*)",
                 c->p2_star_ms + margin_ms);
        break;
    case UDS_TIMER_PENDING: snprintf(text, cap, "response pending (78) for too long"); break;
    case UDS_TIMER_BUSY: snprintf(text, cap, "busy (21) each time"); break;
    case UDS_TIMER_TRANSPORT:
        snprintf(text, cap, "the response was not completed: frames were lost");
        break;
    }
    return text;
}
