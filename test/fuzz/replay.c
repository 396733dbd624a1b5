// replay.c - gives files to a fuzzer, one after the other: its main() where there is no libFuzzer.
// SPDX-License-Identifier: Apache-2.0
//
// usage: replay FILE... ; the path of each is printed before it runs, so the last one is the one that failed.
#include "fuzz.h"

enum { LEN_MAX = 1 << 16 };

int main(int argc, char **argv)
{
    static uint8_t bytes[LEN_MAX];
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        const size_t len = fread(bytes, 1, sizeof bytes, file);
        (void)fclose(file);
        printf("%s: %zu bytes\n", argv[i], len);
        (void)fflush(stdout);
        // A copy of just that length: the sanitizer then sees a read behind it.
        uint8_t *copy = malloc(len + 1);
        if (copy == NULL) return 1;
        for (size_t at = 0; at < len; at++)
            copy[at] = bytes[at];
        (void)LLVMFuzzerTestOneInput(copy, len);
        free(copy);
    }
    return argc > 1 ? 0 : 2;
}
