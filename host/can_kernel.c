// can_kernel.c - our frames as the kernel's struct can_frame and canfd_frame, and back.
// SPDX-License-Identifier: Apache-2.0
#include "can_kernel.h"

size_t can_kernel_encode(const can_frame_t *frame, struct canfd_frame *out)
{
    ASSERT(frame->len <= (frame->fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN));
    memset(out, 0, sizeof *out);
    out->can_id = frame->ext ? (frame->id & CAN_EFF_MASK) | CAN_EFF_FLAG : frame->id & CAN_SFF_MASK;
    out->len = frame->len;
    out->flags = (frame->fd && frame->brs) ? CANFD_BRS : 0; // ESI is the controller's to set
    memcpy(out->data, frame->data, frame->len);
    return frame->fd ? CANFD_MTU : CAN_MTU;
}

bool can_kernel_decode(const struct canfd_frame *in, size_t len, can_frame_t *frame)
{
    const bool fd = len == CANFD_MTU;
    if (!fd && len != CAN_MTU) return false;
    if (in->can_id & (CAN_RTR_FLAG | CAN_ERR_FLAG)) return false;
    if (in->len > (fd ? CANFD_MAX_DLEN : CAN_MAX_DLEN)) return false;

    memset(frame, 0, sizeof *frame);
    frame->ext = (in->can_id & CAN_EFF_FLAG) != 0;
    frame->id = in->can_id & (frame->ext ? CAN_EFF_MASK : CAN_SFF_MASK);
    frame->fd = fd;
    frame->brs = fd && (in->flags & CANFD_BRS) != 0;
    frame->esi = fd && (in->flags & CANFD_ESI) != 0;
    frame->len = in->len;
    memcpy(frame->data, in->data, in->len);
    return true;
}
