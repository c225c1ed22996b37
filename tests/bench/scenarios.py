"""Requests per second of several responders, measured in turns, as tables."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Optional

from bench_programs import NullResponder, Parked, PeerThreads, Result, fill, load
from harness.servers import Nginx, Redis, Server, Workerless, need
from harness.wait import wait_until

PATH = "/fragment/a"

# As many fragments as make it unlikely that one is asked for while it is being looked up: two such
# requests would share one GET. In Redis they all have the same body.
MANY = 5000
MANY_PATH = "/fragment/hit-%"

WARM_UP_SECONDS = 0.1
PEER_THREADS = 32

CONFIG = """
cache {{ redis = "{redis}" {cache} }}
max_parked = 2000000
shutdown_timeout = "0s"
source "quick" {{ type = "simulated"  delay = "10ms" }}
source "never" {{ type = "simulated"  delay = "10m" }}
fragment "a"     {{ source = "quick"  ttl = "1h" }}
fragment "hit*"  {{ source = "quick"  ttl = "1h" }}
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
    client_body_temp_path @DIR@/body;
    fastcgi_temp_path @DIR@/fastcgi;
    proxy_temp_path @DIR@/proxy;
    scgi_temp_path @DIR@/scgi;
    uwsgi_temp_path @DIR@/uwsgi;
    include @FASTCGI_PARAMS@;
    server {
        listen 127.0.0.1:@PORT@;
        location /fragment/ { fastcgi_pass workerless; }
        location /null      { fastcgi_pass null; }
    }
}
"""


@dataclass
class Contender:
    """One row: the responder, the load, and the results of the rounds."""

    name: str
    measure: Callable[[], Result]   # one round
    servers: List[Server]           # whose processor time is counted
    goal: Optional[float] = None    # least share of the first row's throughput
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
    """One table: the others are compared with the first contender."""

    title: str
    contenders: List[Contender]
    note: str = ""


def processor_seconds(servers: List[Server]) -> float:
    """Processor time that all threads of the servers have used so far."""
    total = 0
    for server in servers:
        for path in Path(f"/proc/{server.pid}/task").glob("*/schedstat"):
            total += int(path.read_text("ascii").split()[0])
    return total / 1e9


# --- ways to measure


def at_socket(server, connections: int, in_flight: int, seconds: float, *,
              busy: bool = False, many: bool = False) -> Callable[[], Result]:
    """Requests one fragment all the time, or many in turns."""
    return lambda: load(server.address, c=connections, m=in_flight, d=seconds, w=WARM_UP_SECONDS,
                        u=MANY_PATH if many else PATH, k=MANY if many else 1, busy=busy)


def by_wrk(url: str, seconds: float) -> Callable[[], Result]:
    """wrk instead of browsers; its output in the form of the load generator."""
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


def by_release(server: Workerless, redis: Redis, connections: int,
               in_flight: int) -> Callable[[], Result]:
    """Parks all requests for one fragment, then writes its value; measured from the SET on."""
    numbers = itertools.count()

    def measure() -> Result:
        name = f"park-{next(numbers)}"
        with Parked(server.address, mode="release", c=connections, m=in_flight,
                    u=f"/fragment/{name}", r=f"unix:{redis.address}", K=f"worker:{name}") as parked:
            wait_until(lambda: redis.command("EXISTS", f"lease:{{worker:{name}}}"),
                       f"the lease of {name}")
        return parked.result

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
    """Starts all contenders and returns which ones are compared."""
    redis = enter(Redis(tmp))
    daemon = enter(Workerless(tmp, CONFIG.format(redis="", cache="")))
    answer = cached_answer(tmp, daemon)
    null = enter(NullResponder(tmp, answer))
    with_redis = enter(Workerless(tmp, CONFIG.format(redis=redis.url, cache='memory = "0"')))
    peer = enter(PeerThreads(tmp, redis, threads=PEER_THREADS))
    for namespace in ("worker", "peer"):
        fill(redis, f"{namespace}:hit-", MANY, answer.partition(b"\r\n\r\n")[2])

    # The responder on one core, the load generator on another; where Redis needs one too, sleeping.
    busy = len(os.sched_getaffinity(0)) > 1

    def from_memory(connections: int, in_flight: int, goal: float) -> List[Contender]:
        return [Contender(name, at_socket(server, connections, in_flight, seconds, busy=busy),
                          [server], goal=its_goal)
                for name, server, its_goal in (("null responder", null, None),
                                               ("workerless, from memory", daemon, goal))]

    def row(name: str, server, *, connections: int, in_flight: int = 1,
            goal: Optional[float] = None) -> Contender:
        return Contender(name, at_socket(server, connections, in_flight, seconds, many=True),
                         [server] if server is null else [server, redis], goal=goal)

    peer_name = f"libfcgi, {PEER_THREADS} threads, hiredis"
    found = [
        Scenario("hit from memory, at the socket: 16 connections, 1 request in flight on each",
                 [*from_memory(16, 1, 0.85), row(peer_name, peer, connections=16)],
                 note="libfcgi has no memory of its own: it asks Redis, whose CPU is included"),
        Scenario("hit from memory, at the socket: 4 connections, 32 requests in flight on each",
                 from_memory(4, 32, 0.6), note="libfcgi does not multiplex, so it has no row here"),
        Scenario("hit from Redis, at the socket: 16 connections, 1 request in flight on each", [
            row(peer_name, peer, connections=16),
            row("workerless, from Redis", with_redis, connections=16, goal=1),
            row("null responder", null, connections=16)],
                 note="the memory cache is off; CPU includes that of Redis"),
        Scenario("hit from Redis, at the socket: 4 connections, 32 requests in flight on each", [
            row("null responder", null, connections=4, in_flight=32),
            row("workerless, from Redis", with_redis, connections=4, in_flight=32)],
                 note="the memory cache is off; CPU includes that of Redis"),
        Scenario("10,000 requests for one fragment, on 10 connections, answered as it comes", [
            Contender("null responder", at_socket(null, 10, 1000, seconds), [null]),
            Contender("workerless, released by one SET", by_release(with_redis, redis, 10, 1000),
                      [with_redis])],
                 note="workerless: from before the SET to the last answer; null responder: with 10,000 "
                      "in flight all the time"),
    ]
    if shutil.which("wrk"):
        nginx = enter(nginx_in_front(tmp, daemon, null))
        found.append(Scenario("hit from memory, behind nginx: wrk, 32 connections", [
            Contender("null responder", by_wrk(nginx.url + "/null", seconds), [null]),
            Contender("workerless, from memory", by_wrk(nginx.url + PATH, seconds), [daemon],
                      goal=0.95)],
                              note="CPU is that of the responder alone"))
    else:
        print("no wrk (Debian package wrk): the row behind nginx is left out\n")
    return found


def run_rounds(found: List[Scenario], rounds: int) -> None:
    """All scenarios in turns; every other round in the opposite order, against drift."""
    for number in range(rounds):
        for scenario in found:
            turn = scenario.contenders[::-1] if number % 2 else scenario.contenders
            for contender in turn:
                contender.run()


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
            if contender.goal is not None:
                cells += f"   >= {contender.goal} {verdict(ratio >= contender.goal)}"
        print(f"  {contender.name:<32}{cells}")
    if scenario.note:
        print(f"  ({scenario.note})")
    print()


def ratio_of(figure: str, one: Contender, other: Contender) -> float:
    return statistics.median(mine[figure] / max(1e-9, its[figure])
                             for mine, its in zip(one.results, other.results))
