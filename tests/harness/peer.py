"""One daemon for many tests: for those that need no config of their own."""

from __future__ import annotations

import itertools
import tempfile
from typing import Optional

from .config import api_config
from .fcgi import Connection
from .servers import SlowApi, Workerless

_numbers = itertools.count()


def new_name() -> str:
    """A fragment's name that no test has used yet."""
    return f"n{next(_numbers)}"


class Peer:
    """A daemon and the API behind it. Use it as a context manager around many tests, and call
    ensure() before and check() after each. Tests that use new_name() do not disturb each other."""

    def __init__(self, *, listen: str = "unix", extra: str = "", text: str = "") -> None:
        """The config is api_config's with `extra`, or the text, in which @API@ is the API's URL."""
        self._listen, self._extra, self._text = listen, extra, text
        self.api = SlowApi()
        self._tmp: Optional[tempfile.TemporaryDirectory] = None

    def __enter__(self) -> "Peer":
        self._tmp = tempfile.TemporaryDirectory(prefix="wl-")
        self.api.start()
        text = self._text.replace("@API@", self.api.url) or api_config(self.api, extra=self._extra)
        self.server = Workerless(self._tmp.name, text, listen=self._listen)
        return self

    def __exit__(self, *error) -> None:
        try:
            self.server.__exit__(*error)
        finally:
            self.api.stop()
            self._tmp.cleanup()

    def ensure(self) -> None:
        """Starts the daemon if no test has, or if one has ended it."""
        if not self.server.running:
            self.server.kill()
            self.server.start()

    def check(self) -> None:
        """Releases held calls. Fails if the daemon has ended."""
        self.api.release_all()
        assert self.server.running, "the daemon has ended"

    def connect(self) -> Connection:
        return Connection(self.server.address)

    def cached(self) -> str:
        """The name of a fragment that is in the cache."""
        name = new_name()
        with self.connect() as connection:
            assert connection.request(f"/fragment/{name}").status == 200
        return name

    def held(self) -> str:
        """The name of a fragment that is not ready before self.api.release(name)."""
        name = new_name()
        self.api.hold(name)
        return name
