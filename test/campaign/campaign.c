// campaign.c - cuts the power at every flash operation of every scenario, and again while it recovers.
// SPDX-License-Identifier: Apache-2.0
//
// A history is a scenario on a device, and one or two cuts. Its name says all of it, and repeats it:
//
//     w25q-2.confirm.3t7.2b   the third change dies half done (seed 7), the second one after that
//                             never begins
//
// After each cut the device recovers: it must come to rest within two boots and stay there, whatever
// its weak cells say at each boot; the update must then be possible; and a further one that fails must
// lead back to it. The first cut hits every change there is. After one that hits otadata or the
// counter (--deep 1: after a quarter of the ways to do so), the second one hits every change of them,
// too. Of the other pairs there is a sample, which is the same in every run.
#include "subject.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_random.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const place_t PLACES[] = {
    { "w25q-2", "w25q", 2, false, 1 },       { "w25q-f2", "w25q", 2, true, 2 },
    { "w25q-3", "w25q", 3, false, 3 },       { "stm32l4-2", "stm32l4", 2, false, 2 },
    { "stm32l4-f2", "stm32l4", 2, true, 1 }, { "stm32l4-3", "stm32l4", 3, false, 1 },
    { "stm32f4-2", "stm32f4", 2, false, 3 }, { "stm32f4-f2", "stm32f4", 2, true, 1 },
    { "stm32f4-3", "stm32f4", 3, false, 2 },
};

// --- Scenarios: each step returns false when power is lost in it ---

#define STEP(call)                                                                                 \
    do {                                                                                           \
        if (!(call)) return false;                                                                 \
    } while (0)

static bool install(subject_t *w, int image)
{
    STEP(subject_boot(w));
    STEP(subject_update(w, image, false));
    STEP(subject_boot(w));
    STEP(subject_confirm(w));
    return subject_boot(w);
}

static bool old_installed(subject_t *w) { return install(w, OLD); }

static bool new_activated(subject_t *w)
{
    STEP(subject_boot(w));
    return subject_update(w, NEW, false);
}

static bool new_activated_after_old(subject_t *w)
{
    STEP(install(w, OLD));
    return new_activated(w);
}

// The bootloader falls back to OLD.
static bool new_damaged(subject_t *w)
{
    STEP(install(w, OLD));
    STEP(install(w, NEW));
    subject_damage(w, w->boot.slot);
    w->model.confirmed = OLD;
    return true;
}

static bool trial_damaged(subject_t *w)
{
    STEP(new_activated_after_old(w));
    subject_damage(w, (int)w->ota.slot);
    w->model.trial = NO_IMAGE;
    return true;
}

// With a factory application: nothing else is left.
static bool old_damaged(subject_t *w)
{
    if (!w->place->factory) return new_damaged(w);
    STEP(install(w, OLD));
    subject_damage(w, w->boot.slot);
    w->model.confirmed = FRESH;
    return true;
}

static bool half_updated(subject_t *w)
{
    STEP(install(w, OLD));
    return subject_begin_update(w, NEW, w->image[NEW].len * 3 / 4);
}

// In the slot after the running one.
static bool new_waits(subject_t *w)
{
    STEP(install(w, NEW));
    for (unsigned i = 1; i < w->place->slots; i++)
        STEP(install(w, OLD));
    return true;
}

static bool reactivate(subject_t *w)
{
    STEP(subject_boot(w));
    STEP(subject_reactivate(w, NEW));
    return subject_boot(w);
}

static bool update(subject_t *w) { return install(w, NEW); }

static bool resume(subject_t *w)
{
    STEP(subject_boot(w));
    STEP(subject_update(w, NEW, true));
    return subject_boot(w);
}

static bool confirm(subject_t *w)
{
    STEP(subject_boot(w));
    STEP(subject_confirm(w));
    return subject_boot(w);
}

static bool reject(subject_t *w)
{
    STEP(subject_boot(w));
    STEP(subject_reject(w));
    return subject_boot(w);
}

static bool boot_on(subject_t *w)
{
    for (unsigned i = 0; i < w->place->attempts + 2; i++)
        STEP(subject_boot(w));
    return true;
}

static bool update_and_boot_on(subject_t *w)
{
    STEP(new_activated(w));
    return boot_on(w);
}

static bool erase(subject_t *w)
{
    STEP(subject_boot(w));
    return subject_erase(w);
}

// The flash under an update does not keep what is programmed.
static bool update_bad_sector(subject_t *w)
{
    STEP(subject_boot(w));
    STEP(subject_update_bad_sector(w, NEW));
    return subject_boot(w);
}

typedef enum { CONFIRMS, REJECTS, IGNORES } habit_t;

typedef struct {
    const char *name;
    bool (*set_up)(subject_t *); // NULL: as it comes from the factory
    bool (*run)(subject_t *);    // during which power is cut; boots first
    habit_t habit;               // what an image on trial does while the device comes to rest
    bool steep;                  // the new image has a higher secure version
    bool resumes;                // the update after it goes on where it was cut
} scenario_t;

static const scenario_t SCENARIOS[] = {
    { "first", NULL, update, CONFIRMS, false, false },
    { "first-resumed", NULL, update, CONFIRMS, false, true },
    { "second", old_installed, update, CONFIRMS, false, false },
    { "second-resumed", old_installed, update, CONFIRMS, true, true },
    { "resume", half_updated, resume, CONFIRMS, false, true },
    { "confirm-first", new_activated, confirm, CONFIRMS, false, false },
    { "confirm", new_activated_after_old, confirm, CONFIRMS, false, false },
    { "raise", new_activated_after_old, confirm, CONFIRMS, true, true },
    { "raise-ignored", new_activated_after_old, confirm, IGNORES, true, false },
    { "reject-first", new_activated, reject, REJECTS, false, true },
    { "reject", new_activated_after_old, reject, REJECTS, false, false },
    { "rollback-first", new_activated, boot_on, IGNORES, false, false },
    { "rollback", new_activated_after_old, boot_on, IGNORES, true, true },
    { "ignored", old_installed, update_and_boot_on, IGNORES, false, false },
    { "damaged", new_damaged, boot_on, CONFIRMS, false, false },
    { "damaged-trial", trial_damaged, boot_on, CONFIRMS, false, false },
    { "damaged-update", old_damaged, update, CONFIRMS, false, true },
    { "bad-sector", old_installed, update_bad_sector, CONFIRMS, false, true },
    { "erase", old_installed, erase, CONFIRMS, false, false },
    { "reactivate", new_waits, reactivate, CONFIRMS, false, false },
};

// --- Recovery ---

static bool decide(subject_t *w, habit_t habit)
{
    if (!w->boot.on_trial || habit == IGNORES) return true;
    return (habit == CONFIRMS) ? subject_confirm(w) : subject_reject(w);
}

// Boots until the same image starts again and nothing changes any more; but what weak cells pretended
// to be may still be mended whenever they show it.
static bool come_to_rest(subject_t *w, habit_t habit)
{
    const unsigned enough = 3 + (habit == IGNORES ? w->place->attempts : 0);
    int last = NO_IMAGE;
    for (unsigned boots = 1;; boots++) {
        const bool moody = subject_is_moody(w);
        STEP(subject_boot(w));
        const bool quiet = moody || sim_flash_changes(&w->sim) == 0;
        if (w->model.running == last && !w->boot.on_trial && quiet) return true;
        if (boots == enough) subject_fail(w, "still changing otadata after %u boots", boots);
        last = w->model.running;
        STEP(decide(w, habit));
    }
}

static bool stay(subject_t *w, unsigned boots)
{
    const int image = w->model.running;
    for (; boots > 0; boots--) {
        const bool moody = subject_is_moody(w); // what was taken for blank may be mended later
        STEP(subject_boot(w));
        if (w->model.running != image || w->boot.on_trial)
            subject_fail(w, "image %d boots after %d had come to rest", w->model.running, image);
        if (sim_flash_changes(&w->sim) > 0 && !moody) subject_fail(w, "otadata changes again");
    }
    return true;
}

static bool recover(subject_t *w, const scenario_t *s)
{
    STEP(come_to_rest(w, s->habit));
    STEP(stay(w, 3));
    if (w->model.confirmed != NEW) {
        STEP(subject_update(w, NEW, s->resumes));
        STEP(subject_boot(w));
        if (w->model.running != NEW) subject_fail(w, "the update cannot be completed");
        STEP(subject_confirm(w));
        STEP(subject_boot(w));
        STEP(stay(w, 2));
    }
    STEP(subject_update(w, LATER, false));
    STEP(subject_boot(w));
    if (w->model.running != LATER) subject_fail(w, "no further update is possible");
    if (s->resumes) STEP(subject_reject(w));
    STEP(come_to_rest(w, IGNORES));
    if (w->model.running != NEW) subject_fail(w, "a failed update does not lead back");
    STEP(stay(w, 2));
    if (w->sim.count != w->image[NEW].secure_version)
        subject_fail(w, "the counter is %u at the end", (unsigned)w->sim.count);
    return true;
}

// --- Names ---

typedef struct {
    const place_t *place;
    const scenario_t *scenario;
    sim_flash_fault_t fault[FAULTS_MAX];
    unsigned faults;
} history_t;

static char *history_name(const history_t *h, char text[160])
{
    int len = snprintf(text, 160, "%s.%s", h->place->name, h->scenario->name);
    for (unsigned i = 0; i < h->faults; i++) {
        char fault[32];
        len += snprintf(text + len, (size_t)(160 - len), ".%s",
                        sim_flash_fault_text(&h->fault[i], fault));
    }
    return text;
}

// The piece of `text` up to the next dot, if it is `name`: what is behind it. Otherwise NULL.
static const char *skip_name(const char *text, const char *name)
{
    const size_t len = strlen(name);
    if (strncmp(text, name, len) != 0 || (text[len] != '.' && text[len] != 0)) return NULL;
    return text + len + (text[len] == '.');
}

static bool history_parse(const char *text, history_t *h)
{
    const char *rest = NULL;
    *h = (history_t){ 0 };
    for (size_t i = 0; i < COUNT(PLACES) && !rest; i++) {
        h->place = &PLACES[i];
        rest = skip_name(text, PLACES[i].name);
    }
    text = rest;
    rest = NULL;
    for (size_t i = 0; text && i < COUNT(SCENARIOS) && !rest; i++) {
        h->scenario = &SCENARIOS[i];
        rest = skip_name(text, SCENARIOS[i].name);
    }
    while (rest && *rest && h->faults < FAULTS_MAX) {
        rest = sim_flash_fault_parse(rest, &h->fault[h->faults]);
        if (rest) h->faults++;
        if (rest && *rest && *rest++ != '.') return false;
    }
    return rest && !*rest;
}

// --- Running ---

typedef struct {
    uint64_t operations, histories, planned, fired, failures;
} tally_t;

typedef struct {
    unsigned deep, workers, worker, failures_max;
    subject_t *w;
    history_t h;
    moment_t begin, cut; // before the scenario; at the first cut
    tally_t *tally;
} run_t;

static void report(run_t *r)
{
    char name[160];
    r->tally->failures++;
    fprintf(stderr, "FAILED: %s: %s\n        to see it: campaign %s\n", history_name(&r->h, name),
            r->w->why, name);
}

static bool enough_failed(const run_t *r) { return r->tally->failures >= r->failures_max; }

// The scenario and what comes after, until nothing is left to happen. `cut`: where to keep the moment
// of the first cut, or NULL.
static void live(run_t *r, bool from_cut, moment_t *cut)
{
    subject_t *w = r->w;
    subject_go_back(w, from_cut ? &r->cut : &r->begin);
    subject_plan(w, r->h.fault, r->h.faults, from_cut ? 1 : 0);
    if (!from_cut && !r->h.scenario->run(w) && cut) subject_keep(w, cut);
    while (!recover(w, r->h.scenario))
        ;
}

// True if all went well.
static bool history(run_t *r, bool from_cut, moment_t *cut)
{
    subject_t *w = r->w;
    r->tally->histories++;
    r->tally->planned += r->h.faults;
    const bool failed = setjmp(w->out) != 0;
    if (!failed) live(r, from_cut, cut);
    r->tally->fired += w->fired + (failed && w->sim.fired);
    w->sim.flaw[0] = 0;
    if (!failed && w->fired == r->h.faults) return true;
    if (!failed) snprintf(w->why, sizeof w->why, "a planned cut did not happen");
    report(r);
    return false;
}

// Chance that depends only on the history up to here.
static uint64_t chance_of(const history_t *h, unsigned n)
{
    uint64_t chance = n;
    char name[160];
    for (const char *p = history_name(h, name); *p; p++)
        chance = (chance ^ (uint8_t)*p) * UINT64_C(0x100000001B3);
    return chance;
}

static sim_flash_fault_t torn(unsigned n, uint64_t seed)
{
    return (sim_flash_fault_t){ n, SIM_FLASH_TORN, seed };
}

// The ways to die in one change, all of them different. Returns how many.
enum { EFFECTS_MAX = 2 + 4 * SIM_FLASH_WAYS };

static unsigned first_effects(const run_t *r, unsigned n, bool is_metadata,
                              sim_flash_fault_t out[EFFECTS_MAX])
{
    uint64_t chance = chance_of(&r->h, n);
    const unsigned more = (r->deep > 1) ? 2 : 1;
    unsigned count = 0;
    out[count++] = (sim_flash_fault_t){ n, SIM_FLASH_NOTHING, 0 };
    out[count++] = (sim_flash_fault_t){ n, SIM_FLASH_DONE, 0 };
    if (!is_metadata) {
        for (unsigned i = 0; i < 3 * more; i++)
            out[count++] = torn(n, sim_random(&chance, 1000));
        return count;
    }
    for (unsigned i = 0; i < more * SIM_FLASH_WAYS; i++)
        out[count++] = torn(n, i);
    for (unsigned i = 0; i < 4 * more; i++) {
        out[count++] = (sim_flash_fault_t){ n, SIM_FLASH_ONE_BIT, sim_random(&chance, 100) };
        out[count++] = (sim_flash_fault_t){ n, SIM_FLASH_ALL_BUT_ONE, sim_random(&chance, 100) };
    }
    return count;
}

static sim_flash_fault_t any_effect(unsigned n, uint64_t *chance)
{
    static const sim_flash_effect_t EFFECT[] = {
        SIM_FLASH_NOTHING, SIM_FLASH_DONE, SIM_FLASH_TORN,
        SIM_FLASH_TORN,    SIM_FLASH_TORN, SIM_FLASH_TORN
    };
    const sim_flash_effect_t effect = EFFECT[sim_random(chance, COUNT(EFFECT))];
    return (sim_flash_fault_t){ n, effect, sim_random(chance, 1000) };
}

// The second cut, in each change of the recovery from the first one: `is_metadata` says of which.
static void cut_again(run_t *r, const bool *is_metadata, unsigned changes)
{
    for (unsigned n = 1; n <= changes; n++) {
        uint64_t chance = chance_of(&r->h, n);
        if (!is_metadata[n - 1] && sim_random(&chance, 1000) >= 5 * r->deep) continue;
        r->h.faults = 2;
        for (unsigned i = 0; i < r->deep && !enough_failed(r); i++) {
            r->h.fault[1] = any_effect(n, &chance);
            (void)history(r, true, NULL);
        }
        r->h.faults = 1;
    }
}

static void copy_trace(const subject_t *w, bool *out, unsigned *changes)
{
    if (w->changes > TRACE_MAX) abort();
    *changes = w->changes;
    memcpy(out, w->is_metadata, w->changes * sizeof *out);
}

// One change of the scenario, in all ways.
static void cut_once(run_t *r, unsigned n, bool is_metadata)
{
    static bool trace[TRACE_MAX];
    sim_flash_fault_t effect[EFFECTS_MAX];
    const unsigned count = first_effects(r, n, is_metadata, effect);
    r->h.faults = 1;
    for (unsigned i = 0; i < count && !enough_failed(r); i++) {
        unsigned changes;
        r->h.fault[0] = effect[i];
        if (!history(r, false, &r->cut)) continue;
        copy_trace(r->w, trace, &changes);
        uint64_t chance = chance_of(&r->h, 0);
        // After a cut in image data all recoveries are much alike.
        if (sim_random(&chance, 100) < (is_metadata ? 25 : 1) * r->deep)
            cut_again(r, trace, changes);
    }
    r->h.faults = 0;
}

// Brings the device into the state that the scenario begins with.
static bool prepare(run_t *r)
{
    subject_t *w = r->w;
    if (setjmp(w->out) != 0) {
        report(r);
        return false;
    }
    subject_plan(w, NULL, 0, 0);
    if (r->h.scenario->set_up) (void)r->h.scenario->set_up(w);
    subject_keep(w, &r->begin);
    return true;
}

static bool run_alone(run_t *r)
{
    if (setjmp(r->w->out) != 0) {
        report(r);
        return false;
    }
    subject_go_back(r->w, &r->begin);
    subject_plan(r->w, NULL, 0, 0);
    return r->h.scenario->run(r->w);
}

static void explore(run_t *r)
{
    static bool trace[TRACE_MAX];
    unsigned changes;
    if (!prepare(r) || !run_alone(r)) return;
    copy_trace(r->w, trace, &changes);
    r->tally->operations = changes;
    if (r->worker == 0) (void)history(r, false, NULL);
    for (unsigned n = 1; n <= changes && !enough_failed(r); n++)
        if (n % r->workers == r->worker) cut_once(r, n, trace[n - 1]);
}

static void with_subject(run_t *r, void (*act)(run_t *))
{
    static subject_t w;
    r->w = &w;
    subject_open(&w, r->h.place, r->h.scenario->steep);
    act(r);
    subject_forget(&r->begin);
    subject_forget(&r->cut);
    subject_close(&w);
}

// --- The program ---

static void repeat(run_t *r)
{
    subject_t *w = r->w;
    if (!prepare(r)) return;
    w->verbose = true;
    w->sim.log = stdout;
    if (history(r, false, NULL)) puts("all is well");
}

static int repeat_one(const char *name)
{
    tally_t tally = { 0 };
    run_t r = { .workers = 1, .failures_max = 1, .tally = &tally };
    if (!history_parse(name, &r.h)) {
        fprintf(stderr, "campaign: there is no history %s (see campaign --help)\n", name);
        return 2;
    }
    with_subject(&r, repeat);
    return tally.failures ? 1 : 0;
}

enum { PAIRS = COUNT(PLACES) * COUNT(SCENARIOS) };

// First all scenarios with one cut, so that what is badly wrong shows soon.
static void work(run_t r, tally_t tally[PAIRS], const char *only)
{
    const unsigned deep = r.deep;
    uint64_t failures = 0;
    for (unsigned round = 0; round < (deep ? 2 : 1); round++) {
        for (unsigned i = 0; i < PAIRS && failures < r.failures_max; i++) {
            char name[160];
            r.h = (history_t){ .place = &PLACES[i % COUNT(PLACES)],
                               .scenario = &SCENARIOS[i / COUNT(PLACES)] };
            if (only && !strstr(history_name(&r.h, name), only)) continue;
            r.deep = round ? deep : 0;
            tally[i] = (tally_t){ 0 };
            r.tally = &tally[i];
            with_subject(&r, explore);
            failures += tally[i].failures;
        }
    }
}

static int print_totals(const tally_t *tally, unsigned workers)
{
    tally_t total = { 0 };
    printf("%-16s %10s %10s %12s\n", "scenario", "operations", "histories", "cuts");
    for (unsigned s = 0; s < COUNT(SCENARIOS); s++) {
        tally_t sum = { 0 };
        for (unsigned k = 0; k < COUNT(PLACES) * workers; k++) {
            const unsigned worker = k / COUNT(PLACES);
            const tally_t *t = &tally[worker * PAIRS + s * COUNT(PLACES) + k % COUNT(PLACES)];
            if (worker == 0) sum.operations += t->operations;
            sum.histories += t->histories;
            sum.planned += t->planned;
            sum.fired += t->fired;
            sum.failures += t->failures;
        }
        if (sum.histories)
            printf("%-16s %10llu %10llu %12llu\n", SCENARIOS[s].name,
                   (unsigned long long)sum.operations, (unsigned long long)sum.histories,
                   (unsigned long long)sum.fired);
        total.operations += sum.operations;
        total.histories += sum.histories;
        total.planned += sum.planned;
        total.fired += sum.fired;
        total.failures += sum.failures;
    }
    printf(
        "%llu operations, %llu histories, %llu of %llu planned cuts happened, "
        "%llu failed\n",
        (unsigned long long)total.operations, (unsigned long long)total.histories,
        (unsigned long long)total.fired, (unsigned long long)total.planned,
        (unsigned long long)total.failures);
    if (total.histories == 0) fprintf(stderr, "campaign: no history has a name like that\n");
    return total.failures == 0 && total.histories > 0 && total.fired == total.planned ? 0 : 1;
}

static int run_all(run_t r, const char *only)
{
    const size_t size = r.workers * PAIRS * sizeof(tally_t);
    const int flags = MAP_SHARED | MAP_ANONYMOUS;
    // cppcheck-suppress invalidFunctionArg ; there is no file
    tally_t *const tally = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (tally == MAP_FAILED) {
        perror("campaign");
        return 1;
    }
    for (r.worker = 0; r.worker < r.workers; r.worker++) {
        const pid_t pid = fork();
        if (pid < 0) {
            perror("campaign");
            return 1;
        }
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); // not to outlive whoever ends the campaign
            work(r, tally + r.worker * PAIRS, only);
            exit(0);
        }
    }
    int lost = 0;
    for (unsigned i = 0; i < r.workers; i++) {
        int status;
        if (wait(&status) < 0 || status != 0) lost++;
    }
    if (lost) fprintf(stderr, "campaign: %d of %u processes did not end well\n", lost, r.workers);
    const int result = print_totals(tally, r.workers);
    munmap(tally, size);
    return lost ? 1 : result;
}

static void usage(FILE *to)
{
    fprintf(
        to,
        "usage: campaign [--deep N] [--workers N] [--failures N] [--only TEXT]\n"
        "       campaign HISTORY\n"
        "\n"
        "Updates a simulated device, cuts the power at every flash operation and again while it\n"
        "recovers, and looks what boots.\n"
        "\n"
        "  --deep N      0: one cut a history; 1 (if not given): two; up to 20: N ways to die the second time\n"
        "  --workers N   processes, if not given one for each core; the result is the same\n"
        "  --failures N  stop after so many, if not given 5\n"
        "  --only TEXT   only what has TEXT in its name, such as w25q-2.confirm\n"
        "  HISTORY       repeat this one and tell what happens; for example w25q-2.confirm.3t7.2b:\n"
        "                power is lost in the 3rd change and again in the 2nd one from then on:\n"
        "                b before it, a after it, tN in the middle, oN after one bit, xN before the\n"
        "                last one\n"
        "\n"
        "devices:  ");
    for (size_t i = 0; i < COUNT(PLACES); i++)
        fprintf(to, " %s", PLACES[i].name);
    fprintf(to, "\nscenarios:");
    for (size_t i = 0; i < COUNT(SCENARIOS); i++)
        fprintf(to, " %s", SCENARIOS[i].name);
    fprintf(to, "\n");
}

static bool parse_count(const char *text, unsigned min, unsigned max, unsigned *out)
{
    char *end;
    errno = 0;
    const unsigned long n = text ? strtoul(text, &end, 10) : 0;
    if (!text || errno || end == text || *end || *text == '-' || n < min || n > max) return false;
    *out = (unsigned)n;
    return true;
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    run_t r = { .deep = 1,
                .workers = cores > 0 && cores < 64 ? (unsigned)cores : 1,
                .failures_max = 5 };
    const char *only = NULL;
    if (argc == 2 && argv[1][0] != '-') return repeat_one(argv[1]);
    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        bool right = false;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
        if (strcmp(argv[i], "--deep") == 0) right = parse_count(value, 0, 20, &r.deep);
        if (strcmp(argv[i], "--workers") == 0) right = parse_count(value, 1, 64, &r.workers);
        if (strcmp(argv[i], "--failures") == 0)
            right = parse_count(value, 1, 1000000, &r.failures_max);
        if (strcmp(argv[i], "--only") == 0) right = (only = value) != NULL;
        if (!right) {
            fprintf(stderr, "campaign: wrong: %s %s\n", argv[i], value ? value : "");
            usage(stderr);
            return 2;
        }
    }
    return run_all(r, only);
}
