"""Programs that measure in turn: what the comparisons with other runtimes share.

A contestant is a process of its own. It prints "ready NAME ..." and then, for every line it is sent, one line per name: NAME and
times in nanoseconds.
"""
import statistics
import subprocess
import sys


class Contestant:
    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        ready = self.process.stdout.readline().split()
        if not ready or ready[0] != "ready":
            sys.exit(f"{command[0]}: does not start")
        self.names = ready[1:]

    def measure(self, request):
        """The median of the times of each name."""
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        result = {}
        for _ in self.names:
            name, *times = self.process.stdout.readline().split()
            result[name] = statistics.median(float(t) for t in times)
        return result


def interleaved(contestants, rounds, request):
    """One dictionary of medians per round; each round begins with another contestant."""
    result = []
    for number in range(rounds):
        first = number % len(contestants)
        times = {}
        for contestant in contestants[first:] + contestants[:first]:
            times.update(contestant.measure(request))
        result.append(times)
    return result
