"""XML that nobody can make dangerous: a small tree with line numbers, and no entities.

Expat reads; whatever declares a document type or an entity is refused, since entities are how XML
opens files, calls out and grows without bound. Namespaces are dropped: models of one kind come
with many, or with none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

BYTES_MAX: Final = 64 * 1024 * 1024
"""Of a model; the largest published ones have a few megabytes."""

DEPTH_MAX: Final = 200
"""Elements within one another."""


class Unreadable(Exception):
    """A model that cannot be read as a net: where, and why."""

    def __init__(self, text: str, *, line: int | None = None, element: str | None = None) -> None:
        super().__init__(text, line, element)
        self.text, self.line, self.element = text, line, element

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        return where + (self.text if self.element is None else f"{self.element}: {self.text}")


@dataclass(slots=True)
class Element:
    """An element, without its namespace."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list[Element] = field(default_factory=list)
    text: str = ""

    @property
    def id(self) -> str:
        """Its `id`.

        Raises:
            Unreadable: it has none.
        """
        found = self.attributes.get("id")
        if not found:
            raise self.wrong("it has no id")
        return found

    def all(self, *tags: str) -> Iterator[Element]:
        """The children with one of these tags."""
        return (child for child in self.children if child.tag in tags)

    def first(self, tag: str) -> Element | None:
        return next(self.all(tag), None)

    def wrong(self, text: str) -> Unreadable:
        """An error that names the element and its line."""
        named = self.attributes.get("id")
        shown = f"<{self.tag}>" if named is None else f"<{self.tag} id={named!r}>"
        return Unreadable(text, line=self.line, element=shown)


def parse(content: bytes) -> Element:
    """The root element.

    Raises:
        Unreadable: it is no XML, or it is larger or deeper than a model is, or declares a document
            type.
    """
    if len(content) > BYTES_MAX:
        raise Unreadable(f"it has more than {BYTES_MAX // 2**20} MiB")
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    path: list[Element] = []
    roots: list[Element] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        plain = {key: value for key, value in attributes.items() if " " not in key}
        for key, value in attributes.items():  # a vendor's `x:id` is no `id`, where there is one
            plain.setdefault(key.rpartition(" ")[2], value)
        element = Element(name.rpartition(" ")[2], plain, parser.CurrentLineNumber)
        (path[-1].children if path else roots).append(element)
        path.append(element)
        if len(path) > DEPTH_MAX:
            raise element.wrong(f"more than {DEPTH_MAX} elements lie within one another")

    def end(name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        path[-1].text += data

    def refuse(*_: object) -> None:
        raise Unreadable(
            "it declares a document type, which no model needs; take the <!DOCTYPE …> out",
            line=parser.CurrentLineNumber,
        )

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise Unreadable(expat.errors.messages[error.code], line=error.lineno) from None
    except ValueError as error:  # an encoding that expat cannot read
        raise Unreadable(str(error), line=1) from None
    return roots[0]
