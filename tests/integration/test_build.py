"""Building from a copy of the sources: what is compiled again when, and what is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import List

import pytest

from harness.servers import TOP, workerless_binary, wrapper_command

PRODUCTS = shutil.ignore_patterns(
    ".git", "build-asan", "build-clang", "build-coverage", "build-deb", "build-fuzz",
    "node_modules", "output", "__pycache__", "Makefile", "build-flags", "config.cache", "config.h",
    "config.status", "stamp-h1", "workerless-*", "*.o", "*.a", ".deps")

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


def test_tracepoints():
    """Those that base/usdt.h lists are in the binary, unless it was built without sys/sdt.h."""
    listed = re.findall(r"^ \*     (\w+)  ", (TOP / "fcgi/base/usdt.h").read_text("utf-8"),
                        re.MULTILINE)
    assert len(listed) > 10
    notes = subprocess.run(["readelf", "--notes", workerless_binary()], text=True, check=True,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    found = re.findall(r"Provider: (\w+)\s+Name: (\w+)", notes)
    has_header = subprocess.run(["cc", "-E", "-include", "sys/sdt.h", "-xc", "/dev/null"],
                                check=False, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL).returncode == 0
    assert {name for provider, name in found if provider == "workerless"} == (
        set(listed) if has_header else set())


# A part that shows the flags, since compiling everything takes long.
OBJECT = "fcgi/cli/cli.o"


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
    return "cli/cli.c" in run_in(sources, "make", "V=1", *settings, OBJECT)


@pytest.mark.seconds(180)
def test_flags_that_change(sources):
    """If any flag changes, objects compiled with the old ones are compiled again; with the same
    flags they are kept."""
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
    """Every flag that compiler and library support is used, and nothing else."""
    configure(sources)
    used = variable(sources, "HARDENING_CFLAGS").split()
    for flag in ("-fstack-protector-strong", "-fstack-clash-protection", "-fcf-protection"):
        assert (flag in used) == takes(sources, flag), flag
    third = takes(sources, "-D_FORTIFY_SOURCE=3",
                  "#include <stdio.h>\n_Static_assert(__USE_FORTIFY_LEVEL == 3, \"\");")
    assert f"-D_FORTIFY_SOURCE={3 if third else 2}" in variable(sources, "HARDENING_CPPFLAGS")

    configure(sources, "--disable-hardening")
    assert not variable(sources, "HARDENING_CFLAGS") + variable(sources, "HARDENING_CPPFLAGS")


# ---- ./autogen.sh --install-deps

# Replacements for the commands that would change this machine. What "sudo apt-get install" is given
# counts as installed from then on.
FAKES = {
    "id": "echo 1000",
    "apt-cache": "echo Candidate: 1",
    "apt-get": "exit 1",
    "dpkg-query": 'sed "s/^/ii  /" installed',
    "sudo": 'test "$1" != tee || cat >/dev/null\n'
            'words="$*"; case $words in *" --no-install-recommends "*)\n'
            '    printf "%s\\n" ${words#*--no-install-recommends } >>installed ;; esac',
    "npm": 'echo "$@" >>npm.log; test "$1" != ls',
    "autoreconf": "exit 0",
}


class Dependencies:
    """./autogen.sh in a directory of its own, with FAKES."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "tests/browser").mkdir(parents=True)
        (place / "bin").mkdir()
        (place / "installed").write_text("", "ascii")
        shutil.copy(TOP / "autogen.sh", place)
        for name, text in FAKES.items():
            path = place / "bin" / name
            path.write_text(f"#!/bin/sh\ncd '{place}'\n{text}\n", "ascii")
            path.chmod(0o755)

    def install(self, option: str) -> List[str]:
        """Returns the packages that were installed for it."""
        before = self._installed()
        run_in(self.place, "./autogen.sh", option, PATH=f"{self.place}/bin:{os.environ['PATH']}")
        return self._installed()[len(before):]

    def _installed(self) -> List[str]:
        return (self.place / "installed").read_text("ascii").split()

    def npm(self) -> List[str]:
        """The calls of npm."""
        log = self.place / "npm.log"
        return log.read_text("ascii").splitlines() if log.exists() else []


BUILD = {"gcc", "make", "autoconf", "pkg-config", "libev-dev", "libhiredis-dev"}
RUN = {"python3", "nginx", "redis-server", "php-fpm", "postgresql", "python3-redis"}
TEST = {"python3-pytest", "chromium", "valgrind", "clang", "wrk", "debootstrap"}


@pytest.mark.parametrize("option, wanted, unwanted, npm", [
    ("--install-deps=build", BUILD, RUN | TEST, []),
    ("--install-deps=run", BUILD | RUN, TEST, []),
    ("--install-deps=test", BUILD | RUN | TEST, set(), ["ls", "ci --ignore-scripts"]),
    ("--install-deps", BUILD | RUN | TEST, set(), ["ls", "ci --ignore-scripts"])])
def test_what_is_installed(tmp, option, wanted, unwanted, npm):
    dependencies = Dependencies(tmp)
    installed = set(dependencies.install(option))
    assert wanted <= installed and not unwanted & installed
    assert [call.partition(" --loglevel")[0] for call in dependencies.npm()] == npm
    assert dependencies.install(option) == []


def test_only_what_is_missing_is_installed(tmp):
    dependencies = Dependencies(tmp)
    run = dependencies.install("--install-deps=run")
    rest = dependencies.install("--install-deps")
    assert TEST <= set(rest) and not set(run) & set(rest)


def test_wrong_purpose():
    done = subprocess.run([TOP / "autogen.sh", "--install-deps=demo"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 2 and "--install-deps[=build|run|test]" in done.stdout


# ---- what npm installs


def test_lock_file():
    """It pins everything in package.json by checksum, and names no host to load it from."""
    place = TOP / "tests/browser"
    text = (place / "package-lock.json").read_text("utf-8")
    assert "://" not in text
    packages = json.loads(text)["packages"]
    own = packages.pop("")
    assert own["dependencies"] == json.loads((place / "package.json").read_text())["dependencies"]
    for name, version in own["dependencies"].items():
        package = packages[f"node_modules/{name}"]
        aliased = f"npm:{package['name']}@" if "name" in package else ""
        assert aliased + package["version"] == version
    assert all(package["integrity"].startswith("sha512-") for package in packages.values())


# ---- tests/debian13.sh, tests/debian-package.sh


@pytest.mark.parametrize("name", ["debian13", "debian-package"])
@pytest.mark.parametrize("environment, status, word", [
    ({}, 77, "skipped: "), ({"CI": "true"}, 1, "")])
def test_debian_without_root(tmp, name, environment, status, word):
    """It may be skipped, but in CI it may not."""
    shutil.copy(TOP / "tests/debian-root.sh", tmp)
    script = shutil.copy(TOP / f"tests/{name}.sh", tmp)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    clean = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run([*(nobody if os.geteuid() == 0 else []), script], cwd=tmp, check=False,
                          env={**clean, **environment}, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == status
    assert done.stdout == f"{name}: {word}making a Debian root needs root\n"
