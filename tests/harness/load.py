"""Load: many requests for what is in memory, while something else happens."""

from __future__ import annotations

import re
import subprocess
from typing import Tuple

from .servers import need
from .wait import DEADLINE, SLOWNESS

WRK_SECONDS = max(3, min(20, int(3 * SLOWNESS)))  # longer than a restart


class Hits:
    """wrk: requests for a fragment in memory, as fast as they are answered."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [need("wrk"), "-t1", "-c8", f"-d{WRK_SECONDS}s", "--timeout", "60s", url],
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
