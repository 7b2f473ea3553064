#!/usr/bin/env python3
"""Whole inferences of one model: adaptq's C functions against other runtimes, in one run.

compare.py PROGRAM MODEL.adaptq [--onnxruntime DIRECTORY] [--openvino DIRECTORY] [--torch MODEL_DIRECTORY] [--python PYTHON]
           [--lengths 16,64,128] [--threads 2] [--rounds R] [--samples S] [--cpu CPU]

PROGRAM is the built host.c, PYTHON an interpreter that has the peers (see peer.py, export.py). Everyone runs in a process of
its own, bound to the same CPU, one at a time: in each round each measures while the others wait, and who begins changes. A
round gives the median of its samples; the figures are medians of rounds, ratios medians of the rounds' ratios. With --threads
adaptq is compared with itself, one thread against several: apart from the others, on as many CPUs, and by the shortest time of
each round, as on a machine that does other things a run rarely has several CPUs for itself.
"""
import argparse
import os
import statistics
import sys

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "Peers"))
from contestants import ONE_THREAD, Contestant, interleaved, load, medians, times_faster  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("model")
parser.add_argument("--onnxruntime", help="folder with the files of export.py")
parser.add_argument("--openvino", help="the same")
parser.add_argument("--torch", help="folder of the original model")
parser.add_argument("--python", default=sys.executable)
parser.add_argument("--lengths", default="8,16,64,128,256")
parser.add_argument("--threads", type=int, help="only adaptq, with one and with this many threads")
parser.add_argument("--rounds", type=int, default=9)
parser.add_argument("--samples", type=int, default=7)
parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
options = parser.parse_args()
lengths = options.lengths.split(",")


def host(threads, cpus):
    return Contestant([options.program, options.model, str(threads), *lengths], cpus=cpus)


def measure(contestants, title, choose=statistics.median):
    """The rounds and the kinds of contestants, once the table is printed."""
    begun = load()
    rounds = interleaved(contestants, options.rounds, str(options.samples), choose)
    for contestant in contestants:
        contestant.end()
    print(f"{title}, batch 1, {options.rounds} interleaved rounds, medians, milliseconds")
    print(f"{', '.join(dict.fromkeys(c.version for c in contestants))}; {begun}, then {load()}")
    middle = medians(rounds)
    kinds = list(dict.fromkeys(name.split("@")[0] for name in middle))
    print(f"{'tokens':24}" + "".join(f"{length:>12}" for length in lengths))
    for kind in kinds:
        print(f"{kind:24}" + "".join(f"{middle[f'{kind}@{length}'] / 1e6:12.2f}" for length in lengths))
    return rounds, kinds


def ratios(rounds, own, peers):
    """The fastest peer of each round over adaptq: above 1 adaptq is faster. Below, which peer that is in most rounds."""
    values, names = [], []
    for length in lengths:
        there = [f"{peer}@{length}" for peer in peers]
        values.append(times_faster(rounds, f"{own}@{length}", there)[0])
        names.append(min(there, key=medians(rounds).get).split("@")[0].split("-")[0])
    print(f"{own:24}" + "".join(f"{value:12.2f}" for value in values))
    if len(peers) > 1:
        print(f"{'    than':24}" + "".join(f"{name:>12}" for name in names))


if options.threads:
    cpus = {options.cpu, *sorted(os.sched_getaffinity(0))[:options.threads - 1]}
    if len(cpus) < options.threads:
        sys.exit(f"--threads {options.threads}: this process may use {len(cpus)} CPUs")
    title = f"one thread on CPU {options.cpu}, {options.threads} on CPUs {sorted(cpus)}, shortest of each round"
    rounds, kinds = measure([host(1, {options.cpu}), host(options.threads, cpus)], title, min)
    print(f"times faster with {options.threads} threads")
    for kind in kinds:
        if "-threads-" in kind:
            ratios(rounds, kind, [kind.split("-threads-")[0]])
    sys.exit()

os.sched_setaffinity(0, {options.cpu})
contestants = [host(1, None)]
for name in ("onnxruntime", "openvino", "torch"):
    folder = getattr(options, name)
    if folder:
        command = [options.python, "-W", "ignore", f"{here}/peer.py", name, folder, *lengths]
        contestants.append(Contestant(command, {**ONE_THREAD, "TOKENIZERS_PARALLELISM": "false"}))
rounds, kinds = measure(contestants, f"one thread on CPU {options.cpu}")
if len(contestants) > 1:
    print("times faster than the fastest peer of the kind")
for own, precisions in (("adaptq-FP32", ("fp32",)), ("adaptq-FP16", ("bf16", "fp16")),
                        ("adaptq-INT8", ("int8", "uint8", "int7"))):
    peers = [kind for kind in kinds if not kind.startswith("adaptq") and kind.split("-")[1] in precisions]
    if peers and own in kinds:
        ratios(rounds, own, peers)
