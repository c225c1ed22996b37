"""Messages that peers can cause again and again do not fill the log, and are counted."""

from __future__ import annotations

import re
from typing import List

import pytest

from harness import fcgi
from harness.config import api_config
from harness.fakeredis import CLOSE, FakeRedis
from harness.fcgi import Connection, ask
from harness.wait import scaled, wait_until

BURST = 5  # messages until the rest is only counted
STATES_BURST = 20  # the same of a server that comes and goes
PERIOD_S = 10
BATCH = 500

TWO_SOURCES = """
max_connection_requests = 1024
cache {{ redis = "" }}
source "down" {{ type = "http" url = "{api}/down/{{name}}" }}
source "other" {{ type = "http" url = "{api}/other/{{name}}" }}
fragment "down/*" {{ source = "down" }}
fragment "other/*" {{ source = "other" }}
"""


def lines(server, *words: str) -> List[str]:
    return [line for line in server.log().splitlines() if all(word in line for word in words)]


def left_out(found: List[str]) -> int:
    """The sum of what the summaries count."""
    counts = re.findall(r"… and ([\d,]+) more in \d+ s(?: like this one|, the last one): ",
                        "\n".join(found))
    return sum(int(count.replace(",", "")) for count in counts)


def fail_many(connection: Connection, count: int) -> None:
    """Requests for fragments with different names, which all fail."""
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        connection.send_raw(b"".join(fcgi.request(f"/fragment/down/{number}", 1 + number - first)
                                     for number in numbers))
        for number in numbers:
            assert connection.response(1 + number - first).status in (502, 504)


@pytest.fixture
def failing(daemon, api):
    """A daemon whose sources all fail: nothing listens there any more."""
    server = daemon(TWO_SOURCES.format(api=api.url))
    api.stop()
    return server


def test_a_flood_of_failures(failing):
    """A few lines, and one with the count; they suppress nothing else."""
    count = scaled(3000, least=200)
    with Connection(failing.address) as connection:
        fail_many(connection, count)
        assert connection.request("/fragment/other/x").status == 502
    wait_until(lambda: lines(failing, "other/x"), "the other source's failure to be logged")
    failing.stop()  # what was suppressed is counted at the end
    found = lines(failing, " flight: ", "down/")
    written = [line for line in found if "more in" not in line]
    assert len(found) <= 4 * BURST, f"{len(found)} lines for {count} failures"
    assert len(written) >= BURST and len(set(written)) == len(written)
    assert len(written) + left_out(found) == count
    assert count < 2000 or re.search(r"… and \d,\d\d\d more in \d+ s like this one: fragment ",
                                     found[-1])


def test_the_count_comes_when_nothing_follows(failing):
    with Connection(failing.address) as connection:
        fail_many(connection, 30)
    failing.wait_log(f" more in {PERIOD_S} s like this one: fragment \"down/")
    found = lines(failing, " flight: ", "down/")
    assert BURST + left_out(found) == 30 and len(found) == BURST + 1


def test_a_failure_that_repeats_itself(daemon, api):
    """It is the same sentence each time."""
    server = daemon(extra='fragment "a" { source = "api" negative = "0s" }')
    api.answer("a", 500)
    for _ in range(20):
        assert ask(server.address).status == 502
    server.stop()
    found = lines(server, 'fragment "a": ')
    assert len(found) == 2 and left_out(found) == 19


def test_each_bound_that_is_reached_is_told(daemon, api):
    """One does not suppress another, though all of them are rejections."""
    server = daemon(extra="max_parked = 5\nmax_flights = 2\nmax_connection_requests = 4")
    api.hold("a", "b")

    def refused(connection: Connection, name: str) -> None:
        for request_id in range(100, 120):
            assert connection.request(f"/fragment/{name}", request_id).status == 503

    with Connection(server.address) as first, Connection(server.address) as second:
        first.send_raw(b"".join(fcgi.request(f"/fragment/{name}", request_id)
                                for request_id, name in enumerate("abaa", 1)))
        first.sync()
        refused(first, "a")
        refused(second, "c")
        second.send_raw(fcgi.request("/fragment/a", 1))
        second.sync()
        refused(second, "a")
        for option in ("max_connection_requests", "max_flights", "max_parked"):
            assert len(lines(server, f"{option} ", "503")) == 1, option
        api.release_all()
        for request_id in range(1, 5):
            assert first.response(request_id).status == 200
        assert second.response(1).status == 200
    server.stop()
    for option in ("max_connection_requests", "max_flights", "max_parked"):
        found = lines(server, f"{option} ", "503")
        assert len(found) == 2 and left_out(found) == 19, found


def test_a_redis_that_comes_and_goes(daemon, tmp, run, api):
    """The last message says whether it is in use now."""
    redis = run(FakeRedis(tmp))
    redis.say("CLIENT TRACKING", CLOSE)
    server = daemon(api_config(api, redis=redis.url))
    server.wait_log(f" more in {PERIOD_S} s, the last one: ")
    found = lines(server, " redis: ")
    assert "the last one: " in found[STATES_BURST] and left_out(found) > STATES_BURST
    redis.normal()
    tracked = redis.commands.count("CLIENT TRACKING")
    wait_until(lambda: redis.commands.count("CLIENT TRACKING") >= tracked + 2, "Redis to be used")
    server.stop()
    assert "back in use: " in lines(server, " redis: ")[-1]


def test_everything_is_written_when_asked_for(daemon, api):
    server = daemon(extra='fragment "a" { source = "api" negative = "0s" }', args=["-v"])
    api.answer("a", 500)
    for _ in range(20):
        assert ask(server.address).status == 502
    server.stop()
    assert len(lines(server, 'fragment "a": source ')) == 20
