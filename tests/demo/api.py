"""The slow HTTP API of the demo, which prints its calls. Its parts of the evening paper depend on
what conf/shop.conf says; JSON is for the templates. A part can be broken, and mended again."""

from __future__ import annotations

import json
import os
import random
import time
from datetime import datetime, timedelta
from html import escape
from typing import Set

from harness import shop
from harness.slowapi import Answer, Call

SLOWEST = 3.0  # seconds
TRAINS = [(4, "Lisboa", 0), (11, "Wien", 7), (23, "Napoli", 0), (31, "Praha", 0)]  # minutes
HOURS = [(1, 8, 10), (3, 6, 35), (5, 5, 80), (7, 5, 60)]  # from now, degrees, chance of rain
GREETINGS = {"en": "Good evening!", "de": "Guten Abend!", "fr": "Bonsoir !"}
BASKETS = {"ann": ("Assam, 100 g", "A teapot, blue", "Umbrella, large"),
           "bob": ("Espresso, 250 g", "Two cups", "Crosswords, hard")}


def _json(**members) -> Answer:
    return Answer(type="application/json", body=json.dumps(
        {**members, "process": os.getpid()}).encode())


def departures() -> Answer:
    now = datetime.now()
    trains = [{"time": f"{now + timedelta(minutes=minutes):%H:%M}", "to": to, "late": late}
              for minutes, to, late in TRAINS]
    return _json(station="Central Station", trains=trains)


def weather() -> Answer:
    now = datetime.now()
    return _json(sky="Rain later", degrees=8, hours=[
        {"at": f"{now + timedelta(hours=hours):%H}:00", "degrees": degrees, "rain": rain}
        for hours, degrees, rain in HOURS])


def greeting(call: Call) -> Answer:
    language = call.headers.get("accept-language", "en")
    return Answer(type="text/html; charset=utf-8", headers={"Vary": "Accept-Language"},
                  body=f'<p lang="{language}">{GREETINGS[language]}</p>'.encode())


def cart(call: Call) -> Answer:
    user = shop.cookies(call).get("session", "nobody")
    things = BASKETS.get(user, ("nothing yet",))
    return Answer(type="text/html; charset=utf-8",
                  headers={"Cache-Control": "private, max-age=60", "Vary": "Cookie"},
                  body=(f"<p>The cart of <strong>{escape(user.title())}</strong></p>"
                        f"<ul>{''.join(f'<li>{it}</li>' for it in things)}</ul>").encode())


class DemoApi(shop.ShopApi):
    """`broken` has the paths that fail; `slow` those whose next call takes so many seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: Set[str] = set()
        self.slow = {}

    def _note(self, call: Call) -> None:
        super()._note(call)
        line = f"{time.strftime('%H:%M:%S')}  slow API called: {call.path}\n"
        print(line, end="", flush=True)  # in one piece: calls come in threads

    def make(self, call: Call) -> Answer:
        if call.path in self.broken:
            return Answer(status=500, body=b"This API has been broken by a button.", delay=0.4)
        answer = self._answer(call)
        answer.delay = self.slow.pop(call.path, random.uniform(0.2, SLOWEST))
        return answer

    def _answer(self, call: Call) -> Answer:
        if call.path == "/b":
            return Answer(type="text/html; charset=utf-8",
                          body=b"<p>result for <strong>b</strong>, made by an HTTP API</p>")
        if call.path in ("/departures", "/weather"):
            return departures() if call.path == "/departures" else weather()
        if call.path in ("/greeting", "/cart"):
            return greeting(call) if call.path == "/greeting" else cart(call)
        return super().make(call)
