// test_esp_boot.c - ESP-IDF's choice where the tables of test_boot_decisions.c do not reach.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "esp_boot.h"
#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

static bench_t bench;
static esp_boot_t boot;
static esp_boot_cfg_t cfg;
static uint8_t *image;
static size_t image_len;

/// A device whose slots all hold the same image; no rollback.
static void device(unsigned slots, bool factory)
{
    bench_close(&bench);
    bench_open(&bench, slots, factory);
    for (int i = factory ? OTA_FACTORY : 0; i < (int)slots; i++)
        bench_put(&bench, i, image, image_len);
    cfg = (esp_boot_cfg_t){ .flash = &bench.nor.flash,
                            .crypto = vector_crypto(),
                            .layout = &bench.layout,
                            .chip_id = bench.cfg.chip_id,
                            .chip_rev = bench.cfg.chip_rev,
                            .efuse_rev = bench.cfg.efuse_rev };
}

static int start(void)
{
    sim_flash_power_on(&bench.nor);
    esp_boot_choose(&boot, &cfg);
    return boot.booted;
}

static void damage(int slot) { bench_slot(&bench, slot)[image_len - 1] ^= 1; }

/// Damages whatever starts until nothing does.
static void expect_order(const char *order)
{
    char found[40] = "";
    size_t len = 0;
    while (start() != OTA_NOTHING) {
        found[len++] = (char)((boot.booted == OTA_FACTORY) ? 'f' : '0' + boot.booted);
        damage(boot.booted);
        assert_in_range(len, 1, sizeof found - 2);
    }
    assert_string_equal(found, order);
}

// --- Order ---

static void goes_down_to_the_factory_image_and_then_up(void **state)
{
    (void)state;
    device(5, true);
    bench_esp_record(&bench, 0, 3, OTA_STATE_VALID);
    expect_order("210f34");
    assert_int_equal(boot.selected, 2);
    assert_string_equal(bench_records(&bench), "3:VALID -"); // left as it was: the wrong one

    device(5, false);
    bench_esp_record(&bench, 1, 3, OTA_STATE_VALID);
    expect_order("21034");

    device(9, true);
    bench_esp_record(&bench, 1, 9 * 7 + 9, OTA_STATE_VALID);
    expect_order("876543210f");
}

static void starts_with_the_factory_image_if_there_is_no_record(void **state)
{
    (void)state;
    device(3, true);
    expect_order("f012");
    assert_int_equal(boot.selected, OTA_FACTORY);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_string_equal(bench_records(&bench), "- -");
}

static void writes_a_record_for_what_started_on_a_blank_flash(void **state)
{
    (void)state;
    device(3, false);
    damage(0);
    damage(1);
    assert_int_equal(start(), 2);
    assert_int_equal(boot.selected, 0);
    assert_string_equal(bench_records(&bench), "3:VALID -");
    assert_int_equal(bench.nor.erases, 1);
    assert_int_equal(bench.nor.progs, 1);

    bench_esp_record(&bench, 0, UINT32_MAX, OTA_STATE_VALID); // blank, whatever its CRC
    assert_int_equal(start(), 2);
    assert_string_equal(bench_records(&bench), "3:VALID -");

    memset(bench_otadata(&bench, 0), 0xFF, BENCH_SECTOR);
    damage(2);
    assert_int_equal(start(), OTA_NOTHING);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

// --- Records ---

static void records_wrap_around_the_slots_at_any_sequence_number(void **state)
{
    (void)state;
    for (unsigned slots = 2; slots <= ESP_PARTITION_SLOTS_MAX; slots++) {
        device(slots, false);
        for (int back = 1; back <= 40; back++) {
            const uint32_t seq = UINT32_MAX - (uint32_t)back;
            bench_esp_record(&bench, back % 2, seq, OTA_STATE_UNDEFINED);
            bench_esp_record(&bench, 1 - back % 2, 1, OTA_STATE_VALID);
            assert_int_equal(start(), (seq - 1) % slots);
        }
    }
}

static void the_higher_sequence_number_rules_without_a_sign(void **state)
{
    (void)state;
    device(2, false);
    bench_esp_record(&bench, 0, 0x80000000, OTA_STATE_VALID); // ota_1
    bench_esp_record(&bench, 1, 0x7FFFFFFF, OTA_STATE_VALID);
    assert_int_equal(start(), 1);
    bench_esp_record(&bench, 1, 0xFFFFFFFD, OTA_STATE_VALID);
    assert_int_equal(start(), 0);
    bench_esp_record(&bench, 0, 0xFFFFFFFE, OTA_STATE_VALID);
    assert_int_equal(start(), 1);
    bench_esp_record(&bench, 0, 0xFFFFFFFF, OTA_STATE_VALID); // blank, whatever its CRC
    assert_int_equal(start(), 0);
}

static void the_first_of_two_equal_records_rules(void **state)
{
    (void)state;
    device(2, false);
    cfg.rollback = true;
    bench_esp_record(&bench, 0, 2, OTA_STATE_VALID);
    bench_esp_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(start(), 1);
    assert_string_equal(bench_records(&bench), "2:VALID 2:NEW"); // a trial that never is one
    bench_esp_record(&bench, 0, 2, OTA_STATE_NEW);
    bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(start(), 1);
    assert_string_equal(bench_records(&bench), "2:PENDING 2:VALID");
}

static void four_zero_bytes_are_a_record(void **state)
{
    (void)state;
    device(2, true);
    memset(bench_otadata(&bench, 1), 0, 4);
    assert_int_equal(start(), 1);
    device(3, true);
    memset(bench_otadata(&bench, 1), 0, 4);
    assert_int_equal(start(), 0); // 0xFFFFFFFF modulo 3
}

static void a_state_that_does_not_exist_rules_like_valid(void **state)
{
    (void)state;
    static const uint32_t STATE[] = { 5, 6, 0x80000000, 0xFFFFFFFE };
    for (size_t i = 0; i < sizeof STATE / sizeof *STATE; i++) {
        device(2, false);
        cfg.rollback = true;
        bench_esp_record(&bench, 0, 1, OTA_STATE_VALID);
        bench_esp_record(&bench, 1, 2, STATE[i]);
        assert_int_equal(start(), 1);
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
    }
}

static void a_pending_record_is_aborted_whatever_its_crc(void **state)
{
    (void)state;
    device(2, false);
    cfg.rollback = true;
    bench_esp_record(&bench, 0, 1, OTA_STATE_PENDING);
    bench_otadata(&bench, 0)[28] ^= 1;
    uint8_t expected[OTA_RECORD_LEN];
    memcpy(expected, bench_otadata(&bench, 0), sizeof expected);
    expected[24] = OTA_STATE_ABORTED;
    bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(start(), 1);
    assert_memory_equal(bench_otadata(&bench, 0), expected, sizeof expected);
}

static void a_record_is_rewritten_with_its_label_and_nothing_behind_it(void **state)
{
    (void)state;
    device(2, false);
    cfg.rollback = true;
    bench_esp_record(&bench, 0, 2, OTA_STATE_NEW);
    for (uint8_t i = 0; i < 20; i++)
        bench_otadata(&bench, 0)[4 + i] = i;
    memset(bench_otadata(&bench, 0) + OTA_RECORD_LEN, 0, BENCH_SECTOR - OTA_RECORD_LEN);
    uint8_t expected[BENCH_SECTOR];
    memset(expected, 0xFF, sizeof expected);
    memcpy(expected, bench_otadata(&bench, 0), OTA_RECORD_LEN);
    expected[24] = OTA_STATE_PENDING;
    assert_int_equal(start(), 1);
    assert_memory_equal(bench_otadata(&bench, 0), expected, sizeof expected);
}

// --- What one bootloader leaves, as ESP-IDF's own left it ---

static void expect_otadata(const char *path)
{
    size_t len = 0;
    uint8_t *expected = vector_load(path, &len);
    assert_int_equal(len, 2 * BENCH_SECTOR);
    assert_memory_equal(bench_otadata(&bench, 0), expected, len);
    free(expected);
}

static void leaves_the_bytes_that_esp_idf_leaves(void **state)
{
    (void)state;
    device(2, false);
    memset(bench_otadata(&bench, 0), 0xFF, 2 * BENCH_SECTOR); // without our marks
    cfg.rollback = true;
    assert_int_equal(start(), 0);
    expect_otadata(VECTORS "/otadata/01_first_boot.bin");
    bench_esp_record(&bench, 1, 2, OTA_STATE_NEW);
    expect_otadata(VECTORS "/otadata/02_set_boot_ota1_rollback_on.bin");
    assert_int_equal(start(), 1);
    expect_otadata(VECTORS "/otadata/03_boot_pending.bin");
    assert_int_equal(start(), 0);
    expect_otadata(VECTORS "/otadata/08_unconfirmed_aborted.bin");
    assert_int_equal(start(), 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

// --- Images ---

static void takes_images_that_only_esp_idf_takes(void **state)
{
    (void)state;
    device(2, false);
    image_spec_t spec = image_spec();
    spec.segments = 0;
    spec.hash_appended = 0;
    uint8_t *other = malloc(IMAGE_BUILD_CAP);
    assert_non_null(other);
    bench_put(&bench, 0, other, image_build(&spec, other));
    assert_int_equal(start(), 0);
    spec = image_spec();
    spec.chip_id = 9;
    bench_put(&bench, 0, other, image_build(&spec, other));
    assert_int_equal(start(), 1);
    free(other);
}

static void loads_into_memory_of_one_kind_only(void **state)
{
    (void)state;
    static const struct {
        esp_image_segment_t last;
        uint16_t chip;
        bool right;
    } CASES[] = {
        { { 0x40380000, 64 }, 5, true },      { { 0x3FC80000, 64 }, 5, true },
        { { 0x50000000, 64 }, 5, true },      { { 0, 64 }, 5, true }, // padding
        { { 0x0FFFFFFC, 64 }, 5, true }, // below the first address that is loaded to
        { { 0x10000000, 64 }, 5, false },     { { 0x10000000, 0 }, 5, true },
        { { 0x60000000, 64 }, 5, false }, // registers
        { { 0x3FCDFFE0, 64 }, 5, false }, // reaches past the end
        { { 0x3FCDFFC0, 64 }, 5, true },      { { 0xFFFFFFE0, 64 }, 5, false },
        { { 0x427F0128, 0x10000 }, 5, true }, // mapped, not loaded
        { { 0x10000000, 64 }, 0x77, true },   // a chip that nobody knows
    };
    uint8_t *other = malloc(IMAGE_BUILD_CAP);
    assert_non_null(other);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        device(2, false);
        image_spec_t spec = image_spec();
        spec.segment[1] = CASES[i].last;
        spec.chip_id = CASES[i].chip;
        cfg.chip_id = ESP_IMAGE_ANY_CHIP;
        bench_put(&bench, 0, other, image_build(&spec, other));
        if (start() != !CASES[i].right) fail_msg("case %zu: %d", i, boot.booted);
    }
    free(other);
}

static void an_image_without_an_end_is_none(void **state)
{
    (void)state;
    device(2, false);
    bench_esp_record(&bench, 0, 1, OTA_STATE_VALID);
    for (uint32_t size = 0; size < 0x100; size += 16) { // none is enough for the image
        bench.layout.slot[0].size = size;
        assert_int_equal(start(), 1);
    }
}

// --- Hardware that fails ---

static void nothing_starts_if_the_records_cannot_be_read(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        device(2, true);
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
        esp_boot_choose(&boot, &cfg);
        assert_true(bench.nor.fired);
        assert_int_equal(boot.selected, OTA_NOTHING);
        assert_int_equal(boot.booted, OTA_NOTHING);
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
    }
}

static void an_image_that_cannot_be_read_is_passed_over(void **state)
{
    (void)state;
    device(2, false);
    bench_esp_record(&bench, 0, 2, OTA_STATE_VALID);
    sim_flash_power_on(&bench.nor);
    sim_flash_fail(&bench.nor, 3, SIM_FLASH_NOTHING, 0);
    esp_boot_choose(&boot, &cfg);
    assert_true(bench.nor.fired);
    assert_int_equal(boot.selected, 1);
    assert_int_equal(boot.booted, 0);
}

static void a_record_that_cannot_be_written_changes_nothing(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 4; n++) {
        device(2, false);
        cfg.rollback = true;
        bench_esp_record(&bench, 0, 1, OTA_STATE_PENDING);
        bench_esp_record(&bench, 1, 2, OTA_STATE_NEW);
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, 2 + n, SIM_FLASH_NOTHING, 0); // after the reads of two records
        esp_boot_choose(&boot, &cfg);
        assert_true(bench.nor.fired);
        assert_int_equal(boot.booted, 1);
        // After an erase that failed, no program.
        assert_int_equal(sim_flash_changes(&bench.nor), n % 2 ? 3 : 4);
    }
}

static unsigned hashes_left; // calls of the hash library that work
static bool hash_works(void)
{
    if (hashes_left == 0) return false;
    hashes_left--;
    return true;
}
static bool hash_start(void *ctx, crypto_hash_t alg)
{
    const crypto_t *real = ctx;
    return hash_works() && real->start(real->ctx, alg);
}
static bool hash_update(void *ctx, const void *p, size_t len)
{
    const crypto_t *real = ctx;
    return hash_works() && real->update(real->ctx, p, len);
}
static bool hash_finish(void *ctx, uint8_t *digest)
{
    const crypto_t *real = ctx;
    return hash_works() && real->finish(real->ctx, digest);
}

static void nothing_starts_without_its_digest(void **state)
{
    (void)state;
    crypto_t real = *vector_crypto();
    const crypto_t weak = { &real, hash_start, hash_update, hash_finish };
    device(2, true);
    cfg.crypto = &weak;
    hashes_left = 1000;
    assert_int_equal(start(), OTA_FACTORY);
    const unsigned needed = 1000 - hashes_left;
    for (unsigned n = 0; n < needed; n++) {
        hashes_left = n;
        assert_int_equal(start(), OTA_NOTHING);
    }
    hashes_left = needed;
    assert_int_equal(start(), OTA_FACTORY);
}

// --- Anti-rollback ---

typedef struct {
    uint32_t value;
    unsigned raises;
    bool dead, full;
} efuse_t;

static int efuse_read(void *ctx, uint32_t *value)
{
    const efuse_t *e = ctx;
    *value = e->value;
    return e->dead;
}

static int efuse_raise(void *ctx, uint32_t value)
{
    efuse_t *e = ctx;
    e->raises++;
    if (!e->full) e->value = value;
    return e->full;
}

/// Two slots, ota_0 with version 1, ota_1 with version 3.
static void device_with(efuse_t *e, counter_t *counter)
{
    *counter = (counter_t){ .ctx = e, .read = efuse_read, .raise = efuse_raise };
    device(2, false);
    cfg.rollback = true;
    cfg.counter = counter;
    image_spec_t spec = image_spec();
    uint8_t *other = malloc(IMAGE_BUILD_CAP);
    assert_non_null(other);
    for (int slot = 0; slot < 2; slot++) {
        spec.secure_version = slot ? 3 : 1;
        bench_put(&bench, slot, other, image_build(&spec, other));
    }
    free(other);
}

static void the_counter_rises_before_the_image_is_verified(void **state)
{
    (void)state;
    efuse_t e = { .value = 1 };
    counter_t counter;
    device_with(&e, &counter);
    bench_esp_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_esp_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(start(), 1);
    assert_int_equal(e.value, 1); // not before it is confirmed
    assert_int_equal(e.raises, 0);
    bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
    damage(1);
    assert_int_equal(start(), OTA_NOTHING); // ota_0 is intact, but too old by now
    assert_int_equal(e.value, 3);
    assert_int_equal(boot.selected, 1);
}

static void a_counter_that_is_used_up_stops_nothing(void **state)
{
    (void)state;
    efuse_t e = { .value = 1, .full = true };
    counter_t counter;
    device_with(&e, &counter);
    bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(start(), 1);
    assert_int_equal(e.raises, 1);
}

static void nothing_starts_if_the_counter_cannot_be_read(void **state)
{
    (void)state;
    efuse_t e = { .dead = true };
    counter_t counter;
    device_with(&e, &counter);
    bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(start(), OTA_NOTHING);
    assert_int_equal(e.raises, 0);
}

static void damaged_records_are_healed_only_with_anti_rollback(void **state)
{
    (void)state;
    efuse_t e = { .value = 2 };
    counter_t counter;
    device_with(&e, &counter);
    bench_esp_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_otadata(&bench, 0)[0] = 0;
    assert_int_equal(start(), 1); // the only one that is new enough
    assert_string_equal(bench_records(&bench), "2:VALID -");
    assert_int_equal(e.value, 3);

    cfg.counter = NULL;
    bench_otadata(&bench, 0)[0] = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(start(), 0);
        assert_string_equal(bench_records(&bench), "- -");
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
    }
}

static void a_slot_without_descriptor_has_no_version(void **state)
{
    (void)state;
    efuse_t e = { .value = 0 };
    counter_t counter;
    device_with(&e, &counter);
    bench_esp_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
    bench_slot(&bench, 1)[ESP_IMAGE_DESC_AT] ^= 1;
    assert_int_equal(start(), 0);
    assert_int_equal(boot.selected, 0);
    assert_int_equal(e.value, 1);
}

static void the_counter_is_not_past_what_starts_whichever_read_fails(void **state)
{
    (void)state;
    for (unsigned n = 1;; n++) {
        efuse_t e = { .value = 1 };
        counter_t counter;
        device_with(&e, &counter);
        bench_esp_record(&bench, 1, 2, OTA_STATE_VALID);
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
        esp_boot_choose(&boot, &cfg);
        if (!bench.nor.fired) break;
        if (boot.booted != OTA_NOTHING) assert_true(e.value <= (boot.booted ? 3 : 1));
    }
}

static int open_bench(void **state)
{
    (void)state;
    image = bench_image("1.0", true, &image_len);
    bench_open(&bench, 2, false);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    free(image);
    bench_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_down_to_the_factory_image_and_then_up),
        cmocka_unit_test(starts_with_the_factory_image_if_there_is_no_record),
        cmocka_unit_test(writes_a_record_for_what_started_on_a_blank_flash),
        cmocka_unit_test(records_wrap_around_the_slots_at_any_sequence_number),
        cmocka_unit_test(the_higher_sequence_number_rules_without_a_sign),
        cmocka_unit_test(the_first_of_two_equal_records_rules),
        cmocka_unit_test(four_zero_bytes_are_a_record),
        cmocka_unit_test(a_state_that_does_not_exist_rules_like_valid),
        cmocka_unit_test(a_pending_record_is_aborted_whatever_its_crc),
        cmocka_unit_test(a_record_is_rewritten_with_its_label_and_nothing_behind_it),
        cmocka_unit_test(leaves_the_bytes_that_esp_idf_leaves),
        cmocka_unit_test(takes_images_that_only_esp_idf_takes),
        cmocka_unit_test(loads_into_memory_of_one_kind_only),
        cmocka_unit_test(an_image_without_an_end_is_none),
        cmocka_unit_test(nothing_starts_if_the_records_cannot_be_read),
        cmocka_unit_test(an_image_that_cannot_be_read_is_passed_over),
        cmocka_unit_test(a_record_that_cannot_be_written_changes_nothing),
        cmocka_unit_test(nothing_starts_without_its_digest),
        cmocka_unit_test(the_counter_rises_before_the_image_is_verified),
        cmocka_unit_test(a_counter_that_is_used_up_stops_nothing),
        cmocka_unit_test(nothing_starts_if_the_counter_cannot_be_read),
        cmocka_unit_test(damaged_records_are_healed_only_with_anti_rollback),
        cmocka_unit_test(a_slot_without_descriptor_has_no_version),
        cmocka_unit_test(the_counter_is_not_past_what_starts_whichever_read_fails),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
