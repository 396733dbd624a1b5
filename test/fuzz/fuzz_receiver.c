// fuzz_receiver.c - a fuzzer that is bus, tester, clock and flash of the whole receiver.
// SPDX-License-Identifier: Apache-2.0
//
// Most steps are the next one of an update, by UDS or in a protocol of old, so that it gets far; the others disturb it:
// wrong requests, frames of any kind, lost frames, silence, a flash that fails, power cuts. Whatever happens, the slot
// that runs is not touched, what starts is it or the image that was reported complete, and in the end the device can
// be updated.
//
// links: test/fuzz/esp_parts.c ports/psa/crypto_psa.c
#include "esp_parts.h"
#include "fuzz.h"
#include "ota_boot.h"
#include "receiver.h"

enum { SECTOR = 512, SLOT = 5 * SECTOR, SIZE = 2 * SECTOR + 2 * SLOT, RING = 8192 };

typedef struct {
    fuzz_flash_t f;
    uint8_t mem[SIZE], before[SLOT];
    esp_layout_t layout;
    receiver_cfg_t cfg;
    receiver_t r;
    uint8_t ring[RING];
    usec_t now;
    bool complete; // reported since the device started
    bool on_trial;
    // The tester.
    isotp_cfg_t tester_cfg;
    isotp_t tester;
    uint8_t message[SLOT + 16], answer[512];
    uint32_t answer_len;
    unsigned lossy; // one frame in so many is lost; 0: none
    uint32_t chance;
    uint8_t image[SLOT];
    uint32_t len, at, block;
    unsigned stage;
    uint8_t counter;
} world_t;

static void must(bool right, const char *what)
{
    if (!right) fuzz_fail(what);
}

static uint32_t make_image(uint8_t image[SLOT], int id)
{
    static const uint16_t more[] = { 0, 512, 2000, 108, 624, 1500, 60, 1140 };
    const uint32_t len = more[id % 8];
    memset(image, 0xFF, SLOT);
    fuzz_image(image, (uint8_t)id);
    image[1] = 3;
    store_le32(image + 360, 0x3FC90000);
    store_le32(image + 364, len);
    for (uint32_t i = 0; i < len; i++)
        image[368 + i] = (i / 128 % 3 == 1) ? 0xFF : (uint8_t)(i * 7 + (uint32_t)id);
    const uint32_t whole = fuzz_image_repair(image, SLOT);
    memset(image + whole, 0xFF, SLOT - whole);
    return whole;
}

// --- The device ---

static void start(world_t *w)
{
    static uint8_t image[SLOT];
    ota_boot_t boot;
    const int old = w->cfg.ota.running;
    const bool first = w->now == 0;
    for (int tries = 0; tries < 2; tries++) { // power may fail again
        fuzz_power_on(&w->f);
        ota_boot_choose(&boot, &w->cfg.ota);
        must(boot.slot == 0 || boot.slot == 1, "nothing starts");
        if (!w->f.dead) break;
    }
    const uint8_t *runs = w->mem + w->layout.slot[boot.slot].at;
    const uint32_t len = make_image(image, runs[48]);
    must(memcmp(runs, image, len) == 0, "what starts is not intact");
    must(first || boot.slot == old || w->complete || w->on_trial,
         "another one starts, and none was complete");
    w->cfg.ota.running = boot.slot;
    w->on_trial = boot.on_trial;
    w->complete = false;
    memcpy(w->before, runs, SLOT);
    receiver_init(&w->r, &w->cfg, w->ring, RING, w->now);
}

static void watch(world_t *w, receiver_events_t ev)
{
    if (ev & RECEIVER_COMPLETE) w->complete = true;
    must(memcmp(w->before, w->mem + w->layout.slot[w->cfg.ota.running].at, SLOT) == 0,
         "the slot that runs was touched");
    if (ev & RECEIVER_RESTART || w->f.dead) {
        start(w);
        isotp_init(&w->tester, &w->tester_cfg);
    }
}

// --- The bus ---

static bool lost(world_t *w)
{
    w->chance = w->chance * 1664525 + 1013904223;
    return w->lossy && (w->chance >> 16) % w->lossy == 0;
}

static void hear(world_t *w, const can_frame_t *f)
{
    const isotp_events_t ev = isotp_input(&w->tester, f, w->now);
    if (ev & ISOTP_RX_BEGIN) w->answer_len = 0;
    if (ev & ISOTP_RX_DATA && w->tester.rx.at + w->tester.rx.data_len <= sizeof w->answer) {
        memcpy(&w->answer[w->tester.rx.at], w->tester.rx.data, w->tester.rx.data_len);
        w->answer_len = w->tester.rx.at + w->tester.rx.data_len;
    }
    isotp_proceed(&w->tester, 0, 0, w->now);
}

static bool turn(world_t *w)
{
    bool busy = false;
    const can_frame_t *f = receiver_output(&w->r, w->now);
    if (f) {
        const can_frame_t frame = *f;
        busy = true;
        w->now += 100;
        const receiver_events_t ev = receiver_sent(&w->r, w->now);
        if (!lost(w)) hear(w, &frame);
        watch(w, ev);
    }
    f = isotp_output(&w->tester, w->now);
    if (f) {
        const can_frame_t frame = *f;
        busy = true;
        w->now += 100;
        (void)isotp_sent(&w->tester, w->now);
        if (!lost(w)) watch(w, receiver_input(&w->r, &frame, w->now));
    }
    if (isotp_deadline(&w->tester) <= w->now) (void)isotp_tick(&w->tester, w->now);
    if (receiver_deadline(&w->r) <= w->now) {
        watch(w, receiver_tick(&w->r, w->now));
        busy = true;
    }
    return busy;
}

static bool answered(const world_t *w)
{
    return w->answer_len > 0 &&
           !(w->answer[0] == 0x7F && w->answer_len == 3 && w->answer[2] == 0x78);
}

static void run(world_t *w, usec_t until, bool until_answer)
{
    unsigned turns = 0;
    while (w->now < until && !(until_answer && answered(w))) {
        must(turns++ < 100000, "it does not come to rest");
        if (turn(w)) continue;
        const usec_t next = sooner(receiver_deadline(&w->r), isotp_deadline(&w->tester));
        w->now = later(w->now, sooner(next, until));
    }
}

// --- The tester ---

static void say(world_t *w, const void *bytes, uint32_t len)
{
    if (bytes != w->message) memcpy(w->message, bytes, len);
    isotp_cancel(&w->tester);
    w->answer_len = 0;
    if (isotp_start(&w->tester, w->message, len, w->now)) run(w, w->now + 6000 * USEC_MS, true);
}

static bool says(const world_t *w, uint8_t first)
{
    return w->answer_len > 0 && w->answer[0] == first;
}

static void choose_image(world_t *w, int id)
{
    w->len = make_image(w->image, id);
    w->at = 0;
    w->stage = 0;
}

static void say_block(world_t *w, uint8_t counter, uint32_t at, uint32_t n)
{
    w->message[0] = 0x36;
    w->message[1] = counter;
    memcpy(&w->message[2], w->image + at, n);
    say(w, w->message, n + 2);
}

// One more step of an update by UDS.
static void go_on(world_t *w)
{
    uint8_t download[11] = { 0x34, 0, 0x44 };
    const uint32_t n = (uint32_t)smaller(w->block, w->len - w->at);
    switch (w->stage) {
    case 0:
        say(w, "\x10\x02", 2);
        w->stage = says(w, 0x50);
        break;
    case 1:
        store_be32(&download[3], w->at);
        store_be32(&download[7], w->len - w->at);
        say(w, download, sizeof download);
        w->stage = says(w, 0x74) ? 2 : 0;
        w->counter = 1;
        break;
    case 2:
        say_block(w, w->counter, w->at, n);
        if (says(w, 0x7F)) w->stage = w->at = 0;
        if (!says(w, 0x76)) break;
        w->at += n;
        w->counter++;
        if (w->at == w->len) w->stage = 3;
        break;
    case 3:
        say(w, "\x37", 1);
        w->stage = says(w, 0x77) ? 4 : 0;
        break;
    case 4:
        say(w, "\x31\x01\xFF\x01", 4);
        w->stage = says(w, 0x71) ? 5 : 0;
        break;
    default:
        say(w, "\x11\x01", 2);
        run(w, w->now + 100 * USEC_MS, false);
        choose_image(w, w->image[48] + 1);
        break;
    }
    if (w->stage == 0) w->at = 0;
}

static void find_position(world_t *w)
{
    say(w, "\x31\x01\xF0\x00", 4);
    if (!says(w, 0x71) || w->answer_len != 40) return;
    const uint32_t at = load_be32(&w->answer[4]);
    uint8_t digest[32];
    const crypto_t *c = fuzz_crypto();
    if (at >= w->len || !c->start(c->ctx, CRYPTO_SHA256)) return;
    must(c->update(c->ctx, w->image, at) && c->finish(c->ctx, digest), "no hash");
    if (memcmp(digest, &w->answer[8], 32) != 0) return;
    w->at = at;
    w->stage = 1;
}

static void old_protocol(world_t *w, bool header)
{
    static uint8_t bytes[SLOT + 16];
    static const uint8_t head[8] = { 'O', 'T' };
    memcpy(bytes, head, 8);
    store_le32(&bytes[2], w->len);
    memcpy(&bytes[header ? 8 : 0], w->image, w->len);
    const uint32_t n = w->len + (header ? 8 : 0);
    memcpy(w->message, bytes, n);
    isotp_cancel(&w->tester);
    if (isotp_start(&w->tester, w->message, n, w->now)) run(w, w->now + 3000 * USEC_MS, false);
}

static void any_request(world_t *w, fuzz_bytes_t *in)
{
    static const uint8_t known[][4] = { { 4, 0x31, 1, 0xFF }, { 3, 0x22, 0xFD, 0 },
                                        { 2, 0x3E, 0x80 },    { 2, 0x10, 3 },
                                        { 2, 0x10, 1 },       { 3, 0x22, 0xF1, 0x89 },
                                        { 1, 0x37 },          { 2, 0x11, 1 } };
    const uint8_t *k = known[fuzz_byte(in) % 8];
    uint8_t p[64];
    uint32_t len = k[0];
    memset(p, 0, sizeof p);
    memcpy(p, &k[1], 3);
    const uint8_t more = fuzz_byte(in);
    if (p[0] == 0x31) {
        static const uint8_t rids[][2] = { { 0xFF, 0 }, { 0xFF, 1 }, { 2, 2 },    { 2, 3 },
                                           { 0xF0, 0 }, { 0xF0, 1 }, { 0xF0, 2 }, { 0xF0, 3 } };
        memcpy(&p[2], rids[more % 8], 2);
    } else if (more > 200)
        for (len = 1 + more % 20; len > 0 && in->at < in->end && p[len] == 0; len--)
            p[len] = fuzz_byte(in);
    if (len == 0) len = 2;
    if (p[0] == 0x36) len = 2;
    say(w, p, len);
}

static void any_frame(world_t *w, fuzz_bytes_t *in)
{
    can_frame_t f = { .id = FUZZ_PICK(in, 0x7E0, 0x7E0, 0x7DF, 0x7E8), .len = 8 };
    for (int i = 0; i < 8; i++)
        f.data[i] = fuzz_byte(in);
    watch(w, receiver_input(&w->r, &f, w->now));
}

static void step(world_t *w, fuzz_bytes_t *in)
{
    const uint8_t what = fuzz_byte(in);
    switch (what % 16) {
    default: go_on(w); break;
    case 6: any_request(w, in); break;
    case 7: any_frame(w, in); break;
    case 8: run(w, w->now + fuzz_byte(in) * 50 * USEC_MS, false); break;
    case 9: w->lossy = fuzz_byte(in) % 8 ? 0 : 20; break;
    case 10:
        fuzz_cut(&w->f, fuzz_byte(in), w->chance);
        w->f.survives = what & 0x80;
        break;
    case 11: find_position(w); break;
    case 12: w->image[fuzz_u32(in) % w->len] ^= (uint8_t)(1 << (what >> 5)); break;
    case 13:
        if (what & 0x80)
            say_block(w, fuzz_byte(in), w->at, fuzz_byte(in) % 100);
        else if (what & 0x40)
            old_protocol(w, what & 0x20);
        else
            choose_image(w, fuzz_byte(in));
        break;
    case 14: w->block = 2 + fuzz_byte(in) * 5u; break;
    case 15:
        if (what & 0x80 && w->on_trial)
            w->on_trial = ota_confirm(&w->cfg.ota) != 0;
        else if (what & 0x40)
            start(w);
        break;
    }
    if (w->f.dead) watch(w, RECEIVER_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    static world_t w;
    fuzz_bytes_t in = { data, data + len };
    memset(&w, 0, sizeof w);
    memset(w.mem, 0xFF, sizeof w.mem);
    fuzz_flash_init(&w.f, w.mem, SIZE, SECTOR);
    w.layout.slots = 2;
    w.layout.slot[0] = (esp_extent_t){ 2 * SECTOR, SLOT };
    w.layout.slot[1] = (esp_extent_t){ 2 * SECTOR + SLOT, SLOT };
    w.cfg.isotp = w.cfg.functional = w.tester_cfg = standard;
    w.cfg.isotp.rx_id = w.tester_cfg.tx_id = 0x7E0;
    w.cfg.isotp.tx_id = w.tester_cfg.rx_id = w.cfg.functional.tx_id = 0x7E8;
    w.cfg.functional.rx_id = 0x7DF;
    w.cfg.functional.functional = true;
    w.cfg.ota = (ota_cfg_t){ .flash = &w.f.flash,
                             .crypto = fuzz_crypto(),
                             .layout = &w.layout,
                             .attempts = 3,
                             .chip_id = 5,
                             .chip_rev = 3,
                             .efuse_rev = 100 };
    (void)make_image(w.mem + w.layout.slot[0].at, 0);
    isotp_init(&w.tester, &w.tester_cfg);
    start(&w);
    w.now = 5000;
    w.block = 4093;
    choose_image(&w, 1);
    while (in.at < in.end)
        step(&w, &in);
    // However it stands now: confirmed, and after a while, a proper update on a proper bus works.
    w.lossy = 0;
    w.f.left = 0;
    w.f.survives = false;
    if (w.on_trial && ota_confirm(&w.cfg.ota) == 0) w.on_trial = false;
    run(&w, w.now + 20000 * USEC_MS, false);
    w.block = 1000;
    const int old = w.cfg.ota.running;
    choose_image(&w, w.before[48] + 1);
    for (int i = 0; i < 20 && w.cfg.ota.running == old; i++)
        go_on(&w);
    must(w.cfg.ota.running != old || w.on_trial, "it cannot be updated any more");
    return 0;
}
