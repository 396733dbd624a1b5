// example.c - the ESP-IDF example that this project began with: see example.h.
// SPDX-License-Identifier: Apache-2.0
#include "example.h"

enum { BLOCK_SIZE = 8, STMIN_MS = 1, PAGE = SIM_FLASH_PAGE };

#define POLL (1 * USEC_MS)
// Between two calls of the flash driver interrupts that waited are served.
#define BETWEEN_CALLS 50
// The sender begins a message, and goes on after a flow control, a sleep later.
#define SLEEP (1 * USEC_MS)

const sim_port_t example_port = {
    .name = "example",
    .fifo = 64,
    .interrupt = 10 * NSEC_US,
    .queue = 64, // what reaches the machine is handled in the interrupt
    .call = 5 * NSEC_US,
    .mailboxes = 1,
};
const sim_port_t example_script = {
    .name = "script",
    .fifo = UINT32_MAX,
    .interrupt = 50 * NSEC_US,
    .cache_safe = true,
    .queue = 4096,
    .period = 1100 * NSEC_US,
    .mailboxes = 10,
    .send = 50 * NSEC_US,
};

static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;

// --- The device: input() and what it calls is the interrupt, tick() the loop ---

static unsigned example_device_input(example_device_t *d, const can_frame_t *frame, usec_t now)
{
    const isotp_events_t ev = isotp_input(&d->isotp, frame, now);
    const isotp_rx_t *rx = &d->isotp.rx;
    if (ev & ISOTP_RX_FAILED) d->lost++;
    if (ev & ISOTP_RX_BEGIN) {
        d->lost += d->complete; // nobody asked for it yet: overwritten
        d->complete = false;
        d->len = rx->len;
    }
    if (ev & ISOTP_RX_DATA && rx->len <= sizeof d->buffer)
        memcpy(&d->buffer[rx->at], rx->data, rx->data_len);
    if (ev & ISOTP_RX_END && rx->len <= sizeof d->buffer) {
        d->complete = true;
        if (!d->writing) d->next = later(d->next, (now / POLL + 1) * POLL);
    }
    if (isotp_wanted(&d->isotp)) isotp_proceed(&d->isotp, BLOCK_SIZE, STMIN_MS, now);
    return ev;
}

static const can_frame_t *example_device_output(example_device_t *d, usec_t now)
{
    return isotp_output(&d->isotp, now);
}

static void example_device_taken(example_device_t *d, usec_t now) { isotp_taken(&d->isotp, now); }

static unsigned example_device_sent(example_device_t *d, usec_t now)
{
    return isotp_sent(&d->isotp, now);
}

static void example_device_lost(example_device_t *d) { isotp_lost(&d->isotp); }

static usec_t example_device_deadline(const example_device_t *d)
{
    const usec_t loop = (d->complete || d->writing) ? d->next : USEC_NEVER;
    return sooner(loop, isotp_deadline(&d->isotp));
}

// esp_ota_write() erases sectors when they are first touched, then writes; the cache is off during each
// erase, and during all of the write. Bytes that do not fill a unit of flash wait for the next write: that
// is a rule of sim_flash, and of no weight.
static void write_some(example_device_t *d)
{
    const flash_t *f = &d->flash.flash;
    if (d->at + d->to_write > d->erased) {
        (void)f->erase(f->ctx, d->erased);
        d->erased += f->sector_size;
        d->next = *d->flash.clock + BETWEEN_CALLS;
        return;
    }
    for (uint32_t at = 0, len; at < d->to_write; at += len) {
        len = (uint32_t)smaller(d->to_write - at, PAGE - (d->at + at) % PAGE);
        (void)f->prog(f->ctx, d->at + at, &d->message[at], len);
    }
    memmove(d->message, &d->message[d->to_write], FLASH_UNIT);
    d->at += d->to_write;
    d->writing = false;
    d->ended = d->last;
    d->next = (*d->flash.clock / POLL + 1) * POLL;
}

static void take_message(example_device_t *d)
{
    const uint32_t len = d->rest + d->len;
    memcpy(&d->message[d->rest], d->buffer, d->len);
    memset(&d->message[len], 0xFF, sizeof d->message - len);
    d->last = d->len < EXAMPLE_MESSAGE;
    d->to_write = (len + (d->last ? FLASH_UNIT - 1 : 0)) / FLASH_UNIT * FLASH_UNIT;
    d->rest = len % FLASH_UNIT;
    d->complete = false;
    d->writing = true;
}

static unsigned example_device_tick(example_device_t *d, usec_t now)
{
    const isotp_events_t ev = isotp_tick(&d->isotp, now);
    if (ev & ISOTP_RX_FAILED) d->lost++;
    if (now < d->next || d->ended) return ev;
    if (d->writing)
        write_some(d);
    else if (d->complete)
        take_message(d);
    return ev | ISOTP_RX_END; // so that the caller looks
}

MACHINE_VERBS(example_device);

void example_device_join(example_device_t *d, sim_world_t *w, unsigned node, uint32_t slot_size)
{
    const machine_t machine = MACHINE(example_device, d);
    d->cfg = standard;
    d->cfg.tx_id = 0x7E8;
    d->cfg.rx_id = 0x7E0;
    d->cfg.n_cr = 100 * USEC_MS;
    isotp_init(&d->isotp, &d->cfg);
    sim_flash_open(&d->flash, EXAMPLE_SLOT_AT + slot_size, 4096);
    d->at = d->erased = EXAMPLE_SLOT_AT;
    sim_world_join(w, node, &example_port, &machine);
    w->node[node].flash = &d->flash;
    d->flash.clock = &w->node[node].clock;
}

void example_device_close(example_device_t *d) { sim_flash_close(&d->flash); }

// --- The sender ---

static unsigned example_host_input(example_host_t *h, const can_frame_t *frame, usec_t now)
{
    const bool cts = frame->id == h->cfg.rx_id && frame->data[0] == 0x30;
    if (cts) h->hold = now + SLEEP; // the script's library
    return isotp_input(&h->isotp, frame, now);
}

static const can_frame_t *example_host_output(example_host_t *h, usec_t now)
{
    return h->hold ? NULL : isotp_output(&h->isotp, now);
}

static void over(example_host_t *h, isotp_events_t ev, usec_t now)
{
    if (!(ev & (ISOTP_SENT | ISOTP_TX_FAILED))) return;
    h->sending = false;
    h->at += (uint32_t)smaller(EXAMPLE_MESSAGE, h->len - h->at);
    h->next = now + SLEEP;
}

// Python's send() does not wait until the frame is on the bus.
static void example_host_taken(example_host_t *h, usec_t now)
{
    over(h, isotp_sent(&h->isotp, now), now);
}

static unsigned example_host_sent(example_host_t *h, usec_t now)
{
    (void)h;
    (void)now;
    return 0;
}

static void example_host_lost(example_host_t *h) { isotp_lost(&h->isotp); }

static usec_t example_host_deadline(const example_host_t *h)
{
    if (h->hold) return h->hold;
    return (h->sending || h->at == h->len) ? isotp_deadline(&h->isotp) : h->next;
}

static unsigned example_host_tick(example_host_t *h, usec_t now)
{
    if (now >= h->hold) h->hold = 0;
    over(h, isotp_tick(&h->isotp, now), now); // whatever came of it, the next one follows
    if (!h->sending && h->at < h->len && now >= h->next) {
        const uint32_t len = (uint32_t)smaller(EXAMPLE_MESSAGE, h->len - h->at);
        h->sending = isotp_start(&h->isotp, &h->image[h->at], len, now);
    }
    return 0;
}

MACHINE_VERBS(example_host);

machine_t example_host(example_host_t *h, const uint8_t *image, uint32_t len)
{
    *h = (example_host_t){ .cfg = standard, .image = image, .len = len };
    h->cfg.tx_id = 0x7E0;
    h->cfg.rx_id = 0x7E8;
    isotp_init(&h->isotp, &h->cfg);
    return MACHINE(example_host, h);
}

uint32_t example_host_progress(const example_host_t *h)
{
    return h->at + (h->sending ? h->isotp.tx.at : 0);
}
