// cmd_info.c - isotp-ota info: explains a file.
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "crypto_psa.h"
#include "info.h"

#include <stdlib.h>

int cmd_info(int argc, char **argv)
{
    static const char usage[] =
        "Usage: isotp-ota info [options] FILE\n\n"
        "Explains an ESP application or bootloader image, a flash dump, a partition table or an\n"
        "otadata partition; finds out by itself which of them FILE is.\n";
    bool json = false;
    const option_t table[] = {
        { OPTION_HEADING, 0, "Options", NULL, NULL, NULL, 0, 0 },
        { OPTION_FLAG, 0, "json", NULL, &json, "as one JSON object", 0, 0 },
    };
    enum { COUNT = sizeof table / sizeof table[0] };
    const char *file = NULL;
    char error[INFO_ERROR_CAP];
    const int code = command_parse(usage, table, COUNT, argc, argv, &file, "FILE");
    if (code >= 0) return code;
    uint32_t len;
    uint8_t *bytes = command_read_file(file, &len, error, sizeof error);
    if (!bytes) return command_fail(EXIT_BAD_IMAGE, "%s: %s", file, error);
    crypto_psa_t psa;
    crypto_t crypto;
    info_t *info = NULL;
    if (crypto_psa_init(&psa, &crypto))
        info = info_open(bytes, len, &crypto, error, sizeof error);
    else
        snprintf(error, sizeof error, "the crypto library did not start");
    if (info && json) info_json(info, stdout);
    if (info && !json) info_text(info, stdout);
    const bool ok = info != NULL;
    info_close(info);
    free(bytes);
    return ok ? EXIT_DONE : command_fail(EXIT_BAD_IMAGE, "%s: %s", file, error);
}
