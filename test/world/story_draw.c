// story_draw.c - draws a world from its seed: see story.h.
// SPDX-License-Identifier: Apache-2.0
//
// One call of chance a statement: the order in which C evaluates arguments is not the same everywhere.
#include "story.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

enum { SLOT_SIZE = 0x20000 }; // whole pages of the MMU

static bool odds(uint64_t *chance, unsigned percent) { return sim_random(chance, 100) < percent; }

static uint32_t between(uint64_t *chance, uint32_t from, uint32_t to)
{
    return from + sim_random(chance, to - from + 1);
}

static void draw_images(story_plan_t *p, uint64_t *chance)
{
    static const char *const version[] = { "1.0", "2.0", "2.1", "0.9" };
    for (unsigned i = 0; i < STORY_IMAGES; i++) {
        image_spec_t *spec = &p->image[i];
        *spec = image_spec();
        spec->version = version[i];
        spec->fill = sim_random64(chance) | 1;
        spec->dense = odds(chance, 50);
        const uint32_t most = 4096U << sim_random(chance, 5);
        p->len[i] = 4096 + sim_random(chance, most) / 16 * 16;
        if (!odds(chance, 20) || p->len[i] < 8192) continue;
        spec->hole_at = 1024 + sim_random(chance, p->len[i] / 2);
        spec->hole_len = sim_random(chance, p->len[i] / 4);
    }
}

static void draw_bus(story_plan_t *p, uint64_t *chance)
{
    static const uint32_t rate[] = { 125000, 250000, 500000, 500000, 1000000 };
    p->bitrate = rate[sim_random(chance, COUNT(rate))];
    if (odds(chance, 15)) {
        const bool fast = odds(chance, 50);
        p->bitrate = fast ? 1000000 : 500000;
        p->data_bitrate = fast ? 5000000 : 2000000;
    }
    if (odds(chance, 40)) p->traffic = between(chance, 5, 70);
    if (odds(chance, 25)) p->bus.disturbed = between(chance, 100, 20000);
    if (odds(chance, 20)) p->bus.doubled = between(chance, 100, 5000);
}

static void draw_losses(story_plan_t *p, uint64_t *chance)
{
    static const nsec_t latest[] = { NSEC_MS, 5 * NSEC_MS, 50 * NSEC_MS, 300 * NSEC_MS };
    if (odds(chance, 30)) p->faults.lost = odds(chance, 50) ? 1000 : 10000;
    if (odds(chance, 20)) p->faults.late = odds(chance, 50) ? 1000 : 10000;
    p->faults.late_max = latest[sim_random(chance, COUNT(latest))];
    // Hosts hear what others send, too, and all that comes behind a late frame is late.
    if (p->traffic) p->faults.late /= 10;
    // Behind the transfer there are only a few frames, but those on which the verdict depends.
    p->lost_behind = odds(chance, 15) ? 200000 : p->faults.lost;
}

static void draw_device(story_plan_t *p, uint64_t *chance)
{
    static const char *const flash[] = { "w25q", "w25q", "gd25q", "mt25q", "stm32l4" };
    static const sim_device_trial_t trial[] = { SIM_DEVICE_CRASHES, SIM_DEVICE_REJECTS,
                                                SIM_DEVICE_WAITS };
    sim_device_cfg_t d = sim_device_esp32;
    d.flash = sim_flash_type(flash[sim_random(chance, COUNT(flash))]);
    d.speed = (sim_flash_speed_t)sim_random(chance, 3);
    d.slot_size = SLOT_SIZE;
    d.flash_pause = (uint32_t)d.flash->erase_max;
    d.tx_dl = p->data_bitrate ? 64 : 8;
    d.fd = d.brs = p->data_bitrate != 0;
    if (odds(chance, 20)) d.ring = 2048U << sim_random(chance, 3);
    if (odds(chance, 20)) d.block_size = (uint8_t)between(chance, 1, 40);
    if (odds(chance, 10)) d.stmin = (uint8_t)between(chance, 1, 3);
    p->device_port = p->data_bitrate ? sim_port_fd : sim_port_esp32;
    const unsigned port = sim_random(chance, 10);
    if (port == 0) { // a small queue
        p->device_port.queue = between(chance, 16, 40);
        d.block_size = (uint8_t)(p->device_port.queue / 2);
    } else if (port == 1) { // five frames in the controller while flash blocks the interrupt
        p->device_port.cache_safe = false;
        d.block_size = 4;
    } else if (port == 2) { // a loop that polls
        p->device_port.period = NSEC_MS;
    }
    p->wear = sim_random(chance, d.flash->endurance);
    for (unsigned i = 0; i < STORY_DEVICES; i++) {
        p->device[i] = d;
        p->device[i].rx_id += i;
        p->device[i].tx_id += i;
        if (odds(chance, 25)) p->device[i].trial = trial[sim_random(chance, COUNT(trial))];
    }
    p->devices = odds(chance, 15) ? between(chance, 2, STORY_DEVICES) : 1;
    p->updated = between(chance, 1, p->devices);
    p->host = odds(chance, 20) ? &sim_port_usb : &sim_port_host;
}

static void draw_flash(story_plan_t *p, uint64_t *chance)
{
    const uint32_t sector = p->device[0].flash->sector_size;
    p->records = sim_random(chance, 4);
    p->left = odds(chance, 40) ? (int)between(chance, STORY_NEW, STORY_EARLIER) : STORY_NOBODY;
    if (p->left >= 0) p->left_len = sim_random(chance, p->len[p->left]) / sector * sector;
    if (p->left >= 0 && odds(chance, 30)) p->left_len = p->len[p->left];
    if (!odds(chance, 4)) return;
    p->bad = odds(chance, 50) ? SIM_FLASH_FAILS : SIM_FLASH_STICKS;
    p->bad_at = sim_random(chance, p->len[STORY_NEW]);
    p->bad_from = p->wear + sim_random(chance, 2);
}

/// About how long an update takes.
static nsec_t duration(const story_plan_t *p)
{
    const sim_device_cfg_t *d = &p->device[0];
    const uint64_t bytes = p->len[STORY_NEW];
    const uint64_t bits = p->data_bitrate ? bytes * 4 : bytes * 19;
    const nsec_t bus = bits * 1000000 / p->bitrate * 1000 * 100 / (100 - p->traffic);
    const uint64_t erase = d->flash->erase * (bytes / d->flash->sector_size + 1);
    const uint64_t prog = d->flash->prog * (bytes / d->flash->prog_len + 1);
    return later(bus, (erase + prog) * NSEC_US) + 600 * NSEC_MS;
}

static usec_t draw_off(uint64_t *chance)
{
    const unsigned kind = sim_random(chance, 100);
    if (kind < 12) return USEC_NEVER;
    const uint32_t ms = (kind < 50) ? between(chance, 10, 300) : between(chance, 300, 6000);
    return ms * USEC_MS;
}

static sim_flash_fault_t draw_fault(const story_plan_t *p, uint64_t *chance, bool any)
{
    static const sim_flash_effect_t effect[] = { SIM_FLASH_NOTHING, SIM_FLASH_DONE, SIM_FLASH_TORN,
                                                 SIM_FLASH_TORN, SIM_FLASH_TORN };
    const uint32_t changes = p->len[STORY_NEW] / SIM_FLASH_PAGE + 24;
    sim_flash_fault_t f;
    f.n = 1 + sim_random(chance, any ? changes : 8);
    f.effect = effect[sim_random(chance, COUNT(effect))];
    f.seed = sim_random(chance, 1000);
    return f;
}

static void draw_blows(story_plan_t *p, uint64_t *chance)
{
    static const unsigned many[] = { 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, STORY_BLOWS };
    static const story_blow_kind_t kind[] = { BLOW_DEVICE, BLOW_DEVICE, BLOW_DEVICE,
                                              BLOW_FLASH,  BLOW_FLASH,  BLOW_FLASH,
                                              BLOW_HOST,   BLOW_HOST,   BLOW_ADAPTER };
    enum { STEPS = 28, DECISIVE = 19 }; // from the transfer's end on
    const uint32_t usually = (uint32_t)(duration(p) / NSEC_US);
    p->blows = many[sim_random(chance, COUNT(many))];
    for (unsigned i = 0; i < p->blows; i++) {
        story_blow_t *b = &p->blow[i];
        b->kind = kind[sim_random(chance, COUNT(kind))];
        b->device = sim_random(chance, p->updated);
        const bool by_step = p->protocol == RIG_UDS && odds(chance, 50);
        const uint32_t first = odds(chance, 50) ? DECISIVE : 0;
        b->step = by_step ? (int)between(chance, first, STEPS - 1) : -1;
        const uint32_t soon = odds(chance, 50) ? 20000 : 500000;
        b->after = sim_random(chance, by_step ? soon : usually / 4 * 5);
        if (b->kind == BLOW_FLASH && !by_step) b->after = 0;
        b->after *= NSEC_US;
        b->at = NSEC_NEVER;
        b->off = draw_off(chance);
        b->fault = draw_fault(p, chance, !by_step);
    }
    p->second_after = NSEC_NEVER;
    if (!odds(chance, 5)) return;
    p->second_after = sim_random(chance, usually) * NSEC_US;
    p->second_image = odds(chance, 50) ? STORY_NEW : STORY_OTHER;
}

void story_draw(story_plan_t *p, uint64_t seed)
{
    uint64_t state = seed;
    uint64_t *const chance = &state;
    static const rig_protocol_t protocol[] = { RIG_UDS, RIG_UDS, RIG_UDS,    RIG_UDS,
                                               RIG_UDS, RIG_UDS, RIG_HEADER, RIG_PLAIN };
    memset(p, 0, sizeof *p);
    p->seed = seed;
    p->bus_seed = sim_random64(chance);
    p->protocol = protocol[sim_random(chance, COUNT(protocol))];
    draw_images(p, chance);
    draw_bus(p, chance);
    draw_losses(p, chance);
    draw_device(p, chance);
    draw_flash(p, chance);
    draw_blows(p, chance);
    p->no_resume = odds(chance, 10);
    p->insists = odds(chance, 50);
    p->completes = odds(chance, 25);
}
