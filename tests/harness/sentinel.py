"""Redis as it is run with Sentinel: a primary, a replica, and the Sentinels that watch them."""

from __future__ import annotations

import socket
import socketserver
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Union

from .servers import Redis, RedisError, need
from .wait import wait_until

PRIMARY = "mymaster"

# Sentinel's own periods are seconds, up to ten. Its DEBUG makes them short. PUBLISH-PERIOD is how
# soon Sentinels hear of each other. After four periods a primary that should be a replica is turned
# into one, so the period must be long during a failover.
PERIODS = ("INFO-PERIOD", 100, "ASK-PERIOD", 50)
PUBLISH_FAST_MS, PUBLISH_MS = 100, 2000


class Member(Redis):
    """A Redis on a port that is a replica of another one, or not yet."""

    def __init__(self, tmp: Union[str, Path], of: Optional[Redis] = None, **login: str) -> None:
        super().__init__(tmp, tcp=True, **login)
        self.of = of

    @property
    def port(self) -> int:
        return self.address[1]

    def command_line(self) -> List[str]:
        line = [*super().command_line(), "--repl-diskless-sync-delay", "0"]
        if self.password and not self.user:
            line += ["--masterauth", self.password]
        return line + (["--replicaof", "127.0.0.1", str(self.of.port)] if self.of else [])

    def command(self, *words, db: int = 0):
        """Repeats the command once: Sentinel closes all connections to a Redis that it makes a
        replica or the primary."""
        try:
            return super().command(*words, db=db)
        except (EOFError, ConnectionError):
            return super().command(*words, db=db)

    def role(self) -> str:
        """master or slave, as Redis calls them."""
        return self.command("ROLE")[0].decode()

    def in_sync(self) -> bool:
        """Whether this replica has received everything from its primary."""
        return b"master_link_status:up" in self.command("INFO", "replication")


class Sentinel(Redis):
    """A Sentinel that is told of the primary, and finds replicas and other Sentinels itself.

    A hasty one is the first to see that the primary is down, and enough to begin a failover (the
    majority must still vote for it). If there are several, they may vote for themselves at the same
    time, which takes some seconds."""

    name = "sentinel"

    def __init__(self, tmp: Union[str, Path], primary: Member, *, hasty: bool = False) -> None:
        super().__init__(tmp, tcp=True)
        self.port = self.address[1]
        self._conf = self.dir / "sentinel.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.dir}",
                 f"sentinel monitor {PRIMARY} 127.0.0.1 {primary.port} {1 if hasty else 2}",
                 f"sentinel down-after-milliseconds {PRIMARY} {500 if hasty else 3000}",
                 f"sentinel failover-timeout {PRIMARY} 3000"]
        if primary.password and not primary.user:
            lines.append(f"sentinel auth-pass {PRIMARY} {primary.password}")
        self._conf.write_text("\n".join(lines) + "\n", encoding="ascii")  # it rewrites the file

    def command_line(self) -> List[str]:
        return [need("redis-server"), str(self._conf), "--sentinel"]

    def start(self) -> "Sentinel":
        super().start()
        self.command("SENTINEL", "DEBUG", *PERIODS, "PUBLISH-PERIOD", PUBLISH_FAST_MS)
        return self

    def place(self) -> int:
        """The port of the primary, as it sees it."""
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)[1])

    def view(self) -> Dict[bytes, bytes]:
        """What it knows of the primary, by Redis' names."""
        words = self.command("SENTINEL", "MASTER", PRIMARY)
        return dict(zip(words[::2], words[1::2]))

    def is_settled(self, others: int) -> bool:
        """Whether it sees no failure, the replica, and so many other Sentinels."""
        seen = self.view()
        return (seen[b"flags"] == b"master" and seen[b"num-slaves"] == b"1"
                and seen[b"num-other-sentinels"] == b"%d" % others)

    def publish_every(self, milliseconds: int) -> None:
        """See PUBLISH_MS."""
        self.command("SENTINEL", "DEBUG", "PUBLISH-PERIOD", milliseconds)

    def allow_failover_every(self, milliseconds: int) -> None:
        """How long a failover may take; after twice that it may begin the next by itself."""
        self.command("SENTINEL", "SET", PRIMARY, "failover-timeout", milliseconds)


class Group:
    """A primary, its replica and three Sentinels. Use it as a context manager.

    hasty: they fail over quickly, even if only the machine is slow."""

    def __init__(self, tmp: Union[str, Path], *, hasty: bool = False, **login: str) -> None:
        first = Member(tmp, **login)
        self.members = [first, Member(tmp, first, **login)]
        self.sentinels = [Sentinel(tmp, first, hasty=hasty and index == 0)
                          for index in range(3)]
        self._stack = ExitStack()

    def __enter__(self) -> "Group":
        self._stack.__enter__()
        try:
            for server in self.members:
                self._stack.enter_context(server)
            self.start_sentinels()
            for server in self.sentinels:
                self._stack.callback(server.stop)
        except BaseException:
            for server in [*self.sentinels, *self.members]:
                server.kill()
            raise
        return self

    def __exit__(self, *error) -> Optional[bool]:
        return self._stack.__exit__(*error)

    def start_sentinels(self) -> None:
        """Starts those that do not run, and waits until all know of each other."""
        for sentinel in self.sentinels:
            if not sentinel.running:
                sentinel.start()
        wait_until(lambda: all(sentinel.is_settled(len(self.sentinels) - 1)
                               for sentinel in self.sentinels), "the Sentinels to settle")
        self._publish_every(PUBLISH_MS)

    def _publish_every(self, milliseconds: int) -> None:
        for sentinel in self.sentinels:
            sentinel.publish_every(milliseconds)

    def url(self, first: Sequence[int] = (), *, name: str = PRIMARY) -> str:
        """As workerless wants it, without a database number. Ports in `first` come first."""
        member = self.members[0]
        login = f"{member.user}:{member.password}@" if member.password else ""
        ports = [*first, *(sentinel.port for sentinel in self.sentinels)]
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"sentinel://{login}{hosts}/{name}"

    def primary(self) -> Member:
        """The member that says it is the primary."""
        return next(member for member in self.members
                    if member.running and member.role() == "master")

    def replica(self) -> Member:
        return next(member for member in self.members
                    if member.running and member.role() == "slave")

    def fail_over(self) -> None:
        """Begins to make the replica the primary, and the primary its replica."""
        def begun() -> bool:
            try:
                return self.sentinels[0].command("SENTINEL", "FAILOVER", PRIMARY) == b"OK"
            except RedisError:  # it has not looked at the replica yet
                return False

        wait_until(begun, "a failover to begin")

    def failed_over(self, old: Member) -> bool:
        """Whether all Sentinels name the other member as the primary. If so, the old one becomes a
        replica soon, if it runs."""
        done = all(sentinel.place() != old.port for sentinel in self.sentinels)
        if done:
            self._publish_every(PUBLISH_FAST_MS)
        return done

    def is_settled(self) -> bool:
        """Whether all Sentinels see the same healthy primary, and the other member is its replica
        and in sync. Both must run. Call it repeatedly: after a failover it makes the news spread
        fast."""
        views = [sentinel.view() for sentinel in self.sentinels]
        epochs = [int(view[b"config-epoch"]) for view in views]
        ports = {int(view[b"port"]) for view in views}
        calm = all(view[b"flags"] == b"master" for view in views)
        settled = calm and len(ports) == 1 and self._is_pair(ports.pop())
        busy = any(b"failover_in_progress" in view[b"flags"] for view in views)
        for sentinel, epoch in zip(self.sentinels, epochs):
            # One that has not heard of it would undo it.
            fast = not busy and not settled and epoch == max(epochs)
            sentinel.publish_every(PUBLISH_FAST_MS if fast else PUBLISH_MS)
        return settled

    def _is_pair(self, port: int) -> bool:
        """Whether the member of that port is the primary, and the other one its replica."""
        primary, replica = sorted(self.members, key=lambda member: member.port != port)
        role = replica.command("ROLE")
        return (primary.role() == "master" and role[0] == b"slave" and role[2] == port
                and replica.in_sync())


class FakeSentinel:
    """Gives the same reply to any command: the given bytes of RESP. With None it closes
    the connection instead."""

    def __init__(self, reply: Optional[bytes], *, port: int = 0) -> None:
        self.reply = reply
        self.asked = 0
        fake = self

        class Handler(socketserver.BaseRequestHandler):
            """Of one connection."""

            def handle(self) -> None:
                try:
                    while self.request.recv(65536):
                        fake.asked += 1
                        if fake.reply is None:
                            return
                        self.request.sendall(fake.reply)
                except ConnectionError:  # the peer has closed
                    pass

        class Listener(socketserver.ThreadingTCPServer):
            """Its threads end with their connections."""

            daemon_threads = True
            allow_reuse_address = True

        self._listener = Listener(("127.0.0.1", port), Handler)
        self.port: int = self._listener.server_address[1]

    def tell(self, member: Member) -> None:
        """From now on that one is the primary."""
        self.reply = resp("127.0.0.1", str(member.port))

    def __enter__(self) -> "FakeSentinel":
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_error) -> None:
        self._listener.shutdown()
        self._listener.server_close()


class Mute:
    """Listens but never accepts: connections are established, and nothing is ever answered."""

    def __enter__(self) -> int:
        """Returns its port."""
        self._socket = socket.create_server(("127.0.0.1", 0))
        return self._socket.getsockname()[1]

    def __exit__(self, *_error) -> None:
        self._socket.close()


def resp(*words: str) -> bytes:
    """An array of strings in RESP."""
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
