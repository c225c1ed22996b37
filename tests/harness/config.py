"""Config texts for the daemon."""

from __future__ import annotations

from .slowapi import SlowApi

API_CONFIG = """
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{api}/{{name}}" timeout = "{timeout}" }}
{extra}
fragment "*" {{ source = "api" ttl = "60s" stream = "yes" }}
"""


def api_config(api: SlowApi, *, redis: str = "", extra: str = "", timeout: str = "60s") -> str:
    """Every fragment is made by a call of the API, at /NAME. `extra` goes before the last route,
    so it may hold options, sources and routes."""
    return API_CONFIG.format(redis=redis, api=api.url, extra=extra, timeout=timeout)
