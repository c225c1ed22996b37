"""Events in an unlucky order: a change after a reply, a Redis that fails halfway, a server that
never finishes a reply."""

import os
import signal
import socketserver
import threading
import time

import pytest

from harness import fcgi
from harness.fakeredis import NORMAL, FakeRedis
from harness.fcgi import Connection, ask
from harness.fleet import cache_status, detail, fleet_config, wait_armed
from harness.relay import Relay
from harness.servers import Workerless
from harness.wait import wait_until

ROUTES = """
fragment "sie/*"   { source = "api" ttl = "60s" stale_error = "600s" }
fragment "brief/*" { source = "api" ttl = "200ms" stale_error = "60s" negative = "5s" }
fragment "early/*" { source = "api" ttl = "60s" early = "yes" negative = "1s" }
fragment "*"       { source = "api" ttl = "60s" }
"""


def start(run, tmp, api, url, *, cache="", big=False, redis=None):
    text = fleet_config(api, url, routes=ROUTES, cache=cache)
    if big:
        text = text.replace('timeout = "60s"', 'timeout = "60s" max_body = "40MiB"')
    server = run(Workerless(tmp, text))
    if redis:
        server.wait_log("redis: connected")
        wait_armed(redis)
    return server


def put(redis, name, body, *, made=-100.0, fresh=-40.0, keep=500.0, cost=5):
    now = time.time()
    redis.command("SET", f"worker:{name}",
                  f"workerless/1 made={(now + made) * 1000:.0f} fresh={(now + fresh) * 1000:.0f} "
                  f"cost={cost} status=200 type=text/html\n{body}", "PX", int(keep * 1000))


def test_result_too_large_for_redis(run, tmp, api, redis):
    """The token is used after its question was freed: a report of the sanitizer."""
    server = start(run, tmp, api, redis.url, big=True, redis=redis)
    api.answer("a", body=b"x" * (17 << 20), type="text/html")
    assert ask(server.address, "/fragment/a").status == 200
    wait_until(lambda: not [k for k in redis.keys() if k.startswith("lease:")], "lease released")


def test_joins_after_the_change(run, tmp, api, redis):
    """Redis has reported the change, and then a request arrives: it must not get the earlier
    reply."""
    with Relay(tmp, redis) as relay:
        server = start(run, tmp, api, relay.url, redis=redis)
        redis.command("SET", "worker:a", "old", "EX", 600)
        redis.command("SET", "worker:mark1", "old", "EX", 600)
        with Connection(server.address) as connection:
            wait_until(lambda: detail(connection.request("/fragment/mark1", 9)) == "memory", "mark")
            relay.hold("commands")
            connection.send_raw(fcgi.request("/fragment/a", 1))
            relay.wait_held("commands", b"old")
            redis.command("SET", "worker:a", "new", "EX", 600)
            redis.command("DEL", "worker:mark1")
            number = 10  # the change has arrived when this one is no longer in memory
            while True:
                connection.send_raw(fcgi.request("/fragment/mark1", number))
                connection.sync()
                if not connection.responses[number].ended:
                    break
                number += 1
            connection.send_raw(fcgi.request("/fragment/a", 2))
            connection.sync()
            relay.release("commands")
            connection.response(1)
            response = connection.response(2)
            assert response.text == "new", response.stdout


def test_stale_is_kept_when_redis_goes(run, tmp, api, redis):
    """A request waits for another process's result and has an old entry when Redis dies and the
    source fails: the old entry must be served."""
    server = start(run, tmp, api, redis.url, redis=redis)
    put(redis, "sie/a", "old")
    redis.command("SET", "lease:{worker:sie/a}", "theirs", "PX", 60000)
    api.answer("sie/a", 500)
    with Connection(server.address) as connection:
        before = redis.calls_of("evalsha") + redis.calls_of("eval")
        connection.send_raw(fcgi.request("/fragment/sie/a", 1))
        wait_until(lambda: redis.calls_of("evalsha") + redis.calls_of("eval") > before, "claim")
        connection.sync()
        redis.kill()
        response = connection.response(1)
        assert (response.status, response.text) == (200, "old"), response.stdout


def test_rounds(run, tmp, api, redis):
    """Another process generates it; purges of other fragments are no reason to do so twice."""
    server = start(run, tmp, api, redis.url, redis=redis)
    put(redis, "sie/a", "old")
    redis.command("SET", "lease:{worker:sie/a}", "theirs", "PX", 60000)
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/sie/a", 1))
        server.wait_counter("claims", 1)
        for number in range(5):
            assert connection.request("/fragment/zzz*", 10 + number, method="PURGE").status == 204
        counters = server.counters()
        assert (counters["purges"], counters["wakeups"], counters["calls_started"]) == (5, 0, 0)
        assert counters["claims"] == counters["parked"] == 1
        assert redis.command("GETDEL", "lease:{worker:sie/a}") == b"theirs"


def test_purged_comes_back_without_redis(run, tmp, api):
    """A purge while the old entry is being replaced, and the source fails."""
    server = start(run, tmp, api, "")
    api.answer("brief/a", body="old", type="text/html")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/brief/a", 1).text == "old"
        time.sleep(0.3)
        api.answer("brief/a", 500)
        api.hold("brief/a")
        connection.send_raw(fcgi.request("/fragment/brief/a", 2))
        api.wait_calls("brief/a", 2)
        assert connection.request("/fragment/brief/a", 3, method="PURGE").status == 204
        api.release("brief/a")
        connection.response(2)
        api.answer("brief/a", body="new", type="text/html")
        response = connection.request("/fragment/brief/a", 4)
        assert response.text == "new", response.stdout


def test_scan_without_end(run, tmp, api):
    with FakeRedis(tmp) as fake:
        server = start(run, tmp, api, fake.url)
        server.wait_log("redis: connected")
        fake.say("SCAN", b"*2\r\n$2\r\n17\r\n*0\r\n")
        with Connection(server.address) as connection:
            connection.send_raw(fcgi.request("/fragment/a*", 1, method="PURGE"))
            try:
                assert connection.response(1, timeout=8).status in (204, 503)
            finally:
                print("scans:", sum(c == "SCAN" for c in fake.commands))
                fake.normal("SCAN")


def test_fwd_stale(run, tmp, api, redis):
    """RFC 9211 2.2: the cache had a response, which was stale."""
    server = start(run, tmp, api, redis.url, redis=redis)
    put(redis, "sie/a", "old")
    api.answer("sie/a", body="new", type="text/html")
    response = ask(server.address, "/fragment/sie/a")
    assert response.text == "new" and "fwd=stale" in cache_status(response), cache_status(response)



class FakeNode:
    """A node of a Cluster on every loopback address, which says what the test wants: `says` is
    called with the words of a command and the address that it came to; None: the normal answer."""

    def __init__(self, says):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                try:
                    while True:
                        line = self.rfile.readline()
                        if not line.startswith(b"*"):
                            return
                        words = []
                        for _ in range(int(line[1:])):
                            length = int(self.rfile.readline()[1:])
                            words.append(self.rfile.read(length + 2)[:-2])
                        name = words[0].decode().upper()
                        longer = f"{name} {words[1].decode('latin-1').upper()}" \
                            if len(words) > 1 else name
                        reply = says(words, self.request.getsockname())
                        if reply is None:
                            reply = NORMAL.get(longer) or NORMAL.get(name) or b"+OK\r\n"
                        self.request.sendall(reply)
                except OSError:
                    pass

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True
            request_queue_size = 512

            def handle_error(self, *_):
                pass

        self._server = Server(("0.0.0.0", 0), Handler)
        self.port = self._server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def slots(self, host="127.0.0.1"):
        return (f"*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n${len(host)}\r\n{host}\r\n"
                f":{self.port}\r\n").encode()


@pytest.mark.parametrize("word", ["ASK", "MOVED"])
def test_redirections_without_end(run, tmp, api, word):
    """Each redirection leads to another server: the number of servers is limited."""
    count = [0]
    made = []

    def says(words, _address):
        if words[0] == b"CLUSTER":
            return made[0].slots()
        if words[0] in (b"GETRANGE",):
            count[0] += 1
            return (f"-{word} 1 127.1.{count[0] // 250 % 250}.{count[0] % 250 + 1}:"
                    f"{made[0].port}\r\n").encode()
        return None

    with FakeNode(says) as node:
        made.append(node)
        server = start(run, tmp, api, f"cluster://127.0.0.1:{node.port}")
        server.wait_log("redis: connected")
        with Connection(server.address) as connection:
            most = 0
            for number in range(1, 120):
                connection.request(f"/fragment/n{number}", number)
                most = max(most, server.descriptors())
        print("redirections", count[0], "descriptors", most, server.descriptors())
        assert most < 100


def test_early_refresh_that_fails(run, tmp, api, redis):
    """The entry is fresh for 50 s more; an early refresh that fails does not change that."""
    server = start(run, tmp, api, redis.url, redis=redis)
    put(redis, "early/a", "old", made=-10, fresh=50, keep=50, cost=10**9)
    api.answer("early/a", 500)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/early/a", 1).text == "old"
        api.wait_calls("early/a", 1)
        end = time.monotonic() + 2.5
        number = 2
        while time.monotonic() < end:
            response = connection.request("/fragment/early/a", number)
            assert (response.status, response.text) == (200, "old"), response.stdout
            number += 1
            time.sleep(0.1)


def test_prefix_purge_that_is_refused(run, tmp, api, redis):
    server = start(run, tmp, api, redis.url, redis=redis)
    redis.command("SET", "worker:ab", "old", "EX", 600)
    redis.command("REPLICAOF", "127.0.0.1", "1")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/ab", 1, method="PURGE").status == 503
        assert connection.request("/fragment/a*", 2, method="PURGE").status == 503


def test_lease_of_what_ended_while_redis_hung(run, tmp, api, redis):
    """We have generated it, so nobody may wait for our lease once Redis is back."""
    server = start(run, tmp, api, redis.url, redis=redis)
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1))
        api.wait_calls("a", 1)
        redis.pause()
        connection.send_raw(fcgi.request("/fragment/b", 2))
        connection.response(2)
        server.wait_log("continuing without it")
        api.release("a")
        connection.response(1)
        redis.resume()
        server.wait_log("back in use")
        began = time.monotonic()
        response = connection.request("/fragment/a", 3)
        took = time.monotonic() - began
        assert response.status == 200
        assert took < 1, took


def test_made_while_redis_hung(run, tmp, api, redis):
    """A result that was generated without a lease replaces the old entry."""
    server = start(run, tmp, api, redis.url, redis=redis)
    put(redis, "sie/a", "old")
    api.answer("sie/a", body="new", type="text/html")
    api.hold("sie/a")
    with Connection(server.address) as connection:
        redis.pause()
        connection.send_raw(fcgi.request("/fragment/sie/a", 1))
        api.wait_calls("sie/a", 1)
        wakeups = server.counter("wakeups")
        redis.resume()
        server.wait_log("back in use")
        wait_armed(redis)
        server.wait_counter("wakeups", wakeups + 1)  # it claims the lease that it began without
        assert connection.request("/fragment/b", 3).status == 200  # asked after that
        api.release("sie/a")
        response = connection.response(1)
        assert response.text == "new"
        assert connection.request("/fragment/sie/a", 2).text == "new"
        assert api.calls("sie/a") == 1, cache_status(response)


def test_lease_of_a_claim_without_answer(run, tmp, api, redis):
    """Redis granted the claim, and the answer was lost with the connection: nobody generates it."""
    with Relay(tmp, redis) as relay:
        server = start(run, tmp, api, relay.url, redis=redis)
        redis.command("SET", "lease:{worker:a}", "theirs", "PX", 60000)
        with Connection(server.address) as connection:
            before = redis.calls_of("evalsha") + redis.calls_of("eval")
            connection.send_raw(fcgi.request("/fragment/a", 1))
            wait_until(lambda: redis.calls_of("evalsha") + redis.calls_of("eval") > before, "claim")
            connection.sync()
            relay.hold("commands")
            redis.command("DEL", "lease:{worker:a}")
            relay.wait_held("commands", b":-3\r\n")
            assert connection.response(1).status == 200  # alone
            relay.release("commands")
            server.wait_log("back in use")
            began = time.monotonic()
            assert connection.request("/fragment/a", 3).status == 200
            took = time.monotonic() - began
            assert took < 1, took


def test_ending_while_another_makes_it(run, tmp, api, redis):
    """No request here waits for what another process generates, so the shutdown does not wait
    either."""
    text = fleet_config(api, redis.url, routes='fragment "*" { source = "api" hold = "100ms" }')
    server = run(Workerless(tmp, text))
    server.wait_log("redis: connected")
    redis.command("SET", "lease:{worker:a}", "theirs", "PX", 60000)
    try:
        assert ask(server.address, "/fragment/a").status == 202
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: not server.running or "stopped" in server.log(), "the end", timeout=5)
        assert time.monotonic() - began < 2
        assert server.wait() == 0  # the sanitizers look for leaks first, and want no other signal
    finally:
        redis.command("DEL", "lease:{worker:a}")
