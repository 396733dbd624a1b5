// test_uds_server_random.c - what must be true whatever is asked, whenever, and however the device answers.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

// TEST_SEED=N repeats conversation N alone; a failure prints it.

enum { P2 = 50 * 1000, P2_STAR = 5000 * 1000 };
enum { IDLE = 0, LEAVING = 3, HELD = 8 }; // of uds_server.c: a held request's time runs

static struct {
    uds_server_t s;
    usec_t now;
    unsigned long long seed, random;
    bool call, dead, seeded;
    bool open;           // a response is due for the request below
    usec_t due, last;    // until when; the last 0x78
    usec_t leaves;       // what was taken has left then
    uint32_t block;      // data of the block that came in
    unsigned asked[256]; // requests to us, with SPR or not, by SID
    unsigned owed[256];  // those that must be answered
    unsigned told[256];  // final responses
    unsigned to_all[256];
    unsigned answers, pendings, unlocks, blocks, busies;
} w;

static uint32_t below(uint32_t n)
{
    w.random = w.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w.random >> 33) % n;
}

#define CHECK(X)                                                                                   \
    do {                                                                                           \
        if (!(X))                                                                                  \
            fail_msg("line %d: " #X                                                                \
                     "; repeat it with: TEST_SEED=%llu "                                           \
                     "build-asan/test/test_uds_server_random",                                     \
                     __LINE__, w.seed);                                                            \
    } while (0)

static void check_state(void)
{
    const uds_server_t *s = &w.s;
    CHECK(!s->unlocked || s->session != UDS_DEFAULT_SESSION);
    CHECK(!s->transfer.active || (s->session == UDS_PROGRAMMING_SESSION && s->unlocked));
    CHECK(s->transfer.received <= s->transfer.size);
    CHECK(s->session != UDS_DEFAULT_SESSION || (s->communication == 0 && !s->dtc_off));
    CHECK(uds_server_deadline(s) >= w.now || s->sending != 0);
}

static void handle(uds_server_events_t ev)
{
    if (ev & UDS_SERVER_SESSION) CHECK(!w.s.unlocked && !w.s.transfer.active && !w.s.seed_len);
    if (ev & UDS_SERVER_RESET) w.dead = true;
    if (ev & UDS_SERVER_CALL) {
        const uds_call_t *c = &w.s.call;
        const bool locked_rid =
            c->kind == UDS_CALL_ROUTINE && (c->id >> 8 == 0xFF || c->id == 0xF000);
        CHECK(!w.call);
        w.call = true;
        if (c->kind == UDS_CALL_WRITE || c->kind == UDS_CALL_DOWNLOAD ||
            c->kind == UDS_CALL_BLOCK || c->kind == UDS_CALL_EXIT || locked_rid)
            CHECK(w.s.unlocked);
        if (c->kind == UDS_CALL_KEY) CHECK(w.seeded);
        if (c->kind == UDS_CALL_BLOCK) CHECK(c->size == w.block && c->size > 0);
    }
}

static void response(const uint8_t *p, uint32_t len)
{
    const bool negative = p[0] == 0x7F;
    const uint8_t sid = negative ? p[1] : p[0] - 0x40;
    CHECK(len >= 1 && len <= UDS_RESPONSE_MAX && (!negative || len == 3));
    if (negative && p[2] == 0x78) {
        CHECK(w.call);
        CHECK(w.open);
        CHECK(w.now <= w.due);
        CHECK(w.last == 0 || w.now - w.last >= P2_STAR * 3 / 10);
        w.last = w.now;
        w.due = w.now + P2_STAR;
        w.pendings++;
        return;
    }
    w.told[sid]++;
    CHECK(w.told[sid] <= w.asked[sid] + w.to_all[sid]);
    if (negative && p[2] == 0x21) {
        w.busies++;
        return;
    }
    CHECK(w.open && !w.call);
    w.open = false;
    w.answers++;
    if (sid == 0x27 && p[0] != 0x7F && p[1] == 1) {
        bool zero = true;
        for (uint32_t i = 2; i < len; i++)
            zero = zero && p[i] == 0;
        CHECK(zero == w.s.unlocked);
    } else if (sid == 0x27 && w.told[sid]) {
        w.unlocks += w.s.unlocked && !negative;
    }
}

static void pump(void)
{
    uint32_t len;
    const uint8_t *out;
    while (w.leaves == USEC_NEVER && (out = uds_server_output(&w.s, &len)) != NULL) {
        response(out, len);
        uds_server_taken(&w.s, w.now);
        w.leaves = w.now + (below(3) ? 0 : below(10) * USEC_MS);
        if (w.leaves > w.now) return;
        w.leaves = USEC_NEVER;
        handle(uds_server_sent(&w.s, w.now));
    }
}

static void answer(void)
{
    static const uds_nrc_t nrcs[] = { UDS_CONDITIONS_NOT_CORRECT, UDS_REQUEST_OUT_OF_RANGE,
                                      UDS_PROGRAMMING_FAILURE, UDS_SERVICE_NOT_IN_SESSION,
                                      UDS_DOWNLOAD_NOT_ACCEPTED };
    uds_nrc_t nrc = below(8) ? UDS_OK : nrcs[below(5)];
    uint8_t bytes[200];
    memset(bytes, 1 + (int)below(9), sizeof bytes);
    w.call = false;
    switch (w.s.call.kind) {
    case UDS_CALL_SEED:
        uds_server_put(&w.s, bytes, 16);
        w.seeded = nrc == UDS_OK;
        break;
    case UDS_CALL_KEY:
        w.seeded = false;
        if (!nrc && (w.s.call.len != 16 || w.s.call.data[0] != 0xAA)) nrc = UDS_INVALID_KEY;
        break;
    case UDS_CALL_RESET:
        if (below(30)) nrc = UDS_CONDITIONS_NOT_CORRECT;
        break;
    case UDS_CALL_READ:
    case UDS_CALL_ROUTINE: uds_server_put(&w.s, bytes, below(200)); break;
    case UDS_CALL_SESSION:
    case UDS_CALL_WRITE:
    case UDS_CALL_DOWNLOAD:
    case UDS_CALL_BLOCK:
    case UDS_CALL_EXIT: break;
    }
    handle(uds_server_answer(&w.s, nrc, w.now));
    if (!w.call && w.s.phase == IDLE) w.open = false; // none was wanted
}

// What a tester does next: mostly what makes sense.
static uint32_t make(uint8_t *p)
{
    static const struct {
        const char *bytes;
        uint8_t len;
    } good[] = {
        { "\x10\1", 2 },
        { "\x10\2", 2 },
        { "\x10\2", 2 },
        { "\x10\3", 2 },
        { "\x27\1", 2 },
        { "\x27\1", 2 },
        { "\x27\2", 18 },
        { "\x27\2", 18 },
        { "\x34\0\x11\0\x20", 5 },
        { "\x34\0\x11\0\x20", 5 },
        { "\x36", 8 },
        { "\x36", 8 },
        { "\x36", 8 },
        { "\x36", 8 },
        { "\x36", 8 },
        { "\x37", 1 },
        { "\x22\xF1\x90\xF1\x86\xF1\x8C", 7 },
        { "\x2E\xF1\x84", 12 },
        { "\x31\1\xFF\0", 4 },
        { "\x31\1\2\3", 4 },
        { "\x3E\0", 2 },
        { "\x3E\x80", 2 },
        { "\x28\3\1", 3 },
        { "\x85\2", 2 },
        { "\x11\1", 2 },
        { "\x14\xFF\xFF\xFF", 4 },
    };
    size_t i = below(sizeof good / sizeof good[0]);
    if (below(4)) { // the next step of an update: 10 02, 27 01, 27 02, 34, 36, 37
        const uds_server_t *s = &w.s;
        i = s->session != UDS_PROGRAMMING_SESSION      ? 1
            : !s->unlocked                             ? (s->seed_len ? 6 : 4)
            : !s->transfer.active                      ? 8
            : s->transfer.received == s->transfer.size ? 15
                                                       : 10;
    }
    uint32_t len = good[i].len;
    memset(p, 0xAA, 100);
    memcpy(p, good[i].bytes, strlen(good[i].bytes) < len ? strlen(good[i].bytes) : len);
    if (good[i].bytes[0] == 0x34 || good[i].bytes[0] == 0x3E || good[i].bytes[0] == 0x31)
        memcpy(p, good[i].bytes, len);
    if (p[0] == 0x36) {
        p[1] = (uint8_t)(w.s.transfer.last + (below(4) ? 1 : 0));
        len = 2 + below(12);
    }
    if (p[0] == 0x27 && p[1] == 2 && below(3) == 0) p[2] = 0xBB;
    if (below(10) == 0) p[below(len)] = (uint8_t)below(256);
    if (below(10) == 0) len = 1 + below(99);
    if (below(8) == 0 && len > 1) p[1] |= 0x80;
    return len;
}

static bool has_spr(const uint8_t *p, uint32_t len)
{
    static const uint8_t sids[] = { 0x10, 0x11, 0x27, 0x28, 0x31, 0x3E, 0x85 };
    return len > 1 && p[1] & 0x80 && memchr(sids, p[0], sizeof sids);
}

// A response is due from now on, if there was none.
static void opened(void)
{
    if (w.open || w.dead) return;
    w.open = w.s.phase == LEAVING ? (w.s.flags & HELD) != 0 : w.s.phase != IDLE;
    w.due = w.now + P2;
    w.last = 0;
}

static void physical(void)
{
    uint8_t p[100];
    const uint32_t len = make(p);
    uds_server_begin(&w.s, len, w.now);
    const bool counts = !w.call; // the block being answered keeps its data
    uint32_t block = 0;
    for (uint32_t at = 0, n; at < len; at += n) {
        n = 1 + below(len - at);
        const uint32_t own = uds_server_data(&w.s, p + at, n);
        CHECK(own <= n);
        block += n - own;
        if (below(4) == 0 && at + n < len) {
            const uint8_t present[] = { 0x3E, 0x80 };
            handle(uds_server_functional(&w.s, present, 2, w.now));
        }
    }
    CHECK(block == 0 || (p[0] == 0x36 && block == len - 2 && w.s.unlocked));
    if (counts) w.block = block;
    if (below(12) == 0) {
        uds_server_break(&w.s, w.now);
        return;
    }
    if (!(p[0] & 0x40) && !w.dead) {
        w.asked[p[0]]++;
        w.owed[p[0]] += !has_spr(p, len);
    }
    handle(uds_server_end(&w.s, w.now));
    w.blocks += w.call && w.s.call.kind == UDS_CALL_BLOCK;
    opened();
}

static void functional(void)
{
    uint8_t p[100];
    const uint32_t len = make(p);
    if (len > 62) return;
    w.to_all[p[0]]++;
    handle(uds_server_functional(&w.s, p, len, w.now));
    memset(p, 0xDD, sizeof p);
    opened();
}

static void wait_until(usec_t until)
{
    while (w.now < until) {
        pump();
        const usec_t next =
            sooner(until, sooner(later(w.now, uds_server_deadline(&w.s)), w.leaves));
        w.now = next;
        if (w.leaves <= w.now) {
            w.leaves = USEC_NEVER;
            handle(uds_server_sent(&w.s, w.now));
            if (w.s.phase == IDLE) w.open = false; // nor by one that was held
            opened();
        }
        handle(uds_server_tick(&w.s, w.now));
        pump();
        check_state();
    }
}

static void conversation(unsigned long long seed)
{
    memset(&w, 0, sizeof w);
    w.seed = seed;
    w.random = seed * 7919 + 1;
    w.now = below(2) ? 1000 : 0xFFFFFF00u;
    w.leaves = USEC_NEVER;
    uds_server_init(&w.s, &uds_test_cfg, w.now);
    for (int step = 0; step < 150 && !w.dead; step++) {
        // A third request at once, which no tester sends, may go under.
        const bool calm = w.leaves == USEC_NEVER && w.s.busy_sid == 0;
        const uint32_t what = below(20);
        if (what < 9 && calm)
            physical();
        else if (what < 11)
            functional();
        else if (what < 17 && w.call)
            answer();
        else if (what == 17)
            uds_server_can_wait(&w.s, w.now + below(3000) * USEC_MS, w.now);
        else
            wait_until(w.now + below(below(5) ? 60 : 7000) * USEC_MS);
        pump();
        check_state();
    }
    while (w.call && !w.dead) {
        answer();
        wait_until(w.now + 100 * USEC_MS);
    }
    wait_until(w.now + 200 * USEC_MS);
    for (unsigned sid = 0; sid < 256 && !w.dead; sid++)
        CHECK(w.told[sid] >= w.owed[sid]);
}

static void whatever_is_asked_these_hold(void **state)
{
    (void)state;
    const char *one = getenv("TEST_SEED");
    unsigned answers = 0, pendings = 0, unlocks = 0, blocks = 0, busies = 0;
    for (unsigned long long seed = 1; seed <= 20000; seed++) {
        if (one) seed = strtoull(one, NULL, 0);
        conversation(seed);
        answers += w.answers;
        pendings += w.pendings;
        unlocks += w.unlocks;
        blocks += w.blocks;
        busies += w.busies;
        if (one) return;
    }
    print_message("%u answers, %u 0x78, %u unlocked, %u blocks, %u 0x21\n", answers, pendings,
                  unlocks, blocks, busies);
    assert_true(answers > 100000 && pendings > 1000 && unlocks > 500 && blocks > 500 &&
                busies > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_asked_these_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
