"""The jobs of a queue source: a worker by hand, and workers that are processes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

from .fcgi import ask
from .process import Server
from .servers import TOP, Redis, RedisError, Workerless, python_command
from .wait import wait_until

SCRIPTS = TOP / "conf/workers"
WORKER = Path(__file__).with_name("jobworker.py")
GROUP = "workers"


def script(name: str) -> str:
    """The text of a script that workers run."""
    return (SCRIPTS / f"{name}.lua").read_text("utf-8")


def permissions(before: str) -> List[str]:
    """The words of an ACL that workerless-protocol(7) lists after this text."""
    page = (TOP / "conf/man/workerless-protocol.7").read_text("utf-8")
    found = page.partition(f"\n{before}\n")[2].partition("\n.Ed")[0].split()
    assert found[:3] == [".Bd", "-literal", "-offset"], before
    return found[4:]


def backlog(server: Workerless) -> Dict[str, float]:
    """The jobs that the metrics show, by priority; and the other gauges."""
    text = ask(server.address, "/workerless/metrics").text
    found = dict(re.findall(r'^workerless_source_jobs\{.*priority="(\w+)"\} (\S+)', text, re.M))
    found.update(re.findall(r'^workerless_source_jobs_(\w+)\{.*\} (\S+)', text, re.M))
    return {name: float(value) for name, value in found.items()}


def cache(redis: Union[Redis, str], more: str = "") -> str:
    """The cache section of a config."""
    url = redis if isinstance(redis, str) else redis.url
    return f'cache {{ redis = "{url}" {more} }}\n'


def source(more: str = "", name: str = "jobs") -> str:
    """A queue source with that name for its jobs, too."""
    return f'source "{name}" {{ type = "queue" jobs = "{name}" {more} }}\n'


@dataclass
class Job:
    """One that a worker has."""

    stream: str
    entry: str
    text: bytes
    fields: Dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


class Jobs:
    """A worker by hand. `redis` has command(), which gets the streams' key first for a Cluster."""

    def __init__(self, redis, jobs: str = "jobs", name: str = "test") -> None:
        self.redis, self.name = redis, name
        self.visitors = f"{{worker:{jobs}}}:visitors"
        self.refreshes = f"{{worker:{jobs}}}:refreshes"
        self.dead = f"{{worker:{jobs}}}:dead"

    def run(self, key: str, *words):
        """A command on the server of the key."""
        where = self.redis.primary_of(key) if hasattr(self.redis, "primary_of") else self.redis
        return where.command(*words)

    def length(self, stream: str = "") -> int:
        stream = stream or self.visitors
        return self.run(stream, "XLEN", stream)

    def lengths(self) -> List[int]:
        return [self.length(stream) for stream in (self.visitors, self.refreshes)]

    def pending(self) -> int:
        """Jobs that workers have and that are not acknowledged."""
        return sum(self.run(stream, "XPENDING", stream, GROUP)[0]
                   for stream in (self.visitors, self.refreshes))

    def wait_empty(self) -> None:
        wait_until(lambda: self.lengths() == [0, 0], "no jobs to be left")

    def wait_length(self, count: int, stream: str = "") -> None:
        wait_until(lambda: self.length(stream) >= count, f"{count} jobs")

    def look(self, stream: str = "") -> Optional[Job]:
        """The next job that nobody has, if there is one."""
        stream = stream or self.visitors
        try:
            found = self.run(stream, "XREADGROUP", "GROUP", GROUP, self.name, "COUNT", 1,
                             "STREAMS", stream, ">")
        except RedisError as error:
            if "NOGROUP" in str(error):
                return None
            raise
        if not found:
            return None
        entry, fields = found[0][1][0]
        assert fields[0] == b"job" and len(fields) == 2
        return Job(stream, entry.decode(), fields[1], json.loads(fields[1]))

    def take(self, stream: str = "") -> Job:
        """Waits for a job."""
        return wait_until(lambda: self.look(stream), "a job")

    def eval(self, name: str, job: Job, *arguments) -> int:
        return self.run(job["key"], "EVAL", script(name), 2, job["lease"], job["key"], *arguments)

    def begin(self, job: Job) -> int:
        return self.eval("begin", job, job["id"], job["deadline"])

    def complete(self, job: Job, body: str, kind: str = "text/html") -> int:
        return self.eval("complete", job, job["id"], job["fresh"], job["keep"], kind, body)

    def fail(self, job: Job, status: int = 502, reason: str = "broken") -> int:
        return self.eval("fail", job, job["id"], job["negative"], status, reason)

    def bury(self, job: Job, reason: str = "broken", attempts: int = 3) -> int:
        return self.run(job.stream, "EVAL", script("bury"), 2, job.stream, self.dead, job.entry,
                        job.text, reason, attempts, self.name)

    def ack(self, job: Job) -> None:
        self.run(job.stream, "XACK", job.stream, GROUP, job.entry)
        self.run(job.stream, "XDEL", job.stream, job.entry)

    def do(self, body: str, stream: str = "") -> Job:
        """Takes the next job, completes and acknowledges it."""
        job = self.take(stream)
        assert self.begin(job) == 1
        assert self.complete(job, body) == 1
        self.ack(job)
        return job


class Worker(Server):
    """A worker in a process, which may be killed at any time. The result of NAME is
    `<p>NAME</p>`; it counts its runs in the hash `runs`."""

    name = "jobworker"
    _number = 0

    def __init__(self, tmp: Union[str, Path], redis: Redis, *, jobs: str = "jobs",
                 seconds: float = 0.0) -> None:
        super().__init__(tmp)
        Worker._number += 1
        self.line = python_command(WORKER, str(redis.address), f"{{worker:{jobs}}}",
                                   f"worker-{Worker._number}", str(seconds))

    def command_line(self) -> List[str]:
        return self.line

    def ready(self) -> bool:
        return "ready" in self.log()
