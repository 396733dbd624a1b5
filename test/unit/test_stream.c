// test_stream.c - an image as a row of messages: its beginning, its end, its bytes in order.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "stream.h"
#include "vectors.h"
#include <cmocka.h>

enum { HEAD = 36, LONG = 70000 };

static uint8_t memory[65536];
static ring_t ring;
static stream_t stream;
static uint8_t *image; // a golden one, 65,664 bytes
static size_t image_len;
static uint8_t taken[2 * LONG]; // what came out of the ring since STARTED
static size_t taken_len;
static usec_t now;

static void open_ring(uint8_t *bytes, uint32_t cap)
{
    ring_init(&ring, bytes, cap);
    stream_init(&stream, &ring);
}

static int open_stream(void **state)
{
    (void)state;
    image = vector_load(VECTORS "/image/app_c3_v123.bin", &image_len);
    open_ring(memory, sizeof memory);
    taken_len = 0;
    now = 5 * USEC_MS;
    return 0;
}

static int close_stream(void **state)
{
    (void)state;
    free(image);
    return 0;
}

// --- The other side ---

static void check_invariants(void)
{
    assert_true(ring.at < ring.cap);
    assert_true(ring.ready <= ring.used && ring.used <= ring.cap);
    assert_true(ring.ready == ring.used || stream.judging);
    assert_false(stream.foreign && stream.state == STREAM_RECEIVING);
    assert_true(stream_room(&stream) + STREAM_RESERVE + ring.used == ring.cap ||
                (stream_room(&stream) == 0 && ring.used + STREAM_RESERVE > ring.cap));
}

/// Takes up to `max` bytes out of the ring.
static void take(size_t max)
{
    const uint8_t *p;
    uint32_t n;
    while (max > 0 && (n = (uint32_t)smaller(ring_peek(&ring, &p), max)) > 0) {
        assert_true(p >= ring.bytes && p + n <= ring.bytes + ring.cap);
        assert_true(taken_len + n <= sizeof taken);
        memcpy(taken + taken_len, p, n);
        taken_len += n;
        max -= n;
        ring_drop(&ring, n);
        check_invariants();
    }
}

static stream_events_t piece(const uint8_t *p, size_t len)
{
    if (len > ring.cap - ring.used) take(SIZE_MAX);
    const stream_events_t events = stream_data(&stream, p, (uint32_t)len);
    if (events & STREAM_STARTED) taken_len = 0;
    check_invariants();
    return events;
}

/// The bytes of a message from `p`, the first `first` of them in one piece, then `next` in each.
static stream_events_t pieces(const uint8_t *p, size_t len, size_t first, size_t next)
{
    stream_events_t events = STREAM_NONE;
    for (size_t at = 0, n = smaller(first, len); at < len; at += n, n = smaller(next, len - at))
        events |= piece(p + at, n);
    return events;
}

/// A whole message as ISO-TP cuts it.
static stream_events_t message(const void *p, size_t len)
{
    stream_begin(&stream, (uint32_t)len, false);
    const stream_events_t events = pieces(p, len, len < 8 ? len : 6, 7);
    return events | stream_end(&stream, now);
}

/// The first `len` bytes of a message of `of`; then it breaks off.
static stream_events_t part(const void *p, size_t len, size_t of)
{
    stream_begin(&stream, (uint32_t)of, false);
    return pieces(p, len, 6, 7);
}

/// A message that begins while the one before it is not complete.
static stream_events_t message_instead(const void *p, size_t len)
{
    stream_begin(&stream, (uint32_t)len, true);
    const stream_events_t events = pieces(p, len, len < 8 ? len : 6, 7);
    return events | stream_end(&stream, now);
}

static const uint8_t *header(uint32_t size)
{
    static uint8_t p[STREAM_HEADER_LEN];
    memcpy(p, "OT", 2);
    store_le32(p + 2, size);
    p[6] = p[7] = 0;
    return p;
}

static void assert_taken(const void *p, size_t len)
{
    take(SIZE_MAX);
    assert_int_equal(taken_len, len);
    assert_memory_equal(taken, p, len);
    assert_int_equal(ring.used, 0);
}

static usec_t wait_until(usec_t at)
{
    now = at;
    return now;
}

// --- Where it begins and ends ---

static void a_short_message_ends_a_plain_transfer(void **state)
{
    (void)state;
    assert_int_equal(stream.state, STREAM_IDLE);
    assert_int_equal(message(image, 4095), STREAM_STARTED);
    assert_int_equal(stream.state, STREAM_RECEIVING);
    assert_int_equal(stream.kind, STREAM_PLAIN);
    assert_int_equal(stream.size, 0);
    assert_int_equal(stream.total, 4095);
    assert_int_equal(message(image + 4095, 4095), STREAM_NONE);
    assert_int_equal(message(image + 8190, 4094), STREAM_ENDED);
    assert_int_equal(stream.state, STREAM_ENDING);
    assert_taken(image, 8190 + 4094);
}

static void one_short_message_is_a_whole_plain_transfer(void **state)
{
    (void)state;
    assert_int_equal(message(image, 1), STREAM_STARTED | STREAM_ENDED);
    assert_taken(image, 1);
}

static void a_message_longer_than_4095_does_not_end_a_plain_transfer(void **state)
{
    (void)state;
    assert_int_equal(message(image, 4096), STREAM_STARTED);
    assert_int_equal(message(image + 4096, 20000), STREAM_NONE);
    assert_int_equal(message(image + 24096, 100), STREAM_ENDED);
    assert_taken(image, 24196);
}

static void silence_of_1_s_ends_a_plain_transfer_whose_image_is_complete(void **state)
{
    (void)state;
    assert_int_equal(stream_deadline(&stream, true), USEC_NEVER);
    assert_int_equal(message(image, 4095), STREAM_STARTED);
    const usec_t end = now + 1000 * USEC_MS;
    assert_int_equal(stream_deadline(&stream, true), end);
    assert_int_equal(stream_deadline(&stream, false), now + 10000 * USEC_MS);
    assert_int_equal(stream_tick(&stream, true, wait_until(end - 1)), STREAM_NONE);
    assert_int_equal(stream_tick(&stream, false, end), STREAM_NONE);
    assert_int_equal(stream_tick(&stream, true, wait_until(end)), STREAM_ENDED);
    assert_int_equal(stream.state, STREAM_ENDING);
    assert_int_equal(stream_deadline(&stream, true), USEC_NEVER);
    assert_int_equal(stream_tick(&stream, true, now + 100000 * USEC_MS), STREAM_NONE);
    assert_taken(image, 4095);
}

static void silence_of_10_s_ends_every_transfer_that_is_not_complete(void **state)
{
    (void)state;
    for (int with_header = 0; with_header < 2; with_header++) {
        if (with_header) message(header(5000), STREAM_HEADER_LEN);
        message(image, 4095);
        const usec_t end = now + 10000 * USEC_MS;
        assert_int_equal(stream_deadline(&stream, false), end);
        assert_int_equal(stream_tick(&stream, false, wait_until(end - 1)), STREAM_NONE);
        assert_int_equal(stream_tick(&stream, false, wait_until(end)), STREAM_FAILED);
        assert_int_equal(stream.why, STREAM_SILENT);
        assert_int_equal(stream.state, STREAM_IDLE);
        assert_int_equal(ring.used, 0);
    }
}

// The header says how many bytes come; that the image is complete does not count.
static void silence_does_not_complete_a_transfer_with_a_header(void **state)
{
    (void)state;
    message(header(5000), STREAM_HEADER_LEN);
    message(image, 4095);
    assert_int_equal(stream_deadline(&stream, true), now + 10000 * USEC_MS);
    assert_int_equal(stream_tick(&stream, true, now + 1000 * USEC_MS), STREAM_NONE);
    assert_int_equal(stream_tick(&stream, true, now + 10000 * USEC_MS), STREAM_FAILED);
}

static void there_is_no_silence_within_a_message(void **state)
{
    (void)state;
    assert_int_equal(message(image, 4095), STREAM_STARTED);
    part(image + 4095, 100, 4095);
    assert_int_equal(stream_deadline(&stream, true), USEC_NEVER);
    assert_int_equal(stream_deadline(&stream, false), USEC_NEVER);
}

static void silence_counts_from_the_end_of_the_last_message(void **state)
{
    (void)state;
    assert_int_equal(message(image, 4095), STREAM_STARTED);
    now += 9000 * USEC_MS;
    assert_int_equal(message(image + 4095, 4095), STREAM_NONE);
    assert_int_equal(stream_deadline(&stream, false), now + 10000 * USEC_MS);
}

// --- With a header ---

static void a_header_announces_the_bytes_of_the_transfer(void **state)
{
    (void)state;
    assert_int_equal(message(header(4200), STREAM_HEADER_LEN), STREAM_STARTED);
    assert_int_equal(stream.kind, STREAM_HEADER);
    assert_int_equal(stream.size, 4200);
    assert_int_equal(stream.total, 0);
    assert_int_equal(message(image, 100), STREAM_NONE); // shorter than 4095: means nothing here
    assert_int_equal(message(image + 100, 4095), STREAM_NONE);
    assert_int_equal(message(image + 4195, 5), STREAM_ENDED);
    assert_taken(image, 4200);
}

static void a_header_may_share_its_message_with_the_image(void **state)
{
    (void)state;
    uint8_t all[STREAM_HEADER_LEN + 300];
    memcpy(all, header(300), STREAM_HEADER_LEN);
    memcpy(all + STREAM_HEADER_LEN, image, 300);
    assert_int_equal(message(all, sizeof all), STREAM_STARTED | STREAM_ENDED);
    assert_taken(image, 300);
}

static void a_header_s_size_has_32_bits(void **state)
{
    (void)state;
    assert_int_equal(message(header(0xFEDCBA98), STREAM_HEADER_LEN), STREAM_STARTED);
    assert_int_equal(stream.size, 0xFEDCBA98);
}

/// Every cut: 6 + 2, 2 + 6, byte by byte ...
static void a_header_may_be_cut_anywhere(void **state)
{
    (void)state;
    uint8_t all[STREAM_HEADER_LEN + 64];
    memcpy(all, header(64), STREAM_HEADER_LEN);
    memcpy(all + STREAM_HEADER_LEN, image, 64);
    for (size_t first = 1; first <= sizeof all; first++)
        for (size_t next = 1; next < 12; next++) {
            stream_begin(&stream, sizeof all, false);
            stream_events_t events = STREAM_NONE;
            size_t at = 0;
            for (size_t n = first; at < sizeof all; n = smaller(next, sizeof all - at)) {
                const stream_events_t ev = piece(all + at, n);
                at += n;
                assert_int_equal(!!(events & STREAM_STARTED) || (ev & STREAM_STARTED), at >= 8);
                events |= ev;
            }
            events |= stream_end(&stream, now);
            assert_int_equal(events, STREAM_STARTED | STREAM_ENDED);
            assert_int_equal(stream.size, 64);
            assert_taken(image, 64);
            stream_stop(&stream);
        }
}

static void more_bytes_than_announced_end_it(void **state)
{
    (void)state;
    message(header(4096), STREAM_HEADER_LEN);
    assert_int_equal(message(image, 4095), STREAM_NONE);
    assert_int_equal(message(image + 4095, 2), STREAM_FAILED);
    assert_int_equal(stream.why, STREAM_EXCESS);
    assert_int_equal(stream.state, STREAM_IDLE);
    // Within the message that began it, too: STARTED came first.
    uint8_t all[STREAM_HEADER_LEN + 5];
    memcpy(all, header(4), STREAM_HEADER_LEN);
    memcpy(all + STREAM_HEADER_LEN, image, 5);
    stream_begin(&stream, sizeof all, false);
    assert_int_equal(piece(all, 6), STREAM_NONE);
    assert_int_equal(piece(all + 6, 7), STREAM_STARTED | STREAM_FAILED);
    assert_int_equal(stream_end(&stream, now), STREAM_NONE);
    assert_int_equal(stream.state, STREAM_IDLE);
}

// The last bytes of a message may still be judged when it ends.
static void more_bytes_than_announced_end_it_even_while_they_are_judged(void **state)
{
    (void)state;
    message(header(4096), STREAM_HEADER_LEN);
    assert_int_equal(message(image, 4095), STREAM_NONE);
    assert_int_equal(message("\xE9\x01", 2), STREAM_FAILED);
    assert_int_equal(stream.why, STREAM_EXCESS);
}

static void an_announced_size_of_0_ends_with_its_header(void **state)
{
    (void)state;
    assert_int_equal(message(header(0), STREAM_HEADER_LEN), STREAM_STARTED | STREAM_ENDED);
    assert_taken(image, 0);
}

// --- Other messages ---

static void ignores_messages_that_begin_no_transfer(void **state)
{
    (void)state;
    static const char *const FOREIGN[] = { "\x3E",    "\x22\xF1\x90", "OX345678", "O",
                                           "OT34567", "TO345678",     "\x10\x03" };
    for (size_t i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++) {
        assert_int_equal(message(FOREIGN[i], strlen(FOREIGN[i])), STREAM_FOREIGN);
        assert_int_equal(stream.state, STREAM_IDLE);
        assert_int_equal(ring.used, 0);
        assert_int_equal(stream_deadline(&stream, true), USEC_NEVER);
    }
    assert_int_equal(message(image + 100, 4095), STREAM_FOREIGN);
    assert_int_equal(message(image, 4095), STREAM_STARTED); // none of them did harm
}

static void reports_a_foreign_message_once_and_at_its_beginning(void **state)
{
    (void)state;
    stream_begin(&stream, 100, false);
    assert_int_equal(piece(image + 100, 6), STREAM_FOREIGN);
    assert_int_equal(piece(image + 106, 7), STREAM_NONE);
    assert_int_equal(stream_break(&stream), STREAM_NONE);
    assert_int_equal(message(image, 100), STREAM_STARTED | STREAM_ENDED);
    stream_begin(&stream, 100, false);
    assert_int_equal(piece(image, 6), STREAM_FOREIGN);
    assert_int_equal(piece(image + 6, 7), STREAM_NONE);
}

static void two_bytes_are_enough_to_tell_that_it_is_no_header(void **state)
{
    (void)state;
    stream_begin(&stream, 8, false);
    assert_int_equal(piece((const uint8_t *)"O", 1), STREAM_NONE);
    assert_int_equal(piece((const uint8_t *)"X", 1), STREAM_FOREIGN);
}

static void ignores_everything_while_a_transfer_ends(void **state)
{
    (void)state;
    assert_int_equal(message(image, 100), STREAM_STARTED | STREAM_ENDED);
    assert_int_equal(message(image, 4095), STREAM_FOREIGN);
    assert_int_equal(message(header(10), STREAM_HEADER_LEN), STREAM_FOREIGN);
    part(image, 10, 4095);
    assert_int_equal(stream_break(&stream), STREAM_NONE);
    assert_int_equal(message_instead(image, 4095), STREAM_FOREIGN);
    assert_int_equal(stream.state, STREAM_ENDING);
    assert_taken(image, 100);
    stream_stop(&stream);
    assert_int_equal(message(image, 4095), STREAM_STARTED);
}

static void stopped_it_ignores_the_rest_of_the_message(void **state)
{
    (void)state;
    part(image, 50, 4095);
    stream_stop(&stream);
    assert_int_equal(piece(image, 50), STREAM_NONE); // looks like a beginning, but is in the middle
    assert_int_equal(stream_end(&stream, now), STREAM_NONE);
    assert_int_equal(ring.used, 0);
    assert_int_equal(stream.state, STREAM_IDLE);
}

// --- Broken messages ---

static void a_message_that_breaks_off_ends_the_transfer(void **state)
{
    (void)state;
    for (size_t n = 0; n < 100; n++) {
        assert_int_equal(message(image, 4095), STREAM_STARTED);
        part(image + 4095, n, 4095);
        assert_int_equal(stream_break(&stream), STREAM_FAILED);
        assert_int_equal(stream.why, STREAM_BROKEN);
        assert_int_equal(stream.state, STREAM_IDLE);
        assert_int_equal(ring.used, 0);
    }
}

static void a_message_that_breaks_off_before_a_transfer_is_nothing(void **state)
{
    (void)state;
    part(header(100), 6, STREAM_HEADER_LEN);
    assert_int_equal(stream_break(&stream), STREAM_NONE);
    assert_int_equal(ring.used, 0);
    assert_int_equal(stream.state, STREAM_IDLE);
    assert_int_equal(message(header(100), STREAM_HEADER_LEN), STREAM_STARTED);
}

static void a_transfer_may_begin_instead_of_the_rest_of_a_message(void **state)
{
    (void)state;
    message(image + 0, 4095);
    part(image + 4095, 1000, 4095);
    assert_int_equal(message_instead(image, 300),
                     STREAM_STARTED | STREAM_ENDED); // one byte decides
    assert_taken(image, 300);
    stream_stop(&stream);
    message(image, 4095);
    part(image + 4095, 1000, 4095);
    assert_int_equal(message_instead(header(10), STREAM_HEADER_LEN), STREAM_STARTED);
    assert_int_equal(stream.size, 10);
    assert_int_equal(message(image, 10), STREAM_ENDED);
    assert_taken(image, 10);
}

static void anything_else_instead_of_the_rest_of_a_message_ends_the_transfer(void **state)
{
    (void)state;
    message(image, 4095);
    part(image + 4095, 1000, 4095);
    assert_int_equal(message_instead("\x3E\x80", 2), STREAM_FAILED | STREAM_FOREIGN);
    assert_int_equal(stream.why, STREAM_BROKEN);
    assert_int_equal(stream.state, STREAM_IDLE);
    message(image, 4095);
    part("OT", 2, 4095);
    assert_int_equal(message_instead("OT1", 3), STREAM_FAILED | STREAM_FOREIGN);
    assert_int_equal(stream.why, STREAM_BROKEN);
    assert_int_equal(ring.used, 0);
}

// --- A new transfer between two messages ---

static void an_image_s_head_between_messages_begins_a_new_transfer(void **state)
{
    (void)state;
    uint8_t all[STREAM_HEADER_LEN + 100];
    memcpy(all + STREAM_HEADER_LEN, image, 100);
    for (int with_header = 0; with_header < 2; with_header++) {
        if (with_header) message(header(LONG), STREAM_HEADER_LEN);
        message(image, 4095);
        message(image + 4095, 4095);
        assert_int_equal(message(image, 4095), STREAM_STARTED);
        assert_int_equal(stream.kind, STREAM_PLAIN);
        assert_int_equal(message(image + 4095, 100), STREAM_ENDED);
        assert_taken(image, 4195);
        stream_stop(&stream);

        message(image, 4095);
        memcpy(all, header(200), STREAM_HEADER_LEN);
        assert_int_equal(message(all, sizeof all), STREAM_STARTED);
        assert_int_equal(stream.kind, STREAM_HEADER);
        assert_int_equal(stream.size, 200);
        assert_int_equal(message(image + 100, 100), STREAM_ENDED);
        assert_taken(image, 200);
        stream_stop(&stream);
    }
}

/// A message within a transfer is data unless each of these bytes is right.
static void data_that_only_resembles_a_head_stays_data(void **state)
{
    (void)state;
    static const struct {
        uint32_t at;
        uint8_t value;
    } WRONG[] = { { 0, 0xE8 },  { 1, 0 },     { 1, 17 },    { 2, 6 },    { 23, 2 },
                  { 32, 0x33 }, { 33, 0x55 }, { 34, 0xCC }, { 35, 0xAA } };
    uint8_t all[STREAM_HEADER_LEN + 100];
    for (int with_header = 0; with_header < 2; with_header++)
        for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
            const size_t offset = with_header ? STREAM_HEADER_LEN : 0;
            memcpy(all, header(100), STREAM_HEADER_LEN);
            memcpy(all + offset, image, 100);
            all[offset + WRONG[i].at] = WRONG[i].value;
            message(image, 4095);
            assert_int_equal(message(all, offset + 100), STREAM_ENDED); // a short message
            take(SIZE_MAX);
            assert_int_equal(taken_len, 4095 + offset + 100);
            assert_memory_equal(taken + 4095, all, offset + 100);
            stream_stop(&stream);
        }
}

static void a_head_that_is_not_whole_stays_data(void **state)
{
    (void)state;
    uint8_t all[STREAM_HEADER_LEN + HEAD];
    memcpy(all, header(100), STREAM_HEADER_LEN);
    memcpy(all + STREAM_HEADER_LEN, image, HEAD);
    for (int with_header = 0; with_header < 2; with_header++) {
        const uint8_t *p = with_header ? all : image;
        const size_t needed = with_header ? sizeof all : HEAD;
        for (size_t n = 1; n <= needed; n++) {
            message(image, 4095);
            const bool new_one = n == needed;
            const stream_events_t events = message(p, n);
            assert_int_equal(!!(events & STREAM_STARTED), new_one);
            if (new_one) break;
            assert_int_equal(events, STREAM_ENDED);
            take(SIZE_MAX);
            assert_int_equal(taken_len, 4095 + n);
            assert_memory_equal(taken + 4095, p, n);
            stream_stop(&stream);
        }
        stream_stop(&stream);
    }
}

// The image itself begins as a new transfer would.
static void the_image_behind_its_header_is_not_a_new_transfer(void **state)
{
    (void)state;
    assert_int_equal(message(header(8000), STREAM_HEADER_LEN), STREAM_STARTED);
    assert_int_equal(message(image, 4095), STREAM_NONE);
    assert_int_equal(stream.kind, STREAM_HEADER);
    assert_int_equal(message(image + 4095, 8000 - 4095), STREAM_ENDED);
    assert_taken(image, 8000);
}

static void judged_bytes_come_out_when_they_are_data(void **state)
{
    (void)state;
    message(image, 4095);
    take(SIZE_MAX);
    stream_begin(&stream, 4095, false);
    uint8_t data[HEAD];
    memcpy(data, image, HEAD);
    data[35] ^= 1;
    for (size_t i = 0; i < HEAD; i++) {
        const uint8_t *p;
        assert_int_equal(ring_peek(&ring, &p), 0);
        assert_int_equal(stream.total, 4095);
        assert_int_equal(piece(data + i, 1), STREAM_NONE);
    }
    assert_int_equal(stream.total, 4095 + HEAD);
    take(SIZE_MAX);
    assert_int_equal(taken_len, 4095 + HEAD);
}

// --- The ring ---

static void says_how_much_the_sender_may_send(void **state)
{
    (void)state;
    const uint32_t most = 300 - STREAM_RESERVE;
    open_ring(memory, 300);
    assert_int_equal(stream_room(&stream), most);
    stream_begin(&stream, 4095, false);
    for (uint32_t n = 1; n <= 300; n++) {
        assert_int_equal(stream_data(&stream, image + n - 1, 1), n == 1 ? STREAM_STARTED : 0);
        assert_int_equal(stream_room(&stream), n < most ? most - n : 0);
    }
    take(STREAM_RESERVE + 4);
    assert_int_equal(stream_room(&stream), 4);
}

static void one_byte_too_many_is_an_overrun(void **state)
{
    (void)state;
    for (uint32_t used = 290; used <= 300; used++) {
        open_ring(memory, 300);
        stream_begin(&stream, 4095, false);
        assert_int_equal(stream_data(&stream, image, used), STREAM_STARTED);
        const bool fits = used + 7 <= 300;
        assert_int_equal(stream_data(&stream, image + used, 7), fits ? STREAM_NONE : STREAM_FAILED);
        if (fits) continue;
        assert_int_equal(stream.why, STREAM_OVERRUN);
        assert_int_equal(stream.state, STREAM_IDLE);
        assert_int_equal(ring.used, 0);
        assert_int_equal(stream_data(&stream, image, 7), STREAM_NONE); // the rest of the message
        assert_int_equal(stream_end(&stream, now), STREAM_NONE);
    }
}

static void bytes_stay_in_order_in_rings_of_every_size(void **state)
{
    (void)state;
    uint64_t seed = vector_seed("test_stream");
    for (uint32_t cap = STREAM_RING_MIN; cap <= 300; cap++) {
        uint8_t *exact = malloc(cap); // so that a sanitizer sees a byte behind it
        assert_non_null(exact);
        open_ring(exact, cap);
        size_t at = 0;
        stream_events_t events = STREAM_NONE;
        while (at < 20000) {
            const size_t len = smaller(4095, 20000 - at);
            stream_begin(&stream, (uint32_t)len, false);
            for (size_t done = 0; done < len;) {
                const size_t n = smaller(1 + vector_random(&seed, 64), len - done);
                if (n > ring.cap - ring.used) {
                    take(1 + vector_random(&seed, 100));
                    continue;
                }
                events |= piece(image + at + done, n);
                done += n;
                if (vector_random(&seed, 4) == 0) take(vector_random(&seed, 80));
            }
            events |= stream_end(&stream, now);
            at += len;
        }
        assert_int_equal(events, STREAM_STARTED | STREAM_ENDED);
        assert_taken(image, 20000);
        free(exact);
    }
}

// --- By chance ---

/// What a transfer should be, told from whole messages.
typedef struct {
    stream_state_t state;
    stream_kind_t kind;
    uint32_t size;
    uint8_t bytes[LONG];
    size_t len;
} model_t;

static bool looks_like_image(const uint8_t *p, size_t len)
{
    return len >= HEAD && p[0] == 0xE9 && p[1] > 0 && p[1] <= 16 && p[2] <= 5 && p[23] <= 1 &&
           memcmp(p + 32, "\x32\x54\xCD\xAB", 4) == 0;
}

/// What begins with a message of which `len` bytes came: 'P' plain, 'H' header, 0 no beginning.
static int begins(const model_t *m, const uint8_t *p, size_t len, bool broke)
{
    const bool open = m->state == STREAM_IDLE || broke;
    const bool has_header = len >= STREAM_HEADER_LEN && memcmp(p, "OT", 2) == 0;
    if (open) return (p[0] == 0xE9) ? 'P' : has_header ? 'H' : 0;
    if (m->kind == STREAM_HEADER && m->len == 0) return has_header ? 'H' : 0;
    if (looks_like_image(p, len)) return 'P';
    return (has_header && looks_like_image(p + 8, len - 8)) ? 'H' : 0;
}

static stream_events_t model_message(model_t *m, const uint8_t *p, size_t len, bool broke)
{
    if (m->state == STREAM_ENDING) return STREAM_FOREIGN;
    stream_events_t events = STREAM_NONE;
    const int kind = begins(m, p, len, broke);
    if (kind) {
        m->state = STREAM_RECEIVING;
        m->kind = (kind == 'H') ? STREAM_HEADER : STREAM_PLAIN;
        m->size = (kind == 'H') ? load_le32(p + 2) : 0;
        m->len = 0;
        p += (kind == 'H') ? 8 : 0;
        len -= (kind == 'H') ? 8 : 0;
        events = STREAM_STARTED;
    } else if (m->state == STREAM_IDLE) {
        return STREAM_FOREIGN;
    } else if (broke) {
        m->state = STREAM_IDLE;
        return STREAM_FAILED | STREAM_FOREIGN;
    }
    assert_true(m->len + len <= sizeof m->bytes);
    memcpy(m->bytes + m->len, p, len);
    m->len += len;
    if (m->kind == STREAM_HEADER && m->len > m->size) {
        m->state = STREAM_IDLE;
        return events | STREAM_FAILED;
    }
    return events;
}

static stream_events_t model_end(model_t *m, size_t message_len)
{
    if (m->state != STREAM_RECEIVING) return STREAM_NONE;
    if (m->kind == STREAM_HEADER ? m->len != m->size : message_len >= 4095) return STREAM_NONE;
    m->state = STREAM_ENDING;
    return STREAM_ENDED;
}

/// Fills `p` (4096 bytes) and returns how many of them are the message.
static size_t random_message(uint64_t *seed, uint8_t *p)
{
    static const uint16_t LEN[] = { 1, 7, 8, 20, 35, 36, 43, 44, 45, 300, 1000, 4095, 4095, 4096 };
    const size_t len = LEN[vector_random(seed, sizeof LEN / sizeof *LEN)];
    for (size_t i = 0; i < 4096; i++)
        p[i] = (uint8_t)vector_random(seed, 256);
    const uint32_t size = 1 + vector_random(seed, vector_random(seed, 2) ? 60 : 6000);
    switch (vector_random(seed, 8)) {
    case 0: memcpy(p, image, 100); break;
    case 1: p[0] = 0xE9; break;
    case 2: memcpy(p, header(size), STREAM_HEADER_LEN); break;
    case 3:
        memcpy(p, header(size), STREAM_HEADER_LEN);
        memcpy(p + STREAM_HEADER_LEN, image, 100);
        break;
    case 4:
        memcpy(p, image, 100);
        p[vector_random(seed, HEAD)] ^= 1;
        break;
    default: break;
    }
    return len;
}

static void check_taken(const model_t *m)
{
    if (m->state == STREAM_IDLE) return; // void: what was taken of it does not matter
    assert_true(taken_len + ring.ready <= m->len);
    assert_memory_equal(taken, m->bytes, taken_len);
}

static void random_messages_do_what_the_model_says(void **state)
{
    (void)state;
    static model_t m;
    static uint8_t bytes[4096];
    uint64_t seed = vector_seed("test_stream");
    unsigned count[5] = { 0 };
    const uint32_t cap = STREAM_RING_MIN + vector_random(&seed, 1000);
    open_ring(memory, cap);
    memset(&m, 0, sizeof m);
    bool broken = false;
    for (unsigned i = 0; i < 20000; i++) {
        if (m.len > LONG - 4096 || vector_random(&seed, 40) == 0 ||
            (m.state == STREAM_ENDING && vector_random(&seed, 2))) {
            stream_stop(&stream);
            m.state = STREAM_IDLE;
            m.len = 0;
            broken = false; // isotp is in no message
        }
        const size_t len = random_message(&seed, bytes);
        const bool breaks = vector_random(&seed, 8) == 0;
        const size_t come = breaks ? vector_random(&seed, (uint32_t)len) : len;
        stream_events_t events = STREAM_NONE;
        const bool broke = broken && m.state == STREAM_RECEIVING;
        stream_begin(&stream, (uint32_t)len, broken);
        for (size_t at = 0; at < come;) {
            const size_t n = smaller(1 + vector_random(&seed, 62), come - at);
            while (n > ring.cap - ring.used)
                take(1 + vector_random(&seed, 200));
            events |= piece(bytes + at, n);
            at += n;
            if (vector_random(&seed, 3) == 0) take(vector_random(&seed, 300));
        }
        stream_events_t expected = STREAM_NONE;
        const bool undecided = breaks && stream.judging;
        if (come > 0 && !undecided) expected |= model_message(&m, bytes, come, broke);
        if (!breaks) {
            events |= stream_end(&stream, now);
            expected |= model_end(&m, len);
        }
        broken = breaks;
        if (breaks && vector_random(&seed, 2)) { // isotp says so, before another message begins
            events |= stream_break(&stream);
            expected |= (m.state == STREAM_RECEIVING) ? STREAM_FAILED : STREAM_NONE;
            if (m.state == STREAM_RECEIVING) m.state = STREAM_IDLE;
            broken = false;
        }
        if (events != expected) fail_msg("message %u: events %x, not %x", i, events, expected);
        assert_int_equal(stream.state, m.state);
        if (m.state != STREAM_IDLE) {
            assert_int_equal(stream.kind, m.kind);
            assert_int_equal(stream.size, m.size);
            assert_int_equal(stream.total, m.len);
            assert_int_equal(taken_len + ring.ready, m.len);
        }
        check_taken(&m);
        for (unsigned k = 0; k < 5; k++)
            count[k] += events >> k & 1;
    }
    print_message("%u started, %u ended, %u failed, %u foreign\n", count[0], count[1], count[2],
                  count[3]);
    for (unsigned k = 0; k < 4; k++)
        assert_true(count[k] > 100);
}

int main(void)
{
#define ON_A_STREAM(test) cmocka_unit_test_setup_teardown(test, open_stream, close_stream)
    const struct CMUnitTest tests[] = {
        ON_A_STREAM(a_short_message_ends_a_plain_transfer),
        ON_A_STREAM(one_short_message_is_a_whole_plain_transfer),
        ON_A_STREAM(a_message_longer_than_4095_does_not_end_a_plain_transfer),
        ON_A_STREAM(silence_of_1_s_ends_a_plain_transfer_whose_image_is_complete),
        ON_A_STREAM(silence_of_10_s_ends_every_transfer_that_is_not_complete),
        ON_A_STREAM(silence_does_not_complete_a_transfer_with_a_header),
        ON_A_STREAM(there_is_no_silence_within_a_message),
        ON_A_STREAM(silence_counts_from_the_end_of_the_last_message),
        ON_A_STREAM(a_header_announces_the_bytes_of_the_transfer),
        ON_A_STREAM(a_header_may_share_its_message_with_the_image),
        ON_A_STREAM(a_header_s_size_has_32_bits),
        ON_A_STREAM(a_header_may_be_cut_anywhere),
        ON_A_STREAM(more_bytes_than_announced_end_it),
        ON_A_STREAM(more_bytes_than_announced_end_it_even_while_they_are_judged),
        ON_A_STREAM(an_announced_size_of_0_ends_with_its_header),
        ON_A_STREAM(ignores_messages_that_begin_no_transfer),
        ON_A_STREAM(reports_a_foreign_message_once_and_at_its_beginning),
        ON_A_STREAM(two_bytes_are_enough_to_tell_that_it_is_no_header),
        ON_A_STREAM(ignores_everything_while_a_transfer_ends),
        ON_A_STREAM(stopped_it_ignores_the_rest_of_the_message),
        ON_A_STREAM(a_message_that_breaks_off_ends_the_transfer),
        ON_A_STREAM(a_message_that_breaks_off_before_a_transfer_is_nothing),
        ON_A_STREAM(a_transfer_may_begin_instead_of_the_rest_of_a_message),
        ON_A_STREAM(anything_else_instead_of_the_rest_of_a_message_ends_the_transfer),
        ON_A_STREAM(an_image_s_head_between_messages_begins_a_new_transfer),
        ON_A_STREAM(data_that_only_resembles_a_head_stays_data),
        ON_A_STREAM(a_head_that_is_not_whole_stays_data),
        ON_A_STREAM(the_image_behind_its_header_is_not_a_new_transfer),
        ON_A_STREAM(judged_bytes_come_out_when_they_are_data),
        ON_A_STREAM(says_how_much_the_sender_may_send),
        ON_A_STREAM(one_byte_too_many_is_an_overrun),
        ON_A_STREAM(bytes_stay_in_order_in_rings_of_every_size),
        ON_A_STREAM(random_messages_do_what_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
