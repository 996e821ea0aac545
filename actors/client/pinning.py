"""What registration fixes of the deployment around a definition: its children's versions, its
calendars, and in which order definitions that refer to each other are registered.

A `sub_workflow` step without `version` is pinned here, once and for ever, to the version that is
registered last at this moment; a definition that calls itself is pinned to itself. A calendar is
stored as it is configured now. What cannot be found is a fault of the definition, told with its
place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from heliostat.engine.authoring.canonical import content
from heliostat.engine.authoring.diagnostics import Findings
from heliostat.engine.authoring.model import Definition, SubWorkflowStep
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.authoring.source import Path
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import DefinitionError

LATEST: Final = "latest"
"""As a version: the one registered last when the child starts."""

FindVersion: TypeAlias = Callable[[str, str | None], str | None]
"""The version of a workflow (None: the one registered last); None where it is not registered."""


def pinned_children(definition: Definition, find: FindVersion) -> dict[str, str]:
    """The version of each `sub_workflow` step that says none, by step id.

    Raises:
        DefinitionError: with a diagnostic for each step whose workflow or version there is not.
    """
    findings = findings_of(definition)
    children: dict[str, str] = {}
    for step, path in _calls(definition):
        if step.version == LATEST:
            continue
        own = step.workflow == definition.id and step.version in (None, definition.version)
        found = definition.version if own else find(step.workflow, step.version)
        if found is None:
            findings.add("HS320", *_missing(step, path, definition.namespace))
        elif step.version is None:
            children[step.id] = found
    raise_if_any(findings, definition)
    return children


def recursions(definition: Definition) -> list[str]:
    """The steps by which a definition calls itself."""
    return [step.id for step, _ in _calls(definition) if step.workflow == definition.id]


def _missing(step: SubWorkflowStep, path: Path, namespace: str) -> tuple[Path, str, str]:
    """The place, what is wrong there, and the cure."""
    if step.version is None:
        message = f"no workflow `{step.workflow}` is registered in namespace `{namespace}`"
        cure = (
            "register it first, or both together: `heliostat register FILE FILE`; "
            "`version: latest` leaves it open until the step starts"
        )
        return (*path, "workflow"), message, cure
    return (
        (*path, "version"),
        f"workflow `{step.workflow}` has no version `{step.version}` in namespace `{namespace}`",
        "register that version first, or leave `version` out for the latest",
    )


def named_calendars(
    definition: Definition, calendars: Mapping[str, Calendar]
) -> dict[str, Calendar]:
    """The calendars that the definition's deadlines may ask for, as they are configured now.

    Where an expression names one, that may be any of them.

    Raises:
        DefinitionError: with a diagnostic for each that is not configured.
    """
    findings = findings_of(definition)
    found: dict[str, Calendar] = {}
    for name, path in _calendar_names(content(definition), ()):
        if name.lstrip().startswith("$") or "${" in name:
            return dict(sorted(calendars.items()))
        if name in calendars:
            found[name] = calendars[name]
            continue
        near = get_close_matches(name, calendars, n=1)
        listed = ", ".join(f"`{known}`" for known in sorted(calendars))
        cure = f"did you mean `{near[0]}`?" if near else f"there are {listed}" if listed else None
        findings.add(
            "HS321",
            path,
            f"no calendar `{name}` is configured",
            cure or "add it to the configuration under `calendars`, or leave `calendar` out",
        )
    raise_if_any(findings, definition)
    return dict(sorted(found.items()))


class Defined(Protocol):
    """Something with a definition."""

    @property
    def definition(self) -> Definition: ...


_D = TypeVar("_D", bound=Defined)


def in_order(prepared: Sequence[_D]) -> list[_D]:
    """Definitions so that each comes after those it calls; else as given.

    Raises:
        DefinitionError: two are the same workflow, or some call each other in a circle.
    """
    by_id: dict[str, _D] = {}
    for each in prepared:
        definition = each.definition
        if definition.id in by_id:
            findings = findings_of(definition)
            findings.add(
                "HS320",
                ("id",),
                f"workflow `{definition.id}` is given twice",
                "register its versions one after another: which is the latest depends on it",
            )
            raise_if_any(findings, definition)
        by_id[definition.id] = each
    ordered: dict[str, _D] = {}
    for each in prepared:
        _after_its_children(each, by_id, ordered, ())
    return list(ordered.values())


def _after_its_children(
    each: _D, by_id: Mapping[str, _D], ordered: dict[str, _D], callers: tuple[str, ...]
) -> None:
    definition = each.definition
    for step, path in _calls(definition):
        child = by_id.get(step.workflow)
        if child is None or child is each or step.workflow in ordered:
            continue
        if step.version not in (None, child.definition.version):
            continue  # `latest`, or one that is registered already
        if step.workflow in callers:
            circle = (*callers[callers.index(step.workflow) :], definition.id, step.workflow)
            findings = findings_of(definition)
            findings.add(
                "HS320",
                (*path, "workflow"),
                f"workflows call each other in a circle: {' → '.join(circle)}",
                "say `version: latest` here, which leaves it open until the step starts; in Python "
                '`.using(version="latest")`',
            )
            raise_if_any(findings, definition)
        _after_its_children(child, by_id, ordered, (*callers, definition.id))
    ordered.setdefault(definition.id, each)


def _calls(definition: Definition) -> Iterator[tuple[SubWorkflowStep, Path]]:
    for scope in scopes_of(definition):
        for index, step in enumerate(scope.steps):
            if isinstance(step, SubWorkflowStep):
                yield step, scope.step_path(index)


def _calendar_names(tree: Any, path: Path) -> Iterator[tuple[str, Path]]:
    if isinstance(tree, dict):
        if "business_days" in tree and isinstance(tree.get("calendar"), str):
            yield tree["calendar"], (*path, "calendar")
        for key, value in tree.items():
            yield from _calendar_names(value, (*path, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _calendar_names(value, (*path, index))


def findings_of(definition: Definition) -> Findings:
    """An empty list for faults of this definition."""
    source = definition.source
    name = definition.id if source is None else source.name
    return Findings(name, content(definition), source)


def raise_if_any(findings: Findings, definition: Definition) -> None:
    """Raise `DefinitionError` where faults were noted."""
    if findings:
        source = definition.source
        raise DefinitionError(definition.id if source is None else source.name, findings.all())
