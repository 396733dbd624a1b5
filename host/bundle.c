// bundle.c - a few files in one ZIP file or in a folder: see bundle.h.
// SPDX-License-Identifier: Apache-2.0
//
// ZIP (APPNOTE.TXT 6.3): for each file a local header and its data, deflated; then the central directory,
// which repeats the headers; then its end. No ZIP64: 4 GiB are far beyond a report.
#include "bundle.h"
#include "whole_file.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum {
    LOCAL_LEN = 30,
    CENTRAL_LEN = 46,
    END_LEN = 22,
    VERSION_NEEDED = 20,               // 2.0: deflate
    MADE_BY = 3 << 8 | VERSION_NEEDED, // Unix
    DEFLATED = 8,
    MODE_SHIFT = 16, // of the external attributes: the file's mode
    MODE = 0100644,
    LARGEST = 1 << 30,
};

__attribute__((format(printf, 2, 3))) static bool failed(bundle_t *b, const char *format, ...)
{
    va_list args;
    if (b->failed) return false;
    b->failed = true;
    va_start(args, format);
    vsnprintf(b->error, sizeof b->error, format, args);
    va_end(args);
    return false;
}

static bool put(bundle_t *b, const void *p, size_t len)
{
    if (fwrite(p, 1, len, b->memory) == len) return true;
    return failed(b, "out of memory");
}

/// What both headers of a file have in common, 26 bytes from `p` on.
static void put_common(const bundle_t *b, unsigned i, uint8_t *p)
{
    store_le16(p, VERSION_NEEDED);
    store_le16(p + 2, 0); // flags
    store_le16(p + 4, DEFLATED);
    store_le16(p + 6, b->time);
    store_le16(p + 8, b->date);
    store_le32(p + 10, b->file[i].crc);
    store_le32(p + 14, b->file[i].packed);
    store_le32(p + 18, b->file[i].len);
    store_le16(p + 22, (uint16_t)strlen(b->file[i].name));
    store_le16(p + 24, 0); // extra field
}

/// `bytes` deflated, without zlib's own header; free() it. NULL: out of memory.
static uint8_t *deflated(const void *bytes, size_t len, size_t *packed)
{
    z_stream z = { .next_in = (z_const Bytef *)bytes, .avail_in = (uInt)len };
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        return NULL;
    const size_t cap = deflateBound(&z, len);
    uint8_t *out = malloc(cap);
    z.next_out = out;
    z.avail_out = (uInt)cap;
    const bool ok = out && deflate(&z, Z_FINISH) == Z_STREAM_END;
    *packed = z.total_out;
    (void)deflateEnd(&z);
    if (ok) return out;
    free(out);
    return NULL;
}

static bool add_to_zip(bundle_t *b, const void *bytes, size_t len)
{
    size_t packed;
    const unsigned i = b->count;
    uint8_t head[LOCAL_LEN] = { 0 };
    uint8_t *p = deflated(bytes, len, &packed);
    if (!p) return failed(b, "out of memory");
    b->file[i].crc = (uint32_t)crc32(0, len ? bytes : NULL, (uInt)len);
    b->file[i].len = (uint32_t)len;
    b->file[i].packed = (uint32_t)packed;
    b->file[i].at = (uint32_t)ftell(b->memory);
    store_le32(head, 0x04034B50);
    put_common(b, i, head + 4);
    (void)(put(b, head, sizeof head) && put(b, b->file[i].name, strlen(b->file[i].name)) &&
           put(b, p, packed));
    free(p);
    return !b->failed;
}

static bool write_file(bundle_t *b, const char *path, const void *bytes, size_t len)
{
    return whole_file_write(path, bytes, len) || failed(b, "%.300s: %s", path, strerror(errno));
}

/// Known before the update that the bundle is about.
static bool folder_takes_files(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    const size_t len = slash ? (size_t)(slash - path) + 1 : 1;
    memcpy(folder, slash ? path : ".", len);
    folder[len] = '\0';
    return access(folder, W_OK | X_OK) == 0;
}

bool bundle_open(bundle_t *b, const char *path)
{
    *b = (bundle_t){ .path = path };
    const size_t len = strlen(path);
    struct stat st;
    b->zip = len > 4 && strcasecmp(path + len - 4, ".zip") == 0;
    if (len >= PATH_MAX - sizeof b->file[0].name) return failed(b, "the path is too long");
    const bool there = stat(path, &st) == 0;
    if (!b->zip) {
        if (there && !S_ISDIR(st.st_mode))
            return failed(b, "%.300s: is no folder, and does not end in .zip", path);
        if (!there && mkdir(path, 0777) != 0) return failed(b, "%.300s: %s", path, strerror(errno));
        if (access(path, W_OK | X_OK) != 0) return failed(b, "%.300s: %s", path, strerror(errno));
        return true;
    }
    if (there && !S_ISREG(st.st_mode)) return failed(b, "%.300s: is not a file", path);
    if (!folder_takes_files(path)) return failed(b, "%.300s: %s", path, strerror(errno));
    const time_t now = time(NULL);
    struct tm tm = { 0 };
    (void)localtime_r(&now, &tm);
    if (tm.tm_year >= 80) { // the format begins in 1980
        b->date = (uint16_t)((tm.tm_year - 80) << 9 | (tm.tm_mon + 1) << 5 | tm.tm_mday);
        b->time = (uint16_t)(tm.tm_hour << 11 | tm.tm_min << 5 | tm.tm_sec / 2);
    } else {
        b->date = 1 << 5 | 1;
    }
    b->memory = open_memstream(&b->bytes, &b->len);
    return b->memory ? true : failed(b, "out of memory");
}

bool bundle_add(bundle_t *b, const char *name, const void *bytes, size_t len)
{
    if (b->failed) return false;
    ASSERT(strlen(name) < sizeof b->file[0].name && !strchr(name, '/'));
    if (b->count == BUNDLE_FILES) return failed(b, "too many files for one bundle");
    if (len > LARGEST || (b->zip && ftell(b->memory) > LARGEST))
        return failed(b, "%s: too large for a bundle", name);
    snprintf(b->file[b->count].name, sizeof b->file[0].name, "%s", name);
    if (b->zip) {
        if (!add_to_zip(b, bytes, len)) return false;
    } else {
        char path[PATH_MAX + 2];
        snprintf(path, sizeof path, "%s/%s", b->path, name);
        if (!write_file(b, path, bytes, len)) return false;
    }
    b->count++;
    return true;
}

static void put_directory(bundle_t *b)
{
    const uint32_t at = (uint32_t)ftell(b->memory);
    for (unsigned i = 0; i < b->count; i++) {
        uint8_t p[CENTRAL_LEN] = { 0 };
        store_le32(p, 0x02014B50);
        store_le16(p + 4, MADE_BY);
        put_common(b, i, p + 6);
        store_le32(p + 38, (uint32_t)MODE << MODE_SHIFT);
        store_le32(p + 42, b->file[i].at);
        (void)(put(b, p, sizeof p) && put(b, b->file[i].name, strlen(b->file[i].name)));
    }
    uint8_t p[END_LEN] = { 0 };
    store_le32(p, 0x06054B50);
    store_le16(p + 8, (uint16_t)b->count);
    store_le16(p + 10, (uint16_t)b->count);
    store_le32(p + 12, (uint32_t)ftell(b->memory) - at);
    store_le32(p + 16, at);
    (void)put(b, p, sizeof p);
}

bool bundle_close(bundle_t *b)
{
    if (!b->zip || !b->memory) return !b->failed;
    if (!b->failed) put_directory(b);
    if (fclose(b->memory) != 0) (void)failed(b, "out of memory");
    b->memory = NULL;
    if (!b->failed) (void)write_file(b, b->path, b->bytes, b->len);
    free(b->bytes);
    b->bytes = NULL;
    return !b->failed;
}
