"""Runs `make demo`, fetches the fragments of its pages, and ends it with the signal of Ctrl-C.

For a system that has only what building and the demo need, so without pytest. Run it in the build
directory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request

SECONDS = 180  # for all of it

# What each fragment says.
SAYS = {
    "a": r"result for a",
    "b": r"result for b",
    "c": r"result for c",
    "weather": r"Made by weather.html from JSON of process \d+",
    "departures": r"Made by departures.html from JSON of process \d+",
    "moon": r"Made by PHP \S+ in php-fpm, process \d+",
    "books": r"Made by PostgreSQL \S+, process \d+",
    "report": r"Made by Python \S+, worker process \d+",
}


def main() -> int:
    demo = subprocess.Popen(["make", "demo", "PORT=0"], stdin=subprocess.DEVNULL, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True)
    timer = threading.Timer(SECONDS, os.killpg, (demo.pid, signal.SIGKILL))
    timer.start()
    output, pages = "", []
    for line in demo.stdout:
        output += line
        url = re.search(r"http://127\S+/", line)
        if url:
            for name in SAYS:
                with urllib.request.urlopen(f"{url.group()}fragment/{name}", timeout=60) as reply:
                    pages.append(re.sub("<[^>]*>", "", reply.read().decode()))
            os.killpg(demo.pid, signal.SIGINT)
    demo.wait()
    timer.cancel()
    good = [bool(re.search(says, page)) for page, says in zip(pages, SAYS.values())]
    if good != [True] * len(SAYS) or re.search("^demo: ", output, re.MULTILINE):
        print(f"{output}fragments: {pages}\nmake demo: failed")
        return 1
    print("make demo: works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
