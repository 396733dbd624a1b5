// test_ota_select.c - the boot record: read as ESP-IDF reads it, written so that a cut is harmless.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "ota_select.h"
#include "vectors.h"
#include <cmocka.h>

static bench_t bench;

static int open_two_slots(void **state)
{
    (void)state;
    bench_open(&bench, 2, false);
    return 0;
}

static int close_bench(void **state)
{
    (void)state;
    bench_close(&bench);
    return 0;
}

static ota_select_t read_select(void)
{
    ota_select_t sel;
    assert_int_equal(ota_select_read(&bench.nor.flash, &bench.layout, &sel), 0);
    return sel;
}

static int active_slot(void)
{
    const ota_select_t sel = read_select();
    return (sel.active >= 0) ? (int)sel.record[sel.active].slot : -1;
}

static int append(unsigned slot, uint32_t state)
{
    return ota_select_append(&bench.nor.flash, &bench.layout, slot, state);
}

static int retire(unsigned slot, int running)
{
    return ota_select_retire(&bench.nor.flash, &bench.layout, slot, running);
}

static int mark_start(void) { return ota_select_mark_start(&bench.nor.flash, &bench.layout); }

static int reject(uint32_t state)
{
    return ota_select_reject(&bench.nor.flash, &bench.layout, state);
}

// --- Reading ---

static uint32_t state_named(const char *name)
{
    static const char *const NAME[] = { "NEW", "PENDING", "VALID", "INVALID", "ABORTED" };
    for (uint32_t i = 0; i < 5; i++)
        if (strcmp(name, NAME[i]) == 0) return i;
    assert_string_equal(name, "UNDEF");
    return OTA_STATE_UNDEFINED;
}

static void assert_means(const char *hex, const char *meaning)
{
    uint8_t raw[OTA_RECORD_LEN];
    assert_int_equal(vector_unhex(hex, raw, sizeof raw), sizeof raw);
    const ota_record_t r = ota_select_decode(raw, 2);
    if (strcmp(meaning, "blank") == 0) {
        assert_false(r.valid);
        return;
    }
    char *end = NULL;
    const uint32_t seq = (uint32_t)strtoul(meaning, &end, 10);
    assert_true(r.valid);
    assert_int_equal(r.seq, seq);
    assert_int_equal(r.state, state_named(end + 1));
    assert_int_equal(r.slot, (seq - 1) % 2);
    assert_int_equal(r.starts, 0);
}

/// The slot that rules after each of the golden files, by hand.
static int ruling_slot(const char *name)
{
    static const struct {
        const char *name;
        int slot;
    } TABLE[] = {
        { "00_blank", -1 },
        { "01_first_boot", 0 },
        { "02_set_boot_ota1_rollback_on", 1 },
        { "03_boot_pending", 1 },
        { "04_mark_valid", 1 },
        { "05_begin_second_update", 1 },
        { "06_set_boot_ota0", 0 },
        { "07_mark_invalid", 1 },
        { "08_unconfirmed_aborted", 0 },
        { "09_set_boot_ota1_rollback_off", 1 },
        { "otatool_step1_slot0", 0 },
        { "otatool_step2_slot1", 1 },
        { "otatool_step3_slot0", 0 },
        { "otatool_step4_slot1", 1 },
        { "otatool_step5_slot1", 1 },
        { "otatool_step6_slot0", 0 },
        { "otatool_step7_sloterase", -1 },
        { "otatool_step8_slot1", 1 },
        { "otatool_step9_slot0", 0 },
    };
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++)
        if (strcmp(TABLE[i].name, name) == 0) return TABLE[i].slot;
    fail_msg("%s is not in the table", name);
    return -1;
}

static void reads_what_esp_idf_and_otatool_wrote(void **state)
{
    (void)state;
    FILE *table = vector_table(VECTORS "/otadata/records.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    while (vector_row(table, &line, column)) {
        assert_means(column[1], column[3]);
        assert_means(column[2], column[4]);
        for (int i = 0; i < 2; i++)
            vector_unhex(column[1 + i], bench_otadata(&bench, i), OTA_RECORD_LEN);
        assert_int_equal(active_slot(), ruling_slot(column[0]));
        rows++;
    }
    assert_int_equal(rows, 19);
    free(line);
    fclose(table);
}

static void refuses_a_record_whose_crc_is_wrong_in_any_bit(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        bench_esp_record(&bench, 0, 5, OTA_STATE_VALID);
        bench_otadata(&bench, 0)[28 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(read_select().record[0].valid);
        bench_esp_record(&bench, 0, 5, OTA_STATE_VALID);
        bench_otadata(&bench, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(read_select().record[0].valid);
    }
    assert_int_equal(active_slot(), -1);
}

// The cells of its first half may have been cut off while they were programmed, and read well until
// the completion was marked.
static void a_complete_record_can_be_read_whatever_becomes_of_its_sequence_number(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        bench_record(&bench, 0, 5, OTA_STATE_VALID);
        bench_otadata(&bench, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const ota_record_t r = read_select().record[0];
        assert_true(r.valid && r.whole && !r.torn);
        assert_int_equal(r.seq, 5);
        bench_otadata(&bench, 0)[28 + bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(read_select().record[0].valid);
        bench_record(&bench, 0, 5, OTA_STATE_VALID);
        bench_otadata(&bench, 0)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        bench_otadata(&bench, 0)[BENCH_COMPLETE + bit / 2] ^= 1; // the mark is not whole
        assert_false(read_select().record[0].valid);
        assert_true(read_select().record[0].torn);
    }
}

// ESP-IDF takes four zero bytes on blank flash for a record; the fact that its CRC is blank, too,
// gives it away.
static void refuses_sequence_0_and_a_blank_one(void **state)
{
    (void)state;
    bench_record(&bench, 0, 0, OTA_STATE_UNDEFINED);
    assert_int_equal(load_le32(bench_otadata(&bench, 0) + 28), UINT32_MAX);
    assert_int_equal(active_slot(), -1);
    assert_int_equal(read_select().newest, -1);
    bench_record(&bench, 0, UINT32_MAX, OTA_STATE_VALID);
    assert_int_equal(active_slot(), -1);
    assert_int_equal(read_select().newest, -1);
}

static void prefers_the_higher_sequence_and_the_first_of_equal_ones(void **state)
{
    (void)state;
    bench_record(&bench, 0, 7, OTA_STATE_VALID);
    bench_record(&bench, 1, 8, OTA_STATE_VALID);
    assert_int_equal(read_select().active, 1);
    bench_record(&bench, 1, 7, OTA_STATE_NEW);
    assert_int_equal(read_select().active, 0);
    assert_int_equal(read_select().newest, 0);
    bench_record(&bench, 0, 0xFFFFFFFE, OTA_STATE_VALID); // compared as numbers without sign
    assert_int_equal(read_select().active, 0);
}

static void lets_no_rejected_record_rule(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    for (uint32_t rejected = OTA_STATE_INVALID; rejected <= OTA_STATE_ABORTED; rejected++) {
        bench_record(&bench, 1, 2, rejected);
        assert_int_equal(read_select().active, 0);
        assert_int_equal(read_select().newest, 1);
    }
}

// What a torn erase leaves of a record's state, which its CRC does not cover, must not rule.
static void takes_no_record_in_a_state_that_nobody_knows(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    for (uint32_t bit = 3; bit < 32; bit++) {
        bench_record(&bench, 1, 2, OTA_STATE_ABORTED | 1u << bit);
        assert_int_equal(read_select().active, 0);
        assert_int_equal(read_select().newest, 0);
    }
    bench_record(&bench, 1, 2, OTA_STATE_UNDEFINED); // ESP-IDF's, without rollback
    assert_int_equal(read_select().active, 1);
}

static void takes_no_confirmed_record_that_is_marked_as_started(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    sim_flash_power_on(&bench.nor);
    assert_int_equal(ota_select_mark_start(&bench.nor.flash, &bench.layout), 0);
    assert_int_equal(read_select().active, 1);
    store_le32(bench_otadata(&bench, 1) + 24, OTA_STATE_VALID); // one bit of the erase came through
    assert_int_equal(read_select().active, 0);
}

// --- The order of trying ---

typedef struct {
    unsigned slots;
    bool factory;
    uint32_t seq0, state0, seq1, state1; // seq 0: blank
    const char *order;                   // F: factory
} order_case_t;

static const order_case_t ORDERS[] = {
    { 2, false, 0, 0, 0, 0, "01" },
    { 2, true, 0, 0, 0, 0, "F01" },
    { 2, false, 1, OTA_STATE_VALID, 2, OTA_STATE_NEW, "10" },
    { 2, true, 1, OTA_STATE_VALID, 2, OTA_STATE_NEW, "10F" },
    { 2, true, 3, OTA_STATE_VALID, 2, OTA_STATE_VALID, "0F1" },
    { 2, true, 1, OTA_STATE_VALID, 2, OTA_STATE_ABORTED, "0F1" },
    { 2, true, 3, OTA_STATE_INVALID, 2, OTA_STATE_VALID, "1F0" }, // ESP-IDF: 1 0 F
    { 2, false, 3, OTA_STATE_INVALID, 2, OTA_STATE_ABORTED, "01" },
    { 2, false, 3, OTA_STATE_INVALID, 0, 0, "10" }, // ESP-IDF: 0 1
    { 2, true, 3, OTA_STATE_INVALID, 2, OTA_STATE_ABORTED, "F01" },
    { 2, false, 3, OTA_STATE_ABORTED, 1, OTA_STATE_VALID, "10" }, // the newer record speaks for 0
    { 2, false, 3, OTA_STATE_VALID, 1, OTA_STATE_ABORTED, "01" },
    { 4, true, 3, OTA_STATE_VALID, 0, 0, "210F3" },
    { 4, true, 3, OTA_STATE_VALID, 4, OTA_STATE_ABORTED, "210F3" },
    { 4, true, 3, OTA_STATE_VALID, 2, OTA_STATE_INVALID, "20F31" },
    { 16, false, 16, OTA_STATE_VALID, 0, 0, "fedcba9876543210" },
    { 16, true, 5, OTA_STATE_VALID, 0, 0, "43210F56789abcdef" },
};

static void tries_the_slots_in_this_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ORDERS / sizeof *ORDERS; i++) {
        const order_case_t *c = &ORDERS[i];
        bench_close(&bench);
        bench_open(&bench, c->slots, c->factory);
        if (c->seq0) bench_record(&bench, 0, c->seq0, c->state0);
        if (c->seq1) bench_record(&bench, 1, c->seq1, c->state1);
        const ota_select_t sel = read_select();
        int order[ESP_PARTITION_SLOTS_MAX + 1];
        const unsigned count = ota_select_order(&sel, &bench.layout, order);
        char text[ESP_PARTITION_SLOTS_MAX + 2] = { 0 };
        for (unsigned k = 0; k < count; k++)
            text[k] = "F0123456789abcdef"[order[k] + 1];
        assert_string_equal(text, c->order);
    }
}

// --- Writing, byte for byte as ESP-IDF ---

static void assert_otadata_is(const char *name)
{
    FILE *table = vector_table(VECTORS "/otadata/records.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    uint8_t golden[2 * BENCH_SECTOR];
    memset(golden, 0xFF, sizeof golden);
    bool found = false;
    while (!found && vector_row(table, &line, column)) {
        found = strcmp(column[0], name) == 0;
        for (int i = 0; i < 2 && found; i++)
            vector_unhex(column[1 + i], golden + i * BENCH_SECTOR, OTA_RECORD_LEN);
    }
    assert_true(found);
    for (int i = 0; i < 2; i++) // ESP-IDF reads no more of a sector
        assert_memory_equal(bench_otadata(&bench, i), golden + i * BENCH_SECTOR, OTA_RECORD_LEN);
    free(line);
    fclose(table);
}

static void writes_byte_for_byte_what_esp_idf_writes(void **state)
{
    (void)state;
    assert_int_equal(append(0, OTA_STATE_VALID), 0);
    assert_otadata_is("01_first_boot");
    assert_int_equal(append(1, OTA_STATE_NEW), 0);
    assert_otadata_is("02_set_boot_ota1_rollback_on");
    assert_int_equal(reject(OTA_STATE_ABORTED), 0);
    assert_otadata_is("08_unconfirmed_aborted");
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(retire(0, 1), 0);
    assert_otadata_is("05_begin_second_update");
    assert_int_equal(append(0, OTA_STATE_NEW), 0);
    assert_otadata_is("06_set_boot_ota0");
    assert_int_equal(reject(OTA_STATE_INVALID), 0);
    assert_otadata_is("07_mark_invalid");
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    memset(bench_otadata(&bench, 1), 0xFF, BENCH_SECTOR);
    assert_int_equal(append(1, OTA_STATE_UNDEFINED), 0);
    assert_otadata_is("09_set_boot_ota1_rollback_off");
}

static void starts_with_the_slot_s_own_number(void **state)
{
    (void)state;
    for (unsigned slots = 2; slots <= ESP_PARTITION_SLOTS_MAX; slots++)
        for (unsigned slot = 0; slot < slots; slot++) {
            bench.layout.slots = slots;
            bench_wipe(&bench);
            assert_int_equal(append(slot, OTA_STATE_NEW), 0);
            assert_int_equal(load_le32(bench_otadata(&bench, 0)), slot + 1); // as ESP-IDF does
            assert_int_equal(active_slot(), slot);
        }
}

/// From every remainder, for every number of slots: the new record rules, means the slot, is above
/// the old one by no more than the number of slots, and lies in the other sector; the old one is as
/// it was.
static void appends_the_next_number_that_means_the_slot(void **state)
{
    (void)state;
    static const uint32_t BASES[] = { 1, 0x7FFFFFF0, 0xFFFFFFC0 };
    uint8_t before[BENCH_SECTOR];
    for (unsigned slots = 2; slots <= ESP_PARTITION_SLOTS_MAX; slots++)
        for (unsigned k = 0; k < 3 * slots * slots; k++) {
            const uint32_t seq = BASES[k % 3] + k / 3 % slots;
            const unsigned slot = k / 3 / slots;
            const int sector = (int)(k & 1);
            bench.layout.slots = slots;
            bench_wipe(&bench);
            bench_record(&bench, sector, seq, OTA_STATE_VALID);
            memcpy(before, bench_otadata(&bench, sector), sizeof before);
            assert_int_equal(append(slot, OTA_STATE_NEW), 0);
            assert_memory_equal(bench_otadata(&bench, sector), before, sizeof before);
            const ota_select_t sel = read_select();
            assert_int_equal(sel.active, 1 - sector);
            assert_int_equal(sel.record[sel.active].slot, slot);
            assert_int_equal(sel.record[sel.active].state, OTA_STATE_NEW);
            assert_in_range(sel.record[sel.active].seq - seq, 1, slots);
        }
}

static void says_when_no_number_is_left(void **state)
{
    (void)state;
    for (unsigned slots = 2; slots <= ESP_PARTITION_SLOTS_MAX; slots++)
        for (uint32_t left = 0; left <= slots; left++)
            for (unsigned slot = 0; slot < slots; slot++) {
                const uint32_t seq = 0xFFFFFFFE - left;
                bench.layout.slots = slots;
                bench_wipe(&bench);
                bench_record(&bench, 0, seq, OTA_STATE_VALID);
                bool possible = false;
                for (uint32_t next = seq + 1; next != UINT32_MAX; next++)
                    possible |= (next - 1) % slots == slot;
                sim_flash_power_on(&bench.nor);
                assert_int_equal(append(slot, OTA_STATE_NEW), possible ? 0 : OTA_SELECT_EXHAUSTED);
                assert_int_equal(sim_flash_changes(&bench.nor), possible ? 4 : 0);
                if (possible) assert_int_equal(active_slot(), slot);
            }
}

// --- The record that rules is not erased for another one ---

static void keeps_the_ruling_record_when_a_rejected_one_is_newer(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bench_record(&bench, i, 4, OTA_STATE_NEW);
        bench_record(&bench, 1 - i, 5, OTA_STATE_ABORTED);
        sim_flash_power_on(&bench.nor);
        sim_flash_cut(&bench.nor, 2, SIM_FLASH_NOTHING, 0); // erased, nothing written yet
        assert_int_equal(append(1, OTA_STATE_VALID), SIM_FLASH_NO_POWER);
        sim_flash_power_on(&bench.nor);
        assert_int_equal(active_slot(), 1);
        assert_int_equal(append(1, OTA_STATE_VALID), 0);
        assert_int_equal(active_slot(), 1);
        assert_int_equal(read_select().active, 1 - i);
        assert_true(read_select().record[1 - i].seq > 4);
    }
}

static void keeps_the_ruling_record_of_two_with_equal_numbers(void **state)
{
    (void)state;
    bench_record(&bench, 0, 4, OTA_STATE_INVALID);
    bench_record(&bench, 1, 4, OTA_STATE_VALID);
    sim_flash_cut(&bench.nor, 2, SIM_FLASH_NOTHING, 0);
    assert_int_equal(append(0, OTA_STATE_NEW), SIM_FLASH_NO_POWER);
    sim_flash_power_on(&bench.nor);
    assert_int_equal(active_slot(), 1);
}

// --- Retire ---

static void retires_the_record_about_the_slot_only(void **state)
{
    (void)state;
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(retire(1, 0), 0);
    assert_string_equal(bench_records(&bench), "3:VALID -");
    sim_flash_power_on(&bench.nor);
    assert_int_equal(retire(1, 0), 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

static void retires_a_rejected_record_too(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_ABORTED);
    assert_int_equal(retire(1, 0), 0);
    assert_string_equal(bench_records(&bench), "1:VALID -");
}

// The bootloader fell back to slot 0 without a note: the record about slot 1 still rules.
static void writes_one_for_the_running_slot_before_it_retires_the_ruling_one(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_ABORTED);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(retire(1, 0), 0);
    assert_string_equal(bench_records(&bench), "3:VALID -");
    bench_record(&bench, 0, 4, OTA_STATE_VALID); // both are about slot 1
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    assert_int_equal(retire(1, 0), 0);
    assert_string_equal(bench_records(&bench), "- 5:VALID");
}

static void needs_none_for_the_running_slot_if_there_is_one(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    sim_flash_power_on(&bench.nor);
    assert_int_equal(retire(1, 0), 0);
    assert_string_equal(bench_records(&bench), "1:VALID -");
    assert_int_equal(sim_flash_changes(&bench.nor),
                     2); // the erase, and a mark that it was completed
}

static void retires_torn_records_too(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    bench_otadata(&bench, 1)[28] ^= 1; // of which nobody knows what they will say tomorrow
    assert_int_equal(retire(1, 0), 0);
    assert_string_equal(bench_records(&bench), "1:VALID -");
    assert_true(flash_is_blank(bench_otadata(&bench, 1), BENCH_WIPED));
}

static void retires_everything_about_the_slot_when_the_factory_application_runs(void **state)
{
    (void)state;
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 1, OTA_STATE_VALID);
    assert_int_equal(retire(0, OTA_FACTORY), 0);
    assert_string_equal(bench_records(&bench), "- -");
}

static void keeps_the_factory_application_running_when_it_retires_the_ruling_record(void **state)
{
    (void)state;
    bench_record(&bench, 0, 3, OTA_STATE_VALID); // about ota_0, whose image is damaged
    bench_record(&bench, 1, 2, OTA_STATE_VALID); // about ota_1: must not rule again
    assert_int_equal(retire(0, OTA_FACTORY), 0);
    assert_string_equal(bench_records(&bench), "- -");
    bench_record(&bench, 0, 3, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    sim_flash_cut(&bench.nor, 2, SIM_FLASH_NOTHING, 0);
    (void)retire(0, OTA_FACTORY);
    sim_flash_power_on(&bench.nor);
    assert_string_equal(bench_records(&bench), "3:VALID -");
}

static void retires_no_record_when_no_number_is_left_for_the_running_slot(void **state)
{
    (void)state;
    bench_record(&bench, 1, 0xFFFFFFFE, OTA_STATE_VALID); // slot 1
    sim_flash_power_on(&bench.nor);
    assert_int_equal(retire(1, 0), OTA_SELECT_EXHAUSTED);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

// --- Marks and rejection ---

static void counts_starts_without_an_erase(void **state)
{
    (void)state;
    uint8_t before[OTA_RECORD_LEN];
    bench_record(&bench, 0, 1, OTA_STATE_VALID);
    bench_record(&bench, 1, 2, OTA_STATE_NEW);
    memcpy(before, bench_otadata(&bench, 1), sizeof before);
    sim_flash_power_on(&bench.nor);
    for (unsigned i = 0; i < OTA_STARTS_MAX; i++) {
        assert_int_equal(read_select().record[1].starts, i);
        assert_int_equal(mark_start(), 0);
    }
    assert_int_equal(mark_start(), 0); // no room: it stays
    assert_int_equal(read_select().record[1].starts, OTA_STARTS_MAX);
    assert_int_equal(read_select().record[0].starts, 0);
    assert_int_equal(bench.nor.erases, 0);
    assert_int_equal(bench.nor.progs, OTA_STARTS_MAX);
    assert_memory_equal(bench_otadata(&bench, 1), before, sizeof before);
}

static void reads_a_torn_mark_as_set_once_one_bit_of_it_is(void **state)
{
    (void)state;
    unsigned bits = 0;
    for (uint64_t seed = 0; seed == 0 || seed < bits; seed++) {
        bench_record(&bench, 0, 1, OTA_STATE_NEW);
        sim_flash_power_on(&bench.nor);
        sim_flash_cut(&bench.nor, 1, SIM_FLASH_ONE_BIT, seed);
        assert_int_equal(mark_start(), SIM_FLASH_NO_POWER);
        bits = bench.nor.bits;
        sim_flash_power_on(&bench.nor);
        assert_int_equal(read_select().record[0].starts, 1);
    }
    assert_int_equal(bits, 8 * FLASH_UNIT);
}

static void marks_and_rejects_nothing_when_no_record_rules(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_ABORTED);
    sim_flash_power_on(&bench.nor);
    assert_int_equal(mark_start(), 0);
    assert_int_equal(reject(OTA_STATE_INVALID), 0);
    assert_int_equal(ota_select_confirm(&bench.nor.flash, &bench.layout), 0);
    assert_int_equal(sim_flash_changes(&bench.nor), 0);
}

static void a_new_record_has_no_marks(void **state)
{
    (void)state;
    bench_record(&bench, 0, 1, OTA_STATE_NEW);
    assert_int_equal(mark_start(), 0);
    bench_record(&bench, 1, 2, OTA_STATE_VALID);
    assert_int_equal(append(0, OTA_STATE_NEW), 0);
    assert_string_equal(bench_records(&bench), "3:NEW 2:VALID");
    assert_int_equal(mark_start(), 0);
    assert_int_equal(reject(OTA_STATE_ABORTED), 0);
    assert_string_equal(bench_records(&bench), "3:ABORTED 2:VALID");
}

// --- Faults ---

static int do_append(void) { return append(1, OTA_STATE_NEW); }
static int do_confirm(void) { return ota_select_confirm(&bench.nor.flash, &bench.layout); }
static int do_retire(void) { return retire(1, 0); }
static int do_overrule(void) { return ota_select_overrule(&bench.nor.flash, &bench.layout, 0); }
static int do_settle(void) { return ota_select_settle(&bench.nor.flash, &bench.layout, 1); }
static int do_mark(void) { return mark_start(); }
static int do_reject(void) { return reject(OTA_STATE_INVALID); }

/// A change of the record, and what may rule after a cut in it.
typedef struct {
    const char *name;
    uint32_t seq0, state0, seq1, state1; // before; seq 0: blank
    int (*change)(void);
    unsigned changes;  // erases and programs it makes
    int before, after; // slot that rules
} change_t;

static const change_t CHANGES[] = {
    { "first record", 0, 0, 0, 0, do_append, 4, -1, 1 },
    { "activate", 1, OTA_STATE_VALID, 0, 0, do_append, 4, 0, 1 },
    { "activate over an old one", 3, OTA_STATE_VALID, 2, OTA_STATE_VALID, do_append, 4, 0, 1 },
    { "activate over a rejected one", 1, OTA_STATE_VALID, 2, OTA_STATE_ABORTED, do_append, 4, 0,
      1 },
    { "confirm", 1, OTA_STATE_VALID, 2, OTA_STATE_NEW, do_confirm, 7, 1, 1 },
    { "confirm, ESP-IDF", 1, OTA_STATE_VALID, 2, OTA_STATE_PENDING, do_confirm, 7, 1, 1 },
    { "retire", 3, OTA_STATE_VALID, 2, OTA_STATE_VALID, do_retire, 2, 0, 0 },
    { "retire a ruling one", 1, OTA_STATE_VALID, 2, OTA_STATE_VALID, do_retire, 2, 1, 0 },
    { "retire the only one", 1, OTA_STATE_ABORTED, 2, OTA_STATE_VALID, do_retire, 6, 1, 0 },
    { "overrule", 1, OTA_STATE_VALID, 2, OTA_STATE_VALID, do_overrule, 4, 1, 0 },
    { "overrule the only one", 1, OTA_STATE_INVALID, 2, OTA_STATE_VALID, do_overrule, 4, 1, 0 },
    { "settle", 1, OTA_STATE_VALID, 2, OTA_STATE_UNDEFINED, do_settle, 1, 1, 1 },
    { "mark", 1, OTA_STATE_VALID, 2, OTA_STATE_NEW, do_mark, 1, 1, 1 },
    { "reject", 1, OTA_STATE_VALID, 2, OTA_STATE_NEW, do_reject, 4, 1, 0 },
    { "reject, ESP-IDF", 1, OTA_STATE_VALID, 2, OTA_STATE_PENDING, do_reject, 4, 1, 0 },
};
enum { CHANGE_COUNT = sizeof CHANGES / sizeof *CHANGES };

/// The slot that rules and the state of its record, in one number.
static uint32_t ruling(void)
{
    const ota_select_t sel = read_select();
    if (sel.active < 0) return UINT32_MAX;
    return sel.record[sel.active].slot << 8 | (sel.record[sel.active].state & 0xFF);
}

static uint32_t rules_before, rules_after; // ruling() without a cut

static void set_up(const change_t *c)
{
    sim_flash_power_on(&bench.nor);
    bench_wipe(&bench);
    if (c->seq0) bench_record(&bench, 0, c->seq0, c->state0);
    if (c->seq1) bench_esp_record(&bench, 1, c->seq1, c->state1);
    // What rejects itself was started before.
    if (c->change == do_reject && c->state1 == OTA_STATE_NEW) assert_int_equal(mark_start(), 0);
    sim_flash_power_on(&bench.nor);
}

/// Cuts the n-th erase or program of a change and looks which slot rules. Then the change is made
/// again.
static void cut(const change_t *c, unsigned n, sim_flash_effect_t effect, uint64_t seed)
{
    set_up(c);
    sim_flash_cut(&bench.nor, n, effect, seed);
    const int err = c->change();
    assert_true(bench.nor.fired);
    sim_flash_power_on(&bench.nor);
    const bool right = (err && ruling() == rules_before) || ruling() == rules_after;
    if (!right)
        fail_msg("%s: cut at change %u, effect %d, seed %u: %s", c->name, n, (int)effect,
                 (unsigned)seed, bench_records(&bench));
    assert_int_equal(c->change(), 0);
    if (c->change != do_reject && c->change != do_overrule)
        assert_int_equal(active_slot(), c->after);
}

static void an_old_or_the_new_record_rules_after_every_cut(void **state)
{
    (void)state;
    unsigned cuts = 0;
    for (size_t i = 0; i < CHANGE_COUNT; i++) {
        const change_t *c = &CHANGES[i];
        set_up(c);
        rules_before = ruling();
        assert_int_equal(c->change(), 0);
        rules_after = ruling();
        assert_int_equal(sim_flash_changes(&bench.nor), c->changes);
        assert_int_equal(active_slot(), c->after);
        for (unsigned n = 1; n <= c->changes; n++) {
            cut(c, n, SIM_FLASH_NOTHING, 0);
            cut(c, n, SIM_FLASH_DONE, 0);
            for (uint64_t seed = 0; seed < 64; seed++)
                cut(c, n, SIM_FLASH_TORN, seed);
            for (uint64_t bit = 0; bit == 0 || bit < bench.nor.bits; bit++)
                cut(c, n, SIM_FLASH_ONE_BIT, bit);
            for (uint64_t bit = 0; bit == 0 || bit < bench.nor.bits; bit++)
                cut(c, n, SIM_FLASH_ALL_BUT_ONE, bit);
            cuts += 66 + 2 * bench.nor.bits;
        }
    }
    print_message("%u cuts\n", cuts);
    assert_true(cuts > 4000);
}

static void passes_on_every_error_of_the_flash(void **state)
{
    (void)state;
    unsigned faults = 0;
    for (size_t i = 0; i < CHANGE_COUNT; i++)
        for (unsigned n = 1;; n++) {
            set_up(&CHANGES[i]);
            sim_flash_fail(&bench.nor, n, SIM_FLASH_NOTHING, 0);
            const int err = CHANGES[i].change();
            if (!bench.nor.fired) {
                assert_int_equal(err, 0);
                assert_true(n > CHANGES[i].changes + 2); // two reads at least
                break;
            }
            const int slot = active_slot();
            assert_true((err == SIM_FLASH_ERROR && slot == CHANGES[i].before) ||
                        slot == CHANGES[i].after);
            faults++;
        }
    print_message("%u faults\n", faults);
}

int main(void)
{
#define ON_A_BENCH(test) cmocka_unit_test_setup_teardown(test, open_two_slots, close_bench)
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(reads_what_esp_idf_and_otatool_wrote),
        ON_A_BENCH(refuses_a_record_whose_crc_is_wrong_in_any_bit),
        ON_A_BENCH(a_complete_record_can_be_read_whatever_becomes_of_its_sequence_number),
        ON_A_BENCH(refuses_sequence_0_and_a_blank_one),
        ON_A_BENCH(prefers_the_higher_sequence_and_the_first_of_equal_ones),
        ON_A_BENCH(lets_no_rejected_record_rule),
        ON_A_BENCH(takes_no_record_in_a_state_that_nobody_knows),
        ON_A_BENCH(takes_no_confirmed_record_that_is_marked_as_started),
        ON_A_BENCH(tries_the_slots_in_this_order),
        ON_A_BENCH(writes_byte_for_byte_what_esp_idf_writes),
        ON_A_BENCH(starts_with_the_slot_s_own_number),
        ON_A_BENCH(appends_the_next_number_that_means_the_slot),
        ON_A_BENCH(says_when_no_number_is_left),
        ON_A_BENCH(keeps_the_ruling_record_when_a_rejected_one_is_newer),
        ON_A_BENCH(keeps_the_ruling_record_of_two_with_equal_numbers),
        ON_A_BENCH(retires_the_record_about_the_slot_only),
        ON_A_BENCH(retires_a_rejected_record_too),
        ON_A_BENCH(writes_one_for_the_running_slot_before_it_retires_the_ruling_one),
        ON_A_BENCH(needs_none_for_the_running_slot_if_there_is_one),
        ON_A_BENCH(retires_torn_records_too),
        ON_A_BENCH(retires_everything_about_the_slot_when_the_factory_application_runs),
        ON_A_BENCH(keeps_the_factory_application_running_when_it_retires_the_ruling_record),
        ON_A_BENCH(retires_no_record_when_no_number_is_left_for_the_running_slot),
        ON_A_BENCH(counts_starts_without_an_erase),
        ON_A_BENCH(reads_a_torn_mark_as_set_once_one_bit_of_it_is),
        ON_A_BENCH(marks_and_rejects_nothing_when_no_record_rules),
        ON_A_BENCH(a_new_record_has_no_marks),
        ON_A_BENCH(an_old_or_the_new_record_rules_after_every_cut),
        ON_A_BENCH(passes_on_every_error_of_the_flash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
