// esp_boot.h - what ESP-IDF's bootloader does at power-on, its faults included; ota_boot.h is ours.
// SPDX-License-Identifier: Apache-2.0
//
//     const esp_boot_cfg_t cfg = { .flash = &flash, .crypto = &crypto, .layout = &layout,
//                                  .chip_id = 5, .chip_rev = 3, .efuse_rev = 100,
//                                  .rollback = true };
//     esp_boot_t boot;
//     esp_boot_choose(&boot, &cfg);
//     if (boot.booted == OTA_NOTHING) reset(); // as ESP-IDF does, and tries again
//     run(boot.booted);
//
// For simulated devices that keep ESP-IDF's bootloader, for tools, and to compare ours with it. The
// same from v5.3 to v6.0. Not here: a "test" partition, the pins for factory reset and test, the
// short way out of deep sleep, secure boot; and whether a segment overwrites the bootloader itself.
//
// Threads: none inside. Memory: esp_boot_t, about 700 bytes, may be on the stack. Time: reads and
// hashes one image, more only if the first one is damaged; at most three records are written.
#ifndef ESP_BOOT_H
#define ESP_BOOT_H

#include "counter.h"
#include "crypto.h"
#include "esp_image.h"
#include "esp_partition.h"
#include "flash.h"
#include "ota_select.h"

typedef struct {
    const flash_t *flash;
    const crypto_t *crypto;
    const esp_layout_t *layout;
    uint16_t chip_id, chip_rev, efuse_rev; // as in esp_image_cfg_t
    bool rollback;                         // CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE
    const counter_t *counter; // CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK, which needs rollback;
                              // NULL: without
} esp_boot_cfg_t;

typedef struct {
    int selected; // read: the slot that the records tell, OTA_FACTORY (also if they tell none), or
                  // OTA_NOTHING if they cannot be read
    int booted;   // read: the slot that starts, OTA_FACTORY or OTA_NOTHING
    esp_image_t image; // read: what starts (version, project)
    uint8_t buf[256];
} esp_boot_t;

/// Chooses, and writes to otadata what ESP-IDF writes: each change erases its sector, then programs
/// 32 bytes. Like there, a flash that refuses that does not change the choice.
void esp_boot_choose(esp_boot_t *b, const esp_boot_cfg_t *cfg);

#endif
