"""A terminal with a program in it: what the program writes becomes a screen that tests can read.

    with Terminal(["workerless", "status", "--watch"], columns=80, rows=24) as terminal:
        terminal.wait_text("parked")
        terminal.press("q")
        assert terminal.wait() == 0
"""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import struct
import subprocess
import termios
from typing import Callable, Dict, List, Optional, Sequence

from .wait import DEADLINE, SLOWNESS, wait_until

SEQUENCE = re.compile(r"\x1b\[(\??)([\d;]*)([A-Za-z])")


class Screen:
    """Understands what ECMA-48 and xterm call CUP, CUF, CUB, EL, ED, DCH, ICH, SGR, and the private
    modes for the cursor and the alternate screen. Fails at anything else."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.alternate = False
        self.cursor_shown = True
        self.coloured = False  # a colour was set at any time
        self._kept: List[List[str]] = []
        self._clear()

    def _clear(self) -> None:
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    def lines(self) -> List[str]:
        return ["".join(row).rstrip() for row in self.cells]

    def feed(self, text: str) -> str:
        """Returns what is not complete yet."""
        at = 0
        while at < len(text):
            if text[at] == "\x1b":
                found = SEQUENCE.match(text, at)
                if not found:
                    assert len(text) - at < 12, f"not a known sequence: {text[at:at + 12]!r}"
                    return text[at:]
                self._obey(*found.groups())
                at = found.end()
            else:
                self._put(text[at])
                at += 1
        return ""

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row += 1
            if self.row == self.rows:  # scrolls
                self.cells = [*self.cells[1:], [" "] * self.columns]
                self.row -= 1
        elif char == "\b":
            self.column = max(0, self.column - 1)
        elif char == "\a":
            pass
        else:
            assert char >= " ", f"a control character: {char!r}"
            if self.column == self.columns:
                self._put("\r")
                self._put("\n")
            self.cells[self.row][self.column] = char
            self.column += 1

    def _obey(self, private: str, numbers: str, what: str) -> None:
        if private:
            self._set_mode(int(numbers), what == "h")
        elif what == "H" and not numbers:
            self.row = self.column = 0
        elif what == "K":
            begin = {"": self.column, "0": self.column, "2": 0}[numbers]
            self.cells[self.row][begin:] = [" "] * (self.columns - begin)
        elif what == "J" and numbers in ("", "0"):
            column = min(self.column, self.columns - 1)
            self.cells[self.row][column + (self.column == self.columns):] = \
                [" "] * (self.columns - column - (self.column == self.columns))
            for row in range(self.row + 1, self.rows):
                self.cells[row] = [" "] * self.columns
        elif what == "m":
            self.coloured = True
        elif what in "CD":  # as readline moves its cursor
            steps = int(numbers or 1) * (1 if what == "C" else -1)
            self.column = min(max(0, self.column + steps), self.columns - 1)
        elif what in "P@":
            row, count = self.cells[self.row], int(numbers or 1)
            rest = row[self.column + count:] if what == "P" else [" "] * count + row[self.column:]
            row[self.column:] = (rest + [" "] * self.columns)[:self.columns - self.column]
        else:
            raise AssertionError(f"an unknown sequence: {private}{numbers}{what}")

    def _set_mode(self, mode: int, on: bool) -> None:
        if mode == 25:
            self.cursor_shown = on
        elif mode == 1049 and on != self.alternate:
            self.alternate = on
            if on:
                self._kept = self.cells
                self._clear()
            else:
                self.cells = self._kept
        else:
            assert mode == 2004, f"an unknown mode: {mode}"  # bracketed paste, of bash


class Terminal:
    """The program runs in a session of its own, whose terminal this is."""

    def __init__(self, command: Sequence[str], *, columns: int = 80, rows: int = 24,
                 environment: Optional[Dict[str, str]] = None) -> None:
        self.command = list(command)
        self.screen = Screen(columns, rows)
        self.environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8",
                            **(environment or {})}
        self.process: Optional[subprocess.Popen] = None
        self._master = self._slave = -1
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._rest = ""

    def __enter__(self) -> "Terminal":
        self._master, self._slave = os.openpty()
        self.resize(self.screen.columns, self.screen.rows)
        os.set_blocking(self._master, False)

        def in_child() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            self.command, stdin=self._slave, stdout=self._slave, stderr=self._slave,
            env=self.environment, start_new_session=True, preexec_fn=in_child)
        return self

    def __exit__(self, *_error) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    def pump(self) -> None:
        """Takes over what the program has written."""
        while True:
            try:
                data = os.read(self._master, 65536)
            except BlockingIOError:
                return
            self._rest = self.screen.feed(self._rest + self._decode(data))

    def lines(self) -> List[str]:
        self.pump()
        return self.screen.lines()

    def text(self) -> str:
        return "\n".join(self.lines())

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        try:
            wait_until(lambda: self.pump() or condition(), what)
        except AssertionError as error:
            raise AssertionError(f"{error}; the screen:\n{self.text()}") from None

    def wait_text(self, text: str) -> None:
        self.wait_until(lambda: text in self.text(), repr(text))

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """The program gets SIGWINCH, and draws on an empty screen."""
        if (columns, rows) != (self.screen.columns, self.screen.rows):
            self.pump()
            self.screen.columns, self.screen.rows = columns, rows
            self.screen._clear()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def echoes(self) -> bool:
        """Whether what is typed is shown, as a shell expects it."""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def wait(self) -> int:
        """Waits for the end of the program; returns its exit status, negative for a signal."""
        end = self.process.wait(DEADLINE * SLOWNESS)
        self.pump()
        return end
