// flash_file.h - a file that behaves like a NOR flash: the simulated device's memory.
// SPDX-License-Identifier: Apache-2.0
//
// Every operation is in the file when it returns, so that killing the process is like cutting
// the power.
#ifndef FLASH_FILE_H
#define FLASH_FILE_H

#include "flash.h"

typedef struct {
    int fd;
    uint32_t size;
    double slowness; // 0: no delay; 1: typical times of a W25Q flash: 45 ms a sector, 0.4 ms a page
    uint32_t operation; // read: programs and erases so far
    uint32_t cut_at;    // the power fails in the middle of this one; 0: never
    bool cut;           // read: it did; from now on every operation fails
} flash_file_t;

enum {
    FLASH_FILE_SECTOR = 4096,
    FLASH_FILE_LONGEST = 50000, // microseconds of one operation, at slowness 1
};

/// Opens an existing file and locks it. False: `error` holds one line.
bool flash_file_open(flash_file_t *f, const char *path, flash_t *out, char *error, size_t cap);
void flash_file_close(flash_file_t *f);

/// True while another process, or this one, has it open by flash_file_open().
bool flash_file_in_use(const char *path);

#endif
