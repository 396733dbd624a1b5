// profile.h - how one kind of device is updated by UDS: settings and a sequence of steps, from text.
// SPDX-License-Identifier: Apache-2.0
//
//     const char *text = profile_builtin("isotp-ota");
//     if (!profile_parse(&profile, "isotp-ota", text, strlen(text), error, sizeof error))
//         fail(error);
//     for (unsigned i = 0; i < profile.steps; i++)
//         send_request(request, profile_expand(&profile, &profile.step[i], &values, request));
//
// docs/PROFILES.md is the manual of the text. Threads: pure functions. Memory: profile_t, the caller's.
#ifndef PROFILE_H
#define PROFILE_H

#include "base.h"

enum {
    PROFILE_STEPS_MAX = 64,
    PROFILE_TOKENS_MAX = 1024,  // bytes and placeholders of all steps
    PROFILE_REQUEST_MAX = 256,  // bytes of one request once expanded
    PROFILE_LINE_MAX = 400,     // characters
    PROFILE_TEXT_MAX = 1 << 16, // characters of a file
    PROFILE_TESTER_LEN = 6,
    PROFILE_DATE_LEN = 3,
};

typedef enum {
    PROFILE_READ,     // ReadDataByIdentifier; `kind` says what it means
    PROFILE_REQUEST,  // any request; its response must begin with `expect`
    PROFILE_SECURITY, // SecurityAccess of `level`
    PROFILE_RESUME,   // a routine that tells what an interrupted download left
    PROFILE_DOWNLOAD, // RequestDownload
    PROFILE_TRANSFER, // TransferData until the end of the image
    PROFILE_RESTART,  // the request is repeated until the device answers
    PROFILE_VERIFY,   // ReadDataByIdentifier; by `kind` it is what it must be
    PROFILE_DELAY,    // `delay_ms`
    PROFILE_AGAIN,    // where an update that broke off is taken up again
} profile_verb_t;

/// What the content of a data identifier is.
typedef enum {
    PROFILE_HEX,
    PROFILE_TEXT,
    PROFILE_VERSION, // text; verify: the image's version
    PROFILE_PROJECT, // 01, and the image's project
    PROFILE_SLOTS,   // DID FD00 of docs/PROTOCOL.md
    PROFILE_RUNNING, // DID FD02; verify: the image's digest
    PROFILE_NEXT,    // DID FD03
} profile_kind_t;

typedef struct {
    profile_verb_t verb;
    bool optional;   // a negative response is no failure
    bool functional; // to all nodes
    unsigned line;   // of the text
    uint16_t did;
    profile_kind_t kind;
    uint8_t level;
    uint32_t delay_ms;
    uint16_t at, len;               // of its request, in profile_t.token
    uint16_t expect_at, expect_len; // of what is expected
} profile_step_t;

typedef struct {
    uint32_t id;
    bool given, ext;
} profile_id_t;

/// Invariant: the tokens of each step lie within `tokens`.
typedef struct {
    profile_id_t request, response, functional;
    uint32_t p2_ms, p2_star_ms; // until the device says others; 0: the standard's
    uint32_t margin_ms;
    uint32_t pending_limit_s;
    uint32_t present_ms; // 0: no TesterPresent
    uint32_t block_max;
    uint32_t block_retry;
    uint32_t request_retry;
    uint32_t rounds; // how often an update that broke off is taken up again
    uint32_t connect_s, reconnect_s, unlock_s, restart_s, confirm_s;
    uint32_t restart_delay_ms;
    uint32_t address;
    uint16_t result_did; // says why a download was refused; 0: none
    uint8_t tester[PROFILE_TESTER_LEN];
    uint8_t steps;
    uint16_t tokens;
    profile_step_t step[PROFILE_STEPS_MAX];
    uint16_t token[PROFILE_TOKENS_MAX]; // a byte, or 100 x kind + length of a placeholder, hex
} profile_t;

/// What placeholders stand for.
typedef struct {
    uint32_t address, size, crc32;
    uint8_t sha256[32];
    uint8_t date[PROFILE_DATE_LEN]; // BCD, YYMMDD
} profile_values_t;

/// Reads a profile. False: `error` holds one line, "NAME:LINE: what is wrong, what is expected".
bool profile_parse(profile_t *p, const char *name, const char *text, size_t len, char *error,
                   size_t cap);

/// The text of a built-in profile; NULL: no such one. profile_name(): all of them, then NULL.
const char *profile_builtin(const char *name);
const char *profile_name(unsigned i);

/// The bytes of a step's request, at most PROFILE_REQUEST_MAX. Returns how many; 0: it has
/// none, or an address or a size is too large for its placeholder.
uint32_t profile_expand(const profile_t *p, const profile_step_t *step,
                        const profile_values_t *values, uint8_t *out);

/// Does a response begin as the step expects? Always, if it expects nothing.
bool profile_expected(const profile_t *p, const profile_step_t *step, const uint8_t *response,
                      uint32_t len);

#endif
