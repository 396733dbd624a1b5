// test_isotp_histories.c - every history of a few steps: what must hold of an ISO-TP channel at any time, does.
// SPDX-License-Identifier: Apache-2.0
//
// A step is a frame, a wait, a decision of the application or of the driver. The channel is a value, so each history
// goes on from a copy of the one before. ISOTP_STEPS=N sets their number; the default suits a debug build.
#include "isotp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DEFAULT_STEPS = 5, LONGEST_WAIT = 100 };

static const isotp_cfg_t cfg = {
    .tx_id = 2, .rx_id = 1, .wft_max = 1, .n_as = 30, .n_ar = 20, .n_bs = 50, .n_cr = 40, .n_br = 10
};
static const uint8_t message[30] = { 0 };

typedef struct {
    uint8_t len, data[8];
} input_t;

static const input_t inputs[] = {
    { 3, { 0x02, 0xAA, 0xBB } },          // SF
    { 8, { 0x00 } },                      // SF of length 0
    { 2, { 0x05, 0x01 } },                // SF longer than its frame
    { 8, { 0x10, 0x0D } },                // FF: 13 bytes, one CF
    { 8, { 0x10, 0x07 } },                // FF that should be an SF
    { 8, { 0x10, 0x00, 0, 0, 0x10, 0 } }, // FF, 32-bit length
    { 8, { 0x21 } },                      // CF
    { 8, { 0x22 } },
    { 2, { 0x21, 0 } },       // too short in the middle of a message
    { 3, { 0x30, 0, 0 } },    // CTS
    { 3, { 0x30, 1, 0x05 } }, // CTS, one frame, 5 ms
    { 3, { 0x31, 0, 0 } },    // WAIT
    { 3, { 0x32, 0, 0 } },    // OVFLW
    { 3, { 0x3A, 0, 0 } },    // reserved
};
enum {
    INPUTS = sizeof inputs / sizeof inputs[0],
    WAIT_SHORT = INPUTS,
    WAIT_TO_DEADLINE,
    WAIT_LONG,
    PROCEED_ALL,
    PROCEED_ONE,
    REFUSE,
    START_SHORT,
    START_LONG,
    DRIVER_TAKES, // and confirms later
    DRIVER_SENDS, // and confirms at once
    DRIVER_CONFIRMS,
    DRIVER_LOSES,
    STEPS,
};

/// The channel, and what an onlooker remembers of it.
typedef struct {
    isotp_t tp;
    usec_t now;
    bool receiving, sending; // BEGIN was reported, start() accepted; no end yet
    uint32_t received;
    uint8_t taken;    // frames the driver has
    uint8_t messages; // bit i: the i-th of them, oldest first, is not a flow control
} history_t;

static unsigned long steps;
static uint8_t path[16];

static void check(bool right, const char *what, int depth)
{
    if (right) return;
    print_error("history:");
    int i = depth;
    while (path[i] != STEPS)
        i++;
    while (--i >= depth)
        print_error(" %u", path[i]);
    print_error("\n");
    fail_msg("%s", what);
}

static void observe(history_t *h, isotp_events_t ev, int depth)
{
    const isotp_rx_t *rx = &h->tp.rx;
    if (ev & ISOTP_RX_FAILED) {
        check(h->receiving, "a message failed that was not begun", depth);
        h->receiving = false;
    }
    if (ev & ISOTP_RX_BEGIN) {
        check(!h->receiving, "a message begins within another one", depth);
        h->receiving = true;
        h->received = 0;
    }
    if (ev & ISOTP_RX_DATA) {
        check(h->receiving && rx->at == h->received, "data out of order", depth);
        h->received += rx->data_len;
        check(h->received <= rx->len, "more data than the message has", depth);
    }
    if (ev & ISOTP_RX_END) {
        check(h->receiving && h->received == rx->len, "an end before the end", depth);
        h->receiving = false;
    }
    if (ev & (ISOTP_SENT | ISOTP_TX_FAILED)) {
        check(h->sending, "the end of a message that nobody sent", depth);
        check((ev & (ISOTP_SENT | ISOTP_TX_FAILED)) != (ISOTP_SENT | ISOTP_TX_FAILED),
              "sent and failed", depth);
        h->sending = false;
    }
}

static void invariants(const history_t *h, int depth)
{
    const isotp_t *tp = &h->tp;
    const isotp_rx_t *rx = &tp->rx;
    const isotp_tx_t *tx = &tp->tx;
    check((rx->state != ISOTP_RX_IDLE) == h->receiving, "the state is not what was reported",
          depth);
    check((tx->state != ISOTP_TX_IDLE) == h->sending, "the state is not what was reported", depth);
    check(tx->at <= tx->len, "sent more than there is", depth);
    // A frame that nobody has asked for has no deadline: it is there for the asking.
    check(tx->state == ISOTP_TX_IDLE || tx->state == ISOTP_TX_OFFER ||
              isotp_deadline(tp) != USEC_NEVER,
          "a sender without a deadline", depth);
    check(rx->state == ISOTP_RX_IDLE || isotp_deadline(tp) != USEC_NEVER,
          "a receiver without a deadline", depth);
    check(rx->state == ISOTP_RX_IDLE || (uint32_t)(rx->at + rx->data_len) < rx->len,
          "complete, but not over", depth);
    check(tp->count == h->taken, "the driver's frames are miscounted", depth);
    check(tp->flight == h->messages, "the driver's frames of messages are miscounted", depth);
    check((isotp_wanted(tp) > 0) == (rx->state == ISOTP_RX_HELD || rx->state == ISOTP_RX_WAIT),
          "a flow control is owed, or is not", depth);
}

// One step. False: it does not apply here.
static bool apply(history_t *h, unsigned step, int depth)
{
    isotp_t *tp = &h->tp;
    if (step < INPUTS) {
        can_frame_t f = { .id = 1, .len = inputs[step].len };
        memcpy(f.data, inputs[step].data, sizeof inputs[step].data);
        observe(h, isotp_input(tp, &f, h->now), depth);
        return true;
    }
    switch (step) {
    case WAIT_SHORT: h->now += 5; break;
    case WAIT_TO_DEADLINE:
        if (isotp_deadline(tp) == USEC_NEVER || isotp_deadline(tp) <= h->now) return false;
        h->now = isotp_deadline(tp);
        break;
    case WAIT_LONG: h->now += LONGEST_WAIT; break;
    case PROCEED_ALL:
    case PROCEED_ONE:
        if (isotp_wanted(tp) == 0) return false;
        isotp_proceed(tp, step == PROCEED_ONE, 1, h->now);
        return true;
    case REFUSE:
        if (!h->receiving) return false;
        isotp_refuse(tp, h->now);
        h->receiving = false;
        return true;
    case START_SHORT:
    case START_LONG: {
        const bool accepted =
            isotp_start(tp, message, step == START_SHORT ? 5 : sizeof message, h->now);
        check(accepted == !h->sending, "a message accepted, or not, against the rule", depth);
        h->sending = true;
        return accepted;
    }
    case DRIVER_TAKES:
        if (!isotp_output(tp, h->now)) return false;
        if (tp->out.data[0] >> 4 != 3) h->messages |= (uint8_t)(1u << h->taken);
        isotp_taken(tp, h->now);
        h->taken++;
        return true;
    case DRIVER_SENDS: {
        if (!isotp_output(tp, h->now) || h->taken > 0) return false;
        observe(h, isotp_sent(tp, h->now), depth);
        return true;
    }
    case DRIVER_CONFIRMS:
        if (h->taken == 0) return false;
        h->taken--;
        h->messages >>= 1;
        (void)isotp_output(tp,
                           h->now); // a frame that is offered meanwhile is not the one confirmed
        observe(h, isotp_sent(tp, h->now), depth);
        return true;
    case DRIVER_LOSES:
        if (h->taken == 0) return false;
        h->taken = h->messages = 0;
        isotp_lost(tp);
        return true;
    default: return false;
    }
    observe(h, isotp_tick(tp, h->now), depth); // the waits end here
    check(isotp_tick(tp, h->now) == ISOTP_NONE, "reported twice", depth);
    return true;
}

// Left alone, with a driver that works, the channel comes to rest.
static void comes_to_rest(history_t h, int depth)
{
    for (unsigned i = 0; i < 100; i++) {
        while (isotp_output(&h.tp, h.now))
            observe(&h, isotp_sent(&h.tp, h.now), depth);
        if (isotp_deadline(&h.tp) == USEC_NEVER) break;
        h.now = later(h.now, isotp_deadline(&h.tp));
        observe(&h, isotp_tick(&h.tp, h.now), depth);
    }
    check(!h.receiving && !h.sending, "a message never ends", depth);
}

static void go_on(const history_t *from, int depth)
{
    for (unsigned step = 0; step < STEPS; step++) {
        history_t h = *from;
        path[depth] = (uint8_t)step;
        if (!apply(&h, step, depth)) continue;
        steps++;
        invariants(&h, depth);
        if (depth > 1)
            go_on(&h, depth - 1);
        else if (h.taken == 0)
            comes_to_rest(h, depth);
    }
}

static void every_history_keeps_the_rules(void **state)
{
    const char *text = getenv("ISOTP_STEPS");
    const int depth = text ? atoi(text) : DEFAULT_STEPS;
    history_t h = { .now = 1000 };
    (void)state;
    assert_in_range(depth, 1, sizeof path - 2);
    path[depth + 1] = STEPS;
    isotp_init(&h.tp, &cfg);
    go_on(&h, depth);
    print_message("%lu steps\n", steps);
    assert_true(steps > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_history_keeps_the_rules) };
    return cmocka_run_group_tests_name("isotp histories", tests, NULL, NULL);
}
