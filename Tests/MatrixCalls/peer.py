"""Products of a matrix by another library, one thread: the peers of calls.c.

peer.py LIBRARY N K CASES [PRECISIONS]: LIBRARY is onnxruntime, torch, openvino or ggml; CASES as in calls.c, PRECISIONS names
with commas between (all). Prints "version TEXT" and "ready NAME@CASE ...", then answers requests (Tests/Peers/serving.py).

A library is a module LIBRARY_products. Its version() is a text; its kinds(n, k) gives (name, byte count of the weights, build):
each build() makes the weights once more and returns a function that, given a number of rows, returns the call to be timed. Where
the module has TOGETHER, build(COUNT) makes as many, and a call multiplies by all of them. A name begins with its precision: int8
is 8-bit weights with the input's quantization in the call, "bytes" the bare integer product.
"""
import ctypes
import importlib
import itertools
import os
import sys

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "Peers")]
from serving import serve  # noqa: E402

ROTATED_BYTES = 256 << 20

library, n, k, cases = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].split(",")
precisions = sys.argv[5].split(",") if len(sys.argv) > 5 else None
module = importlib.import_module(f"{library}_products")


def from_memory(build, byte_count, rows):
    """One call after the other with other weights: as many as no cache holds."""
    count = ROTATED_BYTES // byte_count + 1
    if hasattr(module, "TOGETHER"):
        kept.append(build(count))
        call = kept[-1](rows)
        call.products = count
        return call
    start = len(kept)
    kept.extend(build() for _ in range(count))
    turn = itertools.cycle([one(rows) for one in kept[start:]])
    return lambda: next(turn)()


kept = []
calls = {}
for name, byte_count, build in module.kinds(n, k):
    if precisions and name.split("-")[0] not in precisions:
        continue
    try:
        first = build()
        kept.append(first)
        for case in cases:
            rows = int(case.rstrip("m"))
            call = from_memory(build, byte_count, rows) if case.endswith("m") else first(rows)
            call()
            calls[f"{library}-{name}@{case}"] = call
    except Exception as error:  # a version without this operator
        print(f"{library}-{name}: {str(error).splitlines()[0]}", file=sys.stderr)
# What making copies took is given back: the contestants share the memory.
ctypes.CDLL(None).malloc_trim(0)
serve(module.version(), calls)
