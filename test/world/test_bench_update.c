// test_bench_update.c - how long updates may take: what README.md and docs/BENCHMARKS.md promise.
// SPDX-License-Identifier: Apache-2.0
//
// Virtual time: a figure that is wrong here is wrong on every machine.
#include "rig.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

static rig_cfg_t base_case(void)
{
    return (rig_cfg_t){ .image_len = 1 << 20,
                        .bitrate = 500000,
                        .flash = sim_flash_type("w25q"),
                        .device = &sim_port_esp32,
                        .fill = 1,
                        .seed = 1 };
}

static nsec_t sum(const rig_budget_t *b)
{
    return b->data + b->flow + b->other + b->traffic + b->errors + b->flash + b->device +
           b->restart + b->idle;
}

static rig_result_t update(const rig_cfg_t *cfg)
{
    rig_result_t result;
    rig_run(cfg, &result, NULL, NULL);
    print_message(
        "%s image %u bytes, %u kbit/s: %.3f s, %.4f x the limit; flash %.3f s, idle for it %.3f s\n",
        result.done ? "done:" : "FAILED:", result.len, cfg->bitrate / 1000,
        (double)result.time / 1e9, (double)result.time / (double)result.limit,
        (double)result.flash_time / 1e9, (double)result.budget.flash / 1e9);
    assert_true(result.time == sum(&result.budget));
    return result;
}

/// Also: nothing is lost, and nothing repeated.
static rig_result_t smooth_update(const rig_cfg_t *cfg)
{
    const rig_result_t r = update(cfg);
    assert_true(r.done);
    assert_int_equal(r.overrun, 0);
    assert_int_equal(r.lost, 0);
    return r;
}

static bool at_most(nsec_t time, unsigned per_cent, nsec_t limit)
{
    return time <= limit / 100 * per_cent;
}

static void uds_needs_at_most_three_per_cent_more_than_its_bytes_on_the_wire(void **state)
{
    (void)state;
    for (rig_content_t content = RIG_RANDOM; content <= RIG_ZEROS; content++) {
        rig_cfg_t cfg = base_case();
        cfg.content = content;
        const rig_result_t r = smooth_update(&cfg);
        assert_int_equal(r.sent, r.len);
        assert_true(at_most(r.time, 103, r.limit));
    }
    for (uint64_t seed = 2; seed <= 4; seed++) {
        rig_cfg_t cfg = base_case();
        cfg.seed = cfg.fill = seed;
        const rig_result_t r = smooth_update(&cfg);
        assert_true(at_most(r.time, 103, r.limit));
    }
}

static void its_flash_works_behind_the_bus(void **state)
{
    static const char *const flash[] = { "w25q", "gd25q", "mt25q" };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        rig_cfg_t cfg = base_case();
        cfg.flash = sim_flash_type(flash[i]);
        const rig_result_t r = smooth_update(&cfg);
        assert_true(r.flash_time > r.time / 3);
        assert_true(at_most(r.budget.flash, 1, r.time));
    }
}

static void header_and_plain_need_at_most_five_per_cent_more(void **state)
{
    (void)state;
    for (rig_protocol_t protocol = RIG_HEADER; protocol <= RIG_PLAIN; protocol++) {
        for (rig_content_t content = RIG_RANDOM; content <= RIG_ZEROS; content++) {
            rig_cfg_t cfg = base_case();
            cfg.protocol = protocol;
            cfg.content = content;
            const rig_result_t r = smooth_update(&cfg);
            assert_true(at_most(r.time, 105, r.limit));
            assert_true(at_most(r.budget.flash, 1, r.time));
        }
    }
}

static void slow_flash_loses_no_frame_and_only_takes_its_time(void **state)
{
    (void)state;
    for (rig_protocol_t protocol = RIG_UDS; protocol <= RIG_PLAIN; protocol++) {
        for (unsigned eighths = 0; eighths <= 8; eighths += 4) {
            rig_cfg_t cfg = base_case();
            cfg.protocol = protocol;
            cfg.speed = eighths ? SIM_FLASH_WORN : SIM_FLASH_MAXIMUM;
            cfg.wear = cfg.flash->endurance / 8 * eighths;
            const rig_result_t r = smooth_update(&cfg);
            assert_true(r.time > r.flash_time && at_most(r.time, 105, r.flash_time));
        }
    }
}

static void where_the_bus_is_fast_flash_is_the_limit(void **state)
{
    (void)state;
    rig_cfg_t cfg = base_case();
    cfg.bitrate = 1000000;
    cfg.data_bitrate = 5000000;
    cfg.device = NULL;
    const rig_result_t r = smooth_update(&cfg);
    assert_true(r.flash_time > r.limit && at_most(r.time, 108, r.flash_time));
}

static void what_is_around_a_small_image_takes_no_second(void **state)
{
    (void)state;
    size_t len;
    uint8_t *image = vector_load(VECTORS "/image/app_c3_v130.bin", &len);
    rig_cfg_t cfg = base_case();
    cfg.image = image;
    cfg.image_len = (uint32_t)len;
    const rig_result_t r = smooth_update(&cfg);
    assert_int_equal(r.len, len);
    assert_true(r.time - r.limit < 800 * NSEC_MS);
    free(image);
}

static void other_traffic_takes_its_share_and_no_more(void **state)
{
    (void)state;
    rig_cfg_t cfg = base_case();
    cfg.traffic = 60;
    const rig_result_t r = smooth_update(&cfg);
    assert_true(at_most(r.budget.traffic, 62, r.time) && !at_most(r.budget.traffic, 58, r.time));
    assert_true(at_most(r.time - r.budget.traffic, 103, r.limit));
}

// A flow control that waits for flash in the middle of a block is no lost one.
static void a_device_with_a_short_queue_gets_each_byte_once(void **state)
{
    static const uint8_t block_size[] = { 32, 60, 255 };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        rig_cfg_t cfg = base_case();
        cfg.block_size = block_size[i];
        const rig_result_t r = smooth_update(&cfg);
        assert_int_equal(r.sent, r.len);
    }
}

static void one_seed_has_one_history(void **state)
{
    (void)state;
    rig_cfg_t cfg = base_case();
    cfg.image_len = 65536;
    cfg.loss = 10000;
    cfg.traffic = 30;
    const rig_result_t one = update(&cfg), same = update(&cfg);
    assert_true(one.done && one.lost > 0);
    assert_true(one.time == same.time && one.frames == same.frames && one.lost == same.lost);
    cfg.seed++;
    assert_true(update(&cfg).time != one.time);
}

static void the_example_takes_more_than_five_times_the_limit(void **state)
{
    (void)state;
    rig_cfg_t cfg = base_case();
    cfg.example = true;
    rig_result_t r = update(&cfg);
    assert_true(r.done && r.messages_lost == 0 && r.time > 5 * r.limit && r.time < 6 * r.limit);
    cfg.speed = SIM_FLASH_MAXIMUM; // while it is written, the controller's memory overflows
    r = update(&cfg);
    assert_true(!r.done && r.messages_lost > 0 && r.overrun > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uds_needs_at_most_three_per_cent_more_than_its_bytes_on_the_wire),
        cmocka_unit_test(its_flash_works_behind_the_bus),
        cmocka_unit_test(header_and_plain_need_at_most_five_per_cent_more),
        cmocka_unit_test(slow_flash_loses_no_frame_and_only_takes_its_time),
        cmocka_unit_test(where_the_bus_is_fast_flash_is_the_limit),
        cmocka_unit_test(what_is_around_a_small_image_takes_no_second),
        cmocka_unit_test(other_traffic_takes_its_share_and_no_more),
        cmocka_unit_test(a_device_with_a_short_queue_gets_each_byte_once),
        cmocka_unit_test(one_seed_has_one_history),
        cmocka_unit_test(the_example_takes_more_than_five_times_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
