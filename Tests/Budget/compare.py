#!/usr/bin/env python3
"""Whether a latency budget holds on this machine: the automatic choice beside fixed levels, unloaded and beside stress-ng.

compare.py HOST [--model MODEL.adaptq] [--workload model|matrices] [--load "cpu 1"|none] [--calls N] [--percentile P]
           [--factor F] [--budget MILLISECONDS] [--wait SECONDS] [--matrices 8x4096] [--tokens N] [--cpus 1] [--json FILE] [--csv FILE]

HOST is the built host.c; it runs with one thread on fixed CPUs (by default the last one that is allowed), the load wherever the
system puts it. The budget is F times the unloaded median of FP16, from 300 rounds in which nothing else runs. Then every phase
has N rounds: unloaded, each load, unloaded again. In a round every contestant makes one call. Of several such programs on a
machine one measures at a time, unless they are told not to wait.
"""
import argparse
import csv
import ctypes
import fcntl
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
LOADS = ["cpu 1", "cpu 2", "stream 2"]
PROBE = 12  # ADAPTQ_REASON_PROBE
QUIET = 0.1  # busy CPUs

parser = argparse.ArgumentParser()
parser.add_argument("host")
parser.add_argument("--model", help="a file that stores FP16 beside the nested levels; without it only the matrices are measured")
parser.add_argument("--workload", choices=["model", "matrices"], help="only this one")
parser.add_argument("--load", action="append", help='stress-ng\'s option without dashes, as "cpu 1"; may be repeated; none: no load')
parser.add_argument("--calls", type=int, default=2000, help="of every contestant in a phase")
parser.add_argument("--percentile", type=float, default=95)
parser.add_argument("--factor", type=float, default=1.3)
parser.add_argument("--budget", type=float, help="milliseconds, for a machine that is never quiet; instead of F times that median")
parser.add_argument("--calibration", type=int, default=300, help="unloaded rounds for the median of FP16")
parser.add_argument("--wait", type=float, default=60, help="seconds to wait for a moment in which nothing else runs, for that median")
parser.add_argument("--matrices", default="8x4096", help="how many and of what size")
parser.add_argument("--tokens", type=int, default=64)
parser.add_argument("--cpus", default=str(max(os.sched_getaffinity(0))), help="of the host, as 0,1")
parser.add_argument("--json", help="writes the summaries to this file")
parser.add_argument("--csv", help="writes every call to this file")
options = parser.parse_args()


class Host:
    def __init__(self, arguments):
        cpus = {int(cpu) for cpu in options.cpus.split(",")}
        self.process = subprocess.Popen(
            [options.host, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.about, self.plans = [], []
        while True:
            kind, _, rest = self.line().partition(" ")
            if kind == "ready":
                break
            if kind == "about":
                self.about.append(rest)
            elif kind == "plan":
                index, name, quality = rest.split()
                self.plans.append({"index": int(index), "name": name, "quality": float(quality)})
        self.names = rest.split()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{options.host} has ended")
        return line.strip()

    def phase(self, budget, calls):
        """The calls of each contestant, in order of the rounds."""
        self.process.stdin.write(f"{budget} {options.percentile} {calls}\n")
        self.process.stdin.flush()
        result = {}
        while (line := self.line()) != "end":
            name, wall, plan, quality, switched, reason = line.split(",")
            result.setdefault(name, []).append((int(wall), plan, float(quality), int(switched), int(reason)))
        return result

    def busy(self):
        """Seconds of CPU time that others have used so far, those of each process that runs, and how late it is."""
        ticks = os.sysconf("SC_CLK_TCK")
        each = {}
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{number}/stat") as file:
                    head, _, rest = file.read().rpartition(")")
            except OSError:
                continue  # it has ended
            each[f"{head.partition('(')[2]} (process {number})"] = sum(int(part) for part in rest.split()[11:13]) / ticks
            if int(number) == self.process.pid:
                own = each.popitem()[1]
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, soft = (int(part) for part in file.readline().split()[1:8])
        return (user + nice + system + irq + soft) / ticks - own, each, time.monotonic()

    def others(self, since):
        """How many CPUs others have kept busy since then, and who most of all."""
        used, each, now = self.busy()
        grown = {name: seconds - since[1].get(name, 0) for name, seconds in each.items()}
        return max(0.0, (used - since[0]) / max(now - since[2], 1e-3)), max(grown, key=grown.get)

    def end(self, failed):
        """Lets it come to its own end, unless something failed: then a phase may be in progress."""
        if failed:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait()


class Load:
    """stress-ng for as long as the block lasts, or nothing. However this program ends, it ends too."""

    def __init__(self, what):
        self.what, self.process = what, None

    def __enter__(self):
        if self.what:
            option, count = self.what.split()
            # A group of processes, not a session: the kernel may weigh sessions against each other as wholes.
            self.process = subprocess.Popen(
                ["stress-ng", "--quiet", "--timeout", "2h", f"--{option}", count], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, process_group=0,
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0))  # PR_SET_PDEATHSIG
            try:
                time.sleep(1)
                self.check()
            except BaseException:
                self.stop()
                raise
        return self

    def check(self):
        if self.process and self.process.poll() is not None:
            sys.exit(f"stress-ng --{self.what} ended by itself: what was measured beside it is worth nothing")

    def stop(self):
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            pass
        try:
            for _ in range(100):  # its workers are in its group; one that nobody reaps stays there dead
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.poll()
                time.sleep(0.02)
        except ProcessLookupError:
            pass

    def __exit__(self, *_):
        self.stop()


def nearest_rank(values, percent):
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def mean_noise_db(values):
    """Decibels of the mean energy of the errors: one bad call counts as much as its errors do."""
    return -10 * math.log10(statistics.fmean(10 ** (-value / 10) for value in values))


def summarize(calls, fastest, budget, in_decibels):
    """One contestant in one phase."""
    walls = [call[0] for call in calls]
    missed = [wall > budget for wall in walls]
    nobody = [call[0] > budget for call in fastest]  # as if a moment in which not even the fastest level is in time
    qualities = [call[2] for call in calls]
    plans = {}
    for call in calls:
        plans[call[1]] = plans.get(call[1], 0) + 1
    return {
        "calls": len(calls), "median_ns": statistics.median(walls), "p95_ns": nearest_rank(walls, 95),
        "p99_ns": nearest_rank(walls, 99), "misses": sum(missed), "possible_calls": nobody.count(False),
        "possible_misses": sum(m and not n for m, n in zip(missed, nobody)), "quality": statistics.fmean(qualities),
        "mean_noise_db": mean_noise_db(qualities) if in_decibels else None,
        "switches": sum(call[3] for call in calls), "probes": sum(call[4] == PROBE for call in calls),
        "plans": dict(sorted(plans.items(), key=lambda item: -item[1]))}


def margin(calls):
    """Two standard deviations of the misses that independent calls at exactly the percentile would have."""
    share = 1 - options.percentile / 100
    return 2 * math.sqrt(calls * share * (1 - share))


def holds(misses, calls):
    """"yes", "NO", or, above what is allowed by less than two sigma, "within two sigma"."""
    allowed = calls * (1 - options.percentile / 100)
    return "yes" if misses <= allowed + 1e-9 else "within two sigma" if misses <= allowed + margin(calls) else "NO"


def percent(part, whole):
    return f"{part:5d} {100 * part / whole:5.1f} %" if whole else f"{part:5d}     - "


def print_phase(title, phase, in_decibels):
    quality = f"{'mean dB':>9}{'of mean noise':>15}" if in_decibels else f"{'cosine':>12}"
    print(f"\n{title}\n  {'':14}{'p50':>9}{'p95':>9}{'p99':>9}  {'misses':>13}  {'where possible':>14} {quality}"
          f"{'switches':>10}{'probes':>8}  plans")
    for name, s in phase.items():
        shares = [f"{plan} {100 * count / s['calls']:.1f} %" for plan, count in s["plans"].items()]
        shown = (f"{s['quality']:9.1f}{s['mean_noise_db']:15.1f}" if in_decibels else f"{s['quality']:12.6f}")
        print(f"  {name:14}" + "".join(f"{s[key] / 1e6:9.3f}" for key in ("median_ns", "p95_ns", "p99_ns"))
              + f"  {percent(s['misses'], s['calls'])}  {percent(s['possible_misses'], s['possible_calls']):>14} {shown}"
              + f"{s['switches']:10d}{s['probes']:8d}  {', '.join(shares[:4])}{', ...' if len(shares) > 4 else ''}")


def judge(phase, fastest):
    """What the figures of a phase say about the two claims."""
    held = {name: holds(s["misses"], s["calls"]) for name, s in phase.items()}
    own = phase["automatic"]
    if held[fastest] == "yes":
        holding = held["automatic"]
    else:
        holding = ("not asked, the fastest does not hold; of the calls where it was in time: "
                   + holds(own["possible_misses"], own["possible_calls"]))
    better = {}
    for name, s in phase.items():
        if name == "automatic" or held[name] != "yes":
            continue
        answers = []
        for key in ("quality", "mean_noise_db"):
            if s[key] is not None:
                answers.append("yes" if own[key] > s[key] else "equal" if own[key] == s[key] else "NO")
        better[name] = answers[0] if len(set(answers)) == 1 else f"{answers[0]}, but by mean noise {answers[1]}"
    return {"held": held, "automatic_holds": holding, "better_than": better}


def measure(workload, arguments, unit, loads, writer):
    in_decibels = unit == "dB"
    host, failed = Host(arguments), True
    try:
        fastest = host.names[-1]
        patience = time.monotonic() + options.wait
        while True:
            since = host.busy()
            calm = host.phase(0, options.calibration)
            others, who = host.others(since)
            if others <= QUIET or time.monotonic() > patience:
                break
            time.sleep(5)
        unloaded = statistics.median(call[0] for call in calm["FP16"])
        budget = int(options.budget * 1e6 if options.budget else unloaded * options.factor)
        print(f"\n== {workload}: {host.about[0]}, CPU {options.cpus}")
        for text in host.about[1:]:
            print(f"   {text}")
        if others > QUIET:
            print(f"   WARNING: others kept {others:.2f} CPUs busy while the budget was found, {who} most of all;"
                  " it may be too large")
        print(f"   {len(host.plans)} plans, " + ", ".join(f"{p['name']} {p['quality']:.6g}" for p in host.plans
                                                        if not p["name"].startswith("mix")) + f" ({unit})")
        print(f"budget {budget / 1e6:.3f} ms for {options.percentile:g} % of the calls: {budget / unloaded:.3g} x the unloaded median of"
              f" FP16, {unloaded / 1e6:.3f} ms; {options.calls} calls each, at most"
              f" {options.calls * (1 - options.percentile / 100):.0f} misses (two sigma: {margin(options.calls):.0f})", flush=True)
        phases = []
        for title, load in [("unloaded", None), *((f"stress-ng --{load}", load) for load in loads),
                            *([("unloaded again", None)] if loads else [])]:
            with Load(load) as running:
                since = host.busy()
                calls = host.phase(budget, options.calls)
                others, who = host.others(since)
                running.check()
            summary = {name: summarize(calls[name], calls[fastest], budget, in_decibels) for name in host.names}
            unquiet = f", {who} most of all; WARNING: not unloaded" if not load and others > QUIET else ""
            print_phase(f"{title} (others keep {others:.2f} CPUs busy{unquiet})", summary, in_decibels)
            sys.stdout.flush()
            phases.append({"phase": title, "busy_cpus_of_others": others, "contestants": summary, "verdict": judge(summary, fastest)})
            for name, rows in calls.items() if writer else ():
                writer.writerows((workload, title, budget, number, name, *row) for number, row in enumerate(rows))
        failed = False
    finally:
        host.end(failed)

    print(f"\nautomatic holds wherever the fastest plan ({fastest}) does; its quality is above every fixed plan that also holds:")
    for phase in phases:
        verdict = phase["verdict"]
        better = ", ".join(f"{name} {answer}" for name, answer in verdict["better_than"].items()) or "no fixed plan holds"
        print(f"  {phase['phase']:22} holds: {verdict['automatic_holds']};  quality above: {better}")
    return {"workload": workload, "about": host.about, "plans": host.plans, "unit": unit, "fastest": fastest,
            "unloaded_fp16_ns": unloaded, "budget_ns": budget, "phases": phases}


def main():
    begun = time.monotonic()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("ended by a signal"))
    loads = [load for load in options.load or LOADS if load != "none"]
    for load in loads:
        if len(load.split()) != 2 or not load.split()[1].isdigit():
            sys.exit(f'--load {load}: expected a stressor and a number, as "cpu 1"')
    if loads and not shutil.which("stress-ng"):
        sys.exit("stress-ng is not installed, and nothing else makes the loads that are compared:\n"
                 "  apt-get install stress-ng      (or --load none for the unloaded phase alone)")
    if options.wait > 0:
        alone = open(os.path.join(tempfile.gettempdir(), f"adaptq-bench-budget-{os.getuid()}.lock"), "a")
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another one of this program to end", flush=True)
            fcntl.flock(alone, fcntl.LOCK_EX)
        begun = time.monotonic()
    workloads = []
    if options.model and options.workload != "matrices":
        workloads.append(("model", ["model", options.model, str(options.tokens)], "cosine"))
    if options.workload != "model":
        workloads.append(("matrices", ["matrices", *options.matrices.split("x")], "dB"))
    if not workloads:
        sys.exit("--workload model needs --model")
    calls = open(options.csv, "w", newline="") if options.csv else None
    writer = calls and csv.writer(calls)
    if writer:
        writer.writerow(("workload", "phase", "budget_ns", "round", "contestant", "wall_ns", "plan", "quality", "switched", "reason"))
    results = [measure(*workload, loads, writer) for workload in workloads]
    if calls:
        calls.close()
    seconds = time.monotonic() - begun
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"schema": 1, "calls": options.calls, "percentile": options.percentile, "factor": options.factor,
                       "cpus": options.cpus, "seconds": seconds, "workloads": results}, file, indent=1)
    print(f"\ntook {seconds:.0f} s")


main()
