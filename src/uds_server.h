// uds_server.h - ISO 14229-1/-2 server: sessions, security, timing, the order of every check.
// SPDX-License-Identifier: Apache-2.0
//
//     uds_server_init(&s, &cfg, now());
//     uds_server_begin(&s, message_len, now());           // a request begins (ISO-TP's RX_BEGIN)
//     uint32_t n = uds_server_data(&s, data, len);        // its bytes; from data + n on: a block's
//     keep_block_data(data + n, len - n);
//     uds_server_events_t ev = uds_server_end(&s, now()); // complete; or uds_server_break()
//     while (ev & UDS_SERVER_CALL) {
//         if (takes_long(&s.call)) break;                 // then uds_server_answer() comes later
//         ev = uds_server_answer(&s, do_it(&s, &s.call), now());
//     }
//     if ((out = uds_server_output(&s, &len)) != NULL && start_sending(out, len))
//         uds_server_taken(&s, now());
//     ev |= uds_server_sent(&s, now()); // it has left, or could not
//     ev |= uds_server_tick(&s, now()); // at any time, by uds_server_deadline()
//
// Knows the standard and nothing of flash or frames: messages and the time go in, responses come out, and
// what a device must do itself comes out as one call after the other. A call that is not answered
// in time is covered by responses 0x78 by itself.
//
// Threads: none inside; one caller at a time. Memory: uds_server_t, the caller's; data of a
// TransferData is not kept here. Time: constant per call, but for the bytes copied.
#ifndef UDS_SERVER_H
#define UDS_SERVER_H

#include "uds.h"

enum {
    UDS_SERVER_NONE = 0,
    UDS_SERVER_CALL = 1, // uds_server_t.call: to be answered, now or later
    UDS_SERVER_SESSION =
        2,                // a session was entered, also the same one again, or ran out (S3): what a
                          // transfer had begun is void. uds_server_t.session
    UDS_SERVER_RESET = 4, // the response to ECUReset has left, or none was wanted: restart now
};
typedef unsigned uds_server_events_t;

enum {
    UDS_REQUEST_MAX =
        64, // bytes of a request, TransferData excepted; a longer one is refused (0x13)
    UDS_RESPONSE_MAX = 256, // bytes of a response; a longer one becomes 0x14
    UDS_DIDS_MAX = 16,      // in one ReadDataByIdentifier
    UDS_SEED_MAX = 16,
};

/// A set of sessions, in tables.
enum {
    UDS_IN_DEFAULT = 1 << UDS_DEFAULT_SESSION,
    UDS_IN_PROGRAMMING = 1 << UDS_PROGRAMMING_SESSION,
    UDS_IN_EXTENDED = 1 << UDS_EXTENDED_SESSION,
};

/// A data identifier that can be written. (What can be read is the application's affair:
/// UDS_CALL_READ.)
typedef struct {
    uint16_t id;
    uint8_t sessions; // where it can be written, once unlocked
    uint8_t len;      // bytes it has; 0: 1 to whatever fits a request
} uds_did_t;

typedef struct {
    uint16_t id;
    uint8_t sessions;         // where it exists
    uint8_t types;            // 1 << UDS_START_ROUTINE | ...
    bool locked;              // only once unlocked
    uint8_t min_len, max_len; // of its option record
} uds_routine_t;

typedef struct {
    const uds_did_t *dids;
    const uds_routine_t *routines;
    uint8_t did_count, routine_count;
    /// requestSeed's sub-function, odd, 01..41; sendKey is the next one. 0: no SecurityAccess at all, and
    /// nothing is locked.
    uint8_t level;
    uint8_t seed_len; // bytes of a seed, up to UDS_SEED_MAX; 0: 16
    /// Nothing is locked: requestSeed of `level` is answered by zeros, as by an unlocked server.
    bool open;
    uint8_t attempts;    // wrong keys until the delay; 0: 3
    uint32_t delay_ms;   // that delay, also from uds_server_init() on; 0: none
    uint32_t p2_ms;      // P2server_max; 0: 50
    uint32_t p2_star_ms; // P2*server_max, a multiple of 10; 0: 5000
    uint32_t s3_ms;      // S3server; 0: 5000
    /// Added to P2server_max that is announced for the programming session: how long flash may keep
    /// the device from noticing that a request is complete. The 0x78 comes no later for it.
    uint32_t p2_extra_ms;
    /// Bytes that RequestDownload may address, from 0 on: what lies outside is refused (0x31), also while
    /// locked. 0: only the device knows.
    uint32_t memory_size;
    uint32_t block_max; // maxNumberOfBlockLength: bytes of a whole TransferData request, 3..65535
} uds_server_cfg_t;

typedef enum {
    UDS_CALL_SESSION, // id: may this session be entered?
    UDS_CALL_RESET,   // id: resetType. If answered with OK, UDS_SERVER_RESET follows
    UDS_CALL_READ, // id: a DID; put its bytes. UDS_REQUEST_OUT_OF_RANGE: unknown, others may be read
    UDS_CALL_WRITE, // id: a DID of the table; data, len
    UDS_CALL_SEED, // id: the level; put cfg.seed_len random bytes. All zero, they are refused: 0x22
    UDS_CALL_KEY, // id: the level; data, len: the key for uds_server_t.seed. UDS_INVALID_KEY: wrong
    UDS_CALL_ROUTINE, // id: a RID of the table; type; data, len: the option record. Put the status record
    UDS_CALL_DOWNLOAD, // at, size: memoryAddress and memorySize; id: dataFormatIdentifier
    UDS_CALL_BLOCK,    // the bytes given since uds_server_begin() are complete: size of them
    UDS_CALL_EXIT,     // RequestTransferExit: everything has come
} uds_call_kind_t;

/// What the device has to do. Valid until it is answered.
typedef struct {
    uds_call_kind_t kind;
    uint16_t id;
    uint8_t type; // UDS_START_ROUTINE, ...
    uint32_t at, size;
    const uint8_t *data;
    uint32_t len;
} uds_call_t;

/// Invariants. At most one request is being answered, from its end until its response has left. A
/// transfer is active only in the programming session. unlocked only while locks exist and the session is
/// not the default one.
typedef struct {
    const uds_server_cfg_t *cfg;
    uds_call_t call;            // read, with UDS_SERVER_CALL
    uint8_t session;            // read
    bool unlocked;              // read: what is locked may be used
    uint8_t communication;      // read: controlType of CommunicationControl in force, 0: normal
    bool dtc_off;               // read: DTCs are not to be recorded
    uint8_t seed[UDS_SEED_MAX]; // read, with UDS_CALL_KEY
    uint8_t seed_len;           // of the seed that a key is awaited for; 0: none
    uint8_t sending, mode;      // private, as attempts and all below `transfer`
    uint8_t attempts;           // wrong keys
    struct {
        bool active;       // read: a download is under way
        bool repeatable;   // a block was accepted: it may come again
        uint8_t last;      // its blockSequenceCounter
        uint32_t size;     // read: bytes announced
        uint32_t received; // read: bytes accepted
    } transfer;
    // The rest is private.
    uint32_t phase, flags;
    uint8_t busy_sid;      // a 0x21 for this service (+ UDS_POSITIVE) is to be sent; 0: none
    uint8_t have;          // bytes stored of the request that comes in
    uint8_t at, read_len;  // ReadDataByIdentifier: next DID, end of the request
    uint16_t mark;         // its response without the DID being read
    uint16_t response_len; // UDS_RESPONSE_MAX + 1: it became too long
    uint32_t len;          // of the request that comes in, or is held
    uint32_t clock;        // of S3, P2 or P2*: low half of the time, as gap
    uint32_t gap;          // no 0x78 before
    usec_t now;            // time of the last call
    usec_t delay_until;    // no requestSeed before
    uint8_t note[UDS_NEGATIVE_LEN];
    uint8_t request[UDS_REQUEST_MAX];
    uint8_t response[UDS_RESPONSE_MAX];
} uds_server_t;

_Static_assert(sizeof(void *) > 4 || sizeof(uds_server_t) <= 440, "RAM budget");

/// Borrows cfg and its tables for its whole life.
void uds_server_init(uds_server_t *s, const uds_server_cfg_t *cfg, usec_t now);

/// A request of `len` bytes to this node alone begins to come in.
void uds_server_begin(uds_server_t *s, uint32_t len, usec_t now);

/// Its next bytes. Returns how many of them, from the front, are the server's business. The rest are
/// data of a block that will be accepted: the caller keeps them until UDS_CALL_BLOCK. That comes with
/// uds_server_end(), or, if the response before was just leaving, with uds_server_sent(). What it has
/// not come for is to be dropped with uds_server_break() and the next uds_server_begin().
uint32_t uds_server_data(uds_server_t *s, const uint8_t *data, uint32_t len);

/// It is complete. A request that comes while another one is being answered gets 0x21; one that comes
/// while the response to that one is leaving (its confirmation may come late) is held until uds_server_sent().
uds_server_events_t uds_server_end(uds_server_t *s, usec_t now);

/// It will not be completed.
void uds_server_break(uds_server_t *s, usec_t now);

/// A request to all nodes: always complete, 1..62 bytes. Answered only where a functional request may
/// be. Ignored while another one is being answered (held, as above, while the response leaves), and if
/// it is a ReadDataByIdentifier in the middle of a physical request other than TransferData.
uds_server_events_t uds_server_functional(uds_server_t *s, const uint8_t *data, uint32_t len,
                                          usec_t now);

/// Appends to the positive response of the call. False, and nothing is appended: too long.
bool uds_server_put(uds_server_t *s, const void *p, size_t len);

/// Ends the call: UDS_OK, or why not. May lead to the next one. What was put is dropped unless OK. Any code
/// but OK to DOWNLOAD, and UDS_PROGRAMMING_FAILURE to BLOCK and EXIT, ends the transfer.
uds_server_events_t uds_server_answer(uds_server_t *s, uds_nrc_t nrc, usec_t now);

/// The message to be sent now, or NULL. Good until uds_server_sent().
const uint8_t *uds_server_output(uds_server_t *s, uint32_t *len);
void uds_server_taken(uds_server_t *s, usec_t now); // the transport took it
/// It has left, or never will. May begin a request that was held: UDS_SERVER_CALL.
uds_server_events_t uds_server_sent(uds_server_t *s, usec_t now);

/// True: the device may do nothing else until `until`, less than 0.8 x P2*server from now. False: an
/// answer is due before that, and a response 0x78 may be waiting in uds_server_output(), or will be at
/// uds_server_deadline(): send it, and ask again.
bool uds_server_can_wait(uds_server_t *s, usec_t until, usec_t now);

/// The download is over for a reason that lies elsewhere.
void uds_server_stop(uds_server_t *s);

/// Call uds_server_tick() by then.
usec_t uds_server_deadline(const uds_server_t *s);

/// Time has passed: a 0x78 may be due now, or the session over.
uds_server_events_t uds_server_tick(uds_server_t *s, usec_t now);

#endif
