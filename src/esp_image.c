// esp_image.c - the incremental parser and verifier of ESP-IDF application images.
// SPDX-License-Identifier: Apache-2.0
//
// MAGIC     0xE9                  ->  HEADER
// HEADER    24 bytes              ->  SEGMENT, or CHECKSUM when there are no segments
// SEGMENT   8 bytes               ->  DATA
// DATA      as many as it said    ->  SEGMENT, or CHECKSUM after the last
// CHECKSUM  to a multiple of 16   ->  DIGEST if one is appended, else END
// DIGEST    32 bytes              ->  END
//
// Each state ends at the position `until`; input is cut there and at ESP_IMAGE_HEAD_LEN, so the
// checks run at the same positions however the bytes arrive. Beside the states, the first 288 bytes
// are looked through for the descriptor's fields. `pos` never passes `cap`, which is at most 16 MB:
// no sum of positions and lengths (each below 16 MB) can overflow.
#include "esp_image.h"
#include "esp_chip.h"

enum {
    CHECKSUM_SEED = 0xEF,
    SEGMENT_HEADER_LEN = 8,
    SEGMENT_LEN_MAX = 0x1000000, // ESP-IDF: a segment is shorter than that
    DIGEST_LEN = CRYPTO_SHA256_LEN,
    DESC_LEN = 256,
    VERSION_AT = ESP_IMAGE_DESC_AT + 16,
    PROJECT_AT = ESP_IMAGE_DESC_AT + 48,
    NAME_LEN = 32,
    LIMITS_AT = ESP_IMAGE_DESC_AT + 176,
    PAGE_64K = 0x10000,
    CHIP_ESP32 = 0,
};

static bool needs_desc(const esp_image_t *im)
{
    return im->cfg.strict || (im->segments > 0 && esp_chip_has_page_sizes(im->chip_id));
}

// --- Checks ---

static void fail(esp_image_t *im, esp_image_err_t err)
{
    if (!im->err) im->err = err;
}

static bool limit_set(uint16_t rev) { return rev != 0 && rev != 0xFFFF; }

/// The length of an image whose segments end at `end`.
static uint32_t whole_len(const esp_image_t *im, uint32_t end)
{
    const uint32_t checked = (end + 16) & ~UINT32_C(15); // room for at least the checksum byte
    return checked + (im->has_digest ? DIGEST_LEN : 0);
}

/// The MMU maps whole pages: data must lie in its page of flash where it will be seen in its page
/// of memory.
static void check_mapping(esp_image_t *im, const esp_image_segment_t *s, uint32_t data_at)
{
    const esp_chip_region_t region = esp_chip_region(im->chip_id, s->load);
    if (region != ESP_CHIP_DROM && region != ESP_CHIP_IROM) return;
    if (((im->cfg.at + data_at) ^ s->load) & (im->page - 1)) fail(im, ESP_IMAGE_ERR_SEGMENT);
}

/// Segments whose headers came before the page size was known.
static void check_mappings(esp_image_t *im)
{
    uint32_t at = ESP_IMAGE_HEADER_LEN;
    for (unsigned i = 0; i < im->seen; i++) {
        at += SEGMENT_HEADER_LEN;
        check_mapping(im, &im->segment[i], at);
        at += im->segment[i].len;
    }
}

/// Strict: loading this segment must not wrap around the address space nor overwrite another.
static void check_overlap(esp_image_t *im, const esp_image_segment_t *s)
{
    if (s->load == 0 || s->len == 0) return;
    if (s->len - 1 > UINT32_MAX - s->load) {
        fail(im, ESP_IMAGE_ERR_SEGMENT);
        return;
    }
    for (unsigned i = 0; i < im->seen; i++) {
        const esp_image_segment_t *o = &im->segment[i];
        if (o->load == 0 || o->len == 0) continue;
        const bool apart =
            (s->load > o->load) ? s->load - o->load >= o->len : o->load - s->load >= s->len;
        if (!apart) fail(im, ESP_IMAGE_ERR_SEGMENT);
    }
}

/// Strict: execution must begin inside the image, in memory that holds code.
static void check_entry(esp_image_t *im)
{
    const esp_chip_region_t region = esp_chip_region(im->chip_id, im->entry);
    const bool code = region == ESP_CHIP_IROM || region == ESP_CHIP_IRAM;
    if (code || !esp_chip_known(im->chip_id)) {
        for (unsigned i = 0; i < im->seen; i++) {
            const esp_image_segment_t *s = &im->segment[i];
            if (s->load != 0 && im->entry >= s->load && im->entry - s->load < s->len) return;
        }
    }
    fail(im, ESP_IMAGE_ERR_ENTRY);
}

// --- States ---

static void enter(esp_image_t *im, esp_image_state_t state, uint32_t until)
{
    im->state = state;
    im->until = until;
}

static void next_segment(esp_image_t *im)
{
    if (im->seen < im->segments) {
        enter(im, ESP_IMAGE_AT_SEGMENT, im->pos + SEGMENT_HEADER_LEN);
        return;
    }
    im->len = whole_len(im, im->pos);
    enter(im, ESP_IMAGE_AT_CHECKSUM, (im->pos + 16) & ~UINT32_C(15));
}

static void on_magic(esp_image_t *im)
{
    if (im->raw[0] != ESP_IMAGE_MAGIC) fail(im, ESP_IMAGE_ERR_MAGIC);
    enter(im, ESP_IMAGE_AT_HEADER, ESP_IMAGE_HEADER_LEN);
}

static void on_header(esp_image_t *im)
{
    const esp_image_cfg_t *cfg = &im->cfg;
    im->segments = im->raw[1];
    im->entry = load_le32(im->raw + 4);
    im->chip_id = load_le16(im->raw + 12);
    im->min_rev = load_le16(im->raw + 15);
    im->max_rev = load_le16(im->raw + 17);
    im->has_digest = im->raw[23] != 0;
    if (!esp_chip_has_page_sizes(im->chip_id)) im->page = PAGE_64K;

    if (cfg->chip_id != ESP_IMAGE_ANY_CHIP && cfg->chip_id != im->chip_id)
        fail(im, ESP_IMAGE_ERR_CHIP);
    if (cfg->chip_rev != ESP_IMAGE_ANY_REV) {
        if (cfg->chip_rev < im->min_rev) fail(im, ESP_IMAGE_ERR_CHIP_REV);
        if (limit_set(im->max_rev) && cfg->chip_rev > im->max_rev) fail(im, ESP_IMAGE_ERR_CHIP_REV);
    }
    if (im->segments > ESP_IMAGE_SEGMENTS_MAX) fail(im, ESP_IMAGE_ERR_SEGMENTS);
    if (cfg->strict && im->segments == 0) fail(im, ESP_IMAGE_ERR_SEGMENTS);
    // One flipped bit of this byte would otherwise switch the SHA-256 off.
    if (cfg->strict && im->raw[23] != 1) fail(im, ESP_IMAGE_ERR_NO_DIGEST);
    if (im->err) return;
    const uint32_t end = im->pos + im->segments * (uint32_t)SEGMENT_HEADER_LEN;
    if (whole_len(im, end) > cfg->cap) fail(im, ESP_IMAGE_ERR_TOO_LARGE);
    next_segment(im);
}

static void on_segment(esp_image_t *im)
{
    const esp_image_segment_t s = { load_le32(im->raw), load_le32(im->raw + 4) };
    if (s.len % 4 != 0 || s.len >= SEGMENT_LEN_MAX) {
        fail(im, ESP_IMAGE_ERR_SEGMENT);
        return;
    }
    if (im->page) check_mapping(im, &s, im->pos);
    if (im->cfg.strict) {
        if (im->seen == 0 && s.len < DESC_LEN) fail(im, ESP_IMAGE_ERR_DESC);
        check_overlap(im, &s);
    }
    im->segment[im->seen++] = s;

    const uint32_t left = im->segments - (uint32_t)im->seen;
    const uint32_t len = whole_len(im, im->pos + s.len + left * SEGMENT_HEADER_LEN);
    if (len > im->cfg.cap) fail(im, ESP_IMAGE_ERR_TOO_LARGE);
    if (im->cfg.strict && left == 0) check_entry(im);
    if (im->err) return;
    if (left == 0) im->len = len;
    enter(im, ESP_IMAGE_AT_DATA, im->pos + s.len);
}

/// All of the first 288 bytes are here. ESP-IDF takes the descriptor's place for granted, and reads
/// whatever lies there: page size and magic as soon as there is a segment, eFuse revisions once the
/// first one holds any data.
static void on_head(esp_image_t *im)
{
    im->has_desc = im->segments > 0 && load_le32(im->magic) == ESP_IMAGE_DESC_MAGIC;
    im->secure_version = load_le32(im->magic + 4);
    if (needs_desc(im) && !im->has_desc) fail(im, ESP_IMAGE_ERR_DESC);

    if (im->cfg.efuse_rev != ESP_IMAGE_ANY_REV && im->segment[0].len > 0 &&
        im->chip_id != CHIP_ESP32) {
        const uint16_t min = load_le16(im->limits);
        const uint16_t max = load_le16(im->limits + 2);
        if (limit_set(min) && im->cfg.efuse_rev < min) fail(im, ESP_IMAGE_ERR_CHIP_REV);
        if (limit_set(max) && im->cfg.efuse_rev > max) fail(im, ESP_IMAGE_ERR_CHIP_REV);
    }
    if (im->page == 0 && im->segments > 0) {
        const unsigned log2 = im->limits[4];
        if (log2 != 0 && (log2 < 13 || log2 > 16)) fail(im, ESP_IMAGE_ERR_DESC); // 8..64 KB exist
        im->page = (log2 >= 13 && log2 <= 16) ? UINT32_C(1) << log2 : PAGE_64K;
        check_mappings(im);
    }
}

static void on_checksum(esp_image_t *im, uint8_t stored)
{
    if (stored != im->checksum) fail(im, ESP_IMAGE_ERR_CHECKSUM);
    if (!im->has_digest) {
        enter(im, ESP_IMAGE_AT_END, UINT32_MAX);
        return;
    }
    enter(im, ESP_IMAGE_AT_DIGEST, im->pos + DIGEST_LEN);
    if (im->err || !im->crypto) return;
    if (!im->crypto->finish(im->crypto->ctx, im->raw)) fail(im, ESP_IMAGE_ERR_CRYPTO);
}

static void on_digest(esp_image_t *im)
{
    if (im->diff != 0) fail(im, ESP_IMAGE_ERR_DIGEST);
    enter(im, ESP_IMAGE_AT_END, UINT32_MAX);
}

// --- Bytes ---

/// Keeps what of the field [at, at + cap) lies in these bytes.
static void keep(const esp_image_t *im, const uint8_t *p, size_t len, uint32_t at, void *field,
                 size_t cap)
{
    const size_t skip = (at > im->pos) ? at - im->pos : 0;
    const size_t have = (im->pos > at) ? im->pos - at : 0;
    if (skip >= len || have >= cap) return;
    memcpy((uint8_t *)field + have, p + skip, smaller(len - skip, cap - have));
}

static void keep_head(esp_image_t *im, const uint8_t *p, size_t len)
{
    keep(im, p, len, ESP_IMAGE_DESC_AT, im->magic, sizeof im->magic);
    keep(im, p, len, VERSION_AT, im->version, NAME_LEN);
    keep(im, p, len, PROJECT_AT, im->project, NAME_LEN);
    keep(im, p, len, LIMITS_AT, im->limits, sizeof im->limits);
}

/// The digest covers everything up to and including the checksum. It starts late, because the
/// header says whether there is one.
static void hash(esp_image_t *im, const uint8_t *p, size_t len)
{
    if (!im->crypto || !im->has_digest || im->err) return;
    if (!im->crypto->update(im->crypto->ctx, p, len)) fail(im, ESP_IMAGE_ERR_CRYPTO);
}

static void hash_header(esp_image_t *im)
{
    if (!im->crypto || !im->has_digest || im->err) return;
    if (!im->crypto->start(im->crypto->ctx, CRYPTO_SHA256)) fail(im, ESP_IMAGE_ERR_CRYPTO);
    hash(im, im->raw, ESP_IMAGE_HEADER_LEN);
}

/// Takes bytes that belong to one state.
static void take(esp_image_t *im, const uint8_t *p, size_t len)
{
    if (im->pos < ESP_IMAGE_HEAD_LEN) keep_head(im, p, len);
    switch (im->state) {
    case ESP_IMAGE_AT_MAGIC:
    case ESP_IMAGE_AT_HEADER: keep(im, p, len, 0, im->raw, ESP_IMAGE_HEADER_LEN); break;
    case ESP_IMAGE_AT_SEGMENT:
        keep(im, p, len, im->until - SEGMENT_HEADER_LEN, im->raw, SEGMENT_HEADER_LEN);
        hash(im, p, len);
        break;
    case ESP_IMAGE_AT_DATA:
        for (size_t i = 0; i < len; i++)
            im->checksum ^= p[i];
        hash(im, p, len);
        break;
    case ESP_IMAGE_AT_CHECKSUM: hash(im, p, len); break;
    case ESP_IMAGE_AT_DIGEST: {
        const uint8_t *ours = im->raw + DIGEST_LEN - (im->until - im->pos);
        for (size_t i = 0; im->crypto && i < len; i++)
            im->diff |= (uint8_t)(p[i] ^ ours[i]);
        break;
    }
    case ESP_IMAGE_AT_END: break;
    }
    im->pos += (uint32_t)len;
}

/// The state has all its bytes, the last of which was `last`.
static void advance(esp_image_t *im, uint8_t last)
{
    switch (im->state) {
    case ESP_IMAGE_AT_MAGIC: on_magic(im); break;
    case ESP_IMAGE_AT_HEADER:
        on_header(im);
        hash_header(im);
        break;
    case ESP_IMAGE_AT_SEGMENT: on_segment(im); break;
    case ESP_IMAGE_AT_DATA: next_segment(im); break;
    case ESP_IMAGE_AT_CHECKSUM: on_checksum(im, last); break;
    case ESP_IMAGE_AT_DIGEST: on_digest(im); break;
    case ESP_IMAGE_AT_END: break;
    }
}

void esp_image_init(esp_image_t *im, const esp_image_cfg_t *cfg, const crypto_t *crypto)
{
    memset(im, 0, sizeof *im);
    im->cfg = *cfg;
    im->crypto = crypto;
    im->checksum = CHECKSUM_SEED;
    enter(im, ESP_IMAGE_AT_MAGIC, 1);
    if (cfg->cap > ESP_IMAGE_CAP_MAX) fail(im, ESP_IMAGE_ERR_SLOT);
}

esp_image_err_t esp_image_input(esp_image_t *im, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0 && !im->err) {
        if (im->pos == im->cfg.cap) {
            fail(im, ESP_IMAGE_ERR_TOO_LARGE);
            break;
        }
        const uint32_t end = (uint32_t)smaller(im->until, im->cfg.cap);
        size_t n = smaller(len, end - im->pos);
        if (im->pos < ESP_IMAGE_HEAD_LEN) n = smaller(n, ESP_IMAGE_HEAD_LEN - im->pos);
        take(im, p, n);
        p += n;
        len -= n;
        if (im->pos == ESP_IMAGE_HEAD_LEN) on_head(im);
        while (!im->err && im->pos == im->until)
            advance(im, p[-1]); // twice for a segment without data
    }
    return im->err;
}

bool esp_image_complete(const esp_image_t *im) { return im->state == ESP_IMAGE_AT_END && !im->err; }

int esp_image_read(esp_image_t *im, const flash_t *flash, uint8_t *buf, uint32_t cap)
{
    // To the end, and at least as far as the descriptor's place reaches.
    while (!im->err && (im->state != ESP_IMAGE_AT_END || im->pos < ESP_IMAGE_HEAD_LEN) &&
           im->pos < im->cfg.cap) {
        const uint32_t len = (uint32_t)smaller(cap, im->cfg.cap - im->pos);
        const int err = flash->read(flash->ctx, im->cfg.at + im->pos, buf, len);
        if (err) return err;
        (void)esp_image_input(im, buf, len);
    }
    return 0;
}

esp_image_err_t esp_image_finish(esp_image_t *im)
{
    if (im->err) return im->err;
    if (im->state != ESP_IMAGE_AT_END) {
        fail(im, ESP_IMAGE_ERR_TRUNCATED);
        return im->err;
    }
    if (needs_desc(im) && !im->has_desc) {
        fail(im, ESP_IMAGE_ERR_DESC);
        return im->err;
    }
    return ESP_IMAGE_OK;
}
