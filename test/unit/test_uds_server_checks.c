// test_uds_server_checks.c - every check of every service, and which one of two comes first.
// SPDX-License-Identifier: Apache-2.0
#include "uds_transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct {
    const char *before; // positive all, in a server of its own
    const char *request, *response;
} row_t;

#define EXT    "10 03;"
#define PROG   "10 02;"
#define UNLOCK "27 01;27 02 AA*16;"
#define OPEN   PROG UNLOCK
#define DOWN   OPEN "34 00 44 00*4 00 00 00 08;"
#define HALF   DOWN "36 01 11*4;"
#define FULL   HALF "36 02 22*4;"

static void rows(const uds_server_cfg_t *cfg, const row_t *row, size_t count)
{
    for (; count > 0; count--, row++) {
        uds_ask_begin(cfg);
        if (row->before[0]) uds_ask(row->before);
        const unsigned calls = uds_calls;
        const char *response = uds_ask(row->request);
        if (strcmp(response, row->response) != 0)
            fail_msg("%s%s: expected %s; came %s", row->before, row->request, row->response,
                     response);
        // What is refused here was not the device's idea. (Only the device knows what can be read.)
        if (strncmp(response, "7F", 2) == 0 && strcmp(response, "7F 22 31") != 0)
            assert_int_equal(uds_calls, calls);
    }
}
#define ROWS(...)                                                                                  \
    do {                                                                                           \
        static const row_t table[] = { __VA_ARGS__ };                                              \
        rows(&uds_test_cfg, table, sizeof table / sizeof table[0]);                                \
    } while (0)

static void a_service_must_exist_then_exist_in_the_session(void **state)
{
    (void)state;
    ROWS({ "", "19", "7F 19 11" }, { "", "19 02 FF", "7F 19 11" },
         { OPEN, "35 00 11 00 01", "7F 35 11" }, { OPEN, "38 01", "7F 38 11" },
         { OPEN, "29 00", "7F 29 11" }, { OPEN, "84", "7F 84 11" },
         { OPEN, "87 01 12", "7F 87 11" }, { "", "00", "7F 00 11" }, { "", "BF", "7F BF 11" });
    // ... before anything else is looked at: bad length, unknown sub-function, lock
    ROWS({ "", "27", "7F 27 7F" }, { "", "27 05", "7F 27 7F" }, { "", "28", "7F 28 7F" },
         { "", "28 03 03", "7F 28 7F" }, { "", "2E", "7F 2E 7F" }, { "", "31", "7F 31 7F" },
         { "", "31 01 02 03", "7F 31 7F" }, { "", "85", "7F 85 7F" }, { "", "85 09", "7F 85 7F" });
    ROWS({ "", "34", "7F 34 7F" }, { EXT, "34", "7F 34 7F" }, { "", "36", "7F 36 7F" },
         { EXT, "36 01 00", "7F 36 7F" }, { "", "37", "7F 37 7F" }, { EXT, "37 00", "7F 37 7F" });
}

static void a_service_with_sub_functions_wants_two_bytes_then_one_that_it_has(void **state)
{
    (void)state;
    ROWS({ "", "10", "7F 10 13" }, { "", "11", "7F 11 13" }, { "", "3E", "7F 3E 13" },
         { EXT, "27", "7F 27 13" }, { EXT, "28", "7F 28 13" }, { EXT, "85", "7F 85 13" });
    // 12 before the exact length
    ROWS({ "", "10 00", "7F 10 12" }, { "", "10 04", "7F 10 12" }, { "", "10 7F", "7F 10 12" },
         { "", "10 04 00", "7F 10 12" }, { "", "10 03 00", "7F 10 13" },
         { "", "10 83 00", "7F 10 13" });
    ROWS({ "", "11 00", "7F 11 12" }, { "", "11 02", "7F 11 12" }, { "", "11 04", "7F 11 12" },
         { "", "11 02 00", "7F 11 12" }, { "", "11 01 00", "7F 11 13" });
    ROWS({ "", "3E 01", "7F 3E 12" }, { "", "3E 81", "7F 3E 12" }, { "", "3E 01 00", "7F 3E 12" },
         { "", "3E 00 00", "7F 3E 13" }, { "", "3E 80 00", "7F 3E 13" });
    ROWS({ EXT, "85 00", "7F 85 12" }, { EXT, "85 03", "7F 85 12" },
         { EXT, "85 03 00", "7F 85 12" }, { EXT, "85 02 00", "7F 85 13" },
         { EXT, "85 0A", "7F 85 12" });
}

static void communication_control_13_12_13_31(void **state)
{
    (void)state;
    ROWS({ EXT, "28 04", "7F 28 12" }, { EXT, "28 04 09", "7F 28 12" },
         { EXT, "28 05 01 00 01", "7F 28 12" }, { EXT, "28 3F 01", "7F 28 12" },
         { EXT, "28 40 01", "7F 28 12" }, { EXT, "28 00", "7F 28 13" },
         { EXT, "28 00 00 00", "7F 28 13" }, { EXT, "28 00 01 00", "7F 28 13" },
         { EXT, "28 00 00", "7F 28 31" }, { EXT, "28 00 04", "7F 28 31" },
         { EXT, "28 00 11", "7F 28 31" }, { EXT, "28 00 F1", "7F 28 31" },
         { EXT, "28 00 01", "68 00" }, { EXT, "28 01 02", "68 01" }, { EXT, "28 02 03", "68 02" },
         { PROG, "28 03 01", "68 03" }, { EXT, "28 83 01", "" });
}

static void clear_diagnostic_information_13_31(void **state)
{
    (void)state;
    ROWS({ "", "14", "7F 14 13" }, { "", "14 FF FF", "7F 14 13" },
         { "", "14 FF FF FF 00", "7F 14 13" }, { "", "14 00 00 00 00", "7F 14 13" },
         { "", "14 00 00 00", "7F 14 31" }, { "", "14 FF FF FE", "7F 14 31" },
         { "", "14 FF FE FF", "7F 14 31" }, { "", "14 FE FF FF", "7F 14 31" },
         { "", "14 FF FF FF", "54" }, { EXT, "14 FF FF FF", "54" }, { PROG, "14 FF FF FF", "54" });
}

static void read_data_by_identifier_13_31_14(void **state)
{
    (void)state;
    ROWS({ "", "22", "7F 22 13" }, { "", "22 F1", "7F 22 13" }, { "", "22 F1 90 F1", "7F 22 13" },
         { "", "22 12 34 F1", "7F 22 13" });
    ROWS({ "", "22 F1 86", "62 F1 86 01" }, { EXT, "22 F1 86", "62 F1 86 03" },
         { PROG, "22 F1 86", "62 F1 86 02" });
    ROWS({ "", "22 F1 90", "62 F1 90 56 49 4E" },
         { "", "22 F1 90 F1 86 F1 8C", "62 F1 90 56 49 4E F1 86 01 F1 8C 01 02 03 04" },
         { "", "22 F1 86 F1 86", "62 F1 86 01 F1 86 01" });
    // 31 only if none is known; those that are unknown leave nothing behind
    ROWS({ "", "22 12 34", "7F 22 31" }, { "", "22 12 34 56 78", "7F 22 31" },
         { "", "22 12 34 F1 90", "62 F1 90 56 49 4E" },
         { "", "22 F1 90 12 34", "62 F1 90 56 49 4E" },
         { "", "22 F1 90 12 34 F1 86", "62 F1 90 56 49 4E F1 86 01" });
}

static void read_data_by_identifier_takes_16_and_256_bytes_of_response(void **state)
{
    (void)state;
    char request[200] = "22", response[400] = "62";
    size_t asked = 2, told = 2;
    for (int n = 1; n <= 17; n++) {
        asked += (size_t)sprintf(request + asked, " F1 86");
        told += (size_t)sprintf(response + told, " F1 86 01");
        uds_ask_begin(&uds_test_cfg);
        assert_string_equal(uds_ask(request), n <= 16 ? response : "7F 22 13");
    }
    uds_ask_begin(&uds_test_cfg);
    assert_int_equal(strlen(uds_ask("22 FD 10 FD 11")), 3 * (1 + 2 * 122) - 1);
    static const struct {
        const char *more;
        unsigned len; // 0: too long
    } cases[] = {
        { " F1 86 F1 86 F1 86", 254 }, { " F1 8C", 251 },           { " F1 90 F1 90", 255 },
        { " F1 8C F1 90", 256 },       { " F1 8C F1 8C", 0 },       { " FD 12", 0 },
        { " F1 90 F1 90 12 34", 255 }, { " FD 12 12 34", 0 },       { " 12 34 F1 8C F1 90", 256 },
        { " F1 90 F1 90 F1 86", 0 },   { " FD 12 FD 13 F1 86", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        sprintf(text, "22 FD 10 FD 11%s", cases[i].more);
        uds_ask_begin(&uds_test_cfg);
        const char *got = uds_ask(text);
        if (cases[i].len == 0)
            assert_string_equal(got, "7F 22 14");
        else
            assert_int_equal(strlen(got), 3 * cases[i].len - 1);
    }
}

static void read_data_by_identifier_33_and_22_before_14(void **state)
{
    (void)state;
    uds_transcript(&uds_test_cfg,
                   "0 > 22 FD 10 FD 11 FD 12 F1 90\n"
                   "0 ! READ FD10\n"
                   "0 ! READ FD11\n"
                   "0 ! READ FD12\n" // is too long
                   "0 ! READ F190\n"
                   "0 < 7F 22 14\n"
                   "1 * defer\n"
                   "1 > 22 FD 13 FD 10 FD 11 F1 90\n"
                   "1 ! READ FD13\n"
                   "1 * answer 00 00*255\n"
                   "1 ! READ FD10\n"
                   "1 ! READ FD11\n"
                   "1 ! READ F190\n"
                   "1 < 7F 22 14\n"
                   "2 * defer\n"
                   "2 > 22 FD 10 FD 11 FD 12\n"
                   "2 ! READ FD10\n"
                   "2 * defer\n"
                   "2 * answer 00 00*255\n"
                   "2 ! READ FD11\n"
                   "2 * answer 33\n"
                   "2 < 7F 22 33\n");
}

static void security_access_13_12_37_24_35_36(void **state)
{
    (void)state;
    static const char seed[] = "67 01 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10";
    ROWS({ EXT, "27 01", seed }, { PROG, "27 01", seed }, { EXT, "27 01 00", "7F 27 13" },
         { EXT, "27 00", "7F 27 12" }, { EXT, "27 00 00", "7F 27 12" },
         { EXT, "27 03", "7F 27 12" }, { EXT, "27 04 AA*16", "7F 27 12" },
         { EXT, "27 43", "7F 27 12" }, { EXT, "27 5E", "7F 27 12" }, { EXT, "27 7F", "7F 27 12" },
         { EXT, "27 FF", "7F 27 12" });
    // sendKey: 24 before the key is looked at
    ROWS({ EXT, "27 02", "7F 27 24" }, { EXT, "27 02 AA*16", "7F 27 24" },
         { EXT, "27 02 AA*70", "7F 27 24" }, { EXT "27 01;", "27 02", "7F 27 13" },
         { EXT "27 01;", "27 02 AA*63", "7F 27 13" }, { EXT "27 01;", "27 02 AA*16", "67 02" },
         { EXT "27 81;", "27 02 AA*16", "67 02" }, { EXT "27 01;", "27 82 AA*16", "" });
    uds_transcript(&uds_test_cfg,
                   "0 > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n0 < 50 03 00 32 01 F4\n"
                   "1 > 27 81\n1 ! SEED 1\n"
                   "2 > 27 02 BB*62\n2 ! KEY 1 BB*62\n2 < 7F 27 35\n");
    // a key that has no length is not a try: the seed is still good
    uds_ask_begin(&uds_test_cfg);
    uds_ask(EXT "27 01");
    uds_ask("27 02");
    assert_string_equal(uds_ask("27 02 AA*16"), "67 02");
    // unlocked: zeros, and no key is wanted any more
    ROWS({ EXT UNLOCK, "27 01", "67 01 00*16" }, { EXT UNLOCK "27 01;", "27 02 AA*16", "7F 27 24" },
         { EXT UNLOCK, "27 03", "7F 27 12" }, { EXT UNLOCK, "27 01 00", "7F 27 13" });
}

static void a_key_is_for_one_try_and_a_seed_voids_the_one_before(void **state)
{
    (void)state;
    uds_transcript(&uds_test_cfg,
                   "0 > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n0 < 50 03 00 32 01 F4\n"
                   "1 > 27 01\n1 ! SEED 1\n1 < 67 01 01 02 03 04 05 06 07 08 09 0A 0B "
                   "0C 0D 0E 0F 10\n"
                   "2 > 27 02 BB\n2 ! KEY 1 BB\n2 < 7F 27 35\n"
                   "3 > 27 02 AA*16\n3 < 7F 27 24\n"
                   "4 > 27 01\n4 ! SEED 1\n4 < 67 01 01 02 03 04 05 06 07 08 09 0A 0B "
                   "0C 0D 0E 0F 10\n"
                   "5 * next 22\n5 > 27 01\n5 ! SEED 1\n5 < 7F 27 22\n"
                   "6 > 27 02 AA*16\n6 < 7F 27 24\n"
                   "7 * state\n7 ! state 3 0\n");
}

static void a_seed_of_zeros_is_never_given_while_locked(void **state)
{
    (void)state;
    uds_transcript(&uds_test_cfg,
                   "0 > 10 03\n0 ! SESSION? 3\n0 ! SESSION 3\n0 < 50 03 00 32 01 F4\n"
                   "1 * next 00 00*16\n1 > 27 01\n1 ! SEED 1\n1 < 7F 27 22\n"
                   "2 > 27 02 AA*16\n2 < 7F 27 24\n"
                   "3 * next 00 00*15 01\n3 > 27 01\n3 ! SEED 1\n3 < 67 01 00*15 01\n");
}

static void without_security_access_there_is_none_and_nothing_is_locked(void **state)
{
    (void)state;
    static const uds_server_cfg_t none = UDS_CFG(0, .open = false),
                                  open = UDS_CFG(1, .open = true, .seed_len = 4);
    static const uds_server_cfg_t level = UDS_CFG(0x41, .seed_len = 7);
    static const row_t without[] = { { "", "27 01", "7F 27 11" },
                                     { PROG, "27 00", "7F 27 11" },
                                     { PROG, "27 01", "7F 27 11" },
                                     { PROG, "34 00 11 00 01", "74 20 01 02" },
                                     { PROG, "31 01 FF 01", "71 01 FF 01 00" },
                                     { PROG, "2E F1 84 00*9", "6E F1 84" } };
    static const row_t opened[] = { { "", "27 01", "7F 27 7F" },
                                    { PROG, "27 01", "67 01 00*4" },
                                    { PROG, "27 03", "7F 27 12" },
                                    { PROG "27 01;", "27 02 AA*4", "7F 27 24" },
                                    { PROG, "34 00 11 00 01", "74 20 01 02" },
                                    { PROG, "31 01 FF 01", "71 01 FF 01 00" },
                                    { PROG, "2E F1 84 00*9", "6E F1 84" } };
    static const row_t other[] = { { EXT, "27 01", "7F 27 12" },
                                   { EXT, "27 42 AA*7", "7F 27 24" },
                                   { EXT "27 41;", "27 42 AA*7", "67 42" },
                                   { EXT "27 41;27 42 AA*7;", "27 41", "67 41 00*7" } };
    rows(&none, without, sizeof without / sizeof without[0]);
    rows(&open, opened, sizeof opened / sizeof opened[0]);
    rows(&level, other, sizeof other / sizeof other[0]);
}

static void write_data_by_identifier_13_31_13_33(void **state)
{
    (void)state;
    ROWS({ PROG, "2E", "7F 2E 13" }, { PROG, "2E F1 84", "7F 2E 13" },
         { PROG, "2E 12 34", "7F 2E 13" }, { PROG, "2E 12 34 00", "7F 2E 31" },
         { OPEN, "2E F1 86 03", "7F 2E 31" }, { OPEN, "2E 12 34 00*70", "7F 2E 31" });
    // known, but not in this session: before the length and the lock
    ROWS({ EXT, "2E F1 84 00", "7F 2E 31" }, { EXT, "2E F1 84 00*9", "7F 2E 31" },
         { EXT UNLOCK, "2E F1 84 00*9", "7F 2E 31" });
    ROWS({ PROG, "2E F1 84 00*8", "7F 2E 13" }, { PROG, "2E F1 84 00*10", "7F 2E 13" },
         { OPEN, "2E F1 84 00*8", "7F 2E 13" }, { OPEN, "2E F1 84 00*70", "7F 2E 13" },
         { PROG, "2E F1 84 00*9", "7F 2E 33" }, { EXT, "2E 01 00 00 00", "7F 2E 33" },
         { OPEN, "2E F1 84 00*9", "6E F1 84" }, { EXT UNLOCK, "2E 01 00 00 00", "6E 01 00" });
    // any length that fits a request
    ROWS({ OPEN, "2E F1 5A 00", "6E F1 5A" }, { OPEN, "2E F1 5A 00*61", "6E F1 5A" },
         { OPEN, "2E F1 5A 00*62", "7F 2E 13" }, { PROG, "2E F1 5A 00*62", "7F 2E 13" },
         { PROG, "2E F1 5A 00", "7F 2E 33" });
}

static void what_is_written_reaches_the_device(void **state)
{
    (void)state;
    static const uds_server_cfg_t open = UDS_CFG(1, .open = true);
    uds_transcript(&open,
                   "0 > 10 02\n0 ! SESSION? 2\n0 ! SESSION 2\n0 < 50 02 00 32 01 F4\n"
                   "1 > 2E F1 84 01 02 03 04 05 06 07 08 09\n"
                   "1 ! WRITE F184 01 02 03 04 05 06 07 08 09\n1 < 6E F1 84\n"
                   "2 > 2E F1 5A AA*61\n2 ! WRITE F15A AA*61\n2 < 6E F1 5A\n"
                   "3 > 2E F1 5A BB\n3 ! WRITE F15A BB\n3 < 6E F1 5A\n"
                   "4 > 31 01 FF 00 01 02 03\n4 ! ROUTINE FF00 1 01 02 03\n4 < 71 01 FF 00 00\n");
}

static void routine_control_13_31_33_12_13(void **state)
{
    (void)state;
    ROWS({ EXT, "31", "7F 31 13" }, { EXT, "31 01", "7F 31 13" }, { EXT, "31 09 02", "7F 31 13" },
         { EXT, "31 01 02", "7F 31 13" }, { EXT, "31 01 12 34", "7F 31 31" },
         { EXT, "31 09 12 34", "7F 31 31" }, { EXT, "31 01 12 34 00*70", "7F 31 31" });
    // RID unknown in this session before its lock
    ROWS({ EXT, "31 01 FF 00", "7F 31 31" }, { EXT UNLOCK, "31 01 FF 00", "7F 31 31" },
         { PROG, "31 01 03 00 00", "7F 31 31" });
    // lock before type, type before length
    ROWS({ PROG, "31 01 FF 00", "7F 31 33" }, { PROG, "31 02 FF 00", "7F 31 33" },
         { PROG, "31 09 FF 00 00*9", "7F 31 33" }, { OPEN, "31 02 FF 00", "7F 31 12" },
         { OPEN, "31 02 FF 00 00*9", "7F 31 12" }, { OPEN, "31 00 FF 00", "7F 31 12" },
         { OPEN, "31 04 FF 00", "7F 31 12" }, { OPEN, "31 21 FF 00", "7F 31 12" },
         { OPEN, "31 7F FF 00", "7F 31 12" }, { OPEN, "31 01 FF 00 00*9", "7F 31 13" },
         { OPEN, "31 01 FF 00 00*70", "7F 31 13" }, { OPEN, "31 01 FF 01 00", "7F 31 13" },
         { EXT, "31 01 03 00", "7F 31 13" }, { EXT, "31 01 03 00 00*5", "7F 31 13" });
    ROWS({ OPEN, "31 01 FF 00", "71 01 FF 00 00" }, { OPEN, "31 01 FF 00 00*8", "71 01 FF 00 00" },
         { EXT, "31 01 02 03", "71 01 02 03 00" }, { PROG, "31 01 02 03", "71 01 02 03 00" },
         { EXT, "31 81 02 03", "" }, { OPEN, "31 03 F0 00", "71 03 F0 00 00" },
         { OPEN, "31 02 F0 00", "7F 31 12" }, { EXT, "31 02 03 00 00", "71 02 03 00 00" },
         { EXT, "31 03 03 00 00*4", "71 03 03 00 00" }, { EXT, "31 82 02 03", "7F 31 12" });
    // an option record ends where a request does
    ROWS({ EXT, "31 01 03 01 00*60", "71 01 03 01 00" }, { EXT, "31 01 03 01 00*61", "7F 31 13" });
}

static void request_download_13_31_33(void **state)
{
    (void)state;
    ROWS({ PROG, "34", "7F 34 13" }, { PROG, "34 00 11 00", "7F 34 13" },
         { PROG, "34 00 44 00*7", "7F 34 13" }, { PROG, "34 00 44 00*9", "7F 34 13" },
         { PROG, "34 10 44 00*7", "7F 34 13" }, { PROG, "34 00 44 00*70", "7F 34 13" },
         { PROG, "34 00 00 00 00", "7F 34 13" }, { PROG, "34 00 55 00*9", "7F 34 13" });
    ROWS({ PROG, "34 10 44 00*7 01", "7F 34 31" }, { PROG, "34 01 44 00*7 01", "7F 34 31" },
         { PROG, "34 00 40 01*4", "7F 34 31" }, { PROG, "34 00 04 01*4", "7F 34 31" },
         { PROG, "34 00 45 01*9", "7F 34 31" }, { PROG, "34 00 54 01*9", "7F 34 31" },
         { PROG, "34 00 55 01*10", "7F 34 31" }, { PROG, "34 00 FF 01*30", "7F 34 31" },
         { PROG, "34 00 44 00*8", "7F 34 31" }, { PROG, "34 00 14 00*5", "7F 34 31" });
    ROWS({ PROG, "34 00 44 00*7 01", "7F 34 33" }, { OPEN, "34 00 44 00*7 01", "74 20 01 02" },
         { OPEN, "34 00 44 00*8", "7F 34 31" }, { OPEN, "34 FF 44 00*7 01", "7F 34 31" });
}

static void memory_ends_where_it_is_said_to_end(void **state)
{
    (void)state;
    static const uds_server_cfg_t small = UDS_CFG(1, .memory_size = 0x1000);
    static const row_t table[] = { { PROG, "34 00 22 00 00 10 00", "7F 34 33" },
                                   { PROG, "34 00 22 00 00 10 01", "7F 34 31" },
                                   { OPEN, "34 00 22 00 00 10 01", "7F 34 31" },
                                   { OPEN, "34 00 22 00 00 10 00", "74 20 01 02" },
                                   { OPEN, "34 00 22 0F FF 00 01", "74 20 01 02" },
                                   { OPEN, "34 00 22 0F FF 00 02", "7F 34 31" },
                                   { OPEN, "34 00 22 10 00 00 01", "7F 34 31" },
                                   { OPEN, "34 00 22 10 01 00 01", "7F 34 31" },
                                   { OPEN, "34 00 44 FF*4 00 00 00 02", "7F 34 31" },
                                   { OPEN, "34 00 44 00 00 00 02 FF*4", "7F 34 31" },
                                   { PROG, "34 10 22 00 00 10 00", "7F 34 31" },
                                   { PROG, "34 00 22 00 00 10", "7F 34 13" } };
    rows(&small, table, sizeof table / sizeof table[0]);
}

static void a_request_download_tells_address_and_size_however_long_they_are(void **state)
{
    (void)state;
    for (uint8_t a = 1; a <= 4; a++)
        for (uint8_t n = 1; n <= 4; n++) {
            uint8_t request[11] = { 0x34, 0, (uint8_t)(n << 4 | a) }, response[UDS_RESPONSE_MAX];
            uint32_t at = 0, size = 0;
            for (uint8_t i = 0; i < a; i++)
                at = at << 8 | (request[3 + i] = (uint8_t)(0xA1 + i));
            for (uint8_t i = 0; i < n; i++)
                size = size << 8 | (request[3 + a + i] = (uint8_t)(0xB1 + i));
            uds_ask_begin(&uds_test_cfg);
            uds_ask(OPEN);
            assert_int_equal(uds_ask_bytes(request, 3u + a + n, false, response), 4);
            assert_int_equal(uds_asked.call.kind, UDS_CALL_DOWNLOAD);
            assert_int_equal(uds_asked.call.at, at);
            assert_int_equal(uds_asked.call.size, size);
            assert_int_equal(uds_asked.transfer.size, size);
        }
}

static void transfer_data_13_24_73_31_71(void **state)
{
    (void)state;
    ROWS({ PROG, "36", "7F 36 13" }, { DOWN, "36", "7F 36 13" },
         { PROG, "36 01 00*257", "7F 36 13" }, { DOWN, "36 01 00*257", "7F 36 13" },
         { HALF, "36 01 00*257", "7F 36 13" });
    ROWS({ PROG, "36 01", "7F 36 24" }, { OPEN, "36 01 00", "7F 36 24" },
         { OPEN, "36 00", "7F 36 24" }, { FULL, "36 03", "7F 36 24" },
         { FULL, "36 03 00*256", "7F 36 24" }, { FULL, "36 05 00", "7F 36 24" });
    ROWS({ DOWN, "36 02 00", "7F 36 73" }, { DOWN, "36 00 00", "7F 36 73" },
         { DOWN, "36 02", "7F 36 73" }, { DOWN, "36 00", "7F 36 73" },
         { DOWN, "36 02 00*9", "7F 36 73" }, { HALF, "36 03 00*9", "7F 36 73" },
         { HALF, "36 00 00*9", "7F 36 73" });
    ROWS({ DOWN, "36 01", "7F 36 31" }, { HALF, "36 02", "7F 36 31" },
         { DOWN, "36 01 00*9", "7F 36 71" }, { HALF, "36 02 00*5", "7F 36 71" },
         { DOWN, "36 01 00*8", "76 01" }, { DOWN, "36 01 00", "76 01" });
    // the one before again, whatever it holds now
    ROWS({ HALF, "36 01 11*4", "76 01" }, { HALF, "36 01", "76 01" },
         { HALF, "36 01 00*256", "76 01" }, { FULL, "36 02 22*4", "76 02" },
         { FULL, "36 01 11*4", "7F 36 24" });
}

static void transfer_exit_13_24(void **state)
{
    (void)state;
    ROWS({ PROG, "37 00", "7F 37 13" }, { FULL, "37 00", "7F 37 13" },
         { FULL, "37 00*4", "7F 37 13" }, { PROG, "37", "7F 37 24" }, { OPEN, "37", "7F 37 24" },
         { DOWN, "37", "7F 37 24" }, { HALF, "37", "7F 37 24" }, { FULL, "37", "77" },
         { FULL "37;", "37", "7F 37 24" }, { FULL "37;", "36 02 22*4", "7F 36 24" });
}

static void the_device_s_own_refusals_go_out_as_they_are(void **state)
{
    (void)state;
    static const row_t calls[] = { { "", "10 03", "7F 10 " },
                                   { "", "11 01", "7F 11 " },
                                   { "", "22 F1 90", "7F 22 " },
                                   { EXT, "27 01", "7F 27 " },
                                   { OPEN, "2E F1 84 00*9", "7F 2E " },
                                   { EXT, "31 01 02 03", "7F 31 " },
                                   { OPEN, "34 00 11 00 01", "7F 34 " },
                                   { DOWN, "36 01 00", "7F 36 " },
                                   { FULL, "37", "7F 37 " },
                                   { EXT "27 01;", "27 02 00", "7F 27 " } };
    static const uds_nrc_t nrcs[] = { UDS_CONDITIONS_NOT_CORRECT, UDS_SECURITY_ACCESS_DENIED,
                                      UDS_DOWNLOAD_NOT_ACCEPTED, UDS_PROGRAMMING_FAILURE,
                                      UDS_REQUEST_OUT_OF_RANGE };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        for (size_t k = 0; k < sizeof nrcs / sizeof nrcs[0]; k++) {
            char response[16];
            uds_ask_begin(&uds_test_cfg);
            if (calls[i].before[0]) uds_ask(calls[i].before);
            const uint8_t session = uds_asked.session;
            uds_ask_next(nrcs[k]);
            sprintf(response, "%s%02X", calls[i].response, nrcs[k]);
            assert_string_equal(uds_ask(calls[i].request), response);
            assert_int_equal(uds_asked.session, session);
        }
}

static void who_has_a_response_s_number_is_not_answered(void **state)
{
    (void)state;
    for (unsigned sid = 0; sid < 256; sid++)
        for (uint32_t len = 1; len < 4; len++) {
            uint8_t request[3] = { (uint8_t)sid, 0, 0 }, response[UDS_RESPONSE_MAX];
            uds_ask_begin(&uds_test_cfg);
            assert_int_equal(uds_ask_bytes(request, len, false, response) == 0, (sid & 0x40) != 0);
        }
}

static void a_request_too_long_to_be_kept_is_refused_where_its_length_is_looked_at(void **state)
{
    (void)state;
    ROWS({ "", "10 03 00*500", "7F 10 13" }, { "", "10 05 00*500", "7F 10 12" },
         { "", "19 00*500", "7F 19 11" }, { "", "27 00*500", "7F 27 7F" },
         { "", "22 F1*500", "7F 22 13" }, { "", "22 F1*500 F1", "7F 22 13" },
         { "", "3E 00*500", "7F 3E 13" }, { OPEN, "37 00*500", "7F 37 13" },
         { OPEN, "2E F1 84 00*500", "7F 2E 13" }, { OPEN, "31 01 FF 00 00*500", "7F 31 13" },
         { EXT "27 01;", "27 02 AA*500", "7F 27 13" });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_must_exist_then_exist_in_the_session),
        cmocka_unit_test(a_service_with_sub_functions_wants_two_bytes_then_one_that_it_has),
        cmocka_unit_test(communication_control_13_12_13_31),
        cmocka_unit_test(clear_diagnostic_information_13_31),
        cmocka_unit_test(read_data_by_identifier_13_31_14),
        cmocka_unit_test(read_data_by_identifier_takes_16_and_256_bytes_of_response),
        cmocka_unit_test(read_data_by_identifier_33_and_22_before_14),
        cmocka_unit_test(security_access_13_12_37_24_35_36),
        cmocka_unit_test(a_key_is_for_one_try_and_a_seed_voids_the_one_before),
        cmocka_unit_test(a_seed_of_zeros_is_never_given_while_locked),
        cmocka_unit_test(without_security_access_there_is_none_and_nothing_is_locked),
        cmocka_unit_test(write_data_by_identifier_13_31_13_33),
        cmocka_unit_test(what_is_written_reaches_the_device),
        cmocka_unit_test(routine_control_13_31_33_12_13),
        cmocka_unit_test(request_download_13_31_33),
        cmocka_unit_test(memory_ends_where_it_is_said_to_end),
        cmocka_unit_test(a_request_download_tells_address_and_size_however_long_they_are),
        cmocka_unit_test(transfer_data_13_24_73_31_71),
        cmocka_unit_test(transfer_exit_13_24),
        cmocka_unit_test(the_device_s_own_refusals_go_out_as_they_are),
        cmocka_unit_test(who_has_a_response_s_number_is_not_answered),
        cmocka_unit_test(a_request_too_long_to_be_kept_is_refused_where_its_length_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
