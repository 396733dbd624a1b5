// test_uds_server_overlap.c - requests that come while another one comes in, is answered, or its response leaves.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define EXTENDED    "0 > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n0 < 50 03 00 32 01 F4\n"
#define PROGRAMMING "0 > 10 02\n0 ! SESSION? 2\n0 ! SESSION 2\n0 < 50 02 00 32 01 F4\n"
#define SEED        "67 01 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10\n"
#define UNLOCK      "0 > 27 01\n0 ! SEED 1\n0 < " SEED "0 > 27 02 AA*16\n0 ! KEY 1 AA*16\n0 < 67 02\n"
#define DOWNLOAD    "0 > 34 00 11 00 08\n0 ! DOWNLOAD 0 8\n0 < 74 20 01 02\n"

static const uds_server_cfg_t *const cfg = &uds_test_cfg;

static void a_request_while_another_one_is_answered_gets_0x21(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "0  * defer\n0 > 31 01 03 01 AB CD\n0 ! ROUTINE 0301 1 AB CD\n"
                   "10 > 22 F1 90\n10 < 7F 22 21\n"
                   "11 > 31 01 02 03\n11 < 7F 31 21\n"
                   "12 > 19\n12 < 7F 19 21\n"
                   "12.5 > 00\n12.5 < 7F 00 21\n"
                   "13 > 3E 00\n13 < 7F 3E 21\n"
                   "14 > 3E 80\n"    // only refreshes S3
                   "15 > 62 F1 90\n" // no request
                   "16 > 36 01 00*50\n16 < 7F 36 21\n"
                   "17 F 3E 80\n"
                   "18 F 3E 00\n"
                   "19 F 10 01\n"
                   "20 F 22 F1 90\n"
                   "40 < 7F 31 78\n"
                   "50 > 2E 01 00 00*30\n50 < 7F 2E 21\n"
                   "60 * answer\n60 < 71 01 03 01 00\n");
}

static void a_0x21_waits_for_what_leaves_and_goes_before_the_answer(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * confirm 10\n"
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "40 < 7F 22 78\n"
                   "42 > 10 01\n"
                   "44 * answer\n"
                   "50 < 7F 10 21\n"
                   "60 < 62 F1 90 56 49 4E\n");
    // at the same time: the 0x78 first, it has a limit
    uds_transcript(cfg,
                   "0  * driver off\n"
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "20 > 10 01\n"
                   "45 * driver on\n45 < 7F 22 78\n45 < 7F 10 21\n"
                   "46 * answer\n46 < 62 F1 90 56 49 4E\n");
}

static void a_response_that_waits_for_the_transport_is_one_being_answered(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0 * driver off\n"
                   "0 > 22 F1 86\n"
                   "1 > 10 03\n"
                   "2 F 10 03\n"
                   "3 * driver on\n3 < 7F 10 21\n3 < 62 F1 86 01\n");
}

static void what_began_to_come_in_too_early_gets_0x21_also_when_it_ends_later(void **state)
{
    (void)state;
    uds_transcript(cfg, EXTENDED
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "1  * begin 4\n1 * data 31\n"
                   "2  * answer\n2 < 62 F1 90 56 49 4E\n"
                   "3  * data 01 02 03\n"
                   "4  * end\n4 < 7F 31 21\n"
                   "5004 ! SESSION 1\n");
    uds_transcript(cfg, EXTENDED
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "1  * begin 4\n1 * data 31 01\n"
                   "2  * answer\n2 < 62 F1 90 56 49 4E\n"
                   "3  * break\n"
                   "5003 ! SESSION 1\n");
    uds_transcript(cfg,
                   "0  * confirm 10\n"
                   "0  * defer\n0 > 22 F1 90\n0 ! READ F190\n"
                   "1  * begin 2\n1 * data 10 03\n"
                   "2  * answer\n2 < 62 F1 90 56 49 4E\n"
                   "3  * end\n"
                   "12 < 7F 10 21\n"
                   "30 * defer\n30 > 22 F1 90\n30 ! READ F190\n"
                   "31 * begin 2\n31 * data 10 03\n32 * break\n"
                   "33 * answer\n33 < 62 F1 90 56 49 4E\n");
}

static void a_request_may_overtake_the_confirmation_of_the_response_before(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * confirm 10\n"
                   "0  > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n0 < 50 03 00 32 01 F4\n"
                   "5  > 31 01 02 03\n"
                   "10 ! ROUTINE 0203 1\n10 < 71 01 02 03 00\n"
                   "12 F 22 F1 86 F1 90\n"
                   "20 ! READ F190\n20 < 62 F1 86 03 F1 90 56 49 4E\n"
                   "22 > 3E 80\n" // needs no turn
                   "22 F 3E 80\n"
                   "22 > 62 00\n"
                   "24 > 27 81\n"
                   "30 ! SEED 1\n"
                   "32 > 27 02 AA*16\n32 ! KEY 1 AA*16\n32 < 67 02\n"
                   "33 F 85 82\n"
                   "42 * state\n42 ! state 3 U 0 D\n"
                   "43 F 27 01\n");
}

static void p2_of_a_request_that_was_held_runs_from_its_end(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * confirm 30\n"
                   "0  > 22 F1 86\n0 < 62 F1 86 01\n"
                   "5  * defer\n"
                   "5  > 22 F1 90\n"
                   "30 ! READ F190\n"
                   "45 < 7F 22 78\n"
                   "50 * answer\n75 < 62 F1 90 56 49 4E\n");
    uds_transcript(cfg,
                   "0  * confirm 60\n"
                   "0  > 22 F1 86\n0 < 62 F1 86 01\n"
                   "5  * defer\n"
                   "5  > 22 F1 90\n"
                   "60 ! READ F190\n"
                   "60 < 7F 22 78\n" // at once
                   "65 * answer\n120 < 62 F1 90 56 49 4E\n");
}

static void only_one_request_is_held(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0  * confirm 10\n"
                   "0  > 22 F1 86\n0 < 62 F1 86 01\n"
                   "1  > 10 03\n"
                   "2  > 22 F1 90\n"
                   "3  F 10 03\n"
                   "10 ! READ F190\n"
                   "10 < 7F 10 21\n20 < 62 F1 90 56 49 4E\n");
    // one of all nodes that is held gives way, and nobody is told
    uds_transcript(cfg,
                   "0  * confirm 10\n"
                   "0  > 22 F1 86\n0 < 62 F1 86 01\n"
                   "1  F 10 03\n"
                   "2  > 22 F1 90\n"
                   "10 ! READ F190\n"
                   "10 < 62 F1 90 56 49 4E\n");
    // held while another one is coming in: it has no place
    uds_transcript(cfg,
                   "0  * confirm 10\n"
                   "0  > 22 F1 86\n0 < 62 F1 86 01\n"
                   "1  * begin 5\n1 * data 22 F1 90\n"
                   "2  F 10 03\n"
                   "3  * data F1 86\n3 * end\n"
                   "10 ! READ F190\n"
                   "10 < 62 F1 90 56 49 4E F1 86 01\n");
}

static void a_request_to_all_may_come_in_the_middle_of_one_to_us(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0 * begin 5\n0 * data 22 F1 90\n"
                   "1 F 10 03\n1 ! SESSION? 3\n1 ! SESSION 3\n1 < 50 03 00 32 01 F4\n"
                   "2 F 3E 80\n"
                   "3 F 22 F1 8C\n" // would need the same memory: as if it had come a moment later
                   "9000 * data F1 86\n9000 * end\n9000 ! READ F190\n"
                   "9000 < 62 F1 90 56 49 4E F1 86 03\n");
    uds_transcript(cfg,
                   "0 * defer\n0 * begin 3\n0 * data 22 F1\n"
                   "1 F 10 03\n1 ! SESSION? 3\n"
                   "2 * data 90\n2 * end\n2 < 7F 22 21\n"
                   "3 * answer\n3 ! SESSION 3\n3 < 50 03 00 32 01 F4\n");
}

static void a_download_ends_with_a_session_that_changes_while_a_block_comes_in(void **state)
{
    (void)state;
    uds_transcript(cfg, PROGRAMMING UNLOCK DOWNLOAD
                   "0 * begin 4\n0 * data 36 01 11\n"
                   "1 F 22 F1 86\n1 < 62 F1 86 02\n"
                   "2 F 10 83\n2 ! SESSION? 3\n2 ! SESSION 3\n"
                   "3 * data 12\n3 * end\n3 < 7F 36 7F\n"
                   "4 > 10 02\n4 ! SESSION? 2\n4 ! SESSION 2\n"
                   "4 < 50 02 00 32 01 F4\n"
                   "5 > 36 01 11\n5 < 7F 36 24\n");
    uds_transcript(cfg, PROGRAMMING UNLOCK DOWNLOAD
                   "0 * begin 4\n0 * data 36 01 11\n"
                   "2 F 10 82\n2 ! SESSION? 2\n2 ! SESSION 2\n"
                   "3 * data 12\n3 * end\n3 < 7F 36 24\n");
}

static void a_confirmation_of_nothing_does_nothing(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0 * stray\n"
                   "0 * defer\n0 > 22 F1 90\n0 ! READ F190\n1 * stray\n"
                   "2 * answer\n2 < 62 F1 90 56 49 4E\n3 * stray\n"
                   "4 * driver off\n4 > 22 F1 86\n5 * stray\n6 * driver on\n6 < 62 F1 86 01\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_while_another_one_is_answered_gets_0x21),
        cmocka_unit_test(a_0x21_waits_for_what_leaves_and_goes_before_the_answer),
        cmocka_unit_test(a_response_that_waits_for_the_transport_is_one_being_answered),
        cmocka_unit_test(what_began_to_come_in_too_early_gets_0x21_also_when_it_ends_later),
        cmocka_unit_test(a_request_may_overtake_the_confirmation_of_the_response_before),
        cmocka_unit_test(p2_of_a_request_that_was_held_runs_from_its_end),
        cmocka_unit_test(only_one_request_is_held),
        cmocka_unit_test(a_request_to_all_may_come_in_the_middle_of_one_to_us),
        cmocka_unit_test(a_download_ends_with_a_session_that_changes_while_a_block_comes_in),
        cmocka_unit_test(a_confirmation_of_nothing_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
