"""The access log, the slow log, and the formats of the log."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from typing import Dict, List, Optional

import pytest

from harness.fcgi import Connection, abort, ask, request
from harness.fleet import wait_armed
from harness.servers import Workerless
from harness.wait import SLOWNESS, scaled, wait_until

HEALTH = "/workerless/health"
SLOW_S = 0.3 * SLOWNESS  # how long the phase takes that is to be seen
ROUTES = """
source "hasty" {{ type = "http" url = "{url}/{{name}}" timeout = "100ms" }}
source "narrow" {{ type = "http" url = "{url}/{{name}}" timeout = "60s" connections = 1 queue = 0 }}
fragment "brief/*"  {{ source = "api" hold = "10ms" }}
fragment "hasty/*"  {{ source = "hasty" }}
fragment "narrow/*" {{ source = "narrow" }}
fragment "stale/*"  {{ source = "api" ttl = "1ms" stale = "1h" }}
fragment "vary/*"   {{ source = "api" vary = {{"query:city"}} }}
"""


class Log:
    """An access log in JSON, in a file. If the server is known, it need not be waited for until it
    writes its lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server: Optional[Workerless] = None

    def option(self, form: str = "json") -> str:
        return f"access_log = \"file:{self.path}\" access_log_format = '{form}'\n"

    def rows(self) -> List[Dict]:
        if not self.path.exists():
            return []
        whole = self.path.read_text("utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.split("\n") if line]

    def wait(self, **members) -> Dict:
        """The first row with these members."""
        if self.server and self.server.running:
            self.server.signal(signal.SIGUSR2)

        def found():
            return [row for row in self.rows()
                    if all(row.get(name) == value for name, value in members.items())]

        return wait_until(found, f"a line with {members}")[0]


@pytest.fixture
def log(tmp):
    return Log(tmp / "access.log")


@pytest.fixture(name="daemon")
def fixture_daemon(daemon, log):
    """The same, and the log knows the last one."""
    def start(*arguments, **options) -> Workerless:
        log.server = daemon(*arguments, **options)
        return log.server

    return start


@pytest.fixture
def server(daemon, api, redis, log):
    running = daemon(extra=ROUTES.format(url=api.url) + log.option() + 'purge = {"127.0.0.1"}\n',
                     redis=redis.url)
    wait_armed(redis)
    return running


# What became of each request.


def test_a_miss_and_hits(server, api, redis, log, name):
    body = f"result for {name}"
    ids = {"HTTP_X_REQUEST_ID": "r-1", "HTTP_TRACEPARENT":
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    length = len(ask(server.address, f"/fragment/{name}", extra=ids).body)
    miss = log.wait(key=name, outcome="miss")
    assert miss["from"] == "source" and miss["status"] == 200 and miss["bytes"] == length
    assert miss["route"] == "*" and miss["path"] == f"/fragment/{name}" and miss["method"] == "GET"
    assert miss["client"] == "127.0.0.1" and miss["pid"] == server.pid
    assert miss["request_id"] == "r-1"
    assert miss["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert 0 < miss["redis_time"] + miss["source_time"] <= miss["parked"] * 1.1 + 0.02
    assert miss["parked"] <= miss["total"] and miss["queued"] == 0 and miss["lease_time"] == 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", miss["time"])

    wait_until(lambda: "detail=memory" in ask(server.address, f"/fragment/{name}", method="HEAD")
               .headers["cache-status"], "a hit from memory")
    hit = log.wait(key=name, outcome="hit", **{"from": "memory"})
    assert hit["bytes"] == 0 and hit["method"] == "HEAD"
    assert not {"parked", "redis_time", "source_time", "request_id", "trace_id"} & set(hit)

    redis.command("SET", f"worker:{name}-2", body)
    ask(server.address, f"/fragment/{name}-2")
    hit = log.wait(key=f"{name}-2")
    assert hit["outcome"] == "hit" and hit["from"] == "redis" and hit["redis_time"] > 0
    assert hit["parked"] > 0 and "source_time" not in hit


def test_inputs_are_in_the_key(server, log, name):
    ask(server.address, f"/fragment/vary/{name}", query="city=New%20York&secret=x")
    row = log.wait(key=f"vary/{name}?city=New%20York")
    assert row["route"] == "vary/*" and "secret" not in log.path.read_text("utf-8")


def test_collapsed(server, api, log, name):
    api.hold(name)
    with Connection(server.address) as first, Connection(server.address) as second:
        first.send_raw(request(f"/fragment/{name}"))
        api.wait_calls(name, 1)
        second.send_raw(request(f"/fragment/{name}"))
        server.wait_counter("parked", 2)
        api.release(name)
        first.response()
        second.response()
    log.wait(key=name, outcome="miss")
    assert log.wait(key=name, outcome="collapsed")["status"] == 200


def test_failures(server, api, log, name):
    api.answer(f"{name}-gone", status=404)
    api.answer(f"{name}-bad", status=500)
    api.hold(f"hasty/{name}", f"brief/{name}", f"narrow/{name}")
    failures = [(f"{name}-gone", 404, "not_found"), (f"{name}-bad", 502, "failed"),
                (f"hasty/{name}", 504, "timed_out"), (f"brief/{name}", 202, "not_ready")]
    for path, status, _ in failures:
        assert ask(server.address, f"/fragment/{path}").status == status
    with Connection(server.address) as first:
        first.send_raw(request(f"/fragment/narrow/{name}"))
        api.wait_calls(f"narrow/{name}", 1)
        ask(server.address, f"/fragment/narrow/{name}-2")
        first.send_raw(abort(1))
        first.response()
    for path, status, outcome in failures:
        row = log.wait(key=path, outcome=outcome, status=status)
        assert row["bytes"] > 0 and row["source_time"] > 0, row
    log.wait(key=f"narrow/{name}-2", outcome="busy", status=503)
    left = log.wait(key=f"narrow/{name}", outcome="left")
    assert left["parked"] > 0 and "status" not in left


def test_stale(server, log, name):
    def stale() -> bool:
        ask(server.address, f"/fragment/stale/{name}")
        return any(row["outcome"] == "stale" for row in log.rows())

    wait_until(stale, "a stale result")


def test_refused_and_shutdown(daemon, api, log, name):
    server = daemon(extra=log.option() + "max_parked = 1")
    api.hold(name)
    with Connection(server.address) as first:
        first.send_raw(request(f"/fragment/{name}"))
        api.wait_calls(name, 1)
        ask(server.address, f"/fragment/{name}-2")
        log.wait(key=f"{name}-2", outcome="refused", status=503)
        server.signal(signal.SIGTERM)
        first.response()
    assert server.wait() == 0
    assert log.wait(key=name, outcome="shutdown")["status"] == 202


def test_what_is_no_fragment(server, log, name):
    ask(server.address, "/nothing")
    ask(server.address, HEALTH)
    ask(server.address, f"/fragment/{name}", method="POST", body=b"x")
    ask(server.address, f"/fragment/{name}", method="PURGE")
    ask(server.address, "/fragments", query=f"name={name}&name={name}-2")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a", extra={"CONTENT_LENGTH": "99999999"}).status == 413
    assert log.wait(path="/nothing")["status"] == 404
    assert log.wait(path=HEALTH)["status"] == 200
    assert log.wait(method="POST")["status"] == 405
    purge = log.wait(method="PURGE")
    assert purge["status"] == 204 and purge["parked"] > 0 and purge["path"] == f"/fragment/{name}"
    stream = log.wait(path="/fragments")
    log.wait(status=413)
    assert stream["status"] == 200
    assert not any("outcome" in row for row in log.rows() if row.get("path") != "/fragments")


def test_a_stream(server, api, log, name):
    """A line for each fragment, and one for all of it."""
    api.answer(f"{name}-bad", status=500)
    ask(server.address, "/fragments", query=f"name={name}&name={name}-bad&name=brief/x")
    whole = log.wait(path="/fragments", key=None)
    rows = {row["key"]: row for row in log.rows() if "key" in row}
    assert {key: (row["status"], row.get("outcome"), row.get("route")) for key, row in rows.items()} == {
        name: (200, "miss", "*"), f"{name}-bad": (502, "failed", "*"), "brief/x": (404, None, None)}
    assert whole["path"] == rows[name]["path"] == "/fragments" and whole["status"] == 200
    assert whole["bytes"] > sum(row["bytes"] for row in rows.values()) > 100
    assert whole["total"] >= max(row["total"] for row in rows.values()) > 0


# Formats, and what can't be forged in them.

HOSTILE = ['/fragment/a"b', "/fragment/a b=c", "/fragment/a\n2026-11-28 forged", "/fragment/a\\",
           '/fragment/a","status":"999', "/fragment/\u202egnp", "/fragment/a\x1b[2J"]


@pytest.mark.parametrize("form", ["json", "logfmt", '{path} {key} "{client}" {request_id} {status}'])
def test_nothing_is_forged(daemon, log, form):
    server = daemon(extra=log.option(form))
    hostile = {"REMOTE_ADDR": '::1" status=200\n', "HTTP_X_REQUEST_ID": "a\nb", "HTTP_TRACEPARENT": "x\ny"}
    for path in HOSTILE:
        ask(server.address, path, extra=hostile)
    ask(server.address, extra={"DOCUMENT_URI": b"/fragment/\xff\xfe"})
    server.stop()
    lines = log.path.read_bytes().decode().rstrip("\n").split("\n")
    assert len(lines) == len(HOSTILE) + 1, lines
    assert not any(mark in line for line in lines for mark in "\u202e\x1b\x00")
    for path, line in zip(HOSTILE, lines):
        if form == "json":
            row = json.loads(line)
            assert row["path"] == path and row["client"] == hostile["REMOTE_ADDR"]
            assert "request_id" not in row and row["status"] in (200, 400)
        elif form == "logfmt":
            assert len(re.findall(r'(?:^| )status=(\d+)(?= |$)', re.sub(r'"(?:[^"\\]|\\.)*"', "q", line))) == 1
        else:
            assert re.fullmatch(r'\S+ \S+ "\S+" - (200|400)', line), line


# Writing it.


def test_off(daemon, tmp, name):
    server = daemon()
    ask(server.address, f"/fragment/{name}")
    server.stop()
    assert "outcome" not in server.log() and not list(tmp.glob("*.log.*"))


def test_sampling(daemon, api, log, name):
    """Failures are in it even if nothing else is."""
    server = daemon(extra=log.option() + 'access_log_sample = "0"')
    api.answer(f"{name}-bad", status=500)
    for _ in range(50):
        ask(server.address, f"/fragment/{name}")
    ask(server.address, f"/fragment/{name}-bad")
    server.stop()
    assert [row["status"] for row in log.rows()] == [502]


def test_it_is_opened_again(daemon, log, name):
    server = daemon(extra=log.option())
    ask(server.address, f"/fragment/{name}-1")
    old = log.path.rename(log.path.with_suffix(".1"))
    server.signal(signal.SIGUSR2)
    server.wait_log(f"access_log: opened {log.path} again")
    assert "ignoring SIGUSR2" not in server.log()
    ask(server.address, f"/fragment/{name}-2")
    log.wait(key=f"{name}-2")
    assert [row["key"] for row in log.rows()] == [f"{name}-2"]
    assert [row["key"] for row in Log(old).rows()] == [f"{name}-1"]
    open_files = {os.readlink(place) for place in Path(f"/proc/{server.pid}/fd").iterdir()}
    assert str(log.path) in open_files and str(old) not in open_files


def test_it_is_opened_again_in_the_sandbox(daemon, log, name):
    server = daemon(extra=log.option() + 'sandbox = "yes"')
    assert ask(server.address, HEALTH).status == 200
    old = log.path.rename(log.path.with_suffix(".1"))
    server.signal(signal.SIGUSR2)
    server.wait_log(f"access_log: opened {log.path} again")
    ask(server.address, f"/fragment/{name}")
    log.wait(key=name)
    assert old.exists()


def test_workers_share_it(daemon, log, name):
    """Their lines do not mix, and each opens it again."""
    server = daemon(extra=log.option() + "workers = 2")
    count = scaled(400, least=100)
    for _ in range(2):
        connections = [Connection(server.address) for _ in range(8)]
        for number in range(count):
            connections[number % 8].request(f"/fragment/{name}")
        for connection in connections:
            connection.close()
        if log.path.with_suffix(".1").exists():
            break
        log.path.rename(log.path.with_suffix(".1"))
        server.signal(signal.SIGUSR2)
        wait_until(lambda: server.log().count(f"access_log: opened {log.path} again") == 2, "both workers")
    server.stop()
    rows = [Log(log.path.with_suffix(".1")).rows(), log.rows()]
    assert [sum(row.get("key") == name for row in half) for half in rows] == [count, count]


def test_a_reload_changes_it(daemon, tmp, log, name):
    """The place, the format and the slow log; a place that can't be used changes nothing."""
    before, place = "[{key}] before", Log(tmp / "other.log")
    place.server = server = daemon(extra=log.option(before))
    text = server.config_path.read_text("utf-8")

    def reload(old: str, new: str, said: str) -> None:
        nonlocal text
        assert old in text
        seen = server.log().count(said)
        server.config_path.write_text(text.replace(old, new), "utf-8")
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log().count(said) > seen, said)
        text = text.replace(old, new)

    ask(server.address, f"/fragment/{name}")
    reload(log.option(before), log.option("[{key}] after"), "reloaded ")
    ask(server.address, f"/fragment/{name}")
    reload(log.option("[{key}] after"), place.option() + 'slow = "100ms" log_format = "json"', "reloaded ")
    both = f"[{name}] before\n[{name}] after\n"
    wait_until(lambda: log.path.read_text("utf-8") == both, "both lines")
    ask(server.address, f"/fragment/{name}")
    place.wait(key=name)
    reload(str(place.path), f"{tmp}/none/log", "can't use the logs of ")
    assert json.loads(server.log().splitlines()[-1])["level"] == "error"
    ask(server.address, f"/fragment/{name}-2")
    place.wait(key=f"{name}-2")
    text = text.replace(f"{tmp}/none/log", str(place.path))
    reload("access_log = ", "#", "reloaded ")
    ask(server.address, f"/fragment/{name}-3")
    server.stop()
    assert [row["key"] for row in place.rows()] == [name, f"{name}-2"]


@pytest.mark.parametrize("workers", [1, 2])
def test_it_can_not_be_opened(tmp, workers):
    """It does not start, and none of its workers tries again and again."""
    server = Workerless(tmp, f'access_log = "file:{tmp}/none/log" workers = {workers}\n'
                             'source "s" { type = "simulated" }\nfragment "a" { source = "s" }\n')
    server.spawn()
    try:
        assert server.wait() == 1
        assert f"error access_log: can't open {tmp}/none/log: No such file" in server.log()
    finally:
        server.kill()


def flood(server: Workerless, count: int) -> None:
    with Connection(server.address) as connection:
        for _ in range(count):
            assert connection.request(HEALTH).status == 200


def test_a_full_disk(daemon):
    """Requests are answered, lines are counted."""
    server = daemon(extra='access_log = "file:/dev/full"')
    flood(server, 700)
    server.wait_log("warning access_log: can't write to /dev/full: No space left on device; lines dropped")
    server.wait_counter("access_log_dropped", 1)
    flood(server, 10)


def test_a_pipe_that_nobody_reads(daemon, log):
    """What fits is kept; what does not is counted; and it goes on when somebody reads."""
    os.mkfifo(log.path)
    reader = os.open(log.path, os.O_RDONLY | os.O_NONBLOCK)
    server = daemon(extra=log.option())
    flood(server, 1500)
    dropped = server.counter("access_log_dropped")
    assert 100 < dropped < 1400
    text = b""

    def read() -> bool:
        nonlocal text
        try:
            text += os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return text.count(b"\n") >= 1500 - dropped

    wait_until(read, "all lines that were not dropped")
    server.wait_log(f"access_log: can't write to {log.path}: its reader is too slow; lines dropped so far: ")
    flood(server, 10)
    wait_until(lambda: read() and text.count(HEALTH.encode()) >= 1510 - dropped, "lines of later requests")
    assert server.counter("access_log_dropped") == dropped + 1  # the first reading itself
    assert all(json.loads(line)["status"] == 200 for line in text.splitlines())
    os.close(reader)


def test_stderr(daemon, name):
    server = daemon(extra='access_log = "stderr" access_log_format = "[{key}] {outcome}"')
    ask(server.address, f"/fragment/{name}")
    server.wait_log(f"[{name}] miss\n")


def test_many(daemon, log, name):
    """Under load each request has its line, whole."""
    server, count = daemon(extra=log.option()), scaled(3000, least=300)
    with Connection(server.address) as connection:
        for _ in range(count):
            connection.request(f"/fragment/{name}")
    server.stop()
    rows = [row for row in log.rows() if row.get("key") == name]
    assert len(rows) == count and rows[0]["outcome"] == "miss"
    assert {row["outcome"] for row in rows[1:]} == {"hit"}


# The slow log.


def slow_line(server: Workerless, key: str) -> Dict[str, float]:
    """The seconds of each phase in the line about that key, the total as "took", and the rest."""
    pattern = rf"warning slow: {re.escape(key)} took ([\d.]+ m?s): (.*) \(source (.*)\)"
    found = wait_until(lambda: re.search(pattern, server.log()), f"a slow line about {key}")
    times = {"took": found.group(1)}
    for part in found.group(2).split(", "):
        name, number, unit = re.fullmatch(r"(.*) ([\d.]+) (m?s)", part).groups()
        times[name] = f"{number} {unit}"
    seconds = {name: float(text.split()[0]) / (1000 if text.endswith("ms") else 1)
               for name, text in times.items()}
    parts = sum(value for name, value in seconds.items() if name != "took")
    assert abs(parts - seconds["took"]) < 0.05 * len(seconds) + 0.05, found.group(0)
    assert seconds["took"] >= SLOW_S - 0.05, found.group(0)
    return {**seconds, "rest": found.group(3)}


def check_slow(line: Dict, phase: str, rest: str) -> None:
    assert line[phase] >= SLOW_S - 0.05 and line[phase] > line["took"] / 2, line
    assert re.fullmatch(rest, line["rest"]), line


@pytest.fixture
def slow(daemon, api, redis):
    """slow(extra) starts a daemon that logs what takes longer than half of SLOW_S."""
    def start(extra: str = "", **options) -> Workerless:
        extra = f'slow = "{int(SLOW_S * 500)}ms" log_format = "text"\n' + extra
        return daemon(extra=extra.format(url=api.url), **{"redis": redis.url, **options})

    return start


def test_slow_redis(slow, redis, name):
    server = slow("cache {{ redis_timeout = \"30s\" }}")
    ask(server.address, f"/fragment/{name}-first")
    with Connection(server.address) as connection:
        redis.pause()
        connection.send_raw(request(f"/fragment/{name}"))
        time.sleep(SLOW_S)
        redis.resume()
        connection.response()
    check_slow(slow_line(server, name), "Redis lookup", "api, 1 request waited")
    assert f"slow: {name}-first" not in server.log()


def test_slow_lease(slow, daemon, api, redis, name):
    other, server = daemon(redis=redis.url), slow()
    api.hold(name)
    with Connection(other.address) as first, Connection(server.address) as second:
        first.send_raw(request(f"/fragment/{name}"))
        api.wait_calls(name, 1)
        second.send_raw(request(f"/fragment/{name}") + request(f"/fragment/{name}", 2))
        server.wait_counter("parked", 2)
        time.sleep(SLOW_S)
        api.release(name)
        first.response()
        second.response(2)
    check_slow(slow_line(server, name), "lease wait", "api, 2 requests waited")


def test_slow_queue(slow, api, name):
    server = slow('source "one" {{ type = "http" url = "{url}/{{name}}" connections = 1 }}\n'
                  'fragment "one/*" {{ source = "one" }}', redis="")
    api.hold(f"one/{name}-1")
    with Connection(server.address) as connection:
        connection.send_raw(request(f"/fragment/one/{name}-1", 1))
        api.wait_calls(f"one/{name}-1", 1)
        connection.send_raw(request(f"/fragment/one/{name}-2", 2))
        server.wait_counter("parked", 2)
        time.sleep(SLOW_S)
        api.release(f"one/{name}-1")
        connection.response(2)
    check_slow(slow_line(server, f"one/{name}-2"), "queue", "one, 1 request waited")
    check_slow(slow_line(server, f"one/{name}-1"), "first byte", "one, 1 request waited")


def test_slow_connect(slow, name):
    """TLS is part of it."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        server = slow(f'source "deaf" {{{{ type = "http" url = "https://127.0.0.1:{deaf.getsockname()[1]}/" '
                      f'timeout = "{int(SLOW_S * 1000)}ms" }}}}\nfragment "deaf" {{{{ source = "deaf" }}}}')
        assert ask(server.address, "/fragment/deaf").status == 504
        check_slow(slow_line(server, "deaf"), "connect", "deaf, 1 request waited, timed_out")


def test_slow_first_byte_and_body(slow, api, name):
    server = slow()
    api.answer(f"{name}-body", body="x" * 100, cut=10, stall=True)
    api.hold(f"{name}-first", f"{name}-body")
    with Connection(server.address) as connection:
        connection.send_raw(request(f"/fragment/{name}-first", 1) + request(f"/fragment/{name}-body", 2))
        api.wait_calls(None, 2)
        time.sleep(SLOW_S)
        api.release_all()
        assert connection.response(1).status == 200 and connection.response(2).status == 502
    check_slow(slow_line(server, f"{name}-first"), "first byte", "api, 1 request waited")
    check_slow(slow_line(server, f"{name}-body"), "body", "api, 1 request waited, failed")


def test_slow_redirect(slow, api, name):
    server = slow()
    api.answer(name, status=302, headers={"Location": f"/{name}-2"}, delay=SLOW_S)
    assert ask(server.address, f"/fragment/{name}").status == 200
    check_slow(slow_line(server, name), "earlier attempts", "api, 1 request waited")


def test_slow_source_of_another_type(slow):
    server = slow(f'source "s" {{{{ type = "simulated" delay = "{int(SLOW_S * 1000)}ms" }}}}\n'
                  'fragment "s" {{ source = "s" }}')
    assert ask(server.address, "/fragment/s").status == 200
    check_slow(slow_line(server, "s"), "source", "s, 1 request waited")


def test_slow_is_in_the_access_log(daemon, api, log, name):
    """Queued, and then made: the request that waited has both times."""
    server = daemon(extra=log.option() + f'source "one" {{ type = "http" url = "{api.url}/{{name}}" '
                    'connections = 1 }\nfragment "one/*" { source = "one" }')
    api.hold(f"one/{name}-1")
    with Connection(server.address) as connection:
        connection.send_raw(request(f"/fragment/one/{name}-1", 1))
        api.wait_calls(f"one/{name}-1", 1)
        connection.send_raw(request(f"/fragment/one/{name}-2", 2))
        server.wait_counter("parked", 2)
        time.sleep(SLOW_S)
        api.release(f"one/{name}-1")
        connection.response(2)
    row = log.wait(key=f"one/{name}-2")
    assert row["queued"] >= SLOW_S - 0.05 and row["source_time"] < row["parked"]
    row = log.wait(key=f"one/{name}-1")
    assert row["queued"] == 0 and row["source_time"] >= SLOW_S - 0.05


# The formats of the log.


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_log_format(daemon, api, form, name):
    """Every line has all fields."""
    server = daemon(extra=f'log_format = "{form}"', args=["-v"])
    api.answer(f'{name}"x\\', status=500)
    ask(server.address, f'/fragment/{name}"x\\')
    ask(server.address, f"/fragment/{name}\nlevel=error")
    server.stop()
    lines = server.log().splitlines()
    assert len(lines) > 10
    for line in lines:
        if form == "json":
            row = json.loads(line)
            assert list(row) == ["time", "level", "pid", "area", "message"]
        else:
            row = re.fullmatch(r'time=\S+ level=(?P<level>\w+) pid=\d+ area=(?P<area>\w+) '
                               r'message="(?P<message>(?:[^"\\]|\\.)*)"', line).groupdict()
        assert row["level"] in ("error", "warning", "info", "debug") and row["message"]
    assert any("workerless" in line and "fragments: 1" in line for line in lines)
