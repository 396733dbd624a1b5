// uds_client.h - ISO 14229-1/-2 client: one request at a time, its timers, what comes back.
// SPDX-License-Identifier: Apache-2.0
//
//     uds_client_init(&c, &cfg, now());
//     uds_client_start(&c, request, len, false, now()); // give it to ISO-TP as well
//     ev |= uds_client_sent(&c, now());                 // its last frame has left: P2 starts
//     uds_client_begin(&c, now());                      // first frame of a message: P2 stops
//     ev |= uds_client_input(&c, message, len, now());  // complete. Lost: uds_client_break()
//     ev |= uds_client_tick(&c, now());                 // by uds_client_deadline()
//     if (ev & UDS_CLIENT_SEND) send_again(request);    // the server was busy (0x21)
//     if (ev & UDS_CLIENT_PRESENT) send_to_all(0x3E, 0x80);
//     if (ev & UDS_CLIENT_POSITIVE) use(c.response, c.response_len);
//     if (ev & UDS_CLIENT_NEGATIVE) explain(c.nrc);
//     if (ev & UDS_CLIENT_TIMEOUT) explain(c.timer);
//
// Threads: none inside; one caller at a time. Memory: uds_client_t, the caller's. Time: constant per
// call.
#ifndef UDS_CLIENT_H
#define UDS_CLIENT_H

#include "uds.h"

enum {
    UDS_CLIENT_NONE = 0,
    UDS_CLIENT_POSITIVE = 1, // the request is over: response, or none was wanted and none came
    UDS_CLIENT_NEGATIVE = 2, // the request is over: nrc
    UDS_CLIENT_TIMEOUT = 4,  // the request is over: timer
    UDS_CLIENT_SEND = 8,     // the same request is to be sent again
    UDS_CLIENT_PENDING = 16, // 0x78 came: pending counts them, pending_since
    UDS_CLIENT_PRESENT = 32, // a functional TesterPresent (3E 80) is due
};
typedef unsigned uds_client_events_t;

typedef enum {
    UDS_TIMER_P2,        // no response within P2client
    UDS_TIMER_P2_STAR,   // nothing more within P2*client after a 0x78
    UDS_TIMER_PENDING,   // 0x78 for longer than cfg.pending_limit_ms
    UDS_TIMER_BUSY,      // 0x21 each time
    UDS_TIMER_TRANSPORT, // the response broke off on the way
} uds_timer_t;

typedef struct {
    uint32_t p2_ms,
        p2_star_ms;     // P2server, P2*server until a session response says others; 0: 50, 5000
    uint32_t margin_ms; // added to both: bus, adapter, scheduling
    uint32_t pending_limit_ms; // how long 0x78 may go on altogether; 0: for ever
    uint32_t busy_wait_ms;     // from a 0x21 to the same request again; 0: 100
    uint32_t busy_repeats;     // how often; then UDS_TIMER_BUSY
    uint32_t present_ms;       // S3client: period of TesterPresent while it is wanted; 0: 2000
} uds_client_cfg_t;

typedef enum {
    UDS_CLIENT_IDLE,
    UDS_CLIENT_SENDING,   // the request has not left completely: no timer
    UDS_CLIENT_AWAITING,  // P2 or, once a 0x78 came, P2*
    UDS_CLIENT_RECEIVING, // a message began: the transport's timers watch
    UDS_CLIENT_BUSY,      // the server said 0x21
} uds_client_state_t;

/// Invariants: `request` is borrowed exactly while a request is under way: not IDLE.
typedef struct {
    const uds_client_cfg_t *cfg;
    uds_client_state_t state; // read
    const uint8_t *response;  // read, with POSITIVE: valid during the call; NULL: none was wanted
    uint32_t response_len;
    uds_nrc_t nrc;              // read, with NEGATIVE
    uds_timer_t timer;          // read, with TIMEOUT
    uint32_t p2_ms, p2_star_ms; // read: in force, as the server's last session response said
    bool p2_told;               // read: they are the server's
    bool present;               // read: TesterPresent is wanted
    bool functional;
    uint32_t pending;     // read: 0x78 that came for this request
    usec_t pending_since; // read: when the first one came
    /// read: when the next functional request may be sent (P3client_func): who sends one waits
    usec_t functional_from;
    usec_t deadline;   // of AWAITING and BUSY
    usec_t begun;      // when the message came in that is being received
    usec_t present_at; // when TesterPresent is due
    uint32_t repeats;  // of a 0x21
    const uint8_t *request;
    uint32_t request_len;
} uds_client_t;

/// May these `len` bytes (1 at least) be the positive response to a request (1 byte at least), and not to
/// another one of the same service? Of several identifiers that are read a server may leave out some.
bool uds_client_is_positive(const uint8_t *request, uint32_t request_len, const uint8_t *message,
                            uint32_t len);

/// Does a request forbid its positive response (bit 7 of the sub-function)?
bool uds_client_is_silent(const uint8_t *request, uint32_t len);

/// Borrows cfg for its whole life.
void uds_client_init(uds_client_t *c, const uds_client_cfg_t *cfg, usec_t now);

/// A request begins to be sent. Borrows it until it is over. `functional`: no response is an answer, too; and
/// if none is wanted the request is over as soon as it has left.
void uds_client_start(uds_client_t *c, const uint8_t *request, uint32_t len, bool functional,
                      usec_t now);

/// It has left completely (L_Data.con of its last frame).
uds_client_events_t uds_client_sent(uds_client_t *c, usec_t now);

/// A message of the server's begins, is complete, or will not be. One that does not answer this request
/// is ignored: a late response to an earlier one, say. A server may answer before all of the request has
/// left, to refuse it: then the caller stops sending.
void uds_client_begin(uds_client_t *c, usec_t now);
uds_client_events_t uds_client_input(uds_client_t *c, const uint8_t *message, uint32_t len,
                                     usec_t now);
uds_client_events_t uds_client_break(uds_client_t *c, usec_t now);

/// Forgets the request, if there is one.
void uds_client_stop(uds_client_t *c);

/// From now on a session is to be kept alive, or no longer.
void uds_client_keep_present(uds_client_t *c, bool wanted, usec_t now);

/// When to call uds_client_tick(): after each call of another function ask anew.
usec_t uds_client_deadline(const uds_client_t *c);

/// Time has passed.
uds_client_events_t uds_client_tick(uds_client_t *c, usec_t now);

#endif
