"""The command adaptq as a user meets it: traces, pictures, a telemetry file of a running host, limits, a terminal given back.

    test_command.py ADAPTQ MODEL

Prints "ok command.NAME" or "FAIL command.NAME" for each test and last "end"."""

import csv
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback
import xml.etree.ElementTree as tree

adaptq, model = sys.argv[1], sys.argv[2]
folder = tempfile.mkdtemp(prefix="adaptq-command-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
failed = 0


def run(*arguments, status=0):
    """Standard output; standard error is what a failed command says."""
    done = subprocess.run([adaptq, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == status, (arguments, done.returncode, done.stdout[-500:], done.stderr[-500:])
    return done.stdout if status == 0 else done.stderr


def test(body):
    global failed
    try:
        body()
        print(f"ok command.{body.__name__}")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print(f"FAIL command.{body.__name__}")
        failed += 1


def host(path, *arguments):
    """A host that runs until it is told to end."""
    process = subprocess.Popen(
        [adaptq, "run", "--model", model, "--text", "A cat sat on the mat.", "--repeat", "1000000000",
         "--telemetry-file", path, *arguments], stdout=subprocess.DEVNULL)
    for _ in range(600):
        assert process.poll() is None, "the host has ended"
        # A file that is not ready yet is refused.
        page = subprocess.run([adaptq, "watch", "--once", path], capture_output=True, text=True).stdout
        if "session 1  run" in page:
            return process
        time.sleep(0.1)
    raise AssertionError("the host does not run")


def trace_is_csv_and_json():
    texts = ["--text", "one", "--text", "a longer text, with a comma"]
    paths = [f"{folder}/trace.csv", f"{folder}/trace.json"]
    for path in paths:
        lines = run("run", "--model", model, *texts, "--repeat", "3", "--trace", path).splitlines()
        assert [json.loads(line)["text"] for line in lines] == ["one", "a longer text, with a comma"]
    with open(paths[0], newline="") as file:
        rows = list(csv.DictReader(file))
    with open(paths[1]) as file:
        whole = json.load(file)
    assert [int(row["run"]) for row in rows] == [record["run"] for record in whole["records"]] == [1, 2, 3, 4, 5, 6]
    assert set(rows[0]) == set(whole["records"][0])
    assert all(int(row["latency_ns"]) > 0 and row["budget_ns"] == "0" and row["reason"] == "no budget" for row in rows)
    assert all(len(record["site_levels"]) == len(whole["sites"]) > 0 for record in whole["records"])


def budget_and_deadline_are_in_the_trace():
    path = f"{folder}/budget.csv"
    run("run", "--model", model, "--text", "one", "--repeat", "20", "--budget-ms", "0.001", "--percentile", "99.5",
        "--deadline-ms", "1000", "--trace", path)
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["budget_ns"] == "1000" and row["percentile"] == "99.5" and row["deadline_ns"] == "1000000000"
               and row["budget_missed"] == "1" and row["deadline_missed"] == "0" for row in rows)
    assert [int(row["misses"]) for row in rows] == list(range(1, 21))


def costs_are_kept():
    path = f"{folder}/costs"
    arguments = [adaptq, "run", "--model", model, "--text", "one", "--costs", path]
    kept = []
    for _ in range(2):  # measured and written, then read and written
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        with open(path, "rb") as file:
            kept.append(file.read())
    assert kept[0][:8] == b"ADAQCOST" and len(kept[0]) == len(kept[1])
    # All but what the run has taught: the second command measured nothing.
    plans = struct.unpack_from("<I", kept[0], 84)[0]
    assert kept[0][32:-16 * plans] == kept[1][32:-16 * plans]
    with open(path, "wb") as file:
        file.write(kept[0][:-1])
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "measuring instead" in done.stderr, done.stderr
    with open(path, "rb") as file:
        assert len(file.read()) == len(kept[0])


def plot_draws_both():
    for name in ["trace.csv", "trace.json", "budget.csv"]:
        assert "written" in run("plot", f"{folder}/{name}", "-o", f"{folder}/{name}.svg")
        root = tree.parse(f"{folder}/{name}.svg").getroot()
        texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert f"Runs of {name}" in texts, texts
    assert any("too late: 20 of 20 runs" in text for text in texts), texts
    assert "1 runs" in run("plot", f"{folder}/budget.csv", "--last", "1", "-o", f"{folder}/one.svg")


def what_is_no_trace_is_refused():
    with open(f"{folder}/none", "w") as file:
        file.write("a,b\n1,2\n")
    assert 'names column "run" 0 times' in run("plot", f"{folder}/none", "-o", f"{folder}/none.svg", status=1)
    assert "telemetry file" in run("watch", f"{folder}/trace.json", status=1)
    assert "No such file" in run("watch", f"{folder}/nothing", status=1)
    assert "not a regular file" in run("watch", folder, status=1)
    assert not os.path.exists(f"{folder}/none.svg")
    assert "exclude each other" in run(
        "run", "--model", model, "--text", "x", "--trace", "a", "--telemetry-file", "b", status=64)


def watch_shows_a_running_host():
    path = f"{folder}/running"
    process = host(path, "--budget-ms", "1000")
    try:
        assert os.stat(path).st_mode & 0o777 == 0o600
        page = run("watch", "--once", path)
        for part in ["running", "session 1", "of budget 1.00 s  holds", "slow-down", "sites", "weights"]:
            assert part in page, page
        assert "\x1b" not in page
        lines = subprocess.Popen([adaptq, "watch", path, "--interval", "0.1"], stdout=subprocess.PIPE, text=True)
        first, second = lines.stdout.readline(), lines.stdout.readline()
        lines.terminate()
        lines.wait()
        runs = [int(line.split("run ")[1].split(",")[0]) for line in (first, second)]
        assert runs[1] > runs[0] and "host running" in second
        assert "written" in run("plot", path, "-o", f"{folder}/running.svg")
        assert "--session: there are 1" in run("plot", path, "--session", "7", "-o", f"{folder}/x.svg", status=1)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert not os.path.exists(path)


def watch_says_that_the_host_is_gone():
    path = f"{folder}/killed"
    process = host(path)
    process.kill()
    process.wait()
    assert "is gone" in run("watch", "--once", path).splitlines()[0]
    assert "host is gone" in run("watch", path)
    assert "written" in run("plot", path, "-o", f"{folder}/killed.svg")
    os.unlink(path)


def bench_limits_are_json():
    report = json.loads(run("bench", "--limits", "--quick"))
    assert report["schema"] == 1 and report["matrices"] == [] and report["model"] is None
    for limit in report["limits"]:
        assert 0 < limit["median"] <= limit["best"] and limit["unit"] in ("GB/s", "GFLOP/s", "GOP/s"), limit
    region = report["parallel_region"]
    if len(os.sched_getaffinity(0)) > 1:
        assert region["threads"] == 2 and 0 < region["median_ns"] <= region["p95_ns"], region
    else:
        assert region is None
    for arguments in (["--limits", "--profile"], ["--limits", "--svg", "x.svg"], ["--limits", "--json", "x.json"], ["--limits", model]):
        assert "--limits" in run("bench", *arguments, status=64)


def in_terminal(arguments, columns, during):
    """What the command writes to a terminal, and its exit status; `during` gets its process number once a page is there."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(adaptq, [adaptq, *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    before = termios.tcgetattr(terminal)
    written, acted, end = b"", False, time.time() + 60
    while time.time() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            written += part
        if not acted and written.count(b"\x1b[H") > 2:
            assert termios.tcgetattr(terminal) == before
            during(process)
            acted = True
    status = os.waitpid(process, 0)[1]
    os.close(terminal)
    return written.decode(), status


def terminal_is_given_back():
    path = f"{folder}/terminal"
    process = host(path)
    try:
        for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            text, status = in_terminal(
                ["watch", path, "--interval", "0.1"], 60, lambda watcher: os.kill(watcher, number))
            assert status == 0, status
            assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1
            assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
            # The last page stays, no line wider than the terminal.
            last = text[text.rindex("\x1b[?1049l") + 8:]
            assert "session 1" in last, last
            plain = "".join(part.split("m", 1)[-1] if index else part for index, part in enumerate(last.split("\x1b[")))
            assert all(len(line) <= 60 for line in plain.split("\r\n")), plain

        def stop_and_go(watcher):
            os.kill(watcher, signal.SIGTSTP)
            time.sleep(0.5)
            os.kill(watcher, signal.SIGCONT)
            time.sleep(0.5)
            os.kill(watcher, signal.SIGINT)

        text, status = in_terminal(["watch", path, "--interval", "0.1"], 80, stop_and_go)
        assert status == 0 and text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 2
    finally:
        process.terminate()
        process.wait(60)


for body in [trace_is_csv_and_json, budget_and_deadline_are_in_the_trace, costs_are_kept, plot_draws_both, what_is_no_trace_is_refused,
             watch_shows_a_running_host, watch_says_that_the_host_is_gone, bench_limits_are_json, terminal_is_given_back]:
    test(body)
subprocess.run(["rm", "-rf", folder])
print("end")
sys.exit(1 if failed else 0)
