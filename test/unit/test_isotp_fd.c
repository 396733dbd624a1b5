// test_isotp_fd.c - ISO-TP over CAN FD: formats, lengths and bit rates of frames of up to 64 bytes, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t fd64 = CFG(.fd = true, .tx_dl = 64, .pad_byte = 0xCC);
static const isotp_cfg_t fast = CFG(.fd = true, .brs = true, .tx_dl = 64, .pad_byte = 0xAA);
static const isotp_cfg_t mixed64 =
    CFG(.fd = true, .tx_dl = 64, .prefixed = true, .tx_address = 0xF1, .rx_address = 0x10);

static const uint8_t longer[] = { 12, 16, 20, 24, 32, 48, 64 };
enum { LONGER = sizeof longer };

// --- Single frames (9.6.2) ---

static void a_short_single_frame_in_a_can_fd_frame_has_no_escape(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 > ##0 03 22 F1 90\n"
               "0 ! BEGIN 3\n"
               "0 ! END\n"
               "1 > ##1 07 01..07               ; the bit rate is the driver's business\n"
               "1 ! BEGIN 7\n"
               "1 ! END\n"
               "2 > ##0 00 05 01..06            ; an escape needs more than 8 bytes\n"
               "3 > ##0 00 08 01..06\n"
               "4 * start 7\n"
               "4 < ##0 07 00..06\n"
               "4 ! SENT\n"
               "5 * start 1\n"
               "5 < ##0 01 00\n"
               "5 ! SENT\n");
}

static void a_single_frame_with_an_escape_carries_8_bytes_up_to_all_but_2(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONGER; i++) {
        const unsigned dl = longer[i];
        transcript_add("0 > ##0 00 07 01..07 CC*%u\n", dl - 9); // would fit 8 bytes
        transcript_add("1 > ##0 00 00 CC*%u\n", dl - 2);
        transcript_add("2 > ##0 00 08 01..%02X\n2 ! BEGIN 8\n2 ! END\n", dl - 2);
        transcript_add("3 > ##0 00 %02X 01..%02X\n", dl - 1, dl - 2); // longer than the frame
        transcript_add("4 > ##0 00 FF 01..%02X\n", dl - 2);
        transcript_add("5 > ##0 00 %02X 01..%02X\n5 ! BEGIN %u\n5 ! END\n", dl - 2, dl - 2, dl - 2);
        transcript_added(&fd64);
        assert_int_equal(transcript_len, dl - 2);
        assert_int_equal(transcript_data[0], 1);
        assert_int_equal(transcript_data[dl - 3], dl - 2);
    }
}

static void more_than_8_bytes_without_the_escape_are_no_single_frame(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONGER; i++)
        for (unsigned nibble = 1; nibble < 16; nibble++)
            transcript_add("0 > ##0 %02X 08 01..%02X\n", nibble, longer[i] - 2u);
    transcript_added(&fd64);
}

static void behind_an_address_a_single_frame_has_one_byte_less(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONGER; i++) {
        const unsigned dl = longer[i];
        transcript_add("0 > ##0 10 00 06 01..06 CC*%u\n", dl - 9); // would fit 8 bytes
        transcript_add("1 > ##0 10 00 07 01..%02X\n1 ! BEGIN 7\n1 ! END\n", dl - 3);
        transcript_add("2 > ##0 10 00 %02X 01..%02X\n", dl - 2, dl - 3); // longer than the frame
        transcript_add("3 > ##0 10 00 %02X 01..%02X\n3 ! BEGIN %u\n3 ! END\n", dl - 3, dl - 3,
                       dl - 3);
        transcript_added(&mixed64);
    }
    transcript(&mixed64,
               "0 * start 6\n"
               "0 < ##0 F1 06 00..05\n"
               "0 ! SENT\n"
               "1 * start 7\n"
               "1 < ##0 F1 00 07 00..06 00*2\n"
               "1 ! SENT\n"
               "2 * start 61\n"
               "2 < ##0 F1 00 3D 00..3C\n"
               "2 ! SENT\n"
               "3 * start 62\n"
               "3 < ##0 F1 10 3E 00..3C\n"
               "4 > ##0 10 30 00 00\n"
               "4 < ##0 F1 21 3D\n"
               "4 ! SENT\n");
}

static void a_single_frame_sent_is_padded_to_the_next_length_that_exists(void **state)
{
    (void)state;
    for (unsigned len = 8; len <= 62; len++) { // (10.4.2)
        unsigned i = 0;
        while (longer[i] < len + 2)
            i++;
        transcript_add("0 * start %u\n0 < ##0 00 %02X 00..%02X CC*%u\n0 ! SENT\n", len, len,
                       len - 1, longer[i] - len - 2);
    }
    transcript_added(&fd64);
}

static void the_longest_single_frame_follows_from_tx_dl(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONGER; i++) {
        const isotp_cfg_t cfg = CFG(.fd = true, .tx_dl = longer[i]);
        const unsigned dl = longer[i];
        transcript_add("0 * start %u\n0 < ##0 00 %02X 00..%02X\n0 ! SENT\n", dl - 2, dl - 2,
                       dl - 3);
        transcript_add("1 * start %u\n1 < ##0 10 %02X 00..%02X\n", dl - 1, dl - 1, dl - 3);
        transcript_add("2 > ##0 30 00 00\n2 < ##0 21 %02X\n2 ! SENT\n", dl - 2);
        transcript_added(&cfg);
    }
}

// --- First and consecutive frames (9.6.3, 9.6.4) ---

static void rx_dl_is_the_length_of_the_first_frame(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONGER; i++) {
        const unsigned dl = longer[i], first = dl - 2, len = first + dl - 1 + 5;
        transcript_add("0 > ##0 10 %02X 00..%02X\n0 ! BEGIN %u\n0 < ##0 30 00 00\n", len, first - 1,
                       len);
        transcript_add("1 > ##0 21 00*7\n"); // shorter than RX_DL: not the one awaited
        transcript_add("2 > ##0 21 00*%u\n", dl - 2);
        if (dl < 64) transcript_add("3 > ##0 21 00*63\n"); // longer
        transcript_add("4 > ##0 21 %02X..%02X\n", first, first + dl - 2);
        transcript_add("5 > ##0 22 00*4\n"); // too short, at the end
        if (dl < 64) transcript_add("6 > ##0 22 00*63\n");
        transcript_add("7 > ##0 22 %02X..%02X\n7 ! END\n", first + dl - 1, len - 1);
        transcript_added(&fd64);
        assert_int_equal(transcript_len, len);
        for (unsigned k = 0; k < len; k++)
            assert_int_equal(transcript_data[k], k);
    }
}

static void a_padded_last_frame_may_be_as_long_as_rx_dl(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 > ##0 10 13 00..11            ; RX_DL 20: 18 + 1\n"
               "0 ! BEGIN 19\n"
               "0 < ##0 30 00 00\n"
               "1 > ##0 21 12 CC*18\n"
               "1 ! END\n"
               "2 > ##0 10 13 00..11\n"
               "2 ! BEGIN 19\n"
               "2 < ##0 30 00 00\n"
               "3 > ##0 21 12 CC*6              ; or anything shorter\n"
               "3 ! END\n"
               "4 > ##0 10 13 00..11\n"
               "4 ! BEGIN 19\n"
               "4 < ##0 30 00 00\n"
               "5 > ##0 21 12 CC*22             ; but not longer\n"
               "6 > ##0 21 12\n"
               "6 ! END\n");
}

static void a_first_frame_is_for_more_than_a_single_frame_of_its_length(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LONGER; i++) {
        const unsigned dl = longer[i]; // FF_DLmin is TX_DL - 1, behind an address one less
        transcript_add("0 > ##0 10 %02X 00*%u\n", dl - 2, dl - 2);
        transcript_add("1 > ##0 10 %02X 00*%u\n1 ! BEGIN %u\n", dl - 1, dl - 2, dl - 1);
        transcript_add("1 < ##0 30 00 00\n2 > ##0 21 00\n2 ! END\n");
        transcript_added(&fd64);
        transcript_add("0 > ##0 10 10 %02X 00*%u\n", dl - 3, dl - 3);
        transcript_add("1 > ##0 10 10 %02X 00*%u\n1 ! BEGIN %u\n", dl - 2, dl - 3, dl - 2);
        transcript_add("1 < ##0 F1 30 00 00\n2 > ##0 10 21 00\n2 ! END\n");
        transcript_added(&mixed64);
    }
}

static void a_can_fd_frame_of_8_bytes_is_a_first_frame_like_a_classic_one(void **state)
{
    static const isotp_cfg_t cfg = CFG(.fd = true, .tx_dl = 8);
    (void)state;
    transcript(&cfg,
               "0 > ##0 10 07 01..06\n"
               "1 > ##0 10 08 01..06\n"
               "1 ! BEGIN 8\n"
               "1 < ##0 30 00 00\n"
               "2 > ##0 21 07 08\n"
               "2 ! END\n"
               "3 * start 20\n"
               "3 < ##0 10 14 00..05\n"
               "4 > ##0 30 00 00\n"
               "4 < ##0 21 06..0C\n"
               "4 < ##0 22 0D..13\n"
               "4 ! SENT\n");
}

static void a_first_frame_of_fewer_than_8_bytes_is_ignored_in_can_fd_too(void **state)
{
    (void)state;
    transcript(&fd64, "0 > ##0 10 14 01..05\n");
    transcript(&mixed64, "0 > ##0 10 10 14 01..04\n");
}

static void a_first_frame_with_an_escape_has_6_bytes_less(void **state)
{
    (void)state;
    transcript(&fd64,
               "0    > ##0 10 00 00 00 0F FF 00..39\n"
               "1    > ##0 10 00 00 00 10 00 00..39\n"
               "1    ! BEGIN 4096\n"
               "1    < ##0 30 00 00\n"
               "2    > ##0 21 3A..78\n"
               "1002 ! RX_FAILED TIMEOUT_CR\n");
    assert_int_equal(transcript_len, 58 + 63);
    assert_int_equal(transcript_data[58], 58);
    transcript(&fd64,
               "0 * start 4095\n"
               "0 < ##0 1F FF 00..3D\n"
               "1 > ##0 32 00 00\n"
               "1 ! TX_FAILED BUFFER_OVFLW\n"
               "2 * start 4096\n"
               "2 < ##0 10 00 00 00 10 00 00..39\n"
               "3 > ##0 30 01 00\n"
               "3 < ##0 21 3A..78\n"
               "4 > ##0 32 00 00\n"
               "4 ! TX_FAILED BUFFER_OVFLW\n");
    transcript(&mixed64,
               "0 * start 4096\n"
               "0 < ##0 F1 10 00 00 00 10 00 00..38\n"
               "1 > ##0 10 30 01 00\n"
               "1 < ##0 F1 21 39..76\n"
               "2 * cancel\n");
}

static void begins_a_can_fd_message_of_2_32_minus_1_bytes(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 * startfrom 4294967295\n"
               "0 < ##0 10 00 FF FF FF FF 00..39\n"
               "1 > ##0 30 01 00\n"
               "1 < ##0 21 3A..78\n"
               "2 * cancel\n"
               "3 > ##0 10 00 FF FF FF FF 00..39\n"
               "3 ! BEGIN 4294967295\n"
               "3 < ##0 30 00 00\n"
               "1003 ! RX_FAILED TIMEOUT_CR\n");
}

static void the_last_frame_sent_is_padded_to_the_next_length_that_exists(void **state)
{
    (void)state;
    for (unsigned rest = 1; rest <= 63; rest++) {
        unsigned dl = rest + 1;
        for (unsigned i = LONGER; i-- > 0;)
            if (dl > 8 && longer[i] > rest) dl = longer[i];
        transcript_add("0 * start %u\n0 < ##0 10 %02X 00..3D\n0 > ##0 30 00 00\n", 62 + rest,
                       62 + rest);
        transcript_add("0 < ##0 21 3E..%02X CC*%u\n0 ! SENT\n", 61 + rest, dl - rest - 1);
    }
    transcript_added(&fd64);
}

static void frames_of_up_to_8_bytes_are_padded_only_when_asked(void **state)
{
    static const isotp_cfg_t cfg = CFG(.fd = true, .tx_dl = 64, .pad = true, .pad_byte = 0x55);
    (void)state;
    transcript(&cfg,
               "0 * start 3\n"
               "0 < ##0 03 00..02 55*4\n"
               "0 ! SENT\n"
               "1 * start 65\n"
               "1 < ##0 10 41 00..3D\n"
               "2 > ##0 30 00 00\n"
               "2 < ##0 21 3E..40 55*4\n"
               "2 ! SENT\n"
               "3 > ##0 10 13 00..11\n"
               "3 ! BEGIN 19\n"
               "3 < ##0 30 00 00 55*5\n"
               "4 > ##0 21 12\n"
               "4 ! END\n");
}

// --- Flow control, bit rates ---

static void sends_and_receives_with_different_lengths_at_once(void **state)
{
    static const isotp_cfg_t cfg = CFG(.fd = true, .tx_dl = 16);
    (void)state;
    transcript(&cfg,
               "0 * start 40                    ; 14 + 15 + 11\n"
               "0 < ##0 10 28 00..0D\n"
               "1 > ##0 10 64 00..3D            ; 62 + 38\n"
               "1 ! BEGIN 100\n"
               "1 < ##0 30 00 00\n"
               "2 > ##0 30 01 00\n"
               "2 < ##0 21 0E..1C\n"
               "3 > ##0 21 3E..63 CC*9\n"
               "3 ! END\n"
               "4 > ##0 30 00 00 CC*9           ; a longer flow control\n"
               "4 < ##0 22 1D..27\n"
               "4 ! SENT\n");
}

static void the_second_bit_rate_is_for_all_can_fd_frames(void **state)
{
    (void)state;
    transcript(&fast,
               "0 * start 3\n"
               "0 < ##1 03 00..02\n"
               "0 ! SENT\n"
               "1 * start 10\n"
               "1 < ##1 00 0A 00..09\n"
               "1 ! SENT\n"
               "2 * start 65\n"
               "2 < ##1 10 41 00..3D\n"
               "3 > ##1 30 00 00\n"
               "3 < ##1 21 3E..40\n"
               "3 ! SENT\n"
               "4 > ##1 10 13 00..11\n"
               "4 ! BEGIN 19\n"
               "4 < ##1 30 00 00\n"
               "5 > ##1 21 12\n"
               "5 ! END\n");
}

static void a_classic_message_is_answered_by_a_classic_flow_control(void **state)
{
    (void)state;
    transcript(&fast,
               "0 * auto 1\n"
               "0 > 10 0F 01..06\n"
               "0 ! BEGIN 15\n"
               "0 < 30 01 00\n"
               "1 > 21 07..0D\n"
               "1 < 30 01 00\n"
               "2 > 22 0E 0F\n"
               "2 ! END\n"
               "3 > ##0 10 13 00..11            ; and the next one as it comes\n"
               "3 ! BEGIN 19\n"
               "3 < ##1 30 01 00\n"
               "4 > ##0 21 12\n"
               "4 ! END\n"
               "5 > 02 3E 80\n"
               "5 ! BEGIN 2\n"
               "5 ! END\n");
}

static void a_classic_flow_control_does_not_make_our_message_classic(void **state)
{
    (void)state;
    transcript(&fast,
               "0 * start 128                   ; 62 + 63 + 3\n"
               "0 < ##1 10 80 00..3D\n"
               "1 > 10 0F 01..06\n"
               "1 ! BEGIN 15\n"
               "1 < 30 00 00\n"
               "2 > ##1 30 01 00\n"
               "2 < ##1 21 3E..7C\n"
               "3 > 30 00 00                    ; theirs may be classic too\n"
               "3 < ##1 22 7D..7F\n"
               "3 ! SENT\n"
               "4 > 21 07..0D\n"
               "5 > 22 0E 0F\n"
               "5 ! END\n");
}

static void an_ignored_first_frame_does_not_decide_the_format_of_our_flow_control(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 * auto 1\n"
               "0 > ##0 10 90 00..3D\n"
               "0 ! BEGIN 144\n"
               "0 < ##0 30 01 00\n"
               "1 > 10 05 01..06                ; too short a message for a First Frame\n"
               "2 > ##0 21 3E..7C\n"
               "2 < ##0 30 01 00\n"
               "3 > ##0 22 7D..8F\n"
               "3 ! END\n");
}

static void consecutive_frames_in_the_other_format_count_like_all(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 * auto 2\n"
               "0 > ##0 10 29 00..05            ; 6 + 5 x 7\n"
               "0 ! BEGIN 41\n"
               "0 < ##0 30 02 00\n"
               "1 > 21 06..0C                   ; classic ones of the same length\n"
               "2 > ##0 22 0D..13\n"
               "2 < ##0 30 02 00\n"
               "3 > ##0 23 14..1A\n"
               "4 > 24 1B..21\n"
               "4 < ##0 30 02 00\n"
               "5 > 25 22..28\n"
               "5 ! END\n");
}

static void an_ignored_frame_of_the_other_format_does_not_disturb_a_block(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 * auto 3\n"
               "0 > ##0 11 40 00..3D            ; 62 + 4 x 63 + 6\n"
               "0 ! BEGIN 320\n"
               "0 < ##0 30 03 00\n"
               "1 > ##0 21 3E..7C\n"
               "2 > 00                          ; no message has no bytes\n"
               "3 > ##0 22 7D..BB\n"
               "4 > 10 05 01..06\n"
               "5 > ##0 23 BC..FA\n"
               "5 < ##0 30 03 00\n"
               "6 > ##0 24 FB..39\n"
               "7 > ##0 25 3A..3F\n"
               "7 ! END\n");
}

static void a_wait_and_an_overflow_have_the_format_of_the_first_frame(void **state)
{
    static const isotp_cfg_t cfg = CFG(.fd = true, .brs = true, .wft_max = 2);
    (void)state;
    transcript(&cfg,
               "0    * hold\n"
               "0    > ##0 10 90 00..3D\n"
               "0    ! BEGIN 144\n"
               "700  < ##1 31 00 00\n"
               "800  * refuse\n"
               "800  < ##1 32 00 00\n"
               "1000 > 10 0F 01..06\n"
               "1000 ! BEGIN 15\n"
               "1700 < 31 00 00\n"
               "1800 * refuse\n"
               "1800 < 32 00 00\n");
}

static void without_the_second_bit_rate_none_is_used(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 > ##1 10 13 00..11\n"
               "0 ! BEGIN 19\n"
               "0 < ##0 30 00 00\n"
               "1 > ##1 21 12\n"
               "1 ! END\n");
}

static void can_fd_frames_are_not_for_a_classic_channel(void **state)
{
    static const isotp_cfg_t cfg = CFG(.wft_max = 3);
    (void)state;
    transcript(&cfg,
               "0 > ##0 01 11\n"
               "1 > ##1 10 13 00..11\n"
               "2 > 10 09 01..06\n"
               "2 ! BEGIN 9\n"
               "2 < 30 00 00\n"
               "3 > ##0 21 07..09\n"
               "4 > 21 07..09\n"
               "4 ! END\n"
               "5 * start 10\n"
               "5 < 10 0A 00..05\n"
               "6 > ##0 30 00 00\n"
               "7 > 30 00 00\n"
               "7 < 21 06..09\n"
               "7 ! SENT\n");
}

static void a_can_fd_frame_from_a_source_in_blocks_with_a_gap(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 * confirm 1\n"
               "0 * startfrom 200               ; 62 + 63 + 63 + 12\n"
               "0 < ##0 10 C8 00..3D\n"
               "2 > ##0 30 02 05\n"
               "2 < ##0 21 3E..7C\n"
               "8 < ##0 22 7D..BB\n"
               "20 > ##0 30 00 00\n"
               "20 < ##0 23 BC..C7 CC*3\n"
               "21 ! SENT\n");
}

static void strictness_wants_the_padding_that_can_fd_needs(void **state)
{
    (void)state;
    transcript(&fd64,
               "0 * strict\n"
               "1 > ##0 00 08 01..08 CC*2\n"
               "1 ! BEGIN 8\n"
               "1 ! END\n"
               "2 > ##0 00 08 01..08 CC 00      ; not what we pad with\n"
               "3 > ##0 00 08 01..08 CC*6       ; longer than it needs to be\n"
               "4 > ##0 00 3E 01..3E\n"
               "4 ! BEGIN 62\n"
               "4 ! END\n"
               "5 > ##0 10 1E 00..11            ; 18 + 12\n"
               "5 ! BEGIN 30\n"
               "5 < ##0 30 00 00\n"
               "6 > ##0 21 12..1D CC*7          ; more than 16\n"
               "7 > ##0 21 12..1D CC CC AA\n"
               "8 > ##0 21 12..1D CC CC CC\n"
               "8 ! END\n");
}

static void a_classic_flow_control_does_not_make_a_burst_classic(void **state)
{
    static const isotp_cfg_t cfg = CFG(.fd = true, .brs = true, .tx_dl = 8);
    (void)state;
    transcript(&cfg,
               "0 * start 41\n"
               "0 < ##1 10 29 00..05\n"
               "1 * driver 1\n"
               "1 > ##1 30 00 00\n"
               "1 < ##1 21 06..0C\n"
               "2 > 10 0E 01..06\n"
               "2 ! BEGIN 14\n"
               "3 * driver 2\n"
               "3 < ##1 22 0D..13\n"
               "3 < 30 00 00\n"
               "4 * driver 1\n"
               "4 < ##1 23 14..1A\n"
               "5 > 10 08 01..06                ; its flow control is withdrawn\n"
               "5 ! RX_FAILED UNEXP_PDU\n"
               "5 ! BEGIN 8\n"
               "6 * driver 1\n"
               "6 < ##1 24 1B..21\n"
               "7 > 02 3E 80\n"
               "7 ! RX_FAILED UNEXP_PDU\n"
               "7 ! BEGIN 2\n"
               "7 ! END\n"
               "8 * driver on\n"
               "8 < ##1 25 22..28\n"
               "8 ! SENT\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_single_frame_in_a_can_fd_frame_has_no_escape),
        cmocka_unit_test(a_single_frame_with_an_escape_carries_8_bytes_up_to_all_but_2),
        cmocka_unit_test(more_than_8_bytes_without_the_escape_are_no_single_frame),
        cmocka_unit_test(behind_an_address_a_single_frame_has_one_byte_less),
        cmocka_unit_test(a_single_frame_sent_is_padded_to_the_next_length_that_exists),
        cmocka_unit_test(the_longest_single_frame_follows_from_tx_dl),
        cmocka_unit_test(rx_dl_is_the_length_of_the_first_frame),
        cmocka_unit_test(a_padded_last_frame_may_be_as_long_as_rx_dl),
        cmocka_unit_test(a_first_frame_is_for_more_than_a_single_frame_of_its_length),
        cmocka_unit_test(a_can_fd_frame_of_8_bytes_is_a_first_frame_like_a_classic_one),
        cmocka_unit_test(a_first_frame_of_fewer_than_8_bytes_is_ignored_in_can_fd_too),
        cmocka_unit_test(a_first_frame_with_an_escape_has_6_bytes_less),
        cmocka_unit_test(begins_a_can_fd_message_of_2_32_minus_1_bytes),
        cmocka_unit_test(the_last_frame_sent_is_padded_to_the_next_length_that_exists),
        cmocka_unit_test(frames_of_up_to_8_bytes_are_padded_only_when_asked),
        cmocka_unit_test(sends_and_receives_with_different_lengths_at_once),
        cmocka_unit_test(the_second_bit_rate_is_for_all_can_fd_frames),
        cmocka_unit_test(a_classic_message_is_answered_by_a_classic_flow_control),
        cmocka_unit_test(a_classic_flow_control_does_not_make_our_message_classic),
        cmocka_unit_test(an_ignored_first_frame_does_not_decide_the_format_of_our_flow_control),
        cmocka_unit_test(consecutive_frames_in_the_other_format_count_like_all),
        cmocka_unit_test(an_ignored_frame_of_the_other_format_does_not_disturb_a_block),
        cmocka_unit_test(a_wait_and_an_overflow_have_the_format_of_the_first_frame),
        cmocka_unit_test(without_the_second_bit_rate_none_is_used),
        cmocka_unit_test(can_fd_frames_are_not_for_a_classic_channel),
        cmocka_unit_test(a_can_fd_frame_from_a_source_in_blocks_with_a_gap),
        cmocka_unit_test(strictness_wants_the_padding_that_can_fd_needs),
        cmocka_unit_test(a_classic_flow_control_does_not_make_a_burst_classic),
    };
    return cmocka_run_group_tests_name("isotp fd", tests, NULL, NULL);
}
