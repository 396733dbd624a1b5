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
#include "can_socketcan.h"
#include "can_virtual.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RETRY (100 * USEC_MS)

struct bus {
    const bus_driver_t *driver;
    void *self;
    int fd;             // -1: down
    unsigned under_way; // frames taken, not confirmed
    usec_t retry_at;    // while down: not before
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
    void *self = driver->create(&full, error, cap);
    if (!self) return NULL;

    bus_t *bus = calloc(1, sizeof *bus);
    const int fd = bus ? driver->open(self, error, cap) : -1;
    if (fd < 0) {
        if (!bus) bus_error(error, cap, "%s: out of memory", full.channel);
        free(self);
        free(bus);
        return NULL;
    }
    *bus = (bus_t){ .driver = driver, .self = self, .fd = fd };
    return bus;
}

void bus_close(bus_t *bus)
{
    if (!bus) return;
    if (bus->fd >= 0) close(bus->fd);
    free(bus->self);
    free(bus);
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
        case BUS_NONE:
        case BUS_FRAME: return event;
        case BUS_SENT:
            if (bus->under_way == 0) continue; // not ours: a forged confirmation
            bus->under_way--;
            return event;
        case BUS_DOWN:
            close(bus->fd);
            bus->fd = -1;
            bus->under_way = 0;
            bus->retry_at = 0;
            return event;
        }
    }
}

bool bus_send(bus_t *bus, const can_frame_t *frame)
{
    if (!is_up(bus) || bus->under_way >= bus->driver->window) return false;
    if (!bus->driver->send(bus->self, bus->fd, frame)) return false;
    bus->under_way++;
    return true;
}
