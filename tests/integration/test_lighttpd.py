"""lighttpd before the daemon: conf/lighttpd.conf connects to one that runs, and
conf/lighttpd-spawn.conf starts it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import List

import pytest

from harness import fronts
from harness.config import api_config
from harness.httpc import get
from harness.process import gone
from harness.servers import SANITIZER_WORDS
from harness.wait import wait_until


def children(pid: int) -> List[int]:
    return [int(child) for child in
            Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]


def test_connects(tmp, run, api, redis, daemon):
    front = run(fronts.lighttpd(tmp, daemon(redis=redis.url).socket_path))
    fronts.check_page(front)
    fronts.check_fragment(front, api)
    fronts.check_conditional(front)
    fronts.check_large_body(front, api)
    assert redis.command("EXISTS", "worker:seen") == 1


@pytest.mark.parametrize("reset", [False, True])
def test_client_abort(tmp, run, api, daemon, reset):
    """lighttpd takes a FIN for a half-close, and sees a RST only if it had not read the request at
    once. So the request may stay parked, and its result is discarded, which does no harm."""
    front = run(fronts.lighttpd(tmp, daemon(extra="max_parked = 1").socket_path))
    fronts.ask_and_leave(front, api, "left", reset=reset)
    fronts.check_flight_goes_on(front, api, "left")
    fronts.check_place_is_free(front)


def test_spawns(tmp, run, api, redis):
    front = run(fronts.lighttpd_spawn(tmp, api_config(api, redis=redis.url)))
    fronts.check_page(front)
    fronts.check_fragment(front, api)
    fronts.check_conditional(front)
    fronts.check_large_body(front, api)

    [daemon] = children(front.pid)
    front.stop()
    wait_until(lambda: gone(daemon), "the daemon to end with lighttpd")
    assert not any(word in front.log() for word in SANITIZER_WORDS)


def test_spawned_client_abort(tmp, run, api):
    front = run(fronts.lighttpd_spawn(tmp, api_config(api, extra="max_parked = 1")))
    fronts.ask_and_leave(front, api, "left")
    fronts.check_flight_goes_on(front, api, "left")
    fronts.check_place_is_free(front)


def test_spawns_again(tmp, run, api):
    """lighttpd restarts a daemon that has ended."""
    front = run(fronts.lighttpd_spawn(tmp, api_config(api)))
    assert get(front.address, "/fragment/a").status == 200
    [first] = children(front.pid)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: children(front.pid) not in ([], [first]), "another daemon")
    wait_until(lambda: get(front.address, "/fragment/a").status == 200, "an answer from it")
