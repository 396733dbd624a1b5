// example.h - the ESP-IDF example that this project began with: its device and its sender, as machines.
// SPDX-License-Identifier: Apache-2.0
//
// What was published of it: an image goes as ISO-TP messages of 4095 bytes, one after the other, and a
// shorter one ends it; BS 8, STmin 1 ms; a loop that looks for a message every millisecond and writes it
// to flash; a CAN interrupt whose code lies in flash, so that it waits while flash is erased or
// written; no answers. Its sender is a Python script that handles the bus, then sleeps for 1 ms.
//
// In its favour: one slot is written from its start, and the transfer ends with the short message (the
// published code never ended it: no update took effect). Logging takes no time, a flow control is never
// lost in arbitration, no message is torn by the one behind it, and nothing is verified.
//
// Threads: none inside. Memory: the structs, the caller's, and the flash, allocated.
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include "isotp.h"
#include "sim_world.h"

enum { EXAMPLE_MESSAGE = 4095, EXAMPLE_BUFFER = 4096, EXAMPLE_SLOT_AT = 0x10000 };

/// ESP32: TWAI keeps 64 bytes for an interrupt that is not cache-safe. A turn of the script: 1 ms of sleep,
/// and what handling the bus takes.
extern const sim_port_t example_port, example_script;

typedef struct {
    sim_flash_t flash;
    isotp_cfg_t cfg;
    isotp_t isotp;
    uint8_t buffer[EXAMPLE_BUFFER];               // of the interrupt
    uint8_t message[EXAMPLE_BUFFER + FLASH_UNIT]; // of the loop
    uint32_t len, to_write, rest;                 // bytes in them; rest: less than a unit of flash
    bool complete, writing, last;
    usec_t next;         // when the loop goes on
    uint32_t at, erased; // in flash
    bool ended;          // read: a short message was written
    unsigned lost;       // read: messages that were not received whole, or overwritten unread
} example_device_t;

/// The device, with a slot of this size, as that node.
void example_device_join(example_device_t *d, sim_world_t *w, unsigned node, uint32_t slot_size);
void example_device_close(example_device_t *d);

typedef struct {
    isotp_cfg_t cfg;
    isotp_t isotp;
    const uint8_t *image;
    uint32_t len;
    uint32_t at;  // read: bytes of the messages that have left, or were given up
    usec_t next;  // no message begins before
    usec_t hold;  // nor does anything leave; 0: it does
    bool sending; // read: one is under way
} example_host_t;

/// The sender as a machine, for a node with example_script. Borrows the image.
machine_t example_host(example_host_t *h, const uint8_t *image, uint32_t len);

/// Bytes handed to the driver so far.
uint32_t example_host_progress(const example_host_t *h);

#endif
