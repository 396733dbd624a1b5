// test_boot_decisions.c - our bootloader's choice beside ESP-IDF's, for 4,830 contents of a flash.
// SPDX-License-Identifier: Apache-2.0
//
// model() is ESP-IDF's choice, written down from its behaviour, with a switch for each point in
// which we decide otherwise. Without the switches it must say what ESP-IDF did, row by row; with
// them, what ota_boot_choose() does. So every difference has a named reason, or the test fails.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "ota_boot.h"
#include "vectors.h"
#include <cmocka.h>

typedef struct {
    bool blank, bad_crc;
    uint32_t seq, state;
} golden_record_t;

typedef struct {
    bool factory, rollback;
    golden_record_t record[2];
    bool right[3]; // factory, ota_0, ota_1: the image can be started
} golden_case_t;

enum {
    GIVES_UP_ALWAYS = 1, // an image that was started and not confirmed is given up; ESP-IDF's
                         // bootloader does so only when it was built with rollback
    REJECTED_LAST = 2,   // a slot whose record says rejected is tried last; ESP-IDF looks at
                         // the ruling record only
    ALL_SWITCHES = 3,
};

enum { ROWS = 4830, NONE = -99 }; // NONE: as the golden table has it

// --- The model ---

static bool is_rejected(const golden_record_t *r)
{
    return r->state == OTA_STATE_INVALID || r->state == OTA_STATE_ABORTED;
}

static bool has_seq(const golden_record_t *r) { return !r->blank && !r->bad_crc; }

static int ruling(const golden_record_t r[2])
{
    int active = -1;
    for (int i = 0; i < 2; i++)
        if (has_seq(&r[i]) && !is_rejected(&r[i]) && (active < 0 || r[i].seq > r[active].seq))
            active = i;
    return active;
}

static bool slot_rejected(const golden_record_t r[2], int slot)
{
    int about = -1;
    for (int i = 0; i < 2; i++)
        if (has_seq(&r[i]) && (int)((r[i].seq - 1) % 2) == slot &&
            (about < 0 || r[i].seq > r[about].seq))
            about = i;
    return about >= 0 && is_rejected(&r[about]);
}

/// Unconfirmed ones, as ESP-IDF does with rollback.
static void give_up_all(golden_record_t r[2])
{
    for (int i = 0; i < 2; i++)
        if (!r[i].blank && r[i].state == OTA_STATE_PENDING) r[i].state = OTA_STATE_ABORTED;
}

static void give_up_ruling(golden_record_t r[2])
{
    int active;
    while ((active = ruling(r)) >= 0 && r[active].state == OTA_STATE_PENDING)
        r[active].state = OTA_STATE_ABORTED;
}

static int model(const golden_case_t *c, unsigned switches)
{
    golden_record_t r[2] = { c->record[0], c->record[1] };
    if (switches & GIVES_UP_ALWAYS)
        give_up_ruling(r);
    else if (c->rollback)
        give_up_all(r);
    const int active = ruling(r);
    int first = (active >= 0) ? (int)((r[active].seq - 1) % 2) : OTA_FACTORY;
    if (!c->factory && first == OTA_FACTORY) first = 0;
    int order[3];
    int count = 0;
    for (int slot = first; slot >= 0; slot--)
        order[count++] = slot;
    if (c->factory) order[count++] = OTA_FACTORY;
    for (int slot = first + 1; slot < 2; slot++)
        order[count++] = slot;
    for (int rejected = 0; rejected < 2; rejected++)
        for (int i = 0; i < count; i++) {
            const int slot = order[i];
            const bool is_last = (switches & REJECTED_LAST) && slot_rejected(r, slot);
            if (is_last == rejected && c->right[slot + 1]) return slot;
        }
    return NONE;
}

// --- The table ---

static golden_record_t parse_record(const char *text)
{
    static const char *const NAME[] = { "NEW", "PENDING", "VALID", "INVALID", "ABORTED" };
    golden_record_t r = { .blank = strcmp(text, "blank") == 0, .state = OTA_STATE_UNDEFINED };
    if (r.blank) return r;
    char *state = NULL;
    r.seq = (uint32_t)strtoul(text, &state, 10);
    r.bad_crc = strstr(state, ":badcrc") != NULL;
    for (uint32_t i = 0; i < 5; i++)
        if (strncmp(state + 1, NAME[i], strlen(NAME[i])) == 0) r.state = i;
    return r;
}

typedef void visit_t(const golden_case_t *c, int booted, const char *row);

static unsigned for_every_row(visit_t *visit)
{
    FILE *table = vector_table(VECTORS "/otadata/boot_decisions.csv");
    const char *column[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    while (vector_row(table, &line, column)) {
        golden_case_t c = { .factory = strcmp(column[0], "factory") == 0,
                            .rollback = strcmp(column[1], "on") == 0,
                            .record = { parse_record(column[2]), parse_record(column[3]) } };
        const char *p = column[4];
        while (*p) {
            char row[120];
            snprintf(row, sizeof row, "%s, rollback %s, %s, %s, %.3s", column[0], column[1],
                     column[2], column[3], p);
            for (int i = 0; i < 3; i++)
                c.right[i] = p[i] == '1';
            assert_int_equal(p[3], '=');
            visit(&c, (int)strtol(p + 4, NULL, 10), row);
            rows++;
            p += strcspn(p, " ");
            p += strspn(p, " ");
        }
    }
    free(line);
    fclose(table);
    return rows;
}

static void model_is_esp_idf(const golden_case_t *c, int booted, const char *row)
{
    const int choice = model(c, 0);
    if (choice != booted) fail_msg("%s: ESP-IDF %d, the model %d", row, booted, choice);
}

static void the_model_without_switches_is_esp_idf(void **state)
{
    (void)state;
    assert_int_equal(for_every_row(model_is_esp_idf), ROWS);
}

// --- Our choice ---

static bench_t bench_of[2]; // without and with a factory slot
static uint8_t *image;
static size_t image_len;
static unsigned same, differs_by[ALL_SWITCHES + 1];

static bench_t *set_up(const golden_case_t *c)
{
    bench_t *b = &bench_of[c->factory];
    for (int slot = c->factory ? OTA_FACTORY : 0; slot < 2; slot++) {
        memcpy(bench_slot(b, slot), image, image_len);
        if (!c->right[slot + 1]) bench_slot(b, slot)[image_len - 1] ^= 1;
    }
    memset(bench_otadata(b, 0), 0xFF, 2 * BENCH_SECTOR);
    for (int i = 0; i < 2; i++) {
        const golden_record_t *r = &c->record[i];
        if (r->blank) continue;
        bench_record(b, i, r->seq, r->state);
        if (r->bad_crc) bench_otadata(b, i)[28] ^= 1;
    }
    return b;
}

/// What must hold after every start, whatever was on the flash.
static void check_start(bench_t *b, const golden_case_t *c, int slot, const char *row)
{
    const bool trial = b->boot.on_trial;
    golden_record_t r[2] = { c->record[0], c->record[1] };
    give_up_ruling(r);
    for (int active; (active = ruling(r)) >= 0 && slot != (int)((r[active].seq - 1) % 2);)
        r[active].state = OTA_STATE_ABORTED; // its image is damaged
    const int active = ruling(r);
    const bool is_new = active >= 0 && r[active].state <= OTA_STATE_PENDING;
    if (trial != is_new) fail_msg("%s: on trial: %d", row, trial);
    const int again = bench_boot(b);
    if (trial) return; // not confirmed: another slot, if there is one
    if (again != slot) fail_msg("%s: starts %d, then %d", row, slot, again);
    if (nor_changes(&b->nor)) fail_msg("%s: the second start writes: %s", row, bench_records(b));
}

/// The fewest switches that explain the choice.
static unsigned reason(const golden_case_t *c, int choice)
{
    static const unsigned SETS[] = { 0, GIVES_UP_ALWAYS, REJECTED_LAST, ALL_SWITCHES };
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++)
        if (model(c, SETS[i]) == choice) return SETS[i];
    return ALL_SWITCHES;
}

static void choose(const golden_case_t *c, int booted, const char *row)
{
    bench_t *b = set_up(c);
    int slot = bench_boot(b);
    const int choice = (slot == OTA_NOTHING) ? NONE : slot;
    const int expected = model(c, ALL_SWITCHES);
    if (choice != expected)
        fail_msg("%s: ESP-IDF %d, we %d, expected %d: %s", row, booted, choice, expected,
                 bench_records(b));
    check_start(b, c, slot, row);
    if (choice == booted) {
        same++;
    } else {
        assert_int_not_equal(choice, NONE); // never nothing where ESP-IDF starts something
        differs_by[reason(c, choice)]++;
    }
}

static void chooses_what_esp_idf_chooses_but_for_named_reasons(void **state)
{
    (void)state;
    image = bench_image("1.0", true, &image_len);
    bench_open(&bench_of[0], 2, false);
    bench_open(&bench_of[1], 2, true);
    assert_int_equal(for_every_row(choose), ROWS);
    print_message("the same %u; given up without rollback %u, rejected last %u, both %u\n", same,
                  differs_by[GIVES_UP_ALWAYS], differs_by[REJECTED_LAST], differs_by[ALL_SWITCHES]);
    assert_int_equal(same, 4378);
    assert_int_equal(differs_by[GIVES_UP_ALWAYS], 118);
    assert_int_equal(differs_by[REJECTED_LAST], 283);
    assert_int_equal(differs_by[ALL_SWITCHES], 51);
    bench_close(&bench_of[0]);
    bench_close(&bench_of[1]);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_model_without_switches_is_esp_idf),
        cmocka_unit_test(chooses_what_esp_idf_chooses_but_for_named_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
