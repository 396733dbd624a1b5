// fuzz_ota.c - a fuzzer of the update engine: tester, application, bootloader, power and a flash that fails.
// SPDX-License-Identifier: Apache-2.0
//
// Whatever happens, what starts is the image that was confirmed last, or the one that was activated last, and it is intact.
// Each byte of the input is a step, the ones behind it its details.
//
// links: test/fuzz/esp_parts.c ports/psa/crypto_psa.c
#include "esp_parts.h"
#include "fuzz.h"
#include "ota.h"
#include "ota_boot.h"
#include "ota_select.h"

enum { SECTOR = 512, SLOT = 5 * SECTOR, SIZE = 2 * SECTOR + 2 * SLOT, NONE = -1 };

typedef struct {
    fuzz_flash_t f;
    uint8_t mem[SIZE];
    esp_layout_t layout;
    ota_cfg_t cfg;
    ota_t ota;
    uint8_t image[SLOT]; // the one that the tester has
    uint32_t len, sent;
    int id;          // its number
    int good, fresh; // the images that may start: confirmed last, activated since or NONE
    int active;      // the image that ota_activate() was called for, and nothing else since
    bool on_trial;
    bool spoilt; // wrong bytes were sent
} device_t;

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

/// Image `id`: 400 bytes and more, up to nearly the whole slot, some of it blank.
static uint32_t make_image(uint8_t image[SLOT], int id)
{
    static const uint16_t more[] = { 0, 512, 2000, 108, 624, 1500, 60, 1140 };
    const uint32_t len = more[id % 8];
    memset(image, 0xFF, SLOT);
    fuzz_image(image, (uint8_t)id);
    image[1] = 3;
    store_le32(image + 360, 0x3FC90000);
    store_le32(image + 364, len);
    for (uint32_t i = 0; i < len; i++)
        image[368 + i] = (i / 128 % 3 == 1) ? 0xFF : (uint8_t)(i * 7 + (uint32_t)id);
    const uint32_t whole = fuzz_image_repair(image, SLOT);
    must(whole > 0, "an image that does not fit");
    memset(image + whole, 0xFF, SLOT - whole);
    return whole;
}

/// Never one that may be running: which one starts could not be told.
static void choose_image(device_t *d, int id)
{
    while (id == d->good || id == d->fresh)
        id = (id + 1) % 256;
    d->id = id;
    d->len = make_image(d->image, id);
    d->sent = 0;
}

// --- Power ---

static void start(device_t *d)
{
    ota_boot_t boot;
    ota_boot_choose(&boot, &d->cfg);
    if (d->f.dead) return;
    must(boot.slot == 0 || boot.slot == 1, "nothing starts");
    static uint8_t image[SLOT];
    const uint8_t *runs = d->mem + d->layout.slot[boot.slot].at;
    const int id = runs[48];
    const uint32_t len = make_image(image, id);
    must(memcmp(runs, image, len) == 0, "what starts is not intact");
    must(id == d->good || id == d->fresh, "what starts is neither old nor new");
    must(id == d->good || boot.on_trial || d->active == NONE,
         "confirmed without having been asked");
    d->cfg.running = boot.slot;
    d->on_trial = boot.on_trial;
    if (id == d->fresh && !boot.on_trial) {
        d->good = id;
        d->fresh = NONE;
    }
    ota_init(&d->ota, &d->cfg);
}

static void restart(device_t *d)
{
    // Power may fail again while it starts.
    for (unsigned i = 0; d->f.dead && i < 4; i++) {
        const uint32_t chance = d->f.chance * 1664525 + 1013904223;
        fuzz_power_on(&d->f);
        if (i < 3 && (chance >> 16 & 1)) fuzz_cut(&d->f, 1 + (chance >> 17) % 4, chance);
        start(d);
    }
    d->f.left = 0;
}

static void begin(device_t *d, fuzz_bytes_t *in)
{
    memset(d, 0, sizeof *d);
    memset(d->mem, 0xFF, sizeof d->mem);
    fuzz_flash_init(&d->f, d->mem, SIZE, SECTOR);
    d->layout.slots = 2;
    d->layout.slot[0] = (esp_extent_t){ 2 * SECTOR, SLOT };
    d->layout.slot[1] = (esp_extent_t){ 2 * SECTOR + SLOT, SLOT };
    d->cfg = (ota_cfg_t){ .flash = &d->f.flash,
                          .crypto = fuzz_crypto(),
                          .layout = &d->layout,
                          .attempts = fuzz_byte(in) % 4,
                          .chip_id = 5,
                          .chip_rev = 3,
                          .efuse_rev = 100 };
    d->good = 0;
    d->fresh = d->active = NONE;
    (void)make_image(d->mem + d->layout.slot[0].at, 0);
    choose_image(d, 1);
    start(d);
}

// --- What tester and application do ---

static void work(device_t *d, unsigned steps)
{
    for (unsigned i = 0; i < steps && !d->f.dead && ota_busy(&d->ota); i++)
        (void)ota_step(&d->ota);
}

static void send(device_t *d, uint32_t n, bool wrong)
{
    while (n > 0 && !d->f.dead && d->sent < SLOT) {
        uint8_t piece[256];
        const size_t len = smaller(smaller(n, sizeof piece), SLOT - d->sent);
        memcpy(piece, d->image + d->sent, len);
        if (wrong) piece[0] ^= 1;
        const size_t taken = ota_write(&d->ota, piece, len);
        if (wrong && taken > 0 && d->sent < d->len) d->spoilt = true;
        wrong = wrong && taken == 0;
        d->sent += (uint32_t)taken;
        n -= (uint32_t)taken;
        if (taken < len) {
            if (!ota_busy(&d->ota)) return;
            (void)ota_step(&d->ota);
        }
    }
}

/// Goes on where an earlier update stopped, if that was of the same image.
static void resume(device_t *d)
{
    const crypto_t *crypto = fuzz_crypto();
    uint8_t digest[CRYPTO_SHA256_LEN];
    choose_image(d, d->id);
    if (ota_survey(&d->ota) != OTA_OK) return;
    work(d, 1000);
    if (d->ota.phase != OTA_FOUND) return;
    must(d->ota.at % SECTOR == 0 && d->ota.at < SLOT, "how much of it is usable");
    const uint32_t at = d->ota.at;
    must(crypto->start(crypto->ctx, CRYPTO_SHA256) && crypto->update(crypto->ctx, d->image, at) &&
             crypto->finish(crypto->ctx, digest),
         "the hash library");
    d->spoilt = false;
    const bool same = memcmp(digest, d->ota.buf, sizeof digest) == 0;
    d->sent = 0;
    if (!same || at == 0)
        (void)ota_begin(&d->ota, 0);
    else if (ota_resume(&d->ota) == OTA_OK)
        d->sent = at;
}

static void activate(device_t *d)
{
    if (d->ota.phase != OTA_VERIFIED) return;
    must(!d->spoilt, "wrong bytes were verified");
    // The engine takes no update while what runs is on trial. Even if power fails in the middle of it:
    d->good = d->mem[d->layout.slot[d->cfg.running].at + 48];
    d->fresh = d->active = d->id;
    (void)ota_activate(&d->ota);
}

/// After a decision that failed either image may be next, and another one comes too late.
static bool decides(device_t *d)
{
    const bool on_trial = d->on_trial;
    d->on_trial = false;
    return on_trial;
}

static void confirm(device_t *d)
{
    const bool on_trial = decides(d);
    d->active = NONE; // from now on it may be confirmed
    if (ota_confirm(&d->cfg) != 0 || d->f.dead || !on_trial) return;
    must(d->fresh != NONE, "something else was confirmed");
    d->good = d->fresh;
    d->fresh = NONE;
}

static void reject(device_t *d)
{
    const bool on_trial = decides(d);
    if (ota_reject(&d->cfg) == 0 && !d->f.dead && on_trial) d->fresh = NONE;
    d->f.dead = true; // it restarts in any case
}

static void step(device_t *d, fuzz_bytes_t *in)
{
    const uint8_t what = fuzz_byte(in);
    if (what & 0x80) {
        fuzz_cut(&d->f, 1 + fuzz_byte(in) % 32u, fuzz_u32(in));
        d->f.survives = what & 0x40;
    }
    switch (what % 16) {
    case 0:
        d->spoilt = false;
        choose_image(d, d->id);
        (void)ota_begin(&d->ota, (what & 0x10) ? d->len : 0);
        break;
    case 1: send(d, fuzz_byte(in) * 8u, false); break;
    case 2: send(d, SLOT, false); break;
    case 3: send(d, d->len - (uint32_t)smaller(d->sent, d->len), false); break;
    case 4: send(d, 1 + fuzz_byte(in), true); break;
    case 5: work(d, fuzz_byte(in) % 16); break;
    case 6:
        if (d->ota.phase == OTA_OPEN) (void)ota_finish(&d->ota);
        work(d, 1000);
        break;
    case 7: activate(d); break;
    case 8: confirm(d); break;
    case 9: reject(d); break;
    case 10: resume(d); break;
    case 11:
        (void)ota_erase(&d->ota);
        work(d, (what & 0x20) ? 3 : 1000);
        break;
    case 12: ota_abort(&d->ota); break;
    case 13:
        ota_abort(&d->ota);
        choose_image(d, fuzz_byte(in));
        break;
    default: d->f.dead = true; break; // power is lost between two operations
    }
    restart(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static device_t d;
    fuzz_bytes_t in = { data, data + len };
    begin(&d, &in);
    while (in.at < in.end)
        step(&d, &in);
    d.f.dead = true;
    d.f.chance = 0;
    restart(&d);
    return 0;
}
