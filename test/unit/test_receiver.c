// test_receiver.c - the whole device side: images over a virtual bus into a virtual flash.
// SPDX-License-Identifier: Apache-2.0
#include "crc32.h"
#include "image_build.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static world_t w;
static uint8_t *old_image, *new_image; // of the same length
static uint32_t image_len;
static uint8_t bytes[300000];

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
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    world_init(&w, "app_c3_v123.bin", 8192);
    return 0;
}

static uint32_t with_header(const uint8_t *image, uint32_t len, uint32_t announced)
{
    memset(bytes, 0, 8);
    bytes[0] = 'O';
    bytes[1] = 'T';
    store_le32(&bytes[2], announced);
    memcpy(&bytes[8], image, len);
    return len + 8;
}

static void expect_done(const uint8_t *image, int slot)
{
    world_run(&w, 2000 * USEC_MS);
    assert_int_equal(w.statuses, 1);
    assert_memory_equal(w.status, "OT\0", 3);
    assert_true(w.events & RECEIVER_COMPLETE);
    assert_true(w.events & RECEIVER_RESTART);
    assert_false(w.events & RECEIVER_FAILED);
    assert_int_equal(world_boot(&w), slot);
    assert_memory_equal(&w.nor.mem[w.layout.slot[slot].at], image, image_len);
    w.statuses = 0;
}

// One status message with this result; the old firmware runs, now and after a restart.
static void expect_failed(receiver_result_t result)
{
    world_run(&w, 20000 * USEC_MS);
    assert_int_equal(w.statuses, 1);
    assert_memory_equal(w.status, "OT", 2);
    assert_int_equal(w.status[2], result);
    assert_true(w.events & RECEIVER_FAILED);
    assert_false(w.events & RECEIVER_RESTART);
    assert_int_equal(w.receiver.state, RECEIVER_IDLE);
    w.statuses = 0;
    w.events = 0;
}

static void expect_old(void)
{
    assert_memory_equal(&w.nor.mem[w.layout.slot[0].at], old_image, image_len);
    assert_int_equal(world_boot(&w), 0);
}

static void expect_nothing_written(unsigned operations_before)
{
    assert_int_equal(sim_flash_changes(&w.nor), operations_before);
}

// --- What must work ---

static void plain_updates_the_other_slot(void **state)
{
    (void)state;
    world_transfer(&w, new_image, image_len, 4095);
    expect_done(new_image, 1);
    assert_int_equal(load_le32(&w.status[3]), image_len);
}

static void header_updates_the_other_slot(void **state)
{
    (void)state;
    world_transfer(&w, bytes, with_header(new_image, image_len, image_len), 4095);
    expect_done(new_image, 1);
}

static void header_takes_messages_of_any_length(void **state)
{
    static const uint32_t lengths[] = { 2048, 1000, 100, 8192, 70000, 4096 };
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        world_init(&w, "app_c3_v123.bin", 8192);
        world_transfer(&w, bytes, with_header(new_image, image_len, image_len), lengths[i]);
        expect_done(new_image, 1);
    }
}

static void header_may_be_a_message_of_its_own(void **state)
{
    (void)state;
    const uint32_t len = with_header(new_image, image_len, image_len);
    assert_true(world_send(&w, bytes, 8));
    world_transfer(&w, bytes + 8, len - 8, 2048);
    expect_done(new_image, 1);
}

static void two_updates_end_in_the_first_slot_again(void **state)
{
    (void)state;
    world_transfer(&w, new_image, image_len, 4095);
    expect_done(new_image, 1);
    world_transfer(&w, old_image, image_len, 4095);
    expect_done(old_image, 0);
    world_transfer(&w, bytes, with_header(new_image, image_len, image_len), 4095);
    expect_done(new_image, 1);
}

static uint32_t padded_to_a_multiple(void)
{
    const uint32_t len = (image_len + 4094) / 4095 * 4095;
    memset(bytes, 0xFF, len);
    memcpy(bytes, new_image, image_len);
    return len;
}

static void an_exact_multiple_ends_with_one_more_byte(void **state)
{
    (void)state;
    const uint32_t len = padded_to_a_multiple();
    bytes[len] = 0xFF;
    world_transfer(&w, bytes, len + 1, 4095);
    expect_done(new_image, 1);
}

static void an_exact_multiple_ends_after_a_second_of_silence(void **state)
{
    (void)state;
    const uint32_t len = padded_to_a_multiple();
    world_transfer(&w, bytes, len, 4095);
    assert_int_equal(w.statuses, 0);
    const usec_t sent = w.now;
    world_run(&w, 990 * USEC_MS);
    assert_false(w.events & RECEIVER_COMPLETE);
    expect_done(new_image, 1);
    assert_true(w.now - sent >= 1000 * USEC_MS);
}

static void bytes_behind_the_image_belong_to_it(void **state)
{
    (void)state;
    memcpy(bytes, new_image, image_len);
    for (uint32_t i = 0; i < 5000; i++)
        bytes[image_len + i] = (uint8_t)(i * 7);
    world_transfer(&w, bytes, image_len + 5000, 4095);
    expect_done(new_image, 1);
    assert_memory_equal(&w.nor.mem[w.layout.slot[1].at], bytes, image_len + 5000);
}

static void a_stray_short_message_before_the_transfer_does_not_matter(void **state)
{
    (void)state;
    world_frame(&w, "\x01\x00", 2);
    world_frame(&w, "\x02\x3E\x80", 3);
    world_frame(&w, "\x01O", 2);
    world_frame(&w, "\x07OT\0\0\0\0\0", 8); // a header, but one byte short
    assert_int_equal(w.events, 0);
    world_transfer(&w, new_image, image_len, 4095);
    expect_done(new_image, 1);
}

static void a_message_after_the_end_does_not_matter(void **state)
{
    (void)state;
    world_transfer(&w, new_image, image_len, 4095);
    assert_int_equal(w.statuses, 0); // still verifying
    world_frame(&w, "\x01\xFF", 2);
    world_frame(&w, "\x10\x14\xE9\x05\x02\x2F\x20\x00", 8);
    expect_done(new_image, 1);
}

static void the_sender_may_die_in_a_message_and_start_again_at_once(void **state)
{
    (void)state;
    for (unsigned frames = 0; frames < 585; frames += 97) {
        world_init(&w, "app_c3_v123.bin", 8192);
        world_transfer(&w, new_image, 3 * 4095, 4095);
        world_send_part(&w, new_image + 3 * 4095, 4095, frames);
        world_transfer(&w, new_image, image_len, 4095);
        expect_done(new_image, 1);
    }
}

static void the_sender_may_die_between_messages_and_start_again_at_once(void **state)
{
    (void)state;
    world_transfer(&w, new_image, 5 * 4095, 4095);
    world_transfer(&w, old_image, image_len, 4095); // another image, too
    expect_done(old_image, 1);
    world_transfer(&w, bytes, with_header(new_image, image_len, image_len) / 2, 4095);
    world_transfer(&w, bytes, with_header(new_image, image_len, image_len), 4095);
    expect_done(new_image, 0);
}

static void a_transfer_may_change_the_protocol_of_the_one_before(void **state)
{
    (void)state;
    world_transfer(&w, new_image, 4095 * 2, 4095);
    world_transfer(&w, bytes, with_header(new_image, image_len, image_len), 2048);
    expect_done(new_image, 1);
}

static void a_transfer_works_after_a_broken_one(void **state)
{
    (void)state;
    world_transfer(&w, new_image, 2 * 4095, 4095);
    world_send_part(&w, new_image + 2 * 4095, 4095, 100);
    expect_failed(RECEIVER_BROKEN); // N_Cr
    world_transfer(&w, new_image, image_len, 4095);
    expect_done(new_image, 1);
}

// --- What must be refused ---

static void refuse(const char *vector, receiver_result_t result)
{
    uint32_t len;
    uint8_t *image = world_vector(vector, &len);
    memset(&w.nor.mem[w.layout.slot[1].at], 0, WORLD_SLOT); // an erase would show
    const unsigned before = sim_flash_changes(&w.nor);
    world_transfer(&w, image, len, 4095);
    expect_failed(result);
    expect_nothing_written(before);
    world_transfer(&w, bytes, with_header(image, len, len), 4095);
    expect_failed(result);
    expect_nothing_written(before);
    expect_old();
    free(image);
}

static void an_image_for_another_chip_is_refused_before_anything_is_erased(void **state)
{
    (void)state;
    refuse("app_esp32.bin", RECEIVER_WRONG_CHIP);
    refuse("app_c6.bin", RECEIVER_WRONG_CHIP);
    refuse("app_c3_minrev400.bin", RECEIVER_WRONG_REVISION);
    refuse("app_c3_nohash.bin", RECEIVER_NO_DIGEST);
}

// Each reason has its own result, and is told for both protocols.
static void says_why_an_image_is_refused(void **state)
{
    static uint8_t built[IMAGE_BUILD_CAP];
    static const struct {
        const char *what;
        receiver_result_t result;
    } rows[] = {
        { "entry", RECEIVER_BAD_STRUCTURE },   { "segments", RECEIVER_BAD_STRUCTURE },
        { "segment", RECEIVER_BAD_STRUCTURE }, { "descriptor", RECEIVER_NO_DESCRIPTOR },
        { "checksum", RECEIVER_BAD_CHECKSUM }, { "digest", RECEIVER_BAD_DIGEST },
        { "hash", RECEIVER_NO_DIGEST },        { "nothing", RECEIVER_OK },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *what = rows[i].what;
        image_spec_t spec = image_spec();
        if (strcmp(what, "entry") == 0) spec.entry = 0x12345678;
        if (strcmp(what, "segment") == 0) spec.segment[1] = spec.segment[0];
        if (strcmp(what, "descriptor") == 0) spec.desc_magic = 0x11111111;
        if (strcmp(what, "hash") == 0) spec.hash_appended = 0;
        const uint32_t len = (uint32_t)image_build(&spec, built);
        if (strcmp(what, "segments") == 0) built[1] = 17;
        if (strcmp(what, "checksum") == 0) built[len - 33] ^= 1;
        if (strcmp(what, "digest") == 0) built[len - 1] ^= 1;
        world_init(&w, "app_c3_v123.bin", 8192);
        world_transfer(&w, bytes, with_header(built, len, len), 4095);
        world_run(&w, 2000 * USEC_MS);
        assert_int_equal(w.statuses, 1);
        assert_int_equal(w.status[2], rows[i].result);
    }
    world_init(&w, "app_c3_v123.bin", 8192);
    world_transfer(&w, bytes, with_header((const uint8_t *)"no image at all", 16, 16), 4095);
    expect_failed(RECEIVER_NOT_AN_IMAGE);
}

static bool hash_fails(void *ctx, const void *p, size_t len)
{
    (void)ctx;
    (void)p;
    (void)len;
    return false;
}

static void a_failing_hash_library_is_not_the_image_s_fault(void **state)
{
    (void)state;
    w.crypto.update = hash_fails;
    world_transfer(&w, new_image, image_len, 4095);
    expect_failed(RECEIVER_CRYPTO);
}

static void an_exhausted_boot_record_is_told(void **state)
{
    // The highest number there is, about slot 1, which runs: none is left for slot 0.
    (void)state;
    memcpy(&w.nor.mem[w.layout.slot[1].at], &w.nor.mem[w.layout.slot[0].at], WORLD_SLOT);
    uint8_t *record = w.nor.mem + WORLD_OTADATA;
    memset(record, 0xFF, 8192);
    store_le32(record, 0xFFFFFFFE);
    store_le32(record + 24, OTA_STATE_VALID);
    store_le32(record + 28, crc32_of(0, record, 4));
    assert_int_equal(world_boot(&w), 1);
    world_transfer(&w, new_image, image_len, 4095);
    expect_failed(RECEIVER_EXHAUSTED);
    assert_int_equal(world_boot(&w), 1);
}

static void a_flipped_bit_is_found_wherever_it_is(void **state)
{
    (void)state;
    // The first bytes, byte 23 (which could switch the digest off), descriptor, data, checksum, digest.
    static const uint32_t places[] = {
        1, 2, 3, 4, 12, 23, 24, 28, 32, 40, 300, 4094, 4095, 30000, 0
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0] + 2; i++) {
        const uint32_t at = (i < sizeof places / sizeof places[0] - 1)
                                ? places[i]
                                : image_len - 1 - 16 * (uint32_t)(i % 3);
        memcpy(bytes, new_image, image_len);
        bytes[at] ^= 1;
        world_transfer(&w, bytes, image_len, 4095);
        world_run(&w, 20000 * USEC_MS);
        assert_int_equal(w.statuses, 1);
        assert_int_equal(w.status[2] & 0xF0, 0x10);
        assert_false(w.events & RECEIVER_COMPLETE);
        w.statuses = 0;
        expect_old();
    }
}

static void a_truncated_image_is_incomplete(void **state)
{
    static const uint32_t lengths[] = { 1, 7, 24, 100, 287, 288, 289, 4094, 8191, 65000, 65663 };
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        world_transfer(&w, new_image, lengths[i], 4095);
        expect_failed(RECEIVER_INCOMPLETE);
        world_transfer(&w, bytes, with_header(new_image, lengths[i], lengths[i]), 4095);
        expect_failed(RECEIVER_INCOMPLETE);
        expect_old();
    }
}

static void an_image_truncated_at_a_message_boundary_ends_in_silence(void **state)
{
    (void)state;
    world_transfer(&w, new_image, 2 * 4095, 4095);
    const usec_t sent = w.now;
    world_run(&w, 9990 * USEC_MS);
    assert_int_equal(w.statuses, 0);
    expect_failed(RECEIVER_SILENT);
    assert_true(w.now - sent >= 10000 * USEC_MS);
    world_transfer(&w, bytes, with_header(new_image, image_len, image_len) / 2, 4095);
    expect_failed(RECEIVER_SILENT);
    expect_old();
}

static void text_is_refused_with_overflow(void **state)
{
    (void)state;
    assert_false(world_send(&w, "Lorem ipsum dolor sit amet, consectetur adipiscing elit", 55));
    assert_int_equal(w.sender.tx.why, ISOTP_BUFFER_OVFLW);
    assert_int_equal(w.events, 0);
    expect_old();
}

static void more_than_the_slot_holds_is_refused(void **state)
{
    (void)state;
    const unsigned before = sim_flash_changes(&w.nor);
    memset(bytes, 0xFF, sizeof bytes);
    const uint32_t len = with_header(new_image, image_len, WORLD_SLOT + 1);
    world_transfer(&w, bytes, len, 4095);
    expect_failed(RECEIVER_TOO_LARGE);
    expect_nothing_written(before);
    memset(bytes, 0xFF, sizeof bytes);
    memcpy(bytes, new_image, image_len);
    world_transfer(&w, bytes, WORLD_SLOT + 1, 4095);
    expect_failed(RECEIVER_TOO_LARGE);
    expect_old();
    world_transfer(&w, bytes, WORLD_SLOT, 4095); // exactly as much is fine
    expect_done(new_image, 1);
}

static void more_than_announced_is_refused(void **state)
{
    (void)state;
    with_header(new_image, image_len, image_len);
    bytes[8 + image_len] = 0xFF;
    world_transfer(&w, bytes, 8 + image_len + 1, 4095);
    expect_failed(RECEIVER_EXCESS);
    expect_old();
}

// In the frame that brings the end of the header, so that the transfer begins and fails at once.
static void more_than_announced_is_refused_in_the_first_message_too(void **state)
{
    (void)state;
    with_header(new_image, 5, 2);
    world_transfer(&w, bytes, 8 + 5, 4095);
    assert_true(w.events & RECEIVER_STARTED);
    expect_failed(RECEIVER_EXCESS);
    assert_int_equal(w.receiver.state, RECEIVER_IDLE);
    expect_old();
}

static void a_lost_frame_breaks_the_transfer_and_nothing_else(void **state)
{
    (void)state;
    world_transfer(&w, new_image, 4095, 4095);
    world_frame(&w, "\x1F\xFF\x00\x00\x00\x00\x00\x00", 8);
    world_run(&w, 10 * USEC_MS);
    world_frame(&w, "\x22\x00\x00\x00\x00\x00\x00\x00", 8);
    expect_failed(RECEIVER_BROKEN);
    expect_old();
}

static void a_second_sender_breaks_the_transfer_and_the_old_firmware_stays(void **state)
{
    (void)state;
    world_transfer(&w, new_image, 4095, 4095);
    assert_true(isotp_start(&w.sender, new_image + 4095, 4095, w.now));
    world_run(&w, 20 * USEC_MS);
    world_frame(&w, "\x1F\xFF\xE9\x05\x02\x2F\x20\x00",
                8); // it begins, while the first one goes on
    assert_true(w.events & RECEIVER_STARTED);
    expect_failed(RECEIVER_BROKEN);
    expect_old();
}

// --- Trouble on the device ---

static void slow_flash_makes_the_sender_wait_and_loses_nothing(void **state)
{
    static const struct {
        usec_t erase, program;
        uint32_t ring;
    } rows[] = {
        { 45 * USEC_MS, 400, 8192 },       { 400 * USEC_MS, 3000, 8192 },
        { 1500 * USEC_MS, 30000, 8192 },   { 400 * USEC_MS, 3000, 4200 },
        { 400 * USEC_MS, 3000, 1024 },     { 45 * USEC_MS, 400, STREAM_RING_MIN },
        { 4000 * USEC_MS, 100000, 20000 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        world_init(&w, "app_c3_v123.bin", rows[i].ring);
        memset(&w.nor.mem[w.layout.slot[1].at], 0, WORLD_SLOT); // every sector has to be erased
        w.nor.erase_time = rows[i].erase;
        w.nor.prog_time = rows[i].program;
        world_transfer(&w, new_image, image_len, 4095);
        world_run(&w, 60000 * USEC_MS);
        expect_done(new_image, 1);
    }
}

static void a_small_ring_asks_for_blocks_and_never_overruns(void **state)
{
    (void)state;
    for (uint32_t ring = STREAM_RING_MIN; ring < 9000; ring += 617) {
        world_init(&w, "app_c3_v123.bin", ring);
        world_transfer(&w, bytes, with_header(new_image, image_len, image_len), 4095);
        expect_done(new_image, 1);
    }
}

static void can_fd_fills_no_ring_either(void **state)
{
    static const uint8_t longest[] = { 8, 12, 24, 64 };
    (void)state;
    for (size_t i = 0; i < sizeof longest; i++)
        for (uint32_t ring = STREAM_RING_MIN; ring < 9000; ring += 1777) {
            world_init(&w, "app_c3_v123.bin", ring);
            w.sender_cfg.fd = w.receiver_cfg.isotp.fd = true;
            w.sender_cfg.tx_dl = w.receiver_cfg.isotp.tx_dl = longest[i];
            world_boot(&w);
            isotp_init(&w.sender, &w.sender_cfg);
            world_transfer(&w, bytes, with_header(new_image, image_len, image_len), 4095);
            expect_done(new_image, 1);
        }
}

static void a_block_size_can_be_asked_for(void **state)
{
    (void)state;
    w.receiver_cfg.block_size = 8;
    world_transfer(&w, new_image, image_len, 4095);
    const unsigned flow_controls =
        16 * (1 + 585 / 8) + 1 + 16 / 8; // 16 full messages, one of 144 bytes
    const unsigned data = 16 * 586 + 1 + 20;
    assert_in_range(w.frames, data + flow_controls - 2, data + flow_controls + 2);
    expect_done(new_image, 1);
}

static void a_failing_flash_is_reported(void **state)
{
    (void)state;
    const unsigned before = sim_flash_changes(&w.nor);
    world_transfer(&w, new_image, image_len, 4095);
    world_run(&w, 2000 * USEC_MS);
    const unsigned operations = sim_flash_changes(&w.nor) - before;
    assert_true(operations > 50);
    // The boot record is written last, and the mark of its completion can wait for the next start.
    for (unsigned n = 1; n < operations; n += (n + 10 < operations) ? 7 : 1) {
        world_init(&w, "app_c3_v123.bin", 8192);
        sim_flash_fail_change(&w.nor, n, SIM_FLASH_NOTHING, 0);
        world_transfer(&w, new_image, image_len, 4095);
        expect_failed(RECEIVER_FLASH);
        sim_flash_fail_change(&w.nor, 0, SIM_FLASH_NOTHING, 0);
        expect_old();
    }
}

static void an_update_of_unconfirmed_firmware_is_refused(void **state)
{
    (void)state;
    world_transfer(&w, new_image, image_len, 4095);
    expect_done(new_image, 1);
    assert_int_equal(ota_select_append(&w.nor.flash, &w.layout, 1, OTA_STATE_NEW), 0);
    w.receiver_cfg.ota.running = 1;
    world_transfer(&w, old_image, image_len, 4095);
    expect_failed(RECEIVER_UNCONFIRMED);
}

static void a_status_that_cannot_leave_does_not_stop_the_restart(void **state)
{
    (void)state;
    world_transfer(&w, new_image, image_len, 4095);
    while (!(w.events & RECEIVER_COMPLETE)) { // nobody takes frames from the device any more
        w.events |= receiver_tick(&w.receiver, w.now);
        (void)receiver_output(&w.receiver, w.now);
    }
    while (!(w.events & RECEIVER_RESTART)) {
        (void)receiver_output(&w.receiver, w.now);
        assert_true(receiver_deadline(&w.receiver) != USEC_NEVER);
        w.now = receiver_deadline(&w.receiver);
        w.events |= receiver_tick(&w.receiver, w.now);
    }
    assert_int_equal(world_boot(&w), 1);
}

// What the README says about memory.
static void memory_does_not_depend_on_message_or_image(void **state)
{
    (void)state;
    assert_true(sizeof(receiver_t) <= 2400);
}

// --- What arrives at the wrong moment ---

// A frame that begins a transfer.
static void begin_a_transfer(void) { world_frame(&w, "\x10\x14\xE9\x05\x02\x2F\x20\x00", 8); }

static void a_transfer_that_begins_before_the_restart_is_ignored(void **state)
{
    (void)state;
    world_transfer(&w, new_image, image_len, 4095);
    while (!(w.events & RECEIVER_COMPLETE))
        w.events |= receiver_tick(&w.receiver, w.now);
    w.events &= ~(receiver_events_t)RECEIVER_STARTED;
    begin_a_transfer();
    world_frame(&w, "\x01\xE9", 2);
    assert_false(w.events & RECEIVER_STARTED);
    expect_done(new_image, 1);
}

static void a_transfer_that_begins_with_too_much_is_over(void **state)
{
    (void)state;
    assert_true(world_send(&w, bytes, with_header(new_image, 100, 1)));
    expect_failed(RECEIVER_EXCESS);
    assert_true(world_send(&w, bytes, with_header(new_image, 100, 0)));
    expect_failed(RECEIVER_EXCESS);
    world_transfer(&w, new_image, image_len, 4095);
    expect_done(new_image, 1);
}

// The host ignores a status message before the first flow control, so an old one must not come after it.
static void the_status_of_one_transfer_comes_before_the_flow_control_of_the_next(void **state)
{
    (void)state;
    world_frame(&w, "\x01\xE9", 2); // a transfer of one byte
    while (!(w.events & RECEIVER_FAILED))
        w.events |= receiver_tick(&w.receiver, w.now);
    begin_a_transfer(); // before the driver took the status
    const can_frame_t *out = receiver_output(&w.receiver, w.now);
    assert_non_null(out);
    assert_memory_equal(out->data, "\x07OT\x19", 4);
    receiver_taken(&w.receiver, w.now);
    assert_null(receiver_output(&w.receiver, w.now));
    (void)receiver_sent(&w.receiver, w.now);
    out = receiver_output(&w.receiver, w.now);
    assert_non_null(out);
    assert_int_equal(out->data[0], 0x30);
}

static void every_transfer_has_its_status_even_if_the_one_before_is_still_leaving(void **state)
{
    (void)state;
    world_frame(&w, "\x01\xE9", 2);
    world_run(&w, 0);
    while (!(w.events & RECEIVER_FAILED))
        w.events |= receiver_tick(&w.receiver, w.now);
    assert_non_null(receiver_output(&w.receiver, w.now));
    receiver_taken(&w.receiver, w.now);
    w.events = 0;
    world_frame(&w, "\x01\xE9", 2);
    while (!(w.events & RECEIVER_FAILED))
        w.events |= receiver_tick(&w.receiver, w.now);
    assert_null(receiver_output(&w.receiver, w.now));
    (void)receiver_sent(&w.receiver, w.now);
    expect_failed(RECEIVER_INCOMPLETE);
}

static void a_sender_may_die_after_its_header_and_start_again(void **state)
{
    (void)state;
    const uint32_t len = with_header(new_image, image_len, image_len);
    assert_true(world_send(&w, bytes, 8));
    world_transfer(&w, bytes, len, 2048);
    expect_done(new_image, 1);
    with_header(old_image, image_len, image_len);
    assert_true(world_send(&w, bytes, 8));
    assert_true(world_send(&w, bytes, 8));
    world_transfer(&w, bytes + 8, len - 8, 2048);
    expect_done(old_image, 0);
}

static void a_full_ring_does_not_keep_a_new_sender_out(void **state)
{
    enum { HALF = 50, REST = STREAM_RING_MIN - STREAM_RESERVE - HALF };
    static const uint8_t first[] = { 0x10, 8 + HALF, 'O', 'T', 0, 0, 1, 0 };
    static const uint8_t second[] = { 0x10, REST, 0, 0, 0, 0, 0, 0 };
    (void)state;
    world_init(&w, "app_c3_v123.bin", STREAM_RING_MIN);
    for (int message = 0; message < 2; message++) { // the flash is busy: no tick
        world_frame(&w, message ? second : first, 8);
        for (int i = 1; i <= (message ? REST / 7 : (HALF + 8) / 7); i++) {
            while (receiver_output(&w.receiver, w.now))
                w.events |= receiver_sent(&w.receiver, w.now);
            const uint8_t frame[8] = { (uint8_t)(0x20 | (i & 15)), 0, 0, 0xE9 };
            world_frame(&w, frame, 8);
        }
    }
    assert_int_equal(stream_room(&w.receiver.stream), 0);
    world_frame(&w, second, 8);
    begin_a_transfer(); // the sender of that was stopped, and another one started
    assert_false(w.events & RECEIVER_FAILED);
    assert_int_equal(w.receiver.state, RECEIVER_RECEIVING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(plain_updates_the_other_slot, fresh),
        cmocka_unit_test_setup(header_updates_the_other_slot, fresh),
        cmocka_unit_test_setup(header_takes_messages_of_any_length, fresh),
        cmocka_unit_test_setup(header_may_be_a_message_of_its_own, fresh),
        cmocka_unit_test_setup(two_updates_end_in_the_first_slot_again, fresh),
        cmocka_unit_test_setup(an_exact_multiple_ends_with_one_more_byte, fresh),
        cmocka_unit_test_setup(an_exact_multiple_ends_after_a_second_of_silence, fresh),
        cmocka_unit_test_setup(bytes_behind_the_image_belong_to_it, fresh),
        cmocka_unit_test_setup(a_stray_short_message_before_the_transfer_does_not_matter, fresh),
        cmocka_unit_test_setup(a_message_after_the_end_does_not_matter, fresh),
        cmocka_unit_test_setup(the_sender_may_die_in_a_message_and_start_again_at_once, fresh),
        cmocka_unit_test_setup(the_sender_may_die_between_messages_and_start_again_at_once, fresh),
        cmocka_unit_test_setup(a_transfer_may_change_the_protocol_of_the_one_before, fresh),
        cmocka_unit_test_setup(a_transfer_works_after_a_broken_one, fresh),
        cmocka_unit_test_setup(an_image_for_another_chip_is_refused_before_anything_is_erased,
                               fresh),
        cmocka_unit_test_setup(says_why_an_image_is_refused, fresh),
        cmocka_unit_test_setup(a_failing_hash_library_is_not_the_image_s_fault, fresh),
        cmocka_unit_test_setup(an_exhausted_boot_record_is_told, fresh),
        cmocka_unit_test_setup(a_flipped_bit_is_found_wherever_it_is, fresh),
        cmocka_unit_test_setup(a_truncated_image_is_incomplete, fresh),
        cmocka_unit_test_setup(an_image_truncated_at_a_message_boundary_ends_in_silence, fresh),
        cmocka_unit_test_setup(text_is_refused_with_overflow, fresh),
        cmocka_unit_test_setup(more_than_the_slot_holds_is_refused, fresh),
        cmocka_unit_test_setup(more_than_announced_is_refused, fresh),
        cmocka_unit_test_setup(more_than_announced_is_refused_in_the_first_message_too, fresh),
        cmocka_unit_test_setup(a_lost_frame_breaks_the_transfer_and_nothing_else, fresh),
        cmocka_unit_test_setup(a_second_sender_breaks_the_transfer_and_the_old_firmware_stays,
                               fresh),
        cmocka_unit_test_setup(slow_flash_makes_the_sender_wait_and_loses_nothing, fresh),
        cmocka_unit_test_setup(a_small_ring_asks_for_blocks_and_never_overruns, fresh),
        cmocka_unit_test_setup(can_fd_fills_no_ring_either, fresh),
        cmocka_unit_test_setup(a_block_size_can_be_asked_for, fresh),
        cmocka_unit_test_setup(a_failing_flash_is_reported, fresh),
        cmocka_unit_test_setup(an_update_of_unconfirmed_firmware_is_refused, fresh),
        cmocka_unit_test_setup(a_status_that_cannot_leave_does_not_stop_the_restart, fresh),
        cmocka_unit_test_setup(a_transfer_that_begins_before_the_restart_is_ignored, fresh),
        cmocka_unit_test_setup(a_transfer_that_begins_with_too_much_is_over, fresh),
        cmocka_unit_test_setup(the_status_of_one_transfer_comes_before_the_flow_control_of_the_next,
                               fresh),
        cmocka_unit_test_setup(
            every_transfer_has_its_status_even_if_the_one_before_is_still_leaving, fresh),
        cmocka_unit_test_setup(a_sender_may_die_after_its_header_and_start_again, fresh),
        cmocka_unit_test_setup(a_full_ring_does_not_keep_a_new_sender_out, fresh),
        cmocka_unit_test_setup(memory_does_not_depend_on_message_or_image, fresh),
    };
    return cmocka_run_group_tests_name("receiver", tests, load, unload);
}
