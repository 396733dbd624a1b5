// test_bus_log.c - the bytes of each format, what a full disk leaves, and the log of a virtual bus.
// SPDX-License-Identifier: Apache-2.0
//
// The frames below, written in each format, were read by tshark 4.0.17 (.log, .pcap), python-can 4.1
// (.log, .asc) and can-utils 2020.11 (log2asc, asc2log): identifiers, flags, data and directions came out
// as they went in, but that python-can takes an empty FD frame in .asc for a remote one.
#include "bus.h"
#include "bus_log.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
// cmocka.h needs the headers above
#include <cmocka.h>

#define PATIENCE_MS 20000             // a bound for a machine under load, not an expectation
#define T           1712230262015991U // 2024-04-04 11:31:02.015991 UTC

static char folder[64];
static char path[96]; // of this test's log, without its suffix
static char content[1 << 16];

static int new_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_bus_log.XXXXXX");
    assert_non_null(mkdtemp(folder));
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = { "a.log", "a.pcap", "a.asc" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static const char *path_of(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t read_back(const char *name)
{
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    const size_t len = fread(content, 1, sizeof content - 1, file);
    content[len] = 0;
    (void)fclose(file);
    return len;
}

static void begin(bus_log_t *log, const char *name, const char *channel)
{
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    assert_true(bus_log_begin(log, file, bus_log_format(name), channel, T));
}

static const can_frame_t classic = { .id = 0x7E0, .len = 8, .data = { 2, 0x10, 3, 0, 0xCC, 0xCC } };
static const can_frame_t extended = {
    .id = 0x18DA10F1, .ext = true, .len = 3, .data = { 0xA1, 0xB2, 0xC3 }
};
static const can_frame_t empty = { .id = 1 };
static const can_frame_t fd = { .id = 0x7E8, .fd = true, .brs = true, .len = 2, .data = { 1, 2 } };
static const can_frame_t fd_passive = { .id = 5, .ext = true, .fd = true, .esi = true, .len = 12 };
static const can_frame_t fd_empty = { .id = 0x7FF, .fd = true };

/// One of each kind, the second a second after the first, the third an hour later.
static void log_all(bus_log_t *log)
{
    assert_true(bus_log_frame(log, &classic, true, T));
    assert_true(bus_log_frame(log, &extended, false, T + 1000000));
    assert_true(bus_log_frame(log, &empty, false, T + 3600000000U));
    assert_true(bus_log_frame(log, &fd, true, T));
    assert_true(bus_log_frame(log, &fd_passive, false, T));
    assert_true(bus_log_frame(log, &fd_empty, false, T));
}

/// Logs all, and compares what is in the file before and after it is closed.
static void expect_log(const char *name, const char *bytes, size_t len)
{
    bus_log_t log;
    begin(&log, name, "can0");
    log_all(&log);
    for (int closed = 0; closed < 2; closed++) {
        assert_int_equal(read_back(name), len);
        assert_memory_equal(content, bytes, len);
        assert_true(bus_log_end(&log));
    }
}

// --- The formats ---

static void the_suffix_chooses_the_format(void **state)
{
    (void)state;
    assert_int_equal(bus_log_format("a.log"), BUS_LOG_CANDUMP);
    assert_int_equal(bus_log_format("/tmp/x.y/a.b.pcap"), BUS_LOG_PCAP);
    assert_int_equal(bus_log_format("A.ASC"), BUS_LOG_ASC);
    static const char *const unknown[] = { "", "a", "log", "a.", "a.txt", "a.log/b", "a.pcapng" };
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(bus_log_format(unknown[i]), BUS_LOG_UNKNOWN);
}

static void a_log_is_what_candump_writes(void **state)
{
    (void)state;
    static const char expected[] =
        "(1712230262.015991) can0 7E0#02100300CCCC0000\n"
        "(1712230263.015991) can0 18DA10F1#A1B2C3\n"
        "(1712233862.015991) can0 001#\n"
        "(1712230262.015991) can0 7E8##10102\n"
        "(1712230262.015991) can0 00000005##2000000000000000000000000\n"
        "(1712230262.015991) can0 7FF##0\n";
    expect_log("a.log", expected, sizeof expected - 1);
}

static void a_pcap_has_the_link_type_of_socketcan(void **state)
{
    (void)state;
#define SECONDS_0 "\x76\x8F\x0E\x66" // 1712230262
#define SECONDS_1 "\x77\x8F\x0E\x66"
#define SECONDS_2 "\x86\x9D\x0E\x66" // an hour later
#define MICROS    "\x77\x3E\0\0"     // 15991
    static const char expected[] =
        "\xD4\xC3\xB2\xA1\2\0\4\0\0\0\0\0\0\0\0\0\xFF\xFF\0\0\xE3\0\0\0" SECONDS_0 MICROS
        "\x10\0\0\0\x10\0\0\0"
        "\0\0\x07\xE0\x08\0\0\0"
        "\2\x10\3\0\xCC\xCC\0\0" SECONDS_1 MICROS
        "\x0B\0\0\0\x0B\0\0\0"
        "\x98\xDA\x10\xF1\3\0\0\0"
        "\xA1\xB2\xC3" SECONDS_2 MICROS
        "\x08\0\0\0\x08\0\0\0"
        "\0\0\0\1\0\0\0\0" SECONDS_0 MICROS
        "\x0A\0\0\0\x0A\0\0\0"
        "\0\0\x07\xE8\2\5\0\0"
        "\1\2" SECONDS_0 MICROS
        "\x14\0\0\0\x14\0\0\0"
        "\x80\0\0\5\x0C\6\0\0"
        "\0\0\0\0\0\0\0\0\0\0\0\0" SECONDS_0 MICROS
        "\x08\0\0\0\x08\0\0\0"
        "\0\0\x07\xFF\0\4\0\0";
    expect_log("a.pcap", expected, sizeof expected - 1);
}

static void an_asc_counts_from_its_date_and_tells_the_direction(void **state)
{
    (void)state;
    static const char expected[] =
        "date Thu Apr  4 11:31:02 2024\n"
        "base hex  timestamps absolute\n"
        "no internal events logged\n"
        "   0.015991 1  7E0             Tx   d 8 02 10 03 00 CC CC 00 00\n"
        "   1.015991 1  18DA10F1x       Rx   d 3 A1 B2 C3\n"
        "3600.015991 1  1               Rx   d 0\n"
        "   0.015991 CANFD   1 Tx        7E8                                   1 0 2  2 01 02"
        "        0    0     3000 0 0 0 0 0\n"
        "   0.015991 CANFD   1 Rx          5x                                  0 1 9 12"
        " 00 00 00 00 00 00 00 00 00 00 00 00        0    0     5000 0 0 0 0 0\n"
        "   0.015991 CANFD   1 Rx        7FF                                   0 0 0  0"
        "        0    0     1000 0 0 0 0 0\n";
    expect_log("a.asc", expected, sizeof expected - 1);
}

static void the_longest_frame_fits_and_each_length_has_its_dlc(void **state)
{
    (void)state;
    static const uint8_t lens[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64 };
    for (unsigned dlc = 0; dlc < sizeof lens; dlc++) {
        bus_log_t log;
        can_frame_t f = { .id = 0x1FFFFFFF, .ext = true, .fd = true, .brs = true, .esi = true };
        f.len = lens[dlc];
        begin(&log, "a.asc", "can0");
        assert_true(bus_log_frame(&log, &f, false, T * 1000));
        assert_true(bus_log_end(&log));
        char fields[32];
        snprintf(fields, sizeof fields, " 1 1 %x %2u ", dlc, f.len);
        assert_true(read_back("a.asc") > 100);
        assert_non_null(strstr(content, fields));
    }
}

static void a_clock_that_is_set_back_makes_no_negative_time(void **state)
{
    (void)state;
    bus_log_t log;
    begin(&log, "a.asc", "can0");
    assert_true(bus_log_frame(&log, &empty, false, T - 5000000));
    assert_true(bus_log_end(&log));
    (void)read_back("a.asc");
    assert_non_null(strstr(content, "\n   0.000000 1  1 "));
}

static void the_channel_is_one_word(void **state)
{
    (void)state;
    static const struct {
        const char *channel, *word;
    } cases[] = {
        { "can0", " can0 " },
        { "virtual:demo", " demo " },
        { "virtual:demo?bitrate=500000&dbitrate=2000000", " demo " },
        { "demo-1.a_b?bitrate=1000", " demo-1.a_b " },
        { "/dev/ttyACM0", " ttyACM0 " },
        { "a b\tc\xC3\xA4", " a_b_c__ " },
        { "", " _ " },
        { "virtual:1234567890123456789012345678901234567890123456789012345678901234567890",
          " 1234567890123456789012345678901234567890123456789012345678901234 " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bus_log_t log;
        begin(&log, "a.log", cases[i].channel);
        assert_true(bus_log_frame(&log, &empty, false, T));
        assert_true(bus_log_end(&log));
        (void)read_back("a.log");
        assert_non_null(strstr(content, cases[i].word));
    }
}

// --- Failures ---

static void a_full_disk_leaves_whole_records_and_is_reported_once(void **state)
{
    (void)state;
    static const char *const names[] = { "a.log", "a.pcap", "a.asc" };
    static const size_t heads[] = { 0, 24, 86 }, records[] = { 46, 32, 64 };
    for (size_t i = 0; i < 3; i++) {
        bus_log_t log;
        struct rlimit before, little;
        begin(&log, names[i], "can0");
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        little = before;
        little.rlim_cur = heads[i] + 2 * records[i] + 10; // of the third, ten bytes fit
        void (*const handler)(int) = signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
        const bool first = bus_log_frame(&log, &classic, true, T);
        const bool second = bus_log_frame(&log, &classic, true, T);
        const bool third = bus_log_frame(&log, &classic, true, T);
        const int why = errno;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        (void)signal(SIGXFSZ, handler);
        assert_true(first && second);
        assert_false(third);
        assert_int_equal(why, EFBIG);
        assert_true(bus_log_frame(&log, &classic, true, T));
        assert_true(bus_log_end(&log));
        assert_int_equal(read_back(names[i]), heads[i] + 2 * records[i]);
    }
}

static void who_is_killed_leaves_every_frame_that_was_logged(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        bus_log_t log;
        FILE *file = fopen(path_of("a.log"), "wb");
        if (!file || !bus_log_begin(&log, file, BUS_LOG_CANDUMP, "can0", T)) _exit(1);
        for (int i = 0; i < 1000; i++)
            (void)bus_log_frame(&log, &empty, true, T);
        (void)raise(SIGKILL);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    static const char line[] = "(1712230262.015991) can0 001#\n";
    assert_int_equal(read_back("a.log"), 1000 * (sizeof line - 1));
    assert_string_equal(content + 999 * (sizeof line - 1), line);
}

// --- On a bus ---

static char channel[64];
static unsigned warnings;
static char warning[256];

static void on_warning(const char *line)
{
    warnings++;
    snprintf(warning, sizeof warning, "%s", line);
}

static bus_t *join(const char *log, const char *options)
{
    static int number;
    char error[256] = "";
    if (log) { // the first on the bus
        snprintf(channel, sizeof channel, "virtual:log-%d-%d", (int)getpid(), ++number);
        warnings = 0;
    }
    char all[96];
    snprintf(all, sizeof all, "%s%s", channel, options);
    bus_t *bus = bus_open(&(bus_cfg_t){ .channel = all, .log = log, .warn = on_warning }, error,
                          sizeof error);
    if (!bus) fail_msg("%s", error);
    return bus;
}

static bus_event_t wait_for_event(bus_t *bus)
{
    can_frame_t frame;
    for (;;) {
        const bus_event_t event = bus_recv(bus, &frame);
        if (event != BUS_NONE) return event;
        if (poll(&(struct pollfd){ bus_fd(bus), POLLIN, 0 }, 1, PATIENCE_MS) == 0) return event;
    }
}

/// Expects these frames in the log, and plausible times and the bus's name before each.
static void expect_frames(const char *name, const char *const *frames, size_t count)
{
    (void)read_back(name);
    const char *line = content;
    for (size_t i = 0; i < count; i++) {
        unsigned long long seconds;
        unsigned micros;
        char word[64], frame[200];
        assert_int_equal(sscanf(line, "(%10llu.%6u) %63s %199s", &seconds, &micros, word, frame),
                         4);
        assert_true(llabs((long long)seconds - (long long)time(NULL)) <= 2 * PATIENCE_MS / 1000);
        assert_string_equal(word, channel + strlen("virtual:"));
        assert_string_equal(frame, frames[i]);
        line = strchr(line, '\n') + 1;
    }
    assert_string_equal(line, "");
}

static void both_directions_are_logged_in_the_order_of_the_bus(void **state)
{
    (void)state;
    bus_t *a = join(path_of("a.log"), "?bitrate=2000"), *b = join(NULL, "");
    assert_true(bus_send(a, &classic));
    assert_true(bus_send(a, &fd)); // loses against the next
    assert_true(bus_send(b, &empty));
    assert_int_equal(read_back("a.log"), 0); // nothing is confirmed yet
    assert_int_equal(wait_for_event(a), BUS_SENT);
    assert_int_equal(wait_for_event(a), BUS_FRAME);
    assert_int_equal(wait_for_event(a), BUS_SENT);
    assert_true(bus_send(b, &extended));
    assert_int_equal(wait_for_event(a), BUS_FRAME);
    static const char *const frames[] = { "7E0#02100300CCCC0000", "001#", "7E8##10102",
                                          "18DA10F1#A1B2C3" };
    expect_frames("a.log", frames, 4);
    bus_close(a);
    bus_close(b);
    expect_frames("a.log", frames, 4);
    assert_int_equal(warnings, 0);
}

static void frames_that_a_lost_bus_took_along_are_not_logged(void **state)
{
    (void)state;
    bus_t *a = join(path_of("a.log"), "?bitrate=1000");
    struct ucred hub = { 0 };
    socklen_t len = sizeof hub;
    assert_int_equal(getsockopt(bus_fd(a), SOL_SOCKET, SO_PEERCRED, &hub, &len), 0);
    for (int i = 0; i < 3; i++)
        assert_true(bus_send(a, &classic));
    assert_true(hub.pid > 1 && hub.pid != getpid());
    assert_int_equal(kill(hub.pid, SIGKILL), 0);
    assert_int_equal(wait_for_event(a), BUS_DOWN);
    while (!bus_send(a, &extended)) // opened again
        (void)poll(NULL, 0, 1);
    assert_int_equal(wait_for_event(a), BUS_SENT);
    static const char *const frames[] = { "18DA10F1#A1B2C3" };
    expect_frames("a.log", frames, 1);
    bus_close(a);
}

static void more_frames_than_any_window_are_logged_in_their_order(void **state)
{
    (void)state;
    bus_t *a = join(path_of("a.log"), "");
    enum { COUNT = 100 };
    char texts[COUNT][16];
    const char *frames[COUNT];
    for (unsigned sent = 0, taken = 0; sent < COUNT; sent++) {
        for (;;) {
            const can_frame_t f = { .id = taken, .len = 0 };
            if (taken == COUNT || !bus_send(a, &f)) break;
            snprintf(texts[taken], sizeof texts[taken], "%03X#", taken);
            frames[taken] = texts[taken];
            taken++;
        }
        assert_int_equal(wait_for_event(a), BUS_SENT);
    }
    expect_frames("a.log", frames, COUNT);
    bus_close(a);
}

static void a_restarted_node_forgets_frames_but_not_its_log(void **state)
{
    (void)state;
    bus_t *a = join(path_of("a.log"), "?bitrate=2000"), *b = join(NULL, "");
    char error[256];
    can_frame_t frame;
    assert_true(bus_send(a, &classic));
    assert_int_equal(wait_for_event(a), BUS_SENT);
    assert_int_equal(wait_for_event(b), BUS_FRAME);
    assert_true(bus_send(b, &empty));
    assert_int_equal(wait_for_event(b), BUS_SENT); // it has arrived, nobody has fetched it
    assert_true(bus_send(a, &fd));
    assert_true(bus_restart(a, error, sizeof error));
    assert_int_equal(bus_recv(a, &frame), BUS_NONE);
    assert_true(bus_send(a, &extended));
    assert_int_equal(wait_for_event(b), BUS_FRAME); // what was on the wire
    assert_int_equal(wait_for_event(b), BUS_FRAME);
    while (wait_for_event(a) != BUS_SENT)
        continue;
    bus_close(a);
    bus_close(b);
    (void)read_back("a.log");
    assert_non_null(strstr(content, "7E0#02100300CCCC0000"));
    assert_non_null(strstr(content, "18DA10F1#A1B2C3"));
    assert_null(strstr(content, "001#"));
}

static void a_log_that_fails_warns_once_and_the_bus_goes_on(void **state)
{
    (void)state;
    static const char *const names[] = { "a.log", "a.pcap", "a.asc" };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(symlink("/dev/full", path_of(names[i])), 0);
        bus_t *a = join(path, ""), *b = join(NULL, "");
        for (int n = 0; n < 3; n++) {
            assert_true(bus_send(a, &classic));
            assert_int_equal(wait_for_event(a), BUS_SENT);
            assert_int_equal(wait_for_event(b), BUS_FRAME);
        }
        bus_close(a);
        bus_close(b);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(warning, names[i]));
        assert_non_null(strstr(warning, strerror(ENOSPC)));
        assert_null(strchr(warning, '\n'));
    }
}

static void a_log_that_cannot_be_created_leaves_the_bus_alone(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path_of("a.pcap"), 0600), 0);
    const int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    static const struct {
        const char *name, *reason;
    } cases[] = {
        { "nosuch/a.log", "No such file" },
        { "a.txt", ".log, .pcap or .asc" },
        { "a.pcap", "pipe" }, // with a reader, then without
        { "a.pcap", "pipe" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        // The interface does not exist: that this is not the reason shows that nobody looked.
        char error[256] = "";
        bool log_failed = false;
        const bus_cfg_t cfg = { .channel = "nosuchcan0",
                                .log = path_of(cases[i].name),
                                .log_failed = &log_failed,
                                .warn = on_warning };
        warnings = 0;
        assert_null(bus_open(&cfg, error, sizeof error));
        assert_true(log_failed);
        assert_non_null(strstr(error, cases[i].reason));
        assert_null(strstr(error, "can0"));
        assert_int_equal(warnings, 0);
        if (i == 2) (void)close(reader);
    }
    bool log_failed = false;
    char error[256];
    const bus_cfg_t no_bus = { .channel = "nosuchcan0",
                               .log = path_of("a.asc"),
                               .log_failed = &log_failed };
    assert_null(bus_open(&no_bus, error, sizeof error));
    assert_false(log_failed);
}

static void an_older_log_is_overwritten_unless_the_channel_makes_no_sense(void **state)
{
    (void)state;
    FILE *file = fopen(path_of("a.log"), "wb");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        assert_true(fputs("older\n", file) >= 0);
    assert_int_equal(fclose(file), 0);
    char error[256];
    assert_null(
        bus_open(&(bus_cfg_t){ .channel = "virtual:a b", .log = path }, error, sizeof error));
    assert_int_equal(read_back("a.log"), 6000);
    bus_t *a = join(path, "");
    assert_int_equal(read_back("a.log"), 0);
    bus_close(a);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, new_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(the_suffix_chooses_the_format),
        TEST(a_log_is_what_candump_writes),
        TEST(a_pcap_has_the_link_type_of_socketcan),
        TEST(an_asc_counts_from_its_date_and_tells_the_direction),
        TEST(the_longest_frame_fits_and_each_length_has_its_dlc),
        TEST(a_clock_that_is_set_back_makes_no_negative_time),
        TEST(the_channel_is_one_word),
        TEST(a_full_disk_leaves_whole_records_and_is_reported_once),
        TEST(who_is_killed_leaves_every_frame_that_was_logged),
        TEST(both_directions_are_logged_in_the_order_of_the_bus),
        TEST(frames_that_a_lost_bus_took_along_are_not_logged),
        TEST(more_frames_than_any_window_are_logged_in_their_order),
        TEST(a_restarted_node_forgets_frames_but_not_its_log),
        TEST(a_log_that_fails_warns_once_and_the_bus_goes_on),
        TEST(a_log_that_cannot_be_created_leaves_the_bus_alone),
        TEST(an_older_log_is_overwritten_unless_the_channel_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
