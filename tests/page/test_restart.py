"""A page left open while everything restarts finds its way back and has missed nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .site import Site, until


def drawn(page: Page) -> list[int]:
    """The seqs of the events that the page has, from its own list."""
    return page.evaluate(
        "[...document.querySelectorAll('.event-seq')].map((each) => Number(each.textContent))"
    )


def test_events_while_the_server_is_away_are_made_up_for(page: Page, site: Site) -> None:
    handle = site.client.start("humble", None, id="away")
    page.goto("/#/executions/away?tab=events")
    connection = page.locator(".connection")
    expect(connection).to_have_attribute("data-phase", "live")
    site.vanish()
    try:
        expect(connection).to_have_attribute("data-phase", "reconnecting")
        expect(connection).to_have_text("reconnecting")
        for n in range(40):
            handle.signal(f"other-{n}", n)
        handle.signal("go", "well")
        handle.result(60)
    finally:
        site.serve()
    expect(connection).to_have_attribute("data-phase", "live", timeout=60_000)
    history: list[Any] = handle.history()
    search = page.get_by_label("Search events")
    until(
        lambda: page.locator("button[data-tab=events]").inner_text() == f"Events {len(history)}",
        "all",
    )
    expect(page.locator(".exec-head .status")).to_have_text("Completed")
    search.fill("signal")
    expect(page.locator(".events-tab .toolbar .faint")).to_have_text(f"40 of {len(history)}")


def test_a_list_says_that_it_is_old_and_goes_on(page: Page, site: Site) -> None:
    site.client.start("quick", None, id="stale-1").result(60)
    page.goto("/#/executions?q=stale-")
    expect(page.locator("[data-row]")).to_have_count(1)
    site.vanish()
    try:
        expect(page.locator(".stale")).to_be_visible(timeout=60_000)
        expect(page.locator("[data-row]")).to_have_count(1)
    finally:
        site.serve()
    site.client.start("quick", None, id="stale-2").result(60)
    expect(page.locator("[data-row]")).to_have_count(2, timeout=60_000)
    expect(page.locator(".stale")).to_have_count(0)


@pytest.mark.long
def test_the_whole_deployment_restarts_below_an_open_page(page: Page, site: Site) -> None:
    site.client.start("humble", None, id="survives")
    page.goto("/#/executions/survives")
    connection = page.locator(".connection")
    expect(connection).to_have_attribute("data-phase", "live")
    site.vanish()
    site.down()
    expect(connection).to_have_attribute("data-phase", "reconnecting")
    site.up()
    site.serve()
    expect(connection).to_have_attribute("data-phase", "live", timeout=60_000)
    site.client.get("survives").signal("go", "after all")
    expect(page.locator(".exec-head .status")).to_have_text("Completed", timeout=60_000)
    expect(page.locator("[data-step='done']")).to_have_attribute("data-status", "Completed")
    handle = site.client.get("survives")
    page.locator("button[data-tab=events]").click()
    expect(page.locator(".event")).to_have_count(len(handle.history()))
    assert drawn(page) == [event["seq"] for event in handle.history()]
