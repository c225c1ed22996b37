"""The demo: `make demo` starts everything in front of and behind workerless, on this host only.

    browser --> nginx or lighttpd --> workerless --> slow HTTP API, php-fpm, PostgreSQL
                                          |
                                        Redis <----> background workers

It runs until Ctrl-C or SIGTERM and leaves no process and no file behind. The environment says:

    WORKERLESS   the daemon's binary
    MODULE       the shared object of tests/modules/postgres.c; none by default
    FRONT        nginx (as by default) or lighttpd
    PORT         where the page is served: 8080, or 0 for any that is free
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import List

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sources  # noqa: E402
from harness import fronts, shop  # noqa: E402
from harness.servers import Redis, Server, SlowApi, Workerless  # noqa: E402
from harness.slowapi import Answer, Call  # noqa: E402

FRONTS = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd}
SLOWEST = 3.0  # seconds
RECHECK = 0.2  # seconds between looks at whether all still run

WHAT_TO_SEE = """
  {url}/

  - {url}/sources.html has fragments by a template, PHP, PostgreSQL and a worker.
  - {url}/status.html shows what workerless does meanwhile.
  - {url}/shop.html has fragments that depend on a query, a language, a cookie and a header.
  - The page is there at once. Its three cards fill in as their results come, in any order.
  - Reload it within a minute: three hits, in milliseconds.
  - Then run this and open the page in ten tabs at once: one slow call for each card.
        redis-cli -s {redis} flushall
  - Look at what is cached:
        redis-cli -s {redis} get worker:b

  Each call of the slow HTTP API is shown below. Ctrl-C ends all of it.
"""


class Problem(Exception):
    """What the user has to know to start the demo."""


class DemoApi(shop.ShopApi):
    """A slow API, such as workerless is made for; it prints its calls."""

    def _note(self, call: Call) -> None:
        super()._note(call)
        line = f"{time.strftime('%H:%M:%S')}  slow API called: {call.path}\n"
        print(line, end="", flush=True)  # in one piece: calls come in threads

    def _find(self, path: str):
        name = path.strip("/")
        delay = random.uniform(0, SLOWEST)
        if name == "b":
            html = f"<p>result for <strong>{name}</strong>, {delay:.1f} seconds in the making</p>"
            return Answer(body=html.encode(), type="text/html; charset=utf-8", delay=delay), None
        if name == "c":
            return Answer(body=f"result for {name}".encode(), delay=delay), None
        return None, None

    def make(self, call: Call) -> Answer:
        answer = sources.departures() if call.path == "/departures" else super().make(call)
        answer.delay = random.uniform(0, SLOWEST)
        return answer


def settings():
    """The settings in the environment: the front server's name and the port."""
    front = os.environ.get("FRONT") or "nginx"
    if front not in FRONTS:
        raise Problem(f"FRONT={front}: it must be {' or '.join(FRONTS)}")
    port = os.environ.get("PORT") or "8080"
    if not port.isdecimal() or int(port) > 65535:
        raise Problem(f"PORT={port}: it must be a number from 1 to 65535")
    return front, int(port)


def config(redis: Redis, api: SlowApi) -> str:
    """conf/workerless.conf and conf/shop.conf for these servers. Workerless itself names the
    socket, and opens the status."""
    return fronts.example("workerless.conf", {
        f'listen = {{"unix:{fronts.SOCKET}"}}\n': "",
        '    redis = "redis://127.0.0.1:6379"\n': f'    redis = "{redis.url}"\n',
        "http://127.0.0.1:9000/{name}": api.url + "/{name}",
    }) + shop.config(api)


def make_front(tmp: str, name: str, port: int, socket_path: str) -> fronts.FrontServer:
    try:
        return FRONTS[name](tmp, socket_path, port=port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Problem(f"port {port} is in use; choose another: make demo PORT=8081") from None
        if error.errno == errno.EACCES:
            raise Problem(f"port {port} is not for us; choose another: make demo PORT=8080") \
                from None
        raise


class Stop:
    """Set by a signal's handler: a plain flag, since an Event's lock may be held just then."""

    wanted = False

    def set(self, *_) -> None:
        self.wanted = True


def run(stop: Stop) -> None:
    """Starts the servers, waits for `stop`, ends them."""
    name, port = settings()
    with ExitStack() as stack:
        tmp = tempfile.mkdtemp(prefix="workerless-demo-")
        stack.callback(shutil.rmtree, tmp, ignore_errors=True)
        os.chmod(tmp, 0o711)  # a front server's workers may be another user's
        redis = Redis(tmp)
        api = DemoApi()
        stack.enter_context(api)
        behind = sources.Sources(tmp, redis, api)
        daemon = Workerless(tmp, config(redis, api) + behind.config)
        front = make_front(tmp, name, port, daemon.socket_path)
        for card, packages in behind.missing.items():
            print(f"demo: on sources.html, {card} will fail: it needs apt-get install {packages},"
                  " and ./configure", file=sys.stderr)
        servers: List[Server] = [redis, *behind.servers, daemon, front]
        for server in servers:
            stack.enter_context(server)
        behind.fill()
        if stop.wanted:
            return
        print(WHAT_TO_SEE.format(url=front.url, redis=redis.address), flush=True)
        while not stop.wanted:
            time.sleep(RECHECK)
            for server in servers:
                if not server.running:
                    raise Problem(f"{server.name} has ended:\n{server.log()}")


def main() -> int:
    stop = Stop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop.set)
    try:
        run(stop)
    except (Problem, AssertionError) as problem:  # the latter from the harness: what did not start
        print(f"demo: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
