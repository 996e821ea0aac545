"""BPMN 2.0: the control flow of a process as a graph. `processes.py` makes it a net.

Read are activities of all kinds (a called process counts as one activity), embedded, event and
transaction subprocesses, exclusive, parallel, inclusive and event-based gateways, start, end,
intermediate and boundary events, terminate, error, cancel and link events, conditional and default
flows. A subprocess with nothing in it is an activity, as in a diagram where it is collapsed. Data,
lanes, messages between pools, notes and diagrams are passed over: each process is looked at alone,
a message comes at some time; so is what compensation does, which goes on when it has been done.
What would change the flow and is not read is refused, with its name and line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from heliostat.verify.reading.xml import Element

Kind = Literal["activity", "scope", "exclusive", "parallel", "inclusive", "start", "end", "event"]

_KINDS: Final[dict[str, Kind]] = {
    **dict.fromkeys(
        (
            "task",
            "userTask",
            "manualTask",
            "serviceTask",
            "scriptTask",
            "sendTask",
            "receiveTask",
            "businessRuleTask",
            "callActivity",
        ),
        "activity",
    ),
    "subProcess": "scope",
    "transaction": "scope",
    "exclusiveGateway": "exclusive",
    "eventBasedGateway": "exclusive",
    "parallelGateway": "parallel",
    "inclusiveGateway": "inclusive",
    "startEvent": "start",
    "endEvent": "end",
    "intermediateCatchEvent": "event",
    "intermediateThrowEvent": "event",
    "boundaryEvent": "event",
}

_REFUSED: Final = {
    "complexGateway": "a complex gateway says in words when it goes on",
    "adHocSubProcess": "an ad-hoc subprocess has no order",
}


@dataclass(slots=True, kw_only=True)
class Flow:
    """A sequence flow."""

    id: str
    source: str
    target: str
    conditional: bool = False


@dataclass(slots=True, kw_only=True)
class Node:
    """An activity, a gateway or an event."""

    id: str
    label: str
    kind: Kind
    tag: str
    incoming: list[Flow] = field(default_factory=list)
    outgoing: list[Flow] = field(default_factory=list)
    default: str | None = None
    inner: Process | None = None
    repeats: bool = False  # a loop
    several: bool = False  # several instances
    attached: str | None = None  # of a boundary event: to what
    interrupts: bool = True
    of_event: bool = False  # a subprocess that no flow leads to, but an event of its own
    event: str = ""  # terminate, error, link …
    key: str = ""  # of a link its name, of an error its code


@dataclass(slots=True, kw_only=True)
class Process:
    """A process or subprocess."""

    id: str
    name: str
    nodes: dict[str, Node]
    flows: list[Flow]


def read_processes(root: Element) -> list[Process]:
    """The processes of a file that hold anything.

    Raises:
        Unreadable: it is no BPMN, or says what is not read.
    """
    if root.tag != "definitions":
        raise root.wrong("a BPMN file is a <definitions> with a <process>")
    found = [_process(each) for each in root.all("process")]
    found = [each for each in found if each.nodes]
    if not found:
        raise root.wrong("there is no <process> with anything in it")
    return found


def _process(element: Element) -> Process:
    nodes: dict[str, Node] = {}
    for each in element.children:
        if each.tag in _REFUSED and not _splits(each):
            raise each.wrong(_REFUSED[each.tag])
        if (each.tag in _KINDS or each.tag in _REFUSED) and not _compensates(each):
            if each.id in nodes:
                raise each.wrong("another element has this id")
            nodes[each.id] = _node(each)
    flows = [_flow(each, nodes) for each in element.all("sequenceFlow")]
    for each in element.all(*_KINDS, *_REFUSED):
        if each.id not in nodes:
            continue
        default = nodes[each.id].default
        if default is not None and default not in (f.id for f in nodes[each.id].outgoing):
            raise each.wrong(f"its default flow {default!r} does not leave it")
        attached = nodes[each.id].attached
        if attached is not None and attached not in nodes:
            raise each.wrong(f"it is attached to {attached!r}, which is not beside it")
    id = element.attributes.get("id", element.tag)
    return Process(id=id, name=element.attributes.get("name") or id, nodes=nodes, flows=flows)


def _node(element: Element) -> Node:
    said = element.attributes
    event, key = _event(element)
    label = " ".join(said.get("name", "").split()) or element.id
    kind = _KINDS.get(element.tag, "inclusive")
    inner = _process(element) if kind == "scope" else None
    of_event = said.get("triggeredByEvent") == "true"
    interrupts = said.get("cancelActivity", "true") != "false"
    if of_event and inner is not None:
        starts = [each for each in inner.nodes.values() if each.kind == "start"]
        if len(starts) != 1:
            raise element.wrong("an event subprocess begins with one start event")
        event, key, interrupts = starts[0].event, starts[0].key, starts[0].interrupts
    elif inner is not None and not inner.nodes:
        kind, inner = "activity", None
    return Node(
        id=element.id,
        label=label,
        kind=kind,
        tag=element.tag,
        default=said.get("default"),
        inner=inner,
        of_event=of_event,
        repeats=element.first("standardLoopCharacteristics") is not None,
        several=element.first("multiInstanceLoopCharacteristics") is not None,
        attached=said.get("attachedToRef") if element.tag == "boundaryEvent" else None,
        interrupts=interrupts and said.get("isInterrupting", "true") != "false",
        event=event,
        key=key,
    )


def _splits(element: Element) -> bool:
    """A complex gateway that only splits takes some ways, as an inclusive one does."""
    return element.tag == "complexGateway" and len(list(element.all("incoming"))) == 1


def _compensates(element: Element) -> bool:
    """What only compensation leads to: it is no part of the flow."""
    if element.attributes.get("isForCompensation") == "true":
        return True
    event, _ = _event(element)
    return event == "compensate" and element.tag == "boundaryEvent"


def _event(element: Element) -> tuple[str, str]:
    for each in element.children:
        if each.tag.endswith("EventDefinition"):
            kind = each.tag.removesuffix("EventDefinition")
            name = "name" if kind == "link" else "errorRef"
            return kind, each.attributes.get(name, "")
    return "", ""


def _flow(element: Element, nodes: dict[str, Node]) -> Flow:
    source, target = (element.attributes.get(end, "") for end in ("sourceRef", "targetRef"))
    for end, id in (("sourceRef", source), ("targetRef", target)):
        if id not in nodes:
            raise element.wrong(f"its {end} {id!r} is no element of this process")
    flow = Flow(
        id=element.attributes.get("id", f"{source}-{target}"),
        source=source,
        target=target,
        conditional=element.first("conditionExpression") is not None,
    )
    nodes[source].outgoing.append(flow)
    nodes[target].incoming.append(flow)
    return flow


def labelled(process: Process) -> Iterator[Node]:
    """All nodes of a process, inner ones too; labels that come twice get the id behind them."""
    found = list(_all(process))
    seen: dict[str, list[Node]] = {}
    for each in found:
        seen.setdefault(each.label, []).append(each)
    for label, several in seen.items():
        if len(several) > 1:
            for each in several:
                each.label = f"{label} ({each.id})" if label != each.id else label
    yield from found


def _all(process: Process) -> Iterator[Node]:
    for each in process.nodes.values():
        yield each
        if each.inner is not None:
            yield from _all(each.inner)
