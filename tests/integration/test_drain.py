"""Restarts under load, behind nginx, with a listening socket that somebody else keeps open, as
systemd's socket unit does: no request fails, and a hit waits only while no process accepts.

No hit is to wait more than 1.5 s, or 100 ms if the new process starts first; the bounds here leave
room for a slow machine. The slowest hit of each restart is printed."""

from __future__ import annotations

import socket
from typing import Callable

import pytest

from harness import fronts
from harness.config import api_config
from harness.load import Hits, Waiters
from harness.servers import READABLE, Workerless
from harness.wait import SLOWNESS, scaled, wait_until

SLOW = ["/fragment/b", "/fragment/c"]
PARKED = 200  # requests that wait for a slow fragment, and ask again as <page-fragment> does
RESTARTS = 2


@pytest.fixture(params=["unix", "tcp"])
def service(tmp, run, api, redis, request):
    """(start, nginx): start() starts a process on the socket that is held here."""
    listening = socket.socket(socket.AF_UNIX if request.param == "unix" else socket.AF_INET)
    run(listening)
    listening.bind(f"{tmp}/held" if request.param == "unix" else ("127.0.0.1", 0))
    listening.listen(4096)
    where = listening.getsockname()
    place = f"{tmp}/held" if request.param == "unix" else "TCP"
    changes = {} if request.param == "unix" else {
        "server unix:/run/workerless/workerless.sock;":
            "server %s:%d; # /run/workerless/workerless.sock" % where}

    config = api_config(api, redis=redis.url, extra=READABLE).replace('ttl = "60s"', 'ttl = "1h"')

    def start() -> Workerless:
        server = run(Workerless(tmp, config, listen="none", systemd=listening, address=where))
        server.wait_log("redis: connected")
        return server

    front = run(fronts.nginx(tmp, place, changes=changes))
    return start, front


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
    start, front = service
    server = start()
    api.hold("b", "c")
    count = scaled(PARKED, least=20)
    with Waiters(front.address, SLOW, count) as waiters:
        server.wait_counter("parked", count)
        api.wait_calls("b", 1)
        api.wait_calls("c", 1)
        for _ in range(RESTARTS):
            calls, again = api.calls(), waiters.again
            hits = Hits(front.url + "/fragment/a")
            api.wait_calls("a", 1)
            server = restart(server, start)
            assert hits.running
            wait_until(lambda least=again: waiters.again >= least + count, "all to ask again")
            number, worst = hits.end()
            print(f"{restart.__name__}: the slowest of {number} hits took {worst * 1000:.0f} ms")
            assert worst <= bound + 0.3 * SLOWNESS
            assert not waiters.failures, waiters.failures[:3]
            # a, once; and what was given up
            assert api.calls() <= calls + 3 and api.calls("a") == 1
        api.release("b", "c")
        wait_until(lambda: waiters.done == count, "everybody's result")
    assert not waiters.failures, waiters.failures[:3]
