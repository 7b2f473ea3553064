#!/usr/bin/env python3
"""One call of a small INT8 product: adaptq's C function against the smallest call of onnxruntime, in one run.

compare.py PROGRAM [--peer PYTHON] [-n N] [-k K] [--rounds R] [--samples S] [--calls C] [--cpu CPU]

PROGRAM is the built calls.c, PYTHON an interpreter that has onnxruntime, onnx and numpy. Both run in processes of their own,
bound to the same CPU, one at a time: in each round one measures while the other waits, and who begins changes. A round gives
the median of its samples; the figures are medians of rounds, and the ratio is the median of the rounds' ratios.
"""
import argparse
import os
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Peers"))
from contestants import Contestant, interleaved  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("--peer", help="python with onnxruntime; without it only adaptq is measured")
parser.add_argument("-n", type=int, default=384)
parser.add_argument("-k", type=int, default=384)
parser.add_argument("--level", type=int, default=8)
parser.add_argument("--rounds", type=int, default=21)
parser.add_argument("--samples", type=int, default=15)
parser.add_argument("--calls", type=int, default=200)
parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
options = parser.parse_args()
os.sched_setaffinity(0, {options.cpu})
here = os.path.dirname(os.path.abspath(__file__))

own = Contestant([options.program, str(options.n), str(options.k), "1", str(options.level)])
contestants = [own]
if options.peer:
    contestants.append(Contestant([options.peer, f"{here}/peer.py", str(options.n), str(options.k)]))
rounds = interleaved(contestants, options.rounds, f"{options.samples} {options.calls}")

print(f"{options.n} outputs, {options.k} inputs, 1 row, level {options.level}, one thread on CPU {options.cpu}: "
      f"{options.rounds} interleaved rounds, medians")
medians = {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}
for name in sorted(medians, key=medians.get):
    print(f"  {name:30} {medians[name] / 1000:8.3f} us")
peers = [name for name in medians if not name.startswith("adaptq")]
if peers:
    for name in own.names:
        ratios = [r[name] / min(r[p] for p in peers) for r in rounds]
        print(f"ratio {name} / smallest of onnxruntime: {statistics.median(ratios):.3f} "
              f"(rounds {min(ratios):.3f} to {max(ratios):.3f})")
