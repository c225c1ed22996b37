"""Fragments made by a FastCGI server: php-fpm, a program with libfcgi, and another workerless."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import fcgi
from harness.fcgi import Connection, ask
from harness.php import PhpFpm, php_config
from harness.servers import Server, need
from harness.wait import SLOWNESS, scaled, wait_until

# Everything that begins with HTTP_, and what says which fragment it is.
ECHO = """
header('Content-Type: text/plain');
ksort($_SERVER);
foreach ($_SERVER as $name => $value)
    if (preg_match('/^(HTTP_|QUERY_STRING|REQUEST_URI|SCRIPT_NAME|SERVER_NAME|APP_)/', $name)
        && !preg_match('/^HTTP_(TRACEPARENT|X_REQUEST_ID)$/', $name))
        echo "$name=$value\n";
"""


@pytest.fixture
def php(tmp, run):
    """php({"name": "code"}, ...) starts php-fpm with these scripts."""
    return lambda scripts, **options: run(PhpFpm(tmp, scripts, **options))


def fragment(server, name: str, **options) -> fcgi.Response:
    return ask(server.address, f"/fragment/{name}", **options)


# What the script gets, and what its response means.


def test_inputs(daemon, php):
    """Exactly those in `vary`, each in its variable, and nothing else of the request."""
    backend = php({"a": ECHO, "b": ECHO})
    server = daemon(php_config(
        backend, options='params = {"APP_ENV=production", "APP_TOKEN=secret"}',
        routes='fragment "a" { source = "php" private = "yes" vary = {"query:city", "cookie:session", '
               '"header:x-currency", "header:authorization", "language:en,de", "host"} }'))
    headers = {"Cookie": "other=1; session=s1", "X-Currency": "EUR", "Host": "h.test:8080",
               "Accept-Language": "de", "Authorization": "Basic YTpi", "Proxy": "http://evil/",
               "X-Other": "1"}
    text = fragment(server, "a", query="x=1&city=M%C3%BC nchen%26", headers=headers).text
    assert text.partition(">")[2].partition("</div>")[0].replace("&amp;", "&") == (
        "APP_ENV=production\nAPP_TOKEN=secret\nHTTP_ACCEPT_LANGUAGE=de\n"
        "HTTP_AUTHORIZATION=Basic YTpi\nHTTP_COOKIE=session=s1\nHTTP_HOST=h.test:8080\n"
        "HTTP_X_CURRENCY=EUR\nQUERY_STRING=city=M%C3%BC%20nchen%26\n"
        "REQUEST_URI=/fragment/a?city=M%C3%BC%20nchen%26\nSCRIPT_NAME=/a.php\n"
        "SERVER_NAME=h.test\n")
    text = fragment(server, "b", query="x=1&city=Paris", headers=headers).text
    assert text.partition(">")[2].partition("</div>")[0] == (
        "APP_ENV=production\nAPP_TOKEN=secret\nQUERY_STRING=\nREQUEST_URI=/fragment/b\n"
        "SCRIPT_NAME=/b.php\nSERVER_NAME=localhost\n")
    assert "secret" not in server.log()


def test_ids_are_passed_on(daemon, php):
    parent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
    backend = php({"a": "echo $_SERVER['HTTP_X_REQUEST_ID'], ' ', $_SERVER['HTTP_TRACEPARENT'];"})
    server = daemon(php_config(backend))
    assert fragment(server, "a", headers={"X-Request-Id": "id-7", "Traceparent": parent}
                    ).text == f"id-7 {parent}"


RESPONSES = [
    ("echo '<p>hi';", 200, "<p>hi"),
    ("header('Content-Type: text/plain'); echo '<';", 200, "&lt;"),
    ("http_response_code(204);", 200, ""),
    ("header('Status: 404 Not Found'); echo 'gone';", 404, ""),
    ("http_response_code(410);", 404, ""),
    ("header('Location: /elsewhere');", 502, ""),
    ("http_response_code(500);", 502, ""),
    ("header('Content-Type: image/png');", 502, ""),
    ("missing();", 502, ""),
    ("ini_set('memory_limit', '2M'); str_repeat('x', 10000000);", 502, ""),
    ("header('Content-Length: 100'); echo 'short';", 502, ""),
    ("header('Content-Encoding: gzip'); echo 'x';", 502, ""),
    ("echo 'half'; exit(3);", 200, "half"),  # php-fpm does not tell
    ("echo str_repeat('x', 100000);", 200, "x" * 1000),
    ("echo str_repeat('x', 100); flush(); echo str_repeat('y', 100);", 200, "y" * 100),
]


def test_responses(daemon, php):
    backend = php({f"s{number}": code for number, (code, _, _) in enumerate(RESPONSES)})
    server = daemon(php_config(backend))
    for number, (code, status, text) in enumerate(RESPONSES):
        response = fragment(server, f"s{number}")
        assert (response.status, text in response.text) == (status, True), code
    assert fragment(server, "no-such-script").status == 404


def test_a_script_is_no_directory(daemon, php):
    """PHP takes what is behind a script for its PATH_INFO, and so runs one that does not fit the
    template."""
    backend = php({"a.open": "echo 'open';", "closed": "echo 'closed';",
                   "d.php/a.open": "echo 'in';"})
    server = daemon(php_config(backend, script=f"{backend.app}/{{name}}.open.php"))
    assert "open" in fragment(server, "a").text
    for name in ("closed.php/x", "closed.PHP/x", "closed.php/x/y", "d.php/a"):
        response = fragment(server, name)
        assert response.status == 502 and "closed" not in response.text, name
    assert "would make a script a directory" in server.log()


def test_terms(daemon, php):
    """As with http: the response decides how long it is fresh, and who gets it."""
    backend = php({"fresh": "header('Cache-Control: max-age=33'); echo hrtime(true);",
                   "session": "session_start(); echo hrtime(true);"})
    server = daemon(php_config(backend, routes='fragment "fresh" { source = "php" }'))
    first, second = (fragment(server, "fresh") for _ in range(2))
    assert first.text == second.text and re.search("hit; ttl=3[0-3]",
                                                    second.headers["cache-status"])
    first, second = (fragment(server, "session") for _ in range(2))
    assert first.text != second.text and "set-cookie" not in second.headers


def test_not_modified(daemon, php, redis):
    """A refresh asks whether the result has changed."""
    backend = php({"a": """header('ETag: "7"');
        if (($_SERVER['HTTP_IF_NONE_MATCH'] ?? '') === '"7"') { http_response_code(304); exit; }
        echo 'seven';"""})
    server = daemon(php_config(backend, routes='fragment "a" { source = "php" ttl = "10ms" }',
                               top=f'cache {{ redis = "{redis.url}" }}'))

    def was_renewed() -> bool:
        assert fragment(server, "a").text == "seven"
        return server.counter("calls_not_modified") > 0

    wait_until(was_renewed, "a 304")


def test_front_controller(daemon, php):
    """One script for all fragments, which reads REQUEST_URI; also one in another language."""
    backend = php({"index": "echo explode('?', $_SERVER['REQUEST_URI'])[0], basename(__FILE__);"})
    server = daemon(php_config(backend, script=f"{backend.app}/index.php"))
    assert fragment(server, "news/today").text == "/fragment/news/todayindex.php"


def test_names_do_not_climb(daemon, php, tmp):
    """Nothing outside of the script's directory is run."""
    backend = php({"in/a": "echo 'a';", "secret": "echo 'secret';"})
    server = daemon(php_config(backend, script=f"{backend.app}/in/{{name}}.php"))
    assert fragment(server, "a").text == "a"
    for name in ("../secret", "in/../../secret", "..%2fsecret", "%2e%2e/secret", "a/../../secret",
                 "../secret.php%00", "%00", ".", "..", "/..", "a%0a"):
        response = fragment(server, name)
        assert response.status in (400, 404) and "secret" not in response.text, name


# Failures.


def test_errors_go_to_the_log(daemon, php):
    """A fatal error's text, escaped, and each script's flood is limited."""
    backend = php({"fatal": "throw new Exception(\"a\\x1b[31m\\nfragment \\\"x\\\": forged\");",
                   "flood": "for ($i = 0; $i < 1000; $i++) error_log(\"line $i\"); echo 'ok';"})
    server = daemon(php_config(backend))
    assert fragment(server, "fatal").status == 502
    server.wait_log(f'warning source: source "php": {backend.app}/fatal.php says: ')
    server.wait_log("Uncaught Exception: a\\x1b[31m")
    server.wait_log(f'fragment "fatal": source "php": {backend.app}/fatal.php answered 500\n')
    assert "\x1b" not in server.log()
    assert fragment(server, "flood").text == "ok"
    server.stop()
    assert server.log().count("line ") < 20 and " more in " in server.log()


def test_an_error_after_output(daemon, php):
    """With enough output_buffering, as the manual advises, a script that fails late has failed."""
    backend = php({"a": "echo str_repeat('x', 100000); missing();"},
                  pool="php_admin_value[output_buffering] = 1048576")
    server = daemon(php_config(backend))
    assert fragment(server, "a").status == 502


def test_too_large(daemon, php):
    backend = php({"a": "for (;;) echo str_repeat('x', 10000);"})
    server = daemon(php_config(backend, options='max_body = "64KiB"'))
    assert fragment(server, "a").status == 502
    server.wait_log(f"{backend.app}/a.php answered with more than max_body = 65536 bytes")
    backend.wait_idle(2)  # it notices that nobody reads


def test_request_terminate_timeout(daemon, php):
    """php-fpm kills a child that takes too long, and closes its connection."""
    backend = php({"a": "echo 'begun'; flush(); while (true);"}, children=1,
                  pool="request_terminate_timeout = 1s")
    server = daemon(php_config(backend))
    assert fragment(server, "a").status == 502
    server.wait_log("did not answer completely: the connection was closed")


def test_slow_log(daemon, php):
    """A script that php-fpm finds slow is traced by it, and its result is used."""
    backend = php({"a": "usleep(1500000); echo 'slow';"},
                  pool="slowlog = slow.log\nrequest_slowlog_timeout = 1s")
    server = daemon(php_config(backend))
    assert fragment(server, "a").text == "slow"
    wait_until(lambda: f"{backend.app}/a.php" in backend.log() + "".join(
        path.read_text("utf-8") for path in backend.dir.glob("slow.log")), "the slow log")


def test_killed_in_the_middle(daemon, php, tmp):
    backend = php({"a": f"echo 'half'; flush(); file_put_contents('{tmp}/pid', getmypid());"
                        "while (true) usleep(1000);"}, children=1)
    server = daemon(php_config(backend))
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a"))
        wait_until(lambda: (tmp / "pid").exists() and (tmp / "pid").read_text(), "the script")
        os.kill(int((tmp / "pid").read_text()), signal.SIGKILL)
        assert connection.response().status == 502
    server.wait_log("did not answer completely")


def test_the_script_goes_on(daemon, php, tmp):
    """The response is there when the request ends, even if the script does not."""
    backend = php({"a": f"echo 'early'; fastcgi_finish_request();"
                        f"while (!file_exists('{tmp}/go')) usleep(1000);"}, children=1)
    server = daemon(php_config(backend, options="keep_connections = 1"))
    assert fragment(server, "a").text == "early"
    (tmp / "go").touch()
    assert fragment(server, "a").status == 200


def test_timeout(daemon, php, tmp):
    """The request gets 504, and the connection is closed."""
    backend = php({"a": f"while (!file_exists('{tmp}/go')) {{ usleep(1000); echo ' '; flush(); }}"},
                  children=1)
    server = daemon(php_config(backend, options='timeout = "300ms"'))
    assert fragment(server, "a").status == 504
    backend.wait_idle(1)  # which it is only if its connection has gone


def test_unreachable_and_back(daemon, php):
    """A call waits for php-fpm to come back, if it may be retried."""
    backend = php({"a": "echo 'hi';", "b": "echo 'b';"})
    server = daemon(php_config(backend, options='retries = 5 timeout = "60s"'))
    backend.kill()
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a"))
        server.wait_counter("calls_retried", 1)
        backend.start()
        assert connection.response().text == "hi"


def test_php_fpm_is_down(daemon, php):
    backend = php({"a": "echo 'hi';"})
    server = daemon(php_config(backend))
    backend.stop()
    assert fragment(server, "a").status == 502
    server.wait_log(f"{backend.app}/a.php gets no connection to {backend.socket}: ")


# Connections.


def test_kept_connections(daemon, php):
    """With keep_connections, calls use a connection again; and if php-fpm closes it, as at the end
    of a child or at a reload, nobody notices."""
    count = scaled(60)
    backend = php({f"s{number}": "echo getmypid();" for number in range(count)}, children=2,
                  pool="pm.max_requests = 7")
    server = daemon(php_config(backend, options="keep_connections = 1"))
    pids = []
    for number in range(count):
        response = fragment(server, f"s{number}")
        assert response.status == 200, number
        pids.append(response.text)
        if number == count // 2:
            backend.signal(signal.SIGUSR2)  # reload
            wait_until(lambda: backend.log().count("ready to handle connections") == 2, "reload")
    assert any(one == other for one, other in zip(pids, pids[1:]))
    assert len(set(pids)) > 1
    assert server.counter("calls_failed") == 0


def test_no_connection_is_kept_by_default(daemon, php):
    """Idle connections would occupy php-fpm's children."""
    backend = php({f"s{number}": "echo 'hi';" for number in range(8)}, children=2)
    server = daemon(php_config(backend))
    for number in range(8):
        assert fragment(server, f"s{number}").text == "hi"
    assert server.counter("calls_started") == 8
    backend.wait_idle(2)


def test_one_kept_connection_occupies_one_child(daemon, php):
    backend = php({"a": "echo 'hi';"}, children=3)
    server = daemon(php_config(backend, options="keep_connections = 1"))
    assert fragment(server, "a").text == "hi"
    backend.wait_idle(2)
    server.stop()
    backend.wait_idle(3)


def at_once(server, names) -> list:
    """Requests on one connection, side by side."""
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(fcgi.request(f"/fragment/{name}", number)
                                     for number, name in enumerate(names, 1)))
        return [connection.response(number, 40) for number in range(1, len(names) + 1)]


@pytest.mark.seconds(120)
@pytest.mark.parametrize("connections", [4, 100])
def test_a_small_pool_serves_many(daemon, php, connections):
    """200 fragments of 100 ms by 4 children: none fails, and they take the time of 50 after each
    other; also if there are more connections than children. Afterwards all children are idle."""
    count = scaled(200)
    backend = php({"wait": "usleep(100000); echo explode('/', $_SERVER['REQUEST_URI'])[2];"},
                  children=4)
    server = daemon(php_config(backend, script=f"{backend.app}/wait.php",
                               options=f'connections = {connections} timeout = "60s"'))
    began = time.monotonic()
    responses = at_once(server, [f"f{number}" for number in range(count)])
    took = time.monotonic() - began
    assert {response.status for response in responses} == {200}
    assert [response.text for response in responses] == [f"f{number}" for number in range(count)]
    least = count / 4 * 0.1
    assert least * 0.95 < took < least * 1.5 + 2 * SLOWNESS, took
    assert server.counter("calls_failed") == 0
    backend.wait_idle(4)
    status = backend.status()
    assert status["accepted conn"] >= count and status["listen queue"] == 0
    if connections == 4:
        assert status["max listen queue"] <= 4


def test_full_backlog(daemon, php):
    """More calls than php-fpm lets wait: they wait here, and the log says what to change."""
    backend = php({"wait": "usleep(30000); echo 'hi';"}, children=1, pool="listen.backlog = 1")
    server = daemon(php_config(backend, script=f"{backend.app}/wait.php",
                               options='connections = 20 connect_timeout = "60s" timeout = "60s"'))
    responses = at_once(server, [f"f{number}" for number in range(20)])
    assert {response.text for response in responses} == {"hi"}
    server.wait_log(f'source "php": the backlog of {backend.socket} is full: set connections '
                    "(now 20) to at most the number of its processes")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tcp(daemon, php, host):
    backend = php({"a": "echo 'a';", "b": "echo 'b';"}, tcp=True)
    text = php_config(backend).replace("tcp:127.0.0.1", f"tcp:{host}")
    server = daemon(text)
    assert fragment(server, "a").text == "a" and fragment(server, "b").text == "b"


def test_in_the_sandbox(daemon, php):
    backend = php({"a": "echo 'a';"})
    server = daemon(php_config(backend, top='sandbox = "yes"'))
    assert fragment(server, "a").text == "a"
    assert "denied" not in server.log()


def test_connections_are_closed_at_the_end(daemon, php, tmp):
    """A call that runs when the daemon stops is cancelled."""
    backend = php({"a": f"file_put_contents('{tmp}/begun', 'x'); "
                        "while (true) { usleep(1000); echo ' '; flush(); }"}, children=1)
    server = daemon(php_config(backend, top='shutdown_timeout = "10ms"'))
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a"))
        wait_until((tmp / "begun").exists, "the script")
        server.stop()
    backend.wait_idle(1)


def test_where_the_time_goes(daemon, php):
    """The slow log knows what of it was waiting for the script."""
    backend = php({"a": "usleep(200000); echo 'a';"})
    server = daemon(php_config(backend, top='slow = "100ms"'))
    assert fragment(server, "a").text == "a"
    server.wait_log("slow")
    line = re.search(r".*slow.*", server.log()).group()
    assert re.search(r"first.byte", line), line


# Other servers.


RESPONDER = r"""
#include <fcgi_stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    while (FCGI_Accept() >= 0) {
        const char *script = getenv("SCRIPT_NAME");
        if (strcmp(script, "/error") == 0) {
            FCGI_fprintf(FCGI_stderr, "something is wrong\n");
            printf("Status: 503 Not now\r\nRetry-After: 1\r\n\r\n");
        } else if (strcmp(script, "/exit") == 0) {
            printf("Content-Type: text/html\n\nhalf");
            FCGI_SetExitStatus(7);
        } else if (strcmp(script, "/large") == 0) {
            printf("Content-Type: text/html\n\n");
            for (int i = 0; i < 50000; i++)
                printf("%019d\n", i);
        } else {
            printf("Content-Type: text/html\r\n\r\n<p>%s %s", script, getenv("QUERY_STRING"));
        }
    }
    return 0;
}
"""


class Libfcgi(Server):
    """A program with libfcgi, started by spawn-fcgi."""

    name = "libfcgi"

    def __init__(self, tmp) -> None:
        super().__init__(tmp)
        self.address = self.app = str(self.dir / "socket")
        self.socket = f"unix:{self.address}"
        (self.dir / "responder.c").write_text(RESPONDER, "utf-8")
        compiler = os.environ.get("CC", "cc").split()
        assert os.spawnvp(os.P_WAIT, compiler[0], [
            *compiler, "-o", str(self.dir / "responder"), str(self.dir / "responder.c"), "-lfcgi"]) == 0

    def command_line(self) -> list:
        return [need("spawn-fcgi"), "-n", "-s", self.address, "--", str(self.dir / "responder")]

    def ready(self) -> bool:
        return os.path.exists(self.address)


@pytest.mark.parametrize("keep", [0, 1])
def test_libfcgi(tmp, run, daemon, keep):
    backend = run(Libfcgi(tmp))
    server = daemon(php_config(
        backend, script="/srv/app/{name}", options=f"keep_connections = {keep} connections = 1",
        route='vary = {"query:a"}'))
    assert fragment(server, "x", query="a=1&b=2").text == "<p>/x a=1"
    assert fragment(server, "large").text == "".join(f"{i:019d}\n" for i in range(50000))
    assert fragment(server, "exit").status == 502
    server.wait_log("/srv/app/exit ended with the exit status 7")
    assert fragment(server, "error").status == 502
    server.wait_log("/srv/app/error says: something is wrong")
    server.wait_log("/srv/app/error answered 503")


@pytest.mark.parametrize("keep", [0, 5])
def test_ourselves(daemon, api, name, keep):
    """A workerless behind a workerless: what it says of freshness counts."""
    behind = daemon()
    server = daemon(f"""
source "behind" {{
    type = "fastcgi" socket = "unix:{behind.address}" script = "/x/y" keep_connections = {keep}
}}
fragment "*" {{ source = "behind" }}
""")
    first, second = (fragment(server, name) for _ in range(2))
    assert f"result for {name}" in first.text and first.text == second.text
    assert "hit" in second.headers["cache-status"] and api.calls(name) == 1
    with ThreadPoolExecutor(20) as pool:
        names = [f"{name}-{number % 5}" for number in range(40)]
        texts = list(pool.map(lambda one: fragment(server, one).text, names))
    assert all(f"result for {one}" in text for one, text in zip(names, texts))
    assert all(api.calls(one) == 1 for one in names)
