"""How an http source makes its calls: through what, with which certificates, headers and body, how
often, and what it is told of the request that caused them."""

import os
import shutil
import socket
import subprocess

import pytest

from harness.fcgi import Connection
from harness.peer import new_name
from harness.servers import Workerless, need, workerless_binary, wrapper_command
from harness.slowapi import SlowApi, Tls
from harness.tls import Authority

CONFIG = """
source "api" {{ type = "http" timeout = "30s" url = "{url}"
{options}
}}
fragment "*" {{ source = "api" ttl = "60s" }}
"""


@pytest.fixture
def call(daemon):
    """call(url, options, names...) has a new daemon make fragments; returns it and the responses, or
    the one response if there is one name."""
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
