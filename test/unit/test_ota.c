// test_ota.c - the life of an update: refused, written, verified; cut and failing everywhere.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "image_build.h"
#include "ota.h"
#include "ota_select.h"
#include "vectors.h"
#include <cmocka.h>

#define READ_TIME  (USEC_MS / 50)
#define PROG_TIME  (1 * USEC_MS)
#define ERASE_TIME (45 * USEC_MS)

static bench_t bench;
static ota_t ota;
static uint8_t *old_image, *new_image; // about 9 KB each
static size_t old_len, new_len;
static const char *old_version, *new_version;
static uint8_t *before; // the whole flash as it was

/// `old_image` runs from slot 0.
static int open_two_slots(void **state)
{
    (void)state;
    bench_open(&bench, 2, false);
    old_version = "1.0";
    new_version = "2.0";
    old_image = bench_image(old_version, false, &old_len);
    new_image = bench_image(new_version, false, &new_len);
    before = malloc(bench.nor.flash.size);
    assert_non_null(before);
    bench.nor.read_time = READ_TIME;
    bench.nor.prog_time = PROG_TIME;
    bench.nor.erase_time = ERASE_TIME;
    bench_put(&bench, 0, old_image, old_len);
    assert_int_equal(bench_boot(&bench), 0);
    ota_init(&ota, &bench.cfg);
    sim_flash_power_on(&bench.nor);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    free(before);
    free(old_image);
    free(new_image);
    bench_close(&bench);
    return 0;
}

static int running_before;

static void save(void)
{
    memcpy(before, bench.nor.mem, bench.nor.flash.size);
    running_before = bench.cfg.running;
}

static void restore(void)
{
    memcpy(bench.nor.mem, before, bench.nor.flash.size);
    bench.cfg.running = running_before;
    sim_flash_power_on(&bench.nor);
}

static uint8_t *load(const char *name, size_t *len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/image/%s.bin", VECTORS, name);
    return vector_load(path, len);
}

// --- An update ---

/// One step. Only retiring the old record may take more than one erase or program, with the reads
/// that come before it.
static ota_err_t step(void)
{
    const unsigned changes = sim_flash_changes(&bench.nor);
    const usec_t start = bench.nor.now;
    const bool retired = ota.retired;
    const ota_err_t err = ota_step(&ota);
    if (!retired) return err;
    assert_true(sim_flash_changes(&bench.nor) - changes <= 1);
    assert_true(bench.nor.now - start <= ERASE_TIME + 64 * READ_TIME);
    return err;
}

static ota_err_t feed(const uint8_t *p, size_t len, size_t piece)
{
    ota_err_t err = ota.err;
    size_t idle = 0;
    for (size_t at = 0; at < len && !err;) {
        const size_t n = ota_write(&ota, p + at, smaller(piece, len - at));
        idle = n ? 0 : idle + 1;
        assert_true(idle < 10); // it always gets on
        at += n;
        err = step();
    }
    return err;
}

static ota_err_t finish(void)
{
    ota_err_t err = ota_finish(&ota);
    while (!err && ota_busy(&ota))
        err = step();
    if (!err) assert_int_equal(ota.phase, OTA_VERIFIED);
    return err;
}

/// The whole image, up to but without ota_activate().
static ota_err_t write_image(const uint8_t *p, size_t len, size_t piece, uint32_t size)
{
    ota_err_t err = ota_begin(&ota, size);
    if (!err) err = feed(p, len, piece);
    return err ? err : finish();
}

static ota_err_t update(const uint8_t *p, size_t len, size_t piece)
{
    const ota_err_t err = write_image(p, len, piece, 0);
    return err ? err : ota_activate(&ota);
}

/// Nothing but otadata and the slot differs from what save() saw.
static void assert_rest_untouched(int slot)
{
    const uint8_t *mem = bench.nor.mem;
    const size_t slot_at = (size_t)(bench_slot(&bench, slot) - mem);
    const size_t otadata_end = BENCH_OTADATA + 2 * BENCH_SECTOR;
    const size_t slot_end = slot_at + BENCH_SLOT;
    assert_memory_equal(mem, before, BENCH_OTADATA);
    assert_memory_equal(mem + otadata_end, before + otadata_end, slot_at - otadata_end);
    assert_memory_equal(mem + slot_end, before + slot_end, bench.nor.flash.size - slot_end);
}

static void assert_slot_holds(int slot, const uint8_t *p, size_t len)
{
    const uint8_t *mem = bench_slot(&bench, slot);
    assert_memory_equal(mem, p, len);
    const size_t sector_end = (len + BENCH_SECTOR - 1) / BENCH_SECTOR * BENCH_SECTOR;
    for (size_t i = len; i < sector_end; i++)
        assert_int_equal(mem[i], 0xFF);
}

// --- The good case ---

static void a_golden_image_is_written_verified_tried_and_confirmed(void **state)
{
    (void)state;
    static const size_t PIECES[] = { 1, 7, 62, 255, 256, 257, 288, 511, 512, 513, 4095, 1000000 };
    size_t len_v123, len_v130;
    uint8_t *v123 = load("app_c3_v123", &len_v123);
    uint8_t *v130 = load("app_c3_v130", &len_v130);
    bench_put(&bench, 0, v123, len_v123);
    save();
    for (size_t i = 0; i < sizeof PIECES / sizeof *PIECES; i++) {
        restore();
        assert_int_equal(bench_boot(&bench), 0);
        assert_string_equal(bench.boot.image.version, "1.2.3-golden");
        assert_int_equal(update(v130, len_v130, PIECES[i]), OTA_OK);
        assert_int_equal(ota.phase, OTA_IDLE);
        assert_slot_holds(1, v130, len_v130);
        assert_rest_untouched(1);
        assert_string_equal(bench_records(&bench), "1:VALID 2:NEW");
        assert_int_equal(bench_boot(&bench), 1);
        assert_string_equal(bench.boot.image.version, "1.3.0-golden");
        assert_true(bench.boot.on_trial);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
        assert_int_equal(bench_boot(&bench), 1);
        assert_false(bench.boot.on_trial);
    }
    free(v123);
    free(v130);
}

static void pieces_of_every_size_make_the_same_slot(void **state)
{
    (void)state;
    save();
    for (size_t piece = 1; piece <= 600; piece++) {
        restore();
        assert_int_equal(update(new_image, new_len, piece), OTA_OK);
        assert_slot_holds(1, new_image, new_len);
    }
}

static void the_slots_take_turns(void **state)
{
    (void)state;
    for (int i = 1; i <= 10; i++) {
        char version[8];
        size_t len;
        snprintf(version, sizeof version, "3.%d", i);
        uint8_t *image = bench_image(version, false, &len);
        assert_int_equal(update(image, len, 100), OTA_OK);
        assert_int_equal(ota.slot, i % 2);
        assert_int_equal(bench_boot(&bench), i % 2);
        assert_string_equal(bench.boot.image.version, version);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
        free(image);
    }
}

static void three_slots_and_the_factory_application_take_turns(void **state)
{
    (void)state;
    bench_close(&bench);
    bench_open(&bench, 3, true);
    bench_put(&bench, OTA_FACTORY, old_image, old_len);
    assert_int_equal(bench_boot(&bench), OTA_FACTORY);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(update(new_image, new_len, 4095), OTA_OK);
        assert_int_equal(bench_boot(&bench), i % 3);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
        assert_int_equal(bench_boot(&bench), i % 3);
    }
}

static void larger_sectors_do_as_well(void **state)
{
    (void)state;
    bench.nor.flash.sector_size = 0x2000;
    memset(bench_otadata(&bench, 0), 0xFF, 0x4000);
    memset(bench_slot(&bench, 1), 0, BENCH_SLOT);
    save();
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(update(new_image, new_len, 300), OTA_OK);
    assert_slot_holds(1, new_image, new_len);
    assert_int_equal(bench_boot(&bench), 1);
}

static void knows_when_the_image_is_complete(void **state)
{
    (void)state;
    assert_false(ota_complete(&ota));
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    for (size_t i = 0; i < new_len; i++) {
        assert_false(ota_complete(&ota));
        assert_int_equal(feed(new_image + i, 1, 1), OTA_OK);
    }
    assert_true(ota_complete(&ota));
}

// --- What is erased ---

static void nothing_is_touched_before_288_bytes_were_judged(void **state)
{
    (void)state;
    memset(bench_slot(&bench, 1), 0x55, BENCH_SLOT);
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(ota_begin(&ota, (uint32_t)new_len), OTA_OK);
    for (size_t i = 0; i < 287; i++) {
        assert_int_equal(feed(new_image + i, 1, 1), OTA_OK);
        assert_false(ota_busy(&ota));
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
    }
    assert_int_equal(ota_write(&ota, new_image + 287, 1), 1);
    assert_true(ota_busy(&ota));
    assert_int_equal(ota_step(&ota), OTA_OK); // first the record that speaks for the slot
    assert_string_equal(bench_records(&bench), "3:VALID -");
    assert_int_equal(bench_slot(&bench, 1)[0], 0x55);
    assert_int_equal(ota_step(&ota), OTA_OK); // then the slot
    assert_int_equal(bench_slot(&bench, 1)[0], 0xFF);
}

// It may be one whose erase was cut off, until its cells change their mind.
static void a_sector_is_erased_even_if_it_reads_as_blank(void **state)
{
    (void)state;
    assert_int_equal(write_image(new_image, new_len, 256, 0), OTA_OK);
    assert_int_equal(bench.nor.erases, (new_len + BENCH_SECTOR - 1) / BENCH_SECTOR);
}

static void a_used_slot_is_erased_as_far_as_the_image_reaches(void **state)
{
    (void)state;
    memset(bench_slot(&bench, 1), 0x55, BENCH_SLOT);
    assert_int_equal(write_image(new_image, new_len, 256, 0), OTA_OK);
    assert_int_equal((new_len + BENCH_SECTOR - 1) / BENCH_SECTOR, 3);
    assert_int_equal(bench.nor.erases, 3);
    assert_int_equal(bench_slot(&bench, 1)[3 * BENCH_SECTOR], 0x55);
}

static void one_sector_is_prepared_ahead_of_the_data(void **state)
{
    (void)state;
    memset(bench_slot(&bench, 1), 0x55, BENCH_SLOT);
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    size_t at = 0;
    while (at < new_len) {
        at += ota_write(&ota, new_image + at, new_len - at);
        while (ota_busy(&ota))
            assert_int_equal(step(), OTA_OK);
        const size_t image_end = (new_len + BENCH_SECTOR - 1) / BENCH_SECTOR * BENCH_SECTOR;
        const size_t ahead = (at / BENCH_SECTOR + 2) * BENCH_SECTOR;
        assert_int_equal(ota.erased, smaller(ahead, image_end));
    }
}

// --- Refused ---

static void refuses_images_without_touching_the_flash(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        esp_image_err_t err;
        uint32_t at; // this byte is changed, 0: none
    } IMAGES[] = {
        { "app_c6", ESP_IMAGE_ERR_CHIP, 0 },
        { "app_esp32", ESP_IMAGE_ERR_CHIP, 0 },
        { "app_c3_minrev400", ESP_IMAGE_ERR_CHIP_REV, 0 },
        { "app_c3_nohash", ESP_IMAGE_ERR_NO_DIGEST, 0 },
        { "app_c6.image-info", ESP_IMAGE_ERR_MAGIC, 0 },
        { "app_c3_v130", ESP_IMAGE_ERR_SEGMENTS, 1 },
        { "app_c3_v130", ESP_IMAGE_ERR_DESC, 32 },
    };
    memset(bench_slot(&bench, 1), 0x55, BENCH_SLOT);
    bench_record(&bench, 1, 2, OTA_STATE_ABORTED);
    save();
    for (size_t i = 0; i < sizeof IMAGES / sizeof *IMAGES; i++) {
        size_t len;
        char path[256];
        const bool text = strchr(IMAGES[i].name, '.') != NULL;
        snprintf(path, sizeof path, "%s/image/%s.%s", VECTORS, IMAGES[i].name,
                 text ? "txt" : "bin");
        uint8_t *image = vector_load(path, &len);
        if (IMAGES[i].at) image[IMAGES[i].at] ^= 0x40;
        assert_int_equal(update(image, len, 64), OTA_ERR_IMAGE);
        assert_int_equal(ota.image.err, IMAGES[i].err);
        assert_int_equal(ota.phase, OTA_FAILED);
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
        // The first error is kept.
        assert_int_equal(ota_write(&ota, new_image, new_len), 0);
        assert_int_equal(ota_finish(&ota), OTA_ERR_IMAGE);
        assert_int_equal(ota_step(&ota), OTA_ERR_IMAGE);
        assert_false(ota_busy(&ota));
        free(image);
    }
    assert_memory_equal(bench.nor.mem, before, bench.nor.flash.size);
}

static void refuses_another_revision_of_the_chip_or_its_efuse_block(void **state)
{
    (void)state;
    image_spec_t spec = image_spec();
    uint8_t *built = malloc(IMAGE_BUILD_CAP);
    assert_non_null(built);
    spec.min_efuse_rev = bench.cfg.efuse_rev;
    assert_int_equal(update(built, image_build(&spec, built), 512), OTA_OK);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    sim_flash_power_on(&bench.nor);
    spec.min_efuse_rev++;
    assert_int_equal(update(built, image_build(&spec, built), 512), OTA_ERR_IMAGE);
    assert_int_equal(ota.image.err, ESP_IMAGE_ERR_CHIP_REV);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    free(built);
}

static void refuses_what_cannot_fit(void **state)
{
    (void)state;
    assert_int_equal(ota_begin(&ota, BENCH_SLOT + 1), OTA_ERR_TOO_LARGE);
    assert_int_equal(ota_write(&ota, new_image, new_len), 0);
    assert_int_equal(ota_begin(&ota, BENCH_SLOT), OTA_OK);
    size_t len;
    uint8_t *padded = load("app_c3_securepad2", &len); // 128 KB
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    assert_int_equal(feed(padded, len, 300), OTA_ERR_TOO_LARGE);
    assert_int_equal(bench_boot(&bench), 0);
    free(padded);
}

static void no_single_wrong_byte_gets_activated(void **state)
{
    (void)state;
    size_t len;
    uint8_t *tiny = bench_image("2.0", true, &len);
    save();
    for (size_t i = 0; i < len; i++) {
        restore();
        tiny[i] ^= (uint8_t)(1 << i % 8);
        const ota_err_t err = update(tiny, len, 100);
        assert_true(err == OTA_ERR_IMAGE || err == OTA_ERR_INCOMPLETE || err == OTA_ERR_TOO_LARGE);
        assert_int_equal(bench_boot(&bench), 0);
        tiny[i] ^= (uint8_t)(1 << i % 8);
    }
    free(tiny);
    for (size_t i = 0; i < new_len; i += 97) {
        restore();
        new_image[i] ^= 0x80;
        assert_int_not_equal(update(new_image, new_len, 512), OTA_OK);
        assert_int_equal(bench_boot(&bench), 0);
        new_image[i] ^= 0x80;
    }
}

static void no_truncated_image_gets_activated(void **state)
{
    (void)state;
    size_t len;
    uint8_t *tiny = bench_image("2.0", true, &len);
    save();
    for (size_t n = 0; n < len; n++) {
        restore();
        assert_int_equal(update(tiny, n, 64), OTA_ERR_INCOMPLETE);
        assert_int_equal(bench_boot(&bench), 0);
    }
    free(tiny);
}

static void keeps_what_comes_behind_the_image(void **state)
{
    (void)state;
    static const size_t MORE[] = { 1, 15, 16, 17, 255, 4096, 5000 };
    uint8_t *all = malloc(BENCH_SLOT + 1);
    assert_non_null(all);
    for (unsigned kind = 0; kind < 2; kind++) { // padding, or data such as a signature
        memset(all, kind ? 0xA5 : 0xFF, BENCH_SLOT + 1);
        memcpy(all, new_image, new_len);
        for (size_t i = 0; i < sizeof MORE / sizeof *MORE; i++) {
            memset(bench_slot(&bench, 1), 0x55, BENCH_SLOT);
            save();
            assert_int_equal(write_image(all, new_len + MORE[i], 512, 0), OTA_OK);
            assert_slot_holds(1, all, new_len + MORE[i]);
            assert_rest_untouched(1);
        }
        bench_put(&bench, 1, NULL, 0);
        assert_int_equal(write_image(all, BENCH_SLOT, 512, BENCH_SLOT), OTA_OK);
        assert_slot_holds(1, all, BENCH_SLOT);
        bench_put(&bench, 1, NULL, 0);
        save();
        assert_int_equal(write_image(all, BENCH_SLOT + 1, 512, 0), OTA_ERR_TOO_LARGE);
        assert_rest_untouched(1);
    }
    free(all);
}

// --- When it may begin ---

static void refuses_to_begin_while_the_running_image_is_unconfirmed(void **state)
{
    (void)state;
    bench_put(&bench, 1, new_image, new_len);
    for (uint32_t unconfirmed = OTA_STATE_NEW; unconfirmed <= OTA_STATE_PENDING; unconfirmed++) {
        bench_record(&bench, 0, 1, OTA_STATE_VALID);
        bench_record(&bench, 1, 2, unconfirmed);
        sim_flash_power_on(&bench.nor);
        bench.cfg.running = 1;
        assert_int_equal(ota_begin(&ota, 0), OTA_ERR_UNCONFIRMED);
        assert_int_equal(ota_write(&ota, new_image, new_len), 0);
        assert_false(ota_busy(&ota));
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    }
}

// It rejected itself, and the flash failed behind the erase of its record.
static void what_runs_without_a_record_beside_another_one_can_be_confirmed(void **state)
{
    (void)state;
    bench_put(&bench, 1, new_image, new_len);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    sim_flash_fail(&bench.nor, 6, SIM_FLASH_NOTHING, 0); // four reads, the erase
    assert_int_equal(ota_reject(&bench.cfg), SIM_FLASH_ERROR);
    assert_string_equal(bench_records(&bench), "1:VALID -");
    sim_flash_power_on(&bench.nor);
    assert_int_equal(ota_reject(&bench.cfg), 0); // that would be the other one's
    assert_string_equal(bench_records(&bench), "1:VALID -");
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
    save();
    assert_int_equal(bench_boot(&bench), 0);
    restore();
    assert_int_equal(ota_confirm(&bench.cfg), 0); // on second thought
    assert_int_equal(bench_boot(&bench), 1);
    assert_false(bench.boot.on_trial);
}

// Every slot was rejected, and this one is the last that is intact.
static void what_runs_although_it_was_rejected_can_be_updated(void **state)
{
    (void)state;
    for (int newer = 0; newer < 2; newer++) {
        bench_wipe(&bench);
        bench_record(&bench, newer, 3, OTA_STATE_INVALID);
        bench_record(&bench, 1 - newer, 1, OTA_STATE_ABORTED);
        assert_int_equal(bench_boot(&bench), 0);
        assert_false(bench.boot.on_trial);
        sim_flash_power_on(&bench.nor);
        assert_int_equal(ota_confirm(&bench.cfg), 0); // nothing to confirm
        assert_int_equal(ota_reject(&bench.cfg), 0);
        assert_int_equal(sim_flash_changes(&bench.nor), 0);
        assert_int_equal(update(new_image, new_len, 512), OTA_OK);
        assert_int_equal(bench_boot(&bench), 1);
        bench_put(&bench, 1, NULL, 0);
    }
}

static void the_factory_application_confirms_nothing(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    bench.cfg.running = OTA_FACTORY;
    sim_flash_power_on(&bench.nor);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(ota_reject(&bench.cfg), 0);
    bench_wipe(&bench);
    bench.cfg.running = 0; // nor does one without any record
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

// ESP-IDF's bootloader fell back to it, and leaves the records as they are.
static void what_runs_without_a_record_can_be_updated(void **state)
{
    (void)state;
    bench_wipe(&bench);
    bench_record(&bench, 1, 2, OTA_STATE_VALID); // about slot 1, which is damaged
    bench.cfg.running = 0;
    assert_int_equal(update(new_image, new_len, 512), OTA_OK);
    assert_string_equal(bench_records(&bench), "3:VALID 4:NEW");
    assert_int_equal(bench_boot(&bench), 1);
}

// Activated, but not restarted yet: the one that runs is confirmed, and stays the fallback.
static void an_update_replaces_one_that_was_never_started(void **state)
{
    (void)state;
    assert_int_equal(update(old_image, old_len, 512), OTA_OK);
    assert_string_equal(bench_records(&bench), "1:VALID 2:NEW");
    assert_int_equal(update(new_image, new_len, 512), OTA_OK);
    assert_int_equal(ota.slot, 1);
    assert_string_equal(bench_records(&bench), "1:VALID 2:NEW");
    assert_int_equal(bench_boot(&bench), 1);
    assert_string_equal(bench.boot.image.version, "2.0");
}

static void a_second_begin_forgets_the_first(void **state)
{
    (void)state;
    save();
    for (size_t n = 0; n <= new_len; n += 89) {
        restore();
        assert_int_equal(ota_begin(&ota, 0), OTA_OK);
        assert_int_equal(feed(old_image, smaller(n, old_len), 512), OTA_OK);
        assert_int_equal(update(new_image, new_len, 512), OTA_OK);
        assert_slot_holds(1, new_image, new_len);
        assert_int_equal(bench_boot(&bench), 1);
    }
}

static void given_up_it_boots_what_it_booted_before(void **state)
{
    (void)state;
    bench_put(&bench, 1, new_image, new_len); // the update before
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(ota_begin(&ota, 0), OTA_OK);
    assert_int_equal(feed(new_image, 5000, 512), OTA_OK);
    ota_abort(&ota);
    assert_int_equal(ota_write(&ota, new_image, 100), 0);
    assert_false(ota_busy(&ota));
    assert_int_equal(ota.phase, OTA_IDLE);
    assert_int_equal(bench_boot(&bench), 0);
    assert_int_equal(update(new_image, new_len, 512), OTA_OK);
}

static void finishes_nothing_that_was_not_begun(void **state)
{
    (void)state;
    assert_int_equal(ota_write(&ota, new_image, 100), 0);
    assert_int_equal(ota_step(&ota), OTA_OK);
    assert_int_equal(ota_finish(&ota), OTA_ERR_INCOMPLETE);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

static void says_when_no_sequence_number_is_left(void **state)
{
    (void)state;
    bench_record(&bench, 0, 0xFFFFFFFD, OTA_STATE_VALID); // slot 0
    assert_int_equal(update(new_image, new_len, 512), OTA_OK);
    assert_string_equal(bench_records(&bench), "4294967293:VALID 4294967294:NEW");
    bench.cfg.running = 0; // not restarted: the number can be used again
    assert_int_equal(update(new_image, new_len, 512), OTA_OK);
    memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
    bench_record(&bench, 0, 0xFFFFFFFE, OTA_STATE_VALID); // slot 1
    bench_put(&bench, 1, old_image, old_len);
    assert_int_equal(bench_boot(&bench), 1);
    assert_int_equal(update(new_image, new_len, 512), OTA_ERR_EXHAUSTED);
    assert_int_equal(ota.phase, OTA_FAILED);
    assert_int_equal(bench_boot(&bench), 1);
}

// --- Faults at every operation ---

/// Slot 0 runs, slot 1 holds the release before it: there is a record to retire and there are
/// sectors to erase.
static void set_up_faults(void)
{
    size_t len;
    uint8_t *older = bench_image("0.9", false, &len);
    bench_put(&bench, 1, older, len);
    free(older);
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(bench_boot(&bench), 0);
    save();
}

/// Old or new runs after a restart, whole. Then an update gets through.
static void assert_recovers(const char *what, unsigned n, sim_flash_effect_t effect, uint64_t seed)
{
    const int slot = bench_boot(&bench);
    const char *version = bench.boot.image.version;
    if (strcmp(version, slot ? new_version : old_version) != 0)
        fail_msg("%s: fault at operation %u, effect %d, seed %u: starts %s from slot %d: %s", what,
                 n, (int)effect, (unsigned)seed, version, slot, bench_records(&bench));
    if (bench.boot.on_trial) assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(update(new_image, new_len, 4095), OTA_OK);
    assert_int_equal(bench_boot(&bench), 1 - slot);
    assert_string_equal(bench.boot.image.version, new_version);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    assert_int_equal(bench_boot(&bench), 1 - slot);
}

static void recovers_from_an_error_of_the_flash_at_every_operation(void **state)
{
    (void)state;
    static const sim_flash_effect_t EFFECTS[] = { SIM_FLASH_NOTHING, SIM_FLASH_TORN,
                                                  SIM_FLASH_DONE };
    unsigned faults = 0;
    set_up_faults();
    for (size_t i = 0; i < 3; i++)
        for (unsigned n = 1;; n++) {
            restore();
            sim_flash_fail(&bench.nor, n, EFFECTS[i], n);
            const ota_err_t err = update(new_image, new_len, 4095);
            if (!bench.nor.fired) {
                assert_int_equal(err, OTA_OK);
                break;
            }
            if (!err) { // the mark of completion, the last operation: it can wait
                assert_int_equal(bench_boot(&bench), 1);
                continue;
            }
            assert_int_equal(err, OTA_ERR_FLASH);
            assert_int_equal(ota.flash_err, SIM_FLASH_ERROR);
            assert_int_equal(ota.phase, OTA_FAILED);
            if (EFFECTS[i] == SIM_FLASH_NOTHING) assert_int_equal(ota_step(&ota), OTA_ERR_FLASH);
            assert_recovers("error", n, EFFECTS[i], n);
            faults++;
        }
    print_message("%u faults\n", faults);
    assert_true(faults >= 3 * 59);
}

static void cut_update(const uint8_t *p, size_t len, unsigned n, sim_flash_effect_t effect,
                       uint64_t seed)
{
    restore();
    sim_flash_cut(&bench.nor, n, effect, seed);
    const bool last = update(p, len, 4095) == OTA_OK; // the mark of completion can wait
    assert_true(bench.nor.fired);
    if (last) {
        assert_int_equal(bench_boot(&bench), 1);
        assert_int_equal(ota_confirm(&bench.cfg), 0);
    } else {
        assert_int_equal(ota.flash_err, SIM_FLASH_NO_POWER);
    }
    assert_recovers("update", n, effect, seed);
}

static unsigned cut_update_all_ways(const uint8_t *p, size_t len, unsigned n)
{
    cut_update(p, len, n, SIM_FLASH_NOTHING, 0);
    cut_update(p, len, n, SIM_FLASH_DONE, 0);
    for (uint64_t seed = 0; seed < 8; seed++)
        cut_update(p, len, n, SIM_FLASH_TORN, 8 * n + seed);
    return 10;
}

static void recovers_from_a_cut_at_every_operation(void **state)
{
    (void)state;
    unsigned cuts = 0;
    set_up_faults();
    assert_int_equal(update(new_image, new_len, 4095), OTA_OK);
    const unsigned changes = sim_flash_changes(&bench.nor);
    assert_true(changes > 30);
    for (unsigned n = 1; n <= changes; n++)
        cuts += cut_update_all_ways(new_image, new_len, n);
    print_message("%u cuts\n", cuts);
}

// The same with an image of 257 pages: three pages of four are left out.
static void recovers_from_a_cut_in_a_golden_update(void **state)
{
    (void)state;
    unsigned cuts = 0;
    free(old_image);
    free(new_image);
    old_image = load("app_c3_v123", &old_len);
    new_image = load("app_c3_v130", &new_len);
    old_version = "1.2.3-golden";
    new_version = "1.3.0-golden";
    bench_put(&bench, 0, old_image, old_len);
    set_up_faults();
    memset(bench_slot(&bench, 1), 0x55, BENCH_SLOT);
    save();
    assert_int_equal(update(new_image, new_len, 4095), OTA_OK);
    const unsigned changes = sim_flash_changes(&bench.nor);
    for (unsigned n = 1; n <= changes; n += (n < 8 || n >= changes - 5) ? 1 : 4)
        cuts += cut_update_all_ways(new_image, new_len, n);
    print_message("%u cuts\n", cuts);
}

typedef int decide_t(const ota_cfg_t *cfg);

/// The new image runs on trial; the application decides, and power fails.
static unsigned cut_decision(const char *what, decide_t *decide, unsigned expected)
{
    unsigned cuts = 0;
    bench_put(&bench, 0, old_image, old_len);
    bench_put(&bench, 1, new_image, new_len);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    save();
    assert_int_equal(decide(&bench.cfg), 0);
    const unsigned changes = sim_flash_changes(&bench.nor) - 1; // without the mark of the start
    assert_int_equal(changes, expected);
    for (unsigned n = 1; n <= changes; n++)
        for (uint64_t seed = 0; seed < 34; seed++) {
            const sim_flash_effect_t effect = (seed == 32)   ? SIM_FLASH_NOTHING
                                              : (seed == 33) ? SIM_FLASH_DONE
                                                             : SIM_FLASH_TORN;
            restore();
            sim_flash_cut(&bench.nor, n, effect, seed);
            const int err = decide(&bench.cfg);
            assert_true(err == SIM_FLASH_NO_POWER || (!err && n == changes));
            assert_true(bench.nor.fired);
            assert_recovers(what, n, effect, seed);
            cuts++;
        }
    return cuts;
}

static void recovers_from_a_cut_while_it_confirms_or_rejects(void **state)
{
    (void)state;
    const unsigned cuts =
        cut_decision("confirm", ota_confirm, 7) + cut_decision("reject", ota_reject, 4);
    print_message("%u cuts\n", cuts);
}

/// A layout in which something else than the old image would run if no record spoke for the old one.
static void cut_confirm(unsigned slots, bool factory, int old, uint32_t old_seq)
{
    size_t len;
    uint8_t *oldest = bench_image("0.9", false, &len);
    bench_close(&bench);
    bench_open(&bench, slots, factory);
    free(before);
    before = malloc(bench.nor.flash.size);
    assert_non_null(before);
    for (int slot = factory ? OTA_FACTORY : 0; slot < (int)slots; slot++)
        bench_put(&bench, slot, oldest, len);
    bench_put(&bench, old, old_image, old_len);
    bench_put(&bench, 0, new_image, new_len);
    bench_record(&bench, 1, old_seq, OTA_STATE_VALID);
    bench_record(&bench, 0, slots + 1, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 0);
    save();
    for (unsigned n = 1; n <= 7; n++)
        for (sim_flash_effect_t effect = SIM_FLASH_NOTHING; effect <= SIM_FLASH_DONE; effect++) {
            restore();
            sim_flash_cut(&bench.nor, n, effect, 0);
            assert_int_equal(ota_confirm(&bench.cfg), SIM_FLASH_NO_POWER);
            assert_true(bench.nor.fired);
            const int slot = bench_boot(&bench);
            if (slot != 0 && slot != old)
                fail_msg("cut at %u, effect %d: starts %d: %s", n, (int)effect, slot,
                         bench_records(&bench));
            if (n > 1 || effect == SIM_FLASH_DONE) assert_int_equal(slot, 0); // it was confirmed
            assert_int_equal(bench_boot(&bench), slot);
        }
    free(oldest);
}

static void a_cut_while_it_confirms_brings_back_nothing_older(void **state)
{
    (void)state;
    cut_confirm(2, true, 1, 2);
    cut_confirm(3, false, 2, 3);
}

static void passes_on_errors_of_the_flash_while_it_confirms_or_rejects(void **state)
{
    (void)state;
    static const struct {
        decide_t *decide;
        unsigned operations, completion; // the last one can wait for the next start
    } DECIDE[] = {
        { ota_confirm, 15, 13 }, // twice two reads, four; mark, a record of four, a wipe of two
        { ota_reject, 8, 8 },    // twice two reads; a record of four
    };
    bench_put(&bench, 1, new_image, new_len);
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(bench_boot(&bench), 1);
    save();
    for (size_t i = 0; i < 2; i++)
        for (unsigned n = 1;; n++) {
            restore();
            sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
            const int err = DECIDE[i].decide(&bench.cfg);
            if (!bench.nor.fired) {
                assert_int_equal(n, DECIDE[i].operations + 1);
                assert_int_equal(err, 0);
                break;
            }
            assert_true(err == SIM_FLASH_ERROR || n == DECIDE[i].completion);
            assert_recovers("decision", n, SIM_FLASH_NOTHING, 0);
        }
}

int main(void)
{
#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, open_two_slots, close_bench)
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(a_golden_image_is_written_verified_tried_and_confirmed),
        ON_A_BENCH(pieces_of_every_size_make_the_same_slot),
        ON_A_BENCH(the_slots_take_turns),
        ON_A_BENCH(three_slots_and_the_factory_application_take_turns),
        ON_A_BENCH(larger_sectors_do_as_well),
        ON_A_BENCH(knows_when_the_image_is_complete),
        ON_A_BENCH(nothing_is_touched_before_288_bytes_were_judged),
        ON_A_BENCH(a_sector_is_erased_even_if_it_reads_as_blank),
        ON_A_BENCH(a_used_slot_is_erased_as_far_as_the_image_reaches),
        ON_A_BENCH(one_sector_is_prepared_ahead_of_the_data),
        ON_A_BENCH(refuses_images_without_touching_the_flash),
        ON_A_BENCH(refuses_another_revision_of_the_chip_or_its_efuse_block),
        ON_A_BENCH(refuses_what_cannot_fit),
        ON_A_BENCH(no_single_wrong_byte_gets_activated),
        ON_A_BENCH(no_truncated_image_gets_activated),
        ON_A_BENCH(keeps_what_comes_behind_the_image),
        ON_A_BENCH(refuses_to_begin_while_the_running_image_is_unconfirmed),
        ON_A_BENCH(what_runs_without_a_record_beside_another_one_can_be_confirmed),
        ON_A_BENCH(what_runs_although_it_was_rejected_can_be_updated),
        ON_A_BENCH(the_factory_application_confirms_nothing),
        ON_A_BENCH(what_runs_without_a_record_can_be_updated),
        ON_A_BENCH(an_update_replaces_one_that_was_never_started),
        ON_A_BENCH(a_second_begin_forgets_the_first),
        ON_A_BENCH(given_up_it_boots_what_it_booted_before),
        ON_A_BENCH(finishes_nothing_that_was_not_begun),
        ON_A_BENCH(says_when_no_sequence_number_is_left),
        ON_A_BENCH(recovers_from_an_error_of_the_flash_at_every_operation),
        ON_A_BENCH(recovers_from_a_cut_at_every_operation),
        ON_A_BENCH(recovers_from_a_cut_in_a_golden_update),
        ON_A_BENCH(recovers_from_a_cut_while_it_confirms_or_rejects),
        ON_A_BENCH(a_cut_while_it_confirms_brings_back_nothing_older),
        ON_A_BENCH(passes_on_errors_of_the_flash_while_it_confirms_or_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
