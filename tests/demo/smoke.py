"""Runs `make demo`, fetches its three fragments, and ends it with the signal of Ctrl-C.

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

SECONDS = 120  # for all of it


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
            for name in "abc":
                with urllib.request.urlopen(f"{url.group()}fragment/{name}", timeout=60) as reply:
                    pages.append(re.sub("<[^>]*>", "", reply.read().decode()))
            os.killpg(demo.pid, signal.SIGINT)
    demo.wait()
    timer.cancel()
    good = [page.startswith(f"result for {name}") for page, name in zip(pages, "abc")]
    if good != [True] * 3 or re.search("^demo: ", output, re.MULTILINE):
        print(f"{output}fragments: {pages}\nmake demo: failed")
        return 1
    print("make demo: works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
