// worlds.c - runs random worlds by their numbers: each must end with an intact image and a true verdict.
// SPDX-License-Identifier: Apache-2.0
//
// A world that ends in a broken promise of the code (abort, a signal) is one that failed: the handler
// leaves it where it is, and the next one begins.
#include "story.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS_MAX = 64 };

typedef struct {
    uint64_t first, worlds, seed;
    bool one; // that of this seed, only
    unsigned workers, failures_max;
    const char *program, *traces, *log;
} options_t;

/// Of one process; in memory that all share.
typedef struct {
    uint64_t at, worlds, failures, digest, count[STORY_COUNT];
} tally_t;

// --- One world ---

static sigjmp_buf out;

static void leave(int sig) { siglongjmp(out, sig); }

static void run_guarded(story_t *s)
{
    static const int deadly[] = { SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL };
    const int sig = sigsetjmp(out, 1);
    if (sig != 0) {
        story_fail(s, "it dies of signal %d", sig);
        return;
    }
    for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++)
        signal(deadly[i], leave);
    story_run(s);
}

/// With its frames in a file, and its history told.
static bool repeat(uint64_t seed, const char *path, FILE *to)
{
    bus_log_t log = { 0 };
    story_t *s = story_open(seed);
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (path && (!file || !bus_log_begin(&log, file, bus_log_format(path), "can0", 0)))
        perror(path);
    s->log = &log;
    s->history = to;
    story_tell(s, to);
    run_guarded(s);
    (void)bus_log_end(&log);
    const bool failed = s->why[0];
    fprintf(to, "world %llu: %s; digest %016llx\n", (unsigned long long)seed,
            failed ? s->why : "all is well", (unsigned long long)s->digest);
    if (!failed) story_close(s);
    return !failed;
}

static void report(const options_t *o, uint64_t seed, const char *why)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/worlds-%llu.pcap", o->traces, (unsigned long long)seed);
    fprintf(stderr,
            "FAILED: world %llu: %s\n        to see it: %s --seed %llu\n        its frames: %s\n",
            (unsigned long long)seed, why, o->program, (unsigned long long)seed, path);
    (void)repeat(seed, path, stderr);
}

static void work(const options_t *o, unsigned worker, tally_t *all)
{
    tally_t *t = &all[worker];
    for (; t->at < o->worlds; t->at += o->workers) {
        uint64_t failures = 0;
        for (unsigned i = 0; i < o->workers; i++)
            failures += all[i].failures;
        if (failures >= o->failures_max) return;
        story_t *s = story_open(o->first + t->at);
        run_guarded(s);
        t->worlds++;
        t->digest += s->digest;
        for (unsigned i = 0; i < STORY_COUNT; i++)
            t->count[i] += s->count[i];
        if (s->why[0]) {
            t->failures++;
            report(o, o->first + t->at, s->why);
        } else
            story_close(s); // where it was left by a signal, nothing can be said about its memory
    }
}

// --- All ---

static void add(tally_t *sum, const tally_t *t)
{
    sum->worlds += t->worlds;
    sum->failures += t->failures;
    sum->digest += t->digest;
    for (unsigned i = 0; i < STORY_COUNT; i++)
        sum->count[i] += t->count[i];
}

/// Many worlds in which nothing happened would prove nothing.
static bool says_little(const tally_t *t)
{
    enum { MANY = 200 };
    bool little = false;
    if (t->count[STORY_DONE] * 3 < t->worlds) {
        fprintf(stderr, "worlds: hardly anything was updated\n");
        little = true;
    }
    for (unsigned i = 0; i < STORY_COUNT && t->worlds >= MANY; i++)
        if (t->count[i] == 0) {
            fprintf(stderr, "worlds: one thing that chance should bring never happened (%u)\n", i);
            little = true;
        }
    return little;
}

static int print_totals(const tally_t *sum)
{
#define TEXT(name, text) text,
    static const char *const text[] = { STORY_COUNTS(TEXT) };
#undef TEXT
    for (unsigned i = 0; i < STORY_COUNT; i++)
        printf("%-36s %8llu\n", text[i], (unsigned long long)sum->count[i]);
    printf("%llu worlds, %llu failed; digest %016llx\n", (unsigned long long)sum->worlds,
           (unsigned long long)sum->failures, (unsigned long long)sum->digest);
    return sum->failures || says_little(sum) ? 1 : 0;
}

/// Of a process that ended in the middle of a world: by a sanitizer, say.
static void report_death(const options_t *o, tally_t *t, int status)
{
    const unsigned long long seed = o->first + t->at;
    t->failures++;
    fprintf(stderr, "FAILED: world %llu: its process ended with status %x\n", seed,
            (unsigned)status);
    fprintf(stderr, "        to see it: %s --seed %llu\n", o->program, seed);
}

static int run_all(const options_t *o)
{
    const size_t size = o->workers * sizeof(tally_t);
    const int flags = MAP_SHARED | MAP_ANONYMOUS;
    pid_t pid[WORKERS_MAX];
    tally_t sum = { 0 };
    // cppcheck-suppress invalidFunctionArg ; there is no file
    tally_t *const all = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (all == MAP_FAILED) {
        perror("worlds");
        return 1;
    }
    for (unsigned i = 0; i < o->workers; i++) {
        all[i].at = i;
        pid[i] = fork();
        if (pid[i] < 0) {
            perror("worlds");
            return 1;
        }
        if (pid[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL); // not to outlive whoever ends the program
            work(o, i, all);
            fflush(NULL);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < o->workers; i++) {
        int status;
        if (waitpid(pid[i], &status, 0) < 0 || status != 0) report_death(o, &all[i], status);
        add(&sum, &all[i]);
    }
    munmap(all, size);
    return print_totals(&sum);
}

static void usage(FILE *to)
{
    fprintf(
        to,
        "usage: worlds [--first N] [--workers N] [--failures N] [--traces FOLDER] [COUNT]\n"
        "       worlds --seed N [--log FILE]\n"
        "\n"
        "Runs COUNT random worlds, 1000 if not given: devices that are updated over a simulated bus,\n"
        "with power cuts of anything at any time.\n"
        "\n"
        "  --first N        the number of the first one, if not given 1\n"
        "  --workers N      processes, if not given one for each core; the result is the same\n"
        "  --failures N     stop after so many, if not given 5\n"
        "  --traces FOLDER  where the frames of worlds that fail are written, if not given here\n"
        "  --seed N         repeat this one and tell what happens\n"
        "  --log FILE       and write its frames: .pcap, .log or .asc\n");
}

static bool parse_count(const char *text, uint64_t max, uint64_t *out_count)
{
    char *end;
    errno = 0;
    const unsigned long long n = text ? strtoull(text, &end, 10) : 0;
    if (!text || errno || end == text || *end || *text == '-' || n > max) return false;
    *out_count = n;
    return true;
}

static bool parse_small(const char *text, unsigned max, unsigned *out_count)
{
    uint64_t n;
    if (!parse_count(text, max, &n) || n == 0) return false;
    *out_count = (unsigned)n;
    return true;
}

static bool parse_option(const char *name, const char *value, options_t *o)
{
    if (strcmp(name, "--first") == 0) return parse_count(value, UINT64_MAX, &o->first);
    if (strcmp(name, "--workers") == 0) return parse_small(value, WORKERS_MAX, &o->workers);
    if (strcmp(name, "--failures") == 0) return parse_small(value, 1000000, &o->failures_max);
    if (strcmp(name, "--traces") == 0) return (o->traces = value) != NULL;
    if (strcmp(name, "--seed") == 0) return o->one = parse_count(value, UINT64_MAX, &o->seed);
    if (strcmp(name, "--log") == 0)
        return (o->log = value) && bus_log_format(value) != BUS_LOG_UNKNOWN;
    return false;
}

int main(int argc, char **argv)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    options_t o = { .first = 1,
                    .worlds = 1000,
                    .workers = (cores > 0) ? (unsigned)smaller((size_t)cores, WORKERS_MAX) : 1,
                    .failures_max = 5,
                    .program = argv[0],
                    .traces = "." };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            usage(stdout);
            return 0;
        }
        const bool option = argv[i][0] == '-';
        const bool right = option ? parse_option(argv[i], argv[i + 1], &o)
                                  : parse_count(argv[i], 100000000, &o.worlds) && o.worlds > 0;
        if (!right) {
            usage(stderr);
            return 2;
        }
        i += option;
    }
    if (o.one) return repeat(o.seed, o.log, stdout) ? 0 : 1;
    return run_all(&o);
}
