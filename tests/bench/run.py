"""make bench: workerless, a responder that only echoes a constant, and the same service as it is
usually written in C, measured in turns.

    run.py [--quick] [--rounds N] [--seconds S] [--million]

Rows of one table are measured in one run on one machine, one after the other and in changing order,
several rounds; each figure is the median of its rounds. Only ratios mean something elsewhere:

    ratio    of the throughput to that of the first row, which the goal is about
    by CPU   the same by processor time a request: what the ratio would be if the responder alone
             were the bottleneck; it hardly moves when the machine has other work

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
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, List, Optional

from bench_programs import (NullResponder, Parked, PeerThreads, Result, failures, load)
from harness.servers import Nginx, Redis, Server, Workerless, need, workerless_binary
from harness.wait import wait_until

PATH = "/fragment/a"
WARM_UP_SECONDS = 0.1
PEER_THREADS = 32
SPARE_DESCRIPTORS = 500

CONFIG = """
cache {{ redis = "{redis}" }}
max_parked = 2000000
shutdown_timeout = "0s"
source "quick" {{ type = "simulated"  delay = "10ms" }}
source "never" {{ type = "simulated"  delay = "10m" }}
fragment "a"     {{ source = "quick"  ttl = "1h" }}
fragment "park*" {{ source = "never"  ttl = "1h"  hold = "10m" }}
"""

NGINX_CONFIG = """
worker_processes 1;
events { worker_connections 1024; }
http {
    access_log off;
    upstream workerless { server unix:@WORKERLESS@; keepalive 64; }
    upstream null       { server unix:@NULL@;       keepalive 64; }
    fastcgi_keep_conn on;
    fastcgi_temp_path @DIR@/fastcgi;
    client_body_temp_path @DIR@/body;
    include @FASTCGI_PARAMS@;
    server {
        listen 127.0.0.1:@PORT@;
        location /fragment/ { fastcgi_pass workerless; }
        location /null      { fastcgi_pass null; }
    }
}
"""


# --- what is measured


@dataclass
class Contender:
    """One row: who is asked, how, and what the rounds gave."""

    name: str
    measure: Callable[[], Result]   # one round
    servers: List[Server]           # whose processor time is counted
    results: List[Result] = field(default_factory=list)

    def median(self, figure: Callable[[Result], float]) -> float:
        return statistics.median(figure(result) for result in self.results)

    def run(self) -> None:
        before = processor_seconds(self.servers)
        result = self.measure()
        result["server_us"] = \
            (processor_seconds(self.servers) - before) / max(1, result["asked"]) * 1e6
        self.results.append(result)


@dataclass
class Scenario:
    """One table: the first contender is the measure of the others."""

    title: str
    contenders: List[Contender]
    goal: Optional[float] = None    # least share of the first one's throughput
    note: str = ""


def processor_seconds(servers: List[Server]) -> float:
    """Processor time that all threads of the servers have used so far."""
    total = 0
    for server in servers:
        for path in Path(f"/proc/{server.pid}/task").glob("*/schedstat"):
            total += int(path.read_text("ascii").split()[0])
    return total / 1e9


def at_socket(server, connections: int, in_flight: int, seconds: float, *,
              busy: bool = False) -> Callable[[], Result]:
    return lambda: load(server.address, c=connections, m=in_flight, u=PATH, d=seconds,
                        w=WARM_UP_SECONDS, busy=busy)


def by_wrk(url: str, seconds: float) -> Callable[[], Result]:
    """wrk as the browsers; its output as a result of the load generator."""
    def measure() -> Result:
        done = subprocess.run(
            [need("wrk"), "-t1", "-c32", f"-d{max(1, round(seconds))}s", "--latency", url],
            stdout=subprocess.PIPE, check=True, timeout=60)
        text = done.stdout.decode()
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        bad = sum(int(number) for number in re.findall(
            r"Non-2xx or 3xx responses: (\d+)", text))
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                           text)
        units = {"us": 1, "ms": 1e3, "s": 1e6}
        latency = {f"p{share}": float(value) * units[unit] for share, value, unit in re.findall(
            r"^\s+(\d+)%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE)}
        return {"requests": requests, "asked": requests, "latency_us": latency,
                "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)),
                "failures": {"bad_status": bad,
                             "lost": sum(map(int, errors.groups())) if errors else 0}}

    return measure


# --- the contenders


def cached_answer(tmp: Path, daemon: Workerless) -> bytes:
    """Makes the daemon cache the fragment; returns what it answers from then on."""
    path = tmp / "answer"
    load(daemon.address, u=PATH, n=1, c=1)
    load(daemon.address, u=PATH, n=1, c=1, o=path)
    return path.read_bytes()


def nginx_in_front(tmp: Path, daemon: Workerless, null: NullResponder) -> Nginx:
    text = NGINX_CONFIG
    for mark, value in (("@WORKERLESS@", daemon.address), ("@NULL@", null.address),
                        ("@FASTCGI_PARAMS@", "/etc/nginx/fastcgi_params")):
        text = text.replace(mark, value)
    for directory in (tmp, *(Path(server.address).parent for server in (daemon, null))):
        directory.chmod(0o755)
    return Nginx(tmp, text)


def scenarios(tmp: Path, enter: Callable, seconds: float) -> List[Scenario]:
    """Starts all contenders and says who is measured against whom."""
    redis = enter(Redis(tmp))
    daemon = enter(Workerless(tmp, CONFIG.format(redis="")))
    answer = cached_answer(tmp, daemon)
    null = enter(NullResponder(tmp, answer))
    with_redis = enter(Workerless(tmp, CONFIG.format(redis=redis.url)))
    cached_answer(tmp, with_redis)
    peer = enter(PeerThreads(tmp, redis, threads=PEER_THREADS))
    load(peer.address, u=PATH, n=1, c=1)

    # The responder on one core, the load generator on another; where Redis needs one too, sleeping.
    busy = len(os.sched_getaffinity(0)) > 1

    def pair(connections: int, in_flight: int) -> List[Contender]:
        return [Contender(name, at_socket(server, connections, in_flight, seconds, busy=busy),
                          [server])
                for name, server in (("null responder", null), ("workerless, memory", daemon))]

    found = [
        Scenario("cached hit at the socket: 16 connections, 1 request in flight on each",
                 pair(16, 1), goal=0.85),
        Scenario("cached hit at the socket: 4 connections, 32 requests in flight on each",
                 pair(4, 32), goal=0.6),
        Scenario("cached hit in Redis: 16 connections, 1 request in flight on each", [
            Contender(f"libfcgi, {PEER_THREADS} threads, hiredis",
                      at_socket(peer, 16, 1, seconds), [peer, redis]),
            Contender("workerless, Redis", at_socket(with_redis, 16, 1, seconds),
                      [with_redis, redis])],
                 note="CPU includes that of Redis"),
        Scenario("cached hit in Redis: 4 connections, 32 requests in flight on each", [
            Contender("workerless, Redis", at_socket(with_redis, 4, 32, seconds),
                      [with_redis, redis])],
                 note="libfcgi does not multiplex, so it has no row here"),
    ]
    if shutil.which("wrk"):
        nginx = enter(nginx_in_front(tmp, daemon, null))
        found.append(Scenario("cached hit behind nginx: wrk, 32 connections", [
            Contender("null responder", by_wrk(nginx.url + "/null", seconds), [null]),
            Contender("workerless, memory", by_wrk(nginx.url + PATH, seconds), [daemon])],
                              goal=0.95, note="CPU is that of the responder alone"))
    else:
        print("no wrk (Debian package wrk): the row behind nginx is left out\n")
    return found


def run_rounds(found: List[Scenario], rounds: int) -> None:
    """All scenarios by turns; every other round in the opposite order, against drift."""
    for number in range(rounds):
        for scenario in found:
            turn = scenario.contenders[::-1] if number % 2 else scenario.contenders
            for contender in turn:
                contender.run()


# --- memory


@dataclass
class Memory:
    """What some parked requests cost the daemon."""

    title: str
    asked: int
    parked: int
    bytes_before: int
    bytes_parked: int
    goal: Optional[int] = None      # at most so many bytes a request

    @property
    def each(self) -> float:
        return (self.bytes_parked - self.bytes_before) / max(1, self.parked)


def resident_bytes(server: Server) -> int:
    text = Path(f"/proc/{server.pid}/smaps_rollup").read_text("ascii")
    return int(re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE).group(1)) * 1024


def settled_bytes(server: Server) -> int:
    """Resident memory once the daemon has nothing more to do."""
    last = {"cpu": -1.0}

    def idle() -> bool:
        now = processor_seconds([server])
        same, last["cpu"] = now == last["cpu"], now
        return same

    wait_until(idle, f"{server.name} to be idle")
    return resident_bytes(server)


def park(tmp: Path, title: str, connections: int, in_flight: int, *, keys: int = 1,
         goal: Optional[int] = None) -> Memory:
    """Parks so many requests in a daemon of its own."""
    options: Dict[str, object] = {"m": in_flight, "u": "/fragment/park-%"}
    with Workerless(tmp, CONFIG.format(redis="")) as daemon:
        with Parked(daemon.address, c=4, **options):  # touches the code that it takes
            pass
        before = settled_bytes(daemon)
        with Parked(daemon.address, c=connections, k=keys, **options) as parked:
            resident = settled_bytes(daemon)
    return Memory(title, parked.result["asked"], parked.result["parked"], before, resident, goal)


def park_all(tmp: Path, quick: bool, million: bool) -> List[Memory]:
    wanted = 1000 if quick else 10000
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    plain = min(wanted, max(1, files - SPARE_DESCRIPTORS))
    if plain < wanted:
        print(f"the descriptor limit is {files}: {plain} parked connections instead of {wanted}\n")
    ids = 100
    found = [
        park(tmp, f"{plain:,} connections x 1", plain, 1, goal=1024),
        park(tmp, f"{wanted // ids:,} connections x {ids}", wanted // ids, ids, goal=256),
        park(tmp, f"{wanted // ids:,} connections x {ids}, each its own fragment", wanted // ids,
             ids, keys=wanted),
    ]
    if million:
        found.append(park(tmp, "1,000 connections x 1,000", 1000, 1000, goal=512))
    return found


# --- the report


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def print_scenario(scenario: Scenario) -> None:
    """Ratios are medians of the rounds' ratios, since a round's two measurements are neighbours
    in time."""
    print(scenario.title)
    print(f"{'':<34}requests/s   p50 us   p99 us   CPU us   ratio   by CPU   goal")
    yardstick = scenario.contenders[0]
    for contender in scenario.contenders:
        cells = f"{contender.median(lambda result: result['per_second']):>12,.0f}"
        for share in ("p50", "p99"):
            cells += f"{contender.median(lambda result, at=share: result['latency_us'][at]):>9,.0f}"
        cells += f"{contender.median(lambda result: result['server_us']):>9.2f}"
        if contender is not yardstick:
            ratio = ratio_of("per_second", contender, yardstick)
            cells += f"{ratio:>8.2f}{ratio_of('server_us', yardstick, contender):>9.2f}"
            if scenario.goal is not None:
                cells += f"   >= {scenario.goal} {verdict(ratio >= scenario.goal)}"
        print(f"  {contender.name:<30}{cells}")
    if scenario.note:
        print(f"  ({scenario.note})")
    print()


def ratio_of(figure: str, one: Contender, other: Contender) -> float:
    return statistics.median(mine[figure] / max(1e-9, its[figure])
                             for mine, its in zip(one.results, other.results))


def print_memory(found: List[Memory]) -> None:
    print(f"resident memory of the daemon, before and with parked requests\n"
          f"{'':<58}before KiB  parked KiB  bytes each   goal")
    for row in found:
        cells = f"{row.bytes_before // 1024:>12,}{row.bytes_parked // 1024:>12,}{row.each:>12,.0f}"
        if row.goal is not None:
            cells += f"   <= {row.goal} {verdict(row.each <= row.goal)}"
        print(f"  {row.title:<54}{cells}")
    print()


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


def wrong_answers(found: List[Scenario], memory: List[Memory]) -> List[str]:
    wrong = [f"{scenario.title}: {contender.name}: {result['failures']}"
             for scenario in found for contender in scenario.contenders
             for result in contender.results if failures(result)]
    return wrong + [f"{row.title}: {row.parked} of {row.asked} were parked"
                    for row in memory if row.parked != row.asked]


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
        with ExitStack() as stack:
            found = scenarios(tmp, stack.enter_context, seconds)
            run_rounds(found, rounds)
        for scenario in found:
            print_scenario(scenario)
        memory = park_all(tmp, options.quick, options.million)
        print_memory(memory)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    wrong = wrong_answers(found, memory)
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
