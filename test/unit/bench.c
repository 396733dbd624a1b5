// bench.c - a device for tests: see bench.h.
// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "image_build.h"
#include "vectors.h"
#include <cmocka.h>

static uint32_t place(int slot) { return (uint32_t)(slot + 1) * BENCH_SLOT_STEP + 0x10000; }

void bench_open(bench_t *b, unsigned slots, bool factory)
{
    memset(b, 0, sizeof *b);
    sim_flash_open(&b->nor, place((int)slots), BENCH_SECTOR);
    uint64_t chance = 1;
    for (uint32_t i = 0; i < b->nor.flash.size; i++)
        b->nor.mem[i] = (uint8_t)vector_random(&chance, 256);
    b->layout.otadata_at = BENCH_OTADATA;
    b->layout.slots = slots;
    for (int i = 0; i < (int)slots; i++)
        b->layout.slot[i] = (esp_extent_t){ place(i), BENCH_SLOT };
    if (factory) b->layout.factory = (esp_extent_t){ place(OTA_FACTORY), BENCH_SLOT };
    b->cfg = (ota_cfg_t){ .flash = &b->nor.flash,
                          .crypto = vector_crypto(),
                          .layout = &b->layout,
                          .running = OTA_NOTHING,
                          .chip_id = 5,
                          .chip_rev = 3,
                          .efuse_rev = 100 };
    for (int i = factory ? OTA_FACTORY : 0; i < (int)slots; i++)
        bench_put(b, i, NULL, 0);
    bench_wipe(b);
}

void bench_close(bench_t *b)
{
    assert_string_equal(b->nor.flaw, "");
    sim_flash_close(&b->nor);
}

uint8_t *bench_otadata(const bench_t *b, int sector)
{
    return b->nor.mem + BENCH_OTADATA + sector * BENCH_SECTOR;
}

uint8_t *bench_slot(const bench_t *b, int slot) { return b->nor.mem + place(slot); }

void bench_put(bench_t *b, int slot, const void *image, size_t len)
{
    assert_true(len <= BENCH_SLOT);
    memset(bench_slot(b, slot), 0xFF, BENCH_SLOT);
    if (len) memcpy(bench_slot(b, slot), image, len);
    sim_flash_touch(&b->nor, place(slot), BENCH_SLOT);
}

/// Bit by bit and apart from src/crc32.c, so that both must be wrong to agree on a mistake.
static uint32_t crc_of_seq(uint32_t seq)
{
    uint32_t crc = seq;
    for (int i = 0; i < 32; i++)
        crc = (crc & 1) ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    return ~crc;
}

void bench_esp_record(bench_t *b, int sector, uint32_t seq, uint32_t state)
{
    uint8_t *p = bench_otadata(b, sector);
    memset(p, 0xFF, BENCH_SECTOR);
    sim_flash_touch(&b->nor, BENCH_OTADATA + (uint32_t)sector * BENCH_SECTOR, BENCH_SECTOR);
    store_le32(p, seq);
    store_le32(p + 24, state);
    store_le32(p + 28, crc_of_seq(seq));
}

static void put_mark(bench_t *b, int sector, uint32_t at, const char *text, uint32_t seq)
{
    memcpy(bench_otadata(b, sector) + at, text, FLASH_UNIT);
    store_le32(bench_otadata(b, sector) + at, seq);
}

void bench_record(bench_t *b, int sector, uint32_t seq, uint32_t state)
{
    bench_esp_record(b, sector, seq, state);
    put_mark(b, sector, BENCH_COMPLETE, "....?is complete", seq);
    bench_otadata(b, sector)[BENCH_COMPLETE + 4] = (uint8_t)~state;
}

void bench_confirm(bench_t *b, int sector, uint32_t seq)
{
    put_mark(b, sector, BENCH_CONFIRMED, "....is confirmed", seq);
}

void bench_wipe(bench_t *b)
{
    memset(bench_otadata(b, 0), 0xFF, 2 * BENCH_SECTOR);
    sim_flash_touch(&b->nor, BENCH_OTADATA, 2 * BENCH_SECTOR);
    for (int i = 0; i < 2; i++)
        put_mark(b, i, BENCH_WIPED, "....is all blank", 0);
}

int bench_boot(bench_t *b)
{
    sim_flash_power_on(&b->nor);
    ota_boot_choose(&b->boot, &b->cfg);
    b->cfg.running = b->boot.slot;
    return b->boot.slot;
}

const char *bench_records(const bench_t *b)
{
    static const char *const NAME[] = { "NEW", "PENDING", "VALID", "INVALID", "ABORTED" };
    static char text[80];
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        const uint8_t *p = bench_otadata(b, i);
        const uint32_t seq = load_le32(p);
        const uint32_t state = load_le32(p + 24);
        const char *gap = i ? " " : "";
        if (seq == UINT32_MAX || load_le32(p + 28) != crc_of_seq(seq)) {
            at += (size_t)snprintf(text + at, sizeof text - at, "%s-", gap);
            continue;
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%u:%s", gap, (unsigned)seq,
                               state < 5             ? NAME[state]
                               : state == UINT32_MAX ? "UNDEF"
                                                     : "?");
        unsigned marks = 0;
        while (marks < OTA_STARTS_MAX && p[BENCH_STARTS + marks * FLASH_UNIT] != 0xFF)
            marks++;
        if (marks) at += (size_t)snprintf(text + at, sizeof text - at, "+%u", marks);
        if (p[BENCH_CONFIRMED] != 0xFF) at += (size_t)snprintf(text + at, sizeof text - at, "!");
    }
    return text;
}

uint8_t *bench_image(const char *version, bool tiny, size_t *len)
{
    image_spec_t spec = image_spec();
    spec.version = version;
    if (!tiny) {
        spec.segment[0].len = 0x1100;
        spec.segment[1].len = 0x1204;
        for (const char *p = version; *p; p++)
            spec.fill = spec.fill * 31 + (uint8_t)*p;
    }
    uint8_t *image = malloc(IMAGE_BUILD_CAP);
    assert_non_null(image);
    *len = image_build(&spec, image);
    assert_true(*len > 0);
    return image;
}
