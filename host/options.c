// options.c - command lines from tables: see options.h.
// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

enum { OPTIONS_MAX = 40, HELP_COLUMN = 30 };

static bool parse_number(const char *text, int base, uint64_t max, uint64_t *out)
{
    char *end;
    if (text[0] == '\0' || text[0] == '-' || text[0] == '+' || text[0] == ' ') return false;
    errno = 0;
    *out = strtoull(text, &end, base);
    return errno == 0 && *end == '\0' && *out <= max;
}

static const char *store_can_id(const char *text, options_can_id_t *out)
{
    uint64_t id;
    out->ext = strlen(text) == 8;
    const bool hex_digits_only = text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
    if (!hex_digits_only || !parse_number(text, 16, out->ext ? 0x1FFFFFFF : 0x7FF, &id))
        return "is not a CAN identifier (hex without 0x: 7E0, or 8 digits for 29 bit: 18DA10F1)";
    out->id = (uint32_t)id;
    return NULL;
}

static const char *store_real(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return (end == text || *end != '\0' || !(*out >= 0 && *out <= 1e6))
               ? "is not a number from 0 to 1000000"
               : NULL;
}

// NULL, or what is wrong with the argument.
static const char *store(const option_t *o, const char *text)
{
    static char range[64];
    uint64_t number;
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)o->value = true; return NULL;
    case OPTION_TEXT: *(const char **)o->value = text; return NULL;
    case OPTION_CAN_ID: return store_can_id(text, o->value);
    case OPTION_REAL: return store_real(text, o->value);
    case OPTION_BYTE:
        if (!parse_number(text, 16, 0xFF, &number)) return "is not a byte in hex (00..FF)";
        *(options_byte_t *)o->value = (options_byte_t){ .given = true, .value = (uint8_t)number };
        return NULL;
    case OPTION_NUMBER: {
        const uint32_t max = (o->min || o->max) ? o->max : UINT32_MAX;
        if (!parse_number(text, 0, max, &number) || number < o->min) {
            snprintf(range, sizeof range, "is not a number from %u to %u", o->min, max);
            return range;
        }
        *(uint32_t *)o->value = (uint32_t)number;
        return NULL;
    }
    case OPTION_HEADING: break;
    }
    return "cannot be given";
}

// `given` ends with NULL.
static options_result_t take_words(char **given, const char **words, const char *wanted,
                                   char *error, size_t cap)
{
    while (*wanted && *given && strcmp(wanted, "...") != 0) {
        *words++ = *given++;
        wanted += strcspn(wanted, " ");
        wanted += strspn(wanted, " ");
    }
    if (strcmp(wanted, "...") == 0) {
        while ((*words++ = *given++) != NULL) {
        }
        return OPTIONS_OK;
    }
    if (!*wanted && !*given) return OPTIONS_OK;
    if (*wanted)
        snprintf(error, cap, "%.*s is missing", (int)strcspn(wanted, " "), wanted);
    else
        snprintf(error, cap, "'%s' is one argument too many", *given);
    return OPTIONS_WRONG;
}

options_result_t options_parse(const option_t *options, size_t count, int argc, char **argv,
                               const char **words, const char *wanted, char *error, size_t cap)
{
    enum { HELP = 'h', FIRST = 256 };
    struct option table[OPTIONS_MAX + 2] = { { 0 } };
    char letters[2 * OPTIONS_MAX + 3] = ":h";
    size_t rows = 0, letters_len = 2;
    ASSERT(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        const option_t *o = &options[i];
        if (o->kind == OPTION_HEADING) continue;
        const bool argument = o->kind != OPTION_FLAG;
        table[rows++] = (struct option){ o->name, argument ? required_argument : no_argument, NULL,
                                         FIRST + (int)i };
        if (o->letter) letters[letters_len++] = o->letter;
        if (o->letter && argument) letters[letters_len++] = ':';
    }
    table[rows++] = (struct option){ "help", no_argument, NULL, HELP };
    letters[letters_len] = '\0';
    opterr = 0;
    optind = 1;
    int c;
    while ((c = getopt_long(argc, argv, letters, table, NULL)) != -1) {
        if (c == HELP) return OPTIONS_HELP;
        const char *given = argv[optind - 1];
        if (c == ':') {
            snprintf(error, cap, "%s needs an argument", given);
            return OPTIONS_WRONG;
        }
        if (c == '?') {
            if (optopt && optopt < FIRST)
                snprintf(error, cap, "unknown option -%c", optopt);
            else
                snprintf(error, cap, "unknown, ambiguous or misused option %s", given);
            return OPTIONS_WRONG;
        }
        const option_t *o = NULL;
        for (size_t i = 0; i < count && !o; i++)
            if (c == FIRST + (int)i || (options[i].letter && c == options[i].letter))
                o = &options[i];
        ASSERT(o != NULL); // getopt_long() found it in this very table
        const char *wrong = store(o, optarg);
        if (wrong) {
            snprintf(error, cap, "--%s: '%s' %s", o->name, optarg, wrong);
            return OPTIONS_WRONG;
        }
    }
    return take_words(argv + optind, words, wanted, error, cap);
}

void options_help(FILE *out, const option_t *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const option_t *o = &options[i];
        if (o->kind == OPTION_HEADING) {
            fprintf(out, "\n%s:\n", o->name);
            continue;
        }
        char left[80];
        const char letter[] = { '-', o->letter, ',', ' ', '\0' };
        const int len = snprintf(left, sizeof left, "  %s--%s%s%s", o->letter ? letter : "    ",
                                 o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        fprintf(out, "%-*s", HELP_COLUMN, left);
        if (len >= HELP_COLUMN) fprintf(out, "\n%*s", HELP_COLUMN, "");
        for (const char *p = o->help; *p; p++) {
            putc(*p, out);
            if (*p == '\n') fprintf(out, "%*s", HELP_COLUMN, "");
        }
        putc('\n', out);
    }
    fprintf(out, "  -h, --help%*sthis text\n", HELP_COLUMN - 12, "");
}
