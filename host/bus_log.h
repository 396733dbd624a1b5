// bus_log.h - writes the frames of a bus to a file: for can-utils, for Wireshark, for Vector's tools.
// SPDX-License-Identifier: Apache-2.0
//
//     FILE *file = fopen("update.pcap", "wb");
//     bus_log_t log;
//     if (!file) fail("no log");
//     bool ok = bus_log_begin(&log, file, BUS_LOG_PCAP, "can0", wall_clock());
//     ok = bus_log_frame(&log, &frame, true, wall_clock()) && ok; // false: once, errno tells why
//     ok = bus_log_end(&log) && ok;
//
// `.log` is what candump -l writes: (1712230262.015991) can0 7E0#021003. `.pcap` has microseconds and
// LINKTYPE_CAN_SOCKETCAN (227). `.asc` is Vector's, with seconds since the date in its head, which is
// local time; only this one tells sent from received frames.
//
// Each record leaves with one write(): who is killed has a file of whole records, and loses none that
// was reported. That costs one or two microseconds a frame; the shortest lasts 47 at 1 Mbit/s.
//
// Threads: none inside; one caller at a time. Memory: none but stdio's. Time: microseconds of the wall
// clock since 1970, which may be set back meanwhile: the records keep their order.
#ifndef BUS_LOG_H
#define BUS_LOG_H

#include "can.h"
#include <stdio.h>
#include <sys/types.h>

typedef enum { BUS_LOG_UNKNOWN, BUS_LOG_CANDUMP, BUS_LOG_PCAP, BUS_LOG_ASC } bus_log_format_t;

typedef struct {
    FILE *file; // read; NULL: no log, or it failed
    bus_log_format_t format;
    char channel[65];
    usec_t start; // asc: the full second in its head
    off_t whole;  // bytes of complete records
} bus_log_t;

/// By the end of the name, in capitals or not. BUS_LOG_UNKNOWN: none of .log, .pcap and .asc.
bus_log_format_t bus_log_format(const char *path);

/// Writes the head. `file` belongs to the log from now on. `channel` as in bus_cfg_t: `virtual:` and
/// what follows a `?` are left out, as is the folder of a device file, and what cannot stand in a line
/// of candump becomes `_`. False: as bus_log_frame().
bool bus_log_begin(bus_log_t *log, FILE *file, bus_log_format_t format, const char *channel,
                   usec_t now);

/// Adds a frame, `sent` by us or received. False: it could not be written (errno tells); half a record
/// was taken back and the log is closed. Reported once: without a file this does nothing.
bool bus_log_frame(bus_log_t *log, const can_frame_t *frame, bool sent, usec_t now);

/// Closes the file. False: as bus_log_frame().
bool bus_log_end(bus_log_t *log);

#endif
