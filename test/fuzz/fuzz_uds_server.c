// fuzz_uds_server.c - a fuzzer that is bus, clock and application of the UDS server.
// SPDX-License-Identifier: Apache-2.0
//
// The first bytes are the configuration, each of the others a step and its details: requests whole, broken or to
// everybody, time, answers now or later, a transport that is slow. What the server does is held against its promises:
// answers in time and once, nothing locked while locked, no block but the one announced.
//
// max_len: 700
#include "fuzz.h"
#include "uds_server.h"

static const uds_did_t dids[] = {
    { UDS_DID_FINGERPRINT, UDS_IN_PROGRAMMING, 9 },
    { UDS_DID_PROGRAMMING_DATE, UDS_IN_PROGRAMMING | UDS_IN_EXTENDED, 0 },
};
static const uds_routine_t routines[] = {
    { UDS_RID_CHECK_MEMORY, UDS_IN_PROGRAMMING, 1 << UDS_START_ROUTINE, true, 0, 0 },
    { UDS_RID_CHECK_PRECONDITIONS, UDS_IN_PROGRAMMING | UDS_IN_EXTENDED, 1 << UDS_START_ROUTINE,
      false, 0, 0 },
    { UDS_RID_ERASE_MEMORY, UDS_IN_PROGRAMMING, 0xE, true, 0, 9 },
};

enum { MESSAGE_MAX = 5000, SEED = 4 };

typedef struct {
    uds_server_cfg_t cfg;
    uds_server_t s;
    usec_t now;
    bool dead, unlocked;
    // The message that comes in on the physical channel.
    uint8_t message[MESSAGE_MAX];
    uint32_t len, at, passed;
    // What is owed to whom.
    unsigned credits;  // requests that may still be answered
    bool called;       // a call is to be answered
    usec_t asked;      // when the request came that it is about, or the last 0x78 left
    bool pended, slow; // slow: the transport took its time, nothing can be said about ours
    bool flying;       // a response was taken and has not left
    uint8_t flown;     // its NRC, 0: a final response
    usec_t pending_left;
    bool pending_known;
    uint8_t seed[SEED];
    bool announced;
    uint32_t size, received;
} world_t;

static void check(bool ok, const char *what)
{
    if (!ok) fuzz_fail(what);
}

static bool locked(const world_t *w) { return w->cfg.level && !w->cfg.open && !w->unlocked; }
static uint32_t p2(const world_t *w) { return (w->cfg.p2_ms ? w->cfg.p2_ms : 50); }
static uint32_t p2_star(const world_t *w) { return w->cfg.p2_star_ms ? w->cfg.p2_star_ms : 5000; }

// --- Calls ---

static bool routine_is_locked(uint16_t id)
{
    for (size_t i = 0; i < sizeof routines / sizeof routines[0]; i++)
        if (routines[i].id == id) return routines[i].locked;
    fuzz_fail("a routine that no table has");
}

static void judge_call(world_t *w)
{
    const uds_call_t *c = &w->s.call;
    const bool programming = w->s.session == UDS_PROGRAMMING_SESSION;
    switch (c->kind) {
    case UDS_CALL_SESSION: check(c->id >= 1 && c->id <= 3, "a session that there is not"); break;
    case UDS_CALL_RESET: check(c->id == 1 || c->id == 3, "a reset that there is not"); break;
    case UDS_CALL_READ: break;
    case UDS_CALL_WRITE:
        check(!locked(w), "a DID is written while locked");
        check(w->s.session != UDS_DEFAULT_SESSION, "a DID is written in the default session");
        break;
    case UDS_CALL_SEED: check(locked(w), "a seed for who is unlocked"); break;
    case UDS_CALL_KEY: check(locked(w), "a key from who is unlocked"); break;
    case UDS_CALL_ROUTINE:
        check(!routine_is_locked(c->id) || !locked(w), "a locked routine runs");
        check(w->s.session != UDS_DEFAULT_SESSION, "a routine runs in the default session");
        check(c->len <= 9, "a longer option record than the table says");
        break;
    case UDS_CALL_DOWNLOAD:
        check(programming && !locked(w), "a download where there is none");
        check(c->size > 0, "a download of nothing");
        break;
    case UDS_CALL_BLOCK:
        check(programming && !locked(w) && w->announced, "a block where there is none");
        check(c->size == w->passed && c->size > 0, "not the bytes that were given to the block");
        check(c->size <= w->cfg.block_max - 2, "a longer block than it may be");
        check(c->size <= w->size - w->received, "more bytes than were announced");
        break;
    case UDS_CALL_EXIT:
        check(programming && w->announced && w->received == w->size, "the end before the end");
        break;
    }
}

static void handle(world_t *w, uds_server_events_t ev);

static void answer(world_t *w, fuzz_bytes_t *in)
{
    const uds_call_t c = w->s.call;
    static const uint8_t nrcs[] = { UDS_OK,
                                    UDS_OK,
                                    UDS_OK,
                                    UDS_REQUEST_OUT_OF_RANGE,
                                    UDS_INVALID_KEY,
                                    UDS_PROGRAMMING_FAILURE,
                                    UDS_CONDITIONS_NOT_CORRECT,
                                    UDS_OK };
    uint8_t bytes[300];
    const uds_nrc_t nrc = nrcs[fuzz_byte(in) % sizeof nrcs];
    w->called = false;
    switch (c.kind) {
    case UDS_CALL_SEED:
        for (size_t i = 0; i < SEED; i++)
            w->seed[i] = nrc ? 0 : fuzz_byte(in);
        if (nrc == UDS_OK) (void)uds_server_put(&w->s, w->seed, SEED);
        break;
    case UDS_CALL_KEY: w->unlocked = w->unlocked || nrc == UDS_OK; break;
    case UDS_CALL_READ:
    case UDS_CALL_ROUTINE:
        memset(bytes, 0x55, sizeof bytes);
        (void)uds_server_put(&w->s, bytes, (size_t)fuzz_byte(in) + (fuzz_byte(in) == 1 ? 40 : 0));
        break;
    case UDS_CALL_DOWNLOAD:
        w->announced = nrc == UDS_OK;
        w->size = c.size;
        w->received = 0;
        break;
    case UDS_CALL_BLOCK:
        if (nrc == UDS_OK) w->received += c.size;
        if (nrc == UDS_PROGRAMMING_FAILURE) w->announced = false;
        break;
    case UDS_CALL_EXIT:
        if (nrc == UDS_OK || nrc == UDS_PROGRAMMING_FAILURE) w->announced = false;
        break;
    case UDS_CALL_SESSION:
    case UDS_CALL_RESET:
    case UDS_CALL_WRITE: break;
    }
    handle(w, uds_server_answer(&w->s, nrc, w->now));
}

static void handle(world_t *w, uds_server_events_t ev)
{
    check(!(ev & ~(unsigned)(UDS_SERVER_CALL | UDS_SERVER_SESSION | UDS_SERVER_RESET)), "an event");
    check(!w->dead || !ev, "an event after the reset");
    if (ev & UDS_SERVER_SESSION) w->unlocked = w->announced = false;
    if (ev & UDS_SERVER_RESET) w->dead = true;
    if (ev & UDS_SERVER_CALL) {
        check(!w->called, "a call while another one is open");
        w->called = true;
        judge_call(w);
    }
    check(w->s.unlocked == (w->unlocked && w->cfg.level != 0), "unlocked or not");
    if (!w->announced) check(!w->s.transfer.active, "a transfer that nobody began");
}

// --- Responses ---

static void judge(world_t *w, const uint8_t *p, uint32_t len)
{
    const bool negative = p[0] == UDS_NEGATIVE;
    check(!w->dead, "a response after the reset");
    check(len > 0 && len <= UDS_RESPONSE_MAX, "a response's length");
    check(!negative || len == 3, "a negative response's length");
    const uint8_t nrc = negative ? p[2] : 0;
    w->flown = nrc;
    if (nrc == UDS_RESPONSE_PENDING) {
        const uint32_t limit = w->pended ? p2_star(w) : p2(w) + w->cfg.p2_extra_ms;
        check(w->called, "0x78, and nothing is pending");
        check(w->slow || w->now - w->asked <= limit * USEC_MS, "0x78 comes late");
        if (w->pending_known)
            check(w->now - w->pending_left >= p2_star(w) * 300 * USEC_MS / 1000, "0x78 too soon");
        return;
    }
    check(w->credits > 0, "a response that nobody asked for");
    w->credits--;
    if (nrc == UDS_BUSY_REPEAT_REQUEST) return;
    check(!w->called, "a response before the answer");
    if (p[0] == (UDS_SECURITY_ACCESS | UDS_POSITIVE) && p[1] == w->cfg.level) {
        static const uint8_t zeros[SEED];
        check(len == 2 + SEED, "a seed's length");
        check((memcmp(&p[2], zeros, SEED) == 0) == !locked(w), "zeros exactly while unlocked");
        if (locked(w)) check(memcmp(&p[2], w->seed, SEED) == 0, "another seed");
    }
}

// The transport takes what there is.
static bool take(world_t *w)
{
    uint32_t len;
    const uint8_t *p = uds_server_output(&w->s, &len);
    if (!p || w->flying) return false;
    judge(w, p, len);
    uds_server_taken(&w->s, w->now);
    w->flying = true;
    return true;
}

static void leave(world_t *w)
{
    if (!w->flying) return;
    w->flying = false;
    if (w->flown == UDS_RESPONSE_PENDING) {
        w->pended = w->pending_known = true;
        w->asked = w->pending_left = w->now;
    }
    handle(w, uds_server_sent(&w->s, w->now));
}

static void drain(world_t *w)
{
    while (!w->dead && take(w))
        leave(w);
}

// --- Requests ---

static void new_request(world_t *w)
{
    w->credits++;
    if (w->called || w->flying) return;
    w->asked = w->now;
    w->pended = w->pending_known = w->slow = false;
}

static uint32_t build(world_t *w, fuzz_bytes_t *in, uint8_t *p)
{
    static const uint8_t sids[] = { 0x36, 0x36, 0x36, 0x36, 0x34, 0x37, 0x27, 0x27, 0x10,
                                    0x22, 0x31, 0x2E, 0x3E, 0x11, 0x28, 0x85, 0x14 };
    const uint8_t kind = fuzz_byte(in);
    const uint8_t sid = sids[kind % sizeof sids];
    uint32_t len = 2;
    memset(p, kind, 70);
    p[0] = sid;
    p[1] = fuzz_byte(in);
    switch (sid) {
    case 0x36:
        if (p[1] & 0x80) p[1] = (uint8_t)(w->s.transfer.last + 1);
        len = 2 + (uint32_t)fuzz_byte(in) % 16;
        if (kind > 250) len = w->cfg.block_max + (kind & 1);
        break;
    case 0x34:
        p[1] = 0;
        p[2] = 0x11;
        p[3] = 0;
        p[4] = fuzz_byte(in);
        len = 5;
        break;
    case 0x37: len = 1; break;
    case 0x27:
        p[1] = (uint8_t)(w->cfg.level + (p[1] & 1));
        len = (p[1] & 1) ? 2 : 6;
        break;
    case 0x10: p[1] &= 0x83; break;
    case 0x22: len = 1 + 2 * ((uint32_t)fuzz_byte(in) % 20); break;
    case 0x31:
        p[1] = 1;
        p[2] = (kind & 1) ? 0x02 : 0xFF;
        p[3] = (kind & 1) ? (uint8_t)(2 + (kind >> 7)) : 0;
        len = 4 + ((kind & 0x60) ? 0 : fuzz_byte(in) % 10u);
        break;
    case 0x2E:
        p[1] = 0xF1;
        p[2] = (kind & 1) ? 0x84 : 0x99;
        len = 12;
        break;
    case 0x28: len = 3; break;
    case 0x14:
        memset(p, 0xFF, 4);
        p[0] = 0x14;
        len = 4;
        break;
    default: p[1] &= 0x83; break;
    }
    const uint8_t twist = fuzz_byte(in);
    if (twist == 1) len += 1;
    if (twist == 2 && len > 1) len -= 1;
    if (twist == 3) p[twist % len] ^= 0xFF;
    if (twist == 4) p[0] = fuzz_byte(in);
    if (twist == 5) len = 1 + fuzz_u32(in) % (MESSAGE_MAX - 1);
    return len;
}

static void begin(world_t *w, fuzz_bytes_t *in)
{
    uint8_t head[80];
    memset(w->message, 0xA5, sizeof w->message);
    const uint32_t len = build(w, in, head);
    memcpy(w->message, head, smaller(len, sizeof head));
    w->len = len;
    w->at = w->passed = 0;
    uds_server_begin(&w->s, len, w->now);
}

static void data(world_t *w, uint32_t piece)
{
    const uint32_t n = (uint32_t)smaller(piece, w->len - w->at);
    if (n == 0) return;
    const uint32_t ours = uds_server_data(&w->s, &w->message[w->at], n);
    check(ours <= n, "more bytes than there were");
    if (ours < n) check(w->message[0] == 0x36 && w->at + ours >= 2, "data of no block");
    w->at += n;
    w->passed += n - ours;
    if (w->passed)
        check(w->announced && w->passed <= w->size - w->received, "data that no block may have");
}

static void end(world_t *w)
{
    if (w->len == 0 || w->at < w->len) return;
    new_request(w);
    w->len = w->at = 0;
    handle(w, uds_server_end(&w->s, w->now));
}

static void whole(world_t *w, fuzz_bytes_t *in)
{
    begin(w, in);
    data(w, 6);
    while (w->at < w->len)
        data(w, 7);
    end(w);
}

static void to_all(world_t *w, fuzz_bytes_t *in)
{
    uint8_t p[80];
    uint32_t len = build(w, in, p);
    if (len > 62) len = 62;
    new_request(w);
    handle(w, uds_server_functional(&w->s, p, len, w->now));
}

// --- Time ---

static void pass(world_t *w, usec_t duration, bool prompt)
{
    const usec_t until = w->now + duration;
    if (!prompt) w->slow = true;
    for (int i = 0; prompt && !w->dead && i < 1000 && uds_server_deadline(&w->s) <= until; i++) {
        const usec_t due = uds_server_deadline(&w->s);
        w->now = later(w->now, due);
        handle(w, uds_server_tick(&w->s, w->now));
        if (w->flying) break;
        drain(w);
        check(w->dead || uds_server_deadline(&w->s) > w->now || w->flying,
              "asks to be called for ever");
    }
    if (w->flying) w->slow = true;
    w->now = later(w->now, until);
    if (!w->dead) handle(w, uds_server_tick(&w->s, w->now));
}

static void step(world_t *w, fuzz_bytes_t *in)
{
    const uint8_t what = fuzz_byte(in);
    switch (what % 16) {
    case 0:
    case 1:
    case 2:
    case 3: whole(w, in); break;
    case 4: begin(w, in); break;
    case 5: data(w, 1 + (uint32_t)(what >> 4)); break;
    case 6:
        data(w, w->len);
        end(w);
        break;
    case 7:
        uds_server_break(&w->s, w->now);
        w->len = w->at = w->passed = 0;
        break;
    case 8: to_all(w, in); break;
    case 9: pass(w, fuzz_byte(in) * USEC_MS, true); break;
    case 10: pass(w, fuzz_byte(in) * 100 * USEC_MS, true); break;
    case 11: pass(w, fuzz_u32(in) % (20000 * USEC_MS), fuzz_byte(in) < 192); break;
    case 12: (void)take(w); return; // and it stays on its way for a while
    case 13: leave(w); break;
    case 14: {
        const usec_t until = w->now + fuzz_byte(in) * 20 * USEC_MS;
        const bool may = uds_server_can_wait(&w->s, until, w->now);
        if (may && w->called && !w->slow) {
            const uint32_t limit = w->pended ? p2_star(w) : p2(w) + w->cfg.p2_extra_ms;
            check(until - w->asked <= limit * USEC_MS, "may wait, and an answer is due");
        }
        break;
    }
    default:
        if (w->called)
            answer(w, in);
        else if (fuzz_byte(in) == 7) {
            uds_server_stop(&w->s);
            w->announced = false;
        }
        break;
    }
    if (w->flying)
        w->slow = true;
    else
        drain(w);
    // Most calls are answered at once.
    while (w->called && !w->dead && what < 160) {
        answer(w, in);
        if (!w->flying) drain(w);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static world_t w;
    fuzz_bytes_t in = { data, data + len };
    const uint8_t flags = fuzz_byte(&in);
    memset(&w, 0, sizeof w);
    w.cfg = (uds_server_cfg_t){ .dids = dids,
                                .routines = routines,
                                .did_count = sizeof dids / sizeof dids[0],
                                .routine_count = sizeof routines / sizeof routines[0],
                                .level = (flags & 3) ? 1 : 0,
                                .open = (flags & 3) == 2,
                                .seed_len = SEED,
                                .attempts = (uint8_t)(flags >> 2 & 3),
                                .delay_ms = (flags & 0x10) ? 3000 : 0,
                                .p2_ms = (flags & 0x20) ? 20 : 0,
                                .p2_star_ms = (flags & 0x40) ? 1000 : 0,
                                .p2_extra_ms = (flags & 0x80) ? 100 : 0,
                                .block_max = FUZZ_PICK(&in, 12, 3, 4095) };
    w.now = 5000;
    uds_server_init(&w.s, &w.cfg, w.now);
    while (in.at < in.end && !w.dead)
        step(&w, &in);
    return 0;
}
