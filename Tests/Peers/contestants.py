"""Programs that measure in turn: what the comparisons with other runtimes share.

A contestant is a process of its own. It prints "version TEXT" if it has one and "ready NAME ...", and then, for every line it is
sent, one line per name: NAME and times in nanoseconds.
"""
import os
import statistics
import subprocess
import sys

# Every library that has threads of its own is told to have none.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


class Contestant:
    def __init__(self, command, environment={}, cpus=None):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment},
            preexec_fn=cpus and (lambda: os.sched_setaffinity(0, cpus)))
        self.version = None
        line = self.process.stdout.readline().split()
        while line and line[0] == "version":
            self.version = " ".join(line[1:])
            line = self.process.stdout.readline().split()
        if not line or line[0] != "ready":
            sys.exit(f"{' '.join(command[:3])}: does not start")
        self.names = line[1:]

    def measure(self, request, choose):
        """What `choose` makes of the times of each name."""
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        result = {}
        for _ in self.names:
            name, *times = self.process.stdout.readline().split()
            result[name] = choose(float(t) for t in times)
        return result

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def interleaved(contestants, rounds, request, choose=statistics.median):
    """One dictionary of medians, or of what else is chosen, per round; each round begins with another contestant."""
    result = []
    for number in range(rounds):
        first = number % len(contestants)
        times = {}
        for contestant in contestants[first:] + contestants[:first]:
            times.update(contestant.measure(request, choose))
        result.append(times)
    return result


def medians(rounds):
    return {name: statistics.median(r[name] for r in rounds) for name in rounds[0]}


def times_faster(rounds, own, peers):
    """The fastest of the peers over `own`, round by round: median, least, most. Above 1, `own` is faster."""
    ratios = [min(r[p] for p in peers) / r[own] for r in rounds]
    return statistics.median(ratios), min(ratios), max(ratios)


def load():
    """How busy the machine is: what runs beside a measurement shares its caches and its memory."""
    return f"load of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
