"""The data of one moment, as terms: what each location holds, and how expressions read it.

A location of a scope that may be open several times at once stands once in each copy that a net
has of it; the prefix of the net's names tells the copies apart.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from heliostat.engine.expressions import Data, Expression, Path, Template
from heliostat.engine.expressions.ast import Node
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Json
from heliostat.verify.data.encoding import Encoder
from heliostat.verify.data.notes import Notes
from heliostat.verify.data.places import Location, Places
from heliostat.verify.data.schemas import promised
from heliostat.verify.data.solver import Formula, Solver
from heliostat.verify.data.terms import (
    Cell,
    Term,
    Unknowns,
    list_of,
    literal,
    member,
    object_of,
)

Key: TypeAlias = tuple[Location, str]
"""A location, and the prefix of the copy of its scope."""


WISHES_MAX: Final = 20
"""Values that a witness is made plain for."""


def scope_prefix(plan: Plan, scope: int, prefix: str) -> str:
    """Of the prefix at a step, the part that belongs to a scope around it."""
    owners = []
    at = plan.scopes[scope]
    while at.owner is not None:
        owners.append(plan.steps[at.owner].id)
        at = plan.scopes[plan.steps[at.owner].scope]
    found = ""
    parts = prefix.split("/")[:-1]
    for owner in reversed(owners):
        if parts and parts[0].split("[")[0].split("#")[0] == owner:
            found += parts.pop(0) + "/"
    return found


class Store:
    """What each location holds; written ones get a new version, the others are made when read."""

    def __init__(self, places: Places, solver: Solver, label: str = "") -> None:
        """
        Args:
            label: tells its unknowns from those of other stores that ask the same solver.
        """
        self.places, self.solver, self._label = places, solver, label
        self.notes = Notes()
        self._unknowns = Unknowns(solver, label)
        self._terms: dict[Key, Term] = {}
        self._versions: dict[Key, int] = {}
        self._cells: dict[tuple[Key, int], Cell] = {}

    def key(self, location: Location, prefix: str) -> Key:
        """Where a location stands for a step with this prefix."""
        plan = self.places.plan
        match location:
            case ("vars", scope, _):
                return location, scope_prefix(plan, scope, prefix)
            case ("steps", number, _):
                return location, scope_prefix(plan, plan.steps[number].scope, prefix)
            case ("item" | "index", owner) if plan.steps[owner].scopes:
                return location, scope_prefix(plan, plan.steps[owner].scopes[0], prefix)
            case ("item" | "index", owner):
                return location, scope_prefix(plan, plan.steps[owner].scope, prefix)
        return location, ""

    def term(self, key: Key) -> Term:
        """What a location holds now."""
        found = self._terms.get(key)
        if found is None:
            location, prefix = key
            version = self._versions.get(key, 0)
            words = ".".join(str(part) for part in location)
            name = f"{self._label}:{prefix}{words}" + (f"@{version}" if version else "")
            cell = Cell(self.solver, name, self.places.type(location))
            found = self._terms[key] = cell.term
            self._cells[key, version] = cell
            schema = self.places.schema(location)
            if schema is not None:
                meets = promised(cell, schema, self.encoder(0, "", None))
                if location[0] != "input":  # an output may be none at all
                    meets = self.solver.any(found.of("null"), meets)
                self.solver.assume(meets)
        return found

    def write(self, key: Key, term: Term | None = None) -> None:
        """Let a location hold something new."""
        self._versions[key] = self._versions.get(key, 0) + 1
        self._terms.pop(key, None)
        if term is not None:
            self._terms[key] = term

    def cells(self) -> dict[tuple[Key, int], Cell]:
        """What is not known, by location and version; 0 is what it held at first."""
        return self._cells

    def version(self, key: Key) -> int:
        """How often a location was written."""
        return self._versions.get(key, 0)

    # -- expressions

    def encoder(self, scope: int, prefix: str, step: StepPlan | None) -> Encoder:
        """Makes terms of expressions that stand in a scope; of a step's own ones with `step`."""

        def resolve(path: Path) -> Term | None:
            found = self.places.read(path, scope, step)
            if found is None or found[0] == ("now",):
                return None
            location, keys = found
            term: Term | None = self.term(self.key(location, prefix))
            for name in keys:
                term = None if term is None else member(term, name)
            return term

        def version(node: Node) -> object:
            read = self.places.reads(node, scope, step)
            keys = sorted((self.key(each, prefix) for each in read), key=repr)
            return tuple((key, self._versions.get(key, 0)) for key in keys)

        return Encoder(self.solver, self._unknowns, resolve, version, self.notes)

    def data(self, data: Data, scope: int, prefix: str, step: StepPlan | None) -> Term | None:
        """What a data field evaluates to; None if that has no formula."""
        encoder, parts = self.encoder(scope, prefix, step), dict(data.parts())

        def made(value: Json, place: tuple[Any, ...]) -> Term | None:
            part = parts.get(place)
            if isinstance(part, Template):
                return None
            if isinstance(part, Expression):
                return encoder.term(part.ast)
            if isinstance(value, dict):
                members = {key: made(item, (*place, key)) for key, item in value.items()}
                there = {key: each for key, each in members.items() if each is not None}
                return object_of(self.solver, there) if len(there) == len(members) else None
            if isinstance(value, list):
                items = [made(item, (*place, at)) for at, item in enumerate(value)]
                kept = tuple(each for each in items if each is not None)
                return list_of(self.solver, kept) if len(kept) == len(items) else None
            return literal(self.solver, value)

        term = made(data.value, ())
        if term is None or {"instant", "duration"} & term.kinds.keys():
            return None  # these are texts once they are at rest
        return term

    def thought_of(self) -> Formula:
        """That values of which nothing is declared are of the kinds that they are compared with."""
        solver, parts = self.solver, []
        for cell, kinds in self.notes.compared.items():
            if kinds and not cell.opaque and not cell.is_declared:
                parts.append(solver.any(*(cell.term.of(kind) for kind in sorted(kinds))))
        return solver.all(*parts)

    def wishes(self) -> list[Formula]:
        """What makes a case plain: what is looked into can be, numbers have no fraction."""
        solver = self.solver
        cells = [each for cell in self.cells().values() for each in cell.below()][:WISHES_MAX]
        found = [each.term.of("object") for each in cells if each.members]
        found += [each.term.of("array") for each in cells if each.elements]
        found += [
            solver.any(solver.no(each.term.of("number")), solver.whole(each.term.number))
            for each in cells
            if each in self.notes.compared and each.term.number is not None
            if not each.term.whole
        ]
        return [each for each in found if not isinstance(each, bool)]
