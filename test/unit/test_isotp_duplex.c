// test_isotp_duplex.c - ISO-TP: both directions at once, and which frame goes first, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

static void ignores_consecutive_frames_out_of_the_blue(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 21 01 02 03\n"
               "1 > 20 01 02 03\n");
}

static void ignores_a_flow_control_that_is_not_awaited(void **state)
{
    (void)state;
    transcript(&plain,
               "0  > 30 00 00\n"
               "1  * start 20\n"
               "1  < 10 14 00 01 02 03 04 05\n"
               "2  > 30 00 0A\n"
               "2  < 21 06 07 08 09 0A 0B 0C\n"
               "5  > 30 01 00                    ; in the middle of a block: does not restart it\n"
               "6  > 32 00 00\n"
               "12 < 22 0D 0E 0F 10 11 12 13\n"
               "12 ! SENT\n");
}

static void a_single_frame_replaces_a_message_in_progress(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 02 3E 00\n"
               "1 ! RX_FAILED UNEXP_PDU\n"
               "1 ! BEGIN 2\n"
               "1 ! END\n"
               "2 > 21 00 00 00 00 00 00 00\n");
}

static void a_first_frame_replaces_a_message_in_progress(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 10 08 01 02 03 04 05 06\n"
               "1 ! RX_FAILED UNEXP_PDU\n"
               "1 ! BEGIN 8\n"
               "1 < 30 00 00\n"
               "2 > 21 07 08\n"
               "2 ! END\n");
    assert_memory_equal(transcript_data, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
}

static void malformed_frames_do_not_disturb_a_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 0A 00 00 00 00 00 00\n"
               "0 ! BEGIN 10\n"
               "0 < 30 00 00\n"
               "1 > 00\n"
               "2 > 10 02 00 00 00 00 00 00\n"
               "3 > 30 00 00                    ; nobody asked\n"
               "4 > 55 00\n"
               "5 > 21 00 00 00 00\n"
               "5 ! END\n");
}

static void a_first_frame_replaces_one_that_is_held_back(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * hold\n"
               "0   > 10 14 00 00 00 00 00 00\n"
               "0   ! BEGIN 20\n"
               "690 > 10 15 01 02 03 04 05 06\n"
               "690 ! RX_FAILED UNEXP_PDU\n"
               "690 ! BEGIN 21\n"
               "1390 < 31 00 00\n"
               "1400 * refuse\n"
               "1400 < 32 00 00\n");
}

static void a_frame_that_was_shown_to_the_driver_stays_the_next_one(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * driver off\n"
               "0  * start 3\n"
               "1  > 10 08 00 00 00 00 00 00\n"
               "1  ! BEGIN 8\n"
               "10 * driver on\n"
               "10 < 03 00 01 02\n"
               "10 ! SENT\n"
               "10 < 30 00 00\n"
               "11 > 21 00 00\n"
               "11 ! END\n");
}

static void our_flow_control_goes_before_our_data(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * driver off\n"
               "0  > 10 08 00 00 00 00 00 00\n"
               "0  ! BEGIN 8\n"
               "1  * start 3\n"
               "10 * driver on\n"
               "10 < 30 00 00\n"
               "10 < 03 00 01 02\n"
               "10 ! SENT\n"
               "11 > 21 00 00\n"
               "11 ! END\n");
}

static void sends_and_receives_at_the_same_time(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "1 > 10 0D A0 A1 A2 A3 A4 A5\n"
               "1 ! BEGIN 13\n"
               "1 < 30 00 00\n"
               "2 > 30 01 00\n"
               "2 < 21 06 07 08 09 0A 0B 0C\n"
               "3 > 21 A6 A7 A8 A9 AA AB AC\n"
               "3 ! END\n"
               "4 > 02 3E 80\n"
               "4 ! BEGIN 2\n"
               "4 ! END\n"
               "5 > 30 00 00\n"
               "5 < 22 0D 0E 0F 10 11 12 13\n"
               "5 ! SENT\n");
}

static void a_flow_control_that_is_withdrawn_leaves_our_frames_as_they_were(void **state)
{
    (void)state;
    transcript(
        &plain,
        "0 * start 34\n"
        "0 < 10 22 00..05\n"
        "1 * driver 1\n"
        "1 > 30 00 00\n"
        "1 < 21 06..0C\n"
        "2 * asleep\n"
        "2 * cancel\n"
        "2 * awake\n"
        "3 * start 34\n"
        "4 * driver 1\n"
        "4 < 10 22 00..05\n"
        "5 > 10 14 00*6\n"
        "5 ! BEGIN 20\n"
        "6 > 30 00 00\n"
        "7 > 02 3E 80                     ; our flow control, shown to the driver, is obsolete\n"
        "7 ! RX_FAILED UNEXP_PDU\n"
        "7 ! BEGIN 2\n"
        "7 ! END\n"
        "8 * driver on\n"
        "8 < 21 06..0C\n"
        "8 < 22 0D..13\n"
        "8 < 23 14..1A\n"
        "8 < 24 1B..21\n"
        "8 ! SENT\n");
}

static void a_flow_control_that_is_late_leaves_our_frames_as_they_were(void **state)
{
    static const isotp_cfg_t cfg = { .tx_id = 0x7E8,
                                     .rx_id = 0x7E0,
                                     .n_as = 1000 * USEC_MS,
                                     .n_ar = 20 * USEC_MS,
                                     .n_bs = 1000 * USEC_MS };
    (void)state;
    transcript(&cfg,
               "0  * driver 1\n"
               "0  * start 27\n"
               "0  < 10 1B 00..05\n"
               "5  > 10 14 00*6\n"
               "5  ! BEGIN 20\n"
               "6  > 30 00 00\n"
               "25 ! RX_FAILED TIMEOUT_A\n"
               "26 * driver on\n"
               "26 < 21 06..0C\n"
               "26 < 22 0D..13\n"
               "26 < 23 14..1A\n"
               "26 ! SENT\n");
}

static void a_flow_control_goes_between_the_frames_of_a_burst(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 41\n"
               "0 < 10 29 00..05\n"
               "1 * driver 1\n"
               "1 > 30 00 00\n"
               "1 < 21 06..0C\n"
               "2 > 10 08 A1..A6                 ; the next frame of ours was shown already\n"
               "2 ! BEGIN 8\n"
               "3 * driver 1\n"
               "3 < 22 0D..13\n"
               "4 * driver on\n"
               "4 < 30 00 00\n"
               "4 < 23 14..1A\n"
               "4 < 24 1B..21\n"
               "4 < 25 22..28\n"
               "4 ! SENT\n"
               "5 > 21 A7 A8\n"
               "5 ! END\n");
}

static void several_frames_may_come_before_the_first_answer(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00..05\n"
               "1 * asleep\n"
               "1 > 02 3E 80\n"
               "1 ! BEGIN 2\n"
               "1 ! END\n"
               "1 > 10 14 00*6\n"
               "1 ! BEGIN 20\n"
               "1 > 10 09 00*6\n"
               "1 ! RX_FAILED UNEXP_PDU\n"
               "1 ! BEGIN 9\n"
               "1 > 30 00 00\n"
               "2 * awake\n"
               "2 < 30 00 00                     ; one, for the second message\n"
               "2 < 21 06..0C\n"
               "2 < 22 0D..13\n"
               "2 ! SENT\n"
               "3 > 21 00 00 00\n"
               "3 ! END\n");
}

static void the_peer_may_ask_while_our_answer_is_under_way(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * confirm 10\n"
               "0  > 10 0D 00*6\n"
               "0  ! BEGIN 13\n"
               "0  < 30 00 00\n"
               "1  > 21 00*7                     ; before our flow control is confirmed\n"
               "1  ! END\n"
               "2  * start 13\n"
               "2  < 10 0D 00..05\n"
               "3  > 30 00 00                    ; before our First Frame is\n"
               "3  < 21 06..0C\n"
               "4  > 10 0D 00*6\n"
               "4  ! BEGIN 13\n"
               "4  < 30 00 00\n"
               "5  > 21 00*7\n"
               "5  ! END\n"
               "13 ! SENT\n");
}

static void losing_one_direction_leaves_the_other(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00..05\n"
               "1 > 10 14 00*6\n"
               "1 ! BEGIN 20\n"
               "1 < 30 00 00\n"
               "2 > 23 00*7\n"
               "2 ! RX_FAILED WRONG_SN\n"
               "3 > 30 00 00\n"
               "3 < 21 06..0C\n"
               "3 < 22 0D..13\n"
               "3 ! SENT\n"
               "4 * start 20\n"
               "4 < 10 14 00..05\n"
               "5 > 10 14 00*6\n"
               "5 ! BEGIN 20\n"
               "5 < 30 00 00\n"
               "6 > 32 00 00\n"
               "6 ! TX_FAILED BUFFER_OVFLW\n"
               "7 > 21 00*7\n"
               "8 > 22 00*7\n"
               "8 ! END\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ignores_consecutive_frames_out_of_the_blue),
        cmocka_unit_test(ignores_a_flow_control_that_is_not_awaited),
        cmocka_unit_test(a_single_frame_replaces_a_message_in_progress),
        cmocka_unit_test(a_first_frame_replaces_a_message_in_progress),
        cmocka_unit_test(malformed_frames_do_not_disturb_a_message),
        cmocka_unit_test(a_first_frame_replaces_one_that_is_held_back),
        cmocka_unit_test(a_frame_that_was_shown_to_the_driver_stays_the_next_one),
        cmocka_unit_test(our_flow_control_goes_before_our_data),
        cmocka_unit_test(sends_and_receives_at_the_same_time),
        cmocka_unit_test(a_flow_control_that_is_withdrawn_leaves_our_frames_as_they_were),
        cmocka_unit_test(a_flow_control_that_is_late_leaves_our_frames_as_they_were),
        cmocka_unit_test(a_flow_control_goes_between_the_frames_of_a_burst),
        cmocka_unit_test(several_frames_may_come_before_the_first_answer),
        cmocka_unit_test(the_peer_may_ask_while_our_answer_is_under_way),
        cmocka_unit_test(losing_one_direction_leaves_the_other),
    };
    return cmocka_run_group_tests_name("isotp duplex", tests, NULL, NULL);
}
