// tiny_isotp.c - the smallest program that sends and receives messages: what an application pays.
// SPDX-License-Identifier: Apache-2.0
//
// Only linked and measured, never run (tools/bench.py, tools/budget.py). One turn of the loop that
// isotp.h begins with, on a driver that does nothing.
#include "isotp.h"

static isotp_t tp;
static uint8_t message[20], received[4096];

int main(void)
{
    static const isotp_cfg_t cfg = ISOTP_CFG_DEFAULT;
    const usec_t now = 0;
    static can_frame_t frame; // that came in
    isotp_init(&tp, &cfg);
    isotp_start(&tp, message, sizeof message, now);

    (void)isotp_tick(&tp, now);
    const isotp_events_t events = isotp_input(&tp, &frame, now);
    if (events & ISOTP_RX_DATA) {
        if (tp.rx.len > sizeof received)
            isotp_refuse(&tp, now);
        else
            memcpy(received + tp.rx.at, tp.rx.data, tp.rx.data_len);
    }
    isotp_proceed(&tp, 8, 0, now); // if a flow control is owed
    while (isotp_output(&tp, now) != NULL)
        (void)isotp_sent(&tp, now);
    return 0;
}
