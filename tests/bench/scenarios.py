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
from typing import Callable, List, Optional, Sequence

from bench_programs import NullResponder, Parked, PeerThreads, Result, fill, load
from harness.fleet import wait_armed
from harness.process import Port
from harness.servers import Nginx, Redis, Server, Workerless, need
from harness.wait import wait_until

PATH = "/fragment/a"

# As many fragments as make it unlikely that one is asked for while it is being looked up: two such
# requests would share one GET. In Redis they all have the same body.
MANY = 5000
MANY_PATH = "/fragment/hit-%"

UNIQUE_SCRIPT = Path(__file__).with_name("unique.lua")
# What a browser sends, in all requests that are compared, whether the fragment depends on it or not.
QUERY = "?city=Paris&page=1"
HEADERS = ["Accept-Language: de-CH,de;q=0.9,en;q=0.8", "X-Currency: EUR",
           "Cookie: theme=dark; session=0123456789abcdef0123456789abcdef"]

ACCESS_FORMATS = {
    "text": "{time} {client} {method} {path} {status} {bytes} {total} {outcome} {request_id}",
    "logfmt": "logfmt",
    "json": "json",
}

WARM_UP_SECONDS = 0.1
PEER_THREADS = 32

CONFIG = """
cache {{ redis = "{redis}" {cache} }}
max_parked = 2000000
shutdown_timeout = "0s"
source "quick" {{ type = "simulated"  delay = "10ms" }}
source "never" {{ type = "simulated"  delay = "10m" }}
fragment "a"     {{ source = "quick"  ttl = "1h" }}
fragment "three" {{
    source = "quick"
    ttl = "1h"
    vary = {{"query:city", "language:en,de,fr", "header:x-currency"}}
}}
fragment "user"  {{ source = "quick"  ttl = "1h"  vary = {{"cookie:session"}}  private = "yes" }}
fragment "hit*"  {{ source = "quick"  ttl = "1h" }}
fragment "park*" {{ source = "never"  ttl = "1h"  hold = "10m" }}
"""

# Results are stored, but no name is requested twice.
MISS_CONFIG = """
cache {{ redis = "{redis}" }}
shutdown_timeout = "0s"
source "api" {{ type = "http"  url = "http://127.0.0.1:{port}/{{name}}" }}
fragment "*" {{ source = "api"  ttl = "1h" }}
"""

# What a page holds in place, a stream has in events.
PARTS = 10
PART_PATH = "/fragments?" + "&".join(f"name=part-{number:08d}" for number in range(PARTS))
PAGE_CONFIG = """
cache {{ redis = "{redis}" }}
shutdown_timeout = "0s"
source "quick" {{ type = "simulated"  delay = "10ms" }}
fragment "part*" {{ source = "quick"  ttl = "1h"  stream = "yes" }}
page "/page" {{ file = "{file}" }}
"""

# It is the front server, and the API that the misses ask.
NGINX_CONFIG = """
worker_processes 1;
events { worker_connections 1024; }
http {
    access_log off;
    upstream workerless { server unix:@WORKERLESS@; keepalive 64; }
    upstream null       { server unix:@NULL@;       keepalive 64; }
    upstream alone      { server unix:@ALONE@;      keepalive 64; }
    upstream shared     { server unix:@SHARED@;     keepalive 64; }
    upstream api        { server 127.0.0.1:@API@;   keepalive 64; }
    fastcgi_keep_conn on;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    keepalive_requests 1000000000;
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
        location /fragment/alone-  { fastcgi_pass alone; }
        location /fragment/shared- { fastcgi_pass shared; }
        location /fragment/proxy-  { proxy_pass http://api; }
    }
    server {
        listen 127.0.0.1:@API@;
        default_type text/html;
        location / { return 200 "<p>a fragment</p>"; }
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
    unit: str = "requests/s"


def processes(pid: int) -> List[int]:
    """The process, and those that it has started: nginx's workers."""
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text("ascii").split():
            found += processes(int(child))
    return found


def processor_seconds(servers: List[Server]) -> float:
    """Processor time that all threads of the servers have used so far."""
    total = 0
    for server in servers:
        for pid in processes(server.pid):
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(path.read_text("ascii").split()[0])
    return total / 1e9


# --- ways to measure


def at_socket(server, connections: int, in_flight: int, seconds: float, *,
              busy: bool = False, many: bool = False) -> Callable[[], Result]:
    """Requests one fragment all the time, or many in turns."""
    return lambda: load(server.address, c=connections, m=in_flight, d=seconds, w=WARM_UP_SECONDS,
                        u=MANY_PATH if many else PATH, k=MANY if many else 1, busy=busy)


def in_bodies(server, path: str, seconds: float) -> Callable[[], Result]:
    """Counts KiB of bodies instead of requests."""
    def measure() -> Result:
        result = load(server.address, c=16, m=1, d=seconds, w=WARM_UP_SECONDS, u=path, busy=True)
        result["per_second"] *= result["body_bytes"] / 1024
        return result

    return measure


def by_wrk(url: str, seconds: float, *, connections: int = 32,
           unique: bool = False, headers: Sequence[str] = ()) -> Callable[[], Result]:
    """wrk instead of browsers; its output in the form of the load generator. unique: each request
    has a number of its own behind the url."""
    rounds = itertools.count()

    def measure() -> Result:
        script = ["-s", str(UNIQUE_SCRIPT)] if unique else []
        arguments = ["--", f"{next(rounds)}-"] if unique else []
        done = subprocess.run(
            [need("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency",
             *(word for header in headers for word in ("-H", header)), *script, url, *arguments],
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


def nginx_in_front(tmp: Path, api: Port, **responders: Server) -> Nginx:
    """With the responders by their marks in the config, in lower case."""
    text = NGINX_CONFIG.replace("@FASTCGI_PARAMS@", "/etc/nginx/fastcgi_params") \
        .replace("@API@", str(api.number))
    tmp.chmod(0o755)
    for mark, server in responders.items():
        text = text.replace(f"@{mark.upper()}@", server.address)
        Path(server.address).parent.chmod(0o755)
    return Nginx(tmp, text)


def behind_nginx(tmp: Path, enter: Callable, seconds: float, daemon: Workerless,
                 null: NullResponder) -> List[Scenario]:
    """What browsers would see, with wrk in their place."""
    api = Port()
    redis = enter(Redis(tmp))
    alone, shared = (enter(Workerless(tmp, MISS_CONFIG.format(redis=url, port=api.number)))
                     for url in ("", redis.url))
    wait_armed(redis)
    nginx = enter(nginx_in_front(tmp, api, workerless=daemon, null=null, alone=alone,
                                 shared=shared))

    def misses(name: str, word: str, servers: List[Server],
               goal: Optional[float] = None) -> Contender:
        return Contender(name, by_wrk(f"{nginx.url}/fragment/{word}-", seconds, unique=True,
                                      connections=64), [nginx, *servers], goal=goal)

    def with_inputs(name: str, path: str, goal: Optional[float] = None) -> Contender:
        return Contender(name, by_wrk(f"{nginx.url}/fragment/{path}{QUERY}", seconds,
                                      headers=HEADERS), [daemon], goal=goal)

    return [
        Scenario("hit from memory, behind nginx: wrk, 32 connections", [
            Contender("null responder", by_wrk(nginx.url + "/null", seconds), [null]),
            Contender("workerless, from memory", by_wrk(nginx.url + PATH, seconds), [daemon],
                      goal=0.95)],
                 note="CPU is that of the responder alone"),
        Scenario("hit with inputs, behind nginx: wrk, 32 connections", [
            with_inputs("none", "a"),
            with_inputs("a parameter, language and header", "three", 0.9),
            with_inputs("a cookie, as a digest", "user")],
                 note="all requests are the same but for their names"),
        Scenario("miss, behind nginx: wrk, 64 connections, each name requested once", [
            misses("nginx, proxy_pass", "proxy", []),
            misses("workerless without Redis", "alone", [alone], 0.55),
            misses("workerless with Redis", "shared", [shared, redis], 0.4)],
                 note="the API is nginx as well; CPU is that of nginx, workerless and Redis"),
    ]


def whole_page(tmp: Path, enter: Callable, redis: Redis, seconds: float) -> Scenario:
    """All fragments are in memory."""
    file = tmp / "page.html"
    file.write_text("<!DOCTYPE html>\n<body>\n" + "".join(
        f'<div><?start name="part-{number:08d}">Loading...<?end></div>\n'
        for number in range(PARTS)) + "</body>\n", "utf-8")
    fill(redis, "worker:part-", PARTS, b"<p>" + b"x" * 2000 + b"</p>\n")
    daemon = enter(Workerless(tmp, PAGE_CONFIG.format(redis=redis.url, file=file)))
    wait_armed(redis)
    for path in (PART_PATH, "/page"):
        load(daemon.address, c=1, n=1, u=path)
    return Scenario(f"{PARTS} hits of 2 KiB in one response: 16 connections", [
        Contender("a stream of events", in_bodies(daemon, PART_PATH, seconds), [daemon]),
        Contender("a page, in their places", in_bodies(daemon, "/page", seconds), [daemon],
                  goal=0.8)], unit="KiB/s", note="KiB/s are of bodies")


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

    def with_access_log(form: str) -> Contender:
        option = f'access_log = "file:{tmp}/{form}.log" access_log_format = "{ACCESS_FORMATS[form]}"\n'
        server = enter(Workerless(tmp, option + CONFIG.format(redis="", cache="")))
        return Contender(f"access log, {form}", at_socket(server, 16, 1, seconds, busy=busy), [server])

    peer_name = f"libfcgi, {PEER_THREADS} threads, hiredis"
    found = [
        Scenario("hit from memory, at the socket: 16 connections, 1 request in flight on each",
                 [*from_memory(16, 1, 0.85), row(peer_name, peer, connections=16)],
                 note="libfcgi has no memory of its own: it asks Redis, whose CPU is included"),
        Scenario("hit from memory, at the socket: 4 connections, 32 requests in flight on each",
                 from_memory(4, 32, 0.6), note="libfcgi does not multiplex, so it has no row here"),
        Scenario("hit from memory, with an access log: 16 connections, 1 request in flight on each", [
            Contender("without", at_socket(daemon, 16, 1, seconds, busy=busy), [daemon]),
            *map(with_access_log, ACCESS_FORMATS)],
                 note="a line for each request, to a file"),
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
    found.append(whole_page(tmp, enter, redis, seconds))
    if shutil.which("wrk"):
        found += behind_nginx(tmp, enter, seconds, daemon, null)
    else:
        print("no wrk (Debian package wrk): the tables behind nginx are left out\n")
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
    print(f"{'':<34}{scenario.unit:>10}   p50 us   p99 us   CPU us   ratio   by CPU   goal")
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
