"""nginx with conf/nginx.conf before the daemon."""

from __future__ import annotations

import http.client
import re
import time

from harness import fronts
from harness.httpc import get, get_many
from harness.wait import SLOWNESS, scaled, wait_until


BURST, RATE = 50, 20  # of new names, in conf/nginx.conf


def test_page_and_fragments(tmp, run, api, redis, daemon):
    front = run(fronts.nginx(tmp, daemon(redis=redis.url).socket_path))
    fronts.check_page(front)
    fronts.check_fragment(front, api)
    fronts.check_conditional(front)
    fronts.check_large_body(front, api)
    assert redis.command("EXISTS", "worker:seen") == 1


def test_client_abort(tmp, run, api, daemon):
    relay = run(fronts.Relay(tmp, daemon(extra="max_parked = 1").address))
    front = run(fronts.nginx(tmp, relay.path))
    fronts.ask_and_leave(front, api, "left")
    fronts.check_place_is_free(front)
    assert relay.lines[0].closed_by_front
    fronts.check_flight_goes_on(front, api, "left")


def test_connections_are_used_again(tmp, run, daemon):
    """Requests of one client go to one of nginx's processes, which should need one connection."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.nginx(tmp, relay.path))
    client = http.client.HTTPConnection(*front.address, timeout=20 * SLOWNESS)
    for number in range(20):
        client.request("GET", f"/fragment/{number % 10}")
        reply = client.getresponse()
        assert (reply.status, reply.read()) == \
            (200, f'<div id="{number % 10}">result for {number % 10}</div>'.encode())
    client.close()
    assert [len(line.requests) for line in relay.lines] == [20]


def test_proxy_header_is_dropped(tmp, run, daemon):
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.nginx(tmp, relay.path))
    get(front.address, "/fragment/a", headers={"Proxy": "http://evil.test"})
    params = relay.lines[0].requests[0].params
    assert b"DOCUMENT_URI" in params and b"evil.test" not in params


def test_stampede_makes_one_call(tmp, run, api, redis, daemon):
    """1,000 requests of one cold key: the API's own log shows one call, and all get its body."""
    count = scaled(1000)
    server = daemon(redis=redis.url)
    front = run(fronts.nginx(tmp, server.socket_path))
    before = server.descriptors()
    api.answer("a", body="<p>the one result</p>", type="text/html")
    api.hold("a")

    def all_sent():
        try:
            wait_until(lambda: server.descriptors() - before >= count,
                       f"nginx to hold {count} connections to the daemon")
        finally:
            api.release("a")

    replies = get_many(front.address, ["/fragment/a"] * count, all_sent=all_sent)
    assert [reply.status for reply in replies] == [200] * count
    assert {reply.body for reply in replies} == {b"<p>the one result</p>"}
    # The others joined its flight; the daemon may have accepted some but read them a bit later.
    told = [reply.headers["cache-status"] for reply in replies]
    assert sum("collapsed" not in status and "hit" not in status for status in told) == 1
    assert any("collapsed" in status for status in told)
    assert api.log_path.read_text("utf-8").split("\n") == ["GET /a", ""]
    assert redis.command("EXISTS", "worker:a") == 1


def test_new_names_are_limited(tmp, run, api, daemon):
    """One client can have only so many invented names generated, by single requests and by streams.
    page-fragment.js retries a 429 a bit later."""
    front = run(fronts.nginx(tmp, daemon().socket_path))
    begin = time.monotonic()
    replies = get_many(front.address, [f"/fragment/user/{number}" for number in range(300)])
    most = 1 + BURST + (time.monotonic() - begin) * RATE + 1
    statuses = [reply.status for reply in replies]
    assert set(statuses) == {200, 429}
    assert BURST < statuses.count(200) <= most
    assert api.calls() == statuses.count(200)

    streams = [reply.status for reply in get_many(
        front.address, [f"/fragments?name=s{number}" for number in range(60)])]
    assert set(streams) == {200, 429} and streams.count(200) > 10


def test_fixed_names_are_not_limited(tmp, run, daemon):
    """Those of workerless.conf can be requested as often as a client wants, even if it is over the
    limit for others."""
    front = run(fronts.nginx(tmp, daemon().socket_path))
    text = (fronts.TOP / "conf/workerless.conf").read_text("utf-8")
    names = re.findall(r'^fragment "([^"*]+)"', text, re.MULTILINE)
    assert len(names) == 3
    fixed = [f"/fragment/{name}" for name in names] * BURST
    others = [f"/fragment/{names[0]}{number}" for number in range(len(fixed))]
    statuses = [reply.status for reply in get_many(front.address, others + fixed)]
    assert set(statuses[:len(others)]) == {200, 429}
    assert set(statuses[len(others):]) == {200}


def test_daemon_gone_and_back(tmp, run, daemon):
    """nginx answers 502 meanwhile, and needs no restart afterwards."""
    server = daemon()
    front = run(fronts.nginx(tmp, server.socket_path))
    assert get(front.address, "/fragment/a").status == 200
    server.stop()
    assert get(front.address, "/fragment/a").status == 502
    assert get(front.address, "/").status == 200
    server.start()
    assert get(front.address, "/fragment/a").status == 200


def test_log_format_of_the_example(tmp, run, daemon):
    """Its lines that are commented out are right, and show Cache-Status."""
    front = run(fronts.nginx(tmp, daemon().socket_path, changes={
        "    #log_format workerless": "    log_format workerless",
        "    #                      '$request_time": "    '$request_time",
        "    #access_log /var/log/nginx/access.log workerless;":
            "    access_log @DIR@/cache.log workerless;"}))
    log = front.dir / "cache.log"
    for _ in range(2):
        assert get(front.address, "/fragment/a").status == 200
    lines = wait_until(lambda: log.exists() and len(log.read_text("utf-8").splitlines()) == 2
                       and log.read_text("utf-8").splitlines(), "two lines")
    assert re.fullmatch(r'127\.0\.0\.1 \[\S+\] "GET /fragment/a HTTP/1\.1" 200 \d+ \d\.\d+ \d\.\d+ '
                        r'"workerless; fwd=miss; stored; ttl=\d+; detail=source"', lines[0]), lines
    assert '"workerless; hit; ttl=' in lines[1]
