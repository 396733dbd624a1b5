// uds_server.c - ISO 14229-1/-2 server: see uds_server.h for its use.
// SPDX-License-Identifier: Apache-2.0
//
//   IDLE     request    ->  CALL     the device has something to do: UDS_SERVER_CALL
//   IDLE     request    ->  READY    it has not
//   IDLE     request    ->  IDLE     and no response is wanted
//   CALL     answer     ->  CALL, READY, IDLE  as above
//   CALL     0.8 x P2   ->  CALL     a 0x78 is owed; then 0.8 x P2* after each of them
//   READY    taken      ->  LEAVING
//   LEAVING  sent       ->  IDLE     or what the request leads to that came in the meantime
//
// That request may be complete before the confirmation of the response that it follows: it is held until then. One
// that comes earlier, in CALL or READY, is answered by a 0x21. Responses 0x78 and 0x21 are put together in
// `note`, so that the response under construction survives them.
//
// `clock` is, in IDLE, when S3 started; else when the request ended or the last 0x78 was handed over. response[0] is
// the SID being answered, + UDS_POSITIVE, except in IDLE. No sub-function of ours depends on the session or is
// locked, therefore nothing here says 0x7E, and 0x33 is the services' own.
#include "uds_server.h"

enum { IDLE, CALL, READY, LEAVING }; // uds_server_t.phase

enum { NOTHING, RESPONSE, PENDING, BUSY }; // .sending; BUSY: a 0x21

enum { // .flags
    RECEIVING = 1 << 0,
    REFUSED = 1 << 1, // what is being received gets a 0x21
    PASSING = 1 << 2, // it is a block, and its data go to the device
    HELD = 1 << 3,    // a complete request waits for the response before it to leave
    EARLY = 1 << 4,   // a 0x78 is wanted as soon as the last one is long enough ago
    OWED = 1 << 5,    // a 0x78 is to be sent
    DEAD = 1 << 6,    // nothing more until uds_server_init(): ECUReset
};

enum { // .mode, of the request being answered
    FUNCTIONAL = 1 << 0,
    SPR = 1 << 1,
    PENDED = 1 << 2, // a 0x78 was sent: the final response must be
};

enum { ATTEMPTS = 3, P2 = 50, P2_STAR = 5000, S3 = 5000, SEED_LEN = 16 }; // defaults

// --- Services ---

enum { // service_t.flags
    HAS_SPR = 1 << 0,
    TO_ALL = 1 << 1, // may be requested functionally
};

enum {
    EVERYWHERE = UDS_IN_DEFAULT | UDS_IN_PROGRAMMING | UDS_IN_EXTENDED,
    NOT_IN_DEFAULT = UDS_IN_PROGRAMMING | UDS_IN_EXTENDED,
};

typedef struct {
    uint8_t sid;
    uint8_t sessions;
    uint8_t flags;
    uint8_t subs;     // 1 << each sub-function; 0: the service checks it, or has none
    uint8_t min, max; // bytes of a request; max 0: the service checks it
    uint8_t echo;     // bytes of it that a positive response repeats
} service_t;

static const service_t services[] = {
    { UDS_SESSION_CONTROL, EVERYWHERE, HAS_SPR | TO_ALL, 0x0E, 2, 2, 2 },
    { UDS_ECU_RESET, EVERYWHERE, HAS_SPR | TO_ALL, 0x0A, 2, 2, 2 },
    { UDS_CLEAR_DTC, EVERYWHERE, TO_ALL, 0, 4, 4, 1 },
    { UDS_READ_DID, EVERYWHERE, TO_ALL, 0, 3, 1 + 2 * UDS_DIDS_MAX, 1 },
    { UDS_SECURITY_ACCESS, NOT_IN_DEFAULT, HAS_SPR, 0, 2, 0, 2 },
    { UDS_COMMUNICATION_CONTROL, NOT_IN_DEFAULT, HAS_SPR | TO_ALL, 0x0F, 3, 3, 2 },
    { UDS_WRITE_DID, NOT_IN_DEFAULT, 0, 0, 4, 0, 3 },
    { UDS_ROUTINE_CONTROL, NOT_IN_DEFAULT, HAS_SPR, 0, 4, 0, 4 },
    { UDS_REQUEST_DOWNLOAD, UDS_IN_PROGRAMMING, 0, 0, 5, 0, 1 },
    { UDS_TRANSFER_DATA, UDS_IN_PROGRAMMING, 0, 0, 2, 0, 2 },
    { UDS_TRANSFER_EXIT, UDS_IN_PROGRAMMING, 0, 0, 1, 1, 1 },
    { UDS_TESTER_PRESENT, EVERYWHERE, HAS_SPR | TO_ALL, 0x01, 2, 2, 2 },
    { UDS_CONTROL_DTC_SETTING, NOT_IN_DEFAULT, HAS_SPR | TO_ALL, 0x06, 2, 2, 2 },
};

static const service_t *find_service(const uds_server_t *s, uint8_t sid)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++)
        if (services[i].sid == sid && (sid != UDS_SECURITY_ACCESS || s->cfg->level))
            return &services[i];
    return NULL;
}

static uint32_t or_default(uint32_t configured, uint32_t usual)
{
    return configured ? configured : usual;
}

static bool is_in(const uds_server_t *s, uint8_t sessions) { return sessions >> s->session & 1; }

static bool locked(const uds_server_t *s) { return s->cfg->level && !s->cfg->open && !s->unlocked; }

// --- Time ---

static uint32_t p2_ms(const uds_server_t *s) { return or_default(s->cfg->p2_ms, P2); }

static uint32_t announced_p2_ms(const uds_server_t *s)
{
    return p2_ms(s) + (s->session == UDS_PROGRAMMING_SESSION ? s->cfg->p2_extra_ms : 0);
}

static uint32_t p2_star_ms(const uds_server_t *s)
{
    return or_default(s->cfg->p2_star_ms, P2_STAR);
}

static uint32_t tenths(uint32_t ms, uint32_t n) { return ms * (n * (uint32_t)USEC_MS / 10); }

static bool is_over(const uds_server_t *s, uint32_t end)
{
    return (int32_t)((uint32_t)s->now - end) >= 0;
}

// When the next 0x78 is due.
static uint32_t pump(const uds_server_t *s)
{
    if (s->flags & EARLY) return s->gap;
    return s->clock + tenths(s->mode & PENDED ? p2_star_ms(s) : p2_ms(s), 8);
}

static bool can_pend(const uds_server_t *s)
{
    return s->phase == CALL && s->sending != PENDING && !(s->flags & OWED);
}

static void pend_if_due(uds_server_t *s)
{
    if (can_pend(s) && is_over(s, pump(s))) s->flags |= OWED;
}

// --- Ends of a request ---

static uds_server_events_t to_idle(uds_server_t *s)
{
    s->phase = IDLE;
    s->clock = (uint32_t)s->now;
    return s->flags & DEAD ? UDS_SERVER_RESET : UDS_SERVER_NONE;
}

// 14229-1, 7.5: what a server does not have is not reported to somebody who asks all of them.
static bool is_for_one_only(uds_nrc_t nrc)
{
    return nrc == UDS_SERVICE_NOT_SUPPORTED || nrc == UDS_SUB_FUNCTION_NOT_SUPPORTED ||
           nrc == UDS_REQUEST_OUT_OF_RANGE || nrc == UDS_SUB_FUNCTION_NOT_IN_SESSION ||
           nrc == UDS_SERVICE_NOT_IN_SESSION;
}

static uds_server_events_t finish(uds_server_t *s, uds_nrc_t nrc)
{
    bool silent = s->mode & SPR;
    if (nrc == UDS_OK && s->response_len > UDS_RESPONSE_MAX) nrc = UDS_RESPONSE_TOO_LONG;
    if (nrc != UDS_OK) {
        silent = s->mode & FUNCTIONAL && is_for_one_only(nrc);
        s->response[1] = s->response[0] & (uint8_t)~UDS_POSITIVE;
        s->response[0] = UDS_NEGATIVE;
        s->response[2] = (uint8_t)nrc;
        s->response_len = UDS_NEGATIVE_LEN;
    }
    s->flags &= ~(unsigned)(OWED | EARLY);
    if (silent && !(s->mode & PENDED)) return to_idle(s);
    s->phase = READY;
    return UDS_SERVER_NONE;
}

static uds_nrc_t call(uds_server_t *s, uds_call_kind_t kind, uint16_t id)
{
    s->phase = CALL;
    s->call.kind = kind;
    s->call.id = id;
    return UDS_OK;
}

static uds_nrc_t call_with(uds_server_t *s, uds_call_kind_t kind, uint16_t id, const uint8_t *data,
                           uint32_t len)
{
    s->call.data = data;
    s->call.len = len;
    return call(s, kind, id);
}

static bool put(uds_server_t *s, const void *p, size_t len)
{
    if (s->response_len > UDS_RESPONSE_MAX || len > UDS_RESPONSE_MAX - (size_t)s->response_len) {
        s->response_len = UDS_RESPONSE_MAX + 1;
        return false;
    }
    memcpy(&s->response[s->response_len], p, len);
    s->response_len = (uint16_t)(s->response_len + len);
    return true;
}

static void put_be16(uds_server_t *s, uint32_t v)
{
    const uint8_t bytes[] = { (uint8_t)(v >> 8), (uint8_t)v };
    put(s, bytes, sizeof bytes);
}

static uds_server_events_t enter_session(uds_server_t *s, uint8_t session)
{
    s->session = session;
    s->unlocked = false;
    s->seed_len = 0;
    memset(&s->transfer, 0, sizeof s->transfer);
    if (session == UDS_DEFAULT_SESSION) {
        s->communication = 0;
        s->dtc_off = false;
    }
    return UDS_SERVER_SESSION;
}

// --- The services' own checks, each in its order ---

static uint16_t load_be16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

// The next DID that the device has to read; all were: the verdict.
static uds_nrc_t read_next(uds_server_t *s)
{
    while (s->at < s->read_len) {
        const uint16_t id = load_be16(&s->request[s->at]);
        s->at += 2;
        s->mark = s->response_len;
        put_be16(s, id);
        if (id != UDS_DID_SESSION) return call(s, UDS_CALL_READ, id);
        put(s, &s->session, 1);
    }
    return s->response_len > 1 ? UDS_OK : UDS_REQUEST_OUT_OF_RANGE;
}

static uds_nrc_t read_dids(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    if (len % 2 == 0) return UDS_INCORRECT_LENGTH;
    memmove(&s->request[2], &p[1], len - 1); // clear of the next request's first bytes
    s->read_len = (uint8_t)(len + 1);
    s->at = 2;
    return read_next(s);
}

static uds_nrc_t security_access(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    const uint32_t n = or_default(s->cfg->seed_len, SEED_LEN);
    const uint8_t level = s->cfg->level, sub = s->response[1];
    if (sub != level && sub != level + 1) return UDS_SUB_FUNCTION_NOT_SUPPORTED;
    if (sub == level) {
        if (len != 2) return UDS_INCORRECT_LENGTH;
        if (!locked(s)) {
            memset(&s->response[2], 0, n);
            s->response_len = (uint16_t)(2 + n);
            return UDS_OK;
        }
        if (s->now < s->delay_until) return UDS_DELAY_NOT_EXPIRED;
        s->seed_len = 0;
        return call(s, UDS_CALL_SEED, level);
    }
    if (s->seed_len == 0) return UDS_REQUEST_SEQUENCE_ERROR;
    if (len == 2 || len > UDS_REQUEST_MAX) return UDS_INCORRECT_LENGTH;
    return call_with(s, UDS_CALL_KEY, level, &p[2], len - 2);
}

static uds_nrc_t write_did(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    const uint16_t id = load_be16(&p[1]);
    const uds_did_t *d = s->cfg->dids;
    for (unsigned i = s->cfg->did_count; i > 0; i--, d++) {
        if (d->id != id || !is_in(s, d->sessions)) continue;
        if (len > UDS_REQUEST_MAX || (d->len && len - 3 != d->len)) return UDS_INCORRECT_LENGTH;
        if (locked(s)) return UDS_SECURITY_ACCESS_DENIED;
        return call_with(s, UDS_CALL_WRITE, id, &p[3], len - 3);
    }
    return UDS_REQUEST_OUT_OF_RANGE;
}

static uds_nrc_t routine_control(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    const uint16_t id = load_be16(&p[2]);
    const uint8_t type = s->response[1];
    const uint32_t option_len = len - 4;
    const uds_routine_t *r = s->cfg->routines;
    for (unsigned i = s->cfg->routine_count; i > 0; i--, r++) {
        if (r->id != id || !is_in(s, r->sessions)) continue;
        if (r->locked && locked(s)) return UDS_SECURITY_ACCESS_DENIED;
        if (type > UDS_ROUTINE_RESULTS || !(r->types >> type & 1))
            return UDS_SUB_FUNCTION_NOT_SUPPORTED;
        if (option_len < r->min_len || option_len > r->max_len || len > UDS_REQUEST_MAX)
            return UDS_INCORRECT_LENGTH;
        s->call.type = type;
        return call_with(s, UDS_CALL_ROUTINE, id, &p[4], option_len);
    }
    return UDS_REQUEST_OUT_OF_RANGE;
}

static uint32_t load_be(const uint8_t *p, size_t len)
{
    uint32_t v = 0;
    while (len-- > 0)
        v = v << 8 | *p++;
    return v;
}

static bool is_outside(const uds_server_t *s)
{
    const uint32_t all = s->cfg->memory_size;
    return all && (s->call.at > all || s->call.size > all - s->call.at);
}

static uds_nrc_t request_download(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    const uint8_t at_len = p[2] & 0xF, size_len = p[2] >> 4;
    if (len != 3u + at_len + size_len) return UDS_INCORRECT_LENGTH;
    if (p[1] != 0 || at_len - 1u > 3 || size_len - 1u > 3) return UDS_REQUEST_OUT_OF_RANGE;
    s->call.at = load_be(&p[3], at_len);
    s->call.size = load_be(&p[3 + at_len], size_len);
    if (s->call.size == 0 || is_outside(s)) return UDS_REQUEST_OUT_OF_RANGE;
    if (locked(s)) return UDS_SECURITY_ACCESS_DENIED;
    memset(&s->transfer, 0, sizeof s->transfer); // a tester that lost its way may start again
    return call(s, UDS_CALL_DOWNLOAD, p[1]);
}

// The response to the last block may have been lost: the block comes once more.
static bool is_repeated(const uds_server_t *s, uint8_t counter)
{
    return s->transfer.repeatable && counter == s->transfer.last;
}

static uds_nrc_t check_block(const uds_server_t *s, uint8_t counter, uint32_t len)
{
    const uint32_t left = s->transfer.size - s->transfer.received;
    if (len > s->cfg->block_max) return UDS_INCORRECT_LENGTH;
    if (is_repeated(s, counter)) return UDS_OK;
    if (left == 0) return UDS_REQUEST_SEQUENCE_ERROR; // or there is no transfer
    if (counter != (uint8_t)(s->transfer.last + 1)) return UDS_WRONG_BLOCK_COUNTER;
    if (len == 2) return UDS_REQUEST_OUT_OF_RANGE;
    return len - 2 > left ? UDS_TRANSFER_SUSPENDED : UDS_OK;
}

static uds_nrc_t transfer_data(uds_server_t *s, uint8_t counter, uint32_t len)
{
    const uds_nrc_t nrc = check_block(s, counter, len);
    if (nrc != UDS_OK || is_repeated(s, counter)) return nrc;
    ASSERT(s->flags & PASSING);
    s->call.size = len - 2;
    return call(s, UDS_CALL_BLOCK, 0);
}

static uds_nrc_t transfer_exit(uds_server_t *s)
{
    if (!s->transfer.active || s->transfer.received != s->transfer.size)
        return UDS_REQUEST_SEQUENCE_ERROR;
    return call(s, UDS_CALL_EXIT, 0);
}

// --- A request ---

static uds_nrc_t serve(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    const uint8_t sub = s->response[1];
    switch (p[0]) {
    case UDS_SESSION_CONTROL: return call(s, UDS_CALL_SESSION, sub);
    case UDS_ECU_RESET: return call(s, UDS_CALL_RESET, sub);
    case UDS_CLEAR_DTC: return (p[1] & p[2] & p[3]) == 0xFF ? UDS_OK : UDS_REQUEST_OUT_OF_RANGE;
    case UDS_READ_DID: return read_dids(s, p, len);
    case UDS_SECURITY_ACCESS: return security_access(s, p, len);
    case UDS_COMMUNICATION_CONTROL:
        if (p[2] - 1u > 2) return UDS_REQUEST_OUT_OF_RANGE;
        s->communication = sub;
        return UDS_OK;
    case UDS_WRITE_DID: return write_did(s, p, len);
    case UDS_ROUTINE_CONTROL: return routine_control(s, p, len);
    case UDS_REQUEST_DOWNLOAD: return request_download(s, p, len);
    case UDS_TRANSFER_DATA: return transfer_data(s, p[1], len);
    case UDS_TRANSFER_EXIT: return transfer_exit(s);
    case UDS_CONTROL_DTC_SETTING: s->dtc_off = sub == 2; return UDS_OK;
    default: return UDS_OK; // TesterPresent
    }
}

// What all services have in common, before that.
static uds_nrc_t check(uds_server_t *s, const service_t *v, const uint8_t *p, uint32_t len)
{
    if (!v) return UDS_SERVICE_NOT_SUPPORTED;
    if (!is_in(s, v->sessions)) return UDS_SERVICE_NOT_IN_SESSION;
    if (len < v->min && (!v->subs || len < 2)) return UDS_INCORRECT_LENGTH;
    s->response_len = v->echo;
    memcpy(&s->response[1], &p[1], v->echo - 1u);
    if (v->flags & HAS_SPR) {
        if (p[1] & UDS_SPR) s->mode |= SPR;
        s->response[1] &= (uint8_t)~UDS_SPR;
    }
    if (v->subs && (s->response[1] > 7 || !(v->subs >> s->response[1] & 1)))
        return UDS_SUB_FUNCTION_NOT_SUPPORTED;
    if (len < v->min || (v->max && len > v->max)) return UDS_INCORRECT_LENGTH;
    return UDS_OK;
}

static uds_server_events_t request(uds_server_t *s, const uint8_t *p, uint32_t len)
{
    const service_t *v = find_service(s, p[0]);
    if (p[0] & UDS_POSITIVE) return to_idle(s); // somebody's response
    if (s->mode & FUNCTIONAL && v && !(v->flags & TO_ALL)) return to_idle(s);
    s->gap = s->clock;
    s->response[0] = p[0] | UDS_POSITIVE;
    uds_nrc_t nrc = check(s, v, p, len);
    if (nrc == UDS_OK) nrc = serve(s, p, len);
    return s->phase == CALL ? UDS_SERVER_CALL : finish(s, nrc);
}

static bool is_only_present(const uint8_t *p, uint32_t len)
{
    return len == 2 && p[0] == UDS_TESTER_PRESENT && p[1] == UDS_SPR;
}

static void hold(uds_server_t *s)
{
    s->flags |= HELD;
    s->clock = (uint32_t)s->now;
}

void uds_server_begin(uds_server_t *s, uint32_t len, usec_t now)
{
    (void)now;
    ASSERT(len > 0);
    if (s->flags & DEAD) return;
    if (s->flags & HELD && !(s->mode & FUNCTIONAL)) s->busy_sid = s->request[0] | UDS_POSITIVE;
    s->flags &= ~(unsigned)(HELD | REFUSED | PASSING);
    s->flags |= RECEIVING;
    if (s->phase == CALL || s->phase == READY) s->flags |= REFUSED;
    s->len = len;
    s->have = 0;
}

uint32_t uds_server_data(uds_server_t *s, const uint8_t *data, uint32_t len)
{
    uint32_t n = 0;
    if (!(s->flags & RECEIVING)) return len;
    if (s->flags & PASSING) return 0;
    while (s->have < 2 && n < len)
        s->request[s->have++] = data[n++];
    if (s->flags & REFUSED || s->have < 2) return len;
    if (s->request[0] != UDS_TRANSFER_DATA) { // the rest of a long one is counted, not kept
        const size_t fits = smaller(len - n, UDS_REQUEST_MAX - (size_t)s->have);
        memcpy(&s->request[s->have], &data[n], fits);
        s->have += (uint8_t)fits;
        return len;
    }
    if (n == 0 || check_block(s, s->request[1], s->len) != UDS_OK || is_repeated(s, s->request[1]))
        return len;
    s->flags |= PASSING;
    return n;
}

uds_server_events_t uds_server_end(uds_server_t *s, usec_t now)
{
    s->now = now;
    if (!(s->flags & RECEIVING)) return UDS_SERVER_NONE;
    s->flags &= ~(unsigned)RECEIVING;
    if (s->phase == IDLE && !(s->flags & REFUSED)) {
        s->clock = (uint32_t)now;
        s->mode = 0;
        return request(s, s->request, s->len);
    }
    if (s->phase == IDLE) s->clock = (uint32_t)now;
    if (s->request[0] & UDS_POSITIVE || is_only_present(s->request, s->len)) return UDS_SERVER_NONE;
    if (s->phase == LEAVING && !(s->flags & REFUSED)) {
        s->mode = 0;
        hold(s);
    } else {
        s->busy_sid = s->request[0] | UDS_POSITIVE;
    }
    return UDS_SERVER_NONE;
}

void uds_server_break(uds_server_t *s, usec_t now)
{
    if (!(s->flags & RECEIVING)) return;
    s->flags &= ~(unsigned)RECEIVING;
    if (s->phase == IDLE) s->clock = (uint32_t)now;
}

uds_server_events_t uds_server_functional(uds_server_t *s, const uint8_t *data, uint32_t len,
                                          usec_t now)
{
    ASSERT(len > 0 && len <= UDS_REQUEST_MAX);
    s->now = now;
    const bool uses_buffer = s->phase == LEAVING || data[0] == UDS_READ_DID;
    if (s->flags & (DEAD | HELD) || is_only_present(data, len)) {
        if (s->phase == IDLE) s->clock = (uint32_t)now;
        return UDS_SERVER_NONE;
    }
    if (s->phase == CALL || s->phase == READY) return UDS_SERVER_NONE;
    if (s->flags & RECEIVING && uses_buffer &&
        (s->phase == LEAVING || s->request[0] != UDS_TRANSFER_DATA))
        return UDS_SERVER_NONE;
    s->mode = FUNCTIONAL;
    if (s->phase == LEAVING) {
        memcpy(s->request, data, len);
        s->len = len;
        hold(s);
        return UDS_SERVER_NONE;
    }
    s->clock = (uint32_t)now;
    return request(s, data, len);
}

// --- Calls ---

bool uds_server_put(uds_server_t *s, const void *p, size_t len)
{
    ASSERT(s->phase == CALL);
    return put(s, p, len);
}

// A random generator that gives zeros is broken; and zeros say that nothing is locked.
static uds_nrc_t keep_seed(uds_server_t *s)
{
    const uint8_t n = (uint8_t)or_default(s->cfg->seed_len, SEED_LEN);
    ASSERT(s->response_len == 2 + n);
    memcpy(s->seed, &s->response[2], n);
    for (unsigned i = 0; i < n; i++)
        if (s->seed[i] != 0) s->seed_len = n;
    return s->seed_len ? UDS_OK : UDS_CONDITIONS_NOT_CORRECT;
}

static uds_nrc_t judge_key(uds_server_t *s, uds_nrc_t nrc)
{
    s->seed_len = 0; // for one try
    if (nrc == UDS_OK) {
        s->unlocked = true;
        s->attempts = 0;
    }
    if (nrc != UDS_INVALID_KEY || ++s->attempts < or_default(s->cfg->attempts, ATTEMPTS))
        return nrc;
    s->attempts = 0;
    s->delay_until = s->now + s->cfg->delay_ms * USEC_MS;
    return UDS_EXCEEDED_ATTEMPTS;
}

uds_server_events_t uds_server_answer(uds_server_t *s, uds_nrc_t nrc, usec_t now)
{
    uds_server_events_t events = UDS_SERVER_NONE;
    const bool ok = nrc == UDS_OK;
    const uint8_t two_bytes = 0x20; // lengthFormatIdentifier
    ASSERT(s->phase == CALL);
    s->now = now;
    s->phase = IDLE;
    switch (s->call.kind) {
    case UDS_CALL_SESSION:
        if (!ok) break;
        events = enter_session(s, (uint8_t)s->call.id);
        put_be16(s, announced_p2_ms(s));
        put_be16(s, p2_star_ms(s) / 10);
        break;
    case UDS_CALL_RESET:
        if (ok) s->flags = DEAD;
        break;
    case UDS_CALL_READ:
        if (nrc == UDS_REQUEST_OUT_OF_RANGE) s->response_len = s->mark;
        if (ok || nrc == UDS_REQUEST_OUT_OF_RANGE) nrc = read_next(s);
        if (s->phase == CALL) return UDS_SERVER_CALL;
        break;
    case UDS_CALL_SEED:
        if (ok) nrc = keep_seed(s);
        break;
    case UDS_CALL_KEY: nrc = judge_key(s, nrc); break;
    case UDS_CALL_DOWNLOAD:
        if (!ok) break;
        s->transfer.active = true;
        s->transfer.size = s->call.size;
        put(s, &two_bytes, 1);
        put_be16(s, s->cfg->block_max);
        break;
    case UDS_CALL_BLOCK:
        if (ok) {
            s->transfer.repeatable = true;
            s->transfer.last = s->response[1];
            s->transfer.received += s->call.size;
        }
        if (nrc == UDS_PROGRAMMING_FAILURE) uds_server_stop(s);
        break;
    case UDS_CALL_EXIT:
        if (ok || nrc == UDS_PROGRAMMING_FAILURE) uds_server_stop(s);
        break;
    case UDS_CALL_WRITE:
    case UDS_CALL_ROUTINE: break;
    }
    return events | finish(s, nrc);
}

void uds_server_stop(uds_server_t *s) { memset(&s->transfer, 0, sizeof s->transfer); }

// --- Responses leave ---

static uint8_t shown(const uds_server_t *s)
{
    if (s->sending != NOTHING) return NOTHING;
    if (s->flags & OWED) return PENDING;
    if (s->busy_sid) return BUSY;
    return s->phase == READY ? RESPONSE : NOTHING;
}

const uint8_t *uds_server_output(uds_server_t *s, uint32_t *len)
{
    const uint8_t what = shown(s);
    const uint8_t sid = what == BUSY ? s->busy_sid : s->response[0];
    if (what == NOTHING) return NULL;
    if (what == RESPONSE) {
        *len = s->response_len;
        return s->response;
    }
    s->note[0] = UDS_NEGATIVE;
    s->note[1] = sid & (uint8_t)~UDS_POSITIVE;
    s->note[2] = what == BUSY ? UDS_BUSY_REPEAT_REQUEST : UDS_RESPONSE_PENDING;
    *len = UDS_NEGATIVE_LEN;
    return s->note;
}

void uds_server_taken(uds_server_t *s, usec_t now)
{
    s->sending = shown(s);
    ASSERT(s->sending != NOTHING);
    if (s->sending == RESPONSE) s->phase = LEAVING;
    if (s->sending == BUSY) s->busy_sid = 0;
    if (s->sending != PENDING) return;
    s->flags &= ~(unsigned)(OWED | EARLY);
    s->mode |= PENDED;
    s->clock = (uint32_t)now;
}

uds_server_events_t uds_server_sent(uds_server_t *s, usec_t now)
{
    const uint8_t what = s->sending;
    const uint32_t ended = s->clock;
    s->now = now;
    s->sending = NOTHING;
    if (what == PENDING) s->gap = (uint32_t)now + tenths(p2_star_ms(s), 3);
    if (what == BUSY && s->phase == IDLE) s->clock = (uint32_t)now;
    if (what != RESPONSE) return UDS_SERVER_NONE;
    const uds_server_events_t events = to_idle(s);
    if (!(s->flags & HELD)) return events;
    s->flags &= ~(unsigned)HELD;
    s->clock = ended;
    return request(s, s->request, s->len);
}

bool uds_server_can_wait(uds_server_t *s, usec_t until, usec_t now)
{
    s->now = now;
    if (s->busy_sid || s->sending == BUSY || s->sending == PENDING) return false;
    if (s->phase == IDLE) return true;
    if (!(s->flags & OWED) && (int32_t)(pump(s) - (uint32_t)until) >= 0) return true;
    if (can_pend(s)) s->flags |= EARLY;
    pend_if_due(s);
    return false;
}

// --- Time ---

static bool s3_runs(const uds_server_t *s)
{
    return s->phase == IDLE && s->session != UDS_DEFAULT_SESSION &&
           !(s->flags & (RECEIVING | DEAD));
}

static uint32_t s3_end(const uds_server_t *s)
{
    return s->clock + or_default(s->cfg->s3_ms, S3) * (uint32_t)USEC_MS;
}

usec_t uds_server_deadline(const uds_server_t *s)
{
    uint32_t end = s3_end(s);
    if (can_pend(s))
        end = pump(s);
    else if (!s3_runs(s))
        return USEC_NEVER;
    return s->now + (usec_t)(int32_t)(end - (uint32_t)s->now);
}

uds_server_events_t uds_server_tick(uds_server_t *s, usec_t now)
{
    s->now = now;
    pend_if_due(s);
    return s3_runs(s) && is_over(s, s3_end(s)) ? enter_session(s, UDS_DEFAULT_SESSION)
                                               : UDS_SERVER_NONE;
}

void uds_server_init(uds_server_t *s, const uds_server_cfg_t *cfg, usec_t now)
{
    ASSERT(cfg->block_max >= 3 && cfg->block_max <= UINT16_MAX);
    ASSERT(cfg->seed_len <= UDS_SEED_MAX);
    memset(s, 0, sizeof *s);
    s->cfg = cfg;
    s->session = UDS_DEFAULT_SESSION;
    s->delay_until = now + cfg->delay_ms * USEC_MS;
}
