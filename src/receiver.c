// receiver.c - joins isotp, the protocols and ota on the device: see receiver.h.
// SPDX-License-Identifier: Apache-2.0
//
//   IDLE, ERROR  transfer starts             ->  RECEIVING  STARTED
//   RECEIVING    a new one starts            ->  RECEIVING  STARTED: the old one ends without a
//   status message, because
//                                                           the one who would read it now sends
//                                                           something else
//   RECEIVING    anything wrong              ->  ERROR      FAILED, status message
//   RECEIVING    verified and activated      ->  DONE       COMPLETE, status message
//   DONE         the status message has left ->  DONE       RESTART; messages before that are refused
//   ERROR        the status message has left ->  IDLE
#include "receiver_uds.h"

/// How long the next message may take: some adapters need milliseconds each way.
#define QUIET (20 * USEC_MS)

// --- Ends of a transfer ---

// The status message may have to wait until the one of an earlier transfer has left.
static void send_status(receiver_t *r, usec_t now)
{
    r->status_owed = !isotp_start(&r->isotp, r->status, sizeof r->status, now);
}

static void end_transfer(receiver_t *r, receiver_state_t state, receiver_result_t result,
                         usec_t now)
{
    r->state = state;
    r->result = result;
    ota_abort(&r->ota);
    stream_stop(&r->stream);
    isotp_refuse(&r->isotp, now);
    r->status[0] = 'O';
    r->status[1] = 'T';
    r->status[2] = (uint8_t)result;
    r->received = r->stream.total;
    store_le32(&r->status[3], r->received);
    send_status(r, now);
}

static receiver_events_t fail(receiver_t *r, receiver_result_t result, usec_t now)
{
    end_transfer(r, RECEIVER_ERROR, result, now);
    return RECEIVER_FAILED;
}

static receiver_result_t result_of_image(esp_image_err_t err)
{
    switch (err) {
    case ESP_IMAGE_OK:
    case ESP_IMAGE_ERR_MAGIC: return RECEIVER_NOT_AN_IMAGE;
    case ESP_IMAGE_ERR_CHIP: return RECEIVER_WRONG_CHIP;
    case ESP_IMAGE_ERR_CHIP_REV: return RECEIVER_WRONG_REVISION;
    case ESP_IMAGE_ERR_SEGMENTS:
    case ESP_IMAGE_ERR_SEGMENT:
    case ESP_IMAGE_ERR_SLOT:
    case ESP_IMAGE_ERR_ENTRY: return RECEIVER_BAD_STRUCTURE;
    case ESP_IMAGE_ERR_TOO_LARGE: return RECEIVER_TOO_LARGE;
    case ESP_IMAGE_ERR_DESC: return RECEIVER_NO_DESCRIPTOR;
    case ESP_IMAGE_ERR_NO_DIGEST: return RECEIVER_NO_DIGEST;
    case ESP_IMAGE_ERR_CHECKSUM: return RECEIVER_BAD_CHECKSUM;
    case ESP_IMAGE_ERR_DIGEST: return RECEIVER_BAD_DIGEST;
    case ESP_IMAGE_ERR_TRUNCATED: return RECEIVER_INCOMPLETE;
    case ESP_IMAGE_ERR_CRYPTO: return RECEIVER_CRYPTO;
    }
    return RECEIVER_NOT_AN_IMAGE;
}

receiver_result_t receiver_result_of(const ota_t *o)
{
    switch (o->err) {
    case OTA_OK: return RECEIVER_OK;
    case OTA_ERR_IMAGE: return result_of_image(o->image.err);
    case OTA_ERR_TOO_LARGE: return RECEIVER_TOO_LARGE;
    case OTA_ERR_INCOMPLETE: return RECEIVER_INCOMPLETE;
    case OTA_ERR_FLASH: return RECEIVER_FLASH;
    case OTA_ERR_UNCONFIRMED: return RECEIVER_UNCONFIRMED;
    case OTA_ERR_EXHAUSTED: return RECEIVER_EXHAUSTED;
    case OTA_ERR_PROJECT: return RECEIVER_WRONG_PROJECT;
    case OTA_ERR_TOO_OLD: return RECEIVER_TOO_OLD;
    case OTA_ERR_CRYPTO: return RECEIVER_CRYPTO;
    case OTA_ERR_REJECTED: return RECEIVER_REJECTED;
    }
    return RECEIVER_FLASH;
}

static receiver_result_t result_of_stream(stream_why_t why)
{
    switch (why) {
    case STREAM_BROKEN: return RECEIVER_BROKEN;
    case STREAM_SILENT: return RECEIVER_SILENT;
    case STREAM_EXCESS: return RECEIVER_EXCESS;
    case STREAM_OVERRUN: return RECEIVER_OVERRUN;
    }
    return RECEIVER_BROKEN;
}

// --- Events from below ---

static receiver_events_t on_stream(receiver_t *r, stream_events_t ev, usec_t now)
{
    receiver_events_t events = RECEIVER_NONE;
    if (ev & STREAM_STARTED) {
        events |= RECEIVER_STARTED;
        r->state = RECEIVER_RECEIVING;
        r->protocol = (r->stream.kind == STREAM_PLAIN) ? RECEIVER_PLAIN : RECEIVER_HEADER;
        r->activated = false;
        if (ota_begin(&r->ota, r->stream.size) != OTA_OK)
            return events | fail(r, receiver_result_of(&r->ota), now);
    }
    if (ev & STREAM_FAILED) events |= fail(r, result_of_stream(r->stream.why), now);
    if (ev & STREAM_FOREIGN) isotp_refuse(&r->isotp, now);
    return events;
}

// A limit only where the ring cannot hold the message, and then one that never changes: some
// senders believe the first flow control of a message only.
static uint8_t block_size_for(const receiver_t *r)
{
    const isotp_rx_t *rx = &r->isotp.rx;
    const uint32_t room = r->ring.cap - STREAM_RESERVE;
    if (rx->state == ISOTP_RX_IDLE) return 0; // a single frame
    if (r->cfg->block_size == 0 && rx->len <= room) return 0;
    const size_t largest = smaller(UINT8_MAX, room / 2 / rx->cf_len);
    return (uint8_t)(r->cfg->block_size ? smaller(r->cfg->block_size, largest) : largest);
}

static receiver_events_t on_stream_message(receiver_t *r, isotp_events_t ev, usec_t now)
{
    const isotp_rx_t *rx = &r->isotp.rx;
    stream_events_t stream = STREAM_NONE;
    const bool failed = ev & ISOTP_RX_FAILED;
    if (failed && !(ev & ISOTP_RX_BEGIN)) stream |= stream_break(&r->stream);
    if (ev & ISOTP_RX_BEGIN) {
        r->block_size = block_size_for(r);
        stream_begin(&r->stream, rx->len, failed);
    }
    if (ev & ISOTP_RX_DATA) stream |= stream_data(&r->stream, rx->data, rx->data_len);
    if (ev & ISOTP_RX_END) stream |= stream_end(&r->stream, now);
    return on_stream(r, stream, now);
}

// Where ISO 14229-1 has its requests (Table 2).
static bool is_service(uint8_t sid)
{
    return (sid >= 0x10 && sid <= 0x3E) || (sid >= 0x83 && sid <= 0x88) ||
           (sid >= 0xBA && sid <= 0xBE);
}

// In the middle of a stream's transfer any byte may be data; else the first one tells. Neither 0xE9 nor
// 'O' is a request. What is neither is left to the stream if it is long, which refuses it at once: a sender
// whose transfer has failed goes on with such messages.
static bool is_diagnostic(const receiver_t *r)
{
    const isotp_rx_t *rx = &r->isotp.rx;
    const uint8_t first = rx->data[0];
    if (r->stream.state != STREAM_IDLE || first == ESP_IMAGE_MAGIC || first == 'O') return false;
    return is_service(first) || rx->data_len == rx->len;
}

// A tester is at work; or who may update must prove it, for which these protocols have no words.
static bool takes_no_transfer(const receiver_t *r)
{
    return r->uds.session != UDS_DEFAULT_SESSION || r->deferred || r->cfg->access;
}

static receiver_events_t on_message(receiver_t *r, isotp_events_t ev, usec_t now)
{
    receiver_events_t events = RECEIVER_NONE;
    if (!(ev & ISOTP_RX_BEGIN))
        return r->diagnostic ? receiver_uds_message(r, ev, now) : on_stream_message(r, ev, now);
    const bool before = r->diagnostic;
    r->diagnostic = is_diagnostic(r);
    if ((ev & ISOTP_RX_FAILED) && before && !r->diagnostic)
        (void)receiver_uds_message(r, ISOTP_RX_FAILED, now);
    if (r->diagnostic) return receiver_uds_message(r, ev, now);
    if (r->stream.state == STREAM_IDLE && takes_no_transfer(r)) {
        r->diagnostic = true; // nobody's: the rest of it is no transfer's either
        isotp_refuse(&r->isotp, now);
        return events;
    }
    return on_stream_message(r, ev, now);
}

static receiver_events_t on_isotp(receiver_t *r, isotp_events_t ev, usec_t now)
{
    receiver_events_t events = RECEIVER_NONE;
    if (ev & (ISOTP_RX_BEGIN | ISOTP_RX_END | ISOTP_SENT)) r->quiet = now + QUIET;
    if (r->state == RECEIVER_DONE)
        isotp_refuse(&r->isotp, now); // the restart is near
    else
        events = on_message(r, ev, now);
    if (!(ev & (ISOTP_SENT | ISOTP_TX_FAILED))) return events;
    if (r->responding) {
        events |= receiver_uds_sent(r, now);
    } else if (!r->status_owed) {
        if (r->state == RECEIVER_DONE) events |= RECEIVER_RESTART;
        if (r->state == RECEIVER_ERROR) r->state = RECEIVER_IDLE;
    }
    if (r->status_owed) send_status(r, now);
    return events;
}

// The sender may go on when what it sends then will fit, and when no status message of the transfer
// before is left: it must not come behind this flow control.
static void grant(receiver_t *r, usec_t now)
{
    const uint32_t wanted = isotp_wanted(&r->isotp);
    if (r->diagnostic) {
        isotp_proceed(&r->isotp, r->cfg->block_size, r->cfg->stmin, now); // a block has its room
        return;
    }
    if (wanted == 0 || r->isotp.tx.state != ISOTP_TX_IDLE) return;
    const uint32_t block =
        r->block_size ? (uint32_t)smaller(wanted, (size_t)r->block_size * r->isotp.rx.cf_len)
                      : wanted;
    if (block <= stream_room(&r->stream))
        isotp_proceed(&r->isotp, r->block_size, r->cfg->stmin, now);
}

// --- Work: from the ring to the flash, one operation at a time ---

void receiver_feed(receiver_t *r)
{
    const uint8_t *data;
    uint32_t len, used;
    while ((len = ring_peek(&r->ring, &data)) > 0) {
        used = (uint32_t)ota_write(&r->ota, data, len);
        if (used == 0) return;
        ring_drop(&r->ring, used);
    }
}

static bool all_fed(const receiver_t *r)
{
    return r->stream.state == STREAM_ENDING && r->ring.used == 0;
}

static receiver_events_t work(receiver_t *r, usec_t now)
{
    receiver_feed(r);
    if (ota_step(&r->ota) == OTA_OK && r->ota.phase == OTA_OPEN && all_fed(r))
        (void)ota_finish(&r->ota);
    if (r->ota.phase == OTA_VERIFIED && ota_activate(&r->ota) == OTA_OK) {
        end_transfer(r, RECEIVER_DONE, RECEIVER_OK, now);
        return RECEIVER_COMPLETE;
    }
    return (r->ota.err == OTA_OK) ? RECEIVER_NONE : fail(r, receiver_result_of(&r->ota), now);
}

static bool has_work(const receiver_t *r)
{
    const uint8_t *data;
    if (r->state != RECEIVER_RECEIVING || r->protocol == RECEIVER_UDS) return false;
    return ota_busy(&r->ota) || all_fed(r) || ring_peek(&r->ring, &data) > 0;
}

// When the engine may go on; USEC_NEVER: it has nothing to do. No flash operation begins while the other
// side is about to send what we must answer at once: not between two messages, nor before our flow
// control has left. Where nothing comes, not for long.
static usec_t work_due(const receiver_t *r)
{
    if (!has_work(r) && (r->held || !receiver_uds_busy(r))) return USEC_NEVER;
    switch (r->isotp.rx.state) {
    case ISOTP_RX_IDLE: return (r->deferred || r->stream.state == STREAM_ENDING) ? 0 : r->quiet;
    case ISOTP_RX_CTS:
    case ISOTP_RX_GO: return r->quiet;
    case ISOTP_RX_HELD:
    case ISOTP_RX_WAIT: // for room
    case ISOTP_RX_CF: break;
    }
    return 0;
}

// --- The one shape ---

void receiver_init(receiver_t *r, const receiver_cfg_t *cfg, void *ring, uint32_t cap, usec_t now)
{
    memset(r, 0, sizeof *r);
    r->cfg = cfg;
    r->result = RECEIVER_NOTHING_YET;
    isotp_init(&r->isotp, &cfg->isotp);
    ring_init(&r->ring, ring, cap);
    stream_init(&r->stream, &r->ring);
    ota_init(&r->ota, &cfg->ota);
    receiver_uds_init(r, now);
}

static receiver_events_t on_functional(receiver_t *r, const can_frame_t *frame, usec_t now)
{
    const isotp_cfg_t *cfg = &r->cfg->functional;
    if (!cfg->functional || frame->id != cfg->rx_id || frame->ext != cfg->ext) return RECEIVER_NONE;
    const isotp_events_t ev = isotp_input(&r->functional, frame, now);
    if (!(ev & ISOTP_RX_END) || r->state == RECEIVER_DONE) return RECEIVER_NONE;
    return receiver_uds_functional(r, r->functional.rx.data, r->functional.rx.len, now);
}

/// What has become possible.
static void go_on(receiver_t *r, usec_t now)
{
    receiver_uds_pump(r, now);
    grant(r, now);
}

receiver_events_t receiver_input(receiver_t *r, const can_frame_t *frame, usec_t now)
{
    receiver_events_t events = on_functional(r, frame, now);
    events |= on_isotp(r, isotp_input(&r->isotp, frame, now), now);
    go_on(r, now);
    return events;
}

const can_frame_t *receiver_output(receiver_t *r, usec_t now)
{
    return isotp_output(&r->isotp, now);
}

void receiver_taken(receiver_t *r, usec_t now) { isotp_taken(&r->isotp, now); }

receiver_events_t receiver_sent(receiver_t *r, usec_t now)
{
    const receiver_events_t events = on_isotp(r, isotp_sent(&r->isotp, now), now);
    go_on(r, now);
    return events;
}

void receiver_lost(receiver_t *r) { isotp_lost(&r->isotp); }

usec_t receiver_deadline(const receiver_t *r)
{
    usec_t next = sooner(isotp_deadline(&r->isotp), uds_server_deadline(&r->uds));
    next = sooner(next, stream_deadline(&r->stream, ota_complete(&r->ota)));
    return sooner(next, work_due(r));
}

receiver_events_t receiver_tick(receiver_t *r, usec_t now)
{
    receiver_events_t events = on_isotp(r, isotp_tick(&r->isotp, now), now);
    events |= on_stream(r, stream_tick(&r->stream, ota_complete(&r->ota), now), now);
    events |= receiver_uds_tick(r, now);
    if (now >= work_due(r)) events |= has_work(r) ? work(r, now) : receiver_uds_work(r, now);
    go_on(r, now);
    return events;
}
