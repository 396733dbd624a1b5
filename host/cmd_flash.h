// cmd_flash.h - what flash by UDS and the commands of the older protocols share.
// SPDX-License-Identifier: Apache-2.0
#ifndef CMD_FLASH_H
#define CMD_FLASH_H

#include "access_psa.h"
#include "command.h"
#include "esp_image.h"
#include "json_out.h"
#include "profile.h"
#include "report.h"
#include "sender.h"

typedef struct {
    bus_options_t bus;
    bool json, quiet;
    const char *file;
    bool uds;
    sender_protocol_t protocol; // unless uds
    // Only with uds.
    const profile_t *profile;
    const char *profile_name;
    const char *key, *key_program;
    uint8_t secret[ACCESS_SECRET_MAX]; // of the file `key`
    size_t secret_len;
    bool no_resume;
    report_t *report; // of zeros: none is wanted
} flash_options_t;

/// How it ended.
typedef struct {
    int code;
    bool about_bus; // not about the file
    usec_t took;
    uint32_t sent;   // bytes of the file; 0: all of them
    char text[900];  // the reason; after success what runs
    char extra[300]; // members of a JSON object, ", " in front of each
} outcome_t;

outcome_t outcome(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Every end of flash and send. Failures go to stderr for people, and with --json to stdout as well.
int flash_report(const flash_options_t *o, const outcome_t *out, uint32_t len);

/// By plain or header.
outcome_t flash_by_messages(const flash_options_t *o, const uint8_t *image, uint32_t len);

/// By UDS. `im` was checked.
outcome_t flash_by_uds(const flash_options_t *o, const uint8_t *image, uint32_t len,
                       const esp_image_t *im);

#endif
