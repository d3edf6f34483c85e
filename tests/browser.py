"""A headless browser for a test: Chromium or Chrome of this machine, through playwright."""

import importlib.util
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser():
    """The path of the first browser of this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def why_none():
    """What to install before a browser can be used; "" where nothing is missing."""
    missing = [] if find_browser() else [f"a browser ({', '.join(NAMES)})"]
    if importlib.util.find_spec("playwright") is None:
        missing.append("the Python package playwright")
    return f"install {' and '.join(missing)}" if missing else ""


needs_browser = pytest.mark.skipif(bool(why_none()), reason=why_none() or "nothing is missing")


@contextmanager
def open_page(url, *, width=1280, height=900, dark=False):
    """A page in a browser of its own, and the list of the addresses that it asks for."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))
        try:
            scheme = "dark" if dark else "light"
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(url)
            yield page, asked
        finally:
            browser.close()
