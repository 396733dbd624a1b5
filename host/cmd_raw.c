// cmd_raw.c - isotp-ota raw: one UDS request, and what comes back.
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "drive.h"
#include "json_out.h"
#include "tester.h"
#include "uds_text.h"

#include <ctype.h>
#include <stdlib.h>

MACHINE_VERBS(tester);

enum {
    TIMEOUT_MS = 500,
    BUSY_REPEATS = 10,
    TEXT_CAP = 4096,
};

typedef struct {
    bus_options_t bus;
    bool json, to_all;
    uint32_t timeout_ms;
    uint8_t request[TESTER_MESSAGE_MAX];
    uint32_t len;
} raw_t;

/// Hex digits, with blanks between bytes or not. EXIT_DONE, or EXIT_USAGE after a message.
static int parse(raw_t *o, const char *const *words)
{
    static const char hex[] = "0123456789abcdef";
    size_t digits = 0;
    for (; *words; words++) {
        for (const char *p = *words; *p; p++) {
            if (isspace((unsigned char)*p)) continue;
            const char *digit = memchr(hex, tolower((unsigned char)*p), sizeof hex - 1);
            if (!digit)
                return command_fail(EXIT_USAGE, "raw: '%s' is not hex digits: raw 22 F190", *words);
            if (digits == 2 * sizeof o->request)
                return command_fail(EXIT_USAGE, "raw: more than %zu bytes", sizeof o->request);
            const unsigned high = (digits % 2) ? o->request[digits / 2] * 16U : 0;
            o->request[digits / 2] = (uint8_t)(high + (unsigned)(digit - hex));
            digits++;
        }
    }
    o->len = (uint32_t)(digits / 2);
    if (digits == 0) return command_fail(EXIT_USAGE, "raw: HEX is missing: raw 22 F190");
    if (digits % 2)
        return command_fail(EXIT_USAGE, "raw: %zu hex digits: half a byte is missing", digits);
    return EXIT_DONE;
}

static void name_of(const raw_t *o, uint32_t id, char name[16])
{
    snprintf(name, 16, o->bus.host_id.ext ? "%08X" : "%03X", id);
}

static void show_answer(const raw_t *o, const tester_t *t)
{
    char text[TEXT_CAP], name[16];
    const uint8_t *p = t->message;
    const bool negative = p[0] == UDS_NEGATIVE;
    uds_text_response(o->request, o->len, p, t->message_len, text, sizeof text);
    name_of(o, t->from, name);
    if (o->json) {
        json_out_t json = { .out = stdout };
        json_out_open(&json, NULL, '{');
        json_out_string(&json, "event", "response");
        json_out_string(&json, "id", name);
        json_out_bool(&json, "positive", !negative);
        if (negative) json_out_number(&json, "nrc", p[2]);
        json_out_hex(&json, "data", p, t->message_len);
        json_out_string(&json, "text", text);
        if (negative) json_out_string(&json, "hint", uds_text_nrc_hint(p[2]));
        json_out_close(&json, '}');
        putchar('\n');
    } else {
        if (o->to_all) printf("%s: ", name);
        for (uint32_t i = 0; i < t->message_len; i++)
            printf("%s%02X", i ? " " : "", p[i]);
        printf("\n%s\n", text);
        if (negative) printf("%s\n", uds_text_nrc_hint(p[2]));
    }
    fflush(stdout);
}

static int ask(const raw_t *o, bus_t *bus, tester_t *t, const tester_cfg_t *cfg)
{
    char why[200], name[16];
    const machine_t machine = MACHINE(tester, t);
    int code = EXIT_DONE;
    tester_init(t, cfg, bus_clock());
    if (!tester_start(t, o->request, o->len, bus_clock()))
        return command_fail(EXIT_USAGE, "raw: a request to all must fit a single frame");
    for (tester_events_t ev = TESTER_NONE; !(ev & TESTER_OVER);) {
        ev = drive(bus, &machine, bus_clock() + 1000 * USEC_MS);
        if (drive_stopped()) return command_fail(EXIT_FAILED, "raw: stopped by a signal");
        if (ev & TESTER_PENDING) {
            name_of(o, t->from, name);
            fprintf(stderr, "isotp-ota: raw: %s is still working on it (response pending, 78)\n",
                    name);
        }
        if (!(ev & TESTER_ANSWER)) continue;
        show_answer(o, t);
        if (t->message[0] == UDS_NEGATIVE) code = EXIT_REFUSED;
    }
    if (t->answers) return code;
    if (t->why == TESTER_OK) {
        fputs("isotp-ota: raw: no response, as wanted\n", stderr);
        return EXIT_DONE;
    }
    const bool refused = (t->why == TESTER_SILENT && t->client.timer == UDS_TIMER_BUSY) ||
                         (t->why == TESTER_LOST && t->why_isotp == ISOTP_BUFFER_OVFLW);
    code = refused ? EXIT_REFUSED : EXIT_NO_ANSWER;
    (void)tester_why(t, why, sizeof why);
    name_of(o, o->to_all ? cfg->functional.tx_id : o->bus.device_id.id, name);
    if (o->json) {
        json_out_t json = { .out = stdout };
        json_out_open(&json, NULL, '{');
        json_out_string(&json, "event", "failed");
        json_out_number(&json, "exit", code);
        json_out_string(&json, "reason", why);
        json_out_close(&json, '}');
        putchar('\n');
    }
    return command_fail(code, "raw: %s %s: %s", o->to_all ? "to" : "from", name, why);
}

int cmd_raw(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota raw [options] HEX...\n\n"
        "Sends one UDS request and shows the response, in bytes and in words. Each HEX is any number of hex\n"
        "digits. Waits as long as the device says that it is still working on it (78), and asks again when it is\n"
        "busy (21). Exit code 0: positive response, or none was wanted; 4: negative response; 3: nobody answers.\n\n"
        "Example: isotp-ota raw -c can0 22 F190 F195\n";
    raw_t o = { .bus = BUS_OPTIONS_DEFAULT, .timeout_ms = TIMEOUT_MS };
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_FLAG, 0, "all", NULL, &o.to_all,
          "to all devices at once, on the identifier of --functional;\nshows every answer", 0, 0 },
        { OPTION_NUMBER, 0, "timeout", "MS", &o.timeout_ms,
          "how long to wait for the response to begin (P2), default 500", 1, 600000 },
        { OPTION_FLAG, 0, "json", NULL, &o.json, "JSON lines on stdout", 0, 0 },
        BUS_OPTIONS_TABLE(&o.bus),
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    char error[256];
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    if (!words) return command_fail(EXIT_FAILED, "raw: out of memory");
    int code = command_parse(usage, table, COUNT, argc, argv, words, "...");
    if (code < 0) {
        code = parse(&o, words);
        if (!code) code = command_check_bus(&o.bus);
    } else {
        free(words);
        return code;
    }
    free(words);
    if (code) return code;
    tester_t *t = malloc(sizeof *t);
    const tester_cfg_t cfg = { .isotp = command_isotp(&o.bus, false),
                               .functional = command_functional(&o.bus, false),
                               .to_all = o.to_all,
                               .client = { .p2_ms = o.timeout_ms, .busy_repeats = BUSY_REPEATS } };
    bus_t *bus = t ? command_open_bus(&o.bus, &code, error, sizeof error) : NULL;
    if (bus) {
        drive_catch_signals();
        code = ask(&o, bus, t, &cfg);
        bus_close(bus);
    } else {
        code = command_fail(t ? code : EXIT_FAILED, "raw: %s", t ? error : "out of memory");
    }
    free(t);
    return code;
}
