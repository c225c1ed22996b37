"""HAProxy with conf/haproxy.cfg before the daemon: one request at a time on a connection, and many
with the lines that are commented out."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from harness import fronts
from harness.httpc import get
from harness.wait import DEADLINE, SLOWNESS, wait_until

NAMES = [f"menu/{number}" for number in range(8)]


def test_page_and_fragments(tmp, run, api, redis, daemon):
    """The page comes from a web server, which runs another of our examples."""
    server = daemon(redis=redis.url)
    files = run(fronts.nginx(tmp, server.socket_path))
    front = run(fronts.haproxy(tmp, server.socket_path, skeleton=files.address))
    fronts.check_page(front)
    fronts.check_fragment(front, api)
    fronts.check_conditional(front)
    fronts.check_large_body(front, api)
    assert redis.command("EXISTS", "worker:seen") == 1


def make_all(front, api) -> None:
    """Eight clients at once; each gets its own answer, in any order."""
    api.hold(*NAMES)
    with ThreadPoolExecutor(len(NAMES)) as clients:
        replies = {name: clients.submit(get, front.address, f"/fragment/{name}")
                   for name in NAMES}
        try:
            for name in NAMES:
                api.wait_calls(name, 1)
            for name in reversed(NAMES):  # the last one in is the first one out
                api.release(name)
                assert replies[name].result().text == f'<div id="{name}">result for {name}</div>'
        finally:
            api.release(*NAMES)


def test_one_request_at_a_time(tmp, run, api, daemon):
    """Each connection carries one request at a time, and is reused."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path))
    for number in range(20):
        assert get(front.address, f"/fragment/menu/n{number}").status == 200
    make_all(front, api)
    lines = [line for line in relay.lines
             if any(b"/fragment/" in heard.params for heard in line.requests)]
    assert {line.most for line in lines} == {1}
    assert sum(len(line.requests) for line in lines) == 28 and len(lines) < 28
    assert not any(line.asked_values or line.closed_by_daemon for line in lines)


def test_two_requests_in_flight_on_one_connection(tmp, run, api, daemon):
    """With the lines for it, clients share connections."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path, multiplexed=True))
    make_all(front, api)
    assert max(line.most for line in relay.lines) >= 2
    assert any(line.asked_values for line in relay.lines)


def ask_and_idle(front, name: str, times: int = 1) -> socket.socket:
    """A client that sends so many requests and reads no answers. Little of them is in transit: its
    buffer is small, and its segments are as small as on a network, not as on loopback."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    client.settimeout(DEADLINE * SLOWNESS)
    client.connect(front.address)
    close = "Connection: close\r\n"
    client.sendall("".join(
        f"GET /fragment/{name} HTTP/1.1\r\nHost: localhost\r\n{close if last else ''}\r\n"
        for last in [False] * (times - 1) + [True]).encode())
    return client


def check_others(front, idle, body: bytes, times: int = 1) -> None:
    """While those clients do not read, 20 other requests get their answers. Then they read: nothing
    is lost."""
    for client in idle:  # its answer is under way
        client.recv(1, socket.MSG_PEEK)
    for number in range(20):
        assert get(front.address, f"/fragment/menu/{number}").status == 200
    for client in idle:
        data = b"".join(iter(lambda client=client: client.recv(65536), b""))
        assert data.count(b"HTTP/1.1 200 OK\r\n") == data.count(body) == times


@pytest.mark.parametrize("size_kib", [100, 256])
def test_idle_readers(tmp, run, api, daemon, size_kib):
    """Clients that do not read a large fragment delay no others. FastCGI can't hold back one
    request of a connection, so others must not share it."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path))
    body = b"x" * (size_kib << 10)
    api.answer("large", type="text/html", body=body)
    api.hold("large")
    with ExitStack() as stack:
        idle = [stack.enter_context(ask_and_idle(front, "large")) for _ in range(4)]
        relay.wait_begun(4, "/fragment/large")
        api.release("large")
        check_others(front, idle, body)


def test_idle_readers_of_small_fragments(tmp, run, api, daemon):
    """These may share a connection, as the example says: an answer that HAProxy can't pass on fits
    its buffer. (Each client requests more than the kernel buffers for it.)"""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path, multiplexed=True))
    body = b"x" * (8 << 10)
    api.answer("menu/small", type="text/html", body=body)
    api.hold("menu/small")
    with ExitStack() as stack:
        idle = [stack.enter_context(ask_and_idle(front, "menu/small", 50)) for _ in range(4)]
        relay.wait_begun(4, "/fragment/menu/small")
        api.release("menu/small")
        check_others(front, idle, body, 50)
    assert max(line.most for line in relay.lines) >= 2


@pytest.mark.parametrize("multiplexed", [False, True])
def test_client_abort(tmp, run, api, daemon, multiplexed):
    """HAProxy drops the request silently and keeps using the connection, even where it carries one
    request at a time: a late answer must not disturb other requests."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path, multiplexed=multiplexed))
    stay, leave = "menu/stays", "menu/left"
    api.hold(stay)
    with ThreadPoolExecutor(1) as clients:
        stays = clients.submit(get, front.address, f"/fragment/{stay}")
        try:
            api.wait_calls(stay, 1)
            fronts.ask_and_leave(front, api, leave)
            fronts.check_flight_goes_on(front, api, leave)
        finally:
            api.release(stay, leave)
        assert stays.result().text == f'<div id="{stay}">result for {stay}</div>'
    assert not any(line.closed_by_daemon for line in relay.lines
                   if any(b"/fragment/" in heard.params for heard in line.requests))


def test_health_check(tmp, run, daemon):
    """HAProxy's own check notices that the daemon is down, and that it is back."""
    server = daemon()
    front = run(fronts.haproxy(tmp, server.socket_path))
    assert get(front.address, "/fragment/a").status == 200
    server.stop()
    # 502 from an idle connection whose end HAProxy has not noticed yet, if any
    wait_until(lambda: get(front.address, "/fragment/a").status == 503, "HAProxy to see it go")
    server.start()
    wait_until(lambda: get(front.address, "/fragment/a").status == 200, "HAProxy to see it again")
