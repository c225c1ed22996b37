"""Where messages go: stderr, or syslog. Here syslog is a socket of our own at its place, /dev/log."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness.fcgi import ask
from harness.servers import (SpawnFcgi, Workerless, need, sanitizer_environment, workerless_binary,
                             wrapper_command)
from harness.wait import DEADLINE, wait_until

CONFIG = """source "s" { type = "simulated"  delay = "0" }
fragment "a" { source = "s" }
"""
PLACE = Path("/dev/log")


class Syslog:
    """What programs send to syslog, as one text. It is read at once: a program waits after a few
    messages that are not."""

    def __init__(self) -> None:
        self.text = ""
        self._listen()

    def _listen(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(PLACE))
        PLACE.chmod(0o666)
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        while True:
            message = self._socket.recv(8192)
            if not message:  # close()
                return
            self.text += message.decode() + "\n"

    def restart(self) -> None:
        self.close()
        self._listen()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(DEADLINE)
        self._socket.close()
        PLACE.unlink()

    def wait(self, what: str) -> None:
        wait_until(lambda: what in self.text, f"{what!r} in syslog")


@pytest.fixture
def syslog():
    if PLACE.exists() or not os.access(PLACE.parent, os.W_OK):
        pytest.skip("syslog's place is taken, or not ours to take")
    ear = Syslog()
    yield ear
    ear.close()


def test_spawn_fcgi(tmp, run, syslog):
    """It makes stderr /dev/null."""
    server = run(SpawnFcgi(tmp, CONFIG, args=["-v"]))
    assert ask(server.address).status == 200
    syslog.wait("workerless[%d]: main: workerless " % server.pids[0])
    syslog.wait("connection: ")
    server.stop()
    syslog.wait("main: stopped")


def test_wrong_config_under_spawn_fcgi(tmp, syslog):
    config = tmp / "wrong.conf"
    config.write_text(CONFIG + "\ntll = 5s\nlog = everywhere\n", "utf-8")
    subprocess.run([need("spawn-fcgi"), "-s", str(tmp / "socket"), "--", *wrapper_command(),
                    workerless_binary(), "-c", str(config)],
                   env={**os.environ, **sanitizer_environment()}, stdout=subprocess.DEVNULL, timeout=DEADLINE)
    syslog.wait(f'conf: {config}:4: no option "tll"')
    syslog.wait(f'conf: {config}:5: log = "everywhere": must be stderr, syslog or file:PATH')


def test_warning_under_spawn_fcgi(tmp, run, syslog):
    server = run(SpawnFcgi(tmp, CONFIG + '\nfragment "b" { source = "s"  hold = "2m" }\n'))
    assert ask(server.address).status == 200
    syslog.wait(f'conf: {server.config_path}:4: warning: hold = "2m": ')
    priority = next(line for line in syslog.text.splitlines() if ": warning: hold" in line)[:4]
    assert priority in ("<28>", "<12>"), "a warning of a daemon, or of a user"


@pytest.mark.skipif(bool(wrapper_command()), reason="the wrapper takes descriptors of its own")
def test_closed_descriptors(tmp, run, syslog):
    """None of our sockets becomes stderr, which would send the log to a client."""
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    server = run(Workerless(tmp, CONFIG, args=["-v"], wrapper=[*shell, *wrapper_command()]))
    assert "result for a" in ask(server.address).text
    syslog.wait("connection: ")
    assert {os.readlink(f"/proc/{server.pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}


def test_stderr_that_is_seen(tmp, run, syslog):
    run(Workerless(tmp, CONFIG)).wait_log("main: workerless ")
    assert syslog.text == ""
    asked = run(Workerless(tmp, CONFIG + 'log = "syslog"\n'))
    syslog.wait("main: workerless ")
    assert "main: workerless " not in asked.log()


def test_access_log(tmp, run, syslog):
    """Each line is a message. It needs no log in syslog, and syslog may start again."""
    server = run(Workerless(tmp, CONFIG + 'access_log = "syslog" access_log_format = "{path} {outcome}"\n'))
    for _ in range(2):
        assert ask(server.address).status == 200
    syslog.wait(f"workerless[{server.pid}]: /fragment/a hit\n")
    first = next(line for line in syslog.text.splitlines() if "/fragment/a" in line)
    assert re.fullmatch(r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d workerless\[\d+\]: /fragment/a miss", first)
    assert "main: workerless " in server.log()
    syslog.restart()
    assert ask(server.address, "/workerless/health").status == 200
    syslog.wait("]: /workerless/health -\n")


def test_access_log_under_spawn_fcgi(tmp, run, syslog):
    """Nobody would see it on stderr."""
    server = run(SpawnFcgi(tmp, CONFIG + 'access_log = "stderr" access_log_format = "{path} {outcome}"\n'))
    assert ask(server.address).status == 200
    syslog.wait("]: /fragment/a miss\n")


# A file.


def test_a_file(tmp, run):
    """It is appended to, and its mode keeps others from reading it."""
    path = tmp / "workerless.log"
    path.write_text("before\n", "utf-8")
    config = CONFIG + f'log = "file:{path}"\n'
    server = run(Workerless(tmp, config))
    server.stop()
    lines = path.read_text("utf-8").splitlines()
    assert lines[0] == "before" and lines[-1].endswith("main: stopped")
    assert server.log() == ""
    path.unlink()
    run(Workerless(tmp, config))
    wait_until(lambda: "main: workerless " in path.read_text("utf-8"), "its first lines")
    assert path.stat().st_mode & 0o777 & ~0o640 == 0


def test_a_file_is_opened_again(tmp, run):
    """As logrotate wants it: no line is lost, and the old file is let go."""
    path, old = tmp / "workerless.log", tmp / "workerless.log.1"
    server = run(Workerless(tmp, CONFIG + f'log = "file:{path}"\n'))
    path.rename(old)
    server.signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP: reading" in old.read_text("utf-8"), "a line in the old file")
    server.signal(signal.SIGUSR2)
    wait_until(path.exists, "a new file")
    wait_until(lambda: f"log: opened {path} again" in path.read_text("utf-8"), "a line in it")
    open_files = {os.readlink(place) for place in Path(f"/proc/{server.pid}/fd").iterdir()}
    assert str(path) in open_files and str(old) not in open_files
    assert ask(server.address).status == 200


def test_a_file_that_can_not_be_opened_again(tmp, run):
    """The old one is used further, and says why."""
    path, old = tmp / "logs/workerless.log", tmp / "old.log"
    path.parent.mkdir()
    server = run(Workerless(tmp, CONFIG + f'log = "file:{path}"\n'))
    path.rename(old)
    path.parent.rmdir()
    server.signal(signal.SIGUSR2)
    said = f"error log: can't open {path}: No such file or directory"
    wait_until(lambda: said in old.read_text("utf-8"), "an error in the old file")
    path.parent.mkdir()
    server.signal(signal.SIGUSR2)
    wait_until(path.exists, "a new file")
    assert ask(server.address).status == 200


def test_a_start_that_fails_with_a_log_elsewhere(tmp):
    """Whoever has started it is told where the reason is."""
    path = tmp / "workerless.log"
    server = Workerless(tmp, f'log = "file:{path}" listen = {{"unix:{tmp}/none/socket"}}\n' + CONFIG,
                        listen="none")
    server.spawn()
    try:
        assert server.wait() == 1
        assert "the directory of the socket does not exist" in path.read_text("utf-8")
        assert server.log() == f"workerless: failed; its log says why (file:{path})\n"
    finally:
        server.kill()


def test_a_file_that_can_not_be_opened(tmp):
    """It does not start, and says why where it was started. A check of the config creates nothing."""
    server = Workerless(tmp, CONFIG + f'log = "file:{tmp}/none/log"\n')
    server.spawn()
    try:
        assert server.wait() == 1
        assert f"error log: can't open {tmp}/none/log: No such file" in server.log()
    finally:
        server.kill()
    server = Workerless(tmp, CONFIG + f'log = "file:{tmp}/log"\n', args=["-t"])
    server.spawn()
    assert server.wait() == 0
    assert not (tmp / "log").exists()


def test_a_full_file(tmp, run):
    """Lines that can't be written are counted."""
    server = run(Workerless(tmp, CONFIG + 'log = "file:/dev/full"\n'))
    assert ask(server.address).status == 200
