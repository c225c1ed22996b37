"""workerless render: what templates make of JSON, and what is said of mistakes."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from harness.cli import cli, command_line

OK, FAILED, USAGE = range(3)

# A template, the data, the partials, and the result.
GOOD = {
    "values": ("{{name}} & {{{name}}} & {{&name}}", {"name": "<b>"}, {},
               "&lt;b&gt; & <b> & <b>"),
    "numbers": ("{{a}} {{b}} {{c}} {{d}}", {"a": 5, "b": 1.25, "c": True, "d": None}, {},
                "5 1.25 true "),
    "a list": ("{{#.}}<li>{{.}}</li>{{/.}}", [1, "two"], {}, "<li>1</li><li>two</li>"),
    "a text": ("({{.}})", "x", {}, "(x)"),
    "nothing": ("({{.}})", None, {}, "()"),
    "sections": ("{{#on}}yes{{/on}}{{^off}}no{{/off}}", {"on": 1, "off": ""}, {}, "yesno"),
    "an empty list": ("{{^items}}none{{/items}}{{#items}}some{{/items}}", {"items": []}, {}, "none"),
    "delimiters": ("{{=<% %>=}}<% a %>{{a}}", {"a": 1}, {}, "1{{a}}"),
    "a comment": ("a{{! {{b}} }}c", {}, {}, "a }}c"),
    "a partial": ("{{>row}}", {"x": 1}, {"row": "[{{x}}]"}, "[1]"),
    "an ending": ("{{>row}}{{>cell}}{{>row.html}}", {"x": 1},
                  {"row.html": "[{{x}}]", "cell.mustache": "-"}, "[1]-[1]"),
    "a folder": ("{{>shop/row}}", {"x": 1}, {"shop/row.html": "[{{x}}]"}, "[1]"),
    "a dynamic name beside a folder": ("{{>*x}}", {"x": "a"}, {"a": "A", "row/b": "b"}, "A"),
    "a folder and a file": ("{{>row}}", {"x": 1}, {"row/a.html": "a", "row.html": "b"}, "b"),
    "recursion": ("{{>tree}}", {"n": 1, "kids": [{"n": 2, "kids": []}]},
                  {"tree": "{{n}}({{#kids}}{{>tree}}{{/kids}})"}, "1(2())"),
    "inheritance": ("{{<page}}{{$main}}mine{{/main}}{{/page}}", {},
                    {"page": "<{{$main}}yours{{/main}}{{$foot}}foot{{/foot}}>"}, "<minefoot>"),
    "dynamic": ("{{#items}}{{>*kind}}{{/items}}",
                {"items": [{"kind": "a"}, {"kind": "b"}, {"kind": "../x"}, {"kind": "none"}]},
                {"a.html": "A", "b": "B", "c.txt": "{{"}, "AB"),
    "indentation": ("  {{>list}}\n", {}, {"list": "a\nb\n"}, "  a\n  b\n"),
}

# A template, its partials, and the message about it; DIR stands for the directory.
BAD = {
    "not closed": ("a\n  {{#b}}", {}, "DIR/t.html:2:3: "),
    "a bad partial": ("{{>p}}", {"p.html": "\n {{/x}}"}, "DIR/p.html:2:2: "),
    "a list": ("{{list}}", {}, 'DIR/t.html:1:1: "list" is a list here, not a text'),
    "endless": ("{{>p}}", {"p": "{{>p}}"}, "DIR/p:1:1: more than 256 "),
    "outside": ("x{{>../secret}}", {}, "DIR/t.html:1:2: the name of a template is a path within"),
    "hidden": ("{{>.git/config}}", {}, "DIR/t.html:1:1: the name of a template is a path within"),
    "absolute": ("{{>/etc/passwd}}", {}, "DIR/t.html:1:1: the name of a template is a path within"),
    "a link": ("{{>link}}", {}, "DIR/t.html:1:1: DIR/link: a symbolic link leads out"),
    "a fifo": ("{{>fifo}}", {}, "DIR/t.html:1:1: DIR/fifo: not a regular file"),
}


@pytest.fixture(name="write")
def fixture_write(tmp):
    """Writes a template and its partials; returns the path of the template."""
    directory = tmp / "templates"

    def write(text, partials):
        for name, content in partials.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(content, "utf-8")
        directory.mkdir(exist_ok=True)
        (directory / "t.html").write_text(text, "utf-8")
        return directory / "t.html"

    return write


@pytest.mark.parametrize("case", GOOD)
def test_results(write, case):
    text, data, partials, result = GOOD[case]
    done = cli("render", str(write(text, partials)), typed=json.dumps(data))
    assert (done.stderr, done.stdout, done.returncode) == ("", result, OK)


@pytest.mark.parametrize("case", BAD)
def test_mistakes(write, tmp, case):
    """Nothing is written then."""
    text, partials, message = BAD[case]
    path = write(text, partials)
    (tmp / "secret").write_text("secret", "utf-8")
    (path.parent / "link").symlink_to("../secret")
    os.mkfifo(path.parent / "fifo")
    done = cli("render", str(path), typed='{"list": [1]}')
    assert (done.stdout, done.returncode) == ("", FAILED)
    assert done.stderr.replace(str(path.parent), "DIR").startswith(message)


def test_links_within(write):
    """As in a volume of Kubernetes, where every file is a link."""
    path = write("{{>row}}", {"..data/row.html": "[{{x}}]"})
    (path.parent / "row.html").symlink_to("..data/row.html")
    assert cli("render", str(path), typed='{"x": 1}').stdout == "[1]"


def test_where_partials_are(write, tmp):
    path = write("{{>row}}", {"row": "beside"})
    other = tmp / "other"
    other.mkdir()
    (other / "row").write_text("other", "utf-8")
    assert cli("render", str(path), typed="{}").stdout == "beside"
    assert cli("render", "--partials", str(other), str(path), typed="{}").stdout == "other"
    assert cli("render", "t.html", cwd=path.parent, typed="{}").stdout == "beside"


def test_a_missing_partial(write):
    """The specification leaves it out; a config will not have it."""
    done = cli("render", str(write("a\n{{>none}}b", {})), typed="{}")
    assert (done.stdout, done.returncode) == ("a\nb", OK)
    assert "t.html:2:1: there is no template \"none\" in " in done.stderr
    assert "a warning here" in done.stderr


@pytest.mark.parametrize("text, message", [
    ("", "stdin: the JSON is invalid in line 1: "),
    ('{"a":\n}', "stdin: the JSON is invalid in line 2: "),
    ("[" * 3000, "stdin: the JSON is invalid in line 1: "),
    ('"' + "x" * (16 << 20) + '"', "stdin: more than 16 MiB"),
], ids=["empty", "broken", "deep", "long"])
def test_bad_json(write, text, message):
    done = cli("render", str(write("x", {})), typed=text)
    assert (done.stdout, done.returncode) == ("", FAILED) and done.stderr.startswith(message)


def test_files_that_can_not_be_read(tmp):
    done = cli("render", f"{tmp}/none.html", typed="{}")
    assert done.returncode == FAILED and done.stderr == f"{tmp}/none.html: No such file or directory\n"
    assert cli("render", str(tmp), typed="{}").returncode == FAILED
    (tmp / "large").write_text("x" * (1 << 20) + "x", "utf-8")
    assert "larger than 1 MiB" in cli("render", f"{tmp}/large", typed="{}").stderr
    assert cli("render", typed="{}").returncode == USAGE
    assert cli("render", "a", "b", typed="{}").returncode == USAGE


def test_a_full_disk(write):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(command_line("render", str(write("x", {}))), input="{}", stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == FAILED and "can't write to stdout" in done.stderr
