"""sandbox = "yes": all that the daemon does still works, and what it gave up is refused."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from pathlib import Path
from typing import List

import pytest

from harness import workers
from harness.fcgi import Connection
from harness.servers import Redis, Workerless, workerless_binary, wrapper_command
from harness.slowapi import SlowApi, Tls
from harness.tls import Authority
from harness.wait import wait_until

CREATE_RULESET = 444  # the same on all processors
LANDLOCK = ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, 1) > 0
SECCOMP = "2"  # of /proc/PID/status: there is a filter

pytestmark = [
    pytest.mark.skipif(bool(wrapper_command()), reason="valgrind opens files of its own"),
    pytest.mark.skipif(b"__asan_init" in Path(workerless_binary()).read_bytes(),
                       reason="a build with sanitizers has no sandbox"),
]
needs_landlock = pytest.mark.skipif(not LANDLOCK, reason="this kernel has no landlock")


def of_threads(pid: int, name: str) -> List[str]:
    """The values of a line of /proc/PID/task/TID/status."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text("ascii").splitlines()
        found += [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return found


def has_seccomp() -> bool:
    return b"libseccomp.so" in Path(workerless_binary()).read_bytes()


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """(a CA, the identity of a server of localhost)"""
    authority = Authority(tmp_path_factory.mktemp("papers"))
    return authority, authority.issue("server", "DNS:localhost")


SOURCE = 'source "{0}" {{ type = "http"  url = "{1}/{{name}}"  {2} }}\n' \
         'fragment "{0}/*" {{ source = "{0}"  ttl = "60s"  {3} }}\n'


def by_name(url: str) -> str:
    """The API by its name, which has to be looked up."""
    return url.replace("127.0.0.1", "localhost")


def test_everything_still_works(tmp, run, papers):
    """Redis and APIs by their names and by unix sockets, TLS, a file that is opened again, an end
    that removes the socket."""
    authority, identity = papers
    (tmp / "logs").mkdir()
    redis = run(Redis(tmp, tcp=True))
    apis = [run(SlowApi()), run(SlowApi(tls=Tls(*identity))),
            run(SlowApi(socket_path=tmp / "app.sock"))]
    (tmp / "fallbacks").mkdir()
    (tmp / "fallbacks/none.html").write_text("<p>not now</p>", "utf-8")
    log = tmp / "logs/log"
    config = f'sandbox = "yes" log = "file:{log}"\n' \
             f'cache {{ redis = "{redis.url.replace("127.0.0.1", "localhost")}" }}\n' + \
        SOURCE.format("plain", by_name(apis[0].url), "", f'fallback = "{tmp}/fallbacks/none.html"') + \
        SOURCE.format("secure", by_name(apis[1].url), f'tls_ca = "{authority.file}"', "") + \
        SOURCE.format("local", "http://app", f'socket = "{tmp}/app.sock"', "")
    server = run(Workerless(tmp, config))
    wait_until(lambda: "redis: connected" in log.read_text("utf-8"), "a connection to Redis")
    with Connection(server.address) as connection:
        for name in ("plain/a", "secure/b", "local/c"):
            response = connection.request(f"/fragment/{name}")
            assert (response.status, f"result for {name}" in response.text) == (200, True), \
                log.read_text("utf-8")
        apis[0].answer("plain/d", status=500)
        assert connection.request("/fragment/plain/d").text == "<p>not now</p>"
    wait_until(lambda: len(redis.keys()) == 3, "the results in Redis")
    log.rename(tmp / "logs/old")
    server.signal(signal.SIGUSR2)
    wait_until(lambda: log.exists() and f"opened {log} again" in log.read_text("utf-8"), "a file")
    assert set(of_threads(server.pid, "NoNewPrivs")) == {"1"}
    if has_seccomp():
        assert set(of_threads(server.pid, "Seccomp")) == {SECCOMP}
    said = (tmp / "logs/old").read_text("utf-8")
    assert "sandbox: restricted: " in said and ("restricted: files" in said) == LANDLOCK
    server.stop()
    assert not Path(server.socket_path).exists()
    assert "denied" not in said + log.read_text("utf-8")


@pytest.mark.parametrize("sandbox", ["", 'sandbox = "no"\n'])
def test_none(daemon, api, sandbox):
    server = daemon(extra=sandbox)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
    assert api.calls("a") == 1
    assert set(of_threads(server.pid, "Seccomp")) == {"0"} and "sandbox" not in server.log()


@needs_landlock
@pytest.mark.parametrize("change, sandbox, status", [
    ("a new file", "yes", 200),           # as certbot renews it
    ("a link to elsewhere", "no", 200),
    ("a link to elsewhere", "yes", 502),
])
def test_files_that_change(tmp, run, papers, change, sandbox, status):
    """Of a directory that is known, any file may be read; of another one, none. libcurl reads the
    file for each connection."""
    authority, identity = papers
    for directory in ("tls", "elsewhere"):
        (tmp / directory).mkdir()
        shutil.copy(authority.file, tmp / directory / "ca.pem")
    api = run(SlowApi(tls=Tls(*identity)))
    server = run(Workerless(tmp, f'sandbox = "{sandbox}"\n' + SOURCE.format(
        "secure", by_name(api.url), f'tls_ca = "{tmp}/tls/ca.pem"', "")))
    server.wait_log("main: workerless ")  # until then it may still look where its files are
    if change == "a new file":
        shutil.copy(authority.file, tmp / "tls/new.pem")
    else:
        os.symlink(tmp / "elsewhere/ca.pem", tmp / "tls/new.pem")
    os.rename(tmp / "tls/new.pem", tmp / "tls/ca.pem")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/secure/a").status == status, server.log()
    assert api.calls() == (status == 200)


def test_a_log_that_is_out_of_reach(tmp, run):
    """A log that can't be opened again, since its directory is another one now, is told."""
    (tmp / "logs").mkdir()
    log = tmp / "logs/log"
    server = run(Workerless(tmp, f'sandbox = "yes" log = "file:{log}"\n'
                                 'source "s" { type = "simulated" delay = "0" }\n'
                                 'fragment "a" { source = "s" }\n'))
    wait_until(lambda: "main: workerless " in log.read_text("utf-8"), "it to be in the sandbox")
    (tmp / "logs").rename(tmp / "old")
    (tmp / "logs").mkdir()
    server.signal(signal.SIGUSR2)
    said = "permission denied; with sandbox = " if LANDLOCK else "again"
    wait_until(lambda: said in (tmp / "old/log").read_text("utf-8") + (
        log.read_text("utf-8") if log.exists() else ""), "a message")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200


@needs_landlock
@pytest.mark.parametrize("place, message", [
    ("workerless", "main: reloaded "),  # its own directory
    ("elsewhere", 'fallback = "'),
])
def test_a_new_file_in_a_reload(tmp, run, api, place, message):
    """It may be in a directory that is known. If not, the message says what to do, and the old
    config stays."""
    source = f'source "s" {{ type = "http" url = "{api.url}/{{name}}" }}\n'
    server = run(Workerless(tmp, 'sandbox = "yes"\n' + source + 'fragment "a" { source = "s" }\n'))
    directory = server.dir if place == "workerless" else tmp / place
    directory.mkdir(exist_ok=True)
    (directory / "new.html").write_text("<p>new</p>", "utf-8")
    text = server.config_path.read_text("utf-8")
    server.config_path.write_text(text.replace(
        "{ source = \"s\" }", f'{{ source = "s" fallback = "{directory}/new.html" }}'), "utf-8")
    server.signal(signal.SIGHUP)
    server.wait_log(message)
    if place == "elsewhere":
        server.wait_log("the running config stays in use")
        assert f'{directory}/new.html: permission denied; with sandbox = "yes", files that are ' \
            "new in the config can be opened after a restart" in server.log()
    api.answer("a", status=500)
    with Connection(server.address) as connection:
        shown = "<p>new</p>" if place == "workerless" else "could not be loaded"
        assert shown in connection.request("/fragment/a").text


@needs_landlock
def test_a_new_file_in_a_reload_of_workers(tmp, run):
    """Where workers may not open it, the supervisor does not accept it either: all of them, also
    one that is started later, have the same config."""
    server = run(Workerless(tmp, 'workers = 2 sandbox = "yes"\n'
                                 'source "s" { type = "simulated" delay = "0" }\n'
                                 'fragment "a" { source = "s" }\n'))
    workers.wait_serving(server, 2)
    (tmp / "elsewhere").mkdir()
    (tmp / "elsewhere/new.html").write_text("<p>new</p>", "utf-8")
    with open(server.config_path, "a", encoding="utf-8") as config:
        config.write(f'fragment "new" {{ source = "s" fallback = "{tmp}/elsewhere/new.html" }}\n')
    server.signal(signal.SIGHUP)
    server.wait_log("the running config stays in use")
    assert "main: reloaded " not in server.log()
    before = workers.pids(server)
    workers.kill(server, 0)
    wait_until(lambda: workers.pids(server)[0] != before[0], "another worker")
    workers.wait_serving(server, 2)
    for _ in range(8):
        with Connection(server.address) as connection:
            assert connection.request("/fragment/new").status == 404


@needs_landlock
@pytest.mark.parametrize("variable, message", [
    ("LOGS_DIRECTORY", "main: reloaded "), ("OTHER", "permission denied; with sandbox = ")])
def test_a_log_that_a_reload_turns_on(tmp, run, variable, message):
    """It works in the directory that systemd has made for logs."""
    (tmp / "logs").mkdir()
    server = Workerless(tmp, 'sandbox = "yes"\nsource "s" { type = "simulated" delay = "0" }\n'
                             'fragment "a" { source = "s" }\n')
    server.environment[variable] = f"{tmp}/logs"
    run(server)
    with open(server.config_path, "a", encoding="utf-8") as config:
        config.write(f'access_log = "file:{tmp}/logs/access.log"\n')
    server.signal(signal.SIGHUP)
    server.wait_log(message)
    assert (tmp / "logs/access.log").exists() == (variable == "LOGS_DIRECTORY")


def test_workers(daemon, redis):
    """Each worker, also one that replaces another, is in a sandbox of its own. The supervisor may
    open only the same files, but make all system calls."""
    server = daemon(extra='workers = 2 sandbox = "yes"', redis=redis.url)
    workers.wait_serving(server, 2)
    before = workers.pids(server)
    workers.kill(server, 0)
    wait_until(lambda: workers.pids(server)[0] != before[0], "another worker")
    workers.wait_serving(server, 2)
    now = workers.pids(server)
    assert now[0] != before[0] and server.pid not in now.values()
    for pid in now.values():
        assert set(of_threads(pid, "NoNewPrivs")) == {"1"}
        if has_seccomp():
            assert set(of_threads(pid, "Seccomp")) == {SECCOMP}
    assert set(of_threads(server.pid, "Seccomp")) == {"0"}
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
    server.stop()
    assert not Path(server.socket_path).exists()
