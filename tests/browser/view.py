"""What a page in some browser shows."""

from __future__ import annotations

from typing import List

from harness.wait import wait_until

# Runs before any script of a page. `heard` are the events of its fragments: "load a".
LISTEN = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
    event => violations.push(event.violatedDirective + " " + event.blockedURI));
window.heard = [];
for (const type of
        ["loadstart", "fragment:beforeswap", "fragment:swap", "load", "error", "loadend"])
    document.addEventListener(type, event =>
        event.detail?.name && heard.push(`${type} ${event.detail.name}`), true);
"""


class View:
    """A page in which script() runs scripts. The other methods look at its `window`, which may be a
    frame."""

    window = "window"

    def script(self, text: str, *arguments):
        raise NotImplementedError

    def fragment(self, name: str, what: str):
        """A property of the first <page-fragment> of that name."""
        return self.script(
            f"const it = {self.window}.document.querySelector("
            f"`page-fragment[name='${{arguments[0]}}']`); return it?.{what};", name)

    def state(self, name: str) -> str:
        return self.fragment(name, "getAttribute('state')")

    def text(self, name: str) -> str:
        return self.fragment(name, "innerText?.trim()")

    def busy(self, name: str) -> bool:
        return self.fragment(name, "getAttribute('aria-busy')") == "true"

    def wait_state(self, name: str, state: str) -> None:
        wait_until(lambda: self.state(name) == state, f"fragment {name} to be {state}")

    def heard(self, name: str) -> List[str]:
        """The types of the events of that fragment, in their order."""
        return [event.split(" ")[0] for event in self.script(f"return {self.window}.heard;")
                if event.split(" ")[1] == name]
