// test_ota_verify.c - what flash holds is what came: pages compared as they are written, or a second look.
// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

static bench_t bench;
static ota_t ota;
static uint8_t *image; // of about three sectors
static size_t len;
static unsigned looks; // READBACK was entered so often

// --- A flash that does something else than it says ---

static struct {
    flash_t flash;
    uint32_t at;  // of the flash: when this byte was programmed, or its sector erased,
    uint8_t bits; // these bits of it are others, 0: none
    bool erase;
    unsigned reads; // before the one that yields garbage; UINT_MAX: none does
} liar;

static int liar_read(void *ctx, uint32_t at, void *p, uint32_t n)
{
    const int err = bench.nor.flash.read(ctx, at, p, n);
    if (liar.reads-- == 0) *(uint8_t *)p ^= 1;
    return err;
}

static int liar_prog(void *ctx, uint32_t at, const void *p, uint32_t n)
{
    const int err = bench.nor.flash.prog(ctx, at, p, n);
    if (!liar.erase && liar.at - at < n) bench.nor.mem[liar.at] ^= liar.bits;
    return err;
}

static int liar_erase(void *ctx, uint32_t at)
{
    const int err = bench.nor.flash.erase(ctx, at);
    if (liar.erase && liar.at - at < BENCH_SECTOR) bench.nor.mem[liar.at] ^= liar.bits;
    return err;
}

static uint32_t slot_at(void) { return bench.layout.slot[1].at; }

static void lie(size_t at, uint8_t bits, bool erase)
{
    liar.at = slot_at() + (uint32_t)at;
    liar.bits = bits;
    liar.erase = erase;
}

static void take(const image_spec_t *spec) { len = image_build(spec, image); }

/// An image of `bytes`, a multiple of 16, with the digest.
static void take_len(size_t bytes)
{
    image_spec_t spec = image_spec();
    spec.version = "2.0";
    spec.fill = bytes;
    spec.dense = true;
    spec.segment[0].len = 256;
    spec.segment[1].len = 20;
    take(&spec);
    assert_true(bytes >= len && bytes % 16 == 0);
    spec.segment[1].len += (uint32_t)(bytes - len);
    take(&spec);
    assert_int_equal(len, bytes);
}

/// Slot 1 was never written, the old image runs from slot 0.
static int open_two_slots(void **state)
{
    size_t old_len;
    (void)state;
    bench_open(&bench, 2, false);
    image = malloc(IMAGE_BUILD_CAP);
    assert_non_null(image);
    uint8_t *old = bench_image("1.0", false, &old_len);
    bench_put(&bench, 0, old, old_len);
    free(old);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    assert_int_equal(bench_boot(&bench), 0);
    liar.flash = bench.nor.flash;
    liar.flash.read = liar_read;
    liar.flash.prog = liar_prog;
    liar.flash.erase = liar_erase;
    liar.bits = 0;
    liar.reads = UINT_MAX;
    ota_init(&ota, &bench.cfg);
    take_len(9008);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    free(image);
    bench_close(&bench);
    return 0;
}

// --- An update ---

static ota_err_t feed(const uint8_t *p, size_t from, size_t to)
{
    ota_err_t err = ota.err;
    while (from < to && !err) {
        from += ota_write(&ota, p + from, to - from);
        err = ota_step(&ota);
    }
    return err;
}

static ota_err_t finish(void)
{
    ota_err_t err = ota_finish(&ota);
    while (!err && ota_busy(&ota)) {
        const ota_phase_t before = ota.phase;
        err = ota_step(&ota);
        looks += before != OTA_READBACK && ota.phase == OTA_READBACK;
    }
    if (!err) assert_int_equal(ota.phase, OTA_VERIFIED);
    return err;
}

/// Up to but without ota_activate(), on the flash that lies.
static ota_err_t update(size_t bytes)
{
    bench.cfg.flash = &liar.flash;
    looks = 0;
    ota_err_t err = ota_begin(&ota, 0);
    if (!err) err = feed(image, 0, bytes);
    if (!err) err = finish();
    bench.cfg.flash = &bench.nor.flash;
    return err;
}

static void assert_boots_the_new_one(void)
{
    assert_int_equal(ota_activate(&ota), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1);
    assert_memory_equal(bench_slot(&bench, 1), image, len);
    bench.cfg.running = 0; // again, from the start
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
}

// --- What is right ---

static void an_image_of_any_length_is_verified_when_its_last_page_is_written(void **state)
{
    (void)state;
    for (size_t bytes = 0x160; bytes < 0x2200; bytes += (bytes & 0xFFF) == 0x480 ? 0xA00 : 16) {
        take_len(bytes);
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        assert_int_equal(feed(image, 0, len), OTA_OK);
        const unsigned reads = bench.nor.reads;
        looks = 0;
        assert_int_equal(finish(), OTA_OK);
        assert_int_equal(looks, 0);
        assert_true(bench.nor.reads - reads <= 4); // of what was in RAM, two pages at most; otadata
        assert_boots_the_new_one();
    }
}

static void each_page_is_read_back_blank_ones_too(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.segment[1].len = 0x4000;
    spec.hole_at = 0x1100;
    spec.hole_len = 0x2000;
    take(&spec);
    assert_int_equal(update(len), OTA_OK);
    const size_t pages = (len + OTA_PAGE - 1) / OTA_PAGE;
    assert_true(bench.nor.progs < pages);
    assert_true(bench.nor.reads >= pages);
    const unsigned reads = bench.nor.reads;
    assert_int_equal(ota_recheck(&ota), OTA_OK); // as far as the image reaches
    while (ota_busy(&ota))
        assert_int_equal(ota_step(&ota), OTA_OK);
    assert_true(bench.nor.reads - reads < pages);
    assert_boots_the_new_one();
}

// --- What is wrong ---

static void a_bit_that_is_wrong_when_it_was_written_is_found(void **state)
{
    (void)state;
    for (size_t at = 0; at < len; at += (at % 256 < 2 || at > len - 50) ? 1 : 83) {
        lie(at, (uint8_t)(1 << at % 8), false);
        assert_int_equal(update(len), OTA_ERR_IMAGE);
        assert_int_equal(looks, 1);
        assert_int_equal(bench_boot(&bench), 0);
        const esp_image_err_t err = ota.image.err;
        ota_init(&ota, &bench.cfg); // as another look says
        assert_int_equal(ota_recheck(&ota), OTA_OK);
        while (ota_busy(&ota))
            (void)ota_step(&ota);
        assert_int_equal(ota.image.err, err);
    }
}

static void a_bit_that_was_not_erased_in_a_page_that_stays_blank_is_found(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.segment[1].len = 0x4000;
    spec.hole_at = 0x1100;
    spec.hole_len = 0x2000;
    take(&spec);
    for (size_t at = 0x1100; at < 0x3100; at += 85) {
        lie(at, 0x10, true);
        assert_int_equal(update(len), OTA_ERR_IMAGE);
        assert_int_equal(bench_boot(&bench), 0);
    }
}

static void a_sector_that_sticks_is_found(void **state)
{
    (void)state;
    for (uint32_t sector = 0; sector < 3; sector++) {
        const uint32_t bad = slot_at() / BENCH_SECTOR + sector;
        memset(bench_slot(&bench, 1), 0, 3 * BENCH_SECTOR);
        sim_flash_touch(&bench.nor, slot_at(), 3 * BENCH_SECTOR);
        sim_flash_spoil(&bench.nor, bad, SIM_FLASH_STICKS, 0);
        assert_int_equal(update(len), OTA_ERR_IMAGE);
        assert_int_equal(looks, 1);
        sim_flash_spoil(&bench.nor, bad, SIM_FLASH_FAILS, 0);
        assert_int_equal(update(len), OTA_ERR_FLASH);
        sim_flash_spoil(&bench.nor, bad, SIM_FLASH_GOOD, 0);
        assert_int_equal(bench_boot(&bench), 0);
    }
}

// Longer or shorter than the image whose structure was judged.
static void a_length_that_is_wrong_on_flash_is_found(void **state)
{
    (void)state;
    const size_t second = 32 + load_le32(image + 28);
    for (unsigned bit = 2; bit < 13; bit++) {
        lie(second + 4 + bit / 8, (uint8_t)(1 << bit % 8), false);
        assert_int_equal(update(len), OTA_ERR_IMAGE);
        assert_int_equal(looks, 1);
        assert_int_equal(bench_boot(&bench), 0);
    }
}

static void a_wrong_digest_is_refused_when_it_comes(void **state)
{
    (void)state;
    for (size_t i = 1; i <= CRYPTO_SHA256_LEN; i++) {
        image[len - i] ^= 4;
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        assert_int_equal(feed(image, 0, len), OTA_ERR_IMAGE);
        assert_int_equal(ota.image.err, ESP_IMAGE_ERR_DIGEST);
        image[len - i] ^= 4;
        image[500 + i] ^= 1; // two wrong bits that the checksum does not see
        image[600 + i] ^= 1;
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        assert_int_equal(feed(image, 0, len), OTA_ERR_IMAGE);
        assert_int_equal(ota.image.err, ESP_IMAGE_ERR_DIGEST);
        image[500 + i] ^= 1;
        image[600 + i] ^= 1;
    }
}

// --- A second look ---

static void a_read_that_was_wrong_once_costs_a_second_look(void **state)
{
    (void)state;
    assert_int_equal(update(len), OTA_OK);
    sim_flash_power_on(&bench.nor);
    assert_int_equal(update(len), OTA_OK);
    assert_int_equal(looks, 0);
    const unsigned pages = (unsigned)(len + OTA_PAGE - 1) / OTA_PAGE;
    const unsigned first = bench.nor.reads - pages; // those of otadata came before
    for (unsigned i = 0; i < pages; i++) {
        liar.reads = first + i;
        assert_int_equal(update(len), OTA_OK);
        assert_int_equal(looks, 1);
    }
    assert_boots_the_new_one();
}

static void bits_that_are_wrong_behind_the_image_do_not_matter(void **state)
{
    (void)state;
    memset(image + len, 0xA5, 5000);
    lie(len, 1, false);
    assert_int_equal(update(len + 5000), OTA_OK);
    assert_int_equal(looks, 1);
    lie(len - 1, 1, false);
    assert_int_equal(update(len + 5000), OTA_ERR_IMAGE);
}

// What was there before was not compared with what came: none of it is taken on trust.
static void a_resumed_update_is_read_back_as_a_whole(void **state)
{
    (void)state;
    for (size_t at = 0; at <= len; at += 91) {
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        assert_int_equal(feed(image, 0, len - 10), OTA_OK);
        assert_int_equal(ota_survey(&ota), OTA_OK);
        while (ota_busy(&ota))
            assert_int_equal(ota_step(&ota), OTA_OK);
        assert_true(ota.at > 0);
        assert_int_equal(ota_resume(&ota), OTA_OK);
        assert_int_equal(feed(image, ota.at, len), OTA_OK);
        assert_int_equal(ota_finish(&ota), OTA_OK);
        while (ota.phase == OTA_FLUSHING)
            assert_int_equal(ota_step(&ota), OTA_OK);
        assert_int_equal(ota.phase, OTA_READBACK);
        if (at < len) bench_slot(&bench, 1)[at] ^= 4;
        looks = 0;
        while (ota_busy(&ota))
            (void)ota_step(&ota);
        assert_int_equal(ota.err, at < len ? OTA_ERR_IMAGE : OTA_OK);
        assert_int_equal(bench_boot(&bench), 0);
    }
}

// Nothing of ours writes there any more; whoever does, the bootloader looks again.
static void what_changes_behind_our_back_is_found_when_it_should_start(void **state)
{
    (void)state;
    for (size_t at = 0; at < len; at += 97) {
        assert_int_equal(update(len), OTA_OK);
        bench_slot(&bench, 1)[at] ^= 4;
        assert_int_equal(ota_activate(&ota), OTA_OK);
        assert_int_equal(bench_boot(&bench), 0);
        assert_int_equal(bench.boot.damaged, 1);
        bench.cfg.running = 0;
        bench_record(&bench, 0, 1, OTA_STATE_VALID);
        bench_record(&bench, 1, 0xFFFFFFFF, OTA_STATE_UNDEFINED);
    }
}

// --- Hash and flash that fail ---

static void says_that_the_hash_library_failed_and_activates_nothing(void **state)
{
    (void)state;
    ota_err_t err = OTA_ERR_IMAGE;
    unsigned calls = 0;
    while (err) {
        assert_true(calls < 1000);
        bench.cfg.crypto = vector_failing_crypto(calls++);
        err = update(len);
        bench.cfg.crypto = vector_crypto();
        if (err) assert_int_equal(err, OTA_ERR_IMAGE);
        if (err) assert_int_equal(ota.image.err, ESP_IMAGE_ERR_CRYPTO);
        assert_int_equal(bench_boot(&bench), 0);
    }
    assert_true(calls > len / OTA_BUF);
}

int main(void)
{
#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, open_two_slots, close_bench)
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(an_image_of_any_length_is_verified_when_its_last_page_is_written),
        ON_A_BENCH(each_page_is_read_back_blank_ones_too),
        ON_A_BENCH(a_bit_that_is_wrong_when_it_was_written_is_found),
        ON_A_BENCH(a_bit_that_was_not_erased_in_a_page_that_stays_blank_is_found),
        ON_A_BENCH(a_sector_that_sticks_is_found),
        ON_A_BENCH(a_length_that_is_wrong_on_flash_is_found),
        ON_A_BENCH(a_wrong_digest_is_refused_when_it_comes),
        ON_A_BENCH(a_read_that_was_wrong_once_costs_a_second_look),
        ON_A_BENCH(bits_that_are_wrong_behind_the_image_do_not_matter),
        ON_A_BENCH(a_resumed_update_is_read_back_as_a_whole),
        ON_A_BENCH(what_changes_behind_our_back_is_found_when_it_should_start),
        ON_A_BENCH(says_that_the_hash_library_failed_and_activates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
