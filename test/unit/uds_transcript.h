// uds_transcript.h - runs a test of the UDS server written as a log of messages, on a virtual clock.
// SPDX-License-Identifier: Apache-2.0
//
//     uds_transcript(&cfg, "0    > 10 03\n"                // the tester asks
//                          "0    ! SESSION? 3\n"           // the device is called, and answers OK
//                          "0    ! SESSION 3\n"            // this is reported
//                          "0    < 50 03 00 32 01 F4\n"    // the response is handed over
//                          "5000 ! SESSION 1\n");          // S3 is over
//
// A line is: time in ms, what, text; `;` begins a comment. The log must be complete: whatever happens besides, up to 100 s
// after the last line, fails the test as a missing line does. (But for the session running out in these 100 s.)
// `CC*5` are five bytes CC, and so are five in a row in what is compared.
//
// Stimuli are `>` (a physical request; long ones come in pieces, as ISO-TP brings them), `F` (a functional one) and `*`:
//
//     * begin N       a physical request of N bytes begins
//     * data BYTES    its bytes
//     * end           it is complete
//     * break         it will not be completed
//     * defer         the next call is not answered, until
//     * answer [NRC [BYTES]]  the call is answered: BYTES are put before
//     * next NRC [BYTES]      the next call is answered like this, at once
//     * driver off    the transport takes nothing until `driver on`
//     * confirm D     responses have left D ms after they were taken (the beginning: at once)
//     * stray         something has left that nobody knows of
//     * asleep        nobody looks at the clock, until `awake`
//     * wait N        may the device wait N ms? Logs `! may wait` or `! may not wait`
//     * stop          the device gives the download up
//     * state         logs session, U (unlocked), controlType, D (DTCs off), T (transfer) received/size, if any
//
// What the device answers by itself: anything OK; a DID other than F190, F18C, FD10..FD13 is unknown; the seed is
// 01 02 ...; the key must be as many bytes AA.
#ifndef UDS_TRANSCRIPT_H
#define UDS_TRANSCRIPT_H

#include "uds_server.h"

/// A server with something of everything: blocks of 256 data bytes.
#define UDS_CFG(LEVEL, ...)                                                                        \
    {                                                                                              \
        .dids = uds_test_dids, .did_count = 3, .routines = uds_test_routines, .routine_count = 6,  \
        .level = LEVEL, .block_max = 0x102, __VA_ARGS__                                            \
    }
extern const uds_did_t uds_test_dids[3];
extern const uds_routine_t uds_test_routines[6];
extern const uds_server_cfg_t uds_test_cfg;

/// Fails the cmocka test, and prints both logs, when what happened is not the log.
void uds_transcript(const uds_server_cfg_t *cfg, const char *log);

/// The same conversation without times: one request after the other, with the device's own answers.
extern uds_server_t uds_asked;
extern unsigned uds_calls; // of the device, since uds_ask_begin()
void uds_ask_begin(const uds_server_cfg_t *cfg);
void uds_ask_next(uds_nrc_t nrc); // of the next call
void uds_ask_wait(uint32_t ms);
/// Returns the response as text, or "" for none. `F ` in front: functional. Several requests: `;` between them, the
/// last response is returned, and all before must be positive or none.
const char *uds_ask(const char *request);
/// The same without text; the response's length, 0 if none.
uint32_t uds_ask_bytes(const uint8_t *request, uint32_t len, bool functional, uint8_t *response);

#endif
