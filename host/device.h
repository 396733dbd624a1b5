// device.h - a simulated ESP32: bootloader, application and receiver over a flash file.
// SPDX-License-Identifier: Apache-2.0
//
//     if (!device_open(&d, &cfg, error, sizeof error)) fail(error);
//     const machine_t machine = device_machine(&d);
//     while ((start = device_start(&d)) != DEVICE_NO_IMAGE && start != DEVICE_POWER_CUT) {
//         if (start == DEVICE_REJECTED) continue; // it failed its self-test and restarts
//         while (!d.file.cut && !(drive(bus, &machine, USEC_NEVER) & RECEIVER_RESTART)) continue;
//     }
//     device_close(&d);
#ifndef DEVICE_H
#define DEVICE_H

#include "access_psa.h"
#include "crypto_psa.h"
#include "drive.h"
#include "efuse_file.h"
#include "flash_file.h"
#include "ota_boot.h"
#include "receiver.h"

typedef struct {
    const char *path;       // the flash file
    uint16_t chip_id;       // ESP_IMAGE_ANY_CHIP: that of the first image found in it
    uint16_t chip_rev;      // ESP_IMAGE_ANY_REV: the lowest that this image asks for
    isotp_cfg_t isotp;      // from the device's side
    isotp_cfg_t functional; // the same for requests to all nodes
    const uint8_t *secret;  // of SecurityAccess; NULL: nothing is locked
    size_t secret_len;
    uint8_t block_size;  // as in receiver_cfg_t
    uint8_t stmin;       // as in receiver_cfg_t
    bool fail_self_test; // an application on trial finds that it does not work
    double slowness;     // as in flash_file_t
    uint32_t cut_at;     // as in flash_file_t
    const char *efuse;   // the file with the security counter; NULL: no anti-rollback
    const char *project; // as in ota_cfg_t
    unsigned attempts;   // as in ota_cfg_t
    bool idf_bootloader; // start as ESP-IDF's bootloader does, with rollback
} device_cfg_t;

enum { DEVICE_RING = 8192, DEVICE_NOTES = 3, DEVICE_NOTE_MAX = 9 };

/// What a tester wrote by data identifier; survives a restart, as in a real device's NVS.
typedef struct {
    uint16_t did;
    size_t len;
    uint8_t bytes[DEVICE_NOTE_MAX];
} device_note_t;

typedef struct {
    device_cfg_t cfg;
    flash_file_t file;
    flash_t flash;
    crypto_psa_t psa;
    crypto_t crypto;
    esp_layout_t layout;
    efuse_file_t efuse_file;
    counter_t efuse;
    ota_cfg_t ota;   // read: chip_id, running
    ota_boot_t boot; // read: what the bootloader found
    access_psa_t access_psa;
    access_t access;
    ident_t ident;
    device_note_t note[DEVICE_NOTES];
    receiver_cfg_t receiver_cfg;
    receiver_t receiver; // read
    uint8_t ring[DEVICE_RING];
} device_t;

/// Opens the flash file, reads its partition table, finds out what chip this is.
bool device_open(device_t *d, const device_cfg_t *cfg, char *error, size_t cap);
void device_close(device_t *d);

typedef enum {
    DEVICE_NO_IMAGE,       // nothing bootable
    DEVICE_RUNS,           // the application of slot boot.slot runs
    DEVICE_RUNS_CONFIRMED, // the same, after a self-test that confirmed it
    DEVICE_REJECTED,       // it failed its self-test and restarts: call device_start() again
    DEVICE_POWER_CUT,      // as asked by cut_at
} device_start_t;

/// Power-on or restart: the bootloader chooses, the application tests itself if it is on trial, the
/// receiver starts.
device_start_t device_start(device_t *d);

/// The receiver, for drive().
machine_t device_machine(device_t *d);

#endif
