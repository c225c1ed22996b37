"""Several daemons under load while their Redis is killed, restarted, stopped and flushed, in random
order. WORKERLESS_SOAK_SECONDS is for how long (default 10), WORKERLESS_SOAK_SEED repeats a run."""

import os
import random
import signal
import time
from typing import List

from harness import fcgi
from harness.fcgi import Connection
from harness.fleet import Fleet, is_hit
from harness.servers import Redis
from harness.wait import SLOWNESS, wait_until

SECONDS = float(os.environ.get("WORKERLESS_SOAK_SECONDS") or 10)
SEED = int(os.environ.get("WORKERLESS_SOAK_SEED") or random.randrange(1 << 32))
KEYS = 40
BATCH = 64  # requests in flight on a connection
DEADLINE_S = 10 * max(SLOWNESS, 1)  # for a request: far beyond what redis_timeout allows
GROWTH = 48 << 20  # bytes of memory: the bound of the memory cache and some buffers

ROUTES = """
fragment "stale/*"   { source = "api" ttl = "300ms" stale = "2s" jitter = "100ms" }
fragment "error/*"   { source = "api" ttl = "300ms" stale_error = "2s" negative = "200ms" }
fragment "early/*"   { source = "api" ttl = "1s" early = "yes" }
fragment "failing/*" { source = "api" ttl = "1s" negative = "100ms" }
fragment "*"         { source = "api" ttl = "1s" }
"""
KINDS = ["stale/", "error/", "early/", "failing/", ""]


class Client:
    """Keeps requests of random keys going on one connection."""

    def __init__(self, address, chance: random.Random) -> None:
        self.connection = Connection(address)
        self.chance = chance
        self.flying = {}  # request id -> (name, since when)
        self.answers = {}  # status -> count

    def step(self) -> None:
        """Sends what may be sent, takes what has come, and judges it."""
        self.connection.pump(0)
        now = time.monotonic()
        for request_id, (name, began) in list(self.flying.items()):
            response = self.connection.responses[request_id]
            if response.ended:
                del self.flying[request_id]
                self.judge(name, response)
            else:
                assert now - began < DEADLINE_S, f"no answer to {name} for {now - began:.1f} s"
        free = [number for number in range(1, BATCH + 1) if number not in self.flying]
        self.chance.shuffle(free)
        requests: List[bytes] = []
        for request_id in free[:self.chance.randrange(BATCH)]:
            name = self.chance.choice(KINDS) + f"k{self.chance.randrange(KEYS)}"
            purge = self.chance.random() < 0.01
            requests.append(fcgi.request(f"/fragment/{name}", request_id,
                                         method="PURGE" if purge else "GET"))
            self.flying[request_id] = ("PURGE" if purge else name, now)
        if requests:
            self.connection.send_raw(b"".join(requests))

    def judge(self, name: str, response) -> None:
        self.answers[response.status] = self.answers.get(response.status, 0) + 1
        if name == "PURGE":
            assert response.status in (204, 503), response.stdout[:200]
        elif response.status == 200:
            assert response.text == f'<div id="{name}">result for {name}</div>'
        elif name.startswith("failing/"):
            assert response.status == 502, response.stdout[:200]
        else:
            raise AssertionError(f"{name}: {response.stdout[:300]!r}")

    def drain(self) -> None:
        """Takes what is still under way."""
        for request_id, (name, _began) in list(self.flying.items()):
            self.judge(name, self.connection.response(request_id))
        self.flying.clear()


class Trouble:
    """What happens to Redis: one thing after the other, at random."""

    def __init__(self, redis: Redis, chance: random.Random) -> None:
        self.redis, self.chance = redis, chance
        self.until = 0.0
        self.state = "well"
        self.count = {}

    def step(self) -> None:
        """Does the next thing if it is time."""
        now = time.monotonic()
        if now < self.until:
            return
        self.until = now + self.chance.uniform(0.1, 0.9)
        if self.state != "well":
            self.mend()
            return
        what = self.chance.choice(["kill", "restart", "stop", "flush", "drop", "scripts", "full"])
        self.count[what] = self.count.get(what, 0) + 1
        if what == "kill":
            self.redis.kill()
            self.state = "gone"
        elif what == "restart":
            self.redis.restart()
        elif what == "stop":
            self.redis.signal(signal.SIGSTOP)
            self.state = "stopped"
        elif what == "flush":
            self.redis.command("FLUSHALL")
        elif what == "scripts":
            self.redis.command("SCRIPT", "FLUSH")
        elif what == "full":
            self.redis.command("CONFIG", "SET", "maxmemory", "1")
            self.state = "full"
        else:
            self.redis.command("CLIENT", "KILL", "TYPE", self.chance.choice(["normal", "pubsub"]),
                               "SKIPME", "yes")

    def mend(self) -> None:
        if self.state == "gone":
            self.redis.start()
        elif self.state == "stopped":
            self.redis.resume()
        elif self.state == "full":
            self.redis.command("CONFIG", "SET", "maxmemory", "0")
        self.state = "well"


def descriptors(server) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def assert_like_redis(fleet: Fleet) -> None:
    """What each daemon has is what Redis has; nothing is served for ever."""
    names = [f"{kind}k{number}" for kind in KINDS for number in range(KEYS)]
    for name in names:
        fleet.redis.command("SET", f"worker:{name}", f"mark of {name}", "EX", 100)
    fleet.hear()
    for name in names:
        for response in fleet.ask_all(name):
            assert is_hit(response) and response.text == f"mark of {name}"
    fleet.redis.command("DEL", *(f"worker:{name}" for name in names))
    fleet.hear()
    for name in names:
        for response in fleet.ask_all(name):
            assert "mark of" not in response.stdout.decode(), f"{name} is served for ever"


def soak(fleet: Fleet, seconds: float, seed: int) -> str:
    """Returns what happened, in words."""
    chance = random.Random(seed)
    trouble = Trouble(fleet.redis, chance)
    clients = [Client(server.address, chance) for server in fleet.servers for _ in range(2)]
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            trouble.step()
            for client in clients:
                client.step()
        trouble.mend()
        for client in clients:
            client.drain()
    finally:
        for client in clients:
            client.connection.close()
    answers = {}
    for client in clients:
        for status, count in client.answers.items():
            answers[status] = answers.get(status, 0) + count
    return f"{answers}, {trouble.count}, {fleet.api.calls()} calls"


def test_soak(tmp, run, api, capsys):
    redis = run(Redis(tmp))
    fleet = run(Fleet(tmp, redis, api, routes=ROUTES,
                      lease="500ms", cache='memory = "1MiB" redis_timeout = "100ms"'))
    signal.setitimer(signal.ITIMER_REAL, (SECONDS + 60) * max(SLOWNESS, 1))  # of the test
    api.delay = lambda: random.uniform(0, 0.05)
    for kind in KINDS:
        for number in range(KEYS):
            if kind == "failing/":
                api.answer(f"{kind}k{number}", status=500)
    print(f"seed {SEED}")  # pytest shows it when the test fails
    soak(fleet, min(2, SECONDS / 3), SEED)  # first, all that is allocated once
    fleet.wait_armed()
    size = [server.resident_bytes() for server in fleet.servers]
    told = soak(fleet, SECONDS, SEED + 1)
    with capsys.disabled():
        print(f"\n  soak, seed {SEED}: {told}")
    fleet.wait_armed()
    assert_like_redis(fleet)
    wait_until(lambda: redis.clients() == 2 * len(fleet), "two connections of each")
    for server, before in zip(fleet.servers, size):
        # Those of a daemon at rest; the API's 100 connections are kept for the next call.
        wait_until(lambda: descriptors(server) <= 20 + 100, "its descriptors to be closed")
        if server.memory_is_telling:
            assert server.resident_bytes() - before < GROWTH
