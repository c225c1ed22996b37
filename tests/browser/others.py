"""Firefox and WebKit, for the tests that every browser has to pass."""

from __future__ import annotations

import glob
import itertools
import json
import os
from pathlib import Path
from typing import Optional

from selenium import webdriver
from selenium.webdriver.webkitgtk.options import Options

from harness.process import Port, Server, accepts, connect
from harness.servers import need
from harness.wait import DEADLINE, SLOWNESS
from view import View

MINI_BROWSER = "/usr/lib/*/webkit*gtk-*/MiniBrowser"

PREFERENCES = {
    "marionette.port": 0,  # any
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.server": "data:,",
}


class Firefox(Server, View):
    """Headless Firefox, driven over Marionette, its own protocol: JSON arrays with their length."""

    name = "firefox"

    def __init__(self, tmp: Path) -> None:
        super().__init__(tmp)
        self.environment = {"HOME": str(self.dir), "TMPDIR": str(self.dir),
                            "MOZ_CRASHREPORTER_DISABLE": "1"}
        self._ids = itertools.count()
        self._socket: Optional[object] = None
        self._file: Optional[object] = None
        (self.dir / "user.js").write_text("".join(
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in PREFERENCES.items()), "utf-8")

    def command_line(self):
        return [need("firefox-esr"), "--headless", "--marionette", "--no-remote",
                "--profile", str(self.dir), "about:blank"]

    def ready(self) -> bool:
        try:
            port = int((self.dir / "MarionetteActivePort").read_text("ascii"))
            self._socket = connect(("127.0.0.1", port))
        except (FileNotFoundError, ValueError, ConnectionError):
            return False
        self._file = self._socket.makefile("rb")
        self._receive()
        self._call("WebDriver:NewSession")
        return True

    def stop(self) -> None:
        if self._socket:
            self._call("Marionette:Quit", flags=["eForceQuit"])
            self._file.close()
            self._socket.close()
            self._socket = None
            self.wait()
        super().stop()

    def _receive(self):
        length = b""
        while not length.endswith(b":"):
            byte = self._file.read(1)
            assert byte, f"Firefox has ended:\n{self.log()}"
            length += byte
        return json.loads(self._file.read(int(length[:-1])))

    def _call(self, command: str, **parameters):
        message = json.dumps([0, next(self._ids), command, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, result = self._receive()
        assert not error, error
        return result

    def open(self, url: str) -> None:
        self._call("WebDriver:Navigate", url=url)

    def script(self, text: str, *arguments):
        return self._call("WebDriver:ExecuteScript", script=text, args=arguments)["value"]


def has_steady_webkit() -> bool:
    """The MiniBrowser of Debian 13 hangs now and then when it is driven."""
    return not Path("/etc/debian_version").read_text("ascii").startswith("13")


class Screen(Server):
    """An X server without a screen."""

    name = "xvfb"

    def command_line(self):
        return [need("Xvfb"), "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "1280x800x24"]

    def ready(self) -> bool:
        return self.log().endswith("\n")

    @property
    def display(self) -> str:
        return f":{self.log().split()[-1]}"


class WebKit(Server, View):
    """WebKitGTK's MiniBrowser; with an X server of its own."""

    name = "webkit"

    def __init__(self, tmp: Path) -> None:
        super().__init__(tmp)
        self.screen = Screen(tmp)
        self.port = Port()
        self.driver: Optional[webdriver.Remote] = None

    def command_line(self):
        return [need("WebKitWebDriver"), f"--port={self.port.number}"]

    def ready(self) -> bool:
        return accepts(("127.0.0.1", self.port.number))

    def start(self) -> "WebKit":
        self.screen.start()
        self.environment = {"DISPLAY": self.screen.display, "HOME": str(self.dir),
                            "XDG_RUNTIME_DIR": str(self.dir), "GDK_BACKEND": "x11",
                            "GSETTINGS_BACKEND": "memory"}
        if os.geteuid() == 0:  # its sandbox, as Chromium's, is not for root
            self.environment["WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS"] = "1"
        super().start()
        options = Options()
        options.capabilities.pop("platform", None)  # nobody may ask for it any longer
        options.binary_location = sorted(glob.glob(MINI_BROWSER))[0]
        options.add_argument("--automation")
        self.driver = webdriver.Remote(f"http://127.0.0.1:{self.port.number}", options=options)
        self.driver.set_script_timeout(DEADLINE * SLOWNESS)
        self.driver.set_page_load_timeout(DEADLINE * SLOWNESS)
        return self

    def stop(self) -> None:
        if self.driver:
            self.driver.quit()
            self.driver = None
        super().stop()
        self.screen.stop()
        self.port.close()

    def open(self, url: str) -> None:
        self.driver.get(url)

    def script(self, text: str, *arguments):
        return self.driver.execute_script(text, *arguments)
