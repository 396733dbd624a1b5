// test_esp_image.c - the image parser against ESP-IDF's own verdicts, and what strict mode adds.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "esp_image.h"
#include "flash_bytes.h"
#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

enum { C3 = 5, C3_REV = 3, C3_EFUSE_REV = 100, SLOT = 0x300000 };

static const esp_image_cfg_t STRICT = {
    .chip_id = C3, .chip_rev = C3_REV, .efuse_rev = C3_EFUSE_REV, .cap = SLOT, .strict = true
};
static const esp_image_cfg_t EQUAL = {
    .chip_id = C3, .chip_rev = C3_REV, .efuse_rev = C3_EFUSE_REV, .cap = SLOT
};

static esp_image_err_t run(esp_image_t *im, const esp_image_cfg_t *cfg, const uint8_t *p,
                           size_t len)
{
    esp_image_init(im, cfg, vector_crypto());
    if (esp_image_input(im, p, len)) return im->err;
    return esp_image_finish(im);
}

static esp_image_err_t verdict(const esp_image_cfg_t *cfg, const uint8_t *p, size_t len)
{
    esp_image_t im;
    return run(&im, cfg, p, len);
}

static uint8_t *load(const char *name, size_t *len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/image/%s.bin", VECTORS, name);
    return vector_load(path, len);
}

// --- ESP-IDF's verdicts ---

/// What ESP-IDF returns for our verdict. Its flash had 8 MB: a segment that reaches past them could
/// not be mapped, which it reports in another way than an image that is too large for its
/// partition.
static long idf_code(const esp_image_t *im, esp_image_err_t err)
{
    switch (err) {
    case ESP_IMAGE_OK: return 0;
    case ESP_IMAGE_ERR_CHIP:
    case ESP_IMAGE_ERR_CHIP_REV: return -1;
    case ESP_IMAGE_ERR_SLOT: return 0x102;
    case ESP_IMAGE_ERR_TOO_LARGE:
        return (im->seen > 0 && im->segment[im->seen - 1].len >= 0x800000) ? -1 : 0x2002;
    case ESP_IMAGE_ERR_MAGIC:
    case ESP_IMAGE_ERR_SEGMENTS:
    case ESP_IMAGE_ERR_SEGMENT:
    case ESP_IMAGE_ERR_DESC:
    case ESP_IMAGE_ERR_ENTRY:
    case ESP_IMAGE_ERR_NO_DIGEST:
    case ESP_IMAGE_ERR_CHECKSUM:
    case ESP_IMAGE_ERR_DIGEST:
    case ESP_IMAGE_ERR_TRUNCATED:
    case ESP_IMAGE_ERR_CRYPTO: break;
    }
    return 0x2002;
}

/// The slot as ESP-IDF saw it: the file, then blank flash up to the end of the slot.
static uint8_t *slot_with(const uint8_t *image, size_t len, uint32_t size)
{
    uint8_t *slot = malloc(size);
    assert_non_null(slot);
    memset(slot, 0xFF, size);
    memcpy(slot, image, smaller(len, size));
    return slot;
}

static uint8_t *load_base(const char *base, size_t *len)
{
    if (strcmp(base, "sign/app_c3_securepad2_rsa3072") != 0 &&
        strcmp(base, "sign/app_c3_v123_unpadded_ecdsa256") != 0) {
        return load(base, len);
    }
    const bool rsa = strstr(base, "rsa") != NULL;
    size_t image_len = 0;
    size_t sector_len = 0;
    uint8_t *image = load(rsa ? "app_c3_securepad2" : "app_c3_v123", &image_len);
    uint8_t *sector = load(rsa ? "signature_rsa3072" : "signature_ecdsa256", &sector_len);
    const size_t at = (image_len + 4095) & ~(size_t)4095;
    uint8_t *signed_image = slot_with(image, image_len, (uint32_t)(at + sector_len));
    memcpy(signed_image + at, sector, sector_len);
    *len = at + sector_len;
    free(image);
    free(sector);
    return signed_image;
}

static void flip(uint8_t *image, const char *argument)
{
    for (const char *p = argument; *p;) {
        char *end = NULL;
        const unsigned long at = strtoul(p, &end, 0);
        image[at] ^= (uint8_t)strtoul(end + 1, &end, 0);
        p = (*end == ',') ? end + 1 : end;
    }
}

static void agrees_with_esp_idf_on_every_golden_mutation(void **state)
{
    (void)state;
    FILE *table = vector_table(VECTORS "/image/verdicts_esp32c3.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    while (vector_row(table, &line, column)) {
        const char *mutation = column[1];
        const char *argument = column[2];
        esp_image_cfg_t cfg = EQUAL;
        size_t len = 0;
        uint8_t *image = load_base(column[0], &len);
        if (strncmp(mutation, "xor", 3) == 0) flip(image, argument);
        if (strcmp(mutation, "truncate") == 0) len = strtoul(argument, NULL, 0);
        if (strcmp(mutation, "partition_size") == 0) cfg.cap = (uint32_t)strtoul(argument, NULL, 0);
        if (strcmp(mutation, "chip_rev") == 0) cfg.chip_rev = (uint16_t)strtoul(argument, NULL, 0);
        uint8_t *slot = slot_with(image, len, cfg.cap);

        esp_image_t im;
        const esp_image_err_t err = run(&im, &cfg, slot, cfg.cap);
        const long want = strtol(column[3], NULL, 0);
        if (idf_code(&im, err) != want) {
            fail_msg("%s %s %s: error %d, ESP-IDF %ld", column[0], mutation, argument, (int)err,
                     want);
        }
        if (err == ESP_IMAGE_OK) assert_int_equal(im.len, strtoul(column[4], NULL, 0));
        free(slot);
        free(image);
        rows++;
    }
    free(line);
    fclose(table);
    assert_int_equal(rows, 1721);
}

static void agrees_with_esp_idf_on_every_adversarial_image(void **state)
{
    (void)state;
    FILE *table = vector_table(VECTORS "/image/adversarial_esp32c3.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    while (vector_row(table, &line, column)) {
        uint8_t image[1024];
        const size_t len = vector_unhex(column[6], image, sizeof image);
        assert_int_equal(len, strtoul(column[5], NULL, 0));
        uint8_t *slot = slot_with(image, len, SLOT);
        esp_image_t im;
        const esp_image_err_t err = run(&im, &EQUAL, slot, SLOT);
        if (idf_code(&im, err) != strtol(column[3], NULL, 0)) {
            fail_msg("%s: error %d, ESP-IDF %s", column[0], (int)err, column[3]);
        }
        if (err == ESP_IMAGE_OK) assert_int_equal(im.len, strtoul(column[4], NULL, 0));
        free(slot);
        rows++;
    }
    free(line);
    fclose(table);
    assert_int_equal(rows, 12);
}

// --- Strict mode ---

static void strict_accepts_every_golden_image_on_its_own_chip(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t chip_id;
    } images[] = { { "app_c3_v123", 5 },
                   { "app_c3_v130", 5 },
                   { "app_c3_v110_oldsec", 5 },
                   { "app_c3_securepad2", 5 },
                   { "app_c6", 13 },
                   { "app_esp32", 0 },
                   { "app_s3", 9 } };
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        size_t len = 0;
        uint8_t *image = load(images[i].name, &len);
        esp_image_cfg_t cfg = STRICT;
        cfg.chip_id = images[i].chip_id;
        esp_image_t im;
        assert_int_equal(run(&im, &cfg, image, len), ESP_IMAGE_OK);
        assert_int_equal(im.len, len);
        assert_string_equal(im.project, "canfwupd-golden");
        free(image);
    }
}

static void reads_the_header_and_the_descriptor(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v130", &len);
    esp_image_t im;
    assert_int_equal(run(&im, &STRICT, image, len), ESP_IMAGE_OK);
    assert_true(esp_image_complete(&im));
    assert_int_equal(im.segments, 5);
    assert_int_equal(im.entry, 0x40380020);
    assert_int_equal(im.chip_id, 5);
    assert_int_equal(im.min_rev, 3);
    assert_int_equal(im.max_rev, 199);
    assert_true(im.has_digest);
    assert_true(im.has_desc);
    assert_int_equal(im.secure_version, 3);
    assert_string_equal(im.version, "1.3.0-golden");
    assert_int_equal(im.segment[3].load, 0);
    assert_int_equal(im.segment[3].len, 0xF950);
    free(image);
}

static void strict_refuses_every_single_bit_flip(void **state)
{
    (void)state;
    uint64_t seed = vector_seed("test_esp_image");
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    static const uint32_t headers[][2] = { { 0, 0x120 },         { 0x5D0, 0x5D8 },
                                           { 0x678, 0x680 },     { 0x6C0, 0x6C8 },
                                           { 0x10018, 0x10020 }, { 0x10050, 0x10080 } };
    for (size_t h = 0; h < sizeof headers / sizeof headers[0]; h++) {
        for (uint32_t bit = headers[h][0] * 8; bit < headers[h][1] * 8; bit++) {
            image[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (verdict(&STRICT, image, len) == ESP_IMAGE_OK)
                fail_msg("bit %u of byte %u", bit % 8, bit / 8);
            image[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    for (unsigned i = 0; i < 500; i++) {
        const uint32_t bit = vector_random(&seed, (uint32_t)len * 8);
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (verdict(&STRICT, image, len) == ESP_IMAGE_OK)
            fail_msg("bit %u of byte %u", bit % 8, bit / 8);
        image[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(verdict(&STRICT, image, len), ESP_IMAGE_OK);
    free(image);
}

static void one_flipped_bit_must_not_switch_the_digest_off(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    image[23] ^= 1;
    assert_int_equal(verdict(&EQUAL, image, len), ESP_IMAGE_OK); // ESP-IDF takes it
    assert_int_equal(verdict(&STRICT, image, len), ESP_IMAGE_ERR_NO_DIGEST);
    image[23] = 2;
    assert_int_equal(verdict(&STRICT, image, len), ESP_IMAGE_ERR_NO_DIGEST);
    free(image);
}

static esp_image_err_t strict_verdict(const image_spec_t *spec)
{
    static uint8_t image[IMAGE_BUILD_CAP];
    const size_t len = image_build(spec, image);
    assert_int_not_equal(len, 0);
    esp_image_cfg_t cfg = STRICT;
    cfg.chip_id = spec->chip_id;
    return verdict(&cfg, image, len);
}

static void strict_wants_segments_and_a_descriptor(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_OK);
    spec.desc_magic = 0;
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_DESC);
    spec = image_spec();
    spec.segment[0].len = 252; // the descriptor does not fit into the first segment
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_DESC);
    spec = image_spec();
    spec.segments = 0;
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_SEGMENTS);
    spec = image_spec();
    spec.segments = 17;
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_SEGMENTS);
}

static void strict_wants_the_entry_address_in_a_segment_of_code(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.entry = 0x40380000; // its first byte
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_OK);
    spec.entry = 0x4038003F; // its last
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_OK);
    static const uint32_t wrong[] = { 0, 0x4037FFFF, 0x40380040, 0x3C000030, 0x12345678 };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        spec.entry = wrong[i];
        assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_ENTRY);
    }
    spec.segment[2] = (esp_image_segment_t){ 0, 64 }; // padding is loaded nowhere
    spec.segments = 3;
    spec.entry = 16;
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_ENTRY);
}

static void a_chip_whose_memory_is_unknown_may_start_in_any_segment(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.chip_id = 31;
    spec.entry = 0x3C000030;
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_OK);
    spec.entry = 0x3C000120;
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_ERR_ENTRY);
}

static void strict_refuses_segments_that_overlap_in_memory(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.segments = 3;
    static const struct {
        esp_image_segment_t segment;
        esp_image_err_t err;
    } cases[] = {
        { { 0x40380040, 64 }, ESP_IMAGE_OK },          // adjacent
        { { 0x4037FFC0, 64 }, ESP_IMAGE_OK },          // adjacent below
        { { 0x4038003C, 64 }, ESP_IMAGE_ERR_SEGMENT }, // its first word
        { { 0x4037FFC4, 64 }, ESP_IMAGE_ERR_SEGMENT }, // its last word
        { { 0x40380000, 64 }, ESP_IMAGE_ERR_SEGMENT }, // the same place
        { { 0x40380010, 0 }, ESP_IMAGE_OK },           // nothing in it
        { { 0xFFFFFFC0, 64 }, ESP_IMAGE_OK },          // up to the last address
        { { 0xFFFFFFC4, 64 }, ESP_IMAGE_ERR_SEGMENT }, // wraps around
        { { 0, 64 }, ESP_IMAGE_OK },                   // padding
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        spec.segment[2] = cases[i].segment;
        assert_int_equal(strict_verdict(&spec), cases[i].err);
    }
}

static void segments_that_take_no_memory_overlap_nothing(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.segments = 4;
    spec.segment[1] = (esp_image_segment_t){ 0x40380010, 0 };
    spec.segment[2] = (esp_image_segment_t){ 0, 64 };
    spec.segment[3] = (esp_image_segment_t){ 0x40380000, 64 };
    assert_int_equal(strict_verdict(&spec), ESP_IMAGE_OK);
}

static void an_image_without_segments_is_what_esp_idf_accepts(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    static const uint16_t chips[] = { 5, 13 };
    for (size_t i = 0; i < 2; i++) {
        image_spec_t spec = image_spec();
        spec.chip_id = chips[i];
        spec.segments = 0;
        esp_image_cfg_t cfg = EQUAL;
        cfg.chip_id = chips[i];
        esp_image_t im;
        assert_int_equal(image_build(&spec, image), 64);
        store_le32(image + 208, 0x00010001); // no descriptor's limits: there is no descriptor
        image[212] = 0xFF;                   // nor its page size
        assert_int_equal(run(&im, &cfg, image, 512), ESP_IMAGE_OK);
        assert_int_equal(im.len, 64);
        assert_false(im.has_desc);
    }
}

static void the_page_size_in_the_descriptor_decides_what_can_be_mapped(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.chip_id = 13; // ESP32-C6: pages of 8 to 64 KB
    spec.entry = 0x40800010;
    spec.segment[0] = (esp_image_segment_t){ 0x42008020, 256 }; // right for pages of 32 KB
    spec.segment[1] = (esp_image_segment_t){ 0x40800000, 64 };
    static const struct {
        uint8_t page_log2;
        esp_image_err_t err;
    } cases[] = { { 0, ESP_IMAGE_ERR_SEGMENT }, { 16, ESP_IMAGE_ERR_SEGMENT },
                  { 15, ESP_IMAGE_OK },         { 13, ESP_IMAGE_OK },
                  { 12, ESP_IMAGE_ERR_DESC },   { 17, ESP_IMAGE_ERR_DESC } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        spec.page_log2 = cases[i].page_log2;
        assert_int_equal(strict_verdict(&spec), cases[i].err);
    }
}

static void a_chip_with_page_sizes_needs_the_descriptor_in_either_mode(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    image_spec_t spec = image_spec();
    spec.chip_id = 13;
    spec.segment[0] = (esp_image_segment_t){ 0x40800000, 256 };
    spec.desc_magic = 0;
    esp_image_cfg_t cfg = EQUAL;
    cfg.chip_id = 13;
    assert_int_equal(verdict(&cfg, image, image_build(&spec, image)), ESP_IMAGE_ERR_DESC);
    spec.segment[0].len = 4; // over before the descriptor would end
    spec.segments = 1;
    assert_int_equal(verdict(&cfg, image, image_build(&spec, image)), ESP_IMAGE_ERR_DESC);
}

static void where_the_slot_lies_decides_what_can_be_mapped(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    esp_image_cfg_t cfg = STRICT;
    cfg.at = 0x320000;
    assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_OK);
    cfg.at = 0x321000;
    assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_ERR_SEGMENT);
    free(image);
}

// --- Bytes in any pieces ---

static void assert_same(const esp_image_t *a, const esp_image_t *b)
{
    assert_int_equal(a->err, b->err);
    assert_int_equal(a->pos, b->pos);
    assert_int_equal(a->len, b->len);
    assert_int_equal(a->seen, b->seen);
    assert_int_equal(a->has_desc, b->has_desc);
    assert_memory_equal(a->version, b->version, sizeof a->version);
    assert_memory_equal(a->project, b->project, sizeof a->project);
}

static void cut_and_compare(const esp_image_cfg_t *cfg, const uint8_t *image, size_t len,
                            uint32_t piece_max, uint64_t *seed)
{
    esp_image_t whole;
    const esp_image_err_t want = run(&whole, cfg, image, len);
    esp_image_t pieces;
    esp_image_init(&pieces, cfg, vector_crypto());
    for (size_t at = 0; at < len;) {
        const size_t n = smaller(len - at, vector_random(seed, piece_max + 1));
        (void)esp_image_input(&pieces, image + at, n);
        at += n;
    }
    assert_int_equal(esp_image_finish(&pieces), want);
    assert_same(&whole, &pieces);
}

static void the_verdict_does_not_depend_on_how_the_bytes_are_cut(void **state)
{
    (void)state;
    uint64_t seed = vector_seed("test_esp_image");
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    static const uint32_t piece_max[] = { 1, 3, 40, 300, 4096 };
    for (size_t i = 0; i < sizeof piece_max / sizeof piece_max[0]; i++) {
        cut_and_compare(&STRICT, image, len, piece_max[i], &seed);
        cut_and_compare(&EQUAL, image, len - 1, piece_max[i], &seed);
        for (unsigned k = 0; k < 60; k++) {
            const uint32_t bit = vector_random(&seed, (k % 2 ? 0x700 : (uint32_t)len) * 8);
            const esp_image_cfg_t *cfg = (k % 3) ? &STRICT : &EQUAL;
            image[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cut_and_compare(cfg, image, len, piece_max[i] + 2, &seed);
            image[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    free(image);
}

static void an_image_that_ends_early_is_truncated(void **state)
{
    (void)state;
    static const uint32_t boundaries[] = { 0,       1,       24,      32,      36,
                                           287,     288,     0x5D0,   0x5D8,   0x678,
                                           0x680,   0x6C0,   0x6C8,   0x10018, 0x10020,
                                           0x10050, 0x1005F, 0x10060, 0x10080 };
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    for (size_t i = 0; i < sizeof boundaries / sizeof boundaries[0]; i++) {
        for (uint32_t at = boundaries[i] ? boundaries[i] - 1 : 0;
             at <= boundaries[i] + 1 && at < len; at++) {
            esp_image_t im;
            assert_int_equal(run(&im, &STRICT, image, at), ESP_IMAGE_ERR_TRUNCATED);
            assert_false(esp_image_complete(&im));
            assert_int_equal(im.len, at < 0x10020 ? 0 : len); // the last segment's header tells
        }
    }
    free(image);
}

static void the_verdict_on_chip_and_descriptor_comes_with_the_first_288_bytes(void **state)
{
    (void)state;
    static const struct {
        uint32_t at;
        uint8_t value;
        esp_image_err_t err;
        uint32_t pos; // where it is known
    } cases[] = {
        { 0, 0x7F, ESP_IMAGE_ERR_MAGIC, 1 },      { 1, 17, ESP_IMAGE_ERR_SEGMENTS, 24 },
        { 12, 9, ESP_IMAGE_ERR_CHIP, 24 },        { 15, 4, ESP_IMAGE_ERR_CHIP_REV, 24 },
        { 17, 2, ESP_IMAGE_ERR_CHIP_REV, 24 },    { 23, 0, ESP_IMAGE_ERR_NO_DIGEST, 24 },
        { 28, 0xB1, ESP_IMAGE_ERR_SEGMENT, 32 },  { 24, 0x10, ESP_IMAGE_ERR_SEGMENT, 32 },
        { 32, 0, ESP_IMAGE_ERR_DESC, 288 },       { 208, 101, ESP_IMAGE_ERR_CHIP_REV, 288 },
        { 210, 99, ESP_IMAGE_ERR_CHIP_REV, 288 },
    };
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t was = image[cases[i].at];
        image[cases[i].at] = cases[i].value;
        esp_image_t im;
        esp_image_init(&im, &STRICT, vector_crypto());
        assert_int_equal(esp_image_input(&im, image, ESP_IMAGE_HEAD_LEN), cases[i].err);
        assert_int_equal(im.pos, cases[i].pos);
        assert_int_equal(esp_image_input(&im, image + 288, len - 288), cases[i].err); // and stays
        assert_int_equal(esp_image_finish(&im), cases[i].err);
        image[cases[i].at] = was;
    }
    free(image);
}

static void revisions_and_chips_can_be_left_open(void **state)
{
    (void)state;
    static const char *names[] = { "app_c3_minrev400", "app_c6", "app_esp32", "app_s3" };
    esp_image_cfg_t cfg = STRICT;
    cfg.chip_id = ESP_IMAGE_ANY_CHIP;
    cfg.chip_rev = ESP_IMAGE_ANY_REV;
    cfg.efuse_rev = ESP_IMAGE_ANY_REV;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = 0;
        uint8_t *image = load(names[i], &len);
        assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_OK);
        free(image);
    }
}

static void the_efuse_revision_does_not_matter_on_an_esp32(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_esp32", &len);
    esp_image_cfg_t cfg = STRICT;
    cfg.chip_id = 0;
    cfg.efuse_rev = 500; // the image allows up to 199
    assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_OK);
    free(image);
}

static void a_first_segment_without_data_has_no_efuse_revisions(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    image_spec_t spec = image_spec();
    spec.min_efuse_rev = C3_EFUSE_REV + 1;
    size_t len = image_build(&spec, image);
    assert_int_equal(verdict(&EQUAL, image, len), ESP_IMAGE_ERR_CHIP_REV);
    spec.fill = 1; // something stands where they would be
    spec.segment[0] = (esp_image_segment_t){ 0x3FC80000, 0 };
    spec.segment[1].len = 512;
    len = image_build(&spec, image);
    assert_true(load_le16(image + 208) > C3_EFUSE_REV);
    assert_int_equal(verdict(&EQUAL, image, len), ESP_IMAGE_OK);
    spec.segment[0].len = 4;
    len = image_build(&spec, image);
    assert_true(load_le16(image + 208) > C3_EFUSE_REV);
    assert_int_equal(verdict(&EQUAL, image, len), ESP_IMAGE_ERR_CHIP_REV);
}

static void a_short_image_on_flash_is_read_as_far_as_esp_idf_looks(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    image_spec_t spec = image_spec();
    spec.segments = 1;
    spec.segment[0] = (esp_image_segment_t){ 0x3FC80000, 4 };
    assert_int_equal(image_build(&spec, image), 80);
    store_le16(image + 208, C3_EFUSE_REV + 1); // whatever lies there is its eFuse revision
    flash_bytes_t bytes;
    flash_t flash;
    flash_bytes_init(&bytes, image, sizeof image, &flash);
    esp_image_cfg_t cfg = EQUAL;
    cfg.cap = 4096;
    uint8_t buf[64];
    esp_image_t im;
    esp_image_init(&im, &cfg, vector_crypto());
    assert_int_equal(esp_image_read(&im, &flash, buf, sizeof buf), 0);
    assert_int_equal(esp_image_finish(&im), ESP_IMAGE_ERR_CHIP_REV);
    store_le16(image + 208, C3_EFUSE_REV);
    esp_image_init(&im, &cfg, vector_crypto());
    assert_int_equal(esp_image_read(&im, &flash, buf, sizeof buf), 0);
    assert_int_equal(esp_image_finish(&im), ESP_IMAGE_OK);
}

// --- Every check of docs/FORMAT.md, section 2, by its number there ---

/// An ESP32-C3 image of 400 bytes: the descriptor at 32, a second header at 288, 64 bytes of code at
/// 296, the checksum at 367, the digest behind it.
typedef struct {
    esp_image_cfg_t cfg;
    image_spec_t spec;
    uint32_t at, bytes, value; // this number is put there, before the checksum and digest are made
    uint32_t flip;             // a byte that is damaged afterwards
    uint32_t len;              // bytes given, 0: all
} check_t;

static check_t check_of(void) { return (check_t){ .cfg = EQUAL, .spec = image_spec() }; }

static check_t patched(uint32_t at, uint32_t bytes, uint32_t value)
{
    check_t c = check_of();
    c.at = at;
    c.bytes = bytes;
    c.value = value;
    return c;
}

static esp_image_err_t byte_by_byte(esp_image_t *im, const esp_image_cfg_t *cfg, const uint8_t *p,
                                    size_t len)
{
    esp_image_init(im, cfg, vector_crypto());
    for (size_t i = 0; i < len; i++) {
        if (esp_image_input(im, p + i, 1)) break;
    }
    return esp_image_finish(im);
}

/// `pos`: how many bytes it takes to know.
static void assert_check(check_t c, uint32_t pos, esp_image_err_t strict, esp_image_err_t equal)
{
    static uint8_t image[IMAGE_BUILD_CAP];
    esp_image_t im;
    size_t len = image_build(&c.spec, image);
    for (uint32_t i = 0; i < c.bytes; i++)
        image[c.at + i] = (uint8_t)(c.value >> 8 * i);
    const size_t sealed = (c.bytes > 0) ? image_seal(image) : len;
    if (sealed > 0) len = sealed; // else the header leads nowhere
    if (c.flip != 0) image[c.flip] ^= 1;
    if (c.len != 0) len = c.len;
    c.cfg.strict = false;
    assert_int_equal(byte_by_byte(&im, &c.cfg, image, len), equal);
    if (equal != ESP_IMAGE_OK) assert_int_equal(im.pos, pos);
    c.cfg.strict = true;
    assert_int_equal(byte_by_byte(&im, &c.cfg, image, len), strict);
    assert_int_equal(im.pos, pos);
}

static void check_0_the_image_the_others_differ_from_is_right(void **state)
{
    (void)state;
    assert_check(check_of(), 400, ESP_IMAGE_OK, ESP_IMAGE_OK);
}

static void check_1_slot(void **state)
{
    (void)state;
    check_t c = check_of();
    c.cfg.cap = 0x1000001;
    assert_check(c, 0, ESP_IMAGE_ERR_SLOT, ESP_IMAGE_ERR_SLOT);
}

static void check_2_magic(void **state)
{
    (void)state;
    assert_check(patched(0, 1, 0xE8), 1, ESP_IMAGE_ERR_MAGIC, ESP_IMAGE_ERR_MAGIC);
}

static void check_3_chip(void **state)
{
    (void)state;
    assert_check(patched(12, 2, 9), 24, ESP_IMAGE_ERR_CHIP, ESP_IMAGE_ERR_CHIP);
    assert_check(patched(12, 2, 0x105), 24, ESP_IMAGE_ERR_CHIP, ESP_IMAGE_ERR_CHIP);
}

static void check_4_chip_revision(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, value;
        bool right;
    } cases[] = {
        { 15, 3, true },      { 15, 4, false },  { 15, 0xFFFF, false },
        { 17, 3, true },      { 17, 2, false },  { 17, 0, true },
        { 17, 0xFFFF, true }, { 14, 255, true }, // the old field
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const check_t c = patched(cases[i].at, (cases[i].at == 14) ? 1 : 2, cases[i].value);
        const esp_image_err_t want = cases[i].right ? ESP_IMAGE_OK : ESP_IMAGE_ERR_CHIP_REV;
        assert_check(c, cases[i].right ? 400 : 24, want, want);
    }
}

static void check_5_number_of_segments(void **state)
{
    (void)state;
    check_t c = check_of();
    c.spec.segments = 17;
    assert_check(c, 24, ESP_IMAGE_ERR_SEGMENTS, ESP_IMAGE_ERR_SEGMENTS);
    c.spec.segments = 16; // 15 more of them, each behind the one before
    for (uint32_t i = 2; i < 16; i++)
        c.spec.segment[i] = (esp_image_segment_t){ 0x40380000 + i * 64, 4 };
    assert_check(c, 576, ESP_IMAGE_OK, ESP_IMAGE_OK);
}

static void check_6_no_segments(void **state)
{
    (void)state;
    assert_check(patched(1, 1, 0), 24, ESP_IMAGE_ERR_SEGMENTS, ESP_IMAGE_OK);
}

static void check_7_digest_appended(void **state)
{
    (void)state;
    assert_check(patched(23, 1, 0), 24, ESP_IMAGE_ERR_NO_DIGEST, ESP_IMAGE_OK);
    assert_check(patched(23, 1, 2), 24, ESP_IMAGE_ERR_NO_DIGEST, ESP_IMAGE_OK);
}

static void check_8_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t cap, pos;
    } cases[] = { { 23, 23 },  { 24, 24 },   { 79, 24 },  { 80, 32 },
                  { 335, 32 }, { 336, 296 }, { 399, 296 } };
    check_t c = check_of();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        c.cfg.cap = cases[i].cap;
        assert_check(c, cases[i].pos, ESP_IMAGE_ERR_TOO_LARGE, ESP_IMAGE_ERR_TOO_LARGE);
    }
    c.cfg.cap = 400;
    assert_check(c, 400, ESP_IMAGE_OK, ESP_IMAGE_OK);
    c.len = 401; // a byte behind the image, for which there is no room
    assert_check(c, 400, ESP_IMAGE_ERR_TOO_LARGE, ESP_IMAGE_ERR_TOO_LARGE);
}

static void check_9_segment_length(void **state)
{
    (void)state;
    static const uint32_t wrong[] = { 1, 254, 0x1000000, 0x80000100, 0xFFFFFFFC };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check_t c = check_of();
        c.cfg.cap = ESP_IMAGE_CAP_MAX;
        c.at = 28;
        c.bytes = 4;
        c.value = wrong[i];
        assert_check(c, 32, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_ERR_SEGMENT);
    }
}

static void check_10_mapping(void **state)
{
    (void)state;
    assert_check(patched(24, 4, 0x3C000024), 32, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_ERR_SEGMENT);
    assert_check(patched(24, 4, 0x3C7F0020), 400, ESP_IMAGE_OK, ESP_IMAGE_OK);
    assert_check(patched(24, 4, 0x3C800024), 400, ESP_IMAGE_OK, ESP_IMAGE_OK); // nothing is there
    check_t c = patched(288, 4, 0x42000000);
    assert_check(c, 296, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_ERR_SEGMENT);
    c.value = 0x42000128; // right, and the entry address elsewhere
    assert_check(c, 296, ESP_IMAGE_ERR_ENTRY, ESP_IMAGE_OK);
}

static void check_11_room_for_the_descriptor(void **state)
{
    (void)state;
    check_t c = check_of();
    c.spec.segment[0].len = 252;
    assert_check(c, 32, ESP_IMAGE_ERR_DESC, ESP_IMAGE_OK);
}

static void check_12_end_of_the_address_space(void **state)
{
    (void)state;
    check_t c = check_of();
    c.spec.segments = 3;
    c.spec.segment[2] = (esp_image_segment_t){ 0xFFFFFFFC, 8 };
    assert_check(c, 368, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_OK);
}

static void check_13_overlap(void **state)
{
    (void)state;
    check_t c = check_of();
    c.spec.segments = 3;
    c.spec.segment[2] = (esp_image_segment_t){ 0x4038003C, 8 };
    assert_check(c, 368, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_OK);
}

static void check_14_entry(void **state)
{
    (void)state;
    assert_check(patched(4, 4, 0x40380040), 296, ESP_IMAGE_ERR_ENTRY, ESP_IMAGE_OK);
    assert_check(patched(4, 4, 0x3C000020), 296, ESP_IMAGE_ERR_ENTRY, ESP_IMAGE_OK); // data
}

static check_t c6_check(void)
{
    check_t c = check_of();
    c.cfg.chip_id = c.spec.chip_id = 13;
    c.spec.entry = 0x40800010;
    c.spec.segment[0] = (esp_image_segment_t){ 0x42008020, 256 }; // right for pages of 32 KB
    c.spec.segment[1] = (esp_image_segment_t){ 0x40800000, 64 };
    c.spec.page_log2 = 15;
    return c;
}

static void check_15_descriptor(void **state)
{
    (void)state;
    assert_check(patched(32, 4, 0xABCD5433), 288, ESP_IMAGE_ERR_DESC, ESP_IMAGE_OK);
    check_t c = c6_check();
    assert_check(c, 400, ESP_IMAGE_OK, ESP_IMAGE_OK);
    c.at = 32;
    c.bytes = 1;
    assert_check(c, 288, ESP_IMAGE_ERR_DESC, ESP_IMAGE_ERR_DESC); // ESP-IDF needs its page size
}

static void check_16_efuse_revision(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, value;
        bool right;
    } cases[] = {
        { 208, 100, true }, { 208, 101, false }, { 208, 0, true }, { 208, 0xFFFF, true },
        { 210, 100, true }, { 210, 99, false },  { 210, 0, true }, { 210, 0xFFFF, true }
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const check_t c = patched(cases[i].at, 2, cases[i].value);
        const esp_image_err_t want = cases[i].right ? ESP_IMAGE_OK : ESP_IMAGE_ERR_CHIP_REV;
        assert_check(c, cases[i].right ? 400 : 288, want, want);
    }
}

static void check_17_page_size(void **state)
{
    (void)state;
    check_t c = c6_check();
    c.spec.page_log2 = 17;
    assert_check(c, 288, ESP_IMAGE_ERR_DESC, ESP_IMAGE_ERR_DESC);
    c.spec.page_log2 = 12;
    assert_check(c, 288, ESP_IMAGE_ERR_DESC, ESP_IMAGE_ERR_DESC);
    assert_check(patched(212, 1, 12), 400, ESP_IMAGE_OK, ESP_IMAGE_OK); // a C3 has one size only
}

static void check_18_mapping_by_the_descriptors_page_size(void **state)
{
    (void)state;
    check_t c = c6_check();
    c.spec.page_log2 = 16;
    assert_check(c, 288, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_ERR_SEGMENT);
    c.spec.page_log2 = 15;
    c.spec.segment[1].load = 0x42008000; // known by now, so at once
    assert_check(c, 296, ESP_IMAGE_ERR_SEGMENT, ESP_IMAGE_ERR_SEGMENT);
}

static void check_19_checksum(void **state)
{
    (void)state;
    check_t c = check_of();
    c.flip = 367;
    assert_check(c, 368, ESP_IMAGE_ERR_CHECKSUM, ESP_IMAGE_ERR_CHECKSUM);
    c.flip = 300; // its data
    assert_check(c, 368, ESP_IMAGE_ERR_CHECKSUM, ESP_IMAGE_ERR_CHECKSUM);
}

static void check_20_digest(void **state)
{
    (void)state;
    static const uint32_t bytes[] = { 2, 8, 14, 19, 364, 368, 399 }; // no other check looks there
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        check_t c = check_of();
        c.flip = bytes[i];
        assert_check(c, 400, ESP_IMAGE_ERR_DIGEST, ESP_IMAGE_ERR_DIGEST);
    }
}

static void check_21_end(void **state)
{
    (void)state;
    check_t c = check_of();
    for (c.len = 1; c.len < 400; c.len++)
        assert_check(c, c.len, ESP_IMAGE_ERR_TRUNCATED, ESP_IMAGE_ERR_TRUNCATED);
}

static void check_22_end_before_the_descriptor(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    image_spec_t spec = image_spec();
    esp_image_cfg_t cfg = EQUAL;
    cfg.chip_id = spec.chip_id = 13;
    spec.segments = 1;
    spec.segment[0] = (esp_image_segment_t){ 0x40800000, 4 };
    const size_t len = image_build(&spec, image);
    esp_image_t im;
    assert_int_equal(byte_by_byte(&im, &cfg, image, len), ESP_IMAGE_ERR_DESC);
    assert_int_equal(im.pos, 80);
    spec.chip_id = cfg.chip_id = 5; // nobody needs it there
    assert_int_equal(byte_by_byte(&im, &cfg, image, image_build(&spec, image)), ESP_IMAGE_OK);
}

/// Faults that one byte decides about, taken away one by one.
static void of_several_faults_the_first_in_the_list_is_reported(void **state)
{
    (void)state;
    static uint8_t image[IMAGE_BUILD_CAP];
    static const struct {
        uint32_t at, value;
        esp_image_err_t err; // while it and the ones below are there
    } faults[] = {
        { 210, 99, ESP_IMAGE_ERR_CHIP_REV }, { 32, 0, ESP_IMAGE_ERR_DESC },
        { 28, 252, ESP_IMAGE_ERR_DESC },     { 24, 0x24, ESP_IMAGE_ERR_SEGMENT },
        { 28, 253, ESP_IMAGE_ERR_SEGMENT },  { 23, 0, ESP_IMAGE_ERR_NO_DIGEST },
        { 1, 0, ESP_IMAGE_ERR_SEGMENTS },    { 1, 17, ESP_IMAGE_ERR_SEGMENTS },
        { 15, 4, ESP_IMAGE_ERR_CHIP_REV },   { 12, 9, ESP_IMAGE_ERR_CHIP },
        { 0, 0, ESP_IMAGE_ERR_MAGIC },
    };
    const image_spec_t spec = image_spec();
    const size_t len = image_build(&spec, image);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        image[faults[i].at] = (uint8_t)faults[i].value;
        assert_int_equal(verdict(&STRICT, image, len), faults[i].err);
    }
}

// --- Size ---

static void a_slot_of_exactly_the_images_length_is_enough(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    esp_image_cfg_t cfg = STRICT;
    cfg.cap = (uint32_t)len;
    assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_OK);
    free(image);
}

static void a_slot_too_small_is_noticed_with_the_first_header_that_shows_it(void **state)
{
    (void)state;
    static const uint32_t cases[][2] = {
        // cap, position of the verdict
        { 0, 0 },           { 23, 23 },         { 24, 24 },           { 24 + 5 * 8, 24 },
        { 0x120, 32 },      { 0x6C8, 0x680 },   { 0x6F0, 0x680 },     { 0x710, 0x6C8 },
        { 0x10000, 0x6C8 }, { 0x1004F, 0x6C8 }, { 0x10050, 0x10020 }, { 0x1007F, 0x10020 }
    };
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        esp_image_cfg_t cfg = STRICT;
        cfg.cap = cases[i][0];
        esp_image_t im;
        assert_int_equal(run(&im, &cfg, image, len), ESP_IMAGE_ERR_TOO_LARGE);
        assert_int_equal(im.pos, cases[i][1]);
    }
    free(image);
}

static void bytes_behind_the_image_count_against_the_slot_only(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load_base("sign/app_c3_v123_unpadded_ecdsa256", &len);
    esp_image_cfg_t cfg = STRICT;
    cfg.cap = (uint32_t)len;
    esp_image_t im;
    assert_int_equal(run(&im, &cfg, image, len), ESP_IMAGE_OK);
    assert_int_equal(im.len, 65664);
    assert_int_equal(im.pos, len);
    assert_int_equal(esp_image_input(&im, image, 1), ESP_IMAGE_ERR_TOO_LARGE);
    assert_false(esp_image_complete(&im));
    free(image);
}

static void lengths_near_the_end_of_the_number_range_are_refused(void **state)
{
    (void)state;
    static const uint32_t lens[] = { 0xFFFFFFFC, 0x80000000, 0x1000000, 0xFFFFFC, 3 };
    static uint8_t image[IMAGE_BUILD_CAP];
    const image_spec_t spec = image_spec();
    const size_t len = image_build(&spec, image);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        store_le32(image + 28, lens[i]);
        const bool long_only = lens[i] == 0xFFFFFC; // may be, but not in any slot
        const esp_image_err_t want = long_only ? ESP_IMAGE_ERR_TOO_LARGE : ESP_IMAGE_ERR_SEGMENT;
        assert_int_equal(verdict(&STRICT, image, len), want);
        assert_int_equal(verdict(&EQUAL, image, len), want);
    }
}

static void a_slot_above_16_megabytes_holds_no_image(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    esp_image_cfg_t cfg = STRICT;
    cfg.cap = ESP_IMAGE_CAP_MAX;
    assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_OK);
    cfg.cap++;
    assert_int_equal(verdict(&cfg, image, len), ESP_IMAGE_ERR_SLOT);
    free(image);
}

// --- The hash library ---

static void without_a_hash_only_structure_and_checksum_are_checked(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    image[len - 1] ^= 1;
    assert_int_equal(verdict(&STRICT, image, len), ESP_IMAGE_ERR_DIGEST);
    esp_image_t im;
    esp_image_init(&im, &STRICT, NULL);
    assert_int_equal(esp_image_input(&im, image, len), ESP_IMAGE_OK);
    assert_int_equal(esp_image_finish(&im), ESP_IMAGE_OK);
    image[0x300] ^= 1;
    esp_image_init(&im, &STRICT, NULL);
    assert_int_equal(esp_image_input(&im, image, len), ESP_IMAGE_ERR_CHECKSUM);
    free(image);
}

static void a_failing_hash_library_never_passes_an_image(void **state)
{
    (void)state;
    size_t len = 0;
    uint8_t *image = load("app_c3_v123", &len);
    unsigned calls = 0;
    for (;; calls++) {
        esp_image_t im;
        esp_image_init(&im, &STRICT, vector_failing_crypto(calls));
        if (esp_image_input(&im, image, len) == ESP_IMAGE_OK) break;
        assert_int_equal(im.err, ESP_IMAGE_ERR_CRYPTO);
    }
    assert_true(calls >
                10); // start, the header, five segments with their headers, checksum, finish
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_esp_idf_on_every_golden_mutation),
        cmocka_unit_test(agrees_with_esp_idf_on_every_adversarial_image),
        cmocka_unit_test(strict_accepts_every_golden_image_on_its_own_chip),
        cmocka_unit_test(reads_the_header_and_the_descriptor),
        cmocka_unit_test(strict_refuses_every_single_bit_flip),
        cmocka_unit_test(one_flipped_bit_must_not_switch_the_digest_off),
        cmocka_unit_test(strict_wants_segments_and_a_descriptor),
        cmocka_unit_test(strict_wants_the_entry_address_in_a_segment_of_code),
        cmocka_unit_test(a_chip_whose_memory_is_unknown_may_start_in_any_segment),
        cmocka_unit_test(strict_refuses_segments_that_overlap_in_memory),
        cmocka_unit_test(segments_that_take_no_memory_overlap_nothing),
        cmocka_unit_test(an_image_without_segments_is_what_esp_idf_accepts),
        cmocka_unit_test(the_page_size_in_the_descriptor_decides_what_can_be_mapped),
        cmocka_unit_test(a_chip_with_page_sizes_needs_the_descriptor_in_either_mode),
        cmocka_unit_test(where_the_slot_lies_decides_what_can_be_mapped),
        cmocka_unit_test(the_verdict_does_not_depend_on_how_the_bytes_are_cut),
        cmocka_unit_test(an_image_that_ends_early_is_truncated),
        cmocka_unit_test(the_verdict_on_chip_and_descriptor_comes_with_the_first_288_bytes),
        cmocka_unit_test(revisions_and_chips_can_be_left_open),
        cmocka_unit_test(the_efuse_revision_does_not_matter_on_an_esp32),
        cmocka_unit_test(a_first_segment_without_data_has_no_efuse_revisions),
        cmocka_unit_test(a_short_image_on_flash_is_read_as_far_as_esp_idf_looks),
        cmocka_unit_test(check_0_the_image_the_others_differ_from_is_right),
        cmocka_unit_test(check_1_slot),
        cmocka_unit_test(check_2_magic),
        cmocka_unit_test(check_3_chip),
        cmocka_unit_test(check_4_chip_revision),
        cmocka_unit_test(check_5_number_of_segments),
        cmocka_unit_test(check_6_no_segments),
        cmocka_unit_test(check_7_digest_appended),
        cmocka_unit_test(check_8_size),
        cmocka_unit_test(check_9_segment_length),
        cmocka_unit_test(check_10_mapping),
        cmocka_unit_test(check_11_room_for_the_descriptor),
        cmocka_unit_test(check_12_end_of_the_address_space),
        cmocka_unit_test(check_13_overlap),
        cmocka_unit_test(check_14_entry),
        cmocka_unit_test(check_15_descriptor),
        cmocka_unit_test(check_16_efuse_revision),
        cmocka_unit_test(check_17_page_size),
        cmocka_unit_test(check_18_mapping_by_the_descriptors_page_size),
        cmocka_unit_test(check_19_checksum),
        cmocka_unit_test(check_20_digest),
        cmocka_unit_test(check_21_end),
        cmocka_unit_test(check_22_end_before_the_descriptor),
        cmocka_unit_test(of_several_faults_the_first_in_the_list_is_reported),
        cmocka_unit_test(a_slot_of_exactly_the_images_length_is_enough),
        cmocka_unit_test(a_slot_too_small_is_noticed_with_the_first_header_that_shows_it),
        cmocka_unit_test(bytes_behind_the_image_count_against_the_slot_only),
        cmocka_unit_test(lengths_near_the_end_of_the_number_range_are_refused),
        cmocka_unit_test(a_slot_above_16_megabytes_holds_no_image),
        cmocka_unit_test(without_a_hash_only_structure_and_checksum_are_checked),
        cmocka_unit_test(a_failing_hash_library_never_passes_an_image),
    };
    return cmocka_run_group_tests_name("esp_image", tests, NULL, NULL);
}
