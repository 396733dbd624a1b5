// test_isotp_pci.c - ISO-TP: formats of single, first and consecutive frames, and sequence numbers, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// --- Single frames (9.6.2) ---

static void delivers_a_single_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "5 > 03 22 F1 90\n"
               "5 ! BEGIN 3\n"
               "5 ! END\n");
    assert_memory_equal(transcript_data, "\x22\xF1\x90", 3);
}

static void ignores_the_padding_of_a_single_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 01 3E CC CC CC CC CC CC\n"
               "0 ! BEGIN 1\n"
               "0 ! END\n"
               "1 > 07 01 02 03 04 05 06 07\n"
               "1 ! BEGIN 7\n"
               "1 ! END\n");
}

static void ignores_malformed_single_frames(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 00                         ; length 0 is reserved\n"
               "1 > 00 01 02\n"
               "2 > 03 01 02                   ; longer than the frame\n"
               "3 > 08 01 02 03 04 05 06 07    ; longer than any classic frame\n"
               "4 > 0F 01 02 03 04 05 06 07\n");
}

static void sends_a_single_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "3 * start 7\n"
               "3 < 07 00 01 02 03 04 05 06\n"
               "3 ! SENT\n"
               "4 * start 1\n"
               "4 < 01 00\n"
               "4 ! SENT\n");
}

static void a_single_frame_carries_1_to_7_bytes(void **state)
{
    (void)state;
    for (unsigned len = 1; len <= 7; len++) {
        transcript_add("0 > %02X %02X..%02X\n0 ! BEGIN %u\n0 ! END\n", len, 1, len, len);
        transcript_add("1 > %02X %02X..%02X CC*%u\n1 ! BEGIN %u\n1 ! END\n", len, 1, len, 7 - len,
                       len);
        transcript_added(&plain);
        assert_int_equal(transcript_data[len - 1], len);
    }
}

static void a_single_frame_sent_is_as_long_as_its_message(void **state)
{
    (void)state;
    for (unsigned len = 1; len <= 7; len++)
        transcript_add("%u * start %u\n%u < %02X 00..%02X\n%u ! SENT\n", len, len, len, len,
                       len - 1, len);
    transcript_added(&plain);
}

static void a_single_frame_may_be_longer_than_its_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 02 3E 00 00 00\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n");
}

static void the_escape_of_a_single_frame_needs_more_than_8_bytes(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 00 05 01 02 03 04 05 06\n"
               "1 > 00 08 01 02 03 04 05 06\n");
}

static void a_frame_without_bytes_is_ignored(void **state)
{
    (void)state;
    transcript(&plain,
               "0 >\n"
               "1 > 10 08 01..06\n"
               "1 ! BEGIN 8\n"
               "1 < 30 00 00\n"
               "2 >\n"
               "3 > 21 07 08\n"
               "3 ! END\n");
}

static void ignores_reserved_frame_types(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 40 01 02\n"
               "1 > 80 01 02\n"
               "2 > F0 01 02\n");
}

static void ignores_each_reserved_frame_type_in_each_state(void **state)
{
    (void)state;
    for (unsigned type = 0x40; type <= 0xF0; type += 0x10) { // (9.6.1)
        transcript_add("0 > %02X 00 00\n", type);
        transcript_add("1 > %02X 00*7\n", type);
        transcript_add("2 > 10 09 01..06\n2 ! BEGIN 9\n2 < 30 00 00\n3 > %02X 00*7\n", type | 1);
        transcript_add("4 > 21 07 08 09\n4 ! END\n");
        transcript_add("5 * start 9\n5 < 10 09 00..05\n6 > %02X 00 00\n", type);
        transcript_add("7 > 30 00 00\n7 < 21 06 07 08\n7 ! SENT\n");
        transcript_added(&plain);
    }
}

// --- First frames (9.6.3) ---

static void receives_a_segmented_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 0A 22 F1 90 00 01 02\n"
               "0 ! BEGIN 10\n"
               "0 < 30 00 00\n"
               "5 > 21 03 04 05 06\n"
               "5 ! END\n");
    assert_memory_equal(transcript_data, "\x22\xF1\x90\x00\x01\x02\x03\x04\x05\x06", 10);
}

static void ignores_malformed_first_frames(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 01 02 03 04 05           ; shorter than 8 bytes\n"
               "1 > 10 07 01 02 03 04 05 06        ; would fit a single frame\n"
               "2 > 10 00 00 00 0F FF 01 02        ; escape for a length that needs none\n"
               "3 > 10 00 00 00 00 14 01 02\n"
               "4 > 10 00 00 00 00 00 01 02\n");
}

static void ignores_a_first_frame_of_fewer_than_8_bytes(void **state)
{
    (void)state;
    transcript_add("0 > 10\n");
    for (unsigned len = 2; len < 8; len++)
        transcript_add("0 > 10 14 00*%u\n", len - 2);
    transcript_add("1 > 10 00 00 00 10 00 01\n");
    transcript_added(&plain);
}

static void the_shortest_segmented_message_has_8_bytes(void **state)
{
    (void)state;
    transcript_add("0 > 10 00 00*6\n");
    for (unsigned len = 1; len < 8; len++)
        transcript_add("0 > 10 %02X 01..06\n", len);
    transcript_add("1 > 10 08 01..06\n1 ! BEGIN 8\n1 < 30 00 00\n2 > 21 07 08\n2 ! END\n");
    transcript_added(&plain);
    assert_memory_equal(transcript_data, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    transcript(&plain,
               "0 * start 8\n"
               "0 < 10 08 00..05\n"
               "1 > 30 00 00\n"
               "1 < 21 06 07\n"
               "1 ! SENT\n");
}

static void the_length_of_a_first_frame_has_12_bits(void **state)
{
    (void)state;
    transcript(&plain,
               "0    > 11 00 01..06\n"
               "0    ! BEGIN 256\n"
               "0    < 30 00 00\n"
               "1    > 1A BC 01..06\n"
               "1    ! RX_FAILED UNEXP_PDU\n"
               "1    ! BEGIN 2748\n"
               "1    < 30 00 00\n"
               "1001 ! RX_FAILED TIMEOUT_CR\n"
               "2000 * start 2748\n"
               "2000 < 1A BC 00..05\n"
               "2001 * cancel\n"
               "2002 * start 256\n"
               "2002 < 11 00 00..05\n"
               "2003 * cancel\n");
}

static void sends_the_longest_short_and_the_shortest_long_length(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 4095\n"
               "0    < 1F FF 00 01 02 03 04 05\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n"
               "2000 * start 4096\n"
               "2000 < 10 00 00 00 10 00 00 01\n"
               "2001 > 30 01 00\n"
               "2001 < 21 02 03 04 05 06 07 08\n"
               "3001 ! TX_FAILED TIMEOUT_BS\n");
}

static void a_first_frame_with_an_escape_is_for_4096_bytes_at_least(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 00 00 00 00 08 01 02\n"
               "0 > 10 00 00 00 0F FF 01 02\n"
               "0 > 10 00 00 00 10 00 01 02\n"
               "0 ! BEGIN 4096\n"
               "0 < 30 00 00\n"
               "1 > 10 00 00 00 0F FF 01 02      ; ignored here as well\n"
               "2 > 10 00 00 01 00 00 01 02\n"
               "2 ! RX_FAILED UNEXP_PDU\n"
               "2 ! BEGIN 65536\n"
               "2 < 30 00 00\n"
               "3 > 1F FF 01..06                 ; the longest without\n"
               "3 ! RX_FAILED UNEXP_PDU\n"
               "3 ! BEGIN 4095\n"
               "3 < 30 00 00\n"
               "1003 ! RX_FAILED TIMEOUT_CR\n");
}

static void takes_messages_longer_than_4095_bytes(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 00 00 00 10 00 01 02\n"
               "0 ! BEGIN 4096\n"
               "0 < 30 00 00\n"
               "1 > 21 03 04 05 06 07 08 09\n"
               "1001 ! RX_FAILED TIMEOUT_CR\n");
    assert_memory_equal(transcript_data, "\x01\x02\x03\x04\x05\x06\x07\x08\x09", 9);
}

static void counts_a_length_of_32_bits_without_overflow(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 00 FF FF FF FF 01 02\n"
               "0 ! BEGIN 4294967295\n"
               "0 < 30 00 00\n"
               "1 > 21 03 04 05 06 07 08 09\n"
               "1001 ! RX_FAILED TIMEOUT_CR\n");
}

static void begins_a_message_of_up_to_2_32_minus_1_bytes(void **state)
{
    static const struct {
        const char *len, *header;
    } rows[] = { { "65536", "00 01 00 00" },      { "16777215", "00 FF FF FF" },
                 { "2147483648", "80 00 00 00" }, { "4294967288", "FF FF FF F8" },
                 { "4294967293", "FF FF FF FD" }, { "4294967294", "FF FF FF FE" },
                 { "4294967295", "FF FF FF FF" } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        transcript_add("0 * startfrom %s\n0 < 10 00 %s 00 01\n", rows[i].len, rows[i].header);
        transcript_add("1 > 30 02 00\n1 < 21 02..08\n1 < 22 09..0F\n");
        transcript_add("2 > 30 01 00\n2 < 23 10..16\n1002 ! TX_FAILED TIMEOUT_BS\n");
        transcript_added(&plain);
    }
}

// --- Consecutive frames (9.6.4) ---

static void sends_a_segmented_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 21\n"
               "0 < 10 15 00 01 02 03 04 05\n"
               "7 > 30 00 00\n"
               "7 < 21 06 07 08 09 0A 0B 0C\n"
               "7 < 22 0D 0E 0F 10 11 12 13\n"
               "7 < 23 14\n"
               "7 ! SENT\n");
}

static void a_consecutive_frame_that_is_too_short_does_not_count(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 21 01 02 03 04 05 06        ; one byte is missing\n"
               "2 > 21 01 02 03 04 05 06 07\n"
               "3 > 22 01 02 03 04 05 06        ; 20 = 6 + 7 + 7\n"
               "1002 ! RX_FAILED TIMEOUT_CR\n");
}

static void takes_a_padded_last_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 08 01 02 03 04 05 06\n"
               "0 ! BEGIN 8\n"
               "0 < 30 00 00\n"
               "1 > 21 07 08 CC CC CC CC CC\n"
               "1 ! END\n");
    assert_int_equal(transcript_len, 8);
}

static void the_last_consecutive_frame_has_any_length_from_its_data_on(void **state)
{
    (void)state;
    for (unsigned rest = 1; rest <= 7; rest++) {
        transcript_add("0 > 10 %02X 01..06\n0 ! BEGIN %u\n0 < 30 00 00\n", 13 + rest, 13 + rest);
        transcript_add("1 > 21 07..0D\n");
        if (rest > 1)
            transcript_add("2 > 22 01..%02X\n", rest - 1); // one is missing
        else
            transcript_add("2 > 22\n");
        transcript_add("3 > 22 0E..%02X%s\n3 ! END\n", 13 + rest, rest < 7 ? " CC" : "");
        transcript_added(&plain);
        assert_int_equal(transcript_len, 13 + rest);
        assert_int_equal(transcript_data[12 + rest], 13 + rest);
    }
}

static void the_last_consecutive_frame_sent_is_as_short_as_possible(void **state)
{
    (void)state;
    for (unsigned rest = 1; rest <= 7; rest++) {
        transcript_add("0 * start %u\n0 < 10 %02X 00..05\n1 > 30 00 00\n", 13 + rest, 13 + rest);
        transcript_add("1 < 21 06..0C\n1 < 22 0D..%02X\n1 ! SENT\n", 12 + rest);
        transcript_added(&plain);
    }
}

// --- Sequence numbers ---

static void wraps_the_sequence_number_from_15_to_0(void **state)
{
    (void)state;
    transcript_add("0 > 10 78 00*6\n0 ! BEGIN 120\n0 < 30 00 00\n"); // 6 + 16 x 7 + 2
    for (unsigned i = 1; i <= 16; i++)
        transcript_add("%u > 2%X 00*7\n", i, i & 15);
    transcript_add("17 > 21 00 00\n17 ! END\n");
    transcript_added(&plain);
}

static void the_sequence_number_sent_begins_with_1_and_wraps_from_15_to_0(void **state)
{
    (void)state;
    transcript_add("0 * start 250\n0 < 10 FA 00..05\n1 > 30 00 00\n");
    for (unsigned i = 1, at = 6; i <= 35; i++, at += 7)
        transcript_add("1 < 2%X %02X..%02X\n", i & 15, at, at + (i < 35 ? 6 : 5));
    transcript_add("1 ! SENT\n");
    transcript_added(&plain);
}

static void flow_control_does_not_change_the_sequence_number(void **state)
{
    (void)state;
    transcript_add("0 * auto 1\n0 > 10 F4 00*6\n0 ! BEGIN 244\n0 < 30 01 00\n");
    for (unsigned i = 1; i <= 34; i++)
        transcript_add("%u > 2%X 00*7\n%u %s\n", i, i & 15, i, i < 34 ? "< 30 01 00" : "! END");
    transcript_added(&plain);
    transcript_add("0 * start 244\n0 < 10 F4 00..05\n");
    for (unsigned i = 1, at = 6; i <= 34; i++, at += 7)
        transcript_add("%u > 30 01 00\n%u < 2%X %02X..%02X\n", i, i, i & 15, at, at + 6);
    transcript_add("34 ! SENT\n");
    transcript_added(&plain);
}

static void every_wrong_sequence_number_ends_the_message(void **state)
{
    (void)state;
    for (unsigned right = 1; right <= 17; right++) {
        for (unsigned wrong = 0; wrong < 16; wrong++) {
            if (wrong == (right & 15)) continue;
            transcript_add("0 > 11 00 00*6\n0 ! BEGIN 256\n0 < 30 00 00\n");
            for (unsigned i = 1; i < right; i++)
                transcript_add("1 > 2%X 00*7\n", i & 15);
            transcript_add("2 > 2%X 00*7\n2 ! RX_FAILED WRONG_SN\n", wrong);
            transcript_add("3 > 2%X 00*7\n", right & 15); // no flow control, nothing is repeated
            transcript_added(&plain);
        }
    }
}

static void a_wrong_sequence_number_at_the_end_counts_too(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 08 01..06\n"
               "0 ! BEGIN 8\n"
               "0 < 30 00 00\n"
               "1 > 22 07 08\n"
               "1 ! RX_FAILED WRONG_SN\n");
}

static void the_right_sequence_number_in_the_wrong_place_does_not_count(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 22 00*6\n"
               "0 ! BEGIN 34\n"
               "0 < 30 00 00\n"
               "1 > 24 21*7\n"
               "1 ! RX_FAILED WRONG_SN\n");
}

static void gives_a_message_up_when_a_frame_is_lost_or_repeated(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 22 00 00 00 00 00 00 00\n"
               "1 ! RX_FAILED WRONG_SN\n"
               "2 > 23 00 00 00 00 00 00 00     ; not awaited any more\n"
               "3 > 10 14 00 00 00 00 00 00\n"
               "3 ! BEGIN 20\n"
               "3 < 30 00 00\n"
               "4 > 21 00 00 00 00 00 00 00\n"
               "5 > 21 00 00 00 00 00 00 00\n"
               "5 ! RX_FAILED WRONG_SN\n");
}

static void a_new_message_counts_from_1_again(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 01..06\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 21 07..0D\n"
               "2 > 22 0E..14\n"
               "2 ! END\n"
               "3 > 10 08 01..06\n"
               "3 ! BEGIN 8\n"
               "3 < 30 00 00\n"
               "4 > 21 07 08\n"
               "4 ! END\n"
               "5 * start 20\n"
               "5 < 10 14 00..05\n"
               "5 > 30 00 00\n"
               "5 < 21 06..0C\n"
               "5 < 22 0D..13\n"
               "5 ! SENT\n"
               "6 * start 8\n"
               "6 < 10 08 00..05\n"
               "6 > 30 00 00\n"
               "6 < 21 06 07\n"
               "6 ! SENT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_a_single_frame),
        cmocka_unit_test(ignores_the_padding_of_a_single_frame),
        cmocka_unit_test(ignores_malformed_single_frames),
        cmocka_unit_test(sends_a_single_frame),
        cmocka_unit_test(a_single_frame_carries_1_to_7_bytes),
        cmocka_unit_test(a_single_frame_sent_is_as_long_as_its_message),
        cmocka_unit_test(a_single_frame_may_be_longer_than_its_message),
        cmocka_unit_test(the_escape_of_a_single_frame_needs_more_than_8_bytes),
        cmocka_unit_test(a_frame_without_bytes_is_ignored),
        cmocka_unit_test(ignores_reserved_frame_types),
        cmocka_unit_test(ignores_each_reserved_frame_type_in_each_state),
        cmocka_unit_test(receives_a_segmented_message),
        cmocka_unit_test(ignores_malformed_first_frames),
        cmocka_unit_test(ignores_a_first_frame_of_fewer_than_8_bytes),
        cmocka_unit_test(the_shortest_segmented_message_has_8_bytes),
        cmocka_unit_test(the_length_of_a_first_frame_has_12_bits),
        cmocka_unit_test(sends_the_longest_short_and_the_shortest_long_length),
        cmocka_unit_test(a_first_frame_with_an_escape_is_for_4096_bytes_at_least),
        cmocka_unit_test(takes_messages_longer_than_4095_bytes),
        cmocka_unit_test(counts_a_length_of_32_bits_without_overflow),
        cmocka_unit_test(begins_a_message_of_up_to_2_32_minus_1_bytes),
        cmocka_unit_test(sends_a_segmented_message),
        cmocka_unit_test(a_consecutive_frame_that_is_too_short_does_not_count),
        cmocka_unit_test(takes_a_padded_last_frame),
        cmocka_unit_test(the_last_consecutive_frame_has_any_length_from_its_data_on),
        cmocka_unit_test(the_last_consecutive_frame_sent_is_as_short_as_possible),
        cmocka_unit_test(wraps_the_sequence_number_from_15_to_0),
        cmocka_unit_test(the_sequence_number_sent_begins_with_1_and_wraps_from_15_to_0),
        cmocka_unit_test(flow_control_does_not_change_the_sequence_number),
        cmocka_unit_test(every_wrong_sequence_number_ends_the_message),
        cmocka_unit_test(a_wrong_sequence_number_at_the_end_counts_too),
        cmocka_unit_test(the_right_sequence_number_in_the_wrong_place_does_not_count),
        cmocka_unit_test(gives_a_message_up_when_a_frame_is_lost_or_repeated),
        cmocka_unit_test(a_new_message_counts_from_1_again),
    };
    return cmocka_run_group_tests_name("isotp pci", tests, NULL, NULL);
}
