// ota_slot.h - what a slot holds, told at once: from its headers and its boot record, not verified.
// SPDX-License-Identifier: Apache-2.0
//
//     ota_slot_t slot;
//     if (ota_slot_read(&cfg, 0, &slot)) fail("flash");
//     if (slot.len > 0) show(slot.project, slot.version, slot.state);
//
// Threads: none inside. Memory: none but the caller's. Time: at most 22 short reads of flash.
#ifndef OTA_SLOT_H
#define OTA_SLOT_H

#include "ota.h"

enum { OTA_SLOT_NO_RECORD = 0xFF, OTA_SLOT_TEXT = 32 };

typedef struct {
    uint32_t size; // bytes of the partition; 0: there is none
    uint32_t len;  // of the image in it by its own headers; 0: none
    uint8_t state; // OTA_STATE_NEW..ABORTED of the last record about it, or OTA_SLOT_NO_RECORD
    uint32_t secure_version;
    uint8_t digest[CRYPTO_SHA256_LEN]; // SHA-256 appended to the image; zeros: none
    char version[OTA_SLOT_TEXT], project[OTA_SLOT_TEXT]; // padded with NUL, not ended; zeros: none
} ota_slot_t;

/// Of a slot, or OTA_FACTORY. Returns 0 or the flash's error.
int ota_slot_read(const ota_cfg_t *cfg, int slot, ota_slot_t *out);

#endif
