"""The completion for bash knows every command and option, and works in a real shell."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import List

import pytest

from harness.cli import commands, options_of
from harness.servers import TOP
from harness.terminal import Terminal
from harness.wait import DEADLINE, SLOWNESS

SCRIPT = TOP / "conf/workerless.bash-completion"
PROMPT = "ready> "


def bash() -> str:
    found = shutil.which("bash")
    assert found, "bash is not installed"
    return found


def complete(*words: str, cwd=None) -> List[str]:
    """What the function offers for the last of the words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _workerless; ' \
             '((${#COMPREPLY[@]})) && printf "%s\\n" "${COMPREPLY[@]}"; true'
    done = subprocess.run([bash(), "-c", script, "bash", str(SCRIPT), "workerless", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd,
                          timeout=DEADLINE * SLOWNESS, check=True)
    assert done.stderr == ""
    return sorted(done.stdout.splitlines())


def test_commands():
    assert complete("") == sorted(commands())
    assert complete("st") == ["status"] and complete("-c", "x", "st") == ["status"]
    assert complete("nothing") == []


@pytest.mark.parametrize("command", [*commands(), ""])
def test_options(command):
    words = [command] if command else []
    assert complete(*words, "-") == sorted("--" + name for name in options_of(command))


@pytest.mark.parametrize("words, offered", [
    (["--config", "ONE"], ["one.conf", "one more.conf"]),
    (["-c", "ONE"], ["one.conf", "one more.conf"]),
    (["--config", "=", "ONE"], ["one.conf", "one more.conf"]),
    (["-c", "one.conf", "sta"], ["status"]),
    (["--config", "=", "one.conf", "sta"], ["status"]),
    (["status", "-c", "ONE"], ["one.conf", "one more.conf"]),
    (["status", "--socket", ""], ["tcp:", "unix:"]),
    (["status", "--timeout", ""], []),
    (["get", "/f"], ["/fragment/", "/fragments?name="]),
    (["purge", ""], []),
    (["render", "ONE"], ["one.conf", "one more.conf"]),
    (["render", "--partials", "ONE"], []),
])
def test_values(tmp, words, offered):
    for name in ("one.conf", "one more.conf", "two.conf"):
        (tmp / name).touch()
    words = [word.replace("ONE", "on") for word in words]
    assert complete(*words, cwd=tmp) == sorted(offered)


def test_in_a_shell(tmp):
    """A user presses the tab key."""
    (tmp / "one more.conf").touch()
    rc = tmp / "rc"
    rc.write_text(f"PS1='{PROMPT}'\ncd '{tmp}'\nsource '{SCRIPT}'\n")
    with Terminal([bash(), "--noprofile", "--rcfile", str(rc), "-i"]) as shell:
        shell.wait_text(PROMPT.strip())
        shell.press("workerless sta\t--fu\t-c one\t")
        shell.wait_text("workerless status --full -c one\\ more.conf")
        shell.press("\x15workerless ex\t--js\t")
        shell.wait_text("workerless explain --json")
        assert not re.search("command not found|syntax", shell.text())
