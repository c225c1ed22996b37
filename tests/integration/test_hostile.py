"""Hostile front servers by the hundred, while Redis is killed, stopped, flushed and filled with
nonsense, and the API is slow, wrong or gone: the daemon keeps answering everybody else.

WORKERLESS_HOSTILE_SECONDS is for how long (default 20), WORKERLESS_HOSTILE_SEED repeats what the
clients send and what happens to Redis."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from harness import fcgi
from harness.fcgi import Connection, Response, ask
from harness.fleet import wait_armed
from harness.hostile import HostileApi, HostileClients
from harness.process import Port
from harness.servers import Redis, RedisError, Workerless
from harness.trouble import Trouble
from harness.wait import SLOWNESS, wait_until

SECONDS = float(os.environ.get("WORKERLESS_HOSTILE_SECONDS") or 20)
SEED = int(os.environ.get("WORKERLESS_HOSTILE_SEED") or random.randrange(1 << 32))

MEBIBYTE = 1 << 20
MEMORY = MAX_UNSENT = 4 * MEBIBYTE
MAX_UNFINISHED = 2 * MEBIBYTE
MAX_PENDING = 4 * MEBIBYTE  # each of these bytes may take two: in the entry, and in transit
MAX_PARAMS = 65536
MAX_BODY = MEBIBYTE
MAX_PARKED = 4000
CONNECTIONS = 300  # hostile ones
CALLS = 20  # under way at the same time, of all sources
HOLD_S = 1.0
TIMEOUT_S = 2.0  # of the API's sources: a stream has no hold
# What a well-behaved client may have to wait beyond that, on a busy machine.
MARGIN_S = 8.0
BATCH = 16  # requests in flight on a connection of such a client

CONFIG = """
listen = {{"unix:{directory}/hostile.socket", "tcp:127.0.0.1:{port}"}}
purge = {{"127.0.0.1"}}
status = {{"127.0.0.1"}}
max_parked = {max_parked}
max_flights = {max_parked}
max_connections = 600
max_connection_requests = 500
max_params = "64KiB"
idle_timeout = "3s"
receive_timeout = "2s"
send_timeout = "2s"
heartbeat = "200ms"
tcp_half_close = "yes"
max_unsent = "{max_unsent}B"
max_unfinished = "{max_unfinished}B"
cache {{ redis = "{redis}" memory = "{memory}B" max_value = "3MiB"
        max_pending = "{max_pending}B" redis_timeout = "100ms" lease = "500ms" }}
source "sim" {{ type = "simulated" delay = "0-30ms" }}
source "api" {{
    type = "http" url = "{api}/{{name}}" timeout = "{timeout}s" max_body = "1MiB" connections = 16
}}
source "checked" {{ type = "http" url = "{api}/{{name}}" timeout = "{timeout}s" connections = 4 }}
"""
ROUTES = {
    "control/*": 'source = "sim" ttl = "300ms"',
    "checked/*": 'source = "checked" ttl = "300ms"',
    "sim/*": 'source = "sim" ttl = "500ms"',
    "new/*": 'source = "sim" ttl = "1s"',
    "stale/*": 'source = "api" ttl = "200ms" stale = "1s" stale_error = "2s" early = "yes"',
    "fail/*": 'source = "api" ttl = "1s" negative = "100ms" stale_error = "1s"',
    "uncached/*": 'source = "sim" ttl = "0"',
    "big/*": 'source = "api" ttl = "2s"',
    "slow/*": 'source = "api" ttl = "100ms"',
    "odd/*": 'source = "api" ttl = "100ms" negative = "50ms"',
    "api/*": 'source = "api" ttl = "1s"',
}
CONTROLS = [f"{kind}/{number}" for kind in ("control", "checked") for number in range(40)]
VICTIMS = [f"{kind}/{number}" for kind in ("sim", "api", "big", "stale") for number in range(20)]


def config(directory: Path, port: int, redis: Redis, api: HostileApi) -> str:
    routes = "".join(f'fragment "{name}" {{ {options} hold = "{HOLD_S}s" stream = "yes" }}\n'
                     for name, options in ROUTES.items())
    return CONFIG.format(directory=directory, port=port, redis=redis.url, memory=MEMORY,
                         api=f"http://127.0.0.1:{api.port}", max_unsent=MAX_UNSENT,
                         max_unfinished=MAX_UNFINISHED, max_pending=MAX_PENDING,
                         max_parked=MAX_PARKED,
                         timeout=TIMEOUT_S) + routes


# What others write into Redis.


def nonsense(chance: random.Random, name: str) -> bytes:
    """A value that nobody should write. If it is taken for HTML, it names its fragment."""
    mark = f"nonsense for {name} ".encode()
    now = int(time.time() * 1000)
    return chance.choice([
        mark, mark * chance.randrange(1, 2000), mark + bytes(range(256)),
        b"workerless/1 made=", b"workerless/1 made=1 fresh=2 cost=3 status=200 type=",
        b"workerless/2 " + mark, b"workerless/1 made=%d fresh=%d cost=-1 status=77 type=\r\n%s"
        % (now, now + 500, mark), b"workerless/1 made=%d fresh=99999999999999999999 cost=1 "
        b"status=200 type=text/html\n%s" % (now, mark),
        b"workerless/1 made=%d fresh=%d cost=1 status=200 type=text/html\n%s"
        % (now, now + 500, mark)])


def write_nonsense(redis: Redis, chance: random.Random) -> None:
    """Values and leases of every kind, which last a moment. Leases that never end are only for
    fragments that no well-behaved client requests."""
    for name in chance.sample(VICTIMS + CONTROLS, 20):
        key, lease = f"worker:{name}", f"lease:{{worker:{name}}}"
        what = chance.randrange(8)
        try:
            if what == 0:
                redis.command("DEL", key)
                redis.command("RPUSH", key, "a list")
            elif what == 1:
                redis.command("SET", lease, "somebody", "PX", 300)
            elif what == 2 and name in VICTIMS:
                redis.command("DEL", lease)
                redis.command("HSET", lease, "not", "a lease")
                redis.command("SET", key, b"x" * (3 * MEBIBYTE), "PX", 500)
                continue
            else:
                redis.command("SET", key, nonsense(chance, name))
            redis.command("PEXPIRE", key, 500)
        except RedisError:  # it is full, or a replica
            return


class HostileTrouble(Trouble):
    """The same as in a soak, with more nonsense."""

    kinds = Trouble.kinds + ["write", "write", "flush"]


# Well-behaved clients.


class Control:
    """Keeps valid requests in flight on one connection, and checks each answer."""

    def __init__(self, address, chance: random.Random) -> None:
        self.connection = Connection(address)
        self.chance = chance
        self.flying: Dict[int, Tuple[List[str], float]] = {}  # request id -> names, since when
        self.answers: Dict[int, int] = {}  # status -> count
        self.slowest: Dict[str, float] = {}  # kind -> seconds
        self.rests_until = 0.0

    def take(self) -> None:
        self.connection.pump(0)
        assert not self.connection.closed, "a well-behaved client loses its connection"
        now = time.monotonic()
        for request_id, (names, began) in list(self.flying.items()):
            response = self.connection.responses[request_id]
            if response.ended:
                del self.flying[request_id]
                kind = "stream" if len(names) > 1 else names[0].partition("/")[0]
                self.slowest[kind] = max(self.slowest.get(kind, 0.0), now - began)
                self.judge(names, response)
            else:
                limit = (HOLD_S if len(names) == 1 else 2 * TIMEOUT_S) + MARGIN_S
                assert now - began < limit * SLOWNESS, \
                    f"no answer to {names} for {now - began:.1f} s"

    def send(self) -> None:
        if time.monotonic() < self.rests_until:
            return
        free = [number for number in range(1, BATCH + 1) if number not in self.flying]
        requests: List[bytes] = []
        for request_id in free[:self.chance.randrange(len(free) + 1)]:
            names = [self.chance.choice(CONTROLS)]
            if self.chance.random() < 0.1:
                names = self.chance.sample(CONTROLS, 5)
                query = "&".join(f"name={name}" for name in names)
                requests.append(fcgi.request("/fragments", request_id, query=query))
            else:
                requests.append(fcgi.request(f"/fragment/{names[0]}", request_id))
            self.flying[request_id] = (names, time.monotonic())
        if requests:
            self.connection.send_raw(b"".join(requests))

    def judge(self, names: List[str], response: Response) -> None:
        status = response.status
        self.answers[status] = self.answers.get(status, 0) + 1
        assert status in (200, 202, 503, 504), f"{names}: {bytes(response.stdout[:300])!r}"
        if status == 503:  # with a Retry-After
            self.rests_until = time.monotonic() + 0.1
        if status != 200:
            return
        if response.headers["content-type"].startswith("text/event-stream"):
            self.judge_stream(names, response.body)
        else:
            assert is_of(names[0], response.body), f"{names}: {response.body[:300]!r}"

    @staticmethod
    def judge_stream(names: List[str], body: bytes) -> None:
        """Each fragment once, or its failure; then the end."""
        assert body.endswith(b"event: end\ndata:\n\n"), f"{names}: {body[-300:]!r}"
        left = set(names)
        for event in body.split(b"\n\n")[:-2]:
            if event in (b"", b":"):
                continue
            head, _, data = event.partition(b"\n")
            name = head[len("event: "):].decode()
            if name.endswith(":error"):
                name = name[:-len(":error")]
            else:
                lines = [line[len("data: "):] for line in data.split(b"\n")]
                assert is_of(name, b"\n".join(lines)), f"{name}: {data[:300]!r}"
            left.remove(name)
        assert not left, f"{left} did not come"

    def drain(self) -> None:
        while self.flying:
            self.take()
            time.sleep(0.001)


class Controls(threading.Thread):
    """Several of them, in a thread of their own, so that they wait only for the daemon. stop()
    fails if one of them has failed, and look() as soon as that is known."""

    def __init__(self, addresses, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._controls = [Control(address, chance) for address in addresses]
        self._over = threading.Event()
        self._problem: Optional[BaseException] = None
        self.answers: Dict[int, int] = {}  # status -> count
        self.slowest: Dict[str, float] = {}  # kind -> seconds

    def run(self) -> None:
        try:
            while not self._over.is_set():
                for control in self._controls:
                    control.take()
                    control.send()
                time.sleep(0.002)
            for control in self._controls:
                control.drain()
        except BaseException as problem:  # pylint: disable=broad-except
            self._problem = problem

    def look(self) -> None:
        if self._problem:
            raise self._problem

    def stop(self) -> None:
        self._over.set()
        self.join()
        self.look()
        for control in self._controls:
            control.connection.close()
            for kind, seconds in control.slowest.items():
                self.slowest[kind] = max(self.slowest.get(kind, 0.0), round(seconds, 2))
            for status, count in control.answers.items():
                self.answers[status] = self.answers.get(status, 0) + count


def is_of(name: str, body: bytes) -> bool:
    """Whether the body was made for that name, no matter who wrote it."""
    if body.startswith(b"nonsense"):
        mark = f"nonsense for {name} ".encode()
        return re.fullmatch(b"(%s)+[\0-\xff]{0,256}" % re.escape(mark), body, re.DOTALL) is not None
    return body == f'<div id="{name}">result for {name}</div>'.encode()


# What is checked afterwards.


def peak_bytes(server: Workerless) -> int:
    """The peak of its resident memory."""
    status = Path(f"/proc/{server.pid}/status").read_text("ascii")
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE).group(1)) * 1024


def allowed_bytes(before: int) -> int:
    """Everything that peers can make the daemon hold. A parked request, its flight and its call
    take some KiB; a connection that is not read from has up to 64 KiB of its own to send."""
    budgets = MEMORY + MAX_UNSENT + MAX_UNFINISHED + 2 * MAX_PENDING
    parked = MAX_PARKED * 8192
    return before + int(1.25 * (budgets + parked + CALLS * MAX_BODY + CONNECTIONS * 65536))


def assert_all_gone(daemon: Workerless, api: HostileApi, redis: Redis, descriptors: int) -> None:
    """Nothing of the hostile clients is left: no connection, no request, no lease that is renewed.
    Fragments in progress end by the timeout of their source. Redis must be connected first: else
    two connections that are still open would be taken for those to Redis."""
    wait_armed(redis)
    wait_until(lambda: daemon.descriptors_beside(api.port) == descriptors,
               "the connections to be closed")
    wait_until(lambda: daemon.counter("parked") == 0, "the requests and purges to end")
    for name in VICTIMS:
        if redis.command("PTTL", f"lease:{{worker:{name}}}") == -1:  # ours end by themselves
            redis.command("DEL", f"lease:{{worker:{name}}}")
    wait_until(lambda: not [key for key in redis.keys() if key.startswith("lease:")],
               "the leases to end")
    began = time.monotonic()
    daemon.stop()  # which checks its status
    assert time.monotonic() - began < 5 * SLOWNESS, "something goes on for ever"
    assert "sending 0 waiting requests" in daemon.log(), daemon.log()[-500:]


def test_hostile_clients(tmp, run, redis, capsys):
    signal.setitimer(signal.ITIMER_REAL, (SECONDS + 120) * SLOWNESS)  # of the test
    print(f"seed {SEED}")  # pytest shows it when the test fails
    api = run(HostileApi(tmp))
    port = Port()
    addresses = [f"{tmp}/hostile.socket", ("127.0.0.1", port.number)]
    daemon = run(Workerless(tmp, config(tmp, port.number, redis, api), listen="none",
                            address=addresses[0]))
    chance = random.Random(SEED)
    trouble = HostileTrouble(redis, random.Random(SEED),
                             lambda where: write_nonsense(where, chance))
    wait_armed(redis)
    ask(addresses[0], "/fragment/checked/first")  # what is opened only once is open now
    descriptors, before = daemon.descriptors_beside(api.port), daemon.resident_bytes()
    controls = Controls(addresses, random.Random(SEED))
    local, remote = addresses
    clients = run(HostileClients(tmp, [local, local, remote], connections=CONNECTIONS,
                                 seconds=10 * SECONDS, seed=SEED, max_params=MAX_PARAMS))
    controls.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert daemon.running, "the daemon has ended"
        assert clients.running, f"the hostile clients have ended: {clients.log()}"
        trouble.step()
        controls.look()
        time.sleep(0.01)
    clients.stop()
    trouble.mend()
    controls.stop()

    telling = daemon.memory_is_telling
    answers, peak, allowed = controls.answers, peak_bytes(daemon), allowed_bytes(before)
    with capsys.disabled():
        print(f"\n  hostile, {clients.told}, {trouble.count}\n  well-behaved: {answers}, the "
              f"slowest after so many s: {controls.slowest}\n  memory: {before >> 20} MiB before, "
              f"{peak >> 20} MiB at most, {allowed >> 20} MiB allowed")
    assert clients.told["cut"] == 0 or "exceed max_unsent: closing" in daemon.log()
    assert answers.get(200, 0) > sum(answers.values()) / 4, answers
    assert_all_gone(daemon, api, redis, descriptors)
    # Sanitizers keep freed memory, so its size means nothing.
    assert not telling or peak <= allowed, f"{peak} bytes of memory, {allowed} are allowed"
