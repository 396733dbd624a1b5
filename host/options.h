// options.h - command lines: one table per command is its parser and its help.
// SPDX-License-Identifier: Apache-2.0
#ifndef OPTIONS_H
#define OPTIONS_H

#include "base.h"

#include <stdio.h>

typedef enum {
    OPTION_FLAG,    // bool: no argument
    OPTION_TEXT,    // const char *
    OPTION_NUMBER,  // uint32_t, decimal or 0x hex, min..max
    OPTION_REAL,    // double, 0 or more
    OPTION_CAN_ID,  // options_can_id_t: hex, 8 digits are a 29-bit identifier (as in can-utils)
    OPTION_BYTE,    // options_byte_t: hex 00..FF
    OPTION_HEADING, // help only
} option_kind_t;

typedef struct {
    uint32_t id;
    bool ext;
} options_can_id_t;

typedef struct {
    bool given;
    uint8_t value;
} options_byte_t;

typedef struct {
    option_kind_t kind;
    char letter;          // 0: none
    const char *name;     // without the dashes; OPTION_HEADING: the heading
    const char *argument; // what the help calls the argument
    void *value;          // where it goes, of the type that kind names
    const char *help;
    uint32_t min, max; // OPTION_NUMBER; both 0: any
} option_t;

typedef enum { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG } options_result_t;

/// Parses argv[1..] by the table of `count` options; what is not an option must be exactly the words
/// that `wanted` names, "INTERFACE FILE" or "", and goes to `words`. If "..." is the last of them, any
/// number may follow; `words` then holds `argc` of them and ends with NULL. OPTIONS_WRONG: `error` holds
/// one line. --help is always known.
options_result_t options_parse(const option_t *options, size_t count, int argc, char **argv,
                               const char **words, const char *wanted, char *error, size_t cap);

/// Prints the table, two columns, at most 100 wide.
void options_help(FILE *out, const option_t *options, size_t count);

#endif
