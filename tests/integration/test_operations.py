"""Two workers under load, behind nginx, on a listening socket that somebody else keeps open, are
reloaded and replaced again and again: no request fails, and nothing is fetched twice but what a fast
drain has given up.

With WORKERLESS_TEST_COUNT=5 there are 10 reloads and 5 restarts of each kind. The slowest hit of each
is printed. It is not to take more than 100 ms, or 1.5 s if the old processes stop first; the bounds
here leave room for a slow machine."""

from __future__ import annotations

import signal
import socket

import pytest

from harness import fronts, workers
from harness.config import api_config
from harness.load import Hits, Waiters
from harness.servers import Workerless
from harness.wait import SLOWNESS, scaled, wait_until

SLOW = ["/fragment/b", "/fragment/c"]
PARKED = 200
RELOADS, RESTARTS = 2, 1
SECONDS = max(1, min(10, int(SLOWNESS)))  # of load, at least, around a reload


class Site:
    """nginx, and two workers on a socket that is held here."""

    def __init__(self, tmp, run, api, redis, kind: str) -> None:
        self.tmp, self.run, self.api, self.redis = tmp, run, api, redis
        self.held = run(socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET))
        self.held.bind(f"{tmp}/held" if kind == "unix" else ("127.0.0.1", 0))
        self.held.listen(4096)
        self.place = self.held.getsockname()
        changes = {} if kind == "unix" else {
            "server unix:/run/workerless/workerless.sock;":
                "server %s:%d; # /run/workerless/workerless.sock" % self.place}
        self.server = self.start()
        self.front = run(fronts.nginx(tmp, f"{tmp}/held" if kind == "unix" else "TCP",
                                      changes=changes))

    def config(self, extra: str = "") -> str:
        text = api_config(self.api, redis=self.redis.url, extra=extra, timeout="10m")
        return 'status = {"127.0.0.1"} workers = 2' + text.replace('ttl = "60s"', 'ttl = "1h"')

    def start(self) -> Workerless:
        server = self.run(Workerless(self.tmp, self.config(), listen="none", systemd=self.held,
                                     address=self.place))
        workers.wait_serving(server, 2)
        wait_until(lambda: server.log().count("redis: connected") == 2, "both to reach Redis")
        return server

    def reload(self, number: int) -> None:
        """Another route each time, and another limit."""
        extra = f'max_parked = {1000 + number} fragment "new{number}" {{ source = "api" }}'
        self.server.config_path.write_text(self.config(extra), "utf-8")
        self.server.signal(signal.SIGHUP)
        self.server.wait_counter("reloads", 2 * (number + 1))

    def replace(self, *, start_first: bool) -> None:
        """By new processes."""
        old = self.server
        if not start_first:
            old.stop()
        self.server = self.start()
        old.stop()


@pytest.fixture(params=["unix", "tcp"])
def site(tmp, run, api, redis, request) -> Site:
    return Site(tmp, run, api, redis, request.param)


@pytest.mark.seconds(300)
def test_reloads_and_restarts(site, api):
    api.hold("b", "c")
    parked = min(PARKED, scaled(PARKED, least=20))

    def under_load(what: str, act, bound: float, seconds: int = SECONDS) -> None:
        hits = Hits(site.front.url + "/fragment/a", seconds)
        api.wait_calls("a", 1)
        act()
        assert hits.running, f"the load has ended before the {what}"
        number, worst = hits.end()
        print(f"{what}: the slowest of {number} hits took {worst * 1000:.0f} ms")
        assert worst <= bound + 0.3 * SLOWNESS
        assert not waiters.failures, waiters.failures[:3]
        assert api.calls("a") == 1

    with Waiters(site.front.address, SLOW, parked) as waiters:
        site.server.wait_counter("parked", parked)
        api.wait_calls("b", 1)
        api.wait_calls("c", 1)
        for number in range(scaled(RELOADS, least=2)):
            calls = api.calls() - api.calls("a")
            under_load("reload", lambda count=number: site.reload(count), 0.1)
            assert api.calls() - api.calls("a") == calls and waiters.again == 0
        for start_first, bound in ((True, 0.1), (False, 1.5)):
            for _ in range(scaled(RESTARTS)):
                calls, again = api.calls(), waiters.again
                under_load("new processes first" if start_first else "old processes stop first",
                           lambda first=start_first: site.replace(start_first=first), bound,
                           3 * SECONDS)
                wait_until(lambda least=again: waiters.again >= least + parked, "all to ask again")
                assert api.calls() <= calls + len(SLOW)  # what was given up
        api.release("b", "c")
        wait_until(lambda: waiters.done == parked, "everybody's result")
    assert not waiters.failures, waiters.failures[:3]
