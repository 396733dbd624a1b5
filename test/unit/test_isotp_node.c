// test_isotp_node.c - many channels on one node: each frame finds its own.
// SPDX-License-Identifier: Apache-2.0
#include "isotp_node.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 512, TABLE = 2 * MANY };

static isotp_cfg_t cfg[MANY];
static isotp_t channel[MANY];
static isotp_t *table[TABLE];
static isotp_node_t node;

static bool add(unsigned i, isotp_cfg_t with)
{
    cfg[i] = with;
    isotp_init(&channel[i], &cfg[i]);
    return isotp_node_add(&node, &channel[i]);
}

static isotp_t *find(uint32_t id, bool ext, uint8_t len, uint8_t first)
{
    const can_frame_t f = { .id = id, .ext = ext, .len = len, .data = { first } };
    return isotp_node_find(&node, &f);
}

// How far a search may have to go: the longest row of channels in the table.
static unsigned longest_row(uint32_t size)
{
    unsigned longest = 0, row = 0;
    for (uint32_t i = 0; i < 2 * size; i++) { // twice: a row may go over the end
        row = table[i % size] ? row + 1 : 0;
        if (row > longest) longest = row;
    }
    return longest;
}

static void finds_the_channel_by_identifier_and_its_kind(void **state)
{
    (void)state;
    isotp_node_init(&node, table, 8);
    assert_true(add(0, (isotp_cfg_t){ .rx_id = 0x7E0, .tx_id = 0x7E8 }));
    assert_true(add(1, (isotp_cfg_t){ .rx_id = 0x7DF, .tx_id = 0x7E8, .functional = true }));
    assert_true(add(2, (isotp_cfg_t){ .rx_id = 0x7E0, .tx_id = 0x7E8, .ext = true }));
    assert_int_equal(node.count, 3);
    assert_ptr_equal(find(0x7E0, false, 8, 0x02), &channel[0]);
    assert_ptr_equal(find(0x7DF, false, 8, 0x02), &channel[1]);
    assert_ptr_equal(find(0x7E0, true, 8, 0x02), &channel[2]);
    assert_null(find(0x7E1, false, 8, 0x02));
    assert_null(find(0x7DF, true, 8, 0x02));
}

static void channels_with_an_address_byte_may_share_an_identifier(void **state)
{
    (void)state;
    isotp_node_init(&node, table, 8);
    assert_true(add(0, (isotp_cfg_t){ .rx_id = 0x600, .prefixed = true, .rx_address = 0x10 }));
    assert_true(add(1, (isotp_cfg_t){ .rx_id = 0x600, .prefixed = true, .rx_address = 0x00 }));
    assert_ptr_equal(find(0x600, false, 8, 0x10), &channel[0]);
    assert_ptr_equal(find(0x600, false, 8, 0x00), &channel[1]);
    assert_null(find(0x600, false, 8, 0x11));
    assert_true(add(2, (isotp_cfg_t){ .rx_id = 0x600 })); // whatever is not addressed to them
    assert_ptr_equal(find(0x600, false, 8, 0x11), &channel[2]);
    assert_ptr_equal(find(0x600, false, 8, 0x10), &channel[0]);
    assert_ptr_equal(find(0x600, false, 0, 0x10), &channel[2]); // a frame without any byte
}

static void refuses_a_second_channel_for_the_same_frames(void **state)
{
    (void)state;
    isotp_node_init(&node, table, 8);
    assert_true(add(0, (isotp_cfg_t){ .rx_id = 0x7E0 }));
    assert_false(add(1, (isotp_cfg_t){ .rx_id = 0x7E0, .tx_id = 5 }));
    assert_int_equal(node.count, 1);
    assert_ptr_equal(find(0x7E0, false, 8, 0), &channel[0]);
}

static void refuses_more_channels_than_half_its_table(void **state)
{
    (void)state;
    isotp_node_init(&node, table, 4);
    assert_true(add(0, (isotp_cfg_t){ .rx_id = 1 }));
    assert_true(add(1, (isotp_cfg_t){ .rx_id = 2 }));
    assert_false(add(2, (isotp_cfg_t){ .rx_id = 3 }));
    assert_null(find(3, false, 8, 0));
}

// The identifiers of real nodes differ in one field, whichever: the search stays short all the same.
static void a_search_stays_short_however_many_channels_there_are(void **state)
{
    static const struct {
        uint32_t id, step;
        bool ext, prefixed;
        unsigned channels;
    } rows[] = {
        { 0x000, 1, false, false, MANY },           { 0x000, 4, false, false, MANY },
        { 0x18DA00F1, 0x100, true, false, 256 },    { 0x18DAF100, 1, true, false, 256 },
        { 0x00DA00F1, 1 << 17, true, false, MANY }, { 0x600, 0, false, true, 256 },
    };
    (void)state;
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        isotp_node_init(&node, table, 2 * rows[r].channels);
        for (unsigned i = 0; i < rows[r].channels; i++)
            assert_true(add(i, (isotp_cfg_t){ .rx_id = rows[r].id + i * rows[r].step,
                                              .ext = rows[r].ext,
                                              .prefixed = rows[r].prefixed,
                                              .rx_address = (uint8_t)i }));
        for (unsigned i = 0; i < rows[r].channels; i++)
            assert_ptr_equal(find(cfg[i].rx_id, rows[r].ext, 8, (uint8_t)i), &channel[i]);
        print_message("%zu: %u\n", r, longest_row(2 * rows[r].channels));
        assert_in_range(longest_row(2 * rows[r].channels), 1, 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_channel_by_identifier_and_its_kind),
        cmocka_unit_test(channels_with_an_address_byte_may_share_an_identifier),
        cmocka_unit_test(refuses_a_second_channel_for_the_same_frames),
        cmocka_unit_test(refuses_more_channels_than_half_its_table),
        cmocka_unit_test(a_search_stays_short_however_many_channels_there_are),
    };
    return cmocka_run_group_tests_name("isotp_node", tests, NULL, NULL);
}
