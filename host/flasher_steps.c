// flasher_steps.c - begins steps and rounds, makes and sends their requests: see flasher_steps.h.
// SPDX-License-Identifier: Apache-2.0
//
// A step that needs no answer is done at once, so one call may begin several. A request to all nodes waits
// until the one before it has been heard (P3client_func).
#include "flasher_steps.h"

enum {
    SPENT_MAX = 3, // times the image's length: then no further round
    ROUNDS_MAX = 40,
    POLL_MS = 60, // how long a device that restarts has for an answer
    CLOSE_MS = 100,
    STALL_MS = 20, // a block of which nothing more leaves, and that is not answered, is asked about
};

// --- Ends ---

flasher_events_t flasher_over(flasher_t *f)
{
    f->state = FLASHER_OVER;
    f->wake = USEC_NEVER;
    return (f->why == FLASHER_OK) ? FLASHER_DONE : FLASHER_FAILED;
}

static bool has_step(const flasher_t *f, profile_verb_t verb, unsigned *at)
{
    const profile_t *p = f->cfg->profile;
    for (*at = 0; *at < p->steps; (*at)++)
        if (p->step[*at].verb == verb) return true;
    return false;
}

bool flasher_is_lost_session(uds_nrc_t nrc)
{
    return nrc == UDS_SERVICE_NOT_IN_SESSION || nrc == UDS_SUB_FUNCTION_NOT_IN_SESSION ||
           nrc == UDS_SECURITY_ACCESS_DENIED || nrc == UDS_REQUEST_SEQUENCE_ERROR;
}

static bool can_resume(const flasher_t *f)
{
    unsigned at;
    if (!has_step(f, PROFILE_RESUME, &at) || f->sent == 0 || f->activated) return false;
    switch (f->why) {
    case FLASHER_NO_BUS:
    case FLASHER_LOST_DEVICE:
    case FLASHER_TIMEOUT:
    case FLASHER_OTHER_TESTER:
    case FLASHER_STOPPED: return true;
    case FLASHER_REFUSED: return flasher_is_lost_session(f->nrc);
    case FLASHER_OK:
    case FLASHER_NO_ANSWER:
    case FLASHER_UNEXPECTED:
    case FLASHER_BAD_RESPONSE:
    case FLASHER_LOCKED:
    case FLASHER_TOO_LARGE:
    case FLASHER_NOT_BACK:
    case FLASHER_OLD_RUNS:
    case FLASHER_OTHER_RUNS:
    case FLASHER_BAD_PROFILE:
    case FLASHER_NO_HASH: break;
    }
    return false;
}

flasher_events_t flasher_end(flasher_t *f, flasher_why_t why, usec_t now)
{
    static const uint8_t default_session[] = { UDS_SESSION_CONTROL, UDS_SPR | UDS_DEFAULT_SESSION };
    f->why = why;
    f->resumable = can_resume(f);
    uds_client_stop(&f->client);
    uds_client_keep_present(&f->client, false, now);
    isotp_cancel(&f->physical);
    isotp_cancel(&f->functional);
    // Another tester's session is not ours to end.
    if (!f->disturbed || why == FLASHER_NO_BUS || why == FLASHER_OTHER_TESTER)
        return flasher_over(f);
    memcpy(f->message, default_session, sizeof default_session);
    (void)isotp_start(&f->functional, f->message, sizeof default_session, now);
    f->broadcast = false;
    f->state = FLASHER_CLOSING;
    f->wake = now + CLOSE_MS * USEC_MS;
    return FLASHER_NONE;
}

// --- Requests ---

static flasher_events_t wait_until(flasher_t *f, usec_t wake)
{
    f->state = FLASHER_WAITING;
    f->wake = wake;
    return FLASHER_NONE;
}

flasher_events_t flasher_wait(flasher_t *f, uint32_t ms, usec_t now)
{
    return wait_until(f, now + ms * USEC_MS);
}

/// A block comes straight from the image.
static bool block_source(void *ctx, uint32_t at, uint8_t *to, size_t len)
{
    const flasher_t *f = ctx;
    for (size_t i = 0; i < len; i++, at++)
        to[i] = (at < FLASHER_BLOCK_HEAD) ? f->request[at]
                                          : f->cfg->image.bytes[f->at + at - FLASHER_BLOCK_HEAD];
    return true;
}

/// The request goes to f->request, but for the data of a block. Returns its length, 0: it cannot be made.
static uint32_t make_request(flasher_t *f)
{
    const profile_step_t *s = flasher_step(f);
    const flasher_image_t *im = &f->cfg->image;
    uint8_t *r = f->request;
    if (f->ask == FLASHER_ASK_KEY) return f->request_len;
    if (f->ask != FLASHER_ASK_STEP || s->verb == PROFILE_READ || s->verb == PROFILE_VERIFY) {
        const uint16_t did = (f->ask == FLASHER_ASK_STEP) ? s->did : f->cfg->profile->result_did;
        r[0] = UDS_READ_DID;
        r[1] = (uint8_t)(did >> 8);
        r[2] = (uint8_t)did;
        return 3;
    }
    if (s->verb == PROFILE_SECURITY) {
        r[0] = UDS_SECURITY_ACCESS;
        r[1] = s->level;
        return 2;
    }
    if (s->verb == PROFILE_TRANSFER) {
        const uint32_t data = (uint32_t)smaller(f->block, f->block_cap) - FLASHER_BLOCK_HEAD;
        if (!f->doubtful) f->piece = (uint32_t)smaller(data, im->len - f->at);
        r[0] = UDS_TRANSFER_DATA;
        r[1] = f->counter;
        return FLASHER_BLOCK_HEAD;
    }
    profile_values_t values = { .address = f->cfg->profile->address + f->start,
                                .size = im->len - f->start,
                                .crc32 = im->crc32 };
    memcpy(values.sha256, im->sha256, sizeof values.sha256);
    memcpy(values.date, f->cfg->date, sizeof values.date);
    return profile_expand(f->cfg->profile, s, &values, r);
}

bool flasher_is_functional(const flasher_t *f)
{
    return f->ask == FLASHER_ASK_STEP && flasher_step(f)->functional;
}

bool flasher_is_block(const flasher_t *f)
{
    return f->ask == FLASHER_ASK_STEP && flasher_step(f)->verb == PROFILE_TRANSFER;
}

bool flasher_is_poll(const flasher_t *f)
{
    const profile_verb_t verb = flasher_step(f)->verb;
    return verb == PROFILE_RESTART || verb == PROFILE_VERIFY;
}

bool flasher_give(flasher_t *f, usec_t now)
{
    if (flasher_is_functional(f)) {
        const size_t room = (f->cfg->functional.tx_dl > 8) ? sizeof f->message : 7;
        if (f->request_len > room) return false;
        memcpy(f->message, f->request, f->request_len);
        f->broadcast = true;
        return isotp_start(&f->functional, f->message, f->request_len, now);
    }
    isotp_cancel(&f->physical); // what is left of a try before
    if (!flasher_is_block(f)) return isotp_start(&f->physical, f->request, f->request_len, now);
    return isotp_start_from(&f->physical, block_source, f, FLASHER_BLOCK_HEAD + f->piece, now);
}

void flasher_watch_block(flasher_t *f, uint32_t seen, usec_t now)
{
    f->seen = seen;
    f->wake = f->cfg->profile->result_did ? now + STALL_MS * USEC_MS : USEC_NEVER;
}

flasher_events_t flasher_transmit(flasher_t *f, usec_t now)
{
    if (flasher_is_block(f)) {
        f->doubtful = f->doubtful || f->left;
        f->left = false;
    }
    f->request_len = make_request(f);
    if (flasher_is_functional(f) &&
        (now < f->client.functional_from || f->functional.tx.state != ISOTP_TX_IDLE))
        return wait_until(f, later(f->client.functional_from, now + USEC_MS));
    if (f->request_len == 0 || !flasher_give(f, now))
        return flasher_end(f, FLASHER_BAD_PROFILE, now);
    if (f->request[0] == UDS_ECU_RESET) {
        f->reset = true;
        f->resets++;
    }
    f->tries++;
    f->state = FLASHER_ASKING;
    const bool poll = flasher_is_poll(f) || f->ask == FLASHER_ASK_POSITION;
    f->wake = poll ? now + POLL_MS * USEC_MS : USEC_NEVER;
    if (flasher_is_block(f)) flasher_watch_block(f, 0, now);
    uds_client_start(&f->client, f->request, f->request_len, flasher_is_functional(f), now);
    return (f->tries > 1 && !poll) ? FLASHER_RETRY : FLASHER_NONE;
}

// --- Steps ---

/// What would be refused later is not begun.
static flasher_why_t check_device(const flasher_t *f)
{
    enum { HEAD = 3, EACH = 5 };
    const flasher_image_t *im = &f->cfg->image;
    const flasher_fact_t *slots = flasher_fact(f, PROFILE_SLOTS);
    if (slots && slots->len >= HEAD) {
        const unsigned at = HEAD + EACH * (unsigned)slots->bytes[2] + 1;
        if (at + 4 <= slots->len && im->len > load_be32(&slots->bytes[at]))
            return FLASHER_TOO_LARGE;
    }
    return FLASHER_OK;
}

/// Can what an update of this image left be in the slot? Not if another image's version or project is at
/// its beginning, for there is nothing to go on from but its first sector. (A device tells neither if the image is
/// not whole: that may be ours.)
static bool may_resume(const flasher_t *f)
{
    enum { TOLD_AT = 37, IMAGE_AT = 48, LEN = 64 }; // in DID FD03, in the image
    static const uint8_t nothing[LEN];
    const flasher_fact_t *next = flasher_fact(f, PROFILE_NEXT);
    if (f->cfg->no_resume) return false;
    if (f->sent > 0 || !next || next->len < TOLD_AT + LEN) return true;
    const uint8_t *told = &next->bytes[TOLD_AT];
    return memcmp(told, nothing, LEN) == 0 || f->cfg->image.len < IMAGE_AT + LEN ||
           memcmp(told, &f->cfg->image.bytes[IMAGE_AT], LEN) == 0;
}

flasher_events_t flasher_go_on(flasher_t *f, usec_t now)
{
    const profile_t *p = f->cfg->profile;
    flasher_events_t events = FLASHER_STEP;
    for (;; f->step++) {
        f->ask = FLASHER_ASK_STEP;
        f->tries = 0;
        f->since = now;
        if (f->step == p->steps) {
            f->unverified = !f->after.known && !f->verified;
            uds_client_keep_present(&f->client, false, now);
            return events | flasher_over(f);
        }
        const profile_step_t *s = flasher_step(f);
        if (!f->checked && s->verb != PROFILE_READ) {
            f->checked = true;
            events |= FLASHER_DEVICE;
            const flasher_why_t why = check_device(f);
            if (why) return events | flasher_end(f, why, now);
        }
        if (s->verb == PROFILE_AGAIN || (s->verb == PROFILE_RESUME && !may_resume(f))) {
            f->start = 0;
            continue;
        }
        if (s->verb == PROFILE_DELAY) return events | flasher_wait(f, s->delay_ms, now);
        if (s->verb == PROFILE_RESTART) f->request_len = make_request(f); // what is shown
        if (s->verb == PROFILE_RESTART)
            return events | FLASHER_RESTART | flasher_wait(f, p->restart_delay_ms, now);
        return events | flasher_transmit(f, now);
    }
}

flasher_events_t flasher_next_step(flasher_t *f, usec_t now)
{
    f->step++;
    return flasher_go_on(f, now);
}

bool flasher_in_round(const flasher_t *f)
{
    unsigned again;
    return has_step(f, PROFILE_AGAIN, &again) && f->step > again && !f->reset;
}

flasher_events_t flasher_new_round(flasher_t *f, flasher_why_t why, usec_t now)
{
    const profile_t *p = f->cfg->profile;
    f->fruitless = (f->at > f->furthest) ? 0 : f->fruitless + 1;
    f->furthest = (uint32_t)later(f->at, f->furthest);
    if (!flasher_in_round(f) || f->fruitless > p->rounds || f->rounds == ROUNDS_MAX ||
        f->sent > (uint64_t)SPENT_MAX * f->cfg->image.len)
        return flasher_end(f, why, now);
    (void)has_step(f, PROFILE_AGAIN, &f->step);
    f->rounds++;
    f->reconnecting = true;
    f->until = now + (usec_t)p->reconnect_s * 1000 * USEC_MS;
    return FLASHER_AGAIN | flasher_go_on(f, now);
}
