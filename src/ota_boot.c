// ota_boot.c - slot choice at power-on: see ota_boot.h.
// SPDX-License-Identifier: Apache-2.0
//
//   active record NEW, never started    ->  mark it as started, start it on trial
//   active record NEW, started before   ->  ABORTED: it had its chance; the next in order
//   active record PENDING               ->  the same (ESP-IDF's bootloader started it)
//   the same, but marked as confirmed   ->  start it, and finish what ota_confirm() began
//   any other, or none                  ->  the first slot in ota_select_order() that is right
//   started slot is not the active one  ->  a VALID record, which says again what runs; but not
//                                           when something could not be read, or it was rejected
#include "ota_boot.h"

typedef enum { INTACT, DAMAGED, UNREADABLE } verdict_t;

static verdict_t verify(ota_boot_t *b, const flash_t *flash, const crypto_t *crypto,
                        esp_extent_t where, const ota_boot_chip_t *chip)
{
    const esp_image_cfg_t cfg = {
        .chip_id = chip->id,
        .chip_rev = chip->rev,
        .efuse_rev = chip->efuse_rev,
        .at = where.at,
        .cap = where.size,
        .strict = true,
    };
    esp_image_init(&b->image, &cfg, crypto);
    for (uint32_t at = 0; !esp_image_complete(&b->image); at += (uint32_t)sizeof b->buf) {
        if (at >= where.size) return DAMAGED;
        const uint32_t len = (uint32_t)smaller(sizeof b->buf, where.size - at);
        if (flash->read(flash->ctx, where.at + at, b->buf, len) != 0) return UNREADABLE;
        if (esp_image_input(&b->image, b->buf, len) != ESP_IMAGE_OK) return DAMAGED;
    }
    return esp_image_finish(&b->image) == ESP_IMAGE_OK ? INTACT : DAMAGED;
}

static bool trial_failed(const ota_record_t *r)
{
    return ota_select_on_trial(r) && (r->state == OTA_STATE_PENDING || r->starts > 0);
}

// An update on trial that was started before and not confirmed has failed. It may be true of both
// records, if ESP-IDF's bootloader wrote them.
static void end_failed_trials(ota_boot_t *b, const flash_t *flash, const esp_layout_t *layout,
                              ota_select_t *sel)
{
    while (sel->active >= 0 && trial_failed(&sel->record[sel->active])) {
        ota_record_t *r = &sel->record[sel->active];
        if (b->gave_up == OTA_NOTHING) b->gave_up = (int)r->slot;
        (void)ota_select_reject(flash, layout, OTA_STATE_ABORTED);
        r->state = OTA_STATE_ABORTED; // decided, even if the flash would not take it
        ota_select_rule(sel);
    }
}

void ota_boot_choose(ota_boot_t *b, const flash_t *flash, const crypto_t *crypto,
                     const esp_layout_t *layout, const ota_boot_chip_t *chip)
{
    ota_select_t sel = { .active = -1, .newest = -1 };
    int order[ESP_PARTITION_SLOTS_MAX + 1];
    b->slot = b->gave_up = b->damaged = OTA_NOTHING;
    b->on_trial = false;
    bool readable = ota_select_read(flash, layout, &sel) == 0;
    if (readable) end_failed_trials(b, flash, layout, &sel);
    const unsigned count = ota_select_order(&sel, layout, order);
    for (unsigned i = 0; i < count && b->slot == OTA_NOTHING; i++) {
        const esp_extent_t where =
            (order[i] == OTA_FACTORY) ? layout->factory : layout->slot[order[i]];
        const verdict_t verdict = verify(b, flash, crypto, where, chip);
        if (verdict == INTACT) b->slot = order[i];
        if (verdict == UNREADABLE) readable = false;
        if (verdict != INTACT && i == 0) b->damaged = order[i];
    }
    // A choice made because something could not be read is for once.
    if (!readable || b->slot < 0) return;
    const ota_record_t *r = (sel.active >= 0) ? &sel.record[sel.active] : NULL;
    const bool about_it = r && (int)r->slot == b->slot;
    if (about_it && ota_select_on_trial(r))
        b->on_trial = ota_select_mark_start(flash, layout) == 0;
    else if (about_it ? r->confirmed : !ota_select_rejects(&sel, b->slot))
        (void)ota_select_append(flash, layout, (unsigned)b->slot, OTA_STATE_VALID);
}
