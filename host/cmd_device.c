// cmd_device.c - isotp-ota device: a simulated ESP32 on the bus, and its boot log.
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "device.h"
#include "esp_text.h"
#include "flash_image.h"
#include "ota_select.h"
#include "partition_csv.h"

#include <stdlib.h>

typedef struct {
    bus_options_t bus;
    const char *flash, *partitions, *app, *chip, *efuse, *project, *key;
    bool create, force, fail_self_test, idf_bootloader;
    uint32_t block_size, cut_at, chip_rev, attempts;
    double slowness, stmin_ms;
    uint8_t stmin; // coded
} device_options_t;

// What menuconfig's "Factory app, two OTA definitions" would be without the factory app, for 4 MB of flash.
static const char default_partitions[] =
    "nvs,      data, nvs,  0x9000,  0x4000\n"
    "otadata,  data, ota,  0xd000,  0x2000\n"
    "phy_init, data, phy,  0xf000,  0x1000\n"
    "ota_0,    app,  ota_0, 0x10000, 1M\n"
    "ota_1,    app,  ota_1, 0x110000, 1M\n";

// --- Boot log ---

static const char *slot_name(int slot, char name[16])
{
    if (slot == OTA_FACTORY) return "factory";
    snprintf(name, 16, "ota_%d", slot);
    return name;
}

static void print_boot(const device_t *d, device_start_t start)
{
    char name[16], app[COMMAND_APP_CAP];
    const ota_boot_t *b = &d->boot;
    if (b->gave_up != OTA_NOTHING)
        printf("boot: %s was started and never confirmed: rejected\n", slot_name(b->gave_up, name));
    if (b->damaged != OTA_NOTHING)
        printf("boot: %s holds no intact image that may run, trying the next\n",
               slot_name(b->damaged, name));
    if (b->slot == OTA_NOTHING || start == DEVICE_POWER_CUT) return;
    printf("running partition: %s\n", slot_name(b->slot, name));
    printf("app: %s\n", command_app(b->image.project, b->image.version, app));
    if (start == DEVICE_RUNS_CONFIRMED)
        printf("self-test: passed, %s is confirmed\n", slot_name(b->slot, name));
    if (start == DEVICE_REJECTED)
        printf("self-test: FAILED, %s is rejected; restarting\n", slot_name(b->slot, name));
}

// The bootloader and the self-test, until an application stays.
static int boot(device_t *d)
{
    for (;;) {
        const device_start_t start = device_start(d);
        print_boot(d, start);
        fflush(stdout);
        switch (start) {
        case DEVICE_RUNS:
        case DEVICE_RUNS_CONFIRMED: return EXIT_DONE;
        case DEVICE_REJECTED: break;
        case DEVICE_POWER_CUT: return EXIT_DONE;
        case DEVICE_NO_IMAGE:
            return command_fail(EXIT_FAILED,
                                "%s: no slot holds an intact image for this chip: nothing boots",
                                d->cfg.path);
        }
    }
}

// --- Serving ---

static const char *result_text(const receiver_t *r, char *text, size_t cap)
{
    if (r->ota.err == OTA_ERR_IMAGE) {
        esp_text_image_why(&r->ota.image, text, cap);
        return text;
    }
    int exit_code;
    const char *known = command_result((uint8_t)r->result, &exit_code);
    return known ? known : "reason unknown";
}

static void print_start(const receiver_t *r)
{
    static const char *const protocols[] = { "plain", "header", "uds" };
    char name[16];
    printf("update: started (%s), writing %s", protocols[r->protocol],
           slot_name((int)r->ota.slot, name));
    if (r->received > 0 && r->protocol == RECEIVER_UDS) printf(" from byte %u on", r->received);
    putchar('\n');
}

static void print_events(const device_t *d, unsigned events)
{
    char name[16], text[200];
    const receiver_t *r = &d->receiver;
    if (events & RECEIVER_STARTED) print_start(r);
    if (events & RECEIVER_FAILED)
        printf("update: failed after %u bytes (%s); %s stays\n", r->received,
               result_text(r, text, sizeof text), slot_name(d->boot.slot, name));
    if (events & RECEIVER_COMPLETE)
        printf("update: complete, %u bytes verified in %s\n", r->received,
               slot_name((int)r->ota.slot, name));
    fflush(stdout);
}

static int serve(device_t *d, bus_t *bus, const device_options_t *o)
{
    char error[256];
    const machine_t machine = device_machine(d);
    const char *channel = o->bus.bus.channel ? o->bus.bus.channel : getenv("CAN_CHANNEL");
    printf("listening on %s: %X, answering on %X\n", channel, o->bus.host_id.id,
           o->bus.device_id.id);
    fflush(stdout);
    while (!drive_stopped()) {
        const unsigned events = drive(bus, &machine, USEC_NEVER);
        if (d->file.cut) return EXIT_DONE;
        print_events(d, events);
        if (!(events & RECEIVER_RESTART)) continue;
        printf("restarting\n");
        if (!bus_restart(bus, error, sizeof error)) // the CAN controller of a chip is reset, too
            return command_fail(EXIT_NO_ANSWER, "%s", error);
        const int code = boot(d);
        if (code != EXIT_DONE || d->file.cut) return code;
    }
    return EXIT_DONE;
}

// --- Creating a flash file ---

static int create(const device_options_t *o, uint16_t chip_id)
{
    char error[FLASH_IMAGE_ERROR_CAP];
    uint8_t table[ESP_PARTITION_TABLE_LEN];
    crypto_psa_t psa;
    crypto_t crypto;
    if (!crypto_psa_init(&psa, &crypto))
        return command_fail(EXIT_FAILED, "the crypto library did not start");
    const char *csv = default_partitions, *csv_name = "the built-in partition table";
    uint32_t csv_len = sizeof default_partitions - 1, app_len, len;
    uint8_t *csv_file = NULL, *app = NULL, *bytes = NULL;
    int code = EXIT_BAD_IMAGE;
    if (o->partitions) {
        csv_file = command_read_file(o->partitions, &csv_len, error, sizeof error);
        if (!csv_file) {
            command_fail(code, "%s: %s", o->partitions, error);
            goto done;
        }
        csv = (const char *)csv_file;
        csv_name = o->partitions;
    }
    const partition_csv_cfg_t cfg = { .crypto = &crypto };
    if (!partition_csv_parse(&cfg, csv, csv_len, table, error, sizeof error)) {
        command_fail(code, "%s: %s", csv_name, error);
        goto done;
    }
    app = command_read_file(o->app, &app_len, error, sizeof error);
    if (app)
        bytes = flash_image_build(
            &(flash_image_cfg_t){
                .crypto = &crypto,
                .table = table,
                .part =
                    &(flash_image_part_t){ .name = "the application", .p = app, .len = app_len },
                .parts = 1,
                .chip_id = chip_id },
            &len, error, sizeof error);
    if (!bytes) {
        command_fail(code, "%s: %s", o->app, error);
        goto done;
    }
    code = command_write_file(o->flash, bytes, len, o->force);
    if (code != EXIT_DONE) goto done;
    printf("created %s: %u MB of flash with %s in it\n", o->flash, len >> 20, o->app);
    fflush(stdout);
done:
    free(csv_file);
    free(app);
    free(bytes);
    return code;
}

// --- Command ---

static int run(const device_options_t *o, uint16_t chip_id)
{
    static device_t device;
    char error[256];
    uint8_t secret[ACCESS_SECRET_MAX];
    size_t secret_len = 0;
    if (o->key && command_read_secret(o->key, secret, sizeof secret, &secret_len))
        return EXIT_USAGE;
    device_cfg_t cfg = {
        .path = o->flash,
        .chip_id = chip_id,
        .chip_rev = (uint16_t)o->chip_rev,
        .isotp = command_isotp(&o->bus, true),
        .functional = command_functional(&o->bus, true),
        .secret = o->key ? secret : NULL,
        .secret_len = secret_len,
        .block_size = (uint8_t)o->block_size,
        .stmin = o->stmin,
        .fail_self_test = o->fail_self_test,
        .slowness = o->slowness,
        .cut_at = o->cut_at,
        .efuse = o->efuse,
        .project = o->project,
        .attempts = o->attempts,
        .idf_bootloader = o->idf_bootloader,
    };
    if (!device_open(&device, &cfg, error, sizeof error))
        return command_fail(EXIT_BAD_IMAGE, "%s", error);
    int code = EXIT_NO_ANSWER;
    bus_t *bus = command_open_bus(&o->bus, &code, error, sizeof error);
    if (!bus) command_fail(code, "%s", error);
    if (bus) {
        drive_catch_signals();
        printf("simulated %s\n", esp_text_chip(device.ota.chip_id));
        code = boot(&device);
        if (code == EXIT_DONE && !device.file.cut) code = serve(&device, bus, o);
        if (device.file.cut) printf("power cut in flash operation %u\n", device.file.operation);
    }
    bus_close(bus);
    device_close(&device);
    return code;
}

// STmin as the standard codes it (9.6.5.4). False: there is no code for that.
static bool code_stmin(double ms, uint8_t *code)
{
    if (ms > 127) return false;
    const unsigned tenths = (unsigned)(ms * 10 + 0.5);
    *code = isotp_stmin(tenths * 100);
    return (tenths < 10 || tenths % 10 == 0) && ms * 10 == tenths;
}

int cmd_device(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota device --flash FILE [options]\n\n"
        "Is an ESP32 on the bus, with the flash dump FILE as its memory: boots as a real one would, takes\n"
        "updates, restarts into them. Ends at SIGINT or SIGTERM. With --create and no channel it only\n"
        "creates FILE.\n";
    device_options_t o = { .bus = BUS_OPTIONS_DEFAULT,
                           .chip_rev = ESP_IMAGE_ANY_REV,
                           .attempts = 1 };
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_TEXT, 'f', "flash", "FILE", &o.flash, "the flash dump", 0, 0 },
        { OPTION_FLAG, 0, "create", NULL, &o.create, "make FILE first", 0, 0 },
        { OPTION_TEXT, 0, "partitions", "FILE", &o.partitions,
          "its partition table (ESP-IDF's CSV, or binary);\ndefault: two slots of 1 MB", 0, 0 },
        { OPTION_TEXT, 0, "app", "IMAGE", &o.app, "the application in its first slot", 0, 0 },
        { OPTION_FLAG, 0, "force", NULL, &o.force, "overwrite FILE if it exists", 0, 0 },
        { OPTION_TEXT, 0, "chip", "NAME", &o.chip,
          "esp32, esp32c3, ...; default: what the application is for", 0, 0 },
        { OPTION_NUMBER, 0, "chip-rev", "N", &o.chip_rev,
          "revision of the chip, v1.2 is 102;\ndefault: the lowest that the application asks for",
          0, 65534 },
        { OPTION_TEXT, 0, "efuse", "FILE", &o.efuse,
          "anti-rollback: firmware with a lower secure version\nthan FILE counts is refused; made if missing",
          0, 0 },
        { OPTION_TEXT, 0, "project", "NAME", &o.project, "firmware of another project is refused",
          0, 0 },
        { OPTION_TEXT, 0, "key", "FILE", &o.key,
          "only who has this secret can update, by UDS (SecurityAccess):\n16 to 64 bytes, as hexadecimal digits",
          0, 0 },
        { OPTION_NUMBER, 0, "attempts", "N", &o.attempts,
          "starts in which new firmware may confirm itself,\n1 to 3; default 1", 1,
          OTA_STARTS_MAX },
        { OPTION_FLAG, 0, "idf-bootloader", NULL, &o.idf_bootloader,
          "start as ESP-IDF's bootloader does, its faults included", 0, 0 },
        { OPTION_NUMBER, 0, "bs", "N", &o.block_size,
          "block size we ask the sender for; default 0: no limit", 0, 255 },
        { OPTION_REAL, 0, "stmin", "MS", &o.stmin_ms,
          "gap we ask the sender for, 0.1, 0.2 to 0.9 or whole up to 127", 0, 0 },
        { OPTION_HEADING, 0, "Trouble to make", NULL, NULL, NULL, 0, 0 },
        { OPTION_FLAG, 0, "fail-self-test", NULL, &o.fail_self_test,
          "new firmware finds that it does not work", 0, 0 },
        { OPTION_NUMBER, 0, "cut-power", "N", &o.cut_at,
          "the power fails in the middle of the N-th flash operation", 1, UINT32_MAX },
        { OPTION_REAL, 0, "slow-flash", "X", &o.slowness,
          "1: typical times of a W25Q flash (45 ms a sector),\n9: its limits; default 0: no delay",
          0, 0 },
        BUS_OPTIONS_TABLE(&o.bus),
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    int code = command_parse(usage, table, COUNT, argc, argv, NULL, "");
    if (code >= 0) return code;
    if (!o.flash) return command_fail(EXIT_USAGE, "device: --flash FILE is missing");
    if (o.create && !o.app) return command_fail(EXIT_USAGE, "device: --create needs --app IMAGE");
    if (!o.create && (o.app || o.partitions || o.force))
        return command_fail(EXIT_USAGE, "device: --app, --partitions and --force go with --create");
    if (!code_stmin(o.stmin_ms, &o.stmin))
        return command_fail(EXIT_USAGE, "device: --stmin: 0.1, 0.2 to 0.9, or whole up to 127");
    uint16_t chip_id;
    code = command_chip("device", o.chip, &chip_id);
    if (code == EXIT_DONE) code = command_check_bus(&o.bus);
    if (code) return code;
    if (o.create) {
        code = create(&o, chip_id);
        const bool no_bus = !o.bus.bus.channel && !getenv("CAN_CHANNEL");
        if (code != EXIT_DONE || no_bus) return code;
    }
    return run(&o, chip_id);
}
