"""A headless Chromium for the tests of pages, which are skipped where there is none."""

import shutil
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

#: Without these Chromium asks its maker's hosts for updates, and root may not start it.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="session")
def browser():
    """One browser for all tests of a process."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine: install Debian's package chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@contextmanager
def page_of(browser, url, *, viewport=DESKTOP, scheme="light", **options):
    """Open a page; at the end nothing may have gone wrong in it, and nothing left its origin."""
    context = browser.new_context(viewport=viewport, color_scheme=scheme, **options)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    faults = []
    page = context.new_page()
    page.on("console", lambda said: said.type == "error" and faults.append(said.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.extend(_foreign(request.url, url)))
    page.goto(url)
    yield page
    context.close()
    assert faults == []


def serious_faults(page):
    """Return what axe-core finds that is serious or critical, a line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def _foreign(asked, own):
    if asked.startswith(("data:", "blob:")):
        return []
    there, here = urlsplit(asked), urlsplit(own)
    return [] if (there.scheme, there.netloc) == (here.scheme, here.netloc) else [asked]
