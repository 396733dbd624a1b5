// json_out.h - writes JSON, valid whatever the strings hold.
// SPDX-License-Identifier: Apache-2.0
//
//     json_out_t json = { .out = stdout };
//     json_out_open(&json, NULL, '{');
//     json_out_string(&json, "version", image.version);
//     json_out_open(&json, "sizes", '[');
//     json_out_number(&json, NULL, 4096); // no key within a list
//     json_out_close(&json, ']');
//     json_out_close(&json, '}');
//
// Threads: none inside. Errors: the stream's, ferror() tells.
#ifndef JSON_OUT_H
#define JSON_OUT_H

#include "base.h"
#include <stdio.h>

typedef struct {
    FILE *out;
    bool comma; // private: something stands before the next value
} json_out_t;

void json_out_open(json_out_t *j, const char *key, char bracket);
void json_out_close(json_out_t *j, char bracket);

/// Bytes that are not UTF-8 become U+FFFD. NULL becomes null.
void json_out_string(json_out_t *j, const char *key, const char *text);
void json_out_number(json_out_t *j, const char *key, int64_t v);
/// Thousandths, written as a number with three decimals.
void json_out_milli(json_out_t *j, const char *key, int64_t thousandths);
void json_out_bool(json_out_t *j, const char *key, bool v);

/// Bytes as a string of hex digits.
void json_out_hex(json_out_t *j, const char *key, const uint8_t *p, size_t len);

#endif
