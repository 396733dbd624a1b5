// test_isotp_timers.c - ISO-TP: N_As and N_Bs, and a clock that is looked at early, late or often, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);
static const isotp_cfg_t apart = CFG_APART;

// --- N_As ---

static void gives_up_when_a_frame_cannot_leave_within_n_as(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1    * driver off\n"
               "2    > 30 00 00\n"
               "1002 ! TX_FAILED TIMEOUT_A\n");
    transcript(&plain,
               "0    * confirm 3000\n"
               "0    * start 3\n"
               "0    < 03 00 01 02\n"
               "1000 ! TX_FAILED TIMEOUT_A\n");
}

static void n_as_limits_a_single_frame(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * driver off\n"
               "1   * start 3\n"
               "111 ! TX_FAILED TIMEOUT_A\n"
               "112 * driver on                 ; and it is not sent late\n"
               "113 * confirm 500\n"
               "113 * start 3\n"
               "113 < 03 00..02\n"
               "223 ! TX_FAILED TIMEOUT_A\n");
}

static void n_as_limits_a_first_frame(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * driver off\n"
               "1   * start 20\n"
               "111 ! TX_FAILED TIMEOUT_A\n"
               "113 * confirm 500\n"
               "113 * driver on\n"
               "114 * start 20\n"
               "114 < 10 14 00..05\n"
               "224 ! TX_FAILED TIMEOUT_A\n");
}

static void n_as_limits_each_consecutive_frame(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 100\n"
               "0   * start 27\n"
               "0   < 10 1B 00..05\n"
               "150 > 30 00 0A\n"
               "150 < 21 06..0C\n"
               "260 < 22 0D..13                 ; 100 to leave, 10 between\n"
               "261 * confirm 500\n"
               "370 < 23 14..1A\n"
               "480 ! TX_FAILED TIMEOUT_A\n");
    transcript(&apart,
               "0   * start 27\n"
               "0   < 10 1B 00..05\n"
               "10  > 30 00 0A\n"
               "10  < 21 06..0C\n"
               "15  * driver off\n"
               "130 ! TX_FAILED TIMEOUT_A        ; since the gap was over\n");
}

static void n_as_limits_the_last_frame_of_a_block(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 27\n"
               "0   < 10 1B 00..05\n"
               "9   * confirm 500\n"
               "10  > 30 01 00\n"
               "10  < 21 06..0C\n"
               "120 ! TX_FAILED TIMEOUT_A\n");
}

static void n_as_of_a_burst_runs_while_the_driver_keeps_its_frames(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 251                  ; 6 + 35 x 7\n"
               "0   < 10 FB 00..05\n"
               "1   * confirm 500\n"
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
               "2   < 2F D8..DE\n"
               "112 ! TX_FAILED TIMEOUT_A\n");
    transcript(&apart,
               "0   * start 83\n"
               "0   < 10 53 00..05\n"
               "1   * driver off\n"
               "2   > 30 00 00\n"
               "112 ! TX_FAILED TIMEOUT_A\n");
}

static void n_as_starts_when_the_frame_was_first_shown(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * asleep\n"
               "1   * driver off\n"
               "2   * start 3\n"
               "502 * awake\n"
               "612 ! TX_FAILED TIMEOUT_A\n");
    transcript(&apart,
               "0   * start 20\n"
               "0   < 10 14 00..05\n"
               "1   * asleep\n"
               "1   * driver off\n"
               "2   > 30 00 00\n"
               "502 * awake\n"
               "612 ! TX_FAILED TIMEOUT_A\n");
    transcript(&apart,
               "0   * startfrom 20\n"
               "0   < 10 14 00..05\n"
               "1   * asleep\n"
               "1   * driver off\n"
               "2   > 30 00 00\n"
               "502 * awake\n"
               "612 ! TX_FAILED TIMEOUT_A\n");
}

static void a_frame_that_nobody_asks_for_is_not_late(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * asleep\n"
               "1   * start 3\n"
               "111 * tick\n"
               "300 * tick\n"
               "301 * awake\n"
               "301 < 03 00..02\n"
               "301 ! SENT\n");
}

static void n_as_is_over_even_when_the_clock_was_not_looked_at(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * driver off\n"
               "0   * start 3\n"
               "1   * asleep\n"
               "700 * tick\n"
               "700 ! TX_FAILED TIMEOUT_A\n"
               "701 * tick                       ; once\n");
}

static void a_flow_control_does_not_answer_a_frame_that_never_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    * start 20\n"
               "1    > 30 00 00\n"
               "1000 ! TX_FAILED TIMEOUT_A\n");
}

static void a_refused_frame_is_not_lost(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * start 20\n"
               "0   < 10 14 00 01 02 03 04 05\n"
               "1   * driver off\n"
               "2   > 30 00 05\n"
               "500 * driver on\n"
               "500 < 21 06 07 08 09 0A 0B 0C\n"
               "501 * driver off\n"
               "600 * driver on\n"
               "600 < 22 0D 0E 0F 10 11 12 13\n"
               "600 ! SENT\n");
}

// --- N_Bs ---

static void waits_for_the_flow_control_at_most_n_bs(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n"
               "1001 > 30 00 00                 ; too late\n");
}

static void n_bs_starts_when_the_first_frame_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 600\n"
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1600 ! TX_FAILED TIMEOUT_BS\n");
}

static void n_bs_starts_when_the_last_frame_of_a_block_has_left(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 60\n"
               "0   * start 41\n"
               "0   < 10 29 00..05\n"
               "70  > 30 02 00\n"
               "70  < 21 06..0C\n"
               "70  < 22 0D..13\n"
               "200 > 30 02 00                   ; 130 later, but 70 of them count\n"
               "200 < 23 14..1A\n"
               "200 < 24 1B..21\n"
               "390 ! TX_FAILED TIMEOUT_BS\n");
}

static void n_bs_without_a_queue_is_exact(void **state)
{
    (void)state;
    transcript(&apart,
               "0      * start 41\n"
               "0      < 10 29 00..05\n"
               "129.99 > 30 01 00\n"
               "129.99 < 21 06..0C\n"
               "259.98 > 30 02 00\n"
               "259.98 < 22 0D..13\n"
               "259.98 < 23 14..1A\n"
               "389.98 ! TX_FAILED TIMEOUT_BS\n"
               "389.99 > 30 02 00\n");
}

static void n_bs_starts_anew_with_each_wait_also_after_a_block(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 20\n"
               "0   < 10 14 00..05\n"
               "1   > 30 01 00\n"
               "1   < 21 06..0C\n"
               "100 > 31 00 00\n"
               "200 > 31 00 00\n"
               "330 ! TX_FAILED TIMEOUT_BS\n");
}

static void n_bs_starts_with_a_wait_that_overtakes_the_confirmation(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 100\n"
               "0   * start 20\n"
               "0   < 10 14 00..05\n"
               "50  > 31 00 00\n"
               "180 ! TX_FAILED TIMEOUT_BS\n");
}

static void takes_a_flow_control_that_overtakes_the_confirmation(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * confirm 2\n"
               "0   * start 10\n"
               "0   < 10 0A 00 01 02 03 04 05\n"
               "1   > 30 00 0A\n"
               "1   < 21 06 07 08 09\n"
               "3   ! SENT\n");
}

static void a_late_confirmation_does_not_delay_the_first_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * confirm 5\n"
               "0 * start 10\n"
               "0 < 10 0A 00 01 02 03 04 05\n"
               "1 * driver off\n"
               "2 > 30 00 7F\n"
               "6 * driver on\n"
               "6 < 21 06 07 08 09\n"
               "11 ! SENT\n");
}

static void n_bs_starts_when_the_last_frame_has_left_not_when_it_could(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 41\n"
               "0   < 10 29 00..05\n"
               "1   * driver off\n"
               "1   > 30 02 00\n"
               "51  * driver on\n"
               "51  < 21 06..0C\n"
               "51  < 22 0D..13\n"
               "181 ! TX_FAILED TIMEOUT_BS\n");
}

static void no_flow_control_is_taken_before_the_last_frame_of_the_block(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 1\n"
               "0   * start 34\n"
               "0   < 10 22 00..05\n"
               "2   * confirm 0.5\n"
               "2   * driver off\n"
               "3   > 30 03 00\n"
               "4   * driver on\n"
               "4   < 21 06..0C\n"
               "4   < 22 0D..13\n"
               "4   < 23 14..1A\n"
               "4.2 * driver off\n"
               "4.3 > 30 00 00\n"
               "10  * driver on\n"
               "10  < 24 1B..21\n"
               "10.5 ! SENT\n");
}

static void a_confirmation_in_the_middle_of_a_block_does_not_end_it(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * start 34\n"
               "0   < 10 22 00..05\n"
               "1   * confirm 1\n"
               "1   * driver 1\n"
               "1   > 30 03 00\n"
               "1   < 21 06..0C                  ; leaves at 2\n"
               "3   > 32 00 00                   ; not awaited\n"
               "4   > 30 04 7F\n"
               "5   > 31 00 00\n"
               "6   * driver 1\n"
               "6   < 22 0D..13\n"
               "8   > 32 00 00\n"
               "9   * driver 1\n"
               "9   < 23 14..1A\n"
               "11  > 30 00 00\n"
               "12  * driver on\n"
               "12  < 24 1B..21\n"
               "13  ! SENT\n");
    transcript(&apart,
               "0   * start 34\n"
               "0   < 10 22 00..05\n"
               "1   * confirm 1\n"
               "1   * driver 1\n"
               "1   > 30 03 00\n"
               "1   < 21 06..0C\n"
               "111 ! TX_FAILED TIMEOUT_A        ; no flow control is awaited, but the driver\n");
}

// --- The clock ---

static void timers_do_not_care_where_32_bits_of_microseconds_end(void **state)
{
    (void)state;
    transcript(&apart,
               "4294960     * start 34\n"
               "4294960     < 10 22 00..05\n"
               "4294961     > 10 14 00*6\n"
               "4294961     ! BEGIN 20\n"
               "4294961     < 30 00 00\n"
               "4294967     > 30 02 0A               ; 2^32 us are 4294967.296 ms\n"
               "4294967     < 21 06..0C\n"
               "4294977     < 22 0D..13\n"
               "4295000     > 21 00*7\n"
               "4295107     ! TX_FAILED TIMEOUT_BS\n"
               "4295140     ! RX_FAILED TIMEOUT_CR\n");
    transcript(&apart,
               "4294900     * hold\n"
               "4294900     * driver off\n"
               "4294900     * start 3\n"
               "4294967.290 > 10 14 00*6\n"
               "4294967.290 ! BEGIN 20\n"
               "4295010     ! TX_FAILED TIMEOUT_A\n"
               "4295011     * driver on\n"
               "4295017.290 < 31 00 00\n"
               "4295067.290 ! RX_FAILED WFT_OVRN\n");
}

static void an_idle_channel_has_no_clock(void **state)
{
    (void)state;
    transcript(&apart,
               "0           * tick\n"
               "4294967.295 * tick               ; 2^32 - 1 us\n"
               "4294967.296 * tick\n"
               "4294968     * start 3\n"
               "4294968     < 03 00..02\n"
               "4294968     ! SENT\n"
               "8589935.295 * tick\n"
               "8600000     > 10 14 00*6         ; hours after the last tick\n"
               "8600000     ! BEGIN 20\n"
               "8600000     < 30 00 00\n"
               "8600140     ! RX_FAILED TIMEOUT_CR\n");
}

static void a_clock_looked_at_late_reports_each_direction_once(void **state)
{
    (void)state;
    transcript(&apart,
               "0    * start 20\n"
               "0    < 10 14 00..05\n"
               "1    > 10 14 00*6\n"
               "1    ! BEGIN 20\n"
               "1    < 30 00 00\n"
               "2    * asleep\n"
               "5000 * tick\n"
               "5000 ! RX_FAILED TIMEOUT_CR\n"
               "5000 ! TX_FAILED TIMEOUT_BS\n"
               "5001 * tick\n");
}

static void a_clock_looked_at_too_often_changes_nothing(void **state)
{
    (void)state;
    transcript(&apart,
               "0     * tick\n"
               "0     * start 27\n"
               "0     < 10 1B 00..05\n"
               "1     * tick\n"
               "2     > 30 02 0A\n"
               "2     < 21 06..0C\n"
               "3     * tick\n"
               "11.99 * tick\n"
               "12    < 22 0D..13\n"
               "13    > 10 14 00*6\n"
               "13    ! BEGIN 20\n"
               "13    < 30 00 00\n"
               "100   * tick\n"
               "141.9 > 30 00 00\n"
               "141.9 < 23 14..1A\n"
               "141.9 ! SENT\n"
               "150   * tick\n"
               "153   ! RX_FAILED TIMEOUT_CR\n"
               "154   * tick\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_up_when_a_frame_cannot_leave_within_n_as),
        cmocka_unit_test(n_as_limits_a_single_frame),
        cmocka_unit_test(n_as_limits_a_first_frame),
        cmocka_unit_test(n_as_limits_each_consecutive_frame),
        cmocka_unit_test(n_as_limits_the_last_frame_of_a_block),
        cmocka_unit_test(n_as_of_a_burst_runs_while_the_driver_keeps_its_frames),
        cmocka_unit_test(n_as_starts_when_the_frame_was_first_shown),
        cmocka_unit_test(a_frame_that_nobody_asks_for_is_not_late),
        cmocka_unit_test(n_as_is_over_even_when_the_clock_was_not_looked_at),
        cmocka_unit_test(a_flow_control_does_not_answer_a_frame_that_never_left),
        cmocka_unit_test(a_refused_frame_is_not_lost),
        cmocka_unit_test(waits_for_the_flow_control_at_most_n_bs),
        cmocka_unit_test(n_bs_starts_when_the_first_frame_has_left),
        cmocka_unit_test(n_bs_starts_when_the_last_frame_of_a_block_has_left),
        cmocka_unit_test(n_bs_without_a_queue_is_exact),
        cmocka_unit_test(n_bs_starts_anew_with_each_wait_also_after_a_block),
        cmocka_unit_test(n_bs_starts_with_a_wait_that_overtakes_the_confirmation),
        cmocka_unit_test(takes_a_flow_control_that_overtakes_the_confirmation),
        cmocka_unit_test(a_late_confirmation_does_not_delay_the_first_frame),
        cmocka_unit_test(n_bs_starts_when_the_last_frame_has_left_not_when_it_could),
        cmocka_unit_test(no_flow_control_is_taken_before_the_last_frame_of_the_block),
        cmocka_unit_test(a_confirmation_in_the_middle_of_a_block_does_not_end_it),
        cmocka_unit_test(timers_do_not_care_where_32_bits_of_microseconds_end),
        cmocka_unit_test(an_idle_channel_has_no_clock),
        cmocka_unit_test(a_clock_looked_at_late_reports_each_direction_once),
        cmocka_unit_test(a_clock_looked_at_too_often_changes_nothing),
    };
    return cmocka_run_group_tests_name("isotp timers", tests, NULL, NULL);
}
