"""Many connections that can be read at once: their requests are answered in batches, and each is
independent."""

import signal
import time

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.peer import Peer, new_name

BODY = bytes(100 << 10)  # more than one read takes


@pytest.fixture(params=["unix", "tcp"])
def peer(request):
    with Peer(listen=request.param) as opened:
        opened.ensure()
        yield opened
        opened.check()


class AtOnce:
    """Connections to a daemon that is stopped until all of them have sent."""

    def __init__(self, peer):
        self.peer = peer
        self.connections = []

    def __enter__(self):
        self.peer.server.signal(signal.SIGSTOP)
        return self

    def __exit__(self, *error):
        self.go()
        for connection in self.connections:
            connection.close()

    def send(self, data, *, check=True):
        connection = self.peer.connect()
        self.connections.append(connection)
        connection.send_raw(data, check=check)
        return connection

    def go(self):
        self.peer.server.signal(signal.SIGCONT)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
def test_all_are_answered(peer, count):
    names = [peer.cached() for _ in range(3)]
    asked = [names[i % 3] for i in range(count)]
    with AtOnce(peer) as at_once:
        connections = [at_once.send(fcgi.request(f"/fragment/{name}")) for name in asked]
        at_once.go()
        for name, connection in zip(asked, connections):
            response = connection.response()
            assert (response.status, f"result for {name}" in response.text) == (200, True)


class Neighbours:
    """One connection of each kind: that ends, breaks, hangs up, or brings little or much."""

    def __init__(self, at_once, hit, held):
        def whole(request_id=1, **options):
            return fcgi.request(f"/fragment/{hit}", request_id, **options)
        parked = fcgi.request(f"/fragment/{held}")
        self.hit = at_once.send(whole())
        self.parked = at_once.send(parked)
        self.broken = at_once.send(whole() + b"\xff" * 8, check=False)
        self.large = at_once.send(whole(body=BODY))
        at_once.send(whole()).close()
        self.last = at_once.send(whole(keep=False))
        self.aborted = at_once.send(parked + fcgi.abort(1))
        self.piece, self.rest = at_once.send(whole()[:100]), whole()[100:]
        self.two = at_once.send(whole(1) + whole(2))

    def check(self):
        assert self.hit.response().status == 200
        self.parked.expect_silence()
        self.broken.expect_close()
        assert self.large.response().status == 200
        assert self.last.response().status == 200
        self.last.expect_close()
        assert self.aborted.response().protocol_status == fcgi.REQUEST_COMPLETE
        self.piece.send_raw(self.rest)
        assert self.piece.response().status == 200
        assert [self.two.response(number).status for number in (1, 2)] == [200, 200]


def test_each_by_itself(peer):
    hit, held = peer.cached(), peer.held()
    with AtOnce(peer) as at_once:
        groups = [Neighbours(at_once, hit, held) for _ in range(6)]
        at_once.go()
        for group in groups:
            group.check()
        peer.api.release(held)
        for group in groups:
            assert group.parked.response().status == 200
    assert peer.api.calls(held) == 1


def test_one_call_for_a_batch(peer):
    name = new_name()
    with AtOnce(peer) as at_once:
        connections = [at_once.send(fcgi.request(f"/fragment/{name}")) for _ in range(40)]
        at_once.go()
        assert {connection.response().status for connection in connections} == {200}
    assert peer.api.calls(name) == 1


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_no_reading_after_the_end(daemon, api, transport):
    """On a connection that is about to be closed, the peer sends only responses to parked
    requests."""
    server = daemon(extra="tcp_half_close = yes", listen=transport)
    api.hold("held")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/held", 2))
        api.wait_calls("held", 1)
        assert connection.request("/fragment/a", 1, keep=False).status == 200
        connection.half_close()
        with Connection(server.address) as other:
            other.sync()
            used = server.cpu_seconds()
            time.sleep(0.5)
            assert server.cpu_seconds() - used < 0.2, "it spins"
        api.release("held")
        assert connection.response(2).status == 200
        connection.expect_close()
