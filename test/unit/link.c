// link.c - our flasher and a device in virtual time: see link.h.
// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include "crc32.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BIT_US = 2 }; // 500 kbit/s

/// With a fifth of the most stuff bits there can be.
static usec_t frame_time(const can_frame_t *f)
{
    const unsigned bits = 47U + 8U * f->len;
    return (bits + (34U + 8U * f->len) / 20) * (usec_t)BIT_US;
}

void link_init(link_t *l, world_t *w, const char *old, const char *image, const char *profile)
{
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    char error[200];
    uint32_t len;
    memset(l, 0, sizeof *l);
    l->w = w;
    world_init(w, old, 8192);
    const char *text = profile ? profile : profile_builtin("isotp-ota");
    if (!profile_parse(&l->profile, "profile", text, strlen(text), error, sizeof error))
        fail_msg("%s", error);
    l->image = world_vector(image, &len);
    l->boot_time = 50 * USEC_MS;
    l->cfg.isotp = l->cfg.functional = standard;
    l->cfg.isotp.tx_id = 0x7E0;
    l->cfg.isotp.rx_id = l->cfg.functional.rx_id = 0x7E8;
    l->cfg.functional.tx_id = 0x7DF;
    l->cfg.functional.functional = true;
    l->cfg.profile = &l->profile;
    l->cfg.crypto = &w->crypto;
    flasher_image_t *im = &l->cfg.image;
    im->bytes = l->image;
    im->len = len;
    im->crc32 = crc32_of(0xFFFFFFFF, l->image, len);
    im->version = (const char *)&l->image[48];
    memcpy(im->digest, &l->image[len - FLASHER_DIGEST_LEN], FLASHER_DIGEST_LEN);
    link_begin(l);
}

void link_free(link_t *l) { free(l->image); }

void link_begin(link_t *l)
{
    l->host_bytes += l->flasher.sent + l->flasher.physical.tx.at;
    l->events = FLASHER_NONE;
    flasher_init(&l->flasher, &l->cfg, l->w->now);
}

static void restart(link_t *l)
{
    l->boots++;
    l->up = l->w->now + l->boot_time;
    l->w->events = 0;
}

void link_power_cut(link_t *l)
{
    sim_flash_power_on(&l->w->nor);
    restart(l);
}

/// A firmware on trial finds something out.
static void boot(link_t *l)
{
    world_t *w = l->w;
    l->up = 0;
    ota_boot_choose(&w->boot, &w->receiver_cfg.ota);
    assert_true(w->boot.slot >= 0);
    w->receiver_cfg.ota.running = w->boot.slot;
    receiver_init(&w->receiver, &w->receiver_cfg, w->ring, w->ring_cap, w->now);
    if (!w->boot.on_trial || l->trial) return;
    if (l->rejects)
        restart(l);
    else
        assert_int_equal(ota_confirm(&w->receiver_cfg.ota), 0);
}

static bool passes(link_t *l, const can_frame_t *f, bool to_device)
{
    l->w->now += frame_time(f);
    l->w->frames++;
    return !(l->deaf && l->deaf(l->ctx, f, to_device));
}

static bool listens(const link_t *l) { return l->w->now >= l->up; }

/// One turn: at most one frame each way.
static flasher_events_t turn(link_t *l, bool host, bool *idle)
{
    world_t *w = l->w;
    flasher_events_t ev = FLASHER_NONE;
    *idle = true;
    if (l->up && listens(l)) boot(l);
    const can_frame_t *f = listens(l) ? receiver_output(&w->receiver, w->now) : NULL;
    if (f) {
        const can_frame_t frame = *f;
        *idle = false;
        const bool ok = passes(l, &frame, false);
        w->events |= receiver_sent(&w->receiver, w->now);
        if (host && ok) ev |= flasher_input(&l->flasher, &frame, w->now);
    }
    f = host ? flasher_output(&l->flasher, w->now) : NULL;
    if (f) {
        const can_frame_t frame = *f;
        *idle = false;
        const bool ok = passes(l, &frame, true);
        l->host_time += frame_time(&frame);
        l->host_frames++;
        ev |= flasher_sent(&l->flasher, w->now);
        if (ok && listens(l)) w->events |= receiver_input(&w->receiver, &frame, w->now);
        if (l->die_after > 0 && --l->die_after == 0) link_power_cut(l);
    }
    if (host) ev |= flasher_tick(&l->flasher, w->now);
    if (listens(l)) {
        w->events |= receiver_tick(&w->receiver, w->now);
        if (receiver_deadline(&w->receiver) <= w->now) *idle = false;
        if (w->nor.fired) link_power_cut(l);
        if (w->events & RECEIVER_RESTART) restart(l);
    }
    if (listens(l) && receiver_output(&w->receiver, w->now)) *idle = false;
    if (host && flasher_output(&l->flasher, w->now)) *idle = false;
    if (host && flasher_deadline(&l->flasher) <= w->now) *idle = false;
    l->events |= ev;
    return ev;
}

static flasher_events_t run(link_t *l, bool host, usec_t until, unsigned frames)
{
    world_t *w = l->w;
    const unsigned stop = frames ? l->host_frames + frames : 0;
    for (unsigned turns = 0; w->now < until; turns++) {
        bool idle;
        if (turns > 5000000) fail_msg("it does not come to rest");
        const flasher_events_t ev = turn(l, host, &idle);
        if (ev & (FLASHER_DONE | FLASHER_FAILED | FLASHER_SEED)) return ev;
        if (stop && l->host_frames >= stop) return FLASHER_NONE;
        if (!idle) continue;
        const usec_t device = listens(l) ? receiver_deadline(&w->receiver) : l->up;
        const usec_t next = sooner(device, host ? flasher_deadline(&l->flasher) : USEC_NEVER);
        w->now = later(w->now, sooner(until, next));
    }
    return FLASHER_NONE;
}

flasher_events_t link_run(link_t *l, unsigned frames)
{
    return run(l, true, l->w->now + 3600000 * USEC_MS, frames);
}

void link_idle(link_t *l, usec_t duration) { (void)run(l, false, l->w->now + duration, 0); }
