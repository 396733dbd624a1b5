// test_isotp.c - ISO 15765-2 rule by rule, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CFG(...)                                                                                   \
    {                                                                                              \
        .tx_id = 0x7E8, .rx_id = 0x7E0, .n_as = 1000 * USEC_MS, .n_ar = 1000 * USEC_MS,            \
        .n_bs = 1000 * USEC_MS, .n_cr = 1000 * USEC_MS, .n_br = 700 * USEC_MS, __VA_ARGS__         \
    }

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// --- Receive: single frames (3.1, SF) ---

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

static void ignores_reserved_frame_types(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 40 01 02\n"
               "1 > 80 01 02\n"
               "2 > F0 01 02\n");
}

static void listens_to_its_own_identifier_only(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 7E1 01 11\n"
               "1 > 7E0x 01 11  ; the same number, but 29 bits\n"
               "2 > 7E0# 01 11  ; CAN FD\n"
               "3 > 7E8 01 11   ; our own\n");
}

static void speaks_29_bit_identifiers(void **state)
{
    static const isotp_cfg_t cfg = {
        .tx_id = 0x18DAF110,
        .rx_id = 0x18DA10F1,
        .ext = true,
        .n_as = 1000,
        .n_ar = 1000,
        .n_bs = 1000,
        .n_cr = 1000000,
        .n_br = 1000,
    };
    (void)state;
    transcript(&cfg,
               "0 > 10 08 01 02 03 04 05 06\n"
               "0 ! BEGIN 8\n"
               "0 < 30 00 00\n"
               "1 > 21 07 08\n"
               "1 ! END\n");
}

// --- Receive: first and consecutive frames ---

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

static void wraps_the_sequence_number_from_15_to_0(void **state)
{
    (void)state;
    char log[4096];
    int len = sprintf(
        log, "0 > 10 78 00 00 00 00 00 00\n0 ! BEGIN 120\n0 < 30 00 00\n"); // 6 + 16 x 7 + 2
    for (int i = 1; i <= 16; i++)
        len += sprintf(log + len, "%d > 2%X 00 00 00 00 00 00 00\n", i, i & 15);
    sprintf(log + len, "17 > 21 00 00\n17 ! END\n");
    transcript(&plain, log);
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

static void ignores_consecutive_frames_out_of_the_blue(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 21 01 02 03\n"
               "1 > 20 01 02 03\n");
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

static void gives_up_when_the_next_frame_is_late(void **state)
{
    (void)state;
    transcript(&plain,
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "999  > 21 00 00 00 00 00 00 00  ; in time\n"
               "1999 ! RX_FAILED TIMEOUT_CR\n"
               "2000 > 22 00 00 00 00 00 00 00  ; too late\n");
}

static void n_cr_starts_when_the_flow_control_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 300\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "1300 ! RX_FAILED TIMEOUT_CR\n");
}

static void takes_a_frame_that_overtakes_the_confirmation(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 2\n"
               "0    > 10 0F 00 00 00 00 00 00\n"
               "0    ! BEGIN 15\n"
               "0    < 30 00 00\n"
               "1    > 21 00 00 00 00 00 00 00\n"
               "2.5  > 22 00 00\n"
               "2.5  ! END\n");
}

static void reports_n_timeout_a_when_the_flow_control_cannot_leave(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "500  > 21 00 00 00 00 00 00 00   ; not awaited before our flow control\n"
               "1000 ! RX_FAILED TIMEOUT_A\n"
               "1500 * driver on                 ; and none is sent late\n");
    transcript(&plain,
               "0    * confirm 5000\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "0    < 30 00 00\n"
               "1000 ! RX_FAILED TIMEOUT_A\n");
}

static void a_refused_flow_control_is_sent_when_the_driver_has_room(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * driver off\n"
               "0   > 10 0A 00 00 00 00 00 00\n"
               "0   ! BEGIN 10\n"
               "400 * driver on\n"
               "400 < 30 00 00\n"
               "401 > 21 00 00 00 00\n"
               "401 ! END\n");
}

// --- Receive: flow control under the sink's command ---

static void asks_again_after_each_block_but_not_after_the_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * stmin 05\n"
               "0 * auto 2\n"
               "0 > 10 22 00 00 00 00 00 00     ; 34 = 6 + 4 x 7\n"
               "0 ! BEGIN 34\n"
               "0 < 30 02 05\n"
               "1 > 21 00 00 00 00 00 00 00\n"
               "2 > 22 00 00 00 00 00 00 00\n"
               "2 < 30 02 05\n"
               "3 > 23 00 00 00 00 00 00 00\n"
               "4 > 24 00 00 00 00 00 00 00\n"
               "4 ! END\n");
}

static void no_limit_means_no_flow_control_in_between(void **state)
{
    (void)state;
    char *log = malloc(65536);
    int len = sprintf(log, "0 > 1F FF 00 00 00 00 00 00\n0 ! BEGIN 4095\n0 < 30 00 00\n");
    for (int i = 1; i <= 584; i++)
        len += sprintf(log + len, "%d > 2%X 00 00 00 00 00 00 00\n", i, i & 15);
    sprintf(log + len, "585 > 29 00\n585 ! END\n");
    transcript(&plain, log); // peers miscount after 256 frames
    free(log);
}

static void says_wait_until_the_sink_is_ready(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    > 10 0A 00 00 00 00 00 00\n"
               "0    ! BEGIN 10\n"
               "700  < 31 00 00\n"
               "1000 > 21 00 00 00 00          ; not awaited while we hold back\n"
               "1400 < 31 00 00\n"
               "1500 * proceed 0\n"
               "1500 < 30 00 00\n"
               "1501 > 21 00 00 00 00\n"
               "1501 ! END\n");
}

static void gives_the_message_up_after_n_wftmax_waits(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    > 10 0A 00 00 00 00 00 00\n"
               "0    ! BEGIN 10\n"
               "700  < 31 00 00\n"
               "1400 < 31 00 00\n"
               "2100 < 31 00 00\n"
               "2800 ! RX_FAILED WFT_OVRN\n"
               "2900 * proceed 0               ; too late: nothing is sent\n");
}

static void counts_waits_anew_in_each_block(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * hold\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "700  < 31 00 00\n"
               "1400 < 31 00 00\n"
               "2000 * proceed 1\n"
               "2000 < 30 01 00\n"
               "2001 > 21 00 00 00 00 00 00 00\n"
               "2701 < 31 00 00\n"
               "3401 < 31 00 00\n"
               "4101 < 31 00 00\n"
               "4102 * proceed 1\n"
               "4102 < 30 01 00\n"
               "4103 > 22 00 00 00 00 00 00 00\n"
               "4103 ! END\n");
}

static void never_waits_when_n_wftmax_is_0(void **state)
{
    static const isotp_cfg_t cfg = CFG(.wft_max = 0);
    (void)state;
    transcript(&cfg,
               "0   * hold\n"
               "0   > 10 0A 00 00 00 00 00 00\n"
               "0   ! BEGIN 10\n"
               "700 ! RX_FAILED WFT_OVRN\n");
}

static void the_wait_interval_starts_when_the_wait_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 100\n"
               "0    * hold\n"
               "0    > 10 0A 00 00 00 00 00 00\n"
               "0    ! BEGIN 10\n"
               "700  < 31 00 00\n"
               "1500 < 31 00 00\n"
               "1550 * refuse\n"
               "1550 < 32 00 00\n");
}

static void refuses_with_overflow_right_after_the_first_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * hold\n"
               "0 > 1F FF 00 00 00 00 00 00\n"
               "0 ! BEGIN 4095\n"
               "3 * refuse\n"
               "3 < 32 00 00\n"
               "4 > 21 00 00 00 00 00 00 00\n");
}

static void refuses_silently_later_in_the_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * auto 1\n"
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 01 00\n"
               "1 * hold\n"
               "2 > 21 00 00 00 00 00 00 00\n"
               "3 * refuse\n"
               "4 * refuse                     ; nothing to refuse any more\n"
               "5 > 22 00 00 00 00 00 00 00\n");
}

static void forgets_an_overflow_that_cannot_leave(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    * hold\n"
               "0    > 10 14 00 00 00 00 00 00\n"
               "0    ! BEGIN 20\n"
               "1    * refuse\n"
               "1500 * driver on\n");
}

// --- Receive: unexpected frames (3.6) ---

static void a_single_frame_replaces_a_message_in_progress(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 02 3E 00\n"
               "1 ! RX_FAILED UNEXP_PDU\n"
               "1 ! BEGIN 2\n"
               "1 ! END\n"
               "2 > 21 00 00 00 00 00 00 00\n");
}

static void a_first_frame_replaces_a_message_in_progress(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 14 00 00 00 00 00 00\n"
               "0 ! BEGIN 20\n"
               "0 < 30 00 00\n"
               "1 > 10 08 01 02 03 04 05 06\n"
               "1 ! RX_FAILED UNEXP_PDU\n"
               "1 ! BEGIN 8\n"
               "1 < 30 00 00\n"
               "2 > 21 07 08\n"
               "2 ! END\n");
    assert_memory_equal(transcript_data, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
}

static void a_first_frame_replaces_one_that_is_held_back(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * hold\n"
               "0   > 10 14 00 00 00 00 00 00\n"
               "0   ! BEGIN 20\n"
               "690 > 10 15 01 02 03 04 05 06\n"
               "690 ! RX_FAILED UNEXP_PDU\n"
               "690 ! BEGIN 21\n"
               "1390 < 31 00 00\n"
               "1400 * refuse\n"
               "1400 < 32 00 00\n");
}

static void malformed_frames_do_not_disturb_a_message(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 10 0A 00 00 00 00 00 00\n"
               "0 ! BEGIN 10\n"
               "0 < 30 00 00\n"
               "1 > 00\n"
               "2 > 10 02 00 00 00 00 00 00\n"
               "3 > 30 00 00                    ; nobody asked\n"
               "4 > 55 00\n"
               "5 > 21 00 00 00 00\n"
               "5 ! END\n");
}

// --- Transmit ---

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

static void pads_when_asked(void **state)
{
    static const isotp_cfg_t cfg = CFG(.pad = true, .pad_byte = 0x55);
    (void)state;
    transcript(&cfg,
               "0 * start 1\n"
               "0 < 01 00 55 55 55 55 55 55\n"
               "0 ! SENT\n"
               "1 * start 9\n"
               "1 < 10 09 00 01 02 03 04 05\n"
               "2 > 30 00 00\n"
               "2 < 21 06 07 08 55 55 55 55\n"
               "2 ! SENT\n"
               "3 > 10 08 00 00 00 00 00 00\n"
               "3 ! BEGIN 8\n"
               "3 < 30 00 00 55 55 55 55 55\n"
               "4 > 21 00 00\n"
               "4 ! END\n");
}

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

static void waits_for_the_flow_control_at_most_n_bs(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n"
               "1001 > 30 00 00                 ; too late\n");
}

static void n_bs_starts_when_the_first_frame_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 600\n"
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1600 ! TX_FAILED TIMEOUT_BS\n");
}

static void takes_a_flow_control_that_overtakes_the_confirmation(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * confirm 2\n"
               "0   * start 10\n"
               "0   < 10 0A 00 01 02 03 04 05\n"
               "1   > 30 00 0A\n"
               "1   < 21 06 07 08 09\n"
               "3   ! SENT\n");
}

static void a_late_confirmation_does_not_delay_the_first_frame(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * confirm 5\n"
               "0 * start 10\n"
               "0 < 10 0A 00 01 02 03 04 05\n"
               "1 * driver off\n"
               "2 > 30 00 7F\n"
               "6 * driver on\n"
               "6 < 21 06 07 08 09\n"
               "11 ! SENT\n");
}

static void no_limit_means_that_no_flow_control_is_awaited(void **state)
{
    (void)state;
    char *log = malloc(65536);
    int len = sprintf(log, "0 * start 4095\n0 < 1F FF 00 01 02 03 04 05\n0 > 30 00 00\n");
    for (unsigned i = 1, at = 6; i <= 585; i++) {
        len += sprintf(log + len, "0 < 2%X", i & 15);
        for (unsigned k = 0; k < 7 && at < 4095; k++)
            len += sprintf(log + len, " %02X", at++ & 0xFF);
        len += sprintf(log + len, "\n");
    }
    sprintf(log + len, "0 ! SENT\n");
    transcript(&plain, log);
    free(log);
}

static void asks_for_permission_after_each_block(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 34\n"
               "0 < 10 22 00 01 02 03 04 05\n"
               "1 > 30 02 00\n"
               "1 < 21 06 07 08 09 0A 0B 0C\n"
               "1 < 22 0D 0E 0F 10 11 12 13\n"
               "9 > 30 01 00                     ; block size and gap may change each time\n"
               "9 < 23 14 15 16 17 18 19 1A\n"
               "20 > 30 00 7F\n"
               "20 < 24 1B 1C 1D 1E 1F 20 21\n"
               "20 ! SENT\n");
}

static void keeps_the_gap_the_receiver_asked_for(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * start 27\n"
               "0  < 10 1B 00 01 02 03 04 05\n"
               "2  > 30 00 0A\n"
               "2  < 21 06 07 08 09 0A 0B 0C   ; the first needs no gap\n"
               "12 < 22 0D 0E 0F 10 11 12 13\n"
               "22 < 23 14 15 16 17 18 19 1A\n"
               "22 ! SENT\n");
}

static void the_gap_starts_when_the_frame_has_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 0.25\n"
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "2    > 30 00 F3                 ; 300 us\n"
               "2    < 21 06 07 08 09 0A 0B 0C\n"
               "2.55 < 22 0D 0E 0F 10 11 12 13\n"
               "2.8  ! SENT\n");
}

static void understands_every_stmin(void **state)
{
    // Reserved codes mean 127 ms (9.6.5.5), not 0: peers send at full speed.
    static const struct {
        const char *code, *gap_ms;
    } rows[] = { { "00", "0" },   { "01", "1" },   { "7F", "127" },
                 { "80", "127" }, { "F0", "127" }, { "F1", "0.1" },
                 { "F9", "0.9" }, { "FA", "127" }, { "FF", "127" } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char log[512];
        sprintf(log,
                "0 * start 20\n0 < 10 14 00 01 02 03 04 05\n0 > 30 00 %s\n"
                "0 < 21 06 07 08 09 0A 0B 0C\n%s < 22 0D 0E 0F 10 11 12 13\n%s ! SENT\n",
                rows[i].code, rows[i].gap_ms, rows[i].gap_ms);
        transcript(&plain, log);
    }
}

static void keeps_its_own_gap_when_that_is_larger(void **state)
{
    static const isotp_cfg_t cfg = CFG(.min_gap = 3 * USEC_MS);
    (void)state;
    transcript(&cfg,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "0 > 30 00 00\n"
               "0 < 21 06 07 08 09 0A 0B 0C\n"
               "3 < 22 0D 0E 0F 10 11 12 13\n"
               "3 ! SENT\n");
}

static void each_wait_starts_n_bs_anew(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 10\n"
               "0    < 10 0A 00 01 02 03 04 05\n"
               "900  > 31 00 00\n"
               "1800 > 31 08 7F                 ; BS and STmin of a WAIT mean nothing\n"
               "2700 > 30 00 00\n"
               "2700 < 21 06 07 08 09\n"
               "2700 ! SENT\n");
    transcript(&plain,
               "0    * start 10\n"
               "0    < 10 0A 00 01 02 03 04 05\n"
               "900  > 31 00 00\n"
               "1900 ! TX_FAILED TIMEOUT_BS\n");
}

static void stops_at_an_overflow(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "1 > 32 00 00\n"
               "1 ! TX_FAILED BUFFER_OVFLW\n");
}

static void stops_at_a_reserved_flow_status(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "1 > 33 00 00\n"
               "1 ! TX_FAILED INVALID_FS\n"
               "2 * start 20\n"
               "2 < 10 14 00 01 02 03 04 05\n"
               "3 > 3F 00 00\n"
               "3 ! TX_FAILED INVALID_FS\n");
}

static void ignores_a_flow_control_that_is_too_short(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1    > 30 00\n"
               "2    > 32\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n");
}

static void ignores_a_flow_control_that_is_not_awaited(void **state)
{
    (void)state;
    transcript(&plain,
               "0  > 30 00 00\n"
               "1  * start 20\n"
               "1  < 10 14 00 01 02 03 04 05\n"
               "2  > 30 00 0A\n"
               "2  < 21 06 07 08 09 0A 0B 0C\n"
               "5  > 30 01 00                    ; in the middle of a block: does not restart it\n"
               "6  > 32 00 00\n"
               "12 < 22 0D 0E 0F 10 11 12 13\n"
               "12 ! SENT\n");
}

static void a_flow_control_does_not_answer_a_frame_that_never_left(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * driver off\n"
               "0    * start 20\n"
               "1    > 30 00 00\n"
               "1000 ! TX_FAILED TIMEOUT_A\n");
}

static void a_refused_frame_is_not_lost(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * start 20\n"
               "0   < 10 14 00 01 02 03 04 05\n"
               "1   * driver off\n"
               "2   > 30 00 05\n"
               "500 * driver on\n"
               "500 < 21 06 07 08 09 0A 0B 0C\n"
               "501 * driver off\n"
               "600 * driver on\n"
               "600 < 22 0D 0E 0F 10 11 12 13\n"
               "600 ! SENT\n");
}

static void gives_up_when_a_frame_cannot_leave_within_n_as(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1    * driver off\n"
               "2    > 30 00 00\n"
               "1002 ! TX_FAILED TIMEOUT_A\n");
    transcript(&plain,
               "0    * confirm 3000\n"
               "0    * start 3\n"
               "0    < 03 00 01 02\n"
               "1000 ! TX_FAILED TIMEOUT_A\n");
}

static void sent_means_confirmed(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * confirm 20\n"
               "0  * start 3\n"
               "0  < 03 00 01 02\n"
               "5  * start 2\n"
               "5  ! busy\n"
               "20 ! SENT\n"
               "21 * start 2\n"
               "21 < 02 00 01\n"
               "41 ! SENT\n");
}

static void keeps_the_driver_busy_when_no_gap_is_asked_for(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * confirm 1\n"
               "0   * start 69                   ; 6 + 9 x 7\n"
               "0   < 10 45 00 01 02 03 04 05\n"
               "2   > 30 00 00\n"
               "2   < 21 06 07 08 09 0A 0B 0C\n"
               "2   < 22 0D 0E 0F 10 11 12 13\n"
               "2   < 23 14 15 16 17 18 19 1A\n"
               "2   < 24 1B 1C 1D 1E 1F 20 21\n"
               "2   < 25 22 23 24 25 26 27 28\n"
               "2   < 26 29 2A 2B 2C 2D 2E 2F\n"
               "2   < 27 30 31 32 33 34 35 36\n"
               "2   < 28 37 38 39 3A 3B 3C 3D   ; eight are under way\n"
               "3   < 29 3E 3F 40 41 42 43 44\n"
               "4   ! SENT\n");
}

static void refuses_a_second_message_while_the_first_is_under_way(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "1    * start 3\n"
               "1    ! busy\n"
               "1000 ! TX_FAILED TIMEOUT_BS\n");
}

static void a_confirmation_that_belongs_to_no_frame_is_ignored(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * stray\n"
               "1 * start 2\n"
               "1 < 02 00 01\n"
               "1 ! SENT\n"
               "2 * stray\n");
}

static void a_driver_reset_does_not_leave_the_message_hanging(void **state)
{
    (void)state;
    transcript(&plain,
               "0    * confirm 10\n"
               "0    * start 20\n"
               "0    < 10 14 00 01 02 03 04 05\n"
               "5    * lost\n"
               "5    ! TX_FAILED TIMEOUT_A\n"
               "1001 * start 2\n"
               "1001 < 02 00 01\n"
               "1011 ! SENT\n");
}

static void a_driver_reset_in_the_middle_of_a_message_ends_it(void **state)
{
    (void)state;
    transcript(&plain,
               "0   * confirm 10\n"
               "0   * start 90\n"
               "0   < 10 5A 00 01 02 03 04 05\n"
               "11  > 30 00 00\n"
               "11  < 21 06 07 08 09 0A 0B 0C\n"
               "11  < 22 0D 0E 0F 10 11 12 13\n"
               "11  < 23 14 15 16 17 18 19 1A\n"
               "11  < 24 1B 1C 1D 1E 1F 20 21\n"
               "11  < 25 22 23 24 25 26 27 28\n"
               "11  < 26 29 2A 2B 2C 2D 2E 2F\n"
               "11  < 27 30 31 32 33 34 35 36\n"
               "11  < 28 37 38 39 3A 3B 3C 3D\n"
               "15  * lost                      ; the rest would be for nothing, and SENT a lie\n"
               "15  ! TX_FAILED TIMEOUT_A\n");
}

// --- Both directions ---

static void sends_and_receives_at_the_same_time(void **state)
{
    (void)state;
    transcript(&plain,
               "0 * start 20\n"
               "0 < 10 14 00 01 02 03 04 05\n"
               "1 > 10 0D A0 A1 A2 A3 A4 A5\n"
               "1 ! BEGIN 13\n"
               "1 < 30 00 00\n"
               "2 > 30 01 00\n"
               "2 < 21 06 07 08 09 0A 0B 0C\n"
               "3 > 21 A6 A7 A8 A9 AA AB AC\n"
               "3 ! END\n"
               "4 > 02 3E 80\n"
               "4 ! BEGIN 2\n"
               "4 ! END\n"
               "5 > 30 00 00\n"
               "5 < 22 0D 0E 0F 10 11 12 13\n"
               "5 ! SENT\n");
}

static void our_flow_control_goes_before_our_data(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * driver off\n"
               "0  > 10 08 00 00 00 00 00 00\n"
               "0  ! BEGIN 8\n"
               "1  * start 3\n"
               "10 * driver on\n"
               "10 < 30 00 00\n"
               "10 < 03 00 01 02\n"
               "10 ! SENT\n"
               "11 > 21 00 00\n"
               "11 ! END\n");
}

static void a_frame_that_was_shown_to_the_driver_stays_the_next_one(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * driver off\n"
               "0  * start 3\n"
               "1  > 10 08 00 00 00 00 00 00\n"
               "1  ! BEGIN 8\n"
               "10 * driver on\n"
               "10 < 03 00 01 02\n"
               "10 ! SENT\n"
               "10 < 30 00 00\n"
               "11 > 21 00 00\n"
               "11 ! END\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_a_single_frame),
        cmocka_unit_test(ignores_the_padding_of_a_single_frame),
        cmocka_unit_test(ignores_malformed_single_frames),
        cmocka_unit_test(ignores_reserved_frame_types),
        cmocka_unit_test(listens_to_its_own_identifier_only),
        cmocka_unit_test(speaks_29_bit_identifiers),
        cmocka_unit_test(receives_a_segmented_message),
        cmocka_unit_test(ignores_malformed_first_frames),
        cmocka_unit_test(takes_messages_longer_than_4095_bytes),
        cmocka_unit_test(counts_a_length_of_32_bits_without_overflow),
        cmocka_unit_test(wraps_the_sequence_number_from_15_to_0),
        cmocka_unit_test(gives_a_message_up_when_a_frame_is_lost_or_repeated),
        cmocka_unit_test(ignores_consecutive_frames_out_of_the_blue),
        cmocka_unit_test(a_consecutive_frame_that_is_too_short_does_not_count),
        cmocka_unit_test(takes_a_padded_last_frame),
        cmocka_unit_test(gives_up_when_the_next_frame_is_late),
        cmocka_unit_test(n_cr_starts_when_the_flow_control_has_left),
        cmocka_unit_test(takes_a_frame_that_overtakes_the_confirmation),
        cmocka_unit_test(reports_n_timeout_a_when_the_flow_control_cannot_leave),
        cmocka_unit_test(a_refused_flow_control_is_sent_when_the_driver_has_room),
        cmocka_unit_test(asks_again_after_each_block_but_not_after_the_message),
        cmocka_unit_test(no_limit_means_no_flow_control_in_between),
        cmocka_unit_test(says_wait_until_the_sink_is_ready),
        cmocka_unit_test(gives_the_message_up_after_n_wftmax_waits),
        cmocka_unit_test(counts_waits_anew_in_each_block),
        cmocka_unit_test(never_waits_when_n_wftmax_is_0),
        cmocka_unit_test(the_wait_interval_starts_when_the_wait_has_left),
        cmocka_unit_test(refuses_with_overflow_right_after_the_first_frame),
        cmocka_unit_test(refuses_silently_later_in_the_message),
        cmocka_unit_test(forgets_an_overflow_that_cannot_leave),
        cmocka_unit_test(a_single_frame_replaces_a_message_in_progress),
        cmocka_unit_test(a_first_frame_replaces_a_message_in_progress),
        cmocka_unit_test(a_first_frame_replaces_one_that_is_held_back),
        cmocka_unit_test(malformed_frames_do_not_disturb_a_message),
        cmocka_unit_test(sends_a_single_frame),
        cmocka_unit_test(pads_when_asked),
        cmocka_unit_test(sends_a_segmented_message),
        cmocka_unit_test(sends_the_longest_short_and_the_shortest_long_length),
        cmocka_unit_test(waits_for_the_flow_control_at_most_n_bs),
        cmocka_unit_test(n_bs_starts_when_the_first_frame_has_left),
        cmocka_unit_test(takes_a_flow_control_that_overtakes_the_confirmation),
        cmocka_unit_test(a_late_confirmation_does_not_delay_the_first_frame),
        cmocka_unit_test(no_limit_means_that_no_flow_control_is_awaited),
        cmocka_unit_test(asks_for_permission_after_each_block),
        cmocka_unit_test(keeps_the_gap_the_receiver_asked_for),
        cmocka_unit_test(the_gap_starts_when_the_frame_has_left),
        cmocka_unit_test(understands_every_stmin),
        cmocka_unit_test(keeps_its_own_gap_when_that_is_larger),
        cmocka_unit_test(each_wait_starts_n_bs_anew),
        cmocka_unit_test(stops_at_an_overflow),
        cmocka_unit_test(stops_at_a_reserved_flow_status),
        cmocka_unit_test(ignores_a_flow_control_that_is_too_short),
        cmocka_unit_test(ignores_a_flow_control_that_is_not_awaited),
        cmocka_unit_test(a_flow_control_does_not_answer_a_frame_that_never_left),
        cmocka_unit_test(a_refused_frame_is_not_lost),
        cmocka_unit_test(gives_up_when_a_frame_cannot_leave_within_n_as),
        cmocka_unit_test(sent_means_confirmed),
        cmocka_unit_test(keeps_the_driver_busy_when_no_gap_is_asked_for),
        cmocka_unit_test(refuses_a_second_message_while_the_first_is_under_way),
        cmocka_unit_test(a_confirmation_that_belongs_to_no_frame_is_ignored),
        cmocka_unit_test(a_driver_reset_does_not_leave_the_message_hanging),
        cmocka_unit_test(a_driver_reset_in_the_middle_of_a_message_ends_it),
        cmocka_unit_test(sends_and_receives_at_the_same_time),
        cmocka_unit_test(our_flow_control_goes_before_our_data),
        cmocka_unit_test(a_frame_that_was_shown_to_the_driver_stays_the_next_one),
    };
    return cmocka_run_group_tests_name("isotp", tests, NULL, NULL);
}
