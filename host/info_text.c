// info_text.c - what info found, for people.
// SPDX-License-Identifier: Apache-2.0
#include "info.h"

#include <stdarg.h>

#include "escape.h"
#include "esp_text.h"

enum { LABEL_COLUMNS = 16 };

__attribute__((format(printf, 3, 4))) static void field(FILE *out, const char *label,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(out, "%-*s  ", LABEL_COLUMNS, label);
    vfprintf(out, format, args);
    fputc('\n', out);
    va_end(args);
}

/// A text from the file, padded to `columns`.
static void put_text(FILE *out, const char *text, size_t columns)
{
    char safe[ESCAPE_CAP(33)];
    const size_t used = escape_text(text, safe, sizeof safe);
    fputs(safe, out);
    for (size_t i = used; i < columns; i++)
        fputc(' ', out);
}

static void text_field(FILE *out, const char *label, const char *text)
{
    if (!text[0]) return;
    fprintf(out, "%-*s  ", LABEL_COLUMNS, label);
    put_text(out, text, 0);
    fputc('\n', out);
}

static void hex_field(FILE *out, const char *label, const uint8_t *p, size_t len, const char *note)
{
    fprintf(out, "%-*s  ", LABEL_COLUMNS, label);
    for (size_t i = 0; i < len; i++)
        fprintf(out, "%02x", p[i]);
    fprintf(out, "%s\n", note);
}

/// "4 MB", "24 KB" or "100 bytes".
static const char *size_text(uint32_t size, char text[24])
{
    if (size != 0 && size % (1 << 20) == 0)
        snprintf(text, 24, "%u MB", size >> 20);
    else if (size != 0 && size % 1024 == 0)
        snprintf(text, 24, "%u KB", size >> 10);
    else
        snprintf(text, 24, "%u bytes", size);
    return text;
}

// --- Images ---

static void rev_range(FILE *out, const char *label, uint16_t min, uint16_t max)
{
    char low[8];
    char high[8];
    esp_text_rev(min, low);
    esp_text_rev(max, high);
    const bool limited = max != 0 && max != 0xFFFF;
    if (limited)
        field(out, label, "%s to %s", low, high);
    else
        field(out, label, "%s or newer", low);
}

static void put_verdict(FILE *out, const info_app_t *app)
{
    char why[256];
    esp_text_image_why(&app->strict, why, sizeof why);
    field(out, "Verdict", "%s", why);
    if (app->strict.err && app->idf_accepts) field(out, "", "ESP-IDF itself would accept it");
}

static void put_signatures(FILE *out, const esp_sign_t *sign)
{
    field(out, "Signed", "for Secure Boot V2, sector at 0x%x; not verified", sign->at);
    for (unsigned i = 0; i < sign->blocks; i++) {
        const esp_sign_block_t *b = &sign->block[i];
        char label[32];
        snprintf(label, sizeof label, "  signature %u", i);
        field(out, label, "%s, CRC %s%s", b->scheme, b->crc_right ? "right" : "wrong",
              !b->known        ? ""
              : b->image_right ? ", made for this image"
                               : ", made for another image");
        if (b->known) hex_field(out, "  key digest", b->key_digest, sizeof b->key_digest, "");
    }
}

static void put_length(FILE *out, const info_app_t *app)
{
    const info_tail_t tail = info_tail(app);
    if (app->image.len == 0) {
        field(out, "Length", "unknown, the file has %u bytes", app->len);
        return;
    }
    field(out, "Length", "%u bytes (0x%x)", app->image.len, app->image.len);
    if (app->sign.blocks != 0) put_signatures(out, &app->sign);
    if (tail.rest != 0)
        field(out, "Behind it", "%u bytes%s", tail.rest,
              tail.blank ? " of padding" : " that are ignored");
}

static void put_desc(FILE *out, const info_app_t *app)
{
    char built[96];
    if (!app->image.has_desc) return;
    text_field(out, "Project", app->image.project);
    text_field(out, "Version", app->image.version);
    field(out, "Secure version", "%u", app->image.secure_version);
    snprintf(built, sizeof built, "%s %s", info_desc_name(app, INFO_DESC_DATE, 16).s,
             info_desc_name(app, INFO_DESC_TIME, 16).s);
    text_field(out, "Built", built);
    text_field(out, "ESP-IDF", info_desc_name(app, INFO_DESC_IDF, 32).s);
    hex_field(out, "ELF SHA-256", app->p + ESP_IMAGE_DESC_AT + INFO_DESC_ELF, 32, "");
}

static void put_bootloader_desc(FILE *out, const esp_bootloader_t *b)
{
    field(out, "Version", "%u", b->version);
    field(out, "Secure version", "%u", b->secure_version);
    text_field(out, "Built", b->date);
    text_field(out, "ESP-IDF", b->idf);
}

static void put_hardware(FILE *out, const info_app_t *app)
{
    const esp_image_t *im = &app->image;
    char speed[24];
    field(out, "Chip", "%s (chip id %u)", esp_text_chip(im->chip_id), im->chip_id);
    rev_range(out, "Chip revision", im->min_rev, im->max_rev);
    if (im->has_desc) {
        const uint8_t *desc = app->p + ESP_IMAGE_DESC_AT;
        rev_range(out, "eFuse revision", load_le16(desc + INFO_DESC_EFUSE),
                  load_le16(desc + INFO_DESC_EFUSE + 2));
        const unsigned log2 = desc[INFO_DESC_PAGE];
        if (log2 >= 10 && log2 <= 20) field(out, "MMU page", "%u KB", 1u << (log2 - 10));
    }
    info_spi_speed(app, speed);
    field(out, "Flash", "%s, %s, %u MB", info_spi_mode(app), speed, info_spi_size_mb(app));
}

static void put_segments(FILE *out, const info_app_t *app)
{
    const esp_image_t *im = &app->image;
    uint32_t at = ESP_IMAGE_HEADER_LEN;
    field(out, "Entry address", "0x%08x, %s", im->entry,
          esp_text_region(esp_chip_region(im->chip_id, im->entry)));
    fprintf(out, "\n  #  Offset      Length  Load address  Memory\n");
    for (unsigned i = 0; i < im->seen; i++) {
        const esp_image_segment_t *s = &im->segment[i];
        at += 8;
        fprintf(out, " %2u  0x%06x  %8u  ", i, at, s->len);
        if (s->load == 0)
            fprintf(out, "              padding\n");
        else
            fprintf(out, "0x%08x    %s\n", s->load,
                    esp_text_region(esp_chip_region(im->chip_id, s->load)));
        at += s->len;
    }
}

static void put_image(FILE *out, const info_t *info)
{
    const info_app_t *app = &info->app;
    const esp_image_t *im = &app->image;
    fprintf(out, "ESP %s image for %s\n\n",
            info->kind == INFO_BOOTLOADER ? "bootloader" : "application",
            esp_text_chip(im->chip_id));
    put_verdict(out, app);
    put_length(out, app);
    if (info->kind == INFO_BOOTLOADER) put_bootloader_desc(out, &info->bootloader);
    put_desc(out, app);
    put_hardware(out, app);
    if (im->len != 0 && im->len <= app->len) {
        const uint32_t end = im->len - (im->has_digest ? CRYPTO_SHA256_LEN : 0);
        const bool reached = im->err == ESP_IMAGE_OK || im->err == ESP_IMAGE_ERR_DIGEST;
        field(out, "Checksum", "%02x%s", app->p[end - 1], reached ? " (right)" : "");
        const char *note = !reached ? "" : im->err ? " (wrong)" : " (right)";
        if (im->has_digest)
            hex_field(out, "SHA-256", app->p + end, CRYPTO_SHA256_LEN, note);
        else
            field(out, "SHA-256", "none");
    }
    put_segments(out, app);
}

// --- Partitions ---

static void put_number_or(FILE *out, const char *name, uint8_t number, int columns)
{
    char text[8];
    snprintf(text, sizeof text, "0x%02x", number);
    fprintf(out, "%-*s  ", columns, name ? name : text);
}

static void put_partitions(FILE *out, const info_t *info)
{
    fprintf(out, "  Label             Type             Subtype    Offset      Size        Flags\n");
    for (unsigned i = 0; i < info->count; i++) {
        const esp_partition_t *e = &info->partition[i].entry;
        char size[24];
        fputs("  ", out);
        put_text(out, e->label, 16);
        fputs("  ", out);
        put_number_or(out, esp_text_type(e->type), e->type, 15);
        put_number_or(out, esp_text_subtype(e->type, e->subtype), e->subtype, 9);
        fprintf(out, "0x%06x    ", e->at);
        const bool flags = e->flags != 0;
        fprintf(out, flags ? "%-10s " : "%s", size_text(e->size, size));
        if (e->flags & 1) fputs(" encrypted", out);
        if (e->flags & 2) fputs(" readonly", out);
        if (e->flags & ~3u) fprintf(out, " 0x%x", e->flags & ~3u);
        fputc('\n', out);
    }
}

static void put_table_verdict(FILE *out, const info_t *info)
{
    if (info->table_err)
        field(out, "Verdict", "%s", esp_text_partition_err(info->table_err));
    else
        field(out, "Verdict", "the partition table is right%s",
              info->has_md5 ? ", and so is its MD5" : "; it has no MD5");
    if (info->layout_err == ESP_PARTITION_OK)
        field(out, "Updates", "possible: %u OTA slots%s", info->layout.slots,
              info->layout.factory.size ? " and factory" : "");
    else if (!info->table_err)
        field(out, "Updates", "not possible: %s", esp_text_partition_err(info->layout_err));
}

// --- Boot record ---

static void put_record(FILE *out, const info_record_t *r, unsigned i, bool assumed)
{
    char label[16];
    snprintf(label, sizeof label, "  record %u", i);
    if (r->blank)
        field(out, label, "blank");
    else if (!r->record.valid)
        field(out, label, "not valid (sequence 0x%x%s)", r->record.seq,
              r->record.seq == 0 ? ", which ESP-IDF accepts" : ", CRC wrong or not a sequence");
    else {
        char starts[32] = "";
        if (r->record.starts != 0)
            snprintf(starts, sizeof starts, ", started %ux", r->record.starts);
        field(out, label, "sequence %u, %s%s, %s%s%s, CRC right", r->record.seq,
              info_slot_name((int)r->record.slot), assumed ? " (if there are two slots)" : "",
              esp_text_state(r->record.state), starts, r->record.confirmed ? ", confirmed" : "");
    }
}

// --- Dumps ---

static void put_app(FILE *out, const char *label, const info_app_t *app)
{
    char why[256];
    fputs("  ", out);
    put_text(out, label, 14);
    fputs("  ", out);
    switch (app->content) {
    case INFO_APP_BLANK: fputs("blank\n", out); return;
    case INFO_APP_OTHER: fputs("not an image (or encrypted)\n", out); return;
    case INFO_APP_OUTSIDE: fputs("behind the end of the dump\n", out); return;
    case INFO_APP_IMAGE: break;
    }
    if (app->image.has_desc) {
        put_text(out, app->image.project, 0);
        fputc(' ', out);
        put_text(out, app->image.version, 0);
        fputs(", ", out);
    }
    fprintf(out, "%s", esp_text_chip(app->image.chip_id));
    if (app->image.len != 0) fprintf(out, ", %u bytes", app->image.len);
    esp_text_image_why(&app->strict, why, sizeof why);
    fprintf(out, ": %s\n", why);
}

static void put_boot(FILE *out, const info_t *info)
{
    const ota_boot_t *b = &info->boot;
    if (b->gave_up >= 0)
        field(out, "  rejects", "%s: started before, never confirmed", info_slot_name(b->gave_up));
    if (b->damaged != OTA_NOTHING)
        field(out, "  passes over", "%s: no usable image", info_slot_name(b->damaged));
    fprintf(out, "%-*s  %s", LABEL_COLUMNS, "  starts", info_slot_name(b->slot));
    if (b->slot != OTA_NOTHING) {
        fputs(": ", out);
        put_text(out, b->image.project, 0);
        fputc(' ', out);
        put_text(out, b->image.version, 0);
        if (b->on_trial) fputs(", on trial until it confirms", out);
    }
    fputc('\n', out);
    field(out, "  because", "%s", info_why(info));
    if (info->esp_idf_boots != b->slot)
        field(out, "  ESP-IDF's own", "would start %s, with rollback enabled",
              info_slot_name(info->esp_idf_boots));
}

/// One line; "Bootloader" of a dump that has one.
static void put_bootloader(FILE *out, const info_t *info)
{
    char why[256];
    const esp_bootloader_t *b = &info->bootloader;
    if (b->image.pos == 0) return;
    esp_text_image_why(&b->image, why, sizeof why);
    fprintf(out, "%-*s  ", LABEL_COLUMNS, "Bootloader");
    if (b->has_desc) {
        fputs("ESP-IDF ", out);
        put_text(out, b->idf, 0);
        fputs(", ", out);
    }
    fprintf(out, "%s, %u bytes at 0x%x: %s\n", esp_text_chip(b->image.chip_id), b->image.len,
            info->bootloader_at, why);
}

static void put_dump(FILE *out, const info_t *info)
{
    char size[24];
    fprintf(out, "Flash dump of %s, partition table at 0x%x\n\n", size_text(info->len, size),
            info->table_at);
    put_table_verdict(out, info);
    put_bootloader(out, info);
    fputc('\n', out);
    put_partitions(out, info);
    fprintf(out, "\nApplications\n");
    for (unsigned i = 0; i < info->count; i++) {
        const esp_partition_t *e = &info->partition[i].entry;
        if (e->type == ESP_PARTITION_APP) put_app(out, e->label, &info->partition[i].app);
    }
    if (info->layout_err) return;
    fprintf(out, "\nBoot record (otadata at 0x%x)\n", info->layout.otadata_at);
    for (unsigned i = 0; i < 2; i++)
        put_record(out, &info->record[i], i, false);
    fprintf(out, "\nAt the next start the bootloader\n");
    put_boot(out, info);
}

void info_text(const info_t *info, FILE *out)
{
    switch (info->kind) {
    case INFO_IMAGE:
    case INFO_BOOTLOADER: put_image(out, info); break;
    case INFO_DUMP: put_dump(out, info); break;
    case INFO_TABLE:
        fprintf(out, "Partition table\n\n");
        put_table_verdict(out, info);
        fputc('\n', out);
        put_partitions(out, info);
        break;
    case INFO_OTADATA:
        fprintf(out, "Boot record (otadata)\n\n");
        for (unsigned i = 0; i < 2; i++)
            put_record(out, &info->record[i], i, true);
        break;
    }
}
