// profile.c - reads profiles and makes requests of their steps: see profile.h.
// SPDX-License-Identifier: Apache-2.0
//
// Line by line, word by word; no line depends on another one but for the limits. A request is kept
// as tokens: a byte, or a placeholder with its length.
#include "profile.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORD_MAX = 40 };

typedef enum {
    PLACE_BYTE, // none: the token is a byte
    PLACE_ADDRESS,
    PLACE_SIZE,
    PLACE_CRC32,
    PLACE_SHA256,
    PLACE_DATE,
    PLACE_TESTER,
} place_t;

typedef struct {
    profile_t *p;
    const char *name;
    unsigned line;
    const char *at;      // the rest of the line
    char word[WORD_MAX]; // the last one taken, "" at the end of the line
    char *error;
    size_t cap;
    bool failed;
} parser_t;

// --- Words ---

__attribute__((format(printf, 2, 3))) static bool wrong(parser_t *r, const char *format, ...)
{
    char what[200];
    va_list args;
    if (r->failed) return false;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    (void)snprintf(r->error, r->cap, "%s:%u: %s", r->name, r->line ? r->line : 1, what);
    r->failed = true;
    return false;
}

/// Only printable ASCII is shown back.
static void take_word(parser_t *r)
{
    size_t len = 0;
    while (*r->at == ' ' || *r->at == '\t')
        r->at++;
    while (*r->at && *r->at != ' ' && *r->at != '\t') {
        const char c = *r->at++;
        if (len < WORD_MAX - 1) r->word[len++] = (char)((c > ' ' && c <= '~') ? c : '?');
    }
    r->word[len] = 0;
}

static bool is(const parser_t *r, const char *word) { return strcmp(r->word, word) == 0; }

static bool end_of_line(parser_t *r)
{
    take_word(r);
    return !r->word[0] || wrong(r, "'%s' is too much: the line should end before it", r->word);
}

/// Hex digits only, 1..8 of them. False: something else.
static bool hex_of(const char *text, size_t min, size_t max, uint32_t *value)
{
    const size_t len = strlen(text);
    if (len < min || len > max || strspn(text, "0123456789ABCDEFabcdef") != len) return false;
    *value = (uint32_t)strtoul(text, NULL, 16);
    return true;
}

static bool decimal_of(const char *text, uint32_t *value)
{
    const size_t len = strlen(text);
    if (len == 0 || len > 9 || strspn(text, "0123456789") != len) return false;
    *value = (uint32_t)strtoul(text, NULL, 10);
    return true;
}

// --- Requests ---

static bool take_place(parser_t *r, uint16_t *token)
{
    static const struct {
        const char *name;
        place_t place;
        unsigned len; // 0: it is told, 1..4
    } places[] = {
        { "{address:", PLACE_ADDRESS, 0 }, { "{size:", PLACE_SIZE, 0 },
        { "{crc32}", PLACE_CRC32, 4 },     { "{sha256}", PLACE_SHA256, 32 },
        { "{date}", PLACE_DATE, 3 },       { "{tester}", PLACE_TESTER, 6 },
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const size_t known = strlen(places[i].name);
        unsigned len = places[i].len;
        if (strncmp(r->word, places[i].name, known) != 0) continue;
        if (len == 0) {
            const char digit = r->word[known];
            if (digit < '1' || digit > '4' || strcmp(&r->word[known + 1], "}") != 0)
                return wrong(r, "'%s': a number of bytes from 1 to 4 is expected, as in %s4}",
                             r->word, places[i].name);
            len = (unsigned)(digit - '0');
        }
        *token = (uint16_t)(places[i].place << 8 | len);
        return true;
    }
    return wrong(r,
                 "'%s' is no placeholder: {address:N}, {size:N}, {crc32}, {sha256}, {date} or "
                 "{tester} is expected",
                 r->word);
}

static unsigned token_len(uint16_t token) { return (token >> 8) ? token & 0xFFU : 1; }

/// Bytes and placeholders until the end of the line or the word "expect", which is in r->word then.
static bool take_bytes(parser_t *r, uint16_t *at, uint16_t *count)
{
    profile_t *p = r->p;
    uint32_t byte, len = 0;
    *at = p->tokens;
    *count = 0;
    for (take_word(r); r->word[0] && !is(r, "expect"); take_word(r)) {
        uint16_t token = 0;
        if (r->word[0] == '{') {
            if (!take_place(r, &token)) return false;
        } else if (hex_of(r->word, 2, 2, &byte)) {
            token = (uint16_t)byte;
        } else {
            return wrong(r, "'%s' is no byte: two hexadecimal digits are expected", r->word);
        }
        len += token_len(token);
        if (p->tokens == PROFILE_TOKENS_MAX || len > PROFILE_REQUEST_MAX)
            return wrong(r, "too long: at most %d bytes a request and %d altogether",
                         PROFILE_REQUEST_MAX, PROFILE_TOKENS_MAX);
        p->token[p->tokens++] = token;
        (*count)++;
    }
    return *count > 0 || wrong(r, "bytes are missing: two hexadecimal digits each are expected");
}

/// The service that a step is bound to.
static bool check_service(parser_t *r, const profile_step_t *step, uint16_t sid)
{
    if (r->p->token[step->at] == sid) return true;
    return wrong(r, "the request begins with %02X here", sid);
}

// --- Steps ---

static bool take_kind(parser_t *r, profile_step_t *step)
{
    static const char *const names[] = { "hex",   "text",    "version", "project",
                                         "slots", "running", "next" };
    uint32_t did;
    take_word(r);
    if (!hex_of(r->word, 4, 4, &did))
        return wrong(r, "'%s' is no data identifier: four hexadecimal digits are expected",
                     r->word);
    step->did = (uint16_t)did;
    take_word(r);
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!is(r, names[i])) continue;
        step->kind = (profile_kind_t)i;
        const bool verifies = step->kind == PROFILE_VERSION || step->kind == PROFILE_RUNNING;
        if (step->verb == PROFILE_VERIFY && !verifies)
            return wrong(r, "'%s' cannot be verified: version or running is expected", r->word);
        return end_of_line(r);
    }
    return wrong(r, "'%s': %s is expected", r->word,
                 step->verb == PROFILE_VERIFY
                     ? "version or running"
                     : "hex, text, version, project, slots, running or next");
}

static bool take_request(parser_t *r, profile_step_t *step)
{
    const bool may_expect = step->verb == PROFILE_REQUEST || step->verb == PROFILE_RESTART;
    if (!take_bytes(r, &step->at, &step->len)) return false;
    if (step->verb == PROFILE_DOWNLOAD && !check_service(r, step, 0x34)) return false;
    if (step->verb == PROFILE_RESUME && !check_service(r, step, 0x31)) return false;
    if (r->p->token[step->at] >> 8)
        return wrong(r, "a request begins with a byte, its service identifier");
    if (!r->word[0]) return true;
    if (!may_expect) return wrong(r, "'expect' is for request and restart only");
    if (!take_bytes(r, &step->expect_at, &step->expect_len)) return false;
    for (unsigned i = 0; i < step->expect_len; i++)
        if (r->p->token[step->expect_at + i] >> 8)
            return wrong(r, "only bytes can be expected, no placeholders");
    return !r->word[0] || wrong(r, "'expect' comes once");
}

static bool take_level(parser_t *r, profile_step_t *step)
{
    uint32_t level;
    take_word(r);
    if (!hex_of(r->word, 2, 2, &level) || level % 2 == 0 || level > 0x7D)
        return wrong(r, "'%s' is no level: an odd byte from 01 to 7D is expected", r->word);
    step->level = (uint8_t)level;
    return end_of_line(r);
}

static bool take_delay(parser_t *r, profile_step_t *step)
{
    enum { LONGEST_MS = 600000 };
    take_word(r);
    if (!decimal_of(r->word, &step->delay_ms) || step->delay_ms > LONGEST_MS)
        return wrong(r, "'%s': milliseconds up to %d are expected", r->word, LONGEST_MS);
    return end_of_line(r);
}

static bool only_once(parser_t *r, profile_verb_t verb)
{
    for (unsigned i = 0; i < r->p->steps; i++)
        if (r->p->step[i].verb == verb)
            return wrong(r, "'%s' comes once, and stands in line %u already", r->word,
                         r->p->step[i].line);
    return true;
}

static bool take_step(parser_t *r)
{
    static const char *const verbs[] = { "read",     "request", "security", "resume", "download",
                                         "transfer", "restart", "verify",   "delay",  "again" };
    profile_step_t step = { .line = r->line };
    for (take_word(r); is(r, "optional") || is(r, "functional"); take_word(r))
        *(r->word[0] == 'o' ? &step.optional : &step.functional) = true;
    unsigned verb = 0;
    while (verb < sizeof verbs / sizeof verbs[0] && !is(r, verbs[verb]))
        verb++;
    if (verb == sizeof verbs / sizeof verbs[0])
        return wrong(r,
                     "'%s' is no step: read, request, security, resume, download, transfer, "
                     "restart, verify, delay or again is expected",
                     r->word);
    step.verb = (profile_verb_t)verb;
    if (step.functional && step.verb != PROFILE_REQUEST)
        return wrong(r, "'functional' is for request only");
    if (r->p->steps == PROFILE_STEPS_MAX)
        return wrong(r, "too many steps: at most %d", PROFILE_STEPS_MAX);
    bool good = false;
    switch (step.verb) {
    case PROFILE_READ:
    case PROFILE_VERIFY: good = take_kind(r, &step); break;
    case PROFILE_RESUME:
    case PROFILE_DOWNLOAD: good = only_once(r, step.verb) && take_request(r, &step); break;
    case PROFILE_REQUEST:
    case PROFILE_RESTART: good = take_request(r, &step); break;
    case PROFILE_SECURITY: good = take_level(r, &step); break;
    case PROFILE_DELAY: good = take_delay(r, &step); break;
    case PROFILE_TRANSFER:
    case PROFILE_AGAIN: good = only_once(r, step.verb) && end_of_line(r); break;
    }
    if (good) r->p->step[r->p->steps++] = step;
    return good;
}

// --- Settings ---

static bool take_ids(parser_t *r)
{
    profile_id_t *ids[] = { &r->p->request, &r->p->response, &r->p->functional };
    for (unsigned i = 0; i < 3; i++) {
        take_word(r);
        const bool ext = strlen(r->word) == 8;
        if (!hex_of(r->word, 1, 8, &ids[i]->id) || ids[i]->id > (ext ? 0x1FFFFFFFU : 0x7FFU))
            return wrong(r,
                         "'%s' is no identifier: three are expected (request, response, "
                         "functional), hexadecimal; with 8 digits one of 29 bits",
                         r->word);
        ids[i]->ext = ext;
        ids[i]->given = true;
        if (i > 0 && ext != ids[0]->ext)
            return wrong(r, "identifiers of 11 and of 29 bits at once: all have 3 digits, or 8");
        for (unsigned k = 0; k < i; k++)
            if (ids[k]->id == ids[i]->id)
                return wrong(r, "'%s' comes twice: each of the identifiers is another", r->word);
    }
    return end_of_line(r);
}

static bool take_tester(parser_t *r)
{
    uint32_t byte;
    for (unsigned i = 0; i < PROFILE_TESTER_LEN; i++) {
        take_word(r);
        if (!hex_of(r->word, 2, 2, &byte))
            return wrong(r, "'%s': %d bytes are expected, two hexadecimal digits each", r->word,
                         PROFILE_TESTER_LEN);
        r->p->tester[i] = (uint8_t)byte;
    }
    return end_of_line(r);
}

static bool take_address(parser_t *r)
{
    take_word(r);
    if (!hex_of(r->word, 1, 8, &r->p->address))
        return wrong(r, "'%s' is no address: up to 8 hexadecimal digits are expected", r->word);
    return end_of_line(r);
}

static bool take_result(parser_t *r)
{
    uint32_t did;
    take_word(r);
    if (!hex_of(r->word, 4, 4, &did))
        return wrong(r, "'%s' is no data identifier: four hexadecimal digits are expected",
                     r->word);
    r->p->result_did = (uint16_t)did;
    return end_of_line(r);
}

static bool take_numbers(parser_t *r, uint32_t *value[2], uint32_t min, uint32_t max)
{
    for (unsigned i = 0; i < 2 && value[i]; i++) {
        take_word(r);
        if (!decimal_of(r->word, value[i]) || *value[i] < min || *value[i] > max)
            return wrong(r, "'%s': a number from %u to %u is expected", r->word, min, max);
    }
    return end_of_line(r);
}

static bool take_setting(parser_t *r)
{
    profile_t *p = r->p;
    const struct {
        const char *name;
        uint32_t *value[2];
        uint32_t min, max;
    } numbers[] = {
        { "p2", { &p->p2_ms, &p->p2_star_ms }, 1, 655350 },
        { "margin", { &p->margin_ms }, 0, 60000 },
        { "pending-limit", { &p->pending_limit_s }, 1, 86400 },
        { "present", { &p->present_ms }, 0, 60000 },
        { "block-max", { &p->block_max }, 3, 0xFFFF },
        { "block-retry", { &p->block_retry }, 0, 100 },
        { "request-retry", { &p->request_retry }, 0, 100 },
        { "rounds", { &p->rounds }, 0, 20 },
        { "connect", { &p->connect_s }, 1, 3600 },
        { "reconnect", { &p->reconnect_s }, 0, 3600 },
        { "unlock-limit", { &p->unlock_s }, 0, 3600 },
        { "restart-delay", { &p->restart_delay_ms }, 0, 60000 },
        { "restart-limit", { &p->restart_s }, 1, 3600 },
        { "confirm-limit", { &p->confirm_s }, 0, 3600 },
    };
    if (is(r, "id")) return take_ids(r);
    if (is(r, "tester")) return take_tester(r);
    if (is(r, "address")) return take_address(r);
    if (is(r, "result")) return take_result(r);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        uint32_t *value[2] = { numbers[i].value[0], numbers[i].value[1] };
        if (is(r, numbers[i].name)) return take_numbers(r, value, numbers[i].min, numbers[i].max);
    }
    return wrong(r, "'%s' is no setting; 'step' or one of those of docs/PROFILES.md is expected",
                 r->word);
}

// --- The whole ---

/// A transfer needs a download before it, and what is taken up again must be able to.
static bool check_order(parser_t *r)
{
    const profile_t *p = r->p;
    bool download = false, transfer = false;
    for (unsigned i = 0; i < p->steps; i++) {
        r->line = p->step[i].line;
        if (p->step[i].verb == PROFILE_DOWNLOAD) download = true;
        if (p->step[i].verb == PROFILE_RESUME && download)
            return wrong(r, "'resume' is expected before 'download'");
        if (p->step[i].verb == PROFILE_AGAIN && transfer)
            return wrong(r, "'again' is expected before 'transfer'");
        if (p->step[i].verb != PROFILE_TRANSFER) continue;
        if (!download) return wrong(r, "'download' is expected before 'transfer'");
        transfer = true;
    }
    return transfer || wrong(r, "nothing is transferred: 'step transfer' is expected");
}

bool profile_parse(profile_t *p, const char *name, const char *text, size_t len, char *error,
                   size_t cap)
{
    static const profile_t initial = { .margin_ms = 200,
                                       .pending_limit_s = 600,
                                       .present_ms = 2000,
                                       .block_max = 4095,
                                       .block_retry = 3,
                                       .request_retry = 3,
                                       .rounds = 4,
                                       .connect_s = 3,
                                       .reconnect_s = 10,
                                       .unlock_s = 15,
                                       .restart_s = 30,
                                       .restart_delay_ms = 100,
                                       .confirm_s = 10 };
    parser_t r = { .p = p, .name = name };
    r.error = error;
    r.cap = cap;
    *p = initial;
    if (len > PROFILE_TEXT_MAX)
        return wrong(&r, "too long: at most %d characters", PROFILE_TEXT_MAX);
    for (size_t at = 0; at < len;) {
        char line[PROFILE_LINE_MAX + 1];
        const char *end = memchr(text + at, '\n', len - at);
        const size_t whole = end ? (size_t)(end - (text + at)) : len - at;
        r.line++;
        if (whole > PROFILE_LINE_MAX)
            return wrong(&r, "too long: at most %d characters a line", PROFILE_LINE_MAX);
        memcpy(line, text + at, whole);
        line[whole] = 0;
        at += whole + 1;
        if (memchr(line, 0, whole)) return wrong(&r, "a NUL character: this is no text");
        line[strcspn(line, "#\r")] = 0;
        r.at = line;
        take_word(&r);
        if (!r.word[0]) continue;
        if (!(is(&r, "step") ? take_step(&r) : take_setting(&r))) return false;
    }
    return check_order(&r);
}

/// False: it does not fit `len` bytes.
static bool put_be(uint8_t *out, uint32_t value, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        out[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    return len == 4 || value >> (8 * len) == 0;
}

uint32_t profile_expand(const profile_t *p, const profile_step_t *step,
                        const profile_values_t *values, uint8_t *out)
{
    uint32_t used = 0;
    bool fits = true;
    for (unsigned i = 0; i < step->len && fits; i++) {
        const uint16_t token = p->token[step->at + i];
        const unsigned len = token_len(token);
        uint8_t *to = out + used;
        used += len;
        switch ((place_t)(token >> 8)) {
        case PLACE_BYTE: *to = (uint8_t)token; break;
        case PLACE_ADDRESS: fits = put_be(to, values->address, len); break;
        case PLACE_SIZE: fits = put_be(to, values->size, len); break;
        case PLACE_CRC32: fits = put_be(to, values->crc32, len); break;
        case PLACE_SHA256: memcpy(to, values->sha256, len); break;
        case PLACE_DATE: memcpy(to, values->date, len); break;
        case PLACE_TESTER: memcpy(to, p->tester, len); break;
        }
    }
    return fits ? used : 0;
}

bool profile_expected(const profile_t *p, const profile_step_t *step, const uint8_t *response,
                      uint32_t len)
{
    if (len < step->expect_len) return step->expect_len == 0;
    for (unsigned i = 0; i < step->expect_len; i++)
        if (response[i] != p->token[step->expect_at + i]) return false;
    return true;
}
