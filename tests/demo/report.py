"""What the workers of the demo do with a job. The text of this file takes the place of make() in
conf/workers/worker.py."""

import html
import os
import platform
import random
import time
from pathlib import Path


def make(_job):
    """Counts the lines of workerless."""
    time.sleep(random.uniform(1, 3))  # so that there is something to wait for
    top, rooms = Path(os.environ["CODE"]), {}
    for path in top.rglob("*.[ch]"):
        room = path.relative_to(top).parts[0]
        rooms[room] = rooms.get(room, 0) + path.read_text("utf-8").count("\n")
    largest = sorted(rooms.items(), key=lambda item: -item[1])[:4]
    rows = "".join(
        f'<tr><th scope="row">{html.escape(room)}</th><td><meter max="{largest[0][1]}"'
        f' value="{lines}" aria-label="{lines} lines"></meter></td><td>{lines:,}</td></tr>'
        for room, lines in largest)
    return (f"<table><caption>workerless has {sum(rooms.values()):,} lines of C</caption>"
            f'<tbody>{rows}</tbody></table><p class="by">Made by Python'
            f" {platform.python_version()}, worker process {os.getpid()}</p>")
