// af_can.c - LD_PRELOAD library: AF_CAN sockets on the virtual bus, for kernels without CAN. For tests only.
// SPDX-License-Identifier: Apache-2.0
//
//     LD_PRELOAD=.../libaf_can.so ISOTP_OTA_CAN=vcan0=demo candump vcan0
//
// A raw CAN socket becomes a socket that is connected to the bus (docs/PROTOCOL.md, section 7), whose messages are the
// kernel's CAN frames already. What it does not want, by CAN_RAW_FILTER and the like, a BPF program keeps away, in the
// kernel and before it is queued: so poll(), blocking, timeouts, dup() and fork() are the kernel's business, and what
// is left to do here is to translate addresses, options and flags.
//
// ISOTP_OTA_CAN names the interfaces: "vcan0=demo,vcan1=other". Without it every name that is no interface of the
// machine is the bus of that name. One of our programs must have the bus open, otherwise the network is down.
//
// Not as the kernel does it: no socket for all interfaces at once; who sends faster than the bus takes frames waits
// instead of getting ENOBUFS; SIOCGSTAMP tells the time of asking; no error frames.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): the C library's names are not ours to use.
#include <dlfcn.h>
#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    BUSES_MAX = 32,
    BUS_NAME = 65,
    INDEX_BASE = 10000, // of our interfaces; the machine's own ones count from 1
    OWN_AT = 6,         // byte of a frame: 1 in the confirmation of one's own
    PROGRAM_MAX = 4 * CAN_RAW_FILTER_MAX + 16,
};

/// What a socket is set to. Found by its inode, which dup() and fork() keep and which no later socket has.
typedef struct can_socket {
    struct can_socket *next;
    ino_t inode;
    int index; // of the interface; 0: not bound
    int loopback, own, fd_frames, join;
    can_err_mask_t errors;
    unsigned filter_count;
    struct can_filter filters[CAN_RAW_FILTER_MAX];
} can_socket_t;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static can_socket_t *_Atomic sockets;      // none is ever taken out
static char buses[BUSES_MAX][IF_NAMESIZE]; // names of interfaces that were asked for
static unsigned bus_count;

/// The C library's function behind the one of this file.
#define REAL(name)                                                                                 \
    static __typeof__(&(name)) real_##name;                                                        \
    if (!real_##name) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static int failed(int error)
{
    errno = error;
    return -1;
}

// --- Names ---

/// The bus of an interface. False: there is no such interface.
static bool bus_of(const char *interface, char bus[BUS_NAME])
{
    const char *list = getenv("ISOTP_OTA_CAN");
    const size_t len = strlen(interface);
    if (!list) return len > 0 && snprintf(bus, BUS_NAME, "%s", interface) < BUS_NAME;
    while (*list) {
        const size_t end = strcspn(list, ",");
        if (end > len + 1 && end - len - 1 < BUS_NAME && list[len] == '=' &&
            memcmp(list, interface, len) == 0) {
            (void)snprintf(bus, BUS_NAME, "%.*s", (int)(end - len - 1), list + len + 1);
            return true;
        }
        list += end + (list[end] == ',');
    }
    return false;
}

/// 0: there is no such interface.
static int index_of(const char *interface)
{
    char bus[BUS_NAME];
    int index = 0;
    if (strnlen(interface, IF_NAMESIZE) == IF_NAMESIZE || !bus_of(interface, bus)) return 0;
    (void)pthread_mutex_lock(&mutex);
    for (unsigned i = 0; i < BUSES_MAX && !index; i++) {
        if (i == bus_count) (void)snprintf(buses[bus_count++], IF_NAMESIZE, "%s", interface);
        if (strcmp(buses[i], interface) == 0) index = INDEX_BASE + (int)i;
    }
    (void)pthread_mutex_unlock(&mutex);
    return index;
}

static const char *name_of(int index)
{
    const int i = index - INDEX_BASE;
    return (i >= 0 && i < (int)bus_count) ? buses[i] : NULL;
}

unsigned if_nametoindex(const char *name)
{
    REAL(if_nametoindex);
    const unsigned index = real_if_nametoindex(name);
    return index ? index : (unsigned)index_of(name);
}

char *if_indextoname(unsigned index, char name[IF_NAMESIZE])
{
    REAL(if_indextoname);
    const char *ours = name_of((int)index);
    return ours ? memcpy(name, ours, IF_NAMESIZE) : real_if_indextoname(index, name);
}

// --- What a socket hears: its options as a program for the kernel's packet filter ---

typedef struct {
    struct sock_filter code[PROGRAM_MAX];
    unsigned short len;
} program_t;

static void add(program_t *p, unsigned code, uint32_t k, unsigned if_true, unsigned if_false)
{
    p->code[p->len++] = (struct sock_filter){
        .code = (uint16_t)code, .jt = (uint8_t)if_true, .jf = (uint8_t)if_false, .k = k
    };
}

enum { DROP = 0, PASS = CANFD_MTU };

/// Returns the verdict if what was loaded is k (or is not).
static void finish_if(program_t *p, uint32_t k, bool is, uint32_t verdict)
{
    add(p, BPF_JMP | BPF_JEQ | BPF_K, k, !is, is);
    add(p, BPF_RET | BPF_K, verdict, 0, 0);
}

/// The packet filter loads big-endian words, the identifier has the machine's order.
static uint32_t as_loaded(uint32_t id)
{
    uint8_t bytes[4];
    memcpy(bytes, &id, 4);
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void add_filter(program_t *p, const struct can_filter *f, bool join)
{
    uint32_t mask = f->can_mask & ~CAN_ERR_FLAG;
    const uint32_t id = f->can_id & ~CAN_INV_FILTER;
    const bool inverted = f->can_id & CAN_INV_FILTER;
    // As the kernel: a mask that knows of 29 bits and an identifier of 11.
    if ((mask & CAN_EFF_FLAG) && !(id & CAN_EFF_FLAG))
        mask &= CAN_SFF_MASK | CAN_EFF_FLAG | CAN_RTR_FLAG;
    add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, 0);
    add(p, BPF_ALU | BPF_AND | BPF_K, as_loaded(mask), 0, 0);
    finish_if(p, as_loaded(id & mask), inverted == join, join ? DROP : PASS);
}

/// Tells the kernel what this socket wants.
static int apply(int fd, const can_socket_t *s)
{
    program_t *p = calloc(1, sizeof *p);
    if (!p) return failed(ENOMEM);
    add(p, BPF_LD | BPF_W | BPF_LEN, 0, 0, 0);
    if (s->fd_frames) add(p, BPF_JMP | BPF_JEQ | BPF_K, CANFD_MTU, 2, 0);
    finish_if(p, CAN_MTU, false, DROP);
    if (!s->own || !s->loopback) {
        add(p, BPF_LD | BPF_B | BPF_ABS, OWN_AT, 0, 0);
        finish_if(p, 0, false, DROP);
    }
    for (unsigned i = 0; i < s->filter_count; i++)
        add_filter(p, &s->filters[i], s->join);
    add(p, BPF_RET | BPF_K, (s->join && s->filter_count) ? PASS : DROP, 0, 0);
    const struct sock_fprog program = { .len = p->len, .filter = p->code };
    REAL(setsockopt);
    const int result = real_setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    free(p);
    return result;
}

// --- Sockets ---

static can_socket_t *find(int fd)
{
    struct stat st;
    can_socket_t *s = sockets;
    if (!s || fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode)) return NULL;
    while (s && s->inode != st.st_ino)
        s = s->next;
    return s;
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    if (domain != PF_CAN) return real_socket(domain, type, protocol);
    const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    if ((type & ~flags) != SOCK_RAW) return failed(ESOCKTNOSUPPORT);
    if (protocol != CAN_RAW) return failed(EPROTONOSUPPORT);
    const int fd = real_socket(AF_UNIX, SOCK_SEQPACKET | (type & flags), 0);
    if (fd < 0) return fd;
    can_socket_t *s = calloc(1, sizeof *s);
    struct stat st;
    if (!s || fstat(fd, &st) != 0) {
        free(s);
        (void)close(fd);
        return failed(ENOMEM);
    }
    s->inode = st.st_ino;
    s->loopback = 1;
    s->filter_count = 1; // all zero: everything
    if (apply(fd, s) != 0) {
        free(s);
        (void)close(fd);
        return failed(ENOPROTOOPT);
    }
    (void)pthread_mutex_lock(&mutex);
    s->next = sockets;
    sockets = s;
    (void)pthread_mutex_unlock(&mutex);
    return fd;
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    REAL(bind);
    REAL(connect);
    can_socket_t *s = find(fd);
    if (!s) return real_bind(fd, address, len);
    struct sockaddr_can can;
    if (len < offsetof(struct sockaddr_can, can_addr)) return failed(EINVAL);
    memcpy(&can, address.__sockaddr__, offsetof(struct sockaddr_can, can_addr));
    const char *interface = name_of(can.can_ifindex);
    char bus[BUS_NAME];
    if (can.can_family != AF_CAN || s->index) return failed(EINVAL);
    if (!interface || !bus_of(interface, bus)) return failed(ENODEV);
    struct sockaddr_un hub = { .sun_family = AF_UNIX };
    const int name_len = snprintf(hub.sun_path + 1, sizeof hub.sun_path - 1, "isotp-ota/%u/%s",
                                  (unsigned)getuid(), bus);
    const size_t hub_len = offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)name_len;
    const __CONST_SOCKADDR_ARG to = { .__sockaddr_un__ = &hub };
    if (real_connect(fd, to, (socklen_t)hub_len) != 0) return failed(ENETDOWN);
    s->index = can.can_ifindex;
    return 0;
}

static void tell_address(const can_socket_t *s, void *to, socklen_t *len)
{
    const struct sockaddr_can can = { .can_family = AF_CAN, .can_ifindex = s->index };
    memcpy(to, &can, *len < sizeof can ? *len : sizeof can);
    *len = sizeof can;
}

int getsockname(int fd, __SOCKADDR_ARG address, socklen_t *len)
{
    REAL(getsockname);
    const can_socket_t *s = find(fd);
    if (!s) return real_getsockname(fd, address, len);
    tell_address(s, address.__sockaddr__, len);
    return 0;
}

static int *flag_of(can_socket_t *s, int option)
{
    switch (option) {
    case CAN_RAW_LOOPBACK: return &s->loopback;
    case CAN_RAW_RECV_OWN_MSGS: return &s->own;
    case CAN_RAW_FD_FRAMES: return &s->fd_frames;
    case CAN_RAW_JOIN_FILTERS: return &s->join;
    default: return NULL;
    }
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t len)
{
    REAL(setsockopt);
    can_socket_t *s = (level == SOL_CAN_RAW) ? find(fd) : NULL;
    if (!s) return real_setsockopt(fd, level, option, value, len);
    int *flag = flag_of(s, option);
    if (flag) {
        if (len != sizeof *flag) return failed(EINVAL);
        memcpy(flag, value, sizeof *flag);
    } else if (option == CAN_RAW_ERR_FILTER) {
        if (len != sizeof s->errors) return failed(EINVAL);
        memcpy(&s->errors, value, sizeof s->errors);
    } else if (option == CAN_RAW_FILTER) {
        if (len % sizeof s->filters[0] || len > sizeof s->filters) return failed(EINVAL);
        s->filter_count = len / sizeof s->filters[0];
        if (len) memcpy(s->filters, value, len);
    } else
        return failed(ENOPROTOOPT);
    return apply(fd, s);
}

int getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
    REAL(getsockopt);
    can_socket_t *s = (level == SOL_CAN_RAW) ? find(fd) : NULL;
    if (!s) return real_getsockopt(fd, level, option, value, len);
    const void *from = flag_of(s, option);
    size_t size = sizeof(int);
    if (option == CAN_RAW_ERR_FILTER) from = &s->errors;
    if (option == CAN_RAW_FILTER) {
        from = s->filters;
        size = s->filter_count * sizeof s->filters[0];
        if (*len < size) return failed(ERANGE);
    }
    if (!from) return failed(ENOPROTOOPT);
    if (size > *len) size = *len;
    memcpy(value, from, size);
    *len = (socklen_t)size;
    return 0;
}

static int answer_request(unsigned long request, struct ifreq *r)
{
    const char *name;
    switch (request) {
    case SIOCGIFINDEX:
        r->ifr_ifindex = index_of(r->ifr_name);
        return r->ifr_ifindex ? 0 : failed(ENODEV);
    case SIOCGIFNAME:
        name = name_of(r->ifr_ifindex);
        if (!name) return failed(ENODEV);
        memcpy(r->ifr_name, name, IF_NAMESIZE);
        return 0;
    case SIOCGIFMTU: r->ifr_mtu = CANFD_MTU; break;
    default: r->ifr_flags = IFF_UP | IFF_RUNNING | IFF_NOARP; break;
    }
    return index_of(r->ifr_name) ? 0 : failed(ENODEV);
}

int ioctl(int fd, unsigned long request, ...)
{
    REAL(ioctl);
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    struct timespec now;
    switch (request) {
    case SIOCGIFINDEX:
    case SIOCGIFNAME:
    case SIOCGIFMTU:
    case SIOCGIFFLAGS:
        return find(fd) ? answer_request(request, argument) : real_ioctl(fd, request, argument);
    case SIOCGSTAMP_OLD:
    case SIOCGSTAMPNS_OLD:
        if (!find(fd)) return real_ioctl(fd, request, argument);
        (void)clock_gettime(CLOCK_REALTIME, &now);
        if (request == SIOCGSTAMP_OLD) now.tv_nsec /= 1000; // a struct timeval
        memcpy(argument, &now, sizeof now);
        return 0;
    default: return real_ioctl(fd, request, argument);
    }
}

// --- Frames ---

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
    REAL(recvmsg);
    const can_socket_t *s = find(fd);
    if (!s) return real_recvmsg(fd, m, flags);
    void *name = m->msg_name;
    socklen_t name_len = m->msg_namelen;
    m->msg_name = NULL;
    m->msg_namelen = 0;
    const ssize_t got = real_recvmsg(fd, m, flags);
    m->msg_name = name;
    if (got == 0) return failed(ENETDOWN); // the hub has ended
    if (got < 0) return got;
    if (name) {
        tell_address(s, name, &name_len);
        m->msg_namelen = name_len;
    }
    uint8_t *frame = m->msg_iov[0].iov_base;
    if (m->msg_iov[0].iov_len > OWN_AT && frame[OWN_AT]) {
        frame[OWN_AT] = 0;
        m->msg_flags |= MSG_DONTROUTE | MSG_CONFIRM;
    }
    return got;
}

ssize_t recvfrom(int fd, void *to, size_t cap, int flags, __SOCKADDR_ARG address, socklen_t *len)
{
    REAL(recvfrom);
    if (!find(fd)) return real_recvfrom(fd, to, cap, flags, address, len);
    struct iovec part = { .iov_base = to, .iov_len = cap };
    struct msghdr m = { .msg_name = address.__sockaddr__, .msg_iov = &part, .msg_iovlen = 1 };
    if (len) m.msg_namelen = *len;
    const ssize_t got = recvmsg(fd, &m, flags);
    if (got >= 0 && len) *len = m.msg_namelen;
    return got;
}

ssize_t recv(int fd, void *to, size_t cap, int flags)
{
    REAL(recv);
    if (!find(fd)) return real_recv(fd, to, cap, flags);
    return recvfrom(fd, to, cap, flags, (__SOCKADDR_ARG){ .__sockaddr__ = NULL }, NULL);
}

ssize_t read(int fd, void *to, size_t cap)
{
    REAL(read);
    return find(fd) ? recv(fd, to, cap, 0) : real_read(fd, to, cap);
}

static bool is_frame(const can_socket_t *s, size_t len)
{
    return len == CAN_MTU || (len == CANFD_MTU && s->fd_frames);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    REAL(sendmsg);
    const can_socket_t *s = find(fd);
    size_t len = 0;
    for (size_t i = 0; s && i < m->msg_iovlen; i++)
        len += m->msg_iov[i].iov_len;
    if (s && !is_frame(s, len)) return failed(EINVAL);
    return real_sendmsg(fd, m, s ? flags | MSG_NOSIGNAL : flags);
}

ssize_t sendto(int fd, const void *frame, size_t len, int flags, __CONST_SOCKADDR_ARG address,
               socklen_t address_len)
{
    REAL(sendto);
    const can_socket_t *s = find(fd);
    if (s && !is_frame(s, len)) return failed(EINVAL);
    return real_sendto(fd, frame, len, s ? flags | MSG_NOSIGNAL : flags, address, address_len);
}

ssize_t send(int fd, const void *frame, size_t len, int flags)
{
    REAL(send);
    if (!find(fd)) return real_send(fd, frame, len, flags);
    return sendto(fd, frame, len, flags, (__CONST_SOCKADDR_ARG){ .__sockaddr__ = NULL }, 0);
}

ssize_t write(int fd, const void *frame, size_t len)
{
    REAL(write);
    return find(fd) ? send(fd, frame, len, 0) : real_write(fd, frame, len);
}
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
