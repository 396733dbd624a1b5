// nor.c - a NOR flash in memory: see nor.h.
// SPDX-License-Identifier: Apache-2.0
#include "nor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "vectors.h"
#include <cmocka.h>

static void check(bool ok, const char *what, uint32_t at, uint32_t len)
{
    if (!ok) fail_msg("flash: %s: %u bytes at 0x%x", what, (unsigned)len, (unsigned)at);
}

static void check_inside(const nor_t *nor, uint32_t at, uint32_t len)
{
    check(at <= nor->flash.size && len <= nor->flash.size - at, "outside", at, len);
}

static bool is_blank(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0xFF) return false;
    return true;
}

// --- Faults ---

/// TORN: a few of the bits, half of them, or nearly all: interrupted early, in the middle, late.
static void tear(nor_t *nor, uint8_t *mem, const uint8_t *target, uint32_t len)
{
    static const uint32_t PERMILLE[] = { 10, 500, 100, 900, 990, 300, 2, 700 };
    const uint32_t share = PERMILLE[nor->seed % 8];
    uint64_t chance = nor->seed;
    nor->bits = 0;
    for (uint32_t i = 0; i < len; i++) {
        const unsigned differ = mem[i] ^ target[i];
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            if (!(differ & bit)) continue;
            const bool chosen = nor->bits++ == nor->seed;
            const bool flips = (nor->effect == NOR_TORN) ? vector_random(&chance, 1000) < share
                                                         : chosen == (nor->effect == NOR_ONE_BIT);
            if (flips) mem[i] = (uint8_t)(mem[i] ^ bit);
        }
    }
}

static bool due(nor_t *nor, bool is_read)
{
    if (nor->left == 0 || (is_read && !nor->count_reads) || --nor->left > 0) return false;
    nor->fired = true;
    nor->dead = nor->cut;
    return true;
}

static int change(nor_t *nor, uint32_t at, const uint8_t *target, uint32_t len)
{
    const bool fails = due(nor, false);
    if (!fails || nor->effect == NOR_DONE)
        memcpy(nor->mem + at, target, len);
    else if (nor->effect != NOR_NOTHING)
        tear(nor, nor->mem + at, target, len);
    if (!fails) return 0;
    return nor->dead ? NOR_NO_POWER : NOR_ERROR;
}

// --- The flash ---

static int nor_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    nor_t *nor = ctx;
    check_inside(nor, at, len);
    if (nor->dead) return NOR_NO_POWER;
    nor->reads++;
    nor->now += nor->read_time;
    if (due(nor, true)) {
        memset(p, 0xA5, len);
        return NOR_ERROR;
    }
    memcpy(p, nor->mem + at, len);
    return 0;
}

static int nor_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    nor_t *nor = ctx;
    check_inside(nor, at, len);
    check(at % FLASH_UNIT == 0 && len % FLASH_UNIT == 0, "program not in units", at, len);
    check(len > 0 && at / NOR_PAGE == (at + len - 1) / NOR_PAGE, "program across a page", at, len);
    if (nor->dead) return NOR_NO_POWER;
    check(is_blank(nor->mem + at, len), "program over data", at, len);
    nor->progs++;
    nor->now += nor->prog_time;
    return change(nor, at, p, len);
}

static int nor_erase(void *ctx, uint32_t at)
{
    nor_t *nor = ctx;
    const uint32_t len = nor->flash.sector_size;
    check_inside(nor, at, len);
    check(at % len == 0, "erase inside a sector", at, len);
    if (nor->dead) return NOR_NO_POWER;
    uint8_t *blank = malloc(len);
    assert_non_null(blank);
    memset(blank, 0xFF, len);
    nor->erases++;
    nor->blank_erases += is_blank(nor->mem + at, len);
    nor->now += nor->erase_time;
    const int err = change(nor, at, blank, len);
    free(blank);
    return err;
}

// --- The test's side ---

void nor_open(nor_t *nor, uint32_t size, uint32_t sector_size)
{
    *nor = (nor_t){ .flash = { .ctx = nor,
                               .size = size,
                               .sector_size = sector_size,
                               .read = nor_read,
                               .prog = nor_prog,
                               .erase = nor_erase } };
    nor->mem = malloc(size);
    assert_non_null(nor->mem);
    memset(nor->mem, 0xFF, size);
}

void nor_close(nor_t *nor) { free(nor->mem); }

static void plan(nor_t *nor, unsigned n, nor_effect_t effect, uint64_t seed)
{
    nor->fired = false;
    nor->left = n;
    nor->effect = effect;
    nor->seed = seed;
}

void nor_fail(nor_t *nor, unsigned n, nor_effect_t effect, uint64_t seed)
{
    plan(nor, n, effect, seed);
    nor->cut = false;
    nor->count_reads = true;
}

void nor_cut(nor_t *nor, unsigned n, nor_effect_t effect, uint64_t seed)
{
    plan(nor, n, effect, seed);
    nor->cut = true;
    nor->count_reads = false;
}

void nor_power_on(nor_t *nor)
{
    nor->fired = nor->dead = false;
    nor->left = 0;
    nor->reads = nor->progs = nor->erases = nor->blank_erases = 0;
}

unsigned nor_changes(const nor_t *nor) { return nor->progs + nor->erases; }
