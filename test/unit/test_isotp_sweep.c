// test_isotp_sweep.c - two ISO-TP channels against each other: each frame of each length as the standard has it.
// SPDX-License-Identifier: Apache-2.0
//
// Both send at the same time, with lengths of frames, block sizes, padding and memory that differ. What the frames must
// be is computed here once more, from the standard alone: which, how many, how long, each byte.
#include "isotp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LONGEST = 65537, PAD = 0xCC };

static uint8_t message[LONGEST];

// One direction of the exchange: what its sender still has to send.
typedef struct {
    isotp_t tp;
    isotp_cfg_t cfg;
    uint32_t len;        // of the message that it sends
    bool from_memory;    //
    uint8_t block;       // that it grants
    uint32_t at, frames; // of its message, sent
    uint32_t permitted;  // consecutive frames it may send now
    uint32_t flows;      // flow controls sent
    uint32_t received;
    bool sent, complete;
} node_t;

static bool source(void *ctx, uint32_t at, uint8_t *to, size_t len)
{
    const node_t *n = ctx;
    assert_int_equal(at, n->at);
    memcpy(to, &message[at], len);
    return true;
}

static uint32_t ceil_div(uint32_t a, uint32_t b) { return a / b + (a % b != 0); }

static uint32_t tx_dl(const isotp_cfg_t *cfg) { return cfg->tx_dl ? cfg->tx_dl : 8; }

// Bytes that the first frame of the message carries, and each full one after it.
static uint32_t first_room(const isotp_cfg_t *cfg, uint32_t len)
{
    const uint32_t room = tx_dl(cfg) - cfg->prefixed;
    if (len + cfg->prefixed <= 7 || (tx_dl(cfg) > 8 && len <= room - 2)) return len;
    return len <= 4095 ? room - 2 : room - 6;
}

static uint32_t next_room(const isotp_cfg_t *cfg) { return tx_dl(cfg) - cfg->prefixed - 1; }

static uint32_t consecutive_frames(const isotp_cfg_t *cfg, uint32_t len)
{
    return ceil_div(len - first_room(cfg, len), next_room(cfg));
}

// Fills up to a length that a frame can have.
static void pad(const isotp_cfg_t *cfg, can_frame_t *f)
{
    static const uint8_t lens[] = { 8, 12, 16, 20, 24, 32, 48, 64 };
    uint8_t len = f->len;
    for (size_t i = 0; len > 8 && i < sizeof lens; i++) {
        if (lens[i] < len) continue;
        len = lens[i];
        break;
    }
    if (len < 8 && cfg->pad) len = 8;
    while (f->len < len)
        f->data[f->len++] = PAD;
}

static void put(can_frame_t *f, uint32_t byte) { f->data[f->len++] = (uint8_t)byte; }

// The frame that the standard wants next of this node's message.
static can_frame_t next_frame(const node_t *n)
{
    const isotp_cfg_t *cfg = &n->cfg;
    can_frame_t f = { .id = cfg->tx_id, .ext = cfg->ext, .fd = cfg->fd };
    uint32_t data_len = first_room(cfg, n->len);
    if (cfg->prefixed) put(&f, cfg->tx_address);
    if (n->at > 0) {
        data_len = next_room(cfg);
        put(&f, 0x20 | (n->frames & 15));
    } else if (data_len == n->len) {
        if (n->len + cfg->prefixed > 7) put(&f, 0);
        put(&f, n->len);
    } else if (n->len <= 4095) {
        put(&f, 0x10 | n->len >> 8);
        put(&f, n->len);
    } else {
        put(&f, 0x10);
        put(&f, 0);
        for (int shift = 24; shift >= 0; shift -= 8)
            put(&f, n->len >> shift);
    }
    if (data_len > n->len - n->at) data_len = n->len - n->at;
    memcpy(&f.data[f.len], &message[n->at], data_len);
    f.len = (uint8_t)(f.len + data_len);
    pad(cfg, &f);
    return f;
}

static can_frame_t flow_control(const node_t *n)
{
    can_frame_t f = { .id = n->cfg.tx_id, .ext = n->cfg.ext, .fd = n->cfg.fd };
    if (n->cfg.prefixed) put(&f, n->cfg.tx_address);
    put(&f, 0x30);
    put(&f, n->block);
    put(&f, 0);
    pad(&n->cfg, &f);
    return f;
}

static void compare(const can_frame_t *f, const can_frame_t *want)
{
    assert_int_equal(f->len, want->len);
    assert_memory_equal(f->data, want->data, want->len);
    assert_true(f->id == want->id && f->ext == want->ext && f->fd == want->fd && !f->brs);
}

static void heard(node_t *n, const node_t *peer, isotp_events_t ev)
{
    const isotp_rx_t *rx = &n->tp.rx;
    assert_int_equal(ev & (ISOTP_RX_FAILED | ISOTP_TX_FAILED), 0);
    if (ev & ISOTP_RX_BEGIN) {
        assert_int_equal(n->received, 0);
        assert_int_equal(rx->len, peer->len);
    }
    if (ev & ISOTP_RX_DATA) {
        assert_int_equal(rx->at, n->received);
        assert_true(rx->data_len <= peer->len - n->received);
        assert_memory_equal(rx->data, &message[rx->at], rx->data_len);
        n->received += rx->data_len;
    }
    if (ev & ISOTP_RX_END) {
        assert_int_equal(n->received, peer->len);
        assert_false(n->complete);
        n->complete = true;
    }
    if (ev & ISOTP_SENT) {
        assert_int_equal(n->at, n->len);
        assert_false(n->sent);
        n->sent = true;
    }
}

// One frame of this node to the other one; false: it has none.
static bool send_one(node_t *n, node_t *peer, usec_t now)
{
    const can_frame_t *out = isotp_output(&n->tp, now);
    if (!out) return false;
    const can_frame_t f = *out;
    if ((f.data[n->cfg.prefixed] & 0xF0) == 0x30) {
        const can_frame_t want = flow_control(n);
        compare(&f, &want);
        assert_int_equal(peer->permitted, 0);
        peer->permitted = n->block ? n->block : UINT32_MAX;
        n->flows++;
    } else {
        const can_frame_t want = next_frame(n);
        compare(&f, &want);
        if (n->at == 0) {
            n->at = first_room(&n->cfg, n->len);
        } else {
            assert_true(n->permitted > 0);
            n->permitted--;
            n->at += (uint32_t)smaller(next_room(&n->cfg), n->len - n->at);
        }
        n->frames++;
    }
    heard(n, peer, isotp_sent(&n->tp, now));
    heard(peer, n, isotp_input(&peer->tp, &f, now));
    return true;
}

static void finish(const node_t *n, const node_t *peer)
{
    const uint32_t cfs = consecutive_frames(&n->cfg, n->len);
    assert_true(n->sent && n->complete);
    assert_int_equal(n->frames, 1 + cfs);
    if (cfs > 0)
        assert_int_equal(peer->flows, peer->block ? ceil_div(cfs, peer->block) : 1);
    else
        assert_int_equal(peer->flows, 0);
    assert_true(isotp_deadline(&n->tp) == USEC_NEVER);
}

static void exchange(node_t *a, node_t *b)
{
    const usec_t now = 1000;
    node_t *nodes[] = { a, b };
    bool busy = true;
    for (unsigned i = 0; i < 2; i++) {
        node_t *n = nodes[i];
        isotp_init(&n->tp, &n->cfg);
        n->at = n->frames = n->permitted = n->flows = n->received = 0;
        n->sent = n->complete = false;
        if (n->from_memory)
            assert_true(isotp_start(&n->tp, message, n->len, now));
        else
            assert_true(isotp_start_from(&n->tp, source, n, n->len, now));
    }
    while (busy) {
        busy = send_one(a, b, now);
        busy |= send_one(b, a, now);
        if (isotp_wanted(&a->tp) > 0) isotp_proceed(&a->tp, a->block, 0, now);
        if (isotp_wanted(&b->tp) > 0) isotp_proceed(&b->tp, b->block, 0, now);
        busy |= isotp_output(&a->tp, now) || isotp_output(&b->tp, now);
    }
    finish(a, b);
    finish(b, a);
}

static const uint8_t dls[] = { 8, 8, 12, 16, 20, 24, 32, 48, 64 }; // the first: classic CAN
static const uint8_t blocks[] = { 0, 1, 2, 7, 8, 15, 16, 17, 255 };
enum { DLS = sizeof dls, BLOCKS = sizeof blocks };

static void exchange_all_ways(uint32_t len)
{
    static node_t a, b;
    if (message[1] == 0)
        for (uint32_t i = 0; i < LONGEST; i++)
            message[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
    for (unsigned d = 0; d < (CAN_DATA_MAX > 8 ? DLS : 1); d++) {
        for (unsigned way = 0; way < 4; way++) {
            const isotp_cfg_t cfg = {
                .tx_id = 1,
                .rx_id = 2,
                .ext = d & 1,
                .prefixed = way & 1,
                .tx_address = 0xF1,
                .rx_address = 0x10,
                .pad = way & 2,
                .pad_byte = PAD,
                .fd = d > 0,
                .tx_dl = dls[d],
            };
            a.cfg = b.cfg = cfg;
            b.cfg.tx_id = 2;
            b.cfg.rx_id = 1;
            b.cfg.tx_address = 0x10;
            b.cfg.rx_address = 0xF1;
            // The other one: each length of frames with each, and the padding it likes.
            if (d > 0) b.cfg.tx_dl = dls[1 + (d + len) % (DLS - 1)];
            b.cfg.pad ^= len & 1;
            for (unsigned i = 0; i < BLOCKS; i++) {
                a.len = b.len = len;
                a.from_memory = i & 1;
                b.from_memory = !a.from_memory;
                a.block = blocks[i];
                b.block = blocks[BLOCKS - 1 - i];
                exchange(&a, &b);
            }
        }
    }
}

static void every_length_from_1_to_300(void **state)
{
    (void)state;
    for (uint32_t len = 1; len <= 300; len++)
        exchange_all_ways(len);
}

static void the_lengths_around_the_escape(void **state)
{
    (void)state;
    for (uint32_t len = 4093; len <= 4097; len++)
        exchange_all_ways(len);
}

static void the_lengths_around_64_kib(void **state)
{
    (void)state;
    for (uint32_t len = 65535; len <= 65537; len++)
        exchange_all_ways(len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_from_1_to_300),
        cmocka_unit_test(the_lengths_around_the_escape),
        cmocka_unit_test(the_lengths_around_64_kib),
    };
    return cmocka_run_group_tests_name("isotp sweep", tests, NULL, NULL);
}
