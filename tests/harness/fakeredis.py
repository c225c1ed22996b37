"""A Redis that says what the test wants, valid or not.

    with FakeRedis(tmp) as fake:
        fake.say("GETRANGE", b"$2\\r\\nhi\\r\\n")   # from now on
        fake.say("GETRANGE", b":1\\r\\n", SILENCE)   # several: one after the other, then the last
        fake.normal("GETRANGE")

Otherwise it behaves like an empty Redis that stores nothing.
"""

from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Union

SILENCE = "silence"  # no answer at all
CLOSE = "close"  # the connection is closed instead

Saying = Union[bytes, str]

NORMAL: Dict[str, bytes] = {
    "AUTH": b"+OK\r\n", "SELECT": b"+OK\r\n", "PING": b"+PONG\r\n", "CLIENT": b"+OK\r\n",
    "CLIENT ID": b":7\r\n", "CLIENT TRACKING": b"+OK\r\n", "GETRANGE": b"$0\r\n\r\n",
    "PTTL": b":-2\r\n",
    "SUBSCRIBE": b"*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n",
    "SCRIPT": b"$40\r\n" + b"a" * 40 + b"\r\n", "EVAL": b"+OURS\r\n", "EVALSHA": b"+OURS\r\n",
    "SET": b"+OK\r\n", "DEL": b":1\r\n", "SCAN": b"*2\r\n$1\r\n0\r\n*0\r\n",
}


def tell_time(now_us: int) -> bytes:
    """TIME's answer at that moment: seconds and microseconds since 1970."""
    parts = [str(part).encode() for part in divmod(now_us, 1_000_000)]
    return b"*2\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


@contextmanager
def breaking_off(last_words: bytes = b"") -> Iterator[str]:
    """A TCP server that reads once from each connection, sends the last words, and closes it.
    Yields its HOST:PORT."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            while True:
                try:
                    peer = listener.accept()[0]
                except OSError:
                    return
                with peer, suppress(OSError):
                    peer.recv(65536)
                    peer.sendall(last_words)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield "%s:%d" % listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


class FakeRedis:
    """A thread for each connection. Use as a context manager."""

    def __init__(self, tmp: Union[str, Path]) -> None:
        self._path = str(Path(tempfile.mkdtemp(prefix="fake-", dir=tmp)) / "socket")
        self._lock = threading.Lock()
        self._sayings: Dict[str, List[Saying]] = {}
        self._open: List[socket.socket] = []
        self._server: Optional[_Server] = None
        self.commands: List[str] = []  # that arrived
        self.connections = 0
        self.greeting: Saying = b""  # sent to every new connection

    @property
    def url(self) -> str:
        return f"unix:{self._path}"

    def __enter__(self) -> "FakeRedis":
        self._server = _Server(self._path, _Handler)
        self._server.fake = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01},
                         daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.drop_all()

    def say(self, command: str, *sayings: Saying) -> None:
        """Sets the replies to a command, which is a name, or "CLIENT TRACKING" and the like."""
        with self._lock:
            self._sayings[command] = list(sayings)

    def normal(self, *commands: str) -> None:
        """Restores the normal replies; without arguments, those of all commands."""
        with self._lock:
            for command in commands or list(self._sayings):
                self._sayings.pop(command, None)

    def interject(self, data: bytes) -> None:
        """Sends it to every connection, without a command."""
        with self._lock:
            for sock in list(self._open):
                try:
                    sock.sendall(data)
                except OSError:
                    pass

    def drop_all(self) -> None:
        with self._lock:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    # For the handler.

    def _answer(self, words: List[bytes]) -> Saying:
        name = words[0].decode("ascii").upper()
        longer = f"{name} {words[1].decode('latin-1').upper()}" if len(words) > 1 else name
        with self._lock:
            self.commands.append(longer if longer in NORMAL else name)
            for each in (longer, name):
                sayings = self._sayings.get(each)
                if sayings:
                    return sayings.pop(0) if len(sayings) > 1 else sayings[0]
        if name == "TIME":
            return tell_time(time.time_ns() // 1000)
        return NORMAL.get(longer) or NORMAL.get(name) or b"-ERR unknown command\r\n"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        fake: FakeRedis = self.server.fake
        with fake._lock:
            fake._open.append(self.request)
            fake.connections += 1
        try:
            self._talk(fake)
        except (OSError, ValueError):
            pass
        finally:
            with fake._lock:
                fake._open.remove(self.request)

    def _talk(self, fake: FakeRedis) -> None:
        if fake.greeting == CLOSE:
            return
        if isinstance(fake.greeting, bytes) and fake.greeting:
            self.request.sendall(fake.greeting)
        while True:
            line = self.rfile.readline()
            if not line.startswith(b"*"):
                return
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2])
            saying = fake._answer(words)
            if saying == CLOSE:
                return
            if saying != SILENCE:
                self.request.sendall(saying)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    fake: FakeRedis

    def handle_error(self, request, client_address) -> None:
        pass  # a daemon that went away
