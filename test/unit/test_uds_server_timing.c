// test_uds_server_timing.c - P2, P2*, S3, the delay after wrong keys, and what ends with a session.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define EXTENDED    "0 > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n0 < 50 03 00 32 01 F4\n"
#define PROGRAMMING "0 > 10 02\n0 ! SESSION? 2\n0 ! SESSION 2\n0 < 50 02 00 32 01 F4\n"
#define SEED        "67 01 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10\n"
#define UNLOCK      "0 > 27 01\n0 ! SEED 1\n0 < " SEED "0 > 27 02 AA*16\n0 ! KEY 1 AA*16\n0 < 67 02\n"
#define DOWNLOAD    "0 > 34 00 11 00 08\n0 ! DOWNLOAD 0 8\n0 < 74 20 01 02\n"

static const uds_server_cfg_t *const cfg = &uds_test_cfg;

// --- P2 and P2*: the 0x78 ---

static void a_0x78_comes_at_0_8_p2_then_every_0_8_p2_star(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "100    * defer\n"
                   "100    > 31 01 02 03\n"
                   "100    ! ROUTINE 0203 1\n"
                   "140    < 7F 31 78\n"
                   "4140   < 7F 31 78\n"
                   "8140   < 7F 31 78\n"
                   "12139  * answer\n"
                   "12139  < 71 01 02 03 00\n"
                   "17139  ! SESSION 1\n");
}

static void the_answer_in_time_needs_no_0x78(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0       * defer\n"
                   "0       > 22 F1 90\n"
                   "0       ! READ F190\n"
                   "39.999  * answer\n"
                   "39.999  < 62 F1 90 56 49 4E\n"
                   "100     * defer\n"
                   "100     > 22 F1 90\n"
                   "100     ! READ F190\n"
                   "140     < 7F 22 78\n"
                   "140     * answer 22\n"
                   "140     < 7F 22 22\n");
}

static void p2_runs_from_the_end_of_the_request(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0   * begin 3\n"
                   "900 * data 22 F1\n"
                   "950 * data 90\n"
                   "950 * defer\n"
                   "960 * end\n"
                   "960 ! READ F190\n"
                   "1000 < 7F 22 78\n"
                   "1001 * answer\n"
                   "1001 < 62 F1 90 56 49 4E\n");
}

static void the_limits_are_what_is_configured_and_what_is_told(void **state)
{
    (void)state;
    static const uds_server_cfg_t slow =
        UDS_CFG(1, .p2_ms = 100, .p2_star_ms = 2000, .p2_extra_ms = 400, .s3_ms = 3000);
    uds_transcript(&slow,
                   "0    > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n"
                   "0    < 50 03 00 64 00 C8\n"
                   "0    * defer\n0 > 31 01 02 03\n0 ! ROUTINE 0203 1\n"
                   "80   < 7F 31 78\n"
                   "1680 < 7F 31 78\n"
                   "1700 * answer\n"
                   "1700 < 71 01 02 03 00\n"
                   // in the programming session flash may be busy for another 400 ms
                   "2000 > 10 02\n2000 ! SESSION? 2\n2000 ! SESSION 2\n"
                   "2000 < 50 02 01 F4 00 C8\n"
                   "2000 * defer\n2000 > 31 01 02 03\n2000 ! ROUTINE 0203 1\n"
                   "2080 < 7F 31 78\n"
                   "3680 < 7F 31 78\n"
                   "4001 * answer\n"
                   "4001 < 71 01 02 03 00\n"
                   "7001 ! SESSION 1\n"
                   "8000 > 10 01\n8000 ! SESSION? 1\n8000 ! SESSION 1\n"
                   "8000 < 50 01 00 64 00 C8\n");
}

static void a_0x78_that_cannot_leave_is_dropped_when_the_answer_is_there(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0   * driver off\n"
                   "0   * defer\n"
                   "0   > 22 F1 90\n"
                   "0   ! READ F190\n"
                   "60  * answer\n" // a 0x78 waits since 40
                   "70  * driver on\n"
                   "70  < 62 F1 90 56 49 4E\n");
}

static void a_0x78_under_way_is_not_overtaken(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0   * confirm 20\n"
                   "0   * defer\n"
                   "0   > 22 F1 90\n"
                   "0   ! READ F190\n"
                   "40  < 7F 22 78\n"
                   "50  * answer\n"
                   "60  < 62 F1 90 56 49 4E\n");
}

static void p2_star_runs_from_when_a_0x78_was_handed_over(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0     * confirm 900\n"
                   "0     * defer\n"
                   "0     > 22 F1 90\n"
                   "0     ! READ F190\n"
                   "40    < 7F 22 78\n"
                   "4040  < 7F 22 78\n"
                   "5000  * answer\n"
                   "5000  < 62 F1 90 56 49 4E\n");
    // however long it takes, two are never under way
    uds_transcript(cfg,
                   "0     * confirm 4500\n"
                   "0     * defer\n"
                   "0     > 22 F1 90\n"
                   "0     ! READ F190\n"
                   "40    < 7F 22 78\n"
                   "4540  < 7F 22 78\n"
                   "9039  * answer\n"
                   "9040  < 62 F1 90 56 49 4E\n");
}

static void an_answer_to_several_calls_has_one_p2(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0    * defer\n"
                   "0    > 22 F1 90 F1 8C\n"
                   "0    ! READ F190\n"
                   "30   * defer\n"
                   "30   * answer\n"
                   "30   ! READ F18C\n"
                   "40   < 7F 22 78\n"
                   "50   * answer\n"
                   "50   < 62 F1 90 56 49 4E F1 8C 01 02 03 04\n");
}

static void the_next_request_begins_without_the_0x78_of_the_last(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "0   * defer\n0 > 31 81 02 03\n0 ! ROUTINE 0203 1\n"
                   "40  < 7F 31 78\n"
                   "50  * answer\n"
                   "50  < 71 01 02 03 00\n" // although none was wanted
                   "60  * defer\n60 > 31 81 02 03\n60 ! ROUTINE 0203 1\n"
                   "61  * answer\n"
                   "70  * defer\n70 > 31 81 02 03\n70 ! ROUTINE 0203 1\n"
                   "110 < 7F 31 78\n"
                   "111 * answer\n"
                   "111 < 71 01 02 03 00\n");
}

static void a_late_clock_gives_one_0x78_not_all_that_were_missed(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0     * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "1     * asleep\n"
                   "9000  * awake\n"
                   "9000  < 7F 22 78\n"
                   "13000 < 7F 22 78\n"
                   "13001 * answer\n"
                   "13001 < 62 F1 90 56 49 4E\n");
}

// --- May the device wait? ---

static void the_device_may_wait_when_nothing_is_asked(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * wait 100000\n0 ! may wait\n"
                   "1  > 22 F1 86\n1 < 62 F1 86 01\n"
                   "1  * wait 100000\n1 ! may wait\n");
}

static void the_device_may_wait_up_to_0_8_p2(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "10 * wait 30\n10 ! may wait\n"
                   "10 * wait 30.001\n10 ! may not wait\n"
                   "10 < 7F 22 78\n" // at once: there was none before it
                   "10 * wait 4000\n10 ! may wait\n"
                   "4010 < 7F 22 78\n"
                   "4011 * answer\n4011 < 62 F1 90 56 49 4E\n");
}

static void a_0x78_brought_forward_keeps_0_3_p2_star_from_the_last(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0    * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "40   < 7F 22 78\n"
                   "41   * wait 3999\n41 ! may wait\n"
                   "41   * wait 3999.001\n41 ! may not wait\n"
                   "1000 * wait 3500\n1000 ! may not wait\n"
                   "1540 < 7F 22 78\n"
                   "1540 * wait 3900\n1540 ! may wait\n"
                   "3040 * wait 2500\n3040 ! may wait\n"
                   "3040 * wait 2501\n3040 ! may not wait\n"
                   "3040 < 7F 22 78\n"
                   "7040 < 7F 22 78\n"
                   "7041 * answer\n7041 < 62 F1 90 56 49 4E\n");
}

static void the_gap_is_counted_from_when_a_0x78_has_left(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0    * confirm 200\n"
                   "0    * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "40   < 7F 22 78\n"
                   "100  * wait 1\n100 ! may not wait\n" // it is still here
                   "240  * wait 3800\n240 ! may wait\n"
                   "240  * wait 3801\n240 ! may not wait\n"
                   "1740 < 7F 22 78\n"
                   "2000 * answer\n2000 < 62 F1 90 56 49 4E\n");
}

static void the_device_may_not_wait_while_a_response_is_due(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * driver off\n"
                   "0  > 22 F1 86\n"
                   "0  * wait 40\n0 ! may wait\n"
                   "0  * wait 41\n0 ! may not wait\n"
                   "50 * driver on\n50 < 62 F1 86 01\n"
                   "60 * driver off\n"
                   "60 * defer\n60 > 22 F1 90\n60 ! READ F190\n"
                   "100 * wait 1\n100 ! may not wait\n" // a 0x78 is
                   "100 * driver on\n100 < 7F 22 78\n"
                   "110 * confirm 10\n"
                   "110 > 31 01 02 03\n110 < 7F 31 21\n"
                   "115 * wait 1\n115 ! may not wait\n" // a 0x21 is
                   "120 * wait 1\n120 ! may wait\n"
                   "130 * answer\n130 < 62 F1 90 56 49 4E\n");
    uds_transcript(cfg,
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "1  * driver off\n1 > 3E 00\n"
                   "1  * wait 1\n1 ! may not wait\n"
                   "2  * driver on\n2 < 7F 3E 21\n"
                   "2  * wait 1\n2 ! may wait\n"
                   "3  * answer\n3 < 62 F1 90 56 49 4E\n");
}

static void a_device_that_had_to_wait_is_not_remembered(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * driver off\n"
                   "0  > 22 F1 86\n"
                   "0  * wait 41\n0 ! may not wait\n"
                   "1  * driver on\n1 < 62 F1 86 01\n"
                   "2  * defer\n2 > 22 F1 90\n2 ! READ F190\n"
                   "42 < 7F 22 78\n"
                   "43 * answer\n43 < 62 F1 90 56 49 4E\n");
}

static void the_0x78_that_a_wait_needs_is_there_at_once(void **state)
{
    (void)state;
    uds_server_t s;
    uint32_t len;
    usec_t now = 40 * USEC_MS;
    uds_server_init(&s, cfg, 0);
    uds_server_begin(&s, 3, 0);
    uds_server_data(&s, (const uint8_t *)"\x22\xF1\x90", 3);
    assert_int_equal(uds_server_end(&s, 0), UDS_SERVER_CALL);
    uds_server_tick(&s, now);
    assert_non_null(uds_server_output(&s, &len));
    uds_server_taken(&s, now);
    uds_server_sent(&s, now);
    now += 1499 * USEC_MS;
    assert_false(uds_server_can_wait(&s, now + 3000 * USEC_MS, now));
    assert_null(uds_server_output(&s, &len)); // too early
    assert_int_equal(uds_server_deadline(&s), 1540 * USEC_MS);
    now += USEC_MS;
    assert_false(uds_server_can_wait(&s, now + 3000 * USEC_MS, now));
    assert_non_null(uds_server_output(&s, &len));
    uds_server_taken(&s, now);
    uds_server_sent(&s, now);
    assert_true(uds_server_can_wait(&s, now + 3000 * USEC_MS, now));
}

// --- S3 ---

static void a_session_runs_out_after_s3(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "4999 > 3E 00\n4999 < 7E 00\n"
                   "9999 ! SESSION 1\n"
                   "9999 * state\n9999 ! state 1 0\n");
    uds_transcript(cfg, EXTENDED
                   "4999.999 * state\n4999.999 ! state 3 0\n"
                   "5000 ! SESSION 1\n");
}

static void the_default_session_does_not(void **state)
{
    (void)state;
    uds_transcript(cfg, "0 > 22 F1 86\n0 < 62 F1 86 01\n90000 > 22 F1 86\n90000 < 62 F1 86 01\n");
}

static void every_request_starts_s3_again_answered_or_not(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "4000  > 22 12 34\n4000 ! READ 1234\n4000 < 7F 22 31\n"
                   "8000  > 19\n8000 < 7F 19 11\n"
                   "12000 > 3E 80\n"
                   "16000 F 3E 80\n"
                   "20000 F 3E 00\n20000 < 7E 00\n"
                   "24000 F 19 02 FF\n" // suppressed
                   "28000 F 27 01\n"    // for one only
                   "32000 > 31 81 02 03\n32000 ! ROUTINE 0203 1\n"
                   "36000 * begin 20\n36001 * break\n"
                   "41001 ! SESSION 1\n");
}

static void s3_stands_while_a_request_comes_in_and_while_its_response_leaves(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "0     * confirm 7000\n"
                   "4999  * begin 4\n"
                   "4999  * data 31 01\n"
                   "12000 * data 02 03\n"
                   "14000 * end\n14000 ! ROUTINE 0203 1\n"
                   "14000 < 71 01 02 03 00\n" // leaves until 21000
                   "26000 ! SESSION 1\n");
    uds_transcript(cfg, EXTENDED
                   "4999  * begin 300\n"
                   "15000 * break\n"
                   "20000 ! SESSION 1\n");
    // answered without a response: from then on
    uds_transcript(cfg, EXTENDED
                   "10 * defer\n10 > 31 81 02 03\n10 ! ROUTINE 0203 1\n"
                   "40 * answer\n"
                   "5040 ! SESSION 1\n");
    // one that was refused before it was complete, but needs no answer
    uds_transcript(cfg, EXTENDED
                   "10 * defer\n10 > 22 F1 90\n10 ! READ F190\n"
                   "11 * begin 2\n11 * data 3E 80\n"
                   "12 * answer\n12 < 62 F1 90 56 49 4E\n"
                   "20 * end\n"
                   "5020 ! SESSION 1\n");
    // a 0x21 that leaves late
    uds_transcript(cfg, EXTENDED
                   "10 * defer\n10 > 22 F1 90\n10 ! READ F190\n"
                   "11 * begin 2\n11 * data 10 03\n"
                   "12 * answer\n12 < 62 F1 90 56 49 4E\n"
                   "13 * confirm 10\n"
                   "20 * end\n20 < 7F 10 21\n"
                   "5030 ! SESSION 1\n");
    // a break of what never began says nothing
    uds_transcript(cfg, EXTENDED "4999 * break\n5000 ! SESSION 1\n");
}

static void transfer_data_alone_keeps_the_session(void **state)
{
    (void)state;
    uds_transcript(cfg, PROGRAMMING UNLOCK DOWNLOAD
                   "4000  > 36 01 01\n4000 ! BLOCK 1\n4000 < 76 01\n"
                   "8000  > 36 02 01\n8000 ! BLOCK 1\n8000 < 76 02\n"
                   "12000 > 36 02 01\n12000 < 76 02\n"
                   "16000 > 36 09 01\n16000 < 7F 36 73\n"
                   "20000 * state\n20000 ! state 2 U 0 T 2/8\n"
                   "21000 ! SESSION 1\n"
                   "21000 * state\n21000 ! state 1 0\n");
}

static void s3_is_over_only_after_a_long_answer(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "0     * defer\n0 > 31 01 02 03\n0 ! ROUTINE 0203 1\n"
                   "40    < 7F 31 78\n"
                   "4040  < 7F 31 78\n"
                   "7000  * answer\n7000 < 71 01 02 03 00\n"
                   "12000 ! SESSION 1\n");
}

// --- Every transition locks and ends the transfer ---

static void every_session_change_locks_and_ends_the_transfer(void **state)
{
    (void)state;
    static const char *const changes[] = {
        "1 > 10 02\n1 ! SESSION? 2\n1 ! SESSION 2\n"
        "1 < 50 02 00 32 01 F4\n2 * state\n2 ! state 2 3 D\n",
        "1 > 10 03\n1 ! SESSION? 3\n1 ! SESSION 3\n"
        "1 < 50 03 00 32 01 F4\n2 * state\n2 ! state 3 3 D\n",
        "1 > 10 01\n1 ! SESSION? 1\n1 ! SESSION 1\n"
        "1 < 50 01 00 32 01 F4\n2 * state\n2 ! state 1 0\n",
        "1 F 10 82\n1 ! SESSION? 2\n1 ! SESSION 2\n"
        "2 * state\n2 ! state 2 3 D\n",
        "5000 ! SESSION 1\n5001 * state\n5001 ! state 1 0\n",
        // refused: nothing changes
        "1 * next 22\n1 > 10 02\n1 ! SESSION? 2\n1 < 7F 10 22\n"
        "2 * state\n2 ! state 2 U 3 D T 0/8\n"
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char log[2000];
        sprintf(log, "%s%s",
                PROGRAMMING UNLOCK "0 > 28 03 01\n0 < 68 03\n0 > 85 02\n0 < C5 02\n" DOWNLOAD,
                changes[i]);
        uds_transcript(cfg, log);
    }
}

static void effects_are_kept_between_sessions_but_not_in_the_default_one(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "0 > 28 83 01\n0 > 85 82\n0 * state\n0 ! state 3 3 D\n"
                   "1 > 10 02\n1 ! SESSION? 2\n1 ! SESSION 2\n1 < 50 02 00 32 01 F4\n"
                   "1 * state\n1 ! state 2 3 D\n"
                   "2 > 28 00 01\n2 < 68 00\n2 > 85 01\n2 < C5 01\n"
                   "2 * state\n2 ! state 2 0\n");
}

static void a_session_change_voids_the_seed(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED "0 > 27 01\n0 ! SEED 1\n0 < " SEED
                                 "1 > 10 03\n1 ! SESSION? 3\n1 ! SESSION 3\n1 < 50 03 00 32 01 F4\n"
                                 "2 > 27 02 AA*16\n2 < 7F 27 24\n");
}

// --- Wrong keys ---

#define WRONG(T) T " > 27 01\n" T " ! SEED 1\n" T " < " SEED T " > 27 02 BB\n" T " ! KEY 1 BB\n"

static void the_third_wrong_key_starts_the_delay(void **state)
{
    (void)state;
    static const uds_server_cfg_t with = UDS_CFG(1, .delay_ms = 3000);
    uds_transcript(&with, EXTENDED "0    > 27 01\n0 < 7F 27 37\n" // from the start on
                                   "1    > 27 03\n1 < 7F 27 12\n"
                                   "1    > 27 01 00\n1 < 7F 27 13\n"
                                   "1    > 27 02 AA\n1 < 7F 27 24\n"
                                   "2999 > 27 01\n2999 < 7F 27 37\n" WRONG("3000") "3000 < 7F 27 35\n"
                                   "3001 > 10 03\n3001 ! SESSION? 3\n3001 ! SESSION 3\n"
                                   "3001 < 50 03 00 32 01 F4\n" // the count survives
                                   WRONG("3002") "3002 < 7F 27 35\n" WRONG("3003") "3003 < 7F 27 36\n"
                                   "3004 > 10 01\n3004 ! SESSION? 1\n3004 ! SESSION 1\n"
                                   "3004 < 50 01 00 32 01 F4\n" // and so does the delay
                                   "3005 > 10 02\n3005 ! SESSION? 2\n3005 ! SESSION 2\n"
                                   "3005 < 50 02 00 32 01 F4\n"
                                   "3006 > 27 01\n3006 < 7F 27 37\n"
                                   "3006 > 27 02 AA*16\n3006 < 7F 27 24\n"
                                   "6002.999 > 27 01\n6002.999 < 7F 27 37\n" WRONG("6003")
                                   "6003 < 7F 27 35\n" WRONG("6004") "6004 < 7F 27 35\n"
                                   "6005 > 27 01\n6005 ! SEED 1\n6005 < " SEED
                                   "6005 > 27 02 AA*16\n6005 ! KEY 1 AA*16\n6005 < 67 02\n");
    // and from the verdict on, however long that took
    static const uds_server_cfg_t one = UDS_CFG(1, .attempts = 1, .delay_ms = 3000);
    uds_transcript(&one,
                   "3000 > 10 03\n3000 ! SESSION? 3\n3000 ! SESSION 3\n3000 < 50 03 00 32 01 F4\n"
                   "3000 > 27 01\n3000 ! SEED 1\n3000 < " SEED
                   "3001 * defer\n3001 > 27 02 BB\n3001 ! KEY 1 BB\n"
                   "3030 * answer\n3030 < 7F 27 36\n"
                   "6029.999 > 27 01\n6029.999 < 7F 27 37\n"
                   "6030 > 27 01\n6030 ! SEED 1\n6030 < " SEED);
}

static void a_right_key_ends_the_count_and_other_refusals_do_not_count(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED WRONG("0") "0 < 7F 27 35\n" WRONG("1") "1 < 7F 27 35\n"
                                 "2 > 27 01\n2 ! SEED 1\n2 < " SEED
                                 "2 * next 13\n2 > 27 02 BB\n2 ! KEY 1 BB\n2 < 7F 27 13\n"
                                 "3 > 27 02 BB\n3 < 7F 27 24\n"
                                 "3 > 27 01\n3 ! SEED 1\n3 < " SEED
                                 "3 > 27 02 AA*16\n3 ! KEY 1 AA*16\n3 < 67 02\n"
                                 "4 > 10 03\n4 ! SESSION? 3\n4 ! SESSION 3\n4 < 50 03 00 32 01 F4\n"
                                 WRONG("5") "5 < 7F 27 35\n" WRONG("6") "6 < 7F 27 35\n"
                                 WRONG("7") "7 < 7F 27 36\n" WRONG("8") "8 < 7F 27 35\n");
    static const uds_server_cfg_t one = UDS_CFG(1, .attempts = 1, .delay_ms = 10);
    uds_transcript(&one, EXTENDED WRONG("10") "10 < 7F 27 36\n11 > 27 01\n11 < 7F 27 37\n");
}

// --- ECUReset ---

static void a_reset_comes_when_its_response_has_left(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * confirm 5\n0 > 11 01\n0 ! RESET? 1\n0 < 51 01\n"
                   "1  > 3E 00\n" // nothing else is processed after it
                   "2  F 22 F1 86\n"
                   "5  ! RESET\n"
                   "6  > 22 F1 86\n"
                   "7  F 3E 00\n");
    uds_transcript(cfg, "0 > 11 83\n0 ! RESET? 3\n0 ! RESET\n1 > 3E 00\n");
    uds_transcript(cfg, "0 F 11 81\n0 ! RESET? 1\n0 ! RESET\n");
    uds_transcript(cfg, EXTENDED "0 F 11 03\n0 ! RESET? 3\n0 < 51 03\n0 ! RESET\n");
    uds_transcript(cfg,
                   "0 * next 22\n0 > 11 01\n0 ! RESET? 1\n0 < 7F 11 22\n1 > 3E 00\n1 < 7E 00\n");
    // with SPR too the response leaves first, when a 0x78 has promised one
    uds_transcript(cfg,
                   "0   * confirm 5\n0 * defer\n0 > 11 81\n0 ! RESET? 1\n40 < 7F 11 78\n"
                   "100 * answer\n100 < 51 01\n105 ! RESET\n");
}

static void what_was_coming_in_when_a_reset_was_granted_is_forgotten(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * begin 3\n0 * data 22 F1\n"
                   "1  F 11 01\n1 ! RESET? 1\n1 < 51 01\n1 ! RESET\n"
                   "2  * data 90\n2 * end\n3 * break\n");
    uds_transcript(cfg,
                   "0  * confirm 5\n0 > 22 F1 86\n0 < 62 F1 86 01\n"
                   "1  > 11 01\n"
                   "5  ! RESET? 1\n5 < 51 01\n"
                   "6  > 22 F1 86\n"
                   "10 ! RESET\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_0x78_comes_at_0_8_p2_then_every_0_8_p2_star),
        cmocka_unit_test(the_answer_in_time_needs_no_0x78),
        cmocka_unit_test(p2_runs_from_the_end_of_the_request),
        cmocka_unit_test(the_limits_are_what_is_configured_and_what_is_told),
        cmocka_unit_test(a_0x78_that_cannot_leave_is_dropped_when_the_answer_is_there),
        cmocka_unit_test(a_0x78_under_way_is_not_overtaken),
        cmocka_unit_test(p2_star_runs_from_when_a_0x78_was_handed_over),
        cmocka_unit_test(an_answer_to_several_calls_has_one_p2),
        cmocka_unit_test(the_next_request_begins_without_the_0x78_of_the_last),
        cmocka_unit_test(a_late_clock_gives_one_0x78_not_all_that_were_missed),
        cmocka_unit_test(the_device_may_wait_when_nothing_is_asked),
        cmocka_unit_test(the_device_may_wait_up_to_0_8_p2),
        cmocka_unit_test(a_0x78_brought_forward_keeps_0_3_p2_star_from_the_last),
        cmocka_unit_test(the_gap_is_counted_from_when_a_0x78_has_left),
        cmocka_unit_test(the_device_may_not_wait_while_a_response_is_due),
        cmocka_unit_test(a_device_that_had_to_wait_is_not_remembered),
        cmocka_unit_test(the_0x78_that_a_wait_needs_is_there_at_once),
        cmocka_unit_test(a_session_runs_out_after_s3),
        cmocka_unit_test(the_default_session_does_not),
        cmocka_unit_test(every_request_starts_s3_again_answered_or_not),
        cmocka_unit_test(s3_stands_while_a_request_comes_in_and_while_its_response_leaves),
        cmocka_unit_test(transfer_data_alone_keeps_the_session),
        cmocka_unit_test(s3_is_over_only_after_a_long_answer),
        cmocka_unit_test(every_session_change_locks_and_ends_the_transfer),
        cmocka_unit_test(effects_are_kept_between_sessions_but_not_in_the_default_one),
        cmocka_unit_test(a_session_change_voids_the_seed),
        cmocka_unit_test(the_third_wrong_key_starts_the_delay),
        cmocka_unit_test(a_right_key_ends_the_count_and_other_refusals_do_not_count),
        cmocka_unit_test(a_reset_comes_when_its_response_has_left),
        cmocka_unit_test(what_was_coming_in_when_a_reset_was_granted_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
