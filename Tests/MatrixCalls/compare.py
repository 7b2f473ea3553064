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
import subprocess
import sys

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


class Contestant:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline().split()
        if not ready or ready[0] != "ready":
            sys.exit(f"{command[0]}: does not start")
        self.names = ready[1:]

    def measure(self):
        self.process.stdin.write(f"{options.samples} {options.calls}\n")
        self.process.stdin.flush()
        result = {}
        for _ in self.names:
            name, *times = self.process.stdout.readline().split()
            result[name] = statistics.median(float(t) for t in times)
        return result


own = Contestant([options.program, str(options.n), str(options.k), "1", str(options.level)])
contestants = [own]
if options.peer:
    contestants.append(Contestant([options.peer, f"{here}/peer.py", str(options.n), str(options.k)]))
rounds = []
for number in range(options.rounds):
    times = {}
    for contestant in contestants if number % 2 == 0 else reversed(contestants):
        times.update(contestant.measure())
    rounds.append(times)

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
