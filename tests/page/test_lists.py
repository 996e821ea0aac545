"""The list of executions, as somebody uses it who looks for one."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .site import Site


def test_executions_are_listed_newest_first_with_their_status(page: Page, site: Site) -> None:
    for n in range(3):
        site.client.start("quick", None, id=f"listed-{n}").result(60)
    page.goto("/#/executions?q=listed-")
    rows = page.locator("[data-row]")
    expect(rows).to_have_count(3)
    assert [row.get_attribute("data-row") for row in rows.all()] == [
        "listed-2",
        "listed-1",
        "listed-0",
    ]
    expect(rows.first).to_contain_text("Completed")
    expect(page.locator(".page-note")).to_have_text("3 executions found")


def test_a_search_narrows_the_list_while_one_types(page: Page, site: Site) -> None:
    site.client.start("quick", None, id="needle-1").result(60)
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("needle")
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=needle"))


def test_an_execution_that_starts_elsewhere_comes_up_by_itself(page: Page, site: Site) -> None:
    page.goto("/#/executions?q=comes-up")
    expect(page.get_by_text("No execution fits.")).to_be_visible()
    site.client.start("humble", None, id="comes-up-1")
    expect(page.locator('[data-row="comes-up-1"]')).to_be_visible()


def test_status_and_definition_filter(page: Page, site: Site) -> None:
    site.client.start("humble", None, id="filtered-waits")
    site.client.start("quick", None, id="filtered-done").result(60)
    page.goto("/#/executions?q=filtered-")
    expect(page.locator("[data-row]")).to_have_count(2)
    page.get_by_role("button", name="Completed").click()
    expect(page.locator("[data-row]")).to_have_count(1)
    expect(page.locator('[data-row="filtered-done"]')).to_be_visible()
    page.get_by_role("button", name="All", exact=True).click()
    page.get_by_label("Definition").select_option("humble")
    expect(page.locator('[data-row="filtered-waits"]')).to_be_visible()
    expect(page.locator("[data-row]")).to_have_count(1)


def test_pages_follow_by_cursor_without_repeats(page: Page, site: Site) -> None:
    handles = site.client.start_many(
        "quick", [None] * 120, ids=[f"paged-{n:03}" for n in range(120)]
    )
    for handle in handles:
        handle.result(60)
    page.goto("/#/executions?q=paged-")
    rows = page.locator("[data-row]")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(120)
    shown = [row.get_attribute("data-row") for row in rows.all()]
    assert len(set(shown)) == 120
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_the_list_is_walked_by_keys(page: Page, site: Site) -> None:
    for n in range(2):
        site.client.start("quick", None, id=f"keyed-{n}").result(60)
    page.goto("/#/executions?q=keyed-")
    expect(page.locator("[data-row]")).to_have_count(2)
    page.locator("main").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator('[data-row="keyed-0"]')).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/executions/keyed-1$"))
    expect(page.get_by_role("heading", name="keyed-1")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page).to_have_url(re.compile("#/executions$"))


def test_definitions_are_listed_drawn_and_started(page: Page, site: Site) -> None:
    page.goto("/#/definitions")
    expect(page.locator('[data-row="claims"]')).to_contain_text("Insurance claims")
    page.locator('[data-row="humble"]').click()
    expect(page.locator("[data-step=wait]")).to_be_visible()
    expect(page.locator("[data-step=fail]")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_label("Id").fill("started-from-its-definition")
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="started-from-its-definition")).to_be_visible()
    assert site.client.get("started-from-its-definition").status().status == "Waiting"


def test_an_address_that_means_nothing_says_so(page: Page, site: Site) -> None:
    page.goto("/#/nonsense")
    expect(page.get_by_text("There is no page “nonsense”.")).to_be_visible()
    page.goto("/#/executions/no-such")
    expect(page.get_by_role("alert")).to_contain_text("no-such")
    box = page.get_by_role("button", name="Try again").bounding_box()
    assert box is not None
    assert box["height"] < 60, "it is as tall as a button"
