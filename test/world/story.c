// story.c - runs a random world: see story.h.
// SPDX-License-Identifier: Apache-2.0
//
// The first host updates one device after the other. What is planned strikes meanwhile. Then all that has
// no power gets it back, and each device must run a whole image, the same at each boot from then on.
#include "story.h"

#include "ota_select.h"

#include <stdarg.h>
#include <stdlib.h>

#define LONGEST (3600000 * NSEC_MS) // an update, in virtual time

enum { FIRST_DEVICE = 1, TRIES = 3 };

void story_note(const story_t *s, const char *format, ...)
{
    va_list args;
    if (!s->history) return;
    fprintf(s->history, "%12.6f  ", (double)s->world.now / 1e9);
    va_start(args, format);
    vfprintf(s->history, format, args);
    va_end(args);
    fputc('\n', s->history);
}

void story_fail(story_t *s, const char *format, ...)
{
    va_list args;
    if (s->why[0]) return;
    va_start(args, format);
    vsnprintf(s->why, sizeof s->why, format, args);
    va_end(args);
    story_note(s, "WRONG: %s", s->why);
}

// --- The first day ---

static void open_device(story_t *s, unsigned n)
{
    story_device_t *t = &s->device[n];
    const story_plan_t *p = &s->plan;
    sim_device_t *d = &t->d;
    sim_device_cfg_t cfg = p->device[n];
    t->story = s;
    if (!crypto_psa_init(&t->psa, &t->crypto)) abort();
    cfg.port = &p->device_port;
    cfg.crypto = &t->crypto;
    const rig_image_t *old = &s->image[STORY_OLD];
    sim_device_open(d, &cfg, old->bytes, old->len);
    // As if it had been updated before.
    for (unsigned i = 0; i < p->records; i++)
        if (ota_select_append(&d->flash.flash, &d->layout, i % 2, OTA_STATE_VALID)) abort();
    const unsigned runs = p->records ? (p->records - 1) % 2 : 0;
    uint8_t *mem = d->flash.mem;
    memset(&mem[d->layout.slot[1 - runs].at], 0xFF, cfg.slot_size);
    memcpy(&mem[d->layout.slot[runs].at], old->bytes, old->len);
    if (p->left >= 0)
        memcpy(&mem[d->layout.slot[1 - runs].at], s->image[p->left].bytes, p->left_len);
    const uint32_t sectors = d->flash.flash.size / d->flash.flash.sector_size;
    for (uint32_t i = 0; i < sectors; i++)
        d->flash.sector[i].wear = p->wear;
    if (p->bad) {
        const uint32_t at = d->layout.slot[1 - runs].at + p->bad_at;
        sim_flash_spoil(&d->flash, at / d->flash.flash.sector_size, p->bad, p->bad_from);
    }
    story_watch_flash(t);
    sim_flash_touch(&d->flash, 0, d->flash.flash.size);
    sim_device_join(d, &s->world, FIRST_DEVICE + n);
}

static void count_plan(story_t *s)
{
    const story_plan_t *p = &s->plan;
    uint32_t *c = s->count;
    const bool trials = p->device[0].trial != SIM_DEVICE_CONFIRMS;
    c[STORY_UDS] = p->protocol == RIG_UDS;
    c[STORY_HEADER] = p->protocol == RIG_HEADER;
    c[STORY_PLAIN] = p->protocol == RIG_PLAIN;
    c[STORY_FD] = p->data_bitrate != 0;
    c[STORY_SEVERAL] = p->devices > 1;
    c[STORY_SECOND] = p->second_after != NSEC_NEVER;
    c[STORY_TRAFFIC] = p->traffic > 0;
    c[STORY_LOSS] = p->faults.lost > 0;
    c[STORY_LATE] = p->faults.late > 0;
    c[STORY_DISTURBED] = p->bus.disturbed > 0;
    c[STORY_DOUBLED] = p->bus.doubled > 0;
    c[STORY_DEAF] = !p->device_port.cache_safe;
    c[STORY_BAD_SECTOR] = p->bad != SIM_FLASH_GOOD;
    c[STORY_LEFT_OVER] = p->left >= 0;
    c[STORY_NO_TROUBLE] = !p->blows && !p->faults.lost && !p->faults.late && !p->lost_behind &&
                          !p->bus.disturbed && !p->bus.doubled && !p->bad && !trials &&
                          p->device_port.cache_safe && p->updated == 1 && !c[STORY_SECOND];
}

story_t *story_open(uint64_t seed)
{
    story_t *s = calloc(1, sizeof *s);
    if (!s) abort();
    story_draw(&s->plan, seed);
    s->chance = ~seed;
    s->digest = UINT64_C(0xCBF29CE484222325);
    count_plan(s);
    return s;
}

static void begin(story_t *s)
{
    const story_plan_t *p = &s->plan;
    sim_world_t *w = &s->world;
    char error[200];
    const char *text = profile_builtin("isotp-ota");
    if (!profile_parse(&s->profile, "profile", text, strlen(text), error, sizeof error)) abort();
    for (unsigned i = 0; i < STORY_IMAGES; i++)
        s->image[i] = rig_image(&p->image[i], p->len[i]);
    sim_world_init(w, p->bitrate, p->data_bitrate ? p->data_bitrate : p->bitrate, p->bus_seed);
    sim_world_join(w, 0, p->host, NULL);
    for (unsigned i = 0; i < STORY_HOSTS; i++)
        if (!crypto_psa_init(&s->host[i].psa, &s->host[i].crypto)) abort();
    for (unsigned i = 0; i < p->devices; i++)
        open_device(s, i);
    s->host[1].node = FIRST_DEVICE + p->devices;
    sim_world_join(w, s->host[1].node, p->host, NULL);
    sim_world_power(w, s->host[1].node, false);
    while (sim_world_run(w, 4000 * NSEC_MS)) {
    }
    for (unsigned i = 0; i < p->devices; i++)
        story_look(&s->device[i]);
    for (unsigned i = 0; i < w->nodes; i++)
        w->node[i].faults = p->faults;
    w->bus.faults = p->bus;
    sim_world_traffic(w, p->traffic);
    w->watch = true;
}

// --- Hosts ---

static void end_host(story_t *s, story_host_t *h, story_host_state_t state)
{
    h->state = state;
    sim_world_serve(&s->world, h->node, NULL);
    rig_host_end(&h->host);
}

static void begin_host(story_t *s, story_host_t *h, unsigned device, int image)
{
    story_device_t *t = &s->device[device];
    const rig_host_cfg_t cfg = { .protocol = s->plan.protocol,
                                 .profile = &s->profile,
                                 .crypto = &h->crypto,
                                 .tx_id = t->d.cfg.rx_id,
                                 .rx_id = t->d.cfg.tx_id,
                                 .fd = s->plan.data_bitrate != 0,
                                 .no_resume = s->plan.no_resume };
    h->state = STORY_AT_WORK;
    h->device = device;
    h->image = image;
    h->began = s->world.now;
    h->ran_before = STORY_NOBODY;
    t->promised = STORY_NOBODY;
    t->may_run |= 1U << image;
    story_note(s, "host %u: begins to send %s to device %u", h->node ? 2 : 1,
               story_image_name(image), device + 1);
    const machine_t machine =
        rig_host_begin(&h->host, &cfg, &s->image[image], s->world.now / NSEC_US);
    sim_world_serve(&s->world, h->node, &machine);
}

static void arm(story_t *s, unsigned device, int step)
{
    for (unsigned i = 0; i < s->plan.blows; i++) {
        story_blow_t *b = &s->plan.blow[i];
        if (b->at == NSEC_NEVER && b->device == device && b->step == step)
            b->at = s->world.now + b->after;
    }
}

static const char *verb_name(const flasher_t *f)
{
    static const char *const name[] = { "read",     "request", "security", "resume", "download",
                                        "transfer", "restart", "verify",   "delay",  "again" };
    return (f->step < f->cfg->profile->steps) ? name[flasher_step(f)->verb] : "end";
}

static void follow_flasher(story_t *s, story_host_t *h, unsigned events)
{
    const flasher_t *f = &h->host.flasher;
    const unsigned number = h->node ? 2 : 1;
    if (events & FLASHER_DEVICE && h->ran_before < 0) {
        h->ran_before = s->device[h->device].running;
        h->ran_slot = s->device[h->device].d.boot.slot;
    }
    if (events & FLASHER_AGAIN) {
        s->count[STORY_ROUNDS]++;
        story_note(s, "host %u: round %u, %u bytes there", number, f->rounds, (unsigned)f->at);
    }
    if (events & FLASHER_RESUMED) {
        s->count[STORY_RESUMED]++;
        story_note(s, "host %u: goes on at %u", number, (unsigned)f->start);
    }
    if (events & FLASHER_STEP) {
        story_note(s, "host %u: step %u, %s", number, f->step, verb_name(f));
        if (h->node == 0) arm(s, h->device, (int)f->step);
        const bool behind = f->at > 0 && f->at == f->cfg->image.len;
        for (unsigned i = 0; i < s->world.nodes; i++)
            s->world.node[i].faults.lost = behind ? s->plan.lost_behind : s->plan.faults.lost;
    }
}

static void follow_host(story_t *s, story_host_t *h)
{
    const unsigned events = s->world.node[h->node].events;
    if (h->state != STORY_AT_WORK || events == 0) return;
    if (h->host.protocol == RIG_UDS) follow_flasher(s, h, events);
    if (!(events & (RIG_DONE | RIG_FAILED))) return;
    h->done = events & RIG_DONE;
    if (h->done && events & RIG_FAILED) story_fail(s, "done and failed at once");
    story_note(s, "host %u: %s %u", h->node ? 2 : 1, h->done ? "done" : "failed,",
               rig_host_why(&h->host));
    story_judge_host(s, h);
    end_host(s, h, STORY_OVER);
}

// --- What strikes ---

static void cut_device(story_t *s, const story_blow_t *b)
{
    story_device_t *t = &s->device[b->device];
    s->count[STORY_DEVICE_CUT]++;
    story_note(s, "device %u: power fails, for %.3f s", b->device + 1,
               b->off == USEC_NEVER ? -1.0 : (double)b->off / 1e6);
    sim_device_cut(&t->d, b->off);
    if (!sim_random(&s->chance, 2)) return;
    t->d.next = (sim_flash_fault_t){ 1 + b->fault.n % 3, b->fault.effect, b->fault.seed };
    t->d.off_time = b->off;
}

static void plan_cut(story_t *s, const story_blow_t *b)
{
    story_device_t *t = &s->device[b->device];
    t->d.off_time = b->off;
    t->chain = sim_random(&s->chance, 4);
    if (t->d.state == SIM_DEVICE_OFF)
        t->d.next = b->fault;
    else
        sim_flash_cut(&t->d.flash, b->fault.n, b->fault.effect, b->fault.seed);
}

static void kill_host(story_t *s, const story_blow_t *b)
{
    story_host_t *h = &s->host[0];
    const bool adapter = b->kind == BLOW_ADAPTER;
    if (h->state != STORY_AT_WORK) return;
    s->count[adapter ? STORY_ADAPTER_CUT : STORY_HOST_KILLED]++;
    story_note(s, "host 1: dies%s", adapter ? ", and its adapter" : "");
    end_host(s, h, STORY_KILLED);
    if (adapter) sim_world_power(&s->world, h->node, false);
    h->back = (b->off == USEC_NEVER) ? NSEC_NEVER : s->world.now + b->off * NSEC_US;
}

static void strike(story_t *s)
{
    for (unsigned i = 0; i < s->plan.blows; i++) {
        story_blow_t *b = &s->plan.blow[i];
        if (b->at == NSEC_NEVER || b->at > s->world.now) continue;
        switch (b->kind) {
        case BLOW_DEVICE: cut_device(s, b); break;
        case BLOW_FLASH: plan_cut(s, b); break;
        case BLOW_HOST:
        case BLOW_ADAPTER: kill_host(s, b); break;
        }
        *b = s->plan.blow[--s->plan.blows]; // it is over
        i--;
    }
    if (s->plan.second_after <= s->world.now) {
        s->plan.second_after = NSEC_NEVER;
        sim_world_power(&s->world, s->host[1].node, true);
        begin_host(s, &s->host[1], s->host[0].device, s->plan.second_image);
    }
}

// --- Time ---

static void mix(story_t *s, uint64_t value)
{
    s->digest = (s->digest ^ value) * UINT64_C(0x100000001B3);
}

static void follow_bus(story_t *s)
{
    const sim_bus_event_t *ev = &s->world.event;
    if (ev->kind != SIM_BUS_FRAME) return;
    mix(s, s->world.now);
    mix(s, (uint64_t)ev->frame.id << 8 | ev->frame.len);
    for (unsigned i = 0; i < ev->frame.len; i++)
        mix(s, ev->frame.data[i]);
    const bool host = ev->from == 0 || ev->from == s->host[1].node;
    if (s->log) (void)bus_log_frame(s->log, &ev->frame, host, s->world.now / NSEC_US);
}

/// False: `until` has come.
static bool advance(story_t *s, nsec_t until)
{
    nsec_t stop = sooner(until, s->plan.second_after);
    for (unsigned i = 0; i < s->plan.blows; i++)
        stop = sooner(stop, s->plan.blow[i].at);
    (void)sim_world_run(&s->world, later(stop, s->world.now));
    follow_bus(s);
    for (unsigned i = 0; i < s->plan.devices; i++)
        story_look(&s->device[i]);
    for (unsigned i = 0; i < STORY_HOSTS; i++)
        follow_host(s, &s->host[i]);
    strike(s);
    return s->world.now < until && !s->why[0];
}

static void wait(story_t *s, nsec_t time)
{
    const nsec_t until = s->world.now + time;
    while (advance(s, until)) {
    }
}

/// Until the host is no more at work.
static void let_work(story_t *s, const story_host_t *h)
{
    const nsec_t until = s->world.now + LONGEST;
    while (h->state == STORY_AT_WORK && advance(s, until)) {
    }
    if (h->state == STORY_AT_WORK) story_fail(s, "a host does not come to an end");
}

// --- The course of things ---

static void update(story_t *s, unsigned device)
{
    story_host_t *h = &s->host[0];
    for (unsigned i = 0; i < TRIES && !s->why[0]; i++) {
        begin_host(s, h, device, STORY_NEW);
        if (i == 0) {
            arm(s, device, -1);
            if (s->plan.second_after != NSEC_NEVER && device == 0)
                s->plan.second_after += s->world.now;
        }
        let_work(s, h);
        if (h->state == STORY_OVER && (h->done || !s->plan.insists)) return;
        if (h->state != STORY_KILLED) continue;
        if (h->back == NSEC_NEVER) {
            s->count[STORY_NO_VERDICT]++;
            return;
        }
        wait(s, h->back - s->world.now);
        s->count[STORY_HOST_BACK]++;
        if (!s->world.bus.node[h->node].on) sim_world_power(&s->world, h->node, true);
    }
}

/// From now on nothing goes wrong any more.
static void make_peace(story_t *s)
{
    sim_world_t *w = &s->world;
    if (s->host[1].state == STORY_AT_WORK) let_work(s, &s->host[1]);
    s->plan.blows = 0;
    s->plan.second_after = NSEC_NEVER;
    sim_world_traffic(w, 0);
    w->bus.faults = (sim_bus_faults_t){ 0 };
    s->plan.faults = (sim_node_faults_t){ 0 };
    s->plan.lost_behind = 0;
    for (unsigned i = 0; i < w->nodes; i++)
        w->node[i].faults = s->plan.faults;
    wait(s, 8000 * NSEC_MS); // sessions end, restarts are done
    sim_world_power(w, 0, true);
    for (unsigned i = 0; i < s->plan.devices; i++) {
        story_device_t *t = &s->device[i];
        t->chain = t->d.next.n = 0;
        if (t->d.state == SIM_DEVICE_OFF)
            sim_device_cut(&t->d, USEC_MS);
        else
            sim_flash_cut(&t->d.flash, 0, SIM_FLASH_NOTHING, 0);
    }
    wait(s, 3000 * NSEC_MS);
}

static void restart_all(story_t *s)
{
    for (unsigned i = 0; i < s->plan.devices; i++)
        sim_device_cut(&s->device[i].d, 10 * USEC_MS);
    wait(s, 2000 * NSEC_MS);
}

static void judge_all(story_t *s)
{
    for (unsigned i = 0; i < s->plan.devices && !s->why[0]; i++)
        story_judge_device(&s->device[i]);
}

/// The first restart starts what was activated, the second one gives up who does not confirm itself, and the
/// third one changes nothing.
static void come_to_rest(story_t *s)
{
    int runs[STORY_DEVICES] = { 0 };
    judge_all(s);
    for (unsigned i = 0; i < 2; i++) {
        restart_all(s);
        judge_all(s);
    }
    for (unsigned i = 0; i < s->plan.devices; i++)
        runs[i] = s->device[i].running;
    restart_all(s);
    judge_all(s);
    for (unsigned i = 0; i < s->plan.devices; i++) {
        if (s->device[i].running != runs[i])
            story_fail(s, "device %u does not come to rest", i + 1);
        s->count[runs[i] == STORY_OLD ? STORY_OLD_AT_LAST : STORY_NEW_AT_LAST]++;
    }
}

static void complete(story_t *s)
{
    for (unsigned i = 0; i < s->plan.devices && !s->why[0]; i++) {
        s->device[i].d.cfg.trial = SIM_DEVICE_CONFIRMS;
        begin_host(s, &s->host[0], i, STORY_NEW);
        let_work(s, &s->host[0]);
        if (s->why[0]) return;
        if (!s->host[0].done)
            story_fail(s, "device %u cannot be updated any more: %u", i + 1,
                       rig_host_why(&s->host[0].host));
        wait(s, 2000 * NSEC_MS);
        if (s->device[i].running != STORY_NEW)
            story_fail(s, "device %u does not run the new image after an update", i + 1);
        s->count[STORY_COMPLETED]++;
    }
    judge_all(s);
}

void story_run(story_t *s)
{
    begin(s);
    for (unsigned i = 0; i < s->plan.updated && !s->why[0]; i++)
        update(s, i);
    if (s->count[STORY_NO_TROUBLE] && !s->host[0].done)
        story_fail(s, "nothing went wrong, and the update failed: %u",
                   rig_host_why(&s->host[0].host));
    if (!s->why[0]) make_peace(s);
    if (!s->why[0]) come_to_rest(s);
    if (!s->why[0] && s->plan.completes && !s->plan.bad) complete(s);
}

void story_close(story_t *s)
{
    for (unsigned i = 0; i < STORY_HOSTS; i++) {
        rig_host_end(&s->host[i].host);
        crypto_psa_close(&s->host[i].psa);
    }
    for (unsigned i = 0; i < s->plan.devices; i++) {
        crypto_psa_close(&s->device[i].psa);
        sim_device_close(&s->device[i].d);
    }
    for (unsigned i = 0; i < STORY_IMAGES; i++)
        free(s->image[i].bytes);
    sim_world_free(&s->world);
    free(s);
}

void story_tell(const story_t *s, FILE *to)
{
    static const char *const protocol[] = { "uds", "header", "plain" };
    static const char *const blow[] = { "device off", "cut in flash", "host killed",
                                        "adapter off" };
    const story_plan_t *p = &s->plan;
    const sim_device_cfg_t *d = &p->device[0];
    fprintf(to, "world %llu: %s, %u bytes, %u/%u bit/s, %u%% other traffic, %u of %u devices\n",
            (unsigned long long)p->seed, protocol[p->protocol], (unsigned)p->len[STORY_NEW],
            (unsigned)p->bitrate, (unsigned)p->data_bitrate, p->traffic, p->updated, p->devices);
    fprintf(
        to, "  %s, speed %d, wear %u; ring %u, BS %u, STmin %u, queue %u%s, loop %u us; host %s\n",
        d->flash->name, (int)d->speed, (unsigned)p->wear, (unsigned)d->ring, d->block_size,
        d->stmin, p->device_port.queue, p->device_port.cache_safe ? "" : ", deaf while flash works",
        (unsigned)(p->device_port.period / NSEC_US), p->host->name);
    fprintf(
        to,
        "  per million: %u lost, %u late by up to %u ms, %u disturbed, %u doubled; then %u lost\n",
        (unsigned)p->faults.lost, (unsigned)p->faults.late,
        (unsigned)(p->faults.late_max / NSEC_MS), (unsigned)p->bus.disturbed,
        (unsigned)p->bus.doubled, (unsigned)p->lost_behind);
    for (unsigned i = 0; i < p->blows; i++) {
        char fault[32];
        const story_blow_t *b = &p->blow[i];
        fprintf(to, "  %s, device %u, step %d and %.3f s later, %s\n", blow[b->kind], b->device + 1,
                b->step, (double)b->after / 1e9, sim_flash_fault_text(&b->fault, fault));
    }
}
