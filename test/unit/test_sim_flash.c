// test_sim_flash.c - the simulated flash: its rules, its time, and each way to lose power.
// SPDX-License-Identifier: Apache-2.0
#include "sim_flash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "sim_random.h"
#include <cmocka.h>

enum { SECTOR = 4096, SIZE = 4 * SECTOR };

static sim_flash_t sim;
static uint8_t data[SIM_FLASH_PAGE]; // no byte is 0xFF or 0

static int setup(void **state)
{
    (void)state;
    sim_flash_open(&sim, SIZE, SECTOR);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i % 253 + 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_flash_close(&sim);
    return 0;
}

static int erase(uint32_t at) { return sim.flash.erase(sim.flash.ctx, at); }

static int prog(uint32_t at, uint32_t len) { return sim.flash.prog(sim.flash.ctx, at, data, len); }

static int raise(uint32_t value) { return sim.counter.raise(sim.counter.ctx, value); }

static unsigned ones(const uint8_t *p, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < 8 * len; i++)
        n += p[i / 8] >> i % 8 & 1;
    return n;
}

static unsigned weak_bits(uint32_t at, uint32_t len)
{
    assert_int_equal(sim_flash_weak(&sim, at, len), ones(sim.weak + at, len));
    return ones(sim.weak + at, len);
}

static void fill_sector(uint32_t at)
{
    assert_int_equal(erase(at), 0);
    for (uint32_t i = 0; i < SECTOR; i += SIM_FLASH_PAGE)
        assert_int_equal(prog(at + i, SIM_FLASH_PAGE), 0);
    sim_flash_power_on(&sim);
}

// --- The rules ---

static void programs_erases_and_reads(void **state)
{
    (void)state;
    uint8_t p[32];
    assert_int_equal(prog(SECTOR + 16, 32), 0);
    assert_int_equal(sim.flash.read(sim.flash.ctx, SECTOR + 16, p, 32), 0);
    assert_memory_equal(p, data, 32);
    assert_int_equal(ones(sim.mem, SIZE), 8 * SIZE - 8 * 32 + ones(data, 32)); // nothing else
    assert_int_equal(erase(SECTOR), 0);
    assert_true(flash_is_blank(sim.mem, SIZE));
    assert_int_equal(erase(SECTOR), 0);
    assert_int_equal(sim.reads, 1);
    assert_int_equal(sim.progs, 1);
    assert_int_equal(sim.erases, 2);
    assert_int_equal(sim.blank_erases, 1);
    assert_int_equal(sim_flash_changes(&sim), 3);
    assert_string_equal(sim.flaw, "");
}

static void expect_flaw(int result, const char *flaw)
{
    assert_int_equal(result, SIM_FLASH_FLAW);
    assert_string_equal(sim.flaw, flaw);
    sim.flaw[0] = 0;
}

static void tells_each_call_that_is_against_the_rules(void **state)
{
    (void)state;
    assert_int_equal(prog(0, 16), 0);
    assert_int_equal(raise(5), 0);
    sim_flash_power_on(&sim);
    uint8_t *const before = malloc(SIZE);
    assert_non_null(before);
    memcpy(before, sim.mem, SIZE);
    uint8_t p[16];
    expect_flaw(sim.flash.read(sim.flash.ctx, SIZE - 8, p, 16), "read outside: 16 bytes at 0x3ff8");
    expect_flaw(sim.flash.read(sim.flash.ctx, SIZE + 1, p, 0), "read outside: 0 bytes at 0x4001");
    expect_flaw(prog(SIZE, 16), "program outside: 16 bytes at 0x4000");
    expect_flaw(erase(SIZE), "erase outside: 4096 bytes at 0x4000");
    expect_flaw(erase(16), "erase inside a sector: 4096 bytes at 0x10");
    expect_flaw(prog(24, 16), "program not in units: 16 bytes at 0x18");
    expect_flaw(prog(32, 8), "program not in units: 8 bytes at 0x20");
    expect_flaw(prog(32, 0), "program across a page: 0 bytes at 0x20");
    expect_flaw(prog(240, 32), "program across a page: 32 bytes at 0xf0");
    expect_flaw(prog(0, 16), "program over data: 16 bytes at 0x0"); // even the same
    expect_flaw(raise(5), "counter not raised: 5 bytes at 0x5");
    expect_flaw(raise(4), "counter not raised: 4 bytes at 0x5");
    assert_memory_equal(sim.mem, before, SIZE);
    assert_int_equal(sim.count, 5);
    assert_int_equal(sim_flash_changes(&sim), 0);
    assert_int_equal(erase(16), SIM_FLASH_FLAW);
    assert_int_equal(prog(24, 16), SIM_FLASH_FLAW);
    assert_string_equal(sim.flaw, "erase inside a sector: 4096 bytes at 0x10"); // the first one
    free(before);
}

static void a_call_can_fail_without_a_power_cut(void **state)
{
    (void)state;
    uint8_t p[16];
    uint32_t count = 7;
    sim_flash_fail(&sim, 2, SIM_FLASH_NOTHING, 0);
    assert_int_equal(prog(0, 16), 0);
    assert_int_equal(sim.flash.read(sim.flash.ctx, 0, p, 16), SIM_FLASH_ERROR);
    assert_true(sim.fired);
    assert_int_not_equal(p[0], data[0]);
    assert_int_equal(sim.flash.read(sim.flash.ctx, 0, p, 16), 0);
    assert_memory_equal(p, data, 16);
    sim_flash_fail(&sim, 1, SIM_FLASH_DONE, 0);
    assert_int_equal(raise(9), SIM_FLASH_ERROR);
    assert_int_equal(sim.count, 9);
    sim_flash_fail(&sim, 1, SIM_FLASH_DONE, 0);
    assert_int_equal(sim.counter.read(sim.counter.ctx, &count), SIM_FLASH_ERROR);
    assert_int_equal(count, 7);
    assert_int_equal(sim.counter.read(sim.counter.ctx, &count), 0);
    assert_int_equal(count, 9);
}

// --- Power cuts ---

static void after_a_cut_nothing_works_until_power_is_on(void **state)
{
    (void)state;
    uint8_t p[16];
    uint32_t count;
    sim_flash_cut(&sim, 2, SIM_FLASH_DONE, 0);
    assert_int_equal(sim.flash.read(sim.flash.ctx, 0, p, 16), 0); // reads do not count
    assert_int_equal(prog(0, 16), 0);
    assert_false(sim.fired);
    assert_int_equal(prog(16, 16), SIM_FLASH_NO_POWER);
    assert_true(sim.fired);
    assert_int_equal(prog(32, 16), SIM_FLASH_NO_POWER);
    assert_int_equal(erase(0), SIM_FLASH_NO_POWER);
    assert_int_equal(raise(1), SIM_FLASH_NO_POWER);
    assert_int_equal(sim.flash.read(sim.flash.ctx, 0, p, 16), SIM_FLASH_NO_POWER);
    assert_int_equal(sim.counter.read(sim.counter.ctx, &count), SIM_FLASH_NO_POWER);
    sim_flash_power_on(&sim);
    assert_false(sim.fired);
    assert_memory_equal(sim.mem + 16, data, 16);
    assert_true(flash_is_blank(sim.mem + 32, 16));
    assert_int_equal(prog(32, 16), 0);
    assert_int_equal(sim.boots, 1);
}

static void a_cut_before_or_after_is_all_or_nothing(void **state)
{
    (void)state;
    sim_flash_cut(&sim, 1, SIM_FLASH_NOTHING, 0);
    assert_int_equal(prog(0, 16), SIM_FLASH_NO_POWER);
    assert_true(flash_is_blank(sim.mem, SIZE));
    assert_int_equal(sim.bits, 128 - ones(data, 16));
    sim_flash_power_on(&sim);
    fill_sector(0);
    sim_flash_cut(&sim, 1, SIM_FLASH_NOTHING, 0);
    assert_int_equal(erase(0), SIM_FLASH_NO_POWER);
    assert_memory_equal(sim.mem, data, sizeof data);
    sim_flash_power_on(&sim);
    sim_flash_cut(&sim, 1, SIM_FLASH_DONE, 0);
    assert_int_equal(erase(0), SIM_FLASH_NO_POWER);
    assert_true(flash_is_blank(sim.mem, SIZE));
}

static void a_cut_can_change_one_bit_or_all_but_one(void **state)
{
    (void)state;
    for (uint64_t bit = 0; bit < 200; bit++) {
        for (sim_flash_effect_t e = SIM_FLASH_ONE_BIT; e <= SIM_FLASH_ALL_BUT_ONE; e++) {
            assert_int_equal(erase(0), 0);
            sim_flash_cut(&sim, 1, e, bit);
            assert_int_equal(prog(0, 16), SIM_FLASH_NO_POWER);
            const unsigned differ = sim.bits;
            const unsigned chosen = bit < differ;
            const unsigned cleared = 128 - ones(sim.mem, 16);
            assert_int_equal(cleared, (e == SIM_FLASH_ONE_BIT) ? chosen : differ - chosen);
            for (int i = 0; i < 16; i++)
                assert_int_equal(sim.mem[i] & data[i], data[i]);
            assert_int_equal(weak_bits(0, SIZE), 0);
            sim_flash_power_on(&sim);
        }
    }
}

// Tears the erase of a full sector, or the program of 256 blank bytes, with each seed.
static void torn(bool is_erase, uint64_t seed)
{
    sim_flash_power_on(&sim);
    if (is_erase) fill_sector(0);
    if (!is_erase) assert_int_equal(erase(0), 0);
    sim_flash_cut(&sim, 1, SIM_FLASH_TORN, seed);
    assert_int_equal(is_erase ? erase(0) : prog(0, SIM_FLASH_PAGE), SIM_FLASH_NO_POWER);
    assert_true(sim.fired);
}

static bool is_mixed(const uint8_t *p, size_t len)
{
    return !flash_is_blank(p, len) && ones(p, len) != 0;
}

static void a_torn_program_clears_some_bits_or_some_bytes(void **state)
{
    (void)state;
    unsigned scattered = 0, prefix = 0, suffix = 0, weak = 0;
    for (uint64_t seed = 0; seed < 10 * SIM_FLASH_WAYS; seed++) {
        torn(false, seed);
        for (uint32_t i = 0; i < SIM_FLASH_PAGE; i++) {
            assert_int_equal(sim.mem[i] & data[i], data[i]); // no bit that stays is cleared
            assert_int_equal(sim.weak[i] & data[i], 0);
        }
        assert_true(flash_is_blank(sim.mem + SIM_FLASH_PAGE, SIZE - SIM_FLASH_PAGE));
        assert_int_equal(weak_bits(0, SIZE) > 0, seed % 3 != 0 && weak_bits(0, SIZE) > 0);
        weak += weak_bits(0, SIZE) > 0;
        uint32_t first = 0, last = SIM_FLASH_PAGE;
        while (first < SIM_FLASH_PAGE && sim.mem[first] == data[first])
            first++;
        while (last > 0 && sim.mem[last - 1] == data[last - 1])
            last--;
        const bool rest = flash_is_blank(sim.mem + smaller(first + 1, SIM_FLASH_PAGE),
                                         SIM_FLASH_PAGE - smaller(first + 1, SIM_FLASH_PAGE));
        if (first > 4 && first < 250 && rest)
            prefix++;
        else if (last < 250 && last > 4 && flash_is_blank(sim.mem, last - 1))
            suffix++;
        else if (first < 4 && last > 250 && is_mixed(sim.mem, SIM_FLASH_PAGE))
            scattered++;
    }
    assert_true(scattered > 20 && prefix > 20 && suffix > 20 && weak > 60);
}

static void a_torn_erase_may_have_programmed_all_bits_first(void **state)
{
    (void)state;
    unsigned some = 0, fewer = 0, zeros = 0, blank_part = 0, more = 0;
    uint8_t *const full = malloc(SECTOR);
    assert_non_null(full);
    fill_sector(0);
    memcpy(full, sim.mem, SECTOR);
    for (uint64_t seed = 0; seed < 20 * SIM_FLASH_WAYS; seed++) {
        torn(true, seed);
        unsigned set = 0, cleared = 0, zero = 0, blank = 0;
        for (uint32_t i = 0; i < SECTOR; i++) {
            set += (sim.mem[i] & ~full[i]) != 0;
            cleared += (full[i] & ~sim.mem[i]) != 0;
            zero += sim.mem[i] == 0;
            blank += sim.mem[i] == 0xFF;
        }
        some += set > 0 && cleared == 0;
        fewer += cleared > 0 && set == 0;
        zeros += zero > SECTOR / 10 && blank < SECTOR / 10;
        blank_part += blank > SECTOR / 10 && zero > SECTOR / 10;
        more += set > 0 && cleared > 0;
        assert_true(flash_is_blank(sim.mem + SECTOR, SIZE - SECTOR));
    }
    assert_true(some > 20 && fewer > 20 && zeros > 20 && blank_part > 20 && more > 20);
    free(full);
}

static void the_same_seed_tears_alike(void **state)
{
    (void)state;
    uint8_t first[SECTOR];
    for (uint64_t seed = 0; seed < SIM_FLASH_WAYS; seed++) {
        sim_flash_close(&sim);
        sim_flash_open(&sim, SIZE, SECTOR);
        torn(true, seed);
        sim_flash_power_on(&sim);
        memcpy(first, sim.mem, SECTOR);
        sim_flash_close(&sim);
        sim_flash_open(&sim, SIZE, SECTOR);
        torn(true, seed);
        sim_flash_power_on(&sim);
        assert_memory_equal(first, sim.mem, SECTOR);
    }
}

static void a_torn_raise_leaves_any_value_in_between(void **state)
{
    (void)state;
    unsigned seen[5] = { 0 };
    for (uint64_t seed = 0; seed < 100; seed++) {
        sim.count = 3;
        sim_flash_cut(&sim, 1, SIM_FLASH_TORN, seed);
        assert_int_equal(raise(7), SIM_FLASH_NO_POWER);
        assert_true(sim.count >= 3 && sim.count <= 7);
        seen[sim.count - 3]++;
        sim_flash_power_on(&sim);
    }
    for (int i = 0; i < 5; i++)
        assert_true(seen[i] > 5);
    static const struct {
        sim_flash_effect_t effect;
        uint32_t count;
    } CASES[] = { { SIM_FLASH_NOTHING, 3 },
                  { SIM_FLASH_ONE_BIT, 4 },
                  { SIM_FLASH_ALL_BUT_ONE, 6 },
                  { SIM_FLASH_DONE, 7 } };
    for (int i = 0; i < 4; i++) {
        sim.count = 3;
        sim_flash_cut(&sim, 1, CASES[i].effect, 0);
        assert_int_equal(raise(7), SIM_FLASH_NO_POWER);
        assert_int_equal(sim.count, CASES[i].count);
        sim_flash_power_on(&sim);
    }
    assert_int_equal(sim.count, 7); // it survives
    assert_int_equal(raise(8), 0);
    assert_int_equal(sim_flash_changes(&sim), 1);
}

// --- Weak cells ---

static uint64_t seed_with_weak_cells(bool is_erase)
{
    for (uint64_t seed = 2;; seed += 3) {
        torn(is_erase, seed);
        if (weak_bits(0, SECTOR) > 50) return seed;
    }
}

static void weak_cells_read_anew_at_each_boot_and_alike_in_between(void **state)
{
    (void)state;
    for (int is_erase = 0; is_erase < 2; is_erase++) {
        (void)seed_with_weak_cells(is_erase);
        uint8_t firm[SECTOR], last[SECTOR], p[16];
        for (int i = 0; i < SECTOR; i++)
            firm[i] = sim.mem[i] & (uint8_t)~sim.weak[i];
        unsigned changed = 0, zeros = 0, all = 0;
        for (int boot = 0; boot < 40; boot++) {
            memcpy(last, sim.mem, SECTOR);
            sim_flash_power_on(&sim);
            changed += memcmp(last, sim.mem, SECTOR) != 0;
            unsigned set = 0;
            for (int i = 0; i < SECTOR; i++) {
                assert_int_equal(sim.mem[i] & ~sim.weak[i], firm[i]);
                set += ones(&(uint8_t){ sim.mem[i] & sim.weak[i] }, 1);
            }
            zeros += set == 0;
            all += set == weak_bits(0, SECTOR);
            assert_int_equal(sim.flash.read(sim.flash.ctx, 0, p, 16), 0);
            assert_memory_equal(p, sim.mem, 16);
        }
        assert_true(changed > 20);
        assert_true(zeros > 2 && all > 2 && zeros + all < 35);
    }
}

static void seeds_decide_how_weak_cells_read(void **state)
{
    (void)state;
    uint32_t zeros[2] = { 0 }; // a bit for each boot
    for (int i = 0; i < 2; i++) {
        sim_flash_close(&sim);
        sim_flash_open(&sim, SIZE, SECTOR);
        sim_flash_cut(&sim, 1, SIM_FLASH_TORN, (i == 0) ? 2 : 2 + 3 * SIM_FLASH_WAYS);
        assert_int_equal(prog(0, SIM_FLASH_PAGE), SIM_FLASH_NO_POWER);
        for (int boot = 0; boot < 32; boot++) {
            sim_flash_power_on(&sim);
            zeros[i] = zeros[i] << 1 | (ones(sim.mem, SECTOR) == 8 * SECTOR);
        }
    }
    assert_int_not_equal(zeros[0], zeros[1]);
}

static void an_erase_to_the_end_makes_a_sector_firm(void **state)
{
    (void)state;
    (void)seed_with_weak_cells(true);
    sim_flash_power_on(&sim);
    assert_int_equal(erase(0), 0);
    assert_int_equal(weak_bits(0, SIZE), 0);
    for (int boot = 0; boot < 10; boot++) {
        sim_flash_power_on(&sim);
        assert_true(flash_is_blank(sim.mem, SIZE));
    }
}

static void a_program_makes_those_cells_firm_that_it_clears(void **state)
{
    (void)state;
    (void)seed_with_weak_cells(true);
    do // until it reads as blank
        sim_flash_power_on(&sim);
    while (!flash_is_blank(sim.mem, 16) && sim.boots < 1000);
    uint8_t zeros[16] = { 0 };
    memset(zeros + 8, 0xFF, 8);
    memset(sim.weak, 0xFF, 16);
    assert_int_equal(sim.flash.prog(sim.flash.ctx, 0, zeros, 16), 0);
    assert_int_equal(weak_bits(0, 8), 0);
    assert_int_equal(weak_bits(8, 8), 64);
    sim_flash_touch(&sim, 8, 8);
    assert_int_equal(weak_bits(0, 16), 0);
}

// --- Time, wear, bad sectors ---

static usec_t duration(int result, usec_t before)
{
    assert_int_equal(result, 0);
    return *sim.clock - before;
}

static void operations_take_the_time_they_are_given(void **state)
{
    (void)state;
    uint8_t p[1];
    usec_t clock = 1000;
    sim.read_time = 1;
    sim.prog_time = 20;
    sim.erase_time = 300;
    assert_int_equal(duration(sim.flash.read(sim.flash.ctx, 0, p, 1), 0), 1);
    assert_int_equal(duration(prog(0, 16), 1), 20);
    assert_int_equal(duration(erase(0), 21), 300);
    sim.clock = &clock;
    assert_int_equal(duration(erase(0), 1000), 300);
    assert_int_equal(sim.now, 321);
}

static void operations_take_as_long_as_a_type_needs(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        sim_flash_speed_t speed;
        usec_t erase, prog_16, prog_256;
    } CASES[] = {
        { "w25q", SIM_FLASH_TYPICAL, 45000, 400, 400 },
        { "w25q", SIM_FLASH_MAXIMUM, 400000, 3000, 3000 },
        { "stm32l4", SIM_FLASH_TYPICAL, 22000, 2 * 82, 32 * 82 },
        { "stm32f4", SIM_FLASH_MAXIMUM, 500000, 4 * 100, 64 * 100 },
        { "stm32h7", SIM_FLASH_MAXIMUM, 4000000, 300, 8 * 300 },
        { "mt25q", SIM_FLASH_WORN, 50000, 150, 150 }, // it is new
        { "gd25q", SIM_FLASH_TYPICAL, 50000, 600, 600 },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        sim.sector[0].wear = 0;
        sim_flash_pace(&sim, sim_flash_type(CASES[i].name), CASES[i].speed);
        assert_int_equal(duration(erase(0), sim.now), CASES[i].erase);
        sim.sector[0].wear = 0;
        assert_int_equal(duration(prog(0, 16), sim.now), CASES[i].prog_16);
        assert_int_equal(duration(prog(256, 256), sim.now), CASES[i].prog_256);
    }
    sim_flash_pace(&sim, sim_flash_type("w25q"), SIM_FLASH_WORN);
    sim.sector[0].wear = 50000;
    assert_int_equal(duration(erase(0), sim.now), 45000 + (400000 - 45000) / 2);
    sim.sector[0].wear = 200000;
    assert_int_equal(duration(erase(0), sim.now), 400000);
    assert_int_equal(duration(prog(0, 16), sim.now), 3000);
    uint8_t byte;
    const usec_t before = sim.now;
    assert_int_equal(sim.flash.read(sim.flash.ctx, 0, &byte, 1), 0);
    assert_int_equal(sim.now - before, 20);
    assert_null(sim_flash_type("w25"));
}

static void wear_is_counted_for_each_sector(void **state)
{
    (void)state;
    uint64_t total = 9;
    assert_int_equal(sim_flash_wear(&sim, &total), 0);
    assert_int_equal(total, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(erase(SECTOR), 0);
    assert_int_equal(erase(3 * SECTOR), 0);
    assert_int_equal(sim_flash_wear(&sim, &total), 3);
    assert_int_equal(total, 4);
    assert_int_equal(sim_flash_wear(&sim, NULL), 3);
}

static void a_bad_sector_fails_half_done(void **state)
{
    (void)state;
    sim_flash_spoil(&sim, 1, SIM_FLASH_FAILS, 2);
    assert_int_equal(prog(SECTOR, 16), 0);
    assert_int_equal(erase(SECTOR), 0);
    assert_int_equal(erase(SECTOR), 0);
    assert_int_equal(prog(SECTOR, 16), SIM_FLASH_ERROR);
    assert_memory_equal(sim.mem + SECTOR, data, 8);
    assert_true(flash_is_blank(sim.mem + SECTOR + 8, 8));
    memset(sim.mem + SECTOR, 0, SECTOR);
    assert_int_equal(erase(SECTOR), SIM_FLASH_ERROR);
    assert_true(flash_is_blank(sim.mem + SECTOR, SECTOR / 2));
    assert_int_equal(ones(sim.mem + SECTOR + SECTOR / 2, SECTOR / 2), 0);
    assert_int_equal(erase(0), 0); // its neighbour is good
    sim_flash_spoil(&sim, 0, SIM_FLASH_FAILS, 0);
    assert_int_equal(erase(0), SIM_FLASH_ERROR);
}

static void bits_of_a_bad_sector_stick_silently(void **state)
{
    (void)state;
    fill_sector(0);
    sim_flash_spoil(&sim, 0, SIM_FLASH_STICKS, 0);
    assert_int_equal(erase(0), 0);
    const unsigned stuck = 8 * SECTOR - ones(sim.mem, SECTOR);
    assert_true(stuck > 8 * SECTOR / 200 && stuck < 8 * SECTOR / 20);
    assert_int_equal(erase(0), 0);
    assert_int_equal(8 * SECTOR - ones(sim.mem, SECTOR), stuck); // the same ones again
    for (uint32_t i = 0; i < SECTOR; i++)
        assert_int_equal(sim.mem[i] & data[i % SIM_FLASH_PAGE], data[i % SIM_FLASH_PAGE]);
    memset(sim.mem, 0xFF, SECTOR);
    assert_int_equal(prog(0, 256), 0);
    assert_memory_not_equal(sim.mem, data, 256);
}

// --- Snapshots ---

typedef struct {
    uint8_t *mem, *weak;
    uint32_t count, boots, wear;
    usec_t now;
} full_copy_t;

static full_copy_t copy_of_all(void)
{
    full_copy_t c = { malloc(SIZE), malloc(SIZE), sim.count, sim.boots, sim_flash_wear(&sim, NULL),
                      sim.now };
    assert_non_null(c.mem);
    assert_non_null(c.weak);
    memcpy(c.mem, sim.mem, SIZE);
    memcpy(c.weak, sim.weak, SIZE);
    return c;
}

static void assert_all_is(const full_copy_t *c)
{
    assert_memory_equal(c->mem, sim.mem, SIZE);
    assert_memory_equal(c->weak, sim.weak, SIZE);
    assert_int_equal(c->count, sim.count);
    assert_int_equal(c->boots, sim.boots);
    assert_int_equal(c->wear, sim_flash_wear(&sim, NULL));
    assert_int_equal(c->now, sim.now);
}

static void change_anything(uint64_t *chance)
{
    const uint32_t at = sim_random(chance, SIZE / SECTOR) * SECTOR;
    if (sim_random(chance, 3) == 0) sim_flash_cut(&sim, 1, SIM_FLASH_TORN, sim_random(chance, 50));
    switch (sim_random(chance, 4)) {
    case 0: (void)erase(at); break;
    case 1: (void)prog(at + 256 * sim_random(chance, 16), 256); break;
    case 2: (void)raise(sim.count + sim_random(chance, 10)); break;
    default: sim_flash_power_on(&sim); break;
    }
    if (sim.dead) sim_flash_power_on(&sim);
}

static void snapshots_bring_everything_back_in_any_order(void **state)
{
    (void)state;
    enum { SNAPS = 5 };
    sim_flash_snap_t snap[SNAPS] = { { 0 } };
    full_copy_t copy[SNAPS];
    uint64_t chance = 1;
    sim.erase_time = 7;
    for (int i = 0; i < SNAPS; i++) {
        sim_flash_save(&sim, &snap[i]);
        copy[i] = copy_of_all();
    }
    for (int round = 0; round < 3000; round++) {
        const uint32_t i = sim_random(&chance, SNAPS);
        if (sim_random(&chance, 2)) {
            sim_flash_restore(&sim, &snap[i]);
            assert_all_is(&copy[i]);
        } else {
            sim_flash_save(&sim, &snap[i]);
            free(copy[i].mem);
            free(copy[i].weak);
            copy[i] = copy_of_all();
        }
        for (uint32_t n = sim_random(&chance, 4); n > 0; n--)
            change_anything(&chance);
    }
    for (int i = 0; i < SNAPS; i++) {
        sim_flash_drop(&snap[i]);
        free(copy[i].mem);
        free(copy[i].weak);
    }
}

static void weak_cells_read_alike_after_a_snapshot(void **state)
{
    (void)state;
    sim_flash_snap_t snap = { 0 };
    uint8_t first[SECTOR];
    (void)seed_with_weak_cells(false);
    sim_flash_save(&sim, &snap);
    for (int boots = 1; boots < 6; boots++) {
        for (int again = 0; again < 2; again++) {
            if (again) torn(true, 2); // another future
            sim_flash_restore(&sim, &snap);
            assert_false(sim.fired);
            for (int i = 0; i < boots; i++)
                sim_flash_power_on(&sim);
            if (!again) memcpy(first, sim.mem, SECTOR);
            assert_memory_equal(first, sim.mem, SECTOR);
        }
    }
    sim_flash_drop(&snap);
}

static void a_snapshot_sees_what_a_test_writes_and_tells(void **state)
{
    (void)state;
    sim_flash_snap_t snap = { 0 };
    sim_flash_save(&sim, &snap);
    memset(sim.mem + SECTOR - 1, 0, 2);
    sim_flash_touch(&sim, SECTOR - 1, 2);
    sim_flash_restore(&sim, &snap);
    assert_true(flash_is_blank(sim.mem, SIZE));
    sim_flash_drop(&snap);
}

// --- Faults as text ---

static void faults_have_a_short_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        sim_flash_fault_t fault;
    } CASES[] = {
        { "17b", { 17, SIM_FLASH_NOTHING, 0 } },
        { "17a", { 17, SIM_FLASH_DONE, 0 } },
        { "17t5", { 17, SIM_FLASH_TORN, 5 } },
        { "1o0", { 1, SIM_FLASH_ONE_BIT, 0 } },
        { "4294967295x18446744073709551615", { UINT32_MAX, SIM_FLASH_ALL_BUT_ONE, UINT64_MAX } },
    };
    char text[32];
    sim_flash_fault_t f;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_string_equal(sim_flash_fault_text(&CASES[i].fault, text), CASES[i].text);
        const char *rest = sim_flash_fault_parse(CASES[i].text, &f);
        assert_non_null(rest);
        assert_string_equal(rest, "");
        assert_int_equal(f.n, CASES[i].fault.n);
        assert_int_equal(f.effect, CASES[i].fault.effect);
        assert_true(f.seed == CASES[i].fault.seed);
    }
    assert_string_equal(sim_flash_fault_parse("3t7.2b", &f), ".2b");
    static const char *const WRONG[] = {
        "",    "b",  "0b", "3", "3c", "3t", "3tx", "x3", "4294967296b", "1t18446744073709551616",
        "-1b", " 1b"
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++)
        assert_null(sim_flash_fault_parse(WRONG[i], &f));
}

static void a_log_has_a_line_for_each_change(void **state)
{
    (void)state;
    char text[400] = "";
    sim.log = fmemopen(text, sizeof text, "w");
    assert_non_null(sim.log);
    sim_flash_spoil(&sim, 1, SIM_FLASH_FAILS, 0);
    assert_int_equal(prog(0x110, 32), 0);
    assert_int_equal(raise(3), 0);
    assert_int_equal(prog(SECTOR, 16), SIM_FLASH_ERROR);
    sim_flash_cut(&sim, 1, SIM_FLASH_NOTHING, 0);
    assert_int_equal(erase(SECTOR), SIM_FLASH_NO_POWER);
    fclose(sim.log);
    assert_string_equal(text,
                        "    1 program 0x000110    32\n"
                        "    2 raise   0x000003     0\n"
                        "    3 program 0x001000    16  fails\n"
                        "    4 erase   0x001000  4096  power lost\n");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(programs_erases_and_reads),
        CASE(tells_each_call_that_is_against_the_rules),
        CASE(a_call_can_fail_without_a_power_cut),
        CASE(after_a_cut_nothing_works_until_power_is_on),
        CASE(a_cut_before_or_after_is_all_or_nothing),
        CASE(a_cut_can_change_one_bit_or_all_but_one),
        CASE(a_torn_program_clears_some_bits_or_some_bytes),
        CASE(a_torn_erase_may_have_programmed_all_bits_first),
        CASE(the_same_seed_tears_alike),
        CASE(a_torn_raise_leaves_any_value_in_between),
        CASE(weak_cells_read_anew_at_each_boot_and_alike_in_between),
        CASE(seeds_decide_how_weak_cells_read),
        CASE(an_erase_to_the_end_makes_a_sector_firm),
        CASE(a_program_makes_those_cells_firm_that_it_clears),
        CASE(operations_take_the_time_they_are_given),
        CASE(operations_take_as_long_as_a_type_needs),
        CASE(wear_is_counted_for_each_sector),
        CASE(a_bad_sector_fails_half_done),
        CASE(bits_of_a_bad_sector_stick_silently),
        CASE(snapshots_bring_everything_back_in_any_order),
        CASE(weak_cells_read_alike_after_a_snapshot),
        CASE(a_snapshot_sees_what_a_test_writes_and_tells),
        CASE(faults_have_a_short_text),
        CASE(a_log_has_a_line_for_each_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
