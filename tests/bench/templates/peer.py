"""peer.py TEMPLATE PARTIAL JSON SECONDS: the processor time of pystache, as rendering.c says it."""

import json
import sys
import time
from pathlib import Path

import pystache


def measure(seconds, once):
    begin, count = time.process_time_ns(), 0
    while time.process_time_ns() - begin < seconds * 1e9:
        for _ in range(10):
            once()
        count += 10
    return (time.process_time_ns() - begin) / count


def main():
    template, partial, text = (Path(path).read_text("utf-8") for path in sys.argv[1:4])
    seconds = float(sys.argv[4])
    parsed, data = pystache.parse(template), json.loads(text)
    renderer = pystache.Renderer(partials={"review": partial})
    sys.stderr.write(renderer.render(parsed, data))
    print(json.dumps({
        "both": measure(seconds, lambda: renderer.render(parsed, json.loads(text))),
        "render": measure(seconds, lambda: renderer.render(parsed, data)),
    }))


main()
