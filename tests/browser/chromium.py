"""Headless Chromium for the tests: fresh each time, and quiet on the network."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import List, Optional

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from harness.process import gone
from harness.servers import need
from harness.wait import DEADLINE, SLOWNESS, wait_until
from view import LISTEN, View

ARGUMENTS = """--headless=new --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update --disable-default-apps
--disable-dev-shm-usage --no-default-browser-check --no-proxy-server""".split()

PHONE, DESKTOP = (390, 844), (1280, 800)


class Chromium(View):
    """A browser with a profile of its own, in `tmp`. Use as a context manager, and call renew()
    before the first page. With `waits` False, all can be seen while a page is still loading.
    `without` names features of Blink that are switched off."""

    def __init__(self, tmp: Path, *, waits: bool = True, without: str = "") -> None:
        self.tmp, self.waits, self.without = Path(tmp), waits, without
        self.artifacts = self.tmp
        self.driver: Optional[webdriver.Chrome] = None

    def __enter__(self) -> "Chromium":
        profile = tempfile.mkdtemp(prefix="chromium-", dir=self.tmp)
        options = Options()
        options.binary_location = need("chromium")
        options.page_load_strategy = "normal" if self.waits else "none"
        for argument in [*ARGUMENTS, f"--user-data-dir={profile}",
                         f"--disable-blink-features={self.without}"]:
            options.add_argument(argument)
        if os.geteuid() == 0:
            options.add_argument("--no-sandbox")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # It keeps files beside the profile too; all of them go where the test's files go.
        places = {name: str(self.tmp) for name in
                  ("TMPDIR", "HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
        service = Service(need("chromedriver"), env={**os.environ, **places})
        self.driver = webdriver.Chrome(service=service, options=options)
        self.driver.set_script_timeout(DEADLINE * SLOWNESS)
        self.driver.set_page_load_timeout(DEADLINE * SLOWNESS)
        return self

    def __exit__(self, *_error) -> None:
        pid = self.driver.service.process.pid
        self.driver.quit()
        wait_until(lambda: gone(pid), "chromedriver to end")

    def renew(self, artifacts: Path) -> None:
        """Closes all tabs and forgets what they did; opens a fresh one. Screenshots go to
        $ARTIFACTS, or to the given directory."""
        old = self.driver.window_handles
        self.driver.switch_to.new_window("tab")
        fresh = self.driver.current_window_handle
        for tab in old:
            self.driver.switch_to.window(tab)
            self.driver.close()
        self.driver.switch_to.window(fresh)
        self.cdp("Network.clearBrowserCache")
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
        self.driver.get_log("browser")
        self.artifacts = Path(os.environ.get("ARTIFACTS") or artifacts)

    def other_tabs(self) -> List[str]:
        """All tabs except the current one."""
        return [tab for tab in self.driver.window_handles
                if tab != self.driver.current_window_handle]

    def cdp(self, command: str, **parameters):
        """A command of the Chrome DevTools Protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def open(self, url: str) -> None:
        """Goes there, and returns when the page has loaded, unless `waits` is False; its fragments
        may still be loading."""
        self.driver.get(url)

    def script(self, text: str, *arguments):
        return self.driver.execute_script(text, *arguments)

    # Errors.

    def complaints(self) -> List[str]:
        """Console errors and warnings since the last call, and what the page's policy blocked."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")] + self.script("return violations;")

    # Screenshots.

    def look(self, size=DESKTOP, *, dark: bool = False) -> None:
        self.cdp("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1],
                 deviceScaleFactor=1, mobile=size == PHONE)
        self.cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def shoot(self, name: str) -> None:
        """Saves the entire page as NAME.png."""
        width, height = self.script(
            "const page = document.documentElement; return [page.clientWidth, page.scrollHeight];")
        shot = self.cdp("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        self.artifacts.mkdir(parents=True, exist_ok=True)
        (self.artifacts / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def shoot_all(self, name: str) -> None:
        """On a phone and on a desktop, light and dark; nothing may be wider than the screen."""
        for device, size in (("phone", PHONE), ("desktop", DESKTOP)):
            for dark in (False, True):
                self.look(size, dark=dark)
                assert self.script("return document.documentElement.scrollWidth") <= size[0]
                self.shoot(f"{name}-{device}-{'dark' if dark else 'light'}")
