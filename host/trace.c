// trace.c - what the frames of a bus say: see trace.h.
// SPDX-License-Identifier: Apache-2.0
//
// A node_t is one identifier: at most one message is on its way with it. Its peer is who answers, and
// whose flow control lets it go on. Not isotp_t, which would have to play both sides of every pair.
//
//   IDLE  single frame                         ->  IDLE  a message
//   IDLE  first frame                          ->  FLOW
//   FLOW  the peer's clear to send             ->  CF
//   FLOW  the peer's OVFLW                     ->  IDLE  broken
//   CF    consecutive frame with the right SN  ->  CF; after the block FLOW; at the end IDLE, a message
//   CF    consecutive frame with another SN    ->  IDLE  broken
//   any   1 s without progress                 ->  IDLE  broken
//
// A log may lack flow controls (they are filtered, or the sender needs none): a consecutive frame is right
// in FLOW, too.
#include "trace.h"
#include "uds_client.h"
#include "uds_text.h"

#include <stdarg.h>
#include <stdlib.h>

enum {
    NODES = 64,
    NOBODY = -1,
    TEXT_CAP = UDS_TEXT_CAP + 40,
    PLAIN_MAGIC = 0xE9,
    HEADER_LEN = 8,
    STATUS_LEN = 7,
    MESSAGE_FULL = 4095, // plain: a shorter message ends the transfer
    REQUEST_CAP = 64,    // bytes of a request that tell which response is its own
    LONG = 256,          // bytes of a message whose rate is of interest
};
#define LIMIT (1000 * USEC_MS) // N_Bs, N_Cr

typedef enum { IDLE, FLOW, CF } state_t;
typedef enum { NO_TRANSFER, PLAIN, HEADER } transfer_t;

typedef struct {
    uint32_t id;
    bool ext;
    bool functional; // requests to all: no flow control, many answers
    int peer;        // index of who answers
    state_t state;
    uint32_t len, at; // of the message: bytes, received
    uint8_t sn;       // awaited
    uint8_t block;    // frames until the next flow control, 0: no limit
    usec_t first;     // when its first frame came
    usec_t last;      // and the latest, or the peer's flow control
    usec_t done;      // when the message before was complete
    uint8_t held[TRACE_HELD_MAX];
    // The UDS request that was sent with it
    bool open;
    bool answers; // a response is wanted
    uint8_t request[REQUEST_CAP];
    size_t request_len;
    usec_t asked; // when its last frame came
    unsigned pending;
    usec_t shown; // when the latest 0x78 was that is worth a line
    // The download in progress: blocks of TransferData
    usec_t download; // when it began
    uint32_t blocks, bytes;
    uint8_t counter;
    // The transfer in progress
    transfer_t transfer;
    uint32_t total, got;
} node_t;

struct trace {
    trace_out_t *out;
    void *ctx;
    usec_t now;
    int count;
    node_t node[NODES];
};

trace_t *trace_new(trace_out_t *out, void *ctx)
{
    trace_t *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->out = out;
    t->ctx = ctx;
    return t;
}

void trace_free(trace_t *t) { free(t); }

// --- Who talks to whom ---

static int find(const trace_t *t, uint32_t id, bool ext)
{
    for (int i = 0; i < t->count; i++)
        if (t->node[i].id == id && t->node[i].ext == ext) return i;
    return NOBODY;
}

static int node_of(trace_t *t, uint32_t id, bool ext)
{
    const int i = find(t, id, ext);
    if (i != NOBODY || t->count == NODES) return i;
    t->node[t->count] = (node_t){ .id = id, .ext = ext, .peer = NOBODY };
    return t->count++;
}

bool trace_pair(trace_t *t, uint32_t a, uint32_t b, bool ext)
{
    const int i = node_of(t, a, ext), j = node_of(t, b, ext);
    if (i == NOBODY || j == NOBODY) return false;
    t->node[i].functional = i == j;
    t->node[i].peer = (i == j) ? NOBODY : j;
    t->node[j].peer = (i == j) ? NOBODY : i;
    return true;
}

/// By the identifiers that ISO 15765-4 and -2 give to diagnostics. NOBODY: not one of those.
static int guess(trace_t *t, uint32_t id, bool ext)
{
    bool known;
    uint32_t peer = id;
    if (!ext) {
        known = id == 0x7DF || (id >= 0x7E0 && id <= 0x7EF);
        if (id != 0x7DF) peer = id ^ 8;
    } else {
        known = (id >> 16) == 0x18DB || (id >> 16) == 0x18DA;
        if ((id >> 16) == 0x18DA) peer = (id & 0xFFFF0000) | (id & 0xFF) << 8 | (id >> 8 & 0xFF);
    }
    if (!known || !trace_pair(t, id, peer, ext)) return NOBODY;
    return find(t, id, ext);
}

// --- What comes out ---

static void say(trace_t *t, const node_t *n, trace_kind_t kind, usec_t at, const char *text)
{
    const trace_line_t line = { .kind = kind, .at = at, .id = n->id, .ext = n->ext, .text = text };
    t->out(t->ctx, &line);
}

/// The message on its way will not be completed.
__attribute__((format(printf, 3, 4))) static void broken(trace_t *t, node_t *n, const char *why,
                                                         ...)
{
    char text[TEXT_CAP];
    const int used =
        snprintf(text, sizeof text, "broken off after %u of %u bytes: ", n->at, n->len);
    va_list args;
    va_start(args, why);
    vsnprintf(text + used, sizeof text - (size_t)used, why, args);
    va_end(args);
    n->state = IDLE;
    say(t, n, TRACE_BROKEN, t->now, text);
}

/// A part of a transfer in `plain` or `header`, or a status message. False: neither.
static bool transfer_text(trace_t *t, node_t *n, char *text, size_t cap)
{
    const uint8_t *p = n->held;
    node_t *peer = (n->peer == NOBODY) ? NULL : &t->node[n->peer];
    const bool ot = n->len >= 2 && p[0] == 'O' && p[1] == 'T';
    if (ot && n->len == STATUS_LEN) {
        const char *name = uds_text_result(p[2]);
        snprintf(text, cap, "status: %02X %s, %u bytes of the image received", p[2],
                 name ? name : "unknown", load_le32(p + 3));
        if (peer) peer->transfer = NO_TRANSFER;
        return true;
    }
    const usec_t silence = (n->transfer == PLAIN) ? LIMIT : 10 * LIMIT;
    const bool late = n->first > n->done && n->first - n->done > silence;
    const bool stray = n->transfer == HEADER && n->len < HEADER_LEN && n->len < n->total - n->got;
    if (late || stray) n->transfer = NO_TRANSFER;
    if (n->transfer == NO_TRANSFER && ot && n->len >= HEADER_LEN) {
        n->transfer = HEADER;
        n->total = load_le32(p + 2);
        n->got = n->len - HEADER_LEN;
        snprintf(text, cap, "header: a transfer of %u bytes begins, %u of them here", n->total,
                 n->got);
    } else if (n->transfer == NO_TRANSFER && p[0] == PLAIN_MAGIC) {
        n->transfer = PLAIN;
        n->got = n->len;
        snprintf(text, cap, "plain: a transfer begins, %u bytes", n->len);
    } else if (n->transfer != NO_TRANSFER) {
        n->got += n->len; // modulo 2^32
        if (n->transfer == HEADER)
            snprintf(text, cap, "header: %u bytes, %u of %u", n->len, n->got, n->total);
        else
            snprintf(text, cap, "plain: %u bytes, %u together", n->len, n->got);
    } else {
        return false;
    }
    const bool ends = (n->transfer == HEADER) ? n->got >= n->total : n->len < MESSAGE_FULL;
    if (ends) n->transfer = NO_TRANSFER;
    return true;
}

static bool answers(const node_t *request, const uint8_t *p, uint32_t len)
{
    const uint8_t *q = request->request;
    if (!request->open) return false;
    if (p[0] == UDS_NEGATIVE) return len >= UDS_NEGATIVE_LEN && p[1] == q[0];
    return uds_client_is_positive(q, (uint32_t)request->request_len, p, len);
}

/// The open request that this response belongs to, NULL: none was seen.
static node_t *request_of(trace_t *t, const node_t *n)
{
    if (n->peer != NOBODY && answers(&t->node[n->peer], n->held, n->len)) return &t->node[n->peer];
    for (int i = 0; i < t->count; i++) {
        node_t *f = &t->node[i];
        if (f->functional && f->ext == n->ext && answers(f, n->held, n->len)) return f;
    }
    return NULL;
}

/// The request of `n` is over at `at`. One to all may be answered by many or nobody.
static void close_request(trace_t *t, node_t *n, usec_t at, bool end)
{
    char text[TEXT_CAP], until[40] = "before the log ends", pending[40] = "";
    if (n->open && n->answers && !n->functional) {
        const usec_t waited = later(at, n->asked) - n->asked;
        if (!end) (void)snprintf(until, sizeof until, "for %.1f ms", (double)waited / 1000);
        if (n->pending) (void)snprintf(pending, sizeof pending, ", after %u x 78", n->pending);
        (void)snprintf(text, sizeof text, "no response to %s %s%s", uds_text_sid(n->request[0]),
                       until, pending);
        say(t, n, TRACE_SILENT, at, text);
    }
    n->open = false;
}

static void open_request(trace_t *t, node_t *n)
{
    const uint8_t *p = n->held;
    const bool silent = uds_client_is_silent(p, n->len);
    // A TesterPresent between a request and its response does not end that exchange.
    if (silent && p[0] == UDS_TESTER_PRESENT) return;
    close_request(t, n, n->first, false);
    n->open = true;
    n->answers = !silent;
    n->request_len = smaller(n->len, REQUEST_CAP);
    memcpy(n->request, p, n->request_len);
    n->asked = t->now;
    n->pending = 0;
}

/// The request that this response belongs to, NULL: none was seen.
static const node_t *match(trace_t *t, const node_t *n, trace_line_t *line)
{
    const uint8_t *p = n->held;
    node_t *request = request_of(t, n);
    if (!request) return NULL;
    line->response = true;
    line->after = (n->first > request->asked) ? n->first - request->asked : 0;
    line->pending = request->pending;
    if (p[0] == UDS_NEGATIVE && p[2] == UDS_RESPONSE_PENDING) {
        line->again = request->pending > 0 && t->now - request->shown < LIMIT;
        if (!line->again) request->shown = t->now;
        request->pending++;
    } else if (!request->functional) {
        request->open = false;
    }
    return request;
}

/// How much is sent between RequestDownload and RequestTransferExit, blocks that are repeated once.
static void count_download(node_t *n, char *text, size_t cap)
{
    const uint8_t *p = n->held;
    if (p[0] == UDS_REQUEST_DOWNLOAD) {
        n->download = n->first;
        n->blocks = n->bytes = 0;
    } else if (p[0] == UDS_TRANSFER_DATA && n->len > 2 && (n->blocks == 0 || p[1] != n->counter)) {
        n->blocks++;
        n->bytes += n->len - 2;
        n->counter = p[1];
    } else if (p[0] == UDS_TRANSFER_EXIT && n->blocks > 0) {
        const usec_t took = n->first - n->download;
        const size_t used = strlen(text);
        (void)snprintf(text + used, cap - used, ": %u bytes in %u blocks", n->bytes, n->blocks);
        n->blocks = 0;
        if (took == 0) return;
        (void)snprintf(text + strlen(text), cap - strlen(text), ", %.1f s, %.1f kB/s",
                       (double)took / 1e6, (double)n->bytes * 1000 / (double)took);
    }
}

static void complete(trace_t *t, node_t *n)
{
    char text[TEXT_CAP];
    trace_line_t line = { .kind = TRACE_MESSAGE,
                          .at = n->first,
                          .id = n->id,
                          .ext = n->ext,
                          .text = text,
                          .p = n->held,
                          .held = smaller(n->len, TRACE_HELD_MAX),
                          .len = n->len,
                          .took = t->now - n->first };
    n->state = IDLE;
    if (!transfer_text(t, n, text, sizeof text)) {
        const bool asks = uds_text_sid(n->held[0]) != NULL;
        const node_t *request = asks ? NULL : match(t, n, &line);
        if (asks) open_request(t, n);
        // What is not kept is the data of a block, which counts, but is not looked at.
        uds_text_response(request ? request->request : NULL, request ? request->request_len : 0,
                          n->held, line.held, text, sizeof text);
        if (n->len > TRACE_HELD_MAX && n->held[0] == UDS_TRANSFER_DATA)
            snprintf(text, sizeof text, "TransferData block %u, %u bytes", n->held[1], n->len - 2);
        else if (n->len > TRACE_HELD_MAX)
            snprintf(text + strlen(text), sizeof text - strlen(text), " (%u bytes)", n->len);
        if (asks) count_download(n, text, sizeof text);
    }
    n->done = t->now;
    t->out(t->ctx, &line);
}

// --- Frames ---

typedef struct {
    enum { NOTHING, SINGLE, FIRST, CONSECUTIVE, FLOW_CONTROL } kind;
    uint32_t len;     // SINGLE, FIRST: of the message
    uint8_t number;   // CONSECUTIVE: SN; FLOW_CONTROL: flow status
    const uint8_t *p; // data in this frame
    size_t here;
} pci_t;

static pci_t pci_of(const can_frame_t *f)
{
    pci_t pci = { .kind = NOTHING };
    const uint8_t *p = f->data;
    if (f->len < 1 || f->len > CAN_DATA_MAX) return pci;
    pci.number = p[0] & 0xF;
    size_t head = 1;
    switch (p[0] >> 4) {
    case 0:
        pci.len = pci.number;
        if (pci.len == 0 && f->len > 8) {
            pci.len = p[1];
            head = 2;
        }
        if (pci.len == 0 || pci.len > f->len - head) return pci;
        pci.kind = SINGLE;
        pci.here = pci.len;
        break;
    case 1:
        if (f->len < 8) return pci;
        pci.len = (uint32_t)pci.number << 8 | p[1];
        head = 2;
        if (pci.len == 0) {
            pci.len = load_be32(p + 2);
            head = 6;
        }
        pci.here = f->len - head;
        if (pci.len <= pci.here) return pci;
        pci.kind = FIRST;
        break;
    case 2:
        if (f->len < 2) return pci;
        pci.here = f->len - head;
        pci.kind = CONSECUTIVE;
        break;
    case 3:
        if (f->len < 3) return pci;
        pci.here = f->len - head;
        pci.kind = FLOW_CONTROL;
        break;
    default: return pci;
    }
    pci.p = p + head;
    return pci;
}

bool trace_frame(const can_frame_t *frame, char *text, size_t cap)
{
    static const char *const status[] = { "clear to send", "WAIT", "OVFLW" };
    const pci_t pci = pci_of(frame);
    text[0] = '\0';
    switch (pci.kind) {
    case NOTHING: return false;
    case SINGLE: snprintf(text, cap, "single frame, %u bytes", pci.len); break;
    case FIRST: snprintf(text, cap, "first frame, %u bytes", pci.len); break;
    case CONSECUTIVE: snprintf(text, cap, "consecutive frame %X", pci.number); break;
    case FLOW_CONTROL:
        if (pci.number > 2)
            snprintf(text, cap, "flow control %X, which is reserved", pci.number);
        else if (pci.number > 0)
            snprintf(text, cap, "flow control: %s", status[pci.number]);
        else
            snprintf(text, cap, "flow control: clear to send, BS %u, STmin %02X", pci.p[0],
                     pci.p[1]);
        break;
    }
    return true;
}

static void keep(node_t *n, const pci_t *pci)
{
    const size_t here = smaller(pci->here, n->len - n->at);
    if (n->at < TRACE_HELD_MAX)
        memcpy(n->held + n->at, pci->p, smaller(here, TRACE_HELD_MAX - n->at));
    n->at += (uint32_t)here;
}

static void begin(trace_t *t, node_t *n, const pci_t *pci)
{
    if (n->state != IDLE) broken(t, n, "another message begins (N_UNEXP_PDU)");
    n->len = pci->len;
    n->at = 0;
    n->first = t->now;
    keep(n, pci);
    if (pci->kind == SINGLE) {
        complete(t, n);
        return;
    }
    n->state = FLOW;
    n->sn = 1;
    n->block = 0;
    n->last = t->now;
}

static void on_consecutive(trace_t *t, node_t *n, const pci_t *pci)
{
    if (n->state == IDLE) return; // of a message that broke off, or began before the log
    if (pci->number != n->sn) {
        broken(t, n,
               "sequence number %X instead of %X: a frame was lost or came twice (N_WRONG_SN)",
               pci->number, n->sn);
        return;
    }
    keep(n, pci);
    n->sn = (n->sn + 1) & 0xF;
    if (n->at >= n->len) {
        complete(t, n);
        return;
    }
    n->last = t->now;
    n->state = CF;
    if (n->block > 0 && --n->block == 0) n->state = FLOW;
}

/// `n` lets its peer go on, or not.
static void on_flow_control(trace_t *t, node_t *n, const pci_t *pci)
{
    node_t *sender = (n->peer == NOBODY) ? NULL : &t->node[n->peer];
    if (pci->number > 2) say(t, n, TRACE_FLOW, t->now, "flow control with a reserved flow status");
    if (pci->number == 1) say(t, n, TRACE_FLOW, t->now, "flow control: WAIT");
    if (pci->number == 2)
        say(t, n, TRACE_FLOW, t->now, "flow control: OVFLW, too long or not wanted");
    if (!sender || sender->state == IDLE) return;
    sender->last = t->now;
    if (pci->number > 1) {
        broken(t, sender,
               pci->number == 2 ? "refused by OVFLW (N_BUFFER_OVFLW)"
                                : "a reserved flow status (N_INVALID_FS)");
    } else if (pci->number == 0) {
        sender->state = CF;
        sender->block = pci->p[0];
    }
}

void trace_tick(trace_t *t, usec_t now)
{
    t->now = later(t->now, now);
    for (int i = 0; i < t->count; i++) {
        node_t *n = &t->node[i];
        if (n->state == IDLE || t->now - n->last <= LIMIT) continue;
        if (n->state == FLOW)
            broken(t, n, "no flow control for 1 s (N_TIMEOUT_Bs)");
        else
            broken(t, n, "no consecutive frame for 1 s (N_TIMEOUT_Cr)");
    }
}

void trace_input(trace_t *t, const can_frame_t *frame, usec_t now)
{
    trace_tick(t, now);
    int i = find(t, frame->id, frame->ext);
    if (i == NOBODY) i = guess(t, frame->id, frame->ext);
    if (i == NOBODY) return;
    node_t *n = &t->node[i];
    const pci_t pci = pci_of(frame);
    switch (pci.kind) {
    case NOTHING: say(t, n, TRACE_BROKEN, t->now, "a frame that is none of ISO-TP"); break;
    case SINGLE:
    case FIRST: begin(t, n, &pci); break;
    case CONSECUTIVE: on_consecutive(t, n, &pci); break;
    case FLOW_CONTROL: on_flow_control(t, n, &pci); break;
    }
}

void trace_end(trace_t *t, usec_t now)
{
    trace_tick(t, now);
    for (int i = 0; i < t->count; i++) {
        if (t->node[i].state != IDLE) broken(t, &t->node[i], "the log ends here");
        close_request(t, &t->node[i], t->now, true);
    }
}

void trace_print(FILE *out, const trace_line_t *line, usec_t start)
{
    if (line->again) return;
    const usec_t since = line->at > start ? line->at - start : 0;
    fprintf(out, "%4llu.%06llu  ", (unsigned long long)(since / 1000000),
            (unsigned long long)(since % 1000000));
    fprintf(out, line->ext ? "%08X" : "%03X", line->id);
    const bool wrong = line->kind == TRACE_BROKEN || line->kind == TRACE_SILENT;
    fprintf(out, "  %s%s", wrong ? "! " : "", line->text);
    if (line->response) fprintf(out, "  (%.1f ms", (double)line->after / 1000);
    if (line->response && line->pending) fprintf(out, ", %u x 78 before", line->pending);
    if (line->response) fputc(')', out);
    if (line->len >= LONG && line->took > 0)
        fprintf(out, "  [%.1f ms, %.1f kB/s]", (double)line->took / 1000,
                (double)line->len * 1000 / (double)line->took);
    fputc('\n', out);
}
