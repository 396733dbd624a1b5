// cmd_send.c - isotp-ota send and probe, and flash in the protocols without UDS.
// SPDX-License-Identifier: Apache-2.0
#include "cmd_flash.h"
#include "drive.h"

#include <stdarg.h>
#include <stdlib.h>

MACHINE_VERBS(sender);

// --- A transfer ---

outcome_t outcome(int code, const char *format, ...)
{
    outcome_t out = { .code = code };
    va_list args;
    va_start(args, format);
    vsnprintf(out.text, sizeof out.text, format, args);
    va_end(args);
    return out;
}

static outcome_t explain(const sender_t *f, const bus_options_t *o)
{
    outcome_t out = { .code = EXIT_FAILED };
    const char *why;
    char *text = out.text;
    const size_t cap = sizeof out.text;
    const uint32_t sent = sender_progress(f);
    switch (f->why) {
    case SENDER_OK: out.code = EXIT_DONE; break;
    case SENDER_NO_BUS:
        out.code = EXIT_NO_ANSWER;
        snprintf(
            text, cap,
            "no frame could be sent within 1 s (N_As): nobody acknowledges. Check wiring, termination, bit rate");
        break;
    case SENDER_NO_ANSWER:
        out.code = EXIT_NO_ANSWER;
        snprintf(
            text, cap,
            "flow control timeout: nobody answered on %X to the first frame on %X within 1 s (N_Bs)%s. "
            "Is the device powered, on this bus, at this bit rate?",
            o->device_id.id, o->host_id.id, f->attempt > 1 ? ", three times" : "");
        break;
    case SENDER_LOST_DEVICE:
        snprintf(
            text, cap,
            "the device stopped answering after %u of %u bytes (N_Bs, 1 s). It runs what it ran; start again",
            sent, f->len);
        break;
    case SENDER_STALLED:
        snprintf(
            text, cap,
            "the device has been asking to wait for a minute, after %u of %u bytes. It runs what it "
            "ran; start it again",
            sent, f->len);
        break;
    case SENDER_REFUSED:
        snprintf(text, cap,
                 "the device failed for a reason that this version does not know (0x%02X)",
                 f->result);
        why = command_result(f->result, &out.code);
        if (why)
            snprintf(text, cap, "%s after %u bytes: %s. It runs what it ran",
                     out.code == EXIT_REFUSED ? "refused by the device" : "the device gave up",
                     f->received, why);
        break;
    case SENDER_OVERFLOW:
        if (f->answered) {
            snprintf(
                text, cap,
                "the device refused to go on (flow control OVFLW) after %u of %u bytes: it knows of no transfer any "
                "more. Did it restart? It runs what it ran; start again",
                sent, f->len);
            break;
        }
        out.code = EXIT_REFUSED;
        snprintf(
            text, cap,
            "refused by the device (flow control OVFLW) after %u bytes: not the beginning of a transfer that it "
            "knows, or it is busy. It runs what it ran",
            sent);
        break;
    case SENDER_BAD_ANSWER:
        snprintf(text, cap,
                 "the answer on %X is no flow control of ISO 15765-2: is %X the right device?",
                 o->device_id.id, o->device_id.id);
        break;
    case SENDER_NO_STATUS:
        snprintf(
            text, cap,
            "everything was sent, but the device did not say within 30 s how it ended: it may run the old or the new "
            "firmware. A device with the original example never says");
        break;
    case SENDER_OTHER_SENDER:
        snprintf(
            text, cap,
            "another node on this bus sends on %X, too: two hosts at once. The transfer was given up; the device runs "
            "what it ran",
            o->host_id.id);
        break;
    }
    return out;
}

int flash_report(const flash_options_t *o, const outcome_t *out, uint32_t len)
{
    const double seconds = (double)out->took / 1e6;
    if (o->json) {
        json_out_t json = { .out = stdout };
        json_out_open(&json, NULL, '{');
        json_out_string(&json, "event", out->code ? "failed" : "done");
        json_out_number(&json, "exit", out->code);
        json_out_string(&json, "file", o->file);
        json_out_number(&json, "bytes", len);
        json_out_milli(&json, "seconds", (int64_t)(out->took / 1000));
        if (out->code) json_out_string(&json, "reason", out->text);
        if (out->extra[0]) fputs(out->extra, stdout);
        json_out_close(&json, '}');
        putchar('\n');
    }
    if (out->code && out->about_bus) return command_fail(out->code, "%s", out->text);
    if (out->code) return command_fail(out->code, "%s: %s", o->file, out->text);
    const uint32_t sent = out->sent ? out->sent : len;
    char resumed[60] = "";
    if (sent != len) snprintf(resumed, sizeof resumed, " (%u were sent)", sent);
    if (!o->json)
        printf("%s: %u bytes%s in %.2f s (%.1f kB/s); %s\n", o->file, len, resumed, seconds,
               seconds > 0 ? sent / seconds / 1000 : 0.0,
               o->uds ? out->text : "the device verified it and restarts into it");
    return EXIT_DONE;
}

outcome_t flash_by_messages(const flash_options_t *o, const uint8_t *image, uint32_t len)
{
    char error[256] = "out of memory";
    uint32_t total;
    uint8_t *bytes = sender_wrap(o->protocol, image, len, &total);
    int code = EXIT_NO_ANSWER;
    bus_t *bus = bytes ? command_open_bus(&o->bus, &code, error, sizeof error) : NULL;
    if (!bus) {
        outcome_t out = outcome(code, "%s", error);
        out.about_bus = true;
        free(bytes);
        return out;
    }
    const sender_cfg_t cfg = { .isotp = command_isotp(&o->bus, false),
                               .attempts = SENDER_ATTEMPTS,
                               .status_timeout = SENDER_STATUS_TIMEOUT };
    sender_t sender;
    const machine_t machine = MACHINE(sender, &sender);
    drive_catch_signals();
    progress_t progress;
    const usec_t start = bus_clock();
    progress_begin(&progress, o->json, o->file, total, start);
    sender_init(&sender, &cfg, bytes, total, start);
    unsigned events = SENDER_NONE;
    while (!events && !drive_stopped()) {
        events = drive(bus, &machine, bus_clock() + 100 * USEC_MS);
        if (!o->quiet || o->json) progress_show(&progress, sender_progress(&sender), bus_clock());
    }
    const usec_t took = bus_clock() - start;
    progress_end(&progress, sender_progress(&sender), bus_clock());
    const uint32_t sent = sender_progress(&sender);
    outcome_t out;
    if (events)
        out = explain(&sender, &o->bus);
    else if (sent < total)
        out = outcome(EXIT_FAILED,
                      "stopped by a signal after %u of %u bytes; the device runs what it ran", sent,
                      total);
    else
        out = outcome(
            EXIT_FAILED,
            "stopped by a signal when everything was sent: the device runs the new firmware if it is "
            "right, the old one if not");
    out.took = took;
    bus_close(bus);
    free(bytes);
    return out;
}

// --- send ---

static int send_file(const flash_options_t *o)
{
    char error[200];
    uint32_t len = 0;
    outcome_t out;
    uint8_t *image = command_read_file(o->file, &len, error, sizeof error);
    if (!image)
        out = outcome(EXIT_BAD_IMAGE, "%s", error);
    else if (len == 0)
        out = outcome(EXIT_BAD_IMAGE, "the file is empty: ISO-TP cannot carry nothing");
    else
        out = flash_by_messages(o, image, len);
    free(image);
    return flash_report(o, &out, len);
}

int cmd_send(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota send [options] INTERFACE FILE\n\n"
        "Sends FILE as it is, unchecked, in the plain protocol: messages of 4095 bytes, a shorter one ends\n"
        "the transfer. INTERFACE is a channel: can0, virtual:NAME.\n";
    flash_options_t o = { .bus = BUS_OPTIONS_DEFAULT, .protocol = SENDER_PLAIN };
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_REAL, 0, "stmin", "MS", &o.bus.gap_ms,
          "leave at least this many milliseconds between frames", 0, 0 },
        { OPTION_FLAG, 0, "json", NULL, &o.json, "events as JSON lines on stdout", 0, 0 },
        { OPTION_FLAG, 'q', "quiet", NULL, &o.quiet, "no progress, only errors", 0, 0 },
        BUS_OPTIONS_TABLE(&o.bus),
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    const char *words[2];
    int code = command_parse(usage, table, COUNT, argc, argv, words, "INTERFACE FILE");
    if (code >= 0) return code;
    o.bus.bus.channel = words[0];
    o.file = words[1];
    code = command_check_bus(&o.bus);
    return code ? code : send_file(&o);
}

// --- probe ---

int cmd_probe(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota probe [options] INTERFACE\n\n"
        "Sends the first frame of one 8-byte message of zeros and shows what comes back: the flow control of\n"
        "a device, or a flow control timeout when nobody listens. INTERFACE is a channel: can0, virtual:NAME.\n";
    static const uint8_t message[8] = { 0 };
    bus_options_t o = BUS_OPTIONS_DEFAULT;
    const option_t table[] = { BUS_OPTIONS_TABLE(&o) };
    enum { COUNT = sizeof table / sizeof table[0] };
    const char *word = NULL;
    char error[256];
    int code = command_parse(usage, table, COUNT, argc, argv, &word, "INTERFACE");
    if (code >= 0) return code;
    o.bus.channel = word;
    code = command_check_bus(&o);
    if (code) return code;
    bus_t *bus = command_open_bus(&o, &code, error, sizeof error);
    if (!bus) return command_fail(code, "%s", error);
    const sender_cfg_t cfg = { .isotp = command_isotp(&o, false),
                               .attempts = 1,
                               .status_timeout = 0 };
    sender_t sender;
    const machine_t machine = MACHINE(sender, &sender);
    drive_catch_signals();
    const usec_t start = bus_clock();
    sender_init(&sender, &cfg, message, sizeof message, start);
    unsigned events = SENDER_NONE;
    while (!events && !sender.answered && !sender.overflowed && !drive_stopped())
        events = drive(bus, &machine, bus_clock() + 1 * USEC_MS);
    const double ms = (double)(bus_clock() - start) / 1000;
    if (sender.overflowed) {
        printf(
            "%X answered after %.1f ms: a device is there, and refuses this message, as it should (OVFLW)\n",
            o.device_id.id, ms);
    } else if (sender.answered) {
        printf("%X answered after %.1f ms: a device is there (BS %u, STmin %.1f ms)\n",
               o.device_id.id, ms, sender.isotp.tx.left, (double)sender.isotp.tx.gap / 1000);
        (void)drive(bus, &machine,
                    bus_clock() +
                        500 * USEC_MS); // the rest of the message, so that it need not wait
    } else if (events) {
        const outcome_t out = explain(&sender, &o);
        code = command_fail(out.code, "%s: %s", word, out.text);
    } else {
        code = command_fail(EXIT_FAILED, "%s: stopped by a signal", word);
    }
    bus_close(bus);
    return code;
}
