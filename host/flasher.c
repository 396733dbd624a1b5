// flasher.c - the host side of the `plain` and `header` protocols: see flasher.h.
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
#include "flasher.h"

#include <stdlib.h>

static flasher_events_t end(flasher_t *f, flasher_why_t why)
{
    f->state = FLASHER_OVER;
    f->why = why;
    f->deadline = USEC_NEVER;
    return (why == FLASHER_OK) ? FLASHER_DONE : FLASHER_FAILED;
}

static void send_next(flasher_t *f, usec_t now)
{
    const uint32_t len = (uint32_t)smaller(FLASHER_MESSAGE_LEN, f->len - f->at);
    (void)isotp_start(&f->isotp, f->bytes + f->at, len, now); // idle here, so it is taken
}

static void await_status(flasher_t *f, usec_t timeout, usec_t now)
{
    f->state = FLASHER_AWAITING_STATUS;
    f->deadline = now + timeout;
}

static flasher_events_t on_send_failed(flasher_t *f, usec_t now)
{
    switch (f->isotp.tx.why) {
    case ISOTP_TIMEOUT_BS:
        if (f->answered) return end(f, FLASHER_LOST_DEVICE);
        if (f->attempt >= f->cfg->attempts) return end(f, FLASHER_NO_ANSWER);
        f->attempt++;
        send_next(f, now);
        return FLASHER_NONE;
    case ISOTP_BUFFER_OVFLW:
        f->overflowed = true;
        await_status(f, FLASHER_EXPLAIN_TIMEOUT, now);
        return FLASHER_NONE;
    case ISOTP_INVALID_FS: return end(f, FLASHER_BAD_ANSWER);
    case ISOTP_TIMEOUT_A:
    case ISOTP_OK: // the rest are reasons of a reception
    case ISOTP_TIMEOUT_CR:
    case ISOTP_WRONG_SN:
    case ISOTP_UNEXP_PDU:
    case ISOTP_WFT_OVRN: break;
    }
    return end(f, FLASHER_NO_BUS);
}

uint32_t flasher_progress(const flasher_t *f)
{
    return f->at + ((f->isotp.tx.state == ISOTP_TX_IDLE) ? 0 : f->isotp.tx.at);
}

static flasher_events_t on_status(flasher_t *f, const uint8_t *message, uint32_t len)
{
    if (len != 7 || message[0] != 'O' || message[1] != 'T') return FLASHER_NONE;
    const bool all_sent = flasher_progress(f) == f->len;
    const bool ours = f->answered || f->overflowed || all_sent;
    if (!ours || (message[2] == 0 && !all_sent)) return FLASHER_NONE; // about another transfer
    f->result = message[2];
    f->received = load_le32(&message[3]);
    return end(f, f->result == 0 ? FLASHER_OK : FLASHER_REFUSED);
}

static flasher_events_t on_isotp(flasher_t *f, isotp_events_t ev, usec_t now)
{
    flasher_events_t events = FLASHER_NONE;
    if (f->state == FLASHER_OVER) return events;
    // Status messages are single frames; anything longer is not for us.
    if (ev & ISOTP_RX_END)
        events |= on_status(f, f->isotp.rx.data, f->isotp.rx.len);
    else if (ev & ISOTP_RX_BEGIN)
        isotp_refuse(&f->isotp, now);
    if ((ev & ISOTP_SENT) && f->state == FLASHER_SENDING) {
        f->at += f->isotp.tx.len;
        if (f->at < f->len)
            send_next(f, now);
        else
            await_status(f, f->answered ? f->cfg->status_timeout : FLASHER_SINGLE_TIMEOUT, now);
    }
    if ((ev & ISOTP_TX_FAILED) && f->state == FLASHER_SENDING) events |= on_send_failed(f, now);
    return events;
}

// --- Use ---

uint8_t *flasher_wrap(flasher_protocol_t protocol, const void *image, uint32_t len, uint32_t *total)
{
    enum { HEADER_LEN = 8, END_LEN = 1 };
    const uint32_t before = (protocol == FLASHER_HEADER) ? HEADER_LEN : 0;
    uint8_t *bytes = malloc((size_t)len + HEADER_LEN + END_LEN);
    if (!bytes) return NULL;
    memset(bytes, 0, HEADER_LEN);
    bytes[0] = 'O';
    bytes[1] = 'T';
    store_le32(&bytes[2], len);
    memcpy(bytes + before, image, len);
    *total = before + len;
    if (protocol == FLASHER_PLAIN && len % FLASHER_MESSAGE_LEN == 0) bytes[(*total)++] = 0xFF;
    return bytes;
}

void flasher_init(flasher_t *f, const flasher_cfg_t *cfg, const uint8_t *bytes, uint32_t len,
                  usec_t now)
{
    memset(f, 0, sizeof *f);
    f->cfg = cfg;
    f->bytes = bytes;
    f->len = len;
    f->attempt = 1;
    f->deadline = now + FLASHER_STALL_TIMEOUT;
    isotp_init(&f->isotp, &cfg->isotp);
    send_next(f, now);
}

flasher_events_t flasher_input(flasher_t *f, const can_frame_t *frame, usec_t now)
{
    if (f->state == FLASHER_OVER) return FLASHER_NONE;
    const isotp_cfg_t *cfg = &f->cfg->isotp;
    const bool began =
        flasher_progress(f) > 0; // what comes before may be of a sender that was killed
    if (frame->id == cfg->tx_id && frame->ext == cfg->ext && began && f->state == FLASHER_SENDING)
        return end(f, FLASHER_OTHER_SENDER);
    const isotp_tx_state_t before = f->isotp.tx.state;
    const isotp_events_t ev = isotp_input(&f->isotp, frame, now);
    if ((before == ISOTP_TX_FLOW || before == ISOTP_TX_AWAIT) &&
        f->isotp.tx.state == ISOTP_TX_OFFER)
        f->answered = true;
    return on_isotp(f, ev, now);
}

const can_frame_t *flasher_output(flasher_t *f, usec_t now)
{
    return (f->state == FLASHER_OVER) ? NULL : isotp_output(&f->isotp, now);
}

void flasher_taken(flasher_t *f, usec_t now) { isotp_taken(&f->isotp, now); }

flasher_events_t flasher_sent(flasher_t *f, usec_t now)
{
    if (f->state == FLASHER_SENDING) f->deadline = now + FLASHER_STALL_TIMEOUT;
    return on_isotp(f, isotp_sent(&f->isotp, now), now);
}

void flasher_lost(flasher_t *f) { isotp_lost(&f->isotp); }

usec_t flasher_deadline(const flasher_t *f)
{
    return (f->state == FLASHER_OVER) ? USEC_NEVER : sooner(f->deadline, isotp_deadline(&f->isotp));
}

flasher_events_t flasher_tick(flasher_t *f, usec_t now)
{
    const flasher_events_t events = on_isotp(f, isotp_tick(&f->isotp, now), now);
    if (f->state == FLASHER_OVER || now < f->deadline) return events;
    if (f->state == FLASHER_SENDING) return events | end(f, FLASHER_STALLED);
    if (f->overflowed) return events | end(f, FLASHER_OVERFLOW);
    return events | end(f, f->answered ? FLASHER_NO_STATUS : FLASHER_NO_ANSWER);
}
