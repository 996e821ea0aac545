"""PNML: place/transition nets as ISO/IEC 15909-2 writes them down.

Read are places with `initialMarking`, transitions, arcs with `inscription`, pages within pages and
references to nodes of other pages, from each `net` of a file; graphics and tools' own additions are
passed over. Of tools' own arcs the inhibiting, resetting and reading ones are known, written as
`type` or `arctype`. Refused are coloured and timed nets, other arcs, and places with a capacity.

Where the net ends is taken from `finalmarkings`, which tools of process mining write; else from a
place that is the only one from which nothing leads on, if it is a workflow net: one place at which
it begins, one at which it ends. Then soundness is asked as van der Aalst does: from each marking
the end can be reached with one token in it and nothing else. Other nets have no end; of them only
deadlocks, boundedness and dead transitions are asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from heliostat.verify.nets.net import TOKENS_MAX, NetBuilder
from heliostat.verify.nets.translation import Translation
from heliostat.verify.reading.models import GOING, Model, end_at
from heliostat.verify.reading.xml import Element


def read_pnml(root: Element) -> list[Model]:
    """The nets of a file.

    Raises:
        Unreadable: there is none, or one is no place/transition net.
    """
    nets = list(root.all("net")) if root.tag == "pnml" else []
    if not nets:
        raise root.wrong("a PNML file is a <pnml> with a <net>")
    return [_model(net) for net in nets]


def _model(net: Element) -> Model:
    kind = net.attributes.get("type", "")
    if any(word in kind.lower() for word in ("symmetricnet", "highlevel", "hlpn", "hlcore")):
        raise net.wrong(f"it is a net of type {kind!r}; place/transition nets can be read")
    return _Reader(net).model()


class _Reader:
    def __init__(self, net: Element) -> None:
        self._net = net
        self._builder = NetBuilder(net.attributes.get("id", "net"))
        self._places: dict[str, int] = {}
        self._transitions: dict[str, Element] = {}
        self._references: dict[str, Element] = {}
        self._inputs: dict[str, list[tuple[int, int]]] = {}
        self._outputs: dict[str, list[tuple[int, int]]] = {}
        self._inhibitors: dict[str, list[int]] = {}
        self._resets: dict[str, list[int]] = {}
        self._tokens: dict[int, int] = {}

    def model(self) -> Model:
        nodes = list(_nodes(self._net))
        for each in nodes:
            if each.tag == "place":
                self._place(each)
            elif each.tag == "transition":
                self._transitions[each.id] = each
            elif each.tag.startswith("reference"):
                self._references[each.id] = each
        for each in nodes:
            if each.tag == "arc":
                self._arc(each)
        ends = self._ends()
        if ends is None:
            going = self._builder.place("going", GOING, tokens=1)
        else:
            going = end_at(self._builder, ends)
        labels = self._labels()
        for id, label in labels.items():
            takes, puts = self._inputs.get(id, []), self._outputs.get(id, [])
            if not takes:  # it may happen at any time, but not after the end
                takes, puts = [(going, 1)], [*puts, (going, 1)]
            self._builder.transition(
                label,
                takes,
                puts,
                inhibitors=self._inhibitors.get(id, []),
                drains=[(place, ()) for place in dict.fromkeys(self._resets.get(id, []))],
                step=label,
                act="completes",
            )
        for place, count in self._tokens.items():
            self._builder.mark([place] * count)
        return Model(
            name=_text(self._net, "name") or self._net.attributes.get("id", "net"),
            translation=Translation(net=self._builder.net(), abstractions=()),
            steps=tuple(labels.values()),
            ends=ends is not None,
        )

    def _labels(self) -> dict[str, str]:
        """What runs call the transitions: by name, with the id behind one that comes twice."""
        names = {id: _text(each, "name") or id for id, each in self._transitions.items()}
        count = Counter(names.values())
        return {
            id: name if count[name] == 1 or name == id else f"{name} ({id})"
            for id, name in names.items()
        }

    def _place(self, each: Element) -> None:
        if each.id in self._places:
            raise each.wrong("another place has this id")
        self._places[each.id] = self._builder.place(each.id, _text(each, "name") or each.id)
        if _number(each, "capacity", 0):  # 0 is how tools write that there is none
            raise each.wrong(
                "it has a capacity; say it by a place of its own that holds what is left"
            )
        tokens = _number(each, "initialMarking", 0)
        if tokens > TOKENS_MAX:
            raise each.wrong(f"it holds {tokens} tokens; up to {TOKENS_MAX} can be counted")
        if tokens:
            self._tokens[self._places[each.id]] = tokens

    def _arc(self, each: Element) -> None:
        weight = _number(each, "inscription", 1)
        if weight < 1:
            raise each.wrong("its inscription must be a number from 1")
        source, target = (self._node(each, end) for end in ("source", "target"))
        kind = _arc_kind(each)
        if kind != "normal":
            self._special_arc(each, kind, weight, source, target)
        elif source in self._places and target in self._transitions:
            self._inputs.setdefault(target, []).append((self._places[source], weight))
        elif source in self._transitions and target in self._places:
            self._outputs.setdefault(source, []).append((self._places[target], weight))
        else:
            raise each.wrong("an arc leads from a place to a transition or from one to a place")

    def _special_arc(self, each: Element, kind: str, weight: int, source: str, target: str) -> None:
        if source not in self._places or target not in self._transitions:
            raise each.wrong(f"an arc of type {kind!r} leads from a place to a transition")
        place = self._places[source]
        match kind:
            case "inhibitor" if weight == 1:
                self._inhibitors.setdefault(target, []).append(place)
            case "inhibitor":
                raise each.wrong("an inhibitor of more than one token is not read")
            case "reset":
                self._resets.setdefault(target, []).append(place)
            case _:
                self._inputs.setdefault(target, []).append((place, weight))
                self._outputs.setdefault(target, []).append((place, weight))

    def _node(self, arc: Element, end: str) -> str:
        id = arc.attributes.get(end, "")
        for _ in range(len(self._references) + 1):
            if id in self._places or id in self._transitions:
                return id
            if id not in self._references:
                break
            id = self._references[id].attributes.get("ref", "")
        raise arc.wrong(f"its {end} {arc.attributes.get(end, '')!r} is no place or transition")

    def _ends(self) -> list[tuple[int, int]] | None:
        """What the net ends with; None where it has no end. Marks where a workflow net begins."""
        markings = self._net.first("finalmarkings")
        if markings is not None:
            found = []
            for each in (
                place for marking in markings.all("marking") for place in marking.children
            ):
                id = each.attributes.get("idref", "")
                if id not in self._places:
                    raise each.wrong(f"its idref {id!r} is no place")
                tokens = _count(each, "a final marking", _text_of(each) or "0")
                if tokens:
                    found.append((self._places[id], tokens))
            return found
        fed = {place for arcs in self._outputs.values() for place, _ in arcs}
        left = {place for arcs in self._inputs.values() for place, _ in arcs}
        left |= {place for places in self._resets.values() for place in places}
        sources = [place for place in self._places.values() if place not in fed]
        sinks = [place for place in self._places.values() if place not in left]
        if len(sources) != 1 or len(sinks) != 1 or sources == sinks:
            return None
        if not self._tokens:
            self._tokens[sources[0]] = 1
        return [(sinks[0], 1)] if self._tokens == {sources[0]: 1} else None


def _nodes(net: Element) -> Iterator[Element]:
    for each in net.children:
        if each.tag == "page":
            yield from _nodes(each)
        else:
            yield each


_ARC_KINDS: Final = {
    **dict.fromkeys(("", "normal", "arc"), "normal"),
    **dict.fromkeys(("inhibitor", "inhibitorarc"), "inhibitor"),
    **dict.fromkeys(("reset", "resetarc"), "reset"),
    **dict.fromkeys(("read", "readarc", "test", "testarc"), "read"),
}


def _arc_kind(arc: Element) -> str:
    """Its type, as tools write it: an attribute or a text of `type` or `arctype`."""
    for tag in ("type", "arctype"):
        child = arc.first(tag)
        if child is not None:
            said = child.attributes.get("value") or _text_of(child)
            if said.lower() not in _ARC_KINDS:
                raise arc.wrong(f"an arc of type {said!r} is none of a place/transition net")
            return _ARC_KINDS[said.lower()]
    return "normal"


def _text_of(each: Element) -> str:
    inner = each.first("text") or each.first("value")  # the latter in older files
    return (each.text if inner is None else inner.text).strip()


def _text(each: Element, tag: str) -> str:
    child = each.first(tag)
    return "" if child is None else _text_of(child)


def _number(each: Element, tag: str, otherwise: int) -> int:
    said = _text(each, tag)
    return _count(each, tag, said) if said else otherwise


def _count(each: Element, what: str, said: str) -> int:
    number = said.removeprefix("Default,")  # of tokens without a colour, as PIPE writes it
    if not (number.isascii() and number.isdigit()):
        raise each.wrong(f"{what} {said!r} is no number")
    return int(number)
