"""A Redis Cluster of three primaries and, if wanted, a replica. Its slots can be moved."""

from __future__ import annotations

import binascii
import itertools
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple, Union

from .fleet import Fleet, trackers
from .process import Port
from .servers import Redis, RedisError
from .wait import wait_until

SLOTS = 16384
NODE_TIMEOUT_MS = 1000  # about how long a node is silent before it is considered down
MOVE_TIMEOUT_MS = 5000  # for keys that are moved
INTRODUCTION_SECONDS = 3 * NODE_TIMEOUT_MS / 1000

_numbers = itertools.count()


def slot_of(key: Union[str, bytes]) -> int:
    """By the specification: CRC-16 of the key, or of its hash tag."""
    data = key.encode() if isinstance(key, str) else key
    _, opened, rest = data.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return binascii.crc_hqx(tag if opened and closed and tag else data, 0) % SLOTS


class Node(Redis):
    """A Redis in cluster mode, at first alone and without slots."""

    name = "node"

    def __init__(self, tmp: Union[str, Path], **login: str) -> None:
        super().__init__(tmp, tcp=True, **login)
        self._bus = Port()
        self._id = ""

    @property
    def port(self) -> int:
        return self.address[1]

    @property
    def bus_port(self) -> int:
        return self._bus.number

    @property
    def id(self) -> str:
        """By which the cluster knows it; it survives a restart."""
        self._id = self._id or self.command("CLUSTER", "MYID").decode()
        return self._id

    def command_line(self) -> List[str]:
        line = [*super().command_line(), "--cluster-enabled", "yes",
                "--cluster-config-file", "nodes.conf", "--cluster-port", str(self.bus_port),
                "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
                "--cluster-require-full-coverage", "no",
                "--cluster-allow-replica-migration", "no",  # one without slots stays a primary
                "--repl-diskless-sync-delay", "0"]
        if self.password:
            line += ["--masterauth", self.password]
        if self.user:
            line += ["--masteruser", self.user]
        return line

    def role(self) -> str:
        """master or slave, as Redis calls them."""
        return self.command("ROLE")[0].decode()

    def in_sync(self) -> bool:
        """Whether this replica has received everything from its primary."""
        return b"master_link_status:up" in self.command("INFO", "replication")

    def info(self) -> Dict[str, str]:
        """CLUSTER INFO."""
        lines = self.command("CLUSTER", "INFO").decode().split()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def peers(self) -> List[List[str]]:
        """CLUSTER NODES, a list of words for each node, itself included."""
        return [line.split() for line in self.command("CLUSTER", "NODES").decode().splitlines()]

    def view(self) -> List[Tuple[int, int, int]]:
        """Which node serves what, as this one sees it: first slot, last slot, the primary's
        port."""
        return sorted((first, last, primary[1])
                      for first, last, primary, *_ in self.command("CLUSTER", "SLOTS"))

    def claim(self, slot: int) -> int:
        """The epoch of its claim to the slot; -1: it does not claim it."""
        words = next(words for words in self.peers() if "myself" in words[2])
        for word in words[8:]:
            first, _, last = word.partition("-")
            if not word.startswith("[") and int(first) <= slot <= int(last or first):
                return int(words[6]) if "master" in words[2] else -1
        return -1


class Migration:
    """A slot that is being moved from one primary to another, until finish() is called."""

    def __init__(self, cluster: "Cluster", slot: int, to: Node) -> None:
        self.cluster, self.slot, self.to = cluster, slot, to
        self.source = cluster.primary_of_slot(slot)
        assert self.source is not to
        to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.source.id)
        self.source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)

    def keys(self) -> List[bytes]:
        """The keys that are still on the source."""
        return self.source.command("CLUSTER", "GETKEYSINSLOT", self.slot, 1000)

    def move(self, *keys: Union[str, bytes]) -> None:
        """Moves these keys; missing ones are ignored."""
        login = ["AUTH2", self.to.user, self.to.password] if self.to.user else \
            ["AUTH", self.to.password] if self.to.password else []
        if keys:
            self.source.command("MIGRATE", "127.0.0.1", self.to.port, "", 0, MOVE_TIMEOUT_MS,
                                *login, "KEYS", *keys)

    def finish(self) -> None:
        """Moves the remaining keys, and tells all primaries which node serves the slot now."""
        while True:
            keys = self.keys()
            if not keys:
                break
            self.move(*keys)
        others = [node for node in self.cluster.primaries() if node not in (self.source, self.to)]
        for node in (self.to, self.source, *others):
            node.command("CLUSTER", "SETSLOT", self.slot, "NODE", self.to.id)
        # Otherwise the next target might take the same epoch, and they would never agree.
        epoch = int(self.to.info()["cluster_my_epoch"])
        wait_until(lambda: all(int(node.info()["cluster_current_epoch"]) >= epoch
                               for node in (self.source, *others)), "the new epoch to be known")


class Cluster:
    """Three primaries, with a third of the slots each. Use it as a context manager.

    replica: the first one has a replica. While one primary is down, the others still serve their
    slots. It has the methods that Fleet uses of a Redis."""

    def __init__(self, tmp: Union[str, Path], *, replica: bool = False, **login: str) -> None:
        self.nodes = [Node(tmp, **login) for _ in range(4 if replica else 3)]
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        self._stack.__enter__()
        try:
            for node in self.nodes:
                node.spawn()
            for node in self.nodes:
                node.wait_ready()
                self._stack.callback(node.stop)
            self._join()
        except BaseException:
            for node in self.nodes:
                node.kill()
            raise
        return self

    def __exit__(self, *error) -> Optional[bool]:
        return self._stack.__exit__(*error)

    def _join(self) -> None:
        ends = [SLOTS * third // 3 for third in range(4)]
        for number, node in enumerate(self.nodes):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < 3:
                node.command("CLUSTER", "ADDSLOTSRANGE", ends[number], ends[number + 1] - 1)
        self._introduce()
        if len(self.nodes) > 3:
            self.nodes[3].command("CLUSTER", "REPLICATE", self.nodes[0].id)
            wait_until(self.nodes[3].in_sync, "the replica to be in sync")
        self.wait_settled()

    def _introduce(self) -> None:
        """A node gives up an introduction that takes too long, so it is repeated."""
        introduced = float("-inf")

        def acquainted() -> bool:
            nonlocal introduced
            if self._acquainted():
                return True
            if time.monotonic() > introduced + INTRODUCTION_SECONDS:
                introduced = time.monotonic()
                for number, node in enumerate(self.nodes):
                    for other in self.nodes[:number]:
                        node.command("CLUSTER", "MEET", "127.0.0.1", other.port, other.bus_port)
            return False

        wait_until(acquainted, "all nodes to know each other")

    def _acquainted(self) -> bool:
        """Whether all nodes know each other, and none is considered down or new."""
        wrong = ("handshake", "fail", "noaddr")
        return all(len(peers) == len(self.nodes)
                   and not any(word in words[2] for words in peers for word in wrong)
                   for peers in (node.peers() for node in self.nodes))

    def wait_settled(self) -> None:
        """Waits until all nodes are healthy and agree."""
        def settled() -> bool:
            views = [node.view() for node in self.nodes]
            return (self._acquainted() and all(view == views[0] for view in views)
                    and sum(last - first + 1 for first, last, _ in views[0]) == SLOTS
                    and all(node.info()["cluster_state"] == "ok" for node in self.nodes))

        wait_until(settled, "the cluster to settle")

    # Addresses, and which node has what.

    def seeds(self, *ports: int) -> str:
        """A URL for workerless with nodes at these ports."""
        node = self.nodes[0]
        login = f"{node.user}:{node.password}@" if node.password else ""
        return f"cluster://{login}" + ",".join(f"127.0.0.1:{port}" for port in ports)

    @property
    def url(self) -> str:
        return self.seeds(*(node.port for node in self.nodes))

    def running(self) -> List[Node]:
        return [node for node in self.nodes if node.running]

    def primaries(self) -> List[Node]:
        """The running nodes that say they are primaries."""
        return [node for node in self.running() if node.role() == "master"]

    def primary_of_slot(self, slot: int) -> Node:
        """The node that claims the slot; of two, the one that was given it later."""
        claims = [(node.claim(slot), node) for node in self.running()]
        epoch, node = max(claims, key=lambda claim: claim[0])
        assert epoch >= 0, f"slot {slot} is nobody's"
        return node

    def primary_of(self, key: Union[str, bytes]) -> Node:
        return self.primary_of_slot(slot_of(key))

    def names_on(self, node: Node, count: int, prefix: str = "c") -> List[str]:
        """Fragments that no test has used yet, whose keys that node serves now."""
        served = [(first, last) for first, last, port in node.view() if port == node.port]
        return list(itertools.islice(_names(
            lambda slot: any(first <= slot <= last for first, last in served), prefix), count))

    # The methods that Fleet uses of a Redis.

    def command(self, *words):
        """Sends a command, whose first argument is its only key, to the node that serves it. It is
        sent again as long as it is redirected."""
        node, asking = self.primary_of(words[1]), False

        def answered():
            nonlocal node, asking
            try:
                if asking:
                    node.command("ASKING")
                return (node.command(*words),)
            except RedisError as error:
                kind, *rest = str(error).split()
                if kind not in ("MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"):
                    raise
                if kind in ("MOVED", "ASK"):
                    port = int(rest[1].rpartition(":")[2])
                    node = next(node for node in self.nodes if node.port == port)
                asking = kind == "ASK"
                return None

        return wait_until(answered, f"an answer to {words[0]} {words[1]}")[0]

    def keys(self) -> List[str]:
        """The keys of all primaries."""
        return sorted(key for node in self.primaries() for key in node.keys())

    def calls_of(self, command: str) -> int:
        """How many times the running nodes have run it, in total."""
        return sum(node.calls_of(command) for node in self.running())

    # Changes.

    def migrate_slot(self, slot: int, to: Node) -> None:
        """Moves the slot with all its keys."""
        Migration(self, slot, to).finish()

    def restart(self, node: Node) -> None:
        """Starts a node that was killed. It has lost its keys, but still knows its slots."""
        node.start()
        self.wait_settled()

    def fail_over(self) -> None:
        """The replica becomes the primary, and the primary its replica."""
        replica = next(node for node in self.running() if node.role() == "slave")

        def begun() -> bool:
            try:
                return replica.command("CLUSTER", "FAILOVER") == b"OK"
            except RedisError:  # it does not know yet that its primary is healthy
                return False

        wait_until(begun, "a failover to begin")
        wait_until(lambda: replica.role() == "master", "the replica to take over")
        self.wait_settled()


class ClusterFleet(Fleet):
    """Daemons that share a cluster. Every primary tells them of changes."""

    redis: Cluster

    def wait_armed(self) -> None:
        for node in self.redis.primaries():
            wait_until(lambda: len(trackers(node)) >= len(self.running()),
                       f"all daemons to track the node at {node.port}")
        self.hear()

    def hear(self) -> None:
        for node in self.redis.primaries():
            for mark in self.redis.names_on(node, 1, "mark"):
                self.hear_of(mark)


def _names(wanted, prefix: str) -> Iterator[str]:
    """Names of new fragments in a wanted slot. None is a prefix of another."""
    for number in _numbers:
        name = f"{prefix}{number}x"
        if wanted(slot_of(f"worker:{name}")):
            yield name


def names_in(slot: int, count: int, prefix: str = "s") -> List[str]:
    """Fragments that no test has used yet, whose keys are in that slot."""
    return list(itertools.islice(_names(lambda each: each == slot, prefix), count))
