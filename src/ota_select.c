// ota_select.c - the boot record: see ota_select.h.
// SPDX-License-Identifier: Apache-2.0
//
// Sector i of otadata:  +0 seq  +4 label[20]  +24 state  +28 crc(seq)
//                       +32, +48, +64 marks of starts  +80 mark of confirmation, 16 bytes each
//
// What makes a cut harmless:
//   - a new record goes to the sector whose record does not rule, so the ruling one is there until
//     the new one is;
//   - its second half (state, crc) is programmed before its first (seq): a torn first half fails
//     the CRC, because a CRC-32 finds every change of a 4-byte value, and a torn second half has no
//     seq yet and counts as blank;
//   - the CRC does not cover the state, and a torn erase sets some of its bits: a state that nobody
//     knows makes a record invalid, and so does one that goes with no mark beside it;
//   - a mark is a whole unit: programmed in part it reads as set, which at worst costs the new
//     image one start.
#include "ota_select.h"

#include "crc32.h"

enum {
    AT_STATE = 24,
    AT_CRC = 28,
    AT_MARKS = OTA_RECORD_LEN,
    MARK_CONFIRMED = OTA_STARTS_MAX, // behind those of starts
    MARKS,
};
#define SEQ_BLANK UINT32_MAX

static uint32_t sector_at(const flash_t *flash, const esp_layout_t *layout, int i)
{
    return layout->otadata_at + (uint32_t)i * flash->sector_size;
}

static uint32_t crc_of_seq(const uint8_t raw[4]) { return crc32_of(0, raw, 4); }

static bool is_rejected(const ota_record_t *r)
{
    return r->state == OTA_STATE_INVALID || r->state == OTA_STATE_ABORTED;
}

// --- Reading ---

ota_record_t ota_select_decode(const uint8_t raw[OTA_RECORD_LEN], unsigned slots)
{
    ota_record_t r = { .seq = load_le32(raw), .state = load_le32(raw + AT_STATE) };
    // ESP-IDF takes a sector of four zero bytes for a record (crc 0xFFFFFFFF is blank flash, too);
    // we do not.
    r.valid = r.seq != 0 && r.seq != SEQ_BLANK && load_le32(raw + AT_CRC) == crc_of_seq(raw) &&
              (r.state <= OTA_STATE_ABORTED || r.state == OTA_STATE_UNDEFINED);
    if (r.valid) r.slot = (r.seq - 1) % slots;
    return r;
}

static bool is_marked(const uint8_t *raw, unsigned mark)
{
    return !flash_is_blank(&raw[AT_MARKS + mark * FLASH_UNIT], FLASH_UNIT);
}

bool ota_select_on_trial(const ota_record_t *r)
{
    return !r->confirmed && (r->state == OTA_STATE_NEW || r->state == OTA_STATE_PENDING);
}

void ota_select_rule(ota_select_t *sel)
{
    sel->active = sel->newest = -1;
    for (int i = 0; i < 2; i++) {
        const ota_record_t *r = &sel->record[i];
        if (!r->valid) continue;
        if (sel->newest < 0 || r->seq > sel->record[sel->newest].seq) sel->newest = i;
        if (is_rejected(r)) continue;
        if (sel->active < 0 || r->seq > sel->record[sel->active].seq) sel->active = i;
    }
}

int ota_select_read(const flash_t *flash, const esp_layout_t *layout, ota_select_t *out)
{
    for (int i = 0; i < 2; i++) {
        uint8_t raw[OTA_RECORD_LEN + MARKS * FLASH_UNIT];
        const int err = flash->read(flash->ctx, sector_at(flash, layout, i), raw, sizeof raw);
        if (err) return err;
        ota_record_t *r = &out->record[i];
        *r = ota_select_decode(raw, layout->slots);
        while (r->starts < OTA_STARTS_MAX && is_marked(raw, r->starts))
            r->starts++;
        r->confirmed = is_marked(raw, MARK_CONFIRMED);
        // Only images on trial are marked. Another state is what a torn erase of a record left.
        const bool marked = r->starts > 0 || (r->confirmed && r->state != OTA_STATE_PENDING);
        if (marked && r->state != OTA_STATE_NEW && !is_rejected(r)) r->valid = false;
    }
    ota_select_rule(out);
    return 0;
}

// The newer of the records about a slot speaks for it.
bool ota_select_rejects(const ota_select_t *sel, int slot)
{
    const ota_record_t *about = NULL;
    for (int i = 0; i < 2; i++) {
        const ota_record_t *r = &sel->record[i];
        if (r->valid && (int)r->slot == slot && (!about || r->seq > about->seq)) about = r;
    }
    return about && is_rejected(about);
}

unsigned ota_select_order(const ota_select_t *sel, const esp_layout_t *layout,
                          int order[ESP_PARTITION_SLOTS_MAX + 1])
{
    const bool has_factory = layout->factory.size != 0;
    const int first = (sel->active >= 0) ? (int)sel->record[sel->active].slot
                      : has_factory      ? OTA_FACTORY
                                         : 0;
    unsigned count = 0;
    for (int rejected = 0; rejected < 2; rejected++) {
        // ESP-IDF's order: down from the first one to 0, factory, then up.
        for (int slot = first; slot >= 0; slot--)
            if (ota_select_rejects(sel, slot) == rejected) order[count++] = slot;
        if (has_factory && !rejected) order[count++] = OTA_FACTORY;
        for (int slot = first + 1; slot < (int)layout->slots; slot++)
            if (ota_select_rejects(sel, slot) == rejected) order[count++] = slot;
    }
    return count;
}

// --- Writing ---

static int write_record(const flash_t *flash, uint32_t at, uint32_t seq, uint32_t state)
{
    uint8_t raw[OTA_RECORD_LEN];
    memset(raw, 0xFF, sizeof raw);
    store_le32(raw, seq);
    store_le32(raw + AT_STATE, state);
    store_le32(raw + AT_CRC, crc_of_seq(raw));
    int err = flash->erase(flash->ctx, at);
    if (!err) err = flash->prog(flash->ctx, at + FLASH_UNIT, raw + FLASH_UNIT, FLASH_UNIT);
    if (!err) err = flash->prog(flash->ctx, at, raw, FLASH_UNIT);
    return err;
}

int ota_select_append(const flash_t *flash, const esp_layout_t *layout, unsigned slot,
                      uint32_t state)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err) return err;
    const uint32_t base = (sel.newest >= 0) ? sel.record[sel.newest].seq : 0;
    const uint32_t step = (slot + layout->slots - base % layout->slots) % layout->slots + 1;
    if (step >= SEQ_BLANK - base) return OTA_SELECT_EXHAUSTED;
    const int stays = (sel.active >= 0) ? sel.active : sel.newest;
    const int sector = (stays >= 0) ? 1 - stays : 0;
    return write_record(flash, sector_at(flash, layout, sector), base + step, state);
}

int ota_select_retire(const flash_t *flash, const esp_layout_t *layout, unsigned slot, int running)
{
    ota_select_t sel;
    int err = ota_select_read(flash, layout, &sel);
    if (err) return err;
    const bool rules = sel.active >= 0 && sel.record[sel.active].slot == slot;
    if (rules && running >= 0) {
        err = ota_select_append(flash, layout, (unsigned)running, OTA_STATE_VALID);
        if (!err) err = ota_select_read(flash, layout, &sel);
    }
    // The factory application has no records: it runs because no other one can, and still does so
    // when there are none. Were only the ruling one erased, the one before it would rule again.
    const bool every = rules && running < 0;
    const int last = (sel.active >= 0) ? sel.active : 0;
    for (int k = 0; k < 2 && !err; k++) {
        const int i = (k == 0) ? 1 - last : last;
        if (sel.record[i].valid && (every || sel.record[i].slot == slot))
            err = flash->erase(flash->ctx, sector_at(flash, layout, i));
    }
    return err;
}

static int program_mark(const flash_t *flash, const esp_layout_t *layout, int record, unsigned mark)
{
    static const uint8_t set[FLASH_UNIT];
    const uint32_t at = sector_at(flash, layout, record) + AT_MARKS;
    return flash->prog(flash->ctx, at + mark * FLASH_UNIT, set, sizeof set);
}

int ota_select_mark_start(const flash_t *flash, const esp_layout_t *layout)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0 || sel.record[sel.active].starts == OTA_STARTS_MAX) return err;
    return program_mark(flash, layout, sel.active, sel.record[sel.active].starts);
}

int ota_select_mark_confirmed(const flash_t *flash, const esp_layout_t *layout)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0 || sel.record[sel.active].confirmed) return err;
    return program_mark(flash, layout, sel.active, MARK_CONFIRMED);
}

int ota_select_reject(const flash_t *flash, const esp_layout_t *layout, uint32_t state)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0) return err;
    return write_record(flash, sector_at(flash, layout, sel.active), sel.record[sel.active].seq,
                        state);
}
