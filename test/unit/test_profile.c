// test_profile.c - profiles as text: what is understood, what is refused and how, requests made of them.
// SPDX-License-Identifier: Apache-2.0
#include "profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

// What a profile needs at least.
#define REST "step download 34 00 44 {address:4} {size:4}\nstep transfer\n"

static profile_t p;
static char error[300];
static const profile_values_t values = { .address = 0x1000,
                                         .size = 0x12345,
                                         .crc32 = 0xCAFEBABE,
                                         .sha256 = { 1, 2, 3 },
                                         .date = { 0x26, 0x11, 0x23 } };

static void expect_good(const char *text)
{
    if (!profile_parse(&p, "good", text, strlen(text), error, sizeof error)) fail_msg("%s", error);
}

static void expect_bad(const char *text, const char *wanted)
{
    memset(error, 0, sizeof error);
    assert_false(profile_parse(&p, "bad", text, strlen(text), error, sizeof error));
    if (!strstr(error, wanted)) fail_msg("'%s' is not in '%s'", wanted, error);
    assert_null(strchr(error, '\n'));
}

static void expect_request(unsigned step, const char *wanted)
{
    uint8_t bytes[PROFILE_REQUEST_MAX];
    char text[3 * PROFILE_REQUEST_MAX + 1] = "";
    const uint32_t len = profile_expand(&p, &p.step[step], &values, bytes);
    for (uint32_t i = 0; i < len; i++)
        (void)sprintf(text + strlen(text), "%s%02X", i ? " " : "", bytes[i]);
    assert_string_equal(text, wanted);
}

static void the_built_in_ones_are_understood(void **state)
{
    (void)state;
    for (unsigned i = 0; profile_name(i); i++) {
        expect_good(profile_builtin(profile_name(i)));
        assert_true(p.request.given && p.request.id == 0x7E0 && p.functional.id == 0x7DF);
        assert_int_equal(p.p2_ms, 50);
        assert_int_equal(p.p2_star_ms, 5000);
        assert_true(p.steps > 15);
    }
    assert_null(profile_builtin("none"));
}

static void only_ours_resumes(void **state)
{
    (void)state;
    expect_good(profile_builtin("standard"));
    for (unsigned i = 0; i < p.steps; i++)
        assert_true(p.step[i].verb != PROFILE_RESUME && p.step[i].verb != PROFILE_AGAIN);
}

static void settings(void **state)
{
    (void)state;
    expect_good(
        "id 18DA10F1 18DAF110 18DB33F1\n"
        "p2 25 3000\nmargin 7\npending-limit 60\npresent 0\nblock-max 258\nblock-retry 0\n"
        "request-retry 1\nrounds 2\nconnect 9\nreconnect 8\nunlock-limit 6\nrestart-delay 5\n"
        "restart-limit 4\nconfirm-limit 3\naddress 8000000\nresult F1A0\nsession F1A1\n"
        "tester 01 02 03 04 05 FF\n" REST);
    assert_true(p.request.ext && p.response.ext && p.functional.ext);
    assert_int_equal(p.response.id, 0x18DAF110);
    assert_int_equal(p.p2_ms, 25);
    assert_int_equal(p.p2_star_ms, 3000);
    assert_int_equal(p.margin_ms, 7);
    assert_int_equal(p.pending_limit_s, 60);
    assert_int_equal(p.present_ms, 0);
    assert_int_equal(p.block_max, 258);
    assert_int_equal(p.block_retry, 0);
    assert_int_equal(p.request_retry, 1);
    assert_int_equal(p.rounds, 2);
    assert_int_equal(p.connect_s, 9);
    assert_int_equal(p.reconnect_s, 8);
    assert_int_equal(p.unlock_s, 6);
    assert_int_equal(p.restart_delay_ms, 5);
    assert_int_equal(p.restart_s, 4);
    assert_int_equal(p.confirm_s, 3);
    assert_int_equal(p.address, 0x8000000);
    assert_int_equal(p.result_did, 0xF1A0);
    assert_int_equal(p.session_did, 0xF1A1);
    assert_int_equal(p.tester[5], 0xFF);
}

static void requests_are_made_of_bytes_and_placeholders(void **state)
{
    (void)state;
    expect_good(
        "step request 31 01 FF 00 {address:1}  # too small for the address\n"
        "step request 31 01 02 02 01 {crc32}\n"
        "step request 2e f1 5a {date} {tester}\n"
        "step request 31 01 FF 01 {sha256}\n"
        "tester AA BB CC DD EE FF\r\n"
        "step download 34 00 33 {address:3} {size:3}\n"
        "step transfer\n");
    expect_request(0, "");
    expect_request(1, "31 01 02 02 01 CA FE BA BE");
    expect_request(2, "2E F1 5A 26 11 23 AA BB CC DD EE FF");
    expect_request(3,
                   "31 01 FF 01 01 02 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
                   "00 00 00 00 00 00 00 00 00 00");
    expect_request(4, "34 00 33 00 10 00 01 23 45");
    expect_request(5, "");
}

static void marks_and_arguments_of_steps(void **state)
{
    (void)state;
    expect_good(
        "step optional functional request 10 83\n"
        "step security 11\n"
        "step delay 250\n"
        "step read F197 text\n"
        "step again\n"
        "step resume 31 01 F0 00\n" REST
        "step restart 22 F1 86 expect 62 F1 86 01\n"
        "step verify F195 version");
    assert_true(p.step[0].optional && p.step[0].functional);
    assert_int_equal(p.step[1].level, 0x11);
    assert_int_equal(p.step[2].delay_ms, 250);
    assert_int_equal(p.step[3].did, 0xF197);
    assert_int_equal(p.step[3].kind, PROFILE_TEXT);
    assert_int_equal(p.step[3].line, 4);
    assert_int_equal(p.step[8].verb, PROFILE_RESTART);
    static const uint8_t right[] = { 0x62, 0xF1, 0x86, 1, 9 };
    static const uint8_t wrong[] = { 0x62, 0xF1, 0x86, 2 };
    assert_true(profile_expected(&p, &p.step[8], right, sizeof right));
    assert_true(profile_expected(&p, &p.step[8], right, 4));
    assert_false(profile_expected(&p, &p.step[8], right, 3));
    assert_false(profile_expected(&p, &p.step[8], wrong, sizeof wrong));
    assert_true(profile_expected(&p, &p.step[0], wrong, 0)); // nothing is expected
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *error;
    } rows[] = {
        { "", "bad:1: nothing is transferred" },
        { "\n\nflash 1\n", "bad:3: 'flash' is no setting" },
        { "id 7E0 7E8\n", "bad:1: '' is no identifier" },
        { "id 7E0 7E8 800\n", "'800' is no identifier" },
        { "id 7E0 7E8 7E8\n", "'7E8' comes twice" },
        { "id 7E0 7E8 18DB33F1\n", "11 and of 29 bits" },
        { "id 7E0 7E8 7DF 7DE\n", "'7DE' is too much" },
        { "id 7E0 0x7E8 7DF\n", "'0x7E8' is no identifier" },
        { "p2 50\n", "'': a number from 1 to 655350" },
        { "p2 0 5000\n", "'0': a number" },
        { "margin -1\n", "'-1': a number from 0 to 60000" },
        { "block-max 2\n", "from 3 to 65535" },
        { "block-max 99999999999999999999\n", "from 3 to 65535" },
        { "present 2 s\n", "'s' is too much" },
        { "address xyz\n", "'xyz' is no address" },
        { "result 1\n", "'1' is no data identifier" },
        { "session F18\n", "'F18' is no data identifier" },
        { "tester 01 02\n", "6 bytes are expected" },
        { "step\n", "'' is no step: read, request" },
        { "step fly\n", "'fly' is no step" },
        { "step functional read F189 text\n", "'functional' is for request only" },
        { "step request\n", "bytes are missing" },
        { "step request 10 0\n", "'0' is no byte: two hexadecimal digits" },
        { "step request 10 002\n", "'002' is no byte" },
        { "step request 10 G2\n", "'G2' is no byte" },
        { "step request {date} 10\n", "begins with a byte" },
        { "step request 10 {size:5}\n", "from 1 to 4" },
        { "step request 10 {size}\n", "{size}' is no placeholder" },
        { "step request 10 {Date}\n", "'{Date}' is no placeholder" },
        { "step request 10 02 expect\n", "bytes are missing" },
        { "step request 10 02 expect 50 {size:2}\n", "no placeholders" },
        { "step request 10 02 expect 50 expect 50\n", "'expect' comes once" },
        { "step download 35 00\n", "begins with 34 here" },
        { "step download 34 00 expect 74\n", "'expect' is for request and restart only" },
        { "step resume 22 F0 00\n", "begins with 31 here" },
        { "step security 02\n", "an odd byte" },
        { "step security 7F\n", "an odd byte" },
        { "step read F18 text\n", "'F18' is no data identifier" },
        { "step read F189 words\n", "hex, text, version" },
        { "step verify F189 text\n", "'text' cannot be verified" },
        { "step verify F189 words\n", "version or running" },
        { "step delay soon\n", "milliseconds" },
        { "step delay 600001\n", "milliseconds" },
        { "step transfer\n", "bad:1: 'download' is expected before" },
        { REST "step transfer\n", "bad:3: 'transfer' comes once, and stands in line 2" },
        { REST "step again\n", "bad:3: 'again' is expected before 'transfer'" },
        { REST "step resume 31 01 F0 00\n", "bad:3: 'resume' is expected before" },
        { "step transfer now\n", "'now' is too much" },
        { "step \x1B[2J\n", "'?[2J' is no step" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_bad(rows[i].text, rows[i].error);
}

static void add(char *text, const char *what) { (void)sprintf(text + strlen(text), "%s", what); }

static void nothing_is_endless(void **state)
{
    static char text[PROFILE_TEXT_MAX + 2];
    (void)state;
    memset(text, ' ', PROFILE_LINE_MAX + 1);
    expect_bad(text, "bad:1: too long: at most 400 characters a line");
    memset(text, '\n', PROFILE_TEXT_MAX + 1);
    expect_bad(text, "too long: at most 65536 characters");
    text[0] = 0;
    for (unsigned i = 0; i <= PROFILE_STEPS_MAX; i++)
        add(text, "step delay 1\n");
    expect_bad(text, "bad:65: too many steps: at most 64");
    text[0] = 0;
    add(text, "step request 10");
    for (unsigned i = 0; i < 8; i++)
        add(text, " {sha256}");
    expect_bad(text, "at most 256 bytes a request");
    text[0] = 0;
    for (unsigned i = 0; i < 20; i++) {
        add(text, "step request 10");
        for (unsigned k = 0; k < 60; k++)
            add(text, " 02");
        add(text, "\n");
    }
    expect_bad(text, "1024 altogether");
    assert_false(profile_parse(&p, "bad", "id\0", 3, error, sizeof error));
    assert_non_null(strstr(error, "NUL"));
}

// Bytes changed, lines lost and doubled: an answer always, and what is accepted can be used.
static void any_text_has_an_answer(void **state)
{
    static char text[8192];
    uint32_t seed = 1;
    unsigned good = 0;
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        const char *from = profile_builtin(profile_name(round % 2));
        size_t len = strlen(from);
        memcpy(text, from, len + 1);
        for (unsigned n = 1 + round % 3; n > 0; n--) {
            seed = seed * 1664525 + 1013904223;
            const size_t at = (seed >> 8) % len;
            if (round % 7 == 0)
                len = at + 1;
            else
                text[at] =
                    (char)(round % 5 ? "0123456789ABCDEF {}:#\n"[seed % 22] : (int)seed >> 24);
        }
        if (!profile_parse(&p, "any", text, len, error, sizeof error)) {
            assert_true(strlen(error) > 6 && strncmp(error, "any:", 4) == 0);
            continue;
        }
        good++;
        for (unsigned i = 0; i < p.steps; i++) {
            uint8_t bytes[PROFILE_REQUEST_MAX];
            assert_true(profile_expand(&p, &p.step[i], &values, bytes) <= sizeof bytes);
            (void)profile_expected(&p, &p.step[i], bytes, 3);
        }
    }
    assert_true(good > 1000 && good < 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_ones_are_understood),
        cmocka_unit_test(only_ours_resumes),
        cmocka_unit_test(settings),
        cmocka_unit_test(requests_are_made_of_bytes_and_placeholders),
        cmocka_unit_test(marks_and_arguments_of_steps),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(nothing_is_endless),
        cmocka_unit_test(any_text_has_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
