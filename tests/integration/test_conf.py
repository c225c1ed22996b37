"""The command line, and errors in a config: FILE:LINE: what, status 1, nothing started."""

import os
import re
import socket
import subprocess

import pytest

from harness.fcgi import Connection, ask
from harness.servers import (Port, Workerless, accepts, sanitizer_environment, workerless_binary,
                             wrapper_command)
from harness.wait import DEADLINE, SLOWNESS

GOOD = """
# A comment.
listen = {{"unix:{tmp}/socket", "tcp:127.0.0.1:0"}}
cache {{
    redis     = ""   # memory only
    namespace = "worker"
    memory    = "64MiB"
}}
source "slow" {{ type = "simulated"  delay = "0-3s" }}
source "api"  {{
    type = "http"  url = "http://127.0.0.1:9/{{name}}"  timeout = "10s"  max_body = "1MiB"
}}
max_parked              = 100000
max_flights             = 100000
max_connections         = 0
max_connection_requests = 1024
max_params              = "64KiB"
max_request_body        = "1MiB"
max_unfinished          = "64MiB"
max_unsent              = "64MiB"
max_inputs              = "64MiB"
fragment "a"      {{ source = "slow"  ttl = "60s" }}
fragment "user/*" {{ source = "api"   ttl = "60s"  hold = "25s"  fallback = "unavailable.html" }}
"""

SOURCE = 'source "s" { type = "simulated" delay = "0" }\n'
ROUTE = 'fragment "*" { source = "s" }\n'


def workerless(*arguments: str) -> subprocess.CompletedProcess:
    """Runs the daemon to its end."""
    return subprocess.run([*wrapper_command(), workerless_binary(), *arguments],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE * SLOWNESS, check=False,
                          env={**os.environ, **sanitizer_environment()})


@pytest.fixture
def check(tmp):
    """check(text) runs -t on a config of that text; returns (status, messages)."""
    def run_check(text: str) -> tuple:
        path = tmp / "workerless.conf"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        done = workerless("-t", "-c", str(path))
        return done.returncode, done.stderr.replace(str(path), "FILE")

    return run_check


# The command line.


def test_version():
    done = workerless("-V")
    assert done.returncode == 0 and re.match(r"workerless \d+\.\d+", done.stdout)


def test_help():
    done = workerless("-h")
    assert done.returncode == 0 and done.stderr == ""
    for word in ("-c", "-t", "-V", "-v", "-h", "max_parked", "fallback", "25s", "listen"):
        assert word in done.stdout, word


@pytest.mark.parametrize("arguments", [["-x"], ["-c"], ["--nonsense"], ["-t", "surplus"],
                                       ["surplus"]])
def test_bad_arguments(arguments):
    done = workerless(*arguments)
    assert done.returncode not in (0, 99) and done.returncode > 0
    assert done.stderr


def test_no_such_file(tmp):
    for arguments in (["-t"], []):
        done = workerless(*arguments, "-c", str(tmp / "none.conf"))
        assert done.returncode == 1
        assert str(tmp / "none.conf") in done.stderr


def test_unreadable_files(tmp):
    (tmp / "directory").mkdir()
    os.mkfifo(tmp / "fifo")
    for name in ("directory", "fifo"):
        done = workerless("-t", "-c", str(tmp / name))
        assert done.returncode == 1 and str(tmp / name) in done.stderr


def test_a_good_config(tmp, check):
    (tmp / "unavailable.html").write_text("<p>away</p>")
    status, messages = check(GOOD.format(tmp=tmp))
    assert (status, messages) == (0, "FILE: ok\n")
    assert not (tmp / "socket").exists()


def test_a_good_config_runs(tmp, run):
    server = Workerless(tmp, GOOD.format(tmp=tmp), listen="none", address=str(tmp / "socket"))
    (server.dir / "unavailable.html").write_text("<p>away</p>")
    run(server)
    with Connection(server.address) as connection:
        response = connection.request("/fragment/user/7")  # nothing listens on port 9
        assert (response.status, response.text) == (502, "<p>away</p>")


def test_included_files(tmp, run):
    """They are served, their paths are relative to them, and -t checks them, too."""
    server = Workerless(tmp, "include = {'conf.d/*.conf', 'api.conf'}\n" + SOURCE)
    directory = server.dir / "conf.d"
    directory.mkdir()
    (directory / "1.conf").write_text('fragment "a" { source = "s" }\ninclude = "more/*"\n')
    (directory / "2.conf").write_text('fragment "*" { source = "api" fallback = "f.html" }\n')
    (directory / "f.html").write_text("<p>away</p>")
    (server.dir / "api.conf").write_text(
        'source "api" { type = "http" url = "http://127.0.0.1:9/{name}" }\n')
    run(server)
    with Connection(server.address) as connection:
        assert "result for a" in connection.request("/fragment/a").text
        response = connection.request("/fragment/b")
        assert (response.status, response.text) == (502, "<p>away</p>")
    config = server.config_path
    assert workerless("-t", "-c", str(config)).stderr == f"{config}: ok\n"
    (directory / "3.conf").write_text('\nmax_parked = 0\nfragment "b" { source = "s" }\n')
    done = workerless("-t", "-c", str(config))
    assert done.returncode == 1
    assert done.stderr == (
        f"{directory}/3.conf:2: max_parked = \"0\": must be from 1 to 100000000\n"
        f"{directory}/3.conf:3: fragment \"b\" is never used: \"*\" in {directory}/2.conf:1 comes "
        "first and matches all of it\n")


def test_verbose_and_log_format(daemon):
    server = daemon(args=["-v"])
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
    server.stop()
    for line in server.log().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \[\d+\] "
                        r"(error|warning|info|debug) \w+: ", line) or line.startswith("=="), line


# Errors. Each: the text, the line of the message, a word of it.

BAD = {
    "unknown option": (SOURCE + ROUTE + "max_parkd = 5\n", 3, "max_parkd"),
    "unknown section": (SOURCE + ROUTE + 'fragmet "x" { source = "s" }\n', 3, "fragmet"),
    "unknown option of a section": (SOURCE + 'fragment "*" {\n source = "s"\n tll = "5s"\n}\n', 4,
                                    "tll"),
    "option of another type": ('source "s" {\n type = "simulated"\n url = "http://x/"\n}\n' + ROUTE,
                               3, "url"),
    "never used": (SOURCE + ROUTE + 'fragment "a" { source = "s" }\n', 3, '"*" in line 2'),
    "no such source": (SOURCE + 'fragment "*" { source = "none" }\n', 2, "none"),
    "no source": (SOURCE + 'fragment "*" { ttl = "5s" }\n', 2, "source"),
    "no type": ('source "s" { delay = "1s" }\n' + ROUTE, 1, "type"),
    "no such type": ('source "s" {\n type = "magic" }\n' + ROUTE, 2, "magic"),
    "no url": ('source "s" { type = "http" }\n' + ROUTE, 1, "url"),
    "url of another scheme": ('source "s" { type = "http"\n url = "ftp://x/{name}" }\n' + ROUTE,
                              2, "http"),
    "url without a host": ('source "s" { type = "http"\n url = "http:///{name}" }\n' + ROUTE, 2,
                           "host"),
    "two sources of a name": (SOURCE + SOURCE + ROUTE, 2, "s"),
    "duration without unit": (SOURCE + 'fragment "*" {\nsource = "s"\nttl = 60 }\n', 4, "60"),
    "quoted duration without unit": (SOURCE + 'fragment "*" {\nsource = "s"\nttl = "60" }\n', 4,
                                     "unit"),
    "duration of a bad unit": (SOURCE + 'fragment "*" { source = "s" ttl = "5 parsec" }\n', 2,
                               "parsec"),
    "negative duration": (SOURCE + 'fragment "*" { source = "s" ttl = "-5s" }\n', 2, "-5s"),
    "size without unit": (SOURCE + ROUTE + 'max_params = "64"\n', 3, "unit"),
    "size of a bad unit": (SOURCE + ROUTE + 'max_params = "64parsec"\n', 3, "parsec"),
    "size that overflows": (SOURCE + ROUTE + 'max_params = "99999999999999999GiB"\n', 3,
                            "max_params"),
    "count that is none": (SOURCE + ROUTE + 'max_parked = "many"\n', 3, "many"),
    "negative count": (SOURCE + ROUTE + "max_parked = -1\n", 3, "-1"),
    "count out of range": (SOURCE + ROUTE + "max_connection_requests = 70000\n", 3, "65535"),
    "range upside down": ('source "s" { type = "simulated"\ndelay = "3s-1s" }\n' + ROUTE, 2,
                          "delay"),
    "bad redis": ('cache {\nredis = "localhost" }\n' + SOURCE + ROUTE, 2, "redis"),
    "redis with a bad port": ('cache { redis = "redis://h:99999" }\n' + SOURCE + ROUTE, 1, "port"),
    "redis of no known kind": ('cache { redis = "rediss-sentinel://h/m" }\n' + SOURCE + ROUTE, 1,
                               "sentinels://, clusters://"),
    "TLS to none": ('cache {\n tls_ca = "ca.pem" }\n' + SOURCE + ROUTE, 2, "tls_ca: the redis"),
    "TLS to a plain redis": ('cache { redis = "redis://h"\n tls_name = "h" }\n' + SOURCE + ROUTE, 2,
                             "rediss://"),
    "bad namespace": ('cache { namespace = "a b" }\n' + SOURCE + ROUTE, 1, "namespace"),
    "bad listen": ('listen = {"sctp:1"}\n' + SOURCE + ROUTE, 1, "sctp"),
    "listen with a bad port": ('listen = {"tcp:127.0.0.1:x"}\n' + SOURCE + ROUTE, 1, "PORT"),
    "listen with a long path": ('listen = {"unix:/' + "x" * 200 + '"}\n' + SOURCE + ROUTE, 1,
                                "107"),
    "no fallback file": (SOURCE + 'fragment "*" {\n source = "s"\n fallback = "none.html"\n}\n', 4,
                         "none.html"),
    "fallback that is a directory": (SOURCE + 'fragment "*" { source = "s" fallback = "." }\n', 2,
                                     "fallback"),
    "unclosed section": (SOURCE + 'fragment "*" { source = "s"\n', None, ""),
    "unclosed string": (SOURCE + ROUTE + 'max_params = "64KiB\n', 3, ""),
    "stray brace": (SOURCE + ROUTE + "}\n", 3, ""),
    "no value": (SOURCE + ROUTE + "max_parked =\n", None, ""),
    "an option twice": (SOURCE + ROUTE + "max_parked = 5\nmax_parked = 6\n", 4, "max_parked"),
    "not a text": ("\0\1\2\xff\n", None, ""),
    "a NUL byte": (SOURCE + ROUTE + "max_parked = 5\0\n", 3, ""),
    "bad word": (SOURCE + ROUTE + "tcp_half_close = maybe\n", 3, "maybe"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong(check, case):
    text, line, word = BAD[case]
    status, messages = check(text)
    assert status == 1
    assert messages, "no message"
    for message in messages.splitlines():
        assert re.match(r"FILE:(\d+:)? \S", message), message
    assert word in messages
    if line:
        assert f"FILE:{line}: " in messages


def test_all_that_is_wrong(check):
    """Every problem is reported, in the order of the lines."""
    status, messages = check('max_parked = "x"\n' + SOURCE
                             + 'fragment "a" { source = "none" }\nmax_params = "1"\n')
    lines = [int(found) for found in re.findall(r"^FILE:(\d+):", messages, re.MULTILINE)]
    assert status == 1 and lines == [1, 3, 4]


DOUBTFUL = SOURCE + 'fragment "a" {\n source = "s"\n hold = "2m"\n}\n'


def test_warnings(check, tmp, run):
    """They prevent neither the check from passing nor the start."""
    status, messages = check(DOUBTFUL)
    warning, verdict = messages.splitlines()
    assert status == 0 and verdict == "FILE: ok, 1 warning"
    assert warning.startswith('FILE:4: warning: hold = "2m": nginx answers 504 after 60s ')
    status, messages = check(DOUBTFUL + 'fragment "fragment/b" { source = "s" }\n')
    assert status == 0 and messages.splitlines()[2:] == ["FILE: ok, 2 warnings"]
    server = run(Workerless(tmp, DOUBTFUL))
    assert ask(server.address).status == 200
    assert f'{server.config_path}:5: warning: hold = "2m": ' in server.log()


def test_secrets_are_not_shown(check):
    status, messages = check('cache { redis = "redis://:s3cret@h:99999" }\n' + SOURCE + ROUTE)
    assert status == 1 and "s3cret" not in messages


def test_nothing_is_started(tmp):
    path = tmp / "workerless.conf"
    path.write_text(f'listen = {{"unix:{tmp}/socket"}}\n' + SOURCE + ROUTE + "max_parked = x\n")
    done = workerless("-c", str(path))
    assert done.returncode == 1 and f"{path}:4: " in done.stderr
    assert not (tmp / "socket").exists()


@pytest.mark.parametrize("line", [
    'idle_timeout = "250ms"', 'idle_timeout = "1.5s"', 'idle_timeout = "5m"', 'idle_timeout = "1h"',
    'idle_timeout = "1d"', 'shutdown_timeout = "0"', 'max_params = "512B"', 'max_params = "1KiB"',
    'max_params = "2MiB"', 'max_params = "1GiB"', 'max_request_body = "0"', "max_parked = 1",
    "max_connections = 10", "socket_mode = 0600", 'socket_mode = "0600"', "tcp_half_close = yes",
    "log = syslog", 'listen = {"tcp:[::1]:9000"}', 'listen = {"fd:0"}', 'listen = {"tcp:h:1"}',
    'cache { redis = "redis://user:pw@host:1/2" }', 'cache { redis = "redis://[::1]:6379" }',
    'cache { memory = "0" }', 'cache { redis_timeout = "1s" }'])
def test_what_is_right(check, line):
    status, messages = check(SOURCE + ROUTE + line + "\n")
    assert status == 0, messages


def test_the_first_matching_route_wins(daemon, api):
    server = daemon(f'source "one" {{ type = "http" url = "{api.url}/one/{{name}}" }}\n'
                    f'source "two" {{ type = "http" url = "{api.url}/two/{{name}}" }}\n'
                    'fragment "a" { source = "one" }\nfragment "a/*" { source = "one" }\n'
                    'fragment "a*" { source = "two" }\nfragment "c/*" { source = "one" }\n')
    with Connection(server.address) as connection:
        for name, seen in (("a", "one/a"), ("ab", "two/ab"), ("a/b", "one/a/b"),
                           ("c/d/e", "one/c/d/e")):
            assert f"result for {seen}<" in connection.request(f"/fragment/{name}").text
        assert connection.request("/fragment/c").status == 404
        assert connection.request("/fragment/b").status == 404


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host, answers", [
    ("*", ["127.0.0.1", "::1"]), ("localhost", ["127.0.0.1"]), ("127.0.0.1", ["127.0.0.1"]),
    ("[::1]", ["::1"])])
def test_all_addresses_of_a_host(tmp, run, host, answers):
    """A front server may try any of them."""
    if not has_ipv6():
        answers = [address for address in answers if ":" not in address]
        if not answers:
            pytest.skip("this machine has no IPv6")
    port = Port().number
    run(Workerless(tmp, f'listen = {{"tcp:{host}:{port}"}}\n' + SOURCE + ROUTE, listen="none",
                   address=(answers[0], port)))
    for address in answers:
        assert ask((address, port)).status == 200
    assert accepts(("127.0.0.2", port)) == (host == "*")


def test_settings_take_effect(tmp, run):
    """socket_mode, and a fallback beside the config file."""
    server = run(Workerless(tmp, SOURCE + ROUTE + "socket_mode = 0600\n"))
    assert os.stat(server.socket_path).st_mode & 0o777 == 0o600
    other = run(Workerless(tmp, SOURCE + ROUTE))
    assert os.stat(other.socket_path).st_mode & 0o777 == 0o660
