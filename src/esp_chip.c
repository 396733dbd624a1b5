// esp_chip.c - the memory windows of Espressif's chips.
// SPDX-License-Identifier: Apache-2.0
//
// A chip that is not in the table is no error: an image for it is checked less closely.
#include "esp_chip.h"

typedef struct {
    uint16_t chip_id;
    uint16_t region; // esp_chip_region_t
    uint32_t low, high;
} window_t;

// What ESP-IDF calls SOC_IROM_LOW, SOC_IROM_HIGH and so on, with aliases of the same kind joined.
static const window_t WINDOWS[] = {
    { 0, ESP_CHIP_DROM, 0x3F400000, 0x3F800000 }, // ESP32
    { 0, ESP_CHIP_IROM, 0x400D0000, 0x40400000 },
    { 0, ESP_CHIP_DRAM, 0x3FFAE000, 0x40000000 },
    { 0, ESP_CHIP_IRAM, 0x40070000, 0x400C0000 },
    { 0, ESP_CHIP_RTC, 0x3FF80000, 0x3FF82000 },
    { 0, ESP_CHIP_RTC, 0x400C0000, 0x400C2000 },
    { 0, ESP_CHIP_RTC, 0x50000000, 0x50002000 },
    { 2, ESP_CHIP_DROM, 0x3F000000, 0x3FF80000 }, // ESP32-S2
    { 2, ESP_CHIP_IROM, 0x40080000, 0x40800000 },
    { 2, ESP_CHIP_DRAM, 0x3FFB0000, 0x40000000 },
    { 2, ESP_CHIP_IRAM, 0x40020000, 0x40070000 },
    { 2, ESP_CHIP_RTC, 0x3FF9E000, 0x3FFA0000 },
    { 2, ESP_CHIP_RTC, 0x40070000, 0x40072000 },
    { 2, ESP_CHIP_RTC, 0x50000000, 0x50002000 },
    { 5, ESP_CHIP_DROM, 0x3C000000, 0x3C800000 }, // ESP32-C3
    { 5, ESP_CHIP_IROM, 0x42000000, 0x42800000 },
    { 5, ESP_CHIP_DRAM, 0x3FC80000, 0x3FCE0000 },
    { 5, ESP_CHIP_IRAM, 0x4037C000, 0x403E0000 },
    { 5, ESP_CHIP_RTC, 0x50000000, 0x50002000 },
    { 9, ESP_CHIP_DROM, 0x3C000000, 0x3D000000 }, // ESP32-S3
    { 9, ESP_CHIP_IROM, 0x42000000, 0x44000000 },
    { 9, ESP_CHIP_DRAM, 0x3FC88000, 0x3FD00000 },
    { 9, ESP_CHIP_IRAM, 0x40370000, 0x403E0000 },
    { 9, ESP_CHIP_RTC, 0x50000000, 0x50002000 },
    { 9, ESP_CHIP_RTC, 0x600FE000, 0x60100000 },
    { 12, ESP_CHIP_DROM, 0x3C000000, 0x3C400000 }, // ESP32-C2
    { 12, ESP_CHIP_IROM, 0x42000000, 0x42400000 },
    { 12, ESP_CHIP_DRAM, 0x3FCA0000, 0x3FCE0000 },
    { 12, ESP_CHIP_IRAM, 0x4037C000, 0x403C0000 },
    { 13, ESP_CHIP_IROM, 0x42000000, 0x43000000 }, // ESP32-C6
    { 13, ESP_CHIP_IRAM, 0x40800000, 0x40880000 },
    { 13, ESP_CHIP_RTC, 0x50000000, 0x50004000 },
    { 16, ESP_CHIP_IROM, 0x42000000, 0x43000000 }, // ESP32-H2
    { 16, ESP_CHIP_IRAM, 0x40800000, 0x40850000 },
    { 16, ESP_CHIP_RTC, 0x50000000, 0x50001000 },
    { 18, ESP_CHIP_IROM, 0x40000000, 0x4C000000 }, // ESP32-P4
    { 18, ESP_CHIP_IRAM, 0x4FF00000, 0x4FFC0000 },
    { 18, ESP_CHIP_RTC, 0x50108000, 0x50110000 },
    { 20, ESP_CHIP_IROM, 0x42000000, 0x44000000 }, // ESP32-C61
    { 20, ESP_CHIP_IRAM, 0x40800000, 0x40860000 },
    { 23, ESP_CHIP_IROM, 0x42000000, 0x44000000 }, // ESP32-C5
    { 23, ESP_CHIP_IRAM, 0x40800000, 0x40860000 },
    { 23, ESP_CHIP_RTC, 0x50000000, 0x50004000 },
};

esp_chip_region_t esp_chip_region(uint16_t chip_id, uint32_t addr)
{
    for (size_t i = 0; i < sizeof WINDOWS / sizeof WINDOWS[0]; i++) {
        const window_t *w = &WINDOWS[i];
        if (w->chip_id == chip_id && addr >= w->low && addr < w->high) {
            return (esp_chip_region_t)w->region;
        }
    }
    return ESP_CHIP_NOWHERE;
}

bool esp_chip_known(uint16_t chip_id)
{
    for (size_t i = 0; i < sizeof WINDOWS / sizeof WINDOWS[0]; i++) {
        if (WINDOWS[i].chip_id == chip_id) return true;
    }
    return false;
}

bool esp_chip_has_page_sizes(uint16_t chip_id)
{
    switch (chip_id) {
    case 12: // ESP32-C2
    case 13: // ESP32-C6
    case 16: // ESP32-H2
    case 20: // ESP32-C61
        return true;
    default: return false;
    }
}
