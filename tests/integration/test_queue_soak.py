"""Jobs for a fleet of processes while workers are killed, one each second.

WORKERLESS_SOAK_SECONDS is about how long the work takes (default 10)."""

import os
import time
from typing import List

import pytest

from harness import jobs as queue
from harness.fcgi import Connection, request
from harness.fleet import wait_armed
from harness.jobs import Jobs, Worker
from harness.servers import Workerless
from harness.wait import SLOWNESS, scaled, wait_until

SECONDS = float(os.environ.get("WORKERLESS_SOAK_SECONDS") or 10)
PROCESSES, WORKERS = 4, 3
KEYS = scaled(1000, least=50)
KILL_EVERY_S = 1.0

ROUTES = 'fragment "*" { source = "jobs" ttl = "10m" hold = "10m" }\n'
SOURCE = 'visibility = "1s" attempts = 1000 timeout = "10m"'


class Crew:
    """Workers, of which one is killed from time to time, and replaced."""

    def __init__(self, start) -> None:
        self.start, self.kills = start, 0
        self.workers: List[Worker] = [start() for _ in range(WORKERS)]
        self.killed_at = time.monotonic()

    def trouble(self) -> None:
        """Kills the one that has worked for the longest time, if it is time."""
        if time.monotonic() - self.killed_at < KILL_EVERY_S:
            return
        self.killed_at = time.monotonic()
        self.workers.pop(0).kill()
        self.kills += 1
        self.workers.append(self.start())

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()


@pytest.mark.seconds(2 * SECONDS + 60)
def test_workers_are_killed(tmp, run, redis):
    """Every request gets the result of its key, a kill costs at most one more run, and nothing is
    left."""
    text = "max_connection_requests = 10000\n" + queue.cache(redis) + queue.source(SOURCE) + ROUTES
    servers = [run(Workerless(tmp, text)) for _ in range(PROCESSES)]
    wait_armed(redis, PROCESSES)
    jobs = Jobs(redis)
    connections = [run(Connection(server.address)) for server in servers]
    names = [f"k{number}" for number in range(KEYS)]

    def start() -> Worker:
        worker = Worker(tmp, redis, seconds=SECONDS * WORKERS / KEYS)
        worker.start()
        return worker

    crew = Crew(start)
    try:
        for connection in connections:
            connection.send_raw(b"".join(request(f"/fragment/{name}", number)
                                         for number, name in enumerate(names, 1)))
        began = time.monotonic()

        def all_answered() -> bool:
            crew.trouble()
            for connection in connections:
                connection.pump(0.01)
            return all(len(connection.responses) == KEYS and
                       all(response.ended for response in connection.responses.values())
                       for connection in connections)

        wait_until(all_answered, "all requests to be answered", timeout=2 * SECONDS + 30)
        took = time.monotonic() - began
        wait_until(lambda: jobs.lengths() == [0, 0] and jobs.pending() == 0, "nothing to be left")
    finally:
        crew.stop()
    for connection in connections:
        for number, name in enumerate(names, 1):
            response = connection.responses[number]
            assert (response.status, response.text) == (200, f"<p>{name}</p>")
    runs = redis.command("HGETALL", "runs")
    more = sum(map(int, runs[1::2])) - KEYS
    print(f"{KEYS} keys at {PROCESSES} processes in {took:.1f} s, {crew.kills} kills, "
          f"{more} more runs")
    assert crew.kills >= min(3, SECONDS / 2) and 0 <= more <= crew.kills
    assert not [key for key in redis.keys() if key.startswith("lease:")]
    assert redis.command("XLEN", jobs.dead) == 0
    assert sum(server.counter("calls_started") for server in servers) == KEYS or SLOWNESS > 1
