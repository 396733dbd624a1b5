// cmd_flash.c - isotp-ota flash: its options, and what is checked before the bus is touched.
// SPDX-License-Identifier: Apache-2.0
#include "cmd_flash.h"
#include "crypto_psa.h"
#include "esp_text.h"

#include <stdlib.h>

// What can be known without the device is said before the bus is touched.
static outcome_t preflight(const flash_options_t *o, const uint8_t *image, uint32_t len,
                           esp_image_t *im)
{
    static const esp_image_cfg_t any = {
        .chip_id = ESP_IMAGE_ANY_CHIP,
        .chip_rev = ESP_IMAGE_ANY_REV,
        .efuse_rev = ESP_IMAGE_ANY_REV,
        .cap = 16 << 20, // the largest application partition there is
        .strict = true,
    };
    char app[COMMAND_APP_CAP];
    crypto_psa_t psa;
    crypto_t crypto;
    if (len == 0)
        return outcome(EXIT_BAD_IMAGE, "not a usable image: the file is empty. Nothing was sent");
    if (!crypto_psa_init(&psa, &crypto))
        return outcome(EXIT_FAILED, "the crypto library did not start. Nothing was sent");
    esp_image_init(im, &any, &crypto);
    esp_image_err_t err = esp_image_input(im, image, len);
    if (err == ESP_IMAGE_OK) err = esp_image_finish(im);
    if (err != ESP_IMAGE_OK) {
        char why[200];
        esp_text_image_why(im, why, sizeof why);
        return outcome(EXIT_BAD_IMAGE, "not a usable image: %s. Nothing was sent", why);
    }
    if (!o->json && !o->quiet)
        fprintf(stderr, "%s: %s for %s, %u bytes\n", o->file,
                command_app(im->project, im->version, app), esp_text_chip(im->chip_id), len);
    return outcome(EXIT_DONE, "%s", "");
}

/// The bundle holds also how it ended; a failure of it does not change that.
static void end_bundle(const flash_options_t *o, const char *path, const outcome_t *out)
{
    if (!o->report->on) return;
    if (!report_end(o->report, out->code, out->text))
        (void)command_fail(out->code, "--report: %s", o->report->bundle.error);
    else if (!o->quiet && !o->json)
        fprintf(stderr, "%s: what happened, for whoever has to find out why\n", path);
}

static int update(const flash_options_t *o, const char *report)
{
    char error[200];
    uint32_t len = 0;
    esp_image_t im;
    outcome_t out;
    uint8_t *image = command_read_file(o->file, &len, error, sizeof error);
    out = image ? preflight(o, image, len, &im) : outcome(EXIT_BAD_IMAGE, "%s", error);
    if (out.code == EXIT_DONE)
        out = o->uds ? flash_by_uds(o, image, len, &im) : flash_by_messages(o, image, len);
    free(image);
    const int code = flash_report(o, &out, len);
    end_bundle(o, report, &out);
    return code;
}

// --- Profiles ---

/// The text of a profile, built in or a file; free() it. NULL: *code after a message.
static char *load_profile(const char *name, uint32_t *len, int *code)
{
    char error[200];
    const char *known = profile_builtin(name);
    char *text = known ? strdup(known) : (char *)command_read_file(name, len, error, sizeof error);
    if (known && text) *len = (uint32_t)strlen(text);
    if (text) return text;
    if (known)
        *code = command_fail(EXIT_FAILED, "out of memory");
    else
        *code = command_fail(
            EXIT_USAGE,
            "flash: --profile: '%s' is neither isotp-ota nor standard, and as a file: %s", name,
            error);
    return NULL;
}

/// What the command line leaves open.
static void take_ids(bus_options_t *bus, const profile_t *p)
{
    static const profile_id_t host = { .id = 0x7E0 }, device = { .id = 0x7E8 };
    const profile_id_t *from[] = { p->request.given ? &p->request : &host,
                                   p->request.given ? &p->response : &device, &p->functional };
    options_can_id_t *to[] = { &bus->host_id, &bus->device_id, &bus->functional_id };
    const bool ours = bus->host_id.id == UINT32_MAX && bus->device_id.id == UINT32_MAX;
    for (int i = 0; i < 3; i++) {
        const bool open = (i < 2) ? to[i]->id == UINT32_MAX : ours && to[i]->id == 0;
        if (open && (i < 2 || from[i]->given))
            *to[i] = (options_can_id_t){ .id = from[i]->id, .ext = from[i]->ext };
    }
}

// --- Command ---

static int check(const flash_options_t *o, const char *protocol, bool uds_options)
{
    if (!o->uds && strcmp(protocol, "plain") != 0 && strcmp(protocol, "header") != 0)
        return command_fail(EXIT_USAGE, "flash: --protocol: '%s' is none of uds, header, plain",
                            protocol);
    if (!o->uds && uds_options)
        return command_fail(EXIT_USAGE,
                            "flash: --profile, --key, --key-program, --no-resume, --block-max, "
                            "--block-retry and --timeout are for --protocol uds");
    if (o->key && o->key_program)
        return command_fail(EXIT_USAGE, "flash: --key and --key-program: one of them is enough");
    return command_check_bus(&o->bus);
}

int cmd_flash(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota flash [options] FILE\n\n"
        "Updates one device with the ESP application image FILE. The image is checked before\n"
        "anything is sent. Afterwards the device is asked what it runs (by UDS), or says how it\n"
        "ended. An update that was interrupted goes on where it stopped: start it again.\n";
    flash_options_t o = { .bus = BUS_OPTIONS_DEFAULT };
    profile_t profile;
    static report_t bundle;
    const char *protocol = "uds", *wanted_profile = NULL, *report = NULL;
    bool show = false;
    uint32_t block_max = 0, block_retry = UINT32_MAX, timeout = 0, len = 0;
    o.bus.host_id.id = o.bus.device_id.id = UINT32_MAX; // not given
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_TEXT, 'P', "protocol", "NAME", &protocol,
          "uds: ISO 14229 (default)\nheader: announces the size\n"
          "plain: as the original example; a short message ends it",
          0, 0 },
        { OPTION_REAL, 0, "stmin", "MS", &o.bus.gap_ms,
          "leave at least this many milliseconds between frames,\nwhatever the device asks for", 0,
          0 },
        { OPTION_FLAG, 0, "json", NULL, &o.json, "events as JSON lines on stdout", 0, 0 },
        { OPTION_FLAG, 'q', "quiet", NULL, &o.quiet, "no progress, only errors", 0, 0 },
        { OPTION_TEXT, 0, "report", "PATH", &report,
          "everything a bug report needs: PATH.zip, or a new folder", 0, 0 },
        { OPTION_HEADING, 0, "UDS", NULL, NULL, NULL, 0, 0 },
        { OPTION_TEXT, 0, "profile", "NAME", &wanted_profile,
          "the sequence: isotp-ota (default), standard, or a file", 0, 0 },
        { OPTION_FLAG, 0, "show-profile", NULL, &show,
          "print it, to be copied and changed, and do nothing", 0, 0 },
        { OPTION_TEXT, 0, "key", "FILE", &o.key, "the device's secret, as in device --key", 0, 0 },
        { OPTION_TEXT, 0, "key-program", "PROG", &o.key_program,
          "PROG LEVEL SEED prints the key; all in hexadecimal digits", 0, 0 },
        { OPTION_FLAG, 0, "no-resume", NULL, &o.no_resume,
          "send everything, whatever the device has already", 0, 0 },
        { OPTION_NUMBER, 0, "block-max", "N", &block_max, "longest request, in bytes", 3, 65535 },
        { OPTION_NUMBER, 0, "block-retry", "N", &block_retry,
          "how often a block without an answer is sent again", 0, 100 },
        { OPTION_NUMBER, 0, "timeout", "S", &timeout, "seconds until the first answer", 1, 3600 },
        BUS_OPTIONS_TABLE(&o.bus),
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    const char **words = calloc((size_t)argc + 2, sizeof *words);
    if (!words) return command_fail(EXIT_FAILED, "out of memory");
    int code = command_parse(usage, table, COUNT, argc, argv, words, "...");
    o.file = words[0];
    const char *second = o.file ? words[1] : NULL;
    free(words);
    if (code >= 0) return code;
    o.uds = strcmp(protocol, "uds") == 0;
    o.protocol = (protocol[0] == 'p') ? SENDER_PLAIN : SENDER_HEADER;
    o.profile_name = wanted_profile ? wanted_profile : "isotp-ota";
    if (second)
        return command_fail(
            EXIT_USAGE, "flash: '%s' is one argument too many; isotp-ota flash --help shows how",
            second);
    if (!show && !o.file)
        return command_fail(EXIT_USAGE, "flash: FILE is missing; isotp-ota flash --help shows how");
    char *text = load_profile(o.profile_name, &len, &code);
    if (!text) return code;
    char error[400];
    const bool good = profile_parse(&profile, o.profile_name, text, len, error, sizeof error);
    if (!good) code = command_fail(EXIT_USAGE, "%s", error);
    if (good && show) code = (fwrite(text, 1, len, stdout) == len) ? EXIT_DONE : EXIT_FAILED;
    if (!good || show) {
        free(text);
        return code;
    }
    const bool uds_options = wanted_profile || o.key || o.key_program || o.no_resume || block_max ||
                             block_retry != UINT32_MAX || timeout;
    if (block_max) profile.block_max = block_max;
    if (block_retry != UINT32_MAX) profile.block_retry = block_retry;
    if (timeout) profile.connect_s = timeout;
    o.profile = &profile;
    take_ids(&o.bus, &profile);
    code = check(&o, protocol, uds_options);
    if (code == EXIT_DONE && o.key)
        code = command_read_secret(o.key, o.secret, sizeof o.secret, &o.secret_len);
    o.report = &bundle;
    if (code == EXIT_DONE && report && !report_begin(&bundle, report, argc, argv, &o.bus.bus))
        code = command_fail(EXIT_FAILED, "--report: %s. Nothing was sent", bundle.bundle.error);
    if (code == EXIT_DONE && o.uds) report_file(&bundle, "profile.txt", text, len);
    free(text);
    return code ? code : update(&o, report);
}
