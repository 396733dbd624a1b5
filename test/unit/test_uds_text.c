// test_uds_text.c - UDS messages in words.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "uds_text.h"
#include <cmocka.h>
#include <stdlib.h>

/// Hex digits with spaces to bytes.
static size_t unhex(const char *hex, uint8_t *p)
{
    size_t len = 0;
    char *end;
    for (; *hex; hex = end) {
        p[len++] = (uint8_t)strtoul(hex, &end, 16);
        assert_true(end != hex);
    }
    return len;
}

static const char *text(const char *hex)
{
    static char line[UDS_TEXT_CAP];
    uint8_t p[300];
    const size_t len = unhex(hex, p);
    const size_t used = uds_text_message(p, len, line, sizeof line);
    assert_int_equal(used, strlen(line));
    return line;
}

static void says(const char *hex, const char *expected)
{
    assert_string_equal(text(hex), expected);
}

static void requests_and_responses_of_an_update_are_named(void **state)
{
    (void)state;
    says("10 02", "DiagnosticSessionControl programming session");
    says("10 83", "DiagnosticSessionControl extended session, no positive response wanted");
    says("50 02 00 32 01 F4",
         "positive: DiagnosticSessionControl programming session, P2 50 ms, P2* 5000 ms");
    says("11 01", "ECUReset hardReset");
    says("14 FF FF FF", "ClearDiagnosticInformation all groups");
    says("28 83 01",
         "CommunicationControl disableRxAndTx, normal messages, no positive response wanted");
    says("85 02", "ControlDTCSetting off");
    says("3E 80", "TesterPresent, no positive response wanted");
    says("7E 00", "positive: TesterPresent");
    says("34 00 44 00 00 10 00 00 01 00 00", "RequestDownload, 65536 bytes at 00001000");
    says("34 11 12 34 56 02", "RequestDownload, 2 bytes at 3456, dataFormatIdentifier 11");
    says("74 20 0F FF",
         "positive: RequestDownload, blocks of up to 4095 bytes (maxNumberOfBlockLength)");
    says("36 05 00 00 00", "TransferData block 5, 3 bytes");
    says("76 05", "positive: TransferData block 5");
    says("37", "RequestTransferExit");
    says("31 01 FF 00", "RoutineControl start eraseMemory (FF00)");
    says("31 01 FF 00 44 00 00 00 00 00 00 20 00",
         "RoutineControl start eraseMemory (FF00), 8192 bytes at 00000000");
    says("71 01 02 02 00", "positive: RoutineControl start checkMemory (0202), status 00 (OK)");
    says("71 01 02 03 01 05 07",
         "positive: RoutineControl start checkProgrammingPreconditions (0203), "
         "status 01, conditions not met, 0507");
    says(
        "71 01 F0 00 00 00 10 00 AA BB CC DD 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        "00 00 00 00 00 00",
        "positive: RoutineControl start downloadPosition (F000), 4096 bytes are there, SHA-256 AABBCCDD...");
}

static void negative_responses_name_the_service_and_the_reason(void **state)
{
    (void)state;
    says("7F 36 73", "negative: TransferData: wrongBlockSequenceCounter (73)");
    says("7F 31 78", "negative: RoutineControl: requestCorrectlyReceived-ResponsePending (78)");
    says("7F 99 11", "negative: service 99: serviceNotSupported (11)");
    says("7F 36 F0",
         "negative: TransferData: vehicleManufacturerSpecificConditionsNotCorrect (F0)");
    says("7F 36", "negative: TransferData, incomplete");
    says("7F", "negative: incomplete");
}

static void keys_and_seeds_are_counted_not_shown(void **state)
{
    (void)state;
    says("27 01", "SecurityAccess requestSeed level 1");
    says("67 01 12 34", "positive: SecurityAccess requestSeed level 1, 2 bytes");
    says("67 01 00 00",
         "positive: SecurityAccess requestSeed level 1, unlocked already (seed of zeros)");
    says("27 02 AB CD EF", "SecurityAccess sendKey level 1, 3 bytes");
    says("67 02", "positive: SecurityAccess sendKey level 1");
}

static void identifiers_are_shown_with_their_contents(void **state)
{
    (void)state;
    says("22 F1 95 F1 90",
         "ReadDataByIdentifier F195 (systemSupplierECUSoftwareVersionNumber), F190 (VIN)");
    says("62 F1 95 31 2E 30 00 00",
         "positive: ReadDataByIdentifier F195 (systemSupplierECUSoftwareVersionNumber): \"1.0\"");
    says("62 12 34 01 02", "positive: ReadDataByIdentifier 1234: 0102");
    says("62 F1 86 03 F1 89 32",
         "positive: ReadDataByIdentifier F186 (activeDiagnosticSession): extended session; F189 "
         "(vehicleManufacturerECUSoftwareVersionNumber): \"2\"");
    says("62 F1 81 01 61 62",
         "positive: ReadDataByIdentifier F181 (applicationSoftwareIdentification): \"ab\"");
    says("2E F1 99 26 11 23", "WriteDataByIdentifier F199 (programmingDate): 26-11-23");
    says("6E F1 99", "positive: WriteDataByIdentifier F199 (programmingDate)");
    says("62 F1 90", "positive: ReadDataByIdentifier F190 (VIN): nothing");
}

static void answers(const char *request, const char *response, const char *expected)
{
    uint8_t q[100], p[100];
    char line[UDS_TEXT_CAP];
    const size_t q_len = unhex(request, q), p_len = unhex(response, p);
    uds_text_response(q, q_len, p, p_len, line, sizeof line);
    const char *const head = "positive: ReadDataByIdentifier ";
    assert_memory_equal(line, head, strlen(head));
    assert_string_equal(line + strlen(head), expected);
}

static void a_request_tells_where_each_identifier_of_its_response_begins(void **state)
{
    (void)state;
    answers("22 12 34 56 78 12 35", "62 12 34 01 02 56 78 03 12 35 04 05",
            "1234: 0102; 5678: 03; 1235: 0405");
    // What the device does not have it leaves out
    answers("22 12 34 56 78 12 35", "62 12 34 01 02 12 35 04", "1234: 0102; 1235: 04");
    answers("22 12 34 56 78", "62 56 78 01", "5678: 01");
    // Bytes that look like the next one, but leave no room for what it must hold
    answers("22 12 34 F1 99", "62 12 34 00 F1 99 01 F1 99 26 11 23",
            "1234: 00F19901; F199 (programmingDate): 26-11-23");
    // A known length counts only where something begins behind it
    answers("22 F1 86 F1 86 12 34", "62 F1 86 03 F1 86 03 12 34 01",
            "F186 (activeDiagnosticSession): extended session; F186 (activeDiagnosticSession): "
            "extended session; 1234: 01");
    answers("22 F1 99 12 34", "62 F1 99 26 12 34 12 34 01",
            "F199 (programmingDate): 26-12-34; 1234: 01");
    answers("22 F1 86 12 34", "62 F1 86 03 04 12 34 01",
            "F186 (activeDiagnosticSession): 0304; 1234: 01");
    answers("22 F1 86", "62 F1 86 03 12 34 01", "F186 (activeDiagnosticSession): 03123401");
    // Not the request of this response
    answers("2E 12 34 56 78", "62 12 34 01 56 78 01", "1234: 01567801");
    answers("22", "62 12 34 01", "1234: 01");
}

static void the_suppliers_identifiers_are_read_as_documented(void **state)
{
    (void)state;
    says(
        "62 FD 00 02 FF 01 FF 00 00 00 00 02 00 01 00 00",
        "positive: ReadDataByIdentifier FD00 (slots): 2 slots, factory runs, next slot 1, 0: no record 0 bytes, "
        "1: valid 65536 bytes");
    says("62 FD 00 02 00 01 02", "positive: ReadDataByIdentifier FD00 (slots): 02000102");
    says("62 FD 01 11 00 00 02 00",
         "positive: ReadDataByIdentifier FD01 (last result): 11 WRONG_CHIP, 512 bytes received");
    says(
        "62 FD 02 00 01 DE AD BE EF 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
        "00 00",
        "positive: ReadDataByIdentifier FD02 (running image): slot 0, pending verify, digest DEADBEEF...");
    uint8_t p[3 + 101] = { 0x62, 0xFD, 0x11, 0x02, 0, 0, 0, 7, 0x11, 0x22, 0x33, 0x44 };
    char line[UDS_TEXT_CAP];
    memcpy(p + 3 + 37, "1.2", sizeof "1.2");
    memcpy(p + 3 + 69, "golden", sizeof "golden");
    uds_text_message(p, sizeof p, line, sizeof line);
    assert_string_equal(line,
                        "positive: ReadDataByIdentifier FD11 (slot 1): valid, \"golden\" \"1.2\", "
                        "secure version 7, digest 11223344...");
    p[2] = 0x03;
    uds_text_message(p, sizeof p, line, sizeof line);
    assert_string_equal(
        line,
        "positive: ReadDataByIdentifier FD03 (next slot): valid, \"golden\" \"1.2\", "
        "secure version 7, digest 11223344...");
}

static void what_is_missing_left_over_or_unknown_is_said(void **state)
{
    (void)state;
    says("10", "DiagnosticSessionControl, incomplete");
    says("34 00 44 00", "RequestDownload, incomplete");
    says("34 00 99 00", "RequestDownload, lengths and addresses of 9 and 9 bytes, 00");
    says("74 40 01", "positive: RequestDownload, incomplete, 01");
    says("31 01 FF", "RoutineControl start, incomplete");
    says("22 F1", "ReadDataByIdentifier, incomplete");
    says("BA 01 02", "service BA, 0102");
    says("3E 00 11", "TesterPresent, 11");
    char line[UDS_TEXT_CAP];
    assert_int_equal(uds_text_message(NULL, 0, line, sizeof line), 13);
    assert_string_equal(line, "empty message");
}

static void any_bytes_fit_any_buffer(void **state)
{
    (void)state;
    uint32_t random = 1;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t p[120];
        char line[UDS_TEXT_CAP];
        for (size_t i = 0; i < sizeof p; i++)
            p[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
        static const uint8_t slots[] = { 0x62, 0xFD, 0x00 };
        if (round % 4 == 0) memcpy(p, slots, sizeof slots);
        const size_t len = random % sizeof p;
        const size_t cap = 1 + (random >> 8) % sizeof line;
        uint8_t *exact = malloc(len + 1); // so that a sanitizer sees the end of both
        char *small = malloc(cap);
        assert_non_null(exact);
        assert_non_null(small);
        memcpy(exact + 1, p, len);
        size_t used = uds_text_message(exact + 1, len, small, cap);
        assert_true(used < cap);
        assert_int_equal(used, strlen(small));
        for (size_t i = 0; i < used; i++)
            assert_in_range(small[i], 0x20, 0x7E);
        if (len > 0) exact[1] = UDS_READ_DID + UDS_POSITIVE;
        p[0] = UDS_READ_DID;
        used = uds_text_response(p, len, exact + 1, len, small, cap);
        assert_int_equal(used, strlen(small));
        free(exact);
        free(small);
    }
}

static void long_data_is_cut_and_says_so(void **state)
{
    (void)state;
    uint8_t p[200] = { 0x62, 0x12, 0x34 };
    char line[40];
    uds_text_message(p, sizeof p, line, sizeof line);
    assert_string_equal(line, "positive: ReadDataByIdentifier 1234:...");
    char whole[UDS_TEXT_CAP];
    uds_text_message(p, sizeof p, whole, sizeof whole);
    assert_non_null(strstr(whole, "00... (197 bytes)"));
}

static void every_code_has_a_name_and_a_hint(void **state)
{
    (void)state;
    for (unsigned nrc = 0; nrc < 256; nrc++) {
        assert_non_null(uds_text_nrc((uint8_t)nrc));
        const char *hint = uds_text_nrc_hint((uint8_t)nrc);
        assert_true(strlen(hint) > 5);
        assert_true(hint[strlen(hint) - 1] != '.');
    }
    assert_string_equal(uds_text_nrc(0x33), "securityAccessDenied");
    assert_string_equal(uds_text_nrc(0xA0), "reserved code");
    assert_string_equal(uds_text_reset(3), "softReset");
    assert_null(uds_text_reset(9));
    assert_string_equal(uds_text_did(0xFD1F), "factory");
    assert_string_equal(uds_text_did(0xFD12), "slot 2");
    assert_null(uds_text_did(0xFD20));
    assert_string_equal(uds_text_slot_state(4), "aborted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_and_responses_of_an_update_are_named),
        cmocka_unit_test(negative_responses_name_the_service_and_the_reason),
        cmocka_unit_test(keys_and_seeds_are_counted_not_shown),
        cmocka_unit_test(identifiers_are_shown_with_their_contents),
        cmocka_unit_test(a_request_tells_where_each_identifier_of_its_response_begins),
        cmocka_unit_test(the_suppliers_identifiers_are_read_as_documented),
        cmocka_unit_test(what_is_missing_left_over_or_unknown_is_said),
        cmocka_unit_test(any_bytes_fit_any_buffer),
        cmocka_unit_test(long_data_is_cut_and_says_so),
        cmocka_unit_test(every_code_has_a_name_and_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
