// test_receiver_quiet.c - when the receiver lets flash work begin: not while the sender waits for an answer of its.
// SPDX-License-Identifier: Apache-2.0
//
// Frame by frame, without a sender's machine: each call is a moment of the device's loop. An operation is any call of
// the flash, reading included.
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define QUIET (20 * USEC_MS) // docs/TIMING.md

enum { BLOCK = 4095, MESSAGE_FRAMES = 585 };

static world_t w;
static uint8_t *image;
static uint32_t image_len;
static uint8_t message[BLOCK + 8];

static int load(void **state)
{
    (void)state;
    image = world_vector("app_c3_v130.bin", &image_len);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    free(image);
    sim_flash_close(&w.nor);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    world_init(&w, "app_c3_v123.bin", 8192);
    w.nor.erase_time = 45 * USEC_MS;
    w.nor.prog_time = 700;
    return 0;
}

// --- Moments ---

static unsigned operations(void) { return w.nor.reads + w.nor.progs + w.nor.erases; }

/// Does work go on now? Flash is touched, or an answer given, exactly when the deadline says so.
static bool works(void)
{
    const unsigned before = operations();
    const bool due = receiver_deadline(&w.receiver) <= w.now;
    w.events |= receiver_tick(&w.receiver, w.now);
    const bool touched = operations() > before;
    assert_true(due ? touched || receiver_output(&w.receiver, w.now) : !touched);
    return due;
}

/// It does not, for so long, whenever it is looked at.
static void rests(usec_t duration)
{
    const usec_t until = w.now + duration;
    for (; w.now < until; w.now += 500)
        assert_false(works());
    w.now = until;
}

static void frame(uint8_t pci, uint32_t at)
{
    can_frame_t f = { .id = 0x7E0, .len = 8, .data = { pci } };
    memcpy(&f.data[1], &message[at], 7);
    w.events |= receiver_input(&w.receiver, &f, w.now);
}

static void first_frame(uint32_t len)
{
    can_frame_t f = { .id = 0x7E0, .len = 8, .data = { (uint8_t)(0x10 | len >> 8), (uint8_t)len } };
    memcpy(&f.data[2], message, 6);
    w.events |= receiver_input(&w.receiver, &f, w.now);
}

static void single_frame(const char *bytes, uint8_t len)
{
    can_frame_t f = { .id = 0x7E0, .len = (uint8_t)(len + 1), .data = { len } };
    memcpy(&f.data[1], bytes, len);
    w.events |= receiver_input(&w.receiver, &f, w.now);
}

/// What the device sends leaves at once. Returns its first two bytes; 0: nothing.
static unsigned leaves(void)
{
    const can_frame_t *f = receiver_output(&w.receiver, w.now);
    if (!f) return 0;
    const unsigned head = (unsigned)(f->data[0] << 8 | f->data[1]);
    w.events |= receiver_sent(&w.receiver, w.now);
    return head;
}

/// All consecutive frames of `message`, so fast that no work is done between them.
static void consecutive_frames(void)
{
    for (uint32_t n = 1; n <= MESSAGE_FRAMES - 1; n++)
        frame((uint8_t)(0x20 | (n & 15)), 6 + 7 * (n - 1));
    const uint32_t left = BLOCK - 6 - 7 * (MESSAGE_FRAMES - 1);
    can_frame_t f = { .id = 0x7E0,
                      .len = (uint8_t)(left + 1),
                      .data = { 0x20 | (MESSAGE_FRAMES & 15) } };
    memcpy(&f.data[1], &message[BLOCK - left], left);
    w.events |= receiver_input(&w.receiver, &f, w.now);
}

static void make_block(uint8_t counter, uint32_t at)
{
    message[0] = UDS_TRANSFER_DATA;
    message[1] = counter;
    memcpy(&message[2], &image[at], BLOCK - 2);
}

/// A download, and its first block, which nothing has been written of when its response has left.
static void first_block(void)
{
    world_expect(&w, "1002", "5002..");
    uint8_t request[11] = { UDS_REQUEST_DOWNLOAD, 0, 0x44 };
    store_be32(&request[7], image_len);
    assert_int_equal(world_ask(&w, request, sizeof request), 4);
    world_run(&w, 100 * USEC_MS);
    make_block(1, 0);
    first_frame(BLOCK);
    assert_int_equal(leaves(), 0x3000);
    consecutive_frames();
    assert_false(works());
    assert_int_equal(leaves(), 0x0276);
}

// --- Between messages ---

static void nothing_begins_between_a_response_and_the_flow_control_of_the_next_block(void **state)
{
    (void)state;
    first_block();
    rests(15 * USEC_MS);
    make_block(2, BLOCK - 2);
    first_frame(BLOCK);
    rests(15 * USEC_MS); // the bus is busy
    assert_non_null(receiver_output(&w.receiver, w.now));
    receiver_taken(&w.receiver, w.now); // and so is the driver
    rests(4 * USEC_MS);
    w.events |= receiver_sent(&w.receiver, w.now);
    assert_true(works());
}

static void work_goes_on_when_nothing_comes(void **state)
{
    (void)state;
    first_block();
    assert_int_equal(receiver_deadline(&w.receiver), w.now + QUIET);
    rests(QUIET);
    assert_true(works());
    assert_true(works()); // and on
}

static void a_flow_control_that_cannot_leave_holds_nothing_up(void **state)
{
    (void)state;
    first_block();
    make_block(2, BLOCK - 2);
    first_frame(BLOCK);
    rests(QUIET);
    assert_true(works());
}

static void the_same_holds_between_messages_of_a_stream(void **state)
{
    (void)state;
    for (int header = 0; header < 2; header++) {
        world_init(&w, "app_c3_v123.bin", 16384);
        w.nor.erase_time = 45 * USEC_MS;
        message[0] = 'O';
        message[1] = 'T';
        store_le32(&message[2], image_len);
        memcpy(&message[header ? 8 : 0], image, BLOCK);
        first_frame(BLOCK);
        assert_int_equal(leaves(), 0x3000);
        consecutive_frames();
        rests(15 * USEC_MS);
        memcpy(message, &image[BLOCK - (header ? 8 : 0)], BLOCK);
        first_frame(BLOCK);
        rests(15 * USEC_MS);
        assert_int_equal(leaves(), 0x3000);
        assert_true(works());
        consecutive_frames();
        rests(QUIET);
        assert_true(works());
    }
}

// --- What does not wait ---

static void a_response_that_waits_for_flash_is_not_delayed(void **state)
{
    (void)state;
    first_block();
    make_block(2, BLOCK - 2);
    first_frame(BLOCK);
    assert_int_equal(leaves(), 0x3000);
    consecutive_frames();
    assert_int_equal(leaves(), 0); // there is no room for a third one
    const unsigned erases = w.nor.erases;
    while (leaves() != 0x0276)
        assert_true(works());
    assert_true(w.nor.erases > erases);
    rests(QUIET);
}

static void routines_and_the_end_of_a_download_begin_at_once(void **state)
{
    (void)state;
    world_expect(&w, "1002", "5002..");
    single_frame("\x31\x01\xF0\x00", 4);
    assert_true(works());
    assert_true(works() || leaves() > 0);
    (void)fresh(NULL);
    first_block();
    // All of the image has come, for all the server knows.
    w.receiver.uds.transfer.size = w.receiver.uds.transfer.received;
    single_frame("\x37", 1);
    assert_true(works());
}

static void the_end_of_a_stream_is_verified_at_once(void **state)
{
    (void)state;
    memcpy(message, image, BLOCK);
    first_frame(BLOCK);
    assert_int_equal(leaves(), 0x3000);
    consecutive_frames();
    assert_false(works());
    single_frame("\xFF", 1); // the short message that ends it
    assert_int_equal(w.receiver.stream.state, STREAM_ENDING);
    assert_true(works());
}

static void a_flow_control_that_waits_for_room_does_not_wait_for_itself(void **state)
{
    (void)state;
    world_init(&w, "app_c3_v123.bin", 4400); // for one message
    w.nor.erase_time = 45 * USEC_MS;
    memcpy(message, image, BLOCK);
    first_frame(BLOCK);
    assert_int_equal(leaves(), 0x3000);
    consecutive_frames();
    assert_false(works());
    memcpy(message, &image[BLOCK], BLOCK);
    first_frame(BLOCK);
    assert_int_equal(leaves(), 0);
    while (leaves() != 0x3000)
        assert_true(works());
    assert_true(w.receiver.ring.used < 300);
}

static void a_functional_request_changes_nothing(void **state)
{
    (void)state;
    first_block();
    const usec_t quiet = w.now + QUIET;
    rests(10 * USEC_MS);
    const can_frame_t present = { .id = 0x7DF, .len = 3, .data = { 2, 0x3E, 0x80 } };
    w.events |= receiver_input(&w.receiver, &present, w.now);
    assert_int_equal(receiver_deadline(&w.receiver), quiet);
    rests(10 * USEC_MS);
    assert_true(works());
}

static void while_a_response_must_leave_first_nothing_is_done(void **state)
{
    (void)state;
    w.receiver_cfg.flash_pause = 400 * USEC_MS;
    (void)world_boot(&w);
    world_expect(&w, "1002", "5002..");
    world_run(&w, 100 * USEC_MS);
    single_frame("\x31\x01\xFF\x00", 4);
    const unsigned before = operations();
    w.events |= receiver_tick(&w.receiver, w.now);
    assert_true(operations() == before && receiver_output(&w.receiver, w.now));
    rests(100 * USEC_MS); // the bus is busy
    assert_int_equal(leaves(), 0x037F);
    assert_true(works());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(
            nothing_begins_between_a_response_and_the_flow_control_of_the_next_block, fresh),
        cmocka_unit_test_setup(work_goes_on_when_nothing_comes, fresh),
        cmocka_unit_test_setup(a_flow_control_that_cannot_leave_holds_nothing_up, fresh),
        cmocka_unit_test_setup(the_same_holds_between_messages_of_a_stream, fresh),
        cmocka_unit_test_setup(a_response_that_waits_for_flash_is_not_delayed, fresh),
        cmocka_unit_test_setup(routines_and_the_end_of_a_download_begin_at_once, fresh),
        cmocka_unit_test_setup(the_end_of_a_stream_is_verified_at_once, fresh),
        cmocka_unit_test_setup(a_flow_control_that_waits_for_room_does_not_wait_for_itself, fresh),
        cmocka_unit_test_setup(a_functional_request_changes_nothing, fresh),
        cmocka_unit_test_setup(while_a_response_must_leave_first_nothing_is_done, fresh),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
