// test_ota_boot.c - what starts at power-on, and what the bootloader mends.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

static bench_t bench;
static uint8_t *image; // a right one
static size_t image_len;

static int open_bench(bool factory)
{
    bench_open(&bench, 2, factory);
    image = bench_image("1.0", false, &image_len);
    for (int slot = factory ? OTA_FACTORY : 0; slot < 2; slot++)
        bench_put(&bench, slot, image, image_len);
    return 0;
}

static int open_two_slots(void **state)
{
    (void)state;
    return open_bench(false);
}

static int open_with_factory(void **state)
{
    (void)state;
    return open_bench(true);
}

static int close_bench(void **state)
{
    (void)state;
    free(image);
    bench_close(&bench);
    return 0;
}

static void damage(int slot) { bench_slot(&bench, slot)[image_len - 100] ^= 0x10; }

static void assert_otadata_is_file(const char *name)
{
    char path[256];
    size_t len;
    snprintf(path, sizeof path, "%s/otadata/%s.bin", VECTORS, name);
    uint8_t *golden = vector_load(path, &len);
    assert_int_equal(len, 2 * BENCH_SECTOR);
    for (int i = 0; i < 2; i++) // ESP-IDF reads no more of a sector
        assert_memory_equal(bench_otadata(&bench, i), golden + i * BENCH_SECTOR, OTA_RECORD_LEN);
    free(golden);
}

/// The next start is the same and finds nothing to write.
static void assert_settled(int slot)
{
    assert_int_equal(bench_boot(&bench), slot);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_false(bench.boot.on_trial);
    assert_int_equal(bench.boot.gave_up, OTA_NOTHING);
    assert_int_equal(bench.boot.damaged, OTA_NOTHING);
}

// --- First start ---

static void the_first_start_writes_what_esp_idf_s_bootloader_writes(void **state)
{
    (void)state;
    assert_int_equal(bench_boot(&bench), 0);
    assert_false(bench.boot.on_trial);
    assert_otadata_is_file("01_first_boot");
    assert_settled(0);
}

static void the_first_start_takes_the_first_right_image(void **state)
{
    (void)state;
    damage(0);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(bench.boot.damaged, 0);
    assert_string_equal(bench_records(&bench), "2:VALID -");
    assert_settled(1);
}

static void starts_nothing_when_no_image_is_right(void **state)
{
    (void)state;
    damage(0);
    damage(1);
    assert_int_equal(bench_boot(&bench), OTA_NOTHING);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_false(bench.boot.on_trial);
    bench_record(&bench, 0, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), OTA_NOTHING);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_false(bench.boot.on_trial);
}

static void reports_what_it_starts(void **state)
{
    (void)state;
    size_t len;
    uint8_t *newer = bench_image("2.0-rc1", false, &len);
    bench_put(&bench, 1, newer, len);
    bench_record(&bench, 0, 2, OTA_STATE_VALID);
    assert_int_equal(bench_boot(&bench), 1);
    assert_string_equal(bench.boot.image.version, "2.0-rc1");
    damage(1);
    assert_int_equal(bench_boot(&bench), 0);
    assert_string_equal(bench.boot.image.version, "1.0");
    free(newer);
}

// --- Trial ---

static void a_new_image_that_is_confirmed_stays(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    assert_true(bench.boot.on_trial);
    assert_int_equal(sim_flash_changes(&bench.nor), 1); // the mark; nothing is erased
    assert_int_equal(bench.nor.erases, 0);
    assert_string_equal(bench_records(&bench), "1:VALID 2:NEW+1");
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_string_equal(bench_records(&bench), "4:VALID -");
    assert_settled(1);
    assert_int_equal(ota_confirm(&bench.cfg), 0); // once is enough
    assert_int_equal(ota_reject(&bench.cfg), 0);  // too late
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_settled(1);
}

static void a_new_image_that_is_not_confirmed_makes_room_for_the_old_one(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(bench.boot.gave_up, 1);
    assert_int_equal(bench.boot.damaged, OTA_NOTHING);
    assert_false(bench.boot.on_trial);
    assert_otadata_is_file("08_unconfirmed_aborted");
    assert_settled(0);
}

static void a_new_image_that_rejects_itself_makes_room_for_the_old_one(void **state)
{
    (void)state;
    bench_record(&bench, 0, 3, OTA_STATE_NEW);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(ota_reject(&bench.cfg), 0);
    assert_string_equal(bench_records(&bench), "3:INVALID 2:VALID");
    assert_settled(1);
}

static void a_slot_that_does_not_run_can_neither_be_confirmed_nor_rejected(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW); // activated, but slot 0 still runs
    bench.cfg.running = 0;
    sim_flash_power_on(&bench.nor);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(ota_reject(&bench.cfg), 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

static void without_a_mark_there_is_no_trial_yet(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    sim_flash_power_on(&bench.nor);
    sim_flash_cut(&bench.nor, 1, SIM_FLASH_NOTHING, 0);
    ota_boot_choose(&bench.boot, &bench.cfg);
    assert_true(bench.nor.fired);
    assert_int_equal(bench.boot.slot, 1);
    assert_false(bench.boot.on_trial); // the next start takes it again
    assert_int_equal(bench_boot(&bench), 1);
    assert_true(bench.boot.on_trial);
}

static void gives_up_what_esp_idf_s_bootloader_left_pending(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_PENDING);
    assert_otadata_is_file("03_boot_pending");
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(bench.boot.gave_up, 1);
    assert_otadata_is_file("08_unconfirmed_aborted");
    assert_settled(0);
}

// Older releases of ESP-IDF write equal numbers.
static void confirms_the_one_that_rules_of_two_with_equal_numbers(void **state)
{
    (void)state;
    memset(bench_slot(&bench, 0), 0, 64); // a rejected slot is tried last
    bench_esp_record(&bench, 0, 2, OTA_STATE_ABORTED);
    bench_esp_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    assert_true(bench.boot.on_trial);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_string_equal(bench_records(&bench), "4:VALID -");
    assert_settled(1);
}

static void confirms_what_esp_idf_s_bootloader_left_pending(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_PENDING);
    bench.cfg.running = 1; // it started us
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_string_equal(bench_records(&bench), "4:VALID -");
    assert_settled(1);
}

static void gives_up_two_unconfirmed_images_at_once(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_PENDING);
    bench_record(&bench, 1, 2, OTA_STATE_PENDING);
    assert_int_equal(bench_boot(&bench), 0); // both rejected: the first one that is right
    assert_int_equal(bench.boot.gave_up, 1);
    assert_settled(0);
}

// --- Damage ---

static void a_damaged_image_makes_room_for_the_other_and_the_record_says_so(void **state)
{
    (void)state;
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    damage(0);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(bench.boot.damaged, 0);
    assert_int_equal(bench.boot.gave_up, OTA_NOTHING);
    assert_string_equal(bench_records(&bench), "3:ABORTED 2:VALID");
    assert_settled(1);
}

static void a_damaged_new_image_is_not_tried(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    damage(1);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(bench.boot.damaged, 1);
    assert_false(bench.boot.on_trial);
    assert_string_equal(bench_records(&bench), "1:VALID 2:ABORTED");
    assert_settled(0);
}

static void a_rejected_image_is_better_than_none(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_ABORTED);
    damage(0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bench_boot(&bench), 1);
        assert_int_equal(bench.boot.damaged, 0);
        assert_int_equal(sim_flash_changes(&bench.nor), 0); // it stays rejected
    }
}

static void a_read_error_changes_what_starts_for_once_only(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    sim_flash_power_on(&bench.nor);
    sim_flash_fail(&bench.nor, 3, SIM_FLASH_NOTHING, 0); // two records, then the image
    ota_boot_choose(&bench.boot, &bench.cfg);
    assert_true(bench.nor.fired);
    assert_int_equal(bench.boot.slot, 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    assert_int_equal(bench_boot(&bench), 1);
}

static void every_single_damaged_byte_of_an_image_is_found(void **state)
{
    (void)state;
    size_t len;
    uint8_t *tiny = bench_image("1.0", true, &len);
    for (size_t i = 0; i < len; i++) {
        bench_put(&bench, 1, tiny, len);
        bench_slot(&bench, 1)[i] ^= (uint8_t)(1 << i % 8);
        bench_record(&bench, 0, 2, OTA_STATE_VALID);
        memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
        assert_int_equal(bench_boot(&bench), 0);
        assert_int_equal(bench.boot.damaged, 1);
    }
    free(tiny);
}

static void starts_only_what_was_made_for_the_chip(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool right;
    } IMAGES[] = {
        { "app_c3_v123", true },
        { "app_c6", false },
        { "app_c3_minrev400", false },
        { "app_c3_nohash", false },
    };
    for (size_t i = 0; i < sizeof IMAGES / sizeof *IMAGES; i++) {
        char path[256];
        size_t len;
        snprintf(path, sizeof path, "%s/image/%s.bin", VECTORS, IMAGES[i].name);
        uint8_t *golden = vector_load(path, &len);
        bench_put(&bench, 1, golden, len);
        bench_record(&bench, 0, 2, OTA_STATE_VALID);
        memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
        assert_int_equal(bench_boot(&bench), IMAGES[i].right ? 1 : 0);
        free(golden);
    }
}

static void starts_only_what_was_made_for_the_revision_of_the_efuse_block(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    uint8_t *built = malloc(IMAGE_BUILD_CAP);
    assert_non_null(built);
    for (uint16_t more = 0; more < 2; more++) {
        spec.min_efuse_rev = (uint16_t)(bench.cfg.efuse_rev + more);
        bench_put(&bench, 1, built, image_build(&spec, built));
        bench_record(&bench, 0, 2, OTA_STATE_VALID);
        memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
        assert_int_equal(bench_boot(&bench), more ? 0 : 1);
    }
    free(built);
}

static void starts_an_image_that_fills_its_slot_to_the_last_byte(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    spec.fill = 1;
    uint8_t *full = malloc(IMAGE_BUILD_CAP);
    assert_non_null(full);
    for (unsigned more = 0; more < 2; more++) {
        spec.segment[1].len = BENCH_SLOT - 24 - 8 - 256 - 8 - 16 - 32 + 16 * more;
        const size_t len = image_build(&spec, full);
        assert_int_equal(len, BENCH_SLOT + 16 * more);
        bench_put(&bench, 1, full, BENCH_SLOT);
        bench_record(&bench, 0, 2, OTA_STATE_VALID);
        memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
        assert_int_equal(bench_boot(&bench), more ? 0 : 1);
    }
    free(full);
}

// --- With a factory application ---

static void the_factory_application_starts_first_and_leaves_no_record(void **state)
{
    (void)state;
    assert_int_equal(bench_boot(&bench), OTA_FACTORY);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    damage(OTA_FACTORY);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(bench.boot.damaged, OTA_FACTORY);
    assert_otadata_is_file("01_first_boot");
}

static void the_factory_application_returns_after_a_failed_trial(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 0);
    assert_true(bench.boot.on_trial);
    assert_int_equal(bench_boot(&bench), OTA_FACTORY);
    assert_int_equal(bench.boot.gave_up, 0);
    assert_string_equal(bench_records(&bench), "1:ABORTED -");
    assert_settled(OTA_FACTORY);
}

static void the_factory_application_steps_in_for_a_damaged_slot(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    damage(0);
    assert_int_equal(bench_boot(&bench), OTA_FACTORY);
    assert_int_equal(bench.boot.damaged, 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    damage(OTA_FACTORY);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(bench.boot.damaged, 0); // the one that should have started
    assert_settled(1);
}

// --- What a cut left is mended ---

static void a_record_that_may_be_cut_off_behind_its_last_bit_is_marked_as_complete(void **state)
{
    (void)state;
    for (uint32_t kind = 0; kind < 3; kind++) {
        bench_record(&bench, 0, 1, OTA_STATE_VALID);
        bench_esp_record(&bench, 1, 2,
                         kind == 0   ? OTA_STATE_NEW
                         : kind == 1 ? OTA_STATE_VALID
                                     : OTA_STATE_UNDEFINED);
        assert_int_equal(bench_boot(&bench), 1);
        assert_int_equal(sim_flash_changes(&bench.nor), (kind == 0) ? 2 : 1);
        store_le32(bench_otadata(&bench, 1), 0xFFFFFF02); // it changes its mind
        bench.cfg.attempts = 2;
        assert_int_equal(bench_boot(&bench), 1);
    }
}

static void a_record_with_a_torn_mark_of_completion_is_written_anew(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    bench_otadata(&bench, 1)[BENCH_COMPLETE + 7] ^= 1;
    assert_int_equal(bench_boot(&bench), 1);
    assert_string_equal(bench_records(&bench), "4:VALID 2:VALID");
    assert_settled(1);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW); // which its confirmation replaces anyway
    bench_otadata(&bench, 1)[BENCH_COMPLETE + 7] ^= 1;
    assert_int_equal(bench_boot(&bench), 1);
    assert_string_equal(bench_records(&bench), "1:VALID 2:NEW+1");
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_settled(1);
}

static void torn_records_are_erased_before_they_change_their_mind(void **state)
{
    (void)state;
    for (int at = 0; at < BENCH_WIPED; at += 7) {
        bench_record(&bench, 0, 1, OTA_STATE_VALID);
        memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
        bench_otadata(&bench, 1)[at] = 0xEF;
        assert_int_equal(bench_boot(&bench), 0);
        assert_int_equal(sim_flash_changes(&bench.nor),
                         2); // the erase, and a mark that it was completed
        assert_true(flash_is_blank(bench_otadata(&bench, 1), BENCH_WIPED));
        assert_settled(0);
    }
    memset(bench_otadata(&bench, 0), 0, 2 * BENCH_SECTOR);
    assert_int_equal(bench_boot(&bench), 0);
    assert_string_equal(bench_records(&bench), "1:VALID -");
    assert_settled(0);
}

// Unless the other record was written for it, to its end.
static void a_confirmation_is_completed_at_the_next_start(void **state)
{
    (void)state;
    static const struct {
        uint32_t seq, state; // of the other record; 0: blank
        const char *records;
    } OTHERS[] = {
        { 0, 0, "6:VALID -" },
        { 1, OTA_STATE_VALID, "6:VALID -" },
        { 1, OTA_STATE_ABORTED, "6:VALID -" },
        { 4, OTA_STATE_INVALID, "6:VALID -" },
        { 4, OTA_STATE_VALID, "4:VALID -" },
        { 6, OTA_STATE_VALID, "6:VALID -" },
    };
    for (size_t i = 0; i < sizeof OTHERS / sizeof *OTHERS; i++)
        for (uint32_t trial = OTA_STATE_NEW; trial <= OTA_STATE_PENDING; trial++) {
            bench_wipe(&bench);
            if (OTHERS[i].seq) bench_record(&bench, 0, OTHERS[i].seq, OTHERS[i].state);
            bench_record(&bench, 1, 2, trial);
            bench_confirm(&bench, 1, 2);
            assert_int_equal(bench_boot(&bench), 1);
            assert_false(bench.boot.on_trial);
            assert_string_equal(bench_records(&bench), OTHERS[i].records);
            assert_settled(1);
        }
}

static void a_valid_record_is_not_trusted_while_the_confirmed_one_is_there(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        bench_record(&bench, 0, 4, OTA_STATE_VALID);
        bench_record(&bench, 1, 2, OTA_STATE_NEW);
        bench_confirm(&bench, 1, 2);
        if (kind == 0) { // it may end with its seq
            bench_esp_record(&bench, 0, 4, OTA_STATE_VALID);
        } else { // it belongs to the first mark, and there is a second one
            memcpy(bench_otadata(&bench, 1) + BENCH_CONFIRMED + FLASH_UNIT,
                   bench_otadata(&bench, 1) + BENCH_CONFIRMED, FLASH_UNIT);
        }
        assert_int_equal(bench_boot(&bench), 1);
        assert_string_equal(bench_records(&bench), kind ? "8:VALID -" : "6:VALID -");
        assert_settled(1);
    }
}

// Bits that programming the marks leaves alone.
static void a_record_with_strange_marks_was_being_erased(void **state)
{
    (void)state;
    for (int place = 0; place < 4; place++) {
        bench_record(&bench, 0, 1, OTA_STATE_VALID);
        bench_record(&bench, 1, 2, OTA_STATE_NEW);
        bench_otadata(&bench, 1)[BENCH_CONFIRMED + place * FLASH_UNIT + 9] = 0;
        assert_int_equal(bench_boot(&bench), 0);
        assert_string_equal(bench_records(&bench), "1:VALID -");
    }
}

// A torn erase makes INVALID of VALID; the mark of completion knows better.
static void a_rejection_that_nobody_wrote_does_not_count(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    bench_otadata(&bench, 0)[24] |= OTA_STATE_INVALID;
    assert_int_equal(bench_boot(&bench), 1);
    assert_string_equal(bench_records(&bench), "- 2:VALID");
    bench_record(&bench, 0, 4, OTA_STATE_INVALID); // complete, but the one about it is confirmed
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    bench_confirm(&bench, 1, 2);
    assert_int_equal(bench_boot(&bench), 1);
    assert_false(bench.boot.on_trial);
}

// The newer image was never confirmed; its failure must not undo the confirmation before it.
static void an_unfinished_confirmation_outlives_the_trial_after_it(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    bench_confirm(&bench, 0, 1);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    assert_true(bench.boot.on_trial);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(bench.boot.gave_up, 1);
    assert_false(bench.boot.on_trial);
    assert_settled(0);
}

// --- Faults ---

static bool fails(void *ctx, const void *p, size_t len)
{
    (void)ctx;
    (void)p;
    (void)len;
    return false;
}

static void a_hash_library_that_fails_makes_no_image_right(void **state)
{
    (void)state;
    crypto_t broken = *vector_crypto();
    ota_cfg_t cfg = bench.cfg;
    broken.update = fails;
    cfg.crypto = &broken;
    ota_boot_choose(&bench.boot, &cfg);
    assert_int_equal(bench.boot.slot, OTA_NOTHING);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

/// A start that writes something.
typedef struct {
    const char *name;
    uint32_t seq0, state0, seq1, state1; // seq 0: blank
    int damaged;                         // this slot is, OTA_NOTHING: none
    unsigned changes;
    int slot;       // starts
    int slot_again; // with the power cut during the start: this, or `slot`
} start_t;

static const start_t STARTS[] = {
    { "first start", 0, 0, 0, 0, OTA_NOTHING, 4, 0, 0 },
    { "trial", 1, OTA_STATE_VALID, 2, OTA_STATE_NEW, OTA_NOTHING, 1, 1, 0 },
    { "given up", 1, OTA_STATE_VALID, 2, OTA_STATE_PENDING, OTA_NOTHING, 4, 0, 0 },
    { "damaged", 1, OTA_STATE_VALID, 2, OTA_STATE_VALID, 1, 4, 0, 0 },
    { "damaged new", 3, OTA_STATE_NEW, 2, OTA_STATE_VALID, 0, 4, 1, 1 },
    { "two given up", 1, OTA_STATE_PENDING, 2, OTA_STATE_PENDING, OTA_NOTHING, 8, 0, 1 },
};

static void set_up(const start_t *s)
{
    sim_flash_power_on(&bench.nor);
    bench_wipe(&bench);
    if (s->seq0) bench_record(&bench, 0, s->seq0, s->state0);
    if (s->seq1) bench_record(&bench, 1, s->seq1, s->state1);
    bench_put(&bench, 0, image, image_len);
    bench_put(&bench, 1, image, image_len);
    if (s->damaged >= 0) damage(s->damaged);
}

static int choose(void)
{
    ota_boot_choose(&bench.boot, &bench.cfg);
    return bench.boot.slot;
}

static void cut(const start_t *s, unsigned n, sim_flash_effect_t effect, uint64_t seed)
{
    set_up(s);
    sim_flash_cut(&bench.nor, n, effect, seed);
    (void)choose();
    assert_true(bench.nor.fired);
    const int slot = bench_boot(&bench);
    if (slot != s->slot && slot != s->slot_again)
        fail_msg("%s: cut at change %u, effect %d, seed %u: starts %d: %s", s->name, n, (int)effect,
                 (unsigned)seed, slot, bench_records(&bench));
    if (bench.boot.on_trial) assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_settled(slot);
}

static void a_right_image_starts_after_every_cut_of_a_start(void **state)
{
    (void)state;
    unsigned cuts = 0;
    for (size_t i = 0; i < sizeof STARTS / sizeof *STARTS; i++) {
        const start_t *s = &STARTS[i];
        set_up(s);
        assert_int_equal(choose(), s->slot);
        if (sim_flash_changes(&bench.nor) != s->changes)
            fail_msg("%s: %u changes", s->name, sim_flash_changes(&bench.nor));
        for (unsigned n = 1; n <= s->changes; n++) {
            cut(s, n, SIM_FLASH_NOTHING, 0);
            cut(s, n, SIM_FLASH_DONE, 0);
            for (uint64_t seed = 0; seed < 16; seed++) // without weak cells: the campaign has them
                cut(s, n, SIM_FLASH_TORN, 3 * seed);
            cuts += 18;
        }
    }
    print_message("%u cuts\n", cuts);
}

// A flash that refuses one operation costs at most the better choice, never the start.
static void a_right_image_starts_with_every_single_error_of_the_flash(void **state)
{
    (void)state;
    unsigned faults = 0;
    for (size_t i = 0; i < sizeof STARTS / sizeof *STARTS; i++) {
        if (STARTS[i].damaged != OTA_NOTHING)
            continue; // only one image is right: it may be the one unread
        for (unsigned n = 1;; n++) {
            set_up(&STARTS[i]);
            sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
            const int slot = choose();
            assert_in_range(slot, 0, 1);
            if (!bench.nor.fired) break;
            faults++;
            assert_in_range(bench_boot(&bench), 0, 1);
        }
    }
    print_message("%u faults\n", faults);
    assert_true(faults > 4 * image_len / 256);
}

static void writes_nothing_when_the_record_cannot_be_read(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    for (unsigned n = 1; n <= 2; n++) {
        sim_flash_power_on(&bench.nor);
        sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
        assert_int_equal(choose(), 0);
        assert_true(bench.nor.fired);
        assert_false(bench.boot.on_trial);
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
    }
    assert_int_equal(bench_boot(&bench), 1);
}

int main(void)
{
#define TWO_SLOTS(test)    cmocka_unit_test_setup_teardown(test, open_two_slots, close_bench)
#define WITH_FACTORY(test) cmocka_unit_test_setup_teardown(test, open_with_factory, close_bench)
    const struct CMUnitTest tests[] = {
        TWO_SLOTS(the_first_start_writes_what_esp_idf_s_bootloader_writes),
        TWO_SLOTS(the_first_start_takes_the_first_right_image),
        TWO_SLOTS(starts_nothing_when_no_image_is_right),
        TWO_SLOTS(reports_what_it_starts),
        TWO_SLOTS(a_new_image_that_is_confirmed_stays),
        TWO_SLOTS(a_new_image_that_is_not_confirmed_makes_room_for_the_old_one),
        TWO_SLOTS(a_new_image_that_rejects_itself_makes_room_for_the_old_one),
        TWO_SLOTS(a_slot_that_does_not_run_can_neither_be_confirmed_nor_rejected),
        TWO_SLOTS(without_a_mark_there_is_no_trial_yet),
        TWO_SLOTS(gives_up_what_esp_idf_s_bootloader_left_pending),
        TWO_SLOTS(confirms_the_one_that_rules_of_two_with_equal_numbers),
        TWO_SLOTS(confirms_what_esp_idf_s_bootloader_left_pending),
        TWO_SLOTS(gives_up_two_unconfirmed_images_at_once),
        TWO_SLOTS(a_damaged_image_makes_room_for_the_other_and_the_record_says_so),
        TWO_SLOTS(a_damaged_new_image_is_not_tried),
        TWO_SLOTS(a_rejected_image_is_better_than_none),
        TWO_SLOTS(a_read_error_changes_what_starts_for_once_only),
        TWO_SLOTS(every_single_damaged_byte_of_an_image_is_found),
        TWO_SLOTS(starts_only_what_was_made_for_the_chip),
        TWO_SLOTS(starts_only_what_was_made_for_the_revision_of_the_efuse_block),
        TWO_SLOTS(starts_an_image_that_fills_its_slot_to_the_last_byte),
        WITH_FACTORY(the_factory_application_starts_first_and_leaves_no_record),
        WITH_FACTORY(the_factory_application_returns_after_a_failed_trial),
        WITH_FACTORY(the_factory_application_steps_in_for_a_damaged_slot),
        TWO_SLOTS(a_record_that_may_be_cut_off_behind_its_last_bit_is_marked_as_complete),
        TWO_SLOTS(a_record_with_a_torn_mark_of_completion_is_written_anew),
        TWO_SLOTS(torn_records_are_erased_before_they_change_their_mind),
        TWO_SLOTS(a_confirmation_is_completed_at_the_next_start),
        TWO_SLOTS(a_valid_record_is_not_trusted_while_the_confirmed_one_is_there),
        TWO_SLOTS(a_record_with_strange_marks_was_being_erased),
        TWO_SLOTS(a_rejection_that_nobody_wrote_does_not_count),
        TWO_SLOTS(an_unfinished_confirmation_outlives_the_trial_after_it),
        TWO_SLOTS(a_hash_library_that_fails_makes_no_image_right),
        TWO_SLOTS(a_right_image_starts_after_every_cut_of_a_start),
        TWO_SLOTS(a_right_image_starts_with_every_single_error_of_the_flash),
        TWO_SLOTS(writes_nothing_when_the_record_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
