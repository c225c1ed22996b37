"""How an http source makes its calls: over which transport, with which certificates, headers and
body, how often, and what they tell of the request that caused them."""

import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.peer import new_name
from harness.servers import Nginx, Workerless, need, workerless_binary, wrapper_command
from harness.slowapi import SlowApi, Tls
from harness.tls import Authority
from harness.wait import wait_until

CONFIG = """
source "api" {{ type = "http" timeout = "30s" url = "{url}"
{options}
}}
fragment "*" {{ source = "api" ttl = "60s" }}
"""


@pytest.fixture
def call(daemon):
    """call(url, options, names...) has a new daemon make fragments; returns it and the responses,
    or the one response if there is one name."""
    def made(url: str, options: str = "", *names: str) -> tuple:
        server = daemon(CONFIG.format(url=url, options=options))
        with Connection(server.address) as connection:
            responses = [connection.request(f"/fragment/{name}") for name in names or [new_name()]]
        return server, responses if len(responses) > 1 else responses[0]

    return made


@pytest.fixture
def check(tmp):
    """check(text) runs -t on a config of that text; returns (status, messages)."""
    def checked(text: str) -> tuple:
        path = tmp / "workerless.conf"
        path.write_text(text, encoding="utf-8")
        done = subprocess.run([*wrapper_command(), workerless_binary(), "-t", "-c", str(path)],
                              check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout.replace(str(path), "FILE")

    return checked


def features() -> str:
    """What libcurl has, as -V says: "libcurl 7.88.1: TLS HTTP/2 gzip br"."""
    said = subprocess.run([*wrapper_command(), workerless_binary(), "-V"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return re.search(r"^libcurl \S+:.*$", said, re.MULTILINE)[0]


# TLS.


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """(a CA, the identity of a server of 127.0.0.1, that of a client)."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    return authority, authority.issue("server", "IP:127.0.0.1"), authority.issue("client")


def test_own_ca(tmp, run, call, papers):
    authority, identity, _ = papers
    shutil.copy(authority.file, tmp / "ca.pem")
    api = run(SlowApi(tls=Tls(*identity)))
    server, response = call(f"{api.url}/{{name}}", f'tls_ca = "{authority.file}"', "a")
    assert "result for a" in response.text, server.log()


def test_paths_are_relative_to_the_config(run, tmp, papers):
    """Wherever the daemon is started."""
    authority, identity, client = papers
    api = run(SlowApi(tls=Tls(*identity, ask=authority.file)))
    server = Workerless(tmp, CONFIG.format(
        url=f"{api.url}/{{name}}",
        options='tls_ca = "ca.pem" tls_certificate = "tls/client.pem" tls_key = "tls/client.key"'))
    (server.dir / "tls").mkdir()
    shutil.copy(authority.file, server.dir / "ca.pem")
    shutil.copy(client.certificate, server.dir / "tls/client.pem")
    shutil.copy(client.key, server.dir / "tls/client.key")
    (server.dir / "tls/client.key").chmod(0o640)
    assert os.getcwd() != str(server.dir)
    run(server)
    with Connection(server.address) as connection:
        assert "result for a" in connection.request("/fragment/a").text


@pytest.mark.parametrize("which", ["no option", "another CA", "another name"])
def test_certificates_are_always_verified(tmp, run, call, papers, which):
    authority, identity, _ = papers
    trusted = {"no option": "", "another CA": Authority(tmp, "other").file,
               "another name": authority.file}[which]
    if which == "another name":
        identity = authority.issue("elsewhere", "DNS:elsewhere.test")
    api = run(SlowApi(tls=Tls(*identity)))
    server, response = call(f"{api.url}/{{name}}", f'tls_ca = "{trusted}"', "a")
    assert response.status == 502
    assert api.calls() == 0
    assert f'source "api": {api.url}/a: SSL' in server.log()


def test_a_client_certificate_is_asked_for(run, call, papers):
    authority, identity, client = papers
    api = run(SlowApi(tls=Tls(*identity, ask=authority.file)))
    trust = f'tls_ca = "{authority.file}"'
    _, response = call(f"{api.url}/{{name}}", trust)
    assert response.status == 502
    assert api.calls() == 0
    _, response = call(f"{api.url}/{{name}}", f'{trust} tls_certificate = "{client.certificate}" '
                       f'tls_key = "{client.key}"')
    assert response.status == 200


def test_the_client_certificate_is_not_for_others(run, call, papers):
    """Neither is it shown to another host that the option `redirects` lists."""
    authority, identity, client = papers
    api = run(SlowApi(tls=Tls(*identity, ask=authority.file)))
    other = run(SlowApi(tls=Tls(*identity, ask=authority.file)))
    open_to_all = run(SlowApi(tls=Tls(*identity)))
    api.answer("a", status=302, headers={"Location": f"{other.url}/a"})
    api.answer("b", status=302, headers={"Location": f"{open_to_all.url}/b"})
    api.answer("c", status=302, headers={"Location": "/d"})
    _, (refused, followed, back) = call(
        f"{api.url}/{{name}}",
        f'tls_ca = "{authority.file}" tls_certificate = "{client.certificate}" '
        f'tls_key = "{client.key}" redirects = {{"127.0.0.1:{other.port}", '
        f'"127.0.0.1:{open_to_all.port}"}}', "a", "b", "c")
    assert (refused.status, other.calls()) == (502, 0)
    assert "result for b" in followed.text
    assert "result for d" in back.text  # on the same handle, with the certificate again


@pytest.mark.parametrize("options, complaint", [
    ('tls_ca = "ca.pem"', ""),
    ('tls_certificate = "client.pem" tls_key = "client.key"', ""),
    ('tls_ca = "damaged.pem"', "tls_ca: can't read any certificate from the file"),
    ('tls_certificate = "client.pem"', "tls_certificate: tls_key is required with it"),
    ('tls_key = "client.key"', "tls_key: tls_certificate is required with it"),
    ('tls_certificate = "damaged.pem" tls_key = "client.key"',
     "tls_certificate: can't read a certificate from the file"),
    ('tls_certificate = "client.pem" tls_key = "other.key"',
     "tls_key: not the certificate's key, without a passphrase"),
    ('tls_certificate = "client.pem" tls_key = "locked.key"',
     "tls_key: not the certificate's key, without a passphrase"),
    ('tls_certificate = "client.pem" tls_key = "open.key"',
     "tls_key: {dir}/open.key: every user of this host has access to it; remove that by chmod o="),
])
def test_certificates_are_checked_at_start(tmp, papers, check, options, complaint):
    authority, identity, client = papers
    for source, name in ((authority.file, "ca.pem"), (client.certificate, "client.pem"),
                         (client.key, "client.key"), (client.key, "open.key"),
                         (identity.key, "other.key")):
        shutil.copy(source, tmp / name)
    (tmp / "open.key").chmod(0o604)
    (tmp / "damaged.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="ascii")
    subprocess.run([need("openssl"), "pkey", "-in", client.key, "-aes128", "-passout", "pass:word",
                    "-out", tmp / "locked.key"], check=True)
    status, said = check(CONFIG.format(url="https://localhost/{name}", options=options))
    if complaint:
        assert status == 1
        assert said.startswith(f'FILE:3: source "api": {complaint.format(dir=tmp)}')
    else:
        assert (status, said) == (0, "FILE: ok\n")


@pytest.mark.parametrize("option", ["tls_ca", "tls_certificate", "tls_key"])
def test_certificates_without_tls(tmp, papers, check, option):
    file = {"tls_ca": papers[0].file, "tls_certificate": papers[2].certificate,
            "tls_key": papers[2].key}[option]
    shutil.copy(file, tmp / "file.pem")
    assert check(CONFIG.format(url="http://localhost/{name}", options=f'{option} = "file.pem"')) \
        == (1, f'FILE:3: source "api": {option} has no effect, since the url is not https\n')

# Unix sockets.


def test_socket(tmp, run, call):
    """The host of the url is only a name."""
    api = run(SlowApi(socket_path=tmp / "app.sock"))
    api.answer("b", status=302, headers={"Location": "http://app.test/c"})
    _, (one, two) = call("http://app.test/{name}", f'socket = "{tmp}/app.sock"', "a", "b")
    assert "result for a" in one.text and "result for c" in two.text
    assert {call.headers["host"] for call in api.requests()} == {"app.test"}
    assert {call.connection for call in api.requests()} == {1}


def test_socket_with_tls(tmp, run, call, papers):
    authority, identity, _ = papers
    api = run(SlowApi(socket_path=tmp / "app.sock", tls=Tls(*identity)))
    server, response = call("https://127.0.0.1/{name}", f'socket = "{tmp}/app.sock" '
                            f'tls_ca = "{authority.file}"')
    assert response.status == 200, server.log()
    _, response = call("https://localhost/{name}", f'socket = "{tmp}/app.sock" '
                       f'tls_ca = "{authority.file}"')
    assert response.status == 502  # the certificate is that of 127.0.0.1
    assert api.calls() == 1


@pytest.mark.parametrize("state, why", [("absent", "No such file or directory"),
                                        ("left behind", "Connection refused")])
def test_socket_without_a_server(tmp, call, state, why):
    if state == "left behind":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(f"{tmp}/app.sock")
    server, response = call("http://app.test/{name}", f'socket = "{tmp}/app.sock"', "a")
    assert response.status == 502
    assert 'source "api": http://app.test/a: ' in server.log()
    assert f"({tmp}/app.sock: {why})\n" in server.log()


def test_redirects_through_a_socket(tmp, run, call, api):
    """Nothing else is reached, neither through the socket nor past it."""
    app = run(SlowApi(socket_path=tmp / "app.sock"))
    app.answer("a", status=302, headers={"Location": f"{api.url}/a"})
    app.answer("b", status=302, headers={"Location": "https://app.test/b"})
    server, responses = call("http://app.test/{name}", f'socket = "{tmp}/app.sock"', "a", "b")
    assert [response.status for response in responses] == [502, 502]
    assert (api.calls(), app.calls()) == (0, 2)
    assert (f"redirects to {api.url}, which is refused (it is not reached through socket)\n"
            in server.log())


# HTTP/2.

NGINX = """
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path @DIR@/body; proxy_temp_path @DIR@/proxy; fastcgi_temp_path @DIR@/fastcgi;
    uwsgi_temp_path @DIR@/uwsgi; scgi_temp_path @DIR@/scgi;
    server {{
        listen 127.0.0.1:@PORT@ {listen};
        {tls}
        location / {{
            proxy_pass {api};
            proxy_set_header X-Protocol $server_protocol;
            proxy_set_header X-Connection $connection;
        }}
    }}
}}
"""


def connections_of(api: SlowApi) -> int:
    """How many connections nginx had from the daemon."""
    return len({call.headers["x-connection"] for call in api.requests()})


@pytest.fixture
def before_api(tmp, run, api, papers):
    """before_api("ssl http2") starts an nginx that listens so, and passes everything to the API."""
    def started(listen: str) -> Nginx:
        _, identity, _ = papers
        tls = f"ssl_certificate {identity.certificate}; ssl_certificate_key {identity.key};"
        return run(Nginx(tmp, NGINX.format(listen=listen, tls=tls if "ssl" in listen else "",
                                           api=api.url)))

    return started


@pytest.mark.parametrize("listen, option, protocol", [
    ("ssl http2", "", "HTTP/2.0"),
    ("ssl http2", 'http2 = "yes"', "HTTP/2.0"),
    ("ssl http2", 'http2 = "no"', "HTTP/1.1"),
    ("ssl", "", "HTTP/1.1"),
    ("", "", "HTTP/1.1"),
    ("http2", 'http2 = "prior-knowledge"', "HTTP/2.0"),
])
def test_http2(call, api, papers, before_api, listen, option, protocol):
    nginx = before_api(listen)
    secure = "ssl" in listen
    url = f"{'https' if secure else 'http'}://127.0.0.1:{nginx.port}/{{name}}"
    server, response = call(url, f'tls_ca = "{papers[0].file}" {option}' if secure else option, "a")
    assert "result for a" in response.text, server.log()
    assert [call.headers["x-protocol"] for call in api.requests()] == [protocol]


def test_http2_is_not_spoken_to_who_is_not_known_to(call, api, before_api, tmp, run):
    """prior-knowledge is about the url's host, and not about where it redirects to."""
    nginx, other = before_api("http2"), run(SlowApi(tmp))
    api.answer("a", status=302, headers={"Location": f"{other.url}/b"})
    _, responses = call(f"http://127.0.0.1:{nginx.port}/{{name}}", 'http2 = "prior-knowledge" '
                        f'redirects = "127.0.0.1:{other.port}"', "a", "c", "a")
    assert "result for b" in responses[0].text and "result for c" in responses[1].text
    assert other.calls() == 1


def test_http2_calls_at_the_same_time(daemon, api, before_api):
    nginx = before_api("http2")
    server = daemon(CONFIG.format(url=f"http://127.0.0.1:{nginx.port}/{{name}}",
                                  options='http2 = "prior-knowledge"'))
    names = [new_name() for _ in range(20)]
    api.hold(*names)
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request(f"/fragment/{names[0]}", 1))
        api.wait_calls(None, 1)  # those that start together may open a connection each
        for number, name in enumerate(names[1:], start=2):
            connection.send_raw(fcgi.request(f"/fragment/{name}", number))
        api.wait_calls(None, len(names))
        api.release_all()
        for number in range(1, len(names) + 1):
            assert connection.response(number).status == 200
    assert 1 <= connections_of(api) <= len(names)  # libcurl decides whether they share some


def test_one_http2_call_ends_alone(daemon, api, before_api):
    """One that times out, or whose body is too large, leaves its connection to the others."""
    nginx = before_api("http2")
    server = daemon(CONFIG.format(url=f"http://127.0.0.1:{nginx.port}/{{name}}",
                                  options='http2 = "prior-knowledge" max_body = "1KiB"'))
    api.hold("a")
    api.answer("b", body="x" * 100_000)
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1))
        api.wait_calls("a", 1)
        assert connection.request("/fragment/b", 2).status == 502
        assert connection.request("/fragment/c", 2).status == 200
        api.release("a")
        assert connection.response(1).status == 200
    assert 1 <= connections_of(api) <= 3


# Headers.


def test_headers(call, api, monkeypatch, tmp):
    monkeypatch.setenv("API_TOKEN", "from-the-environment")
    (tmp / "token").write_text("from-a-file\n", encoding="ascii")
    server, response = call(f"{api.url}/{{name}}", 'headers = {"X-One: Bearer ${API_TOKEN}", '
                            f'"X-Two:${{file:{tmp}/token}}", "x-three:  a, b  "}}', "a")
    assert response.status == 200
    sent = api.requests()[0].headers
    assert sent["x-one"] == "Bearer from-the-environment"
    assert sent["x-two"] == "from-a-file"
    assert sent["x-three"] == "a, b"
    assert sent["accept"].startswith("text/html, ")
    assert sent["user-agent"].startswith("workerless/")
    assert "from-" not in server.log()


def test_headers_in_place_of_ours(call, api):
    call(f"{api.url}/{{name}}", 'headers = {"accept: application/json", "User-Agent: shop/1", '
         '"Accept-Encoding: identity"}', "a")
    sent = api.requests()[0].headers
    assert (sent["accept"], sent["user-agent"]) == ("application/json", "shop/1")
    assert sent["accept-encoding"] == "identity"


def test_headers_are_not_for_others(call, api, run):
    """A redirect takes them along only within the scheme, host and port of the url."""
    other = run(SlowApi())
    api.answer("a", status=302, headers={"Location": f"{other.url}/a"})
    api.answer("b", status=302, headers={"Location": "/c"})
    other.answer("a", status=302, headers={"Location": f"{api.url}/d"})
    server, responses = call(
        f"{api.url}/{{name}}", f'redirects = "127.0.0.1:{other.port}" headers = {{"Cookie: s=1", '
        '"Authorization: Bearer secret", "User-Agent: secret", "Accept: text/secret"}', "a", "b")
    assert "result for d" in responses[0].text and "result for c" in responses[1].text
    there, = other.requests()
    assert "authorization" not in there.headers and "cookie" not in there.headers
    assert "secret" not in str(there.headers)
    assert there.headers["user-agent"].startswith("workerless/")
    assert there.headers["accept"].startswith("text/html, ")
    assert len(api.requests()) == 4
    for request in api.requests():
        assert request.headers["authorization"] == "Bearer secret"
        assert request.headers["accept"] == "text/secret"
    assert "secret" not in server.log()


# POST.

NAME = 'n"\\ü&x=1'  # of a fragment


@pytest.mark.parametrize("options, type_, body", [
    ("body = '{\"id\": \"{name}\", \"x\": {\"y\": 1}}'", "application/json",
     '{"id": "n\\"\\\\ü&x=1", "x": {"y": 1}}'),
    ("headers = {\"content-type: application/vnd.api+json\"} body = '\"{name}\"'",
     "application/vnd.api+json", '"n\\"\\\\ü&x=1"'),
    ('headers = {"Content-Type: application/x-www-form-urlencoded"} body = "id={name}&x=2"',
     "application/x-www-form-urlencoded", "id=n%22%5C%C3%BC%26x%3D1&x=2"),
    ('headers = {"Content-Type: text/xml"} body = "<all/>"', "text/xml", "<all/>"),
    ("", None, ""),
])
def test_post(call, api, options, type_, body):
    server, response = call(f"{api.url}/x", f'method = "POST" {options}', NAME)
    assert response.status == 200, server.log()
    request, = api.requests("x")
    assert request.method == "POST"
    assert request.body.decode() == body
    assert request.headers.get("content-type") == type_
    assert request.headers["content-length"] == str(len(body.encode()))
    assert "expect" not in request.headers


def test_inputs_in_the_body_of_a_post(daemon, api):
    """What the body names is only there; all else reaches the API as it does for a GET."""
    server = daemon(f"""
source "api" {{ type = "http" url = "{api.url}/graphql" method = POST
    body = '{{"q": "{{ city(id: \\"{{query:city}}\\") }}", "x": ["{{rest}}", "{{language}}"]}}'
}}
fragment "w/*" {{ source = "api" vary = {{"query:city", "query:page", "language:en,de",
    "cookie:s"}} }}
""")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/w/7", query='city=P"a&page=2', headers={
            "Cookie": "s=1", "Accept-Language": "de"}).status == 200
    request, = api.requests()
    assert request.path == "/graphql?page=2"
    assert request.body.decode() == \
        '{"q": "{ city(id: \\"P\\"a\\") }", "x": ["7", "de"]}'
    assert request.headers["cookie"] == "s=1"
    assert "accept-language" not in request.headers


def test_redirects_of_a_post(call, api):
    """Within the url's host: 307 and 308 repeat it, the others are followed by a GET."""
    for status in (301, 302, 303, 307, 308):
        api.answer(f"r{status}", status=status, headers={"Location": f"/to{status}"})
    names = [f"r{status}" for status in (301, 307, 302, 308, 303)]
    _, responses = call(f"{api.url}/{{name}}", "method = POST body = '\"{name}\"'", *names)
    assert [response.status for response in responses] == [200] * 5
    for status in (301, 302, 303, 307, 308):
        assert api.requests(f"r{status}")[0].method == "POST"
        request, = api.requests(f"to{status}")
        kept = status in (307, 308)
        assert request.method == ("POST" if kept else "GET")
        assert request.body.decode() == (f'"r{status}"' if kept else "")


def test_the_body_of_a_post_is_not_for_others(call, api, run):
    other = run(SlowApi())
    api.answer("a", status=307, headers={"Location": f"{other.url}/a"})
    api.answer("b", status=303, headers={"Location": f"{other.url}/b"})
    server, responses = call(f"{api.url}/{{name}}", "method = POST body = '\"secret {name}\"' "
                             f'redirects = "127.0.0.1:{other.port}"', "a", "b", "c")
    assert [response.status for response in responses] == [502, 200, 200]
    there, = other.requests()
    assert (there.method, there.path, there.body) == ("GET", "/b", b"")
    assert "content-type" not in there.headers
    assert "redirects the POST to another host, which does not get our body (307)" in server.log()
    assert "secret" not in server.log()


def test_a_large_body_over_http2(call, api, before_api):
    nginx = before_api("http2")
    body = "x" * 4000
    server, response = call(f"http://127.0.0.1:{nginx.port}/x", 'http2 = "prior-knowledge" '
                            f"method = POST body = '\"{body}\"'", "a")
    assert response.status == 200, server.log()
    assert api.requests("x")[0].body.decode() == f'"{body}"'


# Whose request it is.

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


def test_trace_is_passed_on(daemon, api):
    """From the request that caused the call, whoever joins it; and it is not part of the key."""
    server = daemon()
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1, headers={
            "X-Request-Id": "first-1", "Traceparent": PARENT}))
        api.wait_calls("a", 1)
        connection.send_raw(fcgi.request("/fragment/a", 2, headers={"X-Request-Id": "second-2"}))
        connection.sync()
        api.release("a")
        assert connection.response(1).status == connection.response(2).status == 200
        hit = connection.request("/fragment/a", 3, headers={"X-Request-Id": "third-3"})
        assert "hit" in hit.headers["cache-status"]
    request, = api.requests()
    assert request.headers["x-request-id"] == "first-1"
    assert request.headers["traceparent"] == PARENT


def test_trace_begins(daemon, api, name):
    server = daemon()
    names = [f"{name}-{number}" for number in range(4)]
    with Connection(server.address) as connection:
        connection.request(f"/fragment/{names[0]}")
        connection.request(f"/fragment/{names[1]}", headers={
            "X-Request-Id": "no, list", "Traceparent": PARENT.upper()})
        connection.request(f"/fragment/{names[2]}", headers={"X-Request-Id": "x" * 128})
        connection.request("/fragments", query=f"name={names[3]}",
                           headers={"X-Request-Id": "stream-1", "Traceparent": PARENT})
    wait_until(lambda: api.calls() == 4, "four calls")
    seen = [api.requests(name)[0].headers for name in names]
    for headers in seen[:3]:
        assert re.fullmatch("[0-9a-f]{32}", headers["x-request-id"])
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"])
    assert len({headers["x-request-id"] for headers in seen}) == 4
    assert len({headers["traceparent"] for headers in seen}) == 4
    assert (seen[3]["x-request-id"], seen[3]["traceparent"]) == ("stream-1", PARENT)


def test_trace_of_a_refresh(daemon, api):
    """The request that gets the stale result causes the call."""
    server = daemon(f'source "api" {{ type = "http" url = "{api.url}/{{name}}" }}\n'
                    'fragment "*" { source = "api" ttl = "1ms" stale = "1h" }\n')
    with Connection(server.address) as connection:
        connection.request("/fragment/a", headers={"X-Request-Id": "first-1"})

        def refreshed() -> bool:
            connection.request("/fragment/a", headers={"X-Request-Id": "second-2"})
            return api.calls("a") >= 2

        wait_until(refreshed, "a refresh")
    assert [call.headers["x-request-id"] for call in api.requests("a")][:2] == \
        ["first-1", "second-2"]


def test_trace_is_not_for_others(call, api, run):
    other = run(SlowApi())
    api.answer("a", status=302, headers={"Location": f"{other.url}/a"})
    call(f"{api.url}/{{name}}", f'redirects = "127.0.0.1:{other.port}"', "a")
    assert "x-request-id" in api.requests()[0].headers
    assert not {"x-request-id", "traceparent"} & set(other.requests()[0].headers)


# Calls that are made again.


@pytest.mark.parametrize("options, body", [("", ""), ("method = POST body = '\"{name}\"'", '"{}"')])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_ends_when_it_is_used_again(daemon, api, how, options, body):
    """Servers close idle connections at any time, also just when a call is sent. Such a call is
    made again on a new connection, however often that happens."""
    server = daemon(CONFIG.format(url=f"{api.url}/{{name}}", options=options))
    names = [new_name() for _ in range(16)]
    with Connection(server.address) as connection:
        assert connection.request(f"/fragment/{names[0]}").status == 200
        api.drops = how
        for name in names[1:]:
            assert connection.request(f"/fragment/{name}").status == 200, server.log()
    assert api.dropped == [f"/{name}" for name in names[1:]]  # each once
    assert [call.body.decode() for call in api.requests()] == [body.format(name) for name in names]
    assert "warning" not in server.log()


def test_retries(daemon, api):
    """After a 502, 503 or 504, as often as the option says; anything else is final."""
    server = daemon(CONFIG.format(url=f"{api.url}/{{name}}", options="retries = 2"))
    table = {  # what comes in turn: the status of our answer, calls
        (502, 503): (200, 3),
        (504,): (200, 2),
        (503, 503, 503): (502, 3),
        (502, 500): (502, 2),
        (500,): (502, 1),
        (501,): (502, 1),
        (505,): (502, 1),
        (429,): (502, 1),
        (404,): (404, 1),
        (503, 404): (404, 2),
    }
    with Connection(server.address) as connection:
        for number, (statuses, (seen, calls)) in enumerate(table.items()):
            api.answer_in_turn(f"n{number}", *statuses)
            assert connection.request(f"/fragment/n{number}").status == seen, statuses
            assert api.calls(f"n{number}") == calls, statuses
    assert server.counter("calls_retried") == 2 + 1 + 2 + 1 + 1
    assert len({call.connection for call in api.requests()}) == 1


def test_no_retries_unless_told(call, api):
    api.answer_in_turn("a", 503)
    _, response = call(f"{api.url}/{{name}}", "", "a")
    assert (response.status, api.calls("a")) == (502, 1)


def test_retries_of_connections(call):
    with socket.socket() as taken:  # bound, so nobody else's, but it does not listen
        taken.bind(("127.0.0.1", 0))
        server, response = call(f"http://127.0.0.1:{taken.getsockname()[1]}/{{name}}",
                                "retries = 3")
    assert response.status == 502
    assert server.counter("calls_retried") == 3
    assert re.search("Could(n't| not) connect", server.log())  # as libcurl's version says it


def test_retries_of_a_post(call, api):
    api.answer_in_turn("a", 503, 503)
    _, response = call(f"{api.url}/{{name}}", "retries = 2 method = POST body = '\"{name}\"'", "a")
    assert response.status == 200
    assert [(call.method, call.body) for call in api.requests()] == [("POST", b'"a"')] * 3


def test_retries_stay_within_the_timeout(call, api, daemon):
    """What does not fit is not tried, and the failure is reported at once."""
    api.answer("a", status=503)
    api.answer("b", status=503, headers={"Retry-After": "60"})
    text = CONFIG.format(url=f"{api.url}/{{name}}", options="retries = 5")
    server = daemon(text.replace('timeout = "30s"', 'timeout = "500ms"'))
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 502  # and not 504
        assert connection.request("/fragment/b").status == 502
    assert 2 <= api.calls("a") <= 5 and api.calls("b") == 1
    assert "/a answered 503" in server.log()


def test_retries_wait_as_long_as_they_are_told(daemon, api):
    api.answer_in_turn("a", 503, headers={"Retry-After": "1"})
    server = daemon(CONFIG.format(url=f"{api.url}/{{name}}", options="retries = 1"))
    with Connection(server.address) as connection:
        started = time.monotonic()
        assert connection.request("/fragment/a").status == 200
        assert time.monotonic() - started >= 1
    assert api.calls("a") == 2


def test_the_end_does_not_wait_for_a_retry(daemon, api):
    api.answer("a", status=503, headers={"Retry-After": "20"})
    server = daemon(CONFIG.format(url=f"{api.url}/{{name}}", options="retries = 1")
                    + 'shutdown_timeout = "10ms"')
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/a", 1))
        server.wait_counter("calls_retried", 1)
        server.stop()
    assert api.calls("a") == 1
