// uds_client.c - ISO 14229-1/-2 client: see uds_client.h.
// SPDX-License-Identifier: Apache-2.0
//
//   IDLE       start                  ->  SENDING
//   SENDING    sent                   ->  AWAITING   P2; IDLE if functional and no response is wanted
//   AWAITING   a message begins       ->  RECEIVING  P2 stops
//   RECEIVING  not ours               ->  AWAITING   P2 goes on where it stopped
//   RECEIVING  it broke off           ->  IDLE       TIMEOUT (transport)
//   RECEIVING  0x78                   ->  AWAITING   P2*
//   RECEIVING  0x21                   ->  BUSY, and after a while SENDING: the same once more
//   RECEIVING  any other answer       ->  IDLE       POSITIVE, NEGATIVE
//   AWAITING   its time has passed    ->  IDLE       TIMEOUT; POSITIVE if no response is wanted
//
// While SENDING, a message is judged in the same way: a server need not hear a request to its end
// before it refuses, and a driver may confirm our last frame later than the response comes.
#include "uds_client.h"

enum {
    P2_MS = 50,
    P2_STAR_MS = 5000,
    BUSY_WAIT_MS = 100,
    PRESENT_MS = 2000,
    P2_STAR_UNIT_MS = 10,  // of a session response (10.2.3.2)
    SESSION_TIMES_LEN = 6, // of a session response with both times
};

static uint32_t or_else(uint32_t value, uint32_t otherwise) { return value ? value : otherwise; }

static usec_t ms(uint32_t value) { return value * USEC_MS; }

// --- Services ---

/// Bytes of the request behind its SID that come back in the positive response. 0: none.
static uint32_t echo_len(uint8_t sid)
{
    switch (sid) {
    case UDS_READ_DID:
    case UDS_WRITE_DID: return 2;
    case UDS_ROUTINE_CONTROL: return 3;
    case UDS_TRANSFER_DATA: return 1;
    default: return 0;
    }
}

static bool has_sub_function(uint8_t sid)
{
    switch (sid) {
    case UDS_SESSION_CONTROL:
    case UDS_ECU_RESET:
    case 0x19: // ReadDTCInformation
    case UDS_SECURITY_ACCESS:
    case UDS_COMMUNICATION_CONTROL:
    case 0x29: // Authentication
    case 0x2C: // DynamicallyDefineDataIdentifier
    case UDS_ROUTINE_CONTROL:
    case UDS_TESTER_PRESENT:
    case 0x83: // AccessTimingParameter
    case UDS_CONTROL_DTC_SETTING:
    case 0x86: // ResponseOnEvent
    case 0x87: // LinkControl
        return true;
    default: return false;
    }
}

bool uds_client_is_silent(const uint8_t *request, uint32_t len)
{
    return len > 1 && has_sub_function(request[0]) && (request[1] & UDS_SPR);
}

static bool no_response_wanted(const uds_client_t *c)
{
    return uds_client_is_silent(c->request, c->request_len);
}

bool uds_client_is_positive(const uint8_t *request, uint32_t request_len, const uint8_t *message,
                            uint32_t len)
{
    const uint8_t sid = request[0];
    const bool sub_function = has_sub_function(sid);
    uint32_t echo = echo_len(sid);
    if (echo == 0 && sub_function) echo = 1;
    if (message[0] != (uint8_t)(sid + UDS_POSITIVE)) return false;
    if (len <= echo || request_len <= echo) return false;
    if (sid == UDS_READ_DID) {
        for (uint32_t i = 1; i + 1 < request_len; i += 2)
            if (memcmp(message + 1, request + i, 2) == 0) return true;
        return false;
    }
    for (uint32_t i = 1; i <= echo; i++) {
        const uint8_t spr = (i == 1 && sub_function) ? UDS_SPR : 0;
        if (message[i] != (uint8_t)(request[i] & ~spr)) return false;
    }
    return true;
}

// --- Ends of a request ---

static uds_client_events_t end(uds_client_t *c, uds_client_events_t event)
{
    c->state = UDS_CLIENT_IDLE;
    c->deadline = USEC_NEVER;
    return event;
}

static uds_client_events_t give_up(uds_client_t *c, uds_timer_t timer)
{
    c->timer = timer;
    return end(c, UDS_CLIENT_TIMEOUT);
}

static void default_times(uds_client_t *c)
{
    c->p2_ms = or_else(c->cfg->p2_ms, P2_MS);
    c->p2_star_ms = or_else(c->cfg->p2_star_ms, P2_STAR_MS);
    c->p2_told = false;
}

/// A server that says 0 says nothing.
static void take_times(uds_client_t *c)
{
    const uint32_t p2_ms = load_be32(&c->response[2]) >> 16;
    const uint32_t p2_star_ms = (load_be32(&c->response[2]) & 0xFFFF) * P2_STAR_UNIT_MS;
    c->p2_ms = or_else(p2_ms, c->p2_ms);
    c->p2_star_ms = or_else(p2_star_ms, c->p2_star_ms);
    c->p2_told = true;
}

static uds_client_events_t succeed(uds_client_t *c, const uint8_t *response, uint32_t len)
{
    c->response = response;
    c->response_len = len;
    if (c->request[0] == UDS_SESSION_CONTROL && len >= SESSION_TIMES_LEN) take_times(c);
    if (c->request[0] == UDS_ECU_RESET) default_times(c);
    return end(c, UDS_CLIENT_POSITIVE);
}

// --- Timers ---

static void await(uds_client_t *c, usec_t now)
{
    const uint32_t limit_ms = c->pending ? c->p2_star_ms : c->p2_ms;
    c->state = UDS_CLIENT_AWAITING;
    c->deadline = now + ms(limit_ms) + ms(c->cfg->margin_ms);
}

static usec_t pending_end(const uds_client_t *c)
{
    if (c->pending == 0 || c->cfg->pending_limit_ms == 0) return USEC_NEVER;
    return c->pending_since + ms(c->cfg->pending_limit_ms);
}

static uds_client_events_t on_silence(uds_client_t *c, usec_t now)
{
    const bool silent = now >= c->deadline;
    if (silent && c->pending) return give_up(c, UDS_TIMER_P2_STAR);
    if (!silent) return give_up(c, UDS_TIMER_PENDING);
    if (c->functional || no_response_wanted(c)) return succeed(c, NULL, 0);
    return give_up(c, UDS_TIMER_P2);
}

// --- What came in ---

static uds_client_events_t on_pending(uds_client_t *c, usec_t now)
{
    if (c->pending++ == 0) c->pending_since = now;
    if (c->state == UDS_CLIENT_RECEIVING) await(c, now);
    return UDS_CLIENT_PENDING;
}

static uds_client_events_t on_busy(uds_client_t *c, usec_t now)
{
    if (c->repeats++ >= c->cfg->busy_repeats) return give_up(c, UDS_TIMER_BUSY);
    c->state = UDS_CLIENT_BUSY;
    c->deadline = now + ms(or_else(c->cfg->busy_wait_ms, BUSY_WAIT_MS));
    return UDS_CLIENT_NONE;
}

static uds_client_events_t on_negative(uds_client_t *c, uds_nrc_t nrc, usec_t now)
{
    if (nrc == UDS_RESPONSE_PENDING) return on_pending(c, now);
    c->nrc = nrc;
    if (nrc == UDS_BUSY_REPEAT_REQUEST) return on_busy(c, now);
    return end(c, UDS_CLIENT_NEGATIVE);
}

static bool listening(const uds_client_t *c)
{
    return c->state == UDS_CLIENT_SENDING || c->state == UDS_CLIENT_RECEIVING;
}

// --- Use ---

void uds_client_init(uds_client_t *c, const uds_client_cfg_t *cfg, usec_t now)
{
    memset(c, 0, sizeof *c);
    c->cfg = cfg;
    c->deadline = USEC_NEVER;
    c->functional_from = now;
    default_times(c);
}

void uds_client_start(uds_client_t *c, const uint8_t *request, uint32_t len, bool functional,
                      usec_t now)
{
    (void)now;
    ASSERT(c->state == UDS_CLIENT_IDLE && len > 0);
    c->state = UDS_CLIENT_SENDING;
    c->request = request;
    c->request_len = len;
    c->functional = functional;
    c->pending = 0;
    c->repeats = 0;
}

uds_client_events_t uds_client_sent(uds_client_t *c, usec_t now)
{
    if (c->state != UDS_CLIENT_SENDING) return UDS_CLIENT_NONE;
    if (c->functional) c->functional_from = now + ms(or_else(c->cfg->p2_ms, P2_MS));
    if (c->functional && no_response_wanted(c) && !c->pending) return succeed(c, NULL, 0);
    await(c, now);
    return UDS_CLIENT_NONE;
}

void uds_client_begin(uds_client_t *c, usec_t now)
{
    if (c->state != UDS_CLIENT_AWAITING) return;
    c->state = UDS_CLIENT_RECEIVING;
    c->begun = now;
}

uds_client_events_t uds_client_input(uds_client_t *c, const uint8_t *message, uint32_t len,
                                     usec_t now)
{
    if (c->state == UDS_CLIENT_AWAITING) uds_client_begin(c, now);
    if (!listening(c) || len == 0) return UDS_CLIENT_NONE;
    if (len >= UDS_NEGATIVE_LEN && message[0] == UDS_NEGATIVE && message[1] == c->request[0])
        return on_negative(c, (uds_nrc_t)message[2], now);
    if (uds_client_is_positive(c->request, c->request_len, message, len))
        return succeed(c, message, len);
    if (c->state != UDS_CLIENT_RECEIVING) return UDS_CLIENT_NONE;
    c->state = UDS_CLIENT_AWAITING; // the server could not answer while it sent this
    c->deadline += now - c->begun;
    return UDS_CLIENT_NONE;
}

uds_client_events_t uds_client_break(uds_client_t *c, usec_t now)
{
    (void)now;
    return (c->state == UDS_CLIENT_RECEIVING) ? give_up(c, UDS_TIMER_TRANSPORT) : UDS_CLIENT_NONE;
}

void uds_client_stop(uds_client_t *c) { (void)end(c, UDS_CLIENT_NONE); }

void uds_client_keep_present(uds_client_t *c, bool wanted, usec_t now)
{
    if (wanted && !c->present) c->present_at = now + ms(or_else(c->cfg->present_ms, PRESENT_MS));
    c->present = wanted;
}

usec_t uds_client_deadline(const uds_client_t *c)
{
    usec_t deadline = c->present ? c->present_at : USEC_NEVER;
    if (c->state == UDS_CLIENT_AWAITING) deadline = sooner(deadline, pending_end(c));
    if (c->state == UDS_CLIENT_AWAITING || c->state == UDS_CLIENT_BUSY)
        deadline = sooner(deadline, c->deadline);
    return deadline;
}

uds_client_events_t uds_client_tick(uds_client_t *c, usec_t now)
{
    uds_client_events_t events = UDS_CLIENT_NONE;
    if (c->present && now >= c->present_at) {
        c->present_at = now + ms(or_else(c->cfg->present_ms, PRESENT_MS));
        c->functional_from = later(c->functional_from, now + ms(or_else(c->cfg->p2_ms, P2_MS)));
        events |= UDS_CLIENT_PRESENT;
    }
    if (c->state == UDS_CLIENT_AWAITING && now >= sooner(c->deadline, pending_end(c)))
        return events | on_silence(c, now);
    if (c->state == UDS_CLIENT_BUSY && now >= c->deadline) {
        c->state = UDS_CLIENT_SENDING;
        c->deadline = USEC_NEVER;
        events |= UDS_CLIENT_SEND;
    }
    return events;
}
