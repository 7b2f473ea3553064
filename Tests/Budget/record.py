#!/usr/bin/env python3
"""Records a load trace for `adaptq simulate` beside Debian's stress-ng: idle and loaded phases in turn.

record.py RECORDER OUTPUT.csv [--window MILLISECONDS] [--phase none:6] [--phase "cpu 1:10"] ...

RECORDER is the built record.c. A phase is stress-ng's option without dashes, a colon and seconds; "none:6" is idle. The machine
should do nothing else.
"""
import argparse
import os
import signal
import subprocess
import time

parser = argparse.ArgumentParser()
parser.add_argument("recorder")
parser.add_argument("output")
parser.add_argument("--window", type=int, default=50)
parser.add_argument("--phase", action="append")
parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
options = parser.parse_args()
phases = options.phase or ["none:6", "cpu 1:10", "none:5", "cpu 2:10", "none:5", "stream 2:10", "none:6"]

recorder = subprocess.Popen(
    [options.recorder, str(options.window)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    preexec_fn=lambda: os.sched_setaffinity(0, {options.cpu}))
assert recorder.stdout.readline() == "ready\n"
lines = []
for phase in phases:
    what, _, seconds = phase.partition(":")
    load = None
    if what != "none":
        name, workers = what.split()
        load = subprocess.Popen(["stress-ng", "--quiet", f"--{name}", workers], process_group=0)
        time.sleep(0.5)
    recorder.stdin.write(f"{int(float(seconds) * 1000) // options.window}\n")
    recorder.stdin.flush()
    while (line := recorder.stdout.readline()) != "end\n":
        lines.append(line)
    if load:
        os.killpg(load.pid, signal.SIGKILL)
        load.wait()
recorder.stdin.close()
recorder.wait()
with open(options.output, "w") as file:
    file.write(f"# {', '.join(phases)}: stress-ng's loads and seconds; windows of {options.window} ms\n")
    file.write("seconds,compute,memory,runs_ms,waits_ms\n")
    file.writelines(lines)
