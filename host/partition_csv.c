// partition_csv.c - reads the rows, places them, checks them, writes the table; checks binary ones.
// SPDX-License-Identifier: Apache-2.0
//
// Offsets and sizes are 64-bit and signed on the way, because a row may say -2M ("up to 2M") and
// because sums must not wrap; numbers beyond 40 bits are cut to that, and then refused like every
// number beyond 32.
#include "partition_csv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "esp_text.h"
#include "utf8.h"

enum {
    ROWS_MAX = ESP_PARTITION_TABLE_LEN / ESP_PARTITION_ENTRY_LEN - 1,
    LINE_CAP = 4096,
    COLUMNS = 6
};
enum {
    TABLE_SECTOR = 0x1000,
    APP_ALIGN = 0x10000,
    DATA_ALIGN = 0x1000,
    NVS_RW_MIN = 0x3000,
    OTADATA_SIZE = 0x2000
};
enum { TYPE_BOOTLOADER = 2, TYPE_TABLE = 3, PRIMARY = 0, RECOVERY = 2 };    // ESP-IDF's numbers
enum { NVS = 0x02, COREDUMP = 0x03, UNDEFINED = 0x06, TEE_OTADATA = 0x90 }; // subtypes of data
enum { ENCRYPTED = 1, READONLY = 2 };
#define NUMBER_MAX (INT64_C(1) << 40)

typedef struct {
    unsigned line; // or entry
    char *name;    // allocated
    int64_t type, subtype, at, size;
    bool placed; // `at` is known
    uint32_t flags;
} row_t;

typedef struct {
    const partition_csv_cfg_t *cfg;
    uint32_t table_at;
    const char *unit; // what the number of a row counts
    char *error;
    size_t cap;
    unsigned rows;
    row_t row[ROWS_MAX];
} csv_t;

__attribute__((format(printf, 3, 4))) static int fail(csv_t *csv, const row_t *row,
                                                      const char *format, ...)
{
    int n = 0;
    if (row) n = snprintf(csv->error, csv->cap, "%s %u: ", csv->unit, row->line);
    va_list args;
    va_start(args, format);
    if (n >= 0 && (size_t)n < csv->cap)
        vsnprintf(csv->error + n, csv->cap - (size_t)n, format, args);
    va_end(args);
    // The file's own words may be in it: keep it one line, and the terminal safe.
    for (char *p = csv->error; csv->cap > 0 && *p;) {
        const size_t len = utf8_next(p, strlen(p));
        if (len == 0 || (len == 1 && ((uint8_t)*p < 0x20 || *p == 0x7F))) *p = '?';
        p += len ? len : 1;
    }
    return -1;
}

// --- Numbers and words ---

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 99;
}

static int64_t limited(int64_t v)
{
    return (v > NUMBER_MAX) ? NUMBER_MAX : (v < -NUMBER_MAX) ? -NUMBER_MAX : v;
}

/// By the letter behind a leading zero.
static int base_of(char letter)
{
    switch (letter) {
    case 'x':
    case 'X': return 16;
    case 'o':
    case 'O': return 8;
    case 'b':
    case 'B': return 2;
    default: return 10;
    }
}

/// Python's int(text, 0): decimal without leading zeros, 0x, 0o, 0b; single underscores between
/// digits.
static bool parse_int(const char *p, int64_t *out)
{
    const bool negative = *p == '-';
    if (*p == '-' || *p == '+') p++;
    const int base = (*p == '0') ? base_of(p[1]) : 10;
    if (base != 10) p += 2;
    const bool zero_first = base == 10 && *p == '0';
    if (base != 10 && *p == '_') p++;
    int64_t v = 0;
    bool was_digit = false;
    for (; *p; p++) {
        if (*p == '_' && was_digit) {
            was_digit = false;
            continue;
        }
        if (digit(*p) >= base) return false;
        v = limited(v * base + digit(*p));
        was_digit = true;
    }
    if (!was_digit || (zero_first && v != 0)) return false;
    *out = negative ? -v : v;
    return true;
}

/// A keyword of column 2 (types) or 3 (subtypes of `type`).
static bool find_keyword(int column, int64_t type, const char *word, int64_t *out)
{
    uint8_t v = 0;
    const bool found = (column == 1)   ? esp_text_find_type(word, &v)
                       : (column == 2) ? type >= 0 && type <= 0xFF &&
                                             esp_text_find_subtype((uint8_t)type, word, &v)
                                       : false;
    if (found) *out = v;
    return found;
}

/// A number with any of the suffixes k and m, or where the column has keywords one of these. Only a
/// number may have white space before its suffix.
static int parse_value(csv_t *csv, const row_t *row, int column, char *word, int64_t *out)
{
    static const char *const names[COLUMNS] = {
        "name", "type", "subtype", "offset", "size", "flags"
    };
    char *const number = strdup(word);
    if (!number) return fail(csv, row, "out of memory");
    int64_t factor = 1;
    for (size_t len = strlen(number); len > 0; number[--len] = 0) {
        const char last = (char)(number[len - 1] | 0x20);
        if (last != 'k' && last != 'm') break;
        factor = limited(factor * (last == 'k' ? 1024 : 1024 * 1024));
    }
    const bool ok =
        find_keyword(column, row->type, number, out) || parse_int(utf8_trim(number), out);
    free(number);
    if (ok) {
        // Both are at most 2^40: only their product needs care.
        const int64_t size = (*out < 0) ? -*out : *out;
        const int64_t v = (size > NUMBER_MAX / factor) ? NUMBER_MAX : size * factor;
        *out = (*out < 0) ? -v : v;
        return 0;
    }
    if (column == 1)
        return fail(
            csv, row,
            "type '%s' is not known: write app, data, bootloader, partition_table or a number",
            word);
    if (column == 2) {
        char known[256];
        esp_text_subtypes((uint8_t)row->type, known, sizeof known);
        if (row->type >= 0 && row->type <= 0xFF && known[0]) {
            return fail(csv, row, "subtype '%s' is not known: write a number or one of %s", word,
                        known);
        }
    }
    const char *hint = (digit(word[0]) == 0 && digit(word[1]) < 10) ? " without leading zeros" : "";
    return fail(csv, row, "%s '%s' is not a number: write it%s as in 65536, 0x10000 or 64K",
                names[column], word, hint);
}

// --- Rows ---

static int parse_offset(csv_t *csv, row_t *row, char *word)
{
    row->placed = true;
    if (row->type == TYPE_BOOTLOADER && (row->subtype == PRIMARY || row->subtype == RECOVERY)) {
        const uint32_t *at =
            (row->subtype == PRIMARY) ? csv->cfg->bootloader_at : csv->cfg->recovery_at;
        if (!at)
            return fail(csv, row,
                        "a bootloader in the table needs its offset in flash, which was not given");
        row->at = *at;
        return 0;
    }
    if (row->type == TYPE_TABLE && row->subtype == PRIMARY) {
        row->at = csv->table_at;
        return 0;
    }
    row->placed = word[0] != 0;
    return row->placed ? parse_value(csv, row, 3, word, &row->at) : 0;
}

static int parse_size(csv_t *csv, row_t *row, char *word)
{
    if (row->type == TYPE_BOOTLOADER) {
        const uint32_t *at = csv->cfg->bootloader_at;
        if (!at)
            return fail(csv, row,
                        "a bootloader in the table needs its offset in flash, which was not given");
        row->size = (int64_t)csv->table_at - *at;
        return 0;
    }
    if (row->type == TYPE_TABLE) {
        row->size = TABLE_SECTOR;
        return 0;
    }
    if (!word[0]) return fail(csv, row, "the size is missing");
    return parse_value(csv, row, 4, word, &row->size);
}

static int parse_flags(csv_t *csv, row_t *row, char *word)
{
    while (word) {
        char *next = strchr(word, ':');
        if (next) *next++ = 0;
        if (strcmp(word, "encrypted") == 0)
            row->flags |= ENCRYPTED;
        else if (strcmp(word, "readonly") == 0)
            row->flags |= READONLY;
        else if (word[0])
            return fail(
                csv, row,
                "flag '%s' is not known: write encrypted, readonly or both with ':' between them",
                word);
        word = next;
    }
    return 0;
}

static int parse_row(csv_t *csv, row_t *row, char *text)
{
    char none[] = "";
    char *column[COLUMNS] = { none, none, none, none, none, none };
    for (int i = 0; i < COLUMNS && text; i++) {
        char *next = strchr(text, ',');
        if (next) *next++ = 0;
        column[i] = utf8_trim(text);
        text = next;
    }
    row->name = strdup(column[0]);
    if (!row->name) return fail(csv, row, "out of memory");
    if (!column[1][0]) return fail(csv, row, "the type is missing: write app, data or a number");
    if (parse_value(csv, row, 1, column[1], &row->type)) return -1;
    if (!column[2][0]) {
        if (row->type == ESP_PARTITION_APP)
            return fail(csv, row,
                        "an app partition needs a subtype: factory, test or ota_0 to ota_15");
        row->subtype = UNDEFINED;
    } else if (parse_value(csv, row, 2, column[2], &row->subtype)) {
        return -1;
    }
    if (parse_offset(csv, row, column[3]) || parse_size(csv, row, column[4])) return -1;
    return parse_flags(csv, row, column[5]);
}

static bool name_char(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Bytes of the variable at `p`, $NAME or ${NAME}, without a value as well; 1 when there is none.
/// `name` is empty when it is too long to be one.
static size_t find_variable(const char *p, const char *end, char name[256])
{
    const bool braces = p + 1 < end && p[1] == '{';
    const char *from = p + 1 + braces;
    const char *stop = from;
    while (stop < end && (braces ? *stop != '}' : name_char(*stop)))
        stop++;
    name[0] = 0;
    if (stop == end && braces) return 1;
    if (stop - from < 256) {
        memcpy(name, from, (size_t)(stop - from));
        name[stop - from] = 0;
    }
    return (size_t)(stop + braces - p);
}

/// Copies a line with the environment's variables put in for $NAME and ${NAME}; unknown ones stay
/// as they are, whatever their braces hold.
static bool expand(const char *p, const char *end, char *out, size_t cap)
{
    size_t len = 0;
    char name[256] = "";
    while (p < end) {
        const size_t used = (*p == '$') ? find_variable(p, end, name) : 1;
        const char *value = (*p == '$' && name[0]) ? getenv(name) : NULL;
        const size_t n = value ? strlen(value) : used;
        if (n >= cap - len) return false;
        memcpy(out + len, value ? value : p, n);
        len += n;
        p += used;
    }
    out[len] = 0;
    return true;
}

static int parse_line(csv_t *csv, unsigned number, const char *p, const char *end)
{
    row_t row = { .line = number };
    char line[LINE_CAP];
    if (!expand(p, end, line, sizeof line))
        return fail(csv, &row, "longer than %d characters", LINE_CAP - 1);
    if (line[0] == '$' && name_char(line[1]) && !(line[1] >= '0' && line[1] <= '9')) {
        size_t len = 1;
        while (name_char(line[len]))
            len++;
        line[len] = 0;
        return fail(csv, &row, "the environment has no variable %s", line + 1);
    }
    char *text = utf8_trim(line);
    if (text[0] == 0 || text[0] == '#') return 0;
    if (csv->rows == ROWS_MAX)
        return fail(csv, &row, "a table holds at most %d partitions",
                    ROWS_MAX - (csv->cfg->no_md5 ? 0 : 1));
    csv->row[csv->rows] = row;
    return parse_row(csv, &csv->row[csv->rows++], text);
}

static int parse_lines(csv_t *csv, const char *p)
{
    for (unsigned number = 1; *p; number++) {
        const char *end = p;
        while (*end && utf8_line_end(end) == 0)
            end++;
        if (parse_line(csv, number, p, end)) return -1;
        p = end + (*end ? utf8_line_end(end) : 0);
    }
    return 0;
}

// --- Placing ---

/// The bootloader and the table themselves lie before everything else and need no place.
static bool is_fixed(const row_t *row)
{
    return (row->type == TYPE_BOOTLOADER || row->type == TYPE_TABLE) && row->subtype == PRIMARY;
}

static int64_t align_of(const row_t *row)
{
    return (row->type == ESP_PARTITION_APP) ? APP_ALIGN : DATA_ALIGN;
}

static int place(csv_t *csv)
{
    int64_t end = (int64_t)csv->table_at + TABLE_SECTOR;
    for (unsigned i = 0; i < csv->rows; i++) {
        row_t *row = &csv->row[i];
        if (is_fixed(row)) continue;
        if (row->placed && row->at < end) {
            return fail(
                csv, row,
                "offset 0x%llx overlaps the %s, which ends at 0x%llx: use that or more, or leave it empty",
                (unsigned long long)row->at, i ? "partition before" : "partition table",
                (unsigned long long)end);
        }
        if (!row->placed) row->at = (end + align_of(row) - 1) / align_of(row) * align_of(row);
        row->placed = true;
        if (row->size < 0) row->size = -row->size - row->at;
        end = limited(row->at + row->size);
    }
    return 0;
}

// --- Checks ---

static int check_row(csv_t *csv, const row_t *row)
{
    const int64_t size_align = csv->cfg->secure_v1 ? APP_ALIGN : DATA_ALIGN;
    if (row->type < 0 || row->type > 0xFF) return fail(csv, row, "the type must be 0 to 255");
    if (row->subtype < 0 || row->subtype > 0xFF)
        return fail(csv, row, "the subtype must be 0 to 255");
    if (row->at < 0 || row->at > UINT32_MAX) return fail(csv, row, "the offset must be below 4 GB");
    if (row->size < 0 || row->size > UINT32_MAX)
        return fail(csv, row, "the size must be 0 or more, and below 4 GB");
    if (row->at % align_of(row) != 0) {
        return fail(csv, row, "offset 0x%llx of '%s' is not a multiple of 0x%llx",
                    (unsigned long long)row->at, row->name, (unsigned long long)align_of(row));
    }
    if (row->type == ESP_PARTITION_APP && row->size % size_align != 0) {
        return fail(csv, row, "size 0x%llx of '%s' is not a multiple of 0x%llx",
                    (unsigned long long)row->size, row->name, (unsigned long long)size_align);
    }
    if (row->type != ESP_PARTITION_DATA) return 0;
    const bool readonly = row->flags & READONLY;
    if (readonly && (row->subtype == ESP_PARTITION_OTADATA || row->subtype == COREDUMP)) {
        return fail(csv, row, "'%s' is written by the system and cannot be readonly", row->name);
    }
    if (row->subtype == NVS && row->size < NVS_RW_MIN && !readonly) {
        return fail(csv, row, "'%s' is smaller than 0x3000: make it larger, or readonly",
                    row->name);
    }
    return 0;
}

static int check_pair(csv_t *csv, const row_t *a, const row_t *b)
{
    if (strcmp(a->name, b->name) == 0)
        return fail(csv, b, "the name '%s' is taken by %s %u", b->name, csv->unit, a->line);
    // As the tool does it, by the lower offset: one of no size at another's begin overlaps nothing.
    const row_t *low = (b->at < a->at) ? b : a;
    const row_t *high = (low == a) ? b : a;
    if (high->at < low->at + low->size)
        return fail(csv, b, "'%s' overlaps '%s' of %s %u", b->name, a->name, csv->unit, a->line);
    if (a->type != ESP_PARTITION_DATA || b->type != ESP_PARTITION_DATA || a->subtype != b->subtype)
        return 0;
    if (a->subtype == ESP_PARTITION_OTADATA || a->subtype == TEE_OTADATA) {
        return fail(csv, b, "there is an otadata partition in %s %u already", csv->unit, a->line);
    }
    return 0;
}

static int check(csv_t *csv)
{
    for (unsigned i = 0; i < csv->rows; i++) {
        if (check_row(csv, &csv->row[i])) return -1;
    }
    for (unsigned i = 0; i < csv->rows; i++) {
        const row_t *row = &csv->row[i];
        for (unsigned j = 0; j < i; j++) {
            if (check_pair(csv, &csv->row[j], row)) return -1;
        }
        const bool otadata = row->type == ESP_PARTITION_DATA &&
                             (row->subtype == ESP_PARTITION_OTADATA || row->subtype == TEE_OTADATA);
        if (otadata && row->size != OTADATA_SIZE)
            return fail(csv, row, "an otadata partition has a size of 0x2000");
        if (!is_fixed(row) && row->at < (int64_t)csv->table_at + TABLE_SECTOR) {
            return fail(csv, row, "offset 0x%llx lies before the end of the partition table",
                        (unsigned long long)row->at);
        }
        const int64_t end = row->at + row->size;
        if (csv->cfg->flash_size != 0 && end > csv->cfg->flash_size) {
            return fail(csv, row, "'%s' ends at 0x%llx, the flash at 0x%llx", row->name,
                        (unsigned long long)end, (unsigned long long)csv->cfg->flash_size);
        }
    }
    return 0;
}

// --- The table ---

static int write_table(csv_t *csv, uint8_t *table)
{
    const crypto_t *crypto = csv->cfg->crypto;
    memset(table, 0xFF, ESP_PARTITION_TABLE_LEN);
    uint8_t *p = table;
    for (unsigned i = 0; i < csv->rows; i++, p += ESP_PARTITION_ENTRY_LEN) {
        const row_t *row = &csv->row[i];
        memset(p, 0, ESP_PARTITION_ENTRY_LEN);
        p[0] = 0xAA;
        p[1] = 0x50;
        p[2] = (uint8_t)row->type;
        p[3] = (uint8_t)row->subtype;
        store_le32(p + 4, (uint32_t)row->at);
        store_le32(p + 8, (uint32_t)row->size);
        memcpy(p + 12, row->name, smaller(strlen(row->name), 16));
        store_le32(p + 28, row->flags);
    }
    if (csv->cfg->no_md5) return 0;
    if (csv->rows == ROWS_MAX)
        return fail(csv, NULL, "a table with an MD5 record holds at most %d partitions",
                    ROWS_MAX - 1);
    p[0] = 0xEB;
    p[1] = 0xEB;
    const bool hashed =
        crypto->start(crypto->ctx, CRYPTO_MD5) &&
        crypto->update(crypto->ctx, table, csv->rows * (size_t)ESP_PARTITION_ENTRY_LEN) &&
        crypto->finish(crypto->ctx, p + 16);
    return hashed ? 0 : fail(csv, NULL, "the hash library failed");
}

static int from_csv(csv_t *csv, const void *text, size_t len, uint8_t *table)
{
    const uint32_t *bootloader_at = csv->cfg->bootloader_at;
    char *utf8 = utf8_decode(text, len);
    int err = -1;
    if (!utf8)
        (void)fail(csv, NULL,
                   "not a text file: a CSV file is UTF-8, or UTF-16 with a byte order mark");
    else if (bootloader_at && *bootloader_at >= csv->table_at)
        (void)fail(csv, NULL, "the bootloader must lie below the partition table");
    else if (!parse_lines(csv, utf8) && !place(csv) && !check(csv))
        err = write_table(csv, table);
    free(utf8);
    return err;
}

// --- Binary tables ---

static int read_table(void *ctx, uint32_t at, void *p, uint32_t len)
{
    memcpy(p, (const uint8_t *)ctx + at, len); // only ever within the table
    return 0;
}

/// The file itself must end the table; what is missing behind that is blank.
static bool has_end(const uint8_t *p, size_t len)
{
    size_t at = 0;
    while (at + ESP_PARTITION_ENTRY_LEN <= len && load_le32(p + at) != UINT32_MAX)
        at += ESP_PARTITION_ENTRY_LEN;
    return at + ESP_PARTITION_ENTRY_LEN <= len;
}

static int from_binary(csv_t *csv, const void *bytes, size_t len, uint8_t *table)
{
    memset(table, 0xFF, ESP_PARTITION_TABLE_LEN);
    memcpy(table, bytes, smaller(len, ESP_PARTITION_TABLE_LEN));
    const flash_t flash = { .ctx = table, .size = UINT32_MAX, .read = read_table };
    unsigned count = 0;
    esp_partition_err_t err = esp_partition_verify(&flash, csv->cfg->crypto, 0, &count);
    if (!err && !has_end(bytes, len)) err = ESP_PARTITION_ERR_NO_END;
    if (len > TABLE_SECTOR) return fail(csv, NULL, "longer than a partition table: 4096 bytes");
    if (err) return fail(csv, NULL, "%s", esp_text_partition_err(err));
    if (csv->cfg->no_md5)
        return fail(csv, NULL, "a binary table stays as it is: nothing is left out");
    csv->unit = "entry";
    while (csv->rows < count) {
        esp_partition_t p;
        (void)esp_partition_get(&flash, 0, csv->rows, &p);
        row_t *row = &csv->row[csv->rows];
        *row = (row_t){ .line = ++csv->rows, .name = strdup(p.label), .type = p.type };
        if (!row->name) return fail(csv, row, "out of memory");
        row->subtype = p.subtype;
        row->at = p.at;
        row->size = p.size;
        row->flags = p.flags;
    }
    return check(csv);
}

bool partition_csv_parse(const partition_csv_cfg_t *cfg, const void *text, size_t len,
                         uint8_t table[ESP_PARTITION_TABLE_LEN], char *error, size_t cap)
{
    csv_t *csv = calloc(1, sizeof *csv);
    bool done = false;
    if (cap > 0) error[0] = 0;
    if (csv) {
        csv->cfg = cfg;
        csv->table_at = cfg->table_at ? cfg->table_at : ESP_PARTITION_TABLE_AT;
        csv->unit = "line";
        csv->error = error;
        csv->cap = cap;
        const bool binary = len >= 2 && memcmp(text, "\xAA\x50", 2) == 0;
        done = (binary ? from_binary : from_csv)(csv, text, len, table) == 0;
        for (unsigned i = 0; i < csv->rows; i++)
            free(csv->row[i].name);
    }
    free(csv);
    return done;
}
