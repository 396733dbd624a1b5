// bench_isotp.c - sends one message again and again between two isotp_t in memory, for counting.
// SPDX-License-Identifier: Apache-2.0
//
//     bench_isotp TRANSFERS BLOCK_SIZE DRIVER
//
// tools/bench.py runs it under callgrind and counts what bench_transfer() spends inside the calls
// of isotp_*(); all that the application and its drivers would do is in functions bench_*().
// Prints the number of frames. DRIVER is one of those in the table.
#include "isotp.h"
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_LEN = 4095, QUEUE = 64, TURNS_MAX = 10000 };

typedef struct {
    const char *name;
    unsigned depth; // frames the driver accepts in one turn
    bool confirms;  // it has a queue, and confirms in the next turn
    bool sleeps;    // so the loop asks until when
    uint8_t tx_dl;
} driver_t;

static const driver_t drivers[] = {
    { "direct", QUEUE, false, false, 8 }, { "mailbox", 1, false, false, 8 },
    { "sleeper", 1, false, true, 8 },     { "queue", ISOTP_IN_FLIGHT_MAX, true, false, 8 },
    { "fd", QUEUE, false, false, 64 },
};

typedef struct {
    isotp_t tp;
    can_frame_t inbox[QUEUE];
    unsigned head, tail; // of the inbox; both only grow
    unsigned taken;      // frames to be confirmed
    usec_t deadline;
} node_t;

static node_t sender, receiver;
static const driver_t *driver;
static uint8_t block_size;
static uint8_t message[MESSAGE_LEN], received[MESSAGE_LEN];
static usec_t clock_us;
static unsigned frames;

// A function, so that it can be counted apart: a library that collects the message does this inside.
__attribute__((noinline)) static void bench_store(uint32_t at, const uint8_t *p, size_t len)
{
    if (at > sizeof received || len > sizeof received - at) abort();
    memcpy(received + at, p, len);
}

static bool can_send(node_t *peer, const can_frame_t *frame, unsigned sent)
{
    if (sent == driver->depth || peer->tail - peer->head == QUEUE) return false;
    peer->inbox[peer->tail++ % QUEUE] = *frame;
    return true;
}

// One turn of the loop that isotp.h begins with.
__attribute__((noinline)) static isotp_events_t bench_turn(node_t *node, node_t *peer, usec_t now)
{
    isotp_t *tp = &node->tp;
    isotp_events_t all = ISOTP_NONE;
    for (; node->taken > 0; node->taken--)
        all |= isotp_sent(tp, now);
    all |= isotp_tick(tp, now);
    while (node->head != node->tail) {
        const isotp_events_t events = isotp_input(tp, &node->inbox[node->head++ % QUEUE], now);
        if (events & ISOTP_RX_DATA) bench_store(tp->rx.at, tp->rx.data, tp->rx.data_len);
        all |= events;
    }
    if (isotp_wanted(tp) > 0) isotp_proceed(tp, block_size, 0, now);
    const can_frame_t *out;
    for (unsigned sent = 0; (out = isotp_output(tp, now)) && can_send(peer, out, sent); sent++) {
        frames++;
        if (driver->confirms) {
            isotp_taken(tp, now);
            node->taken++;
        } else {
            all |= isotp_sent(tp, now);
        }
    }
    if (driver->sleeps) node->deadline = isotp_deadline(tp);
    return all;
}

__attribute__((noinline)) static void bench_transfer(void)
{
    isotp_events_t sent = ISOTP_NONE, got = ISOTP_NONE;
    if (!isotp_start(&sender.tp, message, sizeof message, clock_us)) abort();
    for (unsigned turns = 0; !(sent & ISOTP_SENT) || !(got & ISOTP_RX_END); turns++) {
        if ((sent & ISOTP_TX_FAILED) || (got & ISOTP_RX_FAILED) || turns == TURNS_MAX) abort();
        clock_us++;
        sent |= bench_turn(&sender, &receiver, clock_us);
        got |= bench_turn(&receiver, &sender, clock_us);
    }
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 4 && i < sizeof drivers / sizeof drivers[0]; i++) {
        if (strcmp(argv[3], drivers[i].name) == 0) driver = &drivers[i];
    }
    if (!driver) return 2;
    block_size = (uint8_t)strtoul(argv[2], NULL, 10);

    isotp_cfg_t there = ISOTP_CFG_DEFAULT;
    there.tx_id = 0x7E0;
    there.rx_id = 0x7E8;
    there.fd = driver->tx_dl > 8;
    there.tx_dl = driver->tx_dl;
    isotp_cfg_t back = there;
    back.tx_id = there.rx_id;
    back.rx_id = there.tx_id;
    isotp_init(&sender.tp, &there);
    isotp_init(&receiver.tp, &back);

    for (unsigned long left = strtoul(argv[1], NULL, 10); left > 0; left--) {
        for (size_t i = 0; i < sizeof message; i++)
            message[i] = (uint8_t)(i * 131 + (i >> 8) + left);
        memset(received, 0, sizeof received);
        bench_transfer();
        if (memcmp(received, message, sizeof message) != 0) return 1;
    }
    printf("%u\n", frames);
    return 0;
}
