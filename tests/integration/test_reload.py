"""SIGHUP: the config is read again as a whole, and swapped in where it stands. A bad one changes
nothing. What began by the old config ends by it."""

from __future__ import annotations

import re
import signal
import socket

import pytest

from harness import fcgi, fronts, workers
from harness.config import api_config
from harness.events import parse, query
from harness.fcgi import Connection, ask
from harness.load import Hits
from harness.servers import READABLE, SlowApi, Workerless
from harness.slowapi import Tls
from harness.tls import Authority
from harness.wait import scaled, wait_until

CONFIG = """
{top}
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{url}/{{name}}" {options} }}
{fragments}
"""
ALL = 'fragment "*" { source = "api" stream = "yes" }'


def config(api, *, fragments: str = ALL, options: str = "", top: str = "", redis: str = "",
           url: str = "") -> str:
    return CONFIG.format(top=top, redis=redis, url=url or api.url, options=options,
                         fragments=fragments)


def write(server: Workerless, text: str) -> None:
    """Replaces its config, but not what the harness has put before it."""
    first = server.config_path.read_text("utf-8").splitlines()[0]
    server.config_path.write_text(f"{first}\n{text}", "utf-8")


def reload(server: Workerless, text: str = "", *, ends: str = "main: reloaded ") -> str:
    """Reloads, with that config unless it is empty. Returns the messages about it, of which the
    last one has `ends`."""
    if text:
        write(server, text)
    before = len(server.log())
    server.signal(signal.SIGHUP)
    wait_until(lambda: re.search(ends, server.log()[before:]), f"{ends!r} in the log")
    return server.log()[before:]


def refuse(server: Workerless, text: str = "") -> str:
    """A reload that fails."""
    failed = server.counter("reloads_failed")
    log = reload(server, text, ends="the running config stays in use")
    assert server.counter("reloads_failed") == failed + 1
    assert server.counter("configs") == 1
    return log


def park(connection: Connection, name: str, number: int, **options) -> None:
    connection.send_raw(fcgi.request(f"/fragment/{name}", number, **options))
    connection.sync()


# What stays.


@pytest.mark.parametrize("with_redis", [False, True])
def test_memory_stays_warm(daemon, api, redis, name, with_redis):
    url = redis.url if with_redis else ""
    server = daemon(config(api, redis=url))
    if with_redis:
        server.wait_log("redis: connected")
    assert ask(server.address, f"/fragment/{name}").status == 200
    wait_until(lambda: "hit; " in ask(server.address, f"/fragment/{name}").headers["cache-status"],
               "a hit")
    hits, connected = server.counter("hits_memory"), server.counter("redis_connected")
    log = reload(server, config(api, redis=url, options='timeout = "7s"',
                                fragments='fragment "*" { source = "api" hold = "7s" }'))
    assert 'reload: sources replaced: "api"' in log and 'reload: fragments changed: "*"' in log
    assert "detail=memory" in ask(server.address, f"/fragment/{name}").headers["cache-status"]
    counters = server.counters()
    assert counters["hits_memory"] == hits + 1 and counters["redis_connected"] == connected
    assert (counters["reloads"], counters["reloads_failed"], counters["configs"]) == (1, 0, 1)
    assert api.calls(name) == 1


def test_a_source_that_has_not_changed(daemon, api):
    """It keeps its connections, its breaker, what it has counted; and its calls go on, queued or
    not."""
    options = 'connections = 1 breaker = "2 in 60s" breaker_cooldown = "60s"'
    server = daemon(config(api, options=options))
    api.hold("a")
    with Connection(server.address) as connection:
        park(connection, "a", 1)
        park(connection, "b", 2)  # queued
        api.wait_calls("a", 1)
        other = 'source "other" { type = "simulated" }\n'
        reload(server, config(api, options=options, top="max_parked = 9", fragments=other + ALL))
        park(connection, "a", 3)  # joins
        api.release("a")
        assert [connection.response(number).status for number in (1, 2, 3)] == [200] * 3
        for name in ("c", "d"):
            api.answer(name, status=500)
            assert connection.request(f"/fragment/{name}").status == 502
        assert len({call.connection for call in api.requests()}) == 1
        reload(server, config(api, options=options))
        assert connection.request("/fragment/e").status == 503  # it is not called
        assert 'source_calls_started_total{source="api"} 5\n' in metrics(server)
        reload(server, config(api, options=options + " queue = 9"))
        assert connection.request("/fragment/e").status == 200  # another source, as if it were new


def metrics(server: Workerless) -> str:
    return ask(server.address, "/workerless/metrics").text


def test_counts_follow_the_pattern(daemon, api):
    """However the sections are ordered; a route that is removed and comes back continues."""
    first = 'fragment "a" { source = "api" }\n'
    second = 'fragment "b" { source = "api" }\n'
    server = daemon(config(api, fragments=first + second))

    def misses() -> dict:
        found = re.findall(r'requests_total{route="(.)",outcome="miss"} (\d+)', metrics(server))
        return {pattern: int(count) for pattern, count in found}

    for name in ("a", "b"):
        assert ask(server.address, f"/fragment/{name}").status == 200
    assert misses() == {"a": 1, "b": 1}
    third = 'fragment "c" { source = "api" }\n'
    log = reload(server, config(api, fragments=third + second + first))
    assert 'fragments added: "c"' in log and "the order of the fragments has changed" in log
    assert ask(server.address, "/fragment/c").status == 200
    assert misses() == {"a": 1, "b": 1, "c": 1}
    log = reload(server, config(api, fragments=second))
    assert 'fragments removed: "c", "a"' in log
    assert ask(server.address, "/fragment/a").status == 404
    assert misses() == {"b": 1}
    reload(server, config(api, fragments=first + second))
    assert ask(server.address, "/fragment/a").status == 200  # still in memory
    assert misses() == {"a": 1, "b": 1}


# Old rules and new ones.


def test_parked_requests_end_by_their_rules(tmp, daemon, api):
    """Their hold, their fallback, their source's failure; new requests get the new ones."""
    old, new = tmp / "old.html", tmp / "new.html"
    old.write_text("<p>old</p>", "utf-8")
    new.write_text("<p>new</p>", "utf-8")
    text = 'fragment "*" {{ source = "api" hold = "{}" fallback = "{}" stream = "yes" }}'
    server = daemon(config(api, fragments=text.format("60s", old)))
    for name in ("a", "b", "s"):
        api.answer(name, status=500)
    api.hold("a", "b", "s")
    with Connection(server.address) as connection:
        park(connection, "a", 1)
        connection.send_raw(fcgi.request("/fragments", 2, query=query(["s"])))
        api.wait_calls("a", 1)
        api.wait_calls("s", 1)
        reload(server, config(api, fragments=text.format("20ms", new)))
        assert server.counter("configs") == 2
        assert connection.request("/fragment/a", 3).status == 202  # its hold is the new one
        assert not connection.responses[1].ended
        api.release("a", "s")
        response = connection.response(1)
        assert (response.status, response.text) == (502, "<p>old</p>")
        assert parse(connection.response(2).body)[0] == ("s:error", "<p>old</p>")
        api.release("b")
        response = connection.request("/fragment/b", 5)
        assert (response.status, response.text) == (502, "<p>new</p>")
    wait_until(lambda: server.counter("configs") == 1, "the old config to go")


@pytest.mark.parametrize("with_redis", [False, True])
def test_another_source(tmp, run, daemon, api, redis, name, with_redis):
    """Old calls end with the old source, for those who wait for them; new requests call the new
    one, and its result is the one that is cached."""
    other = run(SlowApi(tmp))
    url = redis.url if with_redis else ""
    server = daemon(config(api, redis=url))
    if with_redis:
        server.wait_log("redis: connected")
    api.hold(name)
    other.text = "new result for {}".format
    with Connection(server.address) as connection:
        park(connection, name, 1)
        api.wait_calls(name, 1)
        reload(server, config(api, redis=url, url=other.url))
        response = connection.request(f"/fragment/{name}", 2)
        assert "new result" in response.text and "fwd=miss" in response.headers["cache-status"]
        assert server.counter("configs") == 2
        api.release(name)
        assert "new result" not in connection.response(1).text
        response = connection.request(f"/fragment/{name}", 3)
        assert "new result" in response.text and "hit" in response.headers["cache-status"]
    assert (api.calls(name), other.calls(name)) == (1, 1)
    wait_until(lambda: server.counter("configs") == 1, "the old config to go")


def test_an_unsent_response(tmp, daemon, api):
    """The text of the old config that a slow reader has not got yet stays as it was."""
    page = tmp / "page.html"
    page.write_text("<p>" + "old" * 300_000 + "</p>", "utf-8")
    text = f'fragment "*" {{ source = "api" fallback = "{page}" }}'
    server = daemon(config(api, fragments=text))
    api.answer("a", status=500)
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1))
        wait_until(lambda: server.counter("answers_5xx") == 1, "an answer")
        page.write_text("<p>new</p>", "utf-8")
        reload(server)
        reload(server)  # nothing changes any more
        assert server.counter("configs") == 2
        assert connection.response(1).text == "<p>" + "old" * 300_000 + "</p>"
        assert connection.request("/fragment/a").text == "<p>new</p>"
    wait_until(lambda: server.counter("configs") == 1, "the old config to go")


def test_files_are_read_again(tmp, daemon, api):
    """A fallback that has changed, and a header whose text is in a file."""
    page, secret = tmp / "page.html", tmp / "secret"
    page.write_text("<p>one</p>", "utf-8")
    secret.write_text("token-1\n", "utf-8")
    server = daemon(config(api, options=f'headers = {{"X-Token: ${{file:{secret}}}"}}',
                           fragments=f'fragment "*" {{ source = "api" fallback = "{page}" }}'))
    for name in ("a", "b"):
        api.answer(name, status=500)
    assert ask(server.address, "/fragment/a").text == "<p>one</p>"
    page.write_text("<p>two</p>", "utf-8")
    log = reload(server)
    assert 'reload: fragments changed: "*"' in log and "replaced" not in log
    assert ask(server.address, "/fragment/a").text == "<p>two</p>"
    secret.write_text("token-2\n", "utf-8")
    log = reload(server)
    assert 'reload: sources replaced: "api"' in log and "fragments" not in log.split("reloaded")[0]
    assert "token-" not in server.log()
    ask(server.address, "/fragment/b")
    assert [call.headers["x-token"] for call in api.requests("b")] == ["token-2"]


def test_certificates_are_read_again(tmp, run, daemon):
    """A source whose CA has changed is replaced, although its option is the same."""
    authorities = [Authority(tmp, name) for name in ("one", "two")]
    apis = [run(SlowApi(tmp, tls=Tls(*authority.issue(f"api-{number}", "IP:127.0.0.1"))))
            for number, authority in enumerate(authorities)]
    trusted = tmp / "trusted.pem"
    trusted.write_bytes(authorities[0].file.read_bytes())
    fragments = (f'source "two" {{ type = "http" url = "{apis[1].url}/{{name}}" '
                 f'tls_ca = "{trusted}" }} fragment "two" {{ source = "two" }} '
                 'fragment "*" { source = "api" }')
    server = daemon(config(apis[0], options=f'tls_ca = "{trusted}"', fragments=fragments))
    assert ask(server.address, "/fragment/a").status == 200
    assert ask(server.address, "/fragment/two").status == 502
    assert "replaced" not in reload(server)
    trusted.write_bytes(trusted.read_bytes() + authorities[1].file.read_bytes())
    assert 'reload: sources replaced: "api", "two"' in reload(server)
    assert ask(server.address, "/fragment/two").status == 200


# What is refused, and what can't change.


def test_a_bad_config_changes_nothing(tmp, daemon, api):
    """And says why: file, line, and what is wrong. A good one is taken later."""
    server = daemon(config(api))
    path, missing = server.config_path, tmp / "missing.html"
    assert ask(server.address).status == 200
    calls = api.calls()
    for text, why in [
            ("foo = 1\n" + config(api), f'{path}:2: no option "foo" at the top level'),
            (config(api, fragments='fragment "*" { source = "other" }'),
             f'{path}:6: fragment "*": no source named "other"'),
            (config(api, fragments=f'fragment "*" {{ source = "api" fallback = "{missing}" }}'),
             f"{missing}: No such file or directory"),
            (config(api, top=f'log = "file:{tmp}/no/such/log"'), f"can't open {tmp}/no/such/log")]:
        log = refuse(server, text)
        assert why in log, log
        assert ask(server.address).status == 200 and api.calls() == calls
    kept = path.read_text("utf-8")
    path.unlink()
    assert f"{path}: No such file or directory" in refuse(server)
    path.mkdir()
    assert f"{path}: Is a directory" in refuse(server)
    path.rmdir()
    path.write_text(kept.splitlines()[0] + "\n", "utf-8")
    reload(server, config(api, fragments='fragment "b" { source = "api" }'))
    assert ask(server.address).status == 404 and ask(server.address, "/fragment/b").status == 200


def test_what_needs_a_restart(daemon, api, redis):
    """It is named, and keeps its value; the rest is applied."""
    server = daemon(config(api))
    before = server.config_path.read_text("utf-8")
    other = server.dir / "other"
    text = before.replace(server.socket_path, str(other)).replace(
        'redis = ""', f'redis = "{redis.url}" namespace = "other"')
    server.config_path.write_text(text, "utf-8")
    for _ in range(2):  # each time
        log = reload(server)
        assert "reload: listen, redis, namespace need a restart; keeping the running values" in log
    assert not other.exists() and ask(server.address).status == 200
    server.config_path.write_text(before.replace(READABLE, 'socket_mode = "0600" ' + READABLE),
                                  "utf-8")
    assert "reload: socket_mode needs a restart; keeping the running value\n" in reload(server)
    server.config_path.write_text(before, "utf-8")
    log = reload(server)
    assert "restart" not in log and "reload:" not in log
    assert redis.keys() == []


def test_in_a_drain(daemon, api):
    """The end is near."""
    server = daemon(config(api))
    api.hold("a")
    with Connection(server.address) as connection:
        park(connection, "a", 1)
        api.wait_calls("a", 1)
        server.signal(signal.SIGQUIT)
        server.wait_log("SIGQUIT: finishing")
        server.signal(signal.SIGHUP)
        server.wait_log("SIGHUP: the process drains, so the config is not read again")
        api.release("a")
        assert connection.response(1).status == 200
    assert server.wait() == 0


# Options.


def test_the_log_moves(tmp, daemon, api):
    server = daemon(config(api))
    places = [tmp / "one.log", tmp / "two.log"]
    for place in places:
        write(server, config(api, top=f'log = "file:{place}"'))
        server.signal(signal.SIGHUP)
        wait_until(lambda: place.exists() and "main: reloaded" in place.read_text("utf-8"),
                   "a line in the new file")
    assert f"reload: the log moves to file:{places[1]}" in places[0].read_text("utf-8")
    moved = tmp / "moved.log"
    places[1].rename(moved)
    server.signal(signal.SIGUSR2)
    wait_until(lambda: places[1].exists() and "again" in places[1].read_text("utf-8"), "a file")
    assert "reload: options changed: log" in reload(server, config(api))  # to stderr again


def test_lists_of_clients(daemon, api):
    """Who may purge, and who may see."""
    server = daemon(config(api))
    assert ask(server.address, method="PURGE").status == 403
    reload(server, config(api, top='purge = {"127.0.0.1"}'))
    assert ask(server.address, method="PURGE").status == 204
    reload(server, config(api))
    assert ask(server.address, method="PURGE").status == 403
    first, rest = server.config_path.read_text("utf-8").split("\n", 1)
    server.config_path.write_text(first.replace(READABLE, "") + "\n" + rest, "utf-8")
    reload(server)
    assert ask(server.address, "/workerless/counters").status == 403


def test_limits(daemon, api):
    """Of parked requests, of memory, of time, of connections."""
    server = daemon(config(api))
    api.hold("a", "b")
    with Connection(server.address) as connection:
        park(connection, "a", 1)
        reload(server, config(api, top="max_parked = 1"))
        assert connection.request("/fragment/b", 2).status == 503
        reload(server, config(api, top="max_parked = 2"))
        park(connection, "b", 2)
        reload(server, config(api, top="max_parked = 1"))  # nobody is sent away
        api.release("a", "b")
        assert [connection.response(number).status for number in (1, 2)] == [200, 200]
    for number in range(20):
        assert ask(server.address, f"/fragment/n{number}").status == 200
    evicted = server.counter("evicted_probation")
    text = config(api).replace("cache {", 'cache { memory = "4KiB"')
    reload(server, text)
    assert server.counter("evicted_probation") > evicted
    bytes_used = int(re.search(r"^workerless_memory_bytes (\d+)", metrics(server), re.M)[1])
    assert bytes_used <= 4096 and "workerless_memory_limit_bytes 4096\n" in metrics(server)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        reload(server, config(api, top='idle_timeout = "10ms"'))
        connection.expect_close()


def test_more_connections(daemon, api):
    """The listener was paused at the limit, and accepts again at once."""
    server = daemon(config(api, top="max_connections = 1"))
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(server.address)
            with Connection(second) as other:
                other.send_raw(fcgi.request("/fragment/a"))
                write(server, config(api, top="max_connections = 3"))
                server.signal(signal.SIGHUP)
                assert other.response().status == 200


def test_a_relative_path(tmp, run, api):
    """The config and its files are found again where they were found at the start."""
    server = Workerless(tmp, config(api, fragments='fragment "*" { source = "api" '
                                                   'fallback = "page.html" }'))
    (server.dir / "page.html").write_text("<p>one</p>", "utf-8")
    line = server.command_line()
    line[line.index("-c") + 1] = server.config_path.name
    server.command_line = lambda: line
    run(server)
    api.answer("a", status=500)
    (server.dir / "page.html").write_text("<p>two</p>", "utf-8")
    reload(server)
    assert ask(server.address).text == "<p>two</p>"


def test_many_signals(daemon, api):
    """However many come at once, the last one reads the file after it was written."""
    server = daemon(config(api))
    for number in range(20):
        write(server, config(api, fragments=f'fragment "n{number}" {{ source = "api" }}'))
        server.signal(signal.SIGHUP)
    wait_until(lambda: ask(server.address, "/fragment/n19").status == 200, "the last one")
    assert ask(server.address, "/fragment/n18").status == 404
    assert 1 <= server.counter("reloads") <= 20 and server.counter("configs") == 1


def test_in_the_sandbox(tmp, daemon, api):
    """What a reload needs is not given up, except files in directories that were not known."""
    api.answer("a", status=500)
    text = 'fragment "*" {{ source = "api" fallback = "{}" }}'
    server = daemon(config(api, top='sandbox = "yes"'))
    for number in range(2):
        page = server.dir / f"page-{number}.html"
        page.write_text(f"<p>{number}</p>", "utf-8")
        reload(server, config(api, top='sandbox = "yes"', fragments=text.format(page)))
        assert ask(server.address).text == f"<p>{number}</p>"
    if "sandbox: restricted: files" not in server.log():
        return  # this build or this system has no landlock
    (tmp / "elsewhere.html").write_text("<p>elsewhere</p>", "utf-8")
    log = refuse(server, config(api, top='sandbox = "yes"',
                                fragments=text.format(tmp / "elsewhere.html")))
    assert f"{tmp}/elsewhere.html: permission denied" in log
    assert ask(server.address).text == "<p>1</p>"


# Many.


def descriptors_of_its_own(server) -> int:
    """Without the connections of front servers, which come and go."""
    return server.descriptors() - server.counter("connections")


@pytest.mark.seconds(120)
def test_many_reloads_under_load(tmp, run, daemon, api, redis):
    """No request fails, and nothing grows: neither memory, nor descriptors, nor configs in use."""
    texts = [api_config(api, redis=redis.url, extra=extra) for extra in
             ["", 'max_parked = 1000\nfragment "x" { source = "api" hold = "7s" }',
              'source "new" { type = "http" url = "http://127.0.0.1:9/{name}" }\n'
              'fragment "y" { source = "new" }']]
    server = daemon(texts[0])
    server.wait_log("redis: connected")
    front = run(fronts.nginx(tmp, server.socket_path))
    api.hold("slow")
    count, early = scaled(100, least=9), scaled(30, least=3)
    with Connection(server.address) as connection:
        for number in range(1, 51):
            connection.send_raw(fcgi.request("/fragment/slow", number))
        api.wait_calls("slow", 1)
        hits = Hits(front.url + "/fragment/a")
        api.wait_calls("a", 1)
        for number in range(count):
            reload(server, texts[(number + 1) % len(texts)])
            if number + 1 == early:
                resident, descriptors = server.resident_bytes(), descriptors_of_its_own(server)
        total, worst = hits.end()
        print(f"{count} reloads: the slowest of {total} hits took {worst * 1000:.0f} ms")
        assert total > 0 and server.counter("reloads") == count
        assert server.counter("configs") == 2  # that of the parked requests, and the current one
        if server.memory_is_telling:
            assert server.resident_bytes() <= resident + (1 << 20)
        assert descriptors_of_its_own(server) <= descriptors + 2
        api.release("slow")
        assert {connection.response(number).status for number in range(1, 51)} == {200}
    wait_until(lambda: server.counter("configs") == 1, "the old config to go")
    assert api.calls() == 2


def test_workers_under_load(tmp, run, daemon, redis):
    """The same with a supervisor, over TCP."""
    server = daemon(extra="workers = 2", redis=redis.url, listen="tcp")
    workers.wait_serving(server, 2)
    place = {"server unix:/run/workerless/workerless.sock;":
             "server %s:%d; # /run/workerless/workerless.sock" % server.address}
    front = run(fronts.nginx(tmp, "TCP", changes=place))
    text = server.config_path.read_text("utf-8").partition("\n")[2]
    hits = Hits(front.url + "/fragment/a")
    server.wait_counter("hits_memory", 1)
    count = scaled(10, least=3)
    for number in range(count):
        reload(server, text + f"max_parked = {1000 + number}\n")
        wait_until(lambda least=2 * number + 2: server.counter("reloads") >= least, "both workers")
    assert hits.running
    total, worst = hits.end()
    print(f"{count} reloads of 2 workers: the slowest of {total} hits took {worst * 1000:.0f} ms")
    assert server.counter("reloads") == 2 * count and server.counter("configs") == 2
