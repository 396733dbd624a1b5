// test_tester.c - one UDS request over ISO-TP as a bus log, on a virtual clock.
// SPDX-License-Identifier: Apache-2.0
//
// A line is: time in ms, what, text. Stimuli:
//     start BYTES      the request
//     > ID BYTES       a frame comes in
//     driver off       it takes frames, but they do not leave
//     refuse           it takes none
//     lost             it forgets those it took
// and what is reported, complete until 100 s after the last line:
//     < ID BYTES       a frame goes out
//     ! ANSWER ID BYTES, ! PENDING ID, ! OVER ANSWERS WHY
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "tester.h"
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static tester_cfg_t cfg;
static tester_t tester;
static char reported[8000];
static uint8_t request[TESTER_MESSAGE_MAX];
static bool driver_off, driver_refuses;

__attribute__((format(printf, 1, 2))) static void add(const char *format, ...)
{
    const size_t used = strlen(reported);
    va_list args;
    va_start(args, format);
    vsnprintf(reported + used, sizeof reported - used, format, args);
    va_end(args);
}

static void add_bytes(uint32_t id, const uint8_t *p, size_t len)
{
    add("%03X", (unsigned)id);
    for (size_t i = 0; i < smaller(len, 8); i++)
        add(" %02X", p[i]);
    add(len > 8 ? " ... %zu\n" : "\n", len);
}

static void report(usec_t now, tester_events_t ev)
{
    const double ms = (double)now / 1000;
    char why[200];
    if (ev & TESTER_PENDING) add("%g ! PENDING %03X\n", ms, (unsigned)tester.from);
    if (ev & TESTER_ANSWER) {
        add("%g ! ANSWER ", ms);
        add_bytes(tester.from, tester.message, tester.message_len);
    }
    if (!(ev & TESTER_OVER)) return;
    (void)tester_why(&tester, why, sizeof why);
    add("%g ! OVER %u%s%s\n", ms, tester.answers, why[0] ? " " : "", why);
}

static void send(usec_t now)
{
    const can_frame_t *frame;
    while ((frame = tester_output(&tester, now)) != NULL && !driver_refuses) {
        add("%g < ", (double)now / 1000);
        add_bytes(frame->id, frame->data, frame->len);
        tester_taken(&tester, now);
        if (!driver_off) report(now, tester_sent(&tester, now));
    }
}

static void run(usec_t from, usec_t until)
{
    usec_t now = from;
    for (unsigned turns = 0; tester_deadline(&tester) <= until; turns++) {
        now = later(now, tester_deadline(&tester));
        assert_true(turns < 1000);
        report(now, tester_tick(&tester, now));
        send(now);
        assert_true(tester_deadline(&tester) > now);
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

static void stimulus(const char *word, char *rest, usec_t now)
{
    if (strcmp(word, "start") == 0) {
        assert_true(tester_start(&tester, request, bytes_of(rest, request), now));
    } else if (strcmp(word, ">") == 0) {
        can_frame_t frame = { .id = (uint32_t)strtoul(rest, &rest, 16) };
        frame.ext = frame.id > 0x7FF;
        frame.len = (uint8_t)bytes_of(rest, frame.data);
        report(now, tester_input(&tester, &frame, now));
    } else if (strcmp(word, "driver") == 0) {
        driver_off = true;
    } else if (strcmp(word, "refuse") == 0) {
        driver_refuses = true;
    } else if (strcmp(word, "lost") == 0) {
        tester_lost(&tester);
    } else {
        fail_msg("unknown: %s", word);
    }
}

static void transcript(const char *text)
{
    char expected[8000] = "", line[300], word[20];
    usec_t now = 0;
    driver_off = driver_refuses = false;
    reported[0] = 0;
    tester_init(&tester, &cfg, 0);
    while (*text) {
        const size_t len = strcspn(text, "\n");
        double ms;
        int used = 0;
        assert_true(len < sizeof line);
        memcpy(line, text, len);
        line[len] = 0;
        text += len + 1;
        assert_int_equal(sscanf(line, "%lf %19s%n", &ms, word, &used), 2);
        if (word[0] == '!' || word[0] == '<') {
            (void)sprintf(expected + strlen(expected), "%s\n", line);
            continue;
        }
        assert_true((usec_t)(ms * 1000) >= now);
        if ((usec_t)(ms * 1000) > now) run(now, (usec_t)(ms * 1000) - 1);
        now = (usec_t)(ms * 1000);
        stimulus(word, line + used, now);
        send(now);
    }
    run(now, now + 100000 * USEC_MS);
    assert_string_equal(reported, expected);
}

static int set_up(void **state)
{
    (void)state;
    static const isotp_cfg_t one = { .tx_id = 0x7E0,
                                     .rx_id = 0x7E8,
                                     .n_as = 1000 * USEC_MS,
                                     .n_ar = 1000 * USEC_MS,
                                     .n_bs = 900 * USEC_MS,
                                     .n_cr = 800 * USEC_MS,
                                     .n_br = 700 * USEC_MS };
    cfg = (tester_cfg_t){ .isotp = one, .functional = one, .client = { .busy_repeats = 2 } };
    cfg.functional.tx_id = 0x7DF;
    cfg.functional.rx_id = 0x7DF;
    cfg.functional.functional = true;
    return 0;
}

static int set_up_for_all(void **state)
{
    (void)set_up(state);
    cfg.to_all = true;
    cfg.client.p2_ms = 50;
    return 0;
}

// --- To one device ---

static void an_answer_comes_in_one_frame_or_in_many(void **state)
{
    (void)state;
    transcript(
        "0 start 3E 00\n"
        "0 < 7E0 02 3E 00\n"
        "1 > 7E9 02 7E 00\n" // somebody else
        "2 > 7E8 02 7E 00\n"
        "2 ! ANSWER 7E8 7E 00\n"
        "2 ! OVER 1\n"
        "3 start 22 F1 90 12 34 56 78\n"
        "3 < 7E0 07 22 F1 90 12 34 56 78\n"
        "40 > 7E8 10 0A 62 F1 90 31 32 33\n"
        "40 < 7E0 30 00 00\n"
        "400 > 7E8 21 34 35 36 37\n" // P2 counts until the first frame
        "400 ! ANSWER 7E8 62 F1 90 31 32 33 34 35 ... 10\n"
        "400 ! OVER 1\n");
}

static void p2_counts_from_the_requests_last_frame(void **state)
{
    (void)state;
    transcript(
        "0 start 2E F1 90 01 02 03 04 05\n"
        "0 < 7E0 10 08 2E F1 90 01 02 03\n"
        "300 > 7E8 30 00 00\n"
        "300 < 7E0 21 04 05\n"
        "350 ! OVER 0 no response within 50 ms (P2)\n"
        "400 > 7E8 03 6E F1 90\n"); // nobody waits for it any more
}

static void each_0x78_gives_p2_star(void **state)
{
    (void)state;
    transcript(
        "0 start 31 01 FF 00\n"
        "0 < 7E0 04 31 01 FF 00\n"
        "49 > 7E8 03 7F 31 78\n"
        "49 ! PENDING 7E8\n"
        "5048 > 7E8 03 7F 31 78\n"
        "5048 ! PENDING 7E8\n"
        "10047 > 7E8 05 71 01 FF 00 00\n"
        "10047 ! ANSWER 7E8 71 01 FF 00 00\n"
        "10047 ! OVER 1\n"
        "11000 start 37\n"
        "11000 < 7E0 01 37\n"
        "11010 > 7E8 03 7F 37 78\n"
        "11010 ! PENDING 7E8\n"
        "16010 ! OVER 0 nothing more within 5000 ms after a response pending (P2*)\n");
}

static void a_busy_device_is_asked_again(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 90\n"
        "0 < 7E0 03 22 F1 90\n"
        "1 > 7E8 03 7F 22 21\n"
        "101 < 7E0 03 22 F1 90\n"
        "102 > 7E8 04 62 F1 90 31\n"
        "102 ! ANSWER 7E8 62 F1 90 31\n"
        "102 ! OVER 1\n"
        "200 start 22 F1 90\n"
        "200 < 7E0 03 22 F1 90\n"
        "201 > 7E8 03 7F 22 21\n"
        "301 < 7E0 03 22 F1 90\n"
        "302 > 7E8 03 7F 22 21\n"
        "402 < 7E0 03 22 F1 90\n"
        "403 > 7E8 03 7F 22 21\n"
        "403 ! OVER 0 busy (21) each time\n");
}

static void a_negative_answer_ends_a_request_that_is_still_being_sent(void **state)
{
    (void)state;
    transcript(
        "0 start 36 01 02 03 04 05 06 07 08\n"
        "0 < 7E0 10 09 36 01 02 03 04 05\n"
        "1 > 7E8 03 7F 36 7F\n"
        "1 ! ANSWER 7E8 7F 36 7F\n"
        "1 ! OVER 1\n"
        "2 > 7E8 30 00 00\n");
}

static void a_request_that_wants_no_response_ends_with_p2(void **state)
{
    (void)state;
    transcript(
        "0 start 3E 80\n"
        "0 < 7E0 02 3E 80\n"
        "50 ! OVER 0\n"
        "60 start 10 83\n"
        "60 < 7E0 02 10 83\n"
        "70 > 7E8 03 7F 10 22\n"
        "70 ! ANSWER 7E8 7F 10 22\n"
        "70 ! OVER 1\n");
}

// --- What the transport does not get through ---

static void a_device_may_refuse_the_length(void **state)
{
    (void)state;
    transcript(
        "0 start 36 01 02 03 04 05 06 07 08\n"
        "0 < 7E0 10 09 36 01 02 03 04 05\n"
        "1 > 7E8 32 00 00\n"
        "1 ! OVER 0 the device refuses a request of this length (flow control OVFLW)\n");
}

static void a_device_may_be_silent_after_the_first_frame(void **state)
{
    (void)state;
    transcript(
        "0 start 36 01 02 03 04 05 06 07 08\n"
        "0 < 7E0 10 09 36 01 02 03 04 05\n"
        "900 ! OVER 0 no flow control within 1 s (N_Bs)\n");
}

static void nobody_may_acknowledge(void **state)
{
    (void)state;
    static const char why[] =
        "! OVER 0 no frame could be sent within 1 s (N_As): nobody acknowledges. "
        "Check wiring, termination, bit rate\n";
    char text[400];
    (void)sprintf(text, "0 driver off\n0 start 3E 00\n0 < 7E0 02 3E 00\n1000 %s", why);
    transcript(text);
    (void)sprintf(text, "0 refuse\n0 start 3E 00\n1000 %s", why);
    transcript(text);
}

static void a_bus_that_went_away_loses_the_frames_on_their_way(void **state)
{
    (void)state;
    transcript(
        "0 driver off\n"
        "0 start 3E 00\n"
        "0 < 7E0 02 3E 00\n"
        "10 lost\n"
        "10 ! OVER 0 no frame could be sent within 1 s (N_As): nobody acknowledges. Check wiring, termination, bit rate\n");
}

static void an_answer_may_break_off_or_be_too_long(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 90\n"
        "0 < 7E0 03 22 F1 90\n"
        "1 > 7E8 10 0A 62 F1 90 31 32 33\n"
        "1 < 7E0 30 00 00\n"
        "2 > 7E8 22 34 35 36 37\n"
        "2 ! OVER 0 the response was not completed: frames were lost\n"
        "10 start 22 F1 90\n"
        "10 < 7E0 03 22 F1 90\n"
        "11 > 7E8 10 0A 62 F1 90 31 32 33\n"
        "11 < 7E0 30 00 00\n"
        "811 ! OVER 0 the response was not completed: frames were lost\n"
        "900 start 22 F1 90\n"
        "900 < 7E0 03 22 F1 90\n"
        "901 > 7E8 10 00 00 00 10 00 62 F1\n"
        "901 ! OVER 0 the response was not completed: frames were lost\n"
        "901 < 7E0 32 00 00\n");
}

// --- To all ---

static void several_answers_are_collected_until_p2(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 90\n"
        "0 < 7DF 03 22 F1 90\n"
        "5 > 7E9 10 08 62 F1 90 31 32 33\n"
        "5 < 7E1 30 00 00\n"
        "6 > 7E8 05 62 F1 90 34 35\n"
        "6 ! ANSWER 7E8 62 F1 90 34 35\n"
        "7 > 7E9 21 36 37\n"
        "7 ! ANSWER 7E9 62 F1 90 31 32 33 36 37\n"
        "8 > 7EF 03 7F 22 31\n"
        "8 ! ANSWER 7EF 7F 22 31\n"
        "9 > 7EA 02 7E 00\n"       // to somebody else's request
        "9 > 7D0 04 62 F1 90 31\n" // none of the identifiers of diagnostics
        "50 ! OVER 3\n");
}

static void p2_waits_for_those_who_began_and_those_who_are_busy(void **state)
{
    (void)state;
    transcript(
        "0 start 22 F1 90\n"
        "0 < 7DF 03 22 F1 90\n"
        "49 > 7E9 10 08 62 F1 90 31 32 33\n"
        "49 < 7E1 30 00 00\n"
        "100 > 7E9 21 36 37\n"
        "100 ! ANSWER 7E9 62 F1 90 31 32 33 36 37\n"
        "100 ! OVER 1\n"
        "200 start 22 F1 90\n"
        "200 < 7DF 03 22 F1 90\n"
        "210 > 7E9 03 7F 22 78\n"
        "210 ! PENDING 7E9\n"
        "1000 > 7E9 04 62 F1 90 31\n"
        "1000 ! ANSWER 7E9 62 F1 90 31\n"
        "1000 ! OVER 1\n");
}

static void nobody_answers_a_request_to_all(void **state)
{
    (void)state;
    transcript(
        "0 start 3E 00\n"
        "0 < 7DF 02 3E 00\n"
        "50 ! OVER 0 no response within 50 ms (P2)\n"
        "100 start 3E 00\n"
        "100 < 7DF 02 3E 00\n"
        "110 > 7E9 03 7F 3E 78\n"
        "110 ! PENDING 7E9\n"
        "5110 ! OVER 0 nothing more within 5000 ms after a response pending (P2*)\n");
}

static void on_29_bits_the_address_tells_who_answers(void **state)
{
    (void)state;
    cfg.isotp.tx_id = 0x18DA10F1;
    cfg.isotp.rx_id = 0x18DAF110;
    cfg.functional.tx_id = 0x18DB33F1;
    cfg.isotp.ext = cfg.functional.ext = true;
    transcript(
        "0 start 3E 00\n"
        "0 < 18DB33F1 02 3E 00\n"
        "1 > 18DAF1AB 02 7E 00\n"
        "1 ! ANSWER 18DAF1AB 7E 00\n"
        "2 > 18DAF0AB 02 7E 00\n" // to another tester
        "50 ! OVER 1\n");
}

static void more_devices_than_channels_are_left_out(void **state)
{
    (void)state;
    cfg.isotp.tx_id = 0x18DA10F1;
    cfg.isotp.rx_id = 0x18DAF110;
    cfg.functional.tx_id = 0x18DB33F1;
    cfg.isotp.ext = cfg.functional.ext = true;
    char text[4000] = "0 start 3E 00\n0 < 18DB33F1 02 3E 00\n";
    for (unsigned i = 0; i < 20; i++) {
        (void)sprintf(text + strlen(text), "1 > 18DAF1%02X 02 7E 00\n", 0x20 + i);
        if (i < TESTER_CHANNELS - 1) // one is the device's own
            (void)sprintf(text + strlen(text), "1 ! ANSWER 18DAF1%02X 7E 00\n", 0x20 + i);
    }
    (void)sprintf(text + strlen(text), "50 ! OVER 15\n");
    transcript(text);
}

static void a_request_to_all_fits_a_single_frame(void **state)
{
    (void)state;
    tester_init(&tester, &cfg, 0);
    assert_false(tester_start(&tester, (const uint8_t[8]){ 0x22 }, 8, 0));
    assert_null(tester_output(&tester, 0));
}

int main(void)
{
    const struct CMUnitTest one[] = {
        cmocka_unit_test_setup(an_answer_comes_in_one_frame_or_in_many, set_up),
        cmocka_unit_test_setup(p2_counts_from_the_requests_last_frame, set_up),
        cmocka_unit_test_setup(each_0x78_gives_p2_star, set_up),
        cmocka_unit_test_setup(a_busy_device_is_asked_again, set_up),
        cmocka_unit_test_setup(a_negative_answer_ends_a_request_that_is_still_being_sent, set_up),
        cmocka_unit_test_setup(a_request_that_wants_no_response_ends_with_p2, set_up),
        cmocka_unit_test_setup(a_device_may_refuse_the_length, set_up),
        cmocka_unit_test_setup(a_device_may_be_silent_after_the_first_frame, set_up),
        cmocka_unit_test_setup(nobody_may_acknowledge, set_up),
        cmocka_unit_test_setup(a_bus_that_went_away_loses_the_frames_on_their_way, set_up),
        cmocka_unit_test_setup(an_answer_may_break_off_or_be_too_long, set_up),
        cmocka_unit_test_setup(several_answers_are_collected_until_p2, set_up_for_all),
        cmocka_unit_test_setup(p2_waits_for_those_who_began_and_those_who_are_busy, set_up_for_all),
        cmocka_unit_test_setup(nobody_answers_a_request_to_all, set_up_for_all),
        cmocka_unit_test_setup(on_29_bits_the_address_tells_who_answers, set_up_for_all),
        cmocka_unit_test_setup(more_devices_than_channels_are_left_out, set_up_for_all),
        cmocka_unit_test_setup(a_request_to_all_fits_a_single_frame, set_up_for_all),
    };
    return cmocka_run_group_tests(one, NULL, NULL);
}
