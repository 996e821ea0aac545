"""The expression language: what stands in `when`, in `${ … }`, and behind a bare `$.path`.

A text is read once, when a definition is registered (`parse_expression`, `parse_data`), checked
against what can be named at its place (`check`), and asked what it reads of values that may be
elsewhere (`reads`). It then runs as closures over a `Context`, which the kernel provides. An
evaluation is pure, bounded (`limits.py`) and repeatable: no clock, no randomness, no I/O, and no
way to anything but JSON values, instants and durations. References are passed on, never opened.

Start with `ast.py` for what there is, `grammar.py` for how it is written, `operators.py` and
`functions.py` for what it means, `data.py` for how it stands in data fields. The package knows
nothing of steps, scopes or journals.
"""

from ..errors import ExpressionError
from .ast import Node, Path
from .check import Names, check, type_of
from .context import MISSING, Context, EvaluationContext, Missing, StepResult, StepView
from .data import (
    Data,
    Expression,
    Template,
    at_rest,
    parse_data,
    parse_expression,
    parse_fields,
)
from .errors import CODES, DataProblems, Problem, SyntaxProblem
from .functions import FUNCTIONS
from .grammar import RESERVED_WORDS
from .outside import leads_outside, of_output
from .printing import print_expression, print_path
from .reads import Read, reads
from .time import (
    Duration,
    Instant,
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)
from .types import ANY, BOOLEAN, Type, render_type, type_from_schema

__all__ = [
    "ANY",
    "BOOLEAN",
    "CODES",
    "FUNCTIONS",
    "MISSING",
    "RESERVED_WORDS",
    "Context",
    "Data",
    "DataProblems",
    "Duration",
    "EvaluationContext",
    "Expression",
    "ExpressionError",
    "Instant",
    "Missing",
    "Names",
    "Node",
    "Path",
    "Problem",
    "Read",
    "StepResult",
    "StepView",
    "SyntaxProblem",
    "Template",
    "Type",
    "at_rest",
    "check",
    "format_duration",
    "format_instant",
    "leads_outside",
    "of_output",
    "parse_data",
    "parse_duration",
    "parse_expression",
    "parse_fields",
    "parse_instant",
    "print_expression",
    "print_path",
    "reads",
    "render_type",
    "type_from_schema",
    "type_of",
]
