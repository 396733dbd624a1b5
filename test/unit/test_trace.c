// test_trace.c - logs as candump writes them, and what the trace makes of them.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bus_log_read.h"
#include "trace.h"
#include <cmocka.h>
#include <stdlib.h>

static char output[1 << 16];

static void print_line(void *ctx, const trace_line_t *line) { trace_print(ctx, line, 0); }

/// "0.001 7E0#021001" for each line, which lacks parentheses and interface, and the lines expected.
static void transcript(const char *frames, const char *expected)
{
    char *log_text = NULL;
    size_t log_len = 0;
    FILE *out = fmemopen(output, sizeof output, "w");
    FILE *lines = open_memstream(&log_text, &log_len);
    trace_t *t = trace_new(print_line, out);
    assert_non_null(out);
    assert_non_null(lines);
    assert_non_null(t);
    assert_true(trace_pair(t, 0x600, 0x608, false));
    for (const char *p = frames; *p; p += strcspn(p, "\n") + 1) {
        const size_t time_len = strcspn(p, " ");
        fprintf(lines, "(%.*s) can0%.*s\n", (int)time_len, p, (int)(strcspn(p, "\n") - time_len),
                p + time_len);
    }
    (void)fclose(lines);
    bus_log_read_t log;
    can_frame_t frame;
    usec_t at = 0;
    assert_true(bus_log_read_file(&log, fmemopen(log_text, log_len, "r"), "test"));
    while (bus_log_read(&log, &frame, &at))
        trace_input(t, &frame, at);
    assert_string_equal(log.error, "");
    bus_log_read_close(&log);
    trace_end(t, at);
    trace_free(t);
    (void)fclose(out);
    free(log_text);
    assert_string_equal(output, expected);
}

static void an_exchange_has_its_response_time(void **state)
{
    (void)state;
    transcript(
        "0.001000 7E0#021002\n"
        "0.003500 7E8#065002003201F4\n",
        "   0.001000  7E0  DiagnosticSessionControl programming session\n"
        "   0.003500  7E8  positive: DiagnosticSessionControl programming session, P2 50 ms, P2* 5000 ms"
        "  (2.5 ms)\n");
}

static void the_time_counts_from_last_frame_to_first_frame(void **state)
{
    (void)state;
    transcript(
        "0.001 7E0#1008310102020102\n"
        "0.002 7E8#300000\n"
        "0.010 7E0#210304\n"
        "0.011 7E8#037F3178\n"
        "1.030 7E8#037F3178\n"
        "1.050 7E8#1009710102020001\n"
        "1.051 7E0#300000\n"
        "1.090 7E8#21020304\n",
        "   0.001000  7E0  RoutineControl start checkMemory (0202), 01020304\n"
        "   0.011000  7E8  negative: RoutineControl: requestCorrectlyReceived-ResponsePending (78)  (1.0 ms)\n"
        "   1.030000  7E8  negative: RoutineControl: requestCorrectlyReceived-ResponsePending (78)  (1020.0 ms, "
        "1 x 78 before)\n"
        "   1.050000  7E8  positive: RoutineControl start checkMemory (0202), status 00 (OK), 01020304  "
        "(1040.0 ms, 2 x 78 before)\n");
}

static void of_many_0x78_one_a_second_is_shown(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#0137\n"
        "0.100 7E8#037F3778\n"
        "0.600 7E8#037F3778\n"
        "1.100 7E8#037F3778\n"
        "2.000 7E8#037F3778\n"
        "2.050 7E8#0177\n",
        "   0.000000  7E0  RequestTransferExit\n"
        "   0.100000  7E8  negative: RequestTransferExit: requestCorrectlyReceived-ResponsePending (78)  (100.0 ms)\n"
        "   1.100000  7E8  negative: RequestTransferExit: requestCorrectlyReceived-ResponsePending (78)  (1100.0 ms, "
        "2 x 78 before)\n"
        "   2.050000  7E8  positive: RequestTransferExit  (2050.0 ms, 4 x 78 before)\n");
}

static void a_request_without_a_response_is_said(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#0322F186\n"
        "0.080 7E0#0322F190\n"
        "0.090 7E8#037F2278\n"
        "0.100 7DF#0322F186\n" // to all: nobody must answer
        "0.200 7DF#0322F186\n"
        "0.300 7E0#023E80\n"
        "6.000 7E0#021083\n" // no response is wanted
        "7.000 7E0#021103\n",
        "   0.000000  7E0  ReadDataByIdentifier F186 (activeDiagnosticSession)\n"
        "   0.080000  7E0  ! no response to ReadDataByIdentifier for 80.0 ms\n"
        "   0.080000  7E0  ReadDataByIdentifier F190 (VIN)\n"
        "   0.090000  7E8  negative: ReadDataByIdentifier: requestCorrectlyReceived-ResponsePending (78)  (10.0 ms)\n"
        "   0.100000  7DF  ReadDataByIdentifier F186 (activeDiagnosticSession)\n"
        "   0.200000  7DF  ReadDataByIdentifier F186 (activeDiagnosticSession)\n"
        "   0.300000  7E0  TesterPresent, no positive response wanted\n"
        "   6.000000  7E0  ! no response to ReadDataByIdentifier for 5920.0 ms, after 1 x 78\n"
        "   6.000000  7E0  DiagnosticSessionControl extended session, no positive response wanted\n"
        "   7.000000  7E0  ECUReset softReset\n"
        "   7.000000  7E0  ! no response to ECUReset before the log ends\n");
}

static void a_late_response_to_another_request_is_not_taken_for_this_ones(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#0322F186\n"
        "0.100 7E0#0322F195\n"
        "0.101 7E8#0462F18601\n"
        "0.110 7E8#0462F19531\n"
        "0.200 7E0#03360100\n"
        "0.201 7E8#027602\n"
        "0.202 7E8#027601\n"
        "0.300 7E0#0431010203\n"
        "0.301 7E8#0471030202\n"
        "0.302 7E8#057101020300\n"
        "0.400 7E0#0522F1861234\n"
        "0.401 7E8#046212340F\n",
        "   0.000000  7E0  ReadDataByIdentifier F186 (activeDiagnosticSession)\n"
        "   0.100000  7E0  ! no response to ReadDataByIdentifier for 100.0 ms\n"
        "   0.100000  7E0  ReadDataByIdentifier F195 (systemSupplierECUSoftwareVersionNumber)\n"
        "   0.101000  7E8  positive: ReadDataByIdentifier F186 (activeDiagnosticSession): default session\n"
        "   0.110000  7E8  positive: ReadDataByIdentifier F195 (systemSupplierECUSoftwareVersionNumber): \"1\"  "
        "(10.0 ms)\n"
        "   0.200000  7E0  TransferData block 1, 1 bytes\n"
        "   0.201000  7E8  positive: TransferData block 2\n"
        "   0.202000  7E8  positive: TransferData block 1  (2.0 ms)\n"
        "   0.300000  7E0  RoutineControl start checkProgrammingPreconditions (0203)\n"
        "   0.301000  7E8  positive: RoutineControl results of checkMemory (0202)\n"
        "   0.302000  7E8  positive: RoutineControl start checkProgrammingPreconditions (0203), status 00 (OK)  "
        "(2.0 ms)\n"
        "   0.400000  7E0  ReadDataByIdentifier F186 (activeDiagnosticSession), 1234\n"
        "   0.401000  7E8  positive: ReadDataByIdentifier 1234: 0F  (1.0 ms)\n");
}

static void a_tester_present_in_between_changes_nothing(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#023601\n"
        "0.010 7DF#023E80\n"
        "0.011 7E0#023E80\n"
        "0.020 7E8#027601\n"
        "0.030 7E8#027601\n",
        "   0.000000  7E0  TransferData block 1, 0 bytes\n"
        "   0.010000  7DF  TesterPresent, no positive response wanted\n"
        "   0.011000  7E0  TesterPresent, no positive response wanted\n"
        "   0.020000  7E8  positive: TransferData block 1  (20.0 ms)\n"
        "   0.030000  7E8  positive: TransferData block 1\n");
}

static void a_request_splits_its_response(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#052212341235\n"
        "0.010 7DF#0322F186\n"
        "0.020 7E8#0762123401123502\n",
        "   0.000000  7E0  ReadDataByIdentifier 1234, 1235\n"
        "   0.010000  7DF  ReadDataByIdentifier F186 (activeDiagnosticSession)\n"
        "   0.020000  7E8  positive: ReadDataByIdentifier 1234: 01; 1235: 02  (20.0 ms)\n");
}

/// Adds a message of 7E0 in frames 1 ms apart, from `ms` on.
static void add_block(char *log, unsigned ms, uint8_t counter, unsigned len)
{
    (void)sprintf(log + strlen(log), "0.%03u 7E0#1%03X36%02X00000000\n", ms, len, counter);
    for (unsigned at = 6, sn = 1; at < len; at += 7, sn++)
        (void)sprintf(log + strlen(log), "0.%03u 7E0#2%X00000000000000\n", ms + sn, sn % 16);
}

static void long_messages_have_a_rate_and_downloads_a_sum(void **state)
{
    (void)state;
    char log[4000] = "0.000 7E0#0534001100FF\n";
    add_block(log, 10, 1, 257);
    add_block(log, 110, 1, 257); // again, for its response was lost
    add_block(log, 210, 2, 62);
    (void)sprintf(log + strlen(log), "0.300 7E0#0137\n");
    transcript(log,
               "   0.000000  7E0  RequestDownload, 255 bytes at 00\n"
               "   0.010000  7E0  ! no response to RequestDownload for 10.0 ms\n"
               "   0.010000  7E0  TransferData block 1, 255 bytes  [36.0 ms, 7.1 kB/s]\n"
               "   0.110000  7E0  ! no response to TransferData for 64.0 ms\n"
               "   0.110000  7E0  TransferData block 1, 255 bytes  [36.0 ms, 7.1 kB/s]\n"
               "   0.210000  7E0  ! no response to TransferData for 64.0 ms\n"
               "   0.210000  7E0  TransferData block 2, 60 bytes\n"
               "   0.300000  7E0  ! no response to TransferData for 82.0 ms\n"
               "   0.300000  7E0  RequestTransferExit: 315 bytes in 2 blocks, 0.3 s, 1.1 kB/s\n"
               "   0.300000  7E0  ! no response to RequestTransferExit before the log ends\n");
}

static void requests_to_all_have_many_responses(void **state)
{
    (void)state;
    transcript(
        "0.000 7DF#023E00\n"
        "0.010 7E8#027E00\n"
        "0.020 7E9#027E00\n",
        "   0.000000  7DF  TesterPresent\n"
        "   0.010000  7E8  positive: TesterPresent  (10.0 ms)\n"
        "   0.020000  7E9  positive: TesterPresent  (20.0 ms)\n");
}

static void messages_of_several_pairs_may_interleave(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#1008220001020304\n"
        "0.000 18DA10F1#1008220005060708\n"
        "0.001 7E8#10082E0001020304\n"
        "0.001 600#021101\n"
        "0.002 18DA10F1#210910\n"
        "0.003 7E8#210506\n"
        "0.004 7E0#210506\n",
        "   0.001000  600  ECUReset hardReset\n"
        "   0.000000  18DA10F1  ReadDataByIdentifier 0005, 0607, 0809, incomplete\n"
        "   0.001000  7E8  WriteDataByIdentifier 0001: 0203040506\n"
        "   0.000000  7E0  ReadDataByIdentifier 0001, 0203, 0405, incomplete\n"
        "   0.004000  600  ! no response to ECUReset before the log ends\n"
        "   0.004000  7E0  ! no response to ReadDataByIdentifier before the log ends\n"
        "   0.004000  7E8  ! no response to WriteDataByIdentifier before the log ends\n"
        "   0.004000  18DA10F1  ! no response to ReadDataByIdentifier before the log ends\n");
}

static void can_fd_and_long_first_frames_are_understood(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0##1000922123456781234567800\n"
        "0.001 7E0##1100000001000360102030405\n"
        "0.002 7E8##1300000\n",
        "   0.000000  7E0  ReadDataByIdentifier 1234, 5678, 1234, 5678\n"
        "   0.002000  7E0  ! broken off after 6 of 4096 bytes: the log ends here\n"
        "   0.002000  7E0  ! no response to ReadDataByIdentifier before the log ends\n");
}

static void a_lost_frame_breaks_the_message_and_is_said_once(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#1020360100000000\n"
        "0.001 7E8#300000\n"
        "0.002 7E0#2100000000000000\n"
        "0.003 7E0#2300000000000000\n"
        "0.004 7E0#2400000000000000\n"
        "0.005 7E0#0137\n",
        "   0.003000  7E0  ! broken off after 13 of 32 bytes: sequence number 3 instead of 2: a frame was lost "
        "or came twice (N_WRONG_SN)\n"
        "   0.005000  7E0  RequestTransferExit\n"
        "   0.005000  7E0  ! no response to RequestTransferExit before the log ends\n");
}

static void another_message_breaks_the_one_before(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#1020360100000000\n"
        "0.005 7E0#0137\n",
        "   0.005000  7E0  ! broken off after 6 of 32 bytes: another message begins (N_UNEXP_PDU)\n"
        "   0.005000  7E0  RequestTransferExit\n"
        "   0.005000  7E0  ! no response to RequestTransferExit before the log ends\n");
}

static void silence_breaks_a_message_by_the_times_of_the_log(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#1020360100000000\n"
        "0.900 7E8#310000\n"
        "1.800 7E8#300000\n"
        "1.900 7E0#2100000000000000\n"
        "2.900 123#00\n"
        "2.901 123#00\n"
        "3.000 600#1020360100000000\n"
        "4.100 123#00\n",
        "   0.900000  7E8  flow control: WAIT\n"
        "   2.901000  7E0  ! broken off after 13 of 32 bytes: no consecutive frame for 1 s (N_TIMEOUT_Cr)\n"
        "   4.100000  600  ! broken off after 6 of 32 bytes: no flow control for 1 s (N_TIMEOUT_Bs)\n");
}

static void a_refusal_ends_the_message(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#1FFF360100000000\n"
        "0.001 7E8#320000\n",
        "   0.001000  7E8  flow control: OVFLW, too long or not wanted\n"
        "   0.001000  7E0  ! broken off after 6 of 4095 bytes: refused by OVFLW (N_BUFFER_OVFLW)\n");
}

static void block_sizes_and_frames_without_sense_are_followed(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#100F360100000000\n"
        "0.001 7E8#300100\n"
        "0.002 7E0#2100000000000000\n"
        "0.003 7E8#300100\n"
        "0.004 7E0#220000\n"
        "0.005 7E0#00\n"
        "0.006 7E8#350000\n"
        "0.007 7E0#FF\n",
        "   0.000000  7E0  TransferData block 1, 13 bytes\n"
        "   0.005000  7E0  ! a frame that is none of ISO-TP\n"
        "   0.006000  7E8  flow control with a reserved flow status\n"
        "   0.007000  7E0  ! a frame that is none of ISO-TP\n"
        "   0.007000  7E0  ! no response to TransferData before the log ends\n");
}

static void a_header_transfer_and_its_status_are_told(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#100C4F540A000000\n"
        "0.001 7E8#300000\n"
        "0.002 7E0#210000E9010203\n"
        "0.003 7E0#0401020304\n"
        "0.004 7E0#06010203040506\n"
        "0.005 7E8#074F54000A000000\n"
        "0.006 7E0#023E80\n",
        "   0.000000  7E0  header: a transfer of 10 bytes begins, 4 of them here\n"
        "   0.003000  7E0  service 01, 020304\n"
        "   0.004000  7E0  service 01, 0203040506\n"
        "   0.005000  7E8  status: 00 OK, 10 bytes of the image received\n"
        "   0.006000  7E0  TesterPresent, no positive response wanted\n");
    transcript(
        "0.000 7E0#100C4F540A000000\n"
        "0.002 7E0#210000E9010203\n"
        "0.004 7E0#06010203040506\n"
        "0.006 7E0#023E80\n",
        "   0.000000  7E0  header: a transfer of 10 bytes begins, 4 of them here\n"
        "   0.004000  7E0  header: 6 bytes, 10 of 10\n"
        "   0.006000  7E0  TesterPresent, no positive response wanted\n");
}

static void a_plain_transfer_ends_with_a_short_message_or_silence(void **state)
{
    (void)state;
    transcript(
        "0.000 7E0#07E9010203040506\n"
        "0.005 7E8#074F541907000000\n"
        "0.006 7E0#023E80\n",
        "   0.000000  7E0  plain: a transfer begins, 7 bytes\n"
        "   0.005000  7E8  status: 19 INCOMPLETE, 7 bytes of the image received\n"
        "   0.006000  7E0  TesterPresent, no positive response wanted\n");
}

static void more_identifiers_than_fit_are_left_out(void **state)
{
    (void)state;
    trace_t *t = trace_new(print_line, NULL);
    assert_non_null(t);
    bool ok = true;
    for (uint32_t i = 0; i < 40; i++)
        ok = trace_pair(t, 2 * i, 2 * i + 1, false);
    assert_false(ok);
    const can_frame_t frame = { .id = 0x7E0, .len = 3, .data = { 2, 0x3E, 0 } };
    trace_input(t, &frame, 0); // nobody prints to NULL
    trace_free(t);
}

static void count_lines(void *ctx, const trace_line_t *line)
{
    unsigned *count = ctx;
    assert_in_range(strlen(line->text), 1, 500);
    assert_true(line->held <= TRACE_HELD_MAX && (line->kind != TRACE_MESSAGE || line->held > 0));
    (*count)++;
}

static void any_frames_make_some_lines(void **state)
{
    (void)state;
    uint32_t random = 7;
    unsigned count = 0;
    trace_t *t = trace_new(count_lines, &count);
    assert_non_null(t);
    usec_t now = 0;
    for (unsigned i = 0; i < 300000; i++) {
        static const uint8_t lens[] = { 0, 1, 2, 3, 7, 8, 8, 8, 8, 8, 8, 8, 8, 12, 20, 64 };
        can_frame_t f = { .id = 0x7E0 + (i % 3) * 8, .len = lens[(random >> 9) % 16] };
        f.fd = f.len > 8;
        for (size_t k = 0; k < sizeof f.data; k++)
            f.data[k] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
        f.data[0] &= 0x3F;
        if (random & 64) f.data[0] = (uint8_t)(0x20 | (i / 3 % 16));
        if ((random & 0x700) == 0) f.data[0] = 0x10, f.data[1] = 60;
        now += random % 5000;
        trace_input(t, &f, now);
    }
    trace_end(t, now);
    trace_free(t);
    assert_in_range(count, 1000, 600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange_has_its_response_time),
        cmocka_unit_test(the_time_counts_from_last_frame_to_first_frame),
        cmocka_unit_test(of_many_0x78_one_a_second_is_shown),
        cmocka_unit_test(a_request_without_a_response_is_said),
        cmocka_unit_test(a_late_response_to_another_request_is_not_taken_for_this_ones),
        cmocka_unit_test(a_tester_present_in_between_changes_nothing),
        cmocka_unit_test(a_request_splits_its_response),
        cmocka_unit_test(long_messages_have_a_rate_and_downloads_a_sum),
        cmocka_unit_test(requests_to_all_have_many_responses),
        cmocka_unit_test(messages_of_several_pairs_may_interleave),
        cmocka_unit_test(can_fd_and_long_first_frames_are_understood),
        cmocka_unit_test(a_lost_frame_breaks_the_message_and_is_said_once),
        cmocka_unit_test(another_message_breaks_the_one_before),
        cmocka_unit_test(silence_breaks_a_message_by_the_times_of_the_log),
        cmocka_unit_test(a_refusal_ends_the_message),
        cmocka_unit_test(block_sizes_and_frames_without_sense_are_followed),
        cmocka_unit_test(a_header_transfer_and_its_status_are_told),
        cmocka_unit_test(a_plain_transfer_ends_with_a_short_message_or_silence),
        cmocka_unit_test(more_identifiers_than_fit_are_left_out),
        cmocka_unit_test(any_frames_make_some_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
