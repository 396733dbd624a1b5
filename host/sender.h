// sender.h - the host side of the `plain` and `header` protocols, as a machine without I/O.
// SPDX-License-Identifier: Apache-2.0
//
//     uint8_t *bytes = sender_wrap(SENDER_HEADER, image, len, &total);
//     if (!bytes) fail("out of memory");
//     sender_init(&f, &cfg, bytes, total, bus_clock());
//     const machine_t machine = MACHINE(sender, &f); // drive.h, after MACHINE_VERBS(sender)
//     if (drive(bus, &machine, USEC_NEVER) & SENDER_FAILED) explain(f.why, f.result);
//     free(bytes);
//
// Threads: none inside. Memory: sender_t, the caller's. Time: constant per call.
#ifndef SENDER_H
#define SENDER_H

#include "isotp.h"

enum {
    SENDER_NONE = 0,
    SENDER_DONE = 1,   // the device verified the image and restarts into it
    SENDER_FAILED = 2, // sender_t.why
};
typedef unsigned sender_events_t;

typedef enum { SENDER_PLAIN, SENDER_HEADER } sender_protocol_t;

typedef enum {
    SENDER_OK = 0,
    SENDER_NO_BUS,       // our frames do not leave: N_As
    SENDER_NO_ANSWER,    // no flow control to the very first frame: N_Bs
    SENDER_LOST_DEVICE,  // no flow control any more: N_Bs
    SENDER_STALLED,      // nothing but WAIT for a minute
    SENDER_REFUSED,      // a status message says so: sender_t.result
    SENDER_OVERFLOW,     // OVFLW, and no status message to explain it
    SENDER_BAD_ANSWER,   // a reserved flow status
    SENDER_NO_STATUS,    // all was sent, and no status message came
    SENDER_OTHER_SENDER, // another node sends on the ID that we send on
} sender_why_t;

enum { SENDER_MESSAGE_LEN = 4095 }; // bytes a message; the last one is always shorter

typedef struct {
    isotp_cfg_t isotp;
    /// How often the first frame is sent before SENDER_NO_ANSWER: a device may be starting.
    unsigned attempts;
    /// From the last frame to the status message: the device writes and verifies meanwhile.
    usec_t status_timeout;
} sender_cfg_t;

enum { SENDER_ATTEMPTS = 3 };
#define SENDER_STATUS_TIMEOUT (30000 * USEC_MS)
// From a file that fits one frame, which no flow control answers, to the status message.
#define SENDER_SINGLE_TIMEOUT  (3000 * USEC_MS)
#define SENDER_STALL_TIMEOUT   (60000 * USEC_MS) // without a frame that could be sent
#define SENDER_EXPLAIN_TIMEOUT (500 * USEC_MS)   // from OVFLW to the status message that says why

typedef enum { SENDER_SENDING, SENDER_AWAITING_STATUS, SENDER_OVER } sender_state_t;

typedef struct {
    const sender_cfg_t *cfg;
    sender_state_t state; // read
    sender_why_t why;     // read, with SENDER_FAILED
    uint8_t result;       // read: byte 2 of the status message (docs/PROTOCOL.md, section 4)
    uint32_t received;    // read: bytes of the image the device took, by its status message
    usec_t deadline;
    const uint8_t *bytes;
    uint32_t len;     // read: bytes to send
    uint32_t at;      // where in `bytes` the message under way begins
    unsigned attempt; // of the first frame, from 1
    bool answered;    // read: the device gave a flow control
    bool overflowed;  // the device refused a message; its reason is awaited
    isotp_t isotp;
} sender_t;

/// What goes over the bus for an image: with its header, or ended by one 0xFF where its length is
/// an exact multiple of 4095. Allocates; free() it. NULL: out of memory.
uint8_t *sender_wrap(sender_protocol_t protocol, const void *image, uint32_t len, uint32_t *total);

/// Borrows cfg and bytes until SENDER_DONE or SENDER_FAILED.
void sender_init(sender_t *f, const sender_cfg_t *cfg, const uint8_t *bytes, uint32_t len,
                 usec_t now);

/// Bytes handed to the driver so far.
uint32_t sender_progress(const sender_t *f);

// The one shape: see isotp.h.
sender_events_t sender_input(sender_t *f, const can_frame_t *frame, usec_t now);
const can_frame_t *sender_output(sender_t *f, usec_t now);
void sender_taken(sender_t *f, usec_t now);
sender_events_t sender_sent(sender_t *f, usec_t now);
void sender_lost(sender_t *f);
usec_t sender_deadline(const sender_t *f);
sender_events_t sender_tick(sender_t *f, usec_t now);

#endif
