// cmd_scan.c - isotp-ota scan: which devices answer, what they run, what their slots hold.
// SPDX-License-Identifier: Apache-2.0
//
// First TesterPresent (3E 00) in single frames, to all and to each identifier in question, without waiting in
// between: whoever has UDS answers within P2. Then each one found is asked for its identifiers in turn.
#include "command.h"
#include "drive.h"
#include "escape.h"
#include "json_out.h"
#include "tester.h"
#include "uds_text.h"

#include <ctype.h>
#include <stdlib.h>

enum {
    PEERS_MAX = 2048 + 2, // every 11-bit identifier, and the pair of -s and -d
    SLOTS_MAX = 15,
    SLOT_RECORD = 101, // DID FD10..: docs/PROTOCOL.md
    P2_MS = 50,
    MARGIN_MS = 100,
    DATA_MAX = 300,
    LEAVE_MS = 1000, // N_As
};

typedef struct {
    uint32_t tx_id, rx_id;
    bool found;
} peer_t;

// --- Who is there: a machine that says hello ---

typedef struct {
    bus_options_t bus;
    bool json, extended;
    const char *range;
    uint32_t all; // the identifier for requests to all
    peer_t peer[PEERS_MAX];
    unsigned peers;
    unsigned next,
        left; // hellos given to the driver, and those that have left; the first goes to all
    usec_t deadline;
    can_frame_t out;
    bool flow; // somebody answered with a flow control
    tester_t tester;
} scan_t;

enum { SCAN_NONE = 0, SCAN_OVER = 1, SCAN_NO_BUS = 2 };

static unsigned scan_input(scan_t *s, const can_frame_t *f, usec_t now)
{
    (void)now;
    for (unsigned i = 0; i < s->peers; i++) {
        peer_t *p = &s->peer[i];
        if (p->rx_id != f->id || f->ext != s->extended || f->len < 3) continue;
        const bool positive = f->data[0] == 2 && f->data[1] == UDS_TESTER_PRESENT + UDS_POSITIVE;
        const bool negative =
            f->data[0] == 3 && f->data[1] == UDS_NEGATIVE && f->data[2] == UDS_TESTER_PRESENT;
        p->found = p->found || positive || negative;
        s->flow = s->flow || f->data[0] >> 4 == 3;
    }
    return SCAN_NONE;
}

static const can_frame_t *scan_output(scan_t *s, usec_t now)
{
    (void)now;
    if (s->next > s->peers) return NULL;
    const isotp_cfg_t cfg = command_isotp(&s->bus, false);
    s->out = (can_frame_t){ .id = s->next ? s->peer[s->next - 1].tx_id : s->all,
                            .ext = s->extended,
                            .fd = cfg.fd,
                            .brs = cfg.brs,
                            .len = cfg.pad ? 8 : 3,
                            .data = { 2, UDS_TESTER_PRESENT, 0 } };
    if (cfg.pad) memset(s->out.data + 3, cfg.pad_byte, 5);
    return &s->out;
}

static void scan_taken(scan_t *s, usec_t now)
{
    s->next++;
    s->deadline = now + LEAVE_MS * USEC_MS;
}

static unsigned scan_sent(scan_t *s, usec_t now)
{
    s->left++;
    s->deadline = now + (s->left > s->peers ? P2_MS + MARGIN_MS : LEAVE_MS) * USEC_MS;
    return SCAN_NONE;
}

static void scan_lost(scan_t *s) { s->left = s->next; }

static usec_t scan_deadline(const scan_t *s) { return s->deadline; }

static unsigned scan_tick(scan_t *s, usec_t now)
{
    if (now < s->deadline) return SCAN_NONE;
    return s->left > s->peers ? SCAN_OVER : SCAN_NO_BUS;
}

MACHINE_VERBS(scan);
MACHINE_VERBS(tester);

static void add_peer(scan_t *s, uint32_t tx_id, uint32_t rx_id)
{
    for (unsigned i = 0; i < s->peers; i++)
        if (s->peer[i].tx_id == tx_id) return;
    if (s->peers < PEERS_MAX) s->peer[s->peers++] = (peer_t){ .tx_id = tx_id, .rx_id = rx_id };
}

/// "600-6FF", as hex.
static bool parse_range(const char *text, uint32_t *first, uint32_t *last)
{
    char *end;
    if (!isxdigit((unsigned char)text[0])) return false;
    *first = (uint32_t)strtoul(text, &end, 16);
    if (*end != '-' || !isxdigit((unsigned char)end[1])) return false;
    *last = (uint32_t)strtoul(end + 1, &end, 16);
    return *end == '\0' && *first <= *last && *last <= 0x7FF - 8;
}

static int choose_peers(scan_t *s)
{
    if (s->bus.host_id.ext) s->extended = true;
    if (s->extended && s->range)
        return command_fail(EXIT_USAGE, "scan: --range is for 11-bit identifiers");
    if (s->extended && !s->bus.host_id.ext) {
        s->bus.host_id = (options_can_id_t){ .id = ISOTP_ID_FIXED | 0x00F1, .ext = true };
        s->bus.device_id = (options_can_id_t){ .id = ISOTP_ID_FIXED | 0xF100, .ext = true };
    }
    const int code = command_check_bus(&s->bus);
    if (code) return code;
    s->all = command_functional(&s->bus, false).tx_id;
    if (s->extended) {
        const uint32_t own = s->all & 0xFF;
        for (uint32_t i = 0; i < 256; i++)
            if (i != own) add_peer(s, ISOTP_ID_FIXED | i << 8 | own, ISOTP_ID_FIXED | own << 8 | i);
    } else {
        uint32_t first = 0x7E0, last = 0x7E7;
        if (s->range && !parse_range(s->range, &first, &last))
            return command_fail(
                EXIT_USAGE, "scan: --range: '%s' is not two identifiers like 600-6FF", s->range);
        for (uint32_t i = first; i <= last; i++)
            add_peer(s, i, i + 8);
    }
    add_peer(s, s->bus.host_id.id, s->bus.device_id.id);
    return 0;
}

// --- What each one says about itself ---

typedef struct {
    uint16_t did;
    uint8_t data[DATA_MAX];
    size_t len; // 0: it has none such
} fact_t;

enum { FACTS = 10, FACT_SLOTS = FACTS - 2, FACT_RUNNING };
static const uint16_t asked[FACTS] = {
    UDS_DID_SYSTEM_NAME,
    UDS_DID_SOFTWARE_VERSION,
    UDS_DID_SUPPLIER_SOFTWARE_VERSION,
    UDS_DID_APPLICATION_SOFTWARE,
    UDS_DID_BOOT_SOFTWARE,
    UDS_DID_VIN,
    UDS_DID_HARDWARE_NUMBER,
    UDS_DID_SERIAL_NUMBER,
    UDS_DID_SLOTS,
    UDS_DID_RUNNING,
};

typedef struct {
    const peer_t *peer;
    bool silent; // it did not answer any more, or has no ReadDataByIdentifier
    fact_t fact[FACTS];
    unsigned slots;
    fact_t slot[SLOTS_MAX + 1]; // the last one is factory
} device_facts_t;

static void ask(scan_t *s, bus_t *bus, device_facts_t *d, uint16_t did, fact_t *fact)
{
    const uint8_t request[3] = { UDS_READ_DID, (uint8_t)(did >> 8), (uint8_t)did };
    const machine_t machine = MACHINE(tester, &s->tester);
    tester_t *t = &s->tester;
    fact->did = did;
    if (d->silent || drive_stopped()) return;
    (void)tester_start(t, request, sizeof request, bus_clock());
    for (tester_events_t ev = TESTER_NONE; !(ev & TESTER_OVER);) {
        ev = drive(bus, &machine, bus_clock() + 1000 * USEC_MS);
        if (drive_stopped()) return;
    }
    const uint8_t *p = t->message;
    if (t->answers == 0) {
        d->silent = true;
    } else if (p[0] == UDS_NEGATIVE) {
        d->silent = p[2] == UDS_SERVICE_NOT_SUPPORTED || p[2] == UDS_SERVICE_NOT_IN_SESSION;
    } else if (t->message_len > 3 && t->message_len - 3 <= DATA_MAX && p[1] == request[1] &&
               p[2] == request[2]) {
        fact->len = t->message_len - 3;
        memcpy(fact->data, p + 3, fact->len);
    }
}

static void ask_all(scan_t *s, bus_t *bus, device_facts_t *d)
{
    tester_cfg_t cfg = { .isotp = command_isotp(&s->bus, false),
                         .functional = command_functional(&s->bus, false),
                         .client = { .p2_ms = P2_MS,
                                     .margin_ms = MARGIN_MS,
                                     .pending_limit_ms = 2000,
                                     .busy_repeats = 3 } };
    cfg.isotp.tx_id = d->peer->tx_id;
    cfg.isotp.rx_id = d->peer->rx_id;
    tester_init(&s->tester, &cfg, bus_clock());
    for (unsigned i = 0; i < FACTS; i++)
        ask(s, bus, d, asked[i], &d->fact[i]);
    const fact_t *slots = &d->fact[FACT_SLOTS];
    if (slots->len < 3) return;
    d->slots = (unsigned)smaller(slots->data[0], SLOTS_MAX);
    d->slots = (unsigned)smaller(d->slots, (slots->len - 3) / 5);
    for (unsigned i = 0; i < d->slots; i++)
        ask(s, bus, d, (uint16_t)(UDS_DID_SLOT + i), &d->slot[i]);
    ask(s, bus, d, UDS_DID_SLOT + 15, &d->slot[SLOTS_MAX]);
}

// --- What is printed ---

/// Up to `len` bytes of text that ends with a zero, if it is shorter.
static void copy_text(char *to, const uint8_t *p, size_t len)
{
    memcpy(to, p, len);
    to[len] = '\0';
}

static const fact_t *fact_of(const device_facts_t *d, uint16_t did)
{
    for (unsigned i = 0; i < FACTS; i++)
        if (d->fact[i].did == did) return &d->fact[i];
    return NULL;
}

/// "project version" of a slot; "" if nothing is known.
static void slot_app(const fact_t *f, char text[COMMAND_APP_CAP])
{
    char project[33], version[33];
    text[0] = '\0';
    if (f->len != SLOT_RECORD) return;
    copy_text(version, f->data + 37, 32);
    copy_text(project, f->data + 69, 32);
    if (project[0] || version[0]) (void)command_app(project, version, text);
}

static const char *state_of(uint8_t state)
{
    const char *name = uds_text_slot_state(state);
    return name ? name : "unknown state";
}

static void print_slot(const char *name, const char *state, uint32_t size, const fact_t *f,
                       bool runs, bool next)
{
    char app[COMMAND_APP_CAP];
    slot_app(f, app);
    printf("    %-8s %-14s", name, state);
    if (size) printf(" %8u bytes ", size);
    printf(" %s%s%s\n", app[0] ? app : "nothing bootable", runs ? ", runs" : "",
           next ? ", the next update goes here" : "");
}

static void print_device(const scan_t *s, const device_facts_t *d)
{
    char text[DATA_MAX * 4];
    const int width = s->extended ? 8 : 3;
    const fact_t *name = fact_of(d, UDS_DID_SYSTEM_NAME);
    const fact_t *version = fact_of(d, UDS_DID_SOFTWARE_VERSION);
    printf("%0*X -> %0*X", width, d->peer->tx_id, width, d->peer->rx_id);
    if (name->len > 0 && version->len > 0) {
        char project[33], number[33], app[COMMAND_APP_CAP];
        copy_text(project, name->data, smaller(name->len, 32));
        copy_text(number, version->data, smaller(version->len, 32));
        printf("  %s", command_app(project, number, app));
    }
    putchar('\n');
    for (unsigned i = 0; i < FACT_SLOTS; i++) {
        const fact_t *f = &d->fact[i];
        if (f->len == 0) continue;
        uds_text_data(f->did, f->data, f->len, text, sizeof text);
        printf("    %04X %s: %s\n", f->did, uds_text_did(f->did), text);
    }
    const fact_t *all = &d->fact[FACT_SLOTS], *factory = &d->slot[SLOTS_MAX];
    for (size_t i = 0; i < d->slots; i++) {
        const uint8_t *entry = all->data + 3 + 5 * i;
        print_slot(uds_text_did((uint16_t)(UDS_DID_SLOT + i)), state_of(entry[0]),
                   load_be32(entry + 1), &d->slot[i], all->data[1] == i, all->data[2] == i);
    }
    if (factory->len == SLOT_RECORD)
        print_slot("factory", "", 0, factory, all->data[1] == 0xFF, false);
}

static void json_slot(json_out_t *json, const char *name, const fact_t *f, bool runs)
{
    char project[33], version[33];
    json_out_string(json, "name", name);
    json_out_bool(json, "runs", runs);
    if (f->len != SLOT_RECORD) return;
    copy_text(version, f->data + 37, 32);
    copy_text(project, f->data + 69, 32);
    json_out_string(json, "project", project);
    json_out_string(json, "version", version);
    json_out_number(json, "secure_version", load_be32(f->data + 1));
    json_out_hex(json, "digest", f->data + 5, 32);
}

static void json_device(const scan_t *s, const device_facts_t *d)
{
    char text[DATA_MAX * 4];
    json_out_t json = { .out = stdout };
    json_out_open(&json, NULL, '{');
    json_out_string(&json, "event", "device");
    snprintf(text, sizeof text, s->extended ? "%08X" : "%03X", d->peer->tx_id);
    json_out_string(&json, "source", text);
    snprintf(text, sizeof text, s->extended ? "%08X" : "%03X", d->peer->rx_id);
    json_out_string(&json, "destination", text);
    json_out_open(&json, "identifiers", '[');
    for (unsigned i = 0; i < FACTS; i++) {
        const fact_t *f = &d->fact[i];
        if (f->len == 0) continue;
        json_out_open(&json, NULL, '{');
        snprintf(text, sizeof text, "%04X", f->did);
        json_out_string(&json, "did", text);
        json_out_string(&json, "name", uds_text_did(f->did));
        uds_text_data(f->did, f->data, f->len, text, sizeof text);
        json_out_string(&json, "text", text);
        json_out_hex(&json, "data", f->data, f->len);
        json_out_close(&json, '}');
    }
    json_out_close(&json, ']');
    json_out_open(&json, "slots", '[');
    const fact_t *all = &d->fact[FACT_SLOTS], *factory = &d->slot[SLOTS_MAX];
    for (size_t i = 0; i < d->slots; i++) {
        const uint8_t *entry = all->data + 3 + 5 * i;
        json_out_open(&json, NULL, '{');
        json_slot(&json, uds_text_did((uint16_t)(UDS_DID_SLOT + i)), &d->slot[i],
                  all->data[1] == i);
        json_out_string(&json, "state", state_of(entry[0]));
        json_out_number(&json, "size", load_be32(entry + 1));
        json_out_bool(&json, "next", all->data[2] == i);
        json_out_close(&json, '}');
    }
    if (factory->len == SLOT_RECORD) {
        json_out_open(&json, NULL, '{');
        json_slot(&json, "factory", factory, all->data[1] == 0xFF);
        json_out_close(&json, '}');
    }
    json_out_close(&json, ']');
    json_out_close(&json, '}');
    putchar('\n');
}

static int scan(scan_t *s, bus_t *bus)
{
    const machine_t machine = MACHINE(scan, s);
    unsigned events = SCAN_NONE, found = 0;
    s->deadline = bus_clock() + LEAVE_MS * USEC_MS;
    while (!events && !drive_stopped())
        events = drive(bus, &machine, bus_clock() + 1000 * USEC_MS);
    if (events & SCAN_NO_BUS)
        return command_fail(
            EXIT_NO_ANSWER,
            "scan: no frame could be sent within 1 s (N_As): nobody acknowledges. Check wiring, termination, bit rate");
    for (unsigned i = 0; i < s->peers && !drive_stopped(); i++) {
        if (!s->peer[i].found) continue;
        device_facts_t *d = calloc(1, sizeof *d);
        if (!d) return command_fail(EXIT_FAILED, "scan: out of memory");
        d->peer = &s->peer[i];
        ask_all(s, bus, d);
        if (s->json)
            json_device(s, d);
        else
            print_device(s, d);
        fflush(stdout);
        free(d);
        found++;
    }
    if (drive_stopped()) return command_fail(EXIT_FAILED, "scan: stopped by a signal");
    if (found) return EXIT_DONE;
    return command_fail(
        EXIT_NO_ANSWER,
        "scan: nobody answers TesterPresent (3E 00) on %X nor on %u other identifiers within %d ms%s. A device "
        "without UDS, for plain or header only, never does: isotp-ota probe finds it",
        s->all, s->peers, P2_MS + MARGIN_MS,
        s->flow ? ", but somebody sent a flow control: an update is under way" : "");
}

int cmd_scan(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota scan [options]\n\n"
        "Finds the devices on a bus that speak UDS, on 7DF and 7E0 to 7E7 or as the options say, and shows what they\n"
        "run and what their slots hold. Changes nothing in them. Takes a fraction of a second when nobody answers.\n"
        "Exit code 3: nobody did.\n\n"
        "Example: isotp-ota scan -c can0 --range 600-6FF\n";
    scan_t *s = calloc(1, sizeof *s);
    char error[256];
    if (!s) return command_fail(EXIT_FAILED, "scan: out of memory");
    s->bus = (bus_options_t)BUS_OPTIONS_DEFAULT;
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_TEXT, 0, "range", "FROM-TO", &s->range,
          "identifiers to try, hex: 600-6FF; answers are expected 8 above", 0, 0 },
        { OPTION_FLAG, 0, "extended", NULL, &s->extended,
          "29-bit identifiers: 18DB33F1, 18DA00F1 to 18DAFFF1", 0, 0 },
        { OPTION_FLAG, 0, "json", NULL, &s->json, "one JSON object a device on stdout", 0, 0 },
        BUS_OPTIONS_TABLE(&s->bus),
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    int code = command_parse(usage, table, COUNT, argc, argv, NULL, "");
    const bool go = code < 0;
    if (go) code = choose_peers(s);
    if (go && !code) {
        bus_t *bus = command_open_bus(&s->bus, &code, error, sizeof error);
        if (bus) {
            drive_catch_signals();
            code = scan(s, bus);
            bus_close(bus);
        } else {
            code = command_fail(code, "scan: %s", error);
        }
    }
    free(s);
    return code;
}
