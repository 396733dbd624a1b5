// test_bus.c - which driver bus_open() chooses, and what it says when it cannot.
// SPDX-License-Identifier: Apache-2.0
#include "bus.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
// cmocka.h needs the headers above
#include <cmocka.h>

static char name[32];         // of a bus of this process
static char channel[48];      // the same as a channel
static char error[256];       // of the last refusal
static const char no_rate[1]; // set but empty, as in `CAN_BITRATE= isotp-ota ...`

static int clean_environment(void **state)
{
    (void)state;
    unsetenv("CAN_INTERFACE");
    unsetenv("CAN_CHANNEL");
    unsetenv("CAN_BITRATE");
    snprintf(name, sizeof name, "choice-%d", (int)getpid());
    snprintf(channel, sizeof channel, "virtual:%s", name);
    return 0;
}

static void expect_opened(const bus_cfg_t *cfg)
{
    bus_t *bus = bus_open(cfg, error, sizeof error);
    if (!bus) fail_msg("%s", error);
    bus_close(bus);
}

static void expect_refused(const bus_cfg_t *cfg, const char *reason)
{
    memset(error, 0, sizeof error);
    assert_null(bus_open(cfg, error, sizeof error));
    if (!strstr(error, reason)) fail_msg("\"%s\" does not say \"%s\"", error, reason);
    assert_null(strchr(error, '\n'));
    assert_true(strlen(error) < sizeof error - 1); // not cut
}

static void the_form_of_the_channel_chooses_the_driver(void **state)
{
    (void)state;
    expect_opened(&(bus_cfg_t){ .channel = channel });
    expect_opened(&(bus_cfg_t){ .interface = "virtual", .channel = channel });
    expect_refused(&(bus_cfg_t){ .channel = "/dev/ttyACM0" }, "slcan");
    expect_refused(&(bus_cfg_t){ .interface = "slcan", .channel = "can0" }, "no slcan driver");
    expect_refused(&(bus_cfg_t){ .channel = "can9" }, "can9");
}

static void a_name_alone_is_a_virtual_bus_if_the_interface_says_so(void **state)
{
    (void)state;
    bus_t *a = bus_open(&(bus_cfg_t){ .channel = channel }, error, sizeof error);
    bus_t *b =
        bus_open(&(bus_cfg_t){ .interface = "virtual", .channel = name }, error, sizeof error);
    assert_non_null(a);
    assert_non_null(b);
    struct ucred hub[2];
    socklen_t len = sizeof hub[0];
    assert_int_equal(getsockopt(bus_fd(a), SOL_SOCKET, SO_PEERCRED, &hub[0], &len), 0);
    assert_int_equal(getsockopt(bus_fd(b), SOL_SOCKET, SO_PEERCRED, &hub[1], &len), 0);
    assert_int_equal(hub[0].pid, hub[1].pid);
    bus_close(a);
    bus_close(b);
}

static void the_environment_fills_in_what_is_missing(void **state)
{
    (void)state;
    setenv("CAN_CHANNEL", channel, 1);
    expect_opened(&(bus_cfg_t){ 0 });
    setenv("CAN_CHANNEL", name, 1);
    setenv("CAN_INTERFACE", "virtual", 1);
    expect_opened(&(bus_cfg_t){ 0 });
    setenv("CAN_BITRATE", "250000", 1);
    bus_t *bus = bus_open(&(bus_cfg_t){ 0 }, error, sizeof error);
    assert_non_null(bus);
    setenv("CAN_BITRATE", no_rate, 1);
    expect_refused(&(bus_cfg_t){ .bitrate = 125000 }, "250000");
    bus_close(bus);
}

static void the_environment_never_overrules_what_was_said(void **state)
{
    (void)state;
    setenv("CAN_INTERFACE", "socketcan", 1);
    setenv("CAN_CHANNEL", "can0", 1);
    setenv("CAN_BITRATE", "125000", 1);
    expect_opened(&(bus_cfg_t){ .channel = channel });
    expect_opened(&(bus_cfg_t){ .interface = "virtual", .channel = name });
    char paced[64];
    snprintf(paced, sizeof paced, "%s?bitrate=250000", channel);
    bus_t *bus = bus_open(&(bus_cfg_t){ .channel = paced }, error, sizeof error);
    assert_non_null(bus);
    expect_opened(&(bus_cfg_t){ .channel = channel, .bitrate = 250000 });
    bus_close(bus);
}

static void a_bad_bit_rate_in_the_environment_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = { "fast", "0", "500k", "-1", "99999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("CAN_BITRATE", bad[i], 1);
        expect_refused(&(bus_cfg_t){ .channel = channel }, "CAN_BITRATE");
    }
}

static void contradictions_and_unknown_words_are_errors(void **state)
{
    (void)state;
    expect_refused(&(bus_cfg_t){ 0 }, "CAN_CHANNEL");
    expect_refused(&(bus_cfg_t){ .interface = "pcan", .channel = "PCAN_USBBUS1" }, "pcan");
    expect_refused(&(bus_cfg_t){ .interface = "socketcan", .channel = channel },
                   "is of interface virtual");
    expect_refused(&(bus_cfg_t){ .channel = "virtual:x?bitrate=500000", .bitrate = 250000 },
                   "250000");
}

static void names_and_options_of_a_virtual_bus_are_checked(void **state)
{
    (void)state;
    static const char *const bad_names[] = {
        "virtual:",
        "virtual:a b",
        "virtual:a/b",
        "virtual:\xC3\xA4",
        "virtual:?bitrate=500000",
        "virtual:12345678901234567890123456789012345678901234567890123456789012345",
    };
    for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
        expect_refused(&(bus_cfg_t){ .channel = bad_names[i] }, "1 to 64 characters");
    }
    static const char *const bad_options[] = {
        "virtual:a?bitrate=",
        "virtual:a?bitrate=fast",
        "virtual:a?bitrate=999",
        "virtual:a?bitrate=20000001",
        "virtual:a?speed=1",
        "virtual:a?bitrate=500000,dbitrate=1",
        "virtual:a?bitrate=5000000000",
        "virtual:a?bitrate=50000000000000000000000",
    };
    for (size_t i = 0; i < sizeof bad_options / sizeof bad_options[0]; i++) {
        expect_refused(&(bus_cfg_t){ .channel = bad_options[i] }, "1000..20000000");
    }
    expect_refused(&(bus_cfg_t){ .channel = "virtual:a?dbitrate=2000000" }, "needs a bitrate");
}

static void a_network_interface_that_is_no_can_bus_is_named_in_the_error(void **state)
{
    (void)state;
    // Which of the errors comes depends on the kernel; each names the interface and what to do.
    expect_refused(&(bus_cfg_t){ .channel = "lo" }, "lo");
    expect_refused(&(bus_cfg_t){ .interface = "socketcan", .channel = "nosuchcan0" }, "nosuchcan0");
    expect_refused(&(bus_cfg_t){ .channel = "name-of-no-interface" }, "15 characters");
}

static void closing_nothing_is_fine(void **state)
{
    (void)state;
    bus_close(NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, clean_environment)
    const struct CMUnitTest tests[] = {
        TEST(the_form_of_the_channel_chooses_the_driver),
        TEST(a_name_alone_is_a_virtual_bus_if_the_interface_says_so),
        TEST(the_environment_fills_in_what_is_missing),
        TEST(the_environment_never_overrules_what_was_said),
        TEST(a_bad_bit_rate_in_the_environment_is_an_error),
        TEST(contradictions_and_unknown_words_are_errors),
        TEST(names_and_options_of_a_virtual_bus_are_checked),
        TEST(a_network_interface_that_is_no_can_bus_is_named_in_the_error),
        TEST(closing_nothing_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
