// transcript.c - ISO-TP tests as bus logs: see transcript.h.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_MAX_LEN = 512 };
#define UNLIMITED UINT_MAX

uint8_t transcript_data[65536];
size_t transcript_len;

typedef struct {
    char *text;
    size_t len, cap;
} log_t;

typedef struct {
    isotp_t tp;
    uint8_t guard[CAN_DATA_MAX]; // stays 0
    isotp_t functional;
    const isotp_cfg_t *cfg;
    bool two, receiving;
    log_t log;
    usec_t now;
    int auto_bs; // -1: hold
    uint8_t stmin;
    bool awake, strict;
    unsigned room; // frames the driver takes
    usec_t confirm_after;
    usec_t confirm_at[ISOTP_IN_FLIGHT_MAX];
    size_t confirms;
    uint8_t message[65536]; // being sent
} world_t;

static log_t pieces;

static struct {
    bool on;
    uint32_t at; // what it must be asked for next
} source;

// --- Logs ---

static void add(log_t *log, const char *format, va_list args)
{
    if (log->cap - log->len < 2 * LINE_MAX_LEN) {
        log->cap = 2 * log->cap + 4096;
        log->text = realloc(log->text, log->cap);
        assert_non_null(log->text);
    }
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): both callers started it
    const int len = vsnprintf(log->text + log->len, LINE_MAX_LEN, format, args);
    assert_in_range(len, 0, LINE_MAX_LEN - 1);
    log->len += (size_t)len;
}

static void __attribute__((format(printf, 2, 3))) print(log_t *log, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(log, format, args);
    va_end(args);
}

static void __attribute__((format(printf, 4, 5)))
say(log_t *log, usec_t now, char what, const char *format, ...)
{
    va_list args;
    print(log, "%llu.%03llu %c ", (unsigned long long)(now / 1000),
          (unsigned long long)(now % 1000), what);
    va_start(args, format);
    add(log, format, args);
    va_end(args);
    print(log, "\n");
}

void transcript_add(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(&pieces, format, args);
    va_end(args);
}

static const char *name_of(isotp_why_t why)
{
    switch (why) {
    case ISOTP_OK: return "OK";
    case ISOTP_TIMEOUT_A: return "TIMEOUT_A";
    case ISOTP_TIMEOUT_BS: return "TIMEOUT_BS";
    case ISOTP_TIMEOUT_CR: return "TIMEOUT_CR";
    case ISOTP_WRONG_SN: return "WRONG_SN";
    case ISOTP_INVALID_FS: return "INVALID_FS";
    case ISOTP_UNEXP_PDU: return "UNEXP_PDU";
    case ISOTP_WFT_OVRN: return "WFT_OVRN";
    case ISOTP_BUFFER_OVFLW: return "BUFFER_OVFLW";
    }
    return "?";
}

// --- Frames as text ---

// `[ID[x]][##FLAGS] BYTES`; without them the frame's own.
static void read_frame(const char *from, can_frame_t *f)
{
    const char *p = from + strspn(from, " ");
    const size_t len = strcspn(p, " ");
    char *end = NULL;
    if (memchr(p, '#', len) || memchr(p, 'x', len) ||
        (len > 2 && !memchr(p, '*', len) && p[2] != '.')) {
        if (*p != '#') {
            f->id = (uint32_t)strtoul(p, &end, 16);
            f->ext = *end == 'x';
            p = end + f->ext;
        }
        f->fd = *p == '#';
        if (f->fd) {
            const unsigned long flags = strtoul(p + 2, &end, 16);
            f->brs = flags & 1;
            f->esi = flags & 2;
            p = end;
        }
    }
    for (;;) {
        p += strspn(p, " ");
        if (!*p) break;
        unsigned long byte = strtoul(p, &end, 16), times = 1, step = 0;
        assert_true(end == p + 2);
        p = end;
        if (*p == '*') {
            times = strtoul(p + 1, &end, 10);
            p = end;
        } else if (strncmp(p, "..", 2) == 0) {
            times = ((strtoul(p + 2, &end, 16) - byte) & 0xFF) + 1;
            step = 1;
            p = end;
        }
        for (; times > 0; times--, byte += step) {
            assert_true(f->len < sizeof f->data);
            f->data[f->len++] = (uint8_t)byte;
        }
    }
}

static void say_frame(log_t *log, usec_t now, const can_frame_t *f)
{
    char hex[3 * CAN_DATA_MAX + 8] = "";
    char *p = hex;
    if (f->fd) p += sprintf(p, "##%d ", f->brs | f->esi << 1);
    for (int i = 0; i < f->len; i++)
        p += sprintf(p, i + 1 < f->len ? "%02X " : "%02X", f->data[i]);
    say(log, now, '<', "%s", hex);
}

// --- The world around the channel ---

static bool count_up(void *ctx, uint32_t at, uint8_t *to, size_t len)
{
    assert_ptr_equal(ctx, &source);
    assert_int_equal(at, source.at); // each piece once, in order
    assert_in_range(len, 1, CAN_DATA_MAX - 1);
    if (!source.on) return false;
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)source.at++;
    return true;
}

static void handle(world_t *w, isotp_events_t ev)
{
    const isotp_rx_t *rx = &w->tp.rx;
    if (ev & ISOTP_RX_FAILED) {
        say(&w->log, w->now, '!', "RX_FAILED %s", name_of(rx->why));
        w->receiving = false;
    }
    if (ev & ISOTP_RX_BEGIN) {
        w->receiving = true;
        say(&w->log, w->now, '!', "BEGIN %u", rx->len);
        transcript_len = 0;
    }
    if (ev & ISOTP_RX_DATA) {
        assert_true(w->receiving && rx->data_len > 0);
        assert_int_equal(rx->at, transcript_len); // no gap, no overlap
        assert_true(rx->data_len <= rx->len && rx->at <= rx->len - rx->data_len);
        if (transcript_len + rx->data_len <= sizeof transcript_data)
            memcpy(&transcript_data[transcript_len], rx->data, rx->data_len);
        transcript_len += rx->data_len;
    }
    if (ev & ISOTP_RX_END) {
        say(&w->log, w->now, '!', "END");
        w->receiving = false;
        assert_int_equal(transcript_len, rx->len);
    }
    if (ev & ISOTP_SENT) say(&w->log, w->now, '!', "SENT");
    if (ev & ISOTP_TX_FAILED) say(&w->log, w->now, '!', "TX_FAILED %s", name_of(w->tp.tx.why));
    if (w->auto_bs >= 0 && isotp_wanted(&w->tp) > 0)
        isotp_proceed(&w->tp, (uint8_t)w->auto_bs, w->stmin, w->now);
}

static bool is_length_of_a_frame(const can_frame_t *f)
{
    static const uint8_t longer[] = { 12, 16, 20, 24, 32, 48, 64 };
    return f->len <= 8 || (f->fd && memchr(longer, f->len, sizeof longer));
}

static void pump(world_t *w)
{
    const can_frame_t *f;
    while (w->awake && (f = isotp_output(&w->tp, w->now)) != NULL && w->room > 0) {
        w->room -= w->room != UNLIMITED;
        const can_frame_t first = *f;
        const can_frame_t *again = isotp_output(&w->tp, w->now);
        assert_non_null(again); // the same until taken
        assert_memory_equal(again, &first, sizeof first);
        assert_int_equal(f->id, w->cfg->tx_id);
        assert_int_equal(f->ext, w->cfg->ext);
        assert_true(is_length_of_a_frame(f) && (f->fd || !f->brs) && !f->esi);
        say_frame(&w->log, w->now, f);
        if (w->confirm_after == 0) {
            handle(w, isotp_sent(&w->tp, w->now));
        } else {
            assert_true(w->confirms < ISOTP_IN_FLIGHT_MAX);
            isotp_taken(&w->tp, w->now);
            w->confirm_at[w->confirms++] = w->now + w->confirm_after;
        }
    }
}

static void run(world_t *w, usec_t until)
{
    for (unsigned turns = 0;; turns++) {
        if (turns > 200000) fail_msg("the machine asks to be called for ever");
        pump(w);
        const usec_t confirm = w->confirms ? w->confirm_at[0] : USEC_NEVER;
        const usec_t due = sooner(w->awake ? isotp_deadline(&w->tp) : USEC_NEVER, confirm);
        if (due > until) break;
        w->now = later(w->now, due);
        if (confirm <= w->now) {
            w->confirms--;
            memmove(w->confirm_at, w->confirm_at + 1, w->confirms * sizeof w->confirm_at[0]);
            handle(w, isotp_sent(&w->tp, w->now));
        } else {
            handle(w, isotp_tick(&w->tp, w->now));
        }
    }
    w->now = until;
}

static void frame_in(world_t *w, const char *text)
{
    can_frame_t f = { .id = w->cfg->rx_id, .ext = w->cfg->ext };
    memset(f.data, 0x01, sizeof f.data); // what is behind the end looks like a frame
    read_frame(text, &f);
    if (w->two) {
        const isotp_events_t ev = isotp_input(&w->functional, &f, w->now);
        if (ev & ISOTP_RX_BEGIN)
            say(&w->log, w->now, '!', "functional BEGIN %u", w->functional.rx.len);
        if (ev & ISOTP_RX_END) say(&w->log, w->now, '!', "functional END");
        assert_int_equal(ev & ~(unsigned)(ISOTP_RX_BEGIN | ISOTP_RX_DATA | ISOTP_RX_END), 0);
    }
    if (!w->strict || isotp_well_padded(&w->tp, &f)) handle(w, isotp_input(&w->tp, &f, w->now));
    memset(f.data, 0xDD, sizeof f.data); // borrowed only until the call after
}

static void start(world_t *w, uint32_t len, bool from_source)
{
    bool taken;
    if (from_source) {
        source.at = 0;
        taken = isotp_start_from(&w->tp, count_up, &source, len, w->now);
    } else {
        assert_true(len <= sizeof w->message);
        taken = isotp_start(&w->tp, w->message, len, w->now);
    }
    if (!taken) say(&w->log, w->now, '!', "busy");
}

static void act(world_t *w, const char *text)
{
    unsigned n;
    double ms;
    if (sscanf(text, "start %u", &n) == 1) {
        start(w, n, false);
    } else if (sscanf(text, "startfrom %u", &n) == 1) {
        start(w, n, true);
    } else if (strcmp(text, "source off") == 0) {
        source.on = false;
    } else if (strcmp(text, "source on") == 0) {
        source.on = true;
    } else if (strcmp(text, "cancel") == 0) {
        isotp_cancel(&w->tp);
    } else if (sscanf(text, "auto %u", &n) == 1) {
        w->auto_bs = (int)n;
        handle(w, ISOTP_NONE);
    } else if (sscanf(text, "stmin %x", &n) == 1) {
        w->stmin = (uint8_t)n;
    } else if (strcmp(text, "hold") == 0) {
        w->auto_bs = -1;
    } else if (sscanf(text, "proceed %u", &n) == 1) {
        isotp_proceed(&w->tp, (uint8_t)n, w->stmin, w->now);
    } else if (strcmp(text, "refuse") == 0) {
        isotp_refuse(&w->tp, w->now);
    } else if (strcmp(text, "strict") == 0) {
        w->strict = true;
    } else if (strcmp(text, "driver off") == 0) {
        w->room = 0;
    } else if (strcmp(text, "driver on") == 0) {
        w->room = UNLIMITED;
    } else if (sscanf(text, "driver %u", &n) == 1) {
        w->room = n;
    } else if (strcmp(text, "asleep") == 0) {
        w->awake = false;
    } else if (strcmp(text, "awake") == 0) {
        w->awake = true;
    } else if (strcmp(text, "tick") == 0) {
        handle(w, isotp_tick(&w->tp, w->now));
    } else if (strcmp(text, "stray") == 0) {
        handle(w, isotp_sent(&w->tp, w->now));
    } else if (strcmp(text, "lost") == 0) {
        w->confirms = 0;
        isotp_lost(&w->tp);
    } else if (sscanf(text, "confirm %lf", &ms) == 1) {
        w->confirm_after = (usec_t)(ms * 1000 + 0.5);
    } else {
        fail_msg("unknown action: %s", text);
    }
}

// One line of the log: what is expected goes to `want`, what is a stimulus happens.
static void follow(world_t *w, char *line, log_t *want)
{
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
        can_frame_t f = { 0 };
        read_frame(text, &f);
        say_frame(want, t, &f);
        return;
    }
    say(want, t, what, "%s", text);
    if (what != '>' && what != '*') return;
    if (t > w->now) run(w, t - 1);
    pump(w);
    w->now = t;
    say(&w->log, t, what, "%s", text);
    if (what == '>')
        frame_in(w, text);
    else
        act(w, text);
    pump(w);
}

static void compare(const log_t *want, const log_t *got)
{
    const char *a = want->text ? want->text : "", *b = got->text ? got->text : "";
    size_t at = 0;
    if (strcmp(a, b) == 0) return;
    for (size_t i = 0; a[i] == b[i]; i++)
        if (a[i] == '\n') at = i + 1;
    fprintf(stderr, "--- expected\n%s--- actual\n%s", a, b); // (print_error() has 1024 bytes)
    fail_msg("the log differs: expected %.*s; came %.*s", (int)strcspn(a + at, "\n"), a + at,
             (int)strcspn(b + at, "\n"), b + at);
}

void transcript_of_two(const isotp_cfg_t *cfg, const isotp_cfg_t *functional, const char *log)
{
    static world_t w;
    log_t want = { 0 };
    memset(&w, 0, sizeof w);
    w.cfg = cfg;
    w.room = UNLIMITED;
    w.awake = source.on = true;
    for (size_t i = 0; i < sizeof w.message; i++)
        w.message[i] = (uint8_t)i;
    transcript_len = 0;
    isotp_init(&w.tp, cfg);
    w.two = functional != NULL;
    if (w.two) isotp_init(&w.functional, functional);
    for (const char *p = log; *p;) {
        char line[LINE_MAX_LEN];
        const size_t len = strcspn(p, "\n");
        assert_true(len < sizeof line);
        memcpy(line, p, len);
        line[len] = '\0';
        p += len + (p[len] == '\n');
        follow(&w, line, &want);
    }
    w.awake = true;
    run(&w, w.now + 100000 * USEC_MS);
    compare(&want, &w.log);
    free(w.log.text);
    free(want.text);
    for (size_t i = 0; i < sizeof w.guard; i++)
        assert_int_equal(w.guard[i], 0);
    assert_int_equal(w.tp.rx.state, ISOTP_RX_IDLE);
    assert_int_equal(w.tp.tx.state, ISOTP_TX_IDLE);
    assert_true(isotp_deadline(&w.tp) == USEC_NEVER);
}

void transcript(const isotp_cfg_t *cfg, const char *log) { transcript_of_two(cfg, NULL, log); }

void transcript_added(const isotp_cfg_t *cfg)
{
    pieces.len = 0;
    transcript(cfg, pieces.text);
}
