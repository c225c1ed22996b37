"""A child process with a directory of its own, a log, and an orderly end."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import List, Optional, Sequence, Tuple, Union

from .wait import DEADLINE, SLOWNESS, wait_until

Address = Union[str, Tuple[str, int]]  # path of a unix socket, or (host, port)

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)

# Every server started since the list was last emptied: whose logs to show when a test fails.
started: List["Server"] = []


def connect(address: Address, timeout: float = DEADLINE) -> socket.socket:
    """A connected stream socket; its operations time out, so that no test can hang on it."""
    family = socket.AF_UNIX if isinstance(address, str) else \
        socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_UNIX:  # connect() waits for room in the backlog only if it may block
        limit = struct.pack("ll", int(timeout * SLOWNESS), 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    else:
        sock.settimeout(timeout * SLOWNESS)
    try:
        sock.connect(address)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout * SLOWNESS)
    except BaseException:
        sock.close()
        raise
    return sock


class Port:
    """A free TCP port of 127.0.0.1, kept from others while it is held.

    The socket is bound but does not listen. Linux lets a second socket with SO_REUSEADDR bind to
    the same port and listen, but hands the port out to nobody who asks for any."""

    def __init__(self, number: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", number))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        self._socket.close()


class Server:
    """Base of all servers. Use as a context manager, or start() and stop().

    Start servers from the main thread: a child is told to end when the thread that made it does."""

    name = "server"
    stop_signal = signal.SIGTERM
    orphan_signal = signal.SIGKILL  # what the child gets if this process dies

    def __init__(self, tmp: Union[str, Path]) -> None:
        self.dir = Path(tempfile.mkdtemp(prefix=self.name + "-", dir=tmp))
        self.log_path = self.dir / "log"
        self.process: Optional[subprocess.Popen] = None
        self.stdin: Union[int, socket.socket] = subprocess.DEVNULL
        self.pass_fds: Sequence[int] = ()
        self.environment: dict = {}

    # What a subclass says about itself.

    def command_line(self) -> List[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it can be used now. Called again and again after the start."""
        raise NotImplementedError

    def check_end(self, status: int) -> None:
        """Fails if the process, stopped by stop(), did not end well."""

    # Start and stop.

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def spawn(self) -> None:
        """Starts the process, without waiting until it is ready."""
        assert not self.running, f"{self.name} runs already"
        if self not in started:
            started.append(self)
        orphan_signal = int(self.orphan_signal)

        def in_child() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command_line(), stdin=self.stdin, stdout=log, stderr=log, cwd=self.dir,
                env={**os.environ, **self.environment}, pass_fds=self.pass_fds,
                start_new_session=True, preexec_fn=in_child)

    def start(self) -> "Server":
        """Starts the process and waits until it is ready."""
        self.spawn()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def wait_ready(self) -> None:
        def up() -> bool:
            assert self.running, \
                f"{self.name} ended at once, status {self.process.returncode}:\n{self.log()}"
            return self.ready()

        wait_until(up, f"{self.name} to be ready")

    def signal(self, number: int) -> None:
        assert self.running, f"{self.name} has ended, status {self.process.returncode}"
        self.process.send_signal(number)

    def wait(self, timeout: float = DEADLINE) -> int:
        """Waits for the end of the process; returns its exit status, negative for a signal."""
        try:
            return self.process.wait(timeout * SLOWNESS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.log()}") from None

    def stop(self) -> None:
        """Ends the process if it runs, and checks that it ended well. May be called twice."""
        if self.process is None:
            return
        process = self.process
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(self.stop_signal)
        try:
            status = self.wait()
        except BaseException:
            self.kill()
            raise
        self.process = None
        self.check_end(status)

    def kill(self) -> None:
        """Ends the process and its children by force, without checks. May be called twice."""
        if self.process is None:
            return
        process, self.process = self.process, None
        try:
            os.killpg(process.pid, signal.SIGKILL)  # its own session: only what it started
        except ProcessLookupError:
            pass
        process.wait()

    def __enter__(self):
        if self.process is None:
            self.start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.stop()
            return
        try:
            self.stop()
        except AssertionError as problem:  # the first failure is the one to report
            print(f"[{self.name}] and on its end: {problem}")

    # Its log.

    def log(self) -> str:
        """All that the process wrote to stdout and stderr."""
        try:
            return self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def wait_log(self, text: str, timeout: float = DEADLINE) -> None:
        """Waits until the log has the text."""
        wait_until(lambda: text in self.log(), f"{text!r} in the log of {self.name}", timeout)


def split_command(text: str) -> List[str]:
    """A command line from the environment as a list."""
    return shlex.split(text or "")


def accepts(address: Address) -> bool:
    """Whether somebody listens there."""
    try:
        connect(address, timeout=1).close()
        return True
    except (ConnectionError, FileNotFoundError, socket.timeout, BlockingIOError):
        return False


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie counts as ended)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


__all__ = ["Address", "Port", "Server", "accepts", "connect", "gone",
           "split_command", "started"]
