"""The service manager that a daemon notifies, as sd_notify(3) describes it."""

from __future__ import annotations

import socket
from typing import List

from .wait import wait_until


class Manager:
    """The socket that systemd gives to a service of Type=notify."""

    def __init__(self, name: str) -> None:
        self.messages: List[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self._socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": name}

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, *_error) -> None:
        self._socket.close()

    def read(self) -> List[str]:
        """All messages so far."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.messages

    def wait(self, message: str) -> None:
        wait_until(lambda: message in self.read(), f"{message!r} in {self.messages}")
