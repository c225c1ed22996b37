"""The demo's page of any slow thing, with all that `make demo` starts for it."""

from __future__ import annotations

import pytest

from harness.demo import Demo
from test_accessibility import check
from test_page import BAR, badge, summary

SAYS = {"departures": "Made by departures.html", "moon": "in php-fpm, process",
        "books": "Made by PostgreSQL", "report": "worker process"}


@pytest.mark.seconds(300)
def test_each_says_what_made_it(tmp, run, browser):
    place = tmp / "demo"
    place.mkdir(mode=0o711)
    demo = run(Demo(place, PORT="0"))
    url = "http://%s:%d/sources.html" % demo.address()
    browser.open(url)
    for name, says in SAYS.items():
        browser.wait_state(name, "loaded")
        assert says in browser.text(name)
        assert "made just now" in badge(browser, name)
    assert browser.script(BAR) == ["made"] * len(SAYS)
    assert summary(browser).startswith("All loaded after ")
    browser.shoot_all("sources")

    browser.open(url)
    for name in SAYS:
        browser.wait_state(name, "loaded")
        assert "hit" in badge(browser, name)
    assert "from the cache" in summary(browser)
    browser.shoot_all("sources-hits")
    assert browser.complaints() == []
    check(browser)
