// test_mixed_stack.c - our update engine in an application that ESP-IDF's bootloader starts.
// SPDX-License-Identifier: Apache-2.0
//
// A device lives through updates: confirmed, rejected, and never confirmed. Then again, with the
// power cut at each flash operation, those of the bootloader included. ESP-IDF's bootloader forgets
// a decision if it is interrupted (docs/FORMAT.md, section 3); but it always finds one of the two
// firmwares, and what was interrupted can be repeated.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "esp_boot.h"
#include "vectors.h"
#include <cmocka.h>

enum { VERSIONS = 5 };
static bench_t bench;
static uint8_t *image[VERSIONS]; // versions 0.0 to 4.0
static size_t image_len;
static bool rollback;
static int confirmed, target; // versions: one of them must start

static int running_version(void) { return bench_slot(&bench, bench.cfg.running)[0x30] - '0'; }

static void boot(void)
{
    static esp_boot_t b;
    const esp_boot_cfg_t cfg = { .flash = &bench.nor.flash,
                                 .crypto = vector_crypto(),
                                 .layout = &bench.layout,
                                 .chip_id = bench.cfg.chip_id,
                                 .chip_rev = bench.cfg.chip_rev,
                                 .efuse_rev = bench.cfg.efuse_rev,
                                 .rollback = rollback };
    esp_boot_choose(&b, &cfg);
    bench.cfg.running = b.booted;
}

/// Writes and activates `target`. False: refused, or power was lost.
static bool update(void)
{
    static ota_t ota;
    ota_init(&ota, &bench.cfg);
    ota_err_t err = ota_begin(&ota, (uint32_t)image_len);
    for (size_t at = 0; !err && at < image_len;) {
        at += ota_write(&ota, image[target] + at, image_len - at);
        err = ota_step(&ota);
    }
    if (!err) err = ota_finish(&ota);
    while (!err && ota_busy(&ota))
        err = ota_step(&ota);
    return !err && !ota_activate(&ota);
}

// --- A life ---

// u: update to the next version; U: to the same once more; b: start; c: confirm; x: reject
static const char LIFE[] =
    "ubcb"  // 1.0, confirmed
    "ubxb"  // 2.0, rejected
    "Ubb"   // 2.0, never confirmed
    "Ubcbb" // 2.0, confirmed
    "ubcb"  // 3.0
    "Ubcb"; // 3.0 once more, into the other slot
static const char RUNS_ON[] =
    "0111" // with rollback: the version after each of these steps
    "1221"
    "121"
    "12222"
    "2333"
    "3333";
static const char RUNS_OFF[] =
    "0111" // without
    "1221"
    "122" // nobody takes it back
    "22222"
    "2333"
    "3333";

/// A new device, version 0.0 in ota_0, as delivered.
static void deliver(void)
{
    bench_close(&bench);
    bench_open(&bench, 2, false);
    bench_put(&bench, 0, image[0], image_len);
    confirmed = target = 0;
    boot();
    assert_int_equal(bench.cfg.running, 0);
    sim_flash_power_on(&bench.nor);
}

static void step(char what)
{
    switch (what) {
    case 'u':
        target++; // and then as U
    // fall through
    case 'U': (void)update(); break;
    case 'b': boot(); break;
    case 'c':
        if (ota_confirm(&bench.cfg) == 0) confirmed = running_version();
        break;
    case 'x': (void)ota_reject(&bench.cfg); break;
    default: fail();
    }
}

static void lives_with_the_bootloader_of_esp_idf(void **state)
{
    (void)state;
    for (int with = 0; with < 2; with++) {
        rollback = with;
        deliver();
        for (size_t i = 0; LIFE[i]; i++) {
            step(LIFE[i]);
            const int expected = (with ? RUNS_ON : RUNS_OFF)[i] - '0';
            if (running_version() != expected)
                fail_msg("rollback %d, step %zu: runs %d, not %d: %s", with, i, running_version(),
                         expected, bench_records(&bench));
        }
    }
}

// --- The same, with a cut ---

/// Power returns: one of the two starts, and the update can be repeated.
static void recover(const char *where)
{
    sim_flash_power_on(&bench.nor);
    for (int i = 0; i < 2; i++) {
        boot();
        if (bench.cfg.running == OTA_NOTHING)
            fail_msg("%s: nothing starts: %s", where, bench_records(&bench));
        const int version = running_version();
        if (version != confirmed && version != target)
            fail_msg("%s: runs %d: %s", where, version, bench_records(&bench));
    }
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    target++;
    if (!update()) fail_msg("%s: cannot update: %s", where, bench_records(&bench));
    boot();
    if (running_version() != target) fail_msg("%s: the update is lost", where);
    assert_int_equal(ota_confirm(&bench.cfg), 0);
    boot();
    assert_int_equal(running_version(), target);
}

static void old_or_new_starts_wherever_the_power_is_cut(void **state)
{
    (void)state;
    static const struct {
        sim_flash_effect_t effect;
        uint64_t seeds;
    } CUTS[] = { { SIM_FLASH_NOTHING, 1 }, { SIM_FLASH_DONE, 1 }, { SIM_FLASH_TORN, 6 } };
    unsigned cuts = 0;
    for (int with = 0; with < 2; with++)
        for (unsigned n = 1;; n++) {
            bool fired = false;
            for (size_t k = 0; k < sizeof CUTS / sizeof *CUTS; k++)
                for (uint64_t seed = 0; seed < CUTS[k].seeds; seed++) {
                    rollback = with;
                    deliver();
                    sim_flash_cut(&bench.nor, n, CUTS[k].effect, seed);
                    size_t i = 0;
                    while (LIFE[i] && !bench.nor.fired)
                        step(LIFE[i++]);
                    fired = bench.nor.fired;
                    if (!fired) continue;
                    char where[80];
                    snprintf(where, sizeof where, "rollback %d, step %zu, change %u, cut %zu.%u",
                             with, i - 1, n, k, (unsigned)seed);
                    recover(where);
                    cuts++;
                }
            if (!fired) break;
        }
    print_message("%u cuts\n", cuts);
    assert_true(cuts > 1000);
}

static int open_bench(void **state)
{
    (void)state;
    for (int i = 0; i < VERSIONS; i++) {
        const char version[] = { (char)('0' + i), '.', '0', 0 };
        image[i] = bench_image(version, true, &image_len);
    }
    bench_open(&bench, 2, false);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    for (int i = 0; i < VERSIONS; i++)
        free(image[i]);
    bench_close(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_with_the_bootloader_of_esp_idf),
        cmocka_unit_test(old_or_new_starts_wherever_the_power_is_cut),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
