"""A page in a real browser, without a driver: frames of given widths, measured by a script beside them."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--enable-logging=stderr",
    "--virtual-time-budget=20000",
)
PROBE = Path(__file__).with_name("probe.js")


def _browser() -> str:
    """The browser's path; a skip with the reason where there is none, a failure in CI."""
    for name in CANDIDATES:
        if path := shutil.which(name):
            return path
    reason = "no Chromium here: install it to check pages in a real browser"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _open(page: Path, folder: Path, widths: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """Measurements of the page at each width, and ``console``: what it wrote to the console."""
    source = html.escape(page.read_text(), quote=True)
    frames = "".join(
        f'<iframe srcdoc="{source}" style="border:0;width:{width}px;height:844px"></iframe>'
        for width in widths
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        "<!DOCTYPE html><meta charset=utf-8><body>"
        f"{frames}<pre id=found></pre><script>{PROBE.read_text()}</script>"
    )
    command = [
        _browser(),
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1500,1000",
        "--dump-dom",
        wrapper.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert match, done.stderr[-2000:]
    assert match[1], "the page did not load"
    measured = {int(width): values for width, values in json.loads(html.unescape(match[1])).items()}
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    for values in measured.values():
        values["console"] = console
    return measured


def _assert_sound(measured: dict[int, dict[str, Any]], images: int) -> None:
    """What every page must satisfy."""
    for width, values in measured.items():
        assert values["console"] == [], width
        assert values["scroll"] <= values["client"], (width, values["wide"])
        assert values["wide"] == [], width
        assert values["broken"] == [], width
        assert values["images"] >= images, width
        assert values["outside"] == [], width
        assert values["targets"] == 0, width
        assert values["hiddenFocus"] == 0, width


@pytest.fixture
def open_page(tmp_path):
    """Opens a page at some widths and gives what a browser finds there."""

    def opened(page: Path, widths: tuple[int, ...] = (390, 1400)) -> dict[int, dict[str, Any]]:
        folder = tmp_path / "browser"
        folder.mkdir(exist_ok=True)
        return _open(page, folder, widths)

    return opened


@pytest.fixture
def assert_sound():
    """Asserts what every page must satisfy."""
    return _assert_sound
