// esp_text.h - Espressif's formats in words: names of chips and partitions, errors as sentences.
// SPDX-License-Identifier: Apache-2.0
//
//     uint16_t chip_id;
//     if (!esp_text_find_chip("esp32c3", &chip_id)) fail("no such chip");
//     printf("%s: %s\n", esp_text_chip(chip_id), esp_text_image_err(err));
//
// Threads: pure functions. Memory: strings are constant unless the caller gives a buffer.
#ifndef ESP_TEXT_H
#define ESP_TEXT_H

#include "esp_chip.h"
#include "esp_image.h"
#include "esp_partition.h"

// --- Chips ---

/// The name for people, "ESP32-C3"; "unknown chip" when the number is nobody's.
const char *esp_text_chip(uint16_t chip_id);

/// The name for command lines, "esp32c3"; NULL when the number is nobody's.
const char *esp_text_chip_option(uint16_t chip_id);

/// Reads either name, in any case. False: no such chip.
bool esp_text_find_chip(const char *name, uint16_t *chip_id);

/// All names for command lines, with ", " between them: for error messages.
void esp_text_chip_options(char *text, size_t cap);

/// "flash code (IROM)" and so on.
const char *esp_text_region(esp_chip_region_t region);

// --- Images ---

/// What the error means, as a sentence without a full stop.
const char *esp_text_image_err(esp_image_err_t err);

/// The same with this image's figures in it, for example which chip it was built for.
void esp_text_image_why(const esp_image_t *im, char *text, size_t cap);

/// A revision, major * 100 + minor, as "v1.99". `text` holds at least 8 bytes. Returns text.
const char *esp_text_rev(uint16_t rev, char text[8]);

// --- Partitions ---

/// What the error means, as a sentence without a full stop.
const char *esp_text_partition_err(esp_partition_err_t err);

/// The keywords of partition CSV files; NULL when there is none for the number.
const char *esp_text_type(uint8_t type);
const char *esp_text_subtype(uint8_t type, uint8_t subtype);

/// Reads a keyword, in any case.
bool esp_text_find_type(const char *keyword, uint8_t *type);
bool esp_text_find_subtype(uint8_t type, const char *keyword, uint8_t *subtype);

/// The keywords of a type's subtypes with ", " between them; "" when it has none.
void esp_text_subtypes(uint8_t type, char *text, size_t cap);

// --- otadata ---

/// "new", "pending", "valid", "invalid", "aborted"; for any other number "undefined".
const char *esp_text_state(uint32_t state);

#endif
