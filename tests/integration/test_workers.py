"""Several workers under a supervisor: their lives, the signals, and what they share."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Callable, List

import pytest

from harness import fronts, metrics, workers
from harness.config import api_config
from harness.fcgi import Connection, ask, request
from harness.httpc import get_many
from harness.manager import Manager
from harness.process import gone
from harness.servers import Workerless, need, workerless_binary
from harness.tls import Authority
from harness.wait import SLOWNESS, scaled, stays, wait_until

TWO = "workers = 2"


@pytest.fixture
def pair(daemon, redis) -> Callable[..., Workerless]:
    """pair(extra="...", ...) starts a daemon with two workers, which share a Redis."""
    def start(extra: str = "", **options) -> Workerless:
        server = daemon(extra=f"{TWO} {extra}", redis=redis.url, **options)
        workers.wait_serving(server, 2)
        return server

    return start


# --- start and stop

@pytest.mark.parametrize("listen", ["unix", "tcp"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_start_and_stop(pair, name, number, listen):
    server = pair(listen=listen)
    all_pids = workers.pids(server).values()
    assert server.pid not in all_pids
    assert ask(server.address, f"/fragment/{name}").status == 200
    server.signal(number)
    assert server.wait() == 0
    assert all(map(gone, all_pids)) and not os.path.exists(server.socket_path)
    assert server.log().count("main: stopped") == 2
    assert "all workers have stopped" in server.log()
    assert "no Redis" not in server.log()


def test_auto_and_one(daemon):
    cpus = len(os.sched_getaffinity(0))
    server = daemon(extra="workers = auto")
    if cpus == 1:
        assert ask(server.address, "/workerless/health").status == 200
    else:
        workers.wait_serving(server, cpus)
        assert f"no Redis: each of the {cpus} workers" in server.log()
    alone = daemon(extra="workers = 1")
    assert ask(alone.address, "/workerless/health").status == 200
    assert "worker 0" not in alone.log()
    children = Path(f"/proc/{alone.pid}/task/{alone.pid}/children").read_text("ascii")
    assert not children.split()


def test_drains(pair, api, run):
    """The first fast signal sends those away that wait, the second one ends calls, too."""
    server = pair("shutdown_timeout = 60s drain_timeout = 60s")
    api.hold("a", "b")
    parked = [workers.connect_to(server, run, number) for number in range(2)]
    for connection, fragment in zip(parked, "ab"):
        connection.send_raw(request(f"/fragment/{fragment}"))
        api.wait_calls(fragment, 1)
    server.signal(signal.SIGQUIT)
    server.wait_log("SIGQUIT: finishing 1 requests")
    assert not os.path.exists(server.socket_path)  # at once, so that the next one can use it
    server.signal(signal.SIGTERM)
    for connection in parked:
        assert connection.response().status == 202
    assert server.running
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert api.calls() == 2


def test_one_that_does_not_end_is_killed(pair, api):
    server = pair("shutdown_timeout = 0")
    os.kill(workers.pids(server)[0], signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    server.wait_log("killing 1 workers that do not end")
    assert server.wait() == 1
    server.kill()


def test_logs_are_opened_again(daemon, tmp):
    log, old = tmp / "log", tmp / "log.1"
    server = daemon(extra=f'{TWO} log = "file:{log}"')
    wait_until(lambda: log.read_text("utf-8").count("fragments: 1") == 2, "two workers")
    log.rename(old)
    server.signal(signal.SIGUSR2)
    opened = f"opened {log} again"
    wait_until(lambda: log.exists() and log.read_text("utf-8").count(opened) == 3, "all of them")
    assert len(set(re.findall(r"\[(\d+)\]", log.read_text("utf-8")))) == 3
    assert opened not in old.read_text("utf-8")


def reloaded(server: Workerless) -> int:
    """How often workers have applied a config, in all."""
    return server.counter("reloads")


def test_reload(pair, run):
    """The supervisor checks the config, and says once what changes. Each worker reads it, and so
    does one that is started later. A bad one does not get to them."""
    server = pair()
    good = server.config_path.read_text("utf-8").replace('fragment "*"', 'fragment "b"')
    server.config_path.write_text(good, "utf-8")
    server.signal(signal.SIGHUP)
    wait_until(lambda: reloaded(server) == 2, "both workers")
    for text in ('reload: fragments added: "b"', "main: reloaded "):
        assert server.log().count(text) == 1
    server.config_path.write_text("nonsense = 1\n" + good, "utf-8")
    server.signal(signal.SIGHUP)
    server.wait_log("; the running config stays in use")
    server.wait_counter("reloads_failed", 1)  # by the supervisor
    workers.kill(server, 0)
    workers.wait_serving(server, 2)
    for number in range(2):
        connection = workers.connect_to(server, run, number)
        assert connection.request("/fragment/a").status == 404
        assert connection.request("/fragment/b").status == 200
    assert reloaded(server) == 2 and server.log().count("stays in use") == 1
    server.config_path.write_text(good.replace(TWO, "workers = 3"), "utf-8")
    server.signal(signal.SIGHUP)
    server.wait_log("reload: workers needs a restart; keeping the running value")
    wait_until(lambda: reloaded(server) == 4, "both workers")


def limit(server: Workerless) -> int:
    return int(metrics.read(server.address)["workerless_parked_limit",])


def test_a_bad_config(pair, run, name):
    """The supervisor says what is wrong; the workers do not hear of it."""
    server = pair("max_parked = 50")
    parts = [workers.connect_to(server, run, number) for number in range(2)]
    text = server.config_path.read_text("utf-8")
    server.config_path.write_text(text.replace("max_parked = 50", "max_parked = 0"), "utf-8")
    server.signal(signal.SIGHUP)
    server.wait_log("the running config stays in use")
    assert 'max_parked = "0": must be from 1' in server.log()
    for connection in parts:
        assert connection.request(f"/fragment/{name}").status == 200
    assert server.counter("reloads_failed") == 1 and server.counter("reloads") == 0
    workers.kill(server, 0)
    workers.wait_serving(server, 2)
    assert limit(server) == 100


# --- deaths

class Hits:
    """wrk: requests for a fragment in memory."""

    def __init__(self, url: str, seconds: int) -> None:
        self._process = subprocess.Popen(
            [need("wrk"), "-t1", "-c8", f"-d{seconds}s", "--timeout", "60s", url],
            stdout=subprocess.PIPE, text=True)

    def end(self) -> List[int]:
        """How many there were, and how many of them failed."""
        text = self._process.communicate()[0]
        print(text)
        total = int(re.search(r"(\d+) requests in", text).group(1))
        failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)",
                           text)
        assert not broken or not any(map(int, broken.groups())), text
        return [total, int(failed.group(1)) if failed else 0]


@pytest.mark.parametrize("listen", ["unix", "tcp"])
def test_killed_under_load(pair, run, tmp, api, listen):
    server = pair(listen=listen)
    place = server.socket_path if listen == "unix" else "TCP"
    changes = {} if listen == "unix" else {
        "server unix:/run/workerless/workerless.sock;":
            "server %s:%d; # /run/workerless/workerless.sock" % server.address}
    front = run(fronts.nginx(tmp, place, changes=changes))
    seconds = max(2, int(2 * SLOWNESS))
    hits = Hits(front.url + "/fragment/a", seconds)
    api.wait_calls("a", 1)
    longest = 0.0
    for number in (0, 1):
        wait_until(lambda least=number: workers.figures(server, "answers")[least] > 10, "hits")
        pid = workers.kill(server, number)
        workers.wait_serving(server, 2)
        longest = max(longest, workers.seconds_without(server, number, pid))
    total, failed = hits.end()
    print(f"{listen}: {failed} of {total} hits failed; a new worker after {longest * 1000:.0f} ms")
    assert failed <= 2 * 8  # what was in flight; nginx repeats those on connections that it kept
    assert longest <= 0.1 * SLOWNESS
    assert api.calls("a") == 1
    counted = sum(value for labels, value in metrics.nonzero(
        metrics.read(server.address), "workerless_requests_total").items())
    assert total - failed <= counted <= total + 2 * 8 + 8  # and wrk stops while some are under way
    assert workers.figures(server, "starts") == {0: 2, 1: 2}


def test_what_a_dead_one_counted_and_held(pair, run, api):
    server = pair()
    for _ in range(3):  # both have answered
        for number in range(2):
            assert workers.connect_to(server, run, number).request("/fragment/x").status == 200
    api.hold("a")
    parked = workers.connect_to(server, run, 0)
    parked.send_raw(request("/fragment/a"))
    api.wait_calls("a", 1)
    before = metrics.read(server.address)
    assert before["workerless_parked",] == 1
    assert workers.figures(server, "parked") == {0: 1, 1: 0}
    workers.kill(server, 0)
    parked.expect_close()
    api.release("a")
    workers.wait_serving(server, 2)
    after = metrics.read(server.address)
    for key, value in before.items():
        if key[0].endswith(("_total", "_count", "_bucket")):
            assert after[key] >= value, key
    assert after["workerless_parked",] == 0
    assert after["workerless_connections",] < before["workerless_connections",]
    wait_until(lambda: sum(workers.figures(server, "connections").values()) ==
               metrics.read(server.address)["workerless_connections",], "the sum to be the whole")
    assert after["workerless_worker_starts_total", "worker=0"] == 2


def test_sums_are_the_same_whoever_answers(pair, run, redis, name):
    server = pair("max_parked = 70")
    connections = [workers.connect_to(server, run, number) for number in range(2)]
    for connection in connections * 3:
        assert connection.request(f"/fragment/{name}").status == 200
    one, other = [metrics.parse(connection.request(metrics.PATH).text)
                  for connection in connections]
    for values in (one, other):
        assert sum(metrics.nonzero(values, "workerless_requests_total").values()) == 6
        assert metrics.nonzero(values, "workerless_source_calls_total") == \
            {("source=api", "result=ok"): 1}
        assert values["workerless_source_duration_seconds_count", "source=api"] == 1
        assert values["workerless_source_breaker", "source=api", "state=closed"] == 2
        assert values["workerless_parked_limit",] == 140
        assert values["workerless_redis_up",] == 1
    assert set(one) == set(other)
    texts = [connection.request("/workerless/status").text for connection in connections]
    for text in texts:
        assert f"process {server.pid}, up" in text  # the one to send signals to
        assert re.search(r"^parked +0 of 140$", text, re.MULTILINE), text
        assert re.search(r"^ +worker +connections", text, re.MULTILINE), text
    assert server.counter("stores") == 1
    redis.stop()
    wait_until(lambda: metrics.read(server.address)["workerless_redis_up",] == 0, "no Redis")
    assert not metrics.complaints(connections[0].request(
        metrics.PATH, extra={"HTTP_ACCEPT": "text/plain"}).text)


def test_one_that_dies_at_once(pair):
    """The more often, the later the next one starts; the other one serves."""
    server = pair()
    delays = []
    for _ in range(4):
        before = workers.pids(server)[0]
        pid = workers.kill(server, 0)
        found = re.search(rf"process {pid}, was killed by SIGKILL; the next one starts (.*)",
                          server.log()).group(1)
        delays.append(found)
        assert ask(server.address, "/workerless/health").status == 200
        wait_until(lambda last=before: workers.pids(server)[0] != last, "the next one")
    if SLOWNESS <= 1:
        assert delays == ["now", "in 0.1 s", "in 0.2 s", "in 0.4 s"], delays
    workers.wait_serving(server, 2)


def test_how_it_died(pair):
    server = pair()
    pid = workers.kill(server, 1, signal.SIGABRT)
    assert re.search(rf"worker 1, process {pid}, was killed by SIGABRT, (no )?core dumped",
                     server.log())
    workers.wait_serving(server, 2)
    pid = workers.pids(server)[0]
    os.kill(pid, signal.SIGTERM)  # by hand
    server.wait_log(f"worker 0, process {pid}, exited with status 0; the next one starts")
    workers.wait_serving(server, 2)


def test_the_supervisor_dies(pair, api, run):
    server = pair()
    api.hold("a")
    parked = [workers.connect_to(server, run, number) for number in range(2)]
    for connection in parked:
        connection.send_raw(request("/fragment/a"))
    server.wait_counter("parked", 2)
    its = workers.pids(server).values()
    server.kill()
    for connection in parked:
        assert connection.response().status == 202
    wait_until(lambda: all(map(gone, its)), "the end of both workers")


# --- who they are

def identity(pid: int) -> tuple:
    """Its (user, group, further groups)."""
    text = Path(f"/proc/{pid}/status").read_text("ascii")
    found = {key: set(map(int, re.search(rf"^{key}:(.*)$", text, re.MULTILINE).group(1).split()))
             for key in ("Uid", "Gid", "Groups")}
    return found["Uid"], found["Gid"], found["Groups"]


@pytest.mark.parametrize("count", [1, 2])
def test_user_and_group(run, tmp, api, count):
    """As root it becomes somebody else. Otherwise it is already what it is to become."""
    me = pwd.getpwuid(os.geteuid())
    user = pwd.getpwnam("nobody") if me.pw_uid == 0 else me
    group = grp.getgrgid(user.pw_gid)
    place = tmp / "place"
    place.mkdir(mode=0o755)
    if me.pw_uid == 0:
        os.chown(place, user.pw_uid, user.pw_gid)
    config = f'''listen = {{"unix:{place}/socket"}} status = {{"127.0.0.1"}} workers = {count}
        user = "{user.pw_name}" group = "{group.gr_name}" log = "file:{place}/log"'''
    server = run(Workerless(tmp, config + api_config(api), listen="none",
                            address=f"{place}/socket"))
    log = place / "log"
    wait_until(lambda: log.read_text("utf-8").count("fragments: 1") == count, "all to serve")
    pids = set(map(int, re.findall(r"\[(\d+)\]", log.read_text("utf-8"))))
    assert len(pids) == (1 if count == 1 else count + 1)
    if me.pw_uid == 0:
        for pid in pids:
            assert identity(pid) == ({user.pw_uid}, {group.gr_gid}, {group.gr_gid})
    for path in (log, place / "socket"):
        assert (path.stat().st_uid, path.stat().st_gid) == (user.pw_uid, group.gr_gid)
    assert ask(server.address, "/fragment/a").status == 200
    log.rename(place / "log.1")
    server.signal(signal.SIGUSR2)
    wait_until(lambda: log.exists() and "again" in log.read_text("utf-8"), "the new log")
    server.stop()
    assert not (place / "socket").exists()


def test_only_root_can_become_somebody_else(tmp, api):
    binary = shutil.copy(workerless_binary(), tmp / "workerless")
    other = "daemon" if os.geteuid() == 0 else "root"
    place = tmp / "place"
    place.mkdir()
    place.chmod(0o777)
    config = tmp / "conf"
    config.write_text(f'listen = {{"unix:{place}/socket"}} user = "{other}"' + api_config(api))
    config.chmod(0o644)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run([*(nobody if os.geteuid() == 0 else []), binary, "-c", config], cwd="/",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 1
    assert f'user = "{other}": Operation not permitted: start as root, or as that user' in done.stdout
    assert not (place / "socket").exists()


def test_a_file_that_the_user_may_not_read(tmp, api):
    """It is checked again as that user, since each new worker reads it."""
    file = Authority(tmp).file
    file.chmod(0o600 if os.geteuid() == 0 else 0)
    user = 'user = "nobody"' if os.geteuid() == 0 else ""
    server = Workerless(tmp, api_config(api, extra=f'''{user}
        source "tls" {{ type = "http" url = "https://127.0.0.1:1/" tls_ca = "{file}" }}'''))
    server.spawn()
    assert server.wait() == 1
    assert re.search(rf"tls_ca.*{re.escape(str(file))}.*Permission denied", server.log())
    server.kill()


# --- sockets

def test_an_inherited_socket(run, tmp, api, redis):
    """It stays open when they stop, and the next ones serve those that wait."""
    held = run(socket.socket(socket.AF_UNIX))
    held.bind(f"{tmp}/held")
    held.listen(64)

    def start() -> Workerless:
        server = run(Workerless(tmp, "status = {\"127.0.0.1\"} workers = 2" +
                                api_config(api, redis=redis.url), listen="none", systemd=held,
                                address=f"{tmp}/held"))
        workers.wait_serving(server, 2)
        return server

    first = start()
    for number in range(2):
        assert workers.connect_to(first, run, number).request("/fragment/a").status == 200
    first.stop()
    waiting = run(Connection(f"{tmp}/held"))
    waiting.send_raw(request("/fragment/a"))
    start()
    assert waiting.response().status == 200


def test_a_new_worker_takes_over_the_socket_of_the_dead_one(pair, run):
    """On TCP each has its own, and connections may wait in it."""
    server = pair(listen="tcp")
    os.kill(workers.pids(server)[0], signal.SIGSTOP)
    waiting = [run(Connection(server.address)) for _ in range(40)]
    for connection in waiting:
        connection.send_raw(request("/workerless/health"))
    workers.kill(server, 0)
    for connection in waiting:
        assert connection.response().status == 200


def test_no_two_daemons_share_a_port(pair, tmp, api):
    """SO_REUSEPORT would allow it."""
    server = pair(listen="tcp")
    other = Workerless(tmp, f'listen = {{"tcp:127.0.0.1:{server.address[1]}"}} workers = 2' +
                       api_config(api), listen="none")
    other.spawn()
    assert other.wait() == 1
    assert "Address already in use" in other.log()


@pytest.mark.parametrize("listen", ["unix", "tcp"])
def test_connections_are_spread(daemon, redis, run, tmp, api, listen):
    """nginx opens 64 at once, and keeps them."""
    count = scaled(64, least=32)
    server = daemon(extra="workers = 4", redis=redis.url, listen=listen)
    workers.wait_serving(server, 4)
    changes = {"keepalive 32;": f"keepalive {count};", "worker_processes auto;": "worker_processes 1;"}
    if listen == "tcp":
        changes["server unix:/run/workerless/workerless.sock;"] = \
            "server %s:%d; # /run/workerless/workerless.sock" % server.address
    front = run(fronts.nginx(tmp, server.socket_path, changes=changes))
    api.hold("a")

    def all_sent() -> None:
        server.wait_counter("parked", count)
        api.release("a")

    replies = get_many(front.address, ["/fragment/a"] * count, all_sent=all_sent)
    assert {reply.status for reply in replies} == {200}
    spread = workers.figures(server, "connections")
    print(f"{listen}: {count} connections: {sorted(spread.values())}")
    assert sum(spread.values()) >= count
    if listen == "unix":  # on TCP the kernel spreads them by chance
        # Not exactly even: if the machine has no time for the others, one takes some more.
        assert max(spread.values()) <= count * 3 // 8 and min(spread.values()) > 0, spread


def test_a_burst_while_the_others_hang(daemon, redis, run):
    """Then one takes them all, though it has more than its share."""
    server = daemon(extra="workers = 4", redis=redis.url)
    its = workers.wait_serving(server, 4)
    try:
        for number in (1, 2, 3):
            os.kill(its[number], signal.SIGSTOP)
        connections = [run(Connection(server.address)) for _ in range(200)]
        for connection in connections:
            connection.send_raw(request("/workerless/health"))
        for connection in connections:
            assert connection.response().status == 200
    finally:
        for pid in its.values():
            os.kill(pid, signal.SIGCONT)


# --- the service manager

def test_the_service_manager(run, tmp, api, redis):
    manager = run(Manager(f"{tmp}/notify"))
    server = Workerless(tmp, TWO + api_config(api, redis=redis.url))
    server.environment.update(manager.environment, WATCHDOG_USEC=str(int(200_000 * SLOWNESS)))
    run(server)
    manager.wait("READY=1\nSTATUS=serving, workers: 2 of 2, fragments: 1, sources: 1")

    def lives() -> None:
        count = len(manager.read())
        wait_until(lambda: manager.read()[count:].count("WATCHDOG=1") >= 3, "messages")

    lives()
    pid = workers.kill(server, 0)
    manager.wait("STATUS=serving, workers: 1 of 2, fragments: 1, sources: 1")
    manager.wait("STATUS=serving, workers: 2 of 2, fragments: 1, sources: 1")
    assert workers.pids(server)[0] != pid
    lives()
    os.kill(workers.pids(server)[1], signal.SIGSTOP)  # it hangs, so the service does not live

    def silent() -> bool:
        count = len(manager.read())
        try:
            stays(lambda: len(manager.read()) == count, "silence", 0.5 * SLOWNESS)
        except AssertionError:
            return False
        return True

    wait_until(silent, "no more messages")
    os.kill(workers.pids(server)[1], signal.SIGCONT)
    lives()
    ready = "READY=1\nSTATUS=serving, workers: 2 of 2, fragments: 1, sources: 1"
    server.signal(signal.SIGHUP)
    wait_until(lambda: manager.read().count(ready) == 2, "a reload")
    assert len([message for message in manager.read() if "RELOADING=1\n" in message]) == 1
    server.signal(signal.SIGTERM)
    manager.wait("STOPPING=1\nSTATUS=SIGTERM: stopping 2 workers")
    assert server.wait() == 0
    assert [message for message in manager.read() if "READY" in message] == [ready] * 2
