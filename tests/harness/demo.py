"""`make demo` as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import List

from .build import BUILD, make
from .servers import TOP, workerless_binary
from .wait import DEADLINE, SLOWNESS, wait_until

MODULE = "tests/modules/postgres.so"


class Demo:
    """tests/demo/demo.py as a process. Its servers' files are all below `dir`."""

    def __init__(self, tmp: Path, **environment: str) -> None:
        make(MODULE)
        self.dir = tmp
        self._output = tmp / "output"
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(TOP / "tests/demo/demo.py")], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "TMPDIR": str(tmp), "WORKERLESS": workerless_binary(),
                     "MODULE": str(BUILD / MODULE),
                     "PYTHONDONTWRITEBYTECODE": "1", **environment})

    def __enter__(self) -> "Demo":
        return self

    def __exit__(self, *_error) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def output(self) -> str:
        return self._output.read_text("utf-8")

    def address(self):
        """Where the page is, once it is there."""
        def shown():
            assert self.process.poll() is None, self.output()
            return re.search(r"http://127\.0\.0\.1:(\d+)/", self.output())

        return "127.0.0.1", int(wait_until(shown, "the demo to name its URL",
                                               3 * DEADLINE).group(1))

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE * SLOWNESS)

    def processes(self) -> List[int]:
        """Everything that runs below its directory, whatever its parent is now."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and os.readlink(entry / "cwd").startswith(
                        f"{self.dir}/workerless-demo"):
                    found.append(int(entry.name))
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                pass
        return found

    def check_nothing_left(self) -> None:
        assert [path.name for path in self.dir.iterdir()] == ["output"]
