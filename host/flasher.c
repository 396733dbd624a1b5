// flasher.c - updates one device by UDS as a profile says: see flasher.h.
// SPDX-License-Identifier: Apache-2.0
//
//   ASKING   positive response          ->  the next step; TransferData: the next block
//   ASKING   negative response          ->  the next step (optional), ASKING for DID FD01, a new round, or the end
//   ASKING   no response                ->  ASKING once more, a new round, or the end
//   ASKING   a seed                     ->  SEEDED, until flasher_unlock()
//   any      it cannot go on            ->  CLOSING: 10 81 to all, so that nobody stays quiet; then OVER
//
// A round begins at the profile's `again`: session, security, and the question what the device has
// already. All that repeats is counted: tries of a request, rounds, bytes, seconds.
#include "flasher.h"

#include "flasher_steps.h"

enum {
    SEED_PAUSE_MS = 1000,
    POLL_PAUSE_MS = 20,
    CONFIRM_PAUSE_MS = 100,
    RECONNECT_PAUSE_MS = 50,
    RESETS_MAX = 3,
    RESET_PATIENCE_MS =
        1500, // from an unanswered reset to another one, if the device still is as before
    POSITION_LEN = 4 + 4 + 32, // 71 01 F0 00, offset, SHA-256
    READ_HEAD = 3,             // 62, identifier
    RESULT_LEN = READ_HEAD + 1 + 4,
    RUNNING_LEN = 1 + 1 + FLASHER_DIGEST_LEN,
    BUSY_REPEATS = 50,
    ASKS_MAX = 10, // what has become of a block
};

static uint16_t load_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

// --- What comes back ---

static void keep_fact(flasher_t *f, const uint8_t *bytes, uint32_t len)
{
    const profile_step_t *s = flasher_step(f);
    if (f->facts == FLASHER_FACTS) return;
    flasher_fact_t *fact = &f->fact[f->facts++];
    fact->did = s->did;
    fact->kind = s->kind;
    fact->len = (uint16_t)smaller(len, FLASHER_FACT_MAX);
    memcpy(fact->bytes, bytes, fact->len);
}

static bool take_running(flasher_running_t *running, const uint8_t *bytes, uint32_t len)
{
    if (len < RUNNING_LEN) return false;
    running->known = true;
    running->slot = bytes[0];
    running->state = bytes[1];
    memcpy(running->digest, &bytes[2], FLASHER_DIGEST_LEN);
    return true;
}

static flasher_events_t on_read(flasher_t *f, usec_t now)
{
    enum { HEAD = 3 };
    const uint8_t *bytes = f->client.response + HEAD;
    const uint32_t len = f->client.response_len - HEAD;
    const profile_kind_t kind = flasher_step(f)->kind;
    if (kind == PROFILE_RUNNING && !take_running(&f->before, bytes, len))
        return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    keep_fact(f, bytes, len);
    return flasher_next_step(f, now);
}

/// A session keeps all nodes quiet that were asked to, until the default one.
static void note_session(flasher_t *f, usec_t now)
{
    if (f->request[0] != UDS_SESSION_CONTROL) return;
    const bool special = (f->request[1] & ~UDS_SPR) != UDS_DEFAULT_SESSION;
    const bool all = flasher_step(f)->functional;
    if (special || all) f->disturbed = special;
    if (f->cfg->profile->present_ms > 0) uds_client_keep_present(&f->client, f->disturbed, now);
}

static flasher_events_t on_request(flasher_t *f, usec_t now)
{
    const profile_step_t *s = flasher_step(f);
    const uds_client_t *c = &f->client;
    note_session(f, now);
    if (c->response && !s->optional &&
        !profile_expected(f->cfg->profile, s, c->response, c->response_len)) {
        f->response_len = (uint32_t)smaller(c->response_len, sizeof f->response);
        return flasher_end(f, FLASHER_UNEXPECTED, now);
    }
    if (f->request[0] == UDS_ECU_RESET) f->reset_sure = true;
    if (f->request[0] == UDS_ROUTINE_CONTROL && f->request_len >= 4 &&
        load_be16(&f->request[2]) == UDS_RID_CHECK_DEPENDENCIES)
        f->activated = true;
    return flasher_next_step(f, now);
}

static flasher_events_t on_seed(flasher_t *f, usec_t now)
{
    const uint8_t *seed = f->client.response + 2;
    const uint32_t len = f->client.response_len - 2;
    bool locked = false;
    if (len > FLASHER_SEED_MAX) return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    for (uint32_t i = 0; i < len; i++)
        locked = locked || seed[i] != 0;
    if (!locked) return flasher_next_step(f, now); // 10.4.2: unlocked already
    f->level = flasher_step(f)->level;
    f->seed_len = len;
    memcpy(f->seed, seed, len);
    f->state = FLASHER_SEEDED;
    return FLASHER_SEED;
}

/// What the device has counts if it is the same as ours.
static flasher_events_t on_position(flasher_t *f, usec_t now)
{
    const flasher_cfg_t *cfg = f->cfg;
    uint8_t digest[CRYPTO_SHA256_LEN];
    if (f->client.response_len < POSITION_LEN) return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    const uint32_t at = load_be32(f->client.response + 4);
    f->start = 0;
    if (at == 0 || at >= cfg->image.len) return flasher_next_step(f, now);
    if (!cfg->crypto->start(cfg->crypto->ctx, CRYPTO_SHA256) ||
        !cfg->crypto->update(cfg->crypto->ctx, cfg->image.bytes, at) ||
        !cfg->crypto->finish(cfg->crypto->ctx, digest))
        return flasher_end(f, FLASHER_NO_HASH, now);
    if (memcmp(digest, f->client.response + 8, sizeof digest) == 0) f->start = at;
    return flasher_next_step(f, now) | (f->start ? FLASHER_RESUMED : FLASHER_NONE);
}

static flasher_events_t on_download(flasher_t *f, usec_t now)
{
    const uint8_t *r = f->client.response;
    const uint32_t len = f->client.response_len;
    const uint32_t bytes = (len > 1) ? r[1] >> 4 : 0;
    uint64_t block = 0;
    if (bytes == 0 || bytes > 8 || len < 2 + bytes)
        return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    for (uint32_t i = 0; i < bytes; i++)
        block = block << 8 | r[2 + i];
    if (block <= FLASHER_BLOCK_HEAD) return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    const uint32_t max = f->cfg->profile->block_max;
    f->block = (block < max) ? (uint32_t)block : max;
    f->at = f->start;
    f->counter = 1;
    f->left = f->doubtful = false;
    return flasher_next_step(f, now);
}

// A link that needs repetitions gets shorter messages, and longer ones again while it needs none. So one in
// a dozen fails, whatever the share of frames that get lost.
static flasher_events_t on_block(flasher_t *f, usec_t now)
{
    if (f->tries > 1)
        f->block_cap = (uint32_t)later(f->piece / 2 + FLASHER_BLOCK_HEAD, FLASHER_BLOCK_MIN);
    else if (f->block_cap < f->block)
        f->block_cap += f->block_cap / 16 + 1;
    f->at += f->piece;
    f->sent += f->piece;
    f->counter++;
    f->tries = 0;
    f->left = f->doubtful = false;
    return (f->at == f->cfg->image.len) ? flasher_next_step(f, now) : flasher_transmit(f, now);
}

/// A block was sent for nothing, or a part of it. (`seen`: something else has left since.)
static void count_lost(flasher_t *f)
{
    f->sent += f->left ? f->piece : (uint32_t)smaller(f->piece, later(f->seen, f->physical.tx.at));
}

static bool waited(const flasher_t *f, uint32_t seconds, usec_t now)
{
    return now - f->since >= (usec_t)seconds * 1000 * USEC_MS;
}

/// The device answers, but perhaps it has not restarted yet, because it did not hear that it should.
static flasher_events_t on_back(flasher_t *f, bool as_expected, usec_t now)
{
    const profile_t *p = f->cfg->profile;
    if (as_expected) return flasher_next_step(f, now);
    if (waited(f, p->restart_s, now)) return flasher_end(f, FLASHER_UNEXPECTED, now);
    const bool reset_before = f->step > 0 && p->step[f->step - 1].verb == PROFILE_REQUEST;
    if (f->reset && !f->reset_sure && f->resets < RESETS_MAX && reset_before &&
        now - f->since >= (usec_t)RESET_PATIENCE_MS * USEC_MS) {
        f->step--;
        return flasher_go_on(f, now);
    }
    return flasher_wait(f, POLL_PAUSE_MS, now);
}

static flasher_events_t verified(flasher_t *f, bool trial, usec_t now)
{
    f->trial = trial;
    f->verified = true;
    return flasher_next_step(f, now);
}

static flasher_events_t on_running(flasher_t *f, usec_t now)
{
    enum { HEAD = 3, NEW = 0, PENDING = 1, REJECTED = 3, ABORTED = 4 };
    const flasher_running_t *is = &f->after, *was = &f->before;
    if (!take_running(&f->after, f->client.response + HEAD, f->client.response_len - HEAD))
        return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    const bool image = memcmp(is->digest, f->cfg->image.digest, FLASHER_DIGEST_LEN) == 0;
    const bool same = was->known && memcmp(is->digest, was->digest, FLASHER_DIGEST_LEN) == 0;
    // The same image, in the slot that it ran in: the new copy does not run.
    const bool back = same && was->slot == is->slot && f->activated;
    if (!image || back) {
        const bool old = same || !was->known;
        return flasher_end(f, old ? FLASHER_OLD_RUNS : FLASHER_OTHER_RUNS, now);
    }
    const bool trial = is->state == NEW || is->state == PENDING;
    const bool doomed = is->state == REJECTED || is->state == ABORTED;
    if (!trial && !doomed) return verified(f, false, now);
    if (waited(f, f->cfg->profile->confirm_s, now))
        return doomed ? flasher_end(f, FLASHER_OTHER_RUNS, now) : verified(f, true, now);
    return flasher_wait(f, CONFIRM_PAUSE_MS, now);
}

/// Length of a text, without what pads it.
static size_t text_len(const uint8_t *p, size_t len)
{
    while (len > 0 && (p[len - 1] == 0 || p[len - 1] == ' ' || p[len - 1] == 0xFF))
        len--;
    return len;
}

static flasher_events_t on_version(flasher_t *f, usec_t now)
{
    enum { HEAD = 3 };
    const char *wanted = f->cfg->image.version;
    const uint8_t *text = f->client.response + HEAD;
    const size_t len = text_len(text, f->client.response_len - HEAD);
    const flasher_fact_t *before = flasher_fact(f, PROFILE_VERSION);
    keep_fact(f, text, f->client.response_len - HEAD);
    if (!wanted || (len == strlen(wanted) && memcmp(text, wanted, len) == 0))
        return verified(f, false, now);
    const bool old = before && text_len(before->bytes, before->len) == len &&
                     memcmp(before->bytes, text, len) == 0;
    return flasher_end(f, old ? FLASHER_OLD_RUNS : FLASHER_OTHER_RUNS, now);
}

// --- Blocks without an answer ---

/// Asks what has become of it. Another request does no harm: a device that is at work on the block says so (0x21),
/// one that waits for the rest of it gives it up.
static flasher_events_t ask_position(flasher_t *f, usec_t now)
{
    uds_client_stop(&f->client);
    f->seen = f->physical.tx.at;
    f->block_tries = f->tries;
    f->tries = 0;
    f->ask = FLASHER_ASK_POSITION;
    return flasher_transmit(f, now);
}

static void ask_no_longer(flasher_t *f)
{
    f->ask = FLASHER_ASK_STEP;
    f->tries = f->block_tries;
}

/// The answer to the block comes after all.
static void await_block(flasher_t *f, usec_t now)
{
    uds_client_stop(&f->client);
    isotp_cancel(&f->physical);
    ask_no_longer(f);
    f->request[0] = UDS_TRANSFER_DATA;
    f->request[1] = f->counter;
    f->request_len = FLASHER_BLOCK_HEAD;
    uds_client_start(&f->client, f->request, f->request_len, false, now);
    (void)uds_client_sent(&f->client, now);
    flasher_watch_block(f, 0, now);
}

static bool is_about_block(const flasher_t *f, const uint8_t *message, uint32_t len)
{
    if (f->ask != FLASHER_ASK_POSITION || len < 2) return false;
    return (message[0] == UDS_TRANSFER_DATA + UDS_POSITIVE && message[1] == f->counter) ||
           (message[0] == UDS_NEGATIVE && message[1] == UDS_TRANSFER_DATA);
}

/// As long as before, if it has left: should the device have it after all, it takes it for a repetition.
static flasher_events_t repeat_block(flasher_t *f, flasher_why_t why, usec_t now)
{
    if (f->tries <= f->cfg->profile->block_retry) return flasher_transmit(f, now);
    f->block_cap = (uint32_t)later((f->piece + FLASHER_BLOCK_HEAD) / 4, FLASHER_BLOCK_MIN);
    return flasher_new_round(f, why, now);
}

static flasher_events_t on_block_position(flasher_t *f, usec_t now)
{
    const uint32_t at = load_be32(f->client.response + READ_HEAD + 1);
    ask_no_longer(f);
    if (at == f->at + f->piece) return on_block(f, now);
    count_lost(f);
    if (at != f->at) return flasher_new_round(f, FLASHER_LOST_DEVICE, now); // it has restarted
    return repeat_block(f, FLASHER_TIMEOUT, now);
}

// --- What comes back, continued ---

/// The image is refused for a reason of its own or of the device's, or the transfer went wrong.
static flasher_events_t on_result(flasher_t *f, usec_t now)
{
    const bool for_good = f->result_known && (f->result >> 4 == 1 || f->result >> 4 == 3);
    const bool went_wrong = flasher_is_lost_session(f->nrc) || f->nrc == UDS_GENERAL_REJECT ||
                            f->nrc == UDS_TRANSFER_SUSPENDED || f->nrc == UDS_PROGRAMMING_FAILURE ||
                            f->nrc == UDS_WRONG_BLOCK_COUNTER;
    if (for_good || !went_wrong) return flasher_end(f, FLASHER_REFUSED, now);
    return flasher_new_round(f, FLASHER_REFUSED, now);
}

static flasher_events_t on_positive(flasher_t *f, usec_t now)
{
    f->reconnecting = false;
    if (f->ask == FLASHER_ASK_KEY) return flasher_next_step(f, now);
    if (f->ask == FLASHER_ASK_RESULT) {
        f->result_known = f->client.response && f->client.response_len >= RESULT_LEN;
        if (f->result_known) {
            f->result = f->client.response[READ_HEAD];
            f->result_at = load_be32(f->client.response + READ_HEAD + 1);
        }
        return on_result(f, now);
    }
    if (f->ask == FLASHER_ASK_POSITION) return on_block_position(f, now);
    const profile_step_t *s = flasher_step(f);
    const bool silent = !f->client.response;
    if (silent && s->verb != PROFILE_REQUEST && s->verb != PROFILE_RESTART)
        return flasher_end(f, FLASHER_BAD_RESPONSE, now);
    switch (s->verb) {
    case PROFILE_READ: return on_read(f, now);
    case PROFILE_REQUEST: return on_request(f, now);
    case PROFILE_SECURITY: return on_seed(f, now);
    case PROFILE_RESUME: return on_position(f, now);
    case PROFILE_DOWNLOAD: return on_download(f, now);
    case PROFILE_TRANSFER: return on_block(f, now);
    case PROFILE_RESTART:
        return on_back(
            f,
            f->client.response &&
                profile_expected(f->cfg->profile, s, f->client.response, f->client.response_len),
            now);
    case PROFILE_VERIFY:
        return (s->kind == PROFILE_RUNNING) ? on_running(f, now) : on_version(f, now);
    case PROFILE_DELAY:
    case PROFILE_AGAIN: break;
    }
    return flasher_next_step(f, now);
}

static bool explained_by_result(const flasher_t *f)
{
    const uint8_t sid = f->request[0];
    if (f->cfg->profile->result_did == 0) return false;
    if (sid == UDS_REQUEST_DOWNLOAD) return f->nrc != UDS_REQUEST_OUT_OF_RANGE;
    return sid == UDS_TRANSFER_DATA || sid == UDS_TRANSFER_EXIT ||
           (sid == UDS_ROUTINE_CONTROL && load_be16(&f->request[2]) == UDS_RID_CHECK_DEPENDENCIES);
}

static flasher_events_t on_negative(flasher_t *f, usec_t now)
{
    const profile_step_t *s = flasher_step(f);
    const profile_t *p = f->cfg->profile;
    if (f->ask == FLASHER_ASK_RESULT) return on_result(f, now);
    f->nrc = f->client.nrc;
    if (f->ask == FLASHER_ASK_KEY) return flasher_end(f, FLASHER_REFUSED, now);
    if (s->verb == PROFILE_RESTART) return on_back(f, s->expect_len == 0, now);
    if (s->verb == PROFILE_SECURITY && f->nrc == UDS_DELAY_NOT_EXPIRED &&
        !waited(f, p->unlock_s, now))
        return flasher_wait(f, SEED_PAUSE_MS, now);
    if (f->reconnecting && now < f->until) return flasher_wait(f, RECONNECT_PAUSE_MS, now);
    if (s->optional) return flasher_next_step(f, now);
    if (s->verb == PROFILE_TRANSFER && f->nrc == UDS_WRONG_BLOCK_COUNTER && f->doubtful)
        return on_block(f, now); // the try before was accepted, and repetitions are not
    if (flasher_is_block(f)) count_lost(f);
    if (explained_by_result(f)) {
        f->ask = FLASHER_ASK_RESULT;
        f->tries = 0;
        return flasher_transmit(f, now);
    }
    return flasher_in_round(f) && f->sent > 0 ? on_result(f, now)
                                              : flasher_end(f, FLASHER_REFUSED, now);
}

// --- What does not come back ---

static void note_timer(flasher_t *f)
{
    const profile_t *p = f->cfg->profile;
    const uds_client_t *c = &f->client;
    const bool star = c->timer == UDS_TIMER_P2_STAR;
    f->timer = c->timer;
    f->timer_ms = (star ? c->p2_star_ms : c->p2_ms) + p->margin_ms;
    f->source = c->p2_told ? FLASHER_FROM_DEVICE
                : p->p2_ms ? FLASHER_FROM_PROFILE
                           : FLASHER_FROM_DEFAULT;
    if (c->timer != UDS_TIMER_PENDING) return;
    f->timer_ms = p->pending_limit_s * 1000;
    f->source = FLASHER_FROM_PROFILE;
}

/// Asking once more can do no harm.
static bool repeatable(const flasher_t *f)
{
    const uint8_t sid = f->request[0];
    return f->ask == FLASHER_ASK_STEP && sid != UDS_TRANSFER_EXIT && sid != UDS_ECU_RESET;
}

static flasher_events_t on_silence(flasher_t *f, usec_t now)
{
    const profile_t *p = f->cfg->profile;
    if (f->ask == FLASHER_ASK_POSITION) ask_no_longer(f);
    const bool block = flasher_is_block(f);
    const bool no_bus = f->transport == ISOTP_TIMEOUT_A;
    const flasher_why_t why = no_bus ? FLASHER_NO_BUS : FLASHER_TIMEOUT;
    if (block) count_lost(f);
    if (!f->answered) {
        if (!waited(f, p->connect_s, now)) return flasher_transmit(f, now);
        return flasher_end(f, no_bus ? FLASHER_NO_BUS : FLASHER_NO_ANSWER, now);
    }
    if (f->ask == FLASHER_ASK_RESULT) return on_result(f, now);
    if (flasher_is_poll(f)) {
        if (waited(f, p->restart_s, now)) return flasher_end(f, FLASHER_NOT_BACK, now);
        return flasher_wait(f, POLL_PAUSE_MS, now);
    }
    if (f->reconnecting)
        return (now < f->until)
                   ? flasher_wait(f, RECONNECT_PAUSE_MS, now)
                   : flasher_end(f, no_bus ? FLASHER_NO_BUS : FLASHER_LOST_DEVICE, now);
    if (f->request[0] == UDS_ECU_RESET) return flasher_next_step(f, now); // it tells by itself
    const bool waits = f->timer == UDS_TIMER_PENDING || f->timer == UDS_TIMER_BUSY;
    if (waits && f->transport == ISOTP_OK) return flasher_end(f, FLASHER_TIMEOUT, now);
    if (block) return repeat_block(f, why, now);
    if (repeatable(f) && f->tries <= p->request_retry) return flasher_transmit(f, now);
    return flasher_new_round(f, why, now);
}

// --- Events of the parts ---

static flasher_events_t on_client(flasher_t *f, uds_client_events_t ev, usec_t now)
{
    static const uint8_t present[] = { UDS_TESTER_PRESENT, UDS_SPR };
    flasher_events_t events = FLASHER_NONE;
    if ((ev & UDS_CLIENT_PRESENT) && f->functional.tx.state == ISOTP_TX_IDLE) {
        memcpy(f->message, present, sizeof present);
        f->broadcast = false;
        (void)isotp_start(&f->functional, f->message, sizeof present, now);
    }
    if (f->state != FLASHER_ASKING) return events;
    if (ev & UDS_CLIENT_SEND) (void)flasher_give(f, now);
    if (ev & UDS_CLIENT_PENDING) events |= FLASHER_BUSY;
    if (ev & (UDS_CLIENT_PENDING | UDS_CLIENT_NEGATIVE)) f->answered = true;
    if (!(ev & (UDS_CLIENT_POSITIVE | UDS_CLIENT_NEGATIVE | UDS_CLIENT_TIMEOUT))) return events;
    f->transport = ISOTP_OK;
    if (ev & UDS_CLIENT_TIMEOUT) {
        note_timer(f);
        return events | on_silence(f, now);
    }
    isotp_cancel(&f->physical); // answered before it had left
    const bool unknown =
        (ev & UDS_CLIENT_NEGATIVE) || !f->client.response || f->client.response_len < RESULT_LEN;
    if (f->ask == FLASHER_ASK_POSITION && unknown) return events | on_silence(f, now);
    if (ev & UDS_CLIENT_NEGATIVE) return events | on_negative(f, now);
    if (f->client.response) f->answered = true;
    return events | on_positive(f, now);
}

/// The request did not leave, or not as a whole.
static flasher_events_t on_not_sent(flasher_t *f, isotp_why_t why, usec_t now)
{
    if (f->state != FLASHER_ASKING || f->client.state != UDS_CLIENT_SENDING) return FLASHER_NONE;
    uds_client_stop(&f->client);
    f->transport = why;
    return on_silence(f, now);
}

static flasher_events_t on_physical(flasher_t *f, isotp_events_t ev, usec_t now)
{
    flasher_events_t events = FLASHER_NONE;
    const isotp_rx_t *rx = &f->physical.rx;
    uds_client_events_t cev = UDS_CLIENT_NONE;
    if ((ev & ISOTP_RX_FAILED) && !(ev & ISOTP_RX_BEGIN)) cev |= uds_client_break(&f->client, now);
    if (ev & ISOTP_RX_BEGIN) {
        uds_client_begin(&f->client, now);
        if (rx->len > sizeof f->response) {
            isotp_refuse(&f->physical, now);
            cev |= uds_client_break(&f->client, now);
        }
    }
    if ((ev & ISOTP_RX_DATA) && rx->len <= sizeof f->response)
        memcpy(&f->response[rx->at], rx->data, rx->data_len);
    if ((ev & ISOTP_RX_END) && is_about_block(f, f->response, rx->len)) await_block(f, now);
    if (ev & ISOTP_RX_END) cev |= uds_client_input(&f->client, f->response, rx->len, now);
    if (isotp_wanted(&f->physical) > 0) isotp_proceed(&f->physical, 0, 0, now);
    if ((ev & ISOTP_SENT) && f->state == FLASHER_ASKING && !flasher_is_functional(f)) {
        if (flasher_is_block(f)) {
            f->left = true;
            flasher_watch_block(f, f->physical.tx.at, now);
        }
        cev |= uds_client_sent(&f->client, now);
    }
    events |= on_client(f, cev, now);
    if ((ev & ISOTP_TX_FAILED) && !(cev & UDS_CLIENT_TIMEOUT))
        events |= on_not_sent(f, f->physical.tx.why, now);
    return events;
}

static flasher_events_t on_functional(flasher_t *f, isotp_events_t ev, usec_t now)
{
    if (f->state == FLASHER_CLOSING)
        return (ev & (ISOTP_SENT | ISOTP_TX_FAILED)) ? flasher_over(f) : FLASHER_NONE;
    if (!f->broadcast) return FLASHER_NONE;
    if (ev & ISOTP_TX_FAILED) return on_not_sent(f, f->functional.tx.why, now);
    return (ev & ISOTP_SENT) ? on_client(f, uds_client_sent(&f->client, now), now) : FLASHER_NONE;
}

/// A frame of another node on our ID that changes something: not one that only asks or listens.
static bool is_other_tester(const flasher_t *f, const can_frame_t *frame)
{
    const isotp_cfg_t *cfg = &f->cfg->isotp;
    const uint32_t pci = cfg->prefixed ? 1 : 0;
    if (frame->id != cfg->tx_id || frame->ext != cfg->ext || frame->len < pci + 2) return false;
    if (!f->disturbed || f->reset) return false;
    const uint8_t kind = frame->data[pci] >> 4;
    if (kind == 2) return true;
    if (kind > 1) return false;
    const uint32_t at = pci + ((kind == 1 || frame->data[pci] == 0) ? 2 : 1);
    const uint8_t sid = (at < frame->len) ? frame->data[at] : UDS_TESTER_PRESENT;
    return sid != UDS_READ_DID && sid != UDS_TESTER_PRESENT;
}

// --- Use ---

const profile_step_t *flasher_step(const flasher_t *f) { return &f->cfg->profile->step[f->step]; }

const flasher_fact_t *flasher_fact(const flasher_t *f, profile_kind_t kind)
{
    for (unsigned i = 0; i < f->facts; i++)
        if (f->fact[i].kind == kind) return &f->fact[i];
    return NULL;
}

void flasher_init(flasher_t *f, const flasher_cfg_t *cfg, usec_t now)
{
    const profile_t *p = cfg->profile;
    memset(f, 0, sizeof *f);
    f->cfg = cfg;
    f->block_cap = UINT32_MAX;
    f->wake = now;
    f->client_cfg = (uds_client_cfg_t){ .p2_ms = p->p2_ms,
                                        .p2_star_ms = p->p2_star_ms,
                                        .margin_ms = p->margin_ms,
                                        .pending_limit_ms = p->pending_limit_s * 1000,
                                        .busy_repeats = BUSY_REPEATS,
                                        .present_ms = p->present_ms };
    isotp_init(&f->physical, &cfg->isotp);
    isotp_init(&f->functional, &cfg->functional);
    uds_client_init(&f->client, &f->client_cfg, now);
    f->state = FLASHER_WAITING;
}

flasher_events_t flasher_unlock(flasher_t *f, const uint8_t *key, uint32_t len, usec_t now)
{
    ASSERT(f->state == FLASHER_SEEDED && len > 0 && len <= FLASHER_KEY_MAX);
    f->request[0] = UDS_SECURITY_ACCESS;
    f->request[1] = (uint8_t)(f->level + 1);
    memcpy(&f->request[2], key, len);
    f->request_len = 2 + len;
    f->ask = FLASHER_ASK_KEY;
    f->tries = 0;
    return flasher_transmit(f, now);
}

flasher_events_t flasher_stop(flasher_t *f, flasher_why_t why, usec_t now)
{
    if (f->state == FLASHER_OVER || f->state == FLASHER_CLOSING) return FLASHER_NONE;
    return flasher_end(f, why, now);
}

uint32_t flasher_progress(const flasher_t *f)
{
    const uint32_t left = f->physical.tx.at; // of the message under way, or of the last one
    if (f->state != FLASHER_ASKING || !flasher_is_block(f) || left < FLASHER_BLOCK_HEAD)
        return f->at;
    return f->at + (f->left ? f->piece : (uint32_t)smaller(left - FLASHER_BLOCK_HEAD, f->piece));
}

flasher_events_t flasher_input(flasher_t *f, const can_frame_t *frame, usec_t now)
{
    if (f->state == FLASHER_OVER) return FLASHER_NONE;
    if (f->state != FLASHER_CLOSING && is_other_tester(f, frame))
        return flasher_end(f, FLASHER_OTHER_TESTER, now);
    return on_physical(f, isotp_input(&f->physical, frame, now), now);
}

const can_frame_t *flasher_output(flasher_t *f, usec_t now)
{
    if (f->state == FLASHER_OVER || f->taken == 32) return NULL;
    const can_frame_t *frame = isotp_output(&f->functional, now);
    f->show_functional = frame != NULL;
    return frame ? frame : isotp_output(&f->physical, now);
}

void flasher_taken(flasher_t *f, usec_t now)
{
    f->order |= (uint32_t)f->show_functional << f->taken++;
    isotp_taken(f->show_functional ? &f->functional : &f->physical, now);
}

flasher_events_t flasher_sent(flasher_t *f, usec_t now)
{
    bool functional = f->show_functional;
    if (f->taken > 0) {
        functional = f->order & 1;
        f->order >>= 1;
        f->taken--;
    }
    return functional ? on_functional(f, isotp_sent(&f->functional, now), now)
                      : on_physical(f, isotp_sent(&f->physical, now), now);
}

void flasher_lost(flasher_t *f)
{
    f->taken = 0;
    f->order = 0;
    isotp_lost(&f->physical);
    isotp_lost(&f->functional);
}

usec_t flasher_deadline(const flasher_t *f)
{
    if (f->state == FLASHER_OVER) return USEC_NEVER;
    const usec_t transport = sooner(isotp_deadline(&f->physical), isotp_deadline(&f->functional));
    const usec_t deadline = sooner(transport, uds_client_deadline(&f->client));
    return (f->state == FLASHER_SEEDED) ? deadline : sooner(deadline, f->wake);
}

/// Is there no flow control for its first frame, or no answer, for a while? Behind the first frame flow control
/// may take the time of a flash operation, and N_Bs watches.
static flasher_events_t look_at_block(flasher_t *f, usec_t now)
{
    const isotp_tx_t *tx = &f->physical.tx;
    const uds_client_t *c = &f->client;
    const bool unheard =
        c->state == UDS_CLIENT_SENDING && tx->state == ISOTP_TX_FLOW && tx->at <= CAN_DATA_MAX;
    const bool unanswered = c->state == UDS_CLIENT_AWAITING && c->pending == 0 && tx->at == f->seen;
    if (unheard || unanswered) return ask_position(f, now);
    flasher_watch_block(f, tx->at, now);
    return FLASHER_NONE;
}

static flasher_events_t on_wake(flasher_t *f, usec_t now)
{
    switch (f->state) {
    case FLASHER_WAITING:
        if (!f->begun) {
            f->begun = true;
            return flasher_go_on(f, now);
        }
        return (flasher_step(f)->verb == PROFILE_DELAY) ? flasher_next_step(f, now)
                                                        : flasher_transmit(f, now);
    case FLASHER_ASKING:
        if (flasher_is_block(f)) return look_at_block(f, now);
        if (f->ask == FLASHER_ASK_POSITION && f->tries < ASKS_MAX) {
            uds_client_stop(&f->client);
            return flasher_transmit(f, now);
        }
        // A poll: whoever began to answer is heard to the end.
        f->wake = USEC_NEVER;
        if (f->client.state != UDS_CLIENT_AWAITING || f->client.pending > 0) return FLASHER_NONE;
        uds_client_stop(&f->client);
        return on_silence(f, now);
    case FLASHER_CLOSING: return flasher_over(f);
    case FLASHER_SEEDED:
    case FLASHER_OVER: break;
    }
    return FLASHER_NONE;
}

flasher_events_t flasher_tick(flasher_t *f, usec_t now)
{
    if (f->state == FLASHER_OVER) return FLASHER_NONE;
    flasher_events_t events = on_physical(f, isotp_tick(&f->physical, now), now);
    events |= on_functional(f, isotp_tick(&f->functional, now), now);
    events |= on_client(f, uds_client_tick(&f->client, now), now);
    if (f->state != FLASHER_SEEDED && now >= f->wake) events |= on_wake(f, now);
    return events;
}
