"""What the daemon tells a service manager: readiness, its end, and that it lives."""

from __future__ import annotations

import os
import signal
import time

import pytest

from harness.config import api_config
from harness.fcgi import Connection, request
from harness.manager import Manager
from harness.servers import Workerless
from harness.wait import wait_until


@pytest.fixture(params=["path", "abstract"])
def manager(tmp, run, request):  # pylint: disable=redefined-outer-name
    return run(Manager(f"{'@' if request.param == 'abstract' else ''}{tmp}/notify"))


def test_its_life(tmp, run, api, manager):
    server = Workerless(tmp, api_config(api))
    server.environment.update(manager.environment)
    run(server)
    manager.wait("READY=1\nSTATUS=serving, fragments: 1, sources: 1")
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(request("/fragment/a"))
        api.wait_calls("a", 1)
        assert len(manager.read()) == 1  # there is no watchdog
        server.signal(signal.SIGQUIT)
        manager.wait("STOPPING=1\nSTATUS=finishing 1 requests and 1 fragments")
        server.signal(signal.SIGTERM)
        manager.wait("STOPPING=1\nSTATUS=sending 1 waiting requests to other processes, "
                     "finishing 1 fragments")
        api.release("a")
        assert server.wait() == 0
    assert len(manager.read()) == 3


def test_watchdog(tmp, run, api, manager):
    """Also while it drains. One that hangs tells nothing."""
    server = Workerless(tmp, api_config(api))
    server.environment.update(manager.environment, WATCHDOG_USEC="20000")
    run(server)

    def lives() -> None:
        count = len(manager.read())
        wait_until(lambda: manager.read()[count:].count("WATCHDOG=1") >= 3, "messages")

    lives()
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(request("/fragment/a"))
        api.wait_calls("a", 1)
        server.signal(signal.SIGQUIT)
        lives()
        api.release("a")
        assert connection.response().status == 200
        assert server.wait() == 0


def test_ready_only_when_it_listens(tmp, api, manager):
    """One that fails to start never is."""
    server = Workerless(tmp, api_config(api))
    os.mkdir(server.socket_path)
    server.environment.update(manager.environment)
    server.spawn()
    assert server.wait() == 1
    assert manager.read() == []


def test_reload(tmp, run, api, manager):
    """It says when it begins, by the clock of systemd, and when it is over, also if it fails."""
    server = Workerless(tmp, api_config(api))
    server.environment.update(manager.environment)
    run(server)
    ready = "READY=1\nSTATUS=serving, fragments: 1, sources: 1"
    manager.wait(ready)
    text = server.config_path.read_text("utf-8")
    for config, status in [(text, ready), ("nonsense = 1\n", "READY=1\nSTATUS=serving with the "
                           "earlier config, since the new one can't be used: see the log")]:
        manager.messages.clear()
        server.config_path.write_text(config, "utf-8")
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        server.signal(signal.SIGHUP)
        manager.wait(status)
        begin, usec = manager.read()[0].split("\nMONOTONIC_USEC=")
        assert begin == "RELOADING=1" and len(manager.read()) == 2
        assert before <= int(usec) / 1e6 + 1e-6 <= time.clock_gettime(time.CLOCK_MONOTONIC) + 1e-6
