// test_ring.c - a ring whose newest bytes may be taken back, against a plain array.
// SPDX-License-Identifier: Apache-2.0
#include "ring.h"
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void does_what_an_array_would(void **state)
{
    (void)state;
    uint64_t seed = vector_seed("test_ring");
    for (uint32_t cap = 1; cap <= 40; cap++) {
        uint8_t memory[40], model[40], next = 0;
        uint32_t used = 0, ready = 0;
        ring_t ring;
        ring_init(&ring, memory, cap);
        for (unsigned i = 0; i < 3000; i++) {
            const uint32_t n = vector_random(&seed, cap + 1);
            const uint8_t *p;
            switch (vector_random(&seed, 5)) {
            case 0:
                if (n > ring_free(&ring)) break;
                for (uint32_t k = 0; k < n; k++)
                    model[used + k] = next++;
                ring_put(&ring, &model[used], n);
                used += n;
                break;
            case 1:
                ring_commit(&ring);
                ready = used;
                break;
            case 2:
                ring_retract(&ring);
                used = ready;
                break;
            case 3: {
                const uint32_t there = ring_peek(&ring, &p);
                assert_true(there <= ready && (there > 0) == (ready > 0));
                assert_memory_equal(p, model, there);
                break;
            }
            default:
                if (n > used) break;
                ring_drop(&ring, n);
                used -= n;
                ready -= (n < ready) ? n : ready;
                memmove(model, &model[n], used);
                break;
            }
            assert_int_equal(ring.used, used);
            assert_int_equal(ring.ready, ready);
            assert_int_equal(ring_free(&ring), cap - used);
            for (uint32_t k = 0; k < used; k++)
                assert_int_equal(ring_byte(&ring, k), model[k]);
        }
        ring_clear(&ring);
        assert_int_equal(ring_free(&ring), cap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(does_what_an_array_would) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
