// subject.c - the device whose power the campaign cuts: see subject.h.
// SPDX-License-Identifier: Apache-2.0
//
// What may boot:
//   - while nothing was activated, and after a rejection: the image confirmed last;
//   - after an activation: the new one, on trial, as often as it has attempts; then the confirmed one;
//   - after a confirmation: that image, for ever.
// Where power was lost in the middle of one of them, both. What boots then decides it: the other one
// must not come back by itself.
#include "subject.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim_random.h"

enum {
    SLOT_STEP = 0x10000, // ESP-IDF maps images in pages of so much
    SLOT_SECTORS = 4,
    FIRST_SECURE_VERSION = 1,
};

void subject_fail(subject_t *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
    longjmp(w->out, 1);
}

// --- A hash that stands in for SHA-256: all that matters here is that other bytes have another one ---

typedef struct {
    uint64_t lane[4];
    uint8_t block[32];
    size_t fill;
    uint64_t len;
} quick_t;

static quick_t quick;

static uint64_t load_le64(const uint8_t *p)
{
    return load_le32(p) | (uint64_t)load_le32(p + 4) << 32;
}

static void quick_block(quick_t *q, const uint8_t *p)
{
    for (int i = 0; i < 4; i++) {
        q->lane[i] = (q->lane[i] ^ load_le64(p + 8 * i)) * UINT64_C(0x9E3779B97F4A7C15);
        q->lane[i] ^= q->lane[i] >> 29;
    }
}

static bool quick_start(void *ctx, crypto_hash_t alg)
{
    *(quick_t *)ctx = (quick_t){ .lane = { 1, 2, 3, 4 } };
    return alg == CRYPTO_SHA256;
}

static bool quick_update(void *ctx, const void *data, size_t len)
{
    quick_t *q = ctx;
    const uint8_t *p = data;
    q->len += len;
    while (len > 0) {
        if (q->fill == 0 && len >= 32) {
            quick_block(q, p);
            p += 32;
            len -= 32;
            continue;
        }
        const size_t n = smaller(len, 32 - q->fill);
        memcpy(q->block + q->fill, p, n);
        q->fill += n;
        p += n;
        len -= n;
        if (q->fill == 32) {
            quick_block(q, q->block);
            q->fill = 0;
        }
    }
    return true;
}

static bool quick_finish(void *ctx, uint8_t *digest)
{
    quick_t *q = ctx;
    memset(q->block + q->fill, 0, 32 - q->fill);
    quick_block(q, q->block);
    for (int i = 0; i < 4; i++) {
        uint64_t mixed = q->lane[i] + q->lane[(i + 1) % 4] * 3 + q->len;
        mixed = sim_random64(&mixed);
        store_le32(digest + 8 * i, (uint32_t)mixed);
        store_le32(digest + 8 * i + 4, (uint32_t)(mixed >> 32));
    }
    return true;
}

static const crypto_t CRYPTO = { &quick, quick_start, quick_update, quick_finish };

static void digest_of(const uint8_t *p, size_t len, uint8_t digest[32])
{
    quick_start(&quick, CRYPTO_SHA256);
    quick_update(&quick, p, len);
    quick_finish(&quick, digest);
}

// --- Images ---

// Two segments and a descriptor. `len` is a multiple of 16. Of the sector `blank`, if not 0, all bytes
// are 0xFF.
static image_t build_image(unsigned number, uint32_t len, uint32_t sector, uint32_t blank,
                           uint32_t secure_version)
{
    enum { HEADERS = 40, CODE = 64, TAIL = 48 };
    const uint32_t data = len - HEADERS - CODE - TAIL;
    uint8_t *const p = calloc(len, 1);
    if (!p) abort();
    uint64_t chance = number;
    for (uint32_t i = 0; i < len; i++)
        p[i] = (blank && i / sector == blank) ? 0xFF : (uint8_t)sim_random(&chance, 256);
    memset(p, 0, ESP_IMAGE_HEAD_LEN);
    p[0] = ESP_IMAGE_MAGIC;
    p[1] = 2;
    store_le32(p + 4, 0x40380000);
    store_le16(p + 12, 5);
    p[23] = 1;
    store_le32(p + 24, 0x3C000020);
    store_le32(p + 28, data);
    store_le32(p + 32, 0xABCD5432);
    store_le32(p + 36, secure_version);
    snprintf((char *)p + 48, 32, "%u", number);
    snprintf((char *)p + 80, 32, "campaign");
    store_le32(p + 32 + data, 0x40380000);
    store_le32(p + 36 + data, CODE);
    memset(p + len - TAIL, 0, TAIL);
    uint8_t checksum = 0xEF;
    for (uint32_t i = 32; i < len - TAIL; i++)
        if (i < 32 + data || i >= 40 + data) checksum ^= p[i];
    p[len - 33] = checksum;
    digest_of(p, len - 32, p + len - 32);
    return (image_t){ p, len, secure_version };
}

// --- The device ---

static uint32_t sector_size(const subject_t *w) { return w->sim.flash.sector_size; }

static bool in_otadata(const subject_t *w, uint32_t at)
{
    return at - w->layout.otadata_at < 2 * sector_size(w);
}

static void watch(subject_t *w, bool is_metadata)
{
    if (w->changes < TRACE_MAX) w->is_metadata[w->changes] = is_metadata;
    w->changes++;
}

static int watched_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    subject_t *w = ctx;
    return w->sim.flash.read(&w->sim, at, p, len);
}

static int watched_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    subject_t *w = ctx;
    watch(w, in_otadata(w, at));
    return w->sim.flash.prog(&w->sim, at, p, len);
}

static int watched_erase(void *ctx, uint32_t at)
{
    subject_t *w = ctx;
    watch(w, in_otadata(w, at));
    return w->sim.flash.erase(&w->sim, at);
}

static int watched_count(void *ctx, uint32_t *value)
{
    subject_t *w = ctx;
    return w->sim.counter.read(&w->sim, value);
}

static int watched_raise(void *ctx, uint32_t value)
{
    subject_t *w = ctx;
    watch(w, true);
    return w->sim.counter.raise(&w->sim, value);
}

static esp_extent_t extent(const subject_t *w, int slot)
{
    return ota_select_extent(&w->layout, slot);
}

void subject_open(subject_t *w, const place_t *place, bool steep)
{
    const sim_flash_type_t *type = sim_flash_type(place->type);
    const uint32_t sector = type->sector_size;
    memset(w, 0, sizeof *w);
    w->place = place;
    sim_flash_open(&w->sim, SLOT_STEP * (place->slots + 2), sector);
    sim_flash_pace(&w->sim, type, SIM_FLASH_TYPICAL);
    w->flash = (flash_t){ .ctx = w,
                          .size = w->sim.flash.size,
                          .sector_size = sector,
                          .read = watched_read,
                          .prog = watched_prog,
                          .erase = watched_erase };
    w->counter = (counter_t){ .ctx = w, .read = watched_count, .raise = watched_raise };
    w->sim.count = FIRST_SECURE_VERSION;
    w->layout.otadata_at = sector;
    w->layout.slots = place->slots;
    w->layout.factory = (esp_extent_t){ SLOT_STEP, SLOT_SECTORS * sector };
    for (uint32_t i = 0; i < place->slots; i++)
        w->layout.slot[i] = (esp_extent_t){ SLOT_STEP * (i + 2), SLOT_SECTORS * sector };
    w->cfg = (ota_cfg_t){ .flash = &w->flash,
                          .crypto = &CRYPTO,
                          .layout = &w->layout,
                          .counter = &w->counter,
                          .project = "campaign",
                          .attempts = place->attempts,
                          .running = OTA_NOTHING,
                          .chip_id = 5,
                          .chip_rev = 3,
                          .efuse_rev = 100 };
    const uint32_t high = FIRST_SECURE_VERSION + (steep ? 3 : 0);
    w->image[FRESH] = build_image(FRESH, sector + 400, sector, 0, FIRST_SECURE_VERSION);
    w->image[OLD] = build_image(OLD, 2 * sector, sector, 0, FIRST_SECURE_VERSION);
    w->image[NEW] = build_image(NEW, 3 * sector + 272, sector, 1, high);
    w->image[LATER] = build_image(LATER, sector + 16, sector, 0, high);

    // Everything but otadata holds bytes that an update has to erase, or must not touch.
    uint64_t chance = 1;
    for (uint32_t at = 0; at < w->flash.size; at++)
        w->sim.mem[at] = in_otadata(w, at) ? 0xFF : (uint8_t)sim_random(&chance, 256);
    const uint32_t at = extent(w, place->factory ? OTA_FACTORY : 0).at;
    memcpy(w->sim.mem + at, w->image[FRESH].bytes, w->image[FRESH].len);
    if (!place->factory) w->layout.factory.size = 0;
    sim_flash_touch(&w->sim, 0, w->flash.size);
    w->model = (model_t){ .confirmed = FRESH,
                          .trial = NO_IMAGE,
                          .running = NO_IMAGE,
                          .secure_version = FIRST_SECURE_VERSION };
}

void subject_close(subject_t *w)
{
    for (int i = 0; i < IMAGES; i++)
        free(w->image[i].bytes);
    sim_flash_close(&w->sim);
}

bool subject_is_moody(const subject_t *w)
{
    return sim_flash_weak(&w->sim, w->layout.otadata_at, 2 * sector_size(w)) > 0;
}

void subject_damage(subject_t *w, int slot)
{
    const uint32_t at = extent(w, slot).at + sector_size(w) / 2;
    w->sim.mem[at] ^= 4;
    sim_flash_touch(&w->sim, at, 1);
}

// --- Power ---

static void arm(subject_t *w)
{
    if (w->fired < w->faults) {
        const sim_flash_fault_t *f = &w->fault[w->fired];
        sim_flash_cut(&w->sim, w->left, f->effect, f->seed);
    }
}

void subject_plan(subject_t *w, const sim_flash_fault_t *fault, unsigned faults, unsigned fired)
{
    if (faults) memcpy(w->fault, fault, faults * sizeof *fault);
    w->faults = faults;
    // The next boot notices the last one of those that have happened.
    w->fired = w->sim.fired ? fired - 1 : fired;
    w->left = (w->fired < faults) ? fault[w->fired].n : 0;
    w->changes = 0;
}

void subject_keep(const subject_t *w, moment_t *moment)
{
    sim_flash_save(&w->sim, &moment->flash);
    moment->model = w->model;
    moment->running = w->cfg.running;
    moment->fired = w->sim.fired;
}

void subject_go_back(subject_t *w, const moment_t *moment)
{
    sim_flash_restore(&w->sim, &moment->flash);
    w->model = moment->model;
    w->cfg.running = moment->running;
    w->sim.fired = moment->fired;
}

void subject_forget(moment_t *moment) { sim_flash_drop(&moment->flash); }

static void cycle_power(subject_t *w)
{
    if (w->sim.fired) {
        w->fired++;
        w->changes = 0;
        w->left = (w->fired < w->faults) ? w->fault[w->fired].n : 0;
    } else if (w->fired < w->faults) {
        w->left -= sim_flash_changes(&w->sim);
    }
    sim_flash_power_on(&w->sim);
    arm(w);
}

// False if power was lost; otherwise it must have worked. Both may be true: what was lost then did not
// matter.
static bool done(subject_t *w, const char *what, int err)
{
    if (w->sim.flaw[0]) subject_fail(w, "%s: against the rules of flash: %s", what, w->sim.flaw);
    if (w->sim.fired) return false;
    if (err) subject_fail(w, "%s: fails with %d (flash: %d)", what, err, w->ota.flash_err);
    return true;
}

// --- Booting ---

static const char *sector_text(const subject_t *w, int i, char text[64])
{
    static const char *const STATE[] = { "NEW", "PENDING", "VALID", "INVALID", "ABORTED" };
    const uint8_t *p = w->sim.mem + w->layout.otadata_at + (uint32_t)i * sector_size(w);
    const ota_record_t r = ota_select_decode(p, w->layout.slots);
    unsigned used = 0;
    for (uint32_t k = 0; k < 8; k++)
        if (!flash_is_blank(p + OTA_RECORD_LEN + k * FLASH_UNIT, FLASH_UNIT)) used |= 0x80u >> k;
    if (flash_is_blank(p, sector_size(w)))
        snprintf(text, 64, "blank");
    else if (!r.valid)
        snprintf(text, 64, "no record (marks %02x)", used);
    else
        snprintf(text, 64, "%u:%s (marks %02x)", (unsigned)r.seq,
                 r.state < 5 ? STATE[r.state] : "UNDEFINED", used);
    return text;
}

static void tell(const subject_t *w, const char *what)
{
    char text[2][64];
    if (!w->verbose) return;
    printf("%-20s [%s] [%s] counter %u%s\n", what, sector_text(w, 0, text[0]),
           sector_text(w, 1, text[1]), (unsigned)w->sim.count,
           subject_is_moody(w) ? ", some cells weak" : "");
}

static int image_in(const subject_t *w, int slot)
{
    for (int i = 0; i < IMAGES; i++)
        if (memcmp(w->sim.mem + extent(w, slot).at, w->image[i].bytes, w->image[i].len) == 0)
            return i;
    return NO_IMAGE;
}

static void judge_trial(subject_t *w)
{
    model_t *m = &w->model;
    if (m->activated == NO) subject_fail(w, "image %d boots, it was not activated", m->trial);
    m->activated = YES;
    if (!w->boot.on_trial) {
        if (m->confirms == NO) subject_fail(w, "image %d boots as if it were confirmed", m->trial);
        m->confirmed = m->trial;
        m->trial = NO_IMAGE;
        return;
    }
    if (m->confirms == YES) subject_fail(w, "image %d lost its confirmation", m->trial);
    if (m->rejected == YES) subject_fail(w, "image %d boots, it was rejected", m->trial);
    if (m->starts_min >= w->place->attempts)
        subject_fail(w, "image %d boots again, it had %u attempts", m->trial, w->place->attempts);
    m->starts_min++;
    m->starts_max++;
}

static void judge_confirmed(subject_t *w)
{
    model_t *m = &w->model;
    if (w->boot.on_trial) subject_fail(w, "confirmed image %d is on trial", m->confirmed);
    if (m->trial == NO_IMAGE) return;
    if (m->confirms == YES) subject_fail(w, "image %d lost its confirmation", m->trial);
    if (m->activated == YES && m->rejected == NO && m->confirms == NO &&
        m->starts_max < w->place->attempts)
        subject_fail(w, "image %d boots, %d was activated", m->confirmed, m->trial);
    m->trial = NO_IMAGE;
}

static void judge_counter(subject_t *w)
{
    model_t *m = &w->model;
    if (m->secure_version < w->image[m->confirmed].secure_version)
        m->secure_version = w->image[m->confirmed].secure_version;
    if (w->sim.count > m->secure_version)
        subject_fail(w, "the counter is %u, no confirmed image says more than %u",
                     (unsigned)w->sim.count, (unsigned)m->secure_version);
    if (w->image[m->running].secure_version < w->sim.count)
        subject_fail(w, "image %d boots, the counter is %u", m->running, (unsigned)w->sim.count);
}

bool subject_boot(subject_t *w)
{
    model_t *m = &w->model;
    cycle_power(w);
    tell(w, "power on");
    ota_boot_choose(&w->boot, &w->cfg);
    if (w->sim.flaw[0]) subject_fail(w, "boot: against the rules of flash: %s", w->sim.flaw);
    if (w->sim.fired) {
        // The erase that ends a trial may have taken its marks and left the record.
        if (m->starts_max >= w->place->attempts) m->starts_min = 0;
        m->starts_max++;
        return false;
    }
    if (w->boot.slot == OTA_NOTHING) subject_fail(w, "nothing boots");
    m->running = image_in(w, w->boot.slot);
    if (w->verbose) {
        char text[80];
        snprintf(text, sizeof text, "  boots %d, image %d%s", w->boot.slot, m->running,
                 w->boot.on_trial ? " (trial)" : "");
        tell(w, text);
    }
    if (m->running == NO_IMAGE) subject_fail(w, "slot %d boots, it holds no image", w->boot.slot);
    if (m->trial != NO_IMAGE && m->running == m->trial)
        judge_trial(w);
    else if (m->running == m->confirmed)
        judge_confirmed(w);
    else
        subject_fail(w, "image %d boots, confirmed is %d", m->running, m->confirmed);
    judge_counter(w);
    w->cfg.running = w->boot.slot;
    return true;
}

// --- Updating ---

// How many bytes of the image need not be sent again.
static bool survey(subject_t *w, const image_t *image, uint32_t *at)
{
    uint8_t digest[32];
    ota_t *o = &w->ota;
    ota_err_t err = ota_survey(o);
    while (!err && o->phase != OTA_FOUND)
        err = ota_step(o);
    if (!done(w, "survey", (int)err)) return false;
    *at = 0;
    if (o->at > image->len) return true;
    digest_of(image->bytes, o->at, digest);
    if (memcmp(digest, o->buf, 32) == 0) *at = o->at;
    return true;
}

static bool transfer(subject_t *w, const image_t *image, uint32_t part, bool resume)
{
    ota_t *o = &w->ota;
    uint32_t at = 0;
    ota_init(o, &w->cfg);
    w->model.trial = NO_IMAGE;
    if (resume && !survey(w, image, &at)) return false;
    if (w->verbose) printf("update of slot %u from byte %u\n", o->slot, (unsigned)at);
    ota_err_t err = (at > 0) ? ota_resume(o) : ota_begin(o, image->len);
    while (!err && at < part) {
        at += (uint32_t)ota_write(o, image->bytes + at, smaller(1000, part - at));
        err = ota_step(o);
    }
    return done(w, "update", (int)err);
}

bool subject_begin_update(subject_t *w, int image, uint32_t part)
{
    return transfer(w, &w->image[image], part, false);
}

/// `number` is in the slot after the running one: from ota_finish() or ota_recheck() to ota_activate().
static bool verify_and_activate(subject_t *w, int number, ota_err_t err)
{
    ota_t *o = &w->ota;
    while (!err && ota_busy(o))
        err = ota_step(o);
    if (!done(w, "update", (int)err)) return false;
    w->model.trial = number;
    w->model.activated = MAYBE;
    w->model.confirms = w->model.rejected = NO;
    w->model.starts_min = w->model.starts_max = 0;
    err = ota_activate(o);
    if (!err) w->model.activated = YES;
    tell(w, "  activated");
    return done(w, "activate", (int)err);
}

bool subject_update(subject_t *w, int number, bool resume)
{
    const image_t *image = &w->image[number];
    if (!transfer(w, image, image->len, resume)) return false;
    return verify_and_activate(w, number, ota_finish(&w->ota));
}

bool subject_reactivate(subject_t *w, int number)
{
    ota_init(&w->ota, &w->cfg);
    w->model.trial = NO_IMAGE;
    return verify_and_activate(w, number, ota_recheck(&w->ota));
}

bool subject_update_bad_sector(subject_t *w, int number)
{
    const image_t *image = &w->image[number];
    ota_t *o = &w->ota;
    const uint32_t slot = (uint32_t)(w->cfg.running + 1) % w->layout.slots;
    const uint32_t bad = w->layout.slot[slot].at / sector_size(w) + 1;
    sim_flash_spoil(&w->sim, bad, SIM_FLASH_STICKS, 0);
    bool alive = transfer(w, image, image->len, false);
    ota_err_t err = alive ? ota_finish(o) : OTA_OK;
    while (alive && !err && ota_busy(o))
        err = ota_step(o);
    sim_flash_spoil(&w->sim, bad, SIM_FLASH_GOOD, 0);
    if (w->sim.fired) return false;
    if (err != OTA_ERR_IMAGE) subject_fail(w, "what cannot be read back gives %d", (int)err);
    return true;
}

bool subject_erase(subject_t *w)
{
    ota_t *o = &w->ota;
    ota_init(o, &w->cfg);
    ota_err_t err = ota_erase(o);
    while (!err && o->phase != OTA_ERASED)
        err = ota_step(o);
    if (!done(w, "erase", (int)err)) return false;
    const esp_extent_t e = extent(w, (int)o->slot);
    if (!flash_is_blank(w->sim.mem + e.at, e.size)) subject_fail(w, "erase: it is not blank");
    return true;
}

bool subject_confirm(subject_t *w)
{
    const unsigned before = sim_flash_changes(&w->sim);
    w->model.confirms = MAYBE;
    const int err = ota_confirm(&w->cfg);
    // As ota.h promises: from the second change on nothing takes it back.
    if (err && sim_flash_changes(&w->sim) > before + 1) w->model.confirms = YES;
    tell(w, "  confirmed");
    if (!err) {
        w->model.confirmed = w->model.trial;
        w->model.trial = NO_IMAGE;
        judge_counter(w);
    }
    return done(w, "confirm", err);
}

bool subject_reject(subject_t *w)
{
    w->model.rejected = MAYBE;
    w->model.starts_min = 0; // as when the bootloader gives it up
    const int err = ota_reject(&w->cfg);
    if (!err) w->model.rejected = YES;
    tell(w, "  rejected");
    return done(w, "reject", err);
}
