// ota_select.c - the boot record: see ota_select.h.
// SPDX-License-Identifier: Apache-2.0
//
// Sector i of otadata:  +0 seq  +4 label[20]  +24 state  +28 crc(seq)
//     +32, +48, +64 marks of starts  +80, +96, +112 of confirmation  +128 of completion, 16 bytes each
//
// What makes a cut harmless, even if the cells that were being changed read differently ever after:
//   - a new record goes to the sector whose record does not rule, so the ruling one is there until
//     the new one is;
//   - its second half (state, crc) is programmed before its first (seq): a torn first half fails
//     the CRC, because a CRC-32 finds every change of a 4-byte value, and a torn second half has no
//     seq yet and counts as blank;
//   - the mark of completion comes last and repeats the seq. A record without one reads well today;
//     the next start marks it, and from then on it can be read whatever becomes of the first half;
//   - the CRC does not cover the state, and a torn erase changes it: a state that nobody knows makes
//     a record invalid, and so does one that goes with no mark of start or confirmation;
//   - a mark of a start counts as soon as it is not blank, which at worst costs the new image a
//     start. The others must be whole: an erase may begin by programming all bits to 0, and must not
//     confirm anything. A confirmation that was cut off leaves room for that of the next start;
//   - while a confirmed record is still on trial, the VALID one beside it may be the torn result of
//     an earlier attempt: it is written again before the first is erased;
//   - torn records are erased at the next start, before they can change their mind.
#include "ota_select.h"

#include "crc32.h"

enum {
    AT_STATE = 24,
    AT_CRC = 28,
    AT_STARTS = OTA_RECORD_LEN,
    AT_CONFIRMED = AT_STARTS + OTA_STARTS_MAX * FLASH_UNIT,
    AT_COMPLETE = AT_CONFIRMED + OTA_STARTS_MAX * FLASH_UNIT,
    USED_LEN = AT_COMPLETE + FLASH_UNIT,
};
#define SEQ_BLANK UINT32_MAX

typedef char mark_t[FLASH_UNIT + 1]; // its text; the first four bytes are the record's seq
static const mark_t CONFIRMED = "....is confirmed", COMPLETE = "....is all there";

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

static void make_mark(const mark_t text, uint32_t seq, uint8_t out[FLASH_UNIT])
{
    memcpy(out, text, FLASH_UNIT);
    store_le32(out, seq);
}

static bool is_marked(const uint8_t unit[FLASH_UNIT], const mark_t text, uint32_t seq)
{
    uint8_t mark[FLASH_UNIT];
    make_mark(text, seq, mark);
    return memcmp(unit, mark, FLASH_UNIT) == 0;
}

static bool in_trial_state(const ota_record_t *r)
{
    return r->state == OTA_STATE_NEW || r->state == OTA_STATE_PENDING;
}

bool ota_select_on_trial(const ota_record_t *r) { return in_trial_state(r) && !r->confirmed; }

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

static ota_record_t read_sector(const uint8_t raw[USED_LEN], unsigned slots)
{
    ota_record_t r = ota_select_decode(raw, slots);
    if (!r.valid && is_marked(raw + AT_COMPLETE, COMPLETE, load_le32(raw + AT_COMPLETE))) {
        uint8_t repaired[OTA_RECORD_LEN];
        memcpy(repaired, raw, sizeof repaired);
        memcpy(repaired, raw + AT_COMPLETE, sizeof r.seq);
        r = ota_select_decode(repaired, slots);
    }
    const uint8_t *start = raw + AT_STARTS;
    for (; r.starts < OTA_STARTS_MAX && !flash_is_blank(start, FLASH_UNIT); start += FLASH_UNIT)
        r.starts++;
    // Only images on trial are marked so, and starts not while they are PENDING. Another state is
    // what a torn erase of a record left.
    const uint32_t unmarked = (r.state == OTA_STATE_PENDING) ? AT_CONFIRMED : AT_COMPLETE;
    if (r.state != OTA_STATE_NEW && !is_rejected(&r) &&
        !flash_is_blank(raw + AT_STARTS, unmarked - AT_STARTS))
        r.valid = false;
    for (unsigned at = AT_CONFIRMED; at < AT_COMPLETE; at += FLASH_UNIT)
        r.confirmed |= in_trial_state(&r) && is_marked(raw + at, CONFIRMED, r.seq);
    r.whole = r.valid && is_marked(raw + AT_COMPLETE, COMPLETE, r.seq);
    r.torn = !r.valid && !flash_is_blank(raw, USED_LEN);
    return r;
}

int ota_select_read(const flash_t *flash, const esp_layout_t *layout, ota_select_t *out)
{
    for (int i = 0; i < 2; i++) {
        uint8_t raw[USED_LEN];
        const int err = flash->read(flash->ctx, sector_at(flash, layout, i), raw, sizeof raw);
        if (err) return err;
        out->record[i] = read_sector(raw, layout->slots);
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

static int program_mark(const flash_t *flash, uint32_t at, const mark_t text, uint32_t seq)
{
    uint8_t mark[FLASH_UNIT];
    make_mark(text, seq, mark);
    return flash->prog(flash->ctx, at, mark, FLASH_UNIT);
}

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
    if (err) return err;
    (void)program_mark(flash, at + AT_COMPLETE, COMPLETE, seq); // if it fails: the next start tries
    return 0;
}

/// With the next sequence number that means `slot`.
static int write_next(const flash_t *flash, const esp_layout_t *layout, const ota_select_t *sel,
                      int sector, unsigned slot, uint32_t state)
{
    const uint32_t base = (sel->newest >= 0) ? sel->record[sel->newest].seq : 0;
    const uint32_t step = (slot + layout->slots - base % layout->slots) % layout->slots + 1;
    if (step >= SEQ_BLANK - base) return OTA_SELECT_EXHAUSTED;
    return write_record(flash, sector_at(flash, layout, sector), base + step, state);
}

int ota_select_append(const flash_t *flash, const esp_layout_t *layout, unsigned slot,
                      uint32_t state)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err) return err;
    const int stays = (sel.active >= 0) ? sel.active : sel.newest;
    return write_next(flash, layout, &sel, (stays >= 0) ? 1 - stays : 0, slot, state);
}

int ota_select_reject(const flash_t *flash, const esp_layout_t *layout, uint32_t state)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0) return err;
    return write_record(flash, sector_at(flash, layout, sel.active), sel.record[sel.active].seq,
                        state);
}

/// The record that does not rule would let `slot` rule.
static bool other_speaks_for(const ota_select_t *sel, unsigned slot)
{
    const ota_record_t *other = &sel->record[1 - sel->active];
    return other->valid && !is_rejected(other) && other->slot == slot;
}

int ota_select_overrule(const flash_t *flash, const esp_layout_t *layout, unsigned slot)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err) return err;
    return (sel.active >= 0 && other_speaks_for(&sel, slot))
               ? ota_select_reject(flash, layout, OTA_STATE_ABORTED)
               : ota_select_append(flash, layout, slot, OTA_STATE_VALID);
}

int ota_select_retire(const flash_t *flash, const esp_layout_t *layout, unsigned slot, int running)
{
    ota_select_t sel;
    int err = ota_select_read(flash, layout, &sel);
    if (err) return err;
    const bool rules = sel.active >= 0 && sel.record[sel.active].slot == slot;
    if (rules && running >= 0 && !other_speaks_for(&sel, (unsigned)running)) {
        err = ota_select_append(flash, layout, (unsigned)running, OTA_STATE_VALID);
        if (!err) err = ota_select_read(flash, layout, &sel);
    }
    // The factory application has no records: it runs because no other one can, and still does so
    // when there are none. Were only the ruling one erased, the one before it would rule again.
    const bool every = rules && running < 0;
    const int last = (sel.active >= 0) ? sel.active : 0;
    for (int k = 0; k < 2 && !err; k++) {
        const int i = (k == 0) ? 1 - last : last;
        const ota_record_t *r = &sel.record[i];
        if (r->torn || (r->valid && (every || r->slot == slot)))
            err = flash->erase(flash->ctx, sector_at(flash, layout, i));
    }
    return err;
}

int ota_select_mark_start(const flash_t *flash, const esp_layout_t *layout)
{
    static const uint8_t set[FLASH_UNIT];
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0 || sel.record[sel.active].starts == OTA_STARTS_MAX) return err;
    const uint32_t at = AT_STARTS + sel.record[sel.active].starts * FLASH_UNIT;
    return flash->prog(flash->ctx, sector_at(flash, layout, sel.active) + at, set, sizeof set);
}

/// The record that was confirmed on trial and is still to be replaced, -1: none. One rules.
static int unsettled(const ota_select_t *sel)
{
    if (sel->record[sel->active].confirmed) return sel->active;
    const int other = 1 - sel->active;
    const bool same = other_speaks_for(sel, sel->record[sel->active].slot);
    return (same && sel->record[other].confirmed) ? other : -1;
}

/// Gives the active record the mark of completion that it lacks.
static int complete(const flash_t *flash, const esp_layout_t *layout, const ota_select_t *sel)
{
    const ota_record_t *r = &sel->record[sel->active];
    const uint32_t at = sector_at(flash, layout, sel->active) + AT_COMPLETE;
    uint8_t unit[FLASH_UNIT];
    const int err = flash->read(flash->ctx, at, unit, sizeof unit);
    if (err) return err;
    if (flash_is_blank(unit, sizeof unit)) return program_mark(flash, at, COMPLETE, r->seq);
    // The mark itself is torn. One on trial is replaced when it is confirmed.
    return in_trial_state(r) ? 0 : ota_select_append(flash, layout, r->slot, r->state);
}

int ota_select_settle(const flash_t *flash, const esp_layout_t *layout, int slot)
{
    ota_select_t sel;
    int err = ota_select_read(flash, layout, &sel);
    for (int i = 0; i < 2 && !err; i++)
        if (sel.record[i].torn) err = flash->erase(flash->ctx, sector_at(flash, layout, i));
    if (err || sel.active < 0 || (int)sel.record[sel.active].slot != slot) return err;
    const int trial = unsettled(&sel);
    if (trial < 0) return sel.record[sel.active].whole ? 0 : complete(flash, layout, &sel);
    err = write_next(flash, layout, &sel, 1 - trial, (unsigned)slot, OTA_STATE_VALID);
    return err ? err : flash->erase(flash->ctx, sector_at(flash, layout, trial));
}

/// Into the first place that no cut has spoilt; there is one more for each start.
static int mark_confirmed(const flash_t *flash, uint32_t sector, uint32_t seq)
{
    for (uint32_t at = sector + AT_CONFIRMED; at < sector + AT_COMPLETE; at += FLASH_UNIT) {
        uint8_t unit[FLASH_UNIT];
        const int err = flash->read(flash->ctx, at, unit, sizeof unit);
        if (err) return err;
        if (flash_is_blank(unit, sizeof unit)) return program_mark(flash, at, CONFIRMED, seq);
    }
    return OTA_SELECT_EXHAUSTED;
}

int ota_select_confirm(const flash_t *flash, const esp_layout_t *layout)
{
    ota_select_t sel;
    int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0) return err;
    const ota_record_t *r = &sel.record[sel.active];
    if (ota_select_on_trial(r))
        err = mark_confirmed(flash, sector_at(flash, layout, sel.active), r->seq);
    return err ? err : ota_select_settle(flash, layout, (int)r->slot);
}
