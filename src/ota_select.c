// ota_select.c - the boot record: see ota_select.h.
// SPDX-License-Identifier: Apache-2.0
//
// Sector i of otadata:  +0 seq  +4 label[20]  +24 state  +28 crc(seq), then marks of 16 bytes each:
//     +32, +48, +64 started  +80, +96, +112, +128 confirmed  +144 complete
//     +160 no record here, erased to the end
//
// What makes a cut harmless, even if the cells that were being changed read differently ever after:
//   - a new record goes to the sector whose record does not rule, so the ruling one is there until
//     the new one is;
//   - its second half (state, crc) is programmed before its first (seq): a torn first half fails
//     the CRC, because a CRC-32 finds every change of a 4-byte value, and a torn second half has no
//     seq yet and counts as blank;
//   - the mark of completion comes last and repeats seq and state. A record without one reads well
//     today; the next start marks it, and from then on it can be read whatever becomes of its seq;
//   - the CRC does not cover the state, and a torn erase changes it: a state that nobody knows makes
//     a record invalid, and so does one that goes with no mark of start or confirmation, and a
//     rejection beside the completion of something else;
//   - a mark of a start counts as soon as it is not blank, which at worst costs the new image a
//     start. One of confirmation must be whole: an erase may begin by programming all bits to 0, and
//     must not confirm anything. Bits that no mark clears show that the record was being erased;
//   - a confirmed record goes when a VALID one has taken its place. Either of them may be torn: the
//     VALID one is not if it is complete and its seq tells that it was written behind the last mark
//     of confirmation. Else the confirmed one is not: it is marked again, in the next place, and the
//     VALID one is written anew with a seq that goes with that;
//   - what is not a record is erased at the next start, before it can change its mind; even if it
//     reads as blank, unless a mark says that its erase was completed.
#include "ota_select.h"

#include "crc32.h"

enum {
    AT_STATE = 24,
    AT_CRC = 28,
    AT_STARTS = OTA_RECORD_LEN,
    AT_CONFIRMED = AT_STARTS + OTA_STARTS_MAX * FLASH_UNIT,
    PLACES = OTA_STARTS_MAX + 1, // for marks of confirmation
    AT_COMPLETE = AT_CONFIRMED + PLACES * FLASH_UNIT,
    AT_WIPED = AT_COMPLETE + FLASH_UNIT,
    USED_LEN = AT_WIPED + FLASH_UNIT,
};
#define SEQ_BLANK UINT32_MAX

typedef struct {
    uint8_t byte[FLASH_UNIT];
} unit_t;

static uint32_t sector_at(const flash_t *flash, const esp_layout_t *layout, int i)
{
    return layout->otadata_at + (uint32_t)i * flash->sector_size;
}

static uint32_t crc_of_seq(const uint8_t raw[4]) { return crc32_of(0, raw, 4); }

static bool is_rejected(const ota_record_t *r)
{
    return r->state == OTA_STATE_INVALID || r->state == OTA_STATE_ABORTED;
}

static bool in_trial_state(const ota_record_t *r)
{
    return r->state == OTA_STATE_NEW || r->state == OTA_STATE_PENDING;
}

// --- Marks ---

static unit_t mark(const char text[FLASH_UNIT + 1], uint32_t seq)
{
    unit_t m;
    memcpy(m.byte, text, FLASH_UNIT);
    store_le32(m.byte, seq);
    return m;
}

static unit_t mark_of_confirmation(uint32_t seq) { return mark("....is confirmed", seq); }

// Neither kind of torn erase turns a state into another one and this byte as well.
static unit_t mark_of_completion(uint32_t seq, uint32_t state)
{
    unit_t m = mark("....?is complete", seq);
    m.byte[4] = (uint8_t)~state;
    return m;
}

static unit_t mark_of_wiping(void) { return mark("....is all blank", 0); }

static bool is_mark(const uint8_t *unit, unit_t m) { return memcmp(unit, m.byte, FLASH_UNIT) == 0; }

/// Not even a part of the mark: bits are 0 that programming it leaves alone.
static bool is_spoilt(const uint8_t *unit, unit_t m)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < FLASH_UNIT; i++)
        missing |= m.byte[i] & ~(unsigned)unit[i];
    return missing != 0;
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

const ota_record_t *ota_select_ruling(const ota_select_t *sel, int slot)
{
    const ota_record_t *r = (sel->active >= 0) ? &sel->record[sel->active] : NULL;
    return (r && (int)r->slot == slot) ? r : NULL;
}

/// The first half's seq, or if that cannot be read the completion's.
static ota_record_t read_record(const uint8_t raw[USED_LEN], unsigned slots)
{
    ota_record_t r = ota_select_decode(raw, slots);
    const uint32_t seq = load_le32(raw + AT_COMPLETE);
    if (!r.valid && is_mark(raw + AT_COMPLETE, mark_of_completion(seq, r.state))) {
        uint8_t repaired[OTA_RECORD_LEN];
        memcpy(repaired, raw, sizeof repaired);
        store_le32(repaired, seq);
        r = ota_select_decode(repaired, slots);
    }
    r.whole = r.valid && is_mark(raw + AT_COMPLETE, mark_of_completion(r.seq, r.state));
    return r;
}

static void read_trial(const uint8_t raw[USED_LEN], ota_record_t *r)
{
    const unit_t confirmed = mark_of_confirmation(r->seq);
    const uint8_t *unit = raw + AT_STARTS;
    for (; r->starts < OTA_STARTS_MAX && !flash_is_blank(unit, FLASH_UNIT); unit += FLASH_UNIT)
        r->starts++;
    unit = raw + AT_CONFIRMED;
    for (unsigned place = 1; place <= PLACES; place++, unit += FLASH_UNIT) {
        if (is_mark(unit, confirmed)) r->confirmed = place;
        if (is_spoilt(unit, confirmed)) r->valid = false;
    }
    // ESP-IDF's bootloader, which makes it PENDING, makes no marks.
    if (r->state == OTA_STATE_PENDING && r->starts > 0) r->valid = false;
}

static ota_record_t read_sector(const uint8_t raw[USED_LEN], unsigned slots)
{
    ota_record_t r = read_record(raw, slots);
    const bool completed = !flash_is_blank(raw + AT_COMPLETE, FLASH_UNIT);
    if (in_trial_state(&r))
        read_trial(raw, &r);
    else if (is_rejected(&r) ? completed && !r.whole
                             : !flash_is_blank(raw + AT_STARTS, AT_COMPLETE - AT_STARTS))
        r.valid = false;
    r.wiped = flash_is_blank(raw, AT_WIPED) && is_mark(raw + AT_WIPED, mark_of_wiping());
    r.torn = !r.valid && !r.wiped && !flash_is_blank(raw, USED_LEN);
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

// The newer of the records about a slot speaks for it; but a confirmed one is not replaced by a
// rejection: that is a VALID one, torn.
const ota_record_t *ota_select_about(const ota_select_t *sel, int slot)
{
    const ota_record_t *about = ota_select_ruling(sel, slot);
    if (about) return about;
    for (int i = 0; i < 2; i++) {
        const ota_record_t *r = &sel->record[i];
        if (r->valid && (int)r->slot == slot && (!about || r->seq > about->seq)) about = r;
    }
    return about;
}

bool ota_select_rejects(const ota_select_t *sel, int slot)
{
    const ota_record_t *about = NULL;
    for (int i = 0; i < 2; i++) {
        const ota_record_t *r = &sel->record[i];
        if (!r->valid || (int)r->slot != slot) continue;
        if (r->confirmed) return false;
        if (!about || r->seq > about->seq) about = r;
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

static int program(const flash_t *flash, uint32_t at, unit_t m)
{
    return flash->prog(flash->ctx, at, m.byte, FLASH_UNIT);
}

static int is_blank_unit(const flash_t *flash, uint32_t at, bool *blank)
{
    unit_t u;
    const int err = flash->read(flash->ctx, at, u.byte, FLASH_UNIT);
    *blank = !err && flash_is_blank(u.byte, FLASH_UNIT);
    return err;
}

static int wipe(const flash_t *flash, uint32_t at)
{
    const int err = flash->erase(flash->ctx, at);
    return err ? err : program(flash, at + AT_WIPED, mark_of_wiping());
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
    // If that fails, the next start tries it again.
    (void)program(flash, at + AT_COMPLETE, mark_of_completion(seq, state));
    return 0;
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
    const bool rules = ota_select_ruling(&sel, (int)slot) != NULL;
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
        if (r->valid ? every || r->slot == slot : !r->wiped)
            err = wipe(flash, sector_at(flash, layout, i));
    }
    return err;
}

int ota_select_mark_start(const flash_t *flash, const esp_layout_t *layout)
{
    static const unit_t set;
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0 || sel.record[sel.active].starts == OTA_STARTS_MAX) return err;
    const uint32_t at = AT_STARTS + sel.record[sel.active].starts * FLASH_UNIT;
    return program(flash, sector_at(flash, layout, sel.active) + at, set);
}

/// Gives a record that reads well the mark of completion that it lacks; anew if that is torn itself.
static int complete(const flash_t *flash, const esp_layout_t *layout, const ota_select_t *sel)
{
    const ota_record_t *r = &sel->record[sel->active];
    const uint32_t at = sector_at(flash, layout, sel->active) + AT_COMPLETE;
    bool blank;
    if (r->whole) return 0;
    const int err = is_blank_unit(flash, at, &blank);
    if (blank) return program(flash, at, mark_of_completion(r->seq, r->state));
    if (err || in_trial_state(r)) return err; // on trial: it is replaced when it is confirmed
    return ota_select_append(flash, layout, r->slot, r->state);
}

/// In the place behind the last one used, `place`, counted from 1. If none is left: nothing; what
/// follows must do without.
static int mark_confirmed(const flash_t *flash, uint32_t sector, uint32_t seq, unsigned *place)
{
    const uint32_t first = sector + AT_CONFIRMED;
    for (*place = PLACES; *place > 0; --*place) {
        bool blank;
        const int err = is_blank_unit(flash, first + (*place - 1) * FLASH_UNIT, &blank);
        if (err) return err;
        if (!blank) break;
    }
    if (*place == PLACES) return 0;
    ++*place;
    return program(flash, first + (*place - 1) * FLASH_UNIT, mark_of_confirmation(seq));
}

/// Confirms the record of index `trial`, and writes a VALID one in its place.
static int replace(const flash_t *flash, const esp_layout_t *layout, const ota_select_t *sel,
                   int trial)
{
    const uint32_t at = sector_at(flash, layout, trial);
    const uint32_t seq = sel->record[trial].seq;
    unsigned place;
    if (seq >= SEQ_BLANK - PLACES * layout->slots) return OTA_SELECT_EXHAUSTED;
    int err = mark_confirmed(flash, at, seq, &place);
    if (!err)
        err = write_record(flash, sector_at(flash, layout, 1 - trial), seq + place * layout->slots,
                           OTA_STATE_VALID);
    return err ? err : wipe(flash, at);
}

/// The other record says what the confirmed one, `trial`, says, and was not torn.
static bool is_replaced(const ota_select_t *sel, int trial, unsigned slots)
{
    const ota_record_t *r = &sel->record[trial];
    const ota_record_t *other = &sel->record[1 - trial];
    return sel->active != trial && other->whole && other->seq - r->seq >= r->confirmed * slots;
}

/// The record that was confirmed on trial and still there, -1: none.
static int unsettled(const ota_select_t *sel)
{
    if (sel->record[sel->active].confirmed) return sel->active;
    const int other = 1 - sel->active;
    const bool same = other_speaks_for(sel, sel->record[sel->active].slot);
    return (same && sel->record[other].confirmed) ? other : -1;
}

int ota_select_settle(const flash_t *flash, const esp_layout_t *layout, int slot)
{
    ota_select_t sel;
    int err = ota_select_read(flash, layout, &sel);
    for (int i = 0; i < 2 && !err; i++)
        if (!sel.record[i].valid && !sel.record[i].wiped)
            err = wipe(flash, sector_at(flash, layout, i));
    if (err || !ota_select_ruling(&sel, slot)) return err;
    const int trial = unsettled(&sel);
    if (trial < 0) return complete(flash, layout, &sel);
    return is_replaced(&sel, trial, layout->slots) ? wipe(flash, sector_at(flash, layout, trial))
                                                   : replace(flash, layout, &sel, trial);
}

int ota_select_confirm(const flash_t *flash, const esp_layout_t *layout)
{
    ota_select_t sel;
    const int err = ota_select_read(flash, layout, &sel);
    if (err || sel.active < 0) return err;
    const ota_record_t *r = &sel.record[sel.active];
    return in_trial_state(r) ? replace(flash, layout, &sel, sel.active)
                             : ota_select_settle(flash, layout, (int)r->slot);
}
