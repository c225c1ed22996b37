"""Runs unit test programs and pytest, and ends with one line: N passed, N failed.

    run.py --output DIR [--unit PROGRAM ...] [--pytest PATH ...]

Each unit program is a cmocka program; its tests are counted one by one. PATHs are relative to the
top of the sources, which $TOP_SRCDIR names. $PYTEST_ARGS holds more arguments for pytest; tests
named there are run instead of the PATHs. $WORKERLESS_WRAPPER goes before every unit program, and
the test harness puts it before the daemon.

Reports of valgrind and the sanitizers go to files DIR/report.* whatever process makes them; any
report fails the run, even one that no test noticed. Nothing is written outside of DIR and $TMPDIR.

Exit status: 0 if something passed and nothing failed.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

NO_TESTS = 5  # pytest's status if -k has left none
UNIT_SECONDS = 120  # for one unit program; ten times as long under a wrapper
PYTEST_SECONDS = 25 * 60  # for all of pytest; four times as long under a wrapper


class Counts:
    """Tests by outcome."""

    def __init__(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.passed + other.passed, self.failed + other.failed,
                      self.skipped + other.skipped)

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


def count_tap(text: str) -> Counts:
    """Counts the test lines of cmocka's TAP output. What its plans promise and its lines do not
    show has failed: the program ended before it."""
    planned = sum(int(count) for count in re.findall(r"^1\.\.(\d+)$", text, re.MULTILINE))
    counts = Counts()
    for bad, rest in re.findall(r"^(not )?ok\b(.*)$", text, re.MULTILINE):
        if "# SKIP" in rest:
            counts.skipped += 1
        elif bad:
            counts.failed += 1
        else:
            counts.passed += 1
    shown = counts.passed + counts.failed + counts.skipped
    counts.failed += max(0, planned - shown)
    return counts


def run_unit(program: Path, wrapper: list[str]) -> Counts:
    """Runs one cmocka program; shows what it wrote if a test failed."""
    try:
        done = subprocess.run(
            [*wrapper, str(program)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, errors="replace", check=False,
            env={**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"},
            timeout=UNIT_SECONDS * (10 if wrapper else 1))
        output, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as expired:
        output, status = (expired.stdout or b"").decode(errors="replace"), "time-out"
    except OSError as error:
        output, status = str(error), "not started"
    counts = count_tap(output)
    if status != 0 and counts.failed == 0 or counts.passed + counts.failed + counts.skipped == 0:
        counts.failed += 1
    print(f"{program.name}: {counts}", flush=True)
    if counts.failed:
        print(f"{output.rstrip()}\n{program.name}: status {status}", flush=True)
    return counts


def count_junit(path: Path) -> Counts:
    """Counts the test cases in pytest's XML report."""
    counts = Counts()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            counts.failed += 1
        elif "skipped" in outcomes:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def named_tests(arguments: list[str], top: Path) -> list[str]:
    """The arguments with those that name tests of ours made absolute; empty if there are none."""
    found = [word for word in arguments
             if not word.startswith("-") and (top / word.partition("::")[0]).exists()]
    return [str(top / word) if word in found else word for word in arguments] if found else []


class Suite:
    """A pytest as a child, so that a crash or hang of it is a failure like any other. The output of
    one that runs beside another is shown at its end."""

    def __init__(self, name: str, arguments: list[str], top: Path, output: Path,
                 beside: bool) -> None:
        self.report, self.log = output / f"pytest-{name}.xml", output / f"pytest-{name}.log"
        self.report.unlink(missing_ok=True)
        self.beside = beside
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra", "--durations=5",
                 f"--rootdir={top / 'tests'}", f"--junitxml={self.report}", *arguments],
                stdin=subprocess.DEVNULL, stdout=log if beside else None,
                stderr=subprocess.STDOUT if beside else None,
                env={"ARTIFACTS": str(output / "pictures"), **os.environ})

    def end(self, seconds: float) -> Counts:
        """Waits for it, but no longer than that."""
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            print("pytest: taking too long, stopped", flush=True)
            status = stop(self.child)
        if self.beside:
            print(self.log.read_text("utf-8", "replace"), end="", flush=True)
        try:
            counts = count_junit(self.report)
        except (OSError, ElementTree.ParseError):
            counts = Counts()
        chosen_elsewhere = status == NO_TESTS and bool(os.environ.get("PYTEST_ARGS"))
        if status != 0 and counts.failed == 0 and not chosen_elsewhere:
            print(f"pytest: status {status}", flush=True)
            counts.failed += 1
        return counts


def run_pytest(paths: list[str], top: Path, output: Path) -> Counts:
    """Runs the paths side by side: tests mostly wait."""
    given = shlex.split(os.environ.get("PYTEST_ARGS", ""))
    named = named_tests(given, top)
    wrapped = bool(os.environ.get("WORKERLESS_WRAPPER"))
    until = time.monotonic() + PYTEST_SECONDS * (4 if wrapped else 1)
    suites: list[Suite] = []
    try:
        if named:
            suites.append(Suite("named", named, top, output, False))
        for path in [] if named else paths:
            suites.append(Suite(Path(path).name, [*given, str(top / path)], top, output,
                                bool(suites)))
        total = Counts()
        for suite in suites:
            total += suite.end(max(1.0, until - time.monotonic()))
        return total
    finally:
        for suite in suites:
            stop(suite.child)


def stop(child: subprocess.Popen) -> int:
    """Interrupts pytest, which then stops the servers that it started."""
    if child.poll() is None:
        child.send_signal(signal.SIGINT)
    try:
        return child.wait(60)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def prepare_reports(output: Path) -> None:
    """Empties `output` of old reports and lets the sanitizers write theirs there. Valgrind's place
    is in the wrapper's own options."""
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("report.*"):
        old.unlink()
    place = f"log_path={output}/report"
    common = f"exitcode=99:{place}"
    for name, options in (
            ("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1:"
                             "detect_stack_use_after_return=1:" + common),
            ("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1:" + common),
            ("LSAN_OPTIONS", common)):
        os.environ[name] = options + ":" + os.environ.get(name, "")


def show_reports(output: Path) -> int:
    """Prints the reports; returns how many there are. Notes of valgrind about itself, such as of a
    system call that it does not know, are none: they begin with --PID--."""
    found = [path for path in sorted(output.glob("report.*"))
             if re.search("^(?!--[0-9]+--).", path.read_text("utf-8", "replace"), re.MULTILINE)]
    for path in found:
        print(f"--- {path.name}\n{path.read_text(errors='replace').rstrip()}", flush=True)
    return len(found)


def main() -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--unit", nargs="*", default=[])
    parser.add_argument("--pytest", nargs="*", default=[])
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    output = options.output.resolve()
    prepare_reports(output)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

    total = Counts()
    wrapper = shlex.split(os.environ.get("WORKERLESS_WRAPPER", ""))
    for program in options.unit:
        total += run_unit(Path(program).resolve(), wrapper)
    if options.pytest:
        total += run_pytest(options.pytest, Path(os.environ["TOP_SRCDIR"]).resolve(), output)

    reports = show_reports(output)
    if reports:
        print(f"{reports} reports of memory errors or undefined behaviour, printed above")
        total.failed = max(total.failed, reports)
    print(total, flush=True)
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
