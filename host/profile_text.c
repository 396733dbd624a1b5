// profile_text.c - the built-in profiles, as text: see profile.h and docs/PROFILES.md.
// SPDX-License-Identifier: Apache-2.0
#include "profile.h"

static const char isotp_ota[] =
    "# isotp-ota: devices with this project's receiver (docs/PROTOCOL.md)\n"
    "id 7E0 7E8 7DF\n"
    "p2 50 5000           # ms, until the device says others\n"
    "margin 200           # ms, added to both for bus, adapter and scheduling\n"
    "pending-limit 600    # s that the device may say \"response pending\" to one request\n"
    "present 2000         # ms from one TesterPresent to the next\n"
    "block-max 4095       # bytes of a TransferData request, if the device allows\n"
    "block-retry 3        # how often a block without an answer is sent again\n"
    "request-retry 3      # how often any other request is\n"
    "rounds 4             # how often an update that broke off is taken up again without getting further\n"
    "connect 3            # s until the first answer\n"
    "reconnect 10         # s until an answer after the device fell silent\n"
    "unlock-limit 15      # s that a delay after wrong keys is waited out\n"
    "restart-delay 20     # ms from the reset to the first question\n"
    "restart-limit 30     # s until the device is back\n"
    "confirm-limit 10     # s until the new firmware has confirmed itself\n"
    "result FD01          # says why a download was refused\n"
    "\n"
    "# Who is there? Nothing changes until `again`.\n"
    "step read FD00 slots\n"
    "step read FD02 running\n"
    "step optional read FD03 next\n"
    "step read F181 project\n"
    "step read F189 version\n"
    "step optional read F180 text\n"
    "step optional read F18C text\n"
    "step optional read F191 text\n"
    "\n"
    "# Quiet on the bus: no DTCs, no normal messages. 80 + n: no answer wanted.\n"
    "step functional request 10 83\n"
    "step request 10 03\n"
    "step request 31 01 02 03 expect 71 01 02 03 00\n"
    "step functional request 85 82\n"
    "step functional request 28 83 01\n"
    "\n"
    "step again\n"
    "step request 10 02\n"
    "step security 01\n"
    "step optional request 2E F1 5A {date} {tester}\n"
    "step optional resume 31 01 F0 00\n"
    "step download 34 00 44 {address:4} {size:4}\n"
    "step transfer\n"
    "step request 37\n"
    "step request 31 01 02 02 expect 71 01 02 02 00\n"
    "step request 31 01 FF 01 expect 71 01 FF 01 00\n"
    "step request 11 01\n"
    "\n"
    "# The default session ends what 85 and 28 began.\n"
    "step restart 22 F1 86 expect 62 F1 86 01\n"
    "step functional request 10 81\n"
    "step verify FD02 running\n";

static const char standard[] =
    "# standard: the programming sequence of ISO 14229-1, with erase; nothing is resumed\n"
    "id 7E0 7E8 7DF\n"
    "p2 50 5000\n"
    "margin 200\n"
    "pending-limit 600\n"
    "present 2000\n"
    "block-max 4095\n"
    "block-retry 3\n"
    "restart-delay 500\n"
    "restart-limit 30\n"
    "address 0\n"
    "\n"
    "step optional read F189 version\n"
    "step functional request 10 83\n"
    "step request 10 03\n"
    "step request 31 01 02 03\n"
    "step functional request 85 82\n"
    "step functional request 28 83 01\n"
    "step request 10 02\n"
    "step optional security 01\n"
    "step optional request 2E F1 84 {date} {tester}\n"
    "step request 31 01 FF 00 44 {address:4} {size:4}\n"
    "step download 34 00 44 {address:4} {size:4}\n"
    "step transfer\n"
    "step request 37\n"
    "step request 31 01 02 02\n"
    "step request 31 01 FF 01\n"
    "step request 11 01\n"
    "step restart 22 F1 89\n"
    "step functional request 28 80 01\n"
    "step functional request 85 81\n"
    "step functional request 10 81\n"
    "step verify F189 version\n";

static const struct {
    const char *name, *text;
} builtin[] = { { "isotp-ota", isotp_ota }, { "standard", standard } };

enum { BUILTINS = sizeof builtin / sizeof builtin[0] };

const char *profile_name(unsigned i) { return (i < BUILTINS) ? builtin[i].name : NULL; }

const char *profile_builtin(const char *name)
{
    for (unsigned i = 0; i < BUILTINS; i++)
        if (strcmp(builtin[i].name, name) == 0) return builtin[i].text;
    return NULL;
}
