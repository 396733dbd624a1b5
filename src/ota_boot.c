// ota_boot.c - slot choice at power-on: see ota_boot.h.
// SPDX-License-Identifier: Apache-2.0
//
//   active record NEW, started less than `attempts` times  ->  mark it, start it on trial
//   active record NEW, had its chances                     ->  ABORTED; the next in order
//   active record PENDING                                  ->  the same (ESP-IDF started it)
//   the same, but marked as confirmed                      ->  start it, finish the confirmation
//   any other, or none           ->  the first slot in ota_select_order() that is right
//   started slot is not the active one  ->  a record says so; but not when something could not be
//                                           read, or that slot was rejected
//   a confirmed one starts       ->  the counter is raised to its secure version
#include "ota_boot.h"

typedef enum { INTACT, DAMAGED, UNREADABLE } verdict_t;

static verdict_t verify(ota_boot_t *b, const ota_cfg_t *cfg, esp_extent_t where)
{
    const esp_image_cfg_t image_cfg = {
        .chip_id = cfg->chip_id,
        .chip_rev = cfg->chip_rev,
        .efuse_rev = cfg->efuse_rev,
        .at = where.at,
        .cap = where.size,
        .strict = true,
    };
    esp_image_init(&b->image, &image_cfg, cfg->crypto);
    if (esp_image_read(&b->image, cfg->flash, b->buf, sizeof b->buf) != 0) return UNREADABLE;
    return esp_image_finish(&b->image) == ESP_IMAGE_OK ? INTACT : DAMAGED;
}

static bool trial_failed(const ota_record_t *r, unsigned attempts)
{
    return ota_select_on_trial(r) &&
           (r->state == OTA_STATE_PENDING || r->starts >= (attempts ? attempts : 1));
}

// An update on trial that had its chances and was not confirmed has failed. It may be true of both
// records, if ESP-IDF's bootloader wrote them.
static void end_failed_trials(ota_boot_t *b, const ota_cfg_t *cfg, ota_select_t *sel)
{
    while (sel->active >= 0 && trial_failed(&sel->record[sel->active], cfg->attempts)) {
        ota_record_t *r = &sel->record[sel->active];
        if (b->gave_up == OTA_NOTHING) b->gave_up = (int)r->slot;
        (void)ota_select_reject(cfg->flash, cfg->layout, OTA_STATE_ABORTED);
        r->state = OTA_STATE_ABORTED; // decided, even if the flash would not take it
        ota_select_rule(sel);
    }
}

// Says on flash what was chosen. The counter is raised last: nothing depends any more on what it
// shuts out.
static void record_choice(ota_boot_t *b, const ota_cfg_t *cfg, uint32_t minimum)
{
    const flash_t *flash = cfg->flash;
    const counter_t *counter = cfg->counter;
    ota_select_t sel;
    (void)ota_select_settle(flash, cfg->layout, b->slot);
    if (ota_select_read(flash, cfg->layout, &sel) != 0) return;
    if (b->slot >= 0 && !ota_select_ruling(&sel, b->slot) && !ota_select_rejects(&sel, b->slot)) {
        (void)ota_select_overrule(flash, cfg->layout, (unsigned)b->slot);
        if (ota_select_read(flash, cfg->layout, &sel) != 0) return;
    }
    const ota_record_t *r = ota_select_ruling(&sel, b->slot);
    if (r && ota_select_on_trial(r)) // PENDING: it had its start, but the one after it is damaged
        b->on_trial =
            r->state == OTA_STATE_PENDING || ota_select_mark_start(flash, cfg->layout) == 0;
    else if (r && r->state == OTA_STATE_VALID && counter && b->image.secure_version > minimum)
        (void)counter->raise(counter->ctx, b->image.secure_version);
}

void ota_boot_choose(ota_boot_t *b, const ota_cfg_t *cfg)
{
    ota_select_t sel = { .active = -1, .newest = -1 };
    int order[ESP_PARTITION_SLOTS_MAX + 1];
    uint32_t minimum = 0;
    b->slot = b->gave_up = b->damaged = OTA_NOTHING;
    b->on_trial = false;
    // Not knowing what is too old, nothing can be started.
    if (cfg->counter && cfg->counter->read(cfg->counter->ctx, &minimum) != 0) return;
    bool readable = ota_select_read(cfg->flash, cfg->layout, &sel) == 0;
    if (readable) end_failed_trials(b, cfg, &sel);
    const unsigned count = ota_select_order(&sel, cfg->layout, order);
    for (unsigned i = 0; i < count && b->slot == OTA_NOTHING; i++) {
        verdict_t verdict = verify(b, cfg, ota_select_extent(cfg->layout, order[i]));
        if (verdict == INTACT && b->image.secure_version < minimum) verdict = DAMAGED;
        if (verdict == INTACT) b->slot = order[i];
        if (verdict == UNREADABLE) readable = false;
        if (verdict != INTACT && i == 0) b->damaged = order[i];
    }
    // A choice made because something could not be read is for once.
    if (readable && b->slot != OTA_NOTHING) record_choice(b, cfg, minimum);
}
