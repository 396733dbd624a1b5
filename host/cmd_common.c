// cmd_common.c - what the commands share: see command.h.
// SPDX-License-Identifier: Apache-2.0
#include "access_psa.h"
#include "bus_log.h"
#include "command.h"
#include "escape.h"
#include "esp_text.h"
#include "flash_file.h"
#include "receiver.h" // the result codes of the status message
#include "utf8.h"
#include "whole_file.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int command_parse(const char *usage, const option_t *options, size_t count, int argc, char **argv,
                  const char **words, const char *wanted)
{
    char error[300];
    switch (options_parse(options, count, argc, argv, words, wanted, error, sizeof error)) {
    case OPTIONS_OK: return -1;
    case OPTIONS_HELP:
        fputs(usage, stdout);
        options_help(stdout, options, count);
        return EXIT_DONE;
    case OPTIONS_WRONG: break;
    }
    const size_t name_len = strcspn(usage + strlen("Usage: isotp-ota "), " \n");
    const char *name = usage + strlen("Usage: isotp-ota ");
    return command_fail(EXIT_USAGE, "%.*s: %s; isotp-ota %.*s --help shows how", (int)name_len,
                        name, error, (int)name_len, name);
}

// --- What the device says ---

static const struct {
    uint8_t result;
    int exit_code;
    const char *text;
} results[] = {
    { RECEIVER_NOT_AN_IMAGE, EXIT_REFUSED, "this is not an ESP application image" },
    { RECEIVER_WRONG_CHIP, EXIT_REFUSED, "the image is for another chip" },
    { RECEIVER_WRONG_REVISION, EXIT_REFUSED, "the image is for another revision of the chip" },
    { RECEIVER_BAD_STRUCTURE, EXIT_REFUSED, "the image's segments make no sense" },
    { RECEIVER_TOO_LARGE, EXIT_REFUSED, "the image is larger than the slot" },
    { RECEIVER_NO_DESCRIPTOR, EXIT_REFUSED, "the image has no application descriptor" },
    { RECEIVER_NO_DIGEST, EXIT_REFUSED,
      "the image has no SHA-256 appended, so damage could go unnoticed" },
    { RECEIVER_BAD_CHECKSUM, EXIT_REFUSED, "the image is damaged: wrong checksum" },
    { RECEIVER_BAD_DIGEST, EXIT_REFUSED, "the image is damaged: wrong SHA-256" },
    { RECEIVER_INCOMPLETE, EXIT_REFUSED, "the image is incomplete" },
    { RECEIVER_WRONG_PROJECT, EXIT_REFUSED, "the image is of another project" },
    { RECEIVER_TOO_OLD, EXIT_REFUSED,
      "the image's secure version is below what the device still accepts" },
    { RECEIVER_BROKEN, EXIT_FAILED,
      "a message was not completed: frames were lost, or two hosts are sending" },
    { RECEIVER_SILENT, EXIT_FAILED, "nothing came for 10 s" },
    { RECEIVER_EXCESS, EXIT_FAILED, "more bytes came than were announced" },
    { RECEIVER_OVERRUN, EXIT_FAILED, "bytes came faster than allowed" },
    { RECEIVER_ABORTED, EXIT_FAILED, "the session ended before the download did" },
    { RECEIVER_REJECTED, EXIT_REFUSED,
      "the firmware in the other slot was rejected after an earlier start" },
    { RECEIVER_FLASH, EXIT_FAILED, "its flash failed" },
    { RECEIVER_UNCONFIRMED, EXIT_REFUSED,
      "the firmware it runs is not confirmed yet, and the other slot is its only fallback; restart it first" },
    { RECEIVER_EXHAUSTED, EXIT_FAILED, "its boot record cannot count any further" },
    { RECEIVER_CRYPTO, EXIT_FAILED, "its hash library failed" },
};

const char *command_result(uint8_t result, int *exit_code)
{
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        if (results[i].result != result) continue;
        *exit_code = results[i].exit_code;
        return results[i].text;
    }
    return NULL;
}

// --- Command lines and files ---

const char *command_app(const char *project, const char *version, char text[COMMAND_APP_CAP])
{
    char both[66];
    snprintf(both, sizeof both, "%s%s%s", project, project[0] && version[0] ? " " : "", version);
    escape_text(both, text, COMMAND_APP_CAP);
    return text;
}

int command_check_bus(const bus_options_t *o)
{
    if (o->host_id.ext != o->device_id.ext)
        return command_fail(EXIT_USAGE,
                            "--source and --destination: one has 29 bits, the other 11");
    if (o->host_id.id == o->device_id.id)
        return command_fail(EXIT_USAGE, "--source and --destination are the same identifier");
    if (o->functional_id.id && o->functional_id.ext != o->host_id.ext)
        return command_fail(EXIT_USAGE, "--functional and --source: one has 29 bits, the other 11");
    const uint32_t functional = command_functional(o, false).tx_id;
    if (functional == o->host_id.id || functional == o->device_id.id)
        return command_fail(EXIT_USAGE, "--functional is the same identifier as %s",
                            functional == o->host_id.id ? "--source" : "--destination");
    if (o->bus.log && bus_log_format(o->bus.log) == BUS_LOG_UNKNOWN)
        return command_fail(
            EXIT_USAGE,
            "--log: '%s' must end in .log (candump), .pcap (Wireshark) or .asc (Vector)",
            o->bus.log);
    return 0;
}

static bool can_draw(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static void warn(const char *line)
{
    if (can_draw()) fputs("\r\033[K", stderr); // over a progress bar, which comes again below
    (void)command_fail(EXIT_DONE, "%s", line);
}

bus_t *command_open_bus(const bus_options_t *o, int *code, char *error, size_t cap)
{
    bool log_failed = false;
    bus_cfg_t cfg = o->bus;
    cfg.log_failed = &log_failed;
    cfg.warn = warn;
    if (cfg.log) (void)signal(SIGXFSZ, SIG_IGN); // a log that may not grow is no reason to die
    bus_t *bus = bus_open(&cfg, error, cap);
    if (!bus) *code = log_failed ? EXIT_FAILED : EXIT_NO_ANSWER;
    return bus;
}

isotp_cfg_t command_isotp(const bus_options_t *o, bool device)
{
    isotp_cfg_t cfg = ISOTP_CFG_DEFAULT;
    cfg.tx_id = device ? o->device_id.id : o->host_id.id;
    cfg.rx_id = device ? o->host_id.id : o->device_id.id;
    cfg.ext = o->host_id.ext;
    cfg.pad = o->padding.given;
    if (cfg.pad) cfg.pad_byte = o->padding.value;
    cfg.fd = cfg.brs = o->bus.fd;
    cfg.tx_dl = o->bus.fd ? 64 : 8;
    cfg.min_gap = (uint32_t)(o->gap_ms * 1000);
    return cfg;
}

isotp_cfg_t command_functional(const bus_options_t *o, bool device)
{
    isotp_cfg_t cfg = command_isotp(o, device);
    const uint32_t id = o->functional_id.id ? o->functional_id.id
                        : cfg.ext           ? ISOTP_ID_FIXED_FUNCTIONAL | 0x33F1
                                            : 0x7DF;
    *(device ? &cfg.rx_id : &cfg.tx_id) = id;
    cfg.functional = true;
    return cfg;
}

int command_read_secret(const char *path, uint8_t *secret, size_t cap, size_t *len)
{
    char error[200];
    uint32_t size = 0;
    size_t digits = 0;
    uint8_t *text = command_read_file(path, &size, error, sizeof error);
    if (!text) return command_fail(EXIT_USAGE, "--key: %s: %s", path, error);
    bool good = true;
    for (uint32_t i = 0; i < size && good; i++) {
        static const char hex[] = "0123456789abcdef";
        if (isspace(text[i])) continue;
        const char *digit = memchr(hex, tolower(text[i]), sizeof hex - 1);
        good = digit && digits < 2 * cap;
        if (!good) break;
        const unsigned high = (digits % 2) ? secret[digits / 2] * 16U : 0;
        secret[digits / 2] = (uint8_t)(high + (unsigned)(digit - hex));
        digits++;
    }
    if (size > 0) memset(text, 0, size);
    free(text);
    *len = digits / 2;
    if (good && digits % 2 == 0 && *len >= ACCESS_SECRET_MIN) return EXIT_DONE;
    return command_fail(EXIT_USAGE, "--key: %s: not %d to %zu bytes as hexadecimal digits", path,
                        ACCESS_SECRET_MIN, cap);
}

uint8_t *command_read_file(const char *path, uint32_t *len, char *error, size_t cap)
{
    enum { LARGEST = 1 << 28 }; // far more than any flash of this kind holds
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > LARGEST) {
        const char *why = !file                  ? strerror(errno)
                          : S_ISDIR(st.st_mode)  ? "is a directory"
                          : !S_ISREG(st.st_mode) ? "is not a file"
                                                 : "is larger than 256 MiB";
        snprintf(error, cap, "%s", why);
        if (file) fclose(file);
        return NULL;
    }
    *len = (uint32_t)st.st_size;
    uint8_t *bytes = malloc((size_t)*len + 1);
    const bool ok = bytes && fread(bytes, 1, *len, file) == *len;
    if (!ok) snprintf(error, cap, "could not be read");
    fclose(file);
    if (ok) return bytes;
    free(bytes);
    return NULL;
}

int command_write_file(const char *path, const uint8_t *bytes, uint32_t len, bool force)
{
    struct stat st;
    if (!force && lstat(path, &st) == 0)
        return command_fail(EXIT_FAILED, "%s: exists; --force overwrites it", path);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return command_fail(EXIT_FAILED, "%s: is not a file", path);
    if (flash_file_in_use(path))
        return command_fail(EXIT_FAILED, "%s: in use by another simulated device", path);
    if (whole_file_write(path, bytes, len)) return EXIT_DONE;
    return command_fail(EXIT_FAILED, "%s: %s", path, strerror(errno));
}

int command_chip(const char *command, const char *name, uint16_t *chip_id)
{
    char names[200];
    *chip_id = ESP_IMAGE_ANY_CHIP;
    if (!name || esp_text_find_chip(name, chip_id)) return EXIT_DONE;
    esp_text_chip_options(names, sizeof names);
    return command_fail(EXIT_USAGE, "%s: --chip: '%s' is none of %s", command, name, names);
}

// --- Progress ---

enum { BAR_MIN = 5, BAR_MAX = 40, REDRAW_US = 100000, NAME_CAP = ESCAPE_CAP(256) + 3 };

void progress_begin(progress_t *p, bool json, const char *what, uint32_t total, usec_t now)
{
    *p = (progress_t){ .json = json, .what = what, .total = total, .start = now, .last = now };
    p->terminal = can_draw();
}

static unsigned terminal_width(void)
{
    struct winsize size;
    return (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) ? size.ws_col : 80;
}

// The last `columns` columns of `text`, which is harmless: "..." for what is cut. Fewer than 4: "".
static const char *tail_of(const char *text, size_t used, size_t columns, char out[NAME_CAP])
{
    const bool whole = used <= columns;
    size_t skip = whole ? 0 : used - columns + 3;
    if (!whole && columns < 4) return "";
    for (; skip > 0; skip--)
        text += utf8_next(text, strlen(text));
    snprintf(out, NAME_CAP, "%s%s", whole ? "" : "...", text);
    return out;
}

// name [#####.....]  50%  32/64 KiB  51.0 kB/s  1 s left
// What does not fit goes: first the name's beginning, then the name, the figures, the bar. The
// last column stays free, because some terminals begin a new line when it is written.
static void draw_bar(const progress_t *p, uint32_t done, double seconds)
{
    char safe[ESCAPE_CAP(256)], name[NAME_CAP], right[100];
    const double rate = (seconds > 0 && done > p->from) ? (done - p->from) / seconds : 0;
    const double left = (rate > 0) ? (p->total - done) / rate : 0;
    const size_t columns = terminal_width() - 1;
    const int percent_len =
        snprintf(right, sizeof right, " %3u%%", (unsigned)(100.0 * done / p->total));
    size_t right_len = (size_t)percent_len;
    right_len += (size_t)snprintf(right + percent_len, sizeof right - (size_t)percent_len,
                                  "  %u/%u KiB  %.1f kB/s  %.0f s left", done / 1024,
                                  p->total / 1024, rate / 1000, left);
    if (columns < right_len + BAR_MIN + 2) right_len = (size_t)percent_len;
    const size_t taken = right_len + BAR_MIN + 2 + 1; // and the space behind the name
    const char *slash = strrchr(p->what, '/');
    const size_t used = escape_text(slash ? slash + 1 : p->what, safe, sizeof safe);
    const char *what = tail_of(safe, used, columns > taken ? columns - taken : 0, name);
    const size_t what_len = what[0] ? smaller(used, columns - taken) + 1 : 0;
    fprintf(stderr, "\r%s%s", what, what[0] ? " " : "");
    if (columns >= what_len + right_len + BAR_MIN + 2) {
        const size_t bar = smaller(columns - what_len - right_len - 2, BAR_MAX);
        const size_t filled = (size_t)((uint64_t)bar * done / p->total);
        putc('[', stderr);
        for (size_t i = 0; i < bar; i++)
            putc(i < filled ? '#' : '.', stderr);
        putc(']', stderr);
    }
    fprintf(stderr, "%.*s\033[K", (int)smaller(right_len, columns), right);
    fflush(stderr);
}

void progress_show(progress_t *p, uint32_t done, usec_t now)
{
    const double seconds = (double)(now - p->start) / 1e6;
    const unsigned tenth = (unsigned)(10ull * done / p->total);
    if (p->terminal && !p->json) {
        if (p->shown && now - p->last < REDRAW_US) return;
        draw_bar(p, done, seconds);
    } else {
        if (tenth == p->tenth) return;
        if (p->json) {
            printf("{\"event\":\"progress\",\"sent\":%u,\"total\":%u,\"seconds\":%.3f}\n", done,
                   p->total, seconds);
            fflush(stdout);
        } else {
            fprintf(stderr, "%s: %u%% (%u of %u bytes, %.1f s)\n", p->what, tenth * 10, done,
                    p->total, seconds);
        }
    }
    p->shown = true;
    p->tenth = tenth;
    p->last = now;
}

void progress_end(progress_t *p, uint32_t done, usec_t now)
{
    if (!p->terminal || p->json || !p->shown) return;
    draw_bar(p, done, (double)(now - p->start) / 1e6);
    putc('\n', stderr);
}
