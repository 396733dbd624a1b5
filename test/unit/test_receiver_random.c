// test_receiver_random.c - thousands of transfers that go wrong at random: the device always ends with old or new.
// SPDX-License-Identifier: Apache-2.0
//
// TEST_SEED=N repeats the history N alone; a failure prints it.
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HISTORIES = 300 };

static world_t w;
static uint8_t *image[2];
static uint32_t image_len;
static uint8_t bytes[200000];

static uint32_t next(void)
{
    w.seed = w.seed * 1664525 + 1013904223;
    return w.seed >> 8;
}

// What runs must be one of the two images, whole.
static void boots_something_whole(void)
{
    const int slot = world_boot(&w);
    const uint8_t *p = &w.nor.mem[w.layout.slot[slot].at];
    assert_true(memcmp(p, image[0], image_len) == 0 || memcmp(p, image[1], image_len) == 0);
}

static uint32_t prepare(const uint8_t *im)
{
    const bool header = next() % 2;
    memset(bytes, 0xFF, sizeof bytes);
    memset(bytes, 0, 8);
    bytes[0] = 'O';
    bytes[1] = 'T';
    const uint32_t len = image_len + ((next() % 4 == 0) ? next() % 9000 : 0);
    store_le32(&bytes[2], len);
    memcpy(&bytes[header ? 8 : 0], im, image_len);
    return len + (header ? 8 : 0);
}

static void one_bad_transfer(void)
{
    const uint8_t *im = image[next() % 2];
    const uint32_t len = prepare(im);
    const uint32_t message_len = (bytes[0] == 'O') ? 1 + next() % 9000 : 4095;
    w.lost = next() % 4 ? 0 : next() % 3;
    w.doubled = next() % 4 ? 0 : next() % 3;
    if (next() % 4 == 0) bytes[next() % len] ^= (uint8_t)(1u << next() % 8);
    if (next() % 16 == 0) sim_flash_fail_change(&w.nor, 1 + next() % 300, SIM_FLASH_NOTHING, 0);
    const uint32_t upto = (next() % 2) ? len : next() % len;
    const uint32_t whole = upto / message_len * message_len;
    const unsigned statuses = w.statuses;
    for (uint32_t at = 0; at < whole && w.statuses == statuses; at += message_len)
        if (!world_send(&w, &bytes[at], message_len)) break;
    if (upto - whole > 8 && next() % 2)
        world_send_part(&w, &bytes[whole], upto - whole, next() % (upto - whole) / 7);
    else if (upto > whole)
        (void)world_send(&w, &bytes[whole], upto - whole);
    for (unsigned junk = next() % 4; junk > 0; junk--) {
        const uint32_t at = next() % (uint32_t)(sizeof bytes - 8);
        world_frame(&w, &bytes[at], (uint8_t)(1 + next() % 8));
    }
    if (next() % 2) world_run(&w, next() % 15000 * USEC_MS);
    isotp_init(&w.sender, &w.sender_cfg);
}

static void one_history(uint32_t seed)
{
    static const uint32_t rings[] = { STREAM_RING_MIN, 300, 777, 4096, 8192, 16384 };
    world_init(&w, "app_c3_v123.bin", rings[seed % 6]);
    w.seed = seed * 2654435761u + 1;
    w.nor.erase_time = next() % 3 ? 45 * USEC_MS : next() % 1000 * USEC_MS;
    w.nor.prog_time = next() % 3 ? 400 : next() % 5000;
    for (unsigned i = 0; i < 3; i++) {
        one_bad_transfer();
        sim_flash_fail_change(&w.nor, 0, SIM_FLASH_NOTHING, 0);
        if (w.events & RECEIVER_RESTART || next() % 4 == 0) boots_something_whole();
    }
    // However it stands now: a proper transfer, on a proper link, ends in the new firmware.
    w.lost = w.doubled = 0;
    world_run(&w, 12000 * USEC_MS);
    boots_something_whole();
    const uint8_t *im = image[next() % 2];
    w.statuses = 0;
    world_transfer(&w, im, image_len, 4095);
    world_run(&w, 60000 * USEC_MS);
    assert_true(w.events & RECEIVER_RESTART);
    assert_int_equal(w.status[2], RECEIVER_OK);
    const int before = w.boot.slot;
    assert_int_equal(world_boot(&w), 1 - before);
    assert_memory_equal(&w.nor.mem[w.layout.slot[w.boot.slot].at], im, image_len);
}

static uint32_t running_seed;

static void the_device_always_ends_with_old_or_new(void **state)
{
    const char *only = getenv("TEST_SEED");
    (void)state;
    for (uint32_t seed = 0; seed < HISTORIES; seed++) {
        running_seed = only ? (uint32_t)strtoul(only, NULL, 0) : seed;
        one_history(running_seed);
        if (only) return;
    }
    running_seed = UINT32_MAX;
}

static int load(void **state)
{
    (void)state;
    running_seed = UINT32_MAX;
    image[0] = world_vector("app_c3_v123.bin", &image_len);
    image[1] = world_vector("app_c3_v130.bin", &image_len);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(image[0]);
    free(image[1]);
    if (running_seed != UINT32_MAX)
        print_error("repeat it with: TEST_SEED=%u build-asan/test/test_receiver_random\n",
                    running_seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_device_always_ends_with_old_or_new),
    };
    return cmocka_run_group_tests_name("receiver at random", tests, load, unload);
}
