"""What people are told of functions that cannot be compiled, word for word.

`bad/*.py` are workflows as newcomers write them, the `.txt` beside each is what is printed. After a
change run with `--rewrite-diagnostics` and read the diff as a user would.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import heliostat as hs
from heliostat.engine.errors import DefinitionError

BAD = sorted((Path(__file__).parent / "bad").glob("*.py"))


def told(file: Path) -> DefinitionError:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(DefinitionError) as caught:
        _ = module.checkout.definition
    return caught.value


@pytest.mark.parametrize("file", BAD, ids=[file.stem for file in BAD])
def test_diagnostics_are_as_written(file: Path, request: pytest.FixtureRequest) -> None:
    error = told(file)
    printed, expected = f"{error}\n", file.with_suffix(".txt")
    if request.config.getoption("--rewrite-diagnostics", default=False):
        expected.write_text(printed, encoding="utf-8")
    assert printed == expected.read_text(encoding="utf-8")
    lines = file.read_text(encoding="utf-8").splitlines()
    for fault in error.diagnostics:
        assert fault.source_line == lines[fault.line - 1]
        start, end = fault.caret
        assert (start, True) == (fault.column - 1, start < end)
        # What is wrong is said in the message; what to write instead stands behind the caret,
        # but where two types of the user's do not fit: only the user knows which one is meant.
        assert fault.cure or fault.code in ("HS412", "HS016")


def test_there_are_many() -> None:
    assert len(BAD) > 100


class TestMarks:
    def test_what_is_no_function_is_refused_where_it_is_marked(self) -> None:
        class Odd: ...

        with pytest.raises(TypeError, match=r"@hs\.workflow .*directly above `def`"):
            hs.workflow(Odd)
        with pytest.raises(TypeError, match=r"@hs\.block"):
            hs.block(hs.step(lambda x: x))

    def test_so_is_what_another_decorator_made(self) -> None:
        from functools import cache

        with pytest.raises(TypeError, match="without other decorators"):
            hs.workflow(cache(lambda x: x))
