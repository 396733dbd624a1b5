// fuzz_image.c - a fuzzer of application images: any bytes in any pieces, judged a second time here, all at once.
// SPDX-License-Identifier: Apache-2.0
//
// The first 8 bytes say for which chip, how large the slot is and where the pieces end; the others are the image, whose
// checksum and digest are put right on demand.
//
// links: test/fuzz/esp_parts.c ports/psa/crypto_psa.c
// max_len: 1024
#include "esp_chip.h"
#include "esp_image.h"
#include "esp_parts.h"
#include "fuzz.h"

enum { CAP_MAX = 4096 };

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

typedef struct {
    uint32_t load, len, at; // `at`: where its data lies in the image
} piece_t;

static bool limits_hold(uint32_t rev, uint32_t min, uint32_t max)
{
    return rev >= min && (max == 0 || max == 0xFFFF || rev <= max);
}

static bool mapped_right(const esp_image_cfg_t *cfg, uint16_t chip, uint32_t page, const piece_t *s)
{
    const esp_chip_region_t region = esp_chip_region(chip, s->load);
    return (region != ESP_CHIP_DROM && region != ESP_CHIP_IROM) ||
           (cfg->at + s->at) % page == s->load % page;
}

static bool loads_right(uint16_t chip, uint32_t entry, const piece_t *s, unsigned count)
{
    const esp_chip_region_t region = esp_chip_region(chip, entry);
    bool starts = false;
    for (unsigned i = 0; i < count; i++) {
        if (s[i].load == 0) continue;
        const uint64_t end = (uint64_t)s[i].load + s[i].len;
        if (end > UINT64_C(0x100000000)) return false;
        starts = starts || (entry >= s[i].load && entry < end);
        for (unsigned k = 0; k < i; k++) {
            if (s[k].load == 0 || s[i].len == 0 || s[k].len == 0) continue;
            if (end > s[k].load && (uint64_t)s[k].load + s[k].len > s[i].load) return false;
        }
    }
    const bool code = region == ESP_CHIP_IROM || region == ESP_CHIP_IRAM;
    return starts && (code || !esp_chip_known(chip));
}

static bool sums_right(const uint8_t *p, uint32_t len, uint32_t end, const piece_t *s,
                       unsigned count, bool hash)
{
    const crypto_t *crypto = fuzz_crypto();
    uint8_t sum = 0xEF, digest[CRYPTO_SHA256_LEN];
    for (unsigned i = 0; i < count; i++)
        for (uint32_t k = 0; k < s[i].len; k++)
            sum ^= p[s[i].at + k];
    if (p[end - 1] != sum) return false;
    if (end == len || !hash) return true;
    must(crypto->start(crypto->ctx, CRYPTO_SHA256) && crypto->update(crypto->ctx, p, end) &&
             crypto->finish(crypto->ctx, digest),
         "the hash library");
    return memcmp(digest, p + end, sizeof digest) == 0;
}

/// The length of the image in these `n` bytes if it is right, else 0. Everything that follows from
/// the bytes is asked here in any order, not as they arrive.
static uint32_t judge(const esp_image_cfg_t *cfg, const uint8_t *p, uint32_t n, bool hash)
{
    piece_t s[ESP_IMAGE_SEGMENTS_MAX] = { { 0, 0, 0 } };
    if (cfg->cap > ESP_IMAGE_CAP_MAX || n > cfg->cap || n < 24 || p[0] != 0xE9) return 0;
    const uint16_t chip = load_le16(p + 12);
    const unsigned count = p[1];
    if (cfg->chip_id != 0xFFFF && cfg->chip_id != chip) return 0;
    if (cfg->chip_rev != 0xFFFF &&
        !limits_hold(cfg->chip_rev, load_le16(p + 15), load_le16(p + 17)))
        return 0;
    if (count > ESP_IMAGE_SEGMENTS_MAX) return 0;
    if (cfg->strict && (count == 0 || p[23] != 1)) return 0;

    uint32_t at = 24;
    for (unsigned i = 0; i < count; i++) {
        if (n - at < 8) return 0;
        s[i] = (piece_t){ load_le32(p + at), load_le32(p + at + 4), at + 8 };
        at += 8;
        if (s[i].len % 4 != 0 || s[i].len > n - at) return 0;
        at += s[i].len;
    }
    const uint32_t end = (at | 15) + 1;
    const uint32_t len = end + (p[23] ? CRYPTO_SHA256_LEN : 0);
    if (len > n) return 0;

    const bool pages = count > 0 && esp_chip_has_page_sizes(chip);
    const bool desc = count > 0 && n >= 288 && load_le32(p + 32) == 0xABCD5432;
    if ((cfg->strict || pages) && !desc) return 0;
    if (cfg->strict && s[0].len < 256) return 0;
    uint32_t page = 0x10000;
    if (pages && p[212] != 0) {
        if (p[212] < 13 || p[212] > 16) return 0;
        page = UINT32_C(1) << p[212];
    }
    for (unsigned i = 0; i < count; i++)
        if (!mapped_right(cfg, chip, page, &s[i])) return 0;
    if (count > 0 && s[0].len > 0 && n >= 288 && chip != 0 && cfg->efuse_rev != 0xFFFF) {
        const uint16_t min = load_le16(p + 208);
        if (!limits_hold(cfg->efuse_rev, (min == 0xFFFF) ? 0 : min, load_le16(p + 210))) return 0;
    }
    if (cfg->strict && !loads_right(chip, load_le32(p + 4), s, count)) return 0;
    return sums_right(p, len, end, s, count, hash) ? len : 0;
}

static void check_same(const esp_image_t *a, const esp_image_t *b)
{
    must(a->err == b->err, "the verdict depends on the pieces");
    must(a->pos == b->pos && a->len == b->len && a->seen == b->seen, "another position");
    must(a->segments == b->segments && a->entry == b->entry && a->chip_id == b->chip_id &&
             a->min_rev == b->min_rev && a->max_rev == b->max_rev && a->has_digest == b->has_digest,
         "another header");
    must(a->has_desc == b->has_desc && a->secure_version == b->secure_version &&
             memcmp(a->version, b->version, sizeof a->version) == 0 &&
             memcmp(a->project, b->project, sizeof a->project) == 0,
         "another descriptor");
    must(memcmp(a->segment, b->segment, a->seen * sizeof a->segment[0]) == 0, "other segments");
}

static esp_image_err_t run(esp_image_t *im, const esp_image_cfg_t *cfg, const crypto_t *crypto,
                           const uint8_t *p, uint32_t n, uint32_t pieces)
{
    esp_image_init(im, cfg, crypto);
    for (uint32_t at = 0; at < n;) {
        // Bits of `pieces`, again and again: 1 byte, or more.
        const uint32_t most = (pieces & 1) ? 1 + (pieces >> 1) % 61 : n;
        const uint32_t len = (uint32_t)smaller(n - at, most);
        (void)esp_image_input(im, p + at, len);
        at += len;
        pieces = pieces >> 1 | pieces << 31;
        if (most == n) break;
    }
    return esp_image_finish(im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t image[CAP_MAX];
    fuzz_bytes_t in = { data, data + len };
    const uint8_t how = fuzz_byte(&in);
    const uint8_t chip = fuzz_byte(&in);
    static const uint16_t chips[] = { 5, 0, 13, ESP_IMAGE_ANY_CHIP };
    static const uint32_t places[] = { 0x20000, 0x320000, 0x8000, 0x12340 };
    const uint16_t chip_rev = (chip & 4) ? ESP_IMAGE_ANY_REV : fuzz_byte(&in);
    const uint16_t efuse_rev = (chip & 8) ? ESP_IMAGE_ANY_REV : fuzz_byte(&in);
    const uint8_t room = fuzz_byte(&in);
    const uint32_t pieces = fuzz_u32(&in) | 1;

    // The image, and blank flash behind it.
    memset(image, 0xFF, sizeof image);
    memcpy(image, in.at, smaller((size_t)(in.end - in.at), sizeof image));
    uint32_t n = (uint32_t)smaller((size_t)(in.end - in.at), sizeof image);
    if (how & 2) n = (uint32_t)smaller(n + 512, sizeof image);
    if (how & 1) {
        const uint32_t whole = fuzz_image_repair(image, sizeof image);
        if (whole > n || ((how & 4) && whole > 0)) n = whole;
    }
    const esp_image_cfg_t equal = {
        .chip_id = chips[chip % 4],
        .chip_rev = chip_rev,
        .efuse_rev = efuse_rev,
        .at = places[chip / 16 % 4],
        .cap = (room < 0x80)    ? 0x300000
               : (room == 0xFF) ? ESP_IMAGE_CAP_MAX + 1
                                : n + room - 0xA0,
    };
    esp_image_cfg_t strict = equal;
    strict.strict = true;
    const crypto_t *crypto = (how & 0x18) ? fuzz_crypto() : NULL;

    bool accepted = false;
    for (unsigned k = 0; k < 2; k++) {
        const esp_image_cfg_t *cfg = k ? &equal : &strict;
        esp_image_t whole, cut;
        const esp_image_err_t err = run(&whole, cfg, crypto, image, n, 0);
        (void)run(&cut, cfg, crypto, image, n, pieces);
        check_same(&whole, &cut);
        must(esp_image_complete(&whole) || err != ESP_IMAGE_OK, "right, and not complete");
        const uint32_t want = judge(cfg, image, n, crypto != NULL);
        must((err == ESP_IMAGE_OK) == (want != 0), want ? "a right image is refused" : "accepted");
        if (want != 0) must(whole.len == want, "another length");
        accepted = accepted || (k == 0 && want != 0);
        must(!(accepted && err != ESP_IMAGE_OK), "strict accepts what ESP-IDF would not");
    }
    return 0;
}
