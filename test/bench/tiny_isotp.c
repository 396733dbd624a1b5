// tiny_isotp.c - the smallest program that sends and receives messages: what an application pays.
// SPDX-License-Identifier: Apache-2.0
//
// Only linked and measured, never run (tools/bench.py, tools/budget.py). One turn of the loop that
// isotp.h begins with, on a driver that does nothing.
#include "isotp.h"

static isotp_t tp;
static uint8_t message[20], received[4096];

static bool can_receive(can_frame_t *frame)
{
    *frame = (can_frame_t){ 0 };
    return true;
}

static bool can_send(const can_frame_t *frame) { return frame->len > 0; }

int main(void)
{
    static const isotp_cfg_t cfg = ISOTP_CFG_DEFAULT;
    const usec_t now = 0;
    can_frame_t frame;
    isotp_init(&tp, &cfg);
    isotp_start(&tp, message, sizeof message, now);

    isotp_events_t events = isotp_tick(&tp, now);
    if (can_receive(&frame)) events |= isotp_input(&tp, &frame, now);
    if (events & ISOTP_RX_DATA) {
        if (tp.rx.len > sizeof received) {
            isotp_refuse(&tp, now);
        } else {
            memcpy(received + tp.rx.at, tp.rx.data, tp.rx.data_len);
        }
    }
    if (isotp_wanted(&tp) > 0) isotp_proceed(&tp, 8, 0, now);
    const can_frame_t *out;
    while ((out = isotp_output(&tp, now)) && can_send(out))
        events |= isotp_sent(&tp, now);
    return (int)events;
}
