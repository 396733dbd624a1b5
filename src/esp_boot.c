// esp_boot.c - ESP-IDF's choice at power-on: see esp_boot.h.
// SPDX-License-Identifier: Apache-2.0
//
//   rollback: a record that is PENDING          ->  ABORTED, even if its CRC is wrong
//   the valid record with the higher seq        ->  its slot first; the first one if both are equal
//                        NEW, with rollback     ->  PENDING, before its image is looked at
//                      VALID, anti-rollback     ->  the counter rises, likewise
//   none, no factory, both silent               ->  ota_0 first
//   none otherwise                              ->  the factory image first
//   blank or damaged records, and that choice   ->  what started gets a VALID record in sector 0
//
// From the first one down to ota_0, the factory image, then up. A record is silent if it is blank
// or rejected, its CRC aside: beside a damaged one that is not, nothing is ever healed.
#include "esp_boot.h"

#include "crc32.h"
#include "esp_chip.h"

enum { AT_STATE = 24, AT_CRC = 28 };
#define SEQ_BLANK       UINT32_MAX
#define LOAD_ADDR_FIRST UINT32_C(0x10000000) // segments for lower addresses are loaded nowhere

// --- Records: ESP-IDF's rules, which take a seq of 0 and any state ---

static bool is_used(const uint8_t *raw)
{
    return load_le32(raw) != SEQ_BLANK && load_le32(raw + AT_CRC) == crc32_of(0, raw, 4);
}

static bool is_silent(const uint8_t *raw)
{
    const uint32_t state = load_le32(raw + AT_STATE);
    return load_le32(raw) == SEQ_BLANK || state == OTA_STATE_INVALID || state == OTA_STATE_ABORTED;
}

static uint32_t record_at(const esp_boot_cfg_t *cfg, uint32_t i)
{
    return cfg->layout->otadata_at + i * cfg->flash->sector_size;
}

static void write_record(const esp_boot_cfg_t *cfg, uint32_t i, const uint8_t *raw)
{
    const uint32_t at = record_at(cfg, i);
    if (cfg->flash->erase(cfg->flash->ctx, at) == 0)
        (void)cfg->flash->prog(cfg->flash->ctx, at, raw, OTA_RECORD_LEN);
}

static void write_state(const esp_boot_cfg_t *cfg, uint32_t i, uint8_t *raw, uint32_t state)
{
    store_le32(raw + AT_STATE, state);
    write_record(cfg, i, raw);
}

static int slot_of(const esp_boot_cfg_t *cfg, const uint8_t *raw)
{
    return (int)((load_le32(raw) - 1) % cfg->layout->slots);
}

// --- Anti-rollback: the version in the descriptor, before anything else of the image is checked ---

static bool read_versions(const esp_boot_cfg_t *cfg, esp_extent_t where, uint32_t *image,
                          uint32_t *least)
{
    uint8_t desc[8];
    const flash_t *flash = cfg->flash;
    if (flash->read(flash->ctx, where.at + ESP_IMAGE_DESC_AT, desc, sizeof desc) != 0) return false;
    *image = load_le32(desc + 4);
    return load_le32(desc) == ESP_IMAGE_DESC_MAGIC &&
           cfg->counter->read(cfg->counter->ctx, least) == 0;
}

static bool is_new_enough(const esp_boot_cfg_t *cfg, esp_extent_t where)
{
    uint32_t image, least;
    return !cfg->counter || (read_versions(cfg, where, &image, &least) && image >= least);
}

static void raise_counter(const esp_boot_cfg_t *cfg, esp_extent_t where)
{
    uint32_t image, least;
    if (cfg->counter && read_versions(cfg, where, &image, &least) && image > least)
        (void)cfg->counter->raise(cfg->counter->ctx, image);
}

// --- Choosing ---

/// `heal`: whatever starts gets a record.
static int choose(const esp_boot_cfg_t *cfg, bool *heal)
{
    uint8_t raw[2][OTA_RECORD_LEN];
    int active = -1;
    for (uint32_t i = 0; i < 2; i++)
        if (cfg->flash->read(cfg->flash->ctx, record_at(cfg, i), raw[i], OTA_RECORD_LEN) != 0)
            return OTA_NOTHING;
    for (uint32_t i = 0; i < 2; i++)
        if (cfg->rollback && load_le32(raw[i] + AT_STATE) == OTA_STATE_PENDING)
            write_state(cfg, i, raw[i], OTA_STATE_ABORTED);
    for (int i = 0; i < 2; i++) {
        if (!is_used(raw[i]) || is_silent(raw[i])) continue;
        if (!is_new_enough(cfg, cfg->layout->slot[slot_of(cfg, raw[i])])) continue;
        if (active < 0 || load_le32(raw[i]) > load_le32(raw[active])) active = i;
    }
    if (active < 0) {
        const bool ota_0 = cfg->layout->factory.size == 0 && is_silent(raw[0]) && is_silent(raw[1]);
        *heal = (ota_0 || cfg->counter) && !is_used(raw[0]) && !is_used(raw[1]);
        return (ota_0 && !cfg->counter) ? 0 : OTA_FACTORY;
    }
    const uint32_t state = load_le32(raw[active] + AT_STATE);
    if (cfg->rollback && state == OTA_STATE_NEW)
        write_state(cfg, (uint32_t)active, raw[active], OTA_STATE_PENDING);
    const int slot = slot_of(cfg, raw[active]);
    if (state == OTA_STATE_VALID) raise_counter(cfg, cfg->layout->slot[slot]);
    return slot;
}

/// Only the bootloader asks that: what it loads must go to memory of one kind.
static bool can_load(const esp_image_t *im)
{
    if (!esp_chip_known(im->chip_id)) return true;
    for (unsigned i = 0; i < im->segments; i++) {
        const esp_image_segment_t s = im->segment[i];
        const esp_chip_region_t first = esp_chip_region(im->chip_id, s.load);
        if (s.load < LOAD_ADDR_FIRST || s.len == 0) continue;
        if (first == ESP_CHIP_DROM || first == ESP_CHIP_IROM) continue;
        if (first == ESP_CHIP_NOWHERE || esp_chip_region(im->chip_id, s.load + s.len - 1) != first)
            return false;
    }
    return true;
}

static bool can_start(esp_boot_t *b, const esp_boot_cfg_t *cfg, esp_extent_t where)
{
    const esp_image_cfg_t image = {
        .chip_id = cfg->chip_id,
        .chip_rev = cfg->chip_rev,
        .efuse_rev = cfg->efuse_rev,
        .at = where.at,
        .cap = where.size,
        .strict = false,
    };
    if (!is_new_enough(cfg, where)) return false;
    esp_image_init(&b->image, &image, cfg->crypto);
    if (esp_image_read(&b->image, cfg->flash, b->buf, sizeof b->buf) != 0) return false;
    return esp_image_finish(&b->image) == ESP_IMAGE_OK && can_load(&b->image);
}

void esp_boot_choose(esp_boot_t *b, const esp_boot_cfg_t *cfg)
{
    const esp_layout_t *l = cfg->layout;
    bool heal = false;
    b->booted = OTA_NOTHING;
    b->selected = choose(cfg, &heal);
    if (b->selected == OTA_NOTHING) return;
    for (int n = 0; n <= (int)l->slots && b->booted == OTA_NOTHING; n++) {
        const int i = (n <= b->selected + 1) ? b->selected - n : n - 1;
        if (can_start(b, cfg, ota_select_extent(l, i))) b->booted = i;
    }
    if (!heal || b->booted < 0) return;
    uint8_t raw[OTA_RECORD_LEN];
    memset(raw, 0xFF, sizeof raw);
    store_le32(raw, (uint32_t)b->booted + 1);
    store_le32(raw + AT_CRC, crc32_of(0, raw, 4));
    write_state(cfg, 0, raw, OTA_STATE_VALID);
    raise_counter(cfg, l->slot[b->booted]);
}
