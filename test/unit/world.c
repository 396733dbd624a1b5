// world.c - a device and a sender in virtual time: see world.h.
// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { FRAME_TIME = 230, SECTOR = 4096 };

// --- Life ---

uint8_t *world_vector(const char *name, uint32_t *len)
{
    char path[512];
    snprintf(path, sizeof path, VECTORS "/image/%s", name);
    size_t size;
    uint8_t *bytes = vector_load(path, &size);
    *len = (uint32_t)size;
    return bytes;
}

int world_boot(world_t *w)
{
    assert_string_equal(w->nor.flaw, "");
    assert_true(flash_is_blank(w->nor.mem, WORLD_OTADATA)); // nothing of the device's business
    ota_boot_choose(&w->boot, &w->receiver_cfg.ota);
    assert_true(w->boot.slot >= 0);
    w->receiver_cfg.ota.running = w->boot.slot;
    receiver_init(&w->receiver, &w->receiver_cfg, w->ring, w->ring_cap, w->now);
    if (w->boot.on_trial) assert_int_equal(ota_confirm(&w->receiver_cfg.ota), 0);
    w->events = 0;
    return w->boot.slot;
}

void world_init(world_t *w, const char *image, uint32_t ring_cap)
{
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    if (!w->nor.mem) sim_flash_open(&w->nor, WORLD_FLASH, SECTOR);
    memset((uint8_t *)w + sizeof w->nor, 0, sizeof *w - sizeof w->nor);
    memset(w->nor.mem, 0xFF, WORLD_FLASH);
    sim_flash_touch(&w->nor, 0, WORLD_FLASH);
    sim_flash_power_on(&w->nor);
    w->nor.erase_time = w->nor.prog_time = w->nor.read_time = 0;
    w->nor.clock = &w->now;
    assert_true(crypto_psa_init(&w->psa, &w->crypto));
    w->layout.otadata_at = WORLD_OTADATA;
    w->layout.slots = 2;
    w->layout.slot[0] = (esp_extent_t){ 0x10000, WORLD_SLOT };
    w->layout.slot[1] = (esp_extent_t){ 0x10000 + WORLD_SLOT, WORLD_SLOT };
    w->receiver_cfg.isotp = standard;
    w->receiver_cfg.isotp.tx_id = 0x7E8;
    w->receiver_cfg.isotp.rx_id = 0x7E0;
    w->receiver_cfg.functional = standard;
    w->receiver_cfg.functional.functional = true;
    w->receiver_cfg.functional.tx_id = 0x7E8;
    w->receiver_cfg.functional.rx_id = 0x7DF;
    w->receiver_cfg.ota = (ota_cfg_t){ .flash = &w->nor.flash,
                                       .crypto = &w->crypto,
                                       .layout = &w->layout,
                                       .chip_id = 5,
                                       .chip_rev = 3,
                                       .efuse_rev = 100 };
    w->sender_cfg = standard;
    w->sender_cfg.tx_id = 0x7E0;
    w->sender_cfg.rx_id = 0x7E8;
    w->ring_cap = ring_cap;
    isotp_init(&w->sender, &w->sender_cfg);
    uint32_t len;
    uint8_t *bytes = world_vector(image, &len);
    memcpy(&w->nor.mem[w->layout.slot[0].at], bytes, len);
    free(bytes);
    assert_int_equal(world_boot(w), 0);
}

// --- Time ---

static isotp_events_t to_sender(world_t *w, const can_frame_t *f)
{
    if (f->data[0] == 0x31) w->waits++;
    const isotp_events_t ev = isotp_input(&w->sender, f, w->now);
    const isotp_rx_t *rx = &w->sender.rx;
    if (ev & ISOTP_RX_BEGIN) {
        assert_true(rx->len <= sizeof w->reply);
        w->answered = w->now - FRAME_TIME;
        w->longest_wait = later(w->longest_wait, w->answered - w->asked);
    }
    if (ev & ISOTP_RX_DATA) memcpy(&w->reply[rx->at], rx->data, rx->data_len);
    isotp_proceed(&w->sender, 0, 0, w->now);
    if (!(ev & ISOTP_RX_END)) return ev;
    w->reply_len = rx->len;
    if (w->reply[0] == 'O') {
        w->statuses++;
        assert_int_equal(rx->len, RECEIVER_STATUS_LEN);
        memcpy(w->status, w->reply, RECEIVER_STATUS_LEN);
        return ev;
    }
    w->replies++;
    w->asked = w->now; // of what follows a 0x78
    if (w->reply[0] == UDS_NEGATIVE && w->reply[2] == UDS_RESPONSE_PENDING) w->pending++;
    return ev;
}

static bool by_chance(world_t *w, unsigned per_mille)
{
    w->seed = w->seed * 1664525 + 1013904223;
    return (w->seed >> 8) % 1000 < per_mille;
}

static isotp_events_t deliver(world_t *w, const can_frame_t *f, bool to_device)
{
    isotp_events_t ev = ISOTP_NONE;
    if (by_chance(w, w->lost)) return ev;
    for (int i = by_chance(w, w->doubled) ? 2 : 1; i > 0; i--) {
        if (to_device)
            w->events |= receiver_input(&w->receiver, f, w->now);
        else
            ev |= to_sender(w, f);
    }
    return ev;
}

// One turn: at most one frame each way, one tick each.
static isotp_events_t turn(world_t *w, bool sender_alive, bool *idle)
{
    isotp_events_t ev = ISOTP_NONE;
    *idle = true;
    const can_frame_t *f = receiver_output(&w->receiver, w->now);
    if (f) {
        const can_frame_t frame = *f;
        *idle = false;
        w->now += FRAME_TIME;
        w->frames++;
        w->events |= receiver_sent(&w->receiver, w->now);
        if (sender_alive) ev |= deliver(w, &frame, false);
    }
    f = sender_alive ? isotp_output(&w->sender, w->now) : NULL;
    if (f) {
        const can_frame_t frame = *f;
        *idle = false;
        w->now += FRAME_TIME;
        w->frames++;
        ev |= isotp_sent(&w->sender, w->now);
        ev |= deliver(w, &frame, true);
    }
    const isotp_events_t late = sender_alive ? isotp_tick(&w->sender, w->now) : ISOTP_NONE;
    const receiver_events_t worked = receiver_tick(&w->receiver, w->now); // may take its time
    w->events |= worked;
    if (late || worked || receiver_deadline(&w->receiver) <= w->now) *idle = false;
    if (receiver_output(&w->receiver, w->now)) *idle = false;
    ev |= late;
    return ev;
}

static usec_t next_deadline(const world_t *w, bool sender_alive)
{
    const usec_t device = receiver_deadline(&w->receiver);
    return sender_alive ? sooner(device, isotp_deadline(&w->sender)) : device;
}

static isotp_events_t run(world_t *w, usec_t until, bool sender_alive, isotp_events_t stop_at)
{
    isotp_events_t seen = ISOTP_NONE;
    for (unsigned turns = 0; w->now < until; turns++) {
        bool idle;
        if (turns > 2000000) fail_msg("the world does not come to rest");
        seen |= turn(w, sender_alive, &idle);
        if (seen & stop_at) return seen;
        if (idle) w->now = later(w->now, sooner(until, next_deadline(w, sender_alive)));
    }
    return seen;
}

void world_run(world_t *w, usec_t duration) { (void)run(w, w->now + duration, true, 0); }

bool world_send(world_t *w, const void *message, uint32_t len)
{
    assert_true(isotp_start(&w->sender, message, len, w->now));
    return run(w, w->now + 600000 * USEC_MS, true, ISOTP_SENT | ISOTP_TX_FAILED) & ISOTP_SENT;
}

void world_send_part(world_t *w, const void *message, uint32_t len, unsigned frames)
{
    bool idle;
    assert_true(isotp_start(&w->sender, message, len, w->now));
    while (w->sender.tx.state != ISOTP_TX_IDLE && w->sender.tx.at < 6 + 7 * frames) {
        (void)turn(w, true, &idle);
        if (idle) w->now = later(w->now, next_deadline(w, true));
    }
    isotp_init(&w->sender, &w->sender_cfg);
}

void world_frame(world_t *w, const void *data, uint8_t len)
{
    can_frame_t f = { .id = 0x7E0, .len = len };
    memcpy(f.data, data, len);
    w->now += FRAME_TIME;
    w->events |= receiver_input(&w->receiver, &f, w->now);
}

void world_transfer(world_t *w, const void *bytes, uint32_t len, uint32_t message_len)
{
    const unsigned before = w->statuses;
    for (uint32_t at = 0; at < len && w->statuses == before; at += message_len) {
        const uint32_t n = (uint32_t)smaller(message_len, len - at);
        if (!world_send(w, (const uint8_t *)bytes + at, n)) break;
    }
}

// --- A tester ---

uint32_t world_ask(world_t *w, const void *request, uint32_t len)
{
    assert_true(world_send(w, request, len));
    w->asked = w->now;
    w->pending = w->reply_len = 0;
    const usec_t until = w->now + 30000 * USEC_MS;
    const unsigned before = w->replies;
    while (w->now < until && w->replies - before == w->pending)
        (void)run(w, w->now + 100, true, 0);
    return (w->now < until) ? w->reply_len : 0;
}

void world_expect(world_t *w, const char *request, const char *response)
{
    uint8_t bytes[64];
    char text[2 * sizeof w->reply + 1] = "";
    const uint32_t len = (uint32_t)vector_unhex(request, bytes, sizeof bytes);
    const uint32_t got = world_ask(w, bytes, len);
    for (uint32_t i = 0; i < got; i++)
        sprintf(&text[2 * i], "%02X", w->reply[i]);
    const size_t wanted = strlen(response);
    const bool open = wanted >= 2 && strcmp(&response[wanted - 2], "..") == 0;
    const bool same = open ? strncmp(text, response, wanted - 2) == 0 : strcmp(text, response) == 0;
    if (!same) fail_msg("%s was answered by %s, not by %s", request, text, response);
}
