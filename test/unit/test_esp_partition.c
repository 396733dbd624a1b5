// test_esp_partition.c - partition tables against ESP-IDF's own verdicts, and what an updater adds.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "esp_partition.h"
#include "flash_bytes.h"
#include "vectors.h"
#include <cmocka.h>

enum { FLASH_SIZE = 0x800000, AT = ESP_PARTITION_TABLE_AT };

static uint8_t memory[FLASH_SIZE];
static flash_bytes_t bytes;
static flash_t flash;

/// A blank flash.
static uint8_t *setup(void)
{
    memset(memory, 0xFF, sizeof memory);
    flash_bytes_init(&bytes, memory, sizeof memory, &flash);
    return memory + AT;
}

static void load(const char *name)
{
    char path[256];
    size_t len = 0;
    snprintf(path, sizeof path, "%s/parttable/%s.bin", VECTORS, name);
    uint8_t *table = vector_load(path, &len);
    assert_int_equal(len, ESP_PARTITION_TABLE_LEN);
    memcpy(setup(), table, len);
    free(table);
}

static esp_partition_err_t verify(unsigned *count)
{
    return esp_partition_verify(&flash, vector_crypto(), AT, count);
}

/// What ESP-IDF returns for our verdict.
static long idf_code(esp_partition_err_t err)
{
    if (err == ESP_PARTITION_OK) return 0;
    return (err == ESP_PARTITION_ERR_SIZE) ? 0x104 : 0x103;
}

static void mutate(const char *mutation, const char *argument)
{
    uint8_t *table = memory + AT;
    if (strcmp(mutation, "xor") == 0) {
        char *end = NULL;
        const unsigned long at = strtoul(argument, &end, 0);
        table[at] ^= (uint8_t)strtoul(end + 1, NULL, 0);
    } else if (strcmp(mutation, "all ff") == 0) {
        memset(table, 0xFF, ESP_PARTITION_TABLE_LEN);
    } else if (strcmp(mutation, "no end marker (96 entries)") == 0) {
        for (uint32_t at = 32; at < ESP_PARTITION_TABLE_LEN; at += 32)
            memcpy(table + at, table, 32);
    } else if (strcmp(mutation, "truncate after md5 then zero") == 0) {
        memset(table + 0x100, 0, ESP_PARTITION_TABLE_LEN - 0x100);
    } else if (strcmp(mutation, "two md5 records") == 0) {
        memcpy(table + 0x100, table + 0xE0, 32);
    } else {
        fail_msg("unknown mutation %s", mutation);
    }
}

static void agrees_with_esp_idf_on_every_golden_mutation(void **state)
{
    (void)state;
    FILE *rows_file = vector_table(VECTORS "/parttable/verdicts.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    while (vector_row(rows_file, &line, column)) {
        char path[256];
        size_t len = 0;
        snprintf(path, sizeof path, "%s/parttable/%s.bin", VECTORS, column[0]);
        uint8_t *table = vector_load(path, &len);
        if (rows == 0) (void)setup();
        memcpy(memory + AT, table, len);
        free(table);
        mutate(column[1], column[2]);
        unsigned count = 0;
        const esp_partition_err_t err = verify(&count);
        if (idf_code(err) != strtol(column[3], NULL, 0) || count != strtoul(column[4], NULL, 0)) {
            fail_msg("%s %s %s: error %d, %u entries, ESP-IDF %s, %s", column[0], column[1],
                     column[2], (int)err, count, column[3], column[4]);
        }
        rows++;
    }
    free(line);
    fclose(rows_file);
    assert_int_equal(rows, 2272);
}

static void reads_entries_as_the_tool_wrote_them(void **state)
{
    (void)state;
    static const esp_partition_t want[] = {
        { 0x9000, 0x6000, 0, 1, 2, "nvs" },          { 0xF000, 0x2000, 0, 1, 0, "otadata" },
        { 0x20000, 0x100000, 0, 0, 0, "factory" },   { 0x120000, 0x100000, 0, 0, 0x10, "ota_0" },
        { 0x220000, 0x100000, 0, 0, 0x11, "ota_1" }, { 0x320000, 0x1000, 1, 1, 4, "nvs_keys" },
        { 0x321000, 0x4000, 2, 1, 6, "settings" },   { 0x325000, 0x10000, 3, 0x40, 1, "fwupd" },
        { 0x335000, 0x4000, 0, 1, 6, "logs" },
    };
    load("ab_4m_explicit");
    unsigned count = 0;
    assert_int_equal(verify(&count), ESP_PARTITION_OK);
    assert_int_equal(count, sizeof want / sizeof want[0]);
    for (unsigned i = 0; i < count; i++) {
        esp_partition_t got;
        assert_int_equal(esp_partition_get(&flash, AT, i, &got), ESP_PARTITION_OK);
        assert_memory_equal(&got, &want[i], sizeof got);
    }
    esp_partition_t none;
    assert_int_equal(esp_partition_get(&flash, AT, count, &none), ESP_PARTITION_ERR_NO_END);
}

static void finds_the_layout_of_an_ab_table(void **state)
{
    (void)state;
    esp_layout_t layout;
    load("two_ota_8m");
    assert_int_equal(esp_partition_layout(&flash, vector_crypto(), AT, &layout), ESP_PARTITION_OK);
    assert_int_equal(layout.otadata_at, 0xF000);
    assert_int_equal(layout.slots, 2);
    assert_int_equal(layout.slot[0].at, 0x20000);
    assert_int_equal(layout.slot[1].at, 0x320000);
    assert_int_equal(layout.slot[1].size, 0x300000);
    assert_int_equal(layout.factory.size, 0);
    load("idf_two_ota");
    assert_int_equal(esp_partition_layout(&flash, vector_crypto(), AT, &layout), ESP_PARTITION_OK);
    assert_int_equal(layout.factory.at, 0x10000);
    assert_int_equal(layout.factory.size, 0x100000);
}

static void without_a_hash_the_md5_record_is_not_compared(void **state)
{
    (void)state;
    load("two_ota_8m");
    memory[AT + 0xF0] ^= 1;
    assert_int_equal(verify(NULL), ESP_PARTITION_ERR_MD5);
    assert_int_equal(esp_partition_verify(&flash, NULL, AT, NULL), ESP_PARTITION_OK);
    memcpy(memory + AT + 0x100, memory + AT + 0xE0, 32);
    assert_int_equal(esp_partition_verify(&flash, NULL, AT, NULL),
                     ESP_PARTITION_ERR_MD5); // two of them
}

// --- Tables made here ---

typedef struct {
    uint8_t type, subtype;
    uint32_t at, size;
} row_t;

static void write_rows(const row_t *row, unsigned rows)
{
    uint8_t *p = setup();
    for (unsigned i = 0; i < rows; i++, p += 32) {
        memset(p, 0, 32);
        store_le16(p, 0x50AA);
        p[2] = row[i].type;
        p[3] = row[i].subtype;
        store_le32(p + 4, row[i].at);
        store_le32(p + 8, row[i].size);
    }
}

static esp_partition_err_t layout_of(const row_t *row, unsigned rows)
{
    esp_layout_t layout;
    write_rows(row, rows);
    return esp_partition_layout(&flash, vector_crypto(), AT, &layout);
}

static void ninety_five_entries_fit_and_ninety_six_do_not(void **state)
{
    (void)state;
    row_t row[96];
    unsigned count = 0;
    for (unsigned i = 0; i < 96; i++)
        row[i] = (row_t){ 1, 0x40, 0x9000, 0x1000 };
    write_rows(row, 95);
    assert_int_equal(verify(&count), ESP_PARTITION_OK);
    assert_int_equal(count, 95);
    write_rows(row, 96);
    assert_int_equal(verify(NULL), ESP_PARTITION_ERR_NO_END);
    esp_partition_t last;
    assert_int_equal(esp_partition_get(&flash, AT, 95, &last), ESP_PARTITION_OK);
    assert_int_equal(esp_partition_get(&flash, AT, 96, &last), ESP_PARTITION_ERR_NO_END);
}

static void an_entry_may_end_with_the_flash_and_not_behind_it(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, size;
        esp_partition_err_t err;
    } cases[] = { { 0x7FF000, 0x1000, ESP_PARTITION_OK },
                  { 0x800000, 0, ESP_PARTITION_OK },
                  { 0x7FF000, 0x1001, ESP_PARTITION_ERR_SIZE },
                  { 0x800001, 0, ESP_PARTITION_ERR_SIZE },
                  { 0xFFFFF000, 0x2000, ESP_PARTITION_ERR_SIZE },
                  { 0x1000, 0xFFFFF000, ESP_PARTITION_ERR_SIZE } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const row_t row = { 1, 2, cases[i].at, cases[i].size };
        write_rows(&row, 1);
        assert_int_equal(verify(NULL), cases[i].err);
    }
}

static void entries_behind_the_md5_record_count(void **state)
{
    (void)state;
    static const row_t row = { 1, 2, 0x9000, 0x6000 };
    load("two_ota_8m");
    write_rows(&row, 1);
    uint8_t *table = memory + AT;
    const crypto_t *crypto = vector_crypto();
    memset(table + 32, 0xEB, 16);
    assert_true(crypto->start(crypto->ctx, CRYPTO_MD5));
    assert_true(crypto->update(crypto->ctx, table, 32));
    assert_true(crypto->finish(crypto->ctx, table + 48));
    memcpy(table + 64, table, 32);
    table[64 + 3] = 0x55;
    unsigned count = 0;
    assert_int_equal(verify(&count), ESP_PARTITION_OK);
    assert_int_equal(count, 2);
    esp_partition_t second;
    assert_int_equal(esp_partition_get(&flash, AT, 1, &second), ESP_PARTITION_OK);
    assert_int_equal(second.subtype, 0x55);
}

static void a_blank_flash_has_no_table(void **state)
{
    (void)state;
    (void)setup();
    assert_int_equal(verify(NULL), ESP_PARTITION_ERR_EMPTY);
    assert_int_equal(esp_partition_verify(&flash, vector_crypto(), FLASH_SIZE - 0x400, NULL),
                     ESP_PARTITION_ERR_FLASH); // the table would not fit
    assert_int_equal(esp_partition_verify(&flash, vector_crypto(), FLASH_SIZE + 1, NULL),
                     ESP_PARTITION_ERR_FLASH);
}

#define OTADATA                                                                                    \
    {                                                                                              \
        1, 0, 0xF000, 0x2000                                                                       \
    }
#define SLOT(n, at, size)                                                                          \
    {                                                                                              \
        0, 0x10 + (n), at, size                                                                    \
    }

static void an_updater_needs_otadata_and_two_slots(void **state)
{
    (void)state;
    static const row_t no_otadata[] = { SLOT(0, 0x20000, 0x10000), SLOT(1, 0x30000, 0x10000) };
    static const row_t one_slot[] = { OTADATA, SLOT(0, 0x20000, 0x10000) };
    static const row_t small[] = { { 1, 0, 0xF000, 0x1000 },
                                   SLOT(0, 0x20000, 0x10000),
                                   SLOT(1, 0x30000, 0x10000) };
    static const row_t odd[] = { { 1, 0, 0xF800, 0x2000 },
                                 SLOT(0, 0x20000, 0x10000),
                                 SLOT(1, 0x30000, 0x10000) };
    assert_int_equal(layout_of(no_otadata, 2), ESP_PARTITION_ERR_NO_OTA);
    assert_int_equal(layout_of(one_slot, 2), ESP_PARTITION_ERR_NO_OTA);
    assert_int_equal(layout_of(small, 3), ESP_PARTITION_ERR_NO_OTA);
    assert_int_equal(layout_of(odd, 3), ESP_PARTITION_ERR_NO_OTA);
}

static void slots_follow_each_other_without_a_gap_in_any_order(void **state)
{
    (void)state;
    static const row_t gap[] = { OTADATA, SLOT(0, 0x20000, 0x10000), SLOT(2, 0x30000, 0x10000) };
    static const row_t no_first[] = { OTADATA, SLOT(1, 0x20000, 0x10000),
                                      SLOT(2, 0x30000, 0x10000) };
    static const row_t reverse[] = { SLOT(1, 0x20000, 0x10000), SLOT(0, 0x30000, 0x10000),
                                     OTADATA };
    assert_int_equal(layout_of(gap, 3), ESP_PARTITION_ERR_SLOTS);
    assert_int_equal(layout_of(no_first, 3), ESP_PARTITION_ERR_SLOTS);
    assert_int_equal(layout_of(reverse, 3), ESP_PARTITION_OK);
    row_t all[17] = { OTADATA };
    for (unsigned i = 0; i < 16; i++)
        all[1 + i] = (row_t)SLOT((uint8_t)i, 0x20000 + i * 0x10000, 0x10000);
    assert_int_equal(layout_of(all, 17), ESP_PARTITION_OK);
}

static void slots_touch_nothing_else_that_matters(void **state)
{
    (void)state;
    static const struct {
        row_t second;
        esp_partition_err_t err;
    } cases[] = {
        { SLOT(1, 0x30000, 0x10000), ESP_PARTITION_OK },
        { SLOT(1, 0x2F000, 0x10000), ESP_PARTITION_ERR_SLOTS }, // overlaps ota_0
        { SLOT(1, 0x20000, 0x10000), ESP_PARTITION_ERR_SLOTS }, // is ota_0
        { SLOT(1, 0x10000, 0x4000), ESP_PARTITION_ERR_SLOTS },  // overlaps otadata
        { SLOT(1, 0x8000, 0x1000), ESP_PARTITION_ERR_SLOTS },   // overlaps the table
        { SLOT(1, 0x4F000, 0x2000), ESP_PARTITION_ERR_SLOTS },  // overlaps factory
        { SLOT(1, 0x30800, 0x10000), ESP_PARTITION_ERR_SLOTS }, // begins within a sector
        { SLOT(1, 0x30000, 0x10800), ESP_PARTITION_ERR_SLOTS }, // ends within a sector
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const row_t row[] = {
            OTADATA, SLOT(0, 0x20000, 0x10000), { 0, 0, 0x50000, 0x10000 }, cases[i].second
        };
        assert_int_equal(layout_of(row, 4), cases[i].err);
    }
}

static void otadata_touches_nothing_else_that_matters(void **state)
{
    (void)state;
    static const struct {
        row_t otadata, factory;
        esp_partition_err_t err;
    } cases[] = {
        { OTADATA, { 0, 0, 0x11000, 0x1000 }, ESP_PARTITION_OK },
        { OTADATA, { 0, 0, 0x10000, 0x1000 }, ESP_PARTITION_ERR_SLOTS },
        { OTADATA, { 0, 0, 0xE000, 0x1800 }, ESP_PARTITION_ERR_SLOTS }, // erased by the sector
        { OTADATA, { 0, 0, 0x10000, 0 }, ESP_PARTITION_OK },            // there is none
        { { 1, 0, 0x7000, 0x2000 }, { 0, 0, 0, 0 }, ESP_PARTITION_ERR_SLOTS }, // over the table
        { { 1, 0, 0x6000, 0x2000 }, { 0, 0, 0, 0 }, ESP_PARTITION_OK },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const row_t row[] = { cases[i].otadata, cases[i].factory, SLOT(0, 0x20000, 0x10000),
                              SLOT(1, 0x30000, 0x10000) };
        assert_int_equal(layout_of(row, 4), cases[i].err);
    }
}

static void the_last_of_several_entries_of_one_kind_wins(void **state)
{
    (void)state;
    static const row_t row[] = { OTADATA, SLOT(0, 0x20000, 0x10000), SLOT(1, 0x30000, 0x10000),
                                 SLOT(0, 0x40000, 0x10000) };
    esp_layout_t layout;
    write_rows(row, 4);
    assert_int_equal(esp_partition_layout(&flash, vector_crypto(), AT, &layout), ESP_PARTITION_OK);
    assert_int_equal(layout.slots, 2);
    assert_int_equal(layout.slot[0].at, 0x40000);
}

// --- Failing hardware ---

static unsigned calls_left;

static int failing_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    if (calls_left-- == 0) return -5;
    const flash_bytes_t *b = ctx;
    memcpy(p, b->p + at, len);
    return 0;
}

static void a_failing_flash_never_passes_a_table(void **state)
{
    (void)state;
    load("two_ota_8m");
    flash.read = failing_read;
    unsigned calls = 0;
    for (;; calls++) {
        calls_left = calls;
        esp_layout_t layout;
        const esp_partition_err_t err = esp_partition_layout(&flash, vector_crypto(), AT, &layout);
        if (err == ESP_PARTITION_OK) break;
        assert_int_equal(err, ESP_PARTITION_ERR_FLASH);
    }
    assert_true(calls > 9);
}

static void a_failing_hash_library_never_passes_a_table(void **state)
{
    (void)state;
    load("two_ota_8m");
    for (unsigned calls = 0; calls <= 9; calls++) // start, seven entries, finish
        assert_int_equal(esp_partition_verify(&flash, vector_failing_crypto(calls), AT, NULL),
                         calls < 9 ? ESP_PARTITION_ERR_FLASH : ESP_PARTITION_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_esp_idf_on_every_golden_mutation),
        cmocka_unit_test(reads_entries_as_the_tool_wrote_them),
        cmocka_unit_test(finds_the_layout_of_an_ab_table),
        cmocka_unit_test(without_a_hash_the_md5_record_is_not_compared),
        cmocka_unit_test(ninety_five_entries_fit_and_ninety_six_do_not),
        cmocka_unit_test(an_entry_may_end_with_the_flash_and_not_behind_it),
        cmocka_unit_test(entries_behind_the_md5_record_count),
        cmocka_unit_test(a_blank_flash_has_no_table),
        cmocka_unit_test(an_updater_needs_otadata_and_two_slots),
        cmocka_unit_test(slots_follow_each_other_without_a_gap_in_any_order),
        cmocka_unit_test(slots_touch_nothing_else_that_matters),
        cmocka_unit_test(otadata_touches_nothing_else_that_matters),
        cmocka_unit_test(the_last_of_several_entries_of_one_kind_wins),
        cmocka_unit_test(a_failing_flash_never_passes_a_table),
        cmocka_unit_test(a_failing_hash_library_never_passes_a_table),
    };
    return cmocka_run_group_tests_name("esp_partition", tests, NULL, NULL);
}
