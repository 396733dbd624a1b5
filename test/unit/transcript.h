// transcript.h - runs an ISO-TP test written as a bus log, on a virtual clock.
// SPDX-License-Identifier: Apache-2.0
//
//     transcript(&cfg, "0    > 10 0A 22 F1 90 00 01 02  ; the peer starts a 10-byte message\n"
//                      "0    ! BEGIN 10\n"              // and this is reported
//                      "0    < 30 00 00\n"              // we answer, at this moment
//                      "1000 ! RX_FAILED TIMEOUT_CR\n"  // nothing more comes
//
// A line is: time in ms, what, text. The log must be complete: whatever happens besides, up to 100 s after the
// last line, fails the test as a missing line does; then the channel must be at rest. `CC*5` are five bytes CC, `06..0C`
// the bytes from 06 to 0C. Frames are classic ones; `##0` before the bytes makes it CAN FD, `##1` CAN FD with the second
// bit rate (BRS), as candump prints them.
//
// Stimuli are `>` (a frame comes in; `> 7E1 01 11` names another ID than the configured one, `7E1x` a 29-bit one,
// `7E1##0` a CAN FD frame) and `*`:
//
//     * start N       the application sends N bytes: 00 01 02 ... FF 00 ...   (answers `busy` if refused)
//     * startfrom N   the same bytes, from a source
//     * source off    that source has nothing until `source on`
//     * cancel        the application does not want to send any more
//     * auto BS       from now on the sink grants blocks of BS frames at once (the beginning: auto 0)
//     * stmin XX      from now on with this STmin (the beginning: 00)
//     * hold          from now on it does not
//     * proceed BS    it grants one
//     * refuse        it refuses the rest of the message
//     * strict        from now on frames that are not isotp_well_padded() are dropped
//     * driver off    the driver takes no frames until `driver on`
//     * driver N      it takes N frames and no more
//     * asleep        nobody asks for frames or looks at the clock, until `awake`
//     * tick          the clock is looked at without need
//     * lost          the driver drops what it took and has not confirmed
//     * stray         it confirms a frame that nobody knows of
//     * confirm D     the driver confirms frames D ms after it took them (the beginning: at once)
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "isotp.h"

/// The channel of most tests: 7E0 to 7E8, 1 s for the peer and the driver, WAIT after 0.7 s.
#define CFG(...)                                                                                   \
    {                                                                                              \
        .tx_id = 0x7E8, .rx_id = 0x7E0, .n_as = 1000 * USEC_MS, .n_ar = 1000 * USEC_MS,            \
        .n_bs = 1000 * USEC_MS, .n_cr = 1000 * USEC_MS, .n_br = 700 * USEC_MS, __VA_ARGS__         \
    }

/// The same channel with another limit for each clock: the wrong one is never right by chance.
#define CFG_APART                                                                                  \
    {                                                                                              \
        .tx_id = 0x7E8, .rx_id = 0x7E0, .wft_max = 1, .n_as = 110 * USEC_MS,                       \
        .n_ar = 120 * USEC_MS, .n_bs = 130 * USEC_MS, .n_cr = 140 * USEC_MS, .n_br = 50 * USEC_MS  \
    }

/// Fails the cmocka test, and prints both logs, when what happened is not the log.
void transcript(const isotp_cfg_t *cfg, const char *log);

/// The same with a second channel, which gets all frames too; its events are `! functional BEGIN 2`.
void transcript_of_two(const isotp_cfg_t *cfg, const isotp_cfg_t *functional, const char *log);

/// Adds to a log that is put together piece by piece; transcript_added() runs and empties it.
void transcript_add(const char *format, ...) __attribute__((format(printf, 1, 2)));
void transcript_added(const isotp_cfg_t *cfg);

/// The bytes of the message received last, up to 64 KiB.
extern uint8_t transcript_data[65536];
extern size_t transcript_len;

#endif
