// can_socketcan.c - driver of the kernel's CAN interfaces (can0, vcan0, ...).
// SPDX-License-Identifier: Apache-2.0
//
// The socket gets its own frames back when the controller has sent them; the kernel marks those
// with MSG_CONFIRM, and they are the confirmations. Two things lose a confirmation for good, after
// which the count of frames under way would never fall again: bus-off, where the driver throws its
// queue away, and an overrun of the socket's receive queue. Both are reported as BUS_DOWN, and the
// socket is opened anew.
#include "can_socketcan.h"
#include "can_kernel.h"
#include <errno.h>
#include <linux/can/error.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

// An adapter on USB confirms late. Ten frames in its driver and ten in the queue of the interface: more would be
// refused (ENOBUFS) unless somebody made that longer.
#define WINDOW 20

typedef struct {
    char name[IFNAMSIZ];
    bool fd_frames;
    uint32_t bitrate;   // for the advice only
    uint32_t overruns;  // as the socket counts them
    unsigned under_way; // frames without a confirmation
} can_socketcan_t;

static void *create(const bus_cfg_t *cfg, char *error, size_t cap)
{
    const size_t len = strlen(cfg->channel);
    if (len >= IFNAMSIZ) {
        bus_error(error, cap,
                  "%.60s is not the name of a CAN interface: it is longer than 15 characters",
                  cfg->channel);
        return NULL;
    }
    can_socketcan_t *s = calloc(1, sizeof *s);
    if (!s) {
        bus_error(error, cap, "%s: out of memory", cfg->channel);
        return NULL;
    }
    memcpy(s->name, cfg->channel, len);
    s->fd_frames = cfg->fd;
    s->bitrate = cfg->bitrate ? cfg->bitrate : 500000;
    return s;
}

/// Checks what bind() would not say. False: `error` is set.
static bool is_usable(const can_socketcan_t *s, int fd, char *error, size_t cap)
{
    struct ifreq r = { 0 };
    memcpy(r.ifr_name, s->name, sizeof s->name);
    if (ioctl(fd, SIOCGIFHWADDR, &r)) {
        bus_error(
            error, cap,
            "no network interface %s: `ip -br link` lists what there is; is the adapter plugged in?",
            s->name);
        return false;
    }
    if (r.ifr_hwaddr.sa_family != ARPHRD_CAN) {
        bus_error(error, cap, "%s is not a CAN interface: `ip -br link` lists what there is",
                  s->name);
        return false;
    }
    const bool virtual = !strncmp(s->name, "vcan", 4);
    if (ioctl(fd, SIOCGIFFLAGS, &r) || !(r.ifr_flags & IFF_UP)) {
        if (virtual) {
            bus_error(error, cap, "%s is down: `sudo ip link set %s up`", s->name, s->name);
        } else {
            bus_error(error, cap, "%s is down: `sudo ip link set %s up type can bitrate %u`",
                      s->name, s->name, s->bitrate);
        }
        return false;
    }
    if (s->fd_frames && (ioctl(fd, SIOCGIFMTU, &r) || r.ifr_mtu < (int)CANFD_MTU)) {
        const char *how = virtual ? "mtu 72" : "type can dbitrate 2000000 fd on";
        bus_error(
            error, cap,
            "%s carries no CAN FD frames: take it down and `sudo ip link set %s %s`, or leave "
            "out --fd",
            s->name, s->name, how);
        return false;
    }
    return true;
}

static int open_socketcan(void *self, char *error, size_t cap)
{
    can_socketcan_t *s = self;
    const int fd = socket(PF_CAN, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, CAN_RAW);
    if (fd < 0) {
        if (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT) {
            bus_error(
                error, cap,
                "%s: this kernel has no CAN: try `sudo modprobe can_raw`, or use -c virtual:NAME",
                s->name);
        } else {
            bus_error(error, cap, "%s: cannot open a CAN socket: %s", s->name, strerror(errno));
        }
        return -1;
    }
    if (!is_usable(s, fd, error, cap)) {
        close(fd);
        return -1;
    }
    const int on = 1;
    const int room = 1 << 20; // the kernel cuts it to what it allows
    const can_err_mask_t errors = CAN_ERR_BUSOFF;
    const struct sockaddr_can a = { .can_family = AF_CAN,
                                    .can_ifindex = (int)if_nametoindex(s->name) };
    (void)setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof on); // old kernels lack it
    (void)setsockopt(fd, SOL_CAN_RAW, CAN_RAW_ERR_FILTER, &errors, sizeof errors);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    (void)setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    // An index of 0 would bind to every interface there is.
    if (setsockopt(fd, SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, &on, sizeof on) || a.can_ifindex == 0 ||
        bind(fd, (const struct sockaddr *)&a, sizeof a)) {
        bus_error(error, cap, "%s: cannot use this interface: %s", s->name, strerror(errno));
        close(fd);
        return -1;
    }
    s->overruns = 0;
    s->under_way = 0;
    return fd;
}

/// True when frames were lost before this one, and a confirmation may be among them.
static bool was_overrun(can_socketcan_t *s, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_RXQ_OVFL) continue;
        const uint32_t before = s->overruns;
        memcpy(&s->overruns, CMSG_DATA(c), sizeof s->overruns);
        return s->overruns != before && s->under_way > 0;
    }
    return false;
}

static bus_event_t receive(void *self, int fd, can_frame_t *frame)
{
    can_socketcan_t *s = self;
    for (;;) {
        struct canfd_frame f;
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(uint32_t))];
        } control;
        struct iovec iov = { &f, sizeof f };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        const ssize_t got = recvmsg(fd, &m, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return (errno == EAGAIN) ? BUS_NONE : BUS_DOWN; // ENETDOWN, ENODEV
        if (was_overrun(s, &m)) return BUS_DOWN;
        if (m.msg_flags & MSG_CONFIRM) {
            if (s->under_way > 0) s->under_way--;
            return BUS_SENT;
        }
        if (f.can_id & CAN_ERR_FLAG) return BUS_DOWN; // only bus-off passes the filter
        if (can_kernel_decode(&f, (size_t)got, frame)) return BUS_FRAME;
    }
}

static bool transmit(void *self, int fd, const can_frame_t *frame)
{
    can_socketcan_t *s = self;
    struct canfd_frame f;
    const size_t len = can_kernel_encode(frame, &f);
    // ENOBUFS: the queue of the interface is full.
    if (send(fd, &f, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return false;
    s->under_way++;
    return true;
}

const bus_driver_t can_socketcan_driver = {
    .name = "socketcan",
    .window = WINDOW,
    .create = create,
    .open = open_socketcan,
    .recv = receive,
    .send = transmit,
};
