"""Waiting for conditions, never for time to pass."""

from __future__ import annotations

import os
import time
from typing import Callable, TypeVar

T = TypeVar("T")

# How many times slower than a plain build the daemon may be. Deadlines are multiplied by it, so
# that the same tests hold under valgrind. It never makes a passing test slower.
SLOWNESS = float(os.environ.get("WORKERLESS_TEST_SLOWNESS")
                 or (10 if os.environ.get("WORKERLESS_WRAPPER") else 1))

DEADLINE = 20.0  # seconds, before SLOWNESS; far more than any healthy step takes


def deadline(seconds: float = DEADLINE) -> float:
    """The time.monotonic() at which a step that may take `seconds` is given up."""
    return time.monotonic() + seconds * SLOWNESS


def scaled(count: int, least: int = 1) -> int:
    """A count of requests or the like, smaller in slow runs. WORKERLESS_TEST_COUNT is the share."""
    share = float(os.environ.get("WORKERLESS_TEST_COUNT") or (1 if SLOWNESS <= 1 else 0.1))
    return max(least, int(count * share))


def wait_until(condition: Callable[[], T], what: str, timeout: float = DEADLINE) -> T:
    """Returns the first true value of condition(); fails with `what` past the deadline."""
    end = deadline(timeout)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timed out waiting for: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def stays(condition: Callable[[], bool], what: str, seconds: float = 0.2) -> None:
    """Fails if the condition becomes false within the given time.

    For what must *not* happen there is no event to wait for. A slow machine can make such a check
    miss a fault, but never fail without one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), f"no longer true: {what}"
        time.sleep(0.01)
