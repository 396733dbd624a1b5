// sim_world.h - machines on a CAN bus, each behind a model of its port, in virtual time.
// SPDX-License-Identifier: Apache-2.0
//
//     sim_world_t w;
//     sim_world_init(&w, 500000, 2000000, seed);
//     sim_world_join(&w, 0, &sim_port_host, &tester); // machine_t: host/machine.h
//     sim_world_join(&w, 1, &sim_port_esp32, &device);
//     sim.clock = &w.node[1].clock; // what takes time inside keeps the device busy, not the bus
//     w.node[1].flash = &sim;
//     while (sim_world_run(&w, until)) handle(w.node[0].events, w.node[1].events);
//     sim_world_free(&w);
//
// One seed, one history. Machines are told the time in microseconds; the bus counts nanoseconds.
//
// Threads: none inside. Memory: sim_world_t, the caller's, and queues, allocated. Time: a frame costs
// about a microsecond.
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "machine.h"
#include "sim_bus.h"
#include "sim_flash.h"

#define NSEC_US UINT64_C(1000)
#define NSEC_MS UINT64_C(1000000)

/// Between controller and machine.
typedef struct {
    const char *name;
    uint32_t
        fifo; // bytes the controller keeps for the interrupt: a frame takes 3 (29 bits: 5) and its data
    nsec_t interrupt;   // from the end of a frame until the interrupt has emptied the FIFO
    bool cache_safe;    // it does so while a flash operation blocks the processor, too
    unsigned queue;     // frames between interrupt and loop
    nsec_t wake;        // from the interrupt to the loop, where that sleeps
    nsec_t period;      // the loop runs only every so often; 0: when there is something to do
    nsec_t call;        // processor time of the loop for each frame and tick
    unsigned mailboxes; // frames that the machine gets rid of at once
    nsec_t send;        // from there to the controller
} sim_port_t;

/// ESP32: TWAI with a cache-safe interrupt, room for 600 frames in RAM, which is more than a message of 4095
/// bytes needs; a chip with CAN FD (M_CAN, 64 frames in the controller) likewise. A host with the adapter
/// on its own bus, or on USB, a millisecond each way. And no port at all: everything at once.
extern const sim_port_t sim_port_esp32, sim_port_fd, sim_port_host, sim_port_usb, sim_port_none;

/// What happens to so many frames in a million on their way from controller to machine.
typedef struct {
    uint32_t lost, late;
    nsec_t late_max; // they and what is behind them come up to this much later
} sim_node_faults_t;

typedef struct { // private
    nsec_t due;
    bool confirmation;
    can_frame_t frame;
} sim_item_t;

typedef struct { // private. A ring buffer
    sim_item_t *items;
    unsigned head, count, cap;
} sim_queue_t;

typedef struct {
    const sim_port_t *port;
    machine_t machine;        // self NULL: the controller is there, but nobody to serve it
    const sim_flash_t *flash; // what blocks the processor; NULL: nothing
    usec_t clock;             // during a call: the machine may take time by adding to it
    unsigned events;          // read: of the last sim_world_run()
    uint32_t id,
        mask; // acceptance filter: the controller keeps frames whose bits of `mask` are those of `id`
    sim_node_faults_t faults;
    unsigned overrun;    // read: frames lost because FIFO or queue was full
    unsigned lost, late; // read: by chance
    unsigned bus_offs;   // read
    // private
    nsec_t flash_time, flash_until, busy_time, busy_until;
    uint32_t fifo_used;
    nsec_t interrupt_at; // NSEC_NEVER: none is due
    nsec_t loop_at;      // the loop's next call; NSEC_NEVER: it sleeps
    bool ticked;
    unsigned unsent;
    unsigned foreign; // frames in the controller that a machine before has left
    sim_queue_t fifo, queue, sending;
} sim_node_t;

enum { SIM_WORLD_TRAFFIC = 4 }; // sources of other traffic: the last nodes of the bus
enum { SIM_WORLD_NODES = SIM_BUS_NODES - SIM_WORLD_TRAFFIC };

typedef struct {
    nsec_t now; // read
    sim_bus_t bus;
    sim_node_t node[SIM_WORLD_NODES];
    bool watch;            // sim_world_run() returns for each event of the bus as well:
    sim_bus_event_t event; // read: that. NONE: it returned for events of nodes
    // private
    unsigned nodes;
    uint64_t chance;
    nsec_t traffic_gap; // of one source, on average; 0: no traffic
    nsec_t traffic_at[SIM_WORLD_TRAFFIC];
} sim_world_t;

void sim_world_init(sim_world_t *w, uint32_t bitrate, uint32_t data_bitrate, uint64_t seed);
void sim_world_free(sim_world_t *w);

/// A node with power; borrows the port. `machine`: NULL: nobody.
void sim_world_join(sim_world_t *w, unsigned node, const sim_port_t *port,
                    const machine_t *machine);

/// Takes the controller's power, or gives it back. Frames in the queues are gone, and a call under way
/// ends. The machine stays.
void sim_world_power(sim_world_t *w, unsigned node, bool on);

/// Another machine in place of the node's, or none (NULL). The controller stays, and sends what it has.
void sim_world_serve(sim_world_t *w, unsigned node, const machine_t *machine);

/// Frames of others, mostly of higher priority, that take so many percent of the bus, 0..90.
void sim_world_traffic(sim_world_t *w, unsigned percent);

/// How long the node's processor was busy so far; `flash`: of that, blocked by flash.
nsec_t sim_world_busy(const sim_world_t *w, unsigned node, nsec_t *flash);

/// Until a machine reports events, or `until` has come: then false.
bool sim_world_run(sim_world_t *w, nsec_t until);

#endif
