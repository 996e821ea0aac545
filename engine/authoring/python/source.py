"""The source of a function: its syntax tree, and where in its file each node of it stands."""

from __future__ import annotations

import ast
import inspect
import linecache
import textwrap
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final

from ...errors import DefinitionError
from ..diagnostics import Diagnostic, Findings
from ..source import Source

_WRITTEN: Final[weakref.WeakKeyDictionary[Callable[..., Any], list[str]]] = (
    weakref.WeakKeyDictionary()
)


def remember(function: Callable[..., Any]) -> None:
    """Keep the text of a function's file as it is now, when the function is made: by the time that
    it is compiled the file may say something else."""
    _WRITTEN[function] = _lines_of(function)


def _lines_of(function: Callable[..., Any]) -> list[str]:
    file = function.__code__.co_filename
    linecache.checkcache(file)
    return linecache.getlines(file, function.__globals__)


@dataclass(frozen=True)
class Place:
    """Where in a source something stands; as text it is `file:line:column`."""

    path: str
    line: int
    column: int
    function: str
    text: str
    """The line itself."""

    @property
    def file(self) -> str:
        """The name of the file."""
        return FilePath(self.path).name

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def frame(self) -> str:
        """As a traceback shows it."""
        return f'File "{self.path}", line {self.line}, in {self.function}\n  {self.text.strip()}'


class FunctionSource:
    """A function's tree with positions in the file, notebook cell or text it was written in."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = function.__qualname__
        code = function.__code__
        self.path = code.co_filename
        self.file = FilePath(self.path).name
        lines = _WRITTEN.get(function) or _lines_of(function) or self._inspected(function)
        self._lines = lines
        self.source = Source(self.file, "".join(lines))
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))
        self.tree = self._parsed(code.co_firstlineno)

    def _inspected(self, function: Callable[..., Any]) -> list[str]:
        try:
            lines, _ = inspect.getsourcelines(function)
        except (OSError, TypeError):
            fault = Diagnostic(
                file=self.file,
                code="HS400",
                message=f"the source of `{self.name}` cannot be found: it was made by exec, or "
                "typed where nothing keeps it",
                cure="write it in a file or a notebook cell",
            )
            raise DefinitionError(self.name, [fault]) from None
        return lines

    def _parsed(self, first: int) -> ast.FunctionDef:
        """The function's own definition, with line numbers of the file."""
        block = inspect.getblock(self._lines[first - 1 :])
        text = textwrap.dedent("".join(block))
        self._cut = len(block[0]) - len(block[0].lstrip(" \t"))
        tree = ast.parse(text).body[0]
        if not isinstance(tree, ast.FunctionDef):
            kind = "an async function" if isinstance(tree, ast.AsyncFunctionDef) else "no function"
            fault = Diagnostic(
                file=self.file,
                line=first,
                column=1,
                code="HS401",
                message=f"`{self.name}` is {kind}",
                cure="write `def`: a workflow waits by calling steps",
                source_line=self._lines[first - 1].rstrip("\n"),
                caret=(self._cut, len(self._lines[first - 1].rstrip("\n"))),
            )
            raise DefinitionError(self.name, [fault])
        ast.increment_lineno(tree, first - 1)
        return tree

    def offsets(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends in the file's text."""
        line = getattr(node, "lineno", self.tree.lineno)
        end_line = getattr(node, "end_lineno", None) or line
        start = self._offset(line, getattr(node, "col_offset", 0))
        return start, max(start + 1, self._offset(end_line, getattr(node, "end_col_offset", 0)))

    def _offset(self, line: int, column: int) -> int:
        text = self._lines[line - 1][self._cut :]
        # columns of a tree count bytes of UTF-8
        chars = len(text.encode()[:column].decode(errors="ignore"))
        return self._starts[line - 1] + self._cut + chars

    def place(self, node: ast.AST) -> Place:
        """Where a node stands, as failures and pages show it."""
        line, column = self.source.position(self.offsets(node)[0])
        return Place(self.path, line + 1, column + 1, self.function.__name__, self._lines[line])

    def findings(self) -> Findings:
        """An empty list of faults of this source."""
        return Findings(self.file, None, self.source)
