// transcript.c - ISO-TP tests as bus logs: see transcript.h.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

uint8_t transcript_data[65536];
size_t transcript_len;

typedef struct {
    char *text;
    size_t len, cap;
} log_t;

typedef struct {
    isotp_t tp;
    const isotp_cfg_t *cfg;
    log_t log;
    usec_t now;
    int auto_bs; // -1: hold
    uint8_t stmin;
    bool driver_on;
    usec_t confirm_after;
    usec_t confirm_at[ISOTP_IN_FLIGHT_MAX];
    size_t confirms;
    uint8_t message[65536]; // being sent
} world_t;

static void say(log_t *log, usec_t now, char what, const char *format, ...)
{
    va_list args;
    if (log->cap - log->len < 512) {
        log->cap = 2 * log->cap + 4096;
        log->text = realloc(log->text, log->cap);
        assert_non_null(log->text);
    }
    log->len +=
        (size_t)sprintf(log->text + log->len, "%llu.%03llu %c ", (unsigned long long)(now / 1000),
                        (unsigned long long)(now % 1000), what);
    va_start(args, format);
    log->len += (size_t)vsprintf(log->text + log->len, format, args);
    va_end(args);
    log->text[log->len++] = '\n';
    log->text[log->len] = '\0';
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

static void handle(world_t *w, isotp_events_t ev)
{
    const isotp_rx_t *rx = &w->tp.rx;
    if (ev & ISOTP_RX_FAILED) say(&w->log, w->now, '!', "RX_FAILED %s", name_of(rx->why));
    if (ev & ISOTP_RX_BEGIN) {
        say(&w->log, w->now, '!', "BEGIN %u", rx->len);
        transcript_len = 0;
    }
    if (ev & ISOTP_RX_DATA) {
        assert_int_equal(rx->at, transcript_len); // no gap, no overlap
        assert_true(rx->at + rx->data_len <= rx->len);
        if (transcript_len + rx->data_len <= sizeof transcript_data)
            memcpy(&transcript_data[transcript_len], rx->data, rx->data_len);
        transcript_len += rx->data_len;
    }
    if (ev & ISOTP_RX_END) {
        say(&w->log, w->now, '!', "END");
        assert_int_equal(transcript_len, rx->len);
    }
    if (ev & ISOTP_SENT) say(&w->log, w->now, '!', "SENT");
    if (ev & ISOTP_TX_FAILED) say(&w->log, w->now, '!', "TX_FAILED %s", name_of(w->tp.tx.why));
    if (w->auto_bs >= 0 && isotp_wanted(&w->tp) > 0)
        isotp_proceed(&w->tp, (uint8_t)w->auto_bs, w->stmin, w->now);
}

static void say_frame(world_t *w, const can_frame_t *f)
{
    char hex[3 * 8 + 1] = "";
    for (int i = 0; i < f->len; i++)
        sprintf(hex + 3 * i, i + 1 < f->len ? "%02X " : "%02X", f->data[i]);
    assert_int_equal(f->id, w->cfg->tx_id);
    assert_int_equal(f->ext, w->cfg->ext);
    say(&w->log, w->now, '<', "%s", hex);
}

static void pump(world_t *w)
{
    const can_frame_t *f;
    while ((f = isotp_output(&w->tp, w->now)) != NULL && w->driver_on) {
        const can_frame_t first = *f;
        assert_memory_equal(isotp_output(&w->tp, w->now), &first,
                            sizeof first); // the same until taken
        say_frame(w, f);
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
        const usec_t due = sooner(isotp_deadline(&w->tp), confirm);
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

static void frame_in(world_t *w, char *text)
{
    can_frame_t f = { .id = w->cfg->rx_id, .ext = w->cfg->ext };
    char *p = text;
    if (*p != ' ' && strcspn(p, " ") > 2) {
        f.id = (uint32_t)strtoul(p, &p, 16);
        f.ext = *p == 'x';
        p += f.ext;
        f.fd = *p == '#';
        p += f.fd;
    }
    for (;;) {
        p += strspn(p, " ");
        if (!*p) break;
        f.data[f.len++] = (uint8_t)strtoul(p, &p, 16);
    }
    handle(w, isotp_input(&w->tp, &f, w->now));
    memset(f.data, 0xDD, sizeof f.data); // borrowed only until the call after
}

static void act(world_t *w, const char *text)
{
    unsigned n;
    double ms;
    if (sscanf(text, "start %u", &n) == 1) {
        assert_true(n <= sizeof w->message);
        if (!isotp_start(&w->tp, w->message, n, w->now)) say(&w->log, w->now, '!', "busy");
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
    } else if (strcmp(text, "driver off") == 0) {
        w->driver_on = false;
    } else if (strcmp(text, "driver on") == 0) {
        w->driver_on = true;
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

void transcript(const isotp_cfg_t *cfg, const char *log)
{
    static world_t w;
    log_t want = { 0 };
    memset(&w, 0, sizeof w);
    w.cfg = cfg;
    w.driver_on = true;
    for (size_t i = 0; i < sizeof w.message; i++)
        w.message[i] = (uint8_t)i;
    transcript_len = 0;
    isotp_init(&w.tp, cfg);
    for (const char *p = log; *p;) {
        char line[256];
        const size_t len = strcspn(p, "\n");
        assert_true(len < sizeof line);
        memcpy(line, p, len);
        line[len] = '\0';
        p += len + (p[len] == '\n');
        line[strcspn(line, ";")] = '\0';
        for (size_t end = strlen(line); end && line[end - 1] == ' ';)
            line[--end] = '\0';
        double ms;
        char what;
        int used = 0;
        if (sscanf(line, "%lf %c%n", &ms, &what, &used) != 2) fail_msg("not a log line: %s", line);
        char *text = line + used;
        text += *text == ' ';
        const usec_t t = (usec_t)(ms * 1000 + 0.5);
        say(&want, t, what, "%s", text);
        if (what != '>' && what != '*') continue;
        if (t > w.now) run(&w, t - 1);
        pump(&w);
        w.now = t;
        say(&w.log, t, what, "%s", text);
        if (what == '>')
            frame_in(&w, text);
        else
            act(&w, text);
        pump(&w);
    }
    run(&w, w.now + 100000 * USEC_MS);
    const bool same = w.log.text && want.text && strcmp(w.log.text, want.text) == 0;
    if (!same)
        print_error("--- expected\n%s--- actual\n%s", want.text, w.log.text ? w.log.text : "");
    free(w.log.text);
    free(want.text);
    if (!same) fail_msg("the log differs");
}
