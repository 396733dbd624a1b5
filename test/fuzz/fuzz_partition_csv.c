// fuzz_partition_csv.c - a fuzzer of partition tables in CSV (or binary): what is accepted is a table, what is not gets a reason.
// SPDX-License-Identifier: Apache-2.0
//
// The input is the file; its last 4 bytes are the options as well.
//
// links: test/fuzz/esp_parts.c ports/psa/crypto_psa.c host/partition_csv.c host/esp_text.c host/utf8.c host/flash_bytes.c
// seeds: test/vectors/parttable
// max_len: 2048
#include "esp_parts.h"
#include "flash_bytes.h"
#include "fuzz.h"
#include "partition_csv.h"
#include "utf8.h"

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

/// One line, text, not longer than it may be.
static void check_error(const char *error, size_t cap)
{
    if (cap == 0) return;
    size_t len = 0;
    while (len < cap && error[len])
        len++;
    must(len < cap, "an error without an end");
    must(len > 0 || cap == 1, "no reason given");
    for (size_t at = 0; at < len;) {
        const size_t n = utf8_next(error + at, len - at);
        must(n > 0, "an error that is not UTF-8");
        must((uint8_t)error[at] >= 0x20 && error[at] != 0x7F, "a control character in an error");
        at += n;
    }
}

/// The same rows again, as numbers: the same table but for the names.
static void check_round_trip(const partition_csv_cfg_t *cfg, const flash_t *flash,
                             uint32_t table_at, unsigned count, const uint8_t *table)
{
    static char text[96 * 64];
    uint8_t again[ESP_PARTITION_TABLE_LEN];
    char error[PARTITION_CSV_ERROR_CAP];
    int len = 0;
    for (unsigned i = 0; i < count; i++) {
        esp_partition_t p;
        must(esp_partition_get(flash, table_at, i, &p) == ESP_PARTITION_OK, "an entry is missing");
        must((p.flags & ~3u) == 0, "a flag that does not exist");
        len += snprintf(text + len, sizeof text - (size_t)len, "p%u,%u,0x%x,%lu,0x%lx,%s:%s\n", i,
                        p.type, p.subtype, (unsigned long)p.at, (unsigned long)p.size,
                        (p.flags & 1) ? "encrypted" : "", (p.flags & 2) ? "readonly" : "");
    }
    if (!partition_csv_parse(cfg, text, (size_t)len, again, error, sizeof error)) {
        fprintf(stderr, "%s%s\n", text, error);
        fuzz_fail("its own numbers are refused");
    }
    for (unsigned i = 0; i < count; i++) {
        must(memcmp(again + i * 32, table + i * 32, 12) == 0, "another entry the second time");
        must(memcmp(again + i * 32 + 28, table + i * 32 + 28, 4) == 0, "other flags");
    }
    must(again[count * 32] == table[count * 32], "another end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_bytes_t in = { data + len - smaller(len, 4), data + len };
    static const uint32_t bootloader_at = 0x2000, recovery_at = 0x3F0000;
    const uint8_t caps = fuzz_byte(&in), flags = fuzz_byte(&in);
    const partition_csv_cfg_t cfg = {
        .crypto = fuzz_crypto(),
        .no_md5 = flags & 1,
        .secure_v1 = flags & 2,
        .bootloader_at = (flags & 4) ? &bootloader_at : NULL,
        .recovery_at = (flags & 8) ? &recovery_at : NULL,
        .table_at = FUZZ_PICK(&in, 0, 0x8000, 0x10000, 0xC000),
        .flash_size = FUZZ_PICK(&in, 0, 0x800000, 0x400000, 0x1000000),
    };
    char error[PARTITION_CSV_ERROR_CAP];
    const size_t cap = (caps & 0x80) ? sizeof error : caps;
    static uint8_t table[ESP_PARTITION_TABLE_LEN];
    memset(error, 'x', sizeof error);
    if (!partition_csv_parse(&cfg, data, len, table, error, cap)) {
        check_error(error, cap);
        return 0;
    }
    // A table of rows that need no room, or none at all, is written as the generator would.
    static uint8_t memory[0x20000];
    flash_bytes_t bytes;
    flash_t flash;
    const uint32_t table_at = cfg.table_at ? cfg.table_at : ESP_PARTITION_TABLE_AT;
    memset(memory, 0xFF, sizeof memory);
    memcpy(memory + table_at, table, sizeof table);
    flash_bytes_init(&bytes, memory, sizeof memory, &flash);
    flash.size = cfg.flash_size ? cfg.flash_size : UINT32_MAX;
    unsigned count = 0;
    const esp_partition_err_t err = esp_partition_verify(&flash, cfg.crypto, table_at, &count);
    // Without a flash's size, a partition may end behind 4 GB.
    if (cfg.flash_size == 0 && err == ESP_PARTITION_ERR_SIZE) return 0;
    if (err == ESP_PARTITION_ERR_EMPTY && table[0] != 0xAA) return 0;
    must(err == ESP_PARTITION_OK, "a table that the device refuses");
    if (len >= 2 && memcmp(data, "\xAA\x50", 2) == 0) { // a binary one
        must(memcmp(table, data, smaller(len, sizeof table)) == 0, "a binary table is changed");
        return 0;
    }
    check_round_trip(&cfg, &flash, table_at, count, table);
    return 0;
}
