"""The example workers of conf/workers as processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Dict, List, Union

from browser.libraries import library

from .process import Server
from .servers import TOP, Redis, need

WORKERS = TOP / "conf/workers"
INTERPRETERS = {"py": sys.executable, "js": "node", "php": "php", "sh": "bash"}
EXAMPLES = sorted(INTERPRETERS)


def example_environment() -> Dict[str, str]:
    """In which Node finds its packages."""
    packages = library("redis/package.json").parent.parent
    return {"NODE_PATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"}


def example_command(kind: str, place: Path = WORKERS) -> List[str]:
    """`kind` is one of EXAMPLES. Its arguments are to follow."""
    return [need(INTERPRETERS[kind]), str(place / f"worker.{kind}")]


class Example(Server):
    """An example that runs the jobs of worker:jobs. It waits as many seconds as the input
    query:delay says, and fails if there is an input query:error."""

    name = "example"

    def __init__(self, tmp: Union[str, Path], redis: Union[Redis, str], kind: str,
                 visibility_ms: int) -> None:
        super().__init__(tmp)
        url = redis if isinstance(redis, str) else f"unix://{redis.address}"
        self.environment = {**os.environ, **example_environment(), "REDIS_URL": url}
        self.line = [*example_command(kind), "worker:jobs", str(visibility_ms)]

    def command_line(self) -> List[str]:
        return self.line

    def ready(self) -> bool:
        return True

    def check_end(self, status: int) -> None:
        assert status == 0, self.log()
