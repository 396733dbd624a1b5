// bus_log.c - writes the frames of a bus to a file: for can-utils, for Wireshark, for Vector's tools.
// SPDX-License-Identifier: Apache-2.0
//
// Nothing is kept for later: no line is due at the end, so that a log that was cut off by a signal
// differs from a finished one in nothing. The file is unbuffered, which makes each record one write();
// if the disk takes only a part of it, the file is cut back to the last whole record.
#include "bus_log.h"
#include <errno.h>
#include <stdarg.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define SECOND     1000000U
#define RECORD_MAX 400         // the longest is an FD frame with 64 bytes in .asc: 288
#define SOCKETCAN  227         // LINKTYPE_CAN_SOCKETCAN
#define FLAG_EXT   0x80000000U // in its identifier
#define FLAG_BRS   0x01U       // in its flags; candump's are the same
#define FLAG_ESI   0x02U
#define FLAG_FD    0x04U
#define ASC_FD     0x1000U // in the flags of an FD line
#define ASC_BRS    0x2000U
#define ASC_ESI    0x4000U

typedef struct {
    uint8_t bytes[RECORD_MAX];
    size_t len;
} record_t;

__attribute__((format(printf, 2, 3))) static void print(record_t *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int len = vsnprintf((char *)r->bytes + r->len, sizeof r->bytes - r->len, format, args);
    va_end(args);
    ASSERT(len >= 0 && (size_t)len < sizeof r->bytes - r->len);
    r->len += (size_t)len;
}

// --- The formats ---

static unsigned fd_flags(const can_frame_t *f)
{
    return (f->fd && f->brs ? FLAG_BRS : 0) | (f->fd && f->esi ? FLAG_ESI : 0);
}

static void print_candump(record_t *r, const bus_log_t *log, const can_frame_t *f, usec_t now)
{
    print(r, "(%010llu.%06llu) %s ", (unsigned long long)(now / SECOND),
          (unsigned long long)(now % SECOND), log->channel);
    print(r, f->ext ? "%08X#" : "%03X#", f->id);
    if (f->fd) print(r, "#%X", fd_flags(f));
    for (size_t i = 0; i < f->len; i++)
        print(r, "%02X", f->data[i]);
    print(r, "\n");
}

static void put_pcap(record_t *r, const can_frame_t *f, usec_t now)
{
    const uint32_t len = 8U + f->len;
    store_le32(r->bytes, (uint32_t)(now / SECOND));
    store_le32(r->bytes + 4, (uint32_t)(now % SECOND));
    store_le32(r->bytes + 8, len);  // in the file
    store_le32(r->bytes + 12, len); // on the bus
    store_be32(r->bytes + 16, f->id | (f->ext ? FLAG_EXT : 0));
    r->bytes[20] = f->len;
    r->bytes[21] = (uint8_t)(fd_flags(f) | (f->fd ? FLAG_FD : 0));
    r->bytes[22] = r->bytes[23] = 0;
    memcpy(r->bytes + 24, f->data, f->len);
    r->len = 24U + f->len;
}

static unsigned dlc(unsigned len)
{
    return (len <= 8) ? len : (len <= 24) ? 6 + (len + 3) / 4 : 11 + (len + 15) / 16;
}

static void print_asc(record_t *r, const bus_log_t *log, const can_frame_t *f, bool sent,
                      usec_t now)
{
    const usec_t since = (now > log->start) ? now - log->start : 0; // the clock was set back
    const char *const direction = sent ? "Tx" : "Rx";
    print(r, "%4llu.%06llu ", (unsigned long long)(since / SECOND),
          (unsigned long long)(since % SECOND));
    if (!f->fd) {
        char id[16];
        snprintf(id, sizeof id, f->ext ? "%Xx" : "%X", f->id);
        print(r, "1  %-15s %-4s d %u", id, direction, f->len);
    } else {
        print(r, "CANFD   1 %s %10X%c %33s%d %d %x %2u", direction, f->id, f->ext ? 'x' : ' ', "",
              f->brs, f->esi, dlc(f->len), f->len);
    }
    for (size_t i = 0; i < f->len; i++)
        print(r, " %02X", f->data[i]);
    // The duration and the number of bits are not known here; then flags, CRC and bit timing.
    if (f->fd)
        print(r, "        0    0 %8X 0 0 0 0 0",
              ASC_FD | (f->brs ? ASC_BRS : 0) | (f->esi ? ASC_ESI : 0));
    print(r, "\n");
}

static void put_pcap_head(record_t *r)
{
    r->len = 24;
    memset(r->bytes, 0, r->len);
    store_le32(r->bytes, 0xA1B2C3D4); // the time has microseconds
    store_le16(r->bytes + 4, 2);      // version 2.4
    store_le16(r->bytes + 6, 4);
    store_le32(r->bytes + 16, 65535); // no record is longer
    store_le32(r->bytes + 20, SOCKETCAN);
}

static void print_asc_head(record_t *r, usec_t start)
{
    const time_t seconds = (time_t)(start / SECOND);
    struct tm tm = { 0 };
    char date[64];
    (void)localtime_r(&seconds, &tm);
    (void)strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm); // English: nobody sets a locale
    print(r, "date %s\nbase hex  timestamps absolute\nno internal events logged\n", date);
}

// --- The file ---

bus_log_format_t bus_log_format(const char *path)
{
    const char *suffix = strrchr(path, '.');
    if (!suffix) return BUS_LOG_UNKNOWN;
    if (!strcasecmp(suffix, ".log")) return BUS_LOG_CANDUMP;
    if (!strcasecmp(suffix, ".pcap")) return BUS_LOG_PCAP;
    if (!strcasecmp(suffix, ".asc")) return BUS_LOG_ASC;
    return BUS_LOG_UNKNOWN;
}

/// Writes a record as a whole or not at all.
static bool put(bus_log_t *log, const record_t *r)
{
    if (fwrite(r->bytes, 1, r->len, log->file) == r->len) {
        log->whole += (off_t)r->len;
        return true;
    }
    const int why = errno;
    const int cut = ftruncate(fileno(log->file), log->whole);
    (void)cut; // what is no regular file cannot be cut
    (void)fclose(log->file);
    log->file = NULL;
    errno = why;
    return false;
}

static void name_channel(bus_log_t *log, const char *channel)
{
    if (!strncmp(channel, "virtual:", 8)) channel += 8;
    const char *slash = strrchr(channel, '/');
    if (slash) channel = slash + 1;
    const size_t len = smaller(strcspn(channel, "?"), sizeof log->channel - 1);
    memset(log->channel, '_', len + (len == 0));
    for (size_t i = 0; i < len; i++)
        if (channel[i] > ' ' && channel[i] < 0x7F) log->channel[i] = channel[i];
}

bool bus_log_begin(bus_log_t *log, FILE *file, bus_log_format_t format, const char *channel,
                   usec_t now)
{
    record_t head = { .len = 0 };
    *log = (bus_log_t){ .file = file, .format = format, .start = now - now % SECOND };
    name_channel(log, channel);
    (void)setvbuf(file, NULL, _IONBF, 0);
    switch (format) {
    case BUS_LOG_UNKNOWN: ASSERT(false); break;
    case BUS_LOG_CANDUMP: return true;
    case BUS_LOG_PCAP: put_pcap_head(&head); break;
    case BUS_LOG_ASC: print_asc_head(&head, log->start); break;
    }
    return put(log, &head);
}

bool bus_log_frame(bus_log_t *log, const can_frame_t *frame, bool sent, usec_t now)
{
    record_t r;
    if (!log->file) return true;
    r.len = 0;
    switch (log->format) {
    case BUS_LOG_UNKNOWN: return true;
    case BUS_LOG_CANDUMP: print_candump(&r, log, frame, now); break;
    case BUS_LOG_PCAP: put_pcap(&r, frame, now); break;
    case BUS_LOG_ASC: print_asc(&r, log, frame, sent, now); break;
    }
    return put(log, &r);
}

bool bus_log_end(bus_log_t *log)
{
    if (!log->file) return true;
    const int failed = fclose(log->file);
    log->file = NULL;
    return !failed;
}
