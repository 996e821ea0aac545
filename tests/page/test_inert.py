"""Whatever an execution carries is text to the page: it never runs, and never becomes markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .site import Site, until

EVIL = "<img src=x onerror=alert(1)>"
SCRIPT = "</script><script>alert(2)</script>"
HTML = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.html\(|srcdoc"
)
PAGE = Path(__file__).parents[2] / "api" / "page"

DEFINITION = f"""\
id: evil
version: "1"
name: "{EVIL}"
description: "{SCRIPT}"
steps:
  - id: echo
    name: "{EVIL}"
    description: "{SCRIPT}"
    type: decision
    output: $.input
    next: ask
  - id: ask
    type: human
    name: "{EVIL}"
    assignees: ["{EVIL}"]
    input: {{"{EVIL}": "{SCRIPT}"}}
    form:
      type: object
      properties:
        evil: {{type: string, title: "{EVIL}", description: "{SCRIPT}", default: "{EVIL}"}}
    next: fail
  - {{id: fail, type: decision, fail: {{type: Broken, message: "{EVIL}"}}}}
"""


def values() -> dict[str, Any]:
    return {EVIL: [EVIL, {"text": SCRIPT, "url": "javascript:alert(3)"}]}


@pytest.fixture(scope="module")
def evil(site: Site) -> str:
    """An execution whose every text is an attack; its id."""
    site.client.register(DEFINITION)
    handle = site.client.start("evil", values(), id="evil-1", tags={"evil": EVIL})
    task = until(lambda: handle.tasks(), "the person is asked")[0]
    task.claim(EVIL)
    return handle.id


def test_no_view_makes_elements_of_it(page: Page, site: Site, evil: str) -> None:
    id, attack = evil, "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"
    task = f"{id}~" + site.client.get(evil).tasks()[0].task_id.replace(":", "%3A")
    for place in (
        "#/executions",
        f"#/executions/{id}",
        f"#/executions/{id}?step=echo",
        f"#/executions/{id}?tab=timeline&step=ask",
        f"#/executions/{id}?tab=events",
        f"#/executions/{id}?tab=data",
        "#/tasks?show=all",
        f"#/tasks/{task}",
        "#/definitions",
        "#/definitions/evil",
        f"#/{attack}",
        f"#/executions/{attack}",
        f"#/definitions/{attack}",
    ):
        page.goto("about:blank")
        page.goto(f"/{place}")
        # Chosen for what is in every view of it; a page that shows nothing proves nothing.
        expect(page.get_by_text("onerror").first).to_be_attached()
        assert page.locator("img[src=x], main script").count() == 0, place
        assert page.locator("[href^='javascript:']").count() == 0


def test_the_event_and_its_values_are_shown_as_they_are(page: Page, site: Site, evil: str) -> None:
    page.goto("/#/executions/evil-1?tab=events")
    page.locator(".event").first.click()
    page.locator(".event-detail summary").filter(has_text=EVIL).first.click()
    page.locator(".event-detail summary").filter(has_text="{2 fields}").first.click()
    expect(page.locator(".event-detail")).to_contain_text(EVIL)
    expect(page.locator(".event-detail")).to_contain_text("</script>")


@pytest.mark.parametrize("file", sorted(PAGE.glob("js/**/*.js")), ids=lambda file: file.name)
def test_no_module_parses_html_or_runs_text(file: Path) -> None:
    assert not HTML.search(file.read_text())
