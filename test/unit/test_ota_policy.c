// test_ota_policy.c - what a device wants of an image besides: project, secure version; and its trial.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "image_build.h"
#include "ota_select.h"
#include "vectors.h"
#include <cmocka.h>

static bench_t bench;
static ota_t ota;

// --- A counter in RAM ---

static struct {
    uint32_t value;
    unsigned raises;
    bool cannot_read, cannot_raise;
} efuse;

static int efuse_read(void *ctx, uint32_t *value)
{
    (void)ctx;
    *value = efuse.value;
    return efuse.cannot_read ? 11 : 0;
}

static int efuse_raise(void *ctx, uint32_t value)
{
    (void)ctx;
    assert_true(value > efuse.value);
    efuse.raises++;
    if (efuse.cannot_raise) return 12;
    efuse.value = value;
    return 0;
}

static const counter_t counter = { NULL, efuse_read, efuse_raise };

// --- Images ---

typedef struct {
    uint8_t *p;
    size_t len;
} image_t;

static image_t make(const char *version, uint32_t secure_version, const char *project)
{
    image_spec_t spec = image_spec();
    spec.version = version;
    spec.secure_version = secure_version;
    spec.project = project;
    image_t image = { malloc(IMAGE_BUILD_CAP), 0 };
    assert_non_null(image.p);
    image.len = image_build(&spec, image.p);
    return image;
}

/// Slot 0 runs version 1.0 of secure version 2, confirmed.
static int open_bench(void **state)
{
    (void)state;
    memset(&efuse, 0, sizeof efuse);
    bench_open(&bench, 2, false);
    bench.cfg.counter = &counter;
    const image_t old = make("1.0", 2, NULL);
    bench_put(&bench, 0, old.p, old.len);
    free(old.p);
    assert_int_equal(bench_boot(&bench), 0);
    ota_init(&ota, &bench.cfg);
    sim_flash_power_on(&bench.nor);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    bench_close(&bench);
    return 0;
}

static ota_err_t update(image_t image)
{
    ota_err_t err = ota_begin(&ota, (uint32_t)image.len);
    for (size_t at = 0; at < image.len && !err;) {
        at += ota_write(&ota, image.p + at, image.len - at);
        err = ota_step(&ota);
    }
    if (!err) err = ota_finish(&ota);
    while (!err && ota_busy(&ota))
        err = ota_step(&ota);
    if (!err) err = ota_activate(&ota);
    free(image.p);
    return err;
}

// --- Project ---

static void takes_images_of_its_own_project_only(void **state)
{
    (void)state;
    static const char *const OTHERS[] = { "pump", "pump-2x", "Pump-2", "", "valve" };
    bench.cfg.project = "pump-2";
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++) {
        assert_int_equal(update(make("2.0", 2, OTHERS[i])), OTA_ERR_PROJECT);
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
    }
    assert_int_equal(update(make("2.0", 2, "pump-2")), OTA_OK);
}

static void takes_images_of_every_project_if_none_is_said(void **state)
{
    (void)state;
    assert_int_equal(update(make("2.0", 2, "valve")), OTA_OK);
}

static void a_project_of_32_characters_is_compared_whole(void **state)
{
    (void)state;
    bench.cfg.project = "abcdefghijklmnopqrstuvwxyz012345";
    image_t image = make("2.0", 2, NULL);
    for (int last = '4'; last <= '5'; last++) { // not ended by NUL
        memcpy(image.p + 80, "abcdefghijklmnopqrstuvwxyz012344", 32);
        image.p[80 + 31] = (uint8_t)last;
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        (void)ota_write(&ota, image.p, ESP_IMAGE_HEAD_LEN);
        assert_int_equal(ota.err, last == '4' ? OTA_ERR_PROJECT : OTA_OK);
    }
    free(image.p);
}

// --- Anti-rollback ---

static void the_first_start_raises_the_counter(void **state)
{
    (void)state;
    assert_int_equal(efuse.value, 2);
    assert_int_equal(efuse.raises, 1);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(efuse.raises, 1);
}

static void an_image_below_the_counter_is_refused_before_anything_is_erased(void **state)
{
    (void)state;
    assert_int_equal(update(make("0.9", 1, NULL)), OTA_ERR_TOO_OLD);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_int_equal(update(make("0.9", 0, NULL)), OTA_ERR_TOO_OLD);
    assert_int_equal(update(make("1.1", 2, NULL)), OTA_OK);
}

static void only_a_confirmation_raises_the_counter(void **state)
{
    (void)state;
    assert_int_equal(update(make("2.0", 5, NULL)), OTA_OK);
    assert_int_equal(efuse.value, 2);
    assert_int_equal(bench_boot(&bench), 1);
    assert_true(bench.boot.on_trial);
    assert_int_equal(efuse.value, 2);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(efuse.value, 5);
    assert_int_equal(efuse.raises, 2);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(efuse.raises, 2);
}

static void a_rejected_image_leaves_the_counter_and_the_old_one_boots(void **state)
{
    (void)state;
    assert_int_equal(update(make("2.0", 5, NULL)), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(ota_reject(&bench.cfg), 0);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(efuse.value, 2);
}

static void what_is_below_the_counter_does_not_boot(void **state)
{
    (void)state;
    assert_int_equal(update(make("2.0", 5, NULL)), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    bench_slot(&bench, 1)[300] ^= 1;
    assert_int_equal(bench_boot(&bench), OTA_NOTHING); // by design: the old one may be insecure
    assert_int_equal(bench.boot.damaged, 1);
    bench.cfg.counter = NULL;
    assert_int_equal(bench_boot(&bench), 0);
}

static void the_bootloader_raises_a_counter_that_a_confirmation_did_not(void **state)
{
    (void)state;
    assert_int_equal(update(make("2.0", 5, NULL)), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
    efuse.cannot_raise = true;
    assert_int_equal(ota_confirm(&bench.cfg), 12);
    assert_int_equal(bench_boot(&bench), 1);
    assert_false(bench.boot.on_trial);
    assert_int_equal(efuse.value, 2);
    efuse.cannot_raise = false;
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(efuse.value, 5);
}

static void a_counter_that_cannot_be_read_lets_nothing_boot_and_nothing_in(void **state)
{
    (void)state;
    efuse.cannot_read = true;
    assert_int_equal(bench_boot(&bench), OTA_NOTHING);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    bench.cfg.running = 0;
    assert_int_equal(update(make("2.0", 5, NULL)), OTA_ERR_FLASH);
    assert_int_equal(ota.flash_err, 11);
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    assert_int_equal(ota_confirm(&bench.cfg), 11);
    efuse.cannot_read = false;
    assert_int_equal(bench_boot(&bench), 0);
}

static void a_flash_that_fails_while_the_counter_is_raised_is_reported(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        efuse.value = 2;
        bench.cfg.running = 0;
        assert_int_equal(update(make("2.0", 5, NULL)), OTA_OK);
        assert_int_equal(bench_boot(&bench), 1);
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
        const int err = ota_confirm(&bench.cfg);
        if (!bench.nor.fired) break;
        assert_true(err == SIM_FLASH_ERROR || efuse.value == 5); // the mark of completion can wait
        assert_int_equal(bench_boot(&bench), (n > 9) ? 1 : 0);
        bench_record(&bench, 0, 1, OTA_STATE_VALID);
        memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
    }
}

static void an_image_without_a_descriptor_leaves_the_counter(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    bench_slot(&bench, 0)[32] ^= 1;
    store_le32(bench_slot(&bench, 0) + 36, 9);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(efuse.value, 2);
}

static void a_fallback_to_an_older_image_leaves_the_counter(void **state)
{
    (void)state;
    assert_int_equal(update(make("1.1", 2, NULL)), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    bench_slot(&bench, 1)[300] ^= 1;
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(efuse.value, 2);
    assert_int_equal(efuse.raises, 1);
}

// --- Attempts ---

static void a_new_image_has_as_many_starts_as_configured(void **state)
{
    (void)state;
    for (unsigned attempts = 0; attempts <= OTA_STARTS_MAX; attempts++) {
        bench.cfg.attempts = attempts;
        bench.cfg.running = 0;
        assert_int_equal(update(make("2.0", 2, NULL)), OTA_OK);
        for (unsigned i = 0; i < (attempts ? attempts : 1); i++) {
            assert_int_equal(bench_boot(&bench), 1);
            assert_true(bench.boot.on_trial);
        }
        assert_int_equal(bench_boot(&bench), 0);
        assert_int_equal(bench.boot.gave_up, 1);
        assert_int_equal(bench_boot(&bench), 0);
        assert_int_equal(bench.boot.gave_up, OTA_NOTHING);
    }
}

static void it_can_confirm_itself_in_the_last_of_them(void **state)
{
    (void)state;
    bench.cfg.attempts = OTA_STARTS_MAX;
    for (unsigned used = 1; used <= OTA_STARTS_MAX; used++) {
        const int slot = 1 - bench.cfg.running;
        assert_int_equal(update(make("2.0", 2, NULL)), OTA_OK);
        for (unsigned i = 0; i < used; i++)
            assert_int_equal(bench_boot(&bench), slot);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
        for (unsigned i = 0; i <= OTA_STARTS_MAX; i++) {
            assert_int_equal(bench_boot(&bench), slot);
            assert_false(bench.boot.on_trial);
        }
    }
}

// Each start has a place of its own for the mark: what a cut spoilt is not programmed again.
static void a_confirmation_that_was_cut_off_can_be_repeated_in_the_next_start(void **state)
{
    (void)state;
    bench.cfg.attempts = OTA_STARTS_MAX;
    for (uint64_t seed = 0; seed < 64; seed++) {
        const int slot = 1 - bench.cfg.running;
        assert_int_equal(update(make("2.0", 2, NULL)), OTA_OK);
        for (unsigned i = 0; i + 1 < OTA_STARTS_MAX; i++) {
            assert_int_equal(bench_boot(&bench), slot);
            if (!bench.boot.on_trial) break; // every bit of the mark got through
            sim_flash_cut(&bench.nor, 1, SIM_FLASH_TORN, seed);
            assert_int_equal(ota_confirm(&bench.cfg), SIM_FLASH_NO_POWER);
        }
        assert_int_equal(bench_boot(&bench), slot);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
        assert_int_equal(bench_boot(&bench), slot);
        assert_false(bench.boot.on_trial);
    }
}

static void a_confirmation_that_finds_no_place_for_its_mark_does_without(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    for (int place = 0; place < 4; place++)
        bench_otadata(&bench, 0)[BENCH_CONFIRMED + place * FLASH_UNIT] = 1; // torn
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(bench_boot(&bench), 0);
    assert_false(bench.boot.on_trial);
}

static void a_confirmation_says_when_no_number_is_left(void **state)
{
    (void)state;
    bench_record(&bench, 0, 0xFFFFFFFD, OTA_STATE_NEW);
    assert_int_equal(ota_confirm(&bench.cfg), OTA_SELECT_EXHAUSTED);
}

int main(void)
{
#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(takes_images_of_its_own_project_only),
        ON_A_BENCH(takes_images_of_every_project_if_none_is_said),
        ON_A_BENCH(a_project_of_32_characters_is_compared_whole),
        ON_A_BENCH(the_first_start_raises_the_counter),
        ON_A_BENCH(an_image_below_the_counter_is_refused_before_anything_is_erased),
        ON_A_BENCH(only_a_confirmation_raises_the_counter),
        ON_A_BENCH(a_rejected_image_leaves_the_counter_and_the_old_one_boots),
        ON_A_BENCH(what_is_below_the_counter_does_not_boot),
        ON_A_BENCH(the_bootloader_raises_a_counter_that_a_confirmation_did_not),
        ON_A_BENCH(a_counter_that_cannot_be_read_lets_nothing_boot_and_nothing_in),
        ON_A_BENCH(a_flash_that_fails_while_the_counter_is_raised_is_reported),
        ON_A_BENCH(an_image_without_a_descriptor_leaves_the_counter),
        ON_A_BENCH(a_fallback_to_an_older_image_leaves_the_counter),
        ON_A_BENCH(a_new_image_has_as_many_starts_as_configured),
        ON_A_BENCH(it_can_confirm_itself_in_the_last_of_them),
        ON_A_BENCH(a_confirmation_that_was_cut_off_can_be_repeated_in_the_next_start),
        ON_A_BENCH(a_confirmation_that_finds_no_place_for_its_mark_does_without),
        ON_A_BENCH(a_confirmation_says_when_no_number_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
