"""A relay between a daemon and its Redis that can hold back, cut and count.

    with Relay(tmp, redis) as relay:          # the daemon's `redis` is relay.url
        relay.hold("commands")                 # what Redis sends to it there is held back...
        relay.wait_held("commands")            # ...and something is held
        relay.release("commands")              # from now on it is passed on again
        relay.set_clock(300)                   # Redis seems to be five minutes ahead from now on

A daemon has a connection for "commands" and one for "changes", which subscribes.
"""

from __future__ import annotations

import os
import re
import selectors
import socket
import tempfile
import threading
from pathlib import Path
from typing import Dict, List, Optional, Set, Union

from .process import connect
from .servers import Redis
from .wait import wait_until


# Nothing else that Redis sends looks like it: ten digits, and up to six.
_TIME = re.compile(rb"(?<=\*2\r\n\$10\r\n)\d{10}(?=\r\n\$\d\r\n\d{1,6}\r\n)")


class _Pair:
    """One connection of the daemon, and ours to Redis on its behalf."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.kind: Optional[str] = None  # not known before the daemon's first bytes
        self.to_client = bytearray()
        self.dead = False

    def close(self) -> None:
        self.dead = True
        self.client.close()
        self.server.close()


class Relay:
    """One thread. Use it as a context manager."""

    def __init__(self, tmp: Union[str, Path], redis: Redis) -> None:
        self._redis = redis
        self._path = str(Path(tempfile.mkdtemp(prefix="relay-", dir=tmp)) / "socket")
        self._lock = threading.RLock()
        self._pairs: List[_Pair] = []
        self._held: Set[str] = set()
        self._refused: Set[str] = set()
        self._over = False
        self._clock_off = 0
        self._listener: Optional[socket.socket] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.opened: Dict[str, int] = {"commands": 0, "changes": 0}

    @property
    def url(self) -> str:
        return f"unix:{self._path}"

    def __enter__(self) -> "Relay":
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._path)
        self._listener.listen(100)
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._over = True
        self._thread.join(5)
        self._listener.close()
        for pair in self._pairs:
            pair.close()
        os.unlink(self._path)

    # What the test says. Kinds are "commands" and "changes".

    def hold(self, kind: str) -> None:
        with self._lock:
            self._held.add(kind)

    def release(self, kind: str) -> None:
        with self._lock:
            self._held.discard(kind)

    def refuse(self, kind: str, yes: bool = True) -> None:
        """Cuts the connections of a kind, and future ones."""
        with self._lock:
            (self._refused.add if yes else self._refused.discard)(kind)
        if yes:
            self.cut(kind)

    def cut(self, kind: str) -> None:
        """Closes the connections of a kind."""
        with self._lock:
            for pair in self._pairs:
                if pair.kind == kind:
                    pair.dead = True

    def set_clock(self, seconds: int) -> None:
        """Shifts the answers to TIME by so much. (libfaketime does not get along with Redis'
        allocator.)"""
        self._clock_off = seconds

    def held_bytes(self, kind: str) -> bytes:
        """What is held back now."""
        with self._lock:
            return b"".join(bytes(pair.to_client) for pair in self._pairs if pair.kind == kind)

    def wait_held(self, kind: str, text: bytes = b"") -> None:
        wait_until(lambda: self.held_bytes(kind) and text in self.held_bytes(kind),
                   f"{text!r} to be held back among {kind}")

    # The thread.

    def _run(self) -> None:
        while not self._over:
            with selectors.DefaultSelector() as selector, self._lock:
                selector.register(self._listener, selectors.EVENT_READ)
                for pair in self._pairs:
                    selector.register(pair.client, selectors.EVENT_READ, (pair, pair.client))
                    selector.register(pair.server, selectors.EVENT_READ, (pair, pair.server))
                events = selector.select(0)
            for key, _mask in events:
                self._handle(key)
            self._flush()
            if not events:
                with selectors.DefaultSelector() as selector:
                    selector.register(self._listener, selectors.EVENT_READ)
                    for pair in self._pairs:
                        selector.register(pair.client, selectors.EVENT_READ)
                        selector.register(pair.server, selectors.EVENT_READ)
                    selector.select(0.002)

    def _handle(self, key) -> None:
        if key.data is None:
            client = self._listener.accept()[0]
            try:
                server = connect(self._redis.address, timeout=1)
            except OSError:
                client.close()
                return
            with self._lock:
                self._pairs.append(_Pair(client, server))
            return
        pair, sock = key.data
        try:
            data = sock.recv(1 << 18)
        except OSError:
            data = b""
        with self._lock:
            if not data:
                pair.dead = True
            elif sock is pair.client:
                self._to_server(pair, data)
            else:
                pair.to_client += _TIME.sub(lambda found: b"%d" % (int(found[0]) + self._clock_off),
                                            data)

    def _to_server(self, pair: _Pair, data: bytes) -> None:
        if pair.kind is None:
            pair.kind = "changes" if b"SUBSCRIBE" in data else "commands"
            self.opened[pair.kind] += 1
            pair.dead = pair.kind in self._refused
        try:
            pair.server.sendall(data)
        except OSError:
            pair.dead = True

    def _flush(self) -> None:
        with self._lock:
            for pair in self._pairs:
                if pair.to_client and pair.kind not in self._held and not pair.dead:
                    try:
                        pair.client.sendall(pair.to_client)
                    except OSError:
                        pair.dead = True
                    pair.to_client.clear()
                if pair.dead:
                    pair.close()
            self._pairs = [pair for pair in self._pairs if not pair.dead]
