// ota_boot.h - a bootloader's choice at power-on: the slot to start. Cleans up failed updates.
// SPDX-License-Identifier: Apache-2.0
//
//     ota_boot_t boot;
//     ota_boot_choose(&boot, &cfg); // cfg: as for ota_init(), `running` is not looked at
//     if (boot.slot == OTA_NOTHING) halt();
//     jump_to(boot.slot); // if boot.on_trial, it must call ota_confirm() or ota_reject()
//
// Threads: none inside. Memory: ota_boot_t, about 700 bytes, may be on the stack. Time: reads and
// hashes one image, more only if the first one is damaged; writes otadata only when there is
// something to mend or to count.
#ifndef OTA_BOOT_H
#define OTA_BOOT_H

#include "ota.h"
#include "ota_select.h"

typedef struct {
    int slot;      // read: slot to start, OTA_FACTORY, or OTA_NOTHING
    bool on_trial; // read: it must call ota_confirm(), or the next start takes another one
    int gave_up;   // read: slot started, never confirmed, now rejected; OTA_NOTHING: none
    int damaged;   // read: slot that should have started, its image not right, or older than the
                   // counter allows; OTA_NOTHING: none
    esp_image_t image; // read: the chosen image (version, project)
    uint8_t buf[256];
} ota_boot_t;

/// Chooses. A slot is started only after its whole image was verified, and only if it is not older
/// than the counter allows. Writes otadata only where there is something to mend or to count, and
/// raises the counter to a confirmed image's secure version. Flash errors meanwhile do not stop the
/// boot: the next one tries again.
void ota_boot_choose(ota_boot_t *b, const ota_cfg_t *cfg);

#endif
