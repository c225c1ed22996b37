"""What `make install` puts where, who may read it, and that it works once installed."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
from difflib import ndiff
from pathlib import Path
from typing import Dict, List

import pytest

from harness.build import make
from harness.fcgi import Connection, ask
from harness.servers import (Redis, Workerless, sanitizer_environment, workerless_binary,
                             wrapper_command)
from harness.wait import DEADLINE, SLOWNESS, wait_until

SYSTEMD = shutil.which("systemd-sysusers") and shutil.which("systemd-analyze")


def run_workerless(config: Path, **options) -> subprocess.CompletedProcess:
    """-t on the config; `options` are subprocess.run's. A `binary` is run by itself."""
    environment = {**os.environ, **sanitizer_environment(), **options.pop("environment", {})}
    binary = options.pop("binary", None)
    command = [binary] if binary else [*wrapper_command(), workerless_binary()]
    return subprocess.run([*command, "-t", "-c", str(config)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          env=environment, timeout=DEADLINE * SLOWNESS, **options)


def files(root: Path) -> List[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


class Installed:
    """An installation below a DESTDIR. `find` and `place` go by the end of a path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, end: str) -> Path:
        found = [path for path in files(self.root) if str(path).endswith(end)]
        assert len(found) == 1, f"{end}: {found}"
        return found[0]

    def place(self, end: str) -> str:
        """The path that it will have."""
        return "/" + str(self.find(end).relative_to(self.root))

    def mode(self, end: str) -> int:
        return self.find(end).stat().st_mode & 0o7777


@pytest.fixture
def installed(tmp):
    make("install", f"DESTDIR={tmp}/dest")
    return Installed(tmp / "dest")


def settings(unit: str) -> Dict[str, List[str]]:
    """The lines of a unit, by their names."""
    found: Dict[str, List[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_modes(installed):
    """What may hold passwords is not readable for everybody; the example beside it is."""
    assert installed.mode("etc/workerless/workerless.conf") == 0o640
    assert installed.mode("etc/workerless/environment") == 0o600
    for name in ("sysusers.d/workerless.conf", "share/workerless/conf/workerless.conf",
                 "system/workerless.service", "system/workerless@.service",
                 "system/workerless.socket"):
        assert installed.mode(name) == 0o644, name


def test_man_pages(installed):
    """They name the places of this installation."""
    for page in ("man8/workerless.8", "man5/workerless.conf.5", "man7/workerless-protocol.7"):
        assert installed.mode(page) == 0o644, page
    config = re.search(r"^\.Pa (\S+/workerless/workerless\.conf)",
                       installed.find("man8/workerless.8").read_text("utf-8"), re.MULTILINE)
    assert config.group(1) == installed.place("etc/workerless/workerless.conf")


def test_what_modules_are_built_with(installed):
    assert installed.mode("include/workerless/source.h") == 0o644
    text = installed.find("pkgconfig/workerless.pc").read_text("ascii")
    directory = re.search("^moduledir=/(.*)$", text, re.MULTILINE).group(1)
    assert (installed.root / directory).is_dir()


def test_reinstall_and_uninstall(tmp, installed):
    """What the administrator has changed stays, with its mode. Everything else is removed."""
    config = installed.find("etc/workerless/workerless.conf")
    environment = installed.find("etc/workerless/environment")
    config.write_text("# mine\n")
    config.chmod(0o600)
    environment.write_text("REDIS_PASSWORD=mine\n")
    make("install", f"DESTDIR={tmp}/dest")
    assert config.read_text() == "# mine\n" and installed.mode(str(config)) == 0o600
    assert environment.read_text() == "REDIS_PASSWORD=mine\n"
    make("uninstall", f"DESTDIR={tmp}/dest")
    assert sorted(files(installed.root)) == sorted([config, environment])
    config.unlink()
    environment.unlink()
    make("install", f"DESTDIR={tmp}/dest")
    make("uninstall", f"DESTDIR={tmp}/dest")
    assert files(installed.root) == []


def test_group(tmp):
    """Without DESTDIR, and as root, the config is made readable for the service's group."""
    where = [f"{name}={tmp}/{name}"
             for name in ("sysconfdir", "pkgdatadir", "moduledir", "sysusersdir",
                          "bashcompletiondir")]
    binary = shutil.copy(workerless_binary(), tmp / "workerless")
    config = tmp / "sysconfdir/workerless/workerless.conf"
    said = make("install-data-local", "service_group=daemon", *where)
    assert "There is no group" not in said
    assert config.stat().st_mode & 0o777 == 0o640
    if os.geteuid() != 0:
        assert config.stat().st_gid == os.getegid()
        return
    assert config.stat().st_gid == grp.getgrnam("daemon").gr_gid
    for name, readable in (("daemon", True), ("nobody", False)):
        user = pwd.getpwnam(name)
        done = run_workerless(config, binary=str(binary), user=user.pw_uid, group=user.pw_gid,
                              extra_groups=[], cwd="/")
        assert (done.returncode == 0) == readable, done.stdout
    assert "Permission denied" in done.stdout
    config.unlink()
    said = make("install-data-local", "service_group=no-such-group", *where)
    assert f"run: chgrp no-such-group {config}\n" in said
    assert config.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("name", ["workerless.service", "workerless@.service"])
def test_unit(installed, name):
    """It runs as the user of sysusers.d, and finds what has been installed."""
    text = installed.find(name).read_text("utf-8").replace("workerless@", "")
    unit = settings(text)
    assert "@" not in re.sub(r"@(system-service|privileged|resources)", "", text)
    assert unit["User"] == ["workerless"] and "DynamicUser" not in unit
    assert unit["EnvironmentFile"] == ["-" + installed.place("etc/workerless/environment")]
    assert unit["ExecReload"] == [*unit["ExecStartPre"], "/bin/sh -c 'kill -HUP $MAINPID'"]
    for command in unit["ExecStartPre"] + unit["ExecStart"]:
        assert command.split()[0] == installed.place("bin/workerless")
        assert command.endswith(" -c " + installed.place("etc/workerless/workerless.conf"))
    users = re.findall(r"^u (\w+) ", installed.find("sysusers.d/workerless.conf").read_text("utf-8"),
                       re.MULTILINE)
    assert users == unit["User"]
    assert "redis-server.service" in unit["After"][0].split()


def test_instances(installed):
    """workerless@.service is workerless.service, but for its name, and the socket stays enabled if
    an instance is disabled. Both are given the one socket."""
    alone, instance = (installed.find(name).read_text("utf-8").splitlines()
                       for name in ("workerless.service", "workerless@.service"))
    changes = [line for line in ndiff(alone, instance) if line[0] in "+-"]
    assert [line.partition("=")[0] for line in changes] == \
        ["- Description", "+ Description", "- Also"]
    assert changes[1].endswith(" (%i)")
    assert "Sockets=workerless.socket" in alone


SYSTEMD_UNITS = ["workerless.service", "workerless@.service", "workerless.socket"]


@pytest.fixture
def units(tmp, installed):
    """The installed units, as files that systemd-analyze reads. Their binary is the one in the
    build directory."""
    for name in SYSTEMD_UNITS:
        (tmp / name).write_text(installed.find(name).read_text("utf-8").replace(
            installed.place("bin/workerless"), workerless_binary()))
    return tmp


@pytest.mark.skipif(not SYSTEMD, reason="there is no systemd here")
def test_systemd_takes_the_units(units):
    """By themselves: nothing is started."""
    done = subprocess.run(["systemd-analyze", "verify", "--man=no",
                           *(str(units / name) for name in SYSTEMD_UNITS)],
                          capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not SYSTEMD, reason="there is no systemd here")
@pytest.mark.parametrize("name", ["workerless.service", "workerless@.service"])
def test_the_units_are_closed(units, name):
    """systemd's exposure level is at most 1.5."""
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=15",
                           "--no-pager", str(units / name)],
                          capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not SYSTEMD, reason="there is no systemd here")
def test_systemd_makes_the_user(installed):
    """By the file of sysusers.d, in a root of its own."""
    (installed.root / "etc").mkdir(exist_ok=True)
    file = installed.find("sysusers.d/workerless.conf")
    subprocess.run(["systemd-sysusers", f"--root={installed.root}", str(file)], check=True,
                   timeout=DEADLINE)
    name, _, _, _, _, home, shell = \
        (installed.root / "etc/passwd").read_text().strip().split(":")
    assert (name, home) == ("workerless", "/") and shell.endswith("/nologin")
    assert (installed.root / "etc/group").read_text().startswith("workerless:")


def test_the_installed_config_reaches_redis(tmp, run, installed):
    """A Redis as Debian installs it: on a port of 127.0.0.1, without a password."""
    redis = run(Redis(tmp, tcp=True))
    text = installed.find("etc/workerless/workerless.conf").read_text("utf-8")
    for old, new in (("unix:/run/workerless/workerless.sock", f"unix:{tmp}/socket"),
                     ('"redis://127.0.0.1:6379"', f'"{redis.url}"')):
        assert len(re.findall(rf"^ *\w+ = .*{re.escape(old)}", text, re.MULTILINE)) == 1, old
        text = re.sub(rf"^( *\w+ = .*){re.escape(old)}", rf"\g<1>{new}", text, flags=re.MULTILINE)
    server = run(Workerless(tmp, text, listen="none", address=f"{tmp}/socket"))
    assert ask(server.address, "/fragment/a").status == 200
    wait_until(lambda: redis.keys() == ["worker:a"], "the result to be in Redis")


# A password from the environment, as systemd sets it.

PASSWORD_CONFIG = """cache { redis = "redis://:${REDIS_PASSWORD}@127.0.0.1:PORT" }
source "s" { type = "simulated"  delay = "0" }
fragment "a" { source = "s" }
"""


@pytest.mark.parametrize("password, written", [
    ("secret", "secret"),
    ("p@ss/w:rd?#,", "p@ss/w:rd?#,"),
    ('{"\\\'$}', '{"\\\'$}'),
    ("50% off@home", "50%25 off%40home"),
    ('%41"/', "%2541%22%2F"),
])
def test_password_of_the_environment(tmp, run, password, written):
    redis = run(Redis(tmp, tcp=True, password=password))
    server = Workerless(tmp, PASSWORD_CONFIG.replace("PORT", str(redis.address[1])))
    server.environment["REDIS_PASSWORD"] = written
    run(server)
    with Connection(server.address) as connection:
        assert connection.request("/fragment/a").status == 200
    wait_until(lambda: redis.keys() == ["worker:a"], "the result to be in Redis")


def test_password_that_is_refused(tmp):
    """The log says how to write it, but not the password."""
    config = tmp / "workerless.conf"
    config.write_text(PASSWORD_CONFIG.replace("PORT", "6379"))
    for password in ("s3cret%", "s3cret%zz"):
        done = run_workerless(config, environment={"REDIS_PASSWORD": password})
        assert done.returncode == 1
        assert "write %25 for a % itself" in done.stdout and "s3cret" not in done.stdout
    done = run_workerless(config)
    assert done.returncode == 1 and 'the environment has no variable "REDIS_PASSWORD"' in done.stdout
