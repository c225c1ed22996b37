"""Attacks on the memory and the lookups of the daemon, each measured within one run: names that
collide in a hash table, and clients that don't read."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Callable, List

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.hostile import colliding_names
from harness.servers import SlowApi, Workerless
from harness.wait import scaled, wait_until

MEBIBYTE = 1 << 20


@pytest.fixture
def say(capsys):
    """Prints what was measured, even if the test passes."""
    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {text}")

    return show


# --- names that collide

HASH_CONFIG = """
source "at once" { type = "simulated" delay = "0" }
fragment "*" { source = "at once" ttl = "1h" }
"""
TARGET = "news"  # whose hits the attack slows down
NAMES = scaled(60_000, 6_000)
HITS = 2_000
BATCH = 500


def ask_all(connection: Connection, names: List[str]) -> None:
    """Requests them, many at a time, and checks the answers."""
    for at in range(0, len(names), BATCH):
        part = names[at:at + BATCH]
        connection.send_raw(b"".join(
            fcgi.request(f"/fragment/{name}", number) for number, name in enumerate(part, 1)))
        for number, name in enumerate(part, 1):
            assert connection.response(number).status == 200, name


def cpu_ns(daemon: Workerless) -> int:
    """Processor time of the one thread that does the work of the daemon."""
    return int(Path(f"/proc/{daemon.pid}/schedstat").read_text("ascii").split()[0])


def cpu_of_hits(daemon: Workerless, connection: Connection) -> int:
    """Processor time of a hit of the target, in ns, in the fastest of several rounds."""
    costs = []
    for _ in range(5):
        before = cpu_ns(daemon)
        ask_all(connection, [TARGET] * HITS)
        costs.append((cpu_ns(daemon) - before) // HITS)
    return min(costs)


def random_names(like: List[str]) -> List[str]:
    """As many names, as long, and of the same letters."""
    letters = sorted(set("".join(like)))
    return ["".join(random.choices(letters, k=len(name))) for name in like]


def test_crafted_names_do_not_slow_down_others(tmp, run, say):
    crafted = colliding_names(NAMES, TARGET)
    kinds = {"random": random_names(crafted), "crafted": crafted}
    daemons = {kind: run(Workerless(tmp, HASH_CONFIG)) for kind in kinds}
    connections = {kind: run(Connection(daemon.address)) for kind, daemon in daemons.items()}
    for connection in connections.values():
        ask_all(connection, [TARGET])
    done = 0
    for count in (NAMES // 10, NAMES):  # if they slow it down, the rest would take very long
        cost = {}
        for kind, names in kinds.items():
            ask_all(connections[kind], names[done:count])
            cost[kind] = cpu_of_hits(daemons[kind], connections[kind])
        done = count
        ratio = cost["crafted"] / cost["random"]
        say(f"CPU of a hit beside {count} names: {cost['random']} ns if they are random, "
            f"{cost['crafted']} ns if they are crafted: {ratio:.2f} times")
        assert ratio < 3  # without a secret it is 100, and more with more names


# --- clients that don't read

MEMORY = 64 * MEBIBYTE
MAX_UNSENT = 16 * MEBIBYTE
CALLS = 8
IDLERS = 60
EACH = 64  # fragments that each of them requests
SIZE = 256 * 1024  # of each

IDLE_CONFIG = """
max_unsent = "{unsent}B"
send_timeout = "10m"
cache {{ memory = "{memory}B" }}
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "60s" connections = {calls} }}
fragment "*" {{ source = "api" ttl = "1h" stream = "yes" }}
"""


def ask_stream(connection: Connection, names: List[str], **headers: str) -> None:
    query = "&".join(f"name={name}" for name in names)
    connection.send_only(fcgi.request("/fragments", query=query, headers=headers))


def ask_events(connection: Connection, names: List[str]) -> None:
    ask_stream(connection, names)


def ask_templates(connection: Connection, names: List[str]) -> None:
    ask_stream(connection, names, Accept="text/html")


def ask_singly(connection: Connection, names: List[str]) -> None:
    connection.send_only(b"".join(
        fcgi.request(f"/fragment/{name}", number) for number, name in enumerate(names, 1)))


def wait_quiet(daemon: Workerless, api: SlowApi) -> None:
    """Waits until nothing changes any more: neither the calls of the API nor the processor time."""
    last = (-1, -1)

    def quiet() -> bool:
        nonlocal last
        before, last = last, (api.calls(), cpu_ns(daemon))
        if before[0] != last[0] or last[1] - before[1] > 2_000_000:
            time.sleep(0.25)  # what counts is how much happens in a given time
            return False
        return True

    wait_until(quiet, "the daemon to be quiet", 60)


@pytest.mark.seconds(180)
@pytest.mark.parametrize("ask", [ask_events, ask_templates, ask_singly])
def test_clients_that_do_not_read_have_a_budget(
        tmp, run, api, say, ask: Callable[[Connection, List[str]], None]):
    api.text = lambda name: name + "x" * (SIZE - len(name))
    daemon = run(Workerless(tmp, IDLE_CONFIG.format(
        unsent=MAX_UNSENT, memory=MEMORY, api=api.url, calls=CALLS)))
    before = daemon.resident_bytes()
    connections = [run(Connection(daemon.address)) for _ in range(IDLERS)]
    for number, connection in enumerate(connections):
        ask(connection, [f"{number}-{part}" for part in range(EACH)])
    wait_quiet(daemon, api)
    held = daemon.resident_bytes() - before
    allowed = int(1.25 * (MEMORY + MAX_UNSENT + CALLS * 2 * SIZE + IDLERS * 65536))
    say(f"{ask.__name__}: {IDLERS} idle clients of {EACH} fragments: {held >> 20} MiB of memory, "
        f"{allowed >> 20} MiB are allowed")
    assert not daemon.memory_is_telling or held <= allowed
    # Clients that read are still served.
    api.text = "result for {}".format
    with Connection(daemon.address) as connection:
        assert connection.request("/fragment/other").text == \
            '<div id="other">result for other</div>'
