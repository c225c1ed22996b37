"""README's three steps to a whole page in one response, as they are written there."""

import re
import shutil

import pytest

from harness import fronts
from harness.events import HttpStream
from harness.httpc import get
from harness.servers import TOP, Workerless

README = (TOP / "README.md").read_text("utf-8")
SECTION = README.partition("## The whole page, one response\n")[2].partition("\n## ")[0]
STEPS = re.split(r"(?m)^\*\*\d\. .*?\*\*", SECTION)[1:]


def blocks(step: int) -> list:
    """The literal blocks of a step."""
    return re.findall(r"(?ms)^```\w*\n(.*?)^```$", STEPS[step - 1])


@pytest.fixture(name="site")
def make_site(tmp, run, api):
    """site(skeleton) is nginx, with the daemon behind it."""
    def start(skeleton: str):
        www = tmp / "www"
        shutil.copytree(fronts.WWW, www)
        (www / "index.html").write_text(skeleton, "utf-8")
        config = f'''cache {{ redis = "" }}
            source "api" {{ type = "http" url = "{api.url}/{{name}}" }}
            {blocks(1)[1].replace("index.html", str(www / "index.html"))}'''
        server = run(Workerless(tmp, config))
        location, = blocks(2)
        front = run(fronts.nginx(tmp, server.socket_path, www=www, changes={
            "location ^~ /fragment/ {": f"{location}\n        location ^~ /fragment/ {{"}))
        front.daemon = server
        return front

    yield start
    api.release_all()


def test_there_are_three_steps():
    assert len(STEPS) == 3 and [len(blocks(step)) for step in (1, 2, 3)] == [2, 1, 2]


def test_steps_one_and_two(site, api):
    """The skeleton at once, then each fragment; and the whole page from memory."""
    skeleton = blocks(1)[0]
    front = site(skeleton)
    api.hold("news", "weather")
    with HttpStream(front.address, "/", "text/html") as stream:
        stream.wait_body(b"<h1>The Daily</h1>")
        api.wait_calls("news", 1)
        api.release("news", "weather")
        stream.wait_body(b"</html>")
    warm = get(front.address, "/").text
    for name in ("news", "weather"):
        skeleton = re.sub(rf'<\?start name="{name}">.*?<\?end>',
                          f'<div id="{name}">result for {name}</div>', skeleton)
    assert warm == skeleton and "<?" not in warm
    assert api.calls() == 2


def test_step_three(site, api):
    """The elements get their content where the placeholders were."""
    script, elements = blocks(3)
    skeleton = blocks(1)[0].replace("</head>", script + "</head>")
    for element in elements.splitlines():
        placeholder = re.search(r"<\?start.*<\?end>", element).group()
        assert placeholder in skeleton
        skeleton = skeleton.replace(placeholder, element)
    front = site(skeleton)
    assert get(front.address, "/page-fragment.js").status == 200
    text = [get(front.address, "/").text for _ in range(2)][1]
    for name in ("news", "weather"):
        assert f'<page-fragment name="{name}" stream="page"><div id="{name}">result' in text
    assert api.calls() == 2
