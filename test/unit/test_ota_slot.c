// test_ota_slot.c - what a slot holds, told from its headers; and an image that is there already, made to boot.
// SPDX-License-Identifier: Apache-2.0
#include "bench.h"
#include "image_build.h"
#include "ota_slot.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bench_t bench;
static uint8_t *image;
static size_t image_len;
static ota_slot_t slot;
static ota_t ota;

static int open_bench_with(bool factory)
{
    bench_open(&bench, 2, factory);
    image = bench_image("1.0", false, &image_len);
    bench_put(&bench, 0, image, image_len);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    assert_int_equal(bench_boot(&bench), 0);
    ota_init(&ota, &bench.cfg);
    return 0;
}

static int open_bench(void **state)
{
    (void)state;
    return open_bench_with(false);
}

static int close_bench(void **state)
{
    (void)state;
    free(image);
    bench_close(&bench);
    return 0;
}

static void read_slot(int which) { assert_int_equal(ota_slot_read(&bench.cfg, which, &slot), 0); }

static void tells_what_a_slot_holds(void **state)
{
    (void)state;
    read_slot(0);
    assert_int_equal(slot.size, BENCH_SLOT);
    assert_int_equal(slot.len, image_len);
    assert_int_equal(slot.state, OTA_STATE_VALID);
    assert_string_equal(slot.version, "1.0");
    assert_string_equal(slot.project, bench.boot.image.project);
    assert_memory_equal(slot.digest, &image[image_len - sizeof slot.digest], sizeof slot.digest);
    read_slot(1);
    assert_int_equal(slot.size, BENCH_SLOT);
    assert_int_equal(slot.len, 0);
    assert_int_equal(slot.state, OTA_SLOT_NO_RECORD);
    read_slot(OTA_FACTORY);
    assert_int_equal(slot.size, 0);
}

static void tells_what_the_factory_app_is(void **state)
{
    (void)state;
    close_bench(NULL);
    open_bench_with(true);
    bench_put(&bench, OTA_FACTORY, image, image_len);
    read_slot(OTA_FACTORY);
    assert_int_equal(slot.len, image_len);
    assert_int_equal(slot.state, OTA_SLOT_NO_RECORD);
}

static void tells_every_state(void **state)
{
    (void)state;
    for (uint32_t s = 0; s <= OTA_STATE_ABORTED; s++) {
        bench_record(&bench, 1, 2, s);
        bench_put(&bench, 1, image, image_len);
        read_slot(1);
        assert_int_equal(slot.state, s);
    }
    bench_esp_record(&bench, 1, 2, OTA_STATE_UNDEFINED);
    read_slot(1);
    assert_int_equal(slot.state, OTA_SLOT_NO_RECORD);
}

// Headers that would lead out of the slot, for each header there is.
static void headers_that_make_no_sense_are_no_image(void **state)
{
    (void)state;
    uint8_t *at = bench_slot(&bench, 0);
    const uint32_t sizes[] = { BENCH_SLOT, BENCH_SLOT - 1, 0xFFFFFFFF, 0x80000000 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bench_put(&bench, 0, image, image_len);
        store_le32(&at[ESP_IMAGE_HEADER_LEN + 4], sizes[i]);
        read_slot(0);
        assert_int_equal(slot.len, 0);
        assert_int_equal(slot.version[0], 0);
    }
    for (uint32_t short_of = 1; short_of < 64;
         short_of++) { // room for half a header, for no digest
        bench_put(&bench, 0, image, image_len);
        at[1] = 2;
        store_le32(&at[ESP_IMAGE_HEADER_LEN + 4], BENCH_SLOT - ESP_IMAGE_HEADER_LEN - 8 - short_of);
        read_slot(0);
        assert_int_equal(slot.len, 0);
        at[1] = 1;
        read_slot(0);
        assert_true(slot.len <= BENCH_SLOT);
    }
    bench_put(&bench, 0, image, image_len);
    at[1] = ESP_IMAGE_SEGMENTS_MAX + 1;
    read_slot(0);
    assert_int_equal(slot.len, 0);
}

static void an_image_without_descriptor_or_digest_has_none(void **state)
{
    (void)state;
    bench_slot(&bench, 0)[ESP_IMAGE_DESC_AT] ^= 1;
    read_slot(0);
    assert_int_equal(slot.len, image_len);
    assert_int_equal(slot.version[0], 0);
    bench_slot(&bench, 0)[23] = 0;
    read_slot(0);
    assert_int_equal(slot.len, image_len - sizeof slot.digest);
    assert_true(slot.digest[0] == 0 && slot.digest[31] == 0);
}

static void a_read_that_fails_is_reported(void **state)
{
    (void)state;
    unsigned n = 0;
    int err;
    do {
        sim_flash_fail(&bench.nor, ++n, SIM_FLASH_NOTHING, 0);
        err = ota_slot_read(&bench.cfg, 0, &slot);
        sim_flash_fail(&bench.nor, 0, SIM_FLASH_NOTHING, 0);
        assert_true(err == 0 || err == SIM_FLASH_ERROR);
    } while (err);
    assert_true(n > 6);
}

// --- ota_recheck ---

static ota_err_t recheck(void)
{
    ota_err_t err = ota_recheck(&ota);
    while (!err && ota_busy(&ota))
        err = ota_step(&ota);
    return err;
}

static void what_the_other_slot_holds_can_be_made_to_boot(void **state)
{
    (void)state;
    size_t len;
    uint8_t *other = bench_image("2.0", false, &len);
    bench_put(&bench, 1, other, len);
    const unsigned before = bench.nor.erases + bench.nor.progs;
    assert_int_equal(recheck(), OTA_OK);
    assert_int_equal(bench.nor.erases + bench.nor.progs, before);
    assert_int_equal(ota.phase, OTA_VERIFIED);
    assert_int_equal(ota_activate(&ota), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1); // on trial
    assert_int_equal(bench_boot(&bench), 0); // which it did not pass
    bench.cfg.running = 0;
    ota_init(&ota, &bench.cfg);
    assert_int_equal(recheck(), OTA_ERR_REJECTED);
    free(other);
}

static void what_is_not_right_is_not_made_to_boot(void **state)
{
    (void)state;
    size_t len;
    uint8_t *other = bench_image("2.0", false, &len);
    assert_int_equal(recheck(), OTA_ERR_IMAGE); // blank
    for (size_t i = 0; i < len; i += 97) {
        bench_put(&bench, 1, other, len);
        bench_slot(&bench, 1)[i] ^= 0x40;
        assert_int_not_equal(recheck(), OTA_OK);
    }
    bench_put(&bench, 1, other, len);
    bench.cfg.project = "another";
    assert_int_equal(recheck(), OTA_ERR_PROJECT);
    bench.cfg.project = NULL;
    bench.cfg.counter = &bench.nor.counter;
    bench.nor.count = 7;
    assert_int_equal(recheck(), OTA_ERR_TOO_OLD);
    bench.nor.count = 0;
    assert_int_equal(recheck(), OTA_OK);
    bench_record(&bench, 0, 1, OTA_STATE_NEW); // what runs is on trial
    assert_int_equal(recheck(), OTA_ERR_UNCONFIRMED);
    free(other);
}

static void reads_that_fail_are_reported_by_recheck(void **state)
{
    (void)state;
    size_t len;
    uint8_t *other = bench_image("2.0", false, &len);
    bench_put(&bench, 1, other, len);
    unsigned n = 0;
    ota_err_t err;
    do {
        sim_flash_fail(&bench.nor, ++n, SIM_FLASH_NOTHING, 0);
        err = recheck();
        sim_flash_fail(&bench.nor, 0, SIM_FLASH_NOTHING, 0);
        assert_true(err == OTA_OK || err == OTA_ERR_FLASH);
    } while (err);
    assert_true(n > 20);
    free(other);
}

#define BENCH(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH(tells_what_a_slot_holds),
        BENCH(tells_what_the_factory_app_is),
        BENCH(tells_every_state),
        BENCH(headers_that_make_no_sense_are_no_image),
        BENCH(an_image_without_descriptor_or_digest_has_none),
        BENCH(a_read_that_fails_is_reported),
        BENCH(what_the_other_slot_holds_can_be_made_to_boot),
        BENCH(what_is_not_right_is_not_made_to_boot),
        BENCH(reads_that_fail_are_reported_by_recheck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
