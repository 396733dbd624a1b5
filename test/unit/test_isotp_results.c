// test_isotp_results.c - ISO-TP: each message is reported once and with its cause; sources, cancelling, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// --- N_Result (9.3.4) ---

static void each_result_belongs_to_one_message(void **state)
{
    (void)state;
    transcript(&plain, // a failure is not told to the message after it
               "0    * start 20\n"
               "0    < 10 14 00..05\n"
               "1    > 32 00 00\n"
               "1    ! TX_FAILED BUFFER_OVFLW\n"
               "2    * start 3\n"
               "2    < 03 00..02\n"
               "2    ! SENT\n"
               "3    * start 20\n"
               "3    < 10 14 00..05\n"
               "1003 ! TX_FAILED TIMEOUT_BS\n"
               "1004 * start 3\n"
               "1004 < 03 00..02\n"
               "1004 ! SENT\n"
               "1005 > 10 14 00*6\n"
               "1005 ! BEGIN 20\n"
               "1005 < 30 00 00\n"
               "1006 > 25 00*7\n"
               "1006 ! RX_FAILED WRONG_SN\n"
               "1007 > 02 3E 80\n"
               "1007 ! BEGIN 2\n"
               "1007 ! END\n");
}

static void the_cause_of_a_failure_stays_until_the_next(void **state)
{
    isotp_t tp;
    const can_frame_t first = { .id = 0x7E0, .len = 8, .data = { 0x10, 0x14 } };
    const can_frame_t wrong = { .id = 0x7E0, .len = 8, .data = { 0x23 } };
    const can_frame_t single = { .id = 0x7E0, .len = 3, .data = { 0x02, 0x3E, 0x80 } };
    (void)state;
    isotp_init(&tp, &plain);
    assert_int_equal(tp.rx.why, ISOTP_OK);
    assert_int_equal(tp.tx.why, ISOTP_OK);
    assert_int_equal(isotp_input(&tp, &first, 0), ISOTP_RX_BEGIN | ISOTP_RX_DATA);
    isotp_proceed(&tp, 0, 0, 0);
    assert_non_null(isotp_output(&tp, 0));
    assert_int_equal(isotp_sent(&tp, 0), ISOTP_NONE);
    assert_int_equal(isotp_input(&tp, &wrong, 0), ISOTP_RX_FAILED);
    assert_int_equal(isotp_input(&tp, &single, 0), ISOTP_RX_BEGIN | ISOTP_RX_DATA | ISOTP_RX_END);
    assert_int_equal(tp.rx.why, ISOTP_WRONG_SN);
    assert_int_equal(tp.tx.why, ISOTP_OK); // each direction its own
}

static void one_frame_may_end_a_message_and_be_another(void **state)
{
    isotp_t tp;
    const can_frame_t first = { .id = 0x7E0, .len = 8, .data = { 0x10, 0x14 } };
    const can_frame_t single = { .id = 0x7E0, .len = 3, .data = { 0x02, 0x3E, 0x80 } };
    (void)state;
    isotp_init(&tp, &plain);
    (void)isotp_input(&tp, &first, 0);
    assert_int_equal(isotp_input(&tp, &first, 0), ISOTP_RX_FAILED | ISOTP_RX_BEGIN | ISOTP_RX_DATA);
    assert_int_equal(isotp_input(&tp, &single, 0),
                     ISOTP_RX_FAILED | ISOTP_RX_BEGIN | ISOTP_RX_DATA | ISOTP_RX_END);
    assert_int_equal(tp.rx.why, ISOTP_UNEXP_PDU);
}

static void refuses_a_second_message_while_the_first_is_under_way(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1    * start 3\n"
               "1    ! busy\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n");
}

static void a_message_is_refused_until_the_one_before_was_reported(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * confirm 5\n"
               "0  * start 20\n"
               "0  < 10 14 00..05\n"
               "1  * start 3                     ; the First Frame has not left\n"
               "1  ! busy\n"
               "6  * start 3                     ; flow control is awaited\n"
               "6  ! busy\n"
               "7  > 30 00 0A\n"
               "7  < 21 06..0C\n"
               "8  * start 3\n"
               "8  ! busy\n"
               "13 * start 3                     ; the gap\n"
               "13 ! busy\n"
               "22 < 22 0D..13\n"
               "23 * start 3\n"
               "23 ! busy\n"
               "27 ! SENT\n"
               "28 * start 3\n"
               "28 < 03 00..02\n"
               "33 ! SENT\n");
}

static void data_comes_frame_by_frame(void **state)
{
    isotp_t tp;
    can_frame_t f = { .id = 0x7E0, .len = 8, .data = { 0x10, 0x0F, 1, 2, 3, 4, 5, 6 } };
    (void)state;
    isotp_init(&tp, &plain);
    assert_int_equal(isotp_input(&tp, &f, 0), ISOTP_RX_BEGIN | ISOTP_RX_DATA);
    assert_int_equal(tp.rx.len, 15);
    assert_int_equal(tp.rx.at, 0);
    assert_int_equal(tp.rx.data_len, 6);
    assert_ptr_equal(tp.rx.data, f.data + 2); // inside the frame: nothing is copied
    assert_int_equal(tp.rx.cf_len, 7);
    isotp_proceed(&tp, 0, 0, 0);
    (void)isotp_output(&tp, 0);
    (void)isotp_sent(&tp, 0);
    f.data[0] = 0x21;
    assert_int_equal(isotp_input(&tp, &f, 0), ISOTP_RX_DATA);
    assert_int_equal(tp.rx.at, 6);
    assert_int_equal(tp.rx.data_len, 7);
    assert_ptr_equal(tp.rx.data, f.data + 1);
    f.data[0] = 0x22; // padded: two of the seven bytes count
    assert_int_equal(isotp_input(&tp, &f, 0), ISOTP_RX_DATA | ISOTP_RX_END);
    assert_int_equal(tp.rx.at, 13);
    assert_int_equal(tp.rx.data_len, 2);
}

// --- Messages from a source ---

static void a_source_is_as_good_as_memory(void **state)
{
    (void)state;
    for (unsigned len = 1; len < 60; len++) {
        transcript_add("0 * startfrom %u\n", len);
        if (len < 8) {
            transcript_add("0 < %02X 00..%02X\n", len, len - 1);
        } else {
            transcript_add("0 < 10 %02X 00..05\n1 > 30 00 00\n", len);
            for (unsigned at = 6, i = 1; at < len; at += 7, i++)
                transcript_add("1 < 2%X %02X..%02X\n", i, at, at + 6 < len ? at + 6 : len - 1);
        }
        transcript_add("%u ! SENT\n", len < 8 ? 0 : 1);
        transcript_added(&plain);
    }
}

static void a_source_may_have_nothing_yet(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * source off\n"
               "0    * startfrom 20\n"
               "500  * source on\n"
               "500  < 10 14 00..05\n"
               "501  * source off\n"
               "600  > 30 01 0A\n"
               "1500 * source on\n"
               "1500 < 21 06..0C\n"
               "1501 * source off\n"
               "1600 > 30 00 00\n"
               "2599 * source on\n"
               "2599 < 22 0D..13\n"
               "2599 ! SENT\n");
}

static void a_source_that_has_nothing_for_n_as_ends_a_message_that_has_begun(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * source off\n"
               "0    * startfrom 3                ; nobody waits for it yet\n"
               "1001 * source on\n"
               "1001 < 03 00..02\n"
               "1001 ! SENT\n"
               "1002 * startfrom 20\n"
               "1002 < 10 14 00..05\n"
               "1003 * source off\n"
               "1010 > 30 00 00\n"
               "2010 ! TX_FAILED TIMEOUT_A\n"
               "2011 * source on\n"
               "2012 * startfrom 20\n"
               "2012 < 10 14 00..05\n"
               "2013 > 30 00 0A\n"
               "2013 < 21 06..0C\n"
               "2014 * source off\n"
               "3023 ! TX_FAILED TIMEOUT_A        ; the gap does not count\n");
}

static void asking_a_source_again_does_not_start_n_as_anew(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * startfrom 20\n"
               "0    < 10 14 00..05\n"
               "1    * source off\n"
               "2    > 30 00 00\n"
               "300  * tick\n"
               "600  * tick\n"
               "900  * tick\n"
               "1002 ! TX_FAILED TIMEOUT_A\n");
}

static void what_a_cancelled_source_had_not_is_not_held_against_the_next(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * source off\n"
               "0    * startfrom 3\n"
               "10   * cancel\n"
               "11   * asleep\n"
               "20   * start 3\n"
               "2000 * tick\n"
               "2001 * awake\n"
               "2001 < 03 00..02\n"
               "2001 ! SENT\n");
}

static void an_empty_source_does_not_delay_flow_control(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * source off\n"
               "0  * startfrom 3\n"
               "1  > 10 08 00*6\n"
               "1  ! BEGIN 8\n"
               "1  < 30 00 00\n"
               "2  > 21 00 00\n"
               "2  ! END\n"
               "10 * source on\n"
               "10 < 03 00..02\n"
               "10 ! SENT\n");
}

static void a_message_from_memory_after_one_from_a_source(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * startfrom 13\n"
               "0 < 10 0D 00..05\n"
               "1 > 30 00 00\n"
               "1 < 21 06..0C\n"
               "1 ! SENT\n"
               "2 * start 13\n"
               "2 < 10 0D 00..05\n"
               "3 * startfrom 3\n"
               "3 ! busy\n"
               "4 > 30 00 00\n"
               "4 < 21 06..0C\n"
               "4 ! SENT\n");
}

// --- Cancelling ---

static void a_cancelled_message_is_not_reported(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * cancel                    ; nothing to cancel\n"
               "1    * driver off\n"
               "1    * start 3                   ; shown to the driver\n"
               "2    * cancel\n"
               "3    * driver on\n"
               "4    * start 20\n"
               "4    < 10 14 00..05\n"
               "5    * cancel                    ; awaiting flow control\n"
               "6    > 30 00 00\n"
               "7    * start 20\n"
               "7    < 10 14 00..05\n"
               "8    > 30 00 0A\n"
               "8    < 21 06..0C\n"
               "9    * cancel                    ; in the gap\n"
               "2000 * start 3\n"
               "2000 < 03 00..02\n"
               "2000 ! SENT\n");
}

static void what_the_driver_has_taken_of_a_cancelled_message_still_leaves(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * confirm 10\n"
               "0  * start 3\n"
               "0  < 03 00..02\n"
               "5  * cancel\n"
               "6  * start 2\n"
               "6  < 02 00 01\n"
               "16 ! SENT                        ; not at 10, which was the first one\n"
               "20 * start 20\n"
               "20 < 10 14 00..05\n"
               "31 > 30 00 00\n"
               "31 < 21 06..0C\n"
               "31 < 22 0D..13\n"
               "32 * cancel\n"
               "33 * start 20\n"
               "33 < 10 14 00..05\n"
               "1043 ! TX_FAILED TIMEOUT_BS      ; 43 + 1000\n");
}

static void cancelling_a_burst_stops_it(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 34\n"
               "0 < 10 22 00..05\n"
               "1 * driver 2\n"
               "1 > 30 00 00\n"
               "1 < 21 06..0C\n"
               "1 < 22 0D..13\n"
               "2 * cancel\n"
               "3 * driver on\n"
               "4 * start 20\n"
               "4 < 10 14 00..05\n"
               "5 > 30 00 00\n"
               "5 < 21 06..0C\n"
               "5 < 22 0D..13\n"
               "5 ! SENT\n");
}

static void cancelling_leaves_the_reception_alone(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * driver off\n"
               "0  > 10 08 00*6\n"
               "0  ! BEGIN 8\n"
               "1  * start 3\n"
               "2  * cancel\n"
               "3  * driver on\n"
               "3  < 30 00 00\n"
               "4  > 21 00 00\n"
               "4  ! END\n");
}

static void a_driver_reset_after_a_cancellation_is_not_the_next_message_s(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * confirm 10\n"
               "0  * start 3\n"
               "0  < 03 00..02\n"
               "1  * cancel\n"
               "2  * lost\n"
               "3  * start 3\n"
               "3  < 03 00..02\n"
               "13 ! SENT\n");
}

static void nothing_ends_when_nothing_was_under_way_for_hours(void **state)
{
    isotp_t tp;
    (void)state;
    isotp_init(&tp, &plain);
    for (usec_t now = 0; now < 3 * 3600 * UINT64_C(1000000); now += 30 * UINT64_C(1000000)) {
        assert_int_equal(isotp_tick(&tp, now), ISOTP_NONE);
        assert_true(isotp_deadline(&tp) == USEC_NEVER);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_belongs_to_one_message),
        cmocka_unit_test(the_cause_of_a_failure_stays_until_the_next),
        cmocka_unit_test(one_frame_may_end_a_message_and_be_another),
        cmocka_unit_test(refuses_a_second_message_while_the_first_is_under_way),
        cmocka_unit_test(a_message_is_refused_until_the_one_before_was_reported),
        cmocka_unit_test(data_comes_frame_by_frame),
        cmocka_unit_test(a_source_is_as_good_as_memory),
        cmocka_unit_test(a_source_may_have_nothing_yet),
        cmocka_unit_test(a_source_that_has_nothing_for_n_as_ends_a_message_that_has_begun),
        cmocka_unit_test(asking_a_source_again_does_not_start_n_as_anew),
        cmocka_unit_test(what_a_cancelled_source_had_not_is_not_held_against_the_next),
        cmocka_unit_test(an_empty_source_does_not_delay_flow_control),
        cmocka_unit_test(a_message_from_memory_after_one_from_a_source),
        cmocka_unit_test(a_cancelled_message_is_not_reported),
        cmocka_unit_test(what_the_driver_has_taken_of_a_cancelled_message_still_leaves),
        cmocka_unit_test(cancelling_a_burst_stops_it),
        cmocka_unit_test(cancelling_leaves_the_reception_alone),
        cmocka_unit_test(a_driver_reset_after_a_cancellation_is_not_the_next_message_s),
        cmocka_unit_test(nothing_ends_when_nothing_was_under_way_for_hours),
    };
    return cmocka_run_group_tests_name("isotp results", tests, NULL, NULL);
}
