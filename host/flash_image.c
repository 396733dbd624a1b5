// flash_image.c - builds flash images: see flash_image.h.
// SPDX-License-Identifier: Apache-2.0
#include "flash_image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crc32.h"
#include "esp_bootloader.h"
#include "esp_text.h"
#include "flash_bytes.h"
#include "ota_select.h"

enum { MB = 1 << 20, SIZE_MAX_MB = 128, ENTRIES_MAX = 95 };
enum { TYPE_BOOTLOADER = 2, SUBTYPE_TEE = 0x30 }; // ESP-IDF's numbers; a TEE is no application
static const char BOOTLOADER[] = "bootloader";

typedef struct {
    const flash_image_cfg_t *cfg;
    uint32_t table_at;
    char *error;
    size_t cap;
    uint8_t *flash;
    uint32_t size;
    uint16_t chip_id; // ESP_IMAGE_ANY_CHIP while unknown
    unsigned entries;
    struct {
        esp_partition_t partition;
        bool filled;
    } entry[ENTRIES_MAX];
    bool has_bootloader;
} build_t;

__attribute__((format(printf, 2, 3))) static bool fail(const build_t *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(b->error, b->cap, format, args);
    va_end(args);
    return false;
}

// The table is read where it is, before the flash that it describes exists.
static bool find_end(const build_t *b, uint64_t *end)
{
    flash_bytes_t bytes;
    flash_t flash;
    unsigned count = 0;
    flash_bytes_init(&bytes, b->cfg->table, ESP_PARTITION_TABLE_LEN, &flash);
    flash.size = UINT32_MAX;
    esp_partition_err_t err = esp_partition_verify(&flash, b->cfg->crypto, 0, &count);
    *end = (uint64_t)b->table_at + FLASH_BYTES_SECTOR;
    for (unsigned i = 0; i < count && !err; i++) {
        esp_partition_t p;
        err = esp_partition_get(&flash, 0, i, &p);
        if (!err && (uint64_t)p.at + p.size > *end) *end = (uint64_t)p.at + p.size;
    }
    return err ? fail(b, "%s", esp_text_partition_err(err)) : true;
}

static bool choose_size(const build_t *b, uint32_t *size)
{
    uint64_t end = 0;
    if (!find_end(b, &end)) return false;
    if (b->cfg->size != 0) {
        *size = b->cfg->size;
        if (*size % FLASH_BYTES_SECTOR != 0)
            return fail(b, "a flash of %lu bytes is not a multiple of 4096", (unsigned long)*size);
        if (end > *size)
            return fail(b, "the partitions end at 0x%llx, the flash of %lu KB at 0x%lx: %s",
                        (unsigned long long)end, (unsigned long)*size / 1024, (unsigned long)*size,
                        "take a larger flash or smaller partitions");
        return true;
    }
    uint32_t mb = 1;
    while (mb < SIZE_MAX_MB && (uint64_t)mb * MB < end)
        mb *= 2;
    *size = mb * MB;
    if (end > *size)
        return fail(b, "the partitions end at 0x%llx, behind the largest flash of %d MB",
                    (unsigned long long)end, SIZE_MAX_MB);
    return true;
}

// --- Contents ---

static const char *label_of(const flash_image_part_t *part, const esp_partition_t *where)
{
    return where ? where->label : part->label;
}

static bool refuse(const build_t *b, const flash_image_part_t *part, const esp_partition_t *where,
                   const char *why)
{
    return fail(b, "%.80s cannot go to %s: %s", part->name, label_of(part, where), why);
}

/// All images are for one chip. An image's own verdict comes first.
static bool agree(build_t *b, const flash_image_part_t *part, const esp_partition_t *where,
                  esp_image_t *image)
{
    char why[200];
    if (!image->err && b->chip_id != ESP_IMAGE_ANY_CHIP && b->chip_id != image->chip_id) {
        image->err = ESP_IMAGE_ERR_CHIP;
        image->cfg.chip_id = b->chip_id;
    }
    if (image->err) {
        esp_text_image_why(image, why, sizeof why);
        return refuse(b, part, where, why);
    }
    b->chip_id = image->chip_id;
    return true;
}

static bool check_app(build_t *b, const flash_image_part_t *part, const esp_partition_t *where)
{
    const esp_image_cfg_t cfg = {
        .chip_id = b->chip_id,
        .chip_rev = ESP_IMAGE_ANY_REV,
        .efuse_rev = ESP_IMAGE_ANY_REV,
        .at = where->at,
        .cap = where->size,
        .strict = !b->cfg->lenient,
    };
    esp_image_t image;
    esp_image_init(&image, &cfg, b->cfg->crypto);
    (void)esp_image_input(&image, part->p, part->len);
    (void)esp_image_finish(&image);
    return agree(b, part, where, &image);
}

static bool put_bootloader(build_t *b, const flash_image_part_t *part, const esp_partition_t *where)
{
    esp_bootloader_t bootloader;
    uint32_t at = where ? where->at : b->cfg->bootloader_at ? *b->cfg->bootloader_at : 0;
    esp_bootloader_examine(&bootloader, part->p, part->len, ESP_IMAGE_CAP_MAX, b->cfg->crypto);
    if (!agree(b, part, where, &bootloader.image)) return false;
    if (!where && !b->cfg->bootloader_at && !esp_bootloader_place(b->chip_id, &at))
        return refuse(b, part, where, "it is not known where this chip looks for one");
    const uint32_t end = (where && where->at > b->table_at) ? where->at + where->size : b->table_at;
    if (at > end || part->len > end - at)
        return fail(b, "%.80s cannot go to %s: at 0x%lx there is room for %lu bytes, it has %lu",
                    part->name, label_of(part, where), (unsigned long)at,
                    (unsigned long)(at > end ? 0 : end - at), (unsigned long)part->len);
    memcpy(b->flash + at, part->p, part->len);
    return true;
}

static bool put_partition(build_t *b, const flash_image_part_t *part, const esp_partition_t *where)
{
    if (where->type == TYPE_BOOTLOADER) return put_bootloader(b, part, where);
    const uint64_t table_end = (uint64_t)b->table_at + FLASH_BYTES_SECTOR;
    if (where->at < table_end && (uint64_t)where->at + where->size > b->table_at)
        return refuse(b, part, where, "the partition table lies there");
    const bool app = where->type == ESP_PARTITION_APP && where->subtype < SUBTYPE_TEE;
    if (app && !check_app(b, part, where)) return false;
    if (part->len > where->size)
        return fail(b, "%.80s cannot go to %s: it has %lu bytes, the partition %lu", part->name,
                    where->label, (unsigned long)part->len, (unsigned long)where->size);
    memcpy(b->flash + where->at, part->p, part->len);
    return true;
}

// --- Partitions by name ---

/// The entry with this label, cut as labels are; -1: none.
static int find_entry(const build_t *b, const char *label)
{
    for (unsigned i = 0; i < b->entries; i++)
        if (strncmp(b->entry[i].partition.label, label, sizeof b->entry[i].partition.label - 1) ==
            0)
            return (int)i;
    return -1;
}

static int find_app(const build_t *b, uint8_t subtype)
{
    for (unsigned i = 0; i < b->entries; i++)
        if (b->entry[i].partition.type == ESP_PARTITION_APP &&
            b->entry[i].partition.subtype == subtype)
            return (int)i;
    return -1;
}

static bool no_entry(const build_t *b, const char *label)
{
    (void)fail(b, "there is no partition '%.40s'; there are ", label);
    for (unsigned i = 0; i < b->entries; i++) {
        const esp_partition_t *p = &b->entry[i].partition;
        const char *subtype = esp_text_subtype(p->type, p->subtype);
        const bool told =
            p->type != ESP_PARTITION_APP || !subtype || strcmp(subtype, p->label) == 0;
        const size_t len = strlen(b->error);
        snprintf(b->error + len, b->cap - len, "%s%s%s%s%s", i ? ", " : "", p->label,
                 told ? "" : " (", told ? "" : subtype, told ? "" : ")");
    }
    return false;
}

static bool put(build_t *b, const flash_image_part_t *part)
{
    int i;
    if (part->label) {
        i = find_entry(b, part->label);
    } else {
        i = find_app(b, ESP_PARTITION_FACTORY);
        if (i < 0) i = find_app(b, ESP_PARTITION_OTA_0);
    }
    const bool beside = i < 0 && part->label && strcmp(part->label, BOOTLOADER) == 0;
    if (i < 0 && !beside) return no_entry(b, part->label ? part->label : "ota_0");
    bool *filled = beside ? &b->has_bootloader : &b->entry[i].filled;
    if (*filled) return fail(b, "%s is given twice", part->label);
    *filled = true;
    return beside ? put_bootloader(b, part, NULL) : put_partition(b, part, &b->entry[i].partition);
}

// --- What starts ---

/// The record that ESP-IDF's bootloader writes at its first start. Factory starts without one.
static bool put_boot(build_t *b, const esp_layout_t *layout)
{
    const int i = find_entry(b, b->cfg->boot);
    if (i < 0) return no_entry(b, b->cfg->boot);
    const esp_partition_t *p = &b->entry[i].partition;
    const unsigned slot = p->subtype - (unsigned)ESP_PARTITION_OTA_0;
    const bool factory = p->subtype == ESP_PARTITION_FACTORY;
    if (p->type != ESP_PARTITION_APP || (!factory && slot >= layout->slots))
        return fail(b, "%s cannot be started: it is not an application slot", p->label);
    if (!b->entry[i].filled)
        return fail(b, "%s cannot be started: no application is given for it", p->label);
    uint8_t *record = b->flash + layout->otadata_at;
    for (uint32_t at = 0; at < 2 * FLASH_BYTES_SECTOR; at++)
        if (record[at] != 0xFF) return fail(b, "otadata is given, and tells itself what starts");
    if (factory) return true;
    store_le32(record, slot + 1);
    store_le32(record + 24, OTA_STATE_VALID);
    store_le32(record + 28, crc32_of(0, record, 4));
    return true;
}

static bool fill(build_t *b)
{
    const flash_image_cfg_t *cfg = b->cfg;
    flash_bytes_t bytes;
    flash_t flash;
    esp_layout_t layout;
    memset(b->flash, 0xFF, b->size);
    memcpy(b->flash + b->table_at, cfg->table, ESP_PARTITION_TABLE_LEN);
    flash_bytes_init(&bytes, b->flash, b->size, &flash);
    const esp_partition_err_t err = esp_partition_layout(&flash, cfg->crypto, b->table_at, &layout);
    if (err && (cfg->boot || !cfg->any_table)) return fail(b, "%s", esp_text_partition_err(err));
    while (b->entries < ENTRIES_MAX &&
           !esp_partition_get(&flash, b->table_at, b->entries, &b->entry[b->entries].partition))
        b->entries++;
    for (size_t i = 0; i < cfg->parts; i++)
        if (!put(b, &cfg->part[i])) return false;
    return cfg->boot ? put_boot(b, &layout) : true;
}

uint8_t *flash_image_build(const flash_image_cfg_t *cfg, uint32_t *size, char *error, size_t cap)
{
    build_t b = { .cfg = cfg, .chip_id = cfg->chip_id, .cap = cap };
    b.table_at = cfg->table_at ? cfg->table_at : ESP_PARTITION_TABLE_AT;
    b.error = error;
    if (!choose_size(&b, size)) return NULL;
    b.size = *size;
    b.flash = malloc(b.size);
    if (!b.flash) {
        (void)fail(&b, "out of memory: a flash image has %lu MB", (unsigned long)b.size / MB);
        return NULL;
    }
    if (fill(&b)) return b.flash;
    free(b.flash);
    return NULL;
}
