// flasher.h - the host side of the `plain` and `header` protocols, as a machine without I/O.
// SPDX-License-Identifier: Apache-2.0
//
//     uint8_t *bytes = flasher_wrap(FLASHER_HEADER, image, len, &total);
//     if (!bytes) fail("out of memory");
//     flasher_init(&f, &cfg, bytes, total, bus_clock());
//     const machine_t machine = MACHINE(flasher, &f); // drive.h, after MACHINE_VERBS(flasher)
//     if (drive(bus, &machine, USEC_NEVER) & FLASHER_FAILED) explain(f.why, f.result);
//     free(bytes);
//
// Threads: none inside. Memory: flasher_t, the caller's. Time: constant per call.
#ifndef FLASHER_H
#define FLASHER_H

#include "isotp.h"

enum {
    FLASHER_NONE = 0,
    FLASHER_DONE = 1,   // the device verified the image and restarts into it
    FLASHER_FAILED = 2, // flasher_t.why
};
typedef unsigned flasher_events_t;

typedef enum { FLASHER_PLAIN, FLASHER_HEADER } flasher_protocol_t;

typedef enum {
    FLASHER_OK = 0,
    FLASHER_NO_BUS,       // our frames do not leave: N_As
    FLASHER_NO_ANSWER,    // no flow control to the very first frame: N_Bs
    FLASHER_LOST_DEVICE,  // no flow control any more: N_Bs
    FLASHER_STALLED,      // nothing but WAIT for a minute
    FLASHER_REFUSED,      // a status message says so: flasher_t.result
    FLASHER_OVERFLOW,     // OVFLW, and no status message to explain it
    FLASHER_BAD_ANSWER,   // a reserved flow status
    FLASHER_NO_STATUS,    // all was sent, and no status message came
    FLASHER_OTHER_SENDER, // another node sends on the ID that we send on
} flasher_why_t;

enum { FLASHER_MESSAGE_LEN = 4095 }; // bytes a message; the last one is always shorter

typedef struct {
    isotp_cfg_t isotp;
    /// How often the first frame is sent before FLASHER_NO_ANSWER: a device may be starting.
    unsigned attempts;
    /// From the last frame to the status message: the device writes and verifies meanwhile.
    usec_t status_timeout;
} flasher_cfg_t;

enum { FLASHER_ATTEMPTS = 3 };
#define FLASHER_STATUS_TIMEOUT (30000 * USEC_MS)
// From a file that fits one frame, which no flow control answers, to the status message.
#define FLASHER_SINGLE_TIMEOUT  (3000 * USEC_MS)
#define FLASHER_STALL_TIMEOUT   (60000 * USEC_MS) // without a frame that could be sent
#define FLASHER_EXPLAIN_TIMEOUT (500 * USEC_MS)   // from OVFLW to the status message that says why

typedef enum { FLASHER_SENDING, FLASHER_AWAITING_STATUS, FLASHER_OVER } flasher_state_t;

typedef struct {
    const flasher_cfg_t *cfg;
    flasher_state_t state; // read
    flasher_why_t why;     // read, with FLASHER_FAILED
    uint8_t result;        // read: byte 2 of the status message (docs/PROTOCOL.md, section 4)
    uint32_t received;     // read: bytes of the image the device took, by its status message
    usec_t deadline;
    const uint8_t *bytes;
    uint32_t len;     // read: bytes to send
    uint32_t at;      // where in `bytes` the message under way begins
    unsigned attempt; // of the first frame, from 1
    bool answered;    // read: the device gave a flow control
    bool overflowed;  // the device refused a message; its reason is awaited
    isotp_t isotp;
} flasher_t;

/// What goes over the bus for an image: with its header, or ended by one 0xFF where its length is
/// an exact multiple of 4095. Allocates; free() it. NULL: out of memory.
uint8_t *flasher_wrap(flasher_protocol_t protocol, const void *image, uint32_t len,
                      uint32_t *total);

/// Borrows cfg and bytes until FLASHER_DONE or FLASHER_FAILED.
void flasher_init(flasher_t *f, const flasher_cfg_t *cfg, const uint8_t *bytes, uint32_t len,
                  usec_t now);

/// Bytes handed to the driver so far.
uint32_t flasher_progress(const flasher_t *f);

// The one shape: see isotp.h.
flasher_events_t flasher_input(flasher_t *f, const can_frame_t *frame, usec_t now);
const can_frame_t *flasher_output(flasher_t *f, usec_t now);
void flasher_taken(flasher_t *f, usec_t now);
flasher_events_t flasher_sent(flasher_t *f, usec_t now);
void flasher_lost(flasher_t *f);
usec_t flasher_deadline(const flasher_t *f);
flasher_events_t flasher_tick(flasher_t *f, usec_t now);

#endif
