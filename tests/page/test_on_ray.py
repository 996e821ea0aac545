"""The page over a deployment as people have it: Ray, runners in processes of their own, SQLite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .browser import opened
from .site import STAGE, RayDeployment, Site, claim, until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(RayDeployment(tmp_path_factory.mktemp("ray") / "data"), namespace="default")
    site.up()
    try:
        site.client.register(STAGE / "claims.yaml")
        site.serve()
        yield site
    finally:
        site.vanish()
        site.down()


@pytest.fixture
def desk(browser: Browser, deployed: Site) -> Iterator[Page]:
    with opened(browser, deployed, viewport={"width": 1440, "height": 900}) as page:
        yield page


def test_a_claim_is_watched_from_its_start_to_its_payment(desk: Page, deployed: Site) -> None:
    desk.goto("/")
    desk.keyboard.press("n")
    dialog = desk.get_by_role("dialog")
    dialog.get_by_label("Definition").fill("claims")
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


def test_a_page_left_open_outlives_the_whole_deployment(desk: Page, deployed: Site) -> None:
    handle = deployed.client.start("claims", claim(amount=9000), id="claim-2")
    until(lambda: handle.tasks(), "the person is asked")
    desk.goto("/#/executions/claim-2")
    connection = desk.locator(".connection")
    expect(connection).to_have_attribute("data-phase", "live")
    deployed.vanish()
    deployed.down()
    expect(connection).to_have_attribute("data-phase", "reconnecting")
    deployed.up()
    deployed.serve()
    expect(connection).to_have_attribute("data-phase", "live", timeout=90_000)
    task = deployed.client.get("claim-2").tasks()[0]
    task.claim("ann").complete({"approved": False, "amount": 0, "reason": "no papers"}, "ann")
    expect(desk.locator(".exec-head .status")).to_have_text("Completed", timeout=60_000)
    history = deployed.client.get("claim-2").history()
    expect(desk.locator("button[data-tab=events]")).to_have_text(f"Events {len(history)}")
