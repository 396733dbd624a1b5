// can_virtual.c - driver of the virtual bus: a CAN bus between processes, without hardware.
// SPDX-License-Identifier: Apache-2.0
//
// Opening is one loop that closes every race: connect; if nobody listens, bind the address and fork
// the hub; if another was faster, connect again. A node is on the bus when the hub has answered its
// greeting: a hub that was about to end when we connected lets us read the end of file instead, and
// the loop goes round again.
#include "can_virtual.h"
#include "can_hub.h"
#include "can_kernel.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME_MAX_LEN 64
#define WINDOW       3
#define OPEN_MAX_US                                                                                \
    (5000 * USEC_MS) // a hub is there in milliseconds, but for an overloaded machine

typedef struct {
    char name[NAME_MAX_LEN + 1];
    uint32_t bitrate, data_bitrate; // that the user asked for, 0: any
    can_hub_hello_t
        bus; // as the bus was last time: if its hub died, the next one gets the same rates
} can_virtual_t;

// --- The channel ---

static bool parse_options(can_virtual_t *v, const char *options)
{
    while (*options) {
        const size_t len = strcspn(options, "&");
        char option[32];
        if (len >= sizeof option) return false;
        memcpy(option, options, len);
        option[len] = 0;
        if (!strncmp(option, "bitrate=", 8)) {
            if (!bus_parse_rate(option + 8, &v->bitrate)) return false;
        } else if (!strncmp(option, "dbitrate=", 9)) {
            if (!bus_parse_rate(option + 9, &v->data_bitrate)) return false;
        } else {
            return false;
        }
        options += len;
        if (*options) options++;
    }
    return true;
}

static void *create(const bus_cfg_t *cfg, char *error, size_t cap)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    const char *name = strncmp(cfg->channel, "virtual:", 8) ? cfg->channel : cfg->channel + 8;
    const size_t len = strcspn(name, "?");
    if (len < 1 || len > NAME_MAX_LEN || strspn(name, allowed) < len) {
        bus_error(error, cap,
                  "channel %.100s: the name must be 1 to 64 characters of A-Z a-z 0-9 _ . -",
                  cfg->channel);
        return NULL;
    }
    can_virtual_t *v = calloc(1, sizeof *v);
    if (!v) {
        bus_error(error, cap, "channel %s: out of memory", cfg->channel);
        return NULL;
    }
    memcpy(v->name, name, len);
    if (name[len] && !parse_options(v, name + len + 1)) {
        bus_error(
            error, cap,
            "channel %.100s: only ?bitrate=N and &dbitrate=N may follow the name, N in 1000..20000000 bit/s",
            cfg->channel);
    } else if (v->bitrate && cfg->bitrate && v->bitrate != cfg->bitrate) {
        bus_error(error, cap, "channel %.100s: but the bit rate asked for is %u: name only one",
                  cfg->channel, cfg->bitrate);
    } else if (!v->bitrate && !cfg->bitrate && v->data_bitrate) {
        bus_error(error, cap, "channel %.100s: dbitrate needs a bitrate: add ?bitrate=500000",
                  cfg->channel);
    } else {
        if (!v->bitrate) v->bitrate = cfg->bitrate;
        v->bus = (can_hub_hello_t){ CAN_HUB_VERSION, v->bitrate, v->data_bitrate };
        return v;
    }
    free(v);
    return NULL;
}

// --- The hub ---

static socklen_t address(const can_virtual_t *v, struct sockaddr_un *a)
{
    // The first byte of the path stays 0, which makes the address abstract: no file, nothing to clean up.
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    const int len = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "isotp-ota/%u/%s",
                             (unsigned)getuid(), v->name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

/// Returns 0 when a hub was started or another process does so, else an errno.
static int start_hub(const struct sockaddr_un *a, socklen_t len)
{
    const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0) return errno;
    // Bound in this process, so that it happens once; listening is left to the hub.
    int err = bind(listener, (const struct sockaddr *)a, len) ? errno : 0;
    const pid_t child = err ? -1 : fork();
    if (child == 0) {
        // A session of its own survives the end of our terminal and of our process group; the
        // second fork leaves the hub without a parent that would have to wait for it.
        (void)setsid();
        const pid_t hub = fork();
        if (hub == 0) can_hub_run(listener);
        _exit(hub < 0 ? 1 : 0);
    }
    if (!err && child < 0) err = errno;
    close(listener);
    if (err) return (err == EADDRINUSE) ? 0 : err;
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status ? EAGAIN : 0;
}

/// Waits for the answer to our greeting. 1: `*answer` is set; 0: the hub has ended; -1: it is
/// silent.
static int await_answer(int fd, usec_t deadline, can_hub_hello_t *answer)
{
    for (;;) {
        struct canfd_frame message; // frames that are on the bus already are none of ours
        const ssize_t got = recv(fd, &message, sizeof message, MSG_DONTWAIT);
        if (got == 0) return 0;
        if (got > 0 && can_hub_load_hello(&message, (size_t)got, answer)) return 1;
        if (got > 0 || errno == EINTR || errno == ECONNRESET) continue;
        if (errno != EAGAIN) return 0;
        const usec_t now = bus_clock();
        if (now >= deadline) return -1;
        (void)poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, (int)((deadline - now) / USEC_MS) + 1);
    }
}

static bool accept_rates(const can_virtual_t *v, const can_hub_hello_t *bus, char *error,
                         size_t cap)
{
    if (bus->version != CAN_HUB_VERSION) {
        bus_error(
            error, cap,
            "virtual:%s was started by another version of isotp-ota: use another name, or end its users",
            v->name);
    } else if (v->bitrate && v->bitrate != bus->bitrate) {
        bus_error(
            error, cap,
            "virtual:%s already runs at %u bit/s, not %u: leave the rate out, or use another name",
            v->name, bus->bitrate, v->bitrate);
    } else if (v->data_bitrate && v->data_bitrate != bus->data_bitrate) {
        bus_error(
            error, cap,
            "virtual:%s already runs at %u bit/s in the data phase, not %u: leave it out, or use another name",
            v->name, bus->data_bitrate, v->data_bitrate);
    } else {
        return true;
    }
    return false;
}

/// One attempt. Returns a descriptor; -1: `error` is set; -2: try again.
static int join(can_virtual_t *v, usec_t deadline, char *error, size_t cap)
{
    struct sockaddr_un a;
    const socklen_t len = address(v, &a);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&a, len)) {
        int err = errno;
        if (fd >= 0) close(fd);
        if (err == ECONNREFUSED) err = start_hub(&a, len);
        if (err == 0 || err == EAGAIN || err == EINTR) return -2;
        bus_error(error, cap, "virtual:%s: cannot start the bus: %s", v->name, strerror(err));
        return -1;
    }
    struct ucred peer = { 0 };
    socklen_t peer_len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) || peer.uid != getuid()) {
        bus_error(error, cap, "virtual:%s: its address is taken by user %u: use another name",
                  v->name, (unsigned)peer.uid);
        close(fd);
        return -1;
    }
    uint8_t hello[CAN_HUB_HELLO_LEN];
    can_hub_store_hello(hello, &v->bus);
    can_hub_hello_t bus;
    const int answered =
        send(fd, hello, sizeof hello, MSG_NOSIGNAL) < 0 ? 0 : await_answer(fd, deadline, &bus);
    if (answered > 0 && accept_rates(v, &bus, error, cap)) {
        v->bus = bus;
        return fd;
    }
    close(fd);
    if (answered < 0) {
        bus_error(
            error, cap,
            "virtual:%s: its hub (process %d) does not answer: end that process, or use another name",
            v->name, (int)peer.pid);
    }
    return answered ? -1 : -2;
}

static int open_virtual(void *self, char *error, size_t cap)
{
    can_virtual_t *v = self;
    const usec_t deadline = bus_clock() + OPEN_MAX_US;
    for (;;) {
        const int fd = join(v, deadline, error, cap);
        if (fd != -2) return fd;
        if (bus_clock() >= deadline) break;
        (void)poll(NULL, 0,
                   1); // between bind() and listen() of the hub there is nothing to wait on
    }
    bus_error(error, cap,
              "virtual:%s: no hub came up within 5 s: is the machine overloaded? Try again",
              v->name);
    return -1;
}

// --- Frames ---

static bus_event_t receive(void *self, int fd, can_frame_t *frame)
{
    (void)self;
    for (;;) {
        struct canfd_frame f;
        const ssize_t got = recv(fd, &f, sizeof f, MSG_DONTWAIT);
        if (got == 0) return BUS_DOWN;
        if (got < 0) {
            if (errno == EINTR || errno == ECONNRESET)
                continue; // after a reset the rest can be read, then the end
            return (errno == EAGAIN) ? BUS_NONE : BUS_DOWN;
        }
        if (got != CAN_MTU && got != CANFD_MTU) continue;
        if (f.__res0 == CAN_HUB_CONFIRMED) return BUS_SENT;
        if (can_kernel_decode(&f, (size_t)got, frame)) return BUS_FRAME;
    }
}

static bool transmit(void *self, int fd, const can_frame_t *frame)
{
    (void)self;
    struct canfd_frame f;
    const size_t len = can_kernel_encode(frame, &f);
    return send(fd, &f, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

const bus_driver_t can_virtual_driver = {
    .name = "virtual",
    .window = WINDOW,
    .create = create,
    .open = open_virtual,
    .recv = receive,
    .send = transmit,
};
