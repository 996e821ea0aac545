"""What `hs.human` returns, and what is caught when nobody fills it in."""

from __future__ import annotations

from typing import Any

import pytest

import heliostat as hs
from heliostat.engine.errors import DefinitionError

from .conftest import Load

FORMS = """
from dataclasses import dataclass, field
from typing import Literal, NotRequired, TypedDict

import heliostat as hs
from pydantic import BaseModel, ConfigDict


class Tight(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ok: bool
    words: str = "none"
    tags: list[str] = []


@dataclass
class Plain:
    ok: bool
    words: str = "none"


class Loose(TypedDict):
    ok: bool
    words: NotRequired[str]


@hs.workflow
def asks(n: int):
    answer = hs.human("ask", FORM, assignees=["ann"])
    return [answer, READ]
"""


@pytest.mark.parametrize(
    ("form", "read", "given", "found"),
    [
        ("bool", "'yes' if answer else 'no'", False, [False, "no"]),
        ("list[int]", "answer[0]", [4], [[4], 4]),
        ("Literal['a', 'b'] | None", "answer is None", None, [None, True]),
        ("dict[str, int]", "len(answer)", {"k": 1}, [{"k": 1}, 1]),
        (
            "Tight",
            "answer.words",
            {"ok": True},
            [{"ok": True, "words": "none", "tags": []}, "none"],
        ),
        ("Tight", "answer.ok", {"ok": True, "words": "w", "tags": ["t"]}, None),
        ("Plain", "answer.words", {"ok": True, "more": 1}, [{"ok": True, "words": "none"}, "none"]),
        ("Loose", "answer['ok']", {"ok": True}, [{"ok": True}, True]),
    ],
)
def test_a_form_comes_back_as_it_was_filled_in_and_no_more(
    load: Load, form: str, read: str, given: Any, found: Any
) -> None:
    workflow = load(FORMS.replace("FORM", form).replace("READ", read))["asks"]
    result = workflow.simulate(1, outcomes={"ask": {"complete": given}})
    assert result.output == (found if found is not None else [given, True])


def test_an_answer_that_is_asked_for_in_a_loop_is_kept(load: Load) -> None:
    module = load(
        FORMS.split("@hs.workflow")[0]
        + """
@hs.workflow
def asks(n: int):
    claim = {"ok": False}
    for _ in range(3):
        if claim["ok"]:
            return claim
        claim = hs.human("ask", Loose, assignees=["ann"])
"""
    )
    said = {"ask": {"visits": [{"complete": {"ok": False}}, {"complete": {"ok": True}}]}}
    assert module["asks"].simulate(1, outcomes=said).output == {"ok": True}


@pytest.mark.parametrize("form", ["bool | dict", "object", "n", "'bool'"])
def test_a_form_of_no_one_shape_is_refused(load: Load, form: str) -> None:
    workflow = load(FORMS.replace("FORM", form).replace("READ", "1"))["asks"]
    with pytest.raises(DefinitionError, match="a form is a type") as caught:
        _ = workflow.definition
    assert "HS416" in str(caught.value)


FAILING = """
import heliostat as hs


@hs.workflow
def inner(n: int):
    raise LookupError("inside")


@hs.workflow
def fails(n: int):
    try:
        return CALL
    except CAUGHT as error:
        return str(error)
"""


@pytest.mark.parametrize(
    ("call", "caught", "outcomes", "words"),
    [
        ("hs.human('ask', bool, assignees=['a'])", "TaskFailed", {"ask": {"fail": "busy"}}, "busy"),
        (
            "hs.human('ask', bool, assignees=['a'], deadline='1h')",
            "StepError",
            {},
            "step 'ask' has not ended by its deadline",
        ),
        ("hs.map((inner(x) for x in [n]), at_least=2)", "TooFewItems", {}, "2 items must complete"),
        ("inner(n)", "ChildFailed", {}, "inside"),
        ("inner(n)", "StepError", {}, "inside"),
    ],
)
def test_what_no_code_of_the_user_raises_is_caught_by_its_class(
    load: Load, call: str, caught: str, outcomes: dict[str, Any], words: str
) -> None:
    module = load(FAILING.replace("CALL", call).replace("CAUGHT", f"hs.{caught}"))
    assert words in module["fails"].simulate(1, outcomes=outcomes).output


def test_each_class_has_the_name_that_is_recorded() -> None:
    """Errors are caught by name: those of scripts and requests are raised on runners."""
    from heliostat.actors.runner import builtin

    for kind in (
        hs.ScriptError,
        hs.ServiceError,
        hs.TransientServiceError,
        hs.PermanentServiceError,
        hs.UnexpectedStatus,
    ):
        raised = getattr(builtin, kind.__name__)
        assert raised.__name__ in {each.__name__ for each in raised.__mro__}
        here = [each.__name__ for each in kind.__mro__[1:-3]]
        assert {*here} <= {each.__name__ for each in raised.__mro__}
