// uds.h - ISO 14229-1: the bytes that both sides of a diagnostic connection must agree on.
// SPDX-License-Identifier: Apache-2.0
//
//     const uint8_t request[] = { UDS_SESSION_CONTROL, UDS_PROGRAMMING_SESSION };
//     const uint8_t refused[] = { UDS_NEGATIVE, request[0], UDS_CONDITIONS_NOT_CORRECT };
//     if (refused[0] == UDS_NEGATIVE) explain((uds_nrc_t)refused[2]);
//
// Only what reprogramming needs. docs/PROTOCOL.md explains each with its bytes. Clauses: ISO 14229-1:2020.
// Threads: nothing runs here. Memory: constants only. Time: none.
#ifndef UDS_H
#define UDS_H

#include "base.h"

/// Service identifiers. A positive response begins with SID + UDS_POSITIVE, a negative one is
/// UDS_NEGATIVE, SID, NRC.
enum {
    UDS_SESSION_CONTROL = 0x10,
    UDS_ECU_RESET = 0x11,
    UDS_CLEAR_DTC = 0x14,
    UDS_READ_DID = 0x22,
    UDS_SECURITY_ACCESS = 0x27,
    UDS_COMMUNICATION_CONTROL = 0x28,
    UDS_WRITE_DID = 0x2E,
    UDS_ROUTINE_CONTROL = 0x31,
    UDS_REQUEST_DOWNLOAD = 0x34,
    UDS_TRANSFER_DATA = 0x36,
    UDS_TRANSFER_EXIT = 0x37,
    UDS_TESTER_PRESENT = 0x3E,
    UDS_CONTROL_DTC_SETTING = 0x85,
    UDS_POSITIVE = 0x40,
    UDS_NEGATIVE = 0x7F,
    UDS_NEGATIVE_LEN = 3,
};

/// Bit 7 of a sub-function: no positive response wanted (SPR, 8.2.2).
enum { UDS_SPR = 0x80 };

/// Negative response codes (Annex A.1). UDS_OK is none: a positive response.
typedef enum {
    UDS_OK = 0x00,
    UDS_GENERAL_REJECT = 0x10,
    UDS_SERVICE_NOT_SUPPORTED = 0x11,
    UDS_SUB_FUNCTION_NOT_SUPPORTED = 0x12,
    UDS_INCORRECT_LENGTH = 0x13, // incorrectMessageLengthOrInvalidFormat
    UDS_RESPONSE_TOO_LONG = 0x14,
    UDS_BUSY_REPEAT_REQUEST = 0x21,
    UDS_CONDITIONS_NOT_CORRECT = 0x22,
    UDS_REQUEST_SEQUENCE_ERROR = 0x24,
    UDS_REQUEST_OUT_OF_RANGE = 0x31,
    UDS_SECURITY_ACCESS_DENIED = 0x33,
    UDS_INVALID_KEY = 0x35,
    UDS_EXCEEDED_ATTEMPTS = 0x36,     // exceedNumberOfAttempts
    UDS_DELAY_NOT_EXPIRED = 0x37,     // requiredTimeDelayNotExpired
    UDS_DOWNLOAD_NOT_ACCEPTED = 0x70, // uploadDownloadNotAccepted
    UDS_TRANSFER_SUSPENDED = 0x71,    // transferDataSuspended
    UDS_PROGRAMMING_FAILURE = 0x72,   // generalProgrammingFailure
    UDS_WRONG_BLOCK_COUNTER = 0x73,   // wrongBlockSequenceCounter
    UDS_RESPONSE_PENDING = 0x78,      // requestCorrectlyReceived-ResponsePending
    UDS_SUB_FUNCTION_NOT_IN_SESSION = 0x7E,
    UDS_SERVICE_NOT_IN_SESSION = 0x7F,
} uds_nrc_t;

/// diagnosticSessionType (10.2.2.2).
enum { UDS_DEFAULT_SESSION = 1, UDS_PROGRAMMING_SESSION = 2, UDS_EXTENDED_SESSION = 3 };

/// resetType (10.3.2.2).
enum { UDS_HARD_RESET = 1, UDS_KEY_OFF_ON_RESET = 2, UDS_SOFT_RESET = 3 };

/// routineControlType (14.2.2.2).
enum { UDS_START_ROUTINE = 1, UDS_STOP_ROUTINE = 2, UDS_ROUTINE_RESULTS = 3 };

/// Data identifiers (Annex C.1). From 0xFD00 on: systemSupplierSpecific, ours; see docs/PROTOCOL.md.
enum {
    UDS_DID_FINGERPRINT_OEM = 0xF15A,
    UDS_DID_BOOT_SOFTWARE = 0xF180,
    UDS_DID_APPLICATION_SOFTWARE = 0xF181,
    UDS_DID_FINGERPRINT = 0xF184, // applicationSoftwareFingerprint
    UDS_DID_SESSION = 0xF186,     // activeDiagnosticSession
    UDS_DID_SPARE_PART_NUMBER = 0xF187,
    UDS_DID_SOFTWARE_NUMBER = 0xF188,
    UDS_DID_SOFTWARE_VERSION = 0xF189,
    UDS_DID_SERIAL_NUMBER = 0xF18C,
    UDS_DID_VIN = 0xF190,
    UDS_DID_HARDWARE_NUMBER = 0xF191,
    UDS_DID_SUPPLIER_HARDWARE_VERSION = 0xF193,
    UDS_DID_SUPPLIER_SOFTWARE_VERSION = 0xF195,
    UDS_DID_SYSTEM_NAME = 0xF197,
    UDS_DID_PROGRAMMING_DATE = 0xF199,

    UDS_DID_SLOTS = 0xFD00,        // all slots: which runs, which is written next, their states
    UDS_DID_RESULT = 0xFD01,       // how the last update ended
    UDS_DID_RUNNING = 0xFD02,      // digest of the image that runs
    UDS_DID_NEXT_SLOT = 0xFD03,    // as UDS_DID_SLOT, of the slot that an update writes
    UDS_DID_SLOT = 0xFD10,         // + n: state, secure version, digest, version, project of slot n
    UDS_DID_SLOT_FACTORY = 0xFD1F, // the same of the factory app
};

/// Routine identifiers: fixed ones (Annex F.1), customary ones (02xx), ours (from 0xF000 on).
enum {
    UDS_RID_CHECK_MEMORY = 0x0202,
    UDS_RID_CHECK_PRECONDITIONS = 0x0203,
    UDS_RID_ERASE_MEMORY = 0xFF00,
    UDS_RID_CHECK_DEPENDENCIES =
        0xFF01, // checkProgrammingDependencies: makes the new image boot next

    UDS_RID_DOWNLOAD_POSITION = 0xF000, // what is left of an interrupted download: offset, SHA-256
    UDS_RID_CONFIRM = 0xF001,           // the firmware that runs stays
    UDS_RID_REJECT = 0xF002,            // the firmware that runs goes, with the next reset
    UDS_RID_REACTIVATE = 0xF003,        // the other slot boots next, as it is
};

#endif
