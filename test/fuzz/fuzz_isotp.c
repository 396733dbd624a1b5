// fuzz_isotp.c - a fuzzer that is bus, clock, driver and application of one ISO-TP channel.
// SPDX-License-Identifier: Apache-2.0
//
// The first bytes are the configuration, each of the others a step and its details; isotp_watch.h judges every one.
//
// links: test/unit/isotp_watch.c
#include "fuzz.h"
#include "isotp_watch.h"

#include <string.h>

static void configure(isotp_cfg_t *cfg, fuzz_bytes_t *in, bool *strict)
{
    const uint8_t flags = fuzz_byte(in), more = fuzz_byte(in);
    *cfg = (isotp_cfg_t){ .tx_id = 2, .rx_id = 1 };
    cfg->ext = flags & 1;
    cfg->prefixed = flags & 2;
    cfg->functional = (flags & 0x0C) == 0x0C; // seldom: little happens there
    cfg->pad = flags & 0x10;
    cfg->fd = CAN_HAS_FD && (flags & 0x20);
    cfg->brs = cfg->fd && (flags & 0x40);
    *strict = flags & 0x80;
    cfg->tx_address = 0xF1;
    cfg->rx_address = 0x21; // as a PCI byte
    cfg->pad_byte = (more & 8) ? 0xCC : 0;
    static const uint8_t tx_dl[] = { 64, 8, 12, 16, 20, 24, 32, 48 };
    if (cfg->fd) cfg->tx_dl = tx_dl[more & 7];
    cfg->wft_max = (uint8_t)FUZZ_PICK(in, 1, 0, 2, 40, 255);
    cfg->wft_patience = (uint8_t)FUZZ_PICK(in, 0, 1, 2, 255);
    cfg->n_as = FUZZ_PICK(in, 1000000, 1, 30, 100000000);
    cfg->n_ar = FUZZ_PICK(in, 1000000, 1, 20, 100000000);
    cfg->n_bs = FUZZ_PICK(in, 1000000, 1, 50, 100000000);
    cfg->n_cr = FUZZ_PICK(in, 1000000, 1, 40, 100000000);
    cfg->n_br = FUZZ_PICK(in, 700000, 0, 10, 100000000);
    cfg->min_gap = FUZZ_PICK(in, 0, 0, 7, 1000, 200000);
}

static uint8_t any_len(fuzz_bytes_t *in)
{
    static const uint8_t usual[] = { 8, 12, 16, 20, 24, 32, 48, 64 };
    const uint8_t byte = fuzz_byte(in);
    return (byte < 128) ? usual[byte % 8] : (byte & 0x7F);
}

// A frame that may be anything, or differs little from one that fits here and now.
static void frame(const watch_t *w, fuzz_bytes_t *in, can_frame_t *f)
{
    const isotp_cfg_t *cfg = w->cfg;
    const uint8_t kind = fuzz_byte(in), twist = fuzz_byte(in);
    uint8_t *p = f->data + cfg->prefixed;
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < CAN_DATA_MAX; i++)
        f->data[i] = (kind & 0x20) ? cfg->pad_byte : (uint8_t)(i * 3 + twist);
    f->id = cfg->rx_id;
    f->ext = cfg->ext;
    f->fd = cfg->fd;
    f->data[0] = cfg->prefixed ? cfg->rx_address : f->data[0];
    const uint8_t dl = (kind & 0x40) ? any_len(in) : cfg->fd ? 64 : 8;
    const uint8_t room = (uint8_t)(dl - cfg->prefixed);
    f->len = dl;
    switch (kind & 7) {
    case 0: { // the consecutive frame that is awaited
        const uint32_t piece = (uint32_t)smaller(w->rx_cf, w->rx_len - w->rx_got);
        p[0] = (uint8_t)(0x20 | w->rx_sn);
        f->fd = w->rx_fd;
        f->len = (uint8_t)(cfg->prefixed + 1 + piece);
        if (f->len > 8 || (kind & 0x10)) f->len = (uint8_t)(cfg->prefixed + 1 + w->rx_cf);
        if (f->len > CAN_DATA_MAX) f->len = CAN_DATA_MAX;
        break;
    }
    case 1: // First Frame
    case 2: {
        const uint32_t len = (kind & 0x10) ? fuzz_u32(in) : room + (uint32_t)fuzz_byte(in);
        if (len > 4095) {
            p[0] = 0x10;
            p[1] = 0;
            store_be32(p + 2, len);
        } else {
            p[0] = (uint8_t)(0x10 | len >> 8);
            p[1] = (uint8_t)len;
        }
        break;
    }
    case 3: // Single Frame
        p[0] = fuzz_byte(in) & 0x0F;
        if (f->len > 8) {
            p[1] = p[0];
            p[0] = 0;
        }
        if (kind & 0x10) f->len = (uint8_t)(cfg->prefixed + 1 + p[0]);
        break;
    case 4: // CTS
    case 5:
        p[0] = 0x30;
        p[1] = (kind & 0x10) ? 0 : fuzz_byte(in) & 0x0F;
        p[2] = (kind & 0x80) ? fuzz_byte(in) : 0;
        f->len = (uint8_t)(cfg->prefixed + 3);
        if (cfg->pad) f->len = 8;
        break;
    case 6: // any flow control
        p[0] = 0x30 | (fuzz_byte(in) & 0x03);
        p[1] = fuzz_byte(in);
        p[2] = fuzz_byte(in);
        break;
    default: // whatever
        f->id = FUZZ_PICK(in, 1, 1, 1, 2, 0x7FF);
        f->ext = fuzz_byte(in) & 1;
        f->len = fuzz_byte(in);
        for (size_t i = 0; i < 8; i++)
            f->data[i] = fuzz_byte(in);
        break;
    }
    switch (twist) {
    case 1: p[0]++; break;
    case 2: p[0] ^= 0x10; break;
    case 3: f->len--; break;
    case 4: f->len++; break;
    case 5: f->fd = !f->fd; break;
    case 6: f->ext = !f->ext; break;
    case 7: f->data[f->len % CAN_DATA_MAX] ^= 1; break;
    case 8: f->data[0]++; break;
    case 9: f->id++; break;
    default: break;
    }
    f->len %= CAN_DATA_MAX + 1; // longer than that is no frame (can.h)
}

static void input(watch_t *w, fuzz_bytes_t *in, bool strict)
{
    can_frame_t f;
    frame(w, in, &f);
    if (!strict || isotp_well_padded(&w->tp, &f)) (void)watch_input(w, &f);
}

static bool busy(const watch_t *w)
{
    return w->tx != WATCH_TX_IDLE || isotp_deadline(&w->tp) != USEC_NEVER;
}

// Any time may pass while nothing happens; with a message under way, isotp.h asks for a tick every half hour.
static void pass(watch_t *w, usec_t duration)
{
    const usec_t most = UINT32_C(1) << 29;
    if (busy(w) && w->now - w->ticked > most) (void)watch_tick(w);
    for (; busy(w) && duration > most; duration -= most) {
        watch_wait(w, most);
        (void)watch_tick(w);
    }
    watch_wait(w, duration);
}

static void wait(watch_t *w, fuzz_bytes_t *in)
{
    const uint8_t how = fuzz_byte(in);
    const usec_t due = isotp_deadline(&w->tp);
    switch (how & 7) {
    case 0: pass(w, fuzz_byte(in)); break;
    case 1: pass(w, 1000u * fuzz_byte(in)); break;
    case 2: pass(w, fuzz_u32(in)); break;
    case 3: pass(w, (usec_t)fuzz_byte(in) << (fuzz_byte(in) & 31)); break;
    case 4:
        if (due > w->now && due - w->now <= UINT32_MAX) pass(w, due - w->now - 1);
        break;
    default:
        if (due > w->now && due - w->now <= UINT32_MAX) pass(w, due - w->now);
        break;
    }
    if (how < 0xC0) (void)watch_tick(w);
}

static void step(watch_t *w, fuzz_bytes_t *in, bool strict)
{
    switch (fuzz_byte(in) % 20) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: input(w, in, strict); break;
    case 5:
    case 6: wait(w, in); break;
    case 7: (void)watch_start(w, 1u + fuzz_byte(in), false); break;
    case 8: (void)watch_start(w, 1 + fuzz_u32(in) % WATCH_MESSAGE_MAX, false); break;
    case 9: (void)watch_start(w, fuzz_u32(in) | 1, true); break;
    case 10: watch_cancel(w); break;
    case 11: watch_proceed(w, fuzz_byte(in), fuzz_byte(in)); break;
    case 12: watch_proceed(w, 0, 0); break;
    case 13: watch_refuse(w); break;
    case 14: w->ready = !w->ready; break;
    case 15: // the driver takes as much as it can
        while (watch_output(w) && w->taken < ISOTP_IN_FLIGHT_MAX)
            watch_taken(w);
        break;
    case 16:
        if (watch_output(w)) watch_taken(w);
        break;
    case 17: // confirms what it took, or what is offered; or there is nothing to confirm
        (void)watch_output(w);
        (void)watch_sent(w);
        break;
    case 18:
        (void)watch_output(w); // and has no room
        break;
    default: watch_lost(w); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_bytes_t in = { data, data + len };
    isotp_cfg_t cfg;
    bool strict;
    watch_t w;
    watch_fail = fuzz_fail;
    configure(&cfg, &in, &strict);
    // Just before the low half of the clock turns over, or anywhere.
    watch_init(&w, &cfg, (usec_t)fuzz_byte(&in) << 32 | (uint32_t)(0u - 1000u * fuzz_byte(&in)));
    while (in.at < in.end)
        step(&w, &in, strict);
    watch_settle(&w);
    return 0;
}
