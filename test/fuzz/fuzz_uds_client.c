// fuzz_uds_client.c - a fuzzer that is server, transport and clock of the UDS client.
// SPDX-License-Identifier: Apache-2.0
//
// The first bytes are the configuration, each of the others a step and its details. What the client reports is held
// against its promises: a request ends once, by what answers it, and always; TesterPresent comes in time.
//
// max_len: 600
#include "fuzz.h"
#include "uds_client.h"

enum { OVER = UDS_CLIENT_POSITIVE | UDS_CLIENT_NEGATIVE | UDS_CLIENT_TIMEOUT };

static const uint8_t requests[][4] = {
    { UDS_SESSION_CONTROL, UDS_PROGRAMMING_SESSION },
    { UDS_SESSION_CONTROL, UDS_SPR | UDS_EXTENDED_SESSION },
    { UDS_TRANSFER_DATA, 5, 0xE9 },
    { UDS_TRANSFER_EXIT },
    { UDS_READ_DID, 0xF1, 0x89 },
    { UDS_ROUTINE_CONTROL, UDS_START_ROUTINE, 0xFF, 0x00 },
    { UDS_SECURITY_ACCESS, 1 },
    { UDS_TESTER_PRESENT, UDS_SPR },
};
static const uint8_t lens[] = { 2, 2, 3, 1, 3, 4, 2, 2 };

typedef struct {
    uds_client_cfg_t cfg;
    uds_client_t c;
    usec_t now, present_at;
    unsigned request; // index
    bool under_way, sent, wanted;
} world_t;

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

/// By the standard's own rules, told once more: does this answer that request?
static bool answers(const uint8_t *q, uint32_t q_len, const uint8_t *m, uint32_t len)
{
    const bool echoes_sub = q[0] == UDS_SESSION_CONTROL || q[0] == UDS_TESTER_PRESENT ||
                            q[0] == UDS_SECURITY_ACCESS || q[0] == UDS_ROUTINE_CONTROL;
    if (len == 0 || m[0] != (q[0] | UDS_POSITIVE)) return false;
    if (echoes_sub && (len < 2 || m[1] != (q[1] & ~UDS_SPR))) return false;
    if (q[0] == UDS_TRANSFER_DATA && (len < 2 || m[1] != q[1])) return false;
    if (q[0] == UDS_READ_DID && (len < 3 || m[1] != q[1] || m[2] != q[2])) return false;
    if (q[0] == UDS_ROUTINE_CONTROL && (len < 4 || m[2] != q[2] || m[3] != q[3])) return false;
    return q_len > 0;
}

static void take(world_t *w, uds_client_events_t ev, const uint8_t *message, uint32_t len)
{
    const uint8_t *q = requests[w->request];
    const uds_client_events_t over = ev & OVER;
    must(!(over & (over - 1)), "a request that ends twice");
    if (ev & UDS_CLIENT_PRESENT) {
        must(w->wanted, "a TesterPresent that nobody wanted");
        w->present_at = w->now;
    }
    if (ev & UDS_CLIENT_SEND) w->sent = false;
    if (!over) return;
    must(w->under_way, "the end of no request");
    w->under_way = false;
    must(w->c.state == UDS_CLIENT_IDLE, "over, and not idle");
    if (ev & UDS_CLIENT_NEGATIVE)
        must(message && len >= 3 && message[0] == UDS_NEGATIVE && message[1] == q[0] &&
                 message[2] == w->c.nrc && w->c.nrc != UDS_RESPONSE_PENDING,
             "a negative response that is none");
    if ((ev & UDS_CLIENT_POSITIVE) && w->c.response)
        must(message && answers(q, lens[w->request], message, len), "a response to something else");
    if ((ev & UDS_CLIENT_POSITIVE) && !w->c.response)
        must(w->sent && (q[1] & UDS_SPR || w->c.functional), "silence is no response");
}

static void start(world_t *w, fuzz_bytes_t *in)
{
    if (w->under_way) return;
    w->request = fuzz_byte(in) % (sizeof lens / sizeof lens[0]);
    w->under_way = true;
    w->sent = false;
    uds_client_start(&w->c, requests[w->request], lens[w->request], fuzz_byte(in) % 4 == 0, w->now);
}

static void sent(world_t *w)
{
    if (!w->under_way || w->sent) return;
    w->sent = true;
    take(w, uds_client_sent(&w->c, w->now), NULL, 0);
}

static void message(world_t *w, fuzz_bytes_t *in)
{
    uint8_t m[8] = { 0 };
    const uint8_t *q = requests[w->request], kind = fuzz_byte(in);
    uint32_t len = 1 + fuzz_byte(in) % sizeof m;
    for (uint32_t i = 0; i < sizeof m; i++)
        m[i] = (kind & 1 && i < lens[w->request])
                   ? (uint8_t)(i ? q[i] & ~UDS_SPR : q[0] | UDS_POSITIVE)
                   : fuzz_byte(in);
    if (kind % 4 == 2) {
        m[0] = UDS_NEGATIVE;
        m[1] = q[0];
        m[2] = (uint8_t)FUZZ_PICK(in, UDS_RESPONSE_PENDING, UDS_BUSY_REPEAT_REQUEST,
                                  UDS_REQUEST_OUT_OF_RANGE, UDS_WRONG_BLOCK_COUNTER);
        len = 3;
    }
    if (kind & 64) {
        uds_client_begin(&w->c, w->now);
        w->now += fuzz_byte(in) * USEC_MS / 4;
    }
    const bool breaks = kind >= 240;
    take(w, breaks ? uds_client_break(&w->c, w->now) : uds_client_input(&w->c, m, len, w->now),
         breaks ? NULL : m, len);
}

static void tick(world_t *w) { take(w, uds_client_tick(&w->c, w->now), NULL, 0); }

/// As a caller does: never past the deadline.
static void pass(world_t *w, usec_t duration)
{
    const usec_t until = w->now + duration;
    for (unsigned n = 0;; n++) {
        must(n < 20000, "deadlines without end");
        const usec_t deadline = uds_client_deadline(&w->c);
        if (deadline > until) break;
        w->now = later(w->now, deadline);
        tick(w);
        const usec_t period = (w->cfg.present_ms ? w->cfg.present_ms : 2000) * USEC_MS;
        must(!w->wanted || w->now - w->present_at <= period, "a TesterPresent that is late");
    }
    w->now = until;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_bytes_t in = { data, data + len };
    world_t w = { .now = fuzz_u32(&in) };
    w.cfg = (uds_client_cfg_t){ .p2_ms = fuzz_byte(&in),
                                .p2_star_ms = fuzz_byte(&in) * 40U,
                                .margin_ms = fuzz_byte(&in),
                                .pending_limit_ms = fuzz_byte(&in) * 100U,
                                .busy_wait_ms = fuzz_byte(&in),
                                .busy_repeats = fuzz_byte(&in) % 8,
                                .present_ms = fuzz_byte(&in) * 10U };
    uds_client_init(&w.c, &w.cfg, w.now);
    while (in.at < in.end) {
        const uint8_t step = fuzz_byte(&in);
        switch (step % 8) {
        case 0: start(&w, &in); break;
        case 1: sent(&w); break;
        case 2:
        case 3: message(&w, &in); break;
        case 4: pass(&w, fuzz_byte(&in) * USEC_MS); break;
        case 5: pass(&w, fuzz_byte(&in) * 100 * USEC_MS); break;
        case 6:
            uds_client_stop(&w.c);
            w.under_way = false;
            break;
        default:
            w.wanted = step & 8;
            w.present_at = w.now;
            uds_client_keep_present(&w.c, w.wanted, w.now);
        }
        must(!w.under_way || w.c.state != UDS_CLIENT_IDLE, "a request that was forgotten");
        const bool waits = w.c.state == UDS_CLIENT_AWAITING || w.c.state == UDS_CLIENT_BUSY;
        must(!waits || uds_client_deadline(&w.c) != USEC_NEVER, "nobody will end this request");
    }
    return 0;
}
