"""A call that takes longer than a request is held: the next request waits on the same call, in any
process. (tests/browser/test_long.py does it with a page, for longer.)"""

from __future__ import annotations

import threading
from typing import List

from harness import fronts
from harness.fleet import Fleet
from harness.httpc import Reply, get
from harness.wait import wait_until

PATH = "/fragment/report"
SHORT = 'fragment "report" { source = "api"  ttl = "60s"  hold = "200ms" }'


def test_on_another_process(tmp, run, redis, api):
    """Two processes are asked in turns; the one that is not asked first never calls."""
    fleet = run(Fleet(tmp, redis, api, size=2, routes=SHORT))
    api.hold("report")
    for connection in fleet.connections * 3:
        reply = connection.request(PATH)
        assert (reply.status, reply.headers["retry-after"]) == (202, "0")
    assert api.calls("report") == 1
    api.release("report")
    for connection in fleet.connections:
        wait_until(lambda at=connection: at.request(PATH).status == 200, "the result")
    assert api.calls("report") == 1


def test_another_process_after_the_first_is_gone(tmp, run, redis, api):
    """Clients that ask another process again get the result too if the one that worked has died: it
    takes over when the lease ends."""
    fleet = run(Fleet(tmp, redis, api, size=2, routes=SHORT, lease="1s"))
    api.hold("report")
    for connection in fleet.connections:
        assert connection.request(PATH).status == 202
    fleet.servers[0].kill()
    api.wait_calls("report", 2)
    assert fleet.connections[1].request(PATH).status == 202
    api.release("report")
    wait_until(lambda: fleet.connections[1].request(PATH).status == 200, "the result")
    assert api.calls("report") == 2


class Follower(threading.Thread):
    """A client that asks again at every 202, at once, as Retry-After says. `replies` are all that
    it has got."""

    def __init__(self, front: fronts.FrontServer, path: str) -> None:
        super().__init__(daemon=True)
        self.front, self.path = front, path
        self.replies: List[Reply] = []
        self.start()

    def run(self) -> None:
        while not self.replies or self.replies[-1].status == 202:
            self.replies.append(get(self.front.address, self.path))

    def wait_asked_again(self, times: int) -> None:
        wait_until(lambda: len(self.replies) >= times, f"{times} answers")


def test_behind_nginx_that_goes_round(tmp, run, redis, api, daemon):
    """nginx passes the requests of one client to two processes in turns."""
    relays = []
    for number in range(2):
        server = daemon(redis=redis.url, extra=SHORT)
        place = tmp / f"relay-{number}"
        place.mkdir(mode=0o711)
        relays.append(run(fronts.Relay(place, server.address)))
    one = f"server unix:{fronts.SOCKET};"
    front = run(fronts.nginx(tmp, relays[0].path, changes={
        one: f"{one} server unix:{relays[1].path};",
        "worker_processes auto;": "worker_processes 1;"}))
    api.hold("report")
    client = Follower(front, PATH)
    client.wait_asked_again(6)
    assert all(reply.status == 202 and reply.headers["retry-after"] == "0"
               for reply in client.replies)
    begun = [relay.begun(PATH) for relay in relays]
    assert sum(begun) >= 6 and abs(begun[0] - begun[1]) <= 1
    api.release("report")
    client.join()
    assert client.replies[-1].text == '<div id="report">result for report</div>'
    assert api.calls("report") == 1
