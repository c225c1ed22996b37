"""The sources behind the parts of the demo's page: an HTTP API whose JSON a template renders, a PHP
script, a module in C that queries PostgreSQL, and background workers."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from string import Template
from typing import Dict, List

from harness import php, postgres
from harness.process import Server
from harness.servers import TOP, Redis
from harness.slowapi import SlowApi

HERE = Path(__file__).resolve().parent
EXAMPLES = TOP / "conf/workers"
WORKERS = 2

BOOKS = """
CREATE TABLE books (id int PRIMARY KEY, title text, author text);
INSERT INTO books VALUES (1, 'Waiting for Godot', 'Samuel Beckett'),
    (2, 'In Search of Lost Time', 'Marcel Proust'), (3, 'Great Expectations', 'Charles Dickens'),
    (4, 'Momo', 'Michael Ende');
CREATE TABLE holds (book int REFERENCES books);
INSERT INTO holds SELECT 1 + (reader * reader) % 11 % 4 FROM generate_series(1, 90) AS reader;
CREATE VIEW waiting AS
    SELECT json_build_object('books', json_agg(most), 'process', pg_backend_pid(),
        'version', split_part(current_setting('server_version'), ' ', 1)) AS body
    FROM (SELECT title, author, count(*) AS waiting FROM books JOIN holds ON book = id
        GROUP BY id ORDER BY waiting DESC, id LIMIT 3) AS most;
"""

CONFIG = {
    "weather": """
templates = "$here/templates"
source "weather-office" {
    type = "http"
    url  = "$api/{name}"
}
fragment "weather" {
    source   = "weather-office"
    template = "weather.html"
    required = {"sky", "hours"}
    fallback = "$fallbacks/weather.html"
    stream   = "yes"
}
""", "departures": """
source "station" {
    type = "http"
    url  = "$api/{name}"
}
fragment "departures" {
    source   = "station"
    template = "departures.html"
    required = {"station", "trains"}
    fallback = "$fallbacks/departures.html"
    stream   = "yes"
}
""", "moon": """
source "scripts" {
    type   = "fastcgi"
    socket = "unix:$php"
    script = "$here/fragments/{name}.php"
}
fragment "moon" {
    source   = "scripts"
    fallback = "$fallbacks/moon.html"
    stream   = "yes"
}
""", "books": """
source "library" {
    type     = "module"
    file     = "$module"
    settings = {
        "connect = $postgres",
        "query = SELECT body FROM waiting, pg_sleep(0.5 + 2 * random())",
        "parameters =",
        "type = application/json",
    }
}
fragment "books" {
    source   = "library"
    template = "books.html"
    required = {"books"}
    fallback = "$fallbacks/books.html"
    stream   = "yes"
}
""", "report": """
source "workers" {
    type    = "queue"
    jobs    = "reports"
    timeout = "20s"
}
fragment "report" {
    source   = "workers"
    fallback = "$fallbacks/report.html"
    stream   = "yes"
}
""",
}

# The fallbacks.
SORRY = {
    "weather": "The weather office does not answer. Look out of the window.",
    "departures": "The station does not answer. Its printed timetable hangs in the hall.",
    "moon": "No word from the observatory tonight.",
    "books": "The library's catalogue is closed.",
    "report": "Nobody is there to count tonight.",
}

# In place of the source of a card whose programs are not installed. Nobody listens there.
ABSENT = """
source "no-$card" {
    type   = "fastcgi"
    socket = "unix:$fallbacks/nobody"
    script = "/srv/app/{name}.php"
}
fragment "$card" {
    source   = "no-$card"
    fallback = "$fallbacks/$card.html"
    stream   = "yes"
}
"""


class Worker(Server):
    """conf/workers/worker.py with report.py in place of its make()."""

    name = "worker"

    def __init__(self, tmp: str, redis: Redis) -> None:
        super().__init__(tmp)
        for script in EXAMPLES.glob("*.lua"):
            shutil.copy(script, self.dir)
        text, count = re.subn(r"^def make\(job\):\n(?: .*\n)+",
                              lambda _: (HERE / "report.py").read_text("utf-8"),
                              (EXAMPLES / "worker.py").read_text("utf-8"), flags=re.MULTILINE)
        assert count == 1, "conf/workers/worker.py has no make() any more"
        (self.dir / "worker.py").write_text(text, "utf-8")
        self.environment = {"REDIS_URL": f"unix://{redis.address}", "CODE": str(TOP / "fcgi")}

    def command_line(self) -> List[str]:
        return [sys.executable, str(self.dir / "worker.py"), "worker:reports"]

    def ready(self) -> bool:
        return True

    def check_end(self, status: int) -> None:
        assert status in (0, -self.stop_signal), self.log()  # the latter before it has begun


def missing() -> Dict[str, str]:
    """What is not installed: card -> Debian packages."""
    found = {}
    if not php.installed():
        found["moon"] = "php-fpm"
    if not postgres.installed() or not os.environ.get("MODULE"):
        found["books"] = "libpq-dev postgresql"
    if not importlib.util.find_spec("redis"):
        found["report"] = "python3-redis"
    return found


class Sources:
    """What the cards need. `servers` are those that are installed, and `config` is for
    workerless."""

    def __init__(self, tmp: str, redis: Redis, api: SlowApi) -> None:
        self.missing = missing()
        self.servers: List[Server] = []
        self._values = {"here": str(HERE), "fallbacks": tmp, "api": api.url,
                        "module": os.environ.get("MODULE", "")}
        for card in CONFIG:
            packages = self.missing.get(card)
            why = SORRY[card]
            if packages:
                why = f"To read this, run <code>apt-get install {packages}</code>, and then" \
                    " <code>./configure &amp;&amp; make demo</code>."
            Path(tmp, f"{card}.html").write_text(f"<p>{why}</p>\n", "utf-8")
        if "moon" not in self.missing:
            fpm = php.PhpFpm(tmp, {})
            self._values["php"] = str(fpm.address)
            self.servers.append(fpm)
        self._postgres = None
        if "books" not in self.missing:
            self._postgres = postgres.Postgres(tmp)
            self._values["postgres"] = self._postgres.connect
            self.servers.append(self._postgres)
        if "report" not in self.missing:
            self.servers += [Worker(tmp, redis) for _ in range(WORKERS)]

    @property
    def config(self) -> str:
        return "".join(
            Template(ABSENT if card in self.missing else text).substitute(self._values, card=card)
            for card, text in CONFIG.items())

    def fill(self) -> None:
        """Fills the database, which runs now."""
        if self._postgres:
            self._postgres.query(BOOKS)
