// test_sim_device.c - the simulated device: its boots, restarts, trials, power cuts, and their times.
// SPDX-License-Identifier: Apache-2.0
//
// The flash takes no time here, nor does hashing unless a test says so: a boot takes BOOT, to the
// microsecond.
#include "crypto_psa.h"
#include "image_build.h"
#include "probe.h"
#include "sender.h"
#include "sim_device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
// cmocka.h needs the headers above
#include <cmocka.h>

enum { HOST, DEVICE, CAP = 0x10000, SLOT = 0x10000 };
enum { BOOT = 150000, RESET = 20000 }; // us

MACHINE_VERBS(sender);

static sim_world_t world;
static sim_device_t device;
static sim_device_cfg_t cfg;
static probe_t host;
static crypto_psa_t psa;
static crypto_t crypto;
static uint8_t *old, *new;
static uint32_t old_len, new_len;

static uint32_t build(const char *version, uint64_t fill, uint8_t *out)
{
    image_spec_t spec = image_spec();
    spec.segment[0].len = 20000;
    spec.fill = fill;
    spec.version = version;
    return (uint32_t)image_build_large(&spec, out, CAP);
}

static int load(void **state)
{
    (void)state;
    old = malloc(CAP);
    new = malloc(CAP);
    if (!old || !new) return -1;
    old_len = build("1.0", 1, old);
    new_len = build("2.0", 2, new);
    return crypto_psa_init(&psa, &crypto) ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    free(old);
    free(new);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    sim_world_init(&world, 500000, 500000, 1);
    cfg = sim_device_esp32;
    cfg.port = &sim_port_none;
    cfg.slot_size = SLOT;
    cfg.crypto = &crypto;
    cfg.hash_rate = 0;
    host = (probe_t){ .world = &world, .node = HOST, .deadline = USEC_NEVER };
    const machine_t machine = probe_machine(&host);
    sim_world_join(&world, HOST, &sim_port_none, &machine);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sim_device_close(&device);
    sim_world_free(&world);
    return 0;
}

static void run_until(usec_t us)
{
    while (sim_world_run(&world, us * NSEC_US)) {
    }
}

static void join(void)
{
    sim_device_open(&device, &cfg, old, old_len);
    sim_device_join(&device, &world, DEVICE);
}

/// It goes on at this time, and is in another state just before.
static void expect_on_at(usec_t us)
{
    run_until(us - 1);
    assert_int_not_equal(device.state, SIM_DEVICE_ON);
    assert_false(world.bus.node[DEVICE].on);
    run_until(us);
    assert_int_equal(device.state, SIM_DEVICE_ON);
    assert_true(world.bus.node[DEVICE].on);
}

/// The new image is in the other slot and boots next. Takes no time.
static void install(void)
{
    static ota_t ota;
    uint32_t at = 0;
    ota_init(&ota, &device.receiver_cfg.ota);
    assert_int_equal(ota_begin(&ota, new_len), OTA_OK);
    while (at < new_len) {
        at += (uint32_t)ota_write(&ota, new + at, new_len - at);
        assert_int_equal(ota_step(&ota), OTA_OK);
    }
    assert_int_equal(ota_finish(&ota), OTA_OK);
    while (ota_busy(&ota))
        assert_int_equal(ota_step(&ota), OTA_OK);
    assert_int_equal(ota_activate(&ota), OTA_OK);
}

/// A UDS request in a single frame.
static void request(uint32_t id, uint8_t sid, uint8_t sub)
{
    probe_send(&host, id, 1, 8);
    const uint8_t bytes[8] = { 2, sid, sub };
    memcpy(host.data, bytes, sizeof bytes);
    host.deadline = world.now / NSEC_US;
}

// --- Boots and restarts ---

static void a_device_listens_when_it_has_booted(void **state)
{
    (void)state;
    run_until(5000);
    join();
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_int_equal(device.boots, 0);
    run_until(5000);
    assert_int_equal(device.state, SIM_DEVICE_BOOTING);
    assert_int_equal(device.boots, 1);
    expect_on_at(5000 + BOOT);
    assert_int_equal(device.boot.slot, 0);
    assert_false(device.boot.on_trial);
    assert_false(device.dead);
    request(0x7E0, 0x3E, 0x00);
    run_until(200000);
    assert_int_equal(host.inputs, 1);
    assert_int_equal(host.heard.id, 0x7E8);
    assert_int_equal(host.heard.data[1], 0x7E);
    // All of them, and with another one's identifiers nobody.
    request(0x7DF, 0x3E, 0x00);
    run_until(250000);
    assert_int_equal(host.inputs, 2);
    request(0x7E1, 0x3E, 0x00);
    run_until(300000);
    assert_int_equal(host.inputs, 2);
}

static void it_restarts_when_it_was_told_to_and_has_answered(void **state)
{
    (void)state;
    join();
    run_until(200000);
    request(0x7E0, 0x11, 0x01);
    while (sim_world_run(&world, 300 * NSEC_MS) && !(device.events & RECEIVER_RESTART)) {
    }
    assert_int_equal(world.node[DEVICE].events & RECEIVER_RESTART, RECEIVER_RESTART);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_false(world.bus.node[DEVICE].on);
    const usec_t at = world.now / NSEC_US;
    assert_in_range(at, 200000 + 2 * 160, 200000 + 2 * 270); // two frames
    run_until(at + RESET - 1);
    assert_int_equal(host.inputs, 1);
    assert_int_equal(host.heard.data[1], 0x51);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    run_until(at + RESET);
    assert_int_equal(device.state, SIM_DEVICE_BOOTING);
    assert_int_equal(device.boots, 2);
    expect_on_at(at + RESET + BOOT);
    assert_int_equal(device.events, RECEIVER_RESTART); // nobody has reset it
}

static void verification_takes_its_time_before_the_boot(void **state)
{
    (void)state;
    cfg.hash_rate = 1000000; // a byte is a microsecond
    join();
    // All of the image but the digest behind it.
    const usec_t time = old_len - 32;
    expect_on_at(BOOT + time);
    nsec_t flash, before;
    assert_int_equal(sim_world_busy(&world, DEVICE, &before), time * NSEC_US);
    // The first boot has also written otadata, the second one only reads.
    run_until(1000000);
    sim_device_cut(&device, 0);
    expect_on_at(1000000 + BOOT + time);
    (void)sim_world_busy(&world, DEVICE, &before);
    sim_device_cut(&device, 0);
    run_until(2000000);
    assert_int_equal(sim_world_busy(&world, DEVICE, &flash), 3 * time * NSEC_US);
    assert_int_equal(flash, before);
}

static void hashing_takes_the_time_of_its_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[100000];
    uint8_t digest[64];
    cfg.hash_rate = 10000000;
    join();
    run_until(500000);
    const crypto_t *c = device.receiver_cfg.ota.crypto;
    usec_t *const clock = &world.node[DEVICE].clock;
    usec_t from = *clock;
    assert_true(c->start(c->ctx, CRYPTO_SHA256));
    for (unsigned i = 0; i < 10; i++)
        assert_true(c->update(c->ctx, bytes, sizeof bytes));
    assert_true(c->finish(c->ctx, digest));
    assert_int_equal(*clock - from, 100000); // 1 MB
    // What is less than a microsecond is not lost.
    from = *clock;
    assert_true(c->start(c->ctx, CRYPTO_SHA256));
    for (unsigned i = 0; i < 1000; i++)
        assert_true(c->update(c->ctx, bytes, 13));
    assert_true(c->finish(c->ctx, digest));
    assert_in_range(*clock - from, 1300, 1301);
}

static void flash_takes_its_time_in_the_boot(void **state)
{
    (void)state;
    cfg.flash = sim_flash_type("w25q");
    join();
    run_until(1000000);
    sim_device_cut(&device, 0);
    run_until(1000001);
    const unsigned reads = device.flash.reads;
    assert_true(reads > 0);
    assert_int_equal(sim_flash_changes(&device.flash), 0);
    expect_on_at(1000000 + BOOT + reads * cfg.flash->read);
}

// --- Firmware on trial ---

/// Installs, and power fails. Returns when the trial begins.
static usec_t begin_trial(sim_device_trial_t trial)
{
    cfg.trial = trial;
    join();
    run_until(200000);
    assert_int_equal(device.state, SIM_DEVICE_ON);
    install();
    sim_device_cut(&device, 0);
    run_until(200000 + BOOT - 1);
    assert_int_equal(device.boots, 2);
    assert_int_equal(device.boot.slot, 1);
    assert_true(device.boot.on_trial);
    return 200000 + BOOT;
}

static void firmware_on_trial_confirms_itself(void **state)
{
    (void)state;
    expect_on_at(begin_trial(SIM_DEVICE_CONFIRMS));
    assert_int_equal(device.receiver_cfg.ota.running, 1);
    sim_device_cut(&device, 0);
    run_until(1000000);
    assert_int_equal(device.boots, 3);
    assert_int_equal(device.boot.slot, 1);
    assert_false(device.boot.on_trial);
}

static void firmware_that_crashes_is_replaced_by_the_old_one(void **state)
{
    (void)state;
    const usec_t at = begin_trial(SIM_DEVICE_CRASHES);
    run_until(at);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_false(world.bus.node[DEVICE].on);
    expect_on_at(at + RESET + BOOT);
    assert_int_equal(device.boots, 3);
    assert_int_equal(device.boot.slot, 0);
    assert_int_equal(device.boot.gave_up, 1); // it never said that it is broken
    assert_int_equal(device.receiver_cfg.ota.running, 0);
}

static void firmware_that_rejects_itself_is_replaced_by_the_old_one(void **state)
{
    (void)state;
    const usec_t at = begin_trial(SIM_DEVICE_REJECTS);
    expect_on_at(at + RESET + BOOT);
    assert_int_equal(device.boots, 3);
    assert_int_equal(device.boot.slot, 0);
    assert_int_equal(device.boot.gave_up, OTA_NOTHING);
}

static void firmware_that_waits_runs_until_somebody_confirms_it(void **state)
{
    (void)state;
    expect_on_at(begin_trial(SIM_DEVICE_WAITS));
    run_until(900000);
    assert_int_equal(device.state, SIM_DEVICE_ON);
    assert_int_equal(device.boots, 2);
    assert_int_equal(ota_confirm(&device.receiver_cfg.ota), 0);
    sim_device_cut(&device, 0);
    run_until(2000000);
    assert_int_equal(device.boot.slot, 1);
    assert_false(device.boot.on_trial);
}

static void firmware_that_waits_in_vain_is_replaced_at_the_next_start(void **state)
{
    (void)state;
    expect_on_at(begin_trial(SIM_DEVICE_WAITS));
    sim_device_cut(&device, 0);
    run_until(2000000);
    assert_int_equal(device.boots, 3);
    assert_int_equal(device.boot.slot, 0);
}

// --- Power ---

static void power_may_fail_at_any_time(void **state)
{
    (void)state;
    join();
    run_until(100000); // in the boot
    assert_int_equal(device.state, SIM_DEVICE_BOOTING);
    sim_device_cut(&device, 50000);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    run_until(150000 - 1);
    assert_int_equal(device.boots, 1);
    expect_on_at(150000 + BOOT);
    assert_int_equal(device.boots, 2);
    // While it is away, once more: from now on.
    sim_device_cut(&device, 50000);
    run_until(330000);
    sim_device_cut(&device, 50000);
    expect_on_at(380000 + BOOT);
    assert_int_equal(device.boots, 3);
    sim_device_cut(&device, USEC_NEVER);
    run_until(60000000);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_int_equal(device.boots, 3);
    sim_device_cut(&device, 0);
    expect_on_at(60000000 + BOOT);
}

static void power_may_fail_while_the_image_is_verified(void **state)
{
    (void)state;
    cfg.hash_rate = 10000; // 2 s
    join();
    run_until(1000);
    sim_device_cut(&device, 9000);
    const usec_t verified = 10000 + UINT64_C(100) * (old_len - 32);
    expect_on_at(verified + BOOT);
    nsec_t flash;
    assert_int_equal(sim_world_busy(&world, DEVICE, &flash), (verified - 10000 + 1000) * NSEC_US);
}

static void a_cut_planned_for_the_next_boot_takes_effect_there(void **state)
{
    (void)state;
    // Each change of a boot on trial and of its confirmation, and one that never comes.
    unsigned n = 1;
    for (bool fired = true; fired; n++) {
        cfg.trial = SIM_DEVICE_CONFIRMS;
        join();
        run_until(200000);
        install();
        device.off_time = 7000;
        device.next = (sim_flash_fault_t){ n, SIM_FLASH_TORN, n };
        sim_device_cut(&device, 1000);
        run_until(201000 + BOOT + 7000 + BOOT);
        fired = device.boots == 3;
        assert_int_equal(device.boots, fired ? 3 : 2);
        run_until(2000000);
        assert_int_equal(device.state, SIM_DEVICE_ON);
        assert_false(device.dead);
        assert_in_range(device.boot.slot, 0, 1);
        teardown(NULL);
        setup(NULL);
    }
    assert_in_range(n - 1, 3, 10);
    join(); // for teardown()
}

static void a_boot_cut_short_is_not_the_end(void **state)
{
    (void)state;
    join();
    run_until(200000);
    install();
    device.off_time = 7000;
    device.next = (sim_flash_fault_t){ 1, SIM_FLASH_NOTHING, 0 };
    sim_device_cut(&device, 0);
    run_until(200000);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_int_equal(device.boots, 2);
    assert_false(device.dead);
    expect_on_at(200000 + 7000 + BOOT);
    assert_int_equal(device.boots, 3);
    assert_int_equal(device.boot.slot, 1);
}

static void a_boot_cut_short_before_it_chose_is_not_the_end_either(void **state)
{
    (void)state;
    // The first change of this boot ends the trial that failed, before any image is looked at.
    const usec_t crash = begin_trial(SIM_DEVICE_CRASHES);
    device.off_time = 7000;
    device.next = (sim_flash_fault_t){ 1, SIM_FLASH_NOTHING, 0 };
    run_until(crash + RESET);
    assert_int_equal(device.boots, 3);
    assert_int_equal(device.boot.slot, OTA_NOTHING);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_false(device.dead);
    expect_on_at(crash + RESET + 7000 + BOOT);
    assert_int_equal(device.boot.slot, 0);
}

static void with_nothing_to_boot_it_is_dead(void **state)
{
    (void)state;
    join();
    run_until(200000);
    assert_false(device.dead);
    memset(&device.flash.mem[SIM_DEVICE_SLOT_AT], 0xFF, 256);
    sim_device_cut(&device, 0);
    run_until(60000000);
    assert_true(device.dead);
    assert_int_equal(device.boots, 2);
    assert_int_not_equal(device.state, SIM_DEVICE_ON);
    assert_false(world.bus.node[DEVICE].on);
    memcpy(&device.flash.mem[SIM_DEVICE_SLOT_AT], old, 256);
    sim_device_cut(&device, 0);
    expect_on_at(60000000 + BOOT);
    assert_false(device.dead);
}

// --- Whole updates ---

/// The host sends the new image. Returns when the device reported what `until` says, or is off, or 20 s
/// later.
static void update(unsigned until)
{
    static sender_t sender;
    static sender_cfg_t sender_cfg;
    static const isotp_cfg_t standard = ISOTP_CFG_DEFAULT;
    sender_cfg = (sender_cfg_t){ .isotp = standard,
                                 .attempts = SENDER_ATTEMPTS,
                                 .status_timeout = SENDER_STATUS_TIMEOUT };
    sender_cfg.isotp.tx_id = 0x7E0;
    sender_cfg.isotp.rx_id = 0x7E8;
    const usec_t now = world.now / NSEC_US;
    uint32_t total;
    uint8_t *bytes = sender_wrap(SENDER_HEADER, new, new_len, &total);
    assert_non_null(bytes);
    sender_init(&sender, &sender_cfg, bytes, total, now);
    const machine_t machine = MACHINE(sender, &sender);
    sim_world_serve(&world, HOST, &machine);
    const nsec_t limit = (now + 20000000) * NSEC_US;
    world.watch = true;
    while (sim_world_run(&world, limit) && !(device.events & until) &&
           device.state == SIM_DEVICE_ON) {
    }
    world.watch = false;
    const machine_t idle = probe_machine(&host);
    sim_world_serve(&world, HOST, &idle);
    free(bytes);
}

static void an_update_ends_in_the_new_firmware(void **state)
{
    (void)state;
    cfg.flash = sim_flash_type("w25q");
    cfg.port = &sim_port_esp32;
    join();
    run_until(500000);
    update(RECEIVER_RESTART);
    assert_true(device.events & RECEIVER_STARTED);
    assert_true(device.events & RECEIVER_COMPLETE);
    assert_false(device.events & RECEIVER_FAILED);
    run_until(world.now / NSEC_US + 1000000);
    assert_int_equal(device.state, SIM_DEVICE_ON);
    assert_int_equal(device.boot.slot, 1);
    assert_int_equal(world.node[DEVICE].overrun, 0);
}

static void a_cut_planned_in_flash_takes_the_device_away_and_back(void **state)
{
    (void)state;
    join();
    run_until(500000);
    device.off_time = 300000;
    sim_flash_cut(&device.flash, 6, SIM_FLASH_TORN, 3);
    update(RECEIVER_COMPLETE);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_false(world.bus.node[DEVICE].on);
    assert_false(device.events & RECEIVER_COMPLETE);
    // The frame that saw it was heard before: it is off for some microseconds already, at most for one frame.
    const usec_t now = world.now / NSEC_US;
    run_until(now + 300000 - 300);
    assert_int_equal(device.boots, 1);
    run_until(now + 300000);
    assert_int_equal(device.boots, 2);
    run_until(now + 300000 + BOOT);
    assert_int_equal(device.state, SIM_DEVICE_ON);
    assert_int_equal(device.boot.slot, 0);
}

static void or_for_ever(void **state)
{
    (void)state;
    join();
    run_until(500000);
    device.off_time = USEC_NEVER;
    sim_flash_cut(&device.flash, 3, SIM_FLASH_NOTHING, 0);
    update(RECEIVER_COMPLETE);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    assert_int_equal(device.boots, 1);
    assert_false(device.events & RECEIVER_COMPLETE);
    run_until(60000000);
    assert_int_equal(device.state, SIM_DEVICE_OFF);
    sim_device_cut(&device, 100);
    expect_on_at(60000100 + BOOT);
}

static void bus_off_reaches_the_receiver(void **state)
{
    (void)state;
    join();
    run_until(200000);
    request(0x7E0, 0x3E, 0x00);
    world.bus.node[DEVICE].tec = 255;
    world.watch = true;
    while (sim_world_run(&world, 300 * NSEC_MS)) // its answer
        if (world.event.kind == SIM_BUS_FRAME)
            world.bus.faults.disturbed = 1000000;
        else if (world.event.off)
            world.bus.faults.disturbed = 0;
    assert_int_equal(world.node[DEVICE].bus_offs, 1);
    assert_int_equal(host.inputs, 0);
    // Back, and able to answer the next one.
    request(0x7E0, 0x3E, 0x00);
    world.bus.faults.disturbed = 0;
    world.watch = false;
    run_until(400000);
    assert_int_equal(host.inputs, 1);
    assert_int_equal(device.boots, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_device_listens_when_it_has_booted),
        TEST(it_restarts_when_it_was_told_to_and_has_answered),
        TEST(verification_takes_its_time_before_the_boot),
        TEST(hashing_takes_the_time_of_its_bytes),
        TEST(flash_takes_its_time_in_the_boot),
        TEST(firmware_on_trial_confirms_itself),
        TEST(firmware_that_crashes_is_replaced_by_the_old_one),
        TEST(firmware_that_rejects_itself_is_replaced_by_the_old_one),
        TEST(firmware_that_waits_runs_until_somebody_confirms_it),
        TEST(firmware_that_waits_in_vain_is_replaced_at_the_next_start),
        TEST(power_may_fail_at_any_time),
        TEST(power_may_fail_while_the_image_is_verified),
        TEST(a_cut_planned_for_the_next_boot_takes_effect_there),
        TEST(a_boot_cut_short_is_not_the_end),
        TEST(a_boot_cut_short_before_it_chose_is_not_the_end_either),
        TEST(with_nothing_to_boot_it_is_dead),
        TEST(an_update_ends_in_the_new_firmware),
        TEST(a_cut_planned_in_flash_takes_the_device_away_and_back),
        TEST(or_for_ever),
        TEST(bus_off_reaches_the_receiver),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
