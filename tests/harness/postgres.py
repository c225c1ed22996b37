"""A private PostgreSQL server on a unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from typing import List, Union

from .build import output_of
from .process import Server
from .servers import need
from .wait import DEADLINE, SLOWNESS, wait_until


def installed() -> bool:
    """Whether there are libpq's files for development and the server."""
    config = shutil.which("pg_config")
    return bool(config) and (_programs(config) / "initdb").exists()


def _programs(config: str) -> Path:
    return Path(output_of(config, "--bindir").strip())


class Postgres(Server):
    """Keeps its data below its directory. Since it refuses to run as root, then it is nobody's.

    `connect` is for libpq; query() runs SQL by psql."""

    name = "postgres"
    stop_signal = signal.SIGINT  # does not wait for clients
    orphan_signal = signal.SIGQUIT  # it ends its children

    def __init__(self, tmp: Union[str, Path]) -> None:
        super().__init__(tmp)
        self.programs = _programs(need("pg_config"))
        self._user: List[str] = []
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            self._user = [need("setpriv"), f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                          "--clear-groups", "--pdeathsig=keep"]

    def spawn(self) -> None:
        if not (self.dir / "data").exists():
            output_of(*self._user, str(self.programs / "initdb"), "-D", str(self.dir / "data"),
                      "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync",
                      cwd=self.dir, seconds=3 * DEADLINE)
        super().spawn()

    @property
    def connect(self) -> str:
        return f"host={self.dir} user=postgres dbname=postgres"

    def command_line(self) -> List[str]:
        return [*self._user, str(self.programs / "postgres"), "-D", str(self.dir / "data"),
                "-k", str(self.dir), "-F", "-c", "listen_addresses=", "-c", "max_connections=50"]

    def ready(self) -> bool:
        return self._psql("SELECT 1").returncode == 0

    def _psql(self, sql: str) -> subprocess.CompletedProcess:
        return subprocess.run([str(self.programs / "psql"), "-At", "-v", "ON_ERROR_STOP=1",
                               "-d", self.connect, "-c", sql], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=DEADLINE * SLOWNESS,
                              check=False)

    def query(self, sql: str) -> str:
        """Its output: a line for each row."""
        done = self._psql(sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def clients(self) -> int:
        """How many are connected, psql not counted."""
        return int(self.query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = "
                              "'client backend' AND pid <> pg_backend_pid()"))

    def wait_clients(self, count: int) -> None:
        wait_until(lambda: self.clients() == count, f"{count} clients of PostgreSQL")
