"""The page of `make demo`, with all that it starts: the parts and what they cost, the ways that
they come, the buttons, and what it looks like."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException

from chromium import DESKTOP, PHONE, Chromium
from harness.demo import Demo
from harness.wait import wait_until
from test_accessibility import check
from test_page import BAR, summary

pytestmark = pytest.mark.seconds(300)

SAYS = {"greeting": "Good evening", "report": "worker process", "weather": "Made by weather.html",
        "departures": "Made by departures.html", "books": "Made by PostgreSQL",
        "moon": "in php-fpm, process", "cart": "The cart of Ann", "a": "result for a"}
WAYS = {"": "8 requests", "?stream": "1 stream", "whole": "1 response"}
FRAME = 0.5  # seconds

# How far things have moved, as browsers measure it: 0 is best.
MOVED = """
const done = arguments[0];
new PerformanceObserver(list => done(list.getEntries().filter(it => !it.hadRecentInput)
    .reduce((all, it) => all + it.value, 0))).observe({ type: "layout-shift", buffered: true });
setTimeout(() => done(0), 500); // nothing has moved
"""


@pytest.fixture(name="url")
def fixture_url(tmp, run, browser):
    browser.look(DESKTOP)
    url = start(tmp, run)
    browser.cdp("Network.setCookie", name="session", value="ann", url=url)
    return url


def start(tmp: Path, run) -> str:
    place = tmp / "demo"
    place.mkdir(mode=0o711)
    return "http://%s:%d/" % run(Demo(place, PORT="0")).address()


def press(browser: Chromium, name: str) -> None:
    browser.driver.find_element("css selector", f"[data-press={name}]").click()


def shown(browser: Chromium, selector: str) -> str:
    return browser.script("return document.querySelector(arguments[0]).innerText;", selector)


def footer(browser: Chromium, name: str) -> str:
    return shown(browser, f"[data-part={name}] footer")


def moved(browser: Chromium) -> float:
    return browser.driver.execute_async_script(MOVED)


def wait_all(browser: Chromium, state: str = "loaded") -> None:
    for name in SAYS:
        browser.wait_state(name, state)


def wait_told(browser: Chromium, words: str) -> None:
    wait_until(lambda: words in summary(browser), f"it to say: {words}")


@pytest.mark.parametrize("way", WAYS)
def test_ways(browser, url, way):
    """Each part says what it has cost and who has made it; the next visit has hits."""
    browser.open(url + way)
    wait_all(browser)
    for name, says in SAYS.items():
        assert says in browser.text(name)
    wait_until(lambda: browser.script(BAR) == ["made"] * len(SAYS), "all to be made")
    assert summary(browser).startswith("All loaded after ")
    wait_until(lambda: "station (HTTP)" in footer(browser, "departures"), "what it has cost")
    assert "made just now" in footer(browser, "departures")
    assert shown(browser, ".ways [aria-current]") == WAYS[way]
    assert moved(browser) < 0.01

    browser.open(url + way)
    wait_all(browser)
    wait_until(lambda: browser.script(BAR) == ["hit"] * len(SAYS), "hits")
    assert "from the cache" in summary(browser)
    wait_until(lambda: shown(browser, "#hits") not in ("–", "0"), "the numbers")
    assert moved(browser) < 0.01
    assert browser.complaints() == []
    if not way:
        browser.shoot_all("paper-hits")
        check(browser)


def test_purge(browser, url):
    browser.open(url)
    wait_all(browser)
    press(browser, "purge")
    wait_until(lambda: browser.state("report") in (None, "loading"), "the next visit")
    wait_all(browser)
    wait_until(lambda: browser.script(BAR) == ["made"] * len(SAYS), "all to be made again")
    assert browser.complaints() == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_nothing_moves(browser, url, size):
    """On a phone, too, a part has its place before it comes."""
    browser.look(size)
    browser.open(url)
    wait_until(lambda: browser.state("report") == "loading", "the page")
    tall = browser.script("return document.documentElement.scrollHeight;")
    wait_all(browser)
    assert browser.script("return document.documentElement.scrollHeight;") == tall
    assert moved(browser) < 0.01


def test_one_response_asks_for_nothing(browser, url):
    """Its parts come in the document, in any order, and each is shown at once."""
    browser.open(url + "whole")
    wait_all(browser)
    wait_until(lambda: summary(browser).startswith("All loaded after "), "all")
    assert browser.script("return performance.getEntriesByType('resource').filter(it =>"
                          " /\\/fragments?\\b/.test(it.name)).length;") == 0
    assert browser.script("return new Set([...document.querySelectorAll('.told')].map(it =>"
                          " it.textContent)).size;") > 1


def test_one_response_without_scripts(browser, url):
    """All parts are there, and nothing that needs a script."""
    browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(url + "whole")
        for name, says in SAYS.items():
            wait_until(lambda name=name: browser.text(name), name)
            assert says in browser.text(name).replace("Nobody", "Ann")
        assert "Scripts are off." in shown(browser, "noscript")
        assert not browser.driver.find_element("css selector", ".press").is_displayed()
        browser.shoot("paper-noscript")
    finally:
        browser.cdp("Emulation.setScriptExecutionDisabled", value=False)


def test_your_corner(browser, url):
    """A private part is another one for each cookie."""
    browser.open(url)
    wait_all(browser)
    browser.driver.find_element("css selector", "[data-user=bob]").click()
    wait_until(lambda: "The cart of Bob" in browser.text("cart"), "Bob's cart")


@pytest.mark.parametrize("way", WAYS)
def test_break_and_mend(browser, url, way):
    """What is broken shows its fallback in the same place, and the others are not affected."""
    browser.open(url + way)
    wait_all(browser)
    tall = browser.script("return document.documentElement.scrollHeight;")
    press(browser, "break")
    wait_told(browser, "Failed: departures. The others were not affected.")
    assert browser.text("departures").startswith("The station does not answer.")
    assert "failed" in footer(browser, "departures")
    assert browser.script("return document.documentElement.scrollHeight;") == tall
    assert moved(browser) < 0.01
    browser.complaints()
    if not way:
        browser.shoot_all("paper-failed")
        check(browser)
        browser.look(DESKTOP)

    wait_until(lambda: shown(browser, "[data-press=break]") == "Mend the railway", "its button")
    press(browser, "break")
    wait_told(browser, "All loaded")
    assert "Lisboa" in browser.text("departures")
    assert shown(browser, "[data-press=break]") == "Break the railway"


@pytest.mark.parametrize("way", WAYS)
def test_kill(browser, url, way):
    """The page keeps what it shows, asks again, and has it all when workerless is back."""
    browser.open(url + way)
    wait_all(browser)
    press(browser, "kill")
    wait_until(lambda: shown(browser, "#up") == "away", "it to notice")
    assert all(says in browser.text(name) for name, says in SAYS.items())
    wait_told(browser, "from the cache")
    wait_all(browser)
    if not way:
        assert browser.script("return document.querySelectorAll('.timeline .again').length;") > 0
    assert browser.script("return violations;") == []


def test_visitors(browser, url):
    """A thousand are parked, one call runs, and all are served at once."""
    browser.open(url)
    wait_all(browser)
    press(browser, "visitors")
    wait_until(lambda: shown(browser, "#crowd").startswith("1,000 parked"), "all to be parked")
    wait_until(lambda: shown(browser, "#parked") == "1,000", "the status to say so")
    browser.shoot("paper-visitors-parked")
    wait_until(lambda: "1,000 of 1,000 served by 1 slow call" in shown(browser, "#crowd"),
               "all to be served")
    assert "failed" not in shown(browser, "#crowd")
    assert 100 < int(shown(browser, "#bytes").replace(",", "")) < 4096
    wait_until(lambda: shown(browser, "#joined") == "999", "the status to count them")
    browser.shoot_all("paper-visitors")
    check(browser)
    assert browser.complaints() == []


class Film:
    """Takes a picture every half a second, whatever the page does meanwhile."""

    def __init__(self, browser: Chromium) -> None:
        self.browser = browser
        self.count = 0

    def open(self, url: str) -> None:
        self._leave(lambda: self.browser.open(url))

    def press(self, name: str) -> None:
        """Whenever the page has that button."""
        click = "document.querySelector(`[data-press=${arguments[0]}]`).click();"
        if name in ("purge", "break"):
            self._leave(lambda: self.browser.script(click, name))
        else:
            self.browser.script(click, name)

    def _leave(self, go) -> None:
        """Waits until another page is shown: Chromium never answers if it is asked for a picture
        while it goes from one to the other."""
        began = "return performance.getEntriesByType('paint').length && performance.timeOrigin;"

        def arrived() -> bool:
            try:
                return self.browser.script(began) not in (0, before)
            except WebDriverException:  # just between the two
                return False

        before = self.browser.script(began)
        go()
        wait_until(arrived, "the next page")

    def take(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self.browser.shoot(f"frame-{self.count:03}")
            self.count += 1
            time.sleep(max(0, FRAME - (time.monotonic() - began)))


def test_frames(tmp, run):
    """A series of pictures of everything that happens, in the directory $WORKERLESS_FRAMES; without
    it, a short one."""
    place = os.environ.get("WORKERLESS_FRAMES", "")
    seconds = 3.5 if place else 1.0
    url = start(tmp, run)
    with Chromium(tmp, waits=False) as browser:
        browser.renew(Path(place or tmp))
        browser.artifacts = Path(place or tmp)
        browser.look(DESKTOP)
        film = Film(browser)
        for way in WAYS:
            film.open(url + way)
            film.take(seconds)
            film.press("purge")
            film.take(seconds)
        film.press("visitors")
        film.take(2 * seconds)
        for name in ("break", "break", "kill"):
            film.press(name)
            film.take(seconds)
        browser.look(PHONE, dark=True)
        film.take(seconds / 3)
    assert film.count > 12
