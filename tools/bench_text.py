"""bench_text.py - what bench_update.py writes besides its figures: words, models as the sources have them, plots."""
# SPDX-License-Identifier: Apache-2.0
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README_BEGIN = "<!-- Written by ./run bench -->\n"
README_END = "<!-- End of what ./run bench writes -->\n"

HEAD = """\
# Benchmarks

How long updates take, beside what the bus allows. Written by `./run bench`; do not edit it. The figures come from a
simulated world (`sim/sim_world.h`) in virtual time: the same sources give the same figures on any machine, and
`check.bench` fails when a row that is quick to compute is no longer what this page says. One update of your own:
`./run bench size=300K bitrate=250k traffic=45 loss=0.05`; the words are explained in `test/world/bench_update.c`.

![Throughput over time](throughput.svg)

![Time over image size](update-time.svg)

## What is measured

The *time* runs from the host's first frame until the host has its verdict: for `uds` until the device has restarted and
has been asked what it runs, for `header` and `plain` until the status message says that the image is verified. The host is the
real one (`host/flasher.h`, `host/sender.h`), the device the real receiver (`src/receiver.h`) with its update engine and boot
selection; both are machines that only see frames and the time.

The *limit* is what no protocol can beat: the bytes of the image in consecutive frames of full length, one directly behind
the other, with the stuff bits that these very bytes cause and the three bits between frames; no first frame, no flow
control, no answer. *x limit* is time divided by limit. *flash s* is how long the flash works, erasing and programming,
in all; where that is more than the limit, the bus cannot be the measure, and *x slower* divides by the larger of the two.

What is modelled, with its times:

- The bus, to the bit: frame lengths with stuff bits, arbitration, acknowledgement, error frames and repetition, both bit
  rates of CAN FD. Time counts in nanoseconds.
- Flash that blocks the processor while it works, from the vendors' data sheets:
"""

PORTS = """\
- The way between controller and program. The *usual* device is an ESP32 whose CAN interrupt and its code are in RAM, so that it
  works while flash is written; with CAN FD a controller with more memory takes its place.
"""

DEVICE = """\
- The device computes: SHA-256 at {hash} MB/s, and {boot} ms from reset to its first frame, besides the verification of the image
  at the start. Restarts and the trial of the new firmware are part of the time of `uds`.
- Frames of others are of higher priority, mostly, with 8 random bytes each. Frames are lost behind the controller, each
  node for itself: who sent them believes that they arrived.
- The other slot holds an older image, so that every sector must be erased.
- *ESP-IDF example*: device and sender of the example that this project began with, by what was published of them
  (`test/world/example.h`): messages of 4095 bytes, BS 8, STmin 1 ms, a loop that looks for a message every millisecond and then
  writes it, an interrupt that waits for flash, a sender in Python that handles the bus once in 1.1 ms. No answers: its sender
  reports success whatever happened. The published code never ends a transfer, so no update took effect; here it
  ends with the short message.

What is not modelled: a processor that is busy with other things than the update; a host that is (its delays are constant);
bit errors on the wire (a lost frame stands for them; controllers repeat disturbed frames, which takes a frame's time);
flash that suspends an erase; caches, and code that runs slower while flash is busy; signatures. The figures have not been compared
with real hardware.
"""

UNITS = {"NSEC_US": 1, "NSEC_MS": 1000}


def source(path):
    return (ROOT / path).read_text()


def microseconds(text):
    """`10 * NSEC_US`, and what is missing."""
    match = re.fullmatch(r"(\d+) \* (NSEC_\w+)", text or "0 * NSEC_US")
    return int(match[1]) * UNITS[match[2]]


def flash_table():
    yield "  | flash | erase 4096 bytes | at most | program 256 bytes | at most | endurance |"
    yield "  |---|--:|--:|--:|--:|--:|"
    row = re.compile(r'\{ "(\w+25q)", \d+, \d+, (\d+), (\d+), (\d+), (\d+), \d+, (\d+) \}')
    for name, *times, endurance in row.findall(source("sim/sim_flash_text.c")):
        cells = [f"{int(time) / 1000:g} ms" for time in times]
        yield f"  | {name.upper()} | {' | '.join(cells)} | {endurance} |"
    yield ""
    yield "  *Worn* flash lies between typical and maximum, in proportion to the wear of the sector."


def port_table():
    yield "  | port | FIFO | to the interrupt | queue | to the loop | a call | to send |"
    yield "  |---|--:|--:|--:|--:|--:|--:|"
    for name, text in re.findall(r"const sim_port_t sim_port_(\w+) = \{(.*?)\};", source("sim/sim_world.c"), re.S):
        field = dict(re.findall(r"\.(\w+) = ([^,]+),", text))
        if name != "none":
            fifo = field["fifo"]
            fifo = "-" if "MAX" in fifo else f"{eval(fifo)} bytes"  # a product of two numbers
            times = [f"{microseconds(field.get(key))} us" for key in ("interrupt", "wake", "call", "send")]
            yield f"  | {name} | {fifo} | {times[0]} | {field['queue']} | {times[1]} | {times[2]} | {times[3]} |"


def head():
    device = source("sim/sim_device.c")
    hash_rate = int(re.search(r"\.hash_rate = (\d+)", device)[1]) / 1000000
    boot = re.search(r"\.boot = (\d+) \* USEC_MS", device)[1]
    text = DEVICE.format(hash=f"{hash_rate:g}", boot=boot)
    return [*HEAD.splitlines(), *("", *flash_table(), ""), *PORTS.splitlines(), "", *port_table(), "", *text.splitlines()]


EXPLAIN = {
    "bit rate": """\
*limit*: the bytes of the image in frames back to back. *flash*: how long it works. *x slower*: time
divided by the larger of the two.
""",
    "what varies": """\
The base case is 1 MiB, 500 kbit/s, typical flash, uds; one thing at a time is different. A device
asks for a block size or a gap if it cannot keep up, and its flow control has to wait while flash
works. *In flash* is where the code of an interrupt may lie: then it waits, too. *Idle*: of the bus.
""",
    "": """\
Frames: *data* with bytes of the image, *flow* control, *other* ones of the update, *traffic* of others,
*errors*. Else the bus is idle: the device waits for *flash*, computes (*device*), does its *restart*
(and nobody acknowledges frames); or *idle* for other reasons: latencies, timers, gaps of the host's.
""",
}


def readme_paragraph(base, header, example):
    """base, header, example: rows of the benchmark."""
    return (
        f"By `./run bench`, in a simulated world: an image of 1 MiB over 500 kbit/s takes {base['time']:.1f} s by UDS with everything\n"
        f"around it, {base['ratio']:.3f} times what its bytes alone need on the wire ({header['ratio']:.3f} by `header`); flash that is\n"
        f"written meanwhile costs {base['flash']:.1f} s of that. The ESP-IDF example that this project began with takes {example['time']:.0f} s.\n"
        "Other sizes, bit rates, flash, losses and loads: [docs/BENCHMARKS.md](docs/BENCHMARKS.md).\n")


# --- Plots ---

PLOT = """\
set terminal svg size 820,{height} fixed enhanced font "Helvetica,14" linewidth 1 background rgb "white" name "{name}"
set output "{output}"
set border 3
set tics nomirror out
set grid linecolor rgb "#dddddd" linetype 1 linewidth 1
"""
# Colours that differ in brightness, too (Okabe and Ito), each with marks of its own.
COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00")
MARKS = (7, 6, 9, 4, 13, 2)


def gnuplot(name, height, script):
    output = ROOT / f"docs/{name}.svg"
    begin = PLOT.format(name=name.replace("-", "_"), height=height, output=output)
    done = subprocess.run(["gnuplot"], input=begin + script, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"gnuplot: {done.stderr}")
    # The version of gnuplot is of no interest, and would be the only thing to change.
    text = re.sub(r"<desc>.*?</desc>\n?", "", output.read_text(), flags=re.S)
    output.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def block(name, points):
    lines = "\n".join(" ".join(f"{number:.3f}" for number in point) for point in points)
    return f"${name} << EOD\n{lines}\nEOD\n"


def windows(points, width, end):
    """[(middle of a window, kB/s in it)], up to the one in which nothing comes any more, or `end`."""
    def bytes_at(time):
        before = (0.0, 0.0)
        for point in points:
            if point[0] >= time:
                part = (time - before[0]) / (point[0] - before[0]) if point[0] > before[0] else 1
                return before[1] + part * (point[1] - before[1])
            before = point
        return before[1]
    at, count = 0.0, 0
    while at < min(end, points[-1][0] + width):
        yield at + width / 2, (bytes_at(at + width) - bytes_at(at)) / width / 1000
        count += 1
        at = count * width


def plot_throughput(progress, limit):
    """progress: {protocol: [(seconds, bytes)]}, limit: bytes/s."""
    end, width = 41, 1
    script, curves = "", []
    for index, (name, points) in enumerate(progress.items()):
        script += block(name, windows(points, width, end))
        style = f'linecolor rgb "{COLOURS[index]}" linewidth 1.5'
        curves.append(f"${name} with lines {style} dashtype {index + 1} notitle")
        # Marks in turn: lines that coincide stay apart.
        curves.append(f'${name} every 4::{index} with points {style} pointtype {MARKS[index]} pointsize 0.8 notitle')
        curves.append(f'NaN with linespoints {style} dashtype {index + 1} pointtype {MARKS[index]} pointsize 0.8 '
                      f'title "{"ESP-IDF example" if name == "example" else name} ({points[-1][0]:.1f} s)"')
    gnuplot("throughput", 460, script + f"""
set title "Throughput of an update: 1 MiB, 500 kbit/s, typical W25Q flash"
set xlabel "time in s"
set ylabel "bytes of the image in kB/s, over {width} s each"
set xrange [0:{end}]
set yrange [0:34]
set key at 7,26 left top Left reverse samplen 3 spacing 1.2 title "protocol (time of the whole update)" left
set label 2 "until {progress['example'][-1][0]:.0f} s" at {end},7 right
set arrow 1 from 0,{limit / 1000:.3f} to {end},{limit / 1000:.3f} nohead dashtype 2 linewidth 1 linecolor rgb "#555555"
set label 1 "limit: {limit / 1000:.1f} kB/s, frames back to back" at {end},{limit / 1000:.3f} right offset 0,0.7
plot {", ".join(curves)}
""")


def plot_sizes(curves):
    """curves: [(bit rate, rows, one for each size)]."""
    script, plots = "", []
    for index, (name, rows) in enumerate(curves):
        script += block(f"r{index}", [(row["len"] / 1024, row["time"], row["limit"]) for row in rows])
        style = f'linecolor rgb "{COLOURS[index]}" linewidth 1.2'
        plots.append(f"$r{index} using 1:3 with lines {style} dashtype 2 notitle")
        plots.append(f'$r{index} using 1:2 with linespoints {style} dashtype 1 pointtype {MARKS[index]} pointsize 0.8 '
                     f'title "{name}"')
    script += block("flash", [(row["len"] / 1024, row["flash_time"]) for row in curves[-1][1]])
    gnuplot("update-time", 560, script + f"""
set title "Time of an update by UDS over the size of the image, typical W25Q flash"
set xlabel "image in KiB"
set ylabel "time in s"
set logscale x 2
set logscale y 10
set xrange [14:9500]
set yrange [0.03:1500]
set format y "%g"
set key outside right top Left reverse samplen 3 spacing 1.3
plot {", ".join(plots)}, NaN with lines linecolor rgb "#555555" dashtype 2 title "limit of each:", NaN with lines linecolor rgb "white" title "frames back to back", \\
     $flash with lines linecolor rgb "#555555" dashtype 3 linewidth 2.5 title "flash alone"
""")
