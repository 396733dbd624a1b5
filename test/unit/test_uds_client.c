// test_uds_client.c - requests and responses as a log of messages, on a virtual clock.
// SPDX-License-Identifier: Apache-2.0
//
// A line is: time in ms, what, text. Stimuli:
//     start BYTES   a request to one server begins to be sent; all BYTES: one to all of them
//     sent          it has left
//     begin         a message of the server's begins
//     > BYTES       it is complete (and began just now, unless `begin` came before)
//     break         it broke off
//     stop, present, absent, restart
// and what is reported:
//     ! EVENT ...   complete: what else happens until 100 s after the last line fails the test
#include "uds_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uds_client_cfg_t cfg;
static uds_client_t c;
static char reported[4000];
static uint8_t request[64];

static void report(usec_t now, uds_client_events_t ev)
{
    static const char *const timers[] = { "P2", "P2*", "PENDING", "BUSY", "TRANSPORT" };
    size_t used = strlen(reported);
    const double ms = (double)now / 1000;
    if (ev & UDS_CLIENT_PENDING)
        used += (size_t)sprintf(reported + used, "%g ! PENDING %u\n", ms, c.pending);
    if (ev & UDS_CLIENT_PRESENT) used += (size_t)sprintf(reported + used, "%g ! PRESENT\n", ms);
    if (ev & UDS_CLIENT_SEND) used += (size_t)sprintf(reported + used, "%g ! SEND\n", ms);
    if (ev & UDS_CLIENT_NEGATIVE)
        used += (size_t)sprintf(reported + used, "%g ! NEGATIVE %02X\n", ms, (unsigned)c.nrc);
    if (ev & UDS_CLIENT_TIMEOUT)
        used += (size_t)sprintf(reported + used, "%g ! TIMEOUT %s\n", ms, timers[c.timer]);
    if (ev & UDS_CLIENT_POSITIVE) {
        used += (size_t)sprintf(reported + used, "%g ! POSITIVE", ms);
        for (uint32_t i = 0; c.response && i < c.response_len; i++)
            used += (size_t)sprintf(reported + used, " %02X", c.response[i]);
        (void)sprintf(reported + used, "\n");
    }
}

static void run_until(usec_t until)
{
    for (unsigned turns = 0; uds_client_deadline(&c) <= until; turns++) {
        const usec_t now = uds_client_deadline(&c);
        assert_true(turns < 200);
        assert_int_equal(uds_client_tick(&c, now - 1), UDS_CLIENT_NONE); // not a moment too early
        report(now, uds_client_tick(&c, now));
        assert_true(uds_client_deadline(&c) > now);
    }
}

static uint32_t bytes_of(const char *text, uint8_t *p)
{
    uint32_t len = 0;
    char *end;
    for (;; text = end) {
        const unsigned long byte = strtoul(text, &end, 16);
        if (end == text) return len;
        p[len++] = (uint8_t)byte;
    }
}

static void stimulus(const char *word, const char *rest, usec_t now)
{
    uint8_t message[64];
    if (strcmp(word, "start") == 0 || strcmp(word, "all") == 0) {
        const uint32_t len = bytes_of(rest, request);
        uds_client_start(&c, request, len, word[0] == 'a', now);
    } else if (strcmp(word, "sent") == 0) {
        report(now, uds_client_sent(&c, now));
    } else if (strcmp(word, "begin") == 0) {
        uds_client_begin(&c, now);
    } else if (strcmp(word, ">") == 0) {
        const uint32_t len = bytes_of(rest, message);
        uds_client_begin(&c, now);
        report(now, uds_client_input(&c, message, len, now));
    } else if (strcmp(word, "break") == 0) {
        report(now, uds_client_break(&c, now));
    } else if (strcmp(word, "stop") == 0) {
        uds_client_stop(&c);
    } else if (strcmp(word, "present") == 0 || strcmp(word, "absent") == 0) {
        uds_client_keep_present(&c, word[0] == 'p', now);
    } else {
        fail_msg("unknown: %s", word);
    }
}

static void transcript(const char *text)
{
    char expected[4000] = "", line[200], word[20];
    usec_t now = 0;
    reported[0] = 0;
    uds_client_init(&c, &cfg, 0);
    while (*text) {
        const size_t len = strcspn(text, "\n");
        double ms;
        int used = 0;
        assert_true(len < sizeof line);
        memcpy(line, text, len);
        line[len] = 0;
        text += len + 1;
        assert_int_equal(sscanf(line, "%lf %19s%n", &ms, word, &used), 2);
        if (strcmp(word, "!") == 0) {
            (void)sprintf(expected + strlen(expected), "%s\n", line);
            continue;
        }
        assert_true((usec_t)(ms * 1000) >= now);
        now = (usec_t)(ms * 1000);
        if (now > 0) run_until(now - 1);
        stimulus(word, line + used, now);
    }
    run_until(now + 100000 * USEC_MS);
    assert_string_equal(reported, expected);
}

static int defaults(void **state)
{
    (void)state;
    cfg = (uds_client_cfg_t){ .margin_ms = 10 };
    return 0;
}

// --- P2 ---

static void p2_runs_from_the_last_frame_of_the_request(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 89\n"
        "400 sent\n"
        "460 ! TIMEOUT P2\n");
}

static void p2_stops_at_the_first_frame_of_the_response(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 89\n"
        "0 sent\n"
        "59 begin\n"
        "900 > 62 F1 89 31\n"
        "900 ! POSITIVE 62 F1 89 31\n");
}

static void a_response_that_breaks_off_ends_the_request(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 89\n"
        "0 sent\n"
        "5 begin\n"
        "1005 break\n"
        "1005 ! TIMEOUT TRANSPORT\n");
}

static void the_configured_times_are_used_until_the_server_says_others(void **state)
{
    (void)state;
    cfg.p2_ms = 30;
    cfg.p2_star_ms = 700;
    transcript(
        "0 start 22 F1 89\n"
        "0 sent\n"
        "40 ! TIMEOUT P2\n"
        "100 start 10 02\n"
        "100 sent\n"
        "101 > 7F 10 78\n"
        "101 ! PENDING 1\n"
        "811 ! TIMEOUT P2*\n"
        "1000 start 10 02\n"
        "1000 sent\n"
        "1001 > 50 02 01 00 00 64\n" // 256 ms, 100 x 10 ms
        "1001 ! POSITIVE 50 02 01 00 00 64\n"
        "1100 start 36 01 00\n"
        "1100 sent\n"
        "1101 > 7F 36 78\n"
        "1101 ! PENDING 1\n"
        "2111 ! TIMEOUT P2*\n"
        "3000 start 36 01 00\n"
        "3000 sent\n"
        "3266 ! TIMEOUT P2\n");
    assert_true(c.p2_told);
}

static void a_session_response_without_times_changes_none(void **state)
{
    (void)state;
    transcript(
        "0 start 10 02\n"
        "0 sent\n"
        "1 > 50 02 00 01 00\n"
        "1 ! POSITIVE 50 02 00 01 00\n"
        "2 start 10 02\n"
        "2 sent\n"
        "3 > 50 02 00 00 00 00\n" // nor does one with zeros
        "3 ! POSITIVE 50 02 00 00 00 00\n");
    assert_int_equal(c.p2_ms, 50);
    assert_int_equal(c.p2_star_ms, 5000);
}

static void a_reset_brings_the_configured_times_back(void **state)
{
    (void)state;
    transcript(
        "0 start 10 02\n"
        "0 sent\n"
        "1 > 50 02 01 00 00 64\n"
        "1 ! POSITIVE 50 02 01 00 00 64\n"
        "2 start 11 01\n"
        "2 sent\n"
        "3 > 51 01\n"
        "3 ! POSITIVE 51 01\n");
    assert_int_equal(c.p2_ms, 50);
    assert_int_equal(c.p2_star_ms, 5000);
    assert_false(c.p2_told);
}

// --- 0x78 ---

static void each_0x78_restarts_p2_star_whatever_their_number(void **state)
{
    (void)state;
    transcript(
        "0 start 31 01 FF 00\n"
        "0 sent\n"
        "50 > 7F 31 78\n"
        "50 ! PENDING 1\n"
        "5059 > 7F 31 78\n"
        "5059 ! PENDING 2\n"
        "10068 > 7F 31 78\n"
        "10068 ! PENDING 3\n"
        "15077 > 71 01 FF 00 00\n"
        "15077 ! POSITIVE 71 01 FF 00 00\n");
}

static void silence_after_a_0x78_is_p2_star(void **state)
{
    (void)state;
    transcript(
        "0 start 37\n"
        "0 sent\n"
        "10 > 7F 37 78\n"
        "10 ! PENDING 1\n"
        "5020 ! TIMEOUT P2*\n");
    assert_true(c.pending_since == 10 * USEC_MS);
}

static void the_server_may_not_be_busy_longer_than_the_limit(void **state)
{
    (void)state;
    cfg.pending_limit_ms = 6000;
    transcript(
        "0 start 37\n"
        "0 sent\n"
        "10 > 7F 37 78\n"
        "10 ! PENDING 1\n"
        "4000 > 7F 37 78\n"
        "4000 ! PENDING 2\n"
        "6010 ! TIMEOUT PENDING\n");
}

static void a_0x78_for_another_service_is_not_ours(void **state)
{
    (void)state;
    transcript(
        "0 start 37\n"
        "0 sent\n"
        "10 > 7F 36 78\n"
        "60 ! TIMEOUT P2\n");
}

static void the_response_to_file_transfer_is_no_0x78(void **state)
{
    (void)state;
    transcript(
        "0 start 38 05\n"
        "0 sent\n"
        "10 > 78 05\n"
        "10 ! POSITIVE 78 05\n");
}

// --- Whose response is it? ---

static void what_a_response_echoes_is_compared(void **state)
{
    static const struct {
        const char *request, *other, *right;
    } rows[] = {
        { "10 02", "50 03 00 32 01 F4", "50 02 00 32 01 F4" },
        { "10 82", "50 82", "50 02" },
        { "11 01", "51 03", "51 01" },
        { "27 01", "67 02", "67 01 00" },
        { "27 02 AA", "67 01 00", "67 02" },
        { "28 03 01", "68 00", "68 03" },
        { "85 02", "C5 01", "C5 02" },
        { "3E 00", "7E 01", "7E 00" },
        { "22 F1 89", "62 F1 90 31", "62 F1 89 31" },
        { "22 F1 89 F1 90", "62 F0 89 31", "62 F1 89 31" },
        { "22 F1 89 F1 90", "62 F1 91 31", "62 F1 90 31" },
        { "2E F1 5A 01", "6E F1 5B", "6E F1 5A" },
        { "31 01 FF 00", "71 01 FF 01", "71 01 FF 00" },
        { "31 01 FF 00", "71 03 FF 00", "71 01 FF 00" },
        { "36 06 00", "76 05", "76 06" },
        { "36 06 00", "76", "76 06" },
        { "34 00 44", "75 20 0F FF", "74 20 0F FF" },
        { "37", "76 05", "77" },
        { "14 FF FF FF", "53", "54" },
        { "37", "7F 36 24", "77" },
        { "37", "7F 37", "77" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[400];
        (void)sprintf(text, "0 start %s\n0 sent\n5 > %s\n6 > %s\n6 ! POSITIVE %s\n",
                      rows[i].request, rows[i].other, rows[i].right, rows[i].right);
        transcript(text);
    }
}

static void a_late_response_to_an_earlier_request_does_not_stop_the_clock(void **state)
{
    (void)state;
    transcript(
        "0 start 36 06 00\n"
        "0 sent\n"
        "20 begin\n" // it takes 15 ms, in which the server cannot say anything else
        "35 > 76 05\n"
        "75 ! TIMEOUT P2\n");
}

static void nobody_asked(void **state)
{
    (void)state;
    transcript(
        "0 > 76 05\n"
        "1 > 7F 36 78\n"
        "2 > 7F 36 21\n"
        "3 begin\n"
        "4 break\n"
        "5 sent\n");
}

static void a_request_that_was_forgotten_is_not_answered(void **state)
{
    (void)state;
    transcript(
        "0 start 37\n"
        "0 sent\n"
        "1 stop\n"
        "2 > 77\n");
}

static void a_server_may_refuse_before_it_has_heard_all(void **state)
{
    (void)state;
    transcript(
        "0 start 36 01 00\n"
        "3 > 7F 36 24\n"
        "3 ! NEGATIVE 24\n"
        "4 sent\n");
}

static void a_response_may_overtake_the_confirmation(void **state)
{
    (void)state;
    transcript(
        "0 start 36 01 00\n"
        "3 > 76 01\n"
        "3 ! POSITIVE 76 01\n"
        "4 sent\n"
        "10 start 36 02 00\n"
        "13 > 7F 36 78\n"
        "13 ! PENDING 1\n"
        "14 > 76 01\n"
        "20 sent\n"
        "5030 ! TIMEOUT P2*\n");
}

static void a_message_of_a_moment_before_may_break_off(void **state)
{
    (void)state;
    transcript(
        "0 start 36 01 00\n"
        "3 begin\n"
        "4 break\n"
        "10 sent\n"
        "70 ! TIMEOUT P2\n");
}

// --- Negative responses ---

static void a_negative_response_ends_the_request(void **state)
{
    (void)state;
    transcript(
        "0 start 34 00 44\n"
        "0 sent\n"
        "10 > 7F 34 70\n"
        "10 ! NEGATIVE 70\n");
}

static void a_busy_server_is_asked_again(void **state)
{
    (void)state;
    cfg.busy_repeats = 2;
    transcript(
        "0 start 22 F1 89\n"
        "0 sent\n"
        "10 > 7F 22 21\n"
        "110 ! SEND\n"
        "111 sent\n"
        "112 > 7F 22 21\n"
        "113 > 62 F1 89 00\n" // nobody asked
        "212 ! SEND\n"
        "213 sent\n"
        "214 > 62 F1 89 31\n"
        "214 ! POSITIVE 62 F1 89 31\n");
}

static void a_server_that_stays_busy_is_given_up(void **state)
{
    (void)state;
    cfg.busy_repeats = 1;
    cfg.busy_wait_ms = 40;
    transcript(
        "0 start 22 F1 89\n"
        "0 sent\n"
        "10 > 7F 22 21\n"
        "50 ! SEND\n"
        "51 sent\n"
        "52 > 7F 22 21\n"
        "52 ! TIMEOUT BUSY\n");
}

// --- No response wanted; all servers ---

static void silence_is_a_positive_response_if_none_was_wanted(void **state)
{
    (void)state;
    transcript(
        "0 start 28 83 01\n"
        "0 sent\n"
        "60 ! POSITIVE\n"
        "100 start 28 83 01\n"
        "100 sent\n"
        "110 > 7F 28 22\n"
        "110 ! NEGATIVE 22\n"
        "200 start 28 83 01\n"
        "200 sent\n"
        "210 > 68 03\n" // not wanted, and well
        "210 ! POSITIVE 68 03\n");
}

static void data_with_bit_7_is_no_sub_function(void **state)
{
    (void)state;
    transcript(
        "0 start 36 81 00\n"
        "0 sent\n"
        "60 ! TIMEOUT P2\n"
        "100 start 36 81 00\n"
        "100 sent\n"
        "101 > 76 01\n"
        "102 > 76 81\n"
        "102 ! POSITIVE 76 81\n");
}

static void after_a_0x78_there_must_be_a_response(void **state)
{
    (void)state;
    transcript(
        "0 start 10 82\n"
        "0 sent\n"
        "10 > 7F 10 78\n"
        "10 ! PENDING 1\n"
        "5020 ! TIMEOUT P2*\n");
}

static void a_request_to_all_is_over_once_it_has_left(void **state)
{
    (void)state;
    transcript(
        "0 all 10 83\n"
        "5 sent\n"
        "5 ! POSITIVE\n");
    assert_true(c.functional_from == 55 * USEC_MS); // P3client_func
}

static void a_request_to_all_may_be_answered(void **state)
{
    (void)state;
    transcript(
        "0 all 10 03\n"
        "0 sent\n"
        "60 ! POSITIVE\n"
        "100 all 10 03\n"
        "100 sent\n"
        "110 > 50 03\n"
        "110 ! POSITIVE 50 03\n"
        "200 all 10 03\n"
        "200 sent\n"
        "210 > 7F 10 22\n"
        "210 ! NEGATIVE 22\n");
}

// --- TesterPresent ---

static void testers_are_present_in_every_state(void **state)
{
    (void)state;
    transcript(
        "0 present\n"
        "100 present\n"   // once is enough
        "1500 start 37\n" // still being sent at 2000
        "2000 ! PRESENT\n"
        "2500 sent\n"
        "2510 > 7F 37 78\n"
        "2510 ! PENDING 1\n"
        "4000 ! PRESENT\n"
        "5000 begin\n"
        "6000 ! PRESENT\n"
        "6001 > 77\n"
        "6001 ! POSITIVE 77\n"
        "8000 ! PRESENT\n"
        "9000 absent\n");
}

static void their_period_is_configured(void **state)
{
    (void)state;
    cfg.present_ms = 30;
    transcript(
        "0 present\n"
        "30 ! PRESENT\n"
        "60 ! PRESENT\n"
        "61 absent\n");
    assert_true(c.functional_from == 110 * USEC_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(p2_runs_from_the_last_frame_of_the_request, defaults),
        cmocka_unit_test_setup(p2_stops_at_the_first_frame_of_the_response, defaults),
        cmocka_unit_test_setup(a_response_that_breaks_off_ends_the_request, defaults),
        cmocka_unit_test_setup(the_configured_times_are_used_until_the_server_says_others,
                               defaults),
        cmocka_unit_test_setup(a_session_response_without_times_changes_none, defaults),
        cmocka_unit_test_setup(a_reset_brings_the_configured_times_back, defaults),
        cmocka_unit_test_setup(each_0x78_restarts_p2_star_whatever_their_number, defaults),
        cmocka_unit_test_setup(silence_after_a_0x78_is_p2_star, defaults),
        cmocka_unit_test_setup(the_server_may_not_be_busy_longer_than_the_limit, defaults),
        cmocka_unit_test_setup(a_0x78_for_another_service_is_not_ours, defaults),
        cmocka_unit_test_setup(the_response_to_file_transfer_is_no_0x78, defaults),
        cmocka_unit_test_setup(what_a_response_echoes_is_compared, defaults),
        cmocka_unit_test_setup(a_late_response_to_an_earlier_request_does_not_stop_the_clock,
                               defaults),
        cmocka_unit_test_setup(nobody_asked, defaults),
        cmocka_unit_test_setup(a_request_that_was_forgotten_is_not_answered, defaults),
        cmocka_unit_test_setup(a_server_may_refuse_before_it_has_heard_all, defaults),
        cmocka_unit_test_setup(a_response_may_overtake_the_confirmation, defaults),
        cmocka_unit_test_setup(a_message_of_a_moment_before_may_break_off, defaults),
        cmocka_unit_test_setup(a_negative_response_ends_the_request, defaults),
        cmocka_unit_test_setup(a_busy_server_is_asked_again, defaults),
        cmocka_unit_test_setup(a_server_that_stays_busy_is_given_up, defaults),
        cmocka_unit_test_setup(silence_is_a_positive_response_if_none_was_wanted, defaults),
        cmocka_unit_test_setup(data_with_bit_7_is_no_sub_function, defaults),
        cmocka_unit_test_setup(after_a_0x78_there_must_be_a_response, defaults),
        cmocka_unit_test_setup(a_request_to_all_is_over_once_it_has_left, defaults),
        cmocka_unit_test_setup(a_request_to_all_may_be_answered, defaults),
        cmocka_unit_test_setup(testers_are_present_in_every_state, defaults),
        cmocka_unit_test_setup(their_period_is_configured, defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
