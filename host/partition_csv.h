// partition_csv.h - makes a partition table from the CSV dialect of ESP-IDF's gen_esp32part.py.
// SPDX-License-Identifier: Apache-2.0
//
//     uint8_t table[ESP_PARTITION_TABLE_LEN];
//     char error[PARTITION_CSV_ERROR_CAP];
//     const partition_csv_cfg_t cfg = { .crypto = &crypto };
//     if (!partition_csv_parse(&cfg, text, len, table, error, sizeof error))
//         fail(error); // "line 3: ..."
//
// Gives the tool's table, byte for byte, or an error where it gives one. A file that is a binary table
// already is checked likewise, and by the rules of ESP-IDF's bootloader. Not there: extra subtypes from
// a build.
//
// Threads: none inside. Memory: allocated and freed within the call. The environment's variables
// are read: $NAME in a file stands for one, as in ESP-IDF.
#ifndef PARTITION_CSV_H
#define PARTITION_CSV_H

#include "esp_partition.h"

typedef struct {
    const crypto_t *crypto; // for the MD5 record
    uint32_t table_at;      // where the table will lie, 0: ESP_PARTITION_TABLE_AT
    bool no_md5;            // leave the MD5 record out
    bool secure_v1;         // apps are whole 64 KB, as Secure Boot V1 wants them
    uint32_t flash_size;    // bytes that the partitions must fit in, 0: not checked
    // Where bootloaders lie, for rows of type bootloader; NULL: not known.
    const uint32_t *bootloader_at;
    const uint32_t *recovery_at;
} partition_csv_cfg_t;

enum { PARTITION_CSV_ERROR_CAP = 320 };

/// Reads the `len` bytes of a CSV file, or of a binary table (AA 50 ..), and writes the table. False:
/// `error` holds one line without a newline that says where and what is wrong, and what to do.
bool partition_csv_parse(const partition_csv_cfg_t *cfg, const void *text, size_t len,
                         uint8_t table[ESP_PARTITION_TABLE_LEN], char *error, size_t cap);

#endif
