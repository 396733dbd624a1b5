// esp_partition.c - ESP-IDF partition tables: verification, entries, an updater's layout.
// SPDX-License-Identifier: Apache-2.0
//
// A table is at most 96 records of 32 bytes: entries, at most one MD5 record over all bytes before
// it, and an end marker. It is read record by record, so that no buffer for 3 KiB is needed. What
// ESP-IDF does not check in a table (overlaps, alignment, gaps between slots)
// esp_partition_layout() checks for the partitions that it reports, because an updater erases them.
#include "esp_partition.h"

enum {
    RECORDS = ESP_PARTITION_TABLE_LEN / ESP_PARTITION_ENTRY_LEN,
    MD5_AT = 16, // in an MD5 record; ESP-IDF ignores bytes 2..15
    LABEL_AT = 12,
    LABEL_LEN = 16,
    FLAGS_AT = 28,
};

typedef enum { RECORD_ENTRY, RECORD_MD5, RECORD_END, RECORD_OTHER } record_t;

static record_t kind(const uint8_t *raw)
{
    switch (load_le16(raw)) {
    case 0x50AA: return RECORD_ENTRY;
    case 0xEBEB: return RECORD_MD5;
    case 0xFFFF:
        return (raw[2] == ESP_PARTITION_END && raw[3] == ESP_PARTITION_END) ? RECORD_END
                                                                            : RECORD_OTHER;
    default: return RECORD_OTHER;
    }
}

static bool read_record(const flash_t *flash, uint32_t table_at, unsigned i, uint8_t *raw)
{
    if (table_at > flash->size || ESP_PARTITION_TABLE_LEN > flash->size - table_at) return false;
    return flash->read(flash->ctx, table_at + i * ESP_PARTITION_ENTRY_LEN, raw,
                       ESP_PARTITION_ENTRY_LEN) == 0;
}

static bool inside(uint32_t at, uint32_t size, uint32_t cap)
{
    return at <= cap && size <= cap - at;
}

static esp_partition_err_t check_md5(const crypto_t *crypto, const uint8_t *raw)
{
    uint8_t digest[CRYPTO_MD5_LEN];
    if (!crypto) return ESP_PARTITION_OK;
    if (!crypto->finish(crypto->ctx, digest)) return ESP_PARTITION_ERR_FLASH;
    return memcmp(digest, raw + MD5_AT, sizeof digest) == 0 ? ESP_PARTITION_OK
                                                            : ESP_PARTITION_ERR_MD5;
}

esp_partition_err_t esp_partition_verify(const flash_t *flash, const crypto_t *crypto,
                                         uint32_t table_at, unsigned *count)
{
    unsigned entries = 0;
    bool md5_seen = false;
    if (crypto && !crypto->start(crypto->ctx, CRYPTO_MD5)) return ESP_PARTITION_ERR_FLASH;

    for (unsigned i = 0; i < RECORDS; i++) {
        uint8_t raw[ESP_PARTITION_ENTRY_LEN];
        if (!read_record(flash, table_at, i, raw)) return ESP_PARTITION_ERR_FLASH;
        switch (kind(raw)) {
        case RECORD_ENTRY:
            if (!inside(load_le32(raw + 4), load_le32(raw + 8), flash->size))
                return ESP_PARTITION_ERR_SIZE;
            entries++;
            break;
        case RECORD_MD5: {
            if (md5_seen) return ESP_PARTITION_ERR_MD5;
            md5_seen = true;
            const esp_partition_err_t err = check_md5(crypto, raw);
            if (err) return err;
            break;
        }
        case RECORD_END:
            if (entries == 0) return ESP_PARTITION_ERR_EMPTY;
            if (count) *count = entries;
            return ESP_PARTITION_OK;
        case RECORD_OTHER: return ESP_PARTITION_ERR_MAGIC;
        }
        if (crypto && !md5_seen && !crypto->update(crypto->ctx, raw, sizeof raw))
            return ESP_PARTITION_ERR_FLASH;
    }
    return ESP_PARTITION_ERR_NO_END;
}

static void decode(const uint8_t *raw, esp_partition_t *out)
{
    memset(out, 0, sizeof *out);
    out->type = raw[2];
    out->subtype = raw[3];
    out->at = load_le32(raw + 4);
    out->size = load_le32(raw + 8);
    memcpy(out->label, raw + LABEL_AT, LABEL_LEN);
    out->flags = load_le32(raw + FLAGS_AT);
}

esp_partition_err_t esp_partition_get(const flash_t *flash, uint32_t table_at, unsigned index,
                                      esp_partition_t *out)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        uint8_t raw[ESP_PARTITION_ENTRY_LEN];
        if (!read_record(flash, table_at, i, raw)) return ESP_PARTITION_ERR_FLASH;
        const record_t k = kind(raw);
        if (k == RECORD_MD5) continue; // may stand anywhere, and is not counted
        if (k != RECORD_ENTRY) return ESP_PARTITION_ERR_NO_END;
        if (index-- > 0) continue;
        decode(raw, out);
        return ESP_PARTITION_OK;
    }
    return ESP_PARTITION_ERR_NO_END;
}

// --- Layout ---

static void place(esp_layout_t *layout, uint32_t *otadata_size, const esp_partition_t *p)
{
    const esp_extent_t extent = { p->at, p->size };
    if (p->type == ESP_PARTITION_DATA && p->subtype == ESP_PARTITION_OTADATA) {
        layout->otadata_at = p->at;
        *otadata_size = p->size;
    }
    if (p->type != ESP_PARTITION_APP) return;
    if (p->subtype == ESP_PARTITION_FACTORY) layout->factory = extent;
    const unsigned slot =
        p->subtype - (unsigned)ESP_PARTITION_OTA_0; // wraps far out of range below OTA_0
    if (slot < ESP_PARTITION_SLOTS_MAX) layout->slot[slot] = extent;
}

static bool overlap(esp_extent_t a, esp_extent_t b)
{
    if (b.size == 0) return false; // no factory application
    return (a.at > b.at) ? a.at - b.at < b.size : b.at - a.at < a.size;
}

/// The slots are whole sectors. They and otadata are apart from each other and from what an update
/// must not touch.
static bool sound(const esp_layout_t *l, uint32_t table_at, uint32_t sector)
{
    const esp_extent_t otadata = { l->otadata_at, 2 * sector };
    const esp_extent_t table = { table_at, ESP_PARTITION_TABLE_LEN };
    if (overlap(otadata, table) || overlap(otadata, l->factory)) return false;
    for (unsigned i = 0; i < l->slots; i++) {
        const esp_extent_t s = l->slot[i];
        if (s.at % sector != 0 || s.size % sector != 0) return false;
        if (overlap(s, otadata) || overlap(s, table) || overlap(s, l->factory)) return false;
        for (unsigned j = 0; j < i; j++) {
            if (overlap(s, l->slot[j])) return false;
        }
    }
    return true;
}

esp_partition_err_t esp_partition_layout(const flash_t *flash, const crypto_t *crypto,
                                         uint32_t table_at, esp_layout_t *out)
{
    unsigned count = 0;
    uint32_t otadata_size = 0;
    memset(out, 0, sizeof *out);
    esp_partition_err_t err = esp_partition_verify(flash, crypto, table_at, &count);
    if (err) return err;
    for (unsigned i = 0; i < count; i++) {
        esp_partition_t p;
        err = esp_partition_get(flash, table_at, i, &p);
        if (err) return err;
        place(out, &otadata_size, &p);
    }

    const uint32_t sector = flash->sector_size;
    if (otadata_size < 2 * sector || out->otadata_at % sector != 0) return ESP_PARTITION_ERR_NO_OTA;
    while (out->slots < ESP_PARTITION_SLOTS_MAX && out->slot[out->slots].size != 0)
        out->slots++;
    for (unsigned i = out->slots; i < ESP_PARTITION_SLOTS_MAX; i++) {
        if (out->slot[i].size != 0)
            return ESP_PARTITION_ERR_SLOTS; // a gap: ESP-IDF could not boot this one
    }
    if (out->slots < 2) return ESP_PARTITION_ERR_NO_OTA;
    return sound(out, table_at, sector) ? ESP_PARTITION_OK : ESP_PARTITION_ERR_SLOTS;
}
