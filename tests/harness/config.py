"""Config texts for the daemon, and what the shipped one says."""

from __future__ import annotations

import re
from typing import List

from .servers import TOP
from .slowapi import SlowApi

API_CONFIG = """
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "{timeout}" }}
{extra}
fragment "*" {{ source = "api" ttl = "60s" stream = "yes" }}
"""


def api_config(api: SlowApi, *, redis: str = "", extra: str = "", timeout: str = "60s") -> str:
    """Every fragment is fetched from the API, at /NAME. `extra` goes before the last route,
    so it may hold options, sources and routes."""
    return API_CONFIG.format(redis=redis, api=api.url, extra=extra, timeout=timeout)


def shipped_permissions() -> List[str]:
    """What conf/workerless.conf lists for a user of Redis' ACL, as words of ACL SETUSER."""
    text = (TOP / "conf/workerless.conf").read_text("utf-8")
    found = re.search(r"A user of an ACL needs\n(.*?)#\s+and", text, re.DOTALL)
    words = found.group(1).replace("#", "").split()
    assert "+time" in words and "+evalsha" in words, words
    return words
