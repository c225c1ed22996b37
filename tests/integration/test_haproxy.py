"""HAProxy with conf/haproxy.cfg before the daemon: many requests at a time on a connection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from harness import fronts
from harness.httpc import get
from harness.wait import wait_until

NAMES = [f"n{number}" for number in range(8)]


def test_page_and_fragments(tmp, run, api, redis, daemon):
    """The page comes from a web server beside it, which is another of our examples."""
    server = daemon(redis=redis.url)
    files = run(fronts.nginx(tmp, server.socket_path))
    front = run(fronts.haproxy(tmp, server.socket_path, skeleton=files.address))
    fronts.check_page(front)
    fronts.check_fragment(front, api)
    fronts.check_conditional(front)
    fronts.check_large_body(front, api)
    assert redis.command("EXISTS", "worker:seen") == 1


def test_two_requests_in_flight_on_one_connection(tmp, run, api, daemon):
    """Eight clients at once share fewer connections; each gets its own answer, in any order."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path))
    api.hold(*NAMES)
    with ThreadPoolExecutor(len(NAMES)) as clients:
        replies = {name: clients.submit(get, front.address, f"/fragment/{name}")
                   for name in NAMES}
        try:
            for name in NAMES:
                api.wait_calls(name, 1)
            most = max(line.most for line in relay.lines)
            for name in reversed(NAMES):  # the last one in is the first one out
                api.release(name)
                assert replies[name].result().text == f'<div id="{name}">result for {name}</div>'
        finally:
            api.release(*NAMES)
    assert most >= 2
    assert any(line.asked_values for line in relay.lines)


def test_client_abort(tmp, run, api, daemon):
    """HAProxy drops the request without a word and goes on using the connection: what comes for it
    later must not disturb anybody."""
    relay = run(fronts.Relay(tmp, daemon().address))
    front = run(fronts.haproxy(tmp, relay.path))
    api.hold("stays")
    with ThreadPoolExecutor(1) as clients:
        stays = clients.submit(get, front.address, "/fragment/stays")
        try:
            api.wait_calls("stays", 1)
            fronts.ask_and_leave(front, api, "left")
            fronts.check_flight_goes_on(front, api, "left")
        finally:
            api.release("stays", "left")
        assert stays.result().text == '<div id="stays">result for stays</div>'
    assert not any(line.closed_by_daemon for line in relay.lines
                   if any(b"/fragment/" in heard.params for heard in line.requests))


def test_health_check(tmp, run, daemon):
    """HAProxy's own check sees the daemon go and come back."""
    server = daemon()
    front = run(fronts.haproxy(tmp, server.socket_path))
    assert get(front.address, "/fragment/a").status == 200
    server.stop()
    assert get(front.address, "/fragment/a").status == 503
    server.start()
    wait_until(lambda: get(front.address, "/fragment/a").status == 200, "HAProxy to see it again")
