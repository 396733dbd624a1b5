// bench_update.c - one update in a simulated world: how long it takes, and where the time goes.
// SPDX-License-Identifier: Apache-2.0
//
// tools/bench_update.py runs it for each row of its tables. The output is a line of names and a line of
// values, between tabs; times are in seconds. The same words print the same on any machine.
#include "rig.h"
#include "vectors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void usage(void)
{
    fputs(
        "usage: bench_update [--log FILE] [--progress FILE] [WORD=VALUE]...\n"
        "\n"
        "One update in a simulated world. The words, and what they are when they are not given:\n"
        "  protocol=uds     uds, header, plain; example: device and sender of the ESP-IDF example\n"
        "  size=1M          of the image, in bytes, K or M; 16M at most\n"
        "  content=random   random, padded (every fourth page is blank), zeros\n"
        "  image=FILE       this image, in place of size and content\n"
        "  bitrate=500k     in bit/s, k or M\n"
        "  data=0           second bit rate: then CAN FD; 0: classic CAN\n"
        "  flash=w25q       w25q, gd25q, mt25q, stm32l4, stm32f4, stm32h7; none: takes no time\n"
        "  speed=typical    typical, maximum, worn: in between, by wear\n"
        "  wear=50          of the sectors, per cent of their endurance\n"
        "  bs=0 stmin=0     what the device asks for; stmin in microseconds\n"
        "  port=usual       usual: an interrupt that works while flash is written; uncached: it waits\n"
        "  queue=600        frames between the device's interrupt and its loop\n"
        "  host=host        host: adapter with a driver in the kernel; usb: 1 ms each way; none: no delay\n"
        "  traffic=0        of others on the bus, per cent, 90 at most\n"
        "  loss=0           frames lost by each node, per cent\n"
        "  devices=1        one after the other, 8 at most\n"
        "  seed=1           of what chance does, and of the image's content\n"
        "\n"
        "  --log FILE       all frames; .log, .pcap or .asc\n"
        "  --progress FILE  seconds and bytes that the device has, a line each 20 ms\n",
        stdout);
}

_Noreturn static void wrong(const char *what)
{
    fprintf(stderr, "bench_update: not understood: %s (--help has the words)\n", what);
    exit(2);
}

// --- Words ---

/// Digits, perhaps three behind a point, perhaps k, K or M, in thousandths.
static bool parse(const char *text, uint64_t k, uint64_t m, uint64_t *out)
{
    char *end;
    errno = 0;
    if (*text < '0' || *text > '9') return false;
    *out = strtoull(text, &end, 10);
    if (errno || *out > UINT32_MAX) return false;
    *out *= 1000;
    if (*end == '.') {
        uint64_t unit = 100;
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
            *out += (uint64_t)(*end - '0') * unit;
    }
    const uint64_t factor = (*end == 'k' || *end == 'K') ? k : *end == 'M' ? m : 0;
    if (!factor) return *end == '\0';
    *out *= factor;
    return end[1] == '\0';
}

static uint64_t number(const char *word, const char *text, uint64_t k, uint64_t from, uint64_t to)
{
    uint64_t n;
    if (!parse(text, k, k * k, &n) || n % 1000 || n / 1000 < from || n / 1000 > to) wrong(word);
    return n / 1000;
}

static unsigned choice(const char *word, const char *text, const char *const names[])
{
    for (unsigned i = 0; names[i]; i++)
        if (strcmp(names[i], text) == 0) return i;
    wrong(word);
}

typedef struct {
    rig_cfg_t rig;
    unsigned wear; // per cent
    unsigned queue;
    bool uncached;
    sim_port_t port;
    uint8_t *image;
} bench_t;

static const char *const PROTOCOLS[] = { "uds", "header", "plain", "example", NULL };
static const char *const CONTENTS[] = { "random", "padded", "zeros", NULL };
static const char *const SPEEDS[] = { "typical", "maximum", "worn", NULL };
static const char *const PORTS[] = { "usual", "uncached", NULL };
static const char *const HOSTS[] = { "host", "usb", "none", NULL };

static void take_word(bench_t *b, const char *word)
{
    static const sim_port_t *const hosts[] = { &sim_port_host, &sim_port_usb, &sim_port_none };
    static const char *const names[] = { "protocol", "size",    "content", "image", "bitrate",
                                         "data",     "flash",   "speed",   "wear",  "bs",
                                         "stmin",    "port",    "queue",   "host",  "traffic",
                                         "loss",     "devices", "seed",    NULL };
    const char *value = strchr(word, '=');
    char name[16];
    if (!value || value - word >= (int)sizeof name) wrong(word);
    snprintf(name, sizeof name, "%.*s", (int)(value - word), word);
    value++;
    rig_cfg_t *r = &b->rig;
    uint64_t n;
    size_t len;
    switch (choice(word, name, names)) {
    case 0:
        r->protocol = (rig_protocol_t)choice(word, value, PROTOCOLS);
        r->example = strcmp(value, "example") == 0;
        break;
    case 1: r->image_len = (uint32_t)number(word, value, 1024, 4096, 16 << 20); break;
    case 2: r->content = (rig_content_t)choice(word, value, CONTENTS); break;
    case 3:
        b->image = vector_load(value, &len);
        if (len < 4096 || len > 16 << 20) wrong(word);
        r->image = b->image;
        r->image_len = (uint32_t)len;
        break;
    case 4: r->bitrate = (uint32_t)number(word, value, 1000, 10000, 1000000); break;
    case 5: r->data_bitrate = (uint32_t)number(word, value, 1000, 0, 8000000); break;
    case 6:
        r->flash = sim_flash_type(value);
        if (!r->flash && strcmp(value, "none") != 0) wrong(word);
        break;
    case 7: r->speed = (sim_flash_speed_t)choice(word, value, SPEEDS); break;
    case 8: b->wear = (unsigned)number(word, value, 0, 0, 100); break;
    case 9: r->block_size = (uint8_t)number(word, value, 0, 0, 255); break;
    case 10: r->stmin = isotp_stmin((uint32_t)number(word, value, 0, 0, 127000)); break;
    case 11: b->uncached = choice(word, value, PORTS) == 1; break;
    case 12: b->queue = (unsigned)number(word, value, 0, 1, 4096); break;
    case 13: r->host = hosts[choice(word, value, HOSTS)]; break;
    case 14: r->traffic = (unsigned)number(word, value, 0, 0, 90); break;
    case 15:
        if (!parse(value, 0, 0, &n) || n > 100000) wrong(word);
        r->loss = (uint32_t)n * 10;
        break;
    case 16: r->devices = (unsigned)number(word, value, 0, 1, RIG_DEVICES); break;
    default: r->seed = r->fill = number(word, value, 0, 0, UINT32_MAX); break;
    }
}

// --- Output ---

typedef struct {
    FILE *file;
    nsec_t start, next;
    bool begun;
} progress_t;

static void progress(void *ctx, nsec_t time, uint32_t bytes)
{
    progress_t *p = ctx;
    if (!p->begun) p->start = p->next = time;
    p->begun = true;
    if (time < p->next) return;
    p->next = time + 20 * NSEC_MS;
    fprintf(p->file, "%.6f\t%u\n", (double)(time - p->start) / 1e9, bytes);
}

static void print(const rig_result_t *r)
{
    const rig_budget_t *b = &r->budget;
    const struct {
        const char *name;
        nsec_t time;
    } times[] = {
        { "time", r->time },       { "limit", r->limit },     { "flash_time", r->flash_time },
        { "data", b->data },       { "flow", b->flow },       { "other", b->other },
        { "traffic", b->traffic }, { "errors", b->errors },   { "flash", b->flash },
        { "device", b->device },   { "restart", b->restart }, { "idle", b->idle },
    };
    enum { TIMES = sizeof times / sizeof times[0] };
    printf("done\twhy");
    for (unsigned i = 0; i < TIMES; i++)
        printf("\t%s", times[i].name);
    printf("\tratio\tlen\tsent\tframes\toverrun\tlost\tmessages_lost\n%d\t%u", r->done, r->why);
    for (unsigned i = 0; i < TIMES; i++)
        printf("\t%.6f", (double)times[i].time / 1e9);
    printf("\t%.4f\t%u\t%u\t%llu\t%u\t%u\t%u\n", (double)r->time / (double)r->limit, r->len,
           r->sent, (unsigned long long)r->frames, r->overrun, r->lost, r->messages_lost);
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (!file) {
        fprintf(stderr, "bench_update: %s: %s\n", path, strerror(errno));
        exit(1);
    }
    return file;
}

int main(int argc, char **argv)
{
    bench_t b = { .rig = { .image_len = 1 << 20, .seed = 1, .fill = 1 }, .wear = 50 };
    b.rig.flash = sim_flash_type("w25q");
    const char *log_path = NULL, *progress_path = NULL;
    for (int i = 1; i < argc; i++) {
        const char **path = strcmp(argv[i], "--log") == 0        ? &log_path
                            : strcmp(argv[i], "--progress") == 0 ? &progress_path
                                                                 : NULL;
        if (strcmp(argv[i], "--help") == 0) {
            usage();
            return 0;
        }
        if (!path)
            take_word(&b, argv[i]);
        else if (i + 1 == argc)
            wrong(argv[i]);
        else
            *path = argv[++i];
    }
    if (b.rig.flash) b.rig.wear = b.rig.flash->endurance / 100 * b.wear;
    b.port = b.rig.data_bitrate ? sim_port_fd : sim_port_esp32;
    if (b.uncached) b.port.cache_safe = false;
    if (b.queue) b.port.queue = b.queue;
    b.rig.device = &b.port;

    const bus_log_format_t format = log_path ? bus_log_format(log_path) : BUS_LOG_PCAP;
    if (format == BUS_LOG_UNKNOWN) wrong(log_path);
    bus_log_t log = { .file = NULL };
    bool ok = !log_path || bus_log_begin(&log, open_file(log_path, "wb"), format, "world", 0);
    if (log_path) b.rig.log = &log;
    progress_t p = { .file = progress_path ? open_file(progress_path, "w") : NULL };

    rig_result_t result;
    rig_run(&b.rig, &result, p.file ? progress : NULL, &p);
    print(&result);
    free(b.image);
    if (p.file) ok = fclose(p.file) == 0 && ok;
    if (log.file) ok = bus_log_end(&log) && ok;
    return ok ? 0 : 1;
}
