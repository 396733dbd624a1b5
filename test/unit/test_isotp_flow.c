// test_isotp_flow.c - ISO-TP: flow control, block size and STmin, in both roles, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// A log in which the peer sends (receiving), or we send, `frames` full consecutive frames.
static void blocks(unsigned frames, unsigned block, bool receiving)
{
    const unsigned len = 6 + 7 * frames;
    transcript_add("0 %s\n", receiving ? "* hold" : "* tick");
    if (!receiving) transcript_add("0 * start %u\n", len);
    transcript_add("0 %c 1%X %02X 00..05\n", receiving ? '>' : '<', len >> 8, len & 0xFF);
    if (receiving) transcript_add("0 ! BEGIN %u\n", len);
    for (unsigned i = 0; i < frames; i++) {
        const unsigned at = (6 + 7 * i) & 0xFF;
        if (i % block == 0) {
            if (receiving) transcript_add("%u * proceed %u\n", i + 1, block);
            transcript_add("%u %c 30 %02X 00\n", i + 1, receiving ? '<' : '>', block);
        }
        transcript_add("%u %c 2%X %02X..%02X\n", receiving ? i + 1 : i / block * block + 1,
                       receiving ? '>' : '<', (i + 1) & 15, at, (at + 6) & 0xFF);
    }
    transcript_add("%u ! %s\n", receiving ? frames : (frames - 1) / block * block + 1,
                   receiving ? "END" : "SENT");
    transcript_added(&plain);
}

// --- Flow status (9.6.5.1) ---

static void stops_at_an_overflow(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "1 > 32 00 00\n"
               "1 ! TX_FAILED BUFFER_OVFLW\n");
}

static void stops_at_a_reserved_flow_status(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "1 > 33 00 00\n"
               "1 ! TX_FAILED INVALID_FS\n"
               "2 * start 20\n"
               "2 < 10 14 00 01 02 03 04 05\n"
               "3 > 3F 00 00\n"
               "3 ! TX_FAILED INVALID_FS\n");
}

static void stops_at_each_reserved_flow_status(void **state)
{
    (void)state;
    for (unsigned fs = 3; fs < 16; fs++) {
        transcript_add("0 * start 20\n0 < 10 14 00..05\n");
        transcript_add("1 > 3%X 00 00\n1 ! TX_FAILED INVALID_FS\n2 > 30 00 00\n", fs);
        transcript_add("3 * start 20\n3 < 10 14 00..05\n4 > 30 01 00\n4 < 21 06..0C\n");
        transcript_add("5 > 3%X 00 00\n5 ! TX_FAILED INVALID_FS\n", fs);
        transcript_added(&plain);
    }
}

static void bs_and_stmin_of_wait_and_overflow_mean_nothing(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 34\n"
               "0  < 10 22 00..05\n"
               "1  > 31 01 7F\n"
               "2  > 30 02 05\n"
               "2  < 21 06..0C\n"
               "7  < 22 0D..13\n"
               "8  > 31 01 FF\n"
               "9  > 30 00 00\n"
               "9  < 23 14..1A\n"
               "9  < 24 1B..21\n"
               "9  ! SENT\n"
               "10 * start 34\n"
               "10 < 10 22 00..05\n"
               "11 > 32 05 7F\n"
               "11 ! TX_FAILED BUFFER_OVFLW\n");
}

static void an_overflow_later_in_the_message_stops_it_too(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 34\n"
               "0 < 10 22 00..05\n"
               "1 > 30 02 00\n"
               "1 < 21 06..0C\n"
               "1 < 22 0D..13\n"
               "2 > 32 00 00\n"
               "2 ! TX_FAILED BUFFER_OVFLW\n"
               "3 > 30 00 00\n");
    transcript(&plain,
               "0 * start 34\n"
               "0 < 10 22 00..05\n"
               "1 > 31 00 00\n"
               "2 > 32 00 00\n"
               "2 ! TX_FAILED BUFFER_OVFLW\n");
}

static void refuses_with_overflow_right_after_the_first_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 > 1F FF 00 00 00 00 00 00\n"
               "0 ! BEGIN 4095\n"
               "3 * refuse\n"
               "3 < 32 00 00\n"
               "4 > 21 00 00 00 00 00 00 00\n");
}

static void refuses_silently_later_in_the_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * auto 1\n"
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 01 00\n"
               "1 * hold\n"
               "2 > 21 00 00 00 00 00 00 00\n"
               "3 * refuse\n"
               "4 * refuse                     ; nothing to refuse any more\n"
               "5 > 22 00 00 00 00 00 00 00\n");
}

static void forgets_an_overflow_that_cannot_leave(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    * hold\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "1    * refuse\n"
               "1500 * driver on\n");
}

static void an_overflow_takes_the_place_of_a_wait(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * hold\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "1   * driver off\n"
               "710 * refuse\n"
               "720 * driver on\n"
               "720 < 32 00 00\n"
               "721 * refuse\n"
               "722 * proceed 0\n");
}

static void refusing_after_the_permission_takes_it_back(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 * driver off\n"
               "0 > 10 14 00*6\n"
               "0 ! BEGIN 20\n"
               "1 * proceed 0\n"
               "2 * refuse\n"
               "3 * driver on\n"
               "4 > 21 00*7\n");
}

static void a_new_message_comes_before_an_overflow_that_waits(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 * driver off\n"
               "0 > 10 14 00*6\n"
               "0 ! BEGIN 20\n"
               "1 * refuse\n"
               "2 > 10 08 01..06\n"
               "2 ! BEGIN 8\n"
               "3 * proceed 0\n"
               "4 * driver on\n"
               "4 < 30 00 00\n"
               "5 > 21 07 08\n"
               "5 ! END\n");
}

static void refusing_twice_is_refusing_once(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 * driver off\n"
               "0 > 10 14 00*6\n"
               "0 ! BEGIN 20\n"
               "1 * refuse\n"
               "2 * refuse\n"
               "3 * proceed 0\n"
               "4 * driver on\n"
               "4 < 32 00 00\n");
}

static void ignores_a_flow_control_that_is_too_short(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1    > 30 00\n"
               "2    > 32\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n");
}

static void a_flow_control_may_be_longer_than_3_bytes(void **state)
{
    (void)state;
    for (unsigned more = 0; more <= 5; more++) {
        transcript_add("0 * start 8\n0 < 10 08 00..05\n1 > 30 00 00 FF*%u\n", more);
        transcript_add("1 < 21 06 07\n1 ! SENT\n");
        transcript_added(&plain);
    }
}

static void an_early_permission_is_not_given_twice(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 * proceed 3                   ; none is owed\n"
               "1 > 10 14 00*6\n"
               "1 ! BEGIN 20\n"
               "2 * proceed 1\n"
               "2 < 30 01 00\n"
               "3 * proceed 2\n"
               "4 > 21 00*7\n"
               "5 * proceed 1\n"
               "5 < 30 01 00\n"
               "6 > 22 00*7\n"
               "6 ! END\n"
               "7 * proceed 1\n");
}

// --- Block size (9.6.5.2) ---

static void asks_again_after_each_block_but_not_after_the_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * stmin 05\n"
               "0 * auto 2\n"
               "0 > 10 22 00 00 00 00 00 00     ; 34 = 6 + 4 x 7\n"
               "0 ! BEGIN 34\n"
               "0 < 30 02 05\n"
               "1 > 21 00 00 00 00 00 00 00\n"
               "2 > 22 00 00 00 00 00 00 00\n"
               "2 < 30 02 05\n"
               "3 > 23 00 00 00 00 00 00 00\n"
               "4 > 24 00 00 00 00 00 00 00\n"
               "4 ! END\n");
}

static void no_limit_means_no_flow_control_in_between(void **state)
{
    (void)state;
    transcript_add("0 > 1F FF 00*6\n0 ! BEGIN 4095\n0 < 30 00 00\n");
    for (unsigned i = 1; i <= 584; i++)
        transcript_add("%u > 2%X 00*7\n", i, i & 15);
    transcript_add("585 > 29 00\n585 ! END\n");
    transcript_added(&plain);
}

static void no_limit_means_that_no_flow_control_is_awaited(void **state)
{
    (void)state;
    transcript_add("0 * start 4095\n0 < 1F FF 00..05\n0 > 30 00 00\n");
    for (unsigned i = 1, at = 6; i <= 584; i++, at += 7)
        transcript_add("0 < 2%X %02X..%02X\n", i & 15, at & 0xFF, (at + 6) & 0xFF);
    transcript_add("0 < 29 FE\n0 ! SENT\n");
    transcript_added(&plain);
}

static void asks_for_permission_after_each_block(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 34\n"
               "0 < 10 22 00 01 02 03 04 05\n"
               "1 > 30 02 00\n"
               "1 < 21 06 07 08 09 0A 0B 0C\n"
               "1 < 22 0D 0E 0F 10 11 12 13\n"
               "9 > 30 01 00                     ; block size and gap may change each time\n"
               "9 < 23 14 15 16 17 18 19 1A\n"
               "20 > 30 00 7F\n"
               "20 < 24 1B 1C 1D 1E 1F 20 21\n"
               "20 ! SENT\n");
}
// Messages that end in, with, and before the last frame of a block.
static void blocks_of_each_size(bool receiving)
{
    static const unsigned sizes[] = { 1, 2, 3, 7, 8, 15, 16, 17, 127, 128, 254, 255 };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        blocks(2 * sizes[i] + 1, sizes[i], receiving);
        blocks(2 * sizes[i], sizes[i], receiving);
        if (sizes[i] > 1) blocks(sizes[i] - 1, sizes[i], receiving);
    }
}

static void permits_exactly_as_many_frames_as_the_block_has(void **state)
{
    (void)state;
    blocks_of_each_size(true);
}

static void sends_exactly_as_many_frames_as_the_block_has(void **state)
{
    (void)state;
    blocks_of_each_size(false);
}

static void one_byte_may_be_a_block_of_its_own(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 14\n"
               "0 < 10 0E 00..05\n"
               "1 > 30 01 00\n"
               "1 < 21 06..0C\n"
               "2 > 30 01 00\n"
               "2 < 22 0D\n"
               "2 ! SENT\n"
               "3 * auto 1\n"
               "3 > 10 0E 00*6\n"
               "3 ! BEGIN 14\n"
               "3 < 30 01 00\n"
               "4 > 21 00*7\n"
               "4 < 30 01 00\n"
               "5 > 22 00\n"
               "5 ! END\n");
}

static void the_receiver_may_change_bs_and_stmin_in_each_flow_control(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 > 10 30 00*6                  ; 6 + 6 x 7\n"
               "0 ! BEGIN 48\n"
               "1 * stmin 0A\n"
               "1 * proceed 1\n"
               "1 < 30 01 0A\n"
               "2 > 21 00*7\n"
               "3 * stmin F1\n"
               "3 * proceed 2\n"
               "3 < 30 02 F1\n"
               "4 > 22 00*7\n"
               "5 > 23 00*7\n"
               "6 * stmin 00\n"
               "6 * proceed 0\n"
               "6 < 30 00 00\n"
               "7 > 24 00*7\n"
               "8 > 25 00*7\n"
               "9 > 26 00*7\n"
               "9 ! END\n");
}

static void the_sender_follows_bs_and_stmin_of_each_flow_control(void **state)
{
    (void)state;
    transcript(&plain, // (9.6.5.6)
               "0    * start 76                   ; 6 + 10 x 7\n"
               "0    < 10 4C 00..05\n"
               "1    > 30 02 0A\n"
               "1    < 21 06..0C\n"
               "11   < 22 0D..13\n"
               "12   > 30 03 00\n"
               "12   < 23 14..1A\n"
               "12   < 24 1B..21\n"
               "12   < 25 22..28\n"
               "13   > 30 02 F5\n"
               "13   < 26 29..2F\n"
               "13.5 < 27 30..36\n"
               "14   > 30 00 01\n"
               "14   < 28 37..3D\n"
               "15   < 29 3E..44\n"
               "16   < 2A 45..4B\n"
               "16   ! SENT\n");
}

static void wanted_is_what_the_peer_has_left(void **state)
{
    isotp_t tp;
    const can_frame_t first = { .id = 0x7E0, .len = 8, .data = { 0x10, 0x0F } };
    const can_frame_t next = { .id = 0x7E0, .len = 8, .data = { 0x21 } };
    (void)state;
    isotp_init(&tp, &plain);
    assert_int_equal(isotp_wanted(&tp), 0);
    (void)isotp_input(&tp, &first, 0);
    assert_int_equal(isotp_wanted(&tp), 9);
    (void)isotp_tick(&tp, 700 * USEC_MS); // our WAIT is to be sent
    assert_int_equal(isotp_wanted(&tp), 9);
    isotp_proceed(&tp, 1, 0, 700 * USEC_MS);
    assert_int_equal(isotp_wanted(&tp), 0);
    assert_non_null(isotp_output(&tp, 700 * USEC_MS));
    assert_int_equal(isotp_sent(&tp, 700 * USEC_MS), ISOTP_NONE);
    assert_int_equal(isotp_input(&tp, &next, 701 * USEC_MS), ISOTP_RX_DATA);
    assert_int_equal(isotp_wanted(&tp), 2);
}

// --- STmin (9.6.5.4) ---

static void keeps_the_gap_the_receiver_asked_for(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 27\n"
               "0  < 10 1B 00 01 02 03 04 05\n"
               "2  > 30 00 0A\n"
               "2  < 21 06 07 08 09 0A 0B 0C   ; the first needs no gap\n"
               "12 < 22 0D 0E 0F 10 11 12 13\n"
               "22 < 23 14 15 16 17 18 19 1A\n"
               "22 ! SENT\n");
}

static void the_gap_starts_when_the_frame_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 0.25\n"
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "2    > 30 00 F3                 ; 300 us\n"
               "2    < 21 06 07 08 09 0A 0B 0C\n"
               "2.55 < 22 0D 0E 0F 10 11 12 13\n"
               "2.8  ! SENT\n");
}

static void understands_every_stmin(void **state)
{
    // Reserved codes mean 127 ms (9.6.5.5), not 0: peers send at full speed.
    (void)state;
    for (unsigned code = 0; code <= 0xFF; code++) {
        double gap = 127;
        if (code <= 0x7F) gap = code;
        if (code >= 0xF1 && code <= 0xF9) gap = (code - 0xF0) * 0.1;
        transcript_add("0 * start 27\n0 < 10 1B 00..05\n0 > 30 00 %02X\n0 < 21 06..0C\n", code);
        transcript_add("%.1f < 22 0D..13\n%.1f < 23 14..1A\n", gap, 2 * gap);
        transcript_add("%.1f ! SENT\n", 2 * gap);
        transcript_added(&plain);
    }
}

static void a_gap_is_coded_by_the_next_longer_stmin(void **state)
{
    (void)state;
    for (uint32_t us = 0; us <= 130000; us++) {
        const unsigned code = isotp_stmin(us);
        assert_true(code <= 0x7F || (code >= 0xF1 && code <= 0xF9)); // never a reserved one
        const uint32_t gap = code <= 0x7F ? code * 1000 : (code - 0xF0) * 100;
        const uint32_t unit = us <= 900 ? 100 : 1000;
        assert_true(gap >= us || gap == 127000);
        assert_true(gap < us + unit);
    }
    assert_int_equal(isotp_stmin(0), 0);
    assert_int_equal(isotp_stmin(UINT32_MAX), 127);
    assert_int_equal(isotp_stmin(UINT32_MAX - 999), 127);
    assert_int_equal(isotp_stmin(UINT32_MAX - 98), 127);
}

static void keeps_its_own_gap_when_that_is_larger(void **state)
{
    static const isotp_cfg_t cfg = CFG(.min_gap = 3 * USEC_MS);
    (void)state;
    transcript(&cfg,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "0 > 30 00 00\n"
               "0 < 21 06 07 08 09 0A 0B 0C\n"
               "3 < 22 0D 0E 0F 10 11 12 13\n"
               "3 ! SENT\n");
}

static void keeps_the_gap_of_the_receiver_when_ours_is_smaller(void **state)
{
    static const isotp_cfg_t cfg = CFG(.min_gap = 3 * USEC_MS);
    (void)state;
    transcript(&cfg,
               "0 * start 41\n"
               "0 < 10 29 00..05\n"
               "0 > 30 02 03\n"
               "0 < 21 06..0C\n"
               "3 < 22 0D..13\n"
               "4 > 30 02 04\n"
               "4 < 23 14..1A\n"
               "8 < 24 1B..21\n"
               "9 > 30 00 F9\n"
               "9 < 25 22..28\n"
               "9 ! SENT\n");
}

static void the_first_frame_after_a_flow_control_needs_no_gap(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 34\n"
               "0  < 10 22 00..05\n"
               "0  > 30 02 7F\n"
               "0  < 21 06..0C\n"
               "127 < 22 0D..13\n"
               "128 > 30 02 7F\n"
               "128 < 23 14..1A\n"
               "255 < 24 1B..21\n"
               "255 ! SENT\n");
}

static void a_gap_is_never_shortened_to_make_up_for_a_late_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 34\n"
               "0  < 10 22 00..05\n"
               "0  > 30 00 0A\n"
               "0  < 21 06..0C\n"
               "1  * driver off\n"
               "17 * driver on\n"
               "17 < 22 0D..13\n"
               "18 * asleep\n"
               "40 * awake\n"
               "40 < 23 14..1A\n"
               "49.999 * tick\n"
               "50 < 24 1B..21\n"
               "50 ! SENT\n");
}

static void a_gap_that_is_over_needs_no_tick(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 20\n"
               "0  < 10 14 00..05\n"
               "0  > 30 00 0A\n"
               "0  < 21 06..0C\n"
               "1  * tick\n"
               "9.999 * stray\n"
               "10 * stray\n"
               "10 < 22 0D..13\n"
               "10 ! SENT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_at_an_overflow),
        cmocka_unit_test(stops_at_a_reserved_flow_status),
        cmocka_unit_test(stops_at_each_reserved_flow_status),
        cmocka_unit_test(bs_and_stmin_of_wait_and_overflow_mean_nothing),
        cmocka_unit_test(an_overflow_later_in_the_message_stops_it_too),
        cmocka_unit_test(refuses_with_overflow_right_after_the_first_frame),
        cmocka_unit_test(refuses_silently_later_in_the_message),
        cmocka_unit_test(forgets_an_overflow_that_cannot_leave),
        cmocka_unit_test(an_overflow_takes_the_place_of_a_wait),
        cmocka_unit_test(refusing_after_the_permission_takes_it_back),
        cmocka_unit_test(a_new_message_comes_before_an_overflow_that_waits),
        cmocka_unit_test(refusing_twice_is_refusing_once),
        cmocka_unit_test(ignores_a_flow_control_that_is_too_short),
        cmocka_unit_test(a_flow_control_may_be_longer_than_3_bytes),
        cmocka_unit_test(an_early_permission_is_not_given_twice),
        cmocka_unit_test(asks_again_after_each_block_but_not_after_the_message),
        cmocka_unit_test(no_limit_means_no_flow_control_in_between),
        cmocka_unit_test(no_limit_means_that_no_flow_control_is_awaited),
        cmocka_unit_test(asks_for_permission_after_each_block),
        cmocka_unit_test(permits_exactly_as_many_frames_as_the_block_has),
        cmocka_unit_test(sends_exactly_as_many_frames_as_the_block_has),
        cmocka_unit_test(one_byte_may_be_a_block_of_its_own),
        cmocka_unit_test(the_receiver_may_change_bs_and_stmin_in_each_flow_control),
        cmocka_unit_test(the_sender_follows_bs_and_stmin_of_each_flow_control),
        cmocka_unit_test(wanted_is_what_the_peer_has_left),
        cmocka_unit_test(keeps_the_gap_the_receiver_asked_for),
        cmocka_unit_test(the_gap_starts_when_the_frame_has_left),
        cmocka_unit_test(understands_every_stmin),
        cmocka_unit_test(a_gap_is_coded_by_the_next_longer_stmin),
        cmocka_unit_test(keeps_its_own_gap_when_that_is_larger),
        cmocka_unit_test(keeps_the_gap_of_the_receiver_when_ours_is_smaller),
        cmocka_unit_test(the_first_frame_after_a_flow_control_needs_no_gap),
        cmocka_unit_test(a_gap_is_never_shortened_to_make_up_for_a_late_frame),
        cmocka_unit_test(a_gap_that_is_over_needs_no_tick),
    };
    return cmocka_run_group_tests_name("isotp flow", tests, NULL, NULL);
}
