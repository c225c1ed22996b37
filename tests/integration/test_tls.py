"""TLS to Redis, if it is built in, and the message if it is not."""

import socket
import subprocess
import tempfile

import pytest

from harness import tls
from harness.fakeredis import breaking_off
from harness.fcgi import Connection
from harness.peer import new_name
from harness.process import Port
from harness.servers import Redis, Workerless, need, workerless_binary, wrapper_command
from harness.sentinel import Mute
from harness.tls import Authority, TlsRedis, TlsSentinel
from harness.wait import wait_until

USED = "redis: connected: "
AWAY = "continuing without it"
REFUSED = "the server's certificate is refused: "
ROUTES = 'source "s" { type = "simulated" delay = "0" }\nfragment "*" { source = "s" }\n'


@pytest.fixture(scope="module")
def built():
    """Only if TLS is built in."""
    if not tls.is_built():
        pytest.skip("this build has no TLS to Redis")


@pytest.fixture(scope="module")
def papers(built):  # pylint: disable=unused-argument
    """(the CA, the identity of the servers of these tests)."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp:
        authority = Authority(tmp)
        yield authority, authority.issue("server", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture
def authority(papers):
    return papers[0]


@pytest.fixture
def secure(tmp, run, papers):
    """A TlsRedis of localhost and 127.0.0.1 with a password."""
    return run(TlsRedis(tmp, *papers, password="s3cret"))


@pytest.fixture
def start(tmp, run):
    """start(url, tls_ca=..., ...) starts a daemon that uses that Redis."""
    def start_daemon(url: str, **options) -> Workerless:
        options.setdefault("redis_timeout", "5s")  # a handshake takes its time on a busy machine
        lines = "".join(f'  {name} = "{value}"\n' for name, value in options.items())
        return run(Workerless(tmp, f'cache {{\n  redis = "{url}"\n{lines}}}\n{ROUTES}'))

    return start_daemon


def checked(tmp, cache: str) -> tuple:
    """(status, messages) of -t."""
    path = tmp / "workerless.conf"
    path.write_text(f"cache {{\n{cache}\n}}\n{ROUTES}", encoding="utf-8")
    done = subprocess.run([*wrapper_command(), workerless_binary(), "-t", "-c", str(path)],
                          check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.replace(str(path), "FILE")


def make(server) -> str:
    """Has a new fragment generated; returns its name."""
    name = new_name()
    with Connection(server.address) as connection:
        assert f"result for {name}" in connection.request(f"/fragment/{name}").text
    return name


def assert_in_use(server, redis) -> None:
    """Values are stored in that Redis, and its reports of changes reach the memory cache."""
    name = make(server)
    wait_until(lambda: f"worker:{name}" in redis.keys(), f"{name} to be stored")
    with Connection(server.address) as connection:
        wait_until(lambda: "detail=memory" in connection.request(
            f"/fragment/{name}").headers["cache-status"], "a hit in memory")
        redis.command("SET", f"worker:{name}", "by hand", "EX", 60)
        wait_until(lambda: connection.request(f"/fragment/{name}").text == "by hand",
                   "the change to be seen")


def assert_useless(server, *words: str) -> None:
    """It logs once why Redis is not usable, and works without it."""
    server.wait_log(AWAY)
    make(server)
    line, = [line for line in server.log().splitlines() if AWAY in line]
    for word in words:
        assert word in line, line
    assert USED not in server.log()


# Without it.


@pytest.mark.parametrize("url", ["rediss://u:s3cret@h", "sentinels://h/mymaster", "clusters://h"])
def test_a_build_without(tmp, url):
    if tls.is_built():
        pytest.skip("this build has TLS to Redis")
    status, messages = checked(tmp, f'redis = "{url}"')
    assert status == 1 and messages.startswith("FILE:2: redis: this build has no TLS")
    for word in ("hiredis 1.1", "hiredis_ssl", "stunnel", "unix socket"):
        assert word in messages
    assert "s3cret" not in messages


# The right server.


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_it_is_used(start, secure, authority, host):
    server = start(secure.url_of(host), tls_ca=authority.file)
    server.wait_log(f"{USED}{host}:{secure.port} over TLS")
    assert_in_use(server, secure)
    assert AWAY not in server.log()


def test_nothing_is_sent_in_the_clear(start, authority):
    """The first bytes are a handshake, though AUTH waits to be sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = start(f"rediss://:s3cret@127.0.0.1:{listener.getsockname()[1]}",
                       tls_ca=authority.file, redis_timeout="60s")
        with listener.accept()[0] as peer:
            seen = peer.recv(65536)
        server.stop()
    assert seen[:2] == b"\x16\x03" and b"s3cret" not in seen and b"AUTH" not in seen


@pytest.mark.parametrize("size", [100, 16384, 16385, 1_000_000])
def test_large_values(start, secure, authority, size):
    """More than a record of TLS holds, and exactly one."""
    server = start(secure.url_of("localhost"), tls_ca=authority.file)
    server.wait_log(USED)
    name, text = new_name(), "x" * size
    secure.command("SET", f"worker:{name}", text, "EX", 60)
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{name}").text == text


def test_it_comes_back(start, secure, authority):
    server = start(secure.url_of("localhost"), tls_ca=authority.file)
    server.wait_log(USED)
    secure.restart()
    server.wait_log("back in use")
    assert_in_use(server, secure)


def test_a_relative_path(tmp, run, secure, authority):
    server = Workerless(tmp, f'cache {{ redis = "{secure.url_of("localhost")}" '
                             f'tls_ca = "ca.pem" }}\n{ROUTES}')
    (server.dir / "ca.pem").write_bytes(authority.file.read_bytes())
    run(server).wait_log(USED)


def test_a_client_certificate(tmp, run, start, papers):
    authority, identity = papers
    strict = run(TlsRedis(tmp, authority, identity, ask=True))
    ours = authority.issue("client")
    server = start(strict.url_of("localhost"), tls_ca=authority.file,
                   tls_certificate=ours.certificate, tls_key=ours.key)
    server.wait_log(USED)
    assert_in_use(server, strict)
    assert_useless(start(strict.url_of("localhost"), tls_ca=authority.file),
                   "certificate required")


def test_by_sentinel(tmp, run, start, papers, secure):
    sentinel = run(TlsSentinel(tmp, secure, *papers))
    server = start(f"sentinels://:s3cret@localhost:{sentinel.port}/mymaster",
                   tls_ca=papers[0].file)
    server.wait_log(f"{USED}mymaster at 127.0.0.1:{secure.port} over TLS")
    assert_in_use(server, secure)


def test_a_sentinel_that_is_not_trusted(tmp, run, start, secure, papers):
    other = Authority(tmp, "other")
    sentinel = run(TlsSentinel(tmp, secure, papers[0],
                               other.issue("sentinel", "DNS:localhost")))
    server = start(f"sentinels://:s3cret@localhost:{sentinel.port}/mymaster",
                   tls_ca=papers[0].file)
    assert_useless(server, f"Sentinel localhost:{sentinel.port}: TLS: ", REFUSED)


def test_a_cluster(tmp, run, start, papers):
    """It names an address, which is not in its certificate: tls_name is."""
    authority = papers[0]
    node = run(TlsRedis(tmp, authority, authority.issue("node", "DNS:node.example"), extra=[
        "--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1",
        "--cluster-port", str(Port().number)]))
    node.command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: b"cluster_state:ok" in node.command("CLUSTER", "INFO"), "the cluster")
    server = start(node.url_of("127.0.0.1", "clusters"), tls_ca=authority.file,
                   tls_name="node.example")
    server.wait_log("the Cluster has 1 primaries")
    assert_in_use(server, node)


# The wrong one.


def test_a_certificate_of_an_unknown_ca(tmp, start, secure):
    server = start(secure.url_of("localhost"), tls_ca=Authority(tmp, "other").file)
    assert_useless(server, f"localhost:{secure.port} over TLS: TLS to Redis fails (TLS: ", REFUSED)


def test_the_system_does_not_know_the_ca(start, secure):
    assert_useless(start(secure.url_of("localhost")), REFUSED)


@pytest.mark.parametrize("name, url_host", [
    ("DNS:other.example", "localhost"), ("IP:127.0.0.2", "127.0.0.1"),
    ("DNS:127.0.0.1", "127.0.0.1"), ("", "localhost")])
def test_a_certificate_for_another_host(tmp, run, start, authority, name, url_host):
    redis = run(TlsRedis(tmp, authority, authority.issue("stranger", *([name] if name else []))))
    server = start(redis.url_of(url_host), tls_ca=authority.file)
    assert_useless(server, REFUSED, "mismatch")


def test_another_name_than_tls_name(start, secure, authority):
    server = start(secure.url_of("localhost"), tls_ca=authority.file, tls_name="other.example")
    assert_useless(server, REFUSED, "hostname mismatch")


def test_a_plain_server(tmp, run, start, authority):
    plain = run(Redis(tmp, tcp=True))
    server = start(plain.url.replace("redis://", "rediss://"), tls_ca=authority.file)
    assert_useless(server, "over TLS: ")


def test_a_server_that_says_nothing(start, authority):
    with Mute() as mute:
        server = start(f"rediss://127.0.0.1:{mute}", tls_ca=authority.file, redis_timeout="250ms")
        assert_useless(server, "over TLS: no answer within 250 ms")


@pytest.mark.parametrize("answer", [b"", b"-ERR no TLS here\r\n", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_a_server_that_breaks_off(start, authority, answer):
    """It closes the connection, at once or after some bytes, of TLS or not."""
    with breaking_off(answer) as place:
        server = start(f"rediss://{place}", tls_ca=authority.file)
        assert_useless(server, "over TLS: ")
        line, = [line for line in server.log().splitlines() if AWAY in line]
        assert "Success" not in line and "unavailable" not in line
        server.stop()


def test_plain_to_a_tls_server(start, secure):
    server = start(secure.url_of("localhost", "redis"))
    assert_useless(server, f"localhost:{secure.port}: ")


def test_nobody_listens(start, authority):
    dead = Port()
    assert_useless(start(f"rediss://127.0.0.1:{dead.number}", tls_ca=authority.file), "refused")


# Wrong files.


@pytest.mark.usefixtures("built")
def test_wrong_files(tmp, papers):
    authority, identity = papers
    other = authority.issue("client")
    locked = tmp / "locked.key"
    subprocess.run([need("openssl"), "ec", "-in", str(other.key), "-out", str(locked), "-aes128",
                    "-passout", "pass:pw"], check=True, stderr=subprocess.DEVNULL)
    (tmp / "text").write_text("none\n", encoding="ascii")
    certificate = f'tls_certificate = "{other.certificate}"\n'
    for line, option, text in (
            (3, "tls_ca", 'tls_ca = "none.pem"'),
            (3, "tls_ca", 'tls_ca = "text"'),
            (3, "tls_ca", 'tls_ca = "."'),
            (3, "tls_certificate", certificate),
            (3, "tls_key", f'tls_key = "{other.key}"'),
            (3, "tls_certificate", f'tls_certificate = "none.pem"\ntls_key = "{other.key}"'),
            (4, "tls_key", certificate + 'tls_key = "text"'),
            (4, "tls_key", certificate + f'tls_key = "{identity.key}"'),
            (4, "tls_key", certificate + f'tls_key = "{locked}"')):
        status, messages = checked(tmp, f'redis = "rediss://h"\n{text}')
        assert status == 1 and messages.startswith(f"FILE:{line}: {option}: "), (text, messages)
        assert messages.count("\n") == 1 and len(messages) > 30, messages
    status, messages = checked(tmp, f'redis = "rediss://h"\ntls_ca = "{authority.file}"\n'
                                    f'{certificate}tls_key = "{other.key}"')
    assert (status, messages) == (0, "FILE: ok\n")
