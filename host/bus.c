// bus.c - chooses the driver of a CAN bus, and does what all drivers have in common.
// SPDX-License-Identifier: Apache-2.0
//
// Which driver: what the caller names; else the form of the channel, if only one driver has
// channels of that form; else CAN_INTERFACE; else SocketCAN. The environment never overrules what
// the caller or the channel says, so that a shell set up for an adapter does not redirect `-c
// virtual:test` to real hardware.
//
//   UP    driver reports BUS_DOWN        ->  DOWN  close
//   DOWN  any call, RETRY since the last ->  UP    open; forget the frames that were under way
#include "bus_driver.h"
#include "bus_log.h"
#include "can_socketcan.h"
#include "can_virtual.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RETRY      (100 * USEC_MS)
#define WINDOW_MAX 32U // of any driver

struct bus {
    const bus_driver_t *driver;
    void *self;
    int fd;             // -1: down
    unsigned under_way; // frames taken, not confirmed
    usec_t retry_at;    // while down: not before
    bus_log_t log;
    const char *log_path;
    void (*warn)(const char *line);
    can_frame_t taken[WINDOW_MAX]; // those under way, for the log; a ring
    unsigned oldest;               // where it begins
};

void bus_error(char *error, size_t cap, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error, cap, format, args);
    va_end(args);
}

bool bus_parse_rate(const char *text, uint32_t *rate)
{
    uint32_t value = 0;
    if (!*text || strlen(text) > 8) return false; // 8 digits cannot overflow
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        value = value * 10U + (uint32_t)(*text - '0');
    }
    *rate = value;
    return value >= 1000 && value <= 20000000;
}

usec_t bus_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * 1000000U + (usec_t)t.tv_nsec / 1000U;
}

// --- The log ---

static usec_t wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (usec_t)t.tv_sec * 1000000U + (usec_t)t.tv_nsec / 1000U;
}

/// After a function of the log returned false.
static void warn(bus_t *bus)
{
    char line[256];
    bus_error(line, sizeof line, "%.150s: %s: the log ends there, all else goes on", bus->log_path,
              strerror(errno));
    if (bus->warn) bus->warn(line);
}

static void log_frame(bus_t *bus, const can_frame_t *frame, bool sent)
{
    if (bus->log.file && !bus_log_frame(&bus->log, frame, sent, wall_clock())) warn(bus);
}

/// Creates the file, or empties it. NULL: `error` is set.
static FILE *create_file(const char *path, char *error, size_t cap)
{
    // Not blocking, because opening a pipe would wait for a reader. A pipe is refused: a reader that
    // stops reading would stop the update.
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    struct stat st;
    const bool pipe = (fd < 0) ? errno == ENXIO : fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
    FILE *file = (fd < 0 || pipe) ? NULL : fdopen(fd, "wb");
    if (file) return file;
    bus_error(error, cap, "%.150s: the log cannot be created: %s", path,
              pipe ? "it is a pipe, not a file" : strerror(errno));
    if (fd >= 0) close(fd);
    return NULL;
}

/// False: there is to be a log and there can be none: `error` is set.
static bool open_log(bus_t *bus, const bus_cfg_t *cfg, char *error, size_t cap)
{
    if (!cfg->log) return true;
    FILE *file = NULL;
    const bus_log_format_t format = bus_log_format(cfg->log);
    if (format == BUS_LOG_UNKNOWN)
        bus_error(error, cap, "%.150s: a log must be called .log, .pcap or .asc", cfg->log);
    else
        file = create_file(cfg->log, error, cap);
    if (!file) {
        if (cfg->log_failed) *cfg->log_failed = true;
        return false;
    }
    if (!bus_log_begin(&bus->log, file, format, cfg->channel, wall_clock())) warn(bus);
    return true;
}

// --- Opening ---

static const char *from_environment(const char *name)
{
    const char *value = getenv(name);
    return (value && *value) ? value : NULL;
}

static const char *implied_interface(const char *channel)
{
    if (!strncmp(channel, "virtual:", 8)) return "virtual";
    if (channel[0] == '/') return "slcan";
    return NULL;
}

static const bus_driver_t *choose(const bus_cfg_t *cfg, char *error, size_t cap)
{
    static const bus_driver_t *const drivers[] = { &can_virtual_driver, &can_socketcan_driver };
    for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
        if (!strcmp(cfg->interface, drivers[i]->name)) return drivers[i];
    }
    if (!strcmp(cfg->interface, "slcan")) {
        bus_error(error, cap,
                  "%s: this version has no slcan driver: make it a network interface with "
                  "`slcand -o -s6 %s can0`, `ip link set can0 up`, and use -c can0",
                  cfg->channel, cfg->channel);
    } else {
        bus_error(error, cap, "unknown interface %s: use socketcan or virtual", cfg->interface);
    }
    return NULL;
}

/// Fills in what the caller left out.
static bool complete(bus_cfg_t *cfg, char *error, size_t cap)
{
    if (!cfg->channel) cfg->channel = from_environment("CAN_CHANNEL");
    if (!cfg->channel) {
        bus_error(error, cap,
                  "no CAN channel: name one with -c/--channel (can0, virtual:NAME) or CAN_CHANNEL");
        return false;
    }
    const char *implied = implied_interface(cfg->channel);
    if (cfg->interface && implied && strcmp(cfg->interface, implied)) {
        bus_error(error, cap, "channel %s is of interface %s, not %s: leave out -i/--interface",
                  cfg->channel, implied, cfg->interface);
        return false;
    }
    if (!cfg->interface) cfg->interface = implied;
    if (!cfg->interface) cfg->interface = from_environment("CAN_INTERFACE");
    if (!cfg->interface) cfg->interface = "socketcan";

    const char *rate = from_environment("CAN_BITRATE");
    if (!cfg->bitrate && rate && !strstr(cfg->channel, "bitrate=") &&
        !bus_parse_rate(rate, &cfg->bitrate)) {
        bus_error(error, cap, "CAN_BITRATE=%s is not a bit rate: use bit/s, such as 500000", rate);
        return false;
    }
    return true;
}

bus_t *bus_open(const bus_cfg_t *cfg, char *error, size_t cap)
{
    bus_cfg_t full = *cfg;
    if (!complete(&full, error, cap)) return NULL;
    const bus_driver_t *driver = choose(&full, error, cap);
    if (!driver) return NULL;
    ASSERT(driver->window <= WINDOW_MAX);
    bus_t *bus = calloc(1, sizeof *bus);
    if (!bus) {
        bus_error(error, cap, "%s: out of memory", full.channel);
        return NULL;
    }
    *bus = (bus_t){ .driver = driver, .fd = -1, .log_path = cfg->log, .warn = cfg->warn };
    bus->self = driver->create(&full, error, cap);
    if (bus->self && open_log(bus, &full, error, cap))
        bus->fd = driver->open(bus->self, error, cap);
    if (bus->fd >= 0) return bus;
    bus_close(bus);
    return NULL;
}

void bus_close(bus_t *bus)
{
    if (!bus) return;
    if (!bus_log_end(&bus->log)) warn(bus);
    if (bus->fd >= 0) close(bus->fd);
    free(bus->self);
    free(bus);
}

static void go_down(bus_t *bus)
{
    if (bus->fd >= 0) close(bus->fd);
    bus->fd = -1;
    bus->under_way = 0;
    bus->retry_at = 0;
}

bool bus_restart(bus_t *bus, char *error, size_t cap)
{
    // Opened before the old connection is closed: a virtual bus ends when its last node leaves.
    const int fd = bus->driver->open(bus->self, error, cap);
    go_down(bus);
    bus->fd = fd;
    return fd >= 0;
}

int bus_fd(const bus_t *bus) { return bus->fd; }

// --- Frames ---

static bool is_up(bus_t *bus)
{
    if (bus->fd >= 0) return true;
    if (bus_clock() < bus->retry_at) return false;
    char error[256]; // nobody to tell: BUS_DOWN was reported, and the next try may succeed
    bus->fd = bus->driver->open(bus->self, error, sizeof error);
    bus->retry_at = bus_clock() + RETRY;
    return bus->fd >= 0;
}

bus_event_t bus_recv(bus_t *bus, can_frame_t *frame)
{
    if (!is_up(bus)) return BUS_NONE;
    for (;;) {
        const bus_event_t event = bus->driver->recv(bus->self, bus->fd, frame);
        switch (event) {
        case BUS_NONE: return event;
        case BUS_FRAME: log_frame(bus, frame, false); return event;
        case BUS_SENT:
            if (bus->under_way == 0) continue; // not ours: a forged confirmation
            log_frame(bus, &bus->taken[bus->oldest], true);
            bus->oldest = (bus->oldest + 1) % WINDOW_MAX;
            bus->under_way--;
            return event;
        case BUS_DOWN: go_down(bus); return event;
        }
    }
}

bool bus_send(bus_t *bus, const can_frame_t *frame)
{
    if (!is_up(bus) || bus->under_way >= bus->driver->window) return false;
    if (!bus->driver->send(bus->self, bus->fd, frame)) return false;
    bus->taken[(bus->oldest + bus->under_way++) % WINDOW_MAX] = *frame;
    return true;
}
