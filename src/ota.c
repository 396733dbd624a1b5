// ota.c - the update engine: see ota.h.
// SPDX-License-Identifier: Apache-2.0
//
//   IDLE, any  begin     ->  OPEN      nothing touched
//   OPEN       write     ->  OPEN      bytes go through the parser, then to buf
//   OPEN       step      ->  OPEN      retire the record; then a full page, or its sector
//   OPEN       finish    ->  FLUSHING  if the image is complete
//   FLUSHING   step      ->  FLUSHING  the same, the last page padded with 0xFF
//                        ->  READBACK  all written
//   READBACK   step      ->  READBACK  512 bytes through the parser and SHA-256
//                        ->  VERIFIED  the parser says so
//   VERIFIED   activate  ->  IDLE      one new boot record
//   any        error     ->  FAILED    the first error is kept
//
// Order on flash: the target's boot record goes first, so that no moment exists in which a record
// speaks for a slot with changing content; the new record comes last, after the whole image was
// read back.
#include "ota.h"

#include "ota_select.h"

static esp_extent_t target(const ota_t *o) { return o->cfg->layout->slot[o->slot]; }

static ota_err_t fail(ota_t *o, ota_err_t err)
{
    if (o->phase != OTA_FAILED) {
        o->phase = OTA_FAILED;
        o->err = err;
    }
    return o->err;
}

static ota_err_t fail_flash(ota_t *o, int code)
{
    o->flash_err = code;
    return fail(o, OTA_ERR_FLASH);
}

static ota_err_t fail_select(ota_t *o, int code)
{
    return (code == OTA_SELECT_EXHAUSTED) ? fail(o, OTA_ERR_EXHAUSTED) : fail_flash(o, code);
}

static void parse_from_start(ota_t *o, const crypto_t *crypto)
{
    const esp_image_cfg_t cfg = {
        .chip_id = o->cfg->chip_id,
        .chip_rev = o->cfg->chip_rev,
        .efuse_rev = o->cfg->efuse_rev,
        .at = target(o).at,
        .cap = target(o).size,
        .strict = true,
    };
    esp_image_init(&o->image, &cfg, crypto);
}

static ota_err_t parse(ota_t *o, const void *data, size_t len)
{
    const esp_image_err_t err = esp_image_input(&o->image, data, len);
    if (err == ESP_IMAGE_OK) return OTA_OK;
    return fail(o, (err == ESP_IMAGE_ERR_TOO_LARGE) ? OTA_ERR_TOO_LARGE : OTA_ERR_IMAGE);
}

void ota_init(ota_t *o, const ota_cfg_t *cfg)
{
    memset(o, 0, sizeof *o);
    o->cfg = cfg;
}

// --- Taking data ---

static bool is_unconfirmed(const ota_select_t *sel, int running)
{
    if (sel->active < 0) return false;
    const ota_record_t *r = &sel->record[sel->active];
    return (int)r->slot == running && ota_select_on_trial(r);
}

ota_err_t ota_begin(ota_t *o, uint32_t size)
{
    ota_select_t sel;
    ota_init(o, o->cfg);
    o->phase = OTA_OPEN;
    o->slot = (unsigned)(o->cfg->running + 1) % o->cfg->layout->slots;
    const int err = ota_select_read(o->cfg->flash, o->cfg->layout, &sel);
    if (err) return fail_flash(o, err);
    if (is_unconfirmed(&sel, o->cfg->running)) return fail(o, OTA_ERR_UNCONFIRMED);
    if (size > target(o).size) return fail(o, OTA_ERR_TOO_LARGE);
    parse_from_start(o, NULL);
    return OTA_OK;
}

size_t ota_write(ota_t *o, const void *data, size_t len)
{
    if (o->phase != OTA_OPEN) return 0;
    const size_t n = smaller(len, OTA_BUF - o->fill);
    if (n == 0 || parse(o, data, n) != OTA_OK)
        return 0; // parsed first: it may be too much for the slot
    memcpy(&o->buf[o->fill], data, n);
    o->fill += (uint32_t)n;
    return n;
}

bool ota_complete(const ota_t *o) { return o->phase == OTA_OPEN && esp_image_complete(&o->image); }

// --- Writing: one flash operation a step ---

// Everything that may refuse the image without touching the slot has been seen.
static bool head_judged(const ota_t *o) { return o->image.pos >= ESP_IMAGE_HEAD_LEN; }

static ota_err_t prepare_sector(ota_t *o)
{
    const flash_t *flash = o->cfg->flash;
    const uint32_t at = target(o).at + o->erased;
    bool blank = true;
    for (uint32_t i = 0; i < flash->sector_size && blank; i += 64) {
        uint8_t piece[64];
        const int err = flash->read(flash->ctx, at + i, piece, sizeof piece);
        if (err) return fail_flash(o, err);
        blank = flash_is_blank(piece, sizeof piece);
    }
    const int err = blank ? 0 : flash->erase(flash->ctx, at);
    if (err) return fail_flash(o, err);
    o->erased += flash->sector_size;
    return OTA_OK;
}

static ota_err_t program_page(ota_t *o)
{
    const flash_t *flash = o->cfg->flash;
    const uint32_t len = (uint32_t)smaller(o->fill, OTA_PAGE);
    const uint32_t padded = (len + FLASH_UNIT - 1) / FLASH_UNIT * FLASH_UNIT; // <= OTA_PAGE
    if (padded > len) memset(&o->buf[len], 0xFF, padded - len);
    const int err = flash_is_blank(o->buf, padded)
                        ? 0 // as it is on flash
                        : flash->prog(flash->ctx, target(o).at + o->at, o->buf, padded);
    if (err) return fail_flash(o, err);
    o->at += len;
    o->fill -= len;
    memmove(o->buf, &o->buf[len], o->fill);
    return OTA_OK;
}

// A page is ready to go to flash: a full one, or the last one.
static bool page_ready(const ota_t *o)
{
    return o->fill >= OTA_PAGE || (o->phase == OTA_FLUSHING && o->fill > 0);
}

// One sector is prepared while data for the one before it still comes in; not behind the end, once
// that is known.
static bool worth_preparing(const ota_t *o)
{
    const uint32_t end = o->image.len ? o->image.len : target(o).size;
    return o->erased < end && o->erased <= o->at + o->fill + o->cfg->flash->sector_size;
}

static ota_err_t write_step(ota_t *o)
{
    if (!o->retired) {
        const int err = ota_select_retire(o->cfg->flash, o->cfg->layout, o->slot, o->cfg->running);
        if (err) return fail_select(o, err);
        o->retired = true;
        return OTA_OK;
    }
    return (page_ready(o) && o->at < o->erased) ? program_page(o) : prepare_sector(o);
}

bool ota_busy(const ota_t *o)
{
    switch (o->phase) {
    case OTA_IDLE:
    case OTA_VERIFIED:
    case OTA_FAILED: return false;
    case OTA_OPEN: return head_judged(o) && (page_ready(o) || worth_preparing(o));
    case OTA_FLUSHING:
    case OTA_READBACK: return true;
    }
    return false;
}

// --- Verifying ---

ota_err_t ota_finish(ota_t *o)
{
    if (!ota_complete(o)) return fail(o, OTA_ERR_INCOMPLETE);
    o->phase = OTA_FLUSHING;
    return OTA_OK;
}

static ota_err_t readback_step(ota_t *o)
{
    const flash_t *flash = o->cfg->flash;
    const uint32_t len = (uint32_t)smaller(OTA_BUF, o->fill); // here: bytes left to read
    const int err = flash->read(flash->ctx, target(o).at + o->at, o->buf, len);
    if (err) return fail_flash(o, err);
    if (parse(o, o->buf, len)) return o->err;
    o->at += len;
    o->fill -= len;
    if (o->fill > 0) return OTA_OK;
    if (esp_image_finish(&o->image) != ESP_IMAGE_OK) return fail(o, OTA_ERR_IMAGE);
    o->phase = OTA_VERIFIED;
    return OTA_OK;
}

ota_err_t ota_step(ota_t *o)
{
    if (!ota_busy(o)) return o->err;
    if (o->phase == OTA_READBACK) return readback_step(o);
    if (o->phase == OTA_OPEN || o->fill > 0) return write_step(o);
    o->phase = OTA_READBACK;
    o->fill = o->image.len;
    o->at = 0;
    parse_from_start(o, o->cfg->crypto);
    return OTA_OK;
}

// --- Deciding ---

ota_err_t ota_activate(ota_t *o)
{
    ASSERT(o->phase == OTA_VERIFIED);
    const int err = ota_select_append(o->cfg->flash, o->cfg->layout, o->slot, OTA_STATE_NEW);
    if (err) return fail_select(o, err);
    o->phase = OTA_IDLE;
    return OTA_OK;
}

void ota_abort(ota_t *o) { o->phase = OTA_IDLE; }

// Writing the record that says VALID erases the other sector, which may be all that speaks for the
// old image. The mark comes first, so that a cut in between does not make a failed trial of it.
int ota_confirm(const ota_cfg_t *cfg)
{
    ota_select_t sel;
    int err = ota_select_read(cfg->flash, cfg->layout, &sel);
    if (err || !is_unconfirmed(&sel, cfg->running)) return err;
    err = ota_select_mark_confirmed(cfg->flash, cfg->layout);
    if (err) return err;
    return ota_select_append(cfg->flash, cfg->layout, (unsigned)cfg->running, OTA_STATE_VALID);
}

int ota_reject(const ota_cfg_t *cfg)
{
    ota_select_t sel;
    const int err = ota_select_read(cfg->flash, cfg->layout, &sel);
    if (err || !is_unconfirmed(&sel, cfg->running)) return err;
    return ota_select_reject(cfg->flash, cfg->layout, OTA_STATE_INVALID);
}
