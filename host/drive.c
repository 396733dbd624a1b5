// drive.c - one machine on one bus: see drive.h.
// SPDX-License-Identifier: Apache-2.0
#include "drive.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

#define REOPEN_TIME (100 * USEC_MS)

static volatile sig_atomic_t stopped;
static sigset_t unblocked;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

// The signals stay blocked but while ppoll() waits, so that none can slip in between a test and the
// wait.
void drive_catch_signals(void)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++) {
        sigaction(caught[i], &action, NULL);
        sigaddset(&blocked, caught[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, &unblocked);
    (void)signal(SIGPIPE, SIG_IGN);
}

bool drive_stopped(void) { return stopped != 0; }

static void wait_for_bus(bus_t *bus, usec_t until, usec_t now)
{
    struct pollfd p = { .fd = bus_fd(bus), .events = POLLIN };
    if (p.fd < 0)
        until = sooner(until, now + REOPEN_TIME); // the bus is gone: it is opened again on the way
    const usec_t left = (until > now) ? until - now : 0;
    const struct timespec t = { .tv_sec = (time_t)(left / 1000000),
                                .tv_nsec = (long)(left % 1000000 * 1000) };
    (void)ppoll(&p, 1, (until == USEC_NEVER) ? NULL : &t, &unblocked);
}

static void give(bus_t *bus, const machine_t *m)
{
    const can_frame_t *frame;
    while ((frame = m->output(m->self, bus_clock())) != NULL && bus_send(bus, frame))
        m->taken(m->self, bus_clock());
}

static unsigned take(bus_t *bus, const machine_t *m)
{
    can_frame_t frame;
    unsigned events = 0;
    while (events == 0) {
        switch (bus_recv(bus, &frame)) {
        case BUS_NONE: return 0;
        case BUS_FRAME: events = m->input(m->self, &frame, bus_clock()); break;
        case BUS_SENT: events = m->sent(m->self, bus_clock()); break;
        case BUS_DOWN: m->lost(m->self); break;
        }
        give(bus, m); // an answer is due, or there is room again
    }
    return events;
}

unsigned drive(bus_t *bus, const machine_t *m, usec_t until)
{
    for (;;) {
        unsigned events = take(bus, m);
        if (!events) events = m->tick(m->self, bus_clock());
        if (events) return events; // before more is sent: it may mean that there is no power for it
        give(bus, m);
        const usec_t now = bus_clock();
        if (stopped || now >= until) return 0;
        wait_for_bus(bus, sooner(until, m->deadline(m->self)), now);
    }
}
