// story_judge.c - what is true in a world, and whether the hosts say so: see story.h.
// SPDX-License-Identifier: Apache-2.0
//
// Looks at bytes in flash, beside all that the code under test keeps in mind. A host hears of the past:
// what it says must have been true at most SHORTLY before.
#include "story.h"

#include "ota_select.h"

#define SHORTLY (1000 * NSEC_MS)

enum { OTADATA_SECTORS = 2, REST = 0x5A };

const char *story_image_name(int image)
{
    static const char *const name[] = { "the old image", "the new image", "the other image",
                                        "an earlier image" };
    return (image < 0) ? "nothing whole" : name[image];
}

static uint32_t number_of(const story_device_t *t) { return (uint32_t)(t - t->story->device) + 1; }

// --- What is in a slot ---

static int image_in(const story_device_t *t, int slot)
{
    if (slot < 0) return STORY_NOBODY;
    const uint8_t *bytes = &t->d.flash.mem[t->d.layout.slot[slot].at];
    for (int i = 0; i < STORY_IMAGES; i++)
        if (memcmp(bytes, t->story->image[i].bytes, t->story->image[i].len) == 0) return i;
    return STORY_NOBODY;
}

static int peek(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const sim_flash_t *sim = ctx;
    memcpy(p, &sim->mem[at], len);
    return 0;
}

/// Takes no time, and never fails.
static flash_t peephole(story_device_t *t)
{
    return (flash_t){ .ctx = &t->d.flash,
                      .size = t->d.flash.flash.size,
                      .sector_size = t->d.flash.flash.sector_size,
                      .read = peek };
}

/// As a bootloader judges it, by its own structure and digest.
static bool is_bootable(story_device_t *t, int slot)
{
    const esp_extent_t *extent = &t->d.layout.slot[slot];
    const esp_image_cfg_t cfg = { .chip_id = 5,
                                  .chip_rev = 3,
                                  .efuse_rev = 100,
                                  .at = extent->at,
                                  .cap = extent->size,
                                  .strict = true };
    const flash_t flash = peephole(t);
    esp_image_t image;
    uint8_t buf[1024];
    esp_image_init(&image, &cfg, &t->story->host[0].crypto);
    (void)esp_image_read(&image, &flash, buf, sizeof buf);
    return esp_image_finish(&image) == ESP_IMAGE_OK;
}

// --- Who writes where ---

static bool is_otadata(const story_device_t *t, uint32_t at)
{
    const uint32_t from = t->d.layout.otadata_at;
    return at >= from && at < from + OTADATA_SECTORS * t->nor.sector_size;
}

/// A record may name only a slot with a whole image.
static void look_at_records(story_device_t *t)
{
    const flash_t flash = peephole(t);
    ota_select_t sel;
    if (ota_select_read(&flash, &t->d.layout, &sel) != 0) return;
    const int active = (sel.active < 0) ? STORY_NOBODY : (int)sel.record[sel.active].slot;
    if (active == t->active) return;
    t->active = active;
    if (active < 0) return;
    const int image = image_in(t, active);
    story_note(t->story, "device %u: its records name slot %d with %s", number_of(t), active,
               story_image_name(image));
    if (image < 0)
        story_fail(t->story, "device %u: a record names a slot that holds nothing whole",
                   number_of(t));
    else
        t->activated[image] = t->story->world.now;
}

static void chain(story_device_t *t)
{
    static const sim_flash_effect_t effect[] = { SIM_FLASH_NOTHING, SIM_FLASH_DONE, SIM_FLASH_TORN,
                                                 SIM_FLASH_TORN };
    story_t *s = t->story;
    if (t->chain == 0) return;
    t->chain--;
    t->d.next.n = 1 + sim_random(&s->chance, 3);
    t->d.next.effect = effect[sim_random(&s->chance, 4)];
    t->d.next.seed = sim_random(&s->chance, 1000);
    t->d.off_time = (10 + sim_random(&s->chance, 1000)) * USEC_MS;
}

static int after_change(story_device_t *t, uint32_t at, bool fired_before, int result)
{
    const sim_flash_t *sim = &t->d.flash;
    if (sim->fired && !fired_before) {
        const bool on = t->d.state == SIM_DEVICE_ON;
        t->story->count[on ? STORY_FLASH_CUT : STORY_BOOT_CUT]++;
        story_note(t->story, "device %u: power fails in change %u of flash, at 0x%x%s",
                   number_of(t), sim_flash_changes(sim), (unsigned)at, on ? "" : ", in its boot");
        chain(t);
    }
    const uint32_t slot = t->d.layout.slot[0].at;
    if (!is_otadata(t, at) && at < slot)
        story_fail(t->story, "device %u writes at 0x%x", number_of(t), (unsigned)at);
    const int running = t->d.boot.slot;
    if (at >= slot && t->d.state == SIM_DEVICE_ON && running >= 0 &&
        (int)((at - slot) / t->d.cfg.slot_size) == running)
        story_fail(t->story, "device %u writes into the slot that runs", number_of(t));
    if (is_otadata(t, at) && !sim->fired) look_at_records(t);
    return result;
}

static int watched_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const story_device_t *t = ctx;
    return t->nor.read(t->nor.ctx, at, p, len);
}

static int watched_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    story_device_t *t = ctx;
    const bool fired = t->d.flash.fired;
    return after_change(t, at, fired, t->nor.prog(t->nor.ctx, at, p, len));
}

static int watched_erase(void *ctx, uint32_t at)
{
    story_device_t *t = ctx;
    const bool fired = t->d.flash.fired;
    return after_change(t, at, fired, t->nor.erase(t->nor.ctx, at));
}

void story_watch_flash(story_device_t *t)
{
    flash_t *f = &t->d.flash.flash;
    t->nor = *f;
    *f = (flash_t){ .ctx = t,
                    .size = t->nor.size,
                    .sector_size = t->nor.sector_size,
                    .read = watched_read,
                    .prog = watched_prog,
                    .erase = watched_erase };
    const uint32_t otadata = t->d.layout.otadata_at;
    const uint32_t behind = otadata + OTADATA_SECTORS * t->nor.sector_size;
    memset(t->d.flash.mem, REST, otadata);
    memset(&t->d.flash.mem[behind], REST, SIM_DEVICE_SLOT_AT - behind);
    t->active = STORY_NOBODY;
    look_at_records(t);
    t->initial = image_in(t, (t->active < 0) ? 0 : t->active);
    t->running = t->promised = STORY_NOBODY;
    t->may_run = 1U << t->initial;
    memset(t->activated, 0, sizeof t->activated);
}

// --- What the device does ---

void story_look(story_device_t *t)
{
    story_t *s = t->story;
    const sim_device_t *d = &t->d;
    if (d->dead) story_fail(s, "device %u finds nothing to boot", number_of(t));
    if (d->state != SIM_DEVICE_ON) return;
    if (d->boots != t->boots) {
        t->boots = d->boots;
        t->running = image_in(t, d->boot.slot);
        story_note(s, "device %u: boot %u, slot %d with %s%s", number_of(t), d->boots, d->boot.slot,
                   story_image_name(t->running), d->boot.on_trial ? ", on trial" : "");
        if (t->running < 0) {
            story_fail(s, "device %u runs what nobody sent", number_of(t));
            return;
        }
        if (!(t->may_run & 1U << t->running))
            story_fail(s, "device %u runs %s", number_of(t), story_image_name(t->running));
        if (t->promised >= 0 && t->running != t->promised)
            story_fail(s, "device %u runs %s; a host had said that it is done", number_of(t),
                       story_image_name(t->running));
    }
    t->ran[t->running] = s->world.now;
}

static bool on_trial(story_device_t *t)
{
    const flash_t flash = peephole(t);
    ota_select_t sel;
    const ota_record_t *r =
        ota_select_read(&flash, &t->d.layout, &sel) ? NULL : ota_select_about(&sel, t->d.boot.slot);
    return r && ota_select_on_trial(r);
}

// --- Verdicts ---

static bool recently(const story_t *s, nsec_t at) { return at && s->world.now - at <= SHORTLY; }

/// Another host may still be sending another image to it.
static bool is_alone(const story_t *s, const story_host_t *h)
{
    const story_host_t *other = &s->host[h == &s->host[0]];
    return other->state != STORY_AT_WORK || other->device != h->device;
}

static void judge_done(story_t *s, story_host_t *h, story_device_t *t)
{
    if (h->host.protocol != RIG_UDS) {
        if (t->activated[h->image] < h->began)
            story_fail(s, "done, says the host, but %s was not activated",
                       story_image_name(h->image));
        return;
    }
    if (!recently(s, t->ran[h->image])) {
        story_fail(s, "done, says the host, but device %u runs %s", number_of(t),
                   story_image_name(t->running));
    } else if (h->host.flasher.trial) {
        s->count[STORY_ON_TRIAL]++;
        if (t->d.cfg.trial != SIM_DEVICE_WAITS)
            story_fail(s, "done on trial, says the host, but device %u confirms or restarts",
                       number_of(t));
    } else if (h->host.flasher.unverified) {
        story_fail(s, "done, says the host, and has not asked");
    } else if (on_trial(t)) {
        story_fail(s, "done, says the host, but %s is still on trial", story_image_name(h->image));
    } else if (is_alone(s, h))
        t->promised = h->image;
}

static void judge_failed(story_t *s, story_host_t *h, story_device_t *t)
{
    if (h->host.protocol != RIG_UDS) return;
    const flasher_why_t why = h->host.flasher.why;
    if (why == FLASHER_OLD_RUNS) {
        s->count[STORY_OLD_RUNS]++;
        if (h->ran_before < 0 || !recently(s, t->ran[h->ran_before]) ||
            t->d.boot.slot != h->ran_slot)
            story_fail(s, "the old one runs, says the host, but device %u runs %s", number_of(t),
                       story_image_name(t->running));
    }
    if (why == FLASHER_OTHER_RUNS)
        story_fail(s, "something else runs, says the host, but device %u runs %s", number_of(t),
                   story_image_name(t->running));
}

void story_judge_host(story_t *s, story_host_t *h)
{
    story_device_t *t = &s->device[h->device];
    if (!h->done) {
        judge_failed(s, h, t);
        s->count[STORY_FAILED] +=
            h->host.protocol != RIG_UDS || h->host.flasher.why != FLASHER_OLD_RUNS;
        return;
    }
    s->count[STORY_DONE]++;
    judge_done(s, h, t);
}

static bool is_untouched(const story_device_t *t)
{
    const uint8_t *mem = t->d.flash.mem;
    for (uint32_t at = 0; at < SIM_DEVICE_SLOT_AT; at++)
        if (!is_otadata(t, at) && mem[at] != REST) return false;
    return true;
}

void story_judge_device(story_device_t *t)
{
    story_t *s = t->story;
    const sim_device_t *d = &t->d;
    const unsigned number = number_of(t);
    if (d->state != SIM_DEVICE_ON) {
        story_fail(s, "device %u does not run in the end", number);
        return;
    }
    if (image_in(t, d->boot.slot) != t->running || !is_bootable(t, d->boot.slot))
        story_fail(s, "device %u runs in a slot whose content is not whole", number);
    bool activated = false;
    for (unsigned i = 0; i < STORY_IMAGES; i++)
        activated = activated || t->activated[i];
    if (!activated && t->running != t->initial)
        story_fail(s, "device %u runs %s, which was never activated", number,
                   story_image_name(t->running));
    if (d->flash.flaw[0]) story_fail(s, "device %u: %s", number, d->flash.flaw);
    if (!is_untouched(t))
        story_fail(s, "device %u: flash outside otadata and slots changed", number);
}
