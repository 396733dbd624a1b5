// test_isotp_peers.c - ISO-TP: what went wrong in other implementations must not go wrong here, as bus logs.
// SPDX-License-Identifier: Apache-2.0
//
// Each test is named after the fault and tells, by a number, where the list of such faults that the project began with
// has it. Faults of drivers, of threads and of buffers that this design does not have are not in here.
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// 1: both links received into the same buffer.
static void a_functional_tester_present_does_not_touch_a_download(void **state)
{
    static const isotp_cfg_t functional = { .tx_id = 0x7DF, .rx_id = 0x7DF, .functional = true };
    (void)state;
    transcript_of_two(&plain, &functional,
                      "0 > 10 0A 36 01 A0..A3\n"
                      "0 ! BEGIN 10\n"
                      "0 < 30 00 00\n"
                      "1 > 7DF 02 3E 80\n"
                      "1 ! functional BEGIN 2\n"
                      "1 ! functional END\n"
                      "2 > 7DF 10 08 00*6\n"
                      "3 > 21 A4..A7\n"
                      "3 ! END\n");
    assert_memory_equal(transcript_data, "\x36\x01\xA0\xA1\xA2\xA3\xA4\xA5\xA6\xA7", 10);
}

// 2: the length was checked by an assertion only, or not at all.
static void a_single_frame_that_claims_more_than_it_has_is_ignored(void **state)
{
    (void)state;
    for (unsigned len = 1; len <= 8; len++)
        for (unsigned claim = len; claim < 16; claim++)
            transcript_add("0 > %02X FF*%u\n", claim, len - 1);
    transcript_added(&plain);
}

static void a_message_too_long_for_a_single_frame_is_not_sent_as_one(void **state)
{
    static const isotp_cfg_t functional = { .tx_id = 0x7DF, .rx_id = 0x7DF, .functional = true };
    (void)state;
    transcript(&plain,
               "0 * start 8\n"
               "0 < 10 08 00..05\n"
               "1 * cancel\n"
               "2 * start 16\n"
               "2 < 10 10 00..05\n"
               "3 * cancel\n");
    transcript(&functional,
               "0 * start 8\n"
               "0 ! busy\n"
               "0 * startfrom 255\n"
               "0 ! busy\n"
               "0 * startfrom 256\n"
               "0 ! busy\n"
               "0 * startfrom 262\n"
               "0 ! busy\n");
}

// 3: a length of 32 bits in a signed variable.
static void a_length_with_the_top_bit_is_not_negative(void **state)
{
    (void)state;
    transcript(&plain,
               "0    > 10 00 80 00 00 00 00 01\n"
               "0    ! BEGIN 2147483648\n"
               "0    < 30 00 00\n"
               "1    > 21 02..08\n"
               "2    > 22 09..0F\n"
               "1002 ! RX_FAILED TIMEOUT_CR\n");
}

// 4: the length changed while consecutive frames were counted against the old one.
static void a_second_first_frame_starts_from_scratch(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * auto 2\n"
               "0 > 11 00 00*6\n"
               "0 ! BEGIN 256\n"
               "0 < 30 02 00\n"
               "1 > 21 00*7\n"
               "2 > 10 0F A1..A6\n"
               "2 ! RX_FAILED UNEXP_PDU\n"
               "2 ! BEGIN 15\n"
               "2 < 30 02 00\n"
               "3 > 21 A7..AD\n"
               "4 > 22 AE AF FF*5\n"
               "4 ! END\n");
    assert_int_equal(transcript_len, 15);
    assert_int_equal(transcript_data[14], 0xAF);
}

// 5: a message was given up while the driver still had frames of it.
static void a_late_confirmation_does_not_end_the_next_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 1500\n"
               "0    * start 3\n"
               "0    < 03 00..02\n"
               "1000 ! TX_FAILED TIMEOUT_A\n"
               "1100 * confirm 600\n"
               "1100 * start 2\n"
               "1100 < 02 00 01                  ; the one before leaves at 1500\n"
               "1700 ! SENT\n");
}

// 6: sending was reported when the frames were queued, its failure never, or with the next message.
static void sent_is_not_said_before_the_last_frame_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 20\n"
               "0  < 10 14 00..05\n"
               "1  * confirm 30\n"
               "1  > 30 00 00\n"
               "1  < 21 06..0C\n"
               "1  < 22 0D..13\n"
               "31 ! SENT\n"
               "32 * confirm 3000\n"
               "32 * start 3\n"
               "32 < 03 00..02\n"
               "1032 ! TX_FAILED TIMEOUT_A\n");
}

// 7: the confirmation, or the flow control, came before the state that awaits it.
static void a_fast_driver_and_a_fast_peer_are_awaited_in_time(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * stray                        ; does not count below 0\n"
               "0 * confirm 1\n"
               "0 * start 27\n"
               "0 < 10 1B 00..05\n"
               "0 > 30 01 00                     ; before the confirmation\n"
               "0 < 21 06..0C\n"
               "0 > 30 01 00\n"
               "0 < 22 0D..13\n"
               "0 > 30 01 00\n"
               "0 < 23 14..1A\n"
               "1 ! SENT\n"
               "2 * stray\n"
               "3 * start 2\n"
               "3 < 02 00 01\n"
               "4 ! SENT\n");
}

// 8: one unplugged bus stopped everything.
static void who_cannot_send_still_receives(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    * start 20\n"
               "10   > 02 3E 80\n"
               "10   ! BEGIN 2\n"
               "10   ! END\n"
               "1000 ! TX_FAILED TIMEOUT_A\n"
               "1001 * start 3\n"
               "1500 > 02 3E 80\n"
               "1500 ! BEGIN 2\n"
               "1500 ! END\n"
               "2001 ! TX_FAILED TIMEOUT_A\n"
               "2002 * driver on\n"
               "2002 * start 3\n"
               "2002 < 03 00..02\n"
               "2002 ! SENT\n");
}

// 9: a receiver waited for ever when the sender stopped after a block.
static void a_sender_that_stops_after_a_block_is_noticed(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * auto 1\n"
               "0    > 10 22 00*6\n"
               "0    ! BEGIN 34\n"
               "0    < 30 01 00\n"
               "10   > 21 00*7\n"
               "10   < 30 01 00\n"
               "1010 ! RX_FAILED TIMEOUT_CR\n");
}

// 10: OVFLW was ignored, WAIT was fatal by default.
static void overflow_and_wait_are_understood_by_default(void **state)
{
    isotp_cfg_t cfg = ISOTP_CFG_DEFAULT;
    cfg.tx_id = 0x7E8;
    cfg.rx_id = 0x7E0;
    (void)state;
    transcript(&cfg,
               "0    * start 8\n"
               "0    < 10 08 00..05\n"
               "1    > 32 00 00\n"
               "1    ! TX_FAILED BUFFER_OVFLW\n"
               "2    * start 8\n"
               "2    < 10 08 00..05\n"
               "900  > 31 00 00\n"
               "1800 > 31 00 00\n"
               "2700 > 31 00 00\n"
               "2701 > 30 00 00\n"
               "2701 < 21 06 07\n"
               "2701 ! SENT\n");
}

// 11: reserved codes of STmin were taken as 0 or 100 ms, and sent; encoding rounded down.
static void no_stmin_becomes_a_shorter_gap(void **state)
{
    static const struct {
        uint32_t us;
        unsigned code;
    } rows[] = { { 0, 0x00 },    { 1, 0xF1 },    { 100, 0xF1 },    { 101, 0xF2 },
                 { 900, 0xF9 },  { 901, 0x01 },  { 950, 0x01 },    { 1000, 0x01 },
                 { 1001, 0x02 }, { 9999, 0x0A }, { 127000, 0x7F }, { 127001, 0x7F } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(isotp_stmin(rows[i].us), rows[i].code);
    transcript(&plain,
               "0   * start 20\n"
               "0   < 10 14 00..05\n"
               "0   > 30 00 F0\n"
               "0   < 21 06..0C\n"
               "127 < 22 0D..13\n"
               "127 ! SENT\n");
}

// 12: gaps were shorter than asked for, because the clock was coarse or ran from another moment.
static void a_gap_of_10_ms_is_never_7(void **state)
{
    (void)state;
    transcript(&plain,
               "0      * confirm 3\n"
               "0      * start 27\n"
               "0      < 10 1B 00..05\n"
               "4      > 30 00 0A\n"
               "4      < 21 06..0C\n"
               "13     * tick                    ; 10 ms after it was queued\n"
               "16.999 * tick\n"
               "17     < 22 0D..13\n"
               "25     * asleep\n"
               "37     * awake                   ; late\n"
               "37     < 23 14..1A\n"
               "40     ! SENT\n");
}

// 13: one timer for STmin and for N_Bs: gaps above 100 ms were timeouts.
static void a_gap_longer_than_n_bs_is_no_timeout(void **state)
{
    static const isotp_cfg_t cfg = { .tx_id = 0x7E8,
                                     .rx_id = 0x7E0,
                                     .n_as = 25 * USEC_MS,
                                     .n_bs = 75 * USEC_MS,
                                     .n_cr = 150 * USEC_MS };
    (void)state;
    transcript(&cfg,
               "0   * start 27\n"
               "0   < 10 1B 00..05\n"
               "1   > 30 00 7F\n"
               "1   < 21 06..0C\n"
               "128 < 22 0D..13\n"
               "255 < 23 14..1A\n"
               "255 ! SENT\n");
}

// 14: flow control nobody had asked for, after each 256th frame, and sent as a message to itself.
static void without_a_block_size_256_frames_are_nothing_special(void **state)
{
    (void)state;
    transcript_add("0 > 1F FF 00*6\n0 ! BEGIN 4095\n0 < 30 00 00\n");
    for (unsigned i = 1; i <= 584; i++)
        transcript_add("1 > 2%X 00*7\n", i & 15);
    transcript_add("1 > 29 00\n1 ! END\n");
    transcript_added(&plain);
}

// 15: the sequence number began with 0, wrapped at 14, or was taken for the block size; lengths had 8 bits.
static void the_sequence_number_is_not_the_block_size(void **state)
{
    (void)state;
    for (unsigned block = 14; block <= 17; block++) {
        transcript_add("0 * auto %u\n0 > 11 04 00*6\n0 ! BEGIN 260\n0 < 30 %02X 00\n", block,
                       block);
        for (unsigned i = 1; i <= 37; i++) {
            transcript_add("%u > 2%X 00*%u\n", i, i & 15, i < 37 ? 7 : 2);
            if (i % block == 0) transcript_add("%u < 30 %02X 00\n", i, block);
        }
        transcript_add("37 ! END\n");
        transcript_added(&plain);
        transcript_add("0 * start 260\n0 < 11 04 00..05\n");
        for (unsigned i = 1, at = 6; i <= 37; i++, at += 7) {
            const unsigned t = (i - 1) / block;
            if (i % block == 1) transcript_add("%u > 30 %02X 00\n", t, block);
            transcript_add("%u < 2%X %02X..%02X\n", t, i & 15, at & 0xFF,
                           (i < 37 ? at + 6 : at + 1) & 0xFF);
        }
        transcript_add("%u ! SENT\n", 36 / block);
        transcript_added(&plain);
    }
}

// 16: lengths below the header wrapped; padding was copied; empty frames looped for ever.
static void neither_tiny_lengths_nor_tiny_frames_are_believed(void **state)
{
    (void)state;
    for (unsigned len = 1; len <= 7; len++)
        transcript_add("0 > 10 %02X FF*6\n", len);
    transcript_add("1 > 10 08 A0..A5\n1 ! BEGIN 8\n1 < 30 00 00\n");
    transcript_add("2 >\n2 > 21\n2 > 21 A6\n2 > 21 A6 A7 EE*5\n2 ! END\n");
    transcript_added(&plain);
    assert_int_equal(transcript_len, 8);
    assert_int_equal(transcript_data[8], 0);
}

// 17: a block of 2050 bytes came to a halt at byte 2013.
static void a_message_of_2050_bytes_does_not_stall(void **state)
{
    (void)state;
    for (unsigned block = 11; block <= 15; block++) {
        transcript_add("0 * auto %u\n0 > 18 02 00*6\n0 ! BEGIN 2050\n0 < 30 %02X 00\n", block,
                       block);
        for (unsigned i = 1; i <= 292; i++) {
            transcript_add("%u > 2%X 00*7\n", i, i & 15);
            if (i % block == 0 && i < 292) transcript_add("%u < 30 %02X 00\n", i, block);
        }
        transcript_add("292 ! END\n");
        transcript_added(&plain);
    }
}

// 19: the length of a frame did not get up; what an earlier frame had left was read.
static void what_a_short_frame_does_not_have_is_not_read(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00..05\n"
               "1    > 7E1 30 00 00\n"
               "2    > 30\n"
               "3    > 30 00\n"
               "4    > 03 22 F1\n"
               "5    > 10 08 A0..A4\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n");
}

// 20: the frame that the driver had was changed by the next one.
static void flow_control_does_not_change_a_frame_that_the_driver_is_shown(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * driver off\n"
               "0 * start 20\n"
               "1 > 10 08 A0..A5\n"
               "1 ! BEGIN 8\n"
               "2 * tick\n"
               "3 * driver on\n"
               "3 < 10 14 00..05\n"
               "3 < 30 00 00\n"
               "4 > 21 A6 A7\n"
               "4 ! END\n"
               "5 > 30 00 00\n"
               "5 < 21 06..0C\n"
               "5 < 22 0D..13\n"
               "5 ! SENT\n");
}

// The rest of the list.

static void a_flow_control_that_came_twice_counts_once(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 48\n"
               "0 < 10 30 00..05\n"
               "1 > 30 03 05\n"
               "1 < 21 06..0C\n"
               "1 > 30 03 05\n"
               "6 < 22 0D..13\n"
               "11 < 23 14..1A\n"
               "12 > 30 00 00\n"
               "12 < 24 1B..21\n"
               "12 < 25 22..28\n"
               "12 < 26 29..2F\n"
               "12 ! SENT\n");
}

static void a_flow_control_that_the_driver_refused_is_offered_again(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * driver off\n"
               "0   * auto 1\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "500 * driver 1\n"
               "500 < 30 01 00\n"
               "501 > 21 00*7\n"
               "900 * driver on\n"
               "900 < 30 01 00\n"
               "901 > 22 00*7\n"
               "901 ! END\n");
}

static void an_error_of_one_direction_does_not_hide_the_other_s(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00..05\n"
               "0    > 10 14 00*6\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "1000 ! RX_FAILED TIMEOUT_CR\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n");
}

static void sixty_four_kib_in_one_message_are_begun(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 > 10 00 00 01 00 02 36 01\n"
               "0 ! BEGIN 65538\n"
               "1 * proceed 1\n"
               "1 < 30 01 00\n"
               "2 > 21 00*7\n"
               "3 * proceed 0\n"
               "3 < 30 00 00\n"
               "1003 ! RX_FAILED TIMEOUT_CR\n"
               "2000 * start 65536\n"
               "2000 < 10 00 00 01 00 00 00 01\n"
               "2001 > 30 01 00\n"
               "2001 < 21 02..08\n"
               "2002 * cancel\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_functional_tester_present_does_not_touch_a_download),
        cmocka_unit_test(a_single_frame_that_claims_more_than_it_has_is_ignored),
        cmocka_unit_test(a_message_too_long_for_a_single_frame_is_not_sent_as_one),
        cmocka_unit_test(a_length_with_the_top_bit_is_not_negative),
        cmocka_unit_test(a_second_first_frame_starts_from_scratch),
        cmocka_unit_test(a_late_confirmation_does_not_end_the_next_message),
        cmocka_unit_test(sent_is_not_said_before_the_last_frame_has_left),
        cmocka_unit_test(a_fast_driver_and_a_fast_peer_are_awaited_in_time),
        cmocka_unit_test(who_cannot_send_still_receives),
        cmocka_unit_test(a_sender_that_stops_after_a_block_is_noticed),
        cmocka_unit_test(overflow_and_wait_are_understood_by_default),
        cmocka_unit_test(no_stmin_becomes_a_shorter_gap),
        cmocka_unit_test(a_gap_of_10_ms_is_never_7),
        cmocka_unit_test(a_gap_longer_than_n_bs_is_no_timeout),
        cmocka_unit_test(without_a_block_size_256_frames_are_nothing_special),
        cmocka_unit_test(the_sequence_number_is_not_the_block_size),
        cmocka_unit_test(neither_tiny_lengths_nor_tiny_frames_are_believed),
        cmocka_unit_test(a_message_of_2050_bytes_does_not_stall),
        cmocka_unit_test(what_a_short_frame_does_not_have_is_not_read),
        cmocka_unit_test(flow_control_does_not_change_a_frame_that_the_driver_is_shown),
        cmocka_unit_test(a_flow_control_that_came_twice_counts_once),
        cmocka_unit_test(a_flow_control_that_the_driver_refused_is_offered_again),
        cmocka_unit_test(an_error_of_one_direction_does_not_hide_the_other_s),
        cmocka_unit_test(sixty_four_kib_in_one_message_are_begun),
    };
    return cmocka_run_group_tests_name("isotp peers", tests, NULL, NULL);
}
