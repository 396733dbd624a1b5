// info.c - recognises and examines files: see info.h.
// SPDX-License-Identifier: Apache-2.0
//
// A flash dump is looked for first, because on many chips it begins with a bootloader, and so with
// the same byte as an application image. What would boot is not worked out anew: the bootloader's
// own code runs on a copy of the dump.
#include "info.h"

#include <stdlib.h>

#include "esp_boot.h"
#include "esp_text.h"
#include "flash_bytes.h"

enum { TABLE_FIRST = 0x8000, TABLE_LAST = 0x10000, TABLE_STEP = 0x1000, OTADATA_LEN = 0x2000 };

static bool is_blank(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0xFF) return false;
    return true;
}

// --- Images ---

/// `slot` is where the image lies in flash, and how much room it has there.
static void examine_app(info_app_t *app, const uint8_t *p, uint32_t len, esp_extent_t slot,
                        uint16_t chip_id, const crypto_t *crypto)
{
    app->p = p;
    app->len = len;
    app->content = is_blank(p, len)                                          ? INFO_APP_BLANK
                   : (p[0] != ESP_IMAGE_MAGIC || len < ESP_IMAGE_HEADER_LEN) ? INFO_APP_OTHER
                                                                             : INFO_APP_IMAGE;
    if (app->content != INFO_APP_IMAGE) return;
    esp_image_cfg_t cfg = {
        .chip_id = ESP_IMAGE_ANY_CHIP,
        .chip_rev = ESP_IMAGE_ANY_REV,
        .efuse_rev = ESP_IMAGE_ANY_REV,
        .at = slot.at,
        .cap = slot.size,
    };
    esp_image_init(&app->image, &cfg, crypto);
    (void)esp_image_input(&app->image, p, len);
    app->idf_accepts = esp_image_finish(&app->image) == ESP_IMAGE_OK &&
                       (chip_id == ESP_IMAGE_ANY_CHIP || chip_id == app->image.chip_id);
    cfg.strict = true;
    cfg.chip_id = chip_id;
    esp_image_init(&app->strict, &cfg, crypto);
    (void)esp_image_input(&app->strict, p, len);
    (void)esp_image_finish(&app->strict);
    if (app->image.len != 0 && app->image.len <= len)
        (void)esp_sign_examine(&app->sign, p, len, app->image.len, crypto);
}

/// Such an image has its own rules, and only one verdict.
static void examine_bootloader(info_t *info, const crypto_t *crypto)
{
    info_app_t *app = &info->app;
    info->kind = INFO_BOOTLOADER;
    esp_bootloader_examine(&info->bootloader, info->p, info->len, ESP_IMAGE_CAP_MAX, crypto);
    *app = (info_app_t){ .content = INFO_APP_IMAGE, .p = info->p, .len = info->len };
    app->image = app->strict = info->bootloader.image;
    app->idf_accepts = app->image.err == ESP_IMAGE_OK;
    if (app->image.len != 0 && app->image.len <= info->len)
        (void)esp_sign_examine(&app->sign, info->p, info->len, app->image.len, crypto);
}

info_name_t info_desc_name(const info_app_t *app, uint32_t at, size_t len)
{
    info_name_t name = { "" };
    if (app->image.has_desc) memcpy(name.s, app->p + ESP_IMAGE_DESC_AT + at, len);
    return name;
}

info_tail_t info_tail(const info_app_t *app)
{
    if (app->image.len == 0 || app->image.len > app->len) return (info_tail_t){ 0 };
    info_tail_t tail = { .len = app->len - app->image.len };
    const uint32_t end = app->sign.blocks ? app->sign.at + ESP_SIGN_SECTOR : app->image.len;
    tail.rest = app->len - end;
    tail.blank = is_blank(app->p + end, tail.rest);
    return tail;
}

const char *info_spi_mode(const info_app_t *app)
{
    static const char *const modes[] = { "QIO", "QOUT", "DIO", "DOUT", "fast read", "slow read" };
    return (app->p[2] < sizeof modes / sizeof modes[0]) ? modes[app->p[2]] : "unknown mode";
}

void info_spi_speed(const info_app_t *app, char text[24])
{
    const unsigned code = app->p[3] & 15u;
    const unsigned base = (app->image.chip_id == 12) ? 60 : (app->image.chip_id == 16) ? 48 : 80;
    if (code > 2 && code != 15)
        snprintf(text, 24, "unknown speed");
    else if (app->image.chip_id == 13 && code == 0)
        snprintf(text, 24, "40 or 80 MHz"); // the C6 has one code for both
    else
        snprintf(text, 24, "%u MHz", code == 15 ? base : base / (code + 2));
}

unsigned info_spi_size_mb(const info_app_t *app)
{
    const unsigned code = app->p[3] >> 4;
    return (code <= 7) ? 1u << code : 0;
}

// --- Partitions ---

static void read_table(info_t *info, const flash_t *flash, const crypto_t *crypto, uint32_t at)
{
    info->table_at = at;
    info->table_err = esp_partition_verify(flash, crypto, at, NULL);
    info->layout_err = esp_partition_layout(flash, crypto, at, &info->layout);
    const unsigned max = sizeof info->partition / sizeof info->partition[0];
    while (info->count < max &&
           !esp_partition_get(flash, at, info->count, &info->partition[info->count].entry))
        info->count++;
    for (uint32_t i = 0; i <= info->count; i++) {
        uint8_t magic[2] = { 0 };
        (void)flash->read(flash->ctx, at + i * ESP_PARTITION_ENTRY_LEN, magic, sizeof magic);
        if (load_le16(magic) == 0xEBEB) info->has_md5 = true;
    }
}

const char *info_slot_name(int slot)
{
    if (slot == OTA_FACTORY) return "factory";
    const char *name =
        (slot >= 0) ? esp_text_subtype(ESP_PARTITION_APP, (uint8_t)(ESP_PARTITION_OTA_0 + slot))
                    : NULL;
    return name ? name : "nothing";
}

// --- Flash dumps ---

static bool is_app(const esp_partition_t *p) { return p->type == ESP_PARTITION_APP; }

static void examine_apps(info_t *info, const crypto_t *crypto)
{
    info->chip_id = ESP_IMAGE_ANY_CHIP;
    for (unsigned i = 0; i < info->count; i++) {
        const esp_partition_t *e = &info->partition[i].entry;
        info_app_t *app = &info->partition[i].app;
        app->content = INFO_APP_OUTSIDE;
        if (!is_app(e) || e->size == 0 || e->at >= info->len || e->size > info->len - e->at)
            continue;
        examine_app(app, info->p + e->at, e->size, (esp_extent_t){ e->at, e->size }, info->chip_id,
                    crypto);
        const bool tells = app->content == INFO_APP_IMAGE && app->image.pos >= ESP_IMAGE_HEADER_LEN;
        if (tells && info->chip_id == ESP_IMAGE_ANY_CHIP) info->chip_id = app->image.chip_id;
    }
}

static bool choose_slot(info_t *info, const crypto_t *crypto)
{
    flash_bytes_t bytes;
    flash_t flash;
    uint8_t *copy = malloc(info->len);
    if (!copy) return false;
    memcpy(copy, info->p, info->len);
    flash_bytes_init_writable(&bytes, copy, info->len, &flash);
    const ota_cfg_t cfg = { .flash = &flash,
                            .crypto = crypto,
                            .layout = &info->layout,
                            .chip_id = info->chip_id,
                            .chip_rev = ESP_IMAGE_ANY_REV,
                            .efuse_rev = ESP_IMAGE_ANY_REV };
    ota_boot_choose(&info->boot, &cfg);
    memcpy(copy, info->p, info->len);
    const esp_boot_cfg_t theirs = { .flash = &flash,
                                    .crypto = crypto,
                                    .layout = &info->layout,
                                    .chip_id = info->chip_id,
                                    .chip_rev = ESP_IMAGE_ANY_REV,
                                    .efuse_rev = ESP_IMAGE_ANY_REV,
                                    .rollback = true };
    esp_boot_t esp_idf;
    esp_boot_choose(&esp_idf, &theirs);
    info->esp_idf_boots = esp_idf.booted;
    free(copy);
    return true;
}

/// Where the chip that it is for would look for it.
static void find_bootloader(info_t *info, const crypto_t *crypto)
{
    static const uint32_t places[] = { 0, 0x1000, 0x2000 };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint32_t at;
        const uint8_t *p = info->p + places[i];
        const uint32_t cap = info->table_at - places[i];
        if (p[0] != ESP_IMAGE_MAGIC) continue;
        if (!esp_bootloader_place(load_le16(p + 12), &at) || at != places[i]) continue;
        info->bootloader_at = at;
        esp_bootloader_examine(&info->bootloader, p, cap, cap, crypto);
        return;
    }
}

const char *info_why(const info_t *info)
{
    const ota_boot_t *b = &info->boot;
    if (b->slot == OTA_NOTHING) return "no slot holds a usable image";
    if (info->ruling >= 0 && b->slot == (int)info->record[info->ruling].record.slot)
        return (info->ruling == 0) ? "record 0 rules" : "record 1 rules";
    if (b->gave_up >= 0 || b->damaged != OTA_NOTHING) return "it is the next that can start";
    if (b->slot == OTA_FACTORY) return "no record rules, and factory comes first";
    return "no record rules, and it is the first that can start";
}

static bool examine_dump(info_t *info, uint32_t table_at, const crypto_t *crypto)
{
    flash_bytes_t bytes;
    flash_t flash;
    flash_bytes_init(&bytes, info->p, info->len, &flash);
    info->kind = INFO_DUMP;
    read_table(info, &flash, crypto, table_at);
    examine_apps(info, crypto);
    find_bootloader(info, crypto);
    if (info->layout_err) return true;
    ota_select_t sel;
    if (ota_select_read(&flash, &info->layout, &sel) != 0) return false;
    info->ruling = sel.active;
    for (uint32_t i = 0; i < 2; i++) {
        const ota_record_t *r = &sel.record[i];
        info->record[i] = (info_record_t){ !r->valid && !r->torn, *r };
    }
    return choose_slot(info, crypto);
}

/// Where the dump's table lies, 0: nowhere. One that is right comes before one that is damaged.
static uint32_t find_table(const info_t *info, const crypto_t *crypto)
{
    flash_bytes_t bytes;
    flash_t flash;
    uint32_t found = 0;
    if (info->len % FLASH_BYTES_SECTOR != 0) return 0;
    flash_bytes_init(&bytes, info->p, info->len, &flash);
    for (uint32_t at = TABLE_FIRST; at <= TABLE_LAST && at < info->len; at += TABLE_STEP) {
        if (load_le16(info->p + at) != 0x50AA) continue;
        if (esp_partition_verify(&flash, crypto, at, NULL) == ESP_PARTITION_OK) return at;
        if (found == 0) found = at;
    }
    return found;
}

// --- The file ---

static bool examine_table(info_t *info, const crypto_t *crypto)
{
    // A file may end with the table's last record.
    uint8_t table[ESP_PARTITION_TABLE_LEN];
    flash_bytes_t bytes;
    flash_t flash;
    memset(table, 0xFF, sizeof table);
    memcpy(table, info->p, smaller(info->len, sizeof table));
    flash_bytes_init(&bytes, table, sizeof table, &flash);
    flash.size = UINT32_MAX; // whatever flash it is for
    info->kind = INFO_TABLE;
    read_table(info, &flash, crypto, 0);
    return true;
}

static bool examine_otadata(info_t *info)
{
    info->kind = INFO_OTADATA;
    info->layout.slots = 2; // the file does not tell
    for (uint32_t i = 0; i < 2; i++) {
        const uint8_t *raw = info->p + (size_t)i * (OTADATA_LEN / 2);
        info->record[i].blank = is_blank(raw, OTA_RECORD_LEN);
        info->record[i].record = ota_select_decode(raw, info->layout.slots);
    }
    const info_record_t *r = info->record;
    return r[0].record.valid || r[1].record.valid || (r[0].blank && r[1].blank);
}

static const char *guess(const uint8_t *p, size_t len)
{
    if (len == 0) return "the file is empty";
    if (is_blank(p, len)) return "all bytes are 0xFF, as in blank flash";
    if (len >= 4 && memcmp(p, "\177ELF", 4) == 0)
        return "an ELF file: make an image with `esptool elf2image`";
    if (p[0] == ESP_IMAGE_MAGIC) return "begins like an ESP image, but is shorter than its header";
    return "neither an ESP image (begins with E9), a flash dump (partition table at 0x8000 to 0x10000), "
           "a partition table (begins with AA 50) nor an otadata partition (8192 bytes)";
}

info_t *info_open(const uint8_t *p, size_t len, const crypto_t *crypto, char *error, size_t cap)
{
    info_t *info = calloc(1, sizeof *info);
    bool known = false;
    snprintf(error, cap, "%s", len > UINT32_MAX ? "larger than any flash" : guess(p, len));
    if (!info || len > UINT32_MAX) {
        free(info);
        return NULL;
    }
    info->p = p;
    info->len = (uint32_t)len;
    const uint32_t table_at = find_table(info, crypto);
    if (table_at != 0) {
        snprintf(error, cap, "out of memory");
        known = examine_dump(info, table_at, crypto);
    } else if (len >= ESP_PARTITION_ENTRY_LEN && load_le16(p) == 0x50AA) {
        known = examine_table(info, crypto);
    } else if (esp_bootloader_is(p, len)) {
        examine_bootloader(info, crypto);
        known = true;
    } else if (len >= ESP_IMAGE_HEADER_LEN && p[0] == ESP_IMAGE_MAGIC) {
        examine_app(&info->app, p, info->len, (esp_extent_t){ 0, ESP_IMAGE_CAP_MAX },
                    ESP_IMAGE_ANY_CHIP, crypto);
        known = true;
    } else if (len == OTADATA_LEN) {
        known = examine_otadata(info);
    }
    if (known) return info;
    free(info);
    return NULL;
}

void info_close(info_t *info) { free(info); }
