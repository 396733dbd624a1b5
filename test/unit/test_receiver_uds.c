// test_receiver_uds.c - the whole device side by UDS: requests over a virtual bus, images into a virtual flash.
// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ANNOUNCED = 4095, RING = 8192 };

static world_t w;
static uint8_t *old_image, *new_image; // of the same length
static uint32_t image_len;
static uint8_t request[4096];

static int load(void **state)
{
    uint32_t old_len;
    (void)state;
    old_image = world_vector("app_c3_v123.bin", &old_len);
    new_image = world_vector("app_c3_v130.bin", &image_len);
    return old_len == image_len ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    free(old_image);
    free(new_image);
    sim_flash_close(&w.nor);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    world_init(&w, "app_c3_v123.bin", RING);
    w.longest_wait = 0;
    return 0;
}

static void expect(const char *asked, const char *answer) { world_expect(&w, asked, answer); }

// --- A tester ---

static void request_download(uint32_t at, uint32_t size, const char *answer)
{
    char text[32];
    sprintf(text, "340044%08X%08X", at, size);
    expect(text, answer);
}

/// One block; returns the response's first byte, or the NRC.
static uint8_t send_block(uint8_t counter, const uint8_t *data, uint32_t len)
{
    request[0] = UDS_TRANSFER_DATA;
    request[1] = counter;
    memcpy(&request[2], data, len);
    assert_true(world_ask(&w, request, len + 2) > 0);
    if (w.reply[0] == UDS_NEGATIVE) return w.reply[2];
    assert_int_equal(w.reply[0], UDS_TRANSFER_DATA | UDS_POSITIVE);
    assert_int_equal(w.reply[1], counter);
    return w.reply[0];
}

/// Blocks from `at` to `end`. 0x76, or the NRC that ended it.
static uint8_t send_blocks(const uint8_t *image, uint32_t at, uint32_t end, uint32_t block)
{
    uint8_t counter = 0, answer = 0;
    for (; at < end; at += block) {
        answer = send_block(++counter, &image[at], (uint32_t)smaller(block, end - at));
        if (answer != 0x76) break;
    }
    return answer;
}

static void finish_update(void)
{
    expect("37", "77");
    expect("31010202", "7101020200");
    expect("3101FF01", "7101FF0100");
    assert_true(w.events & RECEIVER_COMPLETE);
    assert_false(w.events & (RECEIVER_FAILED | RECEIVER_RESTART));
    expect("1101", "5101");
    assert_true(w.events & RECEIVER_RESTART);
}

static void expect_new(void)
{
    assert_int_equal(world_boot(&w), 1);
    assert_memory_equal(&w.nor.mem[w.layout.slot[1].at], new_image, image_len);
}

static void update(void)
{
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, image_len, ANNOUNCED - 2), 0x76);
    finish_update();
}

static void expect_result(receiver_result_t result)
{
    char text[16];
    sprintf(text, "62FD01%02X..", (unsigned)result);
    expect("22FD01", text);
}

// --- Updates ---

static void an_update_makes_the_new_firmware_boot(void **state)
{
    (void)state;
    update();
    assert_true(w.events & RECEIVER_STARTED);
    expect_new();
    expect("22FD00", "62FD00020100FF000200000200020000"); // 1 runs and is confirmed, 0 is next
    expect("22F189", "62F189312E332E302D676F6C64656E");
}

static void blocks_of_every_kind_of_length_arrive(void **state)
{
    (void)state;
    static const uint32_t blocks[] = { 1, 5, 6, 7, 62, 128, 4092 };
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        const uint32_t len = (uint32_t)smaller(image_len, 300 * blocks[i]);
        world_init(&w, "app_c3_v123.bin", RING);
        expect("1002", "5002..");
        request_download(0, image_len, "74200FFF");
        assert_int_equal(send_blocks(new_image, 0, len, blocks[i]), 0x76); // the counter wraps
        world_run(&w, 1000 * USEC_MS);
        const uint32_t written = len / OTA_PAGE * OTA_PAGE;
        assert_memory_equal(&w.nor.mem[w.layout.slot[1].at], new_image, written);
    }
}

static void every_ring_will_do(void **state)
{
    (void)state;
    static const uint32_t rings[] = { 256, 300, 1000, 4096, 8186, 8191, 65536 };
    for (size_t i = 0; i < sizeof rings / sizeof rings[0]; i++) {
        char answer[16];
        world_init(&w, "app_c3_v123.bin", rings[i]);
        const uint32_t block = (uint32_t)smaller(ANNOUNCED, rings[i] / 2 + 2);
        sprintf(answer, "7420%04X", block);
        expect("1002", "5002..");
        request_download(0, image_len, answer);
        assert_int_equal(send_blocks(new_image, 0, image_len, block - 2), 0x76);
        finish_update();
        expect_new();
    }
}

// --- Time ---

static void a_block_is_acknowledged_before_it_is_written(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    w.nor.erase_time = 45 * USEC_MS;
    w.nor.prog_time = 700;
    w.longest_wait = 0;
    assert_int_equal(send_block(1, new_image, 4093), 0x76);
    assert_true(w.longest_wait < 2 * USEC_MS);
    assert_true(w.receiver.ring.used > 2000);
}

// With a chip at its limits: an erase takes 400 ms, much more than P2.
static void slow_flash_is_answered_for_in_time(void **state)
{
    (void)state;
    w.receiver_cfg.flash_pause = 400 * USEC_MS;
    world_boot(&w);
    w.nor.erase_time = 400 * USEC_MS;
    w.nor.prog_time = 3 * USEC_MS;
    expect("1002", "500201C201F4"); // P2server is 450 ms
    w.longest_wait = 0;
    expect("3101FF00", "7101FF0000"); // 13 s
    assert_int_equal(w.pending, 4);
    assert_true(w.longest_wait < 5000 * USEC_MS);
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, image_len, ANNOUNCED - 2), 0x76);
    finish_update();
    assert_true(w.longest_wait < 5000 * USEC_MS);
    expect_new();
}

// No flash operation begins that could make the first 0x78 late.
static void the_first_response_pending_comes_before_the_flash_is_busy(void **state)
{
    (void)state;
    static const char *const slow[] = { "3101FF00", "3101F000", "3101F003" };
    for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
        world_init(&w, "app_c3_v123.bin", RING);
        memcpy(&w.nor.mem[w.layout.slot[1].at], new_image, image_len);
        w.receiver_cfg.flash_pause = 400 * USEC_MS;
        w.receiver_cfg.p2_ms = 30;
        world_boot(&w);
        expect("1002", "5002..");
        w.nor.erase_time = w.nor.read_time = 200 * USEC_MS;
        uint8_t bytes[4];
        sscanf(slow[i], "%2hhx%2hhx%2hhx%2hhx", &bytes[0], &bytes[1], &bytes[2], &bytes[3]);
        assert_true(world_send(&w, bytes, 4));
        w.asked = w.now;
        w.longest_wait = 0;
        world_run(&w, 1000 * USEC_MS);
        assert_true(w.longest_wait < 30 * USEC_MS);
        assert_memory_equal(w.reply, "\x7F\x31\x78", 3);
    }
}

// --- Resuming ---

static void check_position(uint32_t at)
{
    uint8_t digest[CRYPTO_SHA256_LEN];
    assert_true(w.crypto.start(w.crypto.ctx, CRYPTO_SHA256));
    assert_true(w.crypto.update(w.crypto.ctx, new_image, at));
    assert_true(w.crypto.finish(w.crypto.ctx, digest));
    assert_int_equal(w.reply_len, 8 + sizeof digest);
    assert_int_equal(load_be32(&w.reply[4]), at);
    assert_memory_equal(&w.reply[8], digest, sizeof digest);
}

static void a_tester_that_died_goes_on_where_it_was(void **state)
{
    (void)state;
    for (uint32_t blocks = 1; blocks <= 16; blocks++) {
        world_init(&w, "app_c3_v123.bin", RING);
        expect("1002", "5002..");
        request_download(0, image_len, "74200FFF");
        const uint32_t sent = blocks * 4093;
        assert_int_equal(send_blocks(new_image, 0, sent, 4093), 0x76);
        world_run(&w, 5300 * USEC_MS); // S3
        assert_true(w.events & RECEIVER_FAILED);
        expect_result(RECEIVER_ABORTED);
        expect("1002", "5002..");
        expect("3101F000", "7101F000..");
        const uint32_t at = load_be32(&w.reply[4]);
        check_position(at);
        assert_true(at + 2 * 4096 >= sent);
        request_download(at, image_len - at, "74200FFF");
        request_download(at, image_len - at, "74200FFF"); // the response may have been lost
        assert_int_equal(send_blocks(new_image, at, image_len, 4093), 0x76);
        w.events = 0;
        finish_update();
        expect_new();
    }
}

static void a_download_begins_at_the_beginning_or_where_it_was_told_to(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(4096, 4096, "7F3431");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, 10 * 4093, 4093), 0x76);
    expect("3101F000", "7101F000..");
    assert_true(w.events & RECEIVER_FAILED); // the download before is given up
    const uint32_t at = load_be32(&w.reply[4]);
    assert_true(at > 8192);
    request_download(at - 1, image_len - at, "7F3431");
    expect("3101F000", "7101F000..");
    request_download(at, WORLD_SLOT - at + 1, "7F3431");
    expect("3101F000", "7101F000..");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, image_len, 4093), 0x76);
    w.events = 0;
    finish_update();
    expect_new();
}

// --- Refusals ---

static void refused_image(const char *name, uint8_t nrc, receiver_result_t result)
{
    uint32_t len;
    uint8_t *image = world_vector(name, &len);
    world_init(&w, "app_c3_v123.bin", RING);
    w.receiver_cfg.ota.project = "canfwupd-golden";
    const unsigned before = w.nor.erases + w.nor.progs;
    expect("1002", "5002..");
    request_download(0, len, "74200FFF");
    (void)send_block(1, image, 4093);
    if (w.reply[0] != UDS_NEGATIVE)
        (void)send_block(2, &image[4093], (uint32_t)smaller(4093, len - 4093));
    assert_int_equal(w.reply[0], UDS_NEGATIVE);
    assert_int_equal(w.reply[2], nrc);
    assert_true(w.events & RECEIVER_FAILED);
    assert_int_equal(w.nor.erases + w.nor.progs, before); // nothing was touched
    expect_result(result);
    expect("3603AA", "7F3624"); // it is over
    expect("37", "7F3724");
    assert_int_equal(world_boot(&w), 0);
    free(image);
}

static void what_the_device_must_not_run_is_refused_before_anything_is_erased(void **state)
{
    (void)state;
    refused_image("app_c6.bin", UDS_REQUEST_OUT_OF_RANGE, RECEIVER_WRONG_CHIP);
    refused_image("app_c3_minrev400.bin", UDS_REQUEST_OUT_OF_RANGE, RECEIVER_WRONG_REVISION);
}

static void an_image_of_another_project_is_refused(void **state)
{
    (void)state;
    w.receiver_cfg.ota.project = "another";
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    (void)send_block(1, new_image, 4093);
    if (w.reply[0] != UDS_NEGATIVE) (void)send_block(2, &new_image[4093], 4093);
    assert_int_equal(w.reply[2], UDS_REQUEST_OUT_OF_RANGE);
    expect_result(RECEIVER_WRONG_PROJECT);
}

static void more_than_the_slot_holds_is_refused(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, WORLD_SLOT + 1, "7F3431");
    request_download(0, WORLD_SLOT, "74200FFF");
}

static void a_damaged_image_is_found_at_the_exit(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    new_image[image_len / 2] ^= 1;
    const uint8_t answer = send_blocks(new_image, 0, image_len, 4093);
    new_image[image_len / 2] ^= 1;
    assert_int_equal(answer, 0x76);
    expect("37", "7F3772");
    assert_true(w.events & RECEIVER_FAILED);
    expect_result(RECEIVER_BAD_CHECKSUM);
    expect("31010202", "7101020201");
    expect("3101FF01", "7F3124");
    assert_int_equal(world_boot(&w), 0);
}

static void an_image_that_ends_too_early_is_found_at_the_exit(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, 100, "74200FFF");
    assert_int_equal(send_block(1, new_image, 100), 0x76);
    expect("37", "7F3772");
    expect_result(RECEIVER_INCOMPLETE);
}

static void flash_that_fails_late_is_reported_with_the_next_request(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, 2 * 4093, 4093), 0x76);
    world_run(&w, 100 * USEC_MS);
    sim_flash_fail_change(&w.nor, 3, SIM_FLASH_NOTHING, 0);
    assert_int_equal(send_block(3, &new_image[2 * 4093], 4093), 0x76); // not written yet
    world_run(&w, 100 * USEC_MS);
    assert_int_equal(send_block(4, &new_image[3 * 4093], 4093), UDS_PROGRAMMING_FAILURE);
    assert_true(w.events & RECEIVER_FAILED);
    expect_result(RECEIVER_FLASH);
    expect("36054142", "7F3624");
    w.nor.flaw[0] = 0;
    w.events = 0;
    update(); // and then it works
    expect_new();
}

static void firmware_on_trial_is_not_overwritten(void **state)
{
    (void)state;
    update();
    ota_boot_choose(&w.boot, &w.receiver_cfg.ota);
    w.receiver_cfg.ota.running = w.boot.slot; // and nobody confirms it
    receiver_init(&w.receiver, &w.receiver_cfg, w.ring, w.ring_cap, w.now);
    expect("1002", "5002..");
    expect("31010203", "710102030101");
    request_download(0, image_len, "7F3422");
    expect("3101FF00", "7F3122");
    expect("3101F003", "7F3122");
    expect("22FD02", "62FD020100..");
    expect("3101F001", "7101F00100");
    expect("31010203", "7101020300");
    expect("22FD02", "62FD020102..");
    request_download(0, image_len, "74200FFF");
}

// --- Routines ---

static void the_slot_can_be_erased_before(void **state)
{
    (void)state;
    memset(&w.nor.mem[w.layout.slot[1].at], 0x5A, WORLD_SLOT);
    expect("1002", "5002..");
    expect("3101FF0001", "7F3113");
    expect("3101FF00440000000000000000", "7F3131");
    expect("3101FF00440000000100001000", "7F3131");
    expect("3101FF00440000000000020001", "7F3131");
    expect("3101FF00440000000000020000", "7101FF0000");
    const uint8_t *slot = w.nor.mem + w.layout.slot[1].at;
    assert_true(flash_is_blank(slot, WORLD_SLOT));
    const unsigned erases = w.nor.erases;
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, image_len, 4093), 0x76);
    expect("37", "77");
    assert_int_equal(w.nor.erases, erases);
    expect("3101FF01", "7101FF0100");
    expect("3101FF01", "7101FF0100"); // the response may have been lost
    expect("31010202", "7101020200");
    expect_new();
}

static void nothing_is_activated_that_was_not_verified(void **state)
{
    (void)state;
    expect("1002", "5002..");
    expect("3101FF01", "7F3124");
    request_download(0, image_len, "74200FFF");
    expect("3101FF01", "7F3124");
    assert_int_equal(send_blocks(new_image, 0, image_len, 4093), 0x76);
    expect("3101FF01", "7F3124");
    expect("37", "77");
    expect("1002", "5002.."); // the session was entered again: all that is void
    expect("3101FF01", "7F3124");
    expect("31010202", "7101020201");
}

static void the_other_slot_comes_back_without_a_transfer(void **state)
{
    (void)state;
    update();
    expect_new();
    expect("1002", "5002..");
    w.events = 0;
    expect("3101F003", "7101F00300");
    assert_true(w.events & RECEIVER_COMPLETE);
    expect("1101", "5101");
    assert_int_equal(world_boot(&w), 0);
    expect("22FD02", "62FD020002..");
    expect("1002", "5002..");
    w.nor.mem[w.layout.slot[1].at + 5000] ^= 4;
    expect("3101F003", "7F3131");
    expect_result(RECEIVER_BAD_CHECKSUM);
    memset(&w.nor.mem[w.layout.slot[1].at], 0xFF, WORLD_SLOT);
    expect("3101F003", "7F3131");
    expect_result(RECEIVER_NOT_AN_IMAGE);
}

static void what_was_rejected_does_not_come_back(void **state)
{
    (void)state;
    update();
    ota_boot_choose(&w.boot, &w.receiver_cfg.ota);
    w.receiver_cfg.ota.running = w.boot.slot;
    receiver_init(&w.receiver, &w.receiver_cfg, w.ring, w.ring_cap, w.now);
    expect("1003", "5003..");
    expect("3101F002", "7101F00200");
    expect("1101", "5101");
    assert_int_equal(world_boot(&w), 0);
    expect("1003", "5003..");
    expect("3101F002", "7F3122"); // this one is not on trial
    expect("3101F003", "7F3131"); // only in the programming session
    expect("1002", "5002..");
    expect("3101F003", "7F3122");
    expect_result(RECEIVER_REJECTED);
}

// --- Identification ---

static size_t read_one(void *ctx, uint16_t did, uint8_t *p, size_t cap)
{
    const uint8_t *note = ctx;
    if (did == UDS_DID_VIN) return (size_t)snprintf((char *)p, cap, "VIN");
    if (did != UDS_DID_FINGERPRINT || note[0] == 0) return 0;
    memcpy(p, &note[1], note[0]);
    return note[0];
}

static bool write_one(void *ctx, uint16_t did, const uint8_t *p, size_t len)
{
    uint8_t *note = ctx;
    if (did != UDS_DID_FINGERPRINT) return false;
    note[0] = (uint8_t)len;
    memcpy(&note[1], p, len);
    return true;
}

/// FD03 says the same as this slot's own identifier.
static void expect_next_slot(unsigned did)
{
    char asked[16];
    uint8_t told[128];
    expect("22FD03", "62FD03..");
    const uint32_t len = w.reply_len;
    memcpy(told, w.reply, len);
    sprintf(asked, "22FD%02X", did);
    expect(asked, "62FD..");
    assert_int_equal(w.reply_len, len);
    assert_memory_equal(&w.reply[3], &told[3], len - 3);
}

static void says_what_it_is(void **state)
{
    (void)state;
    static uint8_t note[16] = { 0 }; // its length, its bytes
    static const ident_t ident = { note, read_one, write_one };
    expect("22F190", "7F2231");
    expect("22F181", "62F1810163616E66777570642D676F6C64656E");
    expect("22F197", "62F19763616E66777570642D676F6C64656E");
    expect("22F186", "62F18601");
    expect("22FD01", "62FD01FF00000000");
    expect("22FD1F", "7F2231"); // no factory app
    expect("22FD12", "7F2231");
    expect("22FD11", "62FD11FF00000000..");
    expect("22FD10", "62FD100200000002..");
    expect("22FD10FD10FD10", "7F2214");
    expect_next_slot(0x11);
    update();
    assert_int_equal(world_boot(&w), 1);
    expect_next_slot(0x10);
    w.receiver_cfg.ident = &ident;
    expect("1002", "5002..");
    expect("22F190F184", "62F19056494E");
    expect("2EF1842026112201020304", "7F2E13");
    expect("2EF184202611220102030405", "6EF184");
    expect("22F184", "62F184202611220102030405");
    expect("2EF199202611", "7F2E72");
    w.receiver_cfg.ident = NULL;
    expect("2EF199202611", "7F2E22");
}

// --- Security ---

static bool count_seed(void *ctx, uint8_t seed[ACCESS_SEED_LEN])
{
    memset(seed, ++*(uint8_t *)ctx, ACCESS_SEED_LEN);
    return true;
}

static bool add_level(void *ctx, uint8_t level, const uint8_t seed[ACCESS_SEED_LEN],
                      uint8_t key[ACCESS_KEY_LEN])
{
    (void)ctx;
    for (unsigned i = 0; i < ACCESS_KEY_LEN; i++)
        key[i] = (uint8_t)(seed[i] + level);
    return true;
}

static void only_who_has_the_secret_can_update(void **state)
{
    (void)state;
    static uint8_t seeds;
    static const access_t access = { &seeds, count_seed, add_level };
    seeds = 0;
    w.receiver_cfg.access = &access;
    world_boot(&w);
    expect("1002", "5002..");
    request_download(0, image_len, "7F3433");
    request_download(0, WORLD_SLOT + 1, "7F3431"); // 31 goes before 33
    request_download(WORLD_SLOT, 1, "7F3431");
    request_download(0xFFFFFFFF, 2, "7F3431");
    static const char *const locked[] = { "3101FF00", "3101FF01", "31010202", "3101F000",
                                          "3101F001", "3101F002", "3101F003" };
    for (size_t i = 0; i < sizeof locked / sizeof locked[0]; i++)
        expect(locked[i], "7F3133");
    expect("2EF199202611", "7F2E33");
    expect("31010203", "7101020300");
    expect("2701", "7F2737"); // the device has just started
    expect("1001", "5001..");
    assert_false(world_send(&w, new_image, 4095)); // the other protocols are no way around it
    assert_int_equal(w.sender.tx.why, ISOTP_BUFFER_OVFLW);
    world_run(&w, 10000 * USEC_MS);
    expect("1002", "5002..");
    expect("2701", "670101010101010101010101010101010101");
    expect(
        "2702"
        "01010101010101010101010101010101",
        "7F2735");
    expect("2701", "670102020202020202020202020202020202");
    expect(
        "2702"
        "020202",
        "7F2713");
    expect("2701", "670103030303030303030303030303030303");
    expect(
        "2702"
        "04040404040404040404040404040404",
        "6702");
    expect("2701", "670100000000000000000000000000000000");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_blocks(new_image, 0, image_len, 4093), 0x76);
    finish_update();
    expect_new();
}

// --- One at a time ---

static void a_transfer_does_not_begin_in_a_session(void **state)
{
    (void)state;
    expect("1003", "5003..");
    assert_false(world_send(&w, new_image, 4095)); // OVFLW
    assert_int_equal(w.sender.tx.why, ISOTP_BUFFER_OVFLW);
    world_frame(&w, "\x01\xE9", 2);
    world_frame(&w, "\x02OT", 3);
    world_run(&w, 10 * USEC_MS);
    assert_int_equal(w.events & RECEIVER_STARTED, 0);
    update();
    expect_new();
}

static void a_request_in_a_transfer_is_data(void **state)
{
    (void)state;
    assert_true(world_send(&w, new_image, 4095));
    const unsigned replies = w.replies;
    assert_true(world_send(&w, "\x10\x03", 2)); // a short message: the end
    world_run(&w, 1000 * USEC_MS);
    assert_int_equal(w.replies, replies);
    assert_int_equal(w.statuses, 1);
    assert_int_equal(w.status[2], RECEIVER_INCOMPLETE);
}

static void functional_frame(const char *bytes, uint8_t len)
{
    can_frame_t f = { .id = 0x7DF, .len = len };
    memcpy(f.data, bytes, len);
    w.events |= receiver_input(&w.receiver, &f, w.now);
    world_run(&w, 10 * USEC_MS);
}

static void requests_to_all_do_not_disturb_a_transfer(void **state)
{
    (void)state;
    assert_true(world_send(&w, new_image, 4095));
    functional_frame("\x02\x10\x03", 3);
    assert_memory_equal(w.reply, "\x7F\x10\x22", 3);
    functional_frame("\x02\x11\x01", 3);
    assert_memory_equal(w.reply, "\x7F\x11\x22", 3);
    functional_frame("\x02\x3E\x00", 3);
    assert_memory_equal(w.reply, "\x7E\x00", 2);
    functional_frame("\x02\x10\x01", 3);
    functional_frame("\x02\x3E\x80", 3);
    world_transfer(&w, &new_image[4095], image_len - 4095, 4095);
    world_run(&w, 2000 * USEC_MS);
    assert_int_equal(w.statuses, 1);
    assert_int_equal(w.status[2], RECEIVER_OK);
    expect_new();
}

static void requests_to_all_keep_the_session_of_a_download(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_block(1, new_image, 4093), 0x76);
    for (unsigned i = 0; i < 5; i++) {
        world_run(&w, 2000 * USEC_MS);
        functional_frame("\x02\x3E\x80", 3);
    }
    assert_int_equal(send_block(2, &new_image[4093], 4093), 0x76);
}

static void no_functional_channel_no_functional_requests(void **state)
{
    (void)state;
    w.receiver_cfg.functional.functional = false;
    world_boot(&w);
    const unsigned replies = w.replies;
    functional_frame("\x02\x3E\x00", 3);
    assert_int_equal(w.replies, replies);
}

static void a_restart_without_response_happens_at_once(void **state)
{
    (void)state;
    functional_frame("\x02\x11\x81", 3);
    assert_true(w.events & RECEIVER_RESTART);
}

// --- Messages that are no requests ---

static void long_requests_are_refused_and_strange_ones_ignored(void **state)
{
    (void)state;
    memset(request, 0, sizeof request);
    request[0] = UDS_READ_DID;
    assert_int_equal(world_ask(&w, request, 4095), 3);
    assert_memory_equal(w.reply, "\x7F\x22\x13", 3);
    assert_false(world_send(&w, request, 4096));
    assert_int_equal(w.sender.tx.why, ISOTP_BUFFER_OVFLW);
    expect("3E00", "7E00");
    request[0] = 0x01; // no service of UDS
    assert_false(world_send(&w, request, 100));
    assert_int_equal(w.sender.tx.why, ISOTP_BUFFER_OVFLW);
    expect("0102", "7F0111");
    request[0] = 0x38;
    assert_int_equal(world_ask(&w, request, 100), 3);
    assert_memory_equal(w.reply, "\x7F\x38\x11", 3);
}

static void a_block_that_breaks_off_is_forgotten_and_can_be_sent_again(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    assert_int_equal(send_block(1, new_image, 4093), 0x76);
    world_run(&w, 100 * USEC_MS);
    request[0] = UDS_TRANSFER_DATA;
    request[1] = 2;
    memset(&request[2], 0xAA, 4093);
    world_send_part(&w, request, 4095, 300); // then silence: N_Cr
    world_run(&w, 1500 * USEC_MS);
    world_send_part(&w, request, 4095, 200); // then another message
    assert_int_equal(send_block(2, &new_image[4093], 4093), 0x76);
    assert_int_equal(send_block(2, &new_image[4093], 4093), 0x76); // once more: not written twice
    assert_int_equal(send_block(9, &new_image[4093], 4093), UDS_WRONG_BLOCK_COUNTER);
    uint8_t counter = 2;
    for (uint32_t at = 2 * 4093; at < image_len; at += 4093)
        assert_int_equal(
            send_block(++counter, &new_image[at], (uint32_t)smaller(4093, image_len - at)), 0x76);
    finish_update();
    expect_new();
}

static void single_frame(const uint8_t *bytes, uint8_t len)
{
    can_frame_t f = { .id = 0x7E0, .len = (uint8_t)(len + 1), .data = { len } };
    memcpy(&f.data[1], bytes, len);
    w.events |= receiver_input(&w.receiver, &f, w.now);
}

// The driver has the response and has not confirmed it yet; a fast tester has it already.
static void a_block_may_come_before_the_response_is_confirmed(void **state)
{
    (void)state;
    expect("1002", "5002..");
    request_download(0, image_len, "74200FFF");
    uint8_t block[2][7] = { { UDS_TRANSFER_DATA, 1 }, { UDS_TRANSFER_DATA, 2 } };
    memcpy(&block[0][2], new_image, 5);
    memcpy(&block[1][2], &new_image[5], 5);
    single_frame(block[0], 7);
    assert_non_null(receiver_output(&w.receiver, w.now));
    receiver_taken(&w.receiver, w.now);
    single_frame(block[1], 7);
    w.events |= receiver_sent(&w.receiver, w.now);
    const can_frame_t *out = receiver_output(&w.receiver, w.now);
    assert_non_null(out);
    assert_memory_equal(out->data, "\x02\x76\x02", 3);
    assert_int_equal(w.receiver.ring.ready, 10);
    world_run(&w, 10 * USEC_MS);
    uint8_t counter = 2;
    for (uint32_t at = 10; at < image_len; at += 4093)
        assert_int_equal(
            send_block(++counter, &new_image[at], (uint32_t)smaller(4093, image_len - at)), 0x76);
    finish_update();
    expect_new();
}

static void a_request_while_another_is_answered_is_told_to_come_again(void **state)
{
    (void)state;
    expect("1002", "5002..");
    w.nor.erase_time = 45 * USEC_MS;
    assert_true(world_send(&w, "\x31\x01\xFF\x00", 4));
    world_run(&w, 200 * USEC_MS);
    assert_true(world_send(&w, "\x22\xF1\x86", 3));
    world_run(&w, 100 * USEC_MS);
    assert_memory_equal(w.reply, "\x7F\x22\x21", 3);
    world_run(&w, 5000 * USEC_MS);
    assert_memory_equal(w.reply, "\x71\x01\xFF\x00\x00", 5);
}

#define FRESH(test) cmocka_unit_test_setup(test, fresh)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(an_update_makes_the_new_firmware_boot),
        FRESH(blocks_of_every_kind_of_length_arrive),
        FRESH(every_ring_will_do),
        FRESH(a_block_is_acknowledged_before_it_is_written),
        FRESH(slow_flash_is_answered_for_in_time),
        FRESH(the_first_response_pending_comes_before_the_flash_is_busy),
        FRESH(a_tester_that_died_goes_on_where_it_was),
        FRESH(a_download_begins_at_the_beginning_or_where_it_was_told_to),
        FRESH(what_the_device_must_not_run_is_refused_before_anything_is_erased),
        FRESH(an_image_of_another_project_is_refused),
        FRESH(more_than_the_slot_holds_is_refused),
        FRESH(a_damaged_image_is_found_at_the_exit),
        FRESH(an_image_that_ends_too_early_is_found_at_the_exit),
        FRESH(flash_that_fails_late_is_reported_with_the_next_request),
        FRESH(firmware_on_trial_is_not_overwritten),
        FRESH(the_slot_can_be_erased_before),
        FRESH(nothing_is_activated_that_was_not_verified),
        FRESH(the_other_slot_comes_back_without_a_transfer),
        FRESH(what_was_rejected_does_not_come_back),
        FRESH(says_what_it_is),
        FRESH(only_who_has_the_secret_can_update),
        FRESH(a_transfer_does_not_begin_in_a_session),
        FRESH(a_request_in_a_transfer_is_data),
        FRESH(requests_to_all_do_not_disturb_a_transfer),
        FRESH(requests_to_all_keep_the_session_of_a_download),
        FRESH(no_functional_channel_no_functional_requests),
        FRESH(a_restart_without_response_happens_at_once),
        FRESH(long_requests_are_refused_and_strange_ones_ignored),
        FRESH(a_block_that_breaks_off_is_forgotten_and_can_be_sent_again),
        FRESH(a_block_may_come_before_the_response_is_confirmed),
        FRESH(a_request_while_another_is_answered_is_told_to_come_again),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
