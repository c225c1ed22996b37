"""Sources of type module: libraries that are built with what is installed, good ones and others."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.build import Kit
from harness.cli import cli
from harness.fcgi import ask
from harness.postgres import Postgres
from harness.wait import SLOWNESS, scaled, wait_until

CONFIG = """
{top}
cache {{ redis = "{redis}" }}
source "m" {{ type = "module" file = "{file}" {settings} {options} }}
fragment "*" {{ source = "m" {route} }}
"""


@pytest.fixture(name="kit", scope="module")
def fixture_kit():
    """Everybody may enter it: the daemon may be another user."""
    path = Path(tempfile.mkdtemp(prefix="wl-kit-"))
    path.chmod(0o711)
    yield Kit(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(name="hello", scope="module")
def fixture_hello(kit):
    return kit.module("hello")


@pytest.fixture(name="misbehaving", scope="module")
def fixture_misbehaving(kit):
    return kit.module("misbehaving")


def config(file: Path, *settings: str, options: str = "", route: str = "", top: str = "",
           redis: str = "") -> str:
    quoted = ", ".join('"' + setting.replace('"', '\\"') + '"' for setting in settings)
    return CONFIG.format(file=file, settings=f"settings = {{{quoted}}}" if settings else "", options=options, route=route, top=top,
                         redis=redis)


def timeout(milliseconds: int) -> str:
    return f'timeout = "{milliseconds * max(SLOWNESS, 1):.0f}ms"'


def check(tmp: Path, text: str) -> str:
    """What `workerless check` says, without the place; "" if it is content."""
    (tmp / "w.conf").write_text(text, "utf-8")
    done = cli("check", "-c", str(tmp / "w.conf"))
    lines = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert (done.returncode == 0) == (lines == ["ok"]), done.stderr
    return "" if lines == ["ok"] else "\n".join(lines)


def reload(server, text: str, ends: str = "reloaded ") -> str:
    """What the log says of it."""
    server.wait_log("info main: workerless ")
    first = server.config_path.read_text("utf-8").splitlines()[0]
    server.config_path.write_text(f"{first}\n{text}", "utf-8")
    before = len(server.log())
    server.signal(signal.SIGHUP)
    wait_until(lambda: ends in server.log()[before:], f"{ends!r} in the log")
    return server.log()[before:]


# --- a good one


@pytest.mark.parametrize("top", ["", "workers = 2", 'sandbox = "yes"'])
def test_hello(daemon, hello, top):
    server = daemon(config(hello, "greeting = Good day", top=top))
    assert ask(server.address, "/fragment/you").text == '<div id="you">Good day, you!</div>'
    assert "&lt;b&gt;" in ask(server.address, "/fragment/<b>").text
    text = reload(server, config(hello, top=top))
    assert 'sources replaced: "m"' in text
    wait_until(lambda: "Hello, me!" in ask(server.address, "/fragment/me").text, "the new settings")


def test_the_header_is_c99_and_stands_alone(kit, tmp):
    """What hello.c needs beside it is only the C library."""
    assert kit.module("hello", "-std=c99", "-Wconversion", "-Wstrict-prototypes",
                      to="strict.so").is_file()
    assert check(tmp, config(kit.root / "strict.so")) == ""


def test_where_modules_are(kit, tmp):
    """Relative paths begin in the directory that pkg-config knows."""
    directory = kit.ask("--variable=moduledir").replace(str(kit.root), "", 1)
    assert directory.endswith("/workerless/modules")
    assert check(tmp, config(Path("absent.so"))) == \
        f'source "m": {directory}/absent.so: No such file or directory'


# --- those that can't be loaded


@pytest.mark.parametrize("flaw, said", [
    ("WRONG_ABI", "it was built for version 2 of the interface (WORKERLESS_ABI), but workerless "
                  "0.1.0 has version 1: build it again"),
    ("WRONG_SIZE", "its struct workerless_call has 112 bytes, but that of workerless 0.1.0 has 104: "
                   "build it again"),
    ("SHORT_SYMBOL", "its workerless_module has only 16 bytes"),
    ("NO_SYMBOL", "it does not export workerless_module"),
    ("NO_START", "its workerless_module has no start"),
    ("UNRESOLVED", "undefined symbol: there_is_no_such_function"),
])
def test_a_library_that_does_not_fit(kit, tmp, flaw, said):
    path = kit.module("misbehaving", f"-D{flaw}", to=f"{flaw}.so")
    text = check(tmp, config(path))
    assert text.startswith(f'source "m": {path}: ') and said in text, text


def test_a_file_that_can_not_be_one(hello, tmp):
    (tmp / "text.so").write_text("not a library")
    os.mkfifo(tmp / "fifo.so")
    writable = shutil.copy(hello, tmp / "writable.so")
    os.chmod(writable, 0o777)
    (tmp / "open").mkdir()
    (tmp / "open").chmod(0o777)
    shutil.copy(hello, tmp / "open/hello.so")
    for name, said in (("text.so", "file too short"), ("fifo.so", "not a regular file"),
                       ("open", "not a regular file"), ("none.so", "No such file"),
                       ("writable.so", "every user of this host may change it"),
                       ("open/hello.so", "every user of this host may change its directory")):
        assert said in check(tmp, config(tmp / name)), name
    (tmp / "link.so").symlink_to(tmp / "open/hello.so")
    assert "may change its directory" in check(tmp, config(tmp / "link.so"))
    (tmp / "open").chmod(0o1777)
    assert check(tmp, config(tmp / "link.so")) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_loads_only_what_is_roots(hello, tmp):
    """Else its owner would have root's rights."""
    os.chown(shutil.copy(hello, tmp / "theirs.so"), 65534, 65534)
    (tmp / "place").mkdir()
    shutil.copy(hello, tmp / "place/hello.so")
    os.chown(tmp / "place", 65534, 65534)
    (tmp / "link.so").symlink_to(tmp / "place/hello.so")
    for name, said in (("theirs.so", "it belongs to another user"),
                       ("place/hello.so", "its directory belongs to another user"),
                       ("link.so", "its directory belongs to another user")):
        assert said in check(tmp, config(tmp / name)), name


def test_settings(misbehaving, hello, tmp):
    """What they look like is checked here, what they mean by the module."""
    for settings, said in ((["check = bad"], "the module misbehaving rejects the settings: the check is bad "
                            "xxx"),
                           (["check = silent"], "it does not say why"),
                           (["a = 1", "a= 2"], "two of its settings have the same key"),
                           (["a"], "write KEY = VALUE"), ([" = b"], "write KEY = VALUE"),
                           (["a b = c"], "a key may have only letters")):
        text = check(tmp, config(misbehaving, *settings))
        assert said in text and "settings" in text, text
    assert check(tmp, config(hello, "a.b-C_1==", "b =", "c = d = e")) == ""


def test_a_module_that_can_not_be_opened(daemon, misbehaving, tmp):
    """The daemon does not start; a reload keeps the running config."""
    done_config = f'listen = {{"unix:{tmp}/s"}}\n' + config(misbehaving, "open = bad")
    (tmp / "w.conf").write_text(done_config)
    done = cli("run", "-c", str(tmp / "w.conf"))
    said = 'source "m": the module misbehaving can\'t be opened: the database is on holiday'
    assert done.returncode == 1 and said in done.stderr, done.stderr
    server = daemon(config(misbehaving))
    assert said in reload(server, config(misbehaving, "open = bad"),
                          ends="the running config stays in use")
    assert ask(server.address, "/fragment/a").text == "<p>fine</p>"


# --- what they do wrong


def test_results_that_are_not_valid(daemon, misbehaving):
    server = daemon(config(misbehaving), args=("-v",))
    for name, said in (
            ("no-body", "the module gave a length of 11 bytes, but no body"),
            ("huge-body", "the module gave 3145728 bytes, which is more than max_body = 1048576"),
            ("false-length", f"the module gave {2**64 - 1} bytes"),
            ("type-with-newline", "a type that is not a media type"),
            ("long-type", "a type that is not a media type"),
            ("control-with-newline", "a cache_control that is not the value of a header"),
            ("status", "the status 77, which does not exist"),
            ("reason", "line one\\x0aline two"), ("no-reason", "the module gave no reason"),
            ("nothing", "has completed the call without a result")):
        assert ask(server.address, f"/fragment/{name}").status == 502, name
        assert f'fragment "{name}": source "m": ' in server.log()
        assert said in server.log(), name
    assert server.counter("module_faults") == 0
    assert server.counter("calls_failed") == 10


def test_results_of_any_type(daemon, misbehaving):
    server = daemon(config(misbehaving))
    assert ask(server.address, "/fragment/image").status == 502
    assert ('fragment "image": the result has the type image/png, which is neither HTML nor text '
            '(render = "raw" passes any type)') in server.log()
    server = daemon(config(misbehaving, route='render = "raw"'))
    answer = ask(server.address, "/fragment/image")
    assert answer.status == 200 and answer.headers["content-type"] == "image/png"


def faults(server, name: str, status: int, count: int, said: str) -> None:
    """Requests the fragment, whose call leads to so many faults."""
    before = server.counter("module_faults")
    assert ask(server.address, f"/fragment/{name}").status == status
    wait_until(lambda: server.counter("module_faults") == before + count, f"{count} faults")
    assert said in server.log(), said


def test_calls_that_are_completed_wrongly(daemon, misbehaving):
    """Each is named, and none does harm."""
    server = daemon(config(misbehaving, options=timeout(300)))
    module = 'the module of source "m" has'
    faults(server, "twice", 200, 1, f'fragment "twice": {module} completed a call twice')
    faults(server, "late", 504, 1, f'fragment "late": {module} completed a call that had timed out')
    faults(server, "late-now", 504, 1, f'"late-now": {module} completed a call that had timed out')
    faults(server, "thread", 502, 2, f'fragment "thread": {module} called workerless from another')
    assert "the module has completed the call in another thread" in server.log()
    faults(server, "invented", 200, 5, "a module has completed a call that does not exist")
    assert "has logged a message for a source that is not open" in server.log()
    faults(server, "never", 504, 0, "the module has not completed the call within timeout = ")
    faults(server, "fine", 200, 0, "")


def test_a_module_that_blocks(daemon, misbehaving):
    server = daemon(config(misbehaving))
    assert ask(server.address, "/fragment/blocks").status == 200
    assert re.search(r'source "m": the start of the module misbehaving has blocked this process for '
                     r"\d", server.log())


def test_a_module_without_cancel(daemon, kit):
    """Its calls time out all the same, and what it says of them later is ignored."""
    file = kit.module("misbehaving", "-DNO_CANCEL", to="no-cancel.so")
    server = daemon(config(file, options=timeout(300)))
    faults(server, "never", 504, 0, "")
    assert ask(server.address, "/fragment/fine").status == 200
    reload(server, config(file, "haunts = yes"))  # whose open completes the call
    assert ask(server.address, "/fragment/other").status == 200


def test_what_a_module_logs(daemon, misbehaving):
    server = daemon(config(misbehaving))
    assert ask(server.address, "/fragment/logs").status == 200
    assert 'error module: source "m": line one\\x0aline two 2\n' in server.log()
    assert 'error module: source "m": of no level\n' in server.log()
    assert 'info module: source "m": opened\n' in server.log()
    assert f'source "m": opened the module misbehaving 1.2 of {misbehaving}\n' in server.log()
    server.stop()
    assert 'info module: source "m": closed\n' in server.log()


def test_a_call_that_is_cancelled(daemon, redis, misbehaving):
    """Because another process has written the value. The module completes it all the same."""
    server = daemon(config(misbehaving, redis=redis.url))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server.address, "/fragment/late")
        server.wait_counter("calls_started", 1)
        redis.command("SET", "worker:late", "<p>of another</p>", "PX", 60000)
        assert asked.result().text == "<p>of another</p>"
    server.wait_log('fragment "late": the module of source "m" has completed a call that was '
                    "cancelled")


def test_calls_at_the_end(daemon, misbehaving):
    """They are cancelled, and the module is closed."""
    server = daemon(config(misbehaving, top='shutdown_timeout = "100ms"'))
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, server.address, f"/fragment/{name}")
                 for name in ("never-1", "never-2", "late", "late-now")]
        server.wait_counter("calls_started", 4)
        server.stop()
        assert {each.result().status for each in asked} == {202}
    assert 'source "m": closed' in server.log()


# --- reload


def test_a_reload_opens_the_new_before_it_closes_the_old(daemon, misbehaving):
    """The old one is closed when its last call has ended. What it says after that is recognized."""
    limit = timeout(1000)
    server = daemon(config(misbehaving, options=limit))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server.address, "/fragment/never")
        server.wait_counter("calls_started", 1)
        text = reload(server, config(misbehaving, "a = b", options=limit))
        assert 'source "m": opened' in text and "closed" not in text
        assert ask(server.address, "/fragment/fine").status == 200
        asked.result()
    server.wait_log('source "m": closed')
    reload(server, config(misbehaving, "haunts = yes", options=limit))
    assert server.log().count('source "m": opened the module') == 3
    assert server.counter("module_faults") == 2
    assert "has completed a call twice" in server.log()
    assert 'the module of source "m" has logged a message for a source that is not' in server.log()


def test_what_is_the_same_stays_open(daemon, misbehaving):
    server = daemon(config(misbehaving))
    assert "opened" not in reload(server, config(misbehaving, top="max_parked = 5"))


def test_a_file_that_has_changed(daemon, kit, tmp):
    """Its new code takes a restart, which the log says."""
    file = tmp / "m.so"
    shutil.copy(kit.module("hello"), file)
    server = daemon(config(file))
    assert "Hello, a!" in ask(server.address, "/fragment/a").text
    shutil.copy(kit.module("misbehaving"), tmp / "new.so")
    (tmp / "new.so").rename(file)
    text = reload(server, config(file))
    assert (f'source "m": {file} has changed since it was loaded; the old code stays in use until '
            "a restart") in text
    assert "Hello, b!" in ask(server.address, "/fragment/b").text
    server.stop()
    server.start()
    assert ask(server.address, "/fragment/b").text == "<p>fine</p>"


# --- PostgreSQL


@pytest.fixture(name="library", scope="module")
def fixture_library(kit):
    return kit.module("postgres", libraries="libpq")


@pytest.fixture(name="postgres", scope="module")
def fixture_postgres():
    path = Path(tempfile.mkdtemp(prefix="wl-pg-"))
    path.chmod(0o711)
    with Postgres(path) as server:
        server.query("CREATE TABLE cards (city text, lang text, html text)")
        server.query("INSERT INTO cards VALUES ('Paris', 'de', '<p>Hauptstadt</p>'), "
                     "('Paris', NULL, '<p>capital</p>')")
        yield server
    shutil.rmtree(path, ignore_errors=True)


def database(library: Path, postgres: Postgres, query: str, *settings: str, **others) -> str:
    return config(library, f"connect = {postgres.connect}", f"query = {query}", *settings, **others)


def test_rows(daemon, library, postgres):
    """Inputs are parameters, and never part of the SQL."""
    server = daemon(database(
        library, postgres,
        "SELECT html FROM cards WHERE city = $1 AND lang IS NOT DISTINCT FROM $2",
        "parameters = query:city cookie:lang", route='vary = {"query:city", "cookie:lang"}'))
    path = "/fragment/card"
    german = {"cookie": "lang=de"}
    assert ask(server.address, path, query="city=Paris", headers=german).text == "<p>Hauptstadt</p>"
    assert ask(server.address, path, query="city=Paris").text == "<p>capital</p>"
    assert ask(server.address, path, query="city='or''='").status == 404
    assert ask(server.address, path).status == 404


def test_terms_of_a_row(daemon, library, postgres):
    """The second column is Cache-Control."""
    server = daemon(database(library, postgres,
                             "SELECT clock_timestamp()::text, $1", "type = text/plain"))
    for name, shared in (("max-age=60", True), ("private", False)):
        first, second = (ask(server.address, f"/fragment/{name}") for _ in range(2))
        assert (first.text == second.text) == shared
        assert name in first.headers["cache-control"]


def pids(server, postgres: Postgres, count: int) -> set:
    """Of the backends that make so many fragments, one after the other."""
    return {ask(server.address, f"/fragment/{postgres.name}{number}").text
            for number in range(count)}


def test_connections_are_used_again(daemon, library, postgres):
    server = daemon(database(library, postgres, "SELECT pg_backend_pid()::text || left($1, 0)",
                             route='ttl = "0"'))
    assert len(pids(server, postgres, 5)) == 1
    postgres.wait_clients(1)
    postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                   "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
    assert len(pids(server, postgres, 5)) == 1
    assert server.counter("calls_failed") == 0
    server.stop()
    postgres.wait_clients(0)


def test_many_at_a_time(daemon, library, postgres):
    server = daemon(database(library, postgres, "SELECT 'made ' || $1 || pg_sleep(0.02)::text",
                             options="connections = 4"))
    with ThreadPoolExecutor(20) as pool:
        texts = list(pool.map(lambda number: ask(server.address, f"/fragment/f{number}").text,
                              range(60)))
    assert [text.strip() for text in texts] == [f"made f{number}" for number in range(60)]
    assert postgres.clients() <= 4


def test_a_query_that_takes_too_long(daemon, library, postgres):
    """Its connection is closed, and the server ends it."""
    server = daemon(database(
        library, postgres, "SELECT CASE WHEN $1 = 'slow' THEN pg_sleep(60)::text ELSE $1 END",
        options=timeout(500)))
    assert ask(server.address, "/fragment/slow").status == 504
    assert ask(server.address, "/fragment/fast").text == "fast"


def test_errors(daemon, library, postgres):
    server = daemon(database(library, postgres, "SELECT 1 / length($1)"))
    assert ask(server.address, "/fragment/a").text == "1"
    broken = daemon(database(library, postgres, "SELECT * FROM nowhere WHERE a = $1"))
    assert ask(broken.address, "/fragment/a").status == 502
    assert ('fragment "a": source "m": PostgreSQL: relation "nowhere" does not exist'
            in broken.log())
    copies = daemon(database(library, postgres, "COPY cards TO STDOUT", "parameters ="))
    assert ask(copies.address, "/fragment/a").status == 502
    assert "PostgreSQL: COPY is not a query" in copies.log()
    late = daemon(database(library, postgres, "SELECT 1 / (3 - i) FROM generate_series(1, 9) AS i "
                           "WHERE $1 <> ''"))
    assert ask(late.address, "/fragment/a").status == 502
    assert "PostgreSQL: division by zero" in late.log()
    absent = daemon(config(library, "connect = host=/nowhere", "query = SELECT $1"))
    assert ask(absent.address, "/fragment/a").status == 502
    assert "PostgreSQL: connection to server on socket" in absent.log()


def test_a_large_table(daemon, library, postgres):
    """Only its first row counts, and the others are not kept."""
    server = daemon(database(library, postgres, "SELECT $1 || i::text, repeat('x', 1000) FROM "
                             f"generate_series(1, {scaled(200_000)}) AS i", "type = text/html"))
    before = server.resident_bytes()
    assert ask(server.address, "/fragment/a").status == 502  # a Cache-Control of 1,000 bytes
    assert server.log().count("cache_control") == 1
    assert not server.memory_is_telling or server.resident_bytes() - before < 20 << 20


def test_settings_of_the_database(tmp, library):
    for settings, said in ((["query = a", "connect = host"], 'connect: missing "=" after "host"'),
                           (["connect = host=/a"], "write a query"),
                           (["query = a", "parameters = query"], '"query" is not a parameter'),
                           (["query = a", "querry = a"], 'there is no setting "querry"')):
        assert said in check(tmp, config(library, *settings))


def test_a_server_that_restarts(daemon, library, tmp):
    with Postgres(tmp) as postgres:
        server = daemon(database(library, postgres, "SELECT 'hi ' || $1"))
        assert ask(server.address, "/fragment/a").text == "hi a"
        postgres.stop()
        assert ask(server.address, "/fragment/b").status == 502
        postgres.start()
        assert ask(server.address, "/fragment/c").text == "hi c"
