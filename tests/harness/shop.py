"""The API behind conf/shop.conf: what a shop answers depends on the request, and says on what."""

from __future__ import annotations

from html import escape
from typing import Dict, Optional
from urllib.parse import parse_qs

from . import fronts
from .slowapi import Answer, Call, SlowApi

TOKEN = "warehouse-secret"
GREETINGS = {"en": "Welcome", "de": "Willkommen", "fr": "Bienvenue"}
PRICES = {"EUR": "4.20 €", "USD": "$4.50", "GBP": "£3.60"}


def _html(text: str, **headers: str) -> Answer:
    return Answer(body=text.encode(), type="text/html; charset=utf-8",
                  headers={name.replace("_", "-"): value for name, value in headers.items()})


def cookies(call: Call) -> Dict[str, str]:
    pairs = (pair.partition("=") for pair in call.headers.get("cookie", "").split("; "))
    return {name: value for name, _, value in pairs if name}


def answer(call: Call) -> Optional[Answer]:
    """What the shop answers; None: it does not know the path."""
    path, _, query = call.path.partition("?")
    if path == "/search":
        wanted = parse_qs(query, keep_blank_values=True).get("q", [""])[0]
        return _html(f"<p>3 results for <b>{escape(wanted)}</b></p>")
    if path == "/greeting":
        language = call.headers.get("accept-language", "en")
        return _html(f'<p lang="{language}">{GREETINGS[language]}!</p>', Vary="Accept-Language",
                     Content_Language=language)
    if path == "/cart":
        user = cookies(call).get("session", "nobody")
        return _html(f"<p>The cart of {escape(user)}</p>", Cache_Control="private, max-age=60",
                     Vary="Cookie")
    if path.startswith("/price/"):
        currency = call.headers.get("x-currency", "EUR")
        return _html(f"<p>{PRICES[currency]}</p>", Vary="X-Currency")
    if path == "/stock":
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(status=401, body=b"who are you?")
        return Answer(body=b'{"tea": 12}', type="application/json")
    return None


class ShopApi(SlowApi):
    """A SlowApi that knows the shop's paths."""

    def make(self, call: Call) -> Answer:
        return answer(call) or super().make(call)


def config(api: SlowApi) -> str:
    """conf/shop.conf for this API."""
    return fronts.example("shop.conf", {"http://127.0.0.1:9000": api.url,
                                        "${WAREHOUSE_TOKEN}": TOKEN})
