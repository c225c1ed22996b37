"""GET /fragments through the front servers, as conf/ has them: each event reaches the client as
soon as it is ready."""

from __future__ import annotations

import socket
import struct
import time
import zlib
from contextlib import ExitStack

import pytest

from harness import fronts
from harness.config import api_config
from harness.events import HttpStream, beats, query
from harness.httpc import get
from harness.process import connect
from harness.wait import wait_until

FRONTS = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd, "haproxy": fronts.haproxy}

everywhere = pytest.mark.parametrize("name", FRONTS)


@everywhere
def test_each_at_its_moment(tmp, run, api, daemon, name):
    fronts.check_stream(run(FRONTS[name](tmp, daemon().socket_path)), api)


def test_spawned(tmp, run, api):
    fronts.check_stream(run(fronts.lighttpd_spawn(tmp, api_config(api))), api)


@everywhere
def test_nothing_is_held_back(tmp, run, api, daemon, name):
    """A fragment of a stream is not much longer on its way than one that is requested alone."""
    front = run(FRONTS[name](tmp, daemon().socket_path))
    names = [f"n{number}" for number in range(10)]
    begin = time.monotonic()
    for single in names:
        assert get(front.address, f"/fragment/single-{single}").status == 200
    alone = time.monotonic() - begin
    api.hold(*names)
    with HttpStream(front.address, "/fragments?" + query(names)) as stream:
        for each in names:
            api.wait_calls(each, 1)
        begin = time.monotonic()
        for count, each in enumerate(names, start=1):
            api.release(each)
            stream.wait(count)
        assert time.monotonic() - begin < 10 * alone


def test_nginx_with_gzip(tmp, run, api, daemon):
    """It compresses what has arrived, and passes that on."""
    front = fronts.nginx(tmp, daemon().socket_path)
    front.conf_path.write_text(front.conf_text.replace(
        "server_tokens off;", "gzip on; gzip_types text/event-stream; gzip_min_length 0;"), "utf-8")
    run(front)
    api.hold("a")
    for accept in ("text/event-stream", "text/html"):
        request = (f"GET /fragments?name=a&name=b HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}"
                   "\r\nAccept-Encoding: gzip\r\n\r\n")
        with connect(front.address) as client:
            client.sendall(request.encode())
            head, _, body = client.recv(65536).partition(b"\r\n\r\n")
            assert b"Content-Encoding: gzip" in head
            unzip, text = zlib.decompressobj(31), b""
            while b"result for b" not in text:
                size, _, rest = body.partition(b"\r\n")
                if size and len(rest) >= int(size, 16) + 2:
                    text += unzip.decompress(rest[:int(size, 16)])
                    body = rest[int(size, 16) + 2:]
                else:
                    body += client.recv(65536)
            assert b"result for a" not in text


@everywhere
def test_begins_at_once(tmp, run, api, daemon, name):
    """Though nothing is ready, and no heartbeat is due soon."""
    front = run(FRONTS[name](tmp, daemon(extra='heartbeat = "1h"').socket_path))
    api.hold("a")
    for accept in ("text/event-stream", "text/html"):
        with HttpStream(front.address, "/fragments?name=a", accept) as stream:
            assert stream.status == 200
            stream.wait_body(b"\n")


@everywhere
def test_heartbeats(tmp, run, api, daemon, name):
    """They reach the client, before the first event and after it."""
    front = run(FRONTS[name](tmp, daemon(extra='heartbeat = "50ms"').socket_path))
    api.hold("a", "b")
    with HttpStream(front.address, "/fragments?" + query(["a", "b"])) as stream:
        stream.wait_body(b":\n\n:\n\n")
        api.release("b")
        stream.wait(1)
        stream.wait_body(b"\n\n:\n\n:\n\n")
        count = beats(stream.body)
        wait_until(lambda: stream.pump(0.05) and beats(stream.body) > count, "more heartbeats")
        api.release("a")
        assert [event for event, _ in stream.wait(3)] == ["b", "a", "end"]


def reset(stream: HttpStream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


@everywhere
@pytest.mark.parametrize("way", ["close", "reset"])
def test_client_leaves(tmp, run, api, daemon, name, way):
    """Its place is free, and the flight goes on. All but nginx notice only when there is something
    to send, such as a heartbeat."""
    beat = "1h" if name == "nginx" else "50ms"
    server = daemon(extra=f'max_parked = 1\nheartbeat = "{beat}"')
    front = run(FRONTS[name](tmp, server.socket_path))
    api.hold("left")
    stream = HttpStream(front.address, "/fragments?name=left")
    api.wait_calls("left", 1)
    if way == "reset":
        reset(stream)
    stream.close()
    fronts.check_place_is_free(front)
    fronts.check_flight_goes_on(front, api, "left")


@everywhere
def test_slow_reader(tmp, run, api, daemon, name):
    """Clients that do not read delay no others, neither streams nor single fragments."""
    server = daemon()
    front = run(FRONTS[name](tmp, server.socket_path))
    names = [f"large{number}" for number in range(8)]
    for large in names:
        api.answer(large, type="text/html", body="x" * (1 << 20))
        assert get(front.address, f"/fragment/{large}").status == 200
    with ExitStack() as stack:
        for _ in range(8):
            slow = HttpStream(front.address, "/fragments?" + query(names))
            stack.enter_context(slow)
            assert slow.status == 200
        api.hold("a")
        with HttpStream(front.address, "/fragments?" + query(["a", "b"])) as stream:
            stream.wait(1)
            for number in range(5):
                assert get(front.address, f"/fragment/n{number}").status == 200
            api.release("a")
            assert [event for event, _ in stream.wait(3)] == ["b", "a", "end"]
        assert [event for event, _ in slow.wait(9)] == [*names, "end"]  # and nothing is lost
        slow.wait_over()


def test_nginx_uses_connections_again(tmp, run, api, daemon):
    """A stream ends as any other response does."""
    del api
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.nginx(tmp, relay.path))
    for number in range(10):
        with HttpStream(front.address, f"/fragments?name=n{number}&name=m{number}") as stream:
            stream.wait_over()
    assert relay.begun() == 10
    assert len(relay.lines) < 10  # one for each of its processes
    assert not any(line.closed_by_daemon for line in relay.lines)


def test_haproxy_shares_no_connection_of_a_stream(tmp, run, api, daemon):
    """One stream a connection, beside those that single fragments share."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path))
    api.hold("a")
    with ExitStack() as stack:
        streams = [stack.enter_context(HttpStream(front.address, "/fragments?name=a"))
                   for _ in range(3)]
        assert get(front.address, "/fragment/b").status == 200
        lines = [line for line in relay.lines
                 if any(b"/fragments" in heard.params for heard in line.requests)]
        assert [len(line.requests) for line in lines] == [1, 1, 1]
        api.release("a")
        for stream in streams:
            stream.wait_over()


def test_nginx_rules_for_one_fragment(tmp, run, api, daemon):
    """nginx sees one path for all streams, so `deny` for a fragment does not cover them: a route
    that is not open to streams stays closed all the same."""
    server = daemon(extra='fragment "cart/*" { source = "api" }')
    front = run(fronts.nginx(tmp, server.socket_path, changes={
        "location ^~ /fragment/ {": "location ^~ /fragment/cart/ { deny all; }\n"
                                    "        location ^~ /fragment/ {"}))
    assert get(front.address, "/fragment/cart/7").status == 403
    for name in ("cart/7", "cart%2F7", "%63art/7"):
        with HttpStream(front.address, f"/fragments?name={name}&name=a") as stream:
            stream.wait_over()
            events = dict(stream.events)
        assert "no such fragment" in events["cart/7:error"]
        assert events["a"] == '<div id="a">result for a</div>'
    assert api.calls("cart/7") == 0
