// test_bundle.c - a ZIP file as the format wants it, whole or not at all; folders; the report of a run.
// SPDX-License-Identifier: Apache-2.0
//
// The archive is read by its central directory, with zlib, as other programs do.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle.h"
#include "report.h"
#include <cmocka.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char folder[64], path[200];
static uint8_t zip[1 << 20];
static char content[1 << 18];

static int new_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_bundle.XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(name);
}

static int remove_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static size_t slurp(const char *name, void *p, size_t cap)
{
    FILE *file = fopen(name, "rb");
    if (!file) return 0;
    const size_t len = fread(p, 1, cap, file);
    (void)fclose(file);
    return len;
}

/// The content of a file in the archive, with a zero behind; NULL: it is not there.
static const char *unzipped(const char *archive, const char *name, size_t *len)
{
    const size_t size = slurp(archive, zip, sizeof zip);
    assert_true(size >= 22);
    const uint8_t *end = zip + size - 22;
    assert_int_equal(load_le32(end), 0x06054B50);
    const unsigned count = load_le16(end + 10);
    assert_int_equal(load_le32(end + 16) + load_le32(end + 12), size - 22);
    const uint8_t *p = zip + load_le32(end + 16);
    for (unsigned i = 0; i < count; i++, p += 46 + load_le16(p + 28)) {
        assert_int_equal(load_le32(p), 0x02014B50);
        if (load_le16(p + 28) != strlen(name) || memcmp(p + 46, name, strlen(name)) != 0) continue;
        uint8_t *local = zip + load_le32(p + 42);
        assert_int_equal(load_le32(local), 0x04034B50);
        assert_memory_equal(local + 4, p + 6, 26); // the same about the file
        assert_memory_equal(local + 30, name, strlen(name));
        z_stream z = { .next_in = local + 30 + strlen(name),
                       .avail_in = load_le32(p + 20),
                       .next_out = (Bytef *)content,
                       .avail_out = sizeof content - 1 };
        assert_int_equal(inflateInit2(&z, -MAX_WBITS), Z_OK);
        assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
        *len = z.total_out;
        (void)inflateEnd(&z);
        assert_int_equal(*len, load_le32(p + 24));
        assert_int_equal(crc32(0, (Bytef *)content, (uInt)*len), load_le32(p + 16));
        content[*len] = '\0';
        return content;
    }
    return NULL;
}

static void a_zip_file_holds_what_was_added(void **state)
{
    (void)state;
    bundle_t b;
    size_t len;
    static uint8_t large[200000];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * i >> 7);
    const char *name = in_folder("r.zip");
    assert_true(bundle_open(&b, name));
    assert_true(bundle_add(&b, "a.txt", "hello", 5));
    assert_true(bundle_add(&b, "large", large, sizeof large));
    assert_true(bundle_add(&b, "empty", NULL, 0));
    struct stat st;
    assert_int_not_equal(stat(name, &st), 0); // not before it is complete
    assert_true(bundle_close(&b));
    assert_string_equal(unzipped(name, "a.txt", &len), "hello");
    assert_memory_equal(unzipped(name, "large", &len), large, sizeof large);
    assert_int_equal(len, sizeof large);
    assert_non_null(unzipped(name, "empty", &len));
    assert_int_equal(len, 0);
    assert_null(unzipped(name, "b.txt", &len));
}

static void an_older_file_is_replaced_whole_or_stays(void **state)
{
    (void)state;
    bundle_t b;
    size_t len;
    const char *name = in_folder("r.zip");
    assert_true(bundle_open(&b, name));
    assert_true(bundle_add(&b, "a", "1", 1));
    assert_true(bundle_close(&b));
    assert_true(bundle_open(&b, name));
    for (unsigned i = 0; i < BUNDLE_FILES; i++)
        assert_true(bundle_add(&b, "b", "2", 1));
    assert_false(bundle_add(&b, "b", "2", 1));
    assert_false(bundle_close(&b));
    assert_string_equal(b.error, "too many files for one bundle");
    assert_string_equal(unzipped(name, "a", &len), "1");
    assert_true(bundle_open(&b, name));
    assert_true(bundle_add(&b, "c", "3", 1));
    assert_true(bundle_close(&b));
    assert_null(unzipped(name, "a", &len));
    assert_string_equal(unzipped(name, "c", &len), "3");
}

static void a_name_without_zip_is_a_folder(void **state)
{
    (void)state;
    bundle_t b;
    char text[10] = "";
    char name[200];
    snprintf(name, sizeof name, "%s", in_folder("report"));
    for (unsigned twice = 0; twice < 2; twice++) {
        assert_true(bundle_open(&b, name));
        assert_true(bundle_add(&b, "a.txt", twice ? "new" : "old", 3));
        assert_true(bundle_close(&b));
    }
    assert_int_equal(slurp(in_folder("report/a.txt"), text, sizeof text), 3);
    assert_string_equal(text, "new");
}

static void what_cannot_be_written_is_said(void **state)
{
    (void)state;
    bundle_t b;
    assert_false(bundle_open(&b, "/no/such/folder"));
    assert_string_equal(b.error, "/no/such/folder: No such file or directory");
    assert_false(bundle_close(&b));
    assert_false(bundle_open(&b, "/no/such/folder.zip"));
    assert_string_equal(b.error, "/no/such/folder.zip: No such file or directory");
    char name[200];
    snprintf(name, sizeof name, "%s", in_folder("d.zip"));
    assert_int_equal(mkdir(name, 0777), 0);
    assert_false(bundle_open(&b, name));
    assert_false(bundle_close(&b));
    FILE *file = fopen(in_folder("file"), "w");
    assert_non_null(file);
    (void)fclose(file);
    assert_false(bundle_open(&b, path));
    assert_non_null(strstr(b.error, "is no folder"));
    assert_false(bundle_close(&b));
}

static void a_report_holds_the_bus_and_what_was_said(void **state)
{
    (void)state;
    report_t r;
    size_t len;
    char flash[] = "flash", key[] = "--key", secret[] = "secret.hex", key2[] = "--key=other.hex",
         image[] = "image.bin";
    char *argv[] = { flash, key, secret, key2, image };
    bus_cfg_t bus = { .log = NULL };
    char name[200];
    snprintf(name, sizeof name, "%s", in_folder("r.zip"));
    assert_true(report_begin(&r, name, 5, argv, &bus));
    assert_non_null(bus.log);
    char log[400];
    snprintf(log, sizeof log, "%s", bus.log);
    FILE *file = fopen(log, "wb");
    assert_non_null(file);
    fputs("(1.0) can0 7E0#021001\n(1.001) can0 7E8#065001003201F4\n", file);
    (void)fclose(file);
    report_note(&r, "7E8 answers");
    report_file(&r, "profile.txt", "p2 50\n", 6);
    assert_true(report_end(&r, 4, "refused"));
    assert_int_not_equal(access(log, F_OK), 0);
    const char *text = unzipped(name, "report.txt", &len);
    assert_non_null(strstr(text, "command: isotp-ota flash --key ... --key=... image.bin\n"));
    assert_non_null(strstr(text, "version: isotp-ota " VERSION ", zlib "));
    assert_non_null(strstr(text, "exit code: 4\noutcome: refused\n"));
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(unzipped(name, "output.txt", &len), "  7E8 answers\n"));
    assert_string_equal(unzipped(name, "profile.txt", &len), "p2 50\n");
    assert_string_equal(
        unzipped(name, "bus.log", &len),
        "(0000000001.000000) can 7E0#021001\n(0000000001.001000) can 7E8#065001003201F4\n");
    assert_non_null(unzipped(name, "bus.pcap", &len));
    assert_int_equal(len, 24 + 16 + 8 + 3 + 16 + 8 + 7);
    assert_string_equal(
        unzipped(name, "trace.txt", &len),
        "   0.000000  7E0  DiagnosticSessionControl default session\n"
        "   0.001000  7E8  positive: DiagnosticSessionControl default session, P2 50 ms, P2* 5000 ms"
        "  (1.0 ms)\n");
}

static void a_report_takes_the_log_that_the_user_wanted(void **state)
{
    (void)state;
    report_t r;
    size_t len;
    char log[200], name[200];
    char flash[] = "flash";
    char *argv[] = { flash };
    snprintf(log, sizeof log, "%s", in_folder("mine.log"));
    snprintf(name, sizeof name, "%s", in_folder("r.zip"));
    bus_cfg_t bus = { .log = log };
    assert_true(report_begin(&r, name, 1, argv, &bus));
    assert_ptr_equal(bus.log, log);
    FILE *file = fopen(log, "wb");
    assert_non_null(file);
    fputs("(1.0) can0 7E0#013E\nnonsense\n", file);
    (void)fclose(file);
    assert_true(report_end(&r, 0, NULL));
    assert_int_equal(access(log, F_OK), 0);
    const char *text = unzipped(name, "trace.txt", &len);
    assert_non_null(strstr(text, "TesterPresent"));
    assert_non_null(strstr(text, "mine.log:2: expected a time"));
}

static void no_report_is_asked_for_and_none_is_made(void **state)
{
    (void)state;
    report_t r = { .on = false };
    report_note(&r, "nothing");
    report_file(&r, "nothing", "", 0);
    assert_true(report_end(&r, 1, "nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_zip_file_holds_what_was_added, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_older_file_is_replaced_whole_or_stays, new_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_name_without_zip_is_a_folder, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_said, new_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_report_holds_the_bus_and_what_was_said, new_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_report_takes_the_log_that_the_user_wanted, new_folder,
                                        remove_folder),
        cmocka_unit_test(no_report_is_asked_for_and_none_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
