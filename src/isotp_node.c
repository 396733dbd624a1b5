// isotp_node.c - from a frame to its channel: see isotp_node.h.
// SPDX-License-Identifier: Apache-2.0
//
// Open addressing with linear probing. What differs between the channels of one node are a few bits
// anywhere in the identifier or the address byte; the multiplication spreads them all.
#include "isotp_node.h"

enum { NO_ADDRESS = 0x100 }; // what no address byte is

typedef struct {
    uint32_t id;
    bool ext;
    uint32_t address;
} route_t;

static route_t route_of(const isotp_cfg_t *cfg)
{
    return (route_t){ cfg->rx_id, cfg->ext, cfg->prefixed ? cfg->rx_address : NO_ADDRESS };
}

// Where the channel that listens to this stands, or the empty place where it would.
static isotp_t **place_of(const isotp_node_t *node, route_t to)
{
    uint32_t hash = (to.id ^ to.address << 19) + to.ext;
    hash *= UINT32_C(0x9E3779B1); // 2^32 / golden ratio, and prime
    for (uint32_t i = hash >> 16;; i++) {
        isotp_t **place = &node->table[i & node->mask];
        if (*place == NULL) return place;
        const route_t other = route_of((*place)->cfg);
        if (other.id == to.id && other.ext == to.ext && other.address == to.address) return place;
    }
}

void isotp_node_init(isotp_node_t *node, isotp_t **table, uint32_t size)
{
    ASSERT(size >= 2 && (size & (size - 1)) == 0);
    *node = (isotp_node_t){ .table = table, .mask = size - 1 };
    for (uint32_t i = 0; i < size; i++)
        table[i] = NULL;
}

bool isotp_node_add(isotp_node_t *node, isotp_t *tp)
{
    isotp_t **place = place_of(node, route_of(tp->cfg));
    if (*place != NULL || 2 * (node->count + 1) > node->mask + 1) return false;
    *place = tp;
    node->count++;
    return true;
}

isotp_t *isotp_node_find(const isotp_node_t *node, const can_frame_t *f)
{
    isotp_t *tp = NULL;
    if (f->len > 0) tp = *place_of(node, (route_t){ f->id, f->ext, f->data[0] });
    return (tp != NULL) ? tp : *place_of(node, (route_t){ f->id, f->ext, NO_ADDRESS });
}
