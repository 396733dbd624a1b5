// trace.h - what the frames of a bus say: ISO-TP messages, UDS and our transfers, seen by a bystander.
// SPDX-License-Identifier: Apache-2.0
//
//     trace_t *t = trace_new(print_line, stdout);
//     if (!t) fail("out of memory");
//     trace_pair(t, 0x600, 0x608, false); // 7DF, 7E0..7EF and normal fixed 29-bit IDs are known
//     trace_input(t, &frame, now());      // lines come out through print_line()
//     trace_tick(t, now());               // time passed without a frame
//     trace_end(t, now());                // the log ends here
//     trace_free(t);
//
// Any number of messages at once, both directions; sends nothing. Time goes forward: a frame that is
// older than the one before counts as simultaneous.
//
// Threads: none inside. Memory: about 50 KiB. Time: constant per call.
#ifndef TRACE_H
#define TRACE_H

#include "can.h"
#include <stdio.h>

typedef enum {
    TRACE_MESSAGE, // a whole message
    TRACE_BROKEN,  // one that was lost or broke off
    TRACE_FLOW,    // a flow control that says WAIT, OVFLW, or nothing known
    TRACE_SILENT,  // a request without a response, when another one begins or the log ends
} trace_kind_t;

enum { TRACE_HELD_MAX = 512 }; // bytes of a message that are kept

typedef struct {
    trace_kind_t kind;
    usec_t at;        // of the message's first frame; else of what ended it
    uint32_t id;      // that it was sent with
    bool ext;         // 29 bits
    const char *text; // one line of ASCII
    const uint8_t *p; // TRACE_MESSAGE: its first `held` bytes
    size_t held;
    uint32_t len;     // TRACE_MESSAGE: all its bytes
    usec_t took;      // TRACE_MESSAGE: from its first frame to its last
    bool response;    // to a UDS request that was seen:
    usec_t after;     // from the request's last frame to this one's first
    unsigned pending; // negative responses 0x78 before it
    bool again;       // one of those that come soon after another, and say nothing new
} trace_line_t;

typedef struct trace trace_t;
typedef void trace_out_t(void *ctx, const trace_line_t *line);

trace_t *trace_new(trace_out_t *out, void *ctx); // NULL: out of memory
void trace_free(trace_t *t);                     // NULL is fine

/// Two identifiers that answer each other, or with `b` equal to `a` one for requests to all nodes. False:
/// no room for more.
bool trace_pair(trace_t *t, uint32_t a, uint32_t b, bool ext);

void trace_input(trace_t *t, const can_frame_t *frame, usec_t now);
void trace_tick(trace_t *t, usec_t now);
void trace_end(trace_t *t, usec_t now);

/// A line for people: seconds since `start`, identifier, text, response time, for long messages their rate.
/// Nothing for one that says nothing new.
void trace_print(FILE *out, const trace_line_t *line, usec_t start);

/// What one frame is in ISO-TP: "first frame, 4095 bytes". Returns false, and text is "", if nothing.
bool trace_frame(const can_frame_t *frame, char *text, size_t cap);

#endif
