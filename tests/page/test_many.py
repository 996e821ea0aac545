"""10,000 items and the events they make: everything stays quick to the hand."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from .browser import probe
from .site import Site

ITEMS = 10_000
LONGEST_MS = 2_000
"""Between two frames, while the history is loaded and drawn, on a machine shared with others."""


@pytest.fixture(scope="module")
def many(site: Site) -> int:
    """How many events an execution with so many items has."""
    names = [f"n{n}" for n in range(ITEMS)]
    site.client.start("hello", {"names": names}, id="many").result(280)
    return len(site.client.get("many").history())


@pytest.mark.long
def test_ten_thousand_items_do_not_freeze_the_page(page: Page, site: Site, many: int) -> None:
    page.goto("/#/executions/many?tab=events")
    probe(page, "watchFrames")
    count = page.locator("button[data-tab=events]")
    expect(count).to_have_text(f"Events {many:,}", timeout=60_000)
    # Until all of them are there the toolbar tells how many are.
    expect(page.locator(".events-tab .toolbar .faint")).to_have_text("", timeout=60_000)
    list_ = page.get_by_role("listbox", name="Events")
    expect(page.locator(".event").first).to_be_visible()
    list_.focus()
    page.keyboard.press("End")
    expect(page.locator(".event").last).to_contain_text("execution.completed")
    assert page.locator(".event").count() < 100
    page.keyboard.press("Home")
    expect(page.locator(".event").first).to_contain_text("execution.started")

    page.locator("button[data-tab=timeline]").click()
    expect(page.locator(".lanes canvas")).to_be_visible()
    page.locator("button[data-tab=graph]").click()
    expect(page.locator("[data-step='greet'] .note")).to_have_text(f"{ITEMS:,} / {ITEMS:,}")
    page.locator("[data-step='greet']").click()
    panel = page.locator("aside.panel")
    expect(panel.locator(".visit").first).to_contain_text("all 10,000 items")
    assert panel.locator(".visit").count() < 40
    panel.get_by_role("listbox").focus()
    page.keyboard.press("End")
    expect(panel.locator(".visit").last).to_contain_text(f"item {ITEMS - 1}")
    page.keyboard.press("Enter")
    expect(panel.get_by_label("input", exact=True)).to_contain_text(f"n{ITEMS - 1}")

    slider = page.get_by_label("Moment of the history")
    slider.fill("1000")
    expect(page.locator("[data-step='greet']")).to_have_attribute("data-status", "Running")
    assert page.evaluate("window.longest") < LONGEST_MS
