"""Resident memory of the daemon: the cost of parked requests, and the size of the memory cache."""

from __future__ import annotations

import re
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional

from bench_programs import Parked, fill, load
from harness.fcgi import Connection
from harness.fleet import wait_armed
from harness.servers import Redis, Server, Workerless
from harness.wait import wait_until
from scenarios import CONFIG, processor_seconds, verdict

SPARE_DESCRIPTORS = 500
MEBIBYTE = 1 << 20

FILL_CONFIG = """
cache {{ redis = "{redis}"  memory = "{mebibytes}MiB" }}
source "never" {{ type = "simulated"  delay = "10m" }}
fragment "*" {{ source = "never"  ttl = "1h" }}
"""


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


# --- parked requests


@dataclass
class HeldMemory:
    """The cost of parked requests, or of open streams, for the daemon."""

    title: str
    asked: int
    held: int
    bytes_before: int
    bytes_held: int
    goal: Optional[int] = None      # at most so many bytes for each

    @property
    def each(self) -> float:
        return (self.bytes_held - self.bytes_before) / max(1, self.held)


def park(tmp: Path, title: str, connections: int, in_flight: int, *, keys: int = 1,
         goal: Optional[int] = None) -> HeldMemory:
    """Parks so many requests in a daemon of its own."""
    options: Dict[str, object] = {"m": in_flight, "u": "/fragment/park-%"}
    with Workerless(tmp, CONFIG.format(redis="", cache="")) as daemon:
        with Parked(daemon.address, c=4, **options):  # touches the code that it takes
            pass
        before = settled_bytes(daemon)
        with Parked(daemon.address, c=connections, k=keys, **options) as parked:
            resident = settled_bytes(daemon)
    return HeldMemory(title, parked.result["asked"], parked.result["parked"], before, resident,
                      goal)


def park_all(tmp: Path, quick: bool, million: bool) -> List[HeldMemory]:
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


def print_held(what: str, found: List[HeldMemory]) -> None:
    print(f"resident memory of the daemon, before and with {what}\n"
          f"{'':<58}before KiB    with KiB  bytes each   goal")
    for row in found:
        cells = f"{row.bytes_before // 1024:>12,}{row.bytes_held // 1024:>12,}{row.each:>12,.0f}"
        if row.goal is not None:
            cells += f"   <= {row.goal} {verdict(row.each <= row.goal)}"
        print(f"  {row.title:<54}{cells}")
    print()


# --- the memory cache


@dataclass
class CacheMemory:
    """The size of the memory cache after more was requested than fits its limit."""

    title: str
    bound: int
    growth: int         # of resident memory, since there was next to nothing in it
    asked: int
    kept: int           # how many of them are still in memory
    wrong: int          # answers
    goal: float = 1.25  # times the bound, at most

    @property
    def share(self) -> float:
        return self.growth / self.bound


def is_kept(connection: Connection, path: str) -> bool:
    return "detail=memory" in connection.request(path).headers["cache-status"]


def count_kept(daemon: Workerless, prefix: str, asked: int) -> int:
    """How many of those that were requested last, in the order of their numbers, are in memory.
    Each request may change that by one, so few are made."""
    low, high = 0, asked    # it is from this to that
    with Connection(daemon.address) as connection:
        while low < high:
            middle = (low + high + 1) // 2
            if is_kept(connection, f"/fragment/{prefix}{asked - middle:08d}"):
                low = middle
            else:
                high = middle - 1
    return low


def fill_one(tmp: Path, redis: Redis, mebibytes: int, stages: List[int]) -> List[CacheMemory]:
    """Fills the memory of a new daemon with results of one size after the other."""
    bound = mebibytes * MEBIBYTE
    found = []
    with Workerless(tmp, FILL_CONFIG.format(redis=redis.url, mebibytes=mebibytes)) as daemon:
        wait_armed(redis)
        for size in stages:  # touches the code that it takes
            load(daemon.address, c=4, m=8, u=f"/fragment/{size}-%", k=10, n=1000)
        before = settled_bytes(daemon)
        for size in stages:
            asked = too_many(size, bound)
            result = load(daemon.address, c=4, m=8, u=f"/fragment/{size}-%", k=asked, n=asked)
            growth = settled_bytes(daemon) - before
            found.append(CacheMemory(
                f"{'then ' if found else ''}{asked:,} results of {size:,} bytes", bound, growth,
                asked, count_kept(daemon, f"{size}-", asked), asked - result["requests"]))
    return found


def too_many(size: int, bound: int) -> int:
    """How many bodies of that size are far more than fit; an entry takes at least about 200 bytes
    more."""
    return 2 * bound // (size + 200)


def fill_all(tmp: Path, quick: bool) -> List[CacheMemory]:
    """The second daemon shows what the first one's change of sizes costs, by fragmentation."""
    mebibytes = 8 if quick else 64
    small, middle = 64, 10240
    with Redis(tmp) as redis:
        for size in (small, middle):
            fill(redis, f"worker:{size}-", too_many(size, mebibytes * MEBIBYTE), b"x" * size)
        return fill_one(tmp, redis, mebibytes, [small, middle, small]) + \
            fill_one(tmp, redis, mebibytes, [middle])


def print_cache(found: List[CacheMemory]) -> None:
    print("resident memory of the daemon: growth by a full memory cache\n"
          f"{'':<46}bound KiB  growth KiB     kept  bytes each   ratio   goal")
    for row in found:
        print(f"  {row.title:<41}{row.bound // 1024:>12,}{row.growth // 1024:>12,}{row.kept:>9,}"
              f"{row.growth / max(1, row.kept):>12,.0f}{row.share:>8.2f}"
              f"   <= {row.goal} {verdict(row.share <= row.goal)}")
    print()
