"""Building from a copy of the sources: what is compiled again when, and what is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import List

import pytest

from harness.servers import TOP, need, wrapper_command

PRODUCTS = shutil.ignore_patterns(
    ".git", "build-asan", "build-coverage", "build-fuzz", "node_modules", "output", "__pycache__",
    "Makefile", "config.status", "config.h", "stamp-h1", "build-flags", "workerless-*", "*.o", "*.a",
    ".deps")

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
def sources(tmp_path_factory):
    """A copy of the sources that is not configured."""
    place = tmp_path_factory.mktemp("build") / "tree"
    shutil.copytree(TOP, place, ignore=PRODUCTS, symlinks=True)
    return place


def configure(sources: Path, *options: str) -> None:
    run_in(sources, "./configure", "-q", "-C", *options)


def compiled(sources: Path, *settings: str) -> bool:
    """Makes OBJECT; whether it was compiled."""
    return "main.c" in run_in(sources, "make", "V=1", *settings, OBJECT)


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
