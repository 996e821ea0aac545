"""A real Chromium, installed where it is missing, and pages that notice what must never happen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright, expect

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

WAIT_MS: Final = 60_000
"""How long a page is waited for, on a busy machine."""


PROBES: Final = (Path(__file__).parent / "probes.js").read_text()


def probe(page: Page, name: str, argument: Any = None) -> Any:
    """Ask one of `probes.js` in the browser."""
    return page.evaluate(f"(argument) => ({PROBES})[{json.dumps(name)}](argument)", argument)


def chromium() -> str:
    """Where Chromium is; installed from the distribution where there is none.

    Never skipped: what is shown to people is tested as people see it.
    """
    named = os.environ.get("CHROMIUM")
    for name in (named, *NAMES):
        found = shutil.which(name) if name else None
        if found:
            return found
    root = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        done = subprocess.run(
            [*root, *command], capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, (
            f"the page's tests need Chromium, and it could not be installed; install it, or name "
            f"one in CHROMIUM\n{done.stderr}"
        )
    found = shutil.which("chromium")
    assert found is not None
    return found


def launched(playwright: Playwright) -> Browser:
    # In a container there is no user namespace for Chromium's sandbox to be made of. Without a GPU,
    # to draw as if there were one costs more than to draw.
    return playwright.chromium.launch(
        executable_path=chromium(),
        args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
    )


@contextmanager
def opened(
    browser: Browser, url: str, namespace: str | None = None, **context: Any
) -> Iterator[Page]:
    """A page of its own context, in a namespace if one is said. Fails when a script failed, when
    the policy refused something, or when anything was asked of another address than the site's."""
    own = browser.new_context(base_url=url, locale="en-GB", **context)
    if namespace is not None:
        name = json.dumps(namespace)
        key = "localStorage['heliostat.namespace']"
        own.add_init_script(f"if (location.protocol !== 'about:') {key} ??= {name}")
    page = own.new_page()
    page.set_default_timeout(WAIT_MS)
    expect.set_options(timeout=WAIT_MS)  # its own is five seconds, whatever the page's is
    troubles: list[str] = []
    host = urlsplit(url).netloc
    page.on("pageerror", lambda error: troubles.append(f"script: {error}"))
    page.on(
        "console",
        lambda message: (
            troubles.append(f"console: {message.text}")
            if message.type in ("error", "warning") and not _network(message.text)
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            None
            if urlsplit(request.url).netloc in (host, "")
            else troubles.append(f"asked elsewhere: {request.url}")
        ),
    )
    page.on("dialog", lambda dialog: (troubles.append("an alert"), dialog.dismiss()))
    try:
        yield page
        assert not troubles, "\n".join(troubles)
    finally:
        own.close()


def _network(text: str) -> bool:
    """What Chromium itself says of answers that are no 2xx, and of sockets that break."""
    return "Failed to load resource" in text or "WebSocket connection to" in text
