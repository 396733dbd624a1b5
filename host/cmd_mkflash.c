// cmd_mkflash.c - isotp-ota mkflash: makes a complete flash image, or a partition table alone.
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "crypto_psa.h"
#include "esp_bootloader.h"
#include "flash_image.h"
#include "partition_csv.h"

#include <stdlib.h>
#include <strings.h>

enum { KB4 = 4096, MB = 1 << 20 };
#define NO_PLACE UINT32_MAX

typedef struct {
    const char *out, *partitions, *boot, *flash_size, *chip;
    uint32_t table_at, bootloader_at, size;
    uint16_t chip_id;
    bool no_md5, secure_v1, lenient, table_only, force;
    flash_image_part_t *part;
    size_t parts;
} mkflash_options_t;

// --- Contents ---

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/// PARTITION=FILE: cuts the word at its first '='.
static int read_part(char *word, flash_image_part_t *part)
{
    char error[64];
    char *file = strchr(word, '=');
    if (!file || file[1] == '\0')
        return command_fail(EXIT_USAGE, "mkflash: '%s' is not PARTITION=FILE", word);
    *file++ = '\0';
    part->label = word;
    part->name = base_name(file);
    part->p = command_read_file(file, &part->len, error, sizeof error);
    return part->p ? EXIT_DONE : command_fail(EXIT_BAD_IMAGE, "%s: %s", file, error);
}

static bool is_image(const flash_image_part_t *part)
{
    return part->len >= ESP_IMAGE_HEADER_LEN && part->p[0] == ESP_IMAGE_MAGIC;
}

/// For tables in which the bootloader has a row. What is no application is refused later.
static void find_bootloader_place(mkflash_options_t *o)
{
    uint16_t chip_id = o->chip_id;
    for (size_t i = 0; i < o->parts && chip_id == ESP_IMAGE_ANY_CHIP; i++)
        if (is_image(&o->part[i])) chip_id = load_le16(o->part[i].p + 12);
    if (o->bootloader_at == NO_PLACE) (void)esp_bootloader_place(chip_id, &o->bootloader_at);
}

/// The flash size in an image's header is what its bootloader goes by.
static void warn_of_sizes(const mkflash_options_t *o, const uint8_t *table, uint32_t size)
{
    uint32_t end = 0;
    for (const uint8_t *p = table; load_le16(p) == 0x50AA; p += ESP_PARTITION_ENTRY_LEN)
        end =
            (load_le32(p + 4) + load_le32(p + 8) > end) ? load_le32(p + 4) + load_le32(p + 8) : end;
    for (size_t i = 0; i < o->parts; i++) {
        const flash_image_part_t *part = &o->part[i];
        if (!is_image(part) || part->p[3] >> 4 > 7) continue;
        const uint32_t claim = (uint32_t)MB << (part->p[3] >> 4);
        if (claim > size)
            command_fail(EXIT_DONE, "warning: %s is made for %u MB of flash, this is %u MB",
                         part->name, claim / MB, size / MB);
        else if (claim < end && strcmp(part->label, "bootloader") == 0)
            command_fail(EXIT_DONE,
                         "warning: %s is made for %u MB of flash and will refuse partitions beyond",
                         part->name, claim / MB);
    }
}

// --- Making ---

static int make_table(const mkflash_options_t *o, const crypto_t *crypto,
                      uint8_t table[ESP_PARTITION_TABLE_LEN])
{
    char error[PARTITION_CSV_ERROR_CAP];
    uint32_t len;
    const partition_csv_cfg_t cfg = {
        .crypto = crypto,
        .table_at = o->table_at,
        .no_md5 = o->no_md5,
        .secure_v1 = o->secure_v1,
        .flash_size = o->size,
        .bootloader_at = (o->bootloader_at == NO_PLACE) ? NULL : &o->bootloader_at,
    };
    uint8_t *text = command_read_file(o->partitions, &len, error, sizeof error);
    const bool ok = text && partition_csv_parse(&cfg, text, len, table, error, sizeof error);
    free(text);
    return ok ? EXIT_DONE : command_fail(EXIT_BAD_IMAGE, "%s: %s", o->partitions, error);
}

static int make_flash(const mkflash_options_t *o, const crypto_t *crypto, const uint8_t *table)
{
    char error[FLASH_IMAGE_ERROR_CAP];
    const flash_image_cfg_t cfg = {
        .crypto = crypto,
        .table = table,
        .table_at = o->table_at,
        .part = o->part,
        .parts = o->parts,
        .boot = o->boot,
        .chip_id = o->chip_id,
        .size = o->size,
        .bootloader_at = (o->bootloader_at == NO_PLACE) ? NULL : &o->bootloader_at,
        .lenient = o->lenient,
        .any_table = true,
    };
    uint32_t size;
    uint8_t *flash = flash_image_build(&cfg, &size, error, sizeof error);
    if (!flash) return command_fail(EXIT_BAD_IMAGE, "%s", error);
    const int code = command_write_file(o->out, flash, size, o->force);
    free(flash);
    if (code != EXIT_DONE) return code;
    warn_of_sizes(o, table, size);
    printf("created %s: %u MB of flash, filled: %s", o->out, size / MB,
           o->parts ? "" : "nothing but the partition table");
    for (size_t i = 0; i < o->parts; i++)
        printf("%s%s", i ? ", " : "", o->part[i].label);
    putchar('\n');
    return EXIT_DONE;
}

static int make(mkflash_options_t *o, char **words)
{
    uint8_t table[ESP_PARTITION_TABLE_LEN];
    crypto_psa_t psa;
    crypto_t crypto;
    for (; words[o->parts]; o->parts++) {
        const int code = read_part(words[o->parts], &o->part[o->parts]);
        if (code != EXIT_DONE) return code;
    }
    if (!crypto_psa_init(&psa, &crypto))
        return command_fail(EXIT_FAILED, "the crypto library did not start");
    find_bootloader_place(o);
    int code = make_table(o, &crypto, table);
    if (code != EXIT_DONE) return code;
    if (!o->table_only) return make_flash(o, &crypto, table);
    code = command_write_file(o->out, table, sizeof table, o->force);
    if (code == EXIT_DONE) printf("created %s: a partition table\n", o->out);
    return code;
}

// --- Command ---

/// "8MB": a power of two, 1 to 128.
static bool parse_size(const char *text, uint32_t *size)
{
    char *end;
    const unsigned long mb = strtoul(text, &end, 10);
    const bool unit = strcasecmp(end, "MB") == 0 || strcasecmp(end, "M") == 0;
    *size = (uint32_t)mb * MB;
    return text[0] >= '1' && text[0] <= '9' && unit && mb <= 128 && (mb & (mb - 1)) == 0;
}

static int check(mkflash_options_t *o, bool contents)
{
    if (o->out[strcspn(o->out, "=/")] == '=')
        return command_fail(EXIT_USAGE, "mkflash: OUT is missing before %s (or write ./%s)", o->out,
                            o->out);
    if (!o->partitions) return command_fail(EXIT_USAGE, "mkflash: --partitions FILE is missing");
    if (o->flash_size && !parse_size(o->flash_size, &o->size))
        return command_fail(EXIT_USAGE, "mkflash: --flash-size: '%s' is not 1MB, 2MB, 4MB .. 128MB",
                            o->flash_size);
    if (o->table_at % KB4 != 0)
        return command_fail(EXIT_USAGE, "mkflash: --table-offset: 0x%x is not a multiple of 0x1000",
                            o->table_at);
    if (o->bootloader_at != NO_PLACE && o->bootloader_at % KB4 != 0)
        return command_fail(EXIT_USAGE,
                            "mkflash: --bootloader-offset: 0x%x is not a multiple of 0x1000",
                            o->bootloader_at);
    if (o->table_only && (contents || o->boot || o->lenient))
        return command_fail(EXIT_USAGE,
                            "mkflash: --table-only takes no images, --boot or --lenient");
    return command_chip("mkflash", o->chip, &o->chip_id);
}

static int run(mkflash_options_t *o, char **words)
{
    o->out = words[0];
    const int code = check(o, words[1] != NULL);
    return (code == EXIT_DONE) ? make(o, words + 1) : code;
}

int cmd_mkflash(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota mkflash OUT --partitions FILE [options] [PARTITION=IMAGE ...]\n\n"
        "Makes the complete content of a flash, for `isotp-ota device` or for esptool to write at 0: the\n"
        "partition table, an image for each PARTITION named by its label, blank (0xFF) elsewhere.\n"
        "Application partitions take application images that pass every check, bootloader=IMAGE goes\n"
        "where the chip looks for it, any other partition takes any file.\n";
    mkflash_options_t o = { .table_at = ESP_PARTITION_TABLE_AT, .bootloader_at = NO_PLACE };
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_TEXT, 0, "partitions", "FILE", &o.partitions,
          "the partition table: ESP-IDF's CSV, or binary", 0, 0 },
        { OPTION_TEXT, 0, "boot", "PARTITION", &o.boot,
          "the application that starts; default: factory,\nelse ota_0", 0, 0 },
        { OPTION_TEXT, 0, "flash-size", "SIZE", &o.flash_size,
          "1MB, 2MB, 4MB .. 128MB;\ndefault: the smallest that holds the partitions", 0, 0 },
        { OPTION_TEXT, 0, "chip", "NAME", &o.chip,
          "esp32, esp32c3, ...; default: what the images are for", 0, 0 },
        { OPTION_FLAG, 0, "lenient", NULL, &o.lenient,
          "take every application that ESP-IDF starts, for example\none without SHA-256", 0, 0 },
        { OPTION_FLAG, 0, "table-only", NULL, &o.table_only,
          "OUT is the binary partition table alone, 3072 bytes", 0, 0 },
        { OPTION_FLAG, 0, "force", NULL, &o.force, "overwrite OUT if it exists", 0, 0 },
        { OPTION_HEADING, 0, "If the project's configuration differs from ESP-IDF's defaults", NULL,
          NULL, NULL, 0, 0 },
        { OPTION_NUMBER, 0, "table-offset", "N", &o.table_at,
          "where the partition table lies; default 0x8000", KB4, 128 * MB - KB4 },
        { OPTION_NUMBER, 0, "bootloader-offset", "N", &o.bootloader_at,
          "where the bootloader lies; default: as the chip has it", 0, 128 * MB },
        { OPTION_FLAG, 0, "no-md5", NULL, &o.no_md5, "a partition table without MD5", 0, 0 },
        { OPTION_FLAG, 0, "secure-v1", NULL, &o.secure_v1,
          "applications of whole 64 KB, for Secure Boot V1", 0, 0 },
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    char **words = calloc((size_t)argc, sizeof *words);
    o.part = calloc((size_t)argc, sizeof *o.part);
    int code = EXIT_FAILED;
    if (!words || !o.part) {
        command_fail(code, "out of memory");
    } else {
        code = command_parse(usage, table, COUNT, argc, argv, (const char **)words, "OUT ...");
        if (code < 0) code = run(&o, words);
    }
    for (size_t i = 0; o.part && i < o.parts; i++)
        free((void *)o.part[i].p);
    free(o.part);
    free(words);
    return code;
}
