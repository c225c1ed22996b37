"""The programs of tests/hostile: clients that attack, and the API behind their daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Union

from .process import Address, Server
from .servers import TOP
from .wait import SLOWNESS


def program(name: str) -> str:
    """The path of a program of tests/hostile, which make check builds."""
    path = Path(os.environ.get("TOP_BUILDDIR", TOP)) / "tests/hostile" / name
    assert path.is_file(), f"no {path}: make check builds it"
    return str(path.resolve())


def colliding_names(count: int, target: str) -> List[str]:
    """Names that have the hash of `target` in a table of uthash's that has no seed."""
    done = subprocess.run([program("collide"), str(count), target], stdout=subprocess.PIPE,
                          timeout=120 * SLOWNESS, text=True, check=True)
    return done.stdout.splitlines()


class HostileClients(Server):
    """Runs until stop(), or for so many seconds. `told` is what they report when they have
    ended."""

    name = "hostile"

    def __init__(self, tmp: Union[str, Path], addresses: List[Address], *, connections: int,
                 seconds: float, seed: int, max_params: int) -> None:
        super().__init__(tmp)
        self._options = ["-c", str(connections), "-d", str(seconds), "-S", str(seed),
                         "-p", str(max_params)]
        for address in addresses:
            self._options += ["-s", f"unix:{address}" if isinstance(address, str)
                              else "tcp:%s:%d" % address]
        self.told: Dict[str, float] = {}

    def command_line(self) -> List[str]:
        return [program("hostile"), *self._options]

    def ready(self) -> bool:
        return True

    def check_end(self, status: int) -> None:
        assert status == 0, f"the hostile clients found a fault, or failed: {self.log()}"
        self.told = json.loads(self.log())


class HostileApi(Server):
    """tests/hostile/api.py."""

    name = "hostile-api"
    stop_signal = signal.SIGTERM

    @property
    def port(self) -> int:
        return int(self.log().split()[1])

    def command_line(self) -> List[str]:
        return [sys.executable, str(TOP / "tests/hostile/api.py")]

    def ready(self) -> bool:
        return self.log().startswith("port ") and self.log().endswith("\n")
