// main.c - isotp-ota: finds the command; the commands do the rest (cmd_*.c).
// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *does;
} commands[] = {
    { "flash", cmd_flash, "update one device" },
    { "device", cmd_device, "be a simulated ESP32 on the bus" },
    { "info", cmd_info,
      "explain an image, a flash dump, a partition table or an otadata partition" },
    { "mkflash", cmd_mkflash, "make a complete flash image, or a partition table" },
    { "monitor", cmd_monitor, "show what is said on a bus, or in a log, in words" },
    { "scan", cmd_scan, "which devices answer, what they run, what their slots hold" },
    { "raw", cmd_raw, "one UDS request, and the response in words" },
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
    char text[5000], safe[ESCAPE_CAP(sizeof text)]; // a path of 4096 bytes and a sentence
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    escape_text(text, safe, sizeof safe);
    fprintf(stderr, "isotp-ota: %s\n", safe);
    return code;
}

// If a standard descriptor is closed, the next file to be opened takes its number, and what is printed
// goes into that file: into a flash file, for example. So they are taken, in a way in which any use
// fails.
static void take_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int run(int argc, char **argv)
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
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    return command_fail(EXIT_USAGE, "unknown command '%s'; isotp-ota --help lists them", name);
}

int main(int argc, char **argv)
{
    take_standard_descriptors();
    const int code = run(argc, argv);
    errno = 0;
    const bool lost = fflush(stdout) != 0 || ferror(stdout);
    // A result that could not be written is no result.
    if (!lost || code != EXIT_DONE) return code;
    // Without a reason it was an earlier write that failed.
    return command_fail(EXIT_FAILED, "done, but not all could be written to standard output%s%s",
                        errno ? ": " : "", errno ? strerror(errno) : "");
}
