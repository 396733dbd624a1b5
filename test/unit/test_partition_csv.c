// test_partition_csv.c - the CSV reader against ESP-IDF's generator, and its error lines.
// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "flash_bytes.h"
#include "partition_csv.h"
#include "vectors.h"
#include <cmocka.h>

static uint8_t table[ESP_PARTITION_TABLE_LEN];
static char error[PARTITION_CSV_ERROR_CAP];

static bool parse_with(partition_csv_cfg_t cfg, const char *text, size_t len)
{
    cfg.crypto = vector_crypto();
    return partition_csv_parse(&cfg, text, len, table, error, sizeof error);
}

static bool parse(const char *text)
{
    return parse_with((partition_csv_cfg_t){ 0 }, text, strlen(text));
}

static void assert_error(const char *text, const char *want)
{
    assert_false(parse(text));
    assert_string_equal(error, want);
}

// --- The generator's own tables ---

static void assert_file(partition_csv_cfg_t cfg, const char *csv, const char *bin)
{
    char path[256];
    size_t csv_len = 0;
    size_t bin_len = 0;
    snprintf(path, sizeof path, "%s/parttable/%s.csv", VECTORS, csv);
    uint8_t *text = vector_load(path, &csv_len);
    snprintf(path, sizeof path, "%s/parttable/%s.bin", VECTORS, bin);
    uint8_t *want = vector_load(path, &bin_len);
    assert_true(parse_with(cfg, (const char *)text, csv_len));
    assert_int_equal(bin_len, sizeof table);
    assert_memory_equal(table, want, sizeof table);
    free(text);
    free(want);
}

static void writes_the_tables_that_the_generator_writes(void **state)
{
    (void)state;
    assert_file((partition_csv_cfg_t){ 0 }, "two_ota_8m", "two_ota_8m");
    assert_file((partition_csv_cfg_t){ .no_md5 = true }, "two_ota_8m", "two_ota_8m_nomd5");
    assert_file((partition_csv_cfg_t){ .table_at = 0x10000 }, "two_ota_8m",
                "two_ota_8m_off0x10000");
    assert_file((partition_csv_cfg_t){ 0 }, "ab_4m_explicit", "ab_4m_explicit");
    assert_file((partition_csv_cfg_t){ 0 }, "idf_two_ota", "idf_two_ota");
    assert_file((partition_csv_cfg_t){ 0 }, "idf_two_ota_large", "idf_two_ota_large");
}

typedef struct {
    char name[64];
    partition_csv_cfg_t cfg;
    uint32_t bootloader_at;
    long rc;
    size_t len, hex_len;
    uint8_t hex[ESP_PARTITION_TABLE_LEN];
    char csv[8192];
    size_t csv_len;
} csv_case_t;

static void read_option(csv_case_t *c, const char *option, const char *value)
{
    if (strcmp(option, "--disable-md5sum") == 0)
        c->cfg.no_md5 = true;
    else if (strcmp(option, "--secure") == 0)
        c->cfg.secure_v1 = strcmp(value, "v1") == 0;
    else if (strcmp(option, "--flash-size") == 0)
        c->cfg.flash_size = (uint32_t)strtoul(value, NULL, 10) << 20;
    else if (strcmp(option, "--offset") == 0)
        c->cfg.table_at = (uint32_t)strtoul(value, NULL, 0);
    else if (strcmp(option, "--primary-bootloader-offset") == 0) {
        c->bootloader_at = (uint32_t)strtoul(value, NULL, 0);
        c->cfg.bootloader_at = &c->bootloader_at;
    } else
        fail_msg("unknown option %s", option);
}

static void read_options(csv_case_t *c, char *text)
{
    char *rest = NULL;
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const bool alone = strcmp(word, "--disable-md5sum") == 0;
        read_option(c, word, alone ? "" : strtok_r(NULL, " ", &rest));
    }
}

static void check_case(const csv_case_t *c)
{
    const bool ok = parse_with(c->cfg, c->csv, c->csv_len);
    if (ok != (c->rc == 0)) fail_msg("%s: %d (%s), the generator %ld", c->name, ok, error, c->rc);
    if (!ok) {
        if (!error[0] || strchr(error, '\n')) fail_msg("%s: no clear error: %s", c->name, error);
        return;
    }
    assert_int_equal(c->len, sizeof table);
    for (size_t i = 0; i < sizeof table; i++) {
        if (table[i] != (i < c->hex_len ? c->hex[i] : 0xFF))
            fail_msg("%s: byte 0x%zx differs", c->name, i);
    }
}

static void agrees_with_the_generator_on_every_golden_case(void **state)
{
    (void)state;
    static csv_case_t c;
    FILE *file = vector_table(VECTORS "/parttable/csv_cases.txt");
    char *line = NULL;
    size_t cap = 0;
    unsigned cases = 0;
    for (;;) {
        const ssize_t len = getline(&line, &cap, file);
        if (len > 0 && line[0] == '#') continue;
        if ((len < 0 || strncmp(line, "case ", 5) == 0) && cases > 0) check_case(&c);
        if (len < 0) break;
        if (line[0] == '|') {
            memcpy(c.csv + c.csv_len, line + 1, (size_t)len - 1); // with its newline
            c.csv_len += (size_t)len - 1;
            continue;
        }
        line[len - 1] = 0;
        if (strncmp(line, "case ", 5) == 0) {
            memset(&c, 0, sizeof c);
            snprintf(c.name, sizeof c.name, "%s", line + 5);
            cases++;
        } else if (strncmp(line, "arg ", 4) == 0) {
            read_options(&c, line + 4);
        } else if (strncmp(line, "rc ", 3) == 0) {
            c.rc = strtol(line + 3, NULL, 10);
        } else if (strncmp(line, "len ", 4) == 0) {
            c.len = strtoul(line + 4, NULL, 10);
        } else if (strncmp(line, "hex ", 4) == 0) {
            c.hex_len = vector_unhex(line + 4, c.hex, sizeof c.hex);
        } else {
            fail_msg("unknown line %s", line);
        }
    }
    free(line);
    fclose(file);
    assert_int_equal(cases, 66);
}

// --- The dialect beyond the golden cases ---

static void assert_size_of_first(const char *word, uint32_t want)
{
    char text[128];
    snprintf(text, sizeof text, "a,data,0x40,,%s\n", word);
    if (!parse(text)) fail_msg("%s: %s", word, error);
    assert_int_equal(load_le32(table + 8), want);
}

static void numbers_are_written_as_in_python(void **state)
{
    (void)state;
    assert_size_of_first("1_000", 1000);
    assert_size_of_first("0x_4_0", 64);
    assert_size_of_first("0XfF", 255);
    assert_size_of_first("0O17", 15);
    assert_size_of_first("0B11", 3);
    assert_size_of_first("+7", 7);
    assert_size_of_first("000", 0);
    assert_size_of_first("0_0", 0);
    assert_size_of_first("4 K", 4096);
    assert_size_of_first("1kk", 1 << 20);
    assert_size_of_first("-0x10000", 0x7000); // up to 0x10000
    assert_size_of_first("0xFFFFFFFF", 0xFFFFFFFF);
    static const char *const wrong[] = { "",
                                         "K",
                                         "x",
                                         "0x",
                                         "0x_",
                                         "1__0",
                                         "1_",
                                         "_1",
                                         "1e3",
                                         "0b2",
                                         "0o8",
                                         "1 0",
                                         "00_7",
                                         "- 5",
                                         "0x100000000",
                                         "4G",
                                         "-0",
                                         "-1",
                                         "-2 M0",
                                         "0x1g",
                                         "++1",
                                         "9999999999999999999999",
                                         "1kkkkkkkkkk" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "a,data,0x40,,%s\n", wrong[i]);
        const bool zero = strcmp(wrong[i], "-0") == 0; // Python's -0 is 0, and no "up to"
        assert_int_equal(parse(text), zero);
    }
}

static void keywords_take_suffixes_but_no_white_space_before_them(void **state)
{
    (void)state;
    assert_true(parse("a,appk,factoryM,,64K\n")); // 0 * 1024, and so on
    assert_int_equal(load_le16(table + 2), 0);
    assert_true(parse("a,app,0 k,,64K\n"));
    assert_error("a,app,factory m,,64K\n",
                 "line 1: subtype 'factory m' is not known: write a number or one of factory, "
                 "test, ota_0, ota_1, ota_2, ota_3, ota_4, ota_5, ota_6, ota_7, ota_8, ota_9, "
                 "ota_10, ota_11, ota_12, ota_13, ota_14, ota_15, tee_0, tee_1");
    assert_false(parse("a,app k,factory,,64K\n"));
}

static void all_encodings_with_a_byte_order_mark_are_read(void **state)
{
    (void)state;
    static const char csv[] = "n\xC3\xA4,data,0x40,,4K\r\n";
    static const char *const orders[] = { "\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF", "\xFF\xFE\0\0",
                                          "\0\0\xFE\xFF" };
    static const size_t mark_len[] = { 3, 2, 2, 4, 4 };
    static const size_t width[] = { 1, 2, 2, 4, 4 };
    for (size_t i = 0; i < 5; i++) {
        char text[256] = { 0 };
        size_t len = mark_len[i];
        memcpy(text, orders[i], len);
        const bool big = i == 2 || i == 4;
        for (const char *p = csv; *p; p++) {
            char c = *p;
            if (width[i] > 1 && c == '\xC3') {
                c = '\xE4'; // U+00E4 in one unit
                p++;
            }
            text[len + (big ? width[i] - 1 : 0)] = c;
            len += width[i];
        }
        assert_true(parse_with((partition_csv_cfg_t){ 0 }, text, len));
        assert_memory_equal(table + 12, "n\xC3\xA4\0", 4);
    }
}

static void a_character_outside_the_basic_plane_is_a_surrogate_pair(void **state)
{
    (void)state;
    static const char pair[] =
        "\xFF\xFE\x3D\xD8\x00\xDE,\0d\0a\0t\0a\0,\0"
        "6\0"
        "4\0,\0,\0"
        "4\0K\0";
    assert_true(parse_with((partition_csv_cfg_t){ 0 }, pair, sizeof pair - 1));
    assert_memory_equal(table + 12, "\xF0\x9F\x98\x80\0", 5);
}

static void what_is_not_text_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t len;
    } cases[] = { { "\xAA\x51\x01\x02", 4 },
                  { "a\0b", 3 },
                  { "\xC3", 1 },
                  { "\xC0\x80", 2 },
                  { "\xED\xA0\x80", 3 },
                  { "\xF4\x90\x80\x80", 4 },
                  { "\xE0\x80\x80", 3 },
                  { "\xFF\xFE\x00\xD8", 4 },
                  { "\xFF\xFE"
                    "a",
                    3 },
                  { "\xFF\xFE\x00\xDC\x00\xDC", 6 },
                  { "\xFF\xFE"
                    "a\0\0\0",
                    6 } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(parse_with((partition_csv_cfg_t){ 0 }, cases[i].p, cases[i].len));
        assert_string_equal(
            error, "not a text file: a CSV file is UTF-8, or UTF-16 with a byte order mark");
    }
}

static void every_line_end_and_white_space_of_unicode_counts(void **state)
{
    (void)state;
    assert_true(
        parse("# c\xE2\x80\xA8"
              "a,data,64,,4K\xC2\x85"
              "b,data,65,,4K\r\rc,data,66,,4K\f"));
    assert_int_equal(table[67], 66);
    assert_true(
        parse("\xE3\x80\x80"
              "a\xC2\xA0,data ,\t64\x1F,,4K"));
    assert_memory_equal(table + 12, "a\0", 2);
    assert_error(
        "a,data,64,,4K\r\n\r\nb,foo,65,,4K",
        "line 3: type 'foo' is not known: write app, data, bootloader, partition_table or a number");
}

static void variables_of_the_environment_are_put_in(void **state)
{
    (void)state;
    setenv("CSV_TEST_SIZE", "8K", 1);
    setenv("CSV_TEST_ROW", "a,data,64", 1);
    unsetenv("CSV_TEST_NONE");
    assert_size_of_first("$CSV_TEST_SIZE", 8192);
    assert_size_of_first("${CSV_TEST_SIZE}", 8192);
    assert_true(parse("$CSV_TEST_ROW,,4K\n"));
    assert_error("$CSV_TEST_NONE,data,64,,4K\n",
                 "line 1: the environment has no variable CSV_TEST_NONE");
    assert_true(parse("a$CSV_TEST_NONE,data,64,,4K\n")); // as the generator does: left as it is
    assert_memory_equal(table + 12, "a$CSV_TEST_NONE\0", 16);
    assert_true(parse("a${X$CSV_TEST_SIZE},data,64,,4K\n")); // braces end at the next one
    assert_memory_equal(table + 12, "a${X$CSV_TEST_SI", 16);
    assert_true(parse("a${,data,64,,4K\n"));
    assert_true(parse("$,data,64,,4K\n"));
    unsetenv("CSV_TEST_SIZE");
    unsetenv("CSV_TEST_ROW");
}

static void an_error_line_says_where_what_and_what_to_do(void **state)
{
    (void)state;
    assert_error(
        "\na,data,64,,04096\n",
        "line 2: size '04096' is not a number: write it without leading zeros as in 65536, 0x10000 or 64K");
    assert_error("a,data,64,4T,4K\n",
                 "line 1: offset '4T' is not a number: write it as in 65536, 0x10000 or 64K");
    assert_error("a,data,64,\n", "line 1: the size is missing");
    assert_error("a\n", "line 1: the type is missing: write app, data or a number");
    assert_error("a,app,,,1M\n",
                 "line 1: an app partition needs a subtype: factory, test or ota_0 to ota_15");
    assert_error("a,0x40,foo,,4K\n",
                 "line 1: subtype 'foo' is not a number: write it as in 65536, 0x10000 or 64K");
    assert_error("a,partition_table,foo,,4K\n",
                 "line 1: subtype 'foo' is not known: write a number or one of primary, ota");
    assert_error(
        "a,data,64,,4K,x\n",
        "line 1: flag 'x' is not known: write encrypted, readonly or both with ':' between them");
    assert_error(
        "a,data,64,0x8000,4K\n",
        "line 1: offset 0x8000 overlaps the partition table, which ends at 0x9000: use that or more, or leave it empty");
    assert_error(
        "a,data,64,,4K\nb,data,65,0x9000,4K\n",
        "line 2: offset 0x9000 overlaps the partition before, which ends at 0xa000: use that or more, or leave it empty");
    assert_error("a,data,64,,4K\na,data,65,,4K\n", "line 2: the name 'a' is taken by line 1");
    assert_error("a,data,300,,4K\n", "line 1: the subtype must be 0 to 255");
    assert_error("a,300,1,,4K\n", "line 1: the type must be 0 to 255");
    assert_error("a,data,64,,4G\n",
                 "line 1: size '4G' is not a number: write it as in 65536, 0x10000 or 64K");
    assert_error("a,data,64,0x100000000,4K\n", "line 1: the offset must be below 4 GB");
    assert_error("a,data,64,0x10000,-4K\n", "line 1: the size must be 0 or more, and below 4 GB");
    assert_error("a\x1B[2J,data,64,,4K\na\x1B[2J,data,64,,4K\n",
                 "line 2: the name 'a?[2J' is taken by line 1");
    assert_error(
        "b,bootloader,primary,N/A,N/A\n",
        "line 1: a bootloader in the table needs its offset in flash, which was not given");
    assert_error("t,data,tee_ota,,8K\nu,data,tee_ota,,8K\n",
                 "line 2: there is an otadata partition in line 1 already");
    assert_error("t,data,tee_ota,,4K\n", "line 1: an otadata partition has a size of 0x2000");
}

static void a_short_error_buffer_is_filled_and_ended(void **state)
{
    (void)state;
    const partition_csv_cfg_t cfg = { .crypto = vector_crypto() };
    for (size_t cap = 1; cap < 20; cap++) {
        char small[20];
        memset(small, 'x', sizeof small);
        assert_false(partition_csv_parse(&cfg, "a,foo", 5, table, small, cap));
        assert_int_equal(strlen(small), cap - 1);
    }
}

static void lines_and_tables_that_are_too_long_are_refused(void **state)
{
    (void)state;
    char text[8192] = "a,data,64,,4K,";
    memset(text + strlen(text), 'x', 5000);
    assert_error(text, "line 1: longer than 4095 characters");
    text[0] = 0;
    for (unsigned i = 0; i < 96; i++)
        snprintf(text + strlen(text), 32, "p%u,data,64,,4K\n", i);
    assert_error(text, "line 96: a table holds at most 94 partitions");
}

static void bootloaders_of_every_kind_get_their_place(void **state)
{
    (void)state;
    const uint32_t primary = 0x2000;
    const uint32_t recovery = 0x3F0000;
    const partition_csv_cfg_t cfg = { .bootloader_at = &primary, .recovery_at = &recovery };
    static const char csv[] =
        "b,bootloader,primary,,\no,bootloader,ota,,\nr,bootloader,recovery,,\n";
    assert_true(parse_with(cfg, csv, sizeof csv - 1));
    assert_int_equal(load_le32(table + 4), 0x2000);
    assert_int_equal(load_le32(table + 8), 0x6000);
    assert_int_equal(load_le32(table + 36), 0x9000); // placed like any other
    assert_int_equal(load_le32(table + 68), 0x3F0000);
    const uint32_t high = 0x8000;
    assert_false(parse_with((partition_csv_cfg_t){ .bootloader_at = &high }, csv, sizeof csv - 1));
    assert_string_equal(error, "the bootloader must lie below the partition table");
}

// --- Binary tables ---

static void assert_binary(const uint8_t *p, size_t len, const char *want)
{
    const bool ok = parse_with((partition_csv_cfg_t){ 0 }, (const char *)p, len);
    assert_string_equal(error, want);
    assert_int_equal(ok, !want[0]);
}

static void a_binary_table_is_kept_as_it_is(void **state)
{
    (void)state;
    static const char *const names[] = { "two_ota_8m", "two_ota_8m_nomd5", "ab_4m_explicit" };
    for (size_t i = 0; i < 3; i++) {
        char path[256];
        size_t len = 0;
        snprintf(path, sizeof path, "%s/parttable/%s.bin", VECTORS, names[i]);
        uint8_t *bin = vector_load(path, &len);
        assert_binary(bin, len, "");
        assert_memory_equal(table, bin, len);
        memset(table, 0, sizeof table);
        size_t end = 0;
        while (load_le32(bin + end) != UINT32_MAX)
            end += 32;
        assert_binary(bin, end + 32, ""); // without the blank rest
        assert_memory_equal(table, bin, len);
        assert_binary(bin, end + 31, "the partition table has no end marker");
        free(bin);
    }
}

static void a_binary_table_is_checked_as_the_generator_and_the_bootloader_do(void **state)
{
    (void)state;
    static uint8_t bin[4096];
    static const struct {
        const char *csv;
        unsigned at;
        uint8_t byte;
        const char *error;
    } cases[] = {
        { "a,data,64,,4K\n", 0, 0xAA, "" },
        { "a,data,64,,4K\n", 32, 1,
          "an entry of the partition table does not begin with bytes AA 50" },
        { "a,data,64,,4K\nb,data,64,,4K\n", 32 + 12, 'a',
          "entry 2: the name 'a' is taken by entry 1" },
        { "a,data,64,,4K\nb,data,64,,4K\n", 32 + 5, 0x90, "entry 2: 'b' overlaps 'a' of entry 1" },
        { "a,data,64,,4K\n", 4, 1, "entry 1: offset 0x9001 of 'a' is not a multiple of 0x1000" },
        { "a,data,64,,4K\n", 5, 0x80,
          "entry 1: offset 0x8000 lies before the end of the partition table" },
        { "o,data,ota,,8K\n", 9, 0x10, "entry 1: an otadata partition has a size of 0x2000" },
        { "o,data,ota,,8K\n", 28, 2,
          "entry 1: 'o' is written by the system and cannot be readonly" },
        { "n,data,nvs,,12K\n", 9, 0x20,
          "entry 1: 'n' is smaller than 0x3000: make it larger, or readonly" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const partition_csv_cfg_t no_md5 = { .no_md5 = true };
        assert_true(parse_with(no_md5, cases[i].csv, strlen(cases[i].csv)));
        memset(bin, 0xFF, sizeof bin);
        memcpy(bin, table, sizeof table);
        bin[cases[i].at] = cases[i].byte;
        assert_binary(bin, sizeof bin, cases[i].error); // a whole sector
    }
    assert_true(parse("a,data,64,,4K\nb,data,65,,4K\n"));
    memcpy(bin, table, sizeof table);
    bin[40] ^= 1;
    assert_binary(bin, sizeof table,
                  "the partition table's MD5 record is wrong: the table is damaged");
    assert_binary(bin, 2, "a partition reaches past the end of the flash");
    for (size_t at = 32; at < sizeof table; at += 32)
        memcpy(bin + at, bin, 32);
    assert_binary(bin, sizeof table, "the partition table has no end marker");
    assert_true(parse("a,data,64,,4K\n"));
    memcpy(bin, table, sizeof table);
    static uint8_t longer[4097];
    memcpy(longer, table, sizeof table);
    assert_binary(longer, sizeof longer, "longer than a partition table: 4096 bytes");
    assert_false(parse_with((partition_csv_cfg_t){ .no_md5 = true }, (char *)bin, sizeof table));
    assert_string_equal(error, "a binary table stays as it is: nothing is left out");
    assert_false(
        parse_with((partition_csv_cfg_t){ .flash_size = 4096 }, (char *)bin, sizeof table));
    assert_string_equal(error, "entry 1: 'a' ends at 0xa000, the flash at 0x1000");
}

static void numbers_out_of_their_range_are_refused(void **state)
{
    (void)state;
    assert_error("a,data,64,,0xFFFFFFFFFFM\n",
                 "line 1: the size must be 0 or more, and below 4 GB"); // cut, not wrapped
    assert_error("a,-1,64,,4K\n", "line 1: the type must be 0 to 255");
    assert_error("a,data,-1,,4K\n", "line 1: the subtype must be 0 to 255");
    assert_error("a,300,foo,,4K\n",
                 "line 1: subtype 'foo' is not a number: write it as in 65536, 0x10000 or 64K");
    assert_error("a,-1,foo,,4K\n",
                 "line 1: subtype 'foo' is not a number: write it as in 65536, 0x10000 or 64K");
    assert_error("a,0x40,foo,,4K\n",
                 "line 1: subtype 'foo' is not a number: write it as in 65536, 0x10000 or 64K");
    assert_error("a,data,64,-4K,4K\n",
                 "line 1: offset 0xfffffffffffff000 overlaps the partition table, which ends at "
                 "0x9000: use that or more, or leave it empty");
}

static void what_the_system_writes_cannot_be_readonly(void **state)
{
    (void)state;
    assert_error("c,data,coredump,,64K,readonly\n",
                 "line 1: 'c' is written by the system and cannot be readonly");
    assert_error("o,data,ota,,8K,readonly\n",
                 "line 1: 'o' is written by the system and cannot be readonly");
    assert_true(parse("s,data,spiffs,,64K,readonly\n"));
}

static void rows_of_the_bootloader_and_the_table_may_follow_those_behind_them(void **state)
{
    (void)state;
    const uint32_t at = 0x2000;
    static const char csv[] = "n,data,nvs,,24K\nt,partition_table,ota,,\nb,bootloader,primary,,\n";
    assert_true(parse_with((partition_csv_cfg_t){ .bootloader_at = &at }, csv, sizeof csv - 1));
    assert_int_equal(load_le32(table + 36), 0xF000); // a second table is placed like any other
    assert_int_equal(load_le32(table + 40), 0x1000);
    assert_int_equal(load_le32(table + 68), 0x2000);
    assert_error(
        "b,bootloader,ota,,\n",
        "line 1: a bootloader in the table needs its offset in flash, which was not given");
}

static void a_name_of_a_variable_ends_where_its_characters_end(void **state)
{
    (void)state;
    static const char *const ends[] = { "/", ":", "@", "[", "^", "`", "{", "\x7F" };
    setenv("CSV_test_9", "x", 1);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char row[64];
        snprintf(row, sizeof row, "a$CSV_test_9%s,data,64,,4K\n", ends[i]);
        assert_true(parse(row));
        assert_int_equal(table[13], 'x');
        assert_int_equal(table[14], (uint8_t)ends[i][0]);
    }
    unsetenv("CSV_test_9");
    char text[600] = "a";
    memset(text + 1, '$', 1);
    memset(text + 2, 'L', 300); // too long to be one
    snprintf(text + 302, 32, ",data,64,,4K\n");
    assert_true(parse(text));
    assert_true(parse("$1,data,64,,4K\n")); // not a name, so it stays
    assert_true(parse("a,data,64,,4K,,$"));
}

static void an_error_stays_text_wherever_it_is_cut(void **state)
{
    (void)state;
    static const char csv[] = "a,\xC3\xBC\xC3\xBC\x7F,64,,4K\n";
    const partition_csv_cfg_t cfg = { .crypto = vector_crypto() };
    assert_error(csv,
                 "line 1: type '\xC3\xBC\xC3\xBC?' is not known: write app, data, bootloader, "
                 "partition_table or a number");
    for (size_t cap = 0; cap < 30; cap++) {
        char cut[30] = "untouched";
        assert_false(partition_csv_parse(&cfg, csv, sizeof csv - 1, table, cut, cap));
        if (cap == 0) assert_string_equal(cut, "untouched");
        for (size_t i = 0; i + 1 < cap; i++)
            assert_true(cut[i] == error[i] || cut[i] == '?'); // half a character
    }
}

static void a_failing_hash_library_gives_no_table(void **state)
{
    (void)state;
    const partition_csv_cfg_t cfg = { .crypto = vector_failing_crypto(0) };
    static const char csv[] = "a,data,64,,4K\n";
    for (unsigned calls = 0; calls < 3; calls++) {
        (void)vector_failing_crypto(calls);
        assert_false(partition_csv_parse(&cfg, csv, sizeof csv - 1, table, error, sizeof error));
        assert_string_equal(error, "the hash library failed");
    }
    (void)vector_failing_crypto(3);
    assert_true(partition_csv_parse(&cfg, csv, sizeof csv - 1, table, error, sizeof error));
}

static void what_it_writes_is_a_table_to_the_device(void **state)
{
    (void)state;
    static uint8_t memory[0x100000];
    static const char csv[] =
        "nvs,data,nvs,,24K\notadata,data,ota,,8K\nota_0,app,ota_0,,256K\nota_1,app,ota_1,,256K\n";
    assert_true(parse(csv));
    memset(memory, 0xFF, sizeof memory);
    memcpy(memory + ESP_PARTITION_TABLE_AT, table, sizeof table);
    flash_bytes_t bytes;
    flash_t flash;
    flash_bytes_init(&bytes, memory, sizeof memory, &flash);
    esp_layout_t layout;
    assert_int_equal(esp_partition_layout(&flash, vector_crypto(), ESP_PARTITION_TABLE_AT, &layout),
                     ESP_PARTITION_OK);
    assert_int_equal(layout.slots, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_tables_that_the_generator_writes),
        cmocka_unit_test(agrees_with_the_generator_on_every_golden_case),
        cmocka_unit_test(numbers_are_written_as_in_python),
        cmocka_unit_test(keywords_take_suffixes_but_no_white_space_before_them),
        cmocka_unit_test(all_encodings_with_a_byte_order_mark_are_read),
        cmocka_unit_test(a_character_outside_the_basic_plane_is_a_surrogate_pair),
        cmocka_unit_test(what_is_not_text_is_refused),
        cmocka_unit_test(every_line_end_and_white_space_of_unicode_counts),
        cmocka_unit_test(variables_of_the_environment_are_put_in),
        cmocka_unit_test(an_error_line_says_where_what_and_what_to_do),
        cmocka_unit_test(a_short_error_buffer_is_filled_and_ended),
        cmocka_unit_test(lines_and_tables_that_are_too_long_are_refused),
        cmocka_unit_test(bootloaders_of_every_kind_get_their_place),
        cmocka_unit_test(a_binary_table_is_kept_as_it_is),
        cmocka_unit_test(a_binary_table_is_checked_as_the_generator_and_the_bootloader_do),
        cmocka_unit_test(numbers_out_of_their_range_are_refused),
        cmocka_unit_test(what_the_system_writes_cannot_be_readonly),
        cmocka_unit_test(rows_of_the_bootloader_and_the_table_may_follow_those_behind_them),
        cmocka_unit_test(a_name_of_a_variable_ends_where_its_characters_end),
        cmocka_unit_test(an_error_stays_text_wherever_it_is_cut),
        cmocka_unit_test(a_failing_hash_library_gives_no_table),
        cmocka_unit_test(what_it_writes_is_a_table_to_the_device),
    };
    return cmocka_run_group_tests_name("partition_csv", tests, NULL, NULL);
}
