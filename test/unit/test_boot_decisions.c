// test_boot_decisions.c - esp_boot beside ESP-IDF's bootloader, and ours beside esp_boot.
// SPDX-License-Identifier: Apache-2.0
//
// ESP-IDF's decisions are known for about half of all contents that a flash can have (the tables in
// test/vectors/otadata): esp_boot must make each of them, with the same flash operations and bytes.
// model() says the same in another way; esp_boot must agree with it about every content, and about
// records that the tables lack. Our own bootloader then is held against esp_boot: wherever it
// starts something else, ESP-IDF would have started that as well, had one thing been different.
// That thing is the reason, and each reason has its count.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "bench.h"
#include "esp_boot.h"
#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

typedef enum { NO_ROLLBACK, ROLLBACK, ANTI_ROLLBACK } config_t;

typedef struct {
    uint32_t seq, state; // blank: all ones
    bool bad_crc;
} record_t;

typedef struct {
    bool factory;
    config_t config;
    record_t record[2];
    bool right[3];       // factory, ota_0, ota_1: the image can be started
    uint32_t version[2]; // secure versions of ota_0 and ota_1
    uint32_t efuse;
} case_t;

typedef struct {
    int selected, booted;
    record_t record[2];
    char ops[100]; // "E od0 1000;W od0 20": as the table has it, in hex
    uint32_t efuse;
} outcome_t;

enum { NONE = -99 }; // booted: as the table has it
enum { VERSIONS = 3 };
#define BLANK                                                                                      \
    {                                                                                              \
        UINT32_MAX, UINT32_MAX, true                                                               \
    }

// --- A device with ESP-IDF's bootloader ---

static bench_t bench_of[2]; // without and with a factory slot
static uint8_t *image[VERSIONS];
static size_t image_len;
static flash_t logged; // the bench's, with a log
static outcome_t *log_to;
static uint32_t efuse;

static void log_op(const flash_t *under, char op, uint32_t at, uint32_t len)
{
    const size_t used = strlen(log_to->ops);
    const uint32_t i = (at - BENCH_OTADATA) / BENCH_SECTOR;
    assert_int_equal((at - BENCH_OTADATA) % BENCH_SECTOR, 0);
    assert_true(at + len <= under->size);
    snprintf(log_to->ops + used, sizeof log_to->ops - used, "%s%c od%u %x", used ? ";" : "", op,
             (unsigned)i, (unsigned)len);
}

static int logged_erase(void *ctx, uint32_t at)
{
    const flash_t *under = ctx;
    log_op(under, 'E', at, under->sector_size);
    return under->erase(under->ctx, at);
}

static int logged_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    const flash_t *under = ctx;
    log_op(under, 'W', at, len);
    return under->prog(under->ctx, at, p, len);
}

static int logged_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const flash_t *under = ctx;
    return under->read(under->ctx, at, p, len);
}

static int efuse_read(void *ctx, uint32_t *value)
{
    *value = *(uint32_t *)ctx;
    return 0;
}

static int efuse_raise(void *ctx, uint32_t value)
{
    assert_true(value > *(uint32_t *)ctx);
    *(uint32_t *)ctx = value;
    return 0;
}

static const counter_t counter = { .ctx = &efuse, .read = efuse_read, .raise = efuse_raise };

static void put_record(bench_t *b, int i, const record_t *r)
{
    bench_esp_record(b, i, r->seq, r->state);
    uint8_t *crc = bench_otadata(b, i) + 28;
    if (r->seq == UINT32_MAX)
        store_le32(crc, UINT32_MAX);
    else if (r->bad_crc)
        *crc ^= 1;
    bench_otadata(b, i)[10] = (uint8_t)('a' + i); // in the label, which ESP-IDF keeps
}

static bench_t *set_up(const case_t *c)
{
    bench_t *b = &bench_of[c->factory];
    const uint32_t version[] = { 0, c->version[0], c->version[1] };
    for (int i = c->factory ? 0 : 1; i < 3; i++) {
        memcpy(bench_slot(b, i - 1), image[version[i]], image_len);
        if (!c->right[i]) bench_slot(b, i - 1)[image_len - 1] ^= 1;
    }
    for (int i = 0; i < 2; i++)
        put_record(b, i, &c->record[i]);
    sim_flash_power_on(&b->nor);
    efuse = c->efuse;
    b->cfg.counter = (c->config == ANTI_ROLLBACK) ? &counter : NULL;
    return b;
}

/// Compares the bytes; ESP-IDF copies the label, but a record from nothing has none.
static bool holds(bench_t *b, int i, const case_t *c, const outcome_t *o)
{
    uint8_t found[OTA_RECORD_LEN], expected[OTA_RECORD_LEN];
    memcpy(found, bench_otadata(b, i), sizeof found);
    put_record(b, i, &o->record[i]);
    if (o->record[i].seq != c->record[i].seq) bench_otadata(b, i)[10] = 0xFF;
    memcpy(expected, bench_otadata(b, i), sizeof expected);
    memcpy(bench_otadata(b, i), found, sizeof found);
    return memcmp(found, expected, sizeof found) == 0;
}

static outcome_t esp_idf(bench_t *b, const case_t *c)
{
    static esp_boot_t boot;
    outcome_t o = { .booted = NONE };
    logged = b->nor.flash;
    logged.ctx = &b->nor.flash;
    logged.read = logged_read;
    logged.prog = logged_prog;
    logged.erase = logged_erase;
    log_to = &o;
    const esp_boot_cfg_t cfg = { .flash = &logged,
                                 .crypto = vector_crypto(),
                                 .layout = &b->layout,
                                 .chip_id = b->cfg.chip_id,
                                 .chip_rev = b->cfg.chip_rev,
                                 .efuse_rev = b->cfg.efuse_rev,
                                 .rollback = c->config != NO_ROLLBACK,
                                 .counter = b->cfg.counter };
    esp_boot_choose(&boot, &cfg);
    o.selected = boot.selected;
    if (boot.booted != OTA_NOTHING) o.booted = boot.booted;
    o.efuse = efuse;
    return o;
}

static const char *name(const case_t *c)
{
    static char text[160];
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "%s, config %d, right %d%d%d, versions %u %u,"
                                 " efuse %u, records",
                                 c->factory ? "factory" : "ab", (int)c->config, c->right[0],
                                 c->right[1], c->right[2], (unsigned)c->version[0],
                                 (unsigned)c->version[1], (unsigned)c->efuse);
    for (int i = 0; i < 2; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, " %u:%d%s", (unsigned)c->record[i].seq,
                               (int)c->record[i].state, c->record[i].bad_crc ? ":badcrc" : "");
    return text;
}

/// Runs esp_boot and compares everything.
static void check_esp_boot(const case_t *c, const outcome_t *expected, bool ops_known)
{
    bench_t *b = set_up(c);
    const outcome_t o = esp_idf(b, c);
    if (o.selected != expected->selected || o.booted != expected->booted)
        fail_msg("%s: selects %d, boots %d; ESP-IDF %d, %d", name(c), o.selected, o.booted,
                 expected->selected, expected->booted);
    if (ops_known && strcmp(o.ops, expected->ops) != 0)
        fail_msg("%s: \"%s\", ESP-IDF \"%s\"", name(c), o.ops, expected->ops);
    if (o.efuse != expected->efuse)
        fail_msg("%s: efuse %u, ESP-IDF %u", name(c), (unsigned)o.efuse, (unsigned)expected->efuse);
    for (int i = 0; i < 2; i++)
        if (!holds(b, i, c, expected)) fail_msg("%s: %s", name(c), bench_records(b));
}

// --- What ESP-IDF did ---

static record_t parse_record(const char *text)
{
    static const char *const NAME[] = { "NEW", "PENDING", "VALID", "INVALID", "ABORTED" };
    record_t r = BLANK;
    if (strcmp(text, "blank") == 0) return r;
    char *state = NULL;
    r.seq = (uint32_t)strtoul(text, &state, 10);
    r.bad_crc = strstr(state, ":badcrc") != NULL;
    for (uint32_t i = 0; i < 5; i++)
        if (strncmp(state + 1, NAME[i], strlen(NAME[i])) == 0) r.state = i;
    if (r.state == UINT32_MAX) assert_int_equal(strncmp(state, ":UNDEF", 6), 0);
    return r;
}

static uint32_t number(const char *text) { return (uint32_t)strtoul(text, NULL, 10); }

static void esp_boot_makes_every_decision_of_esp_idf(void **state)
{
    (void)state;
    FILE *table = vector_table(VECTORS "/otadata/boot_decisions.csv");
    const char *col[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    for (; vector_row(table, &line, col); rows++) {
        const case_t c = { .factory = strcmp(col[0], "factory+ab") == 0,
                           .config = strcmp(col[1], "rb") == 0 ? ROLLBACK : NO_ROLLBACK,
                           .record = { parse_record(col[2]), parse_record(col[3]) },
                           .right = { *col[4] == '1', *col[5] == '1', *col[6] == '1' } };
        outcome_t o = { .selected = (int)strtol(col[7], NULL, 10),
                        .booted = (int)strtol(col[8], NULL, 10),
                        .record = { parse_record(col[9]), parse_record(col[10]) } };
        snprintf(o.ops, sizeof o.ops, "%s", col[11]);
        check_esp_boot(&c, &o, true);
    }
    free(line);
    fclose(table);
    assert_int_equal(rows, 4830);
}

static void esp_boot_makes_every_decision_of_esp_idf_with_anti_rollback(void **state)
{
    (void)state;
    FILE *table = vector_table(VECTORS "/otadata/boot_decisions_antirollback.csv");
    const char *col[VECTOR_COLUMNS];
    char *line = NULL;
    unsigned rows = 0;
    for (; vector_row(table, &line, col); rows++) {
        assert_string_equal(col[0], "ab");
        const case_t c = { .config = ANTI_ROLLBACK,
                           .record = { parse_record(col[2]), parse_record(col[3]) },
                           .right = { true, true, true },
                           .version = { number(col[4]), number(col[5]) },
                           .efuse = number(col[6]) };
        const outcome_t o = { .selected = (int)strtol(col[7], NULL, 10),
                              .booted = (int)strtol(col[8], NULL, 10),
                              .record = { parse_record(col[9]), parse_record(col[10]) },
                              .efuse = number(col[11]) };
        check_esp_boot(&c, &o, false);
    }
    free(line);
    fclose(table);
    assert_int_equal(rows, 3466);
}

// --- What ESP-IDF would do ---

static bool is_rejected(const record_t *r)
{
    return r->state == OTA_STATE_INVALID || r->state == OTA_STATE_ABORTED;
}

static bool is_used(const record_t *r) { return r->seq != UINT32_MAX && !r->bad_crc; }

static int slot_of(const record_t *r) { return (int)((r->seq - 1) % 2); }

static void rewrite(outcome_t *o, int i, uint32_t state)
{
    const size_t used = strlen(o->ops);
    o->record[i].state = state;
    snprintf(o->ops + used, sizeof o->ops - used, "%sE od%d 1000;W od%d 20", used ? ";" : "", i, i);
}

static bool accepts(const case_t *c, uint32_t least, int slot)
{
    if (slot == OTA_FACTORY && !c->factory) return false;
    const uint32_t version = (slot == OTA_FACTORY) ? 0 : c->version[slot];
    return c->config != ANTI_ROLLBACK || version >= least;
}

static outcome_t model(const case_t *c)
{
    outcome_t o = { .selected = OTA_FACTORY,
                    .booted = NONE,
                    .record = { c->record[0], c->record[1] },
                    .efuse = c->efuse };
    record_t *r = o.record;
    for (int i = 0; i < 2; i++)
        if (c->config != NO_ROLLBACK && r[i].state == OTA_STATE_PENDING)
            rewrite(&o, i, OTA_STATE_ABORTED);
    const bool nothing_known = !is_used(&r[0]) && !is_used(&r[1]);
    bool heals = nothing_known && c->config == ANTI_ROLLBACK;
    bool may_rule[2];
    for (int i = 0; i < 2; i++)
        may_rule[i] = is_used(&r[i]) && !is_rejected(&r[i]) && accepts(c, c->efuse, slot_of(&r[i]));
    if (may_rule[0] || may_rule[1]) {
        const int i = (may_rule[0] && may_rule[1]) ? r[1].seq > r[0].seq : may_rule[1];
        o.selected = slot_of(&r[i]);
        if (r[i].state == OTA_STATE_NEW && c->config != NO_ROLLBACK)
            rewrite(&o, i, OTA_STATE_PENDING);
        // Before its image is verified: if that is damaged, the older one may not start either.
        if (r[i].state == OTA_STATE_VALID && c->config == ANTI_ROLLBACK)
            o.efuse = c->version[o.selected];
    } else if (!c->factory && c->config != ANTI_ROLLBACK) {
        const bool silent[] = { r[0].seq == UINT32_MAX || is_rejected(&r[0]),
                                r[1].seq == UINT32_MAX || is_rejected(&r[1]) };
        if (silent[0] && silent[1]) {
            o.selected = 0;
            heals = nothing_known;
        }
    }
    static const int ORDER[3][3] = { { OTA_FACTORY, 0, 1 },
                                     { 0, OTA_FACTORY, 1 },
                                     { 1, 0, OTA_FACTORY } };
    for (int i = 0; i < 3 && o.booted == NONE; i++) {
        const int slot = ORDER[o.selected + 1][i];
        if (c->right[slot + 1] && accepts(c, o.efuse, slot)) o.booted = slot;
    }
    if (heals && o.booted >= 0) {
        r[0] = (record_t){ (uint32_t)o.booted + 1, 0, false };
        rewrite(&o, 0, OTA_STATE_VALID);
        if (c->config == ANTI_ROLLBACK) o.efuse = c->version[o.booted];
    }
    return o;
}

// The first TABLED are those of the tables.
static const record_t RECORD[] = {
    BLANK,
    { 1, 0, false },
    { 1, 1, false },
    { 1, 2, false },
    { 1, 3, false },
    { 1, 4, false },
    { 1, UINT32_MAX, false },
    { 2, 0, false },
    { 2, 1, false },
    { 2, 2, false },
    { 2, 3, false },
    { 2, 4, false },
    { 2, UINT32_MAX, false },
    { 3, 0, false },
    { 3, 1, false },
    { 3, 2, false },
    { 3, 3, false },
    { 3, 4, false },
    { 3, UINT32_MAX, false },
    { 5, 2, true },
    { 0, UINT32_MAX, false }, // four zero bytes, else blank
    { 0, 0, false },
    { 0xFFFFFFFE, 2, false },
    { 0xFFFFFFFE, 1, false },
    { 0xFFFFFFFD, 0, false },
    { 2, 5, false }, // states that do not exist
    { 1, 0x7FFFFFFF, false },
    { UINT32_MAX, 0, true }, // blank, but for the state
    { UINT32_MAX, 1, true },
    { 6, 0, true },
    { 5, 1, true },
    { 6, 4, true },
    { 7, UINT32_MAX, true },
};
enum { TABLED = 20, RECORDS = sizeof RECORD / sizeof *RECORD };

typedef void visit_t(const case_t *c);

/// Every pair of the first `records` records, with any images, layout and rollback.
static unsigned for_every_case(int records, visit_t *visit)
{
    unsigned count = 0;
    for (int pair = 0; pair < records * records; pair++)
        for (unsigned bits = 0; bits < 32; bits++) {
            const case_t c = { .factory = bits & 1,
                               .config = (bits & 2) ? ROLLBACK : NO_ROLLBACK,
                               .record = { RECORD[pair / records], RECORD[pair % records] },
                               .right = { bits & 4, bits & 8, bits & 16 } };
            if (c.right[0] && !c.factory) continue;
            visit(&c);
            count++;
        }
    return count;
}

/// With anti-rollback: every pair, with any versions and damaged images.
static unsigned for_every_version(int records, unsigned layouts, visit_t *visit)
{
    unsigned count = 0;
    for (int pair = 0; pair < records * records; pair++)
        for (unsigned v = 0; v < 4 * layouts * VERSIONS * VERSIONS * VERSIONS; v++) {
            const unsigned rest = v / 4 / layouts;
            const case_t c = { .factory = v / 4 % layouts,
                               .config = ANTI_ROLLBACK,
                               .record = { RECORD[pair / records], RECORD[pair % records] },
                               .right = { v / 4 % layouts, v & 1, v & 2 },
                               .version = { rest % 3, rest / 3 % 3 },
                               .efuse = rest / 9 };
            visit(&c);
            count++;
        }
    return count;
}

static void compare_with_model(const case_t *c)
{
    const outcome_t o = model(c);
    check_esp_boot(c, &o, true);
}

static void esp_boot_decides_likewise_what_the_tables_lack(void **state)
{
    (void)state;
    assert_int_equal(for_every_case(RECORDS, compare_with_model), RECORDS * RECORDS * 24);
    assert_int_equal(for_every_version(RECORDS, 1, compare_with_model), RECORDS * RECORDS * 108);
    // ESP-IDF's documentation forbids a factory image with anti-rollback; it is tried all the same.
    for_every_version(3, 2, compare_with_model);
}

// --- What we do ---

enum {
    ROLLED_BACK = 1,  // had it been built with rollback: one not confirmed had its chance
    LAST_RESORT = 2,  // had the images been damaged whose records say that they were rejected
    NOT_A_RECORD = 4, // had sectors been blank that hold a sequence number of 0, or no known state
    RAISED_EARLY = 8, // had no damaged image told a version that raised the counter
    REASONS = 16,     // sets of them
};
static unsigned differs[REASONS + 1]; // [0]: how often it does not

/// True if the newer of the records about a slot says that it was rejected.
static bool slot_rejected(const record_t r[2], int slot)
{
    const record_t *about = NULL;
    for (int i = 0; i < 2; i++)
        if (is_used(&r[i]) && slot_of(&r[i]) == slot && (!about || r[i].seq > about->seq))
            about = &r[i];
    return about && is_rejected(about);
}

static bool is_unknown(uint32_t state)
{
    return state > OTA_STATE_ABORTED && state != OTA_STATE_UNDEFINED;
}

/// What ESP-IDF starts if things were different.
static int starts_if(const case_t *c, unsigned reasons)
{
    case_t other = *c;
    if ((reasons & ROLLED_BACK) && c->config == NO_ROLLBACK) other.config = ROLLBACK;
    for (int i = 0; i < 2 && (reasons & NOT_A_RECORD); i++)
        if (c->record[i].seq == 0 || is_unknown(c->record[i].state))
            other.record[i] = (record_t)BLANK;
    const outcome_t o = model(&other);
    for (int slot = 0; slot < 2 && (reasons & LAST_RESORT); slot++)
        if (slot_rejected(o.record, slot)) other.right[slot + 1] = false;
    for (int slot = 0; slot < 2 && (reasons & RAISED_EARLY); slot++)
        if (!other.right[slot + 1] && c->version[slot] > c->efuse) other.version[slot] = c->efuse;
    return esp_idf(set_up(&other), &other).booted;
}

static unsigned reason(const case_t *c, int choice)
{
    static const unsigned FEWEST_FIRST[] = { 0, 1, 2, 4, 8, 3, 5, 6, 7, 10 };
    for (size_t i = 0; i < sizeof FEWEST_FIRST / sizeof *FEWEST_FIRST; i++)
        if (starts_if(c, FEWEST_FIRST[i]) == choice) return FEWEST_FIRST[i];
    return REASONS;
}

static void compare_with_ours(const case_t *c)
{
    bench_t *b = set_up(c);
    const int slot = bench_boot(b);
    const int ours = (slot == OTA_NOTHING) ? NONE : slot;
    const bool raised_past_it = efuse != c->efuse && (slot < 0 || efuse > c->version[slot]);
    if (raised_past_it) fail_msg("%s: starts %d, efuse %u", name(c), slot, (unsigned)efuse);
    const int theirs = esp_idf(set_up(c), c).booted;
    const unsigned why = reason(c, ours);
    if (why == REASONS || (ours == NONE && theirs != NONE))
        fail_msg("%s: ESP-IDF starts %d, we %d, for no known reason", name(c), theirs, ours);
    differs[why]++;
    (void)set_up(c);
    (void)bench_boot(b);
    for (int k = 0; k < 2; k++) // both may be on trial, one after the other
        if ((bench_boot(b) == OTA_NOTHING) != (ours == NONE))
            fail_msg("%s: starts %d, then %d", name(c), slot, b->boot.slot);
    const int settled = b->boot.slot;
    if (bench_boot(b) != settled)
        fail_msg("%s: starts %d, later %d, then %d", name(c), slot, settled, b->boot.slot);
}

static void expect_differences(const unsigned expected[REASONS])
{
    for (unsigned r = 0; r < REASONS; r++) {
        if (!differs[r]) continue;
        print_message("%s%s%s%s%s: %u\n", r ? "" : " the same",
                      r & ROLLED_BACK ? " rolled back" : "", r & LAST_RESORT ? " last resort" : "",
                      r & NOT_A_RECORD ? " not a record" : "",
                      r & RAISED_EARLY ? " raised early" : "", differs[r]);
    }
    for (unsigned r = 0; r < REASONS; r++)
        assert_int_equal(differs[r], expected[r]);
    memset(differs, 0, sizeof differs);
}

static void ours_starts_something_else_for_known_reasons_only(void **state)
{
    (void)state;
    static const unsigned EXPECTED[REASONS] = {
        [0] = 8721,
        [ROLLED_BACK] = 219,
        [LAST_RESORT] = 554,
        [ROLLED_BACK | LAST_RESORT] = 106,
    };
    assert_int_equal(for_every_case(TABLED, compare_with_ours), 9600);
    expect_differences(EXPECTED);
}

static void the_same_with_records_that_the_tables_lack(void **state)
{
    (void)state;
    static const unsigned EXPECTED[REASONS] = {
        [0] = 23230,
        [ROLLED_BACK] = 590,
        [LAST_RESORT] = 1051,
        [ROLLED_BACK | LAST_RESORT] = 239,
        [NOT_A_RECORD] = 965,
        [NOT_A_RECORD | ROLLED_BACK] = 49,
        [NOT_A_RECORD | LAST_RESORT] = 10,
        [NOT_A_RECORD | ROLLED_BACK | LAST_RESORT] = 2,
    };
    for_every_case(RECORDS, compare_with_ours);
    expect_differences(EXPECTED);
}

static void the_same_with_anti_rollback(void **state)
{
    (void)state;
    static const unsigned EXPECTED[REASONS] = {
        [0] = 41358,
        [LAST_RESORT] = 1410,
        [RAISED_EARLY] = 372,
        [LAST_RESORT | RAISED_EARLY] = 60,
    };
    assert_int_equal(for_every_version(TABLED, 1, compare_with_ours), 43200);
    expect_differences(EXPECTED);
}

static int open_devices(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < VERSIONS; v++) {
        image_spec_t spec = image_spec();
        spec.secure_version = v;
        image[v] = malloc(IMAGE_BUILD_CAP);
        assert_non_null(image[v]);
        image_len = image_build(&spec, image[v]);
    }
    bench_open(&bench_of[0], 2, false);
    bench_open(&bench_of[1], 2, true);
    return 0;
}

static int close_devices(void **state)
{
    (void)state;
    for (int v = 0; v < VERSIONS; v++)
        free(image[v]);
    for (int i = 0; i < 2; i++)
        bench_close(&bench_of[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(esp_boot_makes_every_decision_of_esp_idf),
        cmocka_unit_test(esp_boot_makes_every_decision_of_esp_idf_with_anti_rollback),
        cmocka_unit_test(esp_boot_decides_likewise_what_the_tables_lack),
        cmocka_unit_test(ours_starts_something_else_for_known_reasons_only),
        cmocka_unit_test(the_same_with_records_that_the_tables_lack),
        cmocka_unit_test(the_same_with_anti_rollback),
    };
    return cmocka_run_group_tests(tests, open_devices, close_devices);
}
