// flasher_text.c - how an update by UDS ended, in words: see flasher_text.h.
// SPDX-License-Identifier: Apache-2.0
#include "flasher_text.h"

#include "uds_text.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct {
    char *text;
    size_t cap, used;
} line_t;

__attribute__((format(printf, 2, 3))) static void add(line_t *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf(l->text + l->used, l->cap - l->used, format, args);
    va_end(args);
    if (len > 0) l->used = smaller(l->used + (size_t)len, l->cap - 1);
}

const char *flasher_text_name(flasher_why_t why)
{
    switch (why) {
    case FLASHER_OK: return "ok";
    case FLASHER_NO_BUS: return "no-bus";
    case FLASHER_NO_ANSWER: return "no-answer";
    case FLASHER_LOST_DEVICE: return "lost-device";
    case FLASHER_TIMEOUT: return "timeout";
    case FLASHER_REFUSED: return "refused";
    case FLASHER_UNEXPECTED: return "unexpected";
    case FLASHER_BAD_RESPONSE: return "bad-response";
    case FLASHER_LOCKED: return "locked";
    case FLASHER_TOO_LARGE: return "too-large";
    case FLASHER_NOT_BACK: return "not-back";
    case FLASHER_OLD_RUNS: return "old-runs";
    case FLASHER_OTHER_RUNS: return "other-runs";
    case FLASHER_OTHER_TESTER: return "other-tester";
    case FLASHER_STOPPED: return "stopped";
    case FLASHER_BAD_PROFILE: return "bad-profile";
    case FLASHER_NO_HASH: return "no-hash";
    }
    return "unknown";
}

static bool is_block(const flasher_t *f)
{
    return f->request_len == 2 && f->request[0] == UDS_TRANSFER_DATA;
}

const char *flasher_text_request(const flasher_t *f, char *text, size_t cap)
{
    if (is_block(f))
        (void)snprintf(text, cap, "TransferData block %02X", f->request[1]);
    else
        (void)uds_text_message(f->request, f->request_len, text, cap);
    return text;
}

const char *flasher_text_running(const flasher_running_t *running, char *text, size_t cap)
{
    const char *state = uds_text_slot_state(running->state);
    char slot[20] = "the factory slot";
    text[0] = 0;
    if (!running->known) return text;
    if (running->slot != 0xFF) (void)snprintf(slot, sizeof slot, "slot %u", running->slot);
    (void)snprintf(text, cap, "%s (%s)", slot, state ? state : "unknown state");
    return text;
}

// --- Parts of the line ---

static void add_hex(line_t *l, const uint8_t *p, uint32_t len)
{
    enum { SHOWN = 16 };
    for (uint32_t i = 0; i < len && i < SHOWN; i++)
        add(l, "%s%02X", i ? " " : "", p[i]);
    if (len > SHOWN) add(l, " ...");
}

/// The step, its line in the profile and the bytes: enough to find it.
static void add_step(line_t *l, const flasher_t *f)
{
    char what[200];
    add(l, "%s (", flasher_text_request(f, what, sizeof what));
    add_hex(l, f->request, (uint32_t)smaller(f->request_len, 8));
    add(l, ", line %u of the profile)", flasher_step(f)->line);
}

static const char *transport_words(isotp_why_t why)
{
    switch (why) {
    case ISOTP_TIMEOUT_A: return "a frame could not be sent within 1 s (N_As)";
    case ISOTP_TIMEOUT_BS: return "no flow control came within 1 s (N_Bs)";
    case ISOTP_INVALID_FS: return "a flow control made no sense (reserved flow status)";
    case ISOTP_BUFFER_OVFLW:
        return "the device refused a message of this length (flow control OVFLW); try a smaller --block-max";
    case ISOTP_WFT_OVRN: return "the device kept asking to wait";
    case ISOTP_OK:
    case ISOTP_TIMEOUT_CR:
    case ISOTP_WRONG_SN:
    case ISOTP_UNEXP_PDU: break;
    }
    return "the message was not completed";
}

static void add_timer(line_t *l, const flasher_t *f)
{
    static const char *const sources[] = { "the default", "as the profile says",
                                           "as the device said" };
    const uint32_t margin = f->cfg->profile->margin_ms;
    if (f->transport != ISOTP_OK) {
        add(l, "%s", transport_words(f->transport));
        return;
    }
    switch (f->timer) {
    case UDS_TIMER_P2:
    case UDS_TIMER_P2_STAR:
        add(l, "no response within %u ms (%s %u ms, %s, and a margin of %u ms)", f->timer_ms,
            f->timer == UDS_TIMER_P2 ? "P2" : "P2* after \"response pending\":",
            f->timer_ms - margin, sources[f->source], margin);
        break;
    case UDS_TIMER_PENDING:
        add(l, "\"response pending\" (78) for longer than %u s (pending-limit of the profile)",
            f->timer_ms / 1000);
        break;
    case UDS_TIMER_BUSY: add(l, "the device said \"busy, repeat request\" (21) each time"); break;
    case UDS_TIMER_TRANSPORT: add(l, "the response broke off on the way (N_Cr, 1 s)"); break;
    }
    if (f->tries > 1) add(l, ", asked %u times", f->tries);
}

/// What the device does now, and how to go on.
static void add_state(line_t *l, const flasher_t *f)
{
    if (f->reset)
        add(l, ". It was told to restart into the new firmware");
    else if (f->activated)
        add(l, ". The new firmware is complete and starts with the next restart");
    else if (f->resumable)
        add(l, ". It runs what it ran; start the same command again to resume: it goes on there");
    else
        add(l, ". It runs what it ran");
}

static void add_done(line_t *l, const flasher_t *f)
{
    if (f->sent > 0) add(l, " after %u of %u bytes", f->at, f->cfg->image.len);
}

static void add_unmet(line_t *l, const flasher_t *f)
{
    static const char *const words[] = {
        "an unknown reason",
        "the firmware that runs is on trial: restart it, or wait until it is confirmed",
        "it has no other slot", "its boot record cannot be read", "another transfer is under way"
    };
    enum { HEAD = 5 };
    const uint8_t *r = f->response;
    const bool ours = f->cfg->profile->result_did == UDS_DID_RESULT && f->response_len > HEAD &&
                      r[0] == UDS_ROUTINE_CONTROL + UDS_POSITIVE && r[2] == 0x02 && r[3] == 0x03;
    for (uint32_t i = HEAD; ours && i < f->response_len; i++)
        add(l, "%s%s", i > HEAD ? ", " : ": ", words[r[i] < 5 ? r[i] : 0]);
}

static void add_refusal(line_t *l, const flasher_t *f, const char *result)
{
    if (result && f->result_known && (f->result >> 4 == 1 || f->result >> 4 == 3)) {
        add(l, "%s", f->result >> 4 == 1 ? "refused by the device" : "the device gave up");
        add_done(l, f);
        add(l, ": %s", result);
        return;
    }
    add_step(l, f);
    add(l, " was refused");
    add_done(l, f);
    add(l, ": %s (%02X): %s", uds_text_nrc((uint8_t)f->nrc), (unsigned)f->nrc,
        uds_text_nrc_hint((uint8_t)f->nrc));
    if (result && f->result_known) add(l, ". Its last result: %s", result);
}

// --- All of it ---

void flasher_text_why(const flasher_t *f, const char *result, char *text, size_t cap)
{
    line_t l = { .text = text, .cap = cap };
    char runs[60];
    const isotp_cfg_t *cfg = &f->cfg->isotp;
    text[0] = 0;
    switch (f->why) {
    case FLASHER_OK: return;
    case FLASHER_NO_BUS:
        add(&l, "no frame could be sent within 1 s (N_As)");
        add_done(&l, f);
        add(&l, ": nobody acknowledges. Check wiring, termination, bit rate");
        if (f->sent > 0) add_state(&l, f);
        return;
    case FLASHER_NO_ANSWER:
        add(&l, "nobody answered on %X to ", cfg->rx_id);
        add_step(&l, f);
        add(&l, " on %X within %u s: ", cfg->tx_id, f->cfg->profile->connect_s);
        add_timer(&l, f);
        add(&l,
            ". Is the device powered, on this bus, at this bit rate? "
            "One that knows no UDS needs --protocol header");
        return;
    case FLASHER_LOST_DEVICE:
        add(&l, "the device fell silent");
        add_done(&l, f);
        add(&l, " and did not come back within %u s (reconnect of the profile)",
            f->cfg->profile->reconnect_s);
        break;
    case FLASHER_TIMEOUT:
        add_step(&l, f);
        add_done(&l, f);
        add(&l, ": ");
        add_timer(&l, f);
        break;
    case FLASHER_REFUSED: add_refusal(&l, f, result); break;
    case FLASHER_UNEXPECTED:
        add_step(&l, f);
        add(&l, ": the device says no");
        add_unmet(&l, f);
        add(&l, "; its response, other than what the profile expects, was ");
        add_hex(&l, f->response, f->response_len);
        break;
    case FLASHER_BAD_RESPONSE:
        add_step(&l, f);
        add(&l, ": the response makes no sense. Is this the right --profile?");
        break;
    case FLASHER_LOCKED:
        add(&l,
            "the device is locked (SecurityAccess level %02X): --key FILE or --key-program PROG is needed",
            f->level);
        break;
    case FLASHER_TOO_LARGE:
        add(&l, "the image is larger than the slot it would be written to: %u bytes",
            f->cfg->image.len);
        break;
    case FLASHER_NOT_BACK:
        add(&l,
            "the device did not answer within %u s after its restart (restart-limit of the profile): it may run "
            "the new or the old firmware, or none. Restart it, and look with isotp-ota scan",
            f->cfg->profile->restart_s);
        return;
    case FLASHER_OLD_RUNS:
        (void)flasher_text_running(&f->after, runs, sizeof runs);
        add(&l,
            "the device came back with the old firmware%s%s: the new one was started and did not stay "
            "(it was rejected, or crashed before it confirmed itself)",
            runs[0] ? " in " : "", runs);
        return;
    case FLASHER_OTHER_RUNS:
        if (memcmp(f->after.digest, f->cfg->image.digest, sizeof f->after.digest) == 0)
            add(&l,
                "the new firmware runs, but it was rejected: the old one comes back with the "
                "next restart");
        else
            add(&l,
                "the device came back with another firmware than this one, and than the one before");
        return;
    case FLASHER_OTHER_TESTER:
        add(&l,
            "another node on this bus sends on %X, too: two testers at once. The update was given up",
            cfg->tx_id);
        add_done(&l, f);
        break;
    case FLASHER_STOPPED:
        add(&l, "stopped by a signal");
        add_done(&l, f);
        break;
    case FLASHER_BAD_PROFILE:
        add(&l,
            "line %u of the profile: this request cannot be sent: too long, or an address or size does not fit",
            flasher_step(f)->line);
        break;
    case FLASHER_NO_HASH: add(&l, "the hash library failed"); break;
    }
    add_state(&l, f);
}
