"""Many fragments in one response: what 5,000 such streams of 10 fragments cost the daemon, and
whether one that is not read delays the others.

A fragment of them all is released by a value that is written into Redis; a stream has its event
when the program has read it. The one that is not read was sent a large fragment before, so that its
socket is full, and waits for the one that is released as well. In other rounds, in turns and on the
same streams, it has read that; everything else is equal.
"""

from __future__ import annotations

import fcntl
import resource
import socket
import statistics
import struct
import termios
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, List, Optional

from bench_programs import Result, Streams, failures
from harness import fcgi
from harness.servers import Redis, Workerless
from harness.wait import wait_until
from memory import SPARE_DESCRIPTORS, HeldMemory, settled_bytes
from scenarios import verdict

FRAGMENTS = 10
GOAL_BYTES = 2048
GOAL_PAGE_BYTES = 4096  # more than a stream
GOAL_DELAY = 1.1        # what is less is lost in the noise
LARGE_BYTES = 1 << 20   # more than a socket takes

CONFIG = """
cache {{ redis = "{redis}" lease = "10m" }}
heartbeat = "1h"
send_timeout = "10m"
max_parked = 200000
shutdown_timeout = "0s"
source "never" {{ type = "simulated"  delay = "10m" }}
fragment "park*" {{ source = "never"  ttl = "1h"  stream = "yes" }}
page "/page" {{ file = "{file}"  page_hold = "0" }}
page "/held" {{ file = "{file}"  page_hold = "60s" }}
"""


def path_of(prefix: str) -> str:
    """Of a stream: its fragments are PREFIX0 to PREFIX9."""
    return "/fragments?" + "&".join(f"name={prefix}{number}" for number in range(FRAGMENTS))


def most_connections(wanted: int) -> int:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(wanted, max(1, files - SPARE_DESCRIPTORS))


def write_config(tmp: Path, redis: str) -> str:
    file = tmp / "page.html"
    file.write_text("<!DOCTYPE html>\n<body>\n" + "".join(
        f'<p><?start name="park-{number}">Loading...<?end></p>\n' for number in range(FRAGMENTS)) +
        "</body>\n", "utf-8")
    return CONFIG.format(redis=redis, file=file)


# --- memory


def measure(tmp: Path, title: str, connections: int, in_flight: int, *, prefix: str = "park-",
            keys: int = 1, path: str = "", goal: Optional[int] = None) -> HeldMemory:
    """Opens so many streams, or pages, at a daemon of its own."""
    path, count = path or path_of(prefix), connections * in_flight
    with Workerless(tmp, write_config(tmp, "")) as daemon:
        with Streams(daemon.address, c=4, m=1, u=path):   # touches the code that it takes
            pass
        before = settled_bytes(daemon)
        with Streams(daemon.address, c=connections, m=in_flight, k=keys, u=path):
            resident = settled_bytes(daemon)
    return HeldMemory(title, count, count, before, resident, goal)


def measure_all(tmp: Path, quick: bool) -> List[HeldMemory]:
    wanted, ids = 1000 if quick else 5000, 100
    plain = most_connections(wanted)
    return [
        measure(tmp, f"{plain:,} connections x 1 stream", plain, 1, goal=GOAL_BYTES),
        measure(tmp, f"{wanted // ids:,} connections x {ids} streams", wanted // ids, ids,
                goal=GOAL_BYTES),
        measure(tmp, f"{wanted // ids:,} connections x {ids} streams, each its own fragments",
                wanted // ids, ids, prefix="park-%-", keys=wanted),
    ]


def measure_pages(tmp: Path) -> List[HeldMemory]:
    count = most_connections(1000)
    return [
        measure(tmp, f"{count:,} connections x 1 stream", count, 1, goal=GOAL_BYTES),
        measure(tmp, f"{count:,} connections x 1 page, its templates are to come", count, 1,
                path="/page", goal=GOAL_BYTES + GOAL_PAGE_BYTES),
        measure(tmp, f"{count:,} connections x 1 page, which is held", count, 1, path="/held",
                goal=GOAL_BYTES + GOAL_PAGE_BYTES),
    ]


# --- a slow reader


@dataclass
class Delay:
    """The rounds of both kinds, in pairs."""

    streams: int
    without: List[Result] = field(default_factory=list)
    with_one: List[Result] = field(default_factory=list)

    def ratio(self, share: str) -> float:
        """The median of the pairs' ratios, since the two of a pair are neighbours in time."""
        return statistics.median(
            slow["latency_us"][share] / max(1e-9, plain["latency_us"][share])
            for slow, plain in zip(self.with_one, self.without))

    @property
    def noise(self) -> float:
        """By what share rounds of the same kind differ from their median, at the median."""
        times = [result["latency_us"]["max"] for result in self.without]
        middle = statistics.median(times)
        return statistics.median(abs(time - middle) for time in times) / middle


def bytes_waiting(sock: socket.socket) -> int:
    return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]


@contextmanager
def one_more(daemon: Workerless, name: str, reads: bool) -> Iterator[None]:
    """A stream that was sent something large and waits for the fragment. If it `reads`, it has read
    that; else its socket is full, and most of it waits in the daemon."""
    with daemon.connect() as sock:
        sock.sendall(fcgi.request("/fragments", query=f"name=park-large&name={name}",
                                  extra={"HTTP_ACCEPT": "text/event-stream"}))
        if reads:
            got = 0
            while got < LARGE_BYTES:
                got += len(sock.recv(LARGE_BYTES))
        else:
            wait_until(lambda: bytes_waiting(sock) > LARGE_BYTES // 32, "a full socket")
        settled_bytes(daemon)
        waiting = bytes_waiting(sock)
        yield
        if not reads:   # it was not dropped, and most of it still waits in the daemon
            assert 0 < waiting <= bytes_waiting(sock) < LARGE_BYTES, "its socket was not full"


def measure_delay(tmp: Path, quick: bool, rounds: int) -> Delay:
    """Each round opens all streams and releases most of their fragments, one after the other. (The
    last one would end them.)"""
    streams = most_connections(1000 if quick else 5000) - 1
    delay = Delay(streams)
    kinds = [(delay.without, True), (delay.with_one, False)]
    with Redis(tmp) as redis, Workerless(tmp, write_config(tmp, redis.url)) as daemon:
        redis.command("SET", "worker:park-large", b"x" * LARGE_BYTES, "EX", 3600)
        for number in range(rounds):
            prefix = f"park-{number}-"
            with Streams(daemon.address, c=streams, u=path_of(prefix), K="worker:",
                         r=f"unix:{redis.address}") as opened:
                wait_until(lambda at=prefix: len(redis.command("KEYS", f"lease:*{at}*")) ==
                           FRAGMENTS, "the leases")
                # In pairs, one of each kind; which one is first changes from pair to pair.
                for at in range(FRAGMENTS - 2):
                    if at % 2 == 0:
                        kinds.reverse()
                    results, reads = kinds[at % 2]
                    name = f"{prefix}{at}"
                    with one_more(daemon, name, reads):
                        results.append(opened.release(name))
    return delay


def print_delay(delay: Delay) -> None:
    print(f"{delay.streams:,} streams: from before the SET of one of their fragments to the event\n"
          f"{'':<42}rounds   p50 ms   p99 ms  last ms   ratio   goal")
    for title, results in (("without a slow reader", delay.without),
                           ("with a slow reader among them", delay.with_one)):
        cells = f"{len(results):>10}"
        for share in ("p50", "p99", "max"):
            cells += \
                f"{statistics.median(it['latency_us'][share] for it in results) / 1e3:>9.2f}"
        if results is delay.with_one:
            ratio = delay.ratio("max")
            cells += f"{ratio:>8.2f}   <= {GOAL_DELAY} {verdict(ratio <= GOAL_DELAY)}"
        print(f"  {title:<36}{cells}")
    print("  (the ratio is that of the last, the median of pairs; rounds without a slow reader "
          f"differ by {delay.noise:.0%} from theirs)\n")


def failures_of(delay: Delay) -> List[str]:
    return [f"streams: {result['failures']}" for result in delay.without + delay.with_one
            if failures(result)]
