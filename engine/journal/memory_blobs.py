"""Which blobs a journal in dictionaries names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence, Set

from ..identity import ExecutionKey
from .naming import code_of
from .protocol import DefinitionRow


class MemoryBlobNames:
    """Names by the executions that hold them; those of definitions stay."""

    def __init__(self) -> None:
        self._of: defaultdict[ExecutionKey, set[str]] = defaultdict(set)
        self._code: set[str] = set()

    def add(self, key: ExecutionKey, names: Sequence[str]) -> None:
        """An execution's events refer to these."""
        if names:
            self._of[key].update(names)

    def add_code(self, definition: DefinitionRow) -> None:
        """A definition's code is kept for ever."""
        code = code_of(definition.compiled)
        if code is not None:
            self._code.add(code)

    def drop(self, keys: Set[ExecutionKey]) -> None:
        """Executions are gone, and with them what they named."""
        for key in keys:
            self._of.pop(key, None)

    def named(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that somebody holds."""
        wanted = frozenset(names)
        held = (wanted & of for of in self._of.values())
        return (wanted & self._code).union(*held)
