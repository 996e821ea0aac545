"""The README's pictures: `make screenshots` takes them in Chromium, to docs/pictures/.

Everything shown is real: executions of `stage/` and `examples/`, while they run on a host.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, expect, sync_playwright

import heliostat as hs

from .browser import launched, opened
from .conftest import HUMBLE, SHOWN
from .local import LocalDeployment
from .site import EXAMPLES, STAGE, Site, claim, until

PICTURES: Final = Path(__file__).parents[2] / "docs" / "pictures"
LARGE: Final = {"width": 1440, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
COLOURS: Final = 256
"""Of a picture: a third of the size, and nobody sees it."""

DOCUMENTS: Final = [f"{kind}-{n}" for n in range(1, 9) for kind in ("letter", "photo", "invoice")]


def main() -> None:
    _fonts()
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as home:
        code = [STAGE, *(EXAMPLES / name for name in SHOWN)]
        site = Site(LocalDeployment(Path(home), code), namespace="default")
        site.up()
        try:
            _register(site.client)
            site.serve()
            with sync_playwright() as playwright:
                browser = launched(playwright)
                _take(site, browser)
                browser.close()
        finally:
            site.vanish()
            site.down()


def _register(client: hs.Client) -> None:
    client.register(STAGE / "claims.yaml")
    for name in SHOWN:
        client.register(EXAMPLES / name / f"{name}.yaml")
    client.register(HUMBLE.replace("id: humble", "id: reminders"))


def _take(site: Site, browser: Browser) -> None:
    client = site.client
    _earlier(client)
    # Both pages are there before it starts: what is shown is in the middle of its run.
    with _page(browser, site, "light") as light, _page(browser, site, "dark") as dark:
        handle = client.start(
            "claims",
            claim(8200, [*DOCUMENTS, "lost-1"], pace=0.6) | {"claim": "C-1042"},
            id="claim-1042",
            tags={"team": "claims", "region": "north"},
        )
        light.goto("/#/executions/claim-1042")
        note = light.locator("[data-step='documents'] .note")
        until(lambda: _done(note.text_content() or "") >= 9, "some documents are read", 120)
        _save(light, "graph-live")
        light.goto("/#/executions")
        expect(light.locator("[data-row]").nth(7)).to_be_visible()
        _save(light, "executions")
        dark.goto("/#/executions/claim-1042")
        quotes = dark.locator("[data-step='quotes'] .note")
        until(lambda: _done(quotes.text_content() or "") >= 4, "some quotes have come", 180)
        _save(dark, "graph-dark")
    until(lambda: handle.tasks(), "the person is asked", 180)
    with _page(browser, site, "dark") as page:
        page.goto("/#/executions/claim-1042?step=fetch")
        expect(page.locator(".fault pre")).to_be_visible()
        _save(page, "step")
    with _page(browser, site, "light") as page:
        page.goto("/#/executions/claim-1042?tab=timeline")
        expect(page.locator("[data-step='checks']")).to_have_attribute("data-status", "Completed")
        page.get_by_label("Moment of the history").fill("1150")
        page.wait_for_timeout(600)
        _save(page, "timeline")
    with _page(browser, site, "light", viewport={"width": 1440, "height": 1180}) as page:
        page.goto("/#/tasks")
        page.locator("[data-row^='claim-1042~']").click()
        page.get_by_label("Amount to pay").fill("7950")
        page.get_by_label("Reason").fill("ok")
        page.get_by_role("button", name="Complete").click()
        expect(page.locator("[data-field='reason'].bad")).to_be_visible()
        _save(page, "task")
    _phones(site, browser)


def _earlier(client: hs.Client) -> None:
    """What ran before: a list has something of everything."""
    client.start("survey", None, id="survey-2026-11").result(120)
    client.start("documents", {"documents": ["a", "busy", "b"]}, id="import-7").result(120)
    client.start("hello", {"names": ["Ada", "Grace"]}, id="greetings-3").result(120)
    closed = client.start("claims", claim(640) | {"claim": "C-closed"}, id="claim-1038")
    closed.result(120)
    client.start("claims", claim(480), id="claim-1039", tags={"team": "claims"}).result(120)
    failed = client.start("reminders", None, id="reminder-88")
    failed.signal("go", "break")
    client.start("reminders", None, id="reminder-89").pause("until Monday")
    client.start("reminders", None, id="reminder-90").cancel("not needed any more")
    client.start("order", {"order": {"id": "7", "total": 1900}}, id="order-4711")
    client.start("claims", claim(9100), id="claim-1041", tags={"team": "claims"})


def _phones(site: Site, browser: Browser) -> None:
    """Three phones side by side."""
    shots = []
    for scheme, place in (
        ("light", "#/executions"),
        ("light", "#/executions/claim-1042?step=documents"),
        ("dark", "#/executions/claim-1042"),
    ):
        with _page(browser, site, scheme, viewport=PHONE, device_scale_factor=2) as page:
            page.goto(f"/{place}")
            expect(page.locator(".skeleton")).to_have_count(0)
            page.wait_for_timeout(1_200)
            shots.append(Image.open(BytesIO(page.screenshot())).convert("RGB"))
    gap, width, height = 56, shots[0].width, shots[0].height
    whole = Image.new(
        "RGB", (len(shots) * width + (len(shots) + 1) * gap, height + 2 * gap), "#ece7db"
    )
    mask = Image.new("L", (width, height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), radius=56, fill=255)
    for n, shot in enumerate(shots):
        whole.paste(shot, (gap + n * (width + gap), gap), mask)
    _write(whole.resize((whole.width // 2, whole.height // 2), Image.Resampling.LANCZOS), "phone")


def _done(words: str) -> int:
    """`15 / 25 · 6 active`: 15; of `foreach …` and other words 0."""
    number = words.split(" / ")[0]
    return int(number) if number.isdigit() else 0


@contextmanager
def _page(browser: Browser, site: Site, scheme: str, **context: Any) -> Iterator[Page]:
    settings = {"viewport": LARGE, "color_scheme": scheme} | context
    with opened(browser, site.url, site.namespace, **settings) as page:
        page.goto("/")
        expect(page.locator(".health[data-health]")).to_be_visible(timeout=30_000)
        yield page


def _save(page: Page, name: str) -> None:
    page.evaluate("document.activeElement?.matches('.scrubber') && document.activeElement.blur()")
    _write(Image.open(BytesIO(page.screenshot())).convert("RGB"), name)


def _write(picture: Image.Image, name: str) -> None:
    small = picture.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE)
    small.save(PICTURES / f"{name}.png", optimize=True)
    print(f"docs/pictures/{name}.png, {(PICTURES / f'{name}.png').stat().st_size // 1024} KiB")


def _fonts() -> None:
    """The page takes the system's fonts; the pictures are to look as on a desktop that has good
    ones. Where they cannot be installed, the pictures have others."""
    if (
        shutil.which("fc-list")
        and "Inter"
        in subprocess.run(["fc-list"], capture_output=True, text=True, check=False).stdout
    ):
        return
    subprocess.run(
        [
            "apt-get",
            "install",
            "-y",
            "-qq",
            "--no-install-recommends",
            "fonts-inter",
            "fonts-jetbrains-mono",
        ],
        capture_output=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
