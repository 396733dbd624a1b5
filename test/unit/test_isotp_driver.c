// test_isotp_driver.c - ISO-TP: a driver with a queue, which confirms late, loses frames or is reset, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);
static const isotp_cfg_t apart = CFG_APART;

static void sent_means_confirmed(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * confirm 20\n"
               "0  * start 3\n"
               "0  < 03 00 01 02\n"
               "5  * start 2\n"
               "5  ! busy\n"
               "20 ! SENT\n"
               "21 * start 2\n"
               "21 < 02 00 01\n"
               "41 ! SENT\n");
}

static void keeps_the_driver_busy_when_no_gap_is_asked_for(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * confirm 1\n"
               "0   * start 230                  ; 6 + 32 x 7\n"
               "0   < 10 E6 00..05\n"
               "2   > 30 00 00\n"
               "2   < 21 06..0C\n"
               "2   < 22 0D..13\n"
               "2   < 23 14..1A\n"
               "2   < 24 1B..21\n"
               "2   < 25 22..28\n"
               "2   < 26 29..2F\n"
               "2   < 27 30..36\n"
               "2   < 28 37..3D\n"
               "2   < 29 3E..44\n"
               "2   < 2A 45..4B\n"
               "2   < 2B 4C..52\n"
               "2   < 2C 53..59\n"
               "2   < 2D 5A..60\n"
               "2   < 2E 61..67\n"
               "2   < 2F 68..6E\n"
               "2   < 20 6F..75\n"
               "2   < 21 76..7C\n"
               "2   < 22 7D..83\n"
               "2   < 23 84..8A\n"
               "2   < 24 8B..91\n"
               "2   < 25 92..98\n"
               "2   < 26 99..9F\n"
               "2   < 27 A0..A6\n"
               "2   < 28 A7..AD\n"
               "2   < 29 AE..B4\n"
               "2   < 2A B5..BB\n"
               "2   < 2B BC..C2\n"
               "2   < 2C C3..C9\n"
               "2   < 2D CA..D0\n"
               "2   < 2E D1..D7\n"
               "2   < 2F D8..DE   ; 31 are under way\n"
               "3   < 20 DF..E5\n"
               "4   ! SENT\n");
}

static void confirmations_are_counted_to_the_right_direction(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 10\n"
               "0   * start 20\n"
               "0   < 10 14 00..05\n"
               "1   > 10 14 00*6\n"
               "1   ! BEGIN 20\n"
               "1   < 30 00 00\n"
               "5   > 30 01 00\n"
               "5   < 21 06..0C\n"
               "145 ! TX_FAILED TIMEOUT_BS       ; 15 + 130\n"
               "151 ! RX_FAILED TIMEOUT_CR       ; 11 + 140\n");
    transcript(&apart,
               "0   * confirm 10\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "0   < 30 00 00\n"
               "2   * start 3\n"
               "2   < 03 00..02\n"
               "12  ! SENT\n"
               "150 ! RX_FAILED TIMEOUT_CR\n");
}

static void thirty_one_frames_of_both_directions_may_be_under_way(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 10\n"
               "0   * start 251\n"
               "0   < 10 FB 00..05\n"
               "11  > 30 00 00\n"
               "11  < 21 06..0C\n"
               "11  < 22 0D..13\n"
               "11  < 23 14..1A\n"
               "11  < 24 1B..21\n"
               "11  < 25 22..28\n"
               "11  < 26 29..2F\n"
               "11  < 27 30..36\n"
               "11  < 28 37..3D\n"
               "11  < 29 3E..44\n"
               "11  < 2A 45..4B\n"
               "11  < 2B 4C..52\n"
               "11  < 2C 53..59\n"
               "11  < 2D 5A..60\n"
               "11  < 2E 61..67\n"
               "11  < 2F 68..6E\n"
               "11  < 20 6F..75\n"
               "11  < 21 76..7C\n"
               "11  < 22 7D..83\n"
               "11  < 23 84..8A\n"
               "11  < 24 8B..91\n"
               "11  < 25 92..98\n"
               "11  < 26 99..9F\n"
               "11  < 27 A0..A6\n"
               "11  < 28 A7..AD\n"
               "11  < 29 AE..B4\n"
               "11  < 2A B5..BB\n"
               "11  < 2B BC..C2\n"
               "11  < 2C C3..C9\n"
               "11  < 2D CA..D0\n"
               "11  < 2E D1..D7\n"
               "11  < 2F D8..DE\n"
               "12  > 10 08 01..06               ; its flow control has to wait, and is the next\n"
               "12  ! BEGIN 8\n"
               "21  < 30 00 00\n"
               "21  < 20 DF..E5\n"
               "21  < 21 E6..EC\n"
               "21  < 22 ED..F3\n"
               "21  < 23 F4..FA\n"
               "31  ! SENT\n"
               "32  > 21 07 08\n"
               "32  ! END\n");
}

static void a_block_is_the_same_with_a_queue(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 1\n"
               "0   * start 83\n"
               "0   < 10 53 00..05\n"
               "2   > 30 03 00\n"
               "2   < 21 06..0C\n"
               "2   < 22 0D..13\n"
               "2   < 23 14..1A\n"
               "2.5 > 30 02 0A                   ; overtakes: 3 are still under way\n"
               "2.5 < 24 1B..21\n"
               "13.5 < 25 22..28\n"
               "15  > 30 00 00\n"
               "15  < 26 29..2F\n"
               "15  < 27 30..36\n"
               "15  < 28 37..3D\n"
               "15  < 29 3E..44\n"
               "15  < 2A 45..4B\n"
               "15  < 2B 4C..52\n"
               "16  ! SENT\n");
}

static void one_frame_after_the_other_leaves_a_slow_driver(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 41                   ; 6 + 5 x 7\n"
               "0   < 10 29 00..05\n"
               "1   * confirm 2\n"
               "1   > 30 04 00\n"
               "1   < 21 06..0C\n"
               "1   < 22 0D..13\n"
               "1   < 23 14..1A\n"
               "1   < 24 1B..21\n"
               "133 ! TX_FAILED TIMEOUT_BS\n");
}

static void a_confirmation_that_belongs_to_no_frame_is_ignored(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * stray\n"
               "1 * start 2\n"
               "1 < 02 00 01\n"
               "1 ! SENT\n"
               "2 * stray\n");
}

static void a_driver_reset_does_not_leave_the_message_hanging(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 10\n"
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "5    * lost\n"
               "5    ! TX_FAILED TIMEOUT_A\n"
               "1001 * start 2\n"
               "1001 < 02 00 01\n"
               "1011 ! SENT\n");
}

static void a_driver_reset_in_the_middle_of_a_message_ends_it(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * confirm 10\n"
               "0   * start 251\n"
               "0   < 10 FB 00..05\n"
               "11  > 30 00 00\n"
               "11  < 21 06..0C\n"
               "11  < 22 0D..13\n"
               "11  < 23 14..1A\n"
               "11  < 24 1B..21\n"
               "11  < 25 22..28\n"
               "11  < 26 29..2F\n"
               "11  < 27 30..36\n"
               "11  < 28 37..3D\n"
               "11  < 29 3E..44\n"
               "11  < 2A 45..4B\n"
               "11  < 2B 4C..52\n"
               "11  < 2C 53..59\n"
               "11  < 2D 5A..60\n"
               "11  < 2E 61..67\n"
               "11  < 2F 68..6E\n"
               "11  < 20 6F..75\n"
               "11  < 21 76..7C\n"
               "11  < 22 7D..83\n"
               "11  < 23 84..8A\n"
               "11  < 24 8B..91\n"
               "11  < 25 92..98\n"
               "11  < 26 99..9F\n"
               "11  < 27 A0..A6\n"
               "11  < 28 A7..AD\n"
               "11  < 29 AE..B4\n"
               "11  < 2A B5..BB\n"
               "11  < 2B BC..C2\n"
               "11  < 2C C3..C9\n"
               "11  < 2D CA..D0\n"
               "11  < 2E D1..D7\n"
               "11  < 2F D8..DE\n"
               "15  * lost                      ; the rest would be for nothing, and SENT a lie\n"
               "15  ! TX_FAILED TIMEOUT_A\n");
}

static void a_driver_reset_ends_each_state_in_which_it_had_a_frame(void **state)
{
    (void)state;
    transcript(&apart, // the last frame of a message
               "0 * confirm 10\n"
               "0 * start 3\n"
               "0 < 03 00..02\n"
               "5 * lost\n"
               "5 ! TX_FAILED TIMEOUT_A\n");
    transcript(&apart, // a gap begins when the frame has left
               "0 * start 27\n"
               "0 < 10 1B 00..05\n"
               "1 * confirm 10\n"
               "1 > 30 00 05\n"
               "1 < 21 06..0C\n"
               "5 * lost\n"
               "5 ! TX_FAILED TIMEOUT_A\n");
    transcript(&apart, // the last frame of a block
               "0 * start 27\n"
               "0 < 10 1B 00..05\n"
               "1 * confirm 10\n"
               "1 > 30 01 00\n"
               "1 < 21 06..0C\n"
               "5 * lost\n"
               "5 ! TX_FAILED TIMEOUT_A\n");
}

static void a_driver_reset_after_the_peer_has_answered_is_no_loss(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 10\n"
               "0   * start 27\n"
               "0   < 10 1B 00..05\n"
               "1   > 31 00 00                   ; so it has left\n"
               "5   * lost\n"
               "6   > 30 00 00\n"
               "6   < 21 06..0C\n"
               "6   < 22 0D..13\n"
               "6   < 23 14..1A\n"
               "16  ! SENT\n");
}

static void a_driver_reset_without_frames_under_way_changes_nothing(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * lost\n"
               "1   * start 20\n"
               "1   < 10 14 00..05\n"
               "2   * lost\n"
               "3   > 30 00 0A\n"
               "3   < 21 06..0C\n"
               "4   * lost\n"
               "13  < 22 0D..13\n"
               "13  ! SENT\n"
               "14  > 10 08 01..06\n"
               "14  ! BEGIN 8\n"
               "14  < 30 00 00\n"
               "15  * lost\n"
               "16  > 21 07 08\n"
               "16  ! END\n");
}

static void a_driver_reset_that_loses_a_flow_control_costs_n_ar(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 10\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "0   < 30 00 00\n"
               "5   * lost\n"
               "120 ! RX_FAILED TIMEOUT_A\n");
    transcript(&apart, // it is only one direction's
               "0   * confirm 10\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "0   < 30 00 00\n"
               "1   * driver off\n"
               "2   * start 3\n"
               "5   * lost\n"
               "6   * driver on\n"
               "6   < 03 00..02\n"
               "16  ! SENT\n"
               "120 ! RX_FAILED TIMEOUT_A\n");
}

static void a_message_that_was_only_shown_survives_a_driver_reset(void **state)
{
    (void)state;
    transcript(&apart,
               "0  * driver off\n"
               "0  * start 3\n"
               "1  * lost\n"
               "2  * driver on\n"
               "2  < 03 00..02\n"
               "2  ! SENT\n");
}

static void a_block_is_not_longer_after_a_message_that_was_cut_short(void **state)
{
    (void)state;
    transcript(&apart,
               "0 > 10 64 00*6\n"
               "0 ! BEGIN 100\n"
               "0 < 30 00 00\n"
               "1 > 21 00*7\n"
               "2 * confirm 10\n"
               "2 * auto 2\n"
               "2 > 10 29 00*6                  ; 6 + 5 x 7\n"
               "2 ! RX_FAILED UNEXP_PDU\n"
               "2 ! BEGIN 41\n"
               "2 < 30 02 00\n"
               "3 > 21 00*7                     ; overtakes the confirmation\n"
               "4 > 22 00*7\n"
               "4 < 30 02 00\n"
               "15 > 23 00*7\n"
               "16 > 24 00*7\n"
               "16 < 30 02 00\n"
               "27 > 25 00*7\n"
               "27 ! END\n");
}

static void the_rest_of_a_block_larger_than_the_message_is_no_end_either(void **state)
{
    (void)state;
    for (unsigned block = 4; block <= 8; block++) {
        transcript_add("0 * start 30\n0 < 10 1E 00..05\n1 * confirm 1\n"); // 6 + 3 x 7 + 3
        transcript_add("1 * driver 1\n1 > 30 %02X 00\n1 < 21 06..0C\n", block);
        transcript_add("3 > 32 00 00\n4 * driver 1\n4 < 22 0D..13\n");
        transcript_add("6 > 32 00 00\n7 * driver 1\n7 < 23 14..1A\n");
        transcript_add("9 > 32 00 00\n10 * driver on\n10 < 24 1B..1D\n11 ! SENT\n");
        transcript_added(&apart);
    }
}

static void after_a_driver_reset_confirmations_are_counted_anew(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 10\n"
               "0   * start 34\n"
               "0   < 10 22 00..05\n"
               "11  > 30 00 00\n"
               "11  < 21 06..0C\n"
               "11  < 22 0D..13\n"
               "11  < 23 14..1A\n"
               "11  < 24 1B..21\n"
               "12  * lost\n"
               "12  ! TX_FAILED TIMEOUT_A\n"
               "20  * start 3\n"
               "20  < 03 00..02\n"
               "30  ! SENT\n"
               "31  > 10 14 00*6\n"
               "31  ! BEGIN 20\n"
               "31  < 30 00 00\n"
               "181 ! RX_FAILED TIMEOUT_CR       ; 41 + 140\n");
}

static void n_as_runs_while_the_queue_has_no_room_for_a_message(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 251\n"
               "0   < 10 FB 00..05\n"
               "1   * confirm 500\n"
               "1   > 30 00 00\n"
               "1   < 21 06..0C\n"
               "1   < 22 0D..13\n"
               "1   < 23 14..1A\n"
               "1   < 24 1B..21\n"
               "1   < 25 22..28\n"
               "1   < 26 29..2F\n"
               "1   < 27 30..36\n"
               "1   < 28 37..3D\n"
               "1   < 29 3E..44\n"
               "1   < 2A 45..4B\n"
               "1   < 2B 4C..52\n"
               "1   < 2C 53..59\n"
               "1   < 2D 5A..60\n"
               "1   < 2E 61..67\n"
               "1   < 2F 68..6E\n"
               "1   < 20 6F..75\n"
               "1   < 21 76..7C\n"
               "1   < 22 7D..83\n"
               "1   < 23 84..8A\n"
               "1   < 24 8B..91\n"
               "1   < 25 92..98\n"
               "1   < 26 99..9F\n"
               "1   < 27 A0..A6\n"
               "1   < 28 A7..AD\n"
               "1   < 29 AE..B4\n"
               "1   < 2A B5..BB\n"
               "1   < 2B BC..C2\n"
               "1   < 2C C3..C9\n"
               "1   < 2D CA..D0\n"
               "1   < 2E D1..D7\n"
               "1   < 2F D8..DE\n"
               "2   * cancel\n"
               "10  * start 3\n"
               "120 ! TX_FAILED TIMEOUT_A\n");
}

static void a_frame_that_nobody_asks_for_is_not_late_behind_others_either(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 55                   ; 6 + 7 x 7\n"
               "0   < 10 37 00..05\n"
               "1   * confirm 500\n"
               "1   > 30 00 00\n"
               "1   < 21 06..0C\n"
               "1   < 22 0D..13\n"
               "1   < 23 14..1A\n"
               "1   < 24 1B..21\n"
               "1   < 25 22..28\n"
               "1   < 26 29..2F\n"
               "1   < 27 30..36                  ; seven: one more has room\n"
               "2   * cancel\n"
               "3   * asleep\n"
               "4   * start 3\n"
               "200 * tick\n"
               "450 * awake\n"
               "450 < 03 00..02\n"
               "560 ! TX_FAILED TIMEOUT_A\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_means_confirmed),
        cmocka_unit_test(keeps_the_driver_busy_when_no_gap_is_asked_for),
        cmocka_unit_test(confirmations_are_counted_to_the_right_direction),
        cmocka_unit_test(thirty_one_frames_of_both_directions_may_be_under_way),
        cmocka_unit_test(a_block_is_the_same_with_a_queue),
        cmocka_unit_test(one_frame_after_the_other_leaves_a_slow_driver),
        cmocka_unit_test(a_confirmation_that_belongs_to_no_frame_is_ignored),
        cmocka_unit_test(a_driver_reset_does_not_leave_the_message_hanging),
        cmocka_unit_test(a_driver_reset_in_the_middle_of_a_message_ends_it),
        cmocka_unit_test(a_driver_reset_ends_each_state_in_which_it_had_a_frame),
        cmocka_unit_test(a_driver_reset_after_the_peer_has_answered_is_no_loss),
        cmocka_unit_test(a_driver_reset_without_frames_under_way_changes_nothing),
        cmocka_unit_test(a_driver_reset_that_loses_a_flow_control_costs_n_ar),
        cmocka_unit_test(a_message_that_was_only_shown_survives_a_driver_reset),
        cmocka_unit_test(a_block_is_not_longer_after_a_message_that_was_cut_short),
        cmocka_unit_test(the_rest_of_a_block_larger_than_the_message_is_no_end_either),
        cmocka_unit_test(after_a_driver_reset_confirmations_are_counted_anew),
        cmocka_unit_test(n_as_runs_while_the_queue_has_no_room_for_a_message),
        cmocka_unit_test(a_frame_that_nobody_asks_for_is_not_late_behind_others_either),
    };
    return cmocka_run_group_tests_name("isotp driver", tests, NULL, NULL);
}
