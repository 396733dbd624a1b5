// rig_host.c - our hosts as machines for a sim_world: see rig_host.h.
// SPDX-License-Identifier: Apache-2.0
#include "rig_host.h"

#include "crc32.h"

#include <stdlib.h>

MACHINE_VERBS(flasher);
MACHINE_VERBS(sender);

rig_image_t rig_image(const image_spec_t *spec, uint32_t len)
{
    enum { BESIDES = 512, SPARE = 4096 };
    image_spec_t s = *spec;
    rig_image_t image = { .bytes = malloc(len + SPARE) };
    if (!image.bytes) abort();
    s.segment[0].len = (len - BESIDES) & ~UINT32_C(3);
    image.len = (uint32_t)image_build_large(&s, image.bytes, len + SPARE);
    return image;
}

static isotp_cfg_t channel(const rig_host_cfg_t *cfg)
{
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    isotp_cfg_t c = standard;
    c.tx_dl = cfg->fd ? 64 : 8;
    c.fd = c.brs = cfg->fd;
    c.tx_id = cfg->tx_id;
    c.rx_id = cfg->rx_id;
    return c;
}

static machine_t begin_uds(rig_host_t *h, const rig_host_cfg_t *cfg, const rig_image_t *image,
                           usec_t now)
{
    enum { VERSION_AT = 48 };
    flasher_cfg_t *c = &h->flasher_cfg;
    *c = (flasher_cfg_t){ .isotp = channel(cfg),
                          .functional = channel(cfg),
                          .profile = cfg->profile,
                          .crypto = cfg->crypto,
                          .no_resume = cfg->no_resume };
    c->functional.tx_id = 0x7DF;
    c->functional.functional = true;
    c->image = (flasher_image_t){ .bytes = image->bytes,
                                  .len = image->len,
                                  .crc32 = crc32_of(0xFFFFFFFF, image->bytes, image->len),
                                  .version = (const char *)&image->bytes[VERSION_AT] };
    memcpy(c->image.digest, &image->bytes[image->len - FLASHER_DIGEST_LEN], FLASHER_DIGEST_LEN);
    flasher_init(&h->flasher, c, now);
    return MACHINE(flasher, &h->flasher);
}

static machine_t begin_stream(rig_host_t *h, const rig_host_cfg_t *cfg, const rig_image_t *image,
                              usec_t now)
{
    const sender_protocol_t protocol = (cfg->protocol == RIG_PLAIN) ? SENDER_PLAIN : SENDER_HEADER;
    uint32_t total;
    h->sender_cfg = (sender_cfg_t){ .isotp = channel(cfg),
                                    .attempts = SENDER_ATTEMPTS,
                                    .status_timeout = SENDER_STATUS_TIMEOUT };
    h->wrapped = sender_wrap(protocol, image->bytes, image->len, &total);
    if (!h->wrapped) abort();
    sender_init(&h->sender, &h->sender_cfg, h->wrapped, total, now);
    return MACHINE(sender, &h->sender);
}

machine_t rig_host_begin(rig_host_t *h, const rig_host_cfg_t *cfg, const rig_image_t *image,
                         usec_t now)
{
    memset(h, 0, sizeof *h);
    h->protocol = cfg->protocol;
    return (cfg->protocol == RIG_UDS) ? begin_uds(h, cfg, image, now)
                                      : begin_stream(h, cfg, image, now);
}

void rig_host_end(rig_host_t *h)
{
    free(h->wrapped);
    h->wrapped = NULL;
}

unsigned rig_host_why(const rig_host_t *h)
{
    return (h->protocol == RIG_UDS) ? h->flasher.why : (unsigned)h->sender.why;
}

uint32_t rig_host_progress(const rig_host_t *h)
{
    return (h->protocol == RIG_UDS) ? flasher_progress(&h->flasher) : sender_progress(&h->sender);
}

uint32_t rig_host_sent(const rig_host_t *h)
{
    return (h->protocol == RIG_UDS) ? h->flasher.sent : sender_progress(&h->sender);
}
