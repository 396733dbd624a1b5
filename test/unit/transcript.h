// transcript.h - runs an ISO-TP test written as a bus log, on a virtual clock.
// SPDX-License-Identifier: Apache-2.0
//
//     transcript(&cfg, "0    > 10 0A 22 F1 90 00 01 02  ; the peer starts a 10-byte message\n"
//                      "0    ! BEGIN 10\n"              // and this is reported
//                      "0    < 30 00 00\n"              // we answer, at this moment
//                      "1000 ! RX_FAILED TIMEOUT_CR\n"  // nothing more comes
//
// A line is: time in ms, what, text. The log must be complete: whatever happens besides, up to 100 s after the
// last line, fails the test as a missing line does. Stimuli are `>` (a frame comes in; `> 7E1 01 11` names another ID
// than the configured one, `7E1x` a 29-bit one, `7E1#` a CAN FD frame) and `*`:
//
//     * start N       the application sends N bytes: 00 01 02 ... FF 00 ...   (answers `busy` if refused)
//     * auto BS       from now on the sink grants blocks of BS frames at once (the beginning: auto 0)
//     * stmin XX      from now on with this STmin (the beginning: 00)
//     * hold          from now on it does not
//     * proceed BS    it grants one
//     * refuse        it refuses the rest of the message
//     * driver off    the driver takes no frames until `driver on`
//     * lost          the driver drops what it took and has not confirmed
//     * stray         it confirms a frame that nobody knows of
//     * confirm D     the driver confirms frames D ms after it took them (the beginning: at once)
#ifndef TRANSCRIPT_H
#define TRANSCRIPT_H

#include "isotp.h"

/// Fails the cmocka test, and prints both logs, when what happened is not the log.
void transcript(const isotp_cfg_t *cfg, const char *log);

/// The bytes of the message received last, up to 64 KiB.
extern uint8_t transcript_data[65536];
extern size_t transcript_len;

#endif
