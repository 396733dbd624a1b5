// test_flash_image.c - flash images as a freshly flashed device would hold them.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "flash_bytes.h"
#include "flash_image.h"
#include "image_build.h"
#include "partition_csv.h"
#include "vectors.h"
#include <cmocka.h>

static char error[FLASH_IMAGE_ERROR_CAP];
static uint32_t size;
static uint8_t table[ESP_PARTITION_TABLE_LEN];

static void make_table(const char *csv)
{
    const partition_csv_cfg_t cfg = { .crypto = vector_crypto() };
    if (!partition_csv_parse(&cfg, csv, strlen(csv), table, error, sizeof error))
        fail_msg("%s", error);
}

static void load_table(const char *name)
{
    char path[256];
    size_t len = 0;
    snprintf(path, sizeof path, "%s/parttable/%s.bin", VECTORS, name);
    uint8_t *p = vector_load(path, &len);
    assert_int_equal(len, sizeof table);
    memcpy(table, p, len);
    free(p);
}

static uint8_t *load_app(const char *name, uint32_t *len)
{
    char path[256];
    size_t n = 0;
    snprintf(path, sizeof path, "%s/image/%s.bin", VECTORS, name);
    uint8_t *p = vector_load(path, &n);
    *len = (uint32_t)n;
    return p;
}

static uint8_t *build(const uint8_t *app, uint32_t app_len, uint32_t flash_size)
{
    const flash_image_cfg_t cfg = { .crypto = vector_crypto(),
                                    .table = table,
                                    .app = app,
                                    .app_len = app_len,
                                    .chip_id = ESP_IMAGE_ANY_CHIP,
                                    .size = flash_size };
    return flash_image_build(&cfg, &size, error, sizeof error);
}

static void assert_blank(const uint8_t *flash, uint32_t from, uint32_t to)
{
    for (uint32_t at = from; at < to; at++)
        if (flash[at] != 0xFF) fail_msg("byte 0x%x is not blank", at);
}

static void the_app_goes_to_ota_0_and_the_rest_stays_blank(void **state)
{
    (void)state;
    uint32_t len = 0;
    uint8_t *app = load_app("app_c3_v123", &len);
    load_table("two_ota_8m");
    uint8_t *flash = build(app, len, 0);
    assert_non_null(flash);
    assert_int_equal(size, 8 << 20);
    assert_blank(flash, 0, 0x8000);
    assert_memory_equal(flash + 0x8000, table, sizeof table);
    assert_blank(flash, 0x8C00, 0x20000);
    assert_memory_equal(flash + 0x20000, app, len);
    assert_blank(flash, 0x20000 + len, size);
    free(flash);
    free(app);
}

static void a_factory_partition_comes_first(void **state)
{
    (void)state;
    uint32_t len = 0;
    uint8_t *app = load_app("app_esp32", &len);
    load_table("ab_4m_explicit");
    uint8_t *flash = build(app, len, 0);
    assert_non_null(flash);
    assert_int_equal(size, 4 << 20);
    assert_memory_equal(flash + 0x20000, app, len); // factory
    assert_blank(flash, 0x120000, size);
    free(flash);
    free(app);
}

static void the_size_is_the_smallest_usual_one_or_the_one_given(void **state)
{
    (void)state;
    make_table("otadata,data,ota,,8K\na,app,ota_0,,64K\nb,app,ota_1,0xF0000,64K\n");
    free(build(NULL, 0, 0));
    assert_int_equal(size, 1 << 20);
    make_table("otadata,data,ota,,8K\na,app,ota_0,,64K\nb,app,ota_1,0xF0000,68K\n");
    free(build(NULL, 0, 0));
    assert_int_equal(size, 2 << 20);
    free(build(NULL, 0, 0x101000));
    assert_int_equal(size, 0x101000);
    assert_null(build(NULL, 0, 0x100000));
    assert_string_equal(
        error,
        "the partitions end at 0x101000, the flash of 1024 KB at 0x100000: take a larger "
        "flash or smaller partitions");
    assert_null(build(NULL, 0, 0x101001));
    assert_string_equal(error, "a flash of 1052673 bytes is not a multiple of 4096");
    make_table("otadata,data,ota,,8K\na,app,ota_0,,64K\nb,app,ota_1,128M,64K\n");
    assert_null(build(NULL, 0, 0));
    assert_string_equal(error,
                        "the partitions end at 0x8010000, behind the largest flash of 128 MB");
}

static void a_table_without_ota_or_damaged_is_refused(void **state)
{
    (void)state;
    make_table("nvs,data,nvs,,24K\nf,app,factory,,1M\n");
    assert_null(build(NULL, 0, 0));
    assert_string_equal(
        error, "the partition table has no otadata partition of 8 KB, or fewer than two OTA slots");
    load_table("two_ota_8m");
    table[40] ^= 1;
    assert_null(build(NULL, 0, 0));
    assert_string_equal(error, "the partition table's MD5 record is wrong: the table is damaged");
}

static void an_app_that_does_not_fit_or_is_damaged_is_refused(void **state)
{
    (void)state;
    uint32_t len = 0;
    uint8_t *app = load_app("app_c3_v123", &len);
    make_table("otadata,data,ota,,8K\na,app,ota_0,,64K\nb,app,ota_1,,64K\n");
    assert_null(build(app, len, 0));
    assert_string_equal(
        error,
        "the application cannot go to ota_0: the image does not fit its slot of 65536 bytes");
    load_table("two_ota_8m");
    app[0x400] ^= 1;
    assert_null(build(app, len, 0));
    assert_string_equal(
        error, "the application cannot go to ota_0: the checksum is wrong: the image is damaged");
    app[0x400] ^= 1;
    const flash_image_cfg_t other = {
        .crypto = vector_crypto(), .table = table, .app = app, .app_len = len, .chip_id = 9
    };
    assert_null(flash_image_build(&other, &size, error, sizeof error));
    assert_string_equal(
        error,
        "the application cannot go to ota_0: the image was built for ESP32-C3 (chip id 5), "
        "not for ESP32-S3");
    free(app);
}

static void the_table_can_lie_elsewhere(void **state)
{
    (void)state;
    load_table("two_ota_8m_off0x10000");
    const flash_image_cfg_t cfg = { .crypto = vector_crypto(),
                                    .table = table,
                                    .table_at = 0x10000 };
    uint8_t *flash = flash_image_build(&cfg, &size, error, sizeof error);
    assert_non_null(flash);
    assert_memory_equal(flash + 0x10000, table, sizeof table);
    assert_blank(flash, 0, 0x10000);
    free(flash);
}

static void a_flash_of_bytes_behaves_like_one(void **state)
{
    (void)state;
    static uint8_t memory[2 * FLASH_BYTES_SECTOR];
    static const uint8_t first[] = { 0xF0, 0xFF };
    static const uint8_t second[] = { 0x3C, 0x0F };
    uint8_t read[2];
    flash_bytes_t bytes;
    flash_t flash;
    flash_bytes_init_writable(&bytes, memory, sizeof memory, &flash);
    assert_int_equal(flash.erase(flash.ctx, FLASH_BYTES_SECTOR), 0);
    assert_int_equal(memory[FLASH_BYTES_SECTOR - 1], 0);
    assert_int_equal(flash.prog(flash.ctx, FLASH_BYTES_SECTOR, first, 2), 0);
    assert_int_equal(flash.prog(flash.ctx, FLASH_BYTES_SECTOR, second, 2), 0);
    assert_int_equal(flash.read(flash.ctx, FLASH_BYTES_SECTOR, read, 2), 0);
    assert_int_equal(read[0], 0x30); // bits are only ever cleared
    assert_int_equal(read[1], 0x0F);
    assert_int_not_equal(flash.read(flash.ctx, sizeof memory - 1, read, 2), 0);
    assert_int_not_equal(flash.prog(flash.ctx, sizeof memory - 1, first, 2), 0);
    assert_int_not_equal(flash.erase(flash.ctx, sizeof memory), 0);
    flash_bytes_init(&bytes, memory, sizeof memory, &flash);
    assert_int_not_equal(flash.prog(flash.ctx, 0, first, 2), 0);
    assert_int_not_equal(flash.erase(flash.ctx, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_app_goes_to_ota_0_and_the_rest_stays_blank),
        cmocka_unit_test(a_factory_partition_comes_first),
        cmocka_unit_test(the_size_is_the_smallest_usual_one_or_the_one_given),
        cmocka_unit_test(a_table_without_ota_or_damaged_is_refused),
        cmocka_unit_test(an_app_that_does_not_fit_or_is_damaged_is_refused),
        cmocka_unit_test(the_table_can_lie_elsewhere),
        cmocka_unit_test(a_flash_of_bytes_behaves_like_one),
    };
    return cmocka_run_group_tests_name("flash_image", tests, NULL, NULL);
}
