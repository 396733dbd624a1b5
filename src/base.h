// base.h - what every core file may use, and nothing else: no OS, no allocation, no clock, no I/O.
// SPDX-License-Identifier: Apache-2.0
#ifndef BASE_H
#define BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h> // memcpy, memmove, memset, memcmp: the only outside functions the core calls

/// Microseconds on a monotonic clock. The core never reads a clock: `now` is always an argument.
typedef uint64_t usec_t;
#define USEC_NEVER UINT64_MAX
#define USEC_MS    UINT64_C(1000)

/// A promise broken by the caller or by this code; never the peer's fault, never the hardware's.
#ifdef NDEBUG
#define ASSERT(x) ((void)sizeof(x))
#else
#define ASSERT(x) ((x) ? (void)0 : assert_fail(#x, __FILE__, __LINE__))
#endif
_Noreturn void assert_fail(const char *what, const char *file, int line); // the port provides it

// --- Build options: all files of one program must agree on them ---

/// ISOTP_CLASSIC_ONLY: no CAN FD. Frames have room for 8 bytes instead of 64, and isotp lacks what
/// FD needs. ISOTP_SMALL: a fifth less code in isotp, twice the instructions a frame.
#ifdef ISOTP_CLASSIC_ONLY
enum { CAN_HAS_FD = 0, CAN_DATA_MAX = 8 };
#else
enum { CAN_HAS_FD = 1, CAN_DATA_MAX = 64 };
#endif
#ifdef ISOTP_SMALL
enum { ISOTP_QUICK = 0 };
#else
enum { ISOTP_QUICK = 1 };
#endif

/// Keeps a rarely used function out of its caller, which then needs fewer registers.
#if defined(__GNUC__) && !defined(ISOTP_SMALL)
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE
#endif

static inline size_t smaller(size_t a, size_t b) { return (a < b) ? a : b; }

static inline usec_t sooner(usec_t a, usec_t b) { return (a < b) ? a : b; }

static inline usec_t later(usec_t a, usec_t b) { return (a > b) ? a : b; }

// --- Wire and flash formats: bytes in, integers out, no casts; any alignment and endianness ---

static inline uint16_t load_le16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t load_le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return p[3] | (uint32_t)p[2] << 8 | (uint32_t)p[1] << 16 | (uint32_t)p[0] << 24;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline void store_le16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

#endif
