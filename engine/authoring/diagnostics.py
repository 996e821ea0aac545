"""What is wrong with a definition, where, and what to write instead.

    items.yaml:14:22 error[HS112] step "enrich", field "input.doc": "$.a + 1" is an expression
       |   doc: $.a + 1
       |        ^^^^^^^ wrap it: ${ $.a + 1 }

A `Diagnostic` is plain data: it can be pickled, compared and printed, and knows nothing of the
file it came from but the one line it shows. `Findings` gathers them while a definition is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from ..expressions import CODES as EXPRESSION_CODES
from .source import Path, Source

CODES: Final[dict[str, str]] = {
    # the file and its YAML
    "HS001": "the file cannot be read",
    "HS002": "the text is not YAML or JSON",
    "HS003": "a key stands twice in one mapping",
    "HS004": "the file is larger, deeper or more expanded than its bounds",
    "HS005": "the file has several documents; one definition is one document",
    "HS006": "the document is not a mapping",
    "HS007": "a key is not a string",
    "HS008": "the value does not exist in JSON",
    "HS009": "merge keys belong to YAML 1.1; YAML 1.2 has none",
    # the shape
    "HS010": "a required field is missing",
    "HS011": "there is no such field",
    "HS012": "known to the language and not built yet",
    "HS013": "the value has another type than the field",
    "HS014": "the value is none of those allowed",
    "HS015": "a bare number where a duration with its unit is wanted",
    "HS016": "the text is no duration or instant",
    "HS017": "the name cannot be used",
    "HS018": "the number is out of range",
    "HS019": "fields that exclude each other, or need each other",
    "HS020": "the JSON Schema is not valid",
    "HS021": "the field says nothing here and would be ignored",
    # the structure
    "HS201": "no step of this scope has this id",
    "HS202": "nothing leads to the step",
    "HS203": "steps need each other in a circle",
    "HS204": "one scope uses both `next` and `needs`",
    "HS205": "several steps, and nothing says in which order",
    "HS206": "a clause stands behind the default and is never reached",
    "HS207": "the list has two defaults",
    "HS208": "the id is used twice",
    "HS209": "the field belongs to the other notation",
    "HS210": "`next` in `on_error` of a DAG",
    "HS211": "this `join: all` can never be complete, or not always",
    "HS212": "several tokens may arrive at a step that does not say `join`",
    "HS213": "no scope declares the variable",
    "HS214": "`append` stands alone and extends a variable that begins as a list",
    "HS215": "the count can never be reached",
    "HS216": "the field needs `foreach`",
    "HS217": "an `on_error` clause stands behind one that takes every error",
    "HS218": "items and branches may change outer variables by `append` only",
    "HS219": "the definition declares no semaphore of this name",
    "HS220": "the definition declares no such intervention point",
    "HS221": "the text is no formula",
    # activities
    "HS301": "the module cannot be imported",
    "HS302": "the module has no such function",
    "HS303": "what is named is not a function",
    "HS304": "a required parameter is missing from `input`",
    "HS305": "the function has no such parameter",
    "HS306": "the parameter cannot be passed by name",
    "HS307": "the activity is neither `module:function` nor a registered name",
    "HS308": "the options at the function and those of the step contradict each other",
    # compiled Python
    "HS400": "the source of the function cannot be found",
    "HS401": "what is marked is no plain function",
    "HS402": "the statement is not compiled",
    "HS403": "the expression is not compiled",
    "HS404": "the name means nothing, or nothing that a definition can keep",
    "HS405": "a value outside of the function that may change while it runs",
    "HS406": "a function or class within the function",
    "HS407": "generators are not compiled",
    "HS408": "the call reaches outside, or gives another result each time",
    "HS409": "`async` and `await` are not compiled",
    "HS410": "what is called is neither a step nor a block nor a workflow",
    "HS411": "the arguments do not fit",
    "HS412": "the types do not fit",
    "HS413": "the name may have no value there",
    "HS414": "the list may be known by another name, which would change too",
    "HS415": "errors are raised and caught by their classes, and known by their texts",
    "HS416": "one of heliostat's functions is used otherwise than it can be",
    "HS417": "the block would be inlined into itself",
    # what registration finds in the deployment
    "HS320": "the workflow, or its version, is not registered",
    "HS321": "no calendar of this name is configured",
    "HS322": "the deployment has no such semaphore, or less of it than a step takes",
    # what proofs find
    "HS501": "an execution can get stuck",
    "HS502": "an execution can come to where no way leads to its end",
    "HS503": "no execution ever comes to the step",
    "HS504": "there is no bound to what may wait at one place",
    "HS505": "an end may be reached more than once",
    "HS506": "two tokens may be at one place",
    "HS507": "a formula about executions does not hold",
    "HS509": "the proof came to one of its bounds before it had an answer",
    "HS510": "there is a case in which none of a step's conditions holds, and it has no default",
    "HS511": "a condition can never hold",
    "HS512": "something is read that may not have been written by then",
    "HS513": "what is assigned is never read",
    "HS514": "two steps that may be under way at once assign one variable",
    "HS515": "a step reads a variable that another may assign at the same time",
    "HS516": "a value is never of the type that is needed",
    "HS517": "there is a case in which a condition has no value",
    "HS518": "there is a case in which the input of a step does not fit what it takes",
    "HS520": "a deadline can never be met",
    "HS521": "no attempt ends within its timeout",
    "HS522": "a deadline is missed by what is expected",
    "HS523": "an execution may take longer than the definition declares",
    "HS530": "no node has what an attempt of the step takes",
    "HS540": "two steps that different people have to do can be done by one",
    "HS541": "executions wait for ever for what the other would send",
    "HS542": "an execution can wait for ever for what another does not send",
    "HS543": "every execution starts another of its own definition",
    "HS544": "events and handlers set off one another without end",
    "HS545": "an execution can fail and leave undone what a step has done",
    "HS546": "a step that undoes another can get stuck",
    "HS547": "a step that undoes another is given up at its first failure",
    "HS551": "a declared property does not hold",
}
"""Every code of this package with its one-line meaning; `ALL_CODES` adds the expressions' own."""

ALL_CODES: Final[Mapping[str, str]] = {**CODES, **EXPRESSION_CODES}

_SHOWN_CHARS_MAX: Final = 160

Part: TypeAlias = Literal["key", "value"]

Severity: TypeAlias = Literal["error", "warning"]
"""An error keeps a definition from being registered."""


class Diagnostic(Struct, frozen=True, kw_only=True):
    """One fault. Lines and columns count from 1; 0 means that the definition has no file."""

    file: str
    line: int = 0
    column: int = 0
    code: str
    step: str | None = None
    field: str | None = None
    message: str
    source_line: str | None = None
    caret: tuple[int, int] = (0, 0)  # columns in `source_line`, from 0, end exclusive
    cure: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        subject = ", ".join(
            f'{kind} "{name}"'
            for kind, name in (("step", self.step), ("field", self.field))
            if name is not None
        )
        head = (
            f"{place} {self.severity}[{self.code}] "
            + (f"{subject}: " if subject else "")
            + self.message
        )
        if self.source_line is None:
            return f"{head}\n   = {self.cure}" if self.cure else head
        line, start, end = _window(self.source_line, self.caret)
        cure = f" {self.cure}" if self.cure else ""
        return f"{head}\n   | {line}\n   | {' ' * start}{'^' * (end - start)}{cure}"


class Findings:
    """The diagnostics of one definition, gathered by the paths of the values they are about."""

    def __init__(self, name: str, tree: Any, source: Source | None = None) -> None:
        self._name, self.tree, self._source = name, tree, source
        self._found: dict[Diagnostic, None] = {}
        self.damaged = False
        """The order of the steps could not be read: that a way is missing proves nothing now."""

    def add(
        self,
        code: str,
        path: Path,
        message: str,
        cure: str | None = None,
        *,
        at: Part = "value",
        span: tuple[int, int] | None = None,
        severity: Severity = "error",
    ) -> None:
        """Note one fault of the value at `path`, or of its key, or of `span` within its text."""
        assert code in ALL_CODES, code
        step, field = named(self.tree, path)
        fault = Diagnostic(
            file=self._name,
            code=code,
            step=step,
            field=field,
            message=message,
            cure=cure,
            severity=severity,
        )
        self._found[fault if self._source is None else self._placed(fault, path, at, span)] = None

    def add_at(self, code: str, start: int, end: int, message: str, cure: str | None) -> None:
        """Note one fault of the file's text itself, by offsets into it."""
        fault = Diagnostic(file=self._name, code=code, message=message, cure=cure)
        self._found[self._shown(fault, start, end)] = None

    def all(self) -> tuple[Diagnostic, ...]:
        """Everything found, in the order of the file."""
        return tuple(sorted(self._found, key=lambda fault: (fault.line, fault.column, fault.code)))

    def __bool__(self) -> bool:
        return bool(self._found)

    def _placed(
        self, fault: Diagnostic, path: Path, at: Part, span: tuple[int, int] | None
    ) -> Diagnostic:
        assert self._source is not None
        start, end = self._source.extent(path, key=at == "key", span=span)
        return self._shown(fault, start, end)

    def _shown(self, fault: Diagnostic, start: int, end: int) -> Diagnostic:
        assert self._source is not None
        line, column = self._source.position(start)
        text = self._source.line(line)
        width = max(1, min(end - start, len(text) - column))
        return Diagnostic(
            file=fault.file,
            line=line + 1,
            column=column + 1,
            code=fault.code,
            step=fault.step,
            field=fault.field,
            message=fault.message,
            source_line=text,
            caret=(column, column + width),
            cure=fault.cure,
            severity=fault.severity,
        )


def named(tree: Any, path: Path) -> tuple[str | None, str | None]:
    """The step that a path lies in, innermost first, and the field of it as people write it."""
    step: str | None = None
    rest: Sequence[str | int] = path
    node = tree
    for index, key in enumerate(path):
        inside = isinstance(node, list) and index > 0 and path[index - 1] == "steps"
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            break
        if inside and isinstance(node, dict):
            id = node.get("id")
            step = id if isinstance(id, str) else f"#{int(key) + 1}"
            rest = path[index + 1 :]
    return step, dotted(rest) or None


def dotted(path: Iterable[str | int]) -> str:
    """`("next", 0, "when")` as `next[0].when`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _window(line: str, caret: tuple[int, int]) -> tuple[str, int, int]:
    """A line with its indentation cut to two, and of a long one the part around the caret."""
    start, end = caret
    body = line.lstrip(" \t")
    cut = len(line) - len(body)
    start, end = max(start - cut, 0), max(end - cut, 1)
    if len(body) <= _SHOWN_CHARS_MAX:
        return f"  {body}", start + 2, end + 2
    first = max(0, min(start - _SHOWN_CHARS_MAX // 4, len(body) - _SHOWN_CHARS_MAX))
    last = min(len(body), first + _SHOWN_CHARS_MAX)
    shown = ("… " if first else "  ") + body[first:last] + (" …" if last < len(body) else "")
    return shown, start - first + 2, min(end, last) - first + 2
