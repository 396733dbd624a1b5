// bench.h - a device for tests: a flash with otadata and slots, images in them, its bootloader.
// SPDX-License-Identifier: Apache-2.0
//
//     bench_t bench;
//     bench_open(&bench, 2, false);               // ota_0, ota_1, no factory; all blank
//     bench_put(&bench, 0, image, len);           // straight into the memory
//     bench_record(&bench, 0, 1, OTA_STATE_VALID);
//     assert_int_equal(bench_boot(&bench), 0);
//     bench_close(&bench);
#ifndef BENCH_H
#define BENCH_H

#include "ota.h"
#include "ota_boot.h"
#include "sim_flash.h"

enum { // where ota_select has its marks in a sector
    BENCH_STARTS = 32,
    BENCH_CONFIRMED = 80,
    BENCH_COMPLETE = 144,
    BENCH_WIPED = 160,
};

enum {
    BENCH_SECTOR = 4096,
    BENCH_OTADATA = 0x8000,
    BENCH_SLOT = 0x14000,      // bytes of a slot: 20 sectors
    BENCH_SLOT_STEP = 0x20000, // factory, ota_0, ota_1 ... begin at multiples of it
};

/// Not to be copied: `cfg` points into it.
typedef struct {
    sim_flash_t nor;
    esp_layout_t layout;
    ota_boot_t boot; // read: the last bench_boot()
    ota_cfg_t cfg;   // for the chip of the golden images; running: what that started
} bench_t;

/// Slots and otadata are blank, the rest of the flash holds bytes that must never change.
void bench_open(bench_t *b, unsigned slots, bool factory);
void bench_close(bench_t *b);

/// The slot, or OTA_FACTORY, holds this and is blank behind it.
void bench_put(bench_t *b, int slot, const void *image, size_t len);

/// Writes a record as ESP-IDF would, into sector 0 or 1; the rest of the sector is blank.
void bench_esp_record(bench_t *b, int sector, uint32_t seq, uint32_t state);

/// The same with our mark of completion.
void bench_record(bench_t *b, int sector, uint32_t seq, uint32_t state);

/// Sets the first mark of confirmation.
void bench_confirm(bench_t *b, int sector, uint32_t seq);

/// Both sectors are blank, and marked so.
void bench_wipe(bench_t *b);
uint8_t *bench_otadata(const bench_t *b, int sector);
uint8_t *bench_slot(const bench_t *b, int slot);

/// Restores power and starts: returns what ota_boot_choose() chose.
int bench_boot(bench_t *b);

/// Both records as text, "1:VALID 2:NEW+1" (+1: one start mark, !: a mark of confirmation), for
/// messages and comparisons. Valid until the next call.
const char *bench_records(const bench_t *b);

/// A right image of about 9 KB in three sectors for the bench's chip, 1 KB if `tiny`; `version` is
/// in its descriptor and decides its bytes. The caller frees it.
uint8_t *bench_image(const char *version, bool tiny, size_t *len);

#endif
