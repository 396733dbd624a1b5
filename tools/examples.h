// examples.h - what the examples on top of the headers leave to the reader: see check_examples.py.
// SPDX-License-Identifier: Apache-2.0
//
// The header is included before this file. What only its example needs stands under EXAMPLE_<its name>.
#include "base.h"

extern uint8_t digest[32], record[32];
extern const uint8_t *data;
extern uint32_t len, total;
extern char error[400];

usec_t now(void);
void sleep_until(usec_t deadline);
_Noreturn void fail(const char *text);
uint32_t read_piece(const uint8_t **piece);

#if defined EXAMPLE_isotp || defined EXAMPLE_receiver || defined EXAMPLE_README || defined EXAMPLE_bus ||              \
    defined EXAMPLE_bus_log || defined EXAMPLE_can_bits || defined EXAMPLE_can_kernel
#include "can.h"
extern can_frame_t frame, in;
extern const can_frame_t *out;
bool can_receive(can_frame_t *to);
bool can_send(const can_frame_t *from);
#endif

#if defined EXAMPLE_esp_boot || defined EXAMPLE_ota || defined EXAMPLE_ota_boot || defined EXAMPLE_ota_select || defined EXAMPLE_esp_partition
#include "esp_partition.h"
extern const flash_t flash;
extern esp_layout_t layout;
#endif

#if !defined EXAMPLE_crypto_psa
#include "crypto.h"
extern const crypto_t crypto;
#endif

#if defined EXAMPLE_flasher || defined EXAMPLE_sender || defined EXAMPLE_device
#include "drive.h"
extern bus_t *bus;
#endif

#if defined EXAMPLE_info || defined EXAMPLE_json_out || defined EXAMPLE_escape || defined EXAMPLE_flash_image
#include "esp_image.h"
#endif

#if defined EXAMPLE_isotp
extern isotp_t tp;
extern const isotp_cfg_t cfg;
void forget_message(isotp_why_t why);
void expect(uint32_t bytes);
void store(uint32_t at, const uint8_t *p, uint32_t bytes);
void handle_message(void);
void release_message(void);
uint32_t room(void);

#elif defined EXAMPLE_isotp_node
extern isotp_node_t node;
extern isotp_t physical, functional;
extern can_frame_t frame;
bool can_receive(can_frame_t *to);
void handle(isotp_t *tp, isotp_events_t ev);

#elif defined EXAMPLE_receiver || defined EXAMPLE_README
extern receiver_t r;
extern uint8_t ring[8192];
extern const receiver_cfg_t cfg;
_Noreturn void restart(void);

#elif defined EXAMPLE_ring
extern ring_t ring;
extern uint8_t memory[8192];
extern uint32_t len;
uint32_t store_some_of(const uint8_t *p, uint32_t bytes);

#elif defined EXAMPLE_uds
void explain(uds_nrc_t nrc);

#elif defined EXAMPLE_receiver_uds
extern receiver_t r;
extern receiver_events_t events;
extern isotp_events_t isotp_events;

#elif defined EXAMPLE_ota_slot
extern const ota_cfg_t cfg;
void show(const char *project, const char *version, unsigned state);

#elif defined EXAMPLE_access_psa
extern const uint8_t secret[32], seed[ACCESS_SEED_LEN];
extern uint8_t key[ACCESS_KEY_LEN];

#elif defined EXAMPLE_access
extern access_t access;
extern uint8_t level;

#elif defined EXAMPLE_ident
#include "uds.h"
extern ident_t ident;
void say_unknown(void);
void say_failed(void);

#elif defined EXAMPLE_stream
extern stream_t s;
extern ring_t ring;
extern uint32_t message_len;
extern bool the_one_before_broke;
bool image_is_complete(void);
void begin_image(uint32_t size);
void give_image_up(stream_why_t why);
uint32_t store_some_of(const uint8_t *p, uint32_t bytes);

#elif defined EXAMPLE_ota
extern ota_t ota;
extern const ota_cfg_t cfg;
extern uint32_t size_or_0;
extern size_t at;

#elif defined EXAMPLE_ota_boot
extern const ota_cfg_t cfg;
_Noreturn void halt(void);
_Noreturn void jump_to(int slot);

#elif defined EXAMPLE_ota_select
extern unsigned count, slot;

#elif defined EXAMPLE_esp_boot
_Noreturn void reset(void);
_Noreturn void run(int slot);

#elif defined EXAMPLE_esp_image
extern uint32_t slot_size;

#elif defined EXAMPLE_esp_partition
_Noreturn void no_table(void);
void use_slot(uint32_t at, uint32_t size);

#elif defined EXAMPLE_flash
extern int spi;
int spi_read(void *ctx, uint32_t at, void *p, uint32_t bytes);
int spi_prog(void *ctx, uint32_t at, const void *p, uint32_t bytes);
int spi_erase(void *ctx, uint32_t at);

#elif defined EXAMPLE_bus
extern bus_event_t event;
void ask_later(void);
void handle(bus_event_t what, const can_frame_t *which);

#elif defined EXAMPLE_bus_log
usec_t wall_clock(void);

#elif defined EXAMPLE_can_bits
extern double seconds;

#elif defined EXAMPLE_can_hub
#include <unistd.h>
extern int listener;

#elif defined EXAMPLE_can_kernel
#include <sys/socket.h>
extern int fd;

#elif defined EXAMPLE_device
extern device_t d;
extern const device_cfg_t cfg;
extern device_start_t start;

#elif defined EXAMPLE_escape || defined EXAMPLE_json_out
#include <stdio.h>
extern esp_image_t image;

#elif defined EXAMPLE_esp_bootloader
extern const uint8_t *image;
extern uint32_t slot_size;

#elif defined EXAMPLE_esp_sign
#include "esp_image.h"
#include <stdio.h>
extern esp_image_t image;
extern const uint8_t *file;

#elif defined EXAMPLE_esp_text
#include <stdio.h>
extern esp_image_err_t err;

#elif defined EXAMPLE_flash_bytes
extern uint8_t *p, entry[32];

#elif defined EXAMPLE_flash_image
#include <stdlib.h>
extern uint8_t *table, *image;

#elif defined EXAMPLE_sender
#include <stdlib.h>
extern sender_t f;
extern const sender_cfg_t cfg;
extern const uint8_t *image;
void explain(sender_why_t why, uint8_t result);
MACHINE_VERBS(sender);

#elif defined EXAMPLE_flasher
extern flasher_t f;
extern const flasher_cfg_t cfg;
extern uint8_t key[64];
uint32_t key_for(uint8_t level, const uint8_t *seed, uint8_t *to);
void explain(flasher_why_t why);
MACHINE_VERBS(flasher);

#elif defined EXAMPLE_flasher_steps
extern flasher_t f;
extern flasher_events_t events;
extern bool refused;

#elif defined EXAMPLE_flasher_text
#include <stdio.h>
extern flasher_t f;
const char *words_for(uint8_t result);

#elif defined EXAMPLE_profile
extern profile_t profile;
extern profile_values_t values;
extern uint8_t request[256];
void send_request(const uint8_t *bytes, uint32_t count);

#elif defined EXAMPLE_info
extern const uint8_t *bytes;

#elif defined EXAMPLE_partition_csv
extern const char *text;

#elif defined EXAMPLE_whole_file
#include <errno.h>
#include <string.h>
extern const uint8_t *bytes;

#elif defined EXAMPLE_bundle
extern const uint8_t *bytes;

#elif defined EXAMPLE_bus_log_read
extern can_frame_t frame;
extern usec_t at;
void use(const can_frame_t *what, usec_t when);

#elif defined EXAMPLE_report
#include "bus.h"
extern bus_t *bus;
extern int argc;
extern char **argv;
extern int code;
extern const char *text;
extern bus_cfg_t bus_cfg;

#elif defined EXAMPLE_tester
#include "drive.h"
extern bus_t *bus;
extern tester_t t;
extern const tester_cfg_t cfg;
extern const uint8_t *request;
void use(uint32_t from, const uint8_t *message, uint32_t bytes);
MACHINE_VERBS(tester);

#elif defined EXAMPLE_trace
#include <stdio.h>
extern can_frame_t frame;
void print_line(void *ctx, const trace_line_t *line);

#elif defined EXAMPLE_uds_server
extern uds_server_t s;
extern const uds_server_cfg_t cfg;
extern uint32_t message_len;
extern const uint8_t *out;
void keep_block_data(const uint8_t *bytes, uint32_t count);
bool takes_long(const uds_call_t *call);
uds_nrc_t do_it(uds_server_t *server, const uds_call_t *call);
bool start_sending(const uint8_t *message, uint32_t message_len);

#elif defined EXAMPLE_uds_text
#include <stdio.h>
extern const uint8_t *message;
extern uint8_t nrc;


#elif defined EXAMPLE_uds_client
extern uds_client_t c;
extern const uds_client_cfg_t cfg;
extern const uint8_t *request, *message;
extern uds_client_events_t ev;
void send_again(const uint8_t *what);
void send_to_all(uint8_t sid, uint8_t sub_function);
void use(const uint8_t *response, uint32_t bytes);
void explain(int why);

#elif defined EXAMPLE_utf8
#include <stdio.h>
#include <stdlib.h>
extern const uint8_t *bytes;
#endif

#if defined EXAMPLE_machine
#include "receiver.h"
extern unsigned events;
extern receiver_t r;
MACHINE_VERBS(receiver);
#endif

#if defined EXAMPLE_sim_flash || defined EXAMPLE_sim_bus || defined EXAMPLE_sim_world || defined EXAMPLE_sim_device
extern uint64_t seed, until;
#endif
#if defined EXAMPLE_sim_bus
extern can_frame_t frame;
void receive(const can_frame_t *f);
#elif defined EXAMPLE_sim_world
extern machine_t tester, device;
extern sim_flash_t sim;
void handle(unsigned tester_events, unsigned device_events);
#elif defined EXAMPLE_sim_device
extern const uint8_t *image;
extern sim_world_t world;
void handle(unsigned events);
#endif

#if defined EXAMPLE_counter
extern struct efuse_t {
    int none;
} efuse;
int efuse_read(void *ctx, uint32_t *value);
int efuse_raise(void *ctx, uint32_t value);
#endif
