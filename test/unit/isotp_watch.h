// isotp_watch.h - an onlooker of one ISO-TP channel: all calls go through it, and it knows what each may do.
// SPDX-License-Identifier: Apache-2.0
//
//     watch_fail = stop_and_tell;
//     watch_init(&w, &cfg, 0);
//     watch_input(&w, &frame);
//     if (watch_output(&w)) watch_sent(&w);
//     watch_wait(&w, 1000);
//     watch_tick(&w);
//     watch_settle(&w);
//
// It is a second, slow ISO-TP, which reads the standard's tables frame by frame and keeps every time in full. Before
// each call it says which events, which frame and which deadline must come of it; what differs is handed to
// watch_fail(). It allocates nothing and points to nothing of itself: a copy of a watch_t is another history.
// Shared by test_isotp_histories and the fuzzers.
#ifndef ISOTP_WATCH_H
#define ISOTP_WATCH_H

#include "isotp.h"

enum { WATCH_MESSAGE_MAX = 4200 }; // bytes of a message that is sent from memory

typedef enum {
    WATCH_RX_IDLE, // or an OVFLW waits for the driver
    WATCH_RX_HELD, // a flow control is owed
    WATCH_RX_WAIT, // the same, a WAIT is on its way
    WATCH_RX_CTS,  // the sink has said go, the driver has not taken the CTS
    WATCH_RX_GO,   // it has; consecutive frames are awaited
    WATCH_RX_CF,   // the CTS or a consecutive frame was the last that happened
} watch_rx_state_t;

typedef enum {
    WATCH_TX_IDLE,
    WATCH_TX_OFFER, // a frame may go
    WATCH_TX_GAP,   // the driver has a frame, STmin follows
    WATCH_TX_PAUSE, // STmin
    WATCH_TX_AWAIT, // the driver has the last frame of a block
    WATCH_TX_FLOW,  // flow control is awaited
    WATCH_TX_DRAIN, // the driver has the last frame
    WATCH_TX_LOST,  // the driver lost a frame, nobody was told yet
} watch_tx_state_t;

typedef enum { WATCH_NOTHING, WATCH_FC, WATCH_MESSAGE } watch_kind_t;

typedef struct {
    isotp_t tp;
    const isotp_cfg_t *cfg;
    usec_t now, ticked; // ticked: when isotp_tick() was called last
    bool ready;         // to be set: whether the source of bytes has any
    bool prompt;        // so far no time passed while the driver had, or could have had, a frame
    watch_kind_t offered;
    uint8_t taken;     // frames the driver has
    uint32_t messages; // bit i: the i-th of them, oldest first, is not a flow control
    uint8_t mine;      // how many of those belong to the present message

    watch_rx_state_t rx;
    usec_t rx_since;
    uint32_t rx_len, rx_got;
    uint32_t rx_block; // frames left of it, modulo 2^32: the beginning is 0 for no limit
    uint8_t rx_cf;     // bytes in a full consecutive frame
    uint8_t rx_sn, rx_waits;
    bool rx_first; // nothing but the First Frame came yet
    bool rx_fd;
    uint8_t fc[3]; // the flow control to be sent; 0: none

    watch_tx_state_t tx;
    usec_t tx_since, tx_shown; // tx_shown: when a frame was shown last
    uint32_t tx_len, tx_at;
    uint32_t tx_block;
    uint32_t tx_gap;
    uint32_t tx_waits;
    uint8_t tx_sn;
    bool tx_source; // not from memory
} watch_t;

/// Told what is wrong; must not return.
extern void (*watch_fail)(const char *what);

void watch_init(watch_t *w, const isotp_cfg_t *cfg, usec_t now);
isotp_events_t watch_input(watch_t *w, const can_frame_t *f);
const can_frame_t *watch_output(watch_t *w);

/// Both directly after watch_output(); or watch_sent() for a frame taken, or a stray confirmation.
void watch_taken(watch_t *w);
isotp_events_t watch_sent(watch_t *w);
void watch_lost(watch_t *w);

/// Moves the clock; watch_tick() may follow or not.
void watch_wait(watch_t *w, usec_t duration);
isotp_events_t watch_tick(watch_t *w);

/// A message of these bytes, watch_byte(0) and so on; from memory up to WATCH_MESSAGE_MAX.
bool watch_start(watch_t *w, uint32_t len, bool source);
uint8_t watch_byte(uint32_t at);
void watch_cancel(watch_t *w);
void watch_proceed(watch_t *w, uint8_t block_size, uint8_t stmin);
void watch_refuse(watch_t *w);

/// Left alone, with a driver that works, the channel comes to rest.
void watch_settle(watch_t *w);

#endif
