"""YAML 1.2 (core schema) and JSON, read into plain values with the place of each.

Built on the events of ruamel.yaml's parser, not on its constructors, for three reasons: only
events know where an alias or a repeated key stands; its resolver still reads dates and
underscored numbers; and nesting and expansion must be bounded while reading, not after.

Only `true` and `false` are booleans, nothing is a date, nothing counts in sixties. What JSON
cannot hold (`.inf`, tags, integers above 64 bits) is refused. JSON is read by the same path.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from .diagnostics import Findings
from .source import Path, Place, Source

TEXT_CHARS_MAX: Final = 1024 * 1024
"""Longest definition: 1 MiB is some 30,000 lines; the parser takes seconds for it."""

DEPTH_MAX: Final = 100
"""Nesting of mappings and lists, as for expressions' data."""

NODES_MAX: Final = 100_000
"""Values after aliases are expanded: an alias of aliases grows by powers."""

_NULL: Final = re.compile(r"null|Null|NULL|~|")
_BOOL: Final = {"true": True, "True": True, "TRUE": True}
_BOOL.update({"false": False, "False": False, "FALSE": False})
_INT: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEX: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\t', re.DOTALL)
_PREFIX: Final = "tag:yaml.org,2002:"
_TAGS: Final = frozenset({"!", *(_PREFIX + kind for kind in ("str", "map", "seq"))})


class Unreadable(Exception):
    """The text has no tree; what is wrong with it has been noted in the findings."""


class _Open:
    """A mapping or list that is being read."""

    __slots__ = ("anchor", "key", "key_at", "path", "start", "value")

    def __init__(self, value: Any, path: Path, start: int, anchor: str | None) -> None:
        self.value, self.path, self.start, self.anchor = value, path, start, anchor
        self.key: str | None = None
        self.key_at: tuple[int, int] | None = None


def read(source: Source, findings: Findings) -> Any:
    """The tree of the source's text; its places are written into the source.

    Raises:
        Unreadable: the text has no tree; the findings say why.
    """
    if len(source.text) > TEXT_CHARS_MAX:
        findings.add_at(
            "HS004",
            0,
            1,
            f"the file has {len(source.text):,} characters",
            f"at most {TEXT_CHARS_MAX:,} are read; keep data in files of their own",
        )
        raise Unreadable
    text = source.text
    if text.lstrip()[:1] in ("{", "["):  # JSON may indent with tabs, YAML may not
        text = _JSON_TOKEN.sub(lambda found: " " if found[0] == "\t" else found[0], text)
    reader = _Reader(source, findings)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            reader.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = min(mark.index if mark is not None else 0, max(len(text) - 1, 0))
        findings.add_at("HS002", at, at + 1, _said(error), _cure(source, at))
        raise Unreadable from None
    except YAMLError as error:  # a character that YAML forbids: has a position, is not marked
        at = min(getattr(error, "position", 0), max(len(text) - 1, 0))
        findings.add_at("HS002", at, at + 1, "a character that YAML does not allow", None)
        raise Unreadable from None
    if not reader.done:
        findings.add_at("HS006", 0, 1, "the file is empty", "begin with `id:`")
        raise Unreadable
    return reader.root


class _Reader:
    """Builds the tree from events, with a stack of its own: depth is a count, not a recursion."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self._source, self._findings = source, findings
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, Path]] = {}
        self._nodes = 0
        self._documents = 0
        self.root: Any = None
        self.done = False

    def take(self, event: Event) -> None:
        """Add what one event of the parser says."""
        start, end = event.start_mark.index, event.end_mark.index
        match event:
            case DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._refuse("HS005", start, end, "a second document begins here", "remove it")
            case MappingStartEvent() | SequenceStartEvent():
                self._open(event, start, end)
            case MappingEndEvent() | SequenceEndEvent():
                self._close(end)
            case AliasEvent():
                self._alias(str(event.anchor), start, end)
            case ScalarEvent():
                self._scalar(event, start, end)
            case _:
                pass  # beginnings and ends of streams and documents

    def _open(self, event: MappingStartEvent | SequenceStartEvent, start: int, end: int) -> None:
        if len(self._stack) >= DEPTH_MAX:
            self._refuse(
                "HS004", start, end, f"nested deeper than {DEPTH_MAX} levels", "flatten it"
            )
        self._check_tag(event.tag, start, end)
        if self._expects_key:
            self._refuse("HS007", start, end, "a key must be a string", "quote it")
        value: Any = {} if isinstance(event, MappingStartEvent) else []
        self._stack.append(_Open(value, self._path(), start, event.anchor))

    def _close(self, end: int) -> None:
        closed = self._stack.pop()
        if closed.anchor is not None:
            self._anchors[closed.anchor] = (closed.value, closed.path)
        self._put(closed.value, Place((closed.start, max(end, closed.start + 1))))

    def _alias(self, anchor: str, start: int, end: int) -> None:
        if anchor not in self._anchors:
            self._refuse(
                "HS002", start, end, f"no value before this is named `&{anchor}`", "define it above"
            )
        if self._expects_key:
            self._refuse("HS007", start, end, "a key must be a string", "write it out")
        value, origin = self._anchors[anchor]
        path = self._path()
        copy = self._copied(value, origin, path, start, end)
        self._put(copy, self._source.places.get(path, Place((start, end))))

    def _copied(self, value: Any, origin: Path, path: Path, start: int, end: int) -> Any:
        """A copy of an anchored value, so that no two parts of the tree are one object."""
        self._count(start, end)
        place = self._source.places.get(origin)
        if place is not None:
            self._source.places[path] = place
        if isinstance(value, dict):
            return {
                key: self._copied(item, (*origin, key), (*path, key), start, end)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [
                self._copied(item, (*origin, index), (*path, index), start, end)
                for index, item in enumerate(value)
            ]
        return value

    def _scalar(self, event: ScalarEvent, start: int, end: int) -> None:
        self._check_tag(event.tag, start, end)
        style, text = event.style or "", str(event.value)
        if style in ("|", ">"):  # the mark of the end lies behind the following white space
            end = start + len(self._source.text[start:end].rstrip())
        text = self._joined(text, start, end)
        if self._expects_key:
            self._key(text, style, start, end)
            return
        value: Any = text
        if not style and event.tag is None:
            value = self._resolved(text, start, end)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._path())
        scalar = value if isinstance(value, str) else text
        self._put(value, Place((start, max(end, start + 1)), style=style, scalar=scalar))

    def _key(self, text: str, style: str, start: int, end: int) -> None:
        top = self._stack[-1]
        if not style and not isinstance(self._resolved(text, start, end), str):
            self._findings.add_at(
                "HS007", start, end, f"the key `{text}` is not a string", f'quote it: "{text}"'
            )
        if text == "<<" and not style:
            self._refuse(
                "HS009", start, end, "merge keys are not read", "write the fields out where needed"
            )
        if text in top.value:
            first = self._source.places[(*top.path, text)].key
            line = self._source.position(first[0])[0] + 1 if first is not None else 0
            self._findings.add_at(
                "HS003", start, end, f"the key `{text}` stands here twice", f"first on line {line}"
            )
        top.key, top.key_at = text, (start, end)

    def _resolved(self, text: str, start: int, end: int) -> Any:
        """What a plain scalar means in the core schema."""
        if text in _BOOL:
            return _BOOL[text]
        if _NULL.fullmatch(text):
            return None
        number: int | float | None = None
        if _INT.fullmatch(text) and len(text) <= 40:
            number = int(text)
        elif _OCTAL.fullmatch(text) or _HEX.fullmatch(text):
            number = int(text, 0)
        elif _FLOAT.fullmatch(text):
            number = float(text)
        finite = number is None or isinstance(number, int) or abs(number) != float("inf")
        small = not isinstance(number, int) or -(2**63) <= number < 2**63
        if _NO_NUMBER.fullmatch(text) or not finite or not small:
            self._findings.add_at(
                "HS008", start, end, f"`{text}` is no number of JSON with 64 bits", "quote it"
            )
        return text if number is None else number

    def _joined(self, text: str, start: int, end: int) -> str:
        """JSON writes characters beyond the first plane as two escapes; put them together."""
        if text.isascii():
            return text
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._findings.add_at("HS008", start, end, "half a character (a lone surrogate)", None)
            return text.encode("utf-8", "replace").decode()

    @property
    def _expects_key(self) -> bool:
        return bool(
            self._stack and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None
        )

    def _path(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else top.key or "")

    def _put(self, value: Any, place: Place) -> None:
        self._count(*place.value)
        path = self._path()
        if not self._stack:
            self.root, self.done = value, True
        elif isinstance(self._stack[-1].value, list):
            self._stack[-1].value.append(value)
        else:
            top = self._stack[-1]
            assert top.key is not None
            top.value[top.key] = value
            place = Place(place.value, top.key_at, place.style, place.scalar)
            top.key = None
        self._source.places[path] = place

    def _count(self, start: int, end: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            self._refuse(
                "HS004", start, end, f"more than {NODES_MAX:,} values", "use fewer aliases and data"
            )

    def _check_tag(self, tag: object, start: int, end: int) -> None:
        if tag is not None and str(tag) not in _TAGS:
            name = str(tag).replace(_PREFIX, "!!")
            self._findings.add_at("HS008", start, end, f"the tag `{name}` is not read", "remove it")

    def _refuse(self, code: str, start: int, end: int, message: str, cure: str) -> None:
        self._findings.add_at(code, start, end, message, cure)
        raise Unreadable


def _said(error: MarkedYAMLError) -> str:
    parts = [part for part in (error.problem, error.context) if part]
    return " ".join(parts) if parts else "the text is not YAML"


def _cure(source: Source, at: int) -> str | None:
    """The two mistakes that stand behind most YAML errors here."""
    line = source.line(source.position(at)[0])
    if source.text[at : at + 1] == "\t":
        return "indent with blanks: YAML allows no tabs there"
    if "${" in line:
        return "inside { } and [ ], quote a value with `${ … }`: '${ … }'"
    return None
