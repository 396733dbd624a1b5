// subject.h - the device whose power the campaign cuts: images, layouts, and what may boot at any moment.
// SPDX-License-Identifier: Apache-2.0
//
// The oracle knows nothing of records: it knows what was asked of the engine, how far that got, and
// the bytes of each image. Whatever is found wrong ends the history through subject_fail().
#ifndef SUBJECT_H
#define SUBJECT_H

#include "ota.h"
#include "ota_boot.h"
#include "sim_flash.h"
#include <setjmp.h>

/// A flash and what lies on it.
typedef struct {
    const char *name;
    const char *type; // of sim_flash_type()
    unsigned slots;
    bool factory;      // the first image is there, not in ota_0
    unsigned attempts; // as in ota_cfg_t
} place_t;

/// FRESH is what the factory put there. NEW is the one a scenario is about. LATER comes after it.
enum { FRESH, OLD, NEW, LATER, IMAGES, NO_IMAGE = -1 };

typedef struct {
    uint8_t *bytes;
    uint32_t len, secure_version;
} image_t;

typedef enum { NO, MAYBE, YES } certainty_t; // MAYBE: power was lost meanwhile

/// What the oracle knows.
typedef struct {
    int confirmed, trial;                      // images
    certainty_t activated, confirms, rejected; // the trial
    unsigned starts_min, starts_max;           // of it
    int running;                               // image that was started last
    uint32_t secure_version;                   // the highest one of all that were confirmed
} model_t;

enum { FAULTS_MAX = 4, TRACE_MAX = 8192 };

typedef struct {
    const place_t *place;
    sim_flash_t sim;
    flash_t flash;     // sim.flash, watched
    counter_t counter; // likewise
    esp_layout_t layout;
    ota_cfg_t cfg;
    ota_t ota;
    ota_boot_t boot;
    image_t image[IMAGES];
    model_t model;
    // Cuts: the n of each counts changes since the one before it.
    sim_flash_fault_t fault[FAULTS_MAX];
    unsigned faults, fired, left;
    bool is_metadata[TRACE_MAX]; // of each change since the last cut
    unsigned changes;
    bool verbose;
    jmp_buf out;
    char why[200]; // what subject_fail() was told
} subject_t;

/// A device with FRESH on it. `steep`: NEW and LATER have a higher secure version.
void subject_open(subject_t *w, const place_t *place, bool steep);
void subject_close(subject_t *w);

/// Ends the history.
_Noreturn void subject_fail(subject_t *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/// Plans cuts from now on, of which the first `fired` have happened.
void subject_plan(subject_t *w, const sim_flash_fault_t *fault, unsigned faults, unsigned fired);

/// A moment to which it can go back; the last cut has happened just before, if `fired`. All zeros:
/// empty. subject_forget() frees.
typedef struct {
    sim_flash_snap_t flash;
    model_t model;
    int running;
    bool fired;
} moment_t;

void subject_keep(const subject_t *w, moment_t *moment);
void subject_go_back(subject_t *w, const moment_t *moment);
void subject_forget(moment_t *moment);

// --- What can be done with it. All return false if that was when power was lost. ---

/// Switches power off and on, boots, and judges what did.
bool subject_boot(subject_t *w);

/// Updates up to and including ota_activate(). `resume`: goes on with what is there.
bool subject_update(subject_t *w, int image, bool resume);

/// The image, which lies in the slot after the running one, is to boot again, without a transfer.
bool subject_reactivate(subject_t *w, int image);

/// An update that must fail, because bits of the slot stick. They do no more afterwards.
bool subject_update_bad_sector(subject_t *w, int image);

/// The first `part` bytes of an update only.
bool subject_begin_update(subject_t *w, int image, uint32_t part);

bool subject_erase(subject_t *w);
bool subject_confirm(subject_t *w);
bool subject_reject(subject_t *w);

/// The image in the slot that runs, or in that of an update that was just activated, gets a wrong bit.
void subject_damage(subject_t *w, int slot);

/// True if some of otadata reads differently at each boot.
bool subject_is_moody(const subject_t *w);

#endif
