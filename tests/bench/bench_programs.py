"""The programs of the bench as servers and calls, for run.py and for the test of the bench."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.process import Server, accepts  # noqa: E402
from harness.servers import TOP, Redis  # noqa: E402
from harness.wait import DEADLINE, SLOWNESS  # noqa: E402

Result = Dict[str, Any]

# Many values at once; the numbers are as the load generator's.
FILL_SCRIPT = """
for number = 0, ARGV[2] - 1 do
    redis.call('SET', ARGV[1] .. string.format('%08d', number), ARGV[3], 'EX', 3600)
end
"""


def fill(redis: Redis, prefix: str, count: int, body: bytes) -> None:
    """Writes the body to so many keys: PREFIX00000000 and following."""
    redis.command("EVAL", FILL_SCRIPT, 0, prefix, count, body)


def program(name: str) -> str:
    """The path of a bench program: in $BENCH_DIR, else where make puts it."""
    places = [Path(os.environ["BENCH_DIR"])] if "BENCH_DIR" in os.environ else [
        Path(os.environ.get("TOP_BUILDDIR", TOP)) / "tests/bench"]
    for place in places:
        if (place / name).is_file():
            return str((place / name).resolve())
    raise AssertionError(f"no {name} in {places[0]}: make bench builds it")


class SocketServer(Server):
    """A server on a unix socket in its own directory."""

    def __init__(self, tmp: Union[str, Path]) -> None:
        super().__init__(tmp)
        self.address = str(self.dir / "socket")

    def ready(self) -> bool:
        return accepts(self.address)


class NullResponder(SocketServer):
    """Answers everything with `answer` (head, empty line, body), or else with `body_bytes`."""

    name = "null"

    def __init__(self, tmp: Union[str, Path], answer: Optional[bytes] = None, *,
                 body_bytes: int = 20) -> None:
        super().__init__(tmp)
        self.answer_path = self.dir / "answer"
        if answer is None:
            self.answer_options = ["-b", str(body_bytes)]
        else:
            self.answer_path.write_bytes(answer)
            self.answer_options = ["-f", str(self.answer_path)]

    def command_line(self):
        return [program("null_responder"), "-s", f"unix:{self.address}", *self.answer_options]


class PeerThreads(SocketServer):
    """libfcgi threads with synchronous hiredis."""

    name = "peer"

    def __init__(self, tmp: Union[str, Path], redis: Redis, *, threads: int = 32,
                 delay_ms: int = 10) -> None:
        super().__init__(tmp)
        self.options = ["-r", str(redis.address), "-t", str(threads), "-d", str(delay_ms)]

    def command_line(self):
        return [program("peer_threads"), "-s", self.address, *self.options]


def command_line(name: str, address: str, mode: str, options: Dict[str, Any]) -> List[str]:
    words = [program(name), "-s", f"unix:{address}"]
    for letter, value in options.items():
        words += [f"-{letter}", str(value)]
    return [*words, mode]


def run(command: List[str], timeout: float = 60) -> Result:
    """Runs a program that prints its result; the exit status has to agree."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout * SLOWNESS, check=False)
    assert done.returncode in (0, 1), f"{Path(command[0]).name}: {done.stderr.decode()}"
    result = json.loads(done.stdout)
    assert (done.returncode == 1) == (failures(result) > 0), result
    return result


def load(address: str, *, busy: bool = False, timeout: float = 60, **options) -> Result:
    """Runs the load generator to its end; returns what it measured. The options are its own, by
    their letters: load(address, c=16, m=1, d=1.0); busy is -b."""
    command = command_line("load", address, "throughput", options)
    if busy:
        command.insert(1, "-b")
    return run(command, timeout)


def latency(address: str, **options) -> Result:
    """How soon answers follow the answer of the source; the options are the program's, by
    letter."""
    return run(command_line("latency", address, "source", options))


def failures(result: Result) -> int:
    return sum(result["failures"].values())


def _line(process: subprocess.Popen) -> bytes:
    """The next line that it prints; empty if none comes."""
    readable, _, _ = select.select([process.stdout], [], [], 4 * DEADLINE * SLOWNESS)
    return process.stdout.readline() if readable else b""


def _start(command: List[str]) -> subprocess.Popen:
    """A program that says when it is ready."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    line = _line(process)
    if line != b"ready\n":
        process.kill()
        process.communicate()
        raise AssertionError(f"{command} did not get ready, but said {line!r}")
    return process


class Streams:
    """A context manager: inside of it the load generator has open streams, whose heads have
    arrived. With r and K it can release their fragments."""

    def __init__(self, address: str, **options) -> None:
        self._command = command_line("load", address, "streams", options)
        self._process: Optional[subprocess.Popen] = None

    def __enter__(self) -> Streams:
        self._process = _start(self._command)
        return self

    def release(self, name: str) -> Result:
        """Writes the fragment's value; returns when each stream has had its event."""
        self._process.stdin.write(f"{name}\n".encode())
        line = _line(self._process)
        assert line, "the streams end before their events"
        return json.loads(line)

    def __exit__(self, *_error) -> None:
        try:
            self._process.communicate(timeout=DEADLINE * SLOWNESS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


class Parked:
    """A context manager: inside of it the requests of a program are parked (or should be). It is
    the load generator by default; its mode decides what it does with them at the end. `result` is
    there after it."""

    def __init__(self, address: str, *, name: str = "load", mode: str = "park",
                 **options) -> None:
        self._command = command_line(name, address, mode, options)
        self._process: Optional[subprocess.Popen] = None
        self.result: Result = {}

    def __enter__(self) -> Parked:
        self._process = _start(self._command)
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            output, _ = self._process.communicate(b"\n", DEADLINE * SLOWNESS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            output, _ = self._process.communicate()
        if kind is None:
            self.result = json.loads(output)
