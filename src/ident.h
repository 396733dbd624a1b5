// ident.h - what a device says about itself by UDS data identifier, provided by the port.
// SPDX-License-Identifier: Apache-2.0
//
//     uint8_t vin[17];
//     if (ident.read(ident.ctx, UDS_DID_VIN, vin, sizeof vin) == 0) say_unknown();
//     if (!ident.write(ident.ctx, UDS_DID_FINGERPRINT, data, len)) say_failed();
//
// What the firmware itself tells (project, version, slots, digests) does not come from here.
// Threads: none inside. Memory: the port's. Time: both return at once, in much less than P2server.
#ifndef IDENT_H
#define IDENT_H

#include "base.h"

typedef struct {
    void *ctx; // handed to each function; the port's
    /// Bytes of the identifier, at most `cap`; 0: the device has none such.
    size_t (*read)(void *ctx, uint16_t did, uint8_t *p, size_t cap);
    /// Keeps what a tester wrote: fingerprints, the programming date. False: it could not be kept.
    bool (*write)(void *ctx, uint16_t did, const uint8_t *p, size_t len);
} ident_t;

#endif
