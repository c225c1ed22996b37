"""The real servers that the tests and the demo run, each in a directory of its own.

All are context managers; start() and stop() do the same by hand. Unless said otherwise a stopped
server may be started again, and is then found at the same address.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple, Union

from .fcgi import ask
from .process import (Address, Port, Server, accepts, connect, gone, split_command, started)
from .slowapi import Answer, SlowApi
from .wait import wait_until

TOP = Path(__file__).resolve().parents[2]
SHIM = Path(__file__).with_name("shim.py")
SUPERVISE = Path(__file__).with_name("supervise.py")

# Lets the tests read the counters.
READABLE = 'status = {"127.0.0.1"}'

SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehaviorSanitizer",
                   "runtime error:", "ThreadSanitizer")


def workerless_binary() -> str:
    """The daemon under test: $WORKERLESS, or the one in the build directory."""
    given = os.environ.get("WORKERLESS")
    places = [Path(given)] if given else [
        Path(os.environ.get("top_builddir", ".")) / "fcgi/workerless",
        TOP / "fcgi/workerless", TOP / "build/fcgi/workerless"]
    for place in places:
        if place.is_file():
            return str(place.resolve())
    raise AssertionError("no daemon to test; looked at " + ", ".join(map(str, places)) +
                         ". Build it, or name it by WORKERLESS=")


def wrapper_command() -> List[str]:
    """$WORKERLESS_WRAPPER, such as "valgrind -q --error-exitcode=99"; its program by its path."""
    words = split_command(os.environ.get("WORKERLESS_WRAPPER", ""))
    return [need(words[0]), *words[1:]] if words else []


def need(program: str) -> str:
    """The path of a program that Debian may keep in sbin."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    assert path, f"{program} is not installed"
    return path


def is_sanitized() -> bool:
    """Whether the daemon was built with AddressSanitizer."""
    return b"__asan_init" in Path(workerless_binary()).read_bytes()


def sanitizer_environment() -> Dict[str, str]:
    """Makes every report end the process with a failure."""
    return {
        "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "detect_leaks=1:exitcode=99"),
        "UBSAN_OPTIONS": os.environ.get("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1"),
    }


def python_command(script: Path, *arguments: str) -> List[str]:
    return [sys.executable, "-S", "-E", str(script), *arguments]


class Workerless(Server):
    """The daemon. `config` is the text of its config file.

    listen:   "unix" or "tcp" puts a `listen` line before the config; "none" puts none (the config
              has one, or a socket is inherited). `address` is where to connect.
    args:     more arguments, such as ("-v",).
    wrapper:  what to run it under; $WORKERLESS_WRAPPER unless given.
    port:     of "tcp"; 0: any that is free.
    stdin:    a listening socket to inherit as descriptor 0.
    systemd:  a listening socket to inherit as descriptor 3, with LISTEN_FDS.
    nofile:   its descriptor limit.

    With a `listen` line comes one that lets the tests read counters().

    stop() fails unless it ends with status 0 and its log is free of sanitizer reports.
    """

    name = "workerless"

    def __init__(self, tmp: Union[str, Path], config: str, *, listen: str = "unix",
                 args: Sequence[str] = (), wrapper: Optional[Sequence[str]] = None, port: int = 0,
                 stdin: Optional[socket.socket] = None, systemd: Optional[socket.socket] = None,
                 nofile: int = 0, address: Optional[Address] = None) -> None:
        super().__init__(tmp)
        assert listen in ("unix", "tcp", "none"), listen
        self.args = list(args)
        self.wrapper = wrapper_command() if wrapper is None else list(wrapper)
        self.environment = sanitizer_environment()
        self.socket_path = str(self.dir / "socket")
        self._port = Port(port) if listen == "tcp" else None
        if listen == "unix":
            self.address: Optional[Address] = self.socket_path
            config = f'listen = {{"unix:{self.socket_path}"}} {READABLE}\n' + config
        elif listen == "tcp":
            self.address = ("127.0.0.1", self._port.number)
            config = f'listen = {{"tcp:127.0.0.1:{self._port.number}"}} {READABLE}\n' + config
        else:
            self.address = address
        if self.wrapper:  # valgrind opens files of its own, and does not know the calls for a sandbox
            config = config.replace('sandbox = "yes"', 'sandbox = "no"')
        self.config_path = self.dir / "workerless.conf"
        self.config_path.write_text(config, encoding="utf-8")
        self._shim: List[str] = []
        if stdin is not None:
            self.stdin = stdin
        if systemd is not None:
            self._shim += ["--fd", f"{systemd.fileno()}:3", "--listen-fds", "1"]
            self.pass_fds = (systemd.fileno(),)
        if nofile:
            self._shim += ["--nofile", str(nofile)]

    @property
    def local(self) -> bool:
        return isinstance(self.address, str)

    @property
    def fastcgi_pass(self) -> str:
        """As nginx wants it."""
        return f"unix:{self.address}" if self.local else "%s:%d" % self.address

    def command_line(self) -> List[str]:
        shim = python_command(SHIM, *self._shim, "--") if self._shim else []
        return [*shim, *self.wrapper, workerless_binary(), "-c", str(self.config_path), *self.args]

    def ready(self) -> bool:
        return self.address is None or accepts(self.address)

    def connect(self) -> socket.socket:
        """A plain connected socket; see fcgi.Connection for more."""
        return connect(self.address)

    def check_end(self, status: int) -> None:
        log = self.log()
        for word in SANITIZER_WORDS:
            assert word not in log, f"a sanitizer found something:\n{log}"
        assert status == 0, f"workerless ended with status {status}:\n{log}"

    def counters(self) -> Dict[str, int]:
        """What it has counted so far, by name (see fcgi/base/counters.h). This request is not in it,
        but earlier calls of this function are."""
        response = ask(self.address, "/workerless/counters")
        assert response.status == 200, response.stdout
        return {name: int(value) for name, value in map(str.split, response.text.splitlines())}

    def counter(self, name: str) -> int:
        """One of them."""
        return self.counters()[name]

    def wait_counter(self, name: str, least: int) -> None:
        """Waits until it has counted so many."""
        wait_until(lambda: self.counter(name) >= least, f"{name} to be {least}")

    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Memory that it occupies now."""
        return self._pages(1)

    def virtual_bytes(self) -> int:
        """Addresses that it has asked for, touched or not."""
        return self._pages(0)

    def _pages(self, column: int) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[column])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def memory_is_telling(self) -> bool:
        """Whether the size of its memory means something: sanitizers and valgrind keep what was
        freed."""
        return not self.wrapper and not is_sanitized()

    def descriptors(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def descriptors_beside(self, port: int) -> int:
        """The same without TCP connections to that port, which are kept for the next call."""
        lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
        calls = {f"socket:[{words[9]}]" for words in map(str.split, lines)
                 if words[2].endswith(f":{port:04X}")}
        count = 0
        for path in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                count += os.readlink(path) not in calls
            except FileNotFoundError:  # closed meanwhile
                pass
        return count


class Redis(Server):
    """A private redis-server that keeps nothing on disk.

    It listens on a unix socket, or with tcp=True on a port. `url` is for workerless' `redis`
    option. command() talks to it."""

    name = "redis"

    def __init__(self, tmp: Union[str, Path], *, tcp: bool = False, password: str = "",
                 user: str = "") -> None:
        super().__init__(tmp)
        self.password, self.user = password, user
        self._port = Port() if tcp else None
        self.address: Address = ("127.0.0.1", self._port.number) if tcp \
            else str(self.dir / "socket")
        self._client: Optional[_RespClient] = None

    @property
    def url(self) -> str:
        """As workerless wants it, without a database number."""
        if not self._port:
            return f"unix:{self.address}"
        login = f"{self.user}:{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self._port.number}"

    def command(self, *words, db: int = 0):
        """Runs a Redis command; returns its reply: bytes, int, None or a list. Raises RedisError
        for an error reply."""
        if self._client is None:
            self._client = _RespClient(self.address, self.password, self.user)
        try:
            if db != self._client.db:
                self._client.run("SELECT", db)
                self._client.db = db
            return self._client.run(*words)
        except (OSError, EOFError):
            self._disconnect()
            raise

    def command_line(self) -> List[str]:
        where = ["--port", str(self._port.number), "--bind", "127.0.0.1"] if self._port \
            else ["--port", "0", "--unixsocket", str(self.address)]
        login = []
        if self.user:
            login = ["--user", self.user, "on", ">" + self.password, "~*", "&*", "+@all"]
        elif self.password:
            login = ["--requirepass", self.password]
        return [need("redis-server"), *where, *login, "--save", "", "--appendonly", "no",
                "--daemonize", "no", "--dir", str(self.dir)]

    def ready(self) -> bool:
        try:
            return self.command("PING") == b"PONG"
        except (OSError, EOFError, RedisError):
            return False

    def _disconnect(self) -> None:
        if self._client:
            self._client.close()
            self._client = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing is answered."""
        self.signal(signal.SIGSTOP)
        wait_until(lambda: _state(self.pid) == "T", "redis to be stopped")

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        self._disconnect()
        super().kill()

    def stop(self) -> None:
        self._disconnect()
        super().stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def keys(self, db: int = 0) -> List[str]:
        return sorted(key.decode() for key in self.command("KEYS", "*", db=db))

    def calls_of(self, command: str) -> int:
        """How many times a Redis command was run, by anybody, since the start."""
        stats = self.command("INFO", "commandstats").decode()
        found = re.search(rf"^cmdstat_{command.lower()}:calls=(\d+)", stats, re.MULTILINE)
        return int(found.group(1)) if found else 0

    def bytes_received(self) -> int:
        """How many bytes Redis has read from all its clients since the start."""
        stats = self.command("INFO", "stats").decode()
        return int(re.search(r"^total_net_input_bytes:(\d+)", stats, re.MULTILINE).group(1))

    def clients(self) -> int:
        """How many clients are connected, this one not counted."""
        return len(self.command("CLIENT", "LIST").splitlines()) - 1


class RedisError(Exception):
    """An error reply of Redis."""


class _RespClient:
    """Speaks RESP2 over one blocking socket."""

    def __init__(self, address: Address, password: str, user: str) -> None:
        self.db = 0
        self._socket = connect(address)
        self._reader = self._socket.makefile("rb")
        if password:
            self.run("AUTH", *([user] if user else []), password)

    def run(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(
            b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self._reply()

    def _reply(self):
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("redis closed the connection")
        kind, text = line[:1], line[1:-2]
        if kind == b"+":
            return text
        if kind == b"-":
            raise RedisError(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == b"-1" else self._reader.read(int(text) + 2)[:-2]
        if kind == b"*":
            return None if text == b"-1" else [self._reply() for _ in range(int(text))]
        raise AssertionError(f"not RESP: {line!r}")

    def close(self) -> None:
        self._reader.close()
        self._socket.close()


class FrontServer(Server):
    """Base of the front servers, which listen on a port of 127.0.0.1.

    In the config's text @PORT@ stands for the port, @DIR@ for the server's own directory and
    @SOCKET@ for a unix socket in it. `files` are written into the directory first: name -> text.
    port: 0 means any that is free."""

    orphan_signal = signal.SIGTERM  # it ends its own children

    def __init__(self, tmp: Union[str, Path], conf_text: str, *, port: int = 0,
                 files: Optional[Dict[str, str]] = None) -> None:
        super().__init__(tmp)
        self._reserved = Port(port)
        self.port = self._reserved.number
        self.socket_path = str(self.dir / "socket")
        for name, text in {**(files or {}), "conf": conf_text}.items():
            for mark, value in (("@PORT@", self.port), ("@DIR@", self.dir),
                                ("@SOCKET@", self.socket_path)):
                text = text.replace(mark, str(value))
            path = self.dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self.conf_path = self.dir / "conf"
        self.conf_text = self.conf_path.read_text(encoding="utf-8")

    @property
    def address(self) -> Tuple[str, int]:
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        return accepts(self.address)


class Nginx(FrontServer):
    """nginx in the foreground. The config is a whole nginx.conf; `daemon off` and, where the
    config is silent about them, `pid`, `error_log` and `user` are added."""

    name = "nginx"

    def command_line(self) -> List[str]:
        extra = "daemon off;"
        if not self._has("pid"):
            extra += f" pid {self.dir}/pid;"
        if not self._has("error_log"):
            extra += " error_log stderr info;"
        if os.geteuid() == 0 and not self._has("user"):
            extra += " user root;"  # else its workers could not reach sockets in our directories
        for name in ("logs", "body", "proxy", "fastcgi", "uwsgi", "scgi"):
            (self.dir / name).mkdir(exist_ok=True)
        return [need("nginx"), "-p", str(self.dir), "-e", "stderr", "-c", str(self.conf_path),
                "-g", extra]

    def _has(self, directive: str) -> bool:
        """Whether the main context sets it, and not another one."""
        outer = re.sub(r"#[^\n]*", "", self.conf_text)
        while re.search(r"\{[^{}]*\}", outer):
            outer = re.sub(r"\{[^{}]*\}", ";", outer)
        return re.search(rf"(^|[;\s]){directive}\s+[^;]+;", outer) is not None


class Lighttpd(FrontServer):
    """lighttpd in the foreground."""

    name = "lighttpd"

    def command_line(self) -> List[str]:
        return [need("lighttpd"), "-D", "-f", str(self.conf_path)]


class Haproxy(FrontServer):
    """HAProxy in the foreground, as one process."""

    name = "haproxy"

    def command_line(self) -> List[str]:
        return [need("haproxy"), "-db", "-f", str(self.conf_path)]


class SpawnFcgi(Server):
    """The daemon started by spawn-fcgi: `processes` of it share the listening socket.

    Their stdout and stderr go to /dev/null, as spawn-fcgi has it, so there is no log; stop() still
    checks every exit status. `pids` are the daemons' pids."""

    name = "spawn-fcgi"
    orphan_signal = signal.SIGTERM

    def __init__(self, tmp: Union[str, Path], config: str, *, processes: int = 1,
                 listen: str = "unix", args: Sequence[str] = ()) -> None:
        super().__init__(tmp)
        self.processes = processes
        self.args = list(args)
        self._port = Port() if listen == "tcp" else None
        self.address: Address = ("127.0.0.1", self._port.number) if self._port \
            else str(self.dir / "socket")
        self.pids: List[int] = []
        self.config_path = self.dir / "workerless.conf"
        self.config_path.write_text(config, encoding="utf-8")
        self.environment = sanitizer_environment()
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            self.environment[name] += f":log_path={self.dir}/report"

    def command_line(self) -> List[str]:
        where = ["-a", self.address[0], "-p", str(self.address[1])] if self._port \
            else ["-s", str(self.address), "-M", "0600"]
        return python_command(
            SUPERVISE, need("spawn-fcgi"), *where, "-F", str(self.processes),
            "-P", str(self.dir / "pids"), "--", *wrapper_command(), workerless_binary(),
            "-c", str(self.config_path), *self.args)

    def ready(self) -> bool:
        """spawn-fcgi itself has gone and its children are there: they may still be starting, but
        the socket listens already."""
        try:
            text = (self.dir / "pids").read_text("ascii")
        except FileNotFoundError:
            return False
        self.pids = [int(pid) for pid in text.split()]
        return len(self.pids) == self.processes and accepts(self.address)

    def check_end(self, status: int) -> None:
        reports = "".join(path.read_text(errors="replace") for path in self.dir.glob("report*"))
        assert not reports, f"a sanitizer found something:\n{reports}"
        assert status == 0, f"not all processes ended well (PID STATUS):\n{self.log()}"


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]


__all__ = ["Answer", "FrontServer", "Haproxy", "Lighttpd", "Nginx", "Port", "Redis", "RedisError",
           "Server", "SlowApi", "SpawnFcgi", "Workerless", "accepts", "connect", "gone", "need",
           "started", "workerless_binary", "sanitizer_environment", "wrapper_command", "TOP"]
