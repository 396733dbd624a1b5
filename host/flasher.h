// flasher.h - updates one device by UDS as a profile says, as a machine without I/O.
// SPDX-License-Identifier: Apache-2.0
//
//     flasher_init(&f, &cfg, bus_clock()); // cfg: two ISO-TP channels, a profile, an image
//     const machine_t machine = MACHINE(flasher, &f); // drive.h, after MACHINE_VERBS(flasher)
//     unsigned events = 0;
//     while (!(events & (FLASHER_DONE | FLASHER_FAILED))) {
//         events = drive(bus, &machine, USEC_NEVER);
//         if (events & FLASHER_SEED)
//             flasher_unlock(&f, key, key_for(f.level, f.seed, key), now());
//     }
//     if (events & FLASHER_FAILED) explain(f.why);
//
// Joins isotp, uds_client and a profile. A block that is not answered is sent again; an update that
// broke off is taken up again where the device stands. Everything it repeats has a limit.
//
// Threads: none inside. Memory: flasher_t, the caller's. Time: constant per call, but for one hash of
// the bytes that a device says it has.
#ifndef FLASHER_H
#define FLASHER_H

#include "crypto.h"
#include "isotp.h"
#include "profile.h"
#include "uds_client.h"

enum {
    FLASHER_NONE = 0,
    FLASHER_DONE = 1,      // the device runs the image: it was asked
    FLASHER_FAILED = 2,    // flasher_t.why
    FLASHER_STEP = 4,      // flasher_t.step begins
    FLASHER_DEVICE = 8,    // what the device said about itself is known: flasher_t.fact
    FLASHER_SEED = 16,     // flasher_unlock() is awaited
    FLASHER_BUSY = 32,     // the device said "response pending": client.pending
    FLASHER_RESUMED = 64,  // it goes on at flasher_t.start
    FLASHER_RETRY = 128,   // the same request again: flasher_t.tries
    FLASHER_AGAIN = 256,   // the update broke off and is taken up again: flasher_t.rounds
    FLASHER_RESTART = 512, // the device was told to restart
};
typedef unsigned flasher_events_t;

typedef enum {
    FLASHER_OK = 0,
    FLASHER_NO_BUS,       // our frames do not leave: N_As
    FLASHER_NO_ANSWER,    // nobody ever answered
    FLASHER_LOST_DEVICE,  // it fell silent and did not come back
    FLASHER_TIMEOUT,      // it did not answer this request: timer
    FLASHER_REFUSED,      // a negative response: nrc; result, if result_known
    FLASHER_UNEXPECTED,   // a positive response with a content that the profile does not expect
    FLASHER_BAD_RESPONSE, // a positive response that makes no sense
    FLASHER_LOCKED,       // flasher_stop(): no key
    FLASHER_TOO_LARGE,    // the image, for the slot
    FLASHER_NOT_BACK,     // no answer any more after the restart
    FLASHER_OLD_RUNS,     // it runs what it ran before
    FLASHER_OTHER_RUNS,   // neither that nor the image runs, or the image and was rejected
    FLASHER_OTHER_TESTER, // another node sends on the ID that we send on
    FLASHER_STOPPED,      // flasher_stop(): the user
    FLASHER_BAD_PROFILE,  // a request of this step cannot be made: too long, a value does not fit
    FLASHER_NO_HASH,      // the hash library failed
} flasher_why_t;

/// Where the value of a timer came from.
typedef enum { FLASHER_FROM_DEFAULT, FLASHER_FROM_PROFILE, FLASHER_FROM_DEVICE } flasher_source_t;

typedef enum {
    FLASHER_ASKING,  // a request is under way
    FLASHER_WAITING, // for a moment: flasher_t.wake
    FLASHER_SEEDED,  // for flasher_unlock()
    FLASHER_CLOSING, // failed; the other nodes are told that it is over
    FLASHER_OVER,
} flasher_state_t;

/// What is asked for within a step.
/// RESULT: why it was refused. POSITION: whether the block has arrived that is not answered.
typedef enum {
    FLASHER_ASK_STEP,
    FLASHER_ASK_KEY,
    FLASHER_ASK_RESULT,
    FLASHER_ASK_POSITION,
} flasher_ask_t;

enum {
    FLASHER_FACTS = 24,         // data identifiers read
    FLASHER_FACT_MAX = 104,     // bytes kept of each
    FLASHER_RESPONSE_MAX = 512, // a longer one is refused
    FLASHER_SEED_MAX = 64,
    FLASHER_KEY_MAX = 64,
    FLASHER_BLOCK_MIN = 64, // bytes of a request; what bad links lead to
    FLASHER_DIGEST_LEN = 32,
};

/// Bytes and text are borrowed.
typedef struct {
    const uint8_t *bytes;
    uint32_t len, crc32;
    const char *version;                // NULL: unknown
    uint8_t sha256[32];                 // of the file
    uint8_t digest[FLASHER_DIGEST_LEN]; // of the image, as DID FD02 tells it
} flasher_image_t;

typedef struct {
    isotp_cfg_t isotp, functional;
    const profile_t *profile;
    const crypto_t *crypto; // for SHA-256
    flasher_image_t image;
    uint8_t date[PROFILE_DATE_LEN]; // BCD, YYMMDD
    bool no_resume;                 // from the first byte on
} flasher_cfg_t;

typedef struct {
    uint16_t did;
    profile_kind_t kind;
    uint16_t len; // bytes kept
    uint8_t bytes[FLASHER_FACT_MAX];
} flasher_fact_t;

/// DID FD02, as far as it was read.
typedef struct {
    bool known;
    uint8_t slot, state;
    uint8_t digest[FLASHER_DIGEST_LEN];
} flasher_running_t;

/// Invariants. A request of the client's is under way exactly while ASKING. at <= image.len; bytes before
/// `at` were acknowledged in this round or found on the device.
typedef struct {
    const flasher_cfg_t *cfg;
    flasher_state_t state; // read
    flasher_why_t why;     // read, with FAILED
    unsigned step;         // read: index in the profile
    flasher_ask_t ask;
    unsigned tries; // read: how often this request was sent
    // What went wrong last; with FAILED, why.
    uds_nrc_t nrc;           // read
    uds_timer_t timer;       // read
    uint32_t timer_ms;       // read: its value, margin included
    flasher_source_t source; // read: of its value
    isotp_why_t transport;   // read: OK, or why our request did not leave
    bool result_known;       // read
    uint8_t result;          // read: byte 0 of DID FD01 (docs/PROTOCOL.md, section 4)
    uint32_t result_at;      // read: bytes the device had taken, by FD01
    // The transfer.
    uint32_t start;       // read: where it began in this round
    uint32_t at;          // read: bytes acknowledged, from the image's first on
    uint32_t sent;        // read: bytes of the image sent in all, repeated ones included
    uint32_t piece;       // bytes of the block under way
    uint32_t block;       // bytes of a whole TransferData request
    uint32_t block_cap;   // the same, as the link allows
    uint8_t counter;      // blockSequenceCounter
    uint32_t seen;        // bytes of the request under way that had left when it was looked at last
    unsigned block_tries; // `tries` of the block, while ASK_POSITION
    bool left;            // this try of the request left completely
    bool doubtful;        // one before did: the device may have accepted the block
    unsigned rounds;      // read: how often the update was taken up again
    unsigned fruitless;   // of these, in a row, that got no further
    uint32_t furthest;    // bytes acknowledged when a round ended
    bool answered;        // read: by anybody, ever
    bool reconnecting;    // a round begins: the device may not be back yet
    bool begun;
    bool checked; // check_device() was done
    bool verified;
    bool disturbed;  // other nodes were asked to keep quiet
    bool activated;  // read: checkProgrammingDependencies went well
    bool reset;      // read: ECUReset was sent
    bool reset_sure; // and acknowledged
    bool resumable;  // read, with FAILED: the same command goes on where it ended
    bool trial;      // read, with DONE: the firmware has not confirmed itself yet
    bool unverified; // read, with DONE: the profile has no `verify`
    unsigned resets;
    unsigned facts;                     // read
    flasher_fact_t fact[FLASHER_FACTS]; // read
    flasher_running_t before, after;    // read
    uint8_t level;                      // read, with SEED
    uint8_t seed[FLASHER_SEED_MAX];
    uint32_t seed_len;
    usec_t wake;  // of WAITING and CLOSING; of a poll
    usec_t until; // limit of what is repeated in this step
    usec_t since; // when the step began
    uds_client_cfg_t client_cfg;
    uds_client_t client; // read: pending, pending_since
    isotp_t physical, functional;
    bool broadcast;       // the functional channel sends a request, else a TesterPresent
    bool show_functional; // what flasher_output() showed last
    uint32_t order;       // of frames the driver has, oldest in bit 0; 1: functional
    unsigned taken;       // how many
    uint32_t request_len;
    uint32_t response_len; // read, with UNEXPECTED
    uint8_t request[PROFILE_REQUEST_MAX];
    uint8_t message[8]; // on the functional channel
    uint8_t response[FLASHER_RESPONSE_MAX];
} flasher_t;

/// Borrows cfg and what it points to for its whole life.
void flasher_init(flasher_t *f, const flasher_cfg_t *cfg, usec_t now);

/// The key for `seed`, 1..FLASHER_KEY_MAX bytes. Only after FLASHER_SEED.
flasher_events_t flasher_unlock(flasher_t *f, const uint8_t *key, uint32_t len, usec_t now);

/// Gives up. FLASHER_FAILED follows, after a last frame to all nodes perhaps.
flasher_events_t flasher_stop(flasher_t *f, flasher_why_t why, usec_t now);

/// Bytes of the image the device has, those of the block under way included.
uint32_t flasher_progress(const flasher_t *f);

/// The step under way.
const profile_step_t *flasher_step(const flasher_t *f);

/// What was read of this kind; NULL: nothing.
const flasher_fact_t *flasher_fact(const flasher_t *f, profile_kind_t kind);

// The one shape: see isotp.h.
flasher_events_t flasher_input(flasher_t *f, const can_frame_t *frame, usec_t now);
const can_frame_t *flasher_output(flasher_t *f, usec_t now);
void flasher_taken(flasher_t *f, usec_t now);
flasher_events_t flasher_sent(flasher_t *f, usec_t now);
void flasher_lost(flasher_t *f);
usec_t flasher_deadline(const flasher_t *f);
flasher_events_t flasher_tick(flasher_t *f, usec_t now);

#endif
