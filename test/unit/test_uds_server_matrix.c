// test_uds_server_matrix.c - who answers what: all services, sub-functions, sessions, to one and to all, SPR and 0x78.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

// What the standard and docs/PROTOCOL.md say, for a locked server that has just entered a session. `verdict` is what a good
// request gets.
typedef struct {
    const char *sessions;
    const char *subs; // NULL: it has none
    const char *rest; // behind them
    uint8_t rest_len;
    uint8_t sid;
    bool to_all;
    uint8_t verdict;
} expected_t;

static const expected_t table[] = {
    { "123", "\1\2\3", "", 0, 0x10, true, 0 },
    { "123", "\1\3", "", 0, 0x11, true, 0 },
    { "123", NULL, "\xFF\xFF\xFF", 3, 0x14, true, 0 },
    { "123", NULL, "\xF1\x86", 2, 0x22, true, 0 },
    { "23", "\1", "", 0, 0x27, false, 0 },
    { "23", "\2", "\xAA", 1, 0x27, false, 0x24 },
    { "23", "\1\2\3", "\1", 1, 0x28, true, 0 },
    { "23", NULL, "\1\0\1\1", 4, 0x2E, false, 0x33 },
    { "23", "\1", "\2\3", 2, 0x31, false, 0 },
    { "2", NULL, "\0\x11\1\1", 4, 0x34, false, 0x33 },
    { "2", NULL, "\1\1", 2, 0x36, false, 0x24 },
    { "2", NULL, "", 0, 0x37, false, 0x24 },
    { "23", "\1\2", "", 0, 0x85, true, 0 },
};

static bool silent_to_all(unsigned nrc)
{
    return nrc == 0x11 || nrc == 0x12 || nrc == 0x31 || nrc == 0x7E || nrc == 0x7F;
}

// `sub` counts only if the service has any.
static void try_one(uint8_t session, bool functional, uint8_t sid, uint8_t sub)
{
    const uint8_t enter[] = { 0x10, session };
    uint8_t request[8] = { sid, sub }, response[UDS_RESPONSE_MAX];
    uint32_t len = 2;
    unsigned nrc = 0x11;
    bool spr = false, to_all = true;
    if (sid == 0x3E) {
        nrc = (sub & 0x7F) ? 0x12 : 0;
        spr = sub & 0x80;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const expected_t *e = &table[i];
        if (e->sid != sid) continue;
        const bool known = e->subs && (sub & 0x7F) && strchr(e->subs, sub & 0x7F);
        const bool zero = sid == 0x28 && (sub & 0x7F) == 0;
        if (sid == 0x27 && !known && e->subs[0] == 2) continue; // the other line told
        to_all = e->to_all;
        len = 1;
        if (e->subs) len = 2;
        memcpy(request + len, e->rest, e->rest_len);
        len += e->rest_len;
        nrc = e->verdict;
        spr = e->subs && (sub & 0x80);
        if (e->subs && !known && !zero) nrc = 0x12;
        if (!strchr(e->sessions, '0' + session)) nrc = 0x7F;
    }
    uds_ask_begin(&uds_test_cfg);
    uds_ask_bytes(enter, sizeof enter, false, response);
    const uint32_t got = uds_ask_bytes(request, len, functional, response);
    bool wanted = nrc ? true : !spr;
    if (functional && (!to_all || silent_to_all(nrc))) wanted = false;
    if (sid & 0x40) wanted = false;
    if (!wanted) {
        if (got) fail_msg("%02X %02X in session %u is answered", sid, sub, session);
        return;
    }
    const uint8_t no[] = { 0x7F, sid, (uint8_t)nrc };
    if (got == 0) fail_msg("%02X %02X in session %u is not answered", sid, sub, session);
    if (nrc && (got != 3 || memcmp(response, no, 3) != 0))
        fail_msg("%02X %02X in session %u: NRC %02X, not %02X", sid, sub, session, response[2],
                 nrc);
    if (nrc == 0 && response[0] != (sid | 0x40))
        fail_msg("%02X %02X in session %u: %02X", sid, sub, session, response[2]);
    if (nrc == 0 && len >= 2 && (sid < 0x12 || sid == 0x3E || sid == 0x28 || sid == 0x31))
        assert_int_equal(response[1], sub & 0x7F); // without SPR
}

static void all_services_and_sub_functions_in_all_sessions_to_one_and_to_all(void **state)
{
    (void)state;
    for (uint8_t session = 1; session <= 3; session++)
        for (unsigned sid = 0; sid < 256; sid++)
            for (unsigned sub = 0; sub < 256; sub++) {
                try_one(session, false, (uint8_t)sid, (uint8_t)sub);
                try_one(session, true, (uint8_t)sid, (uint8_t)sub);
            }
}

// One call of the device, answered with `nrc` after `ms`; true: there was a final response with that code.
static bool is_told(const char *request, uint32_t len, bool functional, unsigned nrc, uint32_t ms)
{
    uds_server_t s;
    uint32_t n = 0;
    usec_t now = 0;
    uds_server_init(&s, &uds_test_cfg, now);
    if (functional) {
        assert_int_equal(uds_server_functional(&s, (const uint8_t *)request, len, now),
                         UDS_SERVER_CALL);
    } else {
        uds_server_begin(&s, len, now);
        assert_int_equal(uds_server_data(&s, (const uint8_t *)request, len), len);
        assert_int_equal(uds_server_end(&s, now), UDS_SERVER_CALL);
    }
    now += ms * USEC_MS;
    uds_server_tick(&s, now);
    const uint8_t *out = uds_server_output(&s, &n);
    assert_int_equal(out != NULL, ms >= 40);
    if (out) {
        assert_int_equal(out[2], 0x78);
        uds_server_taken(&s, now);
        uds_server_sent(&s, now);
    }
    assert_null(uds_server_output(&s, &n));
    uds_server_answer(&s, (uds_nrc_t)nrc, now);
    out = uds_server_output(&s, &n);
    if (!out) return false;
    if (nrc) {
        assert_int_equal(n, 3);
        assert_int_equal(out[0], 0x7F);
        assert_int_equal(out[1], (uint8_t)request[0]);
        assert_int_equal(out[2], nrc);
    } else {
        assert_int_equal(out[0], (uint8_t)request[0] + 0x40);
    }
    return true;
}

static void after_a_0x78_every_code_is_told_and_before_it_not_all_of_them_to_all(void **state)
{
    (void)state;
    for (unsigned nrc = 0; nrc < 256; nrc++) {
        assert_true(is_told("\x10\x03", 2, false, nrc, 0));
        assert_true(is_told("\x10\x03", 2, false, nrc, 40));
        assert_int_equal(is_told("\x10\x03", 2, true, nrc, 39), !silent_to_all(nrc));
        assert_true(is_told("\x10\x03", 2, true, nrc, 40));
        assert_int_equal(is_told("\x10\x83", 2, false, nrc, 39), nrc != 0);
        assert_true(is_told("\x10\x83", 2, false, nrc, 40));
        assert_int_equal(is_told("\x10\x83", 2, true, nrc, 39), nrc && !silent_to_all(nrc));
        assert_true(is_told("\x10\x83", 2, true, nrc, 40));
    }
    // 0x31 is the device's own for ReadDataByIdentifier: what it does not have
    assert_false(is_told("\x22\x12\x34", 3, true, 0x31, 39));
    assert_true(is_told("\x22\x12\x34", 3, true, 0x31, 40));
    assert_true(is_told("\x22\x12\x34", 3, false, 0x31, 39));
}

static void a_request_to_all_that_is_too_short_or_too_long_is_told_so(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "F 10",    "F 11",      "F 14", "F 22", "F 3E", "F 10 03 00", "F 14 00 00 00 00",
        "F 22 F1", "F 3E 80 00"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        uds_ask_begin(&uds_test_cfg);
        assert_int_equal(strncmp(uds_ask(wrong[i]) + 6, "13", 2), 0);
    }
    static const char *const not_for_all[] = { "F 27", "F 2E", "F 31", "F 34", "F 36", "F 37" };
    for (size_t i = 0; i < sizeof not_for_all / sizeof not_for_all[0]; i++) {
        uds_ask_begin(&uds_test_cfg);
        uds_ask("10 02");
        assert_string_equal(uds_ask(not_for_all[i]), "");
    }
    uds_ask_begin(&uds_test_cfg);
    assert_string_equal(uds_ask("F 22 F1 86 F1 90 12 34"), "62 F1 86 01 F1 90 56 49 4E");
    assert_string_equal(uds_ask("F 14 FF FF FF"), "54");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_services_and_sub_functions_in_all_sessions_to_one_and_to_all),
        cmocka_unit_test(after_a_0x78_every_code_is_told_and_before_it_not_all_of_them_to_all),
        cmocka_unit_test(a_request_to_all_that_is_too_short_or_too_long_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
