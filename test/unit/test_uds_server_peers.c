// test_uds_server_peers.c - what went wrong in another server (driftregion/iso14229, 2025), and must not here.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const uds_server_cfg_t *const cfg = &uds_test_cfg;

#define OPEN "10 02;27 01;27 02 AA*16;"
#define DOWN OPEN "34 00 11 00 08;"

// 1. A response waited until P2 of the response before was over: 51 ms a request.
static void a_response_leaves_at_once(void **state)
{
    (void)state;
    uds_transcript(cfg,
                   "0 > 3E 00\n0 < 7E 00\n0 > 3E 00\n0 < 7E 00\n0 > 22 F1 86\n0 < 62 F1 86 01\n"
                   "0.001 > 3E 00\n0.001 < 7E 00\n");
}

// 2. Only 10 and 3E refreshed S3: the session ran out during a download.
static void any_request_keeps_the_session(void **state)
{
    (void)state;
    uds_ask_begin(cfg);
    uds_ask(DOWN);
    for (int i = 1; i <= 8; i++) {
        uds_ask_wait(4999);
        uds_ask(i % 2 ? "36 01 00" : "22 F1 86");
        assert_true(uds_asked.transfer.active);
    }
    uds_ask_wait(5000);
    assert_int_equal(uds_asked.session, UDS_DEFAULT_SESSION);
}

// 3. A repeated block got 24 and ended the transfer; 37 then got 70.
static void a_repeated_block_is_acknowledged_and_37_gets_24(void **state)
{
    (void)state;
    uds_ask_begin(cfg);
    uds_ask(DOWN);
    assert_string_equal(uds_ask("36 01 11*4"), "76 01");
    const unsigned calls = uds_calls;
    assert_string_equal(uds_ask("36 01 11*4"), "76 01");
    assert_int_equal(uds_calls, calls);
    assert_string_equal(uds_ask("37"), "7F 37 24");
    assert_string_equal(uds_ask("36 02 22*4"), "76 02");
    assert_string_equal(uds_ask("37"), "77");
}

// 4. A wrong counter got 24, and 13 or 71 too ended the transfer.
static void a_wrong_counter_gets_73_and_the_transfer_goes_on(void **state)
{
    (void)state;
    uds_ask_begin(cfg);
    uds_ask(DOWN);
    assert_string_equal(uds_ask("36 02 11"), "7F 36 73");
    assert_string_equal(uds_ask("36"), "7F 36 13");
    assert_string_equal(uds_ask("36 01 11*9"), "7F 36 71");
    assert_string_equal(uds_ask("36 01 11*8"), "76 01");
}

// 5. 37 was accepted with half of the data.
static void an_exit_needs_all_data(void **state)
{
    (void)state;
    uds_ask_begin(cfg);
    uds_ask(DOWN "36 01 11*7");
    assert_string_equal(uds_ask("37"), "7F 37 24");
}

// 6. A key without a seed reached the key handler; 10 did not lock; in the delay 36 came instead of 37.
static void a_key_needs_a_seed_and_a_session_change_locks(void **state)
{
    (void)state;
    static const uds_server_cfg_t with = UDS_CFG(1, .delay_ms = 10000);
    uds_ask_begin(&with);
    uds_ask_wait(10000);
    uds_ask("10 02");
    unsigned calls = uds_calls;
    assert_string_equal(uds_ask("27 02 AA*16"), "7F 27 24");
    assert_int_equal(uds_calls, calls);
    uds_ask("27 01;27 02 AA*16;10 02");
    assert_false(uds_asked.unlocked);
    assert_string_equal(uds_ask("34 00 11 00 08"), "7F 34 33");
    for (int i = 1; i <= 3; i++) {
        uds_ask("27 01");
        assert_string_equal(uds_ask("27 02 BB*16"), i < 3 ? "7F 27 35" : "7F 27 36");
    }
    assert_string_equal(uds_ask("27 01"), "7F 27 37");
}

// 7. P2* that was told was shorter than the time between two 0x78.
static void p2_star_that_is_told_is_kept(void **state)
{
    (void)state;
    for (uint32_t ms = 100; ms <= 60000; ms += 1570) {
        uds_server_cfg_t other = uds_test_cfg;
        uds_server_t s;
        uint32_t len;
        other.p2_star_ms = ms / 10 * 10;
        uds_server_init(&s, &other, 0);
        uds_server_begin(&s, 2, 0);
        uds_server_data(&s, (const uint8_t *)"\x10\3", 2);
        assert_int_equal(uds_server_end(&s, 0), UDS_SERVER_CALL);
        usec_t last = 0;
        for (int i = 0; i < 3; i++) {
            const usec_t now = uds_server_deadline(&s);
            uds_server_tick(&s, now);
            assert_non_null(uds_server_output(&s, &len));
            assert_true(i == 0 || (now - last < other.p2_star_ms * USEC_MS &&
                                   now - last >= other.p2_star_ms * USEC_MS * 3 / 10));
            last = now;
            uds_server_taken(&s, now);
            uds_server_sent(&s, now);
        }
        uds_server_answer(&s, UDS_OK, last);
        const uint8_t *out = uds_server_output(&s, &len);
        assert_int_equal((out[4] << 8 | out[5]) * 10, other.p2_star_ms);
    }
}

// 8. An unknown routineControlType got 31, a reserved level 13; sessions and locks were every handler's own affair.
static void what_is_the_same_for_all_is_checked_for_all(void **state)
{
    (void)state;
    uds_ask_begin(cfg);
    uds_ask("10 03");
    assert_string_equal(uds_ask("31 04 02 03"), "7F 31 12");
    assert_string_equal(uds_ask("27 05"), "7F 27 12");
    assert_string_equal(uds_ask("27 5E"), "7F 27 12");
    assert_string_equal(uds_ask("36 01 00"), "7F 36 7F");
    assert_string_equal(uds_ask("10 02;34 00 11 00 08"), "7F 34 33");
    assert_string_equal(uds_ask("31 01 FF 00"), "7F 31 33");
    assert_string_equal(uds_ask("2E F1 84 00*9"), "7F 2E 33");
}

// 9. 8292 bytes for a server.
static void a_server_needs_less_than_half_a_kilobyte(void **state)
{
    (void)state;
    assert_true(sizeof(uds_server_t) < 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_leaves_at_once),
        cmocka_unit_test(any_request_keeps_the_session),
        cmocka_unit_test(a_repeated_block_is_acknowledged_and_37_gets_24),
        cmocka_unit_test(a_wrong_counter_gets_73_and_the_transfer_goes_on),
        cmocka_unit_test(an_exit_needs_all_data),
        cmocka_unit_test(a_key_needs_a_seed_and_a_session_change_locks),
        cmocka_unit_test(p2_star_that_is_told_is_kept),
        cmocka_unit_test(what_is_the_same_for_all_is_checked_for_all),
        cmocka_unit_test(a_server_needs_less_than_half_a_kilobyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
