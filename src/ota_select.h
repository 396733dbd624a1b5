// ota_select.h - which slot boots: ESP-IDF's otadata, written so that no power cut can hurt.
// SPDX-License-Identifier: Apache-2.0
//
//     ota_select_t sel;
//     int order[ESP_PARTITION_SLOTS_MAX + 1];
//     int err = ota_select_read(&flash, &layout, &sel);
//     if (!err) count = ota_select_order(&sel, &layout, order); // as a bootloader tries them
//     if (!err) err = ota_select_append(&flash, &layout, slot, OTA_STATE_NEW); // boots next
//
// otadata is two flash sectors with one 32-byte record each; the valid one with the higher sequence
// number rules. ESP-IDF changes a record's state by erasing and rewriting it, and forgets the
// decision if power fails in between. Here a record is only erased when the other one says all that
// must not be forgotten.
//
// Threads: none inside. Memory: the caller's. Time: at most one erase and three programs a call; three
// times that in ota_select_retire(), ota_select_settle() and ota_select_confirm().
#ifndef OTA_SELECT_H
#define OTA_SELECT_H

#include "base.h"
#include "esp_partition.h"
#include "flash.h"

/// States as ESP-IDF numbers them (esp_ota_img_states_t). A record with any
/// other value is not valid.
enum {
    OTA_STATE_NEW = 0,     // activated, never started
    OTA_STATE_PENDING = 1, // started, not yet confirmed (ESP-IDF's bootloader; ours marks starts)
    OTA_STATE_VALID = 2,   // confirmed by the application
    OTA_STATE_INVALID = 3, // rejected by the application
    OTA_STATE_ABORTED = 4, // rejected by the bootloader: started, never confirmed
};
#define OTA_STATE_UNDEFINED UINT32_MAX // rollback is not used

enum { OTA_RECORD_LEN = 32 };

typedef struct {
    bool valid;      // CRC right, sequence neither blank nor 0
    uint32_t seq;    // 1..0xFFFFFFFE when valid
    uint32_t state;  // OTA_STATE_*
    unsigned slot;   // (seq - 1) % slots
    unsigned starts; // how often our bootloader has started it while NEW, 0..OTA_STARTS_MAX
    /// Place of its last mark of confirmation, from 1; 0: none. A VALID record has still to take its
    /// place.
    unsigned confirmed;
    bool whole; // its mark of completion is there: no power cut hit its writing
    bool torn;  // neither a record nor blank: what a power cut left
    bool wiped; // blank, and marked as erased to the end
} ota_record_t;

enum { OTA_STARTS_MAX = 3 }; // a record has room behind it for so many marks of starts

/// What both sectors say.
typedef struct {
    ota_record_t record[2];
    int active; // index of the record that rules, -1: none (blank, damaged, or all rejected)
    int newest; // index of the valid record with the higher seq, rejected or not, -1: none
} ota_select_t;

enum { OTA_FACTORY = -1, OTA_NOTHING = -2 }; // besides slot numbers

enum { OTA_SELECT_EXHAUSTED = INT32_MIN }; // no sequence number is left; no flash returns this code

/// Where a slot, or OTA_FACTORY, lies.
static inline esp_extent_t ota_select_extent(const esp_layout_t *layout, int slot)
{
    return (slot == OTA_FACTORY) ? layout->factory : layout->slot[slot];
}

/// Decodes one record; `raw` is the first 32 bytes of its sector. No marks are
/// looked at: `starts` is 0, and the others are false.
ota_record_t ota_select_decode(const uint8_t raw[OTA_RECORD_LEN], unsigned slots);

/// Reads both sectors. Returns 0 or the flash's error.
int ota_select_read(const flash_t *flash, const esp_layout_t *layout, ota_select_t *out);

/// True if the image must be confirmed and is not: NEW or PENDING.
bool ota_select_on_trial(const ota_record_t *r);

/// Finds out anew which record rules; for a bootloader that decided against one.
void ota_select_rule(ota_select_t *sel);

/// The record that rules, if it is about `slot`; else NULL.
const ota_record_t *ota_select_ruling(const ota_select_t *sel, int slot);

/// The record that speaks for `slot`: the one that rules, else the newer one. NULL: none.
const ota_record_t *ota_select_about(const ota_select_t *sel, int slot);

/// True if the last that is recorded about `slot` is that it was INVALID or ABORTED.
bool ota_select_rejects(const ota_select_t *sel, int slot);

/// The order in which a bootloader tries the slots: writes at most ESP_PARTITION_SLOTS_MAX + 1
/// entries, returns how many. ESP-IDF's order: the slot of the active record, those below it, factory,
/// those above; but rejected slots last.
unsigned ota_select_order(const ota_select_t *sel, const esp_layout_t *layout,
                          int order[ESP_PARTITION_SLOTS_MAX + 1]);

/// Writes a new record for `slot` beside the one that rules, which stays (if all are rejected: beside
/// the newest). After a power cut either the old record rules or the new one. Returns 0, the flash's
/// error, or OTA_SELECT_EXHAUSTED.
int ota_select_append(const flash_t *flash, const esp_layout_t *layout, unsigned slot,
                      uint32_t state);

/// Makes sure that no record speaks for `slot`, because its content is about to change. `running`
/// is the slot that runs now, or OTA_FACTORY. If the ruling record is about `slot`, one for
/// `running` is written first; for OTA_FACTORY, which needs none, all records go. Returns as ota_select_append().
int ota_select_retire(const flash_t *flash, const esp_layout_t *layout, unsigned slot, int running);

/// Marks the active record as started once more. Costs no erase; a cut leaves it marked or not.
int ota_select_mark_start(const flash_t *flash, const esp_layout_t *layout);

/// Confirms the active record, if it is on trial: marks it, then settles. Once the mark is whole (one
/// program) a power cut cannot take the confirmation back. Returns as ota_select_append().
int ota_select_confirm(const flash_t *flash, const esp_layout_t *layout);

/// What a bootloader does about changes that were cut off, before it starts `slot`: wipes what is no
/// record, even if it reads as blank, but is not marked so; if the active one is about `slot`, completes a confirmation that is marked (a VALID
/// record in the other sector, then the trial's record goes), or sees to it that the active record
/// is whole. Usually there is nothing to do. Returns as ota_select_append().
int ota_select_settle(const flash_t *flash, const esp_layout_t *layout, int slot);

/// Makes `slot` rule, whose image is right, although the active record is about another: by an
/// ABORTED in the active record if the other record is about `slot`, else by a new VALID one. Returns
/// as ota_select_append().
int ota_select_overrule(const flash_t *flash, const esp_layout_t *layout, unsigned slot);

/// Rewrites the active record as INVALID or ABORTED. Only where the other record may rule after a
/// cut.
int ota_select_reject(const flash_t *flash, const esp_layout_t *layout, uint32_t state);

#endif
