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

static uint8_t *build_parts(flash_image_cfg_t cfg, const flash_image_part_t *part, size_t parts)
{
    cfg.crypto = vector_crypto();
    cfg.table = table;
    cfg.part = part;
    cfg.parts = parts;
    error[0] = 0;
    return flash_image_build(&cfg, &size, error, sizeof error);
}

static uint8_t *build(const uint8_t *app, uint32_t app_len, uint32_t flash_size)
{
    const flash_image_part_t part = { .name = "the application", .p = app, .len = app_len };
    const flash_image_cfg_t cfg = { .chip_id = ESP_IMAGE_ANY_CHIP, .size = flash_size };
    return build_parts(cfg, &part, app ? 1 : 0);
}

static const flash_image_cfg_t ANY = { .chip_id = ESP_IMAGE_ANY_CHIP };

static void assert_refused(flash_image_cfg_t cfg, const flash_image_part_t *part, size_t parts,
                           const char *why)
{
    assert_null(build_parts(cfg, part, parts));
    assert_string_equal(error, why);
}

static uint8_t *must_build(flash_image_cfg_t cfg, const flash_image_part_t *part, size_t parts)
{
    uint8_t *flash = build_parts(cfg, part, parts);
    if (!flash) fail_msg("%s", error);
    assert_non_null(flash);
    return flash;
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
    make_table("otadata,data,ota,,8K\nota_0,app,ota_0,,64K\nb,app,ota_1,,64K\n");
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
    const flash_image_part_t part = { .name = "the application", .p = app, .len = len };
    assert_null(build_parts((flash_image_cfg_t){ .chip_id = 9 }, &part, 1));
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
    const flash_image_cfg_t cfg = { .table_at = 0x10000 };
    uint8_t *flash = must_build(cfg, NULL, 0);
    assert_non_null(flash);
    assert_memory_equal(flash + 0x10000, table, sizeof table);
    assert_blank(flash, 0, 0x10000);
    free(flash);
}

// --- Contents by name ---

static void every_part_goes_to_the_partition_that_it_names(void **state)
{
    (void)state;
    uint32_t old_len = 0;
    uint32_t new_len = 0;
    uint8_t *old = load_app("app_c3_v123", &old_len);
    uint8_t *new = load_app("app_c3_v130", &new_len);
    static const uint8_t raw[0x6000] = { 1, 2, 3 };
    load_table("two_ota_8m");
    const flash_image_part_t parts[] = {
        { .label = "ota_1", .name = "new", .p = new, .len = new_len },
        { .label = "nvs", .name = "nvs.bin", .p = raw, .len = sizeof raw },
        { .label = "ota_0", .name = "old", .p = old, .len = old_len },
        { .label = "storage", .name = "fs.bin", .p = raw, .len = 3 },
        { .label = "phy_init", .name = "nothing", .p = raw, .len = 0 },
    };
    uint8_t *flash = must_build(ANY, parts, 5);
    assert_memory_equal(flash + 0x9000, raw, sizeof raw);
    assert_blank(flash, 0xF000, 0x20000); // boot record and phy_init
    assert_memory_equal(flash + 0x20000, old, old_len);
    assert_memory_equal(flash + 0x320000, new, new_len);
    assert_blank(flash, 0x320000 + new_len, 0x630000);
    assert_memory_equal(flash + 0x630000, raw, 3);
    assert_blank(flash, 0x630003, size);
    free(flash);
    free(old);
    free(new);
}

static void a_name_that_is_none_or_comes_twice_is_refused(void **state)
{
    (void)state;
    static const uint8_t raw[1] = { 1 };
    make_table(
        "otadata,data,ota,,8K\nfirst,app,ota_0,,64K\nthe very long name of it,app,ota_1,,64K\n");
    const flash_image_part_t parts[] = {
        { .label = "otadata", .name = "a", .p = raw, .len = 1 },
        { .label = "otadata", .name = "b", .p = raw, .len = 1 },
        { .label = "ota_0", .name = "c", .p = raw, .len = 1 },
        { .label = "the very long name of it", .name = "d", .p = raw, .len = 1 },
    };
    assert_refused(ANY, parts, 2, "otadata is given twice");
    assert_refused(ANY, parts + 2, 1,
                   "there is no partition 'ota_0'; there are otadata, first (ota_0), "
                   "the very long na (ota_1)");
    assert_refused(
        ANY, parts + 3, 1,
        "d cannot go to the very long na: not an ESP image: it does not begin with byte 0xE9");
    make_table("a,data,nvs,,12K\n");
    const flash_image_part_t app = { .name = "app", .p = raw, .len = 1 };
    assert_refused((flash_image_cfg_t){ .any_table = true }, &app, 1,
                   "there is no partition 'ota_0'; there are a");
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    static const uint8_t raw[0x1001] = { 1 };
    make_table("nvs,data,nvs,,12K\nfs,data,fat,,4K\n");
    const flash_image_cfg_t cfg = { .any_table = true };
    flash_image_part_t part = { .label = "fs", .name = "fs.bin", .p = raw, .len = sizeof raw };
    assert_refused(cfg, &part, 1, "fs.bin cannot go to fs: it has 4097 bytes, the partition 4096");
    part.len = 0x1000;
    uint8_t *flash = must_build(cfg, &part, 1);
    free(flash);
    const uint32_t boot_at = 0x1000;
    const partition_csv_cfg_t csv = { .crypto = vector_crypto(), .bootloader_at = &boot_at };
    static const char text[] = "t,partition_table,primary,,\nfs,data,fat,,4K\n";
    assert_true(partition_csv_parse(&csv, text, sizeof text - 1, table, error, sizeof error));
    part.label = "t";
    assert_refused(cfg, &part, 1, "fs.bin cannot go to t: the partition table lies there");
}

static void all_images_are_for_one_chip_and_lenient_takes_what_esp_idf_takes(void **state)
{
    (void)state;
    uint32_t c3_len = 0;
    uint32_t s3_len = 0;
    uint8_t *c3 = load_app("app_c3_nohash", &c3_len);
    uint8_t *s3 = load_app("app_s3", &s3_len);
    load_table("two_ota_8m");
    const flash_image_part_t parts[] = {
        { .label = "ota_0", .name = "c3", .p = c3, .len = c3_len },
        { .label = "ota_1", .name = "s3", .p = s3, .len = s3_len }
    };
    flash_image_cfg_t lenient = ANY;
    lenient.lenient = true;
    assert_refused(ANY, parts, 1,
                   "c3 cannot go to ota_0: no SHA-256 is appended, so damage could go unnoticed: "
                   "build without --dont-append-digest");
    uint8_t *flash = must_build(lenient, parts, 1);
    free(flash);
    assert_refused(lenient, parts, 2,
                   "s3 cannot go to ota_1: the image was built for ESP32-S3 (chip id 9), not for "
                   "ESP32-C3");
    free(c3);
    free(s3);
}

// --- Bootloaders ---

/// No descriptor of an application, one segment in RAM.
static size_t make_bootloader(uint16_t chip_id, uint8_t *image)
{
    image_spec_t spec = image_spec();
    spec.chip_id = chip_id;
    spec.segments = 1;
    spec.segment[0] = (esp_image_segment_t){ 0x40380000, 512 };
    spec.desc_magic = 80; // a bootloader's descriptor begins with its own size
    return image_build(&spec, image);
}

static void a_bootloader_lies_where_its_chip_looks_for_it(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    static const struct {
        uint16_t chip_id;
        uint32_t at;
    } cases[] = { { 0, 0x1000 },  { 2, 0x1000 },  { 5, 0 },      { 9, 0 },  { 12, 0 },
                  { 13, 0 },      { 16, 0 },      { 20, 0 },     { 25, 0 }, { 18, 0x2000 },
                  { 23, 0x2000 }, { 28, 0x2000 }, { 32, 0x2000 } };
    load_table("two_ota_8m");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t len = (uint32_t)make_bootloader(cases[i].chip_id, image);
        const flash_image_part_t part = {
            .label = "bootloader", .name = "b", .p = image, .len = len
        };
        uint8_t *flash = must_build(ANY, &part, 1);
        assert_blank(flash, 0, cases[i].at);
        assert_memory_equal(flash + cases[i].at, image, len);
        assert_blank(flash, cases[i].at + len, 0x8000);
        free(flash);
    }
    const uint32_t len = (uint32_t)make_bootloader(31, image);
    const flash_image_part_t part = { .label = "bootloader", .name = "b", .p = image, .len = len };
    assert_refused(ANY, &part, 1,
                   "b cannot go to bootloader: it is not known where this chip looks for one");
    const uint32_t at = 0x3000;
    flash_image_cfg_t cfg = ANY;
    cfg.bootloader_at = &at;
    uint8_t *flash = must_build(cfg, &part, 1);
    assert_memory_equal(flash + at, image, len);
    free(flash);
}

static void a_bootloader_that_would_not_start_is_refused(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    uint32_t len = (uint32_t)make_bootloader(13, image);
    load_table("two_ota_8m");
    flash_image_part_t part = { .label = "bootloader", .name = "b", .p = image, .len = len };
    assert_refused(
        (flash_image_cfg_t){ .chip_id = 5 }, &part, 1,
        "b cannot go to bootloader: the image was built for ESP32-C6 (chip id 13), not for "
        "ESP32-C3");
    image[len - 1] ^= 1;
    assert_refused(ANY, &part, 1,
                   "b cannot go to bootloader: the SHA-256 is wrong: the image is damaged");
    image[100] ^= 1;
    assert_refused(ANY, &part, 1,
                   "b cannot go to bootloader: the checksum is wrong: the image is damaged");
    image[100] ^= 1;
    for (part.len = 0; part.len < len; part.len++) // at every length
        assert_null(build_parts(ANY, &part, 1));
    image[1] = 0;
    memset(image + 24, 0, 16);
    image[39] = 0xEF;
    image[23] = 0;
    part.len = 40;
    assert_null(build_parts(ANY, &part, 1));
    part.len = len = (uint32_t)make_bootloader(0, image);
    const uint32_t at = 0x8000 - len + 16;
    flash_image_cfg_t cfg = ANY;
    cfg.bootloader_at = &at;
    assert_null(build_parts(cfg, &part, 1));
    assert_non_null(strstr(error, "there is room for"));
}

static void a_bootloader_with_a_row_in_the_table_goes_there(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    const uint32_t at = 0x2000;
    const partition_csv_cfg_t csv = { .crypto = vector_crypto(), .bootloader_at = &at };
    static const char text[] =
        "boot,bootloader,primary,,\nnext,bootloader,ota,,\nfs,data,fat,,4K\n";
    assert_true(partition_csv_parse(&csv, text, sizeof text - 1, table, error, sizeof error));
    const uint32_t len = (uint32_t)make_bootloader(5, image);
    const flash_image_part_t parts[] = { { .label = "boot", .name = "b", .p = image, .len = len },
                                         { .label = "next", .name = "n", .p = image, .len = len } };
    const flash_image_cfg_t cfg = { .chip_id = ESP_IMAGE_ANY_CHIP, .any_table = true };
    uint8_t *flash = must_build(cfg, parts, 2);
    assert_blank(flash, 0, at);
    assert_memory_equal(flash + at, image, len);
    assert_memory_equal(flash + 0x9000, image, len);
    free(flash);
}

// --- What starts ---

static void the_boot_record_is_the_one_esp_idf_writes_at_its_first_start(void **state)
{
    (void)state;
    uint32_t len = 0;
    size_t record_len = 0;
    uint8_t *app = load_app("app_c3_v123", &len);
    uint8_t *first = vector_load(VECTORS "/otadata/01_first_boot.bin", &record_len);
    const flash_image_part_t parts[] = { { .label = "ota_0", .name = "a", .p = app, .len = len },
                                         { .label = "ota_1", .name = "b", .p = app, .len = len } };
    load_table("two_ota_8m");
    flash_image_cfg_t cfg = ANY;
    cfg.boot = "ota_0";
    uint8_t *flash = must_build(cfg, parts, 2);
    assert_int_equal(record_len, 0x2000);
    assert_memory_equal(flash + 0xF000, first, record_len);
    free(flash);
    cfg.boot = "ota_1";
    flash = must_build(cfg, parts, 2);
    store_le32(first, 2);
    store_le32(first + 28, 0x55F63774); // golden, as the CRC of 2
    assert_memory_equal(flash + 0xF000, first, record_len);
    free(flash);
    load_table("ab_4m_explicit");
    const flash_image_part_t rescue = { .name = "r", .p = app, .len = len };
    cfg.boot = "factory";
    flash = must_build(cfg, &rescue, 1);
    assert_blank(flash, 0xF000, 0x11000);
    free(flash);
    free(first);
    free(app);
}

static void what_cannot_be_started_is_refused(void **state)
{
    (void)state;
    uint32_t len = 0;
    uint8_t *app = load_app("app_c3_v123", &len);
    static const uint8_t record[1] = { 7 };
    const flash_image_part_t parts[] = {
        { .label = "ota_0", .name = "a", .p = app, .len = len },
        { .label = "otadata", .name = "o", .p = record, .len = sizeof record }
    };
    load_table("two_ota_8m");
    static const char *const cases[][2] = {
        { "nvs", "nvs cannot be started: it is not an application slot" },
        { "ota_1", "ota_1 cannot be started: no application is given for it" },
        { "ota_0", "otadata is given, and tells itself what starts" },
        { "x",
          "there is no partition 'x'; there are nvs, otadata, phy_init, ota_0, ota_1, coredump, "
          "storage" },
    };
    flash_image_cfg_t cfg = ANY;
    for (size_t i = 0; i < 4; i++) {
        cfg.boot = cases[i][0];
        assert_refused(cfg, parts, 2, cases[i][1]);
    }
    make_table("ota_0,app,ota_0,,1M\n");
    cfg.any_table = true;
    cfg.boot = "ota_0";
    assert_refused(
        cfg, parts, 1,
        "the partition table has no otadata partition of 8 KB, or fewer than two OTA slots");
    free(app);
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
        cmocka_unit_test(every_part_goes_to_the_partition_that_it_names),
        cmocka_unit_test(a_name_that_is_none_or_comes_twice_is_refused),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(all_images_are_for_one_chip_and_lenient_takes_what_esp_idf_takes),
        cmocka_unit_test(a_bootloader_lies_where_its_chip_looks_for_it),
        cmocka_unit_test(a_bootloader_that_would_not_start_is_refused),
        cmocka_unit_test(a_bootloader_with_a_row_in_the_table_goes_there),
        cmocka_unit_test(the_boot_record_is_the_one_esp_idf_writes_at_its_first_start),
        cmocka_unit_test(what_cannot_be_started_is_refused),
        cmocka_unit_test(a_flash_of_bytes_behaves_like_one),
    };
    return cmocka_run_group_tests_name("flash_image", tests, NULL, NULL);
}
