// test_esp_text.c - names and sentences.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_text.h"
#include "ota_select.h"
#include <cmocka.h>

static void a_chip_is_found_by_either_name_in_any_case(void **state)
{
    (void)state;
    uint16_t id = 0;
    assert_true(esp_text_find_chip("esp32c3", &id));
    assert_int_equal(id, 5);
    assert_true(esp_text_find_chip("ESP32-S3", &id));
    assert_int_equal(id, 9);
    assert_true(esp_text_find_chip("Esp32", &id));
    assert_int_equal(id, 0);
    assert_false(esp_text_find_chip("esp8266", &id));
    assert_false(esp_text_find_chip("", &id));
}

static void every_chip_has_both_names(void **state)
{
    (void)state;
    static const uint16_t ids[] = { 0, 2, 5, 9, 12, 13, 16, 18, 20, 23, 25, 28, 31, 32 };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        uint16_t id = 0xFFFF;
        assert_non_null(esp_text_chip_option(ids[i]));
        assert_true(esp_text_find_chip(esp_text_chip_option(ids[i]), &id));
        assert_int_equal(id, ids[i]);
        assert_true(esp_text_find_chip(esp_text_chip(ids[i]), &id));
        assert_int_equal(id, ids[i]);
    }
    assert_null(esp_text_chip_option(7));
    assert_string_equal(esp_text_chip(0xFFFF), "unknown chip");
}

static void lists_are_cut_to_their_buffer(void **state)
{
    (void)state;
    char text[200];
    esp_text_chip_options(text, sizeof text);
    assert_memory_equal(text, "esp32, esp32s2, esp32c3, ", 25);
    char small[10];
    esp_text_chip_options(small, sizeof small);
    assert_string_equal(small, "esp32, es");
    esp_text_subtypes(2, text, sizeof text);
    assert_string_equal(text, "primary, ota, recovery");
    esp_text_subtypes(0x40, text, sizeof text);
    assert_string_equal(text, "");
}

static void every_error_has_a_sentence_of_its_own(void **state)
{
    (void)state;
    for (int a = ESP_IMAGE_OK; a <= ESP_IMAGE_ERR_CRYPTO; a++) {
        assert_string_not_equal(esp_text_image_err((esp_image_err_t)a), "unknown error");
        for (int b = ESP_IMAGE_OK; b < a; b++)
            assert_string_not_equal(esp_text_image_err((esp_image_err_t)a),
                                    esp_text_image_err((esp_image_err_t)b));
    }
    for (int a = ESP_PARTITION_OK; a <= ESP_PARTITION_ERR_SLOTS; a++)
        assert_string_not_equal(esp_text_partition_err((esp_partition_err_t)a), "unknown error");
}

static void assert_why(esp_image_t im, const char *want)
{
    char text[256];
    esp_text_image_why(&im, text, sizeof text);
    assert_string_equal(text, want);
}

static void the_reason_names_the_figures(void **state)
{
    (void)state;
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_CHIP, .chip_id = 13, .cfg.chip_id = 5 },
               "the image was built for ESP32-C6 (chip id 13), not for ESP32-C3");
    assert_why(
        (esp_image_t){
            .err = ESP_IMAGE_ERR_CHIP_REV, .min_rev = 300, .max_rev = 399, .cfg.chip_rev = 101 },
        "the image does not support this revision of the chip (v1.1): it needs v3.0 to v3.99");
    assert_why(
        (esp_image_t){ .err = ESP_IMAGE_ERR_CHIP_REV, .min_rev = 300, .cfg.chip_rev = 3 },
        "the image does not support this revision of the chip (v0.3): it needs v3.0 or newer");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_CHIP_REV, .seen = 1, .cfg.efuse_rev = 200 },
               "the image does not support this revision of the chip or of its eFuse block (v2.0)");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_SEGMENTS, .segments = 17 },
               "the number of segments is wrong: an image has 1 to 16, this one says 17");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_SEGMENT, .segments = 5, .seen = 1 },
               "a segment's length or load address cannot be right (segment 1 of 5)");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_TOO_LARGE, .cfg.cap = 1000, .len = 1040 },
               "the image does not fit its slot of 1000 bytes: it has 1040");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_ENTRY, .entry = 0x12345678 },
               "the entry address does not lie in a segment of code (0x12345678)");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_TRUNCATED, .pos = 500, .len = 1040 },
               "the image is not complete: 500 bytes of 1040");
    assert_why((esp_image_t){ .err = ESP_IMAGE_ERR_DIGEST },
               "the SHA-256 is wrong: the image is damaged");
}

static void keywords_and_numbers_match_both_ways(void **state)
{
    (void)state;
    unsigned subtypes = 0;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t found = 0;
        const char *name = esp_text_type((uint8_t)type);
        assert_int_equal(name != NULL, type < 4);
        if (name) assert_true(esp_text_find_type(name, &found) && found == type);
        for (unsigned subtype = 0; subtype < 256; subtype++) {
            const char *keyword = esp_text_subtype((uint8_t)type, (uint8_t)subtype);
            if (!keyword) continue;
            assert_true(esp_text_find_subtype((uint8_t)type, keyword, &found));
            assert_int_equal(found, subtype);
            subtypes++;
        }
    }
    assert_int_equal(subtypes, 20 + 12 + 3 + 2);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(esp_text_state(OTA_STATE_NEW), "new");
    assert_string_equal(esp_text_state(OTA_STATE_PENDING), "pending");
    assert_string_equal(esp_text_state(OTA_STATE_VALID), "valid");
    assert_string_equal(esp_text_state(OTA_STATE_INVALID), "invalid");
    assert_string_equal(esp_text_state(OTA_STATE_ABORTED), "aborted");
    assert_string_equal(esp_text_state(OTA_STATE_UNDEFINED), "undefined");
    assert_string_equal(esp_text_state(77), "undefined");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chip_is_found_by_either_name_in_any_case),
        cmocka_unit_test(every_chip_has_both_names),
        cmocka_unit_test(lists_are_cut_to_their_buffer),
        cmocka_unit_test(every_error_has_a_sentence_of_its_own),
        cmocka_unit_test(the_reason_names_the_figures),
        cmocka_unit_test(keywords_and_numbers_match_both_ways),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests_name("esp_text", tests, NULL, NULL);
}
