// tester.h - one UDS request at a time over ISO-TP, to one device or to all, as a machine without I/O.
// SPDX-License-Identifier: Apache-2.0
//
//     tester_init(&t, &cfg, bus_clock());
//     const machine_t machine = MACHINE(tester, &t); // drive.h, after MACHINE_VERBS(tester)
//     tester_start(&t, request, len, bus_clock());
//     tester_events_t ev;
//     do {
//         ev = drive(bus, &machine, USEC_NEVER);
//         if (ev & TESTER_ANSWER) use(t.from, t.message, t.message_len);
//     } while (ev && !(ev & TESTER_OVER));
//     if (!t.answers) fail(tester_why(&t, error, sizeof error)); // nobody answered
//
// Threads: none inside. Memory: tester_t, the caller's, 70 KiB. Time: constant per call.
#ifndef TESTER_H
#define TESTER_H

#include "isotp.h"
#include "uds_client.h"

enum {
    TESTER_NONE = 0,
    TESTER_ANSWER = 1,  // a response, positive or negative, 0x78 aside: from, message, message_len
    TESTER_PENDING = 2, // a 0x78: from
    TESTER_OVER = 4,    // nothing more will come; answers, and why if there are none
};
typedef unsigned tester_events_t;

typedef enum {
    TESTER_OK,     // also: no response was wanted, and none came
    TESTER_SILENT, // client.timer says which timer
    TESTER_LOST,   // the request did not get through: why_isotp
} tester_why_t;

enum { TESTER_CHANNELS = 16, TESTER_MESSAGE_MAX = 4095 };

typedef struct {
    isotp_cfg_t isotp;      // to one device
    isotp_cfg_t functional; // to all
    uds_client_cfg_t client;
    bool
        to_all; // requests go to all; all answers are collected, from device IDs that the standard knows
} tester_cfg_t;

typedef struct {
    isotp_cfg_t cfg;
    isotp_t tp;
    uint32_t at;    // bytes of the message received
    usec_t pending; // to all: until when an answer is awaited after a 0x78; 0: there was none
    uint8_t message[TESTER_MESSAGE_MAX];
} tester_channel_t;

typedef struct {
    const tester_cfg_t *cfg;
    uint32_t from;          // read, with ANSWER and PENDING: the identifier
    const uint8_t *message; // read, with ANSWER: valid until the next call
    uint32_t message_len;
    unsigned answers;      // read: responses to this request
    usec_t asked;          // read: when its last frame had left
    tester_why_t why;      // read, with OVER
    isotp_why_t why_isotp; // read, with TESTER_LOST
    uds_client_t client;   // read
    usec_t window;         // to all: until when answers are awaited
    const uint8_t *request;
    uint32_t request_len;
    isotp_t functional;
    unsigned channels;
    tester_channel_t channel[TESTER_CHANNELS]; // [0]: the one device
    uint8_t flight[32];                        // who sent the frames that the driver has
    unsigned flights, shown;
} tester_t;

/// Borrows cfg for its whole life.
void tester_init(tester_t *t, const tester_cfg_t *cfg, usec_t now);

/// Sends a request of 1..4095 bytes; borrows it until TESTER_OVER. False, and nothing is done: it does not
/// fit a single frame, which requests to all must.
bool tester_start(tester_t *t, const uint8_t *request, uint32_t len, usec_t now);

/// Why there is no answer: a sentence without a full stop. Returns text.
const char *tester_why(const tester_t *t, char *text, size_t cap);

// The one shape: see isotp.h.
tester_events_t tester_input(tester_t *t, const can_frame_t *frame, usec_t now);
const can_frame_t *tester_output(tester_t *t, usec_t now);
void tester_taken(tester_t *t, usec_t now);
tester_events_t tester_sent(tester_t *t, usec_t now);
void tester_lost(tester_t *t);
usec_t tester_deadline(const tester_t *t);
tester_events_t tester_tick(tester_t *t, usec_t now);

#endif
