"""conf/debian/ agrees with the rest of the sources. tests/debian-package.sh builds the package."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Dict, Set

from harness.servers import TOP

DEBIAN = TOP / "conf/debian"
# What debhelper and build-essential bring.
OF_THE_TOOLS = {"autoconf", "automake", "gcc", "libc6-dev", "make"}


def read(name: str) -> str:
    return (DEBIAN / name).read_text("utf-8")


def control() -> Dict[str, str]:
    """The fields of the source package."""
    source = read("control").partition("\n\n")[0]
    return dict(re.findall(r"^([\w-]+):((?:.*\n?)(?:^ .*\n?)*)", source, re.MULTILINE))


def test_version():
    """There is one version, in configure.ac, and the list of changes begins with it."""
    version = re.search(r"AC_INIT\(\[workerless\], \[([\d.]+)\]\)",
                        (TOP / "configure.ac").read_text("utf-8")).group(1)
    assert re.match(r"workerless \((.*?)\) ", read("changelog")).group(1) == version


def test_list_of_changes():
    """The newest first. Each entry has changes, and says who made them, and when."""
    entries = re.findall(r"^workerless \(([\d.]+)\) \w+; urgency=\w+\n\n((?:  .*\n|\n)+)"
                         r"^ -- (.+ <.+@.+>)  (.*)$", read("changelog"), re.MULTILINE)
    assert len(entries) == read("changelog").count("\n -- ") > 0
    times = [parsedate_to_datetime(entry[3]) for entry in entries]
    assert times == sorted(times, reverse=True)
    assert all("  * " in entry[1] for entry in entries)
    assert entries[0][2] == control()["Maintainer"].strip()


def build_depends() -> Set[str]:
    return set(re.findall(r"[a-z][\w.+-]+", re.sub(r"[(<\[].*?[)>\]]", "",
                                                  control()["Build-Depends"])))


def test_what_building_needs():
    """It is what ./autogen.sh --install-deps=build installs."""
    script = (TOP / "autogen.sh").read_text("utf-8")
    needs = re.search(r"^build_packages='(.*?)'", script, re.MULTILINE | re.DOTALL).group(1).split()
    declared = build_depends()
    assert [need for need in needs
            if need not in OF_THE_TOOLS and not declared & set(need.split("|"))] == []


def test_license():
    """It is the text of LICENSE."""
    words = (TOP / "LICENSE").read_text("utf-8").partition("Permission")[2].split()
    text = read("copyright").partition("\n Permission")[2]
    assert [word for word in text.split() if word != "."] == words
