// test_isotp_unexpected.c - ISO-TP: every kind of frame in every state, as bus logs.
// SPDX-License-Identifier: Apache-2.0
#include "transcript.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const isotp_cfg_t plain = CFG(.wft_max = 3);

// Each state: what leads to it, and how it goes on when nothing has disturbed it.
#define BEFORE_WHEN_IDLE                                ""
#define BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED "0 * start 13\n0 < 10 0D 00..05\n"
#define AFTER_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED  "9 > 30 00 00\n9 < 21 06..0C\n9 ! SENT\n"
#define BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES                                                       \
    "0 * start 20\n0 < 10 14 00..05\n0 > 30 00 0A\n0 < 21 06..0C\n"
#define AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES "10 < 22 0D..13\n10 ! SENT\n"
#define BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER                                                 \
    "0 * start 13\n0 < 10 0D 00..05\n0 * driver off\n0 > 30 00 00\n"
#define AFTER_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER   "9 * driver on\n9 < 21 06..0C\n9 ! SENT\n"
#define BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED "0 * confirm 9\n0 * start 3\n0 < 03 00..02\n"
#define AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED  "9 ! SENT\n"
#define BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED                                                 \
    "0 > 10 14 00..05\n0 ! BEGIN 20\n0 < 30 00 00\n1 > 21 06..0C\n"
#define AFTER_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED "9 > 22 0D..13\n9 ! END\n"
#define BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK     "0 * hold\n0 > 10 0D 00..05\n0 ! BEGIN 13\n"
#define AFTER_WHEN_FLOW_CONTROL_IS_HELD_BACK      "9 * proceed 0\n9 < 30 00 00\n9 > 21 06..0C\n9 ! END\n"
#define BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER                                              \
    "0 * driver off\n0 > 10 0D 00..05\n0 ! BEGIN 13\n"
#define AFTER_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER                                               \
    "9 * driver on\n9 < 30 00 00\n9 > 21 06..0C\n9 ! END\n"
#define BEFORE_BETWEEN_TWO_BLOCKS                                                                  \
    "0 * auto 1\n0 > 10 14 00..05\n0 ! BEGIN 20\n0 < 30 01 00\n1 * hold\n"                         \
    "1 > 21 06..0C\n"
#define AFTER_BETWEEN_TWO_BLOCKS "9 * proceed 0\n9 < 30 00 00\n9 > 22 0D..13\n9 ! END\n"
#define BEFORE_IN_BOTH_DIRECTIONS                                                                  \
    "0 * start 13\n0 < 10 0D 00..05\n0 > 10 14 00..05\n0 ! BEGIN 20\n0 < 30 00 00\n"               \
    "0 > 21 06..0C\n"
#define AFTER_IN_BOTH_DIRECTIONS "9 > 22 0D..13\n9 ! END\n9 > 30 00 00\n9 < 21 06..0C\n9 ! SENT\n"
#define BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES                                               \
    "0 * start 20\n0 < 10 14 00..05\n0 > 10 14 00..05\n0 ! BEGIN 20\n0 < 30 00 00\n"               \
    "0 > 21 06..0C\n0 > 30 00 0A\n0 < 21 06..0C\n"
#define AFTER_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES                                                \
    "9 > 22 0D..13\n9 ! END\n10 < 22 0D..13\n10 ! SENT\n"

// The table of 9.8.3, for full duplex: a case for each cell.
static const struct {
    const char *name, *before, *frames, *after;
} cells[] = {
    // --- When idle ---
    { "a_single_frame_is_taken_when_idle", BEFORE_WHEN_IDLE, "5 > 02 3E 80\n5 ! BEGIN 2\n5 ! END\n",
      "" },
    { "a_first_frame_is_taken_when_idle", BEFORE_WHEN_IDLE,
      "5 > 10 08 A1..A6\n5 ! BEGIN 8\n5 < 30 00 00\n7 > 21 A7 A8\n7 ! END\n", "" },
    { "a_consecutive_frame_is_ignored_when_idle", BEFORE_WHEN_IDLE, "5 > 21 07..0D\n5 > 2F 00*7\n",
      "" },
    { "flow_control_is_ignored_when_idle", BEFORE_WHEN_IDLE,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n", "" },
    { "unknown_frames_are_ignored_when_idle", BEFORE_WHEN_IDLE,
      "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n", "" },
    { "malformed_frames_are_ignored_when_idle", BEFORE_WHEN_IDLE,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      "" },
    // --- When sending and flow control is awaited ---
    { "a_single_frame_is_taken_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED, "5 > 02 3E 80\n5 ! BEGIN 2\n5 ! END\n",
      AFTER_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED },
    { "a_first_frame_is_taken_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED,
      "5 > 10 08 A1..A6\n5 ! BEGIN 8\n5 < 30 00 00\n7 > 21 A7 A8\n7 ! END\n",
      AFTER_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED },
    { "a_consecutive_frame_is_ignored_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED, "5 > 21 07..0D\n5 > 2F 00*7\n",
      AFTER_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED },
    { "flow_control_is_taken_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED, "5 > 30 00 00\n5 < 21 06..0C\n5 ! SENT\n",
      "" },
    { "an_overflow_is_taken_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED, "5 > 32 00 00\n5 ! TX_FAILED BUFFER_OVFLW\n",
      "" },
    { "unknown_frames_are_ignored_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED },
    { "malformed_frames_are_ignored_when_sending_and_flow_control_is_awaited",
      BEFORE_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_WHEN_SENDING_AND_FLOW_CONTROL_IS_AWAITED },
    // --- In the gap between our frames ---
    { "a_single_frame_is_taken_in_the_gap_between_our_frames", BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES,
      "5 > 02 3E 80\n5 ! BEGIN 2\n5 ! END\n", AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES },
    { "a_first_frame_is_taken_in_the_gap_between_our_frames", BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES,
      "5 > 10 08 A1..A6\n5 ! BEGIN 8\n5 < 30 00 00\n7 > 21 A7 A8\n7 ! END\n",
      AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES },
    { "a_consecutive_frame_is_ignored_in_the_gap_between_our_frames",
      BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES, "5 > 21 07..0D\n5 > 2F 00*7\n",
      AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES },
    { "flow_control_is_ignored_in_the_gap_between_our_frames", BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES },
    { "unknown_frames_are_ignored_in_the_gap_between_our_frames",
      BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES },
    { "malformed_frames_are_ignored_in_the_gap_between_our_frames",
      BEFORE_IN_THE_GAP_BETWEEN_OUR_FRAMES,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_IN_THE_GAP_BETWEEN_OUR_FRAMES },
    // --- When our frame waits for the driver ---
    { "a_single_frame_is_taken_when_our_frame_waits_for_the_driver",
      BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER, "5 > 02 3E 80\n5 ! BEGIN 2\n5 ! END\n",
      AFTER_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER },
    { "a_first_frame_is_taken_when_our_frame_waits_for_the_driver",
      BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER,
      "5 > 10 08 A1..A6\n5 ! BEGIN 8\n9 * driver on\n9 < 21 06..0C\n9 ! SENT\n"
      "9 < 30 00 00\n9 > 21 A7 A8\n9 ! END\n",
      "" },
    { "a_consecutive_frame_is_ignored_when_our_frame_waits_for_the_driver",
      BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER, "5 > 21 07..0D\n5 > 2F 00*7\n",
      AFTER_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER },
    { "flow_control_is_ignored_when_our_frame_waits_for_the_driver",
      BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER },
    { "unknown_frames_are_ignored_when_our_frame_waits_for_the_driver",
      BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER },
    { "malformed_frames_are_ignored_when_our_frame_waits_for_the_driver",
      BEFORE_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_WHEN_OUR_FRAME_WAITS_FOR_THE_DRIVER },
    // --- When our last frame is not confirmed ---
    { "a_single_frame_is_taken_when_our_last_frame_is_not_confirmed",
      BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED, "5 > 02 3E 80\n5 ! BEGIN 2\n5 ! END\n",
      AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED },
    { "a_first_frame_is_taken_when_our_last_frame_is_not_confirmed",
      BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED,
      "5 > 10 08 A1..A6\n5 ! BEGIN 8\n5 < 30 00 00\n7 > 21 A7 A8\n7 ! END\n",
      AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED },
    { "a_consecutive_frame_is_ignored_when_our_last_frame_is_not_confirmed",
      BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED, "5 > 21 07..0D\n5 > 2F 00*7\n",
      AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED },
    { "flow_control_is_ignored_when_our_last_frame_is_not_confirmed",
      BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED },
    { "unknown_frames_are_ignored_when_our_last_frame_is_not_confirmed",
      BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED },
    { "malformed_frames_are_ignored_when_our_last_frame_is_not_confirmed",
      BEFORE_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_WHEN_OUR_LAST_FRAME_IS_NOT_CONFIRMED },
    // --- When consecutive frames are awaited ---
    { "a_single_frame_replaces_the_message_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED,
      "5 > 02 3E 80\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 2\n5 ! END\n", "" },
    { "a_first_frame_replaces_the_message_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED,
      "5 > 10 08 A1..A6\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 8\n5 < 30 00 00\n"
      "7 > 21 A7 A8\n7 ! END\n",
      "" },
    { "a_consecutive_frame_is_checked_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED, "5 > 23 0D..13\n5 ! RX_FAILED WRONG_SN\n", "" },
    { "a_consecutive_frame_is_taken_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED, "5 > 22 0D..13\n5 ! END\n", "" },
    { "flow_control_is_ignored_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED },
    { "unknown_frames_are_ignored_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED },
    { "malformed_frames_are_ignored_when_consecutive_frames_are_awaited",
      BEFORE_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_WHEN_CONSECUTIVE_FRAMES_ARE_AWAITED },
    // --- When flow control is held back ---
    { "a_single_frame_replaces_the_message_when_flow_control_is_held_back",
      BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK,
      "5 > 02 3E 80\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 2\n5 ! END\n", "" },
    { "a_first_frame_replaces_the_message_when_flow_control_is_held_back",
      BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK,
      "5 > 10 08 A1..A6\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 8\n6 * proceed 0\n"
      "6 < 30 00 00\n7 > 21 A7 A8\n7 ! END\n",
      "" },
    { "a_consecutive_frame_is_ignored_when_flow_control_is_held_back",
      BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK, "5 > 21 07..0D\n5 > 2F 00*7\n",
      AFTER_WHEN_FLOW_CONTROL_IS_HELD_BACK },
    { "flow_control_is_ignored_when_flow_control_is_held_back",
      BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_WHEN_FLOW_CONTROL_IS_HELD_BACK },
    { "unknown_frames_are_ignored_when_flow_control_is_held_back",
      BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_WHEN_FLOW_CONTROL_IS_HELD_BACK },
    { "malformed_frames_are_ignored_when_flow_control_is_held_back",
      BEFORE_WHEN_FLOW_CONTROL_IS_HELD_BACK,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_WHEN_FLOW_CONTROL_IS_HELD_BACK },
    // --- When flow control waits for the driver ---
    { "a_single_frame_replaces_the_message_when_flow_control_waits_for_the_driver",
      BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER,
      "5 > 02 3E 80\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 2\n5 ! END\n9 * driver on\n", "" },
    { "a_first_frame_replaces_the_message_when_flow_control_waits_for_the_driver",
      BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER,
      "5 > 10 08 A1..A6\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 8\n8 * driver on\n"
      "8 < 30 00 00\n8 > 21 A7 A8\n8 ! END\n",
      "" },
    { "a_consecutive_frame_is_ignored_when_flow_control_waits_for_the_driver",
      BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER, "5 > 21 07..0D\n5 > 2F 00*7\n",
      AFTER_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER },
    { "flow_control_is_ignored_when_flow_control_waits_for_the_driver",
      BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER },
    { "unknown_frames_are_ignored_when_flow_control_waits_for_the_driver",
      BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER },
    { "malformed_frames_are_ignored_when_flow_control_waits_for_the_driver",
      BEFORE_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_WHEN_FLOW_CONTROL_WAITS_FOR_THE_DRIVER },
    // --- Between two blocks ---
    { "a_single_frame_replaces_the_message_between_two_blocks", BEFORE_BETWEEN_TWO_BLOCKS,
      "5 > 02 3E 80\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 2\n5 ! END\n", "" },
    { "a_first_frame_replaces_the_message_between_two_blocks", BEFORE_BETWEEN_TWO_BLOCKS,
      "5 > 10 08 A1..A6\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 8\n6 * proceed 0\n"
      "6 < 30 00 00\n7 > 21 A7 A8\n7 ! END\n",
      "" },
    { "a_consecutive_frame_is_ignored_between_two_blocks", BEFORE_BETWEEN_TWO_BLOCKS,
      "5 > 22 07..0D\n5 > 2F 00*7\n", AFTER_BETWEEN_TWO_BLOCKS },
    { "flow_control_is_ignored_between_two_blocks", BEFORE_BETWEEN_TWO_BLOCKS,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n", AFTER_BETWEEN_TWO_BLOCKS },
    { "unknown_frames_are_ignored_between_two_blocks", BEFORE_BETWEEN_TWO_BLOCKS,
      "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n", AFTER_BETWEEN_TWO_BLOCKS },
    { "malformed_frames_are_ignored_between_two_blocks", BEFORE_BETWEEN_TWO_BLOCKS,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_BETWEEN_TWO_BLOCKS },
    // --- In both directions ---
    { "a_single_frame_replaces_the_message_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 02 3E 80\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 2\n5 ! END\n9 > 30 00 00\n"
      "9 < 21 06..0C\n9 ! SENT\n",
      "" },
    { "a_first_frame_replaces_the_message_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 10 08 A1..A6\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 8\n5 < 30 00 00\n"
      "7 > 21 A7 A8\n7 ! END\n9 > 30 00 00\n9 < 21 06..0C\n9 ! SENT\n",
      "" },
    { "a_consecutive_frame_is_checked_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 23 0D..13\n5 ! RX_FAILED WRONG_SN\n9 > 30 00 00\n9 < 21 06..0C\n9 ! SENT\n", "" },
    { "a_consecutive_frame_is_taken_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 22 0D..13\n5 ! END\n9 > 30 00 00\n9 < 21 06..0C\n9 ! SENT\n", "" },
    { "flow_control_is_taken_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 30 00 00\n5 < 21 06..0C\n5 ! SENT\n9 > 22 0D..13\n9 ! END\n", "" },
    { "an_overflow_is_taken_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 32 00 00\n5 ! TX_FAILED BUFFER_OVFLW\n9 > 22 0D..13\n9 ! END\n", "" },
    { "unknown_frames_are_ignored_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n", AFTER_IN_BOTH_DIRECTIONS },
    { "malformed_frames_are_ignored_in_both_directions", BEFORE_IN_BOTH_DIRECTIONS,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_IN_BOTH_DIRECTIONS },
    // --- In both directions between our frames ---
    { "a_single_frame_replaces_the_message_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES,
      "5 > 02 3E 80\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 2\n5 ! END\n10 < 22 0D..13\n"
      "10 ! SENT\n",
      "" },
    { "a_first_frame_replaces_the_message_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES,
      "5 > 10 08 A1..A6\n5 ! RX_FAILED UNEXP_PDU\n5 ! BEGIN 8\n5 < 30 00 00\n"
      "7 > 21 A7 A8\n7 ! END\n10 < 22 0D..13\n10 ! SENT\n",
      "" },
    { "a_consecutive_frame_is_checked_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES,
      "5 > 23 0D..13\n5 ! RX_FAILED WRONG_SN\n10 < 22 0D..13\n10 ! SENT\n", "" },
    { "a_consecutive_frame_is_taken_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES,
      "5 > 22 0D..13\n5 ! END\n10 < 22 0D..13\n10 ! SENT\n", "" },
    { "flow_control_is_ignored_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES,
      "5 > 30 01 7F\n5 > 31 00 00\n5 > 32 00 00\n5 > 3F 00 00\n",
      AFTER_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES },
    { "unknown_frames_are_ignored_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES, "5 > 40 00*7\n5 > F1 00*7\n5 > 70\n",
      AFTER_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES },
    { "malformed_frames_are_ignored_in_both_directions_between_our_frames",
      BEFORE_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES,
      "5 > 00\n5 > 05 01\n5 > 10 02 00*6\n5 > 10 14 00*5\n5 > 10 00 00 00 0F FF 00 00\n"
      "5 > 21\n5 > 30 00\n",
      AFTER_IN_BOTH_DIRECTIONS_BETWEEN_OUR_FRAMES },
};
enum { CELLS = sizeof cells / sizeof cells[0] };

static void run_cell(void **state)
{
    const size_t *cell = *state;
    transcript_add("%s%s%s", cells[*cell].before, cells[*cell].frames, cells[*cell].after);
    transcript_added(&plain);
}

int main(void)
{
    struct CMUnitTest tests[CELLS] = { { 0 } };
    size_t numbers[CELLS];
    for (size_t i = 0; i < CELLS; i++) {
        numbers[i] = i;
        tests[i] = (struct CMUnitTest){ cells[i].name, run_cell, NULL, NULL, &numbers[i] };
    }
    return cmocka_run_group_tests_name("isotp unexpected", tests, NULL, NULL);
}
