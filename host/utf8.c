// utf8.c - decoding and character properties.
// SPDX-License-Identifier: Apache-2.0
#include "utf8.h"

#include <stdlib.h>

size_t utf8_next(const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text;
    if (len == 0) return 0;
    if (p[0] < 0x80) return 1;
    // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
    const size_t n = (p[0] < 0xE0) ? 2 : (p[0] < 0xF0) ? 3 : 4;
    const uint8_t low = (p[0] == 0xE0) ? 0xA0 : (p[0] == 0xF0) ? 0x90 : 0x80;
    const uint8_t high = (p[0] == 0xED) ? 0x9F : (p[0] == 0xF4) ? 0x8F : 0xBF;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n > len || p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return n;
}

static char *put(char *out, uint32_t c)
{
    const unsigned more = (c < 0x80) ? 0 : (c < 0x800) ? 1 : (c < 0x10000) ? 2 : 3;
    static const uint8_t lead[] = { 0, 0xC0, 0xE0, 0xF0 };
    *out++ = (char)(lead[more] | c >> 6 * more);
    for (unsigned i = more; i-- > 0;)
        *out++ = (char)(0x80 | (c >> 6 * i & 0x3F));
    return out;
}

typedef struct {
    const uint8_t *p;
    size_t len;
    unsigned width; // bytes of a code unit: 2 or 4
    bool big;       // the most significant byte first
} units_t;

static bool next_unit(units_t *u, uint32_t *out)
{
    if (u->len < u->width) return false;
    uint32_t v = 0;
    for (unsigned i = 0; i < u->width; i++)
        v |= (uint32_t)u->p[i] << 8 * (u->big ? u->width - 1 - i : i);
    u->p += u->width;
    u->len -= u->width;
    *out = v;
    return true;
}

/// UTF-16 and UTF-32. Each unit of two bytes becomes at most three.
static char *decode_units(units_t u)
{
    char *text = malloc(u.len * 2 + 1);
    char *out = text;
    uint32_t c = 0;
    bool valid = text != NULL;
    while (valid && next_unit(&u, &c)) {
        uint32_t low = 0;
        if (u.width == 2 && c >= 0xD800 && c <= 0xDBFF && next_unit(&u, &low) && low >= 0xDC00 &&
            low <= 0xDFFF) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        }
        valid = c != 0 && c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        if (valid) out = put(out, c);
    }
    if (!valid || u.len != 0) {
        free(text);
        return NULL;
    }
    *out = 0;
    return text;
}

static char *copy_utf8(const char *p, size_t len)
{
    for (size_t at = 0; at < len;) {
        const size_t n = utf8_next(p + at, len - at);
        if (n == 0 || p[at] == 0) return NULL;
        at += n;
    }
    char *text = malloc(len + 1);
    if (!text) return NULL;
    memcpy(text, p, len);
    text[len] = 0;
    return text;
}

char *utf8_decode(const void *bytes, size_t len)
{
    static const struct {
        uint8_t mark[4];
        uint8_t mark_len, width;
        bool big;
    } marks[] = { { { 0xEF, 0xBB, 0xBF }, 3, 1, false },
                  { { 0xFF, 0xFE, 0, 0 }, 4, 4, false }, // before UTF-16, whose mark it begins with
                  { { 0, 0, 0xFE, 0xFF }, 4, 4, true },
                  { { 0xFF, 0xFE }, 2, 2, false },
                  { { 0xFE, 0xFF }, 2, 2, true } };
    const uint8_t *p = bytes;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const size_t n = marks[i].mark_len;
        if (len < n || memcmp(p, marks[i].mark, n) != 0) continue;
        if (marks[i].width == 1) return copy_utf8((const char *)p + n, len - n);
        return decode_units((units_t){ p + n, len - n, marks[i].width, marks[i].big });
    }
    return copy_utf8((const char *)p, len);
}

size_t utf8_line_end(const char *p)
{
    if (p[0] == '\r') return (p[1] == '\n') ? 2 : 1;
    if (p[0] == '\n' || p[0] == '\v' || p[0] == '\f') return 1;
    if (p[0] >= 0x1C && p[0] <= 0x1E) return 1;   // file, group, record
    if (strncmp(p, "\xC2\x85", 2) == 0) return 2; // next line
    if (strncmp(p, "\xE2\x80\xA8", 3) == 0 || strncmp(p, "\xE2\x80\xA9", 3) == 0) return 3;
    return 0;
}

size_t utf8_space(const char *p)
{
    static const char *const wide[] = { "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80",
                                        "\xE2\x80\x81", "\xE2\x80\x82", "\xE2\x80\x83",
                                        "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
                                        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89",
                                        "\xE2\x80\x8A", "\xE2\x80\xAF", "\xE2\x81\x9F",
                                        "\xE3\x80\x80" };
    if (p[0] == ' ' || p[0] == '\t' || p[0] == 0x1F) return 1;
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        const size_t n = strlen(wide[i]);
        if (strncmp(p, wide[i], n) == 0) return n;
    }
    return utf8_line_end(p);
}

char *utf8_trim(char *text)
{
    for (size_t n = utf8_space(text); n > 0; n = utf8_space(text))
        text += n;
    char *end = text; // behind the last character that is no white space
    for (char *p = text; *p;) {
        const size_t n = utf8_space(p);
        p += n ? n : 1;
        if (n == 0) end = p;
    }
    *end = 0;
    return text;
}
