"""Checks whether a worker follows the rules for jobs, which workerless-protocol(7) states.

    python3 conformance.py -- ./my-worker its arguments

It runs that command, with two arguments added: the name of the jobs, such as worker:jobs, and the
visibility in milliseconds. The variable REDIS_URL tells the worker where its Redis is; that is a
private redis-server, unless --redis names another one. One line is printed for each rule, and the
exit status is 0 if the worker follows all of them.

For this test, the worker has to do its jobs like this. First it waits for as many seconds as the
input query:delay says, if the job has it. Then, if the job has an input query:error, the job fails,
with that as the reason. Otherwise the result is HTML that contains "result for " and the job's name,
escaped.

Needs redis-py (Debian package python3-redis) and, without --redis, redis-server.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import redis

GROUP = "workers"
ENVELOPE = re.compile(rb"workerless/1 made=(?P<made>\d{1,15}) fresh=(?P<fresh>\d{1,15}) "
                      rb"cost=\d{1,15} status=(?P<status>200|404|502|504) "
                      rb"type=(?P<type>[^\x00-\x1f\x7f]{1,127})\n(?P<body>.*)", re.DOTALL)


class Broken(Exception):
    """A rule that the worker does not keep, and why."""


def check(holds, why: str) -> None:
    if not holds:
        raise Broken(why)


class Server:
    """A private redis-server on a port of its own, which keeps nothing on disk."""

    def __init__(self, directory: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.directory = directory
        self.process: Optional[subprocess.Popen] = None

    def start(self) -> None:
        program = shutil.which("redis-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not program:
            sys.exit("conformance.py: there is no redis-server here; name a Redis with --redis")
        self.process = subprocess.Popen(
            [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--dir", self.directory],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 20
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("conformance.py: redis-server does not start")
            time.sleep(0.01)

    def answers(self) -> bool:
        try:
            return redis.Redis.from_url(self.url).ping()
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class Worker:
    """The command under test, in a session of its own."""

    def __init__(self, command: List[str], url: str, log) -> None:
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env={**os.environ, "REDIS_URL": url},
                                        start_new_session=True)

    def kill(self) -> None:
        """kill -9 of the process alone: what it has started must notice that by itself."""
        self.process.kill()
        self.process.wait()

    def sweep(self) -> None:
        """Ends it, and whatever it has started."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Job:
    """A job as it is in its stream, and what becomes of it."""

    def __init__(self, bench: "Bench", name: str, fields: Dict, text: Optional[str]) -> None:
        self.bench, self.db = bench, bench.db
        self.fields, self.name = fields, name
        self.stream = bench.streams[fields["priority"]]
        self.text = text if text is not None else json.dumps(fields, ensure_ascii=False)
        self.entry = self.db.xadd(self.stream, {"job": self.text}).decode()

    @property
    def key(self) -> str:
        return self.fields["key"]

    def pending(self) -> Optional[Dict]:
        """Who has taken it, and how often it was taken; None: nobody has it now."""
        found = self.db.xpending_range(self.stream, GROUP, self.entry, self.entry, 1)
        return found[0] if found else None

    def gone(self) -> bool:
        return not self.pending() and not self.db.xrange(self.stream, self.entry, self.entry)

    def value(self) -> Optional[bytes]:
        return self.db.get(self.key)

    def wait_taken(self, tries: int = 1) -> None:
        """Until a worker has taken it for so many times."""
        self.bench.wait(lambda: (self.pending() or {}).get("times_delivered") == tries,
                        f"{tries} workers should have taken the job")

    def wait_gone(self) -> None:
        self.bench.wait(self.gone, "the job is still in its stream, or pending")

    def wait_result(self) -> None:
        """Until it is done, and its result is what it has to be."""
        self.wait_gone()
        value = self.value()
        check(value is not None, "the job is gone, and there is no value")
        self.bench.check_result(value, self)


class Bench:
    """What a rule works with: jobs under a name of their own, and workers."""

    def __init__(self, options, url: str, server: Optional[Server], log) -> None:
        self.options, self.url, self.server, self.log = options, url, server, log
        self.db = redis.Redis.from_url(url)
        self.namespace = f"conformance-{secrets.token_hex(4)}"
        self.jobs = f"{self.namespace}:jobs"
        self.streams = {name: f"{{{self.jobs}}}:{name}" for name in ("visitors", "refreshes")}
        self.dead = f"{{{self.jobs}}}:dead"
        self.visibility = options.visibility
        self.workers: List[Worker] = []  # those that must be running
        self.started: List[Worker] = []
        self.make_groups()

    def make_groups(self) -> None:
        for stream in self.streams.values():
            try:
                self.db.xgroup_create(stream, GROUP, "0", mkstream=True)
            except redis.ResponseError as problem:
                if "BUSYGROUP" not in str(problem):
                    raise

    def wait(self, condition: Callable, why: str) -> None:
        end = time.monotonic() + self.options.patience + 4 * self.visibility / 1000
        while not condition():
            check(time.monotonic() < end, why)
            for worker in self.workers:
                check(worker.process.poll() is None,
                      f"the worker has ended, status {worker.process.returncode}")
            time.sleep(0.01)

    def worker(self) -> Worker:
        command = [*self.options.command, self.jobs, str(self.visibility)]
        worker = Worker(command, self.url, self.log)
        self.workers.append(worker)
        self.started.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        self.workers.remove(worker)
        worker.kill()

    def now(self) -> int:
        """Milliseconds, by the clock of Redis."""
        seconds, micros = self.db.time()
        return seconds * 1000 + micros // 1000

    def job(self, name: str, *, text: Optional[str] = None, delay: float = 0, error: str = "",
            lease: Optional[str] = None, **fields) -> Job:
        """Puts a job into its stream. `lease`: what the lease holds if that is not the job's id."""
        identity, key = secrets.token_hex(16), f"{self.namespace}:{name}"
        inputs = {**({"query:delay": str(delay)} if delay else {}),
                  **({"query:error": error} if error else {})}
        fields = {"version": 1, "id": identity, "key": key, "lease": f"lease:{{{key}}}",
                  "name": name, "rest": "", "inputs": inputs, "deadline": self.now() + 60000,
                  "priority": "visitors", "fresh": 60000, "keep": 90000, "negative": 5000,
                  "visibility": self.visibility, "attempts": 3, **fields}
        lease = f"{identity} host 1" if lease is None else lease
        if lease:
            self.db.set(fields["lease"], lease, px=60000)
        return Job(self, name, fields, text)

    def check_result(self, value: bytes, job: Job) -> None:
        """That the value is a fresh result of this job, by the script or by a plain SET."""
        wanted, ttl, now = job.fields, self.db.pttl(job.key), self.now()
        body, life = value, wanted["fresh"]
        if not self.options.plain:
            found = ENVELOPE.fullmatch(value)
            check(found, f"the value does not begin with a valid header line: {value[:200]!r}")
            check(found["status"] == b"200", f"the value has status {found['status'].decode()}")
            made, fresh = int(found["made"]), int(found["fresh"])
            check(now - 60000 < made <= now, f"made={made} is not a time in the last minute")
            check(fresh == made + wanted["fresh"], f"fresh= is made + {fresh - made}, and not "
                                                   f"made + {wanted['fresh']}")
            check(not self.db.exists(wanted["lease"]), "the lease was not deleted")
            body, life = found["body"], wanted["keep"]
        check(life - 20000 < ttl <= life, f"the value expires in {ttl} ms, and not in {life}")
        text = html.unescape(body.decode("utf-8", "replace"))
        check(f"result for {job.name}" in text, f"the result is {body[:200]!r}")

    def check_failure(self, job: Job, status: bytes = b"502") -> None:
        """That a failure is cached, so that all who wait hear of it."""
        value = job.value()
        check(value is not None, "the job is gone, and no failure is cached")
        found = ENVELOPE.fullmatch(value)
        check(found and found["status"] == status, f"the value is {value[:200]!r}")
        life = max(job.fields["negative"], 1000)
        check(int(found["fresh"]) == int(found["made"]) + life, "fresh= is not made + negative")
        check(0 < self.db.pttl(job.key) <= life, f"the value does not expire in {life} ms")
        check(not self.db.exists(job.fields["lease"]), "the lease was not deleted")

    def letter(self, job: Job) -> Dict[str, str]:
        """The dead letter of the job."""
        letters = [{name.decode(): text.decode() for name, text in letter.items()}
                   for _, letter in self.db.xrange(self.dead)]
        found = [letter for letter in letters if letter.get("job") == job.text]
        check(len(found) == 1, f"there are {len(found)} dead letters with this job")
        check(found[0].get("reason"), "the dead letter has no reason")
        check(found[0].get("worker"), "the dead letter does not say which worker gave up")
        return found[0]

    def check_nothing_left(self) -> None:
        self.make_groups()
        for stream in self.streams.values():
            check(self.db.xlen(stream) == 0, f"{self.db.xlen(stream)} entries are left")
            pending = self.db.xpending(stream, GROUP)["pending"]
            check(pending == 0, f"{pending} entries are still pending")

    def close(self) -> None:
        """Ends all workers and removes what is left in Redis."""
        for worker in self.started:
            worker.sweep()
        for key in self.db.scan_iter(f"*{self.namespace}*"):
            self.db.delete(key)


# --- the rules

RULES: List[Callable[[Bench], None]] = []


def rule(function: Callable[[Bench], None]) -> Callable[[Bench], None]:
    """Its docstring is the line that is printed."""
    RULES.append(function)
    return function


@rule
def result(bench: Bench) -> None:
    """a result is stored with its freshness, its expiry and its type"""
    bench.worker()
    bench.job("plain").wait_result()
    bench.job("short", fresh=30000, keep=30000).wait_result()


@rule
def order(bench: Bench) -> None:
    """a result is stored before its job is acknowledged"""
    bench.worker()
    listener = redis.Redis.from_url(bench.url, socket_timeout=bench.options.patience)
    with listener.monitor() as monitor:
        job = bench.job("order")
        job.wait_result()
        bench.db.echo(bench.namespace)
        seen: List[str] = []
        while not seen or seen[-1] != f"ECHO {bench.namespace}":
            seen.append(monitor.next_command()["command"])
    stored = [at for at, command in enumerate(seen)
              if re.match(rf"(?i)(set|setex|psetex) {re.escape(job.key)} ", command)]
    acked = [at for at, command in enumerate(seen) if re.match(r"(?i)(xack|xdel) ", command)]
    check(stored and acked, f"these commands were seen: {seen}")
    check(max(stored) < min(acked), "the job was acknowledged first")


@rule
def texts(bench: Bench) -> None:
    """names and inputs may have any characters, and are escaped in HTML"""
    bench.worker()
    jobs = [bench.job(name) for name in
            ("<b>'1'</b>", 'two "words"', "$(date) `date` $HOME", "back\\slash", "* ? [a]",
             "-n", "Zürich 東京 🙂", "100%25", "a;b&c|d")]
    for job in jobs:
        job.wait_result()
    check(b"<b>" not in jobs[0].value(), "the name is in the result without being escaped")


@rule
def obsolete(bench: Bench) -> None:
    """an obsolete job is acknowledged, not run"""
    bench.worker()
    jobs = [bench.job("purged", delay=10, lease=""),
            bench.job("replaced", delay=10, lease="another-job host 1"),
            bench.job("longer", delay=10, lease="0" * 32 + "1 host 1", id="0" * 32)]
    begun = time.monotonic()
    for job in jobs:
        job.wait_gone()
        check(job.value() is None, f"{job.name}: a value was written")
    check(time.monotonic() - begun < 10, "it was run")


@rule
def expired(bench: Bench) -> None:
    """a job past its deadline is acknowledged, not run"""
    job = bench.job("expired", delay=10, deadline=bench.now() - 1)
    begun = time.monotonic()
    bench.worker()
    job.wait_gone()
    check(time.monotonic() - begun < 10, "it was run")
    check(job.value() is None, "a value was written")


@rule
def fencing(bench: Bench) -> None:
    """a job that becomes obsolete while it runs writes nothing"""
    if bench.options.plain:
        return
    bench.worker()
    for job in (bench.job("ends", delay=0.5), bench.job("fails", delay=0.5, error="too late")):
        job.wait_taken()
        time.sleep(0.2)  # it has begun by now, or will find out that it is obsolete
        bench.db.set(job.fields["lease"], "a-newer-job host 1", px=60000)
        job.wait_gone()
        check(job.value() is None, f"{job.name}: it has overwritten what a newer job makes")
        check(bench.db.get(job.fields["lease"]) == b"a-newer-job host 1", "the lease has changed")


@rule
def cancelled(bench: Bench) -> None:
    """a job may be deleted from its stream while it runs"""
    bench.worker()
    job = bench.job("cancelled", delay=0.5)
    job.wait_taken()
    bench.db.xdel(job.stream, job.entry)
    bench.job("next").wait_result()


@rule
def failure(bench: Bench) -> None:
    """a failure is remembered, and its job is over"""
    bench.worker()
    for negative in (5000, 0):
        job = bench.job(f"fails-{negative}", error="no <such> 'thing'", negative=negative)
        job.wait_gone()
        bench.check_failure(job)
    check(bench.db.xlen(bench.dead) == 0, "it is among the dead letters, too")


@rule
def older_result(bench: Bench) -> None:
    """a failure does not replace an older result"""
    if bench.options.plain:
        return
    bench.worker()
    made = bench.now() - 50000
    line = f"workerless/1 made={made} fresh={made + 40000} cost=3 status=200 type=text/plain\n"
    bench.db.set(f"{bench.namespace}:older", line + "the older result", px=80000)
    job = bench.job("older", error="sorry", priority="refreshes")
    job.wait_gone()
    found = ENVELOPE.fullmatch(job.value() or b"")
    check(found and found["body"] == b"the older result", f"the value is {job.value()!r}")
    check(bench.now() < int(found["fresh"]) <= bench.now() + 5000, "fresh= is not now + negative")
    check(40000 < bench.db.pttl(job.key) <= 80000, "it does not expire when it would have")
    check(not bench.db.exists(job.fields["lease"]), "the lease was not deleted")


@rule
def priority(bench: Bench) -> None:
    """visitors' jobs come before refreshes"""
    busy = bench.job("busy", delay=0.5)
    bench.worker()
    busy.wait_taken()
    refreshes = [bench.job(f"r{i}", delay=0.05, priority="refreshes") for i in range(3)]
    visitors = [bench.job(f"v{i}", delay=0.05) for i in range(3)]

    def some_refresh_is_made() -> bool:
        values = bench.db.mget([job.key for job in refreshes + visitors])
        made = any(values[:3])
        check(not made or all(values[3:]), "a refresh was made before a visitor's job")
        return made

    bench.wait(some_refresh_is_made, "no refresh was made")
    for job in [busy, *refreshes, *visitors]:
        job.wait_result()


@rule
def takeover(bench: Bench) -> None:
    """the job of a killed worker goes to another one"""
    for stream in ("visitors", "refreshes"):
        first = bench.worker()
        job = bench.job(f"killed-{stream}", delay=0.5, priority=stream)
        job.wait_taken()
        bench.kill(first)
        second = bench.worker()
        job.wait_taken(2)
        job.wait_result()
        bench.kill(second)


@rule
def heartbeats(bench: Bench) -> None:
    """heartbeats keep a slow job from being taken over"""
    bench.worker()
    bench.worker()
    job = bench.job("slow", delay=3.5 * bench.visibility / 1000)
    job.wait_taken()
    owner = job.pending()["consumer"]

    def is_over() -> bool:
        now = job.pending()
        check(not now or now["consumer"] == owner, "another worker has taken it over")
        check(not now or now["times_delivered"] == 1, "heartbeats count as deliveries")
        return not now

    bench.wait(is_over, "it does not end")
    job.wait_result()


@rule
def attempts(bench: Bench) -> None:
    """a job whose workers die again and again becomes a dead letter, and a failure"""
    job = bench.job("deadly", delay=60, attempts=2)
    for tries in (1, 2):
        worker = bench.worker()
        job.wait_taken(tries)
        bench.kill(worker)
    bench.worker()
    job.wait_gone()
    bench.check_failure(job)
    check(bench.letter(job)["attempts"] == "2", f"attempts is {bench.letter(job)['attempts']}")


@rule
def unreadable(bench: Bench) -> None:
    """a job of another version, or that is none, becomes a dead letter"""
    bench.worker()
    jobs = [bench.job("future", version=2), bench.job("no-json", text="{"),
            bench.job("no-object", text="[1]"), bench.job("no-text", text=""),
            bench.job("no-key", text='{"version": 1, "id": "1", "attempts": 3}'),
            bench.job("no-times", text='{"version": 1, "id": "1", "key": "k", "lease": "l"}'),
            bench.job("no-lease", text='{"version": 1, "id": "1", "key": "k", "deadline": 1, '
                      '"fresh": 1, "keep": 1, "negative": 1, "attempts": 1}'),
            bench.job("lines", text='{\n"version":\n2}')]
    for job in jobs:
        job.wait_gone()
        bench.letter(job)
        check(job.value() is None, "a value was written")
    bench.job("next").wait_result()


@rule
def stopping(bench: Bench) -> None:
    """SIGTERM lets a worker finish its job, and no other one"""
    worker = bench.worker()
    job = bench.job("last", delay=1)
    job.wait_taken()
    bench.workers.remove(worker)
    worker.process.terminate()
    second = bench.job("second")
    try:
        status = worker.process.wait(bench.options.patience)
    except subprocess.TimeoutExpired:
        raise Broken("it does not end") from None
    check(status == 0, f"its exit status is {status}")
    job.wait_result()
    check(not second.pending() and second.value() is None, "it has taken another job")
    bench.worker()
    second.wait_result()


@rule
def idle_stop(bench: Bench) -> None:
    """SIGTERM ends an idle worker"""
    worker = bench.worker()
    bench.job("first").wait_result()
    bench.workers.remove(worker)
    worker.process.terminate()
    try:
        check(worker.process.wait(bench.options.patience) == 0,
              f"its exit status is {worker.process.returncode}")
    except subprocess.TimeoutExpired:
        raise Broken("it does not end") from None


@rule
def flushed(bench: Bench) -> None:
    """a worker makes the streams and their group again if they are gone"""
    bench.worker()
    bench.job("before").wait_result()
    bench.db.delete(*bench.streams.values())
    job = bench.job("after")  # puts the stream there, without a group
    bench.wait(job.value, "no job is run any more")
    job.wait_result()


@rule
def restarted(bench: Bench) -> None:
    """a worker survives a restart of Redis that loses everything"""
    if not bench.server:
        return
    bench.worker()
    bench.job("before").wait_result()
    job = bench.job("lost", delay=0.5)
    job.wait_taken()
    bench.server.kill()
    time.sleep(1)
    bench.server.start()
    bench.make_groups()
    bench.job("after").wait_result()


@rule
def load(bench: Bench) -> None:
    """many jobs and three workers, two of which are killed: each result is right"""
    jobs = [bench.job(f"many-{i}", delay=0.02) for i in range(60)]
    for _ in range(3):
        bench.worker()
    for left in (40, 20):
        bench.wait(lambda: bench.db.xlen(jobs[0].stream) <= left, "the jobs are not run")
        bench.kill(bench.workers[0])
        bench.worker()
    for job in jobs:
        job.wait_result()
    check(bench.db.xlen(bench.dead) == 0, "there are dead letters")


# --- running them

def run_rule(function: Callable, options, url: str, server: Optional[Server]) -> bool:
    """Prints its line; returns whether the worker keeps the rule."""
    with tempfile.TemporaryFile() as log:
        bench = Bench(options, url, server, log)
        try:
            function(bench)
            bench.check_nothing_left()
            print(f"ok      {function.__doc__}", flush=True)
            return True
        except (Broken, redis.RedisError) as problem:
            print(f"FAILED  {function.__doc__}: {problem}", flush=True)
            log.seek(0)
            for line in log.read().decode("utf-8", "replace").splitlines()[-10:]:
                print(f"        | {line}", flush=True)
            return False
        finally:
            bench.close()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--redis", metavar="URL", help="use this Redis, for instance "
                        "unix:///run/redis/redis.sock or redis://:password@127.0.0.1:6379")
    parser.add_argument("--visibility", type=int, default=1000, metavar="MS")
    parser.add_argument("--patience", type=float, default=20, metavar="SECONDS",
                        help="how long a step may take")
    parser.add_argument("--plain", action="store_true",
                        help="the worker writes its results by a plain SET")
    parser.add_argument("-k", metavar="TEXT", default="", help="only rules with that text")
    parser.add_argument("command", nargs="+", help="the worker, after --")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # and stop what we have started
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        server = None if options.redis else Server(directory)
        try:
            if server:
                server.start()
            rules = [each for each in RULES if options.k in each.__doc__]
            kept = [run_rule(each, options, options.redis or server.url, server) for each in rules]
        finally:
            if server:
                server.kill()
    print(f"{sum(kept)} rules kept, {len(kept) - sum(kept)} not")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
