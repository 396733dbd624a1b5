// test_isotp_receiver_timers.c - ISO-TP: N_Ar, N_Br and N_Cr, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);
static const isotp_cfg_t apart = CFG_APART;

// --- N_Ar, N_Br ---

static void reports_n_timeout_a_when_the_flow_control_cannot_leave(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "500  > 21 00 00 00 00 00 00 00   ; not awaited before our flow control\n"
               "1000 ! RX_FAILED TIMEOUT_A\n"
               "1500 * driver on                 ; and none is sent late\n");
    transcript(&plain,
               "0    * confirm 5000\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "1000 ! RX_FAILED TIMEOUT_A\n");
}

static void a_refused_flow_control_is_sent_when_the_driver_has_room(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * driver off\n"
               "0   > 10 0A 00 00 00 00 00 00\n"
               "0   ! BEGIN 10\n"
               "400 * driver on\n"
               "400 < 30 00 00\n"
               "401 > 21 00 00 00 00\n"
               "401 ! END\n");
}

static void n_ar_limits_each_flow_control(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * auto 1\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "0   < 30 01 00\n"
               "5   * driver off\n"
               "10  > 21 00*7\n"
               "130 ! RX_FAILED TIMEOUT_A\n");
    transcript(&apart,
               "0   * auto 1\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "0   < 30 01 00\n"
               "5   * confirm 500\n"
               "10  > 21 00*7\n"
               "10  < 30 01 00\n"
               "130 ! RX_FAILED TIMEOUT_A\n");
}

static void n_ar_starts_when_the_flow_control_was_first_shown(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * asleep\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "99  * driver off\n"
               "100 * awake\n"
               "219 * driver on\n"
               "219 < 30 00 00\n"
               "230 * driver off\n"
               "231 > 10 14 00*6\n"
               "231 ! RX_FAILED UNEXP_PDU\n"
               "231 ! BEGIN 20\n"
               "351 ! RX_FAILED TIMEOUT_A\n");
}

static void n_ar_starts_with_the_decision_of_the_sink(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * hold\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "1   * asleep\n"
               "40  * proceed 0\n"
               "130 * tick                       ; 90 of 120\n"
               "131 * awake\n"
               "131 < 30 00 00\n"
               "132 > 10 14 00*6\n"
               "132 ! RX_FAILED UNEXP_PDU\n"
               "132 ! BEGIN 20\n"
               "133 * asleep\n"
               "172 * refuse\n"
               "262 * tick\n"
               "263 * awake\n"
               "263 < 32 00 00\n");
}

static void n_ar_does_not_start_anew_when_our_message_is_cancelled(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * driver off\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "50  * start 3\n"
               "60  * cancel\n"
               "120 ! RX_FAILED TIMEOUT_A\n");
}

static void n_ar_limits_a_wait(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * hold\n"
               "0   * driver off\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "170 ! RX_FAILED TIMEOUT_A        ; N_Br 50, N_Ar 120\n"
               "200 * confirm 500\n"
               "200 * driver on\n"
               "201 > 10 14 00*6\n"
               "201 ! BEGIN 20\n"
               "251 < 31 00 00\n"
               "371 ! RX_FAILED TIMEOUT_A\n");
}

static void n_ar_limits_an_overflow_without_a_report(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * hold\n"
               "0   * driver off\n"
               "0   > 10 14 00*6\n"
               "0   ! BEGIN 20\n"
               "10  * refuse\n"
               "129 * driver on\n"
               "129 < 32 00 00\n"
               "200 * driver off\n"
               "200 > 10 14 00*6\n"
               "200 ! BEGIN 20\n"
               "210 * refuse\n"
               "330.001 * driver on\n");
}

static void n_br_starts_when_the_last_frame_of_the_block_came(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * hold\n"
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "49  * proceed 2\n"
               "49  < 30 02 00\n"
               "60  > 21 00*7\n"
               "90  > 22 00*7\n"
               "140 < 31 00 00\n"
               "189 * proceed 2\n"
               "189 < 30 02 00\n"
               "190 > 23 00*7\n"
               "191 > 24 00*7\n"
               "191 ! END\n");
}

static void n_br_starts_again_when_a_wait_has_left(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * hold\n"
               "0   * confirm 30\n"
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "50  < 31 00 00\n"
               "130 ! RX_FAILED WFT_OVRN         ; 50 + 30 + 50\n");
}

// --- N_Cr ---

static void gives_up_when_the_next_frame_is_late(void **state)
{
    (void)state;
    transcript(&plain,
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "999  > 21 00 00 00 00 00 00 00  ; in time\n"
               "1999 ! RX_FAILED TIMEOUT_CR\n"
               "2000 > 22 00 00 00 00 00 00 00  ; too late\n");
}

static void n_cr_starts_when_the_flow_control_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 300\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "1300 ! RX_FAILED TIMEOUT_CR\n");
}

static void n_cr_starts_when_each_flow_control_has_left(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * auto 1\n"
               "0   * confirm 100\n"
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "0   < 30 01 00\n"
               "239 > 21 00*7                    ; in time: 100 + 139\n"
               "239 < 30 01 00\n"
               "479 ! RX_FAILED TIMEOUT_CR\n");
}

static void n_cr_starts_when_each_frame_came(void **state)
{
    (void)state;
    transcript(&apart,
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "0   < 30 00 00\n"
               "139 > 21 00*7\n"
               "278 > 22 00*7\n"
               "418 ! RX_FAILED TIMEOUT_CR\n"
               "418.001 > 23 00*7\n");
    transcript(&apart,
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "0   < 30 00 00\n"
               "139 > 21 00*7\n"
               "150 > 22 00*6                    ; not the one awaited: the clock goes on\n"
               "160 > 41 00*7\n"
               "170 > 30 00 00\n"
               "279 ! RX_FAILED TIMEOUT_CR\n");
}

static void n_cr_behind_an_address_starts_when_each_frame_came(void **state)
{
    isotp_cfg_t cfg = apart;
    cfg.prefixed = true;
    cfg.tx_address = 0xF1;
    cfg.rx_address = 0x10;
    (void)state;
    transcript(&cfg,
               "0   > 10 10 22 00*5\n"
               "0   ! BEGIN 34\n"
               "0   < F1 30 00 00\n"
               "139 > 10 21 00*6\n"
               "278 > 10 22 00*6\n"
               "418 ! RX_FAILED TIMEOUT_CR\n");
}

static void n_cr_does_not_start_anew_with_a_late_confirmation(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 100\n"
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "0   < 30 00 00\n"
               "50  > 21 00*7\n"
               "190 ! RX_FAILED TIMEOUT_CR\n");
}

static void n_br_does_not_start_anew_with_a_late_confirmation(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * confirm 100\n"
               "0   * auto 1\n"
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "0   < 30 01 00\n"
               "1   * hold\n"
               "70  > 21 00*7\n"
               "120 < 31 00 00\n"
               "150 * refuse\n");
}

static void takes_a_frame_that_overtakes_the_confirmation(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 2\n"
               "0    > 10 0F 00 00 00 00 00 00\n"
               "0    ! BEGIN 15\n"
               "0    < 30 00 00\n"
               "1    > 21 00 00 00 00 00 00 00\n"
               "2.5  > 22 00 00\n"
               "2.5  ! END\n");
}

static void a_whole_block_may_overtake_the_confirmation(void **state)
{
    (void)state;
    transcript(&apart,
               "0   * auto 2\n"
               "0   * confirm 10\n"
               "0   > 10 22 00*6\n"
               "0   ! BEGIN 34\n"
               "0   < 30 02 00\n"
               "1   > 21 00*7\n"
               "2   > 22 00*7\n"
               "2   < 30 02 00                   ; leaves at 12, the first one at 10\n"
               "152 ! RX_FAILED TIMEOUT_CR\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_n_timeout_a_when_the_flow_control_cannot_leave),
        cmocka_unit_test(a_refused_flow_control_is_sent_when_the_driver_has_room),
        cmocka_unit_test(n_ar_limits_each_flow_control),
        cmocka_unit_test(n_ar_starts_when_the_flow_control_was_first_shown),
        cmocka_unit_test(n_ar_starts_with_the_decision_of_the_sink),
        cmocka_unit_test(n_ar_does_not_start_anew_when_our_message_is_cancelled),
        cmocka_unit_test(n_ar_limits_a_wait),
        cmocka_unit_test(n_ar_limits_an_overflow_without_a_report),
        cmocka_unit_test(n_br_starts_when_the_last_frame_of_the_block_came),
        cmocka_unit_test(n_br_starts_again_when_a_wait_has_left),
        cmocka_unit_test(gives_up_when_the_next_frame_is_late),
        cmocka_unit_test(n_cr_starts_when_the_flow_control_has_left),
        cmocka_unit_test(n_cr_starts_when_each_flow_control_has_left),
        cmocka_unit_test(n_cr_starts_when_each_frame_came),
        cmocka_unit_test(n_cr_behind_an_address_starts_when_each_frame_came),
        cmocka_unit_test(n_cr_does_not_start_anew_with_a_late_confirmation),
        cmocka_unit_test(n_br_does_not_start_anew_with_a_late_confirmation),
        cmocka_unit_test(takes_a_frame_that_overtakes_the_confirmation),
        cmocka_unit_test(a_whole_block_may_overtake_the_confirmation),
    };
    return cmocka_run_group_tests_name("isotp receiver timers", tests, NULL, NULL);
}
