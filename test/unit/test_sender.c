// test_sender.c - the host's side of a transfer: what may come when, and what it means.
// SPDX-License-Identifier: Apache-2.0
#include "sender.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const sender_cfg_t cfg = { .isotp = { .tx_id = 0x7E0,
                                             .rx_id = 0x7E8,
                                             .n_as = 1000 * USEC_MS,
                                             .n_ar = 1000 * USEC_MS,
                                             .n_bs = 1000 * USEC_MS,
                                             .n_cr = 1000 * USEC_MS,
                                             .n_br = 700 * USEC_MS },
                                  .attempts = SENDER_ATTEMPTS,
                                  .status_timeout = SENDER_STATUS_TIMEOUT };
static const uint8_t bytes[10000];
static sender_t f;
static usec_t now;
static unsigned frames; // that left

static void begin(uint32_t len)
{
    now = 5000;
    frames = 0;
    sender_init(&f, &cfg, bytes, len, now);
}

// The bus takes whatever there is.
static sender_events_t pump(void)
{
    sender_events_t events = SENDER_NONE;
    while (!events && sender_output(&f, now) != NULL) {
        events |= sender_sent(&f, now);
        frames++;
    }
    return events;
}

static sender_events_t in_on(uint32_t id, const void *data, uint8_t len)
{
    can_frame_t frame = { .id = id, .len = len };
    memcpy(frame.data, data, len);
    const sender_events_t events = sender_input(&f, &frame, now);
    return events | pump();
}

static sender_events_t clear_to_send(void) { return in_on(0x7E8, "\x30\0\0", 3); }
static sender_events_t overflow(void) { return in_on(0x7E8, "\x32\0\0", 3); }

static sender_events_t status(uint8_t result)
{
    const uint8_t message[8] = { 7, 'O', 'T', result, 0x10, 0x27, 0, 0 };
    return in_on(0x7E8, message, 8);
}

// Nothing comes in until something happens. Returns it, and fails if the machine asks to be called for ever.
static sender_events_t wait(void)
{
    sender_events_t events = pump();
    for (unsigned turns = 0; !events && sender_deadline(&f) != USEC_NEVER; turns++) {
        assert_true(turns < 100);
        now = later(now, sender_deadline(&f));
        events |= sender_tick(&f, now);
        if (!events) events |= pump();
    }
    return events;
}

static void expect_over(sender_events_t events, sender_events_t expected, sender_why_t why)
{
    assert_int_equal(events, expected);
    assert_int_equal(f.why, why);
    assert_int_equal(f.state, SENDER_OVER);
    assert_true(sender_deadline(&f) == USEC_NEVER);
    assert_null(sender_output(&f, now));
    assert_int_equal(status(0), SENDER_NONE); // once is enough
    assert_int_equal(clear_to_send(), SENDER_NONE);
    assert_int_equal(wait(), SENDER_NONE);
    assert_int_equal(f.why, why);
}

static void sends_every_message_and_ends_with_the_status(void **state)
{
    static const uint32_t lengths[] = { 1, 7, 8, 4094, 4095, 4096, 8190, 8191, 10000 };
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        begin(lengths[i]);
        unsigned messages = 0;
        assert_int_equal(pump(), SENDER_NONE);
        while (f.state == SENDER_SENDING && messages++ < 10)
            assert_int_equal(clear_to_send(), SENDER_NONE);
        assert_int_equal(sender_progress(&f), lengths[i]);
        if (lengths[i] > 7) expect_over(status(0), SENDER_DONE, SENDER_OK);
    }
}

// The status of a message that needs no flow control: nothing has shown that it is about us.
static void a_single_frame_is_answered_as_well(void **state)
{
    (void)state;
    begin(5);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(f.state, SENDER_AWAITING_STATUS);
    expect_over(status(0x19), SENDER_FAILED, SENDER_REFUSED);
    assert_int_equal(f.result, 0x19);
}

static void the_first_frame_has_its_attempts(void **state)
{
    (void)state;
    begin(100);
    const sender_events_t events = wait();
    assert_int_equal(frames, SENDER_ATTEMPTS);
    assert_int_equal(now, 5000 + SENDER_ATTEMPTS * cfg.isotp.n_bs);
    expect_over(events, SENDER_FAILED, SENDER_NO_ANSWER);
}

static void a_device_that_starts_late_is_no_trouble(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    now += cfg.isotp.n_bs;
    assert_int_equal(sender_tick(&f, now), SENDER_NONE);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    expect_over(status(0), SENDER_DONE, SENDER_OK);
}

static void later_frames_have_one(void **state)
{
    (void)state;
    begin(10000);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE); // the first message, and a first frame
    expect_over(wait(), SENDER_FAILED, SENDER_LOST_DEVICE);
}

static void a_status_before_the_first_flow_control_is_about_another_transfer(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(status(0x20), SENDER_NONE);
    assert_int_equal(status(0), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    expect_over(status(0), SENDER_DONE, SENDER_OK);
}

static void a_refusal_ends_it_in_the_middle_of_a_message(void **state)
{
    (void)state;
    begin(10000);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(in_on(0x7E8, "\x30\x08\0", 3), SENDER_NONE);
    expect_over(status(0x11), SENDER_FAILED, SENDER_REFUSED);
    assert_int_equal(f.result, 0x11);
    assert_int_equal(f.received, 10000);
}

// Nobody can have verified what was not sent.
static void success_before_the_end_is_not_ours(void **state)
{
    (void)state;
    begin(10000);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    assert_int_equal(status(0), SENDER_NONE);
    assert_int_equal(f.state, SENDER_SENDING);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    expect_over(status(0), SENDER_DONE, SENDER_OK);
}

static void the_status_may_overtake_the_confirmation_of_the_last_frame(void **state)
{
    (void)state;
    begin(10);
    assert_int_equal(pump(), SENDER_NONE);
    const can_frame_t cts = { .id = 0x7E8, .len = 3, .data = { 0x30 } };
    assert_int_equal(sender_input(&f, &cts, now), SENDER_NONE);
    assert_non_null(sender_output(&f, now));
    sender_taken(&f, now);
    assert_int_equal(status(0), SENDER_DONE);
    assert_int_equal(sender_sent(&f, now), SENDER_NONE);
}

static void after_an_overflow_the_status_says_why(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(overflow(), SENDER_NONE);
    now += 400 * USEC_MS;
    expect_over(status(0x31), SENDER_FAILED, SENDER_REFUSED);
    assert_int_equal(f.result, 0x31);
}

static void an_overflow_may_stay_unexplained(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(overflow(), SENDER_NONE);
    expect_over(wait(), SENDER_FAILED, SENDER_OVERFLOW);
    assert_int_equal(now, 5000 + SENDER_EXPLAIN_TIMEOUT);
}

static void waits_for_the_status_not_for_ever(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    expect_over(wait(), SENDER_FAILED, SENDER_NO_STATUS);
    assert_int_equal(now, 5000 + SENDER_STATUS_TIMEOUT);
}

static void other_messages_of_the_device_mean_nothing(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    assert_int_equal(in_on(0x7E8, "\x03\x7F\x10\x11", 4), SENDER_NONE);
    assert_int_equal(in_on(0x7E8, "\x06OT\0\0\0\0", 7), SENDER_NONE);
    assert_int_equal(in_on(0x7E8, "\x10\x08OT\0\0\0\0", 8), SENDER_NONE);
    assert_int_equal(in_on(0x7E8, "\x21\0\0", 3), SENDER_NONE);
    assert_int_equal(in_on(0x7E9, "\x07OT\0\0\0\0\0", 8), SENDER_NONE);
    expect_over(status(0), SENDER_DONE, SENDER_OK);
}

static void gives_up_when_another_host_sends(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    expect_over(in_on(0x7E0, "\x10\x14\0\0\0\0\0\0", 8), SENDER_FAILED, SENDER_OTHER_SENDER);
}

// The device is busy with what we sent, and tells the other one so.
static void another_host_does_not_matter_once_all_is_sent(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    assert_int_equal(in_on(0x7E0, "\x10\x14\0\0\0\0\0\0", 8), SENDER_NONE);
    assert_int_equal(overflow(), SENDER_NONE);
    expect_over(status(0), SENDER_DONE, SENDER_OK);
}

static void gives_up_when_nothing_can_be_sent(void **state)
{
    (void)state;
    begin(100);
    assert_non_null(sender_output(&f, now)); // and nobody takes it
    now = sender_deadline(&f);
    expect_over(sender_tick(&f, now), SENDER_FAILED, SENDER_NO_BUS);
}

static void wraps_an_image_for_each_protocol(void **state)
{
    (void)state;
    for (uint32_t len = 1; len < 9000; len += (len % 4095 < 4090) ? 4089 : 1) {
        uint32_t total;
        uint8_t *wrapped = sender_wrap(SENDER_PLAIN, bytes, len, &total);
        assert_non_null(wrapped);
        assert_int_equal(total, (len % 4095 == 0) ? len + 1 : len);
        if (total > len) assert_int_equal(wrapped[len], 0xFF);
        free(wrapped);
        wrapped = sender_wrap(SENDER_HEADER, bytes, len, &total);
        assert_non_null(wrapped);
        assert_int_equal(total, len + 8);
        assert_memory_equal(wrapped, "OT", 2);
        assert_int_equal(load_le32(wrapped + 2), len);
        free(wrapped);
    }
}

static void what_a_killed_sender_left_on_the_bus_is_no_other_sender(void **state)
{
    (void)state;
    begin(10000);
    can_frame_t frame = { .id = 0x7E0, .len = 8, .data = { 0x21 } };
    assert_int_equal(sender_input(&f, &frame, now), SENDER_NONE);
    assert_int_equal(pump(), SENDER_NONE);
    assert_int_equal(clear_to_send(), SENDER_NONE);
    frame.data[0] = 0x22; // but once we have begun, it is
    assert_int_equal(sender_input(&f, &frame, now), SENDER_FAILED);
    assert_int_equal(f.why, SENDER_OTHER_SENDER);
}

static void gives_up_a_device_that_only_says_wait(void **state)
{
    (void)state;
    sender_events_t events = SENDER_NONE;
    begin(10000);
    assert_int_equal(pump(), SENDER_NONE);
    const usec_t start = now;
    while (!events) {
        now += 700 * USEC_MS;
        events = in_on(0x7E8, "\x31\0\0", 3);
        events |= sender_tick(&f, now);
        assert_true(now < start + 70000 * USEC_MS);
    }
    assert_int_equal(events, SENDER_FAILED);
    assert_int_equal(f.why, SENDER_STALLED);
    assert_true(now >= start + 60000 * USEC_MS);
}

static void a_single_frame_that_nobody_answers_is_no_proof_of_a_device(void **state)
{
    (void)state;
    begin(5);
    assert_int_equal(pump(), SENDER_NONE);
    const usec_t start = now;
    now = sender_deadline(&f);
    assert_int_equal(sender_tick(&f, now), SENDER_FAILED);
    assert_int_equal(f.why, SENDER_NO_ANSWER);
    assert_int_equal(now - start, SENDER_SINGLE_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_sender_left_on_the_bus_is_no_other_sender),
        cmocka_unit_test(gives_up_a_device_that_only_says_wait),
        cmocka_unit_test(a_single_frame_that_nobody_answers_is_no_proof_of_a_device),
        cmocka_unit_test(sends_every_message_and_ends_with_the_status),
        cmocka_unit_test(a_single_frame_is_answered_as_well),
        cmocka_unit_test(the_first_frame_has_its_attempts),
        cmocka_unit_test(a_device_that_starts_late_is_no_trouble),
        cmocka_unit_test(later_frames_have_one),
        cmocka_unit_test(a_status_before_the_first_flow_control_is_about_another_transfer),
        cmocka_unit_test(a_refusal_ends_it_in_the_middle_of_a_message),
        cmocka_unit_test(success_before_the_end_is_not_ours),
        cmocka_unit_test(the_status_may_overtake_the_confirmation_of_the_last_frame),
        cmocka_unit_test(after_an_overflow_the_status_says_why),
        cmocka_unit_test(an_overflow_may_stay_unexplained),
        cmocka_unit_test(waits_for_the_status_not_for_ever),
        cmocka_unit_test(other_messages_of_the_device_mean_nothing),
        cmocka_unit_test(gives_up_when_another_host_sends),
        cmocka_unit_test(another_host_does_not_matter_once_all_is_sent),
        cmocka_unit_test(gives_up_when_nothing_can_be_sent),
        cmocka_unit_test(wraps_an_image_for_each_protocol),
    };
    return cmocka_run_group_tests_name("sender", tests, NULL, NULL);
}
