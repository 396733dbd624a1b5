// esp_chip.h - what the image checks must know of Espressif's chips: their memory and MMU.
// SPDX-License-Identifier: Apache-2.0
//
//     const uint16_t esp32_c3 = 5; // numbered as in esp_image_t.chip_id
//     const bool is_code = esp_chip_region(esp32_c3, 0x40380020) == ESP_CHIP_IRAM;
//
// Threads: pure functions. Memory: none. Time: a look through about 40 table rows.
#ifndef ESP_CHIP_H
#define ESP_CHIP_H

#include "base.h"

/// Kinds of memory that an application can be loaded to.
/// Memory for both code and data counts as code.
typedef enum {
    ESP_CHIP_NOWHERE, // none of these, or an unknown chip
    ESP_CHIP_DROM,    // flash, mapped for data
    ESP_CHIP_IROM,    // flash, mapped for code
    ESP_CHIP_DRAM,
    ESP_CHIP_IRAM,
    ESP_CHIP_RTC, // low-power memory
} esp_chip_region_t;

/// The kind of memory at an address of a chip.
esp_chip_region_t esp_chip_region(uint16_t chip_id, uint32_t addr);

/// Whether the chip's memory is known; if not, esp_chip_region() always says NOWHERE.
bool esp_chip_known(uint16_t chip_id);

/// Whether the chip's flash MMU has several page sizes. The image's descriptor then tells which one
/// it was linked for, and ESP-IDF insists on a descriptor. The others map pages of 64 KB.
bool esp_chip_has_page_sizes(uint16_t chip_id);

#endif
