// uds_text_message.c - any UDS message in one line: see uds_text.h.
// SPDX-License-Identifier: Apache-2.0
//
// A message is read through bytes_t, which knows how many are left: what is missing is said to be, what
// is left over is shown as hex digits. The text goes through text_t, which cuts it.
#include "uds_text.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    HEX_MAX = 24, // bytes of unknown data that are shown
    TEXT_MAX = 64,
    LITTLE = 8,    // room for "..." and the end
    AHEAD = 2 * 8, // bytes: identifiers that a response may leave out in a row
};

typedef struct {
    const uint8_t *p;
    size_t len;
} bytes_t;

typedef struct {
    char *out;
    size_t cap, len;
} text_t;

// --- Text out ---

__attribute__((format(printf, 2, 3))) static void add(text_t *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(t->out + t->len, t->cap - t->len, format, args);
    va_end(args);
    if (len < 0) return;
    if ((size_t)len < t->cap - t->len) {
        t->len += (size_t)len;
        return;
    }
    t->len = t->cap - 1;
    if (t->cap > LITTLE) memcpy(t->out + t->len - 3, "...", 3);
}

static void add_hex(text_t *t, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < smaller(len, HEX_MAX); i++)
        add(t, "%02X", p[i]);
    if (len > HEX_MAX) add(t, "... (%zu bytes)", len);
}

/// Bytes that are printable, maybe with zeros or spaces behind: their number; 0: no text.
static size_t text_len(const uint8_t *p, size_t len)
{
    while (len > 0 && (p[len - 1] == 0 || p[len - 1] == ' '))
        len--;
    for (size_t i = 0; i < len; i++)
        if (p[i] < 0x20 || p[i] > 0x7E) return 0;
    return len;
}

static void add_data(text_t *t, const uint8_t *p, size_t len)
{
    const size_t text = text_len(p, len);
    if (len == 0) {
        add(t, "nothing");
    } else if (text == 0) {
        add_hex(t, p, len);
    } else {
        add(t, "\"%.*s\"", (int)smaller(text, TEXT_MAX), (const char *)p);
        if (text > TEXT_MAX) add(t, "... (%zu bytes)", len);
    }
}

static void add_name(text_t *t, const char *name, unsigned value)
{
    if (name)
        add(t, " %s", name);
    else
        add(t, " %02X", value);
}

static void add_rest(text_t *t, const bytes_t *b)
{
    if (b->len == 0) return;
    add(t, ", ");
    add_hex(t, b->p, b->len);
}

// --- Bytes in ---

static void drop(bytes_t *b, size_t count)
{
    b->p += count;
    b->len -= count;
}

/// The next `count` (at most 4) bytes as a number. False, and says so: they are not there.
static bool take(text_t *t, bytes_t *b, size_t count, uint32_t *v)
{
    *v = 0;
    if (b->len < count) {
        add(t, ", incomplete");
        b->len = 0;
        return false;
    }
    for (size_t i = 0; i < count; i++)
        *v = *v << 8 | b->p[i];
    drop(b, count);
    return true;
}

// --- Data identifiers ---

enum {
    SLOTS_HEAD = 3,
    SLOTS_ENTRY = 5,
    RESULT_LEN = 5,
    RUNNING_LEN = 34,
    SLOT_LEN = 101, // state, secure version, digest, version, project
    FINGERPRINT_LEN = 9,
};

static bool is_slot(uint16_t did)
{
    return did == UDS_DID_NEXT_SLOT || (did >= UDS_DID_SLOT && did < UDS_DID_SLOT + 16);
}

/// 0: any number of bytes.
static size_t did_len(uint16_t did, const bytes_t *b)
{
    if (is_slot(did)) return SLOT_LEN;
    switch (did) {
    case UDS_DID_SESSION: return 1;
    case UDS_DID_PROGRAMMING_DATE: return 3;
    case UDS_DID_FINGERPRINT:
    case UDS_DID_FINGERPRINT_OEM: return FINGERPRINT_LEN;
    case UDS_DID_VIN: return 17;
    case UDS_DID_SLOTS: return SLOTS_HEAD + SLOTS_ENTRY * (size_t)(b->len ? b->p[0] : 0);
    case UDS_DID_RESULT: return RESULT_LEN;
    case UDS_DID_RUNNING: return RUNNING_LEN;
    default: return 0;
    }
}

static void add_state(text_t *t, uint8_t state)
{
    const char *name = uds_text_slot_state(state);
    if (name)
        add(t, "%s", name);
    else
        add(t, "state %02X", state);
}

static void add_slot_number(text_t *t, uint8_t slot)
{
    if (slot == 0xFF)
        add(t, "factory");
    else
        add(t, "slot %u", slot);
}

static void add_date(text_t *t, const uint8_t *p) { add(t, "%02X-%02X-%02X", p[0], p[1], p[2]); }

static void add_slots(text_t *t, const uint8_t *p, size_t len)
{
    add(t, "%u slots, ", p[0]);
    add_slot_number(t, p[1]);
    add(t, " runs, next ");
    add_slot_number(t, p[2]);
    for (size_t at = SLOTS_HEAD, i = 0; at + SLOTS_ENTRY <= len; at += SLOTS_ENTRY, i++) {
        add(t, ", %zu: ", i);
        add_state(t, p[at]);
        add(t, " %u bytes", load_be32(p + at + 1));
    }
}

static void add_slot(text_t *t, const uint8_t *p)
{
    add_state(t, p[0]);
    add(t, ", ");
    add_data(t, p + 69, 32);
    add(t, " ");
    add_data(t, p + 37, 32);
    add(t, ", secure version %u, digest ", load_be32(p + 1));
    add_hex(t, p + 5, 4);
    add(t, "...");
}

static void add_did_data(text_t *t, uint16_t did, const uint8_t *p, size_t len)
{
    const bytes_t b = { p, len };
    const size_t wanted = did_len(did, &b);
    const bool whole = wanted == len && len > 0;
    if (whole && is_slot(did)) {
        add_slot(t, p);
        return;
    }
    switch (did) {
    case UDS_DID_SESSION:
        if (whole && uds_text_session(p[0])) {
            add(t, "%s", uds_text_session(p[0]));
            return;
        }
        break;
    case UDS_DID_PROGRAMMING_DATE:
        if (whole) {
            add_date(t, p);
            return;
        }
        break;
    case UDS_DID_FINGERPRINT:
    case UDS_DID_FINGERPRINT_OEM:
        if (whole) {
            add_date(t, p);
            add(t, " ");
            add_data(t, p + 3, len - 3);
            return;
        }
        break;
    case UDS_DID_BOOT_SOFTWARE:
    case UDS_DID_APPLICATION_SOFTWARE: // the number of modules, then their names
        if (len > 1 && p[0] == 1 && text_len(p + 1, len - 1) > 0) {
            add_data(t, p + 1, len - 1);
            return;
        }
        break;
    case UDS_DID_SLOTS:
        if (whole) {
            add_slots(t, p, len);
            return;
        }
        break;
    case UDS_DID_RESULT:
        if (whole) {
            const char *name = uds_text_result(p[0]);
            add(t, "%02X %s, %u bytes received", p[0], name ? name : "unknown", load_be32(p + 1));
            return;
        }
        break;
    case UDS_DID_RUNNING:
        if (whole) {
            add_slot_number(t, p[0]);
            add(t, ", ");
            add_state(t, p[1]);
            add(t, ", digest ");
            add_hex(t, p + 2, 4);
            add(t, "...");
            return;
        }
        break;
    default: break;
    }
    add_data(t, p, len);
}

static void add_did(text_t *t, uint32_t did)
{
    const char *name = uds_text_did((uint16_t)did);
    add(t, " %04X", did);
    if (name) add(t, " (%s)", name);
}

// --- Services. `b` is what follows the service identifier ---

static uint16_t did_at(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

/// The identifier at `i` of those `asked` and its data may be what begins here: at least a byte, and behind those
/// of a known length nothing or another one.
static bool may_begin(const bytes_t *asked, size_t i, const uint8_t *p, size_t len)
{
    const uint16_t did = did_at(asked->p + i);
    if (len < 3 || did_at(p) != did) return false;
    const bytes_t data = { p + 2, len - 2 };
    const size_t wanted = did_len(did, &data);
    if (wanted == 0 || wanted == data.len) return true;
    if (data.len < wanted + 3) return false;
    for (size_t j = i + 2; j + 2 <= smaller(asked->len, i + 2 + AHEAD); j += 2)
        if (did_at(data.p + wanted) == did_at(asked->p + j)) return true;
    return false;
}

/// How many bytes until one of those `asked` begins, as soon as `from`; 0: none does.
static size_t until_next(const bytes_t *b, const bytes_t *asked, size_t from, size_t to)
{
    for (size_t i = 0; i + 2 <= smaller(asked->len, AHEAD); i += 2)
        for (size_t at = from; at < smaller(to, b->len); at++)
            if (may_begin(asked, i, b->p + at, b->len - at)) return at;
    return 0;
}

/// How many of these bytes belong to `did`. `asked`: what else was, in this order; NULL: not known.
static size_t data_len(uint16_t did, const bytes_t *b, const bytes_t *asked)
{
    const size_t known = did_len(did, b);
    if (known == b->len) return known;
    if (known > 0 && until_next(b, asked, known, known + 1)) return known;
    const size_t found = until_next(b, asked, 1, b->len);
    if (found) return found;
    const bool unknown = known == 0 || b->len < known + 3 || asked->p;
    return unknown ? b->len : known;
}

static void add_record(text_t *t, bytes_t *b, bytes_t asked)
{
    uint32_t did;
    while (b->len > 0 && t->len + 1 < t->cap && take(t, b, 2, &did)) {
        bytes_t rest = asked;
        while (rest.len >= 2 && did_at(rest.p) != did)
            drop(&rest, 2);
        if (rest.len >= 2) {
            drop(&rest, 2);
            asked = rest;
        }
        const size_t len = data_len((uint16_t)did, b, &asked);
        add_did(t, did);
        add(t, ": ");
        add_did_data(t, (uint16_t)did, b->p, len);
        drop(b, len);
        if (b->len > 0) add(t, ";");
    }
}

static void read_did(text_t *t, bytes_t *b)
{
    uint32_t did;
    for (bool more = false; b->len > 0 && take(t, b, 2, &did); more = true) {
        if (more) add(t, ",");
        add_did(t, did);
    }
}

/// The sub-function, without its bit 7 (suppressPosRspMsgIndicationBit).
static bool take_sub_function(text_t *t, bytes_t *b, uint8_t *sub, bool *suppressed)
{
    uint32_t v;
    *suppressed = false;
    if (!take(t, b, 1, &v)) return false;
    *suppressed = (v & UDS_SPR) != 0;
    *sub = (uint8_t)(v & ~(uint32_t)UDS_SPR);
    return true;
}

static void session_control(text_t *t, bytes_t *b, uint8_t type, bool response)
{
    add_name(t, uds_text_session(type), type);
    if (!response || b->len < 4) return;
    add(t, ", P2 %u ms, P2* %u ms", (unsigned)(b->p[0] << 8 | b->p[1]),
        (unsigned)(b->p[2] << 8 | b->p[3]) * 10);
    drop(b, 4);
}

static void security_access(text_t *t, bytes_t *b, uint8_t level, bool response)
{
    const bool seed = level & 1;
    bool zeros = b->len > 0;
    add(t, seed ? " requestSeed" : " sendKey");
    add(t, " level %u", seed ? level : level - 1U);
    for (size_t i = 0; i < b->len; i++)
        zeros = zeros && b->p[i] == 0;
    if (seed && response && zeros) add(t, ", unlocked already (seed of zeros)");
    // A key is a secret of its moment only, but nobody needs it in a report.
    if (b->len > 0 && !(seed && response && zeros)) add(t, ", %zu bytes", b->len);
    b->len = 0;
}

static void communication_control(text_t *t, bytes_t *b, uint8_t type)
{
    static const char *const names[] = { "enableRxAndTx", "enableRxAndDisableTx",
                                         "disableRxAndEnableTx", "disableRxAndTx" };
    static const char *const what[] = { "nothing", "normal messages", "network management",
                                        "normal messages and network management" };
    add_name(t, type < 4 ? names[type] : NULL, type);
    if (b->len == 0) return;
    add(t, ", %s", what[b->p[0] & 3]);
    drop(b, 1);
}

static void routine_control(text_t *t, bytes_t *b, uint8_t type, bool response)
{
    static const char *const types[] = { NULL, "start", "stop", "results of" };
    uint32_t rid;
    add_name(t, type < 4 ? types[type] : NULL, type);
    if (!take(t, b, 2, &rid)) return;
    const char *name = uds_text_routine((uint16_t)rid);
    if (name)
        add(t, " %s (%04X)", name, rid);
    else
        add(t, " %04X", rid);
    if (response && rid == UDS_RID_DOWNLOAD_POSITION && b->len == 36) {
        add(t, ", %u bytes are there, SHA-256 ", load_be32(b->p));
        add_hex(t, b->p + 4, 4);
        add(t, "...");
        b->len = 0;
    } else if (response && b->len > 0) {
        const bool conditions = rid == UDS_RID_CHECK_PRECONDITIONS;
        add(t, ", status %02X", b->p[0]);
        if (b->p[0] == 0 && name) add(t, " (OK)");
        drop(b, 1);
        if (conditions && b->len > 0) add(t, ", conditions not met");
    } else if (rid == UDS_RID_ERASE_MEMORY && b->len == 9 && b->p[0] == 0x44) {
        add(t, ", %u bytes at %08X", load_be32(b->p + 5), load_be32(b->p + 1));
        b->len = 0;
    }
}

/// RequestDownload and RequestUpload.
static void request_download(text_t *t, bytes_t *b)
{
    uint32_t format, widths, at, size;
    if (!take(t, b, 1, &format) || !take(t, b, 1, &widths)) return;
    const uint32_t size_len = widths >> 4, at_len = widths & 0xF;
    if (at_len <= 4 && size_len <= 4) {
        if (!take(t, b, at_len, &at) || !take(t, b, size_len, &size)) return;
        add(t, ", %u bytes at %0*X", size, (int)(at_len * 2), at);
    } else {
        add(t, ", lengths and addresses of %u and %u bytes", size_len, at_len);
    }
    if (format) add(t, ", dataFormatIdentifier %02X", format);
}

static void download_accepted(text_t *t, bytes_t *b)
{
    uint32_t width, max;
    if (!take(t, b, 1, &width)) return;
    width >>= 4;
    if (width == 0 || width > 4 || b->len < width) {
        add(t, ", incomplete");
        return;
    }
    (void)take(t, b, width, &max);
    add(t, ", blocks of up to %u bytes (maxNumberOfBlockLength)", max);
}

static void transfer_data(text_t *t, bytes_t *b, bool response)
{
    uint32_t counter;
    if (!take(t, b, 1, &counter)) return;
    add(t, " block %u", counter);
    if (b->len > 0 || !response) add(t, ", %zu bytes", b->len);
    b->len = 0;
}

static void clear_dtc(text_t *t, bytes_t *b)
{
    uint32_t group;
    if (b->len != 3 || !take(t, b, 3, &group)) return;
    if (group == 0xFFFFFF)
        add(t, " all groups");
    else
        add(t, " group %06X", group);
}

static void negative(text_t *t, bytes_t *b)
{
    uint32_t sid, nrc;
    add(t, "negative: ");
    if (b->len == 0) {
        add(t, "incomplete");
        return;
    }
    (void)take(t, b, 1, &sid);
    const char *name = uds_text_sid((uint8_t)sid);
    if (name)
        add(t, "%s", name);
    else
        add(t, "service %02X", sid);
    if (take(t, b, 1, &nrc)) add(t, ": %s (%02X)", uds_text_nrc((uint8_t)nrc), nrc);
}

/// Everything behind the service's name. `sid` is the request's; `asked`: identifiers in it, if it is known.
static void service(text_t *t, uint8_t sid, bytes_t *b, bool response, bytes_t asked)
{
    uint8_t sub = 0;
    bool suppressed = false;
    switch (sid) {
    case UDS_SESSION_CONTROL:
        if (take_sub_function(t, b, &sub, &suppressed)) session_control(t, b, sub, response);
        break;
    case UDS_ECU_RESET:
        if (take_sub_function(t, b, &sub, &suppressed)) add_name(t, uds_text_reset(sub), sub);
        break;
    case UDS_SECURITY_ACCESS:
        if (take_sub_function(t, b, &sub, &suppressed)) security_access(t, b, sub, response);
        break;
    case UDS_COMMUNICATION_CONTROL:
        if (take_sub_function(t, b, &sub, &suppressed)) communication_control(t, b, sub);
        break;
    case UDS_CONTROL_DTC_SETTING:
        if (take_sub_function(t, b, &sub, &suppressed))
            add_name(t, sub == 1 ? "on" : sub == 2 ? "off" : NULL, sub);
        break;
    case UDS_TESTER_PRESENT:
        if (take_sub_function(t, b, &sub, &suppressed) && sub != 0) add(t, " %02X", sub);
        break;
    case UDS_ROUTINE_CONTROL:
        if (take_sub_function(t, b, &sub, &suppressed)) routine_control(t, b, sub, response);
        break;
    case UDS_CLEAR_DTC: clear_dtc(t, b); break;
    case UDS_READ_DID:
        if (response)
            add_record(t, b, asked);
        else
            read_did(t, b);
        break;
    case UDS_WRITE_DID:
        if (response)
            read_did(t, b);
        else
            add_record(t, b, asked);
        break;
    case UDS_REQUEST_DOWNLOAD:
    case 0x35:
        if (response)
            download_accepted(t, b);
        else
            request_download(t, b);
        break;
    case UDS_TRANSFER_DATA: transfer_data(t, b, response); break;
    default: break;
    }
    add_rest(t, b);
    if (suppressed) add(t, ", no positive response wanted");
}

size_t uds_text_data(uint16_t did, const uint8_t *p, size_t len, char *out, size_t cap)
{
    text_t t = { out, cap, 0 };
    out[0] = '\0';
    add_did_data(&t, did, p, len);
    return t.len;
}

size_t uds_text_response(const uint8_t *request, size_t request_len, const uint8_t *p, size_t len,
                         char *out, size_t cap)
{
    bytes_t asked = { NULL, 0 };
    if (request_len > 0 && request[0] == UDS_READ_DID)
        asked = (bytes_t){ request + 1, request_len - 1 };
    text_t t = { out, cap, 0 };
    bytes_t b = { p, len };
    out[0] = '\0';
    if (len == 0) {
        add(&t, "empty message");
        return t.len;
    }
    const uint8_t first = p[0];
    drop(&b, 1);
    if (first == UDS_NEGATIVE) {
        negative(&t, &b);
        add_rest(&t, &b);
        return t.len;
    }
    const char *name = uds_text_sid(first);
    const uint8_t sid = (first & UDS_POSITIVE) ? (uint8_t)(first - UDS_POSITIVE) : 0;
    if (name) {
        add(&t, "%s", name);
        service(&t, first, &b, false, (bytes_t){ NULL, 0 });
    } else if (uds_text_sid(sid)) {
        add(&t, "positive: %s", uds_text_sid(sid));
        service(&t, sid, &b, true, asked);
    } else {
        add(&t, "service %02X", first);
        add_rest(&t, &b);
    }
    return t.len;
}

size_t uds_text_message(const uint8_t *p, size_t len, char *out, size_t cap)
{
    return uds_text_response(NULL, 0, p, len, out, cap);
}
