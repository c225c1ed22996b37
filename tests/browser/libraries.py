"""The JavaScript libraries from npm that the tests use; package.json names them."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent


def library(path: str) -> Path:
    """A file of one, such as "axe-core/axe.min.js"."""
    found = Path(os.environ.get("NODE_MODULES") or HERE / "node_modules") / path
    assert found.is_file(), \
        f"{path} is not installed: run ./autogen.sh --install-deps, or npm install in {HERE}"
    return found
