"""Several daemons that share one Redis, and how to know what they have heard from it."""

from __future__ import annotations

import itertools
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, Optional, Union

from . import fcgi
from .fcgi import Connection, Response
from .servers import Redis, Workerless
from .slowapi import SlowApi
from .wait import wait_until

ROUTES = 'fragment "*" { source = "api" ttl = "60s" stream = "yes" }\n'

CONFIG = """
{extra}
cache {{ redis = "{redis}" lease = "{lease}" {cache} }}
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "60s" }}
fragment "mark*" {{ source = "api" ttl = "60s" }}
{routes}
"""

_marks = itertools.count()


def fleet_config(api: SlowApi, redis: Union[Redis, str], *, routes: str = ROUTES,
                 lease: str = "5s", cache: str = "", extra: str = 'purge = {"127.0.0.1"}') -> str:
    """A config whose fragments are calls of the API. `cache` are more options of that section,
    `extra` more at the top. `redis` may be a URL."""
    url = redis if isinstance(redis, str) else redis.url
    return CONFIG.format(api=api.url, redis=url, routes=routes, lease=lease, cache=cache,
                         extra=extra)


def trackers(redis: Redis) -> List[bytes]:
    """The lines of CLIENT LIST of connections that are told of changes elsewhere."""
    return [line for line in redis.command("CLIENT", "LIST").splitlines()
            if b" redir=-1" not in line and b" redir=0 " not in line]


def wait_armed(redis: Redis, count: int = 1) -> None:
    """Waits until so many daemons are told of changes."""
    wait_until(lambda: len(trackers(redis)) >= count, f"{count} daemons to track")


class Fleet:
    """Daemons with one config, a connection to each. A context manager."""

    def __init__(self, tmp: Union[str, Path], redis: Redis, api: SlowApi, size: int = 3,
                 url: str = "", **options) -> None:
        """The options are fleet_config's. `url` is how the daemons find the Redis, if not by
        its own URL."""
        self.redis, self.api = redis, api
        text = fleet_config(api, url or redis, **options)
        self.servers = [Workerless(tmp, text) for _ in range(size)]
        self.connections: List[Connection] = []

    def __enter__(self) -> "Fleet":
        try:
            for server in self.servers:
                server.spawn()
            for server in self.servers:
                server.wait_ready()
            self.connections = [Connection(server.address) for server in self.servers]
            self.wait_armed()
        except BaseException:
            for server in self.servers:
                server.kill()
            raise
        return self

    def __exit__(self, *error) -> None:
        for connection in self.connections:
            connection.close()
        self.api.release_all()
        for server in self.servers:
            server.__exit__(*error)

    def reconnect(self) -> None:
        """Opens new connections, on which all request ids are free. Requests under way are
        aborted."""
        for connection in self.connections:
            connection.close()
        self.connections = [Connection(server.address) if server.running else connection
                            for server, connection in zip(self.servers, self.connections)]

    @contextmanager
    def lent(self) -> Iterator["Fleet"]:
        """For a test that leaves all daemons running, and no lease behind."""
        self.reconnect()
        yield self
        self.api.release_all()
        assert self.running() == list(range(len(self)))
        wait_until(lambda: not self.leases(), "all leases to be released")

    def __len__(self) -> int:
        return len(self.servers)

    def running(self) -> List[int]:
        """The numbers of the daemons that run."""
        return [number for number, server in enumerate(self.servers) if server.running]

    def wait_armed(self) -> None:
        """Waits until each daemon is told of changes, and uses its memory."""
        wait_armed(self.redis, len(self.running()))
        self.hear()

    # Asking.

    def ask(self, number: int, name: str, **options) -> Response:
        """One request of one daemon."""
        return self.connections[number].request(f"/fragment/{name}", **options)

    def ask_all(self, name: str) -> List[Response]:
        """One request of each, one after the other."""
        return [self.ask(number, name) for number in self.running()]

    def send(self, number: int, name: str, ids: Iterable[int] = (1,)) -> None:
        """Requests whose responses are waited for later."""
        connection = self.connections[number]
        for each in ids:
            assert each not in connection.responses or connection.responses[each].ended, \
                f"id {each} is in use"
        connection.send_raw(b"".join(fcgi.request(f"/fragment/{name}", each) for each in ids))

    def response(self, number: int, request_id: int = 1) -> Response:
        return self.connections[number].response(request_id)

    def purge(self, number: int, name: str, **options) -> Response:
        return self.ask(number, name, method="PURGE", **options)

    # What they know.

    def hear(self) -> None:
        """Waits until each daemon has handled everything that Redis reported before the call. Redis
        reports changes in order, so it is enough to see that a later one has arrived. Uses the
        request id 60000."""
        self.hear_of(f"mark{next(_marks)}")

    def hear_of(self, mark: str) -> None:
        """Changes this fragment, a new one of the route "mark*", and waits until each daemon has
        handled the change."""
        def ask(number: int) -> Response:
            return self.ask(number, mark, request_id=60000)

        self.redis.command("SET", f"worker:{mark}", "old", "EX", 100)
        for number in self.running():  # it has to be in memory, else "new" would come from Redis
            wait_until(lambda: detail(ask(number)) == "memory", "memory to be in use")
        self.redis.command("SET", f"worker:{mark}", "new", "EX", 100)
        for number in self.running():
            wait_until(lambda: ask(number).text == "new", "a change to be reported")

    def value(self, name: str) -> Optional[bytes]:
        """What Redis holds of a fragment, without the envelope's head."""
        value = self.redis.command("GET", f"worker:{name}")
        if value and value.startswith(b"workerless/1 "):
            value = value.partition(b"\n")[2]
        return value

    def wait_value(self, name: str, condition: Callable[[bytes], bool] = bool) -> bytes:
        """Waits until Redis holds such a value."""
        return wait_until(lambda: (lambda value: value if value and condition(value) else None)(
            self.value(name)), f"the value of {name} in Redis")

    def leases(self) -> List[str]:
        """The keys of the leases that are held."""
        return [key for key in self.redis.keys() if key.startswith("lease:")]


def cache_status(response: Response) -> List[str]:
    """The parts of Cache-Status: such as ["workerless", "hit", "ttl=59", "detail=memory"]."""
    return response.headers["cache-status"].split("; ")


def detail(response: Response) -> str:
    """memory, redis, source, or ""."""
    return next((part[7:] for part in cache_status(response) if part.startswith("detail=")), "")


def is_hit(response: Response) -> bool:
    assert response.status == 200, response.stdout
    return "hit" in cache_status(response)


@contextmanager
def own_fleet(**options) -> Iterator[Fleet]:
    """A Fleet of these options with an API and a Redis of its own."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, SlowApi() as api, Redis(tmp) as redis, \
            Fleet(tmp, redis, api, **options) as fleet:
        yield fleet
