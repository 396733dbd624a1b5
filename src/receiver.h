// receiver.h - the whole device side: CAN frames in, a new firmware in the other slot out.
// SPDX-License-Identifier: Apache-2.0
//
//     receiver_init(&r, &cfg, ring, sizeof ring, now());
//     for (;;) {
//         receiver_events_t ev = receiver_tick(&r, now()); // at most one flash operation
//         while (can_receive(&frame)) ev |= receiver_input(&r, &frame, now());
//         while ((out = receiver_output(&r, now())) && can_send(out))
//             ev |= receiver_sent(&r, now());
//         if (ev & RECEIVER_RESTART) restart();
//         sleep_until(receiver_deadline(&r)); // or a frame, or room to send
//     }
//
// Joins isotp, stream, uds_server and ota, and knows nothing itself but the order of things. The first
// byte of a message tells the protocol; while one transfer is under way the others are refused. Frames
// must be taken from the hardware while a flash operation blocks: by an interrupt, into a queue. Flash
// works while a message comes in, so all of what one flow control allows may come during one operation:
// 585 of classic CAN for 4095 bytes, and a few requests to all nodes. A port whose queue holds fewer sets
// block_size, so that a block fits it.
//
// Threads: none inside; one caller at a time. Memory: receiver_t and the ring, the caller's: they
// do not grow with message or image. Time: receiver_input() is short, receiver_tick() bounded by
// one flash operation.
#ifndef RECEIVER_H
#define RECEIVER_H

#include "access.h"
#include "ident.h"
#include "isotp.h"
#include "ota.h"
#include "stream.h"
#include "uds_server.h"

enum {
    RECEIVER_NONE = 0,
    RECEIVER_FAILED = 1,   // a transfer failed: receiver_t.result. The device runs on as before
    RECEIVER_STARTED = 2,  // a transfer began (before FAILED, if both)
    RECEIVER_COMPLETE = 4, // another image is verified and boots next
    RECEIVER_RESTART = 8,  // who asked for it was answered, or is not to be: restart now
};
typedef unsigned receiver_events_t;

typedef enum { RECEIVER_IDLE, RECEIVER_RECEIVING, RECEIVER_DONE, RECEIVER_ERROR } receiver_state_t;

typedef enum { RECEIVER_PLAIN, RECEIVER_HEADER, RECEIVER_UDS } receiver_protocol_t;

/// Byte 2 of the status message, byte 0 of DID FD01: result and reason (docs/PROTOCOL.md, section 4).
/// The high nibble is the kind.
typedef enum {
    RECEIVER_OK = 0x00,
    // 0x1_: the image is refused
    RECEIVER_NOT_AN_IMAGE = 0x10,
    RECEIVER_WRONG_CHIP = 0x11,
    RECEIVER_WRONG_REVISION = 0x12,
    RECEIVER_BAD_STRUCTURE = 0x13,
    RECEIVER_TOO_LARGE = 0x14,
    RECEIVER_NO_DESCRIPTOR = 0x15,
    RECEIVER_NO_DIGEST = 0x16,
    RECEIVER_BAD_CHECKSUM = 0x17,
    RECEIVER_BAD_DIGEST = 0x18,
    RECEIVER_INCOMPLETE = 0x19,
    RECEIVER_WRONG_PROJECT = 0x1A,
    RECEIVER_TOO_OLD = 0x1B,
    // 0x2_: the transfer went wrong
    RECEIVER_BROKEN = 0x20,
    RECEIVER_SILENT = 0x21,
    RECEIVER_EXCESS = 0x22,
    RECEIVER_OVERRUN = 0x23,
    RECEIVER_ABORTED = 0x24, // uds: the session ended, or another download was requested
    // 0x3_: the device cannot
    RECEIVER_FLASH = 0x30,
    RECEIVER_UNCONFIRMED = 0x31,
    RECEIVER_EXHAUSTED = 0x32,
    RECEIVER_CRYPTO = 0x33,
    RECEIVER_REJECTED = 0x34,    // the other slot's firmware was rejected after an earlier start
    RECEIVER_NOTHING_YET = 0xFF, // no transfer since the device started, or a download is under way
} receiver_result_t;

/// 'O' 'T' result, bytes of the image received (u32, little-endian).
enum { RECEIVER_STATUS_LEN = 7 };

typedef struct {
    isotp_cfg_t isotp;
    ota_cfg_t ota;
    /// BS we ask for: at most what the port's queue holds; or so that a sender with little memory can rest.
    /// 0: as large as the ring allows.
    uint8_t block_size;
    uint8_t stmin; // STmin we ask for, as isotp_stmin() codes it
    /// UDS requests to all nodes: functional set, rx_id 0x7DF, say. Not functional: there are none.
    isotp_cfg_t functional;
    const access_t *access; // who may update, and then by UDS only; NULL: anybody
    const ident_t *ident;   // what the device is by UDS; NULL: nothing is known
    /// Longest time that one flash operation keeps the device from answering, in microseconds: that of
    /// erasing a sector. UDS clients are told to wait in time, and longer (P2server). 0: no time.
    uint32_t flash_pause;
    uint16_t p2_ms, p2_star_ms, s3_ms; // as in uds_server_cfg_t
} receiver_cfg_t;

/// Invariants. The ring and the engine belong to the stream while that is not idle, else to the UDS
/// server. RECEIVING exactly while a transfer of `protocol` is under way.
typedef struct {
    const receiver_cfg_t *cfg;
    receiver_state_t state;       // read
    receiver_protocol_t protocol; // read: of the last transfer
    receiver_result_t result;     // read: of the last transfer, with FAILED and COMPLETE
    uint32_t received;            // read: bytes of the image that came in the last transfer
    isotp_t isotp;                // read
    isotp_t functional;
    ring_t ring;
    stream_t stream;  // read
    ota_t ota;        // read
    uds_server_t uds; // read
    uds_server_cfg_t uds_cfg;
    uint8_t block_size; // of the message that comes in
    bool diagnostic;    // that message is a UDS request
    bool deferred;      // a call of the UDS server waits for the engine
    bool held;          // the engine waits until a response has left
    usec_t quiet;       // until when it waits for the sender's next frame
    bool responding;    // isotp sends a message of the UDS server's
    bool activated;     // UDS: an image was made to boot next
    uint8_t status[RECEIVER_STATUS_LEN];
    bool status_owed; // it could not be given to isotp yet
} receiver_t;

_Static_assert(sizeof(void *) > 4 || sizeof(receiver_t) <= 2048, "RAM that README.md promises");

/// Borrows cfg and ring for its whole life. cap >= STREAM_RING_MIN bytes; 8 KiB keep the bus busy
/// while flash is written, less makes the sender wait, and nothing is ever lost. `now`: as in all calls
/// that follow.
void receiver_init(receiver_t *r, const receiver_cfg_t *cfg, void *ring, uint32_t cap, usec_t now);

// The one shape: see isotp.h for what each verb promises.
receiver_events_t receiver_input(receiver_t *r, const can_frame_t *frame, usec_t now);
const can_frame_t *receiver_output(receiver_t *r, usec_t now);
void receiver_taken(receiver_t *r, usec_t now);
receiver_events_t receiver_sent(receiver_t *r, usec_t now);
void receiver_lost(receiver_t *r);
usec_t receiver_deadline(const receiver_t *r); // 0: there is work, call receiver_tick() at once
receiver_events_t receiver_tick(receiver_t *r, usec_t now);

#endif
