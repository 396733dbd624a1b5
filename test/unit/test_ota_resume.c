// test_ota_resume.c - what an interrupted update left: found, continued, or begun again; erased slots.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

enum { LEN = 10 * BENCH_SECTOR - 1500 }; // of the images, about

static bench_t bench;
static ota_t ota;
static uint8_t *old_image, *new_image;
static size_t old_len, new_len;

/// Of ten sectors; `hole` of them, from the fourth on, are blank.
static uint8_t *large_image(const char *version, unsigned hole, size_t *len)
{
    image_spec_t spec = image_spec();
    spec.version = version;
    spec.fill = (uint8_t)version[0];
    spec.segment[0].len = 0x1100;
    spec.segment[1].len = LEN - 0x1200;
    spec.hole_at = 3 * BENCH_SECTOR;
    spec.hole_len = hole * BENCH_SECTOR;
    uint8_t *image = malloc(IMAGE_BUILD_CAP);
    assert_non_null(image);
    *len = image_build(&spec, image);
    assert_int_equal((*len + BENCH_SECTOR - 1) / BENCH_SECTOR, 10);
    return image;
}

/// The old image runs from slot 0; the older one, in slot 1, is longer than the new one will be.
static int open_two_slots(void **state)
{
    (void)state;
    bench_open(&bench, 2, false);
    old_image = large_image("1.0", 0, &old_len);
    new_image = large_image("2.0", 0, &new_len);
    bench_put(&bench, 0, old_image, old_len);
    memset(bench_slot(&bench, 1), 0x5A, BENCH_SLOT);
    memcpy(bench_slot(&bench, 1), old_image, old_len);
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(bench_boot(&bench), 0);
    ota_init(&ota, &bench.cfg);
    sim_flash_power_on(&bench.nor);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    free(old_image);
    free(new_image);
    bench_close(&bench);
    return 0;
}

// --- Pieces of an update ---

static ota_err_t work(void)
{
    ota_err_t err = ota.err;
    while (!err && ota_busy(&ota))
        err = ota_step(&ota);
    return err;
}

/// The image from ota.at on, up to byte `until`.
static ota_err_t feed(const uint8_t *image, size_t until)
{
    ota_err_t err = ota.err;
    for (size_t at = ota.at; at < until && !err;) {
        const size_t n = ota_write(&ota, image + at, smaller(700, until - at));
        at += n;
        err = ota_step(&ota);
    }
    return err;
}

static ota_err_t finish_and_activate(void)
{
    ota_err_t err = ota_finish(&ota);
    if (!err) err = work();
    return err ? err : ota_activate(&ota);
}

static void digest_of(const uint8_t *p, size_t len, uint8_t digest[CRYPTO_SHA256_LEN])
{
    const crypto_t *crypto = vector_crypto();
    assert_true(crypto->start(crypto->ctx, CRYPTO_SHA256));
    assert_true(crypto->update(crypto->ctx, p, len));
    assert_true(crypto->finish(crypto->ctx, digest));
}

/// Looks what is there; true if it is the beginning of `image`. Touches nothing, in bounded steps.
static bool survey(const uint8_t *image, size_t len)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    const unsigned changes = sim_flash_changes(&bench.nor);
    assert_int_equal(ota_survey(&ota), OTA_OK);
    while (ota_busy(&ota)) {
        const unsigned reads = bench.nor.reads;
        assert_int_equal(ota_step(&ota), OTA_OK);
        assert_true(bench.nor.reads - reads <= 1);
    }
    assert_int_equal(ota.phase, OTA_FOUND);
    assert_int_equal(sim_flash_changes(&bench.nor), changes);
    assert_int_equal(ota.at % bench.nor.flash.sector_size, 0);
    digest_of(bench_slot(&bench, 1), ota.at, digest);
    assert_memory_equal(ota.buf, digest, sizeof digest);
    if (ota.at > len) return false;
    digest_of(image, ota.at, digest);
    return memcmp(ota.buf, digest, sizeof digest) == 0;
}

/// What a sender does: goes on if it fits, else starts again. Returns how many bytes it sent.
static size_t resume(const uint8_t *image, size_t len)
{
    const ota_err_t err = survey(image, len) ? ota_resume(&ota) : ota_begin(&ota, (uint32_t)len);
    assert_int_equal(err, OTA_OK);
    const size_t sent = len - ota.at;
    assert_int_equal(feed(image, len), OTA_OK);
    assert_int_equal(finish_and_activate(), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
    assert_memory_equal(bench_slot(&bench, 1), image, len);
    return sent;
}

// --- Resume ---

static void goes_on_one_sector_before_the_end_of_what_is_there(void **state)
{
    (void)state;
    uint8_t *const before = malloc(bench.nor.flash.size);
    assert_non_null(before);
    memcpy(before, bench.nor.mem, bench.nor.flash.size);
    for (size_t until = 0; until <= new_len; until += (until % 1000) ? 24 : 1000) {
        memcpy(bench.nor.mem, before, bench.nor.flash.size);
        assert_int_equal(bench_boot(&bench), 0);
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        assert_int_equal(feed(new_image, until), OTA_OK);
        const size_t written = ota.at; // the rest was in RAM
        assert_int_equal(bench_boot(&bench), 0);
        const size_t sent = resume(new_image, new_len);
        if (written == 0) {
            assert_int_equal(sent, new_len);
        } else {
            assert_true(sent <= new_len - written + 2 * BENCH_SECTOR);
            assert_true(sent >= new_len - written);
        }
    }
    free(before);
}

static void starts_again_over_another_image(void **state)
{
    (void)state;
    assert_false(survey(new_image, new_len)); // the older image, whole
    assert_int_equal(ota.at, (old_len - 1) / BENCH_SECTOR * BENCH_SECTOR);
    assert_int_equal(resume(new_image, new_len), new_len);
}

static void takes_an_image_that_is_there_already_but_for_its_last_sector(void **state)
{
    (void)state;
    assert_true(survey(old_image, old_len));
    const size_t sent = resume(old_image, old_len);
    assert_true(sent > 0 && sent <= BENCH_SECTOR);
    assert_true(bench.boot.on_trial);
}

static void starts_again_when_one_bit_of_what_is_there_is_another(void **state)
{
    (void)state;
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    assert_int_equal(feed(new_image, 30000), OTA_OK);
    bench_slot(&bench, 1)[5000] ^= 1;
    assert_false(survey(new_image, new_len));
    assert_true(ota.at > 20000);
    assert_int_equal(resume(new_image, new_len), new_len);
}

static void finds_nothing_in_a_blank_slot_or_one_full_of_nonsense(void **state)
{
    (void)state;
    bench_put(&bench, 1, NULL, 0);
    assert_true(survey(new_image, new_len));
    assert_int_equal(ota.at, 0);
    memset(bench_slot(&bench, 1), 0x5A, BENCH_SLOT);
    assert_true(survey(new_image, new_len));
    assert_int_equal(ota.at, 0);
    assert_int_equal(resume(new_image, new_len), new_len);
}

// Blank sectors in the middle of an image look like its end: that costs bytes, never correctness.
static void goes_on_before_a_hole_in_the_image(void **state)
{
    (void)state;
    free(new_image);
    new_image = large_image("3.0", 2, &new_len);
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    assert_int_equal(feed(new_image, 36000), OTA_OK);
    assert_int_equal(resume(new_image, new_len), new_len - 2 * BENCH_SECTOR);
}

static void a_resumed_update_is_judged_like_any_other(void **state)
{
    (void)state;
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    assert_int_equal(feed(new_image, 20000), OTA_OK);
    bench.cfg.project = "another";
    assert_true(survey(new_image, new_len));
    assert_int_equal(ota_resume(&ota), OTA_ERR_PROJECT);
    assert_int_equal(ota_write(&ota, new_image, 1), 0);
    bench.cfg.project = NULL;
    bench_record(&bench, 0, 3, OTA_STATE_NEW);
    assert_int_equal(ota_survey(&ota), OTA_ERR_UNCONFIRMED);
}

// The bytes that come are not the rest of those that are there.
static void a_resumed_update_that_does_not_fit_is_not_activated(void **state)
{
    (void)state;
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    assert_int_equal(feed(new_image, 20000), OTA_OK);
    assert_true(survey(new_image, new_len));
    assert_int_equal(ota_resume(&ota), OTA_OK);
    assert_int_equal(feed(old_image, old_len), OTA_ERR_IMAGE);
    assert_int_equal(bench_boot(&bench), 0);
}

// --- Interrupted: at every operation, in every way ---

static void goes_on_after_a_cut_at_every_operation(void **state)
{
    (void)state;
    unsigned cuts = 0;
    uint8_t *const before = malloc(bench.nor.flash.size);
    assert_non_null(before);
    memcpy(before, bench.nor.mem, bench.nor.flash.size);
    for (unsigned n = 1;; n++) {
        for (uint64_t seed = 0; seed < 6; seed++) {
            memcpy(bench.nor.mem, before, bench.nor.flash.size);
            assert_int_equal(bench_boot(&bench), 0);
            sim_flash_cut(&bench.nor, n,
                          seed == 4   ? SIM_FLASH_NOTHING
                          : seed == 5 ? SIM_FLASH_DONE
                                      : SIM_FLASH_TORN,
                          seed);
            assert_int_equal(ota_begin(&ota, 0), OTA_OK);
            (void)feed(new_image, new_len);
            if (!bench.nor.fired) {
                print_message("%u cuts\n", cuts);
                free(before);
                assert_true(cuts > 6 * 120);
                return;
            }
            const size_t written = ota.at;
            assert_int_equal(bench_boot(&bench), 0);
            assert_true(resume(new_image, new_len) <= new_len - written + 2 * BENCH_SECTOR);
            cuts++;
        }
    }
}

static void reports_errors_of_flash_and_hash_library(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
        ota_err_t err = ota_survey(&ota);
        if (!err) err = work();
        if (!bench.nor.fired) break;
        assert_int_equal(err, OTA_ERR_FLASH);
        assert_int_equal(ota.flash_err, SIM_FLASH_ERROR);
        assert_int_equal(ota.phase, OTA_FAILED);
    }
}

static void reports_that_the_hash_library_failed(void **state)
{
    (void)state;
    const int calls = 2 + (int)(old_len - 1) / BENCH_SECTOR * BENCH_SECTOR / OTA_BUF;
    for (int n = 0; n <= calls; n++) {
        bench.cfg.crypto = vector_failing_crypto((unsigned)n);
        ota_err_t err = ota_survey(&ota);
        if (!err) err = work();
        assert_int_equal(err, (n < calls) ? OTA_ERR_CRYPTO : OTA_OK);
    }
}

// --- Erase ---

static void erases_the_whole_slot_after_its_record(void **state)
{
    (void)state;
    assert_int_equal(ota_erase(&ota), OTA_OK);
    assert_int_equal(ota_step(&ota), OTA_OK);
    assert_string_equal(bench_records(&bench), "3:VALID -");
    assert_int_equal(bench_slot(&bench, 1)[0], 0xE9);
    while (ota_busy(&ota)) {
        const unsigned changes = sim_flash_changes(&bench.nor);
        assert_int_equal(ota_step(&ota), OTA_OK);
        assert_int_equal(sim_flash_changes(&bench.nor), changes + 1);
    }
    assert_int_equal(ota.phase, OTA_ERASED);
    assert_true(flash_is_blank(bench_slot(&bench, 1), BENCH_SLOT));
    assert_int_equal(bench_boot(&bench), 0);
}

static void does_not_erase_twice_what_it_has_just_erased(void **state)
{
    (void)state;
    assert_int_equal(ota_erase(&ota), OTA_OK);
    assert_int_equal(work(), OTA_OK);
    const unsigned erases = bench.nor.erases;
    assert_int_equal(ota_begin(&ota, (uint32_t)new_len), OTA_OK);
    assert_int_equal(feed(new_image, new_len), OTA_OK);
    assert_int_equal(bench.nor.erases, erases);
    assert_int_equal(ota_begin(&ota, (uint32_t)new_len), OTA_OK); // but now it is used
    assert_int_equal(feed(new_image, new_len), OTA_OK);
    assert_int_equal(bench.nor.erases, erases + 10);
    assert_int_equal(finish_and_activate(), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
}

static void erases_nothing_while_the_running_image_is_unconfirmed(void **state)
{
    (void)state;
    bench_record(&bench, 0, 3, OTA_STATE_NEW);
    assert_int_equal(ota_erase(&ota), OTA_ERR_UNCONFIRMED);
    assert_false(ota_busy(&ota));
}

static void reports_an_error_while_it_erases(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
        ota_err_t err = ota_erase(&ota);
        if (!err) err = work();
        if (!bench.nor.fired) break;
        assert_int_equal(err, OTA_ERR_FLASH);
        assert_int_equal(bench_boot(&bench), 0);
    }
}

int main(void)
{
#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, open_two_slots, close_bench)
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(goes_on_one_sector_before_the_end_of_what_is_there),
        ON_A_BENCH(starts_again_over_another_image),
        ON_A_BENCH(takes_an_image_that_is_there_already_but_for_its_last_sector),
        ON_A_BENCH(starts_again_when_one_bit_of_what_is_there_is_another),
        ON_A_BENCH(finds_nothing_in_a_blank_slot_or_one_full_of_nonsense),
        ON_A_BENCH(goes_on_before_a_hole_in_the_image),
        ON_A_BENCH(a_resumed_update_is_judged_like_any_other),
        ON_A_BENCH(a_resumed_update_that_does_not_fit_is_not_activated),
        ON_A_BENCH(goes_on_after_a_cut_at_every_operation),
        ON_A_BENCH(reports_errors_of_flash_and_hash_library),
        ON_A_BENCH(reports_that_the_hash_library_failed),
        ON_A_BENCH(erases_the_whole_slot_after_its_record),
        ON_A_BENCH(does_not_erase_twice_what_it_has_just_erased),
        ON_A_BENCH(erases_nothing_while_the_running_image_is_unconfirmed),
        ON_A_BENCH(reports_an_error_while_it_erases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
