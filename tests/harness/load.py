"""Load: many requests for what is in memory, and many that wait, while something else happens."""

from __future__ import annotations

import asyncio
import re
import subprocess
import threading
from typing import List, Sequence, Tuple

from .servers import need
from .wait import DEADLINE, SLOWNESS

WRK_SECONDS = max(3, min(20, int(3 * SLOWNESS)))  # longer than a restart


class Hits:
    """wrk: requests for a fragment in memory, as fast as they are answered."""

    def __init__(self, url: str, seconds: int = WRK_SECONDS) -> None:
        self._process = subprocess.Popen(
            [need("wrk"), "-t1", "-c8", f"-d{seconds}s", "--timeout", "60s", url],
            stdout=subprocess.PIPE, text=True)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> Tuple[int, float]:
        """How many there were, and the seconds of the slowest. None may have failed."""
        text = self._process.communicate(timeout=DEADLINE * 2 * SLOWNESS)[0]
        assert "Socket errors" not in text and "Non-2xx" not in text, text
        worst, unit = re.search(r"Latency +\S+ +\S+ +([\d.]+)(us|ms|s) ", text).groups()
        return (int(re.search(r"(\d+) requests in", text).group(1)),
                float(worst) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[unit])


class Waiters:
    """Clients of nginx, in a thread of their own, that request the paths in turn until each has its
    result. They ask again after a 202, as <page-fragment> does."""

    def __init__(self, address: tuple, paths: Sequence[str], count: int) -> None:
        self.again = 0  # 202s
        self.done = 0   # those that have their result
        self.failures: List[str] = []
        self._address, self._paths, self._count = address, paths, count
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> "Waiters":
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._thread.join(DEADLINE * SLOWNESS)

    async def _run(self) -> None:
        await asyncio.gather(*[self._wait(self._paths[number % len(self._paths)])
                               for number in range(self._count)])

    async def _wait(self, path: str) -> None:
        while await self._ask(path) == 202:
            self.again += 1
        self.done += 1

    async def _ask(self, path: str) -> int:
        status, data = 0, b""
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                data = await reader.read()
                status = int(data.split()[1])
            finally:
                writer.close()
        except (OSError, IndexError, ValueError) as error:
            self.failures.append(f"{path}: {error!r}")
        if status not in (200, 202):
            self.failures.append(f"{path}: {data[:200]!r}")
        return status
