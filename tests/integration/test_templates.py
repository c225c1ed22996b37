"""Fragments that templates make of what their source has returned, and those that pass as they are."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from harness import fcgi
from harness.cli import cli
from harness.events import parse, query
from harness.fcgi import Connection, ask
from harness.servers import Workerless, workerless_binary, wrapper_command
from harness.wait import wait_until

JSON = "application/json"
CONFIG = """
templates = "templates"
{top}
cache {{ redis = "{redis}" }}
source "api" {{ type = "http" url = "{url}/{{name}}" max_body = "16MiB" }}
{fragments}
"""
FRAGMENTS = """
fragment "card/*" { source = "api"  template = "card.html"  vary = {"query:unit", "language:en,de"}
                    required = {"city", "now.degrees"}  fallback = "sorry.html" }
fragment "wrap/*" { source = "api"  template = "wrap"  stream = "yes" }
fragment "list/*" { source = "api"  template = "shop/list" }
fragment "any/*"  { source = "api"  template = "kinds" }
fragment "raw/*"  { source = "api"  render = "raw"  stream = "yes"  fallback = "sorry.html" }
fragment "*"      { source = "api"  stream = "yes" }
"""
TEMPLATES = {
    "card.html": '{{<layout}}{{$title}}{{city}}{{/title}}{{$main}}{{now.degrees}} {{inputs.unit}} '
                 '{{inputs.language}}{{#rain}} ({{>rain}}){{/rain}}{{/main}}{{/layout}}',
    "layout.mustache": '<section id="{{id}}"><h2>{{$title}}?{{/title}}</h2>{{$main}}{{/main}}'
                       '</section>',
    "rain.html": "rain: {{.}}",
    "wrap.html": "<b>{{content}}</b>",
    "shop/list.html": "{{#.}}{{>shop/row}}{{/.}}",
    "shop/row.html": "<li>{{.}}",
    "kinds.html": "{{#items}}{{>*kind}}{{/items}}",
    "image.html": "<img>",
    "text.html": "<p>",
}
WEATHER = {"city": "<Paris>", "now": {"degrees": 21.5}, "rain": "3 mm"}


def write_templates(directory: Path, **texts: str) -> None:
    for name, text in {**TEMPLATES, **texts}.items():
        (directory / "templates" / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / "templates" / name).write_text(text, "utf-8")
    (directory / "sorry.html").write_text("<p>sorry</p>", "utf-8")


@pytest.fixture(name="serve")
def fixture_serve(run, tmp, api):
    """Starts a daemon whose config is in `tmp`, beside the directory of templates."""
    def serve(*, fragments: str = FRAGMENTS, top: str = "", redis: str = "", **options):
        text = CONFIG.format(top=top, redis=redis, url=api.url, fragments=fragments)
        return run(Workerless(tmp, text.replace('"templates"', f'"{tmp}/templates"')
                              .replace('"sorry.html"', f'"{tmp}/sorry.html"'), **options))

    write_templates(tmp)
    yield serve
    api.release_all()


def reload(server: Workerless, ends: str = "main: reloaded ") -> str:
    before = len(server.log())
    server.signal(signal.SIGHUP)
    wait_until(lambda: re.search(ends, server.log()[before:]), f"{ends!r} in the log")
    return server.log()[before:]


# --- results


def test_json(serve, api):
    api.answer("card/w?unit=C", type=JSON, body=json.dumps(WEATHER))
    server = serve()
    with Connection(server.address) as connection:
        response = connection.request("/fragment/card/w", query="unit=C&x=1")
    assert (response.status, response.text) == \
        (200, '<section id="card/w"><h2>&lt;Paris&gt;</h2>21.5 C en (rain: 3 mm)</section>')
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "x-content-type-options" not in response.headers
    assert "fwd=miss" in response.headers["cache-status"]
    response = ask(server.address, "/fragment/card/w", query="unit=C")
    assert "hit" in response.headers["cache-status"] and "21.5 C en" in response.text


@pytest.mark.parametrize("type_name, body, html", [
    ("text/plain", "<i>", "<b>&lt;i&gt;</b>"),
    ("text/html", "<i>", "<b><i></b>"),
    ("application/xhtml+xml; charset=utf-8", "<i>", "<b><i></b>"),
    ("", "<i>", "<b>&lt;i&gt;</b>"),
    ("application/problem+json", '{"content": "<i>"}', "<b>&lt;i&gt;</b>"),
])
def test_other_types(serve, api, type_name, body, html):
    api.answer("wrap/a", type=type_name, body=body)
    assert ask(serve().address, "/fragment/wrap/a").text == html


def test_a_list_and_dynamic_names(serve, api):
    api.answer("list/a", type=JSON, body='["a", "<b>"]')
    api.answer("any/a", type=JSON, body='{"items": [{"kind": "image"}, {"kind": "text"}, '
                                        '{"kind": "../sorry"}, {"kind": "none"}]}')
    server = serve()
    assert ask(server.address, "/fragment/list/a").text == "<li>a<li>&lt;b&gt;"
    assert ask(server.address, "/fragment/any/a").text == "<img><p>"


def test_json_without_a_template(serve, api):
    """It is a text, as always."""
    api.answer("x", type=JSON, body='{"a": 1}')
    assert ask(serve().address, "/fragment/x").text == \
        '<div id="x">{&quot;a&quot;: 1}</div>'


# --- what is not half a page


BAD = {
    "not JSON": ('{"city":\n', JSON, "the JSON of the source is invalid in line 2: "),
    "empty": ("", JSON, "the JSON of the source is invalid in line 1: "),
    "null": ("null", JSON, "neither an object nor a list"),
    "lacking": ('{"city": "x", "now": {}}', JSON, 'has no "now.degrees", which is required'),
    "null where required": ('{"city": null}', JSON, 'has no "city", which is required'),
    "not JSON at all": ("<h1>Error</h1>", "text/html", "the source has not sent JSON"),
    "a list": ('{"city": [1], "now": {"degrees": 1}}', JSON,
               'templates/card.html:1:22: "city" is a list here, not a text'),
    "an image": (b"\x89PNG", "image/png", "which is neither HTML nor text (render = "),
    "deep": ("[" * 5000, JSON, "maximum parsing depth"),
}


@pytest.mark.parametrize("case", BAD)
def test_failures(serve, api, case):
    body, type_name, why = BAD[case]
    api.answer("card/a", type=type_name, body=body)
    server = serve()
    response = ask(server.address, "/fragment/card/a")
    assert (response.status, response.text) == (502, "<p>sorry</p>")
    assert 'fragment "card/a": ' in server.log() and why in server.log()
    assert server.counter("renderings_failed") == (case != "an image")  # the source refuses that


def test_a_stale_result_is_better(serve, api, name):
    api.answer(name, type=JSON, body='{"content": "good"}')
    server = serve(fragments='fragment "*" { source = "api" template = "wrap" ttl = "1ms" '
                             'stale_error = "1h" required = {"content"} }')
    assert ask(server.address, f"/fragment/{name}").text == "<b>good</b>"
    api.answer(name, type=JSON, body='{"content": ')
    while server.counter("renderings_failed") == 0:
        response = ask(server.address, f"/fragment/{name}")
        assert (response.status, response.text) == (200, "<b>good</b>")
    assert "is invalid in line" in server.log()


# --- limits


@pytest.mark.parametrize("top, body, why", [
    ('max_json = "1KiB"', json.dumps({"content": "x" * 1100}), "bytes of JSON are more than max_json"),
    ('max_rendered = "2KiB"', json.dumps({"content": "<" * 1000}),
     "templates/wrap.html:1:4: the result is longer than 2048 bytes"),
    ("", "[" * 100_000 + "]" * 100_000, "is invalid in line"),
    ("", "[" + "{}," * 80_000 + "{}]", None),  # 240 KiB, and some 20 MiB in memory
    ("", json.dumps({"content": "\x01&" * 20_000}), None),
], ids=["json", "html", "depth", "objects", "escapes"])
def test_large_json(serve, api, top, body, why):
    """A limit costs the fragment, not the others."""
    api.answer("wrap/big", type=JSON, body=body)
    server = serve(top=top)
    with Connection(server.address) as connection:
        response = connection.request("/fragment/wrap/big")
        assert response.status == (502 if why else 200)
        assert why is None or why in server.log()
        assert "result for ok" in connection.request("/fragment/ok").text


def test_much_work(serve, tmp, api):
    """A list in itself a few times is more than anybody waits for."""
    write_templates(tmp, **{"loop.html": "{{#l}}{{#l}}{{#l}}{{#l}}x{{/l}}{{/l}}{{/l}}{{/l}}",
                            "deep.html": "{{>deep}}"})
    api.answer("loop", type=JSON, body=json.dumps({"l": list(range(1, 200))}))
    api.answer("deep", type=JSON, body="{}")
    server = serve(fragments='fragment "loop" { source = "api" template = "loop" }\n'
                             'fragment "deep" { source = "api" template = "deep" }\n'
                             'fragment "*" { source = "api" }')
    assert ask(server.address, "/fragment/loop").status == 502
    assert "loop.html:1:19: rendering takes more than 250000 steps" in server.log()
    assert ask(server.address, "/fragment/deep").status == 502
    assert "does a template include itself without end?" in server.log()
    assert ask(server.address, "/fragment/ok").status == 200


# --- raw


@pytest.mark.parametrize("type_name, body, sent", [
    (JSON, b'{"a": "<b>"}', JSON),
    ("image/png", b"\x89PNG\r\n\x00\xff", "image/png"),
    ("text/plain", b"<b>", "text/plain"),
    ("text/html; charset=utf-8", b"<b>", "text/html; charset=utf-8"),
    ("", b"<script>", "application/octet-stream"),
    ("x/" + "y" * 200, b"<script>", "application/octet-stream"),
])
def test_raw(serve, api, redis, name, type_name, body, sent):
    """It is sent, cached and sent again as it is, and never taken for HTML."""
    name = f"raw/{name}"
    api.answer(name, type=type_name, body=body)
    server = serve(redis=redis.url)
    server.wait_log("redis: connected")
    for outcome in ("fwd=miss", "hit"):
        response = ask(server.address, f"/fragment/{name}")
        assert (response.status, response.body) == (200, body)
        assert response.headers["content-type"] == sent
        is_html = sent.startswith("text/html")
        assert response.headers.get("x-content-type-options") == (None if is_html else "nosniff")
        assert outcome in response.headers["cache-status"]
    assert api.calls(name) == 1


def test_raw_in_streams(serve, api):
    """Nothing but HTML gets into a page; an event has any text."""
    api.answer("raw/json", type=JSON, body='{"a": "<b>"}')
    api.answer("raw/image", type="image/png", body=b"\x89PNG")
    api.answer("raw/html", type="text/html", body="<i>")
    server = serve()
    names = query(["raw/json", "raw/image", "raw/html"])
    for _ in ("miss", "hit"):
        events = dict(parse(ask(server.address, "/fragments", query=names).body))
        assert events == {"raw/json": '{"a": "<b>"}', "raw/image:error": "<p>sorry</p>",
                          "raw/html": "<i>", "end": ""}
        html = ask(server.address, "/fragments", query=names, headers={"Accept": "text/html"}).text
        assert '<template for="raw/json" data-failed><!--failed--><p>sorry</p></template>' in html
        assert '<template for="raw/image" data-failed><!--failed--><p>sorry</p></template>' in html
        assert '<template for="raw/html"><i></template>' in html
    assert 'fragment "raw/json" is application/json, which can\'t be a part of this stream' in \
        server.log()


def test_templates_in_streams(serve, api):
    api.answer("wrap/a", type=JSON, body='{"content": "a"}')
    api.answer("wrap/b", type=JSON, body="{")
    server = serve()
    events = dict(parse(ask(server.address, "/fragments", query=query(["wrap/a", "wrap/b"])).body))
    assert events["wrap/a"] == "<b>a</b>" and "wrap/b:error" in events


# --- reload


def test_a_changed_template(serve, tmp, api, redis, name):
    """New results are made by it. A source whose result has not changed is asked for it, since the old
    result was made by the old template."""
    api.answer(name, type=JSON, body='{"content": "x"}', headers={"ETag": '"v1"'})
    server = serve(redis=redis.url,
                   fragments='fragment "*" { source = "api" template = "wrap" ttl = "1ms" }')
    server.wait_log("redis: connected")

    def refreshed() -> tuple:
        """What the next call makes, and whether the source was asked if its result has changed."""
        calls, text = api.calls(name), ""
        while api.calls(name) == calls:
            text = ask(server.address, f"/fragment/{name}").text
        return text, "if-none-match" in api.requests(name)[calls].headers

    assert refreshed() == ("<b>x</b>", False)
    assert refreshed() == ("<b>x</b>", True)
    write_templates(tmp, **{"wrap.html": "<i>{{content}}</i>"})
    assert 'reload: fragments changed: "*"' in reload(server)
    assert refreshed() == ("<i>x</i>", False)
    assert refreshed() == ("<i>x</i>", True)
    assert b" by=" in redis.command("GET", f"worker:{name}").partition(b"\n")[0]
    write_templates(tmp, **{"unused.html": "{{", "wrap.html": "<i>{{content}}</i>"})
    assert "fragments changed" not in reload(server)


def test_a_bad_template_at_reload(serve, tmp, api):
    api.answer("wrap/a", type=JSON, body='{"content": "a"}')
    api.answer("wrap/b", type=JSON, body='{"content": "b"}')
    server = serve()
    assert ask(server.address, "/fragment/wrap/a").text == "<b>a</b>"
    for text, why in (("<b>{{#content}}", "templates/wrap.html:1:4: "),
                      ("{{>gone}}", 'templates/wrap.html:1:1: there is no template "gone"')):
        write_templates(tmp, **{"wrap.html": text})
        log = reload(server, "the running config stays in use")
        assert why in log
        assert server.counter("configs") == 1
    (tmp / "templates/wrap.html").unlink()
    assert 'there is no template "wrap"' in reload(server, "the running config stays in use")
    assert ask(server.address, "/fragment/wrap/b").text == "<b>b</b>"


def test_a_call_ends_by_its_template(serve, tmp, api):
    api.answer("wrap/a", type=JSON, body='{"content": "a"}')
    api.hold("wrap/a")
    server = serve()
    with Connection(server.address) as connection:
        connection.send_raw(fcgi.request("/fragment/wrap/a", 1))
        api.wait_calls("wrap/a", 1)
        write_templates(tmp, **{"wrap.html": "<i>{{content}}</i>"})
        reload(server)
        api.release("wrap/a")
        assert connection.response(1).text == "<b>a</b>"
    wait_until(lambda: server.counter("configs") == 1, "the old config to go")


def test_a_reload_of_workers(serve, tmp, api):
    """Each of them reads the templates again."""
    api.answer("a", type=JSON, body='{"content": "a"}')
    server = serve(top="workers = 2",
                   fragments='fragment "*" { source = "api" template = "wrap" ttl = "0" }')
    assert ask(server.address, "/fragment/a").text == "<b>a</b>"
    write_templates(tmp, **{"wrap.html": "<u>{{content}}</u>"})
    reload(server)
    for _ in range(20):
        wait_until(lambda: ask(server.address, "/fragment/a").text == "<u>a</u>", "the new template")


@pytest.mark.skipif(bool(wrapper_command()), reason="valgrind opens files of its own")
@pytest.mark.skipif(b"__asan_init" in Path(workerless_binary()).read_bytes(),
                    reason="a build with sanitizers has no sandbox")
def test_reload_in_the_sandbox(serve, tmp, api):
    """New files and directories of templates can be read."""
    api.answer("a", type=JSON, body='{"content": "a"}')
    server = serve(top='sandbox = "yes"',
                   fragments='fragment "*" { source = "api" template = "wrap" ttl = "0" }')
    assert ask(server.address, "/fragment/a").text == "<b>a</b>"
    write_templates(tmp, **{"wrap.html": "{{>new/part}}", "new/part.html": "<u>{{content}}</u>"})
    reload(server)
    assert ask(server.address, "/fragment/a").text == "<u>a</u>"


# --- the config


def test_check(tmp):
    """It shows every mistake in a template, with its place."""
    write_templates(tmp, **{"wrap.html": "a\n{{/b}}", "rain.html": "{{#x}}", "kinds.html": "{{>gone}}"})
    config = tmp / "w.conf"
    config.write_text('source "api" { type = "simulated" }\ntemplates = "templates"\n' + FRAGMENTS,
                      "utf-8")
    done = cli("check", "-c", str(config))
    assert done.returncode == 1
    there = f"{tmp}/templates"
    lines = done.stderr.splitlines()
    assert [line for line in lines if f"{there}/wrap.html:2:1: " in line]
    assert [line for line in lines if line.startswith(f"{config}:2: {there}/rain.html:1:1: ")]
    assert f'{config}:2: {there}/kinds.html:1:1: there is no template "gone" in {there}' in lines
    write_templates(tmp)
    done = cli("check", "-c", str(config))
    assert (done.returncode, done.stderr) == (0, f"{config}: ok\n")
