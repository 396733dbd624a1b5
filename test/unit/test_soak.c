// test_soak.c - updates by UDS over a bus that loses, doubles and delays frames: what runs is what the host says.
// SPDX-License-Identifier: Apache-2.0
//
// SOAK=N does so many instead of 100 (./run soak: 1000); TEST_SEED=N repeats one alone, and prints how it went.
#include "faulty_bus.h"
#include "link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

MACHINE_VERBS(flasher);
MACHINE_VERBS(receiver);

enum { UPDATES = 100, DEVICE_BOOTS_MS = 300 };

static world_t w;
static link_t l; // for its flasher
static faulty_bus_t bus;
static uint32_t running_seed;
static unsigned furthest; // step of the host
static unsigned done, failed[FLASHER_NO_HASH + 1], faults;

static void device_on(void)
{
    const machine_t device = MACHINE(receiver, &w.receiver);
    faulty_bus_connect(&bus, 1, &device);
}

/// Firmware on trial confirms itself; in one of eight updates it crashes before that.
static void restart(uint32_t seed)
{
    faulty_bus_connect(&bus, 1, NULL);
    w.nor.clock = &w.now;
    const usec_t up = bus.now + DEVICE_BOOTS_MS * USEC_MS;
    unsigned events = 0;
    while (bus.now < up && faulty_bus_run(&bus, up))
        events |= bus.events[0];
    w.now = bus.now;
    if (seed % 8 == 6) ota_boot_choose(&w.boot, &w.receiver_cfg.ota);
    (void)world_boot(&w);
    w.nor.clock = &bus.clock[1];
    bus.events[0] = events;
    device_on();
}

static void begin(uint32_t seed)
{
    static const usec_t latest[] = { 50 * USEC_MS, 5 * USEC_MS, 50 * USEC_MS, 1 * USEC_MS };
    uint64_t chance = seed;
    link_init(&l, &w, "app_c3_v123.bin", "app_c3_v130.bin", NULL);
    faulty_bus_init(&bus, chance);
    bus.now = w.now;
    const unsigned kind = seed % 4;
    for (int i = 0; i < 2; i++)
        bus.faults[i] = (faulty_bus_faults_t){
            .lost = 10, .doubled = 10, .late = 10, .late_max = latest[kind], .overtaken = kind == 3
        };
    w.nor.erase_time = 45 * USEC_MS;
    w.nor.prog_time = 400;
    w.nor.clock = &bus.clock[1];
    const machine_t host = MACHINE(flasher, &l.flasher);
    flasher_init(&l.flasher, &l.cfg, bus.now);
    faulty_bus_connect(&bus, 0, &host);
    device_on();
}

static bool behind_the_transfer(unsigned step)
{
    for (unsigned i = 0; i < step && i < l.profile.steps; i++)
        if (l.profile.step[i].verb == PROFILE_TRANSFER) return true;
    return false;
}

/// Behind the transfer there are only a few frames, but those on which the verdict depends.
static void worsen(uint32_t seed)
{
    const bool late = behind_the_transfer(l.flasher.step);
    for (int i = 0; i < 2; i++)
        bus.faults[i].lost = (late && seed & 4) ? 200 : 10;
}

static unsigned run(uint32_t seed, usec_t until)
{
    furthest = 0;
    unsigned host = 0;
    while (!(host & (FLASHER_DONE | FLASHER_FAILED)) && faulty_bus_run(&bus, until)) {
        host |= bus.events[0];
        if (l.flasher.step > furthest) furthest = l.flasher.step;
        worsen(seed);
        if (bus.events[1] & RECEIVER_RESTART) {
            restart(seed);
            host |= bus.events[0];
        }
    }
    return host;
}

static void one_update(uint32_t seed)
{
    begin(seed);
    const flasher_t *f = &l.flasher;
    const usec_t start = bus.now;
    const unsigned events = run(seed, start + 3600000 * USEC_MS);
    assert_true(events & (FLASHER_DONE | FLASHER_FAILED)); // within an hour
    assert_true((events & (FLASHER_DONE | FLASHER_FAILED)) != (FLASHER_DONE | FLASHER_FAILED));
    // A restart that was asked for may still be to come.
    const usec_t until = bus.now + 10000 * USEC_MS;
    faulty_bus_connect(&bus, 0, NULL);
    while (faulty_bus_run(&bus, until))
        if (bus.events[1] & RECEIVER_RESTART) restart(seed);
    const bool new_runs = w.receiver_cfg.ota.running == 1;
    if (events & FLASHER_DONE) {
        done++;
        assert_true(new_runs);
        assert_memory_equal(&w.nor.mem[w.layout.slot[1].at], l.image, l.cfg.image.len);
    } else {
        failed[f->why]++;
        if (new_runs) {
            assert_true(behind_the_transfer(furthest));
            assert_int_not_equal(f->why, FLASHER_OLD_RUNS);
        }
        if (f->why == FLASHER_OTHER_RUNS) fail_msg("something else runs, the host says");
    }
    assert_int_equal(bus.overrun, 0);
    faults += bus.lost + bus.doubled + bus.late;
    if (getenv("TEST_SEED"))
        print_message(
            "seed %u: %s %d step %u, new runs: %d, after %.1f s; sent %u of %u in %u rounds; nrc %02X\n",
            seed, (events & FLASHER_DONE) ? "done" : "failed", f->why, f->step, new_runs,
            (double)(bus.now - start) / 1e6 - 10, f->sent, l.cfg.image.len, f->rounds,
            (unsigned)f->nrc);
    faulty_bus_close(&bus);
    link_free(&l);
}

static void every_update_ends_with_the_truth(void **state)
{
    const char *only = getenv("TEST_SEED"), *many = getenv("SOAK");
    const uint32_t count = many ? (uint32_t)strtoul(many, NULL, 0) : UPDATES;
    (void)state;
    for (uint32_t seed = 0; seed < count; seed++) {
        running_seed = only ? (uint32_t)strtoul(only, NULL, 0) : seed;
        one_update(running_seed);
        if (only) break;
    }
    running_seed = UINT32_MAX;
    if (only) return;
    print_message("%u updates, %u faults: %u done", count, faults, done);
    for (unsigned i = 0; i <= FLASHER_NO_HASH; i++)
        if (failed[i]) print_message(", %u failed (%u)", failed[i], i);
    print_message("\n");
    assert_true(done * 10 >= count * 4); // nearly all, or this tests little
}

static int tell(void **state)
{
    (void)state;
    if (running_seed != UINT32_MAX)
        print_error("repeat it with: TEST_SEED=%u build-asan/test/test_soak\n", running_seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_update_ends_with_the_truth),
    };
    return cmocka_run_group_tests_name("soak", tests, NULL, tell);
}
