// fuzz_flasher.c - a fuzzer that is the device, the bus, the driver and the clock of the flasher.
// SPDX-License-Identifier: Apache-2.0
//
// The first byte chooses the profile, the others decide what comes back: mostly what a device would say, so that the
// update gets far, else a refusal, "response pending", something else, or nothing. When the input is over nobody answers
// any more. The flasher must come to an end, in bounded time, and may report success only if the device has said
// that it runs the image.
//
// links: host/flasher.c host/flasher_steps.c host/profile.c host/profile_text.c ports/psa/crypto_psa.c
// max_len: 800
#include "crypto_psa.h"
#include "flasher.h"
#include "fuzz.h"

enum { IMAGE_LEN = 700, SLOT_LEN = 101, ANSWER_MAX = 128, OVER = FLASHER_DONE | FLASHER_FAILED };
#define LONGEST (UINT64_C(4000) * 1000 * USEC_MS)

static const char version[] = "2.0";

typedef struct {
    fuzz_bytes_t in;
    usec_t now;
    profile_t profile;
    flasher_cfg_t cfg;
    flasher_t f;
    isotp_cfg_t cfg_device;
    isotp_t device;
    uint8_t request[ANSWER_MAX], answer[ANSWER_MAX];
    uint32_t request_len, request_at;
    bool reset, over, driver_off;
    bool says_new;   // the device said that it runs the image
    unsigned flying; // frames the driver has
    flasher_events_t events;
} world_t;

static uint8_t image[IMAGE_LEN], digest[FLASHER_DIGEST_LEN];

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

// --- The device ---

static uint32_t put_text(uint8_t *to, const char *text)
{
    uint32_t len = 0;
    for (; text[len]; len++)
        to[len] = (uint8_t)text[len];
    return len;
}

/// What a device says about itself; sometimes that it runs the image.
static uint32_t identify(world_t *w, uint16_t did, uint8_t *to)
{
    static const uint8_t slots[] = { 2, 0, 1, 2, 0, 0, 0x10, 0, 0xFF, 0, 0, 0x10, 0 };
    const uint8_t how = fuzz_byte(&w->in);
    const bool is_new = w->reset && how & 1;
    switch (did) {
    case UDS_DID_SLOTS: memcpy(to, slots, sizeof slots); return sizeof slots;
    case UDS_DID_RUNNING:
        to[0] = is_new;
        to[1] = (how & 6) == 6 ? how >> 4 & 3 : 2;
        memset(&to[2], 0xAB, FLASHER_DIGEST_LEN);
        if (is_new) memcpy(&to[2], digest, FLASHER_DIGEST_LEN);
        return 2 + FLASHER_DIGEST_LEN;
    case UDS_DID_NEXT_SLOT: // the image's version and project, or something else, or nothing
        memset(to, 0, SLOT_LEN);
        if (how & 1) memcpy(&to[SLOT_LEN - 64], &image[48], 64);
        to[SLOT_LEN - 1] ^= how & 2;
        return SLOT_LEN;
    case UDS_DID_SESSION: to[0] = w->reset ? 1 : 2; return 1;
    case UDS_DID_SOFTWARE_VERSION: return put_text(to, is_new ? version : "1.0");
    case UDS_DID_RESULT:
        to[0] = how;
        store_be32(&to[1], (how & 3) == 0 ? how : (how & 3) == 1 ? w->f.at + w->f.piece : w->f.at);
        return 5;
    default: return put_text(to, "\x01text");
    }
}

static uint32_t routine(world_t *w, uint16_t rid, uint8_t *to)
{
    if (rid != UDS_RID_DOWNLOAD_POSITION) {
        to[0] = fuzz_byte(&w->in) > 250;
        return 1;
    }
    const uint32_t at = fuzz_byte(&w->in) & 1 ? 0 : fuzz_byte(&w->in) * 4U;
    const crypto_t *c = w->cfg.crypto;
    store_be32(to, at);
    (void)c->start(c->ctx, CRYPTO_SHA256);
    (void)c->update(c->ctx, image, at < IMAGE_LEN ? at : IMAGE_LEN);
    (void)c->finish(c->ctx, &to[4]);
    to[4] ^= fuzz_byte(&w->in) > 230;
    return 4 + CRYPTO_SHA256_LEN;
}

/// What a device would say. Returns its length.
static uint32_t proper_answer(world_t *w, uint8_t *a)
{
    const uint8_t *q = w->request;
    memcpy(a, q, 4);
    a[0] |= UDS_POSITIVE;
    switch (q[0]) {
    case UDS_SESSION_CONTROL:
        a[1] &= 0x7F;
        store_be32(&a[2], 0x003201F4);
        return 6;
    case UDS_READ_DID: return 3 + identify(w, (uint16_t)(q[1] << 8 | q[2]), &a[3]);
    case UDS_SECURITY_ACCESS:
        if (q[1] % 2 == 0) return 2;
        memset(&a[2], fuzz_byte(&w->in) & 1, 16);
        return 18;
    case UDS_WRITE_DID: return 3;
    case UDS_ROUTINE_CONTROL: return 4 + routine(w, (uint16_t)(q[2] << 8 | q[3]), &a[4]);
    case UDS_REQUEST_DOWNLOAD:
        a[1] = 0x20;
        a[2] = fuzz_byte(&w->in) & 3;
        a[3] = fuzz_byte(&w->in);
        return 4;
    case UDS_TRANSFER_EXIT: return 1;
    case UDS_ECU_RESET: w->reset = true; return 2;
    default: return 2;
    }
}

/// By the bytes that go out: the image runs.
static bool shows_new(const world_t *w, const uint8_t *a, uint32_t len)
{
    const bool running = w->profile.result_did != 0;
    const uint16_t did = running ? UDS_DID_RUNNING : UDS_DID_SOFTWARE_VERSION;
    if (len < 6 || a[0] != (UDS_READ_DID | UDS_POSITIVE) || a[1] != did >> 8 ||
        a[2] != (did & 0xFF))
        return false;
    if (!running) return memcmp(&a[3], version, sizeof version - 1) == 0;
    return len >= 5 + sizeof digest && memcmp(&a[5], digest, sizeof digest) == 0;
}

static void answer(world_t *w)
{
    uint8_t *a = w->answer;
    const uint8_t how = fuzz_byte(&w->in);
    uint32_t len = proper_answer(w, a);
    if (w->in.at >= w->in.end) return;
    if (how >= 216) { // refused, or not yet
        a[0] = UDS_NEGATIVE;
        a[1] = w->request[0];
        a[2] = (how < 230)   ? UDS_RESPONSE_PENDING
               : (how < 236) ? UDS_BUSY_REPEAT_REQUEST
                             : fuzz_byte(&w->in);
        len = UDS_NEGATIVE_LEN;
    } else if (how >= 208) {
        a[fuzz_byte(&w->in) % len] ^= fuzz_byte(&w->in);
    } else if (how >= 200) {
        len = 1 + fuzz_byte(&w->in) % len;
    }
    if (how % 50 == 49) return;
    if (shows_new(w, a, len)) w->says_new = true;
    (void)isotp_start(&w->device, a, len, w->now);
}

static void to_device(world_t *w, const can_frame_t *frame)
{
    const isotp_events_t ev = isotp_input(&w->device, frame, w->now);
    const isotp_rx_t *rx = &w->device.rx;
    if (ev & ISOTP_RX_BEGIN) w->request_len = rx->len;
    if (ev & ISOTP_RX_DATA && rx->at < sizeof w->request)
        memcpy(&w->request[rx->at], rx->data, smaller(rx->data_len, sizeof w->request - rx->at));
    isotp_proceed(&w->device, 0, 0, w->now);
    if (ev & ISOTP_RX_END) answer(w);
}

// --- The flasher ---

static void take(world_t *w, flasher_events_t ev)
{
    w->events |= ev;
    if (ev & FLASHER_SEED) {
        static const uint8_t key[16] = { 1 };
        w->events |= flasher_unlock(&w->f, key, sizeof key, w->now);
    }
    const flasher_events_t over = w->events & OVER;
    if (!over || w->over) return;
    w->over = true;
    must(over != OVER, "both done and failed");
    must(w->f.state == FLASHER_OVER, "over, and not over");
    must((over == FLASHER_DONE) == (w->f.why == FLASHER_OK),
         "done for a reason, or failed for none");
    if (over == FLASHER_DONE)
        must(!w->f.unverified && w->says_new, "success that nobody has shown");
}

/// What both sides have to send. False: nothing any more.
static bool frames(world_t *w)
{
    const can_frame_t *out;
    bool any = false;
    while (w->flying > 0) {
        w->flying--;
        take(w, flasher_sent(&w->f, w->now));
    }
    for (unsigned n = 0; n < 40 && !w->driver_off && (out = flasher_output(&w->f, w->now)); n++) {
        const can_frame_t frame = *out;
        const uint8_t how = fuzz_byte(&w->in);
        any = true;
        if (how == 255) { // no room now
            w->driver_off = true;
            break;
        }
        if (how == 254) {
            flasher_taken(&w->f, w->now);
            flasher_lost(&w->f);
            continue;
        }
        if (how == 253) {
            flasher_taken(&w->f, w->now);
            w->flying++;
        } else {
            take(w, flasher_sent(&w->f, w->now));
        }
        if (how != 252 && frame.id == w->cfg_device.rx_id) to_device(w, &frame);
    }
    for (unsigned n = 0; n < 40 && (out = isotp_output(&w->device, w->now)); n++) {
        const can_frame_t frame = *out;
        any = true;
        (void)isotp_sent(&w->device, w->now);
        const uint8_t how = fuzz_byte(&w->in);
        if (how == 255) continue; // lost
        take(w, flasher_input(&w->f, &frame, w->now));
        if (how == 254) take(w, flasher_input(&w->f, &frame, w->now));
    }
    return any && !w->over;
}

static void noise(world_t *w)
{
    can_frame_t frame = { .id = FUZZ_PICK(&w->in, 0x7E8, 0x7E8, 0x7E8, 0x7E0), .len = 8 };
    for (int i = 0; i < 8; i++)
        frame.data[i] = fuzz_byte(&w->in);
    w->says_new = true; // for all we know
    take(w, flasher_input(&w->f, &frame, w->now));
}

static void time_passes(world_t *w)
{
    w->driver_off = false;
    const usec_t deadline = sooner(flasher_deadline(&w->f), isotp_deadline(&w->device));
    if (deadline == USEC_NEVER) {
        const bool waits = w->flying > 0 || isotp_output(&w->device, w->now) ||
                           flasher_output(&w->f, w->now); // for the driver
        must(waits || w->f.state == FLASHER_OVER, "nothing will ever happen");
        return;
    }
    w->now = later(w->now + 200, deadline);
    (void)isotp_tick(&w->device, w->now);
    take(w, flasher_tick(&w->f, w->now));
}

static void prepare(world_t *w)
{
    static crypto_psa_t psa;
    static crypto_t crypto;
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    char error[200];
    if (!crypto.ctx) must(crypto_psa_init(&psa, &crypto), "no crypto");
    for (uint32_t i = 0; i < IMAGE_LEN; i++)
        image[i] = (uint8_t)(i * 7);
    memset(digest, 0x5D, sizeof digest);
    const char *text = profile_builtin(fuzz_byte(&w->in) & 1 ? "standard" : "isotp-ota");
    must(profile_parse(&w->profile, "p", text, strlen(text), error, sizeof error), "a profile");
    w->cfg = (flasher_cfg_t){
        .isotp = standard, .functional = standard, .profile = &w->profile, .crypto = &crypto
    };
    w->cfg.isotp.tx_id = 0x7E0;
    w->cfg.isotp.rx_id = 0x7E8;
    w->cfg.functional.tx_id = 0x7DF;
    w->cfg.functional.rx_id = 0x7E8;
    w->cfg.functional.functional = true;
    w->cfg.image = (flasher_image_t){ .bytes = image, .len = IMAGE_LEN, .version = version };
    memcpy(w->cfg.image.digest, digest, sizeof digest);
    w->cfg_device = standard;
    w->cfg_device.tx_id = 0x7E8;
    w->cfg_device.rx_id = 0x7E0;
    isotp_init(&w->device, &w->cfg_device);
    w->now = 1000;
    flasher_init(&w->f, &w->cfg, w->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static world_t w;
    memset(&w, 0, sizeof w);
    w.in = (fuzz_bytes_t){ data, data + len };
    prepare(&w);
    for (unsigned turns = 0; !w.over; turns++) {
        must(turns < 400000 && w.now < LONGEST, "an update without end");
        const uint8_t step = fuzz_byte(&w.in);
        if (step == 255) noise(&w);
        if (step == 254 && w.f.state != FLASHER_OVER)
            take(&w, flasher_stop(&w.f, FLASHER_STOPPED, w.now));
        while (frames(&w))
            continue;
        if (!w.over) time_passes(&w);
    }
    must(w.f.sent <= 5 * IMAGE_LEN + 5 * 4095, "more bytes than an update may cost");
    must(flasher_output(&w.f, w.now) == NULL && flasher_deadline(&w.f) == USEC_NEVER,
         "it goes on after its end");
    return 0;
}
