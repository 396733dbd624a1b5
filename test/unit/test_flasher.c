// test_flasher.c - the flasher and a scripted server: what is sent after which answer, and how it ends.
// SPDX-License-Identifier: Apache-2.0
//
// A line of a script is one request and what comes back, each after so many milliseconds:
//     22 F1 89 : 62 F1 89 31         a request that begins so, and its response, at once
//     36 01 :                        no response
//     all 10 83 :                    a request to all nodes
//     37 : +40 7F 37 78 +4000 77     two responses
// Requests must come in this order, none more and none less. TesterPresent is counted only.
#include "flasher.h"

#include "crypto_psa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DOWNLOAD "step download 34 00 44 {address:4} {size:4}\nstep transfer\n"

enum { FRAME_US = 230, RESPONSES = 8, RESPONSE_MAX = 128, MESSAGE_MAX = 5000 };

static profile_t profile;
static flasher_cfg_t cfg;
static flasher_t f;
static uint8_t image[300];
static crypto_psa_t psa;
static crypto_t crypto;

static isotp_cfg_t server_cfg, all_cfg;
static isotp_t server, all;
static const char *script;
static usec_t now;
static unsigned presents;
static unsigned unheard; // so many blocks the server does not hear
static flasher_events_t events;
static uint8_t last[MESSAGE_MAX]; // the request that came last
static uint32_t last_len;
static uint8_t functional[8];
static struct {
    usec_t at;
    uint8_t bytes[RESPONSE_MAX];
    uint32_t len;
} queue[RESPONSES];
static unsigned queued;

static int begin(void **state)
{
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    (void)state;
    memset(&cfg, 0, sizeof cfg);
    cfg.isotp = cfg.functional = server_cfg = all_cfg = standard;
    cfg.isotp.tx_id = server_cfg.rx_id = 0x7E0;
    cfg.isotp.rx_id = server_cfg.tx_id = cfg.functional.rx_id = all_cfg.tx_id = 0x7E8;
    cfg.functional.tx_id = all_cfg.rx_id = 0x7DF;
    cfg.functional.functional = all_cfg.functional = true;
    assert_true(crypto_psa_init(&psa, &crypto));
    cfg.crypto = &crypto;
    cfg.profile = &profile;
    for (unsigned i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7);
    cfg.image = (flasher_image_t){ .bytes = image, .len = sizeof image, .version = "2.0" };
    return 0;
}

// --- The server ---

static uint32_t take_bytes(const char **text, uint8_t *p)
{
    uint32_t len = 0;
    char *end;
    for (;; *text = end) {
        if (strchr("+\n:", (*text)[strspn(*text, " ")])) return len;
        const unsigned long byte = strtoul(*text, &end, 16);
        if (end == *text) return len;
        p[len++] = (uint8_t)byte;
    }
}

/// Scripts have room for what a test puts into them.
static char *append(char *script_so_far, const char *more)
{
    (void)sprintf(script_so_far + strlen(script_so_far), "%s", more);
    return script_so_far;
}

static void on_request(bool to_all, const uint8_t *message, uint32_t len)
{
    uint8_t wanted[64];
    char got[64] = "";
    for (uint32_t i = 0; i < len && i < 16; i++)
        (void)sprintf(got + strlen(got), "%02X ", message[i]);
    if (to_all && len == 2 && message[0] == 0x3E) {
        assert_int_equal(message[1], 0x80);
        presents++;
        return;
    }
    while (*script == '\n')
        script++;
    const char *line = script;
    if (!*script) fail_msg("one request more: %s", got);
    const bool wants_all = strncmp(script, "all ", 4) == 0;
    if (wants_all) script += 4;
    const uint32_t wanted_len = take_bytes(&script, wanted);
    if (wants_all != to_all || len < wanted_len || memcmp(message, wanted, wanted_len) != 0)
        fail_msg("%s%s came instead of '%.*s'", to_all ? "all " : "", got, (int)strcspn(line, "\n"),
                 line);
    script += strspn(script, " ");
    assert_int_equal(*script++, ':');
    for (;;) {
        script += strspn(script, " ");
        if (!*script || *script == '\n') break;
        unsigned long ms = 0;
        char *end;
        if (*script == '+') {
            ms = strtoul(script + 1, &end, 10);
            script = end;
        }
        const usec_t from = queued ? queue[queued - 1].at : now;
        assert_true(queued < RESPONSES);
        queue[queued].at = from + ms * USEC_MS;
        queue[queued].len = take_bytes(&script, queue[queued].bytes);
        queued++;
    }
}

static void to_server(isotp_t *tp, const can_frame_t *frame)
{
    const isotp_events_t ev = isotp_input(tp, frame, now);
    if (ev & ISOTP_RX_BEGIN) assert_true(tp->rx.len <= sizeof last);
    uint8_t *to = (tp == &all) ? functional : last;
    if (ev & ISOTP_RX_DATA) memcpy(to + tp->rx.at, tp->rx.data, tp->rx.data_len);
    if (isotp_wanted(tp) > 0 && last[0] == UDS_TRANSFER_DATA && unheard > 0) {
        unheard--;
        isotp_init(tp, &server_cfg);
        return;
    }
    if (isotp_wanted(tp) > 0) isotp_proceed(tp, 0, 0, now);
    if (!(ev & ISOTP_RX_END)) return;
    if (tp == &server) last_len = tp->rx.len;
    on_request(tp == &all, to, tp->rx.len);
}

static bool turn(void)
{
    bool busy = false;
    const can_frame_t *out = flasher_output(&f, now);
    if (out) {
        const can_frame_t frame = *out;
        busy = true;
        now += FRAME_US;
        events |= flasher_sent(&f, now);
        to_server(frame.id == 0x7DF ? &all : &server, &frame);
    }
    if (queued > 0 && now >= queue[0].at && server.tx.state == ISOTP_TX_IDLE) {
        static uint8_t message[RESPONSE_MAX];
        const uint32_t len = queue[0].len;
        memcpy(message, queue[0].bytes, len);
        memmove(queue, queue + 1, sizeof queue - sizeof queue[0]);
        queued--;
        assert_true(isotp_start(&server, message, len, now));
    }
    out = isotp_output(&server, now);
    if (out) {
        const can_frame_t frame = *out;
        busy = true;
        now += FRAME_US;
        (void)isotp_sent(&server, now);
        events |= flasher_input(&f, &frame, now);
    }
    (void)isotp_tick(&server, now);
    events |= flasher_tick(&f, now);
    return busy || flasher_output(&f, now) || isotp_output(&server, now);
}

static void start(const char *text, const char *requests)
{
    char error[200];
    if (!profile_parse(&profile, "test", text, strlen(text), error, sizeof error))
        fail_msg("%s", error);
    isotp_init(&server, &server_cfg);
    isotp_init(&all, &all_cfg);
    script = requests;
    events = FLASHER_NONE;
    now = 1000;
    presents = queued = unheard = 0;
    flasher_init(&f, &cfg, now);
}

/// Until one of these events. Fails if it never comes.
static void run_until(flasher_events_t wanted)
{
    for (unsigned turns = 0; !(events & wanted); turns++) {
        if (turns > 100000) fail_msg("it never ends");
        if (turn()) continue;
        usec_t next = sooner(flasher_deadline(&f), isotp_deadline(&server));
        if (queued > 0) next = sooner(next, queue[0].at);
        assert_true(next != USEC_NEVER || events & wanted);
        now = later(now, next);
    }
}

static void all_was_asked(void)
{
    script += strspn(script, "\n");
    if (*script) fail_msg("'%.*s' never came", (int)strcspn(script, "\n"), script);
}

static void expect_done(const char *text, const char *requests)
{
    start(text, requests);
    run_until(FLASHER_DONE | FLASHER_FAILED);
    if (events & FLASHER_FAILED) fail_msg("failed: %d in line %u", f.why, flasher_step(&f)->line);
    assert_true(flasher_deadline(&f) == USEC_NEVER);
    all_was_asked();
}

static void expect_failed(const char *text, const char *requests, flasher_why_t why)
{
    start(text, requests);
    run_until(FLASHER_DONE | FLASHER_FAILED);
    assert_true(events & FLASHER_FAILED);
    assert_int_equal(f.why, why);
    assert_true(flasher_deadline(&f) == USEC_NEVER);
    all_was_asked();
}

// --- The whole ---

static void the_standard_s_sequence(void **state)
{
    (void)state;
    expect_done(
        profile_builtin("standard"),
        "22 F1 89 : 62 F1 89 31 2E 30\n"
        "all 10 83 :\n"
        "10 03 : 50 03 00 32 01 F4\n"
        "31 01 02 03 : 71 01 02 03\n"
        "all 85 82 :\n"
        "all 28 83 01 :\n"
        "10 02 : 50 02 00 32 01 F4\n"
        "27 01 : 7F 27 11\n"
        "2E F1 84 00 00 00 00 00 00 00 00 00 : 6E F1 84\n"
        "31 01 FF 00 44 00 00 00 00 00 00 01 2C : +40 7F 31 78 +4900 7F 31 78 +4900 71 01 FF 00 00\n"
        "34 00 44 00 00 00 00 00 00 01 2C : 74 20 00 82\n"
        "36 01 00 07 : 76 01\n"
        "36 02 : 76 02\n"
        "36 03 : 76 03\n"
        "37 : 77\n"
        "31 01 02 02 : 71 01 02 02 00\n"
        "31 01 FF 01 : 71 01 FF 01 00\n"
        "11 01 : 51 01\n"
        "22 F1 89 : \n" // it restarts
        "22 F1 89 : 62 F1 89 32 2E 30\n"
        "all 28 80 01 :\n"
        "all 85 81 :\n"
        "all 10 81 :\n"
        "22 F1 89 : 62 F1 89 32 2E 30 00\n");
    assert_int_equal(f.sent, sizeof image);
    assert_true(presents >= 4); // while it erases, too
    assert_false(f.unverified);
}

// --- Requests ---

static void a_refused_step_ends_it_and_wakes_the_others(void **state)
{
    (void)state;
    expect_failed("step functional request 10 83\nstep request 10 02\n" DOWNLOAD,
                  "all 10 83 :\n10 02 : 7F 10 22\nall 10 81 :\n", FLASHER_REFUSED);
    assert_int_equal(f.nrc, UDS_CONDITIONS_NOT_CORRECT);
    assert_int_equal(flasher_step(&f)->line, 2);
    assert_false(f.resumable);
}

static void an_optional_step_may_be_refused(void **state)
{
    (void)state;
    expect_done(
        "block-retry 0\nstep optional read F189 text\nstep optional request 2E F1 5A 01\n" DOWNLOAD,
        "22 F1 89 : 7F 22 31\n2E F1 5A 01 : 7F 2E 31\n34 : 74 20 0F FF\n36 01 : 76 01\n");
    assert_true(f.unverified);
    assert_int_equal(f.facts, 0);
}

static void another_content_than_expected_is_no_success(void **state)
{
    (void)state;
    expect_failed("step request 31 01 02 03 expect 71 01 02 03 00\n" DOWNLOAD,
                  "31 01 02 03 : 71 01 02 03 01 02\n", FLASHER_UNEXPECTED);
    assert_int_equal(f.response_len, 6);
    assert_int_equal(f.response[5], 2);
}

static void the_first_answer_is_waited_for(void **state)
{
    (void)state;
    expect_done(
        "connect 1\nmargin 50\nstep read F189 text\n" DOWNLOAD,
        "22 F1 89 :\n22 F1 89 :\n22 F1 89 : 62 F1 89 31\n34 : 74 20 0F FF\n36 01 : 76 01\n");
    expect_failed("connect 1\np2 400 5000\nmargin 50\nstep read F189 text\n" DOWNLOAD,
                  "22 F1 89 :\n22 F1 89 :\n22 F1 89 :\n", FLASHER_NO_ANSWER);
    assert_int_equal(f.timer_ms, 450);
    assert_int_equal(f.source, FLASHER_FROM_PROFILE);
}

static void which_timer_ran_out_and_who_set_it_is_told(void **state)
{
    (void)state;
    expect_failed(
        "request-retry 1\nmargin 10\nstep request 10 02\nstep request 31 01 12 34\n" DOWNLOAD,
        "10 02 : 50 02 00 20 00 64\n31 01 12 34 :\n31 01 12 34 : +5 7F 31 78\nall 10 81 :\n",
        FLASHER_TIMEOUT);
    assert_int_equal(f.timer, UDS_TIMER_P2_STAR);
    assert_int_equal(f.timer_ms, 1010);
    assert_int_equal(f.source, FLASHER_FROM_DEVICE);
    assert_int_equal(f.tries, 2);
    expect_failed("request-retry 0\nstep read F189 text\nstep request 31 01 12 34\n" DOWNLOAD,
                  "22 F1 89 : 62 F1 89 31\n31 01 12 34 :\n", FLASHER_TIMEOUT);
    assert_int_equal(f.timer, UDS_TIMER_P2);
    assert_int_equal(f.timer_ms, 250);
    assert_int_equal(f.source, FLASHER_FROM_DEFAULT);
}

static void a_device_may_be_busy_for_so_long(void **state)
{
    (void)state;
    expect_failed("pending-limit 6\nstep request 31 01 FF 00\n" DOWNLOAD,
                  "31 01 FF 00 : +40 7F 31 78 +4000 7F 31 78 +1900 7F 31 78 +1000 71 01 FF 00\n",
                  FLASHER_TIMEOUT);
    assert_int_equal(f.timer, UDS_TIMER_PENDING);
    assert_int_equal(f.timer_ms, 6000);
    assert_true(events & FLASHER_BUSY);
}

static void a_value_that_does_not_fit_is_not_sent(void **state)
{
    (void)state;
    expect_failed("step download 34 00 14 {address:4} {size:1}\nstep transfer\n", "",
                  FLASHER_BAD_PROFILE);
    expect_failed("step functional request 31 01 02 03 04 05 06 07\n" DOWNLOAD, "",
                  FLASHER_BAD_PROFILE);
}

static void requests_to_all_keep_their_distance(void **state)
{
    (void)state;
    expect_done("step functional request 85 82\nstep functional request 28 83 01\n" DOWNLOAD,
                "all 85 82 :\nall 28 83 01 :\n34 : 74 20 0F FF\n36 01 : 76 01\n");
    assert_true(now >= 50 * USEC_MS);
}

// --- Download ---

static void a_download_response_must_make_sense(void **state)
{
    static const char *const bad[] = { "74", "74 00", "74 20 0F", "74 10 02", "74 90 00" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char requests[60];
        (void)sprintf(requests, "34 : %s\n", bad[i]);
        expect_failed(DOWNLOAD, requests, FLASHER_BAD_RESPONSE);
    }
}

static void blocks_are_as_long_as_both_allow(void **state)
{
    (void)state;
    expect_done(DOWNLOAD, "34 : 74 40 00 01 00 00\n36 01 : 76 01\n");
    assert_int_equal(last_len, sizeof image + 2);
    assert_memory_equal(last + 2, image, sizeof image);
    expect_done("block-max 202\n" DOWNLOAD, "34 : 74 20 0F FF\n36 01 : 76 01\n36 02 : 76 02\n");
    assert_int_equal(last_len, 102);
    assert_memory_equal(last + 2, image + 200, 100);
}

static void a_block_without_an_answer_is_sent_again(void **state)
{
    (void)state;
    expect_done(
        "block-max 152\n" DOWNLOAD,
        "34 : 74 20 0F FF\n36 01 :\n36 01 :\n36 01 : 76 01\n36 02 : 76 02\n36 03 : 76 03\n");
    assert_int_equal(f.sent, sizeof image + 2 * 150); // the third one is shorter: a bad link
    expect_failed("block-retry 1\n" DOWNLOAD, "34 : 74 20 0F FF\n36 01 :\n36 01 :\n",
                  FLASHER_TIMEOUT);
    expect_failed("block-retry 0\n" DOWNLOAD, "34 : 74 20 0F FF\n36 01 :\n", FLASHER_TIMEOUT);
}

static void a_late_response_does_not_answer_the_next_block(void **state)
{
    (void)state;
    expect_done(
        "block-max 152\nmargin 0\n" DOWNLOAD,
        "34 : 74 20 0F FF\n36 01 : +60 76 01\n36 01 : +5 76 01\n36 02 : +30 76 02\n36 03 : 76 03\n");
    assert_int_equal(f.at, sizeof image);
}

static void a_device_that_knows_no_repetition_has_gone_on(void **state)
{
    (void)state;
    expect_done("block-max 152\n" DOWNLOAD,
                "34 : 74 20 0F FF\n36 01 :\n36 01 : 7F 36 73\n36 02 : 76 02\n36 03 : 76 03\n");
    expect_failed(DOWNLOAD, "34 : 74 20 0F FF\n36 01 : 7F 36 73\n", FLASHER_REFUSED);
}

static void the_counter_goes_through_zero(void **state)
{
    static uint8_t large[260 * 62];
    char requests[260 * 24] = "34 : 74 20 0F FF\n";
    (void)state;
    cfg.image.bytes = large;
    cfg.image.len = sizeof large;
    for (unsigned i = 1; i <= 260; i++)
        (void)sprintf(requests + strlen(requests), "36 %02X : 76 %02X\n", i & 0xFF, i & 0xFF);
    expect_done("block-max 64\n" DOWNLOAD, requests);
}

// --- Rounds ---

#define ROUND "step again\nstep request 10 02\n"

static void a_lost_session_is_taken_up_again(void **state)
{
    (void)state;
    expect_done(
        "block-max 152\n" ROUND "step optional resume 31 01 F0 00\n" DOWNLOAD
        "step functional request 10 81\n",
        "10 02 : 50 02\n31 01 F0 00 : 7F 31 31\n34 : 74 20 0F FF\n36 01 : 76 01\n36 02 : 7F 36 7F\n"
        "10 02 :\n10 02 : 7F 10 22\n10 02 : 50 02\n31 01 F0 00 : 7F 31 31\n34 : 74 20 0F FF\n"
        "36 01 : 76 01\n36 02 : 76 02\nall 10 81 :\n");
    assert_int_equal(f.rounds, 1);
    assert_true(events & FLASHER_AGAIN);
}

// --- What has become of a block ---

#define ASKING "block-max 152\nresult FD01\n" DOWNLOAD

static void a_device_that_lost_a_part_of_a_block_is_asked_and_gets_it_again(void **state)
{
    (void)state;
    expect_done(ASKING,
                "34 : 74 20 0F FF\n36 01 : 76 01\n36 02 :\n22 FD 01 : 62 FD 01 FF 00 00 00 96\n"
                "36 02 : 76 02\n");
    assert_int_equal(f.sent, sizeof image + 150);
    assert_true(now < 100 * USEC_MS); // no timer of UDS ran out
}

static void a_block_whose_answer_was_lost_is_not_sent_again(void **state)
{
    (void)state;
    expect_done(ASKING,
                "34 : 74 20 0F FF\n36 01 :\n22 FD 01 : 62 FD 01 FF 00 00 00 96\n36 02 : 76 02\n");
    assert_int_equal(f.sent, sizeof image);
}

static void the_answer_may_come_while_it_is_asked(void **state)
{
    (void)state;
    expect_done(ASKING, "34 : 74 20 0F FF\n36 01 :\n22 FD 01 : 7F 22 21 +5 76 01\n36 02 : 76 02\n");
    assert_int_equal(f.sent, sizeof image);
    expect_done(ASKING,
                "34 : 74 20 0F FF\n36 01 :\n22 FD 01 : 7F 36 78 +2000 76 01\n36 02 : 76 02\n");
    assert_int_equal(f.sent, sizeof image);
    expect_done(ASKING, "34 : 74 20 0F FF\n36 01 : 76 01\n36 02 :\n22 FD 01 : 76 01 +1 76 02\n");
    expect_failed(
        ASKING,
        "34 : 74 20 0F FF\n36 01 :\n22 FD 01 : 7F 36 31\n22 FD 01 : 62 FD 01 11 00 00 00 00\n",
        FLASHER_REFUSED);
    assert_int_equal(f.nrc, UDS_REQUEST_OUT_OF_RANGE);
    assert_int_equal(f.result, 0x11);
}

static void a_device_that_cannot_tell_gets_the_block_again(void **state)
{
    (void)state;
    expect_done(
        ASKING,
        "34 : 74 20 0F FF\n36 01 :\n22 FD 01 : 7F 22 31\n36 01 : 76 01\n36 02 : 76 02\n36 03 : 76 03\n");
    expect_done(
        ASKING,
        "34 : 74 20 0F FF\n36 01 :\n22 FD 01 : 62 FD 01 FF\n36 01 : 76 01\n36 02 : 76 02\n36 03 : 76 03\n");
    expect_done(ASKING,
                "34 : 74 20 0F FF\n36 01 :\n"
                "22 FD 01 :\n22 FD 01 :\n22 FD 01 :\n22 FD 01 :\n22 FD 01 :\n"
                "22 FD 01 :\n22 FD 01 :\n22 FD 01 :\n22 FD 01 :\n22 FD 01 :\n"
                "36 01 : 76 01\n36 02 : 76 02\n36 03 : 76 03\n");
}

static void a_device_that_has_restarted_is_found_out_before_a_block_is_repeated(void **state)
{
    (void)state;
    expect_done(
        "block-max 152\nresult FD01\n" ROUND DOWNLOAD,
        "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 76 01\n36 02 :\n22 FD 01 : 62 FD 01 FF 00 00 00 00\n"
        "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 76 01\n36 02 : 76 02\n");
    assert_int_equal(f.rounds, 1);
    assert_int_equal(f.sent, 2 * sizeof image);
}

static void a_block_that_never_left_was_not_accepted(void **state)
{
    static const char *const beginning = "34 : 74 20 0F FF\n22 FD 01 : 62 FD 01 FF 00 00 00 00\n";
    char requests[200];
    (void)state;
    (void)sprintf(requests, "%s36 01 : 7F 36 73\n22 FD 01 : 62 FD 01 FF 00 00 00 00\n", beginning);
    start(ASKING, requests);
    unheard = 1;
    run_until(FLASHER_DONE | FLASHER_FAILED);
    assert_int_equal(f.why, FLASHER_REFUSED);
    all_was_asked();
    (void)sprintf(requests, "%s36 01 : 76 01\n36 02 : 76 02\n36 03 : 76 03\n", beginning);
    start(ASKING, requests);
    unheard = 1;
    run_until(FLASHER_DONE | FLASHER_FAILED);
    assert_int_equal(f.why, FLASHER_OK);
    assert_int_equal(f.sent, sizeof image + 6); // a first frame
    all_was_asked();
}

static void questions_about_a_block_have_an_end(void **state)
{
    static const char *const again = "36 01 :\n22 FD 01 : 62 FD 01 FF 00 00 00 00\n";
    char requests[400] = "34 : 74 20 0F FF\n";
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        append(requests, again);
    expect_failed("block-retry 3\nresult FD01\n" DOWNLOAD, requests, FLASHER_TIMEOUT);
}

static void blocks_grow_again_on_a_good_link(void **state)
{
    static uint8_t large[40000];
    char requests[4000] = "34 : 74 20 02 02\n36 01 :\n36 01 : 76 01\n";
    (void)state;
    cfg.image.bytes = large;
    cfg.image.len = sizeof large;
    uint32_t at = 512, cap = 258;
    for (unsigned n = 2; at < sizeof large; n++) {
        (void)sprintf(requests + strlen(requests), "36 %02X : 76 %02X\n", n & 0xFF, n & 0xFF);
        at += cap - 2;
        cap += cap / 16 + 1;
        if (cap > 0x202) cap = 0x202;
    }
    expect_done(DOWNLOAD, requests);
}

static void it_goes_on_where_the_device_stands_if_that_is_the_same(void **state)
{
    char requests[400];
    uint8_t digest[32];
    (void)state;
    for (int same = 1; same >= 0; same--) {
        char hex[100] = "";
        assert_true(crypto.start(crypto.ctx, CRYPTO_SHA256));
        assert_true(crypto.update(crypto.ctx, image, 200));
        assert_true(crypto.finish(crypto.ctx, digest));
        digest[5] ^= (uint8_t)!same;
        for (unsigned i = 0; i < 32; i++)
            (void)sprintf(hex + 3 * i, "%02X ", digest[i]);
        (void)sprintf(
            requests,
            "31 01 F0 00 : 71 01 F0 00 00 00 00 C8 %s\n34 00 44 %s : 74 20 0F FF\n36 01 : 76 01\n",
            hex, same ? "08 00 00 C8 00 00 00 64" : "08 00 00 00 00 00 01 2C");
        expect_done("address 8000000\nstep resume 31 01 F0 00\n" DOWNLOAD, requests);
        assert_int_equal(f.start, same ? 200 : 0);
        assert_int_equal(!!(events & FLASHER_RESUMED), same);
        assert_int_equal(f.sent, same ? 100 : 300);
    }
    cfg.no_resume = true;
    expect_done("step resume 31 01 F0 00\n" DOWNLOAD, "34 : 74 20 0F FF\n36 01 : 76 01\n");
}

enum { SLOT_LEN = 101, VERSION_AT = 37, PROJECT_AT = 69 }; // DID FD03

/// The image's own version and project, then one byte changed; `len` bytes of it.
static void next_slot_is(char *requests, uint32_t len, int changed)
{
    uint8_t slot[SLOT_LEN] = { 0xFF };
    memcpy(&slot[VERSION_AT], &image[48], SLOT_LEN - VERSION_AT);
    if (changed >= 0) slot[changed] ^= 1;
    (void)sprintf(requests, "22 FD 03 : 62 FD 03");
    for (uint32_t i = 0; i < len; i++)
        (void)sprintf(requests + strlen(requests), " %02X", slot[i]);
    (void)append(requests, "\n");
}

#define NEXT  "step optional read FD03 next\n"
#define ASKED "31 01 F0 00 : 7F 31 31\n"
#define WHOLE "34 : 74 20 0F FF\n36 01 : 76 01\n"

static void what_another_image_has_overwritten_is_not_looked_for(void **state)
{
    static const struct {
        uint32_t len;
        int changed;
        bool asked;
    } rows[] = { { SLOT_LEN, -1, true }, // perhaps the same, perhaps built again
                 { SLOT_LEN, VERSION_AT, false },
                 { SLOT_LEN, PROJECT_AT - 1, false },
                 { SLOT_LEN, PROJECT_AT, false },
                 { SLOT_LEN, SLOT_LEN - 1, false },
                 { SLOT_LEN, 0, true }, // its state and digest do not matter
                 { SLOT_LEN, VERSION_AT - 1, true },
                 { SLOT_LEN - 1, VERSION_AT, true } };
    char requests[800];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        next_slot_is(requests, rows[i].len, rows[i].changed);
        (void)append(requests, rows[i].asked ? ASKED WHOLE : WHOLE);
        expect_done(NEXT "step optional resume 31 01 F0 00\n" DOWNLOAD, requests);
    }
    // It tells no version: the image is not whole. Or it does not know this identifier.
    (void)sprintf(requests, "22 FD 03 : 62 FD 03");
    for (unsigned i = 0; i < SLOT_LEN; i++)
        (void)append(requests, " 00");
    (void)append(requests, "\n" ASKED WHOLE);
    expect_done(NEXT "step optional resume 31 01 F0 00\n" DOWNLOAD, requests);
    expect_done(NEXT "step optional resume 31 01 F0 00\n" DOWNLOAD,
                "22 FD 03 : 7F 22 31\n" ASKED WHOLE);
    cfg.image.len = 111;
    next_slot_is(requests, SLOT_LEN, VERSION_AT);
    expect_done(NEXT "step optional resume 31 01 F0 00\n" DOWNLOAD, append(requests, ASKED WHOLE));
    cfg.no_resume = true;
    next_slot_is(requests, SLOT_LEN, -1);
    expect_done(NEXT "step optional resume 31 01 F0 00\n" DOWNLOAD, append(requests, WHOLE));
}

static void what_we_have_sent_ourselves_is_looked_for(void **state)
{
    char requests[800];
    (void)state;
    next_slot_is(requests, SLOT_LEN, VERSION_AT);
    (void)append(requests,
                 "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 7F 36 7F\n"
                 "10 02 : 50 02\n" ASKED WHOLE);
    expect_done(NEXT ROUND "step optional resume 31 01 F0 00\n" DOWNLOAD, requests);
}

#define FAILED_ROUND "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 7F 36 71\n"

static void rounds_are_counted(void **state)
{
    (void)state;
    expect_failed("rounds 1\n" ROUND DOWNLOAD, FAILED_ROUND FAILED_ROUND "all 10 81 :\n",
                  FLASHER_REFUSED);
    assert_int_equal(f.rounds, 1);
}

static void so_are_the_bytes_they_cost(void **state)
{
    (void)state;
    expect_failed("rounds 20\n" ROUND DOWNLOAD,
                  FAILED_ROUND FAILED_ROUND FAILED_ROUND FAILED_ROUND "all 10 81 :\n",
                  FLASHER_REFUSED);
    assert_int_equal(f.sent, 4 * sizeof image);
}

static void the_device_s_own_reason_decides(void **state)
{
    (void)state;
    expect_failed(
        "result FD01\n" ROUND DOWNLOAD,
        "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 7F 36 31\n22 FD 01 : 62 FD 01 11 00 00 01 20\nall 10 81 :\n",
        FLASHER_REFUSED);
    assert_true(f.result_known);
    assert_int_equal(f.result, 0x11);
    assert_int_equal(f.result_at, 0x120);
    assert_int_equal(f.nrc, 0x31);
    expect_failed("result FD01\n" ROUND DOWNLOAD "step request 37\n",
                  "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 76 01\n37 : 7F 37 72\n"
                  "22 FD 01 : 62 FD 01 30 00 00 01 2C\nall 10 81 :\n",
                  FLASHER_REFUSED);
    expect_done("result FD01\n" ROUND DOWNLOAD,
                "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 7F 36 72\n22 FD 01 : 7F 22 31\n"
                "10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 76 01\n");
}

static void a_device_that_stays_silent_is_lost(void **state)
{
    (void)state;
    expect_failed(
        "reconnect 1\nmargin 150\nblock-retry 0\nstep again\nstep request 10 02\n"
        "step optional resume 31 01 F0 00\n" DOWNLOAD,
        "10 02 : 50 02\n31 01 F0 00 : 7F 31 31\n34 : 74 20 0F FF\n36 01 :\n"
        "10 02 :\n10 02 :\n10 02 :\n10 02 :\n10 02 :\nall 10 81 :\n",
        FLASHER_LOST_DEVICE);
    assert_true(f.resumable);
}

// --- Security ---

static void a_key_is_asked_for_and_sent(void **state)
{
    (void)state;
    start("step security 11\n" DOWNLOAD,
          "27 11 : 67 11 DE AD\n27 12 BE EF 01 : 67 12\n34 : 74 20 0F FF\n36 01 : 76 01\n");
    run_until(FLASHER_SEED);
    assert_int_equal(f.level, 0x11);
    assert_int_equal(f.seed_len, 2);
    assert_int_equal(f.seed[1], 0xAD);
    events = flasher_unlock(&f, (const uint8_t *)"\xBE\xEF\x01", 3, now);
    run_until(FLASHER_DONE);
    all_was_asked();
}

static void zeros_mean_unlocked(void **state)
{
    (void)state;
    expect_done("step security 01\n" DOWNLOAD,
                "27 01 : 67 01 00 00 00 00\n34 : 74 20 0F FF\n36 01 : 76 01\n");
}

static void a_wrong_key_is_not_tried_again(void **state)
{
    (void)state;
    start("step security 01\n" DOWNLOAD, "27 01 : 67 01 01\n27 02 02 : 7F 27 35\n");
    run_until(FLASHER_SEED);
    events = flasher_unlock(&f, (const uint8_t *)"\x02", 1, now);
    run_until(FLASHER_FAILED);
    assert_int_equal(f.why, FLASHER_REFUSED);
    assert_int_equal(f.nrc, UDS_INVALID_KEY);
    all_was_asked();
}

static void the_delay_after_wrong_keys_is_waited_out(void **state)
{
    (void)state;
    expect_done(
        "unlock-limit 3\nstep security 01\n" DOWNLOAD,
        "27 01 : 7F 27 37\n27 01 : 7F 27 37\n27 01 : 67 01 00\n34 : 74 20 0F FF\n36 01 : 76 01\n");
    expect_failed("unlock-limit 1\nstep security 01\n" DOWNLOAD,
                  "27 01 : 7F 27 37\n27 01 : 7F 27 37\n", FLASHER_REFUSED);
}

static void without_a_key_it_ends(void **state)
{
    (void)state;
    start("step request 10 02\nstep security 01\n" DOWNLOAD,
          "10 02 : 50 02\n27 01 : 67 01 01\nall 10 81 :\n");
    run_until(FLASHER_SEED);
    events = flasher_stop(&f, FLASHER_LOCKED, now);
    run_until(FLASHER_FAILED);
    assert_int_equal(f.why, FLASHER_LOCKED);
    all_was_asked();
}

// --- The restart ---

#define RESET DOWNLOAD "step request 31 01 FF 01\nstep request 11 01\n"
#define SENT  "34 : 74 20 0F FF\n36 01 : 76 01\n31 01 FF 01 : 71 01 FF 01 00\n"

static void a_reset_whose_response_is_lost_is_not_repeated_in_vain(void **state)
{
    (void)state;
    expect_done(RESET "step restart 22 F1 86 expect 62 F1 86 01\n",
                SENT "11 01 :\n22 F1 86 : 62 F1 86 01\n");
}

static void a_reset_that_was_not_heard_is_repeated(void **state)
{
    (void)state;
    // The session is still the same: it did not restart.
    expect_done("restart-delay 1400\n" RESET "step restart 22 F1 86 expect 62 F1 86 01\n", SENT
                "11 01 :\n22 F1 86 : 62 F1 86 02\n22 F1 86 : +59 62 F1 86 02\n"
                "22 F1 86 : 62 F1 86 02\n11 01 : 51 01\n22 F1 86 : 62 F1 86 01\n");
}

static void what_it_ran_before_is_the_old_firmware(void **state)
{
    (void)state;
    expect_failed("step read F189 version\n" RESET
                  "step restart 22 F1 89\nstep verify F189 version\n",
                  "22 F1 89 : 62 F1 89 31 2E 30\n" SENT
                  "11 01 : 51 01\n22 F1 89 : 7F 22 22\n"
                  "22 F1 89 : 62 F1 89 31 2E 30 20\n",
                  FLASHER_OLD_RUNS);
    expect_failed("step read F189 version\n" RESET "step verify F189 version\n",
                  "22 F1 89 : 62 F1 89 31 2E 30\n" SENT
                  "11 01 : 51 01\n22 F1 89 : 62 F1 89 33 2E 30\n",
                  FLASHER_OTHER_RUNS);
}

/// That of the image, or another one.
static void add_digest(char *requests, unsigned differs)
{
    for (unsigned i = 0; i < FLASHER_DIGEST_LEN; i++)
        (void)sprintf(requests + strlen(requests), " %02X", cfg.image.digest[i] ^ differs);
}

// An activation that nobody heard of, a power cut, and the whole update once more: it is in the slot then
// that was the old one's. But the same image in the same slot is what ran before.
static void the_image_runs_wherever_it_is(void **state)
{
    static const char steps[] = "step read FD02 running\n" RESET "step verify FD02 running\n";
    (void)state;
    for (unsigned differs = 0; differs < 2; differs++) {
        char requests[500] = "22 FD 02 : 62 FD 02 01 02";
        add_digest(requests, differs);
        (void)sprintf(requests + strlen(requests),
                      "\n" SENT "11 01 : 51 01\n22 FD 02 : 62 FD 02 01 02");
        add_digest(requests, 0);
        if (differs)
            expect_done(steps, requests);
        else
            expect_failed(steps, requests, FLASHER_OLD_RUNS);
    }
}

// State 3: it runs, and has rejected itself.
static void rejected_firmware_is_no_success(void **state)
{
    (void)state;
    char requests[300] = SENT "11 01 : 51 01\n22 FD 02 : 62 FD 02 01 03";
    add_digest(requests, 0);
    expect_failed("confirm-limit 0\n" RESET "step verify FD02 running\n", requests,
                  FLASHER_OTHER_RUNS);
}

static void nobody_comes_back(void **state)
{
    char requests[4000] = SENT "11 01 : 51 01\n";
    (void)state;
    for (unsigned i = 0; i < 13; i++) // 60 ms each, 20 ms between them
        (void)sprintf(requests + strlen(requests), "22 F1 89 :\n");
    expect_failed("restart-limit 1\nrestart-delay 0\n" RESET "step restart 22 F1 89\n", requests,
                  FLASHER_NOT_BACK);
}

// --- Others, and the user ---

static void input(const char *bytes, uint8_t len)
{
    can_frame_t frame = { .id = 0x7E0, .len = len };
    memcpy(frame.data, bytes, len);
    events |= flasher_input(&f, &frame, now);
}

static void another_tester_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        uint8_t len;
        bool ends;
    } rows[] = { { "\x02\x10\x02", 3, true },
                 { "\x21\x01\x02\x03\x04\x05\x06\x07", 8, true },
                 { "\x1F\xFF\x36\x01\x02\x03\x04\x05", 8, true },
                 { "\x03\x22\xF1\x89", 4, false },
                 { "\x02\x3E\x00", 3, false },
                 { "\x30\x00\x00", 3, false },
                 { "\x02", 1, false } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        start("step request 10 02\nstep security 01\n" DOWNLOAD,
              "10 02 : 50 02\n27 01 : 67 01 01\n");
        input("\x02\x10\x02", 3); // before we began: of a tester that was killed, perhaps
        run_until(FLASHER_SEED);
        input(rows[i].bytes, rows[i].len);
        assert_int_equal(!!(events & FLASHER_FAILED), rows[i].ends);
        if (rows[i].ends) assert_int_equal(f.why, FLASHER_OTHER_TESTER);
    }
}

static void the_user_may_stop_it(void **state)
{
    (void)state;
    start(
        "step optional resume 31 01 F0 00\nstep request 10 02\nblock-max 152\n" DOWNLOAD,
        "31 01 F0 00 : 7F 31 31\n10 02 : 50 02\n34 : 74 20 0F FF\n36 01 : 76 01\n36 02 : +40 76 02\nall 10 81 :\n");
    while (f.at == 0)
        if (!turn()) now = later(now, flasher_deadline(&f));
    while (!f.left)
        (void)turn();
    events = flasher_stop(&f, FLASHER_STOPPED, now);
    assert_int_equal(events, FLASHER_NONE);
    run_until(FLASHER_FAILED);
    assert_int_equal(f.why, FLASHER_STOPPED);
    assert_true(f.resumable);
    all_was_asked();
    assert_int_equal(flasher_stop(&f, FLASHER_STOPPED, now), FLASHER_NONE);
}

static void nobody_acknowledges(void **state)
{
    (void)state;
    start("connect 2\nstep read F189 text\n" DOWNLOAD, "");
    while (!(events & FLASHER_FAILED)) { // the driver has no room
        (void)flasher_output(&f, now);
        now = later(now, flasher_deadline(&f));
        events |= flasher_tick(&f, now);
        assert_true(now < 10000 * USEC_MS);
    }
    assert_int_equal(f.why, FLASHER_NO_BUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_standard_s_sequence, begin),
        cmocka_unit_test_setup(a_refused_step_ends_it_and_wakes_the_others, begin),
        cmocka_unit_test_setup(an_optional_step_may_be_refused, begin),
        cmocka_unit_test_setup(another_content_than_expected_is_no_success, begin),
        cmocka_unit_test_setup(the_first_answer_is_waited_for, begin),
        cmocka_unit_test_setup(which_timer_ran_out_and_who_set_it_is_told, begin),
        cmocka_unit_test_setup(a_device_may_be_busy_for_so_long, begin),
        cmocka_unit_test_setup(a_value_that_does_not_fit_is_not_sent, begin),
        cmocka_unit_test_setup(requests_to_all_keep_their_distance, begin),
        cmocka_unit_test_setup(a_download_response_must_make_sense, begin),
        cmocka_unit_test_setup(blocks_are_as_long_as_both_allow, begin),
        cmocka_unit_test_setup(a_block_without_an_answer_is_sent_again, begin),
        cmocka_unit_test_setup(a_late_response_does_not_answer_the_next_block, begin),
        cmocka_unit_test_setup(a_device_that_knows_no_repetition_has_gone_on, begin),
        cmocka_unit_test_setup(the_counter_goes_through_zero, begin),
        cmocka_unit_test_setup(a_lost_session_is_taken_up_again, begin),
        cmocka_unit_test_setup(a_device_that_lost_a_part_of_a_block_is_asked_and_gets_it_again,
                               begin),
        cmocka_unit_test_setup(a_block_whose_answer_was_lost_is_not_sent_again, begin),
        cmocka_unit_test_setup(the_answer_may_come_while_it_is_asked, begin),
        cmocka_unit_test_setup(a_device_that_cannot_tell_gets_the_block_again, begin),
        cmocka_unit_test_setup(a_device_that_has_restarted_is_found_out_before_a_block_is_repeated,
                               begin),
        cmocka_unit_test_setup(a_block_that_never_left_was_not_accepted, begin),
        cmocka_unit_test_setup(questions_about_a_block_have_an_end, begin),
        cmocka_unit_test_setup(blocks_grow_again_on_a_good_link, begin),
        cmocka_unit_test_setup(it_goes_on_where_the_device_stands_if_that_is_the_same, begin),
        cmocka_unit_test_setup(what_another_image_has_overwritten_is_not_looked_for, begin),
        cmocka_unit_test_setup(what_we_have_sent_ourselves_is_looked_for, begin),
        cmocka_unit_test_setup(rounds_are_counted, begin),
        cmocka_unit_test_setup(so_are_the_bytes_they_cost, begin),
        cmocka_unit_test_setup(the_device_s_own_reason_decides, begin),
        cmocka_unit_test_setup(a_device_that_stays_silent_is_lost, begin),
        cmocka_unit_test_setup(a_key_is_asked_for_and_sent, begin),
        cmocka_unit_test_setup(zeros_mean_unlocked, begin),
        cmocka_unit_test_setup(a_wrong_key_is_not_tried_again, begin),
        cmocka_unit_test_setup(the_delay_after_wrong_keys_is_waited_out, begin),
        cmocka_unit_test_setup(without_a_key_it_ends, begin),
        cmocka_unit_test_setup(a_reset_whose_response_is_lost_is_not_repeated_in_vain, begin),
        cmocka_unit_test_setup(a_reset_that_was_not_heard_is_repeated, begin),
        cmocka_unit_test_setup(what_it_ran_before_is_the_old_firmware, begin),
        cmocka_unit_test_setup(the_image_runs_wherever_it_is, begin),
        cmocka_unit_test_setup(rejected_firmware_is_no_success, begin),
        cmocka_unit_test_setup(nobody_comes_back, begin),
        cmocka_unit_test_setup(another_tester_ends_it, begin),
        cmocka_unit_test_setup(the_user_may_stop_it, begin),
        cmocka_unit_test_setup(nobody_acknowledges, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
