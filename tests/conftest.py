"""Fixtures for all tests, the logs of failed ones, and a time limit for tests."""

from __future__ import annotations

import faulthandler
import resource
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import process  # noqa: E402
from harness.config import api_config  # noqa: E402
from harness.peer import new_name  # noqa: E402
from harness.servers import Redis, SlowApi, Workerless  # noqa: E402
from harness.wait import SLOWNESS  # noqa: E402

TEST_SECONDS = 60  # for one test, before SLOWNESS
DESCRIPTORS = 20_000  # for this process and its children, where the system allows it
LOG_BYTES = 20_000  # of each log that are shown


@pytest.fixture
def tmp():
    """A directory with a short path, since unix sockets can't have a long one."""
    path = Path(tempfile.mkdtemp(prefix="wl-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def run(tmp):  # pylint: disable=redefined-outer-name,unused-argument
    """run(server) starts a server (or enters any context manager) that is stopped, and checked,
    after the test; returns it."""
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def name():
    """A fragment's name that is new."""
    return new_name()


@pytest.fixture
def api(tmp, run):  # pylint: disable=redefined-outer-name
    """A SlowApi."""
    return run(SlowApi(tmp))


@pytest.fixture
def redis(tmp, run):  # pylint: disable=redefined-outer-name
    """A Redis on a unix socket."""
    return run(Redis(tmp))


@pytest.fixture
def daemon(tmp, run, api):  # pylint: disable=redefined-outer-name
    """daemon(extra="...", redis="...", **options of Workerless) starts a daemon whose fragments
    all come from `api`; daemon(text, ...) starts one with that config."""
    def start(text: str = "", *, extra: str = "", redis: str = "",
              timeout: str = "60s", **options) -> Workerless:
        text = text or api_config(api, redis=redis, extra=extra, timeout=timeout)
        return run(Workerless(tmp, text, **options))

    yield start
    api.release_all()  # so that the daemon need not wait for its calls when it is stopped


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):  # pylint: disable=unused-argument
    """Adds the logs of the servers that the test started to the report of its failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in process.started:
            title = f"log of {server.name} in {server.dir}"
            report.sections.append((title, server.log()[-LOG_BYTES:]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):  # pylint: disable=unused-argument
    """Forgets servers that have ended once their test is over."""
    yield
    process.started[:] = [server for server in process.started if server.running]


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(count): what the test may take")
    raise_descriptor_limit()


def raise_descriptor_limit():
    """Some tests hold thousands of connections, and most systems let a process have 1,024
    descriptors until it asks for more. It does not ask for an unlimited number, since servers size
    their tables by it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Ends a test that hangs, and shows where."""
    marker = item.get_closest_marker("seconds")
    seconds = (marker.args[0] if marker else TEST_SECONDS) * SLOWNESS

    def give_up(_number, _frame):
        faulthandler.dump_traceback()
        raise AssertionError(f"{item.nodeid} took more than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
