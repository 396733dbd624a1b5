// isotp_node.h - several ISO-TP channels on one node: finds the one that a frame is for.
// SPDX-License-Identifier: Apache-2.0
//
//     static isotp_t *table[16]; // a power of two, at least twice as many as channels
//     isotp_node_init(&node, table, 16);
//     isotp_node_add(&node, &physical); // after isotp_init() of each
//     isotp_node_add(&node, &functional);
//     while (can_receive(&frame)) {
//         isotp_t *tp = isotp_node_find(&node, &frame);
//         if (tp != NULL) handle(tp, isotp_input(tp, &frame, now()));
//     }
//
// A hash table over identifier, its kind and, where the channel has one, address byte: channels
// with extended or mixed addressing may share an identifier.
// Threads: none inside; isotp_node_find() only reads. Memory: the caller's.
// Time: does not grow with the number of channels.
#ifndef ISOTP_NODE_H
#define ISOTP_NODE_H

#include "isotp.h"

/// Invariant: at least half of the table is empty, so that each search ends soon.
typedef struct {
    isotp_t **table;
    uint32_t mask;  // its size - 1
    uint32_t count; // read: channels in it
} isotp_node_t;

/// Starts without channels. Borrows `table` of `size` pointers, a power of two from 2 on.
void isotp_node_init(isotp_node_t *node, isotp_t **table, uint32_t size);

/// Adds a channel. Borrows `tp`, whose configuration must stay what it is. False, and nothing is
/// done: half the table is full, or another channel listens to the same.
bool isotp_node_add(isotp_node_t *node, isotp_t *tp);

/// The channel that listens to this frame, or NULL. One with an address byte goes before one
/// without.
isotp_t *isotp_node_find(const isotp_node_t *node, const can_frame_t *frame);

#endif
