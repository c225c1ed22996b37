"""Running the command line of workerless to its end, and reading its help."""

from __future__ import annotations

import os
import re
import subprocess
from functools import lru_cache
from typing import List

from .servers import Workerless, sanitizer_environment, workerless_binary, wrapper_command
from .wait import DEADLINE, SLOWNESS


def command_line(*words: str) -> List[str]:
    return [*wrapper_command(), workerless_binary(), *words]


def cli(*words: str, binary: str = "", typed: str = "",
        **options) -> subprocess.CompletedProcess:
    """Runs it; stdin, which is `typed`, stdout and stderr are text. `options` are subprocess.run's; a
    `binary` is run by itself."""
    return subprocess.run([binary, *words] if binary else command_line(*words),
                          input=typed, capture_output=True, text=True, check=False,
                          env={**os.environ, **sanitizer_environment()},
                          timeout=DEADLINE * SLOWNESS, **options)


def cli_for(server: Workerless, *words: str, **options) -> subprocess.CompletedProcess:
    """The same with the config of that daemon."""
    return cli(*words, "-c", str(server.config_path), **options)


@lru_cache(maxsize=None)
def help_of(*words: str) -> str:
    done = cli(*words, "--help")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


def commands() -> List[str]:
    """The names of all commands, as the help lists them."""
    listed = help_of().partition("Commands:\n\n")[2].partition("\n\n")[0]
    return re.findall(r"^  (\w+) ", listed, re.MULTILINE)


def options_of(command: str) -> List[str]:
    """The long options of a command, as its help lists them; "": of none."""
    text = help_of(*([command] if command else []))
    return re.findall(r"^  (?:-\w, |    )--(\w+)", text, re.MULTILINE)
