// test_isotp_wait.c - ISO-TP: WAIT, N_WFTmax and how long a peer is believed, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

static void says_wait_until_the_sink_is_ready(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    > 10 0A 00 00 00 00 00 00\n"
               "0    ! BEGIN 10\n"
               "700  < 31 00 00\n"
               "1000 > 21 00 00 00 00          ; not awaited while we hold back\n"
               "1400 < 31 00 00\n"
               "1500 * proceed 0\n"
               "1500 < 30 00 00\n"
               "1501 > 21 00 00 00 00\n"
               "1501 ! END\n");
}

static void gives_the_message_up_after_n_wftmax_waits(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    > 10 0A 00 00 00 00 00 00\n"
               "0    ! BEGIN 10\n"
               "700  < 31 00 00\n"
               "1400 < 31 00 00\n"
               "2100 < 31 00 00\n"
               "2800 ! RX_FAILED WFT_OVRN\n"
               "2900 * proceed 0               ; too late: nothing is sent\n");
}

static void counts_waits_anew_in_each_block(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "700  < 31 00 00\n"
               "1400 < 31 00 00\n"
               "2000 * proceed 1\n"
               "2000 < 30 01 00\n"
               "2001 > 21 00 00 00 00 00 00 00\n"
               "2701 < 31 00 00\n"
               "3401 < 31 00 00\n"
               "4101 < 31 00 00\n"
               "4102 * proceed 1\n"
               "4102 < 30 01 00\n"
               "4103 > 22 00 00 00 00 00 00 00\n"
               "4103 ! END\n");
}

static void never_waits_when_n_wftmax_is_0(void **state)
{
    static const isotp_cfg_t cfg = CFG(.wft_max = 0);
    (void)state;
    transcript(&cfg,
               "0   * hold\n"
               "0   > 10 0A 00 00 00 00 00 00\n"
               "0   ! BEGIN 10\n"
               "700 ! RX_FAILED WFT_OVRN\n");
}

static void says_wait_as_often_as_n_wftmax_allows(void **state)
{
    (void)state;
    for (unsigned max = 1; max <= 255; max += max < 5 ? 1 : 50) {
        isotp_cfg_t cfg = plain;
        cfg.wft_max = (uint8_t)max;
        cfg.n_br = 100 * USEC_MS;
        transcript_add("0 * hold\n0 > 10 0A 00*6\n0 ! BEGIN 10\n");
        for (unsigned i = 1; i <= max; i++)
            transcript_add("%u < 31 00 00\n", 100 * i);
        transcript_add("%u ! RX_FAILED WFT_OVRN\n", 100 * (max + 1));
        transcript_added(&cfg);
    }
}

static void proceeding_before_a_wait_has_left_takes_its_place(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * hold\n"
               "0   * driver off\n"
               "0   > 10 0A 00*6\n"
               "0   ! BEGIN 10\n"
               "800 * proceed 0\n"
               "900 * driver on\n"
               "900 < 30 00 00\n"
               "901 > 21 00*4\n"
               "901 ! END\n");
}

static void proceeding_while_a_wait_is_under_way_follows_it(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    * confirm 20\n"
               "0    > 10 14 00*6\n"
               "0    ! BEGIN 20\n"
               "700  < 31 00 00\n"
               "710  * proceed 0\n"
               "710  < 30 00 00\n"
               "1730 ! RX_FAILED TIMEOUT_CR      ; 1 s after the second has left, not the first\n");
}

static void a_wait_that_leaves_is_not_the_permission_after_it(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    * confirm 20\n"
               "0    > 10 14 00*6\n"
               "0    ! BEGIN 20\n"
               "700  < 31 00 00                  ; leaves at 720\n"
               "701  * driver off\n"
               "710  * proceed 0\n"
               "730  > 21 00*7                   ; not before our permission\n"
               "740  * driver on\n"
               "740  < 30 00 00\n"
               "1759 > 21 00*7\n"
               "1760 > 22 00*7\n"
               "1760 ! END\n");
}

static void the_default_lets_a_sink_take_28_seconds(void **state)
{
    isotp_cfg_t cfg = ISOTP_CFG_DEFAULT;
    cfg.tx_id = 0x7E8;
    cfg.rx_id = 0x7E0;
    (void)state;
    transcript_add("0 * hold\n0 > 10 0A 00*6\n0 ! BEGIN 10\n");
    for (unsigned i = 1; i <= 40; i++)
        transcript_add("%u < 31 00 00\n", 700 * i);
    transcript_add("28699 * proceed 0\n28699 < 30 00 00\n28700 > 21 00*4\n28700 ! END\n");
    transcript_added(&cfg);
}

static void the_wait_interval_starts_when_the_wait_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 100\n"
               "0    * hold\n"
               "0    > 10 0A 00 00 00 00 00 00\n"
               "0    ! BEGIN 10\n"
               "700  < 31 00 00\n"
               "1500 < 31 00 00\n"
               "1550 * refuse\n"
               "1550 < 32 00 00\n");
}

static void each_wait_starts_n_bs_anew(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 10\n"
               "0    < 10 0A 00 01 02 03 04 05\n"
               "900  > 31 00 00\n"
               "1800 > 31 08 7F                 ; BS and STmin of a WAIT mean nothing\n"
               "2700 > 30 00 00\n"
               "2700 < 21 06 07 08 09\n"
               "2700 ! SENT\n");
    transcript(&plain,
               "0    * start 10\n"
               "0    < 10 0A 00 01 02 03 04 05\n"
               "900  > 31 00 00\n"
               "1900 ! TX_FAILED TIMEOUT_BS\n");
}

static void believes_any_number_of_waits_without_a_limit(void **state)
{
    (void)state;
    transcript_add("0 * start 10\n0 < 10 0A 00..05\n");
    for (unsigned i = 1; i <= 600; i++)
        transcript_add("%u > 31 00 00\n", 900 * i);
    transcript_add("540001 > 30 00 00\n540001 < 21 06..09\n540001 ! SENT\n");
    transcript_added(&plain);
}

static void believes_as_many_waits_in_a_row_as_wft_patience_says(void **state)
{
    static const isotp_cfg_t one = CFG(.wft_patience = 1), two = CFG(.wft_patience = 2);
    (void)state;
    transcript(&one,
               "0   * start 10\n"
               "0   < 10 0A 00..05\n"
               "100 > 31 00 00\n"
               "200 > 31 00 00\n"
               "200 ! TX_FAILED WFT_OVRN\n"
               "201 > 30 00 00\n");
    transcript(&two,
               "0   * start 34\n"
               "0   < 10 22 00..05\n"
               "100 > 31 00 00\n"
               "200 > 31 00 00\n"
               "300 > 30 01 00\n"
               "300 < 21 06..0C\n"
               "400 > 31 00 00                    ; in a row: counted anew\n"
               "500 > 31 00 00\n"
               "600 > 31 00 00\n"
               "600 ! TX_FAILED WFT_OVRN\n"
               "700 * start 10\n"
               "700 < 10 0A 00..05\n"
               "800 > 31 00 00\n"
               "850 > 32 00 00\n"
               "850 ! TX_FAILED BUFFER_OVFLW\n"
               "860 * start 10\n"
               "860 < 10 0A 00..05\n"
               "870 > 31 00 00                    ; and in each message\n"
               "880 > 31 00 00\n"
               "890 > 31 00 00\n"
               "890 ! TX_FAILED WFT_OVRN\n"
               "900 * start 10\n"
               "900 < 10 0A 00..05\n"
               "910 > 31 00 00\n"
               "920 > 31 00 00\n"
               "930 > 30 00 00\n"
               "930 < 21 06..09\n"
               "930 ! SENT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_wait_until_the_sink_is_ready),
        cmocka_unit_test(gives_the_message_up_after_n_wftmax_waits),
        cmocka_unit_test(counts_waits_anew_in_each_block),
        cmocka_unit_test(never_waits_when_n_wftmax_is_0),
        cmocka_unit_test(says_wait_as_often_as_n_wftmax_allows),
        cmocka_unit_test(proceeding_before_a_wait_has_left_takes_its_place),
        cmocka_unit_test(proceeding_while_a_wait_is_under_way_follows_it),
        cmocka_unit_test(a_wait_that_leaves_is_not_the_permission_after_it),
        cmocka_unit_test(the_default_lets_a_sink_take_28_seconds),
        cmocka_unit_test(the_wait_interval_starts_when_the_wait_has_left),
        cmocka_unit_test(each_wait_starts_n_bs_anew),
        cmocka_unit_test(believes_any_number_of_waits_without_a_limit),
        cmocka_unit_test(believes_as_many_waits_in_a_row_as_wft_patience_says),
    };
    return cmocka_run_group_tests_name("isotp wait", tests, NULL, NULL);
}
