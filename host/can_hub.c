// can_hub.c - the process behind a virtual bus: it is the wire between the nodes.
// SPDX-License-Identifier: Apache-2.0
//
// Each node has one frame at most in the hub that waits for the wire; the rest stays in its socket,
// which pushes back by itself. What goes to a node that does not read is queued, up to QUEUE_MAX
// frames, then lost, as in a receiver's overrun; only its confirmations have some more room.
//
// The wire is computed, not measured: a frame starts when the one before it ended, or when it was
// sent to the hub (the kernel's time stamp), whichever is later. So a hub that wakes late delivers
// late, but the wire loses no time by it, and the frame that wins is the one that would have won on
// copper. For that, all frames sent before a start must have been read: poll() looks at one socket
// after the other, and meanwhile a frame may come to one that it has passed, and after that another
// to one that it has not. Therefore the sockets are looked at again, and the wire runs up to the
// moment before that look, never up to now.
//
//   IDLE  a frame waits          ->  BUSY  the lowest identifier starts
//   BUSY  its last bit is over   ->  IDLE  everybody else gets it, its sender the confirmation
//
// A frame ends here with its interframe space. A remote frame is counted as a data frame without
// data.
#include "can_hub.h"
#include "can_bits.h"
#include "can_kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NODES_MAX      128
#define QUEUE_MAX      16384
#define QUEUE_RESERVE  16 // confirmations: more than a node of ours has under way
#define NOBODY         SIZE_MAX
#define NSEC           UINT64_C(1000000000)
#define FIRST_NODE_MAX NSEC // without any node for so long: the one that started us died
#define ROUNDS_MAX     64   // frames without looking at the sockets again

typedef uint64_t nsec_t;

typedef struct {
    uint8_t len;
    uint8_t bytes[CANFD_MTU];
} message_t;

typedef struct {
    struct canfd_frame frame;
    size_t len;
    uint32_t key; // arbitration field: the lowest wins
    nsec_t since; // when it was sent to us
} waiting_t;

typedef struct {
    int fd;         // -1: free
    bool deaf;      // takes nothing any more, but what it sent is still served
    bool waits;     // `next` holds a frame
    waiting_t next; // its frame for the next arbitration
    message_t *queue;
    size_t head, count;
} node_t;

typedef struct {
    int listener;
    bool full;    // no room, here or in the descriptor table, until a node leaves
    bool visited; // a node was here
    size_t count;
    node_t nodes[NODES_MAX];
    uint32_t bitrate, data_bitrate;
    bool busy;
    nsec_t now;    // everything sent up to here was read, unless its node had a frame waiting
    nsec_t lag;    // real-time clock minus monotonic clock
    nsec_t end;    // of the frame on the wire, or of the last one
    size_t sender; // of the frame on the wire; NOBODY: it has left
    struct canfd_frame frame;
    size_t len;
} hub_t;

static nsec_t clock_ns(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (nsec_t)t.tv_sec * NSEC + (nsec_t)t.tv_nsec;
}

// --- Greeting ---

static const char magic[8] = { 'i', 's', 'o', 't', 'p', 'b', 'u', 's' };

void can_hub_store_hello(uint8_t message[CAN_HUB_HELLO_LEN], const can_hub_hello_t *hello)
{
    memcpy(message, magic, sizeof magic);
    store_le32(message + 8, hello->version);
    store_le32(message + 12, hello->bitrate);
    store_le32(message + 16, hello->data_bitrate);
}

bool can_hub_load_hello(const void *message, size_t len, can_hub_hello_t *hello)
{
    const uint8_t *p = message;
    if (len != CAN_HUB_HELLO_LEN || memcmp(p, magic, sizeof magic)) return false;
    *hello = (can_hub_hello_t){ load_le32(p + 8), load_le32(p + 12), load_le32(p + 16) };
    return true;
}

// --- To a node ---

static void silence(node_t *n)
{
    n->deaf = true;
    n->count = 0;
    free(n->queue);
    n->queue = NULL;
}

/// False: its socket has no room now.
static bool push(node_t *n, const void *bytes, size_t len)
{
    for (;;) {
        if (send(n->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM) return false;
        silence(n);
        return true;
    }
}

static void deliver(node_t *n, const void *bytes, size_t len, size_t cap)
{
    if (n->deaf || (n->count == 0 && push(n, bytes, len))) return;
    if (n->count >= cap) return;
    if (!n->queue) n->queue = malloc((QUEUE_MAX + QUEUE_RESERVE) * sizeof *n->queue);
    if (!n->queue) return;
    message_t *m = &n->queue[(n->head + n->count++) % (QUEUE_MAX + QUEUE_RESERVE)];
    m->len = (uint8_t)len;
    memcpy(m->bytes, bytes, len);
}

static void flush(node_t *n)
{
    while (n->count > 0 && push(n, n->queue[n->head].bytes, n->queue[n->head].len)) {
        if (n->deaf) return;
        n->head = (n->head + 1) % (QUEUE_MAX + QUEUE_RESERVE);
        n->count--;
    }
    if (n->count == 0) n->head = 0; // short queues stay in the first page
}

// --- From a node ---

static void leave(hub_t *h, node_t *n)
{
    close(n->fd);
    free(n->queue);
    *n = (node_t){ .fd = -1 };
    h->count--;
    h->full = false;
    if (h->sender == (size_t)(n - h->nodes)) h->sender = NOBODY;
}

static void greet(hub_t *h, node_t *n, const can_hub_hello_t *hello)
{
    if (!h->bitrate) h->bitrate = hello->bitrate;
    if (!h->data_bitrate) h->data_bitrate = hello->data_bitrate;
    uint8_t answer[CAN_HUB_HELLO_LEN];
    can_hub_store_hello(answer, &(can_hub_hello_t){ CAN_HUB_VERSION, h->bitrate, h->data_bitrate });
    deliver(n, answer, sizeof answer, QUEUE_MAX + QUEUE_RESERVE);
}

/// The arbitration field in the order of transmission, a recessive bit is 1. It ends with the bit
/// that follows IDE in base frames: FDF, so that of two base frames with one identifier the classic
/// one wins.
static uint32_t arbitration_key(const struct canfd_frame *f, size_t len)
{
    const uint32_t remote = (f->can_id & CAN_RTR_FLAG) ? 1 : 0;
    if (!(f->can_id & CAN_EFF_FLAG)) {
        return (f->can_id & CAN_SFF_MASK) << 21 | remote << 20 | (len == CANFD_MTU ? 1U : 0U) << 18;
    }
    const uint32_t id = f->can_id & CAN_EFF_MASK;
    return (id >> 18) << 21 | 3U << 19 | (id & 0x3FFFFU) << 1 | remote;
}

/// When the message was sent, on the monotonic clock. The kernel stamps it with the other clock,
/// which may be set: then the frame counts as sent now, or the wire grants it a start as early as
/// the end of the last one.
static nsec_t sent_at(const hub_t *h, struct msghdr *m)
{
    const nsec_t now = clock_ns(CLOCK_MONOTONIC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
        struct timespec t;
        memcpy(&t, CMSG_DATA(c), sizeof t);
        const nsec_t stamp = (nsec_t)t.tv_sec * NSEC + (nsec_t)t.tv_nsec - h->lag;
        return (stamp < now) ? stamp : now;
    }
    return now;
}

/// Takes messages from a node until it has a frame that waits, or nothing more.
static void take(hub_t *h, node_t *n)
{
    while (!n->waits) {
        waiting_t *w = &n->next;
        union {
            struct cmsghdr align;
            char bytes[CMSG_SPACE(sizeof(struct timespec))];
        } control;
        struct iovec iov = { &w->frame, sizeof w->frame };
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control };
        const ssize_t got = recvmsg(n->fd, &m, MSG_DONTWAIT);
        if (got == 0) {
            leave(h, n);
            return;
        }
        if (got < 0) {
            // ECONNRESET: it left without reading all; what it sent before is still to come, then
            // the end.
            if (errno == EINTR || errno == ECONNRESET) continue;
            if (errno != EAGAIN) leave(h, n);
            return;
        }
        can_hub_hello_t hello;
        w->len = (size_t)got;
        if (m.msg_flags & MSG_TRUNC) continue;
        if (can_hub_load_hello(&w->frame, w->len, &hello)) greet(h, n, &hello);
        if (w->len != CAN_MTU && w->len != CANFD_MTU) continue;
        if (w->frame.can_id & CAN_ERR_FLAG)
            continue; // nodes report these to themselves, none is on the wire
        if (w->frame.len > (w->len == CANFD_MTU ? CANFD_MAX_DLEN : CAN_MAX_DLEN)) continue;
        w->key = arbitration_key(&w->frame, w->len);
        w->since = h->bitrate ? sent_at(h, &m) : 0;
        n->waits = true;
    }
}

static void enter(hub_t *h)
{
    size_t i = 0;
    while (i < NODES_MAX && h->nodes[i].fd >= 0)
        i++;
    const int fd =
        (i < NODES_MAX) ? accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
    if (fd < 0) {
        h->full = i == NODES_MAX || errno == EMFILE || errno == ENFILE;
        return;
    }
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.uid != getuid()) {
        close(fd);
        return;
    }
    const int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on,
                     sizeof on); // without it: the time of reading
    h->nodes[i].fd = fd;
    h->count++;
    h->visited = true;
}

// --- The wire ---

static nsec_t duration(const hub_t *h, const struct canfd_frame *f, size_t len)
{
    if (!h->bitrate) return 0;
    can_frame_t frame;
    struct canfd_frame data = *f;
    if (data.can_id & CAN_RTR_FLAG) {
        data.can_id &= ~CAN_RTR_FLAG;
        data.len = 0;
    }
    if (!can_kernel_decode(&data, len, &frame)) return 0; // take() let only frames through
    const can_bits_t bits = can_bits(&frame);
    const uint32_t data_rate = h->data_bitrate ? h->data_bitrate : h->bitrate;
    return bits.nominal * NSEC / h->bitrate + bits.data * NSEC / data_rate;
}

/// Puts the frame on the wire that wins. False: none that may start yet.
static bool start(hub_t *h)
{
    nsec_t at = UINT64_MAX;
    for (size_t i = 0; i < NODES_MAX; i++) {
        if (h->nodes[i].waits && h->nodes[i].next.since < at) at = h->nodes[i].next.since;
    }
    if (at < h->end) at = h->end;
    if (at > h->now) return false;

    node_t *best = NULL;
    for (size_t i = 0; i < NODES_MAX; i++) {
        node_t *n = &h->nodes[i];
        if (!n->waits || n->next.since > at) continue;
        if (!best || n->next.key < best->next.key) best = n;
    }
    h->frame = best->next.frame;
    h->len = best->next.len;
    h->sender = (size_t)(best - h->nodes);
    h->end = at + duration(h, &h->frame, h->len);
    h->busy = true;
    best->waits = false;
    take(h, best); // competes for the start after this one
    return true;
}

static void finish(hub_t *h)
{
    h->busy = false;
    for (size_t i = 0; i < NODES_MAX; i++) {
        if (h->nodes[i].fd < 0 || i == h->sender) continue;
        h->frame.__res0 = 0;
        deliver(&h->nodes[i], &h->frame, h->len, QUEUE_MAX);
    }
    if (h->sender == NOBODY) return;
    h->frame.__res0 = CAN_HUB_CONFIRMED;
    deliver(&h->nodes[h->sender], &h->frame, h->len, QUEUE_MAX + QUEUE_RESERVE);
}

static void run_wire(hub_t *h)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (h->busy && h->now < h->end) return;
        if (h->busy) finish(h);
        if (!start(h)) return;
    }
}

// --- The process ---

/// How long nothing happens unless a socket has something. False: for ever.
static bool is_timed(const hub_t *h, struct timespec *time)
{
    bool waits = false;
    for (size_t i = 0; i < NODES_MAX; i++)
        waits = waits || h->nodes[i].waits;
    nsec_t left = (h->count == 0) ? FIRST_NODE_MAX : 0;
    if (h->busy) {
        const nsec_t now = clock_ns(CLOCK_MONOTONIC);
        left = (h->end > now) ? h->end - now : 0;
    }
    *time = (struct timespec){ (time_t)(left / NSEC), (long)(left % NSEC) };
    return h->busy || waits || h->count == 0;
}

static void look_at_sockets(hub_t *h, const struct timespec *timeout)
{
    struct pollfd fds[1 + NODES_MAX];
    fds[0] = (struct pollfd){ h->full ? -1 : h->listener, POLLIN, 0 };
    for (size_t i = 0; i < NODES_MAX; i++) {
        const node_t *n = &h->nodes[i];
        const short events = (short)((n->waits ? 0 : POLLIN) | (n->count > 0 ? POLLOUT : 0));
        // A node that hung up is reported whatever we ask for: so ask only if there is work to do.
        fds[1 + i] = (struct pollfd){ events ? n->fd : -1, events, 0 };
    }
    if (ppoll(fds, 1 + NODES_MAX, timeout, NULL) <= 0) return;

    for (size_t i = 0; i < NODES_MAX; i++) {
        node_t *n = &h->nodes[i];
        if (fds[1 + i].revents & (POLLOUT | POLLERR | POLLHUP)) flush(n);
        if (fds[1 + i].revents && !n->waits) take(h, n);
    }
    // The listener was looked at before the nodes, so who connected after all had left finds them
    // gone: he is left to the next hub, because the rates of this one were theirs.
    if (fds[0].revents && (h->count > 0 || !h->visited)) enter(h);
}

static void step(hub_t *h)
{
    struct timespec time;
    look_at_sockets(h, is_timed(h, &time) ? &time : NULL);
    h->now = clock_ns(CLOCK_MONOTONIC);
    h->lag = clock_ns(CLOCK_REALTIME) - h->now;
    if (h->bitrate) look_at_sockets(h, &(struct timespec){ 0 });
    run_wire(h);
}

static int become_daemon(int listener)
{
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL); // fails for SIGKILL, SIGSTOP: they are
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir("/")) _exit(1);
    (void)prctl(PR_SET_NAME, "isotp-ota-bus");
    (void)prctl(PR_SET_TIMERSLACK, 1);

    // The listener must be above the three standard descriptors before those are replaced.
    int fd = fcntl(listener, F_DUPFD, 3);
    const int null = open("/dev/null", O_RDWR);
    if (fd < 0 || null < 0) _exit(1);
    for (int i = 0; i < 3; i++)
        (void)dup2(null, i);
    fd = dup2(fd, 3);
    if (syscall(SYS_close_range, 4U, ~0U, 0U)) {
        for (int i = 4; i < (int)sysconf(_SC_OPEN_MAX); i++)
            close(i);
    }
    return fd;
}

_Noreturn void can_hub_run(int listener)
{
    hub_t *h = calloc(1, sizeof *h);
    if (!h) _exit(1);
    h->listener = become_daemon(listener);
    h->sender = NOBODY;
    for (size_t i = 0; i < NODES_MAX; i++)
        h->nodes[i].fd = -1;
    // Here, not in the parent: SO_PEERCRED then names this process.
    if (listen(h->listener, NODES_MAX)) _exit(1);

    const nsec_t born = clock_ns(CLOCK_MONOTONIC);
    while (h->count > 0 || (!h->visited && clock_ns(CLOCK_MONOTONIC) - born < FIRST_NODE_MAX)) {
        step(h);
    }
    _exit(0);
}
