// isotp.h - ISO 15765-2 (ISO-TP): long messages over CAN frames, both ways at once, on one ID pair.
// SPDX-License-Identifier: Apache-2.0
//
//     isotp_init(&tp, &cfg); // cfg: ISOTP_CFG_DEFAULT with the two IDs set
//     for (;;) {
//         isotp_events_t ev = isotp_tick(&tp, now());
//         if (can_receive(&frame)) ev |= isotp_input(&tp, &frame, now());
//         if (ev & ISOTP_RX_FAILED) forget_message(tp.rx.why);
//         if (ev & ISOTP_RX_BEGIN) expect(tp.rx.len);
//         if (ev & ISOTP_RX_DATA) store(tp.rx.at, tp.rx.data, tp.rx.data_len);
//         if (ev & ISOTP_RX_END) handle_message();
//         const uint32_t wanted = isotp_wanted(&tp);
//         if (wanted > 0 && wanted <= room()) isotp_proceed(&tp, 0, now());
//         while ((out = isotp_output(&tp, now())) && can_send(out)) ev |= isotp_sent(&tp, now());
//         if (ev & (ISOTP_SENT | ISOTP_TX_FAILED)) release_message(); // of isotp_start()
//         sleep_until(isotp_deadline(&tp)); // or a frame, or more room to receive or to send
//     }
//
// A message is not collected here: its bytes are passed on frame by frame, so memory does not grow
// with it. The receiver of those bytes (the sink) commands the flow control: after a First Frame
// and after each block nothing more comes until isotp_proceed();
// meanwhile the peer is told to WAIT.
//
// Classic CAN, normal addressing with 11- or 29-bit IDs. Clauses are those of ISO 15765-2:2016.
// Threads: none inside; one caller at a time. Memory: isotp_t, the caller's.
// Time: constant per call.
#ifndef ISOTP_H
#define ISOTP_H

#include "can.h"

/// What a call reports: a set, because one frame can end one message and begin another.
enum {
    ISOTP_NONE = 0,
    ISOTP_RX_FAILED = 1, // a message whose beginning was reported will not be completed: rx.why
    ISOTP_RX_BEGIN = 2,  // a message of rx.len bytes begins
    ISOTP_RX_DATA = 4,   // its bytes from rx.at on: rx.data_len at rx.data, inside the frame given
    ISOTP_RX_END = 8,    // it is complete
    ISOTP_SENT = 16,     // the message given to isotp_start() has left; its memory is free again
    ISOTP_TX_FAILED = 32 // it has not: tx.why; its memory is free again
};
typedef unsigned isotp_events_t; // to be looked at in the order above

/// Why a message failed: the standard's N_Result (9.3.4).
typedef enum {
    ISOTP_OK = 0,
    ISOTP_TIMEOUT_A,    // our frame did not leave within N_As (N_Ar): no bus, nobody acknowledges
    ISOTP_TIMEOUT_BS,   // no flow control from the peer within N_Bs
    ISOTP_TIMEOUT_CR,   // no consecutive frame from the peer within N_Cr
    ISOTP_WRONG_SN,     // a frame was lost, repeated or out of order
    ISOTP_INVALID_FS,   // the peer's flow status is a reserved one
    ISOTP_UNEXP_PDU,    // another message began before this one was complete
    ISOTP_WFT_OVRN,     // the sink was not ready after wft_max times WAIT
    ISOTP_BUFFER_OVFLW, // the peer refused the message as too long
} isotp_why_t;

typedef struct {
    uint32_t tx_id, rx_id; // what we send on, what we listen to
    bool ext;              // both are 29-bit identifiers
    bool pad;              // fill frames up to 8 bytes
    uint8_t pad_byte;      // with this; 0xCC causes few stuff bits
    /// As receiver: the gap we ask for, as the standard codes it: 0x00..0x7F ms,
    /// 0xF1..0xF9 x 100 us.
    uint8_t stmin;
    uint8_t wft_max;   // N_WFTmax: how often in a row we say WAIT before we give the message up
    usec_t n_as, n_ar; // limit for one frame of ours to leave, as sender and as receiver
    usec_t n_bs, n_cr; // limits for the peer's next flow control, next consecutive frame
    /// As sender: leave at least this between consecutive frames, whatever the peer asks for.
    usec_t min_gap;
    /// How long we hold back a flow control before we say WAIT.
    /// Keep n_br + n_ar < 0.9 x the peer's N_Bs.
    usec_t n_br;
} isotp_cfg_t;

/// The standard's defaults (Table 16), no padding, up to 28 s of WAIT.
#define ISOTP_CFG_DEFAULT                                                                          \
    {                                                                                              \
        .pad_byte = 0xCC, .wft_max = 40, .n_as = 1000 * USEC_MS, .n_ar = 1000 * USEC_MS,           \
        .n_bs = 1000 * USEC_MS, .n_cr = 1000 * USEC_MS, .n_br = 700 * USEC_MS                      \
    }

enum { ISOTP_IN_FLIGHT_MAX = 8 }; // frames taken by the driver and not yet confirmed

typedef enum {
    ISOTP_RX_IDLE,
    ISOTP_RX_HELD, // a flow control is owed: isotp_proceed() or isotp_refuse()
    ISOTP_RX_CTS,  // the sink said go; our flow control waits for the driver
    ISOTP_RX_CF,   // consecutive frames are awaited
} isotp_rx_state_t;

typedef enum {
    ISOTP_TX_IDLE,
    ISOTP_TX_SEND,  // a frame is to be sent, now or after STmin
    ISOTP_TX_FLOW,  // the peer's flow control is awaited
    ISOTP_TX_DRAIN, // the driver has the last frame; its confirmation is awaited
} isotp_tx_state_t;

/// Invariants: at <= len. HELD, CTS, CF: at + data_len < len. `deadline` is USEC_NEVER exactly when
/// there is nothing to wait for: state IDLE and no flow control to send.
typedef struct {
    isotp_rx_state_t state; // read
    usec_t deadline;
    const uint8_t *data; // read, with ISOTP_RX_DATA
    uint8_t data_len;    // read, 1..7
    uint32_t len;        // read: the message's length
    uint32_t at;         // read: where in the message `data` belongs
    isotp_why_t why;     // read, with ISOTP_RX_FAILED; stays until the next failure
    uint8_t block_size;  // of the last CTS; 0: no limit
    uint8_t left;        // frames until the end of the block
    uint8_t sn;          // expected next, 0..15
    uint8_t waits;       // WAITs sent in a row
    uint8_t fc;          // flow status to send next, FC_NONE: none
    bool fc_in_flight;   // the driver has a flow control of ours
    bool cts_given;      // at least one block was granted: no OVFLW any more (9.6.5.2)
} isotp_rx_t;

/// Invariants: at <= len; at == len exactly in DRAIN. `deadline` is USEC_NEVER exactly when IDLE.
typedef struct {
    isotp_tx_state_t state; // read
    /// SEND: when the frame is due or, once offered, when N_As is over; FLOW: N_Bs; DRAIN: N_As.
    usec_t deadline;
    const uint8_t *msg;
    uint32_t len;      // read
    uint32_t at;       // read: bytes handed to the driver
    usec_t gap;        // the peer's STmin
    isotp_why_t why;   // read, with ISOTP_TX_FAILED; stays until the next failure
    uint8_t left;      // frames until the next flow control, 0: none will come
    uint8_t sn;        // of the next frame
    uint8_t in_flight; // frames of messages that the driver has
    bool offered;      // SEND: isotp_output() has shown the frame; N_As counts the wait from then
    bool gap_open;     // SEND: the gap starts when the frame in flight is confirmed
} isotp_tx_t;

typedef struct {
    const isotp_cfg_t *cfg;
    isotp_rx_t rx;
    isotp_tx_t tx;
    uint8_t flight; // frames the driver has, oldest in bit 0; 1: flow control, 0: part of a message
    uint8_t flight_count; // 0..ISOTP_IN_FLIGHT_MAX
    uint8_t offer;        // what isotp_output() returned last
    uint8_t offer_len;    // bytes of the message in it
    can_frame_t out;
} isotp_t;

/// Starts a channel. Borrows cfg for its whole life.
void isotp_init(isotp_t *tp, const isotp_cfg_t *cfg);

/// A frame came in. Frames with other IDs are ignored,
/// so are malformed and unexpected ones (9.8.3).
isotp_events_t isotp_input(isotp_t *tp, const can_frame_t *frame, usec_t now);

/// What to send now, or NULL. Stays the same until isotp_sent(), isotp_taken() or another call
/// here: if the driver has no room, do nothing and ask again later.
const can_frame_t *isotp_output(isotp_t *tp, usec_t now);

/// The driver copied the frame that isotp_output() just returned, and will confirm it later: for
/// drivers with a queue. Without it, isotp_sent() means both.
void isotp_taken(isotp_t *tp, usec_t now);

/// A frame has left the node (L_Data.con): the oldest one taken, or the one just returned by
/// isotp_output(). The clocks of N_Bs, N_Cr and STmin start here.
isotp_events_t isotp_sent(isotp_t *tp, usec_t now);

/// The driver lost the frames it had taken (bus-off, reset): none of them will be confirmed. A message
/// of which some were under way fails, at the latest after N_As or N_Bs.
void isotp_lost(isotp_t *tp);

/// Call isotp_tick() and isotp_output() by then.
usec_t isotp_deadline(const isotp_t *tp);
isotp_events_t isotp_tick(isotp_t *tp, usec_t now);

/// Starts sending `len` bytes (1..2^32-1). Borrows `msg` until ISOTP_SENT or ISOTP_TX_FAILED is
/// reported. Returns false, and does nothing, while an earlier message is still being sent.
bool isotp_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now);

/// Bytes that the peer has left to send and waits for our flow control with; 0: none is owed.
uint32_t isotp_wanted(const isotp_t *tp);

/// The sink can take the next `block_size` frames of 7 bytes (0: all the rest): clear to send. Does
/// nothing if no flow control is owed. Keep block_size the same for the whole of a message: some
/// senders believe the first one only.
void isotp_proceed(isotp_t *tp, uint8_t block_size, usec_t now);

/// The sink does not want the rest of the message: OVFLW directly after its First Frame; later
/// the standard has no word for it, and the peer runs into its N_Bs.
/// Ends the reception without a report.
void isotp_refuse(isotp_t *tp, usec_t now);

#endif
