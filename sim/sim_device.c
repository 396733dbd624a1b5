// sim_device.c - a device in a sim_world: see sim_device.h.
// SPDX-License-Identifier: Apache-2.0
//
//   OFF      `up` comes          ->  BOOTING  the bootloader chooses
//   BOOTING  `up` comes          ->  ON       the receiver starts, the controller is on
//            and it was on trial ->  OFF      if it crashes
//   ON       RECEIVER_RESTART    ->  OFF
//   any      a planned power cut ->  OFF
#include "sim_device.h"

enum { OTADATA_AT = 0xD000, CHIP_C3 = 5 };

#define RESET_TIME (20 * USEC_MS) // from the receiver's RESTART to the reset

const sim_device_cfg_t sim_device_esp32 = {
    .port = &sim_port_esp32,
    .slot_size = 0x100000,
    .hash_rate = 10000000,
    .boot = 150 * USEC_MS,
    .rx_id = 0x7E0,
    .tx_id = 0x7E8,
    .functional_id = 0x7DF,
    .ring = SIM_DEVICE_RING,
    .tx_dl = 8,
};

// --- A hash library that takes time ---

static bool hash_start(void *ctx, crypto_hash_t alg)
{
    const sim_device_t *d = ctx;
    return d->cfg.crypto->start(d->cfg.crypto->ctx, alg);
}

static bool hash_update(void *ctx, const void *p, size_t len)
{
    sim_device_t *d = ctx;
    if (d->cfg.hash_rate) {
        d->hashed += len * UINT64_C(1000000);
        *d->flash.clock += d->hashed / d->cfg.hash_rate;
        d->hashed %= d->cfg.hash_rate;
    }
    return d->cfg.crypto->update(d->cfg.crypto->ctx, p, len);
}

static bool hash_finish(void *ctx, uint8_t *digest)
{
    const sim_device_t *d = ctx;
    return d->cfg.crypto->finish(d->cfg.crypto->ctx, digest);
}

// --- Life ---

static void off(sim_device_t *d, usec_t until)
{
    d->state = SIM_DEVICE_OFF;
    d->up = until;
    sim_world_power(d->world, d->node, false);
}

static unsigned choose(sim_device_t *d)
{
    sim_flash_power_on(&d->flash);
    sim_flash_cut(&d->flash, d->next.n, d->next.effect, d->next.seed);
    d->next.n = 0;
    d->boots++;
    ota_boot_choose(&d->boot, &d->receiver_cfg.ota);
    d->dead = d->boot.slot < 0 && !d->flash.fired;
    d->receiver_cfg.ota.running = d->boot.slot;
    d->state = SIM_DEVICE_BOOTING;
    d->up = d->dead ? USEC_NEVER : *d->flash.clock + d->cfg.boot;
    return 0;
}

static unsigned start(sim_device_t *d, usec_t now)
{
    const ota_cfg_t *ota = &d->receiver_cfg.ota;
    receiver_init(&d->receiver, &d->receiver_cfg, d->ring, d->cfg.ring, now);
    d->state = SIM_DEVICE_ON;
    sim_world_power(d->world, d->node, true);
    if (!d->boot.on_trial || d->cfg.trial == SIM_DEVICE_WAITS) return 0;
    if (d->cfg.trial == SIM_DEVICE_CONFIRMS) {
        (void)ota_confirm(ota);
        return 0;
    }
    if (d->cfg.trial == SIM_DEVICE_REJECTS) (void)ota_reject(ota);
    off(d, *d->flash.clock + RESET_TIME);
    return 0;
}

/// What a call has come to. Power that failed in it takes what it said along.
static unsigned after(sim_device_t *d, unsigned events)
{
    if (d->flash.fired) {
        off(d, (d->off_time == USEC_NEVER) ? USEC_NEVER : *d->flash.clock + d->off_time);
        return 0;
    }
    d->events |= events;
    if (d->state == SIM_DEVICE_ON && events & RECEIVER_RESTART)
        off(d, *d->flash.clock + RESET_TIME);
    return events;
}

// --- The one shape. While it is not ON, its controller has no power, and no frames ---

static unsigned sim_device_input(sim_device_t *d, const can_frame_t *frame, usec_t now)
{
    return after(d, receiver_input(&d->receiver, frame, now));
}

static const can_frame_t *sim_device_output(sim_device_t *d, usec_t now)
{
    return d->state == SIM_DEVICE_ON ? receiver_output(&d->receiver, now) : NULL;
}

static void sim_device_taken(sim_device_t *d, usec_t now) { receiver_taken(&d->receiver, now); }

static unsigned sim_device_sent(sim_device_t *d, usec_t now)
{
    return after(d, receiver_sent(&d->receiver, now));
}

static void sim_device_lost(sim_device_t *d) { receiver_lost(&d->receiver); }

static usec_t sim_device_deadline(const sim_device_t *d)
{
    return d->state == SIM_DEVICE_ON ? receiver_deadline(&d->receiver) : d->up;
}

static unsigned sim_device_tick(sim_device_t *d, usec_t now)
{
    if (d->state == SIM_DEVICE_OFF) return after(d, choose(d));
    if (d->state == SIM_DEVICE_BOOTING) return after(d, start(d, now));
    return after(d, receiver_tick(&d->receiver, now));
}

MACHINE_VERBS(sim_device);

// --- The test's side ---

void sim_device_open(sim_device_t *d, const sim_device_cfg_t *cfg, const uint8_t *image,
                     uint32_t len)
{
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    memset(d, 0, sizeof *d);
    d->cfg = *cfg;
    ASSERT(len <= cfg->slot_size && cfg->ring <= SIM_DEVICE_RING);
    const uint32_t sector = cfg->flash ? cfg->flash->sector_size : 4096;
    sim_flash_open(&d->flash, SIM_DEVICE_SLOT_AT + 2 * cfg->slot_size, sector);
    if (cfg->flash) sim_flash_pace(&d->flash, cfg->flash, cfg->speed);
    memcpy(&d->flash.mem[SIM_DEVICE_SLOT_AT], image, len);
    d->layout.otadata_at = OTADATA_AT;
    d->layout.slots = 2;
    d->layout.slot[0] = (esp_extent_t){ SIM_DEVICE_SLOT_AT, cfg->slot_size };
    d->layout.slot[1] = (esp_extent_t){ SIM_DEVICE_SLOT_AT + cfg->slot_size, cfg->slot_size };
    d->crypto = (crypto_t){ d, hash_start, hash_update, hash_finish };
    receiver_cfg_t *r = &d->receiver_cfg;
    r->isotp = standard;
    r->isotp.tx_id = cfg->tx_id;
    r->isotp.rx_id = cfg->rx_id;
    r->isotp.tx_dl = cfg->tx_dl;
    r->isotp.fd = cfg->fd;
    r->isotp.brs = cfg->brs;
    r->functional = r->isotp;
    r->functional.rx_id = cfg->functional_id;
    r->functional.functional = true;
    r->block_size = cfg->block_size;
    r->stmin = cfg->stmin;
    r->flash_pause = cfg->flash_pause;
    r->ota = (ota_cfg_t){ .flash = &d->flash.flash,
                          .crypto = &d->crypto,
                          .layout = &d->layout,
                          .chip_id = CHIP_C3,
                          .chip_rev = 3,
                          .efuse_rev = 100 };
}

void sim_device_close(sim_device_t *d) { sim_flash_close(&d->flash); }

void sim_device_join(sim_device_t *d, sim_world_t *w, unsigned node)
{
    const machine_t machine = MACHINE(sim_device, d);
    d->world = w;
    d->node = node;
    sim_world_join(w, node, d->cfg.port, &machine);
    w->node[node].flash = &d->flash;
    w->node[node].id = d->cfg.rx_id;
    w->node[node].mask = ~(d->cfg.rx_id ^ d->cfg.functional_id);
    d->flash.clock = &w->node[node].clock;
    off(d, w->now / NSEC_US);
}

void sim_device_cut(sim_device_t *d, usec_t duration)
{
    const usec_t now = d->world->now / NSEC_US;
    off(d, (duration == USEC_NEVER) ? USEC_NEVER : now + duration);
}
