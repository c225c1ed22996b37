"""How soon a parked request is answered once its result is there.

Two rows are about what parking adds to the time of an HTTP source: from just before the source
sends its answer until ours is complete. The way to the source (looking for the fragment,
taking its lease, the call) has rows of its own, without a goal. The others are about a request that
is parked at one process, B, while another, A, has the lease of its fragment and both share a Redis.

The program latency.c is the client, the source and the writer to Redis, all in one thread with one
clock. Its requests come evenly, far below the maximum rate of the daemon.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, List, Optional

from bench_programs import Parked, Result, latency
from harness.fleet import wait_armed
from harness.process import Port
from harness.servers import Redis, Workerless
from harness.wait import wait_until
from scenarios import verdict

INTERVAL_US = 2000
SOURCE_US = 20000       # what a call takes

# Leases of this length are not renewed during a measurement.
CONFIG = """
cache {{ redis = "{redis}" lease = "10m" }}
max_connection_requests = 65535
shutdown_timeout = "0s"
source "api"   {{ type = "http"  url = "http://127.0.0.1:{port}/{{name}}" }}
source "never" {{ type = "simulated"  delay = "10m" }}
{more}
fragment "made*" {{ source = "api"  ttl = "1h" }}
fragment "park*" {{ source = "never"  ttl = "1h"  hold = "10m" }}
"""


JOBS = """
source "jobs" { type = "queue"  queue = 100000  timeout = "10m" }
fragment "job*" { source = "jobs"  ttl = "1h"  hold = "10m" }
"""


@dataclass
class Times:
    """One row. The goals are in milliseconds, for the median and for 99 of 100."""

    title: str
    figure: str     # what of the results
    goals: tuple = (None, None)
    results: List[Result] = field(default_factory=list)

    def median_ms(self, share: str) -> float:
        return statistics.median(result[self.figure][share] for result in self.results) / 1e3


@dataclass
class Measurement:
    """Measures several rows at once."""

    measure: Callable[[], Result]
    rows: List[Times]


def measurements(tmp: Path, enter: Callable, count: int) -> List[Measurement]:
    """Starts all servers. `count`: of fragments in one round."""
    redis = enter(Redis(tmp))
    port = Port()
    alone = enter(Workerless(tmp, CONFIG.format(redis="", port=port.number, more="")))
    pair = [enter(Workerless(tmp, CONFIG.format(redis=redis.url, port=port.number, more=JOBS)))
            for _ in range(2)]
    wait_armed(redis, 2)
    numbers = itertools.count()

    def of_source(server: Workerless, other: Optional[Workerless] = None) -> Callable[[], Result]:
        options = {} if other is None else {"p": f"unix:{other.address}"}
        return lambda: latency(server.address, u=f"/fragment/made-{next(numbers)}-%", n=count,
                               i=INTERVAL_US, d=SOURCE_US, l=f"tcp:127.0.0.1:{port.number}",
                               **options)

    def of_writing() -> Result:
        """The one has all leases, and the other's requests have found them taken."""
        name = f"park-{next(numbers)}-"
        with Parked(pair[0].address, c=1, m=count, k=count, u=f"/fragment/{name}%"):
            wait_until(lambda: len(redis.command("KEYS", f"lease:*{name}*")) == count,
                       f"{count} leases")
            asked = redis.calls_of("evalsha")
            with Parked(pair[1].address, name="latency", mode="written", n=count, i=INTERVAL_US,
                        u=f"/fragment/{name}%", r=f"unix:{redis.address}",
                        k=f"worker:{name}") as parked:
                wait_until(lambda: redis.calls_of("evalsha") >= asked + count,
                           f"{count} requests to find the lease taken")
        return parked.result

    def of_jobs() -> Result:
        """Requests that wait for jobs, whose results a worker writes."""
        name = f"job-{next(numbers)}-"
        with Parked(pair[0].address, name="latency", mode="written", n=count, i=INTERVAL_US,
                    u=f"/fragment/{name}%", r=f"unix:{redis.address}",
                    k=f"worker:{name}") as parked:
            wait_until(lambda: redis.command("XLEN", "{worker:jobs}:visitors") == count,
                       f"{count} jobs")
        wait_until(lambda: redis.command("XLEN", "{worker:jobs}:visitors") == 0, "no jobs")
        return parked.result

    added = (0.3, 2)
    return [
        Measurement(of_source(alone), [
            Times("after the source, no Redis", "waited_us", added),
            Times("before the source, no Redis", "before_us")]),
        Measurement(of_source(pair[0]), [
            Times("after the source, with Redis", "waited_us", added),
            Times("before the source, with Redis: lookup and lease", "before_us")]),
        Measurement(of_writing, [
            Times("parked at B: from before a client's SET", "waited_us", (1, None))]),
        Measurement(of_source(*pair), [
            Times("parked at B: from before A's source answers", "waited_at_b_us", (1, None))]),
        Measurement(of_jobs, [
            Times("waiting for a job: from before the worker's SET", "waited_us", (1, None))]),
    ]


def run_measurements(found: List[Measurement], rounds: int) -> List[Times]:
    for _ in range(rounds):
        for measurement in found:
            result = measurement.measure()
            for row in measurement.rows:
                row.results.append(result)
    return [row for measurement in found for row in measurement.rows]


def print_times(found: List[Times]) -> None:
    print("parked requests: time until the answer's last byte, or (before) until the call arrives\n"
          f"{'':<58}answers   p50 ms   p99 ms   goals")
    for row in found:
        cells = f"{sum(result['asked'] for result in row.results):>11,}"
        goals = []
        for share, goal in zip(("p50", "p99"), row.goals):
            value = row.median_ms(share)
            cells += f"{value:>9.3f}"
            if goal is not None:
                goals.append(f"{share} <= {goal} {verdict(value <= goal)}")
        print(f"  {row.title:<52}{cells}   {', '.join(goals)}".rstrip())
    print()
