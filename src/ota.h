// ota.h - the update engine: an image into the slot that does not run, verified, made to boot.
// SPDX-License-Identifier: Apache-2.0
//
//     ota_init(&ota, &cfg); // cfg: flash, hash, layout, which slot runs, which chip this is
//     ota_err_t err = ota_begin(&ota, size_or_0);
//     while (!err && at < len) {
//         at += ota_write(&ota, data + at, len - at); // takes what it has room for
//         err = ota_step(&ota);                       // one flash operation at most
//     }
//     if (!err) err = ota_finish(&ota); // to do: write the rest, verify
//     while (!err && ota_busy(&ota)) err = ota_step(&ota);
//     if (!err) err = ota_activate(&ota); // it boots next; the new firmware calls ota_confirm()
//
// Nothing is erased before the first 288 bytes were judged, then one sector at a time, ahead of the
// data. Each page is read back when it has been written. Until ota_activate() the device boots what it
// booted before, whatever happens.
//
// To go on after an interruption, ota_survey() instead of ota_begin() finds what is left of it;
// whoever has the image compares the digest, and calls ota_resume() or ota_begin().
//
// Threads: none inside. Memory: ota_t, the caller's; it does not grow with the image. Time:
// ota_write() hashes what it takes, up to 512 bytes. A step is bounded by one flash operation and
// reading a page, or by reading and hashing 512 bytes; the first one that touches flash by
// ota_select_retire().
#ifndef OTA_H
#define OTA_H

#include "base.h"
#include "counter.h"
#include "crypto.h"
#include "esp_image.h"
#include "esp_partition.h"
#include "flash.h"

typedef enum {
    OTA_OK = 0,
    OTA_ERR_IMAGE,       // the image is refused or damaged: ota_t.image.err says why
    OTA_ERR_TOO_LARGE,   // it does not fit the slot
    OTA_ERR_INCOMPLETE,  // it ended before its own length
    OTA_ERR_FLASH,       // the flash failed: ota_t.flash_err is the port's code
    OTA_ERR_UNCONFIRMED, // what runs is not confirmed yet: the other slot is its only fallback
    OTA_ERR_EXHAUSTED,   // the boot record's sequence numbers are used up
    OTA_ERR_PROJECT,     // an image of another project
    OTA_ERR_TOO_OLD,     // its secure version is below what the counter allows
    OTA_ERR_CRYPTO,      // the hash library failed
    OTA_ERR_REJECTED,    // ota_recheck(): what the slot holds was rejected after an earlier start
} ota_err_t;

typedef struct {
    const flash_t *flash;
    const crypto_t *crypto;
    const esp_layout_t *layout;
    const counter_t *counter; // lowest secure version that may run; NULL: any
    const char *project;      // images of other projects are refused; NULL: none is
    unsigned attempts;  // starts in which a new image may confirm itself, 1..OTA_STARTS_MAX; 0: 1
    int running;        // slot that runs now, or OTA_FACTORY
    uint16_t chip_id;   // images for other chips are refused
    uint16_t chip_rev;  // revision * 100, as in the image header
    uint16_t efuse_rev; // of the eFuse block
} ota_cfg_t;

typedef enum {
    OTA_IDLE,     // nothing begun, or given up
    OTA_SURVEY,   // ota_survey() was called: looking for where an update was interrupted
    OTA_HASHING,  // hashing what is usable of it
    OTA_FOUND,    // the answer is there: ota_resume() or ota_begin()
    OTA_ERASING,  // ota_erase() was called
    OTA_ERASED,   // the slot is blank: ota_begin() need not erase it again
    OTA_OPEN,     // taking data
    OTA_FLUSHING, // ota_finish() was called: the last bytes are being written
    OTA_READBACK, // the whole image is being verified from flash: resumed, or a page differed
    OTA_VERIFIED, // it is right: ota_activate() may be called
    OTA_FAILED,   // the first error is kept in `err`
} ota_phase_t;

enum { OTA_PAGE = 256, OTA_BUF = 512 };

/// Invariants while it takes data: slot content below `at` is written; `fill` bytes at `at` wait in
/// `buf`; at + fill <= slot size. Sectors below `erased` are blank from `at` on, and the one behind
/// the sector of `at` is among them, if the image reaches so far.
typedef struct {
    const ota_cfg_t *cfg;
    ota_phase_t phase; // read
    ota_err_t err;     // read: the first error since ota_begin()
    int flash_err;     // read: the port's code, with OTA_ERR_FLASH
    unsigned slot;     // read: the slot being written
    uint32_t at;       // read: bytes of it written (READBACK, SURVEY, HASHING: read; FOUND: usable)
    uint32_t erased;   // bytes from the slot's start that are ready to be written
    uint32_t fill;     // bytes in buf (READBACK, HASHING: left to read)
    bool retired;      // the slot's boot record is gone
    bool as_came;      // all that came was hashed, and each page read back was as it came
    esp_image_t image; // read: what is known of the image so far
    uint8_t buf[OTA_BUF]; // read: its first 32 bytes, in phase FOUND: SHA-256 of the usable bytes
} ota_t;

/// Borrows cfg and what it points to for its whole life, and must have cfg->crypto alone from
/// ota_begin() until the update has ended.
void ota_init(ota_t *o, const ota_cfg_t *cfg);

/// Starts an update of the slot after the running one; one that was under way is forgotten. `size`
/// is the number of bytes to come, 0 if unknown. Touches nothing on flash.
ota_err_t ota_begin(ota_t *o, uint32_t size);

/// Starts looking for what an interrupted update has left in that slot; ota_step() until phase
/// OTA_FOUND. `at` is then the number of bytes that can stay, a multiple of the sector size, and
/// their SHA-256 is in `buf`. 0: nothing. The last sector that was written to is never among them,
/// since it may be torn. Touches nothing on flash.
ota_err_t ota_survey(ota_t *o);

/// Only in phase OTA_FOUND: goes on behind these bytes; ota_write() takes those from `at` on. Only
/// for the very image that they are from: the caller has compared the digest.
ota_err_t ota_resume(ota_t *o);

/// Erases the whole slot, after its boot record; ota_step() until phase OTA_ERASED.
ota_err_t ota_erase(ota_t *o);

/// Starts verifying what that slot holds already, as if it had just been written; ota_step() until phase
/// OTA_VERIFIED. Touches nothing on flash.
ota_err_t ota_recheck(ota_t *o);

/// Takes up to `len` bytes and returns how many: all, unless a flash operation is due first
/// (ota_step()); 0 after an error. Bytes behind the image's own end (padding, a signature) are
/// stored as well.
size_t ota_write(ota_t *o, const void *data, size_t len);

/// True once the image is complete by its own header.
bool ota_complete(const ota_t *o);

/// No more data will come: starts writing the rest, and verifying what was not while it came.
/// OTA_ERR_INCOMPLETE if there is too little.
ota_err_t ota_finish(ota_t *o);

/// True when ota_step() has something to do.
bool ota_busy(const ota_t *o);

/// Does one bounded piece of work. Returns the first error since ota_begin().
ota_err_t ota_step(ota_t *o);

/// Makes the verified image the one that boots next. Only in phase OTA_VERIFIED.
/// (State NEW: it must be confirmed, or the old one returns.)
ota_err_t ota_activate(ota_t *o);

/// Gives up. The slot stays as it is, and nothing boots from it.
void ota_abort(ota_t *o);

/// The application works: it stays, and the counter is raised to its secure version. Power lost in
/// the first flash operation leaves it unconfirmed, later nothing takes the confirmation back. Does
/// nothing if it is confirmed already. Returns as ota_select_append(), or the counter's error.
int ota_confirm(const ota_cfg_t *cfg);

/// The application does not work: the next start takes the other one. Does nothing once it is
/// confirmed. After an error: restart; an update now would find nobody that is to be kept but the
/// one that runs.
int ota_reject(const ota_cfg_t *cfg);

#endif
