// test_info.c - what info says about files, and that no file makes it say something harmful.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "escape.h"
#include "flash_image.h"
#include "image_build.h"
#include "info.h"
#include "partition_csv.h"
#include "vectors.h"
#include <cmocka.h>

static char error[INFO_ERROR_CAP];

static char *print(const info_t *info, bool json)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    if (json)
        info_json(info, out);
    else
        info_text(info, out);
    fclose(out);
    assert_int_equal(strlen(text), len);
    return text;
}

static char *explain(const uint8_t *p, size_t len, bool json)
{
    info_t *info = info_open(p, len, vector_crypto(), error, sizeof error);
    if (!info) return NULL;
    char *text = print(info, json);
    info_close(info);
    return text;
}

static void assert_explained(const uint8_t *p, size_t len, const char *want)
{
    char *text = explain(p, len, false);
    if (!text) fail_msg("%s", error);
    assert_string_equal(text, want);
    free(text);
}

/// Both ways of saying it hold these words.
static void assert_says(const uint8_t *p, size_t len, const char *in_text, const char *in_json)
{
    char *text = explain(p, len, false);
    char *json = explain(p, len, true);
    if (!text || !json) fail_msg("%s", error);
    if (!strstr(text, in_text)) fail_msg("'%s' is not in: %s", in_text, text);
    if (!strstr(json, in_json)) fail_msg("'%s' is not in: %s", in_json, json);
    free(text);
    free(json);
}

static uint8_t *load(const char *name, size_t *len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", VECTORS, name);
    return vector_load(path, len);
}

// --- Images ---

static void explains_an_application_image(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("image/app_c3_v123.bin", &len);
    assert_explained(
        image, len,
        "ESP application image for ESP32-C3\n"
        "\n"
        "Verdict           the image is whole and right\n"
        "Length            65664 bytes (0x10080)\n"
        "Project           canfwupd-golden\n"
        "Version           1.2.3-golden\n"
        "Secure version    2\n"
        "Built             Jan  2 2026 12:34:56\n"
        "ESP-IDF           v5.5.5\n"
        "ELF SHA-256       a22aa3a2e2c06bef38142416b06937fda4fbd7c9a4ef460b615f0316066c7ebf\n"
        "Chip              ESP32-C3 (chip id 5)\n"
        "Chip revision     v0.3 to v1.99\n"
        "eFuse revision    v0.0 to v1.99\n"
        "MMU page          64 KB\n"
        "Flash             DIO, 80 MHz, 4 MB\n"
        "Checksum          74 (right)\n"
        "SHA-256           c81e558f6c20caabdfcc13bd2a778f6aa305f751dc8e201bf1fb7c7de29bd2b2 (right)\n"
        "Entry address     0x40380020, RAM code (IRAM)\n"
        "\n"
        "  #  Offset      Length  Load address  Memory\n"
        "  0  0x000020      1456  0x3c000020    flash data (DROM)\n"
        "  1  0x0005d8       160  0x3fc80000    RAM data (DRAM)\n"
        "  2  0x000680        64  0x40380000    RAM code (IRAM)\n"
        "  3  0x0006c8     63824                padding\n"
        "  4  0x010020        48  0x42010020    flash code (IROM)\n");
    free(image);
}

static void names_the_flash_settings_of_each_chip(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } cases[] = { { "image/app_esp32.bin", "Flash             DIO, 40 MHz, 4 MB\n" },
                  { "image/app_s3.bin", "Flash             DIO, 80 MHz, 4 MB\n" },
                  { "image/app_c6.bin", "Flash             DIO, 40 or 80 MHz, 4 MB\n" } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = 0;
        uint8_t *image = load(cases[i].name, &len);
        assert_says(image, len, cases[i].text, "\"mode\":\"DIO\"");
        image[2] = 9;
        image[3] = 0x95;
        assert_says(image, len, "Flash             unknown mode, unknown speed, 0 MB\n",
                    "\"size_mb\":0");
        free(image);
    }
}

static void says_what_is_wrong_with_an_image_and_what_esp_idf_would_do(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("image/app_c3_v123.bin", &len);
    image[0x400] ^= 1;
    assert_says(
        image, len, "Verdict           the checksum is wrong: the image is damaged\nLength ",
        "\"valid\":false,\"error\":\"the checksum is wrong: the image is damaged\",\"esp_idf_accepts\":false");
    image[0x800] ^= 1;
    assert_says(image, len, "(wrong)\nEntry",
                "\"error\":\"the SHA-256 is wrong: the image is damaged\"");
    assert_says(image, len - 70,
                "Verdict           the image is not complete: 65594 bytes of 65664\n",
                "\"length\":65664");
    assert_says(image, 100, "Length            unknown, the file has 100 bytes\n", "\"length\":0");
    free(image);
    image = load("image/app_c3_nohash.bin", &len);
    assert_says(
        image, len,
        "build without --dont-append-digest\n                  ESP-IDF itself would accept it\n",
        "\"valid\":false");
    assert_says(image, len, "SHA-256           none\n", "\"esp_idf_accepts\":true");
    free(image);
}

static void says_what_lies_behind_the_image(void **state)
{
    (void)state;
    static uint8_t file[128 * 1024];
    size_t len = 0;
    uint8_t *image = load("image/app_c3_v123.bin", &len);
    memset(file, 0xFF, sizeof file);
    memcpy(file, image, len);
    assert_says(file, len + 16, "Behind it         16 bytes of padding\n", "\"trailing\":16");
    file[len] = 1;
    assert_says(file, len + 16, "Behind it         16 bytes that are ignored\n",
                "\"signatures\":[]");
    file[len] = 0xFF;
    free(image);
}

// --- Signatures ---

/// An image, padded to the next sector, and its signature sector. The caller frees it.
static uint8_t *make_signed(const char *app_name, const char *sector_name, size_t *len)
{
    size_t app_len = 0;
    size_t sector_len = 0;
    uint8_t *app = load(app_name, &app_len);
    uint8_t *sector = load(sector_name, &sector_len);
    const size_t at = (app_len + 4095) / 4096 * 4096;
    *len = at + sector_len;
    uint8_t *file = malloc(*len);
    assert_non_null(file);
    memset(file, 0xFF, *len);
    memcpy(file, app, app_len);
    memcpy(file + at, sector, sector_len);
    free(app);
    free(sector);
    return file;
}

/// As digits.
static void load_digest(const char *name, char hex[65])
{
    size_t len = 0;
    uint8_t *digest = load(name, &len);
    assert_int_equal(len, 32);
    for (size_t i = 0; i < len; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    free(digest);
}

static void tells_scheme_and_key_of_a_signature(void **state)
{
    (void)state;
    static const struct {
        const char *app, *sector, *digest, *scheme;
        unsigned version, at;
    } cases[] = { { "image/app_c3_securepad2.bin", "image/signature_rsa3072.bin",
                    "image/pubdigest_rsa3072.bin", "RSA-3072-PSS", 2, 0x20000 },
                  { "image/app_c3_v123.bin", "image/signature_ecdsa256.bin",
                    "image/pubdigest_ecdsa256.bin", "ECDSA P-256", 3, 0x11000 } };
    for (size_t i = 0; i < 2; i++) {
        char hex[65], text[400], json[400];
        size_t len = 0;
        load_digest(cases[i].digest, hex);
        uint8_t *file = make_signed(cases[i].app, cases[i].sector, &len);
        snprintf(text, sizeof text,
                 "Signed            for Secure Boot V2, sector at 0x%x; not verified\n"
                 "  signature 0     %s, CRC right, made for this image\n"
                 "  key digest      %s\n"
                 "Project ",
                 cases[i].at, cases[i].scheme, hex);
        snprintf(json, sizeof json,
                 "\"signatures\":[{\"scheme\":\"%s\",\"version\":%u,\"crc_right\":true,"
                 "\"image_right\":true,\"key_digest\":\"%s\",\"verified\":false}]",
                 cases[i].scheme, cases[i].version, hex);
        assert_says(file, len, text, json);
        free(file);
    }
}

static void tells_what_is_wrong_with_a_signature(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *file = make_signed("image/app_c3_v123.bin", "image/signature_ecdsa256.bin", &len);
    uint8_t *block = file + 0x11000;
    block[200] ^= 1;
    assert_says(file, len, "P-256, CRC wrong, made for this image\n", "\"crc_right\":false");
    block[200] ^= 1;
    file[0x10F00] = 0; // between image and sector: signed, too
    assert_says(file, len, "P-256, CRC right, made for another image\n", "\"image_right\":false");
    file[0x10F00] = 0xFF;
    memcpy(block + 1216, block, 1216);
    memcpy(block + 2432, block, 1216);
    block[1216 + 36] = 1;
    block[2432 + 36] = 9;
    assert_says(file, len, "  signature 1     ECDSA P-192, CRC wrong, made for this image\n",
                "\"scheme\":\"ECDSA P-192\"");
    assert_says(file, len, "  signature 2     ECDSA, unknown curve, CRC wrong\nProject ",
                "\"version\":3,\"crc_right\":false,\"verified\":false}]");
    block[2432 + 36] = 3;
    assert_says(file, len, "  signature 2     ECDSA P-384, CRC wrong\nProject ", "P-384");
    block[1216] = 0; // what follows a gap does not count
    assert_says(file, len, "made for this image\n  key digest      e535029c",
                "\"verified\":false}]");
    block[1] = 4; // a version that nobody knows
    assert_says(file, len, "Behind it         8064 bytes that are ignored\n", "\"signatures\":[]");
    block[1] = 3;
    assert_says(file, len - 1, "Behind it         8063 bytes that are ignored\n",
                "\"signatures\":[]");
    free(file);
}

static void tells_what_lies_behind_a_signature(void **state)
{
    (void)state;
    static uint8_t longer[0x13000];
    size_t len = 0;
    uint8_t *file = make_signed("image/app_c3_v123.bin", "image/signature_ecdsa256.bin", &len);
    memset(longer, 0xFF, sizeof longer);
    memcpy(longer, file, len);
    assert_says(longer, sizeof longer, "Behind it         4096 bytes of padding\n",
                "\"trailing\":12160");
    longer[sizeof longer - 1] = 0;
    assert_says(longer, sizeof longer, "Behind it         4096 bytes that are ignored\n", "");
    free(file);
}

// --- Bootloaders ---

static size_t make_bootloader(uint16_t chip_id, uint8_t *image)
{
    image_spec_t spec = image_spec();
    spec.chip_id = chip_id;
    spec.segments = 1;
    spec.segment[0] = (esp_image_segment_t){ 0x40380000, 512 };
    spec.desc_magic = UINT32_C(0x05000050); // a descriptor of 80 bytes, secure version 5
    spec.version = NULL;
    const size_t len = image_build(&spec, image);
    uint8_t *desc = image + 32;
    memset(desc + 4, 0, 252); // the builder's fields are an application's
    store_le32(desc + 4, 7);
    snprintf((char *)desc + 8, 32, "v5.5.5");
    snprintf((char *)desc + 40, 24, "Jan  2 2026 12:34:56");
    uint8_t checksum = 0xEF;
    for (size_t i = 0; i < 512; i++)
        checksum ^= desc[i];
    image[len - 33] = checksum;
    const crypto_t *crypto = vector_crypto();
    assert_true(crypto->start(crypto->ctx, CRYPTO_SHA256));
    assert_true(crypto->update(crypto->ctx, image, len - 32));
    assert_true(crypto->finish(crypto->ctx, image + len - 32));
    return len;
}

static void explains_a_bootloader_image(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    for (uint16_t chip_id = 5; chip_id <= 13;
         chip_id += 8) { // on the C6 an application needs a descriptor
        const size_t len = make_bootloader(chip_id, image);
        assert_says(image, len,
                    "Verdict           the image is whole and right\n"
                    "Length            592 bytes (0x250)\n"
                    "Version           7\n"
                    "Secure version    5\n"
                    "Built             Jan  2 2026 12:34:56\n"
                    "ESP-IDF           v5.5.5\n"
                    "Chip    ",
                    "{\"kind\":\"bootloader\",\"size\":592,\"version\":7,\"secure_version\":5,"
                    "\"date\":\"Jan  2 2026 12:34:56\",\"esp_idf\":\"v5.5.5\",\"valid\":true");
    }
    assert_says(image, 592, "ESP bootloader image for ESP32-C6\n", "\"chip\":\"esp32c6\"");
    image[591] ^= 1;
    assert_says(image, 592, "(wrong)\nEntry", "\"error\":\"the SHA-256 is wrong");
    assert_says(image, 591, "not complete: 591 bytes of 592\n", "\"valid\":false");
    assert_says(image, 500, "not complete: 500 bytes of 592\n", "\"valid\":false");
    image[100] ^= 1;
    assert_says(image, 592, "the checksum is wrong: the image is damaged\n", "\"valid\":false");
}

// --- Dumps ---

enum { DUMP_CAP = 1 << 20 };
static const char CSV[] =
    "otadata,data,ota,0xf000,8K\nota_0,app,ota_0,0x20000,256K\nota_1,app,ota_1,,256K,encrypted\n";

/// A dump of 1 MB with an application in ota_0. The caller frees it.
static uint8_t *make_dump(const char *csv, const char *app_name, uint32_t *size)
{
    uint8_t table[ESP_PARTITION_TABLE_LEN];
    size_t len = 0;
    const partition_csv_cfg_t csv_cfg = { .crypto = vector_crypto() };
    if (!partition_csv_parse(&csv_cfg, csv, strlen(csv), table, error, sizeof error))
        fail_msg("%s", error);
    uint8_t *app = load(app_name, &len);
    const flash_image_part_t part = { .name = "the app", .p = app, .len = (uint32_t)len };
    const flash_image_cfg_t cfg = { .crypto = vector_crypto(),
                                    .table = table,
                                    .part = &part,
                                    .parts = 1,
                                    .chip_id = ESP_IMAGE_ANY_CHIP };
    uint8_t *flash = flash_image_build(&cfg, size, error, sizeof error);
    if (!flash) fail_msg("%s", error);
    free(app);
    return flash;
}

static void put_file(uint8_t *dump, uint32_t at, const char *name)
{
    size_t len = 0;
    uint8_t *p = load(name, &len);
    memcpy(dump + at, p, len);
    free(p);
}

static void explains_a_flash_dump(void **state)
{
    (void)state;
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    put_file(dump, 0xF000, "otadata/02_set_boot_ota1_rollback_on.bin");
    put_file(dump, 0x60000, "image/app_c3_v130.bin");
    assert_explained(
        dump, size,
        "Flash dump of 1 MB, partition table at 0x8000\n"
        "\n"
        "Verdict           the partition table is right, and so is its MD5\n"
        "Updates           possible: 2 OTA slots\n"
        "\n"
        "  Label             Type             Subtype    Offset      Size        Flags\n"
        "  otadata           data             ota        0x00f000    8 KB\n"
        "  ota_0             app              ota_0      0x020000    256 KB\n"
        "  ota_1             app              ota_1      0x060000    256 KB      encrypted\n"
        "\n"
        "Applications\n"
        "  ota_0           canfwupd-golden 1.2.3-golden, ESP32-C3, 65664 bytes: the image is whole and right\n"
        "  ota_1           canfwupd-golden 1.3.0-golden, ESP32-C3, 65664 bytes: the image is whole and right\n"
        "\n"
        "Boot record (otadata at 0xf000)\n"
        "  record 0        sequence 1, ota_0, valid, CRC right\n"
        "  record 1        sequence 2, ota_1, new, CRC right\n"
        "\n"
        "At the next start the bootloader\n"
        "  starts          ota_1: canfwupd-golden 1.3.0-golden, on trial until it confirms\n"
        "  because         record 1 rules\n");
    free(dump);
}

static void a_dump_may_have_a_bootloader(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    static const struct {
        uint16_t chip_id;
        uint32_t at;
        const char *text, *json;
    } cases[] = {
        { 0, 0x1000,
          "Bootloader        ESP-IDF v5.5.5, ESP32, 592 bytes at 0x1000: the image is whole and right\n",
          "\"bootloader\":{\"offset\":4096,\"length\":592,\"chip\":\"esp32\",\"valid\":true," },
        { 5, 0,
          "Bootloader        ESP-IDF v5.5.5, ESP32-C3, 592 bytes at 0x0: ", "{\"offset\":0," },
        { 18, 0x2000, "ESP32-P4, 592 bytes at 0x2000: ", "{\"offset\":8192," },
        { 5, 0x1000, "is its MD5\nUpdates           possible: 2 OTA slots\n\n",
          "\"bootloader\":null," }
    };
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t len = make_bootloader(cases[i].chip_id, image);
        memset(dump, 0xFF, 0x8000);
        memcpy(dump + cases[i].at, image, len);
        assert_says(dump, size, cases[i].text, cases[i].json);
    }
    dump[0] = 0xE9;
    memcpy(dump, image, 592);
    dump[100] ^= 1;
    assert_says(dump, size, "at 0x0: the checksum is wrong",
                "\"valid\":false,\"error\":\"the checksum");
    free(dump);
}

static void says_which_slot_would_start_and_why(void **state)
{
    (void)state;
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    put_file(dump, 0x60000, "image/app_c3_v130.bin");
    put_file(dump, 0xF000, "otadata/03_boot_pending.bin");
    assert_says(
        dump, size,
        "  rejects         ota_1: started before, never confirmed\n  starts          ota_0: ",
        "\"boot\":{\"slot\":\"ota_0\",\"on_trial\":false,\"rejects\":\"ota_1\",\"passes_over\":null,\"because\":\"it is the next that can start\",\"esp_idf_slot\":\"ota_0\"}");
    put_file(dump, 0xF000, "otadata/08_unconfirmed_aborted.bin");
    assert_says(dump, size, "aborted, CRC right\n", "\"slot\":\"ota_1\",\"state\":\"aborted\"");
    put_file(dump, 0xF000, "otadata/01_first_boot.bin");
    dump[0x20400] ^= 1;
    assert_says(dump, size, "  passes over     ota_0: no usable image\n  starts          ota_1: ",
                "\"passes_over\":\"ota_0\",\"because\":\"it is the next that can start\"");
    dump[0x60400] ^= 1;
    assert_says(dump, size,
                "  starts          nothing\n  because         no slot holds a usable image\n",
                "\"boot\":{\"slot\":null");
    dump[0x60400] ^= 1;
    dump[0x20400] ^= 1;
    memset(dump + 0xF000, 0xFF, 0x2000);
    assert_says(dump, size,
                "  because         no record rules, and it is the first that can start\n",
                "\"boot\":{\"slot\":\"ota_0\"");
    free(dump);
}

static void says_where_esp_idf_would_start_something_else(void **state)
{
    (void)state;
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    put_file(dump, 0x60000, "image/app_c3_v130.bin");
    memset(dump + 0xF000, 0, 4); // sequence 0 with the CRC that it has in ESP-IDF
    assert_says(dump, size,
                "  starts          ota_0: canfwupd-golden 1.2.3-golden\n"
                "  because         no record rules, and it is the first that can start\n"
                "  ESP-IDF's own   would start ota_1, with rollback enabled\n",
                "\"boot\":{\"slot\":\"ota_0\"");
    assert_says(dump, size, "", "\"esp_idf_slot\":\"ota_1\"}");
    free(dump);
}

static void says_what_is_in_a_slot_without_a_usable_image(void **state)
{
    (void)state;
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    assert_says(dump, size, "  ota_1           blank\n", "\"content\":\"blank\"");
    dump[0x60001] = 1;
    assert_says(dump, size, "  ota_1           not an image (or encrypted)\n",
                "\"content\":\"other\"");
    put_file(dump, 0x60000, "image/app_c6.bin");
    assert_says(
        dump, size,
        "ESP32-C6, 65664 bytes: the image was built for ESP32-C6 (chip id 13), not for ESP32-C3\n",
        "\"esp_idf_accepts\":false,\"chip\":\"esp32c6\"");
    // The dump ends within ota_1.
    assert_says(dump, 0x80000, "Verdict           a partition reaches past the end of the flash\n",
                "\"content\":\"outside\"");
    assert_says(dump, 0x80000, "  ota_1           behind the end of the dump\n",
                "\"table_valid\":false");
    free(dump);
}

static void shows_the_records_as_they_are(void **state)
{
    (void)state;
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    put_file(dump, 0xF000, "otadata/02_set_boot_ota1_rollback_on.bin");
    memset(dump + 0x10020, 0, 16); // our bootloader's mark behind the record
    assert_says(dump, size, "  record 1        sequence 2, ota_1, new, started 1x, CRC right\n",
                "\"starts\":1");
    static const uint8_t confirmed[16] = "\2\0\0\0is confirmed";
    memcpy(dump + 0x10050, confirmed, sizeof confirmed);
    assert_says(dump, size, ", new, started 1x, confirmed, CRC right\n", "\"confirmed\":true");
    memset(dump + 0x10020, 0xFF, 16);
    assert_says(dump, size, "ota_1, new, confirmed, CRC right\n",
                "\"starts\":0,\"confirmed\":true");
    dump[0x1001C] ^= 1;
    assert_says(dump, size,
                "  record 1        not valid (sequence 0x2, CRC wrong or not a sequence)\n",
                "\"valid\":false");
    memset(dump + 0x10000, 0xFF, 4096);
    memset(dump + 0x10000, 0, 4);
    assert_says(dump, size, "  record 1        not valid (sequence 0x0, which ESP-IDF accepts)\n",
                "{\"blank\":false,\"valid\":false}");
    free(dump);
}

static void finds_a_table_that_lies_elsewhere_or_is_damaged(void **state)
{
    (void)state;
    static uint8_t dump[DUMP_CAP];
    memset(dump, 0xFF, sizeof dump);
    dump[0] = 0xE9; // the bootloader of many chips lies at the beginning
    put_file(dump, 0x10000, "parttable/two_ota_8m_off0x10000.bin");
    assert_says(dump, sizeof dump, "Flash dump of 1 MB, partition table at 0x10000\n",
                "\"table_offset\":65536");
    uint32_t size = 0;
    uint8_t *whole = make_dump(CSV, "image/app_c3_v123.bin", &size);
    whole[0x8000 + 20] ^= 1;
    assert_says(
        whole, size,
        "Verdict           the partition table's MD5 record is wrong: the table is damaged\n\n",
        "\"table_error\":\"the partition table's MD5 record is wrong: the table is damaged\"");
    free(whole);
}

static void a_table_without_slots_cannot_be_updated(void **state)
{
    (void)state;
    static uint8_t dump[DUMP_CAP];
    uint8_t table[ESP_PARTITION_TABLE_LEN];
    static const char csv[] = "nvs,data,nvs,,24K\nf,app,factory,,256K\n";
    const partition_csv_cfg_t cfg = { .crypto = vector_crypto(), .no_md5 = true };
    assert_true(partition_csv_parse(&cfg, csv, strlen(csv), table, error, sizeof error));
    memset(dump, 0xFF, sizeof dump);
    memcpy(dump + 0x8000, table, sizeof table);
    assert_says(dump, sizeof dump,
                "Updates           not possible: the partition table has no otadata",
                "\"updatable\":false");
    assert_says(dump, sizeof dump, "is right; it has no MD5\n", "\"table_md5\":false");
}

// --- Tables and boot records alone ---

static void explains_a_partition_table(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *table = load("parttable/ab_4m_explicit.bin", &len);
    assert_says(
        table, len,
        "Partition table\n\nVerdict           the partition table is right, and so is its MD5\n"
        "Updates           possible: 2 OTA slots and factory\n",
        "\"kind\":\"partition_table\"");
    assert_says(
        table, len,
        "  fwupd             0x40             0x01       0x325000    64 KB       encrypted readonly\n",
        "\"type_name\":null,\"subtype_name\":null");
    assert_says(table, (size_t)10 * 32, "Updates           possible",
                "\"table_md5\":true"); // without the blank rest
    store_le32(table + 28, 0x80000001);
    store_le32(table + 8, 100);
    assert_says(table, 32, "100 bytes   encrypted 0x80000000\n", "\"encrypted\":true");
    free(table);
}

static void explains_a_boot_record(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *otadata = load("otadata/03_boot_pending.bin", &len);
    assert_explained(
        otadata, len,
        "Boot record (otadata)\n"
        "\n"
        "  record 0        sequence 1, ota_0 (if there are two slots), valid, CRC right\n"
        "  record 1        sequence 2, ota_1 (if there are two slots), pending, CRC right\n");
    memset(otadata, 0xFF, len);
    assert_says(otadata, len, "  record 1        blank\n", "\"kind\":\"otadata\"");
    otadata[0] = 5;
    assert_null(explain(otadata, len, false));
    free(otadata);
}

// --- Other files ---

static void what_it_does_not_know_is_one_line(void **state)
{
    (void)state;
    static uint8_t blank[100];
    memset(blank, 0xFF, sizeof blank);
    static const struct {
        const char *p;
        size_t len;
        const char *error;
    } cases[] = {
        { "", 0, "the file is empty" },
        { "\177ELF\1\1\1", 7, "an ELF file: make an image with `esptool elf2image`" },
        { "\xE9\1\2", 3, "begins like an ESP image, but is shorter than its header" },
        { "<html>", 6,
          "neither an ESP image (begins with E9), a flash dump (partition table at 0x8000 to 0x10000), "
          "a partition table (begins with AA 50) nor an otadata partition (8192 bytes)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_null(explain((const uint8_t *)cases[i].p, cases[i].len, false));
        assert_string_equal(error, cases[i].error);
    }
    assert_null(explain(blank, sizeof blank, false));
    assert_string_equal(error, "all bytes are 0xFF, as in blank flash");
}

// --- Hostile bytes ---

/// Behind the string at `p`, NULL when it is none.
static const char *skip_string(const char *p)
{
    if (*p++ != '"') return NULL;
    for (; *p != '"'; p++) {
        if ((uint8_t)*p < 0x20) return NULL;
        if (*p != '\\') continue;
        p++;
        if (*p == 'u' && strspn(p + 1, "0123456789abcdef") >= 4)
            p += 4;
        else if (*p != '"' && *p != '\\')
            return NULL;
    }
    return p + 1;
}

/// Behind the string, number or word at `p`, NULL when there is none.
static const char *skip_scalar(const char *p)
{
    static const char *const words[] = { "true", "false", "null" };
    if (*p == '"') return skip_string(p);
    for (size_t i = 0; i < 3; i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0) return p + strlen(words[i]);
    const size_t n = strspn(p, "-0123456789");
    return n ? p + n : NULL;
}

/// Whether `p` is one JSON value and a newline.
static bool is_json(const char *p)
{
    char open[16]; // the closing brackets that are due
    unsigned depth = 0;
    bool first = true; // of a list or object, which may be empty
    do {
        const bool ends = first && depth > 0 && *p == open[depth - 1];
        if (!ends) {
            if (depth > 0 && open[depth - 1] == '}') {
                p = skip_string(p);
                if (!p || *p++ != ':') return false;
            }
            first = *p == '{' || *p == '[';
            if (first) {
                if (depth == sizeof open) return false;
                open[depth++] = (*p++ == '{') ? '}' : ']';
                continue;
            }
            p = skip_scalar(p);
            if (!p) return false;
        }
        first = false;
        while (depth > 0 && *p == open[depth - 1]) {
            p++;
            depth--;
        }
        if (depth > 0 && *p++ != ',') return false;
    } while (depth > 0);
    return strcmp(p, "\n") == 0;
}

static void assert_harmless(const uint8_t *p, size_t len)
{
    char *json = explain(p, len, true);
    if (!json) {
        assert_null(strchr(error, '\n'));
        return;
    }
    if (!is_json(json)) fail_msg("not JSON: %s", json);
    char *text = explain(p, len, false);
    for (const char *c = text; *c; c++)
        if (((uint8_t)*c < 0x20 && *c != '\n') || *c == 0x7F)
            fail_msg("control character 0x%02x in: %s", *c, text);
    free(text);
    free(json);
}

static void strings_in_a_file_cannot_reach_the_terminal_or_break_the_json(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    image_spec_t spec = image_spec();
    spec.version =
        "\x1B[2J\x07\"\\\xC2\x9B"
        "31m\xFF\xC3";
    // U+202E turns the direction of writing; spelled so that no reader of this file is turned.
    static const char project[] = { '\xE2', '\x80', '\xAE', 'g',    'r',    'o',    '\xCC',
                                    '\x88', '\xC3', '\x9F', '\xEF', '\xBB', '\xBF', 0 };
    spec.project = project;
    const size_t len = image_build(&spec, image);
    assert_harmless(image, len);
    assert_says(image, len, "Version           \\x1b[2J\\x07\"\\x5c\\xc2\\x9b31m\\xff\\xc3\n",
                "\"version\":\"\\u001b[2J\\u0007\\\"\\\\\xC2\x9B"
                "31m\\ufffd\\ufffd\"");
    assert_says(image, len, "Project           \\xe2\\x80\\xaegro\xCC\x88\xC3\x9F\\xef\\xbb\\xbf\n",
                "\"valid\":true");
}

static void escaped_text_is_cut_between_characters(void **state)
{
    (void)state;
    char out[9];
    assert_int_equal(escape_text("a\x01"
                                 "b\x02",
                                 out, sizeof out),
                     6);
    assert_string_equal(out, "a\\x01b");
    assert_int_equal(escape_text("1234567\xC3\xA4", out, sizeof out), 7);
    assert_string_equal(out, "1234567");
    static const char isolate[] = { '\xE2', '\x81', '\xA6', 0 }; // needs 12 bytes
    assert_int_equal(escape_text(isolate, out, sizeof out), 0);
    assert_string_equal(out, "");
}

static void any_damage_to_any_file_leaves_the_output_harmless(void **state)
{
    (void)state;
    static const char *const names[] = { "image/app_c3_v123.bin", "parttable/ab_4m_explicit.bin",
                                         "otadata/03_boot_pending.bin" };
    static const uint32_t hot[][2] = { { 0, 0x140 },         { 0, 0xC00 }, { 0, 0x2000 },
                                       { 0x11000, 0x12000 }, { 0, 0x250 }, { 0x8000, 0x8C00 } };
    enum { SIGNED = 3, BOOTLOADER, DUMP, FILES };
    uint64_t seed = vector_seed("test_info");
    uint32_t size = 0;
    uint8_t *dump = make_dump(CSV, "image/app_c3_v123.bin", &size);
    for (size_t f = 0; f < FILES; f++) {
        size_t len = size;
        uint8_t *p = dump;
        if (f < SIGNED) p = load(names[f], &len);
        if (f == SIGNED)
            p = make_signed("image/app_c3_v123.bin", "image/signature_ecdsa256.bin", &len);
        if (f == BOOTLOADER) {
            p = malloc(IMAGE_BUILD_CAP);
            assert_non_null(p);
            len = make_bootloader(5, p);
        }
        for (unsigned i = 0; i < (f < DUMP ? 400u : 60u); i++) {
            const uint32_t at = hot[f][0] + vector_random(&seed, hot[f][1] - hot[f][0]);
            const uint8_t was = p[at];
            p[at] = (uint8_t)vector_random(&seed, 256);
            // In a buffer of exactly this length, so that reading too far is noticed.
            const size_t cut = (f < DUMP && i % 4 == 0) ? vector_random(&seed, (uint32_t)len) : len;
            uint8_t *exact = malloc(cut ? cut : 1);
            assert_non_null(exact);
            memcpy(exact, p, cut);
            assert_harmless(exact, cut);
            free(exact);
            if (i % 8 != 0) p[at] = was; // let some damage pile up
        }
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explains_an_application_image),
        cmocka_unit_test(names_the_flash_settings_of_each_chip),
        cmocka_unit_test(says_what_is_wrong_with_an_image_and_what_esp_idf_would_do),
        cmocka_unit_test(says_what_lies_behind_the_image),
        cmocka_unit_test(tells_scheme_and_key_of_a_signature),
        cmocka_unit_test(tells_what_is_wrong_with_a_signature),
        cmocka_unit_test(tells_what_lies_behind_a_signature),
        cmocka_unit_test(explains_a_bootloader_image),
        cmocka_unit_test(a_dump_may_have_a_bootloader),
        cmocka_unit_test(explains_a_flash_dump),
        cmocka_unit_test(says_which_slot_would_start_and_why),
        cmocka_unit_test(says_where_esp_idf_would_start_something_else),
        cmocka_unit_test(says_what_is_in_a_slot_without_a_usable_image),
        cmocka_unit_test(shows_the_records_as_they_are),
        cmocka_unit_test(finds_a_table_that_lies_elsewhere_or_is_damaged),
        cmocka_unit_test(a_table_without_slots_cannot_be_updated),
        cmocka_unit_test(explains_a_partition_table),
        cmocka_unit_test(explains_a_boot_record),
        cmocka_unit_test(what_it_does_not_know_is_one_line),
        cmocka_unit_test(strings_in_a_file_cannot_reach_the_terminal_or_break_the_json),
        cmocka_unit_test(escaped_text_is_cut_between_characters),
        cmocka_unit_test(any_damage_to_any_file_leaves_the_output_harmless),
    };
    return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
