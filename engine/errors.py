"""Every error that heliostat raises on purpose, in one tree.

    HeliostatError                    INTERNAL
    ├── DefinitionError               INVALID_DEFINITION     fix it: carries all diagnostics
    ├── InputError                    INVALID_INPUT          fix the request
    │   └── ConfigurationError        INVALID_CONFIGURATION  fix flag, file or variable
    ├── NotFound                      NOT_FOUND
    ├── Conflict                      CONFLICT
    │   ├── Duplicate                 DUPLICATE_ERROR        the id is taken by something else
    │   ├── Dependency                DEPENDENCY_ERROR       something that goes on needs it
    │   └── Unmapped                  UNMAPPED               a version lacks what it has
    ├── Overloaded                    OVERLOADED             try again later: nothing was accepted
    ├── Unreachable                   UNREACHABLE            no deployment answers
    │   └── ResultTimeout             RESULT_TIMEOUT         the caller's own wait ended
    ├── ExpressionError               EXPRESSION_ERROR       a step error like any other
    ├── ExecutionFailed               EXECUTION_FAILED       raised by `result()`
    ├── ExecutionCanceled             EXECUTION_CANCELED     raised by `result()`
    ├── HistoryMisfit                 HISTORY_MISFIT         an event that its plan does not allow
    └── JournalError                  JOURNAL_ERROR
        ├── JournalLocked             JOURNAL_LOCKED         somebody else writes it
        ├── JournalUnavailable        JOURNAL_UNAVAILABLE    read-only, full or broken
        ├── FormatMismatch            JOURNAL_FORMAT         written by another version
        └── OutcomeUnknown            OUTCOME_UNKNOWN        read `seq` before anything else

Facts go to `args`, since Ray pickles exceptions by them; `str()` is made from the facts.
What a *step* fails with is data, not an exception: `heliostat.engine.kernel.events.Failure`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class HeliostatError(Exception):
    """Root of every error raised on purpose."""

    code: ClassVar[str] = "INTERNAL"
    """Stable; becomes `code` in API bodies, exit codes, metrics and docs."""

    @property
    def message(self) -> str:
        """What happened, to what, and what to do next."""
        return str(self)

    @property
    def details(self) -> Mapping[str, Any]:
        """Facts for programs, as JSON."""
        return {}


class DefinitionError(HeliostatError):
    """A definition is not valid; all of its faults are named, not only the first."""

    code = "INVALID_DEFINITION"

    def __init__(self, name: str, diagnostics: Sequence[Any]) -> None:
        super().__init__(name, tuple(diagnostics))
        self.name, self.diagnostics = name, tuple(diagnostics)

    def __str__(self) -> str:
        count = len(self.diagnostics)
        faults = "\n".join(str(diagnostic) for diagnostic in self.diagnostics)
        return f"{self.name} has {count} fault{'s' if count != 1 else ''}:\n{faults}"

    @property
    def details(self) -> Mapping[str, Any]:
        return {"diagnostics": [str(diagnostic) for diagnostic in self.diagnostics]}


class InputError(HeliostatError):
    """A request cannot be accepted as it is; the message names the field and the cure."""

    code = "INVALID_INPUT"

    def __init__(self, text: str = "", details: object = None) -> None:
        facts = (text,) if details is None else (text, details)
        super().__init__(*facts)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def details(self) -> Mapping[str, Any]:
        """The `field` that is at fault, where one is."""
        facts = self.args[1] if len(self.args) > 1 else None
        return facts if isinstance(facts, dict) else {}


class ConfigurationError(InputError):
    """A flag, a configuration file or an environment variable has a value that cannot be used."""

    code = "INVALID_CONFIGURATION"


class NotFound(HeliostatError):
    """The named thing does not exist."""

    code = "NOT_FOUND"

    def __init__(self, kind: str, name: str, cure: str = "") -> None:
        super().__init__(kind, name, cure)
        self.kind, self.name, self.cure = kind, name, cure

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.name!r}" + (f"; {self.cure}" if self.cure else "")

    @property
    def details(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "name": self.name}


class Conflict(HeliostatError):
    """The request does not fit the state of the thing it names."""

    code = "CONFLICT"


class Duplicate(Conflict):
    """The id is taken by an execution or version with other content."""

    code = "DUPLICATE_ERROR"

    def __init__(self, text: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(text, dict(details or {}))
        self.text = text

    def __str__(self) -> str:
        return self.text

    @property
    def details(self) -> Mapping[str, Any]:
        """Of a version, the `difference` from the one that is registered, in words."""
        found: Mapping[str, Any] = self.args[1]
        return found


class Dependency(Conflict):
    """A definition cannot be deleted while executions of it go on, or other definitions call it."""

    code = "DEPENDENCY_ERROR"

    def __init__(
        self, name: str, executions: Sequence[str] = (), definitions: Sequence[str] = ()
    ) -> None:
        super().__init__(name, tuple(executions), tuple(definitions))
        self.name = name
        self.executions, self.definitions = tuple(executions), tuple(definitions)

    def __str__(self) -> str:
        needed = [
            f"{what} {', '.join(map(repr, names))}"
            for what, names in (
                ("of it goes on", self.executions),
                ("it is called by", self.definitions),
            )
            if names
        ]
        return (
            f"definition {self.name!r} cannot be deleted: {'; '.join(needed)}; let the executions "
            f"end, or cancel them, and delete what calls it first"
        )

    @property
    def details(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "executions": list(self.executions),
            "definitions": list(self.definitions),
        }


class Unmapped(Conflict):
    """An execution has something that the version it was to be moved to has no counterpart of."""

    code = "UNMAPPED"

    def __init__(self, text: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(text, dict(details or {}))
        self.text = text

    def __str__(self) -> str:
        return self.text

    @property
    def details(self) -> Mapping[str, Any]:
        """`obstacles`: of each the `place` and the `reason`."""
        found: Mapping[str, Any] = self.args[1]
        return found


class Overloaded(HeliostatError):
    """The request was refused before it was acknowledged; sending it again later is safe."""

    code = "OVERLOADED"

    def __init__(self, what: str, retry_after_s: float, told: str | None = None) -> None:
        super().__init__(what, retry_after_s, told)
        self.what, self.retry_after_s, self.told = what, retry_after_s, told

    def __str__(self) -> str:
        if self.told is not None:  # in words of its own
            return self.told
        return f"{self.what} is full; nothing was accepted, try again in {self.retry_after_s:g} s"

    @property
    def details(self) -> Mapping[str, Any]:
        return {"retry_after_s": self.retry_after_s}


class Unreachable(HeliostatError):
    """No deployment answered within the bound; whether a request arrived is unknown."""

    code = "UNREACHABLE"


class ResultTimeout(Unreachable):
    """The caller's own wait ended first; the execution goes on and can be asked again."""

    code = "RESULT_TIMEOUT"

    def __init__(self, execution_id: str, waited_s: float) -> None:
        super().__init__(execution_id, waited_s)
        self.execution_id, self.waited_s = execution_id, waited_s

    def __str__(self) -> str:
        return (
            f"execution {self.execution_id!r} has not ended after {self.waited_s:g} s; "
            f"it goes on, and can be asked for its result again"
        )


class ExpressionError(HeliostatError):
    """An expression has no value here: missing data, a type clash, or its bound on work."""

    code = "EXPRESSION_ERROR"

    def __init__(
        self,
        text: str,
        source: str | None = None,
        span: tuple[int, int] | None = None,
        raised: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text, source, span, raised)
        self.text, self.source, self.span = text, source, span
        self.raised = raised
        """Of a strict function: the names of the error that Python raises, upwards; else none."""

    def __str__(self) -> str:
        if self.source is None or self.raised:
            return self.text
        return f"{self.text} (in `{self.source}`)"

    @property
    def type(self) -> str:
        """What a step fails as that evaluates this."""
        return self.raised[0] if self.raised else "ExpressionError"


class ExecutionFailed(HeliostatError):
    """An execution ended as Failed; `failure` has the error's type, message and traceback."""

    code = "EXECUTION_FAILED"

    def __init__(self, execution_id: str, failure: Mapping[str, Any]) -> None:
        super().__init__(execution_id, dict(failure))
        self.execution_id, self.failure = execution_id, dict(failure)

    def __str__(self) -> str:
        step, place = self.failure.get("step"), self.failure.get("place")
        where = f" in step {step!r}" if step else ""
        where += f" ({place})" if place else ""
        return (
            f"execution {self.execution_id!r} failed{where}: "
            f"{self.failure.get('type')}: {self.failure.get('message')}"
        )

    @property
    def details(self) -> Mapping[str, Any]:
        return {"execution_id": self.execution_id, "failure": self.failure}


class ExecutionCanceled(HeliostatError):
    """An execution was asked to end, and did."""

    code = "EXECUTION_CANCELED"

    def __init__(self, execution_id: str) -> None:
        super().__init__(execution_id)
        self.execution_id = execution_id

    def __str__(self) -> str:
        return f"execution {self.execution_id!r} was canceled"


class HistoryMisfit(HeliostatError):
    """An event that the plan does not allow after those before it: a mistake of ours, or a history
    that somebody changed. Nothing goes on from there."""

    code = "HISTORY_MISFIT"

    def __init__(self, number: int, event: str, step: str | None, why: str) -> None:
        super().__init__(number, event, step, why)
        self.number, self.event, self.step, self.why = number, event, step, why

    def __str__(self) -> str:
        of = "" if self.step is None else f" of step {self.step!r}"
        return f"event {self.number} ({self.event}{of}) does not fit: {self.why}"

    @property
    def details(self) -> Mapping[str, Any]:
        return {"number": self.number, "event": self.event, "step": self.step, "why": self.why}


class JournalError(HeliostatError):
    """The journal could not do what was asked."""

    code = "JOURNAL_ERROR"


class JournalLocked(JournalError):
    """Another deployment, process or node writes this journal."""

    code = "JOURNAL_LOCKED"


class JournalUnavailable(JournalError):
    """The store cannot write (read-only, full, broken); nothing of the append was stored."""

    code = "JOURNAL_UNAVAILABLE"


class NoJournal(JournalUnavailable):
    """The place named can be read, and holds no journal (yet)."""

    code = "NO_JOURNAL"


class FormatMismatch(JournalError):
    """The files were written by a version whose format this one does not read."""

    code = "JOURNAL_FORMAT"


class OutcomeUnknown(JournalError):
    """The connection broke in a commit; what was stored must be read before anything else."""

    code = "OUTCOME_UNKNOWN"
