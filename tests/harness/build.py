"""The build directory as a user would call it, and modules built with what it installs."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import List

from .servers import TOP, need
from .wait import DEADLINE, SLOWNESS

BUILD = Path(os.environ.get("TOP_BUILDDIR", TOP))
FLAGS = ["-std=gnu99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-g", "-shared", "-fPIC"]


def output_of(*command: str, seconds: float = DEADLINE, **options) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=seconds * SLOWNESS,
                          check=False, **options)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
    return done.stdout


def make(*arguments: str) -> str:
    """make, as a user would call it, without the environment of a make that runs the tests."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("DESTDIR", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")}
    return output_of("make", "-s", "-C", str(BUILD), *arguments, env=environment)


class Kit:
    """What `make install` puts somewhere for those who build modules."""

    def __init__(self, root: Path) -> None:
        self.root = root / "kit"
        make("install-moduleincludeHEADERS", "install-pkgconfigDATA", f"DESTDIR={self.root}")
        self.environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(self.root),
                            "PKG_CONFIG_PATH": str(next(self.root.rglob("workerless.pc")).parent)}

    def ask(self, *arguments: str) -> str:
        """What pkg-config says of workerless."""
        return output_of(need("pkg-config"), *arguments, "workerless", env=self.environment).strip()

    def module(self, name: str, *flags: str, libraries: str = "", to: str = "") -> Path:
        """Builds tests/modules/NAME.c. `libraries` are names for pkg-config."""
        path = self.root / (to or f"{name}.so")
        others: List[str] = []
        if libraries:
            others = shlex.split(output_of(need("pkg-config"), "--cflags", "--libs", libraries))
        output_of(os.environ.get("CC", "cc"), *FLAGS, *shlex.split(self.ask("--cflags")), *flags,
                  str(TOP / f"tests/modules/{name}.c"), "-o", str(path), *others, "-lev",
                  "-lpthread")
        return path
