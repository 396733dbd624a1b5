// stream.c - the `plain` and `header` protocols: see stream.h.
// SPDX-License-Identifier: Apache-2.0
//
//   IDLE       message that begins like a transfer        ->  RECEIVING  STARTED
//   IDLE       any other message                          ->  IDLE       FOREIGN
//   RECEIVING  message that begins like a transfer        ->  RECEIVING  STARTED, the old is void
//   RECEIVING  last message, or 1 s silent (plain)        ->  ENDING     ENDED
//   RECEIVING  message lost, excess, overrun, 10 s silent ->  IDLE       FAILED
//   ENDING     any message                                ->  ENDING     FOREIGN
//   any        stop                                       ->  IDLE
//
// "Begins like a transfer" has two meanings. When nothing is lost by being wrong (IDLE, the message
// before broke off, only a header came), the first byte decides. In the middle of a transfer the
// same byte may well be data; there the message must begin with a whole image header and descriptor
// magic, and its first 44 bytes wait in the ring for that judgement.
#include "stream.h"

enum {
    IMAGE_MAGIC = 0xE9,
    IMAGE_HEAD = 36, // header, first segment header, magic of the application descriptor
    JUDGED = STREAM_HEADER_LEN + IMAGE_HEAD,
};

typedef enum { NO_START, MORE_NEEDED, PLAIN_START, HEADER_START } verdict_t;

// --- Ring ---

uint32_t stream_room(const stream_t *s)
{
    const uint32_t free = ring_free(s->ring);
    return (free > STREAM_RESERVE) ? free - STREAM_RESERVE : 0;
}

// --- Ends ---

void stream_stop(stream_t *s)
{
    s->state = STREAM_IDLE;
    ring_clear(s->ring);
    s->judging = false;
    s->foreign = true; // what is left of the message that comes in
}

static stream_events_t fail(stream_t *s, stream_why_t why)
{
    stream_stop(s);
    s->why = why;
    return STREAM_FAILED;
}

// --- How a transfer begins ---

static bool image_begins(const uint8_t *p)
{
    return p[0] == IMAGE_MAGIC && p[1] >= 1 && p[1] <= 16 && p[2] <= 5 && p[23] <= 1 &&
           load_le32(&p[32]) == 0xABCD5432;
}

static verdict_t judge(const stream_t *s)
{
    uint8_t head[JUDGED] = { 0 };
    const uint32_t len = (uint32_t)smaller(sizeof head, s->ring->used - s->ring->ready);
    for (uint32_t i = 0; i < len; i++)
        head[i] = ring_byte(s->ring, s->ring->ready + i);
    const bool only_a_header_came = s->state == STREAM_RECEIVING && s->total == 0 && !s->broke;
    const bool first_byte_decides = s->state == STREAM_IDLE || s->broke || only_a_header_came;
    if (head[0] == IMAGE_MAGIC) {
        if (only_a_header_came) return NO_START; // it is what was announced
        if (first_byte_decides) return PLAIN_START;
        if (len < IMAGE_HEAD) return MORE_NEEDED;
        return image_begins(head) ? PLAIN_START : NO_START;
    }
    if (head[0] != 'O' || (len > 1 && head[1] != 'T')) return NO_START;
    if (len < STREAM_HEADER_LEN) return MORE_NEEDED;
    if (first_byte_decides) return HEADER_START;
    if (len < JUDGED) return MORE_NEEDED;
    return image_begins(&head[STREAM_HEADER_LEN]) ? HEADER_START : NO_START;
}

static stream_events_t start(stream_t *s, stream_kind_t kind)
{
    ring_drop(s->ring, s->ring->ready); // of the transfer before
    s->size = 0;
    if (kind == STREAM_HEADER) {
        for (uint32_t i = 0; i < 4; i++)
            s->size |= (uint32_t)ring_byte(s->ring, 2 + i) << 8 * i;
        ring_drop(s->ring, STREAM_HEADER_LEN);
    }
    s->kind = kind;
    s->state = STREAM_RECEIVING;
    s->total = s->ring->used;
    ring_commit(s->ring);
    s->judging = false;
    return STREAM_STARTED;
}

static stream_events_t not_a_start(stream_t *s)
{
    s->judging = false;
    if (s->state == STREAM_IDLE) {
        stream_stop(s);
        return STREAM_FOREIGN;
    }
    if (s->broke) return fail(s, STREAM_BROKEN) | STREAM_FOREIGN;
    s->total += s->ring->used - s->ring->ready;
    ring_commit(s->ring);
    return STREAM_NONE;
}

static stream_events_t settle(stream_t *s, bool message_over)
{
    switch (judge(s)) {
    case PLAIN_START: return start(s, STREAM_PLAIN);
    case HEADER_START: return start(s, STREAM_HEADER);
    case NO_START: return not_a_start(s);
    case MORE_NEEDED: break;
    }
    return message_over ? not_a_start(s) : STREAM_NONE;
}

// --- Messages ---

void stream_init(stream_t *s, ring_t *ring)
{
    ASSERT(ring->cap >= STREAM_RING_MIN);
    memset(s, 0, sizeof *s);
    s->ring = ring;
}

void stream_begin(stream_t *s, uint32_t len, bool broke)
{
    if (s->judging) ring_retract(s->ring); // a message that broke off before it was judged
    s->message_len = len;
    s->message_at = 0;
    s->broke = broke;
    s->foreign = s->state == STREAM_ENDING;
    s->judging = !s->foreign;
}

static bool too_much(const stream_t *s)
{
    return s->state == STREAM_RECEIVING && s->kind == STREAM_HEADER && s->total > s->size;
}

stream_events_t stream_data(stream_t *s, const uint8_t *data, uint32_t len)
{
    const bool first = s->message_at == 0;
    s->message_at += len;
    if (s->foreign) return first ? STREAM_FOREIGN : STREAM_NONE;
    if (len > ring_free(s->ring)) return fail(s, STREAM_OVERRUN);
    ring_put(s->ring, data, len);
    stream_events_t events = STREAM_NONE;
    if (s->judging) {
        events = settle(s, false);
    } else {
        ring_commit(s->ring);
        s->total += len;
    }
    return too_much(s) ? events | fail(s, STREAM_EXCESS) : events;
}

stream_events_t stream_end(stream_t *s, usec_t now)
{
    s->last = now;
    if (s->foreign) return STREAM_NONE;
    const stream_events_t events = s->judging ? settle(s, true) : STREAM_NONE;
    if (s->state != STREAM_RECEIVING) return events;
    if (too_much(s)) return events | fail(s, STREAM_EXCESS);
    const bool over =
        (s->kind == STREAM_HEADER) ? s->total == s->size : s->message_len < STREAM_FULL_MESSAGE;
    if (!over) return events;
    s->state = STREAM_ENDING;
    return events | STREAM_ENDED;
}

stream_events_t stream_break(stream_t *s)
{
    if (s->state == STREAM_RECEIVING) return fail(s, STREAM_BROKEN);
    if (s->state == STREAM_IDLE) stream_stop(s);
    return STREAM_NONE;
}

// --- Silence ---

usec_t stream_deadline(const stream_t *s, bool complete)
{
    const bool between_messages = s->message_at == s->message_len;
    if (s->state != STREAM_RECEIVING || !between_messages) return USEC_NEVER;
    return s->last +
           ((complete && s->kind == STREAM_PLAIN) ? STREAM_SILENCE_END : STREAM_SILENCE_FAIL);
}

stream_events_t stream_tick(stream_t *s, bool complete, usec_t now)
{
    if (now < stream_deadline(s, complete)) return STREAM_NONE;
    if (!complete || s->kind == STREAM_HEADER) return fail(s, STREAM_SILENT);
    s->state = STREAM_ENDING;
    return STREAM_ENDED;
}
