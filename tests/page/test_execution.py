"""One execution, as it moves: graph, panel, timeline, events, replay."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

from .browser import probe
from .site import Site, claim, until


def step(page: Page, id: str, status: str) -> None:
    """Wait until a step is drawn in a status."""
    expect(page.locator(f"[data-step='{id}']")).to_have_attribute(
        "data-status", status, timeout=60_000
    )


class TestGraph:
    def test_it_is_coloured_while_the_execution_moves(self, page: Page, site: Site) -> None:
        handle = site.client.start("humble", None, id="moves")
        page.goto("/#/executions/moves")
        step(page, "wait", "Waiting")
        step(page, "done", "Pending")
        expect(page.locator(".connection")).to_have_attribute("data-phase", "live")
        handle.signal("go", "well")
        step(page, "wait", "Completed")
        step(page, "done", "Completed")
        step(page, "fail", "Pending")
        expect(page.locator(".exec-head .status")).to_have_text("Completed")

    def test_one_that_moves_to_another_version_is_drawn_anew(self, page: Page, site: Site) -> None:
        first = 'id: moved\nversion: "1"\nsteps:\n  - {id: wait, type: wait, signal: go}\n'
        later = first.replace('"1"', '"2"').replace("go}", "go, next: after}")
        site.client.register(first)
        handle = site.client.start("moved", None, id="moved-on")
        page.goto("/#/executions/moved-on")
        step(page, "wait", "Waiting")
        expect(page.locator("[data-step='after']")).to_have_count(0)
        site.client.register(
            later + "  - {id: after, type: decision, output: $.steps.wait.output}\n"
        )
        handle.migrate("2")
        step(page, "after", "Pending")
        handle.signal("go", "well")
        step(page, "after", "Completed")
        expect(page.locator(".exec-facts")).to_contain_text("moved 2")
        page.get_by_role("tab", name=re.compile("Events")).click()
        events = page.get_by_role("listbox", name="Events")
        expect(events).to_contain_text("execution.migrated")
        expect(events.get_by_role("option")).to_have_count(5)

    def test_ways_that_were_gone_are_told_from_the_others(self, page: Page, site: Site) -> None:
        handle = site.client.start("humble", None, id="ways")
        handle.signal("go", "well")
        handle.result(60)
        page.goto("/#/executions/ways")
        expect(page.locator("path.edge.next.taken, path.edge.else.taken")).to_have_count(1)
        expect(page.locator("path.edge:not(.taken)")).not_to_have_count(0)
        # A condition stands within its frame, in whatever letters there are.
        assert probe(page, "labels") == []

    def test_a_foreach_is_folded_to_counts_and_a_bar(self, page: Page, site: Site) -> None:
        site.client.start("claims", claim(documents=["a", "b", "lost-1"]), id="folded").result(120)
        page.goto("/#/executions/folded")
        step(page, "documents", "Completed")
        box = page.locator("[data-step='documents']")
        expect(box.locator(".note")).to_have_text("2 / 3 · 1 failed")
        done, failed = box.locator("rect.completed"), box.locator("rect.failed")
        whole = float(box.locator("rect.rest").get_attribute("width") or 0)
        assert abs(float(done.get_attribute("width") or 0) - whole * 2 / 3) < 1
        assert abs(float(failed.get_attribute("width") or 0) - whole / 3) < 1
        expect(page.locator("[data-step='fetch'] .note")).to_contain_text("2 of 3 · 1 failed")

    def test_a_box_folds_and_opens(self, page: Page, site: Site) -> None:
        site.client.start("claims", claim(), id="boxes").result(120)
        page.goto("/#/executions/boxes")
        expect(page.locator("[data-step='fetch']")).to_be_visible()
        page.locator("[data-fold='documents']").click()
        expect(page.locator("[data-step='fetch']")).to_have_count(0)
        expect(page.locator("[data-step='documents'] .note")).to_have_text("2 / 2")
        page.locator("[data-fold='documents']").click()
        expect(page.locator("[data-step='fetch']")).to_be_visible()

    def test_steps_are_reached_by_arrow_keys_and_opened_by_enter(
        self, page: Page, site: Site
    ) -> None:
        site.client.start("humble", None, id="arrows").signal("go", "well")
        page.goto("/#/executions/arrows")
        step(page, "done", "Completed")
        page.locator("svg.graph").focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator("[data-step='wait']")).to_have_class(re.compile("chosen"))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        panel = page.locator("aside.panel")
        expect(panel).to_be_visible()
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()

    def test_it_zooms_and_fits(self, page: Page, site: Site) -> None:
        site.client.start("humble", None, id="zooms")
        page.goto("/#/executions/zooms")
        stage = page.locator("svg.graph > g")
        expect(stage).to_have_attribute("transform", re.compile("scale"))
        before = stage.get_attribute("transform")
        page.get_by_role("button", name="Zoom in (+)").click()
        expect(stage).not_to_have_attribute("transform", before or "")
        page.get_by_role("button", name="Fit (0)").click()
        expect(stage).to_have_attribute("transform", before or "")


class TestPanel:
    def test_a_failed_item_shows_error_traceback_attempts_and_what_they_printed(
        self, page: Page, site: Site
    ) -> None:
        site.client.start("claims", claim(documents=["a", "lost-1"]), id="panel").result(120)
        page.goto("/#/executions/panel")
        page.locator("[data-step='fetch']").click()
        panel = page.locator("aside.panel")
        expect(panel.locator(".fault")).to_contain_text("FileNotFoundError")
        expect(panel.locator(".fault pre")).to_contain_text("Traceback (most recent call last)")
        expect(panel.locator("li.attempt")).to_have_count(3)
        expect(panel.locator("li.attempt pre[data-kind=stdout]").first).to_contain_text(
            "GET archive/lost-1"
        )
        expect(panel.locator("li.attempt pre[data-kind=stderr]").first).to_contain_text("404")
        expect(panel.get_by_label("input", exact=True)).to_contain_text("lost-1")
        panel.get_by_text("item 0").click()
        expect(panel.get_by_label("output", exact=True)).to_contain_text("damage to the left door")

    def test_items_are_filtered_by_how_they_went(self, page: Page, site: Site) -> None:
        site.client.start("claims", claim(documents=["a", "lost-1"]), id="filter").result(120)
        page.goto("/#/executions/filter?step=fetch")
        panel = page.locator("aside.panel")
        expect(panel.locator(".visit")).to_have_count(2)
        panel.get_by_role("button", name="Failed").click()
        expect(panel.locator(".visit")).to_have_count(1)
        page.goto("/#/executions/filter?step=documents")
        expect(panel.locator(".panel-title")).to_contain_text("for each item · 2 items")

    def test_a_step_that_has_not_begun_says_so(self, page: Page, site: Site) -> None:
        site.client.start("humble", None, id="not-begun")
        page.goto("/#/executions/not-begun?step=done")
        expect(page.locator("aside.panel")).to_contain_text("It has not begun.")


class TestHistory:
    def test_every_event_is_listed_and_opens(self, page: Page, site: Site) -> None:
        handle = site.client.start("humble", None, id="events")
        handle.signal("go", "well")
        handle.result(60)
        history = handle.history()
        page.goto("/#/executions/events?tab=events")
        expect(page.locator(".event")).to_have_count(len(history))
        types = [row.inner_text() for row in page.locator(".event-type").all()]
        assert types == [event["type"] for event in history]
        page.locator(".event").first.click()
        expect(page.locator(".event-detail")).to_contain_text('"humble"')

    def test_what_was_read_too_early_is_read_again(self, page: Page, site: Site) -> None:
        """The history was asked before the last events, the socket begins behind them."""
        handle = site.client.start("quick", None, id="gap")
        handle.result(60)
        whole = len(handle.history())
        asked: list[str] = []

        def stale(route: Route) -> None:
            asked.append(route.request.url)
            events = route.fetch().json()
            route.fulfill(json=events[:-1] if len(asked) == 1 else events)

        page.route("**/history?*", stale)
        page.goto("/#/executions/gap")
        expect(page.locator(".moment")).to_contain_text(f"{whole} events")
        assert len(asked) > 1
        page.unroute_all(behavior="wait")  # an answer under way would outlive the page

    def test_an_earlier_moment_is_drawn_as_it_was(self, page: Page, site: Site) -> None:
        # With a pace: the first step is not to end within the millisecond that it began in.
        site.client.start("claims", claim(pace=0.02), id="replayed").result(120)
        page.goto("/#/executions/replayed")
        step(page, "letter", "Completed")
        slider = page.get_by_label("Moment of the history")
        expect(slider).to_be_enabled()
        slider.fill("0")
        expect(page.locator(".exec")).to_have_class(re.compile("in-past"))
        step(page, "letter", "Pending")
        step(page, "intake", "Running")
        page.keyboard.press(".")
        step(page, "intake", "Completed")
        page.keyboard.press("Escape")
        step(page, "letter", "Completed")

    def test_a_replay_plays_to_the_end(self, page: Page, site: Site) -> None:
        site.client.start("humble", None, id="played").signal("go", "well")
        until(lambda: site.client.get("played").status().status == "Completed", "it ends")
        page.goto("/#/executions/played")
        step(page, "done", "Completed")
        page.get_by_label("Moment of the history").fill("0")
        page.get_by_role("button", name="Replay (space)").click()
        step(page, "done", "Completed")
        expect(page.locator(".exec")).not_to_have_class(re.compile("in-past"))

    def test_the_timeline_has_a_lane_for_each_step_and_opens_it(
        self, page: Page, site: Site
    ) -> None:
        site.client.start("claims", claim(), id="lanes").result(120)
        page.goto("/#/executions/lanes?tab=timeline")
        canvas = page.locator(".lanes canvas")
        expect(canvas).to_be_visible()
        expect(page.locator(".moment")).to_contain_text(" events")
        canvas.focus()
        page.keyboard.press("ArrowDown")
        expect(page.locator(".lanes [aria-live]")).to_have_text("intake: 1 attempt")
        page.keyboard.press("Enter")
        expect(page.locator("aside.panel h2")).to_have_text("intake")
        painted = canvas.evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x)"
        )
        assert painted

    def test_input_output_and_variables_are_shown(self, page: Page, site: Site) -> None:
        site.client.start("quick", {"a": [1, 2]}, id="data").result(60)
        page.goto("/#/executions/data?tab=data")
        expect(page.get_by_label("output", exact=True)).to_contain_text("a")
        expect(page.get_by_role("definition").filter(has_text="quick 1")).to_be_visible()
