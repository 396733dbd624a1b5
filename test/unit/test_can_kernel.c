// test_can_kernel.c - what the kernel's frames become, and ours: the flags of CAN FD.
// SPDX-License-Identifier: Apache-2.0
#include "can_kernel.h"
#include <setjmp.h>
#include <stdarg.h>
// cmocka.h needs the headers above
#include <cmocka.h>

static void an_fd_frame_tells_the_bit_rate_switch_and_the_state_of_its_sender(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        const struct canfd_frame in = { .can_id = 0x7E8, .len = 1, .flags = (uint8_t)flags };
        can_frame_t f;
        assert_true(can_kernel_decode(&in, CANFD_MTU, &f));
        assert_true(f.fd);
        assert_int_equal(f.brs, (flags & CANFD_BRS) != 0);
        assert_int_equal(f.esi, (flags & CANFD_ESI) != 0);
    }
}

static void a_classic_frame_has_neither(void **state)
{
    (void)state;
    const struct canfd_frame in = { .can_id = 0x7E8, .len = 1, .flags = CANFD_BRS | CANFD_ESI };
    can_frame_t f;
    assert_true(can_kernel_decode(&in, CAN_MTU, &f));
    assert_false(f.fd || f.brs || f.esi);
}

static void the_state_of_the_sender_is_left_to_the_controller(void **state)
{
    (void)state;
    const can_frame_t f = { .id = 0x7E8, .fd = true, .brs = true, .esi = true, .len = 1 };
    struct canfd_frame out;
    assert_int_equal(can_kernel_encode(&f, &out), CANFD_MTU);
    assert_int_equal(out.flags, CANFD_BRS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_fd_frame_tells_the_bit_rate_switch_and_the_state_of_its_sender),
        cmocka_unit_test(a_classic_frame_has_neither),
        cmocka_unit_test(the_state_of_the_sender_is_left_to_the_controller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
