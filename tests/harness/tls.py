"""Redis with TLS, and the certificates that it needs. openssl generates them for one test run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import List, NamedTuple, Sequence, Union

from .process import Port
from .servers import Redis, need, workerless_binary, wrapper_command

DAYS = "2"


def is_built() -> bool:
    """Whether the daemon under test can speak TLS to Redis."""
    said = subprocess.run([*wrapper_command(), workerless_binary(), "-V"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return "TLS to Redis: yes" in said


class Identity(NamedTuple):
    """Files in PEM."""

    certificate: Path
    key: Path


class Authority:
    """A CA of its own. `file` is what trusts it."""

    def __init__(self, directory: Union[str, Path], name: str = "ca") -> None:
        self.dir, self.name = Path(directory), name
        self.file, self._key = self.dir / f"{name}.pem", self.dir / f"{name}.key"
        self._openssl("req", "-x509", *self._new_key(self._key), "-out", self.file,
                      "-subj", f"/CN={name}", "-days", DAYS)

    def issue(self, name: str, *alternatives: str) -> Identity:
        """A certificate for such alternatives as "DNS:localhost" or "IP:127.0.0.1"."""
        made = Identity(self.dir / f"{self.name}-{name}.pem", self.dir / f"{self.name}-{name}.key")
        request, extensions = self.dir / "request", self.dir / "extensions"
        extensions.write_text(f"subjectAltName={','.join(alternatives)}\n" if alternatives else "",
                              encoding="ascii")
        self._openssl("req", *self._new_key(made.key), "-out", request, "-subj", f"/CN={name}")
        self._openssl("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key,
                      "-CAcreateserial", "-out", made.certificate, "-days", DAYS,
                      "-extfile", extensions)
        return made

    @staticmethod
    def _new_key(path: Path) -> List[Union[str, Path]]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-keyout", path]

    @staticmethod
    def _openssl(*words: Union[str, Path]) -> None:
        done = subprocess.run([need("openssl"), *map(str, words)], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"openssl {words[0]}: {done.stdout}"


def tls_arguments(port: int, authority: Authority, identity: Identity,
                  ask: bool = False) -> List[str]:
    """For redis-server and for a Sentinel. ask: the client has to show a certificate."""
    return ["--tls-port", str(port), "--tls-ca-cert-file", str(authority.file),
            "--tls-cert-file", str(identity.certificate), "--tls-key-file", str(identity.key),
            "--tls-auth-clients", "yes" if ask else "no"]


class TlsRedis(Redis):
    """A Redis that speaks TLS on a port; command() goes through a unix socket."""

    def __init__(self, tmp: Union[str, Path], authority: Authority, identity: Identity, *,
                 ask: bool = False, password: str = "", extra: Sequence[str] = ()) -> None:
        super().__init__(tmp, password=password)
        self._tls = Port()
        self._extra = [*tls_arguments(self._tls.number, authority, identity, ask), *extra]

    @property
    def port(self) -> int:
        """Of TLS."""
        return self._tls.number

    def url_of(self, host: str, scheme: str = "rediss") -> str:
        """As workerless wants it, with that name of this machine."""
        login = f":{self.password}@" if self.password else ""
        return f"{scheme}://{login}{host}:{self.port}"

    def command_line(self) -> List[str]:
        return [*super().command_line(), *self._extra]


class TlsSentinel(Redis):
    """A Sentinel that speaks TLS on a port, and to the primary that it is told of."""

    name = "sentinel"

    def __init__(self, tmp: Union[str, Path], primary: TlsRedis, authority: Authority,
                 identity: Identity) -> None:
        super().__init__(tmp)
        self._tls = Port()
        self._conf = self.dir / "sentinel.conf"
        self._conf.write_text(f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1\n"
                              f"dir {self.dir}\n", encoding="ascii")
        self._extra = [*tls_arguments(self._tls.number, authority, identity),
                       "--tls-replication", "yes"]

    @property
    def port(self) -> int:
        """Of TLS."""
        return self._tls.number

    def command_line(self) -> List[str]:
        return [need("redis-server"), str(self._conf), "--sentinel", "--port", "0",
                "--unixsocket", str(self.address), *self._extra]


__all__ = ["Authority", "Identity", "TlsRedis", "TlsSentinel", "is_built"]
