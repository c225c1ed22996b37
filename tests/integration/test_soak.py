"""Several daemons under load while their Redis is killed, restarted, stopped, flushed and failed
over in random order: a Redis that the config names, and a pair that Sentinels watch.

WORKERLESS_SOAK_SECONDS is for how long each (default 5), WORKERLESS_SOAK_SEED repeats what happens
to Redis."""

import os
import random
import re
import signal
import statistics
import time
from typing import Callable, Dict, Iterator, List, Tuple

import pytest

from harness import fcgi
from harness.fcgi import Connection, Response
from harness.fleet import Fleet, is_hit
from harness.sentinel import Group
from harness.servers import Redis, Workerless
from harness.slowapi import SlowApi
from harness.trouble import GroupTrouble, Trouble
from harness.wait import SLOWNESS, wait_until

SECONDS = float(os.environ.get("WORKERLESS_SOAK_SECONDS") or 5)
SEED = int(os.environ.get("WORKERLESS_SOAK_SEED") or random.randrange(1 << 32))
KEYS = 40
BATCH = 64  # requests in flight on a connection
SLOW = max(SLOWNESS, 1)
DEADLINE_S = 5 * SLOW  # for a request: far more than redis_timeout and lease allow
LATE_S = 2 * SLOW  # how late a result of the API may reach the check on a busy machine
# Growth of memory from the first half of a run to the second, in bytes: in a short run, not
# everything that is allocated once exists in the first half.
GROWTH = (1 if SECONDS >= 30 else 4) << 20
LOOK_S = 0.25  # how often memory is measured

# How old what is served may be, in seconds, since the API does not fail. What lasts is old only if
# nobody writes or purges it, which shows at the end.
AGES = {"stale/": 2.3, "error/": 0.3, "early/": 1, "failing/": 0, "lasting/": 1e9, "": 1}
ROUTES = """
fragment "stale/*"   { source = "api" ttl = "300ms" stale = "2s" jitter = "100ms" }
fragment "error/*"   { source = "api" ttl = "300ms" stale_error = "2s" negative = "200ms" }
fragment "early/*"   { source = "api" ttl = "1s" early = "yes" }
fragment "failing/*" { source = "api" ttl = "1s" negative = "100ms" }
fragment "lasting/*" { source = "api" ttl = "1h" }
fragment "*"         { source = "api" ttl = "1s" }
"""
NAMES = [f"{kind}k{number}" for kind in AGES for number in range(KEYS)]
LASTING = [name for name in NAMES if name.startswith("lasting/")]


def text_of(name: str) -> str:
    return f"result for {name} made at {time.monotonic()}"


def write(redis: Redis) -> None:
    """Writes results, as somebody else would."""
    for name in LASTING:
        redis.command("SET", f"worker:{name}", f'<div id="{name}">{text_of(name)}</div>',
                      "EX", 3600)


class Client:
    """Keeps requests for random names in flight on one connection, and sometimes leaves."""

    def __init__(self, address, chance: random.Random) -> None:
        self.address = address
        self.connection = Connection(address)
        self.chance = chance
        self.flying: Dict[int, Tuple[str, float]] = {}  # request id -> name, since when
        self.answers: Dict[int, int] = {}  # status -> count
        self.slowest = 0.0

    def take(self) -> None:
        """Takes what has arrived, and checks it."""
        self.connection.pump(0)
        now = time.monotonic()
        for request_id, (name, began) in list(self.flying.items()):
            response = self.connection.responses[request_id]
            if response.ended:
                del self.flying[request_id]
                self.slowest = max(self.slowest, now - began)
                self.judge(name, began, response)
            else:
                assert now - began < DEADLINE_S, f"no answer to {name} for {now - began:.1f} s"

    def send(self) -> None:
        """Sends some of what may be sent."""
        if self.chance.random() < 0.002:
            self.connection.close()
            self.connection = Connection(self.address)
            self.flying.clear()
        free = [number for number in range(1, BATCH + 1) if number not in self.flying]
        self.chance.shuffle(free)
        requests: List[bytes] = []
        for request_id in free[:self.chance.randrange(BATCH)]:
            name = self.chance.choice(NAMES)
            what = self.chance.random()
            requests.append(fcgi.request(f"/fragment/{name}", request_id,
                                         method="PURGE" if what < 0.01 else "GET"))
            if what > 0.99:
                requests.append(fcgi.abort(request_id))
            self.flying[request_id] = ("PURGE" if what < 0.01 else "ABORT" if what > 0.99
                                       else name, time.monotonic())
        if requests:
            self.connection.send_raw(b"".join(requests))

    def judge(self, name: str, began: float, response: Response) -> None:
        """A result is correct if it was generated for that name, not long before the request."""
        if name == "ABORT":  # may have been answered before
            return
        self.answers[response.status] = self.answers.get(response.status, 0) + 1
        if name == "PURGE":
            assert response.status in (204, 503), response.stdout[:200]
        elif name.startswith("failing/"):
            assert response.status == 502, response.stdout[:200]
        else:
            assert response.status == 200, f"{name}: {response.stdout[:300]!r}"
            made = re.fullmatch(f'<div id="{name}">result for {name} made at ([0-9.]+)</div>',
                                response.text)
            assert made, f"{name}: {response.stdout[:300]!r}"
            age = began - float(made.group(1))
            assert age < AGES[name.rpartition("k")[0]] + LATE_S, f"{name} is {age:.1f} s old"

    def drain(self) -> None:
        """Takes what is still under way; its deadline is take()'s."""
        while self.flying:
            self.take()
            time.sleep(0.001)


class Told:
    """What happened in a soak."""

    def __init__(self, clients: List[Client], sizes: List[List[int]]) -> None:
        self.answers: Dict[int, int] = {}
        for client in clients:
            for status, count in client.answers.items():
                self.answers[status] = self.answers.get(status, 0) + count
        self.slowest = max(client.slowest for client in clients)
        middle = len(sizes) // 2
        # Of each daemon: how much more memory it had in the second half.
        self.growth = [int(statistics.median(second) - statistics.median(first)) for first, second
                       in zip(zip(*sizes[:middle]), zip(*sizes[middle:]))]

    def __str__(self) -> str:
        grown = ", ".join(f"{growth >> 10}" for growth in self.growth)
        return f"{self.answers}, the slowest after {self.slowest:.2f} s, grown by {grown} KiB"


def soak(fleet: Fleet, trouble: Trouble, seconds: float, chance: random.Random) -> Told:
    """Load and failures, until everything is healthy again."""
    clients = [Client(server.address, chance) for server in fleet.servers for _ in range(2)]
    sizes: List[List[int]] = []
    try:
        begin = now = time.monotonic()
        while now < begin + seconds:
            trouble.step()
            for client in clients:
                client.take()
                client.send()
            if now >= begin + LOOK_S * len(sizes):
                sizes.append([server.resident_bytes() for server in fleet.servers])
            now = time.monotonic()
        trouble.mend()
        for client in clients:
            client.drain()
    finally:
        for client in clients:
            client.connection.close()
    wait_until(trouble.settled, "the trouble to be over")
    fleet.redis = trouble.redis
    fleet.wait_armed()
    return Told(clients, sizes)


# What is checked afterwards.


def ask_each(fleet: Fleet, names: List[str]) -> Iterator[Tuple[str, Response]]:
    """All of them of each daemon."""
    for number in fleet.running():
        for request_id, name in enumerate(names, 1):
            fleet.send(number, name, [request_id])
    for number in fleet.running():
        for request_id, name in enumerate(names, 1):
            yield name, fleet.response(number, request_id)


def assert_nothing_left(fleet: Fleet) -> None:
    """Everything in Redis expires, and leases do so as soon as nothing is in progress."""
    for key in fleet.redis.keys():
        assert fleet.redis.command("PTTL", key) != -1, f"{key} does not end"
    wait_until(lambda: not fleet.leases(), "the leases to end")


def assert_like_redis(fleet: Fleet) -> None:
    """Each daemon has what Redis has, whoever wrote it; nothing is served for ever."""
    fleet.hear()
    for name, response in list(ask_each(fleet, LASTING)):
        assert response.body == fleet.value(name), f"{name} differs from Redis"
    for name in NAMES:
        fleet.redis.command("SET", f"worker:{name}", f"mark of {name}", "EX", 100)
    fleet.hear()
    for name, response in ask_each(fleet, NAMES):
        assert is_hit(response) and response.text == f"mark of {name}"
    fleet.redis.command("DEL", *(f"worker:{name}" for name in NAMES))
    fleet.hear()
    for name, response in ask_each(fleet, NAMES):
        assert b"mark of" not in response.stdout, f"{name} is served for ever"


def assert_no_growth(server: Workerless, api: SlowApi, before: int, growth: int) -> None:
    """before: its descriptors; growth: of its memory."""
    wait_until(lambda: server.descriptors_beside(api.port) == before, f"{before} descriptors")
    if server.memory_is_telling:
        assert growth < GROWTH, f"{growth} bytes more in the second half"


def run_soak(fleet: Fleet, new_trouble: Callable[[random.Random], Trouble], say) -> Trouble:
    """An entire soak; returns what happened to Redis."""
    signal.setitimer(signal.ITIMER_REAL, (SECONDS + 60) * SLOW)  # of the test
    fleet.api.text = text_of
    fleet.api.delay = lambda: random.uniform(0, 0.05)
    for name in NAMES:
        if name.startswith("failing/"):
            fleet.api.answer(name, status=500)
    print(f"seed {SEED}")  # pytest shows it when the test fails
    trouble = new_trouble(random.Random(SEED))  # of its own: what it does depends only on the seed
    chance = random.Random(SEED)
    soak(fleet, trouble, min(2, SECONDS / 3), chance)  # first, all that is allocated once
    assert_nothing_left(fleet)
    before = [server.descriptors_beside(fleet.api.port) for server in fleet.servers]
    told = soak(fleet, trouble, SECONDS, chance)
    say(f"seed {SEED}: {told}, {trouble.count}, {fleet.api.calls()} calls")
    fleet.api.delay = lambda: 0
    assert_nothing_left(fleet)
    assert_like_redis(fleet)
    for server, count, growth in zip(fleet.servers, before, told.growth):
        assert_no_growth(server, fleet.api, count, growth)
    return trouble


@pytest.fixture
def say(capsys):
    """Prints what happened, even if the test passes."""
    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n  soak, {text}")

    return show


@pytest.fixture
def fleet(tmp, run, api):
    """fleet(redis, url) starts one."""
    return lambda redis, url="": run(Fleet(
        tmp, redis, api, url=url, routes=ROUTES, lease="500ms",
        cache='memory = "1MiB" redis_timeout = "100ms"'))


def test_soak(fleet, redis, say):
    run_soak(fleet(redis), lambda chance: Trouble(redis, chance, write), say)


def test_soak_with_failover(tmp, run, fleet, say):
    group = run(Group(tmp, hasty=True))
    trouble = run_soak(fleet(group.primary(), group.url()),
                       lambda chance: GroupTrouble(group, chance, write), say)
    say(f"{trouble.failovers} failovers")
    assert trouble.failovers > 0
