// main.c - isotp-ota: finds the command; the commands do the rest (cmd_*.c).
// SPDX-License-Identifier: Apache-2.0
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    { "flash", cmd_flash, "update one device" },
    { "device", cmd_device, "be a simulated ESP32 on the bus" },
    { "info", cmd_info,
      "explain an image, a flash dump, a partition table or an otadata partition" },
    { "send", cmd_send, "send a file as it is, in the plain protocol" },
    { "probe", cmd_probe, "see whether anybody answers" },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(FILE *out)
{
    fprintf(out, "isotp-ota " VERSION
                 ": firmware updates for microcontrollers over CAN (ISO-TP, ISO 15765-2)\n\n"
                 "Usage: isotp-ota COMMAND [options]      isotp-ota COMMAND --help\n\nCommands:\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-8s%s\n", commands[i].name, commands[i].does);
    fprintf(out,
            "\nExit codes:\n"
            "  0 done                    4 the device refused\n"
            "  1 failed: the device      5 the file is not a usable image\n"
            "    runs what it ran        6 interrupted, can be resumed\n"
            "  2 wrong usage             7 the device came back with the old firmware\n"
            "  3 nobody answers, or no bus\n");
}

int command_fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("isotp-ota: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

int main(int argc, char **argv)
{
    const char *name = (argc > 1) ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0) {
        puts("isotp-ota " VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) {
            const int code = commands[i].run(argc - 1, argv + 1);
            // A result that could not be written is no result.
            if (fflush(stdout) != 0 && code == EXIT_DONE)
                return command_fail(EXIT_FAILED, "standard output: %s", strerror(errno));
            return code;
        }
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    return command_fail(EXIT_USAGE, "unknown command '%s'; isotp-ota --help lists them", name);
}
