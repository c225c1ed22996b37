"""Starting, stopping, and where the listening socket comes from."""

import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import fcgi
from harness.config import api_config
from harness.fcgi import Connection, ask
from harness.servers import (Port, SpawnFcgi, Workerless, accepts, gone, need, workerless_binary,
                             wrapper_command)
from harness.wait import scaled, stays, wait_until


def start(name: str, request_id: int = 1, **options) -> bytes:
    return fcgi.request(f"/fragment/{name}", request_id, **options)


FAST = [signal.SIGTERM, signal.SIGINT]
SLOW = [signal.SIGQUIT, signal.SIGUSR1]

# A slow drain.


@pytest.mark.parametrize("number", SLOW)
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_what_is_in_flight_is_finished(daemon, api, number, transport):
    server = daemon(listen=transport)
    api.hold("a")
    with Connection(server.address) as one, Connection(server.address) as two, \
            Connection(server.address) as idle:
        one.send_raw(start("a", 1) + start("a", 2))
        two.send_raw(start("a", 1, keep=False))
        for connection in (one, two, idle):
            connection.sync()
        server.signal(number)
        wait_until(lambda: not accepts(server.address), "the listening socket to be closed")
        idle.expect_close()
        assert server.running
        for connection in (one, two):
            connection.pump(0)
            assert not connection.closed
        one.send_raw(start("a", 3))  # requests on a connection that is open are served as before
        api.release("a")
        for connection, request_id in ((one, 1), (one, 2), (one, 3), (two, 1)):
            response = connection.response(request_id)
            assert (response.status, response.protocol_status) == (200, fcgi.REQUEST_COMPLETE)
            assert "result for a" in response.text
        one.expect_close()
        two.expect_close()
    assert server.wait() == 0


def test_a_slow_drain_becomes_fast(daemon, api):
    """When its time is over; then the calls have theirs."""
    server = daemon(extra='drain_timeout = "200ms" shutdown_timeout = "300ms"')
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start("a"))
        api.wait_calls("a", 1)
        server.signal(signal.SIGQUIT)
        response = connection.response()
        assert (response.status, response.headers["retry-after"]) == (202, "0")
        assert server.wait() == 0
    log = server.log()
    assert log.index("SIGQUIT: finishing 1 requests and 1 fragments") \
        < log.index("drain_timeout is over: sending 1 ") < log.index("shutdown_timeout is over")


def test_a_fast_signal_ends_a_slow_drain(daemon, api):
    """The first makes it fast, and the next one ends it; further slow ones change nothing."""
    server = daemon(extra='shutdown_timeout = "1h"')
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start("a"))
        api.wait_calls("a", 1)
        server.signal(signal.SIGQUIT)
        server.wait_log("SIGQUIT: finishing")
        server.signal(signal.SIGUSR1)
        server.wait_log("SIGUSR1: it drains already")
        assert not connection.pump(0)
        server.signal(signal.SIGTERM)
        assert connection.response().status == 202
        connection.expect_close()
        server.signal(signal.SIGQUIT)
        server.wait_log("SIGQUIT: it drains already")
        assert server.running
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


# A fast drain.


@pytest.mark.parametrize("number", FAST)
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_what_is_parked_is_sent_away(daemon, api, redis, number, transport):
    """At once, and the call goes on for whoever is asked next."""
    server = daemon(listen=transport, redis=redis.url, extra='shutdown_timeout = "1h"')
    server.wait_log("connected")
    api.hold("a")
    with Connection(server.address) as one, Connection(server.address) as two, \
            Connection(server.address) as idle:
        one.send_raw(start("a", 1) + start("a", 2))
        two.send_raw(start("a", 1, keep=False))
        idle.sync()
        api.wait_calls("a", 1)
        server.wait_counter("parked", 3)
        server.signal(number)
        for connection, request_id in ((one, 1), (one, 2), (two, 1)):
            response = connection.response(request_id)
            assert (response.status, response.protocol_status) == (202, fcgi.REQUEST_COMPLETE)
            assert response.headers["retry-after"] == "0"
            assert response.headers["cache-control"] == "no-store"
        for connection in (one, two, idle):
            connection.expect_close()
        assert server.running and not accepts(server.address)
        api.release("a")
    assert server.wait() == 0
    assert b"result for a" in redis.command("GET", "worker:a")
    assert redis.keys() == ["worker:a"]
    assert api.calls("a") == 1


def test_another_process_takes_over(tmp, run, api, redis):
    """What takes longer than shutdown_timeout is cancelled, and its lease released."""
    config = api_config(api, redis=redis.url, extra='shutdown_timeout = "100ms"').replace(
        "cache {", 'cache { lease = "1h" ')
    one, two = run(Workerless(tmp, config)), run(Workerless(tmp, config))
    for server in (one, two):
        server.wait_log("connected")
    api.hold("a")
    with Connection(one.address) as first, Connection(two.address) as second:
        first.send_raw(start("a"))
        api.wait_calls("a", 1)
        one.signal(signal.SIGTERM)
        assert first.response().status == 202
        second.send_raw(start("a"))
        assert one.wait() == 0
        api.wait_calls("a", 2)
        api.release("a")
        assert second.response().status == 200


def test_strict_requests_are_refused(daemon, api):
    server = daemon(extra='shutdown_timeout = "0s"')
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start("a", extra={"HTTP_PREFER": "handling=strict"}))
        api.wait_calls("a", 1)
        server.signal(signal.SIGTERM)
        assert connection.response().status == 503
    assert server.wait() == 0


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_requests_on_their_way_are_answered(daemon, transport):
    """In the backlog, in the socket's buffer, or after the connect: nothing is reset."""
    server = daemon(listen=transport)
    assert ask(server.address, "/fragment/a").status == 200
    with ExitStack() as stack:
        used, fresh, connected = (stack.enter_context(Connection(server.address))
                                  for _ in range(3))
        assert used.request("/fragment/a").status == 200
        connected.sync()
        server.signal(signal.SIGSTOP)
        used.send_raw(start("a", 2))
        fresh.send_raw(start("a", 1))
        late = [stack.enter_context(Connection(server.address)) for _ in range(150)]
        for connection in late:  # in the backlog, and more than are accepted in one round
            connection.send_raw(start("a", 1))
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        server.wait_log("SIGTERM")
        connected.send_raw(start("a", 1))
        for connection in (used, fresh, connected, *late):
            assert connection.response(2 if connection is used else 1).status == 200
            connection.expect_close()
        assert server.wait() == 0


@pytest.mark.parametrize("number", FAST + SLOW)
def test_idle_connections_do_not_keep_it(daemon, number):
    server = daemon()
    with Connection(server.address) as fresh, Connection(server.address) as used:
        fresh.sync()
        assert used.request("/fragment/a").status == 200
        server.signal(number)
        assert server.wait() == 0
        fresh.expect_close()
        used.expect_close()


@pytest.mark.parametrize("role", [fcgi.RESPONDER, fcgi.AUTHORIZER])
def test_a_kept_connection_after_an_early_reply(daemon, role):
    """Once the rest has arrived, the shutdown has nothing left to wait for."""
    server = daemon(args=["-v"], extra="max_connection_requests = 1")
    with Connection(server.address) as connection:
        body = bytes(1000)
        values = fcgi.pairs(fcgi.environment("/fragment/a", method="POST", body=body))
        connection.send_raw(fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, values))
        assert connection.response().status == 405
        connection.send_raw(fcgi.stream(fcgi.STDIN, 1, body))
        peer = fcgi.begin(1) + fcgi.begin(2, role=role)  # the second is refused at once
        connection.send_raw(peer + fcgi.stream(fcgi.STDIN, 2, b""))
        assert connection.response(2).ended
        connection.send_raw(fcgi.abort(1))
        connection.response(1)
        connection.sync()
        server.signal(signal.SIGTERM)
        connection.expect_close()
        assert server.wait() == 0
    assert "lingering" not in server.log()


def test_a_socket_of_its_own_is_removed(daemon):
    server = daemon()
    assert os.path.exists(server.socket_path)
    server.stop()
    assert not os.path.exists(server.socket_path)


def test_a_peer_that_does_not_read_does_not_keep_it(daemon, api):
    server = daemon(extra='shutdown_timeout = "300ms"')
    api.answer("a", type="text/html", body="x" * (1 << 20))
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
        connection.send_only(b"".join(start("a", number) for number in range(1, 17)))
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_second_signal(daemon, api):
    """Whatever it does, the daemon ends by itself, with status 0."""
    server = daemon(extra='shutdown_timeout = "500ms"')
    api.hold("a")
    with Connection(server.address) as connection:
        connection.send_raw(start("a"))
        api.wait_calls("a", 1)
        server.signal(signal.SIGTERM)
        wait_until(lambda: not accepts(server.address), "the listening socket to be closed")
        if server.running:
            server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_signal_right_after_the_start(tmp, api):
    """From the moment that it listens, a signal is neither lost nor deadly."""
    for _ in range(scaled(8, least=3)):
        server = Workerless(tmp, api_config(api))
        server.spawn()
        try:
            server.wait_log("listening on")
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
        finally:
            server.kill()


def test_hangup(daemon):
    """From a terminal that is closed, or from somebody who wants a reload (test_reload.py)."""
    server = daemon()
    server.signal(signal.SIGHUP)
    server.wait_counter("reloads", 1)
    assert ask(server.address, "/fragment/a").status == 200


HARMLESS = [signal.SIGPIPE, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXFSZ,
            signal.SIGPOLL, signal.SIGPWR, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH,
            signal.SIGRTMIN, signal.SIGRTMAX]


@pytest.mark.skipif(bool(wrapper_command()), reason="valgrind has uses of its own for some")
def test_signals_that_do_nothing(daemon):
    server = daemon()
    for number in HARMLESS:
        server.signal(number)
        assert ask(server.address).status == 200, number


def test_a_reopen_of_what_is_no_file(daemon):
    server = daemon()
    server.signal(signal.SIGUSR2)
    server.wait_log("ignoring SIGUSR2: the log is not a file")
    assert ask(server.address).status == 200


@pytest.mark.skipif(bool(wrapper_command()), reason="it is the wrapper that starts")
@pytest.mark.parametrize("number", SLOW + [signal.SIGHUP, signal.SIGUSR2])
def test_signals_while_it_starts(tmp, api, number):
    """They are held back until they can be handled, from the first moment on."""
    for _ in range(scaled(8, least=3)):
        server = Workerless(tmp, api_config(api))
        server.spawn()

        def holds_back(pid=server.pid) -> bool:
            if Path(f"/proc/{pid}/exe").resolve() != Path(workerless_binary()):
                return False
            status = Path(f"/proc/{pid}/status").read_text("ascii")
            blocked, caught = (int(re.search(rf"^Sig{kind}:\s(\w+)", status, re.MULTILINE)[1], 16)
                               for kind in ("Blk", "Cgt"))
            if blocked >> (signal.SIGCHLD - 1) & 1:
                return False  # all are, for a moment: libc does that, before main() as well
            return bool((blocked | caught) >> (number - 1) & 1)

        try:
            wait_until(holds_back, "the signal to be held back, or handled")
            server.signal(number)
            if number not in SLOW:
                server.wait_log("SIGHUP: reading" if number == signal.SIGHUP else "ignoring SIG")
                server.signal(signal.SIGTERM)
            assert server.wait() == 0
        finally:
            server.kill()


def test_redis_and_api_away_at_the_end(tmp, run, daemon, api, redis):
    """A lookup, a store and a call may be under way when it ends."""
    server = daemon(redis=redis.url, extra='shutdown_timeout = "100ms"')
    server.wait_log("connected")
    api.hold("a", "b")
    with Connection(server.address) as connection:
        connection.send_raw(start("a", 1))
        api.wait_calls("a", 1)
        redis.pause()
        connection.send_raw(start("b", 2))
        connection.sync()
        server.signal(signal.SIGTERM)
        assert connection.response(1).status == 202
        assert connection.response(2).status == 202
        assert server.wait() == 0


# Where the socket comes from.


def test_a_stale_socket_is_replaced(tmp, run, api):
    path = str(tmp / "stale")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
        stale.listen()
    assert os.path.exists(path) and not accepts(path)
    run(Workerless(tmp, f'listen = {{"unix:{path}"}}\n' + api_config(api), listen="none",
                   address=path))
    assert ask(path).status == 200


def refused(tmp, api, listen: str) -> str:
    """Starts a daemon that must end at once, with status 1; returns its log."""
    server = Workerless(tmp, f'listen = {{"{listen}"}}\n' + api_config(api), listen="none")
    server.spawn()
    try:
        assert server.wait() == 1
        return server.log()
    finally:
        server.kill()


def test_a_live_socket_is_refused(tmp, daemon, api):
    server = daemon()
    log = refused(tmp, api, f"unix:{server.socket_path}")
    assert server.socket_path in log
    assert ask(server.address).status == 200


def test_a_port_in_use_is_refused(tmp, daemon, api):
    server = daemon(listen="tcp")
    log = refused(tmp, api, "tcp:%s:%d" % server.address)
    assert f"{server.address[1]}: Address already in use: another program listens there" in log
    assert ask(server.address).status == 200


def test_what_is_no_socket_is_left_alone(tmp, api):
    path = tmp / "precious"
    path.write_text("data")
    assert str(path) in refused(tmp, api, f"unix:{path}")
    assert path.read_text() == "data"


def test_no_such_directory(tmp, api):
    log = refused(tmp, api, f"unix:{tmp}/none/socket")
    assert "none/socket: the directory of the socket does not exist: create it" in log


def test_an_address_of_another_host(tmp, api):
    log = refused(tmp, api, "tcp:192.0.2.1:9000")
    assert "tcp:192.0.2.1:9000: this host does not have that address" in log


def test_all_or_nothing(tmp, daemon, api):
    """One of two sockets can't be opened: the other one is not left behind."""
    server = daemon()
    log = refused(tmp, api, f'unix:{tmp}/first", "unix:{server.socket_path}')
    assert server.socket_path in log
    assert not (tmp / "first").exists()


def test_several_sockets(tmp, run, api):
    port = Port()
    paths = [str(tmp / "one"), str(tmp / "two"), ("127.0.0.1", port.number)]
    run(Workerless(tmp, f'listen = {{"unix:{paths[0]}", "unix:{paths[1]}", '
                        f'"tcp:127.0.0.1:{port.number}"}}\n' + api_config(api),
                   listen="none", address=paths[2]))
    for path in paths:
        assert ask(path).status == 200


def listening(tmp, transport: str) -> tuple:
    """A listening socket, and where it can be reached."""
    if transport == "unix":
        sock = socket.socket(socket.AF_UNIX)
        address = str(tmp / "inherited")
        sock.bind(address)
    else:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
    sock.listen(128)
    return sock, address


@pytest.mark.parametrize("transport", ["unix", "tcp"])
@pytest.mark.parametrize("way", ["stdin", "systemd"])
def test_an_inherited_socket(tmp, run, api, transport, way):
    """It is used instead of what the config says."""
    sock, address = listening(tmp, transport)
    with sock:
        server = run(Workerless(tmp, f'listen = {{"unix:{tmp}/unused"}}\n' + api_config(api),
                                listen="none", address=address, **{way: sock}))
    assert ask(address).status == 200
    assert not (tmp / "unused").exists()
    server.stop()
    if transport == "unix":
        assert os.path.exists(address)  # not ours to remove


def test_connections_that_came_before_the_daemon(tmp, run, api):
    """systemd starts it for the first one, which waits in the backlog."""
    sock, address = listening(tmp, "unix")
    with Connection(address) as early:
        early.send_raw(start("a"))
        with sock:
            run(Workerless(tmp, api_config(api), listen="none", address=address, systemd=sock))
        assert early.response().status == 200


def test_listen_fds_of_another_process(tmp, run, api):
    """LISTEN_PID is not ours: the variables are meant for another process."""
    server = Workerless(tmp, api_config(api))
    server.environment.update({"LISTEN_FDS": "1", "LISTEN_PID": "1"})
    run(server)
    assert ask(server.address).status == 200


def test_processes_of_spawn_fcgi(tmp, run, api):
    """Two share one socket: everything is answered, and both end with status 0."""
    server = run(SpawnFcgi(tmp, api_config(api), processes=2))
    assert len(set(server.pids)) == 2
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(40)]
        for number, connection in enumerate(connections):
            connection.send_raw(start(f"n{number}"))
        for number, connection in enumerate(connections):
            assert f"result for n{number}<" in connection.response().text
    server.stop()
    assert all(gone(pid) for pid in server.pids)


def test_one_process_of_two_ends(tmp, run, api):
    server = run(SpawnFcgi(tmp, api_config(api), processes=2, listen="tcp"))
    first, second = server.pids
    assert ask(server.address).status == 200
    os.kill(first, signal.SIGTERM)
    wait_until(lambda: gone(first), "the first process to end")
    for _ in range(10):
        assert ask(server.address).status == 200
    assert not gone(second)


# Descriptors run out.


@pytest.mark.skipif(bool(wrapper_command()), reason="the wrapper needs descriptors of its own")
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_few_descriptors(daemon, api, transport):
    """Connections beyond the limit wait; nothing spins, ends or is lost."""
    server = daemon(nofile=40, listen=transport)
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.address)) for _ in range(80)]
        for number, connection in enumerate(connections):
            connection.send_raw(start(f"n{number}", keep=False))
        before = server.cpu_seconds()
        for number, connection in enumerate(connections):
            assert f"result for n{number}<" in connection.response().text
            connection.close()
        assert server.cpu_seconds() - before < 5

    held = []
    with ExitStack() as stack:
        for _ in range(80):  # idle ones, which stay
            held.append(stack.enter_context(Connection(server.address)))
            held[-1].send_raw(fcgi.record(fcgi.GET_VALUES, 0))
        wait_until(lambda: sum(connection.pump(0) or bool(connection.management)
                               for connection in held) > 5, "some to be accepted")
        before = server.cpu_seconds()
        stays(lambda: server.running, "the daemon runs", 0.5)
        assert server.cpu_seconds() - before < 0.3, "it spins"
        served = [connection for connection in held if connection.management]
        assert served and len(served) < 80
        assert served[0].request("/fragment/n1").status == 200
    assert ask(server.address, "/fragment/last").status == 200


# A client that is not ours.


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_cgi_fcgi(daemon, transport):
    """libfcgi's own client."""
    server = daemon(listen=transport)
    where = server.address if transport == "unix" else "%s:%d" % server.address
    done = subprocess.run(
        [need("cgi-fcgi"), "-bind", "-connect", where], capture_output=True, timeout=20,
        check=False, stdin=subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/fragment/a",
             "QUERY_STRING": ""})
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"Status: 200 OK\r\n")
    assert body == b'<div id="a">result for a</div>'


def test_it_does_not_run_as_cgi(tmp, api):
    """Its descriptor 0 is no listening socket, but the environment is that of a CGI program:
    it starts as always, and does not answer on stdout."""
    config = tmp / "workerless.conf"
    config.write_text(f'listen = {{"unix:{tmp}/socket"}}\n' + api_config(api))
    done = subprocess.run([*wrapper_command(), workerless_binary(), "-t", "-c", str(config)],
                          env={**os.environ, "REQUEST_METHOD": "GET"}, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=200, check=False)
    assert done.returncode == 0


# Who may connect.


@pytest.mark.parametrize("allowed, works", [
    ("127.0.0.1", True), ("192.0.2.1, 127.0.0.1", True), ("127.0.0.1,::1", True),
    ("192.0.2.1", False), ("127.0.0.10", False), ("127.0.0.", False), ("", False)])
def test_web_server_addresses(tmp, run, api, allowed, works):
    """FCGI_WEB_SERVER_ADDRS, if it is set, lists who may connect by TCP (FastCGI 1.0, 3.2)."""
    server = Workerless(tmp, api_config(api), listen="tcp")
    server.environment["FCGI_WEB_SERVER_ADDRS"] = allowed
    run(server)
    if works:
        assert ask(server.address).status == 200
        return
    with Connection(server.address) as connection:
        connection.expect_close()
        assert not connection.responses
    assert "not in FCGI_WEB_SERVER_ADDRS" in server.log()


def test_web_server_addresses_and_unix_sockets(tmp, run, api):
    """The permissions of a unix socket say who may connect."""
    server = Workerless(tmp, api_config(api))
    server.environment["FCGI_WEB_SERVER_ADDRS"] = "192.0.2.1"
    run(server)
    assert ask(server.address).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_as_soon_as_there_is_a_socket(tmp, run, number):
    """It ends, and removes the socket, even if the signal comes before it serves."""
    server = Workerless(tmp, 'source "s" { type = "simulated" delay = "0" }\n'
                        'fragment "*" { source = "s" }\n')
    for _ in range(3):
        server.spawn()
        wait_until(lambda: "listening on" in server.log(), "the socket")
        server.signal(number)
        assert server.wait() == 0
        assert not os.path.exists(server.socket_path)
        server.log_path.unlink()
    run(server)
