"""/workerless/ready, and what is logged if the config is wrong about Redis."""

import re
import signal

import pytest

from harness import fcgi
from harness.cluster import Cluster
from harness.config import shipped_permissions
from harness.fakeredis import FakeRedis, breaking_off
from harness.faketime import hasty_clocks
from harness.fcgi import Connection, ask
from harness.fleet import fleet_config
from harness.servers import Redis, Workerless
from harness.wait import SLOWNESS, wait_until

ROUTES = 'fragment "*" { source = "api" ttl = "60s" }\n'
DENIED = "Redis denies access to commands or keys"
LEASE = f"{300 * max(SLOWNESS, 1):.0f}ms"


@pytest.fixture
def start(tmp, run, api):
    """start(redis, ...) starts a daemon; the options are fleet_config's."""
    def start_daemon(redis, **options) -> Workerless:
        return run(Workerless(tmp, fleet_config(api, redis, routes=ROUTES, **options)))

    return start_daemon


def state(server) -> tuple:
    """(status, why), and that it lives."""
    assert ask(server.address, "/workerless/health").status == 200
    response = ask(server.address, "/workerless/ready")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.text.count("\n") == 1 and response.text.endswith("\n")
    return response.status, response.text[:-1]


def wait_state(server, status: int, why: str) -> None:
    wait_until(lambda: state(server) == (status, why), f"{status} {why}, not {state(server)}")


def still_serves(server) -> None:
    assert ask(server.address).status == 200


@pytest.mark.parametrize("redis", ["", "unix:/nowhere"])
def test_methods(start, redis):
    """GET and HEAD, whatever the answer."""
    server = start(redis)
    status = 503 if redis else 200
    got = ask(server.address, "/workerless/ready")
    head = ask(server.address, "/workerless/ready", method="HEAD")
    assert (got.status, head.status, head.body) == (status, status, b"")
    assert head.headers["content-length"] == str(len(got.body))
    for method in ("POST", "PUT", "OPTIONS"):
        refused = ask(server.address, "/workerless/ready", method=method)
        assert refused.status == 405 and refused.headers["allow"] == "GET, HEAD"
    assert state(server) == ((503, "Redis is unavailable") if redis else (200, "ready"))


def test_redis_comes_and_goes(start, redis):
    server = start(redis)
    for _ in range(2):
        wait_state(server, 200, "ready")
        redis.kill()
        wait_state(server, 503, "Redis is unavailable")
        still_serves(server)
        redis.start()
    wait_state(server, 200, "ready")


def test_shutting_down(start, redis, api):
    """A connection that is open still gets its answers while the process drains slowly."""
    server = start(redis)
    wait_state(server, 200, "ready")
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1))
        api.wait_calls("a", 1)
        server.signal(signal.SIGQUIT)
        server.wait_log("SIGQUIT")
        response = connection.request("/workerless/ready", 2)
        assert (response.status, response.text) == (503, "shutting down\n")
        assert connection.request("/workerless/health", 2).status == 200
        api.release("a")
        assert connection.response(1).status == 200


# What waiting does not fix.


@pytest.mark.parametrize("login, url, why, said", [
    ({"password": "right"}, "redis://:wr0ng@", "Redis rejects the password", "WRONGPASS"),
    ({"user": "me", "password": "right"}, "redis://me:wr0ng@", "Redis rejects the password",
     "WRONGPASS"),
    ({"password": "right"}, "redis://", "Redis requires a password", "NOAUTH"),
    ({}, "redis://:wr0ng@", "Redis rejects the password", "without any password"),
    ({}, "redis:///9999", "Redis does not have the database", "DB index"),
], ids=["password", "user", "none given", "none set", "database"])
def test_a_wrong_setting(tmp, run, start, login, url, why, said):
    """The log names the problem and what to check, without the password."""
    redis = run(Redis(tmp, tcp=True, **login))
    server = start(with_place(url, redis))
    server.wait_log(why)
    assert state(server) == (503, why)
    still_serves(server)
    line, = [line for line in server.log().splitlines() if why in line]
    assert said in line and 'check "redis" in the config' in line
    assert "and reconnecting" not in server.log()
    assert "wr0ng" not in server.log() and "right" not in server.log()


def with_place(url: str, redis: Redis) -> str:
    """The URL with the server's place after the login."""
    login, _, database = url[len("redis://"):].partition("/")
    return f"redis://{login}127.0.0.1:{redis.address[1]}" + (f"/{database}" if database else "")


def test_it_is_said_again(tmp, run, api):
    """Each minute: the daemon's clocks run 40 times as fast here."""
    redis = run(Redis(tmp, tcp=True, password="right"))
    server = Workerless(tmp, fleet_config(api, redis.url.replace("right", "wr0ng"),
                                          cache='redis_timeout = "60s"'))
    server.environment.update(hasty_clocks(server, 40))
    run(server)
    wait_until(lambda: server.log().count("Redis rejects the password") >= 3, "it to be repeated")
    times = [int(minute) * 60 + int(second) for minute, second in
             re.findall(r"T\d\d:(\d\d):(\d\d).*rejects the password", server.log())]
    assert all((later - earlier) % 3600 >= 59 for earlier, later in zip(times, times[1:])), times


def test_the_password_is_put_right(tmp, run, start):
    redis = run(Redis(tmp, tcp=True, password="right"))
    server = start(redis)
    wait_state(server, 200, "ready")
    redis.command("CONFIG", "SET", "requirepass", "other")
    redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_state(server, 503, "Redis rejects the password")
    redis.command("CONFIG", "SET", "requirepass", "right")
    wait_state(server, 200, "ready")


def test_a_server_that_expects_tls(start):
    """It closes the connection silently, as Redis does with a plain client."""
    with breaking_off() as place:
        server = start(f"redis://{place}")
        wait_state(server, 503, "Redis closes our connections")
        still_serves(server)
        assert "rediss://" in server.log()
        server.stop()


# Permissions.


@pytest.fixture
def guarded(tmp, run):
    """A Redis, and the URL of a user who may do what the config lists."""
    redis = run(Redis(tmp, tcp=True))
    redis.command("ACL", "SETUSER", "me", "reset", "on", ">pw", *shipped_permissions())
    return redis, f"redis://me:pw@127.0.0.1:{redis.address[1]}"


def test_the_listed_permissions_are_enough(start, guarded):
    redis, url = guarded
    server = start(url, lease=LEASE)
    wait_state(server, 200, "ready")
    redis.command("SET", "worker:plain", "plain", "EX", 60)
    redis.command("SET", "lease:{worker:a}", "without end")
    for name in ("plain", "a", "b"):
        assert ask(server.address, f"/fragment/{name}").status == 200
    wait_until(lambda: redis.keys() == ["worker:a", "worker:b", "worker:plain"], "the values")
    soft = {"Workerless-Purge": "soft"}
    assert ask(server.address, "/fragment/a", method="PURGE", headers=soft).status == 204
    assert ask(server.address, "/fragment/*", method="PURGE").status == 204
    assert redis.keys() == [] and state(server) == (200, "ready")
    assert "NOPERM" not in server.log() and "refused" not in server.log()


@pytest.mark.parametrize("denied", ["-getrange", "-strlen", "-set", "-del", "-pttl"])
def test_a_permission_is_missing(start, guarded, denied):
    """Detected without a request; over as soon as it is granted."""
    redis, url = guarded
    redis.command("ACL", "SETUSER", "me", denied)
    server = start(url)
    wait_state(server, 503, DENIED)
    assert "NOPERM" in server.log() and "listed in workerless.conf" in server.log()
    still_serves(server)
    redis.command("ACL", "SETUSER", "me", denied.replace("-", "+"))
    wait_state(server, 200, "ready")
    assert server.log().count(DENIED) == 1


@pytest.mark.parametrize("denied", ["-get", "-evalsha", "-pexpire"])
def test_a_permission_is_withdrawn(start, guarded, denied):
    """A refusal causes a check; only the commands that every fragment needs count."""
    redis, url = guarded
    server = start(url, lease=LEASE)
    wait_state(server, 200, "ready")
    redis.command("ACL", "SETUSER", "me", denied, *(["-eval"] if denied == "-evalsha" else []))
    redis.command("SET", "lease:{worker:n1}", "without end")

    def refused() -> bool:
        Connection(server.address).send_raw(fcgi.request("/fragment/n1", keep=False))
        return state(server) == (503, DENIED)

    wait_until(refused, "it to be noticed")


def test_keys_are_denied(start, guarded):
    redis, url = guarded
    redis.command("ACL", "SETUSER", "me", "resetkeys", "~other:*", "~lease:{other:*")
    server = start(url)
    wait_state(server, 503, DENIED)
    other = start(url, cache='namespace = "other"')
    wait_state(other, 200, "ready")


# A Cluster.


def test_a_cluster(tmp, run, start):
    """Ready while any of its servers is usable."""
    cluster = run(Cluster(tmp))
    server = start(cluster.url)
    wait_state(server, 200, "ready")
    first, *others = cluster.primaries()
    first.kill()
    wait_until(lambda: "without it" in server.log(), "the loss to be noticed")
    assert state(server) == (200, "ready")
    for node in others:
        node.kill()
    wait_state(server, 503, "Redis is unavailable")


@pytest.mark.parametrize("login, command", [
    (":s3cret@", "'AUTH', with args beginning with: 's3cret' "),
    ("me:s3cret@", "'AUTH', with args beginning with: 'me' 's3cret' "),
    (":s3cret@", "`AUTH`, with args beginning with: `s3cret`, "),
], ids=["password", "user", "before Redis 7"])
def test_a_server_without_auth(tmp, start, login, command):
    """It repeats the words that it does not understand, and the password is one of them."""
    with FakeRedis(tmp) as fake:
        fake.say("AUTH", f"-ERR unknown command {command}\r\n".encode())
        server = start(fake.url.replace("unix:", f"unix://{login}"))
        server.wait_log("ERR unknown command")
        assert "AUTH" in server.log() and "s3cret" not in server.log()
