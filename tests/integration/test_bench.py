"""The bench's own programs: they count correctly, and notice errors. And make bench as a whole."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

import bench_programs  # noqa: E402
from bench_programs import (NullResponder, Parked, Streams, failures, latency,  # noqa: E402
                            load)
from harness.process import Port  # noqa: E402
from harness.servers import Redis, Workerless, wrapper_command  # noqa: E402
from harness.wait import DEADLINE, SLOWNESS, scaled, wait_until  # noqa: E402

HEAD = b"Content-Type: text/html\r\n\r\n"


def record(kind: int, number: int, content: bytes) -> bytes:
    return bytes((1, kind, number >> 8, number & 255)) + len(content).to_bytes(2, "big") + \
        b"\0\0" + content


END = b"\0" * 8


@pytest.fixture
def fake(tmp):
    """fake(*answers) is the path of a socket that takes one connection and gives the i-th request
    the i-th answer (raw bytes). After the last one it waits for the end of the connection, or with
    then_close=True ends it."""
    listeners = []

    def start(*answers: bytes, then_close: bool = False) -> str:
        path = str(tmp / f"fake-{len(listeners)}")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        listeners.append(listener)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(DEADLINE * SLOWNESS)
                    for answer in answers:
                        connection.recv(65536)
                        connection.sendall(answer)
                    if not then_close:
                        connection.recv(65536)
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        return path

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize("connections, in_flight, busy", [
    (1, 1, False), (16, 1, False), (16, 1, True), (4, 32, False), (4, 32, True), (2, 300, False)])
def test_all_requests_are_answered_and_counted(tmp, run, connections, in_flight, busy):
    null = run(NullResponder(tmp, HEAD + b"x" * 37))
    count = scaled(20000, 2000)
    result = load(null.address, c=connections, m=in_flight, n=count, busy=busy)
    assert result["requests"] == result["asked"] == count
    assert failures(result) == 0
    assert result["body_bytes"] == 37
    assert result["answer_bytes"] == len(HEAD) + 37
    latency = result["latency_us"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]


@pytest.mark.parametrize("size", [0, 65501, 65502, 300000])
def test_answers_of_any_size(tmp, run, size):
    null = run(NullResponder(tmp, body_bytes=size))
    result = load(null.address, c=2, m=4, n=200)
    assert (result["requests"], failures(result), result["body_bytes"]) == (200, 0, size)


def test_a_time_is_measured(tmp, run):
    null = run(NullResponder(tmp))
    result = load(null.address, d=0.2, w=0.1)
    assert failures(result) == 0
    assert 0 < result["requests"] < result["asked"]
    assert result["seconds"] >= 0.2


def test_the_answer_is_saved(tmp, run):
    null = run(NullResponder(tmp, HEAD + b"<b>it</b>"))
    load(null.address, c=1, n=1, o=tmp / "saved")
    assert (tmp / "saved").read_bytes() == HEAD + b"<b>it</b>"


GOOD = record(6, 1, HEAD + b"body") + record(6, 1, b"") + record(3, 1, END)
OTHER_HEAD = record(6, 1, b"Status: 200 OK\r\nAge: 1\r\n\r\nbody") + record(3, 1, END)


def test_heads_may_differ_and_records_be_cut_anywhere(fake):
    in_pieces = b"".join(record(6, 1, bytes((byte,))) for byte in HEAD + b"body") + \
        record(3, 1, END)
    result = load(fake(GOOD, OTHER_HEAD, in_pieces, GOOD), c=1, n=4)
    assert (result["requests"], failures(result)) == (4, 0)


@pytest.mark.parametrize("bad, kind", [
    (record(6, 1, b"Status: 503 Busy\r\n\r\nbody") + record(3, 1, END), "bad_status"),
    (record(6, 1, b"Age: 1\r\nstatus:404\r\n\r\nbody") + record(3, 1, END), "bad_status"),
    (record(6, 1, b"no head") + record(3, 1, END), "bad_status"),
    (record(3, 1, END), "bad_status"),
    (record(6, 1, HEAD + b"bod") + record(3, 1, END), "bad_body"),
    (record(6, 1, HEAD + b"bodY") + record(3, 1, END), "bad_body"),
    (record(3, 1, b"\0\0\0\0\2\0\0\0"), "bad_record"),
    (record(3, 1, b""), "bad_record"),
])
def test_a_bad_answer_is_counted_and_the_rest_goes_on(fake, bad, kind):
    result = load(fake(GOOD, bad, GOOD), c=1, n=3)
    assert result["requests"] == 2
    assert {name: count for name, count in result["failures"].items() if count} == {kind: 1}


@pytest.mark.parametrize("bad", [
    record(6, 2, HEAD), record(6, 0, HEAD), record(7, 1, b"oops"), record(99, 1, b""),
    b"\2" + GOOD[1:], record(3, 1, END) + record(3, 1, END)])
def test_what_is_no_answer_ends_the_connection(fake, bad):
    result = load(fake(GOOD, bad, GOOD), c=1, n=3)
    assert result["requests"] == 1
    assert result["failures"]["bad_record"] == 1
    assert failures(result) == 2


@pytest.mark.parametrize("cut", [b"", GOOD[:5], GOOD[:20]])
def test_a_lost_connection_is_counted(fake, cut):
    result = load(fake(GOOD, cut, then_close=True), c=1, n=3)
    assert result["requests"] == 1
    assert {name: count for name, count in result["failures"].items() if count} == {"lost": 1}


def test_answered_requests_are_not_parked(tmp, run):
    null = run(NullResponder(tmp))
    with Parked(null.address, c=3, m=5) as parked:
        pass
    assert (parked.result["asked"], parked.result["parked"]) == (15, 0)


def test_parked_requests(fake):
    result = record(10, 0, b"")
    with Parked(fake(result), c=1, m=3) as parked:
        pass
    assert (parked.result["asked"], parked.result["parked"]) == (3, 3)


# Released at once, and one by one.

NEVER = """
cache {{ redis = "{redis}" }}
source "never" {{ type = "simulated"  delay = "10m" }}
fragment "*" {{ source = "never"  ttl = "60s"  stream = "yes" }}
"""


def only_failures(result):
    return {name: count for name, count in result["failures"].items() if count}


def test_all_that_is_parked_is_released(tmp, run):
    redis = run(Redis(tmp))
    daemon = run(Workerless(tmp, NEVER.format(redis=redis.url)))
    with Parked(daemon.address, mode="release", c=3, m=50, u="/fragment/a", K="worker:a",
                r=f"unix:{redis.address}") as parked:
        wait_until(lambda: redis.keys() == ["lease:{worker:a}"], "the lease")
    assert parked.result["requests"] == parked.result["asked"] == 150
    assert failures(parked.result) == 0
    assert 0 < parked.result["latency_us"]["p50"] <= parked.result["seconds"] * 1e6


def test_what_is_answered_before_the_release_is_no_success(tmp, run):
    redis = run(Redis(tmp))
    null = run(NullResponder(tmp))
    with Parked(null.address, mode="release", c=3, m=50, K="a",
                r=f"unix:{redis.address}") as parked:
        pass
    assert parked.result["requests"] == 0
    assert only_failures(parked.result) == {"early": 150}


def test_the_time_from_a_value_to_the_answer(tmp, run):
    redis = run(Redis(tmp))
    daemon = run(Workerless(tmp, NEVER.format(redis=redis.url)))
    with Parked(daemon.address, name="latency", mode="written", n=20, u="/fragment/b-%",
                k="worker:b-", r=f"unix:{redis.address}") as parked:
        wait_until(lambda: len(redis.keys()) == 20, "the leases")
    assert (parked.result["asked"], failures(parked.result)) == (20, 0)
    waited = parked.result["waited_us"]
    assert 0 < waited["p50"] <= waited["p99"] <= waited["max"]


def test_a_value_is_not_waited_for_if_the_answers_are_there(tmp, run):
    redis = run(Redis(tmp))
    null = run(NullResponder(tmp))
    with Parked(null.address, name="latency", mode="written", n=20, k="b-",
                r=f"unix:{redis.address}") as parked:
        pass
    assert only_failures(parked.result) == {"early": 20}


# Streams.

STREAMS = "/fragments?name=a&name=b&name=c"


@pytest.fixture
def streaming(tmp, run):
    """A Redis, and a daemon whose fragments come only from there."""
    redis = run(Redis(tmp))
    return redis, run(Workerless(tmp, 'shutdown_timeout = "0s"' + NEVER.format(redis=redis.url)))


@pytest.mark.parametrize("connections, in_flight", [(15, 1), (3, 5)])
def test_streams_are_told(streaming, connections, in_flight):
    redis, daemon = streaming
    with Streams(daemon.address, c=connections, m=in_flight, u=STREAMS, K="worker:",
                 r=f"unix:{redis.address}") as streams:
        wait_until(lambda: len(redis.keys()) == 3, "the leases")
        for name in "ca":
            result = streams.release(name)
            assert (result["asked"], result["requests"], failures(result)) == (15, 15, 0)
            assert 0 < result["latency_us"]["p50"] <= result["latency_us"]["max"]


def test_events_that_are_not_of_the_release_are_counted(streaming):
    redis, daemon = streaming
    with Streams(daemon.address, c=2, u=STREAMS, K="worker:",
                 r=f"unix:{redis.address}") as streams:
        wait_until(lambda: len(redis.keys()) == 3, "the leases")
        redis.command("SET", "worker:a", "by somebody else")
        result = streams.release("b")
        assert result["failures"]["bad"] >= 1


def test_streams_that_end_are_none(tmp, run):
    null = run(NullResponder(tmp))
    with pytest.raises(AssertionError, match="failed"):
        with Streams(null.address, c=2, u=STREAMS):
            pass


# Behind a source.

API = """
cache {{ redis = "{redis}" }}
source "api" {{ type = "http"  url = "http://127.0.0.1:{port}/{{name}}" }}
fragment "*" {{ source = "api"  ttl = "60s" }}
"""


def test_the_time_of_the_source_is_not_counted(tmp, run):
    redis, port = run(Redis(tmp)), Port()
    servers = [run(Workerless(tmp, API.format(redis=redis.url, port=port.number)))
               for _ in range(2)]
    source_us = 500000 * max(1, SLOWNESS)
    result = latency(servers[0].address, p=f"unix:{servers[1].address}", n=10, i=1000,
                     d=int(source_us), l=f"tcp:127.0.0.1:{port.number}")
    assert (result["asked"], result["calls"], failures(result)) == (10, 10, 0)
    for figure in ("before_us", "waited_us", "waited_at_b_us"):
        assert 0 < result[figure]["p50"] < source_us


def test_answers_that_are_not_of_the_source_are_counted(tmp, run):
    port, nobody = Port(), Port()
    daemon = run(Workerless(tmp, API.format(redis="", port=nobody.number)))
    result = latency(daemon.address, n=10, l=f"tcp:127.0.0.1:{port.number}")
    assert (result["calls"], only_failures(result)) == (0, {"bad": 10})
    null = run(NullResponder(tmp))
    result = latency(null.address, n=10, l=f"tcp:127.0.0.1:{port.number}")
    assert (result["calls"], only_failures(result)) == (0, {"early": 10})


def test_calls_for_the_same_are_counted(tmp, run):
    """Two daemons that share no Redis."""
    port = Port()
    servers = [run(Workerless(tmp, API.format(redis="", port=port.number))) for _ in range(2)]
    result = latency(servers[0].address, p=f"unix:{servers[1].address}", n=10,
                     l=f"tcp:127.0.0.1:{port.number}")
    assert result["calls"] == 20
    assert result["failures"]["repeated_calls"] == 10


@pytest.mark.skipif(bool(wrapper_command()), reason="not for its figures, and slow under a wrapper")
def test_make_bench(tmp):
    script = Path(bench_programs.__file__).with_name("run.py")
    done = subprocess.run([sys.executable, str(script), "--quick"], cwd=tmp, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=2.5 * DEADLINE * SLOWNESS)
    text = done.stdout.decode()
    assert done.returncode == 0, text
    for row in ("workerless, from memory", "workerless, from Redis", "released by one SET",
                "after the source, with Redis", "parked at B: from before a client's SET",
                "1,000 connections x 1 ", " results of 10,240 bytes",
                "1,000 connections x 1 stream", "with a slow reader among them"):
        assert row in text


def test_make_bench_rendering(tmp):
    """Whoever else is installed makes the same HTML."""
    script = Path(bench_programs.__file__).with_name("rendering.py")
    done = subprocess.run([sys.executable, str(script), "--rounds", "1", "--seconds", "0.01"], cwd=tmp,
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=DEADLINE * SLOWNESS)
    text = done.stdout.decode()
    assert done.returncode == 0, text
    assert "bytes of JSON by a template of 60 lines: " in text and "workerless " in text
