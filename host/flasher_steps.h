// flasher_steps.h - within the flasher: begins steps and rounds, makes and sends their requests, ends it all.
// SPDX-License-Identifier: Apache-2.0
//
//     if (refused) events |= flasher_end(&f, FLASHER_REFUSED, now());
//     else events |= flasher_next_step(&f, now()); // until one has to wait for an answer
//
// Threads: none inside. Memory: flasher_t, the caller's.
#ifndef FLASHER_STEPS_H
#define FLASHER_STEPS_H

#include "flasher.h"

enum { FLASHER_BLOCK_HEAD = 2 }; // SID and blockSequenceCounter

/// What the request under way is: to all nodes; a block; asked again soon, because the device restarts
/// or tests itself.
bool flasher_is_functional(const flasher_t *f);
bool flasher_is_block(const flasher_t *f);
bool flasher_is_poll(const flasher_t *f);

/// Within what a round repeats.
bool flasher_in_round(const flasher_t *f);

/// The session is over or locked again, or the device knows nothing of a download.
bool flasher_is_lost_session(uds_nrc_t nrc);

/// FLASHER_DONE or FLASHER_FAILED, by flasher_t.why: nothing follows.
flasher_events_t flasher_over(flasher_t *f);

/// It failed. The other nodes are told, if they were asked to keep quiet.
flasher_events_t flasher_end(flasher_t *f, flasher_why_t why, usec_t now);

/// The same request again after a while.
flasher_events_t flasher_wait(flasher_t *f, uint32_t ms, usec_t now);

/// The request of the step, or what flasher_t.ask says, begins to be sent; or waits for its moment.
flasher_events_t flasher_transmit(flasher_t *f, usec_t now);

/// From now on it is watched whether more of a block leaves than `seen` bytes.
void flasher_watch_block(flasher_t *f, uint32_t seen, usec_t now);

/// Gives that request to the transport, as it is. False: it cannot take it.
bool flasher_give(flasher_t *f, usec_t now);

/// Begins flasher_t.step, or the one behind it, and those that follow until one has to wait.
flasher_events_t flasher_go_on(flasher_t *f, usec_t now);
flasher_events_t flasher_next_step(flasher_t *f, usec_t now);

/// It broke off: from `again` on once more, or the end. Rounds that get further do not count.
flasher_events_t flasher_new_round(flasher_t *f, flasher_why_t why, usec_t now);

#endif
