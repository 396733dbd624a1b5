// receiver_uds.h - the receiver's other half: what the UDS server asks the device for. Internal.
// SPDX-License-Identifier: Apache-2.0
//
//     events |= receiver_uds_message(&r, isotp_events, now()); // about the request that comes in
//     if (receiver_uds_busy(&r))
//         events |= receiver_uds_work(&r, now()); // one step of the engine's at most
//     receiver_uds_pump(&r, now()); // what it has to say goes to isotp
//
// Threads: none inside; one caller, receiver.c. Memory: receiver_t. Time: as receiver.h says.
#ifndef RECEIVER_UDS_H
#define RECEIVER_UDS_H

#include "receiver.h"

/// Part of receiver_init(), once isotp, ring and engine are ready.
void receiver_uds_init(receiver_t *r, usec_t now);

/// A message to this node alone that is a UDS request: isotp's events about it.
receiver_events_t receiver_uds_message(receiver_t *r, isotp_events_t ev, usec_t now);

/// A request to all nodes, complete.
receiver_events_t receiver_uds_functional(receiver_t *r, const uint8_t *data, uint32_t len,
                                          usec_t now);

/// The response that isotp was sending has left, or never will.
receiver_events_t receiver_uds_sent(receiver_t *r, usec_t now);

/// Part of receiver_tick(): S3, 0x78.
receiver_events_t receiver_uds_tick(receiver_t *r, usec_t now);

/// Is there something to do for the engine, or an answer to give?
bool receiver_uds_busy(const receiver_t *r);
receiver_events_t receiver_uds_work(receiver_t *r, usec_t now);

/// Gives isotp what the server has to send, when isotp sends nothing else.
void receiver_uds_pump(receiver_t *r, usec_t now);

// receiver.c's, for receiver_uds.c.

/// Takes bytes from the ring to the engine, as many as it has room for.
void receiver_feed(receiver_t *r);
receiver_result_t receiver_result_of(const ota_t *o);

#endif
