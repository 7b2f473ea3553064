#!/usr/bin/env python3
"""Whole inferences of one model: adaptq's C functions against other runtimes, in one run.

compare.py PROGRAM MODEL.adaptq [--onnxruntime DIRECTORY] [--torch MODEL_DIRECTORY] [--python PYTHON] [--lengths 16,64,128]
           [--rounds R] [--samples S] [--cpu CPU]

PROGRAM is the built host.c, PYTHON an interpreter that has the peers (see peer.py, export.py). Everyone runs in a process of
its own, bound to the same CPU, one at a time: in each round each measures while the others wait, and who begins changes. A
round gives the median of its samples; the figures are medians of rounds, ratios medians of the rounds' ratios.
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
parser.add_argument("model")
parser.add_argument("--onnxruntime", help="folder with the files of export.py")
parser.add_argument("--torch", help="folder of the original model")
parser.add_argument("--python", default=sys.executable)
parser.add_argument("--lengths", default="8,16,64,128,256")
parser.add_argument("--rounds", type=int, default=9)
parser.add_argument("--samples", type=int, default=7)
parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
options = parser.parse_args()
lengths = options.lengths.split(",")
os.sched_setaffinity(0, {options.cpu})
here = os.path.dirname(os.path.abspath(__file__))
environment = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

contestants = [Contestant([options.program, options.model, *lengths])]
for name in ("onnxruntime", "torch"):
    folder = getattr(options, name)
    if folder:
        command = [options.python, f"{here}/peer.py", name, folder, *lengths]
        contestants.append(Contestant(command, environment))
rounds = interleaved(contestants, options.rounds, str(options.samples))

print(f"one thread on CPU {options.cpu}, batch 1, {options.rounds} interleaved rounds, medians, milliseconds")
kinds = list(dict.fromkeys(name.split("@")[0] for name in rounds[0]))
print(f"{'tokens':24}" + "".join(f"{length:>10}" for length in lengths))
for kind in kinds:
    medians = [statistics.median(r[f"{kind}@{length}"] for r in rounds) / 1e6 for length in lengths]
    print(f"{kind:24}" + "".join(f"{median:10.2f}" for median in medians))


def ratios(title, own, peers):
    """The fastest peer of each round over adaptq: above 1 adaptq is faster."""
    peers = [kind for kind in kinds if kind in peers]
    if not peers or own not in kinds:
        return
    values = [statistics.median(min(r[f"{p}@{length}"] for p in peers) / r[f"{own}@{length}"] for r in rounds)
              for length in lengths]
    print(f"{title:24}" + "".join(f"{value:10.2f}" for value in values))


floats = [kind for kind in kinds if not kind.startswith("adaptq") and kind.endswith("fp32")]
integers = [kind for kind in kinds if not kind.startswith("adaptq") and "int" in kind.split("-")[-1]]
if floats or integers:
    print("times faster than the fastest peer of the kind")
for own, peers in (("adaptq-FP32", floats), ("adaptq-FP16", floats), ("adaptq-INT8", integers)):
    ratios(own, own, peers)
