"""Runs jobs of workerless: REDIS_URL=redis://localhost python3 worker.py worker:jobs [VISIBILITY]
Start as many as you like: the job of one that dies is run again by another. Needs redis-py."""
import html, json, os, signal, socket, sys, threading, time  # pylint: disable=multiple-imports
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from redis import ConnectionError as Lost, Redis, RedisError, backoff, retry

def make(job):
    """Replace this. Returns the HTML; if it raises an exception, the job has failed."""
    time.sleep(float(job["inputs"].get("query:delay", 0)))
    if "query:error" in job["inputs"]:
        raise ValueError(job["inputs"]["query:error"])
    return f"<p>result for {html.escape(job['name'])}</p>"

STREAMS = {f"{{{sys.argv[1]}}}:{end}": ">" for end in ("visitors", "refreshes")}
DEAD = f"{{{sys.argv[1]}}}:dead"
VISIBILITY, ME = int((*sys.argv, 30000)[2]), f"{socket.gethostname()}-{os.getpid()}"
db = Redis.from_url(os.environ["REDIS_URL"], decode_responses=True, encoding_errors="replace",
                    retry=retry.Retry(backoff.ExponentialBackoff(2, 0.1), 8), retry_on_error=[Lost])
take, begin, complete, fail, bury = (
    db.register_script(Path(__file__).resolve().with_name(f"{name}.lua").read_text("utf-8"))
    for name in ("take", "begin", "complete", "fail", "bury"))
pool, stopping = ThreadPoolExecutor(1), threading.Event()

def run(stream, entry, tries, text):
    """Runs a job, unless nobody wants its result any more, and removes it from its stream."""
    try:
        job = json.loads(text)
        assert job["version"] == 1
        keys, late = [job["lease"], job["key"]], tries > job["attempts"]
        token, deadline, fresh, keep, negative = (
            job[name] for name in ("id", "deadline", "fresh", "keep", "negative"))
    except (AssertionError, KeyError, TypeError, ValueError):
        return bury([stream, DEAD], [entry, text, "not a job of version 1", tries - 1, ME])
    if late:
        fail(keys, [token, negative, 502, "its workers died"])
        return bury([stream, DEAD], [entry, text, "its workers died", tries - 1, ME])
    if begin(keys, [token, deadline]):
        making = pool.submit(make, job)
        while not wait([making], VISIBILITY / 3000).done:
            db.xclaim(stream, "workers", ME, 0, [entry], justid=True)  # the heartbeat
        if making.exception():
            fail(keys, [token, negative, 502, str(making.exception())])
        else:
            complete(keys, [token, fresh, keep, "", making.result()])
    return db.pipeline().xack(stream, "workers", entry).xdel(stream, entry).execute()

signal.signal(signal.SIGTERM, lambda *_: stopping.set())
while not stopping.is_set():
    try:
        if taken := take([*STREAMS], [ME, VISIBILITY]):
            run(*taken)
        else:
            for name, [(number, fields)] in db.xreadgroup("workers", ME, STREAMS, 1, 1000):
                run(name, number, 1, fields.get("job", ""))
    except RedisError as problem:
        print(f"{ME}: {problem}", file=sys.stderr)
        stopping.wait(1)
