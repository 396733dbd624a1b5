// esp_parts.c - a hash, a flash and an image: see esp_parts.h.
// SPDX-License-Identifier: Apache-2.0
#include "esp_parts.h"

#include "crypto_psa.h"
#include "esp_image.h"
#include "fuzz.h"

const crypto_t *fuzz_crypto(void)
{
    static crypto_psa_t psa;
    static crypto_t crypto;
    if (!crypto.start && !crypto_psa_init(&psa, &crypto)) fuzz_fail("no hash library");
    return &crypto;
}

// --- Flash ---

enum { PAGE = 256, NO_POWER = 0x4F };

static bool inside(const fuzz_flash_t *f, uint32_t at, uint32_t len)
{
    return at <= f->flash.size && len <= f->flash.size - at;
}

static int flash_read(void *ctx, uint32_t at, void *p, uint32_t len)
{
    const fuzz_flash_t *f = ctx;
    if (!inside(f, at, len)) fuzz_fail("a read outside the flash");
    if (f->dead) return NO_POWER;
    memcpy(p, f->mem + at, len);
    return 0;
}

/// Makes the bytes what `p` says, or 0xFF without it; in part if power is lost here.
static int change(fuzz_flash_t *f, uint32_t at, const uint8_t *p, uint32_t len)
{
    f->changes++;
    const bool last = f->left > 0 && --f->left == 0;
    uint32_t chance = f->chance;
    for (uint32_t i = 0; i < len; i++) {
        const uint8_t target = p ? p[i] : 0xFF;
        const uint8_t mask = last ? (uint8_t)(chance >> 24) : 0xFF;
        f->mem[at + i] = (uint8_t)((f->mem[at + i] & ~mask) | (target & mask));
        // 0 and 0xFF stay: nothing of it was done, or all.
        if (f->chance != 0 && f->chance != UINT32_MAX) chance = chance * 1664525 + 1013904223;
    }
    f->dead = f->dead || (last && !f->survives);
    return last ? NO_POWER : 0;
}

static int flash_prog(void *ctx, uint32_t at, const void *p, uint32_t len)
{
    fuzz_flash_t *f = ctx;
    if (!inside(f, at, len) || len == 0) fuzz_fail("a program outside the flash");
    if (at % FLASH_UNIT != 0 || len % FLASH_UNIT != 0) fuzz_fail("a program not of units");
    if (at / PAGE != (at + len - 1) / PAGE) fuzz_fail("a program across a page");
    if (f->dead) return NO_POWER;
    if (!flash_is_blank(f->mem + at, len)) fuzz_fail("a program over data");
    return change(f, at, p, len);
}

static int flash_erase(void *ctx, uint32_t at)
{
    fuzz_flash_t *f = ctx;
    if (!inside(f, at, f->flash.sector_size)) fuzz_fail("an erase outside the flash");
    if (at % f->flash.sector_size != 0) fuzz_fail("an erase inside a sector");
    return f->dead ? NO_POWER : change(f, at, NULL, f->flash.sector_size);
}

void fuzz_flash_init(fuzz_flash_t *f, uint8_t *mem, uint32_t size, uint32_t sector_size)
{
    *f = (fuzz_flash_t){ .flash = { .ctx = f,
                                    .size = size,
                                    .sector_size = sector_size,
                                    .read = flash_read,
                                    .prog = flash_prog,
                                    .erase = flash_erase } };
    f->mem = mem;
}

void fuzz_cut(fuzz_flash_t *f, unsigned n, uint32_t chance)
{
    f->left = n;
    f->chance = chance;
}

void fuzz_power_on(fuzz_flash_t *f)
{
    f->changes = f->left = 0;
    f->dead = f->survives = false;
}

// --- Image ---

uint32_t fuzz_image_repair(uint8_t *image, uint32_t cap)
{
    const crypto_t *crypto = fuzz_crypto();
    uint8_t sum = 0xEF;
    uint32_t at = ESP_IMAGE_HEADER_LEN;
    if (at > cap) return 0;
    for (unsigned i = 0; i < image[1]; i++) {
        if (cap - at < 8) return 0;
        const uint32_t len = load_le32(image + at + 4);
        at += 8;
        if (len > cap - at) return 0;
        for (uint32_t k = 0; k < len; k++)
            sum ^= image[at + k];
        at += len;
    }
    const uint32_t digest_at = (at | 15) + 1;
    const uint32_t digest_len = image[23] ? CRYPTO_SHA256_LEN : 0;
    if (digest_at > cap || digest_len > cap - digest_at) return 0;
    memset(image + at, 0, digest_at - at);
    image[digest_at - 1] = sum;
    if (digest_len > 0 && !(crypto->start(crypto->ctx, CRYPTO_SHA256) &&
                            crypto->update(crypto->ctx, image, digest_at) &&
                            crypto->finish(crypto->ctx, image + digest_at)))
        fuzz_fail("the hash library");
    return digest_at + digest_len;
}

void fuzz_image(uint8_t image[FUZZ_IMAGE_LEN], uint8_t id)
{
    memset(image, 0, FUZZ_IMAGE_LEN);
    image[0] = ESP_IMAGE_MAGIC;
    image[1] = 2;
    store_le32(image + 4, 0x40380000); // the second segment, code
    store_le16(image + 12, 5);
    image[23] = 1;
    store_le32(image + 24, 0x3FC80000); // RAM: an address in flash would have to fit the slot's
    store_le32(image + 28, 256);
    store_le32(image + 32, 0xABCD5432);
    image[48] = id;
    store_le32(image + 288, 0x40380000);
    store_le32(image + 292, 64);
    if (fuzz_image_repair(image, FUZZ_IMAGE_LEN) != FUZZ_IMAGE_LEN) fuzz_fail("FUZZ_IMAGE_LEN");
}
