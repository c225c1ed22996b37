"""Random failures of a Redis, one after the other."""

from __future__ import annotations

import random
import time
from typing import Callable, Dict, List

from .sentinel import Group
from .servers import Port, Redis

LOOK_S = 0.05  # how often to see whether it may go on
FAILOVER_MS = 1500


class Trouble:
    """Call step() again and again: it does the next thing when it is time, and never waits long.

    write: writes values into the Redis, bypassing the daemons.
    redis: the one that they should use.
    count: how often each thing has been done."""

    kinds = ["kill", "restart", "stop", "flush", "drop", "scripts", "full", "late", "readonly",
             "write"]

    def __init__(self, redis: Redis, chance: random.Random,
                 write: Callable[[Redis], None]) -> None:
        self.redis, self.chance, self.write = redis, chance, write
        self.count: Dict[str, int] = {}
        self._until = 0.0
        self._mend: List[Callable[[], object]] = []  # what ends the present trouble, or nothing
        self._nobody = Port()  # where nobody listens

    def step(self) -> None:
        """Does the next thing if it is time."""
        now = time.monotonic()
        if now < self._until:
            return
        if not (self.may_mend() if self._mend else self.settled()):
            self._until = now + LOOK_S
            return
        self._until = now + self.chance.uniform(0.1, 0.9)
        if self._mend:
            self.mend()
            return
        what = self.choose()
        self.count[what] = self.count.get(what, 0) + 1
        self.begin(what)

    def choose(self) -> str:
        return self.chance.choice(self.kinds)

    def may_mend(self) -> bool:
        """Whether the present trouble may end."""
        return True

    def settled(self) -> bool:
        """Whether everything is healthy again. Must not be called before mend()."""
        return True

    def mend(self) -> None:
        """Ends the present trouble, if any."""
        while self._mend:
            self._mend.pop()()

    def begin(self, what: str) -> None:
        """Begins it; `_mend` is what ends it."""
        redis = self.redis
        if what == "kill":
            redis.kill()
            self._mend = [redis.start]
        elif what == "restart":
            redis.restart()
        elif what == "stop":
            redis.pause()
            self._mend = [redis.resume]
        elif what == "flush":
            redis.command("FLUSHALL")
        elif what == "drop":
            redis.command("CLIENT", "KILL", "TYPE", self.chance.choice(["normal", "pubsub"]),
                          "SKIPME", "yes")
        elif what == "scripts":
            redis.command("SCRIPT", "FLUSH")
        elif what == "full":
            redis.command("CONFIG", "SET", "maxmemory", "1")
            self._mend = [lambda: redis.command("CONFIG", "SET", "maxmemory", "0")]
        elif what == "late":  # within redis_timeout, or not
            redis.command("CLIENT", "PAUSE", self.chance.randrange(20, 200))
        elif what == "readonly":
            redis.command("REPLICAOF", "127.0.0.1", self._nobody.number)
            self._mend = [lambda: redis.command("REPLICAOF", "NO", "ONE")]
        else:
            self.write(redis)


class GroupTrouble(Trouble):
    """The same for a primary that Sentinels watch. It is failed over by command, and by them if it
    was away for too long; every second time it stays away until they do that.

    failovers: how often the primary has moved."""

    kinds = [kind for kind in Trouble.kinds if kind != "readonly"] + ["failover", "failover"]

    def __init__(self, group: Group, chance: random.Random,
                 write: Callable[[Redis], None]) -> None:
        super().__init__(group.primary(), chance, write)
        self.group = group
        self.failovers = 0
        self._patient = False
        for sentinel in group.sentinels:
            sentinel.allow_failover_every(FAILOVER_MS)

    def choose(self) -> str:
        """A failover first, so that there is one even if there is little time."""
        return super().choose() if self.count else "failover"

    def may_mend(self) -> bool:
        return not self._patient or any(sentinel.place() != self.redis.port
                                        for sentinel in self.group.sentinels)

    def settled(self) -> bool:
        if not self.group.is_settled():
            return False
        primary = self.group.primary()
        if primary is not self.redis:
            self.failovers += 1
            self.redis = primary
        return True

    def begin(self, what: str) -> None:
        self._patient = what in ("kill", "stop") and self.chance.random() < 0.5
        self.redis.of = None  # it starts as a primary; Sentinel may change that
        if what == "failover":
            self.group.fail_over()
        else:
            super().begin(what)
