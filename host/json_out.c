// json_out.c - writes JSON: see json_out.h.
// SPDX-License-Identifier: Apache-2.0
#include "json_out.h"

#include "utf8.h"

static void string(json_out_t *j, const char *text)
{
    fputc('"', j->out);
    for (size_t len = strlen(text); len > 0;) {
        const size_t n = utf8_next(text, len);
        const uint8_t c = (uint8_t)*text;
        if (n == 0)
            fputs("\\ufffd", j->out);
        else if (c == '"' || c == '\\')
            fprintf(j->out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            fprintf(j->out, "\\u%04x", c);
        else
            fwrite(text, 1, n, j->out);
        text += n ? n : 1;
        len -= n ? n : 1;
    }
    fputc('"', j->out);
}

static void begin(json_out_t *j, const char *key)
{
    if (j->comma) fputc(',', j->out);
    j->comma = true;
    if (!key) return;
    string(j, key);
    fputc(':', j->out);
}

void json_out_open(json_out_t *j, const char *key, char bracket)
{
    begin(j, key);
    fputc(bracket, j->out);
    j->comma = false;
}

void json_out_close(json_out_t *j, char bracket)
{
    fputc(bracket, j->out);
    j->comma = true;
}

void json_out_string(json_out_t *j, const char *key, const char *text)
{
    begin(j, key);
    if (text)
        string(j, text);
    else
        fputs("null", j->out);
}

void json_out_number(json_out_t *j, const char *key, int64_t v)
{
    begin(j, key);
    fprintf(j->out, "%lld", (long long)v);
}

void json_out_milli(json_out_t *j, const char *key, int64_t thousandths)
{
    const bool negative = thousandths < 0;
    const uint64_t v = negative ? 0 - (uint64_t)thousandths : (uint64_t)thousandths;
    begin(j, key);
    fprintf(j->out, "%s%llu.%03u", negative ? "-" : "", (unsigned long long)(v / 1000),
            (unsigned)(v % 1000));
}

void json_out_bool(json_out_t *j, const char *key, bool v)
{
    begin(j, key);
    fputs(v ? "true" : "false", j->out);
}

void json_out_hex(json_out_t *j, const char *key, const uint8_t *p, size_t len)
{
    begin(j, key);
    fputc('"', j->out);
    for (size_t i = 0; i < len; i++)
        fprintf(j->out, "%02x", p[i]);
    fputc('"', j->out);
}
