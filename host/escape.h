// escape.h - strings from files, made harmless for a terminal.
// SPDX-License-Identifier: Apache-2.0
//
//     char safe[ESCAPE_CAP(32)];
//     escape_text(image.version, safe, sizeof safe);
//     printf("%s\n", safe);
//
// Threads: pure functions. Memory: the caller's.
#ifndef ESCAPE_H
#define ESCAPE_H

#include "base.h"

/// The buffer that any text of `len` bytes needs.
#define ESCAPE_CAP(len) ((len)*4 + 1)

/// Copies `text`, with \xNN for each byte of control characters, of characters that change the
/// direction of writing, and of what is not UTF-8. Cuts what does not fit in `cap`. Returns how
/// many columns of a terminal the result takes, wide characters aside.
size_t escape_text(const char *text, char *out, size_t cap);

#endif
