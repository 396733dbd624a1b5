// flash_image.c - builds flash images: see flash_image.h.
// SPDX-License-Identifier: Apache-2.0
#include "flash_image.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "esp_text.h"
#include "flash_bytes.h"

enum { MB = 1 << 20, SIZE_MAX_MB = 128 };

typedef struct {
    const flash_image_cfg_t *cfg;
    uint32_t table_at;
    char *error;
    size_t cap;
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

static bool put_app(const build_t *b, const esp_layout_t *layout, uint8_t *flash)
{
    const flash_image_cfg_t *cfg = b->cfg;
    const bool factory = layout->factory.size != 0;
    const esp_extent_t where = factory ? layout->factory : layout->slot[0];
    const esp_image_cfg_t strict = {
        .chip_id = cfg->chip_id,
        .chip_rev = ESP_IMAGE_ANY_REV,
        .efuse_rev = ESP_IMAGE_ANY_REV,
        .at = where.at,
        .cap = where.size,
        .strict = true,
    };
    esp_image_t image;
    esp_image_init(&image, &strict, cfg->crypto);
    esp_image_err_t err = esp_image_input(&image, cfg->app, cfg->app_len);
    if (!err) err = esp_image_finish(&image);
    if (err) {
        char why[200];
        esp_text_image_why(&image, why, sizeof why);
        return fail(b, "the application cannot go to %s: %s", factory ? "factory" : "ota_0", why);
    }
    memcpy(flash + where.at, cfg->app, cfg->app_len);
    return true;
}

static bool fill(const build_t *b, uint8_t *p, uint32_t size)
{
    flash_bytes_t bytes;
    flash_t flash;
    esp_layout_t layout;
    memset(p, 0xFF, size);
    memcpy(p + b->table_at, b->cfg->table, ESP_PARTITION_TABLE_LEN);
    flash_bytes_init(&bytes, p, size, &flash);
    const esp_partition_err_t err =
        esp_partition_layout(&flash, b->cfg->crypto, b->table_at, &layout);
    if (err) return fail(b, "%s", esp_text_partition_err(err));
    return b->cfg->app ? put_app(b, &layout, p) : true;
}

uint8_t *flash_image_build(const flash_image_cfg_t *cfg, uint32_t *size, char *error, size_t cap)
{
    build_t b = { .cfg = cfg, .cap = cap };
    b.table_at = cfg->table_at ? cfg->table_at : ESP_PARTITION_TABLE_AT;
    b.error = error;
    if (!choose_size(&b, size)) return NULL;
    uint8_t *p = malloc(*size);
    if (!p) {
        (void)fail(&b, "out of memory: a flash image has %lu MB", (unsigned long)*size / MB);
        return NULL;
    }
    if (fill(&b, p, *size)) return p;
    free(p);
    return NULL;
}
