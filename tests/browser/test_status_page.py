"""The status page, with a real daemon behind nginx, and with what the test says in its place."""

from __future__ import annotations

import json
from typing import List
from urllib.parse import quote

from chromium import Chromium
from harness import fcgi, fronts
from harness.fcgi import Connection, ask
from harness.httpc import get
from harness.wait import stays, wait_until
from test_accessibility import check

PATH = "/workerless/status?json&full=16"
SCRIPT = "<script>violations.push('ran')</script>"


def shown(browser: Chromium, selector: str) -> List[str]:
    """What is visible of the elements."""
    return browser.script("return [...document.querySelectorAll(arguments[0])]"
                          ".filter(it => it.checkVisibility()).map(it => it.innerText);", selector)


def link(browser: Chromium) -> str:
    return shown(browser, "#link")[0]


def tile(browser: Chromium, name: str) -> str:
    return dict(zip(shown(browser, ".tile dt"), shown(browser, ".tile .value"))).get(name, "")


def bar(browser: Chromium) -> float:
    """How long the first bar is, in pixels."""
    return browser.script("return document.querySelector('#flights i').getBoundingClientRect().width")


def test_live(tmp, run, api, redis, browser, daemon):
    """Numbers, a growing bar for each call, and a name that is no HTML."""
    server = daemon(redis=redis.url)
    front = run(fronts.nginx(tmp, server.socket_path))
    server.wait_log("redis: connected")
    for _ in range(3):
        assert get(front.address, "/fragment/quick").status == 200
    browser.open(front.url + "/status.html")
    wait_until(lambda: tile(browser, "Hits") == "66.6%", "two of three to be hits")
    assert link(browser) == "Live" and tile(browser, "Redis") == "up"
    assert shown(browser, "#flights tbody tr") == [] and shown(browser, "#trouble") == []
    assert "Nothing" in shown(browser, "#flights-rest")[0]
    check(browser)
    browser.shoot_all("status-quiet")

    api.hold(quote(SCRIPT), "slow")
    with Connection(server.address) as connection:
        for number, name in enumerate([SCRIPT, "slow", "slow"], 1):
            connection.send_raw(fcgi.request(f"/fragment/{name}", number))
        wait_until(lambda: tile(browser, "Parked") == "3", "three to be parked")
        rows = shown(browser, "#flights tbody tr")
        assert len(rows) == 2 and SCRIPT in "".join(rows)
        assert all("generating" in row and "api" in row for row in rows)
        assert {row.split()[-2] for row in rows} == {"1", "2"}  # requests that wait
        before = bar(browser)
        wait_until(lambda: bar(browser) > before > 0, "the bar to grow")
        check(browser)
        api.release_all()
    wait_until(lambda: shown(browser, "#flights tbody tr") == [], "the rows to go")
    assert browser.complaints() == []


def test_trouble(tmp, run, api, redis, browser, daemon):
    """One sees at once what is wrong."""
    server = daemon(redis=redis.url, extra=f"""max_parked = 20
        source "broken" {{ type = "http" url = "{api.url}/{{name}}" breaker = "2 in 1m" }}
        fragment "bad/*" {{ source = "broken" ttl = "1m" }}""")
    front = run(fronts.nginx(tmp, server.socket_path))
    server.wait_log("redis: connected")
    browser.open(front.url + "/status.html")
    wait_until(lambda: link(browser) == "Live", "the page to be there")
    for name in ("bad/a", "bad/b", "bad/c"):
        api.answer(name, 500)
        ask(server.address, f"/fragment/{name}")
    api.hold(*(f"n{number}" for number in range(22)))
    redis.stop()
    with Connection(server.address) as connection:
        for number in range(22):
            connection.send_raw(fcgi.request(f"/fragment/n{number}", number + 1))

        def says(words: str) -> bool:
            return any(words in item for item in shown(browser, "#trouble li"))

        for words in ("Redis is unavailable. Each", "source broken has failed too often",
                      "Almost full: parked, 100%", "2 rejected in the last minute because of"):
            wait_until(lambda words=words: says(words), f"it to say: {words}")
        assert tile(browser, "Redis") == "down" and tile(browser, "Parked") == "20"
        broken = next(row for row in shown(browser, "#sources tbody tr") if row.startswith("broken"))
        assert "not called for" in broken or "the next call tries" in broken
        assert len(shown(browser, "#flights tbody tr")) == 16
        assert shown(browser, "#flights-rest") == ["and 4 more"]
        assert browser.driver.title.startswith("(!)")
        check(browser)
        browser.shoot_all("status-trouble")
        api.release_all()
    assert browser.complaints() == []


def test_closed_and_away(tmp, run, site, browser, daemon):
    """It says what to do if it may not read, says so if nobody answers, and goes on by itself."""
    site.answer(PATH, 403)
    browser.open(site.url + "/status.html")
    wait_until(lambda: shown(browser, "#closed"), "it to say that it is closed")
    assert 'status = {"127.0.0.1"}' in shown(browser, "#closed")[0]
    assert shown(browser, "#board") == []
    browser.shoot("status-closed")

    server = daemon()
    front = run(fronts.nginx(tmp, server.socket_path))
    browser.open(front.url + "/status.html")
    wait_until(lambda: link(browser) == "Live", "the page to be there")
    server.stop()
    wait_until(lambda: "can’t reach workerless (502)" in link(browser), "it to be away")
    assert shown(browser, "#board.old") and shown(browser, "#closed") == []
    browser.shoot("status-away")
    server.start()
    wait_until(lambda: link(browser) == "Live", "it to be back")
    assert shown(browser, "#board.old") == []
    assert "502" in "".join(browser.complaints())  # the console has nothing else
    assert browser.script("return violations;") == []


def test_workers_and_pauses(site, browser, daemon):
    """A worker that was started again is noticed. The page asks for nothing while nobody looks. A
    text that is no status is no reason to stop."""
    status = ask(daemon().address, "/workerless/status", query="json&full=16").text
    assert json.loads(status)["bounds_seconds"]
    site.answer(PATH, body="<h1>Not a status</h1>", type="text/html")
    browser.open(site.url + "/status.html")
    wait_until(lambda: "the answer is not a status" in link(browser), "it to say so")
    site.answer(PATH, body=status, type="application/json")
    wait_until(lambda: link(browser) == "Live", "the next try")

    def hide(hidden: bool) -> int:
        browser.script("Object.defineProperty(document, 'hidden', {configurable: true, "
                       "value: arguments[0]});"
                       "document.dispatchEvent(new Event('visibilitychange'));", hidden)
        return site.calls(PATH)

    known = json.loads(status)
    known["workers"] = [{"worker": number, "connections": 1, "parked": 0, "answers": 10,
                         "starts": 1} for number in range(2)]
    site.answer(PATH, body=json.dumps(known), type="application/json")
    wait_until(lambda: shown(browser, "#workers tbody tr"), "the workers")
    known["workers"][1].update(answers=30, starts=2)
    site.answer(PATH, body=json.dumps(known), type="application/json")
    wait_until(lambda: shown(browser, "#trouble li") == [
        "Worker 1 has ended and was started again."], "it to notice")
    assert shown(browser, "#workers tbody tr")[1].split()[:2] == ["1", "30"]

    count = hide(True)
    stays(lambda: site.calls(PATH) <= count, "no request", 2.5)
    hide(False)
    wait_until(lambda: site.calls(PATH) > count, "it to ask again")
    browser.script("document.querySelector('#pause').click();")
    assert link(browser) == "Paused"
    count = hide(False)
    stays(lambda: site.calls(PATH) <= count + 1, "no request", 2.5)  # one may be under way
    browser.script("document.querySelector('#pause').click();")
    wait_until(lambda: link(browser) == "Live", "it to continue")
