// uds_text.h - the standard's names for what UDS messages hold, and any message in one line.
// SPDX-License-Identifier: Apache-2.0
//
//     char line[UDS_TEXT_CAP];
//     uds_text_message(message, len, line, sizeof line);
//     puts(line); // "TransferData block 5, 4093 bytes"
//     printf("%s: %s\n", uds_text_nrc(nrc), uds_text_nrc_hint(nrc));
//
// Threads: pure functions. Memory: the caller's, and constants.
#ifndef UDS_TEXT_H
#define UDS_TEXT_H

#include "uds.h"

enum { UDS_TEXT_CAP = 400 }; // a line that holds what most messages say; longer ones are cut

/// Of a request's first byte; "service XX" is what to print if NULL.
const char *uds_text_sid(uint8_t sid);

/// The standard's name, never NULL: "wrongBlockSequenceCounter".
const char *uds_text_nrc(uint8_t nrc);

/// What it usually means for an update and what to try: one or two sentences without the last full stop,
/// never NULL.
const char *uds_text_nrc_hint(uint8_t nrc);

/// Names of identifiers, NULL: none known.
const char *uds_text_did(uint16_t did);
const char *uds_text_routine(uint16_t rid);

/// Names of sub-functions, without bit 7. NULL: none known.
const char *uds_text_session(uint8_t type);
const char *uds_text_reset(uint8_t type);

/// State of a slot, in DIDs FD00, FD02, FD10.. (docs/PROTOCOL.md). NULL: no such state.
const char *uds_text_slot_state(uint8_t state);

/// The name of a result code, in DID FD01 and the status message. NULL: none known.
const char *uds_text_result(uint8_t result);

/// What a data identifier holds: text in quotes, numbers, or hex digits. Returns its length.
size_t uds_text_data(uint16_t did, const uint8_t *p, size_t len, char *out, size_t cap);

/// Explains a request or a response, whatever its bytes; ASCII only. Cut to `cap` (1 at least) with "...".
/// Returns its length.
size_t uds_text_message(const uint8_t *p, size_t len, char *out, size_t cap);

/// The same for a response whose request is known, which tells where the data of each identifier end.
size_t uds_text_response(const uint8_t *request, size_t request_len, const uint8_t *p, size_t len,
                         char *out, size_t cap);

#endif
