// sender.c - the host side of the `plain` and `header` protocols: see sender.h.
// SPDX-License-Identifier: Apache-2.0
//
//   SENDING          message left             ->  SENDING (next one), AWAITING_STATUS (the last one)
//   SENDING          status message           ->  OVER             REFUSED
//   SENDING          OVFLW                    ->  AWAITING_STATUS  for a short time: it says why
//   AWAITING_STATUS  status message, timeout  ->  OVER
//   SENDING          frame with our own ID    ->  OVER             OTHER_SENDER, once we have begun
//   SENDING          only WAIT for 60 s       ->  OVER             STALLED
//
// A status message that comes before the device has answered at all, or that reports success before
// everything was sent, is about another transfer.
#include "sender.h"

#include <stdlib.h>

static sender_events_t end(sender_t *f, sender_why_t why)
{
    f->state = SENDER_OVER;
    f->why = why;
    f->deadline = USEC_NEVER;
    return (why == SENDER_OK) ? SENDER_DONE : SENDER_FAILED;
}

static void send_next(sender_t *f, usec_t now)
{
    const uint32_t len = (uint32_t)smaller(SENDER_MESSAGE_LEN, f->len - f->at);
    (void)isotp_start(&f->isotp, f->bytes + f->at, len, now); // idle here, so it is taken
}

static void await_status(sender_t *f, usec_t timeout, usec_t now)
{
    f->state = SENDER_AWAITING_STATUS;
    f->deadline = now + timeout;
}

static sender_events_t on_send_failed(sender_t *f, usec_t now)
{
    switch (f->isotp.tx.why) {
    case ISOTP_TIMEOUT_BS:
        if (f->answered) return end(f, SENDER_LOST_DEVICE);
        if (f->attempt >= f->cfg->attempts) return end(f, SENDER_NO_ANSWER);
        f->attempt++;
        send_next(f, now);
        return SENDER_NONE;
    case ISOTP_BUFFER_OVFLW:
        f->overflowed = true;
        await_status(f, SENDER_EXPLAIN_TIMEOUT, now);
        return SENDER_NONE;
    case ISOTP_INVALID_FS: return end(f, SENDER_BAD_ANSWER);
    case ISOTP_TIMEOUT_A:
    case ISOTP_OK: // the rest are reasons of a reception
    case ISOTP_TIMEOUT_CR:
    case ISOTP_WRONG_SN:
    case ISOTP_UNEXP_PDU:
    case ISOTP_WFT_OVRN: break;
    }
    return end(f, SENDER_NO_BUS);
}

uint32_t sender_progress(const sender_t *f)
{
    return f->at + ((f->isotp.tx.state == ISOTP_TX_IDLE) ? 0 : f->isotp.tx.at);
}

static sender_events_t on_status(sender_t *f, const uint8_t *message, uint32_t len)
{
    if (len != 7 || message[0] != 'O' || message[1] != 'T') return SENDER_NONE;
    const bool all_sent = sender_progress(f) == f->len;
    const bool ours = f->answered || f->overflowed || all_sent;
    if (!ours || (message[2] == 0 && !all_sent)) return SENDER_NONE; // about another transfer
    f->result = message[2];
    f->received = load_le32(&message[3]);
    return end(f, f->result == 0 ? SENDER_OK : SENDER_REFUSED);
}

static sender_events_t on_isotp(sender_t *f, isotp_events_t ev, usec_t now)
{
    sender_events_t events = SENDER_NONE;
    if (f->state == SENDER_OVER) return events;
    // Status messages are single frames; anything longer is not for us.
    if (ev & ISOTP_RX_END)
        events |= on_status(f, f->isotp.rx.data, f->isotp.rx.len);
    else if (ev & ISOTP_RX_BEGIN)
        isotp_refuse(&f->isotp, now);
    if ((ev & ISOTP_SENT) && f->state == SENDER_SENDING) {
        f->at += f->isotp.tx.len;
        if (f->at < f->len)
            send_next(f, now);
        else
            await_status(f, f->answered ? f->cfg->status_timeout : SENDER_SINGLE_TIMEOUT, now);
    }
    if ((ev & ISOTP_TX_FAILED) && f->state == SENDER_SENDING) events |= on_send_failed(f, now);
    return events;
}

// --- Use ---

uint8_t *sender_wrap(sender_protocol_t protocol, const void *image, uint32_t len, uint32_t *total)
{
    enum { HEADER_LEN = 8, END_LEN = 1 };
    const uint32_t before = (protocol == SENDER_HEADER) ? HEADER_LEN : 0;
    uint8_t *bytes = malloc((size_t)len + HEADER_LEN + END_LEN);
    if (!bytes) return NULL;
    memset(bytes, 0, HEADER_LEN);
    bytes[0] = 'O';
    bytes[1] = 'T';
    store_le32(&bytes[2], len);
    memcpy(bytes + before, image, len);
    *total = before + len;
    if (protocol == SENDER_PLAIN && len % SENDER_MESSAGE_LEN == 0) bytes[(*total)++] = 0xFF;
    return bytes;
}

void sender_init(sender_t *f, const sender_cfg_t *cfg, const uint8_t *bytes, uint32_t len,
                 usec_t now)
{
    memset(f, 0, sizeof *f);
    f->cfg = cfg;
    f->bytes = bytes;
    f->len = len;
    f->attempt = 1;
    f->deadline = now + SENDER_STALL_TIMEOUT;
    isotp_init(&f->isotp, &cfg->isotp);
    send_next(f, now);
}

sender_events_t sender_input(sender_t *f, const can_frame_t *frame, usec_t now)
{
    if (f->state == SENDER_OVER) return SENDER_NONE;
    const isotp_cfg_t *cfg = &f->cfg->isotp;
    const bool began =
        sender_progress(f) > 0; // what comes before may be of a sender that was killed
    if (frame->id == cfg->tx_id && frame->ext == cfg->ext && began && f->state == SENDER_SENDING)
        return end(f, SENDER_OTHER_SENDER);
    const isotp_tx_state_t before = f->isotp.tx.state;
    const isotp_events_t ev = isotp_input(&f->isotp, frame, now);
    if ((before == ISOTP_TX_FLOW || before == ISOTP_TX_AWAIT) &&
        f->isotp.tx.state == ISOTP_TX_OFFER)
        f->answered = true;
    return on_isotp(f, ev, now);
}

const can_frame_t *sender_output(sender_t *f, usec_t now)
{
    return (f->state == SENDER_OVER) ? NULL : isotp_output(&f->isotp, now);
}

void sender_taken(sender_t *f, usec_t now) { isotp_taken(&f->isotp, now); }

sender_events_t sender_sent(sender_t *f, usec_t now)
{
    if (f->state == SENDER_SENDING) f->deadline = now + SENDER_STALL_TIMEOUT;
    return on_isotp(f, isotp_sent(&f->isotp, now), now);
}

void sender_lost(sender_t *f) { isotp_lost(&f->isotp); }

usec_t sender_deadline(const sender_t *f)
{
    return (f->state == SENDER_OVER) ? USEC_NEVER : sooner(f->deadline, isotp_deadline(&f->isotp));
}

sender_events_t sender_tick(sender_t *f, usec_t now)
{
    const sender_events_t events = on_isotp(f, isotp_tick(&f->isotp, now), now);
    if (f->state == SENDER_OVER || now < f->deadline) return events;
    if (f->state == SENDER_SENDING) return events | end(f, SENDER_STALLED);
    if (f->overflowed) return events | end(f, SENDER_OVERFLOW);
    return events | end(f, f->answered ? SENDER_NO_STATUS : SENDER_NO_ANSWER);
}
