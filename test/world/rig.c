// rig.c - whole updates in a sim_world: see rig.h.
// SPDX-License-Identifier: Apache-2.0
#include "rig.h"

#include "can_bits.h"
#include "crypto_psa.h"

#include <stdlib.h>

enum { HOST = 0, DEVICE = 1 };

typedef struct {
    const rig_cfg_t *cfg;
    rig_result_t *result;
    sim_world_t world;
    sim_device_t device[RIG_DEVICES];
    example_device_t example;
    example_host_t example_host;
    crypto_psa_t psa, device_psa[RIG_DEVICES];
    crypto_t crypto, device_crypto[RIG_DEVICES];
    profile_t profile;
    rig_image_t old, image;
    rig_host_t host;
    unsigned under_way; // device
    // At the end of the last frame.
    nsec_t free_at, flash, busy;
    bool off;
} rig_t;

static rig_image_t build(const rig_cfg_t *cfg, const char *version, uint64_t fill)
{
    image_spec_t spec = image_spec();
    spec.fill = cfg->content == RIG_ZEROS ? 0 : fill;
    spec.dense = cfg->content == RIG_RANDOM;
    spec.version = version;
    return rig_image(&spec, cfg->image_len);
}

static rig_image_t copy(const uint8_t *bytes, uint32_t len, const char *version)
{
    enum { VERSION_AT = 48, SPARE = 64 };
    rig_image_t image = { .bytes = malloc(len + SPARE), .len = len };
    if (!image.bytes) abort();
    memcpy(image.bytes, bytes, len);
    if (!version) return image;
    memcpy(&image.bytes[VERSION_AT], version, strlen(version) + 1);
    image.len = (uint32_t)image_seal_large(image.bytes, len + SPARE);
    return image;
}

// --- The limit ---

static nsec_t time_on_wire(const sim_bus_t *bus, const can_frame_t *f)
{
    const can_bits_t bits = can_bits(f);
    return bits.nominal * bus->bit + bits.data * bus->data_bit;
}

static nsec_t limit(const rig_t *r)
{
    const bool fd = r->cfg->data_bitrate != 0;
    const uint32_t room = fd ? 63 : 7;
    nsec_t time = 0;
    for (uint32_t at = 0, n = 0; at < r->image.len; at += room, n++) {
        can_frame_t f = { .id = 0x7E0, .fd = fd, .brs = fd };
        const uint32_t len = (uint32_t)smaller(room, r->image.len - at);
        f.len = (uint8_t)(len + 1);
        f.data[0] = (uint8_t)(0x20 | (n & 15));
        memcpy(&f.data[1], &r->image.bytes[at], len);
        time += time_on_wire(&r->world.bus, &f);
    }
    return time;
}

// --- Where the time goes ---

static bool is_ours(const can_frame_t *f) { return f->id >= 0x7DF && f->id <= 0x7EF; }

/// The bus was idle until now, or not. `for_host`: it waited for the host, whatever the device did.
static void account_until_now(rig_t *r, bool idle, bool for_host)
{
    const sim_world_t *w = &r->world;
    rig_budget_t *b = &r->result->budget;
    nsec_t flash;
    const nsec_t busy = sim_world_busy(w, DEVICE + r->under_way, &flash);
    const bool off = !r->cfg->example && r->device[r->under_way].state != SIM_DEVICE_ON;
    if (idle && w->now > r->free_at) {
        const nsec_t gap = w->now - r->free_at;
        const nsec_t blocked = sooner(flash - r->flash, gap);
        const nsec_t computed = sooner(busy - r->busy - (flash - r->flash), gap - blocked);
        if (off || r->off) {
            b->restart += gap;
        } else if (for_host) {
            b->idle += gap;
        } else {
            b->flash += blocked;
            b->device += computed;
            b->idle += gap - blocked - computed;
        }
        r->free_at = w->now;
    }
    r->flash = flash;
    r->busy = busy;
    r->off = off;
}

static void account(rig_t *r)
{
    const sim_world_t *w = &r->world;
    const sim_bus_event_t *ev = &w->event;
    rig_budget_t *b = &r->result->budget;
    const bool consecutive = ev->from == HOST && ev->frame.data[0] >> 4 == 2;
    account_until_now(r, ev->kind == SIM_BUS_BEGAN, consecutive);
    if (ev->kind == SIM_BUS_BEGAN || ev->kind == SIM_BUS_RECOVERED) return;
    const nsec_t time = w->bus.free - ev->began;
    r->free_at = w->bus.free;
    if (ev->kind != SIM_BUS_FRAME && r->off) // nobody acknowledges
        b->restart += time;
    else if (ev->kind != SIM_BUS_FRAME)
        b->errors += time;
    else if (!is_ours(&ev->frame))
        b->traffic += time;
    else if (ev->frame.data[0] >> 4 == 3)
        b->flow += time;
    else if (ev->from == HOST && ev->frame.data[0] >> 4 != 0)
        b->data += time;
    else
        b->other += time;
    if (r->cfg->log && ev->kind == SIM_BUS_FRAME)
        (void)bus_log_frame(r->cfg->log, &ev->frame, ev->from == HOST, w->now / NSEC_US);
}

// --- Devices ---

static uint32_t slot_size(const rig_cfg_t *cfg)
{
    return (cfg->image_len + 0x2FFFF) / 0x10000 * 0x10000;
}

static void pace(const rig_cfg_t *cfg, sim_flash_t *f)
{
    if (cfg->flash) sim_flash_pace(f, cfg->flash, cfg->speed);
    for (uint32_t s = 0; s < f->flash.size / f->flash.sector_size; s++)
        f->sector[s].wear = cfg->wear;
}

static void open_devices(rig_t *r)
{
    const rig_cfg_t *cfg = r->cfg;
    for (unsigned i = 0; i < cfg->devices; i++) {
        sim_device_cfg_t d = sim_device_esp32;
        d.port = cfg->device;
        d.flash = cfg->flash;
        d.speed = cfg->speed;
        d.slot_size = slot_size(cfg);
        if (!crypto_psa_init(&r->device_psa[i], &r->device_crypto[i])) abort();
        d.crypto = &r->device_crypto[i];
        d.rx_id += i;
        d.tx_id += i;
        d.block_size = cfg->block_size;
        d.stmin = cfg->stmin;
        d.tx_dl = cfg->data_bitrate ? 64 : 8;
        d.fd = d.brs = cfg->data_bitrate != 0;
        d.flash_pause = cfg->flash ? (uint32_t)cfg->flash->erase_max : 0;
        sim_device_open(&r->device[i], &d, r->old.bytes, r->old.len);
        r->device[i].receiver_cfg.ota.chip_id = load_le16(&r->image.bytes[12]);
        sim_flash_t *f = &r->device[i].flash;
        pace(cfg, f);
        memcpy(&f->mem[r->device[i].layout.slot[1].at], r->old.bytes,
               r->old.len); // an older update
        sim_flash_touch(f, 0, f->flash.size);
        sim_device_join(&r->device[i], &r->world, DEVICE + i);
        r->world.node[DEVICE + i].faults.lost = cfg->loss;
    }
    while (sim_world_run(&r->world, 2000 * NSEC_MS)) {
    }
}

// --- Updates ---

static bool update_one(rig_t *r, rig_progress_t *progress, void *ctx)
{
    sim_world_t *w = &r->world;
    const rig_host_cfg_t cfg = { .protocol = r->cfg->protocol,
                                 .profile = &r->profile,
                                 .crypto = &r->crypto,
                                 .tx_id = 0x7E0 + r->under_way,
                                 .rx_id = 0x7E8 + r->under_way,
                                 .fd = r->cfg->data_bitrate != 0 };
    const machine_t machine = rig_host_begin(&r->host, &cfg, &r->image, w->now / NSEC_US);
    sim_world_serve(w, HOST, &machine);
    unsigned events = 0;
    while (!(events & (RIG_DONE | RIG_FAILED)) && sim_world_run(w, w->now + 100000 * NSEC_MS)) {
        if (w->event.kind != SIM_BUS_NONE) account(r);
        events |= w->node[HOST].events;
        if (progress) progress(ctx, w->now, rig_host_progress(&r->host));
    }
    account_until_now(r, true, true);
    sim_world_serve(w, HOST, NULL);
    r->result->sent += rig_host_sent(&r->host);
    if (!(events & RIG_DONE) && !r->result->why) r->result->why = rig_host_why(&r->host);
    rig_host_end(&r->host);
    return events & RIG_DONE;
}

/// Until the device has a last message, or nothing goes on any more.
static bool update_example(rig_t *r, rig_progress_t *progress, void *ctx)
{
    sim_world_t *w = &r->world;
    const example_device_t *d = &r->example;
    const machine_t machine = example_host(&r->example_host, r->image.bytes, r->image.len);
    sim_world_serve(w, HOST, &machine);
    nsec_t quiet = w->now;
    while (!d->ended && w->now < quiet + 10000 * NSEC_MS) {
        (void)sim_world_run(w, w->now + 1000 * NSEC_MS);
        if (w->event.kind != SIM_BUS_NONE) account(r);
        if (w->event.kind == SIM_BUS_FRAME && is_ours(&w->event.frame)) quiet = w->now;
        if (progress) progress(ctx, w->now, example_host_progress(&r->example_host));
    }
    r->result->sent = r->example_host.at;
    r->result->messages_lost = d->lost;
    account_until_now(r, true, false);
    return d->ended && memcmp(&d->flash.mem[EXAMPLE_SLOT_AT], r->image.bytes, r->image.len) == 0;
}

static nsec_t flash_time(const rig_t *r)
{
    nsec_t sum = 0, flash;
    for (unsigned i = 0; i < r->cfg->devices; i++) {
        (void)sim_world_busy(&r->world, DEVICE + i, &flash);
        sum += flash;
    }
    return sum;
}

void rig_run(const rig_cfg_t *given, rig_result_t *result, rig_progress_t *progress, void *ctx)
{
    rig_cfg_t cfg = *given;
    rig_t *r = calloc(1, sizeof *r);
    if (!r) abort();
    if (!cfg.bitrate) cfg.bitrate = 500000;
    if (!cfg.image_len) cfg.image_len = 65536;
    if (cfg.example) {
        cfg.host = &example_script;
        cfg.devices = 1;
        cfg.data_bitrate = 0;
    }
    if (!cfg.host) cfg.host = &sim_port_host;
    if (!cfg.device) cfg.device = cfg.data_bitrate ? &sim_port_fd : &sim_port_esp32;
    if (!cfg.devices) cfg.devices = 1;
    memset(result, 0, sizeof *result);
    r->cfg = &cfg;
    r->result = result;
    char error[200];
    const char *text = cfg.profile ? cfg.profile : profile_builtin("isotp-ota");
    if (!profile_parse(&r->profile, "profile", text, strlen(text), error, sizeof error) ||
        !crypto_psa_init(&r->psa, &r->crypto))
        abort();
    if (cfg.image) {
        r->old = copy(cfg.image, cfg.image_len, "old");
        r->image = copy(cfg.image, cfg.image_len, NULL);
    } else {
        r->old = build(&cfg, "1.0", 1);
        r->image = build(&cfg, "2.0", 2 + 4 * cfg.fill);
    }
    sim_world_t *w = &r->world;
    sim_world_init(w, cfg.bitrate, cfg.data_bitrate ? cfg.data_bitrate : cfg.bitrate, cfg.seed);
    sim_world_join(w, HOST, cfg.host, NULL);
    if (cfg.example) {
        example_device_join(&r->example, w, DEVICE, slot_size(&cfg));
        pace(&cfg, &r->example.flash);
        w->node[DEVICE].faults.lost = cfg.loss;
    } else
        open_devices(r);
    w->node[HOST].faults.lost = cfg.loss;
    sim_world_traffic(w, cfg.traffic);
    w->watch = true;
    result->len = r->image.len;
    result->limit = limit(r) * cfg.devices;
    result->flash_time = flash_time(r);
    const nsec_t start = r->free_at = w->now;
    bool done = true;
    for (; r->under_way < cfg.devices && done; r->under_way++)
        done = cfg.example ? update_example(r, progress, ctx) : update_one(r, progress, ctx);
    result->time = w->now - start;
    for (unsigned i = 0; i < cfg.devices; i++) {
        const sim_device_t *d = &r->device[i];
        if (cfg.protocol == RIG_UDS && !cfg.example) done = done && d->boot.slot == 1;
        result->overrun += w->node[DEVICE + i].overrun;
        result->lost += w->node[DEVICE + i].lost;
    }
    result->flash_time = flash_time(r) - result->flash_time;
    result->done = done;
    result->frames = w->bus.frames;
    for (unsigned i = 0; i < cfg.devices && !cfg.example; i++) {
        sim_device_close(&r->device[i]);
        crypto_psa_close(&r->device_psa[i]);
    }
    if (cfg.example) example_device_close(&r->example);
    sim_world_free(w);
    free(r->old.bytes);
    free(r->image.bytes);
    free(r);
}
