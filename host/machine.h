// machine.h - any machine of the common shape (STYLE.md, section 1) that speaks CAN.
// SPDX-License-Identifier: Apache-2.0
//
//     const machine_t machine = MACHINE(receiver, &r); // once in a file: MACHINE_VERBS(receiver)
//     events = machine.tick(machine.self, now());
//
// Threads, memory, time: those of the machine.
#ifndef MACHINE_H
#define MACHINE_H

#include "can.h"

/// The verbs of a machine, each with `self` first.
typedef struct {
    void *self;
    unsigned (*input)(void *self, const can_frame_t *frame, usec_t now);
    const can_frame_t *(*output)(void *self, usec_t now);
    void (*taken)(void *self, usec_t now);
    unsigned (*sent)(void *self, usec_t now);
    void (*lost)(void *self);
    usec_t (*deadline)(const void *self);
    unsigned (*tick)(void *self, usec_t now);
} machine_t;

/// Puts the typed verbs x_input(x_t *, ...) etc. behind untyped pointers: MACHINE_VERBS(receiver)
/// once in a file, then MACHINE(receiver, &r) is a machine_t.
#define MACHINE_VERBS(x)                                                                           \
    static unsigned x##_any_input(void *self, const can_frame_t *frame, usec_t now)                \
    {                                                                                              \
        return x##_input(self, frame, now);                                                        \
    }                                                                                              \
    static const can_frame_t *x##_any_output(void *self, usec_t now)                               \
    {                                                                                              \
        return x##_output(self, now);                                                              \
    }                                                                                              \
    static void x##_any_taken(void *self, usec_t now) { x##_taken(self, now); }                    \
    static unsigned x##_any_sent(void *self, usec_t now) { return x##_sent(self, now); }           \
    static void x##_any_lost(void *self) { x##_lost(self); }                                       \
    static usec_t x##_any_deadline(const void *self) { return x##_deadline(self); }                \
    static unsigned x##_any_tick(void *self, usec_t now) { return x##_tick(self, now); }           \
    _Static_assert(1, "")

#define MACHINE(x, instance)                                                                       \
    ((machine_t){ .self = (instance),                                                              \
                  .input = x##_any_input,                                                          \
                  .output = x##_any_output,                                                        \
                  .taken = x##_any_taken,                                                          \
                  .sent = x##_any_sent,                                                            \
                  .lost = x##_any_lost,                                                            \
                  .deadline = x##_any_deadline,                                                    \
                  .tick = x##_any_tick })

#endif
