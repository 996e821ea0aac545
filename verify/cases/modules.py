"""Cases as a module of tests for pytest, which its owner keeps and edits."""

from __future__ import annotations

import re
from pprint import pformat

from heliostat.engine.values import Json
from heliostat.verify.cases.choosing import Case, Cases

WIDTH = 100


def module(cases: Cases, *, imports: str, workflow: str) -> str:
    """The text of a module with a test for each case.

    Args:
        cases: what is tested.
        imports: lines that make the workflow known.
        workflow: an expression for what `hs.simulate` is given.
    """
    tests = "\n\n\n".join(_test(case, workflow) for case in cases.cases)
    return (
        f'"""Cases of {cases.definition}: written by `heliostat cases`, yours to edit."""\n\n'
        f"{imports}\n\n\n{tests}\n"
    )


def _test(case: Case, workflow: str) -> str:
    expected = case.checked.expected
    covers = case.purpose or "all goes well"
    arguments = [workflow, _literal(case.told.input, 8), _literal(case.told.outcomes, 8)]
    if case.told.timeline:
        arguments.append(f"timeline={_literal(case.told.timeline, 17)}")
    given = "".join(f"        {each},\n" for each in arguments)
    lines = [
        f"def test_{re.sub(r'[^0-9a-z_]', '_', case.name)}() -> None:",
        *_docstring(covers),
        f"    run = hs.simulate(\n{given}    )",
    ]
    if expected.status == "waiting":
        lines.append("    assert not run.ended")
    else:
        lines.append(f'    assert run.status == "{expected.status}"')
    if expected.status == "Completed":
        lines.append(f"    assert run.output == {_literal(expected.output, 25)}")
    if expected.failure is not None:
        lines.append("    assert run.failure is not None")
        lines.append(f'    assert run.failure.type == "{expected.failure}"')
    lines.append(f"    assert run.trace == {_literal(list(expected.trace), 24)}")
    return "\n".join(lines)


def _docstring(covers: str) -> list[str]:
    told = f"Covers: {covers}."
    told = told.replace("\\", "\\\\").replace('"""', "'''")
    if len(told) <= WIDTH - 10:
        return [f'    """{told}"""']
    lines, line = list[str](), ""
    for word in told.split(" "):
        if line and len(line) + len(word) + 1 > WIDTH - 8:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [
        f'    """{lines[0] if lines else line}',
        *(f"    {each}" for each in [*lines[1:], line]),
        '    """',
    ]


def _literal(value: Json, column: int) -> str:
    """A value as Python writes it, its further lines moved below the first."""
    text = pformat(value, width=WIDTH - column, sort_dicts=False, compact=True)
    return text.replace("\n", "\n" + " " * column)
