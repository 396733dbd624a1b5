// stream.h - the `plain` and `header` protocols: an image as a row of messages (docs/PROTOCOL.md).
// SPDX-License-Identifier: Apache-2.0
//
//     stream_init(&s, &ring);
//     stream_begin(&s, message_len, the_one_before_broke); // a message begins
//     stream_events_t ev = stream_data(&s, data, len);     // its bytes, at most stream_room()
//     ev |= stream_end(&s, now());                         // it is complete; lost: stream_break()
//     ev |= stream_tick(&s, image_is_complete(), now());   // at any time, by stream_deadline()
//     if (ev & STREAM_STARTED) begin_image(s.size);
//     if (ev & STREAM_FAILED) give_image_up(s.why);
//     uint32_t waiting = ring_peek(&ring, &data);          // at any time: bytes of the image
//     ring_drop(&ring, store_some_of(data, waiting));
//
// Bytes wait in the ring between the bus and the flash. What they mean is not known here, but for one
// thing: what an image begins with, so that a new transfer is recognised when the one before it
// broke off between two messages.
//
// Threads: none inside; one caller at a time. Memory: stream_t and the ring, the caller's; they do
// not grow with message or image. Time: stream_data() copies its bytes, the rest is constant.
#ifndef STREAM_H
#define STREAM_H

#include "ring.h"

enum {
    STREAM_NONE = 0,
    STREAM_STARTED = 1, // a transfer begins, stream_t.size; one that was under way is void.
                        // With ENDED or FAILED: it began, and then that
    STREAM_ENDED = 2,   // all bytes of it are in the ring
    STREAM_FAILED = 4,  // it is void: stream_t.why
    STREAM_FOREIGN = 8, // this message is not of a transfer: its bytes are ignored
};
typedef unsigned stream_events_t;

typedef enum {
    STREAM_BROKEN,  // a message was not completed
    STREAM_SILENT,  // nothing came for 10 s
    STREAM_EXCESS,  // more bytes than the header announced
    STREAM_OVERRUN, // more bytes than there was room for: the caller did not hold the sender back
} stream_why_t;

enum {
    STREAM_FULL_MESSAGE = 4095, // plain: a shorter message is the last one
    STREAM_HEADER_LEN = 8,      // header: 'O' 'T' size(u32, little-endian) and two reserved bytes
    /// Room kept for what no flow control can hold back: two first or single frames, of the sender
    /// that stops and the one that takes its place.
    STREAM_RESERVE = 2 * CAN_DATA_MAX,
    STREAM_RING_MIN = 256,
};
// Plain: so long after a full message that completed the image.
#define STREAM_SILENCE_END (1000 * USEC_MS)
// Both: so long between two messages.
#define STREAM_SILENCE_FAIL (10000 * USEC_MS)

typedef enum { STREAM_IDLE, STREAM_RECEIVING, STREAM_ENDING } stream_state_t;
typedef enum { STREAM_PLAIN, STREAM_HEADER } stream_kind_t;

/// Invariant: the ring holds bytes that are not committed only while judging.
typedef struct {
    stream_state_t state; // read
    stream_kind_t kind;   // read: of the transfer
    uint32_t size;        // read: bytes announced by `header`; 0: not known
    uint32_t total;       // read: bytes of the image received
    stream_why_t why;     // read, with STREAM_FAILED
    ring_t *ring;         // committed: bytes of the image; the rest is being judged
    uint32_t message_len; // of the message that comes in
    uint32_t message_at;  // bytes of it that have come
    bool judging;         // its beginning may turn out to be that of a new transfer
    bool broke;           // the message before it was not completed
    bool foreign;         // it is ignored; never while RECEIVING
    usec_t last;          // when a message ended last
} stream_t;

/// Borrows `ring` for its whole life, of STREAM_RING_MIN bytes or more. With 2 x 4095 bytes the bus
/// carries one message while the one before is written. Another user may have it while no transfer
/// is under way.
void stream_init(stream_t *s, ring_t *ring);

/// A message of `len` bytes begins. `broke`: it does so before the one before was complete.
void stream_begin(stream_t *s, uint32_t len, bool broke);

/// Its next bytes. The caller saw to it that they fit (stream_room()).
stream_events_t stream_data(stream_t *s, const uint8_t *data, uint32_t len);

/// It is complete.
stream_events_t stream_end(stream_t *s, usec_t now);

/// It will not be completed, and no other one has begun.
stream_events_t stream_break(stream_t *s);

/// Bytes that the sender may be allowed to send.
uint32_t stream_room(const stream_t *s);

/// Silence. `complete`: the image is complete by its own header.
stream_events_t stream_tick(stream_t *s, bool complete, usec_t now);
usec_t stream_deadline(const stream_t *s, bool complete);

/// The transfer is over, for a reason that lies elsewhere.
void stream_stop(stream_t *s);

#endif
