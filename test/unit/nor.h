// nor.h - a NOR flash in memory that keeps the rules, counts, fails on demand and loses its power.
// SPDX-License-Identifier: Apache-2.0
//
//     nor_t nor;
//     nor_open(&nor, 0x60000, 4096);       // blank
//     nor_cut(&nor, 3, NOR_TORN, seed);    // the third change from now on is the last, half done
//     ... the code under test, with &nor.flash ...
//     assert_true(nor.fired);
//     nor_power_on(&nor);                  // the same memory, no fault planned
//     nor_close(&nor);
//
// A call that flash.h forbids fails the cmocka test: outside the flash, not aligned, across a page,
// or programming a unit that is not blank (flash with ECC or encryption takes a unit once per
// erase).
#ifndef NOR_H
#define NOR_H

#include "flash.h"

enum { NOR_PAGE = 256, NOR_ERROR = 0x4E, NOR_NO_POWER = 0x4F }; // what failed operations return

/// What the operation that fails has done to the memory.
typedef enum {
    NOR_NOTHING,
    NOR_TORN,        // changed some of the bits it had to change; the seed says which and how many
    NOR_ONE_BIT,     // changed one of them, the seed-th (none, if there are fewer)
    NOR_ALL_BUT_ONE, // changed all but the seed-th
    NOR_DONE,
} nor_effect_t;

typedef struct {
    flash_t flash;                                // for the code under test
    uint8_t *mem;                                 // read, and written by tests
    unsigned reads, progs, erases;                // calls that reached the memory
    unsigned blank_erases;                        // of these: of a sector that was blank
    usec_t now, read_time, prog_time, erase_time; // each call adds its time to `now`
    bool fired;                                   // the planned fault has happened
    unsigned left;                                // calls until then, 0: none planned
    bool cut, count_reads, dead;
    nor_effect_t effect;
    uint64_t seed;
    unsigned bits; // read: how many bits the failed operation had to change
} nor_t;

/// A blank flash. nor_close() frees its memory.
void nor_open(nor_t *nor, uint32_t size, uint32_t sector_size);
void nor_close(nor_t *nor);

/// The n-th call from now (1: the next; reads count) returns NOR_ERROR, the ones behind it work. A
/// read that fails yields garbage.
void nor_fail(nor_t *nor, unsigned n, nor_effect_t effect, uint64_t seed);

/// Power is lost at the n-th erase or program from now: it and every call behind it return
/// NOR_NO_POWER.
void nor_cut(nor_t *nor, unsigned n, nor_effect_t effect, uint64_t seed);

/// Forgets faults and counts. The memory stays.
void nor_power_on(nor_t *nor);

/// Erases and programs since nor_power_on().
unsigned nor_changes(const nor_t *nor);

#endif
