"""Whom human tasks are given to, as far as a definition says.

A task is given to its `assignees` and `candidates`, with those of its escalations, each of them

    a person or a group by name      ann, group:credit
    whoever did another step         $.steps.ask.output.completed_by
    what the input names             $.input.team: the same all the time
    anything else                    known when the task is opened

of which an expression may leave out who did another step: `$.input.team[?@ != $.steps.ask.output.
completed_by]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from heliostat.engine.expressions import Data
from heliostat.engine.plan.plan import StepPlan
from heliostat.engine.values import Json

Kind = Literal["person", "group", "doer", "input", "other"]

GROUP: Final = "group:"

_DID: Final = r"\$\.steps\.(?P<step>\w+)\.output\.completed_by"
_WHO_DID: Final = re.compile(rf"(?:\$\{{\s*)?{_DID}(?:\s*\}})?")
_LEFT_OUT: Final = re.compile(rf"\[\?\s*@\s*!=\s*{_DID}\s*\]")
_ROOTS: Final = re.compile(r"\$\.(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One of those that a task is given to."""

    kind: Kind
    text: str  # a name, the step that was done, or the expression without what it leaves out
    without: frozenset[str] = frozenset()  # steps whose doer is left out

    def __str__(self) -> str:
        match self.kind:
            case "person":
                return f"`{self.text}`"
            case "group":
                return f"anybody of `{self.text}`"
            case "doer":
                return f"whoever did `{self.text}`"
            case _:
                return f"whoever `{self.text}` names"


def given(step: StepPlan) -> tuple[Given, ...]:
    """All that the task of a human step is given to, each once."""
    human = step.human
    if human is None:
        return ()
    fields = [human.assignees, human.candidates]
    for each in human.escalations:
        fields += [each.assignees, each.candidates]
    return tuple(dict.fromkeys(one for field in fields for one in _of(field)))


def _of(field: Data | None) -> Iterator[Given]:
    value: Json = None if field is None else field.value
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str):
            yield _read(each)


def _read(text: str) -> Given:
    if "$" not in text:
        return Given(kind="group" if text.startswith(GROUP) else "person", text=text)
    source = text.strip()
    did = _WHO_DID.fullmatch(source)
    if did is not None:
        return Given(kind="doer", text=did["step"])
    without = frozenset(each["step"] for each in _LEFT_OUT.finditer(source))
    base = _LEFT_OUT.sub("", source).removeprefix("${").removesuffix("}").strip()
    fixed = {*_ROOTS.findall(base)} == {"input"}
    return Given(kind="input" if fixed else "other", text=base, without=without)
