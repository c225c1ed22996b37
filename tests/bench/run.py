"""make bench: workerless, a responder that only echoes a constant, and the same service as it is
usually written in C, measured in turns.

    run.py [--quick] [--rounds N] [--seconds S] [--million]

Rows of one table are measured in one run on one machine, one after the other and in changing order,
several rounds; each figure is the median of its rounds. Only ratios are comparable between
machines:

    ratio    of the throughput to that of the first row, which the goal is about
    by CPU   the same by processor time a request: what the ratio would be if the responder alone
             were the bottleneck; it hardly moves when the machine has other work

What is measured is in scenarios.py (requests a second), latency.py, memory.py and streams.py.

Goals that are missed are shown, but only wrong or lost answers make the exit status 1.

The environment names what is measured: WORKERLESS is the daemon, BENCH_DIR has the programs.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import List

import bench_programs
import latency
import memory
import scenarios
import streams
from harness.servers import need, workerless_binary

LATENCY_ROUNDS = 3
STREAM_ROUNDS = 10


def first_line(*command: str) -> str:
    """What a program says about its version."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=10)
    return done.stdout.decode(errors="replace").strip().partition("\n")[0]


def print_machine() -> None:
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text("utf-8"),
                      re.MULTILINE)
    print(f"{len(os.sched_getaffinity(0))} cores, {model.group(1) if model else 'unknown model'}, "
          f"{platform.system()} {platform.release()}, "
          f"load average {os.getloadavg()[0]:.2f}")
    print(first_line(workerless_binary(), "-V"))
    print(first_line(need("redis-server"), "--version"))
    print(first_line(need("nginx"), "-v"), end="\n\n", flush=True)


def measure_throughput(tmp: Path, rounds: int, seconds: float) -> List[str]:
    """Prints the tables; returns what went wrong. So do the others below."""
    with ExitStack() as stack:
        found = scenarios.scenarios(tmp, stack.enter_context, seconds)
        scenarios.run_rounds(found, rounds)
    for scenario in found:
        scenarios.print_scenario(scenario)
    return [f"{scenario.title}: {contender.name}: {result['failures']}"
            for scenario in found for contender in scenario.contenders
            for result in contender.results if bench_programs.failures(result)]


def measure_latency(tmp: Path, rounds: int, count: int) -> List[str]:
    with ExitStack() as stack:
        found = latency.measurements(tmp, stack.enter_context, count)
        rows = latency.run_measurements(found, rounds)
    latency.print_times(rows)
    return [f"{row.title}: {result['failures']}" for row in rows for result in row.results
            if bench_programs.failures(result)]


def measure_memory(tmp: Path, quick: bool, million: bool) -> List[str]:
    parked = memory.park_all(tmp, quick, million)
    memory.print_held("parked requests", parked)
    filled = memory.fill_all(tmp, quick)
    memory.print_cache(filled)
    return [f"{row.title}: {row.held} of {row.asked} were parked"
            for row in parked if row.held != row.asked] + \
        [f"{row.title}: {row.wrong} answers are wrong or missing" for row in filled if row.wrong]


def measure_streams(tmp: Path, quick: bool, rounds: int) -> List[str]:
    memory.print_held(f"streams of {streams.FRAGMENTS} fragments each",
                      streams.measure_all(tmp, quick))
    memory.print_held(f"pages of {streams.FRAGMENTS} fragments each", streams.measure_pages(tmp))
    delay = streams.measure_delay(tmp, quick, rounds)
    streams.print_delay(delay)
    return streams.failures_of(delay)


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False, description="make bench")
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.4, help="of one measurement")
    parser.add_argument("--million", action="store_true", help="also park a million requests")
    options = parser.parse_args()
    rounds, seconds = (1, 0.2) if options.quick else (options.rounds, options.seconds)

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print_machine()
    tmp = Path(tempfile.mkdtemp(prefix="wl-bench-"))
    try:
        wrong = measure_throughput(tmp, rounds, seconds)
        wrong += measure_latency(tmp, min(rounds, LATENCY_ROUNDS), 100 if options.quick else 400)
        wrong += measure_memory(tmp, options.quick, options.million)
        wrong += measure_streams(tmp, options.quick, min(rounds, STREAM_ROUNDS))
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    for line in wrong:
        print(f"failed: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except AssertionError as problem:
        sys.exit(f"bench: {problem}")
