"""A result that takes longer than any timeout reaches the page.

It takes 40 seconds, or $WORKERLESS_LONG_SECONDS, while nginx gives up after 10."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from harness import fronts
from harness.wait import wait_until

HOLD = 8  # seconds
SECONDS = int(os.environ.get("WORKERLESS_LONG_SECONDS") or 40)

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>test</title>
<link rel="icon" href="favicon.svg"><script type="module" src="page-fragment.js"></script></head>
<body><page-fragment name="report">Working…</page-fragment></body></html>
"""


@pytest.mark.seconds(SECONDS + 80)
def test_long_generation(tmp, run, redis, api, daemon, browser):
    """The page's requests go to two processes in turns. One upstream call, no error, and as few
    requests as the hold allows."""
    www = tmp / "www"
    shutil.copytree(fronts.WWW, www)
    (www / "index.html").write_text(PAGE, "utf-8")
    relays = []
    for number in range(2):
        server = daemon(redis=redis.url, timeout="10m", extra=
                        f'fragment "report" {{ source = "api"  ttl = "60s"  hold = "{HOLD}s" }}')
        place = tmp / f"relay-{number}"
        place.mkdir(mode=0o711)
        relays.append(run(fronts.Relay(place, server.address)))
    one = f"server unix:{fronts.SOCKET};"
    front = run(fronts.nginx(tmp, relays[0].path, www=www, changes={
        one: f"{one} server unix:{relays[1].path};",
        "worker_processes auto;": "worker_processes 1;",
        "fastcgi_read_timeout 60s;": "fastcgi_read_timeout 10s;"}))

    def asked() -> int:
        return sum(relay.begun("/fragment/report") for relay in relays)

    api.hold("report")
    began = time.monotonic()
    browser.open(front.url)
    api.wait_calls("report", 1)
    rounds = -(-SECONDS // HOLD)  # so many are answered with 202, and the next one is parked
    wait_until(lambda: asked() > rounds, f"the page to ask {rounds + 1} times", SECONDS + 40)
    took = time.monotonic() - began
    assert browser.state("report") == "loading" and browser.busy("report")
    assert browser.text("report") == "Working…"
    api.release("report")
    browser.wait_state("report", "loaded")

    assert took >= rounds * HOLD - 1  # there was no polling in between
    assert asked() == rounds + 1
    assert all(relay.begun("/fragment/report") >= rounds // 2 for relay in relays)
    assert browser.text("report") == "result for report"
    assert browser.heard("report") == \
        ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "loadend"]
    assert browser.complaints() == []
    assert api.calls("report") == 1
    assert "timed out" not in front.log()
    print(f"{took:.1f} s, {asked()} requests, {api.calls('report')} call of the API")
