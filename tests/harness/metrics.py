"""Metrics as a strict reader of OpenMetrics sees them, and what promtool says of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Dict, Tuple

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from .fcgi import Address, Response, ask

PATH = "/workerless/metrics"
TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def parse(text: str) -> Dict[Tuple[str, ...], float]:
    """Values by name and labels, such as ("workerless_hits_total", "cache=memory"). Fails if the
    text is not OpenMetrics, or a sample comes twice."""
    values: Dict[Tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family
        for sample in family.samples:
            key = (sample.name, *(f"{name}={value}" for name, value in sample.labels.items()))
            assert key not in values, key
            values[key] = sample.value
    return values


def fetch(address: Address, **options) -> Response:
    return ask(address, PATH, **options)


def read(address: Address) -> Dict[Tuple[str, ...], float]:
    """The metrics of a daemon."""
    response = fetch(address)
    assert response.status == 200, response.stdout
    return parse(response.text)


def nonzero(values: Dict[Tuple[str, ...], float], name: str) -> Dict[Tuple[str, ...], float]:
    """Those with that name that are not 0, by their labels."""
    return {key[1:]: value for key, value in values.items() if key[0] == name and value}


def _promtool(*arguments: str, text: str = "") -> str:
    """What it prints if it finds something wrong. Empty if it is not installed."""
    promtool = shutil.which("promtool")
    if not promtool:
        return ""
    done = subprocess.run([promtool, *arguments], input=text, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.stdout or f"status {done.returncode}" if done.returncode else ""


def complaints(text: str) -> str:
    """What promtool finds in the older text format. It does not know the newer one."""
    return _promtool("check", "metrics", text=text)


def complaints_about_rules(file: Path) -> str:
    return _promtool("check", "rules", str(file))
