"""CHECKLIST.md, what a FastCGI responder must survive: at least one test for each of its numbers,
which are in the tests' names.

Connection (harness/fcgi.py) checks every record that arrives: version, reserved and padding bytes,
known ids, STDOUT ended before END_REQUEST, exactly one END_REQUEST, no other types. So each test
here also tests lines 49 and 50.
"""

import re
import socket
import struct
from random import Random

import pytest

from harness import fcgi
from harness.fcgi import Connection
from harness.peer import Peer, new_name
from harness.wait import scaled, stays, wait_until

@pytest.fixture(scope="module", params=["unix", "tcp"])
def shared(request):
    with Peer(listen=request.param) as opened:
        yield opened


@pytest.fixture
def peer(shared):
    shared.ensure()
    yield shared
    shared.check()


@pytest.fixture
def connection(peer):
    with peer.connect() as opened:
        yield opened


def assert_works(connection: Connection, request_id: int = 1) -> None:
    """The connection still carries requests: it is in sync, open and not disturbed."""
    name = new_name()
    response = connection.request(f"/fragment/{name}", request_id)
    assert (response.status, response.protocol_status) == (200, fcgi.REQUEST_COMPLETE)
    assert f"result for {name}" in response.text


def start(name: str, request_id: int = 1, **options) -> bytes:
    return fcgi.request(f"/fragment/{name}", request_id, **options)


# Framing.


def test_01_one_byte_a_write(peer, connection):
    name = peer.cached()
    data = (start(name, 3, padding=5) + fcgi.record(fcgi.GET_VALUES, 0, b"", padding=3)
            + start(name, 4, body=b"0123456789", long=True))
    with peer.connect() as other:
        other.send_raw(data)
        whole = [other.response(number) for number in (3, 4)]
    connection.send_raw(data, each=1)
    split = [connection.response(number) for number in (3, 4)]
    assert connection.take_values() == {}
    for one, two in zip(whole, split):
        assert (one.status, one.body) == (two.status, two.body) and one.status == 200
        assert one.headers["etag"] == two.headers["etag"]


def test_02_several_records_in_one_write(peer, connection):
    name = peer.cached()
    data = b"".join(start(name, number) for number in range(1, 9))
    connection.send_raw(data + fcgi.record(fcgi.GET_VALUES, 0, b"") + start(name, 9))
    for number in range(1, 10):
        assert connection.response(number).status == 200
    assert connection.take_values() == {}


@pytest.mark.parametrize("padding", [0, 1, 7, 255])
def test_03_padding_is_skipped(peer, connection, padding):
    held = peer.held()
    connection.send_raw(
        fcgi.record(fcgi.GET_VALUES, 0, fcgi.pair("FCGI_MPXS_CONNS", ""), padding=padding)
        + fcgi.record(77, 0, b"x", padding=padding)
        + start(held, 1, padding=padding)
        + fcgi.record(fcgi.ABORT_REQUEST, 1, padding=padding)
        + fcgi.record(fcgi.DATA, 2, b"x", padding=padding)
        + start(new_name(), 2, padding=padding, body=b"abc", size=50))
    assert connection.take_values() == {"FCGI_MPXS_CONNS": "1"}
    assert connection.take_management().kind == fcgi.UNKNOWN_TYPE
    assert connection.response(1).protocol_status == fcgi.REQUEST_COMPLETE
    assert connection.response(2).status == 200


def test_04_the_largest_record(connection):
    body = bytes(fcgi.MAX_CONTENT)
    values = fcgi.pairs(fcgi.environment(f"/fragment/{new_name()}", body=body))
    fill = fcgi.MAX_CONTENT - len(values) - len(fcgi.pair("FILL", "x" * 200)) + 200
    values += fcgi.pair("FILL", "x" * fill)
    assert len(values) == fcgi.MAX_CONTENT
    connection.send_raw(fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, values, padding=255)
                        + fcgi.stream(fcgi.STDIN, 1, body, padding=255))
    assert connection.response().status == 200
    assert_works(connection)


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("where", ["first", "amid"])
def test_05_another_version(connection, version, where):
    whole = fcgi.begin(1) if where == "amid" else b""
    connection.send_raw(whole + fcgi.record(fcgi.PARAMS, 1, b"", version=version), check=False)
    connection.expect_close()
    assert not any(response.records for response in connection.responses.values())
    assert not connection.management


def test_06_reserved_bytes_are_ignored(connection):
    values = fcgi.pairs(fcgi.environment(f"/fragment/{new_name()}"))
    connection.send_raw(
        fcgi.record(fcgi.BEGIN_REQUEST, 1, b"\0\1\1\xff\xff\xff\xff\xff", reserved=255)
        + fcgi.record(fcgi.PARAMS, 1, values, reserved=1) + fcgi.record(fcgi.PARAMS, 1, reserved=9)
        + fcgi.record(fcgi.STDIN, 1, reserved=128))
    assert connection.response().status == 200
    assert_works(connection)


def test_07_end_inside_a_record(peer):
    with peer.connect() as other:
        other.sync()
        before = peer.server.descriptors()
        data = start(new_name(), 1, padding=9)
        for cut in [1, 4, 7, 8, 9, 15, 16, 20, 25, 30, 60, len(data) - 1]:
            with peer.connect() as connection:
                connection.send_raw(data[:cut])
        wait_until(lambda: peer.server.descriptors() == before, "the connections to be released")
        assert_works(other)


def test_08_connect_and_close(peer):
    with peer.connect() as other:
        other.sync()
        before, log = peer.server.descriptors(), peer.server.log()
        for linger in (False, True):
            connection = peer.server.connect()
            if linger:  # ends by RST on TCP
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            other.sync()
        wait_until(lambda: peer.server.descriptors() == before, "the connections to be released")
        assert peer.server.log() == log


# Management records.


def test_09_get_values(connection):
    found = connection.get_values("FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS")
    assert sorted(found) == ["FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]
    assert found["FCGI_MPXS_CONNS"] == "1"
    assert int(found["FCGI_MAX_CONNS"]) > 0 and int(found["FCGI_MAX_REQS"]) > 0
    assert_works(connection)


def test_10_unknown_values_are_left_out(connection):
    assert connection.get_values("FCGI_NONE", "FCGI_MPXS_CONNS", "", "fcgi_max_reqs") == {
        "FCGI_MPXS_CONNS": "1"}
    assert connection.get_values("FCGI_NONE") == {}


def test_11_repeated_values_come_once(connection):
    asked = fcgi.pair("FCGI_MAX_REQS", "") * 3998 + fcgi.pair("FCGI_MPXS_CONNS", "") * 2
    connection.send_raw(fcgi.record(fcgi.GET_VALUES, 0, asked))
    item = connection.take_management()
    answer = fcgi.parse_pairs(item.content)
    assert sorted(name for name, _ in answer) == ["FCGI_MAX_REQS", "FCGI_MPXS_CONNS"]
    assert_works(connection)


def test_12_empty_get_values(connection):
    connection.send_raw(fcgi.record(fcgi.GET_VALUES, 0))
    item = connection.take_management()
    assert (item.kind, item.content) == (fcgi.GET_VALUES_RESULT, b"")


@pytest.mark.parametrize("content", [
    b"\x0f", b"\x0f\0FCGI_MPXS_CON", b"\xff\xff\xff\xff\0abc", b"\x80\0", b"\1\xff\xff\xff\xffa",
    fcgi.pair("FCGI_MPXS_CONNS", "") + b"\1"])
def test_13_malformed_get_values(connection, content):
    connection.send_raw(fcgi.record(fcgi.GET_VALUES, 0, content), check=False)
    connection.expect_close()


def test_14_get_values_amid_a_request(connection):
    data = fcgi.record(fcgi.GET_VALUES, 0, fcgi.pair("FCGI_MPXS_CONNS", ""))
    values = fcgi.pairs(fcgi.environment(f"/fragment/{new_name()}", body=b"abcdef"))
    connection.send_raw(
        fcgi.begin(1) + data + fcgi.record(fcgi.PARAMS, 1, values[:33]) + data
        + fcgi.record(fcgi.PARAMS, 1, values[33:]) + data + fcgi.record(fcgi.PARAMS, 1)
        + fcgi.record(fcgi.STDIN, 1, b"abc") + data + fcgi.stream(fcgi.STDIN, 1, b"def"))
    for _ in range(4):
        assert connection.take_values() == {"FCGI_MPXS_CONNS": "1"}
    assert connection.response().status == 200


@pytest.mark.parametrize("kind", [0, 12, 99, 255])
def test_15_unknown_management_type(connection, kind):
    connection.send_raw(fcgi.record(kind, 0, b"whatever", padding=3))
    item = connection.take_management()
    assert (item.kind, item.content) == (fcgi.UNKNOWN_TYPE, bytes([kind]) + bytes(7))
    assert_works(connection)


def test_16_management_type_with_an_id(connection):
    asked = fcgi.pair("FCGI_MPXS_CONNS", "")
    connection.send_raw(
        fcgi.begin(1) + fcgi.record(fcgi.GET_VALUES, 1, asked) + fcgi.record(99, 1, b"x")
        + fcgi.record(fcgi.GET_VALUES, 2, asked) + fcgi.record(fcgi.GET_VALUES, 2, b"\xff")
        + fcgi.record(99, 2, b"x"))
    connection.sync()
    connection.expect_silence()
    connection.send_raw(start(new_name(), 1)[16:])  # all but its BEGIN_REQUEST
    assert connection.response().status == 200


# BEGIN_REQUEST.


def test_17_begin_with_id_0(connection):
    connection.send_raw(fcgi.begin(0), check=False)
    connection.expect_close()


@pytest.mark.parametrize("length", [0, 7, 9, 16])
def test_18_begin_of_another_length(connection, length):
    content = (b"\0\1\1" + bytes(20))[:length]
    connection.send_raw(fcgi.record(fcgi.BEGIN_REQUEST, 1, content), check=False)
    connection.expect_close()
    assert not connection.responses[1].records


@pytest.mark.parametrize("role", [0, fcgi.AUTHORIZER, fcgi.FILTER, 99, 0x0101])
def test_19_another_role(peer, connection, role):
    sibling = peer.held()
    connection.send_raw(start(sibling, 1) + fcgi.begin(2, role=role))
    response = connection.response(2)
    assert response.protocol_status == fcgi.UNKNOWN_ROLE
    assert [item.kind for item in response.records] == [fcgi.END_REQUEST]
    peer.api.release(sibling)
    assert connection.response(1).status == 200
    assert_works(connection, 2)


def test_20_records_after_a_refused_role(connection):
    whole = start(new_name(), 1, body=b"abc")
    connection.send_raw(fcgi.begin(1, role=fcgi.FILTER) + whole[16:]
                        + fcgi.record(fcgi.DATA, 1, b"data") + fcgi.abort(1))
    assert connection.response().protocol_status == fcgi.UNKNOWN_ROLE
    connection.sync()
    connection.expect_silence()
    assert_works(connection)


@pytest.mark.parametrize("state", ["begun", "params", "parked"])
def test_21_an_id_that_is_in_flight(peer, connection, state):
    held = peer.held()
    data = start(held, 1)
    connection.send_raw({"begun": data[:16], "params": data[:-16], "parked": data}[state])
    connection.send_raw(fcgi.begin(1), check=False)
    connection.expect_close()
    assert not connection.responses[1].records


def test_22_an_id_used_again(connection):
    for _ in range(5):
        assert_works(connection, 7)


@pytest.mark.parametrize("request_id", [1, 32767, 32768, 65535])
def test_23_ids_are_echoed(connection, request_id):
    assert_works(connection, request_id)  # Connection refuses records of other ids


def test_24_unknown_flags(connection):
    name = new_name()
    connection.send_raw(start(name, 1, keep=True, flags=0xfe))
    assert connection.response().status == 200
    assert_works(connection)
    connection.send_raw(start(name, 2, keep=False, flags=0xfe))
    assert connection.response(2).status == 200
    connection.expect_close()


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_25_a_flood_of_begins(daemon, transport):
    server = daemon(extra="max_connection_requests = 8", listen=transport)
    with Connection(server.address) as connection:
        connection.send_raw(b"".join(fcgi.begin(number) for number in range(1, 2001)))
        for number in range(9, 2001):
            response = connection.response(number)
            assert (response.status, response.protocol_status) == (503, fcgi.REQUEST_COMPLETE)
            assert "retry-after" in response.headers
        rest = start(new_name(), 9)[16:]
        connection.send_raw(rest)  # of a request that was refused
        connection.sync()
        connection.expect_silence()
        for number in range(1, 9):
            assert not connection.responses[number].records
            connection.send_raw(start(new_name(), number)[16:])
            assert connection.response(number).status == 200
        assert_works(connection, 9)


# PARAMS.


@pytest.mark.parametrize("long", [False, True])
def test_26_a_pair_split_at_every_byte(peer, connection, long):
    """The environment is the same if If-None-Match, the last of it, has its effect."""
    name = peer.cached()
    etag = connection.request(f"/fragment/{name}").headers["etag"]
    values = fcgi.pairs({"REQUEST_METHOD": "GET", "DOCUMENT_URI": f"/fragment/{name}",
                         "HTTP_IF_NONE_MATCH": etag}, long=long)
    for number in range(1, len(values)):
        connection.send_raw(
            fcgi.begin(number) + fcgi.record(fcgi.PARAMS, number, values[:number])
            + fcgi.stream(fcgi.PARAMS, number, values[number:])
            + fcgi.stream(fcgi.STDIN, number, b""))
    for number in range(1, len(values)):
        assert connection.response(number).status == 304, f"split at {number}"


def test_27_long_lengths_of_short_values(connection):
    assert connection.request(f"/fragment/{new_name()}", long=True).status == 200


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_28_a_pair_larger_than_a_record(daemon, transport):
    server = daemon(extra='max_params = "256KiB"', listen=transport)
    with Connection(server.address) as connection:
        response = connection.request(f"/fragment/{new_name()}",
                                      extra={"HTTP_COOKIE": "x" * 200_000, "AFTER": "y"})
        assert response.status == 200


def test_29_huge_lengths(peer, connection):
    connection.sync()
    before = peer.server.virtual_bytes()
    connection.send_raw(fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, b"\xff" * 8 + b"NAMEvalue")
                        + fcgi.stream(fcgi.STDIN, 1, b""))
    assert connection.response().status == 400
    assert peer.server.virtual_bytes() - before < 256 << 20
    assert_works(connection)


@pytest.mark.parametrize("tail", [b"\4", b"\4\5NAMEvalu", b"\x80\0\0", b"\4\x80\0\0\5NAMEval",
                                  b"\4\5"])
def test_30_a_truncated_last_pair(connection, tail):
    values = fcgi.pairs(fcgi.environment("/fragment/a")) + tail
    connection.send_raw(fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, values)
                        + fcgi.stream(fcgi.STDIN, 1, b""))
    assert connection.response().status == 400
    assert_works(connection)


def test_31_no_pairs(connection):
    assert connection.request(params={}).status == 400
    assert_works(connection)


def test_32_empty_names_and_values(connection):
    response = connection.request(f"/fragment/{new_name()}",
                                  extra={"": "value", "EMPTY": "", "HTTP_IF_NONE_MATCH": ""})
    assert response.status == 200
    values = fcgi.pairs(fcgi.environment(f"/fragment/{new_name()}")) + fcgi.pair("", "")
    connection.send_raw(fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, values)
                        + fcgi.stream(fcgi.STDIN, 1, b""))
    assert connection.response().status == 200


def test_33_the_last_of_two_values_wins(connection):
    name = new_name()
    values = [*fcgi.environment("/fragment/first").items(), ("DOCUMENT_URI", f"/fragment/{name}")]
    assert f"result for {name}" in connection.request(params=values).text


@pytest.mark.parametrize("bad", [b"\0", b"\r", b"\n", b"\r\nSet-Cookie: evil=1"])
def test_34_control_bytes_in_values(daemon, bad):
    server = daemon(args=["-v"])
    evil = b"evil" + bad + b"forged"
    with Connection(server.address) as connection:
        for extra in ({"DOCUMENT_URI": b"/fragment/" + evil}, {"REQUEST_METHOD": evil},
                      {"QUERY_STRING": evil}, {"HTTP_IF_NONE_MATCH": evil}, {"HTTP_HOST": evil},
                      {"CONTENT_LENGTH": evil}, {"HTTP_PREFER": evil}, {"REQUEST_URI": evil}):
            response = connection.request(f"/fragment/{new_name()}", extra=extra)
            assert b"evil" not in response.head  # headers also refuses control bytes
            assert not any("forged" in value for value in response.headers.values())
            if "DOCUMENT_URI" in extra:
                assert response.status == 400
    for line in server.log_path.read_bytes().splitlines():
        assert re.match(rb"\d{4}-\d\d-\d\dT|==\d+==", line), f"a forged line: {line!r}"
        assert not re.search(rb"[\0-\x1f]", line)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_35_over_the_cap(daemon, api, transport):
    server = daemon(extra='max_params = "4KiB"', listen=transport)
    api.hold("sibling")
    with Connection(server.address) as connection:
        connection.send_raw(start("sibling", 1))
        big = fcgi.environment("/fragment/big", extra={"HTTP_COOKIE": "x" * 50_000})
        response = connection.request(request_id=2, params=big, size=1000)
        assert (response.status, response.protocol_status) == (431, fcgi.REQUEST_COMPLETE)
        connection.sync()
        assert not connection.responses[1].records
        api.release("sibling")
        assert connection.response(1).status == 200
        assert_works(connection, 2)
    assert api.calls("big") == 0


def test_36_params_after_their_end(peer, connection):
    name = new_name()
    whole = start(name, 1)
    late = fcgi.record(fcgi.PARAMS, 1, fcgi.pair("DOCUMENT_URI", "/fragment/late"))
    connection.send_raw(whole[:-8] + late + fcgi.record(fcgi.PARAMS, 1, b"\xff\xff")
                        + fcgi.record(fcgi.PARAMS, 1) + whole[-8:])
    assert f"result for {name}" in connection.response().text
    assert peer.api.calls("late") == 0


def test_37_http_proxy_is_dropped(peer, connection):
    name = new_name()
    response = connection.request(f"/fragment/{name}", headers={"Proxy": "http://127.0.0.1:1/"})
    assert response.status == 200
    call, = peer.api.requests(name)
    assert not any("proxy" in header for header in call.headers)


# STDIN and ABORT_REQUEST.


@pytest.mark.parametrize("content", [b"early", b""])
def test_38_stdin_before_the_end_of_params(peer, connection, content):
    sibling = peer.held()
    values = fcgi.pairs(fcgi.environment("/fragment/a", body=b"early"))
    connection.send_raw(
        start(sibling, 1) + fcgi.begin(2) + fcgi.record(fcgi.PARAMS, 2, values)
        + fcgi.record(fcgi.STDIN, 2, content) + fcgi.record(fcgi.PARAMS, 2)
        + fcgi.stream(fcgi.STDIN, 2, b"more"))
    assert connection.response(2).status == 400
    connection.sync()
    assert not connection.responses[1].records
    peer.api.release(sibling)
    assert connection.response(1).status == 200
    assert_works(connection, 2)


def test_39_streams_without_a_request(peer, connection):
    connection.sync()
    before = peer.server.virtual_bytes()
    for request_id in (0, 9):
        for kind in (fcgi.PARAMS, fcgi.STDIN, fcgi.DATA):
            connection.send_raw(fcgi.record(kind, request_id, bytes(fcgi.MAX_CONTENT)) * 64)
    connection.sync()
    connection.expect_silence()
    assert peer.server.virtual_bytes() - before < 4 << 20
    assert_works(connection, 9)


def test_40_a_body_in_one_byte_records(connection):
    name = new_name()
    values = fcgi.environment(f"/fragment/{name}", body=bytes(1000))
    connection.send_raw(
        fcgi.begin(1) + fcgi.stream(fcgi.PARAMS, 1, fcgi.pairs(values), size=1)
        + fcgi.stream(fcgi.STDIN, 1, bytes(1000), size=1))
    assert f"result for {name}" in connection.response().text


@pytest.mark.parametrize("length", [0, 1, 99])
def test_41_a_body_shorter_than_promised(connection, length):
    response = connection.request(f"/fragment/{new_name()}", body=bytes(length),
                                  extra={"CONTENT_LENGTH": "100"})
    assert response.status == 400
    assert_works(connection)


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_42_a_body_longer_than_promised(daemon, transport):
    server = daemon(extra='max_request_body = "4KiB"', listen=transport)
    with Connection(server.address) as connection:
        for length, status in ((11, 200), (4095, 200), (4096, 200), (4097, 413), (100_000, 413)):
            response = connection.request(f"/fragment/{new_name()}", body=bytes(length),
                                          extra={"CONTENT_LENGTH": "10"})
            assert response.status == status, length
        assert_works(connection)


@pytest.mark.parametrize("value, status", [
    ("", 200), (None, 200), ("0", 200), ("000", 200), ("-1", 400), ("abc", 400), ("1e9", 400),
    (" ", 400), ("+1", 400), ("0x10", 400), ("1 ", 400), ("1,1", 400), ("9" * 30, 400),
    ("18446744073709551616", 400), ("999999999999999999", 413), ("1048577", 413)])
def test_43_content_lengths(connection, value, status):
    response = connection.request(f"/fragment/{new_name()}", extra={"CONTENT_LENGTH": value})
    assert response.status == status
    assert_works(connection)


def test_44_stdin_after_its_end(peer, connection):
    held = peer.held()
    connection.send_raw(start(held, 1, body=b"abc"))
    connection.send_raw(fcgi.record(fcgi.STDIN, 1, bytes(5000)) + fcgi.record(fcgi.STDIN, 1))
    connection.sync()
    connection.expect_silence()
    peer.api.release(held)
    assert connection.response().status == 200
    connection.send_raw(fcgi.record(fcgi.STDIN, 1, bytes(5000)) + fcgi.record(fcgi.STDIN, 1))
    assert_works(connection)


@pytest.mark.parametrize("keep", [False, True])
def test_45_an_early_reply(connection, keep):
    """405 needs no body; the peer has not sent it yet, and goes on sending."""
    body = bytes(1 << 20)
    values = fcgi.environment("/fragment/a", method="POST", body=body)
    connection.send_raw(fcgi.begin(1, keep=keep)
                        + fcgi.stream(fcgi.PARAMS, 1, fcgi.pairs(values)) + fcgi.record(
                            fcgi.STDIN, 1, bytes(5000)))
    assert connection.response().status == 405
    connection.send_raw(fcgi.stream(fcgi.STDIN, 1, body[5000:]))  # fails on a reset
    if keep:
        assert_works(connection)
    else:
        connection.expect_close()
        assert not connection.reset


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_45_an_early_reply_to_a_body_that_is_too_large(daemon, transport):
    """nginx writes on while it reads; a reset would cost it the reply that it has not read."""
    server = daemon(extra='max_request_body = "64KiB"', listen=transport)
    body = bytes(4 << 20)
    for keep in (False, True):
        with Connection(server.address) as connection:
            connection.send_raw(fcgi.request("/fragment/a", body=body, keep=keep))
            assert connection.response().status == 413
            if keep:
                assert_works(connection)
            else:
                connection.expect_close()
                assert not connection.reset


@pytest.mark.parametrize("values", [
    fcgi.environment("/nothing", method="POST", body=b"abc"),
    fcgi.environment("/fragment/a", extra={"CONTENT_LENGTH": "9999999999"}),
    fcgi.environment("/fragment/a", extra={"CONTENT_LENGTH": "three"}),
    fcgi.environment("/fragment/a", extra={"HTTP_COOKIE": "x" * 5000}),
], ids=["404", "413", "400", "431"])
def test_45_an_early_reply_when_nothing_is_left(daemon, values):
    """The request has arrived completely, so the connection is closed, not kept for more input. (A
    closed unix socket refuses what is sent to it.)"""
    with Connection(daemon(extra='max_params = "4KiB"').address) as connection:
        connection.send_raw(fcgi.request(params=values, body=b"abc", keep=False))
        assert connection.response().status in (400, 404, 413, 431)
        connection.expect_close()
        with pytest.raises(BrokenPipeError):
            connection.socket.send(fcgi.begin(2))


def test_46_abort_of_a_parked_request(peer, connection):
    held = peer.held()
    connection.send_raw(start(held, 1) + start(held, 2))
    peer.api.wait_calls(held, 1)
    connection.send_raw(fcgi.abort(1) + fcgi.abort(1))
    response = connection.response(1)
    assert response.protocol_status == fcgi.REQUEST_COMPLETE
    connection.sync()
    assert not connection.responses[2].records
    connection.send_raw(fcgi.abort(2))  # now nobody waits for the flight
    connection.response(2)
    peer.api.release(held)
    wait_until(lambda: "hit" in connection.request(f"/fragment/{held}").headers["cache-status"],
               "the result to be cached")
    assert peer.api.calls(held) == 1


@pytest.mark.parametrize("state", ["begun", "amid params", "params", "stdin"])
def test_46_abort_before_the_request_is_whole(connection, state):
    data = start(new_name(), 1)
    connection.send_raw({
        "begun": data[:16], "amid params": data[:16] + fcgi.record(fcgi.PARAMS, 1, b"\4"),
        "params": data[:-16], "stdin": data[:-8]}[state] + fcgi.abort(1))
    assert connection.response().protocol_status == fcgi.REQUEST_COMPLETE
    connection.send_raw(fcgi.record(fcgi.STDIN, 1))
    assert_works(connection)


def test_47_abort_of_an_unknown_id(connection):
    connection.send_raw(fcgi.abort(5) + fcgi.abort(0))
    connection.sync()
    connection.expect_silence()
    assert_works(connection)
    connection.send_raw(fcgi.abort(1))
    assert_works(connection)


# Output.


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, (1 << 20) - 1, 1 << 20])
def test_48_bodies_of_all_sizes(peer, connection, size):
    name = new_name()
    body = bytes(ord("a") + at % 23 for at in range(1009)) * (size // 1009 + 1)
    peer.api.answer(name, body=body[:size], type="text/html")
    for _ in range(2):  # from the source, and from the cache
        response = connection.request(f"/fragment/{name}")
        assert response.status == 200
        assert response.body == body[:size]
        assert response.headers["content-length"] == str(size)


@pytest.mark.parametrize("path, status", [
    ("/fragment/{}", 200), ("/fragment/", 400), ("/workerless/health", 200), ("/none", 404)])
def test_49_the_end_of_a_response(connection, path, status):
    response = connection.request(path.format(new_name()))
    assert response.status == status
    kinds = [item.kind for item in response.records]
    assert kinds == [fcgi.STDOUT] * (len(kinds) - 1) + [fcgi.END_REQUEST]
    assert response.records[-2].content == b""
    assert all(item.content for item in response.records[:-2])
    assert (response.app_status, response.protocol_status) == (0, fcgi.REQUEST_COMPLETE)


def test_50_reserved_and_padding_bytes(peer, connection):
    """Connection checks the bytes; here bodies of every remainder, so that all paddings occur."""
    connection.sync()
    for size in range(8):
        name = new_name()
        peer.api.answer(name, body=b"x" * size, type="text/html")
        assert connection.request(f"/fragment/{name}").body == b"x" * size


def test_51_the_size_of_the_head(peer, connection):
    long_type = new_name()
    peer.api.answer(long_type, type="text/html; x=" + "y" * 5000, body="z")
    for path, options in [
            (f"/fragment/{new_name()}", {}), (f"/fragment/{long_type}", {}),
            ("/fragment/" + "n" * 255, {}), ("/fragment/" + "n" * 300, {}),
            ("/fragment/", {}), ("/" + "x" * 6000, {}), (f"/fragment/{peer.cached()}", {}),
            ("/fragment/a", {"method": "POST"}), ("/fragment/a", {"method": "M" * 5000}),
            ("/fragment/a", {"extra": {"CONTENT_LENGTH": "99999999"}})]:
        response = connection.request(path, **options)
        assert 0 < response.head_size < 4096, path


def test_52_without_keep_conn(peer, connection):
    held = peer.held()
    connection.send_raw(start(held, 1, keep=True) + start(new_name(), 2, keep=False))
    assert connection.response(2).status == 200
    connection.sync()
    stays(lambda: not (connection.pump(0) and connection.closed), "the connection is open")
    peer.api.release(held)
    assert connection.response(1).status == 200
    connection.expect_close()
    assert not connection.reset


def test_53_with_keep_conn(connection):
    for _ in range(3):
        assert_works(connection)
    connection.sync()
    connection.expect_silence()
    stays(lambda: not connection.pump(0), "nothing comes")
    assert_works(connection)


def test_54_interleaved_ids(peer, connection):
    slow = peer.held()
    fast = {number: new_name() for number in range(1, 101) if number != 50}
    data = {number: start(fast.get(number, slow), number) for number in range(1, 101)}
    streams = {number: _records(bytes_) for number, bytes_ in data.items()}
    for step in range(max(map(len, streams.values()))):
        connection.send_raw(b"".join(
            records[step] for records in streams.values() if step < len(records)))
    for number, name in fast.items():
        assert f"result for {name}" in connection.response(number).text
    assert not connection.responses[50].records
    peer.api.release(slow)
    assert f"result for {slow}" in connection.response(50).text


def _records(data: bytes) -> list:
    found, at = [], 0
    while at < len(data):
        length, padding = struct.unpack_from(">HB", data, at + 4)
        found.append(data[at:at + 8 + length + padding])
        at += len(found[-1])
    return found


def test_55_a_peer_that_stops_reading(peer, connection):
    """It asks for 1 MiB again and again, reads nothing, and uploads meanwhile."""
    name, count = new_name(), scaled(60, least=20)
    body = b"0123456789abcdef" * 65536
    peer.api.answer(name, body=body, type="text/html")
    assert connection.request(f"/fragment/{name}").body == body
    before = peer.server.resident_bytes()
    asked = b"".join(start(name, number) for number in range(1, count + 1))
    uploads = b"".join(start(new_name(), number, body=bytes(1 << 20))
                       for number in range(1001, 1017))
    assert connection.send_only(asked + uploads) == len(asked + uploads), \
        "STDIN is not read while output is pending"
    if peer.server.memory_is_telling:
        assert peer.server.resident_bytes() - before < 24 << 20
    for number in range(1, count + 1):
        assert connection.response(number).body == body
    for number in range(1001, 1017):
        assert connection.response(number).status == 200


def test_56_a_write_to_a_closed_peer(peer):
    big = new_name()
    peer.api.answer(big, body=b"x" * (1 << 20), type="text/html")
    held = peer.held()
    with peer.connect() as other:
        assert other.request(f"/fragment/{big}").status == 200
        for _ in range(5):
            with peer.connect() as connection:
                connection.send_raw(start(held, 1) + start(held, 2))
                connection.socket.send(start(big, 3) * 1)  # unread bytes: a reset on TCP
        peer.api.wait_calls(held, 1)
        peer.api.release(held)
        assert other.request(f"/fragment/{held}").status == 200
        assert peer.server.running


@pytest.mark.parametrize("transport, tolerated", [
    ("unix", "no"), ("unix", "yes"), ("tcp", "no"), ("tcp", "yes")])
def test_57_a_half_close(daemon, api, transport, tolerated):
    server = daemon(extra=f"tcp_half_close = {tolerated}", listen=transport)
    api.hold("held")
    with Connection(server.address) as connection:
        connection.send_raw(start("held", 1, keep=False))
        api.wait_calls("held", 1)
        connection.half_close()
        if transport == "tcp" and tolerated == "no":
            connection.expect_close()
            assert not connection.responses[1].records
        else:
            with Connection(server.address) as other:
                other.sync()
            stays(lambda: not (connection.pump(0) and connection.closed), "the connection is open")
        api.release("held")
        if not connection.closed:
            assert "result for held" in connection.response(1).text
            connection.expect_close()
    with Connection(server.address) as connection:
        assert "result for held" in connection.request("/fragment/held").text
    assert api.calls("held") == 1


@pytest.mark.parametrize("seed", range(5))
def test_streams_that_are_out_of_order(peer, seed):
    """Valid records in any order, with any lengths and ids, some of them truncated or damaged. Each
    may cost its connection; nothing else."""
    random = Random(seed)
    values = fcgi.pairs(fcgi.environment(f"/fragment/{peer.cached()}", body=b"abc"))
    contents = [b"", b"\0\1\1\0\0\0\0\0", b"\0\1\0\0\0\0\0\0", values, values[:40], b"abc",
                b"\xff" * 20, fcgi.pair("FCGI_MPXS_CONNS", "")]
    for _ in range(scaled(60)):
        data = bytearray()
        for _ in range(random.randrange(1, 40)):
            kind = random.choice([1, 1, 1, 2, 4, 4, 4, 5, 5, 5, 8, 9, 99])
            sound = kind == fcgi.BEGIN_REQUEST and random.random() < 0.9
            content = contents[1] if sound else random.choice(contents)
            data += fcgi.record(kind, random.choice([0, 1, 1, 2, 3, 65535]) or (kind != 9), content,
                                padding=random.choice([0, 0, 3, 255]))
        if random.random() < 0.3:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        if random.random() < 0.3:
            del data[random.randrange(len(data)):]
        each = random.choice([7, 100, len(data) or 1])
        with peer.server.connect() as sock:
            try:
                for at in range(0, len(data), each):
                    sock.sendall(data[at:at + each])
            except (BrokenPipeError, ConnectionResetError):
                pass
    with peer.connect() as connection:
        assert_works(connection)


def test_every_line_has_its_test():
    numbers = {int(found.group(1)) for found in map(re.compile(r"test_(\d\d)_").match, globals())
               if found}
    assert numbers == set(range(1, 58))
