"""What `verify` asks, of which files, and in what time: from words to reports."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.engine.authoring.diagnostics import Diagnostic
    from heliostat.engine.authoring.model import Definition
    from heliostat.engine.plan.plan import Plan
    from heliostat.verify.analyses import Subject
    from heliostat.verify.budget import Budget
    from heliostat.verify.properties.verdict import Report, Verdict

MODELS: Final = (".pnml", ".bpmn", ".xml")
"""Endings of files with models of others; everything else is a definition."""

_DEFINITIONS: Final = (".yaml", ".yml", ".json")
"""Endings of the files of a folder that are read as definitions."""

_WORD: Final = re.compile(r"[\w.:+@-]+")


@dataclass(frozen=True)
class Proved:
    """A report about one definition or model, as far as it was asked for."""

    name: str
    report: Report
    verdicts: Sequence[Verdict]
    diagnostics: Sequence[Diagnostic]
    story: str | None = None
    """Of the replay, where one was asked for and something gets stuck."""


@dataclass(frozen=True)
class Asked:
    """Which properties, analyses and formulas, and which that the definition must declare."""

    names: frozenset[str]
    formulas: Sequence[str]
    analyses: frozenset[str]
    declared: frozenset[str] = frozenset()


def asked_for(properties: Sequence[str]) -> Asked:
    """What is named; nothing named is all but that nothing is twice at one place, which no
    soundness asks for."""
    from heliostat.verify.analyses import ANALYSES
    from heliostat.verify.logic.standard import SAME_AS, STANDARD
    from heliostat.verify.properties.verdict import Property

    known = get_args(Property)
    if not properties:
        return Asked(frozenset({*known} - {"safeness"}), [], frozenset(ANALYSES))
    names, formulas, analyses, declared = set[str](), list[str](), set[str](), set[str]()
    for each in properties:
        name = each.replace("-", " ").replace("_", " ")
        name = SAME_AS.get(name, name)
        if name in known:
            names.add(name)
        elif name in ANALYSES:
            analyses.add(name)
        elif name in STANDARD or not _WORD.fullmatch(each):
            formulas.append(STANDARD.get(name, each))
        else:
            declared.add(each)
    return Asked(frozenset(names), formulas, frozenset(analyses), frozenset(declared))


def _analyses_of(definition: Definition | None, ids: Iterable[str]) -> frozenset[str]:
    """The analyses that decide declared properties."""
    from heliostat.verify.analyses import ANALYSES, DECIDES
    from heliostat.verify.logic.standard import SAME_AS, STANDARD
    from heliostat.verify.properties.verdict import Property

    found = {} if definition is None else {each.id: each for each in definition.properties}
    for id in ids:
        if id not in found:
            names = (*get_args(Property), *ANALYSES, *STANDARD, *SAME_AS)
            listed = ", ".join([*(each.replace(" ", "-") for each in names), *found])
            raise InputError(f"--property {id!r} is no formula, and none of {listed}")
    return frozenset(DECIDES[kind] for id in ids for kind in found[id].kinds) & ANALYSES.keys()


def listed(files: Sequence[str]) -> list[str]:
    """The files that are named, each once; of a folder those that are read as definitions."""
    found = list[str]()
    for file in files:
        if not Path(file).is_dir():
            found.append(file)
            continue
        inside = [each for each in sorted(Path(file).iterdir()) if each.suffix in _DEFINITIONS]
        if not inside:
            raise InputError(f"{file} is a folder without a YAML or JSON file")
        found += [str(each) for each in inside]
    return list(dict.fromkeys(found))


def all_proved(
    files: Sequence[str],
    asked: Asked,
    time_max_ms: int,
    about: Mapping[str, Any],
    *,
    replay: bool,
    with_net: bool,
    durations: Path | None,
) -> list[Proved]:
    """Each by itself and beside the others, in an equal part of the time that is left."""
    from heliostat.api.cli.functions import definition_named, plan_named, seen_functions
    from heliostat.api.cli.measured import measured
    from heliostat.verify.analyses import Subject
    from heliostat.verify.budget import Budget

    def now_ms() -> float:
        return time.monotonic() * 1_000

    subjects = dict[str, Subject]()
    for file in files:
        if not file.endswith(MODELS):
            definition = definition_named(file)
            plan = plan_named(file, definition)
            subjects[file] = Subject(
                definition=definition,
                plan=plan,
                measured=None if durations is None else measured(durations, definition),
                functions=seen_functions(file, definition),
                starts_at_ms=time.time_ns() // 1_000_000,
                **about,
            )
    found, whole = list[Proved](), Budget(time_max_ms, now_ms)  # of proving, not of reading
    for at, file in enumerate(files):
        budget = Budget(whole.part_ms(len(files) - at), now_ms)
        if file not in subjects:
            found += _proved_model(file, asked, budget, replay=replay)
            continue
        beside = tuple(each for other, each in subjects.items() if other != file)
        subject = replace(subjects[file], beside=beside)
        found.append(_proved(subject, asked, budget, replay=replay, with_net=with_net))
    return found


def _bounds(budget: Budget, parts: int) -> dict[str, Any]:
    """One of so many equal parts of the time that is left."""
    return {"time_max_ms": budget.part_ms(parts), "now_ms": budget.now_ms}


def _proved_model(file: str, asked: Asked, budget: Budget, *, replay: bool) -> list[Proved]:
    from heliostat.verify.properties.soundness import verify_model
    from heliostat.verify.reports.diagnostics import model_diagnostics

    if replay:
        raise InputError(f"{file} is no definition, and only those run in the simulator")
    _analyses_of(None, asked.declared)
    if asked.formulas:
        raise InputError(f"{file} is no definition, and formulas speak of those alone")
    models, found = _models(Path(file)), list[Proved]()
    for n, model in enumerate(models):
        report = verify_model(model, **_bounds(budget, len(models) - n))
        verdicts = [each for each in report.verdicts if each.asked in asked.names]
        told = model_diagnostics(Path(file).name, verdicts)
        found.append(Proved(report.definition, report, verdicts, told))
    return found


def _proved(
    subject: Subject, asked: Asked, budget: Budget, *, replay: bool, with_net: bool
) -> Proved:
    from heliostat.engine.properties.atoms import Misformed
    from heliostat.verify.analyses import analysed
    from heliostat.verify.properties.soundness import verify
    from heliostat.verify.properties.verdict import Report
    from heliostat.verify.reports.diagnostics import diagnostics

    definition, plan = subject.definition, subject.plan
    ids = asked.declared
    if "properties" in asked.analyses:  # those of every kind, whichever analysis decides them
        ids |= {each.id for each in definition.properties}
    deciding = _analyses_of(definition, ids) - asked.analyses
    parts = bool(asked.names) + bool(asked.analyses | deciding) + len(asked.formulas)
    try:
        formulas = [
            _checked(plan, each, _bounds(budget, parts - n))
            for n, each in enumerate(asked.formulas)
        ]
    except Misformed as error:
        raise InputError(f"--property {error}") from None
    report = Report(definition=f"{plan.id}:{plan.version}", verdicts=())
    if asked.names or with_net:
        part = _bounds(budget, 2 if asked.analyses | deciding else 1)
        report = verify(plan, definition=definition, functions=subject.functions, **part)
    verdicts = [each for each in report.verdicts if each.asked in asked.names]
    bounded = replace(subject, **_bounds(budget, 2 if asked.analyses else 1))
    declared = [each for each in analysed(bounded, deciding) if each.asked in ids]
    bounded = replace(subject, **_bounds(budget, 1))
    found = [*verdicts, *analysed(bounded, asked.analyses), *declared, *formulas]
    told = diagnostics(definition, found)
    story = _replayed(definition, report, found) if replay else None
    return Proved(report.definition, report, found, told, story)


def _checked(plan: Plan, text: str, bounds: dict[str, Any]) -> Verdict:
    """The verdict about a formula in whichever logic it is one; a fault is that of the logic which
    reads more of it."""
    from heliostat.engine.properties.atoms import Misformed
    from heliostat.verify.logic.checking import check_formula

    try:
        return check_formula(plan, text, logic="ctl", **bounds)
    except Misformed as error:
        try:
            return check_formula(plan, text, logic="ltl", **bounds)
        except Misformed as other:
            raise (other if other.start > error.start else error) from None


def _replayed(definition: Definition, report: Report, found: Sequence[Verdict]) -> str | None:
    """What the simulator does of the first deadlock, and whether it gets stuck there."""
    from heliostat.verify.certificates.certificates import DeadRun, HeldUp
    from heliostat.verify.replaying import Unreplayable, replay

    for verdict in found:
        net, certificate = verdict.net or report.net, verdict.certificate
        if net is not None and isinstance(certificate, DeadRun | HeldUp):
            break
    else:
        return None
    try:
        replayed = replay(definition, net, certificate.run)
    except Unreplayable as error:
        return f"not replayed: the simulator cannot be steered through {error}"
    became = "gets stuck as told" if replayed.stuck else "goes another way, and is not stuck"
    return f"replayed: the simulator {became}\n{replayed.story}"


def _models(file: Path) -> Sequence[Any]:
    from heliostat.verify.reading.files import Unreadable, read

    try:
        return read(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from None
    except Unreadable as error:
        raise InputError(f"{file} is no model that can be read: {error}") from None
