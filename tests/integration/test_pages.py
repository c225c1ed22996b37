"""A page section: a skeleton with its fragments, in one response."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from harness import fcgi
from harness.config import api_config
from harness.fcgi import Connection, ask
from harness.servers import Workerless, workerless_binary, wrapper_command
from harness.wait import wait_until

CHROMIUM = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                          "Chrome/156.0.0.0 Safari/537.36"}
OTHER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"}
HEAD, END = "<!DOCTYPE html>\n<body>\n", "</body>\n"


def placeholder(name: str) -> str:
    return f'<?start name="{name}">Loading {name}<?end>'


def made(name: str) -> str:
    """As the API makes it."""
    return f'<div id="{name}">result for {name}</div>'


def template(name: str) -> str:
    return f'<template for="{name}">{made(name)}</template>\n'


FAILURE = '<p class="fragment-error">This part of the page could not be loaded.</p>\n'


def skeleton(*names: str) -> str:
    return HEAD + "".join(f"<p>{placeholder(name)}</p>\n" for name in names) + END


def filled(*parts: str) -> str:
    """The skeleton with these in the places of its placeholders."""
    return HEAD + "".join(f"<p>{part}</p>\n" for part in parts)


@pytest.fixture(name="page")
def make_page(tmp, daemon, api):
    """page(name, ..., options="", extra="") starts a daemon with a page at / that has these
    placeholders, and other paths in `extra`."""
    def start(*names: str, text: str = "", options: str = "", extra: str = "", **others):
        file = tmp / "index.html"
        file.write_text(text or skeleton(*names), "utf-8")
        server = daemon(extra=f'{extra}\npage "/" {{ file = "{file}" {options} }}', **others)
        server.file = file
        return server

    yield start
    api.release_all()


def begin(connection: Connection, request_id: int = 1, path: str = "/", **options):
    """Requests the page, as a Chromium unless the headers say otherwise."""
    connection.send_raw(fcgi.request(path, request_id, headers=options.pop("headers", CHROMIUM),
                                     **options))
    response = connection.responses[request_id]
    connection.wait(lambda: b"\r\n\r\n" in response.stdout, "the head")
    return response


def wait_text(connection: Connection, response, text: str) -> None:
    """Exactly this has arrived, and no more comes until something happens."""
    connection.wait(lambda: len(response.text) >= len(text), f"{len(text)} bytes")
    connection.sync()
    assert response.text == text


# Each fragment as soon as it is ready.


def test_in_the_order_of_readiness(page, api):
    server = page("a", "b", "c")
    api.hold("a", "b", "c")
    with Connection(server.address) as connection:
        response = begin(connection)
        assert response.headers == {"content-type": "text/html; charset=utf-8",
                                    "x-accel-buffering": "no", "cache-control": "no-store"}
        text = filled(*map(placeholder, "abc"))
        wait_text(connection, response, text)
        for name in "bca":
            api.release(name)
            text += template(name)
            if name != "a":
                wait_text(connection, response, text)
        assert connection.response().text == text + END
    assert api.calls() == 3


def test_what_memory_holds_stands_in_its_place(page, api):
    server = page("a", "b", "c")
    with Connection(server.address) as connection:
        assert connection.request("/fragment/b").status == 200
        api.hold("a", "c")
        response = begin(connection)
        text = filled(placeholder("a"), made("b"), placeholder("c"))
        wait_text(connection, response, text)
        api.release("a", "c")
        assert connection.response().text in (text + template("a") + template("c") + END,
                                              text + template("c") + template("a") + END)


@pytest.mark.parametrize("headers", [CHROMIUM, OTHER, {}])
def test_a_warm_page_is_complete(page, headers):
    server = page("a", "b")
    assert ask(server.address, "/", headers=CHROMIUM).status == 200
    response = ask(server.address, "/", headers=headers)
    assert response.text == filled(made("a"), made("b")) + END
    life = re.fullmatch(r"max-age=(\d+)", response.headers["cache-control"])
    assert life and 50 <= int(life[1]) <= 60
    assert "etag" not in response.headers and "vary" not in response.headers
    assert response.headers["x-accel-buffering"] == "yes"  # nginx waits for slow clients


def test_large_fragments(page, api):
    """Of several records, in place and in a template."""
    large = "<p>0123456789</p>\n" * 5000
    for name in "ab":
        api.answer(name, type="text/html", body=large)
    server = page("a", "b")
    cold = ask(server.address, "/", headers=CHROMIUM).text
    assert cold.count(large) == 2 and '<template for="a">' in cold
    assert ask(server.address, "/").text == filled(large, large) + END


# Browsers that can't replace a placeholder wait at it.


@pytest.mark.parametrize("headers", [OTHER, {}, {"User-Agent": "Chrome/149.0"},
                                     {"User-Agent": "Chrome/"}, {"User-Agent": "Chrome/x150"}])
def test_they_wait_in_order(page, api, headers):
    server = page("a", "b", options='page_hold = "60s"')
    api.hold("a", "b")
    with Connection(server.address) as connection:
        response = begin(connection, headers=headers)
        text = HEAD + "<p>"
        wait_text(connection, response, text)
        api.release("b")
        assert ask(server.address, "/fragment/b").text == made("b")
        connection.sync()
        assert response.text == text
        api.release("a")
        assert connection.response().text == filled(made("a"), made("b")) + END


def test_after_the_hold_they_get_templates(page, api):
    server = page("a", "b", extra='page_hold = "50ms"')
    api.hold("a", "b")
    with Connection(server.address) as connection:
        response = begin(connection, headers=OTHER)
        wait_text(connection, response, filled(placeholder("a"), placeholder("b")))
        api.release("b")
        connection.wait(lambda: template("b") in response.text, "the template")
        api.release("a")
        assert connection.response().text.endswith(template("b") + template("a") + END)


@pytest.mark.parametrize("agent", ["Chrome/150.0", "HeadlessChrome/156.0.0.0",
                                   "Chrome/99999999999999999999", "Chrome/1500"])
def test_who_does_not_wait(page, api, agent):
    server = page("a", options='page_hold = "60s"')
    api.hold("a")
    with Connection(server.address) as connection:
        wait_text(connection, begin(connection, headers={"User-Agent": agent}),
                  filled(placeholder("a")))
        api.release("a")


def test_without_a_hold_nobody_waits(page, api):
    server = page("a", options='page_hold = "0"', extra='page_hold = "60s"')
    api.hold("a")
    with Connection(server.address) as connection:
        wait_text(connection, begin(connection, headers=OTHER), filled(placeholder("a")))
        api.release("a")


# What is not there.


def test_a_failure(page, api):
    server = page("a", "b")
    api.answer("a", 500)
    api.hold("b")
    with Connection(server.address) as connection:
        response = begin(connection)
        text = filled(placeholder("a"), placeholder("b"))
        wait_text(connection, response,
                  text + f'<template for="a" data-failed><!--failed-->{FAILURE}</template>\n')
        api.release("b")
        connection.response()
    with Connection(server.address) as connection:
        response = begin(connection, headers=OTHER)
        assert connection.response().text == filled(f"<!--failed-->{FAILURE}", made("b")) + END
        assert response.headers["cache-control"] == "no-store"


def test_a_cached_failure_and_a_fallback(tmp, page, api):
    (tmp / "sorry.html").write_text("<p>sorry</p>", "utf-8")
    server = page("a", extra='fragment "a" { source = "api" negative = "60s" stream = "yes" '
                             f'fallback = "{tmp}/sorry.html" }}')
    api.answer("a", 500)
    for _ in range(2):
        response = ask(server.address, "/", headers=OTHER)
        assert response.text == filled("<!--failed--><p>sorry</p>") + END
        assert response.headers["cache-control"] == "no-store"
    assert api.calls() == 1


def test_an_unbalanced_fallback(tmp, page, api):
    """It comes in a template, as such a result does."""
    (tmp / "sorry.html").write_text("<b>sorry", "utf-8")
    server = page("a", extra='fragment "a" { source = "api" stream = "yes" '
                             f'fallback = "{tmp}/sorry.html" }}')
    api.answer("a", 500)
    assert ask(server.address, "/", headers=OTHER).text == filled(placeholder("a")) \
        + '<template for="a" data-failed><!--failed--><b>sorry</template>\n' + END


@pytest.mark.parametrize("html, place, late", [
    ("<b>a", False, True),            # a template closes it
    ("<p>a</p></div>", False, True),
    ("<!-- a", False, False),         # nothing does
])
def test_unbalanced(page, api, html, place, late):
    """In its place, a fragment has to close what it opens; in a template, that is done for it."""
    server = page("a")
    api.answer("a", type="text/html", body=html)
    for _ in range(2):
        text = ask(server.address, "/", headers=OTHER).text
        assert (f"<p>{html}</p>" in text) == place
        assert (f'<template for="a">{html}</template>' in text) == late
        assert (FAILURE in text) == (not place and not late)


def test_placeholders_that_stay(page, api):
    """Those without a route, and those whose route is closed to streams."""
    server = page("a", "closed", "b", text=skeleton("a", "closed", "b"),
                  extra='fragment "closed" { source = "api" }')
    text = filled(made("a"), placeholder("closed"), made("b")) + END
    ask(server.address, "/")
    response = ask(server.address, "/")
    assert response.text == text and response.headers["cache-control"] == "no-store"
    assert api.calls("closed") == 0
    assert server.log().count('fragment "closed" was requested in a page') == 1
    assert re.search(r'warning: page "/": the placeholder "closed" in .*stream = "yes"',
                     server.log())


def test_invalid_inputs_spoil_no_page(page, api):
    server = page("a", "b", extra='fragment "b" { source = "api" stream = "yes" vary = "query:x" }')
    response = ask(server.address, "/", query="x=" + 300 * "a", headers=OTHER)
    assert response.status == 200
    assert response.text == filled(made("a"), placeholder("b")) + END
    assert api.calls("b") == 0


# Inputs and headers.


def test_inputs(page, api):
    server = page("a", "b", extra='''
        source "city" { type = "http" url = "%s/{name}?{query}" }
        fragment "b" { source = "city" stream = "yes" ttl = "60s" private = "yes"
                       vary = {"query:city", "cookie:session"} }''' % api.url)
    headers = {**OTHER, "Cookie": "session=7; other=8"}
    cold = ask(server.address, "/", query="city=Paris&x=y", headers=headers)
    assert cold.headers["cache-control"] == "no-store" and cold.headers["vary"] == "Cookie"
    call, = api.requests("b?city=Paris")
    assert call.headers["cookie"] == "session=7"
    warm = ask(server.address, "/", query="city=Paris", headers=headers)
    assert warm.headers["cache-control"].startswith("private, max-age=")
    assert warm.headers["vary"] == "Cookie"
    other = ask(server.address, "/", query="city=Paris", headers={**OTHER, "Cookie": "session=9"})
    assert len(api.requests("b?city=Paris")) == 2 and other.status == 200
    assert api.calls("a") == 1


def test_a_page_lives_as_long_as_its_parts(page):
    server = page("a", "b", extra='fragment "b" { source = "api" stream = "yes" ttl = "60s" '
                                  'browser_ttl = "7s" }')
    ask(server.address, "/")
    assert ask(server.address, "/").headers["cache-control"] == "max-age=7"


def test_a_page_must_be_revalidated_as_its_parts(page, api):
    server = page("a", "b", extra='fragment "b" { source = "api" stream = "yes" }')
    api.answer("b", headers={"Cache-Control": "max-age=30, must-revalidate"})
    ask(server.address, "/", headers=OTHER)
    assert "must-revalidate" in ask(server.address, "/fragment/b").headers["cache-control"]
    assert re.fullmatch(r"max-age=\d+, must-revalidate",
                        ask(server.address, "/").headers["cache-control"])


def test_an_uncacheable_part(page, api):
    server = page("a", "b")
    api.answer("b", headers={"Set-Cookie": "a=b"})
    for _ in range(3):
        assert ask(server.address, "/").headers["cache-control"] == "no-store"


def test_links(page, api):
    """Of the skeleton, and of what memory holds."""
    server = page(text='<link rel="preload" href="a.css" as="style">' + skeleton("a", "b"),
                  extra="".join(f'fragment "{name}" {{ source = "api" stream = "yes" '
                                'ttl = "60s" keep = "link" }\n' for name in "ab"))
    api.answer("a", type="text/html", body="a", headers={"Link": "</b.js>; rel=modulepreload"})
    api.answer("b", type="text/html", body="b", headers={"Link": "</preload>; rel=canonical"})

    def links(response) -> list:
        return re.findall(r"(?m)^link: (.*?)\r?$", response.head.decode(), re.IGNORECASE)

    own = '<a.css>; rel="preload"; as="style"'
    assert links(ask(server.address, "/")) == [own]
    assert links(ask(server.address, "/")) == [own, "</b.js>; rel=modulepreload"]


def test_methods(page, api):
    server = page("a")
    with Connection(server.address) as connection:
        head = connection.request("/", method="HEAD")
        assert head.status == 200 and head.body == b"" and "content-length" not in head.headers
        assert connection.request("/", method="POST").status == 405
        assert connection.request("/other").status == 404
    assert api.calls() == 0


def test_paths(tmp, page):
    for name in ("shop", "rest"):
        (tmp / f"{name}.html").write_text(name, "utf-8")
    server = page("a", extra='''
        page "/shop" { file = "%s/shop.html" }
        page "/shop/*" { file = "%s/rest.html" }''' % (tmp, tmp))
    with Connection(server.address) as connection:
        for number, (path, text) in enumerate([("/shop", "shop"), ("/shop/", "rest"),
                                               ("/shop/x/y", "rest")], 1):
            assert connection.request(path, number).text == text
        for number, path in enumerate(["/shops", "//", "/shop?x", "/" + 300 * "x"], 1):
            assert connection.request(path, number).status in (400, 404)
        assert connection.request("/fragments", query="name=a").headers["content-type"] \
            == "text/event-stream"


def test_a_page_for_all_paths(page, tmp):
    """But not for our own, nor for what looks like them."""
    server = page("a", options='}\npage "/*" { file = "%s/index.html"' % tmp)
    with Connection(server.address) as connection:
        for number, (path, status) in enumerate([("/x", 200), ("/workerless", 200),
                                                 ("/workerless/", 404), ("/workerless/x", 404),
                                                 ("/fragment/", 400), ("/fragment/..", 400)], 1):
            assert connection.request(path, number).status == status, path


# Its end.


def test_heartbeats(page, api):
    server = page("a", "b", extra='heartbeat = "50ms"', options='page_hold = "60s"')
    api.hold("a", "b")
    for headers, text in ((CHROMIUM, filled(placeholder("a"), placeholder("b"))),
                          (OTHER, HEAD + "<p>")):
        with Connection(server.address) as connection:
            response = begin(connection, headers=headers)
            connection.wait(lambda response=response, text=text:
                            response.text.startswith(text + "<!---->"), "a heartbeat")
            connection.wait(lambda response=response: response.text.count("<!---->") > 2, "more")
    api.release("a", "b")


@pytest.mark.parametrize("headers", [CHROMIUM, OTHER])
def test_the_process_ends(page, api, headers):
    """What it can't deliver any more keeps its placeholder, and the page ends as a page."""
    server = page("a", "b", extra='shutdown_timeout = "100ms"', options='page_hold = "60s"')
    ask(server.address, "/fragment/a")
    api.hold("b")
    with Connection(server.address) as connection:
        begin(connection, headers=headers)
        api.wait_calls("b", 1)
        server.signal(signal.SIGTERM)
        assert connection.response().text == filled(made("a"), placeholder("b")) + END
    server.wait()
    api.release("b")


@pytest.mark.parametrize("headers", [CHROMIUM, OTHER])
def test_the_client_leaves(page, api, headers):
    server = page("a", options='page_hold = "60s"')
    api.hold("a")
    with Connection(server.address) as connection:
        begin(connection, headers=headers)
        api.wait_calls("a", 1)
        assert server.counter("streams") == 1
    wait_until(lambda: server.counter("streams") == 0, "the stream to end")
    api.release("a")
    assert ask(server.address, "/", headers=OTHER).text == filled(made("a")) + END


def test_reload(page, api):
    """A page that has begun goes on with its skeleton; others get the new one."""
    server = page("a", "b", extra='sandbox = "yes"')
    api.hold("a")
    with Connection(server.address) as connection:
        response = begin(connection)
        connection.wait(lambda: template("b") in response.text, "the template")
        server.file.write_text("<p>new " + placeholder("b"), "utf-8")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "main: reloaded " in server.log(), "the reload")
        assert 'reload: pages changed: "/"' in server.log()
        assert ask(server.address, "/").text == "<p>new " + made("b")
        assert server.counter("configs") == 2
        api.release("a")
        assert connection.response().text.endswith(template("a") + END)
    wait_until(lambda: server.counter("configs") == 1, "the old config to go")
    server.file.write_text("<?start>", "utf-8")
    server.signal(signal.SIGHUP)
    wait_until(lambda: "the running config stays in use" in server.log(), "the problem")
    assert ask(server.address, "/").text == "<p>new " + made("b")


# The config.


def problems(tmp: Path, text: str) -> str:
    config = tmp / "bad.conf"
    config.write_text('source "s" { type = "simulated" }\n' + text, "utf-8")
    done = subprocess.run([*wrapper_command(), workerless_binary(), "-t", "-c", str(config)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True)
    return done.stdout.replace(str(tmp) + "/", "")


ALL = 'fragment "*" { source = "s" stream = "yes" }\n'


@pytest.mark.parametrize("title, said", [
    ("x", 'page "x": the path of a page must begin with a slash'),
    ("", 'page "": the path of a page must begin with a slash'),
    ("/a*b", 'page "/a*b": \'*\' can only be the last character'),
    ("/a?b", "must not contain control characters, '?' or '#'"),
    ("/" + 255 * "a", "the path of a page must not be longer than 255 bytes"),
    ("/fragment/a", 'page "/fragment/a": workerless uses this path itself'),
    ("/fragments", "workerless uses this path itself"),
    ("/workerless/x", "workerless uses this path itself"),
])
def test_bad_paths(tmp, title, said):
    (tmp / "index.html").write_text(skeleton("a"), "utf-8")
    assert said in problems(tmp, ALL + f'page "{title}" {{ file = "index.html" }}\n')


@pytest.mark.parametrize("text, said", [
    ("<?start name='a'>", 'index.html, line 1, column 1: the placeholder "a" has no <?end>'),
    ("\n <?marker>", "index.html, line 2, column 2: a placeholder needs a name in quotes"),
    ("<?marker name='..'>", 'has a placeholder "..", which can\'t be a fragment\'s name'),
    ("<?marker name='end'>", 'has a placeholder "end", which can\'t be a fragment\'s name'),
    ("<?marker name='" + 300 * "x" + "'>", "which can't be a fragment's name"),
    ("plain", "warning: page \"/\": index.html has no placeholder"),
    ("".join(f"<?marker name='{i}'>" for i in range(65)),
     "index.html has 65 placeholders, which is more than max_stream (64)"),
    pytest.param(1048577 * "x", "index.html: ", id="too large"),
])
def test_bad_skeletons(tmp, text, said):
    (tmp / "index.html").write_text(text, "utf-8")
    assert said in problems(tmp, ALL + 'page "/" { file = "index.html" }\n')


@pytest.mark.parametrize("text, said", [
    (ALL + 'page "/" { }', 'page "/": file is missing'),
    (ALL + 'page "/" { file = "none.html" }', "none.html: No such file or directory"),
    (ALL + 'page "/" { file = "a.html" page_hold = "61s" }', "page_hold"),
    (ALL + 2 * 'page "/" { file = "a.html" }\n', 'page "/" is defined twice; first in line 3'),
    (ALL + 'page "/*" { file = "a.html" }\npage "/b" { file = "a.html" }',
     'page "/b" is never used: "/*" in line 3 comes first and matches all of it'),
    ('fragment "b" { source = "s" }\npage "/" { file = "a.html" }',
     'warning: page "/": the placeholder "a" in a.html is never replaced: no fragment section '
     "matches it"),
    ('fragment "a" { source = "s" }\npage "/" { file = "a.html" }',
     'warning: page "/": the placeholder "a" in a.html is never replaced: its fragment section '
     'does not have stream = "yes"'),
    (ALL + 'pages "/" { file = "a.html" }',
     'no option "pages" at the top level; did you mean "page"?'),
])
def test_bad_sections(tmp, text, said):
    (tmp / "a.html").write_text(skeleton("a"), "utf-8")
    assert said in problems(tmp, text)
