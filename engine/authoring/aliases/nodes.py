"""A tree whose values know where they were read, so that they can be moved about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..diagnostics import Findings
from ..source import Path, Place


class Node:
    """A value of the tree with its place; lists and mappings hold nodes in their turn."""

    __slots__ = ("place", "value")

    def __init__(self, value: Any, place: Place | None) -> None:
        self.value, self.place = value, place

    @classmethod
    def of(cls, tree: Any, places: Mapping[Path, Place], path: Path = ()) -> Node:
        """The nodes of a plain tree; the reader has bounded its depth."""
        value = tree
        if isinstance(tree, dict):
            value = {key: cls.of(item, places, (*path, key)) for key, item in tree.items()}
        elif isinstance(tree, list):
            value = [cls.of(item, places, (*path, index)) for index, item in enumerate(tree)]
        return cls(value, places.get(path))

    def made(self, value: Any) -> Node:
        """A value that stands where this one stood: what it holds may be plain or nodes."""
        if isinstance(value, Node):
            return value
        if isinstance(value, dict):
            value = {key: self.made(item) for key, item in value.items()}
        elif isinstance(value, list):
            value = [self.made(item) for item in value]
        return Node(value, self.place)

    def plain(self) -> Any:
        """The tree without places."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Node]]:
        """Every node with its path."""
        yield path, self
        if isinstance(self.value, dict):
            for key, item in self.value.items():
                yield from item.walk((*path, key))
        elif isinstance(self.value, list):
            for index, item in enumerate(self.value):
                yield from item.walk((*path, index))

    def places(self) -> dict[Path, Place]:
        """Where each path of this tree stands in the text."""
        return {path: node.place for path, node in self.walk() if node.place is not None}

    # what the rewriting asks of a node

    def get(self, key: str) -> Node | None:
        """The value of a key, if this is a mapping that has it."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def text(self, key: str) -> str | None:
        """The value of a key, if it is a text."""
        node = self.get(key)
        return node.value if node is not None and isinstance(node.value, str) else None

    def elements(self, key: str) -> list[Node]:
        """The mappings in a list."""
        node = self.get(key)
        found = node.value if node is not None and isinstance(node.value, list) else []
        return [each for each in found if isinstance(each.value, dict)]


class Rewriting:
    """What was changed, and what could not be."""

    def __init__(self) -> None:
        self.changed = False
        self.failing: list[Node] = []
        """Steps whose error policy is to fail the whole, whatever the definition's is."""
        self._faults: list[tuple[str, Node, str, str | None]] = []

    def refuse(self, code: str, node: Node, message: str, cure: str | None = None) -> None:
        """Note that what stands at the node cannot be said in the words of the language."""
        self.changed = True
        self._faults.append((code, node, message, cure))

    def rename(self, owner: Node, old: str, new: str) -> Node | None:
        """Give a field its name in the language; two names for one thing are refused."""
        node = owner.get(old)
        if node is None or old == new:
            return None
        if new in owner.value:
            message = f"`{old}` and `{new}` are two words for one field"
            self.refuse("HS019", node, message, f"keep `{new}`")
            self.drop(owner, old)
            return None
        self.changed = True
        owner.value = {new if key == old else key: item for key, item in owner.value.items()}
        return node

    def drop(self, owner: Node, key: str) -> None:
        """Take a field away."""
        self.changed = True
        owner.value.pop(key, None)

    def put(self, owner: Node, key: str, node: Node) -> None:
        """Set a field."""
        self.changed = True
        owner.value[key] = node

    def report(self, root: Node, findings: Findings) -> None:
        """Note the faults, those of nodes that are still there with their step and field."""
        paths = {id(node): path for path, node in root.walk()}
        for code, node, message, cure in self._faults:
            if id(node) in paths:
                findings.add(code, paths[id(node)], message, cure)
            else:
                start, end = node.place.value if node.place is not None else (0, 1)
                findings.add_at(code, start, end, message, cure)
