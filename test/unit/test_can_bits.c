// test_can_bits.c - frame lengths against another implementation and against the standard's limits.
// SPDX-License-Identifier: Apache-2.0
#include "can_bits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
// cmocka.h needs the headers above
#include <cmocka.h>

static uint32_t total(const can_frame_t *f)
{
    const can_bits_t bits = can_bits(f);
    return bits.nominal + bits.data;
}

/// Eight bytes of one value: with a period of eight bits most stuffing patterns can be had.
static can_frame_t uniform(bool ext, uint32_t id, uint8_t len, uint8_t value)
{
    can_frame_t f = { .id = id, .ext = ext, .len = len };
    memset(f.data, value, len);
    return f;
}

static void classic_lengths_are_those_of_can_utils(void **state)
{
    (void)state;
    // can_frame_length(CFL_EXACT) of can-utils, canframelen.c of 2021-06-24. In a run over 20
    // million random frames both agreed; these are the shortest and the longest it found for each
    // length.
    static const struct {
        uint32_t id;
        uint32_t bits;
        uint8_t len;
        uint8_t value;
        bool ext;
    } vectors[] = {
        { 0x4BC, 48, 0, 0x00, false },      { 0x000, 53, 0, 0x00, false },
        { 0x757, 56, 1, 0x55, false },      { 0x7FE, 62, 1, 0xFF, false },
        { 0x087, 64, 2, 0x55, false },      { 0x079, 72, 2, 0x0F, false },
        { 0x1B5, 72, 3, 0x3C, false },      { 0x19F, 82, 3, 0xE1, false },
        { 0x257, 79, 4, 0x3C, false },      { 0x05F, 92, 4, 0x1E, false },
        { 0x689, 87, 5, 0x55, false },      { 0x078, 102, 5, 0xF0, false },
        { 0x35D, 95, 6, 0x1E, false },      { 0x7FE, 112, 6, 0x0F, false },
        { 0x0A3, 103, 7, 0x55, false },     { 0x040, 123, 7, 0x87, false },
        { 0x55A, 111, 8, 0x78, false },     { 0x041, 131, 8, 0x3C, false },
        { 0x1BD2E462, 68, 0, 0x00, true },  { 0x01F4827C, 76, 0, 0x00, true },
        { 0x1D5A4474, 76, 1, 0xE1, true },  { 0x07CE1AF8, 86, 1, 0xE1, true },
        { 0x04F6AB8E, 84, 2, 0x55, true },  { 0x000DFF83, 95, 2, 0xFF, true },
        { 0x18787878, 92, 3, 0x87, true },  { 0x0F86041F, 105, 3, 0xC3, true },
        { 0x06427243, 99, 4, 0xE1, true },  { 0x0055F0FA, 115, 4, 0x1E, true },
        { 0x093B1E39, 107, 5, 0x1E, true }, { 0x107F40DF, 124, 5, 0xF0, true },
        { 0x0656A69D, 115, 6, 0xF0, true }, { 0x000FE80E, 135, 6, 0x0F, true },
        { 0x107F8980, 145, 7, 0xC3, true }, { 0x164697B9, 131, 8, 0x55, true },
        { 0x01DC0BE4, 155, 8, 0x3C, true },
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const can_frame_t f =
            uniform(vectors[i].ext, vectors[i].id, vectors[i].len, vectors[i].value);
        const can_bits_t bits = can_bits(&f);
        if (bits.nominal != vectors[i].bits) print_error("vector %zu\n", i);
        assert_int_equal(bits.nominal, vectors[i].bits);
        assert_int_equal(bits.data, 0);
    }
}

static void no_classic_frame_leaves_the_limits_of_the_standard(void **state)
{
    (void)state;
    // 13 bits behind the CRC; one stuff bit after the first five of the rest, then after every
    // four.
    static const uint8_t values[] = { 0x00, 0xFF, 0x55, 0x0F, 0x1E, 0x3C,
                                      0x78, 0xF0, 0xE1, 0xC3, 0x87 };
    for (int ext = 0; ext < 2; ext++) {
        for (uint8_t len = 0; len <= 8; len++) {
            const uint32_t stuffed = (ext ? 54U : 34U) + 8U * len;
            const uint32_t least = stuffed + 13U, most = least + (stuffed - 1) / 4;
            for (uint32_t id = 0; id < 2048; id++) {
                for (size_t v = 0; v < sizeof values; v++) {
                    const can_frame_t f = uniform(ext, ext ? id * 0x3F7E5U : id, len, values[v]);
                    assert_in_range(total(&f), least, most);
                }
            }
        }
    }
    assert_int_equal((34U + 64U) + 13U, 111); // the well-known figures are these limits
    assert_int_equal((34U + 64U) + 13U + (34U + 64U - 1U) / 4U, 135);
}

static void fd_frames_without_stuff_bits_have_the_length_of_their_fields(void **state)
{
    (void)state;
    // Base: 17 bits up to BRS, 13 behind the CRC, of which BRS and the CRC delimiter together have
    // one bit of each rate. Data phase: that, ESI, DLC, data, 4 + 17 or 4 + 21 bits of stuff count
    // and CRC, and 6 or 7 fixed stuff bits.
    static const struct {
        uint8_t len;
        uint32_t data;
    } vectors[] = { { 8, 5 + 64 + 21 + 6 },
                    { 12, 5 + 96 + 21 + 6 },
                    { 16, 5 + 128 + 21 + 6 },
                    { 20, 5 + 160 + 25 + 7 },
                    { 64, 549 } };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        can_frame_t f = uniform(false, 0x555, vectors[i].len, 0x55);
        f.fd = true;
        f.brs = true;
        assert_int_equal(can_bits(&f).nominal, 29);
        assert_int_equal(can_bits(&f).data, vectors[i].data + 1);
        f.brs = false;
        assert_int_equal(can_bits(&f).nominal, 30 + vectors[i].data);
        assert_int_equal(can_bits(&f).data, 0);
        f.ext = true;
        f.id = 0x15555555;
        assert_int_equal(can_bits(&f).nominal, 49 + vectors[i].data);
    }
}

static void fd_stuff_bits_are_counted_up_to_the_data_and_in_their_phase(void **state)
{
    (void)state;
    can_frame_t f = { .id = 0, .fd = true, .brs = true };
    // 14 zeros up to IDE need two stuff bits. ESI and DLC are five zeros, but behind them comes the
    // fixed stuff bit.
    assert_int_equal(can_bits(&f).nominal, 29 + 2);
    assert_int_equal(can_bits(&f).data, 5 + 21 + 6 + 1);

    // The same with five equal bits at the end of the data.
    f = uniform(false, 0x555, 8, 0x55);
    f.fd = true;
    f.brs = true;
    const can_bits_t plain = can_bits(&f);
    f.data[7] = 0x5F; // 0101 1111
    assert_int_equal(can_bits(&f).data, plain.data);
    f.data[7] = 0x7D; // 0111 1101: the same five bits, one earlier
    assert_int_equal(can_bits(&f).data, plain.data + 1);
}

static void the_longest_fd_frames_stay_within_the_limits(void **state)
{
    (void)state;
    static const uint8_t values[] = { 0x00, 0x0F, 0x1E, 0x3C, 0x78, 0xF0, 0xE1, 0xC3, 0x87 };
    uint32_t longest = 0;
    for (uint32_t id = 0; id < 2048; id++) {
        for (size_t v = 0; v < sizeof values; v++) {
            can_frame_t f = uniform(false, id, 64, values[v]);
            f.fd = true;
            f.brs = true;
            const can_bits_t bits = can_bits(&f);
            assert_in_range(bits.nominal, 29, 29 + 4);
            assert_in_range(bits.data, 550, 550 + 129);
            if (bits.data > longest) longest = bits.data;
        }
    }
    assert_in_range(longest, 550 + 127, 550 + 129); // a stuff bit for every four bits of data
}

static void lengths_that_fd_does_not_have_count_as_the_next_one(void **state)
{
    (void)state;
    can_frame_t f = { .id = 0x555, .fd = true, .len = 9 };
    const can_frame_t padded = { .id = 0x555, .fd = true, .len = 12 };
    assert_int_equal(total(&f), total(&padded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_lengths_are_those_of_can_utils),
        cmocka_unit_test(no_classic_frame_leaves_the_limits_of_the_standard),
        cmocka_unit_test(fd_frames_without_stuff_bits_have_the_length_of_their_fields),
        cmocka_unit_test(fd_stuff_bits_are_counted_up_to_the_data_and_in_their_phase),
        cmocka_unit_test(the_longest_fd_frames_stay_within_the_limits),
        cmocka_unit_test(lengths_that_fd_does_not_have_count_as_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
