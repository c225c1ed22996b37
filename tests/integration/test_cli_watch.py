"""workerless status --watch, on terminals of two sizes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness import fcgi
from harness.cli import cli_for, command_line
from harness.fcgi import Connection, ask
from harness.terminal import Terminal
from harness.wait import wait_until

OK, FAILED = 0, 1
SIZES = [(80, 24), (120, 40)]


@pytest.fixture
def watch(run):
    """watch(server, *words, columns=..., rows=...) starts it, and waits until it is drawn."""
    def start(server, *words: str, **options) -> Terminal:
        terminal = run(Terminal(command_line("status", "--watch", "--interval", "100ms", *words,
                                             "-c", str(server.config_path)), **options))
        terminal.wait_text("requests ")
        return terminal

    return start


def check_restored(terminal: Terminal) -> None:
    """The shell's screen is back, with its cursor, and what is typed is shown."""
    assert not terminal.screen.alternate and terminal.screen.cursor_shown and terminal.echoes
    assert terminal.text().strip() == ""


@pytest.mark.parametrize("columns, rows", SIZES)
def test_what_it_shows(daemon, redis, api, watch, columns, rows):
    server = daemon(redis=redis.url, extra='fragment "other" { source = "api" }')
    server.wait_log("redis: connected")
    api.hold("held")
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/held", 1) + fcgi.request("/fragment/held", 2))
        api.wait_calls("held", 1)
        terminal = watch(server, columns=columns, rows=rows)
        assert terminal.screen.alternate and not terminal.screen.cursor_shown
        assert not terminal.echoes
        lines = terminal.lines()
        assert lines[0].startswith("workerless ") and f", process {server.pid}, up " in lines[0]
        for begin in ("parked     2 of 100000, 0 streams, 2 connections",
                      "flights    1 of 100000, 1 generating, 0 waiting for others",
                      "memory     ....................", "redis      up, half of the commands"):
            assert any(line.startswith(begin) for line in lines), begin
        row = next(line for line in lines if line.startswith("api "))
        assert "closed" in row and row.split()[2:4] == ["1", "0"]
        assert next(line for line in lines if line.startswith("held ")).split()[-3] == "2"
        assert any(line.startswith("other ") for line in lines)
        assert ("source" in next(line for line in lines if line.startswith("in progress"))) == \
            (columns >= 100)

        if os.environ.get("ARTIFACTS"):
            place = Path(os.environ["ARTIFACTS"])
            place.mkdir(parents=True, exist_ok=True)
            (place / f"watch-{columns}x{rows}.txt").write_text(terminal.text() + "\n", "utf-8")

        # Bars grow, and rates are known from the second reading on.
        def bar() -> int:
            return next((line for line in terminal.lines() if line.startswith("held ")),
                        "").count("#")

        before = bar()
        terminal.wait_until(lambda: bar() > before, "the bar to grow")
        assert ask(server.address, "/fragment/x").status == 200
        terminal.wait_until(lambda: "hits -" not in terminal.text(), "rates")
        for _ in range(3):
            ask(server.address, "/fragment/x")
        api.release("held")
        for number in (1, 2):
            assert connection.response(number).status == 200
        terminal.wait_until(lambda: "parked     0 of" in terminal.text() and bar() == 0,
                            "nothing to be parked")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == OK
    check_restored(terminal)


def test_keys_and_sizes(daemon, watch):
    server = daemon()
    terminal = watch(server)
    assert terminal.screen.coloured
    terminal.resize(40, 10)
    terminal.wait_text("requests ")
    terminal.press("x\n")
    terminal.resize(120, 40)
    terminal.wait_text("misses/s   202/s failed/s")
    terminal.press("\x1a")  # Ctrl-Z: the terminal stops it, so it gives the screen back
    terminal.wait_until(lambda: not terminal.screen.alternate, "the shell's screen")
    assert terminal.echoes
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_until(lambda: terminal.screen.alternate, "the view again")
    terminal.wait_text("requests ")
    terminal.press("q")
    assert terminal.wait() == OK
    check_restored(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_signals(daemon, watch, number):
    terminal = watch(daemon())
    terminal.process.send_signal(number)
    assert terminal.wait() == -number
    check_restored(terminal)


def test_no_colour(daemon, watch):
    terminal = watch(daemon(), environment={"NO_COLOR": "1"})
    terminal.press("q")
    assert terminal.wait() == OK and not terminal.screen.coloured


def test_while_the_daemon_is_away(daemon, watch):
    """It says why, keeps what it knows, and goes on when the daemon is back."""
    server = daemon()
    terminal = watch(server)
    server.stop()
    terminal.wait_text("cannot connect to unix:")
    assert "requests " in terminal.text() and "parked     0 of" in terminal.text()
    server.start()
    terminal.wait_text(f", process {server.pid}, up ")
    terminal.press("q")
    assert terminal.wait() == OK


def test_while_the_daemon_hangs(daemon, watch):
    """Ctrl-C works at any time."""
    server = daemon()
    terminal = watch(server, "--timeout", "1h")
    server.signal(signal.SIGSTOP)
    try:
        shown = terminal.text()
        wait_until(lambda: terminal.text() == shown, "no more readings")
        terminal.press("\x03")
        assert terminal.wait() == OK
        check_restored(terminal)
    finally:
        server.signal(signal.SIGCONT)
    assert ask(server.address, "/workerless/health").status == 200


def test_without_a_terminal(daemon):
    done = cli_for(daemon(), "status", "--watch")
    assert done.returncode == FAILED and done.stdout == "" and "needs a terminal" in done.stderr


def test_a_closed_status(tmp, run):
    config = tmp / "conf"
    config.write_text('source "s" { type = "simulated" delay = "0" }\n'
                      'fragment "*" { source = "s" }\n')
    terminal = run(Terminal(command_line("status", "--watch", "-c", str(config)), columns=200))
    terminal.wait_text('the option "status" is not set')
    assert terminal.wait() == FAILED and not terminal.screen.alternate
