"""A definition as a diagram, in the languages of Mermaid and Graphviz.

    diagram(definition, "mermaid")

`picture.py` says what there is to draw: boxes within frames, and arrows between them, with words
that people read. `mermaid.py` and `dot.py` write that down, and decide nothing. The same
definition gives the same text, line for line, so that a diagram can be kept beside its workflow
and an edit shows in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

from ...errors import InputError
from ..model import Definition
from .dot import as_dot
from .mermaid import as_mermaid
from .picture import Frame, picture_of

__all__ = ["LANGUAGES", "Language", "diagram"]

Language: TypeAlias = Literal["mermaid", "dot"]
LANGUAGES: Final[Mapping[str, Callable[[Frame], str]]] = {"mermaid": as_mermaid, "dot": as_dot}


def diagram(definition: Definition, language: Language = "mermaid") -> str:
    """The diagram of a definition as text, with a line break at its end.

    Raises:
        InputError: there is no such language.
    """
    write = LANGUAGES.get(language)
    if write is None:
        raise InputError(
            f"no diagram is written in {language!r}: say one of {', '.join(LANGUAGES)}"
        )
    return write(picture_of(definition))
