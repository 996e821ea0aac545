"""The page as people get it: from Ray Serve, behind its proxy, over a deployment that runs steps.

What is open when the deployment goes down is tried here too; it comes last of what shares one.
"""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import heliostat as hs
from heliostat.engine.ids import new_id
from tests.cluster.conftest import BOUND_S
from tests.page.browser import launched, opened
from tests.page.site import STAGE, claim, until
from tests.serve.conftest import API, Served

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[hs.Client]:
    """With what the tests start."""
    shutil.copy(STAGE / "office.py", served.home)
    with hs.connect(served.address) as client:
        client.register(STAGE / "claims.yaml")
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with these tests: Playwright keeps an event loop running in this thread."""
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def desk(browser: Browser, served: Served) -> Iterator[Page]:
    with opened(browser, served.address, viewport={"width": 1440, "height": 900}) as page:
        yield page


def test_a_claim_is_watched_from_its_start_to_its_payment(desk: Page, client: hs.Client) -> None:
    desk.goto("/")
    expect(desk.get_by_role("heading", name="Executions")).to_be_visible()
    desk.keyboard.press("n")
    dialog = desk.get_by_role("dialog")
    dialog.get_by_label("Definition").fill("claims")
    dialog.get_by_label("Definition").press("Tab")
    expect(dialog).to_contain_text("Needs claim, documents.")  # which moves what is below it
    dialog.get_by_label("Input").fill(
        '{"claim": "C-1", "amount": 9000, "documents": ["a", "photo-1", "lost-1"]}'
    )
    dialog.get_by_label("Id").fill("claim-1")
    dialog.get_by_role("button", name="Start").click()

    def status(step: str, is_: str) -> None:
        expect(desk.locator(f"[data-step='{step}']")).to_have_attribute(
            "data-status", is_, timeout=60_000
        )

    status("documents", "Completed")
    status("approve", "Waiting")
    desk.locator("[data-step='fetch']").click()
    panel = desk.locator("aside.panel")
    expect(panel.locator(".fault pre")).to_contain_text("in fetch")
    expect(panel.locator("li.attempt pre[data-kind=stdout]").first).to_contain_text("GET archive")
    expect(panel.locator("li.attempt").last).to_contain_text("on ")
    desk.get_by_role("button", name="Fit (0)").click()
    desk.locator("[data-step='approve']").click()
    desk.get_by_role("button", name="Open the task").click()
    desk.get_by_label("Amount to pay").fill("8000")
    desk.get_by_label("Reason").fill("all papers are there")
    desk.get_by_role("button", name="Complete").click()
    expect(desk.locator(".page-head .status")).to_have_text("Completed")
    desk.go_back()
    status("letter", "Completed")
    expect(desk.locator(".exec-head .status")).to_have_text("Completed")


def test_what_is_open_outlives_the_deployment_at_the_same_address(
    desk: Page, client: hs.Client, served: Served
) -> None:
    """`heliostat down` closes the door and tells who watches; the next `up` opens it again."""
    stat = (served.home / "data").stat()
    folder = Path(tempfile.gettempdir()) / f"hs-{stat.st_dev:x}-{stat.st_ino:x}"
    assert folder.is_dir()
    lasting = client.start("lasting", id=new_id())
    handle = client.start("claims", claim(amount=9000), id="claim-2")
    until(lambda: handle.tasks(), "the person is asked")
    desk.goto("/#/executions/claim-2")
    connection = desk.locator(".connection")
    expect(connection).to_have_attribute("data-phase", "live")
    address, port = served.address, int(served.address.rpartition(":")[2])
    socket_address = f"{address.replace('http', 'ws', 1)}{API}/ws/executions/{lasting.id}"
    with connect(socket_address) as live, ThreadPoolExecutor(1) as aside:
        assert json.loads(live.recv())["type"] == "state"
        down = aside.submit(served.cli, "down")
        assert close_code(live) == 1012
        assert down.result(BOUND_S).code == 0
    assert not folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    expect(connection).to_have_attribute("data-phase", "reconnecting")

    ran = served.cli("up", "--port", str(port))
    assert (ran.code, served.address) == (0, address), ran.err
    expect(connection).to_have_attribute("data-phase", "live", timeout=90_000)
    lasting.signal("go")
    lasting.result(BOUND_S)
    task = handle.tasks()[0]
    task.claim("ann").complete({"approved": False, "amount": 0, "reason": "no papers"}, "ann")
    expect(desk.locator(".exec-head .status")).to_have_text("Completed", timeout=60_000)
    events = len(handle.history())
    expect(desk.locator("button[data-tab=events]")).to_have_text(f"Events {events}")


def close_code(live: ClientConnection) -> int | None:
    """Read to the end of a socket; the code that it was closed with, None when it was cut off."""
    try:
        while True:
            live.recv(BOUND_S)
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code
