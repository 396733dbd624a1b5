// info_json.c - what info found, for programs.
// SPDX-License-Identifier: Apache-2.0
#include "info.h"

#include "esp_text.h"
#include "json_out.h"

// --- Images ---

static void put_segments(json_out_t *j, const esp_image_t *im)
{
    uint32_t at = ESP_IMAGE_HEADER_LEN;
    json_out_open(j, "segments", '[');
    for (unsigned i = 0; i < im->seen; i++) {
        const esp_image_segment_t *s = &im->segment[i];
        at += 8;
        json_out_open(j, NULL, '{');
        json_out_number(j, "offset", at);
        json_out_number(j, "length", s->len);
        json_out_number(j, "load_address", s->load);
        json_out_string(j, "memory",
                        s->load ? esp_text_region(esp_chip_region(im->chip_id, s->load))
                                : "padding");
        json_out_close(j, '}');
        at += s->len;
    }
    json_out_close(j, ']');
}

static void put_desc(json_out_t *j, const info_app_t *app)
{
    const uint8_t *desc = app->p + ESP_IMAGE_DESC_AT;
    json_out_string(j, "project", app->image.project);
    json_out_string(j, "version", app->image.version);
    json_out_number(j, "secure_version", app->image.secure_version);
    json_out_string(j, "date", info_desc_name(app, INFO_DESC_DATE, 16).s);
    json_out_string(j, "time", info_desc_name(app, INFO_DESC_TIME, 16).s);
    json_out_string(j, "esp_idf", info_desc_name(app, INFO_DESC_IDF, 32).s);
    json_out_hex(j, "elf_sha256", desc + INFO_DESC_ELF, 32);
    json_out_number(j, "efuse_min_revision", load_le16(desc + INFO_DESC_EFUSE));
    json_out_number(j, "efuse_max_revision", load_le16(desc + INFO_DESC_EFUSE + 2));
    json_out_number(j, "mmu_page_log2", desc[INFO_DESC_PAGE]);
}

static void put_flash(json_out_t *j, const info_app_t *app)
{
    char speed[24];
    info_spi_speed(app, speed);
    json_out_open(j, "flash", '{');
    json_out_string(j, "mode", info_spi_mode(app));
    json_out_string(j, "speed", speed);
    json_out_number(j, "size_mb", info_spi_size_mb(app));
    json_out_close(j, '}');
}

static void put_signatures(json_out_t *j, const esp_sign_t *sign)
{
    json_out_open(j, "signatures", '[');
    for (unsigned i = 0; i < sign->blocks; i++) {
        const esp_sign_block_t *b = &sign->block[i];
        json_out_open(j, NULL, '{');
        json_out_string(j, "scheme", b->scheme);
        json_out_number(j, "version", b->version);
        json_out_bool(j, "crc_right", b->crc_right);
        if (b->known) {
            json_out_bool(j, "image_right", b->image_right);
            json_out_hex(j, "key_digest", b->key_digest, sizeof b->key_digest);
        }
        json_out_bool(j, "verified", false);
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

static void put_bootloader_desc(json_out_t *j, const esp_bootloader_t *b)
{
    if (!b->has_desc) return;
    json_out_number(j, "version", b->version);
    json_out_number(j, "secure_version", b->secure_version);
    json_out_string(j, "date", b->date);
    json_out_string(j, "esp_idf", b->idf);
}

static void put_image(json_out_t *j, const info_app_t *app)
{
    const esp_image_t *im = &app->image;
    const info_tail_t tail = info_tail(app);
    char why[256];
    esp_text_image_why(&app->strict, why, sizeof why);
    json_out_bool(j, "valid", app->strict.err == ESP_IMAGE_OK);
    json_out_string(j, "error", app->strict.err ? why : NULL);
    json_out_bool(j, "esp_idf_accepts", app->idf_accepts);
    json_out_string(j, "chip", esp_text_chip_option(im->chip_id));
    json_out_number(j, "chip_id", im->chip_id);
    json_out_number(j, "min_revision", im->min_rev);
    json_out_number(j, "max_revision", im->max_rev);
    json_out_number(j, "length", im->len);
    json_out_number(j, "trailing", tail.len);
    put_signatures(j, &app->sign);
    json_out_number(j, "entry", im->entry);
    if (im->has_desc) put_desc(j, app);
    put_flash(j, app);
    if (im->has_digest && im->len != 0 && im->len <= app->len)
        json_out_hex(j, "sha256", app->p + im->len - CRYPTO_SHA256_LEN, CRYPTO_SHA256_LEN);
    put_segments(j, im);
}

// --- Partitions ---

static void put_app(json_out_t *j, const info_app_t *app)
{
    static const char *const contents[] = { "image", "blank", "other", "outside" };
    json_out_string(j, "content", contents[app->content]);
    if (app->content != INFO_APP_IMAGE) return;
    json_out_open(j, "image", '{');
    put_image(j, app);
    json_out_close(j, '}');
}

static void put_partitions(json_out_t *j, const info_t *info)
{
    json_out_open(j, "partitions", '[');
    for (unsigned i = 0; i < info->count; i++) {
        const esp_partition_t *e = &info->partition[i].entry;
        json_out_open(j, NULL, '{');
        json_out_string(j, "label", e->label);
        json_out_number(j, "type", e->type);
        json_out_number(j, "subtype", e->subtype);
        json_out_string(j, "type_name", esp_text_type(e->type));
        json_out_string(j, "subtype_name", esp_text_subtype(e->type, e->subtype));
        json_out_number(j, "offset", e->at);
        json_out_number(j, "size", e->size);
        json_out_bool(j, "encrypted", e->flags & 1);
        json_out_bool(j, "readonly", e->flags & 2);
        if (info->kind == INFO_DUMP && e->type == ESP_PARTITION_APP)
            put_app(j, &info->partition[i].app);
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

static void put_table(json_out_t *j, const info_t *info)
{
    json_out_bool(j, "table_valid", info->table_err == ESP_PARTITION_OK);
    json_out_string(j, "table_error",
                    info->table_err ? esp_text_partition_err(info->table_err) : NULL);
    json_out_bool(j, "table_md5", info->has_md5);
    json_out_bool(j, "updatable", info->layout_err == ESP_PARTITION_OK);
    json_out_string(j, "updatable_error",
                    info->layout_err ? esp_text_partition_err(info->layout_err) : NULL);
    put_partitions(j, info);
}

// --- Boot record ---

static void put_records(json_out_t *j, const info_t *info)
{
    json_out_open(j, "otadata", '[');
    for (unsigned i = 0; i < 2; i++) {
        const info_record_t *r = &info->record[i];
        json_out_open(j, NULL, '{');
        json_out_bool(j, "blank", r->blank);
        json_out_bool(j, "valid", r->record.valid);
        if (r->record.valid) {
            json_out_number(j, "sequence", r->record.seq);
            json_out_string(j, "slot", info_slot_name((int)r->record.slot));
            json_out_string(j, "state", esp_text_state(r->record.state));
            json_out_number(j, "starts", r->record.starts);
            json_out_bool(j, "confirmed", r->record.confirmed);
        }
        json_out_close(j, '}');
    }
    json_out_close(j, ']');
}

static void put_slot(json_out_t *j, const char *key, int slot)
{
    json_out_string(j, key, slot == OTA_NOTHING ? NULL : info_slot_name(slot));
}

static void put_boot(json_out_t *j, const info_t *info)
{
    const ota_boot_t *b = &info->boot;
    json_out_open(j, "boot", '{');
    put_slot(j, "slot", b->slot);
    json_out_bool(j, "on_trial", b->on_trial);
    put_slot(j, "rejects", b->gave_up);
    put_slot(j, "passes_over", b->damaged);
    json_out_string(j, "because", info_why(info));
    put_slot(j, "esp_idf_slot", info->esp_idf_boots);
    json_out_close(j, '}');
}

/// Of a dump; null when there is none.
static void put_bootloader(json_out_t *j, const info_t *info)
{
    const esp_bootloader_t *b = &info->bootloader;
    char why[256];
    if (b->image.pos == 0) {
        json_out_string(j, "bootloader", NULL);
        return;
    }
    esp_text_image_why(&b->image, why, sizeof why);
    json_out_open(j, "bootloader", '{');
    json_out_number(j, "offset", info->bootloader_at);
    json_out_number(j, "length", b->image.len);
    json_out_string(j, "chip", esp_text_chip_option(b->image.chip_id));
    json_out_bool(j, "valid", b->image.err == ESP_IMAGE_OK);
    json_out_string(j, "error", b->image.err ? why : NULL);
    put_bootloader_desc(j, b);
    json_out_close(j, '}');
}

void info_json(const info_t *info, FILE *out)
{
    static const char *const kinds[] = { "image", "bootloader", "flash_dump", "partition_table",
                                         "otadata" };
    json_out_t j = { .out = out };
    json_out_open(&j, NULL, '{');
    json_out_string(&j, "kind", kinds[info->kind]);
    json_out_number(&j, "size", info->len);
    switch (info->kind) {
    case INFO_IMAGE: put_image(&j, &info->app); break;
    case INFO_BOOTLOADER:
        put_bootloader_desc(&j, &info->bootloader);
        put_image(&j, &info->app);
        break;
    case INFO_DUMP:
        put_bootloader(&j, info);
        json_out_number(&j, "table_offset", info->table_at);
        put_table(&j, info);
        if (info->layout_err) break;
        put_records(&j, info);
        put_boot(&j, info);
        break;
    case INFO_TABLE: put_table(&j, info); break;
    case INFO_OTADATA: put_records(&j, info); break;
    }
    json_out_close(&j, '}');
    fputc('\n', out);
}
