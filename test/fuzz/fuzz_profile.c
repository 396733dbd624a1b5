// fuzz_profile.c - a fuzzer of profiles: what is read can be sent, what is not gets one line that says where.
// SPDX-License-Identifier: Apache-2.0
//
// The input is the file.
//
// links: host/profile.c host/profile_text.c
// max_len: 3000
#include "fuzz.h"
#include "profile.h"
#include <string.h>

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

static void check_error(const char *error)
{
    must(strncmp(error, "file:", 5) == 0, "an error without the file's name");
    must(error[5] >= '0' && error[5] <= '9', "an error without a line");
    must(strlen(error) < 400 && !strchr(error, '\n'), "an error that is not one line");
    for (const char *p = error; *p; p++)
        must((unsigned char)*p >= 0x20, "a control character in an error");
}

static void check_step(const profile_t *p, const profile_step_t *s)
{
    static const profile_values_t values = { .address = 0x12345678, .size = 0xFFFFFFFF };
    static const profile_values_t small = { .address = 1, .size = 2 };
    uint8_t request[PROFILE_REQUEST_MAX];
    must(s->at <= p->tokens && s->len <= p->tokens - s->at, "a request outside of the tokens");
    must(s->expect_at <= p->tokens && s->expect_len <= p->tokens - s->expect_at,
         "an expectation outside of the tokens");
    must(profile_expand(p, s, &values, request) <= sizeof request, "too long a request");
    const uint32_t len = profile_expand(p, s, &small, request);
    must(len <= sizeof request, "too long a request");
    must((s->verb != PROFILE_REQUEST && s->verb != PROFILE_DOWNLOAD) || len > 0,
         "a request that cannot be sent");
    must(s->expect_len > 0 || profile_expected(p, s, request, len), "nothing is expected");
    (void)profile_expected(p, s, request, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static profile_t p;
    char error[400] = "";
    if (!profile_parse(&p, "file", (const char *)data, len, error, sizeof error)) {
        check_error(error);
        return 0;
    }
    must(p.steps > 0 && p.steps <= PROFILE_STEPS_MAX && p.tokens <= PROFILE_TOKENS_MAX,
         "counts out of range");
    bool transfers = false;
    for (unsigned i = 0; i < p.steps; i++) {
        check_step(&p, &p.step[i]);
        transfers = transfers || p.step[i].verb == PROFILE_TRANSFER;
    }
    must(transfers, "a profile without transfer");
    must(p.block_max >= 3, "blocks without room for data");
    return 0;
}
