// test_bus_log_read.c - logs of ours and of other programs, and files that are none.
// SPDX-License-Identifier: Apache-2.0
//
// What python-can and can-utils write is in test/vectors/log; the other lines were made by hand.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bus_log.h"
#include "bus_log_read.h"
#include "vectors.h"
#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

static bus_log_read_t reader;
static char frames[8000];

/// All frames as "time id flags:data ", flags: x 29 bits, F CAN FD, B second bit rate, E error passive.
static const char *read_bytes(const void *bytes, size_t len)
{
    static uint8_t input[4000]; // fmemopen() wants to be able to write
    assert_true(len <= sizeof input);
    memcpy(input, bytes, len);
    can_frame_t f;
    usec_t at;
    size_t used = 0;
    FILE *file = len ? fmemopen(input, len, "r") : fopen("/dev/null", "r");
    assert_non_null(file);
    frames[0] = '\0';
    if (bus_log_read_file(&reader, file, "a.log")) {
        while (bus_log_read(&reader, &f, &at)) {
            used += (size_t)snprintf(
                frames + used, sizeof frames - used, "%llu %X%s%s%s%s:", (unsigned long long)at,
                f.id, f.ext ? "x" : "", f.fd ? "F" : "", f.brs ? "B" : "", f.esi ? "E" : "");
            for (size_t i = 0; i < f.len; i++)
                used += (size_t)snprintf(frames + used, sizeof frames - used, "%02X", f.data[i]);
            used += (size_t)snprintf(frames + used, sizeof frames - used, " ");
        }
    }
    bus_log_read_close(&reader);
    return frames;
}

static void reads(const char *text, const char *expected)
{
    assert_string_equal(read_bytes(text, strlen(text)), expected);
    assert_string_equal(reader.error, "");
}

static void fails(const char *text, const char *error)
{
    (void)read_bytes(text, strlen(text));
    assert_string_equal(reader.error, error);
}

static void candumps_lines_are_read_with_and_without_a_direction(void **state)
{
    (void)state;
    reads(
        "(1712230262.015991) can0 7E0#021003\n"
        "(1712230262.015992) vcan0 18DA10F1#0322F195 R\n"
        "(1712230262.0159931) can0 7E8##30001020304050607\n"
        "(0.5) can0 001#\n"
        "(1.0) can0 7E0#R\n"
        "(1.0) can0 7E0#R8\n"
        "(1.0) can0 20000004#0000000000000000\n"
        "(2.0) can0 7FF#1122334455667788 T\r\n"
        "\n",
        "1712230262015991 7E0:021003 1712230262015992 18DA10F1x:0322F195 "
        "1712230262015993 7E8FBE:0001020304050607 500000 1: 2000000 7FF:1122334455667788 ");
}

static void write_log(bus_log_format_t format, char **bytes, size_t *len)
{
    static const can_frame_t classic = { .id = 0x7E0, .len = 3, .data = { 2, 0x10, 3 } };
    static const can_frame_t fd = { .id = 0x18DA10F1,
                                    .ext = true,
                                    .fd = true,
                                    .brs = true,
                                    .esi = true,
                                    .len = 12,
                                    .data = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };
    bus_log_t log;
    FILE *file = tmpfile();
    assert_non_null(file);
    FILE *copy = fdopen(dup(fileno(file)), "wb");
    assert_non_null(copy);
    assert_true(bus_log_begin(&log, copy, format, "can0", 1712230262015991));
    assert_true(bus_log_frame(&log, &classic, true, 1712230262015991));
    assert_true(bus_log_frame(&log, &fd, false, 1712230263000001));
    assert_true(bus_log_end(&log));
    *bytes = malloc(2000);
    assert_non_null(*bytes);
    rewind(file);
    *len = fread(*bytes, 1, 2000, file);
    (void)fclose(file);
}

static void what_we_write_we_can_read(void **state)
{
    (void)state;
    static const bus_log_format_t formats[] = { BUS_LOG_CANDUMP, BUS_LOG_PCAP, BUS_LOG_ASC };
    for (size_t i = 0; i < 3; i++) {
        char *bytes;
        size_t len;
        write_log(formats[i], &bytes, &len);
        // .asc counts from the second in its head
        assert_string_equal(read_bytes(bytes, len),
                            formats[i] == BUS_LOG_ASC
                                ? "15991 7E0:021003 1000001 18DA10F1xFBE:0102030405060708090A0B0C "
                                : "1712230262015991 7E0:021003 1712230263000001 "
                                  "18DA10F1xFBE:0102030405060708090A0B0C ");
        assert_string_equal(reader.error, "");
        free(bytes);
    }
}

/// The six data frames that each file in test/vectors/log holds, the first at `start`.
static void reads_vector(const char *path, usec_t start)
{
    size_t len;
    char expected[1000];
    uint8_t *bytes = vector_load(path, &len);
    const unsigned long long us = start;
    snprintf(expected, sizeof expected,
             "%llu 7E0:021003CCCCCCCCCC %llu 7E8:065003003201F4 %llu 18DA10F1x:0322F195 "
             "%llu 7E0FB:000102030405060708090A0B %llu 18DAF110xFE:0102030405060708 %llu 7E8: ",
             us, us + 509, us + 1009, us + 4009, us + 984010, us + 1084009);
    assert_string_equal(read_bytes(bytes, len), expected);
    assert_string_equal(reader.error, "");
    free(bytes);
}

static void what_python_can_and_can_utils_write_is_read(void **state)
{
    (void)state;
    reads_vector(VECTORS "/log/python_can.log", 1712230262015991);
    assert_int_equal(reader.skipped, 2); // a remote frame, an error frame
    reads_vector(VECTORS "/log/python_can.asc", 0);
    reads_vector(VECTORS "/log/can_utils.asc", 0);
    reads_vector(VECTORS "/log/can_utils.log", 1712230262000000);
}

static void asc_lines_of_every_kind_are_read(void **state)
{
    (void)state;
    reads(
        "date Thu Apr  4 11:31:02 2024\n"
        "base hex  timestamps absolute\n"
        "internal events logged\n"
        "// version 9.0.0\n"
        "Begin Triggerblock Thu Apr  4 11:31:02.500 am 2024\n"
        "   0.000000 Start of measurement\n"
        "   0.015991 1  7E0             Tx   d 8 02 10 03 00 CC CC CC CC\n"
        "   0.016000 1  18DA10F1x       Rx   d 2 03 22  Length = 180000 BitCount = 92 ID = 1\n"
        "   0.017000 1  7E0             Rx   r\n"
        "   0.018000 1  ErrorFrame\n"
        "   0.019000 CANFD   1 Rx        7E0                                   1 0 8  8 03 22 F1 95 CC CC CC CC   "
        "130000  130     3000 0 0 0 0 0\n"
        "   0.020000 CANFD   1 Tx   18DA10F1x  Diag_Request                    0 1 9 12 01 02 03 04 05 06 07 08 09 0A 0B "
        "0C 130000 130 5000 0 0 0 0 0\n"
        "   0.020500 CANFD   1 Rx        7E1                                   0 0 2  2 AA BB 0 0 0 0 0 0 0 0\n"
        "   0.021000 1  Statistic: D 0 R 0 XD 0 XR 0 E 0 O 0 B 0.00%\n"
        "   0.022000 CANFD 1 Rx ErrorFrame Not Acknowledge error\n"
        "End TriggerBlock\n",
        "15991 7E0:02100300CCCCCCCC 16000 18DA10F1x:0322 19000 7E0FB:0322F195CCCCCCCC "
        "20000 18DA10F1xFE:0102030405060708090A0B0C 20500 7E1:AABB ");
}

static void decimal_and_relative_asc_is_converted(void **state)
{
    (void)state;
    reads(
        "date Thu Apr  4 11:31:02 2024\n"
        "base dec  timestamps relative\n"
        "   0.100000 1  2016             Rx   d 3 02 16 255\n"
        "   0.000500 1  417992945x      Rx   d 1 10\n",
        "100000 7E0:0210FF 100500 18EA10F1x:0A ");
}

static void put_record(uint8_t *p, bool big, uint32_t id, uint8_t len, uint8_t flags)
{
    const uint32_t values[4] = { 5, 250000000, 8U + len, 8U + len };
    for (int i = 0; i < 4; i++) {
        if (big)
            store_be32(p + 4 * i, values[i]);
        else
            store_le32(p + 4 * i, values[i]);
    }
    store_be32(p + 16, id);
    p[20] = len;
    p[21] = flags;
    p[24] = 0x11;
}

static void pcap_of_either_byte_order_and_resolution_is_read(void **state)
{
    (void)state;
    uint8_t p[24 + 3 * 40] = { 0 };
    store_be32(p, 0xA1B23C4D); // nanoseconds
    store_be32(p + 20, 227);
    put_record(p + 24, true, 0x800007E0, 1, 0);
    put_record(p + 24 + 25, true, 0x400007E0, 1, 0);    // remote
    put_record(p + 24 + 50, true, 0x20000004, 8, 0);    // error
    put_record(p + 24 + 82, true, 0x000007E8, 1, 0x04); // FD
    assert_string_equal(read_bytes(p, 24 + 82 + 25), "5250000 7E0x:11 5250000 7E8F:11 ");
    assert_string_equal(reader.error, "");
    assert_int_equal(reader.skipped, 2);
    store_le32(p, 0xA1B2C3D4);
    store_le32(p + 20, 227);
    put_record(p + 24, false, 0x7E0, 1, 0);
    store_le32(p + 28, 7);
    assert_string_equal(read_bytes(p, 24 + 25), "5000007 7E0:11 ");
    assert_string_equal(reader.error, "");
}

static void what_is_no_log_is_said_with_its_place(void **state)
{
    (void)state;
    fails("(1.0) can0 7E0#021003\n(1.0) can0 7E0#0\n",
          "a.log:2: data '0' that is not 8 bytes in hex at most");
    fails("(1.0) can0 7E0#001122334455667788\n",
          "a.log:1: data '88' that is not 8 bytes in hex at most");
    fails("(1.0) can0 7E0##0001122334455667788\n", "a.log:1: no frame has 9 bytes");
    fails("(1.0) can0 8E0#00\n", "a.log:1: there is no identifier 8E0#00");
    fails("(1.0) can0 7E#00\n",
          "a.log:1: '7E#00' is not an identifier of 3 or 8 hex digits, # and data");
    fails("(1.x) can0 7E0#00\n", "a.log:1: expected a time like (1712230262.015991)");
    fails("(1.0) can0\n", "a.log:1: expected a time, an interface and ID#DATA");
    fails("date x\n 0.1 1 7E0 Rx d 3 01 02\n", "a.log:2: 3 bytes are announced, and 2 are there");
    fails(" 0.1 1 7E0 Rx d 1 100\n", "a.log:1: '100' is no byte");
    fails("0.1.2 1 7E0 Rx d 1 10\n", "a.log:1: '0.1.2' is no time in seconds");
    fails("0.1 CANFD 1 Rx 7E0 1 0\n",
          "a.log:1: expected BRS, ESI, DLC and length behind the identifier");
    fails(
        "\x7F"
        "ELF",
        "a.log:1: neither a log of candump, nor .pcap, nor .asc");
    fails("\x0A\x0D\x0D\x0A",
          "a.log: offset 0: this is pcapng; convert it: editcap -F pcap IN OUT");
    fails("\xD4\xC3\xB2\xA1", "a.log: offset 0: the head of the file is cut off");
    uint8_t p[24 + 25] = { 0 };
    store_le32(p, 0xA1B2C3D4);
    store_le32(p + 20, 1);
    (void)read_bytes(p, 24);
    assert_string_equal(reader.error,
                        "a.log: offset 0: link type 1, expected 227 (LINKTYPE_CAN_SOCKETCAN)");
    store_le32(p + 20, 227);
    put_record(p + 24, false, 0x7E0, 1, 0);
    (void)read_bytes(p, sizeof p - 1);
    assert_string_equal(reader.error, "a.log: offset 24: a record that is cut off");
    p[24 + 20] = 2; // longer than the record
    (void)read_bytes(p, sizeof p);
    assert_non_null(strstr(reader.error, "offset 24: a frame with identifier 7E0 and 2 bytes"));
    assert_false(bus_log_read_open(&reader, "/no/such/file"));
    assert_string_equal(reader.error, "/no/such/file: No such file or directory");
    assert_string_equal(read_bytes("", 0), "");
    assert_string_equal(reader.error, "");
}

static void changed_logs_are_read_or_refused(void **state)
{
    (void)state;
    static const bus_log_format_t formats[] = { BUS_LOG_CANDUMP, BUS_LOG_PCAP, BUS_LOG_ASC };
    uint32_t random = 3;
    for (unsigned round = 0; round < 6000; round++) {
        static char *bytes;
        static size_t len;
        if (round % 2000 == 0) write_log(formats[round / 2000], &bytes, &len);
        uint8_t *exact = malloc(len);
        assert_non_null(exact);
        memcpy(exact, bytes, len);
        for (unsigned k = 0; k < 1 + round % 3; k++) {
            random = random * 1664525 + 1013904223;
            exact[(random >> 8) % len] = (uint8_t)(random >> 24);
        }
        (void)read_bytes(exact, len - (random >> 4) % 20);
        free(exact);
        if (round % 2000 == 1999) free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candumps_lines_are_read_with_and_without_a_direction),
        cmocka_unit_test(what_we_write_we_can_read),
        cmocka_unit_test(what_python_can_and_can_utils_write_is_read),
        cmocka_unit_test(asc_lines_of_every_kind_are_read),
        cmocka_unit_test(decimal_and_relative_asc_is_converted),
        cmocka_unit_test(pcap_of_either_byte_order_and_resolution_is_read),
        cmocka_unit_test(what_is_no_log_is_said_with_its_place),
        cmocka_unit_test(changed_logs_are_read_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
