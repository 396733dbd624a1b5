// fuzz_otadata.c - a fuzzer of the boot record: any bytes in it, any slots intact, then a life with power cuts.
// SPDX-License-Identifier: Apache-2.0
//
// The first bytes make the slots and the two records, each of the others a step.
//
// links: test/fuzz/esp_parts.c ports/psa/crypto_psa.c
#include "esp_parts.h"
#include "fuzz.h"
#include "ota.h"
#include "ota_boot.h"
#include "ota_select.h"

enum { SECTOR = 512, SLOTS = 4, FACTORY_AT = (2 + SLOTS) * SECTOR, SIZE = FACTORY_AT + SECTOR };

typedef struct {
    fuzz_flash_t f;
    uint8_t mem[SIZE];
    esp_layout_t layout;
    ota_cfg_t cfg;
    unsigned intact; // bit n: slot n, bit 31: factory
    int runs;        // slot, OTA_FACTORY or OTA_NOTHING
    bool on_trial;
} device_t;

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

static bool is_intact(const device_t *d, int slot)
{
    return slot != OTA_NOTHING && (d->intact >> (slot == OTA_FACTORY ? 31 : slot) & 1);
}

// --- How it begins ---

static void make_image(device_t *d, int slot, uint32_t at, unsigned kind)
{
    if (kind == 0) return; // blank
    fuzz_image(d->mem + at, (uint8_t)slot);
    if (kind == 1)
        d->mem[at + 200] ^= 4;
    else
        d->intact |= 1u << (slot == OTA_FACTORY ? 31 : slot);
}

static void make_record(fuzz_bytes_t *in, uint8_t *p)
{
    const uint8_t how = fuzz_byte(in);
    if (how % 4 == 0) return; // blank
    const uint32_t seq = (how & 0x40) ? fuzz_u32(in) : fuzz_byte(in) % 16u;
    const uint8_t state = fuzz_byte(in) % 7;
    store_le32(p, seq);
    store_le32(p + 24, (state == 6) ? UINT32_MAX : (uint32_t)state);
    // The CRC as ESP-IDF defines it, bit by bit.
    uint32_t crc = 0;
    for (unsigned bit = 0; bit < 32; bit++) {
        const uint32_t low = (crc ^ seq >> bit) & 1;
        crc = crc >> 1 ^ (low ? 0xEDB88320 : 0);
    }
    store_le32(p + 28, ~crc);
    if (how % 4 == 1) return;
    for (unsigned marks = fuzz_byte(in), at = 32; marks != 0; marks >>= 1, at += 16)
        if (marks & 1) memset(p + at, 0, 16);
    if (how % 4 == 2) return;
    for (unsigned n = fuzz_byte(in) % 32u; n > 0; n--) { // anything
        const unsigned at = fuzz_byte(in);
        p[at] = fuzz_byte(in);
    }
}

static void begin(device_t *d, fuzz_bytes_t *in)
{
    memset(d, 0, sizeof *d);
    memset(d->mem, 0xFF, sizeof d->mem);
    fuzz_flash_init(&d->f, d->mem, SIZE, SECTOR);
    const uint8_t shape = fuzz_byte(in);
    d->layout.slots = 2 + shape % 3u;
    if (shape & 0x80) {
        d->layout.factory = (esp_extent_t){ FACTORY_AT, SECTOR };
        make_image(d, OTA_FACTORY, FACTORY_AT, (shape & 0x60) ? 2 : 1);
    }
    const uint8_t kinds = fuzz_byte(in);
    for (unsigned i = 0; i < d->layout.slots; i++) {
        d->layout.slot[i] = (esp_extent_t){ (2 + i) * SECTOR, SECTOR };
        make_image(d, (int)i, (2 + i) * SECTOR, kinds >> 2 * i & 3);
    }
    make_record(in, d->mem);
    make_record(in, d->mem + SECTOR);
    d->cfg = (ota_cfg_t){ .flash = &d->f.flash,
                          .crypto = fuzz_crypto(),
                          .layout = &d->layout,
                          .attempts = shape >> 3 & 3,
                          .running = OTA_NOTHING,
                          .chip_id = 5,
                          .chip_rev = 3,
                          .efuse_rev = 100 };
    d->runs = OTA_NOTHING;
}

// --- What must be true ---

static ota_select_t read_records(const device_t *d)
{
    ota_select_t sel;
    must(ota_select_read(&d->f.flash, &d->layout, &sel) == 0, "the records cannot be read");
    return sel;
}

/// Every slot once, the factory app if there is one, nothing else.
static void check_order(const device_t *d)
{
    const ota_select_t sel = read_records(d);
    int order[ESP_PARTITION_SLOTS_MAX + 1];
    const unsigned count = ota_select_order(&sel, &d->layout, order);
    uint32_t seen = 0;
    for (unsigned i = 0; i < count; i++) {
        const bool known = (order[i] == OTA_FACTORY)
                               ? d->layout.factory.size != 0
                               : order[i] >= 0 && order[i] < (int)d->layout.slots;
        must(known, "a slot that does not exist");
        const uint32_t bit = UINT32_C(1) << (order[i] == OTA_FACTORY ? 31 : order[i]);
        must(!(seen & bit), "a slot twice");
        seen |= bit;
    }
    must(count == d->layout.slots + (d->layout.factory.size != 0), "a slot is never tried");
}

static void start(device_t *d)
{
    ota_boot_t boot;
    ota_boot_choose(&boot, &d->cfg);
    d->cfg.running = d->runs = boot.slot;
    d->on_trial = boot.on_trial;
    if (d->f.dead) {
        d->runs = OTA_NOTHING;
        return;
    }
    must(boot.slot == OTA_NOTHING || is_intact(d, boot.slot), "a damaged image is started");
    must(boot.slot != OTA_NOTHING || d->intact == 0,
         "nothing is started, although something could");
    check_order(d);
}

/// What runs says that it works, and is then what starts, with nothing more to do.
static void settle(device_t *d)
{
    fuzz_power_on(&d->f);
    start(d);
    for (unsigned i = 0; i < 4; i++) { // one that can confirm nothing has up to three starts
        const int before = d->runs;
        const int err = d->on_trial ? ota_confirm(&d->cfg) : 0;
        must(err == 0 || err == OTA_SELECT_EXHAUSTED, "confirming fails");
        const bool confirms = d->on_trial && err == 0;
        start(d);
        must(!confirms || (d->runs == before && !d->on_trial), "a confirmation is lost");
    }
    const int before = d->runs;
    fuzz_power_on(&d->f);
    start(d);
    must(d->runs == before, "another slot every time");
    must(d->f.changes == 0 || read_records(d).record[0].seq >= UINT32_MAX - 16 ||
             read_records(d).record[1].seq >= UINT32_MAX - 16,
         "the boot record is written at every start");
}

// --- Steps ---

static void append(device_t *d, unsigned slot, uint32_t state)
{
    const ota_select_t before = read_records(d);
    uint8_t ruling[SECTOR];
    memcpy(ruling, d->mem + (before.active == 1 ? SECTOR : 0), sizeof ruling);
    const int err = ota_select_append(&d->f.flash, &d->layout, slot, state);
    if (before.active >= 0)
        must(memcmp(ruling, d->mem + (before.active == 1 ? SECTOR : 0), sizeof ruling) == 0,
             "the record that rules was touched");
    if (d->f.dead || err == OTA_SELECT_EXHAUSTED) return;
    must(err == 0, "a record cannot be written");
    const ota_select_t sel = read_records(d);
    must(sel.active >= 0 && sel.record[sel.active].slot == slot &&
             sel.record[sel.active].state == state,
         "the new record does not rule");
}

static void retire(device_t *d, unsigned slot)
{
    const int err = ota_select_retire(&d->f.flash, &d->layout, slot, d->runs);
    if (d->f.dead || err == OTA_SELECT_EXHAUSTED) return;
    must(err == 0, "a slot cannot be retired");
    const ota_select_t sel = read_records(d);
    for (unsigned i = 0; i < 2; i++)
        must(!sel.record[i].valid || sel.record[i].slot != slot, "a record about a retired slot");
}

/// True if nothing speaks against starting it: intact, not rejected, and no trial of its own to fail.
static bool is_good(const device_t *d, const ota_select_t *sel, int slot)
{
    for (unsigned i = 0; i < 2; i++) {
        const ota_record_t *r = &sel->record[i];
        if (r->valid && (int)r->slot == slot && ota_select_on_trial(r)) return false;
    }
    return is_intact(d, slot) && !ota_select_rejects(sel, slot);
}

/// The application rejects itself: it is not started again if a good one is there.
static void reject(device_t *d)
{
    const int was = d->runs;
    const ota_select_t sel = read_records(d);
    const ota_record_t *r = &sel.record[sel.active == 1];
    const bool on_trial = sel.active >= 0 && (int)r->slot == was && ota_select_on_trial(r);
    bool other = is_intact(d, OTA_FACTORY);
    for (int i = 0; i < (int)d->layout.slots; i++)
        other = other || (i != was && is_good(d, &sel, i));
    const int err = ota_reject(&d->cfg);
    if (d->f.dead) return;
    must(err == 0, "a slot cannot be rejected");
    if (!on_trial) return;
    start(d);
    must(d->f.dead || !other || d->runs != was, "a rejected image is started");
}

static void step(device_t *d, fuzz_bytes_t *in)
{
    const uint8_t what = fuzz_byte(in), which = fuzz_byte(in);
    const unsigned slot = which % d->layout.slots;
    // Some steps are cut off; the next one is the next power-on.
    if (what & 0x80) fuzz_cut(&d->f, 1 + which / 64u, fuzz_u32(in));
    switch (what % 8) {
    case 0: start(d); break;
    case 1: append(d, slot, OTA_STATE_NEW); break;
    case 2: append(d, slot, OTA_STATE_VALID); break;
    case 3: // a new image needs somebody to write it
        if (d->runs != OTA_NOTHING && d->runs != (int)slot && !d->on_trial) retire(d, slot);
        break;
    case 4:
        if (d->runs >= 0) (void)ota_confirm(&d->cfg);
        break;
    case 5:
        if (d->runs >= 0) reject(d);
        break;
    case 6:
        if (!is_intact(d, (int)slot)) make_image(d, (int)slot, (2 + slot) * SECTOR, 2);
        break;
    default: // flash ages, and a bit that was 0 is 1
        d->mem[(2 + slot) * SECTOR + 100] |= 1;
        d->intact &= ~(1u << slot);
        if (d->runs == (int)slot) d->runs = OTA_NOTHING;
        break;
    }
    if (!d->f.dead) {
        fuzz_cut(&d->f, 0, 0);
        return;
    }
    fuzz_power_on(&d->f);
    start(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static device_t d;
    fuzz_bytes_t in = { data, data + len };
    begin(&d, &in);
    check_order(&d);
    while (in.at < in.end)
        step(&d, &in);
    settle(&d);
    return 0;
}
