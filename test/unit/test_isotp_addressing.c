// test_isotp_addressing.c - ISO-TP: identifiers, address bytes, functional channels and padding, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TIMERS                                                                                     \
    .n_as = 1000 * USEC_MS, .n_ar = 1000 * USEC_MS, .n_bs = 1000 * USEC_MS,                        \
    .n_cr = 1000 * USEC_MS, .n_br = 700 * USEC_MS

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// Extended addressing: the peer is F1, we are 10. Mixed: N_AE is 5A, both ways.
static const isotp_cfg_t extended =
    CFG(.wft_max = 3, .prefixed = true, .tx_address = 0xF1, .rx_address = 0x10);
static const isotp_cfg_t mixed_11 =
    CFG(.wft_max = 3, .prefixed = true, .tx_address = 0x5A, .rx_address = 0x5A);

// Normal fixed addressing: 18DA, target, source.
static const isotp_cfg_t fixed = { .tx_id = 0x18DAF110, .rx_id = 0x18DA10F1, .ext = true, TIMERS };
static const isotp_cfg_t mixed_29 = { .tx_id = 0x18CEF110,
                                      .rx_id = 0x18CE10F1,
                                      .ext = true,
                                      .prefixed = true,
                                      .tx_address = 0x5A,
                                      .rx_address = 0x5A,
                                      TIMERS };

// Functional channels, of a tester (it only sends) and of a node (it only listens).
static const isotp_cfg_t functional_11 = {
    .tx_id = 0x7DF, .rx_id = 0x7DF, .functional = true, TIMERS
};
static const isotp_cfg_t functional_29 = {
    .tx_id = 0x18DB33F1, .rx_id = 0x18DB33F1, .ext = true, .functional = true, TIMERS
};
static const isotp_cfg_t functional_extended = { .tx_id = 0x7DF,
                                                 .rx_id = 0x7DF,
                                                 .functional = true,
                                                 .prefixed = true,
                                                 .tx_address = 0xFE,
                                                 .rx_address = 0xFE,
                                                 TIMERS };

// --- Identifiers ---

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

static void no_kind_of_frame_is_taken_from_another_identifier(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 7E1 10 08 01..06\n"
               "0 > 7E0x 10 08 01..06\n"
               "1 > 10 08 01..06\n"
               "1 ! BEGIN 8\n"
               "1 < 30 00 00\n"
               "2 > 7E1 21 07 08\n"
               "2 > 7E0x 21 07 08\n"
               "2 > 7E1 02 3E 00\n"
               "3 > 21 07 08\n"
               "3 ! END\n"
               "4 * start 14\n"
               "4 < 10 0E 00..05\n"
               "5 > 7E1 30 00 00\n"
               "5 > 7E0x 30 00 00\n"
               "5 > 7E1 32 00 00\n"
               "6 > 30 00 00\n"
               "6 < 21 06..0C\n"
               "6 < 22 0D\n"
               "6 ! SENT\n");
}

static void no_full_frame_is_taken_from_another_identifier(void **state)
{
    (void)state;
    transcript(&plain,
               "1 > 10 1B 01..06\n"
               "1 ! BEGIN 27\n"
               "1 < 30 00 00\n"
               "2 > 7E1 21 00*7\n"
               "2 > 7E0x 21 00*7\n"
               "2 > 7E8 21 00*7                 ; our own\n"
               "2 > 7E0##0 21 00*7\n"
               "3 > 21 07..0D\n"
               "4 > 7E1 22 00*7\n"
               "5 > 22 0E..14\n"
               "6 > 23 15..1B\n"
               "6 ! END\n");
    assert_int_equal(transcript_data[13], 14);
}

static void identifiers_of_29_bits_begin_with_their_kind_of_addressing(void **state)
{
    (void)state;
    assert_int_equal(ISOTP_ID_FIXED | 0xF1 << 8 | 0x10, fixed.tx_id);
    assert_int_equal(ISOTP_ID_FIXED_FUNCTIONAL | 0x33 << 8 | 0xF1, functional_29.tx_id);
    assert_int_equal(ISOTP_ID_MIXED | 0xF1 << 8 | 0x10, mixed_29.tx_id);
    assert_int_equal(ISOTP_ID_MIXED_FUNCTIONAL | 0x33 << 8 | 0xF1, 0x18CD33F1);
}

static void normal_fixed_addressing_is_18da_target_source(void **state)
{
    (void)state;
    transcript(&fixed,
               "0 > 18DA10F1x 02 3E 00\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 18DAF110x 02 3E 00          ; the other direction\n"
               "2 > 18DA11F1x 02 3E 00          ; another target\n"
               "3 > 18DA10F2x 02 3E 00          ; another source\n"
               "4 > 18DB10F1x 02 3E 00          ; functional\n"
               "5 > 1CDA10F1x 02 3E 00          ; another priority\n"
               "6 * start 10\n"
               "6 < 10 0A 00..05\n"
               "7 > 18DA10F1x 30 00 00\n"
               "7 < 21 06..09\n"
               "7 ! SENT\n");
}

// --- Address bytes ---

static void extended_addressing_begins_each_frame_with_the_target(void **state)
{
    (void)state;
    transcript(&extended,
               "0 > 10 02 3E 00\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 10 10 0B 01..05\n"
               "1 ! BEGIN 11\n"
               "1 < F1 30 00 00\n"
               "2 > 10 21 06..0B\n"
               "2 ! END\n"
               "3 * start 3\n"
               "3 < F1 03 00..02\n"
               "3 ! SENT\n"
               "4 * start 20                    ; 5 + 6 + 6 + 3\n"
               "4 < F1 10 14 00..04\n"
               "5 > 10 30 02 00\n"
               "5 < F1 21 05..0A\n"
               "5 < F1 22 0B..10\n"
               "6 > 10 30 00 00\n"
               "6 < F1 23 11..13\n"
               "6 ! SENT\n");
}

static void frames_to_another_address_are_not_ours(void **state)
{
    (void)state;
    transcript(&extended,
               "0 > F1 02 3E 00                 ; the peer's own\n"
               "1 > 11 10 0B 01..05\n"
               "2 > 02 3E 00                    ; without address\n"
               "3 > 10 10 11 01..05\n"
               "3 ! BEGIN 17\n"
               "3 < F1 30 00 00\n"
               "4 > 11 21 00*6\n"
               "4 > 21 00*7\n"
               "5 > 10 21 06..0B\n"
               "6 > 11 02 3E 00\n"
               "7 > 10 22 0C..11\n"
               "7 ! END\n"
               "8 * start 8\n"
               "8 < F1 10 08 00..04\n"
               "9 > 11 30 00 00\n"
               "9 > 11 32 00 00\n"
               "9 > 30 00 00\n"
               "10 > 10 30 00 00\n"
               "10 < F1 21 05..07\n"
               "10 ! SENT\n");
    assert_memory_equal(transcript_data, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0A\x0B\x0C", 12);
}

static void an_address_without_anything_behind_it_is_ignored(void **state)
{
    (void)state;
    transcript(&extended,
               "0 >\n"
               "1 > 10\n"
               "2 > 10 10 08 01..05\n"
               "2 ! BEGIN 8\n"
               "2 < F1 30 00 00\n"
               "3 > 10\n"
               "4 >\n"
               "5 > 10 21\n"
               "6 > 10 21 06..08\n"
               "6 ! END\n"
               "7 * start 8\n"
               "7 < F1 10 08 00..04\n"
               "8 > 10 30 00                    ; a flow control has 4 bytes here\n"
               "9 > 10 30 00 00\n"
               "9 < F1 21 05..07\n"
               "9 ! SENT\n");
}

static void behind_an_address_a_single_frame_has_up_to_6_bytes(void **state)
{
    (void)state;
    for (unsigned len = 1; len <= 6; len++) {
        transcript_add("0 > 10 %02X 01..%02X\n0 ! BEGIN %u\n0 ! END\n", len, len, len);
        transcript_add("1 > 10 %02X 01..%02X CC*%u\n1 ! BEGIN %u\n1 ! END\n", len, len, 6 - len,
                       len);
        transcript_add("2 * start %u\n2 < F1 %02X 00..%02X\n2 ! SENT\n", len, len, len - 1);
        transcript_added(&extended);
        assert_int_equal(transcript_data[len - 1], len);
    }
    transcript(&extended,
               "0 > 10 00\n"
               "1 > 10 07 01..06\n"
               "2 > 10 03 01 02\n"
               "3 > 10 00 06 01..05\n"
               "4 > 10 00 07 01..05\n"
               "5 * start 7\n"
               "5 < F1 10 07 00..04\n"
               "6 > 10 30 00 00\n"
               "6 < F1 21 05 06\n"
               "6 ! SENT\n");
}

static void behind_an_address_the_shortest_segmented_message_has_7_bytes(void **state)
{
    (void)state;
    transcript(&extended,
               "0 > 10 10 06 01..05\n"
               "1 > 10 10 07 01..04             ; 7 bytes are no First Frame\n"
               "2 > 10 10 07 01..05\n"
               "2 ! BEGIN 7\n"
               "2 < F1 30 00 00\n"
               "3 > 10 21 06\n"
               "4 > 10 21 06 07\n"
               "4 ! END\n");
}

static void behind_an_address_an_escaped_first_frame_carries_1_byte(void **state)
{
    (void)state;
    transcript(&extended,
               "0    > 10 10 00 00 00 0F FF 01\n"
               "1    > 10 10 00 00 00 10 00 01\n"
               "1    ! BEGIN 4096\n"
               "1    < F1 30 00 00\n"
               "2    > 10 21 02..07\n"
               "1002 ! RX_FAILED TIMEOUT_CR\n"
               "2000 * start 4095\n"
               "2000 < F1 1F FF 00..04\n"
               "2001 * cancel\n"
               "2002 * start 4096\n"
               "2002 < F1 10 00 00 00 10 00 00\n"
               "2003 > 10 30 01 00\n"
               "2003 < F1 21 01..06\n"
               "2004 * cancel\n"
               "2005 * startfrom 4294967295\n"
               "2005 < F1 10 00 FF FF FF FF 00\n"
               "2006 > 10 30 02 00\n"
               "2006 < F1 21 01..06\n"
               "2006 < F1 22 07..0C\n"
               "2007 * cancel\n");
    assert_memory_equal(transcript_data, "\x01\x02\x03\x04\x05\x06\x07", 7);
}

static void an_address_may_look_like_a_consecutive_frame(void **state)
{
    static const isotp_cfg_t cfg =
        CFG(.wft_max = 3, .prefixed = true, .tx_address = 0x22, .rx_address = 0x21);
    (void)state;
    transcript(&cfg,
               "0 * auto 3\n"
               "0 > 21 10 23 01..05             ; 5 + 5 x 6\n"
               "0 ! BEGIN 35\n"
               "0 < 22 30 03 00\n"
               "1 > 21 21 06..0A                ; too short\n"
               "1 > 21 21 06..0B\n"
               "2 > 21 22 0C..11\n"
               "3 > 21 23 12..17\n"
               "3 < 22 30 03 00\n"
               "4 > 21 24 18..1D\n"
               "5 > 21 25 1E..23\n"
               "5 ! END\n");
    for (unsigned i = 0; i < 35; i++)
        assert_int_equal(transcript_data[i], i + 1);
}

static void mixed_addressing_has_the_same_byte_both_ways(void **state)
{
    (void)state;
    transcript(&mixed_11,
               "0 > 5A 02 3E 00\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 5B 02 3E 00\n"
               "2 > 5A 10 07 01..05\n"
               "2 ! BEGIN 7\n"
               "2 < 5A 30 00 00\n"
               "3 > 5A 21 06 07\n"
               "3 ! END\n"
               "4 * start 7\n"
               "4 < 5A 10 07 00..04\n"
               "5 > 5A 30 00 00\n"
               "5 < 5A 21 05 06\n"
               "5 ! SENT\n");
    transcript(&mixed_29,
               "0 > 18CE10F1x 5A 02 3E 00\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 18CE10F1x 5B 02 3E 00\n"
               "2 > 18DA10F1x 5A 02 3E 00\n"
               "3 * start 7\n"
               "3 < 5A 10 07 00..04\n"
               "4 > 5A 30 00 00\n"
               "4 < 5A 21 05 06\n"
               "4 ! SENT\n");
}

static void wait_and_overflow_have_the_address_too(void **state)
{
    (void)state;
    transcript(&extended,
               "0   * hold\n"
               "0   > 10 10 11 01..05\n"
               "0   ! BEGIN 17\n"
               "700 < F1 31 00 00\n"
               "701 * refuse\n"
               "701 < F1 32 00 00\n");
}

static void blocks_behind_an_address_are_counted_like_all(void **state)
{
    (void)state;
    transcript(&extended,
               "0 * auto 2\n"
               "0 > 10 10 1D 01..05             ; 5 + 4 x 6\n"
               "0 ! BEGIN 29\n"
               "0 < F1 30 02 00\n"
               "1 > 10 21 06..0B\n"
               "2 > 10 22 0C..11\n"
               "2 < F1 30 02 00\n"
               "3 > 10 23 12..17\n"
               "4 > 10 24 18..1D\n"
               "4 ! END\n");
}

// --- Functional channels: to all nodes at once ---

static void a_functional_request_is_a_single_frame(void **state)
{
    (void)state;
    transcript(&functional_11,
               "0 * start 7\n"
               "0 < 07 00..06\n"
               "0 ! SENT\n"
               "1 * start 8\n"
               "1 ! busy                        ; too long: nothing is sent\n"
               "2 * startfrom 4294967295\n"
               "2 ! busy\n"
               "3 * startfrom 7\n"
               "3 < 07 00..06\n"
               "3 ! SENT\n");
    transcript(&functional_29,
               "0 * start 2\n"
               "0 < 02 00 01\n"
               "0 ! SENT\n"
               "1 * start 8\n"
               "1 ! busy\n");
    transcript(&functional_extended,
               "0 * start 6\n"
               "0 < FE 06 00..05\n"
               "0 ! SENT\n"
               "1 * start 7\n"
               "1 ! busy\n");
}

static void a_functional_first_frame_is_ignored_without_an_answer(void **state)
{
    (void)state;
    transcript(&functional_11,
               "0 > 10 08 01..06\n"
               "1 > 21 07 08\n"
               "2 > 10 00 00 00 10 00 01 02\n"
               "3 > 02 3E 80\n"
               "3 ! BEGIN 2\n"
               "3 ! END\n"
               "4 > 30 00 00\n"
               "5 > 07 01..07\n"
               "5 ! BEGIN 7\n"
               "5 ! END\n");
    transcript(&functional_29,
               "0 > 18DB33F1x 02 3E 80\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 18DB33F1x 10 08 01..06\n");
    transcript(&functional_extended,
               "0 > FE 02 3E 80\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 10 02 3E 80                 ; physical\n"
               "2 > FE 10 08 01..05\n");
}

static void a_functional_frame_of_can_fd_is_longer(void **state)
{
    static const unsigned dls[] = { 8, 12, 16, 20, 24, 32, 48, 64 };
    (void)state;
    if (CAN_DATA_MAX == 8) skip();
    for (size_t i = 0; i < sizeof dls / sizeof dls[0]; i++) {
        isotp_cfg_t cfg = functional_11;
        const unsigned most = dls[i] == 8 ? 7 : dls[i] - 2;
        cfg.fd = true;
        cfg.tx_dl = (uint8_t)dls[i];
        transcript_add("0 * start %u\n0 < ##0 %s%02X 00..%02X\n0 ! SENT\n", most,
                       most > 7 ? "00 " : "", most, most - 1);
        transcript_add("1 * start %u\n1 ! busy\n", most + 1);
        if (most > 7) transcript_add("2 > ##0 10 %02X 01..%02X\n", most + 1, most);
        transcript_added(&cfg);
        cfg.prefixed = true;
        transcript_add("0 * start %u\n0 < ##0 00 %s%02X 00..%02X\n0 ! SENT\n", most - 1,
                       most > 7 ? "00 " : "", most - 1, most - 2);
        transcript_add("1 * start %u\n1 ! busy\n", most);
        transcript_added(&cfg);
    }
}

// --- Padding (10.4.2) ---

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

static void pads_behind_an_address_too(void **state)
{
    isotp_cfg_t cfg = extended;
    cfg.pad = true;
    cfg.pad_byte = 0xCC;
    (void)state;
    transcript(&cfg,
               "0 * start 1\n"
               "0 < F1 01 00 CC*5\n"
               "0 ! SENT\n"
               "1 * start 6\n"
               "1 < F1 06 00..05\n"
               "1 ! SENT\n"
               "2 * start 8\n"
               "2 < F1 10 08 00..04\n"
               "3 > 10 30 00 00\n"
               "3 < F1 21 05..07 CC*3\n"
               "3 ! SENT\n"
               "4 > 10 10 07 01..05\n"
               "4 ! BEGIN 7\n"
               "4 < F1 30 00 00 CC*4\n"
               "5 > 10 21 06 07\n"
               "5 ! END\n");
}

static void pads_wait_and_overflow(void **state)
{
    static const isotp_cfg_t cfg = CFG(.wft_max = 3, .pad = true, .pad_byte = 0xAA);
    (void)state;
    transcript(&cfg,
               "0   * hold\n"
               "0   > 10 11 01..06\n"
               "0   ! BEGIN 17\n"
               "700 < 31 00 00 AA*5\n"
               "701 * refuse\n"
               "701 < 32 00 00 AA*5\n");
}

static void full_frames_need_no_padding(void **state)
{
    static const isotp_cfg_t cfg = CFG(.pad = true, .pad_byte = 0xAA);
    (void)state;
    transcript(&cfg,
               "0 * start 7\n"
               "0 < 07 00..06\n"
               "0 ! SENT\n"
               "1 * start 20\n"
               "1 < 10 14 00..05\n"
               "2 > 30 00 00\n"
               "2 < 21 06..0C\n"
               "2 < 22 0D..13\n"
               "2 ! SENT\n");
}

static void padding_of_any_value_and_length_is_taken(void **state)
{
    (void)state;
    transcript(&plain,
               "0 > 02 3E 00 01 02 03\n"
               "0 ! BEGIN 2\n"
               "0 ! END\n"
               "1 > 10 09 01..06\n"
               "1 ! BEGIN 9\n"
               "1 < 30 00 00\n"
               "2 > 21 07 08 09 FF 00\n"
               "2 ! END\n"
               "3 * start 8\n"
               "3 < 10 08 00..05\n"
               "4 > 30 00 00 12 34\n"
               "4 < 21 06 07\n"
               "4 ! SENT\n");
    assert_int_equal(transcript_len, 9);
}

static void strictness_wants_every_frame_padded_as_ours(void **state)
{
    static const isotp_cfg_t cfg = CFG(.pad = true, .pad_byte = 0xCC);
    (void)state;
    transcript(&cfg,
               "0  * strict\n"
               "0  > 02 3E 00                   ; short\n"
               "1  > 02 3E 00 CC CC CC CC       ; by one\n"
               "2  > 02 3E 00 CC CC CC CC 00\n"
               "3  > 02 3E 00 AA CC CC CC CC\n"
               "4  > 02 3E 00 CC CC CC CC CC\n"
               "4  ! BEGIN 2\n"
               "4  ! END\n"
               "5  > 07 01..07\n"
               "5  ! BEGIN 7\n"
               "5  ! END\n"
               "6  > 10 10 01..06               ; 6 + 7 + 3\n"
               "6  ! BEGIN 16\n"
               "6  < 30 00 00 CC*5\n"
               "7  > 21 07..0D\n"
               "8  > 22 0E..10\n"
               "8  > 22 0E..10 CC*3 AA\n"
               "8  > 22 0E..10 AA CC*3\n"
               "9  > 22 0E..10 CC*4\n"
               "9  ! END\n"
               "10 * start 8\n"
               "10 < 10 08 00..05\n"
               "11 > 30 00 00\n"
               "11 > 30 00 00 55 CC*4\n"
               "11 > 30 00 00 CC*4 55\n"
               "12 > 30 00 00 CC*5\n"
               "12 < 21 06 07 CC*5\n"
               "12 ! SENT\n");
}

static void strictness_wants_no_padding_where_we_have_none(void **state)
{
    (void)state;
    transcript(&plain,
               "0  * strict\n"
               "0  > 02 3E 00 CC\n"
               "1  > 02 3E 00\n"
               "1  ! BEGIN 2\n"
               "1  ! END\n"
               "2  > 10 10 01..06\n"
               "2  ! BEGIN 16\n"
               "2  < 30 00 00\n"
               "3  > 21 07..0D\n"
               "4  > 22 0E..10 00\n"
               "5  > 22 0E..10\n"
               "5  ! END\n"
               "6  * start 8\n"
               "6  < 10 08 00..05\n"
               "7  > 30 00 00 00\n"
               "8  > 30 00 00\n"
               "8  < 21 06 07\n"
               "8  ! SENT\n");
}

static void strictness_sees_behind_the_address(void **state)
{
    isotp_cfg_t cfg = extended;
    cfg.pad = true;
    cfg.pad_byte = 0xCC;
    (void)state;
    transcript(&cfg,
               "0 * strict\n"
               "0 > 10 02 3E 00 CC CC CC\n"
               "1 > 10 02 3E 00 CC CC CC 00\n"
               "2 > 10 02 3E 00 CC CC CC CC\n"
               "2 ! BEGIN 2\n"
               "2 ! END\n"
               "3 > 10 10 08 01..05\n"
               "3 ! BEGIN 8\n"
               "3 < F1 30 00 00 CC*4\n"
               "4 > 10 21 06..08 CC CC 00\n"
               "5 > 10 21 06..08 CC CC CC\n"
               "5 ! END\n"
               "6 * start 8\n"
               "6 < F1 10 08 00..04\n"
               "7 > 10 30 00 00\n"
               "8 > 10 30 00 00 CC*4\n"
               "8 < F1 21 05..07 CC*3\n"
               "8 ! SENT\n"
               "9 >\n"
               "9 > 10\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listens_to_its_own_identifier_only),
        cmocka_unit_test(speaks_29_bit_identifiers),
        cmocka_unit_test(no_kind_of_frame_is_taken_from_another_identifier),
        cmocka_unit_test(no_full_frame_is_taken_from_another_identifier),
        cmocka_unit_test(identifiers_of_29_bits_begin_with_their_kind_of_addressing),
        cmocka_unit_test(normal_fixed_addressing_is_18da_target_source),
        cmocka_unit_test(extended_addressing_begins_each_frame_with_the_target),
        cmocka_unit_test(frames_to_another_address_are_not_ours),
        cmocka_unit_test(an_address_without_anything_behind_it_is_ignored),
        cmocka_unit_test(behind_an_address_a_single_frame_has_up_to_6_bytes),
        cmocka_unit_test(behind_an_address_the_shortest_segmented_message_has_7_bytes),
        cmocka_unit_test(behind_an_address_an_escaped_first_frame_carries_1_byte),
        cmocka_unit_test(an_address_may_look_like_a_consecutive_frame),
        cmocka_unit_test(mixed_addressing_has_the_same_byte_both_ways),
        cmocka_unit_test(wait_and_overflow_have_the_address_too),
        cmocka_unit_test(blocks_behind_an_address_are_counted_like_all),
        cmocka_unit_test(a_functional_request_is_a_single_frame),
        cmocka_unit_test(a_functional_first_frame_is_ignored_without_an_answer),
        cmocka_unit_test(a_functional_frame_of_can_fd_is_longer),
        cmocka_unit_test(pads_when_asked),
        cmocka_unit_test(pads_behind_an_address_too),
        cmocka_unit_test(pads_wait_and_overflow),
        cmocka_unit_test(full_frames_need_no_padding),
        cmocka_unit_test(padding_of_any_value_and_length_is_taken),
        cmocka_unit_test(strictness_wants_every_frame_padded_as_ours),
        cmocka_unit_test(strictness_wants_no_padding_where_we_have_none),
        cmocka_unit_test(strictness_sees_behind_the_address),
    };
    return cmocka_run_group_tests_name("isotp addressing", tests, NULL, NULL);
}
