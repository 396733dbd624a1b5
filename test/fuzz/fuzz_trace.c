// fuzz_trace.c - a fuzzer of recorded buses: what is read has words, what is not gets a reason; UDS messages as well.
// SPDX-License-Identifier: Apache-2.0
//
// The input is the file. Its bytes are one UDS message, too, for a buffer whose size is the first of them.
//
// links: host/bus_log_read.c host/trace.c host/uds_text.c host/uds_text_message.c host/escape.c host/utf8.c
// max_len: 2048
#include "bus_log_read.h"
#include "fuzz.h"
#include "trace.h"
#include "uds_text.h"
#include <stdlib.h>

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

static void check_text(const char *text)
{
    for (; *text; text++)
        must(*text >= 0x20 && *text < 0x7F, "a line that is not ASCII");
}

static void check_line(void *ctx, const trace_line_t *line)
{
    unsigned *lines = ctx;
    check_text(line->text);
    must(line->text[0] != '\0', "a line without text");
    must(line->held <= TRACE_HELD_MAX && line->held <= line->len,
         "more bytes than the message has");
    must(!line->response || line->kind == TRACE_MESSAGE, "a response that is no message");
    (*lines)++;
}

static void check_log(uint8_t *p, size_t len)
{
    bus_log_read_t log;
    can_frame_t frame;
    usec_t at = 0;
    unsigned lines = 0, frames = 0;
    char text[80];
    FILE *file = fmemopen(p, len, "r");
    trace_t *t = trace_new(check_line, &lines);
    must(file && t, "no memory");
    if (bus_log_read_file(&log, file, "log")) {
        while (bus_log_read(&log, &frame, &at)) {
            must(frame.id <= (frame.ext ? 0x1FFFFFFFU : 0x7FFU),
                 "an identifier that does not exist");
            must(frame.len <= (frame.fd ? 64 : 8), "a frame that is too long");
            must(frame.fd || (!frame.brs && !frame.esi), "flags of CAN FD in a classic frame");
            trace_input(t, &frame, at);
            (void)trace_frame(&frame, text, sizeof text);
            check_text(text);
            frames++;
        }
    } else {
        must(log.error[0] != '\0', "no reason given");
    }
    trace_end(t, at);
    must(lines <= 70 * (frames + 1), "lines out of nothing");
    must(strlen(log.error) < sizeof log.error, "an error without an end");
    bus_log_read_close(&log);
    trace_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    uint8_t *p = malloc(len); // fmemopen() wants to be able to write
    must(p != NULL, "no memory");
    memcpy(p, data, len);
    check_log(p, len);
    const size_t cap = 1 + (p[0] * 2U);
    char *text = malloc(cap);
    must(text != NULL, "no memory");
    must(uds_text_message(p + 1, len - 1, text, cap) == strlen(text), "a wrong length");
    check_text(text);
    (void)uds_text_response(p, len / 2, p + len / 2, len - len / 2, text, cap);
    check_text(text);
    (void)uds_text_data((uint16_t)(0xFD00 + p[0]), p + 1, len - 1, text, cap);
    check_text(text);
    free(text);
    free(p);
    return 0;
}
