"""HTTP servers that misbehave, and one that does not; each in a process of its own.

    with Rude(tmp, "hang") as api:
        config = f'source "api" {{ type = "http" url = "{api.url}/{{name}}" }}'
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Callable, Dict, List, Union

BEHAVIOURS = ("hang", "flood", "rubbish", "close", "well")
WELL_S = 0.03  # that "well" takes to answer


async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await reader.read()


async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def rubbish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Anything but HTTP."""
    writer.write(os.urandom(1000))
    await writer.drain()


async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body that is shorter than its Content-Length."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\n<p>")
    await writer.drain()


async def well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each request of the connection gets the same fragment, after a while."""
    while True:
        await asyncio.sleep(WELL_S)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\n"
                     b"<p>well</p>")
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")


async def serve(behaviour: Callable, port: int) -> None:
    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    behaviours: Dict[str, Callable] = {"hang": hang, "flood": flood, "rubbish": rubbish,
                                       "close": close, "well": well}
    asyncio.run(serve(behaviours[sys.argv[1]], int(sys.argv[2])))
else:
    from .process import Port, Server, accepts
    from .servers import python_command

    class Rude(Server):
        """One of BEHAVIOURS."""

        def __init__(self, tmp: Union[str, Path], behaviour: str) -> None:
            assert behaviour in BEHAVIOURS, behaviour
            self.name = behaviour
            super().__init__(tmp)
            self.behaviour = behaviour
            self._port = Port()

        @property
        def url(self) -> str:
            """Without a slash at its end."""
            return f"http://127.0.0.1:{self._port.number}"

        def command_line(self) -> List[str]:
            return python_command(Path(__file__), self.behaviour, str(self._port.number))

        def ready(self) -> bool:
            return accepts(("127.0.0.1", self._port.number))
