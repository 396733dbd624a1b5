// receiver_uds.c - what the UDS server asks the device for, done by ring and engine: see receiver_uds.h.
// SPDX-License-Identifier: Apache-2.0
//
// A call of the server's is answered at once, or deferred until the engine has done its part; the
// server covers the time with responses 0x78. One of them is brought forward when the next
// flash operation could outlast what the client waits: while flash is busy nothing can be sent.
//
// A block goes into the ring while it arrives, and can be taken back until it is complete. It is
// acknowledged when there is room for another one: flash works while that is on the wire. With a
// ring of two blocks the bus never waits for flash that is faster than the bus.
#include "receiver_uds.h"

#include "ota_select.h"
#include "ota_slot.h"

enum {
    LEVEL = 1, // SecurityAccess: requestSeed 01, sendKey 02
    DELAY_MS = 10000,
    BLOCK_HEAD = 2, // SID and blockSequenceCounter
    BLOCK_MAX = 4095,
    LENGTH_MAX = 4095, // of any request
    FACTORY = 0xFF,    // in place of a slot's number

    PROGRAMMING = UDS_IN_PROGRAMMING,
    DIAGNOSTIC = UDS_IN_PROGRAMMING | UDS_IN_EXTENDED,
    START = 1 << UDS_START_ROUTINE,

    // Unmet conditions that checkProgrammingPreconditions reports.
    ON_TRIAL = 1,
    NO_OTHER_SLOT = 2,
    FLASH_FAILS = 3,
    OTHER_TRANSFER = 4,
};

static const uds_did_t dids[] = {
    { UDS_DID_FINGERPRINT_OEM, PROGRAMMING, 9 },
    { UDS_DID_FINGERPRINT, PROGRAMMING, 9 },
    { UDS_DID_PROGRAMMING_DATE, PROGRAMMING, 3 },
};

static const uds_routine_t routines[] = {
    { UDS_RID_CHECK_MEMORY, PROGRAMMING, START, true, 0, 0 },
    { UDS_RID_CHECK_PRECONDITIONS, DIAGNOSTIC, START, false, 0, 0 },
    { UDS_RID_ERASE_MEMORY, PROGRAMMING, START, true, 0, 9 },
    { UDS_RID_CHECK_DEPENDENCIES, PROGRAMMING, START, true, 0, 0 },
    { UDS_RID_DOWNLOAD_POSITION, PROGRAMMING, START, true, 0, 0 },
    { UDS_RID_CONFIRM, DIAGNOSTIC, START, true, 0, 0 },
    { UDS_RID_REJECT, DIAGNOSTIC, START, true, 0, 0 },
    { UDS_RID_REACTIVATE, PROGRAMMING, START, true, 0, 0 },
};

// --- Ends of a transfer ---

static receiver_events_t end(receiver_t *r, receiver_result_t result)
{
    const bool was_receiving = r->state == RECEIVER_RECEIVING;
    r->state = RECEIVER_IDLE;
    r->result = result;
    return (was_receiving && result != RECEIVER_OK) ? RECEIVER_FAILED : RECEIVER_NONE;
}

/// What tester and engine had begun is void.
static receiver_events_t give_up(receiver_t *r)
{
    if (r->stream.state != STREAM_IDLE) return RECEIVER_NONE; // not theirs
    ota_abort(&r->ota);
    ring_clear(&r->ring);
    uds_server_stop(&r->uds);
    return (r->state == RECEIVER_RECEIVING) ? end(r, RECEIVER_ABORTED) : RECEIVER_NONE;
}

static uds_nrc_t nrc_of(const ota_t *o)
{
    switch (o->err) {
    case OTA_OK: return UDS_OK;
    case OTA_ERR_IMAGE:
        return (o->image.err == ESP_IMAGE_ERR_CRYPTO) ? UDS_PROGRAMMING_FAILURE
                                                      : UDS_REQUEST_OUT_OF_RANGE;
    case OTA_ERR_TOO_LARGE:
    case OTA_ERR_PROJECT:
    case OTA_ERR_TOO_OLD: return UDS_REQUEST_OUT_OF_RANGE;
    case OTA_ERR_UNCONFIRMED:
    case OTA_ERR_EXHAUSTED:
    case OTA_ERR_REJECTED: return UDS_CONDITIONS_NOT_CORRECT;
    case OTA_ERR_INCOMPLETE:
    case OTA_ERR_FLASH:
    case OTA_ERR_CRYPTO: return UDS_PROGRAMMING_FAILURE;
    }
    return UDS_PROGRAMMING_FAILURE;
}

// --- Data identifiers ---

static bool put(receiver_t *r, const void *p, size_t len)
{
    return uds_server_put(&r->uds, p, len);
}

static bool put_byte(receiver_t *r, unsigned byte)
{
    const uint8_t b = (uint8_t)byte;
    return put(r, &b, 1);
}

static bool put_be32(receiver_t *r, uint32_t value)
{
    uint8_t bytes[4];
    store_be32(bytes, value);
    return put(r, bytes, sizeof bytes);
}

/// Up to its first NUL.
static bool put_text(receiver_t *r, const char text[OTA_SLOT_TEXT])
{
    size_t len = 0;
    while (len < OTA_SLOT_TEXT && text[len])
        len++;
    return put(r, text, len);
}

static unsigned next_slot(const receiver_t *r)
{
    const ota_cfg_t *cfg = &r->cfg->ota;
    return (unsigned)(cfg->running + 1) % cfg->layout->slots;
}

static bool put_slots(receiver_t *r)
{
    const ota_cfg_t *cfg = &r->cfg->ota;
    ota_slot_t slot;
    bool fits = put_byte(r, cfg->layout->slots) &&
                put_byte(r, cfg->running < 0 ? FACTORY : (unsigned)cfg->running) &&
                put_byte(r, next_slot(r));
    for (unsigned i = 0; i < cfg->layout->slots && fits; i++)
        fits = ota_slot_read(cfg, (int)i, &slot) == 0 && put_byte(r, slot.state) &&
               put_be32(r, slot.size);
    return fits;
}

static bool put_slot(receiver_t *r, const ota_slot_t *slot)
{
    return put_byte(r, slot->state) && put_be32(r, slot->secure_version) &&
           put(r, slot->digest, sizeof slot->digest) &&
           put(r, slot->version, sizeof slot->version) &&
           put(r, slot->project, sizeof slot->project);
}

static bool put_running(receiver_t *r, const ota_slot_t *slot)
{
    const int running = r->cfg->ota.running;
    return put_byte(r, running < 0 ? FACTORY : (unsigned)running) && put_byte(r, slot->state) &&
           put(r, slot->digest, sizeof slot->digest);
}

/// What the port knows about itself.
static uds_nrc_t read_ident(receiver_t *r, uint16_t did)
{
    const ident_t *ident = r->cfg->ident;
    uint8_t bytes[64];
    const size_t len = ident ? ident->read(ident->ctx, did, bytes, sizeof bytes) : 0;
    if (len == 0 || len > sizeof bytes) return UDS_REQUEST_OUT_OF_RANGE;
    return put(r, bytes, len) ? UDS_OK : UDS_RESPONSE_TOO_LONG;
}

static uds_nrc_t read_did(receiver_t *r, uint16_t did)
{
    const ota_cfg_t *cfg = &r->cfg->ota;
    if (did == UDS_DID_NEXT_SLOT) did = (uint16_t)(UDS_DID_SLOT + next_slot(r));
    const bool of_slot = did >= UDS_DID_SLOT && did < UDS_DID_SLOT + cfg->layout->slots;
    ota_slot_t slot;
    bool fits;
    if (ota_slot_read(cfg,
                      of_slot                       ? did - UDS_DID_SLOT
                      : did == UDS_DID_SLOT_FACTORY ? OTA_FACTORY
                                                    : cfg->running,
                      &slot))
        return UDS_CONDITIONS_NOT_CORRECT;
    switch (did) {
    case UDS_DID_APPLICATION_SOFTWARE: fits = put_byte(r, 1) && put_text(r, slot.project); break;
    case UDS_DID_SYSTEM_NAME: fits = put_text(r, slot.project); break;
    case UDS_DID_SOFTWARE_VERSION:
    case UDS_DID_SUPPLIER_SOFTWARE_VERSION: fits = put_text(r, slot.version); break;
    case UDS_DID_SLOTS: fits = put_slots(r); break;
    case UDS_DID_RESULT: fits = put_byte(r, r->result) && put_be32(r, r->received); break;
    case UDS_DID_RUNNING: fits = put_running(r, &slot); break;
    default:
        if (!of_slot && did != UDS_DID_SLOT_FACTORY) return read_ident(r, did);
        if (slot.size == 0) return UDS_REQUEST_OUT_OF_RANGE;
        fits = put_slot(r, &slot);
    }
    return fits ? UDS_OK : UDS_RESPONSE_TOO_LONG;
}

static uds_nrc_t write_did(const receiver_t *r, const uds_call_t *call)
{
    const ident_t *ident = r->cfg->ident;
    if (!ident) return UDS_CONDITIONS_NOT_CORRECT;
    return ident->write(ident->ctx, call->id, call->data, call->len) ? UDS_OK
                                                                     : UDS_PROGRAMMING_FAILURE;
}

// --- Security ---

static uds_nrc_t give_seed(receiver_t *r)
{
    const access_t *access = r->cfg->access;
    uint8_t seed[ACCESS_SEED_LEN];
    if (!access->seed(access->ctx, seed)) return UDS_CONDITIONS_NOT_CORRECT;
    return put(r, seed, sizeof seed) ? UDS_OK : UDS_CONDITIONS_NOT_CORRECT;
}

/// Takes as long for a wrong key as for the right one.
static uds_nrc_t check_key(const receiver_t *r, const uds_call_t *call)
{
    const access_t *access = r->cfg->access;
    uint8_t key[ACCESS_KEY_LEN], differ = 0;
    if (call->len != sizeof key) return UDS_INCORRECT_LENGTH;
    if (!access->key(access->ctx, LEVEL, r->uds.seed, key)) return UDS_CONDITIONS_NOT_CORRECT;
    for (size_t i = 0; i < sizeof key; i++)
        differ |= (uint8_t)(key[i] ^ call->data[i]);
    return differ ? UDS_INVALID_KEY : UDS_OK;
}

// --- Download ---

static uds_nrc_t download(receiver_t *r, const uds_call_t *call, receiver_events_t *events)
{
    const uint32_t at = call->at;
    const bool again = r->state == RECEIVER_RECEIVING && r->received == at && at > 0 &&
                       r->ota.phase == OTA_OPEN && r->ota.at == at && r->ota.fill == 0;
    if (again) return UDS_OK; // the response was lost
    *events |= (r->state == RECEIVER_RECEIVING) ? end(r, RECEIVER_ABORTED) : RECEIVER_NONE;
    ring_clear(&r->ring);
    if (at > 0 && (r->ota.phase != OTA_FOUND || at != r->ota.at)) return UDS_REQUEST_OUT_OF_RANGE;
    r->received = at;
    r->result = RECEIVER_NOTHING_YET;
    if (at > 0) {
        (void)ota_resume(&r->ota);
    } else {
        (void)ota_begin(&r->ota, call->size);
    }
    r->protocol = RECEIVER_UDS;
    r->activated = false;
    r->state = RECEIVER_RECEIVING;
    *events |= RECEIVER_STARTED;
    if (r->ota.err) *events |= end(r, receiver_result_of(&r->ota));
    return nrc_of(&r->ota);
}

/// Deferred: is there room for another block now, or will there never be?
static bool block_done(receiver_t *r, uds_nrc_t *nrc)
{
    *nrc = nrc_of(&r->ota);
    if (*nrc) uds_server_stop(&r->uds);
    return *nrc || ring_free(&r->ring) >= r->uds_cfg.block_max - BLOCK_HEAD;
}

static bool exit_done(receiver_t *r, uds_nrc_t *nrc)
{
    *nrc = r->ota.err ? UDS_PROGRAMMING_FAILURE : UDS_OK;
    if (r->ota.phase == OTA_OPEN && r->ring.used == 0 && !ota_busy(&r->ota))
        (void)ota_finish(&r->ota);
    return *nrc || r->ota.phase == OTA_VERIFIED;
}

// --- Routines ---

static uds_nrc_t check_preconditions(receiver_t *r)
{
    const ota_cfg_t *cfg = &r->cfg->ota;
    ota_select_t sel;
    uint8_t unmet[4];
    size_t count = 0;
    const int err = ota_select_read(cfg->flash, cfg->layout, &sel);
    const ota_record_t *record = err ? NULL : ota_select_about(&sel, cfg->running);
    if (record && ota_select_on_trial(record)) unmet[count++] = ON_TRIAL;
    if (cfg->layout->slots == 0 || (int)next_slot(r) == cfg->running)
        unmet[count++] = NO_OTHER_SLOT;
    if (err) unmet[count++] = FLASH_FAILS;
    if (r->stream.state != STREAM_IDLE) unmet[count++] = OTHER_TRANSFER;
    return put_byte(r, count > 0) && put(r, unmet, count) ? UDS_OK : UDS_RESPONSE_TOO_LONG;
}

/// Empty, or what may be written: ALFI, address 0, size.
static uds_nrc_t check_erase(const receiver_t *r, const uds_call_t *call)
{
    const uint32_t slot = r->cfg->ota.layout->slot[next_slot(r)].size;
    if (call->len == 0) return UDS_OK;
    if (call->len != 9) return UDS_INCORRECT_LENGTH;
    const uint32_t size = load_be32(&call->data[5]);
    const bool fits = call->data[0] == 0x44 && load_be32(&call->data[1]) == 0;
    return fits && size > 0 && size <= slot ? UDS_OK : UDS_REQUEST_OUT_OF_RANGE;
}

static uds_nrc_t activate(receiver_t *r, receiver_events_t *events)
{
    if (r->activated) return UDS_OK; // the response was lost
    if (r->ota.phase != OTA_VERIFIED) return UDS_REQUEST_SEQUENCE_ERROR;
    r->activated = ota_activate(&r->ota) == OTA_OK;
    *events |= end(r, receiver_result_of(&r->ota));
    if (r->activated) *events |= RECEIVER_COMPLETE;
    return nrc_of(&r->ota);
}

static uds_nrc_t confirm(const receiver_t *r)
{
    return ota_confirm(&r->cfg->ota) ? UDS_PROGRAMMING_FAILURE : UDS_OK;
}

static uds_nrc_t reject(const receiver_t *r)
{
    const ota_cfg_t *cfg = &r->cfg->ota;
    ota_select_t sel;
    if (ota_select_read(cfg->flash, cfg->layout, &sel)) return UDS_PROGRAMMING_FAILURE;
    const ota_record_t *record = ota_select_about(&sel, cfg->running);
    if (!record || !ota_select_on_trial(record)) return UDS_CONDITIONS_NOT_CORRECT;
    return ota_reject(cfg) ? UDS_PROGRAMMING_FAILURE : UDS_OK;
}

/// False: deferred.
static bool start_routine(receiver_t *r, const uds_call_t *call, uds_nrc_t *nrc,
                          receiver_events_t *events)
{
    ota_t *ota = &r->ota;
    const bool engine = call->id == UDS_RID_ERASE_MEMORY || call->id == UDS_RID_DOWNLOAD_POSITION ||
                        call->id == UDS_RID_REACTIVATE;
    *nrc = call->id == UDS_RID_ERASE_MEMORY ? check_erase(r, call) : UDS_OK;
    if (*nrc) return true;
    if (engine) {
        *events |= give_up(r);
        r->activated = false;
    }
    switch (call->id) {
    case UDS_RID_CHECK_PRECONDITIONS: *nrc = check_preconditions(r); return true;
    case UDS_RID_CHECK_MEMORY:
        (void)put_byte(r, ota->phase != OTA_VERIFIED && !r->activated);
        return true;
    case UDS_RID_CHECK_DEPENDENCIES: *nrc = activate(r, events); break;
    case UDS_RID_CONFIRM: *nrc = confirm(r); break;
    case UDS_RID_REJECT: *nrc = reject(r); break;
    case UDS_RID_ERASE_MEMORY: (void)ota_erase(ota); return false;
    case UDS_RID_DOWNLOAD_POSITION: (void)ota_survey(ota); return false;
    case UDS_RID_REACTIVATE: (void)ota_recheck(ota); return false;
    default: *nrc = UDS_REQUEST_OUT_OF_RANGE; break;
    }
    if (!*nrc) (void)put_byte(r, 0);
    return true;
}

static bool routine_done(receiver_t *r, uds_nrc_t *nrc, receiver_events_t *events)
{
    const ota_t *ota = &r->ota;
    *nrc = nrc_of(ota);
    if (*nrc) {
        r->result = receiver_result_of(ota);
        return true;
    }
    switch (ota->phase) {
    case OTA_FOUND: return put_be32(r, ota->at) && put(r, ota->buf, CRYPTO_SHA256_LEN);
    case OTA_ERASED: return put_byte(r, 0);
    case OTA_VERIFIED:
        r->received = ota->image.len;
        r->protocol = RECEIVER_UDS;
        *nrc = activate(r, events);
        return *nrc || put_byte(r, 0);
    case OTA_IDLE:
    case OTA_SURVEY:
    case OTA_HASHING:
    case OTA_ERASING:
    case OTA_OPEN:
    case OTA_FLUSHING:
    case OTA_READBACK:
    case OTA_FAILED: break;
    }
    return false;
}

// --- Calls ---

/// False: deferred.
static bool call(receiver_t *r, uds_nrc_t *nrc, receiver_events_t *events)
{
    const uds_call_t *c = &r->uds.call;
    const bool stream = r->stream.state != STREAM_IDLE;
    *nrc = UDS_OK;
    switch (c->kind) {
    case UDS_CALL_SESSION:
        if (stream && c->id != UDS_DEFAULT_SESSION) *nrc = UDS_CONDITIONS_NOT_CORRECT;
        return true;
    case UDS_CALL_RESET:
        if (stream) *nrc = UDS_CONDITIONS_NOT_CORRECT;
        return true;
    case UDS_CALL_READ: *nrc = read_did(r, c->id); return true;
    case UDS_CALL_WRITE: *nrc = write_did(r, c); return true;
    case UDS_CALL_SEED: *nrc = give_seed(r); return true;
    case UDS_CALL_KEY: *nrc = check_key(r, c); return true;
    case UDS_CALL_ROUTINE: return start_routine(r, c, nrc, events);
    case UDS_CALL_DOWNLOAD: *nrc = download(r, c, events); return true;
    case UDS_CALL_BLOCK:
        ring_commit(&r->ring);
        r->received += c->size;
        return block_done(r, nrc);
    case UDS_CALL_EXIT: return exit_done(r, nrc);
    }
    return true;
}

static bool call_done(receiver_t *r, uds_nrc_t *nrc, receiver_events_t *events)
{
    *nrc = UDS_OK;
    switch (r->uds.call.kind) {
    case UDS_CALL_BLOCK: return block_done(r, nrc);
    case UDS_CALL_EXIT: return exit_done(r, nrc);
    case UDS_CALL_ROUTINE: return routine_done(r, nrc, events);
    case UDS_CALL_SESSION:
    case UDS_CALL_RESET:
    case UDS_CALL_READ:
    case UDS_CALL_WRITE:
    case UDS_CALL_SEED:
    case UDS_CALL_KEY:
    case UDS_CALL_DOWNLOAD: break;
    }
    return true;
}

/// One call after the other, until one takes time.
static receiver_events_t serve(receiver_t *r, uds_server_events_t ev, usec_t now)
{
    receiver_events_t events = RECEIVER_NONE;
    uds_nrc_t nrc;
    for (;;) {
        if (ev & UDS_SERVER_SESSION) events |= give_up(r);
        if (ev & UDS_SERVER_RESET) events |= RECEIVER_RESTART;
        if (!(ev & UDS_SERVER_CALL)) return events;
        r->deferred = !call(r, &nrc, &events);
        if (r->deferred) return events;
        ev = uds_server_answer(&r->uds, nrc, now);
    }
}

// --- From and to the transport ---

void receiver_uds_init(receiver_t *r, usec_t now)
{
    const receiver_cfg_t *cfg = r->cfg;
    r->uds_cfg = (uds_server_cfg_t){
        .dids = dids,
        .routines = routines,
        .did_count = sizeof dids / sizeof dids[0],
        .routine_count = sizeof routines / sizeof routines[0],
        .level = LEVEL,
        .open = cfg->access == NULL,
        .delay_ms = DELAY_MS,
        .p2_ms = cfg->p2_ms,
        .p2_star_ms = cfg->p2_star_ms,
        .s3_ms = cfg->s3_ms,
        .p2_extra_ms = cfg->flash_pause / USEC_MS,
        .memory_size = cfg->ota.layout->slot[next_slot(r)].size,
        .block_max = (uint32_t)smaller(BLOCK_MAX, r->ring.cap / 2 + BLOCK_HEAD),
    };
    uds_server_init(&r->uds, &r->uds_cfg, now);
    if (cfg->functional.functional) isotp_init(&r->functional, &cfg->functional);
}

receiver_events_t receiver_uds_message(receiver_t *r, isotp_events_t ev, usec_t now)
{
    const isotp_rx_t *rx = &r->isotp.rx;
    if ((ev & ISOTP_RX_FAILED) && !(ev & ISOTP_RX_BEGIN)) {
        ring_retract(&r->ring);
        uds_server_break(&r->uds, now);
        return RECEIVER_NONE;
    }
    if (ev & ISOTP_RX_BEGIN) {
        ring_retract(&r->ring);
        uds_server_begin(&r->uds, rx->len, now);
        r->block_size = r->cfg->block_size;
    }
    if (ev & ISOTP_RX_DATA) {
        const uint32_t head = uds_server_data(&r->uds, rx->data, rx->data_len);
        ring_put(&r->ring, rx->data + head, rx->data_len - head);
    }
    if ((ev & ISOTP_RX_BEGIN) && rx->len > LENGTH_MAX) {
        isotp_refuse(&r->isotp, now);
        uds_server_break(&r->uds, now);
    }
    if (!(ev & ISOTP_RX_END)) return RECEIVER_NONE;
    return serve(r, uds_server_end(&r->uds, now), now);
}

receiver_events_t receiver_uds_functional(receiver_t *r, const uint8_t *data, uint32_t len,
                                          usec_t now)
{
    return serve(r, uds_server_functional(&r->uds, data, len, now), now);
}

receiver_events_t receiver_uds_sent(receiver_t *r, usec_t now)
{
    r->responding = r->held = false;
    return serve(r, uds_server_sent(&r->uds, now), now);
}

receiver_events_t receiver_uds_tick(receiver_t *r, usec_t now)
{
    return serve(r, uds_server_tick(&r->uds, now), now);
}

void receiver_uds_pump(receiver_t *r, usec_t now)
{
    uint32_t len;
    const uint8_t *message = uds_server_output(&r->uds, &len);
    if (!message || !isotp_start(&r->isotp, message, len, now)) return;
    uds_server_taken(&r->uds, now);
    r->responding = true;
}

// --- Work ---

bool receiver_uds_busy(const receiver_t *r)
{
    const uint8_t *data;
    if (r->stream.state != STREAM_IDLE) return false;
    return r->deferred || ota_busy(&r->ota) ||
           (r->ota.phase == OTA_OPEN && ring_peek(&r->ring, &data) > 0);
}

receiver_events_t receiver_uds_work(receiver_t *r, usec_t now)
{
    receiver_events_t events = RECEIVER_NONE;
    uds_nrc_t nrc;
    const bool due = !uds_server_can_wait(&r->uds, now + r->cfg->flash_pause, now);
    receiver_uds_pump(r, now);
    r->held = due && r->responding; // else nothing can be done about it
    if (r->held) return events;
    receiver_feed(r);
    if (ota_step(&r->ota) != OTA_OK && r->state == RECEIVER_RECEIVING) {
        ring_clear(&r->ring);
        events |= end(r, receiver_result_of(&r->ota));
    }
    if (!r->deferred || !call_done(r, &nrc, &events)) return events;
    r->deferred = false;
    return events | serve(r, uds_server_answer(&r->uds, nrc, now), now);
}
