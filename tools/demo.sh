#!/bin/sh
# demo.sh PROGRAM - updates a simulated ESP32-C3 over a simulated 500 kbit/s CAN bus, and breaks one update on purpose.
# SPDX-License-Identifier: Apache-2.0
set -eu
export LC_ALL=C
program=$(readlink -f "$1")
images=$(dirname "$(readlink -f "$0")")/../test/vectors/image
dir=$(mktemp -d "${TMPDIR:-/tmp}/isotp-ota-demo.XXXXXX")
bus="virtual:demo-$$"
device=
flasher=
shown=0

finish() {
    code=$?
    trap - EXIT INT TERM HUP
    if [ -n "$device" ]; then kill "$device" 2>/dev/null || true; fi
    if [ -n "$flasher" ]; then kill "$flasher" 2>/dev/null || true; fi
    wait
    rm -rf "$dir"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

step() {
    printf '\n== %s\n' "$*"
}

# The command as one would type it, then the command.
isotp_ota() {
    printf '$ isotp-ota %s\n' "$*"
    "$program" "$@"
}

# What the device printed since the last time.
show_device() {
    tail -n +"$((shown + 1))" device.log | sed 's/^/    device | /'
    shown=$(wc -l <device.log)
}

wait_for() {
    tries=0
    until tail -n +"$((shown + 1))" device.log | grep -q "$1"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ] || ! kill -0 "$device" 2>/dev/null; then
            show_device
            echo "demo.sh: the device did not say '$1'" >&2
            exit 1
        fi
        sleep 0.1
    done
    show_device
}

start_device() {
    printf '$ isotp-ota device --flash flash.bin --channel "%s?bitrate=500000" &\n' "$bus"
    "$program" device --flash flash.bin --channel "$bus?bitrate=500000" >device.log 2>&1 &
    device=$!
    shown=0
    wait_for listening
}

cd "$dir"
cp "$images/app_c3_v123.bin" firmware-1.2.3.bin
cp "$images/app_c3_v130.bin" firmware-1.3.0.bin

step "A simulated ESP32-C3: a 4 MB flash with two OTA slots, firmware 1.2.3 in the first"
isotp_ota device --create --flash flash.bin --app firmware-1.2.3.bin
start_device

step "Who is on the bus?"
isotp_ota scan --channel "$bus"

step "Update it to 1.3.0 over CAN"
isotp_ota flash --channel "$bus" firmware-1.3.0.bin
wait_for 'running partition: ota_1'

step "The other slot still holds 1.2.3; erase it, so that there is something to send"
isotp_ota raw --channel "$bus" 10 02
isotp_ota raw --channel "$bus" 31 01 FF 00

step "Back to 1.2.3. In the middle of it the device loses its power; flash waits for it, and goes on"
isotp_ota flash --channel "$bus" firmware-1.2.3.bin >flash.log 2>&1 &
flasher=$!
wait_for 'update: started'
sleep 1
kill -9 "$device"
wait "$device" 2>/dev/null || true
device=
echo "    (the plug is pulled, and put back)"
start_device
wait "$flasher"
flasher=
cat flash.log
wait_for 'self-test: passed'

step "Now break one: a byte of 1.3.0 is damaged. flash would not even send it:"
cp firmware-1.3.0.bin damaged.bin
printf '\377' | dd of=damaged.bin bs=1 seek=40000 conv=notrunc 2>/dev/null
isotp_ota flash --channel "$bus" damaged.bin || echo "(exit code $?)"
echo "send, which speaks the original example's protocol, does not look, so the device has to:"
isotp_ota send "$bus" damaged.bin || echo "(exit code $?)"
wait_for failed

step "Pull the plug and start it again: the old firmware survived"
kill "$device"
wait "$device" 2>/dev/null || true
device=
start_device

step "That was the flash file of a real ESP32:"
isotp_ota info flash.bin
