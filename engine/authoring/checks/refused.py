"""The one table of combinations that are refused: fields that are sound alone and not together.

A check says which combination it met and fills in the names; what is told of it, and what to write
instead, stands here. The documentation prints the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ..diagnostics import Findings, Part
from ..source import Path


class Refused(Struct, frozen=True, kw_only=True):
    """A combination, and what its diagnostic says; names in braces are filled in."""

    code: str
    what: str
    """The combination, for the documentation."""
    message: str
    cure: str | None = None


def refuse(
    findings: Findings, which: str, path: Path, *, at: Part = "value", **names: object
) -> None:
    """Note that the value, or the key, at `path` belongs to a combination that is refused."""
    entry = REFUSED[which]
    cure = None if entry.cure is None else entry.cure.format(**names)
    findings.add(entry.code, path, entry.message.format(**names), cure, at=at)


REFUSED: Final[Mapping[str, Refused]] = {
    # notations
    "both notations": Refused(
        code="HS204",
        what="`needs` and `next` in one scope",
        message="other steps of this scope say `{other}`; one scope speaks one notation",
        cure="say `{other}` here too",
    ),
    "no notation": Refused(
        code="HS205",
        what="several steps in a scope, and none says `needs` or `next`",
        message="{count} steps, and none says `next` or `needs`",
        cure="say `next: <id>` for one after the other, `needs: []` for all at once",
    ),
    "start of a DAG": Refused(
        code="HS209",
        what="`start` on a DAG",
        message="a DAG starts at all steps without `needs`",
        cure="remove it",
    ),
    "split in a DAG": Refused(
        code="HS209",
        what="`split` in a DAG",
        message="`split` belongs to `next`",
        cure="steps that need this one all start; say `when` on those that may not",
    ),
    "error routed in a DAG": Refused(
        code="HS210",
        what="`on_error` with `next` in a DAG",
        message="in a DAG nothing is routed, also not by an error",
        cure="say `output`, or let a step with `join: all_done` need this one",
    ),
    "all_done in a state machine": Refused(
        code="HS209",
        what="`join: all_done` in a state machine",
        message="`all_done` belongs to `needs`",
        cure="`all`, `any` or {{at_least: n}}; in a DAG, `all_done` waits for every need",
    ),
    # joins
    "join behind itself": Refused(
        code="HS211",
        what="`join: all`, where a step that leads to it lies behind it",
        message='"{source}" leads here and lies behind this join',
        cure="use {{at_least: n}}, or a DAG with `when`",
    ),
    "join of a conditional split": Refused(
        code="HS211",
        what="`join: all` of what conditions of a `split: all` may not start",
        message='"{one}" and "{other}" are split by conditions: one may never arrive',
        cure="use {{at_least: n}}, or a DAG with `when`",
    ),
    "join of alternatives": Refused(
        code="HS211",
        what="`join: all` of steps that exclude each other",
        message='"{one}" and "{other}" exclude each other: only one of them arrives',
        cure="say `join: any`",
    ),
    "join entered alone": Refused(
        code="HS211",
        what="`join` of `all` or `at_least` on a step that the definition's `on_error`, or "
        "`trigger` in a handler, leads to",
        message="{entry} leads here, with nothing else left to arrive",
        cure="let it lead to a step without `join`",
    ),
    "meeting without join": Refused(
        code="HS212",
        what="a step without `join` behind two targets of one `split: all`",
        message='two tokens of the split at "{split}" may arrive at "{step}"',
        cure="say `join: all` to wait for both, `join: any` to run for each",
    ),
    # ends and ways on
    "terminate and next": Refused(
        code="HS019",
        what="`end: terminate` with `next`",
        message="`end: terminate` ends the scope; nothing is next",
        cure="remove one of the two",
    ),
    "failing and going on": Refused(
        code="HS021",
        what="`fail` of a decision with `assign`, `publish`, `signal`, `cancels`, `next` or `end`",
        message="a decision that fails never comes to `{field}`",
        cure="remove it",
    ),
    "failing with an output": Refused(
        code="HS019",
        what="`fail` of a decision with `output`",
        message="a decision that fails has no output",
        cure="keep `output` or `fail`",
    ),
    "two answers to an error": Refused(
        code="HS019",
        what="two of `next`, `output`, `fail`, `human` in one clause of `on_error`",
        message="the clause says `{said}` already",
        cure="keep one of them",
    ),
    "person for the whole definition": Refused(
        code="HS019",
        what="`human` in the definition's own `on_error`",
        message="a person decides how one step goes on, not a whole execution",
        cure="say `human` in the `on_error` of a step, or of a body around all of them",
    ),
    # items and branches
    "foreach on a parallel": Refused(
        code="HS019",
        what="`foreach` on a `parallel` step",
        message="a step with `branches` cannot run per item itself",
        cure="nest it in a body: `foreach` on a step with `steps: [ … this one … ]`",
    ),
    "shared variable replaced": Refused(
        code="HS218",
        what="`assign` to an outer variable within a `foreach` body or a branch, but for `append`",
        message="`{variable}` is declared outside of {around}, whose {several} run side by side",
        cure="say {{append: …}}, or declare it inside",
    ),
    "item assigned": Refused(
        code="HS213",
        what="`assign` to the name given by `as`",
        message="`{variable}` is the item of `{step}`; it cannot be changed",
        cure="declare a variable for what changes",
    ),
    # waiting
    "two things in one alternative": Refused(
        code="HS019",
        what="two of `event`, `signal`, `timer` in one alternative of a `wait`",
        message="`{said}` is waited for already",
        cure="an alternative of `any` for each",
    ),
    "any and one of them": Refused(
        code="HS019",
        what="`any` of a `wait` with `event`, `signal`, `timer` or `where` on the step itself",
        message="the list `any` says what is waited for",
        cure="make it an alternative of `any`",
    ),
    "two alternatives with one name": Refused(
        code="HS208",
        what="two alternatives of a `wait` with one name, given or by default",
        message='alternative {first} is called "{name}" already',
        cure="give one of them another `name`",
    ),
    "where of a timer": Refused(
        code="HS021",
        what="`where` on a timer of a `wait`",
        message="a timer carries nothing that `where` could look at",
        cure="remove it",
    ),
    # cancelling
    "cancelling itself": Refused(
        code="HS021",
        what="`cancels` with the step's own id",
        message="the step has completed when it cancels",
        cure="remove it",
    ),
    "cancelling elsewhere": Refused(
        code="HS201",
        what="`cancels` with a step of another scope",
        message='"{name}" is a step of another scope: {where}',
        cure="{instead}",
    ),
    # semaphores
    "more than there is": Refused(
        code="HS215",
        what="`uses` of more than the semaphore has",
        message="`{name}` has {capacity}, {count} can never be held",
        cure="at most {capacity}",
    ),
    "held around": Refused(
        code="HS215",
        what="`uses` of a semaphore within a step that holds so much of it that none is left",
        message="`{name}` has {capacity}, and {held} of it is held around the step",
        cure="say `uses` on the inner steps only",
    ),
    "deployment's held around": Refused(
        code="HS019",
        what="`uses` of a semaphore `{per: deployment}` on a step that makes no attempt itself: "
        "`sub_workflow`, `parallel`, a body",
        message="`{name}` is a semaphore of the deployment, which attempts hold while they run",
        cure="say `uses` on the steps within, or in the definition that is started",
    ),
    # properties
    "two kinds in one": Refused(
        code="HS019",
        what="two kinds in one entry of `properties`",
        message="the property says `{said}` already",
        cure="an entry of `properties` for each",
    ),
    "undoing itself": Refused(
        code="HS019",
        what="`undone` with a step that undoes itself",
        message="what `{step}` did is undone by another step",
        cure="name that step, as `{step}: refund`",
    ),
    # children
    "detached and awaited": Refused(
        code="HS021",
        what="`grace` or `retry` on a `sub_workflow` with `detached`",
        message="nobody waits for a detached execution; `{field}` says nothing",
        cure="remove it",
    ),
    # handlers
    "two actions in one": Refused(
        code="HS019",
        what="two kinds of action in one entry of a handler's `actions`",
        message="the action says `{said}` already",
        cure="an entry of `actions` for each",
    ),
    "trigger in a DAG": Refused(
        code="HS209",
        what="`trigger` in a handler of a definition whose root is a DAG",
        message="`trigger` puts a token on a step; in a DAG there are none",
        cure="let the step wait for the event: a `wait` that it needs",
    ),
    "trigger inside": Refused(
        code="HS201",
        what="`trigger` of a step within a body or a branch",
        message='"{name}" is a step of another scope: {where}',
        cure="trigger a step of the definition itself",
    ),
    # retries
    "retried and never": Refused(
        code="HS019",
        what="one error in `retry.on` and in `retry.never_on`",
        message="`{name}` is in `on` too",
        cure="keep one of them",
    ),
}
"""By a name for the check that refuses it."""
