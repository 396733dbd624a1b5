// escape.c - makes strings harmless: see escape.h.
// SPDX-License-Identifier: Apache-2.0
#include "escape.h"

#include <stdio.h>

#include "utf8.h"

static bool harmless(const char *p, size_t n)
{
    const uint8_t *c = (const uint8_t *)p;
    if (n == 0) return false;
    if (n == 1) return c[0] >= 0x20 && c[0] != 0x7F && c[0] != '\\';
    if (n == 2) return c[0] != 0xC2 || c[1] >= 0xA0; // the second set of control characters
    if (n == 3 && c[0] == 0xE2 && c[1] == 0x80)      // U+200B.. and U+2028..: marks, line ends
        return !((c[2] >= 0x8B && c[2] <= 0x8F) || (c[2] >= 0xA8 && c[2] <= 0xAE));
    if (n == 3 && c[0] == 0xE2 && c[1] == 0x81) return c[2] < 0xA0 || c[2] > 0xAF;
    return !(n == 3 && c[0] == 0xEF && c[1] == 0xBB && c[2] == 0xBF); // a byte order mark
}

size_t escape_text(const char *text, char *out, size_t cap)
{
    size_t len = 0;
    size_t columns = 0;
    while (*text) {
        const size_t n = utf8_next(text, strlen(text));
        if (harmless(text, n)) {
            if (n >= cap - len) break;
            memcpy(out + len, text, n);
            len += n;
            columns++;
        } else {
            if (4 >= cap - len) break;
            const size_t bytes = n ? n : 1;
            if (4 * bytes >= cap - len) break;
            for (size_t i = 0; i < bytes; i++, len += 4, columns += 4)
                snprintf(out + len, 5, "\\x%02x", (uint8_t)text[i]);
        }
        text += n ? n : 1;
    }
    out[len] = 0;
    return columns;
}
