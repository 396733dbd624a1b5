// link.h - our flasher and a device of world.h on one virtual bus, in virtual time: for tests of whole updates.
// SPDX-License-Identifier: Apache-2.0
#ifndef LINK_H
#define LINK_H

#include "flasher.h"
#include "world.h"

/// Not to be copied. The device restarts by itself when it says so.
typedef struct {
    world_t *w;
    flasher_t flasher;
    flasher_cfg_t cfg;
    profile_t profile;
    uint8_t *image;
    flasher_events_t events; // all so far
    usec_t boot_time;        // from a reset to the first frame
    usec_t up;               // when the device listens again; USEC_NEVER: it does not
    unsigned boots;          // restarts so far
    unsigned host_frames;    // frames of the host, all flashers together
    uint32_t host_bytes;     // bytes of the image sent, all flashers together
    usec_t host_time;        // on the wire, of the host's frames
    bool rejects;            // firmware on trial restarts without a confirmation
    bool trial;              // it neither confirms nor restarts
    unsigned die_after;      // the device restarts after so many frames of the host more; 0: never
    bool (*deaf)(void *ctx, const can_frame_t *f, bool to_device); // true: the frame gets lost
    void *ctx;
} link_t;

/// A device that runs `old`, and an image for it. By the built-in profile, or `profile` as text.
void link_init(link_t *l, world_t *w, const char *old, const char *image, const char *profile);
void link_free(link_t *l);

/// Another host, with the same image; what the last one sent is counted.
void link_begin(link_t *l);

/// Until the update is over, or the host has sent `frames` more frames. Returns the events of the end;
/// FLASHER_NONE: it goes on. After FLASHER_SEED it returns, too.
flasher_events_t link_run(link_t *l, unsigned frames);

/// The host is silent for a while.
void link_idle(link_t *l, usec_t duration);

/// The power of the device fails, and comes back.
void link_power_cut(link_t *l);

#endif
