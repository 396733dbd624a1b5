// test_crc32.c - CRC-32 with both start values, against published and ESP-IDF's results.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "crc32.h"
#include "vectors.h"
#include <cmocka.h>

static void has_the_check_value_of_the_common_crc_32(void **state)
{
    (void)state;
    assert_int_equal(crc32_of(0xFFFFFFFF, (const uint8_t *)"123456789", 9), 0xCBF43926);
    assert_int_equal(crc32_of(0xFFFFFFFF, (const uint8_t *)"a", 1), 0xE8B7BE43);
}

static void is_the_inverted_start_value_of_nothing(void **state)
{
    (void)state;
    assert_int_equal(crc32_of(0xFFFFFFFF, NULL, 0), 0);
    assert_int_equal(crc32_of(0x12345678, NULL, 0), 0xEDCBA987);
}

static void continues_from_the_inverted_result(void **state)
{
    (void)state;
    const uint32_t half = crc32_of(0xFFFFFFFF, (const uint8_t *)"1234", 4);
    assert_int_equal(crc32_of(~half, (const uint8_t *)"56789", 5), 0xCBF43926);
}

static void is_esp_idf_s_for_every_golden_sequence_number(void **state)
{
    (void)state;
    FILE *table = vector_table(VECTORS "/otadata/crc_of_seq.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    while (vector_row(table, &line, column)) {
        uint8_t raw[4];
        store_le32(raw, (uint32_t)strtoul(column[0], NULL, 10));
        assert_int_equal(crc32_of(0, raw, 4), strtoul(column[1], NULL, 16));
        rows++;
    }
    assert_int_equal(rows, 44);
    free(line);
    fclose(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_check_value_of_the_common_crc_32),
        cmocka_unit_test(is_the_inverted_start_value_of_nothing),
        cmocka_unit_test(continues_from_the_inverted_result),
        cmocka_unit_test(is_esp_idf_s_for_every_golden_sequence_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
