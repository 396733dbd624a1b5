// rig_host.h - our hosts as machines for a sim_world, and images for them to send.
// SPDX-License-Identifier: Apache-2.0
#ifndef RIG_HOST_H
#define RIG_HOST_H

#include "flasher.h"
#include "image_build.h"
#include "machine.h"
#include "sender.h"

typedef enum { RIG_UDS, RIG_HEADER, RIG_PLAIN } rig_protocol_t;

/// Its machine's events.
enum { RIG_DONE = FLASHER_DONE, RIG_FAILED = FLASHER_FAILED };
_Static_assert((int)RIG_DONE == SENDER_DONE && (int)RIG_FAILED == SENDER_FAILED, "the same");

/// Allocated.
typedef struct {
    uint8_t *bytes;
    uint32_t len;
} rig_image_t;

/// About `len` bytes; spec: all but the length of the first segment.
rig_image_t rig_image(const image_spec_t *spec, uint32_t len);

typedef struct {
    rig_protocol_t protocol;
    const profile_t *profile; // uds
    const crypto_t *crypto;
    uint32_t tx_id, rx_id;
    bool fd;
    bool no_resume;
} rig_host_cfg_t;

/// Not to be copied.
typedef struct {
    rig_protocol_t protocol;
    flasher_cfg_t flasher_cfg;
    flasher_t flasher; // read; uds
    sender_cfg_t sender_cfg;
    sender_t sender; // read; header and plain
    uint8_t *wrapped;
} rig_host_t;

/// Begins to send an image, which it borrows until rig_host_end(). That frees.
machine_t rig_host_begin(rig_host_t *h, const rig_host_cfg_t *cfg, const rig_image_t *image,
                         usec_t now);
void rig_host_end(rig_host_t *h);

/// flasher_why_t or sender_why_t.
unsigned rig_host_why(const rig_host_t *h);

/// Bytes of the image the device has; and how many were sent, repeated ones included.
uint32_t rig_host_progress(const rig_host_t *h);
uint32_t rig_host_sent(const rig_host_t *h);

#endif
