// device.c - a simulated ESP32: see device.h.
// SPDX-License-Identifier: Apache-2.0
#include "device.h"

#include "esp_boot.h"
#include "esp_text.h"
#include "ota_select.h"

#include <stdio.h>

// The image's own claim, verified or not: it only tells what chip the dump comes from.
static bool read_header(const device_t *d, esp_extent_t where, esp_image_t *image)
{
    const esp_image_cfg_t any = {
        .chip_id = ESP_IMAGE_ANY_CHIP,
        .chip_rev = ESP_IMAGE_ANY_REV,
        .efuse_rev = ESP_IMAGE_ANY_REV,
        .at = where.at,
        .cap = where.size,
    };
    uint8_t header[ESP_IMAGE_HEADER_LEN];
    if (where.size == 0 || d->flash.read(d->flash.ctx, where.at, header, sizeof header) != 0)
        return false;
    esp_image_init(image, &any, NULL);
    return esp_image_input(image, header, sizeof header) == ESP_IMAGE_OK;
}

static bool find_chip(device_t *d, char *error, size_t cap)
{
    esp_image_t image;
    bool found = read_header(d, d->layout.factory, &image);
    for (unsigned i = 0; i < d->layout.slots && !found; i++)
        found = read_header(d, d->layout.slot[i], &image);
    d->ota = (ota_cfg_t){ .flash = &d->flash,
                          .crypto = &d->crypto,
                          .layout = &d->layout,
                          .counter = d->cfg.efuse ? &d->efuse : NULL,
                          .project = d->cfg.project,
                          .attempts = d->cfg.attempts,
                          .running = OTA_NOTHING,
                          .chip_id = d->cfg.chip_id,
                          .chip_rev = d->cfg.chip_rev,
                          .efuse_rev = ESP_IMAGE_ANY_REV };
    if (!found && d->ota.chip_id == ESP_IMAGE_ANY_CHIP) {
        snprintf(error, cap, "%s: no slot holds an application image: nothing to boot",
                 d->cfg.path);
        return false;
    }
    if (d->ota.chip_id == ESP_IMAGE_ANY_CHIP) d->ota.chip_id = image.chip_id;
    if (d->ota.chip_rev == ESP_IMAGE_ANY_REV) d->ota.chip_rev = found ? image.min_rev : 0;
    return true;
}

// --- What it says about itself ---

static size_t read_ident(void *ctx, uint16_t did, uint8_t *p, size_t cap)
{
    static const struct {
        uint16_t did;
        const char *text;
    } fixed[] = {
        { UDS_DID_BOOT_SOFTWARE, "\x01isotp-ota bootloader" },
        { UDS_DID_SPARE_PART_NUMBER, "SIM-0001" },
        { UDS_DID_SOFTWARE_NUMBER, "SIM-SW-01" },
        { UDS_DID_SERIAL_NUMBER, "00000001" },
        { UDS_DID_VIN, "SIMULATEDVEH00001" },
        { UDS_DID_HARDWARE_NUMBER, "SIM-HW-01" },
        { UDS_DID_SUPPLIER_HARDWARE_VERSION, "1.0" },
    };
    const device_t *d = ctx;
    for (size_t i = 0; i < DEVICE_NOTES; i++) {
        if (d->note[i].did != did || d->note[i].len > cap) continue;
        memcpy(p, d->note[i].bytes, d->note[i].len);
        return d->note[i].len;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const size_t len = strlen(fixed[i].text);
        if (fixed[i].did != did || len > cap) continue;
        memcpy(p, fixed[i].text, len);
        return len;
    }
    return 0;
}

static bool write_ident(void *ctx, uint16_t did, const uint8_t *p, size_t len)
{
    device_t *d = ctx;
    size_t i = 0;
    while (i < DEVICE_NOTES && d->note[i].len > 0 && d->note[i].did != did)
        i++;
    if (i == DEVICE_NOTES || len > DEVICE_NOTE_MAX) return false;
    d->note[i].did = did;
    d->note[i].len = len;
    memcpy(d->note[i].bytes, p, len);
    return true;
}

// --- Life ---

bool device_open(device_t *d, const device_cfg_t *cfg, char *error, size_t cap)
{
    memset(d, 0, sizeof *d);
    d->cfg = *cfg;
    if (!flash_file_open(&d->file, cfg->path, &d->flash, error, cap)) return false;
    d->file.slowness = cfg->slowness;
    d->file.cut_at = cfg->cut_at;
    d->ident = (ident_t){ d, read_ident, write_ident };
    if (!crypto_psa_init(&d->psa, &d->crypto) ||
        (cfg->secret &&
         !access_psa_init(&d->access_psa, cfg->secret, cfg->secret_len, &d->access))) {
        snprintf(error, cap, "the crypto library did not start");
        device_close(d);
        return false;
    }
    if (cfg->efuse && !efuse_file_open(&d->efuse_file, cfg->efuse, &d->efuse, error, cap)) {
        device_close(d);
        return false;
    }
    const esp_partition_err_t err =
        esp_partition_layout(&d->flash, &d->crypto, ESP_PARTITION_TABLE_AT, &d->layout);
    if (err != ESP_PARTITION_OK)
        snprintf(error, cap, "%s: partition table at 0x8000: %s", cfg->path,
                 esp_text_partition_err(err));
    if (err == ESP_PARTITION_OK && find_chip(d, error, cap)) return true;
    device_close(d);
    return false;
}

void device_close(device_t *d) { flash_file_close(&d->file); }

// What it writes tells whether the application is on trial; it reports nothing else.
static void choose_as_esp_idf(device_t *d)
{
    const esp_boot_cfg_t cfg = { .flash = &d->flash,
                                 .crypto = &d->crypto,
                                 .layout = &d->layout,
                                 .chip_id = d->ota.chip_id,
                                 .chip_rev = d->ota.chip_rev,
                                 .efuse_rev = d->ota.efuse_rev,
                                 .rollback = true,
                                 .counter = d->ota.counter };
    esp_boot_t boot;
    ota_select_t sel;
    esp_boot_choose(&boot, &cfg);
    d->boot.slot = boot.booted;
    d->boot.gave_up = d->boot.damaged = OTA_NOTHING;
    d->boot.image = boot.image;
    const bool readable = ota_select_read(&d->flash, &d->layout, &sel) == 0;
    const ota_record_t *r = readable ? ota_select_ruling(&sel, boot.booted) : NULL;
    d->boot.on_trial = r && ota_select_on_trial(r);
}

device_start_t device_start(device_t *d)
{
    const ota_cfg_t *ota = &d->receiver_cfg.ota;
    if (d->cfg.idf_bootloader)
        choose_as_esp_idf(d);
    else
        ota_boot_choose(&d->boot, &d->ota);
    if (d->file.cut) return DEVICE_POWER_CUT;
    if (d->boot.slot == OTA_NOTHING) return DEVICE_NO_IMAGE;
    d->ota.running = d->boot.slot;
    d->receiver_cfg = (receiver_cfg_t){
        .isotp = d->cfg.isotp,
        .ota = d->ota,
        .block_size = d->cfg.block_size,
        .stmin = d->cfg.stmin,
        .functional = d->cfg.functional,
        .access = d->cfg.secret ? &d->access : NULL,
        .ident = &d->ident,
        .flash_pause = (uint32_t)(FLASH_FILE_LONGEST * d->cfg.slowness),
    };
    receiver_init(&d->receiver, &d->receiver_cfg, d->ring, sizeof d->ring, bus_clock());
    if (!d->boot.on_trial) return DEVICE_RUNS;
    const int err = d->cfg.fail_self_test ? ota_reject(ota) : ota_confirm(ota);
    if (d->file.cut) return DEVICE_POWER_CUT;
    if (d->cfg.fail_self_test)
        return DEVICE_REJECTED; // if that could not be recorded, the bootloader gives up on it
    return err ? DEVICE_RUNS : DEVICE_RUNS_CONFIRMED;
}

MACHINE_VERBS(receiver);

machine_t device_machine(device_t *d) { return MACHINE(receiver, &d->receiver); }
