// sim_flash.c - a NOR flash and a counter in memory: see sim_flash.h.
// SPDX-License-Identifier: Apache-2.0
//
// Every change of a sector's content gives it a version that no content had before. Two that have the
// same version are therefore equal, and a snapshot copies only the others.
#include "sim_flash.h"

#include <stdlib.h>

#include "sim_random.h"

static bool is_blank(const uint8_t *p, uint32_t len)
{
    return p[0] == 0xFF && memcmp(p, p + 1, len - 1) == 0;
}

static unsigned bits_in(unsigned byte)
{
    unsigned n = 0;
    for (; byte; byte &= byte - 1)
        n++;
    return n;
}

static int flawed(sim_flash_t *sim, const char *what, uint32_t at, uint32_t len)
{
    if (!sim->flaw[0])
        snprintf(sim->flaw, sizeof sim->flaw, "%s: %u bytes at 0x%x", what, (unsigned)len,
                 (unsigned)at);
    return SIM_FLASH_FLAW;
}

static bool is_inside(const sim_flash_t *sim, uint32_t at, uint32_t len)
{
    return at <= sim->flash.size && len <= sim->flash.size - at;
}

static uint32_t sector_of(const sim_flash_t *sim, uint32_t at)
{
    return at / sim->flash.sector_size;
}

static void note_change(sim_flash_t *sim, uint32_t sector)
{
    sim->sector[sector].version = ++sim->versions;
}

static void note(const sim_flash_t *sim, const char *what, uint32_t at, uint32_t len, int result)
{
    if (!sim->log) return;
    fprintf(sim->log, "  %3u %-7s 0x%06x %5u%s\n", sim_flash_changes(sim), what, (unsigned)at,
            (unsigned)len,
            result == SIM_FLASH_NO_POWER ? "  power lost"
            : result                     ? "  fails"
                                         : "");
}

// --- Weak cells ---

static void set_weak(sim_flash_t *sim, uint32_t at, unsigned weak)
{
    sim_flash_sector_t *s = &sim->sector[sector_of(sim, at)];
    s->weak = s->weak - bits_in(sim->weak[at]) + bits_in(weak);
    sim->weak[at] = (uint8_t)weak;
}

// What supply and temperature do to the threshold they do to all cells: half of the boots read all
// weak ones alike.
static void read_anew(sim_flash_t *sim, uint32_t sector)
{
    const uint32_t size = sim->flash.sector_size;
    uint64_t chance = sim->chaos + sim->boots * UINT64_C(0x10001) + sector;
    const uint32_t mood = sim_random(&chance, 4);
    for (uint32_t at = sector * size; at < (sector + 1) * size; at++) {
        const unsigned weak = sim->weak[at];
        if (!weak) continue;
        const unsigned now = (mood == 0) ? 0 : (mood == 1) ? 255 : sim_random(&chance, 256);
        sim->mem[at] = (uint8_t)((sim->mem[at] & ~weak) | (now & weak));
    }
    note_change(sim, sector);
}

// --- Faults ---

// 64 bits, each of them set with that probability.
static uint64_t random_bits(uint64_t *chance, unsigned permille)
{
    uint64_t bits = 0;
    if (permille >= 1000) return UINT64_MAX;
    for (uint32_t p = permille * 0x10000 / 1000 | 0x10000; p > 1; p >>= 1) {
        if (p & 1)
            bits |= sim_random64(chance);
        else if (bits)
            bits &= sim_random64(chance);
    }
    return bits;
}

static uint8_t byte_of(uint64_t bits, uint32_t i) { return (uint8_t)(bits >> i % 8 * 8); }

/// How far it got: bits anywhere, bytes from one end, or both. An erase programs the whole sector
/// to 0 first, and may be interrupted while it does, or behind that.
typedef enum {
    SCATTERED,
    FROM_FIRST,
    FROM_LAST,
    FIRST_AND_FEW,
    ZEROED,
    ZERO_SCATTERED,
    ZERO_FIRST
} way_t;

static void tear(sim_flash_t *sim, uint32_t at, const uint8_t *target, uint32_t len, bool erase)
{
    static const unsigned SHARE[] = { 2, 10, 100, 300, 500, 700, 900, 990, 0, 1000 };
    static const unsigned WEAK[] = { 2, 10, 100, 500 };
    const way_t way = (way_t)(sim->plan.seed / 3 % (erase ? 7 : 4));
    uint64_t chance = sim->plan.seed;
    sim->chaos += sim_random64(&chance);
    unsigned weak = 0;
    if (sim->plan.seed % 3 == 1) weak = WEAK[sim_random(&chance, 4)];
    if (sim->plan.seed % 3 == 2) weak = 1000;
    // Without weak cells, nothing and everything are other effects.
    unsigned share = SHARE[sim_random(&chance, weak ? 10 : 8)];
    if (way == FROM_FIRST || way == FROM_LAST) share = 0;
    if (way == FIRST_AND_FEW || way == ZERO_FIRST) share = 20;
    const bool in_order =
        way == FROM_FIRST || way == FROM_LAST || way == FIRST_AND_FEW || way == ZERO_FIRST;
    // Records lie at the start of a sector: half of the edges, too.
    const uint32_t near = (uint32_t)smaller(len, SIM_FLASH_PAGE);
    const uint32_t edge = sim_random(&chance, (sim_random(&chance, 2) ? near : len) + 1);
    const bool firm_behind = in_order && sim_random(&chance, 2);
    uint64_t flips = 0;
    uint64_t weaks = 0;
    for (uint32_t i = 0; i < len; i++) {
        uint8_t *const p = &sim->mem[at + i];
        if (i % 8 == 0) {
            flips = random_bits(&chance, share);
            weaks = random_bits(&chance, weak);
        }
        const unsigned from = (way == ZERO_SCATTERED || way == ZERO_FIRST) ? 0 : *p;
        const unsigned changes = from ^ ((way == ZEROED) ? 0 : target[i]);
        const bool done = in_order && ((way == FROM_LAST) ? i >= edge : i < edge);
        unsigned mask = done ? 255 : byte_of(flips, i);
        if (in_order && i == edge) mask |= sim_random(&chance, 256);
        *p = (uint8_t)(from ^ (changes & mask));
        if (weak && !(done && firm_behind))
            set_weak(sim, at + i, sim->weak[at + i] | (changes & byte_of(weaks, i)));
    }
}

static void change_one_bit(sim_flash_t *sim, uint32_t at, const uint8_t *target, uint32_t len)
{
    uint64_t nth = 0;
    for (uint32_t i = 0; i < len; i++) {
        const unsigned differ = sim->mem[at + i] ^ target[i];
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            if (!(differ & bit)) continue;
            const bool chosen = nth++ == sim->plan.seed;
            if (chosen == (sim->plan.effect == SIM_FLASH_ONE_BIT)) sim->mem[at + i] ^= (uint8_t)bit;
        }
    }
}

static bool due(sim_flash_t *sim, bool is_read)
{
    if (sim->plan.n == 0 || (is_read && !sim->count_reads) || --sim->plan.n > 0) return false;
    sim->fired = true;
    sim->dead = sim->cut;
    return true;
}

// All of it, but for bits of a bad sector that stick.
static void change_all(sim_flash_t *sim, uint32_t at, const uint8_t *target, uint32_t len,
                       bool erase, bool sticks)
{
    for (uint32_t i = 0; i < len && sticks; i++) {
        uint64_t place = at + i;
        const unsigned stuck = (unsigned)random_bits(&place, 30) & 255;
        sim->mem[at + i] = (uint8_t)((sim->mem[at + i] & stuck) | (target[i] & ~stuck));
    }
    if (!sticks) memcpy(sim->mem + at, target, len);
    if (sim->sector[sector_of(sim, at)].weak == 0) return;
    for (uint32_t i = 0; i < len; i++)
        set_weak(sim, at + i, erase ? 0 : sim->weak[at + i] & target[i]);
}

static int change(sim_flash_t *sim, uint32_t at, const uint8_t *target, uint32_t len, bool erase)
{
    const uint32_t sector = sector_of(sim, at);
    const sim_flash_spoilt_t *spoilt = &sim->spoilt[sector];
    const bool bad = spoilt->kind != SIM_FLASH_GOOD && sim->sector[sector].wear >= spoilt->from;
    const bool fails = due(sim, false);
    const bool worn_out = bad && !fails && spoilt->kind == SIM_FLASH_FAILS;
    if (erase) sim->sector[sector].wear++;
    note_change(sim, sector);
    if (fails) {
        sim->bits = 0;
        for (uint32_t i = 0; i < len; i++)
            sim->bits += bits_in(sim->mem[at + i] ^ target[i]);
    }
    if (worn_out) { // the first half of the bytes
        memcpy(sim->mem + at, target, len / 2);
    } else if (!fails || sim->plan.effect == SIM_FLASH_DONE) {
        change_all(sim, at, target, len, erase, bad);
    } else if (sim->plan.effect == SIM_FLASH_TORN) {
        tear(sim, at, target, len, erase);
    } else if (sim->plan.effect != SIM_FLASH_NOTHING) {
        change_one_bit(sim, at, target, len);
    }
    const int result = worn_out    ? SIM_FLASH_ERROR
                       : !fails    ? 0
                       : sim->dead ? SIM_FLASH_NO_POWER
                                   : SIM_FLASH_ERROR;
    note(sim, erase ? "erase" : "program", at, len, result);
    return result;
}

// --- Time ---

static usec_t paced(const sim_flash_t *sim, usec_t typical, usec_t maximum, uint32_t sector)
{
    const uint64_t wear = smaller(sim->sector[sector].wear, sim->type->endurance);
    switch (sim->speed) {
    case SIM_FLASH_TYPICAL: break;
    case SIM_FLASH_MAXIMUM: return maximum;
    case SIM_FLASH_WORN: return typical + (maximum - typical) * wear / sim->type->endurance;
    }
    return typical;
}

static usec_t prog_time(const sim_flash_t *sim, uint32_t at, uint32_t len)
{
    const sim_flash_type_t *t = sim->type;
    if (!t) return sim->prog_time;
    const uint32_t pulses = (at % t->prog_len + len + t->prog_len - 1) / t->prog_len;
    return pulses * paced(sim, t->prog, t->prog_max, sector_of(sim, at));
}

// --- The flash ---

static int read_bytes(void *ctx, uint32_t at, void *p, uint32_t len)
{
    sim_flash_t *sim = ctx;
    if (!is_inside(sim, at, len)) return flawed(sim, "read outside", at, len);
    if (sim->dead) return SIM_FLASH_NO_POWER;
    sim->reads++;
    *sim->clock += sim->type ? sim->type->read : sim->read_time;
    if (due(sim, true)) {
        memset(p, 0xA5, len);
        return SIM_FLASH_ERROR;
    }
    memcpy(p, sim->mem + at, len);
    return 0;
}

static int program(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    sim_flash_t *sim = ctx;
    if (!is_inside(sim, at, len)) return flawed(sim, "program outside", at, len);
    if (at % FLASH_UNIT || len % FLASH_UNIT) return flawed(sim, "program not in units", at, len);
    if (len == 0 || at / SIM_FLASH_PAGE != (at + len - 1) / SIM_FLASH_PAGE)
        return flawed(sim, "program across a page", at, len);
    if (sim->dead) return SIM_FLASH_NO_POWER;
    if (!is_blank(sim->mem + at, len) && sim->spoilt[sector_of(sim, at)].kind == SIM_FLASH_GOOD)
        return flawed(sim, "program over data", at, len);
    sim->progs++;
    *sim->clock += prog_time(sim, at, len);
    return change(sim, at, p, len, false);
}

static int erase(void *ctx, uint32_t at)
{
    sim_flash_t *sim = ctx;
    const uint32_t len = sim->flash.sector_size;
    if (!is_inside(sim, at, len)) return flawed(sim, "erase outside", at, len);
    if (at % len) return flawed(sim, "erase inside a sector", at, len);
    if (sim->dead) return SIM_FLASH_NO_POWER;
    sim->erases++;
    sim->blank_erases += is_blank(sim->mem + at, len);
    *sim->clock += sim->type
                       ? paced(sim, sim->type->erase, sim->type->erase_max, sector_of(sim, at))
                       : sim->erase_time;
    return change(sim, at, sim->mem + sim->flash.size, len, true);
}

// --- The counter ---

static int read_count(void *ctx, uint32_t *value)
{
    sim_flash_t *sim = ctx;
    if (sim->dead) return SIM_FLASH_NO_POWER;
    sim->reads++;
    if (due(sim, true)) return SIM_FLASH_ERROR;
    *value = sim->count;
    return 0;
}

static int raise(void *ctx, uint32_t value)
{
    sim_flash_t *sim = ctx;
    if (sim->dead) return SIM_FLASH_NO_POWER;
    if (value <= sim->count) return flawed(sim, "counter not raised", sim->count, value);
    sim->raises++;
    const uint32_t more = value - sim->count;
    const bool fails = due(sim, false);
    uint32_t got = more;
    if (fails) {
        uint64_t chance = sim->plan.seed;
        switch (sim->plan.effect) {
        case SIM_FLASH_NOTHING: got = 0; break;
        case SIM_FLASH_TORN: got = (uint32_t)(sim_random64(&chance) % ((uint64_t)more + 1)); break;
        case SIM_FLASH_ONE_BIT: got = 1; break;
        case SIM_FLASH_ALL_BUT_ONE: got = more - 1; break;
        case SIM_FLASH_DONE: break;
        }
    }
    sim->count += got;
    const int result = !fails ? 0 : sim->dead ? SIM_FLASH_NO_POWER : SIM_FLASH_ERROR;
    note(sim, "raise", sim->count, 0, result);
    return result;
}

// --- The test's side ---

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p) abort();
    return p;
}

void sim_flash_open(sim_flash_t *sim, uint32_t size, uint32_t sector_size)
{
    *sim = (sim_flash_t){ .flash = { .ctx = sim,
                                     .size = size,
                                     .sector_size = sector_size,
                                     .read = read_bytes,
                                     .prog = program,
                                     .erase = erase },
                          .counter = { .ctx = sim, .read = read_count, .raise = raise },
                          .clock = &sim->now };
    // Behind it, what an erased sector looks like; a test may make the sectors larger.
    const size_t blank = (sector_size > 0x20000) ? sector_size : 0x20000;
    sim->mem = allocate(size + blank, 1);
    memset(sim->mem, 0xFF, size + blank);
    sim->weak = allocate(size, 1);
    sim->sector = allocate(size / sector_size, sizeof *sim->sector);
    sim->spoilt = allocate(size / sector_size, sizeof *sim->spoilt);
    sim_flash_touch(sim, 0, size);
}

void sim_flash_close(sim_flash_t *sim)
{
    free(sim->mem);
    free(sim->weak);
    free(sim->sector);
    free(sim->spoilt);
}

void sim_flash_pace(sim_flash_t *sim, const sim_flash_type_t *type, sim_flash_speed_t speed)
{
    sim->type = type;
    sim->speed = speed;
}

void sim_flash_spoil(sim_flash_t *sim, uint32_t sector, sim_flash_bad_t kind, uint32_t from)
{
    sim->spoilt[sector] = (sim_flash_spoilt_t){ kind, from };
}

uint32_t sim_flash_wear(const sim_flash_t *sim, uint64_t *total)
{
    uint32_t most = 0;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < sector_of(sim, sim->flash.size); i++) {
        sum += sim->sector[i].wear;
        if (sim->sector[i].wear > most) most = sim->sector[i].wear;
    }
    if (total) *total = sum;
    return most;
}

static void plan(sim_flash_t *sim, sim_flash_fault_t fault, bool cut, bool count_reads)
{
    sim->fired = false;
    sim->plan = fault;
    sim->cut = cut;
    sim->count_reads = count_reads;
}

void sim_flash_fail(sim_flash_t *sim, unsigned n, sim_flash_effect_t effect, uint64_t seed)
{
    plan(sim, (sim_flash_fault_t){ n, effect, seed }, false, true);
}

void sim_flash_fail_change(sim_flash_t *sim, unsigned n, sim_flash_effect_t effect, uint64_t seed)
{
    plan(sim, (sim_flash_fault_t){ n, effect, seed }, false, false);
}

void sim_flash_cut(sim_flash_t *sim, unsigned n, sim_flash_effect_t effect, uint64_t seed)
{
    plan(sim, (sim_flash_fault_t){ n, effect, seed }, true, false);
}

static void forget(sim_flash_t *sim)
{
    sim->fired = sim->dead = false;
    sim->plan.n = 0;
    sim->reads = sim->progs = sim->erases = sim->raises = sim->blank_erases = 0;
}

void sim_flash_power_on(sim_flash_t *sim)
{
    forget(sim);
    sim->boots++;
    for (uint32_t i = 0; i < sector_of(sim, sim->flash.size); i++)
        if (sim->sector[i].weak) read_anew(sim, i);
}

unsigned sim_flash_changes(const sim_flash_t *sim)
{
    return sim->progs + sim->erases + sim->raises;
}

uint32_t sim_flash_weak(const sim_flash_t *sim, uint32_t at, uint32_t len)
{
    uint32_t bits = 0;
    for (uint32_t i = at; i < at + len; i++)
        bits += bits_in(sim->weak[i]);
    return bits;
}

void sim_flash_touch(sim_flash_t *sim, uint32_t at, uint32_t len)
{
    for (uint32_t i = at; i < at + len; i++) {
        if (sim->weak[i]) set_weak(sim, i, 0);
        if (i == at || i % sim->flash.sector_size == 0) note_change(sim, sector_of(sim, i));
    }
}

// --- Snapshots ---

/// A place for all that belongs to sectors.
typedef struct {
    sim_flash_sector_t *sector;
    uint8_t *mem, *weak;
} content_t;

static void copy_content(content_t to, content_t from, size_t sectors, size_t len)
{
    for (size_t i = 0; i < sectors; i++) {
        if (to.sector[i].version != from.sector[i].version) {
            memcpy(to.mem + i * len, from.mem + i * len, len);
            if (to.sector[i].weak || from.sector[i].weak)
                memcpy(to.weak + i * len, from.weak + i * len, len);
        }
        to.sector[i] = from.sector[i];
    }
}

void sim_flash_save(const sim_flash_t *sim, sim_flash_snap_t *snap)
{
    const uint32_t sectors = sector_of(sim, sim->flash.size);
    if (!snap->mem) {
        snap->mem = allocate(sim->flash.size, 1);
        snap->weak = allocate(sim->flash.size, 1);
        snap->sector = allocate(sectors, sizeof *snap->sector);
    }
    copy_content((content_t){ snap->sector, snap->mem, snap->weak },
                 (content_t){ sim->sector, sim->mem, sim->weak }, sectors, sim->flash.sector_size);
    snap->count = sim->count;
    snap->boots = sim->boots;
    snap->chaos = sim->chaos;
    snap->clock = *sim->clock;
}

void sim_flash_restore(sim_flash_t *sim, const sim_flash_snap_t *snap)
{
    copy_content((content_t){ sim->sector, sim->mem, sim->weak },
                 (content_t){ snap->sector, snap->mem, snap->weak },
                 sector_of(sim, sim->flash.size), sim->flash.sector_size);
    forget(sim);
    sim->count = snap->count;
    sim->boots = snap->boots;
    sim->chaos = snap->chaos;
    *sim->clock = snap->clock;
}

void sim_flash_drop(sim_flash_snap_t *snap)
{
    free(snap->mem);
    free(snap->weak);
    free(snap->sector);
    *snap = (sim_flash_snap_t){ 0 };
}
