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
//         if (wanted > 0 && wanted <= room()) isotp_proceed(&tp, 0, 0, now());
//         while ((out = isotp_output(&tp, now())) && can_send(out)) ev |= isotp_sent(&tp, now());
//         if (ev & (ISOTP_SENT | ISOTP_TX_FAILED)) release_message(); // of isotp_start()
//         sleep_until(isotp_deadline(&tp)); // or a frame, or more room to receive or to send
//     }
//
// A message is not collected here: its bytes are passed on frame by frame, and fetched frame by
// frame, so memory does not grow with it. The receiver of those bytes (the sink) commands the flow
// control: after a First Frame and after each block nothing more comes until isotp_proceed();
// meanwhile the peer is told to WAIT.
//
// Classic CAN and CAN FD; 11- and 29-bit IDs; normal, normal fixed, extended and mixed addressing;
// a functional channel is one more isotp_t. Full duplex (9.8.3). Clauses: ISO 15765-2:2016.
// Threads: none inside; one caller at a time; not from inside a source. Memory: isotp_t, the
// caller's. Time: constant per call.
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
    ISOTP_WFT_OVRN,     // too many WAITs in a row: our sink was not ready, or (sender) the peer's
    ISOTP_BUFFER_OVFLW, // the peer refused the message as too long
} isotp_why_t;

/// Fills `len` bytes (1..63) of the message, from its byte `at` on. Called by isotp_output(), for
/// one piece after the other. False: they are not there yet. The next isotp_output() asks again; once
/// the message has begun, it fails when that goes on for longer than N_As.
typedef bool isotp_source_t(void *ctx, uint32_t at, uint8_t *to, size_t len);

/// 29-bit identifiers of ISO 15765-2 (10.3.3, 10.3.5) for normal fixed and for mixed addressing:
/// | N_TA << 8 | N_SA. Priority 6, as the standard recommends.
enum {
    ISOTP_ID_FIXED = 0x18DA0000,
    ISOTP_ID_FIXED_FUNCTIONAL = 0x18DB0000,
    ISOTP_ID_MIXED = 0x18CE0000,
    ISOTP_ID_MIXED_FUNCTIONAL = 0x18CD0000,
};

typedef struct {
    uint32_t tx_id, rx_id; // what we send on, what we listen to
    bool ext;              // both are 29-bit identifiers
    /// The first data byte of every frame is an address: extended addressing (the peer's N_TA in
    /// tx_address, our own in rx_address) or mixed addressing (N_AE in both).
    bool prefixed;
    uint8_t tx_address, rx_address;
    /// For requests to all nodes at once (N_TAtype functional): single frames only, both ways.
    bool functional;
    bool pad;         // fill frames up to 8 bytes; CAN FD frames of more than 8 always are
    uint8_t pad_byte; // with this; 0xCC causes few stuff bits
    /// CAN FD frames; without it they are ignored. With it classic ones are still understood, and
    /// answered by a classic flow control.
    bool fd;
    bool brs;        // CAN FD frames are sent with the second bit rate
    uint8_t tx_dl;   // TX_DL, the longest frame we send: 8, 12, 16, 20, 24, 32, 48, 64; 0 means 8
    uint8_t wft_max; // N_WFTmax: how often in a row we say WAIT before we give the message up
    /// As sender: how many WAITs in a row we believe. 0: any number, as the standard has it.
    uint8_t wft_patience;
    // All in microseconds, below 2^30 (17 minutes).
    uint32_t n_as, n_ar; // limit for one frame of ours to leave, as sender and as receiver
    uint32_t n_bs, n_cr; // limits for the peer's next flow control, next consecutive frame
    /// How long we hold back a flow control before we say WAIT.
    /// Keep n_br + n_ar < 0.9 x the peer's N_Bs.
    uint32_t n_br;
    /// As sender: leave at least this between consecutive frames, whatever the peer asks for.
    uint32_t min_gap;
} isotp_cfg_t;

/// The standard's defaults (Table 16), no padding, up to 28 s of WAIT.
#define ISOTP_CFG_DEFAULT                                                                          \
    {                                                                                              \
        .pad_byte = 0xCC, .wft_max = 40, .n_as = 1000 * USEC_MS, .n_ar = 1000 * USEC_MS,           \
        .n_bs = 1000 * USEC_MS, .n_cr = 1000 * USEC_MS, .n_br = 700 * USEC_MS                      \
    }

enum { ISOTP_IN_FLIGHT_MAX = 31 }; // frames taken by the driver and not yet confirmed

/// Each state has one clock, which runs since the state was entered; one that waits for a frame to
/// leave (N_As, N_Ar), since isotp_output() first showed that frame. Odd states wait for the driver
/// to confirm what it has taken; then the even one below is entered.
typedef enum {
    ISOTP_RX_IDLE = 0, // none (N_Ar while an OVFLW is to be sent)
    ISOTP_RX_HELD = 2, // N_Br: a flow control is owed: isotp_proceed() or isotp_refuse()
    ISOTP_RX_WAIT = 3, // N_Ar: the same, and our WAIT has not left yet
    ISOTP_RX_CTS = 4,  // N_Ar: the sink said go; our flow control waits for the driver
    ISOTP_RX_CF = 6,   // N_Cr: consecutive frames are awaited
    ISOTP_RX_GO = 7,   // N_Ar: the same, and our CTS has not left yet
} isotp_rx_state_t;

typedef enum {
    ISOTP_TX_IDLE = 0,  // none
    ISOTP_TX_DRAIN = 1, // N_As: the driver has the last frame of the message
    ISOTP_TX_PAUSE = 2, // STmin
    ISOTP_TX_GAP = 3,   // N_As: STmin begins when the frame that the driver has has left
    ISOTP_TX_FLOW = 4,  // N_Bs: flow control is awaited
    ISOTP_TX_AWAIT = 5, // N_As: the same, but the driver still has the last frame of the block
    ISOTP_TX_OFFER = 6, // N_As: a frame is to be sent
    ISOTP_TX_LOST = 8,  // over: the driver lost a frame; isotp_tick() reports it
} isotp_tx_state_t;

/// Invariants. IDLE exactly while no message is between BEGIN and its end. at + data_len bytes of
/// it were received (modulo 2^32: from the first CTS on `at` runs one frame ahead), less than len
/// unless IDLE. run != 0 only in CF. pci is a byte exactly while run != 0.
typedef struct {
    isotp_rx_state_t state; // read
    uint32_t since;         // when its clock started, low half of the time
    uint32_t limit;         // how long it may run
    uint32_t run;           // ordinary frames (see isotp.c) that come before the `left` ones
    uint32_t left;          // frames until the end of the block, modulo 2^32 if it has none
    uint32_t pci;           // of the consecutive frame awaited; above 0xFF: it is not ordinary
    uint32_t cf_len;        // read: bytes of the message in a full consecutive frame of this sender
    uint32_t at;            // read, with ISOTP_RX_DATA: where in the message `data` belongs
    uint32_t data_len;      // read, with ISOTP_RX_DATA: 1..63
    uint32_t len;           // read: the message's length
    const uint8_t *data;    // read, with ISOTP_RX_DATA
    isotp_why_t why;        // read, with ISOTP_RX_FAILED; stays until the next failure
    uint32_t waits;         // WAITs that may still be sent
} isotp_rx_t;

/// Invariants. IDLE exactly while no message is between isotp_start() and its end. at <= len, equal
/// exactly in DRAIN. run != 0 only in OFFER.
typedef struct {
    isotp_tx_state_t state; // read
    uint32_t since;         // when its clock started, low half of the time
    uint32_t limit;         // how long it may run
    uint32_t run;           // ordinary frames (see isotp.c) that come before the `left` ones
    uint32_t left;          // frames until the next flow control, modulo 2^32 if there is none
    uint32_t at;            // read: bytes handed to the driver
    uint32_t len;           // read
    uint32_t pci;           // of the next consecutive frame
    const uint8_t *msg;     // NULL: `source`
    uint32_t piece;         // bytes of the message in the frame shown, unless that is ordinary
    uint32_t gap;           // STmin
    isotp_source_t *source;
    void *ctx;
    isotp_why_t why; // read, with ISOTP_TX_FAILED; stays until the next failure
    uint32_t waits;  // WAITs received in a row
} isotp_tx_t;

/// Invariants. fc != 0 only in WAIT, CTS and, for an OVFLW, IDLE. What is shown is still to be
/// sent: a flow control only while fc != 0, a message's frame only in OFFER.
typedef struct {
    const isotp_cfg_t *cfg;
    uint32_t offer;  // what isotp_output() shows
    uint32_t count;  // frames the driver has, 0..ISOTP_IN_FLIGHT_MAX
    uint32_t flight; // which, oldest in bit 0; 1: of a message, 0: flow control
    uint32_t fc;     // the flow control to send next, its PCI byte lowest; 0: none
    uint32_t clock;  // low half of the time of the last call that was not about an ordinary frame
    uint32_t head;   // address bytes in a frame, 0 or 1
    uint32_t room;   // bytes behind them in the longest frame we send
    isotp_rx_t rx;
    isotp_tx_t tx;
    usec_t now;      // time of the last isotp_tick()
    uint16_t format; // of an ordinary frame of the peer's
    bool peer_fd;    // its message comes in CAN FD frames
    can_frame_t out;
} isotp_t;

/// Starts a channel. Borrows cfg for its whole life.
void isotp_init(isotp_t *tp, const isotp_cfg_t *cfg);

/// A frame came in. Frames with other IDs are ignored,
/// so are malformed and unexpected ones (9.8.3).
isotp_events_t isotp_input(isotp_t *tp, const can_frame_t *frame, usec_t now);

/// What to send now, or NULL. If the driver has no room, do nothing and ask again later: it stays the
/// next frame, even before a flow control that becomes due meanwhile, unless its message ends. The
/// memory it is in is good until the next call.
const can_frame_t *isotp_output(isotp_t *tp, usec_t now);

/// The driver copied the frame that isotp_output() just returned, and will confirm it later: for
/// drivers with a queue. Without it, isotp_sent() means both.
void isotp_taken(isotp_t *tp, usec_t now);

/// A frame has left the node (L_Data.con): the oldest one taken, or the one just returned by
/// isotp_output(). The clocks of N_Bs, N_Cr and STmin start here.
isotp_events_t isotp_sent(isotp_t *tp, usec_t now);

/// The driver lost the frames it had taken (bus-off, reset): none of them will be confirmed. A
/// message of which some were under way fails with TIMEOUT_A, at the latest after N_As (N_Ar).
void isotp_lost(isotp_t *tp);

/// Call isotp_tick() by then. Ask isotp_output() first: a frame that it was not asked for is no
/// deadline.
usec_t isotp_deadline(const isotp_t *tp);

/// Time has passed. Call it at least every half hour while a message is under way.
isotp_events_t isotp_tick(isotp_t *tp, usec_t now);

/// Starts sending `len` bytes (1..2^32-1). Borrows `msg` until ISOTP_SENT or ISOTP_TX_FAILED is
/// reported, or isotp_cancel(). Returns false, and does nothing, while an earlier message is still
/// being sent, and when a functional message does not fit a single frame.
bool isotp_start(isotp_t *tp, const void *msg, uint32_t len, usec_t now);

/// The same for a message that is not in memory: `source` is called with `ctx`.
bool isotp_start_from(isotp_t *tp, isotp_source_t *source, void *ctx, uint32_t len, usec_t now);

/// Ends the sending without a report. What the driver has taken still leaves.
void isotp_cancel(isotp_t *tp);

/// Is this frame as long as ours would be, and filled with pad_byte? The standard wants receivers
/// not to look at padding (10.4.2), so isotp_input() does not; who is strict asks here before it, and
/// drops the frame if not.
bool isotp_well_padded(const isotp_t *tp, const can_frame_t *frame);

/// The STmin code (9.6.5.4) for a gap of at least `us` microseconds, 127 ms at most.
uint8_t isotp_stmin(uint32_t us);

/// Bytes that the peer has left to send and waits for our flow control with; 0: none is owed.
uint32_t isotp_wanted(const isotp_t *tp);

/// The sink can take the next `block_size` frames of rx.cf_len bytes (0: all the rest), `stmin`
/// (see isotp_stmin()) apart: clear to send. Does nothing if no flow control is owed. Both may
/// change from block to block, but some senders believe the first ones only.
void isotp_proceed(isotp_t *tp, uint8_t block_size, uint8_t stmin, usec_t now);

/// The sink does not want the rest of the message: OVFLW directly after its First Frame; later
/// the standard has no word for it, and the peer runs into its N_Bs.
/// Ends the reception without a report.
void isotp_refuse(isotp_t *tp, usec_t now);

#endif
