// test_uds_server_transfer.c - RequestDownload, TransferData, RequestTransferExit, and whose bytes are whose.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PROGRAMMING "0 > 10 02\n0 ! SESSION? 2\n0 ! SESSION 2\n0 < 50 02 00 32 01 F4\n"
#define SEED        "67 01 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10\n"
#define OPEN                                                                                       \
    PROGRAMMING "0 > 27 01\n0 ! SEED 1\n0 < " SEED "0 > 27 02 AA*16\n0 ! KEY 1 AA*16\n0 < 67 02\n"
#define DOWNLOAD OPEN "0 > 34 00 11 00 08\n0 ! DOWNLOAD 0 8\n0 < 74 20 01 02\n"
#define HALF     DOWNLOAD "1 > 36 01 11*4\n1 ! BLOCK 4\n1 < 76 01\n"
#define FULL     HALF "2 > 36 02 22*4\n2 ! BLOCK 4\n2 < 76 02\n"

static const uds_server_cfg_t *const cfg = &uds_test_cfg;

static void the_counter_goes_from_ff_to_00_and_every_block_may_be_repeated(void **state)
{
    (void)state;
    uint8_t response[UDS_RESPONSE_MAX];
    uds_ask_begin(cfg);
    uds_ask("10 02;27 01;27 02 AA*16;34 00 21 00 02 58"); // 600 bytes
    for (unsigned i = 1; i <= 600; i++) {
        const uint8_t counter = (uint8_t)i;
        for (unsigned wrong = 0; wrong < 256; wrong += i < 3 || counter < 3 ? 1 : 51) {
            const uint8_t request[] = { 0x36, (uint8_t)wrong, 0 };
            const bool repeat = i > 1 && wrong == (uint8_t)(i - 1);
            if (wrong == counter) continue;
            const unsigned calls = uds_calls;
            assert_int_equal(uds_ask_bytes(request, 3, false, response), repeat ? 2 : 3);
            assert_int_equal(response[repeat ? 1 : 2], repeat ? wrong : 0x73);
            assert_int_equal(uds_calls, calls);
        }
        const uint8_t request[] = { 0x36, counter, 0 };
        for (int times = 0; times < 3; times++) {
            assert_int_equal(uds_ask_bytes(request, 3, false, response), 2);
            assert_int_equal(response[0], 0x76);
            assert_int_equal(response[1], counter);
            assert_int_equal(uds_asked.transfer.received, i);
        }
    }
    assert_string_equal(uds_ask("36 59 00"), "7F 36 24");
    assert_string_equal(uds_ask("36 57 00"), "7F 36 24");
    assert_string_equal(uds_ask("36 58 00"), "76 58");
    assert_string_equal(uds_ask("37"), "77");
}

static void only_bytes_of_a_block_that_will_be_accepted_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        uint8_t request[10];
        uint32_t len, passed;
    } cases[] = {
        { { 0x36, 1, 1, 2, 3, 4, 5, 6, 7, 8 }, 10, 8 },
        { { 0x36, 1, 1 }, 3, 1 },
        { { 0x36, 1 }, 2, 0 },
        { { 0x36 }, 1, 0 },
        { { 0x36, 2, 1, 2, 3 }, 5, 0 },
        { { 0x36, 0, 1, 2, 3 }, 5, 0 },
        { { 0x22, 1, 1, 2, 3 }, 5, 0 },
        { { 0x76, 1, 1, 2, 3 }, 5, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (uint32_t piece = 1; piece <= 10; piece++) {
            uds_ask_begin(cfg);
            uds_ask("10 02;27 01;27 02 AA*16;34 00 11 00 08");
            uds_server_t s = uds_asked;
            uint8_t passed[10];
            uint32_t n = 0;
            uds_server_begin(&s, cases[i].len, 0);
            for (uint32_t at = 0; at < cases[i].len; at += piece) {
                uint8_t bytes[10];
                const uint32_t len = (uint32_t)smaller(piece, cases[i].len - at);
                memcpy(bytes, cases[i].request + at, len);
                const uint32_t own = uds_server_data(&s, bytes, len);
                assert_true(own <= len);
                memcpy(passed + n, bytes + own, len - own);
                n += len - own;
            }
            assert_int_equal(n, cases[i].passed);
            assert_memory_equal(passed, cases[i].request + 2, n);
            assert_int_equal(
                uds_server_end(&s, 0) == UDS_SERVER_CALL && s.call.kind == UDS_CALL_BLOCK, n > 0);
            if (n > 0) assert_int_equal(s.call.size, n);
        }
    // one that would be too much is refused with its first bytes
    uds_ask_begin(cfg);
    uds_ask("10 02;27 01;27 02 AA*16;34 00 11 00 08");
    uds_server_t s = uds_asked;
    uds_server_begin(&s, 11, 0);
    assert_int_equal(uds_server_data(&s, (const uint8_t *)"\x36\1\1\1\1", 5), 5);
    // and without a beginning there is nothing at all
    s = uds_asked;
    assert_int_equal(uds_server_data(&s, (const uint8_t *)"\x36\1\1\1\1", 5), 5);
    assert_int_equal(uds_server_end(&s, 0), UDS_SERVER_NONE);
    uds_ask("36 01 00");
    s = uds_asked;
    assert_int_equal(uds_server_data(&s, (const uint8_t *)"\x36\2\1\1\1", 5), 5);
}

static void a_block_that_breaks_may_come_again(void **state)
{
    (void)state;
    uds_transcript(cfg, DOWNLOAD
                   "1 * begin 10\n1 * data 36 01 11*3\n2 * break\n"
                   "3 * begin 10\n3 * data 36 01 11*3\n" // and what just stops
                   "4 > 36 01 11*4\n4 ! BLOCK 4\n4 < 76 01\n"
                   "5 * begin 6\n5 * data 36 01 11*3\n6 * break\n" // a repeated one
                   "7 > 36 02 11*4\n7 ! BLOCK 4\n7 < 76 02\n"
                   "8 > 37\n8 ! EXIT\n8 < 77\n");
}

static void wrong_blocks_leave_the_transfer_as_it_is(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 > 36\n2 < 7F 36 13\n"
                   "3 > 36 02 00*300\n3 < 7F 36 13\n"
                   "4 > 36 05 00\n4 < 7F 36 73\n"
                   "5 > 36 02 00*5\n5 < 7F 36 71\n"
                   "6 > 36 02\n6 < 7F 36 31\n"
                   "7 > 37\n7 < 7F 37 24\n"
                   "8 > 37 00\n8 < 7F 37 13\n"
                   "9 * state\n9 ! state 2 U 0 T 4/8\n"
                   "10 > 36 02 22*4\n10 ! BLOCK 4\n10 < 76 02\n"
                   "11 > 36 03 00\n11 < 7F 36 24\n"
                   "12 > 37\n12 ! EXIT\n12 < 77\n"
                   "13 * state\n13 ! state 2 U 0\n");
}

static void other_services_leave_the_transfer_as_it_is(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 > 22 F1 86\n2 < 62 F1 86 02\n3 > 3E 00\n3 < 7E 00\n"
                   "4 > 27 01\n4 < 67 01 00*16\n"
                   "5 > 31 01 02 03\n5 ! ROUTINE 0203 1\n5 < 71 01 02 03 00\n"
                   "6 > 36 02 22*4\n6 ! BLOCK 4\n6 < 76 02\n");
}

static void a_download_that_is_asked_for_again_starts_anew(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 > 34 00 11 04 03\n2 ! DOWNLOAD 4 3\n2 < 74 20 01 02\n"
                   "3 * state\n3 ! state 2 U 0 T 0/3\n"
                   "4 > 36 02 00\n4 < 7F 36 73\n" // the counter too
                   "5 > 36 00 00\n5 < 7F 36 73\n" // and 00 was not the one before
                   "6 > 36 01 33*3\n6 ! BLOCK 3\n6 < 76 01\n"
                   "7 > 37\n7 ! EXIT\n7 < 77\n");
}

static void a_request_download_that_is_wrong_in_itself_ends_nothing(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 > 34 00 11 04\n2 < 7F 34 13\n"
                   "3 > 34 01 11 04 03\n3 < 7F 34 31\n"
                   "4 * state\n4 ! state 2 U 0 T 4/8\n");
}

static void a_request_download_that_the_device_refuses_ends_the_one_before(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 * next 70\n2 > 34 00 11 04 03\n2 ! DOWNLOAD 4 3\n2 < 7F 34 70\n"
                   "3 > 36 02 00\n3 < 7F 36 24\n4 > 36 01 00\n4 < 7F 36 24\n"
                   "5 > 37\n5 < 7F 37 24\n");
}

static void a_failure_of_flash_ends_the_transfer_and_a_refusal_does_not(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 * next 31\n2 > 36 02 22\n2 ! BLOCK 1\n2 < 7F 36 31\n"
                   "3 > 36 01 00\n3 < 76 01\n"
                   "3 > 36 02 22\n3 ! BLOCK 1\n3 < 76 02\n"
                   "4 * next 72\n4 > 36 03 22\n4 ! BLOCK 1\n4 < 7F 36 72\n"
                   "5 > 36 03 22\n5 < 7F 36 24\n6 > 36 02 22\n6 < 7F 36 24\n"
                   "7 > 37\n7 < 7F 37 24\n");
}

static void an_exit_that_fails_ends_the_transfer_and_one_that_is_refused_does_not(void **state)
{
    (void)state;
    uds_transcript(cfg, FULL
                   "3 * next 22\n3 > 37\n3 ! EXIT\n3 < 7F 37 22\n"
                   "4 > 36 02 00\n4 < 76 02\n"
                   "5 * next 72\n5 > 37\n5 ! EXIT\n5 < 7F 37 72\n"
                   "6 > 37\n6 < 7F 37 24\n7 > 36 02 00\n7 < 7F 36 24\n");
}

static void the_device_may_give_up(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 * stop\n2 > 36 02 00\n2 < 7F 36 24\n3 > 36 01 00\n3 < 7F 36 24\n"
                   "4 > 37\n4 < 7F 37 24\n");
    // also while a block comes in, and while one is being taken
    uds_transcript(cfg, HALF
                   "2 * begin 4\n2 * data 36 02 01\n3 * stop\n4 * data 02\n4 * end\n"
                   "4 < 7F 36 24\n");
    uds_transcript(cfg, HALF
                   "2 * defer\n2 > 36 02 01\n2 ! BLOCK 1\n3 * stop\n4 * answer 31\n"
                   "4 < 7F 36 31\n5 * state\n5 ! state 2 U 0\n");
}

static void a_block_that_finds_no_room_waits_with_0x78(void **state)
{
    (void)state;
    uds_transcript(cfg, DOWNLOAD
                   "0    * defer\n0 > 36 01 11*4\n0 ! BLOCK 4\n"
                   "40   < 7F 36 78\n"
                   "50   > 36 01 11*4\n50 < 7F 36 21\n" // a tester that lost patience
                   "1000 * answer\n1000 < 76 01\n"
                   "1001 > 36 01 11*4\n1001 < 76 01\n"
                   "1002 > 36 02 22*4\n1002 ! BLOCK 4\n1002 < 76 02\n"
                   "1003 * defer\n1003 > 37\n1003 ! EXIT\n"
                   "1043 < 7F 37 78\n5043 < 7F 37 78\n6000 * answer\n6000 < 77\n");
}

static void a_block_may_overtake_the_confirmation_of_the_response_before(void **state)
{
    (void)state;
    uds_transcript(cfg, DOWNLOAD
                   "1 * confirm 10\n"
                   "1 > 36 01 11*4\n1 ! BLOCK 4\n1 < 76 01\n"
                   "2 > 36 02 22*2\n"
                   "11 ! BLOCK 2\n11 < 76 02\n"
                   "12 > 36 02 22*2\n" // repeated
                   "21 < 76 02\n"
                   "22 * begin 4\n22 * data 36 03\n32 * data 33*2\n32 * end\n"
                   "32 ! BLOCK 2\n32 < 76 03\n");
}

static void a_request_to_all_may_come_in_the_middle_of_a_block_and_right_after_it(void **state)
{
    (void)state;
    uds_transcript(cfg, DOWNLOAD
                   "0 * begin 6\n0 * data 36 01 11\n"
                   "1 F 22 F1 86 F1 90\n1 ! READ F190\n1 < 62 F1 86 02 F1 90 56 49 4E\n"
                   "2 F 85 82\n"
                   "3 * confirm 10\n"
                   "3 * data 12 13 14\n3 * end\n3 ! BLOCK 4\n3 < 76 01\n"
                   "4 F 22 F1 86\n"
                   "13 < 62 F1 86 02\n"
                   "24 * defer\n24 F 22 F1 90 F1 8C\n24 ! READ F190\n"
                   "25 > 36 02 00*3\n25 < 7F 36 21\n"
                   "35 * answer\n35 ! READ F18C\n"
                   "35 < 62 F1 90 56 49 4E F1 8C 01 02 03 04\n");
}

static void records_of_the_device_s_own_follow(void **state)
{
    (void)state;
    uds_transcript(cfg, HALF
                   "2 * next 00 AB CD\n2 > 36 02 22*4\n2 ! BLOCK 4\n2 < 76 02 AB CD\n"
                   "3 > 36 02 22*4\n3 < 76 02\n"
                   "4 * next 00 01 02 03 04\n4 > 37\n4 ! EXIT\n4 < 77 01 02 03 04\n"
                   "5 * next 22 01 02 03\n5 > 31 01 FF 01\n5 ! ROUTINE FF01 1\n5 < 7F 31 22\n"
                   "6 * next 00 00*252\n6 > 31 01 FF 01\n6 ! ROUTINE FF01 1\n"
                   "6 < 71 01 FF 01 00*252\n"
                   "7 * next 00 00*253\n7 > 31 01 FF 01\n7 ! ROUTINE FF01 1\n7 < 7F 31 14\n"
                   "8 * next 22 00*253\n8 > 31 01 FF 01\n8 ! ROUTINE FF01 1\n8 < 7F 31 22\n");
}

static void the_largest_block_is_what_the_server_says(void **state)
{
    (void)state;
    static const uds_server_cfg_t large = UDS_CFG(1, .open = true);
    uds_server_cfg_t other = large;
    other.block_max = 4095;
    uds_ask_begin(&other);
    assert_string_equal(uds_ask("10 02;34 00 21 00 FF FF"), "74 20 0F FF");
    other.block_max = 65535;
    uds_ask_begin(&other);
    assert_string_equal(uds_ask("10 02;34 00 21 00 FF FF"), "74 20 FF FF");
    other.block_max = 3;
    uds_ask_begin(&other);
    assert_string_equal(uds_ask("10 02;34 00 21 00 FF FF"), "74 20 00 03");
    assert_string_equal(uds_ask("36 01 00 00"), "7F 36 13");
    assert_string_equal(uds_ask("36 01 00"), "76 01");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_goes_from_ff_to_00_and_every_block_may_be_repeated),
        cmocka_unit_test(only_bytes_of_a_block_that_will_be_accepted_are_passed_on),
        cmocka_unit_test(a_block_that_breaks_may_come_again),
        cmocka_unit_test(wrong_blocks_leave_the_transfer_as_it_is),
        cmocka_unit_test(other_services_leave_the_transfer_as_it_is),
        cmocka_unit_test(a_download_that_is_asked_for_again_starts_anew),
        cmocka_unit_test(a_request_download_that_is_wrong_in_itself_ends_nothing),
        cmocka_unit_test(a_request_download_that_the_device_refuses_ends_the_one_before),
        cmocka_unit_test(a_failure_of_flash_ends_the_transfer_and_a_refusal_does_not),
        cmocka_unit_test(an_exit_that_fails_ends_the_transfer_and_one_that_is_refused_does_not),
        cmocka_unit_test(the_device_may_give_up),
        cmocka_unit_test(a_block_that_finds_no_room_waits_with_0x78),
        cmocka_unit_test(a_block_may_overtake_the_confirmation_of_the_response_before),
        cmocka_unit_test(a_request_to_all_may_come_in_the_middle_of_a_block_and_right_after_it),
        cmocka_unit_test(records_of_the_device_s_own_follow),
        cmocka_unit_test(the_largest_block_is_what_the_server_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
