// sim_random.h - repeatable chance for simulations: a seed gives the same numbers everywhere.
// SPDX-License-Identifier: Apache-2.0
//
//     uint64_t chance = 7;                            // the seed
//     const unsigned die = sim_random(&chance, 6) + 1;
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdint.h>

/// The next 64 bits (splitmix64).
static inline uint64_t sim_random64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/// The next number, below `bound` (1 or more).
static inline uint32_t sim_random(uint64_t *state, uint32_t bound)
{
    return (uint32_t)((sim_random64(state) >> 32) * bound >> 32);
}

#endif
