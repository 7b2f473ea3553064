"""The other side of contestants.py: what a Python program does that is measured.

A request is a line "SAMPLES [NANOSECONDS]". A sample lasts as many calls as fill that time, one without it.
"""
import functools
import sys
import time


def nothing(first, second):
    pass


def elapsed(call, calls=1):
    """Nanoseconds, as elapsed.h counts them: waiting for the CPU is left out."""
    used, passed = time.process_time_ns(), time.perf_counter_ns()
    for _ in range(calls):
        call()
    return min(time.perf_counter_ns() - passed, time.process_time_ns() - used)


def serve(version, calls):
    """Answers until the input ends. `calls`: functions without arguments, by name; one that does the same thing several times has
    an attribute `products`, and its time is divided by it."""
    print("version", version)
    print("ready", *calls, flush=True)
    # The loop's own cost, that of an empty call, is taken off.
    empty = functools.partial(nothing, None, None)
    for line in sys.stdin:
        samples, span = (int(part) for part in (line.split() + ["0"])[:2])
        cost = min(elapsed(empty, 1000) for _ in range(5)) / 1000
        for name, call in calls.items():
            call()
            once = max(elapsed(call), 1)
            # One sample of a long call says as much as several.
            count, repeats = (max(1, span // once), 1 if span and once > 20 * span else samples)
            times = (elapsed(call, count) / count - cost for _ in range(repeats))
            print(name, *(f"{t / getattr(call, 'products', 1):.1f}" for t in times), flush=True)
