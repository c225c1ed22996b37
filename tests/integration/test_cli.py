"""The commands that talk to a daemon, and the exit status of each."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness import fcgi
from harness.cli import cli, cli_for, command_line, commands, help_of
from harness.config import api_config
from harness.fcgi import Connection, ask
from harness.servers import Workerless, workerless_binary, wrapper_command
from harness.wait import SLOWNESS, wait_until

OK, FAILED, USAGE, REJECTED, UNAVAILABLE, TIMED_OUT = range(6)
OPEN = 'purge = {"10.1.0.0/16", "127.0.0.1"}\n'
INPUTS = """
fragment "by/*" {
    source = "api"  ttl = "60s"
    vary = {"query:lang", "cookie:session", "header:x-plan"}
}
"""
NAMED = ["get /fragment/a", "purge a", "status", "status --json", "explain a", "drain"]


# --- the command line itself


def test_help():
    names = commands()
    assert len(names) > 6 and names[0] == "run"
    for name in names:
        text = help_of(name)
        assert text.startswith(f"Usage: workerless {name} ") and "--help" in text
        example = text.partition("Example:\n\n    ")[2].split("\n")[0]
        assert example.startswith("workerless " + name)
        assert all(len(line) <= 90 for line in text.splitlines()), name
    for number, meaning in enumerate(["success", "failure", "wrong usage", "4xx", "5xx", "in time"]):
        assert re.search(rf"\b{number} [^;]*{meaning}", help_of().replace("\n", " "))


@pytest.mark.parametrize("words, message", [
    (["stauts"], 'there is no command "stauts"; did you mean status?'),
    (["status", "--jsno"], "status has no option --jsno; did you mean --json?"),
    (["status", "more"], 'unexpected argument "more"'),
    (["get"], "get needs PATH"),
    (["get", "/a", "--timeout", "5"], "a bare number"),
    (["get", "/a", "--socket", "here"], "write unix:PATH"),
    (["get", "/a", "--socket", "fd:3"], "write unix:PATH"),
    (["purge"], "purge needs NAME..."),
    (["explain", "a", "b"], 'unexpected argument "b"'),
    (["drain", "--watch"], "drain has no option --watch"),
])
def test_wrong_usage(words, message):
    done = cli(*words)
    assert done.returncode == USAGE and done.stdout == ""
    assert done.stderr.startswith("workerless: ") and message in done.stderr


def test_short_options_are_as_they_were(tmp):
    config = tmp / "conf"
    config.write_text('source "s" { type = "simulated" delay = "0" }\n'
                      'fragment "*" { source = "s" }\n')
    for words in (["-t", "-c", str(config)], ["run", "--test", f"--config={config}"],
                  ["check", "-c", str(config)], ["-c", str(config), "check"]):
        done = cli(*words)
        assert (done.returncode, done.stdout, done.stderr) == (OK, "", f"{config}: ok\n")
    assert cli("-V").stdout == cli("--version").stdout
    assert cli("-h").stdout == cli("--help").stdout


def test_check(tmp):
    config = tmp / "conf"
    config.write_text('source "s" { type = "simulated" delay = "0" }\n'
                      'fragment "*" { source = "s" ttl = "x" }\n')
    done = cli("check", "-c", str(config))
    assert done.returncode == FAILED and done.stderr.startswith(f"{config}:2: ")
    assert cli("check", "-c", f"{tmp}/none").returncode == FAILED


# --- get


def test_get(daemon, api, name):
    server = daemon(extra=INPUTS)
    done = cli_for(server, "get", f"/fragment/{name}")
    assert (done.returncode, done.stderr) == (OK, "") and f"result for {name}" in done.stdout
    done = cli_for(server, "get", "-i", f"/fragment/{name}")
    head, _, body = done.stdout.partition("\n\n")
    assert head.startswith("Status: 200 OK\nContent-Type: text/html") and "\r" not in head
    assert "workerless; hit" in head and f"result for {name}" in body
    api.answer("big", body="<p>" + "x" * 900_000, type="text/html")
    assert len(cli_for(server, "get", "/fragment/big").stdout) == 900_003
    assert cli_for(server, "get", "/workerless/health").stdout == "ok\n"
    assert "answers_2xx" in cli_for(server, "get", "/workerless/counters").stdout


def test_get_sends_what_is_typed(daemon):
    server = daemon(extra=INPUTS)
    done = cli_for(server, "get", "/fragment/by/a%20b?lang=d%65&x=1", "-H", "Cookie: session=5",
                   "--header", "X-Plan: pro")
    assert done.returncode == OK
    with Connection(server.address) as connection:
        response = connection.request("/fragment/by/a b", query="lang=de", headers={
            "Cookie": "session=5", "X-Plan": "pro"})
        assert "hit" in response.headers["cache-status"]


def test_get_statuses(daemon, api):
    server = daemon(extra='fragment "slow" { source = "api" hold = "100ms" }')
    api.answer("away", status=404)
    api.answer("broken", status=500)
    api.hold("slow")
    for path, status, word in (("/fragment/away", REJECTED, "404"),
                               ("/nothing", REJECTED, "404"),
                               ("/fragment/broken", UNAVAILABLE, "502"),
                               ("/fragment/slow", OK, "202: there is no result yet")):
        done = cli_for(server, "get", path)
        assert done.returncode == status and f"workerless: status {word}" in done.stderr
        assert done.stdout


def test_get_refuses_what_is_no_request(daemon):
    server = daemon()
    for words, message in ((["/a", "-H", "no header"], "'NAME: VALUE'"),
                           (["fragment/a"], "begins with /"), (["/a%g"], "hexadecimal")):
        done = cli_for(server, "get", *words)
        assert done.returncode == USAGE and message in done.stderr


def test_get_streams(daemon, api):
    """Each fragment is written as soon as it arrives."""
    server = daemon()
    api.hold("b")
    with subprocess.Popen(command_line("get", "/fragments?name=a&name=b", "-c",
                                       str(server.config_path)),
                          stdout=subprocess.PIPE, text=True) as client:
        lines = iter(client.stdout.readline, "")
        assert any("result for a" in line for line in lines)
        api.wait_calls("b", 1)
        assert client.poll() is None
        api.release("b")
        assert any("result for b" in line for line in lines)
        client.stdout.read()
        assert client.wait() == OK


def test_get_into_a_closed_pipe(daemon, api):
    server = daemon()
    api.hold("b")
    with subprocess.Popen(command_line("get", "/fragments?name=a&name=b", "-c",
                                       str(server.config_path)),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        client.stdout.readline()
        client.stdout.close()
        api.release("b")
        assert client.wait() == -signal.SIGPIPE and client.stderr.read() == b""


# --- purge


def test_purge(daemon, redis, api):
    server = daemon(extra=OPEN, redis=redis.url)
    server.wait_log("redis: connected")
    for path in ("a", "b", "user/1", "user/2", "c*"):
        assert cli_for(server, "get", "/fragment/" + path).returncode == OK
    done = cli_for(server, "purge", "a", "/fragment/b", "user/*")
    assert (done.returncode, done.stderr) == (OK, "")
    assert done.stdout == "a: purged\nb: purged\n" \
        'user/*: purged all fragments whose names begin with "user/"\n'
    assert redis.keys() == ["worker:c*"]
    assert cli_for(server, "purge", "--soft", "--exact", "c*").stdout == "c*: made stale\n"
    assert redis.keys() == ["worker:c*"]
    done = cli_for(server, "purge", "a//b", "a")
    assert done.returncode == REJECTED and done.stdout == "a: purged\n"
    assert "a//b: no fragment can have this name" in done.stderr
    redis.stop()
    server.wait_log("continuing without it")
    done = cli_for(server, "purge", "a")
    assert done.returncode == UNAVAILABLE and "Redis is unavailable" in done.stderr


@pytest.mark.parametrize("words, option", [(["purge", "a"], "purge"), (["status"], "status"),
                                           (["explain", "a"], "status"), (["drain"], "status")])
def test_closed_by_default(tmp, run, api, words, option):
    config = f'listen = {{"unix:{tmp}/s"}}\n' + api_config(api)
    server = run(Workerless(tmp, config, listen="none", address=f"{tmp}/s"))
    done = cli_for(server, *words)
    assert done.returncode == FAILED and f'the option "{option}" is not set' in done.stderr
    assert f'{option} = {{"127.0.0.1"}}' in done.stderr
    assert cli_for(server, "get", "/workerless/status").returncode == REJECTED
    changed = tmp / "changed"
    changed.write_text(config + f'{option} = {{"127.0.0.1"}}\n')
    done = cli(*words, "-c", str(changed))
    assert done.returncode == FAILED and "does not list 127.0.0.1" in done.stderr
    assert "reload the daemon if its config has been changed" in done.stderr
    done = cli(*words, "--socket", f"unix:{tmp}/s", "-c", str(changed))
    assert done.returncode == FAILED and "does not list 127.0.0.1" in done.stderr


# --- status


def test_status(daemon, api):
    server = daemon()
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a"))
        api.wait_calls("a", 1)
        done = cli_for(server, "status")
        assert done.returncode == OK and done.stdout.startswith("workerless ")
        assert "parked      1 of" in done.stdout and "generating  " not in done.stdout
        assert re.search(r"generating +a  api", cli_for(server, "status", "--full").stdout)
        status = json.loads(cli_for(server, "status", "--json").stdout)
        assert status["parked"]["now"] == 1 and status["pid"] == server.pid
        status = json.loads(cli_for(server, "status", "--full", "--json").stdout)
        assert [row["key"] for row in status["in_progress"]] == ["a"]
        api.release("a")
        assert connection.response(1).status == 200


# --- explain


def explain(server: Workerless, *words: str) -> dict:
    done = cli_for(server, "explain", "--json", *words)
    assert done.returncode == OK and done.stderr == ""
    return json.loads(done.stdout)


def test_explain_a_result(daemon, redis):
    server = daemon(extra=INPUTS + 'fragment "kept/*" { source = "api" ttl = "1h" stale = "5m" '
                    'stale_error = "10m" }', redis=redis.url)
    server.wait_log("redis: connected")
    found = explain(server, "kept/1")
    assert found["pid"] == server.pid
    assert (found["name"], found["key"], found["pattern"]) == ("kept/1", "kept/1", "kept/*")
    assert found["source"]["name"] == "api" and found["source"]["breaker"] == "closed"
    assert found["redis_configured"] and found["redis_answered"] and found["inputs"] == []
    for member in ("memory", "redis", "lease", "not_stored"):
        assert found[member] is None, member
    assert found["redis_ttl_ms"] == -2 and found["flights"] == []

    with Connection(server.address) as connection:
        for status in ("miss", "hit"):
            assert status in connection.request("/fragment/kept/1").headers["cache-status"]
    wait_until(lambda: explain(server, "kept/1")["memory"], "the entry to be in memory")
    found = explain(server, "kept/1")
    for place in ("memory", "redis"):
        entry = found[place]
        assert (entry["kind"], entry["status"]) == ("result", 200)
        assert entry["type"] == "text/html; charset=utf-8" and entry["bytes"] > 10
        assert 0 <= entry["age_seconds"] < 60 and 3500 < entry["fresh_seconds"] <= 3600
        assert (entry["stale_seconds"], entry["stale_error_seconds"]) == (300, 600)
    assert 4_000_000 < found["redis_ttl_ms"] <= 4_200_000
    assert found["redis_bytes"] == redis.command("STRLEN", "worker:kept/1")
    text = cli_for(server, "explain", "/fragment/kept/1").stdout
    assert f"\nprocess     {server.pid}\n" in text
    assert text.startswith('fragment    kept/1, of section "kept/*"\nkey         kept/1\n')
    assert "redis       a result, " in text and "lease       none\n" in text
    assert ", may be served stale for 5m 0s, or for 10m 0s if the source fails\n" in text


def test_explain_a_variant(daemon, redis):
    server = daemon(extra=OPEN + INPUTS, redis=redis.url)
    server.wait_log("redis: connected")
    headers = ["-H", "Cookie: session=5", "-H", "X-Plan: pro"]
    assert cli_for(server, "get", "/fragment/by/x?lang=de", *headers).returncode == OK
    found = explain(server, "by/x?lang=de", *headers)
    assert found["inputs"] == ["query:lang", "cookie:session", "header:x-plan"]
    assert found["key"].startswith("by/x?lang=de&cookie:session=")
    assert found["redis"]["kind"] == "result"
    assert explain(server, "by/x?lang=de")["redis"] is None
    purged = cli_for(server, "purge", "by/x?lang=de", *headers)
    assert purged.returncode == OK and explain(server, "by/x?lang=de", *headers)["redis"] is None
    with Connection(server.address) as connection:
        response = connection.request("/workerless/explain/by/x", query="lang=de&json", headers={
            "Cookie": "session=5", "X-Plan": "pro"})
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert json.loads(response.text)["key"] == found["key"]
        head = connection.request("/workerless/explain/by/x", method="HEAD")
        assert head.status == 200 and head.body == b"" and int(head.headers["content-length"]) > 50


NEVER_STORED = """
fragment "unkept" { source = "api" ttl = "0" }
fragment "failing" { source = "api" negative = "1m" }
"""


def test_explain_why_not_stored(daemon, redis, api):
    server = daemon(extra=NEVER_STORED, redis=redis.url)
    server.wait_log("redis: connected")
    api.answer("private", body="x", headers={"Set-Cookie": "a=b"})
    api.answer("failing", status=500)

    def why(name: str) -> str:
        cli_for(server, "get", "/fragment/" + name)
        found = explain(server, name)["not_stored"]
        assert 0 <= found["seconds_ago"] < 60
        return found["why"]

    assert "its ttl is 0" in why("unkept")
    assert why("private") == "its source forbids sharing it: Set-Cookie"
    assert "answered 500" in why("failing")
    marker = explain(server, "private")["redis"]
    assert (marker["kind"], marker["why"]) == ("uncacheable", "Set-Cookie")
    assert re.search(r"a note that the source forbids sharing the result: Set-Cookie\n"
                     r" +made \S+ ago\n", cli_for(server, "explain", "private").stdout)
    failure = explain(server, "failing")["redis"]
    assert (failure["kind"], failure["status"]) == ("failure", 502)
    assert "a failure, status 502\n" in cli_for(server, "explain", "failing").stdout
    assert re.search(r"^not stored  .* ago: there was no result: ",
                     cli_for(server, "explain", "failing").stdout, re.MULTILINE)

    redis.command("CONFIG", "SET", "maxmemory", "1")
    cli_for(server, "get", "/fragment/full")
    wait_until(lambda: explain(server, "full")["not_stored"], "the reason to be noted")
    redis.command("CONFIG", "SET", "maxmemory", "0")


def test_explain_what_is_under_way(daemon, redis, api, run, tmp):
    first, second = (daemon(redis=redis.url) for _ in range(2))
    for server in (first, second):
        server.wait_log("redis: connected")
    api.hold("a")
    with Connection(first.address) as one, Connection(second.address) as other:
        one.send_raw(fcgi.request("/fragment/a", 1) + fcgi.request("/fragment/a", 2))
        api.wait_calls("a", 1)
        other.send_raw(fcgi.request("/fragment/a"))
        wait_until(lambda: [row["state"] for row in explain(second, "a")["flights"]] == ["waiting"],
                   "the other process to wait")
        found = explain(first, "a")
        flight, = found["flights"]
        assert (flight["state"], flight["waiters"], flight["alone"]) == ("generating", 2, False)
        assert found["source"]["running"] == 1
        assert 0 < found["lease"]["ttl_ms"] <= 5000
        assert (found["lease"]["host"], found["lease"]["pid"]) == (socket.gethostname(), first.pid)
        text = cli_for(first, "explain", "a").stdout
        assert re.search(r"^flight      generating, started .* ago, 2 waiting$", text, re.MULTILINE)
        assert f"\nlease       held by {socket.gethostname()}, process {first.pid}, ends in " in text
        api.release("a")
        for number in (1, 2):
            assert one.response(number).status == 200
        assert other.response(1).status == 200
    assert api.calls("a") == 1


def test_explain_what_others_have_written(daemon, redis):
    server = daemon(redis=redis.url)
    server.wait_log("redis: connected")
    redis.command("SET", "worker:plain", "<p>x", "PX", "60000")
    redis.command("RPUSH", "worker:list", "x")
    redis.command("SET", "worker:forever\x1b[2J", "<p>x")
    found = explain(server, "plain")
    assert found["redis"]["bytes"] == 4 and 0 < found["redis_ttl_ms"] <= 60000
    assert "not a string, so it is not used" in cli_for(server, "explain", "list").stdout
    done = cli_for(server, "explain", "forever%1b")
    assert done.returncode == REJECTED and "no fragment can have" in done.stderr
    redis.command("SET", "lease:{worker:plain}", "a token", "PX", "60000")
    assert "held by a process that does not say who it is, ends in " in \
        cli_for(server, "explain", "plain").stdout
    lease = explain(server, "plain")["lease"]
    assert (lease["host"], lease["pid"]) == ("", None) and lease["ttl_ms"] > 50000
    redis.pause()
    try:
        done = cli_for(server, "explain", "plain")
        assert "redis       cannot be asked" in done.stdout and done.returncode == OK
    finally:
        redis.resume()


def test_explain_without_redis(daemon):
    server = daemon()
    cli_for(server, "get", "/fragment/a")
    found = explain(server, "a")
    assert not found["redis_configured"] and not found["redis_answered"]
    assert found["memory"]["kind"] == "result" and found["redis"] is None
    assert "redis       none is configured\n" in cli_for(server, "explain", "a").stdout


def test_explain_what_there_is_not(tmp, daemon):
    server = daemon('source "s" { type = "simulated" delay = "0" }\n'
                    'fragment "only" { source = "s" }\n')
    done = cli_for(server, "explain", "other")
    assert done.returncode == REJECTED
    assert 'no fragment section of the config matches "other"' in done.stderr
    assert ask(server.address, "/workerless/explain/only", method="PURGE").status == 403
    assert ask(server.address, "/workerless/explain/", method="GET").status == 400
    assert ask(server.address, "/workerless/explain/only",
               extra={"REMOTE_ADDR": "192.0.2.1"}).status == 403


# --- drain


def test_drain(daemon, api):
    server = daemon()
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a"))
        api.wait_calls("a", 1)
        done = cli_for(server, "drain", "--wait", "100ms")
        assert done.returncode == TIMED_OUT and "has not ended within 0.1s" in done.stderr
        assert done.stdout == f"process {server.pid} drains\n"
        assert server.running
        api.release("a")
        assert connection.response(1).status == 200
    server.wait()
    done = cli_for(server, "drain")
    assert done.returncode == FAILED and "Is the daemon running" in done.stderr


def test_drain_waits_for_the_end(daemon):
    server = daemon()
    done = cli_for(server, "drain")
    assert (done.returncode, done.stderr) == (OK, "")
    assert done.stdout == f"process {server.pid} drains\nprocess {server.pid} has ended\n"
    assert not server.running


def test_drain_fast(daemon, api):
    server = daemon()
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a"))
        api.wait_calls("a", 1)
        assert cli_for(server, "drain", "--fast", "--wait", "0").returncode == OK
        assert connection.response(1).status == 202
    api.release("a")
    server.wait()


def test_drain_of_several_processes(daemon):
    """The supervisor gets the signal."""
    server = daemon(extra="workers = 2\n")
    wait_until(lambda: server.log().count("fragments: 1") >= 2, "both workers")
    done = cli_for(server, "drain")
    assert done.returncode == OK and f"process {server.pid} has ended" in done.stdout


def test_drain_leaves_other_programs_alone(tmp, run, daemon):
    """A daemon in a container has another process's number."""
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            body = json.dumps({"pid": other.pid, "uptime_seconds": 1}).encode()
            with Answering(tmp, response(body)) as server:
                done = cli("drain", "--socket", server.name)
            assert done.returncode == FAILED and "is not workerless" in done.stderr
            assert other.poll() is None
        finally:
            other.kill()


# --- a daemon that is not there, or not well


@pytest.mark.parametrize("words", NAMED)
def test_no_daemon(tmp, words):
    config = tmp / "conf"
    text = f'listen = {{"unix:{tmp}/none"}}\nstatus = {{"::1"}} purge = {{"::1"}}\n' \
           'source "s" { type = "simulated" delay = "0" }\nfragment "*" { source = "s" }\n'
    config.write_text(text)
    done = cli(*words.split(), "-c", str(config))
    assert done.returncode == FAILED and done.stdout == ""
    assert f"cannot connect to unix:{tmp}/none: No such file or directory. Is the daemon " \
        "running, and may you write to its socket?" in done.stderr
    config.write_text(text.replace(f"unix:{tmp}/none", "fd:3"))
    done = cli(*words.split(), "-c", str(config))
    assert done.returncode == FAILED and "name one with --socket" in done.stderr
    done = cli(*words.split(), "-c", f"{tmp}/no-config")
    assert done.returncode == FAILED and f"{tmp}/no-config" in done.stderr
    assert "--socket unix:PATH" in done.stderr


def test_the_first_address_that_works(tmp, daemon):
    server = daemon()
    config = tmp / "conf"
    config.write_text(server.config_path.read_text().replace(
        "listen = {", f'listen = {{"fd:9", "unix:{tmp}/none", '))
    assert cli("status", "-c", str(config)).returncode == OK


def test_tcp(daemon):
    server = daemon(listen="tcp")
    assert cli_for(server, "status").returncode == OK
    port = server.address[1]
    for address in (f"tcp:127.0.0.1:{port}", f"tcp:localhost:{port}", f"tcp:*:{port}"):
        done = cli("status", "--socket", address)
        assert done.returncode == OK and done.stderr == "", done.stderr
    done = cli("status", "--socket", "tcp:host.invalid:1")
    assert done.returncode == FAILED and "cannot connect to tcp:host.invalid:1" in done.stderr


def test_a_socket_that_is_not_permitted(tmp, daemon):
    server = daemon()
    os.chmod(server.socket_path, 0)
    options = {}
    if os.geteuid() == 0:
        binary = shutil.copy(workerless_binary(), tmp / "workerless")
        options = {"binary": str(binary), "user": 65534, "group": 65534, "extra_groups": []}
        for path in [Path(server.config_path), *Path(server.config_path).parents[:2]]:
            path.chmod(0o755)
    done = cli_for(server, "status", **options)
    assert done.returncode == FAILED
    assert f"cannot connect to unix:{server.socket_path}: Permission denied" in done.stderr


@pytest.mark.parametrize("words", NAMED)
def test_a_daemon_that_hangs(daemon, words):
    server = daemon(extra=OPEN)
    server.signal(signal.SIGSTOP)
    try:
        timeout = f"{int(200 * SLOWNESS)}ms"
        done = cli_for(server, *words.split(), "--timeout", timeout)
    finally:
        server.signal(signal.SIGCONT)
    assert ask(server.address, "/workerless/health").status == 200
    assert done.returncode == TIMED_OUT and done.stdout == ""
    assert f"the daemon at unix:{server.socket_path} sends nothing for" in done.stderr


class Answering:
    """A program that accepts connections at a unix socket, and sends the bytes on each."""

    def __init__(self, tmp, data: bytes) -> None:
        self.data = data
        self.path = f"{tmp}/answering"
        self.name = "unix:" + self.path
        self._socket = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> "Answering":
        self._socket.bind(self.path)
        self._socket.listen(5)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        try:
            while True:
                peer = self._socket.accept()[0]
                with peer:
                    peer.recv(65536)
                    peer.sendall(self.data)
        except OSError:
            pass


def record(kind: int, content: bytes, padding: int = 0) -> bytes:
    return fcgi.record(kind, 1, content, padding=padding)


def response(body: bytes, head: bytes = b"Status: 200 OK\r\n\r\n", end: bytes = bytes(8)) -> bytes:
    return record(fcgi.STDOUT, head + body) + record(fcgi.STDOUT, b"") + \
        record(fcgi.END_REQUEST, end)


BROKEN = {
    "nothing": (b"", "closed the connection"),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak FastCGI"),
    "zeros": (bytes(100), "does not speak FastCGI"),
    "half a record": (response(b"x")[:12], "closed the connection"),
    "no end": (response(b"x")[:-16], "closed the connection"),
    "no head": (response(b"", head=b""), "an empty response"),
    "a head without an end": (response(b"", head=b"Status: 200 OK\r\n"), "an empty response"),
    "no status": (response(b"x", head=b"Status: abc\r\n\r\n"), "a malformed response"),
    "overloaded": (response(b"x", end=b"\0\0\0\0\2\0\0\0"), "has rejected the request"),
    "a long head": (b"".join(record(fcgi.STDOUT, b"x" * 65535) for _ in range(3)), "too long"),
    "another request": (response(b"x").replace(b"\1\6\0\1", b"\1\6\0\2"), "an empty response"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_another_program_listens(tmp, case):
    data, message = BROKEN[case]
    with Answering(tmp, data) as server:
        for words in (["get", "/a"], ["status"], ["explain", "a"], ["purge", "a"], ["drain"]):
            done = cli(*words, "--socket", server.name)
            assert done.returncode == FAILED and message in done.stderr, words
            assert f"{server.name} " in done.stderr


@pytest.mark.parametrize("data", [
    response(b"x"), response(b"x", head=b"X: y\n\n"), response(b"x", head=b"Status: 200\n\n"),
    b"".join(record(fcgi.STDOUT, bytes([byte]), padding=7) for byte in b"A: b\r\n\r\nx")
    + record(fcgi.STDERR, b"noise") + record(fcgi.END_REQUEST, bytes(8)),
])
def test_other_servers_that_are_well(tmp, data):
    with Answering(tmp, data) as server:
        done = cli("get", "/a", "--socket", server.name)
        assert (done.returncode, done.stdout, done.stderr) == (OK, "x", "")


def test_drain_of_what_does_not_say_who_it_is(tmp):
    for body in (b"{}", b"no JSON", b'{"pid": -1}', b'{"pid": 1e99}', b'{"pid": "5"}'):
        with Answering(tmp, response(body)) as server:
            done = cli("drain", "--socket", server.name)
        os.unlink(server.path)
        assert done.returncode == FAILED and "does not say which process" in done.stderr


def test_wrapper_is_used():
    """So that valgrind sees the commands, too."""
    assert command_line("x")[:-2] == wrapper_command()
