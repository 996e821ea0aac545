"""`docs/semantics.md` explains what the kernel has: its events, statuses, step types and bounds."""

from __future__ import annotations

import re
from typing import get_args

from heliostat.engine.authoring import fields
from heliostat.engine.authoring.fields import Model
from heliostat.engine.authoring.model import CONCURRENCY_DEFAULT, STEP_TYPES, Branch, Definition
from heliostat.engine.expressions.roots import ROOTS
from heliostat.engine.kernel.activation import DEPTH_MAX
from heliostat.engine.kernel.context import _PHASE_STATUS
from heliostat.engine.kernel.decide import DUE_MAX
from heliostat.engine.kernel.events import ExecutionEvent
from heliostat.engine.kernel.policy import COUNTED_LOSSES_MAX, REPEATING
from heliostat.engine.kernel.requests import EVENT_KEPT_MS, EVENTS_KEPT_MAX, SIGNALS_KEPT_MAX
from heliostat.engine.kernel.settle import CHAIN_MAX
from heliostat.engine.kernel.visits import SEEN_MAX
from heliostat.engine.plan.plan import ActionKind
from heliostat.engine.values import INLINE_BYTES_MAX
from tests.docs.running import DOCS

TEXT = (DOCS / "semantics.md").read_text()
BOUNDS = {
    "items in flight": f"{CONCURRENCY_DEFAULT:,}",
    "losses of a step": f"{COUNTED_LOSSES_MAX}",
    "executions that start one another": f"{DEPTH_MAX}",
    "signals kept": f"{SIGNALS_KEPT_MAX:,}",
    "events kept": f"{EVENTS_KEPT_MAX:,}",
    "time for which an event is kept": f"{EVENT_KEPT_MS // 3_600_000} h",
    "visits that one turn settles": f"{CHAIN_MAX:,}",
    "timers that one turn answers": f"{DUE_MAX:,}",
    "ids of messages and events": f"{SEEN_MAX:,}",
    "a value in the history": f"{INLINE_BYTES_MAX // 1024} KiB",
}


def section(heading: str) -> str:
    """The text under a heading, down to the next of its level."""
    found = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_every_event_is_explained_and_no_other() -> None:
    told = set(re.findall(r"`([a-z]+\.[a-z_]+)`", section("The history").split("\n\n")[2]))
    assert told == {event.__struct_config__.tag for event in get_args(ExecutionEvent)}


def test_every_status_of_a_step_is_explained() -> None:
    for status in {*_PHASE_STATUS.values(), "Completed", "Failed", "Skipped", "Canceled"}:
        assert f"*{status}*" in section("The history")


def test_every_bound_has_its_value() -> None:
    rows = re.findall(r"^\| (.+?) \| (.+?) \|", section("Bounds"), re.MULTILINE)[2:]
    told = dict(rows)
    assert len(told) == len(BOUNDS)
    for beginning, value in BOUNDS.items():
        assert [told[bound] for bound in told if bound.startswith(beginning)] == [value]


def test_every_step_type_and_action_is_explained() -> None:
    for kind in STEP_TYPES.keys() - {"body"}:
        assert f"`{kind}`" in section("Steps, scopes and notations")
    for action in get_args(ActionKind):
        assert f"`{action}" in section("Handlers")


def test_every_name_that_expressions_read_is_explained() -> None:
    for root in ROOTS:
        assert f"`$.{root}" in section("Expressions and data")


def test_errors_that_are_not_repeated_are_named() -> None:
    for error in REPEATING:
        assert f"`{error}`" in section("Errors")


FOR_PEOPLE = frozenset({"name", "description", "metadata", "tags", "namespace", "isolation", "per"})
OF_RESOURCES = frozenset({"num_cpus", "num_gpus", "memory", "custom", "runtime_env"})
OF_PROPERTIES = frozenset({"properties", *fields.PROPERTY_KINDS})
FIELDS_OF_OTHER_PAGES = FOR_PEOPLE | OF_RESOURCES | OF_PROPERTIES
"""Fields that do not change what a definition does, or are told of in `definitions.md`."""


def test_every_field_of_a_definition_is_used_or_explained() -> None:
    models: list[type[Model]] = [Definition, Branch, *STEP_TYPES.values()]
    models += [
        kind for kind in vars(fields).values() if isinstance(kind, type) and issubclass(kind, Model)
    ]
    names = {field.alias or name for model in models for name, field in model.model_fields.items()}
    missing = {
        name
        for name in names - FIELDS_OF_OTHER_PAGES
        if re.search(rf"[`{{,\s]{name}\b[`:?]|\b{name}: ", TEXT) is None
    }
    assert not missing
