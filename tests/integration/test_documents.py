"""The files, functions and targets of make that README and its companions name exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, List

import pytest

from harness.servers import TOP

DOCUMENTS = ["README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md", ".github/STYLE.md",
             "tests/README.md", "tests/integration/CHECKLIST.md"]
BASES = [TOP, TOP / "fcgi", TOP / "tests"]
PLACEHOLDER = re.compile(r"[A-Z]{2,}")  # fuzz/fuzz_NAME.c
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*/[\w.-]*\.(?:am|c|cfg|conf|h|html|in|js|md|py|sh)")
FUNCTION = re.compile(r"`((?:\w+/)*\w+\.[ch]):(\w+)\(\)`")
OF_AUTOMAKE = {"distcheck", "install", "uninstall"}


@pytest.fixture(params=DOCUMENTS)
def document(request) -> Path:
    return TOP / request.param


def text_of(document: Path) -> str:
    return document.read_text("utf-8")


def spans(document: Path) -> List[str]:
    """What stands between backquotes."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text_of(document))


def links(document: Path) -> List[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text_of(document))


def exists(name: str, near: Path) -> bool:
    pattern = PLACEHOLDER.sub("*", name) if not (near / name).exists() else name
    return any(any(base.glob(pattern)) for base in [near, *BASES])


def anchors(document: Path) -> Iterator[str]:
    """Of its headings, as they are written in links."""
    for heading in re.findall(r"^#+ (.*)$", text_of(document), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links_lead_somewhere(document):
    for link in links(document):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_files_are_there(document):
    named = [span for span in spans(document) if FILE.fullmatch(span) and not span.startswith("/")]
    assert [name for name in named if not exists(name, document.parent)] == []


def defines(path: str, function: str) -> bool:
    source = TOP / "fcgi" / path
    return source.is_file() and \
        bool(re.search(rf"^\w.*\b{function}\(", source.read_text("utf-8"), re.MULTILINE))


def test_functions_are_in_their_files(document):
    named = FUNCTION.findall(text_of(document))
    assert [name for name in named if not defines(*name)] == []


def test_targets_are_there(document):
    rules = "\n".join(path.read_text("utf-8") for path in
                      [TOP / "Makefile.am", *TOP.glob("*/Makefile.inc.am"),
                       *TOP.glob("tests/*/Makefile.inc.am")])
    for target in set(re.findall(r"`(?:sudo )?make ([a-z][a-z-]*)", text_of(document))):
        assert target in OF_AUTOMAKE or target == "check" or \
            re.search(rf"^\.PHONY:.*\b{target}\b", rules, re.MULTILINE), target


def test_the_checklist_has_every_number():
    numbers = re.findall(r"^\| (\d+) \|", text_of(TOP / "tests/integration/CHECKLIST.md"),
                         re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 58))


def test_every_part_of_the_harness_is_explained():
    shown = text_of(TOP / "tests/README.md")
    for place, suffix in (("harness", "py"), ("unit", "h")):
        for path in (TOP / "tests" / place).glob(f"*.{suffix}"):
            if path.name != "__init__.py":
                assert f"({place}/{path.name})" in shown, path.name


def test_every_limit_is_in_the_table():
    """Of SECURITY.md: the options of the config that begin with max_, and those that end so."""
    config = (TOP / "conf/workerless.conf").read_text("utf-8")
    options = set(re.findall(r"^ *#?(max_\w+|\w+_timeout) = ", config, re.MULTILINE))
    assert len(options) > 10
    shown = text_of(TOP / ".github/SECURITY.md")
    assert [name for name in sorted(options) if f"| `{name}` |" not in shown] == []
