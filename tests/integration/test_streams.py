"""GET /fragments: many fragments in one response, each as soon as it is ready. And the preference
"wait", by which a request for a single one limits its own hold."""

import array
import fcntl
import re
import signal
import socket
import termios
from contextlib import ExitStack

import pytest

from harness import fcgi
from harness.config import api_config
from harness.events import beats, is_cut, parse, query
from harness.fcgi import Connection
from harness.fleet import Fleet, wait_armed
from harness.servers import Workerless
from harness.wait import scaled, stays, wait_until

END = ("end", "")


def start(names, request_id: int = 1, **options) -> bytes:
    """A request for a stream."""
    return fcgi.request("/fragments", request_id, query=query(names), **options)


def unread_bytes(sock: socket.socket) -> int:
    """How much of what we sent on a unix socket the daemon has yet to read."""
    found = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, found)
    return found[0]


def made(name: str):
    """The event of a fragment that the API has made."""
    return (name, f'<div id="{name}">result for {name}</div>')


def events(connection: Connection, request_id: int = 1):
    """The events that have arrived so far."""
    response = connection.responses[request_id]
    return parse(response.body) if b"\r\n\r\n" in response.stdout else []


def wait_events(connection: Connection, *expected, request_id: int = 1) -> None:
    """Exactly these events arrive."""
    connection.wait(lambda: len(events(connection, request_id)) >= len(expected),
                    f"{len(expected)} events")
    assert events(connection, request_id) == list(expected)


def wait_head(connection: Connection, request_id: int = 1):
    """The head arrives at once."""
    response = connection.responses[request_id]
    connection.wait(lambda: b"\r\n\r\n" in response.stdout, "the head")
    return response


# Each as soon as it is ready.


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_in_the_order_of_readiness(daemon, api, transport):
    server = daemon(listen=transport)
    api.hold("a", "b", "c%20d")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "b", "c d"]))
        head = wait_head(connection)
        assert head.status == 200
        assert head.headers == {
            "content-type": "text/event-stream", "cache-control": "no-store",
            "x-accel-buffering": "no", "vary": "Accept"}
        for name in ("a", "b", "c%20d"):
            api.wait_calls(name, 1)
        seen = []
        for name, path in (("b", "b"), ("c d", "c%20d"), ("a", "a")):
            connection.sync()
            assert events(connection) == seen
            api.release(path)
            seen.append(made(name))
            if name != "a":
                wait_events(connection, *seen)
        wait_events(connection, *seen, END)
        response = connection.response()
        assert response.protocol_status == fcgi.REQUEST_COMPLETE
        assert beats(response.body) == 1 and response.body.startswith(b":\n\nevent: b\n")
        assert connection.request("/fragment/a", 2).status == 200  # the connection stays
    assert api.calls() == 3


def test_templates(daemon, api):
    """The same as HTML, for a page that is itself streamed."""
    server = daemon()
    api.answer("broken", 500)
    api.answer("large", type="text/html", body="<p>\r\n" * 20000)
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "broken", "<&\">", "large"],
                                  headers={"Accept": "text/html,*/*;q=0.8"}))
        response = wait_head(connection)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["x-accel-buffering"] == "no"
        for part in ('<template for="&lt;&amp;&quot;&gt;"><div id="',
                     '<template for="broken" data-failed><!--failed--><p class="fragment-error">',
                     '<template for="large">' + "<p>\r\n" * 20000 + "</template>\n"):
            connection.wait(lambda part=part: part in response.text, part[:60])
        assert '"a"' not in response.text
        api.release("a")
        assert connection.response().text.endswith(
            '<template for="a"><div id="a">result for a</div></template>\n')


def test_what_is_cached_comes_at_once(daemon, api):
    server = daemon()
    api.hold("slow")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        connection.send_raw(start(["slow", "a"]))
        wait_events(connection, made("a"))
        connection.send_raw(start(["a"], 2))
        assert parse(connection.response(2).body) == [made("a"), END]
        api.release("slow")
        wait_events(connection, made("a"), made("slow"), END)
    assert api.calls("a") == 1


def test_flights_are_shared(daemon, api):
    """Streams and ordinary requests, on any connections, wait for the same calls."""
    server = daemon()
    names = ["a", "b", "c"]
    api.hold(*names)
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(5)]
        for connection in connections:
            connection.send_raw(start(names, 1) + start(["b", "b"], 2)
                                + fcgi.request("/fragment/b", 3))
        for connection in connections:
            connection.sync()
        api.release("b")
        for connection in connections:
            assert connection.response(3).text == made("b")[1]
            assert parse(connection.response(2).body) == [made("b"), END]
            wait_events(connection, made("b"))
        api.release("a")
        for connection in connections:
            wait_events(connection, made("b"), made("a"))
        api.release("c")
        for connection in connections:
            wait_events(connection, made("b"), made("a"), made("c"), END)
    assert [api.calls(name) for name in names] == [1, 1, 1]


def test_failures(tmp, daemon, api):
    """Each is an event of its own, with the HTML that an ordinary request would get."""
    fallback = tmp / "fallback.html"
    fallback.write_text("<p>\nlater\n</p>\n", "utf-8")
    server = daemon(f"""
source "api"   {{ type = "http" url = "{api.url}/{{name}}" timeout = "60s" }}
source "hasty" {{ type = "http" url = "{api.url}/{{name}}" timeout = "100ms" }}
fragment "plain"  {{ source = "api" stream = "yes" }}
fragment "hasty"  {{ source = "hasty" stream = "yes" }}
fragment "fall/h" {{ source = "hasty" fallback = "{fallback}" stream = "yes" }}
fragment "fall/*" {{ source = "api" fallback = "{fallback}" stream = "yes" }}
fragment "fine"   {{ source = "api" stream = "yes" }}
""")
    names = ["plain", "hasty", "fall/h", "fall/a", "fall/missing", "nobody", "fine"]
    for name in ("plain", "fall/a"):
        api.answer(name, 500)
    api.answer("fall/missing", 404)
    api.hold("hasty", "fall/h", "fine")
    with Connection(server.address) as connection:
        connection.send_raw(start(names))
        connection.wait(lambda: len(events(connection)) == len(names) - 1, "the failures")
        assert not connection.responses[1].ended
        api.release("fine")
        found = dict(parse(connection.response(1).body))
        api.hold("hasty", "fall/h")
        for number, name in enumerate(names[:-1], start=2):
            assert found[f"{name}:error"] == connection.request(f"/fragment/{name}", number).text
    assert found["fall/a:error"] == found["fall/h:error"] == "<p>\nlater\n</p>\n"
    assert "took too long" in found["hasty:error"]
    assert "no such fragment" in found["nobody:error"] and "no such" in found["fall/missing:error"]
    assert found["fine"] == made("fine")[1] and found["end"] == ""
    assert len(found) == len(names) + 1


def test_stale_is_an_event_at_once(daemon, api):
    """And it is refreshed for later requests."""
    server = daemon(f"""
source "api" {{ type = "http" url = "{api.url}/{{name}}" timeout = "60s" }}
fragment "*" {{ source = "api" ttl = "50ms" stale = "600s" stale_error = "600s" stream = "yes" }}
""")
    api.answer("a", body="old", type="text/html")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").text == "old"
        api.answer("a", body="new", type="text/html")
        api.hold("a")

        def stale() -> bool:
            connection.send_raw(start(["a"]))
            assert parse(connection.response().body) == [("a", "old"), END]
            return api.calls("a") == 2

        wait_until(stale, "it to be refreshed")
        api.release("a")

        def fresh() -> bool:
            connection.send_raw(start(["a"]))
            return parse(connection.response().body) == [("a", "new"), END]

        wait_until(fresh, "the new one")


def test_hold_is_no_bound(daemon, api):
    """A stream stays open as long as its flights take."""
    server = daemon(f"""
source "api" {{ type = "http" url = "{api.url}/{{name}}" timeout = "60s" }}
fragment "*" {{ source = "api" ttl = "60s" hold = "50ms" stream = "yes" }}
""")
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a"], headers={"Prefer": "wait=0"}))
        for number in range(2, 5):  # each is held for that long, one after the other
            assert connection.request("/fragment/a", number).status == 202
        assert events(connection) == []
        api.release("a")
        wait_events(connection, made("a"), END)
    assert api.calls("a") == 1


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_large_fragments(daemon, api, ending):
    """Several times 1 MiB of lines at once: everything arrives, in records that take turns."""
    server = daemon()
    names = ["l1", "l2", "l3"]
    texts = {}
    for name in names:
        lines = [f"{name} {number} " + "x" * (number * 37 % 150) for number in range(11000)]
        texts[name] = ending.join(lines)[:1 << 20]
        api.answer(name, type="text/html", body=texts[name])
        assert len(texts[name]) > 900000
    with Connection(server.address) as connection:
        for _ in range(2):  # made, and from memory
            connection.send_raw(start(names, 1) + fcgi.request("/fragment/a", 2)
                                + start(["l2"], 3))
            assert connection.response(2).status == 200
            found = dict(parse(connection.response(1).body))
            for name in names:
                normal = texts[name].replace("\r\n", "\n").replace("\r", "\n")
                assert found[name] == normal
            assert parse(connection.response(3).body) == [("l2", found["l2"]), END]
            assert max(len(item.content) for item in connection.responses[1].records) <= 8192
    assert [api.calls(name) for name in names] == [1, 1, 1]


# Another process generates it.


def test_woken_from_outside(daemon, api, redis):
    """Whoever writes the value ends the wait, at once, with what was written."""
    server = daemon(redis=redis.url)
    wait_armed(redis)
    api.hold("a", "b")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "b"]))
        api.wait_calls("a", 1)
        redis.command("SET", "worker:a", "<b>\nfrom outside\n</b>", "EX", 60)
        wait_events(connection, ("a", "<b>\nfrom outside\n</b>"))
        redis.command("SET", "worker:b", "two", "EX", 60)
        wait_events(connection, ("a", "<b>\nfrom outside\n</b>"), ("b", "two"), END)


def test_another_process_makes_it(tmp, api, redis):
    """One call in the fleet; its result is an event in each."""
    with Fleet(tmp, redis, api, size=2) as fleet:
        api.hold("a", "b")
        fleet.connections[0].send_raw(start(["a"]))
        api.wait_calls("a", 1)
        fleet.connections[1].send_raw(start(["b", "a"]))
        api.wait_calls("b", 1)
        fleet.connections[0].send_raw(start(["b"], 2))
        api.release("a")
        wait_events(fleet.connections[0], made("a"), END)
        wait_events(fleet.connections[1], made("a"))
        api.release("b")
        wait_events(fleet.connections[1], made("a"), made("b"), END)
        wait_events(fleet.connections[0], made("b"), END, request_id=2)
        assert (api.calls("a"), api.calls("b")) == (1, 1)


# What is rejected.


def test_max_stream(daemon):
    """So many names, duplicates included."""
    server = daemon(extra="max_stream = 3")
    with Connection(server.address) as connection:
        for names, status in ((["a"], 200), (["a", "b", "c"], 200), (["a", "b", "c", "d"], 400),
                              (["a", "a", "b"], 200), (["a"] * 4, 400), (["a"] * 1000, 400)):
            connection.send_raw(start(names))
            response = connection.response()
            assert response.status == status, names
            if status == 200:
                assert sorted(parse(response.body)) == sorted({END, *map(made, names)})


def test_max_stream_is_64_by_default(daemon):
    server = daemon()
    with Connection(server.address) as connection:
        for count, status in ((64, 200), (65, 400)):
            connection.send_raw(start([f"n{number}" for number in range(count)]))
            assert connection.response().status == status


@pytest.mark.parametrize("text", [
    "", "name", "name=", "nam=a", "Name=a", "name=a&name=", "name=a&name=%", "name=%4", "name=%zz",
    "name=..", "name=a/../b", "name=/a", "name=a/", "name=a//b", "name=a%0Ab", "name=a%0D",
    "name=%00", "name=%7f", "name=%ff", "name=%C3", "name=" + "x" * 256,
    # what would be taken for another event
    "name=end", "name=a&name=%65nd", "name=x:error", "name=x%3Aerror", "name=:error"])
@pytest.mark.parametrize("accept", ["text/event-stream", "text/html"])
def test_bad_names(daemon, api, text, accept):
    server = daemon()
    with Connection(server.address) as connection:
        response = connection.request("/fragments", query=text, headers={"Accept": accept})
        assert (response.status, response.protocol_status) == (400, fcgi.REQUEST_COMPLETE)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert connection.request("/fragment/x").status == 200
    assert api.calls() == 1


CLOSED = """
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "60s" }}
cache {{ redis = "{redis}" }}
fragment "cart/*" {{ source = "api" ttl = "60s" }}
fragment "safe"   {{ source = "api" ttl = "60s" stream = "no" }}
fragment "*"      {{ source = "api" ttl = "60s" stream = "yes" }}
"""


@pytest.mark.parametrize("accept", ["text/event-stream", "text/html"])
def test_closed_by_default(daemon, api, redis, accept):
    """A route without `stream = "yes"` is treated as missing: it is not answered from memory, from
    Redis, by a call, or by joining one. The log names each such route once."""
    server = daemon(CLOSED.format(api=api.url, redis=redis.url))
    wait_armed(redis)
    redis.command("SET", "worker:cart/redis", "secret of cart/redis", "EX", 60)
    for name in ("cart/memory", "cart/joined"):
        api.answer(name, type="text/html", body="secret of " + name)
    api.answer("missing", 404)
    names = ["cart/memory", "cart/redis", "cart/joined", "cart/new", "safe"]
    with Connection(server.address) as connection, Connection(server.address) as other:
        assert connection.request("/fragment/cart/memory").text == "secret of cart/memory"
        api.hold("cart/joined")
        other.send_raw(fcgi.request("/fragment/cart/joined"))
        api.wait_calls("cart/joined", 1)
        for _ in range(3):
            connection.send_raw(start([*names, "missing", "open"], headers={"Accept": accept}))
            text = connection.response().text
            assert "secret" not in text and "result for open" in text
            if accept == "text/html":
                told = dict(re.findall(r'<template for="([^"]+)" data-failed><!--failed-->(.*?)</template>',
                                       text, re.DOTALL))
            else:
                told = {name[:-len(":error")]: data
                        for name, data in parse(connection.response().body)
                        if name.endswith(":error")}
            assert set(told) == {*names, "missing"}
            assert set(told.values()) == {told["missing"]}
        api.release("cart/joined")
        assert other.response().text == "secret of cart/joined"
        assert connection.request("/fragment/cart/redis").text == "secret of cart/redis"
    assert api.calls("cart/new") == api.calls("safe") == api.calls("cart/redis") == 0
    hints = re.findall(r'fragment "(.*?)" was requested in /fragments.*stream = "yes"',
                       server.log())
    assert hints == ["cart/*", "safe"]


def test_methods(daemon, api):
    server = daemon()
    with Connection(server.address) as connection:
        for accept, kind in (("", "text/event-stream"), ("text/html", "text/html; charset=utf-8")):
            head = connection.request("/fragments", method="HEAD", query="name=a",
                                      headers={"Accept": accept})
            assert head.status == 200 and head.body == b""
            assert head.headers["content-type"] == kind
        assert connection.request("/fragments", method="HEAD", query="name=").status == 400
        for body in (b"", b"name=a"):
            post = connection.request("/fragments", method="POST", query="name=a", body=body)
            assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")
        assert connection.request("/fragments/", query="name=a").status == 404
    assert api.calls() == 0


@pytest.mark.parametrize("bound", ["max_parked", "max_flights"])
def test_no_room_for_all(daemon, api, bound):
    """Those over a limit fail at once; the others do not."""
    server = daemon(extra=f"{bound} = 2")
    api.hold("a", "b")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "b", "c", "d"]))
        connection.wait(lambda: len(events(connection)) == 2, "two failures")
        assert [name for name, _ in events(connection)] == ["c:error", "d:error"]
        assert "try again" in events(connection)[0][1]
        assert connection.request("/fragment/c", 2).status == 503
        api.release("a")
        connection.wait(lambda: len(events(connection)) == 3, "the first result")
        assert connection.request("/fragment/c", 3).status == 200  # its place is free
        api.release("b")
        assert parse(connection.response(1).body)[2:] == [made("a"), made("b"), END]
    assert api.calls("d") == 0


# Leaving.


@pytest.mark.parametrize("way", ["abort", "close", "half-close"])
def test_leaving_in_the_middle(daemon, api, way):
    """Its places are free, the flights go on, and others are not disturbed. (One that only ends its
    input still listens, on a unix socket.)"""
    server = daemon(extra="max_parked = 3")
    names = ["a", "b", "c"]
    api.hold(*names)
    with Connection(server.address) as other:
        connection = Connection(server.address)
        connection.send_raw(start(names))
        for name in names:
            api.wait_calls(name, 1)
        assert other.request("/fragment/d").status == 503
        api.release("a")
        wait_events(connection, made("a"))
        if way == "abort":
            connection.send_raw(fcgi.abort(1))
            response = connection.response()
            assert response.protocol_status == fcgi.REQUEST_COMPLETE
            assert parse(response.body) == [made("a")]
            connection.sync()
        elif way == "close":
            connection.close()
        else:
            connection.half_close()
            api.release("b")
            wait_events(connection, made("a"), made("b"))
            connection.close()
        api.hold("d1", "d2", "d3")

        def has_room() -> bool:
            other.send_raw(start(["d1", "d2", "d3"], 5))
            wait_head(other, 5)
            other.sync()
            if not events(other, 5):
                return True
            other.send_raw(fcgi.abort(5))
            other.response(5)
            return False

        wait_until(has_room, "the places of the stream that left")
        api.release("d1", "d2", "d3")
        assert len(parse(other.response(5).body)) == 4
        api.release("b", "c")
        for name in names:
            wait_until(lambda name=name: "hit" in other.request(f"/fragment/{name}").headers[
                "cache-status"], "the result of the flight that nobody waits for")
        connection.close()
    assert [api.calls(name) for name in names] == [1, 1, 1]


def test_leaving_and_coming_back(daemon, api):
    """When an id is used again, nothing of its last use reaches the new request."""
    server = daemon(extra="max_parked = 4")
    api.hold("a", "b")
    with Connection(server.address) as connection:
        for _ in range(20):
            connection.send_raw(start(["a", "b"]) + fcgi.abort(1))
            connection.response()
        connection.send_raw(start(["b", "a"]) + start(["a", "b"], 2))
        connection.sync()
        api.release("a")
        wait_events(connection, made("a"))
        api.release("b")
        for number in (1, 2):
            wait_events(connection, made("a"), made("b"), END, request_id=number)
    assert (api.calls("a"), api.calls("b")) == (1, 1)


# Clients that do not read.


def large_names(api, count: int):
    names = [f"large{number}" for number in range(count)]
    for name in names:
        api.answer(name, type="text/html", body=(name + "\n" + "x" * 100 + "\n") * 9000)
    return names


def in_their_order(connection: Connection, names) -> bytes:
    """The response when all of them are in memory."""
    for _ in range(2):
        connection.send_raw(start(names))
        body = connection.response().body
    assert [name for name, _ in parse(body)] == [*names, "end"]
    return body


def test_slow_readers(daemon, api):
    """Many streams of megabytes that nobody reads: a limited part of each is in memory, and others
    are served as usual. Nothing is lost if they read later."""
    server = daemon()
    names = large_names(api, 8)
    with Connection(server.address) as other, ExitStack() as stack:
        whole = in_their_order(other, names)
        assert len(whole) > 8 << 20
        before = server.resident_bytes()
        slow = [stack.enter_context(Connection(server.address))
                for _ in range(scaled(100, least=10))]
        for connection in slow:
            connection.send_only(start(names))
            assert other.request("/fragment/a").status == 200
        for connection in slow:  # what was sent to them until they were full
            connection.wait(lambda connection=connection: b"\r\n\r\n" in
                            connection.responses[1].stdout, "the head")
        if server.memory_is_telling:
            assert server.resident_bytes() - before < len(slow) * (100 << 10) + (4 << 20)
        other.send_raw(start(names))
        assert other.response().body == whole
        assert slow[0].response().body == whole
    assert api.calls("large1") == 1


def test_slow_reader_of_many(daemon, api):
    """The same with all streams on one connection: they share its memory."""
    server = daemon()
    names = large_names(api, 4)
    with Connection(server.address) as other, Connection(server.address) as slow:
        whole = in_their_order(other, names)
        before = server.resident_bytes()
        slow.send_only(b"".join(start(names, number) for number in range(1, 101))
                       + fcgi.request("/fragment/large0", 101))
        for _ in range(20):
            assert other.request("/fragment/large0").status == 200
        if server.memory_is_telling:
            assert server.resident_bytes() - before < 4 << 20
        slow.send_raw(b"".join(fcgi.abort(number) for number in range(3, 101)))
        for number in (1, 2):
            assert slow.response(number).body == whole
        assert slow.response(101).status == 200
        for number in range(3, 101):
            assert slow.response(number).protocol_status == fcgi.REQUEST_COMPLETE


def test_slow_reader_is_given_up(daemon, api):
    """After send_timeout, and not because others' fragments are not ready."""
    server = daemon(extra='send_timeout = "200ms"')
    names = large_names(api, 4)
    api.hold("held")
    with Connection(server.address) as other, Connection(server.address) as waits:
        waits.send_raw(start(["held"]))
        other.send_raw(start(names))
        assert other.response().status == 200
        before = server.descriptors()
        with Connection(server.address) as slow:
            slow.send_only(start(names))
            wait_until(lambda: server.descriptors() == before, "the connection to be closed")
        api.release("held")
        wait_events(waits, made("held"), END)


# While nothing is ready.


def test_heartbeats(daemon, api):
    """After each silence of that length, until the end; they are not events."""
    server = daemon(extra='heartbeat = "50ms"')
    api.hold("a", "b")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "b"], 1)
                            + start(["a", "b"], 2, headers={"Accept": "text/html"}))
        events_response, html_response = wait_head(connection), wait_head(connection, 2)
        for count in (2, 3, 4):  # it begins with one
            connection.wait(lambda count=count: beats(events_response.body) >= count, "a heartbeat")
        connection.wait(lambda: html_response.body .count(b"\n") > 1,
                        "a heartbeat in HTML")
        assert events(connection) == []
        api.release("a")
        wait_events(connection, made("a"))
        count = beats(events_response.body)
        connection.wait(lambda: beats(events_response.body) > count, "another heartbeat")
        api.release("b")
        wait_events(connection, made("a"), made("b"), END)
        assert connection.response(1).body.endswith(b"\n\nevent: end\ndata:\n\n")
        assert re.fullmatch(r"\n+<template for=\"a\">.*</template>\n+<template for=\"b\">.*"
                            r"</template>\n", connection.response(2).text)


def test_heartbeats_of_a_request_in_pieces(daemon, api):
    """What was kept of a request while it arrived is not seen in its stream."""
    server = daemon(extra='heartbeat = "50ms"')
    api.hold("a")
    with Connection(server.address) as connection:
        request = start(["a"])
        for at in range(0, len(request), 50):
            connection.socket.send(request[at:at + 50])
            wait_until(lambda: unread_bytes(connection.socket) == 0, "the daemon to read it")
        connection.send_raw(b"")
        connection.responses[1] = fcgi.Response(1)
        response = wait_head(connection)
        connection.wait(lambda: beats(response.body) >= 4, "heartbeats")
        api.release("a")
        wait_events(connection, made("a"), END)


def test_heartbeats_spread(daemon, api):
    """Streams that began together do not go on sending together."""
    server = daemon(extra='heartbeat = "1s"')
    api.hold("a")
    with Connection(server.address) as connection:
        numbers = range(1, 51)
        connection.send_raw(b"".join(start(["a"], number) for number in numbers))

        def later() -> int:
            """Streams that had a heartbeat after the one that they begin with."""
            return sum(beats(connection.responses[number].body) > 1 for number in numbers)

        for number in numbers:
            wait_head(connection, number)
        connection.wait(later, "a heartbeat")
        connection.sync()  # all that the daemon sent at that moment is here
        assert later() < len(numbers)
        connection.wait(lambda: later() == len(numbers), "a heartbeat of each")


def test_no_heartbeat_without_need(daemon, api):
    """The default is far longer than this, and a stream that waits costs nothing."""
    server = daemon()
    api.hold("a")
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(50)]
        for connection in connections:
            connection.send_raw(b"".join(start(["a"], number) for number in range(1, 21)))
            connection.sync()
        used = server.cpu_seconds()
        stays(lambda: not any(connection.pump(0) for connection in connections), "silence", 0.3)
        assert server.cpu_seconds() - used < 0.2
        api.release("a")
        for connection in connections:
            for number in range(1, 21):
                assert parse(connection.response(number).body) == [made("a"), END]


# The end of the process.


def test_streams_are_finished_at_the_end(daemon, api):
    """If there is time."""
    server = daemon()
    api.hold("a", "b")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "b"]))
        api.wait_calls("a", 1)
        api.wait_calls("b", 1)
        server.signal(signal.SIGQUIT)
        api.release("b")
        wait_events(connection, made("b"))
        assert server.running
        api.release("a")
        wait_events(connection, made("b"), made("a"), END)
        connection.expect_close()
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_streams_that_take_too_long_at_the_end(daemon, api, number):
    """They end without the `end` event, so that the client asks again: nothing has failed."""
    server = daemon(extra='shutdown_timeout = "300ms" drain_timeout = "100ms"')
    api.hold("a", "b", "c")
    with Connection(server.address) as connection:
        connection.send_raw(start(["a", "b", "c"]))
        for name in "abc":
            api.wait_calls(name, 1)
        api.release("b")
        wait_events(connection, made("b"))
        server.signal(number)
        response = connection.response()
        assert server.running  # the calls go on
        assert parse(response.body) == [made("b")] and is_cut(response.body)
        assert response.protocol_status == fcgi.REQUEST_COMPLETE
        assert sum(not item.content for item in response.records if item.kind == fcgi.STDOUT) == 1
        connection.expect_close()
    assert server.wait() == 0


def test_the_rest_of_a_stream_is_on_another_process(tmp, run, api, redis):
    """What the first process still finishes is what the next one waits for."""
    config = api_config(api, redis=redis.url, extra='shutdown_timeout = "1h"')
    one, two = run(Workerless(tmp, config)), run(Workerless(tmp, config))
    for server in (one, two):
        server.wait_log("connected")
    api.hold("a")
    with Connection(one.address) as first, Connection(two.address) as second:
        first.send_raw(start(["a", "b"]))
        wait_events(first, made("b"))
        api.wait_calls("a", 1)
        one.signal(signal.SIGTERM)
        assert is_cut(first.response().body)
        second.send_raw(start(["a", "b"]))
        wait_events(second, made("b"))
        api.release("a")
        wait_events(second, made("b"), made("a"), END)
    assert one.wait() == 0
    assert (api.calls("a"), api.calls("b")) == (1, 1)


# Prefer: wait=N, of a single fragment.

HOLDS = """
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "60s" }}
cache {{ redis = "{redis}" }}
fragment "brief/*" {{ source = "api" ttl = "60s" hold = "50ms" }}
fragment "long/*"  {{ source = "api" ttl = "60s" hold = "600s" }}
fragment "*"       {{ source = "api" ttl = "60s" }}
"""


@pytest.mark.parametrize("prefer, name, applied", [
    ("wait=0", "a", "wait=0"),
    ("wait=1", "a", "wait=1"),
    ("respond-async, Wait=\"1\"; x", "a", "wait=1"),
    ("wait=0", "brief/a", "wait=0"),
    ("wait=1", "brief/a", None),  # the route's own hold is shorter
    ("wait=30", "brief/a", None),
    ("wait=61", "brief/a", None),
    ("wait=-1", "brief/a", None),
    ("wait", "brief/a", None),
    ("handling=lenient", "brief/a", None)])
def test_wait(daemon, api, prefer, name, applied):
    """202 when it is over; asking again waits on the same call."""
    server = daemon(HOLDS.format(api=api.url, redis=""))
    api.hold(name)
    with Connection(server.address) as connection:
        response = connection.request(f"/fragment/{name}", headers={"Prefer": prefer})
        assert response.status == 202
        assert response.headers["retry-after"] == "0"
        assert response.headers.get("preference-applied") == applied
        connection.send_raw(fcgi.request(f"/fragment/{name}", headers={"Prefer": "wait=20"}))
        api.release(name)
        assert connection.response().status in (200, 202)
        wait_until(lambda: connection.request(f"/fragment/{name}").status == 200, "the result")
    assert api.calls(name) == 1


@pytest.mark.parametrize("prefer, name, applied", [
    ("wait=0", "a", "wait=0"),
    ("wait=24", "a", "wait=24"),
    ("wait=25", "a", None),  # as long as it would be anyway
    ("wait=60", "a", None),
    ("wait=60", "long/a", "wait=60"),
    ("wait=61", "long/a", None),
    ("wait=x", "long/a", None),
    ("wait=9999999999", "long/a", None),
    ("", "long/a", None)])
def test_wait_is_acknowledged_with_what_is_there(daemon, api, prefer, name, applied):
    """When the result comes in time, when it is a hit, and when it is a 304."""
    server = daemon(HOLDS.format(api=api.url, redis=""))
    headers = {"Prefer": prefer}
    with Connection(server.address) as connection:
        first = connection.request(f"/fragment/{name}", headers={} if applied == "wait=0"
                                   else headers)
        if applied != "wait=0":
            assert first.headers.get("preference-applied") == applied
        hit = connection.request(f"/fragment/{name}", headers=headers)
        assert hit.status == 200 and "hit" in hit.headers["cache-status"]
        assert hit.headers.get("preference-applied") == applied
        same = connection.request(f"/fragment/{name}",
                                  headers={**headers, "If-None-Match": hit.headers["etag"]})
        assert same.status == 304 and same.headers.get("preference-applied") == applied
        assert "preference-applied" not in connection.request(f"/fragment/{name}").headers


def test_no_wait_finds_what_redis_has(daemon, api, redis):
    """A client that does not want to wait still gets what is cached."""
    server = daemon(HOLDS.format(api=api.url, redis=redis.url))
    wait_armed(redis)
    redis.command("SET", "worker:a", "from Redis", "EX", 60)
    with Connection(server.address) as connection:
        response = connection.request("/fragment/a", headers={"Prefer": "wait=0"})
        assert (response.status, response.text) == (200, "from Redis")
        assert response.headers["preference-applied"] == "wait=0"
    assert api.calls() == 0
