// world.h - one device and one sender on a virtual bus, in virtual time: for tests of the receiver.
// SPDX-License-Identifier: Apache-2.0
//
// Every frame takes 230 us on the wire, every flash operation as long as the test says; nothing sleeps. The sender is
// an isotp_t of the test's, so it can do what no proper sender would.
#ifndef WORLD_H
#define WORLD_H

#include "crypto_psa.h"
#include "ota_boot.h"
#include "receiver.h"
#include "sim_flash.h"

enum {
    WORLD_SLOT = 0x20000, // bytes of each of the two slots
    WORLD_FLASH = 0x10000 + 2 * WORLD_SLOT,
    WORLD_OTADATA = 0xD000,
};

/// All zeros before its first world_init(), and not to be copied.
typedef struct {
    sim_flash_t nor;
    usec_t now;
    crypto_psa_t psa;
    crypto_t crypto;
    esp_layout_t layout;
    ota_boot_t boot;
    receiver_cfg_t receiver_cfg;
    receiver_t receiver;
    uint8_t ring[65536];
    uint32_t ring_cap;
    isotp_cfg_t sender_cfg;
    isotp_t sender;
    receiver_events_t events; // reported since world_boot() or the test's reset
    unsigned statuses;        // status messages that arrived
    uint8_t status[8];        // the last one
    unsigned replies;         // UDS responses that arrived, 0x78 and others
    unsigned pending;         // of these, 0x78 since the last request
    uint8_t reply[300];       // the last one
    uint32_t reply_len;
    usec_t asked, answered; // when the last request had left; when a frame of a response began last
    usec_t longest_wait;    // from a request or 0x78 to the next response, of all since the reset
    unsigned waits, frames; // FC.WAIT seen, all frames seen
    uint32_t seed;          // of the link's faults
    unsigned lost, doubled; // of a thousand frames, each way; both 0: a perfect link
} world_t;

/// An image from test/vectors/image. The caller frees it.
uint8_t *world_vector(const char *name, uint32_t *len);

/// A device with `image` in ota_0, booted. Ring of `ring_cap` bytes.
void world_init(world_t *w, const char *image, uint32_t ring_cap);

/// Restarts the device; returns the slot that runs. On trial, the application confirms.
int world_boot(world_t *w);

/// Lets `duration` pass while both sides do what they want.
void world_run(world_t *w, usec_t duration);

/// Sends one message. Returns true if it left completely; otherwise w->sender.tx.why tells.
bool world_send(world_t *w, const void *message, uint32_t len);

/// Starts sending and stops after `frames` consecutive frames: the sender is gone.
void world_send_part(world_t *w, const void *message, uint32_t len, unsigned frames);

/// Sends a UDS request and waits for the final response, 30 s at most. Its length, in w->reply; 0: none.
uint32_t world_ask(world_t *w, const void *request, uint32_t len);

/// The same, in hexadecimal digits, and compares: a response that ends with `..` may go on.
void world_expect(world_t *w, const char *request, const char *response);

/// One raw frame to the device.
void world_frame(world_t *w, const void *data, uint8_t len);

/// Sends `bytes` in messages of `message_len`, the last one as long as it happens to be, until a message fails or a
/// status message arrives.
void world_transfer(world_t *w, const void *bytes, uint32_t len, uint32_t message_len);

#endif
