// bus_log_read.h - reads the frames of a recorded bus: candump, pcap or asc, whoever wrote it.
// SPDX-License-Identifier: Apache-2.0
//
//     bus_log_read_t log;
//     if (!bus_log_read_open(&log, "update.pcap")) fail(log.error);
//     while (bus_log_read(&log, &frame, &at))
//         use(&frame, at);
//     if (log.error[0]) fail(log.error); // "update.pcap: offset 24: a record that is cut off"
//     bus_log_read_close(&log);
//
// The content tells the format. `.log`: candump -l, with or without T or R at the end of a line. `.pcap`: micro- or
// nanoseconds, either byte order, LINKTYPE_CAN_SOCKETCAN; not pcapng. `.asc`: hex or decimal, absolute or
// relative times. Remote and error frames, and lines about something else, are skipped.
//
// Threads: none inside. Memory: none but stdio's. Time: microseconds, since 1970 (candump, pcap) or since
// the log's beginning (asc); not always ascending, some programs write what they heard and sent apart.
#ifndef BUS_LOG_READ_H
#define BUS_LOG_READ_H

#include "can.h"
#include <stdio.h>

typedef struct {
    FILE *file;
    char name[120];
    char error[300];  // read: one line, "" if nothing is wrong
    uint32_t skipped; // read: records that are no data frames
    int format;       // private, as is the rest
    uint32_t line;
    uint64_t offset;
    bool big, nano;  // pcap
    bool decimal;    // asc
    bool relative;   // asc: each time counts from the line before
    usec_t previous; // asc
    char begun[4];   // bytes that told the format, still to be read
    unsigned begun_at, begun_len;
} bus_log_read_t;

/// False: `error` says why. "-" is standard input.
bool bus_log_read_open(bus_log_read_t *log, const char *path);

/// The same for an open file, which belongs to the log from now on, also after false.
bool bus_log_read_file(bus_log_read_t *log, FILE *file, const char *name);

/// The next frame. False: there is none, or `error` says what is wrong with the file.
bool bus_log_read(bus_log_read_t *log, can_frame_t *frame, usec_t *at);

void bus_log_read_close(bus_log_read_t *log);

#endif
