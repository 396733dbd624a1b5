// story.h - one random world: devices, hosts, a bus, and what goes wrong; drawn from a seed, run and judged.
// SPDX-License-Identifier: Apache-2.0
//
//     story_t *s = story_open(4711);
//     s->history = stdout; // and s->log, for the frames
//     story_run(s);
//     if (s->why[0]) fail(s->why);
//     story_close(s);
#ifndef STORY_H
#define STORY_H

#include "bus_log.h"
#include "crypto_psa.h"
#include "rig_host.h"
#include "sim_device.h"
#include "sim_random.h"

enum { STORY_DEVICES = 3, STORY_HOSTS = 2, STORY_BLOWS = 4, STORY_NOBODY = -1 };

/// OTHER is what a second host may send; EARLIER what may be left in the other slot.
enum { STORY_OLD, STORY_NEW, STORY_OTHER, STORY_EARLIER, STORY_IMAGES };

/// What is counted. The first ones are worlds, of which a big run has some of each.
#define STORY_COUNTS(X)                                                                            \
    X(UDS, "uds")                                                                                  \
    X(HEADER, "header")                                                                            \
    X(PLAIN, "plain")                                                                              \
    X(FD, "CAN FD")                                                                                \
    X(SEVERAL, "several devices")                                                                  \
    X(SECOND, "a second host")                                                                     \
    X(TRAFFIC, "other traffic")                                                                    \
    X(LOSS, "lost frames")                                                                         \
    X(LATE, "late frames")                                                                         \
    X(DISTURBED, "disturbed frames")                                                               \
    X(DOUBLED, "doubled frames")                                                                   \
    X(DEAF, "an interrupt that flash blocks")                                                      \
    X(BAD_SECTOR, "a bad sector")                                                                  \
    X(LEFT_OVER, "a part of an image in the slot")                                                 \
    X(NO_TROUBLE, "no trouble at all")                                                             \
    X(DEVICE_CUT, "power of the device cut")                                                       \
    X(FLASH_CUT, "power cut in a flash operation")                                                 \
    X(BOOT_CUT, "power cut in the boot after that")                                                \
    X(HOST_KILLED, "host killed")                                                                  \
    X(ADAPTER_CUT, "host and adapter without power")                                               \
    X(HOST_BACK, "host started once more")                                                         \
    X(RESUMED, "updates resumed")                                                                  \
    X(ROUNDS, "rounds after the first")                                                            \
    X(DONE, "done")                                                                                \
    X(ON_TRIAL, "done, on trial")                                                                  \
    X(OLD_RUNS, "the old one runs")                                                                \
    X(FAILED, "failed otherwise")                                                                  \
    X(NO_VERDICT, "hosts that never came back")                                                    \
    X(NEW_AT_LAST, "devices with the new image")                                                   \
    X(OLD_AT_LAST, "devices with the old image")                                                   \
    X(COMPLETED, "updates completed afterwards")

#define STORY_COUNT_NAME(name, text) STORY_##name,
typedef enum { STORY_COUNTS(STORY_COUNT_NAME) STORY_COUNT } story_count_t;
#undef STORY_COUNT_NAME

typedef enum { BLOW_DEVICE, BLOW_FLASH, BLOW_HOST, BLOW_ADAPTER } story_blow_kind_t;

/// Strikes `after` the host began that step of updating that device; step -1: began at all.
typedef struct {
    story_blow_kind_t kind;
    unsigned device;
    int step;
    nsec_t after, at; // at: when, once that is known
    usec_t off;       // how long it lasts; USEC_NEVER: to the end
    sim_flash_fault_t fault;
} story_blow_t;

/// All that chance decides beforehand.
typedef struct {
    rig_protocol_t protocol;
    uint32_t bitrate, data_bitrate;
    const sim_port_t *host;
    sim_port_t device_port;
    sim_device_cfg_t device[STORY_DEVICES];
    unsigned devices, updated; // the first ones, one after the other
    image_spec_t image[STORY_IMAGES];
    uint32_t len[STORY_IMAGES];
    unsigned records; // in otadata, from the past: the last one is about the running slot
    int left;         // in the other slot at first: this image; STORY_NOBODY: nothing
    uint32_t left_len;
    uint32_t wear;
    sim_flash_bad_t bad;
    uint32_t bad_at, bad_from;
    unsigned traffic;
    sim_node_faults_t faults;
    uint32_t lost_behind; // from the transfer's end on
    sim_bus_faults_t bus;
    nsec_t second_after; // NSEC_NEVER: no second host
    int second_image;
    bool no_resume, insists, completes;
    unsigned blows;
    story_blow_t blow[STORY_BLOWS];
    uint64_t bus_seed, seed;
} story_plan_t;

typedef enum { STORY_ABSENT, STORY_AT_WORK, STORY_OVER, STORY_KILLED } story_host_state_t;

typedef struct {
    rig_host_t host;
    crypto_psa_t psa;
    crypto_t crypto;
    story_host_state_t state;
    unsigned node, device;
    int image;
    bool done;
    nsec_t began, back;
    int ran_before, ran_slot; // what the device ran when it told so
} story_host_t;

/// A device, and what is true about it.
typedef struct {
    sim_device_t d;
    flash_t nor; // of d.flash; its own leads here, to see who writes where
    crypto_psa_t psa;
    crypto_t crypto;
    struct story *story;
    unsigned boots; // as last seen
    int initial, running;
    unsigned may_run;               // bit n: image n was sent to it
    nsec_t ran[STORY_IMAGES];       // when it was last seen running it
    nsec_t activated[STORY_IMAGES]; // when a record first named it
    int active;                     // slot that the records name
    int promised;                   // image that a host said is confirmed; STORY_NOBODY
    unsigned chain;                 // cuts in boots to come
} story_device_t;

typedef struct story {
    story_plan_t plan;
    FILE *history;   // NULL: none
    bus_log_t *log;  // NULL: none
    char why[200];   // read: what was wrong first; "" if nothing
    uint64_t digest; // read: of all frames and their times
    uint32_t count[STORY_COUNT];
    sim_world_t world;
    profile_t profile;
    uint64_t chance;
    rig_image_t image[STORY_IMAGES];
    story_device_t device[STORY_DEVICES];
    story_host_t host[STORY_HOSTS];
} story_t;

story_t *story_open(uint64_t seed);
void story_run(story_t *s);
void story_close(story_t *s);

/// The plan in words, a few lines.
void story_tell(const story_t *s, FILE *to);

// --- Between the parts ---

void story_draw(story_plan_t *plan, uint64_t seed);
void story_note(const story_t *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void story_fail(story_t *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *story_image_name(int image);

/// Has the device's flash watched from now on.
void story_watch_flash(story_device_t *t);

/// What the device does now.
void story_look(story_device_t *t);

/// Is what the host said at its end true?
void story_judge_host(story_t *s, story_host_t *h);

/// Is the device as it must be when all is over?
void story_judge_device(story_device_t *t);

#endif
