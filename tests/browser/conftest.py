"""Fixtures of the tests in a browser."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Chromium  # noqa: E402
from harness import fronts  # noqa: E402
from pages import Site  # noqa: E402

FRONTS = {"nginx": fronts.nginx, "lighttpd": fronts.lighttpd}


@pytest.fixture(scope="session")
def chromium():
    """One process for all tests, since it starts slowly."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, Chromium(Path(tmp)) as started:
        yield started


@pytest.fixture
def browser(chromium, tmp):  # pylint: disable=redefined-outer-name
    """A browser that knows nothing of earlier tests."""
    chromium.renew(tmp)
    return chromium


@pytest.fixture(scope="module")
def observer():
    """Another one, which does not wait until a page has loaded."""
    with tempfile.TemporaryDirectory(prefix="wl-") as tmp, \
            Chromium(Path(tmp), waits=False) as started:
        yield started


@pytest.fixture
def scriptless(observer, tmp):  # pylint: disable=redefined-outer-name
    """A browser that runs no scripts of pages, and can be looked at while a page is loading."""
    observer.renew(tmp)
    observer.cdp("Emulation.setScriptExecutionDisabled", value=True)
    return observer


@pytest.fixture
def site(run, tmp):
    """A Site: pages and fragments without a daemon, as the test says."""
    return run(Site(tmp))


@pytest.fixture(params=FRONTS)
def front(request, tmp, run, daemon):
    """front(...) starts the daemon, with the fixture's options, and the front server before it:
    each test runs with nginx and with lighttpd. In the result, `daemon` is the daemon and `relay`
    the relay before it."""
    def start(www: Path = fronts.WWW, **options) -> fronts.FrontServer:
        server = daemon(**options)
        relay = run(fronts.Relay(tmp, server.address))
        front_server = run(FRONTS[request.param](tmp, relay.path, www=www))
        front_server.relay, front_server.daemon = relay, server
        return front_server

    return start


@pytest.fixture
def www(tmp):
    """A copy of www/, to which a test may add pages."""
    return fronts.copy_www(tmp)
