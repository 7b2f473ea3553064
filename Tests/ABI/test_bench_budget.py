"""`make bench-budget` in small: its host and its script, with a program of this test's own in stress-ng's place.

    test_bench_budget.py HOST [MODEL]

Prints "ok bench_budget.NAME" or "FAIL bench_budget.NAME" for each test and last "end"."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

host, model = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Budget", "compare.py")
folder = tempfile.mkdtemp(prefix="adaptq-budget-")
bin_folder, started = f"{folder}/bin", f"{folder}/started"
small = ["--workload", "matrices", "--matrices", "3x256", "--calls", "40", "--calibration", "20", "--wait", "0"]
names = ["automatic", "FP16", "INT8"]


def compare(*arguments, path=os.environ["PATH"]):
    return subprocess.Popen([sys.executable, script, host, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PATH": path})


def finished(process, status=0):
    """Standard output; standard error is what a failed command says."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == status, (process.returncode, output[-500:], errors[-500:])
    return output if status == 0 else errors


def gone(process_number):
    for _ in range(100):
        try:
            os.kill(process_number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def fake_load(body):
    """A stress-ng whose processes can be told apart: each line of `started` is one of them."""
    os.makedirs(bin_folder, exist_ok=True)
    with open(f"{bin_folder}/stress-ng", "w") as file:
        file.write(f"#!/bin/sh\n{body}\n")
    os.chmod(f"{bin_folder}/stress-ng", 0o755)
    if os.path.exists(started):
        os.unlink(started)
    return f"{bin_folder}:{os.environ['PATH']}"


def started_processes(count):
    for _ in range(200):
        if os.path.exists(started):
            with open(started) as file:
                lines = file.read().split()
            if len(lines) >= count:
                return [int(line) for line in lines]
        time.sleep(0.05)
    raise AssertionError("the load was not started")


def host_answers_phases():
    output = subprocess.run([host, "matrices", "2", "128"], input="0 95 5\n1000000 90 7\n", text=True, capture_output=True,
                            timeout=60)
    assert output.returncode == 0, output.stderr
    lines = output.stdout.splitlines()
    ready = next(line for line in lines if line.startswith("ready ")).split()[1:]
    assert ready[:3] == names and len(ready) == 4 and ready[3].startswith("fastest-"), ready
    first, second, rest = "\n".join(lines[lines.index("ready " + " ".join(ready)) + 1:] + [""]).split("end\n")
    assert rest == ""
    assert [row.split(",")[0] for row in first.splitlines()] == ready[1:] * 5, first
    assert [row.split(",")[0] for row in second.splitlines()] == ready * 7, second
    for row in csv.reader(first.splitlines() + second.splitlines()):
        assert len(row) == 6 and int(row[1]) > 0 and float(row[3]) > 0 and row[4] in "01", row


def check_report(report, workload, phases):
    assert [phase["phase"] for phase in report["phases"]] == phases and report["workload"] == workload
    for phase in report["phases"]:
        contestants = phase["contestants"]
        assert list(contestants)[:3] == names and len(contestants) == 4
        for name, summary in contestants.items():
            assert 0 < summary["median_ns"] <= summary["p95_ns"] <= summary["p99_ns"]
            assert 0 <= summary["possible_misses"] <= summary["misses"] <= summary["calls"]
            assert sum(summary["plans"].values()) == summary["calls"] >= summary["possible_calls"]
        assert contestants["FP16"]["plans"] == {"FP16": contestants["FP16"]["calls"]}
        assert contestants["FP16"]["quality"] > contestants["INT8"]["quality"]
        assert contestants[report["fastest"]]["possible_misses"] == 0
        assert set(phase["verdict"]["held"].values()) <= {"yes", "within two sigma", "NO"}


def script_reports_matrices():
    output = finished(compare(*small, "--load", "none", "--json", f"{folder}/report.json", "--csv", f"{folder}/calls.csv"))
    assert "automatic holds wherever" in output and "took " in output, output
    with open(f"{folder}/report.json") as file:
        whole = json.load(file)
    assert whole["schema"] == 1 and len(whole["workloads"]) == 1
    check_report(whole["workloads"][0], "matrices", ["unloaded"])
    with open(f"{folder}/calls.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4 * 40


def script_reports_a_model():
    output = finished(compare("--model", model, "--workload", "model", "--tokens", "8", "--calls", "20", "--calibration", "10", "--wait", "0",
                              "--load", "none", "--json", f"{folder}/model.json"))
    assert "inferences of 8 tokens" in output, output
    with open(f"{folder}/model.json") as file:
        check_report(json.load(file)["workloads"][0], "model", ["unloaded"])


def load_ends_with_its_phase():
    path = fake_load(f"echo $$ >>{started}; sleep 60 & echo $! >>{started}; wait")
    finished(compare(*small, "--load", "cpu 1", "--json", f"{folder}/loaded.json", path=path))
    with open(f"{folder}/loaded.json") as file:
        check_report(json.load(file)["workloads"][0], "matrices", ["unloaded", "stress-ng --cpu 1", "unloaded again"])
    assert all(gone(number) for number in started_processes(2))


def load_ends_with_the_script():
    path = fake_load(f"trap '' TERM; echo $$ >>{started}; while :; do sleep 0.1; done")
    process = compare(*small, "--load", "cpu 1", path=path)
    numbers = started_processes(1)
    process.send_signal(signal.SIGTERM)
    assert "ended by a signal" in finished(process, 1)
    assert all(gone(number) for number in numbers)


def load_that_ends_early_is_an_error():
    assert "ended by itself" in finished(compare(*small, "--load", "cpu 1", path=fake_load("exit 1")), 1)


def missing_load_is_told():
    assert "stress-ng is not installed" in finished(compare(*small, path=f"{folder}/nothing"), 1)
    assert "expected a stressor" in finished(compare(*small, "--load", "cpu"), 1)


failed = 0
tests = [host_answers_phases, script_reports_matrices, load_ends_with_its_phase, load_ends_with_the_script,
         load_that_ends_early_is_an_error, missing_load_is_told]
for body in tests + [script_reports_a_model] * bool(model):
    try:
        body()
        print(f"ok bench_budget.{body.__name__}")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"FAIL bench_budget.{body.__name__}")
        failed += 1
if not model:
    print("skip bench_budget.script_reports_a_model: ADAPTQ_TEST_MODEL is not set")
shutil.rmtree(folder)
print("end")
sys.exit(1 if failed else 0)
