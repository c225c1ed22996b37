"""Restarts under load, behind nginx, with a listening socket that somebody else keeps open, as
systemd's socket unit does: no request fails, and a hit waits only while no process accepts.

The bounds are those of the front page's promise (1.5 s; 100 ms) with room for a slow machine; the
worst hit of each restart is printed."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Callable, List

import pytest

from harness import fronts
from harness.config import api_config
from harness.servers import Workerless
from harness.wait import DEADLINE, SLOWNESS, scaled, wait_until

HIT, SLOW = "/fragment/a", ["/fragment/b", "/fragment/c"]
CLIENTS = 8    # that request a hit all the time
PARKED = 200   # that wait for a slow fragment, and ask again as <page-fragment> does
RESTARTS = 3


@dataclass
class Load:
    """Clients of nginx in a thread of their own. stop() returns when everybody has a result."""

    address: tuple
    parked: int
    failures: List[str] = field(default_factory=list)
    hits: int = 0
    again: int = 0  # 202s
    done: int = 0   # slow ones that have their result
    worst: float = 0.0  # seconds of a hit since reset()
    ending: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self.stop()

    def reset(self) -> None:
        self.worst, self.hits = 0.0, 0

    def stop(self) -> None:
        self.ending = True
        self._thread.join(DEADLINE * SLOWNESS)
        assert not self._thread.is_alive(), "somebody still waits"

    async def _run(self) -> None:
        slow = [self._wait(SLOW[number % len(SLOW)]) for number in range(self.parked)]
        await asyncio.gather(*[self._hit() for _ in range(CLIENTS)], *slow)

    async def _hit(self) -> None:
        while not self.ending:
            began = time.monotonic()
            await self._ask(HIT, (200,))
            self.worst = max(self.worst, time.monotonic() - began)
            self.hits += 1

    async def _wait(self, path: str) -> None:
        while await self._ask(path, (200, 202)) == 202:
            self.again += 1
        self.done += 1

    async def _ask(self, path: str, expected: tuple) -> int:
        status, data = 0, b""
        try:
            reader, writer = await asyncio.open_connection(*self.address)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                data = await reader.read()
                status = int(data.split()[1])
            finally:
                writer.close()
        except (OSError, IndexError, ValueError) as error:
            self.failures.append(f"{path}: {error!r}")
        if status not in expected:
            self.failures.append(f"{path}: {data[:200]!r}")
        return status


@pytest.fixture(params=["unix", "tcp"])
def service(tmp, run, api, redis, request):
    """(start, address of nginx): start() starts a process on the socket that is held here."""
    listening = socket.socket(socket.AF_UNIX if request.param == "unix" else socket.AF_INET)
    run(listening)
    listening.bind(f"{tmp}/held" if request.param == "unix" else ("127.0.0.1", 0))
    listening.listen(4096)
    where = listening.getsockname()
    place = f"{tmp}/held" if request.param == "unix" else "TCP"
    changes = {} if request.param == "unix" else {
        "server unix:/run/workerless/workerless.sock;":
            "server %s:%d; # /run/workerless/workerless.sock" % where}

    def start() -> Workerless:
        server = run(Workerless(tmp, api_config(api, redis=redis.url), listen="none",
                                systemd=listening, address=where))
        server.wait_log("redis: connected")
        return server

    front = run(fronts.nginx(tmp, place, changes=changes))
    return start, front.address


def stop_first(server: Workerless, start: Callable[[], Workerless]) -> Workerless:
    server.stop()
    return start()


def start_first(server: Workerless, start: Callable[[], Workerless]) -> Workerless:
    follower = start()
    server.stop()
    return follower


@pytest.mark.seconds(180)
@pytest.mark.parametrize("restart, bound", [(stop_first, 1.5), (start_first, 0.1)])
def test_restarts(service, api, restart, bound):
    start, address = service
    server = start()
    api.hold("b", "c")
    parked = scaled(PARKED, least=20)
    with Load(address, parked) as load:
        api.wait_calls("b", 1)
        api.wait_calls("c", 1)
        for number in range(RESTARTS):
            calls, again = api.calls(), load.again
            wait_until(lambda least=load.hits: load.hits > least + 100, "hits")
            load.reset()
            server = restart(server, start)
            wait_until(lambda least=load.hits: load.hits > least + 100, "hits after the restart")
            wait_until(lambda least=again: load.again >= least + parked, "all to ask again")
            print(f"{restart.__name__} {number + 1}: the worst of {load.hits} hits: "
                  f"{load.worst * 1000:.0f} ms")
            assert not load.failures, load.failures[:3]
            assert load.worst <= bound + 0.5 * SLOWNESS
            assert load.hits > 0 and api.calls() <= calls + 2  # what was given up is fetched again
        api.release("b", "c")
        wait_until(lambda: load.done == parked, "everybody's result")
    assert not load.failures, load.failures[:3]
    assert api.calls("a") == 1
