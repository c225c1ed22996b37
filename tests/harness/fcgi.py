"""A FastCGI client, written from the specification and sharing nothing with the daemon.

The first half makes records, valid or not. The second half is Connection, which sends anything,
and checks every record that it receives: a violation fails the test that sees it.

    with Connection(daemon.address) as connection:
        response = connection.request("/fragment/a")
        assert response.status == 200
"""

from __future__ import annotations

import select
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from .process import Address, connect
from .wait import DEADLINE, deadline

# Record types (specification, section 8).
BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST = 1, 2, 3
PARAMS, STDIN, STDOUT, STDERR, DATA = 4, 5, 6, 7, 8
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11

# Roles, flags, protocol status.
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
KEEP_CONN = 1
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = 0, 1, 2, 3

MAX_CONTENT = 65535

Pairs = Union[Dict[str, Union[str, bytes]], Sequence[Tuple[Union[str, bytes], Union[str, bytes]]]]


# Making records.


def record(kind: int, request_id: int, content: bytes = b"", *, padding: Union[int, bytes] = 0,
           version: int = 1, reserved: int = 0) -> bytes:
    """One record. Padding as a number is filled with bytes that nobody may look at."""
    if isinstance(padding, int):
        padding = b"\xa5" * padding
    assert len(content) <= MAX_CONTENT and len(padding) <= 255
    return struct.pack(">BBHHBB", version, kind, request_id, len(content), len(padding),
                       reserved) + content + padding


def begin(request_id: int, *, role: int = RESPONDER, keep: bool = True, flags: int = 0,
          padding: int = 0) -> bytes:
    content = struct.pack(">HB5x", role, flags | (KEEP_CONN if keep else 0))
    return record(BEGIN_REQUEST, request_id, content, padding=padding)


def abort(request_id: int) -> bytes:
    return record(ABORT_REQUEST, request_id)


def _length(length: int, long: bool) -> bytes:
    return struct.pack(">I", length | 1 << 31) if long or length > 127 else bytes([length])


def pair(name: Union[str, bytes], value: Union[str, bytes], *, long: bool = False) -> bytes:
    """One name-value pair; `long` writes short lengths in four bytes too."""
    name, value = _bytes(name), _bytes(value)
    return _length(len(name), long) + _length(len(value), long) + name + value


def pairs(values: Pairs, *, long: bool = False) -> bytes:
    items: Iterable = values.items() if isinstance(values, dict) else values
    return b"".join(pair(name, value, long=long) for name, value in items)


def stream(kind: int, request_id: int, data: bytes, *, size: int = MAX_CONTENT, padding: int = 0,
           end: bool = True) -> bytes:
    """The data as records of at most `size` bytes, and the empty record that ends a stream."""
    parts = [record(kind, request_id, data[at:at + size], padding=padding)
             for at in range(0, len(data), size)]
    if end:
        parts.append(record(kind, request_id, b"", padding=padding))
    return b"".join(parts)


def environment(path: str, *, method: str = "GET", query: str = "", body: bytes = b"",
                headers: Optional[Dict[str, str]] = None,
                extra: Optional[Dict[str, Optional[Union[str, bytes]]]] = None) -> Dict:
    """The variables that a front server sends, as nginx does it. `extra` adds and replaces; a
    value of None removes."""
    values: Dict = {
        "QUERY_STRING": query, "REQUEST_METHOD": method, "CONTENT_TYPE": "",
        "CONTENT_LENGTH": str(len(body)) if body else "",
        "SCRIPT_NAME": path, "REQUEST_URI": path + ("?" + query if query else ""),
        "DOCUMENT_URI": path, "DOCUMENT_ROOT": "/srv", "SERVER_PROTOCOL": "HTTP/1.1",
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "test", "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "4000", "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": "80",
        "SERVER_NAME": "localhost", "HTTP_HOST": "localhost",
    }
    for name, value in (headers or {}).items():
        values["HTTP_" + name.upper().replace("-", "_")] = value
    for name, value in (extra or {}).items():
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
    return values


def request(path: str = "/fragment/a", request_id: int = 1, *, keep: bool = True, flags: int = 0,
            body: bytes = b"", padding: int = 0, size: int = MAX_CONTENT, long: bool = False,
            params: Optional[Pairs] = None, stdin: bool = True, **options) -> bytes:
    """A complete request. `params` replaces what environment(path, **options) would give; without
    `stdin` the body's stream is not sent."""
    values = environment(path, body=body, **options) if params is None else params
    out = begin(request_id, keep=keep, flags=flags, padding=padding)
    out += stream(PARAMS, request_id, pairs(values, long=long), size=size, padding=padding)
    if stdin:
        out += stream(STDIN, request_id, body, size=size, padding=padding)
    return out


def _bytes(text: Union[str, bytes]) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


# Receiving.


def _ready(sock: socket.socket, event: int, seconds: float) -> bool:
    """Whether the socket gets ready for the event within the time. Any number of sockets may be
    open, so it is not select()."""
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(seconds * 1000))


class Record(NamedTuple):
    """A record as received."""

    kind: int
    request_id: int
    content: bytes
    padding: int


class Closed(AssertionError):
    """The daemon closed the connection where something was still expected."""


@dataclass
class Response:
    """What arrived for one request: only its own records."""

    request_id: int
    records: List[Record] = field(default_factory=list)
    stdout: bytearray = field(default_factory=bytearray)
    stdout_ended: bool = False
    ended: bool = False
    app_status: int = -1
    protocol_status: int = -1

    def _split(self) -> Tuple[bytes, bytes]:
        head, mark, body = self.stdout.partition(b"\r\n\r\n")
        assert mark, f"no end of the head in {self.stdout[:200]!r}"
        return bytes(head), bytes(body)

    @property
    def head(self) -> bytes:
        """The CGI header block without the empty line that ends it."""
        return self._split()[0]

    @property
    def body(self) -> bytes:
        return self._split()[1]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def status(self) -> int:
        line = self.head.split(b"\r\n")[0].decode("ascii")
        name, _, value = line.partition(": ")
        assert name == "Status", f"the head does not begin with Status: {line!r}"
        code, _, reason = value.partition(" ")
        assert len(code) == 3 and code.isdigit() and reason, line
        return int(code)

    @property
    def headers(self) -> Dict[str, str]:
        """Names in lower case, Status left out. Fails on lines that are not headers."""
        found: Dict[str, str] = {}
        for line in self.head.split(b"\r\n")[1:]:
            name, colon, value = line.decode("utf-8").partition(":")
            assert colon and name and name == name.strip(), f"not a header: {line!r}"
            assert not any(ord(char) < 32 for char in value), f"control byte in {line!r}"
            assert name.lower() not in found, f"{name} twice in {self.head!r}"
            found[name.lower()] = value.strip()
        return found

    @property
    def head_size(self) -> int:
        """Bytes until the end of the head, those of the records' headers and padding between
        them included: what nginx needs in its first buffer."""
        left, size = len(self.head) + 4, 0
        for item in self.records:
            if item.kind != STDOUT or left <= 0:
                continue
            size += 8 + min(left, len(item.content))
            left -= len(item.content)
            if left > 0:
                size += item.padding
        return size

    def _add(self, item: Record) -> None:
        assert not self.ended, f"a record after END_REQUEST: {item}"
        self.records.append(item)
        if item.kind == STDOUT:
            assert not self.stdout_ended, f"STDOUT after its end: {item}"
            self.stdout += item.content
            self.stdout_ended = not item.content
        elif item.kind == END_REQUEST:
            assert len(item.content) == 8, f"END_REQUEST of {len(item.content)} bytes"
            self.app_status, self.protocol_status = struct.unpack(">IB3x", item.content)
            assert item.content[5:] == b"\0\0\0", f"reserved bytes set: {item}"
            assert self.protocol_status <= UNKNOWN_ROLE, item
            if self.protocol_status == REQUEST_COMPLETE and self.stdout:
                assert self.stdout_ended, "END_REQUEST before the end of STDOUT"
            self.ended = True
        else:
            raise AssertionError(f"not of a responder's record types: {item}")


class Connection:
    """One connection to a FastCGI responder. Its operations have deadlines.

    responses: request id -> Response, of the latest use of the id.
    management: the records of id 0 that have arrived and were not taken.
    """

    def __init__(self, address: Union[Address, socket.socket]) -> None:
        self.socket = address if isinstance(address, socket.socket) else connect(address)
        self.socket.setblocking(False)
        self.responses: Dict[int, Response] = {}
        self.management: List[Record] = []
        self.closed = False  # the daemon closed its side, or reset the connection
        self.reset = False
        self._in = bytearray()
        self._sent = bytearray()  # what we sent, up to where it was followed
        self._follow = True
        self._at = 0  # of the next incoming record in _in

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_error) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def half_close(self) -> None:
        """Closes our sending side; we still read."""
        self.socket.shutdown(socket.SHUT_WR)

    # Sending.

    def send_raw(self, data: bytes, *, each: int = 0, check: bool = True) -> None:
        """Sends the bytes, in writes of `each` bytes if given, and reads what comes meanwhile,
        as a front server does. With `check`, a closed connection is a failure."""
        self._note(data)
        view = memoryview(data)
        end = deadline()
        while view:
            assert time.monotonic() < end, f"the daemon does not read: {len(view)} bytes left"
            if _ready(self.socket, select.POLLOUT, 0.05):
                try:
                    view = view[self.socket.send(view[:each or len(view)]):]
                    end = deadline()
                    if each:
                        continue
                except BlockingIOError:
                    pass
                except (BrokenPipeError, ConnectionResetError) as error:
                    self.pump(0)
                    if check:
                        raise Closed(f"while sending: {error}") from None
                    return
            self.pump(0)

    def send_only(self, data: bytes, seconds: float = DEADLINE) -> int:
        """Sends as much as the daemon takes without our reading anything; returns how much."""
        self._note(data)
        sent, end = 0, deadline(seconds)
        while sent < len(data) and time.monotonic() < end:
            if _ready(self.socket, select.POLLOUT, 0.05):
                sent += self.socket.send(data[sent:sent + 65536])
        return sent

    def _note(self, data: bytes) -> None:
        """Parses our own records, to know which ids were begun."""
        if not self._follow:
            return
        self._sent += data
        at = 0
        while len(self._sent) - at >= 8:
            version, kind, request_id, length, padding, _ = \
                struct.unpack_from(">BBHHBB", self._sent, at)
            if version != 1:
                self._follow = False
                return
            if len(self._sent) - at < 8 + length + padding:
                break
            if kind == BEGIN_REQUEST and request_id:
                known = self.responses.get(request_id)
                if known is None or known.ended:
                    self.responses[request_id] = Response(request_id)
            at += 8 + length + padding
        del self._sent[:at]

    # Receiving.

    def pump(self, seconds: float) -> bool:
        """Waits that long for bytes, reads them and checks the records. False: none arrived."""
        if self.closed:
            return False
        if not _ready(self.socket, select.POLLIN, seconds):
            return False
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            self.closed = self.reset = True
            return True
        if not data:
            self.closed = True
            assert len(self._in) == self._at, f"closed inside a record: {bytes(self._in[-80:])!r}"
            return True
        self._in += data
        self._take_records()
        return True

    def _take_records(self) -> None:
        while len(self._in) - self._at >= 8:
            version, kind, request_id, length, padding, reserved = \
                struct.unpack_from(">BBHHBB", self._in, self._at)
            assert version == 1, f"version {version}"
            assert reserved == 0, f"reserved byte {reserved}"
            start = self._at + 8
            end = start + length + padding
            if len(self._in) < end:
                break
            content = bytes(self._in[start:start + length])
            assert not any(self._in[start + length:end]), "padding bytes are not zero"
            self._at = end
            self._take(Record(kind, request_id, content, padding))
        del self._in[:self._at]
        self._at = 0

    def _take(self, item: Record) -> None:
        if item.request_id == 0:
            assert item.kind in (GET_VALUES_RESULT, UNKNOWN_TYPE), f"with id 0: {item}"
            self.management.append(item)
            return
        assert item.kind not in (GET_VALUES_RESULT, UNKNOWN_TYPE), f"with an id: {item}"
        assert item.request_id in self.responses, f"for an id that was never begun: {item}"
        self.responses[item.request_id]._add(item)

    def wait(self, condition, what: str, timeout: float = DEADLINE) -> None:
        """Reads until condition() is true."""
        end = deadline(timeout)
        while not condition():
            if self.closed:
                raise Closed(f"the daemon {'reset' if self.reset else 'closed'} the connection, "
                             f"while waiting for {what}")
            assert time.monotonic() < end, f"timed out waiting for {what}"
            self.pump(0.05)

    def response(self, request_id: int = 1, timeout: float = DEADLINE) -> Response:
        """Reads until the response of the id has ended."""
        self.wait(lambda: request_id in self.responses and self.responses[request_id].ended,
                  f"the end of request {request_id}", timeout)
        return self.responses[request_id]

    def take_management(self, timeout: float = DEADLINE) -> Record:
        """Reads until a record of id 0 has arrived; takes it."""
        self.wait(lambda: self.management, "a management record", timeout)
        return self.management.pop(0)

    def get_values(self, *names: str) -> Dict[str, str]:
        """Asks for the values; returns the answer."""
        self.send_raw(record(GET_VALUES, 0, pairs([(name, "") for name in names])))
        return self.take_values()

    def take_values(self) -> Dict[str, str]:
        """The next management record, which must be a GET_VALUES_RESULT."""
        item = self.take_management()
        assert item.kind == GET_VALUES_RESULT, item
        return dict(parse_pairs(item.content))

    def request(self, path: str = "/fragment/a", request_id: int = 1, **options) -> Response:
        """Sends a complete request (the options of request() above) and waits for its response."""
        self.send_raw(request(path, request_id, **options))
        return self.response(request_id)

    def expect_close(self, timeout: float = DEADLINE) -> None:
        """Reads until the daemon closes; a reset counts as closed."""
        end = deadline(timeout)
        while not self.closed:
            assert time.monotonic() < end, "the daemon does not close the connection"
            self.pump(0.05)

    def expect_silence(self) -> None:
        """Fails if there is anything unread, or if the daemon closed. Call it when the daemon
        has provably handled all that was sent, such as after sync()."""
        before = (len(self._in), {key: len(value.records) for key, value in self.responses.items()})
        self.pump(0)
        after = (len(self._in), {key: len(value.records) for key, value in self.responses.items()})
        assert before == after and not self.management, "something unsolicited arrived"
        assert not self.closed, "the daemon closed the connection"

    def sync(self) -> None:
        """Waits until the daemon has handled every byte sent so far: by a GET_VALUES, which it
        answers at once and in its turn."""
        assert self.get_values("FCGI_MPXS_CONNS") == {"FCGI_MPXS_CONNS": "1"}


def parse_pairs(data: bytes) -> List[Tuple[str, str]]:
    """Decodes name-value pairs; fails on a truncated one."""
    found, at = [], 0
    while at < len(data):
        lengths = []
        for _ in range(2):
            length = data[at]
            if length & 0x80:
                length = struct.unpack_from(">I", data, at)[0] & 0x7fffffff
                at += 4
            else:
                at += 1
            lengths.append(length)
        name, value = data[at:at + lengths[0]], data[at + lengths[0]:at + sum(lengths)]
        at += sum(lengths)
        assert at <= len(data), "truncated pair"
        found.append((name.decode(), value.decode()))
    return found


def ask(address: Address, path: str = "/fragment/a", **options) -> Response:
    """One request on a connection of its own, which the daemon must close afterwards."""
    with Connection(address) as connection:
        response = connection.request(path, keep=False, **options)
        connection.expect_close()
        return response
