// test_sim_bus_bits.c - the simulated bus to the bit: against frames written out, and a model of it.
// SPDX-License-Identifier: Apache-2.0
#include "can_bits.h"
#include "can_wire.h"
#include "sim_bus.h"
#include "sim_random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#define START UINT64_C(1000000)

static uint64_t seed; // of what runs; 0: nothing does

static can_frame_t random_frame(uint64_t *chance, bool fd)
{
    static const uint8_t SIZES[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64 };
    can_frame_t f = { .ext = sim_random(chance, 2) };
    f.fd = fd && sim_random(chance, 2);
    f.brs = f.fd && sim_random(chance, 2);
    f.id = sim_random(chance, f.ext ? 1U << 29 : 1U << 11);
    f.len = SIZES[sim_random(chance, f.fd ? 16 : 9)];
    // Bytes that need many stuff bits, few, or as it comes.
    static const uint8_t LONG[] = { 0x00, 0xFF, 0xF0, 0x0F, 0x1F, 0xE0, 0x3C, 0xC3 };
    const unsigned kind = sim_random(chance, 3);
    for (unsigned i = 0; i < f.len; i++)
        f.data[i] = (kind == 0)   ? (uint8_t)sim_random(chance, 256)
                    : (kind == 1) ? LONG[sim_random(chance, 8)]
                                  : LONG[f.id % 8];
    return f;
}

static int tell_seed(void **state)
{
    (void)state;
    if (seed)
        print_error("repeat it with: TEST_SEED=%llu build-asan/test/test_sim_bus_bits\n",
                    (unsigned long long)seed);
    return 0;
}

// --- The frames written out ---

static void the_crc_of_the_frames_written_out_is_that_of_the_catalogue(void **state)
{
    (void)state;
    // "123456789" in the catalogue of parametrised CRC algorithms: CRC-15/CAN, CRC-17/CAN-FD,
    // CRC-21/CAN-FD.
    uint8_t bits[72];
    for (unsigned i = 0; i < sizeof bits; i++)
        bits[i] = (uint8_t)("123456789"[i / 8] >> (7 - i % 8) & 1);
    assert_int_equal(can_wire_crc(0x4599, 15, 0, bits, sizeof bits), 0x059E);
    assert_int_equal(can_wire_crc(0x1685B, 17, 0, bits, sizeof bits), 0x04F03);
    assert_int_equal(can_wire_crc(0x102899, 21, 0, bits, sizeof bits), 0x0ED841);
}

static void a_frame_written_out_by_hand_is_this(void **state)
{
    (void)state;
    // Base format, identifier 0, no data: 19 zeros, a CRC of zero with them, and a stuff bit after
    // each five bits (the stuff bit included, from the second on).
    const can_frame_t f = { .id = 0 };
    can_wire_t w;
    can_wire(&f, &w);
    char text[CAN_WIRE_BITS + 1];
    for (unsigned i = 0; i < w.len; i++)
        text[i] = w.level[i] ? '1' : '0';
    text[w.len] = '\0';
    // 34 zeros: six times 00000 1, then 0000, then the tail.
    assert_string_equal(text,
                        "000001000001000001000001000001000001"
                        "0000"
                        "1" // CRC delimiter
                        "0" // ACK
                        "1" // ACK delimiter
                        "1111111");
    assert_int_equal(w.stuffed, 6);
    assert_int_equal(can_wire_time(&w, 2000, 500), 50 * 2000);
}

static void every_frame_takes_the_time_of_its_bits(void **state)
{
    (void)state;
    static const uint32_t RATES[][2] = {
        { 500000, 2000000 }, { 1000000, 5000000 }, { 125000, 500000 }, { 250000, 1000000 }
    };
    for (seed = 1; seed <= 20000; seed++) {
        uint64_t chance = seed;
        const can_frame_t f = random_frame(&chance, seed % 4 != 0);
        const uint32_t *rate = RATES[seed / 4 % 4];
        const nsec_t bit = 1000000000 / rate[0], data_bit = 1000000000 / rate[1];
        can_wire_t w;
        can_wire(&f, &w);
        const can_bits_t bits = can_bits(&f);
        const nsec_t expected = can_wire_time(&w, bit, data_bit);
        assert_int_equal(bits.nominal + bits.data, w.len + 3);
        assert_int_equal(bits.nominal * bit + bits.data * data_bit, expected + 3 * bit);

        // The same on the bus: it is heard at the end of its EOF, three bits before the next.
        sim_bus_t bus;
        sim_bus_event_t ev;
        sim_bus_init(&bus, rate[0], rate[1], seed);
        sim_bus_on(&bus, 0, 1, 0);
        sim_bus_on(&bus, 1, 1, 0);
        assert_true(sim_bus_send(&bus, 0, &f, START));
        assert_int_equal(sim_bus_next(&bus), START);
        assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_BEGAN);
        assert_int_equal(sim_bus_next(&bus), START + expected);
        assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_FRAME);
        assert_int_equal(bus.busy, expected + 3 * bit);
        assert_int_equal(bus.free, START + expected + 3 * bit);
    }
    seed = 0;
}

// --- A model of a bus without faults: levels, and a wired AND ---

enum { NODES = 6, FRAMES = 40 };

typedef struct {
    nsec_t at; // when it is queued
    can_frame_t frame;
    can_wire_t wire;
} job_t;

typedef struct {
    job_t job[FRAMES];
    unsigned queued, sent;
} source_t;

static source_t source[NODES];

/// Identifiers of different nodes differ, so that arbitration decides.
static void plan(nsec_t bit)
{
    uint64_t chance = seed;
    const uint32_t pause = sim_random(&chance, 400);
    for (unsigned n = 0; n < NODES; n++) {
        source[n].queued = source[n].sent = 0;
        nsec_t at = 100 * bit;
        for (unsigned i = 0; i < FRAMES; i++) {
            job_t *j = &source[n].job[i];
            j->frame = random_frame(&chance, seed % 2);
            // Many with the same first bits, also in the other format.
            j->frame.id = n + 8 * sim_random(&chance, 4);
            if (j->frame.ext) j->frame.id |= (n + 8 * sim_random(&chance, 4)) << 18;
            can_wire(&j->frame, &j->wire);
            // Whole bits, or not.
            at += sim_random(&chance, pause + 1) * bit +
                  sim_random(&chance, 2) * sim_random(&chance, 1000);
            j->at = at;
        }
    }
}

static const job_t *first(unsigned n)
{
    return source[n].sent < FRAMES ? &source[n].job[source[n].sent] : NULL;
}

/// Who sends first when all of them begin at once: a dominant bit wins.
static unsigned contest(uint32_t nodes)
{
    for (unsigned i = 0; nodes & (nodes - 1); i++) {
        uint32_t dominant = 0;
        for (unsigned n = 0; n < NODES; n++)
            if (nodes & 1U << n && !first(n)->wire.level[i]) dominant |= 1U << n;
        if (dominant) nodes = dominant;
    }
    unsigned winner = 0;
    while (!(nodes & 1U << winner))
        winner++;
    return winner;
}

/// The next frame of the model; false: there is none.
static bool predict(nsec_t *now_free, nsec_t bit, nsec_t data_bit, unsigned *winner, nsec_t *begins,
                    nsec_t *ends)
{
    *begins = NSEC_NEVER;
    for (unsigned n = 0; n < NODES; n++)
        if (first(n)) *begins = sooner(*begins, later(*now_free, first(n)->at));
    if (*begins == NSEC_NEVER) return false;
    uint32_t nodes = 0;
    for (unsigned n = 0; n < NODES; n++)
        if (first(n) && first(n)->at <= *begins) nodes |= 1U << n;
    *winner = contest(nodes);
    *ends = *begins + can_wire_time(&first(*winner)->wire, bit, data_bit);
    *now_free = *ends + 3 * bit;
    return true;
}

/// What comes before anything happens on the bus, in its order.
static void queue_due(sim_bus_t *bus)
{
    for (;;) {
        unsigned node = NODES;
        nsec_t at = NSEC_NEVER;
        for (unsigned n = 0; n < NODES; n++) {
            const source_t *s = &source[n];
            if (s->queued == FRAMES || s->job[s->queued].at >= at) continue;
            at = s->job[s->queued].at;
            node = n;
        }
        if (node == NODES || at > sim_bus_next(bus)) return;
        assert_true(sim_bus_send(bus, node, &source[node].job[source[node].queued++].frame, at));
    }
}

static void random_queues(uint32_t bitrate, uint32_t data_bitrate)
{
    sim_bus_t bus;
    sim_bus_event_t ev;
    sim_bus_init(&bus, bitrate, data_bitrate, seed);
    for (unsigned n = 0; n < NODES; n++)
        sim_bus_on(&bus, n, FRAMES, 0);
    plan(bus.bit);
    nsec_t free_at = 0, begins, ends, busy = 0;
    unsigned winner;
    while (predict(&free_at, bus.bit, bus.data_bit, &winner, &begins, &ends)) {
        queue_due(&bus);
        assert_int_equal(sim_bus_next(&bus), begins);
        assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_BEGAN);
        queue_due(&bus);
        assert_int_equal(sim_bus_next(&bus), ends);
        assert_int_equal(sim_bus_step(&bus, &ev), SIM_BUS_FRAME);
        assert_int_equal(ev.from, winner);
        assert_int_equal(ev.began, begins);
        assert_int_equal(ev.senders, 1U << winner);
        assert_int_equal(ev.heard, ((1U << NODES) - 1) & ~(1U << winner));
        assert_memory_equal(&ev.frame, &first(winner)->frame, sizeof ev.frame);
        busy += free_at - begins;
        source[winner].sent++;
        assert_int_equal(bus.node[winner].count, source[winner].queued - source[winner].sent);
    }
    assert_int_equal(sim_bus_next(&bus), NSEC_NEVER);
    assert_int_equal(bus.busy, busy);
    assert_int_equal(bus.frames, NODES * FRAMES);
    assert_int_equal(bus.errors, 0);
}

static void random_queues_are_sent_when_and_as_the_model_says(void **state)
{
    (void)state;
    const char *only = getenv("TEST_SEED");
    const uint64_t from = only ? strtoull(only, NULL, 0) : 1;
    for (seed = from; seed < from + (only ? 1 : 200); seed++)
        random_queues(seed % 3 ? 500000 : 1000000, seed % 3 ? 2000000 : 5000000);
    seed = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_crc_of_the_frames_written_out_is_that_of_the_catalogue),
        cmocka_unit_test(a_frame_written_out_by_hand_is_this),
        cmocka_unit_test_teardown(every_frame_takes_the_time_of_its_bits, tell_seed),
        cmocka_unit_test_teardown(random_queues_are_sent_when_and_as_the_model_says, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
