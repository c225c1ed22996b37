"""A wall clock that is wrong, for one process, and may be stepped while that runs (libfaketime).

    clock = WrongClock(tmp, 300)         # five minutes ahead
    server.environment.update(clock.environment(server))
    server.start()
    clock.set(-300)                      # from now on five minutes behind

Only what the wall clock shows is changed: intervals, and with them all timeouts, stay as they are.
With all_clocks=True the other clocks are stepped too, as if the machine had been suspended.

    server.environment.update(hasty_clocks(server, 40))   # all of them run 40 times as fast
"""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
from pathlib import Path
from typing import Dict, Union

from .process import Server
from .servers import need

_numbers = itertools.count()


@functools.lru_cache(maxsize=None)
def _library() -> str:
    """What the faketime program preloads. It refuses to run if its process id was that of a program
    with the library that was killed, and whose shared memory is still there."""
    for _ in range(20):
        done = subprocess.run([need("faketime"), "-f", "+0", "printenv", "LD_PRELOAD"], check=False,
                              capture_output=True, text=True, timeout=20)
        if done.returncode == 0:
            return done.stdout.strip()
    raise AssertionError(f"faketime fails: {done.stderr}")


def _preload(server: Server) -> Dict[str, str]:
    """AddressSanitizer wants to be the first library, and needn't be."""
    library = _library()
    options = server.environment.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": library,
            "ASAN_OPTIONS": ":".join(filter(None, [options, "verify_asan_link_order=0"]))}


def hasty_clocks(server: Server, times: int) -> Dict[str, str]:
    """For a server that is started later: its clocks run so many times as fast."""
    return {**_preload(server), "FAKETIME": f"+0 x{times}"}


class WrongClock:
    """Wrong by so many seconds; positive: it is ahead."""

    def __init__(self, tmp: Union[str, Path], seconds: float = 0, *,
                 all_clocks: bool = False) -> None:
        self._monotonic = "0" if all_clocks else "1"
        self._path = Path(tmp) / f"clock{next(_numbers)}"
        self.set(seconds)

    def set(self, seconds: float) -> None:
        """Steps the clock to that. The file is read whenever the time is, so it is replaced at
        once."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds:+.3f}\n", encoding="ascii")
        os.replace(new, self._path)

    def environment(self, server: Server) -> Dict[str, str]:
        """For a server that is started later."""
        return {**_preload(server), "FAKETIME_TIMESTAMP_FILE": str(self._path),
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": self._monotonic,
                "NO_FAKE_STAT": "1"}
