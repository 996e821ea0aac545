"""Joins of state machines: can what a join waits for arrive, and does every meeting say so?

`join: all` takes one arrival from each step with a way into it. It is refused where two of these
steps exclude each other, where one lies behind the join, and where the split is conditional: in
each case it would wait for what cannot come, or come and go in the wrong order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ..diagnostics import Findings
from ..fields import AtLeast
from ..graph import Graph
from ..model import Step
from ..scopes import Scope
from ..source import Path
from .refused import refuse


def check(scope: Scope, findings: Findings) -> None:
    """Note the faults of a scope whose graph is sound."""
    for index, step in enumerate(scope.steps):
        path = scope.step_path(index)
        if scope.notation == "dag":
            _dag_join(step, path, findings)
        else:
            _join(scope, step, path, findings)
            if step.split == "all":
                _meetings(scope, step, findings)


def _dag_join(step: Step, path: Path, findings: Findings) -> None:
    if step.join is None:
        return
    place = (*path, "join")
    if not step.needs:
        findings.add("HS021", place, "the step needs nothing to join", "remove it", at="key")
    elif isinstance(step.join, AtLeast) and step.join.at_least > len(step.needs):
        count = len(step.needs)
        message = f"{step.join.at_least} of {count} needs can never complete"
        findings.add("HS215", place, message, f"at most {count}")


def _join(scope: Scope, step: Step, path: Path, findings: Findings) -> None:
    place, join = (*path, "join"), step.join
    sources = scope.graph.predecessors[step.id]
    if join == "all_done":
        refuse(findings, "all_done in a state machine", place)
    elif isinstance(join, AtLeast) and join.at_least > len(sources):
        count = len(sources)
        told = f"{count} step{'s' if count != 1 else ''} lead{'s' if count == 1 else ''} here"
        message = f"{told}, {join.at_least} arrivals can never come"
        findings.add("HS215", place, message, f"at most {count}")
    elif join == "all":
        _join_all(scope, step, place, findings)
    if join not in (None, "any") and step.id in scope.recoveries:
        refuse(findings, "join entered alone", place, entry="the definition's `on_error`")
    elif join not in (None, "any") and step.id in scope.entries:
        refuse(findings, "join entered alone", place, entry="a handler's `trigger`")


def _join_all(scope: Scope, step: Step, place: Path, findings: Findings) -> None:
    graph, id = scope.graph, step.id
    sources = graph.predecessors[id]
    for source in sources:
        if graph.leads(id, source):
            refuse(findings, "join behind itself", place, source=source)
            return
    always = _Tokens(graph, id, conditional=False)
    perhaps = _Tokens(graph, id, conditional=True)
    if always.all_apart(sources):
        return
    for index, one in enumerate(sources):
        for other in sources[index + 1 :]:
            if always.apart(one, other):
                continue
            if perhaps.apart(one, other):
                refuse(findings, "join of a conditional split", place, one=one, other=other)
            else:
                refuse(findings, "join of alternatives", place, one=one, other=other)
            return


class _Tokens:
    """Which ways of each `split: all` lead to which steps, before a join is passed."""

    def __init__(self, graph: Graph, join: str, *, conditional: bool) -> None:
        self._ways: list[dict[str, int]] = []  # of each split, by step: a bit for each way
        for split in graph.splits:
            bits: dict[str, int] = {}
            for number, way in enumerate(split):
                if way.target is None or (way.conditional and not conditional):
                    continue
                for id in graph.from_any([way.target], stop=frozenset({join, way.source})):
                    bits[id] = bits.get(id, 0) | 1 << number
            self._ways.append(bits)

    def all_apart(self, steps: Collection[str]) -> bool:
        """Whether one split sends a token of its own to each of them: seen without asking of all
        pairs, of which a join of thousands has millions."""
        for bits in self._ways:
            each = [bits.get(id, 0) for id in steps]
            alone = [ways for ways in each if ways & (ways - 1) == 0]
            if all(each) and len({*alone}) == len(alone):
                return True
        return False

    def apart(self, one: str, other: str) -> bool:
        """Whether some split sends one token to each of the two steps."""
        for bits in self._ways:
            at_one, at_other = bits.get(one, 0), bits.get(other, 0)
            alone = at_one == at_other and at_one & (at_one - 1) == 0
            if at_one and at_other and not alone:
                return True
        return False


def _meetings(scope: Scope, split: Step, findings: Findings) -> None:
    """A step that two tokens of one split may come to has to say what happens then."""
    graph = scope.graph
    says = frozenset(step.id for step in scope.steps if step.join is not None)
    ways = [way for way in graph.leaving[split.id] if way.kind == "next" and way.target]
    tokens = Counter(
        id
        for way in ways
        for id in graph.from_any([] if way.target is None else [way.target], stop=says)
    )
    common = {id for id, count in tokens.items() if count > 1 and id not in says}
    # of those only where the tokens meet first: behind that, the first answer holds
    targets = {way.target for way in ways}
    meeting = {
        id for id in common if id in targets or not common.issuperset(graph.predecessors[id])
    }
    for index, step in enumerate(scope.steps):
        if step.id in (meeting or common):
            place = (*scope.step_path(index), "id")
            refuse(findings, "meeting without join", place, split=split.id, step=step.id)
