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
from api import DemoApi  # noqa: E402
from helper import Helper, Stage  # noqa: E402
from harness import fronts, shop  # noqa: E402
from harness.servers import Redis, Server, SlowApi, Workerless  # noqa: E402

FRONTS = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd}
RECHECK = 0.2  # seconds between looks at whether all still run
DOWN = 1.5  # seconds until workerless is started again when a button has killed it
PAGE = Path(__file__).with_name("www")

# In one response, the page is sent by workerless; while that is dead, the skeleton is.
NGINX = """
        location ^~ /demo/ {
            proxy_pass http://127.0.0.1:PORT;
        }
        location = /whole {
            fastcgi_pass workerless;
            fastcgi_buffering off;
            fastcgi_intercept_errors on;
            error_page 502 503 504 /index.html;
        }
        location ^~ /workerless/ {"""

WHAT_TO_SEE = """
  {url}/

  - The page is there at once. Its parts come when they are ready, in any order.
  - Reload it within a minute: hits, in milliseconds. The buttons purge, break and kill.
  - {url}/status.html shows what workerless does meanwhile.
  - {url}/abc.html is the page that workerless brings: fragments a, b and c.
  - Look at what is cached:
        redis-cli -s {redis} get worker:b

  Each call of the slow HTTP API is shown below. Ctrl-C ends all of it.
"""


class Problem(Exception):
    """What the user has to know to start the demo."""


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
    changes = {f'fragment "{name}" {{\n': f'fragment "{name}" {{\n    stream = "yes"\n'
               for name in ("a", "greeting", "cart")}
    changes['    ttl     = "10s"\n'] = ""
    text = fronts.example("workerless.conf", {
        f'listen = {{"unix:{fronts.SOCKET}"}}\n': 'purge = {"127.0.0.1"}\n',
        '    redis = "redis://127.0.0.1:6379"\n': f'    redis = "{redis.url}"\n',
        "http://127.0.0.1:9000/{name}": api.url + "/{name}",
    }) + shop.config(api)
    for old, new in changes.items():
        assert old in text, f"no config has {old!r} any more"
        text = text.replace(old, new)
    return text


def site(tmp: str) -> Path:
    """All files of the site: those of www/, and before them those of the demo."""
    place = Path(tmp, "www")
    place.mkdir(mode=0o755)
    for path in [*fronts.WWW.iterdir(), *PAGE.iterdir()]:
        link = place / path.name
        if link.exists():
            link.rename(place / "abc.html")
        link.symlink_to(path)
    return place


def make_front(tmp: str, name: str, port: int, socket_path: str, www: Path,
               helper: int) -> fronts.FrontServer:
    """`helper` is the port that /demo/ is passed on to."""
    proxied = {
        "nginx": {
            '"~^/fragment/[abc]$" "";':
                '"~^/fragment/(a|b|c|weather|departures|moon|books|report)$" "";',
            "        location ^~ /workerless/ {": NGINX.replace("PORT", str(helper))},
        "lighttpd": {
            '    "mod_fastcgi",\n': '    "mod_fastcgi",\n    "mod_proxy",\n',
            "server.stream-response-body = 1\n":
                'server.stream-response-body = 1\n$HTTP["url"] =~ "^/demo/" { proxy.server = '
                f'( "" => (( "host" => "127.0.0.1", "port" => {helper} ))) }}\n'
                '$HTTP["url"] == "/whole" { server.error-handler = "/index.html" }\n',
            '\n$HTTP["url"] =~ "^/(fragments$|': '\n$HTTP["url"] =~ "^/(whole$|fragments$|'},
    }
    try:
        return FRONTS[name](tmp, socket_path, port=port, www=www, changes=proxied[name])
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


def watch(stop: Stop, servers: List[Server], stage: Stage) -> None:
    """Until `stop`. Starts workerless again if a button has killed it; what else ends is a
    problem."""
    daemon = stage.daemon
    while not stop.wanted:
        time.sleep(RECHECK)
        if stage.killed and not daemon.running:
            daemon.kill()
            time.sleep(DOWN)
            daemon.start()
            stage.started_again()
        for server in servers:
            if not server.running and not (server is daemon and stage.killed):
                raise Problem(f"{server.name} has ended:\n{server.log()}")


def run(stop: Stop) -> None:
    """Starts the servers, waits for `stop`, ends them."""
    name, port = settings()
    with ExitStack() as stack:
        tmp = tempfile.mkdtemp(prefix="workerless-demo-")
        stack.callback(shutil.rmtree, tmp, ignore_errors=True)
        os.chmod(tmp, 0o711)  # a front server's workers may be another user's
        redis = Redis(tmp)
        api = stack.enter_context(DemoApi())
        helper = stack.enter_context(Helper())
        behind = sources.Sources(tmp, redis, api)
        www = site(tmp)
        daemon = Workerless(tmp, config(redis, api) + behind.config +
                            f'page "/whole" {{ file = "{www}/index.html" }}\n')
        front = make_front(tmp, name, port, daemon.socket_path, www, helper.port)
        for card, packages in behind.missing.items():
            print(f"demo: {card} will fail: it needs apt-get install {packages}, and ./configure",
                  file=sys.stderr)
        servers: List[Server] = [redis, *behind.servers, daemon, front]
        for server in servers:
            stack.enter_context(server)
        behind.fill()
        helper.stage = Stage(daemon, front, api, behind.missing)
        if stop.wanted:
            return
        print(WHAT_TO_SEE.format(url=front.url, redis=redis.address), flush=True)
        watch(stop, servers, helper.stage)


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
