"""The rooms of fcgi/: a file includes only what is below it, and each library has one home. What
the heads of files say about other files is true."""

import re
from collections import Counter
from pathlib import Path

import pytest

from harness.servers import TOP

FCGI = TOP / "fcgi"

# From the top down. A room with named files lists them in order too, two that are halves of one thing
# together; other files of a room are below the named ones. A header with its room's name is the
# room's interface: all of the room may include it.
ORDER = [
    ("main", []),
    ("cli", ["cli", "check drain explain get purge render run status", "commands", "watch", "view",
             "load daemon", "arguments", "cgi", "client"]),
    ("supervisor", []),
    ("server", []),
    ("reload", []),
    ("generation", []),
    ("drain", []),
    ("sandbox", []),
    ("logs", []),
    ("conf", ["compare", "conf", "build", "pages rendering"]),
    ("wire", ["listener", "share sockets", "connection", "exchange", "inflight", "request",
              "output"]),
    ("web", ["service publisher",
             "counters explain fragment fragments health metrics page purge status", "totals",
             "report", "batch", "endpoint", "answer", "feed", "assembly access_log", "event", "variant",
             "query", "request", "route site", "response", "method"]),
    ("park", ["stream", "flights", "flight", "flight_call", "flight_store", "flight_state",
              "rules", "outcome", "purge inspect", "fragment", "recipe", "tally", "waiter", "freshness"]),
    ("cache", ["cache", "purge inspect", "lease", "store", "operation", "scripts", "memory", "changes",
               "names", "entry"]),
    ("source", []),
    ("render", []),
    ("redis", ["clock", "topology", "server", "tracker", "access", "sentinel", "pipeline", "conn",
               "check", "tls", "guard"]),
    ("fastcgi", ["values", "params", "record"]),
    ("base", []),
]
ROOMS = [room for room, _ in ORDER]

# Library header -> the only files that may include it.
HOMES = {
    r"hiredis/.*": ["redis/*.c"],
    r"openssl/.*": ["redis/tls.c"],
    r"curl/.*": ["source/http_features.c", "source/http_fields.[ch]", "source/http_memory.[ch]",
                 "source/http_multi.[ch]", "source/http_tls.[ch]", "source/http_transfer.[ch]",
                 "source/redirect.c", "source/url.c"],
    r"confuse\.h": ["conf/*"],
    r"jansson\.h": ["render/json.c", "render/mustache_value.c"],
    r"sodium.*": ["web/digest.c"],
    r"seccomp\.h": ["base/syscalls.c"],
    r"linux/landlock\.h": ["base/landlock.c"],
    r"fcgi.*\.h": ["wire/sockets.c"],
    r"fastcgi\.h": ["fastcgi/record.h", "wire/sockets.c"],
    r"workerless/source\.h": ["source/module*.[ch]"],
    r"dlfcn\.h": ["source/module_library.c"],
    r"sys/sdt\.h": ["base/usdt.h"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def sources() -> list:
    """Paths relative to fcgi/, of the sources in it."""
    return sorted(str(path.relative_to(FCGI)) for path in FCGI.rglob("*.[ch]")
                  if path.name != "config.h")


def includes(path: str) -> list:
    """(own, library) for each include line; one of both is empty."""
    return INCLUDE.findall((FCGI / path).read_text(encoding="utf-8"))


def place(path: str) -> tuple:
    """(room, file) as numbers that grow downwards."""
    room, _, file = path.rpartition("/")
    room = room or Path(path).stem
    assert room in ROOMS, f"{path} is in no known room"
    stem, named = Path(file).stem, dict(ORDER)[room]
    levels = [level for level, stems in enumerate(named) if stem in stems.split()]
    return ROOMS.index(room), levels[0] if levels else len(named)


def test_there_is_something_to_test():
    assert len(sources()) > 20 and "main.c" in sources()


@pytest.mark.parametrize("path", sources())
def test_includes_only_what_is_below(path):
    room, stem = path.rpartition("/")[0], Path(path).stem
    for own, _ in includes(path):
        if not own or own == "config.h":
            continue
        assert (FCGI / own).is_file(), f"{path} includes {own}, which is not there"
        if own == str(Path(path).with_suffix(".h")):
            continue
        here, there = place(path), place(own)
        if room == "base":
            assert there[0] == here[0], f"{path} includes {own}"
        elif own == f"{room}/{room}.h":
            continue
        elif there[0] == here[0]:
            assert there[1] >= here[1] and Path(own).stem != stem, \
                f"{path} includes {own}, which is above it in its room"
        else:
            assert there[0] > here[0], f"{path} includes {own}, which is above it"


@pytest.mark.parametrize("path", sources())
def test_libraries_have_one_home(path):
    for _, library in includes(path):
        for pattern, homes in HOMES.items():
            if library and re.fullmatch(pattern, library):
                assert any(Path(path).match(home) for home in homes), f"{path} includes <{library}>"


@pytest.mark.parametrize("path", [path for path in sources() if path.endswith(".c")])
def test_own_header_comes_first(path):
    header = str(Path(path).with_suffix(".h"))
    if (FCGI / header).is_file():
        assert includes(path)[0][0] == header


def test_headers_form_no_cycle():
    below = {path: [own for own, _ in includes(path) if own and own != "config.h"]
             for path in sources() if path.endswith(".h")}
    done = set()

    def visit(path: str, way: tuple) -> None:
        assert path not in way, " -> ".join([*way, path])
        if path not in done:
            for own in below.get(path, []):
                visit(own, (*way, path))
            done.add(path)

    for header in below:
        visit(header, ())


def test_the_way_that_readme_names():
    """The walks of a request: every file exists, and is below the one before it."""
    way = re.findall(r"`(\w+/\w+\.c)`", (TOP / "README.md").read_text(encoding="utf-8"))
    assert len(way) > 5 and [path for path in way if path not in sources()] == []
    places = [place(path) for path in way]
    assert places == sorted(set(places))


def head_of(path: str) -> str:
    """The comment that the file begins with."""
    return (FCGI / path).read_text(encoding="utf-8").partition("*/")[0]


def test_the_turn_of_the_loop_that_main_draws():
    """Each watcher with a priority, by the last word of its file's name."""
    levels = {"EV_MAXPRI": "highest", "EV_MINPRI": "lowest"}
    set_there = Counter(
        (levels[level], Path(path).stem.split("_")[-1]) for path in sources()
        for level in re.findall(r"\bev_set_priority\(.*\b(\w+)\);",
                                (FCGI / path).read_text(encoding="utf-8")))
    drawn = Counter(re.findall(r"\b(highest|lowest)  +(\w+)", head_of("server.c")))
    assert sum(drawn.values()) > 3 and drawn == set_there


def test_the_functions_that_exchange_names():
    """Where each rule is kept."""
    table = head_of("wire/exchange.h").partition("Where each rule is kept")[2]
    rows = [line.rsplit("  ", 1)[1] for line in table.splitlines() if "_" in line and "  " in line]
    names = [name for row in rows for name in re.findall(r"\w+", row)]
    code = "".join((FCGI / path).read_text(encoding="utf-8") for path in sources())
    assert len(names) > 20
    assert [name for name in names
            if not re.search(rf"^\w[^;\n]*\b{name}\(", code, re.MULTILINE)] == []
