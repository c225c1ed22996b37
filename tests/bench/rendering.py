"""make bench-rendering: JSON of 4 KiB by a template of 60 lines, and what others take for the same.

    rendering.py [--rounds N] [--seconds S]

The others are mustache.js and pystache; one that is not installed is left out (Debian packages
node-mustache and python3-pystache). All must make the same HTML. Rounds are in turns; each figure is
the median of its rounds. "JSON and template" reads the JSON each time, as a daemon does; the template
is compiled once in all rows. What is shown is processor time, which other work on the machine hardly
changes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

import bench_programs

HERE = Path(__file__).resolve().parent / "templates"
WORDS = "sea sand shell wind boat light stone wave gull rope harbour salt pier tide".split()
BYTES = 4096


def words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(count))


def product(chance: random.Random, number: int) -> dict:
    return {"sku": 1000 + number, "name": f"{words(chance, 2)} & {words(chance, 1)}",
            "maker": {"name": words(chance, 1), "city": "<Brest>"},
            "price": {"now": chance.randrange(5, 99), "old": chance.choice([0, 120])},
            "stock": chance.choice([0, 3, 17]), "tags": words(chance, 3).split(),
            "quote": words(chance, 6), "note": f"<em>{words(chance, 2)}</em>"}


def make_data() -> str:
    """The same each time."""
    chance = random.Random(14)
    data = {"id": "shop", "title": "By the sea", "sale": True, "subtitle": "", "currency": "EUR",
            "categories": [{"url": f"{word}.html", "name": word, "count": 3, "active": word == "sea"}
                           for word in WORDS[:5]],
            "products": [], "reviews": [{"author": words(chance, 1), "stars": 4,
                                         "text": words(chance, 9)} for _ in range(5)],
            "pages": {"before": 1, "page": 2, "last": 9, "after": 3, "legal": "all <prices> & taxes"}}
    while len(json.dumps(data)) < BYTES - 150:
        data["products"].append(product(chance, len(data["products"])))
    data["pages"]["legal"] += " x" * ((BYTES - len(json.dumps(data))) // 2)
    return json.dumps(data)


def contenders() -> Dict[str, List[str]]:
    """Commands that take the same arguments as rendering.c."""
    found = {"workerless": [bench_programs.program("rendering")]}
    for name, command, probe in (
            ("mustache.js", ["node", str(HERE / "peer.js")], ["node", "-e", "require('mustache')"]),
            ("pystache", ["/usr/bin/python3", str(HERE / "peer.py")],
             ["/usr/bin/python3", "-c", "import pystache"])):
        environment = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
        try:
            subprocess.run(probe, check=True, capture_output=True, env=environment)
            found[name] = command
        except (OSError, subprocess.CalledProcessError):
            print(f"{name} is not installed")
    return found


def measure(command: List[str], files: List[str], seconds: float) -> tuple:
    done = subprocess.run([*command, *files, str(seconds)], check=True, capture_output=True, text=True,
                          env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})
    return json.loads(done.stdout), done.stderr


def print_table(times: Dict[str, List[dict]]) -> None:
    first = {key: statistics.median(run[key] for run in times["workerless"])
             for key in ("both", "render")}
    print(f"{'':14}{'JSON and template':>20}{'':>8}{'template alone':>20}")
    for name, runs in times.items():
        cells = ""
        for key in ("both", "render"):
            median = statistics.median(run[key] for run in runs)
            cells += f"{median / 1000:>17.1f} us{median / first[key]:>7.1f}x"
        print(f"{name:14}{cells}")


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False, description="make bench-rendering")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="of one measurement")
    options = parser.parse_args()
    times: Dict[str, List[dict]] = {}
    with tempfile.TemporaryDirectory(prefix="wl-bench-") as tmp:
        text = make_data()
        (Path(tmp) / "data.json").write_text(text, "utf-8")
        files = [str(HERE / "page.mustache"), str(HERE / "review.mustache"), f"{tmp}/data.json"]
        found, made = contenders(), {}
        for _ in range(options.rounds):
            for name, command in found.items():
                took, made[name] = measure(command, files, options.seconds)
                times.setdefault(name, []).append(took)
    lines = len((HERE / "page.mustache").read_text("utf-8").splitlines())
    print(f"{len(text)} bytes of JSON by a template of {lines} lines: "
          f"{len(made['workerless'])} bytes of HTML")
    print_table(times)
    others = [name for name, html in made.items() if html != made["workerless"]]
    for name in others:
        print(f"failed: {name} makes other HTML")
    return 1 if others else 0


if __name__ == "__main__":
    sys.exit(main())
