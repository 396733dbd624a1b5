// test_update.c - whole updates by UDS: our flasher and our receiver, in virtual time.
// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static world_t w;
static link_t l;

static void begin(void) { link_init(&l, &w, "app_c3_v123.bin", "app_c3_v130.bin", NULL); }

static int end(void **state)
{
    (void)state;
    link_free(&l);
    l.image = NULL;
    return 0;
}

static void explain(void)
{
    const flasher_t *f = &l.flasher;
    print_message(
        "why %d step %u (line %u) state %d nrc %02X timer %d transport %d result %02X "
        "at %u start %u sent %u rounds %u tries %u\n",
        f->why, f->step, f->step < l.profile.steps ? flasher_step(f)->line : 0, f->state,
        (unsigned)f->nrc, f->timer, f->transport, f->result, f->at, f->start, f->sent, f->rounds,
        f->tries);
}

static void expect_done(flasher_events_t ev)
{
    if (!(ev & FLASHER_DONE)) explain();
    assert_true(ev & FLASHER_DONE);
    assert_false(ev & FLASHER_FAILED);
    assert_int_equal(w.receiver_cfg.ota.running, 1);
}

static void expect_failed(flasher_events_t ev, flasher_why_t why)
{
    if (!(ev & FLASHER_FAILED) || l.flasher.why != why) explain();
    assert_true(ev & FLASHER_FAILED);
    assert_int_equal(l.flasher.why, why);
}

static void the_new_firmware_runs(void **state)
{
    (void)state;
    begin();
    const usec_t start = w.now;
    expect_done(link_run(&l, 0));
    assert_true((w.now - start) * 100 < l.host_time * 115);
    assert_int_equal(l.flasher.sent, l.cfg.image.len);
    assert_false(l.flasher.trial);
}

// --- The host dies ---

static void a_host_that_was_killed_is_started_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        begin();
        (void)link_run(&l, 500 + i * 900);
        link_begin(&l);
        const flasher_events_t ev = link_run(&l, 0);
        l.host_bytes += l.flasher.sent;
        expect_done(ev);
        assert_true(l.host_bytes * 10 < l.cfg.image.len * 12);
        (void)end(state);
    }
}

// --- What the slot held before ---

static unsigned surveys;

static bool count_surveys(void *ctx, const can_frame_t *f, bool to_device)
{
    (void)ctx;
    if (to_device && memcmp(f->data, "\x04\x31\x01\xF0\x00", 5) == 0) surveys++;
    return false;
}

static void begin_with_older(const char *image)
{
    uint32_t len;
    begin();
    uint8_t *older = world_vector(image, &len);
    memcpy(&w.nor.mem[w.layout.slot[1].at], older, len);
    free(older);
    surveys = 0;
    l.deaf = count_surveys;
}

static void an_older_image_is_not_searched_for_what_can_be_resumed(void **state)
{
    (void)state;
    begin_with_older("app_c3_v123.bin");
    expect_done(link_run(&l, 0));
    assert_int_equal(surveys, 0);
    assert_int_equal(l.flasher.sent, l.cfg.image.len);
}

static void what_was_sent_over_an_older_image_is_found(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        begin_with_older("app_c3_v123.bin");
        assert_int_equal(link_run(&l, 80 + i * 450), FLASHER_NONE);
        assert_int_equal(surveys, 0);
        link_begin(&l);
        const flasher_events_t ev = link_run(&l, 0);
        l.host_bytes += l.flasher.sent;
        expect_done(ev);
        assert_true(l.host_bytes <= l.cfg.image.len + 4 * 4096);
        (void)end(state);
    }
}

static void the_same_version_built_again_is_another_image(void **state)
{
    (void)state;
    begin_with_older("app_c3_v130.bin");
    w.nor.mem[w.layout.slot[1].at + 5000] ^= 1;
    expect_done(link_run(&l, 0));
    assert_int_equal(surveys, 1);
    assert_int_equal(l.flasher.sent, l.cfg.image.len);
}

static void a_slot_that_does_not_begin_like_an_image_is_searched(void **state)
{
    (void)state;
    begin_with_older("app_c3_v123.bin");
    memset(&w.nor.mem[w.layout.slot[1].at], 0xFF, 4096); // an erase, and then the power failed
    expect_done(link_run(&l, 0));
    assert_int_equal(surveys, 1);
    assert_int_equal(l.flasher.sent, l.cfg.image.len);
}

// --- The device dies ---

static void a_device_that_restarts_in_the_middle_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        begin();
        l.die_after = 100 + i * 947;
        const flasher_events_t ev = link_run(&l, 0);
        expect_done(ev);
        assert_int_equal(l.boots, 2);
        assert_true(l.flasher.sent * 10 < l.cfg.image.len * 12);
        (void)end(state);
    }
}

static void a_device_whose_power_fails_in_a_flash_operation_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 1; i < 280; i += 23) {
        begin();
        sim_flash_cut(&w.nor, i, SIM_FLASH_TORN, i);
        const flasher_events_t ev = link_run(&l, 0);
        expect_done(ev);
        assert_int_equal(l.boots, 2);
        assert_true(l.flasher.sent * 10 < l.cfg.image.len * 12);
        (void)end(state);
    }
}

static void a_device_that_does_not_come_back_is_given_up(void **state)
{
    (void)state;
    begin();
    l.boot_time = 60000 * USEC_MS;
    l.die_after = 5000;
    expect_failed(link_run(&l, 0), FLASHER_LOST_DEVICE);
    assert_true(l.flasher.resumable);
}

// --- The new firmware does not stay ---

static void a_rejected_firmware_is_told(void **state)
{
    (void)state;
    begin();
    l.rejects = true;
    expect_failed(link_run(&l, 0), FLASHER_OLD_RUNS);
    assert_int_equal(w.receiver_cfg.ota.running, 0);
}

static void a_rejected_firmware_is_told_even_if_it_is_the_same(void **state)
{
    (void)state;
    link_init(&l, &w, "app_c3_v123.bin", "app_c3_v123.bin", NULL);
    l.rejects = true;
    expect_failed(link_run(&l, 0), FLASHER_OLD_RUNS);
}

static void a_firmware_that_never_confirms_is_told(void **state)
{
    (void)state;
    begin();
    l.trial = true;
    expect_done(link_run(&l, 0));
    assert_true(l.flasher.trial);
}

static void a_device_that_does_not_come_back_from_its_restart_is_told(void **state)
{
    (void)state;
    begin();
    l.boot_time = 60000 * USEC_MS;
    expect_failed(link_run(&l, 0), FLASHER_NOT_BACK);
}

// --- Refusals ---

static void an_image_for_another_chip_is_refused(void **state)
{
    (void)state;
    link_init(&l, &w, "app_c3_v123.bin", "app_c6.bin", NULL);
    const unsigned erases = w.nor.erases;
    expect_failed(link_run(&l, 0), FLASHER_REFUSED);
    assert_true(l.flasher.result_known);
    assert_int_equal(l.flasher.result, RECEIVER_WRONG_CHIP);
    assert_int_equal(w.nor.erases, erases);
}

static void what_is_larger_than_the_slot_is_not_sent(void **state)
{
    (void)state;
    begin();
    l.cfg.image.len = WORLD_SLOT + 1;
    expect_failed(link_run(&l, 0), FLASHER_TOO_LARGE);
    assert_int_equal(l.flasher.sent, 0);
}

// --- A bad link ---

static uint32_t seed;

static uint32_t next(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static bool lose_some(void *ctx, const can_frame_t *f, bool to_device)
{
    (void)f;
    (void)to_device;
    return next() % 1000 < *(const unsigned *)ctx;
}

static void lost_frames_cost_repetitions(void **state)
{
    unsigned per_mille, done = 0;
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        seed = i;
        per_mille = 1 + i % 3 * 5;
        begin();
        l.deaf = lose_some;
        l.ctx = &per_mille;
        const flasher_events_t ev = link_run(&l, 0);
        if (ev & FLASHER_DONE) done++;
        assert_true(ev & (FLASHER_DONE | FLASHER_FAILED));
        assert_true((ev & FLASHER_DONE) == 0 || w.receiver_cfg.ota.running == 1);
        (void)end(state);
    }
    assert_true(done >= 8);
}

static unsigned countdown;

static bool lose_one_response(void *ctx, const can_frame_t *f, bool to_device)
{
    (void)ctx;
    const bool response = !to_device && f->data[0] >> 4 == 0 && f->data[1] == 0x76;
    return response && --countdown == 0;
}

static void a_block_whose_response_was_lost_is_not_written_twice(void **state)
{
    (void)state;
    begin();
    countdown = 3;
    l.deaf = lose_one_response;
    expect_done(link_run(&l, 0));
    assert_int_equal(l.flasher.rounds, 0);
    assert_int_equal(l.flasher.sent, l.cfg.image.len); // it was asked
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_new_firmware_runs, end),
        cmocka_unit_test_teardown(a_host_that_was_killed_is_started_again, end),
        cmocka_unit_test_teardown(an_older_image_is_not_searched_for_what_can_be_resumed, end),
        cmocka_unit_test_teardown(what_was_sent_over_an_older_image_is_found, end),
        cmocka_unit_test_teardown(the_same_version_built_again_is_another_image, end),
        cmocka_unit_test_teardown(a_slot_that_does_not_begin_like_an_image_is_searched, end),
        cmocka_unit_test_teardown(a_device_that_restarts_in_the_middle_goes_on, end),
        cmocka_unit_test_teardown(a_device_whose_power_fails_in_a_flash_operation_goes_on, end),
        cmocka_unit_test_teardown(a_device_that_does_not_come_back_is_given_up, end),
        cmocka_unit_test_teardown(a_rejected_firmware_is_told, end),
        cmocka_unit_test_teardown(a_rejected_firmware_is_told_even_if_it_is_the_same, end),
        cmocka_unit_test_teardown(a_firmware_that_never_confirms_is_told, end),
        cmocka_unit_test_teardown(a_device_that_does_not_come_back_from_its_restart_is_told, end),
        cmocka_unit_test_teardown(an_image_for_another_chip_is_refused, end),
        cmocka_unit_test_teardown(what_is_larger_than_the_slot_is_not_sent, end),
        cmocka_unit_test_teardown(lost_frames_cost_repetitions, end),
        cmocka_unit_test_teardown(a_block_whose_response_was_lost_is_not_written_twice, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
