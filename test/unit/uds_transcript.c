// uds_transcript.c - tests of the UDS server as logs of messages: see uds_transcript.h.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_MAX_LEN = 1024, BYTES_MAX = 600, LOG_MAX = 65536 };

enum { PROG = UDS_IN_PROGRAMMING, EXT = UDS_IN_EXTENDED, BOTH = PROG | EXT };
enum {
    START = 1 << UDS_START_ROUTINE,
    STOP = 1 << UDS_STOP_ROUTINE,
    RESULTS = 1 << UDS_ROUTINE_RESULTS
};

const uds_did_t uds_test_dids[3] = {
    { 0xF184, PROG, 9 },
    { 0xF15A, PROG, 0 },
    { 0x0100, BOTH, 2 },
};
const uds_routine_t uds_test_routines[6] = {
    { 0xFF00, PROG, START, true, 0, 8 },
    { 0xFF01, PROG, START, true, 0, 0 },
    { 0x0203, BOTH, START, false, 0, 0 },
    { 0xF000, PROG, START | RESULTS, true, 0, 0 },
    { 0x0300, EXT, START | STOP | RESULTS, false, 1, 4 },
    { 0x0301, EXT, START, false, 0, 255 },
};
const uds_server_cfg_t uds_test_cfg = UDS_CFG(1, .open = false);

typedef struct {
    uds_server_t s;
    char *log; // NULL: none is kept
    size_t log_len;
    usec_t now, confirm_after, confirm_at;
    bool driver_off, asleep, after_the_end;
    bool defer, planned; // how the next call is answered
    uds_nrc_t nrc;
    uint8_t put[BYTES_MAX];
    size_t put_len;
    uint32_t block; // data bytes of a block that came
    unsigned calls;
    uint8_t response[UDS_RESPONSE_MAX];
    uint32_t response_len;
} world_t;

static world_t asked;
uds_server_t uds_asked;
unsigned uds_calls;

// --- Text ---

static size_t read_bytes(const char *p, uint8_t *to)
{
    size_t n = 0;
    for (;;) {
        char *end = NULL;
        p += strspn(p, " ");
        if (!*p) return n;
        const unsigned long byte = strtoul(p, &end, 16);
        if (end != p + 2) fail_msg("not bytes: %s", p);
        unsigned long times = 1;
        if (*end == '*') times = strtoul(end + 1, &end, 10);
        for (; times > 0; times--) {
            assert_true(n < BYTES_MAX);
            to[n++] = (uint8_t)byte;
        }
        p = end;
    }
}

static const char *text_of(const uint8_t *p, size_t len)
{
    static char text[4 * BYTES_MAX];
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0, same; i < len; i += same) {
        for (same = 1; i + same < len && p[i + same] == p[i];)
            same++;
        if (same < 4) same = 1;
        at += (size_t)sprintf(text + at, at ? " %02X" : "%02X", p[i]);
        if (same > 1) at += (size_t)sprintf(text + at, "*%zu", same);
    }
    return text;
}

static void __attribute__((format(printf, 5, 6)))
add_line(char *log, size_t *len, usec_t now, char what, const char *format, ...)
{
    va_list args;
    assert_true(*len + 3 * LINE_MAX_LEN < LOG_MAX);
    *len += (size_t)sprintf(log + *len, "%llu.%03llu %c ", (unsigned long long)(now / 1000),
                            (unsigned long long)(now % 1000), what);
    va_start(args, format);
    *len += (size_t)vsnprintf(log + *len, 2 * LINE_MAX_LEN, format, args);
    va_end(args);
    log[(*len)++] = '\n';
    log[*len] = '\0';
}

#define SAY(w, what, ...)                                                                          \
    do {                                                                                           \
        if ((w)->log) add_line((w)->log, &(w)->log_len, (w)->now, what, __VA_ARGS__);              \
    } while (0)

// --- The device ---

static void say_call(world_t *w)
{
    const uds_call_t *c = &w->s.call;
    switch (c->kind) {
    case UDS_CALL_SESSION: SAY(w, '!', "SESSION? %u", c->id); break;
    case UDS_CALL_RESET: SAY(w, '!', "RESET? %u", c->id); break;
    case UDS_CALL_READ: SAY(w, '!', "READ %04X", c->id); break;
    case UDS_CALL_WRITE: SAY(w, '!', "WRITE %04X %s", c->id, text_of(c->data, c->len)); break;
    case UDS_CALL_SEED: SAY(w, '!', "SEED %u", c->id); break;
    case UDS_CALL_KEY:
        assert_int_equal(w->s.seed[0], 1); // still there
        SAY(w, '!', "KEY %u %s", c->id, text_of(c->data, c->len));
        break;
    case UDS_CALL_ROUTINE:
        SAY(w, '!', "ROUTINE %04X %u%s%s", c->id, c->type, c->len ? " " : "",
            text_of(c->data, c->len));
        break;
    case UDS_CALL_DOWNLOAD:
        assert_int_equal(c->id, 0);
        SAY(w, '!', "DOWNLOAD %X %X", c->at, c->size);
        break;
    case UDS_CALL_BLOCK:
        assert_int_equal(c->size, w->block);
        SAY(w, '!', "BLOCK %u", c->size);
        break;
    case UDS_CALL_EXIT: SAY(w, '!', "EXIT"); break;
    }
}

// A locked server may be asked for nothing that is locked.
static void check_lock(const world_t *w)
{
    const uds_call_t *c = &w->s.call;
    const bool open = w->s.unlocked || w->s.cfg->open || w->s.cfg->level == 0;
    bool locked = c->kind == UDS_CALL_WRITE || c->kind == UDS_CALL_DOWNLOAD ||
                  c->kind == UDS_CALL_BLOCK || c->kind == UDS_CALL_EXIT;
    for (unsigned i = 0; c->kind == UDS_CALL_ROUTINE && i < w->s.cfg->routine_count; i++)
        if (uds_test_routines[i].id == c->id) locked = uds_test_routines[i].locked;
    assert_true(open || !locked);
}

static uds_nrc_t default_answer(world_t *w)
{
    const uint8_t n = w->s.cfg->seed_len ? w->s.cfg->seed_len : 16;
    const uds_call_t *c = &w->s.call;
    uint8_t bytes[120];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i + 1);
    if (c->kind == UDS_CALL_SEED) uds_server_put(&w->s, bytes, n);
    if (c->kind == UDS_CALL_ROUTINE) uds_server_put(&w->s, "", 1);
    if (c->kind == UDS_CALL_READ) {
        if (c->id == 0xF190)
            uds_server_put(&w->s, "VIN", 3);
        else if (c->id == 0xF18C)
            uds_server_put(&w->s, bytes, 4);
        else if (c->id >= 0xFD10 && c->id <= 0xFD13)
            uds_server_put(&w->s, bytes, sizeof bytes);
        else
            return UDS_REQUEST_OUT_OF_RANGE;
    }
    if (c->kind == UDS_CALL_KEY) {
        memset(bytes, 0xAA, n);
        if (c->len != n || memcmp(c->data, bytes, n) != 0) return UDS_INVALID_KEY;
    }
    return UDS_OK;
}

static uds_server_events_t answer(world_t *w, bool planned)
{
    if (!planned) return uds_server_answer(&w->s, default_answer(w), w->now);
    if (w->put_len) uds_server_put(&w->s, w->put, w->put_len);
    return uds_server_answer(&w->s, w->nrc, w->now);
}

static void handle(world_t *w, uds_server_events_t ev)
{
    for (;;) {
        if (ev & UDS_SERVER_SESSION && !w->after_the_end) SAY(w, '!', "SESSION %u", w->s.session);
        if (ev & UDS_SERVER_RESET) SAY(w, '!', "RESET");
        if (!(ev & UDS_SERVER_CALL)) return;
        w->calls++;
        check_lock(w);
        say_call(w);
        if (w->defer) {
            w->defer = false;
            return;
        }
        const bool planned = w->planned;
        w->planned = false;
        ev = answer(w, planned);
    }
}

// --- The transport ---

static void sent(world_t *w)
{
    w->confirm_at = USEC_NEVER;
    handle(w, uds_server_sent(&w->s, w->now));
}

static void pump(world_t *w)
{
    uint32_t len, again;
    const uint8_t *out;
    while (!w->driver_off && (out = uds_server_output(&w->s, &len)) != NULL) {
        assert_ptr_equal(uds_server_output(&w->s, &again), out);
        assert_int_equal(again, len);
        assert_in_range(len, 1, UDS_RESPONSE_MAX);
        SAY(w, '<', "%s", text_of(out, len));
        memcpy(w->response, out, len);
        w->response_len = len;
        uds_server_taken(&w->s, w->now);
        assert_null(uds_server_output(&w->s, &again));
        if (w->confirm_after == 0)
            sent(w);
        else
            w->confirm_at = w->now + w->confirm_after;
    }
}

static void run(world_t *w, usec_t until)
{
    for (unsigned turns = 0;; turns++) {
        if (turns > 200000) fail_msg("the server asks to be called for ever");
        pump(w);
        const usec_t due = w->asleep ? USEC_NEVER : uds_server_deadline(&w->s);
        const usec_t next = sooner(due, w->confirm_at);
        if (next > until) break;
        w->now = later(w->now, next);
        if (w->confirm_at <= w->now)
            sent(w);
        else
            handle(w, uds_server_tick(&w->s, w->now));
    }
    w->now = until;
}

static void data_in(world_t *w, const uint8_t *p, uint32_t len)
{
    const uint32_t n = uds_server_data(&w->s, p, len);
    assert_true(n <= len);
    w->block += len - n;
}

static void physical(world_t *w, const uint8_t *p, uint32_t len)
{
    w->block = 0;
    uds_server_begin(&w->s, len, w->now);
    for (uint32_t at = 0, n = len > 7 ? 6 : len; at < len; at += n, n = 7)
        data_in(w, p + at, (uint32_t)smaller(n, len - at));
    handle(w, uds_server_end(&w->s, w->now));
}

static void say_state(world_t *w)
{
    const uds_server_t *s = &w->s;
    char transfer[32] = "";
    if (s->transfer.active) sprintf(transfer, " T %u/%u", s->transfer.received, s->transfer.size);
    SAY(w, '!', "state %u%s %u%s%s", s->session, s->unlocked ? " U" : "", s->communication,
        s->dtc_off ? " D" : "", transfer);
}

static void act(world_t *w, const char *text)
{
    uint8_t bytes[BYTES_MAX];
    unsigned n;
    double ms;
    int used = 0;
    if (sscanf(text, "begin %u", &n) == 1) {
        w->block = 0;
        uds_server_begin(&w->s, n, w->now);
    } else if (strncmp(text, "data ", 5) == 0) {
        data_in(w, bytes, (uint32_t)read_bytes(text + 5, bytes));
    } else if (strcmp(text, "end") == 0) {
        handle(w, uds_server_end(&w->s, w->now));
    } else if (strcmp(text, "break") == 0) {
        uds_server_break(&w->s, w->now);
    } else if (strcmp(text, "defer") == 0) {
        w->defer = true;
    } else if (strcmp(text, "answer") == 0) {
        handle(w, answer(w, false));
    } else if (sscanf(text, "answer %x%n", &n, &used) == 1) {
        w->nrc = (uds_nrc_t)n;
        w->put_len = read_bytes(text + used, w->put);
        handle(w, answer(w, true));
    } else if (sscanf(text, "next %x%n", &n, &used) == 1) {
        w->nrc = (uds_nrc_t)n;
        w->put_len = read_bytes(text + used, w->put);
        w->planned = true;
    } else if (strcmp(text, "driver off") == 0) {
        w->driver_off = true;
    } else if (strcmp(text, "driver on") == 0) {
        w->driver_off = false;
    } else if (strcmp(text, "asleep") == 0) {
        w->asleep = true;
    } else if (strcmp(text, "awake") == 0) {
        w->asleep = false;
    } else if (strcmp(text, "stray") == 0) {
        handle(w, uds_server_sent(&w->s, w->now));
    } else if (strcmp(text, "stop") == 0) {
        uds_server_stop(&w->s);
    } else if (strcmp(text, "state") == 0) {
        say_state(w);
    } else if (sscanf(text, "wait %lf", &ms) == 1) {
        const usec_t until = w->now + (usec_t)(ms * 1000 + 0.5);
        const bool may = uds_server_can_wait(&w->s, until, w->now);
        SAY(w, '!', may ? "may wait" : "may not wait");
    } else if (sscanf(text, "confirm %lf", &ms) == 1) {
        w->confirm_after = (usec_t)(ms * 1000 + 0.5);
    } else {
        fail_msg("unknown action: %s", text);
    }
}

// --- Logs ---

static void follow(world_t *w, char *line, char *want, size_t *want_len)
{
    uint8_t bytes[BYTES_MAX];
    double ms;
    char what;
    int used = 0;
    line[strcspn(line, ";")] = '\0';
    for (size_t end = strlen(line); end && line[end - 1] == ' ';)
        line[--end] = '\0';
    if (sscanf(line, "%lf %c%n", &ms, &what, &used) != 2) fail_msg("not a log line: %s", line);
    const char *text = line + used;
    text += *text == ' ';
    const usec_t t = (usec_t)(ms * 1000 + 0.5);
    if (what == '<') {
        const size_t n = read_bytes(text, bytes);
        add_line(want, want_len, t, what, "%s", text_of(bytes, n));
        return;
    }
    add_line(want, want_len, t, what, "%s", text);
    if (what == '!') return;
    if (t > w->now) run(w, t - 1);
    pump(w);
    w->now = t;
    if (!w->asleep && uds_server_deadline(&w->s) <= t) run(w, t);
    if (w->confirm_at <= t) run(w, t);
    SAY(w, what, "%s", text);
    if (what == '>') {
        physical(w, bytes, (uint32_t)read_bytes(text, bytes));
    } else if (what == 'F') {
        handle(w, uds_server_functional(&w->s, bytes, (uint32_t)read_bytes(text, bytes), w->now));
        memset(bytes, 0xDD, sizeof bytes); // borrowed only for the call
    } else if (what == '*') {
        act(w, text);
    } else {
        fail_msg("not a log line: %s", line);
    }
    pump(w);
}

static void begin(world_t *w, const uds_server_cfg_t *cfg)
{
    memset(w, 0, sizeof *w);
    w->confirm_at = USEC_NEVER;
    uds_server_init(&w->s, cfg, w->now);
}

void uds_transcript(const uds_server_cfg_t *cfg, const char *log)
{
    static world_t w;
    static char got[LOG_MAX], want[LOG_MAX];
    size_t want_len = 0, at = 0;
    begin(&w, cfg);
    w.log = got;
    got[0] = want[0] = '\0';
    for (const char *p = log; *p;) {
        char line[LINE_MAX_LEN];
        const size_t len = strcspn(p, "\n");
        assert_true(len < sizeof line);
        memcpy(line, p, len);
        line[len] = '\0';
        p += len + (p[len] == '\n');
        follow(&w, line, want, &want_len);
    }
    double last = 0; // of the last line, in ms
    for (const char *p = want; *p; p += strcspn(p, "\n") + 1)
        last = strtod(p, NULL);
    run(&w, later(w.now, (usec_t)(last * 1000 + 0.5)));
    w.after_the_end = true;
    run(&w, w.now + 100000 * USEC_MS);
    if (strcmp(want, got) == 0) return;
    for (size_t i = 0; want[i] == got[i]; i++)
        if (want[i] == '\n') at = i + 1;
    fprintf(stderr, "--- expected\n%s--- actual\n%s", want, got);
    fail_msg("the log differs: expected %.*s; came %.*s", (int)strcspn(want + at, "\n"), want + at,
             (int)strcspn(got + at, "\n"), got + at);
}

// --- One request after the other ---

void uds_ask_begin(const uds_server_cfg_t *cfg)
{
    begin(&asked, cfg);
    uds_asked = asked.s;
    uds_calls = 0;
}

void uds_ask_next(uds_nrc_t nrc)
{
    asked.planned = true;
    asked.nrc = nrc;
    asked.put_len = 0;
}

void uds_ask_wait(uint32_t ms)
{
    run(&asked, asked.now + ms * USEC_MS);
    uds_asked = asked.s;
}

uint32_t uds_ask_bytes(const uint8_t *request, uint32_t len, bool functional, uint8_t *response)
{
    asked.response_len = 0;
    if (functional)
        handle(&asked, uds_server_functional(&asked.s, request, len, asked.now));
    else
        physical(&asked, request, len);
    pump(&asked);
    memcpy(response, asked.response, asked.response_len);
    uds_asked = asked.s;
    uds_calls = asked.calls;
    return asked.response_len;
}

const char *uds_ask(const char *request)
{
    uint8_t bytes[BYTES_MAX], response[UDS_RESPONSE_MAX];
    char one[LINE_MAX_LEN];
    for (;;) {
        const size_t len = strcspn(request, ";");
        assert_true(len < sizeof one);
        memcpy(one, request, len);
        one[len] = '\0';
        const bool functional = one[0] == 'F' && one[1] == ' ';
        const size_t n = read_bytes(one + 2 * functional, bytes);
        const uint32_t got = uds_ask_bytes(bytes, (uint32_t)n, functional, response);
        request += len;
        if (!*request++) return text_of(response, got);
        if (got && response[0] == UDS_NEGATIVE) fail_msg("%s: %s", one, text_of(response, got));
        if (!*request) return text_of(response, got);
    }
}
