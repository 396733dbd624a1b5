// rig.h - whole updates in a sim_world: our hosts, simulated devices, and where the time goes.
// SPDX-License-Identifier: Apache-2.0
#ifndef RIG_H
#define RIG_H

#include "bus_log.h"
#include "example.h"
#include "rig_host.h"
#include "sim_device.h"

enum { RIG_DEVICES = 8 };

typedef enum {
    RIG_RANDOM, // bytes, as compressed data has them
    RIG_PADDED, // the same, but every fourth page is 0xFF
    RIG_ZEROS,  // the most stuff bits
} rig_content_t;

/// 0 and NULL: the usual. The device is node 1 and so on, the host node 0.
typedef struct {
    rig_protocol_t protocol;
    bool example;                   // device and sender of example.h: one device, classic CAN
    uint32_t bitrate, data_bitrate; // data_bitrate: CAN FD
    uint32_t image_len;             // about
    rig_content_t content;
    uint64_t fill;        // seed of the content
    const uint8_t *image; // image_len bytes instead; with another version they are the old image
    const sim_flash_type_t *flash;
    sim_flash_speed_t speed;
    unsigned wear; // of the slot's sectors, in erases
    const sim_port_t *host, *device;
    uint8_t block_size, stmin;
    unsigned traffic; // per cent
    uint32_t loss;    // frames in a million, lost at each node
    unsigned devices;
    uint64_t seed;
    const char *profile;
    bus_log_t *log;
} rig_cfg_t;

/// Where the time went; they add up to `time`.
typedef struct {
    nsec_t data;    // frames with bytes of the image
    nsec_t flow;    // flow control
    nsec_t other;   // other frames of ours
    nsec_t traffic; // frames of others
    nsec_t errors;  // error frames
    nsec_t flash;   // bus idle but not for the host's gaps, device blocked by flash
    nsec_t device;  // the same, it computes (hash, mostly)
    nsec_t restart; // bus idle, or frames that nobody hears: device restarts
    nsec_t idle;    // bus idle otherwise: latencies, timers
} rig_budget_t;

typedef struct {
    bool done;          // all devices run the image, and the hosts say so
    unsigned why;       // flasher_why_t or sender_why_t of the first that failed
    nsec_t time, limit; // limit: the image in consecutive frames back to back
    rig_budget_t budget;
    nsec_t flash_time; // of the devices, in all, since the hosts began
    unsigned overrun, lost;
    unsigned messages_lost; // example
    uint64_t frames;
    uint32_t len;  // of the image
    uint32_t sent; // bytes of it sent, to all devices
} rig_result_t;

/// Called every so often with the bytes that the device has; NULL: not.
typedef void rig_progress_t(void *ctx, nsec_t time, uint32_t bytes);

void rig_run(const rig_cfg_t *given, rig_result_t *result, rig_progress_t *progress, void *ctx);

#endif
