// whole_file.h - writes a file whole or not at all.
// SPDX-License-Identifier: Apache-2.0
//
//     if (!whole_file_write("flash.bin", bytes, len)) fail(strerror(errno));
//
// Threads: none inside. Memory: the stack.
#ifndef WHOLE_FILE_H
#define WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/// What was there stays until the new one, written beside it, takes its place. Signals that end the
/// program wait meanwhile. False: errno says why, and nothing has changed.
bool whole_file_write(const char *path, const void *bytes, size_t len);

#endif
