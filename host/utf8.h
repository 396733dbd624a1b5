// utf8.h - text from files: decoding to UTF-8, white space, line ends.
// SPDX-License-Identifier: Apache-2.0
//
//     char *text = utf8_decode(bytes, len);
//     if (!text) fail("not text");
//     puts(utf8_trim(text));
//     free(text);
//
// Threads: none inside. Memory: utf8_decode() allocates, the caller frees.
#ifndef UTF8_H
#define UTF8_H

#include "base.h"

/// Decodes UTF-8, or by its byte order mark UTF-16 or UTF-32, to UTF-8 ended by NUL, without the
/// mark. NULL when the bytes are not valid, hold a NUL character, or memory is short.
char *utf8_decode(const void *bytes, size_t len);

/// Bytes of the character that `text` begins with (1..4), 0: there is no valid one within `len`.
size_t utf8_next(const char *text, size_t len);

/// Bytes of the white space at `p`, 0 when there is none. Line ends are white space.
size_t utf8_space(const char *p);

/// Bytes of the line end at `p`, 0 when there is none. Every line end that Unicode knows counts.
size_t utf8_line_end(const char *p);

/// Cuts white space off both ends, in place. Returns the new begin.
char *utf8_trim(char *text);

#endif
