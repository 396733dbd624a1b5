// ota.c - the update engine: see ota.h.
// SPDX-License-Identifier: Apache-2.0
//
//   any        begin     ->  OPEN      nothing touched
//   any        survey    ->  SURVEY    nothing touched
//   any        erase     ->  ERASING   nothing touched
//   OPEN       write     ->  OPEN      bytes go through parser and SHA-256, then to buf
//   OPEN       step      ->  OPEN      retire the record; then a full page, or a sector before it
//   OPEN       finish    ->  FLUSHING  if the image is complete
//   FLUSHING   step      ->  FLUSHING  the same, the last page padded with 0xFF
//                        ->  VERIFIED  all written, and on flash as it came
//                        ->  READBACK  all written, but resumed, or a page differed
//   any        recheck   ->  READBACK  nothing touched
//   READBACK   step      ->  READBACK  512 bytes through the parser and SHA-256
//                        ->  VERIFIED  the parser says so
//   VERIFIED   activate  ->  IDLE      one new boot record
//   SURVEY     step      ->  SURVEY    512 bytes through the parser
//                        ->  HASHING   a blank sector, the image's end, or nonsense
//   HASHING    step      ->  HASHING   512 bytes through parser and SHA-256, up to there
//                        ->  FOUND
//   FOUND      resume    ->  OPEN      nothing touched
//   ERASING    step      ->  ERASING   retire the record; then a sector
//                        ->  ERASED
//   any        error     ->  FAILED    the first error is kept
//
// Order on flash: the target's boot record goes first, so that no moment exists in which a record
// speaks for a slot with changing content; the new record comes last, after the whole image was
// read back.
//
// Each page is read back when it has been written, blank ones too, and compared with what came. If all
// of them are as they came, then what the parser says of the bytes that came, structure and SHA-256, it
// would say of those on flash as well: nothing is left to do at the end, and this is why it is quick. In
// any other case its verdict is forgotten, and the slot's bytes alone are judged. A page is not looked at
// again once it was right: the engine writes and erases only behind it. If it changes all the same, the
// bootloader finds that, as it does later in the image's life.
//
// A sector is erased even if it reads as blank: so does one whose erase was cut off, until its cells
// change their mind (the reason for JFFS2's clean markers). And each one is erased before the first
// byte goes into the one before it: so there is always a blank sector behind what was written, and
// an interrupted update ends where the first blank sector is. What lies behind that is older.
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

static bool is_same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
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

/// What the device wants of an image besides; known with the descriptor, before anything is erased.
static ota_err_t judge(ota_t *o)
{
    const counter_t *counter = o->cfg->counter;
    uint32_t minimum = 0;
    if (o->retired || o->image.pos < ESP_IMAGE_HEAD_LEN) return OTA_OK;
    if (o->cfg->project && !is_same(o->cfg->project, o->image.project))
        return fail(o, OTA_ERR_PROJECT);
    const int err = counter ? counter->read(counter->ctx, &minimum) : 0;
    if (err) return fail_flash(o, err);
    return (o->image.secure_version < minimum) ? fail(o, OTA_ERR_TOO_OLD) : OTA_OK;
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
    const ota_record_t *r = ota_select_about(sel, running);
    return r && ota_select_on_trial(r);
}

/// Of the slot after the running one, with everything forgotten.
static ota_err_t open_slot(ota_t *o, ota_phase_t phase)
{
    ota_select_t sel;
    ota_init(o, o->cfg);
    o->phase = phase;
    o->slot = (unsigned)(o->cfg->running + 1) % o->cfg->layout->slots;
    o->as_came = phase == OTA_OPEN;
    parse_from_start(o, o->as_came ? o->cfg->crypto : NULL);
    const int err = ota_select_read(o->cfg->flash, o->cfg->layout, &sel);
    if (err) return fail_flash(o, err);
    return is_unconfirmed(&sel, o->cfg->running) ? fail(o, OTA_ERR_UNCONFIRMED) : OTA_OK;
}

ota_err_t ota_begin(ota_t *o, uint32_t size)
{
    const bool blank = o->phase == OTA_ERASED;
    const ota_err_t err = open_slot(o, OTA_OPEN);
    if (err) return err;
    if (size > target(o).size) return fail(o, OTA_ERR_TOO_LARGE);
    if (blank) o->erased = target(o).size;
    return OTA_OK;
}

ota_err_t ota_survey(ota_t *o) { return open_slot(o, OTA_SURVEY); }

static void read_back(ota_t *o, uint32_t len)
{
    o->phase = OTA_READBACK;
    o->fill = len;
    o->at = 0;
    parse_from_start(o, o->cfg->crypto);
}

ota_err_t ota_recheck(ota_t *o)
{
    ota_select_t sel;
    const ota_err_t err = open_slot(o, OTA_READBACK);
    if (err) return err;
    const int flash_err = ota_select_read(o->cfg->flash, o->cfg->layout, &sel);
    if (flash_err) return fail_flash(o, flash_err);
    if (ota_select_rejects(&sel, (int)o->slot)) return fail(o, OTA_ERR_REJECTED);
    read_back(o, target(o).size);
    return OTA_OK;
}

ota_err_t ota_resume(ota_t *o)
{
    ASSERT(o->phase == OTA_FOUND);
    o->phase = OTA_OPEN;
    o->erased = o->at;
    return judge(o);
}

ota_err_t ota_erase(ota_t *o) { return open_slot(o, OTA_ERASING); }

size_t ota_write(ota_t *o, const void *data, size_t len)
{
    if (o->phase != OTA_OPEN) return 0;
    const size_t n = smaller(len, OTA_BUF - o->fill);
    if (n == 0 || parse(o, data, n) != OTA_OK || judge(o) != OTA_OK)
        return 0; // parsed first: it may be too much for the slot
    memcpy(&o->buf[o->fill], data, n);
    o->fill += (uint32_t)n;
    return n;
}

bool ota_complete(const ota_t *o) { return o->phase == OTA_OPEN && esp_image_complete(&o->image); }

// --- Writing: one flash operation a step ---

// Everything that may refuse the image without touching the slot has been seen.
static bool head_judged(const ota_t *o) { return o->image.pos >= ESP_IMAGE_HEAD_LEN; }

static ota_err_t erase_sector(ota_t *o)
{
    const flash_t *flash = o->cfg->flash;
    const int err = flash->erase(flash->ctx, target(o).at + o->erased);
    if (err) return fail_flash(o, err);
    o->erased += flash->sector_size;
    return OTA_OK;
}

/// From `at` on.
static ota_err_t read_slot(ota_t *o, uint8_t *to, uint32_t len)
{
    const flash_t *flash = o->cfg->flash;
    const int err = flash->read(flash->ctx, target(o).at + o->at, to, len);
    return err ? fail_flash(o, err) : OTA_OK;
}

// What came may be 512 bytes in buf: there is no other place than the stack, which is deeper in
// ota_select.c.
static ota_err_t compare_page(ota_t *o, uint32_t len)
{
    uint8_t back[OTA_PAGE];
    const ota_err_t err = read_slot(o, back, len);
    if (!err && memcmp(back, o->buf, len) != 0) o->as_came = false;
    return err;
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
    if (compare_page(o, len) != OTA_OK) return o->err;
    o->at += len;
    o->fill -= len;
    memmove(o->buf, &o->buf[len], o->fill);
    return OTA_OK;
}

// Bytes from the slot's start that must be erased before the next page is written: its sector and the
// one behind it, but nothing behind the end, once that is known.
static uint32_t must_be_erased(const ota_t *o)
{
    const uint32_t sector = o->cfg->flash->sector_size;
    const uint32_t two = (o->at / sector + 2) * sector;
    const uint32_t data = o->at + o->fill;
    const uint32_t end = (o->image.len > data) ? o->image.len
                         : o->image.len        ? data
                                               : target(o).size;
    const uint32_t needed = (end + sector - 1) / sector * sector;
    return (uint32_t)smaller(two, needed);
}

static ota_err_t retire(ota_t *o)
{
    const int err = ota_select_retire(o->cfg->flash, o->cfg->layout, o->slot, o->cfg->running);
    if (err) return fail_select(o, err);
    o->retired = true;
    return OTA_OK;
}

static ota_err_t write_step(ota_t *o)
{
    if (!o->retired) return retire(o);
    return (o->erased < must_be_erased(o)) ? erase_sector(o) : program_page(o);
}

static ota_err_t erase_step(ota_t *o)
{
    if (!o->retired) return retire(o);
    const ota_err_t err = erase_sector(o);
    if (!err && o->erased == target(o).size) o->phase = OTA_ERASED;
    return err;
}

bool ota_busy(const ota_t *o)
{
    switch (o->phase) {
    case OTA_IDLE:
    case OTA_FOUND:
    case OTA_ERASED:
    case OTA_VERIFIED:
    case OTA_FAILED: return false;
    case OTA_OPEN: return head_judged(o) && (o->fill >= OTA_PAGE || o->erased < must_be_erased(o));
    case OTA_SURVEY:
    case OTA_HASHING:
    case OTA_ERASING:
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

/// The next bytes of the slot, at most `cap`; then `at` is behind them.
static ota_err_t read_next(ota_t *o, uint32_t cap, uint32_t *len)
{
    *len = (uint32_t)smaller(OTA_BUF, cap);
    const ota_err_t err = read_slot(o, o->buf, *len);
    o->at += *len;
    return err;
}

static ota_err_t conclude(ota_t *o)
{
    if (esp_image_finish(&o->image) != ESP_IMAGE_OK) return fail(o, OTA_ERR_IMAGE);
    o->phase = OTA_VERIFIED;
    return OTA_OK;
}

static ota_err_t readback_step(ota_t *o)
{
    uint32_t len;
    ota_err_t err = read_next(o, o->fill, &len);
    if (!err) err = parse(o, o->buf, len);
    if (!err) err = judge(o);
    if (err) return err;
    o->fill -= len;
    return (o->fill > 0 && !esp_image_complete(&o->image)) ? OTA_OK : conclude(o);
}

// --- Finding what is left ---

/// The first `len` bytes are usable.
static ota_err_t hash_from_start(ota_t *o, uint32_t len)
{
    const crypto_t *crypto = o->cfg->crypto;
    parse_from_start(o, NULL);
    o->phase = OTA_HASHING;
    o->at = 0;
    o->fill = len;
    if (!crypto->start(crypto->ctx, CRYPTO_SHA256)) return fail(o, OTA_ERR_CRYPTO);
    return OTA_OK;
}

// `fill`: the sector is not blank so far.
static ota_err_t survey_step(ota_t *o)
{
    const uint32_t sector = o->cfg->flash->sector_size;
    uint32_t len;
    const uint32_t begin = o->at / sector * sector;
    const ota_err_t err = read_next(o, sector, &len);
    if (err) return err;
    if (!flash_is_blank(o->buf, len)) o->fill = 1;
    const bool sense = esp_image_input(&o->image, o->buf, len) == ESP_IMAGE_OK;
    if (o->fill && (!sense || esp_image_complete(&o->image))) return hash_from_start(o, begin);
    if (o->at < begin + sector) return OTA_OK;
    if (!o->fill) return hash_from_start(o, begin ? begin - sector : 0);
    o->fill = 0;
    return OTA_OK;
}

static ota_err_t hash_step(ota_t *o)
{
    const crypto_t *crypto = o->cfg->crypto;
    if (o->fill == 0) {
        if (!crypto->finish(crypto->ctx, o->buf)) return fail(o, OTA_ERR_CRYPTO);
        o->phase = OTA_FOUND;
        return OTA_OK;
    }
    uint32_t len;
    ota_err_t err = read_next(o, o->fill, &len);
    if (!err) err = parse(o, o->buf, len);
    if (!err && !crypto->update(crypto->ctx, o->buf, len)) err = fail(o, OTA_ERR_CRYPTO);
    o->fill -= len;
    return err;
}

ota_err_t ota_step(ota_t *o)
{
    if (!ota_busy(o)) return o->err;
    if (o->phase == OTA_READBACK) return readback_step(o);
    if (o->phase == OTA_SURVEY) return survey_step(o);
    if (o->phase == OTA_HASHING) return hash_step(o);
    if (o->phase == OTA_ERASING) return erase_step(o);
    if (o->phase == OTA_OPEN || o->fill > 0) return write_step(o);
    if (o->as_came) return conclude(o);
    read_back(o, o->image.len);
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

/// To the secure version of the running image, if that has a descriptor.
static int raise_counter(const ota_cfg_t *cfg)
{
    const counter_t *counter = cfg->counter;
    const uint32_t at = ota_select_extent(cfg->layout, cfg->running).at + ESP_IMAGE_DESC_AT;
    uint8_t desc[8];
    uint32_t minimum = 0;
    int err = cfg->flash->read(cfg->flash->ctx, at, desc, sizeof desc);
    if (err) return err;
    err = counter->read(counter->ctx, &minimum);
    if (err || load_le32(desc) != ESP_IMAGE_DESC_MAGIC || load_le32(desc + 4) <= minimum)
        return err;
    return counter->raise(counter->ctx, load_le32(desc + 4));
}

// A slot without a record beside one about another: its own was lost when it was to be rejected, or
// ESP-IDF's bootloader fell back to it. The counter last: until the image is confirmed, the old one
// must be able to come back.
int ota_confirm(const ota_cfg_t *cfg)
{
    ota_select_t sel;
    int err = ota_select_read(cfg->flash, cfg->layout, &sel);
    if (err || cfg->running < 0 || sel.newest < 0) return err;
    const ota_record_t *r = ota_select_about(&sel, cfg->running);
    if (r && !ota_select_on_trial(r)) return 0;
    err = ota_select_ruling(&sel, cfg->running)
              ? ota_select_confirm(cfg->flash, cfg->layout)
              : ota_select_overrule(cfg->flash, cfg->layout, (unsigned)cfg->running);
    return (err || !cfg->counter) ? err : raise_counter(cfg);
}

int ota_reject(const ota_cfg_t *cfg)
{
    ota_select_t sel;
    const int err = ota_select_read(cfg->flash, cfg->layout, &sel);
    if (err || !ota_select_ruling(&sel, cfg->running) || !is_unconfirmed(&sel, cfg->running))
        return err;
    return ota_select_reject(cfg->flash, cfg->layout, OTA_STATE_INVALID);
}
