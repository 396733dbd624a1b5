// cmd_uds.c - isotp-ota flash by UDS: drives the flasher, shows what it does, says how it ended.
// SPDX-License-Identifier: Apache-2.0
#include "access_psa.h"
#include "cmd_flash.h"
#include "crc32.h"
#include "crypto_psa.h"
#include "drive.h"
#include "flasher_text.h"
#include "uds_text.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

MACHINE_VERBS(flasher);

#define TURN       (100 * USEC_MS)
#define BUSY_SHOWN (500 * USEC_MS)

typedef struct {
    const flash_options_t *o;
    flasher_t flasher;
    flasher_cfg_t cfg;
    crypto_psa_t psa;
    crypto_t crypto;
    access_psa_t access_psa;
    access_t access;
    const char *project; // of the image
    progress_t progress;
    bool transferring, busy_line;
    unsigned busy_seconds; // told
} update_t;

// --- Keys ---

/// Hex digits from a program's output. Returns bytes, 0: something else.
static uint32_t key_bytes(const char *text, uint8_t key[FLASHER_KEY_MAX])
{
    uint32_t digits = 0;
    for (; *text; text++) {
        static const char hex[] = "0123456789abcdefABCDEF";
        const char *digit = strchr(hex, *text);
        if (*text == ' ' || *text == '\n' || *text == '\r' || *text == '\t') continue;
        if (!digit || digits == 2 * FLASHER_KEY_MAX) return 0;
        const unsigned value = (unsigned)(digit - hex) - (digit - hex > 15 ? 6 : 0);
        key[digits / 2] = (uint8_t)((digits % 2 ? key[digits / 2] * 16U : 0U) + value);
        digits++;
    }
    return digits % 2 ? 0 : digits / 2;
}

/// Runs PROG LEVEL SEED. Returns bytes of the key; 0 after a message.
static uint32_t key_of_program(const update_t *u, uint8_t key[FLASHER_KEY_MAX])
{
    enum { PATIENCE_MS = 30000 };
    const flasher_t *f = &u->flasher;
    char level[3], seed[2 * FLASHER_SEED_MAX + 1] = "", text[512];
    int ends[2], status = 0;
    size_t used = 0;
    (void)snprintf(level, sizeof level, "%02X", f->level);
    for (uint32_t i = 0; i < f->seed_len; i++)
        (void)snprintf(seed + 2 * (size_t)i, 3, "%02X", f->seed[i]);
    if (pipe(ends) != 0) return 0;
    const pid_t child = fork();
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execlp(u->o->key_program, u->o->key_program, level, seed, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    const usec_t until = bus_clock() + PATIENCE_MS * USEC_MS;
    struct pollfd p = { .fd = ends[0], .events = POLLIN };
    while (child > 0 && used < sizeof text - 1) {
        const usec_t now = bus_clock();
        if (now >= until || poll(&p, 1, (int)((until - now) / USEC_MS) + 1) <= 0) break;
        const ssize_t len = read(ends[0], text + used, sizeof text - 1 - used);
        if (len <= 0) break;
        used += (size_t)len;
    }
    (void)close(ends[0]);
    if (child > 0 && bus_clock() >= until) (void)kill(child, SIGKILL);
    if (child > 0) (void)waitpid(child, &status, 0);
    text[used] = 0;
    const uint32_t len = (child > 0 && status == 0) ? key_bytes(text, key) : 0;
    if (len == 0)
        (void)command_fail(EXIT_FAILED,
                           "--key-program %s %s %s: no key (hexadecimal digits, exit code 0)",
                           u->o->key_program, level, seed);
    return len;
}

static flasher_events_t unlock(update_t *u)
{
    flasher_t *f = &u->flasher;
    uint8_t key[FLASHER_KEY_MAX];
    uint32_t len = 0;
    if (u->o->key_program) {
        len = key_of_program(u, key);
    } else if (u->o->key && f->seed_len == ACCESS_SEED_LEN) {
        if (u->access.key(u->access.ctx, f->level, f->seed, key)) len = ACCESS_KEY_LEN;
    }
    return len ? flasher_unlock(f, key, len, bus_clock())
               : flasher_stop(f, FLASHER_LOCKED, bus_clock());
}

// --- What is shown ---

static void text_of(const flasher_fact_t *fact, char text[33])
{
    const unsigned skip = (fact->kind == PROFILE_PROJECT && fact->len > 0) ? 1 : 0;
    const size_t len = smaller(fact->len - skip, 32);
    memcpy(text, fact->bytes + skip, len);
    text[len] = 0;
}

static void json_begin(json_out_t *json, const char *event)
{
    *json = (json_out_t){ .out = stdout };
    json_out_open(json, NULL, '{');
    json_out_string(json, "event", event);
}

static void json_end(json_out_t *json)
{
    json_out_close(json, '}');
    putchar('\n');
    fflush(stdout);
}

static void json_facts(json_out_t *json, const flasher_t *f)
{
    json_out_open(json, "read", '[');
    for (unsigned i = 0; i < f->facts; i++) {
        char did[5];
        (void)snprintf(did, sizeof did, "%04X", f->fact[i].did);
        json_out_open(json, NULL, '{');
        json_out_string(json, "did", did);
        json_out_hex(json, "bytes", f->fact[i].bytes, f->fact[i].len);
        json_out_close(json, '}');
    }
    json_out_close(json, ']');
}

static void show_start(const update_t *u)
{
    json_out_t json;
    if (!u->o->json) return;
    json_begin(&json, "start");
    json_out_string(&json, "file", u->o->file);
    json_out_number(&json, "bytes", u->cfg.image.len);
    json_out_string(&json, "project", u->project);
    json_out_string(&json, "version", u->cfg.image.version);
    json_out_string(&json, "profile", u->o->profile_name);
    json_end(&json);
}

static void end_line(update_t *u)
{
    if (u->busy_line) fputs("\r\033[K", stderr);
    u->busy_line = false;
}

static void show_device(update_t *u)
{
    const flasher_t *f = &u->flasher;
    const flasher_fact_t *project = flasher_fact(f, PROFILE_PROJECT);
    const flasher_fact_t *version = flasher_fact(f, PROFILE_VERSION);
    char name[33] = "", number[33] = "", app[COMMAND_APP_CAP], runs[60];
    if (project) text_of(project, name);
    if (version) text_of(version, number);
    (void)flasher_text_running(&f->before, runs, sizeof runs);
    const bool other = project && strcmp(name, u->project) != 0;
    const bool same =
        f->before.known && memcmp(f->before.digest, u->cfg.image.digest, FLASHER_DIGEST_LEN) == 0;
    if (u->o->json) {
        json_out_t json;
        json_begin(&json, "device");
        if (project) json_out_string(&json, "project", name);
        if (version) json_out_string(&json, "version", number);
        if (f->before.known) json_out_number(&json, "slot", f->before.slot);
        if (f->before.known) json_out_bool(&json, "same", same);
        if (project) json_out_bool(&json, "other_project", other);
        json_facts(&json, f);
        json_end(&json);
    } else if (!u->o->quiet && (project || version)) {
        fprintf(stderr, "device: %s%s%s%s\n", command_app(name, number, app), runs[0] ? " in " : "",
                runs,
                same    ? ": the very same image"
                : other ? ", another project"
                        : "");
    }
}

static void show_step(update_t *u)
{
    const flasher_t *f = &u->flasher;
    char what[200];
    json_out_t json;
    if (f->step >= u->cfg.profile->steps) return;
    const char *request = flasher_text_request(f, what, sizeof what);
    report_note(u->o->report, request);
    if (!u->o->json) return;
    json_begin(&json, "step");
    json_out_number(&json, "number", f->step);
    json_out_number(&json, "line", flasher_step(f)->line);
    json_out_string(&json, "request", request);
    json_end(&json);
}

static void show_number(const update_t *u, const char *event, const char *key, uint32_t number)
{
    json_out_t json;
    if (!u->o->json) return;
    json_begin(&json, event);
    if (key) json_out_number(&json, key, number);
    json_end(&json);
}

static void say(update_t *u, const char *text)
{
    report_note(u->o->report, text);
    if (u->o->json || u->o->quiet) return;
    end_line(u);
    if (u->progress.shown && u->progress.terminal) putc('\n', stderr);
    fprintf(stderr, "%s\n", text);
}

static void show_busy(update_t *u, usec_t now)
{
    const flasher_t *f = &u->flasher;
    const bool busy = f->state == FLASHER_ASKING && f->client.state != UDS_CLIENT_IDLE &&
                      f->client.pending > 0 && now - f->client.pending_since >= BUSY_SHOWN;
    const unsigned seconds =
        busy ? (unsigned)((now - f->client.pending_since) / (1000 * USEC_MS)) : 0;
    if (!busy) {
        end_line(u);
        u->busy_seconds = 0;
        return;
    }
    if (u->o->json) {
        if (seconds > u->busy_seconds) show_number(u, "busy", "seconds", seconds);
    } else if (u->progress.terminal && !u->o->quiet) {
        fprintf(stderr, "\rdevice busy %u s\033[K", seconds);
        u->busy_line = true;
    } else if (!u->o->quiet && seconds > u->busy_seconds && seconds % 5 == 0) {
        fprintf(stderr, "device busy %u s\n", seconds);
    }
    u->busy_seconds = seconds;
}

static void show_progress(update_t *u)
{
    const flasher_t *f = &u->flasher;
    const usec_t now = bus_clock();
    const bool transfer = f->state != FLASHER_OVER && f->step < u->cfg.profile->steps &&
                          flasher_step(f)->verb == PROFILE_TRANSFER;
    if (transfer && !u->transferring) {
        progress_begin(&u->progress, u->o->json, u->o->file, u->cfg.image.len, now);
        u->progress.from = f->start;
    }
    const bool ended = !transfer && u->transferring;
    u->transferring = transfer;
    show_busy(u, now);
    if (u->o->quiet && !u->o->json) return;
    if (ended) {
        progress_show(&u->progress, f->at, now);
        progress_end(&u->progress, f->at, now);
    }
    if (transfer && !u->busy_line) progress_show(&u->progress, flasher_progress(f), now);
}

static void show(update_t *u, flasher_events_t ev)
{
    const flasher_t *f = &u->flasher;
    char text[100];
    if (ev & FLASHER_DEVICE) show_device(u);
    if (ev & FLASHER_AGAIN) {
        (void)snprintf(text, sizeof text, "interrupted at %u of %u bytes: connecting again", f->at,
                       u->cfg.image.len);
        say(u, text);
        show_number(u, "again", "round", f->rounds);
    }
    if (ev & FLASHER_RESUMED) {
        (void)snprintf(text, sizeof text, "resuming at %u of %u bytes", f->start, u->cfg.image.len);
        say(u, text);
        show_number(u, "resume", "at", f->start);
    }
    if (ev & FLASHER_RESTART) {
        show_progress(u);
        say(u, "restarting");
        show_number(u, "restart", NULL, 0);
    }
    if (ev & FLASHER_STEP) show_step(u);
    if (ev & FLASHER_RETRY) show_number(u, "retry", "tries", f->tries);
}

// --- How it ended ---

static int exit_code_of(const flasher_t *f)
{
    if (f->resumable) return EXIT_INTERRUPTED;
    switch (f->why) {
    case FLASHER_OK: return EXIT_DONE;
    case FLASHER_NO_BUS:
    case FLASHER_NO_ANSWER: return EXIT_NO_ANSWER;
    case FLASHER_REFUSED:
    case FLASHER_UNEXPECTED:
    case FLASHER_LOCKED:
    case FLASHER_TOO_LARGE: return EXIT_REFUSED;
    case FLASHER_OLD_RUNS: return EXIT_OLD_RUNS;
    case FLASHER_BAD_PROFILE: return EXIT_USAGE;
    case FLASHER_LOST_DEVICE:
    case FLASHER_TIMEOUT:
    case FLASHER_BAD_RESPONSE:
    case FLASHER_NOT_BACK:
    case FLASHER_OTHER_RUNS:
    case FLASHER_OTHER_TESTER:
    case FLASHER_STOPPED:
    case FLASHER_NO_HASH: break;
    }
    return EXIT_FAILED;
}

static outcome_t explain(const update_t *u)
{
    const flasher_t *f = &u->flasher;
    outcome_t out = { .code = exit_code_of(f) };
    char runs[60], app[COMMAND_APP_CAP];
    int code = out.code;
    const char *result = f->result_known ? command_result(f->result, &code) : NULL;
    const bool by_result =
        f->why == FLASHER_REFUSED && result && (f->result >> 4 == 1 || f->result >> 4 == 3);
    if (by_result) out.code = code;
    if (f->why != FLASHER_OK) {
        flasher_text_why(f, result, out.text, sizeof out.text);
    } else {
        const flasher_image_t *im = &u->cfg.image;
        (void)flasher_text_running(&f->after, runs, sizeof runs);
        (void)snprintf(
            out.text, sizeof out.text, "the device %s %s%s%s%s",
            f->unverified ? "restarted, and was not asked whether it runs" : "runs",
            command_app(u->project, im->version, app), runs[0] ? " in " : "", runs,
            f->trial
                ? "; it has not confirmed itself yet, and goes at the next restart if it does not"
                : "");
    }
    (void)snprintf(out.extra, sizeof out.extra,
                   ",\"why\":\"%s\",\"nrc\":%u,\"result\":%d,\"line\":%u,\"acknowledged\":%u,"
                   "\"sent\":%u,\"resumed_at\":%u,\"rounds\":%u,\"resumable\":%s,\"trial\":%s",
                   flasher_text_name(f->why), f->why == FLASHER_REFUSED ? (unsigned)f->nrc : 0,
                   f->result_known ? f->result : -1,
                   f->step < u->cfg.profile->steps ? flasher_step(f)->line : 0, f->at, f->sent,
                   f->start, f->rounds, f->resumable ? "true" : "false",
                   f->trial ? "true" : "false");
    return out;
}

// --- Driving it ---

static uint8_t bcd(int value) { return (uint8_t)(value / 10 % 10 * 16 + value % 10); }

static bool prepare(update_t *u, const flash_options_t *o, const uint8_t *image, uint32_t len,
                    const esp_image_t *im)
{
    const time_t seconds = time(NULL);
    struct tm date;
    memset(u, 0, sizeof *u);
    u->o = o;
    u->cfg = (flasher_cfg_t){ .isotp = command_isotp(&o->bus, false),
                              .functional = command_functional(&o->bus, false),
                              .profile = o->profile,
                              .crypto = &u->crypto,
                              .no_resume = o->no_resume };
    u->cfg.image = (flasher_image_t){ .bytes = image,
                                      .len = len,
                                      .crc32 = crc32_of(0xFFFFFFFF, image, len),
                                      .version = im->version };
    u->project = im->project;
    memcpy(u->cfg.image.digest, &image[im->len - FLASHER_DIGEST_LEN], FLASHER_DIGEST_LEN);
    if (localtime_r(&seconds, &date)) {
        u->cfg.date[0] = bcd(date.tm_year);
        u->cfg.date[1] = bcd(date.tm_mon + 1);
        u->cfg.date[2] = bcd(date.tm_mday);
    }
    return crypto_psa_init(&u->psa, &u->crypto) && u->crypto.start(u->crypto.ctx, CRYPTO_SHA256) &&
           u->crypto.update(u->crypto.ctx, image, len) &&
           u->crypto.finish(u->crypto.ctx, u->cfg.image.sha256);
}

static outcome_t run(update_t *u, bus_t *bus)
{
    const machine_t machine = MACHINE(flasher, &u->flasher);
    flasher_events_t events = FLASHER_NONE;
    bool stopping = false;
    const usec_t start = bus_clock();
    drive_catch_signals();
    show_start(u);
    progress_begin(&u->progress, u->o->json, u->o->file, u->cfg.image.len, start);
    flasher_init(&u->flasher, &u->cfg, start);
    while (!(events & (FLASHER_DONE | FLASHER_FAILED))) {
        if (drive_stopped() && !stopping) {
            stopping = true;
            events = flasher_stop(&u->flasher, FLASHER_STOPPED, bus_clock());
            continue;
        }
        if (stopping) (void)poll(NULL, 0, 1); // a signal ends each wait of drive()
        events = drive(bus, &machine, bus_clock() + TURN);
        show(u, events);
        if (events & FLASHER_SEED) events = unlock(u);
        show_progress(u);
    }
    end_line(u);
    outcome_t out = explain(u);
    out.took = bus_clock() - start;
    out.sent = u->flasher.sent;
    return out;
}

outcome_t flash_by_uds(const flash_options_t *o, const uint8_t *image, uint32_t len,
                       const esp_image_t *im)
{
    static update_t u;
    char error[256];
    int code = EXIT_NO_ANSWER;
    outcome_t out;
    if (!prepare(&u, o, image, len, im))
        return outcome(EXIT_FAILED, "the crypto library did not start. Nothing was sent");
    if (o->key && !access_psa_init(&u.access_psa, o->secret, o->secret_len, &u.access))
        return outcome(EXIT_FAILED, "the crypto library refused the secret. Nothing was sent");
    bus_t *bus = command_open_bus(&o->bus, &code, error, sizeof error);
    if (bus) {
        out = run(&u, bus);
    } else {
        out = outcome(code, "%s", error);
        out.about_bus = true;
    }
    bus_close(bus);
    if (o->key) access_psa_close(&u.access_psa);
    return out;
}
