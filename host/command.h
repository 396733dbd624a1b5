// command.h - what the commands of isotp-ota share: exit codes, the bus options, progress.
// SPDX-License-Identifier: Apache-2.0
//
// Only main.c and cmd_*.c print and exit. Results go to stdout, everything else to stderr.
#ifndef COMMAND_H
#define COMMAND_H

#include "bus.h"
#include "isotp.h"
#include "options.h"

/// Exit codes; stable.
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1, // the device still runs what it ran, unless the message doubts it
    EXIT_USAGE = 2,
    EXIT_NO_ANSWER = 3,   // nobody answers, or no bus
    EXIT_REFUSED = 4,     // the device refused
    EXIT_BAD_IMAGE = 5,   // the file is not a usable image
    EXIT_INTERRUPTED = 6, // interrupted, can be resumed (not with plain and header)
    EXIT_OLD_RUNS = 7,    // the device came back with the old firmware (not yet)
};

int cmd_flash(int argc, char **argv);
int cmd_send(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_device(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_mkflash(int argc, char **argv);
int cmd_monitor(int argc, char **argv);
int cmd_raw(int argc, char **argv);
int cmd_scan(int argc, char **argv);

/// Prints `isotp-ota: <what>` as one line on stderr, whatever bytes a path in it has, and returns
/// `code`.
int command_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// "project version", harmless for a terminal; at most 32 bytes each, as in an image. Returns text.
enum { COMMAND_APP_CAP = 4 * 65 + 1 };
const char *command_app(const char *project, const char *version, char text[COMMAND_APP_CAP]);

/// What a status message's result means, of the device; NULL: no such result. The exit code that it
/// deserves.
const char *command_result(uint8_t result, int *exit_code);

/// options_parse(), and prints the help or the error. Returns the exit code, or -1: go on.
int command_parse(const char *usage, const option_t *options, size_t count, int argc, char **argv,
                  const char **words, const char *wanted);

/// The options every command on a bus has.
typedef struct {
    bus_cfg_t bus;
    options_can_id_t host_id, device_id; // the host sends on the first and listens to the second
    options_can_id_t functional_id;      // UDS requests to all nodes; id 0: the standard's
    options_byte_t padding;
    double gap_ms;
} bus_options_t;

#define BUS_OPTIONS_DEFAULT                                                                        \
    {                                                                                              \
        .host_id = { .id = 0x7E0 }, .device_id = {.id = 0x7E8 }                                    \
    }

// clang-format off
#define BUS_OPTIONS_TABLE(o)                                                                          \
    { OPTION_HEADING, 0, "Bus", NULL, NULL, NULL, 0, 0 },                                             \
    { OPTION_TEXT, 'i', "interface", "NAME", &(o)->bus.interface,                                     \
      "virtual or socketcan; default: what CHANNEL looks like,\nor $CAN_INTERFACE", 0, 0 },           \
    { OPTION_TEXT, 'c', "channel", "CHANNEL", &(o)->bus.channel,                                      \
      "virtual:NAME[?bitrate=N], can0, ...; default: $CAN_CHANNEL", 0, 0 },                           \
    { OPTION_NUMBER, 'b', "bitrate", "N", &(o)->bus.bitrate,                                          \
      "bit/s of a virtual bus (a real one is set up with `ip link`);\n"                               \
      "default: $CAN_BITRATE, or no pacing", 1000, 8000000 },                                         \
    { OPTION_CAN_ID, 's', "source", "ID", &(o)->host_id,                                              \
      "what the host sends on, hex, 8 digits: 29 bit; default 7E0", 0, 0 },                           \
    { OPTION_CAN_ID, 'd', "destination", "ID", &(o)->device_id,                                       \
      "what the host listens to; default 7E8", 0, 0 },                                                \
    { OPTION_CAN_ID, 0, "functional", "ID", &(o)->functional_id,                                      \
      "for UDS requests to all nodes; default 7DF, or 18DB33F1", 0, 0 },                              \
    { OPTION_BYTE, 'p', "padding", "BYTE", &(o)->padding,                                             \
      "fill frames up to 8 bytes with BYTE, hex", 0, 0 },                                             \
    { OPTION_FLAG, 0, "fd", NULL, &(o)->bus.fd,                                                       \
      "CAN FD: frames of up to 64 bytes, the data at the second bit rate", 0, 0 },                    \
    { OPTION_TEXT, 0, "log", "FILE", &(o)->bus.log,                                                   \
      "writes every frame to a file, anew: X.log (candump),\nX.pcap (Wireshark) or X.asc (Vector)", 0, 0 }
// clang-format on

/// 0, or an exit code after a message: both IDs must be of one width, and differ; a log's name must
/// tell its format.
int command_check_bus(const bus_options_t *o);

/// The bus, or NULL: `error` holds one line, `*code` is the exit code. No bus is EXIT_NO_ANSWER; a log
/// that cannot be created is EXIT_FAILED: nothing is wrong with the bus, nothing was sent.
bus_t *command_open_bus(const bus_options_t *o, int *code, char *error, size_t cap);

/// The transport's settings for the host's side, or (`device`) for the device's.
isotp_cfg_t command_isotp(const bus_options_t *o, bool device);

/// The same for UDS requests to all nodes.
isotp_cfg_t command_functional(const bus_options_t *o, bool device);

/// The secret of SecurityAccess from a file: hexadecimal digits, blanks between them or not,
/// ACCESS_SECRET_MIN..MAX bytes. EXIT_DONE, or EXIT_USAGE after a message.
int command_read_secret(const char *path, uint8_t *secret, size_t cap, size_t *len);

/// Reads a whole file; free() it. NULL: `error` says why, without the path.
uint8_t *command_read_file(const char *path, uint32_t *len, char *error, size_t cap);

/// Writes a new file: whole, or not at all, whenever the program is ended. Returns EXIT_DONE, or
/// EXIT_FAILED after a message: it exists and `force` is not set, a simulated device uses it, it cannot
/// be written.
int command_write_file(const char *path, const uint8_t *bytes, uint32_t len, bool force);

/// The chip of this name; NULL: any. EXIT_DONE, or EXIT_USAGE after a message.
int command_chip(const char *command, const char *name, uint16_t *chip_id);

/// Progress of a transfer: a bar on a terminal, a line every tenth otherwise,
/// JSON lines with `json`.
typedef struct {
    bool json, terminal, shown;
    const char *what;
    usec_t start, last;
    uint32_t total, from; // from: what was there already
    unsigned tenth;
} progress_t;

void progress_begin(progress_t *p, bool json, const char *what, uint32_t total, usec_t now);
void progress_show(progress_t *p, uint32_t done, usec_t now);
void progress_end(progress_t *p, uint32_t done, usec_t now);

#endif
