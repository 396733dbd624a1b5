// cmd_monitor.c - isotp-ota monitor: what is said on a bus, or was when a log was written.
// SPDX-License-Identifier: Apache-2.0
#include "bus_log_read.h"
#include "command.h"
#include "drive.h"
#include "json_out.h"
#include "trace.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    bool json, frames;
    bool begun;
    usec_t start;  // time of the first frame
    usec_t offset; // live: from the bus's clock to the wall's
    trace_t *trace;
    unsigned events; // live: why to stop
} monitor_t;

enum { MONITOR_CLOSED = 1 }; // nobody reads what is printed

static void print_id(const monitor_t *m, json_out_t *json, uint32_t id, bool ext)
{
    char text[16];
    snprintf(text, sizeof text, ext ? "%08X" : "%03X", id);
    if (m->json)
        json_out_string(json, "id", text);
    else
        printf("%s", text);
}

static void print_time(const monitor_t *m, json_out_t *json, usec_t at)
{
    const usec_t since = at > m->start ? at - m->start : 0;
    if (m->json)
        json_out_number(json, "time_us", (int64_t)at);
    else
        printf("%4llu.%06llu  ", (unsigned long long)(since / 1000000),
               (unsigned long long)(since % 1000000));
}

static void check_stdout(monitor_t *m)
{
    if (ferror(stdout)) m->events |= MONITOR_CLOSED;
}

static void end_line(monitor_t *m, json_out_t *json)
{
    if (m->json) json_out_close(json, '}');
    putchar('\n');
    check_stdout(m);
}

static void print_line(void *ctx, const trace_line_t *line)
{
    monitor_t *m = ctx;
    static const char *const names[] = { [TRACE_MESSAGE] = "message",
                                         [TRACE_BROKEN] = "broken",
                                         [TRACE_FLOW] = "flow",
                                         [TRACE_SILENT] = "silent" };
    json_out_t json = { .out = stdout };
    if (!m->json) {
        trace_print(stdout, line, m->start);
        check_stdout(m);
        return;
    }
    json_out_open(&json, NULL, '{');
    json_out_string(&json, "event", names[line->kind]);
    print_time(m, &json, line->at);
    print_id(m, &json, line->id, line->ext);
    json_out_string(&json, "text", line->text);
    if (line->kind == TRACE_MESSAGE) {
        json_out_number(&json, "bytes", line->len);
        json_out_hex(&json, "data", line->p, line->held);
        json_out_milli(&json, "took_ms", (int64_t)line->took);
    }
    if (line->response) {
        json_out_milli(&json, "response_ms", (int64_t)line->after);
        json_out_number(&json, "pending", line->pending);
    }
    end_line(m, &json);
}

static void print_frame(monitor_t *m, const can_frame_t *f, usec_t at)
{
    char what[80];
    json_out_t json = { .out = stdout };
    (void)trace_frame(f, what, sizeof what);
    if (m->json) {
        json_out_open(&json, NULL, '{');
        json_out_string(&json, "event", "frame");
    }
    print_time(m, &json, at);
    print_id(m, &json, f->id, f->ext);
    if (m->json) {
        json_out_bool(&json, "fd", f->fd);
        json_out_hex(&json, "data", f->data, f->len);
        json_out_string(&json, "text", what);
    } else {
        printf("  [%u%s]", f->len, f->fd ? " FD" : "");
        for (size_t i = 0; i < f->len; i++)
            printf(" %02X", f->data[i]);
        printf("%s%s", what[0] ? "  " : "", what);
    }
    end_line(m, &json);
}

static void show(monitor_t *m, const can_frame_t *frame, usec_t at)
{
    if (!m->begun) m->start = at;
    m->begun = true;
    if (m->frames) print_frame(m, frame, at);
    trace_input(m->trace, frame, at);
}

/// `monitor | head` is no error.
static int finish(const monitor_t *m, int code)
{
    const bool closed = (m->events & MONITOR_CLOSED) && errno == EPIPE;
    if (closed && !freopen("/dev/null", "w", stdout)) return EXIT_FAILED;
    return code;
}

// --- A recorded bus ---

static int read_log(monitor_t *m, const char *path)
{
    bus_log_read_t log;
    can_frame_t frame;
    usec_t at = 0;
    if (!bus_log_read_open(&log, path)) {
        bus_log_read_close(&log);
        return command_fail(EXIT_FAILED, "monitor: %s", log.error);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    while (!m->events && bus_log_read(&log, &frame, &at))
        show(m, &frame, at);
    if (!m->events) trace_end(m->trace, at);
    bus_log_read_close(&log);
    const int code = finish(m, EXIT_DONE);
    if (log.error[0]) return command_fail(EXIT_FAILED, "monitor: %s", log.error);
    if (!m->begun)
        return command_fail(EXIT_FAILED,
                            "monitor: %s: no frames; is it a log of candump, .pcap or .asc?", path);
    return code;
}

// --- A live one: a machine that never sends ---

static unsigned monitor_input(monitor_t *m, const can_frame_t *frame, usec_t now)
{
    show(m, frame, now + m->offset);
    return m->events;
}

static const can_frame_t *monitor_output(monitor_t *m, usec_t now)
{
    (void)m;
    (void)now;
    return NULL;
}

static void monitor_taken(monitor_t *m, usec_t now)
{
    (void)m;
    (void)now;
}

static unsigned monitor_sent(monitor_t *m, usec_t now)
{
    (void)now;
    return m->events;
}

static void monitor_lost(monitor_t *m)
{
    (void)m;
    (void)command_fail(EXIT_DONE, "monitor: the bus went away; it is opened again when it is back");
}

static usec_t monitor_deadline(const monitor_t *m)
{
    (void)m;
    return USEC_NEVER;
}

static unsigned monitor_tick(monitor_t *m, usec_t now)
{
    trace_tick(m->trace, now + m->offset);
    return m->events;
}

MACHINE_VERBS(monitor);

static int watch(monitor_t *m, const bus_options_t *o)
{
    char error[256];
    int code = EXIT_NO_ANSWER;
    bus_t *bus = command_open_bus(o, &code, error, sizeof error);
    if (!bus) return command_fail(code, "monitor: %s", error);
    const machine_t machine = MACHINE(monitor, m);
    struct timespec wall;
    (void)clock_gettime(CLOCK_REALTIME, &wall);
    m->offset = (usec_t)wall.tv_sec * 1000000 + (usec_t)wall.tv_nsec / 1000 - bus_clock();
    drive_catch_signals();
    fputs("isotp-ota: monitor: listening; Ctrl-C ends it\n", stderr);
    while (!m->events && !drive_stopped())
        (void)drive(bus, &machine, bus_clock() + 200 * USEC_MS);
    if (!m->events) trace_end(m->trace, bus_clock() + m->offset);
    code = finish(m, EXIT_DONE);
    bus_close(bus);
    return code;
}

int cmd_monitor(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota monitor [options] [LOGFILE]\n\n"
        "Shows what is said on a bus, or was when LOGFILE was written (candump's .log, .pcap, .asc; - is\n"
        "standard input): ISO-TP messages put together, UDS requests and responses in words with response times,\n"
        "transfers in plain and header, messages that were lost, requests without a response. Of many 78 (still\n"
        "working on it) one a second is shown. Known are the identifiers 7DF, 7E0 to 7EF, 18DAxxyy, 18DBxxyy and\n"
        "those of --source, --destination and --functional. Sends nothing. Ctrl-C ends it.\n\n"
        "Examples: isotp-ota monitor -c can0; isotp-ota monitor update.pcap\n";
    bus_options_t o = BUS_OPTIONS_DEFAULT;
    monitor_t m = { .json = false };
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_FLAG, 0, "frames", NULL, &m.frames, "every frame as well", 0, 0 },
        { OPTION_FLAG, 0, "json", NULL, &m.json, "one JSON object a line", 0, 0 },
        BUS_OPTIONS_TABLE(&o),
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    const char **words = calloc((size_t)argc + 1, sizeof *words);
    if (!words) return command_fail(EXIT_FAILED, "monitor: out of memory");
    int code = command_parse(usage, table, COUNT, argc, argv, words, "...");
    const char *path = (code < 0) ? words[0] : NULL;
    if (path && words[1])
        code = command_fail(EXIT_USAGE, "monitor: '%s' is one argument too many", words[1]);
    free(words);
    if (code < 0)
        code = command_check_bus(&o);
    else
        return code;
    if (code) return code;
    m.trace = trace_new(print_line, &m);
    const uint32_t all = command_functional(&o, false).tx_id;
    if (!m.trace || !trace_pair(m.trace, o.host_id.id, o.device_id.id, o.host_id.ext) ||
        !trace_pair(m.trace, all, all, o.host_id.ext)) {
        trace_free(m.trace);
        return command_fail(EXIT_FAILED, "monitor: out of memory");
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    code = path ? read_log(&m, path) : watch(&m, &o);
    trace_free(m.trace);
    return code;
}
