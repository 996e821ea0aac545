"""What people do: tasks with their forms, and everything that can be done to an execution."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from .site import Site, claim, until


def opened_task(page: Page, site: Site, id: str) -> None:
    """Start a claim that asks a person, and go to its task from the inbox."""
    handle = site.client.start("claims", claim(amount=9000), id=id)
    until(lambda: handle.tasks(), "the person is asked")
    page.goto("/#/tasks")
    page.locator(f"[data-row^='{id}~']").click()
    expect(page.get_by_role("heading", name="Approve the claim")).to_be_visible()


class TestTask:
    def test_a_form_is_filled_in_and_the_workflow_goes_on(self, page: Page, site: Site) -> None:
        opened_task(page, site, "form")
        expect(page.get_by_text("What it is about")).to_be_visible()
        page.get_by_label("Amount to pay").fill("8200.50")
        page.get_by_label("Reason").fill("all papers are there")
        page.get_by_label("How it is paid").select_option("cheque")
        page.get_by_label("Name", exact=True).fill("Ann")
        page.get_by_role("button", name="Add").click()
        page.locator(".list-row input").fill("a note")
        page.get_by_role("button", name="Complete").click()
        expect(page.locator(".page-head .status")).to_have_text("Completed")
        output = site.client.get("form").result(60)
        assert output["paid"] is not None
        done = next(
            e
            for e in site.client.get("form").history()
            if e.get("at", {}).get("step") == "approve" and e["type"] == "step.completed"
        )
        assert done["output"] | {"completed_by": ""} == {
            "approved": True,
            "amount": 8200.5,
            "reason": "all papers are there",
            "route": "cheque",
            "payee": {"name": "Ann"},
            "notes": ["a note"],
            "completed_by": "",
        }

    def test_what_is_wrong_is_told_at_its_field_before_it_is_sent(
        self, page: Page, site: Site
    ) -> None:
        opened_task(page, site, "wrong-form")
        page.get_by_label("Amount to pay").fill("-1")
        page.get_by_label("Reason").fill("no")
        page.get_by_role("button", name="Complete").click()
        fault = "[data-field='{}'] > .field-fault"
        expect(page.locator(fault.format("amount"))).to_have_text("At least 0 is wanted.")
        expect(page.locator(fault.format("reason"))).to_contain_text("At least 5")
        expect(page.get_by_label("Amount to pay")).to_be_focused()
        expect(page.get_by_label("Amount to pay")).to_have_attribute("aria-invalid", "true")
        assert site.client.get("wrong-form").tasks()[0].status == "Open"

    def test_what_the_server_refuses_is_told(self, page: Page, site: Site) -> None:
        opened_task(page, site, "refused-form")
        page.get_by_label("Amount to pay").fill("1")
        page.get_by_label("Reason").fill("long enough")
        site.client.get("refused-form").tasks()[0].claim("somebody-else")
        page.get_by_role("button", name="Complete").click()
        expect(page.get_by_role("alert").filter(has_text="somebody-else")).to_be_visible()

    def test_a_person_claims_and_gives_back(self, page: Page, site: Site) -> None:
        opened_task(page, site, "claimed")
        page.get_by_role("button", name="Claim").click()
        page.get_by_role("dialog").get_by_label("Name").fill("Jürgen 李")
        page.get_by_role("dialog").get_by_role("button", name="Claim").click()
        expect(page.locator(".page-note")).to_contain_text("claimed by Jürgen 李")
        assert site.client.get("claimed").tasks()[0].claimed_by == "Jürgen 李"
        page.get_by_role("button", name="Give back").click()
        expect(page.get_by_role("button", name="Claim")).to_be_visible()
        assert site.client.get("claimed").tasks()[0].claimed_by is None

    def test_it_is_reached_from_its_step(self, page: Page, site: Site) -> None:
        handle = site.client.start("claims", claim(amount=9000), id="from-step")
        until(lambda: handle.tasks(), "the person is asked")
        page.goto("/#/executions/from-step?step=approve")
        page.get_by_role("button", name="Open the task").click()
        expect(page.get_by_role("heading", name="Approve the claim")).to_be_visible()


class TestActs:
    def test_an_execution_is_started_with_an_input(self, page: Page, site: Site) -> None:
        page.goto("/")
        page.keyboard.press("n")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Definition").fill("quick")
        dialog.get_by_label("Input").fill('{"a": oops}')
        expect(dialog.locator(".field-fault")).to_contain_text("line 1, column 7")
        dialog.get_by_role("button", name="Start").click()
        expect(dialog).to_be_visible()
        dialog.get_by_label("Input").fill('{"a": 1}')
        dialog.get_by_label("Id").fill("started-here")
        dialog.get_by_role("button", name="Start").click()
        expect(page).to_have_url(re.compile("#/executions/started-here"))
        assert site.client.get("started-here").result(60) == {"a": 1}

    def test_a_start_that_is_refused_says_why(self, page: Page, site: Site) -> None:
        page.goto("/")
        page.keyboard.press("n")
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Definition").fill("no-such-definition")
        dialog.get_by_role("button", name="Start").click()
        expect(dialog.get_by_role("alert").last).to_contain_text("no-such-definition")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)

    def test_pause_resume_and_cancel(self, page: Page, site: Site) -> None:
        site.client.start("humble", None, id="steered")
        page.goto("/#/executions/steered")
        badge = page.locator(".exec-head .status")
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("dialog").get_by_label("Reason").fill("lunch")
        page.get_by_role("dialog").get_by_role("button", name="Pause").click()
        expect(badge).to_have_text("Paused")
        page.get_by_role("button", name="Resume").click()
        expect(badge).to_have_text("Waiting")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel it").click()
        expect(badge).to_have_text("Canceled")
        reasons = [e.get("reason") for e in site.client.get("steered").history()]
        assert "lunch" in reasons

    def test_a_signal_is_sent(self, page: Page, site: Site) -> None:
        handle = site.client.start("humble", None, id="signalled")
        page.goto("/#/executions/signalled")
        page.get_by_role("button", name="Signal").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Signal", exact=True).fill("go")
        dialog.get_by_label("What it carries").fill('"by hand"')
        dialog.get_by_role("button", name="Send").click()
        assert handle.result(60) == "by hand"
        expect(page.locator(".exec-head .status")).to_have_text("Completed")

    def test_a_failed_execution_is_retried_from_a_step(self, page: Page, site: Site) -> None:
        handle = site.client.start("humble", None, id="retried")
        handle.signal("go", "break")
        page.goto("/#/executions/retried")
        expect(page.locator(".exec-failure")).to_contain_text("as it was told")
        page.get_by_role("button", name="Retry").click()
        page.get_by_role("dialog").get_by_label("Go on from").select_option("wait")
        page.get_by_role("dialog").get_by_role("button", name="Retry").click()
        expect(page.locator(".exec-head .status")).to_have_text("Waiting")
        expect(page.locator(".exec-failure")).to_have_count(0)
        expect(page.locator(".exec-facts")).to_contain_text("run 2")
        handle.signal("go", "well")
        expect(page.locator(".exec-head .status")).to_have_text("Completed")
