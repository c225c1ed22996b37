"""php-fpm with one pool, and its status page."""

from __future__ import annotations

import glob
import json
import os
import re
import signal
import struct
from pathlib import Path
from typing import Dict, List, Optional, Union

from . import fcgi
from .process import Address, Port, Server, accepts, connect, gone
from .wait import wait_until


def installed() -> List[str]:
    """The programs; Debian has the version in their names."""
    return glob.glob("/usr/sbin/php-fpm*")


def php_fpm() -> str:
    """The newest one."""
    found = installed()
    assert found, "php-fpm is not installed (Debian package php-fpm)"
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path)])


class PhpFpm(Server):
    """php-fpm in the foreground, as whoever runs the tests.

    scripts:  name -> PHP code, which follows "<?php"; `app` is the directory that has them as
              NAME.php.
    children: of the pool, all started at once.
    pool:     more lines for its section.
    tcp:      it listens on a port, and else on a unix socket.

    stop() fails unless it ends with status 0."""

    name = "php-fpm"
    stop_signal = signal.SIGINT
    orphan_signal = signal.SIGTERM  # it ends its children

    def __init__(self, tmp: Union[str, Path], scripts: Dict[str, str], *, children: int = 2,
                 pool: str = "", tcp: bool = False) -> None:
        super().__init__(tmp)
        self._port = Port() if tcp else None
        self.address: Address = ("127.0.0.1", self._port.number) if self._port \
            else str(self.dir / "socket")
        self.status_address = str(self.dir / "status")
        self.app = self.dir / "app"
        self.app.mkdir()
        for name, code in scripts.items():
            path = self.app / f"{name}.php"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"<?php\n{code}\n", "utf-8")
        user = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
        listen = "%s:%d" % self.address if self._port else str(self.address)
        (self.dir / "conf").write_text(f"""[global]
error_log = /proc/self/fd/2
daemonize = no
[app]
{user}listen = {listen}
pm = static
pm.max_children = {children}
pm.status_path = /status
pm.status_listen = {self.status_address}
php_admin_flag[display_errors] = off
php_admin_flag[log_errors] = on
{pool}
""", "utf-8")

    @property
    def socket(self) -> str:
        """As the option of workerless has it."""
        return "tcp:%s:%d" % self.address if self._port else f"unix:{self.address}"

    def command_line(self) -> List[str]:
        root = ["-R"] if os.geteuid() == 0 else []
        return [php_fpm(), "-n", "-F", *root, "-p", str(self.dir), "-y", str(self.dir / "conf")]

    def ready(self) -> bool:
        return accepts(self.address) and accepts(self.status_address)

    def check_end(self, status: int) -> None:
        assert status == 0, f"php-fpm ended with status {status}:\n{self.log()}"

    def status(self) -> Dict:
        """The status page of the pool, which has a process of its own."""
        return json.loads(stdout_of(self.status_address, {
            "SCRIPT_NAME": "/status", "SCRIPT_FILENAME": "/status", "REQUEST_METHOD": "GET",
            "QUERY_STRING": "json&full"}).partition(b"\r\n\r\n")[2])

    def children(self) -> List[int]:
        """The pids of those that serve the pool."""
        return [process["pid"] for process in self.status()["processes"]]

    def kill(self) -> None:
        """Waits for the end of the children, too: until then they have the socket open."""
        pids = []
        if self.running:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
            pids = [int(pid) for pid in children.read_text("ascii").split()]
        super().kill()
        wait_until(lambda: all(map(gone, pids)), "the end of php-fpm's children")

    def wait_idle(self, count: int) -> None:
        """Waits until so many children have nothing to do."""
        wait_until(lambda: self.status()["idle processes"] == count, f"{count} idle processes")


def stdout_of(address: Address, params: Dict[str, str]) -> bytes:
    """The output of any FastCGI server for a request with these variables."""
    out, data, at = b"", b"", 0
    with connect(address) as sock:
        sock.sendall(fcgi.request(params=params, keep=False))
        while chunk := sock.recv(65536):
            data += chunk
    while at < len(data):
        _, kind, _, length, padding, _ = struct.unpack_from(">BBHHBB", data, at)
        out += data[at + 8:at + 8 + length] if kind == fcgi.STDOUT else b""
        at += 8 + length + padding
    return out


CONFIG = """
{top}
source "php" {{
    type   = "fastcgi"
    socket = "{socket}"
    script = "{script}"
    {options}
}}
{routes}
fragment "*" {{ source = "php" ttl = "60s" {route} }}
"""


def php_config(php: PhpFpm, *, options: str = "", route: str = "", routes: str = "", top: str = "",
               script: Optional[str] = None) -> str:
    """Every fragment is made by the script of its name. The texts are added to the source, to the
    route of all fragments, before that route, and at the top level."""
    return CONFIG.format(socket=php.socket, script=script or f"{php.app}/{{name}}.php",
                         options=options, route=route, routes=routes, top=top)
