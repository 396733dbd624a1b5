// bus_log_read.c - reads the frames of a recorded bus: see bus_log_read.h.
// SPDX-License-Identifier: Apache-2.0
//
// A record that cannot be understood ends the reading with its place: a trace with a hole that nobody
// mentions would accuse the wrong node. What is understood and no data frame is skipped.
#include "bus_log_read.h"
#include "escape.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <strings.h>

enum {
    CANDUMP,
    PCAP,
    ASC,
    LINE_MAX_LEN = 1000,
    WORDS_MAX = 96,
    PCAP_HEAD = 24,
    PCAP_RECORD = 16,
    PCAP_FRAME = 8, // before a frame's data
    PCAP_LARGEST = 4096,
    SOCKETCAN = 227, // LINKTYPE_CAN_SOCKETCAN
};
#define SECOND    UINT64_C(1000000)
#define SECONDS   UINT64_C(100000000000) // the largest time that is believed
#define FLAG_EXT  0x80000000U            // in pcap's and candump's identifiers
#define FLAG_RTR  0x40000000U
#define FLAG_ERR  0x20000000U
#define FD_BRS    0x01U
#define FD_ESI    0x02U
#define FD_FORMAT 0x04U

typedef enum { FRAME, SKIP, WRONG } outcome_t;

__attribute__((format(printf, 2, 3))) static outcome_t wrong(bus_log_read_t *log,
                                                             const char *format, ...)
{
    char safe[ESCAPE_CAP(sizeof log->name)], why[120];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    escape_text(log->name, safe, sizeof safe);
    if (log->format == PCAP)
        snprintf(log->error, sizeof log->error, "%.150s: offset %llu: %s", safe,
                 (unsigned long long)log->offset, why);
    else
        snprintf(log->error, sizeof log->error, "%.150s:%u: %s", safe, log->line, why);
    return WRONG;
}

// --- Bytes and lines ---

static int next_byte(bus_log_read_t *log)
{
    if (log->begun_at < log->begun_len) return (uint8_t)log->begun[log->begun_at++];
    return getc(log->file);
}

static size_t next_bytes(bus_log_read_t *log, uint8_t *p, size_t len)
{
    size_t got = 0;
    while (got < len && log->begun_at < log->begun_len)
        p[got++] = (uint8_t)log->begun[log->begun_at++];
    return got + fread(p + got, 1, len - got, log->file);
}

/// Without its end. False: the file is over. A line that is too long, or has a zero byte, is wrong later:
/// it is cut there.
static bool next_line(bus_log_read_t *log, char line[LINE_MAX_LEN])
{
    size_t len = 0;
    int c = next_byte(log);
    if (c == EOF) return false;
    log->line++;
    for (; c != EOF && c != '\n'; c = next_byte(log))
        if (len < LINE_MAX_LEN - 1) line[len++] = (char)c;
    line[len] = '\0';
    return true;
}

/// Cuts `line` at spaces. The words point into it.
static size_t split(char *line, char *words[WORDS_MAX])
{
    size_t count = 0;
    char *rest = NULL;
    for (char *w = strtok_r(line, " \t\r\v\f", &rest); w && count < WORDS_MAX;
         w = strtok_r(NULL, " \t\r\v\f", &rest))
        words[count++] = w;
    return count;
}

// --- Numbers ---

static bool number(const char *text, size_t len, unsigned base, uint64_t max, uint64_t *v)
{
    *v = 0;
    if (len == 0) return false;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        const unsigned digit = isdigit((unsigned char)c)    ? (unsigned)(c - '0')
                               : isxdigit((unsigned char)c) ? (unsigned)(tolower(c) - 'a') + 10
                                                            : 99;
        if (digit >= base || *v > (UINT64_MAX - digit) / base) return false;
        *v = *v * base + digit;
    }
    return *v <= max;
}

/// "12.345678": seconds, to microseconds. Digits beyond are dropped.
static bool seconds(const char *text, size_t len, usec_t *v)
{
    const char *dot = memchr(text, '.', len);
    const size_t whole = dot ? (size_t)(dot - text) : len;
    uint64_t s, fraction = 0;
    if (!number(text, whole, 10, SECONDS, &s)) return false;
    unsigned digits = 0;
    for (size_t i = whole + 1; i < len; i++) {
        if (!isdigit((unsigned char)text[i])) return false;
        if (digits == 6) continue;
        fraction = fraction * 10 + (unsigned)(text[i] - '0');
        digits++;
    }
    if (dot && digits == 0) return false;
    for (; digits < 6; digits++)
        fraction *= 10;
    *v = s * SECOND + fraction;
    return true;
}

static bool id_fits(const can_frame_t *f) { return f->id <= (f->ext ? 0x1FFFFFFFU : 0x7FFU); }

static bool length_exists(unsigned len, bool fd)
{
    return len <= 8 || (fd && len <= 64 && (len % 16 == 0 || len == 12 || len == 20 || len == 24));
}

// --- candump: (1712230262.015991) can0 7E0#021003 R ---

static outcome_t candump_data(bus_log_read_t *log, const char *hex, can_frame_t *f)
{
    const size_t most = f->fd ? 64 : 8;
    size_t len = 0;
    while (*hex) {
        uint64_t byte;
        if (*hex == '.') { // some write 02.10.03
            hex++;
            continue;
        }
        if (!f->fd && *hex == '_') break; // the raw length of a frame with a DLC above 8
        if (len == most || !hex[1] || !number(hex, 2, 16, 0xFF, &byte))
            return wrong(log, "data '%.20s' that is not %zu bytes in hex at most", hex, most);
        f->data[len++] = (uint8_t)byte;
        hex += 2;
    }
    if (!length_exists((unsigned)len, f->fd)) return wrong(log, "no frame has %zu bytes", len);
    f->len = (uint8_t)len;
    return FRAME;
}

static outcome_t parse_candump(bus_log_read_t *log, char *line, can_frame_t *f, usec_t *at)
{
    char *words[WORDS_MAX];
    uint64_t id;
    const size_t count = split(line, words);
    if (count == 0) return SKIP;
    const size_t time_len = strlen(words[0]);
    if (time_len < 3 || words[0][0] != '(' || words[0][time_len - 1] != ')' ||
        !seconds(words[0] + 1, time_len - 2, at))
        return wrong(log, "expected a time like (1712230262.015991)");
    if (count < 3) return wrong(log, "expected a time, an interface and ID#DATA");
    char *hash = strchr(words[2], '#');
    const size_t id_len = hash ? (size_t)(hash - words[2]) : 0;
    if (!hash || (id_len != 3 && id_len != 8) || !number(words[2], id_len, 16, UINT32_MAX, &id))
        return wrong(log, "'%.20s' is not an identifier of 3 or 8 hex digits, # and data",
                     words[2]);
    f->ext = id_len == 8;
    if (f->ext && (id & FLAG_ERR)) return SKIP;
    f->id = (uint32_t)id;
    if (!id_fits(f)) return wrong(log, "there is no identifier %.8s", words[2]);
    if (hash[1] == 'R') return SKIP;
    if (hash[1] != '#') return candump_data(log, hash + 1, f);
    uint64_t flags;
    if (!hash[2] || !number(hash + 2, 1, 16, 0xF, &flags))
        return wrong(log, "'%.20s' lacks the digit with the flags of CAN FD", words[2]);
    f->fd = true;
    f->brs = (flags & FD_BRS) != 0;
    f->esi = (flags & FD_ESI) != 0;
    return candump_data(log, hash + 3, f);
}

// --- asc ---
// 0.015991 1  7E0             Tx   d 8 02 10 03
// 0.002208 CANFD   1 Rx        7E0  name      1 0 8  8 02 10 ...

static bool same(const char *word, const char *other) { return strcasecmp(word, other) == 0; }

static bool is_direction(const char *word)
{
    return same(word, "Rx") || same(word, "Tx") || same(word, "TxRq");
}

static bool asc_id(const bus_log_read_t *log, const char *word, can_frame_t *f)
{
    uint64_t id;
    size_t len = strlen(word);
    f->ext = len > 0 && tolower(word[len - 1]) == 'x';
    if (f->ext) len--;
    if (!number(word, len, log->decimal ? 10 : 16, UINT32_MAX, &id)) return false;
    f->id = (uint32_t)id;
    return id_fits(f);
}

static outcome_t asc_data(bus_log_read_t *log, char **words, size_t count, uint64_t len,
                          can_frame_t *f)
{
    uint64_t byte;
    if (!length_exists((unsigned)len, f->fd))
        return wrong(log, "no frame has %u bytes", (unsigned)len);
    if (count < len)
        return wrong(log, "%u bytes are announced, and %zu are there", (unsigned)len, count);
    for (size_t i = 0; i < len; i++) {
        if (!number(words[i], strlen(words[i]), log->decimal ? 10 : 16, 0xFF, &byte))
            return wrong(log, "'%.20s' is no byte", words[i]);
        f->data[i] = (uint8_t)byte;
    }
    f->len = (uint8_t)len;
    return FRAME;
}

static outcome_t asc_fd(bus_log_read_t *log, char **words, size_t count, can_frame_t *f)
{
    uint64_t flags[2], code, len;
    if (count < 3 || !is_direction(words[1])) return SKIP; // about the channel
    if (same(words[2], "ErrorFrame")) return SKIP;
    if (!asc_id(log, words[2], f)) return wrong(log, "'%.20s' is no identifier", words[2]);
    // A symbolic name may follow. BRS and ESI are single digits, which a name is not by itself.
    size_t i = 3;
    if (count > i && !(same(words[i], "0") || same(words[i], "1"))) i++;
    if (count < i + 4 || !number(words[i], strlen(words[i]), 10, 1, &flags[0]) ||
        !number(words[i + 1], strlen(words[i + 1]), 10, 1, &flags[1]) ||
        !number(words[i + 2], strlen(words[i + 2]), 16, 15, &code) ||
        !number(words[i + 3], strlen(words[i + 3]), 10, 64, &len))
        return wrong(log, "expected BRS, ESI, DLC and length behind the identifier");
    i += 4;
    // Classic frames can be written in such lines as well; the flags at the end tell: 0x1000 FD, 0x10
    // remote. They stand behind the duration and the number of bits.
    uint64_t last = 0x1000;
    if (count > i + len + 2)
        (void)number(words[i + len + 2], strlen(words[i + len + 2]), 16, UINT32_MAX, &last);
    if (last & 0x10) return SKIP;
    f->fd = (last & 0x1000) != 0;
    f->brs = f->fd && flags[0];
    f->esi = f->fd && flags[1];
    return asc_data(log, words + i, count - i, len, f);
}

static outcome_t asc_classic(bus_log_read_t *log, char **words, size_t count, can_frame_t *f)
{
    uint64_t len;
    if (count < 1 || !asc_id(log, words[0], f)) return SKIP; // ErrorFrame, Statistic: ...
    if (count < 3 || !is_direction(words[1])) return SKIP;
    if (same(words[2], "r")) return SKIP;
    if (!same(words[2], "d")) return wrong(log, "expected d or r behind the direction");
    if (count < 4 || !number(words[3], strlen(words[3]), 16, 15, &len))
        return wrong(log, "expected the number of bytes behind d");
    return asc_data(log, words + 4, count - 4, len > 8 ? 8 : len, f);
}

static outcome_t parse_asc(bus_log_read_t *log, char *line, can_frame_t *f, usec_t *at)
{
    char *words[WORDS_MAX];
    uint64_t channel;
    const size_t count = split(line, words);
    if (count == 0) return SKIP;
    if (same(words[0], "base")) {
        for (size_t i = 1; i < count; i++) {
            if (same(words[i], "dec")) log->decimal = true;
            if (same(words[i], "hex")) log->decimal = false;
            if (same(words[i], "relative")) log->relative = true;
            if (same(words[i], "absolute")) log->relative = false;
        }
        return SKIP;
    }
    if (!isdigit((unsigned char)words[0][0])) return SKIP; // date, Begin, End, // ...
    if (!seconds(words[0], strlen(words[0]), at))
        return wrong(log, "'%.20s' is no time in seconds", words[0]);
    if (log->relative) *at += log->previous;
    if (*at > SECONDS * SECOND) return wrong(log, "a time that cannot be");
    log->previous = *at;
    if (count < 3) return SKIP;
    if (same(words[1], "CANFD")) return asc_fd(log, words + 2, count - 2, f);
    if (!number(words[1], strlen(words[1]), 10, 255, &channel)) return SKIP;
    return asc_classic(log, words + 2, count - 2, f);
}

// --- pcap ---

static uint32_t load32(const bus_log_read_t *log, const uint8_t *p)
{
    return log->big ? load_be32(p) : load_le32(p);
}

static outcome_t open_pcap(bus_log_read_t *log)
{
    uint8_t p[PCAP_HEAD];
    if (next_bytes(log, p, sizeof p) < sizeof p)
        return wrong(log, "the head of the file is cut off");
    const uint32_t little = load_le32(p), big = load_be32(p);
    log->big = big == 0xA1B2C3D4 || big == 0xA1B23C4D;
    log->nano = little == 0xA1B23C4D || big == 0xA1B23C4D;
    const uint32_t link = load32(log, p + 20) & 0x0FFFFFFF; // above: about a checksum
    if (link != SOCKETCAN)
        return wrong(log, "link type %u, expected %u (LINKTYPE_CAN_SOCKETCAN)", link, SOCKETCAN);
    log->offset = PCAP_HEAD;
    return SKIP;
}

static outcome_t parse_pcap(bus_log_read_t *log, can_frame_t *f, usec_t *at, bool *over)
{
    uint8_t head[PCAP_RECORD], p[PCAP_LARGEST];
    const size_t got = next_bytes(log, head, sizeof head);
    *over = got == 0;
    if (*over) return SKIP;
    if (got < sizeof head) return wrong(log, "a record that is cut off");
    const uint32_t len = load32(log, head + 8);
    if (len < PCAP_FRAME || len > sizeof p) return wrong(log, "a record of %u bytes", len);
    if (next_bytes(log, p, len) < len) return wrong(log, "a record that is cut off");
    const uint32_t fraction = load32(log, head + 4);
    *at = load32(log, head) * SECOND + (log->nano ? fraction / 1000 : fraction);
    const uint32_t id = load_be32(p);
    if (id & (FLAG_RTR | FLAG_ERR)) {
        log->offset += sizeof head + len;
        return SKIP;
    }
    f->ext = (id & FLAG_EXT) != 0;
    f->id = id & 0x1FFFFFFF;
    f->len = p[4];
    // Old writers do not mark CAN FD: its length does.
    f->fd = (p[5] & FD_FORMAT) || f->len > 8;
    f->brs = f->fd && (p[5] & FD_BRS);
    f->esi = f->fd && (p[5] & FD_ESI);
    if (!id_fits(f) || !length_exists(f->len, f->fd) || f->len > len - PCAP_FRAME)
        return wrong(log, "a frame with identifier %X and %u bytes, in a record of %u", f->id,
                     f->len, len);
    memcpy(f->data, p + PCAP_FRAME, f->len);
    log->offset += sizeof head + len;
    return FRAME;
}

// --- The file ---

bool bus_log_read_file(bus_log_read_t *log, FILE *file, const char *name)
{
    static const uint8_t ng[4] = { 0x0A, 0x0D, 0x0D, 0x0A };
    *log = (bus_log_read_t){ .file = file, .format = PCAP };
    snprintf(log->name, sizeof log->name, "%s", name);
    log->begun_len = (unsigned)fread(log->begun, 1, sizeof log->begun, file);
    const uint8_t *magic = (const uint8_t *)log->begun;
    const uint32_t little = load_le32(magic), big = load_be32(magic);
    if (ferror(file)) return wrong(log, "%s", strerror(errno)) != WRONG;
    if (log->begun_len == sizeof log->begun && memcmp(magic, ng, sizeof ng) == 0)
        return wrong(log, "this is pcapng; convert it: editcap -F pcap IN OUT") != WRONG;
    if (little == 0xA1B2C3D4 || little == 0xA1B23C4D || big == 0xA1B2C3D4 || big == 0xA1B23C4D)
        return open_pcap(log) != WRONG;
    log->format = (log->begun_len > 0 && log->begun[0] == '(') ? CANDUMP : ASC;
    for (unsigned i = 0; i < log->begun_len; i++) {
        if (isprint(magic[i]) || isspace(magic[i])) continue;
        log->line = 1;
        return wrong(log, "neither a log of candump, nor .pcap, nor .asc") != WRONG;
    }
    return true;
}

bool bus_log_read_open(bus_log_read_t *log, const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (file) return bus_log_read_file(log, file, path);
    *log = (bus_log_read_t){ .file = NULL };
    char safe[200];
    escape_text(path, safe, sizeof safe);
    snprintf(log->error, sizeof log->error, "%.200s: %s", safe, strerror(errno));
    return false;
}

bool bus_log_read(bus_log_read_t *log, can_frame_t *frame, usec_t *at)
{
    char line[LINE_MAX_LEN];
    if (!log->file || log->error[0]) return false;
    for (;;) {
        bool over = false;
        outcome_t outcome;
        *frame = (can_frame_t){ .id = 0 };
        if (log->format == PCAP)
            outcome = parse_pcap(log, frame, at, &over);
        else if (!next_line(log, line))
            over = true, outcome = SKIP;
        else if (log->format == CANDUMP)
            outcome = parse_candump(log, line, frame, at);
        else
            outcome = parse_asc(log, line, frame, at);
        if (outcome == FRAME) return true;
        if (over && ferror(log->file)) outcome = wrong(log, "%s", strerror(errno));
        if (over || outcome == WRONG) return false;
        log->skipped++;
    }
}

void bus_log_read_close(bus_log_read_t *log)
{
    if (log->file && log->file != stdin) (void)fclose(log->file);
    log->file = NULL;
}
