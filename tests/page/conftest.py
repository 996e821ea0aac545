"""One deployment, one server and one Chromium for all tests of the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from starlette.applications import Starlette

from heliostat.api.page.serving import page_routes

from .browser import launched, opened
from .local import LocalDeployment
from .site import EXAMPLES, STAGE, Server, Site

SHOWN = ("hello", "survey", "documents", "order")

HUMBLE = """\
id: humble
version: "1"
description: Waits for a signal, and fails if told so.
steps:
  - id: wait
    type: wait
    signal: go
    next: [{when: $.output.data == "break", to: fail}, {to: done}]
  - {id: fail, type: decision, fail: {type: Broken, message: "as it was told"}}
  - {id: done, type: decision, output: $.steps.wait.output.data}
"""

QUICK = """\
id: quick
version: "1"
steps:
  - {id: done, type: decision, output: $.input}
"""


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("page")
    deployment = LocalDeployment(home, [STAGE, *(EXAMPLES / name for name in SHOWN)])
    site = Site(deployment, namespace="stage")
    site.up()
    try:
        site.client.register(STAGE / "claims.yaml")
        for name in SHOWN:
            site.client.register(EXAMPLES / name / f"{name}.yaml")
        site.client.register(HUMBLE)
        site.client.register(QUICK)
        site.serve()
        yield site
    finally:
        site.vanish()
        site.down()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Ends with this folder's tests: Playwright keeps an event loop running in this thread, beside
    which no async test of another folder could run."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of a large screen, in English."""
    with opened(browser, site.url, site.namespace, viewport={"width": 1440, "height": 900}) as page:
        yield page


@pytest.fixture(scope="package")
def files() -> Iterator[Server]:
    """The page's files alone, without a deployment: for its pure modules."""
    server = Server(lambda: Starlette(routes=page_routes()))
    server.serve()
    yield server
    server.vanish()


@pytest.fixture
def modules(browser: Browser, files: Server) -> Iterator[Page]:
    """Somewhere to import the page's modules: its licence, since that does nothing of itself."""
    with opened(browser, files.url) as page:
        page.goto("/page/vendor/d3/LICENSE")
        yield page
