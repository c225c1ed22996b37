"""A small HTTP client: one request, and many at once."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from .wait import DEADLINE, SLOWNESS


@dataclass
class Reply:
    """A complete HTTP response. Header names are in lower case."""

    status: int
    headers: Dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def get(address: Tuple[str, int], path: str, *, method: str = "GET", body: bytes = b"",
        headers: Optional[Dict[str, str]] = None, timeout: float = DEADLINE) -> Reply:
    """One request on a connection of its own. The path is sent unchanged."""
    connection = http.client.HTTPConnection(*address, timeout=timeout * SLOWNESS)
    try:
        connection.request(method, path, body=body or None, headers=headers or {})
        reply = connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Reply(reply.status, found, reply.read())
    finally:
        connection.close()


def get_many(address: Tuple[str, int], paths: List[str], *,
             timeout: float = DEADLINE * 3, all_sent=None) -> List[Reply]:
    """Requests all paths at once, each on its own connection, and returns the replies in the
    paths' order. `all_sent` is called once every request has been written."""
    return asyncio.run(_get_many(address, paths, timeout * SLOWNESS, all_sent))


async def _get_many(address, paths, timeout, all_sent) -> List[Reply]:
    left = len(paths)
    written = asyncio.Event()

    async def one(path: str) -> Reply:
        nonlocal left
        reader, writer = await asyncio.open_connection(*address)
        try:
            writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            await writer.drain()
            left -= 1
            if left == 0:
                written.set()
            data = await reader.read()
        finally:
            writer.close()
        return _parse(data)

    async def tell() -> None:
        await written.wait()
        if all_sent:
            await asyncio.get_running_loop().run_in_executor(None, all_sent)

    replies = asyncio.gather(*[one(path) for path in paths], tell())
    return (await asyncio.wait_for(replies, timeout))[:-1]


def _parse(data: bytes) -> Reply:
    head, mark, body = data.partition(b"\r\n\r\n")
    assert mark, f"not an HTTP response: {data[:200]!r}"
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Reply(int(lines[0].split()[1]), headers, body)
