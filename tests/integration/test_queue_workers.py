"""conf/workers/: the example workers keep all rules, conformance.py notices workers that do not, and
the scripts cope with whatever is in Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, List

import jsonschema
import pytest

from harness.cluster import SLOTS, Node, slot_of
from harness.exampleworkers import EXAMPLES, WORKERS, example_command, example_environment
from harness.process import accepts
from harness.servers import Redis, RedisError, is_sanitized, need, wrapper_command
from harness.wait import DEADLINE, SLOWNESS, wait_until

pytestmark = pytest.mark.skipif(bool(wrapper_command()) or is_sanitized(),
                                reason="not about the daemon")

LINES_MAX = 59
COLUMNS_MAX = 100
SYNTAX_CHECKS = {"py": [sys.executable, "-m", "py_compile"], "js": ["node", "--check"],
                 "php": ["php", "-l"], "sh": ["bash", "-n"]}


def short(value) -> str:
    """The name of a parameter."""
    return repr(value)[:20]


def conformance(kind: str, place: Path = WORKERS, *options: str) -> List[str]:
    """Runs the conformance test on a worker; returns its lines, the last one without a sum."""
    done = subprocess.run(
        [sys.executable, str(WORKERS / "conformance.py"), "--visibility",
         str(int(1000 * SLOWNESS)), *options, "--", *example_command(kind, place)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **example_environment()}, timeout=15 * DEADLINE * SLOWNESS, check=False)
    lines = done.stdout.splitlines()
    assert lines and lines[-1].endswith(" not"), done.stdout
    assert (done.returncode == 0) == lines[-1].endswith(" 0 not"), done.stdout
    return lines


# The examples.

@pytest.mark.seconds(300)
@pytest.mark.parametrize("kind", EXAMPLES)
def test_keeps_all_rules(kind):
    lines = conformance(kind)
    assert len(lines) > 18 and lines[-1].endswith(" 0 not"), "\n".join(lines)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_is_short(kind):
    lines = (WORKERS / f"worker.{kind}").read_text("utf-8").splitlines()
    assert len(lines) <= LINES_MAX
    assert [line for line in lines if len(line) > COLUMNS_MAX] == []
    assert [line for line in lines if "Replace this." in line] != []


@pytest.mark.parametrize("kind", EXAMPLES)
def test_syntax(kind, tmp):
    copy = tmp / f"worker.{kind}"
    copy.write_bytes((WORKERS / copy.name).read_bytes())
    done = subprocess.run([need(SYNTAX_CHECKS[kind][0]), *SYNTAX_CHECKS[kind][1:], str(copy)],
                          capture_output=True, text=True, timeout=DEADLINE * SLOWNESS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("where", ["unix", "password"])
def test_finds_its_redis(tmp, run, kind, where):
    """On a unix socket, and in a database of its own behind a password."""
    redis = run(Redis(tmp) if where == "unix" else Redis(tmp, tcp=True, password="p:ss/w%rd@"))
    url = f"unix://{redis.address}" if where == "unix" else \
        f"redis://:p%3Ass%2Fw%25rd%40@127.0.0.1:{redis.address[1]}/3"
    lines = conformance(kind, WORKERS, "--redis", url, "-k", "its freshness")
    assert lines[-1] == "1 rules kept, 0 not", "\n".join(lines)


# The conformance test.

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ends_what_it_has_started(tmp, number):
    found = tmp / "found"
    worker = f"echo $$ $REDIS_URL >{found}.new && mv {found}.new {found} && exec sleep 600"
    line = [sys.executable, str(WORKERS / "conformance.py"), "--", "sh", "-c", worker]
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as process:
        wait_until(found.exists, "the worker to start")
        process.send_signal(number)
        assert process.wait(DEADLINE * SLOWNESS) != 0
    pid, url = found.read_text("utf-8").split()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the worker to be gone")
    assert not accepts(("127.0.0.1", int(url.rpartition(":")[2])))


# Each of these workers lacks something.

FLAWS = [
    ("stored before", 'complete(keys, [token, fresh, keep, "", making.result()])',
     'db.xack(stream, "workers", entry); complete(keys, [token, fresh, keep, "", making.result()])'),
    ("its freshness", "[token, fresh, keep,", "[token, keep, keep,"),
    ("its expiry", "[token, fresh, keep,", "[token, fresh, 2 * keep,"),
    ("any characters", "html.escape(job['name'])", "job['name']"),
    ("obsolete job is", "if begin(keys, [token, deadline]):", "if True:"),
    ("past its deadline", "if begin(keys, [token, deadline]):", "if True:"),
    ("becomes obsolete", 'complete(keys, [token, fresh, keep, "", making.result()])',
     "db.set(keys[1], making.result(), px=fresh)"),
    ("failure is remembered", "fail(keys, [token, negative, 502, str(making.exception())])",
     "pass"),
    ("older result", "fail(keys, [token, negative, 502, str(making.exception())])",
     "db.delete(*keys)"),
    ("before refreshes", "take([*STREAMS]", "take([*STREAMS][::-1]"),
    ("killed worker", "[ME, VISIBILITY])", "[ME, 3600000])"),
    ("heartbeats", 'db.xclaim(stream, "workers", ME, 0, [entry], justid=True)', "pass"),
    ("heartbeats", "justid=True", "justid=False"),
    ("again and again", "if late:", "if False:"),
    ("again and again", "fail(keys, [token, negative, 502, \"its workers died\"])", "pass"),
    ("another version", 'assert job["version"] == 1', 'assert job["version"]'),
    ("SIGTERM lets", "lambda *_: stopping.set()", "lambda *_: os._exit(0)"),
    ("idle worker", "lambda *_: stopping.set()", "lambda *_: None"),
    ("restart of Redis", "retry.Retry(backoff.ExponentialBackoff(2, 0.1), 8), retry_on_error=[Lost])",
     "retry.Retry(backoff.NoBackoff(), 0), retry_on_error=[])\nRedisError = ZeroDivisionError"),
    ("many jobs", '.xdel(stream, entry).execute()', ".execute()"),
]


@pytest.mark.parametrize("rule, part, instead", FLAWS, ids=short)
def test_notices(tmp, rule, part, instead):
    text = (WORKERS / "worker.py").read_text("utf-8")
    assert text.count(part) == 1
    for path in WORKERS.glob("*.lua"):
        (tmp / path.name).write_bytes(path.read_bytes())
    (tmp / "worker.py").write_text(text.replace(part, instead), "utf-8")
    lines = conformance("py", tmp, "--patience", "2", "-k", rule)
    assert lines[0].startswith("FAILED") and lines[-1] == "0 rules kept, 1 not", "\n".join(lines)


def test_a_plain_set_is_allowed(tmp):
    text = (WORKERS / "worker.py").read_text("utf-8")
    for path in WORKERS.glob("*.lua"):
        (tmp / path.name).write_bytes(path.read_bytes())
    (tmp / "worker.py").write_text(text.replace(
        'complete(keys, [token, fresh, keep, "", making.result()])',
        "db.set(keys[1], making.result(), px=fresh)"), "utf-8")
    lines = conformance("py", tmp, "--plain", "-k", "result")
    assert lines[-1].endswith(" 0 not"), "\n".join(lines)


# The jobs' schema.

SCHEMA = json.loads((WORKERS / "job.schema.json").read_text("utf-8"))
JOB = {"version": 1, "id": "0" * 32, "key": "worker:a?city=Paris",
       "lease": "lease:{worker:a?city=Paris}", "name": "a", "rest": "",
       "inputs": {"query:city": "Paris", "language": "de"}, "deadline": 1790000000000,
       "priority": "visitors", "fresh": 60000, "keep": 90000, "negative": 5000,
       "visibility": 30000, "attempts": 3}


def is_job(job: Dict) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(job)


def test_the_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert is_job(JOB) and is_job({**JOB, "unknown": None})
    for name in JOB:
        assert not is_job({key: value for key, value in JOB.items() if key != name}), name
    for name, value in (("version", 2), ("id", ""), ("id", "with space"), ("deadline", "1"),
                        ("deadline", 1.5), ("priority", "others"), ("attempts", 0), ("fresh", -1),
                        ("inputs", {"city": "Paris"}), ("inputs", {"query:city": 1}),
                        ("lease", "worker:a"), ("traceparent", "00-abc")):
        assert not is_job({**JOB, name: value}), (name, value)


# The scripts.

TOKEN = "6f1d" * 8
LEASE, VALUE = "lease:{worker:a}", "worker:a"
STREAMS = ["{worker:jobs}:visitors", "{worker:jobs}:refreshes"]
DEAD = "{worker:jobs}:dead"


@pytest.fixture
def script(redis):
    """script(name, keys, arguments...) runs one."""
    def run_script(name: str, keys: List[str], *arguments):
        text = (WORKERS / f"{name}.lua").read_text("utf-8")
        return redis.command("EVAL", text, len(keys), *keys, *arguments)
    return run_script


@pytest.fixture
def held(redis):
    """Somebody waits for the result of TOKEN's job."""
    redis.command("SET", LEASE, f"{TOKEN} host 1", "PX", 60000)
    return redis


def now_ms(redis: Redis) -> int:
    seconds, micros = redis.command("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


RUN = {"begin": [9999999999999], "complete": [1000, 2000, "text/html", "body"],
       "fail": [1000, 502, "reason"]}


@pytest.mark.parametrize("name", sorted(RUN))
@pytest.mark.parametrize("lease, token, holds", [
    (TOKEN, TOKEN, 1), (f"{TOKEN} host 1", TOKEN, 1), (f"{TOKEN} " + "x" * 10 ** 6, TOKEN, 1),
    (f"{TOKEN}1 host 1", TOKEN, 0), (TOKEN[:-1], TOKEN, 0), ("", TOKEN, 0), (" host", "", 0),
    ("", "", 0), (None, TOKEN, 0), (None, "", 0), (["a", "list"], TOKEN, 0)], ids=short)
def test_the_lease_decides(redis, script, name, lease, token, holds):
    if isinstance(lease, list):
        redis.command("RPUSH", LEASE, *lease)
    elif lease is not None:
        redis.command("SET", LEASE, lease)  # without an expiry, too
    assert script(name, [LEASE, VALUE], token, *RUN[name]) == holds
    if not holds:
        assert not redis.command("EXISTS", VALUE)
        assert redis.command("EXISTS", LEASE) == (lease is not None)
    elif name != "begin":
        assert redis.keys() == [VALUE]


def test_the_deadline_decides(held, script):
    for deadline, wanted in ((now_ms(held) + 10000, 1), (now_ms(held) - 1, 0), ("", 0), (0, 0)):
        assert script("begin", [LEASE, VALUE], TOKEN, deadline) == wanted, deadline


@pytest.mark.parametrize("media_type, written", [
    ("text/plain", "text/plain"), ("", "text/html; charset=utf-8"),
    ("text/html\nstatus=1", "text/html; charset=utf-8"), ("x" * 128, "text/html; charset=utf-8"),
    ("x" * 127, "x" * 127), ("text/\x7f", "text/html; charset=utf-8")], ids=short)
def test_complete(held, script, media_type, written):
    body = bytes(range(256)) + b"\n"
    assert script("complete", [LEASE, VALUE], TOKEN, 30000, 40000, media_type, body) == 1
    line, _, rest = held.command("GET", VALUE).partition(b"\n")
    made = int(line.split()[1].partition(b"=")[2])
    assert line.decode() == f"workerless/1 made={made} fresh={made + 30000} cost=0 status=200 " \
                            f"type={written}"
    assert rest == body and now_ms(held) - 10000 < made <= now_ms(held)
    assert 30000 < held.command("PTTL", VALUE) <= 40000


@pytest.mark.parametrize("fresh, keep, lives", [
    (0, 0, 1000), (-5, 60000, 60000), (5000, 0, 5000), (1e18, 1e18, 6.4e12), ("1.5e3", 2000, 2000)])
def test_odd_times(held, script, fresh, keep, lives):
    held.command("RPUSH", VALUE, "of another type")
    assert script("complete", [LEASE, VALUE], TOKEN, fresh, keep, "", "") == 1
    assert held.command("GET", VALUE).startswith(b"workerless/1 made=")
    assert 0.5 * lives < held.command("PTTL", VALUE) <= lives


@pytest.mark.parametrize("name, arguments", [
    ("complete", ["x", 1, "", ""]), ("complete", [1, "", "", ""]), ("fail", ["x", 502, ""])])
def test_no_times(held, script, name, arguments):
    with pytest.raises(RedisError):
        script(name, [LEASE, VALUE], TOKEN, *arguments)
    assert held.keys() == [LEASE]


ENVELOPE = "workerless/1 made=1 fresh=%s cost=3 status=%s type=text/plain\n%s"


@pytest.mark.parametrize("older", [
    None, ENVELOPE % (1790000000000, 502, ""), ENVELOPE % (1790000000000, "uncacheable", "why"),
    "workerless/2 something else", "workerless/1 made=x", ["a", "list"]])
@pytest.mark.parametrize("status, written", [(502, 502), (504, 504), (404, 404), (200, 502)])
def test_fail_without_an_older_result(held, script, older, status, written):
    if isinstance(older, list):
        held.command("RPUSH", VALUE, *older)
    elif older:
        held.command("SET", VALUE, older)
    assert script("fail", [LEASE, VALUE], TOKEN, 5000, status, "why" * 100) == 1
    line, _, reason = held.command("GET", VALUE).partition(b"\n")
    made = int(line.split()[1].partition(b"=")[2])
    assert line.decode() == f"workerless/1 made={made} fresh={made + 5000} cost=0 " \
                            f"status={written} type=text/plain"
    assert reason.decode() == ("why" * 100)[:200]
    assert 0 < held.command("PTTL", VALUE) <= 5000 and held.keys() == [VALUE]


@pytest.mark.parametrize("fresh", [1590000000000, 5])  # written in place, and not
@pytest.mark.parametrize("terms, kept", [
    ("", ""), (" stale=99 error=1000000", " stale=00 error=0000000"),
    (" must-revalidate clients=5", " must-revalidate clients=5")])
def test_fail_with_an_older_result(held, script, fresh, terms, kept):
    body = "stale=5 error=6\n" * 100000
    line = "workerless/1 made=1 fresh=%s cost=3 status=200%s type=text/plain\n"
    held.command("SET", VALUE, line % (fresh, terms) + body, "PX", 90000)
    before = now_ms(held)
    assert script("fail", [LEASE, VALUE], TOKEN, 0, 502, "") == 2
    value = held.command("GET", VALUE).decode()
    until = int(value.split()[2].partition("=")[2])
    assert before + 1000 <= until <= now_ms(held) + 1000
    assert value == line % (until, kept) + body
    assert 60000 < held.command("PTTL", VALUE) <= 90000 and held.keys() == [VALUE]


@pytest.mark.parametrize("value", [
    ENVELOPE % (9790000000000, 200, "it is newer"), "a plain value", "x" * 2 ** 20, "\n"],
    ids=short)
def test_fail_leaves_a_newer_value(held, script, value):
    held.command("SET", VALUE, value)
    assert script("fail", [LEASE, VALUE], TOKEN, 5000, 502, "") == 2
    assert held.command("GET", VALUE).decode() == value and held.keys() == [VALUE]


def test_fail_with_404_replaces_an_older_result(held, script):
    held.command("SET", VALUE, ENVELOPE % (1, 200, "there was one"))
    assert script("fail", [LEASE, VALUE], TOKEN, 5000, 404, "") == 1
    assert b"status=404" in held.command("GET", VALUE)


# Jobs are taken.

def take(script, worker: str = "me", visibility: int = 60000) -> List[bytes]:
    return script("take", STREAMS, worker, visibility)


def put(redis: Redis, stream: str, text: str) -> bytes:
    return redis.command("XADD", stream, "*", "job", text)


def test_take(redis, script):
    assert take(script) == []  # and the streams are there
    second = put(redis, STREAMS[1], "a refresh")
    first = put(redis, STREAMS[0], "a visitor's")
    assert take(script) == [STREAMS[0].encode(), first, 1, b"a visitor's"]
    assert take(script) == [STREAMS[1].encode(), second, 1, b"a refresh"]
    assert take(script) == []
    assert take(script, "other", 0) == [STREAMS[0].encode(), first, 2, b"a visitor's"]
    assert redis.command("XPENDING", STREAMS[0], "workers", "-", "+", 1)[0][1] == b"other"


def test_take_skips_what_is_gone(redis, script):
    """Entries that are pending and deleted, whatever this version of Redis does with them."""
    take(script)
    entries = [put(redis, STREAMS[0], str(number)) for number in range(5)]
    for _ in entries:
        take(script)
    redis.command("XDEL", STREAMS[0], *entries[:4])
    assert take(script, "other", 0)[3] == b"4"
    assert redis.command("XPENDING", STREAMS[0], "workers")[0] == 1


def test_take_copes_with_odd_streams(redis, script):
    redis.command("XADD", STREAMS[0], "*", "other", "field")
    assert take(script)[2:] == [1, b""]
    redis.command("XADD", STREAMS[0], "*", "other", "field", "job", "text")
    assert take(script)[2:] == [1, b"text"]
    redis.command("DEL", *STREAMS)
    redis.command("SET", STREAMS[0], "a string")
    with pytest.raises(RedisError, match="WRONGTYPE"):
        take(script)


def test_bury(redis, script):
    take(script)
    entry = put(redis, STREAMS[0], "the job")
    take(script)
    arguments = (entry, "the job", "why", 3, "me")
    assert script("bury", [STREAMS[0], DEAD], *arguments) == 1
    assert script("bury", [STREAMS[0], DEAD], *arguments) == 0  # by somebody else
    (_, letter), = redis.command("XRANGE", DEAD, "-", "+")
    assert letter == [b"job", b"the job", b"reason", b"why", b"attempts", b"3", b"worker", b"me"]
    assert redis.command("XLEN", STREAMS[0]) == 0
    assert redis.command("XPENDING", STREAMS[0], "workers")[0] == 0


def test_bury_loses_nothing(redis, script):
    """If the dead letter can't be written, the job stays where it is."""
    take(script)
    entry = put(redis, STREAMS[0], "the job")
    take(script)
    redis.command("SET", DEAD, "a string")
    with pytest.raises(RedisError, match="WRONGTYPE"):
        script("bury", [STREAMS[0], DEAD], entry, "the job", "why", 3, "me")
    assert redis.command("XLEN", STREAMS[0]) == 1
    assert redis.command("XPENDING", STREAMS[0], "workers")[0] == 1


def test_dead_letters_are_limited(redis, script):
    take(script)
    for number in range(1300):
        entry = put(redis, STREAMS[0], str(number))
        take(script)
        assert script("bury", [STREAMS[0], DEAD], entry, str(number), "why", 3, "me") == 1
    assert 1000 <= redis.command("XLEN", DEAD) <= 1100


def test_in_a_cluster(tmp, run):
    """Each call has its keys in one slot, and uses no others."""
    node = run(Node(tmp))
    for slot in range(0, SLOTS, 1024):
        node.command("CLUSTER", "ADDSLOTS", *range(slot, slot + 1024))
    wait_until(lambda: node.info()["cluster_state"] == "ok", "the cluster to be usable")
    assert len({slot_of(key) for key in [*STREAMS, DEAD]}) == 1
    node.command("SET", LEASE, TOKEN)
    calls = [("begin", [LEASE, VALUE], TOKEN, 9999999999999),
             ("complete", [LEASE, VALUE], TOKEN, 1000, 1000, "", ""),
             ("fail", [LEASE, VALUE], TOKEN, 1000, 502, ""), ("take", STREAMS, "me", 1000),
             ("bury", [STREAMS[0], DEAD], "1-1", "job", "why", 1, "me")]
    for name, keys, *arguments in calls:
        text = (WORKERS / f"{name}.lua").read_text("utf-8")
        node.command("EVAL", text, len(keys), *keys, *arguments)


@pytest.mark.parametrize("name, keys, arguments, printed", [
    ("begin", [LEASE, VALUE], [TOKEN, "9999999999999"], "1"),
    ("fail", [LEASE, VALUE], [TOKEN, "5000", "502", "two words"], "1"),
    ("complete", [LEASE, VALUE], [TOKEN, "5000", "5000", "", "two words"], "1"),
    ("take", STREAMS, ["me", "60000"], f"{STREAMS[0]}\n1-1\n1\ntwo words"),
    ("bury", [STREAMS[0], DEAD], ["1-1", "two words", "no reason", "3", "me"], "0"),
])
def test_with_redis_cli(held, name, keys, arguments, printed):
    held.command("XADD", STREAMS[0], "1-1", "job", "two words")
    done = subprocess.run(
        [need("redis-cli"), "-s", held.address, "--eval", str(WORKERS / f"{name}.lua"), *keys, ",",
         *arguments], capture_output=True, text=True, timeout=DEADLINE * SLOWNESS, check=False)
    assert done.stdout.strip() == printed, done.stderr
