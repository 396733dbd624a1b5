// sim_flash.h - a NOR flash and a counter that keep the rules, take time, wear out and lose power.
// SPDX-License-Identifier: Apache-2.0
//
//     sim_flash_t sim;
//     sim_flash_open(&sim, 0x60000, 4096);          // blank
//     sim_flash_cut(&sim, 3, SIM_FLASH_TORN, seed); // the third change is the last, half done
//     // ... the code under test, with &sim.flash and &sim.counter ...
//     if (!sim.fired || sim.flaw[0]) fail("the third change never came, or was against the rules");
//     sim_flash_power_on(&sim);                     // what is left of it, no fault planned
//     sim_flash_close(&sim);
//
// A call that flash.h or counter.h forbids changes nothing, returns SIM_FLASH_FLAW and is told in
// `flaw`: outside the flash, not aligned, across a page, or programming a unit that is not blank
// (flash with ECC or encryption takes a unit once per erase).
//
// A cell whose change was interrupted may be weak: it reads anew at each sim_flash_power_on(), and
// the same until the next one. Programming it to 0, or erasing its sector, to the end makes it firm.
#ifndef SIM_FLASH_H
#define SIM_FLASH_H

#include "counter.h"
#include "flash.h"
#include <stdio.h>

enum { SIM_FLASH_PAGE = 256 };

/// What operations return that were not done.
enum { SIM_FLASH_ERROR = 0x4E, SIM_FLASH_NO_POWER = 0x4F, SIM_FLASH_FLAW = 0x50 };

/// What the operation that fails has done. Of a counter being raised: nothing, any value, one more,
/// one too few, all.
typedef enum {
    SIM_FLASH_NOTHING,
    SIM_FLASH_TORN,        // part of it; the seed says what, and which cells are weak now
    SIM_FLASH_ONE_BIT,     // changed one of the bits, the seed-th (none, if there are fewer)
    SIM_FLASH_ALL_BUT_ONE, // changed all but the seed-th
    SIM_FLASH_DONE,
} sim_flash_effect_t;

/// The seeds of SIM_FLASH_TORN repeat their ways of tearing after so many; chance differs.
enum { SIM_FLASH_WAYS = 21 };

/// As text: the number, then b (before), t (torn), o (one bit), x (all but one) or a (after), then
/// the seed, unless it is b or a. "17t5"
typedef struct {
    unsigned n; // 1: the next operation; 0: none
    sim_flash_effect_t effect;
    uint64_t seed;
} sim_flash_fault_t;

/// A kind of flash. Times are for one sector, and for up to `prog_len` bytes.
typedef struct {
    const char *name;
    uint32_t sector_size, prog_len;
    usec_t erase, erase_max, prog, prog_max, read; // read: of a call
    uint32_t endurance;                            // erases of one sector
} sim_flash_type_t;

typedef enum {
    SIM_FLASH_TYPICAL,
    SIM_FLASH_MAXIMUM,
    SIM_FLASH_WORN, // from typical to maximum as the sector's wear grows to its endurance
} sim_flash_speed_t;

/// A bad sector.
typedef enum {
    SIM_FLASH_GOOD,
    SIM_FLASH_FAILS,  // changes are half done and return SIM_FLASH_ERROR
    SIM_FLASH_STICKS, // some bits keep their value, and nobody is told
} sim_flash_bad_t;

typedef struct {      // private
    uint64_t version; // no other content of this sector ever had it
    uint32_t wear, weak;
} sim_flash_sector_t;

typedef struct { // private
    sim_flash_bad_t kind;
    uint32_t from;
} sim_flash_spoilt_t;

/// Private. All zeros: empty.
typedef struct {
    uint8_t *mem, *weak;
    sim_flash_sector_t *sector;
    uint32_t count, boots;
    uint64_t chaos;
    usec_t clock;
} sim_flash_snap_t;

/// Not to be copied.
typedef struct {
    flash_t flash;                                // for the code under test
    counter_t counter;                            // the same
    uint8_t *mem;                                 // read, and written by tests
    uint32_t count;                               // the counter's value; likewise
    unsigned reads, progs, erases, raises;        // calls that reached the memory
    unsigned blank_erases;                        // of these: of a sector that was blank
    usec_t now, read_time, prog_time, erase_time; // each call adds its time to the clock
    usec_t *clock;                                // `now`, unless somebody sets it to another
    bool fired;                                   // the planned fault has happened
    unsigned bits;  // read: how many bits the failed operation had to change
    uint32_t boots; // read: how often sim_flash_power_on() was called
    char flaw[96];  // read: what was done against the rules first, "" while nothing was
    FILE *log;      // gets a line for each change, unless NULL
    // private
    sim_flash_fault_t plan;
    bool cut, count_reads, dead;
    const sim_flash_type_t *type;
    sim_flash_speed_t speed;
    uint8_t *weak; // for each byte of mem, the bits that are not firm
    sim_flash_sector_t *sector;
    sim_flash_spoilt_t *spoilt;
    uint64_t versions, chaos;
} sim_flash_t;

/// A blank flash whose operations take no time, and a counter at 0. sim_flash_close() frees.
void sim_flash_open(sim_flash_t *sim, uint32_t size, uint32_t sector_size);
void sim_flash_close(sim_flash_t *sim);

/// The types that are known: "w25q", "gd25q", "mt25q", "stm32l4", "stm32f4", "stm32h7"; NULL for
/// other names.
const sim_flash_type_t *sim_flash_type(const char *name);

/// From now on operations take as long as this type needs. Its sector size is not looked at.
void sim_flash_pace(sim_flash_t *sim, const sim_flash_type_t *type, sim_flash_speed_t speed);

/// The sector of this number is bad once it has been erased `from` times; 0: at once.
void sim_flash_spoil(sim_flash_t *sim, uint32_t sector, sim_flash_bad_t kind, uint32_t from);

/// How often the sector was erased that was erased most; `total`, unless NULL: all together.
uint32_t sim_flash_wear(const sim_flash_t *sim, uint64_t *total);

/// The n-th call from now (1: the next; reads count) returns SIM_FLASH_ERROR, the ones behind it
/// work. A read that fails yields garbage.
void sim_flash_fail(sim_flash_t *sim, unsigned n, sim_flash_effect_t effect, uint64_t seed);

/// The same for the n-th change (program, erase, raise); 0: none.
void sim_flash_fail_change(sim_flash_t *sim, unsigned n, sim_flash_effect_t effect, uint64_t seed);

/// Power is lost at the n-th change from now: it and every call behind it return
/// SIM_FLASH_NO_POWER.
void sim_flash_cut(sim_flash_t *sim, unsigned n, sim_flash_effect_t effect, uint64_t seed);

/// A fault as text, at most 32 characters with the NUL; returns `text`.
char *sim_flash_fault_text(const sim_flash_fault_t *fault, char text[32]);

/// Reads one from the start of `text`. Returns what is behind it, NULL if there is none.
const char *sim_flash_fault_parse(const char *text, sim_flash_fault_t *out);

/// Forgets faults and counts, reads weak cells anew. The memory stays.
void sim_flash_power_on(sim_flash_t *sim);

/// Programs, erases and raises since sim_flash_power_on().
unsigned sim_flash_changes(const sim_flash_t *sim);

/// How many bits of these bytes are weak.
uint32_t sim_flash_weak(const sim_flash_t *sim, uint32_t at, uint32_t len);

/// Tells that `mem` was written directly: the bytes are firm, snapshots see the change. Needed only
/// where there are weak cells or snapshots.
void sim_flash_touch(sim_flash_t *sim, uint32_t at, uint32_t len);

/// Keeps memory, weak cells, wear, counter, clock and number of boots in `snap`, or brings them
/// back, without faults and counts. Copies only sectors that differ. A snapshot belongs to one sim;
/// sim_flash_drop() frees it.
void sim_flash_save(const sim_flash_t *sim, sim_flash_snap_t *snap);
void sim_flash_restore(sim_flash_t *sim, const sim_flash_snap_t *snap);
void sim_flash_drop(sim_flash_snap_t *snap);

#endif
