// sim_flash_text.c - what has a name: kinds of flash, faults. See sim_flash.h.
// SPDX-License-Identifier: Apache-2.0
#include "sim_flash.h"

// W25Q, GD25Q, MT25Q: a part of a page takes as long as all of it. STM32: words of 8, 4 and 32 bytes.
// Sources: the vendors' data sheets; the H7's typical erase is a guess, half of the maximum.
static const sim_flash_type_t TYPES[] = {
    { "w25q", 4096, 256, 45000, 400000, 400, 3000, 20, 100000 },
    { "gd25q", 4096, 256, 50000, 400000, 600, 2400, 20, 100000 },
    { "mt25q", 4096, 256, 50000, 400000, 150, 1800, 20, 100000 },
    { "stm32l4", 2048, 8, 22000, 24500, 82, 91, 1, 10000 },
    { "stm32f4", 16384, 4, 250000, 500000, 16, 100, 1, 10000 },
    { "stm32h7", 131072, 32, 2000000, 4000000, 100, 300, 1, 10000 },
};

const sim_flash_type_t *sim_flash_type(const char *name)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++)
        if (strcmp(TYPES[i].name, name) == 0) return &TYPES[i];
    return NULL;
}

static const char LETTER[] = "btoxa"; // in the order of sim_flash_effect_t

char *sim_flash_fault_text(const sim_flash_fault_t *fault, char text[32])
{
    const int len = snprintf(text, 32, "%u%c", fault->n, LETTER[fault->effect]);
    if (fault->effect != SIM_FLASH_NOTHING && fault->effect != SIM_FLASH_DONE)
        snprintf(text + len, (size_t)(32 - len), "%llu", (unsigned long long)fault->seed);
    return text;
}

// A number in decimal digits, at most `max`. Returns what is behind it, NULL if there is none.
static const char *parse_number(const char *p, uint64_t max, uint64_t *out)
{
    const char *const start = p;
    for (*out = 0; *p >= '0' && *p <= '9'; p++) {
        const uint64_t digit = (uint64_t)(*p - '0');
        if (*out > (max - digit) / 10) return NULL;
        *out = *out * 10 + digit;
    }
    return p > start ? p : NULL;
}

const char *sim_flash_fault_parse(const char *text, sim_flash_fault_t *out)
{
    uint64_t n;
    const char *p = parse_number(text, UINT32_MAX, &n);
    const char *letter = (p && *p) ? strchr(LETTER, *p) : NULL;
    if (!letter || n == 0) return NULL;
    *out = (sim_flash_fault_t){ .n = (unsigned)n, .effect = (sim_flash_effect_t)(letter - LETTER) };
    if (*p == 'b' || *p == 'a') return p + 1;
    return parse_number(p + 1, UINT64_MAX, &out->seed);
}
