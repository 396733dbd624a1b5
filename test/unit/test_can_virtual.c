// test_can_virtual.c - the virtual bus with real sockets: nodes here and in other processes.
// SPDX-License-Identifier: Apache-2.0
#include "bus.h"
#include "can_bits.h"
#include <errno.h>
#include <linux/can.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#define PATIENCE_MS 20000 // a bound for a machine under load, not an expectation

static char name[32]; // of this test's bus
static int tests_so_far;

static int fresh_name(void **state)
{
    (void)state;
    snprintf(name, sizeof name, "test-%d-%d", (int)getpid(), ++tests_so_far);
    return 0;
}

static bus_t *try_to_join(const char *options, char *error, size_t cap)
{
    char channel[96];
    snprintf(channel, sizeof channel, "virtual:%s%s", name, options);
    return bus_open(&(bus_cfg_t){ .channel = channel }, error, cap);
}

static bus_t *join(const char *options)
{
    char error[256] = "";
    bus_t *bus = try_to_join(options, error, sizeof error);
    if (!bus) fail_msg("%s", error);
    return bus;
}

static can_frame_t frame_of(uint32_t id, uint32_t number)
{
    can_frame_t f = { .id = id, .len = 8, .data = { 0 } };
    store_le32(f.data, number);
    return f;
}

static usec_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * 1000000U + (usec_t)t.tv_nsec / 1000U;
}

static bus_event_t wait_for_event(bus_t *bus, can_frame_t *frame)
{
    for (;;) {
        const bus_event_t event = bus_recv(bus, frame);
        if (event != BUS_NONE) return event;
        if (poll(&(struct pollfd){ bus_fd(bus), POLLIN, 0 }, 1, PATIENCE_MS) == 0) return BUS_NONE;
    }
}

static void expect_frame(bus_t *bus, uint32_t id, uint32_t number)
{
    can_frame_t f;
    assert_int_equal(wait_for_event(bus, &f), BUS_FRAME);
    assert_int_equal(f.id, id);
    assert_int_equal(load_le32(f.data), number);
}

static void expect_sent(bus_t *bus)
{
    can_frame_t f;
    assert_int_equal(wait_for_event(bus, &f), BUS_SENT);
}

static void send_one(bus_t *bus, uint32_t id, uint32_t number)
{
    const can_frame_t f = frame_of(id, number);
    assert_true(bus_send(bus, &f));
}

/// Sends `count` frames numbered from `first`, as many under way as the bus takes. Frames from
/// others are skipped.
static void send_many(bus_t *bus, uint32_t id, uint32_t first, uint32_t count)
{
    uint32_t taken = 0;
    for (uint32_t sent = 0; sent < count;) {
        while (taken < count) {
            const can_frame_t f = frame_of(id, first + taken);
            if (!bus_send(bus, &f)) break;
            taken++;
        }
        can_frame_t f;
        const bus_event_t event = wait_for_event(bus, &f);
        assert_true(event == BUS_SENT || event == BUS_FRAME);
        if (event == BUS_SENT) sent++;
    }
}

static pid_t hub_of(int fd)
{
    struct ucred peer = { 0 };
    socklen_t len = sizeof peer;
    assert_return_code(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len), errno);
    assert_int_not_equal(peer.pid, getpid());
    return peer.pid;
}

static int open_process(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0U); }

static void expect_end(int process)
{
    assert_true(process >= 0);
    assert_int_equal(poll(&(struct pollfd){ process, POLLIN, 0 }, 1, PATIENCE_MS), 1);
    close(process);
}

static int raw_socket(struct sockaddr_un *a, socklen_t *len)
{
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    const int n = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "isotp-ota/%u/%s",
                           (unsigned)getuid(), name);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_return_code(fd, errno);
    return fd;
}

static int foreign_node(void)
{
    struct sockaddr_un a;
    socklen_t len;
    const int fd = raw_socket(&a, &len);
    assert_return_code(connect(fd, (struct sockaddr *)&a, len), errno);
    const struct timeval patience = { PATIENCE_MS / 1000, 0 };
    assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), errno);
    return fd;
}

// --- Frames ---

static void a_frame_reaches_everybody_else_and_comes_back_as_a_confirmation(void **state)
{
    (void)state;
    bus_t *a = join(""), *b = join(""), *c = join("");
    send_one(a, 0x7E0, 1);
    expect_frame(b, 0x7E0, 1);
    expect_frame(c, 0x7E0, 1);
    expect_sent(a);
    send_one(b, 0x7E8, 2);
    expect_frame(a, 0x7E8, 2); // and nothing of its own before
    expect_frame(c, 0x7E8, 2);
    expect_sent(b);
    can_frame_t f;
    assert_int_equal(bus_recv(a, &f), BUS_NONE);
    assert_int_equal(bus_recv(b, &f), BUS_NONE);
    assert_int_equal(bus_recv(c, &f), BUS_NONE);
    bus_close(a);
    bus_close(b);
    bus_close(c);
}

static void every_kind_of_data_frame_arrives_as_it_was_sent(void **state)
{
    (void)state;
    bus_t *a = join(""), *b = join("");
    can_frame_t frames[] = {
        { .id = 0x7FF, .len = 0 },
        { .id = 0x1FFFFFFF, .ext = true, .len = 3, .data = { 1, 2, 3 } },
        { .id = 0x123, .fd = true, .len = 8, .data = { 9 } },
        { .id = 0x18DA10F1, .ext = true, .fd = true, .brs = true, .len = 64 },
    };
    for (size_t i = 0; i < 64; i++)
        frames[3].data[i] = (uint8_t)(i ^ 0x5A);
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        can_frame_t f;
        assert_true(bus_send(a, &frames[i]));
        assert_int_equal(wait_for_event(b, &f), BUS_FRAME);
        expect_sent(a);
        assert_int_equal(f.id, frames[i].id);
        assert_int_equal(f.ext, frames[i].ext);
        assert_int_equal(f.fd, frames[i].fd);
        assert_int_equal(f.brs, frames[i].brs);
        assert_int_equal(f.len, frames[i].len);
        assert_memory_equal(f.data, frames[i].data, sizeof f.data);
    }
    bus_close(a);
    bus_close(b);
}

static void three_frames_may_be_under_way_and_are_confirmed_in_their_order(void **state)
{
    (void)state;
    bus_t *a = join("?bitrate=2000"), *b = join("");
    // Each frame takes 55 ms, and the later ones have the lower identifiers: a node does not
    // overtake itself.
    send_one(a, 0x300, 1);
    send_one(a, 0x200, 2);
    send_one(a, 0x100, 3);
    const can_frame_t fourth = frame_of(0x080, 4);
    assert_false(bus_send(a, &fourth));
    expect_sent(a);
    assert_true(bus_send(a, &fourth));
    expect_frame(b, 0x300, 1);
    expect_frame(b, 0x200, 2);
    expect_frame(b, 0x100, 3);
    expect_frame(b, 0x080, 4);
    for (int i = 0; i < 3; i++)
        expect_sent(a);
    bus_close(a);
    bus_close(b);
}

static void the_lowest_identifier_wins_when_several_wait(void **state)
{
    (void)state;
    bus_t *busy = join("?bitrate=1000"), *listener = join("");
    bus_t *nodes[4];
    for (size_t i = 0; i < 4; i++)
        nodes[i] = join("");
    // Highest priority, for a third of a second: meanwhile the others queue up.
    for (uint32_t i = 0; i < 3; i++)
        send_one(busy, 0, i);
    const can_frame_t waiting[4] = {
        { .id = 0x124, .len = 0 },
        { .id = 0x123U << 18,
          .ext = true,
          .len = 0 },                          // loses against the base frame by SRR and IDE
        { .id = 0x123, .fd = true, .len = 0 }, // and this one by FDF only
        { .id = 0x123, .len = 0 },
    };
    for (size_t i = 0; i < 4; i++)
        assert_true(bus_send(nodes[i], &waiting[i]));
    for (uint32_t i = 0; i < 3; i++)
        expect_frame(listener, 0, i);
    for (size_t i = 4; i-- > 0;) {
        can_frame_t f;
        assert_int_equal(wait_for_event(listener, &f), BUS_FRAME);
        assert_int_equal(f.id, waiting[i].id);
        assert_int_equal(f.ext, waiting[i].ext);
        assert_int_equal(f.fd, waiting[i].fd);
    }
    for (size_t i = 0; i < 4; i++)
        bus_close(nodes[i]);
    bus_close(busy);
    bus_close(listener);
}

static void a_node_that_does_not_read_neither_blocks_the_bus_nor_loses_frames(void **state)
{
    (void)state;
    bus_t *a = join(""), *reader = join(""), *sleeper = join("");
    for (uint32_t i = 0; i < 4000; i += 50) {
        send_many(a, 0x7E0, i, 50);
        for (uint32_t k = 0; k < 50; k++)
            expect_frame(reader, 0x7E0, i + k);
    }
    for (uint32_t i = 0; i < 4000; i++)
        expect_frame(sleeper, 0x7E0, i);
    bus_close(a);
    bus_close(reader);
    bus_close(sleeper);
}

static void a_node_that_sleeps_too_long_loses_the_newest_frames_and_still_can_send(void **state)
{
    (void)state;
    bus_t *a = join(""), *sleeper = join("");
    const uint32_t count = 20000; // more than the hub's queue and the socket hold
    send_one(sleeper, 0x7E8, 0);
    expect_frame(a, 0x7E8, 0);
    expect_sent(sleeper);
    send_many(a, 0x7E0, 0, count);
    send_one(sleeper, 0x7E8, 1); // its confirmation comes behind all that
    expect_frame(a, 0x7E8, 1);
    uint32_t got = 0;
    can_frame_t f;
    bus_event_t event;
    while ((event = wait_for_event(sleeper, &f)) == BUS_FRAME) {
        assert_int_equal(load_le32(f.data), got);
        got++;
    }
    assert_int_equal(event, BUS_SENT);
    assert_in_range(got, 16384, count - 1);
    send_one(a, 0x7E0, count);
    expect_frame(sleeper, 0x7E0, count);
    bus_close(a);
    bus_close(sleeper);
}

static void what_a_node_sent_before_it_left_is_delivered(void **state)
{
    (void)state;
    bus_t *a = join("?bitrate=10000"), *b = join("");
    send_one(b, 0x001, 0); // so that the leaving node has something unread in its socket
    for (uint32_t i = 0; i < 3; i++)
        send_one(a, 0x7E0, i);
    bus_close(a);
    expect_sent(b);
    for (uint32_t i = 0; i < 3; i++)
        expect_frame(b, 0x7E0, i);
    bus_close(b);
}

static void a_foreign_program_takes_part_without_a_greeting(void **state)
{
    (void)state;
    bus_t *a = join("");
    const int foreign = foreign_node();
    const struct can_frame remote = { .can_id = 0x111 | CAN_RTR_FLAG, .len = 0 };
    const struct can_frame error = { .can_id = 0x004 | CAN_ERR_FLAG, .len = 8 };
    const struct can_frame forged = { .can_id = 0x7E8, .len = 8, .__res0 = 1, .data = { 7 } };
    assert_int_equal(send(foreign, "junk", 4, 0), 4);
    assert_int_equal(send(foreign, &error, sizeof error, 0), 16);
    assert_int_equal(send(foreign, &remote, sizeof remote, 0), 16);
    assert_int_equal(send(foreign, &forged, sizeof forged, 0), 16);
    expect_frame(
        a, 0x7E8,
        7); // no confirmation: only the hub confirms; and remote frames do not get up to here

    struct canfd_frame f;
    assert_int_equal(recv(foreign, &f, sizeof f, 0), CAN_MTU);
    assert_int_equal(f.can_id, 0x111 | CAN_RTR_FLAG);
    assert_int_equal(f.__res0, 1);
    assert_int_equal(recv(foreign, &f, sizeof f, 0), CAN_MTU);
    assert_int_equal(f.can_id, 0x7E8);
    assert_int_equal(f.__res0, 1);

    send_one(a, 0x7E0, 5);
    assert_int_equal(recv(foreign, &f, sizeof f, 0), CAN_MTU);
    assert_int_equal(f.can_id, 0x7E0);
    assert_int_equal(f.__res0, 0);
    expect_sent(a);
    close(foreign);
    bus_close(a);
}

// --- Bit rate ---

static void a_paced_bus_takes_at_least_the_time_of_the_bits(void **state)
{
    (void)state;
    bus_t *a = join("?bitrate=125000"), *b = join("");
    uint32_t bits = 0;
    for (uint32_t i = 0; i < 200; i++) {
        const can_frame_t f = frame_of(0x7E0, i);
        bits += can_bits(&f).nominal;
    }
    const usec_t begin = clock_us();
    send_many(a, 0x7E0, 0, 200);
    assert_true(clock_us() - begin >= (usec_t)bits * 1000000U / 125000U);
    for (uint32_t i = 0; i < 200; i++)
        expect_frame(b, 0x7E0, i);
    bus_close(a);
    bus_close(b);
}

static void the_data_phase_of_fd_frames_has_its_own_rate(void **state)
{
    (void)state;
    bus_t *a = join("?bitrate=10000&dbitrate=1000000"), *b = join("");
    const can_frame_t fast = { .id = 0x555, .fd = true, .brs = true, .len = 64 };
    const can_frame_t slow = { .id = 0x555, .fd = true, .len = 64 };
    const can_bits_t fast_bits = can_bits(&fast);
    usec_t begin = clock_us();
    assert_true(bus_send(a, &fast));
    expect_sent(a);
    assert_true(clock_us() - begin >= (usec_t)fast_bits.nominal * 100U + fast_bits.data);
    begin = clock_us();
    assert_true(bus_send(a, &slow));
    expect_sent(a);
    assert_true(clock_us() - begin >= (usec_t)can_bits(&slow).nominal * 100U);
    bus_close(a);
    bus_close(b);
}

static void a_second_bit_rate_is_refused_with_both_figures(void **state)
{
    (void)state;
    char error[256];
    bus_t *a = join(""); // no wish
    bus_t *b = join("?bitrate=500000&dbitrate=2000000");
    bus_t *c = join("?bitrate=500000");
    assert_null(try_to_join("?bitrate=250000", error, sizeof error));
    assert_non_null(strstr(error, "500000"));
    assert_non_null(strstr(error, "250000"));
    assert_null(try_to_join("?bitrate=500000&dbitrate=4000000", error, sizeof error));
    assert_non_null(strstr(error, "2000000"));
    assert_non_null(strstr(error, "4000000"));
    bus_close(a);
    bus_close(b);
    bus_close(c);
}

// --- The hub's life ---

static void the_hub_ends_when_the_last_node_leaves(void **state)
{
    (void)state;
    bus_t *a = join(""), *b = join("");
    const int hub = open_process(hub_of(bus_fd(a)));
    bus_close(a);
    send_one(b, 0x100, 0);
    expect_sent(b);
    bus_close(b);
    expect_end(hub);
    struct sockaddr_un address;
    socklen_t len;
    const int fd = raw_socket(&address, &len);
    assert_return_code(bind(fd, (struct sockaddr *)&address, len), errno);
    close(fd);
}

static void opening_and_closing_over_and_over_never_fails(void **state)
{
    (void)state;
    // The hub of the last round is often just ending.
    for (int i = 0; i < 200; i++) {
        bus_t *a = join("");
        send_one(a, 0x100, 0);
        bus_close(a);
    }
}

static void a_bus_that_all_have_left_forgets_its_bit_rate(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        bus_close(join("?bitrate=500000"));
        bus_close(join("?bitrate=250000"));
    }
}

static void the_hub_survives_the_death_of_the_process_group_that_started_it(void **state)
{
    (void)state;
    int ready[2];
    assert_return_code(pipe(ready), errno);
    const pid_t child = fork();
    if (child == 0) {
        char error[256];
        if (setpgid(0, 0) || !try_to_join("", error, sizeof error)) _exit(1);
        if (write(ready[1], "1", 1) != 1) _exit(1);
        for (;;)
            pause();
    }
    char byte;
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    bus_t *a = join(""), *b = join("");
    const pid_t hub = hub_of(bus_fd(a));
    assert_int_not_equal(hub, child);
    assert_return_code(kill(-child, SIGKILL), errno);
    assert_int_equal(waitpid(child, NULL, 0), child);
    send_many(a, 0x7E0, 0, 100);
    for (uint32_t i = 0; i < 100; i++)
        expect_frame(b, 0x7E0, i);
    assert_int_equal(hub_of(bus_fd(b)), hub);
    bus_close(a);
    bus_close(b);
}

static void after_its_hub_was_killed_the_bus_is_down_once_and_comes_back(void **state)
{
    (void)state;
    bus_t *a = join("?bitrate=500000"), *b = join("");
    const pid_t first = hub_of(bus_fd(a));
    const int process = open_process(first);
    assert_return_code(kill(first, SIGSTOP), errno); // so that the frames are still under way
    for (uint32_t i = 0; i < 3; i++)
        send_one(a, 0x7E0, i);
    assert_return_code(kill(first, SIGKILL), errno);
    expect_end(process);

    can_frame_t f;
    assert_int_equal(wait_for_event(b, &f), BUS_DOWN);
    assert_int_equal(bus_fd(b), -1);
    assert_int_equal(bus_recv(b, &f), BUS_NONE); // b is back first, and the bus has its rate again
    assert_int_not_equal(hub_of(bus_fd(b)), first);
    char error[256];
    assert_null(try_to_join("?bitrate=250000", error, sizeof error));
    assert_int_equal(wait_for_event(a, &f), BUS_DOWN);
    assert_int_equal(bus_recv(a, &f), BUS_NONE);
    assert_int_equal(hub_of(bus_fd(a)), hub_of(bus_fd(b)));
    for (uint32_t i = 0; i < 3; i++)
        send_one(a, 0x7E0, 10 + i); // the lost ones do not count any more
    for (uint32_t i = 0; i < 3; i++)
        expect_frame(b, 0x7E0, 10 + i);
    bus_close(a);
    bus_close(b);
}

static void twenty_processes_that_open_at_once_share_one_bus(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    int go[2], hubs[2], end[2];
    pid_t children[COUNT];
    assert_return_code(pipe(go), errno);
    assert_return_code(pipe(hubs), errno);
    assert_return_code(pipe(end), errno);
    for (size_t i = 0; i < COUNT; i++) {
        children[i] = fork();
        if (children[i]) continue;
        close(go[1]);
        close(end[1]);
        char byte, error[256] = "";
        if (read(go[0], &byte, 1) < 0) _exit(1); // ends when the parent closes its side
        const bus_t *bus = try_to_join("", error, sizeof error);
        struct ucred peer = { .pid = -1 };
        socklen_t len = sizeof peer;
        if (!bus) fprintf(stderr, "%s\n", error);
        if (bus && getsockopt(bus_fd(bus), SOL_SOCKET, SO_PEERCRED, &peer, &len)) _exit(1);
        if (write(hubs[1], &peer.pid, sizeof peer.pid) != (ssize_t)sizeof peer.pid) _exit(1);
        if (read(end[0], &byte, 1) < 0) _exit(1);
        _exit(0);
    }
    close(go[1]);
    pid_t hub[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(poll(&(struct pollfd){ hubs[0], POLLIN, 0 }, 1, PATIENCE_MS), 1);
        assert_int_equal(read(hubs[0], &hub[i], sizeof hub[i]), sizeof hub[i]);
    }
    close(end[1]);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(waitpid(children[i], NULL, 0), children[i]);
    assert_true(hub[0] > 0);
    for (size_t i = 1; i < COUNT; i++)
        assert_int_equal(hub[i], hub[0]);
    close(go[0]);
    close(hubs[0]);
    close(hubs[1]);
    close(end[0]);
}

static void a_hub_that_is_silent_is_named_in_the_error(void **state)
{
    (void)state;
    bus_t *a = join("");
    const pid_t hub = hub_of(bus_fd(a));
    char error[256], pid[16];
    snprintf(pid, sizeof pid, "%d", (int)hub);
    assert_return_code(kill(hub, SIGSTOP), errno);
    assert_null(try_to_join("", error, sizeof error));
    assert_return_code(kill(hub, SIGCONT), errno);
    assert_non_null(strstr(error, pid));
    bus_close(a);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, fresh_name)
    const struct CMUnitTest tests[] = {
        TEST(a_frame_reaches_everybody_else_and_comes_back_as_a_confirmation),
        TEST(every_kind_of_data_frame_arrives_as_it_was_sent),
        TEST(three_frames_may_be_under_way_and_are_confirmed_in_their_order),
        TEST(the_lowest_identifier_wins_when_several_wait),
        TEST(a_node_that_does_not_read_neither_blocks_the_bus_nor_loses_frames),
        TEST(a_node_that_sleeps_too_long_loses_the_newest_frames_and_still_can_send),
        TEST(what_a_node_sent_before_it_left_is_delivered),
        TEST(a_foreign_program_takes_part_without_a_greeting),
        TEST(a_paced_bus_takes_at_least_the_time_of_the_bits),
        TEST(the_data_phase_of_fd_frames_has_its_own_rate),
        TEST(a_second_bit_rate_is_refused_with_both_figures),
        TEST(the_hub_ends_when_the_last_node_leaves),
        TEST(opening_and_closing_over_and_over_never_fails),
        TEST(a_bus_that_all_have_left_forgets_its_bit_rate),
        TEST(the_hub_survives_the_death_of_the_process_group_that_started_it),
        TEST(after_its_hub_was_killed_the_bus_is_down_once_and_comes_back),
        TEST(twenty_processes_that_open_at_once_share_one_bus),
        TEST(a_hub_that_is_silent_is_named_in_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
