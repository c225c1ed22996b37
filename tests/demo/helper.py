"""What the buttons of the demo's page do. The front server passes /demo/ on to this: a small HTTP
server that listens on the loopback only, and serves one request at a time.

    GET  /demo/state                                    JSON
    POST /demo/purge, break, mend, kill, visitors       does it, and answers with the state

Workerless knows nothing of it. A POST must have the header X-Demo, which the pages of other sites
can't send.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Callable, Dict, Optional

from api import DemoApi
from harness.fcgi import ask
from harness.process import gone
from harness.servers import FrontServer, Workerless
from harness.wait import wait_until
from visitors import Visitors

BROKEN = "departures"  # the fragment whose source the button breaks
WANTED = "weather"  # the fragment that the visitors want
SLOW = 4.0  # seconds that it then takes, so that all are there before it is


class Stage:
    """The servers, as far as the buttons concern them."""

    def __init__(self, daemon: Workerless, front: FrontServer, api: DemoApi,
                 missing: Dict[str, str]) -> None:
        self.daemon, self.api = daemon, api
        self.visitors = Visitors(front.address, f"/fragment/{WANTED}")
        self.killed = False  # by the button; who started the daemon starts it again
        self._missing = missing
        self._calls = 0  # of what the visitors want, before they came
        self._memory: Optional[int] = None  # of the daemon, before any visitors came
        self._most = 0

    def state(self) -> Dict:
        visitors = dict(self.visitors.state)
        if visitors["running"]:
            self._most = max(self._most, self._bytes())
        visitors["calls"] = len(self.api.requests(WANTED)) - self._calls if visitors["asked"] else 0
        each = self._memory and max(0, self._most - self._memory) // visitors["count"]
        return {"broken": bool(self.api.broken), "running": self.daemon.running,
                "bytes_parked": each, "visitors": visitors, "missing": self._missing}

    def _bytes(self) -> int:
        """The daemon's own memory."""
        try:
            fields = Path(f"/proc/{self.daemon.pid}/statm").read_text("ascii").split()
        except (AssertionError, FileNotFoundError, ProcessLookupError):
            return 0
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")

    def started_again(self) -> None:
        """The daemon is another process."""
        self._memory, self._most, self.killed = None, 0, False

    # The buttons. None returns before it is done.

    def purge(self, names: str = "*") -> None:
        assert ask(self.daemon.address, f"/fragment/{names}", method="PURGE").status == 204

    def break_source(self) -> None:
        self.api.broken.add(f"/{BROKEN}")
        self.purge(BROKEN)

    def mend_source(self) -> None:
        self.api.broken.clear()

    def kill(self) -> None:
        pid = self.daemon.pid
        self.killed = True
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: gone(pid), "workerless to be gone")

    def send_visitors(self) -> None:
        if self.visitors.state["running"]:
            return
        self.purge(WANTED)
        if self._memory is None:
            self._memory = self._bytes()
        self._calls = len(self.api.requests(WANTED))
        self.api.slow[f"/{WANTED}"] = SLOW
        self.visitors.start()


class Helper:
    """The HTTP server, in a thread. Use as a context manager."""

    def __init__(self) -> None:
        self.stage: Optional[Stage] = None  # until then it answers 503
        self._server = HTTPServer(("127.0.0.1", 0), _Handler)
        self._server.helper = self
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> "Helper":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self.stage:
            self.stage.visitors.stop()

    def button(self, path: str) -> Optional[Callable[[], None]]:
        stage = self.stage
        return {"/demo/purge": stage.purge, "/demo/break": stage.break_source,
                "/demo/mend": stage.mend_source, "/demo/kill": stage.kill,
                "/demo/visitors": stage.send_visitors}.get(path)


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # of a client that does not send its request

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        helper = self.server.helper
        if not helper.stage:
            self._send(503)
        elif self.path == "/demo/state":
            self._send(200, helper.stage.state())
        else:
            self._send(405 if helper.button(self.path) else 404)

    def do_POST(self) -> None:  # pylint: disable=invalid-name
        helper = self.server.helper
        if not helper.stage:
            self._send(503)
            return
        press = helper.button(self.path)
        if not press or not self.headers.get("X-Demo"):
            self._send(403 if press else 404)
            return
        try:
            press()
        except (AssertionError, OSError):  # workerless does not run just now
            self._send(503)
            return
        self._send(200, helper.stage.state())

    def _send(self, status: int, state: Optional[Dict] = None) -> None:
        body = json.dumps(state or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args) -> None:  # pylint: disable=redefined-builtin
        pass
