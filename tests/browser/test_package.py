"""<page-fragment> as an npm package, for those who have a bundler."""

from __future__ import annotations

import json
import os
import re
import subprocess

from harness.servers import TOP, need
from libraries import library

WWW = TOP / "www"


def test_bundled(tmp, site, browser):
    """`npm install` of the directory, and esbuild."""
    project = tmp / "project"
    project.mkdir()
    (project / "package.json").write_text('{ "private": true }', "utf-8")
    (project / "main.js").write_text("""
        import PageFragment from "page-fragment";
        const it = new PageFragment();
        it.name = "a";
        document.body.append(it);""", "utf-8")
    environment = {**os.environ, "HOME": str(tmp)}
    for command in ([need("npm"), "install", "--offline", "--no-audit", "--no-fund",
                     "--install-links", str(WWW)],
                    [need("node"), str(library("esbuild/bin/esbuild")), "main.js", "--bundle",
                     "--minify", "--outfile=bundle.js"]):
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    installed = project / "node_modules/page-fragment"
    assert sorted(path.name for path in installed.iterdir()) == \
        ["package.json", "page-fragment.d.ts", "page-fragment.js"]
    site.fragment("a")
    site.answer("bundle.js", body=(project / "bundle.js").read_bytes(), type="text/javascript")
    site.answer("", type="text/html", body='<!DOCTYPE html><title>test</title><body>'
                '<script src="bundle.js"></script>')
    browser.open(site.url + "/")
    browser.wait_state("a", "loaded")
    assert browser.complaints() == []


def test_version():
    """It is that of workerless."""
    version = json.loads((WWW / "package.json").read_text("utf-8"))["version"]
    assert f"AC_INIT([workerless], [{version}])" in (TOP / "configure.ac").read_text("utf-8")


def test_types_name_all_properties():
    script = (WWW / "page-fragment.js").read_text("utf-8")
    [attributes] = re.findall(r"ATTRIBUTES = \{(.*?)\};", script, re.DOTALL)
    types = (WWW / "page-fragment.d.ts").read_text("utf-8")
    for property_, default in re.findall(r"(\w+): ([^,]+)", attributes):
        kind = {"f": "boolean", '"': "string"}.get(default[0], "number")
        assert re.search(rf"^  {property_}: ({kind}|\".*\")( \| \"page\")?;$", types,
                         re.MULTILINE), property_
