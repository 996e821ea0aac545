"""What can be wrong with an expression, when read (`Problem`) and when run (`ExpressionError`).

    HeliostatError
    ├── ExpressionError    an evaluation failed: a step error like any other, may be handled
    ├── SyntaxProblem      one text is no expression: fix the definition
    └── DataProblems       a data field has such texts: fix the definition

Messages show the source text and the *types* of offending values, never the values: those may be
secrets or megabytes.
"""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import Struct

from ..errors import ExpressionError, HeliostatError
from .ast import Span

CODES: Final[dict[str, str]] = {
    "HS101": "the text is not an expression",
    "HS102": "nothing has this name",
    "HS103": "there is no such function",
    "HS104": "the function takes another number of arguments",
    "HS105": "the operation can never work on values of these types",
    "HS106": "the condition can never be a boolean",
    "HS107": "the name exists, but cannot be read at this place",
    "HS108": "the text is too long or too deeply nested",
    "HS112": "an expression must be wrapped in `${ }`",
}
"""Every problem code with its meaning, for the documentation."""


class Problem(Struct, frozen=True):
    """One thing to fix, and where: `path` into a data field, `span` in the string found there."""

    code: str
    message: str
    span: Span
    cure: str | None = None
    path: tuple[str | int, ...] = ()


class SyntaxProblem(HeliostatError):
    """A text is not an expression. `problem` says where, why, and what to write instead."""

    code: ClassVar[str] = "SYNTAX_PROBLEM"

    def __init__(
        self, message: str, span: Span, cure: str | None = None, problem_code: str = "HS101"
    ) -> None:
        super().__init__(message, span, cure, problem_code)
        self.text, self.span, self.cure, self.problem_code = message, span, cure, problem_code

    @property
    def problem(self) -> Problem:
        return Problem(self.problem_code, self.text, self.span, self.cure)

    def __str__(self) -> str:
        start, end = self.span
        cure = f": {self.cure}" if self.cure else ""
        return f"{self.text} (characters {start} to {end}){cure}"


class DataProblems(HeliostatError):
    """A data field has strings that cannot be read; `problems` lists all of them."""

    code: ClassVar[str] = "DATA_PROBLEMS"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(
            f"{'.'.join(map(str, p.path)) or 'value'}: {p.code} {p.message}"
            + (f": {p.cure}" if p.cure else "")
            for p in self.problems
        )


SHOWN_CHARS_MAX: Final = 200
"""Length of a source that an error still carries in full: two lines of a terminal."""


class Failure(Exception):
    """Raised by operators and functions, which do not know where they stand in the text.

    The compiler turns it into an `ExpressionError` at the node; never seen outside the package.
    """

    def __init__(self, message: str, raised: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message, self.raised = message, raised

    def at(self, source: str, span: Span) -> ExpressionError:
        """The error at its place, with the source as far as a message can show it.

        Of a long one, such as a template, only the part at fault; `span` counts in what is shown.
        """
        if len(source) <= SHOWN_CHARS_MAX:
            return ExpressionError(self.message, source, span, self.raised)
        shown = source[slice(*span)][:SHOWN_CHARS_MAX]
        return ExpressionError(self.message, shown, (0, len(shown)), self.raised)
