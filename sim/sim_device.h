// sim_device.h - a device in a sim_world: receiver, flash, bootloader, restarts.
// SPDX-License-Identifier: Apache-2.0
//
//     sim_device_t d;
//     sim_device_cfg_t cfg = sim_device_esp32;
//     cfg.crypto = &crypto; // its own: ports/psa say; the time it takes is counted by `hash_rate`
//     sim_device_open(&d, &cfg, image, len); // the image that runs
//     sim_device_join(&d, &world, 1);        // and boots
//     while (sim_world_run(&world, until)) handle(d.events);
//     sim_device_close(&d);
//
// Flash: bootloader area, otadata at 0xD000, slots from 0x10000 on. The device restarts by itself when
// the receiver says so, and takes the time that reset, verification and start take.
//
// Threads: none inside. Memory: sim_device_t, the caller's, and its flash, allocated.
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include "ota_boot.h"
#include "receiver.h"
#include "sim_world.h"

enum { SIM_DEVICE_SLOT_AT = 0x10000, SIM_DEVICE_RING = 8192 };

/// What firmware on trial does.
typedef enum {
    SIM_DEVICE_CONFIRMS,
    SIM_DEVICE_CRASHES, // restarts, each time
    SIM_DEVICE_REJECTS, // finds itself broken, and restarts
    SIM_DEVICE_WAITS,   // neither, until somebody tells it to
} sim_device_trial_t;

typedef struct {
    const sim_port_t *port;
    const sim_flash_type_t *flash; // NULL: takes no time
    sim_flash_speed_t speed;
    uint32_t slot_size; // bytes of each of the two slots
    const crypto_t *crypto;
    uint32_t hash_rate; // bytes/s; 0: takes no time
    usec_t boot;        // from reset to the first frame, without verifying the image
    uint32_t rx_id, tx_id, functional_id;
    uint32_t ring;        // bytes, up to SIM_DEVICE_RING
    uint32_t flash_pause; // receiver_cfg_t
    uint8_t block_size, stmin;
    bool fd, brs;
    uint8_t tx_dl;
    sim_device_trial_t trial;
} sim_device_cfg_t;

/// An ESP32-C3 with W25Q flash, IDs 7E0 and 7E8.
extern const sim_device_cfg_t sim_device_esp32;

typedef enum { SIM_DEVICE_OFF, SIM_DEVICE_BOOTING, SIM_DEVICE_ON } sim_device_state_t;

typedef struct {
    sim_device_cfg_t cfg;
    sim_flash_t flash;        // a test may plan a power cut here: it takes effect by itself
    usec_t off_time;          // how long the power stays away then
    sim_flash_fault_t next;   // planned as power cut when the power comes next; n 0: none
    unsigned boots;           // read
    sim_device_state_t state; // read
    bool dead;                // read: nothing left to boot
    unsigned events;          // read: receiver_events_t since they were last set to 0
    receiver_t receiver;      // read, while on
    receiver_cfg_t receiver_cfg;
    ota_boot_t boot; // read: of the last boot
    esp_layout_t layout;
    // private
    sim_world_t *world;
    unsigned node;
    usec_t up; // when it listens; USEC_NEVER: it has no power
    crypto_t crypto;
    uint64_t hashed; // bytes whose time has not been counted yet
    uint8_t ring[SIM_DEVICE_RING];
} sim_device_t;

/// Flash with `image` in slot 0, and 0xFF elsewhere. Not to be copied, nor moved.
void sim_device_open(sim_device_t *d, const sim_device_cfg_t *cfg, const uint8_t *image,
                     uint32_t len);
void sim_device_close(sim_device_t *d);

/// The device becomes that node, and boots. Its controller keeps only frames whose identifiers have the
/// bits that rx_id and functional_id have in common.
void sim_device_join(sim_device_t *d, sim_world_t *w, unsigned node);

/// Power fails now, and is back after `duration`; USEC_NEVER: it stays away until the next call.
void sim_device_cut(sim_device_t *d, usec_t duration);

#endif
