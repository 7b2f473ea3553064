#!/usr/bin/env python3
"""Products of a matrix: adaptq's C function against other libraries, in one run.

compare.py PROGRAM [--peer PYTHON] [--libraries onnxruntime,torch,openvino,ggml] [--limits ADAPTQ] [--shapes 384x384,...]
           [--cases 1m,1,8,...] [--levels 8,4] [--codes] [--rounds R] [--samples S] [--microseconds U] [--cpu CPU]

PROGRAM is the built calls.c, PYTHON an interpreter that has the libraries (peer.py), ADAPTQ the command line tool, which says
what the machine gives. Everyone runs in a process of its own, bound to the same CPU, one at a time: in each round each measures
while the others wait, and who begins changes. A round gives the median of its samples; the figures are medians of rounds, and
ratios medians of the rounds' ratios. A case is a number of rows; with an m behind it weights come from memory.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "Peers"))
from contestants import ONE_THREAD, Contestant, interleaved, load, medians, times_faster  # noqa: E402

# What a level is compared with: whatever is stored with about as many bits; nobody else has six but ggml.
KINDS = {32: ("fp32",), 16: ("bf16", "fp16"), 8: ("int8",), 6: ("int6", "int8"), 4: ("int4",), 2: ("int2",)}
WIDTH = 12


def level_name(level):
    return f"adaptq-{'FP' if level > 8 else 'INT'}{level}"


def row(title, cells):
    print(f"{title:28}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))


class Limits:
    """What the machine gives, from `adaptq bench --limits`, asked several times during the run."""

    def __init__(self, program, cpus):
        self.program, self.cpus, self.answers = program, cpus, []

    def measure(self):
        # With all CPUs of this process: it binds itself to the last one, and wants another one for parallel regions.
        command = [self.program, "bench", "--limits"]
        text = subprocess.run(command, capture_output=True, text=True, check=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, self.cpus)).stdout
        self.answers.append(json.loads(text))

    def rates(self):
        found = {}
        for answer in self.answers:
            for limit in answer["limits"]:
                found.setdefault((limit["name"], limit["unit"]), []).append(limit["median"])
        return {name: statistics.median(values) for name, values in found.items()}

    def show(self):
        for (name, unit), rate in self.rates().items():
            print(f"  {name:28}{rate:10.1f} {unit}")
        regions = [a["parallel_region"] for a in self.answers if a["parallel_region"]]
        if regions:
            median, late = (statistics.median(r[key] for r in regions) / 1000 for key in ("median_ns", "p95_ns"))
            print(f"  empty parallel region, 2 threads{median:6.2f} us (95th percentile {late:.2f})")

    def read(self, place):
        return self.rates().get((f"read from {place}", "GB/s"))

    def arithmetic(self, level):
        """Level FP16 is computed in fp32 or, where the library does so, in bf16: the faster one is the limit."""
        rates = self.rates()
        if level == 8 and not any(name == "vpdpbusd" for name, _ in rates):
            return max((rate for (name, unit), rate in rates.items() if unit == "GOP/s" and "vpmaddwd" in name), default=None)
        names = {32: ("fp32",), 16: ("fp32", "vdpbf16ps", "bf16")}.get(level, ("vpdpbusd", "vpmaddubsw"))
        return max((rate for (name, _), rate in rates.items() if name.startswith(names)), default=None)

    def shortest(self, n, k, case, level):
        """The nanoseconds of what takes longer, reading or arithmetic, and a letter for it."""
        bytes_read = n * k * level / 8 + (0 if level > 8 else n * ((k + 63) // 64) * 4)
        machine = self.answers[0]["machine"]
        place = ("memory" if case.endswith("m") or bytes_read > 0.75 * machine["l3_bytes"] else
                 "L3" if bytes_read > 0.75 * machine["l2_bytes"] else "L2")
        operations = 2 * n * k * int(case.rstrip("m"))
        times = []
        if self.read(place):
            times.append((bytes_read / self.read(place), {"memory": "M", "L3": "3", "L2": "2"}[place]))
        if self.arithmetic(level):
            times.append((operations / self.arithmetic(level), "A"))
        return max(times, default=None)


def compare(options, n, k, limits):
    levels = [int(level) for level in options.levels.split(",")]
    cases = options.cases.split(",")
    command = [options.program, str(n), str(k), options.cases, options.levels] + (["codes"] if options.codes else [])
    contestants = [Contestant(command)]
    # Peers say what they cannot do; kinds that are compared with nothing are not measured.
    kinds = [kind for level in levels for kind in KINDS[level]] + (["bytes"] if options.codes else [])
    if options.peer:
        for library in options.libraries.split(","):
            contestants.append(Contestant(
                [options.peer, "-W", "ignore", f"{here}/peer.py", library, str(n), str(k), options.cases, ",".join(kinds)],
                ONE_THREAD))
    if limits:
        limits.measure()
    begun = load()
    rounds = interleaved(contestants, options.rounds, f"{options.samples} {options.microseconds * 1000}")
    if limits:
        limits.measure()
    for contestant in contestants:
        contestant.end()

    print(f"\n{n} outputs, {k} inputs, one thread on CPU {options.cpu}: {options.rounds} interleaved rounds, medians")
    print(f"{', '.join(c.version for c in contestants)}; {begun}, then {load()}")
    row("us per call, rows:", cases)
    middle = medians(rounds)
    names = list(dict.fromkeys(name.split("@")[0] for c in contestants for name in c.names))
    for name in names:
        row(name, (f"{middle[f'{name}@{case}'] / 1000:.2f}" if f"{name}@{case}" in middle else "-" for case in cases))
    if limits:
        row("share of the limit", ())
        for level in levels:
            cells = []
            for case in cases:
                shortest = limits.shortest(n, k, case, level)
                cells.append(f"{100 * shortest[0] / middle[f'{level_name(level)}@{case}']:.0f} % {shortest[1]}" if shortest else "-")
            row(level_name(level), cells)

    def versus(own, kinds):
        peers = [name for name in names if not name.startswith("adaptq") and name.split("-")[1] in kinds]
        best = []
        for case in cases:
            there = [f"{peer}@{case}" for peer in peers if f"{peer}@{case}" in middle]
            best.append((times_faster(rounds, f"{own}@{case}", there), min(there, key=middle.get)) if there else None)
        if any(best):
            row(own, (f"{b[0][0]:.2f}" if b else "-" for b in best))
            row("    rounds from", (f"{b[0][1]:.2f}" if b else "" for b in best))
            row("    to", (f"{b[0][2]:.2f}" if b else "" for b in best))
            row("    than", (b[1].split("-")[0] if b else "" for b in best))

    if len(contestants) > 1:
        row("times faster than the fastest peer with as many bits", ())
        for level in levels:
            versus(level_name(level), KINDS[level])
            # Quantized beforehand: compared with the bare products of bytes, too.
            if options.codes and level == 8:
                versus(f"{level_name(level)}-codes", ("int8", "bytes"))
    sys.stdout.flush()


parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--peer", help="python with the libraries; without it only adaptq is measured")
parser.add_argument("--libraries", default="onnxruntime")
parser.add_argument("--limits", help="the command line tool; without it there are no shares")
parser.add_argument("--shapes", default="384x384,1536x384")
parser.add_argument("--cases", default="1,8,128")
parser.add_argument("--levels", default="8")
parser.add_argument("--codes", action="store_true", help="also rows that were quantized beforehand")
parser.add_argument("--rounds", type=int, default=21)
parser.add_argument("--samples", type=int, default=9)
parser.add_argument("--microseconds", type=int, default=200)
parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
options = parser.parse_args()
limits = Limits(options.limits, os.sched_getaffinity(0)) if options.limits else None
os.sched_setaffinity(0, {options.cpu})
for shape in options.shapes.split(","):
    n, k = (int(part) for part in shape.split("x"))
    compare(options, n, k, limits)
if limits:
    print("\nlimits of one thread, medians over the run (M: memory, 3: L3, 2: L2, A: arithmetic)")
    limits.show()
