// flasher_text.h - how an update by UDS ended, in words: what happened, what the device does, what to try.
// SPDX-License-Identifier: Apache-2.0
//
//     char text[FLASHER_TEXT_CAP];
//     flasher_text_why(&f, words_for(f.result), text, sizeof text);
//     fprintf(stderr, "%s\n", text);
//
// Threads: pure functions. Memory: the caller's.
#ifndef FLASHER_TEXT_H
#define FLASHER_TEXT_H

#include "flasher.h"

enum { FLASHER_TEXT_CAP = 900 };

/// Why an update failed, one line without a full stop. `result`: what DID FD01 said, in words; NULL: nothing.
void flasher_text_why(const flasher_t *f, const char *result, char *text, size_t cap);

/// The word that scripts know for it.
const char *flasher_text_name(flasher_why_t why);

/// The request under way: "TransferData block 05". Returns text.
const char *flasher_text_request(const flasher_t *f, char *text, size_t cap);

/// What runs, by DID FD02: "slot 1 (valid)". Returns text; "" if that is not known.
const char *flasher_text_running(const flasher_running_t *running, char *text, size_t cap);

#endif
