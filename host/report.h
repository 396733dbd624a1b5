// report.h - everything somebody needs who is to find out why an update failed, in one bundle.
// SPDX-License-Identifier: Apache-2.0
//
//     report_t r;
//     if (!report_begin(&r, "report.zip", argc, argv, &bus_cfg)) fail(r.bundle.error);
//     report_note(&r, "security access granted");    // each line of stderr
//     report_file(&r, "profile.txt", text, len);
//     bus = bus_open(&bus_cfg, error, sizeof error); // its log is the report's, too
//     bus_close(bus);
//     if (!report_end(&r, code, error)) fail(r.bundle.error);
//
// The bundle holds report.txt (command line, versions, outcome), output.txt, trace.txt, bus.pcap, bus.log and
// what was added. The argument of --key is left out.
//
// Threads: none inside; one caller at a time. Memory: as bundle.h, and the notes.
#ifndef REPORT_H
#define REPORT_H

#include "bundle.h"
#include "bus.h"

typedef struct {
    bundle_t bundle; // read: error
    bool on;         // between report_begin() and report_end()
    const char *log; // of the bus
    bool temporary;  // and only for us
    char name[300];
    FILE *about, *notes; // into memory
    char *about_text, *notes_text;
    size_t about_len, notes_len;
    usec_t begun;
} report_t;

/// `path` as in bundle_open(). If the bus has no log yet, bus->log becomes a temporary file that
/// report_end() removes. argv[0] is the command's name. `path`, `bus->log` and `argv` are borrowed until
/// report_end(). False: bundle.error.
bool report_begin(report_t *r, const char *path, int argc, char **argv, bus_cfg_t *bus);

/// These do nothing without report_begin(): a report_t of zeros is no report.
void report_note(report_t *r, const char *line);
void report_file(report_t *r, const char *name, const void *bytes, size_t len);

/// How it ended: exit code, and a sentence or NULL. Call it after bus_close(). False: bundle.error; a ZIP
/// file is then not there.
bool report_end(report_t *r, int code, const char *text);

#endif
