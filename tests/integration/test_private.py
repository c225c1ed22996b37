"""A private route under load and trouble: everybody gets their own, and nothing else."""

from __future__ import annotations

import re
import threading
from typing import Dict, List, Tuple

from harness import fcgi
from harness.fcgi import Connection
from harness.fleet import Fleet
from harness.shop import cookies
from harness.slowapi import Answer, Call, SlowApi
from harness.wait import scaled, wait_until

USERS, EACH = scaled(200, least=20), 50
CONNECTIONS = 12  # each carries fewer requests than max_connection_requests

ROUTES = 'fragment "cart" { source = "api" vary = {"cookie:session"} private = "yes" ttl = "60s" }'


class CartApi(SlowApi):
    """Each answer names the user that its call named, and the call itself."""

    def __init__(self, tmp) -> None:
        super().__init__(tmp, delay=lambda: 0.05)
        self.users: List[str] = []  # by the number of the call
        self._making = threading.Lock()

    def make(self, call: Call) -> Answer:
        user = cookies(call).get("session", "")
        with self._making:
            self.users.append(user)
            number = len(self.users) - 1
        return Answer(body=f"<p>cart of {user}, call {number}</p>".encode(), type="text/html",
                      headers={"Cache-Control": "private", "Vary": "Cookie"}, delay=self.delay())


def request_of(user: str, request_id: int) -> bytes:
    return fcgi.request("/fragment/cart", request_id, headers={"Cookie": f"session={user}"})


def send(connections: List[Connection]) -> Dict[Tuple[int, int], str]:
    """Sends EACH requests for every user, spread over the connections; returns who asks where."""
    asked: Dict[Tuple[int, int], str] = {}
    batches: List[List[bytes]] = [[] for _ in connections]
    for turn in range(EACH):
        for number in range(USERS):
            place = (turn + number) % len(connections)
            request_id = len(batches[place]) + 1
            asked[place, request_id] = f"user{number}"
            batches[place].append(request_of(f"user{number}", request_id))
    for connection, batch in zip(connections, batches):
        connection.send_raw(b"".join(batch))
    return asked


def check_own(api: CartApi, user: str, text: str) -> None:
    found = re.fullmatch(r"<p>cart of (\w+), call (\d+)</p>", text)
    assert found, (user, text)
    assert found[1] == user and api.users[int(found[2])] == user, (user, text)


def test_nobody_gets_another_ones(tmp, run, redis):
    """Redis is flushed and a process is killed while 10,000 requests of 200 users are parked; and
    once more when their results are cached."""
    api = run(CartApi(tmp))
    fleet = run(Fleet(tmp, redis, api, size=4, routes=ROUTES, lease="1s"))
    victim = fleet.servers[0]
    for trouble in ("flush", "kill", "none"):
        servers = [server for server in fleet.servers if server.running]
        owners = [servers[i % len(servers)] for i in range(CONNECTIONS)]
        connections = [Connection(server.address) for server in owners]
        before = len(api.users)
        asked = send(connections)
        wait_until(lambda: len(api.users) > before or trouble == "none", "the first calls")
        redis.command("FLUSHALL")
        if trouble == "kill":
            victim.kill()
        answered = 0
        for (place, request_id), user in asked.items():
            if owners[place].running:
                response = connections[place].response(request_id)
                assert response.status == 200, (trouble, user, response.stdout)
                check_own(api, user, response.text)
                answered += 1
        assert answered >= USERS * EACH // 2
        for connection in connections:
            connection.close()
        redis.command("FLUSHALL")
    assert set(api.users) == {f"user{number}" for number in range(USERS)}
