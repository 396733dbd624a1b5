// test_isotp_histories.c - every history of a few steps: what must hold of an ISO-TP channel at any time, does.
// SPDX-License-Identifier: Apache-2.0
//
// A step is a frame, a wait, a decision of the application or of the driver; isotp_watch.h judges each. The channel is
// a value, so each history goes on from a copy of the one before. A scene is a configuration, a few steps that lead
// somewhere, and the alphabet of those that follow, in every order: small ones, so that the histories may be long.
//
//     ISOTP_STEPS=2 lets each scene have two steps more than suit a debug build
//     ISOTP_ENOUGH=1 fails if all together were less than 10^8
//     ISOTP_SCENE=gaps only this one
#include "isotp_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ENOUGH = 100000000 }; // steps that ISOTP_ENOUGH asks for

/// Letters of the alphabets.
enum {
    END_OF_TEXT = '\0',
    WAIT_SHORT = 's',
    WAIT_TO_DEADLINE = 'd',
    WAIT_LONG = 'l',
    TICK = 't',
    PROCEED_ALL = 'p',
    PROCEED_ONE = 'q',
    PROCEED_TWO = 'r',
    REFUSE = 'x',
    START_SHORT = '1',
    START_LONG = '2',
    START_LONGER = '3', // more than 16 frames
    START_FROM_SOURCE = '4',
    START_SF_MOST = '5', // the longest message that is a Single Frame
    START_FF_LEAST = '6',
    START_SHORT_LENGTH = '7', // the longest with a length of 12 bits
    START_LONG_LENGTH = '8',
    START_LONGEST = '9',
    SOURCE_ON_OFF = 'o',
    CANCEL = 'c',
    DRIVER_TAKES = 'T', // and confirms later
    DRIVER_SENDS = 'S', // and confirms at once
    DRIVER_SEES = 'R',  // a frame, and refuses it
    DRIVER_CONFIRMS = 'C',
    DRIVER_LOSES = 'L',
    STRAY = 'Y', // a confirmation for nothing
    // Frames that come in: see frame_of().
    IN_SF = 'A',
    IN_SF_LONG = 'B',  // in CAN FD's way
    IN_BAD = 'D',      // every frame that is to be ignored, one after the other
    IN_SF_LEAST = 'Z', // the shortest of CAN FD's own; classic: the longest
    IN_FF_LEAST = 'E',
    IN_FF = 'F',       // with two consecutive frames to come
    IN_FF_OTHER = 'G', // in the other format, or very long
    IN_FF_LONG = 'H',  // with many consecutive frames to come
    IN_CF = 'I',       // the one awaited
    IN_CF_WRONG = 'J',
    IN_CF_SHORT = 'K',
    IN_CTS = 'M',
    IN_CTS_ONE = 'N',
    IN_CTS_TWO = 'O',
    IN_CTS_GAP = 'P',
    IN_CTS_GAP_LEAST = 'g',
    IN_CTS_GAP_MOST = 'h',
    IN_CTS_RESERVED = 'Q',
    IN_WAIT = 'U',
    IN_OVFLW = 'V',
    IN_RESERVED = 'W',
};

// Parts of configurations.
#define IDS          .tx_id = 2, .rx_id = 1, .pad_byte = 0x55
#define PREFIX       .prefixed = true, .tx_address = 0x44, .rx_address = 0x21
#define TIMES        .n_as = 30, .n_ar = 20, .n_bs = 50, .n_cr = 40
#define TIMES_5(x)   x x x x x
#define TIMES_15(x)  TIMES_5(x) TIMES_5(x) TIMES_5(x)
#define TIMES_255(x) TIMES_15(TIMES_15(x) x x)
#define USUAL        TIMES, .n_br = 10, .wft_max = 1

typedef struct {
    const char *name;
    const char *before; // steps that lead there
    const char *alphabet;
    int steps; // without ISOTP_STEPS
    isotp_cfg_t cfg;
} scene_t;

static const scene_t scenes[] = {
    { "receiver", "", "ABDFGIJKpqxsdSTCL", 5, { IDS, USUAL } },
    { "sender", "", "12cDMNPUVWsdRSTCL", 5, { IDS, USUAL } },
    { "both at once", "F2", "AFDIpqMNdSTC1cx", 5, { IDS, USUAL } },
    { "receiver within a block", "HrS", "IJKFpqrdSTCDx", 5, { IDS, USUAL } },
    { "receiver, 15th frame", "HpSIIIIIIIIIIIIII", "IJKFAldSTC1x", 5, { IDS, USUAL } },
    { "sender within a block", "3SO", "MNOPUdsRSTCLYc", 5, { IDS, USUAL } },
    { "sender, 15th frame", "3SMSSSSSSSSSSSSSS", "MOdsRSTCLcF", 5, { IDS, USUAL } },
    { "great lengths", "", "789GMOdSTpIc", 4, { IDS, USUAL } },
    { "gaps", "2S", "MNOPQghUsdltRSTC", 4, { IDS, USUAL, .min_gap = 15 } },
    { "patience", "2T", "UMNdlSTC2c", 6, { IDS, USUAL, .wft_patience = 2 } },
    { "endless WAIT", "2S" TIMES_255("U"), "UMVsdSTC", 6, { IDS, USUAL } },
    { "never WAIT", "", "FIpqxdlSTC", 6, { IDS, TIMES, .n_br = 10 } },
    { "WAIT at once", "F", "FIqxdstSTCL", 6, { IDS, TIMES, .wft_max = 3 } },
    { "29 bits, padding",
      "",
      "ABEFIKqx1256MUdSTCZ",
      4,
      { .tx_id = 0x18DA10F1, .rx_id = 0x18DAF110, .ext = true, .pad = true, USUAL } },
    { "prefix", "", "ABDEFGIJKpqx2569MNUdSTCZ", 3, { IDS, USUAL, PREFIX } },
    { "to all", "", "ABDFGIMq12456csdRSTCL", 4, { IDS, USUAL, .functional = true } },
    { "to all, FD, 12 bytes, prefix",
      "",
      "ABDEFGIMq12456dRSTCZ",
      4,
      { IDS, USUAL, PREFIX, .functional = true, .fd = true, .tx_dl = 12 } },
    { "FD, 64 bytes",
      "",
      "ABDEFGIJKpq12569MNdSTCZ",
      3,
      { IDS, USUAL, .fd = true, .brs = true, .tx_dl = 64 } },
    { "FD, 12 bytes, padding, prefix",
      "F",
      "BEFGIJKpr256MPUdSTCxZ",
      3,
      { IDS, USUAL, PREFIX, .fd = true, .tx_dl = 12, .pad = true } },
    { "FD, 24 bytes", "", "2MPFIpdSx", 5, { IDS, USUAL, .fd = true, .tx_dl = 24 } },
    { "FD, 8 bytes", "", "AFGIq2MNPdSTCxD", 4, { IDS, USUAL, .fd = true } },
    { "source", "4", "o4McNPdsRSTCLF", 5, { IDS, USUAL } },
    { "driver with a queue", "3SMTTTTTT", "TCLdsFpAcM1R", 5, { IDS, USUAL } },
    { "driver that refuses", "F2R", "RpqxAMNdstSTFc", 4, { IDS, USUAL } },
};
enum { SCENES = sizeof scenes / sizeof scenes[0] };

typedef struct {
    watch_t w;
    bool receiving; // BEGIN was reported, and no end yet
    bool sending;   // start() accepted, and no end yet
    uint32_t received;
} history_t;

static const scene_t *scene;
static unsigned long steps;
static char path[32]; // the letters, after scene->before
static int path_len;

static void wrong(const char *what)
{
    print_error("scene \"%s\", steps \"%s\" and then \"%.*s\"\n", scene->name, scene->before,
                path_len, path);
    fail_msg("%s", what);
}

static void check(bool right, const char *what)
{
    if (!right) wrong(what);
}

// What an application would see, and believe.
static void observe(history_t *h, isotp_events_t ev)
{
    const isotp_rx_t *rx = &h->w.tp.rx;
    if (ev & ISOTP_RX_FAILED) {
        check(h->receiving, "a message failed that was not begun");
        h->receiving = false;
    }
    if (ev & ISOTP_RX_BEGIN) {
        check(!h->receiving, "a message begins within another one");
        h->receiving = true;
        h->received = 0;
    }
    if (ev & ISOTP_RX_DATA) {
        check(h->receiving && rx->at == h->received, "data out of order");
        h->received += rx->data_len;
        check(h->received <= rx->len, "more data than the message has");
    }
    if (ev & ISOTP_RX_END) {
        check(h->receiving && h->received == rx->len, "an end before the end");
        h->receiving = false;
    }
    if (ev & (ISOTP_SENT | ISOTP_TX_FAILED)) {
        check(h->sending, "the end of a message that nobody sent");
        check((ev & (ISOTP_SENT | ISOTP_TX_FAILED)) != (ISOTP_SENT | ISOTP_TX_FAILED),
              "sent and failed");
        h->sending = false;
    }
}

// --- Frames ---

static void first_frame(can_frame_t *f, uint8_t *p, uint32_t len, uint8_t dl)
{
    p[0] = (uint8_t)(0x10 | len >> 8);
    p[1] = (uint8_t)len;
    f->len = dl;
}

static void flow_control(can_frame_t *f, uint8_t *p, uint8_t status, uint8_t bs, uint8_t stmin)
{
    p[0] = (uint8_t)(0x30 | status);
    p[1] = bs;
    p[2] = stmin;
    f->len = (uint8_t)(f->len + 3);
}

// The frame a letter stands for; most depend on the configuration, some on what is awaited.
static void frame_of(const watch_t *w, char step, can_frame_t *f)
{
    const isotp_cfg_t *cfg = w->cfg;
    const uint8_t head = cfg->prefixed, dl = (cfg->fd && cfg->tx_dl > 8) ? cfg->tx_dl : 8;
    const uint8_t cf = (uint8_t)(dl - head - 1);
    memset(f, 0, sizeof *f);
    f->id = cfg->rx_id;
    f->ext = cfg->ext;
    f->fd = cfg->fd;
    f->len = head;
    f->data[0] = cfg->rx_address;
    uint8_t *p = f->data + head;
    switch (step) {
    case IN_SF:
        p[0] = 2;
        f->len = (uint8_t)(head + 3);
        break;
    case IN_SF_LONG: // without CAN FD: padded
        f->len = dl;
        p[dl > 8] = (uint8_t)(dl > 8 ? dl - head - 2 : 5);
        memset(p + 6, cfg->pad_byte, 8);
        break;
    case IN_SF_LEAST:
        f->len = dl;
        p[0] = (uint8_t)(dl > 8 ? 0 : 7 - head);
        p[1] = (uint8_t)(8 - head);
        break;
    case IN_FF_LEAST: first_frame(f, p, (uint32_t)(dl - head - (dl > 8)), dl); break;
    case IN_FF: first_frame(f, p, (uint32_t)(dl - head - 2 + cf + 1), dl); break;
    case IN_FF_LONG: first_frame(f, p, 300u + 19u * cf, dl); break;
    case IN_FF_OTHER:
        if (cfg->fd) {
            f->fd = !(cfg->tx_dl > 8); // with TX_DL 8, one of 16 bytes
            first_frame(f, p, f->fd ? 40 : 20, f->fd ? 16 : 8);
        } else {
            p[0] = 0x10;
            store_be32(p + 2, 0x1000);
            f->len = 8;
        }
        break;
    case IN_CF:
    case IN_CF_WRONG:
    case IN_CF_SHORT: {
        const bool idle = w->rx == WATCH_RX_IDLE;
        const uint8_t sn = idle ? 1 : w->rx_sn, full = idle ? cf : w->rx_cf;
        const uint32_t piece = idle ? cf : (uint32_t)smaller(full, w->rx_len - w->rx_got);
        p[0] = (uint8_t)(0x20 | ((sn + (step == IN_CF_WRONG)) & 0x0F));
        f->len = (uint8_t)(head + (step == IN_CF_SHORT ? piece : 1u + full));
        break;
    }
    case IN_CTS: flow_control(f, p, 0, 0, 0); break;
    case IN_CTS_ONE: flow_control(f, p, 0, 1, 0); break;
    case IN_CTS_TWO: flow_control(f, p, 0, 2, 0); break;
    case IN_CTS_GAP: flow_control(f, p, 0, 0, 0xF9); break;
    case IN_CTS_GAP_LEAST: flow_control(f, p, 0, 0, 0xF1); break;
    case IN_CTS_GAP_MOST: flow_control(f, p, 0, 0, 0x7F); break;
    case IN_CTS_RESERVED: flow_control(f, p, 0, 3, 0xFA); break;
    case IN_WAIT: flow_control(f, p, 1, 3, 3); break;
    case IN_OVFLW: flow_control(f, p, 2, 0, 0); break;
    case IN_RESERVED: flow_control(f, p, 3, 0, 0); break;
    default: check(false, "not a letter"); break;
    }
}

// Frames to be ignored at any time.
static bool bad_frame(const watch_t *w, unsigned which, can_frame_t *f)
{
    const uint8_t head = w->cfg->prefixed;
    uint8_t *p = f->data + head;
    if (which >= 18 && !CAN_HAS_FD) return false;
    frame_of(w, which >= 13 && which < 18 ? IN_CF : IN_SF, f);
    switch (which) {
    case 0: f->id++; break;
    case 1: f->ext = !f->ext; break;
    case 2:
        if (head)
            f->data[0]++;
        else
            f->len = 0;
        break;
    case 3: f->len = head; break;
    case 4: p[0] = 0; break; // SF of length 0
    case 5: p[0] = 3; break; // SF longer than its frame
    case 6: f->len = (uint8_t)(head + 2); break;
    case 7: p[0] = 0x45; break; // reserved type
    case 8: first_frame(f, p, 20, 7); break;
    case 9: first_frame(f, p, 6, 8); break; // would have been an SF
    case 10:
        first_frame(f, p, 0, 8); // the long way, but not more than 4095 bytes
        store_be32(p + 2, 4095);
        break;
    case 11: // FC without STmin
        p[0] = 0x30;
        f->len = (uint8_t)(head + 2);
        break;
    case 12: // nothing but a zero
        p[0] = 0;
        f->len = (uint8_t)(head + 1);
        break;
    case 13: p[0] = 0x40; break; // the consecutive frame that is awaited, but for this
    case 14: p[0] = 0xF0; break;
    case 15: f->id++; break;
    case 16: f->ext = !f->ext; break;
    case 17: f->len = head; break;
    case 18: // too short, and in the other format
        first_frame(f, p, 6, 8);
        f->fd = !w->cfg->fd;
        break;
    case 19: // too short for its frame; or CAN FD, which is not known here
        first_frame(f, p, w->cfg->fd ? 1 : 100, 12);
        f->fd = true;
        break;
    case 20: // the long way, though 7 bytes would fit a classic SF
        f->fd = true;
        f->len = 12;
        p[0] = 0;
        p[1] = (uint8_t)(7 - head);
        break;
    case 21: // the short way, in a long frame
        f->fd = true;
        f->len = 12;
        break;
    case 22: // longer than its frame
        f->fd = true;
        f->len = 12;
        p[0] = 0;
        p[1] = (uint8_t)(11 - head);
        break;
    case 23: // a consecutive frame longer than those of this sender
        frame_of(w, IN_CF, f);
        if (f->len < 64)
            f->len = 64;
        else
            f->len = head;
        f->fd = true;
        break;
    default: return false;
    }
    return true;
}

// --- Steps ---

static uint32_t tx_dl(const isotp_cfg_t *cfg) { return cfg->fd && cfg->tx_dl > 8 ? cfg->tx_dl : 8; }

static bool start(history_t *h, uint32_t len, bool source)
{
    const bool accepted = watch_start(&h->w, len, source);
    check(!accepted || !h->sending, "a message was accepted during another one");
    h->sending |= accepted;
    return accepted;
}

// One step. False: it does not apply here, or would be the same as another one.
static bool apply(history_t *h, char step)
{
    watch_t *w = &h->w;
    const uint32_t dl = tx_dl(w->cfg), sf_most = dl - w->cfg->prefixed - (dl > 8 ? 2 : 1);
    can_frame_t f;
    switch (step) {
    case WAIT_SHORT:
        watch_wait(w, 5);
        observe(h, watch_tick(w));
        break;
    case WAIT_LONG:
        watch_wait(w, 100);
        observe(h, watch_tick(w));
        break;
    case WAIT_TO_DEADLINE:
        if (isotp_deadline(&w->tp) == USEC_NEVER || isotp_deadline(&w->tp) <= w->now) return false;
        watch_wait(w, isotp_deadline(&w->tp) - w->now);
        observe(h, watch_tick(w));
        check(watch_tick(w) == ISOTP_NONE, "reported twice");
        break;
    case TICK: watch_wait(w, 25); return true; // time passes, nobody looks
    case PROCEED_ALL:
    case PROCEED_ONE:
    case PROCEED_TWO:
        if (isotp_wanted(&w->tp) == 0) return false;
        watch_proceed(w, (uint8_t)(step - PROCEED_ALL), 1);
        break;
    case REFUSE:
        if (!h->receiving) return false;
        watch_refuse(w);
        h->receiving = false;
        break;
    case START_SHORT: return start(h, 5, false);
    case START_LONG: return start(h, 20 * dl / 8, false);
    case START_LONGER: return start(h, 125 * dl / 8, false);
    case START_FROM_SOURCE: return start(h, 22 * dl / 8, true);
    case START_SF_MOST: return start(h, sf_most, false);
    case START_FF_LEAST: return start(h, sf_most + 1, false);
    case START_SHORT_LENGTH: return start(h, 4095, false);
    case START_LONG_LENGTH: return start(h, 4096, false);
    case START_LONGEST: return start(h, UINT32_MAX, true);
    case SOURCE_ON_OFF: w->ready = !w->ready; break;
    case CANCEL:
        if (!h->sending) return false;
        watch_cancel(w);
        h->sending = false;
        break;
    case DRIVER_SEES: return watch_output(w) != NULL;
    case DRIVER_TAKES:
        if (!watch_output(w)) return false;
        watch_taken(w);
        break;
    case DRIVER_SENDS:
        if (w->taken > 0 || !watch_output(w)) return false;
        observe(h, watch_sent(w));
        break;
    case DRIVER_CONFIRMS:
        if (w->taken == 0) return false;
        (void)watch_output(w); // a frame that is offered meanwhile is not the one confirmed
        observe(h, watch_sent(w));
        break;
    case DRIVER_LOSES:
        if (w->taken == 0) return false;
        watch_lost(w);
        break;
    case STRAY:
        if (w->taken > 0 || watch_output(w)) return false;
        observe(h, watch_sent(w));
        break;
    case IN_BAD:
        for (unsigned i = 0; bad_frame(w, i, &f); i++)
            check(watch_input(w, &f) == ISOTP_NONE, "a bad frame was not ignored");
        break;
    default:
        frame_of(w, step, &f);
        observe(h, watch_input(w, &f));
        break;
    }
    check(h->receiving == (w->tp.rx.state != ISOTP_RX_IDLE), "rx.state is not what was reported");
    check(h->sending == (w->tp.tx.state != ISOTP_TX_IDLE), "tx.state is not what was reported");
    return true;
}

static void go_on(const history_t *from, int depth)
{
    for (const char *step = scene->alphabet; *step != END_OF_TEXT; step++) {
        history_t h = *from;
        path[path_len++] = *step;
        if (apply(&h, *step)) {
            steps++;
            if (depth > 1)
                go_on(&h, depth - 1);
            else
                watch_settle(&h.w);
        }
        path_len--;
    }
}

static void every_history_keeps_the_rules(void **state)
{
    const char *text = getenv("ISOTP_STEPS"), *only = getenv("ISOTP_SCENE");
    const int more = text ? atoi(text) : 0;
    (void)state;
    assert_in_range(more, 0, 10);
    watch_fail = wrong;
    for (size_t i = 0; i < SCENES; i++) {
        history_t h = { .receiving = false };
        const unsigned long before = steps;
        scene = &scenes[i];
        if (only && strcmp(only, scene->name) != 0) continue;
        if (scene->cfg.fd && !CAN_HAS_FD) continue;
        path_len = 0;
        watch_init(&h.w, &scene->cfg, 1000);
        for (const char *step = scene->before; *step != END_OF_TEXT; step++)
            check(apply(&h, *step), "the steps before do not apply");
        go_on(&h, scene->steps + more);
        print_message("%12lu steps: %s\n", steps - before, scene->name);
        assert_true(steps - before > 500); // or the alphabet is wrong
    }
    print_message("%12lu steps\n", steps);
    if (getenv("ISOTP_ENOUGH")) assert_true(steps >= ENOUGH);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_history_keeps_the_rules) };
    return cmocka_run_group_tests_name("isotp histories", tests, NULL, NULL);
}
