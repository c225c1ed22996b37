"""conf/workerless.conf shows every option as it is. (The other examples are tested by the tests of
their front servers.)"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness.build import Kit
from harness.servers import TOP, workerless_binary, wrapper_command

EXAMPLE = TOP / "conf/workerless.conf"


def workerless(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([*wrapper_command(), workerless_binary(), *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def uncommented() -> str:
    """The example with its default values, and its sections that are comments, in place."""
    return re.sub(r"^( *)#(\w+ = |source \"|page \"|\}$)", r"\1\2", EXAMPLE.read_text("utf-8"),
                  flags=re.MULTILINE)


def test_loads_as_it_is():
    done = workerless("-t", "-c", str(EXAMPLE))
    assert done.returncode == 0, done.stdout


def test_loads_with_all_options(tmp):
    path = Path(tmp) / "workerless.conf"
    module = Kit(Path(tmp)).module("postgres", libraries="libpq")
    path.write_text(uncommented().replace('"postgres.so"', f'"{module}"'), "utf-8")
    (Path(tmp) / "unavailable.html").write_text("<p>Not now.</p>", "utf-8")
    (Path(tmp) / "index.html").write_text('<?start name="a">Loading…<?end>', "utf-8")
    done = workerless("-t", "-c", str(path))
    assert done.returncode == 0, done.stdout


def test_shows_every_option_with_its_default():
    """-h lists the options as `name = default`, or as `name` alone where there is none."""
    options = re.findall(r"^ *([a-z_]+) = (\{.*?\}|\"[^\"]*\"|\d+)", workerless("-h").stdout,
                         re.MULTILINE)
    assert len(options) > 20, options
    written = re.findall(r"^ *#?(\w+) = (\S.*?)$", uncommented(), re.MULTILINE)
    for name, default in options:  # types of source may have different ones
        if name not in ("redis", "sandbox"):
            assert (name, default) in written
