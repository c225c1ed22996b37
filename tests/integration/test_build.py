"""Building from a copy of the sources: what is compiled again when, and how."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness.servers import TOP, wrapper_command

PRODUCTS = shutil.ignore_patterns(
    ".git", "build-asan", "build-clang", "build-coverage", "build-fuzz", "node_modules", "output",
    "__pycache__", "Makefile", "build-flags", "config.cache", "config.h", "config.status", "stamp-h1",
    "workerless-*", "*.o", "*.a", ".deps")

pytestmark = pytest.mark.skipif(bool(wrapper_command()), reason="not about the daemon as it runs")


def run_in(place: Path, *command: str, **environment: str) -> str:
    """Runs a command there; returns what it printed."""
    clean = {name: value for name, value in os.environ.items()
             if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CONFIG_SITE")}
    done = subprocess.run(command, cwd=place, env={**clean, **environment}, text=True, check=False,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stdout}"
    return done.stdout


# A part that shows the flags, since the whole takes long to compile.
OBJECT = "fcgi/main.o"


@pytest.fixture(scope="module")
def sources():
    """A copy of the sources that is not configured."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp:
        place = Path(tmp) / "tree"
        shutil.copytree(TOP, place, ignore=PRODUCTS, symlinks=True)
        run_in(place, "chmod", "-R", "u+w", ".")  # make distcheck takes that away
        yield place


def configure(sources: Path, *options: str) -> None:
    run_in(sources, "./configure", "-q", "-C", *options)


def compiled(sources: Path, *settings: str) -> bool:
    """Makes OBJECT; whether it was compiled."""
    return "main.c" in run_in(sources, "make", "V=1", *settings, OBJECT)


@pytest.mark.seconds(180)
def test_flags_that_change(sources):
    """Whatever changes in the flags, objects made with the old ones are made again; with the same
    ones they are kept."""
    configure(sources, "--sysconfdir=/first")
    assert compiled(sources) and not compiled(sources)
    assert b"/first/workerless" in (sources / OBJECT).read_bytes()

    configure(sources, "--sysconfdir=/second")
    assert compiled(sources) and not compiled(sources)
    content = (sources / OBJECT).read_bytes()
    assert b"/second/workerless" in content and b"/first" not in content

    configure(sources, "--sysconfdir=/second", "--disable-hardening")
    assert compiled(sources) and not compiled(sources)
    for setting in ("CPPFLAGS=-DWHERE='\"it is\"'", "CFLAGS=-O0"):
        assert compiled(sources, setting) and not compiled(sources, setting)


def variable(sources: Path, name: str) -> str:
    """The value of a variable that ./configure has put into the Makefile."""
    makefile = (sources / "Makefile").read_text("utf-8")
    return re.search(rf"^{name} = *(.*)$", makefile, re.MULTILINE).group(1)


def takes(sources: Path, flag: str, code: str = "int some;") -> bool:
    """Whether the compiler can do it."""
    return subprocess.run(
        [*variable(sources, "CC").split(), "-Werror", "-O2", "-U_FORTIFY_SOURCE", flag,
         "-xc", "-c", "-o", "/dev/null", "-"],
        input=code, text=True, stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.seconds(120)
def test_hardening(sources):
    """All that compiler and library know is used, and nothing else."""
    configure(sources)
    used = variable(sources, "HARDENING_CFLAGS").split()
    for flag in ("-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection"):
        assert (flag in used) == takes(sources, flag), flag
    third = takes(sources, "-D_FORTIFY_SOURCE=3",
                  "#include <stdio.h>\n_Static_assert(__USE_FORTIFY_LEVEL == 3, \"\");")
    assert f"-D_FORTIFY_SOURCE={3 if third else 2}" in variable(sources, "HARDENING_CPPFLAGS")

    configure(sources, "--disable-hardening")
    assert not variable(sources, "HARDENING_CFLAGS") + variable(sources, "HARDENING_CPPFLAGS")


# ---- what npm installs


def test_lock_file():
    """It pins by checksum whatever package.json names, and names no host to load it from."""
    place = TOP / "tests/browser"
    text = (place / "package-lock.json").read_text("utf-8")
    assert "://" not in text
    packages = json.loads(text)["packages"]
    own = packages.pop("")
    assert own["dependencies"] == json.loads((place / "package.json").read_text())["dependencies"]
    for name, version in own["dependencies"].items():
        assert packages[f"node_modules/{name}"]["version"] == version
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())
