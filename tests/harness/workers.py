"""The workers of a daemon, as its log and its metrics show them."""

from __future__ import annotations

import os
import re
import signal
from datetime import datetime
from typing import Callable, Dict, List, Tuple

from . import metrics
from .fcgi import Connection
from .process import gone
from .servers import Workerless
from .wait import wait_until

_LINE = re.compile(r"^(\S+)Z \[(\d+)\] \w+ (\w+): (.*)$", re.MULTILINE)


def lines(server: Workerless) -> List[tuple]:
    """(seconds, pid, room, text) of each message."""
    return [(datetime.fromisoformat(time).timestamp(), int(pid), room, text)
            for time, pid, room, text in _LINE.findall(server.log())]


def pids(server: Workerless) -> Dict[int, int]:
    """The process of each worker, the latest if it was replaced."""
    return {int(number): int(pid) for number, pid in
            re.findall(r"main: worker (\d+) is process (\d+)$", server.log(), re.MULTILINE)}


def serving(server: Workerless) -> List[int]:
    """The pids of all workers that have ever served."""
    return [pid for _, pid, _, text in lines(server) if re.match(r"workerless \S+, fragments", text)]


def wait_serving(server: Workerless, count: int) -> Dict[int, int]:
    """Waits until so many workers serve, and returns pids()."""
    def all_serve() -> bool:
        now = pids(server)
        ended = {int(pid) for pid in re.findall(r"main: worker \d+, process (\d+), ", server.log())}
        return len(now) == count and set(now.values()) <= set(serving(server)) - ended
    wait_until(all_serve, f"{count} workers")
    return pids(server)


def kill(server: Workerless, number: int, how: int = signal.SIGKILL) -> int:
    """Kills a worker, and returns its pid when the supervisor has noticed."""
    pid = pids(server)[number]
    os.kill(pid, how)
    server.wait_log(f"worker {number}, process {pid}, ")
    assert gone(pid)
    return pid


def seconds_without(server: Workerless, number: int, pid: int) -> float:
    """From the supervisor's notice of a worker's end until the next one served."""
    (died,) = [time for time, _, _, text in lines(server)
               if text.startswith(f"worker {number}, process {pid}, ")]
    follower = pids(server)[number]
    (served,) = [time for time, its, _, text in lines(server)
                 if its == follower and text.startswith("workerless ")]
    return served - died


def _by_worker(values: Dict[Tuple[str, ...], float], name: str) -> Dict[int, int]:
    return {int(key[1].partition("=")[2]): int(value) for key, value in values.items()
            if key[0] in (f"workerless_worker_{name}", f"workerless_worker_{name}_total")}


def figures(server: Workerless, name: str) -> Dict[int, int]:
    """The series of that name, by worker: figures(server, "connections")."""
    return _by_worker(metrics.read(server.address), name)


def of(connection: Connection) -> int:
    """Which worker serves the connection, if nobody else sends requests: the one that counts."""
    first, second = [_by_worker(metrics.parse(connection.request(metrics.PATH).text), "answers")
                     for _ in range(2)]
    (number,) = [number for number, count in second.items() if count > first[number]]
    return number


def connect_to(server: Workerless, enter: Callable, number: int) -> Connection:
    """A connection to that worker. `enter` is the fixture run."""
    while True:
        connection = enter(Connection(server.address))
        if of(connection) == number:
            return connection
