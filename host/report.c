// report.c - a bundle about one run: see report.h.
// SPDX-License-Identifier: Apache-2.0
#include "report.h"
#include "bus_log.h"
#include "bus_log_read.h"
#include "trace.h"

#include <errno.h>
#include <mbedtls/version.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#ifdef MBEDTLS_VERSION_STRING_FULL
#define MBEDTLS MBEDTLS_VERSION_STRING_FULL
#else
#define MBEDTLS "Mbed TLS"
#endif

// --- What runs here ---

static void print_command_line(FILE *out, int argc, char **argv)
{
    fprintf(out, "command: isotp-ota");
    for (int i = 0; i < argc; i++) {
        const bool key = strcmp(argv[i], "--key") == 0;
        const bool with_key = strncmp(argv[i], "--key=", 6) == 0;
        fprintf(out, " %s", with_key ? "--key=..." : argv[i]);
        if (!key || i + 1 >= argc) continue;
        fprintf(out, " ...");
        i++;
    }
    fputc('\n', out);
}

static void print_environment(FILE *out)
{
    static const char *const names[] = { "CAN_INTERFACE", "CAN_CHANNEL", "CAN_BITRATE" };
    struct utsname system;
    char date[64] = "";
    const time_t now = time(NULL);
    struct tm tm = { 0 };
    (void)localtime_r(&now, &tm);
    (void)strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S %z", &tm);
    fprintf(out, "begun: %s\nversion: isotp-ota " VERSION ", zlib %s, %s\n", date, zlibVersion(),
            MBEDTLS);
    if (uname(&system) == 0)
        fprintf(out, "system: %s %s %s %s\n", system.sysname, system.release, system.version,
                system.machine);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (getenv(names[i])) fprintf(out, "%s=%s\n", names[i], getenv(names[i]));
}

static bool temporary_log(report_t *r)
{
    const char *folder = getenv("TMPDIR");
    if (!folder || !folder[0]) folder = "/tmp";
    if (snprintf(r->name, sizeof r->name, "%s/isotp-ota.XXXXXX.pcap", folder) >=
        (int)sizeof r->name)
        return false;
    const int fd = mkstemps(r->name, 5);
    if (fd < 0) return false;
    (void)close(fd);
    r->temporary = true;
    return true;
}

bool report_begin(report_t *r, const char *path, int argc, char **argv, bus_cfg_t *bus)
{
    *r = (report_t){ .begun = bus_clock() };
    if (!bundle_open(&r->bundle, path)) return false;
    r->about = open_memstream(&r->about_text, &r->about_len);
    r->notes = open_memstream(&r->notes_text, &r->notes_len);
    r->on = true;
    if (!r->about || !r->notes || (!bus->log && !temporary_log(r))) {
        (void)report_end(r, 0, NULL);
        snprintf(r->bundle.error, sizeof r->bundle.error, "no place for the bus's log: %s",
                 strerror(errno));
        return false;
    }
    if (r->temporary) bus->log = r->name;
    r->log = bus->log;
    print_command_line(r->about, argc, argv);
    print_environment(r->about);
    return true;
}

void report_note(report_t *r, const char *line)
{
    if (!r->on) return;
    const usec_t since = bus_clock() - r->begun;
    fprintf(r->notes, "%4llu.%03llu  %s\n", (unsigned long long)(since / 1000000),
            (unsigned long long)(since / 1000 % 1000), line);
}

void report_file(report_t *r, const char *name, const void *bytes, size_t len)
{
    if (r->on) (void)bundle_add(&r->bundle, name, bytes, len);
}

// --- What was on the bus ---

typedef struct {
    FILE *out;
    usec_t start;
} printer_t;

static void print_line(void *ctx, const trace_line_t *line)
{
    const printer_t *p = ctx;
    trace_print(p->out, line, p->start);
}

/// Adds what is in a file, and closes it.
static void add_stream(report_t *r, const char *name, FILE *file)
{
    char *bytes = NULL;
    long len = -1;
    if (file && fflush(file) == 0 && fseek(file, 0, SEEK_END) == 0) len = ftell(file);
    if (len >= 0) bytes = malloc((size_t)len + 1);
    if (bytes) {
        rewind(file);
        report_file(r, name, bytes, fread(bytes, 1, (size_t)len, file));
    }
    free(bytes);
    if (file) (void)fclose(file);
}

/// bus.pcap, bus.log and trace.txt: the log twice, and in words.
static void add_bus(report_t *r)
{
    bus_log_read_t in;
    can_frame_t frame;
    usec_t at = 0;
    FILE *pcap = tmpfile(), *candump = tmpfile();
    printer_t printer = { .out = tmpfile() };
    trace_t *trace = trace_new(print_line, &printer);
    const bool open = bus_log_read_open(&in, r->log);
    // A bus_log_t closes its file, which is read again here: so it gets a copy of the descriptor.
    bus_log_t out[2] = { { .file = NULL }, { .file = NULL } };
    FILE *const file[2] = { pcap, candump };
    for (int i = 0; i < 2 && open; i++) {
        FILE *copy = file[i] ? fdopen(dup(fileno(file[i])), "wb") : NULL;
        if (copy) (void)bus_log_begin(&out[i], copy, i ? BUS_LOG_CANDUMP : BUS_LOG_PCAP, "can", 0);
    }
    for (bool first = true; open && trace && printer.out && bus_log_read(&in, &frame, &at);
         first = false) {
        if (first) printer.start = at;
        (void)bus_log_frame(&out[0], &frame, false, at);
        (void)bus_log_frame(&out[1], &frame, false, at);
        trace_input(trace, &frame, at);
    }
    if (trace && printer.out) trace_end(trace, at);
    if (in.error[0] && printer.out) fprintf(printer.out, "%s\n", in.error);
    bus_log_read_close(&in);
    trace_free(trace);
    (void)bus_log_end(&out[0]);
    (void)bus_log_end(&out[1]);
    add_stream(r, "bus.pcap", pcap);
    add_stream(r, "bus.log", candump);
    add_stream(r, "trace.txt", printer.out);
}

bool report_end(report_t *r, int code, const char *text)
{
    if (!r->on) return true;
    if (r->log) {
        const usec_t took = bus_clock() - r->begun;
        fprintf(r->about, "took: %llu.%03llu s\nexit code: %d\n",
                (unsigned long long)(took / 1000000), (unsigned long long)(took / 1000 % 1000),
                code);
        if (text) fprintf(r->about, "outcome: %s\n", text);
        add_bus(r);
    }
    if (r->temporary) (void)unlink(r->name);
    if (r->about) (void)fclose(r->about);
    if (r->notes) (void)fclose(r->notes);
    if (r->log) {
        report_file(r, "report.txt", r->about_text, r->about_len);
        report_file(r, "output.txt", r->notes_text, r->notes_len);
    }
    free(r->about_text);
    free(r->notes_text);
    r->on = false;
    if (r->log) return bundle_close(&r->bundle);
    r->bundle.failed = true; // report_begin() failed: no ZIP file
    (void)bundle_close(&r->bundle);
    return false;
}
