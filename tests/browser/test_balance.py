"""What render/balance says of fragments, against a real parser: does what is around a fragment stay
around it? The rows are those of the unit test."""

from __future__ import annotations

import ast
import re
from typing import List, NamedTuple

from harness.events import query
from harness.fcgi import Connection
from harness.servers import TOP

# Runs in an empty page. parse(html, scripts) is the document of that text, made by the parser of
# documents, in a frame that runs scripts or does not.
FRAMES = """
const frames = [true, false].map(scripts => {
    const frame = document.createElement("iframe");
    if (!scripts) frame.sandbox = "allow-same-origin";
    document.body.append(frame);
    return frame;
});
function parse(html, scripts) {
    const page = frames[scripts ? 0 : 1].contentDocument;
    page.open();
    page.write("<!DOCTYPE html><title></title><main id=m>" + html + "<hr id=sentinel>");
    page.close();
    return page;
}
const all = (page, places) => Object.entries(places).every(
    ([id, parent]) => page.getElementById(id)?.parentNode === parent);
"""

# The functions say whether nothing was harmed.
PARSER = FRAMES + """
function comment(page, data) {
    const walker = page.createTreeWalker(page, NodeFilter.SHOW_COMMENT);
    while (walker.nextNode()) if (walker.currentNode.data === data) return walker.currentNode;
}

/* In a template of a stream, whose placeholder is beside another one, or in the range of one. */
const beside = (html, scripts) => {
    const page = parse(`<?start name="x">wait<?end><p id=between></p><?marker name="y"></main>
        <template for="x">${html}<!--last--></template>
        <template for="y"><i id=late></i></template>`, scripts);
    const main = page.getElementById("m");
    return all(page, {m: page.body, between: main, late: main, sentinel: page.body}) &&
        main.contains(comment(page, "last")) &&
        page.getElementById("late").previousSibling === page.getElementById("between");
};
const nested = (html, scripts) => {
    const page = parse(`<?start name="y"><?start name="x">wait<?end><p id=between></p><?end>
        <b id=kept></b></main><template for="x">${html}</template>
        <template for="y"><i id=late></i></template>`, scripts);
    const main = page.getElementById("m");
    return all(page, {m: page.body, late: main, kept: main, sentinel: page.body}) &&
        !page.getElementById("between");
};

/* In place: in an element with a marker after it, and in the range of another placeholder. */
const before = (html, scripts, name) => {
    const page = parse(`<${name} id=s>${html}<!--last--><?marker name="y"><i id=after></i></${name}>
        <p id=between></p></main><template for="y"><i id=late></i></template>`, scripts);
    const [main, place] = ["m", "s"].map(id => page.getElementById(id));
    return all(page, {m: page.body, s: main, after: place, between: main, late: place,
                      sentinel: page.body}) &&
        page.getElementById("late").previousSibling === comment(page, "last") && !place.shadowRoot;
};
const within = (html, scripts, name) => {
    const page = parse(`<${name} id=s><?start name="y">${html}<i id=gone></i><?end><b id=kept></b>
        </${name}></main><template for="y"><i id=late></i></template>`, scripts);
    const [main, place] = ["m", "s"].map(id => page.getElementById(id));
    return all(page, {m: page.body, s: main, kept: place, late: place, sentinel: page.body}) &&
        !page.getElementById("gone");
};
const both = [true, false];
return arguments[0].map(([html, names]) => [
    both.every(scripts => beside(html, scripts) && nested(html, scripts)),
    names.every(name => both.every(
        scripts => before(html, scripts, name) && within(html, scripts, name))),
]);
"""


class Row(NamedTuple):
    cautious: bool
    section: str
    html: str
    in_template: str  # the names of the flaws
    in_place: str

    def around(self) -> List[str]:
        """Elements that the fragment is put into. What has an end tag too many must not close its
        own."""
        names = re.findall(r"</([a-z]+)", self.html) if self.in_place == "STRAY" else []
        return ["section"] + [name for name in names if name not in ("template", "body", "html")]


def read_rows() -> List[Row]:
    text = (TOP / "tests/unit/balance_rows.h").read_text("utf-8")
    found = re.findall(r'^(ROW|CAUTIOUS)\(\s*"([^"]*)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+),'
                       r"\s*(\w+),\s*(\w+)\)", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^(?:ROW|CAUTIOUS)\(", text, re.MULTILINE)) > 200
    return [Row(kind == "CAUTIOUS", section, ast.literal_eval(f"({html})"), *flaws)
            for kind, section, html, *flaws in found]


def test_rows(browser):
    """What is clean does no harm, with scripts or without; what is not does."""
    rows = read_rows()
    browser.open("about:blank")
    harmless = browser.script(PARSER, [[row.html, row.around()] for row in rows])
    assert len(harmless) == len(rows)
    wrong = []
    for row, kept in zip(rows, harmless):
        for way, flaw, well in zip(("in a template", "in place"), row[3:], kept):
            if not well if flaw == "NO_FLAW" else well and not row.cautious:
                wrong.append((way, row))
    assert not wrong, "\n".join(map(str, wrong))


# A page with a placeholder for each name, and a stream of templates after them. Returns whether all
# else is where it was, with scripts and without, and what the placeholders have become.
STREAM = FRAMES + """
const [names, stream] = arguments;
const sections = names.map(name => `<section id="${name}"><?marker name="${name}"></section>`);
return [true, false].map(scripts => {
    const page = parse(sections.join("") + "<b id=kept></b></main>" + stream, scripts);
    const main = page.getElementById("m");
    return [all(page, {m: page.body, kept: main, sentinel: page.body}) &&
                main.querySelectorAll(":scope > section").length === names.length,
            names.map(name => page.getElementById(name)?.innerHTML)];
});
"""


def test_rows_in_a_stream(browser, daemon, api):
    """All of them in one stream of templates: those with a flaw have failed, the others are there,
    and what comes after the stream stays outside."""
    rows = {f"row-{number}": row for number, row in enumerate(read_rows())}
    server = daemon(extra="max_stream = 1000")
    for name, row in rows.items():
        api.answer(name, type="text/html; charset=utf-8", body=row.html)
    with Connection(server.address) as connection:
        stream = connection.request("/fragments", query=query(list(rows)),
                                    headers={"Accept": "text/html"}).text
    browser.open("about:blank")
    for unharmed, placed in browser.script(STREAM, list(rows), stream):
        assert unharmed
        for (name, row), html in zip(rows.items(), placed):
            failed = "fragment-error" in html
            assert failed == (row.in_template != "NO_FLAW") and f'"{name}"' not in html, row
    (harmed, _), _ = browser.script(STREAM, list(rows), "".join(
        f'<template for="{name}">{row.html}</template>' for name, row in rows.items()))
    assert not harmed
