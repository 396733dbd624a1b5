// fuzz_partition.c - a fuzzer of binary partition tables: any bytes as a table, judged a second time here.
// SPDX-License-Identifier: Apache-2.0
//
// The input is the table; its last 8 bytes, behind the end marker of most tables, say where it lies and in which flash.
//
// links: test/fuzz/esp_parts.c ports/psa/crypto_psa.c
// seeds: test/vectors/parttable
// max_len: 3072
#include "esp_partition.h"
#include "esp_parts.h"
#include "fuzz.h"

enum { RECORDS = 96 };

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

/// A window on a flash that is blank but for the table.
typedef struct {
    uint8_t table[ESP_PARTITION_TABLE_LEN];
    uint32_t at, size;
    uint32_t reads_left; // until one fails
} window_t;

static int window_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    window_t *w = ctx;
    must(at <= w->size && len <= w->size - at, "a read outside the flash");
    if (w->reads_left-- == 0) return 1;
    for (uint32_t i = 0; i < len; i++) {
        const uint32_t k = at + i - w->at;
        ((uint8_t *)p)[i] = (k < sizeof w->table) ? w->table[k] : 0xFF;
    }
    return 0;
}

static void md5(const uint8_t *p, size_t len, uint8_t digest[CRYPTO_MD5_LEN])
{
    const crypto_t *c = fuzz_crypto();
    must(c->start(c->ctx, CRYPTO_MD5) && c->update(c->ctx, p, len) && c->finish(c->ctx, digest),
         "the hash library");
}

/// Makes the first MD5 record right, so that the fuzzer gets past it.
static void repair(uint8_t *table)
{
    for (unsigned i = 0; i < RECORDS; i++) {
        if (load_le16(table + i * 32) != 0xEBEB) continue;
        md5(table, i * 32u, table + i * 32 + 16);
        return;
    }
}

/// What verifying must say, from the whole table at once. Fills in where the entries are.
static esp_partition_err_t judge(const window_t *w, bool hash, const uint8_t *entry[RECORDS],
                                 unsigned *count)
{
    bool md5_seen = false;
    for (unsigned i = 0; i < RECORDS; i++) {
        const uint8_t *p = w->table + i * 32;
        if (p[0] == 0xAA && p[1] == 0x50) {
            if ((uint64_t)load_le32(p + 4) + load_le32(p + 8) > w->size)
                return ESP_PARTITION_ERR_SIZE;
            entry[(*count)++] = p;
        } else if (p[0] == 0xEB && p[1] == 0xEB) {
            uint8_t digest[CRYPTO_MD5_LEN];
            md5(w->table, i * 32u, digest);
            if (md5_seen || (hash && memcmp(digest, p + 16, 16) != 0)) return ESP_PARTITION_ERR_MD5;
            md5_seen = true;
        } else if (flash_is_blank(p, 4)) {
            return *count > 0 ? ESP_PARTITION_OK : ESP_PARTITION_ERR_EMPTY;
        } else {
            return ESP_PARTITION_ERR_MAGIC;
        }
    }
    return ESP_PARTITION_ERR_NO_END;
}

static bool apart(esp_extent_t a, esp_extent_t b)
{
    return (uint64_t)a.at + a.size <= b.at || (uint64_t)b.at + b.size <= a.at;
}

/// The last entry of a kind, or one of size 0.
static esp_extent_t last(const uint8_t *const entry[RECORDS], unsigned count, unsigned type,
                         unsigned subtype)
{
    esp_extent_t e = { 0, 0 };
    for (unsigned i = 0; i < count; i++) {
        if (entry[i][2] == type && entry[i][3] == subtype)
            e = (esp_extent_t){ load_le32(entry[i] + 4), load_le32(entry[i] + 8) };
    }
    return e;
}

/// What an updater will erase and program lies where the table says, and damages nothing.
static void check_layout(const window_t *w, uint32_t sector, const esp_layout_t *l,
                         const uint8_t *const entry[RECORDS], unsigned count)
{
    const esp_extent_t otadata = last(entry, count, 1, 0);
    const esp_extent_t fixed[] = { { w->at, ESP_PARTITION_TABLE_LEN },
                                   { l->otadata_at, 2 * sector },
                                   l->factory };
    must(l->otadata_at == otadata.at && otadata.size >= 2 * sector, "otadata is elsewhere");
    must(otadata.at % sector == 0, "otadata not of whole sectors");
    must(apart(fixed[0], fixed[1]), "otadata over the table");
    must(l->factory.size == 0 || apart(fixed[1], fixed[2]), "otadata over the factory app");
    must(l->slots >= 2 && l->slots <= ESP_PARTITION_SLOTS_MAX, "the number of slots");
    const esp_extent_t factory = last(entry, count, 0, 0);
    must(memcmp(&l->factory, &factory, sizeof factory) == 0, "the factory app is elsewhere");
    for (unsigned i = 0; i < ESP_PARTITION_SLOTS_MAX; i++) {
        const esp_extent_t s = last(entry, count, 0, 0x10 + i);
        must((s.size != 0) == (i < l->slots), "another number of slots");
        if (i >= l->slots) continue;
        must(memcmp(&l->slot[i], &s, sizeof s) == 0, "a slot is elsewhere");
        must(s.at % sector == 0 && s.size % sector == 0, "a slot not of whole sectors");
        for (unsigned k = 0; k < 3; k++)
            must(fixed[k].size == 0 || apart(s, fixed[k]), "a slot over something else");
        for (unsigned k = 0; k < i; k++)
            must(apart(s, l->slot[k]), "a slot over another");
    }
}

static void check_entries(const flash_t *flash, const window_t *w,
                          const uint8_t *const entry[RECORDS], unsigned count)
{
    esp_partition_t got;
    for (unsigned i = 0; i < count; i++) {
        must(esp_partition_get(flash, w->at, i, &got) == ESP_PARTITION_OK, "an entry is missing");
        const uint8_t *p = entry[i];
        must(got.type == p[2] && got.subtype == p[3] && got.at == load_le32(p + 4) &&
                 got.size == load_le32(p + 8) && got.flags == load_le32(p + 28) &&
                 memcmp(got.label, p + 12, 16) == 0 && got.label[16] == 0,
             "an entry reads otherwise");
    }
    must(esp_partition_get(flash, w->at, count, &got) == ESP_PARTITION_ERR_NO_END, "one too many");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static window_t w;
    const uint8_t *tail = data + len - smaller(len, 8);
    fuzz_bytes_t in = { tail, data + len };
    memset(w.table, 0xFF, sizeof w.table);
    memcpy(w.table, data, smaller(len, sizeof w.table));
    w.size = FUZZ_PICK(&in, 0x400000, 0x10000, 0xFFFF0000, 0x800000);
    w.at = FUZZ_PICK(&in, 0x9000, 0, 0x10000, 0x8000);
    if (w.at == 0x10000) w.at = w.size - ESP_PARTITION_TABLE_LEN;
    const uint32_t sector = FUZZ_PICK(&in, 256, 0x20000, 0x800, 0x1000);
    const uint8_t how = fuzz_byte(&in);
    const bool hash = how % 8 != 0;
    if (how & 8) repair(w.table);
    const uint32_t fails_at = fuzz_byte(&in);
    const flash_t flash = { .ctx = &w, .size = w.size, .sector_size = sector, .read = window_read };
    const crypto_t *crypto = hash ? fuzz_crypto() : NULL;

    const uint8_t *entry[RECORDS];
    unsigned want_count = 0, count = 0;
    const esp_partition_err_t want = judge(&w, hash, entry, &want_count);
    w.reads_left = UINT32_MAX;
    must(esp_partition_verify(&flash, crypto, w.at, &count) == want, "another verdict");
    if (want == ESP_PARTITION_OK) {
        must(count == want_count, "another number of entries");
        check_entries(&flash, &w, entry, count);
    }
    esp_layout_t layout;
    const esp_partition_err_t err = esp_partition_layout(&flash, crypto, w.at, &layout);
    if (want != ESP_PARTITION_OK)
        must(err == want, "a layout of a table that is wrong");
    else if (err == ESP_PARTITION_OK)
        check_layout(&w, sector, &layout, entry, want_count);
    w.reads_left = fails_at;
    const esp_partition_err_t failed = esp_partition_layout(&flash, crypto, w.at, &layout);
    must(failed == ESP_PARTITION_ERR_FLASH || failed == err, "a failed read goes unnoticed");
    return 0;
}
