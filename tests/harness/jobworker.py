"""A worker for the jobs of a queue source, as small as the contract allows, without a library.

    jobworker.py SOCKET {NAMESPACE:JOBS} NAME SECONDS
"""

import json
import socket
import sys
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "conf/workers"


class Redis:
    """Speaks RESP2."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.reader = self.socket.makefile("rb")

    def __call__(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(
            b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.reply()

    def reply(self):
        line = self.reader.readline()
        kind, text = line[:1], line[1:-2]
        if kind == b"-":
            raise ValueError(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"$":
            return self.reader.read(int(text) + 2)[:-2] if text != b"-1" else None
        if kind == b"*":
            return [self.reply() for _ in range(int(text))] if text != b"-1" else None
        return text


def main(path: str, tag: str, me: str, seconds: str) -> None:
    redis = Redis(path)
    script = {name: (SCRIPTS / f"{name}.lua").read_text() for name in ("begin", "complete", "fail")}
    streams = [f"{tag}:visitors", f"{tag}:refreshes"]
    for stream in streams:
        try:
            redis("XGROUP", "CREATE", stream, "workers", 0, "MKSTREAM")
        except ValueError:  # it is there
            pass
    visibility, looked = 1.0, 0.0
    print("ready", flush=True)

    def on_key(name: str, job: dict, *arguments) -> int:
        return redis("EVAL", script[name], 2, job["lease"], job["key"], job["id"], *arguments)

    def work(stream: str, entry: bytes, fields: list) -> float:
        job = json.loads(fields[1])
        if on_key("begin", job, job["deadline"]):
            redis("HINCRBY", "runs", job["name"], 1)
            time.sleep(float(seconds))
            on_key("complete", job, job["fresh"], job["keep"], "text/html", f"<p>{job['name']}</p>")
        redis("XACK", stream, "workers", entry)
        redis("XDEL", stream, entry)
        return job["visibility"] / 1000

    while True:
        if time.monotonic() - looked > visibility / 2:
            looked = time.monotonic()
            for stream in streams:
                lost = redis("XAUTOCLAIM", stream, "workers", me, int(visibility * 1000), "0-0",
                             "COUNT", 1)[1]
                for entry, fields in filter(None, lost):
                    looked = 0  # there may be more
                    if fields:
                        visibility = work(stream, entry, fields)
        found = redis("XREADGROUP", "GROUP", "workers", me, "COUNT", 1, "STREAMS", streams[0], ">")
        if not found:
            found = redis("XREADGROUP", "GROUP", "workers", me, "COUNT", 1, "BLOCK", 200,
                          "STREAMS", *streams, ">", ">")
        for stream, entries in found or ():
            for entry, fields in entries:
                visibility = work(stream.decode(), entry, fields)


main(*sys.argv[1:])
