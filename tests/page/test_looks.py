"""Light and dark, the phone, and what those hear and press who see or point badly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .browser import opened, probe
from .site import Site, claim, until

PLACES = [
    "#/executions",
    "#/executions/looks",
    "#/executions/looks?step=fetch",
    "#/executions/looks?tab=timeline",
    "#/executions/looks?tab=events",
    "#/executions/looks?tab=data",
    "#/tasks",
    "#/tasks/TASK",
    "#/definitions",
    "#/definitions/claims",
]


@pytest.fixture(scope="module")
def looks(site: Site) -> str:
    """An execution that asks a person; its task's id as it stands in an address."""
    handle = site.client.start(
        "claims", claim(amount=9000, documents=["a", "lost-1"]), id="looks", tags={"team": "claims"}
    )
    task = until(lambda: handle.tasks(), "the person is asked")[0]
    return "looks~" + task.task_id.replace(":", "%3A")


@pytest.fixture
def phone(browser: Browser, site: Site) -> Iterator[Page]:
    with opened(
        browser,
        site.url,
        site.namespace,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
    ) as page:
        yield page


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_wider_than_a_phone(phone: Page, looks: str, place: str) -> None:
    phone.goto("/" + place.replace("TASK", looks))
    expect(phone.locator("main > *")).to_be_visible()
    expect(phone.locator(".skeleton")).to_have_count(0)
    widths = probe(phone, "widths")
    assert widths == [390, 390]


@pytest.mark.parametrize("place", PLACES)
def test_whatever_can_be_pressed_has_a_name(page: Page, looks: str, place: str) -> None:
    page.goto("/" + place.replace("TASK", looks))
    expect(page.locator("main > *")).to_be_visible()
    expect(page.locator(".skeleton")).to_have_count(0)
    nameless = probe(page, "nameless")
    assert nameless == []


def test_the_theme_follows_the_system_until_one_chooses(browser: Browser, site: Site) -> None:
    with opened(browser, site.url, site.namespace, color_scheme="dark") as page:
        page.goto("/")
        html = page.locator("html")
        expect(html).to_have_attribute("data-theme", "dark")
        page.emulate_media(color_scheme="light")
        expect(html).to_have_attribute("data-theme", "light")
        page.get_by_role("button", name="Dark theme").click()
        expect(html).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(html).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(browser: Browser, site: Site, theme: str) -> None:
    """Each pair of colours that a text has, at 4.5 to 1; large signs and faint hints at 3 to 1."""
    with opened(browser, site.url, site.namespace, color_scheme=theme) as page:
        page.goto("/")
        found = probe(page, "contrasts")
        assert [each for each in found if each["is"] < each["wanted"]] == []


def test_a_button_below_the_pointer_keeps_its_ink(browser: Browser, site: Site) -> None:
    with opened(browser, site.url, site.namespace, color_scheme="dark") as page:
        page.goto("/")
        start = page.get_by_role("button", name="Start")
        ink = start.evaluate("element => getComputedStyle(element).color")
        start.hover()
        expect(start).to_have_css("filter", "brightness(1.06)")
        expect(start).to_have_css("color", ink)


def test_a_definition_with_a_long_name_leaves_the_filters_on_a_phone(phone: Page) -> None:
    phone.goto("/")
    chooser = phone.get_by_label("Definition", exact=True)
    expect(chooser).to_be_visible()
    chooser.evaluate("element => element.append(new Option('a-long-name-'.repeat(15)))")
    box = chooser.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390


def test_the_keys_are_told(page: Page, site: Site) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="Executions")).to_be_visible()  # it hears keys now
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Search")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Tasks")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_role("heading", name="Definitions")).to_be_visible()


def test_a_click_beside_a_dialog_closes_it_unless_something_was_typed(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", name="Executions")).to_be_visible()
    dialog = page.get_by_role("dialog")
    page.keyboard.press("n")
    expect(dialog).to_be_visible()
    page.mouse.click(3, 3)
    expect(dialog).to_have_count(0)
    page.keyboard.press("n")
    dialog.get_by_label("Id").fill("mine")
    page.mouse.click(3, 3)
    expect(dialog.get_by_label("Id")).to_have_value("mine")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_deployments_health_is_a_dot(page: Page, site: Site) -> None:
    told = page.request.get("/api/v1/health").json()
    page.goto("/")
    expect(page.locator(".health")).to_have_attribute("data-health", told["status"], timeout=60_000)


def test_a_deployment_that_is_not_well_is_told_with_its_reason(page: Page, site: Site) -> None:
    unwell = {"status": "unhealthy", "message": "no host serves", "components": {"hosts": {}}}
    page.route("**/api/v1/health", lambda route: route.fulfill(status=503, json=unwell))
    page.goto("/")
    dot = page.locator(".health")
    expect(dot).to_have_attribute("data-health", "unhealthy", timeout=60_000)
    expect(dot).to_have_attribute("title", "Deployment: unhealthy. no host serves")
